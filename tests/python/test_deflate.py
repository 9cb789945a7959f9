"""Client libraries that compress (RFC 7692) receive what a client without compression receives."""

import asyncio
import json
import re
import unittest

import aiohttp
import websockets

from harness import WAIT_MAX_S, Server

OTHERS = 40
STATES = 40
# Clients of different rates receive updates that refer to different ones.
RATES = [20, 10]
# A client that reads nothing for this long, and then all of it.
PAUSE_S = 1.0
DIRECTIONS = ["UP", "LEFT", "DOWN", "RIGHT"]
AGREED = "permessage-deflate; client_no_context_takeover"


def move(number):
    return json.dumps({"type": "move", "direction": DIRECTIONS[number % 4]})


class States:
    """The states that a client has received, by tick."""

    def __init__(self):
        self.by_tick = {}

    def receive(self, text):
        if text.startswith('{"type":"state_update"'):
            tick = int(re.search(r'"tick":(\d+)[^\[\]]*$', text)[1])
            assert tick > max(self.by_tick, default=0), f"tick {tick} is late"
            self.by_tick[tick] = text

    async def until(self, count):
        """Waits until the client has received that many states."""
        async with asyncio.timeout(WAIT_MAX_S):
            while len(self.by_tick) < count:
                await asyncio.sleep(0.01)


class Deflate(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.url = cls.server.url.replace("http", "ws") + "ws?room=dots-deflate"

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0, "the server ends cleanly"

    async def asyncSetUp(self):
        # Debug mode would log every slow turn of the loop.
        asyncio.get_running_loop().set_debug(False)
        self.tasks = []
        self.http = aiohttp.ClientSession()
        self.plain = States()
        # aiohttp offers no compression by default.
        await self.keep_reading(await self.http.ws_connect(self.url), self.plain)
        for _ in range(OTHERS):
            socket = await self.http.ws_connect(self.url)
            await socket.send_str('{"type":"rate","hz":1}')
            await self.keep_reading(socket, States(), moves=True)

    async def asyncTearDown(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.http.close()

    async def keep_reading(self, socket, states, moves=False):
        """Reads a WebSocket of aiohttp, and moves on every tick if asked to."""

        async def read():
            async for message in socket:
                states.receive(message.data)

        async def play():
            for number in range(10**9):
                await socket.send_str(move(number))
                await asyncio.sleep(0.05)

        for run in [read, play][: 2 if moves else 1]:
            self.tasks.append(asyncio.create_task(run()))

    async def check(self, states, least):
        """Compares states with those of the client without compression."""
        await self.plain.until(len(self.plain.by_tick) + 1)
        compared = 0
        for tick, text in states.by_tick.items():
            if tick in self.plain.by_tick:
                assert text == self.plain.by_tick[tick], f"tick {tick}"
                compared += 1
        self.assertGreaterEqual(compared, least)

    async def play_websockets(self, hz):
        """Moves, does not read for a while, and then receives states."""
        states = States()
        async with websockets.connect(self.url) as socket:
            headers = socket.response.headers
            self.assertEqual(headers["Sec-WebSocket-Extensions"], AGREED)
            await socket.send(json.dumps({"type": "rate", "hz": hz}))
            for number in range(10):
                await socket.send(move(number))
            # It stops reading its socket when its queue of messages is full.
            await asyncio.sleep(PAUSE_S)
            async with asyncio.timeout(WAIT_MAX_S):
                while len(states.by_tick) < STATES:
                    states.receive(await socket.recv())
        await self.check(states, STATES // 2)

    async def play_aiohttp(self, hz):
        states = States()
        async with self.http.ws_connect(self.url, compress=15) as socket:
            self.assertEqual(socket.compress, 15)
            await socket.send_str(json.dumps({"type": "rate", "hz": hz}))
            for number in range(10):
                await socket.send_str(move(number))
            socket._response.connection.transport.pause_reading()
            await asyncio.sleep(PAUSE_S)
            socket._response.connection.transport.resume_reading()
            async with asyncio.timeout(WAIT_MAX_S):
                while len(states.by_tick) < STATES:
                    states.receive((await socket.receive()).data)
        await self.check(states, STATES // 2)

    async def test_websockets_with_its_defaults(self):
        # It joins, leaves and comes back.
        for _ in range(2):
            await asyncio.gather(*map(self.play_websockets, RATES))

    async def test_aiohttp_with_compression(self):
        for _ in range(2):
            await asyncio.gather(*map(self.play_aiohttp, RATES))


if __name__ == "__main__":
    unittest.main()
