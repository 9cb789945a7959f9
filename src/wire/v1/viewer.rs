//! What one client of skirmish.v1 has.

use crate::codec::v1::{BASE_AGE_MAX, Values};
use crate::game::{Direction, HeldKeys};
use crate::time::{TICKS_PER_SECOND, Tick};

/// Requests for players that are answered, a second and at once.
const WHO_A_SECOND: u32 = 4;
/// Ticks after which one more is answered.
const WHO_TICKS: u32 = TICKS_PER_SECOND / WHO_A_SECOND;

/// What one client has received, and what it will have once the message that was made for it last
/// is taken.
#[derive(Debug, Default)]
pub struct Viewer {
    /// The tick of its last HEAD; `None` before the first one.
    base: Option<Tick>,
    /// The cells that it holds, in ascending order.
    held: Vec<u16>,
    /// The owner-only fields in its last HEAD.
    values: Values,
    made: Made,
    /// Whether `made` is about a message that is not taken yet.
    has_made: bool,
    /// The tick of its last keyframe.
    keyframe: Option<Tick>,
    /// Whether it has asked for a keyframe.
    is_lost: bool,
    /// Requests for players that it has made, less those that are forgotten with time.
    asked: u32,
    asked_at: Tick,
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
    /// The cells, in ascending order.
    pub held: Vec<u16>,
    /// The owner-only fields.
    pub values: Values,
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

    /// Counts a request for players. Returns whether it is within the rate.
    pub fn may_ask_who(&mut self, now: Tick) -> bool {
        let passed = now.0.wrapping_sub(self.asked_at.0) / WHO_TICKS;
        self.asked = self.asked.saturating_sub(passed);
        self.asked_at = Tick(self.asked_at.0.wrapping_add(passed * WHO_TICKS));
        let may_ask = self.asked < WHO_A_SECOND;
        self.asked += u32::from(may_ask);
        may_ask
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

    /// The cells that it holds, in ascending order.
    #[must_use]
    pub fn held(&self) -> &[u16] {
        &self.held
    }

    /// The owner-only fields in its last HEAD.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// A list of cells to be filled, for [`Viewer::offer`].
    pub fn unused_list(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.made.held)
    }

    /// A message is made; once it is taken, the client has this.
    pub fn offer(&mut self, made: Made) {
        (self.made, self.has_made) = (made, true);
    }

    /// The message that was made last is taken, or will be: its first byte is.
    pub fn receive(&mut self) {
        if !std::mem::take(&mut self.has_made) {
            return;
        }
        let Viewer { base, held, values, made, keyframe, is_lost, .. } = self;
        *base = Some(made.tick);
        std::mem::swap(held, &mut made.held);
        *values = made.values;
        if made.is_keyframe {
            (*keyframe, *is_lost) = (Some(made.tick), false);
        }
    }
}
