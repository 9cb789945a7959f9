"""Rows T01 to T24 and T58: connections, slow readers, WebSocket frames, floods."""

import asyncio
import contextlib
import itertools
import json
import struct
import time
import zlib

from trial import row
from wire import (
    PING, TEXT, UPGRADE, WEBSOCKET, ask, close_code, connect, frame, join, new_socket,
    read_response, read_to_end, receive, request, reset, send, status_of, unmasked_frames,
)

TICK_S = 0.05
BUFFER = 4096
CONTINUATION = 0


def addresses(net, count):
    """Addresses of loopback that no other part of a trial uses."""
    return [f"127.{net}.{number // 250}.{1 + number % 250}" for number in range(count)]


SOURCES = itertools.cycle(addresses(100, 2_000))


def next_source():
    """An address that has used up no rate of its own, as long as 2,000 suffice."""
    return next(SOURCES)


async def try_all(awaitables):
    """Waits for all. Returns their results, with errors of the network as values."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, (OSError, TimeoutError)):
            raise result
    return results


async def repeat_until(until, what, *arguments, pause_s=0.3):
    """Begins again until a time, whatever the server does."""
    while time.monotonic() < until:
        try:
            await what(*arguments)
        except (OSError, TimeoutError):
            await asyncio.sleep(pause_s)


async def newcomers(trial, until):
    """Players join one after another. Demands that each is in within 200 ms."""
    waits = []
    while time.monotonic() < until:
        waits.append(await trial.beside.newcomer_ms())
        await asyncio.sleep(0.3)
    trial.note("newcomer max ms", round(max(waits)))
    trial.demand(max(waits) < 200, f"a newcomer waited {max(waits):.0f} ms")


@row("T01", "200 clients never read (also T09: their kernels acknowledge, and open no window)",
     seconds=(14, 60), counters=("slow",))
async def never_read(trial):
    began = time.monotonic()
    frame_bytes, sent = 12 * 1024, []

    async def stall(source):
        client, _ = await join(trial.port, "battle-stalled", source, receive_buffer=BUFFER)
        since = time.monotonic()
        # The server ends it: an error waits at the socket, without a byte being read.
        while time.monotonic() < since + 20 and not has_ended(client):
            await asyncio.sleep(0.1)
        stayed.append(time.monotonic() - since)
        client.close()

    stayed = []
    until = began + trial.seconds - 13
    tasks = [
        asyncio.create_task(repeat_until(until, stall, source))
        for source in addresses(11, 20) for _ in range(10)
    ]
    while any(not task.done() for task in tasks):
        await asyncio.sleep(1)
        sockets = await asyncio.to_thread(lambda: list(trial.server.sockets()))
        queued = [sent for address, _, sent in sockets if "127.11." in address]
        sent.append(max(queued, default=0))
    await asyncio.gather(*tasks)
    if not stayed:
        trial.demand(False, "no client could join")
        return
    # Thirteen seconds are the deadline, the linger and a turn.
    trial.note("closed after s", f"{min(stayed):.1f} to {max(stayed):.1f}")
    trial.note("Send-Q max", max(sent))
    trial.demand(9.5 <= min(stayed) and max(stayed) <= 13, "not closed after 10 s")
    trial.demand(max(sent) <= frame_bytes + 8 * 1024, f"{max(sent)} bytes wait in the kernel")


def has_ended(client):
    """Whether the server has ended a connection of which nothing is read."""
    # Of tcp(7), TCP_INFO: its first byte is the state; 1 is established.
    return client.getsockopt(6, 11, 1)[0] != 1


class Trickle:
    """A player of the JSON dialect that reads as it is allowed to."""

    def __init__(self, client, rest, acknowledges):
        # After each state: it may take longer than 10 s to read five.
        self.client, self.buffer, self.acknowledges = client, rest, acknowledges
        # When each state was read to its end, and its tick.
        self.states = []

    async def read(self, count):
        data = await asyncio.get_running_loop().sock_recv(self.client, count)
        if not data:
            raise ConnectionError("it was closed")
        frames, self.buffer = unmasked_frames(self.buffer + data)
        for opcode, payload in frames:
            if opcode == PING:
                await send(self.client, frame(10, payload))
            elif payload.startswith(b'{"type":"state'):
                tick = json.loads(payload)["tick"]
                self.states.append((time.monotonic(), tick))
                if self.acknowledges:
                    await send(self.client, frame(TEXT, b'{"type":"ack","tick":%d}' % tick))

    async def trickle(self, until):
        """Reads 100 bytes a second, and moves: its answers to pings wait behind unread states."""
        for number in itertools.count():
            if time.monotonic() > until:
                return
            await self.read(10)
            if number % 20 == 0:
                await send(self.client, frame(TEXT, b'{"type":"move","direction":"UP"}'))
            await asyncio.sleep(0.1)

    async def read_freely(self, until):
        while time.monotonic() < until:
            await asyncio.wait_for(self.read(65536), 2)


@row("T02", "players with and without acks read 100 bytes a second, then all", seconds=(12, 60),
     timed=True,
     without={"others": "one without acks may be found to be slow"})
async def trickle(trial):
    witness, rest = await join(trial.port, "trickle", next_source())
    present, clients = Trickle(witness, rest, True), []
    for acknowledges in [False, True]:
        client, first = await join(trial.port, "trickle", next_source())
        clients.append(Trickle(client, first, acknowledges))
    slow_until = time.monotonic() + trial.seconds
    reading = asyncio.create_task(present.read_freely(slow_until + 3))
    ends = await try_all(client.trickle(slow_until) for client in clients)
    recovers = time.monotonic()
    ends += await try_all(client.read_freely(recovers + 2) for client in clients)
    await reading
    newest_at = dict((tick, at) for at, tick in present.states)
    for number, client in enumerate(clients):
        client.client.close()
        name = "with acks" if client.acknowledges else "without"
        ticks = [tick for _, tick in client.states]
        ages = [(at, at - newest_at.get(tick, at)) for at, tick in client.states]
        slow = [age for at, age in ages if at < recovers]
        fresh = [at - recovers for at, age in ages if at >= recovers and age < 2 * TICK_S]
        trial.demand(ticks == sorted(set(ticks)), f"{name}: ticks do not increase")
        trial.note(f"{name}: age max s", round(max(slow, default=0), 1))
        after_ms = round(1e3 * fresh[0]) if fresh else "never, it is closed"
        trial.note(f"{name}: fresh after ms", after_ms)
        # A client that is more than 20 s behind is closed, and would come back to a new state.
        is_closed = any(isinstance(end, OSError) for end in ends[number::2])
        is_fresh = fresh and fresh[0] <= 0.25
        trial.demand(is_fresh or is_closed, f"{name}: fresh after {fresh[:1]} s")
    witness.close()


@row("T03", "500 heads arrive a byte a second", seconds=(6, 12), counters=("http_timeout",),
     timed=True)
async def slowloris(trial):
    trial.peers = 50
    head = request("/", "X-Padding: " + "x" * 200 + "\r\n")
    until = time.monotonic() + trial.seconds
    took = []

    async def dribble(source):
        client = await connect(trial.port, source)
        began, at = time.monotonic(), 0
        loop = asyncio.get_running_loop()
        answer = asyncio.ensure_future(loop.sock_recv(client, 4096))
        try:
            while not answer.done():
                await send(client, head[at : at + 1])
                at += 1
                await asyncio.wait([answer], timeout=1)
            took.append((status_of(answer.result()), time.monotonic() - began))
        finally:
            answer.cancel()
            client.close()

    sources = [source for source in addresses(13, 50) for _ in range(10)]
    attack = try_all(dribble(source) for source in sources)
    await asyncio.gather(attack, newcomers(trial, until))
    seconds = [second for _, second in took]
    trial.note("408 after s", f"{min(seconds):.2f} to {max(seconds):.2f}")
    trial.demand(len(took) == 500, f"{len(took)} of 500 were answered")
    trial.demand({status for status, _ in took} == {408}, "another status than 408")
    trial.demand(4.5 <= min(seconds) <= max(seconds) <= 5.6, "not after 5 s")


@row("T04", "heads of 8 MiB in writes of 1 byte and 1 KiB; 2,000 fields (also T05)",
     counters=("http_refused", "subprotocol"), timed=True)
async def giant_heads(trial):
    long_field = b"GET / HTTP/1.1\r\nX-Long: "
    answers = []
    for size in [1, 1024]:
        client = await connect(trial.port, next_source())
        client.setsockopt(6, 1, 1)  # TCP_NODELAY: each write is a segment.
        await send(client, long_field)
        mark = trial.processor_mark()
        reading = asyncio.create_task(read_to_end(client))
        with contextlib.suppress(ConnectionError):
            for _ in range((8 << 20) // size):
                await send(client, b"x" * size)
                await asyncio.sleep(0)
                if reading.done():
                    break
        answers.append(await reading)
        client.close()
        ran = 1e3 * trial.processor_since(mark)
        trial.note(f"CPU ms with writes of {size} B", round(ran, 1))
        trial.demand(size == 1 or ran < 5, f"{ran:.1f} ms of CPU")
    many = "".join(f"a{number}: b\r\n" for number in range(2000))
    answers.append(await ask(trial.port, request("/ws", many + UPGRADE), next_source()))
    spaces = f"Sec-WebSocket-Protocol: b{' ' * 7000}x\r\n"
    odd = "Sec-WebSocket-Extensions: constructor, __proto__; hasOwnProperty\r\n"
    spaces_answer = await ask(trial.port, request("/ws", UPGRADE + spaces), next_source())
    client, _ = await join(trial.port, "odd", next_source(), odd)
    client.close()
    # A reset may overtake the answer to a peer that still writes.
    statuses = {status_of(answer) for answer in answers} - {None}
    trial.demand(statuses == {431}, f"statuses {statuses}")
    trial.demand(status_of(spaces_answer) == 400, f"{spaces_answer[:60]}")


@row("T10", "resets at every byte of a handshake and of a frame",
     without={"others": "a cut head or frame has no reason of its own"})
async def resets(trial):
    move = b'{"type":"move","direction":"UP"}'
    conversation = request("/ws?room=resets", UPGRADE) + frame(TEXT, move)
    for at in range(1, len(conversation)):
        client = await connect(trial.port, next_source())
        await send(client, conversation[:at])
        if at % 2:
            await asyncio.sleep(0.002)
        reset(client)
    trial.note("resets", len(conversation) - 1)


@row("T14", "a million continuation frames, empty or of a byte", counters=("policy",))
async def fragments(trial):
    codes = []
    for payload in [b"", b"x"]:
        client, rest = await join(trial.port, "fragments", next_source())
        first = frame(TEXT, payload, first=0)
        burst = frame(CONTINUATION, payload, first=0) * 10_000
        closing = asyncio.create_task(close_code(client, rest))
        try:
            await send(client, first)
            for _ in range(50):
                await send(client, burst)
        except ConnectionError:
            pass
        codes.append(await closing)
        client.close()
    # A reset may overtake the close frame of a peer that still writes.
    trial.demand(set(codes) <= {1008, None}, f"close codes {codes}")
    trial.note("close codes", codes)
    client, rest = await join(trial.port, "fragments", next_source())
    await send(client, frame(TEXT, b"", first=0) + frame(CONTINUATION, b"", first=0) * 17)
    code = await close_code(client, rest)
    client.close()
    trial.demand(code == 1008, f"17 fragments: {code}")


@row("T12", "messages of 2^31 and 2^62 bytes by their header, invalid lengths, masks, opcodes and "
     "UTF-8, and what inflates to 4 MiB (T12 to T18)",
     counters=("too_big", "protocol", "bad_text"))
async def malformed(trial):
    deflate = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = compress.compress(bytes(4 << 20)) + compress.flush(zlib.Z_SYNC_FLUSH)
    huge = lambda size: bytes([0x81, 0xFF]) + struct.pack(">Q", size) + bytes(4)
    cases = [
        (1009, "", huge(1 << 31)),
        (1009, "", huge(1 << 62)),
        (1002, "", huge(1 << 63)),
        (1002, "", bytes([0x81, 0xFE]) + struct.pack(">H", 5) + bytes(4) + b"hello"),
        (1002, "", huge(5) + b"hello"),
        (1002, "", bytes([0x81, 5]) + b"hello"),
        *[(1002, "", frame(opcode, b"x")) for opcode in (3, 7, 11, 15)],
        (1002, "", frame(PING, b"x", first=0)),
        (1002, "", frame(PING, b"x" * 126)),
        *[(1002, "", frame(TEXT, b"x", first=first)) for first in (0x90, 0xA0, 0xC0)],
        (1002, deflate, frame(TEXT, b"x", first=0xA0)),
        (1009, deflate, frame(TEXT, bomb[:4000], first=0xC0)),
        (1007, "", frame(TEXT, b"\xf5\x80")),
        (1007, "", frame(8, b"\x03\xe8\xff")),
        (1002, "", frame(8, b"\x03")),
        (1002, "", frame(8, b"\x03\xed")),
        (1002, "", frame(CONTINUATION, b"x")),
    ]
    wrong = []
    for expected, fields, data in cases:
        client, rest = await join(trial.port, "malformed", next_source(), fields)
        await send(client, data)
        code = await close_code(client, rest)
        client.close()
        if code != expected:
            wrong.append((data[:12].hex(), expected, code))
    trial.note("cases", len(cases))
    trial.demand(not wrong, f"{wrong}")


@row("T19", "floods of pings, of pongs and of Engine.IO pongs", seconds=(4, 8),
     counters=("too_fast",))
async def control_floods(trial):
    async def flood(path, hello, burst):
        """Sends as fast as it can, and reads. Returns seconds until the end and pongs received."""
        client = await connect(trial.port, next_source())
        await send(client, request(path, UPGRADE) + hello)
        began = time.monotonic()
        reading = asyncio.create_task(read_to_end(client))
        try:
            while not reading.done():
                await send(client, burst)
                await asyncio.sleep(0.01)
        except OSError:
            pass
        received = await reading
        client.close()
        pongs = [code for code, _ in unmasked_frames(received.partition(b"\r\n\r\n")[2])[0]]
        return time.monotonic() - began, pongs.count(10)

    floods = [
        ("/ws?room=floods", b"", frame(PING, b"flood") * 500),
        ("/ws?room=floods", b"", frame(10, b"flood") * 500),
        (WEBSOCKET, frame(TEXT, b"40"), frame(TEXT, b"3") * 500),
    ]
    mark = trial.processor_mark()
    for one in floods:
        took, pongs = await flood(*one)
        trial.demand(took <= 2.5, f"closed after {took:.1f} s")
    trial.note("CPU s of a round", round(trial.processor_since(mark), 2))


@row("T20", "100 peers that ignore a close, with invalid codes and data after it",
     counters=("protocol",), timed=True, without={"back": "checked by the row within 2 s"})
async def close_games(trial):
    before = trial.server.gauges()["skirmish_connections"]
    clients = []
    for number in range(100):
        client, _ = await join(trial.port, "closes", next_source())
        clients.append(client)
        code = [1005, 1006, 5000, 999][number % 4]
        after = frame(TEXT, b'{"type":"move","direction":"UP"}') * 20 + frame(8, b"\x03\xe8") * 50
        await send(client, frame(8, struct.pack(">H", code)) + after)
    began = time.monotonic()
    while trial.server.gauges()["skirmish_connections"] > before:
        if time.monotonic() > began + 5:
            break
        await asyncio.sleep(0.05)
    took = time.monotonic() - began
    trial.note("freed after s", round(took, 1))
    # A linger of 2 s, and 100 ms by which a deadline may be late (docs/limits.md).
    trial.demand(took <= 2.2, f"freed after {took:.1f} s")
    for client in clients:
        client.close()


def churn_for(port, seconds, sources):
    """Connects and closes without a pause, in a thread. Returns how often."""
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        client = new_socket(sources[count % len(sources)])
        try:
            client.setblocking(True)
            client.connect(("127.0.0.1", port))
            if count % 3 == 0:
                client.send(request("/healthz"))
            count += 1
        except OSError:
            pass
        finally:
            reset(client) if count % 2 else client.close()
    return count


@row("T21", "connects and closes without a pause, from 60 addresses", seconds=(5, 60),
     without={"others": "whether a connect is above the rates depends on the machine"})
async def churn(trial):
    trial.peers = 60
    sources = addresses(21, 60)
    count = await asyncio.to_thread(churn_for, trial.port, trial.seconds, sources)
    trial.note("connects/s", round(count / trial.seconds))
    left = trial.server.in_time_wait()
    trial.note("TIME_WAIT here", left)
    trial.demand(left < 1000, f"{left} sockets in TIME_WAIT on the port of the server")


@row("T22", "1,000 connections from one address", counters=("address_full",),
     without={"others": "idle ones are closed first, and the rate may end some"})
async def one_address(trial):
    before = trial.server.gauges()["skirmish_connections"]
    clients = []
    for _ in range(1000):
        try:
            clients.append(await connect(trial.port, "127.0.0.2"))
        except OSError:
            pass
    await asyncio.sleep(0.5)
    held = trial.server.gauges()["skirmish_connections"] - before
    wait = await trial.beside.newcomer_ms()
    trial.note("held of 1,000", int(held))
    trial.note("newcomer ms", round(wait))
    trial.demand(held <= 12, f"{held} connections of one address")
    trial.demand(wait < 200, f"a newcomer waited {wait:.0f} ms")
    for client in clients:
        client.close()


@row("T24", "2,000 connects at once, from 200 addresses", timed=True, without={
    "memory": "2,000 requests are answered at once: the peak is theirs"})
async def burst(trial):
    trial.peers = 200
    began = time.monotonic()

    async def check(source):
        client = await connect(trial.port, source)
        try:
            await send(client, request("/healthz"))
            head, _ = await read_response(client)
            return status_of(head)
        finally:
            client.close()

    sources = [source for source in addresses(24, 200) for _ in range(10)]
    answers = await try_all(check(source) for source in sources)
    took = time.monotonic() - began
    trial.note("answered", sum(answer == 200 for answer in answers))
    trial.note("all after ms", round(1e3 * took))
    trial.demand(answers == [200] * len(sources), f"{set(map(str, answers))}")
    trial.demand(took <= 1, f"all after {took:.1f} s")


@row("T58", "1,000 moves and 1,000 inputs a second (also T59 to T61)", seconds=(10, 10),
     counters=("too_fast", "rate"))
async def move_flood(trial):
    """Counts in ticks how far a player gets until it is closed."""
    client, buffer = await join(trial.port, "battle-floods", next_source())
    moves = b"".join(
        frame(TEXT, b'{"type":"move","direction":"%s"}' % way) for way in [b"RIGHT", b"LEFT"] * 5
    )
    moves += frame(TEXT, b'{"type":"attack"}') * 10
    places, code, began = [], None, time.monotonic()
    number = None
    while code is None and time.monotonic() < began + trial.seconds:
        try:
            await send(client, moves)
            buffer += await receive(client, 1)
        except OSError:
            break
        frames, buffer = unmasked_frames(buffer)
        for opcode, payload in frames:
            if opcode == 8:
                code = int.from_bytes(payload[:2], "big")
            elif payload.startswith(b'{"type":"init"'):
                number = json.loads(payload)["id"]
            elif payload.startswith(b'{"type":"state'):
                state = json.loads(payload)
                me = next((one for one in state["players"] if one["id"] == number), None)
                if me:
                    places.append((state["tick"], me["x"], me["y"], me["hp"]))
        await asyncio.sleep(0.01)
    client.close()
    far = [
        (before, after) for before, after in zip(places, places[1:])
        if abs(after[1] - before[1]) > 5 * (after[0] - before[0] + 10)
        or not 0 <= after[1] <= 100 or not 0 <= after[3] <= 100
    ]
    trial.note("states", len(places))
    trial.note("close code", code)
    trial.demand(places and not far, f"moved too far: {far[:2]}")
    trial.demand(code == 4029, f"close code {code}")


