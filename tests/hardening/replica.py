"""A client of skirmish.v1 that keeps the bodies of a room of one cell, such as a battle."""

import struct

from players import V1
from wire import BINARY


def sum_of(record):
    """FNV-1a of a FULL record, without the bits that hold for one tick."""
    total = 0x811C9DC5
    for at, byte in enumerate(record):
        total = (total ^ (byte & ~40 if at == 7 else byte)) * 0x01000193 & 0xFFFFFFFF
    return total


class Numbers(dict):
    """The players of bodies. A body never gets another one."""

    changed = 0

    def __setitem__(self, body, number):
        self.changed += self.get(body, number) != number
        super().__setitem__(body, number)


class Replica(V1):
    """Applies every delta of a room of one cell, and compares the sums of CHECK."""

    STEPS = {0: (0, 0), 1: (0, -1), 2: (0, 1), 3: (-1, 0), 4: (1, 0)}

    def begin(self):
        super().begin()
        self.records, self.known, self.check = {}, None, None
        self.numbers = Numbers()
        self.sums = self.wrong_sums = self.without_spawn = self.resyncs = 0
        # Of each tick the sorted places.
        self.ticks = {}

    def act(self):
        self.input()
        unknown = [body for body in self.keys() if body not in self.numbers][:64]
        if unknown:
            who = b"".join(struct.pack("<HB", *body) for body in unknown)
            self.link.send(BINARY, b"\x12" + bytes([len(unknown)]) + who)

    def keys(self):
        return [(slot, record[2]) for slot, record in self.records.items()]

    def after_part(self, payload, offset):
        if payload[offset] == 0xF0:
            self.check = struct.unpack_from("<II", payload, offset + 1)
        return super().after_part(payload, offset)

    def head(self, payload, offset, at):
        _, flags, tick, age, cells, self.applied = struct.unpack_from("<BBIBBH", payload, offset)
        if age and tick - age != self.known:
            self.resyncs += 1
            self.link.send(BINARY, b"\x11")
            return
        offset += 15 + struct.calcsize(self.own_form)
        self.sizes = [struct.calcsize("<" + form) for form in self.public_form[1:]]
        if not age:
            self.records = {}
        elif not cells:
            for record in self.records.values():
                self.walk(record, age)
        for _ in range(cells):
            kind, _, cell_age, count = struct.unpack_from("<BHBH", payload, offset)
            if kind == 0xC0:
                offset = self.delta(payload, offset + 6, age, cell_age, count)
            else:
                self.records = {}
                offset = self.full(payload, offset + 6, count)
        self.tick = self.known = tick
        # With flag 8, changes of course are held back: the bodies are elsewhere for JSON.
        if not flags & 8:
            self.ticks[tick] = sorted(self.place(record) for record in self.records.values())
        if self.check and self.check[0] == tick:
            self.sums += 1
            total = sum(map(sum_of, self.records.values())) & 0xFFFFFFFF
            self.wrong_sums += total != self.check[1]
        if flags & 4:
            self.input()

    def place(self, record):
        return struct.unpack_from("<HH", record, 3)

    def full(self, payload, offset, count, is_new=False):
        size = 8 + sum(self.sizes)
        for _ in range(count):
            record = bytearray(payload[offset : offset + size])
            self.without_spawn += is_new and not record[7] & 32
            self.records[struct.unpack_from("<H", record)[0]] = record
            offset += size
        self.records = dict(sorted(self.records.items()))
        return offset

    def walk(self, record, steps):
        x, y = self.place(record)
        left, top, right, bottom = self.welcome["walls"]
        across, down = self.STEPS[0 if record[7] & 16 else record[7] & 7]
        x = min(max(x + across * steps * self.welcome["step"], left), right)
        y = min(max(y + down * steps * self.welcome["step"], top), bottom)
        struct.pack_into("<HH", record, 3, x, y)
        record[7] &= ~40

    def delta(self, payload, offset, age, cell_age, count):
        order, at, changed = list(self.records), 0, set()
        for _ in range(count):
            head, offset = payload[offset], offset + 1
            skipped, motion, ago = head >> 4, head & 7, 0
            if skipped == 15:
                skipped, offset = 15 + payload[offset], offset + 1
            slot = order[at + skipped]
            at += skipped + 1
            record = self.records[slot]
            changed.add(slot)
            if 1 <= motion <= 5:
                if cell_age > 1:
                    ago, offset = payload[offset], offset + 1
                self.walk(record, age - 1 - ago)
                record[7] = record[7] & ~7 | motion % 5
                self.walk(record, ago + 1)
            elif motion == 6:
                record[3:7], offset = payload[offset : offset + 4], offset + 4
                record[7] &= ~40
            elif motion == 7:
                del self.records[slot]
            else:
                self.walk(record, age)
            if head & 8:
                width = len(self.sizes) // 8 + 1
                mask = int.from_bytes(payload[offset : offset + width], "little")
                offset += width
                field_at = 7
                for bit, size in enumerate([1, *self.sizes]):
                    if mask >> bit & 1:
                        record[field_at : field_at + size] = payload[offset : offset + size]
                        offset += size
                    field_at += size
        for slot in set(order) - changed:
            self.walk(self.records[slot], age)
        return self.full(payload, offset + 1, payload[offset], is_new=True)

    def places(self):
        return {
            self.numbers.get((slot, record[2])): self.place(record)
            for slot, record in self.records.items()
        }
