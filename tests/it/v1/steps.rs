//! Golden vectors for the step: walks in `tests/golden/v1/steps.txt`, which
//! `tests/browser/v1-predict.test.mjs` walks too. `SKIRMISH_BLESS=1` rewrites them.
//!
//! ```text
//! walls 10 10 490 490 step 10 from 120 130       a walk begins
//! course 4 steps 3 at 150 130                    where it is after these steps
//! ```

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use skirmish::codec::v1::schema::Walls;
use skirmish::codec::v1::{Body, Course, Schema, State};

use super::vectors::compare;
use super::world::one_cell;

#[test]
fn walks_lead_where_the_vectors_say() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut out = String::from("# Walks. Written by tests/it/v1/steps.rs.\n");
    for (walls, step) in [
        ([10, 10, 490, 490], 10),
        ([0, 0, 100, 100], 5),
        ([10, 10, 15_990, 15_990], 10),
        ([0, 0, u16::MAX, u16::MAX], 255),
        ([7, 3, 8, 60_000], 1_000),
        ([500, 500, 500, 500], 1),
    ] {
        let [left, top, right, bottom] = walls;
        let walls = Walls { left, top, right, bottom };
        let schema = Schema { walls, step, ..one_cell(&[]) };
        let mut place = (rng.random_range(left..=right), rng.random_range(top..=bottom));
        let (x, y) = place;
        writeln!(out, "walls {left} {top} {right} {bottom} step {step} from {x} {y}")
            .expect("memory");
        for _ in 0..40 {
            let course = Course::ALL[rng.random_range(0..5)];
            let steps = [1, 1, 2, 3, 12, 32][rng.random_range(0..6)];
            let (x, y) = place;
            let body = Body { id: 1, generation: 0, x, y, state: State::new(course) };
            let end = schema.ahead(&body, steps);
            for _ in 0..steps {
                place = schema.walk(place, course, 1);
            }
            assert_eq!(place, end, "many steps are one");
            let (x, y) = place;
            let course = course as u8;
            writeln!(out, "course {course} steps {steps} at {x} {y}").expect("memory");
        }
    }
    compare("steps", &out);
}
