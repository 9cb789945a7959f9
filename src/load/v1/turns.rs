//! Measures the time from a probe's change of course until other clients see it.

use std::collections::VecDeque;

use crate::codec::v1::{Body, Course};
use crate::load::stopwatch::LOST_AFTER_US;

/// Maximum number of pending changes; the oldest is dropped for a new one.
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

    /// A client of a room may see changes of others. `body` finds a body by its slot. Returns when
    /// the changes that it sees for the first time were scheduled.
    pub fn observe<'a>(
        &mut self,
        observer: u8,
        (room, own): (u32, u16),
        body: impl Fn(u16) -> Option<&'a Body>,
    ) -> Vec<u64> {
        let bit = 1 << observer;
        let mut seen_us = Vec::new();
        for (turn, seen) in &mut self.0 {
            if *seen & bit != 0 || turn.room != room || turn.slot == own {
                continue;
            }
            let shows = |body: &Body| {
                body.generation == turn.generation && body.state.course() == turn.course
            };
            if body(turn.slot).is_some_and(shows) {
                *seen |= bit;
                seen_us.push(turn.intended_us);
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
        assert!(turns.observe(0, (3, 8), |_| Some(&body)).is_empty(), "the old course");
        assert!(turns.observe(0, (3, 8), |_| None).is_empty(), "it is not in view");
        body.state = State::new(Course::Left);
        assert!(turns.observe(0, (3, 7), |_| Some(&body)).is_empty(), "itself");
        assert!(turns.observe(0, (4, 8), |_| Some(&body)).is_empty(), "another room");
        assert_eq!(turns.observe(0, (3, 8), |_| Some(&body)), [100]);
        assert!(turns.observe(0, (3, 8), |_| Some(&body)).is_empty(), "once");
        assert_eq!(turns.observe(49, (3, 9), |_| Some(&body)), [100]);
        turns.begin(turn(7, Course::Right, 200));
        assert!(turns.observe(1, (3, 9), |_| Some(&body)).is_empty(), "the next change");
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
