//! Runs the whole `Server` and the loop around it from one seed: simulated sockets, 64 model
//! clients and a virtual clock.
//!
//! Every turn is checked against the invariants in `sim/simulation/` and against what the other
//! clients see (`sim/oracle.rs`). `all_seeds` has the tests.

mod abuse;
mod battles;
mod bots;
mod client;
pub mod client_model;
mod crowd;
mod directed;
pub mod faults;
pub mod fixture;
mod lower_rates;
mod memory;
mod network;
mod oracle;
mod outages;
mod pages_wait;
mod places;
pub mod requests;
pub mod response_reader;
pub mod scripted_client;
mod seats;
mod simulated_socket;
mod simulation;
mod sink;
mod slow_ticks;
mod socketio;
mod socketio_client;
mod stalled_readers;
mod stalls;
mod streams;
mod tls;
mod transcript;
mod turns;
mod v1;
pub mod v1_client;
pub mod v1_peer;
mod v1_rooms;

use std::io::IoSlice;
use std::net::IpAddr;

use skirmish::close::CloseReason;
use skirmish::limits::JOINS_TOTAL;
use skirmish::metrics::Refusal;
use skirmish::server::{ConnId, ListenerKind};
use skirmish::time::Millis;

use faults::KINDS;
use oracle::Oracle;
use response_reader::{Received, ResponseReader};
use simulation::{PING_INTERVAL_MS, PING_TIMEOUT_MS, PROXY, Simulation, SocketIoClients};

/// Fast, and the same on every machine.
pub use rand::rngs::Xoshiro256PlusPlus as SimRng;

/// The documented limit for an address without players. Not read from the server.
const CONNECTIONS_PER_ADDRESS: usize = 12;
/// The documented limit of Socket.IO sessions per address that have no player.
const UNUSED_SESSIONS_PER_ADDRESS: usize = 64;

/// The result of one seed.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A checksum of everything the server wrote.
    transcript: u32,
    /// How often each rare thing was reached, with its name.
    pub reached: Vec<(&'static str, u64)>,
}

/// Runs a seed until all its clients have left.
///
/// # Errors
/// What the server did wrong, or the model of its clients.
pub fn run(seed: u64) -> Result<Outcome, String> {
    // A seed before, on the same thread, may have failed with a panic armed.
    faults::disarm();
    let mut simulation = Simulation::new(seed);
    while simulation.now < simulation.plan.span_ms {
        simulation.turn()?;
    }
    simulation.begin_end();
    let end = simulation.now;
    // The last connections are browsers. A page can take long to read, and the keep-alive adds a
    // minute.
    while simulation.connected() > 0 && simulation.now < end + 300_000 {
        simulation.turn()?;
    }
    // A session over polling may outlive its last connection by a heartbeat. The server removes
    // empty rooms after half a minute.
    let last_connection_at = simulation.now;
    let rest_ms = PING_INTERVAL_MS + PING_TIMEOUT_MS + simulation.plan.resume_s * 1_000 + 32_000;
    while simulation.now < last_connection_at + rest_ms {
        simulation.turn()?;
    }
    eprintln!("seed {seed}: {}", summary(&mut simulation));
    check_empty(&mut simulation)?;
    // In a small run most clients may be too slow, or speak Socket.IO.
    let compared = simulation.oracle.compared + simulation.oracle.compared_v1;
    if compared < simulation.plan.clients as u64 {
        return Err(format!("only {compared} states were compared"));
    }
    let seats_given = simulation.server().metrics().refusals(Refusal::RoomShare);
    let (transcript, rare) = simulation.finish();
    let Simulation { oracle: Oracle { kills, counted, .. }, compressed, .. } = simulation;
    let mut reached = vec![
        ("refused connection", simulation.refused),
        ("evicted connection", simulation.evicted),
        ("seat given", seats_given),
        ("kill", kills),
        ("kill that matched a death", counted),
        ("compressed state", compressed.states),
        ("compressed packet", compressed.packets),
        ("compressed message of a client", compressed.sent),
    ];
    reached.extend(simulation.socketio.coverage.all());
    reached.extend(simulation.v1.all());
    reached.extend(simulation.resumes.all());
    reached.extend(rare.all());
    reached.extend(KINDS.into_iter().zip(rare.panics));
    Ok(Outcome { transcript, reached })
}

/// What the seed reached; printed with `--nocapture`.
fn summary(simulation: &mut Simulation) -> String {
    let metrics = simulation.server().metrics().clone();
    let closes: Vec<String> = CloseReason::ALL
        .iter()
        .filter(|reason| metrics.closes(**reason) > 0)
        .map(|reason| format!("{} {}", reason.label(), metrics.closes(*reason)))
        .collect();
    format!(
        "{} clients, {} per address{}, {} connections, {} refused, {} evicted, {} players, \
         {} seats given, {} s, \
         {} and {} states compared, {} skipped, {} short writes, {} kills, {} matched; {:?}; {:?}; {:?}; ended: {}",
        simulation.plan.clients,
        simulation.plan.clients_per_address,
        match (simulation.plan.has_proxy, simulation.plan.has_header) {
            (_, true) => ", a proxy with headers",
            (true, _) => ", a proxy",
            _ => "",
        },
        simulation.opened,
        simulation.refused,
        simulation.evicted,
        metrics.joins,
        metrics.refusals(Refusal::RoomShare),
        simulation.now / 1000,
        simulation.oracle.compared,
        simulation.oracle.compared_v1,
        metrics.snapshots_skipped,
        metrics.short_writes,
        simulation.oracle.kills,
        simulation.oracle.counted,
        simulation.socketio.coverage,
        simulation.v1,
        simulation.resumes,
        closes.join(", ")
    )
}

/// Checks that no connection, session, player or room is left.
fn check_empty(simulation: &mut Simulation) -> Result<(), String> {
    if !simulation.server().is_empty() || simulation.connected() > 0 {
        return Err(format!("connections are left: {}", simulation.describe_connected()));
    }
    let now = simulation.now();
    if simulation.is_draining() && !simulation.server().is_drained(now) {
        return Err("not drained".to_owned());
    }
    if simulation.is_draining() != simulation.has_drained {
        return Err("the loop ends exactly if the server drains".to_owned());
    }
    let metrics = fetch_metrics(simulation)?;
    let draining = u64::from(simulation.is_draining());
    let panics = simulation.panics;
    // The one connection is the one that asks for the metrics.
    let expected = [
        ("connections", 1),
        ("players", 0),
        ("engine_sessions", 0),
        ("polls_held", 0),
        ("rooms", 0),
        ("draining", draining),
        ("panics_total", panics),
    ];
    for (name, value) in expected {
        let line = format!("skirmish_{name} {value}");
        if !metrics.lines().any(|have| have == line) {
            return Err(format!("{line} is missing in {metrics}"));
        }
    }
    if simulation.opened != simulation.ended {
        return Err(format!("{} were opened and {} ended", simulation.opened, simulation.ended));
    }
    let closes: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("skirmish_closes_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    // A session that ends over polling is counted in addition to its connections.
    let sessions = simulation.socketio.coverage.sessions;
    if !(simulation.ended..=simulation.ended + sessions).contains(&closes) {
        return Err(format!("{} and {sessions} ended, {closes} were counted", simulation.ended));
    }
    check_connection_limit(simulation)?;
    if simulation.is_draining() { Ok(()) } else { check_session_limit(simulation) }
}

/// Checks that each address can open its full share of connections again, and not one more.
fn check_connection_limit(simulation: &mut Simulation) -> Result<(), String> {
    let plan = &simulation.plan;
    let groups =
        (0..plan.address_groups()).map(|group| plan.address(plan.clients_of_group(group).start));
    let socketio_clients = (0..simulation.socketio.clients.len()).map(SocketIoClients::address);
    for address in groups.chain(socketio_clients).collect::<Vec<_>>() {
        let opened: Vec<_> = std::iter::repeat_with(|| open(simulation, address))
            .take(CONNECTIONS_PER_ADDRESS + 1)
            .collect();
        let (last, share) = opened.split_last().expect("there is a last one");
        if share.iter().any(Result::is_err) || *last != Err(Refusal::AddressFull) {
            let times = share.iter().flatten().count();
            return Err(format!("{address} opened {times} connections, and then {last:?}"));
        }
        let now = Millis(simulation.now);
        share.iter().flatten().for_each(|id| simulation.server().peer_closed(*id, true, now));
        simulation.server().take_ended(&mut Vec::new());
    }
    Ok(())
}

/// Opens a connection of a client; if there is a header that names it, by that.
fn open(simulation: &mut Simulation, client: IpAddr) -> Result<ConnId, Refusal> {
    let now = Millis(simulation.now);
    let has_header = simulation.plan.has_header;
    let server = simulation.server();
    let peer = if has_header { PROXY } else { client };
    let id = server.open(peer, ListenerKind::Public, now)?;
    let refused = server.metrics().refusals(Refusal::AddressFull);
    if has_header {
        server.set_client_addr(id, Some(client), now);
    }
    match server.metrics().refusals(Refusal::AddressFull) > refused {
        true => Err(Refusal::AddressFull),
        false => Ok(id),
    }
}

/// Checks that each Socket.IO address can open its full share of sessions again, and not one more.
fn check_session_limit(simulation: &mut Simulation) -> Result<(), String> {
    for index in 0..simulation.socketio.clients.len() {
        // All together may join only so fast.
        let joins = UNUSED_SESSIONS_PER_ADDRESS as u64 + 1;
        simulation.now += joins * 1_000 / u64::from(JOINS_TOTAL.per_s) + 1;
        let now = Millis(simulation.now);
        let opened = open(simulation, SocketIoClients::address(index));
        let id = opened.map_err(|why| format!("{why:?}"))?;
        let begun =
            (0..UNUSED_SESSIONS_PER_ADDRESS).filter(|_| opens_session(simulation, id)).count();
        if begun != UNUSED_SESSIONS_PER_ADDRESS || opens_session(simulation, id) {
            return Err(format!(
                "Socket.IO client {index} opened {begun} sessions, not exactly its limit"
            ));
        }
        simulation.server().peer_closed(id, true, now);
        simulation.server().take_ended(&mut Vec::new());
    }
    Ok(())
}

/// Whether a new session opens over the connection.
fn opens_session(simulation: &mut Simulation, id: ConnId) -> bool {
    let now = Millis(simulation.now);
    simulation.server().receive(id, &mut requests::opening(""), now);
    let mut slices = [IoSlice::new(&[]); 16];
    let count = simulation.server().slices(id, &mut slices);
    let bytes = fixture::concat(&slices[..count]);
    simulation.server().written(id, bytes.len(), bytes.len(), now);
    bytes.starts_with(b"HTTP/1.1 200 ")
}

/// Fetches `GET /metrics` from loopback. Behind a proxy no address counts as local, so the request
/// then comes through `--admin-listen`.
fn fetch_metrics(simulation: &mut Simulation) -> Result<String, String> {
    let now = Millis(simulation.now);
    let peer = "127.0.0.1".parse().expect("an address");
    let kind = if simulation.plan.has_proxy { ListenerKind::Admin } else { ListenerKind::Public };
    let id = simulation.server().open(peer, kind, now).map_err(|why| format!("{why:?}"))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", fixture::PORT);
    simulation.server().receive(id, &mut request.into_bytes(), now);
    let mut slices = [IoSlice::new(&[]); 16];
    let count = simulation.server().slices(id, &mut slices);
    let bytes = fixture::concat(&slices[..count]);
    simulation.server().written(id, bytes.len(), bytes.len(), now);
    let (mut reader, mut received) = (ResponseReader::default(), Vec::new());
    reader.expect_response(false);
    reader.read(&bytes, &mut received)?;
    match received.as_slice() {
        [Received::Response(200, _, body)] => Ok(String::from_utf8_lossy(body).into_owned()),
        other => Err(format!("not the metrics page: {other:?}")),
    }
}
