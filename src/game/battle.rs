//! Battle: each player against all others. Health, kills, deaths, cooldown and respawn exist only
//! in this module.

use super::rules::{Argument, EventKind};
use super::{
    Command, Denied, Detail, Event, Field, Game, Ground, PlayerId, Rect, Rules, Space, Width,
};
use crate::time::TICK_MS;

/// The rules of battle, on a small map.
pub const BATTLE: Rules = Rules {
    name: "battle",
    ground: Ground {
        map: Rect::square(0, 100),
        walls: Rect::square(0, 100),
        spawn: Rect::square(0, 100),
    },
    step: 5,
    numbers: &[
        ("hp", 100),
        // Euclidean and inclusive.
        ("reach", 10),
        ("damage", 10),
        // From one attack of a player to its next.
        ("cooldown_ms", 250),
        // From a death to the respawn.
        ("respawn_ms", 3_000),
    ],
    fields: &[
        Field::new("hp", Width::U8, 100).changes_sent_by_events(),
        Field::new("kills", Width::I32, 0).only_in(Detail::STATE.and(Detail::DESCRIPTION)),
        Field::new("deaths", Width::I32, 0).only_in(Detail::STATE.and(Detail::DESCRIPTION)),
        Field::new("respawn_ms", Width::U16, 0).only_in(Detail::STATE),
        Field::new("cooldown_ms", Width::U16, 0).hidden(),
    ],
    room_fields: &[],
    commands: &[],
    events: &[
        EventKind::new("player_attacked", &[Argument::Player("id"), Argument::Number("hp")])
            .newest_enough(),
        EventKind::new(
            "player_killed",
            &[Argument::Player("id"), Argument::Player("by"), Argument::Number("respawn_ms")],
        ),
    ],
    game: |rules| Box::new(Battle::new(rules)),
};

/// The fields of a body, as the rules declare them.
const HP: usize = 0;
const KILLS: usize = 1;
const DEATHS: usize = 2;
/// Time until it respawns; 0 if it is alive.
const RESPAWN_MS: usize = 3;
/// Time until it may attack again.
const COOLDOWN_MS: usize = 4;

/// A body was hit, and has `hp` left.
fn hit(victim: PlayerId, hp: i32) -> Event {
    Event::own(0, [victim.0.into(), hp.into()])
}

/// A body was killed; its hit is the event before.
fn killed(victim: PlayerId, by: PlayerId, respawn_ms: i32) -> Event {
    Event::own(1, [victim.0.into(), by.0.into(), respawn_ms.into()])
}

/// The numbers of a battle.
#[derive(Debug)]
struct Battle {
    hp: i32,
    reach: u16,
    damage: i32,
    cooldown_ms: i32,
    respawn_ms: i32,
    /// Reused from attack to attack.
    victims: Vec<usize>,
}

impl Battle {
    fn new(rules: &Rules) -> Battle {
        let positive = |name: &str, greatest: u16| {
            let number = rules.number(name);
            let is_right = (1..=i32::from(greatest)).contains(&number);
            assert!(is_right, "{name} of the rules {} must be 1 to {greatest}", rules.name);
            number
        };
        Battle {
            hp: positive("hp", u8::MAX.into()),
            reach: positive("reach", u16::MAX) as u16,
            damage: positive("damage", u16::MAX),
            cooldown_ms: whole_ticks(positive("cooldown_ms", u16::MAX / 2)),
            respawn_ms: whole_ticks(positive("respawn_ms", u16::MAX / 2)),
            victims: Vec::new(),
        }
    }
}

/// `span_ms`, rounded up to whole ticks.
fn whole_ticks(span_ms: i32) -> i32 {
    let tick_ms = TICK_MS as i32;
    (span_ms + tick_ms - 1) / tick_ms * tick_ms
}

impl Game for Battle {
    fn spawn(&mut self, space: &mut Space, body: usize) {
        space.set(body, HP, self.hp);
    }

    /// Attacks all living players in reach, in the order of their numbers. An attack without a hit
    /// costs the cooldown, too.
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
        let attacker = space.bodies()[by].id;
        space.near(space.bodies()[by].at, self.reach, &mut self.victims);
        for &body in &self.victims {
            if body == by || space.bodies()[body].flags.dead {
                continue;
            }
            let (victim, hp) = (space.bodies()[body].id, space.value(body, HP) - self.damage);
            space.set(body, HP, hp);
            space.report(hit(victim, hp.max(0)), body);
            if hp <= 0 {
                space.kill(body);
                space.set(body, DEATHS, space.value(body, DEATHS).saturating_add(1));
                space.set(body, RESPAWN_MS, self.respawn_ms);
                space.set(by, KILLS, space.value(by, KILLS).saturating_add(1));
                space.report(killed(victim, attacker, self.respawn_ms), body);
            }
        }
        Ok(())
    }

    /// Counts down the cooldowns, and respawns the dead when their time is over.
    fn tick(&mut self, space: &mut Space) {
        let tick_ms = TICK_MS as i32;
        for body in 0..space.bodies().len() {
            let cooldown_ms = space.value(body, COOLDOWN_MS);
            if cooldown_ms > 0 {
                space.set(body, COOLDOWN_MS, cooldown_ms - tick_ms);
            }
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

    fn is_sound(&self, space: &Space) -> bool {
        (0..space.bodies().len()).all(|body| {
            let value = |field| space.value(body, field);
            let is_dead = space.bodies()[body].flags.dead;
            (0..=self.hp).contains(&value(HP))
                && (0..=self.cooldown_ms).contains(&value(COOLDOWN_MS))
                && (0..=self.respawn_ms).contains(&value(RESPAWN_MS))
                && is_dead == (value(HP) == 0)
                && is_dead == (value(RESPAWN_MS) > 0)
                && !(is_dead && value(DEATHS) == 0)
        })
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

    /// A world in which players 1, 2, ... stand at `places`, and none has attacked.
    fn battle(places: &[(u16, u16)]) -> World {
        let mut world = World::new(&BATTLE, 7, CREDIT);
        let to = |index: usize| Point { x: places[index].0, y: places[index].1 };
        for number in 1..=places.len() as u32 {
            world.join(PlayerId(number), None, &mut Vec::new());
        }
        // 100 units are 20 steps.
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

    fn attack(world: &mut World, id: PlayerId) -> Result<Vec<Event>, Denied> {
        act(world, id, Command::Attack)
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
}
