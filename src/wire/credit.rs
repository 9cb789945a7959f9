//! How many states a client may leave unacknowledged, and how late it sees the others.
//!
//! A proxy takes seconds of states for a browser that has stalled before a write comes up short. So
//! a client that acknowledges states is sent no more than some beyond the last that it has.

use crate::game::REWIND_MAX;
use crate::limits::{
    NETWORK_BREAK_MS, STALL_MS, UNACKNOWLEDGED_TICKS, UNACKNOWLEDGED_TICKS_MAX, UNCREDITED_MS,
};
use crate::time::{TICK_MS, TICKS_PER_SECOND, Tick};

/// An older tick is not acknowledged: it is one that the client does not have yet, as 16 bits of it
/// are sent in skirmish.v1.
const AGE_TICKS_MAX: u32 = 20 * TICKS_PER_SECOND;
/// A client acknowledges a tick twice a second. If the newest one is older than this, it is asked.
const DUE_TICKS: u32 = 3 * UNACKNOWLEDGED_TICKS / 4;
/// What is left of the credit when the rate falls, and to how many states a second it does.
const LOWERED_TICKS: u32 = UNACKNOWLEDGED_TICKS - DUE_TICKS;
const LOWERED_HZ: u32 = 5;
/// A client that acknowledges nothing for this long, and gets no state meanwhile, is ended.
const STALL_TICKS: u32 = (STALL_MS / TICK_MS) as u32;
/// How long bytes must be undelivered, beyond the round trip, so that it counts as a break.
const BREAK_TICKS: u32 = (NETWORK_BREAK_MS / TICK_MS) as u32;
/// Ticks between two states that a client is sent without credit.
const UNCREDITED_TICKS: u32 = (UNCREDITED_MS / TICK_MS) as u32;
/// Ticks between two states that ask for an acknowledgement.
const ASK_TICKS: u32 = 5;
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
    /// Ticks from a state to its acknowledgement: about the least that were seen lately. `None`
    /// before the first one.
    rtt_ticks: Option<u32>,
    /// The tick of the last state that it was sent.
    sent: Tick,
    /// The tick of the last state that asked for an acknowledgement; `None` for a client that
    /// acknowledges without being asked.
    asked: Option<Tick>,
    /// Whether a state was skipped since the last one, for lack of credit.
    is_limited: bool,
    /// Since when it has no credit left.
    refused_since: Option<Tick>,
    /// For how many ticks in a row since then some of what it was sent was not delivered.
    held_ticks: u32,
    /// Whether everything was delivered after such a break, and the client was sent no state since.
    has_caught_up: bool,
    /// The last tick whose state it was sent for this reason.
    uncredited: Option<Tick>,
}

/// What the acknowledgement of a newer tick than before says about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Ticks since the one that it acknowledges.
    pub age_ticks: u32,
    /// The same without the time for which it has had the tick, as far as it says: a round trip.
    pub rtt_ticks: u32,
}

/// Whether a client may be sent a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It may.
    Send,
    /// Not until it acknowledges others, or until a tick of the lowered rate.
    Skip,
    /// It has acknowledged nothing for too long: end it.
    End,
}

impl Credit {
    /// A client that joined after a tick, and has acknowledged nothing.
    #[must_use]
    pub fn since(tick: Tick) -> Credit {
        Credit {
            since: tick,
            acknowledged: None,
            rtt_ticks: None,
            sent: tick,
            asked: None,
            is_limited: false,
            refused_since: None,
            held_ticks: 0,
            has_caught_up: false,
            uncredited: None,
        }
    }

    /// The same for a client that acknowledges the states that ask for it.
    #[must_use]
    pub fn asking(tick: Tick) -> Credit {
        Credit { acknowledged: Some(tick), asked: Some(tick), ..Credit::since(tick) }
    }

    /// The same for a client that was sent the state of a tick.
    #[must_use]
    pub fn with_sent(self, tick: Tick) -> Credit {
        Credit { sent: tick, ..self }
    }

    /// The client has had a tick for `held_ticks`, says a message that was received before the tick
    /// after `now`. `sent` is the newest tick that it was sent. `None` if the tick is not a newer
    /// one that it can have.
    pub fn acknowledge(
        &mut self,
        tick: Tick,
        held_ticks: u32,
        sent: Tick,
        now: Tick,
    ) -> Option<Acknowledged> {
        let is_older = !tick.is_after(self.acknowledged.unwrap_or(self.since));
        let passed = now.0.wrapping_sub(tick.0);
        if tick.is_after(sent) || is_older || passed > AGE_TICKS_MAX {
            return None;
        }
        let sample = passed.saturating_sub(held_ticks);
        self.rtt_ticks = Some(match self.rtt_ticks {
            Some(rtt) if sample > rtt => rtt + (sample - rtt).div_ceil(RTT_SHARE),
            _ => sample,
        });
        self.acknowledged = Some(tick);
        self.refused_since = None;
        (self.held_ticks, self.has_caught_up) = (0, false);
        Some(Acknowledged { age_ticks: passed, rtt_ticks: sample })
    }

    /// The answer to the state of a tick that has asked for an acknowledgement. A client that is
    /// never asked answers nothing.
    pub fn answer(&mut self, tick: Tick, now: Tick) -> Option<Acknowledged> {
        self.asked.and_then(|asked| self.acknowledge(tick, 0, asked, now))
    }

    /// How long before the end of the tick `judged` the others were where the client sees them, in
    /// 1/8 ticks. It draws them `view_age` before the tick that it has acknowledged.
    #[must_use]
    pub fn rewind(&self, view_age: u8, judged: Tick) -> u8 {
        let Some(acknowledged) = self.acknowledged else { return 0 };
        let passed = judged.0.wrapping_sub(acknowledged.0).saturating_mul(8);
        let most = self.rtt().saturating_add(REWIND_TICKS).saturating_mul(8);
        passed.saturating_add(view_age.into()).min(most).min(REWIND_MAX.into()) as u8
    }

    fn rtt(&self) -> u32 {
        self.rtt_ticks.unwrap_or(0)
    }

    /// Whether the client may be sent the state of `now`, after that of the tick `sent`: first the
    /// rate falls, then all states are skipped, and after [`STALL_TICKS`] the client is ended.
    /// Only after a break of the network it gets one meanwhile ([`Credit::record_delivery`]).
    pub fn grant(&mut self, sent: Tick, now: Tick) -> Grant {
        let Some(acknowledged) = self.acknowledged else { return Grant::Send };
        let most = (UNACKNOWLEDGED_TICKS + self.rtt()).min(UNACKNOWLEDGED_TICKS_MAX);
        let unacknowledged = sent.0.wrapping_sub(acknowledged.0);
        let grant = if unacknowledged > most {
            let since = *self.refused_since.get_or_insert(now);
            let is_over = now.0.wrapping_sub(since.0) >= STALL_TICKS;
            if is_over {
                Grant::End
            } else if self.may_exceed(now) {
                Grant::Send
            } else {
                Grant::Skip
            }
        } else if unacknowledged + LOWERED_TICKS > most && !now.is_due_at(LOWERED_HZ) {
            Grant::Skip
        } else {
            Grant::Send
        };
        self.is_limited |= grant != Grant::Send;
        grant
    }

    /// Whether the client gets a state although it has no credit left.
    fn may_exceed(&self, now: Tick) -> bool {
        let is_soon = |last: Tick| now.0.wrapping_sub(last.0) < UNCREDITED_TICKS;
        self.has_caught_up && !self.uncredited.is_some_and(is_soon)
    }

    /// Whether the client has no credit left.
    #[must_use]
    pub fn is_out_of_credit(&self) -> bool {
        self.refused_since.is_some()
    }

    /// Call it once a tick while the client has no credit left. `is_delivered`: whether the kernel
    /// of its peer has acknowledged all bytes. If it has, after a break of the network, the client
    /// has received old states, and its own acknowledgement may wait for the next retransmission of
    /// its kernel. So it gets a new state before that. This does not count as an acknowledgement:
    /// the kernel of a proxy acknowledges bytes that a stalled browser has not received.
    pub fn record_delivery(&mut self, is_delivered: bool) {
        if self.is_out_of_credit() {
            let was_break = self.held_ticks > self.rtt() + BREAK_TICKS;
            self.has_caught_up |= is_delivered && was_break;
            self.held_ticks = if is_delivered { 0 } else { self.held_ticks.saturating_add(1) };
        }
    }

    /// Whether the state of `now` should ask the client for an acknowledgement.
    #[must_use]
    pub fn asks(&self, now: Tick) -> bool {
        self.asked.is_some_and(|asked| now.0.wrapping_sub(asked.0) >= ASK_TICKS)
    }

    /// Whether the client, which acknowledges ticks, should acknowledge that of `now` at once.
    #[must_use]
    pub fn is_due(&self, now: Tick) -> bool {
        self.acknowledged.is_some_and(|tick| now.0.wrapping_sub(tick.0) > DUE_TICKS)
    }

    /// Ticks since the newest one that the client has acknowledged; 0 if that is the last that it
    /// was sent, or if it acknowledges none.
    #[must_use]
    pub fn age_ticks(&self, now: Tick) -> u32 {
        let behind = self.acknowledged.filter(|tick| self.sent.is_after(*tick));
        behind.map_or(0, |tick| now.0.wrapping_sub(tick.0))
    }

    /// Ticks from a state to its acknowledgement: about the least that were seen lately.
    #[must_use]
    pub fn rtt_ticks(&self) -> Option<u32> {
        self.rtt_ticks
    }

    /// Whether a state was skipped since the last one, for lack of credit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// The tick of the last state that the client was sent.
    #[must_use]
    pub fn sent(&self) -> Tick {
        self.sent
    }

    /// The client is sent the state of a tick.
    pub fn record_sent(&mut self, tick: Tick) {
        self.sent = tick;
        self.is_limited = false;
        if std::mem::take(&mut self.has_caught_up) {
            self.uncredited = Some(tick);
        }
    }

    /// The client is sent the state of a tick, which asks for an acknowledgement. If all others are
    /// answered, the client has what was sent before: between two ticks with changes no state is
    /// sent, so there is nothing to acknowledge.
    pub fn record_asked(&mut self, tick: Tick) {
        let is_answered = match (self.asked, self.acknowledged) {
            (Some(asked), Some(acknowledged)) => !asked.is_after(acknowledged),
            _ => true,
        };
        if is_answered {
            self.acknowledged = Some(Tick(tick.0.wrapping_sub(1)));
        }
        self.asked = Some(tick);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T25
    #[test]
    fn a_client_that_acknowledges_is_sent_no_more_until_it_does() {
        let mut credit = Credit::since(Tick(0));
        // It has never acknowledged anything.
        let sends =
            |credit: &mut Credit, sent, now| credit.grant(Tick(sent), Tick(now)) == Grant::Send;
        assert!((1..=100).all(|tick| sends(&mut credit, tick, tick + 1)));
        // A round trip of 4 ticks: the client has waited for 200 ms.
        let acknowledged = credit.acknowledge(Tick(92), 4, Tick(100), Tick(100));
        assert_eq!(acknowledged, Some(Acknowledged { age_ticks: 8, rtt_ticks: 4 }));
        assert_eq!(credit.rtt_ticks(), Some(4));
        assert_eq!(credit.age_ticks(Tick(100)), 0, "it was sent nothing since, says the record");
        credit.record_sent(Tick(100));
        assert_eq!(credit.age_ticks(Tick(104)), 12);
        assert!((100..=111).all(|tick| sends(&mut credit, tick, tick + 1)));
        assert!(!credit.is_due(Tick(107)) && credit.is_due(Tick(108)), "15 ticks");
        assert!(!credit.is_limited());
        // More than 15 and the round trip: 5 a second.
        let lowered: Vec<u32> = (113..=120).filter(|now| sends(&mut credit, 112, *now)).collect();
        assert_eq!((lowered, credit.is_limited()), (vec![116, 120], true));
        assert!(sends(&mut credit, 116, 120), "24 ticks");
        assert!(!sends(&mut credit, 117, 120) && credit.is_limited(), "25 ticks");
        // What was not sent, or is older, acknowledges nothing.
        for nothing in [118, 91, 120_u32.wrapping_sub(1 << 16)] {
            assert_eq!(credit.acknowledge(Tick(nothing), 0, Tick(117), Tick(119)), None);
        }
        assert!(!sends(&mut credit, 117, 120));
        credit.acknowledge(Tick(117), 0, Tick(117), Tick(121));
        assert!(sends(&mut credit, 117, 121));
        credit.record_sent(Tick(121));
        assert!(!credit.is_limited());
    }

    #[test]
    fn a_client_that_acknowledges_nothing_for_ten_seconds_without_credit_is_ended() {
        let mut credit = Credit::since(Tick(0));
        credit.acknowledge(Tick(10), 0, Tick(10), Tick(10));
        assert_eq!(credit.grant(Tick(30), Tick(32)), Grant::Send);
        let refused = |credit: &mut Credit, mut ticks: std::ops::Range<u32>| {
            ticks.all(|now| credit.grant(Tick(31), Tick(now)) == Grant::Skip)
        };
        assert!(refused(&mut credit, 40..240));
        // It has taken one of them.
        credit.acknowledge(Tick(10), 0, Tick(31), Tick(239));
        assert_eq!(credit.grant(Tick(31), Tick(240)), Grant::End, "it has acknowledged 10 before");
        credit.acknowledge(Tick(11), 0, Tick(31), Tick(240));
        assert_eq!(credit.grant(Tick(31), Tick(240)), Grant::Send, "the round trip has grown");
        assert!(!refused(&mut credit, 241..242));
    }

    /// A client with a round trip of 4 ticks that has no credit left from tick 40 on.
    fn refused() -> Credit {
        let mut credit = Credit::since(Tick(0));
        credit.acknowledge(Tick(6), 0, Tick(10), Tick(10));
        credit.record_sent(Tick(31));
        assert_eq!(credit.grant(Tick(31), Tick(40)), Grant::Skip);
        credit
    }

    #[test]
    fn after_a_break_of_the_network_a_client_without_credit_gets_one_state() {
        let record = |credit: &mut Credit, held_ticks: u32| {
            (0..held_ticks).for_each(|_| credit.record_delivery(false));
            credit.record_delivery(true);
            credit.record_delivery(true);
        };
        let grant = |credit: &mut Credit, now| credit.grant(credit.sent(), Tick(now));
        let mut credit = refused();
        // The round trip, and an acknowledgement that the peer delays.
        record(&mut credit, 9);
        assert_eq!(grant(&mut credit, 60), Grant::Skip);
        record(&mut credit, 10);
        assert_eq!(grant(&mut credit, 80), Grant::Send);
        assert_eq!(grant(&mut credit, 81), Grant::Send, "it was not written yet");
        credit.record_sent(Tick(81));
        assert_eq!(grant(&mut credit, 82), Grant::Skip);
        // One a second, however often the network breaks.
        record(&mut credit, 10);
        assert_eq!(grant(&mut credit, 100), Grant::Skip);
        assert_eq!(grant(&mut credit, 101), Grant::Send);
        credit.record_sent(Tick(101));
        // It does not count as an acknowledgement.
        assert!(credit.is_out_of_credit());
        record(&mut credit, 10);
        assert_eq!(grant(&mut credit, 239), Grant::Send);
        assert_eq!(grant(&mut credit, 240), Grant::End);
        // After an acknowledgement nothing of this counts.
        (0..10).for_each(|_| credit.record_delivery(false));
        assert!(credit.acknowledge(Tick(101), 0, Tick(101), Tick(240)).is_some());
        assert!(!credit.is_out_of_credit());
        record(&mut credit, 10);
        assert_eq!(credit.grant(Tick(150), Tick(250)), Grant::Skip);
        credit.record_delivery(true);
        assert_eq!(credit.grant(Tick(150), Tick(251)), Grant::Skip);
    }

    #[test]
    fn a_client_is_asked_every_fifth_tick_and_owes_nothing_while_nothing_is_sent() {
        let mut credit = Credit::asking(Tick(100));
        assert!(!credit.asks(Tick(104)) && credit.asks(Tick(105)));
        // Nothing changes for a minute.
        assert!(credit.asks(Tick(1_300)));
        assert_eq!(credit.grant(credit.sent(), Tick(1_300)), Grant::Send);
        credit.record_sent(Tick(1_300));
        credit.record_asked(Tick(1_300));
        assert!(!credit.asks(Tick(1_304)));
        assert_eq!(credit.grant(credit.sent(), Tick(1_301)), Grant::Send);
        // It answers none of what follows.
        let mut sent = Vec::new();
        for now in 1_301..1_400 {
            if credit.grant(credit.sent(), Tick(now)) == Grant::Send {
                credit.record_sent(Tick(now));
                if credit.asks(Tick(now)) {
                    credit.record_asked(Tick(now));
                }
                sent.push(now);
            }
        }
        assert_eq!(sent.last(), Some(&1_320));
        credit.answer(Tick(1_321), Tick(1_400));
        assert_eq!(credit.grant(credit.sent(), Tick(1_400)), Grant::Skip, "it was not asked");
        credit.answer(Tick(1_320), Tick(1_400));
        assert_eq!(credit.grant(credit.sent(), Tick(1_400)), Grant::Send);
        let mut silent = Credit::since(Tick(0));
        silent.answer(Tick(0), Tick(10));
        assert_eq!(silent.grant(Tick(1_000), Tick(1_001)), Grant::Send, "it is never asked");
    }

    #[test]
    fn no_more_than_forty_ticks_are_in_flight_however_long_the_round_trip_is() {
        let mut credit = Credit::since(Tick(0));
        let mut sent = 0;
        for tick in 1..=1_000 {
            if credit.grant(Tick(sent), Tick(tick)) == Grant::Send {
                sent = tick;
            }
            if tick % 200 == 150 {
                credit.acknowledge(Tick(sent), 0, Tick(sent), Tick(tick + 100));
            }
        }
        assert_eq!((sent, credit.grant(Tick(sent), Tick(1_001))), (951, Grant::Skip));
    }
}
