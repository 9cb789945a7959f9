//! The simulation of one seed: the loop of the server over simulated sockets, a virtual clock, and
//! the clients. Everything follows from the seed.

use std::collections::{HashMap, HashSet};
use std::io::IoSlice;

use rand::{RngExt, SeedableRng};
use skirmish::metrics::Refusal;
use skirmish::reactor::{Acceptor, Turn, parse_proxy_header};
use skirmish::server::{ConnId, End, ListenerKind, ReadState, Server};
use skirmish::time::Millis;

use super::client::{Client, Kind};
use super::faults::Victim;
use super::fixture;
use super::network::{Connected, Network, Outcome, Owner, PLAYERS, Rare};
use super::oracle::Oracle;
use super::simulated_socket::SimulatedSocket;
use super::socketio_client::SocketIoClient;
use super::v1_client::V1Coverage;
use crate::sim::SimRng;

mod absences;
mod address_limits;
mod checks;
mod injected;
mod operator;
mod plan;
mod socketio_clients;
mod v1_clients;

use absences::{Absences, Loss, PlayerOf, ResumeCoverage};
use address_limits::AddressLoad;
use operator::Operator;
use plan::{Plan, new_client};

/// From the documentation, not from the server.
const TICK_MS: u64 = 50;
const STALL_MS: u64 = 10_000;
const SILENCE_MS: u64 = 12_000;
const KEEP_ALIVE_MS: u64 = 75_000;
const LINGER_MS: u64 = 2_000;
/// A late turn, the tick on which the server checks its deadlines, and a pass over what is unread.
const SLACK_MS: u64 = 1_000;
const FACT_BYTES_MAX: usize = 64 * 1024;
const ROOM_PLAYERS_MAX: usize = 24;
/// How often the loop runs in one turn of the simulation, while bytes come in pieces.
const RUNS_PER_TURN: u32 = 12;
/// Long enough that the loop ends only with the last connection.
const DRAIN_SPAN_MS: u64 = 1_000_000;

pub use plan::PROXY;
pub use socketio_clients::{PING_INTERVAL_MS, PING_TIMEOUT_MS, SocketIoClients};

/// Compressed messages of all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressed {
    pub states: u64,
    pub packets: u64,
    pub sent: u64,
}

pub struct Simulation {
    pub plan: Plan,
    pub rng: SimRng,
    pub turn: Turn<Network>,
    pub oracle: Oracle,
    /// The server's clock; it stops while the server's process is paused.
    pub now: u64,
    /// When the loop began its last turn, by that clock.
    run_began: u64,
    /// The clients' clock.
    pub wall: u64,
    clients: Vec<Client>,
    /// When each disconnected client comes back.
    returns_at: Vec<u64>,
    /// Whether each waits for its connection to be accepted.
    is_connecting: Vec<bool>,
    owners: HashMap<ConnId, usize>,
    /// Connections that were accepted when the client that asked for them had gone.
    orphans: HashSet<ConnId>,
    stale: Vec<ConnId>,
    absences: Absences,
    pub resumes: ResumeCoverage,
    operator: Operator,
    pub socketio: SocketIoClients,
    pub compressed: Compressed,
    /// What clients of skirmish.v1 reached on connections that have ended.
    pub v1: V1Coverage,
    /// The address groups that opened connections in this turn.
    address_loads: HashMap<usize, AddressLoad>,
    /// By room and address group: when the group last may have had more than its share of a full
    /// room.
    crowding: HashMap<(usize, usize), u64>,
    /// The last turn ended with a tick, before all that the clients had sent was read.
    is_cut_short: bool,
    is_draining: bool,
    /// The loop has ended, because the server has drained.
    pub has_drained: bool,
    /// Clients that leave do not come back.
    is_ending: bool,
    pub opened: u64,
    pub ended: u64,
    /// The kind of place where the server panics next, and how often it has panicked.
    panics_at: Option<usize>,
    pub panics: u64,
    /// Connections refused, and idle connections evicted.
    pub refused: u64,
    pub evicted: u64,
}

type Check = Result<(), String>;

impl Simulation {
    pub fn new(seed: u64) -> Simulation {
        let mut rng = SimRng::seed_from_u64(seed);
        let plan = Plan::draw(seed, &mut rng);
        let (players_max, proxy) = (ROOM_PLAYERS_MAX.to_string(), PROXY.to_string());
        let (interval_ms, timeout_ms) = (PING_INTERVAL_MS.to_string(), PING_TIMEOUT_MS.to_string());
        let resume_s = plan.resume_s.to_string();
        let mut flags = vec!["--room-players-max", &players_max];
        flags.extend(["--ping-interval-ms", &interval_ms, "--ping-timeout-ms", &timeout_ms]);
        flags.extend(["--resume-s", &resume_s]);
        if plan.has_proxy {
            flags.extend(["--trusted-proxy", &proxy]);
        }
        let public = match plan.has_header {
            true => {
                flags.push("--proxy-protocol");
                Acceptor { preface: Some(parse_proxy_header), ..ListenerKind::Public.into() }
            }
            false => ListenerKind::Public.into(),
        };
        let server = fixture::server(&flags, seed, fixture::assets());
        // A small buffer is filled by ordinary messages.
        let read_bytes = [64, 1_000, 8_192][rng.random_range(0..3)];
        let turn =
            Turn::new(Network::new(seed), [ListenerKind::Admin.into(), public], server, read_bytes);
        let mut clients = Vec::new();
        for index in 0..plan.clients {
            let client = match index < plan.rooms {
                true => Client::new(Kind::Observer, (index, plan.room_name(index)), 0, &mut rng),
                false => new_client(&plan, index, 0, &mut rng),
            };
            clients.push(client);
        }
        let returns_at = |index| if index < plan.rooms { 0 } else { 200 + 20 * index as u64 };
        let mut simulation = Simulation {
            oracle: Oracle::new((0..plan.rooms).map(|room| plan.is_battle(room))),
            returns_at: (0..plan.clients).map(returns_at).collect(),
            is_connecting: vec![false; plan.clients],
            plan,
            rng,
            turn,
            now: 0,
            run_began: 0,
            wall: 0,
            clients,
            owners: HashMap::new(),
            orphans: HashSet::new(),
            stale: Vec::new(),
            absences: Absences::default(),
            resumes: ResumeCoverage::default(),
            operator: Operator::default(),
            socketio: SocketIoClients::default(),
            compressed: Compressed::default(),
            v1: V1Coverage::default(),
            address_loads: HashMap::new(),
            crowding: HashMap::new(),
            is_cut_short: false,
            is_draining: false,
            has_drained: false,
            is_ending: false,
            opened: 0,
            ended: 0,
            panics_at: None,
            panics: 0,
            refused: 0,
            evicted: 0,
        };
        simulation.socketio = SocketIoClients::new(&mut simulation);
        simulation
    }

    /// Time passes, the clients act, and the loop runs until it has read what they sent.
    pub fn turn(&mut self) -> Check {
        let span_ms = self.advance_clocks();
        self.act(span_ms)?;
        self.connect();
        self.connect_socketio();
        self.act_operator();
        self.plan_panic();
        self.bound_queues();
        let ticks = self.oracle.ticks;
        for _ in 0..RUNS_PER_TURN {
            self.run()?;
            self.turn.sockets_mut().step_us = 0;
            let has_input = self.has_unreported_input();
            // What is read after a tick is not compared with the state of that tick.
            let has_ticked = self.oracle.ticks > ticks;
            self.is_cut_short = has_ticked && has_input;
            if has_ticked || !has_input {
                break;
            }
        }
        self.check_address_limits()?;
        self.call_with_stale_handle()?;
        self.receive(0)?;
        self.check(self.oracle.ticks > ticks, self.turn.is_flushed())
    }

    pub fn server(&mut self) -> &mut Server {
        self.turn.server_mut()
    }

    /// The time on the server's clock.
    pub fn now(&self) -> Millis {
        Millis(self.now)
    }

    /// A checksum of everything that the loop did, and how often it took rare paths.
    pub fn finish(&mut self) -> (u32, Rare) {
        let network = self.turn.sockets_mut();
        (network.transcript.sum(), network.rare)
    }

    // --- time, and what the clients do ------------------------------------------------------------

    /// Advances the clocks. A pause of the server's process advances only the clients' clock.
    fn advance_clocks(&mut self) -> u64 {
        let to_tick_us = self.turn.wait_us();
        let is_cut_short = std::mem::take(&mut self.is_cut_short);
        let is_flushed = self.turn.is_flushed();
        let network = self.turn.sockets_mut();
        let (span_us, pause_ms) = match self.rng.random_range(0..1000) {
            // With work left, the loop does not wait.
            _ if to_tick_us == 0 || is_cut_short => (0, 0),
            0 if self.plan.pauses => (TICK_MS * 1000, self.rng.random_range(1_000..30_000)),
            1..5 => (to_tick_us + self.rng.random_range(0..400_000), 0),
            n if n % 4 > 0 => (to_tick_us, 0),
            _ => (self.rng.random_range(0..=to_tick_us), 0),
        };
        network.rare.pauses += u64::from(pause_ms > 0);
        network.rare.late_ticks += u64::from(span_us > to_tick_us);
        // Slow enough to cut a flush short, and fast enough for the observer to get every tick.
        if span_us <= to_tick_us && is_flushed && self.rng.random_ratio(1, 20) {
            network.step_us = [100, 300, 700][self.rng.random_range(0..3)];
            network.rare.slow_turns += 1;
        }
        network.now_us += span_us;
        let now = network.now_us / 1000;
        let span_ms = now - self.now + pause_ms;
        (self.now, self.wall) = (now, self.wall + span_ms);
        span_ms
    }

    fn act(&mut self, span_ms: u64) -> Check {
        self.receive(span_ms)?;
        for client in &mut self.clients {
            let before = client.compressed;
            let acknowledged = client.v1.as_ref().and_then(|v1| v1.acknowledged);
            client.act(self.wall, self.oracle.number_max, &mut self.rng);
            client.note_acknowledgement(acknowledged, self.oracle.current_tick(client.room.0));
            self.compressed.sent += client.compressed - before;
            if client.kind == Kind::Observer && (client.expected_close.is_some() || client.is_gone)
            {
                self.oracle.rooms[client.room.0].is_over = true;
            }
        }
        self.act_socketio();
        self.note_full_rooms();
        self.note_crowding_groups();
        Ok(())
    }

    /// Clients that are away connect.
    fn connect(&mut self) {
        for index in 0..self.clients.len() {
            let is_away = self.clients[index].socket.is_none() && !self.is_connecting[index];
            if !is_away || self.returns_at[index] > self.wall || self.is_ending {
                continue;
            }
            if index >= self.plan.rooms {
                let presented = self.token_to_present(index);
                self.clients[index] = new_client(&self.plan, index, self.wall, &mut self.rng);
                self.present(index, presented);
            }
            let address = self.plan.address(index);
            let is_forwarded = self.plan.has_proxy && self.rng.random_bool(0.5);
            let is_forwarded = is_forwarded || self.plan.has_header;
            self.clients[index].forwarded_for = is_forwarded.then_some(address);
            let is_undisturbed = self.clients[index].kind == Kind::Observer;
            let mut socket = SimulatedSocket::new(is_undisturbed, &mut self.rng);
            socket.inbound.extend(self.plan.header(PROXY, index));
            let peer = if is_forwarded { PROXY } else { address };
            let network = self.turn.sockets_mut();
            self.is_connecting[index] =
                network.connect(PLAYERS, Owner::Client(index), peer, socket);
        }
    }

    // --- one turn of the loop ---------------------------------------------------------------------

    /// Runs the loop once, and takes note of what it did with the sockets, in order.
    fn run(&mut self) -> Check {
        let metrics = self.server().metrics();
        let (ticks, refused) = (metrics.ticks, metrics.refusals(Refusal::AddressFull));
        let before_us = self.turn.sockets_mut().now_us;
        self.run_began = before_us / 1000;
        self.socketio.found_close_while_writing = false;
        self.note_unanswered_polls();
        self.arm_panic();
        self.exchange_clients();
        self.turn.sockets_mut().connections =
            self.connected() + usize::from(self.operator.id.is_some());
        let result = self.turn.run();
        self.exchange_clients();
        let flow = result.map_err(|error| error.to_string())?;
        self.has_drained |= flow.is_break();

        let is_flushed = self.turn.is_flushed();
        let metrics = self.turn.server().metrics();
        let ticks = (metrics.ticks - ticks) as u32;
        let refused = (metrics.refusals(Refusal::AddressFull) - refused) as usize;
        let network = self.turn.sockets_mut();
        if let Some(why) = network.failure.take() {
            return Err(why);
        }
        network.rare.unfinished_flushes += u64::from(!is_flushed);
        let passed_ms = network.now_us / 1000 - before_us / 1000;
        (self.now, self.wall) = (network.now_us / 1000, self.wall + passed_ms);
        let read_ends = std::mem::take(&mut network.read_ends);
        let write_ends = std::mem::take(&mut network.write_ends);
        let mut connected = std::mem::take(&mut network.connected);
        let ended = std::mem::take(&mut network.ended);

        read_ends.into_iter().for_each(|(owner, _)| self.note_left(owner));
        self.oracle.ticks += ticks;
        let victim = self.note_panic();
        self.note_polls();
        if let Some(Victim::Opening(peer)) = victim {
            let is_it = |it: &&mut Connected| it.peer == peer && it.outcome == Outcome::Refused;
            let struck = connected.iter_mut().find(is_it).ok_or("nothing was opened")?;
            struck.outcome = Outcome::Aborted;
        }
        let is_refused = |connected: &&Connected| connected.outcome == Outcome::Refused;
        if connected.iter().filter(is_refused).count() > refused {
            return Err("a connection is refused for another reason than its address".to_owned());
        }
        connected.into_iter().try_for_each(|connected| self.connected_or_not(connected))?;
        for (owner, _) in write_ends {
            self.socketio.found_close_while_writing = true;
            self.note_left(owner);
        }
        ended.into_iter().try_for_each(|(id, end)| self.ended(id, end))?;
        self.update_sockets();
        self.receive_operator()
    }

    /// Gives the clients to the loop, or takes them back.
    fn exchange_clients(&mut self) {
        let network = self.turn.sockets_mut();
        std::mem::swap(&mut network.clients, &mut self.clients);
        std::mem::swap(&mut network.socketio, &mut self.socketio.clients);
    }

    /// Sets how much may be queued for each client.
    fn bound_queues(&mut self) {
        for client in &mut self.clients {
            let is_http = client.is_http();
            let Some(socket) = &mut client.socket else { continue };
            let room = self.oracle.rooms.get(client.room.0);
            // A new player makes the state larger than any before.
            let state_bytes = room.map_or(0, |room| room.state_bytes_max);
            let most = FACT_BYTES_MAX + 2 * state_bytes + 10_000;
            socket.queued_bytes_max = if is_http { usize::MAX } else { most };
        }
    }

    /// The server has learned that a client closed the connection.
    fn note_left(&mut self, owner: Owner) {
        if let Owner::Client(index) = owner {
            let client = &self.clients[index];
            // The server may have ended its session before.
            let tick = self.oracle.newest_tick(client.room.0);
            let may_be_slow = client.acknowledges_too_late(tick)
                || client
                    .socket
                    .as_ref()
                    .is_some_and(|it| it.stalled_ms_max + SLACK_MS >= STALL_MS);
            let is_certain = client.expected_close.is_none() && !client.may_be_rate_limited;
            let is_certain = is_certain && !client.is_struck && !may_be_slow;
            let is_certain = is_certain && !self.may_lose_seat(index);
            self.end_player(index, if is_certain { Loss::Now } else { Loss::Maybe });
        }
    }

    fn connected_or_not(&mut self, connected: Connected) -> Check {
        let index = match connected.owner {
            Owner::Client(index) => index,
            Owner::SocketIo(..) => return self.socketio_connected(connected),
            Owner::Operator => return self.operator_connected(connected),
        };
        let Connected { peer, socket, outcome, .. } = connected;
        self.is_connecting[index] = false;
        self.returns_at[index] = self.wall + 1_000;
        match outcome {
            Outcome::Aborted => {}
            Outcome::Refused => self.note_refused(index, peer)?,
            Outcome::Unwatched => {
                self.note_opened(index, peer);
                self.note_unwatched(index, peer);
                self.closed_at_once(socket.id);
            }
            Outcome::Opened => {
                self.note_opened(index, peer);
                self.opened += 1;
                let before = self.owners.insert(socket.id, index);
                assert_eq!(before, None, "a handle is never reused");
                self.clients[index].socket = Some(socket);
            }
        }
        Ok(())
    }

    /// A connection was opened, and closed in the same turn.
    fn closed_at_once(&mut self, id: ConnId) {
        self.opened += 1;
        self.ended += 1;
        self.stale.push(id);
    }

    fn ended(&mut self, id: ConnId, end: End) -> Check {
        let transcript = &mut self.turn.sockets_mut().transcript;
        transcript.update(&id.serial.to_le_bytes());
        transcript.update(&[end as u8]);
        if self.operator.id == Some(id) {
            return self.end_operator(id, end);
        }
        if self.orphans.contains(&id) {
            if end != End::Shut {
                self.orphans.remove(&id);
                self.ended += 1;
                self.stale.push(id);
            }
            return Ok(());
        }
        let Some(index) = self.owners.get(&id).copied() else {
            return self.end_socketio(id, end);
        };
        match end {
            End::Shut => {
                let bytes = self.clients[index].read(0);
                self.receive_bytes(index, &bytes)
                    .map_err(|why| format!("{why}: {}", self.describe(id)))?;
                if let Some(socket) = &mut self.clients[index].socket {
                    socket.is_write_shut = true;
                }
                self.clients[index].close_too(&mut self.rng);
                Ok(())
            }
            End::Close | End::Reset => self
                .connection_closed(index, end)
                .map_err(|why| format!("{why}: {}", self.describe_client(index, id))),
        }
    }

    /// Takes over what the loop knows of each socket.
    fn update_sockets(&mut self) {
        let mut unread = 0;
        let now = self.now;
        for socket in sockets(&mut self.clients, &mut self.socketio.clients) {
            if let Some(stream) = self.turn.stream(socket.id) {
                let has_waited =
                    stream.is_in_read_queue && !stream.is_deferred && socket.opened_at < now;
                unread += u64::from(has_waited && socket.reads == 0);
                socket.is_input_pending = stream.is_deferred;
                socket.is_in_write_queue = stream.is_in_write_queue;
            }
            (socket.reads, socket.writes) = (0, 0);
        }
        self.turn.sockets_mut().rare.unfinished_reads += unread;
    }

    /// Whether events must still report bytes that clients sent.
    fn has_unreported_input(&mut self) -> bool {
        sockets(&mut self.clients, &mut self.socketio.clients)
            .any(|socket| !socket.is_input_pending && socket.has_unreported_bytes())
    }

    // --- stale handles ----------------------------------------------------------------------------

    /// A stale handle must have no effect, even if its slot is in use again.
    fn call_with_stale_handle(&mut self) -> Check {
        if self.stale.is_empty() || !self.rng.random_ratio(1, 10) {
            return Ok(());
        }
        let id = self.stale[self.rng.random_range(0..self.stale.len())];
        let now = Millis(self.now);
        let server = self.turn.server_mut();
        let read_state = server.receive(id, &mut fixture::text("stale"), now);
        server.written(id, 0, 100, now);
        server.peer_closed(id, self.rng.random_bool(0.5), now);
        let count = server.slices(id, &mut [IoSlice::new(&[]); 4]);
        match (read_state, count, server.may_read(id)) {
            (ReadState::Open, 0, false) => Ok(()),
            other => Err(format!("a stale handle returned {other:?}")),
        }
    }

    // --- the end ----------------------------------------------------------------------------------

    /// From now on, clients that leave do not come back. The server drains, if the plan says so.
    pub fn begin_end(&mut self) {
        self.is_ending = true;
        if self.plan.is_drained {
            self.is_draining = true;
            assert!(
                self.turn.drain(DRAIN_SPAN_MS, false) && !self.turn.drain(DRAIN_SPAN_MS, false)
            );
            self.turn.sockets_mut().rare.drains += 1;
        }
        for index in 0..self.clients.len() {
            // Observers stay to the end, as the reference for the others.
            let span_ms = if index < self.plan.rooms { 8_000 } else { 5_000 };
            let at = self.wall + self.rng.random_range(span_ms - 4_000..span_ms);
            self.clients[index].leave_by(at);
        }
        for index in 0..self.socketio.clients.len() {
            let at = self.wall + self.rng.random_range(500..4_000);
            self.socketio.clients[index].leave_by(at);
        }
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// How many clients have a connection.
    pub fn connected(&self) -> usize {
        self.owners.len() + self.socketio.owners.len() + self.orphans.len()
    }

    /// Describes the clients that have a connection.
    pub fn describe_connected(&self) -> String {
        let sockets = self.clients.iter().filter_map(|client| client.socket.as_ref());
        let socketio = self.socketio.clients.iter().filter(|client| !client.connections.is_empty());
        let clients = sockets.map(|socket| self.describe(socket.id));
        clients.chain(socketio.map(SocketIoClient::describe)).collect::<Vec<_>>().join("; ")
    }
}

/// The sockets of all clients.
fn sockets<'a>(
    clients: &'a mut [Client],
    socketio: &'a mut [SocketIoClient],
) -> impl Iterator<Item = &'a mut SimulatedSocket> {
    let connections = socketio.iter_mut().flat_map(|client| &mut client.connections);
    let clients = clients.iter_mut().filter_map(|client| client.socket.as_mut());
    clients.chain(connections.map(|connection| &mut connection.socket))
}
