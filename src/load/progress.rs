//! The progress line on the terminal.

use std::io::{IsTerminal, Write, stderr};

use super::groups::Tallies;
use super::tally::Counters;

/// Time between two updates of the line.
const INTERVAL_US: u64 = 1_000_000;

/// The progress line; shown only if standard error is a terminal.
pub struct Progress {
    is_shown: bool,
    clients: u32,
    shown_us: u64,
    counters: Counters,
}

impl Progress {
    /// Creates the line of a run with `clients` clients.
    #[must_use]
    pub fn new(clients: u32) -> Progress {
        let is_shown = stderr().is_terminal();
        Progress { is_shown, clients, shown_us: 0, counters: Counters::default() }
    }

    /// Updates the line once per second.
    pub fn show(&mut self, now_us: u64, tallies: &Tallies) {
        let span_us = now_us.saturating_sub(self.shown_us);
        if !self.is_shown || span_us < INTERVAL_US {
            return;
        }
        let line = line(self.clients, tallies, &self.counters, span_us as f64 / 1e6);
        (self.shown_us, self.counters) = (now_us, tallies.counters());
        // A closed terminal does not end the run.
        let _ = write!(stderr(), "\r{line:<78}");
    }

    /// Removes the line for good, before the report.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(stderr(), "\r{:<78}\r", "");
        }
    }
}

fn line(clients: u32, tallies: &Tallies, before: &Counters, seconds: f64) -> String {
    let now = tallies.counters();
    format!(
        "{}/{clients} connected, {} lost, {:.0} updates/s, {:.1} MB/s",
        tallies.playing(),
        tallies.lost(),
        (now.updates - before.updates) as f64 / seconds,
        (now.read_bytes - before.read_bytes) as f64 / seconds / 1e6,
    )
}

#[cfg(test)]
mod tests {
    use super::super::groups::Group;
    use super::*;

    #[test]
    fn the_line_shows_rates() {
        let mut tallies = Tallies::new();
        let tally = &mut tallies[Group::Json];
        tally.playing = 3;
        tally.counters = Counters { updates: 50, read_bytes: 3_000_000, ..Counters::default() };
        let before = Counters { updates: 10, ..Counters::default() };
        assert_eq!(
            line(4, &tallies, &before, 2.0),
            "3/4 connected, 0 lost, 20 updates/s, 1.5 MB/s"
        );
    }
}
