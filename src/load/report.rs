//! What a run has shown, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The share of a core from which the tool itself may be what limits the figures.
const TOOL_CORES_MAX: f64 = 0.9;
/// The lateness (99th percentile) from which the tool itself distorts the figures.
const LATENESS_MS_MAX: f64 = 10.0;

/// Everything that a run has measured. As JSON the names are those of the fields, units and all.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The address that was loaded.
    pub url: String,
    /// The seed of the random choices.
    pub seed: u64,
    /// The window of measurement; 0 if there was nobody left to measure.
    pub measured_s: f64,
    /// Moves of each player in a second, as asked for; but not of the probes.
    pub moves_hz: f64,
    /// Players that are probes.
    pub probes: u32,
    /// Moves of each probe in a second.
    pub probe_moves_hz: f64,
    /// Players, as asked for.
    pub clients: u32,
    /// Players that were WebSockets at some time.
    pub connected: u64,
    /// Players that failed to connect or did not stay to the end.
    pub lost: u64,
    /// Players lost, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Clients that never read, if there were any.
    pub stalled: Option<Stalled>,
    /// From the moment a client was to connect until its handshake was answered.
    pub connect_ms: Option<Spread>,
    /// Snapshots that each player saw in a second.
    pub snapshots_per_s: Option<Rates>,
    /// Time between two snapshots of one player.
    pub snapshot_gap_ms: Option<Spread>,
    /// From the moment a probe's move was meant to be sent until the probe saw it.
    pub input_to_visible_ms: Option<Spread>,
    /// Moves of probes that were seen.
    pub probes_visible: u64,
    /// Moves of probes that were not seen within two seconds.
    pub probes_lost: u64,
    /// Frames that came in each second, over all players.
    pub received_frames_per_s: f64,
    /// Snapshots among them.
    pub received_snapshots_per_s: f64,
    /// Bytes that came in each second, without the headers of TCP and IP.
    pub received_bytes_per_s: f64,
    /// Moves that went out each second.
    pub sent_moves_per_s: f64,
    /// Moves that did not go out, because the server did not read.
    pub moves_dropped: u64,
    /// What the load test itself used.
    pub tool: Tool,
    /// What the server used, if its process was named.
    pub server: Option<Server>,
    /// Why some of the figures may mislead, in sentences.
    pub warnings: Vec<String>,
}

/// What became of the clients that never read.
#[derive(Clone, Debug, Serialize)]
pub struct Stalled {
    /// As asked for.
    pub clients: u32,
    /// Those that were WebSockets at some time.
    pub connected: u64,
    /// Those that the server had not ended when the run ended.
    pub alive: u32,
    /// The others, by kind.
    pub errors: BTreeMap<String, u64>,
}

/// A histogram in four figures, in the unit that the field's name says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Half of the values are not above it.
    pub p50: f64,
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
            p99: ms(histogram.value_at_quantile(0.99)),
            p99_9: ms(histogram.value_at_quantile(0.999)),
            max: ms(histogram.max()),
        })
    }
}

/// How often each player saw a snapshot: the worst off count.
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
    /// The figures of players that saw so many snapshots in `seconds`; `None` if there are none.
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
    /// CPU time for each snapshot that a player received in the window.
    pub cpu_us_per_snapshot: Option<f64>,
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
        let mut out = String::new();
        self.write_text(&mut out).expect("writing to memory cannot fail");
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "skirmish load {}", self.url)?;
        writeln!(
            out,
            "{} players, {}, measured for {:.1} s, seed {}\n",
            grouped(self.clients.into()),
            self.moves(),
            self.measured_s,
            self.seed
        )?;
        let (connected, lost) = (grouped(self.connected), grouped(self.lost));
        writeln!(out, "{:<22}{connected} connected, {lost} lost", "players")?;
        if let Some(stalled) = &self.stalled {
            let ended = u64::from(stalled.clients) - u64::from(stalled.alive);
            write!(out, "{:<22}{} never read: ", "stalled", stalled.clients)?;
            writeln!(out, "{} alive at the end, {ended} not{}", stalled.alive, kinds(stalled))?;
        }
        writeln!(out, "\n{:<22}{:>10}{:>10}{:>10}", "", "min", "p1", "median")?;
        let rates = self.snapshots_per_s.map(|rates| [rates.min, rates.p1, rates.median]);
        writeln!(out, "{:<22}{}", "snapshots/s, a player", columns(rates, 2))?;
        writeln!(out, "\n{:<22}{:>10}{:>10}{:>10}{:>10}", "", "p50", "p99", "p99.9", "max")?;
        for (name, spread) in [
            ("snapshot gap, ms", self.snapshot_gap_ms),
            ("input to visible, ms", self.input_to_visible_ms),
            ("connect, ms", self.connect_ms),
            ("tool's lateness, ms", self.tool.lateness_ms),
        ] {
            let values = spread.map(|all| [all.p50, all.p99, all.p99_9, all.max]);
            writeln!(out, "{name:<22}{}", columns(values, 1))?;
        }
        let (visible, lost) = (grouped(self.probes_visible), grouped(self.probes_lost));
        writeln!(out, "\n{:<22}{visible} moves seen, {lost} not within 2 s", "probes")?;
        writeln!(
            out,
            "{:<22}{} frames/s, {:.1} MB/s",
            "received",
            grouped(self.received_frames_per_s as u64),
            self.received_bytes_per_s / 1e6
        )?;
        let moves = grouped(self.sent_moves_per_s as u64);
        writeln!(out, "{:<22}{moves} moves/s, {} dropped", "sent", self.moves_dropped)?;
        writeln!(out, "{:<22}{:.2} of a core", "tool", self.tool.cpu_cores)?;
        if let Some(server) = &self.server {
            server.write_text(out)?;
        }
        if !self.errors.is_empty() {
            writeln!(out, "\nplayers lost")?;
        }
        for (kind, count) in &self.errors {
            writeln!(out, "{:>10}  {kind}", grouped(*count))?;
        }
        for warning in &self.warnings {
            writeln!(out, "\nWarning: {warning}")?;
        }
        Ok(())
    }

    /// How often the players move: the probes have a rate of their own.
    fn moves(&self) -> String {
        let (probes, hz, probe_hz) = (self.probes, self.moves_hz, self.probe_moves_hz);
        match self.clients - probes {
            0 => format!("all of them probes with {probe_hz} moves/s each"),
            _ if probes == 0 || hz == probe_hz => format!("{hz} moves/s each"),
            _ => format!("{probes} probes with {probe_hz} moves/s each, the others with {hz}"),
        }
    }
}

impl Server {
    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "{:<22}{:.2} of a core", "server", self.cpu_cores)?;
        if let Some(cpu_us) = self.cpu_us_per_snapshot {
            write!(out, ", {cpu_us:.2} us a snapshot received")?;
        }
        let mib = |kib: u64| kib as f64 / 1024.0;
        writeln!(
            out,
            "\n{:<22}{:.1} MiB before, {:.1} connected, {:.1} at the end, {:.1} peak; {:.0} B a client",
            "server's memory",
            mib(self.rss_before_kib),
            mib(self.rss_connected_kib),
            mib(self.rss_end_kib),
            mib(self.rss_peak_kib),
            self.rss_growth_bytes_per_client
        )
    }
}

fn kinds(stalled: &Stalled) -> String {
    let kinds: Vec<String> =
        stalled.errors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) }
}

fn columns<const N: usize>(values: Option<[f64; N]>, digits: usize) -> String {
    match values {
        Some(values) => values.iter().map(|value| format!("{value:>10.digits$}")).collect(),
        None => format!("{:>10}", "-"),
    }
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: u64) -> String {
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
pub(super) fn round(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let spread = |p50| Some(Spread { p50, p99: 51.5, p99_9: 52.0, max: 60.25 });
        Report {
            url: "ws://h/".to_owned(),
            seed: 7,
            measured_s: 10.0,
            moves_hz: 2.0,
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
            received_snapshots_per_s: 160_000.0,
            received_bytes_per_s: 91_840_000.0,
            sent_moves_per_s: 16_000.0,
            moves_dropped: 0,
            tool: Tool::new(0.5, None),
            server: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_table() {
        let mut report = report();
        report.errors.insert("closed 1013".to_owned(), 3);
        report.warnings.push("Mind this.".to_owned());
        assert_eq!(
            report.text(),
            "\
skirmish load ws://h/
8,000 players, 2 moves/s each, measured for 10.0 s, seed 7

players               8,000 connected, 0 lost

                             min        p1    median
snapshots/s, a player      19.90     19.95     20.00

                             p50       p99     p99.9       max
snapshot gap, ms            50.0      51.5      52.0      60.2
input to visible, ms           -
connect, ms                  0.5      51.5      52.0      60.2
tool's lateness, ms            -

probes                0 moves seen, 0 not within 2 s
received              160,000 frames/s, 91.8 MB/s
sent                  16,000 moves/s, 0 dropped
tool                  0.50 of a core

players lost
         3  closed 1013

Warning: Mind this.
"
        );
    }

    #[test]
    fn the_moves_of_probes_are_told_apart() {
        let moves = |probes, moves_hz| Report { probes, moves_hz, ..report() }.moves();
        assert_eq!(moves(0, 20.0), "20 moves/s each");
        assert_eq!(moves(50, 2.0), "2 moves/s each");
        assert_eq!(moves(50, 0.5), "50 probes with 2 moves/s each, the others with 0.5");
        assert_eq!(moves(8_000, 20.0), "all of them probes with 2 moves/s each");
    }

    #[test]
    fn json_has_units_in_its_names_and_null_for_what_is_unknown() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["snapshot_gap_ms"]["p99"], 51.5);
        assert_eq!(json["snapshots_per_s"]["min"], 19.9);
        assert!(json["input_to_visible_ms"].is_null() && json["server"].is_null());
        assert_eq!(json["tool"]["is_bottleneck"], false);
    }

    #[test]
    fn rates_and_bottlenecks() {
        let rates = Rates::of((1..=200).rev().collect(), 10.0).unwrap();
        assert_eq!((rates.min, rates.p1, rates.median), (0.1, 0.3, 10.1));
        assert!(Rates::of(Vec::new(), 10.0).is_none());
        assert!(Tool::new(0.95, None).is_bottleneck);
        let late = Spread { p50: 0.0, p99: 11.0, p99_9: 12.0, max: 12.0 };
        assert!(Tool::new(0.2, Some(late)).is_bottleneck);
    }

    #[test]
    fn thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
