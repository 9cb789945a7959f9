"""A real haproxy that forwards TCP and sends the PROXY protocol, with the configuration of
docs/proxies.md, on a port that the kernel chooses."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from harness import WAIT_MAX_S, Server, block_of, replace

HAPROXY = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
CONNECTIONS_AN_ADDRESS = 12
CHECKS = 10
JOIN = (
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
)


def block_of_page(listener, path, backend, options):
    """The haproxy block of docs/proxies.md for another port and backend, without TLS; it also
    listens on a UNIX socket."""
    block = replace(
        block_of("docs/proxies.md", "## The PROXY protocol", "haproxy"),
        [
            (r"bind :443 ssl .*", f'bind "fd@{listener.fileno()}"\n    bind unix@{path}'),
            (r"127\.0\.0\.1:8765 check send-proxy-v2", f"{backend} {options}"),
        ],
    )
    return "global\n    maxconn 200\n" + block


class BehindHaproxy(unittest.TestCase):
    def start(self, options):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.log = folder / "log"
        flags = ["--proxy-protocol", "--trusted-proxy", "127.0.0.1"]
        with self.log.open("wb") as log:
            self.server = Server(*flags, "--admin-listen", "127.0.0.1:0", log=log)
        self.addCleanup(self.server.stop)
        # haproxy takes a socket that listens already, so that the port is free.
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.port = listener.getsockname()[1]
        self.path = folder / "players"
        backend = self.server.url.removeprefix("http://").rstrip("/")
        config = folder / "haproxy.cfg"
        config.write_text(block_of_page(listener, self.path, backend, options))
        self.assertIsNotNone(HAPROXY, "install haproxy; tests/all does it")
        haproxy = subprocess.Popen(
            [HAPROXY, "-db", "-q", "-f", config], pass_fds=[listener.fileno()]
        )
        self.addCleanup(haproxy.wait, WAIT_MAX_S)
        self.addCleanup(haproxy.terminate)

    def connect(self, host):
        """A connection of 127.0.0.`host` through haproxy."""
        return self.enterContext(
            socket.create_connection(
                ("127.0.0.1", self.port), WAIT_MAX_S, source_address=(f"127.0.0.{host}", 0)
            )
        )

    def connect_local(self):
        """A connection over the UNIX socket of haproxy."""
        self.until("haproxy listens", self.path.exists)
        client = self.enterContext(socket.socket(socket.AF_UNIX))
        client.settimeout(WAIT_MAX_S)
        client.connect(str(self.path))
        return client

    def ask(self, client, request):
        """The head of the response; empty if the connection ends instead."""
        response = b""
        try:
            client.sendall(request.encode())
            while b"\r\n\r\n" not in response and (more := client.recv(65_536)):
                response += more
        except ConnectionError:
            pass
        return response.decode(errors="replace").partition("\r\n\r\n")[0]

    def join(self, client, fields=""):
        head = self.ask(client, JOIN.format(fields=fields))
        self.assertTrue(head.startswith("HTTP/1.1 101 "), head)

    def until(self, what, condition):
        deadline = time.monotonic() + WAIT_MAX_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"timed out waiting until {what}")
            time.sleep(0.01)

    def until_logged(self, text):
        self.until(f"{text} is logged", lambda: text in self.log.read_text())

    def closes(self, reason):
        return self.server.metric(f'skirmish_closes_total{{reason="{reason}"}}')

    def test_players_have_their_own_addresses_and_limits(self):
        for options in ["send-proxy", "send-proxy-v2"]:
            with self.subTest(options):
                self.start(options)
                self.join(self.connect(2))
                self.until_logged("peer=127.0.0.2")
                # T50: the client itself has written this.
                self.join(self.connect(3), "X-Forwarded-For: 198.51.100.9\r\n")
                self.until_logged("peer=127.0.0.3")
                self.assertNotIn("198.51.100.9", self.log.read_text())
                health = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
                series = 'skirmish_refusals_total{reason="address_full"}'
                several = [self.connect(4) for _ in range(CONNECTIONS_AN_ADDRESS + 1)]
                self.until("one is refused", lambda: self.server.metric(series) == 1)
                ended = [client for client in several if not self.ask(client, health)]
                self.assertEqual(len(ended), 1)
                self.assertIn(" 200 ", self.ask(self.connect(5), health))
                metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
                for client in [self.connect(1), self.connect(6), self.connect_local()]:
                    self.assertIn(" 403 ", self.ask(client, metrics))
                self.assertEqual(self.closes("proxy_header"), 0)
                self.assertNotIn("WARN", self.log.read_text())

    def test_health_checks_are_neither_clients_nor_errors(self):
        for options in ["send-proxy", "send-proxy-v2"]:
            with self.subTest(options):
                self.start(f"{options} check inter 50")
                accepted = "skirmish_accepted_total"
                before = self.server.metric(accepted)
                # Each look at the metrics is a connection, too.
                count = 0

                def is_checked():
                    nonlocal count
                    count += 1
                    return self.server.metric(accepted) - before - count >= CHECKS

                self.until("it is checked", is_checked)
                self.join(self.connect(2))
                for reason in ["proxy_header", "hung_up", "policy", "http_refused"]:
                    self.assertEqual(self.closes(reason), 0, reason)
                lines = self.log.read_text().splitlines()
                peers = [line for line in lines if "WARN" in line or "peer=127.0.0.1" in line]
                self.assertEqual(peers, [])
                self.assertEqual(self.server.metric("skirmish_joins_total"), 1)

    def test_clients_of_a_unix_socket_are_unknown(self):
        # T76: version 1 is UNKNOWN then, and version 2 is LOCAL, as for a health check.
        for options in ["send-proxy", "send-proxy-v2"]:
            with self.subTest(options):
                self.start(options)
                for number in range(5):
                    fields = f"X-Forwarded-For: 198.51.100.{number}\r\n"
                    self.join(self.connect_local(), fields)
                self.until_logged("names no client")
                self.assertEqual(self.server.metric("skirmish_clients_unknown_total"), 5)
                text = self.log.read_text()
                self.assertEqual(text.count("names no client"), 1)
                self.assertNotIn("198.51.100.", text)

    def test_a_proxy_that_sends_no_header_is_named_in_the_log(self):
        self.start("")
        self.assertEqual(self.ask(self.connect(2), "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "")
        self.until_logged("send-proxy-v2")
        self.assertEqual(self.closes("proxy_header"), 1)


if __name__ == "__main__":
    unittest.main()
