"""Rows T40 to T53: file descriptors, memory, the clock, pauses and the log."""

import asyncio
import contextlib
import itertools
import os
import re
import subprocess
import time
from pathlib import Path

from rows.crowd import Hold
from rows.flow import BUFFER, addresses, repeat_until, try_all
from server import ROOT, difference
from trial import row
from wire import (
    CLOSE, PING, POLLING, PONG, TEXT, UPGRADE, ask, connect, frame, join, read_to_end, receive,
    request, send, status_of, unmasked_frames,
)

MEMORY_MAX = 64 << 20
CGROUPS = Path("/sys/fs/cgroup/memory")
# An address that has guessed tokens is refused for a minute, so each attack has others.
ADMIN_NETWORKS = (f"127.53.{number}" for number in itertools.count())
# A state of a player alone every 50 ms.
TICK_S = 0.05


class Reader:
    """A player that reads states and knows when each came."""

    def __init__(self, client, buffer):
        self.client, self.buffer = client, buffer
        self.states = []

    @classmethod
    async def join(cls, port, room, source="127.0.0.4"):
        return cls(*await join(port, room, source))

    async def read(self, limit_s=20):
        data = await receive(self.client, limit_s)
        if not data:
            raise ConnectionError("the server has closed")
        frames, self.buffer = unmasked_frames(self.buffer + data)
        for opcode, payload in frames:
            if opcode == PING:
                await send(self.client, frame(PONG, payload))
            elif opcode == CLOSE:
                raise ConnectionError(f"closed with {payload}")
            elif payload.startswith(b'{"type":"state'):
                tick = int(re.findall(rb'"tick":(\d+)', payload)[-1])
                self.states.append((time.monotonic(), tick))

    async def read_for(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self.read()


async def come_and_go(port):
    """Connections that end at once, up to 20 a second."""
    for source in itertools.cycle(addresses(39, 50)):
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            (await connect(port, source)).close()
        await asyncio.sleep(0.05)


@row("T40", "no file descriptors: 200 connections wait for 30 s, and others come and go",
     seconds=(5, 30), timed=True, without={"others": "not refused, but not accepted"})
async def no_descriptors(trial):
    trial.peers, pid = 200, trial.server.pid
    backoffs, accepted = "skirmish_accept_backoffs_total", "skirmish_accepted_total"
    before, rests_from = trial.server.metrics(), time.monotonic()
    limits = subprocess.run(
        ["prlimit", f"--pid={pid}", "--nofile", "--noheadings", "--raw", "--output=SOFT,HARD"],
        capture_output=True, text=True, check=True,
    ).stdout.split()
    free = trial.server.fds() + 20
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={free}:{limits[1]}"], check=True)
    clients = []
    try:
        clients = [await connect(trial.port, source) for source in addresses(40, 200)]
        churning = asyncio.create_task(come_and_go(trial.port))
        await asyncio.sleep(1)
        ran, measured = trial.server.processor_s()[0], time.monotonic()
        await asyncio.sleep(trial.seconds - 2)
        share = (trial.server.processor_s()[0] - ran) / (time.monotonic() - measured)
        churning.cancel()
    finally:
        for client in clients:
            client.close()
    freed = time.monotonic()
    answer = await ask(trial.port, request("/healthz", "Connection: close\r\n"), "127.40.9.1")
    took = time.monotonic() - freed
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={limits[0]}:{limits[1]}"], check=True)
    more = difference(trial.server.metrics(), before)
    # One accept may fail after each rest of 100 ms, and one after each connection that ends.
    failed_max = (time.monotonic() - rests_from) / 0.1 + more[accepted] + 1
    trial.note("CPU % with the players", round(100 * share, 1))
    trial.note("accepts after ms", round(1e3 * took))
    trial.note("connections accepted", int(more[accepted]))
    trial.note("accepts that failed", int(more[backoffs]))
    trial.demand(status_of(answer) == 200 and took <= 0.2, f"accepted after {took:.2f} s")
    trial.demand(share < 0.05, f"{100 * share:.1f} % of a core")
    trial.demand(more[backoffs] > 0, "the descriptors were not used up")
    trial.demand(more[backoffs] <= failed_max, f"{more[backoffs]:.0f} accepts failed")


def little_memory(trial):
    """A control group of 64 MiB, or else as much address space."""
    trial.group = CGROUPS / f"skirmish-trial-{os.getpid()}"
    try:
        trial.group.mkdir()
        trial.afterwards.callback(trial.group.rmdir)
        (trial.group / "memory.limit_in_bytes").write_text(str(MEMORY_MAX))
    except OSError:
        trial.group = None
        trial.note("limit", "64 MiB of address space")
        return ["prlimit", f"--as={MEMORY_MAX}"]
    trial.note("limit", "a control group of 64 MiB")
    enter = f'echo $$ > {trial.group}/cgroup.procs && exec "$0" "$@"'
    return ["sh", "-c", enter]


@row("T41", "little memory: ten addresses hold bytes, 4,000 idle connections, 200 stalled readers",
     seconds=(10, 30), within=little_memory, back_s=12, without={
         "memory": "the limit is the bound", "others": "several limits are met"})
async def small_machine(trial):
    until = time.monotonic() + trial.seconds
    idle = []

    async def wait_idle(source):
        idle.append(await connect(trial.port, source))

    async def stall(source):
        client, _ = await join(trial.port, "battle-stalled", source, receive_buffer=BUFFER)
        await asyncio.sleep(max(0, min(13, until - time.monotonic())))
        client.close()

    async def fragments(source):
        client, _ = await join(trial.port, "fragments", source)
        await send(client, frame(TEXT, b"x" * 4_000, first=0))
        await asyncio.sleep(max(0, min(9, until - time.monotonic())))
        client.close()

    connects = try_all(wait_idle(source) for source in addresses(42, 400) for _ in range(10))
    await asyncio.gather(
        connects,
        Hold(trial.port, until).run(addresses(41, 10)),
        *[repeat_until(until, stall, one) for one in addresses(43, 20) for _ in range(10)],
        *[repeat_until(until, fragments, one) for one in addresses(44, 20) for _ in range(10)],
    )
    metrics = trial.server.metrics()
    trial.note("--max-memory MiB", round(metrics["skirmish_held_bytes_max"] / (1 << 20), 1))
    trial.note("held MiB", round(metrics["skirmish_held_bytes"] / (1 << 20), 1))
    trial.note("RSS MiB at the end", round(trial.server.rss_kib() / 1024, 1))
    if trial.group:
        failed = int((trial.group / "memory.failcnt").read_text())
        trial.note("limit met", f"{failed} times")
        killed = re.search(r"oom_kill (\d+)", (trial.group / "memory.oom_control").read_text())
        trial.demand(not killed or killed[1] == "0", "the kernel killed it")
    for client in idle:
        client.close()
    trial.demand(trial.server.is_alive(), "it has ended")


def shifted_clock(trial):
    shim = trial.folder / "shift_clock.so"
    source = ROOT / "tests/hardening/shift_clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    trial.shift = trial.folder / "shift"
    trial.shift.write_text("0")
    return ["env", f"LD_PRELOAD={shim}", f"SHIFT_CLOCK={trial.shift}"]


@row("T43", "the wall clock jumps by an hour, back, and by a second", within=shifted_clock)
async def clock_jumps(trial):
    player = await Reader.join(trial.port, "clock")
    for shift in [3600, -3600, 1, 0]:
        trial.shift.write_text(str(shift))
        began = time.monotonic()
        await player.read_for(1)
        # Its join is logged, with the time of the process.
        await trial.beside.newcomer_ms()
        (_, first), (_, last) = player.states[0], player.states[-1]
        ticks, took = last - first, time.monotonic() - began
        player.states.clear()
        trial.demand(abs(ticks - took / TICK_S) <= 3, f"{ticks} ticks in {took:.2f} s")
    player.client.close()
    # To be sure that the process did see another time.
    trial.demand(hours_of(trial) >= 2, "the log does not show the jump")


def hours_of(trial):
    """How many hours of the day the log shows."""
    text = (trial.folder / "log").read_text()
    hours = set(re.findall(r"\d{4}-\d\d-\d\dT(\d\d):", text))
    trial.note("hours in the log", len(hours))
    return len(hours)


@row("T44", "the process is stopped for 1 s and for 10 s", seconds=(12, 24), without={
    "players": "the gaps are those of the stop", "others": "nothing is refused"})
async def stopped(trial):
    for seconds in [1, 10]:
        player = await Reader.join(trial.port, "stopped")
        await player.read_for(1)
        before = player.states[-1][1]
        await asyncio.to_thread(trial.server.stop_for, seconds)
        continued = time.monotonic()
        # What arrived before the stop was read before it.
        player.states.clear()
        await player.read()
        first_at, first = player.states[0]
        await player.read_for(0.1)
        at_once = sum(at < continued + 0.04 for at, _ in player.states)
        trial.note(f"after {seconds} s: states at once", at_once)
        trial.note(f"after {seconds} s: first ms", round(1e3 * (first_at - continued)))
        trial.demand(first - before <= 5 + 2, f"{first - before} ticks were made up")
        trial.demand(at_once <= 5, f"{at_once} states at once")
        trial.demand(first_at - continued < 0.1, "no state within 100 ms")
        player.client.close()


@row("T46", "a full log device, and a pipe that is not read", alone=True)
async def blocked_logs(trial):
    unread, pipe = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        for name, log in [("/dev/full", full), ("pipe", pipe)]:
            with trial.running("--log-level", "debug", log=log):
                until = time.monotonic() + trial.seconds
                dropped = 0
                while time.monotonic() < until or not dropped and time.monotonic() < until + 20:
                    client = await connect(trial.port, "127.46.0.1")
                    await send(client, request("/healthz") * 500)
                    answers = b""
                    while answers.count(b"HTTP/1.1 200") < 500:
                        answers += await receive(client)
                    client.close()
                    dropped = trial.server.metrics()["skirmish_log_dropped_total"]
                trial.note(f"{name}: lines dropped", int(dropped))
                trial.demand(dropped > 0, f"{name}: no line was dropped")
                trial.judge_players(trial.beside.report())
                trial.judge_end()
    finally:
        for one in (unread, pipe, full):
            os.close(one)


TOKEN = "the token of the trial"


def with_token(trial):
    file = trial.folder / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    return "--admin-token-file", str(file)


def admin_cases():
    """Requests to --admin-listen with a token: the status, the target, the fields, and more."""
    right, wrong = f"Authorization: Bearer {TOKEN}\r\n", "Authorization: Bearer guess\r\n"
    proxy, foreign = "X-Forwarded-For: 127.0.0.1\r\n", {"host": "evil.example"}
    return [
        # Monitoring reads it without a token, by any name.
        (200, "/metrics", "", {}),
        (200, "/metrics", proxy, foreign),
        (404, "/", "", {}),
        (404, "/ws", UPGRADE, {}),
        (404, POLLING, "", {}),
        (401, "/status", "", {}),
        *[(401, "/status/data", fields, options)
          for fields, options in [("", {}), ("", foreign), (proxy, {}), (wrong, {})]],
        *[(200, "/status/data", right + fields, options)
          for fields, options in [("", {}), ("", foreign), (proxy, {})]],
        *[(403, "/status/data", right + fields, {})
          for fields in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"]],
        (405, "/status/data", right, {"method": "POST"}),
        (401, "/admin/players", "", {}),
        (401, "/admin/players", wrong, {}),
        (200, "/admin/players", right, {}),
        (401, "/admin/kick", "Content-Length: 0\r\n", {"method": "POST"}),
        (405, "/admin/kick", right, {}),
    ]


async def status_at(port, source, target, fields="", method="GET", host="127.0.0.1"):
    data = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n"
    return status_of(await ask(port, data.encode(), source))


@row("T53", "slow, foreign and silent readers of --admin-listen, with a token", seconds=(6, 8),
     flags=with_token, counters=("http_refused", "http_timeout", "slow", "token"))
async def admin(trial):
    port = int(re.search(r":(\d+)/", trial.server.metrics_url)[1])
    network = next(ADMIN_NETWORKS)

    async def dribble(number):
        client = await connect(port, f"{network}.{1 + number}")
        began, answer = time.monotonic(), asyncio.ensure_future(read_to_end(client, 8))
        target = ["/metrics", "/status/data"][number % 2]
        for byte in itertools.cycle(request(target, "X: " + "x" * 200)):
            if answer.done():
                break
            with contextlib.suppress(OSError):
                await send(client, bytes([byte]))
            await asyncio.wait([answer], timeout=1)
        client.close()
        return status_of(answer.result()), time.monotonic() - began

    attack = asyncio.ensure_future(try_all(dribble(number) for number in range(11)))
    wrong = []
    for expected, target, fields, options in admin_cases():
        status = await status_at(port, f"{network}.100", target, fields, **options)
        if status != expected:
            wrong.append((target, fields, options, status))
    # After five guesses in a minute an address may not even know the token.
    guess = "Authorization: Bearer guess\r\n"
    guesses = [
        await status_at(port, f"{network}.101", "/status/data", guess) for _ in range(6)
    ]
    trial.demand(guesses == [401] * 5 + [429], f"guesses: {guesses}")
    # The public port has no metrics for others than this machine, and a status with the token.
    for expected, target, fields in [
        (403, "/metrics", ""),
        (401, "/status/data", ""),
        (404, "/admin/players", f"Authorization: Bearer {TOKEN}\r\n"),
    ]:
        status = await status_at(
            trial.port, f"{network}.102", target, fields, host="evil.example"
        )
        if status != expected:
            wrong.append(("public", target, status))
    # One that asks without end and reads nothing.
    client = await connect(port, f"{network}.103", BUFFER)
    data = request("/status/data", f"Authorization: Bearer {TOKEN}\r\n")
    began = time.monotonic()
    with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
        while time.monotonic() < began + 20:
            await asyncio.wait_for(send(client, data * 100), 20)
    took = time.monotonic() - began
    client.close()
    trial.note("a reader that reads nothing ends after s", round(took, 1))
    trial.demand(took < 15, f"a reader that reads nothing stays for {took:.0f} s")
    ends = await attack
    trial.note("408 after s", f"{min(took for _, took in ends):.1f}")
    trial.demand(all(status == 408 and took < 6 for status, took in ends), f"{ends[:3]}")
    trial.demand(not wrong, f"{wrong}")
    await trial.beside.newcomer_ms()
