//! The schedule of connects, moves, attacks and timed actions, fixed before the run.
//!
//! `swarm` asks for what is due. All clients act at the same rate, so the order of their actions is
//! sorted once and then repeated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{RngExt, seq::SliceRandom};

/// Mean time between two moves of one probe.
pub const PROBE_PERIOD_US: u64 = 500_000;
/// Random delay of each move of a probe: one tick of most servers, so that moves are spread over
/// the tick although the period is a multiple of it.
const PROBE_JITTER_US: u64 = 50_000;

/// Connects at a constant rate.
#[derive(Debug)]
pub struct Connects {
    interval_us: f64,
    count: u32,
    next: u32,
}

impl Connects {
    /// Creates `count` connects, `hz` per second, the first at once.
    #[must_use]
    pub fn new(count: u32, hz: f64) -> Connects {
        Connects { interval_us: 1e6 / hz, count, next: 0 }
    }

    /// When the client `index` is due to connect.
    #[must_use]
    pub fn at_us(&self, index: u32) -> u64 {
        (f64::from(index) * self.interval_us) as u64
    }

    /// When the next client is due to connect; `u64::MAX` after the last.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        if self.next < self.count { self.at_us(self.next) } else { u64::MAX }
    }

    /// Takes the next client and its due time, if that is not after `now_us`.
    pub fn take(&mut self, now_us: u64) -> Option<(u32, u64)> {
        let due_us = self.next_us();
        (due_us <= now_us).then(|| {
            self.next += 1;
            (self.next - 1, due_us)
        })
    }

    /// Whether the last client has been taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.next == self.count
    }
}

/// Players that leave, one after the other, at a constant rate.
#[derive(Debug)]
pub struct Churn {
    /// Who may leave, in order; after the last comes the first.
    order: Vec<u32>,
    next: usize,
    interval_us: f64,
    start_us: u64,
}

impl Churn {
    /// Creates leaves of these clients, `hz` per second; none before [`Churn::start`].
    #[must_use]
    pub fn new(clients: impl Iterator<Item = u32>, hz: f64, rng: &mut SmallRng) -> Churn {
        let mut order: Vec<u32> = clients.filter(|_| hz > 0.0).collect();
        order.shuffle(rng);
        Churn { order, next: 0, interval_us: 1e6 / hz, start_us: u64::MAX }
    }

    /// Whether any client may leave.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The first client leaves at `start_us`.
    pub fn start(&mut self, start_us: u64) {
        self.start_us = start_us;
    }

    /// Ends the schedule.
    pub fn end(&mut self) {
        self.order.clear();
    }

    /// When the next client is due to leave; `u64::MAX` if none will.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        let after_us = (self.next as f64 * self.interval_us) as u64;
        if self.is_empty() { u64::MAX } else { self.start_us.saturating_add(after_us) }
    }

    /// Takes the next client, if it is due at `now_us`.
    pub fn take(&mut self, now_us: u64) -> Option<u32> {
        (self.next_us() <= now_us).then(|| {
            self.next += 1;
            self.order[(self.next - 1) % self.order.len()]
        })
    }
}

/// Untimed moves or attacks of clients, all at the same rate, each with its own phase.
#[derive(Debug)]
pub struct Moves {
    period_us: u64,
    /// Phase within the period and client, in the order of time.
    order: Vec<(u64, u32)>,
    next: usize,
    period_start_us: u64,
}

impl Moves {
    /// Creates moves of `clients`, each `hz` times per second; none if that is 0.
    #[must_use]
    pub fn new(clients: impl Iterator<Item = u32>, hz: f64, rng: &mut SmallRng) -> Moves {
        let period_us = if hz > 0.0 { ((1e6 / hz) as u64).max(1) } else { 0 };
        let clients = clients.filter(|_| hz > 0.0);
        let mut order: Vec<(u64, u32)> =
            clients.map(|client| (rng.random_range(0..period_us), client)).collect();
        order.sort_unstable();
        Moves { period_us, order, next: 0, period_start_us: 0 }
    }

    /// Ends the schedule.
    pub fn end(&mut self) {
        self.order.clear();
    }

    /// When the next move is due; `u64::MAX` if there is none.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        self.order.get(self.next).map_or(u64::MAX, |(phase_us, _)| self.period_start_us + phase_us)
    }

    /// Takes the next client and its due time, if that is not after `now_us`.
    pub fn take(&mut self, now_us: u64) -> Option<(u32, u64)> {
        let due_us = self.next_us();
        if due_us > now_us {
            return None;
        }
        let (_, client) = *self.order.get(self.next)?;
        self.next += 1;
        if self.next == self.order.len() {
            self.next = 0;
            self.period_start_us += self.period_us;
        }
        Some((client, due_us))
    }
}

/// A scheduled moment of a probe or a duel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeMoment {
    /// When to try it (again).
    at_us: u64,
    /// The client, or the duel.
    pub client: u32,
    /// When its action is scheduled.
    pub intended_us: u64,
    /// The same without the jitter; the next period starts from here.
    base_us: u64,
}

/// The moments of all probes or all duels.
#[derive(Debug)]
pub struct Probes {
    period_us: u64,
    moments: BinaryHeap<Reverse<ProbeMoment>>,
}

impl Probes {
    /// Creates one moment per client and `period_us`, spread evenly over the period in random
    /// order.
    #[must_use]
    pub fn new(clients: &[u32], period_us: u64, rng: &mut SmallRng) -> Probes {
        let mut order = clients.to_vec();
        order.shuffle(rng);
        let spacing_us = period_us / order.len().max(1) as u64;
        let mut probes = Probes { period_us, moments: BinaryHeap::with_capacity(order.len()) };
        for (index, client) in order.into_iter().enumerate() {
            probes.add(client, index as u64 * spacing_us, rng);
        }
        probes
    }

    /// Ends the schedule.
    pub fn end(&mut self) {
        self.moments.clear();
    }

    /// When the next moment is due; `u64::MAX` if there is none.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        self.moments.peek().map_or(u64::MAX, |Reverse(moment)| moment.at_us)
    }

    /// Takes a moment that is due at `now_us`. Return it with `again` or `onwards`, unless the
    /// client is gone.
    pub fn take(&mut self, now_us: u64) -> Option<ProbeMoment> {
        if self.next_us() > now_us {
            return None;
        }
        self.moments.pop().map(|Reverse(moment)| moment)
    }

    /// Returns a moment to try it again at `at_us`; its scheduled time stays.
    pub fn again(&mut self, moment: ProbeMoment, at_us: u64) {
        self.moments.push(Reverse(ProbeMoment { at_us, ..moment }));
    }

    /// Schedules the next moment of the same client.
    pub fn onwards(&mut self, moment: ProbeMoment, rng: &mut SmallRng) {
        self.add(moment.client, moment.base_us + self.period_us, rng);
    }

    /// The remaining moments, in no particular order.
    pub fn moments(&self) -> impl Iterator<Item = ProbeMoment> + '_ {
        self.moments.iter().map(|Reverse(moment)| *moment)
    }

    fn add(&mut self, client: u32, base_us: u64, rng: &mut SmallRng) {
        let intended_us = base_us + rng.random_range(0..PROBE_JITTER_US);
        let moment = ProbeMoment { at_us: intended_us, client, intended_us, base_us };
        self.moments.push(Reverse(moment));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng() -> SmallRng {
        SmallRng::seed_from_u64(7)
    }

    #[test]
    fn connects_are_evenly_spaced() {
        let mut connects = Connects::new(3, 500.0);
        let all: Vec<_> = std::iter::from_fn(|| connects.take(10_000)).collect();
        assert_eq!(all, [(0, 0), (1, 2_000), (2, 4_000)]);
        assert!(connects.is_over() && connects.next_us() == u64::MAX);
    }

    #[test]
    fn players_leave_in_turn_after_the_start() {
        let mut churn = Churn::new(0..3, 4.0, &mut rng());
        assert_eq!((churn.next_us(), churn.take(u64::MAX - 1)), (u64::MAX, None));
        churn.start(1_000);
        let mut left: Vec<u32> = std::iter::from_fn(|| churn.take(1_251_000)).collect();
        assert_eq!((left.len(), churn.next_us()), (6, 1_501_000));
        assert_eq!(left[..3], left[3..]);
        left[..3].sort_unstable();
        assert_eq!(left[..3], [0, 1, 2]);
        churn.end();
        assert!(churn.is_empty() && churn.next_us() == u64::MAX);
        assert!(Churn::new(0..3, 0.0, &mut rng()).is_empty());
    }

    #[test]
    fn each_client_moves_once_per_period_at_the_same_phase() {
        let mut moves = Moves::new(0..100, 4.0, &mut rng());
        let mut due = vec![Vec::new(); 100];
        let mut before_us = 0;
        while let Some((client, due_us)) = moves.take(999_999) {
            assert!(due_us >= before_us);
            before_us = due_us;
            due[client as usize].push(due_us);
        }
        for moments in due {
            assert_eq!(moments.len(), 4);
            assert!(moments.windows(2).all(|pair| pair[1] - pair[0] == 250_000));
        }
        assert_eq!(Moves::new(0..100, 0.0, &mut rng()).next_us(), u64::MAX);
        assert_eq!(Moves::new(0..0, 1.0, &mut rng()).take(u64::MAX - 1), None);
    }

    #[test]
    fn probes_keep_their_rate_and_are_spread_over_the_tick() {
        let mut rng = rng();
        let mut probes = Probes::new(&[3, 5], PROBE_PERIOD_US, &mut rng);
        let mut phases = [0u32; 5];
        let mut count = 0;
        while let Some(moment) = probes.take(99_999_999) {
            phases[(moment.intended_us % 50_000 / 10_000) as usize] += 1;
            probes.onwards(moment, &mut rng);
            count += 1;
        }
        assert!((398..=402).contains(&count), "{count}");
        assert!(phases.iter().all(|count| *count > 40), "{phases:?}");
        let moment = probes.take(u64::MAX).unwrap();
        probes.again(moment, 5);
        assert_eq!(probes.next_us(), 5);
        assert_eq!(probes.take(5).unwrap().intended_us, moment.intended_us);
    }
}
