//! The load test: many players on any server of the JSON dialect, and what they see.
//!
//! `main` calls [`run`] for `skirmish load`. It shares `ws/` and `codec/` with the server, but
//! nothing of the server itself: it is a client, and knows no more than one.
//!
//! A run has these parts: the players connect at an even rate, settle for a second, are measured,
//! and say farewell. In reading order: [`client`] is one player, made of [`answer`] (the
//! handshake), [`skim`] (frames), [`snapshot`] and [`probe`]; [`schedule`] says when each moves;
//! [`tally`] sums up what they see; [`dial`] reaches the server; [`swarm`] has the sockets;
//! [`process`] asks what a process uses; [`report`] tells it all.

mod answer;
mod client;
mod dial;
mod loss;
mod probe;
mod process;
mod progress;
mod report;
mod schedule;
mod skim;
mod snapshot;
mod swarm;
mod tally;

#[cfg(test)]
mod end_to_end;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::process::Usage;
use self::progress::Progress;
use self::report::{Rates, Server, Spread, Stalled, Tool, round};
use self::swarm::Swarm;
use self::tally::{Counters, Tally};
use crate::config::Load;

pub use self::report::Report;

/// Time between the last connect and the window, in which a server comes to rest.
const SETTLE_US: u64 = 1_000_000;
/// How long the stalled clients read at the end, to see what the server had to say to them.
const RELEASE_US: u64 = 300_000;
/// How long the farewells may take.
const FAREWELL_US: u64 = 1_000_000;
/// The longest time between two looks at whether a part of the run is over.
const LOOK_US: u64 = 50_000;

/// The exit code of a run that was stopped by Ctrl-C, as shells have it.
pub const STOPPED: u8 = 130;

/// Why there is no report.
#[derive(Debug)]
pub enum Failure {
    /// The flags ask for what cannot be done here. The text is a sentence.
    Unusable(String),
    /// It began, or was about to, and something else went wrong. The text is a sentence.
    Failed(String),
    /// It was stopped before the measurement began.
    Stopped,
}

impl Failure {
    /// The exit code of the process: 2 for flags that cannot be used, [`STOPPED`], else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Unusable(_) => 2,
            Failure::Failed(_) => 1,
            Failure::Stopped => STOPPED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unusable(sentence) | Failure::Failed(sentence) => f.write_str(sentence),
            Failure::Stopped => f.write_str("Stopped before anything was measured."),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Failed(format!("The load test cannot go on: {error}."))
    }
}

/// Runs the load test to its end and answers what it has measured, even if players were lost; see
/// [`Report::is_whole`]. While it runs it shows its progress on standard error, if that is a
/// terminal. Once `is_stopped` is set it measures no longer and reports what it has.
///
/// # Errors
/// [`Failure`], before the first player or in the middle.
pub fn run(options: &Load, is_stopped: &AtomicBool) -> Result<Report, Failure> {
    if options.room_players.is_some() && options.url.names_room() {
        let sentence = "The address names a room, and --room-players asks for others.";
        return Err(Failure::Unusable(sentence.to_owned()));
    }
    dial::make_room(u64::from(options.clients) + u64::from(options.stalled))?;
    let address = dial::reach(options)?;
    let seed = options.seed.unwrap_or_else(|| rand::make_rng::<SmallRng>().next_u64());
    let mut swarm = Swarm::new(options, address, SmallRng::seed_from_u64(seed))?;
    let mut progress = Progress::new(options.clients);

    let is_stopped = || is_stopped.load(Ordering::Relaxed);
    let is_ready =
        |swarm: &Swarm| swarm.is_ramp_over() || swarm.refusal().is_some() || is_stopped();
    let is_cut = |swarm: &Swarm| is_deserted(swarm) || is_stopped();
    let before = server_usage(options)?;
    let now_us = drive(&mut swarm, &mut progress, u64::MAX, is_ready)?;
    let start_us = drive(&mut swarm, &mut progress, now_us + SETTLE_US, is_cut)?;
    if is_stopped() {
        progress.clear();
        return Err(Failure::Stopped);
    }
    if let Some(why) = swarm.refusal() {
        progress.clear();
        let count = swarm.tally.lost();
        let sentence = format!("{} let none of {count} players in: {why}.", options.url);
        return Err(Failure::Failed(sentence));
    }

    let end_us = start_us + (options.seconds * 1e6) as u64;
    let start = Mark::take(options, &swarm)?;
    swarm.tally.window = start_us..end_us;
    let cut_us = drive(&mut swarm, &mut progress, end_us, is_cut)?;
    let end = Mark::take(options, &swarm)?;
    let end_us = end_us.min(cut_us);
    swarm.tally.window = start_us..end_us;

    let seen = |swarm: &Swarm| is_deserted(swarm) || swarm.are_probes_settled(end_us);
    drive(&mut swarm, &mut progress, cut_us + probe::LOST_AFTER_US, seen)?;
    swarm.give_up_probes();
    progress.clear();
    let seconds = (cut_us - start_us).max(1) as f64 / 1e6;
    let mut report = sum_up(options, seed, &swarm, (&start, &end), seconds);
    report.server = before.and_then(|before| server(options, before, &start, &end, &report));
    report.warnings = warnings(options, &report);
    if is_stopped() {
        report.warnings.push("it was stopped before its time.".to_owned());
    }
    if options.stalled > 0 {
        swarm.release_stalled();
        let now_us = swarm.turn(0)?;
        drive(&mut swarm, &mut progress, now_us + RELEASE_US, |_| false)?;
        report.stalled = Some(stalled(options, &swarm.stalled));
    }
    swarm.say_farewell();
    let now_us = swarm.turn(0)?;
    drive(&mut swarm, &mut progress, now_us + FAREWELL_US, Swarm::is_empty)?;
    Ok(report)
}

fn server_usage(options: &Load) -> Result<Option<Usage>, Failure> {
    let Some(pid) = options.pid else {
        return Ok(None);
    };
    process::usage(Some(pid)).map(Some).map_err(|error| {
        Failure::Unusable(format!("What process {pid} uses cannot be read under /proc: {error}."))
    })
}

/// The sums at one moment of a run.
struct Mark {
    counters: Counters,
    snapshots: Vec<(bool, u32)>,
    own: Usage,
    server: Option<Usage>,
}

impl Mark {
    fn take(options: &Load, swarm: &Swarm) -> Result<Mark, Failure> {
        Ok(Mark {
            counters: swarm.tally.counters,
            snapshots: swarm.snapshots().collect(),
            own: process::usage(None).unwrap_or_default(),
            // A server that has died in the middle is reported by what its players saw.
            server: server_usage(options).ok().flatten(),
        })
    }
}

/// Turns the swarm until `until_us` or until `is_over`: what time it is then.
fn drive(
    swarm: &mut Swarm,
    progress: &mut Progress,
    until_us: u64,
    is_over: impl Fn(&Swarm) -> bool,
) -> Result<u64, Failure> {
    let mut now_us = swarm.turn(0)?;
    while now_us < until_us && !is_over(swarm) {
        now_us = swarm.turn(until_us.min(now_us + LOOK_US))?;
        progress.show(now_us, &swarm.tally);
    }
    Ok(now_us)
}

fn is_deserted(swarm: &Swarm) -> bool {
    !swarm.has_players()
}

fn sum_up(
    options: &Load,
    seed: u64,
    swarm: &Swarm,
    (start, end): (&Mark, &Mark),
    seconds: f64,
) -> Report {
    let tally = &swarm.tally;
    let per_s = |now: u64, then: u64| round((now - then) as f64 / seconds, 10.0);
    let (now, then) = (&end.counters, &start.counters);
    let counts = start.snapshots.iter().zip(&end.snapshots);
    // Whoever was there when the window began counts; whoever left early has seen few.
    let counts = counts.filter(|((is_playing, _), _)| *is_playing);
    let counts = counts.map(|((_, then), (_, now))| now - then).collect();
    // CPU time comes in steps of 10 ms: a window cut short says nothing.
    let cpu_us = if seconds < 0.1 { 0 } else { end.own.cpu_us - start.own.cpu_us };
    let tool_cores = cpu_us as f64 / 1e6 / seconds;
    Report {
        url: options.url.to_string(),
        seed,
        measured_s: round(seconds, 1_000.0),
        moves_hz: options.moves_hz,
        probes: swarm.probes(),
        probe_moves_hz: 1e6 / schedule::PROBE_PERIOD_US as f64,
        clients: options.clients,
        connected: tally.connect_us.len(),
        lost: tally.lost(),
        errors: tally.losses.clone(),
        stalled: None,
        connect_ms: Spread::of(&tally.connect_us),
        snapshots_per_s: Rates::of(counts, seconds),
        snapshot_gap_ms: Spread::of(&tally.gap_us),
        input_to_visible_ms: Spread::of(&tally.visible_us),
        probes_visible: tally.counters.probes_visible,
        probes_lost: tally.counters.probes_lost,
        received_frames_per_s: per_s(now.frames, then.frames),
        received_snapshots_per_s: per_s(now.snapshots, then.snapshots),
        received_bytes_per_s: per_s(now.read_bytes, then.read_bytes),
        sent_moves_per_s: per_s(now.moves, then.moves),
        moves_dropped: tally.counters.moves_dropped,
        tool: Tool::new(round(tool_cores, 1_000.0), Spread::of(&tally.lateness_us)),
        server: None,
        warnings: Vec::new(),
    }
}

/// `None` if the process had ended before the window did.
fn server(
    options: &Load,
    before: Usage,
    start: &Mark,
    end: &Mark,
    report: &Report,
) -> Option<Server> {
    let (at_start, at_end) = (start.server?, end.server?);
    let cpu_us = at_end.cpu_us.checked_sub(at_start.cpu_us)? as f64;
    let snapshots = (end.counters.snapshots - start.counters.snapshots) as f64;
    let growth_bytes = (at_end.rss_kib as f64 - before.rss_kib as f64) * 1024.0;
    Some(Server {
        pid: options.pid?,
        cpu_cores: round(cpu_us / 1e6 / report.measured_s, 1_000.0),
        cpu_us_per_snapshot: (snapshots > 0.0).then(|| round(cpu_us / snapshots, 1_000.0)),
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

fn stalled(options: &Load, tally: &Tally) -> Stalled {
    Stalled {
        clients: options.stalled,
        connected: tally.connect_us.len(),
        alive: tally.playing,
        errors: tally.losses.clone(),
    }
}

fn warnings(options: &Load, report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.tool.is_bottleneck {
        let late = report.tool.lateness_ms.map_or(0.0, |lateness| lateness.p99);
        warnings.push(format!(
            "the tool is the bottleneck, or has no core to itself: it used {:.2} of a core and was \
             {late:.1} ms late at p99. The server may do better than this.",
            report.tool.cpu_cores
        ));
    }
    if options.pid.is_some() && report.server.is_none() {
        warnings.push("the server's process ended before the measurement did.".to_owned());
    }
    if report.probes_visible == 0 && report.probes_lost == 0 && options.probes != Some(0) {
        warnings.push("no probe found itself in a snapshot.".to_owned());
    }
    warnings
}
