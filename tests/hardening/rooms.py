"""Addresses that ask for the list of 4,096 rooms as often as they may, and 60 addresses that join a
room of 500: what 50 players in another room see.

    cargo build --release
    python3 tests/hardening/rooms.py [SECONDS]

It starts target/release/skirmish on loopback with --limit-loopback, and ends it.
"""

import asyncio
import sys
import time

from trial import POLLING, UPGRADE, Players, Server, connect, read_body, repeat, send

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
# Of 4,096, so that the players have one.
ROOMS = 4_090
GAP_MAX_MS = 60


class Attack:
    """The clients."""

    def __init__(self, port, until):
        self.port, self.until, self.answers, self.joins = port, until, 0, 0

    def is_over(self):
        return time.monotonic() > self.until

    async def join(self, address, room):
        """Joins over a WebSocket; returns the connection and whether the server took it."""
        while True:
            try:
                client = await connect(address, self.port)
                await send(client, f"GET /ws?room={room} HTTP/1.1\r\n{UPGRADE}")
                receive = asyncio.get_running_loop().sock_recv(client, 4096)
                first = await asyncio.wait_for(receive, 3)
            except OSError:
                # The address has too many connections that are about to end.
                await asyncio.sleep(0.1)
                continue
            return client, b" 101 " in first

    async def list_rooms(self, address):
        """Twelve connections of each of ten addresses read the list as fast as they can."""
        client = await connect(address, self.port)
        while not self.is_over():
            await send(client, "GET /rooms HTTP/1.1\r\n")
            await read_body(client)
            self.answers += 1
        client.close()

    async def join_and_leave(self, address):
        """Plays for a moment, and joins again at the allowed rate."""
        client, is_in = await self.join(address, "crowd")
        self.joins += is_in
        await asyncio.sleep(0.3)
        client.close()

    async def join_and_leave_with_events(self, address):
        """The same over Socket.IO, whose joiners receive the list of players."""
        client = await connect(address, self.port)
        path = POLLING.replace("polling", "websocket")
        await send(client, f"GET {path}&room=crowd HTTP/1.1\r\n{UPGRADE}")
        loop = asyncio.get_running_loop()
        await loop.sock_recv(client, 4096)
        await loop.sock_sendall(client, bytes([0x81, 0x82, 0, 0, 0, 0]) + b"40")
        self.joins += 1
        await asyncio.sleep(0.3)
        client.close()


async def make_rooms(attack):
    """Makes rooms from many addresses, as fast as joins are taken."""
    made = 0
    while made < ROOMS:
        batch = range(min(60, ROOMS - made))
        names = [(f"127.3.{made // 250}.{1 + n}", f"room-{made + n}") for n in batch]
        results = await asyncio.gather(*[attack.join(*one) for one in names])
        for client, is_in in results:
            made += is_in
            client.close()
        await asyncio.sleep(0.24)


async def run(server):
    attack = Attack(server.port, time.monotonic() + 1_000)
    await make_rooms(attack)
    print(server.metrics("skirmish_rooms")[-1], f"in {server.rss_kib()} KiB")
    crowd = [await attack.join(f"127.2.0.{1 + n % 20}", "crowd") for n in range(500)]
    print(sum(is_in for _, is_in in crowd), "players in a crowd that reads nothing more")
    for client, _ in crowd:
        asyncio.get_running_loop().add_reader(client, client.recv, 65536)
    # The crowd used up the joins that all addresses may make at once.
    await asyncio.sleep(1)
    players = Players(server.port, SECONDS)
    await asyncio.sleep(2)
    attack.until = time.monotonic() + SECONDS - 3
    tasks = [
        asyncio.create_task(repeat(attack.is_over, attack.list_rooms, f"127.0.1.{1 + n % 10}"))
        for n in range(120)
    ]
    for n in range(60):
        what = attack.join_and_leave if n % 2 else attack.join_and_leave_with_events
        tasks.append(asyncio.create_task(repeat(attack.is_over, what, f"127.0.2.{1 + n}")))
    while not attack.is_over():
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    gap_ms = players.report()
    print(f"{attack.answers} lists, {attack.joins} joins")
    for line in server.metrics("skirmish_refusals") + server.metrics("skirmish_turn_longest"):
        print(line)
    return gap_ms


def main():
    with Server(["--room-players-max", "600"]) as server:
        gap_ms = asyncio.run(run(server))
    sys.exit(0 if gap_ms <= GAP_MAX_MS else f"more than {GAP_MAX_MS} ms")


if __name__ == "__main__":
    main()
