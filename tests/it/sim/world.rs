//! The world of one seed: a `Server`, its model reactor with the phases of the real one, a virtual
//! clock, and the clients. Everything that happens follows from the seed.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::io::IoSlice;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use skirmish::http::Assets;
use skirmish::server::{ConnId, End, ReadState, Server};
use skirmish::time::Millis;

use super::client::{Client, Kind};
use super::judge::Judge;
use super::lab;
use super::wire::Wire;

mod addresses;
mod checks;
mod guests;
mod operator;
mod plan;

use addresses::Crowd;
use guests::{PING_INTERVAL_MS, PING_TIMEOUT_MS};
use operator::Operator;
use plan::{PROXY, Plan, stranger};

/// Numbers of the promise, not read from the server.
const TICK_MS: u64 = 50;
const STALL_MS: u64 = 10_000;
const SILENCE_MS: u64 = 20_000;
const LINGER_MS: u64 = 2_000;
/// A late turn, and the tick on which the server looks.
const SLACK_MS: u64 = 500;
const FACT_BYTES_MAX: usize = 64 * 1024;
const ROOM_PLAYERS_MAX: usize = 60;

pub use guests::{Guests, Reach};

pub struct World {
    pub plan: Plan,
    pub rng: ChaCha8Rng,
    pub server: Server,
    pub judge: Judge,
    /// The server's clock, on which its own pauses do not count.
    pub now: u64,
    /// The clients' clock.
    pub wall: u64,
    tick_at: u64,
    clients: Vec<Client>,
    /// When each client that is away comes back.
    returns_at: Vec<u64>,
    owners: HashMap<ConnId, usize>,
    readable: VecDeque<ConnId>,
    flush: VecDeque<ConnId>,
    stale: Vec<ConnId>,
    operator: Operator,
    pub guests: Guests,
    /// The homes at which connections were opened in this turn.
    crowds: HashMap<usize, Crowd>,
    is_draining: bool,
    /// Whether those who are away stay away.
    is_ending: bool,
    pub transcript: DefaultHasher,
    pub opened: u64,
    pub ended: u64,
    /// Connections that were turned away, and idle ones that gave way.
    pub turned_away: u64,
    pub gave_way: u64,
}

type Check = Result<(), String>;

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let (players_max, proxy) = (ROOM_PLAYERS_MAX.to_string(), PROXY.to_string());
        let (interval_ms, timeout_ms) = (PING_INTERVAL_MS.to_string(), PING_TIMEOUT_MS.to_string());
        let mut flags = vec!["--room-players-max", &players_max];
        flags.extend(["--ping-interval-ms", &interval_ms, "--ping-timeout-ms", &timeout_ms]);
        if plan.has_proxy {
            flags.extend(["--trusted-proxy", &proxy]);
        }
        let server = lab::server(&flags, seed, Assets::embedded());
        let mut clients = Vec::new();
        for index in 0..plan.clients {
            let client = match index < plan.rooms {
                true => Client::new(Kind::Observer, (index, plan.room_name(index)), 0, &mut rng),
                false => stranger(&plan, index, 0, &mut rng),
            };
            clients.push(client);
        }
        let returns_at = |index| if index < plan.rooms { 0 } else { 200 + 20 * index as u64 };
        let mut world = World {
            judge: Judge::new((0..plan.rooms).map(|room| plan.is_battle(room))),
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
            guests: Guests::default(),
            crowds: HashMap::new(),
            is_draining: false,
            is_ending: false,
            transcript: DefaultHasher::new(),
            opened: 0,
            ended: 0,
            turned_away: 0,
            gave_way: 0,
        };
        world.guests = Guests::new(&mut world);
        world
    }

    /// One turn, with the phases of the reactor.
    pub fn turn(&mut self) -> Check {
        let span_ms = self.wait();
        self.act(span_ms)?;
        self.read();
        let has_ticked = self.tick();
        self.accept()?;
        self.operate()?;
        let is_flushed = self.flush()?;
        self.reap()?;
        self.check_crowds()?;
        self.poke_stale()?;
        self.hear(0)?;
        self.check(has_ticked, is_flushed)
    }

    // --- wait -------------------------------------------------------------------------------------

    /// Time passes, for the clients at least as much as for the server: its own sleep does not count.
    fn wait(&mut self) -> u64 {
        let to_tick = self.tick_at.saturating_sub(self.now);
        let (span_ms, sleep_ms) = match self.rng.random_range(0..1000) {
            // Work is left, so the reactor does not wait.
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
        self.hear(span_ms)?;
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            client.act(self.wall, self.judge.number_max, &mut self.rng);
            let Some(wire) = &mut client.wire else { continue };
            if client.kind == Kind::Observer && (client.expected_close.is_some() || client.is_gone)
            {
                self.judge.rooms[client.room.0].is_over = true;
            }
            wire.look(&mut self.flush, &mut self.readable);
        }
        self.act_guests();
        self.note_full_rooms();
        Ok(())
    }

    // --- read -------------------------------------------------------------------------------------

    fn read(&mut self) {
        for _ in 0..self.readable.len() {
            let Some(id) = self.readable.pop_front() else { break };
            let Some(index) = self.owners.get(&id) else {
                self.read_guest(id);
                continue;
            };
            let client = &mut self.clients[*index];
            let Some(wire) = &mut client.wire else { continue };
            let (read_state, has_ended) =
                read_wire(&mut self.server, wire, &mut self.rng, self.now);
            if let (true, Some((number, _))) = (has_ended, client.joined) {
                self.judge.left(number);
            }
            self.transcript.write_u8(read_state as u8);
            if !wire.is_paused && (wire.is_sated || wire.is_readable()) {
                wire.is_listed = true;
                self.readable.push_back(id);
            }
        }
        self.note_polls();
    }

    // --- tick, accept -----------------------------------------------------------------------------

    fn tick(&mut self) -> bool {
        if self.now < self.tick_at {
            return false;
        }
        let missed = (self.now - self.tick_at) / TICK_MS;
        self.tick_at += (missed + 1) * TICK_MS;
        self.judge.ticks += 1;
        self.server.tick(Millis(self.now));
        self.server.publish();
        true
    }

    fn accept(&mut self) -> Check {
        for index in 0..self.clients.len() {
            let is_away = self.clients[index].wire.is_none();
            if !is_away || self.returns_at[index] > self.wall || self.is_ending {
                continue;
            }
            if index >= self.plan.rooms {
                self.clients[index] = stranger(&self.plan, index, self.wall, &mut self.rng);
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
            let mut wire = Wire::new(id, is_undisturbed, self.now, &mut self.rng);
            wire.is_listed = true;
            self.clients[index].wire = Some(wire);
            let before = self.owners.insert(id, index);
            assert_eq!(before, None, "a handle is valid once");
            self.readable.push_back(id);
        }
        self.accept_guests()
    }

    // --- flush ------------------------------------------------------------------------------------

    /// Writes to those who are owed something; now and then only to some of them, as when the slice
    /// of time is over. Answers whether nobody is left.
    fn flush(&mut self) -> Result<bool, String> {
        let mut dirty = Vec::new();
        self.server.take_dirty(&mut dirty, Millis(self.now));
        for id in dirty {
            if let Some(wire) = self.wire(id) {
                wire.is_flushing = true;
            }
            self.guests.mark_flushing(id);
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
            return self.tell_operator(id);
        }
        let Some(index) = self.owners.get(&id) else { return self.flush_guest(id) };
        let client = &mut self.clients[*index];
        let state_bytes =
            self.judge.rooms.get(client.room.0).map_or(0, |room| room.state_bytes_max);
        // A newcomer makes the state larger than any before.
        let most = FACT_BYTES_MAX + 2 * state_bytes + 10_000;
        let most = if client.is_http() { usize::MAX } else { most };
        let Some(wire) = &mut client.wire else { return Ok(()) };
        let World { server, transcript, rng, now, .. } = self;
        if flush_wire(server, wire, transcript, rng, *now, most)? {
            self.guests.is_disturbed = true;
            if let Some((number, _)) = client.joined {
                self.judge.left(number);
            }
            return Ok(());
        }
        if wire.is_paused && self.server.may_read(id) {
            wire.is_paused = false;
            if !wire.is_listed {
                wire.is_listed = true;
                self.readable.push_back(id);
            }
        }
        Ok(())
    }

    // --- reap -------------------------------------------------------------------------------------

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
                self.end_guest(id, end)?;
                continue;
            };
            let describe = self.describe(id);
            match end {
                End::Shut => {
                    let bytes = self.clients[index].read(0);
                    self.listen(index, &bytes).map_err(|why| format!("{why}: {describe}"))?;
                    if let Some(wire) = &mut self.clients[index].wire {
                        wire.is_shut = true;
                    }
                    self.clients[index].hang_up(&mut self.rng);
                }
                End::Close | End::Reset => {
                    self.take_away(index, end).map_err(|why| format!("{why}: {describe}"))?;
                }
            }
        }
        Ok(())
    }

    /// A handle of a connection that is no more must do nothing, whoever has its slot now.
    fn poke_stale(&mut self) -> Check {
        if self.stale.is_empty() || !self.rng.random_ratio(1, 10) {
            return Ok(());
        }
        let id = self.stale[self.rng.random_range(0..self.stale.len())];
        let now = Millis(self.now);
        let read_state = self.server.receive(id, &mut lab::text("stale"), now);
        self.server.written(id, 0, 100, now);
        self.server.hang_up(id, self.rng.random_bool(0.5), now);
        let count = self.server.slices(id, &mut [IoSlice::new(&[]); 4]);
        match (read_state, count, self.server.may_read(id)) {
            (ReadState::Open, 0, false) => Ok(()),
            other => Err(format!("a stale handle answers {other:?}")),
        }
    }

    // --- the end ----------------------------------------------------------------------------------

    /// Those who leave stay away from now on; if the plan says so, the server sends them away.
    pub fn begin_to_end(&mut self) {
        self.is_ending = true;
        if self.plan.is_drained {
            self.is_draining = true;
            self.server.drain(Millis(self.now));
        }
        for index in 0..self.clients.len() {
            // Observers stay to the last, so that there is somebody to compare with.
            let span_ms = if index < self.plan.rooms { 8_000 } else { 5_000 };
            let at = self.wall + self.rng.random_range(span_ms - 4_000..span_ms);
            self.clients[index].hurry(at);
        }
        for index in 0..self.guests.all.len() {
            let at = self.wall + self.rng.random_range(500..4_000);
            self.guests.all[index].hurry(at);
        }
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// How many clients have a connection.
    pub fn connected(&self) -> usize {
        self.owners.len() + self.guests.owners.len()
    }

    /// Those who have a connection, for people.
    pub fn whoever_is_left(&self) -> String {
        let wires = self.clients.iter().filter_map(|client| client.wire.as_ref());
        let guests = self.guests.all.iter().filter(|guest| !guest.lines.is_empty());
        let clients = wires.map(|wire| self.describe(wire.id));
        clients.chain(guests.map(|guest| guest.describe())).collect::<Vec<_>>().join("; ")
    }

    fn wire(&mut self, id: ConnId) -> Option<&mut Wire> {
        self.clients[*self.owners.get(&id)?].wire.as_mut()
    }
}

/// What one turn reads from a connection. Answers what the server says of it, and whether it was
/// told that the peer has hung up.
fn read_wire(
    server: &mut Server,
    wire: &mut Wire,
    rng: &mut ChaCha8Rng,
    now: u64,
) -> (ReadState, bool) {
    wire.is_listed = false;
    let (mut read_state, mut has_ended) = (ReadState::Open, false);
    for _ in 0..wire.pieces() {
        if wire.is_sated {
            read_state = server.receive(wire.id, &mut [], Millis(now));
        } else if !wire.inbound.is_empty() {
            let mut bytes = wire.read(rng);
            wire.heard_at = now;
            wire.moved_at = now;
            read_state = server.receive(wire.id, &mut bytes, Millis(now));
        } else if let (Some(is_broken), false) = (wire.end, wire.is_end_told) {
            wire.is_end_told = true;
            has_ended = true;
            read_state = ReadState::Open;
            server.hang_up(wire.id, is_broken, Millis(now));
        } else {
            break;
        }
        wire.is_sated = read_state != ReadState::Open;
        wire.is_paused = read_state == ReadState::Paused;
        if wire.is_paused {
            break;
        }
    }
    (read_state, has_ended)
}

/// Writes what waits for a connection, of which no more than `most` bytes may be shown. Answers
/// whether it was found to be broken.
fn flush_wire(
    server: &mut Server,
    wire: &mut Wire,
    transcript: &mut DefaultHasher,
    rng: &mut ChaCha8Rng,
    now: u64,
    most: usize,
) -> Result<bool, String> {
    wire.is_flushing = false;
    let mut writes = 0;
    while !wire.is_blocked {
        writes += 1;
        if writes > 5_000 {
            return Err("there is always more to write".to_owned());
        }
        // The reactor shows 16 slices; any number must do.
        let count_max = [1, 2, 16, 16, 1024][rng.random_range(0..5)];
        let mut slices = [IoSlice::new(&[]); 1024];
        let count = server.slices(wire.id, &mut slices[..count_max]);
        if count == 0 {
            break;
        }
        let shown = lab::concat(&slices[..count]);
        if shown.len() > most {
            return Err(format!("{} bytes wait", shown.len()));
        }
        if wire.end == Some(true) {
            // The write fails, which may be the first that the reactor hears of it.
            wire.is_end_told = true;
            server.hang_up(wire.id, true, Millis(now));
            return Ok(true);
        }
        let taken = wire.write(&shown, now, rng);
        transcript.write_u32(wire.id.serial);
        transcript.write(&shown[..taken]);
        server.written(wire.id, taken, shown.len(), Millis(now));
    }
    Ok(false)
}
