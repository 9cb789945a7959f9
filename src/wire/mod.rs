//! From the world to each kind of client and back.
//!
//! `server/` calls it with bytes from a client, and with a room whose state is due. A dialect is a
//! file here; what it shares with others is the command that it decodes to, and [`Broadcast`].

pub mod events;
pub mod json;

use crate::codec::json::RulesData;
use crate::codec::row::{Columns, Row};
use crate::game::rules::ARGUMENTS_MAX;
use crate::game::{Audience, Command, Detail, Rect, Rules, World};
use crate::outbox::Encoded;
use crate::time::{TICK_MS, Tick};

use events::Moves;

/// What a client can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Dialect 1, in plain WebSocket frames.
    Json,
    /// Dialect 2, as packets in the WebSocket frames that carry them.
    Events,
}

/// The bytes that tell a room's state, made once for all who get the same ones.
#[derive(Debug, Default)]
pub struct Broadcast {
    json: Option<(Tick, Encoded)>,
    events: Moves,
}

impl Broadcast {
    /// Makes the full state of a world, in the encodings that have one. It is made here, on the
    /// tick, so that all who read it see the same moment, however late they read.
    pub fn renew(&mut self, world: &World, scratch: &mut Vec<u8>) {
        self.json = Some((world.now(), json::state(world, scratch)));
    }

    /// The bytes that lead a client from the tick `since` to a newer one, and which that is; no
    /// bytes if there is nothing to tell. JSON tells the full state and so ignores `since`.
    pub fn encoded(
        &mut self,
        encoding: Encoding,
        since: Tick,
        world: &World,
    ) -> (Tick, Option<Encoded>) {
        match (encoding, &self.json) {
            (Encoding::Json, Some((tick, bytes))) => (*tick, Some(bytes.clone())),
            (Encoding::Json, None) => (since, None),
            (Encoding::Events, _) => (world.now(), self.events.since(since, world)),
        }
    }
}

/// The body at an index, as it is written.
fn row(world: &World, index: usize) -> Row<'_> {
    let body = &world.bodies()[index];
    Row {
        id: body.id.0,
        x: body.at.x,
        y: body.at.y,
        color: body.color,
        name: body.name.as_deref(),
        values: world.row(index),
    }
}

/// The declared fields that stand in a part of what is told of a body.
fn columns(rules: &Rules, part: Detail) -> Columns {
    let fields = rules.fields.iter().enumerate();
    let shown = fields.filter(|(_, field)| field.is_public_in(part));
    Columns::new(shown.map(|(index, field)| (index, field.name)))
}

/// The declared fields of the room.
fn room_fields(world: &World) -> impl Iterator<Item = (&'static str, i32)> {
    world.rules().room_fields.iter().zip(world.room()).map(|(field, value)| (field.name, *value))
}

/// The declared fields that only the player of the body at an index is told.
fn owner_fields(world: &World, index: usize) -> impl Iterator<Item = (&'static str, i32)> {
    let fields = world.rules().fields.iter().zip(world.row(index));
    let own = fields.filter(|(field, _)| field.audience == Audience::Owner);
    own.map(|(field, value)| (field.name, *value))
}

/// The numbers of a world's rules.
fn rules_data(world: &World) -> RulesData<'static> {
    let (rules, ground) = (world.rules(), world.ground());
    let sides = |rect: Rect| [rect.left, rect.top, rect.right, rect.bottom];
    RulesData {
        name: rules.name,
        map: sides(ground.map),
        walls: sides(ground.walls),
        spawn: sides(ground.spawn),
        step: rules.step,
        tick_ms: TICK_MS,
        moves_saved: world.moves_saved_max(),
        numbers: rules.numbers,
    }
}

/// A command of the game's own by its name, if the rules have one whose numbers can be read.
fn own_command(
    rules: &Rules,
    name: &str,
    read: impl FnOnce(&[&str]) -> Option<[i32; ARGUMENTS_MAX]>,
) -> Option<Command> {
    let kind = rules.commands.iter().position(|command| command.name == name)?;
    let arguments = read(rules.commands[kind].arguments)?;
    Some(Command::Own { kind: kind as u8, arguments })
}
