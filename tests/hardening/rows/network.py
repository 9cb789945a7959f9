"""Rows T75 and T79: a customer with many networks, and a network that is gone for 5 s. Both are in
network namespaces.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import time
import unittest

from harness import in_namespace
from players import Json, Observer, SocketIo, V1
from server import Server
from test_cable import NOWHERE
from test_credit import Network
from trial import row
from wire import UPGRADE, request, reset

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


def cut(network):
    """From now on frames go to a wrong Ethernet address, and are lost without a sign."""
    for host, other in zip(HOSTS, reversed(HOSTS)):
        network.run(host, "ip", "neigh", "replace", ADDRESSES[other], "lladdr", NOWHERE,
                    "dev", "link3", "nud", "permanent")


def restore(network):
    """Ends what `cut` began."""
    for host, other in zip(HOSTS, reversed(HOSTS)):
        network.run(host, "ip", "neigh", "del", ADDRESSES[other], "dev", "link3")


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
        cut(network)
        await asyncio.sleep(OUTAGE_S)
        restore(network)
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


# docs/limits.md: of IPv6 a /48 counts as four addresses.
NETWORKS_48 = 4
CONNECTIONS_AN_ADDRESS, JOINS_BURST, JOINS_A_SECOND = 12, 64, 10
IPV6_FREEBIND = 78
V6_HOST = "2001:db8::1"


def v6_socket(source):
    client = socket.socket(socket.AF_INET6)
    client.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    client.settimeout(3)
    client.bind((source, 0))
    return client


class Customer:
    """Connects from addresses of IPv6, in a thread that is in the namespace."""

    def __init__(self, name, port):
        self.name, self.port = name, port

    def connections(self, sources):
        """Connects from each and stays silent. Returns how many connections remain."""
        with in_namespace(self.name), contextlib.ExitStack() as stack:
            clients = []
            for source in sources:
                client = stack.enter_context(v6_socket(source))
                with contextlib.suppress(OSError):
                    client.connect((V6_HOST, self.port))
                    clients.append(client)
            time.sleep(0.3)
            return sum(self.is_open(client) for client in clients)

    def is_open(self, client):
        client.setblocking(False)
        try:
            return client.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def joins(self, sources):
        """Joins from each, and leaves. Returns how many got in, and the longest wait in ms."""
        admitted, longest = 0, 0
        with in_namespace(self.name):
            for source in sources:
                began = time.monotonic()
                with v6_socket(source) as client, contextlib.suppress(OSError):
                    client.connect((V6_HOST, self.port))
                    client.sendall(request("/ws?room=battle-v6", UPGRADE))
                    admitted += client.recv(12).endswith(b" 101")
                    reset(client)
                longest = max(longest, time.monotonic() - began)
        return admitted, 1e3 * longest


def networks(customer, count):
    """Addresses of a /48, each in a /64 and a /56 of its own."""
    return [f"2001:db8:{customer:x}:{number * 257 & 0xFFFF:x}::1" for number in range(count)]


@row("T75", "IPv6: 256 networks of one /48 connect and join, beside one address, in a network "
     "namespace", alone=True)
async def one_customer(trial):
    name = f"skirmish-{os.getpid()}-v6"
    within = ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in [
            "ip link set lo up", "ip -6 addr add 2001:db8::1/128 dev lo nodad",
            "ip -6 route add local 2001:db8::/32 dev lo",
        ]:
            subprocess.run([*within, *command.split()], check=True)
        with trial.before_others():
            trial.server = Server(
                listen=f"[{V6_HOST}]:0", within=within, scrape=lambda: in_namespace(name))
        with trial.server:
            await compare(trial, Customer(name, trial.port))
            trial.judge_end()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


async def compare(trial, customer):
    def rounds(sources, count):
        return list(itertools.islice(itertools.cycle(sources), count))

    one, many = networks(1, 1), networks(2, 256)
    held = [
        await asyncio.to_thread(customer.connections, rounds(sources, 512))
        for sources in (one, many)
    ]
    trial.note("connections of one address, of the /48", f"{held[0]}, {held[1]}")
    trial.demand(0 < held[0] <= CONNECTIONS_AN_ADDRESS, f"{held[0]} of one address")
    trial.demand(0 < held[1] <= NETWORKS_48 * CONNECTIONS_AN_ADDRESS, f"{held[1]} of the /48")
    joined = []
    for factor, sources in [(1, networks(3, 1)), (NETWORKS_48, networks(4, 256))]:
        began = time.monotonic()
        admitted, _ = await asyncio.to_thread(customer.joins, rounds(sources, 768))
        took = time.monotonic() - began
        most = factor * (JOINS_BURST + JOINS_A_SECOND * took)
        joined.append(f"{admitted} in {took:.1f} s")
        trial.demand(0 < admitted <= most + 1, f"{admitted} joins, of at most {most:.0f}")
    trial.note("joins of one address, of the /48", ", ".join(joined))
    attack = asyncio.create_task(asyncio.to_thread(customer.joins, rounds(networks(4, 256), 1024)))
    got, waits = 0, []
    for source in networks(5, 1) * 20:
        admitted, wait = await asyncio.to_thread(customer.joins, [source])
        got, waits = got + admitted, [*waits, wait]
    await attack
    trial.note("newcomers of another /48", f"{got} of 20")
    trial.note("newcomer max ms", round(max(waits)))
    trial.demand(got == 20, f"{got} of 20 newcomers got in")
    refused = trial.server.metrics()
    counted = [
        refused[f'skirmish_refusals_total{{reason="{reason}"}}']
        for reason in ("address_full", "join_rate")
    ]
    trial.demand(all(counted), f"refusals counted: {counted}")
