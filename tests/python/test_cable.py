"""T08 and T78: players whose cable is pulled are noticed within 12 s, on every transport.

The server and the players are in network namespaces of their own. Frames to a wrong Ethernet
address are lost without a sign, as they are behind a switch whose other cable was pulled.
"""

import http.client
import json
import threading
import unittest

from harness import Server, until
from test_credit import Client, Network

# The server looks once a second, and the test asks for the number of players now and then.
NOTICED_S = 12 + 1
NOWHERE = "02:00:00:00:00:99"


class Player(Client):
    """A player over a WebSocket, in any dialect, that reads until it is cut off."""

    def __init__(self, network, address, path, fields=""):
        super().__init__(network, address, path, fields)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def message(self, payload):
        # Socket.IO: the namespace is connected after the open packet, and pings are answered.
        if payload.startswith(b"0{"):
            self.send(b"40")
        elif payload == b"2":
            self.send(b"3")

    def run(self):
        try:
            while True:
                self.read()
        except (OSError, AssertionError):
            # The end of the test.
            pass


class PollingPlayer:
    """A player of Socket.IO that polls."""

    def __init__(self, network, address):
        with network.on("browser"):
            self.polls = http.client.HTTPConnection(*address, timeout=60)
            self.polls.connect()
            self.posts = http.client.HTTPConnection(*address, timeout=60)
            self.posts.connect()
        path = "/socket.io/?EIO=4&transport=polling"
        opened = self.ask(self.polls, "GET", path)
        self.path = f"{path}&sid={json.loads(opened[1:])['sid']}"
        self.ask(self.posts, "POST", self.path, "40")
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def ask(self, connection, method, path, body=None):
        connection.request(method, path, body)
        response = connection.getresponse()
        assert response.status == 200, response.status
        return response.read().decode()

    def run(self):
        try:
            while True:
                packets = self.ask(self.polls, "GET", self.path).split("\x1e")
                if "2" in packets:
                    self.ask(self.posts, "POST", self.path, "3")
        except (OSError, AssertionError, http.client.HTTPException):
            # The end of the test.
            pass


class PulledCable(unittest.TestCase):
    def setUp(self):
        self.network = Network(self)
        self.server = Server(
            "--admin-listen", "127.0.0.1:0",
            listen="10.77.3.1:0", within=self.network.within("server"),
        )
        self.addCleanup(self.server.stop)
        port = int(self.server.url.rstrip("/").rsplit(":", 1)[1])
        self.address = ("10.77.3.1", port)

    def players(self):
        with self.network.on("server"):
            return self.server.metric("skirmish_players")

    def until_players(self, count, **limit):
        until(lambda: self.players() == count, f"{count} players", **limit)

    def pull(self):
        for host, other in [("server", "10.77.3.2"), ("browser", "10.77.3.1")]:
            self.network.run(
                host, "ip", "neigh", "replace", other, "lladdr", NOWHERE, "dev", "link3",
                "nud", "permanent",
            )

    def noticed(self, *players):
        """Makes players, pulls their cable, and waits until the server has noticed that."""
        made = [player() for player in players]
        self.until_players(len(made))
        self.pull()
        self.until_players(0, limit_s=NOTICED_S)

    # T08, T78
    def test_every_transport(self):
        self.noticed(
            lambda: Player(self.network, self.address, "/ws?room=dots"),
            lambda: Player(
                self.network, self.address, "/ws?room=world",
                "Sec-WebSocket-Protocol: skirmish.v1\r\n",
            ),
            lambda: Player(
                self.network, self.address, "/socket.io/?EIO=4&transport=websocket"
            ),
            lambda: PollingPlayer(self.network, self.address),
        )


if __name__ == "__main__":
    unittest.main()
