//! From two lists of a cell to the CELL that makes one of the other.

use super::cell::{self, DeltaRecord, Motion, SKIPPED_MAX};
use super::{Bodies, Body, Course, Schema, State};

/// What [`encode`] has appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Nothing: the courses known at the base lead to the new list.
    Nothing,
    /// What has changed.
    Delta,
    /// All bodies, which takes fewer bytes, or there are too many new ones.
    Full,
}

/// The maximum number of entrants of a delta.
const ENTRANTS_MAX: usize = u8::MAX as usize;

/// Appends the CELL that makes `new` of `base`, the list of `age` ticks before (at least 1). For a
/// client with an older base that is the latest tick up to which the cell has not changed. The
/// flags in `new` that hold for one tick are those of all ticks since the base. `elsewhere` is the
/// place of a body that is in the game and not in `new`; `None` if it has left.
pub fn encode(
    schema: &Schema,
    cell: u16,
    (base, age): (Bodies, u8),
    new: Bodies,
    elsewhere: impl Fn(&Body) -> Option<(u16, u16)>,
    out: &mut Vec<u8>,
) -> Encoded {
    let start = out.len();
    cell::put_start(cell::DELTA, cell, age, 0, out);
    let (mut count, mut skipped, mut paired) = (0, 0, 0);
    let mut found = Find::default();
    for (index, old) in base.bodies.iter().enumerate() {
        let known = found.body(new, old);
        if !schema.stays(cell, old, age - 1) {
            continue;
        }
        let record = match known {
            Some(known) => {
                paired += 1;
                let rows = (base.row(index), new.row(known));
                change(schema, age, old, &new.bodies[known], rows)
            }
            None => departure(schema, age, old, elsewhere(old)),
        };
        match record {
            None => skipped += 1,
            Some(record) => {
                count += put_record(schema, age, record, skipped, out);
                skipped = 0;
            }
        }
    }
    let entrants = new.bodies.len() - paired;
    if count == 0 && entrants == 0 {
        out.truncate(start);
        return Encoded::Nothing;
    }
    let bytes = out.len() - start + 1 + entrants * schema.full_bytes();
    if entrants > ENTRANTS_MAX || bytes > cell::full_cell_bytes(schema, new) {
        out.truncate(start);
        cell::encode_full(schema, cell, new, out);
        return Encoded::Full;
    }
    cell::put_count(count, start, out);
    out.push(entrants as u8);
    let mut found = Find::default();
    for (index, body) in new.bodies.iter().enumerate() {
        let known = found.body(base, body);
        if known.is_none_or(|known| !schema.stays(cell, &base.bodies[known], age - 1)) {
            cell::put_full_record(schema, body, new.row(index), out);
        }
    }
    Encoded::Delta
}

/// Finds bodies in a list, in the order of their slots.
#[derive(Default)]
struct Find(usize);

impl Find {
    fn body(&mut self, list: Bodies, wanted: &Body) -> Option<usize> {
        let bodies = list.bodies;
        while bodies.get(self.0).is_some_and(|body| body.id < wanted.id) {
            self.0 += 1;
        }
        let found = bodies.get(self.0)?;
        let is_same = found.id == wanted.id && found.generation == wanted.generation;
        is_same.then_some(self.0)
    }
}

/// Appends a record, after others without a change if it skips too many bodies. Returns how many.
fn put_record(
    schema: &Schema,
    age: u8,
    record: DeltaRecord,
    mut skipped: u16,
    out: &mut Vec<u8>,
) -> u16 {
    let mut count = 1;
    while skipped > SKIPPED_MAX {
        let unchanged = DeltaRecord { skipped: SKIPPED_MAX, ..DeltaRecord::default() };
        unchanged.encode(schema, age, out);
        skipped -= SKIPPED_MAX + 1;
        count += 1;
    }
    DeltaRecord { skipped, ..record }.encode(schema, age, out);
    count
}

/// The record of a body that stays in the cell; `None` if its course leads to the new values.
fn change(
    schema: &Schema,
    age: u8,
    old: &Body,
    new: &Body,
    (old_values, new_values): (&[i32], &[i32]),
) -> Option<DeltaRecord> {
    let mut record = DeltaRecord::default();
    for (index, (old, new)) in old_values.iter().zip(new_values).enumerate() {
        record.values[index] = *new;
        record.mask |= u32::from(old != new) << index;
    }
    let expected = old.state.lasting();
    let is_ahead = schema.ahead(old, age) == (new.x, new.y);
    let course = new.state.course();
    let turn = turn(schema, age, old, Some(course), (new.x, new.y));
    let is_turn_all = expected.on_course(course) == new.state;
    (record.motion, record.state) = match turn {
        _ if is_ahead && expected == new.state => (Motion::None, None),
        Some(turn) if is_turn_all => (turn, None),
        _ if is_ahead => (Motion::None, Some(new.state)),
        Some(turn) => (turn, Some(new.state)),
        None => {
            let jump = Motion::Jump { x: new.x, y: new.y };
            (jump, (expected != new.state).then_some(new.state))
        }
    };
    let is_change = record.motion != Motion::None || record.state.is_some() || record.mask != 0;
    is_change.then_some(record)
}

/// The record of a body that is not in the cell any more; `None` if its course leads to its place.
fn departure(
    schema: &Schema,
    age: u8,
    old: &Body,
    place: Option<(u16, u16)>,
) -> Option<DeltaRecord> {
    let motion = match place {
        None => Motion::Left,
        Some(place) if schema.ahead(old, age) == place => return None,
        Some((x, y)) => turn(schema, age, old, None, (x, y)).unwrap_or(Motion::Jump { x, y }),
    };
    Some(DeltaRecord { motion, ..DeltaRecord::default() })
}

/// The change of course, to `course` or to any, that leads a body to a place.
fn turn(
    schema: &Schema,
    age: u8,
    old: &Body,
    course: Option<Course>,
    place: (u16, u16),
) -> Option<Motion> {
    let is_possible = |new: Course| {
        new != old.state.course() && (new == Course::None || !old.state.has(State::DEAD))
    };
    let courses = Course::ALL.into_iter().filter(|new| course.is_none_or(|course| course == *new));
    courses.filter(|new| is_possible(*new)).find_map(|course| {
        let leads_there = |ago: &u8| {
            let turned_at = schema.ahead(old, age - 1 - ago);
            schema.walk(turned_at, course, ago + 1) == place
        };
        (0..age).find(leads_there).map(|ago| Motion::Turn { course, ago })
    })
}
