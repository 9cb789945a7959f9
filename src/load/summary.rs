//! Computes the report of a run.
//!
//! `mod` takes a [`Mark`] at the start and the end of the measurement; the report is the
//! difference.

use super::process::{self, Usage};
use super::report::{
    Acks, Hits, LoadTest, Rates, Report, Server, SocketIo, Spread, Stalled, round,
};
use super::swarm::Swarm;
use super::tally::{Counters, Tally};
use super::{Failure, schedule};
use crate::config::{Dialect, Load, Transport};

/// CPU and memory of the server so far, with `--pid`.
///
/// # Errors
/// [`Failure::Unusable`] if they cannot be read.
pub fn server_usage(options: &Load) -> Result<Option<Usage>, Failure> {
    let Some(pid) = options.pid else {
        return Ok(None);
    };
    process::usage(Some(pid)).map(Some).map_err(|error| {
        Failure::Unusable(format!(
            "Cannot read the CPU and memory of process {pid} from /proc: {error}."
        ))
    })
}

/// The counters at one moment of a run.
pub struct Mark {
    counters: Counters,
    /// See [`Swarm::seen_by_players`].
    seen_by_players: Vec<(bool, u32, u32)>,
    own: Usage,
    server: Option<Usage>,
}

impl Mark {
    /// Takes the counters now.
    pub fn take(options: &Load, swarm: &Swarm) -> Mark {
        Mark {
            counters: swarm.common.tally.counters,
            seen_by_players: swarm.seen_by_players().collect(),
            own: process::usage(None).unwrap_or_default(),
            // A server that has exited meanwhile is reported by what its players saw.
            server: server_usage(options).ok().flatten(),
        }
    }
}

/// What is reported: everything between two marks.
pub struct Measurement {
    /// When it began.
    pub start: Mark,
    /// When it ended.
    pub end: Mark,
    /// The time between them.
    pub seconds: f64,
}

/// The report of a measurement.
pub fn sum_up(options: &Load, seed: u64, swarm: &Swarm, measurement: &Measurement) -> Report {
    let Measurement { start, end, seconds } = measurement;
    let seconds = *seconds;
    let tally = &swarm.common.tally;
    let per_s = |now: u64, then: u64| round((now - then) as f64 / seconds, 10.0);
    let (now, then) = (&end.counters, &start.counters);
    // Count all players that were there at the start; one that left early saw fewer updates.
    let seen_by_players = start
        .seen_by_players
        .iter()
        .zip(&end.seen_by_players)
        .filter(|((is_playing, ..), _)| *is_playing);
    let (updates, moved) =
        seen_by_players.map(|((_, a, b), (_, updates, moved))| (updates - a, moved - b)).unzip();
    let is_json = options.dialect == Dialect::Json;
    let updates_per_s = Rates::of(updates, seconds);
    let update_gap_ms = Spread::of(&tally.gap_us);
    // CPU time has steps of 10 ms: too coarse for a short window.
    let cpu_us = if seconds < 0.1 { 0 } else { end.own.cpu_us - start.own.cpu_us };
    let cores = cpu_us as f64 / 1e6 / seconds;
    let duels = swarm.common.duels.numbers().end;
    let socketio = SocketIo {
        transport: match options.transport() {
            Transport::Polling => "polling",
            Transport::Websocket => "websocket",
            Transport::Upgrade => "upgrade",
        },
        updates_per_s,
        update_gap_ms,
        moved_per_s: Rates::of(moved, seconds),
        received_events_per_s: per_s(now.events, then.events),
        received_moved: now.moved - then.moved,
        received_moved_self: now.moved_self - then.moved_self,
        received_hits: now.hits - then.hits,
        acks: Acks {
            asked: tally.counters.acks_asked,
            answered: tally.counters.acks_answered,
            refused: tally.refusals.clone(),
            round_trip_ms: Spread::of(&tally.ack_us),
        },
        hits: (duels > 0).then(|| Hits {
            duels,
            seen: tally.counters.hits_seen,
            lost: tally.counters.hits_lost,
            attack_to_hit_ms: Spread::of(&tally.hit_us),
        }),
    };
    Report {
        url: options.url.to_string(),
        dialect: if is_json { "json" } else { "socketio" },
        seed,
        measured_s: round(seconds, 1_000.0),
        moves_hz: options.moves_hz,
        attacks_hz: options.attacks_hz,
        probes: swarm.probes(),
        probe_moves_hz: 1e6 / schedule::PROBE_PERIOD_US as f64,
        clients: options.clients,
        connected: tally.connect_us.len(),
        lost: tally.lost(),
        errors: tally.losses.clone(),
        stalled: None,
        connect_ms: Spread::of(&tally.connect_us),
        states_per_s: updates_per_s.filter(|_| is_json),
        state_gap_ms: update_gap_ms.filter(|_| is_json),
        input_to_visible_ms: Spread::of(&tally.visible_us),
        probes_visible: tally.counters.probes_visible,
        probes_lost: tally.counters.probes_lost,
        received_frames_per_s: per_s(now.frames, then.frames),
        received_states_per_s: is_json.then(|| per_s(now.updates, then.updates)),
        received_bytes_per_s: per_s(now.read_bytes, then.read_bytes),
        sent_moves_per_s: per_s(now.moves, then.moves),
        moves_dropped: tally.counters.moves_dropped,
        sent_attacks_per_s: per_s(now.attacks, then.attacks),
        attacks_dropped: tally.counters.attacks_dropped,
        socketio: (!is_json).then_some(socketio),
        load_test: LoadTest::new(round(cores, 1_000.0), Spread::of(&tally.lateness_us)),
        server: None,
        warnings: Vec::new(),
    }
}

/// What the server used during a measurement; `None` if its process has exited.
pub fn server(
    options: &Load,
    before: Usage,
    measurement: &Measurement,
    report: &Report,
) -> Option<Server> {
    let Measurement { start, end, .. } = measurement;
    let (at_start, at_end) = (start.server?, end.server?);
    let cpu_us = at_end.cpu_us.checked_sub(at_start.cpu_us)? as f64;
    let each = |count: u64| (count > 0).then(|| round(cpu_us / count as f64, 1_000.0));
    let states = match options.dialect {
        Dialect::Json => end.counters.updates - start.counters.updates,
        Dialect::SocketIo => 0,
    };
    let growth_bytes = (at_end.rss_kib as f64 - before.rss_kib as f64) * 1024.0;
    Some(Server {
        pid: options.pid?,
        cpu_cores: round(cpu_us / 1e6 / report.measured_s, 1_000.0),
        cpu_us_per_state: each(states),
        cpu_us_per_event: each(end.counters.events - start.counters.events),
        rss_before_kib: before.rss_kib,
        rss_connected_kib: at_start.rss_kib,
        rss_end_kib: at_end.rss_kib,
        rss_peak_kib: at_end.rss_peak_kib,
        rss_growth_bytes_per_client: round(
            growth_bytes / f64::from(options.clients + options.stalled),
            1.0,
        ),
    })
}

/// The report of the stalled clients.
pub fn stalled(options: &Load, tally: &Tally) -> Stalled {
    Stalled {
        clients: options.stalled,
        connected: tally.connect_us.len(),
        alive: tally.playing,
        errors: tally.losses.clone(),
    }
}

/// Reasons why some figures may mislead.
pub fn warnings(options: &Load, report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.load_test.is_bottleneck {
        let late = report.load_test.lateness_ms.map_or(0.0, |lateness| lateness.p99);
        warnings.push(format!(
            "the load test is the bottleneck, or shares its core: it used {:.2} of a core and was \
             {late:.1} ms late at p99. The server may be faster than this.",
            report.load_test.cpu_cores
        ));
    }
    if options.pid.is_some() && report.server.is_none() {
        warnings.push("the server process exited during the measurement.".to_owned());
    }
    if report.probes_visible == 0 && report.probes_lost == 0 && report.probes > 0 {
        warnings.push("no probe learned its position.".to_owned());
    }
    let hits = report.socketio.as_ref().and_then(|socketio| socketio.hits);
    if hits.is_some_and(|hits| hits.seen == 0 && hits.lost == 0) {
        warnings.push("no duel started: no two players reached their positions.".to_owned());
    }
    warnings
}
