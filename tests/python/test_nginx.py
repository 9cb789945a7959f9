"""A real nginx with the configuration of README.md, on a port that the kernel chooses."""

import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from harness import WAIT_MAX_S, Server, block_of, replace

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
# What the test needs around the block of README.md: no root, no service, no file outside of its
# folder.
MAIN = """
daemon off;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {block}
}}
"""
WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
POLLING = "/socket.io/?EIO=4&transport=polling"


def block_of_readme(port, backend):
    """The nginx block of README.md for another port and backend, without TLS and logs."""
    return replace(
        block_of("README.md", "With nginx", "nginx"),
        [
            (r"listen 443 ssl;", f"listen 127.0.0.1:{port};"),
            (r" *ssl_certificate .*\n", ""),
            (r" *ssl_certificate_key .*\n", ""),
            (r" *access_log .*\n", ""),
            (r" *error_log .*\n", ""),
            (r"http://127\.0\.0\.1:8765;", f"{backend.rstrip('/')};"),
        ],
    )


class BehindNginx(unittest.TestCase):
    def start(self, change=lambda block: block):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            server = Server("--trusted-proxy", "127.0.0.1", log=log)
        self.addCleanup(server.stop)
        # nginx takes a socket that listens already, so that the port is free.
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.port = listener.getsockname()[1]
        block = change(block_of_readme(self.port, server.url))
        (folder / "nginx.conf").write_text(MAIN.format(block=block))
        self.assertIsNotNone(NGINX, "install nginx; tests/all does it")
        nginx = subprocess.Popen(
            [NGINX, "-p", folder, "-c", "nginx.conf", "-e", "stderr"],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(nginx.wait, WAIT_MAX_S)
        self.addCleanup(nginx.terminate)

    def ask(self, path, host, origin, fields=None):
        """The status of a request, and the origin whose pages may read the response."""
        nginx = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX_S)
        try:
            nginx.request("GET", path, headers={"Host": host, "Origin": origin, **(fields or {})})
            response = nginx.getresponse()
            return response.status, response.getheader("Access-Control-Allow-Origin")
        finally:
            nginx.close()

    def statuses(self, host, origin):
        websocket, _ = self.ask("/ws", host, origin, WEBSOCKET)
        polling, reader = self.ask(POLLING, host, origin)
        self.assertEqual(reader, origin if polling == 200 else None)
        return websocket, polling

    def test_pages_of_any_port_may_connect(self):
        self.start()
        own = f"play.example:{self.port}"
        for host, origin in [
            (own, f"http://{own}"),
            (own, f"https://{own}"),
            (own, f"ws://{own}"),
            (f"Play.Example.:{self.port}", f"http://{own}"),
            (f"127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}"),
            (f"[::1]:{self.port}", f"http://[::1]:{self.port}"),
            ("play.example", "http://play.example"),
            ("play.example:443", "https://play.example"),
        ]:
            with self.subTest(host=host, origin=origin):
                self.assertEqual(self.statuses(host, origin), (101, 200))
        for host, origin in [
            (own, "http://play.example"),
            (own, f"http://evil.example:{self.port}"),
            ("play.example", f"http://{own}"),
            (own, "null"),
        ]:
            with self.subTest(host=host, origin=origin):
                self.assertEqual(self.statuses(host, origin), (403, 403))

    def until_logged(self, text):
        deadline = time.monotonic() + WAIT_MAX_S
        while text not in self.log.read_text():
            self.assertLess(time.monotonic(), deadline, self.log.read_text())
            time.sleep(0.01)

    def test_a_dropped_port_is_explained_in_the_log(self):
        self.start(lambda block: block.replace("$http_host", "$host"))
        own = f"play.example:{self.port}"
        self.assertEqual(self.statuses(own, f"http://{own}"), (403, 403))
        self.until_logged("proxy_set_header Host $http_host")
        self.until_logged(f"origin=http://{own} host=play.example ")

    def test_a_replaced_host_is_explained_in_the_log(self):
        line = "proxy_set_header Host $http_host;"
        forwarded = "proxy_set_header X-Forwarded-Host $http_host;"
        self.start(lambda block: block.replace(line, forwarded))
        own = f"play.example:{self.port}"
        self.assertEqual(self.statuses(own, f"http://{own}"), (403, 403))
        self.until_logged("ProxyPreserveHost On")


if __name__ == "__main__":
    unittest.main()
