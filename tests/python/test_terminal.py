"""SIGHUP: the end of the terminal stops the server, unless it runs as a service or with nohup."""

import contextlib
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from harness import BINARY, WAIT_MAX_S

# Begins a session, whose terminal is the standard input if it is one, and becomes the command.
START = """
import fcntl, os, sys, termios
os.setsid()
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
# A shell that starts the server as its foreground job, as a login shell does.
SHELL = ["bash", "-i", "-c", '"$@"; exit $?', "bash"]


class InSession:
    """A server in a session of its own, with or without a terminal. Its log goes to a file."""

    def __init__(self, case, *before, has_terminal=True):
        self.folder = pathlib.Path(case.enterContext(tempfile.TemporaryDirectory()))
        self.page = self.folder / "www" / "index.html"
        self.page.parent.mkdir()
        self.page.write_text("old")
        self.log = self.folder / "log"
        self.master, slave = pty.openpty()
        flags = ["--listen", "127.0.0.1:0", "--www", str(self.page.parent)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, *before, str(BINARY), *flags],
                stdin=slave if has_terminal else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        os.close(slave)
        self.pids = [self.process.pid]
        case.addCleanup(self.end)
        for line in self.process.stdout:
            if "http://" in line:
                self.url = line.split()[0]
            if line.startswith("Ctrl-C"):
                break
        # The server is one of them: a shell may be between.
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.pids = [pid, *map(int, children)]

    def end(self):
        for pid in self.pids:
            # A process that has ended has no executable.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if os.readlink(f"/proc/{pid}/exe"):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        if self.master is not None:
            os.close(self.master)

    def close_terminal(self):
        os.close(self.master)
        self.master = None

    def page_text(self):
        with urllib.request.urlopen(self.url, timeout=WAIT_MAX_S) as response:
            return response.read().decode()

    def until(self, condition):
        deadline = time.monotonic() + WAIT_MAX_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out; the log: {self.log.read_text()}")
            time.sleep(0.01)

    def until_logged(self, text):
        self.until(lambda: text in self.log.read_text())


class Hangup(unittest.TestCase):
    def reloads(self, server, text, hangup):
        server.page.write_text(text)
        hangup()
        server.until(lambda: server.page_text() == text)
        server.until_logged("pages reloaded")

    def hangup(self, server):
        return lambda: os.kill(server.process.pid, signal.SIGHUP)

    def test_a_closed_terminal_stops_the_server(self):
        server = InSession(self)
        server.close_terminal()
        self.assertEqual(server.process.wait(WAIT_MAX_S), 0)
        self.assertIn("the terminal was closed", server.log.read_text())

    def test_a_closed_terminal_stops_the_job_of_a_shell(self):
        server = InSession(self, *SHELL)
        server.close_terminal()
        server.until_logged("the terminal was closed")
        # The pipe ends when the server has exited.
        server.process.stdout.read()
        self.assertNotIn("second signal", server.log.read_text())

    def test_an_open_terminal_keeps_the_reload(self):
        server = InSession(self)
        self.reloads(server, "new", self.hangup(server))

    def test_nohup_keeps_the_reload(self):
        server = InSession(self, "nohup")
        self.reloads(server, "new", server.close_terminal)
        self.reloads(server, "newer", self.hangup(server))

    def test_a_service_keeps_the_reload(self):
        server = InSession(self, has_terminal=False)
        self.reloads(server, "new", self.hangup(server))
        server.close_terminal()
        self.reloads(server, "newer", self.hangup(server))


if __name__ == "__main__":
    unittest.main()
