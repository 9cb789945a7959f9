//! Keys as players hold them, numbered by the players' own steps (INPUT of docs/skirmish-v1.md).
//!
//! Numbers of steps wrap and are compared as serial numbers (RFC 1982).

use arrayvec::ArrayVec;

use super::Direction;
use super::past::REWIND_MAX;
use crate::time::TICKS_PER_SECOND;

/// Keys for later steps that wait at most.
const WAITING_MAX: usize = 4;
/// Steps without new keys until the direction ends.
const HOLD_STEPS_MAX: u8 = TICKS_PER_SECOND as u8;
/// Presses are counted modulo this.
const PRESSES_MODULUS: u8 = 32;
/// Attacks in one step at most. More new presses count as this many.
const ATTACKS_MAX: u8 = 4;
/// The greatest distance of two steps: half of their range.
const FARTHEST: u16 = 1 << 15;

/// Keys as a player holds them, from one of its own steps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldKeys {
    /// The number of that step; it wraps.
    pub seq: u16,
    /// The direction that is held, if any.
    pub direction: Option<Direction>,
    /// Presses of the attack key so far, modulo 32.
    pub presses: u8,
    /// How long before the end of the newest tick the others were where the player sees them, in
    /// 1/8 ticks; at most [`REWIND_MAX`]. New presses are judged there.
    pub rewind: u8,
}

/// How far the server is with the steps of a player.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// The newest step that was run.
    pub applied: u16,
    /// The newest step of which keys were received, minus `applied`, clamped to -128 to 127.
    pub lead: i8,
}

impl Steps {
    /// Ticks before the one that runs a step; 0 for a step that is late.
    #[must_use]
    pub fn ticks_before(self, step: u16) -> u16 {
        (step.wrapping_sub(self.applied.wrapping_add(1)) as i16).max(0) as u16
    }
}

/// The held keys of one body, and its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The newest step that was run.
    applied: u16,
    /// The newest keys for `applied` or an earlier step.
    keys: HeldKeys,
    /// Keys for later steps, in the order of their steps. One more than may wait, for a moment.
    waiting: ArrayVec<HeldKeys, { WAITING_MAX + 1 }>,
    /// The presses up to `applied`.
    presses: u8,
    /// Steps since keys were received, at most [`HOLD_STEPS_MAX`].
    silence: u8,
}

impl Held {
    /// From the first keys on: the next step is theirs, and their presses are not new.
    pub fn new(keys: HeldKeys) -> Held {
        let HeldKeys { seq, presses, rewind, .. } = keys.masked();
        let applied = seq.wrapping_sub(1);
        let mut held = Held {
            applied,
            keys: HeldKeys { seq: applied, direction: None, presses, rewind },
            waiting: ArrayVec::new(),
            presses,
            silence: 0,
        };
        held.hold(keys);
        held
    }

    /// Keys were received. Those for a step that was run hold from the next one, unless newer ones
    /// do. Of five that would wait the second newest are dropped: the steps that come next and the
    /// newest keys are kept, and no press is lost, because presses are counted from the first one.
    pub fn hold(&mut self, keys: HeldKeys) {
        let keys = keys.masked();
        self.silence = 0;
        if is_after(keys.seq, self.applied) {
            let at = self.waiting.partition_point(|other| is_after(keys.seq, other.seq));
            match self.waiting.get_mut(at) {
                Some(other) if other.seq == keys.seq => *other = keys,
                _ => self.waiting.insert(at, keys),
            }
            if self.waiting.len() > WAITING_MAX {
                self.waiting.remove(WAITING_MAX - 1);
            }
        } else if !is_after(self.keys.seq, keys.seq) {
            self.keys = keys;
        }
    }

    /// Runs the next step. Returns the attacks in it.
    pub fn run_step(&mut self) -> u8 {
        self.applied = self.applied.wrapping_add(1);
        if self.waiting.first().is_some_and(|first| first.seq == self.applied) {
            self.keys = self.waiting.remove(0);
        }
        // After 27 minutes with the same keys their number would count as a later one.
        if self.applied.wrapping_sub(self.keys.seq) > FARTHEST {
            self.keys.seq = self.applied.wrapping_sub(FARTHEST);
        }
        if self.silence == HOLD_STEPS_MAX {
            self.keys.direction = None;
        } else {
            self.silence += 1;
        }
        let before = std::mem::replace(&mut self.presses, self.keys.presses);
        (self.presses.wrapping_sub(before) % PRESSES_MODULUS).min(ATTACKS_MAX)
    }

    /// The direction that is held.
    pub fn direction(&self) -> Option<Direction> {
        self.keys.direction
    }

    /// The rewind of the attacks in the newest step.
    pub fn rewind(&self) -> u8 {
        self.keys.rewind
    }

    /// How far the steps are.
    pub fn steps(&self) -> Steps {
        let newest = self.waiting.last().unwrap_or(&self.keys);
        let lead = newest.seq.wrapping_sub(self.applied) as i16;
        let lead = lead.clamp(i8::MIN.into(), i8::MAX.into()) as i8;
        Steps { applied: self.applied, lead }
    }

    /// Whether the invariants hold.
    pub fn is_sound(&self) -> bool {
        self.applied.wrapping_sub(self.keys.seq) <= FARTHEST
            && self.waiting.len() <= WAITING_MAX
            && self.waiting.is_sorted_by(|one, other| is_after(other.seq, one.seq))
            && self.waiting.iter().all(|keys| is_after(keys.seq, self.applied))
            && self.waiting.iter().chain([&self.keys]).all(|keys| *keys == keys.masked())
            && self.presses < PRESSES_MODULUS
            && self.silence <= HOLD_STEPS_MAX
    }
}

impl HeldKeys {
    /// The same with the presses modulo 32 and the rewind at most [`REWIND_MAX`].
    fn masked(self) -> HeldKeys {
        let (presses, rewind) = (self.presses % PRESSES_MODULUS, self.rewind.min(REWIND_MAX));
        HeldKeys { presses, rewind, ..self }
    }
}

/// Whether a step is later than another.
fn is_after(step: u16, other: u16) -> bool {
    (step.wrapping_sub(other) as i16) > 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::game::{
        BATTLE, Command, DOTS, Denied, Event, Fact, Field, Game, Ground, PlayerId, Point, Rect,
        Rules, Space, Width, World,
    };

    const ANN: PlayerId = PlayerId(1);
    const BEN: PlayerId = PlayerId(2);
    const CLEO: PlayerId = PlayerId(3);
    const UP: Option<Direction> = Some(Direction::Up);
    const DOWN: Option<Direction> = Some(Direction::Down);
    const LEFT: Option<Direction> = Some(Direction::Left);
    const RIGHT: Option<Direction> = Some(Direction::Right);

    /// All start in the middle, and attacks are counted. One command kills for some ticks; after
    /// the other one an attack panics.
    static DRILL: Rules = Rules {
        name: "drill",
        ground: Ground {
            map: Rect::square(0, 1_000),
            walls: Rect::square(10, 990),
            spawn: Rect::square(500, 500),
        },
        fields: &[
            Field::new("attacks", Width::I32, 0),
            Field::new("dead_ticks", Width::U8, 0),
            Field::new("panics", Width::U8, 0),
        ],
        game: |_| Box::new(Drill),
        ..DOTS
    };

    #[derive(Debug)]
    struct Drill;

    const ATTACKS: usize = 0;
    const DEAD_TICKS: usize = 1;
    const PANICS: usize = 2;

    impl Game for Drill {
        fn command(&mut self, space: &mut Space, body: usize, it: Command) -> Result<(), Denied> {
            if space.bodies()[body].flags.dead {
                return Err(Denied::Dead);
            }
            match it {
                Command::Own { kind: 0, arguments: [ticks, ..] } => {
                    space.set(body, DEAD_TICKS, ticks);
                    space.kill(body);
                }
                Command::Own { .. } => space.set(body, PANICS, 1),
                _ if space.value(body, PANICS) == 1 => panic!("the command for this was given"),
                _ => {
                    space.set(body, ATTACKS, space.value(body, ATTACKS) + 1);
                    space.mark_attacking(body);
                }
            }
            Ok(())
        }

        fn tick(&mut self, space: &mut Space) {
            for body in 0..space.bodies().len() {
                let ticks = space.value(body, DEAD_TICKS);
                space.set(body, DEAD_TICKS, ticks - 1);
                if ticks == 1 {
                    space.respawn(body);
                }
            }
        }
    }

    fn drill(players: u32) -> World {
        let mut world = World::new(&DRILL, 7, 4);
        (1..=players).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
        world
    }

    fn held(seq: u16, direction: Option<Direction>, presses: u8) -> HeldKeys {
        HeldKeys { seq, direction, presses, rewind: 0 }
    }

    fn hold(world: &mut World, seq: u16, direction: Option<Direction>) {
        world.hold(ANN, held(seq, direction, 0));
    }

    fn press(world: &mut World, seq: u16, presses: u8) {
        world.hold(ANN, held(seq, None, presses));
    }

    fn kill(world: &mut World, ticks: i32) {
        let command = Command::Own { kind: 0, arguments: [ticks, 0, 0, 0] };
        world.apply(ANN, command, &mut Vec::new()).unwrap();
    }

    fn ticks(world: &mut World, count: u32) -> Vec<Event> {
        let mut facts: Vec<Fact> = Vec::new();
        for _ in 0..count {
            world.tick(&mut facts);
            assert!(world.is_sound());
        }
        facts.iter().map(|fact| fact.event).collect()
    }

    /// Where a body is, as steps from the middle.
    fn at(world: &World, body: usize) -> (i32, i32) {
        let steps = |place: u16| (i32::from(place) - 500) / 10;
        (steps(world.bodies()[body].at.x), steps(world.bodies()[body].at.y))
    }

    fn steps(world: &World) -> (u16, i8) {
        let Steps { applied, lead } = world.steps(0);
        (applied, lead)
    }

    fn attacks(world: &World) -> i32 {
        world.snapshot().row(0)[ATTACKS]
    }

    #[test]
    fn keys_hold_from_their_step_on() {
        let mut world = drill(1);
        assert_eq!(world.steps(0), Steps::default());
        hold(&mut world, 10, RIGHT);
        assert_eq!((steps(&world), at(&world, 0)), ((9, 1), (0, 0)), "not before the tick");
        hold(&mut world, 12, DOWN);
        hold(&mut world, 14, None);
        let mut seen = Vec::new();
        for _ in 0..6 {
            ticks(&mut world, 1);
            seen.push((steps(&world), at(&world, 0), world.bodies()[0].course));
        }
        let expected = [
            ((10, 4), (1, 0), RIGHT),
            ((11, 3), (2, 0), RIGHT),
            ((12, 2), (2, 1), DOWN),
            ((13, 1), (2, 2), DOWN),
            ((14, 0), (2, 2), None),
            ((15, -1), (2, 2), None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn late_keys_hold_from_the_next_step_on() {
        let mut world = drill(1);
        hold(&mut world, 10, RIGHT);
        ticks(&mut world, 5);
        hold(&mut world, 12, DOWN);
        assert_eq!((steps(&world), at(&world, 0)), ((14, -2), (5, 0)));
        ticks(&mut world, 1);
        assert_eq!(at(&world, 0), (5, 1));
        hold(&mut world, 11, UP);
        ticks(&mut world, 1);
        assert_eq!(at(&world, 0), (5, 2), "newer ones hold already");
        hold(&mut world, 12, LEFT);
        ticks(&mut world, 1);
        assert_eq!(at(&world, 0), (4, 2), "of two with one number the later one holds");
        hold(&mut world, 17, UP);
        ticks(&mut world, 1);
        assert_eq!((steps(&world), at(&world, 0)), ((18, -1), (4, 1)));
    }

    #[test]
    fn no_press_is_lost_with_the_keys_that_are() {
        let mut world = drill(1);
        let mut expected = 0;
        for (seq, presses, is_received) in [
            (1, 7, true),
            (2, 8, false),
            (3, 8, true),
            (4, 9, false),
            (5, 10, false),
            (6, 10, true),
            (7, 10, true),
            (8, 11, true),
        ] {
            if is_received {
                press(&mut world, seq, presses);
                expected = i32::from(presses) - 7;
            }
            ticks(&mut world, 1);
            assert_eq!(attacks(&world), expected, "after step {seq}");
        }
    }

    #[test]
    fn a_lost_repetition_changes_nothing() {
        let [mut all, mut few] = [drill(1), drill(1)];
        for seq in 100..130 {
            let direction = [UP, RIGHT, None][usize::from(seq / 8 % 3)];
            hold(&mut all, seq, direction);
            if seq == 100 || seq % 8 == 0 {
                hold(&mut few, seq, direction);
            }
            ticks(&mut all, 1);
            ticks(&mut few, 1);
            assert_eq!(all.bodies(), few.bodies());
        }
    }

    #[test]
    fn the_order_of_keys_and_their_repetition_change_nothing() {
        let sent = [held(20, RIGHT, 3), held(21, UP, 4), held(22, LEFT, 4), held(24, None, 6)];
        let play = |order: &[usize]| {
            let mut world = drill(1);
            order.iter().for_each(|index| world.hold(ANN, sent[*index]));
            let mut seen = Vec::new();
            for _ in 0..6 {
                ticks(&mut world, 1);
                seen.push((world.steps(0), at(&world, 0), attacks(&world)));
            }
            seen
        };
        let expected = play(&[0, 1, 2, 3]);
        assert_eq!(expected[5], (Steps { applied: 25, lead: -1 }, (-1, -1), 3));
        for order in [[0, 3, 2, 1, 0], [0, 2, 1, 3, 3], [0, 1, 1, 3, 2], [0, 0, 3, 1, 2]] {
            assert_eq!(play(&order), expected, "{order:?}");
        }
        // Keys before the first ones that were received are not held, and nothing was pressed.
        let behind = play(&[1, 0, 2, 3]);
        assert_eq!(behind[5], (Steps { applied: 26, lead: -2 }, (-2, -1), 2));
    }

    // T58
    #[test]
    fn a_flood_of_keys_changes_nothing() {
        let mut world = drill(1);
        press(&mut world, 1, 0);
        for round in 0..10 {
            for seq in 0..500 {
                hold(&mut world, round + 1 + seq % 3, RIGHT);
            }
            ticks(&mut world, 1);
            let far = i32::from(round) + 1;
            assert_eq!((steps(&world), at(&world, 0)), ((round + 1, 2), (far, 0)));
        }
        assert_eq!(attacks(&world), 0);
    }

    #[test]
    fn the_next_steps_and_the_newest_keys_wait() {
        let seqs = [10, 11, 12, 13, 14, 15, 40];
        for order in [[0, 1, 2, 3, 4, 5, 6], [0, 6, 5, 4, 3, 2, 1], [0, 6, 1, 5, 2, 4, 3]] {
            let mut world = drill(1);
            for index in order {
                let presses = 30 + index as u8;
                world.hold(ANN, held(seqs[index], Some(Direction::ALL[index % 4]), presses));
                assert!(world.is_sound());
            }
            let mut courses = Vec::new();
            for seq in 10..30 {
                ticks(&mut world, 1);
                assert_eq!(steps(&world), (seq, (40 - seq) as i8));
                courses.push(world.bodies()[0].course);
            }
            // 13 to 15 were dropped.
            assert_eq!(courses[..3], [UP, DOWN, LEFT], "{order:?}");
            assert!(courses[3..].iter().all(|course| *course == LEFT), "{order:?}");
            assert_eq!(attacks(&world), 2);
            world.hold(ANN, held(40, LEFT, 36));
            ticks(&mut world, 11);
            assert_eq!((steps(&world), attacks(&world)), ((40, 0), 6), "no press is lost");
        }
    }

    // T68
    #[test]
    fn the_first_keys_may_have_any_number_and_numbers_wrap() {
        for first in [0, 1, 9, 32_767, 32_768, 65_530, 65_534, 65_535_u16] {
            let mut world = drill(1);
            hold(&mut world, first, RIGHT);
            assert_eq!(steps(&world), (first.wrapping_sub(1), 1));
            for step in 0..12 {
                hold(
                    &mut world,
                    first.wrapping_add(step + 2),
                    [RIGHT, DOWN][usize::from(step % 2)],
                );
                ticks(&mut world, 1);
                assert_eq!(steps(&world), (first.wrapping_add(step), 2));
            }
            assert_eq!(at(&world, 0), (7, 5), "from {first}");
        }
    }

    #[test]
    fn presses_wrap_and_are_bounded_in_one_step() {
        let mut world = drill(1);
        press(&mut world, 1, 30);
        let mut seq = 1;
        for (presses, expected) in
            [(30, 0), (31, 1), (0, 2), (2, 4), (2, 4), (6, 8), (11, 12), (12, 13), (11, 17)]
        {
            press(&mut world, seq, presses);
            ticks(&mut world, 1);
            seq += 1;
            assert_eq!(attacks(&world), expected, "with {presses}");
        }
        press(&mut world, seq, 11 + 32 + 1);
        ticks(&mut world, 1);
        assert_eq!(attacks(&world), 18, "modulo 32");
        assert!(world.bodies()[0].flags.attacking);
        ticks(&mut world, 1);
        assert!(!world.bodies()[0].flags.attacking);
    }

    #[test]
    fn the_direction_ends_after_a_second_without_keys() {
        let mut world = drill(1);
        hold(&mut world, 1, RIGHT);
        ticks(&mut world, 20);
        assert_eq!((at(&world, 0), world.bodies()[0].course), ((20, 0), RIGHT));
        ticks(&mut world, 5);
        assert_eq!((at(&world, 0), world.bodies()[0].course), ((20, 0), None));
        assert_eq!(steps(&world), (25, -24), "steps go on");
        // New keys, though for a later step: what has ended does not come back before.
        hold(&mut world, 28, DOWN);
        ticks(&mut world, 2);
        assert_eq!(at(&world, 0), (20, 0));
        ticks(&mut world, 10);
        assert_eq!(at(&world, 0), (20, 10));
        // Any keys count, also such as change nothing.
        hold(&mut world, 28, DOWN);
        ticks(&mut world, 20);
        assert_eq!(at(&world, 0), (20, 30));
        hold(&mut world, 30, UP);
        hold(&mut world, 90, LEFT);
        ticks(&mut world, 50);
        assert_eq!((steps(&world), at(&world, 0)), ((107, -17), (20, 10)));
        assert_eq!(world.bodies()[0].course, None, "they were sent more than a second ago");
    }

    #[test]
    fn keys_after_a_silence_of_any_length_hold() {
        let mut world = drill(1);
        hold(&mut world, 1, RIGHT);
        let mut applied = 0_u32;
        for silence in [30, 32_766, 32_767, 32_768, 32_769, 65_535, 65_536, 70_000] {
            while applied < silence {
                world.tick(&mut Vec::new());
                applied += 1;
            }
            assert!(world.is_sound());
            let (now, lead) = steps(&world);
            assert_eq!((now, lead), (applied as u16, (1 - applied as i32).max(-128) as i8));
            for seq in [now.wrapping_sub(5), now, now.wrapping_add(1), now.wrapping_add(9)] {
                let mut later = World::load(&DRILL, &world.save()).unwrap();
                hold(&mut later, seq, DOWN);
                let (_, y) = at(&later, 0);
                ticks(&mut later, 10);
                let moves = if seq == now.wrapping_add(9) { 2 } else { 10 };
                assert_eq!(at(&later, 0).1, y + moves, "{seq} after {silence}");
            }
        }
    }

    #[test]
    fn a_direction_that_is_still_held_is_the_course_after_a_respawn() {
        let mut world = drill(1);
        hold(&mut world, 1, RIGHT);
        ticks(&mut world, 3);
        kill(&mut world, 4);
        assert_eq!(world.bodies()[0].course, None);
        world.hold(ANN, held(5, RIGHT, 3));
        ticks(&mut world, 2);
        world.hold(ANN, held(6, DOWN, 3));
        ticks(&mut world, 1);
        assert_eq!((at(&world, 0), world.bodies()[0].course), ((3, 0), None));
        assert_eq!((steps(&world), attacks(&world)), ((6, 0), 0), "steps are counted");
        assert_eq!(ticks(&mut world, 1), [Event::Respawned(ANN)]);
        let body = &world.bodies()[0];
        assert_eq!((at(&world, 0), body.course), ((0, 0), DOWN), "on that tick");
        assert!(body.flags.teleported && !body.flags.dead);
        ticks(&mut world, 1);
        assert_eq!((at(&world, 0), attacks(&world)), ((0, 1), 0));
        // A direction that was released meanwhile is not the course.
        kill(&mut world, 3);
        ticks(&mut world, 1);
        hold(&mut world, 9, None);
        ticks(&mut world, 2);
        assert_eq!((at(&world, 0), world.bodies()[0].course), ((0, 0), None));
        // Neither is one that ended after a second without keys.
        hold(&mut world, 12, UP);
        kill(&mut world, 30);
        assert_eq!(ticks(&mut world, 30), [Event::Respawned(ANN)]);
        assert_eq!(world.bodies()[0].course, None);
    }

    #[test]
    fn a_wall_stops_a_body_and_not_its_course() {
        let mut world = drill(1);
        for seq in 1..60 {
            hold(&mut world, seq, LEFT);
            ticks(&mut world, 1);
        }
        let body = &world.bodies()[0];
        assert_eq!((body.at, body.course), (Point { x: 10, y: 500 }, LEFT));
        hold(&mut world, 60, DOWN);
        ticks(&mut world, 1);
        assert_eq!(world.bodies()[0].at, Point { x: 10, y: 510 });
    }

    #[test]
    fn single_moves_are_made_beside_held_keys() {
        let mut world = drill(1);
        let step = |world: &mut World, direction| {
            world.apply(ANN, Command::Step(direction), &mut Vec::new()).unwrap();
        };
        hold(&mut world, 1, RIGHT);
        ticks(&mut world, 2);
        step(&mut world, Direction::Up);
        assert_eq!(at(&world, 0), (2, -1), "with credit it is made at once");
        ticks(&mut world, 1);
        assert_eq!(at(&world, 0), (3, -1));
        (0..4).for_each(|_| step(&mut world, Direction::Up));
        assert_eq!(at(&world, 0), (3, -4));
        ticks(&mut world, 1);
        assert_eq!(at(&world, 0), (3, -5), "without credit it is the step of the tick");
        ticks(&mut world, 1);
        assert_eq!((at(&world, 0), steps(&world)), ((4, -5), (5, -4)));
        hold(&mut world, 6, None);
        ticks(&mut world, 3);
        (0..4).for_each(|_| step(&mut world, Direction::Down));
        assert_eq!(at(&world, 0), (4, -2), "credit is saved without a direction");
    }

    #[test]
    fn keys_belong_to_their_player_until_it_leaves_or_releases_them() {
        let mut world = drill(3);
        world.hold(PlayerId(9), held(1, UP, 0));
        world.release(PlayerId(9));
        for (id, direction) in [(BEN, UP), (CLEO, LEFT)] {
            world.hold(id, held(1, direction, 0));
        }
        ticks(&mut world, 2);
        world.leave(ANN, &mut Vec::new());
        ticks(&mut world, 1);
        assert_eq!([at(&world, 0), at(&world, 1)], [(0, -3), (-3, 0)]);
        // A bot that returns has no keys of before.
        world.join(ANN, None, &mut Vec::new());
        ticks(&mut world, 1);
        assert_eq!([at(&world, 0), at(&world, 1), at(&world, 2)], [(0, 0), (0, -4), (-4, 0)]);
        assert_eq!([0, 1, 2].map(|body| world.steps(body).applied), [0, 4, 4]);
        world.release(ANN);
        world.release(BEN);
        assert_eq!((world.bodies()[1].course, world.steps(1)), (None, Steps::default()));
        ticks(&mut world, 1);
        assert_eq!([at(&world, 1), at(&world, 2)], [(0, -4), (-5, 0)]);
        world.hold(BEN, held(700, DOWN, 9));
        ticks(&mut world, 1);
        assert_eq!((at(&world, 1), world.steps(1)), ((0, -3), Steps { applied: 700, lead: 0 }));
    }

    #[test]
    fn attacks_are_made_in_the_order_of_bodies_before_the_moves() {
        let ground = Ground { spawn: Rect::square(50, 50), ..BATTLE.ground };
        let mut world = World::on(ground, &BATTLE, 7, 4);
        [BEN, CLEO].into_iter().for_each(|id| world.join(id, None, &mut Vec::new()));
        let mut events = Vec::new();
        for seq in 0..60 {
            let presses = (seq / 6) as u8;
            world.hold(CLEO, held(seq, None, presses));
            world.hold(BEN, held(seq, None, presses));
            events.extend(ticks(&mut world, 1));
        }
        let own = |kind: u8, number: i64| {
            events
                .iter()
                .filter(|event| {
                    matches!(event, Event::Own { kind: is, arguments }
                        if (*is, arguments[0]) == (kind, number))
                })
                .count()
        };
        // player_attacked, player_attack: 9 presses after the baseline.
        assert_eq!([own(0, 2), own(0, 3), own(2, 2), own(2, 3)], [9, 9, 9, 9]);
        // The tenth of Ben kills Cleo, whose own one and whose step come too late.
        world.hold(CLEO, held(60, RIGHT, 10));
        world.hold(BEN, held(60, None, 10));
        let (before, events) = (world.bodies()[1].at, ticks(&mut world, 1));
        let kinds: Vec<u8> = events
            .iter()
            .filter_map(|event| match event {
                Event::Own { kind, .. } => Some(*kind),
                _ => None,
            })
            .collect();
        assert_eq!(kinds, [2, 0, 1], "an attack, a hit, a kill");
        let [ben, cleo] = world.bodies() else { panic!("two bodies") };
        assert_eq!((ben.flags.attacking, cleo.flags.attacking), (true, false));
        assert_eq!((cleo.flags.dead, cleo.course, cleo.at), (true, None, before));
        assert_eq!(world.snapshot().row(0)[4], world.now().0 as i32, "attack_tick is this tick");
    }

    #[test]
    fn a_body_faces_the_direction_of_its_keys_when_it_attacks() {
        let mut world = World::new(&BATTLE, 7, 4);
        world.join(ANN, None, &mut Vec::new());
        press(&mut world, 1, 0);
        ticks(&mut world, 1);
        world.hold(ANN, held(2, LEFT, 1));
        let attack = Event::own(2, [1, Direction::Left as i64]);
        assert_eq!(ticks(&mut world, 1), [attack]);
    }

    #[test]
    fn presses_in_a_game_without_combat_do_nothing() {
        let mut world = World::new(&DOTS, 7, 4);
        world.join(ANN, None, &mut Vec::new());
        press(&mut world, 1, 0);
        press(&mut world, 2, 3);
        assert_eq!(ticks(&mut world, 3), []);
        assert!(!world.bodies()[0].flags.attacking);
    }

    #[test]
    fn a_world_is_not_sound_after_a_panic_in_an_attack() {
        let mut world = drill(1);
        press(&mut world, 1, 0);
        press(&mut world, 2, 1);
        let command = Command::Own { kind: 1, arguments: [0; 4] };
        world.apply(ANN, command, &mut Vec::new()).unwrap();
        ticks(&mut world, 1);
        let result = catch_unwind(AssertUnwindSafe(|| world.tick(&mut Vec::new())));
        assert!(result.is_err() && !world.is_sound());
    }

    #[test]
    fn saved_keys_that_contradict_each_other_are_refused() {
        let mut whole = Held::new(held(10, UP, 3));
        assert!(whole.is_sound());
        assert_eq!(whole.run_step(), 0);
        [11, 13, 15, 17].into_iter().for_each(|seq| whole.hold(held(seq, DOWN, 4)));
        assert!(whole.is_sound());
        type Damage = fn(&mut Held);
        let damages: [Damage; 9] = [
            |it| it.applied = 11,
            |it| it.waiting[1].seq = 11,
            |it| it.waiting.swap(0, 3),
            |it| it.waiting.push(held(19, None, 4)),
            |it| it.waiting[2].presses = 32,
            |it| it.keys.presses = 32,
            |it| it.presses = 32,
            |it| it.silence = 21,
            |it| it.keys.seq = 12,
        ];
        for (index, damage) in damages.into_iter().enumerate() {
            let mut damaged = whole.clone();
            damage(&mut damaged);
            assert!(!damaged.is_sound(), "{index}");
        }
    }

    impl Held {
        /// Keys that contradict each other.
        pub fn unsound() -> Held {
            Held { silence: HOLD_STEPS_MAX + 1, ..Held::new(held(1, None, 0)) }
        }
    }

    /// What the document says, in numbers that do not wrap.
    struct Model {
        applied: u64,
        received: BTreeMap<u64, HeldKeys>,
        presses: u8,
        silence: u32,
        at: (i32, i32),
        attacks: i32,
    }

    impl Model {
        fn hold(&mut self, seq: u64, keys: HeldKeys) {
            self.silence = 0;
            self.received.insert(seq, keys);
            let later: Vec<u64> =
                self.received.range(self.applied + 1..).map(|(seq, _)| *seq).collect();
            if let [.., dropped, _] = later[..]
                && later.len() == 5
            {
                self.received.remove(&dropped);
            }
        }

        fn tick(&mut self) {
            self.applied += 1;
            if self.silence == 20 {
                let run = self.received.range_mut(..=self.applied);
                run.for_each(|(_, keys)| keys.direction = None);
            } else {
                self.silence += 1;
            }
            let (_, keys) = self.received.range(..=self.applied).next_back().unwrap();
            let new_presses = (i32::from(keys.presses) - i32::from(self.presses)).rem_euclid(32);
            self.attacks += new_presses.min(4);
            self.presses = keys.presses;
            let (dx, dy) = match keys.direction {
                None => (0, 0),
                Some(Direction::Up) => (0, -10),
                Some(Direction::Down) => (0, 10),
                Some(Direction::Left) => (-10, 0),
                Some(Direction::Right) => (10, 0),
            };
            self.at = ((self.at.0 + dx).clamp(10, 990), (self.at.1 + dy).clamp(10, 990));
        }
    }

    // T60
    #[test]
    fn any_sequence_of_keys_does_what_a_naive_model_says() {
        for seed in 0..60 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut world = drill(1);
            // The numbers wrap in most runs.
            let first: u64 = (1 << 32) - rng.random_range(0..400);
            let mut model = Model {
                applied: first - 1,
                received: BTreeMap::new(),
                presses: 31,
                silence: 0,
                at: (500, 500),
                attacks: 0,
            };
            let mut presses: u8 = 31;
            let (spread, pause) = (rng.random_range(1..12), rng.random_range(1..30));
            for round in 0..400 {
                let count =
                    if rng.random_range(0..pause) == 0 { rng.random_range(0..8) } else { 0 };
                for index in 0..count.max(u32::from(round == 0)) {
                    let is_first = (round, index) == (0, 0);
                    let near = (model.applied + 1).saturating_add_signed(if is_first {
                        0
                    } else {
                        rng.random_range(-spread..=spread)
                    });
                    let seq = near.max(first);
                    let presses_more = if is_first { 0 } else { rng.random_range(0..3) };
                    presses = (presses + presses_more) % 32;
                    let direction = match rng.random_range(0..5) {
                        4 => None,
                        index => Some(Direction::ALL[index]),
                    };
                    let keys = held(seq as u16, direction, presses);
                    model.hold(seq, keys);
                    world.hold(ANN, keys);
                }
                world.tick(&mut Vec::new());
                model.tick();
                assert!(world.is_sound());
                let place = world.bodies()[0].at;
                let seen = ((i32::from(place.x), i32::from(place.y)), attacks(&world));
                assert_eq!(seen, (model.at, model.attacks), "seed {seed}, round {round}");
                let newest = *model.received.keys().next_back().unwrap() as i64;
                let lead = newest - model.applied as i64;
                let expected = (model.applied as u16, lead.clamp(-128, 127) as i8);
                assert_eq!(steps(&world), expected, "seed {seed}, round {round}");
                if rng.random_range(0..40) == 0 {
                    world = World::load(&DRILL, &world.save()).unwrap();
                }
            }
        }
    }
}
