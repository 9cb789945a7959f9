//! A probe: how long from the moment a move was meant to be sent until its player sees it.
//!
//! A client that is a probe owns one. The moments are fixed in advance and the clock of a move
//! starts at its own, however late it is sent: a server (or this tool) that stops for a second is
//! charged for every move that the second delayed, and not for one (coordinated omission).

use super::snapshot::Search;
use crate::codec::json::Direction;

/// A move that nobody saw this long after its moment is lost.
pub const LOST_AFTER_US: u64 = 2_000_000;

/// The state of one probe. Only one move is under way at a time, so that it is known which move is
/// seen.
#[derive(Debug, Default)]
pub struct Probe {
    search: Option<Search>,
    /// How far from the left it stands, as far as it knows.
    x: Option<f64>,
    last: Option<Direction>,
    /// The moment that the move under way was meant for.
    pending_us: Option<u64>,
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
    /// Tells the probe its player's number.
    pub fn set_id(&mut self, id: u32) {
        self.search = Some(Search::new(id));
    }

    /// Whether it needs to look into a snapshot that begins now.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.search.is_some() && (self.x.is_none() || self.pending_us.is_some())
    }

    /// Whether a move is under way.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending_us.is_some()
    }

    /// Gives up the move under way if it is too old: the moment that it was meant for.
    pub fn give_up(&mut self, now_us: u64) -> Option<u64> {
        self.pending_us.take_if(|intended_us| now_us.saturating_sub(*intended_us) >= LOST_AFTER_US)
    }

    /// Decides what to do for the moment `intended_us`.
    pub fn due(&mut self, intended_us: u64, now_us: u64) -> Due {
        let Some(x) = self.x else {
            return Due::NotReady;
        };
        if self.pending_us.is_some() {
            return Due::Wait;
        }
        if now_us.saturating_sub(intended_us) >= LOST_AFTER_US {
            return Due::Lost;
        }
        // To and fro never ends at a wall; the first step goes away from the nearer one.
        let direction = match self.last {
            Some(Direction::Left) => Direction::Right,
            Some(_) => Direction::Left,
            None if x >= FAR_FROM_WALL => Direction::Left,
            None => Direction::Right,
        };
        self.last = Some(direction);
        self.pending_us = Some(intended_us);
        Due::Send(direction)
    }

    /// Looks into a snapshot: the moment that the move under way was meant for, if it shows.
    pub fn look(&mut self, snapshot: &[u8]) -> Option<u64> {
        let x = self.search.as_mut()?.x_in(snapshot)?;
        let before = self.x.replace(x)?;
        // A move given up earlier may still show: only a step in the right direction counts.
        let shows = match self.last {
            Some(Direction::Left) => x < before,
            _ => x > before,
        };
        if shows { self.pending_us.take() } else { None }
    }
}

/// Map units from the left from which a step to the left is possible on every map.
const FAR_FROM_WALL: f64 = 50.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(x: u16) -> Vec<u8> {
        format!(r##"{{"type":"state_update","players":[{{"id":"7","x":{x},"y":9,"color":"#000000"}}]}}"##)
            .into_bytes()
    }

    fn ready(x: u16) -> Probe {
        let mut probe = Probe::default();
        assert!(!probe.wants_snapshot());
        assert_eq!(probe.due(0, 0), Due::NotReady);
        probe.set_id(7);
        assert!(probe.wants_snapshot());
        assert_eq!(probe.look(&state(x)), None);
        assert!(!probe.wants_snapshot());
        probe
    }

    #[test]
    fn it_goes_to_and_fro_and_counts_from_the_intended_moment() {
        let mut probe = ready(100);
        assert_eq!(probe.due(1_000, 5_000), Due::Send(Direction::Left));
        assert!(probe.wants_snapshot());
        assert_eq!(probe.due(6_000, 6_000), Due::Wait);
        assert_eq!(probe.look(&state(100)), None);
        assert_eq!(probe.look(&state(90)), Some(1_000));
        assert_eq!(probe.due(6_000, 9_000), Due::Send(Direction::Right));
        assert_eq!(probe.look(&state(100)), Some(6_000));
        assert_eq!(ready(10).due(0, 0), Due::Send(Direction::Right));
    }

    #[test]
    fn a_move_is_lost_once_and_its_late_show_is_not_taken_for_the_next() {
        let mut probe = ready(100);
        assert_eq!(probe.due(0, 0), Due::Send(Direction::Left));
        assert_eq!(probe.give_up(LOST_AFTER_US - 1), None);
        assert_eq!(probe.give_up(LOST_AFTER_US), Some(0));
        assert_eq!(probe.give_up(LOST_AFTER_US), None);
        assert_eq!(probe.due(0, LOST_AFTER_US), Due::Lost);
        assert_eq!(probe.due(500_000, LOST_AFTER_US), Due::Send(Direction::Right));
        assert_eq!(probe.look(&state(90)), None, "this is the first move");
        assert_eq!(probe.look(&state(100)), Some(500_000));
    }

    #[test]
    fn a_snapshot_without_the_player_tells_nothing() {
        let mut probe = ready(100);
        assert_eq!(probe.due(0, 0), Due::Send(Direction::Left));
        assert_eq!(probe.look(br#"{"type":"state_update","players":[]}"#), None);
        assert!(probe.is_pending());
    }
}
