//! The clock of the server.

use std::time::Instant;

use crate::limits::PAUSE_MS;
use crate::time::TICK_MS;

/// Time since the start, without the time in which the process was suspended (by SIGSTOP, or a
/// laptop's sleep): during that time the server did not read, so its peers were not silent.
#[derive(Debug)]
pub struct Clock {
    last: Instant,
    elapsed_us: u64,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Clock {
        Clock { last: Instant::now(), elapsed_us: 0 }
    }

    /// Microseconds since the start. Call it at least once per tick: a gap of more than
    /// [`PAUSE_MS`] means that the process was suspended, and counts as one tick.
    pub fn now_us(&mut self) -> u64 {
        let now = Instant::now();
        self.elapsed_us += counted_us((now - self.last).as_micros() as u64);
        self.last = now;
        self.elapsed_us
    }
}

fn counted_us(gap_us: u64) -> u64 {
    if gap_us > PAUSE_MS * 1000 { TICK_MS * 1000 } else { gap_us }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_the_process_counts_as_one_tick() {
        assert_eq!(counted_us(999_999), 999_999);
        assert_eq!(counted_us(60_000_000), 50_000);
    }
}
