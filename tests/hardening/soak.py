#!/usr/bin/env python3
"""Players, churn and attacks for a long time: whether anything grows.

    cargo build --release
    tests/hardening/soak.py --minutes 10

After each attack it notes what the server holds. The slope of each figure is that of Theil and Sen,
the median of the slopes between all pairs of samples, with its interval of 95 %. It is zero within
noise if the interval contains zero. Otherwise it is below the grain of the figure if the whole run
adds less than that. The exit code is 1 if a figure grows by more, or if a player was lost.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import rows  # noqa: F401
from beside import Beside
from server import SKIRMISH, Server, prepare
from trial import ROWS, Trial, machine

# Attacks that run on any server, and need no player beside.
ATTACKS = [
    "T01", "T04", "T10", "T12", "T14", "T19", "T20", "T21", "T22", "T24", "T26", "T31", "T36",
    "T37", "T58", "T82",
]
PLAYERS, CHURN_HZ = 100, 5
# Of each figure its unit, and its grain: how much it may differ by chance.
FIGURES = {
    "allocated": ("KiB", 256),
    "file descriptors": ("", 2),
    "connections": ("", 2),
    "players": ("", 2),
    "sessions": ("", 2),
    "held": ("KiB", 64),
    "kernel": ("KiB", 256),
}


def sample(server):
    metrics = server.metrics()
    return {
        "RSS": server.rss_kib(),
        "allocated": server.rss_kib("RssAnon"),
        "file descriptors": server.fds(),
        "connections": metrics["skirmish_connections"],
        "players": metrics["skirmish_players"],
        "sessions": metrics["skirmish_engine_sessions"],
        "held": metrics["skirmish_held_bytes"] / 1024,
        "kernel": server.kernel_bytes() / 1024,
    }


def slope(points):
    """The slope of Theil and Sen with its interval of 95 % (Sen 1968), for points (x, y)."""
    slopes = sorted(
        (b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2) if b[0] != a[0]
    )
    count = len(points)
    spread = 1.96 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, int((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, int((len(slopes) + spread) / 2) + 1)
    return statistics.median(slopes), slopes[low], slopes[high]


def judge(samples):
    """Prints each figure. Returns those that grow."""
    # Memory rises to what the heaviest attack needs, so each has to have been made once.
    used = samples[len(ATTACKS) :]
    if len(used) < len(ATTACKS):
        sys.exit("too few samples: give it more --minutes, or a machine with less to do")
    hours = (used[-1][0] - used[0][0]) / 3600
    growing = []
    print(f"{'':18}{'median':>10}{'least':>10}{'most':>10}{'slope an hour':>16}  interval of 95 %")
    for name, (unit, grain) in FIGURES.items():
        values = [figures[name] for _, figures in used]
        middle, low, high = slope([(at / 3600, figures[name]) for at, figures in used])
        if low <= 0 <= high:
            said = "zero within noise"
        elif abs(middle) * hours < grain:
            said = f"below its grain of {f'{grain} {unit}'.strip()} a run"
        elif middle < 0:
            said = "falls"
        else:
            said = "GROWS"
            growing.append(name)
        print(
            f"{name:18}{statistics.median(values):10.0f}{min(values):10.0f}{max(values):10.0f}"
            f"{middle:+16.1f}  {low:+.1f} to {high:+.1f} {unit}: {said}"
        )
    return growing


async def attack(server, beside, until):
    """Attacks one after another, and samples after each."""
    samples, problems, began = [], 0, time.monotonic()
    for number in itertools.cycle(ATTACKS):
        if time.monotonic() > until:
            return samples, problems
        trial = Trial(ROWS[number], False)
        trial.server, trial.beside = server, beside
        try:
            await trial.row.attack(trial)
        except (OSError, asyncio.TimeoutError) as error:
            trial.demand(False, f"{error!r}")
        for problem in trial.result.problems:
            problems += 1
            print(f"{time.monotonic() - began:6.0f} s {number} {problem}"[:200], flush=True)
        # Deadlines of sessions that do not join are 10 s.
        await asyncio.sleep(11 if number in ("T31", "T36", "T37") else 3)
        samples.append((time.monotonic() - began, await asyncio.to_thread(sample, server)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument(
        "--samples", metavar="FILE", type=Path, help="write all samples here, as JSON"
    )
    arguments = parser.parse_args()
    prepare(parser)
    seconds = round(arguments.minutes * 60)
    print(machine(), flush=True)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server("--limit-loopback"))
        command = [
            SKIRMISH, "load", f"ws://127.0.0.1:{server.port}/", "--json", "--seconds", str(seconds),
            "--clients", str(PLAYERS), "--mix", "json=2,socketio=1,v1=1", "--room-players", "50",
            "--churn-hz", str(CHURN_HZ), "--ramp-hz", "4", "--pid", str(server.pid),
        ]
        players = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stack.enter_context(players)
        stack.callback(players.kill)
        beside = stack.enter_context(contextlib.closing(Beside(server.port)))
        beside.wait_until_joined()
        os.nice(10)
        server.wait_for_players(PLAYERS + 50)
        until = time.monotonic() + seconds - 15
        samples, problems = asyncio.run(attack(server, beside, until))
        seen = beside.report()
        report = json.loads(players.communicate()[0])
        metrics = server.metrics()
    if arguments.samples:
        arguments.samples.write_text(json.dumps(samples))
    growing = judge(samples)
    print(f"{len(samples)} samples; {problems} attacks with another outcome than in the table")
    gaps = report["figures"]
    lost = report["lost"] + seen["lost"]
    why = report["errors"] | seen["ends"] or ""
    print(
        f"players: {lost} of {PLAYERS + 50} lost {why}, gap p99 {gaps['gap_p99']:.0f} ms; "
        f"{metrics['skirmish_accepted_total']:.0f} connections, "
        f"{metrics['skirmish_joins_total']:.0f} joins, "
        f"{metrics['process_cpu_seconds_total']:.0f} s of CPU, "
        f"{metrics['skirmish_panics_total']:.0f} panics"
    )
    sys.exit(bool(growing or lost or metrics["skirmish_panics_total"]))


if __name__ == "__main__":
    main()
