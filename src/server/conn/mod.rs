//! Connections: the protocol stage of each TCP connection, its unprocessed bytes and its outbox.
//!
//! It has neither sockets nor players. This file has one connection, `websocket` its WebSocket, and
//! `conns` all connections.

use std::net::IpAddr;
use std::rc::Rc;

use super::backlog::{Backlog, Bounds, Verdict};
use super::held::Counted;
use super::ids::{EioId, Owner};
use super::listener_kind::ListenerKind;
use super::routes::Route;
use super::traffic::Traffic;
use crate::close::CloseReason;
use crate::http::body::Body;
use crate::http::request::{self, BadRequest, Request};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::time::Millis;
use crate::wire::Framing;
use crate::ws::deflate::Agreement;
use crate::ws::{Message, Violation};

mod conns;
mod due;
mod websocket;

pub use conns::{Conns, End};
pub use due::Due;
pub use websocket::WebSocket;

/// One TCP connection.
#[derive(Debug)]
pub struct Conn {
    /// The client's address once a preface or a trusted proxy has named it; else the peer's.
    pub peer: IpAddr,
    /// The client that its memory counts for: of its newest request, if a trusted proxy has named
    /// one, else the peer.
    pub client: IpAddr,
    /// The protocol stage.
    pub stage: Stage,
    /// Bytes to be written.
    pub outbox: Outbox,
    /// What waits in the outbox, and since when.
    pub backlog: Backlog,
    /// What the account of memory counts for it.
    pub counted: Counted,
    /// When it was accepted.
    pub began_at: Millis,
    /// When it last received bytes, or took bytes while it was not read.
    pub active_at: Millis,
    /// How it was accepted.
    pub class: Class,
    /// Warnings about it in the log so far.
    pub warnings: u8,
    /// What it has carried.
    pub traffic: Traffic,
    /// The peer has shut down its side.
    pub is_peer_closed: bool,
    serial: u32,
    /// Bytes that cannot be processed yet, or that wait for the next turn. Nearly always there are
    /// none, so a pointer is all that a connection keeps for them.
    spill: Option<Box<Spill>>,
}

/// Bytes of a connection that were read and not processed.
#[derive(Debug)]
struct Spill(Vec<u8>);

/// How a connection was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Within the limit of connections.
    Regular,
    /// Above the limit: it gets one response; a player gets the refusal that the server is full.
    OverLimit,
    /// Through `--redirect-http`: each request is redirected to the listener with TLS.
    Redirect,
    /// Through `--admin-listen`: health, metrics, and the requests of the operator.
    Admin,
}

impl Class {
    /// Whether the connection has a place among those that the server may have.
    #[must_use]
    pub fn has_place(self) -> bool {
        matches!(self, Class::Regular | Class::Redirect)
    }
}

/// The protocol stage of a connection.
#[derive(Debug)]
pub enum Stage {
    /// HTTP: a request is awaited, or has arrived in part.
    Http(Http),
    /// WebSocket.
    WebSocket(WebSocket),
    /// The last frame or response is queued or written; the peer may read it until the deadline.
    Lingering(Lingering),
    /// Closed; the reactor removes it in this turn.
    Closed(CloseReason),
}

/// A connection in the HTTP stage.
#[derive(Debug)]
pub struct Http {
    /// Since when the request is awaited.
    pub since: Millis,
    /// Whether a head must arrive soon: it is the first one, or it has begun.
    is_urgent: bool,
    /// Whether an empty line before the head was ignored.
    has_empty_line: bool,
    /// How far the spill was searched for the end of the head.
    scanned_bytes: u32,
    /// How the response in progress is sent.
    pub reply: Reply,
    /// The request in progress.
    pub exchange: Exchange,
}

/// How a response is sent.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Whether the connection stays open after it.
    pub keeps_alive: bool,
    /// Whether the request is `HEAD`, so that the response has no body.
    pub is_head: bool,
    /// Whether the client accepts gzip.
    pub takes_gzip: bool,
    /// The origin whose pages may read it, or `*`.
    pub cors: Option<Rc<str>>,
}

/// A request in progress.
#[derive(Debug)]
pub enum Exchange {
    /// None that outlives a turn.
    None,
    /// A body is arriving.
    Body(Box<Upload>),
    /// A poll is held until there is something to send.
    Held(EioId),
    /// The response to a poll is not written completely.
    Answered(EioId),
}

/// A request whose body is arriving.
#[derive(Debug)]
pub struct Upload {
    /// Its route, which receives the body.
    pub route: Route,
    /// What it serves; notified if the connection ends before the body is complete.
    pub owner: Option<Owner>,
    /// The body so far.
    pub body: Body,
}

/// A connection that is about to close.
#[derive(Debug)]
pub struct Lingering {
    /// Why it closes.
    pub reason: CloseReason,
    /// When it is closed at the latest.
    pub until: Millis,
    /// How much longer it may take after each byte that the peer reads, in milliseconds.
    pub extension_ms: u64,
    /// Whether our side is shut down.
    pub is_shut: bool,
    /// The session whose poll response is not written completely.
    pub answering: Option<EioId>,
}

/// What arrived.
#[derive(Debug)]
pub enum Received<'b> {
    /// The head of an HTTP request.
    Request(Box<Request<'b>>),
    /// A request whose body is complete.
    Body(Box<Upload>),
    /// A WebSocket message or control frame.
    Message(Message<'b>),
    /// A part of a message or body.
    Part,
    /// Bytes after the end of the connection.
    Ignored,
}

/// How the peer violated its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An invalid HTTP request. A response to `HEAD` has no body even then.
    Http {
        /// What is wrong.
        bad: BadRequest,
        /// Whether the method is `HEAD`.
        is_head: bool,
    },
    /// A violation of RFC 6455.
    WebSocket(Violation),
}

impl Http {
    /// The first request must arrive soon.
    fn first(now: Millis) -> Http {
        let exchange = Exchange::None;
        let reply = Reply { keeps_alive: false, is_head: false, takes_gzip: false, cors: None };
        Http {
            since: now,
            is_urgent: true,
            has_empty_line: false,
            scanned_bytes: 0,
            reply,
            exchange,
        }
    }

    /// Whether no request is in progress.
    pub fn is_free(&self) -> bool {
        matches!(self.exchange, Exchange::None)
    }

    /// A request was answered; another may follow.
    pub fn next(now: Millis) -> Http {
        Http { is_urgent: false, ..Http::first(now) }
    }
}

impl Conn {
    fn new(peer: IpAddr, class: Class, serial: u32, now: Millis) -> Conn {
        Conn {
            peer,
            client: peer,
            stage: Stage::Http(Http::first(now)),
            outbox: Outbox::default(),
            backlog: Backlog::default(),
            counted: Counted::default(),
            began_at: now,
            active_at: now,
            class,
            warnings: 0,
            traffic: Traffic::default(),
            is_peer_closed: false,
            serial,
            spill: None,
        }
    }

    /// Decodes one request or message from the start of `bytes`: how many bytes it used, and what
    /// it was; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The first violation of the protocol. The caller must end the connection.
    pub fn advance<'b>(
        &mut self,
        bytes: &'b mut [u8],
        limits: &Limits,
        now: Millis,
    ) -> Result<Option<(usize, Received<'b>)>, ProtocolError> {
        match &mut self.stage {
            Stage::Http(Http { exchange: exchange @ Exchange::Body(..), .. }) => {
                let Exchange::Body(mut upload) = std::mem::replace(exchange, Exchange::None) else {
                    return Ok(None);
                };
                let result = upload.body.take(bytes);
                if result.is_ok() && upload.body.is_whole() {
                    return Ok(result.ok().map(|taken| (taken, Received::Body(upload))));
                }
                *exchange = Exchange::Body(upload);
                match result {
                    Ok(taken) => Ok((taken > 0).then_some((taken, Received::Part))),
                    Err(bad) => Err(ProtocolError::Http { bad, is_head: false }),
                }
            }
            Stage::Http(http) => {
                if bytes.is_empty() {
                    return Ok(None);
                }
                let error = |bad| ProtocolError::Http { bad, is_head: false };
                match request::empty_line(bytes, http.has_empty_line).map_err(error)? {
                    None => return Ok(None),
                    Some(0) => {}
                    Some(taken) => {
                        http.has_empty_line = true;
                        return Ok(Some((taken, Received::Part)));
                    }
                }
                if !http.is_urgent {
                    http.is_urgent = true;
                    http.since = now;
                }
                let is_head = bytes.starts_with(b"HEAD ");
                let error = |bad| ProtocolError::Http { bad, is_head };
                let mut scanned_bytes = http.scanned_bytes as usize;
                let end = request::head_end(bytes, &mut scanned_bytes).map_err(error)?;
                // A head is much smaller than 4 GiB.
                http.scanned_bytes = scanned_bytes as u32;
                let Some(end) = end else { return Ok(None) };
                let head: &'b [u8] = &bytes[..end];
                let request = Request::parse(head).map_err(error)?;
                Ok(Some((end, Received::Request(Box::new(request)))))
            }
            Stage::WebSocket(websocket) => {
                match websocket.next_message(bytes, limits).map_err(ProtocolError::WebSocket)? {
                    (0, None) => Ok(None),
                    (taken, None) => Ok(Some((taken, Received::Part))),
                    (taken, Some(message)) => Ok(Some((taken, Received::Message(message)))),
                }
            }
            Stage::Lingering(_) | Stage::Closed(_) if bytes.is_empty() => Ok(None),
            Stage::Lingering(_) | Stage::Closed(_) => Ok(Some((bytes.len(), Received::Ignored))),
        }
    }

    /// The kind of listener through which it came.
    #[must_use]
    pub fn listener_kind(&self) -> ListenerKind {
        match self.class {
            Class::Regular | Class::OverLimit => ListenerKind::Public,
            Class::Redirect => ListenerKind::Redirect,
            Class::Admin => ListenerKind::Admin,
        }
    }

    /// The bounds of its backlog.
    #[must_use]
    pub fn bounds(&self, limits: &Limits) -> Bounds {
        match self.stage {
            Stage::WebSocket(_) => Bounds::websocket(limits),
            _ => Bounds::NONE,
        }
    }

    /// Bytes of memory that it takes, besides its own size.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let received = match &self.stage {
            Stage::Http(Http { exchange: Exchange::Body(upload), .. }) => upload.body.held_bytes(),
            Stage::WebSocket(websocket) => websocket.held_bytes(),
            _ => 0,
        };
        let spilled = self.spill.as_ref().map_or(0, |spill| spill.0.capacity());
        received + spilled + self.outbox.held_bytes()
    }

    /// Whether the next request or message may be processed. Requests are answered one at a time,
    /// and a peer whose own messages fill its outbox is not read until it drains.
    #[must_use]
    pub fn may_read(&self, limits: &Limits) -> bool {
        match self.stage {
            Stage::Http(_) => self.outbox.is_empty() && !self.is_held(),
            Stage::WebSocket(_) => self.backlog.verdict(&self.bounds(limits)) < Verdict::Pause,
            Stage::Lingering(_) | Stage::Closed(_) => true,
        }
    }

    /// Whether it is a WebSocket for which nothing but an update waits, and nothing is counted.
    #[must_use]
    pub fn has_no_backlog(&self) -> bool {
        matches!(self.stage, Stage::WebSocket(_))
            && self.outbox.waiting_bytes() == 0
            && self.backlog.is_clear()
            && self.counted.bytes() == 0
    }

    /// Whether it waits for a request that may never come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(&self.stage, Stage::Http(http) if !http.is_urgent && http.is_free())
            && !self.has_spill()
            && self.outbox.is_empty()
    }

    /// Whether what it sends is a page or another response that no player waits for.
    #[must_use]
    pub fn sends_page(&self) -> bool {
        match &self.stage {
            // Requests with a body are those of Engine.IO clients.
            Stage::Http(http) => matches!(http.exchange, Exchange::None),
            // Only responses are given more time.
            Stage::Lingering(it) => it.extension_ms > 0 && it.answering.is_none(),
            Stage::WebSocket(_) | Stage::Closed(_) => false,
        }
    }

    /// Whether it is a poll that is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(&self.stage, Stage::Http(Http { exchange: Exchange::Held(_), .. }))
    }

    /// Whether it is a poll of that session whose response is not written completely.
    #[must_use]
    pub fn is_answering(&self, id: EioId) -> bool {
        match &self.stage {
            Stage::Http(http) => {
                matches!(http.exchange, Exchange::Answered(eio) if eio == id)
            }
            Stage::Lingering(lingering) => lingering.answering == Some(id),
            Stage::WebSocket(_) | Stage::Closed(_) => false,
        }
    }

    /// Holds the poll of a session.
    pub fn hold(&mut self, eio: EioId, reply: Reply) {
        if let Stage::Http(http) = &mut self.stage {
            http.reply = reply;
            http.exchange = Exchange::Held(eio);
        }
    }

    /// Awaits the body of the request in progress.
    pub fn await_body(&mut self, upload: Upload, reply: Reply, now: Millis) {
        if let Stage::Http(http) = &mut self.stage {
            (http.since, http.reply) = (now, reply);
            http.exchange = Exchange::Body(Box::new(upload));
        }
    }

    /// Takes the bytes that were not processed.
    pub fn take_spill(&mut self) -> Vec<u8> {
        self.spill.take().map(|spill| spill.0).unwrap_or_default()
    }

    /// What it serves at present.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        match &self.stage {
            Stage::WebSocket(websocket) => websocket.owner,
            Stage::Http(http) => match &http.exchange {
                Exchange::None => None,
                Exchange::Body(upload) => upload.owner,
                Exchange::Held(eio) | Exchange::Answered(eio) => Some(Owner::Eio(*eio)),
            },
            _ => None,
        }
    }

    /// How messages over it are compressed, if it is a WebSocket whose client has agreed.
    #[must_use]
    pub fn deflate(&self) -> Option<Agreement> {
        match &self.stage {
            Stage::WebSocket(websocket) => websocket.deflate,
            _ => None,
        }
    }

    /// The maximum size of a message over it, in bytes; 0 unless it is a WebSocket.
    #[must_use]
    pub fn message_bytes_max(&self) -> usize {
        match &self.stage {
            Stage::WebSocket(websocket) => websocket.message_bytes_max,
            _ => 0,
        }
    }

    /// How updates over its WebSocket are framed.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match self.deflate() {
            None => Framing::WebSocket,
            Some(Agreement { keeps_history, .. }) => Framing::Deflate { keeps_history },
        }
    }

    /// Switches from HTTP to WebSocket, for messages of at most `message_bytes_max` bytes, which
    /// are compressed if that is agreed.
    pub fn upgrade(&mut self, message_bytes_max: usize, deflate: Option<Agreement>) {
        self.stage = Stage::WebSocket(WebSocket::new(message_bytes_max, deflate));
    }

    /// The request whose body is arriving.
    #[must_use]
    pub fn upload(&self) -> Option<&Upload> {
        match &self.stage {
            Stage::Http(Http { exchange: Exchange::Body(upload), .. }) => Some(upload),
            _ => None,
        }
    }

    /// Whether bytes wait to be processed.
    #[must_use]
    pub fn has_spill(&self) -> bool {
        self.spill.is_some()
    }

    /// Sets what the WebSocket serves.
    pub fn set_owner(&mut self, owner: Owner) {
        if let Stage::WebSocket(websocket) = &mut self.stage {
            websocket.owner = Some(owner);
        }
    }
}
