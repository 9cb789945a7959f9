//! permessage-deflate (RFC 7692) over sockets: what is agreed, compressed states, and compressed
//! messages of clients.

use std::io::Read;
use std::net::SocketAddr;

use flate2::read::GzDecoder;
use flate2::{Compress, Compression, FlushCompress};
use skirmish::limits::GAME;
use skirmish::ws::deflate::Inflater;

use crate::harness::{Answer, Frame, KEY, Peer, ReadBarrier, TestServer, masked, request};
use crate::polling_client::Client;

const BROWSER: &str = "permessage-deflate; client_max_window_bits";
const AGREED: &str = "permessage-deflate; client_no_context_takeover";

/// The response to a handshake that offers `extensions`.
pub fn offer(addr: SocketAddr, target: &str, extensions: &str) -> (Peer, Answer) {
    let mut peer = Peer::connect(addr);
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Extensions: {extensions}\r\n"
    );
    peer.send(request(addr, &format!("GET {target}"), &fields).as_bytes());
    let answer = peer.answer(true);
    assert_eq!(answer.status, 101, "{answer:?}");
    (peer, answer)
}

/// Compresses messages as a client that keeps its history, unless it is reset.
struct Sender(Compress);

impl Sender {
    fn new() -> Sender {
        Sender(Compress::new(Compression::default(), false))
    }

    fn payload(&mut self, message: &[u8]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(message.len() + 1_024);
        self.0.compress_vec(message, &mut payload, FlushCompress::Sync).expect("memory");
        payload.truncate(payload.len() - 4);
        payload
    }

    fn alone(message: &[u8]) -> Vec<u8> {
        Sender::new().payload(message)
    }
}

/// The text in a frame, which may be compressed.
fn text(frame: &Frame, inflater: &mut Inflater) -> String {
    let bytes = match frame.first {
        0x81 => frame.payload.clone(),
        0xc1 => inflater.message(&frame.payload, 1 << 20).expect("valid data"),
        other => panic!("a frame {other:x}"),
    };
    String::from_utf8(bytes).expect("text")
}

#[test]
fn an_offer_is_answered_and_no_deflate_turns_it_off() {
    let server = TestServer::start(&[]);
    let without = TestServer::start(&["--no-deflate"]);
    let echo = TestServer::start(&["--echo"]);
    let socketio = "/socket.io/?EIO=4&transport=websocket";
    let taken = |answer: &Answer| answer.field("sec-websocket-extensions").map(str::to_owned);
    for target in ["/", "/ws?room=battle", socketio] {
        let (_, answer) = offer(server.addr, target, BROWSER);
        assert_eq!(taken(&answer).as_deref(), Some(AGREED), "{target}");
        let (_, answer) = offer(without.addr, target, BROWSER);
        assert_eq!(taken(&answer), None, "{target}");
    }
    let small = "permessage-deflate; server_max_window_bits=10";
    assert_eq!(taken(&offer(server.addr, "/", small).1), None);
    let of_echo = taken(&offer(echo.addr, "/", small).1);
    assert_eq!(of_echo, Some(format!("{AGREED}; server_max_window_bits=10")));
    // Offers may stand in several header fields.
    let several = format!("x-first\r\nSec-WebSocket-Extensions: {BROWSER}");
    assert_eq!(taken(&offer(server.addr, "/", &several).1).as_deref(), Some(AGREED));
}

#[test]
fn compressed_states_are_those_of_the_others_and_much_smaller() {
    let server = TestServer::start(&[]);
    let crowd: Vec<Peer> = (0..40).map(|_| Peer::join(server.addr, "/").0).collect();
    let (mut plain, _) = Peer::join(server.addr, "/");
    let (mut peer, _) = offer(server.addr, "/", BROWSER);
    let mut inflater = Inflater::keeping_history();
    assert_eq!(peer.frame().first, 0x81, "`init` is not compressed");
    let mut bytes = Vec::new();
    for turn in 0..30 {
        plain.send_text(r#"{"type":"move","direction":"UP"}"#);
        // The answer goes out uncompressed, and the history stays as it is.
        if turn % 7 == 0 {
            peer.send_text(r#"{"type":"ping","t":1}"#);
        }
        let (tick, state) = loop {
            let frame = peer.frame();
            let is_compressed = frame.first == 0xc1;
            let text = text(&frame, &mut inflater);
            if let Some(tick) = text.strip_prefix(r#"{"type":"state_update""#).and_then(tick_of) {
                assert!(is_compressed);
                bytes.push(frame.payload.len());
                break (tick, text);
            }
            assert!(text.contains("pong") && !is_compressed, "{text}");
        };
        let mut same = plain.until_text(&["state_update"]);
        while tick_of(&same).is_none_or(|other| other < tick) {
            same = plain.until_text(&["state_update"]);
        }
        if tick_of(&same) == Some(tick) {
            assert_eq!(state, same);
        }
    }
    let (first, later) = (bytes[0], &bytes[1..]);
    assert!(first > 300, "the first stands alone: {first} bytes");
    let mean = later.iter().sum::<usize>() / later.len();
    assert!(mean < 60, "{mean} bytes a state after {first}");
    drop(crowd);
}

fn tick_of(state: &str) -> Option<u32> {
    state.rsplit_once("\"tick\":")?.1.trim_end_matches('}').split(',').next()?.parse().ok()
}

#[test]
fn compressed_messages_of_clients_may_be_cut_anywhere() {
    let server = TestServer::start(&[]);
    let mut barrier = ReadBarrier::of(server.addr);
    let (mut peer, _) = offer(server.addr, "/", BROWSER);
    let mut inflater = Inflater::keeping_history();
    let message = r#"{"type":"ping","t":12345678901234}"#;
    let payload = Sender::alone(message.as_bytes());
    let frame = masked(0xc1, &payload);
    // Reads up to the answer, and returns the control frames before it.
    let mut until_answer = |peer: &mut Peer| {
        let mut control = Vec::new();
        // States come all the time.
        for _ in 0..200 {
            let frame = peer.frame();
            if frame.first == 0x8a {
                control.push(frame.payload);
                continue;
            }
            let text = text(&frame, &mut inflater);
            if text.contains("pong") {
                assert!(text.contains("12345678901234"), "{text}");
                return control;
            }
        }
        panic!("no answer")
    };
    for cut in 1..frame.len() {
        peer.send_cut(&frame, cut, &mut barrier);
        until_answer(&mut peer);
    }
    for cut in 0..=payload.len() {
        // The first frame alone says that the message is compressed.
        peer.send_frame(0x41, &payload[..cut]);
        peer.send_frame(0x89, b"between");
        peer.send_frame(0x80, &payload[cut..]);
        assert_eq!(until_answer(&mut peer), [b"between"]);
    }
}

// T15
#[test]
fn what_a_compressed_message_may_not_do() {
    let server = TestServer::start(&[]);
    let zeros = Sender::alone(&vec![b'0'; 1 << 20]);
    assert!(zeros.len() < 4_096);
    let long_text = Sender::alone(&[0xff, 0xfe]);
    for (first, payload, code, agrees) in [
        (0xc1, &zeros[..], 1009, true),
        (0xc1, b"hello", 1002, true),
        (0xc1, &long_text, 1007, true),
        (0xc0, &zeros[..10], 1002, true),
        (0xc9, b"ping", 1002, true),
        (0xe1, b"more", 1002, true),
        (0xc1, &Sender::alone(b"{}"), 1002, false),
    ] {
        let extensions = if agrees { BROWSER } else { "x-other" };
        let (mut peer, _) = offer(server.addr, "/", extensions);
        peer.send_frame(first, payload);
        assert_eq!(peer.until_close().0, Some(code), "{first:x} {payload:x?}");
    }
}

#[test]
fn a_client_that_keeps_its_history_is_closed_with_a_sentence() {
    let mut server = TestServer::start(&[]);
    for target in ["/?name=Ann", "/socket.io/?EIO=4&transport=websocket"] {
        let (mut peer, _) = offer(server.addr, target, BROWSER);
        let mut sender = Sender::new();
        let message = br#"{"type":"ping","t":123456789}"#;
        if target.starts_with("/?") {
            peer.send_frame(0xc1, &sender.payload(message));
        } else {
            peer.send_frame(0xc1, &sender.payload(b"40"));
            peer.send_frame(0xc1, &sender.payload(br#"42["move",{"x":12345,"y":12345}]"#));
        }
        for _ in 0..2 {
            peer.send_frame(0xc1, &sender.payload(br#"42["move",{"x":12345,"y":12345}]"#));
        }
        let (code, reason) = peer.until_close();
        assert_eq!(code, Some(1002), "{target}");
        assert!(reason.starts_with("client_no_context_takeover was agreed"), "{reason}");
    }
    let line = server.until_logged("ignores client_no_context_takeover");
    assert!(line.contains("Ann"), "{line}");
}

#[test]
fn echo_compresses_whatever_is_sent() {
    let echo = TestServer::start(&["--echo"]);
    let incompressible: Vec<u8> =
        (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for extensions in [
        BROWSER,
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=9; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=15",
    ] {
        let (mut peer, _) = offer(echo.addr, "/", extensions);
        let mut inflater = Inflater::keeping_history();
        for message in [&b""[..], b"x", &[b'a'; 70_000], &incompressible] {
            for is_compressed in [false, true] {
                match is_compressed {
                    true => peer.send_frame(0xc2, &Sender::alone(message)),
                    false => peer.send_frame(0x82, message),
                }
                let frame = peer.frame();
                let back = match frame.first {
                    0x82 => frame.payload.clone(),
                    0xc2 => inflater.message(&frame.payload, 1 << 20).expect("valid data"),
                    other => panic!("a frame {other:x}"),
                };
                assert!(back == message, "{} bytes came back", back.len());
                assert_eq!(frame.first == 0xc2, !message.is_empty());
            }
        }
    }
}

#[test]
fn large_payloads_of_polls_are_compressed_for_those_that_take_it() {
    let off: &[&str] = &["--no-deflate"];
    for (flags, encodings, is_compressed) in [
        (&[][..], "gzip, deflate, br", true),
        (&[], "identity, gzip;q=0", false),
        (off, "gzip", false),
    ] {
        let server = TestServer::start(flags);
        let crowd: Vec<Client> =
            (0..20).map(|_| Client::open_at(server.addr, "/socket.io/")).collect();
        crowd.iter().for_each(|client| assert_eq!(client.post("40").status, 200));
        server.until_metric("skirmish_players", 20);
        let last = Client::open_at(server.addr, "/socket.io/");
        last.post("40");
        let mut largest = 0;
        // The players of the room come with the first tick.
        while largest < 1_024 {
            let fields = format!("Accept-Encoding: {encodings}\r\n");
            let answer = server.ask(&format!("GET {}", last.query), &fields);
            let gzip = answer.field("content-encoding") == Some("gzip");
            let body = match gzip {
                true => {
                    assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
                    let mut text = Vec::new();
                    GzDecoder::new(&answer.body[..]).read_to_end(&mut text).expect("gzip");
                    text
                }
                false => answer.body,
            };
            let text = String::from_utf8(body).expect("text");
            assert_eq!(gzip, is_compressed && text.len() >= 1_024, "{text}");
            largest = text.len();
        }
        drop(crowd);
    }
}

#[test]
fn a_message_that_grows_by_compression_counts_as_one() {
    let server = TestServer::start(&["--limit-loopback"]);
    let (mut peer, _) = offer(server.addr, "/", BROWSER);
    let ping = br#"{"type":"ping","t":1}"#;
    let compressed = masked(0xc1, &Sender::alone(ping));
    assert!(compressed.len() > masked(0x81, ping).len(), "browsers compress such messages, too");
    // As many as a player may send at once.
    let pings = GAME.input.messages.burst as usize;
    peer.send(&compressed.repeat(pings));
    let mut inflater = Inflater::keeping_history();
    let mut pongs = 0;
    for _ in 0..2 * pings {
        pongs += usize::from(text(&peer.frame(), &mut inflater).contains("pong"));
        if pongs == pings {
            return;
        }
    }
    panic!("{pongs} of {pings} were answered");
}
