//! A probe measures the time from the scheduled send of a move until its player sees it.

use super::stopwatch::{Start, Stopwatch};
use crate::codec::json::Direction;

/// The state of one probe.
#[derive(Debug, Default)]
pub struct Probe {
    /// The last known x.
    x: Option<f64>,
    last: Option<Direction>,
    stopwatch: Stopwatch,
}

/// What a probe does at a scheduled moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its position is unknown; the moment is skipped.
    NotReady,
    /// An earlier move is pending; try again later.
    Wait,
    /// The moment is too long ago: the move counts as lost and is not sent.
    Lost,
    /// Send this move now.
    Send(Direction),
}

impl Probe {
    /// Whether it needs to know its current position.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        self.x.is_none() || self.is_pending()
    }

    /// Whether a move is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.stopwatch.pending_us().is_some()
    }

    /// Gives up the pending move if it is too old; returns when it was scheduled.
    pub fn give_up(&mut self, now_us: u64) -> Option<u64> {
        self.stopwatch.give_up(now_us)
    }

    /// Forgets the position and the pending move, because the player will be elsewhere.
    pub fn forget(&mut self) {
        *self = Probe::default();
    }

    /// Decides what to do for the moment `intended_us`.
    pub fn due(&mut self, intended_us: u64, now_us: u64) -> Due {
        let Some(x) = self.x else {
            return Due::NotReady;
        };
        match self.stopwatch.start(intended_us, now_us) {
            Start::Wait => return Due::Wait,
            Start::Lost => return Due::Lost,
            Start::Now => {}
        }
        // Moving back and forth never reaches a wall if the first step leads away from the nearer
        // one.
        let direction = match self.last {
            Some(Direction::Left) => Direction::Right,
            Some(_) => Direction::Left,
            None if x >= FAR_FROM_WALL => Direction::Left,
            None => Direction::Right,
        };
        self.last = Some(direction);
        Due::Send(direction)
    }

    /// The player is at `x` now, which says nothing about a pending move.
    pub fn stand(&mut self, x: f64) {
        self.x = Some(x);
    }

    /// The pending move was seen; returns when it was scheduled.
    pub fn end(&mut self) -> Option<u64> {
        self.stopwatch.stop()
    }

    /// The player is at `x` now. If that shows the pending move, returns when it was scheduled.
    pub fn see(&mut self, x: f64) -> Option<u64> {
        let before = self.x.replace(x)?;
        // An earlier move that was given up may still show: count only steps in the right
        // direction.
        let shows = match self.last {
            Some(Direction::Left) => x < before,
            _ => x > before,
        };
        if shows { self.stopwatch.stop() } else { None }
    }
}

/// An x from which a step to the left is possible on every map.
const FAR_FROM_WALL: f64 = 50.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::stopwatch::LOST_AFTER_US;

    fn ready(x: f64) -> Probe {
        let mut probe = Probe::default();
        assert!(probe.is_looking());
        assert_eq!(probe.due(0, 0), Due::NotReady);
        assert_eq!(probe.see(x), None);
        assert!(!probe.is_looking());
        probe
    }

    #[test]
    fn a_probe_moves_back_and_forth_and_is_timed_from_the_schedule() {
        let mut probe = ready(100.0);
        assert_eq!(probe.due(1_000, 5_000), Due::Send(Direction::Left));
        assert!(probe.is_looking());
        assert_eq!(probe.due(6_000, 6_000), Due::Wait);
        assert_eq!(probe.see(100.0), None);
        assert_eq!(probe.see(90.0), Some(1_000));
        assert_eq!(probe.due(6_000, 9_000), Due::Send(Direction::Right));
        assert_eq!(probe.see(100.0), Some(6_000));
        assert_eq!(ready(10.0).due(0, 0), Due::Send(Direction::Right));
    }

    #[test]
    fn a_lost_move_that_shows_late_does_not_count_for_the_next() {
        let mut probe = ready(100.0);
        assert_eq!(probe.due(0, 0), Due::Send(Direction::Left));
        assert_eq!(probe.give_up(LOST_AFTER_US - 1), None);
        assert_eq!(probe.give_up(LOST_AFTER_US), Some(0));
        assert_eq!(probe.give_up(LOST_AFTER_US), None);
        assert_eq!(probe.due(0, LOST_AFTER_US), Due::Lost);
        assert_eq!(probe.due(500_000, LOST_AFTER_US), Due::Send(Direction::Right));
        assert_eq!(probe.see(90.0), None, "this is the first move");
        assert_eq!(probe.see(100.0), Some(500_000));
    }

    #[test]
    fn a_probe_starts_over_after_a_respawn() {
        let mut probe = ready(100.0);
        assert_eq!(probe.due(0, 0), Due::Send(Direction::Left));
        probe.forget();
        assert_eq!(probe.due(500_000, 500_000), Due::NotReady);
        assert_eq!(probe.see(3.0), None);
        assert_eq!(probe.due(500_000, 500_000), Due::Send(Direction::Right));
    }
}
