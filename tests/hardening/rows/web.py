"""Rows T26 to T37: requests, origins, paths, payloads of Engine.IO and sessions."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import subprocess
import tempfile

from rows.flow import addresses, next_source, try_all
from trial import row
from wire import (
    HOST, POLLING, TEXT, UPGRADE, WEBSOCKET, ask, connect, frame, read_response,
    read_to_end, receive, request, send, status_of,
)

SECOND = request("/healthz")
# docs/limits.md: those of an address that have no player.
SESSIONS_AN_ADDRESS = 64
CHUNKED = "Transfer-Encoding: chunked\r\n"
# Of each the method, the fields and what follows the head.
AMBIGUOUS = [
    ("POST", "Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n" + SECOND),
    ("POST", "Content-Length: 4\r\nContent-Length: 5\r\n", b"12345"),
    ("POST", "Content-Length: +5\r\n", b"12345"),
    ("POST", "Content-Length: -1\r\n", b""),
    ("POST", "Content-Length: 5, 5\r\n", b"12345"),
    ("POST", "Content-Length: 0x5\r\n", b"12345"),
    ("POST", "Content-Length: 99999999999999999999\r\n", b"x"),
    ("POST", "Content-Length : 5\r\n", b"12345"),
    ("POST", "Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    ("POST", "Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    ("POST", "Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    ("POST", CHUNKED + CHUNKED, b"0\r\n\r\n"),
    ("POST", " Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ("POST", "Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    ("POST", "X: y\n" + CHUNKED, b"0\r\n\r\n"),
    ("POST", "X: y\rZ: z\r\n", b""),
    ("POST", "X: \0\r\n", b""),
    ("POST", CHUNKED, b"10000000000000000\r\nx"),
    ("POST", CHUNKED, b"-1\r\nx"),
    ("POST", CHUNKED, b"5;a=\nb\r\nhello\r\n0\r\n\r\n"),
    ("GET", "Origin: http://a\rX: y\r\n", b""),
    ("GET", "No colon\r\n", b""),
    ("GET", ": no name\r\n", b""),
    ("GET", HOST, b""),
]
RAW = [
    b"GET / HTTP/1.0\r\n" + (HOST + CHUNKED).encode() + b"\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1 \r\n" + HOST.encode() + b"\r\n",
    b"GET  / HTTP/1.1\r\n" + HOST.encode() + b"\r\n",
    b"GET / HTTP/2.0\r\n" + HOST.encode() + b"\r\n",
    b"G\0T / HTTP/1.1\r\n" + HOST.encode() + b"\r\n",
    b"GET /\xff HTTP/1.1\r\n" + HOST.encode() + b"\r\n",
    b"GET http://other.example/ HTTP/1.1\r\n" + HOST.encode() + b"\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HOST.encode() + b"\r\n",
]


def responses(received):
    """The heads of all responses in what was received."""
    return re.findall(rb"HTTP/1\.1 (\d+)", received)


@row("T26", "smuggled, ambiguous and pipelined requests (also T27 and T33)",
     counters=("http_refused",), without={"others": "the reason depends on the request"})
async def smuggling(trial):
    cases = [
        request(POLLING, fields, method, body + SECOND) for method, fields, body in AMBIGUOUS
    ]
    wrong = []
    for data in cases + [raw + SECOND for raw in RAW]:
        received = await ask(trial.port, data, next_source(), 3)
        statuses = responses(received)
        if len(statuses) != 1 or not 400 <= int(statuses[0]) < 500:
            wrong.append((data[:90], statuses))
    # After 101 nothing is HTTP; before it nothing may have a body.
    upgrade = request("/ws?room=web", UPGRADE, body=SECOND)
    upgraded = await ask(trial.port, upgrade, next_source(), 3)
    if responses(upgraded) != [b"101"]:
        wrong.append(("a request behind an upgrade", responses(upgraded)))
    with_body = UPGRADE + f"Content-Length: {len(SECOND)}\r\n"
    upgrade = request("/ws?room=web", with_body, body=SECOND)
    answer = await ask(trial.port, upgrade, next_source(), 3)
    if responses(answer) not in ([b"400"], [b"101"]):
        wrong.append(("an upgrade with a body", responses(answer)))
    # Pipelined requests are answered one by one, in their order.
    client = await connect(trial.port, next_source())
    await send(client, SECOND * 50)
    for _ in range(50):
        head, rest = await read_response_exactly(client)
        if status_of(head) != 200 or rest != b"ok\n":
            wrong.append(("pipelined", head[:40], rest))
            break
    client.close()
    for query in [
        "EIO=3&transport=polling", "EIO=abc&transport=polling", "EIO=4&transport=constructor",
        "EIO=4&transport=webtransport", "EIO=4&transport=polling&sid=a&sid=b", "",
        "EIO=4&transport=polling&sid=%0d%0aX:y",
    ]:
        target = f"/socket.io/?{query}"
        answer = await ask(trial.port, request(target, "Connection: close\r\n"), next_source(), 3)
        is_refusal = status_of(answer) == 400 and b'"code":' in answer
        if not is_refusal or b"\nX:y" in answer:
            wrong.append((query, answer[:60]))
    trial.note("cases", len(cases) + len(RAW) + 10)
    trial.demand(not wrong, f"{wrong[:4]}")


async def read_response_exactly(client):
    """One of several responses: reads byte by byte, so that nothing of the next one is taken."""
    loop, received = asyncio.get_running_loop(), b""
    while not received.endswith(b"\r\n\r\n"):
        received += await loop.sock_recv(client, 1)
    length = int(re.search(rb"Content-Length: (\d+)", received)[1])
    body = b""
    while len(body) < length:
        body += await loop.sock_recv(client, length - len(body))
    return received, body


@row("T28", "pages of other origins and other hosts (also T29)",
     flags=("--host", "play.example.com", "--allow-origin", "https://good.example"),
     counters=("origin", "host", "http_refused", "poll_absence"), back_s=12)
async def origins(trial):
    own = f"Host: play.example.com:{trial.port}\r\n"
    foreign = [
        "http://evil.example", "null", "http://good.example", "https://good.example.evil.com",
        "https://good.example:444", "https://evilgood.example", "https://good.example@evil.com",
        "http://play.example.com", "file://", "https://GOOD.example.", "chrome-extension://abcdef",
        "https://good.example/", "http://localhost.evil.com", "https://good.example, null",
    ]
    # A trailing dot and upper case are the same host.
    listed = ["https://good.example", f"http://play.example.com:{trial.port}",
              "https://GOOD.example."]
    wrong = []
    for origin in foreign + listed[:2]:
        for target, fields, good in [
            ("/ws?room=web", UPGRADE, 101), (POLLING, "", 200), (WEBSOCKET, UPGRADE, 101),
        ]:
            head = f"GET {target} HTTP/1.1\r\n{own}{fields}Origin: {origin}\r\n\r\n"
            client = await connect(trial.port, next_source())
            await send(client, head.encode())
            status = status_of(await receive(client))
            client.close()
            expected = good if origin in listed else 403
            if status != expected:
                wrong.append((origin, target, status))
    for host in ["evil.example", "play.example.com.evil.example", "127.0.0.1.evil.example"]:
        head = f"GET /ws HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}\r\n"
        status = status_of(await ask(trial.port, head.encode(), next_source(), 3))
        if status not in (421, 400):
            wrong.append((host, status))
    trial.demand(not wrong, f"{wrong[:4]}")


def paths():
    """Paths that lead out of a folder elsewhere."""
    dots = ["..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "..;", "....", "%c0%ae%c0%ae",
            "..%5c", "..\\", "%uff0e%uff0e"]
    slashes = ["/", "%2f", "%2F", "%252f", "\\", "%5c", "//"]
    ends = ["etc/passwd", "src/main.rs", "Cargo.toml"]
    for dot, slash, end in itertools.product(dots, slashes, ends):
        yield f"/{dot}{slash}" * 4 + end
    yield from ["/c:/windows/win.ini", "/.git/config", "/%00", "//etc/passwd", "/./etc/passwd",
                "/shared/../../etc/passwd", "/~root/", "/proc/self/environ", "/client.html%00.txt",
                "/client.html/..%2f..%2fetc/passwd", "/CON", "/.env", "/?../../etc/passwd"]


async def try_paths(trial):
    """Requests all paths. Returns those that had another answer than a refusal."""
    wrong = []
    for path in paths():
        data = f"GET {path} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n".encode()
        answer = await ask(trial.port, data, next_source(), 3)
        head, _, body = answer.partition(b"\r\n\r\n")
        is_page = path == "/?../../etc/passwd"
        leaks = any(text in body for text in [b"root:", b"fn main", b"[package]"])
        if leaks or not is_page and status_of(answer) not in (400, 404, 301):
            wrong.append((path, head[:40]))
    return wrong


async def watch_opens(trial):
    """Demands that the server opens no file. Under strace it is slow, so no player is watched."""
    with opened_files(trial) as opened:
        await try_paths(trial)
        await asyncio.sleep(0.5)
    trial.note("files opened", len(opened))
    trial.demand(not opened, f"opened {opened[:3]}")


@row("T30", "paths that lead out of the pages", counters=("http_refused",), prepare=watch_opens,
     without={"others": "404 and 301 do not count as refused"})
async def traversal(trial):
    wrong = await try_paths(trial)
    trial.note("paths", len(list(paths())))
    trial.demand(not wrong, f"{wrong[:4]}")


@contextlib.contextmanager
def opened_files(trial):
    """The files that the server opens meanwhile, as strace shows them."""
    opened = []
    with tempfile.NamedTemporaryFile("r") as output:
        command = ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", output.name]
        tracer = subprocess.Popen([*command, "-p", str(trial.server.pid)])
        try:
            # The kernel says who traces.
            status = f"/proc/{trial.server.pid}/status"
            while f"TracerPid:\t{tracer.pid}" not in open(status).read():
                if tracer.poll() is not None:
                    raise RuntimeError("strace does not run")
            yield opened
        finally:
            tracer.terminate()
            tracer.wait()
        # A scrape reads /proc, and does not belong to the attack.
        opened += [line for line in output.read().splitlines() if "/proc/" not in line
                   and "open" in line and "/sys/" not in line]


async def open_session(port, source, query=""):
    """A session of Engine.IO over polling. Returns its path."""
    answer = await ask(port, request(POLLING + query, "Connection: close\r\n"), source, 3)
    if status_of(answer) != 200:
        raise ConnectionError(answer[:80])
    sid = json.loads(answer.partition(b"\r\n\r\n")[2][1:])["sid"]
    return f"{POLLING}&sid={sid}"


def post(path, body, length=None):
    fields = f"Connection: close\r\nContent-Length: {len(body) if length is None else length}\r\n"
    return request(path, fields, "POST", body)


# Payloads that end their session.
BOMBS = [
    b"\x1e".join([b"4"] * 8_192),
    b"\x1e" * 16_384,
    b"1:21:21:21:2" * 1_000,
    b"b!!!!not base64",
    b"bAAAA",
    b"4" + b"[" * 16_000,
    b'40\x1e42[{"toString":"foo"}]',
    b'40\x1e42["connect"]',
    b'40\x1e42["ping"',
    b"40\x1e45999999-[]",
    b'40\x1e451-["a",{"_placeholder":true,"num":1e9}]\x1ebAAAA',
    b'40\x1e451-["a",{"_placeholder":true,"num":"splice"}]\x1ebAAAA',
    b"40\x1e40",
    b"42/other,[\"ping\"]",
    b"\xff\xfe\x00",
    b"7",
]


async def lives(port, path, source):
    """Whether a session is served. The last answer of one that has ended may wait for its poll."""
    for _ in range(3):
        answer = await ask(port, request(path, "Connection: close\r\n"), source, 6)
        if status_of(answer) == 400:
            return False
    return True


@row("T31", "payloads and packets that broke others; attachments that never come (T31 to T35)",
     seconds=(7, 7), without={"others": "the reason depends on the payload"})
async def payloads(trial):
    trial.peers = 20
    alive = []
    for body in BOMBS:
        source = next_source()
        path = await open_session(trial.port, source)
        await ask(trial.port, post(path, body), source, 3)
        if await lives(trial.port, path, source):
            alive.append(body[:40])
    path = await open_session(trial.port, source)
    status = status_of(await ask(trial.port, post(path, b"x" * 16_385), source, 3))

    async def hold(source):
        """Announces attachments and a body, and leaves both out."""
        path = await open_session(trial.port, source)
        await ask(trial.port, post(path, b'40\x1e451-["a",{"_placeholder":true,"num":0}]'), source)
        client = await connect(trial.port, source)
        await send(client, post(path, b"4" * 100, length=16_000))
        await read_to_end(client, trial.seconds)
        client.close()

    await try_all(hold(source) for source in addresses(31, 20))
    trial.note("payloads", len(BOMBS) + 1)
    trial.demand(not alive, f"sessions live after {alive}")
    trial.demand(status == 413, f"16 KiB and a byte: {status}")


@row("T36", "1,000 sessions a second that never join, from 200 addresses; four that open all they "
     "may", seconds=(5, 30),
     counters=("full", "http_refused", "poll_absence"), back_s=12, without={
         "others": "which session ends for another depends on the machine"})
async def unclaimed(trial):
    trial.peers = 200
    sources = itertools.cycle(addresses(36, 200))
    opened, refused, most = 0, 0, 0

    async def one(source):
        nonlocal opened, refused
        try:
            await open_session(trial.port, source)
            opened += 1
        except ConnectionError:
            refused += 1

    async def take_share(source):
        """Opens more than an address may have, one after another. Returns how many it got."""
        for count in range(SESSIONS_AN_ADDRESS + 1):
            try:
                await open_session(trial.port, source)
            except ConnectionError as error:
                trial.demand(b" 503 " in error.args[0], f"refused with {error}")
                return count
        return SESSIONS_AN_ADDRESS + 1

    loop = asyncio.get_running_loop()
    until = loop.time() + trial.seconds
    shares = await asyncio.gather(*map(take_share, addresses(37, 4)))
    trial.note("sessions of an address", max(shares))
    trial.demand(set(shares) == {SESSIONS_AN_ADDRESS}, f"{shares} sessions of an address")
    while loop.time() < until:
        due = loop.time() + 0.1
        await try_all(one(next(sources)) for _ in range(100))
        gauges = await asyncio.to_thread(trial.server.gauges)
        most = max(most, gauges["skirmish_engine_sessions"])
        await asyncio.sleep(max(0, due - loop.time()))
    trial.note("opened", opened)
    trial.note("refused", refused)
    trial.note("sessions at most", int(most))
    trial.demand(most <= 4096 + 50, f"{most} sessions")


@row("T37", "guessed and stolen session ids, second polls, uses after an upgrade", timed=True,
     without={"others": "a wrong id has no reason of its own"})
async def session_ids(trial):
    source = next_source()
    path = await open_session(trial.port, source)
    sid = path.rpartition("=")[2]
    await ask(trial.port, post(path, b"40"), source)
    wrong = []
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    guesses = ["1", "0", "constructor", sid[:-1], sid + "A", sid.swapcase(), sid[::-1]]
    guesses += ["".join(letters[byte & 63] for byte in os.urandom(len(sid))) for _ in range(100)]
    for guess in guesses:
        target = f"{POLLING}&sid={guess}"
        answer = await ask(
            trial.port, request(target, "Connection: close\r\n"), next_source(), 3)
        if status_of(answer) != 400 or b'"code":1' not in answer:
            wrong.append((guess, answer[:40]))
    # The session is untouched: its poll is answered.
    client = await connect(trial.port, source)
    await send(client, request(path))
    head, _ = await read_response(client)
    client.close()
    trial.demand(status_of(head) == 200, "the session of the guesses was harmed")
    # A second poll ends the session.
    first, second = [await connect(trial.port, source) for _ in range(2)]
    for poll in (first, second):
        await send(poll, request(path))
    statuses = [status_of(await receive(poll)) for poll in (second, first)]
    for poll in (first, second):
        poll.close()
    trial.note("guesses", len(guesses))
    trial.note("two polls", statuses)
    late = await ask(trial.port, post(path, b"2"), source, 3)
    trial.demand(status_of(late) == 400, "the session lives after two polls")
    trial.demand(not wrong, f"{wrong[:4]}")
    client = await connect(trial.port, next_source())
    await send(client, request(f"{WEBSOCKET}&sid={sid}", UPGRADE) + frame(TEXT, b"2probe"))
    answer = await read_to_end(client, 3)
    client.close()
    trial.demand(status_of(answer) == 400, "an ended session was upgraded")
