"""Players of every dialect (docs/protocol.md, docs/skirmish-v1.md). They move, attack, and come
back to their player after a loss. An observer is notified of what they see.
"""

import asyncio
import json
import random
import re
import struct
import time
from dataclasses import dataclass

from wire import BINARY, TEXT, WEBSOCKET, WebSocket

# How long a page waits before it connects again, in seconds: the least, and the spread.
RETRY_MIN_S, RETRY_SPREAD_S = 0.1, 0.5
SILENCE_S = 12
# The least time from a death to a respawn, and some of it.
RESPAWN_TICKS = 50
WAYS = ["UP", "DOWN", "LEFT", "RIGHT"]


@dataclass(frozen=True)
class Own:
    """What a player knows about itself; None is unknown."""

    place: tuple
    hp: int | None = None
    kills: int | None = None
    deaths: int | None = None
    round: int | None = None


class Observer:
    """Is notified of what players see. `at` is in seconds since 1970."""

    # Whether `saw` needs what the player knows about itself.
    wants_own = False

    def joined(self, player, at):
        """The player has an id and, if it asked for one, a token."""

    def saw(self, player, tick, own, at):
        """A state: its tick or None, and what is known of the player or None."""

    def ended(self, player, code, reason, at):
        """The connection ended, or could not be made."""


class Player:
    """A client that plays until it is cancelled."""

    fields = ""

    def __init__(self, port, room, observer, resumes=True, hz=2.0, rng=random, **options):
        self.port, self.room, self.observer = port, room, observer
        self.resumes, self.hz, self.rng = resumes, hz, rng
        # Of `wire.connect`.
        self.options = options
        self.id = self.token = self.link = None
        # The connections so far, which number them.
        self.connections = 0
        self.acts, self.attacks = True, False
        self.silence_s = SILENCE_S
        # What is known of all players in the room, by their ids.
        self.world = {}

    async def run(self):
        while True:
            code, reason = await self.connection()
            self.observer.ended(self, code, reason, time.time())
            hint = re.search(rb'"retry_ms":(\d+)', reason)
            pause = RETRY_MIN_S + self.rng.random() * RETRY_SPREAD_S
            await asyncio.sleep(int(hint[1]) / 1000 if hint else pause)

    async def connection(self):
        """Plays until the connection ends. Returns the close code or None, and the reason."""
        self.connections += 1
        self.world = {}
        self.begin()
        try:
            self.link = await WebSocket.open(
                self.port, self.target(), self.message, self.fields, **self.options
            )
        except (OSError, asyncio.TimeoutError) as error:
            return None, str(error or "no connection").encode()
        link = self.link
        try:
            while True:
                await asyncio.wait([link.ended], timeout=self.rng.uniform(0.5, 1.5) / self.hz)
                if link.ended.done():
                    return link.ended.result()
                if time.monotonic() - link.heard_at > self.silence_s:
                    link.end(None, b"silence")
                elif self.id:
                    self.act()
        finally:
            link.end(None, b"cancelled")

    def begin(self):
        """Before each connection."""

    def query(self):
        resume = f"&resume={self.token or 1}" if self.resumes else ""
        return f"room={self.room}{resume}"

    def has_joined(self, number, token, at):
        self.id, self.token = str(number), token or self.token
        self.observer.joined(self, at)

    def saw(self, tick, own, at):
        self.observer.saw(self, tick, own, at)

    def leave(self, with_reset=False):
        if self.link:
            self.link.end(None, b"reset" if with_reset else b"left", with_reset)


class Json(Player):
    """The JSON dialect."""

    rate_hz = 20

    def target(self):
        return f"/ws?{self.query()}"

    def begin(self):
        self.acknowledged = 0

    def message(self, _, payload, at):
        if payload.startswith(b'{"type":"state_update"'):
            tick = int(payload[payload.rindex(b'"tick":') + 7 :].partition(b",")[0].rstrip(b"}"))
            self.saw(tick, self.own(payload) if self.observer.wants_own else None, at)
            if tick >= self.acknowledged + 5:
                self.acknowledged = tick
                self.say(type="ack", tick=tick)
        elif payload.startswith(b'{"type":"init"'):
            init = json.loads(payload)
            if self.rate_hz != 20:
                self.say(type="rate", hz=self.rate_hz)
            self.has_joined(init["id"], init.get("token"), at)

    def own(self, payload):
        state = json.loads(payload)
        self.world = {one["id"]: one for one in state["players"]}
        me = self.world.get(self.id)
        if me is None:
            return None
        return Own(
            (me["x"], me["y"]), me.get("hp"), me.get("kills"), me.get("deaths"),
            state.get("room", {}).get("round"),
        )

    def act(self):
        if self.acts:
            self.say(type="move", direction=self.rng.choice(WAYS))
        if self.acts and self.attacks:
            self.say(type="attack")

    def say(self, **message):
        self.link.send(TEXT, json.dumps(message, separators=(",", ":")).encode())

    def places(self):
        return {number: (one["x"], one["y"]) for number, one in self.world.items()}


class SocketIo(Player):
    """Socket.IO over a WebSocket."""

    def target(self):
        return WEBSOCKET

    def message(self, _, payload, at):
        if payload[:1] == b"0":
            auth = {"room": self.room, "acks": True}
            if self.resumes:
                auth["resume"] = self.token or True
            self.send(b"40" + json.dumps(auth).encode())
        elif payload == b"2":
            self.send(b"3")
        elif payload[:2] == b"40":
            self.number = str(json.loads(payload[2:])["sid"])
            if not self.resumes:
                self.has_joined(self.number, None, at)
        elif payload[:2] == b"44":
            self.link.end(None, payload)
        elif payload[:2] == b"42":
            number, start = payload[2:].partition(b"[")[::2]
            name, *data = json.loads(b"[" + start)
            self.event(name, data[0] if data else {}, number, at)

    def event(self, name, data, number, at):
        if name == "tick":
            self.saw(data["tick"], None, at)
            self.send(b"43%s[]" % number)
        elif name == "token":
            self.has_joined(self.number, data["token"], at)
        elif name == "player_left":
            self.world.pop(data["id"], None)
        elif name in ("new_player", "player_moved", "player_respawned"):
            me = self.world.setdefault(data["id"], {})
            me.update(data["position"])
            if data["id"] == self.id:
                own = Own((me["x"], me["y"]), me.get("hp"), me.get("kills"), me.get("deaths"))
                self.saw(None, own, at)

    def act(self):
        me = self.world.get(self.id)
        if me and self.acts:
            to = {"x": me["x"] + self.rng.randint(-9, 9), "y": me["y"] + self.rng.randint(-9, 9)}
            self.send(b"42" + json.dumps(["move", to]).encode())
        if me and self.acts and self.attacks:
            self.send(b'42["attack",{}]')

    def send(self, packet):
        self.link.send(TEXT, packet)

    def places(self):
        return {number: (one["x"], one["y"]) for number, one in self.world.items()}


class V1(Player):
    """skirmish.v1: HEAD of each tick, and the bodies of keyframes, which it asks for."""

    fields = "Sec-WebSocket-Protocol: skirmish.v1\r\n"
    WIDTHS = {"u8": "B", "u16": "H", "i32": "i", "u32": "I"}
    ARGUMENTS = {"player": 2, "number": 4, "word": 1}

    def target(self):
        return f"/ws?{self.query()}"

    def begin(self):
        self.welcome = None
        self.applied = self.presses = self.way = 0
        self.tick = 0
        self.keyframe_asked, self.score = 0.0, (None, None)
        self.bodies = {}
        # Players by slot and generation.
        self.numbers = {}

    def message(self, opcode, payload, at):
        if opcode != BINARY:
            return
        if payload[0] == 0xB0:
            is_first = self.welcome is None
            self.welcome = json.loads(payload[1:])
            if is_first:
                own, public = [], []
                for field in self.welcome["fields"]:
                    form = self.WIDTHS[field["width"]]
                    (own if field.get("owner") else public).append((field["name"], form))
                self.own_form = "<" + "".join(form for _, form in own)
                self.public_names = [name for name, _ in public]
                self.public_form = "<" + "".join(form for _, form in public)
                self.has_joined(self.welcome["id"], self.welcome.get("token"), at)
            return
        offset = 0
        while offset < len(payload):
            kind = payload[offset]
            if kind == 0xA1:
                self.head(payload, offset, at)
                return
            offset = self.after_part(payload, offset)

    def after_part(self, payload, offset):
        """Where the ROSTER, EVENT or CHECK at an offset ends."""
        kind = payload[offset]
        if kind == 0xF0:
            return offset + 9
        if kind == 0xE0:
            number = payload[offset + 1]
            if number < 16:
                return offset + 4
            arguments = self.welcome["events"][number - 16]["arguments"]
            return offset + 2 + sum(self.ARGUMENTS[one["kind"]] for one in arguments)
        if kind != 0xD0:
            raise ValueError(f"an unknown part {kind:02x}")
        (count,) = struct.unpack_from("<H", payload, offset + 1)
        offset += 3
        for _ in range(count):
            slot, generation, number = struct.unpack_from("<HBI", payload, offset)
            self.numbers[slot, generation] = str(number)
            offset += 11 + payload[offset + 10]
        return offset

    def head(self, payload, offset, at):
        _, flags, self.tick, age, cells, self.applied, _, x, y = struct.unpack_from(
            "<BBIBBHbHH", payload, offset
        )
        if age == 0:
            offset += 15 + struct.calcsize(self.own_form)
            self.bodies = self.full_cells(payload, offset, cells)
            me = self.bodies.get((self.welcome["slot"], self.welcome["gen"]), {})
            self.score = me.get("kills"), me.get("deaths")
        elif age >= RESPAWN_TICKS:
            # It may have died and respawned.
            self.score = None, None
        self.saw(self.tick, Own((x, y), int(not flags & 1), *self.score), at)
        if flags & 4:
            self.input()

    def full_cells(self, payload, offset, cells):
        """The bodies of a keyframe, by slot and generation."""
        bodies = {}
        size = 8 + struct.calcsize(self.public_form)
        for _ in range(cells):
            kind, _, _, count = struct.unpack_from("<BHBH", payload, offset)
            if kind != 0xC1:
                raise ValueError(f"a cell {kind:02x} in a keyframe")
            offset += 6
            for _ in range(count):
                slot, generation, x, y, _ = struct.unpack_from("<HBHHB", payload, offset)
                values = struct.unpack_from(self.public_form, payload, offset + 8)
                body = dict(zip(self.public_names, values), x=x, y=y)
                bodies[slot, generation] = body
                offset += size
        return bodies

    def act(self):
        if not self.welcome:
            return
        self.way = self.rng.randint(1, 4) if self.acts else 0
        self.presses += self.acts and self.attacks
        self.input()
        if time.monotonic() > self.keyframe_asked + 1.1:
            self.keyframe_asked = time.monotonic()
            self.link.send(BINARY, b"\x11")
            if self.bodies:
                # One WHO may be about 64 bodies.
                unknown = [body for body in self.bodies if body not in self.numbers][:64]
                who = b"".join(struct.pack("<HB", *body) for body in unknown)
                self.link.send(BINARY, b"\x12" + bytes([len(unknown)]) + who)

    def input(self):
        buttons = self.way | (self.presses % 32) << 3
        values = (0x10, buttons, (self.applied + 2) & 0xFFFF, self.tick & 0xFFFF, 0, 0)
        self.link.send(BINARY, struct.pack("<BBHHBB", *values))

    def places(self):
        return {
            self.numbers.get(body): (one["x"], one["y"]) for body, one in self.bodies.items()
        }
