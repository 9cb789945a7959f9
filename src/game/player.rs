//! A player's body: where it is, how it moves, and how it fares.
//!
//! [`World`](super::World) moves and hurts it; nobody else changes one.

use super::rules::{Combat, Rules};
use crate::time::Tick;

/// The number of a player, never used twice by one server.
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

/// One of the four ways to step.
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

/// A player's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Whose body it is.
    pub id: PlayerId,
    /// Where it is.
    pub at: Point,
    /// `0xrrggbb`.
    pub color: u32,
    /// The name that the player chose, if any.
    pub name: Option<Box<str>>,
    /// Its health; 0 for the dead.
    pub hp: u8,
    /// How many it has killed.
    pub kills: u32,
    /// How often it was killed.
    pub deaths: u32,
    /// The tick whose state is the first to tell where it now is.
    pub moved: Tick,
    /// Moves that may still be made before the next tick.
    pub(super) credit: u8,
    /// The newest move that came without credit; it is made on the next tick.
    pub(super) waiting: Option<Move>,
    /// Ticks until it may attack again.
    pub(super) cooldown_ticks: u32,
    /// Ticks until it returns, if it is dead; else 0.
    pub(super) respawn_ticks: u32,
}

/// A wish to be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// One step of the rules' length.
    Step(Direction),
    /// As near to a place as one move leads.
    To(Point),
}

impl Player {
    /// Whether it is dead, and waits for its return.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.hp == 0
    }

    /// Makes a move, as far as the rules let it. The state of `tick` is the first to tell of it.
    pub(super) fn go(&mut self, wish: Move, rules: &Rules, tick: Tick) {
        let to = match wish {
            Move::Step(direction) => step(rules, self.at, direction),
            Move::To(to) => approach(rules, self.at, to),
        };
        if to != self.at {
            self.at = to;
            self.moved = tick;
        }
    }

    /// Loses what a blow costs. Whoever dies of it forgets the move that it still wished to make.
    pub(super) fn suffer(&mut self, combat: &Combat) {
        self.hp = self.hp.saturating_sub(combat.damage);
        if self.is_dead() {
            self.deaths = self.deaths.saturating_add(1);
            self.respawn_ticks = combat.respawn_ticks;
            self.waiting = None;
        }
    }

    /// Whether everything that must always hold of a player of these rules does hold.
    pub(super) fn is_sound(&self, rules: &Rules) -> bool {
        let (least, greatest) = rules.walls;
        let is_inside = |at: u16| least <= at && at <= greatest;
        let is_well = match &rules.combat {
            None => self.hp == rules.hp() && self.kills == 0 && self.deaths == 0,
            Some(combat) => {
                self.hp <= combat.hp
                    && self.cooldown_ticks <= combat.cooldown_ticks
                    && self.respawn_ticks <= combat.respawn_ticks
                    && self.is_dead() == (self.respawn_ticks > 0)
                    && !(self.is_dead() && (self.waiting.is_some() || self.deaths == 0))
            }
        };
        is_inside(self.at.x) && is_inside(self.at.y) && is_well
    }
}

/// The place one step from a place.
fn step(rules: &Rules, from: Point, direction: Direction) -> Point {
    let (least, greatest) = rules.walls;
    let back = |at: u16| at.saturating_sub(rules.step).max(least);
    let on = |at: u16| at.saturating_add(rules.step).min(greatest);
    match direction {
        Direction::Up => Point { y: back(from.y), ..from },
        Direction::Down => Point { y: on(from.y), ..from },
        Direction::Left => Point { x: back(from.x), ..from },
        Direction::Right => Point { x: on(from.x), ..from },
    }
}

/// The place nearest to `to` that one move leads to: a step in x and a step in y at most.
fn approach(rules: &Rules, from: Point, to: Point) -> Point {
    let (least, greatest) = rules.walls;
    let nearest = |from: u16, to: u16| {
        let (back, on) = (from.saturating_sub(rules.step), from.saturating_add(rules.step));
        to.clamp(back, on).clamp(least, greatest)
    };
    Point { x: nearest(from.x, to.x), y: nearest(from.y, to.y) }
}
