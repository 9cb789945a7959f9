#!/usr/bin/env python3
"""Faults at random on the release binary, while clients of all dialects keep histories that a
checker judges.

    cargo build --release
    tests/hardening/nemesis.py --seconds 60 --seed 7

The exit code is 1 if a promise was broken. The seed gives the faults and their order; the times at
which clients see them differ from run to run.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from history import Checker, Ended, Fault, History, Joined, Promises, Saw, different_worlds
from players import Json, Observer, SocketIo, V1
from server import Server, prepare
from wire import connect

STATE_EVERY_S = 2
# Clients of each kind in each room, half of them behind the proxy.
CLIENTS = {Json: 8, SocketIo: 4, V1: 4}
MAP_SIDE = 400
# How long to wait for what happens at all, also on a machine with other work to do.
SETTLE_MAX_S = BACK_MAX_S = 60
ROOMS = {
    "battle-nemesis": Promises(
        (0, 0, 100, 100), step=5, back_s=BACK_MAX_S, state_every_s=STATE_EVERY_S
    ),
    "world-nemesis": Promises(
        (10, 10, MAP_SIDE - 10, MAP_SIDE - 10), step=10, back_s=BACK_MAX_S,
        state_every_s=STATE_EVERY_S,
    ),
}
QUIET_S = 5


class Proxy:
    """A TCP proxy that cuts, delays and holds connections."""

    def __init__(self, port):
        self.port, self.links, self.tasks = port, set(), set()
        self.delay_s = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def start(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    def accept(self, reader, writer):
        task = asyncio.create_task(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        link = writer, far_writer
        self.links.add(link)
        pumps = [self.pump(reader, far_writer), self.pump(far_reader, writer)]
        pumps = [asyncio.create_task(pump) for pump in pumps]
        try:
            # If one side has ended, so has the other.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.links.discard(link)
            for pump in pumps:
                pump.cancel()
            for one in link:
                one.transport.abort()

    async def pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay_s)
                await self.is_open.wait()
                writer.write(data)
                await writer.drain()

    def cut(self, share, rng):
        """Resets a share of the connections."""
        for link in list(self.links):
            if rng.random() < share:
                for one in link:
                    one.transport.abort()

    async def close(self):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Recorder(Observer):
    """Writes histories."""

    wants_own = True

    def __init__(self):
        self.histories = {}

    def add(self, player, name):
        player.history = self.histories[player] = History(name, player.room)

    def joined(self, player, at):
        player.history.events.append(Joined(at, player.connections, player.id))

    def saw(self, player, tick, own, at):
        player.history.events.append(Saw(at, player.connections, tick, own))

    def ended(self, player, code, reason, at):
        text = reason.decode(errors="replace")
        player.history.events.append(Ended(at, player.connections, code, text))


class Nemesis:
    """The server, and what is done to it."""

    def __init__(self, folder, rng):
        self.rng, self.faults, self.problems = rng, [], []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.flags = [
            "--state", str(folder / "state"), "--state-every-s", str(STATE_EVERY_S),
            "--map", f"{MAP_SIDE}x{MAP_SIDE}", "--log-level", "debug",
        ]
        self.unread, self.pipe = os.pipe()
        self.log = open(folder / "log", "ab")
        self.start()

    def start(self):
        """Starts a process, whose log goes to a file, to a full device, or to a pipe that is not
        read.
        """
        kind = self.rng.choice(["file", "full", "pipe"])
        with open("/dev/full", "wb") as full:
            log = {"file": self.log, "full": full, "pipe": self.pipe}[kind]
            self.server = Server(*self.flags, log=log, listener=self.listener)

    def close(self):
        if self.server.is_alive():
            self.server.process.kill()
        self.server.wait()
        self.listener.close()
        self.log.close()
        os.close(self.unread)
        os.close(self.pipe)

    async def look(self):
        """Demands that the process has lived well so far."""
        if not self.server.is_alive():
            self.problems.append(f"the server has ended with {self.server.process.returncode}")
            self.start()
            return
        panics = (await asyncio.to_thread(self.server.metrics))["skirmish_panics_total"]
        if panics:
            self.problems.append(f"{panics:.0f} panics")

    # --- faults, which return when they are over -------------------------------------------------

    async def stop(self):
        await asyncio.to_thread(self.server.stop_for, self.rng.uniform(0.3, 3))

    async def term(self):
        self.server.signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.server.wait)
        if code:
            self.problems.append(f"exit code {code} after SIGTERM")
        self.start()
        # The closes say when to come back: up to 5.5 s later.
        await asyncio.sleep(5.5)

    # T54
    async def kill(self):
        self.server.signal(signal.SIGKILL)
        await asyncio.to_thread(self.server.wait)
        self.start()

    async def descriptors(self):
        """No file descriptors for a while, and more connections than there are."""
        limit, flood = self.server.fds() + self.rng.randint(0, 5), []
        try:
            self.limit(limit)
            for number in range(100):
                flood.append(await connect(self.port, f"127.9.0.{1 + number % 50}"))
            await asyncio.sleep(self.rng.uniform(0.5, 3))
        finally:
            for client in flood:
                client.close()
            self.limit(self.server.metrics_before["process_max_fds"])

    def limit(self, count):
        """Sets the soft limit of file descriptors of the process."""
        command = ["prlimit", f"--pid={self.server.pid}", f"--nofile={int(count)}:"]
        subprocess.run(command, check=True)

    async def cut(self):
        self.proxy.cut(self.rng.choice([0.5, 1]), self.rng)

    async def delay(self):
        self.proxy.delay_s = self.rng.uniform(0.05, 0.4)
        await asyncio.sleep(self.rng.uniform(1, 3))
        self.proxy.delay_s = 0

    async def hold(self):
        """Nothing passes; what is sent waits, as behind a cable that is pulled."""
        self.proxy.is_open.clear()
        await asyncio.sleep(self.rng.uniform(0.5, 6))
        self.proxy.is_open.set()

    FAULTS = [stop, term, kill, descriptors, cut, delay, hold]

    async def run(self, seconds):
        """Makes faults for a time: each once at least if there is time, and then at random."""
        until = time.monotonic() + seconds
        order = self.rng.sample(self.FAULTS, len(self.FAULTS))
        while time.monotonic() < until:
            await self.look()
            # A scrape needs a descriptor.
            self.server.metrics_before = await asyncio.to_thread(self.server.metrics)
            fault = order.pop() if order else self.rng.choice(self.FAULTS)
            begin = time.time()
            print(f"  {fault.__name__}", flush=True)
            await fault(self)
            self.faults.append(Fault(begin, time.time(), fault.__name__))
            await asyncio.sleep(self.rng.uniform(0.3, 2))
        await self.look()


async def settle(players):
    """Waits until all play, until nothing moves, and then until all see the same. Returns the
    worlds that they see, by room.
    """
    until = time.monotonic() + SETTLE_MAX_S
    while time.monotonic() < until and not all(is_playing(one) for one in players):
        await asyncio.sleep(0.1)
    for player in players:
        player.acts = False
    await asyncio.sleep(QUIET_S)
    until = time.monotonic() + SETTLE_MAX_S
    while time.monotonic() < until and not is_same(worlds_of(players)):
        await asyncio.sleep(0.1)
    return worlds_of(players)


def worlds_of(players):
    """By room and client, where each client that plays sees the players."""
    worlds = {}
    for player in players:
        if is_playing(player):
            worlds.setdefault(player.room, {})[player.history.name] = player.places()
    return worlds


def is_same(worlds):
    return worlds and not any(different_worlds(room) for room in worlds.values())


def is_playing(player):
    saw = next((one for one in reversed(player.history.events) if isinstance(one, Saw)), None)
    return saw is not None and time.time() - saw.at < 3


async def play(seconds, seed, folder):
    """Runs it. Returns what is wrong."""
    rng = random.Random(seed)
    nemesis = Nemesis(folder, rng)
    with contextlib.closing(nemesis):
        nemesis.proxy = Proxy(nemesis.port)
        proxy_port = await nemesis.proxy.start()
        recorder, players = Recorder(), []
        for room in ROOMS:
            for kind, count in CLIENTS.items():
                for number in range(count):
                    port = proxy_port if number % 2 else nemesis.port
                    player = kind(port, room, recorder, hz=5, rng=random.Random(rng.random()))
                    player.attacks = True
                    behind = " behind the proxy" if number % 2 else ""
                    recorder.add(player, f"{room} {kind.__name__} {number}{behind}")
                    players.append(player)
        tasks = [asyncio.create_task(player.run()) for player in players]
        try:
            while not all(player.id for player in players):
                await asyncio.sleep(0.05)
            await asyncio.sleep(STATE_EVERY_S + 1)
            await nemesis.run(seconds)
            worlds = await settle(players)
            end_at = time.time()
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            await nemesis.proxy.close()
        return judge(nemesis, recorder, worlds, end_at) + [
            f"a client failed: {end!r}" for end in ends
            if not isinstance(end, asyncio.CancelledError)
        ]


def judge(nemesis, recorder, worlds, end_at):
    problems = list(nemesis.problems)
    for room, promises in ROOMS.items():
        histories = [one for one in recorder.histories.values() if one.room == room]
        problems += Checker(promises, nemesis.faults).problems(histories, end_at)
        problems += [f"{room}: {problem}" for problem in different_worlds(worlds.get(room, {}))]
        states = sum(len(history.of(Saw)) for history in histories)
        joins = sum(len(history.of(Joined)) for history in histories)
        codes = Counter(end.code for history in histories for end in history.of(Ended))
        clients = f"{len(histories)} clients, {joins} joins, {states} states"
        print(f"{room}: {clients}, ends {dict(codes)}")
    print(f"faults: {dict(Counter(fault.kind for fault in nemesis.faults))}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are made")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    prepare(parser)
    print(f"nemesis: --seconds {arguments.seconds:g} --seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="skirmish-nemesis-") as folder:
        problems = asyncio.run(play(arguments.seconds, arguments.seed, Path(folder)))
    for problem in problems[:30]:
        print(f"! {problem}")
    print(f"{len(problems)} broken promises" if problems else "all promises were kept")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
