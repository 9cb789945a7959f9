"""Row T79: a network that is gone for 5 s, in network namespaces."""

import asyncio
import time
import unittest

from players import Json, Observer, SocketIo, V1
from server import Server
from test_cable import NOWHERE
from test_credit import Network
from trial import row

OUTAGE_S = 5
HOSTS = ["server", "browser"]
ADDRESSES = {"server": "10.77.3.1", "browser": "10.77.3.2"}
FRESH_MAX_S, AGE_MAX_S = 0.25, 1


class Ages(Observer):
    """How old each state is when it arrives, by the ticks of a player without an outage."""

    def __init__(self):
        self.newest, self.seen, self.joins, self.ends = 0, {}, 0, []

    def joined(self, player, at):
        self.joins += 1

    def saw(self, player, tick, own, at):
        if tick is None:
            return
        if player.is_near:
            self.newest = tick
        self.seen.setdefault(player, []).append((time.monotonic(), tick, self.newest - tick))

    def ended(self, player, code, reason, at):
        self.ends.append((type(player).__name__, code, reason))


@row("T79", "no network for 5 s, in network namespaces", alone=True)
async def outage(trial):
    test = unittest.TestCase()
    try:
        network = Network(test)
        with trial.before_others():
            trial.server = Server(
                listen=f"{ADDRESSES['server']}:0", within=network.within("server"),
                scrape=lambda: network.on("server"),
            )
        with trial.server, trial.before_others():
            await cut_and_restore(trial, network)
            trial.judge_end()
    finally:
        test.doCleanups()


async def cut_and_restore(trial, network):
    ages = Ages()

    def player(kind, host, name):
        made = kind(
            trial.port, "battle-outage", ages, hz=4, host=ADDRESSES["server"], source="0.0.0.0",
            namespace=lambda: network.on(host),
        )
        made.is_near, made.name = host == "server", name
        return made

    near = player(Json, "server", "near")
    far = [player(kind, "browser", kind.__name__) for kind in (Json, V1, SocketIo)]
    silent = player(Json, "browser", "JSON without acks")
    silent.acknowledged = 1 << 40
    silent.begin = lambda: None
    far.append(silent)
    tasks = [asyncio.create_task(one.run()) for one in [near, *far]]
    try:
        while ages.joins < len(tasks):
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        # Frames to a wrong Ethernet address are lost without a sign.
        for host, other in zip(HOSTS, reversed(HOSTS)):
            network.run(host, "ip", "neigh", "replace", ADDRESSES[other], "lladdr", NOWHERE,
                        "dev", "link3", "nud", "permanent")
        await asyncio.sleep(OUTAGE_S)
        for host, other in zip(HOSTS, reversed(HOSTS)):
            network.run(host, "ip", "neigh", "del", ADDRESSES[other], "dev", "link3")
        restored = time.monotonic()
        until = restored + 15
        while time.monotonic() < until and any(ages.seen[one][-1][0] < restored for one in far):
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        for one in far:
            after = [seen for seen in ages.seen[one] if seen[0] > restored]
            if not after:
                trial.demand(False, f"{one.name}: no state after the outage")
                continue
            first = after[0][0]
            # Socket.IO shows the ticks that ask for an acknowledgement: a state without credit does.
            fresh = next((at - first for at, _, age in after if age <= 6), 99)
            old = sum(age > AGE_MAX_S * 20 for _, _, age in after)
            late = sum(age > AGE_MAX_S * 20 and at > first + fresh for at, _, age in after)
            ticks = [tick for _, tick, _ in ages.seen[one]]
            trial.note(f"{one.name}: first after s", round(first - restored, 1))
            trial.note(f"{one.name}: fresh ms later", round(1e3 * fresh))
            trial.note(f"{one.name}: states over a second old", old)
            trial.demand(fresh <= FRESH_MAX_S, f"{one.name}: fresh {fresh:.2f} s later")
            trial.demand(ticks == sorted(set(ticks)), f"{one.name}: ticks do not increase")
            trial.demand(not late, f"{one.name}: {late} old states after a new one")
        trial.demand(not ages.ends, f"lost: {ages.ends}")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
