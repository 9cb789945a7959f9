//! When ticks are due.

use crate::time::TICK_MS;

const TICK_US: u64 = TICK_MS * 1000;

/// When ticks are due: at `n * 50 ms` after the start, so that errors do not accumulate. If several
/// ticks are due at once, they are one late tick and not a burst.
#[derive(Debug)]
pub struct Schedule {
    next_us: u64,
}

/// A tick that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueTick {
    /// How late it is.
    pub late_us: u64,
    /// Earlier ticks that it replaces.
    pub missed: u64,
}

impl Schedule {
    /// The first tick is due one tick after `now_us`.
    #[must_use]
    pub fn from(now_us: u64) -> Schedule {
        Schedule { next_us: now_us + TICK_US }
    }

    /// Microseconds until the next tick is due.
    #[must_use]
    pub fn wait_us(&self, now_us: u64) -> u64 {
        self.next_us.saturating_sub(now_us)
    }

    /// Takes the tick that is due, if there is one.
    pub fn take(&mut self, now_us: u64) -> Option<DueTick> {
        let late_us = now_us.checked_sub(self.next_us)?;
        let missed = late_us / TICK_US;
        self.next_us += (missed + 1) * TICK_US;
        Some(DueTick { late_us, missed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_drift_and_do_not_burst() {
        let mut schedule = Schedule::from(7);
        assert_eq!(schedule.take(50_006), None);
        assert_eq!(schedule.take(50_010), Some(DueTick { late_us: 3, missed: 0 }));
        assert_eq!(schedule.take(50_011), None);
        assert_eq!(schedule.wait_us(50_011), 49_996);
        let late = schedule.take(100_007 + 120_000);
        assert_eq!(late, Some(DueTick { late_us: 120_000, missed: 2 }));
        assert_eq!(schedule.take(100_007 + 120_001), None);
        assert_eq!(schedule.wait_us(220_008), 29_999, "still on the grid of the start");
    }
}
