//! Updates compressed for clients that keep the history of what they received compressed
//! (PROTOCOL.md, "Compression"; RFC 7692).
//!
//! [`Encodings`](super::Encodings) calls it on the first use of a compressed form. An update is
//! compressed with an earlier one as its dictionary, and refers to nothing older, so the bytes
//! serve all clients whose [`Window`] ends with that one, in whatever form they received it.

use crate::limits::{COMPRESSION_TICKS_MAX, COMPRESSION_US_A_TICK};
use crate::outbox::Encoded;
use crate::time::Tick;
use crate::ws::deflate::{Deflater, HISTORY_BYTES_MAX};
use crate::ws::frame;

/// Updates with a dictionary below this size are compressed at [`FAST`].
const SMALL_BYTES: usize = 1_024;
/// Updates without a dictionary above this size are compressed at [`LARGE`].
const LARGE_BYTES: usize = 32 * 1_024;
/// The levels of zlib. Level 1 writes much more for anything that is not small.
const FAST: u32 = 1;
const LARGE: u32 = 2;
const USUAL: u32 = 6;

/// The update with which the window of a client's inflater ends.
#[derive(Clone, Debug)]
pub struct Window {
    /// The update, in frames that are not compressed.
    update: Encoded,
    /// The tick of the room on which it was made.
    tick: Tick,
}

impl Window {
    /// The window of a client that has received the update of a tick.
    #[must_use]
    pub fn ending_with(update: Encoded, tick: Tick) -> Window {
        Window { update, tick }
    }

    /// Whether an update of `tick` may refer to it.
    #[must_use]
    pub fn is_usable_on(&self, tick: Tick) -> bool {
        tick.0.wrapping_sub(self.tick.0) <= COMPRESSION_TICKS_MAX
            && self.update.bytes().len() <= HISTORY_BYTES_MAX
    }
}

/// Equal if both end with the same update of a room, whose bytes are shared.
impl PartialEq for Window {
    fn eq(&self, other: &Window) -> bool {
        self.tick == other.tick && self.update.is_same(&other.update)
    }
}

/// What the compression of updates has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionStats {
    /// Updates compressed with a dictionary.
    pub with_history: u64,
    /// Updates compressed without one.
    pub alone: u64,
    /// Updates that were not compressed because the work of the tick was used up.
    pub over_budget: u64,
    /// Bytes before compression.
    pub bytes_in: u64,
    /// Bytes after compression.
    pub bytes_out: u64,
}

/// The compressor of all rooms.
#[derive(Debug, Default)]
pub struct Compression {
    /// Made on first use: it takes 300 KiB.
    deflater: Option<Box<Deflater>>,
    /// Microseconds of work that are left on this tick, as estimated by [`work_us`].
    left_us: u32,
    history: Vec<u8>,
    frames: Vec<u8>,
    /// What it has done.
    pub stats: CompressionStats,
}

impl Compression {
    /// Renews the work that may be done until the next tick.
    pub fn begin_tick(&mut self) {
        self.left_us = COMPRESSION_US_A_TICK;
    }

    /// Whether an update was not compressed because the work of this tick was used up.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.left_us == 0
    }

    /// Whether there is time on this tick to compress the payload of a poll alone, which counts as
    /// done.
    pub fn takes_payload(&mut self, bytes: usize) -> bool {
        let takes = self.takes_work(work_us(bytes, false));
        self.stats.over_budget += u64::from(!takes);
        takes
    }

    fn takes_work(&mut self, needed_us: u32) -> bool {
        let left_us = self.left_us.checked_sub(needed_us);
        self.left_us = left_us.unwrap_or(0);
        left_us.is_some()
    }

    /// Compresses the frames of an update with the history in `window`, if there is one. `None` if
    /// the work of this tick is used up.
    pub fn compress(&mut self, update: &Encoded, window: Option<&Window>) -> Option<Encoded> {
        let update = update.bytes();
        if !self.takes_work(work_us(update.len(), window.is_some())) {
            self.stats.over_budget += 1;
            return None;
        }
        self.history.clear();
        if let Some(window) = window {
            for (_, payload) in frame::payloads(window.update.bytes()) {
                self.history.extend_from_slice(payload);
            }
        }
        self.frames.clear();
        let deflater = self.deflater.get_or_insert_default();
        let level = level(update.len(), window.is_some());
        deflater.frames(frame::payloads(update), &self.history, level, &mut self.frames);
        match window.is_some() {
            true => self.stats.with_history += 1,
            false => self.stats.alone += 1,
        }
        self.stats.bytes_in += update.len() as u64;
        self.stats.bytes_out += self.frames.len() as u64;
        Some(Encoded::from(&self.frames[..]))
    }
}

const fn level(bytes: usize, has_history: bool) -> u32 {
    match has_history {
        true if bytes < SMALL_BYTES => FAST,
        false if bytes > LARGE_BYTES => LARGE,
        _ => USUAL,
    }
}

/// The time that an update takes on one core of a small server, as an estimate from its size: the
/// server reads no clock. The bench `codec` measures both forms.
const fn work_us(bytes: usize, has_history: bool) -> u32 {
    let bytes_a_us = match level(bytes, has_history) {
        USUAL if !has_history => 50,
        _ => 100,
    };
    // An update has less than 4 GiB.
    8 + (bytes / bytes_a_us) as u32
}
