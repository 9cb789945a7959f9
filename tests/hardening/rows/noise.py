"""Row T57: messages at random, valid, odd and broken, in every dialect."""

import asyncio
import contextlib
import json
import random
import struct
import time

from rows.flow import next_source, repeat_until
from rows.web import open_session, post
from trial import row
from wire import (
    BINARY, POLLING, TEXT, UPGRADE, WEBSOCKET, ask, connect, frame, join, read_response,
    read_to_end, receive, request, send, unmasked_frames,
)

CLIENTS = 40
VALUES = [
    0, -1, 1, 1e308, -1e308, 1.5, 2**31, -(2**31), 2**53, 2**64, "", "UP", "\u202e", "\0",
    "x" * 300, None, True, [], {}, [[]], {"x": {}}, [1e308], "NaN", "Infinity",
]
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "-0", "1e-400", "0x10", "01", "1.", ".5", "+1"]
NAMES = [
    "move", "attack", "ping", "rate", "ack", "resume", "connect", "disconnect", "__proto__", "",
]
INPUT = "<BBHHBB"
INPUT_BITS = [8, 16, 16, 8, 8]
V1_FIELDS = "Sec-WebSocket-Protocol: skirmish.v1\r\n"
SECONDS_A_CLIENT = 2


def any_json(rng):
    """A message of JSON, or nearly."""
    message = {"type": rng.choice(NAMES)}
    for key in rng.sample(["direction", "t", "hz", "tick", "token", "x", "y", "type"], 3):
        message[key] = rng.choice(VALUES)
    text = json.dumps(message)
    if rng.random() < 0.3:
        text = text.replace(": 1", ": " + rng.choice(NUMBERS), 1)
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice("{}[]\",:\\\0") + text[at + 1 :]
    return frame(rng.choice([TEXT, BINARY]), text.encode(errors="surrogatepass"))


def any_packet(rng):
    """A packet of Socket.IO, or nearly."""
    arguments = [rng.choice(NAMES), rng.choice(VALUES), {"x": rng.choice(VALUES), "y": 1}]
    body = json.dumps(arguments[: rng.randint(1, 3)])
    number = rng.choice(["", "0", "7", "999999999999999999999"])
    kind = rng.choice(["42", "42", "42", "43", "41", "40", "44", "451-", "46", "2", "3", "5", "6"])
    space = rng.choice(["", "", "/other,", "/,"])
    return frame(TEXT, f"{kind}{space}{number}{body}".encode())


def any_v1(rng):
    """A message of skirmish.v1, or nearly."""
    kind = rng.choice([0x10, 0x11, 0x12, 0x13, 0x14, 0xFF])
    count = rng.randint(0, 64)
    payload = {
        0x10: lambda: struct.pack(INPUT, kind, *[rng.getrandbits(bits) for bits in INPUT_BITS]),
        0x11: lambda: bytes([kind]),
        0x12: lambda: bytes([kind, count]) + rng.randbytes(3 * count),
        0x13: lambda: bytes([kind, rng.randrange(256)]),
        0x14: lambda: bytes([kind, rng.randrange(256)]) + rng.randbytes(4 * rng.randint(0, 5)),
        0xFF: lambda: rng.randbytes(rng.randint(0, 40)),
    }[kind]()
    return frame(BINARY, payload)


@row("T57", "messages at random, valid, odd and broken, in every dialect; fights for one token; "
     "chunks of a byte (also T62, T63, T38)", seconds=(6, 20),
     without={"others": "anything may be counted"})
async def noise(trial):
    trial.peers, rng = 2_000, random.Random(trial.seconds)
    until = time.monotonic() + trial.seconds
    sent = 0

    async def speak(target, fields, hello, make):
        """Sends messages below the rate that ends a client, and reads."""
        nonlocal sent
        client = await connect(trial.port, next_source())
        reading = asyncio.create_task(read_to_end(client, SECONDS_A_CLIENT + 1))
        try:
            await send(client, request(target, UPGRADE + fields) + hello)
            end = time.monotonic() + SECONDS_A_CLIENT
            while time.monotonic() < end and not reading.done():
                await send(client, b"".join(make(rng) for _ in range(4)))
                sent += 4
                await asyncio.sleep(0.1)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            client.close()

    async def fight():
        """Two clients take one player from each other."""
        token = b"1"
        for _ in range(5):
            query = f"battle-noise&resume={token.decode()}"
            client, rest = await join(trial.port, query, next_source())
            with contextlib.closing(client):
                while not unmasked_frames(rest)[0]:
                    rest += await receive(client, 3)
                token = json.loads(unmasked_frames(rest)[0][0][1])["token"].encode()
                query = f"battle-noise&resume={token.decode()}"
                other, _ = await join(trial.port, query, next_source())
                other.close()

    async def tiny_chunks():
        """A POST whose chunks have a byte each, and extensions."""
        source = next_source()
        path = await open_session(trial.port, source)
        body = b"".join(b"1;x=" + b"y" * rng.randint(0, 30) + b"\r\n4\r\n" for _ in range(3_000))
        data = request(path, "Transfer-Encoding: chunked\r\n", "POST") + body + b"0\r\n\r\n"
        await ask(trial.port, data, source, 3)

    async def many_upgrades():
        """Several WebSockets for one session, and polls meanwhile."""
        source = next_source()
        path = await open_session(trial.port, source, "&room=battle-noise")
        await ask(trial.port, post(path, b"40"), source, 3)
        sockets = []
        try:
            for _ in range(4):
                client = await connect(trial.port, source)
                sockets.append(client)
                target = path.replace("polling", "websocket")
                await send(client, request(target, UPGRADE) + frame(TEXT, b"2probe"))
            poll = await connect(trial.port, source)
            sockets.append(poll)
            await send(poll, request(path))
            await read_response(poll, 3)
            for client in sockets[:4]:
                await send(client, frame(TEXT, b"5"))
            await asyncio.sleep(0.3)
        finally:
            for client in sockets:
                client.close()

    async def unread_answers():
        """Requests without end, of whose answers nothing is read."""
        client = await connect(trial.port, next_source(), 4096)
        try:
            burst = request("/healthz") * 1_000
            burst += request(POLLING + "&x", "Range: bytes=0-0,2-3\r\n")
            await asyncio.wait_for(send(client, burst * 20), 2)
        finally:
            client.close()

    kinds = [
        ("/ws?room=battle-noise", "", b"", any_json),
        (f"{WEBSOCKET}&room=battle-noise", "", frame(TEXT, b"40"), any_packet),
        ("/ws?room=battle-noise", V1_FIELDS, b"", any_v1),
        ("/ws?room=world-noise", V1_FIELDS, b"", any_v1),
    ]
    await asyncio.gather(
        *[repeat_until(until, speak, *kinds[number % 4]) for number in range(CLIENTS)],
        repeat_until(until, fight), repeat_until(until, tiny_chunks),
        repeat_until(until, many_upgrades), repeat_until(until, unread_answers),
    )
    trial.note("messages of a round", sent)
