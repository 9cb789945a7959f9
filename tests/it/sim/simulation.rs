//! The simulation of one seed: a `Server`, a model of the reactor with the same phases, a virtual
//! clock, and the clients. Everything follows from the seed.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::io::IoSlice;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use skirmish::http::Assets;
use skirmish::server::{ConnId, End, ReadState, Server};
use skirmish::time::Millis;

use super::client::{Client, Kind};
use super::fixture;
use super::oracle::Oracle;
use super::simulated_socket::SimulatedSocket;

mod address_limits;
mod checks;
mod operator;
mod plan;
mod socketio_clients;

use address_limits::AddressLoad;
use operator::Operator;
use plan::{PROXY, Plan, new_client};
use socketio_clients::{PING_INTERVAL_MS, PING_TIMEOUT_MS};

/// From the documentation, not from the server.
const TICK_MS: u64 = 50;
const STALL_MS: u64 = 10_000;
const SILENCE_MS: u64 = 20_000;
const LINGER_MS: u64 = 2_000;
/// A late turn plus the tick on which the server checks its deadlines.
const SLACK_MS: u64 = 500;
const FACT_BYTES_MAX: usize = 64 * 1024;
const ROOM_PLAYERS_MAX: usize = 60;

pub use socketio_clients::{Coverage, SocketIoClients};

pub struct Simulation {
    pub plan: Plan,
    pub rng: ChaCha8Rng,
    pub server: Server,
    pub oracle: Oracle,
    /// The server's clock; it stops while the server's process is paused.
    pub now: u64,
    /// The clients' clock.
    pub wall: u64,
    tick_at: u64,
    clients: Vec<Client>,
    /// When each disconnected client comes back.
    returns_at: Vec<u64>,
    owners: HashMap<ConnId, usize>,
    readable: VecDeque<ConnId>,
    flush: VecDeque<ConnId>,
    stale: Vec<ConnId>,
    operator: Operator,
    pub socketio: SocketIoClients,
    /// The address groups that opened connections in this turn.
    address_loads: HashMap<usize, AddressLoad>,
    is_draining: bool,
    /// Clients that leave do not come back.
    is_ending: bool,
    pub transcript: DefaultHasher,
    pub opened: u64,
    pub ended: u64,
    /// Connections refused, and idle connections evicted.
    pub refused: u64,
    pub evicted: u64,
}

type Check = Result<(), String>;

impl Simulation {
    pub fn new(seed: u64) -> Simulation {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let (players_max, proxy) = (ROOM_PLAYERS_MAX.to_string(), PROXY.to_string());
        let (interval_ms, timeout_ms) = (PING_INTERVAL_MS.to_string(), PING_TIMEOUT_MS.to_string());
        let mut flags = vec!["--room-players-max", &players_max];
        flags.extend(["--ping-interval-ms", &interval_ms, "--ping-timeout-ms", &timeout_ms]);
        if plan.has_proxy {
            flags.extend(["--trusted-proxy", &proxy]);
        }
        let server = fixture::server(&flags, seed, Assets::embedded());
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
            plan,
            rng,
            server,
            now: 0,
            wall: 0,
            tick_at: TICK_MS,
            clients,
            owners: HashMap::new(),
            readable: VecDeque::new(),
            flush: VecDeque::new(),
            stale: Vec::new(),
            operator: Operator::default(),
            socketio: SocketIoClients::default(),
            address_loads: HashMap::new(),
            is_draining: false,
            is_ending: false,
            transcript: DefaultHasher::new(),
            opened: 0,
            ended: 0,
            refused: 0,
            evicted: 0,
        };
        simulation.socketio = SocketIoClients::new(&mut simulation);
        simulation
    }

    /// One turn, with the phases of the reactor.
    pub fn turn(&mut self) -> Check {
        let span_ms = self.wait();
        self.act(span_ms)?;
        self.read();
        let has_ticked = self.tick();
        self.accept()?;
        self.act_operator()?;
        let is_flushed = self.flush()?;
        self.reap()?;
        self.check_address_limits()?;
        self.call_with_stale_handle()?;
        self.receive(0)?;
        self.check(has_ticked, is_flushed)
    }

    // --- wait ------------------------------------------------------------------------------------

    /// Advances the clocks. A pause of the server's process advances only the clients' clock.
    fn wait(&mut self) -> u64 {
        let to_tick = self.tick_at.saturating_sub(self.now);
        let (span_ms, sleep_ms) = match self.rng.random_range(0..1000) {
            // With work left, the reactor does not wait.
            _ if !self.flush.is_empty() => (0, 0),
            0 if self.plan.pauses => (TICK_MS, self.rng.random_range(1_000..30_000)),
            1..5 => (to_tick + self.rng.random_range(0..400), 0),
            n if n % 2 == 0 => (to_tick, 0),
            _ => (self.rng.random_range(0..=to_tick), 0),
        };
        self.now += span_ms;
        self.wall += span_ms + sleep_ms;
        span_ms + sleep_ms
    }

    fn act(&mut self, span_ms: u64) -> Check {
        self.receive(span_ms)?;
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            client.act(self.wall, self.oracle.number_max, &mut self.rng);
            let Some(socket) = &mut client.socket else { continue };
            if client.kind == Kind::Observer && (client.expected_close.is_some() || client.is_gone)
            {
                self.oracle.rooms[client.room.0].is_over = true;
            }
            socket.update_readiness(&mut self.flush, &mut self.readable);
        }
        self.act_socketio();
        self.note_full_rooms();
        Ok(())
    }

    // --- read ------------------------------------------------------------------------------------

    fn read(&mut self) {
        for _ in 0..self.readable.len() {
            let Some(id) = self.readable.pop_front() else { break };
            let Some(index) = self.owners.get(&id) else {
                self.read_socketio(id);
                continue;
            };
            let client = &mut self.clients[*index];
            let Some(socket) = &mut client.socket else { continue };
            let (next_read, has_ended) =
                read_socket(&mut self.server, socket, &mut self.rng, self.now);
            if let (true, Some((number, _))) = (has_ended, client.joined) {
                self.oracle.left(number);
            }
            self.transcript.write_u8(next_read as u8);
            if !socket.is_paused && (socket.is_input_pending || socket.is_readable()) {
                socket.is_queued_to_read = true;
                self.readable.push_back(id);
            }
        }
        self.note_polls();
    }

    // --- tick, accept ----------------------------------------------------------------------------

    fn tick(&mut self) -> bool {
        if self.now < self.tick_at {
            return false;
        }
        let missed = (self.now - self.tick_at) / TICK_MS;
        self.tick_at += (missed + 1) * TICK_MS;
        self.oracle.ticks += 1;
        self.server.tick(Millis(self.now));
        self.server.publish();
        true
    }

    fn accept(&mut self) -> Check {
        for index in 0..self.clients.len() {
            let is_away = self.clients[index].socket.is_none();
            if !is_away || self.returns_at[index] > self.wall || self.is_ending {
                continue;
            }
            if index >= self.plan.rooms {
                self.clients[index] = new_client(&self.plan, index, self.wall, &mut self.rng);
            }
            let address = self.plan.address(index);
            let is_forwarded = self.plan.has_proxy && self.rng.random_bool(0.5);
            self.clients[index].forwarded_for = is_forwarded.then_some(address);
            let Some(id) = self.open(index, if is_forwarded { PROXY } else { address })? else {
                self.returns_at[index] = self.wall + 1_000;
                continue;
            };
            self.opened += 1;
            let is_undisturbed = self.clients[index].kind == Kind::Observer;
            let mut socket = SimulatedSocket::new(id, is_undisturbed, self.now, &mut self.rng);
            socket.is_queued_to_read = true;
            self.clients[index].socket = Some(socket);
            let before = self.owners.insert(id, index);
            assert_eq!(before, None, "a handle is never reused");
            self.readable.push_back(id);
        }
        self.accept_socketio()
    }

    // --- flush -----------------------------------------------------------------------------------

    /// Writes to the connections with queued output; sometimes to only some of them, as when the
    /// time slice is over. Returns whether none is left.
    fn flush(&mut self) -> Result<bool, String> {
        let mut dirty = Vec::new();
        self.server.take_dirty(&mut dirty, Millis(self.now));
        for id in dirty {
            if let Some(socket) = self.socket(id) {
                socket.is_queued_to_write = true;
            }
            self.socketio.mark_flushing(id);
            self.flush.push_back(id);
        }
        let mut budget = self.flush.len();
        if self.rng.random_ratio(1, 20) {
            budget = budget.div_ceil(2);
        }
        for _ in 0..budget {
            let Some(id) = self.flush.pop_front() else { break };
            self.flush_one(id).map_err(|why| format!("{why}, to {}", self.describe(id)))?;
        }
        Ok(self.flush.is_empty())
    }

    fn flush_one(&mut self, id: ConnId) -> Check {
        if self.operator.id == Some(id) {
            return self.write_to_operator(id);
        }
        let Some(index) = self.owners.get(&id) else { return self.flush_socketio(id) };
        let client = &mut self.clients[*index];
        let state_bytes =
            self.oracle.rooms.get(client.room.0).map_or(0, |room| room.state_bytes_max);
        // A newcomer makes the state larger than any before.
        let most = FACT_BYTES_MAX + 2 * state_bytes + 10_000;
        let most = if client.is_http() { usize::MAX } else { most };
        let Some(socket) = &mut client.socket else { return Ok(()) };
        let Simulation { server, transcript, rng, now, .. } = self;
        if flush_socket(server, socket, transcript, rng, *now, most)? {
            self.socketio.found_hang_up_while_writing = true;
            if let Some((number, _)) = client.joined {
                self.oracle.left(number);
            }
            return Ok(());
        }
        if socket.is_paused && self.server.may_read(id) {
            socket.is_paused = false;
            if !socket.is_queued_to_read {
                socket.is_queued_to_read = true;
                self.readable.push_back(id);
            }
        }
        Ok(())
    }

    // --- reap ------------------------------------------------------------------------------------

    fn reap(&mut self) -> Check {
        let mut ended = Vec::new();
        self.server.take_ended(&mut ended);
        for (id, end) in ended {
            self.transcript.write_u32(id.serial);
            self.transcript.write_u8(end as u8);
            if self.operator.id == Some(id) {
                self.end_operator(id, end)?;
                continue;
            }
            let Some(index) = self.owners.get(&id).copied() else {
                self.end_socketio(id, end)?;
                continue;
            };
            let describe = self.describe(id);
            match end {
                End::Shut => {
                    let bytes = self.clients[index].read(0);
                    self.receive_bytes(index, &bytes)
                        .map_err(|why| format!("{why}: {describe}"))?;
                    if let Some(socket) = &mut self.clients[index].socket {
                        socket.is_write_shut = true;
                    }
                    self.clients[index].hang_up(&mut self.rng);
                }
                End::Close | End::Reset => {
                    self.connection_closed(index, end)
                        .map_err(|why| format!("{why}: {describe}"))?;
                }
            }
        }
        Ok(())
    }

    /// A stale handle must have no effect, even if its slot is in use again.
    fn call_with_stale_handle(&mut self) -> Check {
        if self.stale.is_empty() || !self.rng.random_ratio(1, 10) {
            return Ok(());
        }
        let id = self.stale[self.rng.random_range(0..self.stale.len())];
        let now = Millis(self.now);
        let next_read = self.server.receive(id, &mut fixture::text("stale"), now);
        self.server.written(id, 0, 100, now);
        self.server.hang_up(id, self.rng.random_bool(0.5), now);
        let count = self.server.slices(id, &mut [IoSlice::new(&[]); 4]);
        match (next_read, count, self.server.may_read(id)) {
            (ReadState::Open, 0, false) => Ok(()),
            other => Err(format!("a stale handle returned {other:?}")),
        }
    }

    // --- the end ---------------------------------------------------------------------------------

    /// From now on, clients that leave do not come back. The server drains, if the plan says so.
    pub fn begin_end(&mut self) {
        self.is_ending = true;
        if self.plan.is_drained {
            self.is_draining = true;
            self.server.drain(Millis(self.now));
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
        self.owners.len() + self.socketio.owners.len()
    }

    /// Describes the clients that have a connection.
    pub fn describe_connected(&self) -> String {
        let sockets = self.clients.iter().filter_map(|client| client.socket.as_ref());
        let socketio = self.socketio.clients.iter().filter(|client| !client.connections.is_empty());
        let clients = sockets.map(|socket| self.describe(socket.id));
        clients.chain(socketio.map(|client| client.describe())).collect::<Vec<_>>().join("; ")
    }

    fn socket(&mut self, id: ConnId) -> Option<&mut SimulatedSocket> {
        self.clients[*self.owners.get(&id)?].socket.as_mut()
    }
}

/// Reads from a connection for one turn. Returns the server's answer, and whether the server was
/// told that the peer hung up.
fn read_socket(
    server: &mut Server,
    socket: &mut SimulatedSocket,
    rng: &mut ChaCha8Rng,
    now: u64,
) -> (ReadState, bool) {
    socket.is_queued_to_read = false;
    let (mut next_read, mut has_ended) = (ReadState::Open, false);
    for _ in 0..socket.reads_per_turn() {
        if socket.is_input_pending {
            next_read = server.receive(socket.id, &mut [], Millis(now));
        } else if !socket.inbound.is_empty() {
            let mut bytes = socket.read(rng);
            socket.last_read_at = now;
            socket.last_bytes_at = now;
            next_read = server.receive(socket.id, &mut bytes, Millis(now));
        } else if let (Some(is_broken), false) = (socket.end, socket.is_end_reported) {
            socket.is_end_reported = true;
            has_ended = true;
            next_read = ReadState::Open;
            server.hang_up(socket.id, is_broken, Millis(now));
        } else {
            break;
        }
        socket.is_input_pending = next_read != ReadState::Open;
        socket.is_paused = next_read == ReadState::Paused;
        if socket.is_paused {
            break;
        }
    }
    (next_read, has_ended)
}

/// Writes the output of a connection, at most `most` bytes queued. Returns whether the connection
/// turned out to be broken.
fn flush_socket(
    server: &mut Server,
    socket: &mut SimulatedSocket,
    transcript: &mut DefaultHasher,
    rng: &mut ChaCha8Rng,
    now: u64,
    most: usize,
) -> Result<bool, String> {
    socket.is_queued_to_write = false;
    let mut writes = 0;
    while !socket.is_blocked {
        writes += 1;
        if writes > 5_000 {
            return Err("the output never ends".to_owned());
        }
        // The reactor passes 16 slices; any number must work.
        let count_max = [1, 2, 16, 16, 1024][rng.random_range(0..5)];
        let mut slices = [IoSlice::new(&[]); 1024];
        let count = server.slices(socket.id, &mut slices[..count_max]);
        if count == 0 {
            break;
        }
        let shown = fixture::concat(&slices[..count]);
        if shown.len() > most {
            return Err(format!("{} bytes are queued", shown.len()));
        }
        if socket.end == Some(true) {
            // The write fails, which may be how the reactor first learns of it.
            socket.is_end_reported = true;
            server.hang_up(socket.id, true, Millis(now));
            return Ok(true);
        }
        let taken = socket.write(&shown, now, rng);
        transcript.write_u32(socket.id.serial);
        transcript.write(&shown[..taken]);
        server.written(socket.id, taken, shown.len(), Millis(now));
    }
    Ok(false)
}
