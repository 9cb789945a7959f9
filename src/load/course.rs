//! The course of one player, for each movement pattern.

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::codec::json::Direction;
use crate::config::Pattern;

/// Time between two changes of course on straight runs.
const COURSE_US: u64 = 2_000_000;

const ALL: [Direction; 4] = [Direction::Up, Direction::Down, Direction::Left, Direction::Right];

/// The course of one player.
#[derive(Debug, Default)]
pub struct Course {
    /// The direction of the current run, and when it ends.
    run: Option<(Direction, u64)>,
    /// Whether the last step towards the corner was to the left.
    was_left: bool,
}

impl Course {
    /// The direction of the next step of a player that does not know where it is.
    pub fn step(&mut self, pattern: Pattern, now_us: u64, rng: &mut SmallRng) -> Direction {
        match pattern {
            Pattern::Random => any(rng),
            Pattern::Straight => self.ahead(now_us, rng),
            // Half of the steps keep the player in the corner.
            Pattern::Crowd => match rng.random() {
                true => self.corner_step(),
                false => any(rng),
            },
        }
    }

    /// The direction of a straight run. The first one has a random length, so that players change
    /// their courses at different times.
    pub fn ahead(&mut self, now_us: u64, rng: &mut SmallRng) -> Direction {
        let (before, until_us) = match self.run {
            Some((direction, until_us)) if now_us < until_us => return direction,
            Some((direction, _)) => (Some(direction), now_us + COURSE_US),
            None => (None, now_us + rng.random_range(0..COURSE_US)),
        };
        let others: Vec<Direction> = ALL.into_iter().filter(|one| Some(*one) != before).collect();
        let direction = others[rng.random_range(0..others.len())];
        self.run = Some((direction, until_us));
        direction
    }

    /// Ends the current run, because a wall is ahead.
    pub fn turn(&mut self) {
        if let Some((_, until_us)) = &mut self.run {
            *until_us = 0;
        }
    }

    /// A step towards the corner at (0, 0): up and left in turn.
    pub fn corner_step(&mut self) -> Direction {
        self.was_left = !self.was_left;
        if self.was_left { Direction::Left } else { Direction::Up }
    }
}

fn any(rng: &mut SmallRng) -> Direction {
    ALL[rng.random_range(0..ALL.len())]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_straight_run_changes_its_course_every_two_seconds() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut course = Course::default();
        let mut step = |now_us| course.step(Pattern::Straight, now_us, &mut rng);
        let steps: Vec<Direction> = (0..200).map(|nth| step(nth * 100_000)).collect();
        let changes: Vec<usize> = (1..200).filter(|at| steps[*at] != steps[at - 1]).collect();
        assert!(changes[0] <= 20, "{changes:?}");
        assert!(changes.windows(2).all(|pair| pair[1] - pair[0] == 20), "{changes:?}");
        assert!(changes.len() >= 9, "{changes:?}");
    }

    #[test]
    fn a_crowd_moves_and_stays_in_the_corner() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut course = Course::default();
        let (mut x, mut y, mut moved) = (40i32, 40i32, 0);
        for nth in 0..2_000 {
            let before = (x, y);
            match course.step(Pattern::Crowd, 0, &mut rng) {
                Direction::Left => x = (x - 1).max(0),
                Direction::Right => x += 1,
                Direction::Up => y = (y - 1).max(0),
                Direction::Down => y += 1,
            }
            moved += i32::from(before != (x, y));
            assert!(nth < 500 || (x < 15 && y < 15), "({x}, {y}) after {nth} steps");
        }
        assert!(moved > 500, "{moved} moves");
    }
}
