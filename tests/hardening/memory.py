"""Ten addresses that do all they may, over every transport: how much the server's memory grows, and
what 50 players beside them see (docs/limits.md, "Memory").

    cargo build --release
    python3 tests/hardening/memory.py [SECONDS] [SERVER FLAGS ...]

It starts target/release/skirmish on loopback with --limit-loopback, and ends it.
"""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SKIRMISH = Path(__file__).parents[2] / "target/release/skirmish"
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 11)]
# Of each kind and address. Twelve connections and three per player are allowed.
CLIENTS = 60
GROWTH_MAX_MIB = 24
HOST = "Host: 127.0.0.1\r\n"
POLLING = "/socket.io/?EIO=4&transport=polling"
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Server:
    """The server under test."""

    def __init__(self, flags):
        listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        command = [SKIRMISH, *listen, "--limit-loopback", "--log-level", "error", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = self.admin_port = None
        while self.admin_port is None:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server did not start")
            port = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if port and "/metrics" in line:
                self.admin_port = int(port[1])
            elif port:
                self.port = int(port[1])

    def rss_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def metrics(self, start):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics") as response:
            lines = response.read().decode().splitlines()
        return [line for line in lines if line.startswith(start) and not line.endswith(" 0")]


class Attack:
    """The clients of the ten addresses."""

    def __init__(self, port, until):
        self.port, self.until = port, until

    def is_over(self):
        return time.monotonic() > self.until

    async def connect(self, address):
        """A connection whose kernel buffers little."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        client.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        return client

    async def send(self, client, head, body=b""):
        await asyncio.get_running_loop().sock_sendall(client, (head + HOST + "\r\n").encode() + body)

    async def body(self, client):
        """Reads a response."""
        loop, received = asyncio.get_running_loop(), b""
        while True:
            head, end, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            if end and len(body) >= (int(length[1]) if length else 0):
                return body
            more = await asyncio.wait_for(loop.sock_recv(client, 65536), 3)
            if not more:
                raise ConnectionError
            received += more

    async def open_session(self, client, room):
        await self.send(client, f"GET {POLLING}&room={room} HTTP/1.1\r\n")
        return json.loads((await self.body(client))[1:])["sid"]

    async def post(self, client, sid, payload, length=None):
        length = len(payload) if length is None else length
        head = f"POST {POLLING}&sid={sid} HTTP/1.1\r\nContent-Length: {length}\r\n"
        await self.send(client, head, payload)

    async def play_without_polling(self, address, number):
        """Asks for acknowledgements that it never polls."""
        client = await self.connect(address)
        room = "large" if number % 2 else f"{address.rpartition('.')[2]}-{number}"
        sid = await self.open_session(client, room)
        await self.post(client, sid, b"40")
        await self.body(client)
        while not self.is_over():
            await self.post(client, sid, b"\x1e".join([b'420["ping"]'] * 20))
            await self.body(client)
            await asyncio.sleep(0.5)

    async def hold_a_body(self, address, _):
        """Leaves out the end of a POST."""
        client = await self.connect(address)
        sid = await self.open_session(client, "large")
        await self.post(client, sid, b"4" * 15_990, length=16_000)
        await asyncio.sleep(4.5)
        client.close()

    async def hold_a_message(self, address, _):
        """Leaves out the end of a message, and reads no state."""
        client = await self.connect(address)
        await self.send(client, f"GET /ws?room=large HTTP/1.1\r\n{UPGRADE}")
        begun = bytes([0x81, 0xFE, 0x10, 0x00, 0, 0, 0, 0]) + b"{" * 4_000
        await asyncio.sleep(0.2)
        await asyncio.get_running_loop().sock_sendall(client, begun)
        await asyncio.sleep(9)
        client.close()

    async def hold_pages(self, address, number):
        """Asks for pages and reads none."""
        client = await self.connect(address)
        path = "/rooms" if number % 2 else "/client.html"
        for _ in range(20):
            await self.send(client, f"GET {path} HTTP/1.1\r\n")
        await asyncio.sleep(8)
        client.close()

    async def repeat(self, what, *args):
        while not self.is_over():
            try:
                await what(*args)
            except (OSError, ValueError, KeyError, asyncio.TimeoutError):
                await asyncio.sleep(0.3)

    def begin(self):
        holds = [self.hold_a_body, self.hold_a_message, self.hold_pages]
        for address in ADDRESSES:
            for number in range(CLIENTS):
                yield asyncio.create_task(self.repeat(self.play_without_polling, address, number))
                hold = holds[number % len(holds)]
                yield asyncio.create_task(self.repeat(hold, address, number))


async def run(server):
    url = f"ws://127.0.0.1:{server.port}/"
    command = [SKIRMISH, "load", url, "--clients", "50", "--seconds", str(SECONDS), "--json"]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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
    report = json.loads(load.communicate()[0])
    growth = (peak - before) / 1024
    print(f"memory: {before} KiB before, {peak} KiB at the peak: {growth:.1f} MiB more")
    print(f"players: {report['states_per_s']['min']:.2f} states per second at least,", end=" ")
    print(f"gap p99 {report['state_gap_ms']['p99']:.0f} ms, {report['lost']} lost")
    for line in held + server.metrics("skirmish_closes") + server.metrics("skirmish_refusals"):
        print(line)
    return growth


def main():
    server = Server(sys.argv[2:])
    try:
        growth = asyncio.run(run(server))
    finally:
        server.process.terminate()
        server.process.wait(10)
    sys.exit(0 if growth < GROWTH_MAX_MIB else f"more than {GROWTH_MAX_MIB} MiB")


if __name__ == "__main__":
    main()
