"""TLS with the clients of Python and the tools of OpenSSL."""

import asyncio
import json
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile
import unittest

import aiohttp
import socketio
import websocket

from harness import BINARY, TRANSPORTS, WAIT_MAX_S, Server, certificate

RSA = ["rsa:2048"]
ELLIPTIC = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
# More than the server takes on at once.
HELLOS = 500


class OverTls(unittest.TestCase):
    key = ELLIPTIC

    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.cert, key = certificate(folder, *self.key)
        self.log = self.enterContext(tempfile.NamedTemporaryFile("w+"))
        flags = ["--cert", self.cert, "--key", key, "--admin-listen", "127.0.0.1:0"]
        self.server = Server(*flags, log=self.log)
        self.addCleanup(self.end)
        self.url = self.server.url.replace("127.0.0.1", "localhost")
        self.port = int(re.search(r":(\d+)/", self.url)[1])

    def end(self):
        self.assertEqual(self.server.stop(), 0)
        self.log.seek(0)
        self.assertNotIn("ERROR", self.log.read())

    def context(self):
        return ssl.create_default_context(cafile=self.cert)

    def player(self):
        url = self.url.replace("https", "wss") + "ws?room=dots"
        options = {"ca_certs": str(self.cert)}
        player = websocket.create_connection(url, timeout=WAIT_MAX_S, sslopt=options)
        self.addCleanup(player.close)
        self.assertEqual(json.loads(player.recv())["type"], "init")
        return player

    def test_clients(self):
        player = self.player()
        player.send('{"type":"move","direction":"UP"}')
        self.assertEqual(json.loads(player.recv())["type"], "state_update")
        for transports, transport in TRANSPORTS:
            with self.subTest(transports):
                asyncio.run(self.joins(transports, transport))

    # Not the client with threads: it reads and writes in two at once, which the ssl module of
    # Python does not allow, and ends some connections (python-engineio issue 461).
    async def joins(self, transports, transport):
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.context())
        ) as session:
            client = socketio.AsyncClient(http_session=session, reconnection=False)
            joined = asyncio.Event()
            client.on("player_moved", lambda *_: joined.set())
            await client.connect(self.url, transports=transports, wait_timeout=WAIT_MAX_S)
            await asyncio.wait_for(joined.wait(), WAIT_MAX_S)
            self.assertEqual(client.transport(), transport)
            await client.disconnect()

    # T49
    def test_t49_renegotiation_is_refused(self):
        command = ["openssl", "s_client", "-connect", f"localhost:{self.port}", "-tls1_2"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(
            [*command, "-CAfile", self.cert], stderr=subprocess.STDOUT, **pipes
        ) as client:
            client.stdin.write("R\n")
            client.stdin.flush()
            # Its input stays open: the end of that would end the client, too.
            output = client.stdout.read()
        self.assertIn("RENEGOTIATING", output)
        self.assertIn("no renegotiation", output)
        self.assertIn("Secure Renegotiation IS supported", output)

    # T49
    def test_t49_hellos_beside_a_player(self):
        player = self.player()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        sockets = []
        for _ in range(HELLOS):
            peer = self.enterContext(socket.create_connection(("127.0.0.1", self.port)))
            peer.settimeout(WAIT_MAX_S)
            peer.sendall(hello)
            sockets.append(peer)
        player.send('{"type":"ping","t":1}')
        while json.loads(player.recv())["type"] != "pong":
            pass
        # Each gets the flight of the server, and is closed by the deadline of the first request.
        for peer in sockets:
            self.assertEqual(peer.recv(1)[0], 22)
            while peer.recv(65536):
                pass
        player.send('{"type":"ping","t":2}')
        while json.loads(player.recv())["type"] != "pong":
            pass
        self.assertEqual(self.server.metric("skirmish_players"), 1)
        self.assertEqual(self.server.metric("skirmish_tls_handshakes_total"), 1)


class WithAnRsaKey(OverTls):
    """As certbot makes it."""

    key = RSA


class Keys(unittest.TestCase):
    def test_forms_of_openssl(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        cert, key = certificate(folder, *RSA)
        traditional, encrypted = folder / "pkcs1.pem", folder / "encrypted.pem"
        convert = ["openssl", "rsa", "-in", key]
        quiet = {"check": True, "stderr": subprocess.DEVNULL}
        subprocess.run([*convert, "-traditional", "-out", traditional], **quiet)
        subprocess.run([*convert, "-aes128", "-passout", "pass:word", "-out", encrypted], **quiet)
        self.assertIn("BEGIN RSA PRIVATE KEY", traditional.read_text())
        server = Server("--cert", cert, "--key", traditional)
        self.assertTrue(server.url.startswith("https://"))
        self.assertEqual(server.stop(), 0)
        command = [BINARY, "--listen", "127.0.0.1:0", "--cert", cert, "--key", encrypted]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_MAX_S)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("is encrypted; remove its passphrase", refused.stderr)


if __name__ == "__main__":
    unittest.main()
