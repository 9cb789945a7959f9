//! Tests of the load test against a minimal server, over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::*;
use crate::codec::json::{ClientMessage, Direction, Init, encode_init, encode_state};
use crate::codec::row::{Columns, Row};
use crate::config::Dialect;
use crate::ws::frame::{TEXT, encode};
use crate::ws::{Assembler, FrameRules, Mask, Message, close, frame, handshake};

const RULES: FrameRules = FrameRules {
    mask: Mask::Required,
    takes_compressed: false,
    message_bytes_max: 4_096,
    fragments_max: 1,
};

struct Peer {
    stream: TcpStream,
    spill: Vec<u8>,
    is_up: bool,
    x: u16,
}

/// A server that sends the full state 20 times per second. Its third player is closed with 4013.
struct TinyServer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TinyServer {
    fn start(closes_third: bool) -> TinyServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut peers: Vec<Peer> = Vec::new();
            let mut next = Instant::now();
            while !flag.load(Ordering::Relaxed) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).unwrap();
                    peers.push(Peer { stream, spill: Vec::new(), is_up: false, x: 100 });
                }
                for (index, peer) in peers.iter_mut().enumerate() {
                    receive(peer, index as u32, closes_third && index == 3);
                }
                if Instant::now() >= next {
                    next += Duration::from_millis(50);
                    tick(&mut peers);
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        TinyServer { address, is_over, thread: Some(thread) }
    }
}

impl Drop for TinyServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn receive(peer: &mut Peer, id: u32, is_closed: bool) {
    let mut buffer = [0; 4_096];
    match peer.stream.read(&mut buffer) {
        Ok(length) => peer.spill.extend_from_slice(&buffer[..length]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return,
        Err(_) => return,
    }
    if !peer.is_up {
        if !peer.spill.ends_with(b"\r\n\r\n") {
            return;
        }
        let head = String::from_utf8(std::mem::take(&mut peer.spill)).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let offer = handshake::Offer { key, version: Some("13"), is_http_11: true };
        let accept = handshake::accept(&offer).unwrap();
        let mut out = format!(
            "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
        let mut init = Vec::new();
        let fields = Init { id, room: "a".into(), rules: "dots".into(), ..Init::default() };
        encode_init(&fields, None, &mut init);
        encode(TEXT, &init, &mut out);
        if is_closed {
            encode(frame::CLOSE, &close::payload(4013, ""), &mut out);
        }
        peer.stream.write_all(&out).unwrap();
        peer.is_up = !is_closed;
        return;
    }
    let mut assembler = Assembler::default();
    let mut taken = 0;
    while let Ok((length, Some(message))) = assembler.next(&mut peer.spill[taken..], &RULES) {
        taken += length;
        let Message::Text(text) = message else { continue };
        match ClientMessage::decode(text.bytes()).unwrap() {
            ClientMessage::Move(Direction::Left) => peer.x -= 1,
            ClientMessage::Move(Direction::Right) => peer.x += 1,
            _ => {}
        }
    }
    peer.spill.drain(..taken);
}

fn tick(peers: &mut [Peer]) {
    let players = peers.iter().enumerate().filter(|(_, peer)| peer.is_up);
    let rows = players.map(|(index, peer)| Row {
        id: index as u32,
        x: peer.x,
        y: 10,
        color: 0,
        name: None,
        values: &[],
    });
    let (mut text, mut frame) = (Vec::new(), Vec::new());
    encode_state(&Columns::NONE, rows, std::iter::empty(), 0, &mut text);
    encode(TEXT, &text, &mut frame);
    for peer in peers.iter_mut().filter(|peer| peer.is_up) {
        // Ignore clients that never read or have disconnected.
        let _ = peer.stream.write(&frame);
    }
}

/// The run is not stopped.
static GOES_ON: AtomicBool = AtomicBool::new(false);

fn options(server: &TinyServer, clients: u32) -> Load {
    Load {
        deflate: false,
        url: format!("ws://{}/", server.address).parse().unwrap(),
        dialect: Dialect::Json,
        transport: None,
        clients,
        ca: None,
        insecure: false,
        find_limit: false,
        seconds: 1.0,
        moves_hz: 5.0,
        attacks_hz: 0.0,
        acks: None,
        ramp_hz: 1_000.0,
        room_players: None,
        probes: None,
        mix: None,
        pattern: Pattern::Random,
        churn_hz: 0.0,
        slow_readers: 0,
        stalled: 0,
        pid: None,
        expect: Vec::new(),
        json: false,
        report: None,
        compare: None,
        seed: Some(1),
        command: String::new(),
    }
}

#[test]
fn players_are_measured() {
    let server = TinyServer::start(false);
    let options =
        Load { probes: Some(4), stalled: 2, pid: Some(std::process::id()), ..options(&server, 8) };
    let report = run(&options, &GOES_ON).unwrap();
    assert_eq!(report.exit_code(), 0, "{report:?}");
    assert_eq!(report.players.connected, 8);
    // Check counts and relations only: the speed of this machine does not matter.
    let rates = report.players.states_per_s.unwrap();
    assert!(0.0 < rates.min && rates.min <= rates.p1 && rates.p1 <= rates.median, "{rates:?}");
    let (frames, states) =
        (report.players.received_frames_per_s, report.players.received_states_per_s);
    // All 8 saw at least the minimum; the sum is rounded to tenths.
    assert!(8.0 * rates.min - 0.1 <= states && states <= frames, "{report:?}");
    let visible = report.players.input_to_visible_ms.unwrap();
    assert!(0.0 < visible.p50 && visible.p50 <= visible.max, "{visible:?}");
    assert_eq!((report.players.probes, report.probe_moves_hz, report.moves_hz), (4, 2.0, 5.0));
    // A second has two moves of each probe, or three because of the jitter.
    let moves = report.players.probes_visible + report.players.probes_lost;
    assert!(report.players.probes_visible > 0 && moves <= 4 * 3, "{report:?}");
    let stalled = report.stalled.as_ref().unwrap();
    assert_eq!((stalled.connected, stalled.alive), (2, 2));
    assert!(report.server.unwrap().rss_before_kib > 0);
    assert!(report.text().contains("8 connected, 0 lost"));
}

#[test]
fn a_player_that_is_closed_is_lost_by_its_code() {
    // The first connection checks whether the server is up.
    let server = TinyServer::start(true);
    let report = run(&options(&server, 5), &GOES_ON).unwrap();
    assert_eq!(report.exit_code(), 1);
    assert_eq!((report.players.connected, report.players.lost), (5, 1));
    assert_eq!(report.players.errors.get("closed 4013"), Some(&1));
    assert!(report.text().contains("1  closed 4013"), "{}", report.text());
}

#[test]
fn unusable_flags_and_servers_fail_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = TinyServer::start(false);
    let down = Load { url: format!("ws://{closed}/").parse().unwrap(), ..options(&server, 1) };
    let failure = run(&down, &GOES_ON).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert!(failure.to_string().contains("Cannot connect"), "{failure}");
    let many = Load { clients: 1_000_000, ..options(&server, 1) };
    assert_eq!(run(&many, &GOES_ON).unwrap_err().exit_code(), 2);
    let rooms = Load {
        url: format!("ws://{}/?room=a", server.address).parse().unwrap(),
        room_players: Some(2),
        ..options(&server, 1)
    };
    assert_eq!(run(&rooms, &GOES_ON).unwrap_err().exit_code(), 2);
}

#[test]
fn a_run_stopped_before_the_measurement_is_an_error() {
    let server = TinyServer::start(false);
    let failure = run(&options(&server, 5), &AtomicBool::new(true)).unwrap_err();
    assert_eq!(
        (failure.exit_code(), failure.to_string().as_str()),
        (130, "Stopped before anything was measured.")
    );
}
