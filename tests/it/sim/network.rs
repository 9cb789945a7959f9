//! The simulated sockets of all clients, and the clock, which replace the kernel below the loop of
//! the server. They do at random what a kernel may do: late events in any order, spurious events,
//! interrupted calls, short writes, failing accepts.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use skirmish::reactor::{Event, Sockets};
use skirmish::server::{ConnId, End};

use super::client::Client;
use super::faults::KINDS;
use super::fixture;
use super::simulated_socket::SimulatedSocket;
use super::socketio_client::SocketIoClient;
use super::transcript::Transcript;
use crate::sim::SimRng;

/// The listeners, by their numbers.
pub const ADMIN: usize = 0;
pub const PLAYERS: usize = 1;

/// Errors of `accept` that concern one connection, which is lost (accept(2), and its TCP errors).
pub const LOST_CONNECTION_ERRORS: [i32; 11] = [
    libc::ECONNABORTED,
    libc::EPROTO,
    libc::ENOPROTOOPT,
    libc::EHOSTDOWN,
    libc::ENONET,
    libc::EHOSTUNREACH,
    libc::EOPNOTSUPP,
    libc::ENETUNREACH,
    libc::ENETDOWN,
    libc::EPERM,
    libc::ETIMEDOUT,
];
/// Errors of `accept` after which the connection still waits.
pub const RESOURCE_ERRORS: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// The client at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Client(usize),
    /// A Socket.IO client, and which of the connections that it asked for.
    SocketIo(usize, u64),
    Operator,
}

/// The result of a connection that waited at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Opened,
    /// The server accepted the connection and closed it at once.
    Refused,
    /// The connection was gone before it was accepted, or the listener was closed.
    Aborted,
    /// The server opened it, and its events could not be watched.
    Unwatched,
}

/// A connection that has left the queue of its listener.
pub struct Connected {
    pub owner: Owner,
    pub peer: IpAddr,
    pub socket: SimulatedSocket,
    pub outcome: Outcome,
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Handle {
    owner: Owner,
    id: Option<ConnId>,
}

/// How often each rare path was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rare {
    pub late_events: u64,
    pub spurious_events: u64,
    pub interrupted_reads: u64,
    pub interrupted_writes: u64,
    pub filled_buffers: u64,
    pub split_reads: u64,
    pub short_writes: u64,
    pub would_block_writes: u64,
    pub broken_writes: u64,
    pub lost_accepts: u64,
    pub failed_accepts: u64,
    pub failed_watches: u64,
    pub slow_turns: u64,
    pub unfinished_flushes: u64,
    pub unfinished_reads: u64,
    pub late_ticks: u64,
    pub pauses: u64,
    pub drains: u64,
    /// Panics of the server, by [`KINDS`].
    pub panics: [u64; KINDS.len()],
}

impl Rare {
    /// Every counter but the panics, with its name.
    pub fn all(&self) -> [(&'static str, u64); 18] {
        [
            ("late events", self.late_events),
            ("spurious events", self.spurious_events),
            ("interrupted reads", self.interrupted_reads),
            ("interrupted writes", self.interrupted_writes),
            ("filled buffers", self.filled_buffers),
            ("split reads", self.split_reads),
            ("short writes", self.short_writes),
            ("writes that would block", self.would_block_writes),
            ("broken writes", self.broken_writes),
            ("lost accepts", self.lost_accepts),
            ("failed accepts", self.failed_accepts),
            ("failed watches", self.failed_watches),
            ("slow turns", self.slow_turns),
            ("unfinished flushes", self.unfinished_flushes),
            ("unfinished reads", self.unfinished_reads),
            ("late ticks", self.late_ticks),
            ("pauses", self.pauses),
            ("drains", self.drains),
        ]
    }
}

pub struct Network {
    /// The clients, with their sockets, while the loop runs; the simulation has them in between.
    pub clients: Vec<Client>,
    pub socketio: Vec<SocketIoClient>,
    pub operator: Option<SimulatedSocket>,
    /// How many connections the server had when the operator's last request was read.
    pub operator_saw: usize,
    /// How many connections the server has before this turn.
    pub connections: usize,
    /// By listener; a closed one has no queue.
    waiting: [Option<VecDeque<(Owner, IpAddr, SimulatedSocket)>>; 2],
    has_listener_event: [bool; 2],
    /// Every call of this kind fails.
    pub fails_waits: bool,
    pub fails_watches: bool,
    /// The next accepts fail with these errors.
    pub accept_errors: VecDeque<i32>,
    rng: SimRng,
    pub now_us: u64,
    /// How much time passes between two readings of the clock, in a slow turn.
    pub step_us: u64,
    /// What happened in this turn, for the simulation to check.
    pub connected: Vec<Connected>,
    pub ended: Vec<(ConnId, End)>,
    /// Peers whose end was read, or found by a failed write.
    pub read_ends: Vec<(Owner, ConnId)>,
    pub write_ends: Vec<(Owner, ConnId)>,
    pub failure: Option<String>,
    /// Of all that the loop did.
    pub transcript: Transcript,
    pub rare: Rare,
}

impl Network {
    pub fn new(seed: u64) -> Network {
        Network {
            clients: Vec::new(),
            socketio: Vec::new(),
            operator: None,
            operator_saw: 0,
            connections: 0,
            waiting: [Some(VecDeque::new()), Some(VecDeque::new())],
            has_listener_event: [false; 2],
            fails_waits: false,
            fails_watches: false,
            accept_errors: VecDeque::new(),
            rng: SimRng::seed_from_u64(!seed),
            now_us: 0,
            step_us: 0,
            connected: Vec::new(),
            ended: Vec::new(),
            read_ends: Vec::new(),
            write_ends: Vec::new(),
            failure: None,
            transcript: Transcript::default(),
            rare: Rare::default(),
        }
    }

    /// A client connects to a listener. Returns whether the listener is open.
    pub fn connect(
        &mut self,
        listener: usize,
        owner: Owner,
        peer: IpAddr,
        socket: SimulatedSocket,
    ) -> bool {
        let Some(queue) = &mut self.waiting[listener] else { return false };
        queue.push_back((owner, peer, socket));
        self.has_listener_event[listener] = true;
        true
    }

    /// All sockets that the server has accepted.
    fn sockets_mut(&mut self) -> impl Iterator<Item = &mut SimulatedSocket> {
        let clients = self.clients.iter_mut().filter_map(|client| client.socket.as_mut());
        let socketio = self.socketio.iter_mut().flat_map(|client| &mut client.connections);
        let socketio = socketio.map(|connection| &mut connection.socket);
        clients.chain(socketio).chain(&mut self.operator)
    }
}

/// The client's end of a connection; `None` if the client has gone, so that only the end is read.
macro_rules! peer {
    ($network:ident, $handle:ident) => {{
        let Network { clients, socketio, operator, connected, .. } = $network;
        let id = $handle.id;
        let socket = match $handle.owner {
            Owner::Client(index) => clients[index].socket.as_mut(),
            Owner::SocketIo(index, _) => id
                .and_then(|id| socketio[index].connection(id))
                .map(|connection| &mut connection.socket),
            Owner::Operator => operator.as_mut(),
        };
        let socket = socket.filter(|socket| Some(socket.id) == id);
        let opened = connected.iter_mut().map(|connected| &mut connected.socket);
        socket.or(opened.into_iter().find(|socket| Some(socket.id) == id))
    }};
}

impl Sockets for Network {
    type Socket = Handle;

    fn now_us(&mut self) -> u64 {
        self.now_us += self.step_us;
        self.now_us
    }

    /// The simulation advances the clock between two turns; this never waits.
    fn wait(&mut self, _: u64, events: &mut Vec<Event>) -> io::Result<()> {
        if self.fails_waits {
            return Err(io::Error::other("no memory"));
        }
        for listener in [ADMIN, PLAYERS] {
            if std::mem::take(&mut self.has_listener_event[listener]) {
                events.push(Event::Listener(listener));
            }
        }
        let (mut late, mut spurious) = (0, 0);
        let mut rng = self.rng.clone();
        for socket in self.sockets_mut() {
            let (is_late, is_spurious) = match rng.random_range(0..500) {
                _ if socket.is_undisturbed => (false, false),
                0..10 => (true, false),
                10 => (false, true),
                _ => (false, false),
            };
            if is_late {
                late += 1;
            } else if let Some(event) = socket.take_event() {
                events.push(event);
            } else if is_spurious {
                spurious += 1;
                events.push(Event::Connection {
                    id: socket.id,
                    is_readable: true,
                    is_read_closed: false,
                    is_writable: true,
                });
            }
        }
        events.shuffle(&mut rng);
        self.rng = rng;
        self.rare.late_events += late;
        self.rare.spurious_events += spurious;
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> io::Result<(Handle, IpAddr)> {
        let Some(queue) = &mut self.waiting[listener] else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let fails = self.rng.random_ratio(1, 300);
        if queue.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let planned = self.accept_errors.pop_front().or(fails.then_some(libc::EMFILE));
        if let Some(error) = planned.filter(|error| !LOST_CONNECTION_ERRORS.contains(error)) {
            self.rare.failed_accepts += 1;
            return Err(io::Error::from_raw_os_error(error));
        }
        let (owner, peer, socket) = queue.pop_front().expect("it is not empty");
        let is_lost = !socket.is_undisturbed && self.rng.random_ratio(1, 50);
        let random = LOST_CONNECTION_ERRORS[self.rng.random_range(0..LOST_CONNECTION_ERRORS.len())];
        let error = planned.or(is_lost.then_some(random));
        let outcome = if error.is_some() { Outcome::Aborted } else { Outcome::Refused };
        self.connected.push(Connected { owner, peer, socket, outcome });
        if let Some(error) = error {
            self.rare.lost_accepts += 1;
            return Err(io::Error::from_raw_os_error(error));
        }
        Ok((Handle { owner, id: None }, peer))
    }

    fn close_listener(&mut self, listener: usize) {
        for (owner, peer, socket) in self.waiting[listener].take().into_iter().flatten() {
            self.connected.push(Connected { owner, peer, socket, outcome: Outcome::Aborted });
        }
    }

    fn watch_readable(&mut self, handle: &mut Handle, id: ConnId) -> io::Result<()> {
        let now = self.now_us / 1000;
        let connected = self.connected.last_mut().expect("it was accepted just now");
        assert_eq!(connected.owner, handle.owner, "it was accepted just now");
        connected.socket.accept(id, now);
        let fails = !connected.socket.is_undisturbed && self.rng.random_ratio(1, 200);
        if fails || self.fails_watches {
            connected.outcome = Outcome::Unwatched;
            self.rare.failed_watches += 1;
            return Err(io::Error::other("no memory"));
        }
        connected.outcome = Outcome::Opened;
        handle.id = Some(id);
        Ok(())
    }

    fn watch_writable(&mut self, handle: &mut Handle, _: ConnId) -> io::Result<()> {
        if let Some(socket) = peer!(self, handle) {
            socket.is_writable_watched = true;
        }
        Ok(())
    }

    fn read(&mut self, handle: &mut Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let now = self.now_us / 1000;
        if handle.owner == Owner::Operator {
            self.operator_saw = self.connections;
        }
        let Some(socket) = peer!(self, handle) else { return Ok(0) };
        let rng = &mut self.rng;
        socket.reads += 1;
        if !socket.is_undisturbed && rng.random_ratio(1, 200) {
            self.rare.interrupted_reads += 1;
            return Err(ErrorKind::Interrupted.into());
        }
        if !socket.inbound.is_empty() {
            let count = socket.read(buffer, now, rng);
            let is_split = count < buffer.len() && !socket.inbound.is_empty();
            self.rare.split_reads += u64::from(is_split);
            self.rare.filled_buffers += u64::from(count == buffer.len());
            self.transcript.update(&count.to_le_bytes());
            return Ok(count);
        }
        let Some(is_broken) = socket.end else { return Err(ErrorKind::WouldBlock.into()) };
        if !std::mem::replace(&mut socket.is_end_reported, true) {
            let id = socket.id;
            self.read_ends.push((handle.owner, id));
        }
        if is_broken { Err(ErrorKind::ConnectionReset.into()) } else { Ok(0) }
    }

    fn write(&mut self, handle: &mut Handle, slices: &[IoSlice]) -> io::Result<usize> {
        let now = self.now_us / 1000;
        let shown = fixture::concat(slices);
        let Some(socket) = peer!(self, handle) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let rng = &mut self.rng;
        if !socket.is_undisturbed && rng.random_ratio(1, 200) {
            self.rare.interrupted_writes += 1;
            return Err(ErrorKind::Interrupted.into());
        }
        let id = socket.id;
        socket.writes += 1;
        if socket.writes > 5_000 {
            self.failure = Some(format!("the output of {id:?} never ends"));
            return Err(ErrorKind::BrokenPipe.into());
        }
        if shown.len() > socket.queued_bytes_max {
            self.failure = Some(format!("{} bytes are queued for {id:?}", shown.len()));
        }
        if socket.end == Some(true) {
            // The write fails, which may be how the loop first learns of it.
            if !std::mem::replace(&mut socket.is_end_reported, true) {
                self.write_ends.push((handle.owner, id));
            }
            self.rare.broken_writes += 1;
            return Err(ErrorKind::BrokenPipe.into());
        }
        let taken = socket.write(&shown, now, rng);
        self.transcript.update(&id.serial.to_le_bytes());
        self.transcript.update(&shown[..taken.unwrap_or_default()]);
        match taken {
            None => self.rare.would_block_writes += 1,
            Some(taken) => self.rare.short_writes += u64::from(taken < shown.len()),
        }
        taken.ok_or(ErrorKind::WouldBlock.into())
    }

    /// Those that the client has not read yet.
    fn unacknowledged_bytes(&mut self, handle: &mut Handle) -> Option<u32> {
        peer!(self, handle).map(|socket| socket.outbound.len() as u32)
    }

    fn shut_down(&mut self, handle: &mut Handle) {
        self.ended.extend(handle.id.map(|id| (id, End::Shut)));
    }

    fn close(&mut self, handle: Handle, resets: bool) {
        let end = if resets { End::Reset } else { End::Close };
        self.ended.extend(handle.id.map(|id| (id, end)));
    }
}
