//! Fuzzers for every decoder: request heads, queries, frames, close payloads, JSON, and whole
//! sessions. Whatever the input, the code must not panic, must make progress, must stay within its
//! limits, and must not depend on how the bytes are split.
//!
//! `SKIRMISH_FUZZ_SEED=N` sets the seed and `SKIRMISH_FUZZ_ROUNDS=N` the number of rounds.

mod decoders;
mod mutate;
mod packets;
mod socketio_session;
mod v1;
mod websocket_session;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Rounds of each fuzzer in a plain `cargo test`.
const ROUNDS: u64 = 1_500;

fn number(name: &str, default: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{name} must be a number"));
    std::env::var(name).map_or(default, parse)
}

/// Calls `round` with a new random generator each time, and prints how to replay a failure. A slow
/// fuzzer runs one round in `share`.
pub fn fuzz(test: &str, share: u64, mut round: impl FnMut(&mut ChaCha8Rng)) {
    let seed = number("SKIRMISH_FUZZ_SEED", 1);
    let rounds = (number("SKIRMISH_FUZZ_ROUNDS", ROUNDS) / share).max(1);
    for seed in seed..seed + rounds {
        let replay = Replay { test, seed };
        round(&mut ChaCha8Rng::seed_from_u64(seed));
        std::mem::forget(replay);
    }
}

/// Prints the replay command when it is dropped during a panic.
struct Replay<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        let Replay { test, seed } = self;
        eprintln!(
            "replay: SKIRMISH_FUZZ_SEED={seed} SKIRMISH_FUZZ_ROUNDS=1 cargo test --test it {test}"
        );
    }
}

#[test]
fn heads() {
    fuzz("fuzz::heads", 1, decoders::head);
}

#[test]
fn bounds_of_heads() {
    decoders::bounds_of_heads();
}

#[test]
fn queries() {
    fuzz("fuzz::queries", 1, decoders::query);
}

#[test]
fn frames() {
    fuzz("fuzz::frames", 1, decoders::frames);
}

#[test]
fn close_payloads() {
    fuzz("fuzz::close_payloads", 1, decoders::close_payload);
}

#[test]
fn payloads() {
    fuzz("fuzz::payloads", 1, decoders::payload);
}

#[test]
fn bodies() {
    fuzz("fuzz::bodies", 1, decoders::body);
}

#[test]
fn json() {
    fuzz("fuzz::json", 1, decoders::json);
}

#[test]
fn compressed_messages() {
    fuzz("fuzz::compressed_messages", 1, decoders::compressed_message);
}

#[test]
fn websocket_sessions() {
    fuzz("fuzz::websocket_sessions", 5, |rng| websocket_session::check(&[], rng));
}

#[test]
fn echo_sessions() {
    fuzz("fuzz::echo_sessions", 10, |rng| websocket_session::check(&["--echo"], rng));
}

#[test]
fn packets() {
    fuzz("fuzz::packets", 1, packets::decode);
}

#[test]
fn packets_with_attachments() {
    fuzz("fuzz::packets_with_attachments", 1, packets::assemble);
}

#[test]
fn socketio_sessions() {
    fuzz("fuzz::socketio_sessions", 10, socketio_session::check);
}

#[test]
fn v1_ticks() {
    fuzz("fuzz::v1_ticks", 3, v1::ticks);
}

#[test]
fn v1_sessions() {
    fuzz("fuzz::v1_sessions", 10, websocket_session::check_v1);
}

#[test]
fn v1_client_messages() {
    fuzz("fuzz::v1_client_messages", 1, v1::client_messages);
}

#[test]
fn v1_welcomes() {
    fuzz("fuzz::v1_welcomes", 3, v1::welcomes);
}
