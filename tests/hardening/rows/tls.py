"""Row T49: floods of TLS handshakes, beside players over TLS."""

import asyncio
import contextlib
import itertools
import json
import ssl
import subprocess
import time

from rows.flow import addresses, try_all
from server import SKIRMISH, Server, difference
from trial import GAP_P99_MAX_MS, row
from wire import connect, read_to_end, receive, send

import harness

PLAYERS = 50
# A handshake message of the server (RFC 8446, section 5.1).
HANDSHAKE = 0x16
HELLOS_A_SECOND_MAX = 500
# A peer that has not finished its handshake ends after 5 s.
HANDSHAKE_S_MAX = 6
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


def client_hello():
    """The first message of a client, and what goes on with it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = CONTEXT.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read(), tls, incoming, outgoing


async def silent(port, source, hello):
    """Sends the first message, reads the answer, and never finishes. Returns after how many seconds
    the server ends it.
    """
    client = await connect(port, source)
    began = time.monotonic()
    try:
        await send(client, hello)
        answer = await receive(client)
        if answer[:1] != bytes([HANDSHAKE]):
            raise ConnectionError("no answer to the first message")
        await read_to_end(client, 2 * HANDSHAKE_S_MAX)
        return time.monotonic() - began
    finally:
        client.close()


async def whole(port, source):
    """Finishes the handshake, and hangs up."""
    data, tls, incoming, outgoing = client_hello()
    client = await connect(port, source)
    try:
        while True:
            await send(client, data)
            received = await receive(client)
            if not received:
                return False
            incoming.write(received)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                await send(client, outgoing.read())
                return True
            data = outgoing.read()
    finally:
        client.close()


def renegotiates(port):
    """Whether the server takes another handshake on a connection of TLS 1.2."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"]
    ended = subprocess.run(
        command, input="R\n", capture_output=True, text=True, timeout=20, check=False
    )
    assert "RENEGOTIATING" in ended.stdout + ended.stderr, "openssl did not try"
    return "no renegotiation" not in ended.stderr and ended.returncode == 0


@row("T49", "hundreds of TLS handshakes a second, a third of which stop after their first message, "
     "and a renegotiation", seconds=(6, 20), alone=True)
async def handshakes(trial):
    cert, key = harness.certificate(trial.folder, "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    with contextlib.ExitStack() as stack:
        with trial.before_others():
            server = Server("--limit-loopback", "--cert", str(cert), "--key", str(key))
            trial.server = stack.enter_context(server)
            # Until the attack is over, which the processors may delay.
            command = [
                SKIRMISH, "load", f"wss://127.0.0.1:{server.port}/", "--insecure", "--json",
                "--clients", str(PLAYERS), "--ramp-hz", "4", "--room-players", "25", "--seconds",
                str(trial.seconds + 2 * HANDSHAKE_S_MAX),
            ]
            players = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.enter_context(players)
        try:
            await asyncio.to_thread(server.wait_for_players, PLAYERS)
            trial.set_priority()
            before, counted = server.gauges(), server.metrics()
            await flood(trial)
            trial.demand(not renegotiates(server.port), "it renegotiates")
            await trial.judge_back(before)
            more = difference(server.metrics(), counted)
            report = json.loads(await asyncio.to_thread(lambda: players.communicate()[0]))
        finally:
            players.kill()
        trial.judge_end()
    figures = report["figures"]
    trial.note("gap p99 ms", figures["gap_p99"])
    trial.note("max", figures["gap_max"])
    trial.note("lost", report["lost"])
    trial.note("handshakes", int(more["skirmish_tls_handshakes_total"]))
    demand = trial.result.demand
    demand("players", not report["lost"], f"lost: {report['errors']}")
    demand("players", figures["gap_p99"] <= GAP_P99_MAX_MS, f"gap p99 {figures['gap_p99']} ms")


async def flood(trial):
    hello = client_hello()[0]
    sources = itertools.cycle(addresses(49, 200))
    until = time.monotonic() + trial.seconds
    done, tasks = 0, []

    async def again_and_again(source):
        nonlocal done
        while time.monotonic() < until:
            try:
                was_whole = await whole(trial.port, source)
                done += was_whole
            except (OSError, TimeoutError, ssl.SSLError):
                await asyncio.sleep(0.3)

    whole_ones = [asyncio.create_task(again_and_again(one)) for one in addresses(50, 60)]
    while time.monotonic() < until:
        tasks += [
            asyncio.create_task(silent(trial.port, next(sources), hello))
            for _ in range(HELLOS_A_SECOND_MAX // 20)
        ]
        await asyncio.sleep(0.05)
    await asyncio.gather(*whole_ones)
    lasted = await try_all(tasks)
    seconds = [one for one in lasted if not isinstance(one, Exception)]
    unended = sum(isinstance(one, TimeoutError) for one in lasted)
    trial.note("whole handshakes here", done)
    trial.note("first messages", len(seconds))
    trial.note("ended after s", round(max(seconds, default=99), 1))
    trial.demand(not unended, f"{unended} did not end")
    trial.demand(max(seconds, default=99) <= HANDSHAKE_S_MAX, "some ended too late")
    least = 20 * trial.seconds
    trial.demand(min(len(seconds), done) >= least, f"fewer than {least} handshakes of a kind")
