//! The clock of the server.

use std::time::{Duration, Instant};

use crate::limits::PAUSE_MS;
use crate::time::TICK_MS;

/// Time since the start, without the time in which the process was suspended (by SIGSTOP, or a
/// laptop's sleep): during that time the server did not read, so its peers were not silent.
#[derive(Debug)]
pub struct Clock {
    last: Instant,
    /// Not in whole microseconds: the remainders of a hundred thousand calls a second are 50 ms.
    elapsed: Duration,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Clock {
        Clock { last: Instant::now(), elapsed: Duration::ZERO }
    }

    /// Microseconds since the start. Call it at least once per tick: a gap of more than
    /// [`PAUSE_MS`] means that the process was suspended, and counts as one tick.
    pub fn now_us(&mut self) -> u64 {
        self.advance(Instant::now())
    }

    fn advance(&mut self, now: Instant) -> u64 {
        self.elapsed += counted(now - self.last);
        self.last = now;
        self.elapsed.as_micros() as u64
    }
}

fn counted(gap: Duration) -> Duration {
    if gap > Duration::from_millis(PAUSE_MS) { Duration::from_millis(TICK_MS) } else { gap }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T44
    #[test]
    fn a_pause_of_the_process_counts_as_one_tick() {
        assert_eq!(counted(Duration::from_millis(999)), Duration::from_millis(999));
        assert_eq!(counted(Duration::from_secs(60)), Duration::from_millis(50));
    }

    // T43
    #[test]
    fn many_calls_lose_no_time() {
        let mut clock = Clock::start();
        let start = clock.last;
        let elapsed_us = (1..=1_000).map(|n| clock.advance(start + Duration::from_nanos(n * 900)));
        assert_eq!(elapsed_us.last(), Some(900));
    }
}
