"""What the tests in Python share: a server, and how long anybody waits."""

import os
import pathlib
import re
import subprocess
import urllib.request

BINARY = os.environ.get("SKIRMISH_BIN") or (
    pathlib.Path(__file__).parents[2] / "target" / "debug" / "skirmish"
)
# How long anybody waits for anything before the test fails.
PATIENCE_S = 20
# What to ask for, and what it comes to.
TRANSPORTS = [
    (["polling"], "polling"),
    (["websocket"], "websocket"),
    (["polling", "websocket"], "websocket"),
]


class Server:
    """A server that runs until it is stopped."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [BINARY, "--listen", "127.0.0.1:0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in self.process.stdout:
            if address := re.search(r"http://[^\s/]+:\d+/", line):
                self.url = address[0]
                return
        raise RuntimeError("the server did not say where it is")

    def sessions(self):
        with urllib.request.urlopen(self.url + "metrics") as answer:
            text = answer.read().decode()
        return int(re.search(r"^skirmish_engine_sessions (\d+)$", text, re.M)[1])

    def stop(self):
        self.process.terminate()
        self.process.stdout.close()
        return self.process.wait(PATIENCE_S)
