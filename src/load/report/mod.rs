//! The report of a run, as a table or as JSON.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

mod table;

/// The share of a core from which the tool itself may be what limits the figures.
const TOOL_CORES_MAX: f64 = 0.9;
/// The lateness (99th percentile) from which the tool itself distorts the figures.
const LATENESS_MS_MAX: f64 = 10.0;

/// Everything that a run has measured. As JSON the names are those of the fields, units and all.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The address that was loaded.
    pub url: String,
    /// The language of the players: `json` or `socketio`.
    pub dialect: &'static str,
    /// The seed of the random choices.
    pub seed: u64,
    /// The window of measurement; 0 if there was nobody left to measure.
    pub measured_s: f64,
    /// Moves of each player in a second, as asked for; but not of the probes.
    pub moves_hz: f64,
    /// Blows of each player in a second, as asked for; but not of the probes.
    pub attacks_hz: f64,
    /// Players that are probes.
    pub probes: u32,
    /// Moves of each probe in a second.
    pub probe_moves_hz: f64,
    /// Players, as asked for.
    pub clients: u32,
    /// Players that were in the game at some time.
    pub connected: u64,
    /// Players that failed to connect or did not stay to the end.
    pub lost: u64,
    /// Players lost, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Clients that never read, if there were any.
    pub stalled: Option<Stalled>,
    /// From the moment a client was to connect until it was in the game: its WebSocket was there,
    /// or Socket.IO had answered its CONNECT and, if it changes transports, it had done so.
    pub connect_ms: Option<Spread>,
    /// Snapshots that each player saw in a second; JSON only.
    pub snapshots_per_s: Option<Rates>,
    /// Time between two snapshots of one player; JSON only.
    pub snapshot_gap_ms: Option<Spread>,
    /// From the moment a probe's move was meant to be sent until the probe saw it.
    pub input_to_visible_ms: Option<Spread>,
    /// Moves of probes that were seen.
    pub probes_visible: u64,
    /// Moves of probes that were not seen within two seconds.
    pub probes_lost: u64,
    /// Frames that came in each second, over all players; of Engine.IO by polls, packets.
    pub received_frames_per_s: f64,
    /// Snapshots among them; JSON only.
    pub received_snapshots_per_s: Option<f64>,
    /// Bytes that came in each second, without the headers of TCP and IP.
    pub received_bytes_per_s: f64,
    /// Moves that went out each second.
    pub sent_moves_per_s: f64,
    /// Moves that did not go out, because the server did not read.
    pub moves_dropped: u64,
    /// Blows that went out each second.
    pub sent_attacks_per_s: f64,
    /// Blows that did not go out, because the server did not read.
    pub attacks_dropped: u64,
    /// What only players of Socket.IO see.
    pub socketio: Option<SocketIo>,
    /// What the load test itself used.
    pub tool: Tool,
    /// What the server used, if its process was named.
    pub server: Option<Server>,
    /// Why some of the figures may mislead, in sentences.
    pub warnings: Vec<String>,
}

/// What only players of Socket.IO see.
#[derive(Clone, Debug, Serialize)]
pub struct SocketIo {
    /// `polling`, `websocket` or `upgrade`.
    pub transport: &'static str,
    /// Updates that each player saw in a second: answers to polls that hold `player_moved`, or
    /// `player_moved` over a WebSocket at least 10 ms after the one before.
    pub updates_per_s: Option<Rates>,
    /// Time between two updates of one player.
    pub update_gap_ms: Option<Spread>,
    /// `player_moved` that each player saw in a second.
    pub moved_per_s: Option<Rates>,
    /// Events that came in each second, over all players.
    pub received_events_per_s: f64,
    /// `player_moved` that came in, over all players.
    pub received_moved: u64,
    /// Those among them that came to the player who had moved: each is a move that was accepted.
    pub received_moved_self: u64,
    /// `player_attacked` that came in to the player who was hit.
    pub received_hits: u64,
    /// Whose moves and blows asked for an acknowledgement, and what came of it.
    pub acks: Acks,
    /// The duels, if there were any.
    pub hits: Option<Hits>,
}

/// Acknowledgements of moves and blows.
#[derive(Clone, Debug, Serialize)]
pub struct Acks {
    /// Those that were asked for.
    pub asked: u64,
    /// Those that came, within two seconds after the window.
    pub answered: u64,
    /// Those that said that nothing came of it, by the server's word for why.
    pub refused: BTreeMap<String, u64>,
    /// From the moment the move or blow was meant to be sent until it was acknowledged.
    pub round_trip_ms: Option<Spread>,
}

/// Blows in duels.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Hits {
    /// Pairs of players of whom one struck the other.
    pub duels: u32,
    /// Blows that their victims saw.
    pub seen: u64,
    /// Blows that they did not see within two seconds.
    pub lost: u64,
    /// From the moment a blow was meant to be sent until its target saw `player_attacked`.
    pub attack_to_hit_ms: Option<Spread>,
}

/// What became of the clients that never read.
#[derive(Clone, Debug, Serialize)]
pub struct Stalled {
    /// As asked for.
    pub clients: u32,
    /// Those that were in the game at some time.
    pub connected: u64,
    /// Those that the server had not ended when the run ended.
    pub alive: u32,
    /// The others, by kind.
    pub errors: BTreeMap<String, u64>,
}

/// A histogram in five figures, in the unit that the field's name says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Half of the values are not above it.
    pub p50: f64,
    /// 9 of 10.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p99_9: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The figures in milliseconds of a histogram in microseconds; `None` if it is empty.
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

/// How often each player saw something: the worst off count.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rates {
    /// The player that saw the fewest.
    pub min: f64,
    /// One of 100 players saw fewer.
    pub p1: f64,
    /// Half of the players saw fewer.
    pub median: f64,
}

impl Rates {
    /// The figures of players that saw so many in `seconds`; `None` if there are none.
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

/// What the load test itself used in the window.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tool {
    /// Share of one core; the tool has one thread.
    pub cpu_cores: f64,
    /// How late it did what was due.
    pub lateness_ms: Option<Spread>,
    /// Whether it may be what limits the figures.
    pub is_bottleneck: bool,
}

impl Tool {
    /// Judges whether the tool was the bottleneck.
    #[must_use]
    pub fn new(cpu_cores: f64, lateness_ms: Option<Spread>) -> Tool {
        let is_late = lateness_ms.is_some_and(|lateness| lateness.p99 > LATENESS_MS_MAX);
        Tool { cpu_cores, lateness_ms, is_bottleneck: is_late || cpu_cores > TOOL_CORES_MAX }
    }
}

/// What the server used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// Cores that it used in the window; 1 is one core, full.
    pub cpu_cores: f64,
    /// CPU time for each snapshot that a player received in the window; JSON only.
    pub cpu_us_per_snapshot: Option<f64>,
    /// CPU time for each event of Socket.IO that a player received in the window.
    pub cpu_us_per_event: Option<f64>,
    /// Its memory before the first connect.
    pub rss_before_kib: u64,
    /// Its memory at the start of the window.
    pub rss_connected_kib: u64,
    /// Its memory at the end of the window.
    pub rss_end_kib: u64,
    /// The most memory that it ever held.
    pub rss_peak_kib: u64,
    /// Growth from before the first connect to the end of the window, for each client.
    pub rss_growth_bytes_per_client: f64,
}

impl Report {
    /// Whether every player stayed to the end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost == 0
    }

    /// The report as one line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string(self);
        text.expect("a report holds nothing that JSON cannot say") + "\n"
    }

    /// The report as a table.
    #[must_use]
    pub fn text(&self) -> String {
        table::text(self)
    }
}

/// A number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Rounds to the digits that mean something: `scale` is 10 for one, 100 for two.
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
            dialect: "json",
            seed: 7,
            measured_s: 10.0,
            moves_hz: 2.0,
            attacks_hz: 0.0,
            probes: 50,
            probe_moves_hz: 2.0,
            clients: 8_000,
            connected: 8_000,
            lost: 0,
            errors: BTreeMap::new(),
            stalled: None,
            connect_ms: spread(0.5),
            snapshots_per_s: Some(Rates { min: 19.9, p1: 19.95, median: 20.0 }),
            snapshot_gap_ms: spread(50.0),
            input_to_visible_ms: None,
            probes_visible: 0,
            probes_lost: 0,
            received_frames_per_s: 160_000.4,
            received_snapshots_per_s: Some(160_000.0),
            received_bytes_per_s: 91_840_000.0,
            sent_moves_per_s: 16_000.0,
            moves_dropped: 0,
            sent_attacks_per_s: 0.0,
            attacks_dropped: 0,
            socketio: None,
            tool: Tool::new(0.5, None),
            server: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn json_has_units_in_its_names_and_null_for_what_is_unknown() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["snapshot_gap_ms"]["p99"], 51.5);
        assert_eq!(json["snapshots_per_s"]["min"], 19.9);
        assert!(json["input_to_visible_ms"].is_null() && json["server"].is_null());
        assert_eq!(json["tool"]["is_bottleneck"], false);
        assert_eq!(json["received_snapshots_per_s"], 160_000.0);
    }

    #[test]
    fn rates_and_bottlenecks() {
        let rates = Rates::of((1..=200).rev().collect(), 10.0).unwrap();
        assert_eq!((rates.min, rates.p1, rates.median), (0.1, 0.3, 10.1));
        assert!(Rates::of(Vec::new(), 10.0).is_none());
        assert!(Tool::new(0.95, None).is_bottleneck);
        let late = Spread { p50: 0.0, p90: 0.0, p99: 11.0, p99_9: 12.0, max: 12.0 };
        assert!(Tool::new(0.2, Some(late)).is_bottleneck);
    }

    #[test]
    fn thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
