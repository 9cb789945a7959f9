"""python-socketio, sync and async, plays a battle over every transport.

The client keeps its default limit of 16 packets per poll: a small room never exceeds it.
"""

import asyncio
import time
import unittest

import engineio
import socketio

from harness import WAIT_MAX_S, TRANSPORTS, Server

EVENTS = [
    "new_player",
    "player_moved",
    "player_attacked",
    "player_killed",
    "player_respawned",
    "player_left",
]
NAMES = ["Ann", "Ben", "Cleo"]
STEP, MIDDLE, HP_MAX = 5, 50, 100
# Out of attack range of each other.
NEAR, FAR = (20, 20), (80, 80)
# One tick: a faster retry changes nothing and would exceed 40 events per second.
RETRY_S = 0.05


class Player:
    """A client, sync or async, and the events it has received."""

    def __init__(self, case, client):
        self.case, self.client = case, client
        self.received = []
        for event in EVENTS:
            client.on(event, lambda data, event=event: self.received.append((event, data)))

    async def do(self, method, *arguments, **options):
        method = getattr(self.client, method)
        if asyncio.iscoroutinefunction(method):
            return await method(*arguments, **options)
        return await asyncio.to_thread(method, *arguments, **options)

    async def join(self, url, transports, room, name):
        await self.do(
            "connect",
            url,
            # One of them is asked how far it is, and answers by itself.
            auth={"room": room, "name": name, "acks": name == "Ann"},
            transports=transports,
            wait_timeout=WAIT_MAX_S,
        )
        self.id = self.client.get_sid()
        # The last event of the join is the own position.
        position = (await self.receives("player_moved", id=self.id))["position"]
        self.place = position["x"], position["y"]

    def call(self, event, data):
        return self.do("call", event, data, timeout=WAIT_MAX_S)

    async def receives(self, event, **fields):
        """Waits for an event with these fields, and returns its data."""
        end = time.monotonic() + WAIT_MAX_S
        while True:
            for name, data in list(self.received):
                if name == event and fields.items() <= data.items():
                    return data
            self.case.assertLess(time.monotonic(), end, f"{event} {fields} missing: {self.received}")
            await asyncio.sleep(0.01)

    async def receives_position_of(self, player):
        """Waits for the current position of that player."""
        x, y = player.place
        position = {"x": x, "y": y, "hp": HP_MAX}
        await self.receives("player_moved", id=player.id, position=position)

    async def move(self, x, y):
        ack = await self.call("move", {"x": x, "y": y})
        self.case.assertTrue(ack["ok"], ack)
        self.place = ack["position"]["x"], ack["position"]["y"]

    async def walk(self, x, y):
        """Moves until the position is reached; one move is limited to a step."""
        end = time.monotonic() + WAIT_MAX_S
        while self.place != (x, y):
            self.case.assertLess(time.monotonic(), end, f"stuck at {self.place}")
            await self.move(x, y)
            await asyncio.sleep(RETRY_S)

    async def attack(self):
        end = time.monotonic() + WAIT_MAX_S
        while (ack := await self.call("attack", {})) != {"ok": True}:
            self.case.assertEqual(ack, {"ok": False, "error": "cooldown"})
            self.case.assertLess(time.monotonic(), end, "the cooldown does not end")
            await asyncio.sleep(RETRY_S)


class Battle(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0, "the server ends cleanly"

    async def asyncSetUp(self):
        # Debug mode would log every slow turn of the loop.
        asyncio.get_running_loop().set_debug(False)
        self.assertEqual(engineio.payload.Payload.max_decode_packets, 16)

    async def test_sync(self):
        await self.in_rooms("sync", socketio.Client)

    async def test_async(self):
        await self.in_rooms("async", socketio.AsyncClient)

    async def in_rooms(self, kind, client):
        """All transports at once, each in its own room: a battle mostly waits."""
        clients = lambda: client(reconnection=False, handle_sigint=False)
        battles = [
            self.battle(f"battle-{kind}-{number}", clients, *transports)
            for number, transports in enumerate(TRANSPORTS)
        ]
        await asyncio.gather(*battles)

    async def battle(self, room, client, transports, final):
        players = [Player(self, client()) for _ in NAMES]
        for player, name in zip(players, NAMES):
            self.addAsyncCleanup(player.do, "disconnect")
            await player.join(self.server.url, transports, room, name)
            self.assertEqual(player.client.transport(), final)
        all_receive = lambda event, **fields: asyncio.gather(
            *(player.receives(event, **fields) for player in players)
        )
        for player in players:
            for other, name in zip(players, NAMES):
                if other is not player:
                    position = (await player.receives("new_player", id=other.id))["position"]
                    self.assertEqual((position["name"], position["hp"]), (name, HP_MAX))
        ann, ben, cleo = players

        # A new player has four saved moves.
        x, y = ann.place
        step = STEP if x <= MIDDLE else -STEP
        for steps in range(1, 5):
            await ann.move(x + steps * step, y)
            self.assertEqual(ann.place, (x + steps * step, y))
        await asyncio.gather(*(player.receives_position_of(ann) for player in players))

        await asyncio.gather(ann.walk(*NEAR), ben.walk(*NEAR), cleo.walk(*FAR))
        await asyncio.gather(*(one.receives_position_of(other) for one in players for other in players))

        for hp in reversed(range(0, HP_MAX, 10)):
            await ann.attack()
            await all_receive("player_attacked", id=ben.id, hp=hp)
        for killed in await all_receive("player_killed", id=ben.id):
            self.assertEqual(killed, {"id": ben.id, "by": ann.id, "respawn_ms": 3000})
        for event, data in [("move", {"x": 0, "y": 0}), ("attack", {})]:
            ack = await ben.call(event, data)
            self.assertEqual((ack["ok"], ack["error"]), (False, "dead"))
        for back in await all_receive("player_respawned", id=ben.id):
            position = back["position"]
            found = [position[field] for field in ["hp", "kills", "deaths", "name"]]
            self.assertEqual(found, [HP_MAX, 0, 1, "Ben"])
        ben.place = position["x"], position["y"]
        await asyncio.gather(*(player.receives_position_of(ben) for player in players))
        hits = [data["id"] for event, data in cleo.received if event == "player_attacked"]
        self.assertEqual(hits, [ben.id] * 10)

        await ben.do("disconnect")
        await asyncio.gather(*(player.receives("player_left", id=ben.id) for player in [ann, cleo]))
        # The others can still play.
        await ann.walk(NEAR[0] + STEP, NEAR[1])
        await cleo.receives_position_of(ann)


if __name__ == "__main__":
    unittest.main()
