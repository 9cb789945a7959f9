//! The state of the server: fields, and nothing else. Functions in the other modules read and
//! change it.

use rand_chacha::ChaCha8Rng;

use super::access::Access;
use super::admission::Admission;
use super::bans::Bans;
use super::conn::Conns;
use super::endings::Endings;
use super::fault::FaultHook;
use super::held::Memory;
use super::ids::{ConnId, PlayerNumbers};
use super::log::Warnings;
use super::overload::Overload;
use super::policy::Policy;
use super::room_list::RoomList;
use super::rooms::Rooms;
use super::session::Sessions;
use super::shared_json::SharedJson;
use super::socketio::poll_gzip::PollGzip;
use super::socketio::session::EioSessions;
use super::tokens::Tokens;
use super::traffic::Traffic;
use crate::bucket::Bucket;
use crate::config::Serve;
use crate::game::Games;
use crate::metrics::Metrics;
use crate::time::{Millis, Tick};
use crate::wire::{Dialect, Encoder};
use crate::ws::deflate::Inflater;

/// Everything the server keeps between two calls.
#[derive(Debug)]
pub struct State {
    /// TCP connections.
    pub conns: Conns,
    /// Engine.IO sessions.
    pub eio_sessions: EioSessions,
    /// Clients in rooms.
    pub sessions: Sessions,
    /// Rooms: a world and its members.
    pub rooms: Rooms,
    /// The list of rooms that clients ask for.
    pub room_list: RoomList,
    /// Limits per address, and the hosts, origins and proxies that are trusted.
    pub admission: Admission,
    /// Addresses that may not connect.
    pub bans: Bans,
    /// Which requests come from the operator.
    pub access: Access,
    /// The account of the bytes that are held for clients.
    pub memory: Memory,
    /// What ended and has not been processed yet.
    pub endings: Endings,
    /// Counters.
    pub metrics: Metrics,
    /// What the WebSockets and payloads of clients in rooms have carried, by dialect, in the order
    /// of [`Dialect::ALL`].
    pub traffic: [Traffic; Dialect::ALL.len()],
    /// The numbers of the status page.
    pub status: Option<Status>,
    /// What the server allows, and what it serves.
    pub policy: &'static Policy,
    /// The games that can be played.
    pub games: Games,
    /// The flags.
    pub settings: Serve,
    /// The maximum number of connections.
    pub connections_max: usize,
    /// The tokens with which clients get their players back.
    pub tokens: Tokens,
    /// The numbers of new players.
    pub player_numbers: PlayerNumbers,
    /// Randomness for everything but the worlds, which have their own.
    pub rng: ChaCha8Rng,
    /// The server's own tick; each world counts its own.
    pub tick: Tick,
    /// Everything that peers had sent before this point was read, and everything that their sockets
    /// could take was written. The deadlines of peers are checked as of this point, so that a delay
    /// of the server does not count as one of theirs.
    pub served_until: Millis,
    /// Which warnings were logged, and when.
    pub warnings: Warnings,
    /// Set once the server shuts down.
    pub drain: Option<Drain>,
    /// What encodes and compresses updates.
    pub encoder: Encoder,
    /// The connection to which the message of `encoder` was offered last, and the tick on which it
    /// was made, until the kernel has taken some of it or none.
    pub own_message: Option<(ConnId, Tick)>,
    /// The WebSockets of the clients that had no credit left on the last tick: at most
    /// [`DELIVERIES_A_TICK`](crate::limits::DELIVERIES_A_TICK).
    pub out_of_credit: Vec<ConnId>,
    /// Compresses the payloads of polls.
    pub poll_gzip: PollGzip,
    /// How many facts may still be merged on this tick.
    pub merges_left: usize,
    /// The slot of the room whose state is made first on the next tick: the first one that had to
    /// go without compression on the last tick on which there was too much to compress.
    pub first_room_slot: u32,
    /// Decompresses the messages of clients.
    pub inflater: Inflater,
    /// How overloaded the server is.
    pub overload: Overload,
    /// Limits how often the server searches for a connection to evict.
    pub evictions: Bucket,
    /// The same for a session without a player.
    pub session_evictions: Bucket,
    /// Called at each point where a test may make the server panic.
    pub fault_hook: FaultHook,
}

/// The numbers of the status page, which all its readers share.
#[derive(Debug)]
pub struct Status {
    /// From here on they are made again.
    pub outdated_at: Millis,
    /// The numbers.
    pub json: SharedJson,
}

/// A shutdown in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// When it began.
    pub began_at: Millis,
    /// When the last client is disconnected.
    pub until: Millis,
    /// The number of clients at that time.
    pub sessions: usize,
}
