//! A space as a value, and what must hold of one that is loaded.

use rand_chacha::ChaCha8Rng;

use super::body::Body;
use super::held::Held;
use super::names::{self, Names};
use super::past::Past;
use super::{Ground, Rules};
use crate::time::Tick;

/// A space as a value.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub ground: Ground,
    pub tick: Tick,
    pub bodies: Vec<Body>,
    /// A row of the declared fields for each body.
    pub values: Vec<i32>,
    /// The held keys of each body.
    pub held: Vec<Option<Held>>,
    pub past: Past,
    /// The declared fields of the room.
    pub room: Vec<i32>,
    pub rng: ChaCha8Rng,
    pub moves_saved_max: u8,
}

impl Saved {
    /// Whether a space of these rules can have these values.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub fn check(&self, rules: &Rules) -> Result<(), &'static str> {
        self.ground.check()?;
        self.bodies.iter().try_for_each(|body| self.check_body(body))?;
        if !self.bodies.is_sorted_by(|one, other| one.id < other.id) {
            return Err("the numbers of its players do not count up");
        }
        if !Names::are_unique(&self.bodies) {
            return Err("two of its players have the same name");
        }
        let (fields, room_fields) = (rules.fields, rules.room_fields);
        if self.values.len() != self.bodies.len() * fields.len() {
            return Err("a player has more or fewer fields than the rules declare");
        }
        if self.held.len() != self.bodies.len() {
            return Err("there are held keys of more or fewer players");
        }
        if !self.held.iter().flatten().all(Held::is_sound) {
            return Err("a player holds keys that contradict each other");
        }
        if self.room.len() != room_fields.len() {
            return Err("the room has more or fewer fields than the rules declare");
        }
        let is_held = |(field, value): (usize, &i32)| {
            let field = &fields[field % fields.len()];
            field.hold(*value) == *value
        };
        if !self.values.iter().enumerate().all(is_held) {
            return Err("a field of a player is out of its range");
        }
        if room_fields
            .iter()
            .zip(&self.room)
            .any(|(field, value)| field.width.hold(*value) != *value)
        {
            return Err("a field of the room is out of its range");
        }
        Ok(())
    }

    fn check_body(&self, body: &Body) -> Result<(), &'static str> {
        let next = self.tick.next();
        if matches!(body.id.0, 0 | u32::MAX) {
            Err("a player has a number that is never used")
        } else if !self.ground.walls.contains(body.at) {
            Err("a player is outside of the walls")
        } else if body.color > 0xff_ff_ff {
            Err("a color has more than 24 bits")
        } else if body.name.as_deref().is_some_and(|name| !names::is_valid(name)) {
            Err("a name is empty or too long")
        } else if body.credit > self.moves_saved_max {
            Err("a player has saved too many moves")
        } else if body.flags.dead && (body.waiting.is_some() || body.course.is_some()) {
            Err("a dead player moves")
        } else if body.moved.is_after(next) || body.flagged.is_after(next) {
            Err("a player has changed in the future")
        } else {
            Ok(())
        }
    }
}
