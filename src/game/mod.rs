//! The rules of the games, and worlds that obey them.
//!
//! `server/` holds one [`World`] a room and `wire/` tells clients what is in it. Nothing here does
//! I/O, reads a clock or writes a log, and all numbers are integers: a world is a function of its
//! seed and of the sequence of its calls, so it can be replayed.

mod combat;
pub mod player;
pub mod rules;
pub mod world;

pub use player::{Direction, Player, PlayerId, Point};
pub use rules::Rules;
pub use world::{Command, Denied, Event, World};
