//! All connections: their handles, who has bytes to send, whose deadline has come, and how they
//! end.
//!
//! Part of the noun `conn`.

use std::net::IpAddr;

use slab::Slab;

use super::super::ids::{ConnId, Owner};
use super::{Admission, Conn, Exchange, Http, Lingering, Reply, Stage};
use crate::close::CloseReason;
use crate::http::response::Response;
use crate::limits::{LINGER_MS, Limits, OUTBOX_STALL_MS, STALL_MS};
use crate::outbox::{Bounds, Encoded, Lane, Pressure, StateTaken};
use crate::time::Millis;
use crate::ws;

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

/// The bounds of an outbox that takes whatever it is given.
const UNBOUNDED: Bounds = Bounds { soft: usize::MAX, hard: usize::MAX };

fn bounds(limits: &Limits) -> Bounds {
    Bounds { soft: limits.outbox_bytes_soft, hard: limits.outbox_bytes_max }
}

/// All connections, and what has to be done about them.
#[derive(Debug, Default)]
pub struct Conns {
    slab: Slab<Conn>,
    /// For each slot the time before which nothing can be due. It may be too early, never too late.
    deadlines: Vec<Millis>,
    /// Those that are not closed yet, operators aside.
    players: usize,
    serial: u32,
    /// Frames queued so far, states not counted.
    frames_out: u64,
    dirty: Vec<ConnId>,
    ended: Vec<(ConnId, End)>,
    /// Whose connection has ended, which, and why; they are told in this turn.
    departed: Vec<(ConnId, Owner, CloseReason)>,
}

impl Conns {
    /// Begins a connection.
    pub fn open(&mut self, peer: IpAddr, admission: Admission, now: Millis) -> ConnId {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let slot = self.slab.insert(Conn::new(peer, admission, serial, now));
        self.players += usize::from(admission != Admission::Admin);
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

    /// Connections that are not closed yet, operators aside.
    #[must_use]
    pub fn players(&self) -> usize {
        self.players
    }

    /// Connections whose sockets are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Frames queued so far, states not counted.
    #[must_use]
    pub fn frames_out(&self) -> u64 {
        self.frames_out
    }

    /// The handles of all connections.
    #[must_use]
    pub fn ids(&self) -> Vec<ConnId> {
        let id = |(slot, conn): (usize, &Conn)| ConnId { slot: slot as u32, serial: conn.serial };
        self.slab.iter().map(id).collect()
    }

    /// Of those in `ids` that are dispensable, the one that has waited longest for a request.
    #[must_use]
    pub fn longest_idle(&self, ids: impl Iterator<Item = ConnId>) -> Option<ConnId> {
        let idle = ids.filter_map(|id| match self.get(id) {
            Some(conn @ Conn { stage: Stage::Http(http), .. }) if conn.is_dispensable() => {
                Some((http.since, id))
            }
            _ => None,
        });
        idle.min_by_key(|(since, _)| *since).map(|(_, id)| id)
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
            // It was as large as a whole read: what a peer leaves unfinished must not hold that.
            if conn.spill.capacity() > 4 * conn.spill.len() + 256 {
                conn.spill.shrink_to_fit();
            }
            self.wake(id);
        }
    }

    /// Sets the time before which nothing can be due.
    pub fn set_deadline(&mut self, id: ConnId, deadline: Millis) {
        self.deadlines[id.slot as usize] = deadline;
    }

    /// Makes sure that the reactor asks the connection for bytes in this turn. It may stand there
    /// more than once; that is cheaper than to look at each connection of a tick just to find out.
    pub fn mark_dirty(&mut self, id: ConnId) {
        self.dirty.push(id);
    }

    /// Whether a connection has bytes to send.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Moves the connections that have bytes to send to the end of `dirty`.
    pub fn take_dirty(&mut self, dirty: &mut Vec<ConnId>) {
        dirty.append(&mut self.dirty);
    }

    /// Queues the answer to a handshake: nothing may go before it, and pongs overtake facts.
    pub fn push_head(&mut self, id: ConnId, bytes: Encoded) {
        if let Some(conn) = self.get_mut(id) {
            conn.outbox.push(bytes, Lane::Control, UNBOUNDED);
            self.mark_dirty(id);
        }
    }

    /// Queues a frame. Past the hard bound the connection ends as slow.
    pub fn push(&mut self, id: ConnId, bytes: Encoded, lane: Lane, limits: &Limits, now: Millis) {
        let Some(conn) = self.get_mut(id) else { return };
        let pressure = conn.outbox.push(bytes, lane, bounds(limits));
        let is_stalled = conn.stalled_since.after(OUTBOX_STALL_MS) <= now;
        let is_too_much = conn.outbox.waiting_bytes() > limits.outbox_bytes_burst;
        self.frames_out += 1;
        self.mark_dirty(id);
        match pressure {
            Pressure::None => {}
            Pressure::Hard if is_stalled || is_too_much => {
                self.close(id, CloseReason::Slow, None, now);
            }
            // It has had no chance yet to take what has just come up.
            Pressure::Soft | Pressure::Hard => self.note_soft(id, now),
        }
    }

    /// Whether so much waits for a connection that facts are merged.
    #[must_use]
    pub fn is_crowded(&self, id: ConnId, limits: &Limits) -> bool {
        self.get(id).is_some_and(|conn| conn.outbox.is_crowded(bounds(limits)))
    }

    /// Queues a pong instead of the one that waits.
    pub fn push_pong(&mut self, id: ConnId, bytes: Encoded) {
        if let Some(conn) = self.get_mut(id) {
            conn.outbox.push_pong(bytes);
            self.frames_out += 1;
            self.mark_dirty(id);
        }
    }

    /// Answers an HTTP request. Unless the connection `keeps_alive`, it ends behind the answer.
    fn respond(
        &mut self,
        id: ConnId,
        response: Response,
        (keeps_alive, is_head): (bool, bool),
        now: Millis,
    ) {
        let Some(conn) = self.get_mut(id) else { return };
        let reason = match response.status {
            408 => CloseReason::HttpTimeout,
            413 => CloseReason::TooBig,
            400.. => CloseReason::HttpRefused,
            _ => CloseReason::HttpDone,
        };
        let (head, body) = response.into_bytes(keeps_alive, is_head);
        // An answer may be larger than any bound: its bytes are shared, and the next request waits.
        conn.outbox.push(Encoded::from(head), Lane::Fact, UNBOUNDED);
        if let Some(body) = body {
            conn.outbox.push(Encoded::from(body), Lane::Fact, UNBOUNDED);
        }
        if let Stage::Http(http) = &mut conn.stage {
            let exchange = std::mem::replace(&mut http.exchange, Exchange::None);
            *http = Http::next(now);
            match exchange {
                Exchange::Held(engine) => http.exchange = Exchange::Answered(engine),
                // Its body will never be whole.
                Exchange::Body(engine, _) => {
                    self.departed.push((id, Owner::Engine(engine), reason));
                }
                Exchange::None | Exchange::Answered(_) => {}
            }
        }
        self.mark_dirty(id);
        if !keeps_alive {
            self.close(id, reason, None, now);
        }
    }

    /// Answers the request that is under way.
    pub fn answer(&mut self, id: ConnId, response: Response, now: Millis) {
        if let Some(Stage::Http(http)) = self.get(id).map(|conn| &conn.stage) {
            let reply = http.reply.clone();
            self.reply(id, response, reply, now);
        }
    }

    /// Answers a request that cannot be taken, whole or in part, and ends the connection.
    pub fn refuse(&mut self, id: ConnId, response: Response, is_head: bool, now: Millis) {
        if let Some(Stage::Http(http)) = self.get(id).map(|conn| &conn.stage) {
            let cors = http.reply.cors.clone();
            self.reply(id, response, Reply { keeps_alive: false, is_head, cors }, now);
        }
    }

    /// Answers a request so that the pages of an origin may read it.
    pub fn reply(&mut self, id: ConnId, mut response: Response, reply: Reply, now: Millis) {
        if let Some(origin) = reply.cors {
            response = match &*origin {
                "*" => response.with("Access-Control-Allow-Origin", "*"),
                one => response
                    .with("Access-Control-Allow-Origin", one.to_owned())
                    .with("Access-Control-Allow-Credentials", "true")
                    .with("Vary", "Origin"),
            };
        }
        self.respond(id, response, (reply.keeps_alive, reply.is_head), now);
    }

    /// Begins the end of a connection: what is queued goes out, then `last` or the close frame that
    /// belongs to `reason`, then it lingers. Its client departs in this turn. Later calls do
    /// nothing.
    pub fn close(&mut self, id: ConnId, reason: CloseReason, last: Option<Encoded>, now: Millis) {
        let Some(conn) = self.get_mut(id) else { return };
        // A poll that has its answer serves its session until the last byte of that is gone.
        let (answering, owner) = match &conn.stage {
            Stage::Http(Http { exchange: Exchange::Answered(engine), .. })
                if !conn.outbox.is_empty() =>
            {
                (Some(*engine), None)
            }
            _ => (None, conn.owner()),
        };
        let (last, patience_ms) = match &conn.stage {
            Stage::Lingering(_) | Stage::Closed(_) => return,
            // It had its time to take what waits.
            Stage::Http(_) if reason == CloseReason::Slow => (last, 0),
            Stage::Http(_) => (last, STALL_MS),
            Stage::WebSocket(_) => {
                let of_reason = || {
                    let code = reason.websocket_code()?;
                    Some(close_frame(code, reason.sentence()))
                };
                (last.or_else(of_reason), 0)
            }
        };
        let has_frame = last.is_some();
        conn.outbox.finish(last);
        conn.spill = Vec::new();
        let has_more = !conn.outbox.is_empty();
        let until = now.after(patience_ms.max(LINGER_MS));
        let lingering = Lingering { reason, until, patience_ms, is_shut: false, answering };
        conn.stage = Stage::Lingering(lingering);
        self.frames_out += u64::from(has_frame);
        self.departed.extend(owner.map(|owner| (id, owner, reason)));
        self.wake(id);
        if reason == CloseReason::PingTimeout && !has_frame {
            self.end(id, End::Reset);
        } else if has_more {
            self.mark_dirty(id);
        } else {
            self.shut(id, now);
        }
    }

    /// Ends a connection over which a fault of ours came up: with 1011, or at once if that has been
    /// said and did not help.
    pub fn close_broken(&mut self, id: ConnId, now: Millis) {
        match self.get(id).map(|conn| &conn.stage) {
            Some(Stage::Lingering(_)) => self.end(id, End::Reset),
            _ => self.close(id, CloseReason::Fault, None, now),
        }
    }

    /// The peer will send nothing more (`is_broken`: and take nothing more). What waits for it is
    /// still written where it can be.
    pub fn hang_up(&mut self, id: ConnId, is_broken: bool, now: Millis) {
        let Some(conn) = self.get_mut(id) else { return };
        conn.has_hung_up = true;
        let is_done = is_broken || conn.outbox.is_empty();
        let reason = match conn.stage {
            Stage::Http(_) if conn.spill.is_empty() => CloseReason::HttpDone,
            _ => CloseReason::HungUp,
        };
        self.close(id, reason, None, now);
        if is_done {
            self.end(id, End::Close);
        }
    }

    /// Takes note that the kernel took `taken` bytes of the `shown` ones. Answers how much of a
    /// state was among them.
    pub fn written(
        &mut self,
        id: ConnId,
        (taken, shown): (usize, usize),
        limits: &Limits,
        now: Millis,
    ) -> StateTaken {
        let Some(conn) = self.get_mut(id) else { return StateTaken::None };
        let was_deaf = !conn.may_read(limits);
        if was_deaf && taken > 0 {
            // It is we who do not listen, and it takes what we say: that is no silence.
            conn.heard_at = now;
        }
        let state_taken = conn.outbox.advance(taken);
        let is_short = taken < shown;
        let was_stalled = conn.stalled_since != Millis::NEVER;
        if !is_short {
            conn.stalled_since = Millis::NEVER;
        } else if taken > 0 || conn.stalled_since == Millis::NEVER {
            conn.stalled_since = now;
        }
        if conn.outbox.waiting_bytes() <= limits.outbox_bytes_soft {
            conn.soft_since = Millis::NEVER;
        }
        let is_empty = conn.outbox.is_empty();
        // While an answer waits only a stall is looked for; from now on, silence.
        if let Stage::Http(http) = &mut conn.stage
            && is_empty
        {
            if matches!(http.exchange, Exchange::Answered(_)) {
                http.exchange = Exchange::None;
            }
            http.since = now;
        }
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
        if is_short || was_stalled || was_deaf {
            self.wake(id);
        }
        state_taken
    }

    /// A peer that lingers had its time. What it has not taken is thrown away, so that nothing
    /// stays in the kernel for one that does not read; but if the kernel has all of it and the peer
    /// was never too slow, the kernel may deliver the rest.
    pub fn give_up(&mut self, id: ConnId) {
        let stage = self.get(id).map(|conn| &conn.stage);
        match stage {
            Some(Stage::Lingering(Lingering { is_shut: true, reason, .. }))
                if *reason != CloseReason::Slow =>
            {
                self.end(id, End::Close);
            }
            _ => self.end(id, End::Reset),
        }
    }

    /// Ends a connection at once, in the way that `end` says.
    pub fn end(&mut self, id: ConnId, end: End) {
        let Some(conn) = self.get_mut(id) else { return };
        let (reason, owner) = match conn.stage {
            Stage::Lingering(Lingering { reason, answering, .. }) => {
                (reason, answering.map(Owner::Engine))
            }
            Stage::Closed(_) => return,
            Stage::Http(_) | Stage::WebSocket(_) => (CloseReason::HungUp, conn.owner()),
        };
        conn.stage = Stage::Closed(reason);
        self.players -= usize::from(conn.admission != Admission::Admin);
        self.departed.extend(owner.map(|owner| (id, owner, CloseReason::HungUp)));
        self.ended.push((id, end));
    }

    /// Moves what is to be done with sockets to `ended`, and frees the slots of those that close;
    /// `on_close` is told of each.
    pub fn take_ended(
        &mut self,
        ended: &mut Vec<(ConnId, End)>,
        mut on_close: impl FnMut(ConnId, &Conn, CloseReason),
    ) {
        for (id, end) in self.ended.drain(..) {
            if let Some(conn) = self.slab.get(id.slot as usize)
                && let Stage::Closed(reason) = conn.stage
                && end != End::Shut
            {
                on_close(id, conn, reason);
                self.slab.remove(id.slot as usize);
                self.deadlines[id.slot as usize] = Millis::NEVER;
            }
            ended.push((id, end));
        }
    }

    /// The next whose connection has ended, which, and why.
    pub fn next_departed(&mut self) -> Option<(ConnId, Owner, CloseReason)> {
        self.departed.pop()
    }

    fn note_soft(&mut self, id: ConnId, now: Millis) {
        if let Some(conn) = self.get_mut(id)
            && conn.soft_since == Millis::NEVER
        {
            conn.soft_since = now;
            self.wake(id);
        }
    }

    /// Our side is said: the peer reads it and hangs up, if it has not done so, or is given up.
    fn shut(&mut self, id: ConnId, now: Millis) {
        let Some(conn) = self.get_mut(id) else { return };
        if let Stage::Lingering(lingering) = &mut conn.stage {
            lingering.answering = None;
        }
        if conn.has_hung_up {
            return self.end(id, End::Close);
        }
        if let Stage::Lingering(lingering) = &mut conn.stage {
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
    Encoded::from(ws::frame::whole(ws::frame::CLOSE, &ws::close::payload(code, reason)))
}

/// A close frame without a code.
#[must_use]
pub fn empty_close() -> Encoded {
    Encoded::from(ws::frame::whole(ws::frame::CLOSE, &[]))
}
