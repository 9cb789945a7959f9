//! What one client of skirmish.v1 has.

use std::hint::black_box;

use arrayvec::ArrayVec;

use super::slots::Slot;
use crate::codec::v1::BASE_AGE_MAX;
use crate::codec::v1::client::WHO_MAX;
use crate::game::{Direction, HeldKeys};
use crate::time::{TICKS_PER_SECOND, Tick};

/// Requests for players that are answered, a second and at once.
const WHO_A_SECOND: u32 = 4;
/// Ticks after which one more is answered.
const WHO_TICKS: u32 = TICKS_PER_SECOND / WHO_A_SECOND;
/// Bodies that a client asks about at most before it is sent their players.
const WANTED_MAX: usize = WHO_A_SECOND as usize * WHO_MAX;

/// The greatest number of columns, and of rows, of cells that a client holds: a cell is half as
/// wide as what it sees.
pub const HELD_MAX: usize = 4;

/// Cells in ascending order.
pub type Cells = ArrayVec<u16, { HELD_MAX * HELD_MAX }>;

/// Columns and rows of cells: those near what a client sees, which it gets, and those that are not
/// far from it, which it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub near: Block,
    pub far: Block,
}

/// The first and the last column, and the first and the last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub columns: (u16, u16),
    pub rows: (u16, u16),
}

impl Block {
    /// Whether a cell is in it.
    #[must_use]
    pub fn has(&self, column: u16, row: u16) -> bool {
        (self.columns.0..=self.columns.1).contains(&column)
            && (self.rows.0..=self.rows.1).contains(&row)
    }
}

/// What one client has received, and what it will have once the message that was made for it last
/// is taken.
#[derive(Debug, Default)]
pub struct Viewer {
    /// The slot of its own body.
    slot: Option<Slot>,
    /// The tick of its last HEAD; `None` before the first one.
    base: Option<Tick>,
    /// The cells that it holds, in ascending order, and what they follow from.
    held: Cells,
    reach: Option<Reach>,
    /// The owner-only fields in its last HEAD, and in `made`: of most games there are none.
    values: [Vec<i32>; 2],
    made: Made,
    /// Whether `made` is about a message that is not taken yet.
    has_made: bool,
    waits_for_keyframe: bool,
    /// The tick of its last keyframe.
    keyframe: Option<Tick>,
    /// Whether it has asked for a keyframe.
    is_lost: bool,
    /// Requests for players that it has made, less those that are forgotten with time.
    asked: u32,
    asked_at: Tick,
    /// The bodies that it has asked about and not been sent: slots and generations.
    wanted: Vec<[u8; 3]>,
    /// The direction that it held last, and its presses of the attack key.
    keys: (Option<Direction>, u8),
}

/// What a client has after a message.
#[derive(Debug, Default)]
pub struct Made {
    /// The tick of HEAD.
    pub tick: Tick,
    /// Whether it is a keyframe.
    pub is_keyframe: bool,
    /// Other cells than before, in ascending order, and what they follow from.
    pub held: Option<(Reach, Cells)>,
    /// How many of the bodies that it asked about have their players in the message.
    pub named: usize,
}

impl Viewer {
    /// The client asks for a keyframe.
    pub fn resync(&mut self) {
        self.is_lost = true;
    }

    /// Whether keys are not those that it has sent before.
    pub fn changes_keys(&mut self, keys: HeldKeys) -> bool {
        let keys = (keys.direction, keys.presses);
        std::mem::replace(&mut self.keys, keys) != keys
    }

    /// The tick of its last HEAD; `None` before the first one.
    #[must_use]
    pub fn base(&self) -> Option<Tick> {
        self.base
    }

    /// Whether a request for players is for its own one alone. It measures a round trip.
    #[must_use]
    pub fn is_ping(&self, bodies: &[[u8; 3]]) -> bool {
        let own = self.slot.map(|Slot { number, generation }| {
            let [low, high] = number.to_le_bytes();
            [low, high, generation]
        });
        own.is_some_and(|own| bodies == [own])
    }

    /// The bodies whose players its next message has: slots and generations.
    #[must_use]
    pub fn wanted(&self) -> &[[u8; 3]] {
        &self.wanted[..self.wanted.len().min(WHO_MAX)]
    }

    /// Counts a request for players, and keeps it unless it is a ping. Returns whether it is within
    /// the rate, and the bodies that wait within their limit.
    pub fn ask_who(&mut self, bodies: &[[u8; 3]], now: Tick) -> bool {
        let passed = now.0.wrapping_sub(self.asked_at.0) / WHO_TICKS;
        self.asked = self.asked.saturating_sub(passed);
        self.asked_at = Tick(self.asked_at.0.wrapping_add(passed * WHO_TICKS));
        let is_ping = self.is_ping(bodies);
        let has_room = is_ping || self.wanted.len() + bodies.len() <= WANTED_MAX;
        if self.asked >= WHO_A_SECOND || !has_room {
            return false;
        }
        self.asked += 1;
        if !is_ping {
            self.wanted.extend_from_slice(bodies);
        }
        true
    }

    /// The age of its base on a tick; 0 if it has none, or too old a one.
    #[must_use]
    pub fn base_age(&self, now: Tick) -> u8 {
        let age = self.base.map_or(0, |tick| now.0.wrapping_sub(tick.0));
        if age <= u32::from(BASE_AGE_MAX) { age as u8 } else { 0 }
    }

    /// Whether a keyframe answers it on a tick: it has asked for one, and had none for a second.
    #[must_use]
    pub fn gets_keyframe(&self, now: Tick) -> bool {
        let is_past = |tick: Tick| now.0.wrapping_sub(tick.0) >= TICKS_PER_SECOND;
        self.is_lost && self.keyframe.is_none_or(is_past)
    }

    /// The slot of its own body, once it was needed.
    #[must_use]
    pub fn known_slot(&self) -> Option<Slot> {
        self.slot
    }

    /// The slot of its own body, which `find` finds the first time.
    pub fn slot(&mut self, find: impl FnOnce() -> Option<Slot>) -> Option<Slot> {
        if self.slot.is_none() {
            self.slot = find();
        }
        self.slot
    }

    /// Reads what a message needs.
    pub fn prefetch(&self) {
        let Viewer { base, held, reach, values, made, wanted, keyframe, is_lost, .. } = self;
        black_box((*base, *keyframe, *is_lost, made.tick, made.named, *reach));
        black_box((held.first(), held.last(), values[0].len(), wanted.len()));
    }

    /// The cells that it holds, in ascending order.
    #[must_use]
    pub fn held(&self) -> &[u16] {
        &self.held
    }

    /// What these cells follow from.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        self.reach
    }

    /// The owner-only fields in its last HEAD.
    #[must_use]
    pub fn values(&self) -> &[i32] {
        &self.values[0]
    }

    /// A message is made, with these owner-only fields; once it is taken, the client has this.
    pub fn offer(&mut self, made: Made, values: &[i32]) {
        (self.made, self.has_made, self.waits_for_keyframe) = (made, true, false);
        self.values[1].clear();
        self.values[1].extend_from_slice(values);
    }

    /// It needs a keyframe and gets none on this tick: no message is made.
    pub fn wait_for_keyframe(&mut self) {
        (self.has_made, self.waits_for_keyframe) = (false, true);
    }

    /// Whether it needs a keyframe and could not have one on the last tick.
    #[must_use]
    pub fn waits_for_keyframe(&self) -> bool {
        self.waits_for_keyframe
    }

    /// Whether the message that was made last is a keyframe.
    #[must_use]
    pub fn is_offered_keyframe(&self) -> bool {
        self.has_made && self.made.is_keyframe
    }

    /// The message that was made last is taken, or will be: its first byte is.
    pub fn receive(&mut self) {
        if !std::mem::take(&mut self.has_made) {
            return;
        }
        let Viewer { base, held, reach, values, made, keyframe, is_lost, wanted, .. } = self;
        if made.named > 0 {
            wanted.drain(..made.named);
            if wanted.is_empty() {
                // Most clients ask seldom.
                *wanted = Vec::new();
            }
        }
        *base = Some(made.tick);
        if let Some((new_reach, cells)) = made.held.take() {
            (*reach, *held) = (Some(new_reach), cells);
        }
        values.swap(0, 1);
        if made.is_keyframe {
            (*keyframe, *is_lost) = (Some(made.tick), false);
        }
    }
}
