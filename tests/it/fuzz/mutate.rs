//! Mutates bytes, and chooses where to split them.

use rand::RngExt;

use crate::sim::SimRng;

/// Up to five changes: flips a bit, sets a byte, inserts a piece, removes or repeats a part, or
/// truncates. One input in eight is unchanged.
pub fn mutate(bytes: &[u8], pieces: &[&[u8]], rng: &mut SimRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..[0, 1, 1, 1, 2, 2, 3, 5][rng.random_range(0..8)] {
        change(&mut bytes, pieces, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, pieces: &[&[u8]], rng: &mut SimRng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(0..40)).min(bytes.len());
    match rng.random_range(0..8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = rng.random(),
        2 if at < bytes.len() => {
            let edge_values = [0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0xfe, 0xff, b'\r', b'\n', b'"', b'0'];
            bytes[at] = edge_values[rng.random_range(0..edge_values.len())];
        }
        3 => drop(bytes.drain(at..end)),
        4 => {
            let part = bytes[at..end].to_vec();
            for _ in 0..rng.random_range(1..4) {
                bytes.splice(at..at, part.iter().copied());
            }
        }
        5 => bytes.truncate(at),
        _ => {
            let piece = pieces[rng.random_range(0..pieces.len())];
            for _ in 0..[1, 1, 1, 2, 100][rng.random_range(0..5)] {
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// Sorted positions at which to split `length` bytes; sometimes almost all of them.
pub fn cuts(length: usize, rng: &mut SimRng) -> Vec<usize> {
    let count = match rng.random_range(0..4) {
        0 => length,
        _ => rng.random_range(0..6),
    };
    let mut cuts: Vec<usize> = (0..count).map(|_| rng.random_range(0..=length)).collect();
    cuts.sort_unstable();
    cuts
}
