//! Connections: what stage of its protocol each TCP connection is in, what of its bytes could not
//! be used yet, and what it is owed.
//!
//! A noun: the verbs read and change it. It touches no socket and knows no player.

use std::net::IpAddr;

use slab::Slab;

use super::ids::{ConnId, SessionId};
use crate::bucket::Bucket;
use crate::close::CloseReason;
use crate::http::request::{self, BadRequest, Request};
use crate::http::response::Response;
use crate::limits::{
    HTTP_HEAD_MS, HTTP_KEEP_ALIVE_MS, LINGER_MS, Limits, OUTBOX_SOFT_MS, STALL_MS,
};
use crate::outbox::{Bounds, Encoded, Lane, Outbox, Pressure};
use crate::time::Millis;
use crate::ws::{self, Assembler, FrameRules, Mask, Message, Violation};

/// One TCP connection.
#[derive(Debug)]
pub struct Conn {
    /// The address at its other end.
    pub peer: IpAddr,
    /// Where it is in its life.
    pub stage: Stage,
    /// What it is owed, in bytes.
    pub outbox: Outbox,
    /// When its last bytes came.
    pub heard_at: Millis,
    /// Whether it is one too many and only gets an answer that says so.
    pub is_surplus: bool,
    /// Warnings about it in the log.
    pub warnings: u8,
    serial: u32,
    /// Bytes that are of no use without those that follow, or that wait for the next turn.
    spill: Vec<u8>,
    /// Since when the kernel has taken nothing of what waits; `NEVER` if nothing waits.
    stalled_since: Millis,
    /// Since when the outbox is above its soft bound; `NEVER` if it is not.
    soft_since: Millis,
    is_dirty: bool,
}

/// Where a connection is in its life.
#[derive(Debug)]
pub enum Stage {
    /// It speaks HTTP: a request is awaited, or has arrived in part.
    Http(Http),
    /// It speaks WebSocket.
    WebSocket(WebSocket),
    /// We have said our last; the peer may read it until `until`.
    Lingering(Lingering),
    /// It is over; the reactor takes it away in this turn.
    Closed(CloseReason),
}

/// A connection that speaks HTTP.
#[derive(Debug)]
pub struct Http {
    /// Since when the request is awaited.
    since: Millis,
    /// Whether a head must come soon: it is the first, or it has begun.
    is_urgent: bool,
    /// How far the spill was searched for the end of the head.
    scanned_bytes: usize,
}

/// A connection that speaks WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    /// The client, once it has joined.
    pub session: Option<SessionId>,
    /// Whether a ping of ours is not answered yet.
    pub is_pinged: bool,
    /// How many control frames it may send.
    pub control: Bucket,
    /// Since when it sends more than that; `NEVER` if it does not.
    pub control_over_since: Millis,
    assembler: Assembler,
}

/// A connection that is about to end.
#[derive(Debug)]
pub struct Lingering {
    /// Why it ends.
    reason: CloseReason,
    /// When the wait ends.
    until: Millis,
    /// How long it may go on after each byte that the peer takes.
    patience_ms: u64,
    /// Whether our side is shut already.
    is_shut: bool,
}

/// What came in.
#[derive(Debug)]
pub enum Arrival<'b> {
    /// The head of an HTTP request.
    Request(Request<'b>),
    /// A WebSocket message or control frame.
    Message(Message<'b>),
    /// A part of a message.
    Part,
    /// Bytes that nobody wants any more.
    Ignored,
}

/// How the peer broke its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In HTTP.
    Http(BadRequest),
    /// In WebSocket.
    WebSocket(Violation),
}

/// What is to be done with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Shut our side; the peer may still be sending.
    Shut,
    /// Close it.
    Close,
    /// Close it and throw away what the peer has not taken.
    Reset,
}

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing until then.
    Wait(Millis),
    /// A ping: the peer was silent.
    Ping,
    /// The end.
    End(CloseReason),
}

impl Conn {
    fn new(peer: IpAddr, serial: u32, now: Millis) -> Conn {
        Conn {
            peer,
            stage: Stage::Http(Http { since: now, is_urgent: true, scanned_bytes: 0 }),
            outbox: Outbox::default(),
            heard_at: now,
            is_surplus: false,
            warnings: 0,
            serial,
            spill: Vec::new(),
            stalled_since: Millis::NEVER,
            soft_since: Millis::NEVER,
            is_dirty: false,
        }
    }

    /// Takes one request or message from the start of `bytes`: how many bytes it took, and what came;
    /// `None` if nothing can be done without more bytes.
    ///
    /// # Errors
    /// The peer's first fault. The connection must be ended.
    pub fn advance<'b>(
        &mut self,
        bytes: &'b mut [u8],
        limits: &Limits,
        now: Millis,
    ) -> Result<Option<(usize, Arrival<'b>)>, Fault> {
        match &mut self.stage {
            Stage::Http(http) => {
                if bytes.is_empty() {
                    return Ok(None);
                }
                if !http.is_urgent {
                    http.is_urgent = true;
                    http.since = now;
                }
                let end = request::head_end(bytes, &mut http.scanned_bytes).map_err(Fault::Http)?;
                let Some(end) = end else { return Ok(None) };
                let head: &'b [u8] = &bytes[..end];
                let request = Request::parse(head).map_err(Fault::Http)?;
                Ok(Some((end, Arrival::Request(request))))
            }
            Stage::WebSocket(websocket) => {
                let rules = FrameRules {
                    mask: Mask::Required,
                    message_bytes_max: limits.message_bytes_max,
                    fragments_max: limits.fragments_max,
                };
                match websocket.assembler.next(bytes, &rules).map_err(Fault::WebSocket)? {
                    (0, None) => Ok(None),
                    (taken, None) => Ok(Some((taken, Arrival::Part))),
                    (taken, Some(message)) => Ok(Some((taken, Arrival::Message(message)))),
                }
            }
            Stage::Lingering(_) | Stage::Closed(_) if bytes.is_empty() => Ok(None),
            Stage::Lingering(_) | Stage::Closed(_) => Ok(Some((bytes.len(), Arrival::Ignored))),
        }
    }

    /// Whether the next request or message may be handled: requests are answered one at a time, and a
    /// peer whose own requests fill its outbox is not read until it drains.
    #[must_use]
    pub fn may_read(&self, limits: &Limits) -> bool {
        match self.stage {
            Stage::Http(_) => self.outbox.is_empty(),
            Stage::WebSocket(_) => self.outbox.waiting_bytes() <= limits.outbox_bytes_pause,
            Stage::Lingering(_) | Stage::Closed(_) => true,
        }
    }

    /// Whether bytes wait here that were read and not used.
    #[must_use]
    pub fn has_spill(&self) -> bool {
        !self.spill.is_empty()
    }

    /// Takes the bytes that were kept.
    pub fn take_spill(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spill)
    }

    /// The client on this connection, if there is one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match &self.stage {
            Stage::WebSocket(websocket) => websocket.session,
            _ => None,
        }
    }

    /// Turns HTTP into WebSocket.
    pub fn upgrade(&mut self, control: Bucket) {
        self.stage = Stage::WebSocket(WebSocket {
            session: None,
            is_pinged: false,
            control,
            control_over_since: Millis::NEVER,
            assembler: Assembler::default(),
        });
    }

    /// The WebSocket is that of a client.
    pub fn join(&mut self, session: SessionId) {
        if let Stage::WebSocket(websocket) = &mut self.stage {
            websocket.session = Some(session);
        }
    }

    /// What the passing of time asks for at `now`.
    #[must_use]
    pub fn due(&self, limits: &Limits, now: Millis) -> Due {
        let stall_at = self.stalled_since.after(STALL_MS);
        let soft_at = self.soft_since.after(OUTBOX_SOFT_MS);
        match &self.stage {
            Stage::Http(_) if stall_at <= now => Due::End(CloseReason::Slow),
            Stage::Http(_) if !self.outbox.is_empty() => Due::Wait(stall_at),
            Stage::Http(http) => {
                let has_begun = !self.spill.is_empty();
                let span_ms = if http.is_urgent { HTTP_HEAD_MS } else { HTTP_KEEP_ALIVE_MS };
                match http.since.after(span_ms) {
                    end if end > now => Due::Wait(end),
                    _ if has_begun => Due::End(CloseReason::HttpTimeout),
                    _ => Due::End(CloseReason::HttpIdle),
                }
            }
            Stage::WebSocket(websocket) => {
                let dead_at = self.heard_at.after(limits.silence_ms);
                let ping_at = match limits.ping_after_ms {
                    Some(span_ms) if !websocket.is_pinged => self.heard_at.after(span_ms),
                    _ => Millis::NEVER,
                };
                if stall_at <= now || soft_at <= now {
                    Due::End(CloseReason::Slow)
                } else if dead_at <= now {
                    Due::End(CloseReason::PingTimeout)
                } else if ping_at <= now {
                    Due::Ping
                } else {
                    Due::Wait(stall_at.min(soft_at).min(dead_at).min(ping_at))
                }
            }
            Stage::Lingering(lingering) if lingering.until <= now => Due::End(lingering.reason),
            Stage::Lingering(lingering) => Due::Wait(lingering.until),
            Stage::Closed(_) => Due::Wait(Millis::NEVER),
        }
    }

    fn note_pressure(&mut self, pressure: Pressure, now: Millis) {
        match pressure {
            Pressure::None => self.soft_since = Millis::NEVER,
            Pressure::Soft | Pressure::Hard if self.soft_since == Millis::NEVER => {
                self.soft_since = now;
            }
            Pressure::Soft | Pressure::Hard => {}
        }
    }
}

/// All connections, and what has to be done about them.
#[derive(Debug, Default)]
pub struct Conns {
    slab: Slab<Conn>,
    /// For each slot the time before which nothing can be due. It may be too early, never too late.
    deadlines: Vec<Millis>,
    serial: u32,
    dirty: Vec<ConnId>,
    ended: Vec<(ConnId, End)>,
    /// Clients whose connection has ended, and why; they leave in this turn.
    departed: Vec<(SessionId, CloseReason)>,
}

impl Conns {
    /// Begins a connection.
    pub fn open(&mut self, peer: IpAddr, now: Millis) -> ConnId {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let slot = self.slab.insert(Conn::new(peer, serial, now));
        if self.deadlines.len() <= slot {
            self.deadlines.resize(slot + 1, Millis::NEVER);
        }
        self.deadlines[slot] = now;
        ConnId { slot: slot as u32, serial }
    }

    /// The connection, unless it has ended.
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slab.get(id.slot as usize).filter(|conn| conn.serial == id.serial)
    }

    /// The connection, unless it has ended.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slab.get_mut(id.slot as usize).filter(|conn| conn.serial == id.serial)
    }

    /// Connections that are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// The handles of all connections.
    #[must_use]
    pub fn ids(&self) -> Vec<ConnId> {
        let id = |(slot, conn): (usize, &Conn)| ConnId { slot: slot as u32, serial: conn.serial };
        self.slab.iter().map(id).collect()
    }

    /// Calls for a look at the connection on the next tick.
    pub fn wake(&mut self, id: ConnId) {
        self.deadlines[id.slot as usize] = Millis(0);
    }

    /// Fills `due` with the connections whose deadline may have come.
    pub fn collect_due(&self, now: Millis, due: &mut Vec<ConnId>) {
        due.clear();
        for (slot, deadline) in self.deadlines.iter().enumerate() {
            if *deadline <= now
                && let Some(conn) = self.slab.get(slot)
            {
                due.push(ConnId { slot: slot as u32, serial: conn.serial });
            }
        }
    }

    /// Keeps bytes of a connection for the next time; one that is about to end has no next time.
    pub fn keep_spill(&mut self, id: ConnId, bytes: Vec<u8>) {
        if let Some(conn) = self.get_mut(id)
            && !bytes.is_empty()
            && !matches!(conn.stage, Stage::Lingering(_) | Stage::Closed(_))
        {
            conn.spill = bytes;
            self.wake(id);
        }
    }

    /// Sets the time before which nothing can be due.
    pub fn set_deadline(&mut self, id: ConnId, deadline: Millis) {
        self.deadlines[id.slot as usize] = deadline;
    }

    /// Makes sure that the reactor asks the connection for bytes in this turn.
    pub fn mark_dirty(&mut self, id: ConnId) {
        if let Some(conn) = self.slab.get_mut(id.slot as usize)
            && conn.serial == id.serial
            && !conn.is_dirty
        {
            conn.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Moves the connections that have bytes to send to `dirty`.
    pub fn take_dirty(&mut self, dirty: &mut Vec<ConnId>) {
        for id in self.dirty.drain(..) {
            if let Some(conn) = self.slab.get_mut(id.slot as usize) {
                conn.is_dirty = false;
            }
            dirty.push(id);
        }
    }

    /// Queues bytes. Past the hard bound the connection ends as slow.
    pub fn push(&mut self, id: ConnId, bytes: Encoded, lane: Lane, limits: &Limits, now: Millis) {
        let Some(conn) = self.get_mut(id) else { return };
        let bounds = Bounds { soft: limits.outbox_bytes_soft, hard: limits.outbox_bytes_max };
        let pressure = conn.outbox.push(bytes, lane, bounds);
        conn.note_pressure(pressure, now);
        self.mark_dirty(id);
        match pressure {
            Pressure::None => {}
            Pressure::Soft => self.wake(id),
            Pressure::Hard => self.close(id, CloseReason::Slow, None, now),
        }
    }

    /// Queues a pong instead of the one that waits.
    pub fn replace_pong(&mut self, id: ConnId, bytes: Encoded) {
        if let Some(conn) = self.get_mut(id) {
            conn.outbox.replace_control(bytes);
            self.mark_dirty(id);
        }
    }

    /// Answers an HTTP request. Unless the connection `keeps_alive`, it ends behind the answer.
    pub fn respond(
        &mut self,
        id: ConnId,
        response: Response,
        (keeps_alive, is_head): (bool, bool),
        now: Millis,
    ) {
        let Some(conn) = self.get_mut(id) else { return };
        let reason = match response.status {
            400.. => CloseReason::HttpRefused,
            _ => CloseReason::HttpDone,
        };
        let (head, body) = response.into_bytes(keeps_alive, is_head);
        // An answer may be larger than any bound: its bytes are shared, and the next request waits.
        let unbounded = Bounds { soft: usize::MAX, hard: usize::MAX };
        conn.outbox.push(Encoded::from(head), Lane::Fact, unbounded);
        if let Some(body) = body {
            conn.outbox.push(Encoded::from(body), Lane::Fact, unbounded);
        }
        if let Stage::Http(http) = &mut conn.stage {
            *http = Http { since: now, is_urgent: false, scanned_bytes: 0 };
        }
        self.mark_dirty(id);
        if !keeps_alive {
            self.close(id, reason, None, now);
        }
    }

    /// Begins the end of a connection: what is queued goes out, then `last` or the close frame that
    /// belongs to `reason`, then it lingers. Its client departs in this turn. Later calls do nothing.
    pub fn close(&mut self, id: ConnId, reason: CloseReason, last: Option<Encoded>, now: Millis) {
        let Some(conn) = self.get_mut(id) else { return };
        let (departed, last, patience_ms) = match &conn.stage {
            Stage::Lingering(_) | Stage::Closed(_) => return,
            Stage::Http(_) => (None, last, STALL_MS),
            Stage::WebSocket(websocket) => {
                let of_reason = || reason.websocket_code().map(|code| close_frame(code, ""));
                (websocket.session, last.or_else(of_reason), 0)
            }
        };
        conn.outbox.finish(last);
        conn.spill = Vec::new();
        let has_more = !conn.outbox.is_empty() && reason != CloseReason::PingTimeout;
        let until = now.after(patience_ms.max(LINGER_MS));
        conn.stage = Stage::Lingering(Lingering { reason, until, patience_ms, is_shut: false });
        self.departed.extend(departed.map(|session| (session, reason)));
        self.wake(id);
        if has_more {
            self.mark_dirty(id);
        } else if reason.is_abortive() {
            self.end(id);
        } else {
            self.shut(id, now);
        }
    }

    /// The peer will send nothing more (`is_broken`: and take nothing more). What waits for it is
    /// still written where it can be.
    pub fn hang_up(&mut self, id: ConnId, is_broken: bool, now: Millis) {
        let Some(conn) = self.get(id) else { return };
        let is_done = is_broken || conn.outbox.is_empty();
        let reason = match conn.stage {
            Stage::Http(_) if conn.spill.is_empty() => CloseReason::HttpDone,
            _ => CloseReason::HungUp,
        };
        self.close(id, reason, None, now);
        if is_done {
            self.end(id);
        }
    }

    /// Takes note that the kernel took `taken` bytes of the `shown` ones. Answers whether the last
    /// byte of a state was among them.
    pub fn written(&mut self, id: ConnId, taken: usize, shown: usize, now: Millis) -> bool {
        let Some(conn) = self.get_mut(id) else { return false };
        let state_whole = conn.outbox.advance(taken);
        let is_short = taken < shown;
        let was_stalled = conn.stalled_since != Millis::NEVER;
        if !is_short {
            conn.stalled_since = Millis::NEVER;
        } else if taken > 0 || conn.stalled_since == Millis::NEVER {
            conn.stalled_since = now;
        }
        if conn.outbox.waiting_bytes() == 0 {
            conn.soft_since = Millis::NEVER;
        }
        let is_empty = conn.outbox.is_empty();
        if let Stage::Lingering(lingering) = &mut conn.stage
            && !lingering.is_shut
        {
            if taken > 0 {
                lingering.until = lingering.until.max(now.after(lingering.patience_ms));
            }
            if is_empty {
                self.shut(id, now);
            }
        }
        if is_short || was_stalled {
            self.wake(id);
        }
        state_whole
    }

    /// Ends a connection at once.
    pub fn end(&mut self, id: ConnId) {
        let Some(conn) = self.get_mut(id) else { return };
        let reason = match conn.stage {
            Stage::Lingering(Lingering { reason, .. }) => reason,
            Stage::Closed(_) => return,
            Stage::Http(_) | Stage::WebSocket(_) => CloseReason::HungUp,
        };
        conn.stage = Stage::Closed(reason);
        let end = if reason.is_abortive() { End::Reset } else { End::Close };
        self.ended.push((id, end));
    }

    /// Moves what is to be done with sockets to `ended`, and frees the slots of those that close;
    /// `on_close` is told of each.
    pub fn take_ended(
        &mut self,
        ended: &mut Vec<(ConnId, End)>,
        mut on_close: impl FnMut(&Conn, CloseReason),
    ) {
        for (id, end) in self.ended.drain(..) {
            if let Some(conn) = self.slab.get(id.slot as usize)
                && let Stage::Closed(reason) = conn.stage
                && end != End::Shut
            {
                on_close(conn, reason);
                self.slab.remove(id.slot as usize);
                self.deadlines[id.slot as usize] = Millis::NEVER;
            }
            ended.push((id, end));
        }
    }

    /// The next client whose connection has ended, and why.
    pub fn next_departed(&mut self) -> Option<(SessionId, CloseReason)> {
        self.departed.pop()
    }

    /// Our side is said: the peer reads it, hangs up, or has waited long enough.
    fn shut(&mut self, id: ConnId, now: Millis) {
        if let Some(conn) = self.get_mut(id)
            && let Stage::Lingering(lingering) = &mut conn.stage
        {
            lingering.is_shut = true;
            lingering.until = now.after(LINGER_MS);
            conn.stalled_since = Millis::NEVER;
            self.ended.push((id, End::Shut));
            self.wake(id);
        }
    }
}

/// A close frame with a code of ours.
#[must_use]
pub fn close_frame(code: u16, reason: &str) -> Encoded {
    let mut bytes = Vec::new();
    ws::frame::encode(ws::frame::CLOSE, &ws::close::payload(code, reason), &mut bytes);
    Encoded::from(bytes)
}
