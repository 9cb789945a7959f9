//! The loop itself, over real sockets or simulated ones.
//!
//! [`Turn::run`] is called until it breaks, when the server has drained. One turn has fixed phases:
//! wait, read, tick, publish, accept, flush, reap. Writes are tried first, and readiness to write
//! is watched only after a short write. A tick runs all worlds at once. Accepts and flushes are cut
//! into slices, one a turn. Reads stop when a tick is due, and are cut into slices, too, while
//! states wait to be written. A stream whose layer has something to write is flushed, whether or
//! not the server has bytes for it. A panic of the server, of a layer or of a preface parser over
//! one connection is caught here, where that connection is known, and ends only it.

use std::fmt;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::warn;

use super::drain::Drain;
use super::handshakes::Handshakes;
use super::listeners::{AcceptError, Accepted, Acceptor, Listeners};
use super::progress::Progress;
use super::queue::Queue;
use super::schedule::Schedule;
use super::sockets::{Event, Sockets};
use super::stream::{Phase, Stream};
use super::streams::Streams;
use crate::limits::{
    ACCEPT_BACKOFF_MS, ACCEPTS_A_TURN, DRAIN_FLUSH_MS, FLUSH_SLICE_US, PAGE_SLICE_US,
};
use crate::metrics::TurnPhase;
use crate::server::{ConnId, End, Server};
use crate::time::Millis;

mod read;

/// Reads, or writes, between two looks at the clock, which are prepared together.
const BATCH: usize = 8;

/// A server and its sockets.
pub struct Turn<S: Sockets> {
    sockets: S,
    server: Server,
    listeners: Listeners,
    streams: Streams<S::Socket>,
    schedule: Schedule,
    progress: Progress,
    /// Set once the server shuts down.
    drain: Option<Drain>,
    /// Connections to be read, in the order in which they became readable.
    readable: Queue,
    /// Connections whose handshakes can go on.
    handshakes: Handshakes,
    /// Connections to be written to.
    flush: Queue,
    /// Those that are sent a page, and have time: the states of players never wait for them.
    flush_pages: Queue,
    events: Vec<Event>,
    dirty: Vec<ConnId>,
    dirty_pages: Vec<ConnId>,
    ended: Vec<(ConnId, End)>,
    buffer: Box<[u8]>,
    /// What the work since the last turn has taken, in microseconds.
    between_us: u64,
}

impl<S: Sockets> fmt::Debug for Turn<S> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Turn").field("drain", &self.drain).finish_non_exhaustive()
    }
}

impl<S: Sockets> Turn<S> {
    /// A loop over `sockets`, with an acceptor for each listener, by their numbers: a
    /// [`ListenerKind`] is a plain one. At most `read_bytes` are read at once.
    ///
    /// [`ListenerKind`]: crate::server::ListenerKind
    pub fn new(
        mut sockets: S,
        acceptors: impl IntoIterator<Item = impl Into<Acceptor>>,
        server: Server,
        read_bytes: usize,
    ) -> Turn<S> {
        let now_us = sockets.now_us();
        Turn {
            sockets,
            server,
            listeners: Listeners::new(acceptors),
            streams: Streams::default(),
            schedule: Schedule::from(now_us),
            progress: Progress::from(Millis(now_us / 1000)),
            drain: None,
            readable: Queue::default(),
            handshakes: Handshakes::default(),
            flush: Queue::default(),
            flush_pages: Queue::default(),
            events: Vec::new(),
            dirty: Vec::new(),
            dirty_pages: Vec::new(),
            ended: Vec::new(),
            buffer: vec![0; read_bytes].into_boxed_slice(),
            between_us: 0,
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server, between two turns.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// The sockets.
    pub fn sockets_mut(&mut self) -> &mut S {
        &mut self.sockets
    }

    /// The stream of a connection, unless it is closed.
    pub fn stream(&self, id: ConnId) -> Option<&Stream<S::Socket>> {
        self.streams.get(id)
    }

    /// Whether everything that was to be written is written, or waits for a socket that is full.
    pub fn is_flushed(&self) -> bool {
        self.flush.is_empty() && self.flush_pages.is_empty()
    }

    /// Microseconds that the next turn waits at most: until the next tick is due, or not at all
    /// while work is left.
    pub fn wait_us(&mut self) -> u64 {
        let now_us = self.sockets.now_us();
        let may_accept = self.listeners.may_accept(Millis(now_us / 1000));
        // A write that fails ends a connection, and then other clients are sent that it left.
        let has_more = !self.is_flushed() || self.server.is_dirty();
        let may_read = !self.readable.is_empty() || !self.handshakes.is_empty();
        let has_work = may_accept || may_read || has_more;
        if has_work { 0 } else { self.schedule.wait_us(now_us) }
    }

    /// Begins to drain: clients are closed over `span_ms`, and then the loop ends. New connections
    /// may be left to the next process. Returns whether it was not draining before.
    pub fn drain(&mut self, span_ms: u64, leaves_backlog: bool) -> bool {
        if self.drain.is_some() {
            return false;
        }
        let now = self.now();
        self.drain = Some(Drain::until(now.after(span_ms + DRAIN_FLUSH_MS), leaves_backlog));
        self.server.drain(now);
        true
    }

    /// One turn. It breaks when the server has drained.
    ///
    /// # Errors
    /// Waiting for the sockets is impossible.
    pub fn run(&mut self) -> io::Result<ControlFlow<()>> {
        self.wait()?;
        let now = self.now();
        let start_us = self.sockets.now_us();
        self.read(now);
        self.update_progress(now);
        let read_us = self.record_phase(TurnPhase::Read, start_us);
        self.tick();
        let tick_us = self.record_phase(TurnPhase::Tick, read_us);
        self.accept();
        self.update_progress(now);
        let accept_us = self.record_phase(TurnPhase::Accept, tick_us);
        self.flush();
        let flush_us = self.record_phase(TurnPhase::Flush, accept_us);
        self.reap();
        let end_us = self.record_phase(TurnPhase::Reap, flush_us);
        let between_us = std::mem::take(&mut self.between_us);
        self.server.metrics_mut().turn_work.record(end_us - start_us + between_us);
        let Turn { drain, server, listeners, sockets, .. } = self;
        let drain = drain.as_mut().map(|drain| drain.advance(server, listeners, sockets, now));
        Ok(drain.unwrap_or(ControlFlow::Continue(())))
    }

    /// Records the work between two turns, which began at `start_us`. It counts for the next turn.
    pub fn record_between(&mut self, start_us: u64) {
        self.between_us = self.record_phase(TurnPhase::Between, start_us) - start_us;
    }

    /// Records a phase that began at `start_us`. Returns when it ended.
    fn record_phase(&mut self, phase: TurnPhase, start_us: u64) -> u64 {
        let end_us = self.sockets.now_us();
        self.server.metrics_mut().record_phase(phase, end_us - start_us);
        end_us
    }

    fn now(&mut self) -> Millis {
        Millis(self.sockets.now_us() / 1000)
    }

    // --- wait ------------------------------------------------------------------------------------

    /// Waits until something is ready or [`Turn::wait_us`] have passed.
    fn wait(&mut self) -> io::Result<()> {
        let wait_us = self.wait_us();
        let asked_at = self.now();
        self.sockets.wait(wait_us, &mut self.events)?;
        self.progress.begin_turn(asked_at, self.events.len());
        for event in self.events.drain(..) {
            match event {
                Event::Listener(number) => self.listeners.wake(number),
                Event::Connection { id, is_readable, is_read_closed, is_writable } => {
                    let Some(stream) = self.streams.get_mut(id) else { continue };
                    if is_readable {
                        stream.io.set_readable(is_read_closed);
                        if !stream.is_paused || is_read_closed {
                            self.readable.push(id, &mut stream.is_in_read_queue);
                        }
                    }
                    if is_writable && stream.io.set_writable() {
                        let queue = match self.server.sends_page(id) {
                            true => &mut self.flush_pages,
                            false => &mut self.flush,
                        };
                        queue.push(id, &mut stream.is_in_write_queue);
                    }
                }
            }
        }
        Ok(())
    }

    fn update_progress(&mut self, now: Millis) {
        let may_accept = self.listeners.may_accept(now);
        self.progress.update(may_accept, self.streams.capacity(), &self.readable, &self.flush);
    }

    // --- tick and publish ------------------------------------------------------------------------

    fn tick(&mut self) {
        let now_us = self.sockets.now_us();
        let Some(due) = self.schedule.take(now_us) else { return };
        let now = Millis(now_us / 1000);
        self.server.tick(now, self.progress.advance());
        self.record_deliveries();
        self.server.publish(now);
        let work_us = self.sockets.now_us() - now_us;
        let metrics = self.server.metrics_mut();
        metrics.tick_lateness.record(due.late_us);
        metrics.tick_work.record(work_us);
        metrics.ticks_missed += due.missed;
    }

    /// Asks about the clients that had no credit left on the last tick.
    fn record_deliveries(&mut self) {
        for index in 0..self.server.out_of_credit().len() {
            let id = self.server.out_of_credit()[index];
            let stream = self.streams.get_mut(id);
            let bytes = stream.and_then(|it| it.io.unacknowledged_bytes(&mut self.sockets));
            self.server.record_delivery(id, bytes);
        }
    }

    // --- accept ----------------------------------------------------------------------------------

    fn accept(&mut self) {
        let now = self.now();
        if !self.listeners.may_accept(now) {
            return;
        }
        for _ in 0..ACCEPTS_A_TURN {
            match self.listeners.accept(&mut self.sockets, now) {
                Ok(None) => return,
                Ok(Some(accepted)) => self.open(accepted, now),
                Err(AcceptError::ConnectionLost) => {}
                Err(AcceptError::Exhausted(error)) => {
                    let metrics = self.server.metrics_mut();
                    metrics.accept_backoffs += 1;
                    if metrics.accept_backoffs.is_power_of_two() {
                        warn!(
                            %error,
                            "cannot accept connections; trying again when one ends, and after \
                             {ACCEPT_BACKOFF_MS} ms (raise the open-file limit if this repeats)"
                        );
                    }
                    return;
                }
            }
        }
    }

    fn open(&mut self, accepted: Accepted<S::Socket>, now: Millis) {
        let Accepted { mut socket, peer, acceptor } = accepted;
        let server = &mut self.server;
        let opened = catch_unwind(AssertUnwindSafe(|| server.open(peer, acceptor.kind, now)));
        let Ok(Ok(id)) = opened else {
            // If it panicked, what was begun of the connection ends by its deadline.
            server.metrics_mut().panics += u64::from(opened.is_err());
            // Reset: a connection that this side closes first stays in TIME_WAIT for a minute.
            self.sockets.close(socket, true);
            return;
        };
        if let Err(error) = self.sockets.watch_readable(&mut socket, id) {
            warn!(%error, "cannot register a connection with epoll; closed it");
            return self.end_without_stream(id, now);
        }
        let stream = catch_unwind(AssertUnwindSafe(|| acceptor.stream(socket, id)));
        let Ok(mut stream) = stream else {
            self.server.recover(id, now);
            return self.end_without_stream(id, now);
        };
        // It is read in the next turn, without waiting.
        self.readable.push(id, &mut stream.is_in_read_queue);
        self.streams.insert(id, stream);
    }

    fn end_without_stream(&mut self, id: ConnId, now: Millis) {
        let server = &mut self.server;
        if catch_unwind(AssertUnwindSafe(|| server.peer_closed(id, true, now))).is_err() {
            server.recover(id, now);
        }
    }

    // --- flush -----------------------------------------------------------------------------------

    /// Writes to the connections that have bytes to send, for one slice of time, then to those that
    /// are sent a page, for a shorter one. The rest comes in the next turn, after another read.
    fn flush(&mut self) {
        let now = self.now();
        self.server.take_dirty(&mut self.dirty, &mut self.dirty_pages, now);
        self.flush.rotate_behind_last(&mut self.dirty);
        // A server that cannot write all its states within a tick sends each peer fewer of them,
        // and newer ones: a peer that still waits for the last is not queued again.
        self.streams.queue_writes(&mut self.flush, self.dirty.drain(..));
        self.streams.queue_writes(&mut self.flush_pages, self.dirty_pages.drain(..));
        let start_us = self.sockets.now_us();
        let mut now_us = start_us;
        'slice: while now_us - start_us < FLUSH_SLICE_US {
            // One look at the clock for a few writes.
            self.prefetch(&self.flush);
            for _ in 0..BATCH {
                let Some(id) = self.flush.pop() else { break 'slice };
                self.flush_one(id, false, Millis(now_us / 1000));
            }
            now_us = self.sockets.now_us();
        }
        self.flush_pages(now_us);
    }

    fn flush_pages(&mut self, start_us: u64) {
        for _ in 0..self.flush_pages.len() {
            let Some(id) = self.flush_pages.pop() else { return };
            let now_us = self.sockets.now_us();
            self.flush_one(id, true, Millis(now_us / 1000));
            if now_us - start_us >= PAGE_SLICE_US {
                return;
            }
        }
    }

    /// Reads what the next reads or writes need, so that their memory is waited for together.
    fn prefetch(&self, queue: &Queue) {
        let next = queue.iter().take(BATCH);
        self.server.prefetch(next.filter(|id| black_box(self.stream(*id)).is_some()));
    }

    fn flush_one(&mut self, id: ConnId, is_page: bool, now: Millis) {
        let result = catch_unwind(AssertUnwindSafe(|| self.write(id, is_page, now)));
        if result.is_err() {
            self.recover(id, now);
        }
    }

    /// Writes what waits, or a part of it, if that `is_page`.
    fn write(&mut self, id: ConnId, is_page: bool, now: Millis) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.is_in_write_queue = false;
        loop {
            if stream.wants_write() && stream.io.flush(&mut self.sockets, id).is_err() {
                return self.server.peer_closed(id, true, now);
            }
            // While the layer cannot write, the server learns that its own bytes are not taken.
            let is_blocked = stream.io.is_blocked() && !stream.wants_write();
            if is_blocked || stream.phase() != Phase::Open {
                break;
            }
            let mut slices = [IoSlice::new(&[]); 16];
            let count = match is_page {
                true => self.server.page_slices(id, &mut slices),
                false => self.server.slices(id, &mut slices),
            };
            if count == 0 {
                break;
            }
            let shown = slices[..count].iter().map(|slice| slice.len()).sum();
            match stream.io.write(&mut self.sockets, id, &slices[..count], shown) {
                Ok(taken) => {
                    let may_have_more = self.server.written(id, taken, shown, now);
                    if !may_have_more && !stream.wants_write() {
                        break;
                    }
                }
                Err(_) => return self.server.peer_closed(id, true, now),
            }
            if stream.io.is_blocked() {
                break;
            }
            if is_page {
                // Others go first.
                self.flush_pages.push(id, &mut stream.is_in_write_queue);
                break;
            }
        }
        if stream.is_paused && self.server.may_read(id) {
            stream.is_paused = false;
            self.readable.push(id, &mut stream.is_in_read_queue);
        }
    }

    // --- reap ------------------------------------------------------------------------------------

    fn reap(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        self.server.take_ended(&mut ended);
        for (id, end) in ended.drain(..) {
            let result = catch_unwind(AssertUnwindSafe(|| self.reap_one(id, end)));
            if result.is_err() {
                let now = self.now();
                self.recover(id, now);
            }
        }
        self.ended = ended;
    }

    fn reap_one(&mut self, id: ConnId, end: End) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if end == End::Shut {
            stream.io.shut_down(&mut self.sockets, id);
        } else if let Some(mut stream) = self.streams.remove(id) {
            stream.handshake_place.and_then(|place| self.handshakes.remove(place));
            if end == End::Close && stream.phase() == Phase::Open {
                stream.io.end_layer(&mut self.sockets);
            }
            self.sockets.close(stream.io.into_socket(), end == End::Reset);
            self.listeners.end_rest();
        }
    }
}
