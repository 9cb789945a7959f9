//! How many states a client may leave unacknowledged, and how late it sees the others.
//!
//! A proxy takes seconds of states for a browser that has stalled before a write comes up short. So
//! a client that acknowledges states is sent no more than some beyond the last that it has.

use crate::game::REWIND_MAX;
use crate::limits::{UNACKNOWLEDGED_TICKS, UNACKNOWLEDGED_TICKS_MAX};
use crate::time::{TICKS_PER_SECOND, Tick};

/// An older tick is not acknowledged: it is one that the client does not have yet, as 16 bits of it
/// are sent in skirmish.v1.
const AGE_TICKS_MAX: u32 = 20 * TICKS_PER_SECOND;
/// A client acknowledges a tick twice a second. If the newest one is older than this, it is asked.
const DUE_TICKS: u32 = 3 * UNACKNOWLEDGED_TICKS / 4;
/// How much of a longer round trip counts at once: one in this many.
const RTT_SHARE: u32 = 16;
/// Ticks beside the round trip by which attacks are rewound at most: the client draws the others
/// late, and its keys wait for their step.
const REWIND_TICKS: u32 = 3;

/// What one client has acknowledged.
#[derive(Debug)]
pub struct Credit {
    /// The newest tick before it joined: it has none up to this one.
    since: Tick,
    /// The newest tick; `None` for a client that acknowledges nothing.
    acknowledged: Option<Tick>,
    /// Ticks from a state to its acknowledgement: about the least that were seen lately.
    rtt_ticks: u32,
    /// Whether a state was skipped since the last one, for lack of credit.
    is_limited: bool,
}

impl Credit {
    /// A client that joined after a tick, and has acknowledged nothing.
    #[must_use]
    pub fn since(tick: Tick) -> Credit {
        Credit { since: tick, acknowledged: None, rtt_ticks: 0, is_limited: false }
    }

    /// The client has had a tick for `held_ticks`, says a message that was received before the tick
    /// after `now`. `sent` is the newest tick that it was sent.
    pub fn acknowledge(&mut self, tick: Tick, held_ticks: u32, sent: Tick, now: Tick) {
        let is_older = !tick.is_after(self.acknowledged.unwrap_or(self.since));
        let passed = now.0.wrapping_sub(tick.0);
        if tick.is_after(sent) || is_older || passed > AGE_TICKS_MAX {
            return;
        }
        let sample = passed.saturating_sub(held_ticks);
        self.rtt_ticks = match self.acknowledged {
            Some(_) if sample > self.rtt_ticks => {
                self.rtt_ticks + (sample - self.rtt_ticks).div_ceil(RTT_SHARE)
            }
            _ => sample,
        };
        self.acknowledged = Some(tick);
    }

    /// How long before the end of the tick `judged` the others were where the client sees them, in
    /// 1/8 ticks. It draws them `view_age` before the tick that it has acknowledged.
    #[must_use]
    pub fn rewind(&self, view_age: u8, judged: Tick) -> u8 {
        let Some(acknowledged) = self.acknowledged else { return 0 };
        let passed = judged.0.wrapping_sub(acknowledged.0).saturating_mul(8);
        let most = self.rtt_ticks.saturating_add(REWIND_TICKS).saturating_mul(8);
        passed.saturating_add(view_age.into()).min(most).min(REWIND_MAX.into()) as u8
    }

    /// Whether the client may be sent another state, after that of the tick `sent`.
    pub fn allows(&mut self, sent: Tick) -> bool {
        let Some(acknowledged) = self.acknowledged else { return true };
        let most = (UNACKNOWLEDGED_TICKS + self.rtt_ticks).min(UNACKNOWLEDGED_TICKS_MAX);
        let is_allowed = sent.0.wrapping_sub(acknowledged.0) <= most;
        self.is_limited |= !is_allowed;
        is_allowed
    }

    /// Whether the client, which acknowledges ticks, should acknowledge that of `now` at once.
    #[must_use]
    pub fn is_due(&self, now: Tick) -> bool {
        self.acknowledged.is_some_and(|tick| now.0.wrapping_sub(tick.0) > DUE_TICKS)
    }

    /// Whether a state was skipped since the last one, for lack of credit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// The client is sent a state.
    pub fn record_sent(&mut self) {
        self.is_limited = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_acknowledges_is_sent_no_more_until_it_does() {
        let mut credit = Credit::since(Tick(0));
        // It has never acknowledged anything.
        assert!((1..=100).all(|tick| credit.allows(Tick(tick))));
        // A round trip of 4 ticks: the client has waited for 200 ms.
        credit.acknowledge(Tick(92), 4, Tick(100), Tick(100));
        assert_eq!(credit.rtt_ticks, 4);
        assert!((100..=116).all(|tick| credit.allows(Tick(tick))));
        assert!(!credit.is_due(Tick(107)) && credit.is_due(Tick(108)), "15 ticks");
        assert!(!credit.allows(Tick(117)) && credit.is_limited(), "25 ticks");
        // What was not sent, or is older, acknowledges nothing.
        credit.acknowledge(Tick(118), 0, Tick(117), Tick(119));
        credit.acknowledge(Tick(91), 0, Tick(117), Tick(119));
        credit.acknowledge(Tick(120_u32.wrapping_sub(1 << 16)), 0, Tick(117), Tick(119));
        assert!(!credit.allows(Tick(117)));
        credit.acknowledge(Tick(117), 0, Tick(117), Tick(121));
        assert!(credit.allows(Tick(117)));
        credit.record_sent();
        assert!(!credit.is_limited());
    }

    #[test]
    fn no_more_than_forty_ticks_are_in_flight_however_long_the_round_trip_is() {
        let mut credit = Credit::since(Tick(0));
        let mut sent = 0;
        for tick in 1..=1_000 {
            if credit.allows(Tick(sent)) {
                sent = tick;
            }
            if tick % 200 == 150 {
                credit.acknowledge(Tick(sent), 0, Tick(sent), Tick(tick + 100));
            }
        }
        assert_eq!((sent, credit.allows(Tick(sent))), (951, false));
    }
}
