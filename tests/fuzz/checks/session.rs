//! A connection to the whole server: HTTP requests, and then perhaps a WebSocket. The server's
//! output must not depend on how the bytes are split.

use skirmish::close::CloseReason;
use skirmish::limits::GAME;
use skirmish::server::{ConnId, ReadState};

use super::splits;
use crate::sim::fixture::{Fixture, REMOTE};
use crate::sim::response_reader::{Received, ResponseReader, tick_of};

/// More than the largest small page with its head.
const PAGE_BYTES_MAX: usize = 4_096;

/// The lowest bit of the first byte chooses between the game and `--echo`.
pub fn check(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else { return };
    let flags: &[&str] = if first & 1 == 0 { &[] } else { &["--echo"] };
    check_splits(flags, stream, &splits(stream)[1..]);
}

/// Sends a stream with different splits, each to a new server.
pub fn check_splits(flags: &[&str], stream: &[u8], splits: &[Vec<usize>]) {
    let is_echo = flags.contains(&"--echo");
    let bound = if is_echo { 80 << 20 } else { GAME.outbox_bytes_max + PAGE_BYTES_MAX };
    let run = |cuts: &[usize]| {
        // No player may be left after its client.
        let flags = [flags, &["--resume-s", "0"]].concat();
        let mut fixture = Fixture::with_small_pages(&flags);
        let id = fixture.open(REMOTE);
        let output = exchange(&mut fixture, id, stream, cuts, bound);
        let closes = CloseReason::ALL.map(|reason| fixture.server.metrics().closes(reason));
        recover(&mut fixture, id, is_echo);
        (output, closes)
    };
    let whole = run(&[]);
    for cuts in splits {
        let pieces = run(cuts);
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
                    ReadState::Paused | ReadState::Held => {
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
        // Of Engine.IO, the packet that opens a session.
        Some(Received::Text(text)) => {
            text.starts_with(r#"{"type":"init""#) || text.starts_with(r#"0{"sid":""#)
        }
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
