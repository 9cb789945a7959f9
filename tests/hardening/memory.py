"""Ten addresses that do all they may, over every transport: how much the server's memory grows, and
what 50 players beside them see (docs/limits.md, "Memory").

    cargo build --release
    python3 tests/hardening/memory.py [SECONDS] [SERVER FLAGS ...]

It starts target/release/skirmish on loopback with --limit-loopback, and ends it.
"""

import asyncio
import json
import sys
import time

from trial import POLLING, UPGRADE, Players, Server, connect, read_body, repeat, send

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 11)]
# Of each kind and address. Twelve connections and three per player are allowed.
CLIENTS = 60
BUFFER = 4096
GROWTH_MAX_MIB = 24


class Attack:
    """The clients of the ten addresses."""

    def __init__(self, port, until):
        self.port, self.until = port, until

    def is_over(self):
        return time.monotonic() > self.until

    async def open_session(self, client, room):
        await send(client, f"GET {POLLING}&room={room} HTTP/1.1\r\n")
        return json.loads((await read_body(client))[1:])["sid"]

    async def post(self, client, sid, payload, length=None):
        length = len(payload) if length is None else length
        head = f"POST {POLLING}&sid={sid} HTTP/1.1\r\nContent-Length: {length}\r\n"
        await send(client, head, payload)

    async def play_without_polling(self, address, number):
        """Asks for acknowledgements that it never polls."""
        client = await connect(address, self.port, BUFFER)
        room = "large" if number % 2 else f"{address.rpartition('.')[2]}-{number}"
        sid = await self.open_session(client, room)
        await self.post(client, sid, b"40")
        await read_body(client)
        while not self.is_over():
            await self.post(client, sid, b"\x1e".join([b'420["ping"]'] * 20))
            await read_body(client)
            await asyncio.sleep(0.5)

    async def hold_a_body(self, address, _):
        """Leaves out the end of a POST."""
        client = await connect(address, self.port, BUFFER)
        sid = await self.open_session(client, "large")
        await self.post(client, sid, b"4" * 15_990, length=16_000)
        await asyncio.sleep(4.5)
        client.close()

    async def hold_a_message(self, address, _):
        """Leaves out the end of a message, and reads no state."""
        client = await connect(address, self.port, BUFFER)
        await send(client, f"GET /ws?room=large HTTP/1.1\r\n{UPGRADE}")
        begun = bytes([0x81, 0xFE, 0x10, 0x00, 0, 0, 0, 0]) + b"{" * 4_000
        await asyncio.sleep(0.2)
        await asyncio.get_running_loop().sock_sendall(client, begun)
        await asyncio.sleep(9)
        client.close()

    async def hold_pages(self, address, number):
        """Asks for pages and reads none."""
        client = await connect(address, self.port, BUFFER)
        path = "/rooms" if number % 2 else "/client.html"
        for _ in range(20):
            await send(client, f"GET {path} HTTP/1.1\r\n")
        await asyncio.sleep(8)
        client.close()

    def begin(self):
        holds = [self.hold_a_body, self.hold_a_message, self.hold_pages]
        for address in ADDRESSES:
            for number in range(CLIENTS):
                for what in [self.play_without_polling, holds[number % len(holds)]]:
                    yield asyncio.create_task(repeat(self.is_over, what, address, number))


async def run(server):
    players = Players(server.port, SECONDS)
    await asyncio.sleep(2)
    before = peak = server.rss_kib()
    until = time.monotonic() + SECONDS - 2
    tasks = list(Attack(server.port, until).begin())
    while time.monotonic() < until:
        peak = max(peak, server.rss_kib())
        await asyncio.sleep(0.2)
    held = server.metrics("skirmish_held_bytes")
    for task in tasks:
        task.cancel()
    growth = (peak - before) / 1024
    print(f"memory: {before} KiB before, {peak} KiB at the peak: {growth:.1f} MiB more")
    players.report()
    for line in held + server.metrics("skirmish_closes") + server.metrics("skirmish_refusals"):
        print(line)
    return growth


def main():
    with Server(sys.argv[2:]) as server:
        growth = asyncio.run(run(server))
    sys.exit(0 if growth < GROWTH_MAX_MIB else f"more than {GROWTH_MAX_MIB} MiB")


if __name__ == "__main__":
    main()
