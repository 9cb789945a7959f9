//! Chooses the moves of a battle player: at most 5 map units in x and in y.

use rand::RngExt;
use rand::rngs::SmallRng;

/// Maximum distance of one move, in x and in y.
pub const STEP: f64 = 5.0;
/// The middle of the map: the target of a player whose position is unknown.
pub const MIDDLE: (f64, f64) = (50.0, 50.0);
/// The minimum and maximum of x and y.
const MAP: (f64, f64) = (0.0, 100.0);
/// The minimum and maximum x of players without a duel, while there are duels at the edges: out of
/// reach (10 units) of the duels, in both directions.
const CROWD: (f64, f64) = (25.0, 75.0);

/// A random position within one step of `at`, in whole units. With duels it stays away from the
/// edges.
pub fn anywhere(at: (f64, f64), has_duels: bool, rng: &mut SmallRng) -> (f64, f64) {
    let columns = if has_duels { CROWD } else { MAP };
    (elsewhere(at.0, columns, rng), elsewhere(at.1, MAP, rng))
}

fn elsewhere(at: f64, (least, most): (f64, f64), rng: &mut SmallRng) -> f64 {
    let length = f64::from(rng.random_range(1..=STEP as u32));
    let is_back = match () {
        () if at - length < least => false,
        () if at + length > most => true,
        () => rng.random(),
    };
    if is_back { at - length } else { at + length }
}

/// Whether `x` is out of reach of the duels.
#[must_use]
pub fn is_in_crowd(x: f64) -> bool {
    (CROWD.0..=CROWD.1).contains(&x)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn steps_are_short_and_stay_on_the_map() {
        let mut rng = SmallRng::seed_from_u64(1);
        for has_duels in [false, true] {
            let mut at = (0.0, 100.0);
            for nth in 0..10_000 {
                let to = anywhere(at, has_duels, &mut rng);
                let far = (to.0 - at.0).abs().max((to.1 - at.1).abs());
                assert!((1.0..=STEP).contains(&far) && to.0 != at.0 && to.1 != at.1);
                assert!((0.0..=100.0).contains(&to.0) && (0.0..=100.0).contains(&to.1));
                assert!(!has_duels || nth < 30 || is_in_crowd(to.0), "{to:?}");
                at = to;
            }
        }
    }
}
