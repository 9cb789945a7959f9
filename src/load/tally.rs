//! What the clients of one run have seen, summed up as it happens.
//!
//! Counters run all the time, and a part of the run is the difference of two copies. Histograms
//! take only what happens inside the window of measurement.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;

use super::loss::Loss;

/// Sums over all clients since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes read from sockets: heads of HTTP and headers of frames too, but not of TCP.
    pub read_bytes: u64,
    /// Messages and control frames that came in; of Engine.IO by polls, packets.
    pub frames: u64,
    /// JSON: snapshots among them. Socket.IO: updates, each of one or more `player_moved`.
    pub updates: u64,
    /// Socket.IO: events.
    pub events: u64,
    /// Socket.IO: `player_moved` among them.
    pub moved: u64,
    /// Socket.IO: those among them that came to the player who had moved.
    pub moved_self: u64,
    /// Socket.IO: `player_attacked` that came to the player who was hit.
    pub hits: u64,
    /// Moves that were handed to sockets or wait for them, those of probes included.
    pub moves: u64,
    /// Moves that were dropped because the server does not read.
    pub moves_dropped: u64,
    /// Blows that were handed to sockets or wait for them.
    pub attacks: u64,
    /// Blows that were dropped because the server does not read.
    pub attacks_dropped: u64,
    /// Moves of probes that were seen.
    pub probes_visible: u64,
    /// Moves of probes that were not seen in time.
    pub probes_lost: u64,
    /// Blows in duels that were seen.
    pub hits_seen: u64,
    /// Blows in duels that were not seen in time.
    pub hits_lost: u64,
    /// Moves and blows that asked for an answer.
    pub acks_asked: u64,
    /// Those that got it.
    pub acks_answered: u64,
}

impl Counters {
    /// A player wished to move; `is_sent` tells whether there was room for it.
    pub fn record_move(&mut self, is_sent: bool) {
        *(if is_sent { &mut self.moves } else { &mut self.moves_dropped }) += 1;
    }

    /// A player wished to strike.
    pub fn record_attack(&mut self, is_sent: bool) {
        *(if is_sent { &mut self.attacks } else { &mut self.attacks_dropped }) += 1;
    }
}

/// Statistics of a group of clients.
#[derive(Debug)]
pub struct Tally {
    /// Sums since the start, but those of probes, duels and acknowledgements only inside the
    /// window.
    pub counters: Counters,
    /// The window of measurement, in microseconds of the run; empty until it is known.
    pub window: Range<u64>,
    /// Clients that are in the game now.
    pub playing: u32,
    /// From the moment a client was to connect until it was in the game; at any time.
    pub connect_us: Histogram<u64>,
    /// Between two updates of one client.
    pub gap_us: Histogram<u64>,
    /// From the moment a probe's move was meant to be sent until it was seen.
    pub visible_us: Histogram<u64>,
    /// From the moment a blow was meant to be struck until its target saw it.
    pub hit_us: Histogram<u64>,
    /// From the moment something was meant to be sent until it was acknowledged.
    pub ack_us: Histogram<u64>,
    /// Acknowledgements that said that nothing came of it, by the server's word for it.
    pub refusals: BTreeMap<String, u64>,
    /// How late this tool was with what it had to do: when it is the bottleneck, it shows here.
    pub lateness_us: Histogram<u64>,
    /// Clients lost, by kind.
    pub losses: BTreeMap<String, u64>,
    /// Why the first was lost, in the server's own words if it had any.
    pub first_loss: Option<String>,
}

/// The longest span that a histogram tells apart; what is longer counts as this long.
const SPAN_MAX_US: u64 = 10 * 60 * 1_000_000;

impl Tally {
    /// Nothing seen so far.
    #[must_use]
    pub fn new() -> Tally {
        // Three digits: 0.1 % of the value, in about 200 KB.
        let spans = || {
            Histogram::new_with_bounds(1, SPAN_MAX_US, 3).expect("these bounds are always allowed")
        };
        Tally {
            counters: Counters::default(),
            window: 0..0,
            playing: 0,
            connect_us: spans(),
            gap_us: spans(),
            visible_us: spans(),
            hit_us: spans(),
            ack_us: spans(),
            refusals: BTreeMap::new(),
            lateness_us: spans(),
            losses: BTreeMap::new(),
            first_loss: None,
        }
    }

    /// A client that was to connect at `intended_us` is in the game.
    pub fn record_connect(&mut self, intended_us: u64, now_us: u64) {
        self.connect_us.saturating_record(now_us.saturating_sub(intended_us));
    }

    /// A client saw an update, and the one before at `before_us`.
    pub fn record_gap(&mut self, before_us: u64, now_us: u64) {
        if self.window.contains(&now_us) {
            self.gap_us.saturating_record(now_us - before_us);
        }
    }

    /// A probe saw its move that was meant for `intended_us`. It belongs to the window in which it
    /// was meant to be sent, whenever it is seen.
    pub fn record_visible(&mut self, intended_us: u64, now_us: u64) {
        if self.window.contains(&intended_us) {
            self.visible_us.saturating_record(now_us.saturating_sub(intended_us));
            self.counters.probes_visible += 1;
        }
    }

    /// A probe gave up its move that was meant for `intended_us`.
    pub fn record_probe_lost(&mut self, intended_us: u64) {
        self.counters.probes_lost += u64::from(self.window.contains(&intended_us));
    }

    /// The target of a blow that was meant for `intended_us` saw it.
    pub fn record_hit(&mut self, intended_us: u64, now_us: u64) {
        if self.window.contains(&intended_us) {
            self.hit_us.saturating_record(now_us.saturating_sub(intended_us));
            self.counters.hits_seen += 1;
        }
    }

    /// A blow that was meant for `intended_us` was given up.
    pub fn record_hit_lost(&mut self, intended_us: u64) {
        self.counters.hits_lost += u64::from(self.window.contains(&intended_us));
    }

    /// Something that was meant for `intended_us` asked for an acknowledgement.
    pub fn record_ack_asked(&mut self, intended_us: u64) {
        self.counters.acks_asked += u64::from(self.window.contains(&intended_us));
    }

    /// It was acknowledged; with the server's word for why nothing came of it, if so.
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

    /// Something was done at `now_us` that was due at `due_us`.
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
