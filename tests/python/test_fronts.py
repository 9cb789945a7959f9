"""The recipes of README.md and docs/proxies.md, with the real nginx, HAProxy, Caddy and Apache."""

import contextlib
import http.client
import json
import pathlib
import queue
import re
import select
import socket
import tempfile
import threading
import time
import unittest

import engineio
import socketio
import websocket

import fronts
from harness import TRANSPORTS, WAIT_MAX_S, Server, reserve_port, until

POLLING = "/socket.io/?EIO=4&transport=polling"
# How many players of an address may join at once; then there are 10 a second.
JOINS_BURST = 64
TOKEN = "0123456789abcdef" * 2 + "01234567"
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
# By default this client rejects a payload of more than 16 packets.
PACKETS_MAX = engineio.payload.Payload.max_decode_packets


def setUpModule():
    engineio.payload.Payload.max_decode_packets = 1_000


def tearDownModule():
    engineio.payload.Payload.max_decode_packets = PACKETS_MAX


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


class Player:
    """A player over a plain WebSocket, which has its `init`."""

    def __init__(self, test, front, query="resume=1"):
        url = f"ws://127.0.0.1:{front.port}/ws?{query}"
        self.socket = websocket.create_connection(url, WAIT_MAX_S)
        test.addCleanup(self.socket.shutdown)
        self.init = json.loads(self.socket.recv())
        self.id = self.init["id"]

    def state(self):
        while True:
            message = json.loads(self.socket.recv())
            if message["type"] == "state_update":
                return {player["id"]: player for player in message["players"]}

    def plays(self):
        """Moves until it has moved."""
        before, deadline = self.state()[self.id]["x"], time.monotonic() + WAIT_MAX_S
        direction = "RIGHT" if before < 50 else "LEFT"
        while self.state()[self.id]["x"] == before:
            assert time.monotonic() < deadline, "it does not move"
            self.socket.send(json.dumps({"type": "move", "direction": direction}))

    def close_code(self):
        """Reads until the close frame."""
        while True:
            opcode, data = self.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self.socket.shutdown()
                return int.from_bytes(data[:2])


class SocketIoPlayer:
    """A player of battle over Socket.IO, which has its token."""

    def __init__(self, test, front, transports, query="", resume=True):
        self.client = socketio.Client(reconnection=False, handle_sigint=False)
        test.addCleanup(self.client.disconnect)
        tokens = queue.Queue()
        self.client.on("token", tokens.put)
        self.client.connect(
            f"{front.url}/{query}",
            auth={"resume": resume},
            transports=transports,
            wait_timeout=WAIT_MAX_S,
        )
        self.id = self.client.get_sid()
        self.token = tokens.get(timeout=WAIT_MAX_S)["token"]

    def plays(self):
        answer = self.client.call("move", {"x": 50, "y": 50}, timeout=WAIT_MAX_S)
        assert answer["ok"], answer


class WithFront:
    """What the tests of all proxies use."""

    def serve(self, *flags, **options):
        trusted = ["--trusted-proxy", "127.0.0.1", "--admin-listen", "127.0.0.1:0"]
        server = Server(*trusted, *flags, **options)
        self.addCleanup(lambda: server.process.poll() is None and server.stop())
        return server

    def ask(self, method, path, body=None):
        front = http.client.HTTPConnection("127.0.0.1", self.front.port, timeout=WAIT_MAX_S)
        with contextlib.closing(front):
            front.request(method, path, body)
            response = front.getresponse()
            return response.status, response.read().decode()

    def raw(self, request, host="127.0.0.1"):
        """The beginning of the response to a request of a client with this address."""
        address = ("127.0.0.1", self.front.port)
        with socket.create_connection(address, WAIT_MAX_S, source_address=(host, 0)) as client:
            client.sendall(request.encode())
            answer = b""
            while b"\r\n\r\n" not in answer and (more := client.recv(65_536)):
                answer += more
            return answer


class Recipe(WithFront):
    """Tests of one proxy in front of one server."""

    def start(self, *flags, **options):
        self.server = self.serve(*flags)
        self.front = self.kind(self, [self.server.url.split("/")[2]], **options)

    def test_players_of_all_transports_play(self):
        self.start()
        Player(self, self.front).plays()
        v1 = websocket.create_connection(
            f"ws://127.0.0.1:{self.front.port}/ws", WAIT_MAX_S, subprotocols=["skirmish.v1"]
        )
        self.addCleanup(v1.shutdown)
        self.assertEqual(v1.getsubprotocol(), "skirmish.v1")
        self.assertEqual(v1.recv_data()[0], websocket.ABNF.OPCODE_BINARY)
        for transports, final in TRANSPORTS:
            with self.subTest(transports=transports):
                player = SocketIoPlayer(self, self.front, transports)
                self.assertEqual(player.client.transport(), final)
                player.plays()
                player.client.disconnect()

    def test_a_tab_that_closes_during_a_poll_leaves(self):
        reports = self.kind.reports_closed_tabs
        # Where the front reports it, no time of the server ends the session.
        hold_ms, absence_ms = (60_000, 120_000) if reports else (400, 800)
        flags = ["--poll-hold-ms", str(hold_ms), "--poll-absence-ms", str(absence_ms)]
        self.start(*flags, "--ping-interval-ms", "120000")
        _, opened = self.ask("GET", POLLING)
        path = POLLING + "&sid=" + opened.split('"')[3]
        self.assertEqual(self.ask("POST", path, "40"), (200, "ok"))
        tab = http.client.HTTPConnection("127.0.0.1", self.front.port, timeout=WAIT_MAX_S)
        ticks = lambda: self.server.metric("skirmish_ticks_total")

        def poll():
            nonlocal since
            tab.request("GET", path)
            since = ticks()

        def is_held():
            # Some ticks later nothing more waits for the player.
            if select.select([tab.sock], [], [], 0.01)[0]:
                tab.getresponse().read()
                poll()
            return ticks() > since + 3 and self.server.metric("skirmish_polls_held") == 1

        since = 0
        poll()
        until(is_held, "a poll is held")
        tab.close()
        until(lambda: self.server.sessions() == 0, "the player has left")
        absent = self.server.metric('skirmish_closes_total{reason="poll_absence"}')
        self.assertEqual(absent, 0 if reports else 1)

    def test_players_stay_while_the_front_reloads(self):
        self.start()
        players = [Player(self, self.front)]
        players += [SocketIoPlayer(self, self.front, transports) for transports, _ in TRANSPORTS]
        self.front.reload()
        for player in [*players, Player(self, self.front)]:
            player.plays()

    def test_players_come_back_after_a_restart_of_the_front(self):
        self.start()
        plain = Player(self, self.front)
        polling = SocketIoPlayer(self, self.front, ["polling"])
        self.front.stop()
        self.front = self.kind(self, [self.server.url.split("/")[2]])
        returned = Player(self, self.front, f"resume={plain.init['token']}")
        self.assertEqual(returned.id, plain.id)
        returned = SocketIoPlayer(self, self.front, ["polling"], resume=polling.token)
        self.assertEqual(returned.id, polling.id)

    def test_players_come_back_after_a_restart_of_the_server(self):
        state = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "state"
        port = reserve_port(self)
        flags = ["--state", str(state), "--drain-s", "0"]
        listen = f"127.0.0.1:{port}"
        self.server = self.serve(*flags, listen=listen)
        self.front = self.kind(self, [listen])
        plain = Player(self, self.front)
        polling = SocketIoPlayer(self, self.front, ["polling"])
        self.server.process.terminate()
        self.assertEqual(plain.close_code(), 4012)
        self.assertEqual(self.server.wait(), 0)
        back = f"resume={plain.init['token']}"
        if not self.kind.waits_for_server:
            with self.assertRaises(websocket.WebSocketBadStatusException) as refusal:
                Player(self, self.front, back)
            self.assertEqual(refusal.exception.status_code, self.kind.status_without_server)
        self.serve(*flags, listen=listen)
        # The first request reaches the new server.
        returned = Player(self, self.front, back)
        self.assertEqual(returned.id, plain.id)
        returned.plays()
        returned = SocketIoPlayer(self, self.front, ["polling"], resume=polling.token)
        self.assertEqual(returned.id, polling.id)
        returned.plays()

    def test_players_wait_during_a_restart_with_an_open_socket(self):
        state = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "state"
        flags = ["--state", str(state), "--drain-s", "0"]
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.server = self.serve(*flags, listener=listener)
        self.front = self.kind(self, [f"127.0.0.1:{listener.getsockname()[1]}"])
        player = Player(self, self.front)
        self.server.process.terminate()
        self.assertEqual(player.close_code(), 4012)
        self.assertEqual(self.server.wait(), 0)
        returned = []

        def come_back():
            returned.append(Player(self, self.front, f"resume={player.init['token']}"))

        waiting = threading.Thread(target=come_back)
        waiting.start()
        self.addCleanup(waiting.join, WAIT_MAX_S)
        self.serve(*flags, listener=listener)
        waiting.join(WAIT_MAX_S)
        self.assertEqual([player.id for player in returned], [player.id])

    def join(self, host, fields=""):
        """The status of a request for a WebSocket."""
        return status_of(self.raw(f"GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}{fields}\r\n", host))

    def test_limits_count_the_client_and_not_what_it_claims(self):
        # T50
        self.start()
        seen = set()
        for number in range(8 * JOINS_BURST):
            # If this was taken, each of them would be another client.
            claimed = f"198.51.100.{number % 256}"
            seen.add(self.join("127.0.0.2", f"X-Forwarded-For: {claimed}\r\n"))
            if 503 in seen:
                break
        self.assertEqual(seen, {101, 503})
        self.assertGreaterEqual(number, JOINS_BURST)
        self.assertEqual(self.join("127.0.0.3"), 101)
        self.assertEqual(self.join("127.0.0.4", "X-Forwarded-For: 127.0.0.2\r\n"), 101)
        # Apache takes seconds to end while it has connections.
        until(lambda: self.server.metric("skirmish_players") == 0, "all have left")

    def backend(self, answer):
        """A server that answers requests with these bytes, and their heads."""
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        heads = queue.Queue()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        head = b""
                        while b"\r\n\r\n" not in head and (more := client.recv(65_536)):
                            head += more
                        client.sendall(answer)
                    heads.put(head.decode())

        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        self.front = self.kind(self, [f"127.0.0.1:{listener.getsockname()[1]}"])
        return heads

    def test_fields_of_the_front_replace_those_of_the_client(self):
        heads = self.backend(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        claims = "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: gopher\r\n"
        host = f"127.0.0.1:{self.front.port}"
        for upgrade in ["", UPGRADE]:
            request = f"GET /ws HTTP/1.1\r\nHost: {host}\r\n{upgrade}{claims}\r\n"
            self.assertEqual(status_of(self.raw(request, "127.0.0.2")), 204)
            head = heads.get(timeout=WAIT_MAX_S)
            values = lambda name: re.findall(rf"(?im)^{name}: *(.*?) *\r$", head)
            self.assertEqual(values("Host"), [host])
            self.assertEqual(values("X-Forwarded-Proto"), ["http"])
            clients = ",".join(values("X-Forwarded-For")).split(",")
            self.assertEqual(clients[-1].strip(), "127.0.0.2")
            self.assertEqual(values("Upgrade"), ["websocket"] if upgrade else [])

    def test_no_log_has_a_token(self):
        switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        switch += b"Connection: upgrade\r\n"
        switch += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        paths = ["/ws", "/socket.io/"]
        # One that serves a request, one that ends without a response, and one that is away.
        for answer in [switch, b"", None]:
            with self.subTest(answer=answer):
                if answer is None:
                    # haproxy waits 3 s for each.
                    paths.pop()
                    self.front = self.kind(self, [f"127.0.0.1:{reserve_port(self)}"])
                else:
                    self.backend(answer)
                for path in paths:
                    head = f"GET {path}?EIO=4&transport=websocket&resume={TOKEN} HTTP/1.1\r\n"
                    status = status_of(self.raw(f"{head}Host: h\r\n{UPGRADE}\r\n"))
                    self.assertIn(status, [101] if answer else [500, 502, 503])
                is_logged = lambda: all(path in self.front.logs() for path in paths)
                until(is_logged, "the requests are logged")
                self.front.stop()
                self.assertNotIn(TOKEN, self.front.logs())


class Rooms(WithFront):
    """Tests of one proxy in front of two servers, with a room in each request."""

    def start(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.backends = [f"127.0.0.1:{reserve_port(self)}" for _ in range(2)]
        flags = lambda number: ["--state", str(folder / f"state-{number}"), "--drain-s", "0"]
        self.serve_rooms = lambda number: self.serve(*flags(number), listen=self.backends[number])
        self.servers = [self.serve_rooms(number) for number in range(2)]
        self.front = self.kind(self, self.backends)

    def players(self):
        return [server.metric("skirmish_players") for server in self.servers]

    def home(self, join):
        """What `join` returns, and the server to which it has added a player."""
        before = self.players()
        player = join()
        added = [now - then for now, then in zip(self.players(), before)]
        self.assertEqual(sorted(added), [0, 1])
        return player, added.index(1)

    def test_a_room_has_one_home(self):
        self.start()
        homes = set()
        for number in range(100):
            if number >= 3 and len(homes) == 2:
                break
            room = f"battle-{number}"
            homes.add(self.home_of_all(f"room={room}", [f"room={room}"]))
        self.assertEqual(homes, {0, 1})

    def home_of_all(self, query, others):
        """The one home of a Socket.IO player of each transport and of plain players."""
        joins = [
            lambda transports=transports: SocketIoPlayer(
                self, self.front, transports, query and f"?{query}"
            )
            for transports, _ in TRANSPORTS
        ]
        joins += [lambda other=other: Player(self, self.front, other) for other in others]
        homes = set()
        for join in joins:
            player, home = self.home(join)
            player.plays()
            homes.add(home)
        self.assertEqual(len(homes), 1, query)
        return homes.pop()

    def start_with_homes_that_differ(self):
        """Starts so that a player with the wrong one of the two default rooms is noticed."""
        for _ in range(100):
            self.start()
            join = lambda room: self.home(lambda: Player(self, self.front, f"room={room}"))
            if join("battle")[1] != join("dots")[1]:
                return
        self.fail("both rooms are always at the same server")

    def test_a_request_without_a_room_goes_to_the_default_room(self):
        self.start_with_homes_that_differ()
        # Socket.IO players that name no room, and plain ones that name the same in other ways.
        self.home_of_all("", ["room=battle", "rules=battle", "room=&rules=battle"])
        dots = ["", "room=dots", "room=", "rules=", "rules=dots", "room=dots&rules=battle"]
        join = lambda query: self.home(lambda: Player(self, self.front, query))[1]
        self.assertEqual(len({join(query) for query in dots}), 1)

    def test_a_room_stays_while_its_process_is_away(self):
        self.start()
        players = {}
        for number in range(100):
            query = f"room=dots-{number}"
            join = lambda query=query: Player(self, self.front, f"{query}&resume=1")
            player, home = self.home(join)
            players.setdefault(home, (player, query))
            if len(players) == 2:
                break
        (gone, query), (stays, other) = players[0], players[1]
        stayed = self.players()[1]
        self.servers[0].process.terminate()
        self.assertEqual(gone.close_code(), 4012)
        self.assertEqual(self.servers[0].wait(), 0)
        back = f"{query}&resume={gone.init['token']}"
        if self.kind.waits_for_server:
            returned = []
            waiting = threading.Thread(
                target=lambda: returned.append(Player(self, self.front, back))
            )
            waiting.start()
            self.addCleanup(waiting.join, WAIT_MAX_S)
        else:
            for _ in range(20):
                with self.assertRaises(websocket.WebSocketBadStatusException) as refusal:
                    Player(self, self.front, back)
                self.assertEqual(refusal.exception.status_code, 502)
                request = f"GET {POLLING}&{query} HTTP/1.1\r\nHost: h\r\n\r\n"
                self.assertEqual(status_of(self.raw(request)), 502)
        stays.plays()
        Player(self, self.front, other).plays()
        self.assertEqual(self.servers[1].metric("skirmish_players"), stayed + 1)
        self.servers[0] = self.serve_rooms(0)
        if self.kind.waits_for_server:
            waiting.join(WAIT_MAX_S)
        else:
            returned = [Player(self, self.front, back)]
        self.assertEqual([player.id for player in returned], [gone.id])
        self.assertEqual(self.servers[1].metric("skirmish_players"), stayed + 1)


class BehindNginx(Recipe, unittest.TestCase):
    kind = fronts.Nginx


class BehindHaproxy(Recipe, unittest.TestCase):
    kind = fronts.Haproxy


class BehindCaddy(Recipe, unittest.TestCase):
    kind = fronts.Caddy

    def test_players_are_lost_without_a_delay(self):
        # Caddy sends 1001 to the server, too, as a browser does that leaves the page.
        change = lambda block: re.sub("stream_close_delay.*", "", block)
        for end in [fronts.Caddy.reload, fronts.Caddy.stop]:
            with self.subTest(end=end.__name__):
                self.start(change=change)
                player = Player(self, self.front)
                end(self.front)
                self.assertEqual(player.close_code(), 1001)
                until(lambda: self.server.metric("skirmish_players") == 0, "it has left")
                front = self.kind(self, [self.server.url.split("/")[2]])
                returned = Player(self, front, f"resume={player.init['token']}")
                self.assertNotEqual(returned.id, player.id)


class BehindApache(Recipe, unittest.TestCase):
    kind = fronts.Apache


class RoomsBehindNginx(Rooms, unittest.TestCase):
    kind = fronts.Nginx


class RoomsBehindHaproxy(Rooms, unittest.TestCase):
    kind = fronts.Haproxy


if __name__ == "__main__":
    unittest.main()
