//! Token buckets for rate limits.
//!
//! `server/` keeps one for each limit of a session or an address. The caller passes the time.

use crate::time::Millis;

/// A rate limit: `per_s` tokens per second on average, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens added per second.
    pub per_s: u32,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Rate = Rate { per_s: u32::MAX, burst: u32::MAX };

    /// The limit of several peers.
    #[must_use]
    pub const fn times(self, factor: u32) -> Rate {
        Rate { per_s: self.per_s.saturating_mul(factor), burst: self.burst.saturating_mul(factor) }
    }
}

/// The tokens that one peer has left.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Thousandths of a token, as of `filled_at`.
    thousandths: u64,
    filled_at: Millis,
}

impl Bucket {
    /// Returns a full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: Millis) -> Bucket {
        Bucket { thousandths: u64::from(rate.burst) * 1000, filled_at: now }
    }

    /// Takes `cost` tokens; returns `false` and takes none if there are fewer.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Millis) -> bool {
        let has = self.has(rate, cost, now);
        if has {
            self.thousandths -= u64::from(cost) * 1000;
        }
        has
    }

    /// The tokens that were taken and have not come back, rounded up.
    pub fn used(&mut self, rate: Rate, now: Millis) -> u32 {
        self.fill(rate, now);
        rate.burst - (self.thousandths / 1000) as u32
    }

    /// Whether there are `cost` tokens.
    pub fn has(&mut self, rate: Rate, cost: u32, now: Millis) -> bool {
        self.fill(rate, now);
        self.thousandths >= u64::from(cost) * 1000
    }

    /// Whether the bucket holds at least half of the burst.
    fn has_recovered(&mut self, rate: Rate, now: Millis) -> bool {
        self.fill(rate, now);
        self.thousandths * 2 >= u64::from(rate.burst) * 1000
    }

    /// Whether the bucket is full, so that it can be dropped and made again later.
    pub fn is_full(&mut self, rate: Rate, now: Millis) -> bool {
        self.fill(rate, now);
        self.thousandths == u64::from(rate.burst) * 1000
    }

    fn fill(&mut self, rate: Rate, now: Millis) {
        let inflow = now.since(self.filled_at).saturating_mul(u64::from(rate.per_s));
        self.thousandths =
            self.thousandths.saturating_add(inflow).min(u64::from(rate.burst) * 1000);
        self.filled_at = now;
    }
}

/// Counts what a peer sends beyond its rates, and since when it exceeds the tolerated excess.
#[derive(Clone, Copy, Debug)]
pub struct Overrun {
    tolerated: Bucket,
    since: Millis,
    /// The excess since then.
    cost: u32,
}

/// An excess that would last this long at the tolerated rate is a flood, however fast it comes. A
/// page that was cut off for a minute may send what it has queued: 40 messages per second.
const FLOOD_S: u32 = 20;

impl Overrun {
    /// Starts with no excess; `rate` is the tolerated excess.
    #[must_use]
    pub fn none(rate: Rate, now: Millis) -> Overrun {
        Overrun { tolerated: Bucket::full(rate, now), since: Millis::NEVER, cost: 0 }
    }

    /// Counts `cost` of excess. Returns for how many milliseconds the excess has been above `rate`
    /// without recovering, which takes a pause that refills half of the burst; [`u64::MAX`] for a
    /// flood.
    pub fn count(&mut self, rate: Rate, cost: u32, now: Millis) -> u64 {
        if self.tolerated.has_recovered(rate, now) {
            (self.since, self.cost) = (Millis::NEVER, 0);
        }
        if !self.tolerated.take(rate, cost, now) {
            // Empty the bucket: a peer that sends more at once than the burst must not count as
            // recovered.
            self.tolerated.thousandths = 0;
            self.since = self.since.min(now);
            self.cost = self.cost.saturating_add(cost);
        }
        match self.cost > rate.per_s.saturating_mul(FLOOD_S) {
            true => u64::MAX,
            false => now.since(self.since),
        }
    }
}

/// A rate limit with a grace period, for input that is never dropped.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    bucket: Bucket,
    overrun: Overrun,
}

/// What [`RateLimit`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The allowed rate.
    pub rate: Rate,
    /// The tolerated excess beyond `rate`.
    pub excess: Rate,
    /// How long the excess may stay above that, in milliseconds.
    pub grace_ms: u64,
}

impl RateLimit {
    /// Starts with a full bucket.
    #[must_use]
    pub fn new(allowance: Allowance, now: Millis) -> RateLimit {
        let bucket = Bucket::full(allowance.rate, now);
        RateLimit { bucket, overrun: Overrun::none(allowance.excess, now) }
    }

    /// Counts `cost`; returns `false` once the grace period is over.
    pub fn allows(&mut self, allowance: Allowance, cost: u32, now: Millis) -> bool {
        self.bucket.take(allowance.rate, cost, now)
            || self.overrun.count(allowance.excess, cost, now) < allowance.grace_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_s: 40, burst: 80 };

    #[test]
    fn more_than_the_burst_at_once_is_an_overrun_as_long_as_it_lasts() {
        // With pauses that keep it below a flood.
        for (cost, every_ms) in [(1, 10), (31, 300), (81, 800)] {
            let mut overrun = Overrun::none(RATE, Millis(0));
            let times = (0..=3_000).step_by(every_ms);
            let over = times.map(|ms| overrun.count(RATE, cost, Millis(ms)));
            let longest = over.max().unwrap();
            assert!((1_500..=3_000).contains(&longest), "{cost}: {longest}");
            assert_eq!(overrun.count(RATE, 1, Millis(5_000)), 0, "it has recovered");
        }
    }

    #[test]
    fn a_flood_is_over_before_its_time() {
        for cost in [1, 31, 401] {
            let mut overrun = Overrun::none(RATE, Millis(0));
            let mut excess = 0;
            let end = (0..2_000).find(|ms| {
                excess += cost;
                overrun.count(RATE, cost, Millis(*ms)) == u64::MAX
            });
            assert!(end.is_some() && excess < 23 * RATE.per_s + 2 * cost, "{cost}: {excess}");
        }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::full(RATE, Millis(0));
        let at_once = (0..200).filter(|_| bucket.take(RATE, 1, Millis(0))).count();
        assert_eq!(at_once, 80);
        let in_a_second = (1..=1000).filter(|ms| bucket.take(RATE, 1, Millis(*ms))).count();
        assert_eq!(in_a_second, 40);
    }

    #[test]
    fn a_small_excess_is_tolerated_and_a_large_one_is_not() {
        let mut little = Overrun::none(RATE, Millis(0));
        assert!(
            (0..60_000).step_by(50).all(|ms| little.count(RATE, 1, Millis(ms)) == 0),
            "20 a second"
        );
        let mut flood = Overrun::none(RATE, Millis(0));
        let times = (0..9_000).step_by(10);
        let first = times.into_iter().find(|ms| flood.count(RATE, 1, Millis(*ms)) >= 2_000);
        assert!((3_200..3_500).contains(&first.unwrap()), "{first:?}");
        assert_eq!(flood.count(RATE, 1, Millis(20_000)), 0, "it has recovered");
    }

    #[test]
    fn a_refused_cost_takes_nothing() {
        let mut bucket = Bucket::full(RATE, Millis(0));
        assert!(!bucket.take(RATE, 81, Millis(0)));
        assert!(bucket.take(RATE, 80, Millis(0)));
        assert!(!bucket.has_recovered(RATE, Millis(999)));
        assert!(bucket.has_recovered(RATE, Millis(1000)));
        assert!(bucket.is_full(RATE, Millis(2000)));
    }
}
