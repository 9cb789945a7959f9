"""python-socketio, sync and async, over every transport, against `--echo`.

Run with `python -m unittest` in this folder. SKIRMISH_BIN is the server to test; the default is
target/debug/skirmish.
"""

import asyncio
import queue
import time
import unittest

import engineio
import socketio

from harness import WAIT_MAX_S, TRANSPORTS, Server

FLAGS = ["--echo", "--ping-interval-ms", "300", "--ping-timeout-ms", "2000"]
# Longer than three ping intervals.
HEARTBEATS_S = 1.0
AUTH = {"token": "123", "deep": [{"name": "κόσμε \U0001f600"}]}
MESSAGES = [
    (),
    ("hello",),
    (1, "2", {"3": [True, None]}, -0.5, ""),
    ('κόσμε \U0001f600\u2028\x1e"\\\n\0', {"\U0001f600": "é"}),
    (b"\x00\x01\x02\xff", b""),
    ({"b": [{"c": b"\x03\x1e"}], "a": b"\x04"}, "x", [b"\x05"]),
]
NAMESPACES = ["/", "/custom"]

PACKETS_MAX = engineio.payload.Payload.max_decode_packets


def setUpModule():
    # By default this client rejects a payload of more than 16 packets.
    engineio.payload.Payload.max_decode_packets = 1_000


def tearDownModule():
    engineio.payload.Payload.max_decode_packets = PACKETS_MAX


def ack_value(arguments):
    """What the client returns for an ack with these arguments."""
    return {0: None, 1: arguments[0] if arguments else None}.get(len(arguments), arguments)


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(*FLAGS)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0, "the server ends cleanly"

    def assert_left(self, server):
        """Waits until the server has no sessions."""
        end = time.monotonic() + WAIT_MAX_S
        while server.sessions() != 0:
            self.assertLess(time.monotonic(), end, "a session is left behind")
            time.sleep(0.01)


def listen(client, new_queue):
    """Queues of the events that a client receives, by namespace and event."""
    received = {}
    for namespace in [*NAMESPACES, "/unknown"]:
        for event in ["auth", "message-back", "connect_error", "disconnect"]:
            events = received[namespace, event] = new_queue()
            put = lambda *arguments, events=events: events.put_nowait(arguments)
            client.on(event, put, namespace=namespace)
    return received


class Sync(WithServer):
    def client(self):
        """A client, and queues of its events by namespace and event."""
        client = socketio.Client(reconnection=False, handle_sigint=False)
        self.addCleanup(client.disconnect)
        return client, listen(client, queue.Queue)

    def connect(self, transports, namespaces=("/",), url=None):
        client, received = self.client()
        client.connect(
            url or self.server.url,
            auth=AUTH,
            transports=transports,
            namespaces=list(namespaces),
            wait_timeout=WAIT_MAX_S,
        )
        for namespace in namespaces:
            auth = received[namespace, "auth"].get(timeout=WAIT_MAX_S)
            self.assertEqual(auth, (AUTH,))
        return client, received

    def test_messages_and_acks(self):
        for transports, final in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = self.connect(transports)
                self.assertEqual(client.transport(), final)
                for message in MESSAGES:
                    client.emit("message", message)
                    back = received["/", "message-back"].get(timeout=WAIT_MAX_S)
                    self.assertEqual(back, message)
                    answer = client.call("message-with-ack", message, timeout=WAIT_MAX_S)
                    self.assertEqual(answer, ack_value(message))
                client.disconnect()

    def test_many_messages_keep_their_order(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = self.connect(transports)
                messages = [(number, bytes([number % 256])) for number in range(200)]
                for message in messages:
                    client.emit("message", message)
                for message in messages:
                    back = received["/", "message-back"].get(timeout=WAIT_MAX_S)
                    self.assertEqual(back, message)
                client.disconnect()

    def test_two_namespaces(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = self.connect(transports, NAMESPACES)
                ids = {client.get_sid(namespace) for namespace in NAMESPACES}
                self.assertEqual(len(ids), 2)
                client.emit("message", "no answer here", namespace="/custom")
                self.assertEqual(client.call("message-with-ack", "x", timeout=WAIT_MAX_S), "x")
                client.disconnect()

    def test_an_unknown_namespace(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = self.client()
                with self.assertRaises(socketio.exceptions.ConnectionError):
                    client.connect(
                        self.server.url,
                        transports=transports,
                        namespaces=["/", "/unknown"],
                        wait_timeout=1,
                    )
                refusal = received["/unknown", "connect_error"].get(timeout=WAIT_MAX_S)
                self.assertEqual(refusal, ({"message": "Invalid namespace"},))
                client.disconnect()

    def test_heartbeats(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, _ = self.connect(transports)
                end = time.monotonic() + HEARTBEATS_S
                while time.monotonic() < end:
                    answer = client.call("message-with-ack", "well?", timeout=WAIT_MAX_S)
                    self.assertEqual(answer, "well?")
                client.disconnect()

    def test_a_disconnect_leaves_nothing_behind(self):
        own = Server(*FLAGS)
        self.addCleanup(own.stop)
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = self.connect(transports, NAMESPACES, own.url)
                self.assertEqual(own.sessions(), 1)
                client.disconnect()
                for namespace in NAMESPACES:
                    reason = received[namespace, "disconnect"].get(timeout=WAIT_MAX_S)
                    self.assertEqual(reason, (client.reason.CLIENT_DISCONNECT,))
                self.assert_left(own)

    def test_the_server_stops(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                own = Server(*FLAGS)
                _, received = self.connect(transports, url=own.url)
                self.assertEqual(own.stop(), 0)
                received["/", "disconnect"].get(timeout=WAIT_MAX_S)


class Async(unittest.IsolatedAsyncioTestCase, WithServer):
    async def asyncSetUp(self):
        # Debug mode would log every slow turn of the loop.
        asyncio.get_running_loop().set_debug(False)

    def client(self):
        """A client, and queues of its events by namespace and event."""
        client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        self.addAsyncCleanup(client.disconnect)
        return client, listen(client, asyncio.Queue)

    async def next_event(self, events):
        return await asyncio.wait_for(events.get(), WAIT_MAX_S)

    async def connect(self, transports, namespaces=("/",), url=None):
        client, received = self.client()
        await client.connect(
            url or self.server.url,
            auth=AUTH,
            transports=transports,
            namespaces=list(namespaces),
            wait_timeout=WAIT_MAX_S,
        )
        for namespace in namespaces:
            self.assertEqual(await self.next_event(received[namespace, "auth"]), (AUTH,))
        return client, received

    async def test_messages_and_acks(self):
        for transports, final in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = await self.connect(transports)
                self.assertEqual(client.transport(), final)
                for message in MESSAGES:
                    await client.emit("message", message)
                    self.assertEqual(await self.next_event(received["/", "message-back"]), message)
                    answer = await client.call("message-with-ack", message, timeout=WAIT_MAX_S)
                    self.assertEqual(answer, ack_value(message))
                await client.disconnect()

    async def test_many_messages_keep_their_order(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = await self.connect(transports)
                messages = [(number, bytes([number % 256])) for number in range(200)]
                for message in messages:
                    await client.emit("message", message)
                for message in messages:
                    self.assertEqual(await self.next_event(received["/", "message-back"]), message)
                await client.disconnect()

    async def test_two_namespaces(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = await self.connect(transports, NAMESPACES)
                ids = {client.get_sid(namespace) for namespace in NAMESPACES}
                self.assertEqual(len(ids), 2)
                await client.emit("message", "no answer here", namespace="/custom")
                answer = await client.call("message-with-ack", "x", timeout=WAIT_MAX_S)
                self.assertEqual(answer, "x")
                await client.disconnect()

    async def test_an_unknown_namespace(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = self.client()
                with self.assertRaises(socketio.exceptions.ConnectionError):
                    await client.connect(
                        self.server.url,
                        transports=transports,
                        namespaces=["/", "/unknown"],
                        wait_timeout=1,
                    )
                refusal = await self.next_event(received["/unknown", "connect_error"])
                self.assertEqual(refusal, ({"message": "Invalid namespace"},))
                await client.disconnect()

    async def test_heartbeats(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, _ = await self.connect(transports)
                end = time.monotonic() + HEARTBEATS_S
                while time.monotonic() < end:
                    answer = await client.call("message-with-ack", "well?", timeout=WAIT_MAX_S)
                    self.assertEqual(answer, "well?")
                await client.disconnect()

    async def test_a_disconnect_leaves_nothing_behind(self):
        own = await asyncio.to_thread(Server, *FLAGS)
        self.addCleanup(own.stop)
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                client, received = await self.connect(transports, NAMESPACES, own.url)
                self.assertEqual(own.sessions(), 1)
                await client.disconnect()
                for namespace in NAMESPACES:
                    reason = await self.next_event(received[namespace, "disconnect"])
                    self.assertEqual(reason, (client.reason.CLIENT_DISCONNECT,))
                self.assert_left(own)

    async def test_the_server_stops(self):
        for transports, _ in TRANSPORTS:
            with self.subTest(transports=transports):
                own = await asyncio.to_thread(Server, *FLAGS)
                _, received = await self.connect(transports, url=own.url)
                # The loop must run while the server waits for its clients.
                self.assertEqual(await asyncio.to_thread(own.stop), 0)
                await self.next_event(received["/", "disconnect"])

if __name__ == "__main__":
    unittest.main()
