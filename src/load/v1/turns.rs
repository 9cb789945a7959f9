//! Measures the time from a probe's change of course until other clients see it.

use std::collections::VecDeque;

use crate::codec::v1::{Body, Course};
use crate::load::stopwatch::LOST_AFTER_US;

/// Maximum number of pending changes, the bits of a `u64`; the oldest is dropped for a new one.
const PENDING_MAX: usize = 64;

/// Maximum number of observers.
pub const OBSERVERS_MAX: u8 = 50;

/// A change of course.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The number of the probe's room.
    pub room: u32,
    /// The probe's body.
    pub slot: u16,
    /// Its generation.
    pub generation: u8,
    /// The new course.
    pub course: Course,
    /// When it was scheduled.
    pub intended_us: u64,
}

/// The pending changes, oldest first, with a bit for each observer that has seen it.
#[derive(Debug, Default)]
pub struct Turns(VecDeque<(Turn, u64)>);

impl Turns {
    /// A probe changes its course. Its last change ends.
    pub fn begin(&mut self, turn: Turn) {
        let is_over = |old: &Turn| {
            (old.room, old.slot) == (turn.room, turn.slot)
                || old.intended_us + LOST_AFTER_US < turn.intended_us
        };
        self.0.retain(|(old, _)| !is_over(old));
        if self.0.len() == PENDING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((turn, 0));
    }

    /// The pending changes, a bit for each, whose bodies a client sees. `body` finds a body by its
    /// slot.
    #[must_use]
    pub fn in_view<'a>(&self, room: u32, body: impl Fn(u16) -> Option<&'a Body>) -> u64 {
        let is_seen = |turn: &Turn| turn.room == room && body(turn.slot).is_some();
        let bits = self.0.iter().enumerate().map(|(at, (turn, _))| u64::from(is_seen(turn)) << at);
        bits.fold(0, |all, bit| all | bit)
    }

    /// A client of a room may see changes of others. `body` finds a body by its slot. Returns when
    /// the changes that it sees for the first time were scheduled, if it saw the bodies before
    /// (`in_view`): a body may change its course and come into view later.
    pub fn observe<'a>(
        &mut self,
        observer: u8,
        (room, own): (u32, u16),
        in_view: u64,
        body: impl Fn(u16) -> Option<&'a Body>,
    ) -> Vec<u64> {
        let bit = 1 << observer;
        let mut seen_us = Vec::new();
        for (at, (turn, seen)) in self.0.iter_mut().enumerate() {
            if *seen & bit != 0 || turn.room != room || turn.slot == own {
                continue;
            }
            let shows = |body: &Body| {
                body.generation == turn.generation && body.state.course() == turn.course
            };
            if body(turn.slot).is_some_and(shows) {
                *seen |= bit;
                if in_view & 1 << at != 0 {
                    seen_us.push(turn.intended_us);
                }
            }
        }
        seen_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::v1::State;

    fn turn(slot: u16, course: Course, intended_us: u64) -> Turn {
        Turn { room: 3, slot, generation: 1, course, intended_us }
    }

    #[test]
    fn each_observer_sees_a_change_once() {
        let mut turns = Turns::default();
        turns.begin(turn(7, Course::Left, 100));
        let mut body =
            Body { id: 7, generation: 1, state: State::new(Course::Right), ..Body::default() };
        assert!(turns.observe(0, (3, 8), 1, |_| Some(&body)).is_empty(), "the old course");
        assert!(turns.observe(0, (3, 8), 1, |_| None).is_empty(), "it is not in view");
        body.state = State::new(Course::Left);
        assert!(turns.observe(0, (3, 7), 1, |_| Some(&body)).is_empty(), "itself");
        assert!(turns.observe(0, (4, 8), 1, |_| Some(&body)).is_empty(), "another room");
        assert_eq!(turns.observe(0, (3, 8), 1, |_| Some(&body)), [100]);
        assert!(turns.observe(0, (3, 8), 1, |_| Some(&body)).is_empty(), "once");
        assert_eq!(turns.observe(49, (3, 9), 1, |_| Some(&body)), [100]);
        turns.begin(turn(7, Course::Right, 200));
        assert!(turns.observe(1, (3, 9), 1, |_| Some(&body)).is_empty(), "the next change");
    }

    #[test]
    fn a_body_that_comes_into_view_later_is_not_timed() {
        let mut turns = Turns::default();
        turns.begin(turn(6, Course::Left, 50));
        turns.begin(turn(7, Course::Left, 100));
        let state = State::new(Course::Left);
        let both = [6, 7].map(|id| Body { id, generation: 1, state, ..Body::default() });
        let find = |slot: u16| both.iter().find(|body| body.id == slot);
        let in_view = turns.in_view(3, |slot| find(slot).filter(|body| body.id == 7));
        assert_eq!((in_view, turns.in_view(4, find)), (2, 0));
        assert_eq!(turns.observe(0, (3, 8), in_view, find), [100]);
        assert!(turns.observe(0, (3, 8), 3, find).is_empty(), "both are seen now");
    }

    #[test]
    fn old_changes_are_dropped() {
        let mut turns = Turns::default();
        (0..200).for_each(|slot| turns.begin(turn(slot, Course::Up, 0)));
        assert_eq!(turns.0.len(), PENDING_MAX);
        turns.begin(turn(500, Course::Up, LOST_AFTER_US + 1));
        assert_eq!(turns.0.len(), 1);
    }
}
