//! Where bodies were after the last ticks: attacks of players that see the world late are judged
//! there.

use super::body::{Body, Point};

/// The greatest rewind in eighths of a tick: 5 ticks, 250 ms.
pub const REWIND_MAX: u8 = 40;
/// Ticks whose places are kept: the newest one, and as many before it as a rewind can span.
const KEPT: usize = (REWIND_MAX / 8) as usize + 1;

/// The last places of all bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// In the order of the bodies.
    trails: Vec<Trail>,
    /// The greatest distance in x or y that a body has moved since the newest tick; in that tick;
    /// in the one before; and so on.
    leaps: [u16; KEPT],
}

/// The last places of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trail {
    /// After the newest tick, after the one before, and so on.
    places: [Point; KEPT],
    /// How many of them are known: those since the body was put where it is.
    known: u8,
}

impl Trail {
    const NEW: Trail = Trail { places: [Point { x: 0, y: 0 }; KEPT], known: 0 };

    fn known(&self) -> &[Point] {
        &self.places[..usize::from(self.known)]
    }
}

impl Past {
    /// Makes room for as many more bodies.
    pub fn reserve_exact(&mut self, more: usize) {
        self.trails.reserve_exact(more);
    }

    /// A body was added. It was nowhere before.
    pub fn insert(&mut self, index: usize) {
        self.trails.insert(index, Trail::NEW);
    }

    /// A body was removed. The indexes of those behind it are one less.
    pub fn remove(&mut self, index: usize) {
        self.trails.remove(index);
    }

    /// A body was put at another place: it was nowhere before.
    pub fn forget(&mut self, index: usize) {
        self.trails[index].known = 0;
    }

    /// A body has moved.
    pub fn shift(&mut self, index: usize, to: Point) {
        if let Some(from) = self.trails[index].known().first() {
            self.leaps[0] = self.leaps[0].max(distance(*from, to));
        }
    }

    /// A tick is over, and the bodies are where they are.
    pub fn end_tick(&mut self, bodies: &[Body]) {
        for (trail, body) in self.trails.iter_mut().zip(bodies) {
            trail.places.copy_within(..KEPT - 1, 1);
            trail.places[0] = body.at;
            trail.known = (trail.known + 1).min(KEPT as u8);
        }
        self.leaps.copy_within(..KEPT - 1, 1);
        self.leaps[0] = 0;
    }

    /// Where a body was `rewind` eighths of a tick before the end of the newest tick: between two
    /// ticks on the straight line, rounded to the nearest place. `None` if it was put where it is
    /// since then.
    pub fn place(&self, index: usize, rewind: u8) -> Option<Point> {
        let (age, part) = (usize::from(rewind / 8), u32::from(rewind % 8));
        let known = self.trails[index].known();
        let later = *known.get(age)?;
        if part == 0 {
            return Some(later);
        }
        let earlier = known.get(age + 1)?;
        let between = |later: u16, earlier: u16| {
            ((u32::from(later) * (8 - part) + u32::from(earlier) * part + 4) / 8) as u16
        };
        Some(Point { x: between(later.x, earlier.x), y: between(later.y, earlier.y) })
    }

    /// How far in x or y a body can be from where it was `rewind` eighths of a tick ago.
    pub fn leap_max(&self, rewind: u8) -> u16 {
        let ticks = usize::from(rewind.div_ceil(8));
        self.leaps[..=ticks].iter().fold(0, |sum, leap| sum.saturating_add(*leap))
    }

    /// Whether the invariants hold; `places` are those of all bodies.
    pub fn is_sound(&self, mut places: impl ExactSizeIterator<Item = Point>) -> bool {
        self.trails.len() == places.len()
            && self.trails.iter().all(|trail| usize::from(trail.known) <= KEPT)
            && self.trails.iter().all(|trail| {
                let now = places.next();
                let moves = now.iter().chain(trail.known()).zip(trail.known());
                moves.zip(self.leaps).all(|((to, from), leap)| distance(*from, *to) <= leap)
            })
    }
}

/// The greater one of the distances in x and in y.
fn distance(one: Point, other: Point) -> u16 {
    one.x.abs_diff(other.x).max(one.y.abs_diff(other.y))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::game::body::distance_squared;
    use crate::game::{
        Argument, Command, DOTS, Denied, Direction, Event, EventKind, Field, Game, Ground,
        HeldKeys, PlayerId, Rect, Rules, Space, WORLD, Width, World,
    };

    const ANN: PlayerId = PlayerId(1);
    const BEN: PlayerId = PlayerId(2);
    const RIGHT: Option<Direction> = Some(Direction::Right);
    const LEFT: Option<Direction> = Some(Direction::Left);

    /// Ann and Ben under the rules of world, with steps of 10 and a reach of 40. All are put at
    /// (500, 500).
    fn duel() -> World {
        let ground = Ground { spawn: Rect::square(500, 500), ..WORLD.ground };
        let mut world = World::on(ground, &WORLD, 7, 4);
        for id in [ANN, BEN] {
            world.join(id, None, &mut Vec::new());
            hold(&mut world, id, None);
        }
        ticks(&mut world, 10);
        world
    }

    /// A player that has not attacked holds a direction from its next step on.
    fn hold(world: &mut World, id: PlayerId, direction: Option<Direction>) {
        let seq = world.steps(world.find(id).unwrap()).applied.wrapping_add(1);
        world.hold(id, HeldKeys { seq, direction, presses: 0, rewind: 0 });
    }

    /// Whom Ann hits with her first attack on the next tick. Nothing changes.
    fn hits(world: &World, rewind: u8) -> Vec<i64> {
        let mut world = World::load(world.rules(), &world.save()).unwrap();
        let seq = world.steps(0).applied.wrapping_add(1);
        world.hold(ANN, HeldKeys { seq, direction: None, presses: 1, rewind });
        hit(&ticks(&mut world, 1))
    }

    fn hit(events: &[Event]) -> Vec<i64> {
        let hit = events.iter().filter_map(|event| match event {
            Event::Own { kind: 0, arguments } => Some(arguments[0]),
            _ => None,
        });
        hit.collect()
    }

    fn ticks(world: &mut World, count: u32) -> Vec<Event> {
        let mut facts = Vec::new();
        for _ in 0..count {
            world.tick(&mut facts);
            assert!(world.is_sound());
        }
        facts.iter().map(|fact| fact.event).collect()
    }

    #[test]
    fn a_target_is_hit_where_the_attacker_saw_it() {
        let mut world = duel();
        let check = |world: &World, distance_at: &dyn Fn(i32) -> i32| {
            for rewind in 0..=u8::MAX {
                // In eighths of a tick, and never more than 5 ticks.
                let distance = distance_at(-i32::from(rewind.min(40)));
                let expected: &[i64] = if (distance + 4) / 8 <= 40 { &[2] } else { &[] };
                assert_eq!(hits(world, rewind), expected, "{distance} / 8 with {rewind}");
            }
        };
        hold(&mut world, BEN, RIGHT);
        for tick in 1..=20 {
            ticks(&mut world, 1);
            check(&world, &|eighths| (10 * (8 * tick + eighths)).max(0));
        }
        hold(&mut world, BEN, LEFT);
        for tick in 1..=20 {
            ticks(&mut world, 1);
            check(&world, &|eighths| 1_600 - (10 * (8 * tick + eighths)).max(0));
        }
    }

    #[test]
    fn whether_a_target_is_alive_is_judged_now() {
        let mut world = duel();
        let attack = |world: &mut World| {
            world.apply(ANN, Command::Attack, &mut Vec::new()).unwrap();
            ticks(world, 5);
        };
        (0..9).for_each(|_| attack(&mut world));
        // Alive where Ann sees it, and dead now.
        world.apply(ANN, Command::Attack, &mut Vec::new()).unwrap();
        assert!(world.bodies()[1].flags.dead);
        ticks(&mut world, 6);
        let dead_ticks = 60 - 6;
        for rewind in [0, 8, 40] {
            assert_eq!(hits(&world, rewind), [0_i64; 0]);
        }
        // Dead where Ann sees it, and alive now, at the same place.
        assert_eq!(ticks(&mut world, dead_ticks), [Event::Respawned(BEN)]);
        for rewind in [0, 8, 40] {
            assert_eq!(hits(&world, rewind), [2]);
        }
    }

    #[test]
    fn a_target_that_was_put_elsewhere_is_judged_at_its_present_place() {
        // Ben respawns where Ann is and runs away; a third player joins there.
        let mut world = duel();
        for id in [BEN, PlayerId(3)] {
            world.leave(id, &mut Vec::new());
            world.join(id, None, &mut Vec::new());
            hold(&mut world, id, RIGHT);
        }
        for tick in 1..=12 {
            ticks(&mut world, 1);
            for rewind in 0..=40 {
                // Their first place is that after the first tick.
                let is_known = i32::from(rewind) <= 8 * (tick - 1);
                let eighths = if is_known { i32::from(rewind) } else { 0 };
                let is_hit = (10 * (8 * tick - eighths) + 4) / 8 <= 40;
                let expected: &[i64] = if is_hit { &[2, 3] } else { &[] };
                assert_eq!(hits(&world, rewind), expected, "tick {tick}, {rewind}");
            }
        }
    }

    #[test]
    fn attacks_without_held_keys_are_judged_now() {
        let mut world = duel();
        hold(&mut world, BEN, RIGHT);
        ticks(&mut world, 5);
        assert_eq!(hits(&world, 8), [2]);
        let seq = world.steps(0).applied + 1;
        world.hold(ANN, HeldKeys { seq, direction: None, presses: 0, rewind: 40 });
        ticks(&mut world, 1);
        assert_eq!(hits(&world, 40), [2]);
        let mut facts = Vec::new();
        world.apply(ANN, Command::Attack, &mut facts).unwrap();
        let events: Vec<Event> = facts.iter().map(|fact| fact.event).collect();
        assert_eq!((events.len(), hit(&events)), (1, vec![]));
    }

    #[test]
    fn places_are_rounded_and_bounded() {
        let mut past = Past::default();
        past.insert(0);
        assert_eq!((past.place(0, 0), past.leap_max(40)), (None, 0));
        let at = |x, y| Point { x, y };
        past.trails[0] = Trail { places: [at(10, 65_535); KEPT], known: 2 };
        past.trails[0].places[1] = at(13, 0);
        let seen = [0, 1, 2, 4, 7, 8].map(|rewind| past.place(0, rewind));
        let expected =
            [at(10, 65_535), at(10, 57_343), at(11, 49_151), at(12, 32_768), at(13, 8_192)];
        assert_eq!(seen[..5], expected.map(Some));
        assert_eq!((seen[5], past.place(0, 9)), (Some(at(13, 0)), None));
        past.leaps = [1, 2, 4, 8, 16, 65_000];
        let leaps = [0, 1, 8, 9, 32, 33, 40].map(|rewind| past.leap_max(rewind));
        assert_eq!(leaps, [1, 3, 3, 7, 31, 65_031, 65_031]);
        past.leaps[4] = 1_000;
        assert_eq!(past.leap_max(40), u16::MAX);
    }

    /// Attacks find all near bodies, and commands put bodies elsewhere: at once, or on the tick.
    static RANGE: Rules = Rules {
        name: "range",
        ground: Ground {
            map: Rect::square(0, 1_000),
            walls: Rect::square(0, 1_000),
            spawn: Rect::square(400, 600),
        },
        step: 10,
        fields: &[Field::new("moves_away", Width::U8, 0)],
        events: &[EventKind::new("found", &[Argument::Player("by"), Argument::Player("id")])],
        game: |_| Box::new(Range(Vec::new())),
        ..DOTS
    };

    #[derive(Debug)]
    struct Range(Vec<usize>);

    impl Game for Range {
        fn command(&mut self, space: &mut Space, body: usize, it: Command) -> Result<(), Denied> {
            match it {
                Command::Own { kind: 0, .. } => space.respawn(body),
                Command::Own { .. } => space.set(body, 0, 1),
                _ => {
                    let Body { id: by, at, .. } = space.bodies()[body];
                    space.near(at, 40, &mut self.0);
                    for found in &self.0 {
                        let id = space.bodies()[*found].id.0;
                        space.report(Event::own(0, [by.0.into(), id.into()]), body);
                    }
                }
            }
            Ok(())
        }

        fn tick(&mut self, space: &mut Space) {
            for body in 0..space.bodies().len() {
                if space.value(body, 0) == 1 {
                    space.set(body, 0, 0);
                    space.respawn(body);
                }
            }
        }
    }

    /// Where a body was after each tick since it was put where it is, as numbers of any size.
    type Known = BTreeMap<PlayerId, Vec<(i64, i64)>>;

    fn found(world: &World, known: &Known, by: &Body, rewind: i64) -> Vec<u32> {
        let is_near = |body: &&Body| {
            let now = (i64::from(body.at.x), i64::from(body.at.y));
            let places = &known[&body.id];
            let behind = |ticks: i64| places.len().checked_sub(ticks as usize + 1);
            let (x, y) = match (behind(rewind / 8), behind((rewind + 7) / 8)) {
                (Some(later), Some(earlier)) if rewind > 0 && body.id != by.id => {
                    let (part, later, earlier) = (rewind % 8, places[later], places[earlier]);
                    let mean = |later, earlier| (later * (8 - part) + earlier * part + 4) / 8;
                    (mean(later.0, earlier.0), mean(later.1, earlier.1))
                }
                _ => now,
            };
            distance_squared(by.at, Point { x: x as u16, y: y as u16 }) <= 40 * 40
        };
        world.bodies().iter().filter(is_near).map(|body| body.id.0).collect()
    }

    #[test]
    fn any_attack_finds_what_a_naive_model_says() {
        let mut rewound = 0;
        for seed in 0..2 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut world = World::new(&RANGE, seed, 4);
            let (mut known, mut next, mut presses) = (Known::new(), 1, 0);
            for _ in 0..300 {
                while world.bodies().len() < 60 || rng.random_range(0..8) == 0 {
                    world.join(PlayerId(next), None, &mut Vec::new());
                    known.insert(PlayerId(next), Vec::new());
                    next += 1;
                }
                let one = world.bodies()[rng.random_range(0..60)].id;
                if rng.random_range(0..4) == 0 {
                    world.leave(one, &mut Vec::new());
                    known.remove(&one);
                }
                for index in 0..world.bodies().len() {
                    let id = world.bodies()[index].id;
                    let command = match rng.random_range(0..60) {
                        0..6 => Command::Step(Direction::ALL[rng.random_range(0..4)]),
                        6..8 => Command::MoveTo(Point { x: 500, y: 500 }),
                        kind @ (8 | 9) => Command::Own { kind: kind - 8, arguments: [0; 4] },
                        _ => continue,
                    };
                    if let Command::Own { kind: 0, .. } = command {
                        known.insert(id, Vec::new());
                    }
                    // A burst, as far as the credit goes.
                    for _ in 0..if command.is_move() { rng.random_range(1..6) } else { 1 } {
                        world.apply(id, command, &mut Vec::new()).unwrap();
                    }
                }
                let mut expected = Vec::new();
                presses = (presses + 1) % 32;
                for body in world.bodies().to_vec() {
                    let direction = Some(Direction::ALL[rng.random_range(0..4)]);
                    let index = world.find(body.id).unwrap();
                    let is_first = world.steps(index).applied == 0;
                    let (seq, rewind) = (world.now().0 as u16 + 1, rng.random_range(0..=48));
                    world.hold(body.id, HeldKeys { seq, direction, presses, rewind });
                    if !is_first {
                        let rewind = i64::from(rewind.min(40));
                        let ids = found(&world, &known, &body, rewind);
                        rewound += u32::from(ids != found(&world, &known, &body, 0));
                        expected.extend(ids.into_iter().map(|id| (body.id.0, id)));
                    }
                }
                let mut seen = Vec::new();
                for event in ticks(&mut world, 1) {
                    match event {
                        Event::Own { arguments: [by, id, ..], .. } => {
                            seen.push((by as u32, id as u32));
                        }
                        Event::Respawned(id) => known.get_mut(&id).unwrap().clear(),
                        _ => {}
                    }
                }
                assert_eq!(seen, expected, "seed {seed}, tick {:?}", world.now());
                for body in world.bodies() {
                    let at = (body.at.x.into(), body.at.y.into());
                    known.get_mut(&body.id).unwrap().push(at);
                }
                if rng.random_range(0..20) == 0 {
                    world = World::load(&RANGE, &world.save()).unwrap();
                }
            }
        }
        assert!(rewound > 3_000, "{rewound} attacks found other bodies than at rewind 0");
    }
}
