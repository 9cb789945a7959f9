//! The fight of battle and of world: each player against all others. Health, kills, deaths,
//! cooldown, respawn and rounds exist only in this module.

use super::{Command, Denied, Direction, Event, Game, PlayerId, Rules, Space};
use crate::time::TICK_MS;

mod bot;
mod rounds;
mod rules;

use rounds::Rounds;
pub use rules::{BATTLE, WORLD};

/// The fields of a body, as the rules declare them.
const HP: usize = 0;
const KILLS: usize = 1;
const DEATHS: usize = 2;
/// Time until it respawns; 0 if it is alive.
const RESPAWN_MS: usize = 3;
/// The tick of the first state that shows its newest attack; 0 if it has never attacked.
const ATTACK_TICK: usize = 4;
/// The index of its direction in [`Direction::NAMES`].
const FACING: usize = 5;
/// Time until it may attack again.
const COOLDOWN_MS: usize = 6;
/// Time until a point of its health returns, if some is missing.
const HEAL_MS: usize = 7;

/// Returning health is sent over Socket.IO at these points, and when it is full: a player that
/// stands costs two events a second, and not ten.
const HEAL_SENT_HP: i32 = 5;

/// A body was hit, and has `hp` left.
fn hit(victim: PlayerId, hp: i32) -> Event {
    Event::own(0, [victim.0.into(), hp.into()])
}

/// A body was killed; its hit is the event before.
fn killed(victim: PlayerId, by: PlayerId, respawn_ms: i32) -> Event {
    Event::own(1, [victim.0.into(), by.0.into(), respawn_ms.into()])
}

/// A body has made an attack; its hits are the events behind.
fn attacked(by: PlayerId, direction: Direction) -> Event {
    Event::own(2, [by.0.into(), direction as i64])
}

/// The numbers of a fight.
#[derive(Debug)]
struct Fight {
    hp: i32,
    reach: u16,
    damage: i32,
    cooldown_ms: i32,
    respawn_ms: i32,
    heal_after_ms: i32,
    heal_every_ms: i32,
    /// `None` for a fight without rounds.
    rounds: Option<Rounds>,
    /// Reused from attack to attack.
    victims: Vec<usize>,
}

impl Fight {
    fn with_rounds(rules: &Rules) -> Fight {
        let fight = Fight::new(rules);
        Fight { rounds: Some(Rounds::new(rules)), ..fight }
    }

    fn new(rules: &Rules) -> Fight {
        let u16_max = i32::from(u16::MAX);
        Fight {
            hp: positive(rules, "hp", u8::MAX.into()),
            reach: positive(rules, "reach", u16_max) as u16,
            damage: positive(rules, "damage", u16_max),
            cooldown_ms: span_ms(rules, "cooldown_ms", u16_max / 2),
            respawn_ms: span_ms(rules, "respawn_ms", u16_max / 2),
            heal_after_ms: span_ms(rules, "heal_after_ms", u16_max / 2),
            heal_every_ms: span_ms(rules, "heal_every_ms", u16_max / 2),
            rounds: None,
            victims: Vec::new(),
        }
    }

    /// Whether the result of a round is shown, in which attacks have no effect.
    fn is_result(&self, space: &Space) -> bool {
        self.rounds.is_some() && rounds::is_result(space)
    }

    /// Counts down until the next point of health returns.
    fn heal(&self, space: &mut Space, body: usize) {
        let hp = space.value(body, HP);
        if hp == self.hp || space.bodies()[body].flags.dead {
            return;
        }
        let heal_ms = space.value(body, HEAL_MS) - TICK_MS as i32;
        if heal_ms > 0 {
            return space.set(body, HEAL_MS, heal_ms);
        }
        space.set(body, HEAL_MS, self.heal_every_ms);
        space.set(body, HP, hp + 1);
        if (hp + 1) % HEAL_SENT_HP == 0 || hp + 1 == self.hp {
            space.send_position(body);
        }
    }
}

/// A number of the rules, from 1 to `greatest`.
fn positive(rules: &Rules, name: &str, greatest: i32) -> i32 {
    let number = rules.number(name);
    let is_right = (1..=greatest).contains(&number);
    assert!(is_right, "{name} of the rules {} must be 1 to {greatest}", rules.name);
    number
}

/// The same for a time in milliseconds, rounded up to whole ticks.
fn span_ms(rules: &Rules, name: &str, greatest: i32) -> i32 {
    let tick_ms = TICK_MS as i32;
    (positive(rules, name, greatest) + tick_ms - 1) / tick_ms * tick_ms
}

impl Game for Fight {
    fn spawn(&mut self, space: &mut Space, body: usize) {
        space.set(body, HP, self.hp);
        if let Some(rounds) = &self.rounds {
            rounds.joined(space);
        }
    }

    /// Attacks all living players in reach, in the order of their numbers. An attack without a hit
    /// costs the cooldown, too. Between two rounds an attack is shown, and hits no player.
    fn command(&mut self, space: &mut Space, by: usize, command: Command) -> Result<(), Denied> {
        if command != Command::Attack {
            return Err(Denied::NoCombat);
        } else if space.bodies()[by].flags.dead {
            return Err(Denied::Dead);
        } else if space.value(by, COOLDOWN_MS) > 0 {
            return Err(Denied::Cooldown);
        }
        space.set(by, COOLDOWN_MS, self.cooldown_ms);
        space.mark_attacking(by);
        space.set(by, ATTACK_TICK, space.now().next().0 as i32);
        let attacker = space.bodies()[by].id;
        space.report(attacked(attacker, space.bodies()[by].facing), by);
        if self.is_result(space) {
            return Ok(());
        }
        let kills = space.value(by, KILLS);
        space.near(space.bodies()[by].at, self.reach, &mut self.victims);
        for &body in &self.victims {
            if body == by || space.bodies()[body].flags.dead {
                continue;
            }
            let (victim, hp) = (space.bodies()[body].id, space.value(body, HP) - self.damage);
            space.set(body, HP, hp);
            space.set(body, HEAL_MS, self.heal_after_ms);
            space.report(hit(victim, hp.max(0)), body);
            if hp <= 0 {
                space.kill(body);
                space.set(body, DEATHS, space.value(body, DEATHS).saturating_add(1));
                space.set(body, RESPAWN_MS, self.respawn_ms);
                space.set(by, KILLS, space.value(by, KILLS).saturating_add(1));
                space.report(killed(victim, attacker, self.respawn_ms), body);
            }
        }
        if let Some(rounds) = &self.rounds
            && space.value(by, KILLS) > kills
        {
            rounds.killed(space, by);
        }
        Ok(())
    }

    /// Counts down the cooldowns and the round, returns health, and respawns the dead when their
    /// time is over.
    fn tick(&mut self, space: &mut Space) {
        let tick_ms = TICK_MS as i32;
        // First, so that a player that respawns with a new round does not respawn again.
        if let Some(rounds) = &mut self.rounds {
            rounds.tick(space, self.hp);
        }
        for body in 0..space.bodies().len() {
            let cooldown_ms = space.value(body, COOLDOWN_MS);
            if cooldown_ms > 0 {
                space.set(body, COOLDOWN_MS, cooldown_ms - tick_ms);
            }
            space.set(body, FACING, space.bodies()[body].facing as i32);
            self.heal(space, body);
            let respawn_ms = space.value(body, RESPAWN_MS);
            if respawn_ms > 0 {
                space.set(body, RESPAWN_MS, respawn_ms - tick_ms);
                if respawn_ms == tick_ms {
                    space.set(body, HP, self.hp);
                    space.respawn(body);
                }
            }
        }
    }

    fn leave(&mut self, space: &mut Space, _: usize) {
        if let Some(rounds) = &self.rounds {
            rounds.leaves(space);
        }
    }

    fn save(&self) -> Vec<i64> {
        self.rounds.iter().map(|rounds| rounds.was_alone.into()).collect()
    }

    fn load(&mut self, saved: &[i64]) -> bool {
        match &mut self.rounds {
            None => saved.is_empty(),
            Some(rounds) => {
                rounds.was_alone = saved == [1];
                matches!(saved, [0 | 1])
            }
        }
    }

    fn bot(&mut self, space: &mut Space, body: usize) -> Option<Command> {
        bot::command(self, space, body)
    }

    fn is_sound(&self, space: &Space) -> bool {
        (0..space.bodies().len()).all(|body| {
            let value = |field| space.value(body, field);
            let is_dead = space.bodies()[body].flags.dead;
            (0..=self.hp).contains(&value(HP))
                && (0..=self.cooldown_ms).contains(&value(COOLDOWN_MS))
                && (0..=self.respawn_ms).contains(&value(RESPAWN_MS))
                && value(RESPAWN_MS) % TICK_MS as i32 == 0
                && (0..=self.heal_after_ms.max(self.heal_every_ms)).contains(&value(HEAL_MS))
                && is_dead == (value(HP) == 0)
                && is_dead == (value(RESPAWN_MS) > 0)
                && value(KILLS) >= 0
                && value(DEATHS) >= i32::from(is_dead)
        }) && self.rounds.as_ref().is_none_or(|rounds| rounds.is_sound(space))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{Body, DOTS, Direction, Fact, Point, World};
    use crate::time::Tick;

    const CREDIT: u8 = 4;
    const ANN: PlayerId = PlayerId(1);
    const BEN: PlayerId = PlayerId(2);
    const CLEO: PlayerId = PlayerId(3);
    const STAY: Command = Command::MoveTo(Point { x: 50, y: 50 });

    /// A battle in which players 1, 2, ... stand at `places`, and none has attacked.
    fn battle(places: &[(u16, u16)]) -> World {
        place(World::new(&BATTLE, 7, CREDIT), places)
    }

    /// The same under the rules of world, on a map of 200 x 100.
    fn open_world(places: &[(u16, u16)]) -> World {
        place(World::on(WORLD.ground_with(Some((200, 100))), &WORLD, 7, CREDIT), places)
    }

    fn place(mut world: World, places: &[(u16, u16)]) -> World {
        let to = |index: usize| Point { x: places[index].0, y: places[index].1 };
        for number in 1..=places.len() as u32 {
            world.join(PlayerId(number), None, &mut Vec::new());
        }
        // 100 units are 20 steps of battle, and 200 are 20 of world.
        for _ in 0..20 + CREDIT {
            for index in 0..places.len() {
                let id = world.bodies()[index].id;
                act(&mut world, id, Command::MoveTo(to(index))).unwrap();
            }
            world.tick(&mut Vec::new());
        }
        assert!((0..places.len()).all(|index| world.bodies()[index].at == to(index)));
        world
    }

    fn act(world: &mut World, id: PlayerId, command: Command) -> Result<Vec<Event>, Denied> {
        let mut facts = Vec::new();
        let before = (world.bodies().to_vec(), world.snapshot().values.to_vec());
        let result = world.apply(id, command, &mut facts);
        assert!(world.is_sound());
        if result.is_err() {
            let after = (world.bodies().to_vec(), world.snapshot().values.to_vec());
            assert_eq!((after, facts.len()), (before, 0), "as if never said");
        }
        result.map(|()| events(&facts))
    }

    fn events(facts: &[Fact]) -> Vec<Event> {
        facts.iter().map(|fact| fact.event).collect()
    }

    fn body(world: &World, id: PlayerId) -> &Body {
        &world.bodies()[world.find(id).expect("it is here")]
    }

    /// A field of the player's body.
    fn field(world: &World, id: PlayerId, field: usize) -> i32 {
        world.snapshot().row(world.find(id).expect("it is here"))[field]
    }

    /// Attacks. Returns what follows after the attack itself.
    fn attack(world: &mut World, id: PlayerId) -> Result<Vec<Event>, Denied> {
        let mut events = act(world, id, Command::Attack)?;
        assert_eq!(events.remove(0), attacked(id, body(world, id).facing));
        Ok(events)
    }

    fn ticks(world: &mut World, count: u32) -> Vec<Event> {
        let mut facts = Vec::new();
        for _ in 0..count {
            world.tick(&mut facts);
            assert!(world.is_sound());
        }
        events(&facts)
    }

    /// Attacks until all in reach are dead. Returns the events.
    fn kill(world: &mut World, by: PlayerId) -> Vec<Event> {
        let mut events = Vec::new();
        for attack_index in 0..10 {
            if attack_index > 0 {
                events.extend(ticks(world, 5));
            }
            events.extend(attack(world, by).unwrap());
        }
        events
    }

    fn hp(world: &World) -> Vec<i32> {
        world.snapshot().values.iter().skip(HP).step_by(BATTLE.fields.len()).copied().collect()
    }

    #[test]
    fn an_attack_reaches_ten_units_and_hits_in_the_order_of_numbers() {
        let places = [(60, 50), (50, 50), (50, 60), (44, 42), (61, 50), (58, 57), (50, 50), (0, 0)];
        let mut world = battle(&places);
        let hit = |number| hit(PlayerId(number), 90);
        assert_eq!(attack(&mut world, BEN), Ok(vec![hit(1), hit(3), hit(4), hit(7)]));
        assert_eq!(hp(&world), [90, 100, 90, 90, 100, 100, 90, 100]);
        for body in world.bodies() {
            assert_eq!((field(&world, body.id, KILLS), field(&world, body.id, DEATHS)), (0, 0));
            assert_eq!(body.flags.attacking, body.id == BEN);
        }
        // Players that have moved are hit at their new places.
        for _ in 0..3 {
            for id in [1, 8].map(PlayerId) {
                act(&mut world, id, Command::Step(Direction::Right)).unwrap();
            }
            ticks(&mut world, 2);
        }
        assert!(world.bodies().iter().all(|body| !body.flags.attacking), "it holds for one tick");
        assert_eq!(attack(&mut world, BEN).map(|events| events.len()), Ok(3));
        world.leave(CLEO, &mut Vec::new());
        ticks(&mut world, 5);
        assert_eq!(attack(&mut world, BEN).map(|events| events.len()), Ok(2));
    }

    #[test]
    fn world_is_the_fight_with_a_reach_of_forty() {
        let places = [(100, 50), (140, 50), (100, 90), (124, 82), (141, 50), (125, 82), (60, 50)];
        let mut world = open_world(&places);
        let hit = |number| hit(PlayerId(number), 90);
        assert_eq!(attack(&mut world, ANN), Ok(vec![hit(2), hit(3), hit(4), hit(7)]));
        assert_eq!(attack(&mut world, ANN), Err(Denied::Cooldown));
        for _ in 0..9 {
            ticks(&mut world, 5);
            attack(&mut world, ANN).unwrap();
        }
        assert_eq!(field(&world, ANN, KILLS), 4);
        let respawned = ticks(&mut world, 60);
        assert_eq!(respawned.len(), 4, "after three seconds: {respawned:?}");
        assert!(world.bodies().iter().all(|body| !body.flags.dead));
        assert!(ticks(&mut world, 200).is_empty());
    }

    #[test]
    fn world_has_no_rounds() {
        let mut world = open_world(&[(100, 50), (100, 50)]);
        assert!(world.snapshot().room.is_empty());
        // A round of battle ends with 20 kills, or after three minutes.
        for _ in 0..25 {
            while field(&world, BEN, HP) > 0 {
                attack(&mut world, ANN).unwrap();
                ticks(&mut world, 5);
                let ben = body(&world, BEN).at;
                let _ = act(&mut world, ANN, Command::MoveTo(ben));
            }
            while field(&world, BEN, HP) == 0 {
                ticks(&mut world, 1);
            }
            // They meet again.
            for _ in 0..20 {
                for id in [ANN, BEN] {
                    act(&mut world, id, Command::MoveTo(Point { x: 100, y: 50 })).unwrap();
                }
                ticks(&mut world, 1);
            }
        }
        assert_eq!((field(&world, ANN, KILLS), field(&world, BEN, DEATHS)), (25, 25));
        assert!(ticks(&mut world, 4_000).is_empty());
        assert_eq!(field(&world, ANN, KILLS), 25);
        let loaded = World::load(&WORLD, &world.save()).expect("it was saved");
        assert_eq!(loaded.snapshot().values, world.snapshot().values);
    }

    #[test]
    fn the_walls_of_world_are_ten_from_the_borders_of_any_map() {
        for (map, far) in [
            (None, (15_990, 15_990)),
            (Some((200, 100)), (190, 90)),
            (Some((u16::MAX, 300)), (65_525, 290)),
        ] {
            let mut world = World::on(WORLD.ground_with(map), &WORLD, 7, CREDIT);
            world.join(ANN, None, &mut Vec::new());
            let ground = world.ground();
            assert_eq!((ground.walls.left, ground.walls.top), (10, 10));
            assert_eq!((ground.walls.right, ground.walls.bottom), far);
            assert_eq!(ground.spawn, ground.walls, "anywhere");
            assert_eq!((ground.map.right, ground.map.bottom), (far.0 + 10, far.1 + 10));
            assert!(ground.check().is_ok());
            let start = body(&world, ANN).at;
            act(&mut world, ANN, Command::Step(Direction::Right)).unwrap();
            assert_eq!(body(&world, ANN).at.x, (start.x + 10).min(far.0));
            for direction in [Direction::Right, Direction::Down] {
                for _ in 0..7_000 {
                    world.apply(ANN, Command::Step(direction), &mut Vec::new()).unwrap();
                    world.tick(&mut Vec::new());
                }
            }
            assert_eq!((body(&world, ANN).at.x, body(&world, ANN).at.y), far);
        }
        // The maps of other rules stay as they are.
        for rules in [&BATTLE, &DOTS] {
            assert_eq!(rules.ground_with(Some((200, 100))), rules.ground);
        }
    }

    #[test]
    fn a_player_attacks_once_in_250_ms() {
        // An attack without a hit costs the cooldown, too.
        for ben in [(50, 50), (80, 80)] {
            let mut world = battle(&[(50, 50), ben]);
            assert!(attack(&mut world, ANN).is_ok());
            for _ in 0..5 {
                assert_eq!(attack(&mut world, ANN), Err(Denied::Cooldown));
                ticks(&mut world, 1);
            }
            assert!(attack(&mut world, ANN).is_ok(), "at N + 5");
            assert_eq!(attack(&mut world, ANN), Err(Denied::Cooldown));
            assert!(attack(&mut world, BEN).is_ok(), "each player has its own cooldown");
        }
    }

    #[test]
    fn the_tenth_hit_kills() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        let mut expected: Vec<Event> = (0..10).rev().map(|tens| hit(BEN, 10 * tens)).collect();
        expected.push(killed(BEN, ANN, 3_000));
        assert_eq!(kill(&mut world, ANN), expected);
        let [ann, ben] = world.bodies() else { panic!("two are there") };
        assert_eq!(
            (world.snapshot().row(0)[..4].to_vec(), ann.flags.dead),
            (vec![100, 1, 0, 0], false)
        );
        assert_eq!(
            (world.snapshot().row(1)[..4].to_vec(), ben.flags.dead),
            (vec![0, 0, 1, 3_000], true)
        );
    }

    #[test]
    fn one_attack_kills_many_each_right_after_its_hit() {
        let mut world = battle(&[(50, 50); 4]);
        ticks(&mut world, 5);
        let events = kill(&mut world, BEN);
        let last: Vec<Event> = [1, 3, 4]
            .into_iter()
            .map(PlayerId)
            .flat_map(|victim| [hit(victim, 0), killed(victim, BEN, 3_000)])
            .collect();
        assert_eq!(events[27..], last);
        assert_eq!(field(&world, BEN, KILLS), 3);
    }

    #[test]
    fn the_dead_are_not_hit_and_do_nothing() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        kill(&mut world, ANN);
        for command in
            [Command::Attack, Command::Step(Direction::Up), Command::MoveTo(Point { x: 0, y: 0 })]
        {
            assert_eq!(act(&mut world, BEN, command), Err(Denied::Dead));
        }
        ticks(&mut world, 5);
        assert_eq!(attack(&mut world, ANN), Ok(vec![]));
        assert_eq!(body(&world, BEN).at, Point { x: 50, y: 50 });
        assert_eq!((field(&world, BEN, DEATHS), field(&world, ANN, KILLS)), (1, 1));
    }

    #[test]
    fn a_waiting_move_is_dropped_when_its_player_dies() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        for _ in 0..9 {
            attack(&mut world, ANN).unwrap();
            ticks(&mut world, 5);
        }
        (0..CREDIT).for_each(|_| assert!(act(&mut world, BEN, STAY).is_ok()));
        act(&mut world, BEN, Command::Step(Direction::Up)).unwrap();
        assert_eq!(attack(&mut world, ANN).map(|events| events.len()), Ok(2));
        ticks(&mut world, 59);
        assert_eq!(body(&world, BEN).at, Point { x: 50, y: 50 });
        ticks(&mut world, 1);
        let back = body(&world, BEN).at;
        ticks(&mut world, 1);
        assert_eq!(body(&world, BEN).at, back, "nor is it made in the next life");
    }

    #[test]
    fn the_dead_respawn_after_three_seconds_with_full_health_elsewhere() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        assert_eq!(field(&world, BEN, RESPAWN_MS), 0);
        kill(&mut world, ANN);
        let died_at = world.now();
        for left in (1..=60).rev() {
            let ben = body(&world, BEN);
            assert!(ben.flags.dead && died_at.next().is_after(ben.moved));
            assert_eq!((ben.at, field(&world, BEN, HP)), (Point { x: 50, y: 50 }, 0));
            assert_eq!(field(&world, BEN, RESPAWN_MS), 50 * left);
            let events = ticks(&mut world, 1);
            let expected = (left == 1).then_some(Event::Respawned(BEN));
            assert_eq!(events, expected.as_slice());
        }
        let ben = body(&world, BEN);
        assert_eq!((field(&world, BEN, HP), field(&world, BEN, DEATHS)), (100, 1));
        assert_eq!((ben.moved, ben.flags.teleported), (Tick(died_at.0 + 60), true));
        assert_ne!(ben.at, Point { x: 50, y: 50 });
        assert_eq!(field(&world, BEN, RESPAWN_MS), 0);
        assert_eq!(ticks(&mut world, 100), []);
        assert!(act(&mut world, BEN, Command::Step(Direction::Up)).is_ok());
        assert!(attack(&mut world, BEN).is_ok());
    }

    #[test]
    fn killers_and_dead_players_may_leave() {
        let mut world = battle(&[(50, 50), (50, 50), (50, 59)]);
        kill(&mut world, CLEO);
        world.leave(ANN, &mut Vec::new());
        assert_eq!(ticks(&mut world, 60), [Event::Respawned(BEN)]);
        world.leave(CLEO, &mut Vec::new());
        assert_eq!((hp(&world), field(&world, BEN, DEATHS)), (vec![100], 1));
        assert!(world.is_sound());
    }

    #[test]
    fn attacks_are_denied_by_rules_without_combat() {
        let mut world = World::new(&DOTS, 7, CREDIT);
        (1..=50).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
        for _ in 0..100 {
            assert_eq!(attack(&mut world, ANN), Err(Denied::NoCombat));
            ticks(&mut world, 1);
        }
        assert_eq!(world.snapshot().values.len(), 50 * DOTS.fields.len());
    }

    #[test]
    fn equal_seeds_and_calls_make_equal_fights() {
        let fight = |seed| {
            let mut world = World::new(&BATTLE, seed, CREDIT);
            let mut facts = Vec::new();
            for number in 1..=30 {
                world.join(PlayerId(number), None, &mut facts);
            }
            for round in 0..600u32 {
                let id = PlayerId(1 + round % 30);
                let centre = Point { x: 50, y: 50 };
                for command in [Command::MoveTo(centre), Command::Attack] {
                    let _ = world.apply(id, command, &mut facts);
                }
                if round == 300 {
                    world.leave(PlayerId(7), &mut facts);
                }
                world.tick(&mut facts);
                assert!(world.is_sound());
            }
            (world.bodies().to_vec(), events(&facts))
        };
        let (players, events) = fight(3);
        assert_eq!(fight(3), (players.clone(), events.clone()));
        assert_ne!(fight(4).0, players);
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let kills = count(|event| matches!(event, Event::Own { kind: 1, .. }));
        let returns = count(|event| matches!(event, Event::Respawned(_)));
        assert!(returns > 0 && kills >= returns, "{kills} kills, {returns} returns");
    }

    /// Battles with short rounds, and deaths by one hit.
    static QUICK: Rules = Rules {
        name: "quick",
        numbers: &[
            ("hp", 100),
            ("reach", 10),
            ("damage", 100),
            ("cooldown_ms", 50),
            ("respawn_ms", 150),
            ("heal_after_ms", 5_000),
            ("heal_every_ms", 100),
            ("round_ms", 2_000),
            ("round_kills", 2),
            ("result_ms", 500),
        ],
        ..BATTLE
    };

    fn round(number: i64, ends_ms: i64, winner: u32) -> Event {
        Event::own(3, [number, ends_ms, winner.into()])
    }

    fn room(world: &World) -> [i32; 3] {
        world.snapshot().room.try_into().expect("three fields")
    }

    fn quick(players: &[PlayerId]) -> World {
        let mut world = World::new(&QUICK, 7, CREDIT);
        players.iter().for_each(|id| world.join(*id, None, &mut Vec::new()));
        world
    }

    /// Walks all players to the middle.
    fn gather(world: &mut World) {
        for _ in 0..25 {
            for id in world.bodies().iter().map(|body| body.id).collect::<Vec<_>>() {
                let _ = act(world, id, STAY);
            }
            ticks(world, 1);
        }
    }

    #[test]
    fn health_returns_after_five_seconds_without_a_hit() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        attack(&mut world, ANN).unwrap();
        ticks(&mut world, 60);
        attack(&mut world, ANN).unwrap();
        let moved = body(&world, BEN).moved;
        let mut seen = Vec::new();
        for tick in 1..=150 {
            assert_eq!(ticks(&mut world, 1), []);
            let (hp, is_sent) = (field(&world, BEN, HP), body(&world, BEN).moved == world.now());
            let expected = if tick < 100 { 80 } else { (81 + (tick - 100) / 2).min(100) };
            assert_eq!(hp, expected, "{tick} ticks after the second hit");
            if is_sent {
                seen.push(hp);
            }
        }
        assert_eq!(seen, [85, 90, 95, 100], "what a position over Socket.IO shows");
        assert_eq!(field(&world, ANN, HP), 100);
        assert!(world.now().is_after(moved));
        // A hit stops it at once.
        attack(&mut world, ANN).unwrap();
        ticks(&mut world, 103);
        assert_eq!(field(&world, BEN, HP), 92);
        attack(&mut world, ANN).unwrap();
        ticks(&mut world, 99);
        assert_eq!(field(&world, BEN, HP), 82);
        ticks(&mut world, 1);
        assert_eq!(field(&world, BEN, HP), 83);
    }

    #[test]
    fn an_attack_is_seen_with_its_tick_and_direction() {
        let mut world = battle(&[(50, 50), (90, 90)]);
        let to = |x, y| Command::MoveTo(Point { x, y });
        for (command, direction) in [
            (Command::Step(Direction::Left), Direction::Left),
            (to(90, 52), Direction::Right),
            (to(49, 45), Direction::Up),
            (to(50, 100), Direction::Down),
            (to(0, 50), Direction::Left),
        ] {
            act(&mut world, ANN, command).unwrap();
            ticks(&mut world, 5);
            let events = act(&mut world, ANN, Command::Attack);
            assert_eq!(events, Ok(vec![attacked(ANN, direction)]), "nothing is in reach");
            let next = world.now().next().0 as i32;
            ticks(&mut world, 5);
            assert_eq!(field(&world, ANN, ATTACK_TICK), next);
            assert_eq!(field(&world, ANN, FACING), direction as i32);
        }
        let here = body(&world, ANN).at;
        act(&mut world, ANN, Command::MoveTo(here)).unwrap();
        assert_eq!(body(&world, ANN).facing, Direction::Left, "a move to its own place");
        let mut world = battle(&[(0, 50)]);
        act(&mut world, ANN, Command::Step(Direction::Up)).unwrap();
        act(&mut world, ANN, Command::Step(Direction::Left)).unwrap();
        assert_eq!(body(&world, ANN).facing, Direction::Left, "into the wall");
    }

    #[test]
    fn enough_kills_end_a_round_and_the_next_one_begins_with_equal_scores() {
        let mut world = quick(&[ANN, BEN, CLEO]);
        let changed = Event::RoomFields;
        gather(&mut world);
        let events = attack(&mut world, BEN).unwrap();
        let ends = [round(1, 500, 2), changed];
        assert_eq!(events[events.len() - 2..], ends, "two kills by one attack");
        assert_eq!(room(&world), [1, 500, 2]);
        // The dead respawn, and no attack hits.
        let (mut now, mut last) = (0, Vec::new());
        while room(&world)[2] != 0 {
            assert_eq!(room(&world), [1, 500 - 50 * now, 2]);
            let _ = act(&mut world, BEN, STAY);
            last = ticks(&mut world, 1);
            if room(&world)[2] != 0 {
                assert_eq!(attack(&mut world, BEN), Ok(vec![]));
            }
            now += 1;
        }
        assert_eq!(now, 10);
        let back = [ANN, BEN, CLEO].map(Event::Respawned);
        let expected = [&[round(2, 2_000, 0)][..], &back, &[changed]].concat();
        assert_eq!(last, expected);
        assert_eq!(room(&world), [2, 2_000, 0]);
        for index in 0..3 {
            assert_eq!(world.snapshot().row(index)[..4], [100, 0, 0, 0]);
        }
    }

    #[test]
    fn time_ends_a_round_and_the_best_player_wins() {
        let mut world = quick(&[ANN, BEN]);
        gather(&mut world);
        attack(&mut world, BEN).unwrap();
        ticks(&mut world, 3);
        assert_eq!(room(&world), [1, 600, 0]);
        world.leave(ANN, &mut Vec::new());
        let events = ticks(&mut world, 12);
        assert_eq!(events, [round(1, 500, 2), Event::RoomFields], "also alone");
        // It may leave before the result is over.
        world.join(CLEO, None, &mut Vec::new());
        world.leave(BEN, &mut Vec::new());
        let events = ticks(&mut world, 10);
        let expected = [round(2, 2_000, 0), Event::Respawned(CLEO), Event::RoomFields];
        assert_eq!(events, expected);
    }

    #[test]
    fn without_a_kill_the_next_round_begins_at_once() {
        let mut world = quick(&[ANN, CLEO]);
        gather(&mut world);
        ticks(&mut world, 12);
        world.join(PlayerId(4), None, &mut Vec::new());
        attack(&mut world, CLEO).unwrap();
        world.leave(CLEO, &mut Vec::new());
        let at = |world: &World| world.bodies().iter().map(|body| body.at).collect::<Vec<_>>();
        let (before, dead) = (at(&world), body(&world, ANN).flags.dead);
        ticks(&mut world, 1);
        assert_eq!((room(&world), dead), ([1, 100, 0], true));
        let events = ticks(&mut world, 2);
        assert_eq!(events, [round(2, 2_000, 0), Event::Respawned(ANN), Event::RoomFields]);
        assert_eq!(at(&world)[1], before[1], "the living stay");
        let before = at(&world);
        assert_eq!(ticks(&mut world, 40), [round(3, 2_000, 0), Event::RoomFields]);
        assert_eq!((at(&world), field(&world, ANN, DEATHS)), (before, 0));
    }

    #[test]
    fn a_respawn_on_the_tick_of_a_new_round_happens_once() {
        static SLOW: Rules = Rules {
            name: "slow",
            numbers: &[
                ("hp", 100),
                ("reach", 150),
                ("damage", 100),
                ("cooldown_ms", 50),
                ("respawn_ms", 500),
                ("heal_after_ms", 5_000),
                ("heal_every_ms", 100),
                ("round_ms", 2_000),
                ("round_kills", 1),
                ("result_ms", 500),
            ],
            ..BATTLE
        };
        let mut world = World::new(&SLOW, 7, CREDIT);
        for id in [ANN, BEN] {
            world.join(id, None, &mut Vec::new());
        }
        attack(&mut world, ANN).unwrap();
        assert_eq!(room(&world), [1, 500, 1]);
        let events = ticks(&mut world, 10);
        for id in [ANN, BEN] {
            let times = events.iter().filter(|event| **event == Event::Respawned(id)).count();
            assert_eq!(times, 1, "{id:?} in {events:?}");
        }
    }

    #[test]
    fn the_second_player_gets_a_whole_round_and_an_empty_room_the_first() {
        let mut world = World::new(&QUICK, 7, CREDIT);
        world.join(ANN, None, &mut Vec::new());
        assert_eq!(ticks(&mut world, 30), []);
        assert_eq!(room(&world), [1, 500, 0]);
        world.join(BEN, None, &mut Vec::new());
        let saved = world.save();
        assert_eq!(ticks(&mut world, 1), [round(1, 2_000, 0)]);
        let mut loaded = World::load(&QUICK, &saved).expect("a valid world");
        assert_eq!(ticks(&mut loaded, 1), [round(1, 2_000, 0)]);
        world.join(CLEO, None, &mut Vec::new());
        assert_eq!(ticks(&mut world, 40), [round(2, 2_000, 0), Event::RoomFields]);
        // After a kill the round goes on when another one joins.
        world.leave(CLEO, &mut Vec::new());
        gather(&mut world);
        attack(&mut world, BEN).unwrap();
        world.leave(ANN, &mut Vec::new());
        ticks(&mut world, 1);
        world.join(PlayerId(4), None, &mut Vec::new());
        assert_eq!(ticks(&mut world, 1), []);
        world.leave(BEN, &mut Vec::new());
        world.leave(PlayerId(4), &mut Vec::new());
        assert_eq!((room(&world), ticks(&mut world, 100)), ([1, 2_000, 0], vec![]));
        assert_eq!(room(&world), [1, 2_000, 0]);
    }

    #[test]
    fn of_equal_killers_the_one_with_fewer_deaths_wins() {
        let ground = BATTLE.ground;
        for (scores, winner) in [
            ([(3, 1), (4, 9), (1, 0)], Some(1)),
            ([(3, 2), (3, 1), (3, 5)], Some(1)),
            ([(0, 0), (2, 2), (2, 2)], Some(1)),
            ([(0, 0), (0, 1), (0, 2)], None),
        ] {
            let mut space = Space::new(&BATTLE, ground, 7, CREDIT);
            for (number, (kills, deaths)) in (1..).zip(scores) {
                let body = space.join(PlayerId(number), None);
                space.set(body, KILLS, kills);
                space.set(body, DEATHS, deaths);
            }
            assert_eq!(rounds::best(&space), winner, "{scores:?}");
        }
    }

    #[test]
    fn bots_hunt_and_kill_and_equal_seeds_make_equal_fights() {
        let fight = |seed| {
            let mut world = World::new(&BATTLE, seed, CREDIT);
            let bots = [ANN, BEN, CLEO, PlayerId(4)];
            bots.iter().for_each(|id| world.join(*id, None, &mut Vec::new()));
            let mut facts = Vec::new();
            for _ in 0..2_400 {
                for id in bots {
                    if let Some(command) = world.bot(id) {
                        let _ = world.apply(id, command, &mut facts);
                    }
                }
                world.tick(&mut facts);
                assert!(world.is_sound());
            }
            (world.bodies().to_vec(), events(&facts))
        };
        let (bodies, events) = fight(3);
        assert_eq!(fight(3), (bodies.clone(), events.clone()));
        assert_ne!(fight(4).0, bodies);
        let killer = |event: &Event| match event {
            Event::Own { kind: 1, arguments } => Some(arguments[1]),
            _ => None,
        };
        let kills = |of| events.iter().filter(|event| killer(event) == Some(of)).count();
        let all: Vec<usize> = (1..=4).map(kills).collect();
        assert!(all.iter().all(|kills| (1..=40).contains(kills)), "kills in two minutes: {all:?}");
    }
}
