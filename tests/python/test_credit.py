"""Browsers that stall for seconds, straight and behind a real nginx and haproxy.

The server, the proxies and the browsers are in network namespaces of their own, with the MTU of
Ethernet: over loopback a proxy takes many times more. Without root these tests are skipped.
"""

import base64
import os
import pathlib
import re
import selectors
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from harness import WAIT_MAX_S, Server, in_namespace
from test_haproxy import CONFIG, HAPROXY
from test_nginx import MAIN, NGINX, block_of_readme

BOTS = 40
PLAY_S = 4
STALL_S = 5
STALL_TICKS = STALL_S * 20
# Where the server stops at the latest, after the last tick that was processed: 20, those of the
# round trip, 4 until the next one is acknowledged, 4 for the rate that falls, and some of delay.
AHEAD_TICKS_MAX = 34
# How long after it reads again a browser has a new state: 250 ms, and 1.25 s behind a proxy.
STRAIGHT_TICKS_MAX = 5
PROXY_TICKS_MAX = 25


class Network:
    """Three hosts: a server, a proxy and a browser, each with a link to the others."""

    HOSTS = ["server", "proxy", "browser"]
    LINKS = [("server", "proxy", 1), ("proxy", "browser", 2), ("server", "browser", 3)]

    def __init__(self, test):
        if os.geteuid() != 0:
            test.skipTest("network namespaces need root")
        test.assertIsNotNone(shutil.which("ip"), "install iproute2; tests/all does it")
        self.names = {host: f"skirmish-{os.getpid()}-{host}" for host in self.HOSTS}
        for name in self.names.values():
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
            if made.returncode != 0:
                test.skipTest(f"no network namespace can be made: {made.stderr.strip()}")
            test.addCleanup(subprocess.run, ["ip", "netns", "del", name], check=True)
        for host in self.HOSTS:
            self.run(host, "ip", "link", "set", "lo", "up")
        for one, other, net in self.LINKS:
            peer = ["peer", "name", f"link{net}", "netns", self.names[other]]
            self.run(one, "ip", "link", "add", f"link{net}", "type", "veth", *peer)
            for last, host in enumerate([one, other], 1):
                self.run(host, "ip", "addr", "add", f"10.77.{net}.{last}/24", "dev", f"link{net}")
                self.run(host, "ip", "link", "set", f"link{net}", "mtu", "1500", "up")

    def narrow(self, host, net, *rate):
        """Sends over a link no faster than this, if the system can do it."""
        device = ["tc", "qdisc", "add", "dev", f"link{net}", "root"]
        subprocess.run([*self.within(host), *device, "tbf", *rate], capture_output=True)

    def run(self, host, *command):
        subprocess.run([*self.within(host), *command], check=True)

    def within(self, host):
        """What precedes a command that runs on a host."""
        return ["ip", "netns", "exec", self.names[host]]

    def on(self, host):
        """Sockets that are made meanwhile are on a host."""
        return in_namespace(self.names[host])


class Client:
    """A browser that plays over a WebSocket, and knows the tick of its newest state."""

    def __init__(self, network, address, path, fields=""):
        self.newest = None
        self.ticks = []
        self.buffer = b""
        deadline = time.monotonic() + WAIT_MAX_S
        while True:
            try:
                with network.on("browser"):
                    self.socket = socket.create_connection(address, WAIT_MAX_S)
                break
            except ConnectionRefusedError:
                # The proxy does not listen yet.
                assert time.monotonic() < deadline, "nothing listens"
                time.sleep(0.02)
        key = base64.b64encode(os.urandom(16)).decode()
        host = f"{address[0]}:{address[1]}"
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"{fields}\r\n".encode()
        )
        while b"\r\n\r\n" not in self.buffer:
            self.receive()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.parse()

    def receive(self):
        received = self.socket.recv(1 << 16)
        assert received, "the connection has ended"
        self.buffer += received

    def read(self):
        self.receive()
        self.parse()

    def parse(self):
        while len(self.buffer) >= 2:
            opcode, length = self.buffer[0] & 15, self.buffer[1]
            size, form = {126: (2, ">H"), 127: (8, ">Q")}.get(length, (0, ""))
            start = 2 + size
            if len(self.buffer) < start:
                return
            if size:
                (length,) = struct.unpack(form, self.buffer[2:start])
            if len(self.buffer) < start + length:
                return
            payload, self.buffer = self.buffer[start : start + length], self.buffer[start + length :]
            assert opcode != 8, f"closed with {payload}"
            if opcode == 9:
                self.send(payload, 10)
            else:
                self.message(payload)

    def send(self, payload, opcode=1):
        mask = b"\0\0\0\0"
        assert len(payload) < 126
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + payload)

    def has(self, tick):
        self.newest = tick
        self.ticks.append(tick)


class Json(Client):
    acknowledges = True

    def __init__(self, network, address, room):
        self.acknowledged = 0
        super().__init__(network, address, f"/ws?room={room}")

    def message(self, payload):
        if b'"state_update"' in payload[:30]:
            self.has(int(re.findall(rb'"tick":(\d+)', payload)[-1]))
            if self.acknowledges and self.newest >= self.acknowledged + 5:
                self.acknowledged = self.newest
                self.send(b'{"type":"ack","tick":%d}' % self.newest)


class JsonWithoutAcks(Json):
    acknowledges = False


class V1(Client):
    def __init__(self, network, address, room):
        self.seq = self.acknowledged = 0
        field = "Sec-WebSocket-Protocol: skirmish.v1\r\n"
        super().__init__(network, address, f"/ws?room={room}", field)

    def message(self, payload):
        # Events may stand before HEAD.
        for head in re.finditer(rb"\xa1(?=([\0-\x0f].{4}))", payload, re.S):
            flags, tick = struct.unpack("<BI", head[1])
            if self.newest is None or self.newest < tick < self.newest + 1_000:
                break
        else:
            return
        self.has(tick)
        if flags & 4 or tick >= self.acknowledged + 5:
            self.acknowledged = tick
            self.seq += 5
            ack = tick & 0xFFFF
            self.send(struct.pack("<BBHHBB", 0x10, 0, self.seq & 0xFFFF, ack, 0, 0), 2)


class SocketIo(Client):
    def __init__(self, network, address, room):
        self.room = room
        path = "/socket.io/?EIO=4&transport=websocket"
        super().__init__(network, address, path)

    def message(self, payload):
        if payload[:1] == b"0":
            self.send(b'40{"room":"%s","acks":true}' % self.room.encode())
        elif payload == b"2":
            self.send(b"3")
        elif asks := re.fullmatch(rb'42(\d+)\["tick",\{"tick":(\d+)\}\]', payload):
            self.has(int(asks[2]))
            self.send(b"43%s[]" % asks[1])


KINDS = [Json, V1, SocketIo]


def play(clients, holds):
    """All of these clients read until something holds."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        deadline = time.monotonic() + WAIT_MAX_S
        while not holds():
            assert time.monotonic() < deadline, [client.newest for client in clients]
            for key, _ in selector.select(0.1):
                key.data.read()


# T25
class StalledBrowsers(unittest.TestCase):
    ROOM = "battle"

    def setUp(self):
        self.network = Network(self)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)
        self.server = Server(
            "--trusted-proxy",
            "10.77.1.2",
            "--bots",
            f"{self.ROOM}={BOTS}",
            listen="0.0.0.0:0",
            within=self.network.within("server"),
        )
        self.addCleanup(self.server.stop)
        self.port = int(re.search(r":(\d+)/", self.server.url)[1])

    def start(self, *command):
        # About three times what the browsers need.
        self.network.narrow("proxy", 2, "rate", "6mbit", "burst", "32kb", "latency", "500ms")
        process = subprocess.Popen(
            [*self.network.within("proxy"), *command], stderr=subprocess.DEVNULL
        )
        self.addCleanup(process.wait, WAIT_MAX_S)
        self.addCleanup(process.terminate)

    def stall(self, address, recovery_ticks_max):
        """Clients of all dialects play, stall, and read again."""
        healthy = Json(self.network, ("10.77.3.1", self.port), self.ROOM)
        clients = {kind.__name__: kind(self.network, address, self.ROOM) for kind in KINDS}
        control = JsonWithoutAcks(self.network, address, self.ROOM)
        stalled = [*clients.values(), control]
        for client in [healthy, *stalled]:
            self.addCleanup(client.socket.close)
        play([healthy, *stalled], lambda: all(client.newest for client in [healthy, *stalled]))
        begin = healthy.newest
        play([healthy, *stalled], lambda: healthy.newest >= begin + PLAY_S * 20)
        lags = {name: healthy.newest - client.newest for name, client in clients.items()}
        self.assertLessEqual(max(lags.values()), 12, lags)

        before = {client: client.newest for client in stalled}
        play([healthy], lambda: healthy.newest >= begin + PLAY_S * 20 + STALL_TICKS)
        resumed = healthy.newest
        # In Socket.IO only every fifth tick is seen.
        recovered = {}

        def all_have_recovered():
            for client in stalled:
                if client.newest >= healthy.newest - 6:
                    recovered.setdefault(client, healthy.newest - resumed)
            return len(recovered) == len(stalled)

        play([healthy, *stalled], all_have_recovered)
        figures = {}
        for name, client in {**clients, "control": control}.items():
            after = [tick for tick in client.ticks if tick > before[client]]
            old = [tick for tick in after if tick < resumed]
            ahead = max(old, default=before[client]) - before[client]
            figures[name] = {"ahead": ahead, "recovered": recovered[client]}
        for name in clients:
            with self.subTest(dialect=name):
                self.assertLessEqual(figures[name]["ahead"], AHEAD_TICKS_MAX, figures)
                self.assertLessEqual(figures[name]["recovered"], recovery_ticks_max, figures)
        return figures["control"]["ahead"]

    def test_straight(self):
        self.stall(("10.77.3.1", self.port), STRAIGHT_TICKS_MAX)

    def test_behind_nginx(self):
        block = block_of_readme(8080, f"http://10.77.1.1:{self.port}")
        block = block.replace("listen 127.0.0.1:8080;", "listen 10.77.2.1:8080;")
        (self.folder / "nginx.conf").write_text(MAIN.format(block=block))
        self.assertIsNotNone(NGINX, "install nginx; tests/all does it")
        self.start(NGINX, "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr")
        ahead = self.stall(("10.77.2.1", 8080), PROXY_TICKS_MAX)
        self.assertGreater(ahead, 60, "nginx takes all states of a client that acknowledges none")

    def test_behind_haproxy(self):
        config = self.folder / "haproxy.cfg"
        text = CONFIG.format(listener=0, backend=f"10.77.1.1:{self.port}")
        config.write_text(text.replace('"fd@0"', "10.77.2.1:8080"))
        self.assertIsNotNone(HAPROXY, "install haproxy; tests/all does it")
        self.start(HAPROXY, "-db", "-q", "-f", str(config))
        ahead = self.stall(("10.77.2.1", 8080), PROXY_TICKS_MAX)
        self.assertGreater(ahead, 60, "haproxy takes all states of a client that acknowledges none")


if __name__ == "__main__":
    unittest.main()
