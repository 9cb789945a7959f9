//! Finds the largest number of players with which the server keeps its service level.
//!
//! `mod` measures one number of players after the other; [`Search`] chooses the next one.

use super::report::{Limit, Report, Step};

/// The search ends when the limit is known to 1 part in this many.
const PRECISION: u32 = 20;
/// Maximum number of players.
const CLIENTS_MAX: u32 = 1_000_000;

/// Chooses the number of players to measure next: doubles it until the service level breaks, then
/// halves the distance between the last number that kept it and the first that did not.
#[derive(Debug)]
pub struct Search {
    start: u32,
    /// The largest number that kept the service level; 0 if none did.
    kept: u32,
    /// The smallest number that did not keep it.
    broken: Option<u32>,
}

impl Search {
    /// Begins with `start` players.
    #[must_use]
    pub fn new(start: u32) -> Search {
        Search { start, kept: 0, broken: None }
    }

    /// The number of players to measure next; `None` if the limit is known.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        match self.broken {
            None if self.kept == 0 => Some(self.start),
            None => Some(self.kept.saturating_mul(2).min(CLIENTS_MAX)).filter(|n| *n > self.kept),
            Some(broken) => {
                let distance = broken - self.kept;
                (distance > (self.kept / PRECISION).max(1)).then_some(self.kept + distance / 2)
            }
        }
    }

    /// Records whether this many players kept the service level.
    pub fn record(&mut self, clients: u32, is_kept: bool) {
        if is_kept {
            self.kept = clients;
        } else {
            self.broken = Some(clients);
        }
    }
}

/// The measurements of a search.
#[derive(Debug, Default)]
pub struct Steps {
    steps: Vec<Step>,
    /// The report of the largest number of players that kept the service level.
    kept: Option<Report>,
    /// The report of the smallest number that did not.
    broken: Option<Report>,
}

impl Steps {
    /// Adds the report of one number of players. Returns whether the service level was kept.
    pub fn add(&mut self, report: Report) -> bool {
        let broke = report.broken();
        let is_kept = broke.is_empty();
        let clients = report.players.clients;
        self.steps.push(Step { clients, figures: report.figures.clone(), broke });
        *(if is_kept { &mut self.kept } else { &mut self.broken }) = Some(report);
        is_kept
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The report at the limit, with all steps; that of the smallest number of players if none kept
    /// the service level. `None` if nothing was measured.
    #[must_use]
    pub fn into_report(mut self) -> Option<Report> {
        self.steps.sort_by_key(|step| step.clients);
        let clients = self.kept.as_ref().map(|report| report.players.clients);
        let broken_at = self.broken.as_ref().map(|report| report.players.clients);
        let broke = self.broken.as_ref().map(Report::broken).unwrap_or_default();
        let mut warnings = Vec::new();
        if let Some(broken) = self.broken.as_ref().filter(|one| one.load_test.is_bottleneck) {
            let clients = broken.players.clients;
            warnings.push(format!(
                "with {clients} players the load test was the bottleneck, or shared its core. The \
                 limit of the server may be higher."
            ));
        }
        let mut report = self.kept.or(self.broken)?;
        let expected = report.expectations.iter().map(|one| one.expected.clone()).collect();
        report.limit = Some(Limit { clients, broken_at, broke, expected });
        report.steps = self.steps;
        report.warnings.append(&mut warnings);
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::report;

    /// All numbers that are measured from `start`, if `limit` players keep the service level.
    fn measured(start: u32, limit: u32) -> Vec<u32> {
        let mut search = Search::new(start);
        let mut all = Vec::new();
        while let Some(clients) = search.next() {
            all.push(clients);
            search.record(clients, clients <= limit);
            assert!(all.len() < 40, "{all:?}");
        }
        all
    }

    #[test]
    fn the_number_doubles_and_then_closes_in_on_the_limit() {
        assert_eq!(measured(100, 500), [100, 200, 400, 800, 600, 500, 550, 525]);
        assert_eq!(measured(100, 30), [100, 50, 25, 37, 31, 28, 29, 30]);
        assert_eq!(measured(4, 0), [4, 2, 1]);
        assert_eq!(measured(1, 1), [1, 2]);
        assert_eq!(measured(600_000, u32::MAX), [600_000, 1_000_000]);
    }

    fn step(clients: u32, gap_p99: f64) -> Report {
        let mut report = report();
        report.players.clients = clients;
        report.players.state_gap_ms = report.players.state_gap_ms.map(|mut gap| {
            gap.p99 = gap_p99;
            gap
        });
        report.judge(&["gap_p99<=60".parse().unwrap(), "states_min>=19.4".parse().unwrap()]);
        report
    }

    #[test]
    fn the_report_names_the_limit_and_what_broke_first() {
        let mut steps = Steps::default();
        assert!(steps.add(step(100, 52.0)));
        assert!(!steps.add(step(200, 90.0)));
        assert!(!steps.add(step(150, 61.0)));
        assert!(steps.add(step(125, 55.0)));
        let report = steps.into_report().unwrap();
        let limit = report.limit.as_ref().unwrap();
        assert_eq!((limit.clients, limit.broken_at), (Some(125), Some(150)));
        assert_eq!(limit.broke, ["gap_p99<=60: 61"]);
        assert_eq!(report.figures["gap_p99"], 55.0);
        let clients: Vec<u32> = report.steps.iter().map(|step| step.clients).collect();
        assert_eq!(clients, [100, 125, 150, 200]);
        assert_eq!(report.exit_code(), 0);
    }

    #[test]
    fn lost_players_break_the_service_level() {
        let mut steps = Steps::default();
        let mut lossy = step(50, 50.0);
        lossy.players.lost = 2;
        assert!(!steps.add(lossy));
        let report = steps.into_report().unwrap();
        let limit = report.limit.as_ref().unwrap();
        assert_eq!((limit.clients, limit.broken_at), (None, Some(50)));
        assert_eq!(limit.broke, ["2 players were lost"]);
        assert_eq!(report.exit_code(), 1);
    }
}
