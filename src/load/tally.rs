//! Statistics of the clients of one run.
//!
//! Counters always run; a part of the run is the difference of two copies. Histograms record only
//! the window of the measurement.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range};

use hdrhistogram::Histogram;

use super::loss::Loss;
use super::v1;

/// Totals over all clients since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes read from sockets, including HTTP heads and frame headers.
    pub read_bytes: u64,
    /// Messages and control frames received; over polling, Engine.IO packets.
    pub frames: u64,
    /// JSON: states among them. Socket.IO: updates of one or more `player_moved`.
    pub updates: u64,
    /// Socket.IO: events.
    pub events: u64,
    /// Socket.IO: `player_moved` among them.
    pub moved: u64,
    /// Socket.IO: `player_moved` received by the player that moved.
    pub moved_self: u64,
    /// Socket.IO: `player_attacked` received by the player that was hit.
    pub hits: u64,
    /// Moves sent or queued, including those of probes.
    pub moves: u64,
    /// Moves dropped because the server does not read.
    pub moves_dropped: u64,
    /// Attacks sent or queued.
    pub attacks: u64,
    /// Attacks dropped because the server does not read.
    pub attacks_dropped: u64,
    /// Moves of probes that were seen in time.
    pub probes_visible: u64,
    /// Moves of probes that were not seen in time.
    pub probes_lost: u64,
    /// Attacks in duels that were seen in time.
    pub hits_seen: u64,
    /// Attacks in duels that were not seen in time.
    pub hits_lost: u64,
    /// Players that left to be replaced.
    pub left: u64,
    /// Players that joined in their place.
    pub replaced: u64,
    /// Moves and attacks that requested an acknowledgement.
    pub acks_asked: u64,
    /// Acknowledgements received.
    pub acks_answered: u64,
    /// What only skirmish.v1 has.
    pub v1: v1::Counts,
}

impl Counters {
    /// Counts a move as sent or dropped.
    pub fn record_move(&mut self, is_sent: bool) {
        *(if is_sent { &mut self.moves } else { &mut self.moves_dropped }) += 1;
    }

    /// Counts an attack as sent or dropped.
    pub fn record_attack(&mut self, is_sent: bool) {
        *(if is_sent { &mut self.attacks } else { &mut self.attacks_dropped }) += 1;
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, more: Counters) {
        self.read_bytes += more.read_bytes;
        self.frames += more.frames;
        self.updates += more.updates;
        self.events += more.events;
        self.moved += more.moved;
        self.moved_self += more.moved_self;
        self.hits += more.hits;
        self.moves += more.moves;
        self.moves_dropped += more.moves_dropped;
        self.attacks += more.attacks;
        self.attacks_dropped += more.attacks_dropped;
        self.probes_visible += more.probes_visible;
        self.probes_lost += more.probes_lost;
        self.hits_seen += more.hits_seen;
        self.hits_lost += more.hits_lost;
        self.left += more.left;
        self.replaced += more.replaced;
        self.acks_asked += more.acks_asked;
        self.acks_answered += more.acks_answered;
        self.v1 += more.v1;
    }
}

/// What was recorded since the last sample.
#[derive(Debug)]
pub struct Recent {
    /// Between two updates of one client.
    pub gap_us: Histogram<u64>,
    /// From the scheduled move of a probe until the probe saw it.
    pub visible_us: Histogram<u64>,
}

/// Statistics of a group of clients.
#[derive(Debug)]
pub struct Tally {
    /// Totals since the start; those of probes, duels and acknowledgements only inside the
    /// window.
    pub counters: Counters,
    /// The window of the measurement, in microseconds of the run; empty until it is known.
    pub window: Range<u64>,
    /// Clients in the game now.
    pub playing: u32,
    /// From the scheduled connect until the client had joined; also outside the window.
    pub connect_us: Histogram<u64>,
    /// Between two updates of one client.
    pub gap_us: Histogram<u64>,
    /// From the scheduled move of a probe until the probe saw it.
    pub visible_us: Histogram<u64>,
    /// The gaps and moves since the last sample, also outside the window.
    pub recent: Recent,
    /// From a scheduled attack until its target received the hit.
    pub hit_us: Histogram<u64>,
    /// From the scheduled change of course of a probe until another client saw it.
    pub turn_us: Histogram<u64>,
    /// From a scheduled move or attack until its acknowledgement.
    pub ack_us: Histogram<u64>,
    /// Negative acknowledgements, by the error of the server.
    pub refusals: BTreeMap<String, u64>,
    /// Delay of scheduled actions; shows when the load test itself is the bottleneck.
    pub lateness_us: Histogram<u64>,
    /// Clients lost, by kind.
    pub losses: BTreeMap<String, u64>,
    /// Why the first client was lost, with the text from the server.
    pub first_loss: Option<String>,
}

/// Upper bound of the histograms; longer spans count as this.
const SPAN_MAX_US: u64 = 10 * 60 * 1_000_000;

impl Tally {
    /// Creates empty statistics.
    #[must_use]
    pub fn new() -> Tally {
        // Three digits: 0.1 % of the value, in about 200 KB.
        let spans = || Histogram::new_with_bounds(1, SPAN_MAX_US, 3).expect("the bounds are valid");
        Tally {
            counters: Counters::default(),
            window: 0..0,
            playing: 0,
            connect_us: spans(),
            gap_us: spans(),
            visible_us: spans(),
            recent: Recent { gap_us: spans(), visible_us: spans() },
            hit_us: spans(),
            turn_us: spans(),
            ack_us: spans(),
            refusals: BTreeMap::new(),
            lateness_us: spans(),
            losses: BTreeMap::new(),
            first_loss: None,
        }
    }

    /// Adds the statistics of another group of the same window.
    pub fn add(&mut self, more: &Tally) {
        self.counters += more.counters;
        self.window = more.window.clone();
        self.playing += more.playing;
        let add =
            |sum: &mut Histogram<u64>, more| sum.add(more).expect("they have the same bounds");
        add(&mut self.connect_us, &more.connect_us);
        add(&mut self.gap_us, &more.gap_us);
        add(&mut self.visible_us, &more.visible_us);
        add(&mut self.hit_us, &more.hit_us);
        add(&mut self.turn_us, &more.turn_us);
        add(&mut self.ack_us, &more.ack_us);
        add(&mut self.lateness_us, &more.lateness_us);
        let count = |sum: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>| {
            more.iter().for_each(|(kind, count)| *sum.entry(kind.clone()).or_default() += count);
        };
        count(&mut self.refusals, &more.refusals);
        count(&mut self.losses, &more.losses);
        self.first_loss = self.first_loss.take().or_else(|| more.first_loss.clone());
    }

    /// A client that was scheduled to connect at `intended_us` has joined.
    pub fn record_connect(&mut self, intended_us: u64, now_us: u64) {
        self.connect_us.saturating_record(now_us.saturating_sub(intended_us));
    }

    /// A client received an update; the previous one came at `before_us`.
    pub fn record_gap(&mut self, before_us: u64, now_us: u64) {
        self.recent.gap_us.saturating_record(now_us - before_us);
        if self.window.contains(&now_us) {
            self.gap_us.saturating_record(now_us - before_us);
        }
    }

    /// A probe saw its move that was scheduled for `intended_us`. It counts if that is inside the
    /// window, whenever it is seen.
    pub fn record_visible(&mut self, intended_us: u64, now_us: u64) {
        self.recent.visible_us.saturating_record(now_us.saturating_sub(intended_us));
        if self.window.contains(&intended_us) {
            self.visible_us.saturating_record(now_us.saturating_sub(intended_us));
            self.counters.probes_visible += 1;
        }
    }

    /// A probe gave up its move that was scheduled for `intended_us`.
    pub fn record_probe_lost(&mut self, intended_us: u64) {
        self.counters.probes_lost += u64::from(self.window.contains(&intended_us));
    }

    /// The target of an attack that was scheduled for `intended_us` received the hit.
    pub fn record_hit(&mut self, intended_us: u64, now_us: u64) {
        if self.window.contains(&intended_us) {
            self.hit_us.saturating_record(now_us.saturating_sub(intended_us));
            self.counters.hits_seen += 1;
        }
    }

    /// An attack that was scheduled for `intended_us` was given up.
    pub fn record_hit_lost(&mut self, intended_us: u64) {
        self.counters.hits_lost += u64::from(self.window.contains(&intended_us));
    }

    /// A client saw the change of course of a probe that was scheduled for `intended_us`.
    pub fn record_turn(&mut self, intended_us: u64, now_us: u64) {
        if self.window.contains(&intended_us) {
            self.turn_us.saturating_record(now_us.saturating_sub(intended_us));
        }
    }

    /// An action that was scheduled for `intended_us` requested an acknowledgement.
    pub fn record_ack_asked(&mut self, intended_us: u64) {
        self.counters.acks_asked += u64::from(self.window.contains(&intended_us));
    }

    /// An action was acknowledged; `refusal` is the error of a negative acknowledgement.
    pub fn record_ack(&mut self, intended_us: u64, now_us: u64, refusal: Option<String>) {
        if !self.window.contains(&intended_us) {
            return;
        }
        self.ack_us.saturating_record(now_us.saturating_sub(intended_us));
        self.counters.acks_answered += 1;
        if let Some(word) = refusal {
            *self.refusals.entry(word).or_default() += 1;
        }
    }

    /// An action that was due at `due_us` was performed at `now_us`.
    pub fn record_lateness(&mut self, due_us: u64, now_us: u64) {
        if self.window.contains(&now_us) {
            self.lateness_us.saturating_record(now_us.saturating_sub(due_us));
        }
    }

    /// A client was lost.
    pub fn record_loss(&mut self, loss: &Loss) {
        self.first_loss.get_or_insert_with(|| loss.sentence());
        *self.losses.entry(loss.to_string()).or_default() += 1;
    }

    /// Clients lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.losses.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_counts() {
        let mut tally = Tally::new();
        tally.record_ack_asked(0);
        tally.record_ack(0, 50, None);
        tally.record_gap(0, 50);
        tally.window = 100..200;
        tally.record_gap(50, 99);
        tally.record_gap(99, 150);
        tally.record_visible(99, 150);
        tally.record_visible(199, 300);
        tally.record_probe_lost(200);
        tally.record_probe_lost(100);
        tally.record_ack_asked(110);
        tally.record_ack(110, 250, Some("cooldown".to_owned()));
        tally.record_hit(99, 150);
        tally.record_hit(100, 350);
        tally.record_hit_lost(150);
        assert_eq!((tally.hit_us.len(), tally.hit_us.max(), tally.counters.hits_lost), (1, 250, 1));
        assert_eq!(
            (tally.ack_us.len(), tally.ack_us.max(), tally.counters.acks_asked),
            (1, 140, 1)
        );
        assert_eq!(tally.refusals["cooldown"], 1);
        assert_eq!((tally.gap_us.len(), tally.gap_us.max()), (1, 51));
        assert_eq!((tally.visible_us.len(), tally.visible_us.max()), (1, 101));
        assert_eq!((tally.counters.probes_visible, tally.counters.probes_lost), (1, 1));
    }
}
