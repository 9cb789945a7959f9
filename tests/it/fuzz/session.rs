//! Whole sessions as a peer sends them, harmed, and cut in many ways: the server must say the same.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::limits::GAME;
use skirmish::server::{ConnId, ReadState};

use super::mutate::{cuts, mutate};
use crate::sim::fixture::{Fixture, REMOTE, handshake, masked, text};
use crate::sim::response_reader::{Received, ResponseReader, tick_of};

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

/// Everything that a peer hears that sends `stream` in reads_per_turn which end at `cuts`, and reads only
/// when the server wants it to or has output it all. No time passes, so nothing else can differ.
fn converse(
    fixture: &mut Fixture,
    id: ConnId,
    stream: &[u8],
    cuts: &[usize],
    bound: usize,
) -> Vec<u8> {
    let mut output = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        // A read brings no more than fits into its buffer.
        for piece in stream[from..to].chunks(GAME.read_bytes) {
            let mut read_state = fixture.server.receive(id, &mut piece.to_vec(), fixture.now);
            for turn in 0.. {
                assert!(turn < 20_000, "it goes round in circles");
                match read_state {
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
                read_state = fixture.server.receive(id, &mut [], fixture.now);
            }
        }
        from = to;
    }
    let waiting_bytes = fixture.waiting_bytes(id);
    assert!(waiting_bytes <= bound, "{waiting_bytes} bytes wait");
    output.extend(fixture.take(id));
    output
}

/// Sends a harmed session in different cuts, each to a new server.
pub fn judge(flags: &[&str], rng: &mut ChaCha8Rng) {
    let is_echo = flags.contains(&"--echo");
    let stream = mutate(&session(rng), &FRAME_PIECES, rng);
    let bound = if is_echo { 80 << 20 } else { GAME.outbox_bytes_max + PAGE_BYTES_MAX };
    let talk = |cuts: &[usize]| {
        let mut fixture = Fixture::with_small_pages(flags);
        let id = fixture.open(REMOTE);
        let output = converse(&mut fixture, id, &stream, cuts, bound);
        let closes =
            skirmish::close::CloseReason::ALL.map(|reason| fixture.server.metrics().closes(reason));
        recover(&mut fixture, id, is_echo);
        (output, closes)
    };
    let whole = talk(&[]);
    for cuts in [cuts(stream.len(), rng), (0..stream.len()).collect()] {
        let reads_per_turn = talk(&cuts);
        assert_eq!(
            String::from_utf8_lossy(&reads_per_turn.0),
            String::from_utf8_lossy(&whole.0),
            "{:?} cut at {cuts:?}",
            String::from_utf8_lossy(&stream)
        );
        assert_eq!(reads_per_turn, whole);
    }
    if !is_echo {
        understand(&whole.0);
    }
}

/// What the server says is well-formed whatever it was told: responses, then perhaps frames.
fn understand(bytes: &[u8]) {
    let is_response = bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 ");
    assert!(is_response, "{:?}", String::from_utf8_lossy(bytes));
    // Who expect_response for HEAD is not known after the harm, so only what needs no such knowledge is output.
    let Some(at) = bytes.windows(13).position(|window| window == b"HTTP/1.1 101 ") else { return };
    let mut reader = ResponseReader::default();
    reader.expect_response(false);
    let mut output = Vec::new();
    // A key that was harmed gets another answer, which is no fault.
    if let Err(why) = reader.read(&bytes[at..], &mut output) {
        assert!(why.contains("another key"), "{why} in {:?}", String::from_utf8_lossy(bytes));
        return;
    }
    let first =
        output.iter().find(|output| matches!(output, Received::Text(_) | Received::Close(..)));
    let is_right = match first {
        Some(Received::Text(text)) => text.starts_with(r#"{"type":"init""#),
        Some(Received::Close(..)) => true,
        _ => false,
    };
    assert!(is_right, "init comes first: {output:?}");
}

/// Afterwards the peer goes, everything of it is freed, and a newcomer plays as if nothing had been.
fn recover(fixture: &mut Fixture, id: ConnId, is_echo: bool) {
    fixture.server.hang_up(id, true, fixture.now);
    fixture.ended(id);
    assert!(fixture.server.is_empty());
    if is_echo {
        return;
    }
    let newcomer = fixture.join("/ws?room=dots-fuzz");
    fixture.tick();
    let state = String::from_utf8_lossy(&fixture.take(newcomer)).into_owned();
    assert_eq!(tick_of(&state), Some(1), "{state}");
    assert_eq!(state.matches("\"id\"").count(), 1, "nobody else is there: {state}");
}
