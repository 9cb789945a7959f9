//! The nouns of the server side by side, so that a verb can take them all as one argument.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::conn::{Conns, close_frame};
use super::gate::Gate;
use super::ids::{ConnId, RoomId};
use super::room::Rooms;
use super::session::Sessions;
use crate::bucket::Bucket;
use crate::close::CloseReason;
use crate::config::Serve;
use crate::limits::{Limits, RETRY_MIN_MS, RETRY_SPREAD_MS};
use crate::metrics::Metrics;
use crate::time::{Millis, Tick};

/// Everything that the verbs work on.
#[derive(Debug)]
pub struct State {
    /// TCP connections.
    pub conns: Conns,
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
    /// What a tick is about right now, for whoever must clean up after a panic.
    pub at_work: Option<AtWork>,
}

/// What a tick can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtWork {
    /// A room's world or the bytes of its state.
    Room(RoomId),
    /// A connection whose deadline may have come.
    Conn(ConnId),
}

impl State {
    /// Ends a WebSocket whose client may come back, and tells it when: clients that are sent away
    /// together come back spread out.
    pub fn close_for_now(&mut self, id: ConnId, reason: CloseReason, now: Millis) {
        let retry_ms = RETRY_MIN_MS + self.rng.random_range(0..RETRY_SPREAD_MS);
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
