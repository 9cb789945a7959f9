//! A model client: what it is like, what it sends next, how it reads, and what it may be told.

use std::net::IpAddr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ear::Ear;
use super::lab::{handshake, masked, text};
use super::wire::{Wire, take_front};

/// What a client is like on one of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads everything at once and never sends but pongs: the measure for its room.
    Observer,
    /// Plays as the page does.
    Player,
    /// Plays, and stops reading for 0.1 to 30 s now and then.
    Staller,
    /// Plays, and reads some hundred bytes a second for a while.
    Trickler,
    /// Sends more than it may.
    Flooder,
    /// Sends what is no JSON or unknown.
    Garbler,
    /// Breaks a rule of WebSocket.
    Violator,
    /// Stops without a word, in both directions: its machine is gone.
    Vanisher,
    /// Fetches pages.
    Browser,
    /// Sends its request a byte at a time.
    SlowHead,
}

/// How a client that has had enough ends its connection.
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

/// All that is known of one connection of a client; a new one begins with [`Client::new`].
pub struct Client {
    pub kind: Kind,
    /// The index of its room, and its name.
    pub room: (usize, String),
    /// Its address, if it comes through the proxy.
    pub forwarded_for: Option<IpAddr>,
    pub wire: Option<Wire>,
    pub ear: Ear,
    /// The greatest player number that anybody had seen when it asked to join.
    pub asked_at: Option<u32>,
    /// Its own number, and its room's tick when it was told.
    pub joined: Option<(u32, Option<u32>)>,
    /// The newest tick whose state it was told.
    pub latest: Option<u32>,
    /// The lowest rate that it ever asked for. Most never ask, and are owed every tick.
    pub hz_min: u32,
    changes_rate: bool,
    /// The code that our violation or our close frame is to be answered with.
    pub expected_close: Option<Option<u16>>,
    pub heard_close: Option<Option<u16>>,
    /// It may be sent away as too fast.
    pub is_rude: bool,
    /// It has hung up, or gone silent: nothing is expected of the server but that it notices.
    pub is_gone: bool,
    /// Statuses that are expected, in order.
    pub statuses: std::collections::VecDeque<u16>,
    opened_ms: u64,
    acts_at: u64,
    leaves_at: u64,
    reading: Reading,
    reading_until: u64,
    read_credit: u64,
    head: Vec<u8>,
}

/// Bytes that a client's socket holds for a server that does not read.
const SOCKET_BYTES: usize = 30_000;

const GARBAGE: [&str; 14] = [
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
    pub fn new(kind: Kind, room: (usize, String), now: u64, rng: &mut ChaCha8Rng) -> Client {
        let stay_ms = match kind {
            Kind::Observer => u64::MAX / 2,
            Kind::Flooder | Kind::Violator | Kind::Vanisher => rng.random_range(200..8_000),
            Kind::SlowHead => 30_000,
            _ => rng.random_range(500..40_000),
        };
        Client {
            kind,
            room,
            forwarded_for: None,
            wire: None,
            ear: Ear::default(),
            asked_at: None,
            joined: None,
            latest: None,
            hz_min: 20,
            changes_rate: kind != Kind::Flooder && rng.random_bool(0.2),
            expected_close: None,
            heard_close: None,
            is_rude: matches!(kind, Kind::Flooder | Kind::Garbler),
            is_gone: false,
            statuses: Default::default(),
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
        matches!(self.kind, Kind::Browser | Kind::SlowHead)
    }

    /// Makes it leave soon.
    pub fn hurry(&mut self, at: u64) {
        self.leaves_at = self.leaves_at.min(at);
    }

    /// Sends what it wants to send now. `number_max` is the greatest player number seen.
    pub fn act(&mut self, now: u64, number_max: u32, rng: &mut ChaCha8Rng) {
        self.change_reading(now, rng);
        if now < self.acts_at || self.is_gone || self.expected_close.is_some() {
            return;
        }
        let Some(wire) = &mut self.wire else { return };
        // What the server does not read fills the socket, and then nobody can send more.
        if wire.end.is_some() || wire.inbound.len() > SOCKET_BYTES {
            return;
        }
        let mut bytes = Vec::new();
        match self.kind {
            Kind::Browser => self.browse(&mut bytes, now, rng),
            Kind::SlowHead => self.dribble(&mut bytes, now, rng),
            _ if self.asked_at.is_none() => {
                self.asked_at = Some(number_max);
                self.ear.asked(false);
                let (_, room) = &self.room;
                let request = handshake(&format!("/ws?room={room}&name=n{}", number_max % 100));
                bytes.extend(with_fields(request, &self.fields(rng)));
                // Some do not wait for the answer.
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
        if let Some(wire) = &mut self.wire {
            wire.inbound.extend(bytes);
        }
    }

    fn act_in_game(&mut self, bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
        match self.kind {
            Kind::Observer => {}
            Kind::Flooder => (0..rng.random_range(5..60)).for_each(|_| self.play(bytes, rng)),
            Kind::Garbler => {
                let garbage = GARBAGE[rng.random_range(0..GARBAGE.len())];
                match rng.random_range(0..10) {
                    0 => bytes.extend((0..60).flat_map(|_| text(garbage))),
                    _ => bytes.extend(text(garbage)),
                }
            }
            // A client that never reads what it has asked for has only itself to blame.
            Kind::Staller if matches!(self.reading, Reading::Not) && rng.random_bool(0.5) => {}
            _ => self.play(bytes, rng),
        }
    }

    fn play(&mut self, bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
        match rng.random_range(0..40) {
            0 => bytes.extend(masked(0x89, b"are you there")),
            1 => bytes.extend(masked(0x8a, b"unasked")),
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
                // One message in three fragments, with a ping between.
                bytes.extend(masked(0x01, br#"{"type":"move","#));
                bytes.extend(masked(0x00, b""));
                bytes.extend(masked(0x89, b""));
                bytes.extend(masked(0x80, br#""direction":"UP"}"#));
            }
            7..20 => bytes.extend(text(r#"{"type":"attack"}"#)),
            _ => {
                let direction = ["UP", "DOWN", "LEFT", "RIGHT"][rng.random_range(0..4)];
                bytes.extend(text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#)));
            }
        }
    }

    fn leave(&mut self, rng: &mut ChaCha8Rng) {
        let Some(wire) = &mut self.wire else { return };
        if self.kind == Kind::Vanisher {
            self.is_gone = true;
            self.reading = Reading::Not;
            self.reading_until = u64::MAX;
            return;
        }
        if self.kind == Kind::Violator {
            let (bytes, code) = violation(rng);
            wire.inbound.extend(bytes);
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
                wire.inbound.extend(masked(0x88, b""));
                self.expected_close = Some(None);
            }
            Leave::CloseFrame(Some(code)) => {
                wire.inbound.extend(close(code));
                // What comes behind a close frame is nobody's business.
                wire.inbound.extend(text("behind the close"));
                self.expected_close = Some(Some(code));
            }
            Leave::CloseFrameAndEnd => {
                wire.inbound.extend(close(code));
                self.expected_close = Some(Some(code));
                wire.end = Some(false);
            }
            Leave::End => wire.end = Some(false),
            Leave::Broken => {
                wire.inbound.truncate(wire.inbound.len() / 2);
                wire.end = Some(true);
            }
        }
        self.is_gone = wire.end.is_some();
    }

    fn browse(&mut self, bytes: &mut Vec<u8>, now: u64, rng: &mut ChaCha8Rng) {
        if now >= self.leaves_at {
            // Half of them keep their connection, until the server has had enough of it.
            self.acts_at = u64::MAX;
            if rng.random_bool(0.5) {
                self.is_gone = true;
                self.wire.as_mut().expect("it acts").end = Some(rng.random_bool(0.3));
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
            self.ear.asked(method == "HEAD");
            self.statuses.push_back(status);
        }
        self.acts_at = now + rng.random_range(50..3_000);
    }

    fn dribble(&mut self, bytes: &mut Vec<u8>, now: u64, rng: &mut ChaCha8Rng) {
        if self.head.is_empty() {
            self.head = b"GET / HTTP/1.1\r\nHost: play.example\r\nX: ".to_vec();
            self.head.extend([b'x'; 200]);
            self.head.reverse();
            self.statuses.push_back(408);
        }
        bytes.extend(self.head.pop());
        self.acts_at = now + rng.random_range(100..400);
    }

    /// What the proxy adds to its requests. What stands to the left of the address, the client has
    /// invented.
    fn fields(&self, rng: &mut ChaCha8Rng) -> String {
        let lies = ["", "198.18.0.0, ", "unknown, ", "203.0.113.1,"];
        match self.forwarded_for {
            None => String::new(),
            Some(ip) => format!("X-Forwarded-For: {}{ip}\r\n", lies[rng.random_range(0..4)]),
        }
    }

    fn change_reading(&mut self, now: u64, rng: &mut ChaCha8Rng) {
        if self.is_gone {
            return;
        }
        if self.reading_until == u64::MAX {
            let waits = matches!(self.kind, Kind::Staller | Kind::Trickler)
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
            (Reading::Eager, Kind::Trickler) => {
                let rate = 1 << rng.random_range(6..13);
                (Reading::BytesPerSecond(rate), rng.random_range(1_000..30_000))
            }
            // Spans of every size, so that many lie on both sides of the bound.
            (Reading::Eager, _) => (Reading::Not, 100 << rng.random_range(0..9)),
            _ => (Reading::Eager, rng.random_range(200..5_000)),
        };
        (self.reading, self.reading_until) = (reading, now + span_ms);
        self.read_credit = 0;
    }

    /// Takes what it reads now out of the kernel. `span_ms` has passed since the last time.
    pub fn read(&mut self, span_ms: u64) -> Vec<u8> {
        let Some(wire) = &mut self.wire else { return Vec::new() };
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
        if most == 0 || wire.outbound.is_empty() {
            return Vec::new();
        }
        let count = most.min(wire.outbound.len());
        take_front(&mut wire.outbound, count)
    }

    /// A ping came: whoever lives answers.
    pub fn answer(&mut self, ping: &[u8]) {
        if let Some(wire) = &mut self.wire
            && wire.end.is_none()
            && !self.is_gone
            && self.expected_close.is_none()
        {
            wire.inbound.extend(masked(0x8a, ping));
        }
    }

    /// The server has said its last: most hang up then.
    pub fn hang_up(&mut self, rng: &mut ChaCha8Rng) {
        if let Some(wire) = &mut self.wire
            && wire.end.is_none()
            && rng.random_bool(0.8)
        {
            wire.end = Some(false);
        }
    }

    /// Whether the server may close with this code, as far as the client knows.
    pub fn may_be_told(&self, code: Option<u16>, reason: &str, is_draining: bool) -> bool {
        let stalled_ms = self.wire.as_ref().map_or(0, |wire| wire.stalled_ms_max);
        let is_hint = || {
            let ms = reason.strip_prefix(r#"{"retry_ms":"#).and_then(|r| r.strip_suffix('}'));
            ms.and_then(|ms| ms.parse::<u32>().ok()).is_some()
        };
        match code {
            code if self.expected_close == Some(code) => true,
            Some(1012) => is_draining && is_hint(),
            Some(1013) => self.joined.is_none() && is_hint(),
            Some(4008) => stalled_ms >= 10_000,
            Some(4029) => self.is_rude,
            _ => false,
        }
    }

    /// Whether nobody but itself can have ended its game: it reads, it answers, it keeps the rules.
    pub fn surely_plays(&self) -> bool {
        let has_ended = self.heard_close.is_some() || self.expected_close.is_some();
        let is_steady = matches!(self.kind, Kind::Observer | Kind::Player);
        is_steady && self.wire.is_some() && self.joined.is_some() && !has_ended && !self.is_gone
    }

    /// Whether it may have a player: it has asked for one.
    pub fn may_play(&self) -> bool {
        self.wire.is_some() && self.asked_at.is_some()
    }

    /// Whether its connection serves nobody now: all that it has asked is answered.
    pub fn is_idle(&self) -> bool {
        let Some(wire) = &self.wire else { return false };
        let has_asked = wire.heard_at > wire.opened_at;
        let is_open = wire.end.is_none() && !wire.is_shut;
        let is_answered = wire.inbound.is_empty() && self.statuses.is_empty();
        self.kind == Kind::Browser && has_asked && is_open && is_answered
    }

    /// How long it has been here.
    pub fn age_ms(&self, now: u64) -> u64 {
        now - self.opened_ms
    }
}

/// A request with further fields behind its first line.
fn with_fields(mut request: Vec<u8>, fields: &str) -> Vec<u8> {
    let end = request.windows(2).position(|two| two == b"\r\n").expect("a first line") + 2;
    request.splice(end..end, fields.bytes());
    request
}

/// Bytes that break a rule, and the code that says which.
fn violation(rng: &mut ChaCha8Rng) -> (Vec<u8>, u16) {
    let unmasked = vec![0x81, 2, b'h', b'i'];
    let short_length = vec![0x82, 0xfe, 0, 5, 1, 2, 3, 4];
    let huge = vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let long = |bytes: u64| [&[0x82, 0xff][..], &bytes.to_be_bytes(), &[1, 2, 3, 4]].concat();
    let fragments = |count| (0..count).flat_map(|n| masked(if n == 0 { 1 } else { 0 }, b""));
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
