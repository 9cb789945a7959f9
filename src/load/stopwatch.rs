//! Measures the time from the scheduled moment of an action until its effect is seen.
//!
//! The time starts at the scheduled moment, however late the action is sent. So a server (or load
//! test) that stops for a second is charged for every action that was delayed, not only for one
//! (coordinated omission).

/// An action whose effect is not seen within this time is lost.
pub const LOST_AFTER_US: u64 = 2_000_000;

/// One stopwatch. Only one action is pending at a time, so that its effect is unambiguous.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stopwatch {
    /// The scheduled moment of the pending action.
    pending_us: Option<u64>,
}

/// Whether to act for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Act now.
    Now,
    /// An earlier action is pending; try again later.
    Wait,
    /// The moment is too long ago: the action counts as lost.
    Lost,
}

impl Stopwatch {
    /// Decides what to do for the moment `intended_us`.
    pub fn start(&mut self, intended_us: u64, now_us: u64) -> Start {
        if self.pending_us.is_some() {
            return Start::Wait;
        }
        if now_us.saturating_sub(intended_us) >= LOST_AFTER_US {
            return Start::Lost;
        }
        self.pending_us = Some(intended_us);
        Start::Now
    }

    /// Ends the pending action; returns its scheduled moment.
    pub fn stop(&mut self) -> Option<u64> {
        self.pending_us.take()
    }

    /// Gives up the pending action if it is too old; returns its scheduled moment.
    pub fn give_up(&mut self, now_us: u64) -> Option<u64> {
        self.pending_us.take_if(|intended_us| now_us.saturating_sub(*intended_us) >= LOST_AFTER_US)
    }

    /// The scheduled moment of the pending action.
    #[must_use]
    pub fn pending_us(&self) -> Option<u64> {
        self.pending_us
    }
}
