"""What the trials share: a server on loopback, connections from several addresses, and players
beside an attack, who report what they see.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

SKIRMISH = Path(__file__).parents[2] / "target/release/skirmish"
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def rss_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def metrics(self, start):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics") as response:
            lines = response.read().decode().splitlines()
        return [line for line in lines if line.startswith(start) and not line.endswith(" 0")]


class Players:
    """Fifty players in a room of their own. From then on the attack has a lower priority: it stands
    for other machines, and must not take the processors from the players or the server.
    """

    def __init__(self, port, seconds):
        url = f"ws://127.0.0.1:{port}/?room=beside"
        command = [SKIRMISH, "load", url, "--clients", "50", "--json"]
        command += ["--seconds", str(seconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        os.nice(10)

    def report(self):
        """Prints what they saw. Returns the 99th percentile of the gaps between states, in ms."""
        text = self.process.communicate()[0]
        if self.process.returncode:
            sys.exit("the players beside could not play")
        report = json.loads(text)
        gap_ms = report["state_gap_ms"]
        print(f"players: {report['states_per_s']['min']:.2f} states per second at least,", end=" ")
        print(f"gap p99 {gap_ms['p99']:.0f} ms, max {gap_ms['max']:.0f}, {report['lost']} lost")
        return gap_ms["p99"]


async def connect(address, port, buffer=None):
    """A connection from an address; a kernel that buffers little shows slow reading earlier."""
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.setblocking(False)
    client.bind((address, 0))
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


async def send(client, head, body=b""):
    await asyncio.get_running_loop().sock_sendall(client, (head + HOST + "\r\n").encode() + body)


async def read_body(client):
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


async def repeat(is_over, what, *args):
    """Starts again until it is over, whatever the server did."""
    while not is_over():
        try:
            await what(*args)
        except (OSError, ValueError, KeyError, asyncio.TimeoutError):
            await asyncio.sleep(0.3)
