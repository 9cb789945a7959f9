//! The sockets of all clients, and the loop that turns them.
//!
//! `mod` calls [`Swarm::turn`] until its time is over. One thread, one buffer for all reads, one
//! read for each time a socket becomes readable: eight thousand clients at 20 Hz are 160,000 of
//! each in a second.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::client::{Client, Stage, Word};
use super::dial;
use super::loss::Loss;
use super::probe::{Due, LOST_AFTER_US, Probe};
use super::schedule::{Connects, Moves, Probes};
use super::tally::Tally;
use crate::codec::json::{ClientMessage, Direction};
use crate::config::Load;
use crate::ws::close;

/// Time for a whole connect, from TCP to the answer of the handshake.
pub const HANDSHAKE_US: u64 = 10_000_000;
/// Bytes of the one buffer into which all clients read. Larger than any snapshot, and small enough
/// for the second cache of a core.
const READ_BYTES: usize = 256 * 1024;
/// Events taken from the kernel at once.
const EVENTS: usize = 1_024;
/// When so many players were lost and nobody has come in, the others need not try.
const REFUSED_MIN: u64 = 10;
/// Connects in one turn, so that a fast ramp does not stop the reads.
const CONNECTS_A_TURN: u32 = 64;
/// From so many players on the loop rests [`REST_US`] before it waits.
const CROWD: u32 = 2_000;
/// To be woken for each frame costs more than to read it, and slows the sender too. What arrives in
/// this time is handled together; a time of arrival is late by as much at most.
const REST_US: u64 = 300;
/// How soon a probe that waits for its last move looks again.
const PROBE_AGAIN_US: u64 = 5_000;

/// All clients of a run. Those that never read come after the others.
pub struct Swarm {
    /// What the clients have seen.
    pub tally: Tally,
    /// What became of the clients that never read.
    pub stalled: Tally,
    peers: Vec<Peer>,
    /// How many of `peers` are clients in earnest.
    clients: usize,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Clients that have something to send, each once.
    dirty: Vec<usize>,
    connects: Connects,
    moves: Moves,
    probes: Probes,
    /// The first client whose time for the handshake is not known to be kept.
    deadlines_met: usize,
    address: SocketAddr,
    options: Load,
    rng: SmallRng,
    started: Instant,
    now_us: u64,
    /// When something is next to be done, as of the last look at the schedule.
    due_us: u64,
    /// Whether the stalled clients read after all.
    is_releasing: bool,
    is_closing: bool,
}

struct Peer {
    stream: Option<TcpStream>,
    client: Client,
    is_dirty: bool,
}

impl Swarm {
    /// The clients that `options` ask for, not connected yet. The clock of the run starts.
    ///
    /// # Errors
    /// The kernel gives no way to wait for sockets.
    pub fn new(options: &Load, address: SocketAddr, mut rng: SmallRng) -> io::Result<Swarm> {
        let probes = u64::from(options.probes.unwrap_or(50).min(options.clients));
        let clients = u64::from(options.clients);
        let probing: Vec<u32> = (0..probes).map(|nth| (nth * clients / probes) as u32).collect();
        let connects = Connects::new(options.clients + options.stalled, options.ramp_hz);
        let peers: Vec<Peer> = (0..options.clients + options.stalled)
            .map(|index| {
                let probe = probing.binary_search(&index).is_ok().then(Box::<Probe>::default);
                let client = Client::new(connects.at_us(index), probe);
                Peer { stream: None, client, is_dirty: false }
            })
            .collect();
        let movers = (0..options.clients).filter(|index| probing.binary_search(index).is_err());
        Ok(Swarm {
            tally: Tally::new(),
            stalled: Tally::new(),
            peers,
            clients: options.clients as usize,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            dirty: Vec::new(),
            connects,
            moves: Moves::new(movers, options.moves_hz, &mut rng),
            probes: Probes::new(&probing, &mut rng),
            deadlines_met: 0,
            address,
            options: options.clone(),
            rng,
            started: Instant::now(),
            now_us: 0,
            due_us: 0,
            is_releasing: false,
            is_closing: false,
        })
    }

    /// Waits until something happens, but not beyond `until_us`, and does what is to be done.
    /// Answers what time it is now, in microseconds of the run.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub fn turn(&mut self, until_us: u64) -> io::Result<u64> {
        let wake_us = until_us.min(self.due_us);
        if self.tally.playing >= CROWD {
            let rest_us = wake_us.saturating_sub(self.clock_us()).min(REST_US);
            std::thread::sleep(Duration::from_micros(rest_us));
        }
        let wait_us = wake_us.saturating_sub(self.clock_us());
        match self.poll.poll(&mut self.events, Some(Duration::from_micros(wait_us))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.now_us = self.clock_us();
        // The events are taken out so that they can be read while everything else changes.
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.on_event(event);
            if self.now_us >= self.due_us {
                self.do_what_is_due();
            }
        }
        self.events = events;
        self.do_what_is_due();
        self.now_us = self.clock_us();
        Ok(self.now_us)
    }

    /// Whether every client has become a WebSocket, or failed to.
    #[must_use]
    pub fn is_ramp_over(&self) -> bool {
        self.connects.is_over() && self.deadlines_met == self.peers.len()
    }

    /// Whether any client in earnest is a WebSocket now.
    #[must_use]
    pub fn has_players(&self) -> bool {
        self.tally.playing > 0
    }

    /// Why nobody is let in, once the first players were all lost without having seen a snapshot.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let tally = &self.tally;
        let is_any_in = tally.playing > 0 || tally.counters.snapshots > 0;
        let are_all_lost = tally.lost() >= REFUSED_MIN.min(self.clients as u64);
        tally.first_loss.as_deref().filter(|_| are_all_lost && !is_any_in)
    }

    /// Players that are probes.
    #[must_use]
    pub fn probes(&self) -> u32 {
        self.peers.iter().filter(|peer| peer.client.probe.is_some()).count() as u32
    }

    /// Whether each client in earnest is a WebSocket now, and the snapshots it has seen so far.
    pub fn snapshots(&self) -> impl Iterator<Item = (bool, u32)> + '_ {
        let clients = self.peers[..self.clients].iter();
        clients.map(|peer| (peer.client.stage == Stage::Playing, peer.client.snapshots))
    }

    /// Whether no move of a probe that was meant for before `end_us` is still to be seen.
    #[must_use]
    pub fn are_probes_settled(&self, end_us: u64) -> bool {
        self.probes.moments().all(|moment| {
            let probe = &self.peers[moment.client as usize].client.probe;
            let is_pending = probe.as_ref().is_some_and(|probe| probe.is_pending());
            moment.intended_us >= end_us && !is_pending
        })
    }

    /// Gives up what probes still wait for; for after the window and the time that a move has.
    pub fn give_up_probes(&mut self) {
        for moment in self.probes.moments() {
            let client = &mut self.peers[moment.client as usize].client;
            // A client that was lost is counted as that, and not again for each of its moves.
            let Some(probe) = client.probe.as_mut().filter(|_| client.stage == Stage::Playing)
            else {
                continue;
            };
            if let Some(intended_us) = probe.give_up(u64::MAX) {
                self.tally.record_probe_lost(intended_us);
            }
            self.tally.record_probe_lost(moment.intended_us);
        }
    }

    /// The clients that never read do so now, to see whether the server has ended them.
    pub fn release_stalled(&mut self) {
        self.is_releasing = true;
        for index in self.clients..self.peers.len() {
            self.read(index, false);
        }
    }

    /// Says farewell to the server, on every connection; from here on none counts as lost.
    pub fn say_farewell(&mut self) {
        self.is_closing = true;
        (self.moves, self.due_us) = (Moves::new(0..0, 0.0, &mut self.rng), u64::MAX);
        self.probes = Probes::new(&[], &mut self.rng);
        let payload = close::payload(1000, "");
        for index in 0..self.peers.len() {
            if self.peers[index].client.stage == Stage::Playing {
                self.peers[index].client.say(Word::Close(&payload), &mut self.rng);
                self.flush(index);
            } else {
                self.lose(index, &Loss::Eof);
            }
        }
    }

    /// Whether every connection has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tally.playing + self.stalled.playing == 0
    }

    fn clock_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn do_what_is_due(&mut self) {
        if self.is_closing {
            return self.flush_dirty();
        }
        for _ in 0..CONNECTS_A_TURN {
            let Some((index, due_us)) = self.connects.take(self.now_us) else { break };
            self.tally.record_lateness(due_us, self.now_us);
            if let Err(error) = self.connect(index as usize) {
                self.lose(index as usize, &Loss::of(&error));
            }
        }
        while let Some((index, due_us)) = self.moves.take(self.now_us) {
            if self.peers[index as usize].client.stage == Stage::Playing {
                self.tally.record_lateness(due_us, self.now_us);
                let all = [Direction::Up, Direction::Down, Direction::Left, Direction::Right];
                let direction = all[self.rng.random_range(0..all.len())];
                self.say_move(index as usize, direction);
            }
        }
        self.move_probes();
        while self.deadlines_met < self.peers.len() {
            let client = &self.peers[self.deadlines_met].client;
            let is_under_way = !matches!(client.stage, Stage::Playing | Stage::Gone);
            if is_under_way {
                if self.now_us < client.connect_us.saturating_add(HANDSHAKE_US) {
                    break;
                }
                self.lose(self.deadlines_met, &Loss::TimedOut);
            }
            self.deadlines_met += 1;
        }
        self.flush_dirty();
        self.due_us = self.connects.next_us().min(self.moves.next_us()).min(self.probes.next_us());
    }

    fn move_probes(&mut self) {
        while let Some(moment) = self.probes.take(self.now_us) {
            let client = &mut self.peers[moment.client as usize].client;
            let Some(probe) = &mut client.probe else { continue };
            match client.stage {
                Stage::Playing => {}
                Stage::Gone => continue,
                _ => {
                    self.probes.onwards(moment, &mut self.rng);
                    continue;
                }
            }
            if let Some(intended_us) = probe.give_up(self.now_us) {
                self.tally.record_probe_lost(intended_us);
            }
            match probe.due(moment.intended_us, self.now_us) {
                Due::Wait => {
                    self.probes.again(moment, self.now_us + PROBE_AGAIN_US);
                    continue;
                }
                Due::Lost => self.tally.record_probe_lost(moment.intended_us),
                Due::NotReady => {}
                Due::Send(direction) => {
                    self.tally.record_lateness(moment.intended_us, self.now_us);
                    self.say_move(moment.client as usize, direction);
                }
            }
            self.probes.onwards(moment, &mut self.rng);
        }
    }

    fn say_move(&mut self, index: usize, direction: Direction) {
        let mut text = Vec::with_capacity(64);
        ClientMessage::Move(direction).encode(&mut text);
        if self.peers[index].client.say(Word::Text(&text), &mut self.rng) {
            self.tally.counters.moves += 1;
            self.mark_dirty(index);
        } else {
            self.tally.counters.moves_dropped += 1;
        }
    }

    fn connect(&mut self, index: usize) -> io::Result<()> {
        let mut stream = dial::begin(self.address, index >= self.clients)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        let peer = &mut self.peers[index];
        peer.client.out = dial::request(&self.options, index);
        peer.client.stage = Stage::Connecting;
        peer.stream = Some(stream);
        Ok(())
    }

    fn on_event(&mut self, event: &Event) {
        let index = event.token().0;
        let peer = &mut self.peers[index];
        let Some(stream) = &peer.stream else { return };
        if peer.client.stage == Stage::Connecting {
            match stream.take_error() {
                Ok(Some(error)) | Err(error) => return self.lose(index, &Loss::of(&error)),
                Ok(None) if event.is_writable() => peer.client.stage = Stage::Shaking,
                Ok(None) => {}
            }
        }
        if event.is_writable() {
            self.flush(index);
        }
        let is_end = event.is_read_closed() || event.is_error();
        let may_read = !self.is_stalled(index) || event.is_error();
        if may_read && (event.is_readable() || is_end) {
            self.read(index, is_end);
        }
    }

    /// Whether the client is one that never reads and has no reason to any more.
    fn is_stalled(&self, index: usize) -> bool {
        index >= self.clients
            && !self.is_releasing
            && self.peers[index].client.stage == Stage::Playing
    }

    /// Reads what has arrived. A read that does not fill the buffer has emptied the socket, so it
    /// is the only one; but the end of the stream shows only to a read of its own.
    fn read(&mut self, index: usize, is_end: bool) {
        loop {
            let peer = &mut self.peers[index];
            let Some(stream) = &mut peer.stream else { return };
            let length = match stream.read(&mut self.buffer) {
                Ok(0) => return self.lose(index, &Loss::Eof),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.lose(index, &Loss::of(&error)),
            };
            self.now_us = self.started.elapsed().as_micros() as u64;
            let is_earnest = index < self.clients;
            let tally = if is_earnest { &mut self.tally } else { &mut self.stalled };
            let bytes = &self.buffer[..length];
            let heard = peer.client.receive(bytes, self.now_us, tally, &mut self.rng);
            let has_answer = !peer.client.out.is_empty();
            if let Err(loss) = heard {
                self.flush(index);
                return self.lose(index, &loss);
            }
            if has_answer {
                self.mark_dirty(index);
            }
            if (length < READ_BYTES && !is_end) || self.is_stalled(index) {
                return;
            }
        }
    }

    fn mark_dirty(&mut self, index: usize) {
        if !std::mem::replace(&mut self.peers[index].is_dirty, true) {
            self.dirty.push(index);
        }
    }

    /// Everything that a client had to say in this turn goes out in one write.
    fn flush_dirty(&mut self) {
        while let Some(index) = self.dirty.pop() {
            self.peers[index].is_dirty = false;
            self.flush(index);
        }
    }

    /// Writes what the kernel takes; the rest waits until the socket is writable.
    fn flush(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if peer.client.stage == Stage::Connecting {
            return;
        }
        let Some(stream) = &mut peer.stream else { return };
        while !peer.client.out.is_empty() {
            match stream.write(&peer.client.out) {
                Ok(length) => drop(peer.client.out.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the server said before it hung up may still wait to be read, and says more
                // about the end than this error: the read that follows finds either.
                Err(_) => return peer.client.out.clear(),
            }
        }
    }

    /// Ends a client, and counts it as lost unless all are ending.
    fn lose(&mut self, index: usize, loss: &Loss) {
        let peer = &mut self.peers[index];
        let stage = std::mem::replace(&mut peer.client.stage, Stage::Gone);
        peer.stream = None;
        peer.client.out = Vec::new();
        let is_earnest = index < self.clients;
        let tally = if is_earnest { &mut self.tally } else { &mut self.stalled };
        tally.playing -= u32::from(stage == Stage::Playing);
        if !self.is_closing && stage != Stage::Gone {
            tally.record_loss(loss);
        }
    }
}

const _: () = assert!(PROBE_AGAIN_US < LOST_AFTER_US);
