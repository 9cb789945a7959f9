//! Bodies: where the players of a world are. A game adds its declared fields to them
//! (see [`Field`](super::Field)).
//!
//! [`Space`](super::Space) moves them; nothing else changes one.

use std::rc::Rc;

use super::rules::Rect;
use crate::time::Tick;

/// The number of a player. One server never gives it to another player; a bot that leaves and
/// returns keeps its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerId(pub u32);

/// A place on the map, in map units from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// From the left.
    pub x: u16,
    /// From the top.
    pub y: u16,
}

/// One of the four directions of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards y = 0.
    Up,
    /// Away from y = 0.
    Down,
    /// Towards x = 0.
    Left,
    /// Away from x = 0.
    Right,
}

impl Direction {
    /// All of them.
    pub const ALL: [Direction; 4] =
        [Direction::Up, Direction::Down, Direction::Left, Direction::Right];
    /// Their names on the wire: `direction as usize` is the index of one.
    pub const NAMES: [&'static str; 4] = ["UP", "DOWN", "LEFT", "RIGHT"];
}

/// The flags of a body on a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// It does not move. Stays until the game revives the body.
    pub dead: bool,
    /// It has attacked since the last tick. Holds for one tick.
    pub attacking: bool,
    /// It was put here and did not walk, so clients do not interpolate. Holds for one tick.
    pub teleported: bool,
}

/// A player's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its player.
    pub id: PlayerId,
    /// Where it is.
    pub at: Point,
    /// The direction in which it makes one step on every tick, if it has one.
    pub course: Option<Direction>,
    /// The direction of its newest move, also of one that a wall stopped; at first it is down.
    pub facing: Direction,
    /// Its flags.
    pub flags: Flags,
    /// `0xrrggbb`.
    pub color: u32,
    /// The name that the player chose, if any.
    pub name: Option<Rc<str>>,
    /// The tick whose state is the first to contain its present place and fields.
    pub moved: Tick,
    /// The tick whose state contains the flags that hold for one tick.
    pub(super) flagged: Tick,
    /// Moves that may still be made before the next tick.
    pub(super) credit: u8,
    /// The newest move without credit; it is made on the next tick.
    pub(super) waiting: Option<Move>,
}

impl Body {
    /// The name that others see: of a player without a name, `Player` and its number.
    #[must_use]
    pub fn shown_name(&self) -> String {
        self.name.as_deref().map_or_else(|| format!("Player {}", self.id.0), str::to_owned)
    }

    /// Clears the flags that hold for one tick, unless they were set for the tick `kept`.
    pub(super) fn expire_flags(&mut self, kept: Tick) {
        if self.flagged != kept {
            self.flagged = kept;
            self.flags = Flags { dead: self.flags.dead, ..Flags::default() };
        }
    }
}

/// A move that a player asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// One step of the rules' length.
    Step(Direction),
    /// As near to a place as one move leads.
    To(Point),
}

impl Move {
    /// The direction of a move; the longer one of its two, and `None` if it leads nowhere.
    pub(super) fn direction(self, from: Point) -> Option<Direction> {
        let to = match self {
            Move::Step(direction) => return Some(direction),
            Move::To(to) => to,
        };
        let (dx, dy) = (to.x.abs_diff(from.x), to.y.abs_diff(from.y));
        match (dx >= dy, to.x < from.x, to.y < from.y) {
            _ if dx == 0 && dy == 0 => None,
            (true, true, _) => Some(Direction::Left),
            (true, false, _) => Some(Direction::Right),
            (false, _, true) => Some(Direction::Up),
            (false, _, false) => Some(Direction::Down),
        }
    }

    /// Where a move of at most `step` in x and in y leads from a place inside `walls`.
    pub(super) fn destination(self, from: Point, step: u16, walls: Rect) -> Point {
        let (x, y) = (from.x, from.y);
        let to = match self {
            Move::Step(Direction::Up) => Point { x, y: y.saturating_sub(step) },
            Move::Step(Direction::Down) => Point { x, y: y.saturating_add(step) },
            Move::Step(Direction::Left) => Point { x: x.saturating_sub(step), y },
            Move::Step(Direction::Right) => Point { x: x.saturating_add(step), y },
            Move::To(to) => {
                let nearest = |from: u16, to: u16| {
                    to.clamp(from.saturating_sub(step), from.saturating_add(step))
                };
                Point { x: nearest(x, to.x), y: nearest(y, to.y) }
            }
        };
        walls.clamp(to)
    }
}

/// The square of the distance between two places.
#[must_use]
pub fn distance_squared(one: Point, other: Point) -> u64 {
    let square = |length: u16| u64::from(length) * u64::from(length);
    square(one.x.abs_diff(other.x)) + square(one.y.abs_diff(other.y))
}
