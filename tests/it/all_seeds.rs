//! The seeds of the simulator.
//!
//! `SKIRMISH_SIM_SEED=N` replays one seed; `SKIRMISH_SIM_SEEDS=N` runs the seeds from 1 to N, and
//! `SKIRMISH_SIM_SEEDS=M-N` those from M to N.
//!
//! Tests run in the order of their names. The seeds take longest, so their name comes first: they
//! run beside the tests that wait.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sim::{Outcome, run};

/// Together these seeds, from 1 up, take every rare path.
const SEEDS: u64 = 256;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

fn range(name: &str) -> Option<RangeInclusive<u64>> {
    let text = std::env::var(name).ok()?;
    let (first, last) = text.split_once('-').unwrap_or(("1", &text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => Some(first..=last),
        _ => panic!("{name} must be a number or a range such as 300-400, not {text:?}"),
    }
}

#[test]
fn many_clients_one_seed_at_a_time() {
    let seeds: Vec<u64> = match number("SKIRMISH_SIM_SEED") {
        Some(seed) => vec![seed],
        None => range("SKIRMISH_SIM_SEEDS").unwrap_or(1..=SEEDS).collect(),
    };
    let mut reached: Vec<(&str, u64)> = Vec::new();
    for outcome in run_all(&seeds).unwrap_or_else(|failed| panic!("failed: {failed:?}")) {
        reached.resize(outcome.reached.len(), ("", 0));
        for (sum, (what, times)) in reached.iter_mut().zip(outcome.reached) {
            *sum = (what, sum.1 + times);
        }
    }
    eprintln!("{reached:?}");
    let missing: Vec<&str> =
        reached.iter().filter(|(_, times)| *times == 0).map(|(what, _)| *what).collect();
    assert!(
        seeds.len() < SEEDS as usize || missing.is_empty(),
        "not reached by any seed: {missing:?}"
    );
}

#[test]
fn a_seed_gives_the_same_transcript_twice() {
    let seed = number("SKIRMISH_SIM_SEED").unwrap_or(4);
    let once = run_with_replay_hint(seed).expect("it passes");
    assert_eq!(run_with_replay_hint(seed), Some(once), "seed {seed}");
}

/// Runs the seeds on all cores.
///
/// # Errors
/// The seeds that fail.
fn run_all(seeds: &[u64]) -> Result<Vec<Outcome>, Vec<u64>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let seeds = std::iter::from_fn(|| seeds.get(next.fetch_add(1, Ordering::Relaxed)));
        seeds.map(|seed| run_with_replay_hint(*seed).ok_or(*seed)).collect::<Vec<_>>()
    };
    let results: Vec<Result<Outcome, u64>> = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it catches panics")).collect()
    });
    let failed: Vec<u64> =
        results.iter().filter_map(|result| result.as_ref().err().copied()).collect();
    if failed.is_empty() { Ok(results.into_iter().flatten().collect()) } else { Err(failed) }
}

/// Runs a seed; on failure, prints why, and how to replay it.
fn run_with_replay_hint(seed: u64) -> Option<Outcome> {
    let why = match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(Ok(outcome)) => return Some(outcome),
        Ok(Err(why)) => why,
        Err(_) => "it panicked, see above".to_owned(),
    };
    let test = "all_seeds::many_clients_one_seed_at_a_time";
    eprintln!("seed {seed} failed: {why}");
    eprintln!("replay: SKIRMISH_SIM_SEED={seed} cargo test --test it {test}");
    None
}
