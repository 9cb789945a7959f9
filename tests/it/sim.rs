//! The whole `Server` without sockets, hundreds of model clients, and a virtual clock, from one seed.
//!
//! `SKIRMISH_SIM_SEED=N` replays one seed; `SKIRMISH_SIM_SEEDS=N` says how many to try. What must
//! hold is checked in every turn (`sim/world.rs`) and against what the others see (`sim/judge.rs`).

mod abuse;
pub mod caller;
mod client;
mod directed;
pub mod ear;
mod events;
mod fights;
mod guest;
mod judge;
pub mod lab;
pub mod mind;
mod wire;
mod world;

use std::hash::Hasher;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use skirmish::close::CloseReason;
use skirmish::metrics::Refusal;
use skirmish::server::ConnId;
use skirmish::time::Millis;

use ear::{Ear, Heard};
use judge::Judge;
use world::{Guests, Reach, World};

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 6;
/// The first of them; the others follow.
const SEED: u64 = 1;
/// Connections of an address that plays nowhere, as promised; not read from the server.
const CONNECTIONS_AN_ADDRESS: usize = 12;
/// Sessions of Socket.IO of an address over which nobody plays.
const SESSIONS_UNUSED: usize = 64;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn many_clients_one_seed_at_a_time() {
    let seeds = match number("SKIRMISH_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => SEED..SEED + number("SKIRMISH_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let is_sample = seeds.end - seeds.start >= SEEDS;
    let stories: Vec<Story> = seeds.map(run_and_explain).collect();
    let sum = |count: fn(&Story) -> u64| stories.iter().map(count).sum::<u64>();
    let crowding = [sum(|story| story.turned_away), sum(|story| story.gave_way)];
    assert!(!is_sample || !crowding.contains(&0), "no address was too full: {crowding:?}");
    let fights = [sum(|story| story.kills), sum(|story| story.counted)];
    assert!(!is_sample || !fights.contains(&0), "nobody was killed: {fights:?}");
    let guests = [
        sum(|story| story.reach.sessions),
        sum(|story| story.reach.facts),
        sum(|story| story.reach.places),
        sum(|story| story.reach.upgrades),
        sum(|story| story.reach.faults),
    ];
    assert!(!is_sample || !guests.contains(&0), "some guests did nothing: {guests:?}");
}

#[test]
fn a_seed_is_the_same_story_twice() {
    let seed = number("SKIRMISH_SIM_SEED").unwrap_or(1_000);
    assert_eq!(run_and_explain(seed), run_and_explain(seed), "seed {seed}");
}

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    /// Stands for all that the server did.
    transcript: u64,
    /// Connections that were refused, and idle ones that gave way to others.
    turned_away: u64,
    gave_way: u64,
    /// Kills that were seen, and those on ticks at which each of them had to be somebody's death.
    kills: u64,
    counted: u64,
    /// What the clients of Socket.IO came to.
    reach: Reach,
}

/// Runs a seed and says how to replay it if it fails.
fn run_and_explain(seed: u64) -> Story {
    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(Ok(story)) => story,
        Ok(Err(why)) => panic!("{why}\n{}", replay(seed)),
        Err(panic) => {
            eprintln!("{}", replay(seed));
            resume_unwind(panic)
        }
    }
}

fn replay(seed: u64) -> String {
    let test = "sim::many_clients_one_seed_at_a_time";
    format!("replay: SKIRMISH_SIM_SEED={seed} cargo test --test it {test}")
}

/// The story of one seed.
fn run(seed: u64) -> Result<Story, String> {
    let mut world = World::new(seed);
    while world.now < world.plan.span_ms {
        world.turn()?;
    }
    world.begin_to_end();
    let end = world.now;
    // The last ones are browsers: a page may take long to read, and then they are given a minute.
    while world.connected() > 0 && world.now < end + 300_000 {
        world.turn()?;
    }
    // Empty rooms go after half a minute.
    let last_left = world.now;
    while world.now < last_left + 32_000 {
        world.turn()?;
    }
    eprintln!("seed {seed}: {}", summary(&world));
    check_empty(&mut world)?;
    if world.judge.compared < 200 {
        return Err(format!("only {} states were compared", world.judge.compared));
    }
    let World { turned_away, gave_way, judge: Judge { kills, counted, .. }, .. } = world;
    let (transcript, reach) = (world.transcript.finish(), world.guests.reach);
    Ok(Story { transcript, turned_away, gave_way, kills, counted, reach })
}

/// What a seed was about, for `--nocapture`: a simulator is worth what it reaches.
fn summary(world: &World) -> String {
    let metrics = world.server.metrics();
    let closes: Vec<String> = CloseReason::ALL
        .iter()
        .filter(|reason| metrics.closes(**reason) > 0)
        .map(|reason| format!("{} {}", reason.label(), metrics.closes(*reason)))
        .collect();
    format!(
        "{} clients, {} an address{}, {} connections, {} turned away, {} gave way, {} players, {} s, \
         {} states compared, {} skipped, {} short writes, {} kills, {} counted; {:?}; ended: {}",
        world.plan.clients,
        world.plan.clients_a_home,
        if world.plan.has_proxy { ", a proxy" } else { "" },
        world.opened,
        world.turned_away,
        world.gave_way,
        metrics.joins,
        world.now / 1000,
        world.judge.compared,
        metrics.snapshots_skipped,
        metrics.short_writes,
        world.judge.kills,
        world.judge.counted,
        world.guests.reach,
        closes.join(", ")
    )
}

/// Nobody is there, and nothing is left of those who were.
fn check_empty(world: &mut World) -> Result<(), String> {
    if !world.server.is_empty() || world.connected() > 0 {
        return Err(format!("connections are left: {}", world.whoever_is_left()));
    }
    if world.is_draining() && !world.server.is_drained() {
        return Err("not drained".to_owned());
    }
    let metrics = fetch_metrics(world)?;
    let draining = u64::from(world.is_draining());
    // The only connection is the one that asks.
    let expected = [
        ("connections", 1),
        ("players", 0),
        ("engine_sessions", 0),
        ("polls_held", 0),
        ("rooms", 0),
        ("draining", draining),
        ("panics_total", 0),
    ];
    for (name, value) in expected {
        let line = format!("skirmish_{name} {value}");
        if !metrics.lines().any(|have| have == line) {
            return Err(format!("no {line} in {metrics}"));
        }
    }
    if world.opened != world.ended {
        return Err(format!("{} were opened and {} ended", world.opened, world.ended));
    }
    let closes: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("skirmish_closes_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    // A session that ends over requests is counted besides its connections.
    let sessions = world.guests.reach.sessions;
    if !(world.ended..=world.ended + sessions).contains(&closes) {
        return Err(format!("{} and {sessions} ended, {closes} were counted", world.ended));
    }
    check_gate(world)?;
    if world.is_draining() { Ok(()) } else { check_sessions(world) }
}

/// Whether each address has its share again, and no more, now that nobody is there.
fn check_gate(world: &mut World) -> Result<(), String> {
    let now = Millis(world.now);
    let homes = (0..world.plan.clients).step_by(world.plan.clients_a_home);
    let homes = homes.map(|index| world.plan.address(index));
    let guests = (0..world.guests.all.len()).map(Guests::address);
    for address in homes.chain(guests).collect::<Vec<_>>() {
        let opened: Vec<_> = std::iter::repeat_with(|| world.server.open(address, now))
            .take(CONNECTIONS_AN_ADDRESS + 1)
            .collect();
        let (last, share) = opened.split_last().expect("there is a last one");
        if share.iter().any(Result::is_err) || *last != Err(Refusal::AddressFull) {
            let times = share.iter().flatten().count();
            return Err(format!("{address} is let in {times} times again, and then {last:?}"));
        }
        share.iter().flatten().for_each(|id| world.server.hang_up(*id, true, now));
        world.server.take_ended(&mut Vec::new());
    }
    Ok(())
}

/// Whether each address that played over Socket.IO may begin as many sessions as ever, and no more.
fn check_sessions(world: &mut World) -> Result<(), String> {
    for index in 0..world.guests.all.len() {
        let now = Millis(world.now);
        let opened = world.server.open(Guests::address(index), now);
        let id = opened.map_err(|why| format!("{why:?}"))?;
        let begun = (0..SESSIONS_UNUSED).filter(|_| begins(world, id)).count();
        if begun != SESSIONS_UNUSED || begins(world, id) {
            return Err(format!("guest {index} may begin {begun} sessions, or more"));
        }
        world.server.hang_up(id, true, now);
        world.server.take_ended(&mut Vec::new());
    }
    Ok(())
}

/// Whether a session begins over a connection.
fn begins(world: &mut World, id: ConnId) -> bool {
    let now = Millis(world.now);
    world.server.receive(id, &mut caller::opening(""), now);
    let mut slices = [IoSlice::new(&[]); 16];
    let count = world.server.slices(id, &mut slices);
    let bytes = lab::concat(&slices[..count]);
    world.server.written(id, bytes.len(), bytes.len(), now);
    bytes.starts_with(b"HTTP/1.1 200 ")
}

/// `GET /metrics` as an operator on the same machine; behind a proxy nobody is, so there it comes by
/// `--admin-listen`.
fn fetch_metrics(world: &mut World) -> Result<String, String> {
    let now = Millis(world.now);
    let peer = "127.0.0.1".parse().expect("an address");
    let opened = match world.plan.has_proxy {
        true => world.server.open_admin(peer, now),
        false => world.server.open(peer, now),
    };
    let id = opened.map_err(|why| format!("{why:?}"))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", lab::PORT);
    world.server.receive(id, &mut request.into_bytes(), now);
    let mut slices = [IoSlice::new(&[]); 16];
    let count = world.server.slices(id, &mut slices);
    let bytes = lab::concat(&slices[..count]);
    world.server.written(id, bytes.len(), bytes.len(), now);
    let (mut ear, mut heard) = (Ear::default(), Vec::new());
    ear.asked(false);
    ear.hear(&bytes, &mut heard)?;
    match heard.as_slice() {
        [Heard::Response(200, _, body)] => Ok(String::from_utf8_lossy(body).into_owned()),
        other => Err(format!("no metrics: {other:?}")),
    }
}
