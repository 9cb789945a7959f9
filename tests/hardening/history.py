"""What clients have seen, and whether a server that keeps its promises could have shown it.

The promises are those of docs/protocol.md: ticks increase on a connection, a player that resumes is
the same one, with its place and score, no other player has its id, and nothing moves further than
the rules allow.
"""

from dataclasses import dataclass, field
from itertools import pairwise

# A player moves once per tick, and may have saved this many moves.
MOVES_SAVED = 10
TICKS_PER_S = 20


@dataclass(frozen=True)
class Joined:
    at: float
    connection: int
    id: str


@dataclass(frozen=True)
class Saw:
    """A state. What is not known is None; `own` is a `players.Own`."""

    at: float
    connection: int
    tick: int | None = None
    own: object = None


@dataclass(frozen=True)
class Ended:
    at: float
    connection: int
    code: int | None
    reason: str = ""


@dataclass(frozen=True)
class Fault:
    """What was done to the server or the network, from when until when, in seconds."""

    begin: float
    end: float
    kind: str


@dataclass
class History:
    """The events of one client, in the order in which it saw them."""

    name: str
    room: str
    events: list = field(default_factory=list)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Promises:
    """The numbers that are promised."""

    walls: tuple
    step: int
    # How long a client may be without a state, aside from faults.
    back_s: float = 10
    # The age of the state to which a kill goes back.
    state_every_s: float = 5


class Checker:
    """Finds what breaks a promise. `faults` are all that were made, in their order."""

    def __init__(self, promises, faults):
        self.promises, self.faults = promises, faults
        self.kills = [fault for fault in faults if fault.kind == "kill"]
        # When clients first saw a new round.
        self.rounds = []

    def problems(self, histories, end_at):
        """All that is wrong with the histories of clients of one room, in a run that ended at a
        time, as sentences.
        """
        found = []
        for history in histories:
            known = [event for event in history.of(Saw) if event.own and event.own.round]
            self.rounds += [
                now.at for before, now in pairwise(known) if before.own.round != now.own.round
            ]
        for history in histories:
            for check in [self.ticks, self.identity, self.losses, self.places, self.scores]:
                found += [f"{history.name}: {problem}" for problem in check(history, end_at)]
        return found + self.duplicates(histories)

    # --- of one client ---------------------------------------------------------------------------

    def ticks(self, history, _):
        newest = {}
        for event in history.of(Saw):
            if event.tick is None:
                continue
            before = newest.get(event.connection)
            if before is not None and event.tick <= before:
                yield f"tick {event.tick} after {before} on connection {event.connection}"
            newest[event.connection] = event.tick

    def identity(self, history, _):
        """A client keeps its id; a kill may have lost what was new."""
        for before, now in pairwise(history.of(Joined)):
            if now.id != before.id and not self.was_lost(before.at, now.at):
                yield f"was player {before.id} and came back as {now.id}"

    def was_lost(self, made_at, until):
        """Whether a kill until then may have lost what was made at a time."""
        return any(
            made_at - 1 <= kill.begin <= min(until, made_at + self.age(kill.begin) + 1)
            for kill in self.kills
        )

    def age(self, at):
        """How old the state of a kill may be: a server that is disturbed writes it later."""
        every_s = self.promises.state_every_s
        return every_s + self.disturbed(at - 2 * every_s, at)

    def losses(self, history, end_at):
        """No client is without a state for longer than is promised, aside from faults."""
        moments = [event.at for event in history.of(Saw)]
        if not moments:
            yield "saw no state at all"
        for before, now in pairwise([*moments, end_at]):
            if now - before > self.promises.back_s:
                without = now - before - self.disturbed(before, now)
                if without > self.promises.back_s:
                    yield f"was without a state for {without:.1f} s besides the faults"

    def disturbed(self, begin, end):
        """Seconds of a time in which a fault was made."""
        total, until = 0.0, begin
        for fault in self.faults:
            start, stop = max(fault.begin, until), min(fault.end, end)
            if stop > start:
                total, until = total + stop - start, stop
        return total

    def places(self, history, _):
        left, top, right, bottom = self.promises.walls
        known = [event for event in history.of(Saw) if event.own]
        for event in known:
            x, y = event.own.place
            if not (left <= x <= right and top <= y <= bottom):
                yield f"is outside of the walls at {event.own.place}"
        for before, now in pairwise(known):
            # A respawn or a new round puts it elsewhere, and a kill where it was before.
            if self.is_placed(before, now):
                continue
            far = max(abs(a - b) for a, b in zip(before.own.place, now.own.place))
            if far > self.promises.step * self.steps(before, now):
                yield f"moved by {far} from {before} to {now}"

    def is_placed(self, before, now):
        was, now_own = before.own, now.own
        # What is unknown may have changed.
        is_other_life = was.deaths is None or now_own.deaths is None or was.deaths != now_own.deaths
        was_dead = was.hp is None or was.hp == 0
        return (
            is_other_life or was_dead or self.is_other_round(before, now)
            or self.was_killed(before, now)
        )

    def is_other_round(self, before, now):
        """Whether a round may have ended between two states; not all clients see that at once."""
        return any(before.at - 1 <= at <= now.at + 1 for at in self.rounds)

    def was_killed(self, before, now):
        return any(before.at - 1 <= kill.end and kill.begin <= now.at for kill in self.kills)

    def steps(self, before, now):
        """The most steps that a player can make between two states."""
        if before.connection == now.connection and None not in (before.tick, now.tick):
            return now.tick - before.tick + MOVES_SAVED
        return (now.at - before.at) * TICKS_PER_S + MOVES_SAVED + 2

    def scores(self, history, _):
        """Scores do not fall in a round; after a kill they are those of a recent state."""
        known = [
            event for event in history.of(Saw) if event.own and event.own.kills is not None
        ]
        joined = {event.connection: event.id for event in history.of(Joined)}
        for index, (before, now) in enumerate(pairwise(known)):
            was, own = before.own, now.own
            is_same = joined.get(before.connection) == joined.get(now.connection)
            if not is_same or self.is_other_round(before, now):
                continue
            if own.kills >= was.kills and own.deaths >= was.deaths:
                continue
            oldest = before.at - self.age(before.at) - 2
            recent = [event.own for event in known[: index + 1] if event.at >= oldest]
            # The state before that time is as it was then.
            recent += [event.own for event in known[: index + 1] if event.at < oldest][-1:]
            if not self.was_killed(before, now):
                yield f"its score fell from {was.kills}/{was.deaths} to {own.kills}/{own.deaths}"
            elif own.kills < min(one.kills for one in recent):
                yield f"its score is older than a state: {own.kills} after {was.kills}"

    # --- of all ----------------------------------------------------------------------------------

    def duplicates(self, histories):
        """No two clients have one id; numbers that only a killed process gave may come again."""
        owners = {}
        for history in histories:
            for event in history.of(Joined):
                owners.setdefault(event.id, []).append((event.at, history.name))
        return [
            f"player {number} is {first} and {then}"
            for number, joins in owners.items()
            for (first_at, first), (then_at, then) in pairwise(sorted(joins))
            if first != then and not self.was_lost(first_at, then_at)
        ]


def different_worlds(worlds):
    """What clients of one room see differently at the end: `worlds` has of each client the places
    by player.
    """
    if not worlds:
        return ["no client has seen the end"]
    (reference_name, reference), *others = worlds.items()
    problems = []
    for name, world in others:
        differing = {
            number: (reference.get(number), world.get(number))
            for number in reference.keys() | world.keys()
            if reference.get(number) != world.get(number)
        }
        if differing:
            shown = dict(list(differing.items())[:3])
            count = len(differing)
            problems.append(f"{name} and {reference_name} see {count} differently: {shown}")
    return problems
