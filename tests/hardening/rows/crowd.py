"""Rows T42, T71 to T73 and T82: many addresses that do all that they may."""

import asyncio
import contextlib
import itertools
import os
import time
from pathlib import Path

from rows.flow import BUFFER, addresses, repeat_until, try_all
from rows.web import open_session, post
from trial import row
from wire import (
    PONG, TEXT, UPGRADE, WEBSOCKET, connect, frame, join, new_socket, read_response, receive,
    request, send,
)

# Of each kind and address: twelve connections and three per player are allowed.
CLIENTS = 60
GROWTH_MAX_KIB = 24 << 10
# Of 4,096, so that the players beside and the attack have rooms, too.
ROOMS = 4_080
CROWD = 500


class Hold:
    """Clients that let the server keep bytes for them, over every transport."""

    def __init__(self, port, until):
        self.port, self.until = port, until

    async def play_without_polling(self, source, number):
        """Asks for acknowledgements that it never polls."""
        room = "large" if number % 2 else f"{source.rpartition('.')[2]}-{number}"
        path = await open_session(self.port, source, f"&room={room}")
        client = await connect(self.port, source, BUFFER)
        try:
            for body in itertools.chain(
                [b"40"], itertools.repeat(b"\x1e".join([b'420["ping"]'] * 20))
            ):
                if time.monotonic() > self.until:
                    return
                await send(client, keep_open(post(path, body)))
                await read_response(client, 3)
                await asyncio.sleep(0.5)
        finally:
            client.close()

    async def hold_a_body(self, source, _):
        """Leaves out the end of a POST."""
        path = await open_session(self.port, source, "&room=large")
        await self.hold(source, post(path, b"4" * 15_990, length=16_000), b"", 4.5)

    async def hold_a_message(self, source, _):
        """Leaves out the end of a message, and reads no state."""
        begun = bytes([0x81, 0xFE, 0x10, 0x00, 0, 0, 0, 0]) + b"{" * 4_000
        await self.hold(source, request("/ws?room=large", UPGRADE), begun, 9)

    async def hold_pages(self, source, number):
        """Asks for pages and reads none."""
        page = request("/rooms" if number % 2 else "/client.html")
        await self.hold(source, page * 20, b"", 8)

    async def hold(self, source, first, then, seconds):
        client = await connect(self.port, source, BUFFER)
        try:
            await send(client, first)
            await asyncio.sleep(0.2)
            await send(client, then)
            await asyncio.sleep(max(0, min(seconds, self.until - time.monotonic())))
        finally:
            client.close()

    async def run(self, sources):
        holds = [self.hold_a_body, self.hold_a_message, self.hold_pages]
        await asyncio.gather(*[
            repeat_until(self.until, what, source, number)
            for source in sources for number in range(CLIENTS)
            for what in [self.play_without_polling, holds[number % len(holds)]]
        ])


def keep_open(data):
    return data.replace(b"Connection: close\r\n", b"", 1)


@row("T71", "ten addresses hold all the bytes that they may, over every transport",
     seconds=(10, 30), back_s=12, without={
         "memory": "up to 24 MiB for ten addresses", "others": "several limits are met"})
async def ten_addresses(trial):
    trial.peers = 10
    before = trial.server.rss_kib()
    hold = Hold(trial.port, time.monotonic() + trial.seconds)
    attack = asyncio.create_task(hold.run(addresses(71, 10)))
    peak = before
    while not attack.done():
        peak = max(peak, trial.server.rss_kib())
        await asyncio.sleep(0.2)
    await attack
    held = trial.server.metrics()["skirmish_held_bytes"]
    trial.note("held KiB at the end", round(held / 1024))
    trial.note("growth MiB", round((peak - before) / 1024, 1))
    trial.demand(peak - before <= GROWTH_MAX_KIB, f"{peak - before} KiB more")


def discard(client):
    """Reads what has arrived, and nothing more after the end."""
    with contextlib.suppress(OSError):
        if client.recv(65536):
            return
    asyncio.get_running_loop().remove_reader(client)


async def fill_a_room(trial):
    """500 players in one room, who get a state a second."""
    loop, made = asyncio.get_running_loop(), 0
    trial.crowd = []
    sources = itertools.cycle(addresses(72, 20))
    while made < CROWD:
        try:
            client, _ = await join(trial.port, "crowd", next(sources))
        except OSError:
            await asyncio.sleep(0.05)
            continue
        await send(client, frame(TEXT, b'{"type":"rate","hz":1}'))
        loop.add_reader(client, discard, client)
        trial.crowd.append(client)
        made += 1
    trial.heartbeat = asyncio.create_task(send_pongs(trial.crowd))
    # The crowd used up the joins that all addresses may make at once.
    await asyncio.sleep(2)


async def send_pongs(clients):
    """Clients that are silent would be pinged, and end."""
    while True:
        await asyncio.sleep(3)
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(frame(PONG))


@row("T72", "the list of 4,080 rooms, read by 120 connections of ten addresses without a pause",
     seconds=(6, 15), counters=("page_rate",),
     flags=tuple(itertools.chain.from_iterable(
         ("--room", f"room-{number}=dots") for number in range(ROOMS))))
async def lists(trial):
    answers, until = 0, time.monotonic() + trial.seconds

    async def read_lists(source):
        nonlocal answers
        client = await connect(trial.port, source)
        try:
            while time.monotonic() < until:
                await send(client, request("/rooms"))
                await read_response(client, 3)
                answers += 1
        finally:
            client.close()

    await asyncio.gather(*[
        repeat_until(until, read_lists, source) for source in addresses(73, 10) for _ in range(12)
    ])
    trial.note("answers of a round", answers)


@row("T73", "60 addresses join and leave a room of 500, over WebSocket and Socket.IO",
     prepare=fill_a_room, seconds=(6, 15), without={
         "others": "which rate is met first depends on the machine",
         "memory": "the newest states of 500 players for 60 more",
     })
async def joins(trial):
    joined, until = 0, time.monotonic() + trial.seconds

    async def join_and_leave(source):
        nonlocal joined
        client, _ = await join(trial.port, "crowd", source)
        joined += 1
        await asyncio.sleep(0.3)
        client.close()

    async def join_with_events(source):
        nonlocal joined
        client = await connect(trial.port, source)
        await send(client, request(f"{WEBSOCKET}&room=crowd", UPGRADE))
        await receive(client, 3)
        await send(client, frame(TEXT, b"40"))
        joined += 1
        await asyncio.sleep(0.3)
        client.close()

    kinds = [join_and_leave, join_with_events]
    await asyncio.gather(*[
        repeat_until(until, kinds[number % 2], source)
        for number, source in enumerate(addresses(74, 60))
    ])
    trial.note("joins of a round", joined)


def refused_connects(port, count, source):
    """Connects above the rate of an address, in a thread, and waits for each to be reset."""
    refused = 0
    for _ in range(count):
        client = new_socket(source)
        try:
            client.settimeout(5)
            client.connect(("127.0.0.1", port))
            client.send(request("/healthz"))
            client.recv(10)
        except OSError:
            refused += 1
        finally:
            client.close()
    return refused


@row("T82", "20,000 refused connections", seconds=(1, 1), counters=("accept_rate",))
async def refusals(trial):
    count = 20_000 if trial.is_full else 4_000
    before = trial.server.in_time_wait()
    refused = await asyncio.to_thread(refused_connects, trial.port, count, "127.0.0.9")
    left = trial.server.in_time_wait() - before
    trial.note("refused of a round", refused)
    trial.note("TIME_WAIT here", left)
    trial.demand(left < 1000, f"{left} sockets in TIME_WAIT on the port of the server")


STALLED = 2_000
STALLED_IN_ROOM = 50
KERNEL_BYTES_A_STALLED = 16 << 10


@row("T42", f"{STALLED:,} clients that have joined stop to read at once", seconds=(1, 1),
     counters=("slow",), without={"memory": "judged by the row, for the sockets of both sides"})
async def all_stop_reading(trial):
    before, sources = kernel_bytes_of_tcp(), itertools.cycle(addresses(42, 200))
    clients, is_over = [], asyncio.Event()

    async def read_now_and_then(client):
        """Reads once a second, so that it counts as slow only afterwards."""
        while not is_over.is_set():
            with contextlib.suppress(BlockingIOError):
                client.recv(1 << 20)
            await send(client, frame(TEXT, b'{"type":"ping","t":42}'))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), 1)

    async def take_part(number):
        room, source = f"battle-stalled-{number // STALLED_IN_ROOM}", next(sources)
        client, _ = await join(trial.port, room, source, receive_buffer=BUFFER)
        clients.append(client)
        await read_now_and_then(client)

    # All clients together may join at some 250 a second.
    tasks = []
    for number in range(STALLED):
        tasks.append(asyncio.create_task(take_part(number)))
        await asyncio.sleep(1 / 150)
    until = time.monotonic() + 10
    while len(clients) < STALLED and time.monotonic() < until:
        await asyncio.sleep(0.1)
    is_over.set()
    await try_all(tasks)
    began, most, left, took = time.monotonic(), 0, STALLED, 0.0
    # What the server's kernel has: a reset may not reach a client whose buffer is full.
    while left and took < 20:
        most = max(most, kernel_bytes_of_tcp() - before)
        sockets = await asyncio.to_thread(lambda: list(trial.server.sockets()))
        left = sum("127.42." in address for address, _, _ in sockets)
        took = time.monotonic() - began
        await asyncio.sleep(0.1)
    for client in clients:
        client.close()
    trial.note("at once", len(clients))
    trial.note("KiB in the kernel for each, both sides", round(most / 1024 / STALLED, 1))
    trial.note("all closed after s", round(took, 1))
    trial.demand(len(clients) == STALLED, f"{len(clients)} of {STALLED} joined")
    trial.demand(most <= STALLED * KERNEL_BYTES_A_STALLED, f"{most} bytes in the kernel")
    # The deadline, the linger, a turn, and the time between two looks.
    trial.demand(took <= 14, f"{left} were connected after {took:.1f} s")


def kernel_bytes_of_tcp():
    """Memory of all TCP sockets of this machine (proc(5), /proc/net/sockstat)."""
    line = next(
        line for line in Path("/proc/net/sockstat").read_text().splitlines()
        if line.startswith("TCP:")
    )
    return int(line.split()[-1]) * os.sysconf("SC_PAGESIZE")
