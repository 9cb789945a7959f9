"""Fifty players beside an attack, in a process of their own, and what they see.

An empty line on standard input asks for a report about the time since the last one, as a line of
JSON; the line `newcomer` asks how many milliseconds a new player waits for its first message. The
process ends when standard input ends.
"""

import asyncio
import contextlib
import json
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from players import Json, Observer, SocketIo, V1
from wire import join, receive, unmasked_frames

PLAYERS = {Json: 40, V1: 5, SocketIo: 5}
ADDRESSES = 10
ROOM = "battle-beside"
NEWCOMER = "127.0.0.3"
TICK_S = 0.05
GAP_MAX_MS = 100


class Gaps(Observer):
    """The times between the states of the JSON players, which get one on each tick."""

    def __init__(self):
        self.last, self.joins = {}, 0
        self.forget()

    def forget(self):
        self.gaps, self.ticks, self.ends = [], [], Counter()

    def joined(self, player, at):
        self.joins += 1

    def saw(self, player, tick, own, at):
        if isinstance(player, Json):
            if before := self.last.get(player):
                self.ticks.append(tick - before[0])
                self.gaps.append(at - before[1])
            self.last[player] = tick, at

    def ended(self, player, code, reason, at):
        self.ends[f"{code} {reason.decode(errors='replace')[:60]}"] += 1
        self.last.pop(player, None)

    def report(self):
        gaps = sorted(self.gaps)
        report = {
            "gaps": len(gaps),
            "gap_p99_ms": round(1e3 * gaps[len(gaps) * 99 // 100], 1) if gaps else None,
            "gap_max_ms": round(1e3 * gaps[-1], 1) if gaps else None,
            "gaps_over_100_ms": sum(gap > GAP_MAX_MS / 1e3 for gap in gaps),
            "ticks_left_out": sum(step - 1 for step in self.ticks),
            "ticks_left_out_at_once": max(self.ticks, default=1) - 1,
            "lost": sum(self.ends.values()),
            "ends": dict(self.ends),
        }
        self.forget()
        return report


async def newcomer_ms(port):
    began = time.monotonic()
    client, rest = await join(port, "newcomers", NEWCOMER)
    try:
        while not unmasked_frames(rest)[0]:
            rest += await receive(client)
        return 1e3 * (time.monotonic() - began)
    finally:
        client.close()


async def play(port, network):
    observer = Gaps()
    kinds = [kind for kind, count in PLAYERS.items() for _ in range(count)]
    # An address that has no players yet may have few connections.
    players = [
        kind(port, ROOM, observer, source=f"{network}.{1 + number % ADDRESSES}")
        for number, kind in enumerate(kinds)
    ]
    tasks = [asyncio.create_task(player.run()) for player in players]
    while observer.joins < len(players):
        await asyncio.sleep(0.02)
    print("all have joined", flush=True)
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        is_newcomer = line.strip() == b"newcomer"
        answer = await newcomer_ms(port) if is_newcomer else observer.report()
        print(json.dumps(answer), flush=True)
    for task in tasks:
        task.cancel()


def sleep_for_ticks():
    """A process that only sleeps until each tick: how late this machine lets it run."""
    gaps, due, last = [], time.monotonic(), time.monotonic()
    while True:
        due = max(due + TICK_S, time.monotonic())
        while (wait := due - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], wait)[0]:
                if not sys.stdin.readline():
                    return
                ordered = sorted(gaps) or [0]
                p99 = ordered[len(ordered) * 99 // 100]
                report = {"p99_ms": round(p99 * 1e3, 1), "max_ms": round(ordered[-1] * 1e3, 1)}
                print(json.dumps(report), flush=True)
                gaps, due, last = [], time.monotonic(), time.monotonic()
        now = time.monotonic()
        gaps.append(now - last)
        last = now


class Reporter:
    """A process that reports when it is asked."""

    def __init__(self, *arguments):
        command = [sys.executable, Path(__file__), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process beside the trial has ended")
        return line

    def ask(self, line=""):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Beside:
    """The players beside, and a sleeper that shows how late the machine lets a process run."""

    def __init__(self, port, network="127.0.6"):
        self.players = Reporter("play", port, network)
        self.sleeper = Reporter("sleep")

    def wait_until_joined(self):
        self.players.line()
        self.report()

    def report(self):
        return {**self.players.ask(), "sleeper": self.sleeper.ask()}

    async def newcomer_ms(self):
        """How long a new player waits for its first message, measured beside the attack."""
        return await asyncio.to_thread(self.players.ask, "newcomer")

    def close(self):
        self.players.end()
        self.sleeper.end()


if __name__ == "__main__":
    if sys.argv[1] == "play":
        asyncio.run(play(int(sys.argv[2]), sys.argv[3]))
    else:
        sleep_for_ticks()
