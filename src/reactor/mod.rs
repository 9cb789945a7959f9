//! The loop: the only part with a file descriptor or a clock.
//!
//! `main` makes a [`Reactor`] and calls [`Reactor::turn`] until it says how to exit. One turn has
//! fixed phases: wait, read, tick, publish, accept, flush, reap. Readiness is edge-triggered;
//! writes are tried first, and the kernel is asked about room only after one came short. No phase
//! is long: ticks come before accepts, and a flush is cut into slices with reads between.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info, warn};

use crate::config::Serve;
use crate::limits::{
    self, ACCEPTS_A_TURN, DRAIN_FLUSH_MS, EVENTS_A_TURN, FDS_RESERVED_MIN, FLUSH_SLICE_US,
    LISTENERS_MAX,
};
use crate::server::{ConnId, End, Games, ReadState, Server, Setup};
use crate::time::Millis;

mod clock;
mod listen;
mod pages;
mod queue;
mod stream;

use clock::{Clock, Schedule};
use listen::{Accepted, Listeners};
use pages::Pages;
use queue::Queue;
use stream::{Reading, Stream};

/// Tokens from here up are not connections: the signals, then the listeners.
const TOKEN_SIGNALS: usize = usize::MAX;
const TOKEN_LISTENERS: usize = TOKEN_SIGNALS - LISTENERS_MAX;

/// The server on its sockets.
pub struct Reactor {
    poll: Poll,
    events: Events,
    signals: Signals,
    has_signal: bool,
    listeners: Listeners,
    /// The sockets, each where its connection stands in the server.
    streams: Vec<Option<(ConnId, Stream)>>,
    server: Server,
    clock: Clock,
    schedule: Schedule,
    phase: Phase,
    /// Over how long clients are sent away.
    drain_ms: u64,
    pages: Pages,
    /// How many lines the log has dropped so far.
    log_dropped: Box<dyn Fn() -> u64>,
    /// Those to be read, in the order in which they became readable.
    readable: Queue,
    /// Those to be written to.
    flush: Queue,
    dirty: Vec<ConnId>,
    ended: Vec<(ConnId, End)>,
    buffer: Box<[u8]>,
}

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Clients are being sent away, and what is queued goes out, until then at the latest.
    Draining {
        until: Millis,
        is_listening: bool,
    },
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Reactor").field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// Why the server could not start.
#[derive(Debug, PartialEq, Eq)]
pub enum StartError {
    /// What was asked for cannot be had: one sentence.
    Refused(String),
    /// The machine failed: one sentence.
    Failed(String),
}

impl Reactor {
    /// A server that listens. `seed` is used unless the operator chose one, and `secret` for what
    /// nobody may guess; `log_dropped` tells how many lines the log has dropped.
    ///
    /// # Errors
    /// One sentence: an address is taken, a folder cannot be read, the machine refuses.
    pub fn start(
        settings: Serve,
        games: Games,
        (seed, secret): (u64, [u8; 32]),
        log_dropped: Box<dyn Fn() -> u64>,
    ) -> Result<Reactor, StartError> {
        let failed = |error: io::Error| StartError::Failed(format!("cannot start: {error}."));
        let pages = Pages::of(&settings);
        let assets = pages.read().map_err(StartError::Refused)?;
        let fds_max = rlimit::increase_nofile_limit(u64::MAX).map_err(failed)?;
        let fds_free = fds_max.saturating_sub(FDS_RESERVED_MIN.max(fds_max / 10)).max(1) as usize;
        let connections_max = settings.connections_max.unwrap_or(fds_free).min(fds_free);
        if let Some(asked) = settings.connections_max.filter(|asked| *asked > fds_free) {
            warn!(asked, connections_max, "the limit of file descriptors allows no more");
        }

        let application = if settings.echo { limits::ECHO } else { limits::GAME };
        let mut listeners = Listeners::bind(&settings, application.kernel_unsent_bytes)
            .map_err(StartError::Refused)?;
        let poll = Poll::new().map_err(failed)?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let registry = poll.registry();
        registry
            .register(&mut signals, Token(TOKEN_SIGNALS), Interest::READABLE)
            .map_err(failed)?;
        listeners.watch(TOKEN_LISTENERS, registry).map_err(failed)?;
        pages.check_home(&assets);
        let drain_ms = u64::from(settings.drain_s) * 1000;
        let room_players_max = settings.room_capacity();
        let addrs: Vec<SocketAddr> = listeners.public_addrs().collect();
        let admin_addrs: Vec<SocketAddr> = listeners.admin_addrs().collect();
        let server = Server::new(Setup {
            seed: settings.seed.unwrap_or(seed),
            secret,
            ports: listeners.public_addrs().map(|addr| addr.port()).collect(),
            settings,
            games,
            assets,
            connections_max,
        })
        .map_err(StartError::Refused)?;
        let version = env!("CARGO_PKG_VERSION");
        info!(version, ?addrs, ?admin_addrs, connections_max, room_players_max, "started");
        let mut clock = Clock::start();
        let schedule = Schedule::from(clock.now_us());
        Ok(Reactor {
            poll,
            events: Events::with_capacity(EVENTS_A_TURN),
            signals,
            has_signal: false,
            listeners,
            streams: Vec::new(),
            server,
            clock,
            schedule,
            phase: Phase::Running,
            drain_ms,
            pages,
            log_dropped,
            readable: Queue::default(),
            flush: Queue::default(),
            dirty: Vec::new(),
            ended: Vec::new(),
            buffer: vec![0; application.read_bytes].into_boxed_slice(),
        })
    }

    /// The addresses on which it listens for players.
    pub fn addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.public_addrs()
    }

    /// The addresses of `--admin-listen`.
    pub fn admin_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.admin_addrs()
    }

    /// One turn. It breaks with the exit code when the server has gone away.
    ///
    /// # Errors
    /// What the kernel says when even waiting fails.
    pub fn turn(&mut self) -> io::Result<ControlFlow<u8>> {
        self.wait()?;
        let now = self.clock.now();
        if let ControlFlow::Break(code) = self.hear_signals(now) {
            return Ok(ControlFlow::Break(code));
        }
        self.read(now);
        self.tick();
        self.accept();
        self.flush();
        self.reap();
        Ok(self.go_on(now))
    }

    // --- wait ------------------------------------------------------------------------------------

    /// Waits for the kernel until the next tick is due, or not at all while work is left.
    fn wait(&mut self) -> io::Result<()> {
        let now_us = self.clock.now_us();
        let may_accept = self.listeners.may_accept(Millis(now_us / 1000));
        // A write that fails makes somebody leave, of which others are told.
        let has_more = !self.flush.is_empty() || self.server.is_dirty();
        let has_work = may_accept || !self.readable.is_empty() || has_more;
        let wait_us = if has_work { 0 } else { self.schedule.wait_us(now_us) };
        match self.poll.poll(&mut self.events, Some(Duration::from_micros(wait_us))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            match event.token().0 {
                TOKEN_SIGNALS => self.has_signal = true,
                token if token >= TOKEN_LISTENERS => self.listeners.wake(token - TOKEN_LISTENERS),
                token => {
                    let id = conn_id(token);
                    let Some(stream) = find(&mut self.streams, id) else { continue };
                    if event.is_readable() || event.is_error() {
                        stream.is_readable = true;
                        stream.is_read_closed |= event.is_read_closed();
                        if !stream.is_paused {
                            self.readable.push(id, &mut stream.is_listed);
                        }
                    }
                    if event.is_writable() && stream.is_blocked {
                        stream.is_blocked = false;
                        self.flush.push(id, &mut stream.is_queued);
                    }
                }
            }
        }
        Ok(())
    }

    fn hear_signals(&mut self, now: Millis) -> ControlFlow<u8> {
        if !std::mem::take(&mut self.has_signal) {
            return ControlFlow::Continue(());
        }
        for signal in self.signals.pending() {
            match signal {
                SIGHUP => self.pages.reload(&mut self.server),
                _ if self.phase != Phase::Running => {
                    warn!("second signal: leaving at once");
                    return ControlFlow::Break(128 + signal as u8);
                }
                _ => {
                    info!("signal: sending everybody away; a second one leaves at once");
                    let until = now.after(self.drain_ms + DRAIN_FLUSH_MS);
                    self.phase = Phase::Draining { until, is_listening: true };
                    self.server.drain(now);
                }
            }
        }
        ControlFlow::Continue(())
    }

    // --- read ------------------------------------------------------------------------------------

    /// Lets everybody who is readable be heard once, as long as no tick is due.
    fn read(&mut self, now: Millis) {
        for count in 1..=self.readable.len() {
            if count % 16 == 0 && self.schedule.wait_us(self.clock.now_us()) == 0 {
                break;
            }
            let Some(id) = self.readable.pop() else { break };
            let Some(stream) = find(&mut self.streams, id) else { continue };
            stream.is_listed = false;
            let read_state = if stream.is_sated {
                hear(&mut self.server, id, &mut [], now)
            } else {
                match stream.read(&mut self.buffer) {
                    Reading::Bytes(count) => {
                        hear(&mut self.server, id, &mut self.buffer[..count], now)
                    }
                    Reading::Nothing => ReadState::Open,
                    ending @ (Reading::End | Reading::Broken) => {
                        stream.is_readable = false;
                        self.server.hang_up(id, matches!(ending, Reading::Broken), now);
                        ReadState::Open
                    }
                }
            };
            stream.is_sated = read_state != ReadState::Open;
            stream.is_paused = read_state == ReadState::Paused;
            if !stream.is_paused && (stream.is_sated || stream.is_readable) {
                self.readable.push(id, &mut stream.is_listed);
            }
        }
    }

    // --- tick and publish ------------------------------------------------------------------------

    fn tick(&mut self) {
        let now_us = self.clock.now_us();
        let Some(due) = self.schedule.take(now_us) else { return };
        let now = Millis(now_us / 1000);
        let server = &mut self.server;
        let result = catch_unwind(AssertUnwindSafe(|| {
            server.tick(now);
            server.publish();
        }));
        if result.is_err() {
            server.recover_tick(now);
        }
        let work_us = self.clock.now_us() - now_us;
        let log_dropped = (self.log_dropped)();
        let metrics = self.server.metrics_mut();
        metrics.tick_lateness.record(due.late_us);
        metrics.tick_work.record(work_us);
        metrics.ticks_missed += due.missed;
        metrics.log_dropped = log_dropped;
    }

    // --- accept ----------------------------------------------------------------------------------

    fn accept(&mut self) {
        let now = self.clock.now();
        if !self.listeners.may_accept(now) {
            return;
        }
        for _ in 0..ACCEPTS_A_TURN {
            match self.listeners.accept() {
                Ok(None) => return,
                Ok(Some(Accepted { socket, peer, is_admin })) => {
                    let opened = match is_admin {
                        true => self.server.open_admin(peer, now),
                        false => self.server.open(peer, now),
                    };
                    let Ok(id) = opened else { continue };
                    self.watch(id, socket, now);
                }
                Err(error) => {
                    self.listeners.rest(now);
                    let metrics = self.server.metrics_mut();
                    metrics.accept_backoffs += 1;
                    if metrics.accept_backoffs.is_power_of_two() {
                        warn!(%error, "no connection can be taken right now");
                    }
                    return;
                }
            }
        }
    }

    fn watch(&mut self, id: ConnId, socket: mio::net::TcpStream, now: Millis) {
        let slot = id.slot as usize;
        if self.streams.len() <= slot {
            self.streams.resize_with(slot + 1, || None);
        }
        match Stream::watch(socket, token(id), self.poll.registry()) {
            // Its request has usually come with it, so it is read in the next turn without waiting.
            Ok(mut stream) => {
                self.readable.push(id, &mut stream.is_listed);
                self.streams[slot] = Some((id, stream));
            }
            Err(error) => {
                warn!(%error, "a connection cannot be watched");
                self.server.hang_up(id, true, now);
            }
        }
    }

    // --- flush -----------------------------------------------------------------------------------

    /// Writes to everybody who is owed something, for one slice of time; the rest comes in the next
    /// turn, after another look at what came in.
    fn flush(&mut self) {
        let now = self.clock.now();
        self.server.take_dirty(&mut self.dirty, now);
        self.flush.rotate_behind_last(&mut self.dirty);
        for id in self.dirty.drain(..) {
            // A server that cannot write all its states within a tick sends each peer fewer of
            // them, and newer ones: whoever still waits for the last is not queued again.
            if let Some(stream) = find(&mut self.streams, id) {
                self.flush.push(id, &mut stream.is_queued);
            }
        }
        let start_us = self.clock.now_us();
        let mut now_us = start_us;
        while now_us - start_us < FLUSH_SLICE_US {
            // One look at the clock for a few writes.
            for _ in 0..8 {
                let Some(id) = self.flush.pop() else { return };
                self.flush_one(id, Millis(now_us / 1000));
            }
            now_us = self.clock.now_us();
        }
    }

    fn flush_one(&mut self, id: ConnId, now: Millis) {
        let Some(stream) = find(&mut self.streams, id) else { return };
        stream.is_queued = false;
        while !stream.is_blocked {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.server.slices(id, &mut slices);
            if count == 0 {
                break;
            }
            let shown = slices[..count].iter().map(|slice| slice.len()).sum();
            match stream.write(&slices[..count], shown, self.poll.registry()) {
                Ok(taken) => self.server.written(id, taken, shown, now),
                Err(_) => return self.server.hang_up(id, true, now),
            }
        }
        if stream.is_paused && self.server.may_read(id) {
            stream.is_paused = false;
            self.readable.push(id, &mut stream.is_listed);
        }
    }

    // --- reap ------------------------------------------------------------------------------------

    fn reap(&mut self) {
        self.server.take_ended(&mut self.ended);
        for (id, end) in self.ended.drain(..) {
            let Some(place) = self.streams.get_mut(id.slot as usize) else { continue };
            match (end, &place) {
                (End::Shut, Some((owner, stream))) if *owner == id => stream.shut(),
                (End::Close | End::Reset, Some((owner, _))) if *owner == id => {
                    if let Some((_, stream)) = place.take() {
                        stream.close(end == End::Reset);
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes through the phases of going away.
    fn go_on(&mut self, now: Millis) -> ControlFlow<u8> {
        match self.phase {
            Phase::Running => ControlFlow::Continue(()),
            Phase::Draining { until, .. } if until <= now => {
                info!("whoever is left has had its time");
                ControlFlow::Break(0)
            }
            Phase::Draining { until, is_listening: true } if self.server.is_drained() => {
                self.listeners.close_public();
                self.phase = Phase::Draining { until, is_listening: false };
                ControlFlow::Continue(())
            }
            Phase::Draining { is_listening: false, .. } if self.server.is_empty() => {
                info!("everybody is gone");
                ControlFlow::Break(0)
            }
            Phase::Draining { .. } => ControlFlow::Continue(()),
        }
    }
}

/// Hands bytes to the server. A panic there ends only the connection that brought them.
fn hear(server: &mut Server, id: ConnId, bytes: &mut [u8], now: Millis) -> ReadState {
    let result = catch_unwind(AssertUnwindSafe(|| server.receive(id, bytes, now)));
    result.unwrap_or_else(|_| {
        let start = bytes[..bytes.len().min(64)].escape_ascii();
        error!(%start, "the bytes over which it happened");
        server.recover_receive(id, now);
        ReadState::Open
    })
}

fn find(streams: &mut [Option<(ConnId, Stream)>], id: ConnId) -> Option<&mut Stream> {
    match streams.get_mut(id.slot as usize) {
        Some(Some((owner, stream))) if *owner == id => Some(stream),
        _ => None,
    }
}

/// Slot and serial in one number, so that an event of an earlier connection finds nobody.
fn token(id: ConnId) -> Token {
    Token((id.serial as usize) << 32 | id.slot as usize)
}

fn conn_id(token: usize) -> ConnId {
    ConnId { slot: token as u32, serial: (token >> 32) as u32 }
}
