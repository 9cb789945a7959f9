"""The checker of histories finds what breaks a promise, and nothing else."""

import unittest

from history import Checker, Ended, Fault, History, Joined, Promises, Saw, different_worlds
from players import Own

PROMISES = Promises((0, 0, 100, 100), 5)


def own(x=50, y=50, hp=100, kills=0, deaths=0, number=1):
    return Own((x, y), hp, kills, deaths, number)


def good():
    """A client that plays, loses its connection and comes back."""
    return [
        Joined(0, 1, "7"),
        Saw(1, 1, 100, own()),
        Saw(1.05, 1, 101, own(55, kills=1)),
        Ended(2, 1, None, "cut"),
        Joined(2.5, 2, "7"),
        Saw(2.6, 2, 131, own(60, kills=1)),
        Saw(9, 2, 140, own(60, kills=2, deaths=1)),
    ]


class Histories(unittest.TestCase):
    def problems(self, events, faults=(), others=(), end_at=10):
        histories = [History("one", "battle", events)]
        histories += [History(f"other {n}", "battle", events) for n, events in enumerate(others)]
        return Checker(PROMISES, list(faults)).problems(histories, end_at)

    def assert_found(self, what, events, faults=(), **options):
        problems = self.problems(events, faults, **options)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(what, problems[0])

    def test_a_good_history_keeps_all_promises(self):
        self.assertEqual(self.problems(good()), [])
        other = [Joined(0, 1, "8"), Saw(1, 1, 100, own()), Saw(9, 1, 140, own())]
        self.assertEqual(self.problems(good(), others=[other]), [])

    def test_ticks_increase_on_a_connection(self):
        again = Saw(2.7, 2, 131, own(60, kills=1))
        self.assert_found("tick 131 after 131", [*good()[:6], again, good()[6]])
        # Another connection may begin with an older one, as after a kill.
        older = [*good()[:5], Saw(2.6, 2, 99, own(60, kills=1)), good()[6]]
        self.assertEqual(self.problems(older), [])

    def test_a_player_keeps_its_id(self):
        changed = [*good()[:4], Joined(2.5, 2, "9"), *good()[5:]]
        self.assert_found("was player 7 and came back as 9", changed)
        # A kill may lose a player that is younger than the file, and no older one.
        self.assertEqual(self.problems(changed, [Fault(2, 2.2, "kill")]), [])
        self.assert_found("was player 7", changed, [Fault(2, 2.2, "term")])
        # A server that was stopped before has written its file later.
        older = [Joined(-5, 1, "7"), *changed[1:]]
        self.assert_found("was player 7", older, [Fault(2, 2.2, "kill")])
        stopped = [Fault(0, 2, "stop"), Fault(2, 2.2, "kill")]
        self.assertEqual(self.problems(older, stopped), [])
        old = [Joined(-20, 1, "7"), *changed[1:]]
        self.assert_found("was player 7", old, [Fault(2, 2.2, "kill")])

    def test_two_clients_have_two_ids(self):
        other = [Joined(0.5, 1, "7"), Saw(1, 1, 100, own()), Saw(9, 1, 140, own())]
        problems = self.problems(good(), others=[other])
        self.assertTrue(problems and all("player 7 is" in problem for problem in problems))

    def test_a_client_is_not_without_a_state_for_long(self):
        self.assert_found("without a state for 11.0 s", good(), end_at=20)
        self.assertEqual(self.problems(good(), [Fault(9, 12, "stop")], end_at=20), [])
        overlapping = [Fault(9, 9.6, "stop"), Fault(9.1, 9.5, "hold")]
        self.assert_found("without a state for 10.4 s", good(), overlapping, end_at=20)
        self.assert_found("no state at all", [Joined(0, 1, "7")])

    def test_places_are_inside_the_walls(self):
        self.assert_found(
            "outside of the walls", [Joined(0, 1, "7"), Saw(1, 1, 100, own(101))], end_at=2
        )

    def test_steps_are_not_longer_than_allowed(self):
        walk = [Joined(0, 1, "7"), Saw(1, 1, 100, own(0)), Saw(1.1, 1, 102, own(60))]
        self.assertEqual(self.problems(walk, end_at=2), [], "12 steps")
        jump = [*walk[:2], Saw(1.1, 1, 102, own(61))]
        self.assert_found("moved by 61", jump, end_at=2)
        # A respawn, a new round and a kill put a player elsewhere.
        for elsewhere in [own(99, deaths=1), own(99, number=2)]:
            events = [*walk[:2], Saw(1.1, 1, 102, elsewhere)]
            self.assertEqual(self.problems(events, end_at=2), [])
        self.assertEqual(self.problems(jump, [Fault(1.05, 1.08, "kill")], end_at=2), [])
        # Over two connections the time counts.
        slow = [*walk[:2], Saw(1.1, 2, 9_999, own(99))]
        self.assert_found("moved by 99", slow, end_at=2)

    def test_scores_do_not_fall(self):
        fallen = [*good(), Saw(9.1, 2, 142, own(60, kills=1, deaths=1))]
        self.assert_found("its score fell from 2/1 to 1/1", fallen)
        round_2 = [*good(), Saw(9.1, 2, 142, own(60, number=2))]
        self.assertEqual(self.problems(round_2), [])

    def test_a_kill_takes_a_score_back_to_a_recent_state(self):
        kill = [Fault(20, 20.2, "kill")]
        states = [
            Joined(0, 1, "7"),
            *[Saw(at, 1, at * 20, own(kills=at)) for at in range(1, 21)],
            Joined(20.5, 2, "7"),
        ]
        recent = Saw(20.6, 2, 300, own(kills=15))
        self.assertEqual(self.problems([*states, recent], kill, end_at=21), [])
        old = Saw(20.6, 2, 300, own(kills=11))
        self.assert_found("older than a state", [*states, old], kill, end_at=21)

    def test_worlds_are_equal_at_the_end(self):
        world = {"7": (1, 2), "8": (3, 4)}
        self.assertEqual(different_worlds({"a": world, "b": dict(world)}), [])
        for other in [{"7": (1, 2)}, {**world, "9": (0, 0)}, {**world, "8": (3, 5)}]:
            self.assertEqual(len(different_worlds({"a": world, "b": other})), 1, other)
        self.assertEqual(len(different_worlds({})), 1)


if __name__ == "__main__":
    unittest.main()
