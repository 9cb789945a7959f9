//! Every bound of the server, with its unit and its reason; docs/limits.md has them for operators.
//!
//! What an operator may change is a flag whose default stands here; what differs between the game
//! and `--echo` is a field of [`Limits`]; the rest is a constant.

use crate::bucket::{Allowance, Rate};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// --- HTTP ----------------------------------------------------------------------------------------

/// Bytes of a request's head. More is answered with 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * KIB;
/// Header fields of a request. More is answered with 431.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Bytes of a request line. More is answered with 414.
pub const HTTP_REQUEST_LINE_BYTES_MAX: usize = 2 * KIB;
/// Time for a whole head: from the accept for the first request, from its first byte for later
/// ones. Then 408: a peer that trickles a head must not hold a connection (slowloris).
pub const HTTP_HEAD_MS: u64 = 5_000;
/// How long a whole body may take.
pub const HTTP_BODY_MS: u64 = 5_000;
/// How long a kept-alive connection may wait between two requests.
pub const HTTP_KEEP_ALIVE_MS: u64 = 60_000;
/// Bytes of all files of a `--www` folder together: they are held in memory.
pub const WWW_BYTES_MAX: u64 = 64 * MIB as u64;
/// Bytes of a file that is compressed when it is read: the game waits for SIGHUP.
pub const GZIP_BYTES_MAX: usize = MIB;

// --- What differs between the game and --echo ----------------------------------------------------

/// The bounds of one application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes read from one peer in one turn, through one buffer that all share. A peer that is not
    /// heard further for now holds as many.
    pub read_bytes: usize,
    /// Bytes of one message from a peer, over all its fragments; judged by the declared length,
    /// before anything is allocated.
    pub message_bytes_max: usize,
    /// Frames of one message, empty ones included.
    pub fragments_max: u32,
    /// Bytes of facts that may wait for a peer that had its chance to take them. Past it the peer
    /// is closed as slow.
    pub outbox_bytes_max: usize,
    /// Bytes of facts that may wait for any peer: so many may come up before it had a chance.
    pub outbox_bytes_burst: usize,
    /// Bytes of facts that may wait for [`OUTBOX_SOFT_MS`].
    pub outbox_bytes_soft: usize,
    /// Waiting bytes above which the peer is not read: its own requests fill its outbox.
    pub outbox_bytes_pause: usize,
    /// `TCP_NOTSENT_LOWAT`: bytes that may wait in the kernel unsent before a write comes short.
    /// `None` leaves the kernel's own bound.
    pub kernel_unsent_bytes: Option<u32>,
    /// A WebSocket peer that was silent this long is pinged. `None`: never.
    pub ping_after_ms: Option<u64>,
    /// A WebSocket peer that was silent this long is given up.
    pub silence_ms: u64,
    /// Whether every ping is answered, or of several in one turn the newest (RFC 6455, 5.5.3).
    pub pong_to_each: bool,
    /// What a session may send.
    pub input: InputRates,
}

/// What one session may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRates {
    /// Application messages. The excess is dropped and counted.
    pub messages: Rate,
    /// Bytes of application messages. The excess is dropped and counted.
    pub bytes: Rate,
    /// Messages that are no JSON, or of an unknown type. The excess closes (4029).
    pub malformed: Rate,
    /// WebSocket control frames and packets of Engine.IO that are no messages: they are never
    /// dropped.
    pub control: Rate,
    /// What of it may be over the rates above and only be dropped: a page that sends a move for
    /// each frame that it draws, 60 or 144 a second, is no attacker.
    pub excess: Rate,
    /// How long even that may be exceeded before the session is closed (4029).
    pub grace_ms: u64,
}

impl InputRates {
    /// What a message of that many bytes counts for: a large one as much as the small ones that its
    /// bytes are allowed for.
    #[must_use]
    pub fn weight(&self, bytes: usize) -> u32 {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX - 1);
        1 + bytes / (self.bytes.per_s / self.messages.per_s)
    }

    /// What is borne of control frames, and of packets of Engine.IO that are no messages.
    #[must_use]
    pub const fn control(&self) -> Allowance {
        Allowance { rate: self.control, excess: self.excess, grace_ms: self.grace_ms }
    }
}

/// The game: players on the open internet.
pub const GAME: Limits = Limits {
    read_bytes: 8 * KIB,
    message_bytes_max: 4 * KIB,
    fragments_max: 16,
    outbox_bytes_max: 64 * KIB,
    outbox_bytes_burst: MIB,
    outbox_bytes_soft: 16 * KIB,
    outbox_bytes_pause: 16 * KIB,
    kernel_unsent_bytes: Some(4 * KIB as u32),
    ping_after_ms: Some(10_000),
    silence_ms: 20_000,
    pong_to_each: false,
    input: InputRates {
        messages: Rate { per_s: 40, burst: 80 },
        bytes: Rate { per_s: 8 * KIB as u32, burst: 32 * KIB as u32 },
        malformed: Rate { per_s: 5, burst: 100 },
        control: Rate { per_s: 200, burst: 200 },
        excess: Rate { per_s: 120, burst: 60 },
        grace_ms: 2_000,
    },
};

/// `--echo`: a target for conformance suites, which send 16 MiB messages in 64-byte fragments.
pub const ECHO: Limits = Limits {
    read_bytes: 64 * KIB,
    message_bytes_max: 64 * MIB,
    fragments_max: u32::MAX,
    outbox_bytes_max: 80 * MIB,
    outbox_bytes_burst: 80 * MIB,
    outbox_bytes_soft: 80 * MIB,
    outbox_bytes_pause: MIB,
    kernel_unsent_bytes: None,
    ping_after_ms: None,
    silence_ms: 30_000,
    pong_to_each: true,
    input: InputRates {
        messages: Rate::UNLIMITED,
        bytes: Rate::UNLIMITED,
        malformed: Rate::UNLIMITED,
        control: Rate::UNLIMITED,
        excess: Rate::UNLIMITED,
        grace_ms: 0,
    },
};

const _: () = assert!(GAME.outbox_bytes_pause <= GAME.outbox_bytes_soft);
const _: () = assert!(GAME.outbox_bytes_soft < GAME.outbox_bytes_max);
const _: () = assert!(GAME.outbox_bytes_max < GAME.outbox_bytes_burst);
const _: () = assert!(ECHO.outbox_bytes_pause + ECHO.message_bytes_max < ECHO.outbox_bytes_max);

// --- Slow and silent peers -----------------------------------------------------------------------

/// How long facts may stay above the soft bound.
pub const OUTBOX_SOFT_MS: u64 = 5_000;
/// How long a peer may take no byte while more waits than the hard bound.
pub const OUTBOX_STALL_MS: u64 = 1_000;
/// How long a peer may take no byte while something waits for it. Then it is closed as slow (4008).
pub const STALL_MS: u64 = 10_000;
/// How long a connection lingers after our last byte, for the peer to read it and hang up.
pub const LINGER_MS: u64 = 2_000;
/// How long the kernel goes on with bytes that the peer does not acknowledge (`TCP_USER_TIMEOUT`),
/// also after we have closed.
pub const KERNEL_UNACKED_MS: u64 = 20_000;

// --- One turn of the loop ------------------------------------------------------------------------

/// Messages (frames, requests) handled for one peer in one turn; the rest waits for the next.
pub const MESSAGES_A_TURN: usize = 64;
/// Connections accepted in one turn.
pub const ACCEPTS_A_TURN: usize = 64;
/// Events taken from the kernel in one turn.
pub const EVENTS_A_TURN: usize = 1_024;
/// How long a turn may write before it reads again.
pub const FLUSH_SLICE_US: u64 = 2_000;
/// How long the listener rests when the process is out of file descriptors.
pub const ACCEPT_BACKOFF_MS: u64 = 100;
/// Pending connections that the kernel keeps for us.
pub const LISTEN_BACKLOG: i32 = 1_024;
/// A gap between two turns longer than this means that the whole process was stopped; the time is
/// not held against anybody.
pub const PAUSE_MS: u64 = 1_000;

// --- Connections ---------------------------------------------------------------------------------

/// File descriptors kept free of connections: `max(this, limit / 10)`.
pub const FDS_RESERVED_MIN: u64 = 16;
/// Connections beyond the most, which get an answer that says so.
pub const CONNECTIONS_SURPLUS_MAX: usize = 16;
/// Connections over `--admin-listen`, besides all others: those of players are not for scrapers to
/// take, nor the other way round. The excess is closed before a byte is read.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Addresses to listen on.
pub const LISTENERS_MAX: usize = 32;
/// Connections of one address: this, and [`CONNECTIONS_A_SESSION`] for each of its sessions.
pub const CONNECTIONS_AN_ADDRESS: u32 = 12;
/// See [`CONNECTIONS_AN_ADDRESS`].
pub const CONNECTIONS_A_SESSION: u32 = 3;
/// Players of one address, who may be many behind one router.
pub const SESSIONS_AN_ADDRESS: u32 = 256;
/// Searches for an idle connection, or a session over which nobody plays, to end when there are too
/// many: each looks at all of them.
pub const EVICTIONS: Rate = Rate { per_s: 100, burst: 20 };
/// Accepts of one address. The excess is closed before a byte is read.
pub const ACCEPTS: Rate = Rate { per_s: 200, burst: 400 };
/// Joins of one address. The excess is answered with 503.
pub const JOINS: Rate = Rate { per_s: 10, burst: 64 };
/// Warnings that one peer may cause in the log.
pub const WARNINGS_A_PEER: u8 = 2;
/// Time between two warnings in the log of a refused Origin, whoever sent it.
pub const ORIGIN_WARNING_MS: u64 = 20_000;
/// Characters of a peer's text that go into the log.
pub const LOG_TEXT_CHARS: usize = 64;
/// Log lines that wait for the writer. Past it lines are dropped and counted.
pub const LOG_LINES_QUEUED: usize = 8_192;

// --- Engine.IO -----------------------------------------------------------------------------------

/// Default of `--max-payload`.
pub const MAX_PAYLOAD: usize = 16 * KIB;
/// What a packet that waits is counted for besides its bytes, so that empty ones are not free.
pub const PACKET_BYTES: usize = 64;
/// Packets in one payload of a client.
pub const PACKETS_A_PAYLOAD: usize = 1_024;
/// How long the binary messages of a Socket.IO packet may take to come.
pub const ATTACHMENTS_MS: u64 = 5_000;
/// How often the client of one Engine.IO session may join; the excess ends the session (4029).
pub const CONNECTS: Rate = Rate { per_s: 1, burst: 8 };
/// Default of `--connect-timeout-ms`.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// The same with `--echo`, as the official suites want it.
pub const CONNECT_TIMEOUT_ECHO_MS: u64 = 1_000;
/// How long with `--echo` the event `auth` waits after the answer to CONNECT.
pub const ECHO_AUTH_AFTER_MS: u64 = 20;
/// How long a WebSocket may take to take a session over.
pub const PROBE_MS: u64 = 10_000;
/// How long a poll beside a probed WebSocket waits before it is answered with nothing: the upgrade
/// may overtake it on the other connection.
pub const NOOP_AFTER_MS: u64 = 50;
/// Engine.IO sessions at most, for each connection that there may be.
pub const ENGINEIO_SESSIONS_A_CONNECTION: usize = 2;
/// Engine.IO sessions of one address over which nobody plays.
pub const IDLE_SESSIONS_AN_ADDRESS: u32 = 64;
/// Such sessions of all addresses.
pub const IDLE_SESSIONS_MAX: u32 = 4_096;
/// How long the end of a session is kept for a poll that asks once more.
pub const CLOSED_SESSION_MS: u64 = 30_000;
/// Ends of sessions that are kept.
pub const CLOSED_SESSIONS_MAX: usize = 1_024;

// --- Rooms and players ---------------------------------------------------------------------------

/// Default of `--rooms-max`.
pub const ROOMS_MAX: usize = 4_096;
/// Default of `--room-players-max`.
pub const ROOM_PLAYERS_MAX: usize = 2_000;
/// Default of `--full-state-players-max`: a room of a dialect that sends everybody the full state
/// costs the square of its players.
pub const FULL_STATE_PLAYERS_MAX: usize = 1_500;
/// Characters of a room's name.
pub const ROOM_NAME_CHARS_MAX: usize = 32;
/// Characters of a player's name, after cleaning.
pub const PLAYER_NAME_CHARS_MAX: usize = 16;
/// How long an empty room is kept.
pub const ROOM_EMPTY_MS: u64 = 30_000;
/// Moves that a player may save: a burst of them takes effect at once.
pub const MOVE_CREDIT_MAX: u8 = 4;

// --- Going away ----------------------------------------------------------------------------------

/// How long the flush may take after the last close went out.
pub const DRAIN_FLUSH_MS: u64 = 1_800;
/// The hint `retry_ms` is [`RETRY_MIN_MS`] and up to this more, so that clients come back spread
/// out.
pub const RETRY_SPREAD_MS: u64 = 5_000;
/// The least hint `retry_ms`: a restart takes a moment.
pub const RETRY_MIN_MS: u64 = 500;
/// `Retry-After` of a 503, in seconds.
pub const RETRY_AFTER_S: u32 = 2;

/// Whether `name` can be a room's name: 1 to 32 of `a-z 0-9 _ -`.
#[must_use]
pub fn is_room_name(name: &str) -> bool {
    let is_fine = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=ROOM_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}
