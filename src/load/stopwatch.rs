//! The clock of one thing that is sent and then waited for: a probe's move, a blow.
//!
//! The moments are fixed in advance and the clock starts at its own, however late the thing is
//! sent: a server (or this tool) that stops for a second is charged for everything that the second
//! delayed, and not for one (coordinated omission).

/// What nobody saw this long after its moment is lost.
pub const LOST_AFTER_US: u64 = 2_000_000;

/// The clock. Only one thing is under way at a time, so that it is known which is seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stopwatch {
    /// The moment that the thing under way was meant for.
    pending_us: Option<u64>,
}

/// Whether something is sent for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It is, now.
    Now,
    /// Something earlier is under way; the moment must come again.
    Wait,
    /// The moment is too long ago: it is lost without having been sent.
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

    /// The thing under way is seen, or given up for good: the moment that it was meant for.
    pub fn stop(&mut self) -> Option<u64> {
        self.pending_us.take()
    }

    /// Gives up the thing under way if it is too old: the moment that it was meant for.
    pub fn give_up(&mut self, now_us: u64) -> Option<u64> {
        self.pending_us.take_if(|intended_us| now_us.saturating_sub(*intended_us) >= LOST_AFTER_US)
    }

    /// The moment that the thing under way was meant for.
    #[must_use]
    pub fn pending_us(&self) -> Option<u64> {
        self.pending_us
    }
}
