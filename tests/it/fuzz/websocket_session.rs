//! Whole HTTP and WebSocket sessions, mutated and split in several ways. The server's output must
//! not depend on the split.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::limits::GAME;
use skirmish::server::{ConnId, ReadState};

use super::mutate::{cuts, mutate};
use crate::sim::fixture::{
    DEFLATE, Fixture, REMOTE, compressed, handshake, masked, text, with_fields,
};
use crate::sim::response_reader::{Received, ResponseReader, tick_of};
use crate::sim::v1_client::{OFFER, V1Client};

/// More than the largest small page with its head.
const PAGE_BYTES_MAX: usize = 4_096;

/// Pieces to insert into streams of frames.
pub const FRAME_PIECES: [&[u8]; 12] = [
    &[0x81, 0x80, 0, 0, 0, 0],
    &[0x89, 0x80, 1, 2, 3, 4],
    &[0x00, 0x80, 1, 2, 3, 4],
    &[0x80, 0x80, 1, 2, 3, 4],
    &[0x81, 0xfe, 0, 126],
    &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
    &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0x88, 0x82, 0, 0, 0, 0, 3, 232],
    &[0xc1, 0x81, 0, 0, 0, 0, b'x'],
    &[0xc1, 0x80, 0, 0, 0, 0],
    &[0x41, 0x81, 0, 0, 0, 0, 0],
    &[0x81, 2, b'h', b'i'],
];

/// Mostly valid frames.
pub fn frames(rng: &mut ChaCha8Rng, count: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..rng.random_range(1..=count) {
        stream.extend(match rng.random_range(0..10) {
            0 => masked(0x89, b"ping"),
            1 => masked(0x8a, b""),
            2 => masked(0x82, &[rng.random(); 130]),
            3 => {
                let first = masked(0x01, "{\"type\":\"move\",\"direction\":\"κό".as_bytes());
                let second = masked(0x00, "σμε".as_bytes());
                [first, masked(0x89, b"between"), second, masked(0x80, b"\"}")].concat()
            }
            4 => text(r#"{"type":"ping","t":7}"#),
            5 => text(r#"{"type":"rate","hz":3}"#),
            6 => text("no JSON at all"),
            7 => masked(0x88, &[3, 232, b'b', b'y', b'e']),
            _ => text(r#"{"type":"move","direction":"LEFT"}"#),
        });
    }
    stream
}

/// Some of them compressed.
fn compressed_frames(rng: &mut ChaCha8Rng, count: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..rng.random_range(1..=count) {
        stream.extend(match rng.random_range(0..6) {
            0 => compressed(r#"{"type":"move","direction":"LEFT"}"#),
            1 => compressed(r#"{"type":"ping","t":7}"#),
            2 => compressed(""),
            // More than the limit of the game when it is decompressed.
            3 => compressed(&"x".repeat(GAME.message_bytes_max + rng.random_range(0..2))),
            _ => frames(rng, 1),
        });
    }
    stream
}

/// A session: page requests, then a WebSocket, or only one of the two.
fn session(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..[0, 0, 1, 3][rng.random_range(0..4)] {
        let path = ["/healthz", "/rooms", "/page.css", "/nothing"][rng.random_range(0..4)];
        let method = ["GET", "HEAD"][rng.random_range(0..2)];
        bytes.extend(format!("{method} {path} HTTP/1.1\r\nHost: play.example\r\n\r\n").bytes());
    }
    if rng.random_ratio(7, 8) {
        let request = handshake("/ws?room=dots-fuzz&name=Ann");
        let count = [3, 10, 200][rng.random_range(0..3)];
        if rng.random_bool(0.5) {
            bytes.extend(request);
            bytes.extend(frames(rng, count));
        } else {
            bytes.extend(with_fields(request, DEFLATE));
            bytes.extend(compressed_frames(rng, count));
        }
    }
    bytes
}

/// Everything the server sends to a peer that writes `stream` in pieces split at `cuts`, and reads
/// only when the server pauses or after the last piece. No time passes, so only the split differs.
fn exchange(
    fixture: &mut Fixture,
    id: ConnId,
    stream: &[u8],
    cuts: &[usize],
    bound: usize,
) -> Vec<u8> {
    let mut output = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        // The server reads at most one buffer at a time.
        for piece in stream[from..to].chunks(GAME.read_bytes) {
            let mut next_read = fixture.server.receive(id, &mut piece.to_vec(), fixture.now);
            for turn in 0.. {
                assert!(turn < 20_000, "the server makes no progress");
                match next_read {
                    ReadState::Open => break,
                    ReadState::Deferred => {}
                    ReadState::Paused => {
                        assert!(fixture.waiting_bytes(id) <= bound);
                        output.extend(fixture.take(id));
                        if !fixture.server.may_read(id) {
                            break;
                        }
                    }
                }
                next_read = fixture.server.receive(id, &mut [], fixture.now);
            }
        }
        from = to;
    }
    let waiting_bytes = fixture.waiting_bytes(id);
    assert!(waiting_bytes <= bound, "{waiting_bytes} bytes are queued");
    output.extend(fixture.take(id));
    output
}

/// Sends a mutated session with different splits, each to a new server.
pub fn check(flags: &[&str], rng: &mut ChaCha8Rng) {
    let stream = mutate(&session(rng), &FRAME_PIECES, rng);
    check_stream(flags, &stream, rng);
}

/// The same for clients of skirmish.v1.
pub fn check_v1(rng: &mut ChaCha8Rng) {
    let mut stream = with_fields(handshake("/ws?room=dots-fuzz&name=Ann"), OFFER);
    for _ in 0..rng.random_range(1..60) {
        stream.extend(match rng.random_range(0..10) {
            0 => frames(rng, 1),
            1 => V1Client::malformed(rng),
            2 => masked(0x82, &[0x11]),
            3 => masked(0x82, &[0x12, 2, 0, 0, 0, rng.random(), 0, 0]),
            4 => masked(0x82, &[0x13, rng.random_range(0..25)]),
            5 => {
                let length = rng.random_range(0..20);
                masked(0x82, &(0..length).map(|_| rng.random()).collect::<Vec<u8>>())
            }
            _ => {
                let [direction, presses] = [rng.random_range(0..6), rng.random_range(0..32)];
                let mut input: [u8; 8] = rng.random();
                (input[0], input[1]) = (0x10, direction | presses << 3);
                masked(0x82, &input)
            }
        });
    }
    let stream = mutate(&stream, &FRAME_PIECES, rng);
    check_stream(&[], &stream, rng);
}

fn check_stream(flags: &[&str], stream: &[u8], rng: &mut ChaCha8Rng) {
    let is_echo = flags.contains(&"--echo");
    let bound = if is_echo { 80 << 20 } else { GAME.outbox_bytes_max + PAGE_BYTES_MAX };
    let run = |cuts: &[usize]| {
        // No player may be left after its client.
        let flags = [flags, &["--resume-s", "0"]].concat();
        let mut fixture = Fixture::with_small_pages(&flags);
        let id = fixture.open(REMOTE);
        let output = exchange(&mut fixture, id, stream, cuts, bound);
        let closes =
            skirmish::close::CloseReason::ALL.map(|reason| fixture.server.metrics().closes(reason));
        recover(&mut fixture, id, is_echo);
        (output, closes)
    };
    let whole = run(&[]);
    for cuts in [cuts(stream.len(), rng), (0..stream.len()).collect()] {
        let pieces = run(&cuts);
        assert_eq!(
            String::from_utf8_lossy(&pieces.0),
            String::from_utf8_lossy(&whole.0),
            "{:?} split at {cuts:?}",
            String::from_utf8_lossy(stream)
        );
        assert_eq!(pieces, whole);
    }
    if !is_echo {
        check_output(&whole.0);
    }
}

/// Checks that the output is well-formed: responses, then perhaps frames.
fn check_output(bytes: &[u8]) {
    let is_response = bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 ");
    assert!(is_response, "{:?}", String::from_utf8_lossy(bytes));
    // After the mutation it is unknown which requests are HEAD, so only the part after the 101 is
    // read.
    let Some(at) = bytes.windows(13).position(|window| window == b"HTTP/1.1 101 ") else { return };
    let mut reader = ResponseReader::default();
    reader.expect_response(false);
    let mut output = Vec::new();
    // A mutated key changes the accept value, which is valid.
    if let Err(why) = reader.read(&bytes[at..], &mut output) {
        assert!(
            why.contains("wrong Sec-WebSocket-Accept"),
            "{why} in {:?}",
            String::from_utf8_lossy(bytes)
        );
        return;
    }
    let first = output.iter().find(|output| {
        matches!(output, Received::Text(_) | Received::Binary(_) | Received::Close(..))
    });
    let is_right = match first {
        Some(Received::Binary(welcome)) => welcome.starts_with(b"\xb0{"),
        Some(Received::Text(text)) => text.starts_with(r#"{"type":"init""#),
        Some(Received::Close(..)) => true,
        _ => false,
    };
    assert!(is_right, "init must come first: {output:?}");
}

/// Closes the peer and checks that everything is freed and a new player can join.
fn recover(fixture: &mut Fixture, id: ConnId, is_echo: bool) {
    fixture.server.peer_closed(id, true, fixture.now);
    fixture.ended(id);
    assert!(fixture.server.is_empty());
    if is_echo {
        return;
    }
    let newcomer = fixture.join("/ws?room=dots-fuzz");
    fixture.tick();
    let state = String::from_utf8_lossy(&fixture.take(newcomer)).into_owned();
    assert_eq!(tick_of(&state), Some(1), "{state}");
    assert_eq!(state.matches("\"id\"").count(), 1, "another player is left: {state}");
}
