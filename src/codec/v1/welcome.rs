//! WELCOME: the first message, and again when one of its values changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::schema::{ARGUMENTS_MAX, FIELDS_MAX, Walls};
use super::server::Event;
use super::{ArgumentKind, Malformed, Schema, Width};

/// The first byte of the message.
pub const WELCOME: u8 = 0xb0;

/// What a client needs to know before the first tick, as JSON. A rectangle is left, top, right and
/// bottom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The player's number in decimal.
    pub id: String,
    /// The slot of the player's body.
    pub slot: u16,
    /// The generation of the player's body.
    #[serde(rename = "gen")]
    pub generation: u8,
    /// The resume token, if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Seconds after a loss in which the token is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_s: Option<u32>,
    /// The name of the room.
    pub room: String,
    /// The name of its rules.
    pub rules: String,
    /// The numbers of the rules, by name.
    pub numbers: BTreeMap<String, i32>,
    /// What a page draws.
    pub map: [u16; 4],
    /// Where a body may be.
    pub walls: [u16; 4],
    /// The side of a cell, in map units.
    pub cell: u32,
    /// Cells in a row.
    pub columns: u16,
    /// Width and height of what a client sees, in map units.
    pub view: [u16; 2],
    /// The length of a tick, in milliseconds.
    pub tick_ms: u16,
    /// The length of a step, in map units.
    pub step: u16,
    /// The declared fields that this client receives.
    pub fields: Vec<FieldTerms>,
    /// The game's own commands; COMMAND has their index.
    pub commands: Vec<NameTerms>,
    /// The game's own events; the first one has the type 16.
    pub events: Vec<EventTerms>,
    /// The fields of the room, by name.
    pub room_fields: BTreeMap<String, i64>,
}

/// A declared field of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldTerms {
    /// Its name.
    pub name: String,
    /// Its width in records.
    pub width: Width,
    /// Whether it is in HEAD, for the owner only, and not in the records of the body.
    #[serde(default, skip_serializing_if = "is_false")]
    pub owner: bool,
    /// The words that its values 0, 1, ... stand for, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

/// An event of the game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTerms {
    /// Its name.
    pub name: String,
    /// Its arguments, in their order.
    pub arguments: Vec<ArgumentTerms>,
}

/// An argument of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentTerms {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// The words that its values 0, 1, ... stand for, if it is a word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

/// A command of the game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameTerms {
    /// Its name.
    pub name: String,
    /// The names of its arguments, in their order.
    pub arguments: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Welcome {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(WELCOME);
        serde_json::to_writer(out, self).expect("writing to memory cannot fail");
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// It is not a WELCOME, or a value is missing, invalid or out of range.
    pub fn decode(message: &[u8]) -> Result<Welcome, Malformed> {
        let Some((&WELCOME, json)) = message.split_first() else {
            return Err(Malformed::UnknownKind);
        };
        let welcome: Welcome = serde_json::from_slice(json).map_err(|_| Malformed::InvalidText)?;
        let owner_fields = welcome.fields.iter().filter(|field| field.owner).count();
        let is_in_range = (1..=1 << 16).contains(&welcome.cell)
            && welcome.columns > 0
            && owner_fields <= FIELDS_MAX
            && welcome.fields.len() - owner_fields <= FIELDS_MAX
            && welcome.events.len() <= usize::from(u8::MAX - Event::OWN) + 1
            && welcome.events.iter().all(|event| event.arguments.len() <= ARGUMENTS_MAX);
        if is_in_range { Ok(welcome) } else { Err(Malformed::OutOfRange) }
    }

    /// The values that both sides must agree on.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let [left, top, right, bottom] = self.walls;
        let widths = |owner| {
            let fields = self.fields.iter().filter(move |field| field.owner == owner);
            fields.map(|field| field.width).collect()
        };
        Schema {
            walls: Walls { left, top, right, bottom },
            step: self.step,
            side: self.cell,
            columns: self.columns,
            fields: widths(false),
            owner_fields: widths(true),
            events: self
                .events
                .iter()
                .map(|event| event.arguments.iter().map(|argument| argument.kind).collect())
                .collect(),
        }
    }
}
