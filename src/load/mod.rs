//! The load test: many players on any server that plays this game, and what they see.
//!
//! `main` calls [`run`] for `skirmish load`. It shares `ws/`, `http/`, `socketio/` and `codec/`
//! with the server, but nothing of the server itself: it is a client, and knows no more than one.
//!
//! A run has these parts: the players connect at an even rate, settle for a second, are measured,
//! and say farewell. In reading order: [`client`] is one [`player`] who speaks [`json`] or
//! [`socketio`], made of [`link`] (connections), [`answer`] (HTTP), [`socket`] and [`skim`]
//! (WebSockets), [`probe`] and [`duel`] (what is timed, by a [`stopwatch`]); [`schedule`] says when
//! each moves; [`tally`] sums up what they see; [`dial`] reaches the server; [`swarm`] has the
//! sockets; [`process`] asks what a process uses; [`summary`] makes the [`report`] of it all.

mod client;
mod connect;
mod context;
mod duel;
mod frames;
mod json;
mod link;
mod loss;
mod player;
mod probe;
mod process;
mod progress;
mod report;
mod response;
mod schedule;
mod socket;
mod socketio;
mod stopwatch;
mod summary;
mod swarm;
mod tally;

#[cfg(test)]
mod end_to_end;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::progress::Progress;
use self::summary::Mark;
use self::swarm::Swarm;
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
    connect::check_capacity(options)?;
    let address = connect::resolve(options)?;
    let seed = options.seed.unwrap_or_else(|| rand::make_rng::<SmallRng>().next_u64());
    let mut swarm = Swarm::new(options, address, SmallRng::seed_from_u64(seed))?;
    let mut progress = Progress::new(options.clients);

    let is_stopped = || is_stopped.load(Ordering::Relaxed);
    let is_ready =
        |swarm: &Swarm| swarm.is_ramp_over() || swarm.refusal().is_some() || is_stopped();
    let is_cut = |swarm: &Swarm| is_deserted(swarm) || is_stopped();
    let before = summary::server_usage(options)?;
    let now_us = drive(&mut swarm, &mut progress, u64::MAX, is_ready)?;
    let start_us = drive(&mut swarm, &mut progress, now_us + SETTLE_US, is_cut)?;
    if is_stopped() {
        progress.clear();
        return Err(Failure::Stopped);
    }
    if let Some(why) = swarm.refusal() {
        progress.clear();
        let count = swarm.common.tally.lost();
        let sentence = format!("{} let none of {count} players in: {why}.", options.url);
        return Err(Failure::Failed(sentence));
    }

    let end_us = start_us + (options.seconds * 1e6) as u64;
    let start = Mark::take(options, &swarm);
    swarm.common.tally.window = start_us..end_us;
    let cut_us = drive(&mut swarm, &mut progress, end_us, is_cut)?;
    let end = Mark::take(options, &swarm);
    let end_us = end_us.min(cut_us);
    swarm.common.tally.window = start_us..end_us;

    let seen = |swarm: &Swarm| is_deserted(swarm) || swarm.are_probes_settled(end_us);
    drive(&mut swarm, &mut progress, cut_us + stopwatch::LOST_AFTER_US, seen)?;
    swarm.give_up_probes();
    progress.clear();
    let seconds = (cut_us - start_us).max(1) as f64 / 1e6;
    let mut report = summary::sum_up(options, seed, &swarm, (&start, &end), seconds);
    report.server =
        before.and_then(|before| summary::server(options, before, (&start, &end), &report));
    report.warnings = summary::warnings(options, &report);
    if is_stopped() {
        report.warnings.push("it was stopped before its time.".to_owned());
    }
    if options.stalled > 0 {
        swarm.release_stalled();
        let now_us = swarm.turn(0)?;
        drive(&mut swarm, &mut progress, now_us + RELEASE_US, |_| false)?;
        report.stalled = Some(summary::stalled(options, &swarm.common.stalled));
    }
    swarm.close();
    let now_us = swarm.turn(0)?;
    drive(&mut swarm, &mut progress, now_us + FAREWELL_US, Swarm::is_empty)?;
    Ok(report)
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
        progress.show(now_us, &swarm.common.tally);
    }
    Ok(now_us)
}

fn is_deserted(swarm: &Swarm) -> bool {
    !swarm.has_players()
}
