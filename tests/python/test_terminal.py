"""The server and its terminal: its end stops the server, unless that runs as a service or with nohup
(SIGHUP), and at the start it shows a QR code.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
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


# Reads a QR code from {"width": N, "rgba": [...]} on the standard input, and prints its text.
DECODE = """
const { width, rgba } = JSON.parse(require("fs").readFileSync(0));
const read = require("jsqr")(Uint8ClampedArray.from(rgba), width, width);
console.log(read === null ? "unreadable" : read.data);
"""
MODULES = pathlib.Path(__file__).parent.parent / "browser"
# What a half block shows: whether the upper and the lower half have the text color.
HALVES = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
QR_COLORS, QR_RESET = "\x1b[38;5;231;48;5;16m", "\x1b[0m"


def printed(listen, columns=80, rows=40, flags=(), **env):
    """What the server prints on a terminal of this size until it is ready."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [str(BINARY), "--listen", f"{listen}:0", *flags],
        stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL,
        env={**clean, "TERM": "xterm-256color", **env},
    )
    os.close(slave)
    try:
        text = b""
        while b"Ctrl-C" not in text:
            text += os.read(master, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return text.decode().replace("\r\n", "\n")


def code_in(text):
    """The lines of the QR code, without colors."""
    plain = text.replace(QR_COLORS, "").replace(QR_RESET, "")
    return [line for line in plain.split("\n") if "█" in line]


def decoded(lines, inverted=False):
    """The text of a QR code, as a camera sees it on a dark terminal or, inverted, on a light one."""
    halves = [[HALVES[character] for character in line] for line in lines]
    dots = [[pair[half] for pair in line] for line in halves for half in (0, 1)]
    width = len(dots[0])
    scale = 4
    light, dark = (0, 255) if inverted else (255, 0)
    rgba = []
    for row in dots[:width]:
        line = [byte for dot in row for byte in [*[light if dot else dark] * 3, 255] * scale]
        rgba += line * scale
    image = json.dumps({"width": width * scale, "rgba": rgba})
    read = subprocess.run(["node", "-e", DECODE], input=image, text=True, cwd=MODULES,
                          capture_output=True, check=True)
    return read.stdout.strip()


def has_lan_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return False
        return not probe.getsockname()[0].startswith("127.")


class QrCode(unittest.TestCase):
    def test_a_terminal_shows_the_address_of_the_network_as_a_code(self):
        if not has_lan_address():
            self.skipTest("this machine has no network")
        text = printed("0.0.0.0")
        self.assertIn(QR_COLORS, text)
        lines = code_in(text)
        self.assertEqual({len(line) for line in lines}, {len(lines[0])})

    @unittest.skipIf(os.environ.get("SKIRMISH_SKIP_BROWSER") == "1", "the reader is an npm package")
    def test_the_code_is_readable_on_dark_and_light_terminals(self):
        if not has_lan_address():
            self.skipTest("this machine has no network")
        text = printed("0.0.0.0")
        # The second of the URLs: the first is that of localhost.
        url = re.findall(r"http://\S+", text)[1]
        self.assertEqual(decoded(code_in(text)), url)
        # Without colors the code is inverted on a light terminal.
        text = printed("0.0.0.0", NO_COLOR="1")
        url = re.findall(r"http://\S+", text)[1]
        for inverted in (False, True):
            self.assertEqual(decoded(code_in(text), inverted), url)

    def test_no_colors_means_no_escape_sequences(self):
        self.assertNotIn("\x1b", printed("0.0.0.0", NO_COLOR="1"))

    def test_a_small_or_dumb_terminal_gets_no_code(self):
        for size in [{"columns": 32}, {"rows": 17}, {"columns": 0, "rows": 0}, {"TERM": "dumb"}]:
            with self.subTest(**size):
                text = printed("0.0.0.0", **size)
                self.assertEqual(code_in(text), [])
                self.assertNotIn("\x1b", text)

    def test_a_loopback_address_and_an_echo_server_get_no_code(self):
        self.assertEqual(code_in(printed("127.0.0.1")), [])
        self.assertEqual(code_in(printed("0.0.0.0", flags=["--echo"])), [])


if __name__ == "__main__":
    unittest.main()
