//! A whole `Server` without sockets for benches and allocation tests: players that have joined, and
//! a kernel that takes every byte.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};

use clap::Parser;
use skirmish::config::Serve;
use skirmish::game::{DOTS, GAMES, Games, Ground, Rect, Rules};
use skirmish::http::Assets;
use skirmish::server::{ConnId, ListenerKind, Server, Setup};
use skirmish::time::{Millis, TICK_MS};
use skirmish::ws::{frame, handshake};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: Serve,
}

/// What the players speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Dots, as JSON over WebSocket.
    Json,
    /// The same, compressed.
    JsonDeflate,
    /// Battle, as JSON over WebSocket.
    JsonBattle,
    /// Battle, as Socket.IO events over WebSocket.
    Events,
    /// The same, compressed.
    EventsDeflate,
    /// A walk on a map of 16,000 squared, as skirmish.v1.
    V1,
    /// The same, and all begin in one view.
    V1Crowd,
    /// Dots, as skirmish.v1.
    V1Dots,
}

/// Dots on a large map.
static FIELD: Rules = {
    let map = Rect { left: 0, top: 0, right: 16_000, bottom: 16_000 };
    Rules { name: "field", ground: Ground { map, walls: map, spawn: map }, ..DOTS }
};

static CROWD: Rules = {
    let spawn = Rect { left: 8_000, top: 8_000, right: 9_024, bottom: 8_768 };
    Rules { name: "crowd", ground: Ground { spawn, ..FIELD.ground }, ..FIELD }
};

pub struct Fixture {
    dialect: Dialect,
    pub server: Server,
    pub players: Vec<ConnId>,
    pub now: Millis,
    dirty: Vec<ConnId>,
    /// Bytes that the kernel has taken.
    pub taken_bytes: u64,
}

impl Fixture {
    /// A server with `players` players, in rooms of `room_players`.
    #[must_use]
    pub fn with_players(dialect: Dialect, players: usize, room_players: usize) -> Fixture {
        let mut fixture = Fixture::empty(dialect, &[]);
        (0..players).for_each(|number| fixture.join(number / room_players));
        fixture.flush();
        fixture
    }

    /// A server with one person in a battle, which bots fill up to `players` players.
    #[must_use]
    pub fn with_bots(players: usize) -> Fixture {
        let mut fixture =
            Fixture::empty(Dialect::JsonBattle, &["--bots", &format!("battle-0={players}")]);
        fixture.join(0);
        fixture.flush();
        fixture
    }

    fn empty(dialect: Dialect, flags: &[&str]) -> Fixture {
        let limits =
            ["skirmish", "--full-state-players-max", "65535", "--room-players-max", "65535"];
        let flags = limits.iter().chain(flags);
        let server = Server::new(Setup {
            settings: Flags::parse_from(flags).serve,
            games: Games::new(&[GAMES[0], GAMES[1], &FIELD, &CROWD]).expect("valid games"),
            assets: Assets::embedded(),
            ports: vec![8765],
            connections_max: 100_000,
            memory_max: None,
            seed: 1,
            secret: [1; 32],
            admin_token: None,
            fault_hook: None,
        });
        Fixture {
            dialect,
            server: server.expect("the settings are right"),
            players: Vec::new(),
            now: Millis(1),
            dirty: Vec::new(),
            taken_bytes: 0,
        }
    }

    /// A player joins a room.
    pub fn join(&mut self, room: usize) {
        let target = match self.dialect {
            Dialect::Json | Dialect::JsonDeflate | Dialect::V1Dots => format!("/?room=dots-{room}"),
            Dialect::JsonBattle => format!("/?room=battle-{room}"),
            Dialect::V1 => format!("/?room=field-{room}"),
            Dialect::V1Crowd => format!("/?room=crowd-{room}"),
            Dialect::Events | Dialect::EventsDeflate => {
                format!("/socket.io/?EIO=4&transport=websocket&room=battle-{room}")
            }
        };
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let id =
            self.server.open(peer, ListenerKind::Public, self.now).expect("loopback has no limits");
        let request = match self.dialect {
            Dialect::JsonDeflate | Dialect::EventsDeflate => handshake::request_deflate,
            _ => handshake::request,
        };
        let mut bytes = request("localhost:8765", &target, "dGhlIHNhbXBsZSBub25jZQ==");
        if self.is_v1() {
            bytes.truncate(bytes.len() - 2);
            bytes.extend(b"Sec-WebSocket-Protocol: skirmish.v1\r\n\r\n");
        }
        self.server.receive(id, &mut bytes, self.now);
        if matches!(self.dialect, Dialect::Events | Dialect::EventsDeflate) {
            self.send(id, b"40");
        }
        self.players.push(id);
    }

    /// One tick: a tenth of the JSON players attack, others on the next tick, so that each attacks
    /// twice a second.
    pub fn tick_with_attacks(&mut self) {
        let first = (self.now.0 / TICK_MS) as usize % 10;
        for index in (first..self.players.len()).step_by(10) {
            self.send(self.players[index], br#"{"type":"attack"}"#);
        }
        self.tick(0..0);
    }

    /// One tick: the players in `moves` move, the worlds advance, and all output is written.
    pub fn tick(&mut self, moves: std::ops::Range<usize>) {
        self.now = self.now.after(TICK_MS);
        // The players walk from wall to wall: 20 steps on a battle map.
        let is_odd = self.now.0 / (20 * TICK_MS) % 2 == 1;
        // INPUT: on each tick they hold another direction, or none.
        let step = (self.now.0 / TICK_MS) as u16;
        let [low, high] = step.to_le_bytes();
        let [ack_low, ack_high] = step.wrapping_sub(2).to_le_bytes();
        let input = [0x10, (step % 5) as u8, low, high, ack_low, ack_high, 0, 0];
        let message: &[u8] = match self.dialect {
            Dialect::V1Dots => &input,
            Dialect::Json | Dialect::JsonDeflate | Dialect::JsonBattle => {
                br#"{"type":"move","direction":"RIGHT"}"#
            }
            Dialect::Events | Dialect::EventsDeflate if is_odd => br#"42["move",{"x":0,"y":50}]"#,
            Dialect::Events | Dialect::EventsDeflate => br#"42["move",{"x":100,"y":50}]"#,
            Dialect::V1 | Dialect::V1Crowd => unreachable!("they hold keys"),
        };
        for place in moves {
            self.send(self.players[place], message);
        }
        self.server.tick(self.now, self.now);
        self.server.publish(self.now);
        self.flush();
    }

    /// One tick of players that walk: each has another course after some ticks, and sends its keys
    /// twice a second.
    pub fn tick_with_courses(&mut self, ticks: usize) {
        self.walk(ticks);
        self.publish();
    }

    /// The first half of it: the keys are received, and the worlds advance.
    pub fn walk(&mut self, ticks: usize) {
        self.now = self.now.after(TICK_MS);
        let tick = (self.now.0 / TICK_MS) as usize;
        for index in (0..self.players.len()).filter(|index| (tick + index).is_multiple_of(10)) {
            let direction = 1 + (index + (tick + index) / ticks * 7) % 4;
            let [low, high] = (tick as u16).to_le_bytes();
            let [ack_low, ack_high] = (tick as u16).wrapping_sub(2).to_le_bytes();
            let input = [0x10, direction as u8, low, high, ack_low, ack_high, 0, 0];
            self.send(self.players[index], &input);
        }
        self.server.tick(self.now, self.now);
    }

    /// The second half: the states are encoded and written.
    pub fn publish(&mut self) {
        self.server.publish(self.now);
        self.flush();
    }

    fn is_v1(&self) -> bool {
        matches!(self.dialect, Dialect::V1 | Dialect::V1Crowd | Dialect::V1Dots)
    }

    fn send(&mut self, id: ConnId, message: &[u8]) {
        let mut frame = [0; 64];
        let mut bytes = Frame(&mut frame, 0);
        bytes.put(if self.is_v1() { 0x82 } else { 0x81 }, message);
        let Frame(bytes, length) = bytes;
        self.server.receive(id, &mut bytes[..length], self.now);
    }

    /// All output is written.
    pub fn flush(&mut self) {
        self.server.take_dirty(&mut self.dirty, &mut Vec::new(), self.now);
        for (index, id) in self.dirty.iter().copied().enumerate() {
            // As the loop does.
            if index % 8 == 0 {
                self.server.prefetch(self.dirty[index..].iter().take(8).copied());
            }
            loop {
                let mut slices = [IoSlice::new(&[]); 16];
                let count = self.server.slices(id, &mut slices);
                if count == 0 {
                    break;
                }
                let shown: usize = slices[..count].iter().map(|slice| slice.len()).sum();
                self.taken_bytes += shown as u64;
                if !self.server.written(id, shown, shown, self.now) {
                    break;
                }
            }
        }
        self.dirty.clear();
    }
}

/// A masked frame on the stack, so that sending allocates nothing.
struct Frame<'a>(&'a mut [u8; 64], usize);

impl Frame<'_> {
    fn put(&mut self, first: u8, payload: &[u8]) {
        let mask = [1, 2, 3, 4];
        let bytes = &mut *self.0;
        bytes[0] = first;
        bytes[1] = 0x80 | payload.len() as u8;
        bytes[2..6].copy_from_slice(&mask);
        bytes[6..6 + payload.len()].copy_from_slice(payload);
        frame::apply_mask(&mut bytes[6..6 + payload.len()], mask, 0);
        self.1 = 6 + payload.len();
    }
}
