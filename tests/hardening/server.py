"""The server under trial: the release binary, and what it and the kernel say about it."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SKIRMISH = os.environ.setdefault("SKIRMISH_BIN", str(TARGET / "release/skirmish"))

sys.path.append(str(ROOT / "tests/python"))
import harness  # noqa: E402

JOINED_S_MAX = 60
# What must return to where it was before an attack.
GAUGES = [
    "process_open_fds",
    "skirmish_connections",
    "skirmish_players",
    "skirmish_engine_sessions",
    "skirmish_polls_held",
]


def prepare(parser):
    """What each program does first: it needs the binary and many descriptors, and a SIGTERM ends
    what it has started.
    """
    if not Path(SKIRMISH).is_file():
        parser.error(f"{SKIRMISH} is missing: cargo build --release")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Server(harness.Server):
    """A running server with --admin-listen, so that a scrape does not count as an attack."""

    def __init__(self, *flags, scrape=contextlib.nullcontext, **options):
        # Where a scrape is made: a context.
        self.scrape = scrape
        super().__init__("--admin-listen", "127.0.0.1:0", *flags, **options)
        self.pid = self.process.pid
        self.port = int(re.search(r":(\d+)/", self.url)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_alive():
            self.process.kill()
        self.wait()

    def is_alive(self):
        return self.process.poll() is None

    def metrics(self):
        """All series with their values."""
        with self.scrape(), urllib.request.urlopen(self.metrics_url, timeout=20) as response:
            lines = response.read().decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {series: float(value) for series, value in pairs}

    def gauges(self):
        metrics = self.metrics()
        return {name: metrics.get(name, 0) for name in GAUGES}

    def wait_for_players(self, count):
        until = time.monotonic() + JOINED_S_MAX
        while (joined := self.metrics()["skirmish_players"]) < count:
            if time.monotonic() > until:
                raise SystemExit(
                    f"Only {joined:.0f} of {count} players have joined after {JOINED_S_MAX} s."
                )
            time.sleep(0.2)

    def rss_kib(self, kind="VmRSS"):
        """Resident memory. `RssAnon` is what the process has allocated, `RssFile` what it has used
        of its own file, so at most the size of that.
        """
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{kind}:\s+(\d+)", status)[1])

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def processor_s(self):
        """Seconds for which the loop has run on a processor, and has waited for one."""
        ran, waited, _ = Path(f"/proc/{self.pid}/schedstat").read_text().split()
        return int(ran) / 1e9, int(waited) / 1e9

    def sockets(self):
        """Of each socket of the server's port: the other address, bytes of memory in the kernel,
        and bytes that the peer has not acknowledged.
        """
        command = ["ss", "-tmnHO", "sport", "=", f":{self.port}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for line in found.splitlines():
            fields = line.split()
            memory = re.search(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+)", line)
            if memory and fields[0] != "LISTEN":
                yield fields[4], sum(map(int, memory.groups())), int(fields[2])

    def kernel_bytes(self):
        return sum(memory for _, memory, _ in self.sockets())

    def in_time_wait(self):
        """Sockets of the server's port for which the kernel remembers an end that was ours."""
        command = ["ss", "-tnH", "state", "time-wait", "sport", "=", f":{self.port}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return len(found.splitlines())

    def signal(self, number):
        self.process.send_signal(number)

    def stop_for(self, seconds):
        self.signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self.signal(signal.SIGCONT)


def quantile(metrics, family, share):
    """The bound of the bucket of a histogram that a share of its values does not exceed, in ms."""
    buckets = []
    for series, count in metrics.items():
        if bound := re.fullmatch(family + r'_bucket\{le="(.+)"\}', series):
            buckets.append((float(bound[1]), count))
    buckets.sort()
    if not buckets or not buckets[-1][1]:
        return 0.0
    return next(bound for bound, count in buckets if count >= share * buckets[-1][1]) * 1e3


def difference(after, before):
    return {series: value - before.get(series, 0) for series, value in after.items()}
