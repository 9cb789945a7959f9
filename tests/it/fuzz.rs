//! Random input for every decoder and for whole sessions. The targets of `tests/fuzz` are called
//! with their corpora and with mutations of them; what is found there becomes a file of a corpus.
//! The other tests make input of their own.
//!
//! `SKIRMISH_FUZZ_SEED=N` sets the seed and `SKIRMISH_FUZZ_ROUNDS=N` the number of rounds.

#[path = "../fuzz/checks/mod.rs"]
mod checks;
mod corpus;
mod heads;
mod mutate;
mod socketio_session;
mod v1;
mod websocket_session;

use std::path::PathBuf;

use rand::SeedableRng;

use corpus::Corpus;

use crate::sim::SimRng;

/// Rounds of each fuzzer in a plain `cargo test`.
const ROUNDS: u64 = 1_500;

fn number(name: &str, default: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{name} must be a number"));
    std::env::var(name).map_or(default, parse)
}

/// Calls `round` with a new random generator each time, and prints how to replay a failure. A slow
/// fuzzer runs one round in `share`.
pub fn fuzz(test: &str, share: u64, mut round: impl FnMut(&mut SimRng)) {
    let seed = number("SKIRMISH_FUZZ_SEED", 1);
    let rounds = (number("SKIRMISH_FUZZ_ROUNDS", ROUNDS) / share).max(1);
    for seed in seed..seed + rounds {
        let replay = Replay { test, seed };
        round(&mut SimRng::seed_from_u64(seed));
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

/// Checks the corpus of a target, and mutations of it.
fn fuzz_target(target: &str, share: u64, check: fn(&[u8])) {
    let corpus = Corpus::read(target);
    for (path, input) in corpus.inputs() {
        eprintln!("{}", path.display());
        check(input);
    }
    fuzz(&format!("fuzz::{target}"), share, |rng| check(&corpus.mutated(rng)));
}

// T05, T33
#[test]
fn http_head() {
    fuzz_target("http_head", 1, checks::http_head::check);
}

#[test]
fn bounds_of_heads() {
    heads::bounds();
}

#[test]
fn websocket_frames() {
    fuzz_target("websocket_frames", 1, checks::websocket_frames::check);
}

#[test]
fn deflate() {
    fuzz_target("deflate", 1, checks::deflate::check);
}

// T32
#[test]
fn engineio_payload() {
    fuzz_target("engineio_payload", 1, checks::engineio_payload::check);
}

#[test]
fn socketio_packet() {
    fuzz_target("socketio_packet", 1, checks::socketio_packet::check);
}

// T63
#[test]
fn json_input() {
    fuzz_target("json_input", 1, checks::json_input::check);
}

#[test]
fn v1_input() {
    fuzz_target("v1_input", 1, checks::v1_input::check);
}

#[test]
fn v1_replica() {
    fuzz_target("v1_replica", 1, checks::v1_replica::check);
}

#[test]
fn proxy_header() {
    fuzz_target("proxy_header", 1, checks::proxy_header::check);
}

#[test]
fn nats_operations() {
    fuzz_target("nats_operations", 1, checks::nats_operations::check);
}

#[test]
fn state_file() {
    fuzz_target("state_file", 10, checks::state_file::check);
}

#[test]
fn session() {
    fuzz_target("session", 10, checks::session::check);
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
fn socketio_sessions() {
    let corpus = Corpus::read("socketio_packet");
    fuzz("fuzz::socketio_sessions", 10, |rng| socketio_session::check(&corpus, rng));
}

#[test]
fn v1_ticks() {
    fuzz("fuzz::v1_ticks", 3, v1::ticks);
}

#[test]
fn v1_sessions() {
    fuzz("fuzz::v1_sessions", 10, websocket_session::check_v1);
}

/// A test that reads a corpus is a target of `tests/fuzz`, and the other way round.
#[test]
fn every_target_is_there() {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(crate::tidy::root().join("tests/fuzz").join(folder));
        let paths = entries.expect("a folder").map(|entry| entry.expect("an entry").path());
        let name = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut names: Vec<_> = paths.map(name).filter(|name| name != "mod").collect();
        names.sort();
        names
    };
    let targets = names("targets");
    for folder in ["checks", "corpus", "dictionaries"] {
        assert_eq!(names(folder), targets, "{folder}");
    }
    let tests = include_str!("fuzz.rs");
    for target in targets {
        assert!(tests.contains(&format!("checks::{target}::check)")), "{target} has no test");
    }
}
