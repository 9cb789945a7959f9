//! The Socket.IO clients of a simulation: their connections, and the checks between them, the
//! reference client, and the JSON observer of their room.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use rand::RngExt;
use skirmish::server::{ConnId, End};
use skirmish::time::{TICKS_PER_SECOND, Tick};

use super::plan::PROXY;
use super::{Check, PlayerOf, Simulation};
use crate::sim::client_model::Body;
use crate::sim::network::{Connected, Outcome, Owner, PLAYERS};
use crate::sim::simulated_socket::SimulatedSocket;
use crate::sim::socketio_client::{Fault, SocketIoClient, Stage, Transport};

/// From the documentation, not from the server.
pub const PING_INTERVAL_MS: u64 = 4_000;
pub const PING_TIMEOUT_MS: u64 = 3_000;
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Late turns plus the tick on which the server checks its deadlines.
const SLACK_MS: u64 = 1_500;

#[derive(Default)]
pub struct SocketIoClients {
    pub clients: Vec<SocketIoClient>,
    /// When each disconnected client comes back.
    returns_at: Vec<u64>,
    pub owners: HashMap<ConnId, usize>,
    /// The facts of each room, as its reference client received them.
    fact_logs: Vec<Vec<String>>,
    sids: HashSet<String>,
    /// Connections with a waiting poll, before the flush.
    polls: Vec<ConnId>,
    /// The number of the last connection that a client asked for.
    last_request: u64,
    /// Room, player number if known, and the time by which each departing player has left.
    departing: Vec<(usize, Option<u32>, u64)>,
    /// A write found that a peer had closed the connection.
    pub found_close_while_writing: bool,
    pub coverage: Coverage,
}

/// What the Socket.IO clients of a seed reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub sessions: u64,
    pub facts: u64,
    pub moves: u64,
    /// Comparisons of positions for clients that have asked for fewer states.
    pub lower_rates: u64,
    pub upgrades: u64,
    pub faults: u64,
}

impl Coverage {
    /// Every counter, with its name.
    pub fn all(&self) -> [(&'static str, u64); 6] {
        [
            ("Socket.IO session", self.sessions),
            ("fact", self.facts),
            ("comparison of positions", self.moves),
            ("comparison at a lower rate", self.lower_rates),
            ("upgrade", self.upgrades),
            ("fault of a client", self.faults),
        ]
    }
}

impl SocketIoClients {
    pub fn new(simulation: &mut Simulation) -> SocketIoClients {
        let (rooms, count) = (simulation.plan.rooms, simulation.plan.socketio_clients);
        let mut socketio =
            SocketIoClients { fact_logs: vec![Vec::new(); rooms], ..SocketIoClients::default() };
        for index in 0..count {
            let returns_at = if index < rooms { 0 } else { 300 + 50 * index as u64 };
            socketio.clients.push(simulation.new_socketio_client(index, returns_at));
            socketio.returns_at.push(returns_at);
        }
        socketio
    }

    /// A client's address, which no other client shares.
    pub fn address(index: usize) -> IpAddr {
        Ipv4Addr::new(198, 19, 0, index as u8).into()
    }
}

impl Simulation {
    /// A client that connects at `at`.
    fn new_socketio_client(&mut self, index: usize, at: u64) -> SocketIoClient {
        let is_reference = index < self.plan.rooms;
        let room = if is_reference { index } else { self.rng.random_range(0..self.plan.rooms) };
        SocketIoClient::new((room, self.plan.room_name(room)), is_reference, at, &mut self.rng)
    }

    /// How many of the clients may be in the room without having received their number.
    pub(super) fn unidentified_socketio_players(&self, room: usize) -> usize {
        let may_have_unknown_player =
            |client: &&SocketIoClient| client.room.0 == room && client.may_have_unknown_player();
        let departing = &self.socketio.departing;
        self.socketio.clients.iter().filter(may_have_unknown_player).count()
            + departing
                .iter()
                .filter(|(index, number, _)| *index == room && number.is_none())
                .count()
    }

    /// How many of the clients may be in the room.
    pub(super) fn socketio_players_in(&self, room: usize) -> usize {
        let is_here = |client: &&SocketIoClient| client.room.0 == room && client.asked_at.is_some();
        self.socketio.clients.iter().filter(is_here).count()
            + self.socketio.departing.iter().filter(|(index, ..)| *index == room).count()
    }

    // --- one turn --------------------------------------------------------------------------------

    /// Lets the clients act.
    pub(super) fn act_socketio(&mut self) {
        for index in 0..self.socketio.clients.len() {
            if self.socketio.returns_at[index] > self.wall {
                continue;
            }
            self.present_in_socketio(index);
            let client = &mut self.socketio.clients[index];
            client.act(self.wall, self.oracle.number_max, &mut self.rng);
            if client.may_be_leaving() {
                self.oracle.note_uncertain_leave(client.room.0);
            }
        }
        let now = self.now;
        let departed = self.socketio.departing.extract_if(.., |(.., until)| *until <= now);
        departed.filter_map(|(_, number, _)| number).for_each(|number| self.oracle.left(number));
        self.socketio
            .departing
            .iter()
            .for_each(|(room, ..)| self.oracle.note_uncertain_leave(*room));
    }

    /// Notes which polls have no response yet, before the loop runs.
    pub(super) fn note_unanswered_polls(&mut self) {
        self.socketio.clients.iter_mut().for_each(SocketIoClient::note_before_run);
        let connections = self.socketio.clients.iter().flat_map(|client| &client.connections);
        self.socketio.polls = connections
            .filter(|connection| connection.is_poll_unanswered())
            .map(|connection| connection.socket.id)
            .collect();
    }

    /// Of those, leaves the ones that the server has read, so that they waited for its flush.
    pub(super) fn note_polls(&mut self) {
        let connections = self.socketio.clients.iter().flat_map(|client| &client.connections);
        let is_deferred = |id| self.turn.stream(id).is_some_and(|stream| stream.is_deferred);
        let read: Vec<ConnId> = connections
            .map(|connection| &connection.socket)
            .filter(|socket| socket.inbound.is_empty() && !is_deferred(socket.id))
            .map(|socket| socket.id)
            .collect();
        self.socketio.polls.retain(|id| read.contains(id));
    }

    /// Clients ask for the connections that they want, and others replace those that are closed.
    pub(super) fn connect_socketio(&mut self) {
        for index in 0..self.socketio.clients.len() {
            let client = &mut self.socketio.clients[index];
            let is_over = client.stage == Stage::Closed || client.is_frozen();
            if is_over
                && client.connections.is_empty()
                && self.socketio.returns_at[index] != u64::MAX
            {
                self.replace_closed_client(index);
                continue;
            }
            if self.is_ending && client.stage == Stage::New {
                continue;
            }
            for pending in std::mem::take(&mut client.pending_connections) {
                let mut socket = SimulatedSocket::new(client.is_reference, &mut self.rng);
                if !client.is_reference {
                    let capacity = [4_000, 20_000, 200_000][self.rng.random_range(0..3)];
                    socket = socket.with_capacity(capacity);
                }
                self.socketio.last_request += 1;
                let owner = Owner::SocketIo(index, self.socketio.last_request);
                let address = SocketIoClients::address(index);
                socket.inbound.extend(self.plan.header(address, index));
                let peer = if self.plan.has_header { PROXY } else { address };
                if self.turn.sockets_mut().connect(PLAYERS, owner, peer, socket) {
                    client.connecting.push((self.socketio.last_request, pending));
                } else {
                    // The server has drained.
                    client.stage = Stage::Closed;
                }
            }
        }
    }

    pub(super) fn socketio_connected(&mut self, connected: Connected) -> Check {
        let Connected { owner: Owner::SocketIo(index, request), socket, outcome, .. } = connected
        else {
            return Err("not a Socket.IO client".to_owned());
        };
        let client = &mut self.socketio.clients[index];
        let at = client.connecting.iter().position(|(number, _)| *number == request);
        let pending = at.map(|at| client.connecting.remove(at).1);
        match (outcome, pending) {
            (Outcome::Refused, _) => return Err("a Socket.IO client is refused".to_owned()),
            (Outcome::Aborted, pending) => client.pending_connections.extend(pending),
            (Outcome::Unwatched, pending) => {
                client.pending_connections.extend(pending);
                self.closed_at_once(socket.id);
            }
            (Outcome::Opened, None) => {
                self.opened += 1;
                self.orphans.insert(socket.id);
            }
            (Outcome::Opened, Some(pending)) => {
                self.opened += 1;
                self.socketio.owners.insert(socket.id, index);
                client.connect(&pending, socket);
            }
        }
        Ok(())
    }

    /// Replaces a closed client with one that connects later, unless the simulation is ending.
    fn replace_closed_client(&mut self, index: usize) {
        let returns_at = self.wall + self.rng.random_range(50..2_000);
        let new = self.new_socketio_client(index, returns_at);
        let client = std::mem::replace(&mut self.socketio.clients[index], new);
        let span_ms = PING_INTERVAL_MS + PING_TIMEOUT_MS + SLACK_MS;
        let until = if client.is_certainly_gone { self.now } else { self.now + span_ms };
        if client.presented.is_some() && self.plan.resume_s > 0 {
            self.lose_socketio_player(index, &client, self.now + span_ms);
        } else {
            if let Some(number) = client.model.number {
                self.socketio.departing.push((client.room.0, Some(number), until));
            }
            if client.may_have_unknown_player() {
                self.socketio.departing.push((client.room.0, None, until));
            }
        }
        let coverage = &mut self.socketio.coverage;
        coverage.sessions += 1;
        let has_upgraded = client.transport == Transport::Upgrading && client.websocket.is_some();
        coverage.upgrades += u64::from(has_upgraded);
        coverage.faults += u64::from(client.fault != Fault::None);
        self.socketio.returns_at[index] = match self.is_ending || client.is_reference {
            true => u64::MAX,
            false => returns_at,
        };
    }

    pub(super) fn end_socketio(&mut self, id: ConnId, end: End) -> Check {
        let Some(index) = self.socketio.owners.get(&id).copied() else {
            return Err(format!("{end:?} of an unknown connection"));
        };
        self.receive_socketio(index, 0)?;
        let client = &mut self.socketio.clients[index];
        let Some(at) = client.connections.iter().position(|connection| connection.socket.id == id)
        else {
            return Err("the client has no such connection".to_owned());
        };
        let result = match end {
            End::Shut => {
                let socket = &mut client.connections[at].socket;
                socket.is_write_shut = true;
                socket.end.get_or_insert(false);
                Ok(())
            }
            End::Close | End::Reset => {
                self.socketio.owners.remove(&id);
                self.stale.push(id);
                self.ended += 1;
                client.disconnected(at)
            }
        };
        result.map_err(|why| format!("{why}: {}", self.socketio.clients[index].describe()))
    }

    // --- what they receive -----------------------------------------------------------------------

    pub(super) fn receive_socketio(&mut self, index: usize, span_ms: u64) -> Check {
        for (connection, bytes) in self.socketio.clients[index].read(span_ms) {
            let client = &mut self.socketio.clients[index];
            let (now, wall, before) = (self.now, self.wall, client.compressed);
            let had_sid = client.sid.is_some();
            client
                .receive(connection, &bytes, now, wall, self.is_draining, &mut self.rng)
                .map_err(|why| format!("{why}: {}", client.describe()))?;
            self.compressed.packets += client.compressed - before;
            if let (Some(sid), false) = (&client.sid, had_sid)
                && !self.socketio.sids.insert(sid.clone())
            {
                return Err(format!("two sessions have the id {sid}"));
            }
            if std::mem::take(&mut client.has_just_joined) {
                let number = client.model.number.ok_or("it has no number")?;
                client.joined_at_tick = self.oracle.ticks;
                let before = client.previous_number.replace(number);
                let presented = client.presented.clone().filter(|_| before.is_none());
                before.into_iter().for_each(|before| self.oracle.left(before));
                let asked_at = client.asked_at.ok_or("it never asked to join")?;
                let room = client.room.0;
                let who = PlayerOf::SocketIo(index);
                if !self.came_back(who, presented, number)? {
                    self.oracle.joined(room, false, number, asked_at)?;
                }
                self.absences.found(who, number);
            }
        }
        Ok(())
    }

    // --- what must hold at the end of each turn --------------------------------------------------

    pub(super) fn check_socketio(&mut self, has_ticked: bool, is_flushed: bool) -> Check {
        for index in 0..self.socketio.clients.len() {
            let client = &self.socketio.clients[index];
            let is_here = client.stage == Stage::Open && !client.is_frozen();
            let silence_ms = client.opened_at.map_or(0, |opened_at| self.now - opened_at);
            let is_unheard = matches!(client.fault, Fault::NeverJoins);
            if is_here && is_unheard && silence_ms > CONNECT_TIMEOUT_MS + SLACK_MS {
                return Err(format!(
                    "it never joined, and is still connected: {}",
                    client.describe()
                ));
            }
        }
        // A draining server closes connections that may have requests in flight.
        if !is_flushed || self.socketio.found_close_while_writing || self.is_draining {
            return Ok(());
        }
        for index in 0..self.socketio.clients.len() {
            let client = &self.socketio.clients[index];
            let is_quiet = client.is_up_to_date(&self.socketio.polls) && !client.has_empty_poll;
            self.compare_facts(index, is_quiet)
                .and_then(|()| self.compare_positions(index, has_ticked && is_quiet))
                .map_err(|why| format!("{why}: {}", self.socketio.clients[index].describe()))?;
        }
        Ok(())
    }

    /// Checks that each client receives every fact once and in order.
    fn compare_facts(&mut self, index: usize, is_quiet: bool) -> Check {
        let client = &mut self.socketio.clients[index];
        let log = &mut self.socketio.fact_logs[client.room.0];
        if client.is_reference {
            log.append(&mut client.model.facts);
            return Ok(());
        }
        // Several hits may be merged for a client that lags.
        let is_clear = !client.model.may_merge && !client.ignores_packets;
        let is_judged = client.model.has_player_list && is_clear;
        let reference = &self.socketio.clients[self.socketio.clients[index].room.0];
        if !is_judged || reference.stage != Stage::Open || !reference.model.has_player_list {
            return Ok(());
        }
        let client = &mut self.socketio.clients[index];
        if client.at.is_none() {
            if !is_quiet {
                return Ok(());
            }
            // What it received before the reference client joined is not in the log.
            let unknown = client.model.facts.len().saturating_sub(log.len());
            client.model.facts.drain(..unknown);
        }
        let facts = client.model.facts.len();
        let at = client.at.unwrap_or(log.len().saturating_sub(facts));
        let expected = log.get(at..at + facts);
        if expected != Some(&client.model.facts[..]) {
            let facts = &client.model.facts;
            return Err(format!("it received {facts:#?}, the reference client {:#?}", &log[at..]));
        }
        client.model.facts.clear();
        client.at = Some(at + facts);
        self.socketio.coverage.facts += facts as u64;
        if is_quiet && at + facts != log.len() {
            return Err(format!("it did not receive {:#?}", &log[at + facts..]));
        }
        if is_quiet && client.is_fully_read() && client.model.is_waiting() {
            return Err("an acknowledgement is missing".to_owned());
        }
        Ok(())
    }

    /// Checks that a client that has read everything knows the same positions as the observer.
    fn compare_positions(&mut self, index: usize, is_quiet: bool) -> Check {
        let client = &self.socketio.clients[index];
        let room = client.room.0;
        // Between the ticks of its rate, a client knows some changes from facts.
        let is_due =
            self.oracle.rooms[room].tick.is_some_and(|tick| Tick(tick).is_due_at(client.hz));
        if !is_quiet || !is_due || !self.oracle.is_up_to_date(room) {
            return Ok(());
        }
        let mut count = 0;
        for (number, (x, y, hp)) in self.oracle.seen(room) {
            count += 1;
            let body = Body { x, y, hp };
            let known = client.model.players.get(&number);
            if !known.is_some_and(|known| known.is_known_as(body)) {
                return Err(format!("player {number} is {body:?}, the client has {known:?}"));
            }
        }
        // One position per tick, and one more at either end. A slow client may have read late that
        // it has joined.
        let most = u64::from(self.oracle.ticks - client.joined_at_tick) + 2;
        let mut moves = client.model.moves.iter().filter(|_| !client.model.may_merge);
        if let Some((number, times)) = moves.find(|(_, times)| **times > most) {
            return Err(format!("{times} positions of {number} in {most} ticks"));
        }
        if count != client.model.players.len() {
            return Err(format!("it knows {} players of {count}", client.model.players.len()));
        }
        self.socketio.coverage.moves += 1;
        self.socketio.coverage.lower_rates += u64::from(client.hz < TICKS_PER_SECOND);
        Ok(())
    }
}
