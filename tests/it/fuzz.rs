//! Mutated input for everything that decodes: heads, queries, frames, close payloads, JSON, and whole
//! sessions. Nothing may panic, stop making progress, hold more than its bound, or depend on how the
//! bytes were cut.
//!
//! `SKIRMISH_FUZZ_SEED=N` chooses the seed and `SKIRMISH_FUZZ_ROUNDS=N` how long to go on.

mod decoders;
mod mutate;
mod packets;
mod session;
mod talk;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Rounds of each fuzzer in a plain `cargo test`.
const ROUNDS: u64 = 1_500;

fn number(name: &str, default: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{name} is a number"));
    std::env::var(name).map_or(default, parse)
}

/// Calls `round` with a new stream of chance each time, and says how to replay the one that fails.
/// A fuzzer whose rounds are dear does one in `share`.
fn fuzz(test: &str, share: u64, mut round: impl FnMut(&mut ChaCha8Rng)) {
    let seed = number("SKIRMISH_FUZZ_SEED", 1);
    let rounds = (number("SKIRMISH_FUZZ_ROUNDS", ROUNDS) / share).max(1);
    for seed in seed..seed + rounds {
        let replay = Replay { test, seed };
        round(&mut ChaCha8Rng::seed_from_u64(seed));
        std::mem::forget(replay);
    }
}

/// Dropped only when a panic passes by.
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
fn sessions_of_players() {
    fuzz("fuzz::sessions_of_players", 5, |rng| session::judge(&[], rng));
}

#[test]
fn sessions_with_an_echo() {
    fuzz("fuzz::sessions_with_an_echo", 10, |rng| session::judge(&["--echo"], rng));
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
fn sessions_of_socketio() {
    fuzz("fuzz::sessions_of_socketio", 10, talk::judge);
}
