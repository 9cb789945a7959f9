//! Whole HTTP and WebSocket sessions, mostly valid ones: more of them come further than those that
//! begin with the corpus.

use rand::RngExt;
use skirmish::limits::GAME;

use super::checks::session;
use super::mutate::{cuts, mutate};
use crate::sim::SimRng;
use crate::sim::fixture::{DEFLATE, compressed, handshake, masked, text, with_fields};
use crate::sim::v1_client::{OFFER, V1Client};

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
pub fn frames(rng: &mut SimRng, count: usize) -> Vec<u8> {
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
fn compressed_frames(rng: &mut SimRng, count: usize) -> Vec<u8> {
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
fn session(rng: &mut SimRng) -> Vec<u8> {
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

/// Sends a mutated session with different splits, each to a new server.
pub fn check(flags: &[&str], rng: &mut SimRng) {
    let stream = mutate(&session(rng), &FRAME_PIECES, rng);
    check_stream(flags, &stream, rng);
}

/// The same for clients of skirmish.v1.
pub fn check_v1(rng: &mut SimRng) {
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

fn check_stream(flags: &[&str], stream: &[u8], rng: &mut SimRng) {
    let splits = [cuts(stream.len(), rng), (0..stream.len()).collect()];
    session::check_splits(flags, stream, &splits);
}
