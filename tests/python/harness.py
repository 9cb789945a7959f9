"""Shared by the Python tests: a running server, and the limit of every wait."""

import os
import pathlib
import re
import subprocess
import urllib.request

BINARY = os.environ.get("SKIRMISH_BIN") or (
    pathlib.Path(__file__).parents[2] / "target" / "debug" / "skirmish"
)
# How long a test waits for a condition before it fails.
WAIT_MAX_S = 20
# The transports that the client may use, and the one that it ends with.
TRANSPORTS = [
    (["polling"], "polling"),
    (["websocket"], "websocket"),
    (["polling", "websocket"], "websocket"),
]


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

    def __init__(self, *flags, log=subprocess.DEVNULL, listen="127.0.0.1:0", within=()):
        # `within` precedes the command, to run it somewhere else.
        self.process = subprocess.Popen(
            [*within, BINARY, "--listen", listen, *flags],
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
        self.process.stdout.close()
        return self.process.wait(WAIT_MAX_S)
