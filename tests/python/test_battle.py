"""python-socketio, sync and async, plays the battle over every transport.

Here the client keeps its own bound of 16 packets a poll: in a small room no answer has more.
"""

import asyncio
import time
import unittest

import engineio
import socketio

from harness import PATIENCE_S, TRANSPORTS, Server

EVENTS = [
    "new_player",
    "player_moved",
    "player_attacked",
    "player_killed",
    "player_respawned",
    "player_left",
]
NAMES = ["Ann", "Ben", "Cleo"]
STEP, MIDDLE, UNHURT = 5, 50, 100
# Far enough apart that no blow reaches from the one to the other.
HERE, YONDER = (20, 20), (80, 80)
# A tick: asking again sooner would change nothing, and more than 40 events a second are too many.
AGAIN_S = 0.05


class Player:
    """What a client hears, and what it may do; an async client is awaited, another has threads."""

    def __init__(self, case, client):
        self.case, self.client = case, client
        self.heard = []
        for event in EVENTS:
            client.on(event, lambda data, event=event: self.heard.append((event, data)))

    async def do(self, method, *arguments, **options):
        method = getattr(self.client, method)
        if asyncio.iscoroutinefunction(method):
            return await method(*arguments, **options)
        return await asyncio.to_thread(method, *arguments, **options)

    async def join(self, url, transports, room, name):
        await self.do(
            "connect",
            url,
            auth={"room": room, "name": name},
            transports=transports,
            wait_timeout=PATIENCE_S,
        )
        self.id = self.client.get_sid()
        # Whoever joins is told where it stands.
        position = (await self.hears("player_moved", id=self.id))["position"]
        self.place = position["x"], position["y"]

    def call(self, event, data):
        return self.do("call", event, data, timeout=PATIENCE_S)

    async def hears(self, event, **fields):
        """The data of such an event, once it has come."""
        end = time.monotonic() + PATIENCE_S
        while True:
            for name, data in list(self.heard):
                if name == event and fields.items() <= data.items():
                    return data
            self.case.assertLess(time.monotonic(), end, f"{event} {fields} in vain: {self.heard}")
            await asyncio.sleep(0.01)

    async def sees(self, player):
        """Waits until it has heard that somebody stands where that stands."""
        x, y = player.place
        position = {"x": x, "y": y, "hp": UNHURT}
        await self.hears("player_moved", id=player.id, position=position)

    async def move(self, x, y):
        answer = await self.call("move", {"x": x, "y": y})
        self.case.assertTrue(answer["ok"], answer)
        self.place = answer["position"]["x"], answer["position"]["y"]

    async def walk(self, x, y):
        """One move leads no farther than a step, so it is said until the place is reached."""
        end = time.monotonic() + PATIENCE_S
        while self.place != (x, y):
            self.case.assertLess(time.monotonic(), end, f"it stays at {self.place}")
            await self.move(x, y)
            await asyncio.sleep(AGAIN_S)

    async def strike(self):
        end = time.monotonic() + PATIENCE_S
        while (answer := await self.call("attack", {})) != {"ok": True}:
            self.case.assertEqual(answer, {"ok": False, "error": "cooldown"})
            self.case.assertLess(time.monotonic(), end, "the cooldown does not end")
            await asyncio.sleep(AGAIN_S)


class Battle(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0, "the server ends cleanly"

    async def asyncSetUp(self):
        # It would tell of every slow turn of the loop.
        asyncio.get_running_loop().set_debug(False)
        self.assertEqual(engineio.payload.Payload.max_decode_packets, 16)

    async def test_sync(self):
        await self.in_rooms("sync", socketio.Client)

    async def test_async(self):
        await self.in_rooms("async", socketio.AsyncClient)

    async def in_rooms(self, kind, client):
        """All transports at once, each in a room of its own: most of a fight is waiting."""
        clients = lambda: client(reconnection=False, handle_sigint=False)
        fights = [
            self.fight(f"battle-{kind}-{number}", clients, *transports)
            for number, transports in enumerate(TRANSPORTS)
        ]
        await asyncio.gather(*fights)

    async def fight(self, room, client, transports, final):
        players = [Player(self, client()) for _ in NAMES]
        for player, name in zip(players, NAMES):
            self.addAsyncCleanup(player.do, "disconnect")
            await player.join(self.server.url, transports, room, name)
            self.assertEqual(player.client.transport(), final)
        everybody = lambda event, **fields: asyncio.gather(
            *(player.hears(event, **fields) for player in players)
        )
        for player in players:
            for other, name in zip(players, NAMES):
                if other is not player:
                    position = (await player.hears("new_player", id=other.id))["position"]
                    self.assertEqual((position["name"], position["hp"]), (name, UNHURT))
        ann, ben, cleo = players

        # Whoever comes has saved four moves.
        x, y = ann.place
        step = STEP if x <= MIDDLE else -STEP
        for steps in range(1, 5):
            await ann.move(x + steps * step, y)
            self.assertEqual(ann.place, (x + steps * step, y))
        await asyncio.gather(*(player.sees(ann) for player in players))

        await asyncio.gather(ann.walk(*HERE), ben.walk(*HERE), cleo.walk(*YONDER))
        await asyncio.gather(*(one.sees(other) for one in players for other in players))

        for hp in reversed(range(0, UNHURT, 10)):
            await ann.strike()
            await everybody("player_attacked", id=ben.id, hp=hp)
        for killed in await everybody("player_killed", id=ben.id):
            self.assertEqual(killed, {"id": ben.id, "by": ann.id, "respawn_ms": 3000})
        for event, data in [("move", {"x": 0, "y": 0}), ("attack", {})]:
            answer = await ben.call(event, data)
            self.assertEqual((answer["ok"], answer["error"]), (False, "dead"))
        for back in await everybody("player_respawned", id=ben.id):
            position = back["position"]
            found = [position[field] for field in ["hp", "kills", "deaths", "name"]]
            self.assertEqual(found, [UNHURT, 0, 1, "Ben"])
        ben.place = position["x"], position["y"]
        await asyncio.gather(*(player.sees(ben) for player in players))
        hits = [data["id"] for event, data in cleo.heard if event == "player_attacked"]
        self.assertEqual(hits, [ben.id] * 10)

        await ben.do("disconnect")
        await asyncio.gather(*(player.hears("player_left", id=ben.id) for player in [ann, cleo]))
        # Those who are left play on.
        await ann.walk(HERE[0] + STEP, HERE[1])
        await cleo.sees(ann)


if __name__ == "__main__":
    unittest.main()
