"""Shared by the Python tests: a running server, and the limit of every wait."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ.get("SKIRMISH_BIN") or ROOT / "target" / "debug" / "skirmish"
CLONE_NEWNET = 0x40000000
# How long a test waits for a condition before it fails.
WAIT_MAX_S = 20
# The transports that the client may use, and the one that it ends with.
TRANSPORTS = [
    (["polling"], "polling"),
    (["websocket"], "websocket"),
    (["polling", "websocket"], "websocket"),
]


def program(name):
    """The file of a program that tests/all installs."""
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    assert found, f"install {name}; tests/all does it"
    return found


def block_of(page, section, language):
    """The block of a language below the first heading or line of a document with this text."""
    _, found, rest = (ROOT / page).read_text().partition(f"\n{section}")
    assert found, f"{page} has no {section}"
    return re.search(rf"```{language}\n(.*?)```", rest, re.S)[1]


def replace(text, pairs):
    """Replaces patterns of which each stands in the text once."""
    for old, new in pairs:
        text, count = re.subn(old, lambda _, new=new: new, text)
        assert count == 1, f"{count} of {old} in {text}"
    return text


def reserve_port(test):
    """A port of 127.0.0.1 that other programs get only if they ask for it by number.

    A socket that is bound and does not listen keeps it. Linux lets a second one with SO_REUSEADDR
    listen there.
    """
    held = test.enterContext(socket.socket())
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held.getsockname()[1]


@contextlib.contextmanager
def in_namespace(name):
    """What is opened meanwhile is in this network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(before.fileno(), CLONE_NEWNET)


def until(holds, what, limit_s=WAIT_MAX_S):
    """Waits for a condition. Returns its value."""
    deadline = time.monotonic() + limit_s
    while not (value := holds()):
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.01)
    return value


def certificate(folder, *key):
    """Makes a certificate for localhost with openssl. Returns its file and that of its key."""
    cert, private = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-newkey", *key]
    command += ["-out", cert, "-keyout", private]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return cert, private


class Server:
    """A running server."""

    def __init__(
        self, *flags, log=subprocess.DEVNULL, listen="127.0.0.1:0", listener=None, within=()
    ):
        # `within` precedes the command, to run it somewhere else.
        if listener:
            # As systemd passes a socket.
            script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@" 3<&0 </dev/null'
            command = ["sh", "-c", script, BINARY, *flags]
        else:
            command = [BINARY, "--listen", listen, *flags]
        self.process = subprocess.Popen(
            [*within, *command],
            stdin=listener,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        urls = {}
        for line in self.process.stdout:
            if address := re.search(r"https?://[^\s/]+:\d+/", line):
                urls.setdefault(line.startswith("Metrics"), address[0])
            if line.startswith("Ctrl-C"):
                break
        if False not in urls:
            raise RuntimeError("the server did not print its address")
        self.url = urls[False]
        # That of --admin-listen, if it is set.
        self.metrics_url = urls.get(True, self.url) + "metrics"

    def metric(self, series):
        """The value of a series such as skirmish_players."""
        with urllib.request.urlopen(self.metrics_url) as response:
            text = response.read().decode()
        return int(re.search(rf"^{re.escape(series)} (\d+)$", text, re.M)[1])

    def sessions(self):
        return self.metric("skirmish_engine_sessions")

    def stop(self):
        self.process.terminate()
        return self.wait()

    def wait(self):
        """Waits until it has ended, and returns its exit code."""
        self.process.stdout.close()
        return self.process.wait(WAIT_MAX_S)
