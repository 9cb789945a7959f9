"""Rows T47, T54 and T55: a restart, a kill, and clients that all reconnect at once."""

import asyncio
import contextlib
import signal
import socket
import time
from collections import Counter, defaultdict

from players import Json, Observer, SocketIo
from rows.flow import BUFFER, addresses, try_all
from server import Server
from trial import row
from wire import PONG, join

PLAYERS, STALLED, ROOMS = 450, 50, 10
STAMPEDE = 2_000
BACK_MAX_S = 10
STATE_EVERY_S = 5
STATE_HZ = 4
STEP = 5


class Seen(Observer):
    """What the players of a trial have seen."""

    wants_own = True

    def __init__(self):
        self.joins, self.states = defaultdict(list), defaultdict(list)
        self.codes, self.refused = Counter(), 0

    def joined(self, player, at):
        self.joins[player].append((time.monotonic(), player.id))

    def saw(self, player, tick, own, at):
        if own:
            self.states[player].append((time.monotonic(), own))

    def ended(self, player, code, reason, at):
        self.codes[code] += 1
        self.refused += b"refused" in reason.lower() and b"HTTP" not in reason

    async def until_joined(self, players, count, limit_s=60):
        """Waits until each has joined so often. Returns when the last one did."""
        until = time.monotonic() + limit_s
        while missing := sum(len(self.joins[player]) < count for player in players):
            if time.monotonic() > until:
                raise TimeoutError(f"{missing} players have not joined {count} times")
            await asyncio.sleep(0.05)
        return max(self.joins[player][count - 1][0] for player in players)

    async def first_after(self, players, moment):
        """The first state of each player after a moment."""
        def find(player):
            return next((own for at, own in self.states[player] if at > moment), None)

        until = time.monotonic() + 20
        while any(find(player) is None for player in players):
            if time.monotonic() > until:
                raise TimeoutError("players without a state")
            await asyncio.sleep(0.05)
        return [find(player) for player in players]


class Quiet(Json):
    """A player that receives four states a second."""

    rate_hz = STATE_HZ


class Servers:
    """One process after another on a socket that stays open, as under systemd."""

    def __init__(self, trial):
        self.trial = trial
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.flags = ["--log-level", "error", "--state", str(trial.folder / "state")]
        self.flags += ["--state-every-s", str(STATE_EVERY_S)]
        self.start()

    def start(self):
        self.trial.server = Server(*self.flags, listener=self.listener)

    async def end(self, number):
        """Sends a signal. Returns the exit code and the time in seconds."""
        began = time.monotonic()
        self.trial.server.signal(number)
        code = await asyncio.to_thread(self.trial.server.wait)
        return code, time.monotonic() - began

    def close(self):
        if self.trial.server.is_alive():
            self.trial.server.process.kill()
            self.trial.server.wait()
        self.listener.close()


@contextlib.asynccontextmanager
async def playing(trial, count):
    """A server that can be restarted, and its players, who play for a while."""
    with trial.before_others(), contextlib.closing(Servers(trial)) as servers:
        seen = Seen()
        players = [
            Quiet(trial.port, f"battle-{number % ROOMS}", seen) for number in range(count)
        ]
        tasks = [asyncio.create_task(player.run()) for player in players]
        try:
            await seen.until_joined(players, 1)
            for player in players:
                player.attacks = True
            yield servers, seen, players
            trial.judge_end()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@row("T47", "SIGTERM and restart with 500 players, 50 of them stalled (also T48)", alone=True)
async def restart(trial):
    async with playing(trial, PLAYERS) as (servers, seen, players):
        stalled = await try_all(
            join(trial.port, f"battle-{number % ROOMS}", receive_buffer=BUFFER)
            for number in range(STALLED)
        )
        await asyncio.sleep(5)
        for player in players:
            player.acts = False
        await asyncio.sleep(1)
        quiet = time.monotonic()
        before = await seen.first_after(players, quiet)
        ids, began = [player.id for player in players], time.monotonic()
        code, took = await servers.end(signal.SIGTERM)
        servers.start()
        back = await seen.until_joined(players, 2)
        after = await seen.first_after(players, back)
        first = min(seen.joins[player][1][0] for player in players)
        for client, _ in stalled:
            client.close()

        def is_same(one, two):
            # Health returns by itself, and the dead respawn.
            place = one.place == two.place and two.hp >= one.hp or one.hp == 0
            return place and (one.kills, one.deaths) == (two.kills, two.deaths)

        changed = [
            (player.id, one, two) for player, was, one, two in zip(players, ids, before, after)
            if player.id != was or not is_same(one, two)
        ]
        trial.note("exit after s", round(took, 2))
        trial.note("all back after s", round(back - began, 1))
        trial.note("first back after s", round(first - began, 1))
        trial.note("close codes", dict(seen.codes))
        trial.note("connects refused", seen.refused)
        trial.demand(code == 0 and took <= 3, f"exit code {code} after {took:.1f} s")
        trial.demand(back - began <= BACK_MAX_S, f"all back after {back - began:.1f} s")
        trial.demand(not changed, f"{len(changed)} changed: {changed[:3]}")
        trial.demand(not seen.refused, f"{seen.refused} connects were refused")
        trial.demand(set(seen.codes) == {4012}, f"close codes {seen.codes}")


@row("T54", "SIGKILL and restart with 500 players that act, --state-every-s 5", alone=True)
async def kill(trial):
    async with playing(trial, PLAYERS + STALLED) as (servers, seen, players):
        await asyncio.sleep(STATE_EVERY_S + 2)
        ids, began = [player.id for player in players], time.monotonic()
        await servers.end(signal.SIGKILL)
        servers.start()
        back = await seen.until_joined(players, 2)
        after = await seen.first_after(players, back)

        def is_recent(player, now):
            # Between two states a player makes a step or two, and one before its next state.
            near = [
                own for at, own in seen.states[player]
                if began - STATE_EVERY_S - 1.5 <= at <= began
            ]
            return any(
                abs(now.place[0] - own.place[0]) + abs(now.place[1] - own.place[1]) <= 4 * STEP
                or own.deaths != now.deaths
                for own in near
            )

        wrong = [
            (player.id, now) for player, was, now in zip(players, ids, after)
            if player.id != was or not is_recent(player, now)
        ]
        trial.note("all back after s", round(back - began, 2))
        trial.note("connects refused", seen.refused)
        trial.demand(back - began <= BACK_MAX_S, f"all back after {back - began:.1f} s")
        trial.demand(not wrong, f"{len(wrong)} are elsewhere or new: {wrong[:3]}")
        trial.demand(not seen.refused, f"{seen.refused} connects were refused")


class Idle(SocketIo):
    """A player that does nothing, so that a room of such players has no updates."""

    def act(self):
        self.link.send(PONG, b"")


@row("T55",
     "2,000 players reconnect at the same time after a reset, with their tokens and then as new players",
     seconds=(1, 1), back_s=45, timed=True, without={
         "memory": "2,000 players and their states",
         "others": "joins above the rates are refused, and tried again"})
async def stampede(trial):
    seen = Seen()
    seen.wants_own = False
    players = [
        Idle(trial.port, f"battle-{number % 40}", seen, hz=0.3, source=source)
        for number, source in enumerate(addresses(55, 100) * (STAMPEDE // 100))
    ]
    tasks = [asyncio.create_task(player.run()) for player in players]
    try:
        began = time.monotonic()
        joined = await seen.until_joined(players, 1)
        trial.note("first joins s", round(joined - began, 1))
        await asyncio.sleep(2)
        for times, name in [(2, "resumed"), (3, "joined as new")]:
            ids = [player.id for player in players]
            for player in players:
                player.token = None if name == "joined as new" else player.token
                player.leave(with_reset=True)
            began = time.monotonic()
            back = await seen.until_joined(players, times) - began
            trial.note(f"{name} after s", round(back, 1))
            trial.demand(back <= BACK_MAX_S, f"all {name} after {back:.1f} s")
            kept = sum(player.id == was for player, was in zip(players, ids))
            if name == "resumed":
                trial.demand(kept == STAMPEDE, f"{kept} have their player again")
            await asyncio.sleep(2)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
