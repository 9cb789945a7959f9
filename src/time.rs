//! Points and spans of time as plain numbers.
//!
//! Nothing here reads a clock. The clock of the server is in `reactor/`, which passes the time as
//! an argument.

/// Length of one tick of every world, in milliseconds.
pub const TICK_MS: u64 = 50;

/// Ticks in one second.
pub const TICKS_PER_SECOND: u32 = (1000 / TICK_MS) as u32;

/// The rates at which clients receive updates, per second. Each divides the ticks of a second.
const RATES_HZ: [u8; 6] = [20, 10, 5, 4, 2, 1];

/// The rate that a client gets which requests `hz` updates per second, 1 to 20.
#[must_use]
pub fn rate_hz(hz: u8) -> u8 {
    RATES_HZ.into_iter().find(|rate| *rate <= hz).unwrap_or(1)
}

/// A point in time: milliseconds since the server started. Time during which the process was
/// suspended is not counted (see `reactor::clock`), so that it causes no timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Later than every other point.
    pub const NEVER: Millis = Millis(u64::MAX);

    /// The point `span_ms` milliseconds later; `NEVER` stays `NEVER`.
    #[must_use]
    pub const fn after(self, span_ms: u64) -> Millis {
        Millis(self.0.saturating_add(span_ms))
    }

    /// Milliseconds since `earlier`; 0 if `earlier` is in the future.
    #[must_use]
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The number of a tick. It wraps after 6.8 years, so two ticks are compared as serial numbers
/// (RFC 1982), never with `<`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick after this one.
    #[must_use]
    pub const fn next(self) -> Tick {
        Tick(self.0.wrapping_add(1))
    }

    /// Whether this tick is later than `other`, as serial numbers (RFC 1982).
    #[must_use]
    pub const fn is_after(self, other: Tick) -> bool {
        (self.0.wrapping_sub(other.0) as i32) > 0
    }

    /// Whether a peer with `hz` updates per second gets one on this tick. All peers of one rate get
    /// theirs on the same ticks.
    #[must_use]
    pub fn is_due_at(self, hz: u32) -> bool {
        self.0.is_multiple_of(TICKS_PER_SECOND / hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_compare_across_the_wrap() {
        assert!(Tick(1).is_after(Tick(0)));
        assert!(!Tick(0).is_after(Tick(0)));
        assert!(Tick(3).is_after(Tick(u32::MAX - 3)));
        assert!(!Tick(u32::MAX).is_after(Tick(0)));
    }

    #[test]
    fn a_rate_of_n_is_due_n_times_a_second() {
        for hz in RATES_HZ.map(u32::from) {
            let due = (0..TICKS_PER_SECOND).filter(|t| Tick(*t).is_due_at(hz)).count();
            assert_eq!(due as u32, hz, "at {hz} Hz");
        }
    }

    #[test]
    fn a_rate_is_taken_down_to_one_that_others_share() {
        let rates: Vec<u8> = (1..=20).map(rate_hz).collect();
        let expected = [1, 2, 2, 4, 5, 5, 5, 5, 5, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 20];
        assert_eq!(rates, expected);
    }

    #[test]
    fn never_is_never() {
        assert_eq!(Millis::NEVER.after(5), Millis::NEVER);
        assert_eq!(Millis(3).since(Millis(9)), 0);
    }
}
