//! The nouns of the server side by side, so that a verb can take them all as one argument.

use std::net::IpAddr;
use std::rc::Rc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tracing::warn;

use super::conn::{Admission, Conns, Reply, close_frame};
use super::engine::{Engines, Transport};
use super::gate::Gate;
use super::ids::{ConnId, EngineId, Link, Owner, RoomId, SessionId};
use super::log;
use super::room::Rooms;
use super::session::{Owed, Sessions};
use crate::bucket::Bucket;
use crate::close::CloseReason;
use crate::config::Serve;
use crate::http::{Method, Request, Response};
use crate::limits::{Limits, ORIGIN_WARNING_MS, RETRY_MIN_MS, RETRY_SPREAD_MS};
use crate::metrics::{Metrics, Refusal};
use crate::outbox::{Encoded, Lane};
use crate::socketio::packet::{Header, Kind};
use crate::time::{Millis, Tick};
use crate::wire::events;

/// Everything that the verbs work on.
#[derive(Debug)]
pub struct State {
    /// TCP connections.
    pub conns: Conns,
    /// Engine.IO sessions.
    pub engines: Engines,
    /// Clients.
    pub sessions: Sessions,
    /// Worlds and their members.
    pub rooms: Rooms,
    /// Who may come in.
    pub gate: Gate,
    /// What is counted.
    pub metrics: Metrics,
    /// The bounds of the application.
    pub limits: Limits,
    /// What the operator wants.
    pub settings: Serve,
    /// Connections at most.
    pub connections_max: usize,
    /// The number that the next player gets.
    pub next_player: u32,
    /// Chance for everything but the worlds, which have their own.
    pub rng: ChaCha8Rng,
    /// The server's own tick; each world counts its own.
    pub tick: Tick,
    /// When the next refused Origin may stand in the log.
    pub origin_warning_at: Millis,
    /// How the server goes away, once it does.
    pub drain: Option<Drain>,
    /// A buffer for encoding, reused.
    pub scratch: Vec<u8>,
    /// How often room may be made.
    pub evictions: Bucket,
    /// What is worked on right now, for whoever must clean up after a panic.
    pub at_work: AtWork,
}

/// What is worked on; one may be inside another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtWork {
    /// A room's world or the bytes of its state.
    pub room: Option<RoomId>,
    /// A connection whose deadline may have come.
    pub conn: Option<ConnId>,
    /// An Engine.IO session whose deadline may have come, or whose client said something.
    pub engine: Option<EngineId>,
}

impl State {
    /// How a request is answered. The pages of an origin may read the answer exactly if they may
    /// connect.
    pub fn reply_to(&self, id: ConnId, request: &Request) -> Option<Reply> {
        let conn = self.conns.get(id)?;
        let names = &self.gate.names;
        let may_read = conn.admission != Admission::Admin
            && names.passes_host(request)
            && names.passes_origin(conn.peer, request);
        let cors = match request.value("Origin") {
            Some(_) if self.settings.echo => Some(Rc::from("*")),
            Some(origin) if may_read => Some(Rc::from(origin)),
            _ => None,
        };
        let goes_on = self.drain.is_none() && conn.admission != Admission::Surplus;
        let keeps_alive = request.keeps_alive() && goes_on;
        Some(Reply { keeps_alive, is_head: request.method == Method::Head, cors })
    }

    /// A page of another origin was refused.
    pub fn note_refused_origin(&mut self, peer: IpAddr, request: &Request, now: Millis) {
        self.metrics.count_refusal(Refusal::Origin);
        if self.origin_warning_at <= now {
            self.origin_warning_at = now.after(ORIGIN_WARNING_MS);
            // One that came twice has no value, but was there.
            let origin = log::text(request.value("Origin").unwrap_or_default().as_bytes());
            warn!(%origin, %peer, "a page of another origin was refused; see --allow-origin");
        }
    }

    /// Answers 101: from here on the connection speaks WebSocket, with messages of at most
    /// `message_bytes_max`, and is that of `client` alone, even if a proxy stands between.
    pub fn upgrade(
        &mut self,
        id: ConnId,
        client: IpAddr,
        accept: &str,
        message_bytes_max: usize,
        now: Millis,
    ) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.upgrade(&self.limits.input, message_bytes_max, now);
        if conn.peer != client {
            self.gate.connection_passes(id, conn.peer, client, now);
            conn.peer = client;
        }
        let response = Response::empty(101)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Accept", accept.to_owned());
        let (head, _) = response.into_bytes(true, false);
        self.conns.push_head(id, Encoded::from(head));
        self.conns.wake(id);
    }

    /// Sends a packet, in the frame that carries it, to the client of an Engine.IO session: at once
    /// over a WebSocket, there in its `lane`, else with the next poll.
    pub fn send_packet(&mut self, id: EngineId, frame: Encoded, lane: Lane, now: Millis) {
        let is_crowded = self.is_crowded(id);
        let Some(engine) = self.engines.get_mut(id) else { return };
        if let Transport::WebSocket(link) = engine.transport {
            self.conns.push(link, frame, lane, &self.limits, now);
        } else {
            let topic = match lane {
                Lane::About(topic) => Some(topic),
                Lane::Control | Lane::Fact => None,
            };
            engine.queue(frame, topic, is_crowded);
            if engine.waiting_bytes() > self.limits.outbox_bytes_max {
                engine.full_since = engine.full_since.min(now);
            }
            // Who does not play has nothing coming but answers.
            let most = match engine.session() {
                Some(_) => self.limits.outbox_bytes_burst,
                None => self.limits.outbox_bytes_max,
            };
            if engine.waiting_bytes() > most {
                self.engines.doom(id, CloseReason::Slow);
            }
            self.engines.mark_ripe(id);
        }
    }

    /// Whether so much waits for the client of an Engine.IO session that facts are merged.
    #[must_use]
    pub fn is_crowded(&self, id: EngineId) -> bool {
        self.engines.get(id).is_some_and(|engine| match engine.transport {
            Transport::WebSocket(link) => self.conns.is_crowded(link, &self.limits),
            Transport::Polling(_) => engine.waiting_bytes() > self.limits.outbox_bytes_max / 2,
        })
    }

    /// A Socket.IO client is in a namespace from here on. Answers what it is to be told: that it is
    /// called by this number there.
    pub fn welcome(&mut self, id: EngineId, namespace: &'static str, number: u32) -> Encoded {
        if let Some(talk) = self.engines.get_mut(id).and_then(|engine| engine.talk.as_mut()) {
            talk.joined.push(namespace);
            talk.connect_by = Millis::NEVER;
        }
        let header = Header::new(Kind::Connect, namespace, None);
        events::packet(&header, &format!(r#"{{"sid":"{number}"}}"#))
    }

    /// A Socket.IO client is not let into a namespace; it may be told when to ask again.
    pub fn turn_down(
        &mut self,
        id: EngineId,
        namespace: &str,
        message: &str,
        retry_ms: Option<u64>,
        now: Millis,
    ) {
        let header = Header::new(Kind::ConnectError, namespace, None);
        let refusal = events::refusal(&header, message, retry_ms);
        self.send_packet(id, refusal, Lane::Fact, now);
    }

    /// The client that plays over a connection.
    #[must_use]
    pub fn session_over(&self, id: ConnId) -> Option<SessionId> {
        match self.conns.get(id)?.owner()? {
            Owner::Session(session) => Some(session),
            Owner::Engine(engine) => {
                let engine = self.engines.get(engine)?;
                engine.session().filter(|_| engine.transport == Transport::WebSocket(id))
            }
        }
    }

    /// The state that a client is owed, in bytes; it counts as shown.
    pub fn show_state(&mut self, id: SessionId) -> Option<Encoded> {
        let session = self.sessions.get_mut(id)?;
        let owed = session.owed()?;
        let room = self.rooms.get_mut(session.room)?;
        debug_assert!(room.events.is_empty(), "facts are told before a state that shows them");
        let (tick, bytes) = match owed {
            Owed::Everybody => {
                let everybody = events::everybody(&room.world, session.player);
                (room.world.now(), Some(everybody))
            }
            Owed::Since(since) => room.broadcast.encoded(session.encoding, since, &room.world),
        };
        session.show(tick);
        if bytes.is_none() {
            // It is as it was.
            session.settle();
        }
        bytes
    }

    /// Ends the link of a client.
    pub fn part(&mut self, link: Link, reason: CloseReason, now: Millis) {
        match link {
            Link::Conn(id) if reason == CloseReason::Restart => self.close_for_now(id, reason, now),
            Link::Conn(id) => self.conns.close(id, reason, None, now),
            Link::Engine(id) => self.engines.doom(id, reason),
        }
    }

    /// When a client that is sent away is to come back: those who are sent away together come back
    /// spread out.
    pub fn retry_ms(&mut self) -> u64 {
        RETRY_MIN_MS + self.rng.random_range(0..RETRY_SPREAD_MS)
    }

    /// Ends a WebSocket whose client may come back, and tells it when.
    pub fn close_for_now(&mut self, id: ConnId, reason: CloseReason, now: Millis) {
        let retry_ms = self.retry_ms();
        let hint = format!("{{\"retry_ms\":{retry_ms}}}");
        let last = reason.websocket_code().map(|code| close_frame(code, &hint));
        self.conns.close(id, reason, last, now);
    }
}

/// How the server goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// When it began.
    pub began_at: Millis,
    /// Clients that were there then.
    pub sessions: usize,
}
