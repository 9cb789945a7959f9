"""Rows T50 and T51: addresses, names and other text that clients claim."""

import asyncio
import contextlib
import json
import random
import re
import time
import urllib.parse

from rows.flow import next_source
from server import Server, difference
from trial import row
from wire import (
    PING, PONG, TEXT, UPGRADE, WEBSOCKET, ask, connect, frame, join, receive, request, send,
    status_of, unmasked_frames,
)

# docs/limits.md: joins of an address at once and in a second.
JOINS_BURST, JOINS_A_SECOND = 64, 10
JOINS_TRIED = 200
PROXY = "127.0.0.1"
# Of addresses that are for documentation (RFC 5737): no other part of a trial has them.
FORGED = "198.51.100."
UNREADABLE = [b"\xe9\xff", b"", b"x" * 7_000, b"192.0.2.1, \xff", b"192.0.2.1\xa0", b"unknown"]


async def join_status(port, source, value=None, preface=b""):
    """Tries to join with a value of X-Forwarded-For. Returns the status."""
    field = b"" if value is None else b"X-Forwarded-For: " + value + b"\r\n"
    client = await connect(port, source)
    try:
        await send(client, preface + request("/ws?room=forged", UPGRADE)[:-2] + field + b"\r\n")
        return status_of(await receive(client, 5))
    finally:
        client.close()


class Budget:
    """The joins that one address may make."""

    def __init__(self):
        self.since, self.joined = time.monotonic(), 0

    async def use_up(self, join_number):
        """Joins until it is refused. Returns what is wrong, or None."""
        for number in range(JOINS_TRIED):
            status = await join_number(number)
            if status == 503:
                most = JOINS_BURST + 1 + JOINS_A_SECOND * (time.monotonic() - self.since)
                return f"{self.joined} joined, not {most:.0f}" if self.joined > most else None
            if status != 101:
                return f"status {status}"
            self.joined += 1
        return f"none of {JOINS_TRIED} was refused"


async def run_with_proxy_protocol(trial):
    """A second server, whose connections begin with a header of the PROXY protocol."""
    flags = ["--limit-loopback", "--proxy-protocol", "--trusted-proxy", f"{PROXY}/32"]
    trial.behind = trial.afterwards.enter_context(Server(*flags))
    trial.unknown, trial.clients = Budget(), 0


@row("T50", "false X-Forwarded-For and PROXY headers of peers that are not trusted, and values "
     "that cannot be read of one that is (also T76)", seconds=(2, 8),
     prepare=run_with_proxy_protocol, flags=("--trusted-proxy", f"{PROXY}/32"),
     counters=("join_rate", "http_refused"))
async def forged_addresses(trial):
    wrong, port = [], trial.port

    async def judge(what, budget, join_number):
        if mistake := await budget.use_up(join_number):
            wrong.append(f"{what}: {mistake}")

    def forged(number, then=""):
        return f"{FORGED}{number % 250}{then}".encode()

    stranger = next_source()
    await judge("a stranger", Budget(), lambda n: join_status(port, stranger, forged(n)))
    trial.clients += 1
    client = f"192.0.2.{trial.clients}"
    await judge("to the left of the client", Budget(),
                lambda n: join_status(port, PROXY, forged(n, f", {client}")))
    # All clients without an address that can be read have one budget, for good.
    name, before = "skirmish_clients_unknown_total", trial.server.metrics()
    sent = 0

    async def unreadable(value):
        nonlocal sent
        sent += 1
        return await join_status(port, PROXY, value)

    await judge("unreadable", trial.unknown, lambda n: unreadable(UNREADABLE[n % len(UNREADABLE)]))
    for value in UNREADABLE:
        await judge(f"{value[:20]}", trial.unknown, lambda _, value=value: unreadable(value))
    counted = trial.server.metrics()[name] - before[name]
    trial.note("joined without an address", trial.unknown.joined)
    trial.demand(counted == sent, f"{counted:.0f} unknown clients counted, not {sent}")
    # The others are not affected, and neither is the proxy itself.
    others = [
        await join_status(port, PROXY, f"203.0.113.{trial.clients}".encode()),
        await join_status(port, PROXY),
        await join_status(port, next_source()),
    ]
    trial.demand(others == [101] * 3, f"others: {others}")
    await proxy_headers(trial, wrong)
    trial.demand(not wrong, f"{wrong}")
    log = (trial.folder / "log").read_text()
    lines = log.count("X-Forwarded-For is not an address")
    trial.demand(lines == 1, f"{lines} lines about values that cannot be read")
    trial.demand(FORGED not in log, "the log has a forged address")
    # The joins of all addresses have a rate, too.
    await asyncio.sleep(1)


async def proxy_headers(trial, wrong):
    """Headers of the PROXY protocol where they are not expected, and of peers without trust."""
    header = f"PROXY TCP4 {FORGED}7 127.0.0.1 1 2\r\n".encode()
    for source in [PROXY, next_source()]:
        answer = await ask(trial.port, header + request("/healthz"), source, 5)
        if status_of(answer) != 400:
            wrong.append(f"PROXY without --proxy-protocol: {answer[:40]}")
    name = 'skirmish_refusals_total{reason="untrusted_peer"}'
    before = trial.behind.metrics()[name]
    for data in [header + request("/healthz"), request("/healthz")]:
        # It may be reset before its first byte.
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = await ask(trial.behind.port, data, next_source(), 5)
        if answer:
            wrong.append(f"PROXY of a peer without trust: {answer[:40]}")
    counted = trial.behind.metrics()[name] - before
    if counted != 2:
        wrong.append(f"{counted:.0f} of 2 peers without trust counted")
    # A client that the header names does not name others.
    named = f"PROXY TCP4 192.0.2.{trial.clients} 127.0.0.1 1 2\r\n".encode()
    mistake = await Budget().use_up(lambda n: join_status(
        trial.behind.port, PROXY, f"{FORGED}{n % 250}".encode(), named))
    if mistake:
        wrong.append(f"named by a header: {mistake}")
    if not trial.behind.is_alive() or trial.behind.metrics()["skirmish_panics_total"]:
        wrong.append("the second server has ended or caught a panic")


NAME_CHARS_MAX = 16
FORGED_LINE = "\n2026-01-01T00:00:00.000000Z  INFO FORGED"
NAMES = [
    "Ann", f"Ann{FORGED_LINE}", "\r\nFORGED", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\0b",
    "\u202eevil\u202c", "\u2066x\u2069", "z\u200be\u200dr\u2060o\ufeff",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;", "\"><svg/onload=1>",
    "x" * 1_000, "\U0001f600" * 40,
    "e" + "\u0301" * 60, "\u2028\u2029", "\x7f\x80\x9b31m", "\ud800",
    "%s%n{0}${jndi:ldap://x}",
]
LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z +(ERROR|WARN|INFO|DEBUG) [ -~]*")
INVISIBLE = re.compile("[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# Of an address; unknown messages end a client after a hundred at once.
EVENTS_A_CLIENT = 50
# The answer to the ping after all events.
LAST_PONG = bytes([0x80 | PONG, 3]) + b"end"


def quoted(text):
    return urllib.parse.quote(text, safe="", errors="surrogatepass")


async def names_in_room(trial):
    """The names of players that all want odd ones, as another one sees them."""
    witness, buffer = await join(trial.port, "names", next_source())
    clients, names = [], {}
    try:
        for name in NAMES:
            query = f"names&name={quoted(name)}"
            clients.append((await join(trial.port, query, next_source()))[0])
            client = await connect(trial.port, next_source())
            clients.append(client)
            await send(client, request(WEBSOCKET, UPGRADE))
            auth = json.dumps({"room": "names", "name": name[:900]})
            await send(client, frame(TEXT, b"40" + auth.encode()))
        until = time.monotonic() + 5
        while len(names) < len(clients) + 1 and time.monotonic() < until:
            buffer += await receive(witness, 5)
            frames, buffer = unmasked_frames(buffer)
            for opcode, payload in frames:
                if payload.startswith(b'{"type":"state'):
                    state = json.loads(payload)
                    names |= {one["id"]: one.get("name") for one in state["players"]}
    finally:
        for client in [witness, *clients]:
            client.close()
    trial.note("names", len(names))
    trial.demand(len(names) >= 2 * len(NAMES) - 2, f"only {len(names)} have joined")
    texts = [name for name in names.values() if name]
    wrong = [name for name in texts if len(name) > NAME_CHARS_MAX or INVISIBLE.search(name)]
    trial.demand(texts and not wrong, f"names: {wrong[:3]!r}")


async def random_events(trial, source, over_socketio):
    """Sends events of names that do not exist."""
    rng = random.Random()
    if over_socketio:
        client = await connect(trial.port, source)
        await send(client, request(f"{WEBSOCKET}&room=events", UPGRADE) + frame(TEXT, b"40"))
    else:
        client, _ = await join(trial.port, "events", source)
        # Text that is not JSON is in the log, too.
        await send(client, frame(TEXT, f'"\x1b[2J{FORGED_LINE}\r\0\u202e'.encode()))
    try:
        for _ in range(EVENTS_A_CLIENT):
            name = f"e{rng.getrandbits(64):x}{rng.choice(NAMES)[:60]}"
            event = [name, name] if over_socketio else {"type": name}
            message = ("42" if over_socketio else "") + json.dumps(event, ensure_ascii=False)
            await send(client, frame(TEXT, message.encode(errors="replace")))
        await send(client, frame(PING, b"end"))
        received = b""
        while LAST_PONG not in received:
            received += await receive(client, 5)
    finally:
        client.close()


async def random_paths(trial, source):
    """Requests pages that do not exist, by names that are odd."""
    rng = random.Random()
    client = await connect(trial.port, source)
    try:
        for _ in range(EVENTS_A_CLIENT):
            path = f"/p{rng.getrandbits(64):x}/{quoted(rng.choice(NAMES)[:60])}"
            await send(client, request(path))
            answer = await receive(client, 5)
            if status_of(answer) not in (400, 404):
                return status_of(answer)
            if status_of(answer) == 400:
                client.close()
                client = await connect(trial.port, source)
    finally:
        client.close()
    return None


@row("T51", "names, events and paths at random, of control bytes, line ends, ANSI, bidirectional "
     "and HTML text (also T52 and T64)", seconds=(3, 8), flags=("--log-level", "debug"),
     without={"others": "which limit is met depends on the text"})
async def odd_text(trial):
    count = 200 if trial.is_full else 20
    trial.peers += 2 * count + 2 * len(NAMES)
    before = trial.server.metrics()
    await names_in_room(trial)
    for answer in [f"/ws?room=names&name={'x' * 10_000}", f"/{'y' * 10_000}"]:
        status = status_of(await ask(trial.port, request(answer, UPGRADE), next_source(), 5))
        trial.demand(status in (None, 414, 431), f"10 kB in a target: {status}")
    wrong = []
    for _ in range(0, count, 20):
        batch = range(20)
        await asyncio.gather(*[random_events(trial, next_source(), one % 2) for one in batch])
        paths = [random_paths(trial, next_source()) for _ in batch]
        wrong += [status for status in await asyncio.gather(*paths) if status]
        # Of all addresses 250 may join in a second.
        await asyncio.sleep(0.1)
    after = trial.server.metrics()
    more = difference(after, before)
    trial.note("events and paths of a round", 2 * count * EVENTS_A_CLIENT)
    unknown = more['skirmish_drops_total{reason="unknown"}']
    trial.note("unknown", int(unknown))
    trial.note("series", len(after))
    trial.demand(not wrong, f"statuses {wrong[:3]}")
    trial.demand(unknown >= count * EVENTS_A_CLIENT, f"only {unknown:.0f} events were read")
    new = set(after) ^ set(before)
    trial.demand(not new, f"series: {sorted(new)[:3]}")
    judge_lines(trial)


def judge_lines(trial):
    """Demands that the log has a line for each event, of printable bytes."""
    # The last line may not be complete.
    lines = (trial.folder / "log").read_bytes().split(b"\n")[:-1]
    odd = [line for line in lines if not LINE.fullmatch(line.decode("latin-1"))]
    trial.note("lines", len(lines))
    trial.demand(lines and not odd, f"odd lines: {odd[:2]}")
    # To be sure that text of these clients is in the log.
    trial.demand(any(rb"\u{1b}" in line for line in lines), "no escaped text in the log")
    begun = [line for line in lines if re.match(rb"\S+ +\w+ FORGED|FORGED|2026-01-01T00", line)]
    trial.demand(not begun, f"forged lines: {begun[:2]}")
    longest = max(map(len, lines))
    trial.note("longest line", longest)
    trial.demand(longest <= 1_000, f"a line of {longest} bytes")
