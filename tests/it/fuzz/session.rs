//! Whole sessions as a peer sends them, harmed, and cut in many ways: the server must say the same.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::limits::GAME;
use skirmish::server::{ConnId, ReadState};

use super::mutate::{cuts, mutate};
use crate::sim::ear::{Ear, Heard, tick_of};
use crate::sim::lab::{FAR, Lab, handshake, masked, text};

/// More than any page has, its head included.
const PAGE_BYTES_MAX: usize = 4_096;

/// Pieces that are put into streams of frames.
pub const FRAME_PIECES: [&[u8]; 10] = [
    &[0x81, 0x80, 0, 0, 0, 0],
    &[0x89, 0x80, 1, 2, 3, 4],
    &[0x00, 0x80, 1, 2, 3, 4],
    &[0x80, 0x80, 1, 2, 3, 4],
    &[0x81, 0xfe, 0, 126],
    &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
    &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0x88, 0x82, 0, 0, 0, 0, 3, 232],
    &[0xc1, 0x81, 0, 0, 0, 0, b'x'],
    &[0x81, 2, b'h', b'i'],
];

/// Some frames that obey the rules, on the whole.
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

/// A session: some pages, then a WebSocket, or only one of the two.
fn session(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..[0, 0, 1, 3][rng.random_range(0..4)] {
        let path = ["/healthz", "/rooms", "/page.css", "/nothing"][rng.random_range(0..4)];
        let method = ["GET", "HEAD"][rng.random_range(0..2)];
        bytes.extend(format!("{method} {path} HTTP/1.1\r\nHost: play.example\r\n\r\n").bytes());
    }
    if rng.random_ratio(7, 8) {
        bytes.extend(handshake("/ws?room=dots-fuzz&name=Ann"));
        let count = [3, 10, 200][rng.random_range(0..3)];
        bytes.extend(frames(rng, count));
    }
    bytes
}

/// Everything that a peer hears that sends `stream` in pieces which end at `cuts`, and reads only
/// when the server wants it to or has heard it all. No time passes, so nothing else can differ.
fn converse(lab: &mut Lab, id: ConnId, stream: &[u8], cuts: &[usize], bound: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        // A read brings no more than fits into its buffer.
        for piece in stream[from..to].chunks(GAME.read_bytes) {
            let mut read_state = lab.server.receive(id, &mut piece.to_vec(), lab.now);
            for turn in 0.. {
                assert!(turn < 20_000, "it goes round in circles");
                match read_state {
                    ReadState::Open => break,
                    ReadState::Deferred => {}
                    ReadState::Paused => {
                        assert!(lab.waiting_bytes(id) <= bound);
                        heard.extend(lab.take(id));
                        if !lab.server.may_read(id) {
                            break;
                        }
                    }
                }
                read_state = lab.server.receive(id, &mut [], lab.now);
            }
        }
        from = to;
    }
    let waiting_bytes = lab.waiting_bytes(id);
    assert!(waiting_bytes <= bound, "{waiting_bytes} bytes wait");
    heard.extend(lab.take(id));
    heard
}

/// Sends a harmed session in different cuts, each to a new server.
pub fn judge(flags: &[&str], rng: &mut ChaCha8Rng) {
    let is_echo = flags.contains(&"--echo");
    let stream = mutate(&session(rng), &FRAME_PIECES, rng);
    let bound = if is_echo { 80 << 20 } else { GAME.outbox_bytes_max + PAGE_BYTES_MAX };
    let talk = |cuts: &[usize]| {
        let mut lab = Lab::with_small_pages(flags);
        let id = lab.open(FAR);
        let heard = converse(&mut lab, id, &stream, cuts, bound);
        let closes =
            skirmish::close::CloseReason::ALL.map(|reason| lab.server.metrics().closes(reason));
        recover(&mut lab, id, is_echo);
        (heard, closes)
    };
    let whole = talk(&[]);
    for cuts in [cuts(stream.len(), rng), (0..stream.len()).collect()] {
        let pieces = talk(&cuts);
        assert_eq!(
            String::from_utf8_lossy(&pieces.0),
            String::from_utf8_lossy(&whole.0),
            "{:?} cut at {cuts:?}",
            String::from_utf8_lossy(&stream)
        );
        assert_eq!(pieces, whole);
    }
    if !is_echo {
        understand(&whole.0);
    }
}

/// What the server says is well-formed whatever it was told: responses, then perhaps frames.
fn understand(bytes: &[u8]) {
    let is_response = bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 ");
    assert!(is_response, "{:?}", String::from_utf8_lossy(bytes));
    // Who asked for HEAD is not known after the harm, so only what needs no such knowledge is heard.
    let Some(at) = bytes.windows(13).position(|window| window == b"HTTP/1.1 101 ") else { return };
    let mut ear = Ear::default();
    ear.asked(false);
    let mut heard = Vec::new();
    // A key that was harmed gets another answer, which is no fault.
    if let Err(why) = ear.hear(&bytes[at..], &mut heard) {
        assert!(why.contains("another key"), "{why} in {:?}", String::from_utf8_lossy(bytes));
        return;
    }
    let first = heard.iter().find(|heard| matches!(heard, Heard::Text(_) | Heard::Close(..)));
    let is_right = match first {
        Some(Heard::Text(text)) => text.starts_with(r#"{"type":"init""#),
        Some(Heard::Close(..)) => true,
        _ => false,
    };
    assert!(is_right, "init comes first: {heard:?}");
}

/// Afterwards the peer goes, everything of it is freed, and a newcomer plays as if nothing had been.
fn recover(lab: &mut Lab, id: ConnId, is_echo: bool) {
    lab.server.hang_up(id, true, lab.now);
    lab.ended(id);
    assert!(lab.server.is_empty());
    if is_echo {
        return;
    }
    let newcomer = lab.join("/ws?room=dots-fuzz");
    lab.tick();
    let state = String::from_utf8_lossy(&lab.take(newcomer)).into_owned();
    assert_eq!(tick_of(&state), Some(1), "{state}");
    assert_eq!(state.matches("\"id\"").count(), 1, "nobody else is there: {state}");
}
