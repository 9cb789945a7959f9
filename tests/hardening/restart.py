"""500 players of ten battles, whose server is restarted and then killed: all have their players
again, and no connect is refused.

    cargo build --release
    python3 tests/hardening/restart.py

It starts target/release/skirmish on loopback with a socket of its own (LISTEN_FDS), and ends it.
"""

import asyncio
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trial import HOST, SKIRMISH, UPGRADE

PLAYERS, ROOMS = 500, 10
BACK_MAX_S = 10
STATE_EVERY_S = 5


class Servers:
    """One process after another on the same socket."""

    def __init__(self, state):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.command = [SKIRMISH, "--log-level", "error", "--state", state]
        self.command += ["--state-every-s", str(STATE_EVERY_S)]
        self.process = None

    def start(self):
        environment = {**os.environ, "LISTEN_FDS": "1"}
        environment.pop("LISTEN_PID", None)
        self.process = subprocess.Popen(
            self.command,
            env=environment,
            stdout=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=lambda: os.dup2(self.listener.fileno(), 3),
        )

    async def end(self, sent):
        """Sends a signal and waits for the end."""
        self.process.send_signal(sent)
        return await asyncio.get_running_loop().run_in_executor(None, self.process.wait)


class Player:
    """A client that comes back. It receives one state a second."""

    refused = 0

    def __init__(self, number, port):
        self.room, self.port = f"battle-{number % ROOMS}", port
        self.id = self.token = self.seen = self.writer = None
        self.joins = []
        # What the last states said: where it was, and its score.
        self.states = []

    async def run(self):
        while True:
            try:
                await self.play()
            except ConnectionRefusedError:
                Player.refused += 1
            except (OSError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(random.uniform(0.1, 0.6))

    async def play(self):
        reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        query = f"room={self.room}&resume={self.token or 1}"
        self.writer.write(f"GET /ws?{query} HTTP/1.1\r\n{UPGRADE}{HOST}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while True:
            kind, payload = await self.frame(reader)
            if kind == 8:
                hint = re.search(rb'"retry_ms":(\d+)', payload)
                self.writer.close()
                await asyncio.sleep(int(hint[1]) / 1000 if hint else 0)
                return
            if kind == 1:
                self.receive(json.loads(payload))

    async def frame(self, reader):
        first, length = await reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", await reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await reader.readexactly(8))
        payload = await reader.readexactly(length)
        if first & 15 == 9:
            self.send(0x8A, payload)
        return first & 15, payload

    def receive(self, message):
        if message["type"] == "init":
            self.joins.append((time.monotonic(), message["id"]))
            self.id, self.token = message["id"], message["token"]
            self.say({"type": "rate", "hz": 1})
        elif message["type"] == "state_update":
            own = next(it for it in message["players"] if it["id"] == self.id)
            state = (own["x"], own["y"], own["hp"], own["kills"], own["deaths"])
            self.states.append((time.monotonic(), state))

    def say(self, message):
        self.send(0x81, json.dumps(message).encode())

    def send(self, first, payload):
        if not self.writer.is_closing():
            self.writer.write(bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload)


async def act(players, seconds):
    """All move and attack at random, and then stand still for longer than a state takes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for player in random.sample(players, len(players) // 5):
            direction = random.choice(["UP", "DOWN", "LEFT", "RIGHT"])
            player.say({"type": "move", "direction": direction})
            if random.random() < 0.1:
                player.say({"type": "attack"})
        await asyncio.sleep(0.1)


async def until_joined(players, count):
    """Waits until each player has joined `count` times. Returns when the last one did."""
    while any(len(player.joins) < count for player in players):
        await asyncio.sleep(0.05)
    return max(player.joins[count - 1][0] for player in players)


async def until_state_after(players, moment):
    """Waits until each player has a state after a moment. Returns the first ones."""
    def first(player):
        return next((state for at, state in player.states if at > moment), None)

    while any(first(player) is None for player in players):
        await asyncio.sleep(0.05)
    return [first(player) for player in players]


def verdict(what, problems):
    print(f"{what}: {'ok' if not problems else problems[:5]}")
    return bool(problems)


async def restart(servers, players, count):
    """A restart while no player acts. Returns whether something is wrong."""
    quiet = time.monotonic()
    await asyncio.sleep(2)
    before = await until_state_after(players, quiet + 1)
    ids, began = [player.id for player in players], time.monotonic()
    code = await servers.end(signal.SIGTERM)
    ended = time.monotonic()
    servers.start()
    took = await until_joined(players, count) - began
    after = await until_state_after(players, max(player.joins[-1][0] for player in players))
    # Health returns by itself, and the dead respawn.
    kept = [
        (one[:2] == two[:2] or one[2] == 0) and one[3:] == two[3:] and two[2] >= one[2]
        for one, two in zip(before, after)
    ]
    print(f"SIGTERM: the process ended after {ended - began:.2f} s with {code}; all", end=" ")
    print(f"{PLAYERS} were back {took:.2f} s after the signal")
    return verdict("same id, place, health and score", [
        (player.id, one, two)
        for player, was, one, two, ok in zip(players, ids, before, after, kept)
        if player.id != was or not ok
    ]) | verdict("in time", [took] if took > BACK_MAX_S else []) | (code != 0)


async def kill(servers, players, count):
    """A kill while all act. Returns whether something is wrong."""
    ids = [player.id for player in players]
    await act(players, STATE_EVERY_S + 2)
    began = time.monotonic()
    await servers.end(signal.SIGKILL)
    servers.start()
    took = await until_joined(players, count) - began
    after = await until_state_after(players, max(player.joins[-1][0] for player in players))
    print(f"SIGKILL: all {PLAYERS} were back {took:.2f} s after the signal")

    def is_recent(player, state):
        # One state a second: between two of them a player walks at most 20 steps.
        span = [at for at, _ in player.states]
        near = [
            one for at, one in player.states
            if began - STATE_EVERY_S - 2 <= at <= began
        ]
        return span and any(
            abs(state[0] - one[0]) + abs(state[1] - one[1]) <= 100 or one[4] != state[4]
            for one in near
        )

    return verdict(f"same id, and a place of the last {STATE_EVERY_S} s", [
        (player.id, state)
        for player, was, state in zip(players, ids, after)
        if player.id != was or not is_recent(player, state)
    ]) | verdict("in time", [took] if took > BACK_MAX_S else [])


async def main():
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(str(Path(folder) / "state"))
        servers.start()
        try:
            players = [Player(number, servers.port) for number in range(PLAYERS)]
            tasks = [asyncio.create_task(player.run()) for player in players]
            await until_joined(players, 1)
            await act(players, 6)
            is_wrong = await restart(servers, players, 2)
            is_wrong |= await kill(servers, players, 3)
            is_wrong |= verdict("no connect was refused", [Player.refused] * bool(Player.refused))
            for task in tasks:
                task.cancel()
        finally:
            servers.process.kill()
            servers.process.wait()
    sys.exit(is_wrong)


asyncio.run(main())
