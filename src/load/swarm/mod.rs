//! The sockets of all clients, and the event loop.
//!
//! `mod` calls [`Swarm::turn`] until the run is over. One thread, one shared read buffer, one read
//! per readiness event: 8,000 clients at 20 Hz need 160,000 of each per second.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use rand::rngs::SmallRng;

use self::due::Schedule;
use super::client::Client;
use super::connect;
use super::context::Common;
use super::duel::Duels;
use super::groups::{Group, Tallies};
use super::link::{LINKS, Links};
use super::loss::Loss;
use super::player::{Role, Stage};
use super::probe::Probe;
use super::stream::{Security, Stream};
use super::v1::{self, Shared};
use crate::config::{Dialect, Load};

mod due;

/// Number of probes, unless `--probes` says otherwise.
const PROBES: u32 = 50;
/// Time to join, from the TCP connect on.
pub const HANDSHAKE_US: u64 = 10_000_000;
/// Bytes of the shared read buffer: larger than any state, and small enough for the L2 cache.
const READ_BYTES: usize = 256 * 1024;
/// Maximum number of events per poll.
const EVENTS: usize = 1_024;
/// If that many players were lost and none has joined, the run ends.
const REFUSED_MIN: u64 = 10;
/// Maximum connects per turn, so that a fast ramp does not delay reads.
const CONNECTS_A_TURN: u32 = 64;
/// With at least this many players, the loop sleeps [`REST_US`] before it polls.
const CROWD: u32 = 2_000;
/// A wakeup per frame costs more than reading it, and slows the sender, too. What arrives within
/// this time is handled together, so a measured arrival is late by at most this much.
const REST_US: u64 = 300;

/// All clients of a run: the players, then the slow readers, then the stalled ones.
pub struct Swarm {
    /// The state that all clients share.
    pub common: Common,
    peers: Vec<Peer>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Clients with output to flush, each once.
    dirty: Vec<usize>,
    schedule: Schedule,
    /// Clients that may still be joining, in the order of their deadlines.
    joining: VecDeque<usize>,
    /// Clients that may still be leaving, and until when they may.
    leaving: VecDeque<(u64, usize)>,
    /// Clients that have left and are to be replaced.
    left: Vec<usize>,
    address: SocketAddr,
    security: Security,
    options: Load,
    started: Instant,
    /// When the next action is due.
    due_us: u64,
    /// Whether the stalled clients now read.
    is_releasing: bool,
    is_closing: bool,
}

/// What a client has received so far.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Its group.
    pub group: Group,
    /// When it was scheduled to connect; tells it from the player in whose place it is.
    pub connect_us: u64,
    /// Whether it is in the game.
    pub is_playing: bool,
    /// Updates.
    pub updates: u32,
    /// `player_moved` events.
    pub moved: u32,
}

struct Peer {
    /// One per link of the client.
    sockets: [Option<Socket>; LINKS],
    client: Client,
    is_dirty: bool,
    /// Whether a slow reader does not read now.
    is_paused: bool,
}

struct Socket {
    stream: Stream,
    is_connected: bool,
}

impl Peer {
    /// Whether sockets must be opened or closed, or have output.
    fn needs_flush(&self) -> bool {
        let mut links = self.client.player.links.iter().zip(&self.sockets);
        links.any(|(link, socket)| {
            !link.out.is_empty() || link.is_wanted != socket.is_some() || link.is_spent
        })
    }
}

impl Swarm {
    /// Creates the clients, not yet connected, and starts the clock of the run.
    ///
    /// # Errors
    /// epoll is not available.
    pub fn new(
        options: &Load,
        address: SocketAddr,
        security: Security,
        mut rng: SmallRng,
    ) -> io::Result<Swarm> {
        let duels = match options.has_duels() {
            true => Duels::new(options.clients, options.room_players.unwrap_or(options.clients)),
            false => Duels::default(),
        };
        let probing = probing(options);
        let role = |index: u32| match duels.duelist(index) {
            _ if index >= options.clients + options.slow_readers => Role::Stalled,
            _ if index >= options.clients => Role::Slow(Box::<Probe>::default()),
            Some(duelist) => Role::Duelist(duelist),
            None if probing.contains(&index) => Role::Probe(Box::<Probe>::default()),
            None => Role::Crowd,
        };
        let roles: Vec<Role> = (0..options.all_clients()).map(role).collect();
        let schedule = Schedule::new(options, &roles, &duels, &mut rng);
        let peers = roles.into_iter().zip(0..).map(|(role, index)| Peer {
            sockets: [const { None }; LINKS],
            client: Client::new(
                schedule.connects.at_us(index),
                role,
                options.dialect_of(index as usize),
            ),
            is_dirty: false,
            is_paused: false,
        });
        let mut peers: Vec<Peer> = peers.collect();
        let v1 = peers.iter_mut().filter(|peer| peer.client.group() == Group::V1);
        for (peer, number) in v1.zip(0..v1::OBSERVERS_MAX) {
            peer.client.observer = Some(number);
        }
        Ok(Swarm {
            peers,
            common: Common {
                now_us: 0,
                tallies: Tallies::new(),
                duels,
                v1: Shared::default(),
                rng,
            },
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            dirty: Vec::new(),
            schedule,
            joining: VecDeque::new(),
            leaving: VecDeque::new(),
            left: Vec::new(),
            address,
            security,
            options: options.clone(),
            started: Instant::now(),
            due_us: 0,
            is_releasing: false,
            is_closing: false,
        })
    }

    /// Waits for events until `until_us` at most, and handles them and all due actions. Returns the
    /// current time, in microseconds of the run.
    ///
    /// # Errors
    /// Polling failed.
    pub fn turn(&mut self, until_us: u64) -> io::Result<u64> {
        let wake_us = until_us.min(self.due_us);
        if self.common.tallies.playing() >= CROWD {
            let rest_us = wake_us.saturating_sub(self.clock_us()).min(REST_US);
            std::thread::sleep(Duration::from_micros(rest_us));
        }
        let wait_us = wake_us.saturating_sub(self.clock_us());
        match self.poll.poll(&mut self.events, Some(Duration::from_micros(wait_us))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.common.now_us = self.clock_us();
        // Take the events out, to read them while `self` changes.
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.on_event(event);
            if self.common.now_us >= self.due_us {
                self.run_due();
            }
        }
        self.events = events;
        self.run_due();
        // Not inside the loop: an event of an old socket may still follow.
        self.replace_players();
        self.common.now_us = self.clock_us();
        Ok(self.common.now_us)
    }

    /// Whether every client has joined or failed to.
    #[must_use]
    pub fn is_ramp_over(&self) -> bool {
        self.schedule.connects.is_over() && self.joining.is_empty()
    }

    /// Whether any client that is not stalled is in the game.
    #[must_use]
    pub fn has_players(&self) -> bool {
        self.common.tallies.playing() > 0
    }

    /// Why no client can join, once the first players were all lost without receiving an update.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let tallies = &self.common.tallies;
        let counters = tallies.counters();
        let has_seen = counters.updates > 0 || counters.events > 0;
        let are_all_lost = tallies.lost() >= REFUSED_MIN.min(self.options.clients.into());
        let is_any_in = tallies.playing() > 0 || has_seen;
        let first = tallies.of_players().find_map(|tally| tally.first_loss.as_deref());
        first.filter(|_| are_all_lost && !is_any_in)
    }

    /// The clients of these groups, the stalled ones last.
    pub fn clients_of(&self, groups: &[Group]) -> impl Iterator<Item = &Client> {
        let clients = self.peers.iter().map(|peer| &peer.client);
        clients.filter(|client| groups.contains(&client.group()))
    }

    /// What each client has received so far.
    pub fn received(&self) -> impl Iterator<Item = Received> + '_ {
        self.peers.iter().map(|peer| {
            let player = &peer.client.player;
            Received {
                group: peer.client.group(),
                connect_us: player.connect_us,
                is_playing: player.stage == Stage::Playing,
                updates: player.updates + peer.client.quiet_ticks(self.common.now_us),
                moved: player.moved,
            }
        })
    }

    /// Lets the stalled clients read, to find out whether the server has closed them.
    pub fn release_stalled(&mut self) {
        self.is_releasing = true;
        for index in 0..self.peers.len() {
            if self.peers[index].client.group() == Group::Stalled {
                (0..LINKS).for_each(|link| self.read(index, link, true));
            }
        }
    }

    /// Whether players leave and none of them may.
    #[must_use]
    pub fn has_no_churn(&self) -> bool {
        self.options.churn_hz > 0.0 && self.schedule.churn.is_empty()
    }

    /// Players begin to leave and to be replaced.
    pub fn start_churn(&mut self) {
        self.schedule.churn.start(self.common.now_us);
        self.due_us = self.common.now_us;
    }

    /// How long the players of a crowd take to gather at most, as far as they know their map.
    #[must_use]
    pub fn gather_us(&self) -> u64 {
        self.peers.iter().map(|peer| peer.client.gather_us()).max().unwrap_or_default()
    }

    /// Whether all players of a crowd are known to have gathered.
    #[must_use]
    pub fn is_gathered(&self) -> bool {
        let tally = &self.common.tallies[Group::V1];
        let playing = self.common.tallies.playing();
        tally.playing == playing && tally.counters.v1.gathered >= u64::from(playing)
    }

    /// The players of a crowd have had time to gather.
    pub fn end_gathering(&mut self) {
        self.schedule.gathering.end();
    }

    /// Disconnects all clients; from here on none counts as lost.
    pub fn close(&mut self) {
        self.is_closing = true;
        self.schedule.end();
        self.due_us = u64::MAX;
        for index in 0..self.peers.len() {
            if self.peers[index].client.player.stage == Stage::Playing {
                let client = &mut self.peers[index].client;
                client.close(&mut self.common.context(client.group()));
                self.flush(index);
            } else {
                self.lose(index, &Loss::Eof);
            }
        }
    }

    /// Whether all connections have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Group::ALL.iter().all(|group| self.common.tallies[*group].playing == 0)
    }

    fn clock_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn on_event(&mut self, event: &Event) {
        let (index, link) = (event.token().0 / LINKS, event.token().0 % LINKS);
        let Some(socket) = &mut self.peers[index].sockets[link] else { return };
        if !socket.is_connected {
            match socket.stream.socket().take_error() {
                Ok(Some(error)) | Err(error) => return self.lose(index, &Loss::of(&error)),
                Ok(None) => socket.is_connected = event.is_writable(),
            }
        }
        if event.is_writable() {
            self.flush(index);
        }
        let is_end = event.is_read_closed() || event.is_error();
        let may_read = self.reads(index) || event.is_error();
        if may_read && (event.is_readable() || is_end) {
            self.read(index, link, is_end);
        }
    }

    /// Whether the client reads now. A stalled one reads until it has joined.
    fn reads(&self, index: usize) -> bool {
        let Peer { client, is_paused, .. } = &self.peers[index];
        match client.group() {
            Group::Json | Group::SocketIo | Group::V1 => true,
            Group::Slow => !is_paused || self.is_closing,
            Group::Stalled => self.is_releasing || client.player.stage != Stage::Playing,
        }
    }

    /// Reads from a socket. A read that does not fill the buffer has emptied the socket, so one
    /// read is enough; only the end of the stream needs another.
    fn read(&mut self, index: usize, link: usize, is_end: bool) {
        loop {
            let peer = &mut self.peers[index];
            let Some(socket) = &mut peer.sockets[link] else { return };
            let length = match socket.stream.read(&mut self.buffer) {
                Ok(0) => return self.hang_up(index, link, &Loss::Eof),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.hang_up(index, link, &Loss::of(&error)),
            };
            self.common.now_us = self.started.elapsed().as_micros() as u64;
            let mut context = self.common.context(peer.client.group());
            let result = peer.client.receive(link, &self.buffer[..length], &mut context);
            let needs_flush = peer.needs_flush();
            if let Err(loss) = result {
                self.flush(index);
                return self.lose(index, &loss);
            }
            if needs_flush {
                self.mark_dirty(index);
            }
            if (length < READ_BYTES && !is_end) || !self.reads(index) {
                return;
            }
        }
    }

    /// Handles the end of a connection, which may end the client.
    fn hang_up(&mut self, index: usize, link: usize, loss: &Loss) {
        let peer = &mut self.peers[index];
        peer.sockets[link] = None;
        match peer.client.hang_up(link) {
            Ok(()) => self.mark_dirty(index),
            Err(_) => self.lose(index, loss),
        }
    }

    fn mark_dirty(&mut self, index: usize) {
        if !std::mem::replace(&mut self.peers[index].is_dirty, true) {
            self.dirty.push(index);
        }
    }

    /// Writes the output of this turn, in one write per client.
    fn flush_dirty(&mut self) {
        while let Some(index) = self.dirty.pop() {
            self.peers[index].is_dirty = false;
            self.flush(index);
        }
    }

    /// Opens and closes the connections of a client, and writes its output until the socket would
    /// block.
    fn flush(&mut self, index: usize) {
        for link_index in 0..LINKS {
            let Peer { sockets, client, .. } = &mut self.peers[index];
            let (socket, link) = (&mut sockets[link_index], &mut client.player.links[link_index]);
            if std::mem::take(&mut link.is_spent) || !link.is_wanted {
                *socket = None;
            }
            if !link.is_wanted {
                continue;
            }
            if let Some(socket) = socket {
                if socket.is_connected {
                    // Data that the server sent before it closed may still be unread, and explains
                    // the end better than this error. The next read finds either.
                    if socket.stream.write(&mut link.out).is_err() {
                        link.out.clear();
                    }
                }
                continue;
            }
            match self.connect(index, link_index) {
                Ok(socket) => self.peers[index].sockets[link_index] = Some(socket),
                Err(error) => return self.lose(index, &Loss::of(&error)),
            }
        }
    }

    fn connect(&self, index: usize, link: usize) -> io::Result<Socket> {
        let socket = connect::open(self.address, self.peers[index].client.group())?;
        let mut stream = self.security.stream(socket)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(index * LINKS + link);
        self.poll.registry().register(stream.socket(), token, interest)?;
        Ok(Socket { stream, is_connected: false })
    }

    /// Ends a client, and counts it as lost unless the run is over.
    fn lose(&mut self, index: usize, loss: &Loss) {
        let peer = &mut self.peers[index];
        let stage = std::mem::replace(&mut peer.client.player.stage, Stage::Gone);
        peer.sockets = [const { None }; LINKS];
        peer.client.player.links = Links::default();
        let context = self.common.context(peer.client.group());
        context.tally.playing -= u32::from(stage == Stage::Playing);
        match stage {
            _ if self.is_closing => {}
            Stage::Leaving => self.left.push(index),
            Stage::Gone => {}
            _ => context.tally.record_loss(loss),
        }
    }
}

/// The clients that are probes: the same part of each dialect, spread over all its clients.
fn probing(options: &Load) -> BTreeSet<u32> {
    let wanted = u64::from(options.probes.unwrap_or(PROBES).min(options.clients));
    let all = u64::from(options.clients);
    let mut probing = BTreeSet::new();
    let mut before = 0;
    for dialect in Dialect::ALL {
        let speaks = |index: &u32| options.dialect_of(*index as usize) == dialect;
        let clients: Vec<u32> = (0..options.clients).filter(speaks).collect();
        let count = clients.len() as u64;
        let probes = (before + count) * wanted / all - before * wanted / all;
        probing.extend((0..probes).map(|nth| clients[(nth * count / probes) as usize]));
        before += count;
    }
    probing
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{self, Config};

    #[test]
    fn every_dialect_has_its_part_of_the_probes() {
        for (flags, json, socketio) in [
            ("--mix json=2,socketio=1 --clients 150 --probes 50", 33, 17),
            ("--mix json=2,socketio=1 --clients 3 --probes 3", 2, 1),
            ("--clients 7", 7, 0),
            ("--dialect socketio --clients 1000", 0, 50),
            ("--clients 1000 --probes 0", 0, 0),
        ] {
            let args = ["skirmish", "load"].into_iter().chain(flags.split(' '));
            let parsed = config::parse(args.map(OsString::from));
            let Ok(Config::Load(options)) = parsed else { panic!("{flags}") };
            let probing = probing(&options);
            let speaks = |dialect| {
                let is_it = |index: &&u32| options.dialect_of(**index as usize) == dialect;
                probing.iter().filter(is_it).count()
            };
            assert_eq!((speaks(Dialect::Json), speaks(Dialect::SocketIo)), (json, socketio));
        }
    }
}
