//! Connections: what stage of its protocol each TCP connection is in, what of its bytes could not
//! be used yet, and what it is owed.
//!
//! A noun: the verbs read and change it. It touches no socket and knows no player. One connection
//! stands here; all of them together, and how they end, in `conns`.

use std::net::IpAddr;
use std::rc::Rc;

use super::ids::{EngineId, Owner};
use crate::bucket::RateLimit;
use crate::close::CloseReason;
use crate::http::body::Body;
use crate::http::request::{self, BadRequest, Request};
use crate::limits::{
    HTTP_BODY_MS, HTTP_HEAD_MS, HTTP_KEEP_ALIVE_MS, InputRates, Limits, OUTBOX_SOFT_MS, STALL_MS,
};
use crate::outbox::Outbox;
use crate::time::Millis;
use crate::ws::{Assembler, FrameRules, Mask, Message, Violation};

mod conns;

pub use conns::{Conns, End, close_frame, empty_close};

/// One TCP connection.
#[derive(Debug)]
pub struct Conn {
    /// The address at its other end; of a WebSocket through a trusted proxy, that of the client.
    pub peer: IpAddr,
    /// Where it is in its life.
    pub stage: Stage,
    /// What it is owed, in bytes.
    pub outbox: Outbox,
    /// When its last bytes came.
    pub heard_at: Millis,
    /// As what it was let in.
    pub admission: Admission,
    /// Warnings about it in the log.
    pub warnings: u8,
    serial: u32,
    /// Bytes that are of no use without those that follow, or that wait for the next turn.
    spill: Vec<u8>,
    /// Since when the kernel has taken nothing of what waits; `NEVER` if nothing waits.
    stalled_since: Millis,
    /// Since when the outbox is above its soft bound; `NEVER` if it is not.
    soft_since: Millis,
    /// The peer has shut its side: there is no use in waiting for it to do so.
    has_hung_up: bool,
}

/// As what a connection was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As one of those for whom there is room.
    Regular,
    /// As one too many: it gets one answer, and a player is told that we are full.
    Surplus,
    /// As an operator's, by `--admin-listen`: it is told how we are, and nothing else.
    Admin,
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
    /// How the answer that is under way goes out.
    reply: Reply,
    exchange: Exchange,
}

/// How an answer goes out.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Whether the connection goes on behind it.
    pub keeps_alive: bool,
    /// Whether the request is `HEAD`, so that the answer has no body.
    pub is_head: bool,
    /// The origin whose pages may read it, or `*`.
    pub cors: Option<Rc<str>>,
}

/// What is under way between a request and its answer.
#[derive(Debug)]
enum Exchange {
    /// Nothing that outlives a turn.
    None,
    /// A body arrives for an Engine.IO session.
    Body(EngineId, Box<Body>),
    /// A poll waits for something to tell.
    Held(EngineId),
    /// A poll has its answer, of which not all is written.
    Answered(EngineId),
}

/// A connection that speaks WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    /// Whom it serves, once they have joined.
    pub owner: Option<Owner>,
    /// Bytes of the longest message that it takes.
    message_bytes_max: usize,
    /// Whether a ping of ours is not answered yet.
    pub is_pinged: bool,
    /// How many more control frames of it are borne.
    pub control: RateLimit,
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
    /// The session whose poll has its answer in what is still to be written.
    answering: Option<EngineId>,
}

/// What came in.
#[derive(Debug)]
pub enum Arrival<'b> {
    /// The head of an HTTP request.
    Request(Box<Request<'b>>),
    /// The body of a request, whole.
    Body(EngineId, Vec<u8>),
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
    /// In HTTP; the answer to `HEAD` has no body even then.
    Http {
        /// What is wrong.
        bad: BadRequest,
        /// Whether the method is `HEAD`.
        is_head: bool,
    },
    /// In WebSocket.
    WebSocket(Violation),
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

impl Http {
    /// A request must come soon.
    fn first(now: Millis) -> Http {
        let exchange = Exchange::None;
        let reply = Reply { keeps_alive: false, is_head: false, cors: None };
        Http { since: now, is_urgent: true, scanned_bytes: 0, reply, exchange }
    }

    /// Whether nothing is under way.
    fn is_free(&self) -> bool {
        matches!(self.exchange, Exchange::None)
    }

    /// One was answered; another may come.
    fn next(now: Millis) -> Http {
        Http { is_urgent: false, ..Http::first(now) }
    }
}

impl Conn {
    fn new(peer: IpAddr, admission: Admission, serial: u32, now: Millis) -> Conn {
        Conn {
            peer,
            stage: Stage::Http(Http::first(now)),
            outbox: Outbox::default(),
            heard_at: now,
            admission,
            warnings: 0,
            serial,
            spill: Vec::new(),
            stalled_since: Millis::NEVER,
            soft_since: Millis::NEVER,
            has_hung_up: false,
        }
    }

    /// Takes one request or message from the start of `bytes`: how many bytes it took, and what
    /// came; `None` if nothing can be done without more bytes.
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
            Stage::Http(Http { exchange: exchange @ Exchange::Body(..), .. }) => {
                let Exchange::Body(engine, mut body) = std::mem::replace(exchange, Exchange::None)
                else {
                    return Ok(None);
                };
                let taken = match body.take(bytes) {
                    Ok(taken) => taken,
                    Err(bad) => {
                        *exchange = Exchange::Body(engine, body);
                        return Err(Fault::Http { bad, is_head: false });
                    }
                };
                if body.is_whole() {
                    return Ok(Some((taken, Arrival::Body(engine, body.into_bytes()))));
                }
                *exchange = Exchange::Body(engine, body);
                Ok((taken > 0).then_some((taken, Arrival::Part)))
            }
            Stage::Http(http) => {
                if bytes.is_empty() {
                    return Ok(None);
                }
                if !http.is_urgent {
                    http.is_urgent = true;
                    http.since = now;
                }
                let is_head = bytes.starts_with(b"HEAD ");
                let fault = |bad| Fault::Http { bad, is_head };
                let end = request::head_end(bytes, &mut http.scanned_bytes).map_err(fault)?;
                let Some(end) = end else { return Ok(None) };
                let head: &'b [u8] = &bytes[..end];
                let request = Request::parse(head).map_err(fault)?;
                Ok(Some((end, Arrival::Request(Box::new(request)))))
            }
            Stage::WebSocket(websocket) => {
                let rules = FrameRules {
                    mask: Mask::Required,
                    message_bytes_max: websocket.message_bytes_max,
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

    /// Whether the next request or message may be handled: requests are answered one at a time, and
    /// a peer whose own requests fill its outbox is not read until it drains.
    #[must_use]
    pub fn may_read(&self, limits: &Limits) -> bool {
        match self.stage {
            Stage::Http(_) => self.outbox.is_empty() && !self.is_held(),
            Stage::WebSocket(_) => self.outbox.waiting_bytes() <= limits.outbox_bytes_pause,
            Stage::Lingering(_) | Stage::Closed(_) => true,
        }
    }

    /// Whether it waits for a request that may never come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(&self.stage, Stage::Http(http) if !http.is_urgent && http.is_free())
            && self.spill.is_empty()
            && self.outbox.is_empty()
    }

    /// Whether it may be ended to make room: it is idle, and no operator's.
    #[must_use]
    pub fn is_dispensable(&self) -> bool {
        self.is_idle() && self.admission != Admission::Admin
    }

    /// Whether it is a poll that waits for its answer.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(&self.stage, Stage::Http(Http { exchange: Exchange::Held(_), .. }))
    }

    /// Whether the kernel did not take all that was last shown to it.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.stalled_since != Millis::NEVER
    }

    /// Whether it is a poll of that session, of whose answer not all is written.
    #[must_use]
    pub fn is_answering(&self, id: EngineId) -> bool {
        match &self.stage {
            Stage::Http(http) => {
                matches!(http.exchange, Exchange::Answered(engine) if engine == id)
            }
            Stage::Lingering(lingering) => lingering.answering == Some(id),
            Stage::WebSocket(_) | Stage::Closed(_) => false,
        }
    }

    /// The poll of a session waits from here on.
    pub fn hold(&mut self, engine: EngineId, reply: Reply) {
        if let Stage::Http(http) = &mut self.stage {
            http.reply = reply;
            http.exchange = Exchange::Held(engine);
        }
    }

    /// A body follows for a session.
    pub fn expect(&mut self, engine: EngineId, body: Body, reply: Reply, now: Millis) {
        if let Stage::Http(http) = &mut self.stage {
            (http.since, http.reply) = (now, reply);
            http.exchange = Exchange::Body(engine, Box::new(body));
        }
    }

    /// Takes the bytes that were kept.
    pub fn take_spill(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spill)
    }

    /// Whom it serves at present.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        match &self.stage {
            Stage::WebSocket(websocket) => websocket.owner,
            Stage::Http(http) => match http.exchange {
                Exchange::None => None,
                Exchange::Body(engine, _) | Exchange::Held(engine) | Exchange::Answered(engine) => {
                    Some(Owner::Engine(engine))
                }
            },
            _ => None,
        }
    }

    /// Turns HTTP into WebSocket, for messages of at most `message_bytes_max`.
    pub fn upgrade(&mut self, input: &InputRates, message_bytes_max: usize, now: Millis) {
        self.stage = Stage::WebSocket(WebSocket {
            owner: None,
            message_bytes_max,
            is_pinged: false,
            control: RateLimit::new(input.control(), now),
            assembler: Assembler::default(),
        });
    }

    /// The WebSocket serves somebody.
    pub fn join(&mut self, owner: Owner) {
        if let Stage::WebSocket(websocket) = &mut self.stage {
            websocket.owner = Some(owner);
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
            // It is ours to answer.
            Stage::Http(Http { exchange: Exchange::Held(_), .. }) => Due::Wait(Millis::NEVER),
            Stage::Http(Http { exchange: Exchange::Body(..), since, .. }) => {
                match since.after(HTTP_BODY_MS) {
                    end if end > now => Due::Wait(end),
                    _ => Due::End(CloseReason::HttpTimeout),
                }
            }
            Stage::Http(http) => {
                let has_begun = !self.spill.is_empty();
                let span_ms = if http.is_urgent { HTTP_HEAD_MS } else { HTTP_KEEP_ALIVE_MS };
                match http.since.after(span_ms) {
                    end if end > now => Due::Wait(end),
                    _ if has_begun => Due::End(CloseReason::HttpTimeout),
                    _ => Due::End(CloseReason::HttpIdle),
                }
            }
            // Engine.IO has a heartbeat of its own.
            Stage::WebSocket(WebSocket { owner: Some(Owner::Engine(_)), .. }) => {
                match stall_at.min(soft_at) {
                    end if end > now => Due::Wait(end),
                    _ => Due::End(CloseReason::Slow),
                }
            }
            Stage::WebSocket(websocket) => {
                // One that is not read cannot be heard; it may only stall.
                let dead_at = match self.may_read(limits) {
                    true => self.heard_at.after(limits.silence_ms),
                    false => Millis::NEVER,
                };
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
}
