//! The report as a table.

use std::collections::BTreeMap;
use std::fmt::{Result, Write};

use super::{Churn, Figures, Limit, Report, Server, SocketIo, Spread, Stalled, V1, grouped};

/// Formats the table.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    write_all(report, &mut out).expect("writing to memory cannot fail");
    out
}

fn write_all(report: &Report, out: &mut String) -> Result {
    write!(out, "skirmish load {}", report.url)?;
    if let Some(socketio) = &report.socketio {
        match report.dialect.as_str() {
            "socketio" => write!(out, " over Socket.IO, {}", socketio.transport)?,
            mix => write!(out, ", {mix} over {}", socketio.transport)?,
        }
    } else if report.v1.is_some() {
        write!(out, ", {}", report.dialect)?;
    }
    writeln!(
        out,
        "\n{} players, {}{}, measured for {:.1} s, seed {}\n",
        grouped(report.players.clients.into()),
        moves(report),
        if report.pattern == "random" { String::new() } else { format!(", {}", report.pattern) },
        report.measured_s,
        report.seed
    )?;
    let (connected, lost) = (grouped(report.players.connected), grouped(report.players.lost));
    writeln!(out, "{:<22}{connected} connected, {lost} lost", "players")?;
    for (name, figures) in named_groups(report) {
        let (connected, lost) = (grouped(figures.connected), grouped(figures.lost));
        writeln!(out, "{:<22}{connected} connected, {lost} lost{}", name, kinds(&figures.errors))?;
    }
    if let Some(churn) = &report.churn {
        let Churn { churn_hz, left, joined } = churn;
        write!(out, "{:<22}{} left, ", "churn", grouped(*left))?;
        writeln!(out, "{} joined, {churn_hz} per second", grouped(*joined))?;
    }
    if let Some(stalled) = &report.stalled {
        let Stalled { clients, alive, errors, .. } = stalled;
        let ended = u64::from(*clients) - u64::from(*alive);
        write!(out, "{:<22}{clients} never read: ", "stalled")?;
        writeln!(out, "{alive} connected at the end, {ended} closed{}", kinds(errors))?;
    }
    write_rates(report, out)?;
    write_spreads(report, out)?;
    write_sums(report, out)?;
    if let Some(server) = &report.server {
        write_server(server, out)?;
    }
    if !report.players.errors.is_empty() {
        writeln!(out, "\nplayers lost")?;
    }
    for (kind, count) in &report.players.errors {
        writeln!(out, "{:>10}  {kind}", grouped(*count))?;
    }
    if let Some(limit) = &report.limit {
        return write_limit(limit, report, out);
    }
    if !report.expectations.is_empty() {
        writeln!(out, "\nexpectations")?;
    }
    for expectation in &report.expectations {
        let result = if expectation.is_met { "met" } else { "FAILED" };
        writeln!(out, "{result:>10}  {expectation}")?;
    }
    write_warnings(report, out)
}

fn write_warnings(report: &Report, out: &mut String) -> Result {
    report.warnings.iter().try_for_each(|warning| writeln!(out, "\nWarning: {warning}"))
}

/// The steps of a search, and the limit.
fn write_limit(limit: &Limit, report: &Report, out: &mut String) -> Result {
    const COLUMNS: [(&str, &str, usize); 5] = [
        ("states_min", "states/s", 1),
        ("gap_p99", "gap p99", 1),
        ("latency_p99", "latency p99", 1),
        ("bytes_per_player", "B/s each", 0),
        ("cpu_cores", "CPU", 2),
    ];
    let names = COLUMNS.map(|(_, name, _)| format!("{name:>12}"));
    writeln!(out, "\n{:>10}{}", "players", names.concat())?;
    for step in &report.steps {
        write!(out, "{:>10}", grouped(step.clients.into()))?;
        for (figure, _, digits) in COLUMNS {
            match step.figures.get(figure) {
                Some(value) => write!(out, "{value:>12.digits$}")?,
                None => write!(out, "{:>12}", "-")?,
            }
        }
        writeln!(
            out,
            "{}{}",
            if step.broke.is_empty() { "" } else { "  " },
            step.broke.join(", ")
        )?;
    }
    writeln!(out, "\n{:<22}{}", "service level", limit.expected.join(", "))?;
    match limit.clients {
        Some(clients) => writeln!(out, "{:<22}{} players", "limit", grouped(clients.into()))?,
        None => writeln!(out, "{:<22}no number of players keeps the service level", "limit")?,
    }
    match limit.broken_at {
        Some(clients) => {
            let (clients, broke) = (grouped(clients.into()), limit.broke.join(", "));
            writeln!(out, "{:<22}with {clients} players: {broke}", "broke first")?;
        }
        None => writeln!(out, "{:<22}nothing", "broke first")?,
    }
    write_warnings(report, out)
}

fn write_rates(report: &Report, out: &mut String) -> Result {
    writeln!(out, "\n{:<22}{:>10}{:>10}{:>10}", "", "min", "p1", "median")?;
    let mut rows = vec![("states/s per player", report.players.states_per_s)];
    rows.extend(named_groups(report).map(|(name, figures)| (name, figures.states_per_s)));
    rows.extend(report.socketio.iter().map(|one| ("moves seen/s, each", one.moved_per_s)));
    for (name, rates) in rows {
        let rates = rates.map(|rates| [rates.min, rates.p1, rates.median]);
        writeln!(out, "{name:<22}{}", columns(rates, 2))?;
    }
    Ok(())
}

fn write_spreads(report: &Report, out: &mut String) -> Result {
    let names = ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>10}"));
    writeln!(out, "\n{:<22}{}", "", names.concat())?;
    let mut rows = vec![("state gap, ms", report.players.state_gap_ms)];
    rows.extend(named_groups(report).map(|(name, figures)| (name, figures.state_gap_ms)));
    rows.push(("input to visible, ms", report.players.input_to_visible_ms));
    rows.extend(named_groups(report).map(|(name, figures)| (name, figures.input_to_visible_ms)));
    if let Some(socketio) = &report.socketio {
        rows.push(("acknowledgement, ms", socketio.acks.round_trip_ms));
        rows.extend(socketio.hits.map(|hits| ("attack to hit, ms", hits.attack_to_hit_ms)));
    }
    rows.extend(report.v1.map(|v1| ("turn seen, ms", v1.turn_to_seen_ms)));
    rows.push(("connect, ms", report.players.connect_ms));
    rows.push(("load test late, ms", report.load_test.lateness_ms));
    for (name, spread) in rows {
        let values = spread.map(|Spread { p50, p90, p99, p99_9, max }| [p50, p90, p99, p99_9, max]);
        writeln!(out, "{name:<22}{}", columns(values, 1))?;
    }
    Ok(())
}

fn write_sums(report: &Report, out: &mut String) -> Result {
    let (visible, lost) =
        (grouped(report.players.probes_visible), grouped(report.players.probes_lost));
    writeln!(out, "\n{:<22}{visible} moves seen, {lost} not within 2 s", "probes")?;
    if let Some(socketio) = &report.socketio {
        write_socketio(socketio, out)?;
    }
    if let Some(v1) = &report.v1 {
        write_v1(v1, out)?;
    }
    write_received("received", &report.players, out)?;
    for (name, figures) in named_groups(report) {
        write_received(name, figures, out)?;
    }
    let moves = grouped(report.sent_moves_per_s as u64);
    write!(out, "{:<22}{moves} moves/s", "sent")?;
    if report.attacks_hz > 0.0 {
        write!(out, ", {} attacks/s", grouped(report.sent_attacks_per_s as u64))?;
    }
    if let Some(v1) = &report.v1 {
        write!(out, ", {} inputs/s", grouped(v1.sent_inputs_per_s as u64))?;
    }
    writeln!(out, ", {} dropped", report.moves_dropped + report.attacks_dropped)?;
    writeln!(out, "{:<22}{:.2} of a core", "load test", report.load_test.cpu_cores)
}

fn write_received(name: &str, figures: &Figures, out: &mut String) -> Result {
    let frames = grouped(figures.received_frames_per_s as u64);
    let megabytes_per_s = figures.received_bytes_per_s / 1e6;
    write!(out, "{name:<22}{frames} frames/s, {megabytes_per_s:.1} MB/s")?;
    match figures.received_bytes_per_player_per_s {
        Some(bytes) => writeln!(out, ", {:.1} kB/s per player", bytes / 1e3),
        None => writeln!(out),
    }
}

fn write_socketio(socketio: &SocketIo, out: &mut String) -> Result {
    let acks = &socketio.acks;
    let (asked, answered) = (grouped(acks.asked), grouped(acks.answered));
    write!(out, "{:<22}", "acknowledgements")?;
    match (acks.asked, acks.answered) {
        (0, _) => writeln!(out, "none requested")?,
        (_, 0) => writeln!(out, "none received of {asked}")?,
        _ => writeln!(out, "{answered} of {asked}{}", kinds(&acks.refused))?,
    }
    if let Some(hits) = &socketio.hits {
        let (seen, lost) = (grouped(hits.seen), grouped(hits.lost));
        writeln!(out, "{:<22}{}: {seen} hits seen, {lost} not within 2 s", "duels", hits.duels)?;
    }
    writeln!(out, "{:<22}{}/s", "events", grouped(socketio.received_events_per_s as u64))?;
    let (all, own) = (socketio.received_moved, socketio.received_moved_self);
    write!(out, "{:<22}{} seen by the player that moved", "moves accepted", grouped(own))?;
    match own {
        0 => writeln!(out),
        _ => writeln!(out, ", each by {:.2} players", all as f64 / own as f64),
    }
}

fn write_v1(v1: &V1, out: &mut String) -> Result {
    let bytes = |bytes: Option<f64>| bytes.map_or("-".to_owned(), |bytes| format!("{bytes:.1}"));
    let (each, keyframes) = (bytes(v1.bytes_per_tick), bytes(v1.keyframe_bytes_per_tick));
    write!(out, "{:<22}{each} B per player, {keyframes} B of keyframes, ", "ticks")?;
    writeln!(out, "{} B of ROSTERs", bytes(v1.roster_bytes_per_tick))?;
    write!(out, "{:<22}{} B per player, ", "joins", bytes(v1.join_bytes))?;
    writeln!(out, "{} B of ROSTERs", bytes(v1.join_roster_bytes))?;
    let [skipped, keyframes, crowded] = [v1.skipped, v1.keyframes, v1.crowded].map(grouped);
    write!(out, "{:<22}{skipped} of several ticks, {keyframes} keyframes, ", "states")?;
    write!(out, "{crowded} while changes were held back; ")?;
    writeln!(out, "{} ticks without a change", grouped(v1.quiet))?;
    let [checks, errors] = [v1.checks, v1.check_errors].map(grouped);
    write!(out, "{:<22}{checks} by {} players, {errors} differed; ", "sums", v1.observers)?;
    let [refused, resyncs, malformed] = [v1.refused, v1.resyncs, v1.malformed].map(grouped);
    writeln!(out, "{refused} states refused, {resyncs} RESYNCs, {malformed} malformed messages")
}

fn write_server(server: &Server, out: &mut String) -> Result {
    write!(out, "{:<22}{:.2} of a core", "server", server.cpu_cores)?;
    for (cpu_us, what) in
        [(server.cpu_us_per_state, "per state"), (server.cpu_us_per_event, "per event")]
    {
        if let Some(cpu_us) = cpu_us {
            write!(out, ", {cpu_us:.2} us {what}")?;
        }
    }
    let mib = |kib: u64| kib as f64 / 1024.0;
    writeln!(
        out,
        "\n{:<22}{:.1} MiB before, {:.1} connected, {:.1} at the end, {:.1} peak; {:.0} B per client",
        "server memory",
        mib(server.rss_before_kib),
        mib(server.rss_connected_kib),
        mib(server.rss_end_kib),
        mib(server.rss_peak_kib),
        server.rss_growth_bytes_per_client
    )
}

/// The groups with figures of their own, with the names of their rows.
fn named_groups(report: &Report) -> impl Iterator<Item = (&str, &Figures)> {
    let names = [
        ("json", "  JSON"),
        ("socketio", "  Socket.IO"),
        ("v1", "  skirmish.v1"),
        ("slow", "  slow readers"),
    ];
    names.into_iter().filter_map(|(key, name)| Some((name, report.groups.get(key)?)))
}

/// Describes the move rates: probes have their own rate, and players in duels do not move.
fn moves(report: &Report) -> String {
    let (probes, hz, probe_hz) = (report.players.probes, report.moves_hz, report.probe_moves_hz);
    let hits = report.socketio.as_ref().and_then(|socketio| socketio.hits);
    let duelists = hits.map_or(0, |hits| 2 * hits.duels);
    if duelists > 0 {
        return format!(
            "{probes} probes with {probe_hz} moves/s each, {duelists} in duels, the others with {hz}"
        );
    }
    match report.players.clients - probes {
        0 => format!("all of them probes with {probe_hz} moves/s each"),
        _ if probes == 0 || hz == probe_hz => format!("{hz} moves/s each"),
        _ => format!("{probes} probes with {probe_hz} moves/s each, the others with {hz}"),
    }
}

fn kinds(counts: &BTreeMap<String, u64>) -> String {
    let kinds: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) }
}

fn columns<const N: usize>(values: Option<[f64; N]>, digits: usize) -> String {
    match values {
        Some(values) => values.iter().map(|value| format!("{value:>10.digits$}")).collect(),
        None => format!("{:>10}", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::super::{Acks, Figures, Hits, Step};
    use super::*;

    #[test]
    fn the_table() {
        let mut report = report();
        report.players.errors.insert("closed 4013".to_owned(), 3);
        report.warnings.push("This is a warning.".to_owned());
        assert_eq!(
            text(&report),
            "\
skirmish load ws://h/
8,000 players, 2 moves/s each, measured for 10.0 s, seed 7

players               8,000 connected, 0 lost

                             min        p1    median
states/s per player        19.90     19.95     20.00

                             p50       p90       p99     p99.9       max
state gap, ms               50.0      51.0      51.5      52.0      60.2
input to visible, ms           -
connect, ms                  0.5      51.0      51.5      52.0      60.2
load test late, ms             -

probes                0 moves seen, 0 not within 2 s
received              160,000 frames/s, 91.8 MB/s, 11.5 kB/s per player
sent                  16,000 moves/s, 0 dropped
load test             0.50 of a core

players lost
         3  closed 4013

Warning: This is a warning.
"
        );
    }

    #[test]
    fn the_table_of_socket_io() {
        let mut report = report();
        let refused = BTreeMap::from([("cooldown".to_owned(), 2)]);
        report.dialect = "socketio".to_owned();
        report.attacks_hz = 2.0;
        report.sent_attacks_per_s = 12.0;
        report.socketio = Some(SocketIo {
            transport: "polling".to_owned(),
            moved_per_s: None,
            received_events_per_s: 1_500.0,
            received_moved: 1_000,
            received_moved_self: 50,
            received_hits: 7,
            acks: Acks {
                asked: 10,
                answered: 9,
                refused,
                round_trip_ms: report.players.connect_ms,
            },
            hits: Some(Hits { duels: 1, seen: 5, lost: 0, attack_to_hit_ms: None }),
        });
        let table = text(&report);
        for line in [
            "skirmish load ws://h/ over Socket.IO, polling",
            "8,000 players, 50 probes with 2 moves/s each, 2 in duels, the others with 2, measured \
             for 10.0 s, seed 7",
            "states/s per player        19.90     19.95     20.00",
            "moves seen/s, each             -",
            "state gap, ms               50.0      51.0      51.5      52.0      60.2",
            "acknowledgement, ms          0.5      51.0      51.5      52.0      60.2",
            "attack to hit, ms              -",
            "acknowledgements      9 of 10 (2 cooldown)",
            "duels                 1: 5 hits seen, 0 not within 2 s",
            "moves accepted        50 seen by the player that moved, each by 20.00 players",
            "events                1,500/s",
            "received              160,000 frames/s, 91.8 MB/s, 11.5 kB/s per player",
            "sent                  16,000 moves/s, 12 attacks/s, 0 dropped",
        ] {
            assert!(table.lines().any(|one| one == line), "{line:?} is not in\n{table}");
        }
        if let Some(socketio) = &mut report.socketio {
            socketio.acks.answered = 0;
        }
        let none = "acknowledgements      none received of 10\n";
        assert!(text(&report).contains(none));
    }

    #[test]
    fn the_table_of_skirmish_v1() {
        let mut report = super::super::tests::full_report();
        (report.socketio, report.server, report.dialect) = (None, None, "v1".to_owned());
        let table = text(&report);
        for line in [
            "skirmish load ws://h/, v1",
            "turn seen, ms               50.0      51.0      51.5      52.0      60.2",
            "ticks                 68.2 B per player, 0.0 B of keyframes, 3.0 B of ROSTERs",
            "joins                 1203.0 B per player, 700.0 B of ROSTERs",
            "states                0 of several ticks, 0 keyframes, 0 while changes were held \
             back; 7 ticks without a change",
            "sums                  500 by 50 players, 0 differed; 0 states refused, 0 RESYNCs, 0 \
             malformed messages",
            "sent                  16,000 moves/s, 16,000 inputs/s, 0 dropped",
        ] {
            assert!(table.lines().any(|one| one == line), "{line:?} is not in\n{table}");
        }
    }

    #[test]
    fn dialects_and_slow_readers_have_rows_of_their_own() {
        let mut report = report();
        let groups =
            ["json", "slow", "socketio"].map(|name| (name.to_owned(), report.players.clone()));
        report.groups = BTreeMap::from(groups);
        report.pattern = "straight".to_owned();
        report.churn = Some(Churn { churn_hz: 5.0, left: 50, joined: 49 });
        let table = text(&report);
        for line in [
            "8,000 players, 2 moves/s each, straight, measured for 10.0 s, seed 7",
            "churn                 50 left, 49 joined, 5 per second",
            "state gap, ms               50.0      51.0      51.5      52.0      60.2",
            "  JSON                      50.0      51.0      51.5      52.0      60.2",
            "  Socket.IO           160,000 frames/s, 91.8 MB/s, 11.5 kB/s per player",
        ] {
            assert!(table.lines().any(|one| one == line), "{line:?} is not in\n{table}");
        }
        let rows = table.lines().filter(|line| line.starts_with("  slow readers")).count();
        assert_eq!(rows, 5, "{table}");
    }

    #[test]
    fn the_table_of_a_search() {
        let mut report = report();
        report.judge(&["gap_p99<=60".parse().unwrap()]);
        let step = |clients, broke: &[&str]| Step {
            clients,
            figures: report.figures.clone(),
            broke: broke.iter().map(ToString::to_string).collect(),
        };
        report.steps = vec![step(8_000, &[]), step(9_000, &["gap_p99<=60: 71"])];
        report.limit = Some(Limit {
            clients: Some(8_000),
            broken_at: Some(9_000),
            broke: vec!["gap_p99<=60: 71".to_owned()],
            expected: vec!["gap_p99<=60".to_owned()],
        });
        let table = text(&report);
        let (_, search) = table.split_once("load test             0.50 of a core\n").unwrap();
        assert_eq!(
            search,
            "
   players    states/s     gap p99 latency p99    B/s each         CPU
     8,000        19.9        51.5           -       11480           -
     9,000        19.9        51.5           -       11480           -  gap_p99<=60: 71

service level         gap_p99<=60
limit                 8,000 players
broke first           with 9,000 players: gap_p99<=60: 71
"
        );
    }

    #[test]
    fn move_rates_of_probes_are_listed_apart() {
        let described = |probes, moves_hz| {
            let players = Figures { probes, ..report().players };
            moves(&Report { players, moves_hz, ..report() })
        };
        assert_eq!(described(0, 20.0), "20 moves/s each");
        assert_eq!(described(50, 2.0), "2 moves/s each");
        assert_eq!(described(50, 0.5), "50 probes with 2 moves/s each, the others with 0.5");
        assert_eq!(described(8_000, 20.0), "all of them probes with 2 moves/s each");
    }
}
