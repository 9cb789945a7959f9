//! One world: who is in it, where, and what happens on each tick.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::combat;
use super::player::{Direction, Move, Player, PlayerId, Point};
use super::rules::Rules;
use crate::time::{TICK_MS, Tick};

/// What a player wishes to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One step of the rules' length.
    Step(Direction),
    /// One move towards a place: a step in x and a step in y at most. It may lie beyond the walls.
    MoveTo(Point),
    /// A blow at everybody in reach. Rules without combat know none.
    Attack,
}

/// What has happened. A world tells it in the order in which it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A player has come.
    Joined(PlayerId),
    /// A player is no more.
    Left(PlayerId),
    /// A blow has hit a player.
    Hit {
        /// Who was hit.
        victim: PlayerId,
        /// The health that it has left; 0 if it died of this.
        hp: u8,
    },
    /// A player was killed; the hit stands right before.
    Killed {
        /// Who died.
        victim: PlayerId,
        /// Whose blow it was.
        by: PlayerId,
    },
    /// A player is back from the dead, unhurt, at another place.
    Respawned(PlayerId),
}

/// Why a command has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The last blow is too short a while ago.
    Cooldown,
    /// The dead do nothing.
    Dead,
    /// The rules know no combat.
    NoCombat,
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
    /// How often it was changed.
    version: u64,
}

impl World {
    /// An empty world. Equal seeds and equal calls make equal worlds. A player may save at most
    /// `move_credit_max` moves.
    #[must_use]
    pub fn new(rules: &'static Rules, seed: u64, move_credit_max: u8) -> World {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        World {
            rules,
            tick: Tick::default(),
            players: Vec::new(),
            rng,
            move_credit_max,
            version: 0,
        }
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

    /// A number that is another after each call that may have changed something.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Everybody, in the order of their numbers.
    #[must_use]
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// A player, if it is here.
    #[must_use]
    pub fn player(&self, id: PlayerId) -> Option<&Player> {
        self.index(id).ok().map(|index| &self.players[index])
    }

    /// How long it is until a player returns from the dead, in milliseconds; 0 for the living.
    #[must_use]
    pub fn respawn_ms(&self, player: &Player) -> u64 {
        u64::from(player.respawn_ticks) * TICK_MS
    }

    /// Puts a new player on the map, at random.
    pub fn join(&mut self, id: PlayerId, name: Option<Box<str>>, events: &mut Vec<Event>) {
        self.version += 1;
        assert!(self.players.last().is_none_or(|last| last.id < id), "numbers count up");
        let at = random_place(self.rules, &mut self.rng);
        self.players.push(Player {
            id,
            at,
            color: self.rng.random_range(0..=0xff_ff_ff),
            name,
            hp: self.rules.hp(),
            kills: 0,
            deaths: 0,
            moved: self.tick,
            credit: self.move_credit_max,
            waiting: None,
            cooldown_ticks: 0,
            respawn_ticks: 0,
        });
        events.push(Event::Joined(id));
    }

    /// Takes a player off the map.
    pub fn leave(&mut self, id: PlayerId, events: &mut Vec<Event>) {
        self.version += 1;
        if let Ok(index) = self.index(id) {
            self.players.remove(index);
            events.push(Event::Left(id));
        }
    }

    /// Does what a player wishes, as far as the rules let it. One move a tick is credited and a few
    /// may be saved; a move without credit waits for the next tick, the newest one only.
    ///
    /// # Errors
    /// [`Denied`], and then nothing has changed. Whoever is not here is denied nothing.
    pub fn apply(
        &mut self,
        id: PlayerId,
        command: Command,
        events: &mut Vec<Event>,
    ) -> Result<(), Denied> {
        let Ok(index) = self.index(id) else { return Ok(()) };
        self.version += 1;
        match command {
            Command::Step(direction) => self.go(index, Move::Step(direction)),
            Command::MoveTo(place) => self.go(index, Move::To(place)),
            Command::Attack => {
                let combat = self.rules.combat.as_ref().ok_or(Denied::NoCombat)?;
                combat::attack(combat, &mut self.players, index, events)
            }
        }
    }

    fn go(&mut self, index: usize, wish: Move) -> Result<(), Denied> {
        let player = &mut self.players[index];
        if player.is_dead() {
            return Err(Denied::Dead);
        }
        if player.credit == 0 {
            player.waiting = Some(wish);
        } else {
            player.credit -= 1;
            player.go(wish, self.rules, self.tick.next());
        }
        Ok(())
    }

    /// Goes on by one tick: everybody gets a move's credit, moves that waited are made, and the
    /// dead whose time has come return.
    pub fn tick(&mut self, events: &mut Vec<Event>) {
        self.version += 1;
        self.tick = self.tick.next();
        for player in &mut self.players {
            player.cooldown_ticks = player.cooldown_ticks.saturating_sub(1);
            if player.is_dead() {
                player.respawn_ticks -= 1;
                if player.respawn_ticks == 0 {
                    player.hp = self.rules.hp();
                    player.at = random_place(self.rules, &mut self.rng);
                    player.moved = self.tick;
                    events.push(Event::Respawned(player.id));
                }
            }
            match player.waiting.take() {
                Some(wish) => player.go(wish, self.rules, self.tick),
                None => player.credit = (player.credit + 1).min(self.move_credit_max),
            }
        }
    }

    /// Whether everything that must always hold does hold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.players.is_sorted_by(|one, other| one.id < other.id)
            && self.players.iter().all(|player| player.is_sound(self.rules))
            && self.players.iter().all(|player| player.credit <= self.move_credit_max)
    }

    fn index(&self, id: PlayerId) -> Result<usize, usize> {
        self.players.binary_search_by_key(&id, |player| player.id)
    }
}

/// A place where the rules may put a player.
fn random_place(rules: &Rules, rng: &mut ChaCha8Rng) -> Point {
    let (least, greatest) = rules.spawn;
    Point { x: rng.random_range(least..=greatest), y: rng.random_range(least..=greatest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::rules::{BATTLE, DOTS};

    const CREDIT: u8 = 4;
    const ANN: PlayerId = PlayerId(1);

    fn world_with_ann(rules: &'static Rules) -> World {
        let mut world = World::new(rules, 7, CREDIT);
        world.join(ANN, None, &mut Vec::new());
        world
    }

    fn at(world: &World) -> (u16, u16) {
        (world.players()[0].at.x, world.players()[0].at.y)
    }

    /// Ann moves, and nothing comes of it but that.
    fn go(world: &mut World, command: Command) {
        let mut events = Vec::new();
        assert_eq!(world.apply(ANN, command, &mut events), Ok(()));
        assert_eq!(events, []);
    }

    fn tick(world: &mut World) {
        let mut events = Vec::new();
        world.tick(&mut events);
        assert_eq!(events, []);
        assert!(world.is_sound());
    }

    fn to(x: u16, y: u16) -> Command {
        Command::MoveTo(Point { x, y })
    }

    /// Ann in battle, at a place, with all the credit that there may be.
    fn world_with_ann_at(x: u16, y: u16) -> World {
        let mut world = world_with_ann(&BATTLE);
        while at(&world) != (x, y) {
            go(&mut world, to(x, y));
            tick(&mut world);
        }
        (0..CREDIT).for_each(|_| tick(&mut world));
        world
    }

    #[test]
    fn steps_go_the_right_way() {
        for (direction, dx, dy) in [
            (Direction::Up, 0, -1),
            (Direction::Down, 0, 1),
            (Direction::Left, -1, 0),
            (Direction::Right, 1, 0),
        ] {
            for (rules, length) in [(&DOTS, 10), (&BATTLE, 5)] {
                let mut world = world_with_ann(rules);
                let (x, y) = at(&world);
                go(&mut world, Command::Step(direction));
                let there = (x.strict_add_signed(dx * length), y.strict_add_signed(dy * length));
                assert_eq!(at(&world), there);
            }
        }
    }

    #[test]
    fn walls_hold() {
        for (rules, [near, far]) in [(&DOTS, [10, 490]), (&BATTLE, [0, 100])] {
            let mut world = world_with_ann(rules);
            for (ways, wall) in [
                ([Command::Step(Direction::Left), Command::Step(Direction::Up)], near),
                ([Command::Step(Direction::Right), Command::Step(Direction::Down)], far),
                ([to(0, u16::MAX), to(0, 0)], near),
                ([to(u16::MAX, 0), to(u16::MAX, u16::MAX)], far),
            ] {
                for way in ways {
                    for _ in 0..100 {
                        go(&mut world, way);
                        tick(&mut world);
                    }
                }
                assert_eq!(at(&world), (wall, wall));
            }
        }
    }

    #[test]
    fn a_flood_of_moves_goes_as_far_as_the_credit() {
        let mut world = world_with_ann(&DOTS);
        let (x, _) = at(&world);
        let mut ticks = 0;
        while ticks < 3 {
            for _ in 0..50 {
                go(&mut world, Command::Step(Direction::Right));
            }
            tick(&mut world);
            ticks += 1;
        }
        assert_eq!(at(&world).0, (x + 10 * (u16::from(CREDIT) + ticks)).min(490));
    }

    #[test]
    fn of_the_moves_that_wait_the_newest_is_made() {
        let mut world = world_with_ann(&DOTS);
        for _ in 0..CREDIT {
            go(&mut world, Command::Step(Direction::Up));
        }
        let (x, y) = at(&world);
        go(&mut world, Command::Step(Direction::Left));
        go(&mut world, Command::Step(Direction::Right));
        assert_eq!(at(&world), (x, y));
        tick(&mut world);
        assert_eq!(at(&world), ((x + 10).min(490), y));
        go(&mut world, Command::Step(Direction::Up));
        assert_eq!(at(&world).1, y, "the credit of that tick is spent");
    }

    #[test]
    fn a_wish_goes_at_most_a_step_in_x_and_a_step_in_y() {
        for (wish, there) in [
            ((90, 90), (55, 55)),
            ((0, 90), (45, 55)),
            ((u16::MAX, 50), (55, 50)),
            ((52, 0), (52, 45)),
            ((47, 54), (47, 54)),
            ((50, 50), (50, 50)),
        ] {
            let mut world = world_with_ann_at(50, 50);
            go(&mut world, to(wish.0, wish.1));
            assert_eq!(at(&world), there, "towards {wish:?}");
        }
    }

    #[test]
    fn wishes_take_credit_as_steps_do() {
        let mut world = world_with_ann_at(50, 50);
        for _ in 0..CREDIT {
            go(&mut world, to(90, 50));
        }
        assert_eq!(at(&world), (70, 50), "four moves of 5");
        // Who is where it wishes to be has made its move, too.
        go(&mut world, to(70, 50));
        go(&mut world, to(0, 0));
        assert_eq!(at(&world), (70, 50), "without credit it waits");
        tick(&mut world);
        assert_eq!(at(&world), (65, 45));
        go(&mut world, to(0, 0));
        assert_eq!(at(&world), (65, 45), "the credit of that tick is spent");
        tick(&mut world);
        tick(&mut world);
        assert_eq!(at(&world), (60, 40), "and what was made does not come again");
    }

    #[test]
    fn a_step_and_a_wish_that_wait_replace_each_other() {
        for (first, second, there) in [
            (Command::Step(Direction::Up), to(0, 50), (45, 50)),
            (to(0, 50), Command::Step(Direction::Up), (50, 45)),
            (to(0, 50), to(100, 100), (55, 55)),
        ] {
            let mut world = world_with_ann_at(50, 50);
            (0..CREDIT).for_each(|_| go(&mut world, to(50, 50)));
            go(&mut world, first);
            go(&mut world, second);
            tick(&mut world);
            assert_eq!(at(&world), there);
            tick(&mut world);
            assert_eq!(at(&world), there, "the other is forgotten");
        }
    }

    #[test]
    fn a_player_moved_in_the_tick_that_is_the_first_to_tell_of_it() {
        let world = world_with_ann(&BATTLE);
        assert_eq!(world.players()[0].moved, Tick(0), "a newcomer is told of otherwise");
        let mut world = world_with_ann_at(0, 50);
        let (now, before) = (world.now(), world.players()[0].moved);
        assert!(now.is_after(before), "nobody moves unasked");
        go(&mut world, Command::Step(Direction::Left));
        go(&mut world, to(0, 50));
        assert_eq!(world.players()[0].moved, before, "to stay is no move");
        go(&mut world, to(5, 50));
        assert_eq!(world.players()[0].moved, now.next());
        go(&mut world, to(0, 50));
        assert_eq!(at(&world), (0, 50), "there and back");
        assert_eq!(world.players()[0].moved, now.next());
        go(&mut world, to(5, 50));
        tick(&mut world);
        assert_eq!((at(&world), world.now()), ((5, 50), now.next()));
        assert_eq!(world.players()[0].moved, now.next(), "made in the tick, told in its state");
        tick(&mut world);
        tick(&mut world);
        go(&mut world, to(0, 50));
        assert_eq!(world.players()[0].moved, Tick(now.0 + 4));
    }

    #[test]
    fn a_key_held_at_the_rate_of_ticks_never_stutters() {
        let mut world = world_with_ann(&DOTS);
        for _ in 0..60 {
            go(&mut world, Command::Step(Direction::Left));
            tick(&mut world);
        }
        assert_eq!(at(&world).0, 10);
        for round in 1..=20 {
            go(&mut world, Command::Step(Direction::Right));
            tick(&mut world);
            assert_eq!(at(&world).0, 10 + 10 * round);
        }
    }

    #[test]
    fn who_comes_and_goes_is_told() {
        let mut world = World::new(&DOTS, 7, CREDIT);
        let mut events = Vec::new();
        world.join(ANN, Some("Ann".into()), &mut events);
        world.join(PlayerId(5), None, &mut events);
        assert_eq!(world.player(ANN).and_then(|ann| ann.name.as_deref()), Some("Ann"));
        world.leave(ANN, &mut events);
        world.leave(ANN, &mut events);
        assert_eq!(world.player(ANN), None);
        assert_eq!(world.apply(ANN, Command::Attack, &mut events), Ok(()));
        let expected = [Event::Joined(ANN), Event::Joined(PlayerId(5)), Event::Left(ANN)];
        assert_eq!(events, expected);
    }

    #[test]
    fn equal_seeds_and_calls_make_equal_worlds() {
        let play = |rules, seed| {
            let mut world = World::new(rules, seed, CREDIT);
            let mut events = Vec::new();
            for number in 1..=20 {
                world.join(PlayerId(number), None, &mut events);
                let step = Command::Step(Direction::Down);
                world.apply(PlayerId(number / 2), step, &mut events).unwrap();
                world.tick(&mut events);
            }
            world.leave(PlayerId(4), &mut events);
            world.players().to_vec()
        };
        for (rules, spawn) in [(&DOTS, 50..=450), (&BATTLE, 0..=100)] {
            assert_eq!(play(rules, 3), play(rules, 3));
            assert_ne!(play(rules, 3), play(rules, 4));
            assert_eq!(play(rules, 3).len(), 19);
            assert!(play(rules, 3).iter().all(|player| spawn.contains(&player.at.x)));
        }
    }
}
