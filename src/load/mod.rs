//! The load test: simulates many players on any compatible server and measures what they see.
//!
//! `main` calls [`run`] for `skirmish load`. It shares `ws/`, `http/`, `socketio/` and `codec/`
//! with the server, but does not depend on the server itself.
//!
//! In a run the players connect at a constant rate, settle for a second, are measured, and
//! disconnect. In reading order: a `client` is one `player` with the driver of a dialect (`json`,
//! `socketio` or `v1`), on top of `link` (connections), `response` (HTTP), `socket` and `frames`
//! (WebSocket), `course` (movement patterns), `probe` and `duel` (timed moves and attacks, with a
//! `stopwatch`). `schedule` has the times of all actions, `tally` the statistics of each of the
//! `groups`, `connect` opens connections, `swarm` has the sockets, `stream`
//! adds TLS to them, `process` reads CPU and memory,
//! `series` takes samples, `summary` makes the `report` of one run, and `limit` searches the limit
//! over several.

mod client;
mod connect;
mod context;
mod course;
mod duel;
mod frames;
mod groups;
mod json;
mod limit;
mod link;
mod loss;
mod machine;
mod player;
mod probe;
mod process;
mod progress;
mod report;
mod response;
mod schedule;
mod series;
mod socket;
mod socketio;
mod stopwatch;
mod stream;
mod summary;
mod swarm;
mod tally;
mod v1;

#[cfg(test)]
mod end_to_end;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::groups::Group;
use self::limit::{Search, Steps};
use self::machine::Machine;
use self::process::Usage;
use self::progress::Progress;
use self::series::Series;
use self::stream::Security;
use self::summary::{Mark, Measurement};
use self::swarm::Swarm;
use crate::config::{Load, Pattern};

pub use self::report::Report;

/// Time between the last connect and the window, for the server to settle.
const SETTLE_US: u64 = 1_000_000;
/// Additional time for the players of a crowd to gather, at least: the length of the map of dots,
/// and its width, in steps.
const GATHER_US: u64 = 10_000_000;
/// How long the stalled clients read at the end, to find out whether the server closed them.
const RELEASE_US: u64 = 300_000;
/// How long the disconnects may take.
const DISCONNECT_US: u64 = 1_000_000;
/// Maximum time between two checks whether a phase is over.
const LOOK_US: u64 = 50_000;

/// The exit code of a run that was stopped by Ctrl-C: 128 + SIGINT.
pub const STOPPED: u8 = 130;

/// Why there is no report.
#[derive(Debug)]
pub enum Failure {
    /// The flags cannot be used on this machine. The text is a sentence.
    Unusable(String),
    /// The run failed. The text is a sentence.
    Failed(String),
    /// The run was stopped before the measurement began.
    Stopped,
}

impl Failure {
    /// The exit code: 2 for unusable flags, [`STOPPED`], or 1.
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
        Failure::Failed(format!("The load test failed: {error}."))
    }
}

/// Runs the load test, or the search for the limit, and returns its report, even if players were
/// lost; see [`Report::exit_code`]. Shows the progress on standard error, if that is a terminal.
/// Once `is_stopped` is set, the measurement ends early.
///
/// # Errors
/// [`Failure`], if there is no report.
pub fn run(options: &Load, is_stopped: &AtomicBool) -> Result<Report, Failure> {
    // Find mistakes before the run, not after it.
    earlier_report(options)?;
    check_page(options)?;
    let before = summary::server_usage(options)?;
    match options.find_limit {
        true => find_limit(options, before, is_stopped),
        false => measure(options, before, is_stopped),
    }
}

/// The report to compare with, if there is one.
fn earlier_report(options: &Load) -> Result<Option<Report>, Failure> {
    let Some(path) = &options.compare else { return Ok(None) };
    let report = fs::read_to_string(path).and_then(|text| Ok(Report::from_json(&text)?));
    report.map(Some).map_err(|error| {
        let path = path.display();
        Failure::Unusable(format!(
            "Cannot read the report {path}: {error}; name a file with what --json printed."
        ))
    })
}

/// Checks that the folder of the page exists.
fn check_page(options: &Load) -> Result<(), Failure> {
    let folder = options.report.as_deref().and_then(Path::parent);
    match folder.filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(Failure::Unusable(format!(
            "The folder {} of --report does not exist; create it.",
            folder.display()
        ))),
        None => Ok(()),
    }
}

/// Writes the page of `--report`, if there is one.
///
/// # Errors
/// [`Failure`], if it cannot be written.
pub fn write_page(options: &Load, report: &Report) -> Result<(), Failure> {
    let Some(path) = &options.report else { return Ok(()) };
    let html = report.html(earlier_report(options)?.as_ref());
    fs::write(path, html).map_err(|error| {
        Failure::Failed(format!("Cannot write the page {}: {error}.", path.display()))
    })
}

/// Measures more and more players until the service level breaks, then closes in on the limit.
fn find_limit(
    options: &Load,
    before: Option<Usage>,
    is_stopped: &AtomicBool,
) -> Result<Report, Failure> {
    let mut steps = Steps::default();
    let mut search = Search::new(options.clients);
    let mut end = None;
    while let Some(clients) = search.next() {
        let options = Load { clients, expect: options.service_level(), ..options.clone() };
        let mut result = measure(&options, before, is_stopped);
        // Once more: another process may have taken the CPU.
        if result.as_ref().is_ok_and(|report| !report.broken().is_empty()) && !is_set(is_stopped) {
            result = measure(&options, before, is_stopped);
        }
        match result {
            // The measurement was cut short.
            Ok(_) if is_set(is_stopped) && !steps.is_empty() => break,
            Ok(report) => search.record(clients, steps.add(report)),
            Err(failure) if steps.is_empty() => return Err(failure),
            Err(failure) => {
                end = Some(format!("the search ended at {clients} players: {failure}"));
                break;
            }
        }
        if is_set(is_stopped) {
            break;
        }
    }
    let mut report = steps.into_report().ok_or(Failure::Stopped)?;
    report.warnings.extend(end);
    Ok(report)
}

fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// Measures one number of players. `before` is what the server used before the first connect.
fn measure(
    options: &Load,
    before: Option<Usage>,
    is_stopped: &AtomicBool,
) -> Result<Report, Failure> {
    if options.room_players.is_some() && options.url.names_room() {
        let sentence = "The URL names a room; remove it, or remove --room-players.";
        return Err(Failure::Unusable(sentence.to_owned()));
    }
    connect::check_capacity(options)?;
    let address = connect::resolve(options)?;
    let seed = options.seed.unwrap_or_else(|| rand::make_rng::<SmallRng>().next_u64());
    let security = Security::of(options)?;
    let mut swarm = Swarm::new(options, address, security, SmallRng::seed_from_u64(seed))?;
    if swarm.has_no_churn() {
        let sentence = "--churn-hz needs players that are neither probes nor in duels; raise \
                        --clients, or lower --probes.";
        return Err(Failure::Unusable(sentence.to_owned()));
    }
    let progress = Progress::new(options.clients);
    let series = Series::new(options.seconds, before);
    let mut monitor = Monitor { options, progress, series };

    let is_stopped = || is_set(is_stopped);
    let is_ready =
        |swarm: &Swarm| swarm.is_ramp_over() || swarm.refusal().is_some() || is_stopped();
    let is_cut = |swarm: &Swarm| has_no_players(swarm) || is_stopped();
    let now_us = drive(&mut swarm, &mut monitor, u64::MAX, is_ready)?;
    let gather_us = match options.pattern {
        Pattern::Crowd => swarm.gather_us().max(GATHER_US),
        Pattern::Random | Pattern::Straight => 0,
    };
    let is_gathered = |swarm: &Swarm| is_cut(swarm) || swarm.is_gathered();
    let now_us = drive(&mut swarm, &mut monitor, now_us + gather_us, is_gathered)?;
    swarm.end_gathering();
    swarm.start_churn();
    let start_us = drive(&mut swarm, &mut monitor, now_us + SETTLE_US, is_cut)?;
    if is_stopped() {
        monitor.progress.clear();
        return Err(Failure::Stopped);
    }
    if let Some(why) = swarm.refusal() {
        monitor.progress.clear();
        let count = swarm.common.tallies.lost();
        let sentence = format!("{} accepted none of {count} players: {why}.", options.url);
        return Err(Failure::Failed(sentence));
    }

    let end_us = start_us + (options.seconds * 1e6) as u64;
    let start = Mark::take(options, &swarm);
    swarm.common.tallies.set_window(&(start_us..end_us));
    let cut_us = drive(&mut swarm, &mut monitor, end_us, is_cut)?;
    let end = Mark::take(options, &swarm);
    let samples = std::mem::take(&mut monitor.series.samples);
    let end_us = end_us.min(cut_us);
    swarm.common.tallies.set_window(&(start_us..end_us));

    let seen = |swarm: &Swarm| has_no_players(swarm) || swarm.are_probes_settled(end_us);
    drive(&mut swarm, &mut monitor, cut_us + stopwatch::LOST_AFTER_US, seen)?;
    swarm.give_up_probes();
    monitor.progress.clear();
    let seconds = (cut_us - start_us).max(1) as f64 / 1e6;
    let measurement = Measurement { start, end, seconds };
    let mut report = summary::sum_up(options, seed, &swarm, &measurement);
    report.server =
        before.and_then(|before| summary::server(options, before, &measurement, &report));
    report.warnings = summary::warnings(options, &report);
    report.measured_from_s = report::round(start_us as f64 / 1e6, 1_000.0);
    report.samples = samples;
    report.machine = Machine::read(&options.command);
    if is_stopped() {
        report.warnings.push("the run was stopped early.".to_owned());
    }
    if options.stalled > 0 {
        swarm.release_stalled();
        let now_us = swarm.turn(0)?;
        drive(&mut swarm, &mut monitor, now_us + RELEASE_US, |_| false)?;
        report.stalled = Some(summary::stalled(options, &swarm.common.tallies[Group::Stalled]));
    }
    report.judge(&options.expect);
    swarm.close();
    let now_us = swarm.turn(0)?;
    drive(&mut swarm, &mut monitor, now_us + DISCONNECT_US, Swarm::is_empty)?;
    Ok(report)
}

/// Follows a run.
struct Monitor<'o> {
    options: &'o Load,
    progress: Progress,
    series: Series,
}

impl Monitor<'_> {
    /// Shows the progress, and takes a sample if it is due.
    fn look(&mut self, now_us: u64, swarm: &mut Swarm) {
        self.progress.show(now_us, &swarm.common.tallies);
        if self.series.is_due(now_us) {
            let server = summary::server_usage(self.options).ok().flatten();
            self.series.take(now_us, &mut swarm.common.tallies, server);
        }
    }
}

/// Runs the swarm until `until_us` or `is_over`; returns the current time.
fn drive(
    swarm: &mut Swarm,
    monitor: &mut Monitor,
    until_us: u64,
    is_over: impl Fn(&Swarm) -> bool,
) -> Result<u64, Failure> {
    let mut now_us = swarm.turn(0)?;
    while now_us < until_us && !is_over(swarm) {
        now_us = swarm.turn(until_us.min(now_us + LOOK_US))?;
        monitor.look(now_us, swarm);
    }
    Ok(now_us)
}

fn has_no_players(swarm: &Swarm) -> bool {
    !swarm.has_players()
}
