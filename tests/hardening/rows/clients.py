"""Rows T07, T11, T23, T70 and T80: clients that send much at once, only half hang up, share an
address or do nothing, and pages that are read while they play.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import time

from players import Json, Observer, SocketIo, V1
from rows.flow import next_source
from server import quantile
from trial import row
from wire import (
    CLOSE, PING, PONG, TEXT, UPGRADE, WEBSOCKET, ask, close_code, connect, frame, join, receive,
    request, send, status_of, unmasked_frames,
)

NEWCOMER_MAX_MS = 200

# docs/limits.md: messages that a peer may send at once and in a second, and those of a turn.
MESSAGES_BURST, MESSAGES_A_SECOND, MESSAGES_A_TURN = 80, 40, 64
BURST = 1_000
# A write of 64 KiB, with its frame headers of 6 bytes.
MESSAGE_BYTES = 59
FLOODERS = 10


def burst_of(message):
    """A thousand messages, and after each tenth a ping: the last of a turn is answered."""
    padded = message.ljust(MESSAGE_BYTES)
    return b"".join(
        frame(TEXT, padded) + (frame(PING, b"%d" % number) if number % 10 == 9 else b"")
        for number in range(BURST)
    )


async def read_burst(client, buffer):
    """Reads until the last ping is answered. Returns how many are, and how many of the pongs that
    are messages.
    """
    pongs, answers = 0, 0
    while True:
        frames, buffer = unmasked_frames(buffer)
        for opcode, payload in frames:
            pongs += opcode == PONG
            answers += payload.startswith(b'{"type":"pong"')
            if (opcode, payload) == (PONG, b"%d" % (BURST - 1)):
                return pongs, answers
        more = await receive(client, 5)
        if not more:
            raise ConnectionError("it was closed")
        buffer += more


async def pings_until(trial, done):
    """How long a player waits for the answers to its pings, in ms, until a future is done."""
    client, _ = await join(trial.port, "waits", next_source())
    waits = []
    try:
        while not done.done() or not waits:
            marker = b'"t":%d,' % len(waits)
            began, received = time.monotonic(), b""
            await send(client, frame(TEXT, b'{"type":"ping","t":%d}' % len(waits)))
            while marker not in received:
                received += await receive(client, 5)
            waits.append(1e3 * (time.monotonic() - began))
            # Below the rate at which messages are dropped.
            await asyncio.sleep(0.03)
    finally:
        client.close()
    return waits


@row("T07", "ten players write 64 KiB with 1,000 moves or pings at once", counters=("rate",),
     timed=True)
async def bursts(trial):
    trial.peers = FLOODERS
    drops = 'skirmish_drops_total{reason="rate"}'
    done = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(pings_until(trial, done))
    newcomer = asyncio.create_task(trial.beside.newcomer_ms())
    turns, mistakes = [], []
    for message in [b'{"type":"move","direction":"UP"}', b'{"type":"ping","t":7}']:
        before = trial.server.metrics()[drops]
        clients = [await join(trial.port, "bursts", next_source()) for _ in range(FLOODERS)]
        data, began = burst_of(message), time.monotonic()
        reading = [asyncio.create_task(read_burst(*one)) for one in clients]
        await asyncio.gather(*[send(client, data) for client, _ in clients])
        ends = await asyncio.gather(*reading)
        took = time.monotonic() - began
        dropped = trial.server.metrics()[drops] - before
        for client, _ in clients:
            client.close()
        turns += [pongs for pongs, _ in ends]
        answered, sent = sum(answers for _, answers in ends), FLOODERS * BURST
        accepted_max = FLOODERS * (MESSAGES_BURST + MESSAGES_A_SECOND * took + 1)
        accepted_min = FLOODERS * MESSAGES_BURST
        if not accepted_min <= sent - dropped <= accepted_max:
            mistakes.append(f"{dropped:.0f} of {sent} dropped in {took:.2f} s")
        if b"ping" in message and answered + dropped != sent:
            mistakes.append(f"{answered} answered and {dropped:.0f} dropped of {sent}")
    done.set_result(None)
    waits, joined = await waiting, await newcomer
    trial.note("turns of a write at least", min(turns))
    trial.note("pong of another max ms", round(max(waits), 1))
    trial.note("newcomer ms", round(joined, 1))
    trial.demand(not mistakes, f"{mistakes}")
    least = BURST // MESSAGES_A_TURN
    trial.demand(min(turns) >= least, f"read in {min(turns)} turns, not in {least}")
    trial.demand(max(waits) < 60, f"another player waited {max(waits):.0f} ms")
    trial.demand(joined < NEWCOMER_MAX_MS, f"a newcomer waited {joined:.0f} ms")


HALF_CLOSED = 50


@row("T11", "50 half closes after a move, with a close frame and without, or after a request",
     timed=True, without={"back": "checked by the row within 1 s"})
async def half_closes(trial):
    before, clients, asked = trial.server.fds(), [], b'{"type":"ping","t":11}'
    said = frame(TEXT, b'{"type":"move","direction":"UP"}') + frame(TEXT, asked)
    kinds = ["close frame", "no close frame", "request"]
    for number in range(HALF_CLOSED):
        kind, source = kinds[number % len(kinds)], next_source()
        if kind == "request":
            client, rest = await connect(trial.port, source), b""
            data = request("/healthz")
        else:
            client, rest = await join(trial.port, "half", source)
            data = said + (frame(CLOSE, b"\x03\xe8") if kind == "close frame" else b"")
        clients.append((kind, client, rest, data))
    began, freed = time.monotonic(), []

    async def half_close(kind, client, rest, data):
        await send(client, data)
        client.shutdown(socket.SHUT_WR)
        received = rest
        try:
            while more := await receive(client, 5):
                received += more
        except ConnectionError:
            # A reset might have overtaken the answer.
            return False
        if kind == "request":
            return received.startswith(b"HTTP/1.1 200") and received.endswith(b"ok\n")
        frames = unmasked_frames(received)[0]
        is_answered = any(b'"pong"' in payload and b'"t":11' in payload for _, payload in frames)
        return is_answered and (frames[-1][0] == CLOSE) == (kind == "close frame")

    async def watch():
        while trial.server.fds() > before and time.monotonic() < began + 5:
            await asyncio.sleep(0.02)
        freed.append(time.monotonic() - began)

    answers, _ = await asyncio.gather(
        asyncio.gather(*[half_close(*one) for one in clients]), watch()
    )
    # Only now: the server has to end them by itself.
    for _, client, _, _ in clients:
        client.close()
    wrong = {kind for (kind, *_), is_right in zip(clients, answers) if not is_right}
    trial.note("freed after ms", round(1e3 * freed[0]))
    trial.demand(not wrong, f"no answer, a reset or another close: {wrong}")
    trial.demand(freed[0] <= 1, f"freed after {freed[0]:.1f} s")


class Counted(Observer):
    """What players of one address see."""

    def __init__(self):
        self.joins, self.ends, self.states = {}, [], {}

    def joined(self, player, at):
        self.joins.setdefault(player, time.monotonic())

    def saw(self, player, tick, own, at):
        self.states[player] = time.monotonic()

    def ended(self, player, code, reason, at):
        self.ends.append((type(player).__name__, code, reason[:60]))


@row("T23", "60 players of all dialects from one address, with the connections of their pages",
     seconds=(7, 15))
async def one_network(trial):
    trial.peers = 60
    source, seen = next_source(), Counted()
    players = [
        [Json, V1, SocketIo][number % 3](trial.port, "battle-network", seen, source=source)
        for number in range(60)
    ]
    until = time.monotonic() + trial.seconds
    pages, tasks, statuses = [], [], []
    try:
        for player in players:
            # A browser loads its page first, and keeps the connection.
            page = await connect(trial.port, source)
            pages.append(page)
            await send(page, request("/healthz"))
            statuses.append(status_of(await receive(page, 5)))
            tasks.append(asyncio.create_task(player.run()))
            limit = time.monotonic() + 5
            while player not in seen.joins and time.monotonic() < limit and not seen.ends:
                await asyncio.sleep(0.005)
        newcomer = await trial.beside.newcomer_ms()
        await asyncio.sleep(max(1, until - time.monotonic()))
        now = time.monotonic()
        served = sum(seen.states.get(player, 0) > now - 1 for player in players)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for page in pages:
            page.close()
    trial.note("admitted of 60", len(seen.joins))
    trial.note("get states", served)
    trial.note("newcomer ms", round(newcomer, 1))
    trial.demand(len(seen.joins) == 60, f"{len(seen.joins)} of 60 were admitted")
    trial.demand(served == 60, f"{served} of 60 get states")
    trial.demand(not seen.ends, f"ended: {seen.ends[:3]}")
    trial.demand(set(statuses) == {200}, f"pages: {set(statuses)}")
    trial.demand(newcomer < NEWCOMER_MAX_MS, f"a newcomer waited {newcomer:.0f} ms")


IDLE_S = 3
# It is checked once a second (docs/limits.md), and a deadline may be 100 ms late.
IDLE_LATE_S = 1.2


@row("T70", f"silent players in every dialect, --idle-kick-s {IDLE_S}", seconds=(5, 10),
     flags=("--idle-kick-s", str(IDLE_S)), counters=("idle",), timed=True)
async def silent_players(trial):
    async def over_websocket(target, fields, hello, keep_alive):
        """Joins, does nothing, and says that it lives. Returns the close code and seconds."""
        client = await connect(trial.port, next_source())
        await send(client, request(target, UPGRADE + fields) + hello)
        began = time.monotonic()
        closing = asyncio.create_task(read_close(client))
        while not closing.done() and time.monotonic() < began + IDLE_S + 5:
            with contextlib.suppress(OSError):
                await send(client, keep_alive)
            await asyncio.wait([closing], timeout=0.5)
        code = await closing if closing.done() else closing.cancel()
        client.close()
        return code, time.monotonic() - began

    async def read_close(client):
        received = b""
        while b"\r\n\r\n" not in received:
            received += await receive(client, 5)
        return await close_code(client, received.partition(b"\r\n\r\n")[2], IDLE_S + 6)

    v1 = "Sec-WebSocket-Protocol: skirmish.v1\r\n"
    ping = frame(TEXT, b'{"type":"ping","t":1}')
    kinds = [
        ("/ws?room=silent", "", b"", ping),
        ("/ws?room=silent&resume=1", "", b"", ping),
        ("/ws?room=silent", v1, b"", frame(PONG)),
        (f"{WEBSOCKET}&room=silent", "", frame(TEXT, b"40"), frame(TEXT, b'42["ping"]')),
    ]
    ends = await asyncio.gather(*[over_websocket(*kind) for kind in kinds * 5])
    seconds = [took for _, took in ends]
    codes = {code for code, _ in ends}
    trial.note("removed after s", f"{min(seconds):.2f} to {max(seconds):.2f}")
    trial.note("close codes", sorted(map(str, codes)))
    trial.demand(codes == {4000}, f"close codes {codes}")
    late = IDLE_S + IDLE_LATE_S
    trial.demand(IDLE_S - 0.1 <= min(seconds) and max(seconds) <= late, "not removed on time")


PAGE_BYTES, PAGES = 900_000, 24
SHRINKING_BYTES = 24 << 20
TICK_GAP_MAX_MS = 60
# A phase of a turn in which files were read would take as long as a reload.
TURN_MAX_MS = 20


def write_pages(folder):
    """A large folder, of what compresses badly."""
    folder.mkdir()
    rng = random.Random(80)
    (folder / "index.html").write_text("page")
    for number in range(PAGES):
        (folder / f"{number}.txt").write_text(rng.randbytes(PAGE_BYTES // 2).hex())


class Reloads:
    """Reloads of a folder, and what the log says about them."""

    def __init__(self, trial, folder, log):
        self.trial, self.folder, self.log = trial, folder, log
        self.seconds = []

    def lines(self):
        return [line for line in self.log.read_text().splitlines() if "reload" in line]

    async def reload(self, meanwhile=None):
        """Returns the line of the log about it, and leaves it to the caller to judge it."""
        before, began = len(self.lines()), time.monotonic()
        self.trial.server.signal(signal.SIGHUP)
        while len(lines := self.lines()) == before:
            if time.monotonic() > began + 20:
                return "no line after 20 s"
            if meanwhile:
                meanwhile()
            await asyncio.sleep(0.002 if meanwhile else 0.02)
        self.seconds.append(time.monotonic() - began)
        return lines[before]

    async def expect(self, what, *texts, meanwhile=None):
        line = await self.reload(meanwhile)
        is_clear = any(text in line for text in texts)
        self.trial.demand(is_clear, f"{what}: {line[-200:]}")
        answer = await ask(
            self.trial.port, request("/", "Connection: close\r\n"), next_source(), 5)
        self.trial.demand(answer.endswith(b"page"), f"{what}: the page is {answer[-40:]}")
        return line

    async def all_kinds(self):
        folder = self.folder
        await self.expect("a large folder", "pages reloaded")
        os.mkfifo(folder / "pipe.txt")
        await self.expect("a FIFO", "pipe.txt: it is not a plain file")
        (folder / "pipe.txt").unlink()
        # A link out of the folder is left out, and a device in it is an error.
        (folder / "zero.txt").symlink_to("/dev/zero")
        await self.expect("a link to a device", "pages reloaded")
        answer = await ask(
            self.trial.port, request("/zero.txt", "Connection: close\r\n"), next_source(), 5)
        self.trial.demand(status_of(answer) == 404, f"a link to a device: {answer[:40]}")
        (folder / "zero.txt").unlink()
        os.mknod(folder / "device.txt", 0o020666, os.makedev(1, 5))
        await self.expect("a device", "device.txt: it is not a plain file")
        (folder / "device.txt").unlink()
        await self.shrink()

    async def shrink(self):
        """Cuts a file again and again while it is read."""
        file = self.folder / "shrinks.bin"
        file.touch()
        os.truncate(file, SHRINKING_BYTES)

        def cut():
            size = file.stat().st_size
            os.truncate(file, 0 if size else SHRINKING_BYTES)

        await self.expect(
            "a file that shrinks", "pages reloaded", "shrinks.bin", meanwhile=cut)
        file.unlink()


@row("T80", "reloads of 22 MB of pages, with a FIFO, a link to a device, a device and a file that "
     "shrinks", seconds=(5, 15), alone=True)
async def reloads(trial):
    folder, log = trial.folder / "pages", trial.folder / "log"
    write_pages(folder)
    # The thread that reads would get the class of the server, and not give way to the players.
    trial.is_shared = False
    with open(log, "w") as stream, trial.running("--www", str(folder), log=stream):
        kinds, until = Reloads(trial, folder, log), time.monotonic() + trial.seconds
        trial.beside.report()
        processor = trial.server.processor_s()
        while True:
            await kinds.all_kinds()
            if time.monotonic() > until or not trial.result.is_kept():
                break
        report, metrics = trial.beside.report(), trial.server.metrics()
        trial.judge_players(report)
        trial.judge_end()
        late = [quantile(metrics, "skirmish_tick_lateness_seconds", share) for share in (0.99, 1)]
        trial.note("tick late p99/max ms", f"{late[0]:g}/{late[1]:g}")
        ran, waited = trial.server.processor_s()
        trial.note("waited for CPU s", round(waited - processor[1], 2))
        trial.note("reloads", len(kinds.seconds))
        trial.note("a reload s", f"{min(kinds.seconds):.2f} to {max(kinds.seconds):.2f}")
        turns = {name: value for name, value in metrics.items() if "turn_longest" in name}
        longest = 1e3 * max(turns.values())
        trial.note("longest phase of a turn ms", round(longest, 1))
        trial.demand(longest <= TURN_MAX_MS, f"a turn of {longest:.0f} ms: {turns}")
        gap = report["gap_max_ms"]
        trial.demand(gap <= TICK_GAP_MAX_MS, f"a gap of {gap} ms")
