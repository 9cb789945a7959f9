//! The games, and the worlds that they are played in.
//!
//! `server/` has one world per room, and `wire/` encodes it for clients. Nothing here does
//! I/O, reads a clock or writes a log, and all numbers are integers: a world is a function of its
//! seed and of the sequence of its calls, so it can be replayed.
//!
//! A world is bodies on a map, which all games share ([`Space`]), and a [`Game`] that owns the
//! rest. A game declares in its [`Rules`] what it adds to bodies and to the room, and the dialects
//! write what is declared (docs/your-own-game.md).

use std::fmt::Debug;

mod body;
mod dots;
mod fight;
mod frame;
mod games;
mod grid;
mod held;
mod names;
mod past;
mod rules;
mod saved;
mod space;
mod stored;
mod world;

pub use crate::time::{TICKS_PER_SECOND, Tick};
pub use body::{Body, Direction, Flags, PlayerId, Point};
pub use dots::DOTS;
pub use fight::{BATTLE, WORLD};
pub use rules::{
    ARGUMENTS_MAX, Argument, Audience, CommandKind, Delivery, Detail, EventKind, Field, Ground,
    MAP_MARGIN, PLAYERS_MAX, Rect, RoomField, Rules, Width,
};
pub use space::Space;

// The server and the tests use these, a game does not.
#[doc(hidden)]
pub use frame::{Frame, Snapshot};
#[doc(hidden)]
pub use games::Games;
#[doc(hidden)]
pub use held::{HeldKeys, Steps};
#[doc(hidden)]
pub use past::REWIND_MAX;
#[doc(hidden)]
pub use stored::StoredWorld;
#[doc(hidden)]
pub use world::World;

/// The games of the `skirmish` binary, the default one first.
pub static GAMES: [&Rules; 3] = [&DOTS, &BATTLE, &WORLD];

/// The behaviour of a game in one world. A body is named by its index in [`Space::bodies`], which
/// is valid until the function returns.
///
/// A game keeps its state in the declared fields of bodies and of the room. A game with other state
/// implements `save` and `load`.
pub trait Game: Debug {
    /// A body has been put on the map.
    fn spawn(&mut self, space: &mut Space, body: usize) {
        let _ = (space, body);
    }

    /// A player sends a command that is not a move.
    ///
    /// # Errors
    /// [`Denied`], and then nothing may have changed.
    fn command(&mut self, space: &mut Space, body: usize, command: Command) -> Result<(), Denied> {
        let _ = (space, body, command);
        Err(Denied::NoCombat)
    }

    /// A tick has passed, and the moves that belong to it have been made.
    fn tick(&mut self, space: &mut Space) {
        let _ = space;
    }

    /// What a bot with this body does on this tick, if anything (`--bots`). It is done as if a
    /// player had sent it; nothing may be changed here. By default a bot walks about.
    fn bot(&mut self, space: &mut Space, body: usize) -> Option<Command> {
        space.wander(body)
    }

    /// A body is about to be taken off the map.
    fn leave(&mut self, space: &mut Space, body: usize) {
        let _ = (space, body);
    }

    /// What the game keeps outside the declared fields, as numbers.
    fn save(&self) -> Vec<i64> {
        Vec::new()
    }

    /// Restores what [`Game::save`] returned. Returns whether it is valid.
    fn load(&mut self, saved: &[i64]) -> bool {
        saved.is_empty()
    }

    /// Whether the invariants hold.
    fn is_sound(&self, space: &Space) -> bool {
        let _ = space;
        true
    }
}

/// What a player sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One step of the rules' length.
    Step(Direction),
    /// One move towards a place: a step in x and a step in y at most. It may lie beyond the walls.
    MoveTo(Point),
    /// An attack.
    Attack,
    /// A command of the game's own.
    Own {
        /// Its index in [`Rules::commands`].
        kind: u8,
        /// Its numbers, in the declared order; 0 where none is declared.
        arguments: [i32; ARGUMENTS_MAX],
    },
}

impl Command {
    /// Whether it is a move. Moves are made by [`Space`], all else by the game.
    #[must_use]
    pub const fn is_move(self) -> bool {
        matches!(self, Command::Step(_) | Command::MoveTo(_))
    }
}

/// What has happened, and where.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What has happened.
    pub event: Event,
    /// Where. `None` if it concerns the whole room.
    pub place: Option<Point>,
}

/// What can happen. A world reports events in the order in which they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A player has joined.
    Joined(PlayerId),
    /// A player has left.
    Left(PlayerId),
    /// A player has respawned at another place.
    Respawned(PlayerId),
    /// An event of the game's own.
    Own {
        /// Its index in [`Rules::events`].
        kind: u8,
        /// Its arguments, in the declared order; 0 where none is declared.
        arguments: [i64; ARGUMENTS_MAX],
    },
    /// Fields of the room have changed.
    RoomFields,
    /// Owner-only fields of a body have changed.
    OwnerFields(PlayerId),
}

impl Event {
    /// An event of the game's own with these arguments.
    ///
    /// # Panics
    /// If there are more than four.
    #[must_use]
    pub fn own<const N: usize>(kind: u8, given: [i64; N]) -> Event {
        let mut arguments = [0; ARGUMENTS_MAX];
        arguments[..N].copy_from_slice(&given);
        Event::Own { kind, arguments }
    }
}

/// Why a command has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The cooldown of the last attack is not over.
    Cooldown,
    /// The player is dead.
    Dead,
    /// The game has no combat.
    NoCombat,
}
