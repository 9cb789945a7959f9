//! A fixture for one `Server` and a few connections. Every call is one step, and only the test
//! moves the clock. The directed tests, the fuzzers and the golden transcripts use it; the
//! simulator runs the loop of the reactor instead.

use std::cell::RefCell;
use std::io::IoSlice;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;

use flate2::{Compress, Compression, FlushCompress};
use skirmish::config::{self, Config, Serve};
use skirmish::game::{GAMES, Games, Rules};
use skirmish::http::{Assets, PagePolicy};
use skirmish::server::{ConnId, End, FaultPoint, ListenerKind, ReadState, Server, Setup};
use skirmish::time::{Millis, TICK_MS};
use skirmish::ws::frame;

use super::faults;

/// The port that the server is configured with.
pub const PORT: u16 = 8765;
/// The key in the example of RFC 6455.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// An address that is not loopback.
pub const REMOTE: &str = "192.0.2.1";

pub struct Fixture {
    pub server: Server,
    pub now: Millis,
    /// How many panics of the server the test expects.
    pub panics: u64,
}

/// The server catches its panics; a test fails if it did not expect one.
impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.server.metrics().panics, self.panics, "the server panicked");
        }
    }
}

/// The settings that the flags parse to.
pub fn settings(flags: &[&str]) -> Serve {
    let args = ["skirmish"].iter().chain(flags).map(Into::into);
    match config::parse(args) {
        Ok(Config::Serve(serve)) => *serve,
        other => panic!("{flags:?}: {other:?}"),
    }
}

pub fn server(flags: &[&str], seed: u64, assets: Assets) -> Server {
    server_of(&GAMES, flags, seed, assets)
}

/// The files of the binary, which are compressed once for all servers.
pub fn assets() -> Assets {
    static FILES: LazyLock<Assets> = LazyLock::new(Assets::embedded);
    FILES.clone()
}

/// A server of these games.
pub fn server_of(games: &[&'static Rules], flags: &[&str], seed: u64, assets: Assets) -> Server {
    let settings = settings(flags);
    let games = Games::new(games).expect("valid games");
    let connections_max = settings.connections_max.unwrap_or(20_000);
    let memory_max = settings.max_memory.map(|bytes| bytes as usize);
    let ports = vec![PORT];
    let (secret, fault_hook) = ([7; 32], Some(faults::hook as fn(FaultPoint)));
    Server::new(Setup {
        settings,
        games,
        assets,
        ports,
        connections_max,
        memory_max,
        seed,
        secret,
        admin_token: None,
        fault_hook,
    })
    .expect("valid flags")
}

/// A WebSocket handshake request.
pub fn handshake(target: &str) -> Vec<u8> {
    skirmish::ws::handshake::request("play.example", target, KEY)
}

/// The offer of a browser to compress messages.
pub const DEFLATE: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// The request with more header fields after its first line.
pub fn with_fields(mut request: Vec<u8>, fields: &str) -> Vec<u8> {
    let end = request.windows(2).position(|two| two == b"\r\n").expect("a first line") + 2;
    request.splice(end..end, fields.bytes());
    request
}

/// A masked text frame, compressed without history.
pub fn compressed(text: &str) -> Vec<u8> {
    thread_local! {
        // To make one takes longer than to compress a message.
        static COMPRESS: RefCell<Compress> = Compress::new(Compression::fast(), false).into();
    }
    let mut payload = Vec::with_capacity(text.len() + 100);
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        compress.compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync).expect("memory");
    });
    payload.truncate(payload.len() - 4);
    masked(0xc1, &payload)
}

/// A masked frame with an arbitrary first byte.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_masked(frame::BINARY, payload, [1, 2, 3, 4], &mut bytes);
    bytes[0] = first;
    bytes
}

pub fn text(text: &str) -> Vec<u8> {
    masked(0x81, text.as_bytes())
}

/// The bytes of all slices.
pub fn concat(slices: &[IoSlice]) -> Vec<u8> {
    let mut bytes = Vec::new();
    slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes
}

/// Two small pages that stay the same across releases. They are read and compressed once.
pub fn pages() -> Assets {
    static PAGES: LazyLock<Assets> = LazyLock::new(read_pages);
    PAGES.clone()
}

fn read_pages() -> Assets {
    // The package of the fuzz targets lies below.
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = roots.map(|root| root.join("tests/golden/www")).find(|folder| folder.is_dir());
    Assets::read(&folder.expect("the pages are in the repository"), &PagePolicy::default())
        .expect("they can be read")
}

impl Fixture {
    pub fn new(flags: &[&str]) -> Fixture {
        Fixture { server: server(flags, 7, assets()), now: Millis(0), panics: 0 }
    }

    /// Like `new`, with [`pages`]: much faster to build.
    pub fn with_small_pages(flags: &[&str]) -> Fixture {
        Fixture { server: server(flags, 7, pages()), now: Millis(0), panics: 0 }
    }

    pub fn open(&mut self, peer: &str) -> ConnId {
        let peer: IpAddr = peer.parse().expect("an address");
        self.server.open(peer, ListenerKind::Public, self.now).expect("the connection is admitted")
    }

    /// Joins over WebSocket and reads everything before the first state.
    pub fn join(&mut self, target: &str) -> ConnId {
        self.join_from(REMOTE, target)
    }

    /// The same, from another address.
    pub fn join_from(&mut self, peer: &str, target: &str) -> ConnId {
        let id = self.open(peer);
        self.send(id, &handshake(target));
        let output = String::from_utf8_lossy(&self.take(id)).into_owned();
        assert!(output.starts_with("HTTP/1.1 101 ") && output.contains("\"init\""), "{output}");
        id
    }

    /// Sends bytes as the reactor does over several turns. A paused peer stays paused.
    pub fn send(&mut self, id: ConnId, bytes: &[u8]) -> ReadState {
        let mut next_read = self.server.receive(id, &mut bytes.to_vec(), self.now);
        while next_read == ReadState::Deferred {
            next_read = self.server.receive(id, &mut [], self.now);
        }
        next_read
    }

    /// Takes everything queued for the peer.
    pub fn take(&mut self, id: ConnId) -> Vec<u8> {
        self.take_up_to(id, usize::MAX)
    }

    /// Takes up to `most` bytes queued for the peer.
    pub fn take_up_to(&mut self, id: ConnId, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        for writes in 0.. {
            assert!(writes < 100_000, "the output never ends");
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

    /// How many bytes are queued for a peer that reads nothing, its state included.
    pub fn waiting_bytes(&mut self, id: ConnId) -> usize {
        let mut slices = [IoSlice::new(&[]); 8192];
        let count = self.server.slices(id, &mut slices);
        let shown = slices[..count].iter().map(|slice| slice.len()).sum();
        if shown > 0 {
            self.server.written(id, 0, shown, self.now);
        }
        shown
    }

    /// Advances by one tick.
    pub fn tick(&mut self) {
        self.now = self.now.after(TICK_MS);
        self.server.tick(self.now, self.now);
        self.server.publish(self.now);
    }

    /// Ticks until `span_ms` have passed or `id` ends. Returns how it ended and after how many
    /// milliseconds. Calls `step` after each tick.
    pub fn until_end(
        &mut self,
        id: ConnId,
        span_ms: u64,
        mut step: impl FnMut(&mut Fixture),
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

    /// How the connection ended, if it did. Discards the endings of other connections.
    pub fn ended(&mut self, id: ConnId) -> Option<End> {
        let mut ended = Vec::new();
        self.server.take_ended(&mut ended);
        ended.iter().find(|(ended, end)| *ended == id && *end != End::Shut).map(|(_, end)| *end)
    }
}
