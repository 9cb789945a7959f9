"""Rows T65, T66, T74 and T83: a crowd, ghosts, seats, and clients that do not poll again."""

import asyncio
import contextlib
import itertools
import json
import random
import time

from players import Json, Observer, SocketIo, V1
from replica import Replica
from rows.flow import addresses, repeat_until
from rows.web import open_session, post
from server import difference, quantile
from trial import row
from wire import (
    BINARY, CLOSE, PONG, TEXT, UPGRADE, WEBSOCKET, ask, connect, frame, join, receive, request,
    reset, send, unmasked_frames,
)

V1_FIELDS = V1.fields
CROWD, TICK_MAX_MS, MESSAGE_BYTES_MAX = 500, 10, 8 << 10
# 500 turns take some 1,100 bytes. What is not counted is the own player, for instance.
VIEW_BYTES, OTHER_BYTES = 600, 100
NEAR = 100


class Note(Observer):
    """Notes how many have joined, and each end."""

    def __init__(self):
        self.joins, self.ends = 0, []

    def joined(self, player, at):
        self.joins += 1

    def ended(self, player, code, reason, at):
        self.ends.append((type(player).__name__, code, reason))

    async def until_joined(self, players, limit_s=60):
        until = time.monotonic() + limit_s
        while any(player.id is None for player in players):
            if time.monotonic() > until:
                raise TimeoutError(f"{sum(one.id is None for one in players)} have not joined")
            await asyncio.sleep(0.05)


class ToCorner(V1):
    """Turns around in a corner of the map, where all others are, too."""

    def begin(self):
        super().begin()
        self.forget_sizes()

    def forget_sizes(self):
        self.largest = self.largest_keyframe = 0
        self.a_tick = []

    def head(self, payload, offset, at):
        size, age = len(payload), payload[offset + 6]
        if age == 0:
            self.largest_keyframe = max(self.largest_keyframe, size)
        else:
            # A client that was not ready has the changes of several ticks at once.
            self.largest = max(self.largest, size)
            self.a_tick.append(size / age)
        super().head(payload, offset, at)

    def act(self):
        """Waits for the order to turn."""

    def turn(self):
        # Down or right, then back.
        self.way = self.way - 1 if self.way in (2, 4) else self.rng.choice([2, 4])
        self.presses += self.attacks
        self.input()


class ToCornerJson(Json):
    """The same with JSON, and knows where all are."""

    rate_hz = 2

    def act(self):
        self.say(type="move", direction=self.rng.choice(["UP", "LEFT"]))


class Deaf(SocketIo):
    """Reads the events of the crowd, without a look at them."""

    def message(self, opcode, payload, at):
        if not payload.startswith(b'42["player_'):
            super().message(opcode, payload, at)

    def act(self):
        self.send(b'42["move",{"x":0,"y":0}]')


async def gather_in_a_corner(trial):
    trial.seen = Note()
    trial.seen.wants_own = True
    kinds = [ToCorner] * (CROWD - 15) + [ToCornerJson] * 10 + [Deaf] * 5
    sources = itertools.cycle(addresses(65, 25))
    trial.crowd = [
        kind(trial.port, "battle-corner", trial.seen, hz=6, source=next(sources)) for kind in kinds
    ]
    trial.tasks = []
    for part in range(0, CROWD, 50):
        players = trial.crowd[part : part + 50]
        trial.tasks += [asyncio.create_task(player.run()) for player in players]
        await trial.seen.until_joined(players)
    for player in trial.crowd:
        if isinstance(player, ToCorner):
            player.way = player.rng.choice([1, 3])
            player.input()
    await asyncio.sleep(3)
    players = [one for one in trial.crowd if isinstance(one, ToCorner)]
    for player in players:
        player.forget_sizes()
    await turn_at_once(players, 3)
    # After a fight all heal, which is not held back.
    sizes = sorted(size for player in players for size in player.a_tick)
    turns = round(sizes[len(sizes) * 95 // 100])
    trial.note("bytes a tick p95 without attacks", turns)
    turns_max = VIEW_BYTES + OTHER_BYTES
    trial.demand(turns <= turns_max, f"{turns} bytes a tick without attacks")


async def turn_at_once(players, seconds):
    """All turn on the same tick, and again 4 ticks later."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for player in players:
            player.turn()
        await asyncio.sleep(0.2)


@row("T65", "500 players in one corner of a battle turn on the same tick, and ten attack",
     prepare=gather_in_a_corner, seconds=(9, 15), timed=True,
     flags=("--view-bytes", str(VIEW_BYTES)), without={
         "memory": "the states of 500 players grow with their scores"})
async def hot_spot(trial):
    before = trial.server.metrics()
    players = [one for one in trial.crowd if isinstance(one, ToCorner)]
    for player in players:
        player.forget_sizes()
    await turn_at_once(players, trial.seconds - 6.5)
    world = next(one for one in trial.crowd if isinstance(one, ToCornerJson)).world
    near = sum(one["x"] <= NEAR and one["y"] <= NEAR for one in world.values())
    # Each attack hits all in reach; the dead come back from elsewhere.
    for player in players[:10]:
        player.attacks = True
    await turn_at_once(players, 2)
    for player in players:
        player.attacks = False
    # They come back after 3 s.
    await turn_at_once(players, 4.5)
    largest = max(player.largest for player in players)
    more = difference(trial.server.metrics(), before)
    family = "skirmish_tick_work_seconds"
    longest = quantile(more, family, 1)
    mean = 1e3 * more[f"{family}_sum"] / more[f"{family}_count"]
    trial.note("in the corner", near)
    trial.note("tick mean/p99/max ms",
               f"{mean:.1f}/{quantile(more, family, 0.99):g}/{longest:g}")
    trial.note("message max", largest)
    trial.note("keyframe max", max(player.largest_keyframe for player in players))
    held_back = int(more["skirmish_changes_held_back_total"])
    trial.note("changes held back", held_back)
    trial.demand(held_back > 1_000, f"{held_back} changes were held back")
    trial.demand(near >= CROWD * 0.9, f"{near} of {CROWD} are in the corner")
    trial.demand(longest <= TICK_MAX_MS, f"a tick took up to {longest:g} ms")
    trial.demand(largest <= MESSAGE_BYTES_MAX, f"a message of {largest} bytes")
    trial.demand(not trial.seen.ends, f"lost: {trial.seen.ends[:3]}")


class Watch(Note):
    """Keeps what the watcher with JSON has on each tick."""

    wants_own = True

    def __init__(self):
        super().__init__()
        self.ticks = {}

    def saw(self, player, tick, own, at):
        if type(player) is Json and not player.acts:
            self.ticks[tick] = sorted(player.places().values())


CHURN_ROOM = "battle-churn"


async def watch_a_room(trial):
    """A watcher of each dialect, and nine players that stay."""
    trial.seen = Watch()
    kinds = [Json, SocketIo, Replica] + [Json, SocketIo, V1] * 3
    trial.players = [
        kind(trial.port, CHURN_ROOM, trial.seen, resumes=False, source=source)
        for kind, source in zip(kinds, addresses(68, len(kinds)))
    ]
    trial.watchers = trial.players[:3]
    for watcher in trial.watchers:
        watcher.acts = False
    trial.tasks = [asyncio.create_task(player.run()) for player in trial.players]
    await trial.seen.until_joined(trial.players)


class Churn:
    """Clients that join and leave, in every dialect, and in every way."""

    def __init__(self, port):
        self.port, self.rng, self.joins = port, random.Random(66), 0

    def end(self, client, opcode, payload):
        """Leaves with a close, without one, or with a reset."""
        way = self.rng.randrange(3)
        with contextlib.suppress(OSError):
            if way == 0:
                client.send(frame(opcode, payload))
        reset(client) if way == 2 else client.close()

    async def first(self, client, rest=b""):
        while not (frames := unmasked_frames(rest)[0]):
            more = await receive(client, 3)
            if not more:
                raise ConnectionError("ended")
            rest += more
        self.joins += 1
        return frames[0][1]

    async def play(self, source, fields, opcode, move):
        client, rest = await join(self.port, CHURN_ROOM, source, fields)
        try:
            await self.first(client, rest)
            await send(client, frame(opcode, move))
        finally:
            self.end(client, CLOSE, b"\x03\xe8")

    async def json(self, source):
        await self.play(source, "", TEXT, b'{"type":"move","direction":"UP"}')

    async def v1(self, source):
        await self.play(source, V1_FIELDS, BINARY, bytes([0x10, 4]) + bytes(6))

    async def socketio(self, source):
        client = await connect(self.port, source)
        try:
            await send(client, request(f"{WEBSOCKET}&room={CHURN_ROOM}", UPGRADE))
            await receive(client, 3)
            await send(client, frame(TEXT, b"40"))
            await self.first(client)
        finally:
            self.end(client, TEXT, b"41")

    async def polling(self, source):
        path = await open_session(self.port, source, f"&room={CHURN_ROOM}")
        await ask(self.port, post(path, b"40"), source, 3)
        self.joins += 1
        await ask(self.port, post(path, b"41\x1e1" if self.rng.random() < 0.5 else b"1"), source, 3)

    async def twice(self, source):
        """Two clients with one token: the second has the player of the first."""
        client, rest = await join(self.port, f"{CHURN_ROOM}&resume=1", source)
        with contextlib.closing(client):
            token = json.loads(await self.first(client, rest))["token"]
            other, _ = await join(self.port, f"{CHURN_ROOM}&resume={token}", source)
            self.end(other, CLOSE, b"\x03\xe8")

    async def run(self, until):
        kinds = [self.json, self.v1, self.socketio, self.polling, self.twice]
        await asyncio.gather(*[
            repeat_until(until, kinds[number % 5], source)
            for number, source in enumerate(addresses(66, 60))
        ])


@row("T66", "joins and leaves of every dialect as fast as the rates allow, from 60 addresses, with "
     "a watcher in each dialect (also T67 and T69)", prepare=watch_a_room, seconds=(8, 25),
     flags=("--resume-s", "1"), without={
         "others": "joins above the rates are refused, and tried again"})
async def ghosts(trial):
    trial.peers = 60
    churn = Churn(trial.port)
    watcher_json, _, replica = trial.watchers
    for ticks in (trial.seen.ticks, replica.ticks):
        ticks.clear()
    for player in trial.players[3:]:
        player.acts = True
    await churn.run(time.monotonic() + trial.seconds - 4)
    for player in trial.players[3:]:
        player.acts = False
    # An absent player stays for a second, and a course for as long without an INPUT.
    await asyncio.sleep(3.5)
    present = {player.id for player in trial.players}
    worlds = {type(one).__name__: dict(one.places()) for one in trial.watchers}
    places = worlds[type(watcher_json).__name__]
    both = set(trial.seen.ticks) & set(replica.ticks)
    different = [tick for tick in both if trial.seen.ticks[tick] != replica.ticks[tick]]
    trial.note("joins of a round", churn.joins)
    trial.note("ticks compared", len(both))
    trial.note("sums compared", replica.sums)
    trial.note("bodies named", len(replica.numbers))
    for name, world in worlds.items():
        trial.demand(
            set(world) == present,
            f"{name}: ghosts {set(world) - present}, missing {present - set(world)}",
        )
        trial.demand(world == places, f"{name} has other places than JSON")
    trial.demand(churn.joins > 100, f"{churn.joins} joins")
    trial.demand(len(both) > 50 and not different, f"ticks {sorted(different)[:5]} of {len(both)}")
    trial.demand(replica.sums and not replica.wrong_sums, f"{replica.wrong_sums} wrong sums")
    trial.demand(not replica.resyncs, f"{replica.resyncs} deltas without their base")
    trial.demand(not replica.numbers.changed, f"{replica.numbers.changed} bodies changed players")
    trial.demand(not replica.without_spawn, f"{replica.without_spawn} appeared without a spawn")
    trial.demand(not trial.seen.ends, f"lost: {trial.seen.ends[:3]}")


FILLERS, ROOM_PLAYERS = 2, 400
JOINS_A_SECOND = 10


async def fill_with_two(trial):
    """Two addresses take every seat, and take it again when it is given away."""
    trial.fillers = set()

    async def hold(source, turn):
        while True:
            try:
                async with turn:
                    # As fast as an address may join.
                    await asyncio.sleep(1 / JOINS_A_SECOND if len(trial.fillers) > 100 else 0)
                    client, _ = await join(trial.port, "battle-seats", source, V1_FIELDS)
            except OSError:
                continue
            await send(client, frame(BINARY, b"\x13\x01"))
            trial.fillers.add(client)
            with contextlib.closing(client):
                # A place is lost with a close frame, and the connection ends soon after it.
                with contextlib.suppress(OSError, asyncio.TimeoutError):
                    while not has_close(await receive(client)):
                        pass
                trial.fillers.discard(client)

    turns = {source: asyncio.Lock() for source in addresses(69, FILLERS)}
    trial.tasks = [
        asyncio.create_task(hold(source, turn))
        for source, turn in turns.items() for _ in range(ROOM_PLAYERS // FILLERS)
    ]
    trial.tasks.append(asyncio.create_task(keep_alive(trial.fillers)))
    until = time.monotonic() + 60
    while len(trial.fillers) < ROOM_PLAYERS:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(trial.fillers)} of {ROOM_PLAYERS} have joined")
        await asyncio.sleep(0.1)


def has_close(data):
    return not data or CLOSE in [opcode for opcode, _ in unmasked_frames(data)[0]]


async def keep_alive(clients):
    """Clients that are silent would be pinged, and end."""
    while True:
        await asyncio.sleep(3)
        for client in list(clients):
            with contextlib.suppress(OSError):
                client.send(frame(PONG))


@row("T74", "players of two addresses hold all seats of a room of 400, and 20 others want "
     "to join", prepare=fill_with_two, seconds=(1, 1), counters=("full", "room_share"),
     flags=("--room-players-max", str(ROOM_PLAYERS), "--resume-s", "1"),
     without={"others": "players without a seat ask again, above the rates"})
async def seats(trial):
    while len(trial.fillers) < ROOM_PLAYERS:
        await asyncio.sleep(0.1)
    trial.peers = 22
    seen = Note()
    kinds = [Json, V1, SocketIo, Json]
    players = [
        kinds[number % 4](trial.port, "battle-seats", seen, resumes=False, source=source)
        for number, source in enumerate(addresses(70, 20))
    ]
    began, waits = time.monotonic(), []

    async def come(player):
        task = asyncio.create_task(player.run())
        try:
            while player.id is None and time.monotonic() < began + 5:
                await asyncio.sleep(0.01)
            waits.append(time.monotonic() - began)
            # Those that have lost a seat ask for another.
            await asyncio.sleep(3)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*map(come, players))
    joined = sum(player.id is not None for player in players)
    trial.note("got in", f"{joined} of {len(players)}")
    trial.note("last in after ms", round(1e3 * max(waits)))
    trial.demand(joined == len(players), f"{joined} of {len(players)} got in")
    trial.demand(not seen.ends, f"lost their seats: {seen.ends[:3]}")


GONE_MAX_S = 12


@row("T83", "20 polls are held whose clients do not poll again, while their connections stay open",
     seconds=(1, 1), counters=("poll_absence",), back_s=12)
async def absent(trial):
    room = f"battle-absent-{time.monotonic_ns() % 10**9}"
    seen = Note()
    seen.wants_own = True
    watcher = Json(trial.port, room, seen, resumes=False, source="127.83.9.1")
    watcher.acts = False
    task = asyncio.create_task(watcher.run())
    clients = []

    async def begin(source):
        path = await open_session(trial.port, source, f"&room={room}")
        await ask(trial.port, post(path, b"40"), source, 3)
        return path

    async def hold(source, path):
        client = await connect(trial.port, source)
        clients.append(client)
        await send(client, request(path))

    try:
        await seen.until_joined([watcher])
        polls = trial.server.metrics()["skirmish_polls_held"]
        sources = addresses(83, 20)
        paths = await asyncio.gather(*map(begin, sources))
        await asyncio.sleep(0.3)
        # What each joined with, and the joins of the others.
        poll = "Connection: close\r\n"
        await asyncio.gather(*[
            ask(trial.port, request(path, poll), source, 6) for source, path in zip(sources, paths)
        ])
        await asyncio.gather(*map(hold, sources, paths))
        last = time.monotonic()
        await asyncio.sleep(0.3)
        held = trial.server.metrics()["skirmish_polls_held"] - polls
        trial.demand(held >= 20, f"{held} of 20 polls are held")
        trial.demand(len(watcher.world) == 21, f"{len(watcher.world) - 1} of 20 play")
        while len(watcher.world) > 1 and time.monotonic() < last + 2 * GONE_MAX_S:
            await asyncio.sleep(0.05)
        gone = time.monotonic() - last
        trial.note("all gone after s", round(gone, 1))
        trial.demand(len(watcher.world) == 1, f"{len(watcher.world) - 1} players stay")
        trial.demand(gone <= GONE_MAX_S, f"gone after {gone:.1f} s")
        trial.demand(gone >= 5, f"gone after {gone:.1f} s, as if they had left")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for client in clients:
            client.close()
