//! Computes the report of a run.
//!
//! `mod` takes a [`Mark`] at the start and the end of the measurement; the report is the
//! difference.

use std::collections::BTreeMap;

use super::client::Client;
use super::groups::Group;
use super::machine::Machine;
use super::player::Role;
use super::process::{self, Usage};
use super::report::{
    Acks, Churn, Figures, Hits, LoadTest, Rates, Report, Server, SocketIo, Spread, Stalled, V1,
    round,
};
use super::swarm::{Received, Swarm};
use super::tally::{Counters, Tally};
use super::{Failure, schedule};
use crate::config::{Dialect, Load};

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
    /// Of each group, in the order of [`Group::ALL`].
    counters: [Counters; Group::ALL.len()],
    received: Vec<Received>,
    own: Usage,
    server: Option<Usage>,
}

impl Mark {
    /// Takes the counters now.
    pub fn take(options: &Load, swarm: &Swarm) -> Mark {
        Mark {
            counters: Group::ALL.map(|group| swarm.common.tallies[group].counters),
            received: swarm.received().collect(),
            own: process::usage(None).unwrap_or_default(),
            // A server that has exited meanwhile is reported by what its players saw.
            server: server_usage(options).ok().flatten(),
        }
    }

    fn sum(&self, groups: &[Group]) -> Counters {
        let mut sum = Counters::default();
        groups.iter().for_each(|group| sum += self.counters[*group as usize]);
        sum
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

impl Measurement {
    /// A count per second, from its values at both marks.
    fn per_s(&self, now: u64, then: u64) -> f64 {
        round((now - then) as f64 / self.seconds, 10.0)
    }

    /// Updates and `player_moved` events that each client of these groups received. Counts all
    /// clients that were in the game at the start and were not replaced; a lost one received fewer.
    fn received(&self, groups: &[Group]) -> (Vec<u32>, Vec<u32>) {
        let pairs = self.start.received.iter().zip(&self.end.received);
        let pairs = pairs
            .filter(|(then, now)| then.is_playing && then.connect_us == now.connect_us)
            .filter(|(then, _)| groups.contains(&then.group));
        // A client that was skipped may not have the ticks that seemed to be quiet at the start.
        let updates = |then: &Received, now: &Received| now.updates.saturating_sub(then.updates);
        pairs.map(|(then, now)| (updates(then, now), now.moved - then.moved)).unzip()
    }
}

/// The report of a measurement.
pub fn sum_up(options: &Load, seed: u64, swarm: &Swarm, measurement: &Measurement) -> Report {
    let Measurement { start, end, seconds } = measurement;
    let all = swarm.common.tallies.sum(&Group::ALL);
    let (now, then) = (end.sum(&Group::PLAYERS), start.sum(&Group::PLAYERS));
    // CPU time has steps of 10 ms: too coarse for a short window.
    let cpu_us = if *seconds < 0.1 { 0 } else { end.own.cpu_us - start.own.cpu_us };
    let cores = cpu_us as f64 / 1e6 / seconds;
    let players = figures(&Group::PLAYERS, swarm, measurement);
    Report {
        url: options.url.to_string(),
        dialect: options.dialects(),
        pattern: options.pattern.to_string(),
        seed,
        measured_s: round(*seconds, 1_000.0),
        moves_hz: options.moves_hz,
        attacks_hz: options.attacks_hz,
        probe_moves_hz: 1e6 / schedule::PROBE_PERIOD_US as f64,
        players,
        groups: groups(options, swarm, measurement),
        churn: (options.churn_hz > 0.0).then(|| Churn {
            churn_hz: options.churn_hz,
            left: now.left - then.left,
            joined: now.replaced - then.replaced,
        }),
        stalled: None,
        sent_moves_per_s: measurement.per_s(now.moves, then.moves),
        moves_dropped: now.moves_dropped,
        sent_attacks_per_s: measurement.per_s(now.attacks, then.attacks),
        attacks_dropped: now.attacks_dropped,
        socketio: options.speaks(Dialect::SocketIo).then(|| socketio(options, swarm, measurement)),
        v1: options.speaks(Dialect::V1).then(|| v1(swarm, measurement)),
        load_test: LoadTest::new(round(cores, 1_000.0), Spread::of(&all.lateness_us)),
        server: None,
        figures: BTreeMap::new(),
        expectations: Vec::new(),
        limit: None,
        steps: Vec::new(),
        measured_from_s: 0.0,
        samples: Vec::new(),
        machine: Machine::default(),
        warnings: Vec::new(),
    }
}

/// The figures of each dialect of a mix, and of the slow readers.
fn groups(options: &Load, swarm: &Swarm, measurement: &Measurement) -> BTreeMap<String, Figures> {
    let mix = Dialect::ALL.map(|dialect| (dialect, Group::of(dialect)));
    let mix =
        mix.into_iter().filter(|(dialect, _)| options.mix.is_some() && options.speaks(*dialect));
    let slow = (options.slow_readers > 0).then(|| ("slow".to_owned(), Group::Slow));
    let named = mix.map(|(dialect, group)| (dialect.to_string(), group)).chain(slow);
    named.map(|(name, group)| (name, figures(&[group], swarm, measurement))).collect()
}

/// The figures of the clients of some groups.
fn figures(groups: &[Group], swarm: &Swarm, measurement: &Measurement) -> Figures {
    let tally = swarm.common.tallies.sum(groups);
    let (now, then) = (measurement.end.sum(groups), measurement.start.sum(groups));
    let is_probe = |client: &&Client| matches!(client.player.role, Role::Probe(_));
    let (updates, _) = measurement.received(groups);
    let received_bytes_per_s = measurement.per_s(now.read_bytes, then.read_bytes);
    let per_player =
        |rate: f64, players: usize| (players > 0).then(|| round(rate / players as f64, 10.0));
    Figures {
        clients: swarm.clients_of(groups).count() as u32,
        connected: tally.connect_us.len() - tally.counters.replaced,
        lost: tally.lost(),
        connect_ms: Spread::of(&tally.connect_us),
        received_bytes_per_player_per_s: per_player(received_bytes_per_s, updates.len()),
        states_per_s: Rates::of(updates, measurement.seconds),
        state_gap_ms: Spread::of(&tally.gap_us),
        input_to_visible_ms: Spread::of(&tally.visible_us),
        probes: swarm.clients_of(groups).filter(is_probe).count() as u32,
        probes_visible: tally.counters.probes_visible,
        probes_lost: tally.counters.probes_lost,
        received_frames_per_s: measurement.per_s(now.frames, then.frames),
        received_states_per_s: measurement.per_s(now.updates, then.updates),
        received_bytes_per_s,
        errors: tally.losses,
    }
}

fn socketio(options: &Load, swarm: &Swarm, measurement: &Measurement) -> SocketIo {
    let tally = &swarm.common.tallies[Group::SocketIo];
    let groups = [Group::SocketIo];
    let (now, then) = (measurement.end.sum(&groups), measurement.start.sum(&groups));
    let (_, moved) = measurement.received(&groups);
    let duels = swarm.common.duels.numbers().end;
    SocketIo {
        transport: options.transport().to_string(),
        moved_per_s: Rates::of(moved, measurement.seconds),
        received_events_per_s: measurement.per_s(now.events, then.events),
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
    }
}

fn v1(swarm: &Swarm, measurement: &Measurement) -> V1 {
    let groups = [Group::V1];
    let (now, then) = (measurement.end.sum(&groups), measurement.start.sum(&groups));
    let is_observer = |client: &&Client| client.observer.is_some();
    V1 {
        observers: swarm.clients_of(&groups).filter(is_observer).count() as u32,
        turn_to_seen_ms: Spread::of(&swarm.common.tallies[Group::V1].turn_us),
        ..V1::of(&then.v1, &now.v1, measurement.seconds)
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
    let (now, then) = (end.sum(&Group::PLAYERS), start.sum(&Group::PLAYERS));
    let growth_bytes = (at_end.rss_kib as f64 - before.rss_kib as f64) * 1024.0;
    Some(Server {
        pid: options.pid?,
        cpu_cores: round(cpu_us / 1e6 / report.measured_s, 1_000.0),
        cpu_us_per_state: each(now.updates - then.updates),
        cpu_us_per_event: each(now.events - then.events),
        rss_before_kib: before.rss_kib,
        rss_connected_kib: at_start.rss_kib,
        rss_end_kib: at_end.rss_kib,
        rss_peak_kib: at_end.rss_peak_kib,
        rss_growth_bytes_per_client: round(growth_bytes / f64::from(options.all_clients()), 1.0),
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
    let Figures { probes, probes_visible, probes_lost, .. } = report.players;
    if probes > 0 && probes_visible == 0 && probes_lost == 0 {
        warnings.push("no probe learned its position.".to_owned());
    }
    let check_errors = report.v1.map_or(0, |v1| v1.check_errors);
    if check_errors > 0 {
        warnings.push(format!("{check_errors} sums of skirmish.v1 differed from the server's."));
    }
    let hits = report.socketio.as_ref().and_then(|socketio| socketio.hits);
    if hits.is_some_and(|hits| hits.seen == 0 && hits.lost == 0) {
        warnings.push("no duel started: no two players reached their positions.".to_owned());
    }
    warnings
}
