//! A bench for one `Server` and few connections: every call is one step, and the clock moves only
//! when it is told to. The directed tests, the fuzzers and the golden transcripts use it; the
//! simulator has a model reactor of its own.

use std::io::IoSlice;
use std::net::IpAddr;

use skirmish::config::{self, Config, Serve};
use skirmish::http::Assets;
use skirmish::server::{ConnId, End, ReadState, Server, Setup};
use skirmish::time::{Millis, TICK_MS};
use skirmish::ws::frame;

/// The port on which the server believes to be reached.
pub const PORT: u16 = 8765;
/// The key of RFC 6455's example.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// An address that is not of this machine.
pub const FAR: &str = "192.0.2.1";

pub struct Lab {
    pub server: Server,
    pub now: Millis,
}

/// What the flags say.
pub fn settings(flags: &[&str]) -> Serve {
    let args = ["skirmish"].iter().chain(flags).map(Into::into);
    match config::parse(args) {
        Ok(Config::Serve(serve)) => *serve,
        other => panic!("{flags:?}: {other:?}"),
    }
}

/// A server without sockets.
pub fn server(flags: &[&str], seed: u64, assets: Assets) -> Server {
    let settings = settings(flags);
    let connections_max = settings.connections_max.unwrap_or(20_000);
    let ports = vec![PORT];
    Server::new(Setup { settings, assets, ports, connections_max, seed, secret: [7; 32] })
        .expect("flags are right")
}

/// A request that asks for a WebSocket.
pub fn handshake(target: &str) -> Vec<u8> {
    skirmish::ws::handshake::request("play.example", target, KEY)
}

/// A masked frame with any first byte.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_masked(frame::BINARY, payload, [1, 2, 3, 4], &mut bytes);
    bytes[0] = first;
    bytes
}

/// A masked text frame.
pub fn text(text: &str) -> Vec<u8> {
    masked(0x81, text.as_bytes())
}

/// All bytes of the slices, in one piece.
pub fn concat(slices: &[IoSlice]) -> Vec<u8> {
    let mut bytes = Vec::new();
    slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes
}

/// Two small pages that no release changes.
pub fn pages() -> Assets {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/www");
    Assets::read(folder.as_ref()).expect("the pages are in the repository")
}

impl Lab {
    pub fn new(flags: &[&str]) -> Lab {
        Lab { server: server(flags, 7, Assets::embedded()), now: Millis(0) }
    }

    /// The same with [`pages`], which are made much faster.
    pub fn with_small_pages(flags: &[&str]) -> Lab {
        Lab { server: server(flags, 7, pages()), now: Millis(0) }
    }

    /// A connection from `peer`.
    pub fn open(&mut self, peer: &str) -> ConnId {
        let peer: IpAddr = peer.parse().expect("an address");
        self.server.open(peer, self.now).expect("there is room")
    }

    /// A player that has read what came before its first state.
    pub fn join(&mut self, target: &str) -> ConnId {
        let id = self.open(FAR);
        self.send(id, &handshake(target));
        let said = String::from_utf8_lossy(&self.take(id)).into_owned();
        assert!(said.starts_with("HTTP/1.1 101 ") && said.contains("\"init\""), "{said}");
        id
    }

    /// Hands bytes in as the reactor does in several turns; a peer that is paused is left so.
    pub fn send(&mut self, id: ConnId, bytes: &[u8]) -> ReadState {
        let mut read_state = self.server.receive(id, &mut bytes.to_vec(), self.now);
        while read_state == ReadState::Deferred {
            read_state = self.server.receive(id, &mut [], self.now);
        }
        read_state
    }

    /// What a peer gets whose socket takes everything.
    pub fn take(&mut self, id: ConnId) -> Vec<u8> {
        self.take_up_to(id, usize::MAX)
    }

    /// What a peer gets whose socket takes `most` bytes and no more.
    pub fn take_up_to(&mut self, id: ConnId, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        for writes in 0.. {
            assert!(writes < 100_000, "there is always more to write");
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.server.slices(id, &mut slices);
            let shown = concat(&slices[..count]);
            if shown.is_empty() {
                return taken;
            }
            let bytes = shown.len().min(most - taken.len());
            taken.extend_from_slice(&shown[..bytes]);
            self.server.written(id, bytes, shown.len(), self.now);
            if bytes < shown.len() {
                return taken;
            }
        }
        taken
    }

    /// How many bytes wait for a peer that takes none, its state included.
    pub fn waiting_bytes(&mut self, id: ConnId) -> usize {
        let mut slices = [IoSlice::new(&[]); 8192];
        let count = self.server.slices(id, &mut slices);
        let shown = slices[..count].iter().map(|slice| slice.len()).sum();
        if shown > 0 {
            self.server.written(id, 0, shown, self.now);
        }
        shown
    }

    /// One tick later.
    pub fn tick(&mut self) {
        self.now = self.now.after(TICK_MS);
        self.server.tick(self.now);
        self.server.publish();
    }

    /// Ticks until `span_ms` have passed or `id` ends: how it ended, and after how long. `step` is
    /// called after each tick.
    pub fn until_end(
        &mut self,
        id: ConnId,
        span_ms: u64,
        mut step: impl FnMut(&mut Lab),
    ) -> Option<(End, u64)> {
        let start = self.now;
        while self.now.since(start) < span_ms {
            self.tick();
            step(self);
            if let Some(end) = self.ended(id) {
                return Some((end, self.now.since(start)));
            }
        }
        None
    }

    /// Whether, and how, the connection was taken away. Others that ended are forgotten.
    pub fn ended(&mut self, id: ConnId) -> Option<End> {
        let mut ended = Vec::new();
        self.server.take_ended(&mut ended);
        ended.iter().find(|(ended, end)| *ended == id && *end != End::Shut).map(|(_, end)| *end)
    }
}
