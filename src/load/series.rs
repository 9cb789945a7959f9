//! What the players see in the course of a run, in samples of the same length.

use serde::{Deserialize, Serialize};

use super::groups::{Group, Tallies};
use super::process::Usage;
use super::report::{Spread, round};
use super::tally::Counters;

/// The shortest sample: CPU time has steps of 10 ms.
const INTERVAL_US_MIN: u64 = 500_000;
/// The number of samples of a long measurement.
const SAMPLES: f64 = 60.0;

/// What the players saw in one part of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The end of this part, in seconds of the run.
    pub at_s: f64,
    /// Players in the game.
    pub players: u32,
    /// Time between two states of one player.
    pub state_gap_ms: Option<Spread>,
    /// Time from the scheduled move of a probe until the probe saw it.
    pub input_to_visible_ms: Option<Spread>,
    /// Bytes received per second and player.
    pub received_bytes_per_player_per_s: Option<f64>,
    /// CPU cores that the server used, with `--pid`.
    pub cpu_cores: Option<f64>,
    /// Growth of the server's memory since before the first connect, per player, with `--pid`.
    pub rss_growth_bytes_per_client: Option<f64>,
}

/// The samples of a run.
#[derive(Debug)]
pub struct Series {
    interval_us: u64,
    /// What the server used before the first connect.
    before: Option<Usage>,
    /// The end of the last sample, and the counters then.
    last_us: u64,
    counters: Counters,
    server: Option<Usage>,
    /// All samples.
    pub samples: Vec<Sample>,
}

impl Series {
    /// Begins the samples of a run that is measured for `seconds`.
    #[must_use]
    pub fn new(seconds: f64, before: Option<Usage>) -> Series {
        Series {
            interval_us: ((seconds * 1e6 / SAMPLES) as u64).max(INTERVAL_US_MIN),
            before,
            last_us: 0,
            counters: Counters::default(),
            server: before,
            samples: Vec::new(),
        }
    }

    /// Whether a sample is due.
    #[must_use]
    pub fn is_due(&self, now_us: u64) -> bool {
        now_us >= self.last_us + self.interval_us
    }

    /// Takes a sample; `server` is what the server has used so far.
    pub fn take(&mut self, now_us: u64, tallies: &mut Tallies, server: Option<Usage>) {
        let seconds = (now_us - self.last_us) as f64 / 1e6;
        let (players, counters) = (tallies.playing(), tallies.counters());
        let bytes = (counters.read_bytes - self.counters.read_bytes) as f64;
        let (gap_us, visible_us) = tallies.take_recent(&Group::PLAYERS);
        let cpu_us = |now: Usage, then: Usage| now.cpu_us.saturating_sub(then.cpu_us) as f64;
        let growth_kib = |now: Usage, then: Usage| now.rss_kib as f64 - then.rss_kib as f64;
        let each = |sum: f64| (players > 0).then(|| round(sum / f64::from(players), 10.0));
        self.samples.push(Sample {
            at_s: round(now_us as f64 / 1e6, 1_000.0),
            players,
            state_gap_ms: Spread::of(&gap_us),
            input_to_visible_ms: Spread::of(&visible_us),
            received_bytes_per_player_per_s: each(bytes / seconds),
            cpu_cores: server
                .zip(self.server)
                .map(|(now, then)| round(cpu_us(now, then) / 1e6 / seconds, 1_000.0)),
            rss_growth_bytes_per_client: server
                .zip(self.before)
                .and_then(|(now, then)| each(growth_kib(now, then) * 1_024.0)),
        });
        (self.last_us, self.counters, self.server) = (now_us, counters, server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_has_what_was_seen_since_the_last_one() {
        let usage = |cpu_us, rss_kib| Some(Usage { cpu_us, rss_kib, rss_peak_kib: rss_kib });
        let mut series = Series::new(60.0, usage(0, 1_000));
        assert!(!series.is_due(999_999) && series.is_due(1_000_000));
        let mut tallies = Tallies::new();
        let json = &mut tallies[Group::Json];
        json.playing = 2;
        json.counters.read_bytes = 4_000;
        json.record_gap(0, 50_000);
        json.record_visible(0, 30_000);
        tallies[Group::Slow].record_gap(0, 2_000_000);
        series.take(1_000_000, &mut tallies, usage(250_000, 1_004));
        tallies[Group::Json].counters.read_bytes += 2_000;
        series.take(3_000_000, &mut tallies, usage(250_000, 1_004));
        let [first, second] = &series.samples[..] else { panic!("{series:?}") };
        assert_eq!((first.players, first.cpu_cores), (2, Some(0.25)));
        assert_eq!(first.received_bytes_per_player_per_s, Some(2_000.0));
        assert_eq!(first.rss_growth_bytes_per_client, Some(2_048.0));
        assert!(first.state_gap_ms.is_some_and(|gap| (gap.max - 50.0).abs() < 0.1));
        assert!(first.input_to_visible_ms.is_some_and(|seen| (seen.p50 - 30.0).abs() < 0.1));
        assert_eq!(second.received_bytes_per_player_per_s, Some(500.0));
        assert_eq!((second.at_s, second.cpu_cores), (3.0, Some(0.0)));
        assert_eq!((second.state_gap_ms, second.input_to_visible_ms), (None, None));
    }
}
