//! Chooses the moves of a battle player: at most 5 map units in x and in y.

use std::ops::RangeInclusive;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::Position;

/// Maximum distance of one move, in x and in y.
pub const STEP: f64 = 5.0;
/// The middle of the map: the target of a player whose position is unknown.
pub const MIDDLE: Position = Position { x: 50.0, y: 50.0 };
/// The x and y of the map.
const MAP: RangeInclusive<f64> = 0.0..=100.0;
/// The x of players without a duel, while there are duels at the edges: out of
/// reach (10 units) of the duels, in both directions.
const CROWD: RangeInclusive<f64> = 25.0..=75.0;

/// A random position within one step of `at`, in whole units. With duels it stays away from the
/// edges.
pub fn anywhere(at: Position, has_duels: bool, rng: &mut SmallRng) -> Position {
    let columns = if has_duels { CROWD } else { MAP };
    Position { x: elsewhere(at.x, &columns, rng), y: elsewhere(at.y, &MAP, rng) }
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
pub fn is_in_crowd(x: f64) -> bool {
    CROWD.contains(&x)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn steps_are_short_and_stay_on_the_map() {
        let mut rng = SmallRng::seed_from_u64(1);
        for has_duels in [false, true] {
            let mut at = Position { x: 0.0, y: 100.0 };
            for nth in 0..10_000 {
                let to = anywhere(at, has_duels, &mut rng);
                let far = (to.x - at.x).abs().max((to.y - at.y).abs());
                assert!((1.0..=STEP).contains(&far) && to.x != at.x && to.y != at.y);
                assert!((0.0..=100.0).contains(&to.x) && (0.0..=100.0).contains(&to.y));
                assert!(!has_duels || nth < 30 || is_in_crowd(to.x), "{to:?}");
                at = to;
            }
        }
    }
}
