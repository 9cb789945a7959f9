//! Blows: who is hit, and who dies of it.
//!
//! [`World::apply`](super::World::apply) calls it where the rules know combat.

use super::player::{Player, Point};
use super::rules::Combat;
use super::world::{Denied, Event};

/// A blow of the player at `attacker` at everybody else who lives and is in reach, in the order of
/// their numbers. It costs the cooldown even if it hits nobody.
///
/// # Errors
/// [`Denied::Dead`] and [`Denied::Cooldown`]; then nothing has changed.
pub(super) fn attack(
    combat: &Combat,
    players: &mut [Player],
    attacker: usize,
    events: &mut Vec<Event>,
) -> Result<(), Denied> {
    let by = &mut players[attacker];
    if by.is_dead() {
        return Err(Denied::Dead);
    }
    if by.cooldown_ticks > 0 {
        return Err(Denied::Cooldown);
    }
    by.cooldown_ticks = combat.cooldown_ticks;
    let (by, from) = (by.id, by.at);
    let mut kills = 0;
    for victim in players.iter_mut() {
        if victim.id == by || victim.is_dead() || !is_within(combat.reach, from, victim.at) {
            continue;
        }
        victim.suffer(combat);
        let (victim, hp) = (victim.id, victim.hp);
        events.push(Event::Hit { victim, hp });
        if hp == 0 {
            kills += 1;
            events.push(Event::Killed { victim, by });
        }
    }
    players[attacker].kills = players[attacker].kills.saturating_add(kills);
    Ok(())
}

/// Whether two places are at most `reach` apart.
fn is_within(reach: u16, one: Point, other: Point) -> bool {
    let square = |length: u16| u64::from(length) * u64::from(length);
    square(one.x.abs_diff(other.x)) + square(one.y.abs_diff(other.y)) <= square(reach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::rules::{BATTLE, DOTS};
    use crate::game::{Command, Direction, PlayerId, World};
    use crate::time::Tick;

    const CREDIT: u8 = 4;
    const ANN: PlayerId = PlayerId(1);
    const BEN: PlayerId = PlayerId(2);
    const CLEO: PlayerId = PlayerId(3);
    const STAY: Command = Command::MoveTo(Point { x: 50, y: 50 });

    /// A world in which players 1, 2, ... stand at `places`, and nobody has attacked.
    fn battle(places: &[(u16, u16)]) -> World {
        let mut world = World::new(&BATTLE, 7, CREDIT);
        let to = |index: usize| Point { x: places[index].0, y: places[index].1 };
        for number in 1..=places.len() as u32 {
            world.join(PlayerId(number), None, &mut Vec::new());
        }
        // 100 units are 20 steps.
        for _ in 0..20 + CREDIT {
            for index in 0..places.len() {
                let id = world.players()[index].id;
                act(&mut world, id, Command::MoveTo(to(index))).unwrap();
            }
            world.tick(&mut Vec::new());
        }
        assert!((0..places.len()).all(|index| world.players()[index].at == to(index)));
        world
    }

    fn act(world: &mut World, id: PlayerId, command: Command) -> Result<Vec<Event>, Denied> {
        let mut events = Vec::new();
        let before = world.players().to_vec();
        let result = world.apply(id, command, &mut events);
        assert!(world.is_sound());
        if result.is_err() {
            assert_eq!((world.players(), events.len()), (before.as_slice(), 0), "as if never said");
        }
        result.map(|()| events)
    }

    fn attack(world: &mut World, id: PlayerId) -> Result<Vec<Event>, Denied> {
        act(world, id, Command::Attack)
    }

    fn ticks(world: &mut World, count: u32) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            world.tick(&mut events);
            assert!(world.is_sound());
        }
        events
    }

    /// Attacks until nobody in reach lives, and answers what happened.
    fn kill(world: &mut World, by: PlayerId) -> Vec<Event> {
        let mut events = Vec::new();
        for blow in 0..10 {
            if blow > 0 {
                events.extend(ticks(world, 5));
            }
            events.extend(attack(world, by).unwrap());
        }
        events
    }

    fn hp(world: &World) -> Vec<u8> {
        world.players().iter().map(|player| player.hp).collect()
    }

    #[test]
    fn a_blow_reaches_ten_units_and_hits_in_the_order_of_numbers() {
        let places = [(60, 50), (50, 50), (50, 60), (44, 42), (61, 50), (58, 57), (50, 50), (0, 0)];
        let mut world = battle(&places);
        let hit = |number| Event::Hit { victim: PlayerId(number), hp: 90 };
        assert_eq!(attack(&mut world, BEN), Ok(vec![hit(1), hit(3), hit(4), hit(7)]));
        assert_eq!(hp(&world), [90, 100, 90, 90, 100, 100, 90, 100]);
        assert!(world.players().iter().all(|player| player.deaths == 0 && player.kills == 0));
    }

    #[test]
    fn what_is_far_apart_is_far_apart() {
        let place = |x, y| Point { x, y };
        let (none, all) = (place(0, 0), place(u16::MAX, u16::MAX));
        assert!(is_within(u16::MAX, none, place(u16::MAX, 0)));
        assert!(!is_within(u16::MAX, none, all) && !is_within(u16::MAX, all, none));
        assert!(is_within(10, place(3, 4), place(9, 12)) && is_within(0, all, all));
        assert!(!is_within(10, place(3, 4), place(9, 13)));
    }

    #[test]
    fn between_two_blows_of_a_player_there_are_250_ms() {
        // One of them hits nobody, which costs the cooldown, too.
        for ben in [(50, 50), (80, 80)] {
            let mut world = battle(&[(50, 50), ben]);
            assert!(attack(&mut world, ANN).is_ok());
            for _ in 0..5 {
                assert_eq!(attack(&mut world, ANN), Err(Denied::Cooldown));
                ticks(&mut world, 1);
            }
            assert!(attack(&mut world, ANN).is_ok(), "at N + 5");
            assert_eq!(attack(&mut world, ANN), Err(Denied::Cooldown));
            assert!(attack(&mut world, BEN).is_ok(), "everybody has a cooldown of its own");
        }
    }

    #[test]
    fn the_tenth_hit_kills() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        let mut expected: Vec<Event> =
            (0..10).rev().map(|tens| Event::Hit { victim: BEN, hp: 10 * tens }).collect();
        expected.push(Event::Killed { victim: BEN, by: ANN });
        assert_eq!(kill(&mut world, ANN), expected);
        let [ann, ben] = world.players() else { panic!("two are there") };
        assert_eq!((ann.kills, ann.deaths, ann.hp, ann.is_dead()), (1, 0, 100, false));
        assert_eq!((ben.kills, ben.deaths, ben.hp, ben.is_dead()), (0, 1, 0, true));
    }

    #[test]
    fn one_blow_kills_many_each_right_after_its_hit() {
        let mut world = battle(&[(50, 50); 4]);
        ticks(&mut world, 5);
        let events = kill(&mut world, BEN);
        let last: Vec<Event> = [1, 3, 4]
            .into_iter()
            .map(PlayerId)
            .flat_map(|victim| [Event::Hit { victim, hp: 0 }, Event::Killed { victim, by: BEN }])
            .collect();
        assert_eq!(events[27..], last);
        assert_eq!(world.player(BEN).unwrap().kills, 3);
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
        let ben = world.player(BEN).unwrap();
        assert_eq!((ben.at, ben.deaths), (Point { x: 50, y: 50 }, 1));
        assert_eq!(world.player(ANN).unwrap().kills, 1);
    }

    #[test]
    fn a_move_that_waits_dies_with_its_player() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        for _ in 0..9 {
            attack(&mut world, ANN).unwrap();
            ticks(&mut world, 5);
        }
        (0..CREDIT).for_each(|_| assert!(act(&mut world, BEN, STAY).is_ok()));
        act(&mut world, BEN, Command::Step(Direction::Up)).unwrap();
        assert_eq!(attack(&mut world, ANN).map(|events| events.len()), Ok(2));
        ticks(&mut world, 59);
        assert_eq!(world.player(BEN).unwrap().at, Point { x: 50, y: 50 });
        ticks(&mut world, 1);
        let back = world.player(BEN).unwrap().at;
        ticks(&mut world, 1);
        assert_eq!(world.player(BEN).unwrap().at, back, "nor is it made in the next life");
    }

    #[test]
    fn the_dead_return_after_three_seconds_unhurt_and_elsewhere() {
        let mut world = battle(&[(50, 50), (50, 50)]);
        assert_eq!(world.respawn_ms(world.player(BEN).unwrap()), 0);
        kill(&mut world, ANN);
        let died_at = world.now();
        for left in (1..=60).rev() {
            let ben = world.player(BEN).unwrap();
            assert!(ben.is_dead() && died_at.next().is_after(ben.moved));
            assert_eq!((ben.at, ben.hp), (Point { x: 50, y: 50 }, 0));
            assert_eq!(world.respawn_ms(ben), 50 * left);
            let events = ticks(&mut world, 1);
            let expected = (left == 1).then_some(Event::Respawned(BEN));
            assert_eq!(events, expected.as_slice());
        }
        let ben = world.player(BEN).unwrap();
        assert_eq!((ben.hp, ben.deaths, ben.moved), (100, 1, Tick(died_at.0 + 60)));
        assert_ne!(ben.at, Point { x: 50, y: 50 });
        assert_eq!(world.respawn_ms(ben), 0);
        assert_eq!(ticks(&mut world, 100), []);
        assert!(act(&mut world, BEN, Command::Step(Direction::Up)).is_ok());
        assert!(attack(&mut world, BEN).is_ok());
    }

    #[test]
    fn whoever_killed_and_whoever_is_dead_may_go() {
        let mut world = battle(&[(50, 50), (50, 50), (50, 59)]);
        kill(&mut world, CLEO);
        world.leave(ANN, &mut Vec::new());
        assert_eq!(ticks(&mut world, 60), [Event::Respawned(BEN)]);
        world.leave(CLEO, &mut Vec::new());
        assert_eq!((hp(&world), world.player(BEN).unwrap().deaths), (vec![100], 1));
        assert!(world.is_sound());
    }

    #[test]
    fn rules_without_combat_know_no_attack() {
        let mut world = World::new(&DOTS, 7, CREDIT);
        (1..=50).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
        for _ in 0..100 {
            assert_eq!(attack(&mut world, ANN), Err(Denied::NoCombat));
            ticks(&mut world, 1);
        }
        assert_eq!(hp(&world), [100; 50]);
    }

    #[test]
    fn equal_seeds_and_calls_make_equal_fights() {
        let fight = |seed| {
            let mut world = World::new(&BATTLE, seed, CREDIT);
            let mut events = Vec::new();
            for number in 1..=30 {
                world.join(PlayerId(number), None, &mut events);
            }
            for round in 0..600u32 {
                let id = PlayerId(1 + round % 30);
                let centre = Point { x: 50, y: 50 };
                for command in [Command::MoveTo(centre), Command::Attack] {
                    let _ = world.apply(id, command, &mut events);
                }
                if round == 300 {
                    world.leave(PlayerId(7), &mut events);
                }
                world.tick(&mut events);
                assert!(world.is_sound());
            }
            (world.players().to_vec(), events)
        };
        let (players, events) = fight(3);
        assert_eq!(fight(3), (players.clone(), events.clone()));
        assert_ne!(fight(4).0, players);
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let kills = count(|event| matches!(event, Event::Killed { .. }));
        let returns = count(|event| matches!(event, Event::Respawned(_)));
        assert!(returns > 0 && kills >= returns, "{kills} kills, {returns} returns");
    }
}
