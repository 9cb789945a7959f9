//! What the server does when it cannot write all states within a tick: it lowers the rate of all
//! clients, and then admits no more players. Each step waits for the effect of the one before.
//!
//! Until then each client skips other ticks. That is better than half the rate as long as the
//! server writes more than half of the states. So it goes back to the rate before once it writes
//! nearly all: at twice the rate it writes half of them at least.

use crate::limits::{
    OVERLOAD_BUSY_PERCENT, OVERLOAD_CALM_S, OVERLOAD_CALM_S_MAX, OVERLOAD_CALM_SKIPPED_PERCENT,
    OVERLOAD_S, OVERLOAD_SKIPPED_PERCENT, OVERLOAD_STEPS,
};
use crate::time::{TICK_MS, TICKS_PER_SECOND};

/// How overloaded the server is.
#[derive(Debug)]
pub struct Overload {
    step: usize,
    second: Second,
    /// The work and the missed ticks of the server before this second.
    work_us: u64,
    missed: u64,
    /// The share of the last second in which it worked.
    busy_percent: u64,
    /// Seconds for which it has been behind, and for which it has written nearly all states.
    behind_s: u32,
    calm_s: u32,
    /// Such seconds until it goes back a step: more, if it did so too early.
    wait_s: u32,
    /// Seconds since it went back a step.
    eased_s: u32,
}

/// The ticks of this second so far. It takes longer than a second if some are missed.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    ticks: u32,
    /// States that became due.
    due: u64,
    /// States that were not written before the next one was due, for lack of time.
    skipped: u64,
}

impl Default for Overload {
    fn default() -> Overload {
        Overload {
            step: 0,
            second: Second::default(),
            work_us: 0,
            missed: 0,
            busy_percent: 0,
            behind_s: 0,
            calm_s: 0,
            wait_s: OVERLOAD_CALM_S,
            eased_s: u32::MAX,
        }
    }
}

impl Overload {
    /// The step: 0 if it is not overloaded.
    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    /// The share of the last second in which it worked.
    #[must_use]
    pub fn busy_percent(&self) -> u64 {
        self.busy_percent
    }

    /// The states that a client receives per second at most.
    #[must_use]
    pub fn hz_max(&self) -> u8 {
        OVERLOAD_STEPS[self.step].0
    }

    /// Whether players may join.
    #[must_use]
    pub fn admits_players(&self) -> bool {
        OVERLOAD_STEPS[self.step].1
    }

    /// States of a room became due on this tick. Of those before them some were `written`, and
    /// others not, for lack of time. Those that a client did not take count for neither.
    pub fn record(&mut self, written: u64, unwritten: u64) {
        self.second.due += written + unwritten;
        self.second.skipped += unwritten;
    }

    /// A tick has passed. So far the server has worked for `work_us` microseconds, and was so late
    /// that it missed `missed` ticks. Returns whether the step has changed.
    pub fn advance(&mut self, work_us: u64, missed: u64) -> bool {
        self.second.ticks += 1;
        if self.second.ticks < TICKS_PER_SECOND {
            return false;
        }
        let Second { due, skipped, .. } = std::mem::take(&mut self.second);
        let missed_now = missed - self.missed;
        let due_ticks = u64::from(TICKS_PER_SECOND) + missed_now;
        self.busy_percent = (work_us - self.work_us) * 100 / (due_ticks * TICK_MS * 1000);
        let missed_percent = missed_now * 100 / due_ticks;
        (self.work_us, self.missed) = (work_us, missed);
        // Other processes may take the processor. That says nothing about the players.
        let has_slow_ticks = missed_percent >= OVERLOAD_SKIPPED_PERCENT
            && self.busy_percent > OVERLOAD_BUSY_PERCENT
            && self.step == 0;
        let is_behind = skipped * 100 >= due.max(1) * OVERLOAD_SKIPPED_PERCENT || has_slow_ticks;
        let is_calm = !is_behind && skipped * 100 <= due * OVERLOAD_CALM_SKIPPED_PERCENT;
        self.behind_s = if is_behind { self.behind_s + 1 } else { 0 };
        self.calm_s = if is_calm { self.calm_s + 1 } else { 0 };
        self.eased_s = self.eased_s.saturating_add(1);
        if self.behind_s >= OVERLOAD_S && self.step + 1 < OVERLOAD_STEPS.len() {
            self.wait_s = match self.eased_s <= self.wait_s {
                true => (2 * self.wait_s).min(OVERLOAD_CALM_S_MAX),
                false => OVERLOAD_CALM_S,
            };
            self.step += 1;
        } else if self.calm_s >= self.wait_s && self.step > 0 {
            self.step -= 1;
            self.eased_s = 0;
        } else {
            return false;
        }
        (self.behind_s, self.calm_s) = (0, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with a number of clients, and with a limit of states that it writes in a second.
    struct Model {
        overload: Overload,
        clients: u64,
        writes: u64,
        work_us: u64,
    }

    impl Model {
        /// A second. Returns the step.
        fn second(&mut self) -> usize {
            let due = self.clients * u64::from(self.overload.hz_max());
            self.work_us += 1_000_000 * due.min(self.writes) / self.writes;
            self.overload.record(due.min(self.writes), due.saturating_sub(self.writes));
            (0..TICKS_PER_SECOND).for_each(|_| {
                self.overload.advance(self.work_us, 0);
            });
            self.overload.step()
        }

        fn seconds(&mut self, count: usize) -> Vec<usize> {
            (0..count).map(|_| self.second()).collect()
        }
    }

    fn model(clients: u64) -> Model {
        Model { overload: Overload::default(), clients, writes: 100_000, work_us: 0 }
    }

    #[test]
    fn a_server_that_writes_nearly_all_states_is_not_overloaded() {
        assert_eq!(model(6_000).seconds(20), [0; 20]);
    }

    // T45
    #[test]
    fn the_rate_falls_until_the_states_are_written() {
        let mut model = model(11_000);
        assert_eq!(model.seconds(4), [0, 1, 1, 1]);
        assert_eq!((model.overload.hz_max(), model.overload.admits_players()), (10, true));
        model.clients = 21_000;
        assert_eq!(model.seconds(3), [1, 2, 2]);
        assert!(!model.overload.admits_players());
        assert_eq!(model.seconds(3), [3; 3]);
        assert_eq!(model.overload.hz_max(), 5);
        model.clients = 3_000;
        let steps = model.seconds(4 * OVERLOAD_CALM_S as usize);
        assert_eq!(steps.last(), Some(&0));
        assert!(steps.is_sorted_by(|one, next| one >= next));
    }

    #[test]
    fn no_step_remains_that_gives_a_client_fewer_states() {
        // It came during the joins, and can be written at 10 Hz: at 20 Hz the clients get 11.
        let mut model = model(11_000);
        model.seconds(2);
        model.clients = 9_000;
        let steps = model.seconds(60);
        assert_eq!((steps[0], steps.last()), (1, Some(&0)));
        assert_eq!(model.overload.busy_percent(), 100);
    }

    #[test]
    fn joins_are_refused_no_longer_than_there_is_no_time() {
        let mut model = model(21_000);
        model.seconds(4);
        assert_eq!((model.overload.hz_max(), model.overload.admits_players()), (10, false));
        // Some leave. There is time for the others at 10 Hz, and not at 20 Hz.
        model.clients = 9_900;
        let steps = model.seconds(60);
        assert!(steps.iter().all(|step| *step <= 2) && steps.ends_with(&[0; 40]), "{steps:?}");
    }

    #[test]
    fn a_server_that_eases_too_early_waits_longer() {
        let mut model = model(11_000);
        let mut eased = Vec::new();
        for second in 0..300 {
            let before = model.overload.step();
            // Half of the players do nothing while the rate is low.
            model.clients = if before == 0 { 11_000 } else { 4_000 };
            if model.second() < before {
                eased.push(second);
            }
        }
        let spans: Vec<_> = eased.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(spans.is_sorted() && spans.last() > Some(&(4 * spans[0])), "{spans:?}");
    }

    #[test]
    fn ticks_that_are_missed_for_its_own_work_lower_the_rate() {
        // It misses every second tick: one in 100 ms.
        for (work_us_a_tick, busy_percent, step) in [(80_000, 80, 1), (50_000, 50, 0)] {
            let mut overload = Overload::default();
            for tick in 1..=200 {
                overload.record(10, 0);
                overload.advance(tick * work_us_a_tick, tick);
            }
            assert_eq!((overload.busy_percent(), overload.step()), (busy_percent, step));
        }
    }
}
