//! Chooses the moves of a battle player: at most 5 map units in x and in y.

use std::ops::RangeInclusive;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::Position;
use crate::codec::json::Direction;
use crate::config::Pattern;

/// Maximum distance of one move, in x and in y.
pub const STEP: f64 = 5.0;
/// The middle of the map: the target of a player whose position is unknown.
pub const MIDDLE: Position = Position { x: 50.0, y: 50.0 };
/// The x and y of the map.
const MAP: RangeInclusive<f64> = 0.0..=100.0;
/// The x of players without a duel, while there are duels at the edges: out of
/// reach (10 units) of the duels, in both directions.
const FAR_FROM_DUELS: RangeInclusive<f64> = 25.0..=75.0;
/// The width and height of the place of a crowd.
const CROWD: f64 = 20.0;

/// The part of the map where a player moves.
#[derive(Debug)]
pub struct Area {
    x: RangeInclusive<f64>,
    y: RangeInclusive<f64>,
}

impl Area {
    /// The area of a movement pattern. With duels it is away from the edges.
    #[must_use]
    pub fn new(pattern: Pattern, has_duels: bool) -> Area {
        let x = if has_duels { FAR_FROM_DUELS } else { MAP };
        match pattern {
            Pattern::Random | Pattern::Straight => Area { x, y: MAP },
            Pattern::Crowd => Area { x: *x.start()..=x.start() + CROWD, y: 0.0..=CROWD },
        }
    }

    /// A random position within one step of `at`, in whole units.
    pub fn anywhere(&self, at: Position, rng: &mut SmallRng) -> Position {
        Position { x: elsewhere(at.x, &self.x, rng), y: elsewhere(at.y, &self.y, rng) }
    }

    /// One step in a direction; `None` if that leads out of the area.
    #[must_use]
    pub fn ahead(&self, at: Position, direction: Direction) -> Option<Position> {
        let to = match direction {
            Direction::Up => Position { y: at.y - STEP, ..at },
            Direction::Down => Position { y: at.y + STEP, ..at },
            Direction::Left => Position { x: at.x - STEP, ..at },
            Direction::Right => Position { x: at.x + STEP, ..at },
        };
        let distance = |at: f64, within| (nearest(at, within) - at).abs();
        let may_move = |from, to, within| distance(to, within) <= distance(from, within);
        (may_move(at.x, to.x, &self.x) && may_move(at.y, to.y, &self.y)).then_some(to)
    }

    /// A position one step nearer to the area; `None` inside.
    #[must_use]
    pub fn nearer(&self, at: Position) -> Option<Position> {
        let step = |from: f64, within| from + (nearest(from, within) - from).clamp(-STEP, STEP);
        let to = Position { x: step(at.x, &self.x), y: step(at.y, &self.y) };
        (to != at).then_some(to)
    }
}

/// The point of a range that is nearest to `at`.
fn nearest(at: f64, within: &RangeInclusive<f64>) -> f64 {
    at.clamp(*within.start(), *within.end())
}

fn elsewhere(at: f64, within: &RangeInclusive<f64>, rng: &mut SmallRng) -> f64 {
    let length = f64::from(rng.random_range(1..=STEP as u32));
    let is_back = match () {
        () if at - length < *within.start() => false,
        () if at + length > *within.end() => true,
        () => rng.random(),
    };
    if is_back { at - length } else { at + length }
}

/// Whether `x` is out of reach of the duels.
#[must_use]
pub fn is_far_from_duels(x: f64) -> bool {
    FAR_FROM_DUELS.contains(&x)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::load::course::Course;

    #[test]
    fn steps_are_short_and_stay_on_the_map() {
        let mut rng = SmallRng::seed_from_u64(1);
        for has_duels in [false, true] {
            let area = Area::new(Pattern::Random, has_duels);
            let mut at = Position { x: 0.0, y: 100.0 };
            for nth in 0..10_000 {
                let to = area.anywhere(at, &mut rng);
                let far = (to.x - at.x).abs().max((to.y - at.y).abs());
                assert!((1.0..=STEP).contains(&far) && to.x != at.x && to.y != at.y);
                assert!((0.0..=100.0).contains(&to.x) && (0.0..=100.0).contains(&to.y));
                assert!(!has_duels || nth < 30 || is_far_from_duels(to.x), "{to:?}");
                at = to;
            }
        }
    }

    #[test]
    fn a_straight_run_turns_at_the_edges() {
        let mut rng = SmallRng::seed_from_u64(1);
        let (mut course, mut turns) = (Course::default(), 0);
        let area = Area::new(Pattern::Straight, true);
        let mut at = Position { x: 1.0, y: 99.0 };
        for nth in 0..2_000 {
            match area.ahead(at, course.ahead(nth * 100_000, &mut rng)) {
                Some(to) => at = to,
                None => {
                    course.turn();
                    turns += 1;
                }
            }
            assert!((0.0..=75.0).contains(&at.x) && (0.0..=100.0).contains(&at.y), "{at:?}");
            assert!(nth < 200 || is_far_from_duels(at.x), "{at:?} after {nth}");
        }
        assert!((1..1_000).contains(&turns), "{turns} turns");
    }

    #[test]
    fn a_crowd_gathers_and_stays_together() {
        let mut rng = SmallRng::seed_from_u64(1);
        for (has_duels, x) in [(false, 0.0..=20.0), (true, 25.0..=45.0)] {
            let area = Area::new(Pattern::Crowd, has_duels);
            let mut at = Position { x: 100.0, y: 88.5 };
            let mut steps = 0;
            while let Some(to) = area.nearer(at) {
                assert!((to.x - at.x).abs() <= STEP && (to.y - at.y).abs() <= STEP);
                (at, steps) = (to, steps + 1);
            }
            assert!(steps <= 16, "{steps} steps");
            for _ in 0..1_000 {
                at = area.anywhere(at, &mut rng);
                assert!(x.contains(&at.x) && (0.0..=20.0).contains(&at.y), "{at:?}");
            }
        }
    }
}
