//! A probe: how long from the moment a move was meant to be sent until its player sees it.
//!
//! A client that is a probe owns one, and tells it where it sees itself.

use super::stopwatch::{Start, Stopwatch};
use crate::codec::json::Direction;

/// The state of one probe.
#[derive(Debug, Default)]
pub struct Probe {
    /// How far from the left it stands, as far as it knows.
    x: Option<f64>,
    last: Option<Direction>,
    stopwatch: Stopwatch,
}

/// What a probe does at a moment of its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It does not know yet where it is; the moment passes.
    NotReady,
    /// An earlier move is under way; the moment must come again.
    Wait,
    /// The moment is too long ago: its move is lost without having been sent.
    Lost,
    /// It sends this move now.
    Send(Direction),
}

impl Probe {
    /// Whether it matters to it where it stands now.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        self.x.is_none() || self.is_pending()
    }

    /// Whether a move is under way.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.stopwatch.pending_us().is_some()
    }

    /// Gives up the move under way if it is too old: the moment that it was meant for.
    pub fn give_up(&mut self, now_us: u64) -> Option<u64> {
        self.stopwatch.give_up(now_us)
    }

    /// Forgets where it was and the move under way: it will stand elsewhere.
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
        // To and fro never ends at a wall; the first step goes away from the nearer one.
        let direction = match self.last {
            Some(Direction::Left) => Direction::Right,
            Some(_) => Direction::Left,
            None if x >= FAR_FROM_WALL => Direction::Left,
            None => Direction::Right,
        };
        self.last = Some(direction);
        Due::Send(direction)
    }

    /// It stands at `x` now: the moment that the move under way was meant for, if this shows it.
    pub fn see(&mut self, x: f64) -> Option<u64> {
        let before = self.x.replace(x)?;
        // A move given up earlier may still show: only a step in the right direction counts.
        let shows = match self.last {
            Some(Direction::Left) => x < before,
            _ => x > before,
        };
        if shows { self.stopwatch.stop() } else { None }
    }
}

/// Map units from the left from which a step to the left is possible on every map.
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
    fn it_goes_to_and_fro_and_counts_from_the_intended_moment() {
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
    fn a_move_is_lost_once_and_its_late_show_is_not_taken_for_the_next() {
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
    fn a_probe_that_was_put_elsewhere_begins_anew() {
        let mut probe = ready(100.0);
        assert_eq!(probe.due(0, 0), Due::Send(Direction::Left));
        probe.forget();
        assert_eq!(probe.due(500_000, 500_000), Due::NotReady);
        assert_eq!(probe.see(3.0), None);
        assert_eq!(probe.due(500_000, 500_000), Due::Send(Direction::Right));
    }
}
