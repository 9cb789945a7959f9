//! Every limit of the server, with its unit and its reason; docs/limits.md lists them for
//! operators.
//!
//! A limit that an operator may change is a flag, and its default is here. A limit that differs
//! between the game and `--echo` is a field of [`Limits`] (`by_app`). The others are constants.

use crate::bucket::Rate;

mod by_app;

pub use by_app::{ECHO, GAME, InputRates, Limits};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// --- HTTP ----------------------------------------------------------------------------------------

/// Bytes of a request head. A longer one is answered with 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * KIB;
/// Header fields of a request. More are answered with 431.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Bytes of a request line. A longer one is answered with 414.
pub const HTTP_REQUEST_LINE_BYTES_MAX: usize = 2 * KIB;
/// Time to receive a head, from the accept for the first request, from the first byte for later
/// ones. Then 408: a peer must not hold a connection by sending a head slowly (slowloris). A header
/// of the PROXY protocol and a handshake count with the first request.
pub const HTTP_HEAD_MS: u64 = 5_000;
/// Bytes of a header of the PROXY protocol: a sender keeps it in one segment, and the smallest
/// segment has as many. The connection of a longer one is closed.
pub const PROXY_HEADER_BYTES_MAX: usize = 536;
/// Time to receive a body.
pub const HTTP_BODY_MS: u64 = 5_000;
/// Default of `--keep-alive-s`: how long a connection may be idle between two requests. A proxy
/// (nginx: 60 s) must close it before: a request that meets our end on its way would be lost.
pub const KEEP_ALIVE_S: u32 = 75;
/// Total bytes of the files in a `--www` folder: they are kept in memory.
pub const WWW_BYTES_MAX: u64 = 64 * MIB as u64;
/// Larger files are not compressed when they are loaded: that would delay the start.
pub const GZIP_BYTES_MAX: usize = MIB;

// --- Operators -----------------------------------------------------------------------------------

/// Requests of an address without the right token in [`TOKEN_FAILURES_MS`]; further ones are
/// refused, whatever token they have.
pub const TOKEN_FAILURES_MAX: usize = 5;
/// The time over which they are counted.
pub const TOKEN_FAILURES_MS: u64 = 60_000;
/// Addresses of which such requests are remembered. If there are more, others are refused, too.
pub const TOKEN_FAILURE_ADDRESSES_MAX: usize = 1_024;
/// The shortest token of `--admin-token-file`.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 16;
/// Bytes of the body of a request.
pub const ADMIN_BODY_BYTES_MAX: usize = 4 * KIB;
/// Bans: each accept compares the address with all of them.
pub const BANS_MAX: usize = 1_024;
/// Players in one list for the operator.
pub const PLAYERS_A_PAGE: usize = 1_000;
/// How long the numbers of the status page are used before they are made again.
pub const STATUS_MS: u64 = 1_000;
/// Rooms that the status page lists: those with the most people.
pub const STATUS_ROOMS_MAX: usize = 50;
/// Clients that it lists: the slowest.
pub const STATUS_CLIENTS_MAX: usize = 20;
/// Characters of a message of the operator to players.
pub const NOTICE_CHARS_MAX: usize = 500;

// --- TLS -----------------------------------------------------------------------------------------

/// Bytes of ciphertext that may wait for a socket, where the limits on what waits for a client do
/// not see them: one record (RFC 8446, section 5.1).
pub const TLS_RECORD_BYTES: usize = 16 * KIB;
/// Bytes that a client may send in the handshake: one hello, which has at most 2 KiB in browsers.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 16 * KIB;
/// What TLS is assumed to take for a connection, as measured after the handshake.
pub const TLS_CONNECTION_BYTES: usize = 8 * KIB;
/// Bytes that are read of the file of a certificate, and of its key.
pub const CERTIFICATE_BYTES_MAX: u64 = MIB as u64;
/// How often the files of the certificate are checked for a change.
pub const CERTIFICATE_CHECK_MS: u64 = 1_000;

// --- Slow and silent peers -----------------------------------------------------------------------

/// How long facts may stay above the soft limit.
pub const OUTBOX_SOFT_MS: u64 = 5_000;
/// How long a peer may take no byte while more than the hard limit waits.
pub const OUTBOX_STALL_MS: u64 = 1_000;
/// How long a peer may take no byte while data waits. Then it is closed as slow (4008).
pub const STALL_MS: u64 = 10_000;
/// Ticks that a client which acknowledges any may leave unacknowledged, besides those of its round
/// trip. A proxy takes seconds of them before a write comes up short. After [`STALL_MS`] beyond it
/// the client is ended.
pub const UNACKNOWLEDGED_TICKS: u32 = 20;
/// The same with the round trip.
pub const UNACKNOWLEDGED_TICKS_MAX: u32 = 40;
/// How long, beyond the round trip, the peer's kernel must acknowledge no bytes so that this counts
/// as a break of the network. It may delay an acknowledgement for 200 ms.
pub const NETWORK_BREAK_MS: u64 = 250;
/// Time between two states that a client is sent after such breaks without an acknowledgement.
pub const UNCREDITED_MS: u64 = 1_000;
/// How long a connection lingers after the last byte, so that the peer reads it and closes.
pub const LINGER_MS: u64 = 2_000;
/// How long the kernel retransmits unacknowledged bytes (`TCP_USER_TIMEOUT`), also after the
/// server has closed the connection.
pub const KERNEL_UNACKED_MS: u64 = 20_000;

// --- Memory --------------------------------------------------------------------------------------

/// Minimum of `--max-memory`: less does not serve a single room.
pub const MEMORY_BYTES_MIN: u64 = 8 * MIB as u64;
/// Bytes that are held for the clients of one address: received, waiting to be sent, or kept.
pub const ADDRESS_BYTES_MAX: usize = 1_536 * KIB;
/// An address may hold at most `--max-memory` divided by this.
pub const ADDRESS_SHARES: usize = 16;
/// What an address may hold in any case while memory is short: two players that read slowly.
pub const PART_BYTES_MIN: usize = 64 * KIB;
/// A change of what a client holds is counted if it is at least this large.
pub const COUNT_STEP_BYTES: usize = KIB;
/// What a connection is assumed to take, whatever it holds.
pub const CONNECTION_BYTES: usize = 512;
/// What a player is assumed to take.
pub const PLAYER_BYTES: usize = 512;
/// What a resume token is assumed to take.
pub const TOKEN_BYTES: usize = 192;
/// Bytes of the events that a room keeps for clients that recover (`--recovery`), [`PACKET_BYTES`]
/// for each included. A client that missed more receives the full state.
pub const RECOVERY_BYTES: usize = 64 * KIB;
/// What an Engine.IO session is assumed to take.
pub const ENGINEIO_SESSION_BYTES: usize = KIB;
/// What a room is assumed to take.
pub const ROOM_BYTES: usize = 8 * KIB;

// --- One turn of the loop ------------------------------------------------------------------------

/// Messages (frames, requests) handled per peer and turn; the others wait for the next turn.
pub const MESSAGES_A_TURN: usize = 64;
/// Connections accepted in one turn.
pub const ACCEPTS_A_TURN: usize = 64;
/// Connections of clients without credit about which the kernel is asked on a tick. It takes 4 us
/// for each.
pub const DELIVERIES_A_TICK: usize = 512;
/// Facts that are merged on one tick with what waits for slow readers, counted for each of them,
/// which takes up to 0.1 us. What is over it is sent to them in one piece, as to all others.
pub const MERGES_A_TICK: usize = 50_000;
/// TLS handshakes that go on in one turn: one takes 0.3 ms with a P-256 key, and 6 ms with RSA of
/// 4,096 bits (docs/measurements.md, "TLS").
pub const TLS_HANDSHAKES_A_TURN: u32 = 5;
/// How long they go on in one turn; one does in any case.
pub const TLS_HANDSHAKES_US: u64 = 5_000;
/// Steps of TLS handshakes of one address that are remembered, each for a second: those of an
/// address with fewer come first. A handshake has two or three.
pub const TLS_STEPS_LATELY: Rate = Rate { per_s: 1, burst: 128 };
/// Events taken from the kernel in one turn.
pub const EVENTS_A_TURN: usize = 1_024;
/// How long a turn reads while states wait to be written.
pub const READ_SLICE_US: u64 = 1_000;
/// How long a turn writes before it reads again.
pub const FLUSH_SLICE_US: u64 = 2_000;
/// How long a turn writes pages, after everything else. One page is written to in any case.
pub const PAGE_SLICE_US: u64 = 500;
/// Bytes of a page that are written at once; then it is the turn of the next page.
pub const PAGE_WRITE_BYTES: usize = 64 * KIB;
/// Bytes of the answers to polls that are made in one turn, and that no two clients share; at least
/// one. Players that poll together must not delay the others, nor pass the limit of the memory.
pub const POLL_BYTES_A_TURN: usize = MIB;
/// How long the listener pauses when the process is out of file descriptors.
pub const ACCEPT_BACKOFF_MS: u64 = 100;
/// Pending connections in the queue of the kernel.
pub const LISTEN_BACKLOG: i32 = 1_024;
/// How much nearer the deadlines of peers come on one tick at most. After a stall of the server
/// that is twice the usual speed: peers have time to receive what was delayed, and to answer it.
pub const DEADLINES_A_TICK_MS: u64 = 100;
/// A longer gap between two turns means that the process was suspended; that time does not count
/// towards any timeout.
pub const PAUSE_MS: u64 = 1_000;

// --- Overload ------------------------------------------------------------------------------------

/// The steps of an overloaded server: the states per second that a client receives at most, and
/// whether players may join.
pub const OVERLOAD_STEPS: [(u8, bool); 4] = [(20, true), (10, true), (10, false), (5, false)];
/// The server is behind in a second in which it skips this share of the states or more, in percent,
/// for lack of time.
pub const OVERLOAD_SKIPPED_PERCENT: u64 = 50;
/// A server that misses as many of its ticks is behind, too, if it works for more than this share
/// of the second, in percent. Otherwise another process takes the processor.
pub const OVERLOAD_BUSY_PERCENT: u64 = 75;
/// Seconds in which it is behind before the next step.
pub const OVERLOAD_S: u32 = 2;
/// It has time in a second in which it skips at most this share of the states, in percent.
pub const OVERLOAD_CALM_SKIPPED_PERCENT: u64 = 5;
/// Seconds with time before it goes back a step.
pub const OVERLOAD_CALM_S: u32 = 5;
/// The same at most: it waits twice as long each time that it went back too early.
pub const OVERLOAD_CALM_S_MAX: u32 = 80;

// --- skirmish.v1 ---------------------------------------------------------------------------------

/// Events in one message. What is more is not sent: the state shows the outcome.
pub const EVENTS_A_MESSAGE: usize = 64;
/// Bytes of keyframes on one tick, of all rooms: 40 MB/s, or what `--view-bytes` lets all players
/// receive. The others wait. Without a limit clients that fall behind in a large crowd all need
/// keyframes, which take so long that other clients fall behind: that does not end.
pub const KEYFRAME_BYTES_A_TICK: usize = 2 * MIB;

// --- Compression ---------------------------------------------------------------------------------

/// Work of compression on one tick, in microseconds of a core, as estimated from the sizes. What is
/// over it goes out uncompressed.
pub const COMPRESSION_US_A_TICK: u32 = 10_000;
/// Bytes of the payload of a poll from which it is compressed: smaller ones fit into a packet.
pub const POLL_GZIP_BYTES_MIN: usize = KIB;
/// Age of the oldest update that a compressed one may refer to, in ticks: one second, so that it
/// serves the lowest rate.
pub const COMPRESSION_TICKS_MAX: u32 = 20;
/// Compressed forms of the updates of one room on one tick that refer to an earlier update: the one
/// of the usual receivers, and those of receivers that were skipped or have another rate.
pub const COMPRESSED_WITH_HISTORY_MAX: usize = 5;
/// All compressed forms of the updates of one room on one tick.
pub const COMPRESSED_FORMS_MAX: usize = 8;

// --- Connections ---------------------------------------------------------------------------------

/// File descriptors that connections may not use: `max(this, limit / 10)`. They are for those
/// beyond the maximum, for admin connections, and for the server itself.
pub const FDS_RESERVED_MIN: u64 = 48;
/// Connections beyond the maximum that still get a response saying that the server is full.
pub const CONNECTIONS_SURPLUS_MAX: usize = 16;
/// Connections to `--admin-listen`, counted apart, so that scrapers and players do not compete. The
/// excess is reset.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Addresses to listen on.
pub const LISTENERS_MAX: usize = 32;
/// Connections of one address, plus [`CONNECTIONS_A_SESSION`] for each of its sessions.
pub const CONNECTIONS_AN_ADDRESS: u32 = 12;
/// See [`CONNECTIONS_AN_ADDRESS`].
pub const CONNECTIONS_A_SESSION: u32 = 3;
/// The networks of IPv6 that count as addresses: the length of the prefix, and how many times the
/// limits of one address it may use. A subscriber gets a /64, a /56 or a /48.
pub const IPV6_NETWORKS: [(u8, u32); 3] = [(64, 1), (56, 2), (48, 4)];
/// Players of one address; many may share a router.
pub const SESSIONS_AN_ADDRESS: u32 = 256;
/// How long a connection that sends no request is kept when there are too many.
pub const SILENT_MS: u64 = 2_000;
/// Connections that an address keeps in any case when there are too many.
pub const CONNECTIONS_KEPT: u32 = 4;
/// Connections that serve clients, which an address keeps in any case: more than of the others.
pub const CLIENTS_KEPT: u32 = 8;
/// Searches for a connection to end when the maximum is reached, and as many for a session without
/// a player. Each scans all of them.
pub const EVICTIONS: Rate = Rate { per_s: 100, burst: 20 };
/// Of these, what is kept for addresses that have less than an equal part of the connections and
/// cause fewer searches than [`SEARCHES_LATELY`].
pub const EVICTIONS_KEPT: u32 = EVICTIONS.burst / 4 * 3;
/// Searches of one address: a page opens some connections at once.
pub const SEARCHES_LATELY: Rate = Rate { per_s: 1, burst: 6 };
/// Sessions without a player, the oldest ones, that are scanned beyond this rate.
pub const EVICTION_SESSIONS: usize = 64;
/// Requests for pages, files and the list of rooms by one address. The excess is answered with 429.
pub const PAGES: Rate = Rate { per_s: 100, burst: 1_000 };
/// Bytes of the responses to them. Large files are cached by browsers, and many players may share
/// an address.
pub const PAGE_BYTES: Rate = Rate { per_s: 8 * MIB as u32, burst: 128 * MIB as u32 };
/// Accepts of one address. The excess is reset: a closed connection would stay in `TIME_WAIT`.
pub const ACCEPTS: Rate = Rate { per_s: 200, burst: 400 };
/// Joins of one address. The excess is answered with 503.
pub const JOINS: Rate = Rate { per_s: 10, burst: 64 };
/// Joins of all addresses: each makes the server send a list of players. The excess is answered
/// with 503.
pub const JOINS_TOTAL: Rate = Rate { per_s: 250, burst: 500 };
/// Of these, what is kept for addresses with few joins lately: a quarter of it for those without
/// any, and the rest the more, the fewer they are.
pub const JOINS_KEPT: u32 = JOINS_TOTAL.burst / 4;
/// Seconds for which an attempt to join is remembered, if it is the only one of its address.
pub const JOIN_FORGOTTEN_S: u32 = 10;
/// Attempts of one address that are remembered, each for [`JOIN_FORGOTTEN_S`] seconds of this rate:
/// at most 64. Such an address may use nothing of [`JOINS_KEPT`].
pub const JOINS_LATELY: Rate = Rate { per_s: 1, burst: 64 * JOIN_FORGOTTEN_S };
/// Log warnings that one peer may cause.
pub const WARNINGS_A_PEER: u8 = 2;
/// Minimum time between two log warnings of one kind, over all peers: about a refused Origin, a
/// refused Host, or another protocol than HTTP/1.1.
pub const WARNING_MS: u64 = 20_000;
/// Characters of a peer's text that are logged.
pub const LOG_TEXT_CHARS: usize = 64;
/// Log lines that wait for the writer. Further lines are dropped and counted.
pub const LOG_LINES_QUEUED: usize = 8_192;

// --- Engine.IO -----------------------------------------------------------------------------------

/// Default of `--max-payload`.
pub const MAX_PAYLOAD: usize = 16 * KIB;
/// Overhead counted for each waiting packet, so that empty packets are not free.
pub const PACKET_BYTES: usize = 64;
/// Packets in one payload of a client.
pub const PACKETS_A_PAYLOAD: usize = 1_024;
/// Bytes of the name of an unknown Socket.IO namespace. The refusal must repeat it, so a longer one
/// ends the session.
pub const NAMESPACE_BYTES_MAX: usize = 64;
/// Time to receive the binary messages of a Socket.IO packet.
pub const ATTACHMENTS_MS: u64 = 5_000;
/// Joins of one Engine.IO session; the excess ends the session (4029).
pub const CONNECTS: Rate = Rate { per_s: 1, burst: 8 };
/// Default of `--connect-timeout-ms`.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// The same with `--echo`, as the official test suites require.
pub const CONNECT_TIMEOUT_ECHO_MS: u64 = 1_000;
/// With `--echo`, delay of the event `auth` after the response to CONNECT.
pub const ECHO_AUTH_AFTER_MS: u64 = 20;
/// Time for a WebSocket to complete the upgrade of a session.
pub const PROBE_MS: u64 = 10_000;
/// Delay before a poll during an upgrade is answered with a noop: the upgrade may arrive first on
/// the other connection.
pub const NOOP_AFTER_MS: u64 = 50;
/// Engine.IO sessions per allowed connection.
pub const ENGINEIO_SESSIONS_A_CONNECTION: usize = 2;
/// Engine.IO sessions of one address that have no player.
pub const IDLE_SESSIONS_AN_ADDRESS: u32 = 64;
/// Engine.IO sessions of all addresses that have no player.
pub const IDLE_SESSIONS_MAX: u32 = 4_096;
/// How long the end of a session is remembered, to answer a late poll.
pub const CLOSED_SESSION_MS: u64 = 30_000;
/// The same after the last player was disconnected by a shutdown. For this long after its last
/// answer the next poll of a client may be on its way, and the shutdown waits for it.
pub const LAST_POLL_MS: u64 = 1_000;
/// Default of `--poll-hold-ms`: Envoy ends a response that takes longer than 15 s, and a client
/// that has gone behind a proxy is noticed only when its poll has been answered.
pub const POLL_HOLD_MS: u64 = 4_000;
/// Default of `--poll-absence-ms`. The next poll of a client takes one round trip.
pub const POLL_ABSENCE_MS: u64 = 7_000;
/// Ended sessions that are remembered.
pub const CLOSED_SESSIONS_MAX: usize = 1_024;
/// Bytes that are kept for the last polls of one ended session. Above it, only its end is kept.
pub const LAST_PAYLOAD_BYTES: usize = 4 * KIB;
/// Bytes that are kept for the last polls of all ended sessions.
pub const LAST_PAYLOADS_BYTES: usize = MIB;

// --- Rooms and players ---------------------------------------------------------------------------

/// Default of `--rooms-max`.
pub const ROOMS_MAX: usize = 4_096;
/// How long the list of rooms is used before it is made again.
pub const ROOM_LIST_MS: u64 = 1_000;
/// Rooms on one page of the list.
pub const ROOMS_A_PAGE: usize = 256;
/// Maximum of `--room-players-max`: skirmish.v1 numbers the players of a room with 16 bits.
pub const ROOM_PLAYERS_MAX: usize = 65_535;
/// Minimum width and height of `--map`.
pub const MAP_SIDE_MIN: u16 = 100;
/// Seats in a full room that an address keeps in any case while players of others want to join: a
/// school class behind one router.
pub const SEATS_AN_ADDRESS: u32 = 32;
/// In a small room it keeps the seats divided by this.
pub const ROOM_SHARES: u32 = 4;
/// Rooms in which an address is alone, and which it keeps in any case while memory is short.
pub const LONE_ROOMS_KEPT: u32 = 8;
/// Such rooms that end on one tick while memory is short.
pub const LONE_ROOMS_A_TICK: usize = 16;
/// Maximum number of players up to which `--bots` fills a room: each bot looks at all players on
/// each tick.
pub const BOTS_PLAYERS_MAX: usize = 100;
/// Default of `--view-bytes`: 24 kB a second, and a message fits into one packet of a network.
pub const VIEW_BYTES: u32 = 1_200;
/// Default of `--full-state-players-max`: the cost of the full state grows with the square of the
/// number of players.
pub const FULL_STATE_PLAYERS_MAX: usize = 1_500;
/// Characters of a room's name.
pub const ROOM_NAME_CHARS_MAX: usize = 32;
/// Characters of a player's name, after cleaning.
pub const PLAYER_NAME_CHARS_MAX: usize = 16;
/// How long an empty room is kept.
pub const ROOM_EMPTY_MS: u64 = 30_000;
/// Moves that a player may save up and use in a burst.
pub const MOVE_CREDIT_MAX: u8 = 10;

// --- Shutting down -------------------------------------------------------------------------------

/// Time to flush after the last close frame was queued.
pub const DRAIN_FLUSH_MS: u64 = 1_800;
/// The hint `retry_ms` is [`RETRY_MIN_MS`] plus up to this much, so that clients do not all
/// reconnect at once.
pub const RETRY_SPREAD_MS: u64 = 5_000;
/// Minimum of the hint `retry_ms`: a restart takes some time.
pub const RETRY_MIN_MS: u64 = 500;
/// `Retry-After` of a 503, in seconds.
pub const RETRY_AFTER_S: u32 = 2;

/// Whether `name` is a valid room name: 1 to 32 of `a-z 0-9 _ -`.
#[must_use]
pub fn is_room_name(name: &str) -> bool {
    let is_fine = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=ROOM_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}
