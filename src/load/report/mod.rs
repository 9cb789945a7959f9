//! The report of a run, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::series::Sample;
use crate::config::Expect;

mod figures;
mod page;
mod table;
mod v1;

pub use self::v1::V1;

#[cfg(test)]
pub use self::tests::report;

/// CPU cores from which on the load test may be the bottleneck.
const LOAD_TEST_CORES_MAX: f64 = 0.9;
/// Lateness (99th percentile) from which on the load test distorts the figures.
const LATENESS_MS_MAX: f64 = 10.0;

/// The results of a run. The JSON has the names of these fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The URL of the server.
    pub url: String,
    /// The dialect, `json`, `socketio` or `v1`, or the shares of several.
    pub dialect: String,
    /// The movement pattern.
    pub pattern: String,
    /// The random seed.
    pub seed: u64,
    /// The length of the measurement; 0 if no players were left.
    pub measured_s: f64,
    /// Configured moves per second of each player except probes.
    pub moves_hz: f64,
    /// Configured attacks per second of each player except probes.
    pub attacks_hz: f64,
    /// Moves per second of each probe.
    pub probe_moves_hz: f64,
    /// The figures of all players.
    #[serde(flatten)]
    pub players: Figures,
    /// The figures of each dialect of a mix, and of the slow readers (`slow`), which are not among
    /// the players.
    pub groups: BTreeMap<String, Figures>,
    /// Players that left and were replaced, if any did.
    pub churn: Option<Churn>,
    /// Stalled clients, if there were any.
    pub stalled: Option<Stalled>,
    /// Moves sent per second.
    pub sent_moves_per_s: f64,
    /// Moves dropped because the server did not read.
    pub moves_dropped: u64,
    /// Attacks sent per second.
    pub sent_attacks_per_s: f64,
    /// Attacks dropped because the server did not read.
    pub attacks_dropped: u64,
    /// Results for Socket.IO only.
    pub socketio: Option<SocketIo>,
    /// Results for skirmish.v1 only.
    pub v1: Option<V1>,
    /// CPU and lateness of the load test itself.
    pub load_test: LoadTest,
    /// CPU and memory of the server, with `--pid`.
    pub server: Option<Server>,
    /// The figures by the names of `--expect`.
    pub figures: BTreeMap<String, f64>,
    /// What was expected.
    pub expectations: Vec<Expectation>,
    /// The limit of `--find-limit`. All other figures are those at the limit.
    pub limit: Option<Limit>,
    /// The figures of each number of players that `--find-limit` measured.
    pub steps: Vec<Step>,
    /// When the measurement began, in seconds of the run.
    pub measured_from_s: f64,
    /// The whole run in samples, with the ramp.
    pub samples: Vec<Sample>,
    /// The machine of the load test.
    pub machine: Machine,
    /// Reasons why figures may mislead, as sentences.
    pub warnings: Vec<String>,
}

/// The figures of a group of clients, the same for every dialect.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Configured number of clients.
    pub clients: u32,
    /// Clients that joined.
    pub connected: u64,
    /// Clients that failed to join or did not stay until the end.
    pub lost: u64,
    /// Clients lost, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Time from the scheduled connect until the player had joined: its WebSocket was open,
    /// Socket.IO had confirmed its CONNECT and completed the upgrade, if there is one, or the
    /// player had WELCOME.
    pub connect_ms: Option<Spread>,
    /// States per second and player. JSON: `state_update`s. Socket.IO: poll responses that contain
    /// `player_moved`, or a `player_moved` over a WebSocket at least 10 ms after the previous one.
    /// skirmish.v1: HEADs that the player could apply, and ticks about which there was nothing to
    /// say.
    pub states_per_s: Option<Rates>,
    /// Time between two states of one player.
    pub state_gap_ms: Option<Spread>,
    /// Time from the scheduled move of a probe until the probe saw it. skirmish.v1: until a HEAD
    /// showed that the server had run its INPUT.
    pub input_to_visible_ms: Option<Spread>,
    /// Number of probes.
    pub probes: u32,
    /// Moves of probes that were seen.
    pub probes_visible: u64,
    /// Moves of probes that were not seen within two seconds.
    pub probes_lost: u64,
    /// Frames received per second; over polling, Engine.IO packets.
    pub received_frames_per_s: f64,
    /// States received per second.
    pub received_states_per_s: f64,
    /// Bytes received per second, without TCP and IP headers.
    pub received_bytes_per_s: f64,
    /// The same for each player that was in the game when the measurement began.
    pub received_bytes_per_player_per_s: Option<f64>,
}

/// Results for Socket.IO only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SocketIo {
    /// `polling`, `websocket` or `upgrade`.
    pub transport: String,
    /// `player_moved` events per second and player.
    pub moved_per_s: Option<Rates>,
    /// Events received per second, over all players.
    pub received_events_per_s: f64,
    /// `player_moved` events received, over all players.
    pub received_moved: u64,
    /// `player_moved` events received by the player that moved: the accepted moves.
    pub received_moved_self: u64,
    /// `player_attacked` events received by the player that was hit.
    pub received_hits: u64,
    /// Acknowledgements.
    pub acks: Acks,
    /// Duels, if there were any.
    pub hits: Option<Hits>,
}

/// Acknowledgements of moves and attacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acks {
    /// Requested.
    pub asked: u64,
    /// Received, within two seconds after the window.
    pub answered: u64,
    /// Negative ones, by the error of the server.
    pub refused: BTreeMap<String, u64>,
    /// Time from the scheduled move or attack until its acknowledgement.
    pub round_trip_ms: Option<Spread>,
}

/// Attacks in duels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Hits {
    /// Number of duels.
    pub duels: u32,
    /// Attacks whose hit the target received.
    pub seen: u64,
    /// Attacks whose hit the target did not receive within two seconds.
    pub lost: u64,
    /// Time from a scheduled attack until its target received `player_attacked`.
    pub attack_to_hit_ms: Option<Spread>,
}

/// The largest number of players with which the service level is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// The number; `None` if no number kept the service level.
    pub clients: Option<u32>,
    /// The smallest number that did not keep it; `None` if every number did.
    pub broken_at: Option<u32>,
    /// What broke there, with the values.
    pub broke: Vec<String>,
    /// The service level.
    pub expected: Vec<String>,
}

/// One number of players that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The number of players.
    pub clients: u32,
    /// The figures by name.
    pub figures: BTreeMap<String, f64>,
    /// What broke, with the values; empty if the service level was kept.
    pub broke: Vec<String>,
}

/// What was expected of a figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expectation {
    /// The name of the figure.
    pub figure: String,
    /// The expectation as it was given.
    pub expected: String,
    /// The value; `None` if it could not be measured.
    pub value: Option<f64>,
    /// Whether the value is as expected.
    pub is_met: bool,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{}: {value}", self.expected),
            None => write!(f, "{}: not measured", self.expected),
        }
    }
}

/// Players that left and were replaced during the measurement.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Churn {
    /// Configured leaves per second.
    pub churn_hz: f64,
    /// Players that left.
    pub left: u64,
    /// Players that joined in their place.
    pub joined: u64,
}

/// The results of the stalled clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stalled {
    /// Configured number.
    pub clients: u32,
    /// Clients that joined.
    pub connected: u64,
    /// Clients that the server had not closed at the end.
    pub alive: u32,
    /// Clients lost, by kind.
    pub errors: BTreeMap<String, u64>,
}

/// Percentiles of a histogram, in the unit of the field name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// 50th percentile.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p99_9: f64,
    /// Maximum.
    pub max: f64,
}

impl Spread {
    /// Converts a histogram in microseconds to milliseconds; `None` if it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Spread> {
        let ms = |us: u64| us as f64 / 1_000.0;
        (!histogram.is_empty()).then(|| Spread {
            p50: ms(histogram.value_at_quantile(0.5)),
            p90: ms(histogram.value_at_quantile(0.9)),
            p99: ms(histogram.value_at_quantile(0.99)),
            p99_9: ms(histogram.value_at_quantile(0.999)),
            max: ms(histogram.max()),
        })
    }
}

/// Rates per player; the low end matters.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Rates {
    /// The lowest rate.
    pub min: f64,
    /// 1st percentile.
    pub p1: f64,
    /// Median.
    pub median: f64,
}

impl Rates {
    /// Computes the rates of `counts` in `seconds`; `None` if `counts` is empty.
    #[must_use]
    pub fn of(mut counts: Vec<u32>, seconds: f64) -> Option<Rates> {
        counts.sort_unstable();
        let rate = |rank: usize| Some(round(f64::from(*counts.get(rank)?) / seconds, 1_000.0));
        Some(Rates {
            min: rate(0)?,
            p1: rate(counts.len() / 100)?,
            median: rate(counts.len() / 2)?,
        })
    }
}

/// What the load test used during the measurement.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LoadTest {
    /// CPU cores; the load test has one thread.
    pub cpu_cores: f64,
    /// Delay of scheduled actions.
    pub lateness_ms: Option<Spread>,
    /// Whether the load test may have been the bottleneck.
    pub is_bottleneck: bool,
}

impl LoadTest {
    /// Decides whether the load test was the bottleneck.
    #[must_use]
    pub fn new(cpu_cores: f64, lateness_ms: Option<Spread>) -> LoadTest {
        let is_late = lateness_ms.is_some_and(|lateness| lateness.p99 > LATENESS_MS_MAX);
        LoadTest {
            cpu_cores,
            lateness_ms,
            is_bottleneck: is_late || cpu_cores > LOAD_TEST_CORES_MAX,
        }
    }
}

/// CPU and memory of the server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Server {
    /// Its process ID.
    pub pid: u32,
    /// CPU cores used during the measurement.
    pub cpu_cores: f64,
    /// CPU time per state that a player received.
    pub cpu_us_per_state: Option<f64>,
    /// CPU time per received event; Socket.IO only.
    pub cpu_us_per_event: Option<f64>,
    /// Memory before the first connect.
    pub rss_before_kib: u64,
    /// Memory at the start of the measurement.
    pub rss_connected_kib: u64,
    /// Memory at the end of the measurement.
    pub rss_end_kib: u64,
    /// Peak memory.
    pub rss_peak_kib: u64,
    /// Growth from before the first connect to the end of the measurement, per client.
    pub rss_growth_bytes_per_client: f64,
}

impl Report {
    /// Computes the figures by name, and compares them with what was expected. Call it when all
    /// other fields are complete.
    pub fn judge(&mut self, expects: &[Expect]) {
        self.figures = figures::values(self);
        self.expectations = expects.iter().map(|expect| self.check(expect)).collect();
    }

    fn check(&self, expect: &Expect) -> Expectation {
        let value = self.figures.get(expect.figure.name).copied();
        Expectation {
            figure: expect.figure.name.to_owned(),
            expected: expect.to_string(),
            value,
            is_met: expect.is_met(value),
        }
    }

    /// What was expected and not reached.
    pub fn failed(&self) -> impl Iterator<Item = &Expectation> {
        self.expectations.iter().filter(|expectation| !expectation.is_met)
    }

    /// What broke the service level: players that were lost, unless an expectation is about that,
    /// and expectations that were not met.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let errors = self.errors().map(|(_, sentence)| sentence);
        errors.chain(self.failed().map(ToString::to_string)).collect()
    }

    /// Players that were lost and messages that were malformed, unless an expectation is about
    /// that: the figure, and a sentence.
    fn errors(&self) -> impl Iterator<Item = (&str, String)> {
        let (lost, malformed) = (self.players.lost, self.v1.map_or(0, |v1| v1.malformed));
        let errors = [
            ("lost", lost, format!("{} players were lost", grouped(lost))),
            ("malformed", malformed, format!("{} messages were malformed", grouped(malformed))),
        ];
        let is_expected = |name| self.expectations.iter().any(|one| one.figure == name);
        let errors =
            errors.into_iter().filter(move |(name, count, _)| *count > 0 && !is_expected(*name));
        errors.map(|(name, _, sentence)| (name, sentence))
    }

    /// The exit code: 1 if players were lost or messages were malformed, unless an expectation is
    /// about that; 3 if an expectation was not met; otherwise 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.errors().next() {
            Some(_) => 1,
            None if self.failed().next().is_some() => 3,
            None => 0,
        }
    }

    /// The report as one line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string(self);
        text.expect("a report always serializes") + "\n"
    }

    /// The report that [`Report::json`] printed.
    ///
    /// # Errors
    /// The text is not a report.
    pub fn from_json(text: &str) -> serde_json::Result<Report> {
        serde_json::from_str(text)
    }

    /// The report as an HTML page, compared with an earlier one.
    #[must_use]
    pub fn html(&self, earlier: Option<&Report>) -> String {
        page::html(self, earlier)
    }

    /// The report as a table.
    #[must_use]
    pub fn text(&self) -> String {
        table::text(self)
    }
}

/// Formats a number with thousands separators.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Rounds to decimal places: `scale` is 10 for one, 100 for two.
pub fn round(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn report() -> Report {
        let spread = |p50| Some(Spread { p50, p90: 51.0, p99: 51.5, p99_9: 52.0, max: 60.25 });
        Report {
            url: "ws://h/".to_owned(),
            dialect: "json".to_owned(),
            pattern: "random".to_owned(),
            seed: 7,
            measured_s: 10.0,
            moves_hz: 2.0,
            attacks_hz: 0.0,
            probe_moves_hz: 2.0,
            players: Figures {
                clients: 8_000,
                connected: 8_000,
                connect_ms: spread(0.5),
                states_per_s: Some(Rates { min: 19.9, p1: 19.95, median: 20.0 }),
                state_gap_ms: spread(50.0),
                probes: 50,
                received_frames_per_s: 160_000.4,
                received_states_per_s: 160_000.0,
                received_bytes_per_s: 91_840_000.0,
                received_bytes_per_player_per_s: Some(11_480.0),
                ..Figures::default()
            },
            groups: BTreeMap::new(),
            churn: None,
            stalled: None,
            sent_moves_per_s: 16_000.0,
            moves_dropped: 0,
            sent_attacks_per_s: 0.0,
            attacks_dropped: 0,
            socketio: None,
            v1: None,
            load_test: LoadTest::new(0.5, None),
            server: None,
            figures: BTreeMap::new(),
            expectations: Vec::new(),
            limit: None,
            steps: Vec::new(),
            measured_from_s: 2.0,
            samples: Vec::new(),
            machine: Machine::default(),
            warnings: Vec::new(),
        }
    }

    /// A report that has every figure.
    pub fn full_report() -> Report {
        let mut report = report();
        let spread = report.players.state_gap_ms;
        report.players.input_to_visible_ms = spread;
        report.groups.insert("slow".to_owned(), report.players.clone());
        report.load_test = LoadTest::new(0.5, spread);
        report.socketio = Some(SocketIo {
            transport: "websocket".to_owned(),
            moved_per_s: None,
            received_events_per_s: 0.0,
            received_moved: 0,
            received_moved_self: 0,
            received_hits: 0,
            acks: Acks { asked: 1, answered: 1, refused: BTreeMap::new(), round_trip_ms: spread },
            hits: Some(Hits { duels: 1, seen: 1, lost: 0, attack_to_hit_ms: spread }),
        });
        report.v1 = Some(V1 {
            observers: 50,
            bytes_per_tick: Some(68.2),
            keyframe_bytes_per_tick: Some(0.0),
            roster_bytes_per_tick: Some(3.0),
            join_bytes: Some(1_203.0),
            join_roster_bytes: Some(700.0),
            checks: 500,
            quiet: 7,
            sent_inputs_per_s: 16_000.0,
            turn_to_seen_ms: spread,
            ..V1::default()
        });
        report.server = Some(Server {
            pid: 1,
            cpu_cores: 0.5,
            cpu_us_per_state: Some(3.0),
            cpu_us_per_event: Some(2.0),
            rss_before_kib: 1_024,
            rss_connected_kib: 4_096,
            rss_end_kib: 5_120,
            rss_peak_kib: 6_144,
            rss_growth_bytes_per_client: 512.0,
        });
        report
    }

    #[test]
    fn a_printed_report_can_be_read_again() {
        let mut full = full_report();
        full.seed = u64::MAX;
        full.judge(&["lost<1".parse().unwrap()]);
        let text = full.json();
        assert_eq!(Report::from_json(&text).unwrap().json(), text);
        assert!(Report::from_json("{}").is_err());
    }

    #[test]
    fn expectations_set_the_exit_code() {
        let mut report = report();
        let mut exit_code = |lost, expects: &[&str]| {
            report.players.lost = lost;
            let expects: Vec<Expect> = expects.iter().map(|text| text.parse().unwrap()).collect();
            report.judge(&expects);
            (report.exit_code(), report.failed().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(exit_code(0, &["gap_p99<60", "states_min>=19"]), (0, vec![]));
        let failed = (3, vec!["gap_p99<50: 51.5".to_owned()]);
        assert_eq!(exit_code(0, &["gap_p99<50", "states_min>=19"]), failed);
        assert_eq!(exit_code(0, &["latency_p99<50"]).1, ["latency_p99<50: not measured"]);
        assert_eq!(exit_code(1, &["gap_p99<60"]).0, 1);
        assert_eq!(exit_code(1, &["lost<=1"]).0, 0);
        assert_eq!(exit_code(2, &["lost<=1"]).0, 3);
        report.players.lost = 0;
        report.v1 = Some(V1 { malformed: 1, ..V1::default() });
        report.judge(&[]);
        assert_eq!((report.exit_code(), report.broken().len()), (1, 1));
        report.judge(&["malformed<2".parse().unwrap()]);
        assert_eq!(report.exit_code(), 0);
    }

    #[test]
    fn json_has_units_in_names_and_null_for_unknown_values() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["state_gap_ms"]["p99"], 51.5);
        assert_eq!(json["states_per_s"]["min"], 19.9);
        assert!(json["input_to_visible_ms"].is_null() && json["server"].is_null());
        assert_eq!(json["load_test"]["is_bottleneck"], false);
        assert_eq!(json["received_states_per_s"], 160_000.0);
    }

    #[test]
    fn rates_and_bottlenecks() {
        let rates = Rates::of((1..=200).rev().collect(), 10.0).unwrap();
        assert_eq!((rates.min, rates.p1, rates.median), (0.1, 0.3, 10.1));
        assert!(Rates::of(Vec::new(), 10.0).is_none());
        assert!(LoadTest::new(0.95, None).is_bottleneck);
        let late = Spread { p50: 0.0, p90: 0.0, p99: 11.0, p99_9: 12.0, max: 12.0 };
        assert!(LoadTest::new(0.2, Some(late)).is_bottleneck);
    }

    #[test]
    fn thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
