"""Client libraries play a room of 200 players in the JSON dialect (docs/clients.md)."""

import asyncio
import json
import re
import subprocess
import tempfile
import time
import unittest

import aiohttp
import websocket

from harness import BINARY, WAIT_MAX_S, Server

PLAYERS = 200
# The default limit of Tomcat, the smallest of the measured ones.
LIMIT_BYTES = 8192
RIGHT = json.dumps({"type": "move", "direction": "RIGHT"})
LEFT = json.dumps({"type": "move", "direction": "LEFT"})


class Player:
    """What a client knows: it receives messages, and says what to send."""

    def __init__(self):
        self.init, self.start, self.has_moved = None, None, False

    def receive(self, text):
        """Handles a message. Returns the message to send, if any."""
        message = json.loads(text)
        if message["type"] == "init":
            self.init = message
            return None
        players = {player["id"]: player for player in message["players"]}
        if len(players) < PLAYERS:
            return None
        assert len(text.encode()) <= self.init["state_bytes_max"], self.init
        me = players[self.init["id"]]
        self.start = self.start or me
        self.has_moved = me["x"] != self.start["x"]
        walls = self.init["rules_data"]["walls"]
        return LEFT if me["x"] == walls[2] else RIGHT


class RoomOf200(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.log = tempfile.NamedTemporaryFile("w+")
        cls.server = Server("--log-level", "warn", log=cls.log)
        cls.url = cls.server.url.replace("http", "ws") + "?name=Ann"
        load = [BINARY, "load", cls.server.url, "--clients", str(PLAYERS - 1), "--seconds", "600"]
        cls.others = subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.others.kill()
        cls.others.wait()
        assert cls.server.stop() == 0, "the server ends cleanly"
        cls.log.close()

    async def asyncSetUp(self):
        # Debug mode would log every slow turn of the loop.
        asyncio.get_running_loop().set_debug(False)

    async def play(self, **options):
        """Plays with aiohttp. Returns the player and the close code, or None if it has moved."""
        player = Player()
        async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT_MAX_S):
            async with session.ws_connect(self.url, **options) as ws:
                async for message in ws:
                    if message.type != aiohttp.WSMsgType.TEXT:
                        break
                    answer = player.receive(message.data)
                    if player.has_moved:
                        return player, None
                    if answer:
                        await ws.send_str(answer)
                return player, ws.close_code

    async def test_aiohttp_with_its_defaults(self):
        player, code = await self.play()
        self.assertTrue(player.has_moved, code)

    async def test_websocket_client_with_its_defaults(self):
        player, errors = Player(), []
        end = time.monotonic() + WAIT_MAX_S

        def receive(app, text):
            answer = player.receive(text)
            if player.has_moved or time.monotonic() > end:
                app.close()
            elif answer:
                app.send(answer)

        app = websocket.WebSocketApp(
            self.url, on_message=receive, on_error=lambda _, error: errors.append(error)
        )
        await asyncio.to_thread(app.run_forever)
        self.assertTrue(player.has_moved, errors)

    async def test_a_client_with_a_small_limit_needs_its_option(self):
        # The states are larger once the others are there.
        await self.play()
        player, code = await self.play(max_msg_size=LIMIT_BYTES)
        self.assertEqual((player.has_moved, code), (False, 1009))
        line = await self.logged("1009")
        self.assertIn("name=Ann", line)
        self.assertGreater(int(re.search(r"state_bytes=(\d+)", line)[1]), LIMIT_BYTES)
        # What the server says is enough.
        player, code = await self.play(max_msg_size=player.init["state_bytes_max"])
        self.assertTrue(player.has_moved, code)

    async def logged(self, text):
        """Waits for a line of the log that contains the text."""
        end = time.monotonic() + WAIT_MAX_S
        while True:
            with open(self.log.name) as log:
                for line in log:
                    if text in line and line.endswith("\n"):
                        return line
            self.assertLess(time.monotonic(), end, f"{text} is not logged")
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
