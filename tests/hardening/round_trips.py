#!/usr/bin/env python3
"""How many round trips a lost player needs to be back, from the first SYN that gets through.

    cargo build --release
    tests/hardening/round_trips.py --ms 200

The server and the clients, which are official ones in Node, are in network namespaces, and a
process delays each packet between them. It needs root and tests/browser/node_modules. The exit code
is 1 if a player is back later than docs/hardening.md says.
"""

import argparse
import contextlib
import fcntl
import json
import multiprocessing
import os
import selectors
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

sys.dont_write_bytecode = True

from server import JOINED_S_MAX, ROOT, Server, prepare  # noqa: E402
from trial import machine  # noqa: E402

import harness  # noqa: E402

CLIENT = ROOT / "tests/browser/round-trip-client.mjs"
ADDRESSES = {"server": "10.78.0.1", "browser": "10.78.0.2"}
# Of linux/if_tun.h: packets of IP, without a header of their own.
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
PACKET_BYTES_MAX = 1 << 16
# A state goes out every 50 ms, and a process has to run.
TICK_MS, PROCESS_MS = 50, 20
# The transport, whether over TLS, and the round trips after which its player is back.
WAYS = [
    ("json", False, 3),
    ("v1", False, 3),
    ("json", True, 5),
    ("v1", True, 5),
    ("websocket", False, 3),
    ("websocket", True, 5),
    ("polling", False, 6),
    ("polling", True, 8),
]


class SlowLink:
    """Two hosts with a link on which each packet takes half of the round trip."""

    def __init__(self, stack, round_trip_ms):
        self.names = {host: f"skirmish-{os.getpid()}-{host}" for host in ADDRESSES}
        ends = {}
        for host, name in self.names.items():
            self.run("ip", "netns", "add", name)
            stack.callback(self.run, "ip", "netns", "del", name)
            with harness.in_namespace(name):
                ends[host] = open("/dev/net/tun", "r+b", buffering=0)
                request = struct.pack("16sH22s", b"slow", IFF_TUN | IFF_NO_PI, b"")
                fcntl.ioctl(ends[host], TUNSETIFF, request)
        for host, other in zip(ADDRESSES, reversed(ADDRESSES)):
            address = [ADDRESSES[host], "peer", ADDRESSES[other], "dev", "slow"]
            self.run(*self.within(host), "ip", "addr", "add", *address)
            for device in ("lo", "slow"):
                self.run(*self.within(host), "ip", "link", "set", device, "up")
        relay = multiprocessing.get_context("fork").Process(
            target=delay, args=(*ends.values(), round_trip_ms / 2000), daemon=True
        )
        relay.start()
        stack.callback(relay.terminate)

    @staticmethod
    def run(*command):
        subprocess.run(command, check=True)

    def within(self, host):
        """What precedes a command that runs on a host."""
        return ["ip", "netns", "exec", self.names[host]]


def delay(one, other, seconds):
    """Hands the packets of each end to the other one, so much later."""
    selector = selectors.DefaultSelector()
    selector.register(one, selectors.EVENT_READ, other)
    selector.register(other, selectors.EVENT_READ, one)
    packets = deque()
    while True:
        now = time.monotonic()
        while packets and packets[0][0] <= now:
            _, to, packet = packets.popleft()
            to.write(packet)
        wait = max(0, packets[0][0] - now) if packets else None
        for key, _ in selector.select(wait):
            packet = key.fileobj.read(PACKET_BYTES_MAX)
            packets.append((time.monotonic() + seconds, key.data, packet))


@contextlib.contextmanager
def client(link, transport, url, *token):
    """A client that has joined: its id, its token and the milliseconds."""
    command = [*link.within("browser"), "node", "--no-warnings", CLIENT, transport, url, *token]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    too_late = threading.Timer(JOINED_S_MAX, process.kill)
    too_late.start()
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the client for {transport} has not joined")
        too_late.cancel()
        yield json.loads(line)
    finally:
        too_late.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def resume(link, transport, url):
    """The milliseconds until a player is back whose client was killed."""
    with client(link, transport, url) as first:
        pass
    with client(link, transport, url, first["token"]) as again:
        if again["id"] != first["id"]:
            raise SystemExit(f"{transport}: player {first['id']} came back as {again['id']}")
        return again["ms"]


def measure(link, arguments, folder):
    """Prints a row for each transport. Returns whether all are back in time."""
    cert, key = harness.certificate(folder, "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    tls = ["--cert", str(cert), "--key", str(key)]
    columns = ["transport", "TLS", "ms, median", "ms, most", "round trips", "at most"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    are_kept = True
    for transport, has_tls, trips_max in WAYS:
        flags = tls if has_tls else []
        listen = f"{ADDRESSES['server']}:0"
        with Server(
            *flags, listen=listen, within=link.within("server"),
            scrape=lambda: harness.in_namespace(link.names["server"]),
        ) as server:
            taken = [resume(link, transport, server.url) for _ in range(arguments.times)]
        median = statistics.median(taken)
        is_kept = median <= trips_max * arguments.ms + TICK_MS + PROCESS_MS
        are_kept &= is_kept
        trips = (median - TICK_MS) / arguments.ms
        figures = [f"{median:.0f}", f"{max(taken):.0f}", f"{trips:.2f}"]
        cells = [transport, "yes" if has_tls else "no", *figures, f"{trips_max}"]
        print("| " + " | ".join(cells) + " |" + ("" if is_kept else " **late**"), flush=True)
    return are_kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ms", type=int, default=200, help="the round trip [200]")
    parser.add_argument("--times", type=int, default=9, help="for each transport [9]")
    arguments = parser.parse_args()
    prepare(parser)
    print(machine(), flush=True)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="skirmish-round-trips-"))
        link = SlowLink(stack, arguments.ms)
        sys.exit(not measure(link, arguments, Path(folder)))


if __name__ == "__main__":
    main()
