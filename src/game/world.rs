//! One world: who is in it, where, and what happens on each tick.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rules::Rules;
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

/// What a player wishes to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One step of the rules' length.
    Step(Direction),
    /// A blow at everybody in reach. Rules without combat know none.
    Attack,
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
    /// Moves that may still be made before the next tick.
    credit: u8,
    /// The newest move that came without credit; it is made on the next tick.
    waiting: Option<Direction>,
}

/// A room's world.
#[derive(Debug)]
pub struct World {
    rules: &'static Rules,
    tick: Tick,
    /// In the order of their numbers: newcomers have the greatest.
    players: Vec<Player>,
    rng: ChaCha8Rng,
    move_credit_max: u8,
}

impl World {
    /// An empty world. Equal seeds and equal calls make equal worlds. A player may save at most
    /// `move_credit_max` moves.
    #[must_use]
    pub fn new(rules: &'static Rules, seed: u64, move_credit_max: u8) -> World {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        World { rules, tick: Tick::default(), players: Vec::new(), rng, move_credit_max }
    }

    /// The rules that hold here.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// The number of ticks so far.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.tick
    }

    /// Everybody, in the order of their numbers.
    #[must_use]
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// Puts a new player on the map, at random.
    pub fn join(&mut self, id: PlayerId, name: Option<Box<str>>) {
        assert!(self.players.last().is_none_or(|last| last.id < id), "numbers count up");
        let (least, greatest) = self.rules.spawn;
        let at = Point {
            x: self.rng.random_range(least..=greatest),
            y: self.rng.random_range(least..=greatest),
        };
        let color = self.rng.random_range(0..=0xff_ff_ff);
        let credit = self.move_credit_max;
        self.players.push(Player { id, at, color, name, credit, waiting: None });
    }

    /// Takes a player off the map.
    pub fn leave(&mut self, id: PlayerId) {
        if let Ok(index) = self.index(id) {
            self.players.remove(index);
        }
    }

    /// Does what a player wishes, as far as the rules let it. One move a tick is credited and a few
    /// may be saved; a move without credit waits for the next tick, the newest one only.
    pub fn apply(&mut self, id: PlayerId, command: Command) {
        let Ok(index) = self.index(id) else { return };
        let player = &mut self.players[index];
        match command {
            Command::Step(direction) if player.credit > 0 => {
                player.credit -= 1;
                player.at = step(self.rules, player.at, direction);
            }
            Command::Step(direction) => player.waiting = Some(direction),
            Command::Attack => {}
        }
    }

    /// Goes on by one tick: everybody gets a move's credit, and moves that waited are made.
    pub fn tick(&mut self) {
        self.tick = self.tick.next();
        for player in &mut self.players {
            match player.waiting.take() {
                Some(direction) => player.at = step(self.rules, player.at, direction),
                None => player.credit = (player.credit + 1).min(self.move_credit_max),
            }
        }
    }

    /// Whether everything that must always hold does hold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let (least, greatest) = self.rules.walls;
        let inside = |at: u16| least <= at && at <= greatest;
        self.players.is_sorted_by(|one, other| one.id < other.id)
            && self.players.iter().all(|player| inside(player.at.x) && inside(player.at.y))
            && self.players.iter().all(|player| player.credit <= self.move_credit_max)
    }

    fn index(&self, id: PlayerId) -> Result<usize, usize> {
        self.players.binary_search_by_key(&id, |player| player.id)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::rules::DOTS;

    const CREDIT: u8 = 4;
    const ANN: PlayerId = PlayerId(1);

    fn world_with_ann() -> World {
        let mut world = World::new(&DOTS, 7, CREDIT);
        world.join(ANN, None);
        world
    }

    fn at(world: &World) -> (u16, u16) {
        (world.players()[0].at.x, world.players()[0].at.y)
    }

    #[test]
    fn steps_go_the_right_way() {
        for (direction, dx, dy) in [
            (Direction::Up, 0, -10),
            (Direction::Down, 0, 10),
            (Direction::Left, -10, 0),
            (Direction::Right, 10, 0),
        ] {
            let mut world = world_with_ann();
            let (x, y) = at(&world);
            world.apply(ANN, Command::Step(direction));
            assert_eq!(at(&world), (x.strict_add_signed(dx), y.strict_add_signed(dy)));
        }
    }

    #[test]
    fn walls_hold() {
        let mut world = world_with_ann();
        for direction in [Direction::Left, Direction::Up] {
            for _ in 0..100 {
                world.apply(ANN, Command::Step(direction));
                world.tick();
                assert!(world.is_sound());
            }
        }
        assert_eq!(at(&world), (10, 10));
    }

    #[test]
    fn a_flood_of_moves_goes_as_far_as_the_credit() {
        let mut world = world_with_ann();
        let (x, _) = at(&world);
        let mut ticks = 0;
        while ticks < 3 {
            for _ in 0..50 {
                world.apply(ANN, Command::Step(Direction::Right));
            }
            world.tick();
            ticks += 1;
        }
        assert_eq!(at(&world).0, (x + 10 * (u16::from(CREDIT) + ticks)).min(490));
    }

    #[test]
    fn of_the_moves_that_wait_the_newest_is_made() {
        let mut world = world_with_ann();
        for _ in 0..CREDIT {
            world.apply(ANN, Command::Step(Direction::Up));
        }
        let (x, y) = at(&world);
        world.apply(ANN, Command::Step(Direction::Left));
        world.apply(ANN, Command::Step(Direction::Right));
        assert_eq!(at(&world), (x, y));
        world.tick();
        assert_eq!(at(&world), ((x + 10).min(490), y));
        world.apply(ANN, Command::Step(Direction::Up));
        assert_eq!(at(&world).1, y, "the credit of that tick is spent");
    }

    #[test]
    fn a_key_held_at_the_rate_of_ticks_never_stutters() {
        let mut world = world_with_ann();
        for _ in 0..60 {
            world.apply(ANN, Command::Step(Direction::Left));
            world.tick();
        }
        assert_eq!(at(&world).0, 10);
        for round in 1..=20 {
            world.apply(ANN, Command::Step(Direction::Right));
            world.tick();
            assert_eq!(at(&world).0, 10 + 10 * round);
        }
    }

    #[test]
    fn equal_seeds_and_calls_make_equal_worlds() {
        let play = |seed| {
            let mut world = World::new(&DOTS, seed, CREDIT);
            for number in 1..=20 {
                world.join(PlayerId(number), None);
                world.apply(PlayerId(number / 2), Command::Step(Direction::Down));
                world.tick();
            }
            world.leave(PlayerId(4));
            world.players().to_vec()
        };
        assert_eq!(play(3), play(3));
        assert_ne!(play(3), play(4));
        assert_eq!(play(3).len(), 19);
        assert!(play(3).iter().all(|player| (50..=450).contains(&player.at.x)));
    }
}
