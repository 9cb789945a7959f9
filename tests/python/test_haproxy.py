"""A real haproxy without `option abortonclose`, which does not report that a browser has gone."""

import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import WAIT_MAX_S, Server

HAPROXY = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
CONFIG = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend players
    bind "fd@{listener}"
    default_backend skirmish
backend skirmish
    server skirmish {backend}
"""
POLLING = "/socket.io/?EIO=4&transport=polling"
HOLD_MS = 400
ABSENCE_MS = 800


class BehindHaproxy(unittest.TestCase):
    def setUp(self):
        flags = ["--poll-hold-ms", str(HOLD_MS), "--poll-absence-ms", str(ABSENCE_MS)]
        self.server = Server(*flags)
        self.addCleanup(self.server.stop)
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        # haproxy takes a socket that listens already, so that the port is free.
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.port = listener.getsockname()[1]
        backend = self.server.url.removeprefix("http://").rstrip("/")
        config = folder / "haproxy.cfg"
        config.write_text(CONFIG.format(listener=listener.fileno(), backend=backend))
        self.assertIsNotNone(HAPROXY, "install haproxy; tests/all does it")
        haproxy = subprocess.Popen(
            [HAPROXY, "-db", "-q", "-f", config], pass_fds=[listener.fileno()]
        )
        self.addCleanup(haproxy.wait, WAIT_MAX_S)
        self.addCleanup(haproxy.terminate)

    def ask(self, method, path, body=None):
        proxy = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX_S)
        try:
            proxy.request(method, path, body)
            response = proxy.getresponse()
            return response.status, response.read().decode()
        finally:
            proxy.close()

    def join(self):
        """Joins the battle over polling. Returns the path of the session."""
        _, opened = self.ask("GET", POLLING)
        path = POLLING + "&sid=" + opened.split('"')[3]
        self.assertEqual(self.ask("POST", path, "40"), (200, "ok"))
        return path

    def until_sessions(self, count):
        deadline = time.monotonic() + WAIT_MAX_S
        while (sessions := self.server.sessions()) != count:
            self.assertLess(time.monotonic(), deadline, f"{sessions} sessions, not {count}")
            time.sleep(0.02)

    # T83
    def test_a_tab_that_closes_during_a_poll_leaves(self):
        stays, goes = self.join(), self.join()
        is_over = threading.Event()
        answers = []

        def play():
            while not is_over.is_set():
                answers.append(self.ask("GET", stays))

        player = threading.Thread(target=play)
        player.start()
        self.addCleanup(player.join, WAIT_MAX_S)
        self.addCleanup(is_over.set)
        # Its polls are answered until nothing waits; then one is held, and the tab closes.
        held = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX_S)
        held.request("GET", goes)
        while held.getresponse().read() != b"6":
            held.request("GET", goes)
        held.request("GET", goes)
        closed_at = time.monotonic()
        held.close()
        self.until_sessions(1)
        took_ms = 1000 * (time.monotonic() - closed_at)
        self.assertGreaterEqual(took_ms, ABSENCE_MS)
        # The other one plays on, over many polls that were held and answered in time.
        count = len(answers)
        deadline = time.monotonic() + WAIT_MAX_S
        while len(answers) < count + 5:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual({status for status, _ in answers}, {200})
        self.assertEqual(self.server.sessions(), 1)


if __name__ == "__main__":
    unittest.main()
