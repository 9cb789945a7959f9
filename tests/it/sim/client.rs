//! A model client over WebSocket or HTTP: what it sends, how it reads, and what it may receive.

use std::net::IpAddr;

use rand::RngExt;
use skirmish::codec::v1::client::ClientMessage;

use super::fixture::{DEFLATE, compressed, handshake, masked, text, with_fields};
use super::response_reader::ResponseReader;
use super::simulated_socket::{SimulatedSocket, take_front};
use super::v1_client::{self, V1Client};
use crate::sim::SimRng;

/// How a client behaves on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads everything at once and sends only pongs: the reference for its room.
    Observer,
    /// Plays like the page.
    Player,
    /// Plays, and stops reading for 0.1 to 30 s now and then.
    StallingReader,
    /// Plays, and reads a few hundred bytes per second for a while.
    SlowReader,
    /// Sends more than the limits allow.
    Flooder,
    /// Sends invalid JSON and unknown messages.
    InvalidSender,
    /// Violates the WebSocket protocol.
    ProtocolViolator,
    /// Stops reading and writing without closing, like a machine that lost power.
    Unresponsive,
    /// Requests pages.
    Browser,
    /// Sends its request one byte at a time.
    SlowRequest,
}

/// A token, and what the simulation knows of its player.
#[derive(Clone, Debug)]
pub struct Presented {
    pub token: String,
    pub number: u32,
    pub room: (usize, String),
    /// Its last client spoke skirmish.v1.
    pub was_v1: bool,
    /// When the client connected, by the server's clock.
    pub asked_ms: u64,
    /// Until when the player stays at least, by the server's clock.
    pub stays_until: u64,
    /// When it leaves at the latest, if it is absent.
    pub gone_at: Option<u64>,
}

/// How a client ends its connection.
#[derive(Clone, Copy, Debug)]
enum Leave {
    CloseFrame(Option<u16>),
    CloseFrameAndEnd,
    End,
    Broken,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Eager,
    BytesPerSecond(u64),
    Not,
}

/// The state of one connection of a client; the next connection starts with [`Client::new`].
pub struct Client {
    pub kind: Kind,
    /// The room's index and name.
    pub room: (usize, String),
    /// The client's address, if it connects through the proxy.
    pub forwarded_for: Option<IpAddr>,
    pub socket: Option<SimulatedSocket>,
    pub reader: ResponseReader,
    /// What it has received, if it speaks skirmish.v1.
    pub v1: Option<Box<V1Client>>,
    /// Whether it asks for a token with which it may come back to its player.
    pub asks_for_token: bool,
    /// The token that it presents, or has presented, on this connection.
    pub presented: Option<Presented>,
    /// The newest token that it received on this connection.
    pub token: Option<String>,
    /// When its player leaves at the latest, by the server's clock, once the server has lost it.
    pub gone_at: Option<u64>,
    /// The server has ended its session, as far as the simulation knows.
    pub has_left: bool,
    /// Another client presents its token, and so may take over its player.
    pub may_be_replaced: bool,
    /// The greatest player number in the simulation when it asked to join.
    pub asked_at: Option<u32>,
    /// Its player number, and the tick of its room when it learned the number.
    pub joined: Option<(u32, Option<u32>)>,
    /// The tick of the newest state it received.
    pub latest: Option<u32>,
    /// The lowest rate it ever asked for. Most clients never ask and get every tick.
    pub hz_min: u32,
    changes_rate: bool,
    /// The close code expected in reply to its violation or its close frame.
    pub expected_close: Option<Option<u16>>,
    pub received_close: Option<Option<u16>>,
    pub may_be_rate_limited: bool,
    /// It closed the connection or became unresponsive; the server only has to notice.
    pub is_gone: bool,
    /// The server panicked over it, so that its connection ends.
    pub is_struck: bool,
    /// The expected response statuses, in order.
    pub statuses: std::collections::VecDeque<u16>,
    /// Compressed messages that it sent.
    pub compressed: u64,
    opened_ms: u64,
    acts_at: u64,
    leaves_at: u64,
    reading: Reading,
    reading_until: u64,
    read_credit: u64,
    head: Vec<u8>,
}

/// Bytes that a client's socket buffers while the server does not read.
const SOCKET_BYTES: usize = 30_000;

const INVALID_MESSAGES: [&str; 14] = [
    "",
    "hello",
    "{",
    r#"{"type":"move","direction":"NORTH"}"#,
    r#"{"type":"move","x":100,"y":1e400}"#,
    r#"{"type":"move","direction":"UP","direction":"UP"}"#,
    r#"{"type":"teleport","x":-0,"y":{}}"#,
    r#"{"type":"attack"}"#,
    r#"{"type":"rate","hz":0}"#,
    r#"{"type":"rate","hz":1e9}"#,
    r#"{"type":"ping","t":"NaN"}"#,
    r#"{"type":"ping"}"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    r#""\ud800""#,
];

impl Client {
    pub fn new(kind: Kind, room: (usize, String), now: u64, rng: &mut SimRng) -> Client {
        let stay_ms = match kind {
            Kind::Observer => u64::MAX / 2,
            Kind::Flooder | Kind::ProtocolViolator | Kind::Unresponsive => {
                rng.random_range(200..8_000)
            }
            Kind::SlowRequest => 30_000,
            _ => rng.random_range(500..40_000),
        };
        let speaks_v1 = match kind {
            Kind::Observer | Kind::Browser | Kind::SlowRequest => false,
            _ => rng.random_bool(0.3),
        };
        let v1 = speaks_v1.then(|| {
            let may_be_dropped = matches!(kind, Kind::Flooder | Kind::InvalidSender);
            let is_steady = kind == Kind::Player;
            Box::new(V1Client::new(may_be_dropped, is_steady, rng))
        });
        Client {
            kind,
            asks_for_token: v1.is_some() || kind != Kind::Observer && rng.random_bool(0.5),
            v1,
            room,
            forwarded_for: None,
            socket: None,
            reader: ResponseReader::default(),
            presented: None,
            token: None,
            gone_at: None,
            has_left: false,
            may_be_replaced: false,
            asked_at: None,
            joined: None,
            latest: None,
            hz_min: 20,
            changes_rate: kind != Kind::Flooder && rng.random_bool(0.2),
            expected_close: None,
            received_close: None,
            may_be_rate_limited: matches!(kind, Kind::Flooder | Kind::InvalidSender),
            is_gone: false,
            is_struck: false,
            statuses: Default::default(),
            compressed: 0,
            opened_ms: now,
            acts_at: now,
            leaves_at: now + stay_ms,
            reading: Reading::Eager,
            reading_until: u64::MAX,
            read_credit: 0,
            head: Vec::new(),
        }
    }

    pub fn is_http(&self) -> bool {
        matches!(self.kind, Kind::Browser | Kind::SlowRequest)
    }

    /// Makes it leave at `at` at the latest.
    pub fn leave_by(&mut self, at: u64) {
        self.leaves_at = self.leaves_at.min(at);
    }

    /// Sends its next messages, if it is time. `number_max` is the greatest player number seen.
    pub fn act(&mut self, now: u64, number_max: u32, rng: &mut SimRng) {
        self.change_reading(now, rng);
        if now < self.acts_at || self.is_gone || self.expected_close.is_some() {
            return;
        }
        let Some(socket) = &mut self.socket else { return };
        // A server that does not read leaves the socket full; nothing more can be sent.
        if socket.end.is_some() || socket.inbound.len() > SOCKET_BYTES {
            return;
        }
        let mut bytes = Vec::new();
        match self.kind {
            Kind::Browser => self.request_pages(&mut bytes, now, rng),
            Kind::SlowRequest => self.send_head_slowly(&mut bytes, now, rng),
            _ if self.asked_at.is_none() => {
                self.asked_at = Some(number_max);
                self.reader.expect_response(false);
                let (_, room) = &self.room;
                let resume = match &self.presented {
                    Some(presented) => format!("&resume={}", presented.token),
                    None if self.v1.is_none() && self.asks_for_token => "&resume=1".to_owned(),
                    None => String::new(),
                };
                let name = number_max % 100;
                let request = handshake(&format!("/ws?room={room}&name=n{name}{resume}"));
                let mut fields = self.fields(rng);
                // Some take compressed messages, which take long: not those that connect first.
                if now % 8 == 1 {
                    fields += DEFLATE;
                }
                if self.v1.is_some() {
                    fields += v1_client::OFFER;
                }
                bytes.extend(with_fields(request, &fields));
                // Some clients do not wait for the handshake response.
                if self.kind != Kind::Observer && rng.random_ratio(1, 4) {
                    self.play(&mut bytes, rng);
                }
                self.acts_at = now + rng.random_range(0..100);
            }
            _ if now >= self.leaves_at => return self.leave(rng),
            _ => {
                self.act_in_game(&mut bytes, rng);
                self.acts_at = now + rng.random_range(30..250);
            }
        }
        if let Some(socket) = &mut self.socket {
            socket.inbound.extend(bytes);
        }
    }

    fn act_in_game(&mut self, bytes: &mut Vec<u8>, rng: &mut SimRng) {
        match self.kind {
            Kind::Observer => {}
            Kind::Flooder => (0..rng.random_range(5..60)).for_each(|_| self.play(bytes, rng)),
            Kind::InvalidSender if self.v1.is_some() => {
                let times = if rng.random_ratio(1, 10) { 60 } else { 1 };
                bytes.extend((0..times).flat_map(|_| V1Client::malformed(rng)));
            }
            Kind::InvalidSender => {
                let garbage = INVALID_MESSAGES[rng.random_range(0..INVALID_MESSAGES.len())];
                match rng.random_range(0..10) {
                    0 => bytes.extend((0..60).flat_map(|_| text(garbage))),
                    _ => bytes.extend(text(garbage)),
                }
            }
            // A stalled client that keeps asking would exceed the server's limits by its own fault.
            Kind::StallingReader
                if matches!(self.reading, Reading::Not) && rng.random_bool(0.5) => {}
            _ => self.play(bytes, rng),
        }
    }

    fn play(&mut self, bytes: &mut Vec<u8>, rng: &mut SimRng) {
        match rng.random_range(0..40) {
            0 => bytes.extend(masked(0x89, b"are you there")),
            1 => bytes.extend(masked(0x8a, b"unasked")),
            5 if self.changes_rate && self.v1.is_some() => {
                let hz = rng.random_range(1..=20);
                self.hz_min = self.hz_min.min(u32::from(hz));
                v1_client::put(ClientMessage::Rate(hz), bytes);
            }
            2.. if let Some(v1) = &mut self.v1 => v1.play(bytes, rng),
            2..5 => {
                let t = rng.random_range(0..1_000_000);
                bytes.extend(text(&format!(r#"{{"type":"ping","t":{t}}}"#)));
            }
            5 if self.changes_rate => {
                let hz = rng.random_range(1..=20);
                self.hz_min = self.hz_min.min(hz);
                bytes.extend(text(&format!(r#"{{"type":"rate","hz":{hz}}}"#)));
            }
            6 => {
                // One message in three fragments, with a ping between them.
                bytes.extend(masked(0x01, br#"{"type":"move","#));
                bytes.extend(masked(0x00, b""));
                bytes.extend(masked(0x89, b""));
                bytes.extend(masked(0x80, br#""direction":"UP"}"#));
            }
            7..20 if self.reader.takes_compressed() && self.acts_at.is_multiple_of(2) => {
                self.compressed += 1;
                bytes.extend(compressed(r#"{"type":"attack"}"#));
            }
            7..20 => bytes.extend(text(r#"{"type":"attack"}"#)),
            _ => {
                let direction = ["UP", "DOWN", "LEFT", "RIGHT"][rng.random_range(0..4)];
                bytes.extend(text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#)));
            }
        }
    }

    fn leave(&mut self, rng: &mut SimRng) {
        let Some(socket) = &mut self.socket else { return };
        if self.kind == Kind::Unresponsive {
            self.is_gone = true;
            self.reading = Reading::Not;
            self.reading_until = u64::MAX;
            return;
        }
        if self.kind == Kind::ProtocolViolator {
            let (bytes, code) = violation(rng);
            socket.inbound.extend(bytes);
            self.expected_close = Some(Some(code));
            return;
        }
        let code = [1000, 1001, 3000, 4999][rng.random_range(0..4)];
        let close = |code: u16| masked(0x88, &code.to_be_bytes());
        let leave = match rng.random_range(0..6) {
            0 => Leave::CloseFrame(None),
            1 | 2 => Leave::CloseFrame(Some(code)),
            3 => Leave::CloseFrameAndEnd,
            4 => Leave::End,
            _ => Leave::Broken,
        };
        match leave {
            Leave::CloseFrame(None) => {
                socket.inbound.extend(masked(0x88, b""));
                self.expected_close = Some(None);
            }
            Leave::CloseFrame(Some(code)) => {
                socket.inbound.extend(close(code));
                // The server must ignore anything after a close frame.
                socket.inbound.extend(text("behind the close"));
                self.expected_close = Some(Some(code));
            }
            Leave::CloseFrameAndEnd => {
                socket.inbound.extend(close(code));
                self.expected_close = Some(Some(code));
                socket.end = Some(false);
            }
            Leave::End => socket.end = Some(false),
            Leave::Broken => {
                socket.inbound.truncate(socket.inbound.len() / 2);
                socket.end = Some(true);
            }
        }
        self.is_gone = socket.end.is_some();
    }

    fn request_pages(&mut self, bytes: &mut Vec<u8>, now: u64, rng: &mut SimRng) {
        if now >= self.leaves_at {
            // A few of them keep the connection until the server closes it.
            self.acts_at = u64::MAX;
            if !rng.random_ratio(1, 10) {
                self.is_gone = true;
                self.socket.as_mut().expect("it acts").end = Some(rng.random_bool(0.3));
            }
            return;
        }
        for _ in 0..rng.random_range(1..4) {
            let (method, path, status) = [
                ("GET", "/", 200),
                ("GET", "/dots/main.js", 200),
                ("HEAD", "/shared/base.css", 200),
                ("GET", "/rooms", 200),
                ("GET", "/healthz", 200),
                ("GET", "/nothing", 404),
                ("GET", "/metrics", 403),
            ][rng.random_range(0..7)];
            let request = format!("{method} {path} HTTP/1.1\r\nHost: play.example\r\n\r\n");
            bytes.extend(with_fields(request.into_bytes(), &self.fields(rng)));
            self.reader.expect_response(method == "HEAD");
            self.statuses.push_back(status);
        }
        self.acts_at = now + rng.random_range(50..3_000);
    }

    fn send_head_slowly(&mut self, bytes: &mut Vec<u8>, now: u64, rng: &mut SimRng) {
        if self.head.is_empty() {
            self.head = b"GET / HTTP/1.1\r\nHost: play.example\r\nX: ".to_vec();
            self.head.extend([b'x'; 200]);
            self.head.reverse();
            self.statuses.push_back(408);
        }
        bytes.extend(self.head.pop());
        self.acts_at = now + rng.random_range(100..400);
    }

    /// The field that the proxy adds to a request. Values to the left of the address are forged by
    /// the client.
    fn fields(&self, rng: &mut SimRng) -> String {
        let lies = ["", "198.18.0.0, ", "unknown, ", "203.0.113.1,"];
        match self.forwarded_for {
            None => String::new(),
            Some(ip) => format!("X-Forwarded-For: {}{ip}\r\n", lies[rng.random_range(0..4)]),
        }
    }

    fn change_reading(&mut self, now: u64, rng: &mut SimRng) {
        if self.is_gone {
            return;
        }
        if self.reading_until == u64::MAX {
            let waits = matches!(self.kind, Kind::StallingReader | Kind::SlowReader)
                || (self.kind == Kind::Browser && rng.random_ratio(1, 200));
            if !waits {
                return;
            }
            self.reading_until = now + rng.random_range(100..3_000);
        }
        if now < self.reading_until {
            return;
        }
        let (reading, span_ms) = match (self.reading, self.kind) {
            (Reading::Eager, Kind::SlowReader) => {
                let rate = 1 << rng.random_range(6..13);
                (Reading::BytesPerSecond(rate), rng.random_range(1_000..30_000))
            }
            // Spans from 0.1 s to 25 s, so that many lie on each side of the stall limit.
            (Reading::Eager, _) => (Reading::Not, 100 << rng.random_range(0..9)),
            _ => (Reading::Eager, rng.random_range(200..5_000)),
        };
        (self.reading, self.reading_until) = (reading, now + span_ms);
        self.read_credit = 0;
    }

    /// Takes what the client reads now from the socket. `span_ms` is the time since the last read.
    pub fn read(&mut self, span_ms: u64) -> Vec<u8> {
        let Some(socket) = &mut self.socket else { return Vec::new() };
        let most = match self.reading {
            Reading::Eager => usize::MAX,
            Reading::Not => 0,
            Reading::BytesPerSecond(rate) => {
                self.read_credit += rate * span_ms;
                let bytes = self.read_credit / 1000;
                self.read_credit %= 1000;
                bytes as usize
            }
        };
        if most == 0 || socket.outbound.is_empty() {
            return Vec::new();
        }
        let count = most.min(socket.outbound.len());
        take_front(&mut socket.outbound, count)
    }

    /// Answers a ping, unless the client is gone.
    pub fn answer(&mut self, ping: &[u8]) {
        if let Some(socket) = &mut self.socket
            && socket.end.is_none()
            && !self.is_gone
            && self.expected_close.is_none()
        {
            socket.inbound.extend(masked(0x8a, ping));
        }
    }

    /// After the server has shut its side, most clients close theirs.
    pub fn close_too(&mut self, rng: &mut SimRng) {
        if let Some(socket) = &mut self.socket
            && socket.end.is_none()
            && rng.random_bool(0.8)
        {
            socket.end = Some(false);
        }
    }

    /// Whether this close code is valid, given what the client did.
    pub fn may_receive_close(&self, code: Option<u16>, reason: &str, is_draining: bool) -> bool {
        let stalled_ms = self.socket.as_ref().map_or(0, |socket| socket.stalled_ms_max);
        let is_hint = || {
            let ms = reason.strip_prefix(r#"{"retry_ms":"#).and_then(|r| r.strip_suffix('}'));
            ms.and_then(|ms| ms.parse::<u32>().ok()).is_some()
        };
        match code {
            code if self.expected_close == Some(code) => true,
            Some(1011) => self.is_struck,
            Some(4012) => is_draining && is_hint(),
            Some(4013) => is_hint(),
            Some(4008) => stalled_ms >= 10_000,
            Some(4009) => self.may_be_replaced,
            Some(4029) => self.may_be_rate_limited,
            _ => false,
        }
    }

    /// Whether the server may close it because it acknowledges no ticks, though it reads them; `tick`
    /// is that of its room, if it is known. What it has sent may have been dropped, or may still be
    /// on its way.
    pub fn acknowledges_too_late(&self, tick: Option<u32>) -> bool {
        let is_sending = self.socket.as_ref().is_some_and(|socket| !socket.inbound.is_empty());
        self.v1.as_ref().is_some_and(|v1| {
            let was_late = v1.late_at.is_some_and(|at| self.latest.is_none_or(|tick| tick <= at));
            is_late(v1.acknowledged, tick) || was_late || is_sending || v1.may_be_dropped
        })
    }

    /// Notes whether its newest acknowledgement came too late: `before` is the one before, `tick`
    /// the newest of its room, if that is known.
    pub fn note_acknowledgement(&mut self, before: Option<u32>, tick: Option<u32>) {
        if let Some(v1) = &mut self.v1
            && v1.acknowledged != before
            && tick.is_some()
            && is_late(before, tick)
        {
            v1.late_at = tick;
        }
    }

    /// Whether the client has an active player that the server has no reason to remove.
    pub fn is_certainly_playing(&self) -> bool {
        let has_ended = self.received_close.is_some() || self.expected_close.is_some();
        let is_steady = matches!(self.kind, Kind::Observer | Kind::Player);
        let is_there = !has_ended && !self.is_gone && !self.is_struck && !self.may_be_replaced;
        is_steady && self.socket.is_some() && self.joined.is_some() && is_there
    }

    /// Whether it may have a player, because it asked to join.
    pub fn may_play(&self) -> bool {
        self.socket.is_some() && self.asked_at.is_some()
    }

    /// Whether its connection is idle: every request has its response.
    pub fn is_idle(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let has_asked = socket.last_read_at > socket.opened_at;
        let is_open = socket.end.is_none() && !socket.is_write_shut;
        let is_answered = socket.inbound.is_empty() && self.statuses.is_empty();
        self.kind == Kind::Browser && has_asked && is_open && is_answered && !self.is_struck
    }

    pub fn age_ms(&self, now: u64) -> u64 {
        now - self.opened_ms
    }
}

/// Bytes that violate the protocol, and the expected close code.
fn violation(rng: &mut SimRng) -> (Vec<u8>, u16) {
    let unmasked = vec![0x81, 2, b'h', b'i'];
    let short_length = vec![0x82, 0xfe, 0, 5, 1, 2, 3, 4];
    let huge = vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let long = |bytes: u64| [&[0x82, 0xff][..], &bytes.to_be_bytes(), &[1, 2, 3, 4]].concat();
    let fragments = |count| (0..count).flat_map(|n| masked(u8::from(n == 0), b""));
    let all = [
        (unmasked, 1002),
        (short_length, 1002),
        (huge, 1002),
        (masked(0xc1, b"rsv1"), 1002),
        (masked(0x83, b"reserved opcode"), 1002),
        (masked(0x8b, b"reserved control"), 1002),
        (masked(0x09, b"fragmented ping"), 1002),
        (masked(0x89, &[0; 126]), 1002),
        (masked(0x80, b"continues nothing"), 1002),
        ([masked(0x01, b"a"), masked(0x81, b"b")].concat(), 1002),
        (masked(0x88, b"1"), 1002),
        (masked(0x88, &1005_u16.to_be_bytes()), 1002),
        (masked(0x88, &[3, 232, 0xff]), 1007),
        (masked(0x81, b"\xff"), 1007),
        (long(70_000), 1009),
        (long(1 << 62), 1009),
        (fragments(17).collect(), 1008),
    ];
    all[rng.random_range(0..all.len())].clone()
}

/// Whether a client may be closed that has acknowledged one tick when its room is at another.
fn is_late(acknowledged: Option<u32>, tick: Option<u32>) -> bool {
    acknowledged.is_some_and(|acknowledged| tick.is_none_or(|tick| tick >= acknowledged + 200))
}
