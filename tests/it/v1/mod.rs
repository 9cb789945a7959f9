//! The dialect `skirmish.v1` as values: a client that misses ticks always has the lists that the
//! server has, and the messages have the sizes that the document promises.

pub mod play;
mod steps;
mod vectors;
pub mod world;

use std::collections::BTreeSet;

use rand::RngExt;
use skirmish::codec::v1::cell::{Content, Motion};
use skirmish::codec::v1::delta::{self, Encoded};
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::server::{Check, Head, Part, Parts};
use skirmish::codec::v1::{Body, Course, List, Malformed, Replica, Schema, State, Width};
use skirmish::time::Tick;

use crate::fuzz::fuzz;
use world::{Client, Habits, World, one_cell, small_cells, view};

/// What the messages of a test contained.
#[derive(Debug, Default)]
struct Seen {
    turns: u32,
    /// Changes of course before the tick of the message.
    earlier_turns: u32,
    jumps: u32,
    departures: u32,
    states: u32,
    fields: u32,
    entrants: u32,
    forgotten: u32,
    /// Full cells in ticks with a base.
    full: u32,
    /// Cells with another base than the tick, and ticks with an old one.
    other_bases: u32,
    old_bases: u32,
}

impl Seen {
    fn add(&mut self, message: &[u8], schema: &Schema) {
        let mut age = 0;
        for part in Parts::new(message, schema) {
            match part.expect("the server's messages are well-formed") {
                Part::Head(head) => {
                    age = head.age;
                    self.old_bases += u32::from(age > 10);
                }
                Part::Cell(cell) => self.add_cell(cell.content, age, schema),
                Part::Roster(_) | Part::Event(_) | Part::Check(_) => {}
            }
        }
    }

    fn add_cell(&mut self, content: Content, age: u8, schema: &Schema) {
        let mut delta = match content {
            Content::Delta(delta) => delta,
            Content::Full(_) => return self.full += u32::from(age > 0),
            Content::Forget => return self.forgotten += 1,
        };
        self.other_bases += u32::from(delta.age != age);
        while let Some(record) = delta.records.next(schema).expect("it was checked") {
            match record.motion {
                Motion::None => {}
                Motion::Turn { ago: 0, .. } => self.turns += 1,
                Motion::Turn { .. } => self.earlier_turns += 1,
                Motion::Jump { .. } => self.jumps += 1,
                Motion::Left => self.departures += 1,
            }
            self.states += u32::from(record.state.is_some());
            self.fields += record.mask.count_ones();
        }
        while delta.entrants.next(schema).expect("it was checked").is_some() {
            self.entrants += 1;
        }
    }
}

/// Runs a world with clients that miss ticks, and compares what they have after each message.
fn compare(schema: Schema, habits: Habits, ticks: u32, seed: u64, seen: &mut Seen) {
    let start = Tick(u32::MAX - ticks / 2);
    let mut world = World::new(schema, start, habits, seed);
    // The share of ticks that each client misses.
    let missed = [0.0, 0.5, 0.9, 0.97];
    let mut clients = missed.map(|_| Client::new(&world));
    let mut views = missed.map(|_| view(&mut world));
    for _ in 0..ticks {
        world.run_tick();
        for (at, client) in clients.iter_mut().enumerate() {
            if world.rng.random_bool(missed[at]) {
                continue;
            }
            if world.rng.random_bool(0.05) {
                views[at] = view(&mut world);
            }
            if world.rng.random_bool(0.01) {
                client.forget();
            }
            let message = client.message(&mut world, &views[at]);
            seen.add(&message, &world.schema);
            client.receive(&message);
        }
    }
}

#[test]
fn clients_have_what_the_server_has() {
    let mut seen = Seen::default();
    let fields = [Width::U8, Width::U16, Width::I32];
    let habits = Habits { bodies_max: 300, turns: 0.1, changes: 0.02 };
    compare(one_cell(&fields), habits, 60, 1, &mut seen);
    compare(small_cells(&fields), Habits { bodies_max: 60, ..habits }, 120, 2, &mut seen);
    for seed in 0..2 {
        let habits = Habits { bodies_max: 12, turns: 0.2, changes: 0.1 };
        compare(one_cell(&[]), habits, 150, 10 + seed, &mut seen);
        compare(small_cells(&[Width::U32; 16]), habits, 100, 20 + seed, &mut seen);
    }
    let Seen { turns, earlier_turns, jumps, departures, states, fields, .. } = seen;
    let Seen { entrants, forgotten, full, other_bases, old_bases, .. } = seen;
    let counts = [turns, earlier_turns, jumps, departures, states, fields];
    let others = [entrants, forgotten, full, other_bases, old_bases];
    assert!(counts.into_iter().chain(others).all(|count| count > 20), "{seen:?}");
}

/// `SKIRMISH_FUZZ_ROUNDS=1200000` are a million ticks.
#[test]
fn clients_of_random_rooms_have_what_the_server_has() {
    fuzz("v1::clients_of_random_rooms_have_what_the_server_has", 300, |rng| {
        let widths = [Width::U8, Width::U16, Width::I32, Width::U32];
        let count = rng.random_range(0..=16);
        let fields: Vec<Width> = (0..count).map(|_| widths[rng.random_range(0..4)]).collect();
        let side = [128, 128, 256, 1 << 16][rng.random_range(0..4)];
        let columns = if side == 128 { 4 } else { 2 };
        let step = [1, 10, 10, 37, 200][rng.random_range(0..5)];
        let schema = Schema { side, columns, step, ..one_cell(&fields) };
        let habits = Habits {
            bodies_max: rng.random_range(1..20),
            turns: rng.random_range(0.0..0.4),
            changes: rng.random_range(0.0..0.2),
        };
        compare(schema, habits, 250, rng.random(), &mut Seen::default());
    });
}

/// A list of bodies in the middle of the map with the slots 0, 1, ...
fn row(courses: impl IntoIterator<Item = Course>, values: &[i32]) -> List {
    let mut list = List::default();
    for (id, course) in (0..).zip(courses) {
        let body = Body { id, generation: 1, x: 250, y: 250, state: State::new(course) };
        list.push(body, values);
    }
    list
}

/// The list after some ticks, with a change of course of some bodies on the last tick.
fn turned(schema: &Schema, list: &List, age: u8, turned: &[u16], course: Course) -> List {
    let mut before = list.clone();
    before.advance(schema, 0, age - 1);
    let mut new = List::default();
    for (index, body) in before.bodies().iter().enumerate() {
        let mut body = *body;
        if turned.contains(&body.id) {
            body.state = body.state.on_course(course);
        }
        new.push(body, before.values(index));
    }
    new.advance(schema, 0, 1);
    new
}

#[test]
fn a_straight_run_costs_nothing_and_a_turn_two_bytes() {
    // A CELL without records: its start and the count of entrants.
    const EMPTY: usize = 7;
    let schema = one_cell(&[Width::U8]);
    let base = row([Course::Right; 200], &[100]);
    let none = |_: &Body| None;
    for (age, turn) in [(1, 2), (2, 3), (20, 3)] {
        let mut out = Vec::new();
        let straight = turned(&schema, &base, age, &[], Course::Up);
        let encoded =
            delta::encode(&schema, 0, (base.borrowed(), age), straight.borrowed(), none, &mut out);
        assert_eq!((encoded, out.len()), (Encoded::Nothing, 0));
        for (ids, skips) in [(&[0][..], 0), (&[14], 0), (&[199], 1), (&[0, 16, 100], 2)] {
            let new = turned(&schema, &base, age, ids, Course::Down);
            out.clear();
            let encoded =
                delta::encode(&schema, 0, (base.borrowed(), age), new.borrowed(), none, &mut out);
            assert_eq!(encoded, Encoded::Delta);
            assert_eq!(out.len(), EMPTY + ids.len() * (turn - 1) + skips, "{ids:?} after {age}");
        }
    }
    // Players that change their course every 2 s, and every 0.5 s.
    for (turns, record_bytes) in [(1.0 / 40.0, 2.0), (1.0 / 10.0, 1.6)] {
        let habits = Habits { bodies_max: 300, turns, changes: 0.0 };
        let mut world = World::new(schema.clone(), Tick(7), habits, 5);
        let mut client = Client::new(&world);
        let ticks = 40;
        for tick in 0..=ticks {
            world.run_tick();
            if tick == 1 {
                client.bytes = 0;
            }
            let message = client.message(&mut world, &BTreeSet::from([0]));
            client.receive(&message);
        }
        let bodies = world.lists(1)[&0].bodies().len() as f64;
        let head_and_check = 15 + 2 + 9;
        let records = client.bytes as f64 / f64::from(ticks) - (head_and_check + EMPTY) as f64;
        let expected = bodies * turns * record_bytes;
        assert!(records > 0.0 && records < expected, "{records} bytes, expected {expected}");
    }
}

#[test]
fn any_number_of_bodies_can_be_skipped() {
    let schema = one_cell(&[]);
    let base = row([Course::Left; 900], &[]);
    for id in [269, 270, 271, 541, 542, 899] {
        let new = turned(&schema, &base, 1, &[id], Course::Up);
        let mut out = Vec::new();
        let encoded =
            delta::encode(&schema, 0, (base.borrowed(), 1), new.borrowed(), |_| None, &mut out);
        assert_eq!(encoded, Encoded::Delta);
        let unchanged = usize::from(id) / 271;
        assert_eq!(out.len(), 7 + 2 * unchanged + if id % 271 < 15 { 1 } else { 2 }, "{id}");
        let mut list = base.clone();
        receive_cell(&schema, &mut list, 1, &out);
        assert_eq!(list, new, "{id}");
    }
}

#[test]
fn more_than_255_entrants_make_the_cell_full() {
    let schema = one_cell(&[]);
    let base = row([Course::Up; 300], &[]);
    for (count, expected) in [(555, Encoded::Delta), (556, Encoded::Full)] {
        let new = turned(&schema, &row(vec![Course::Up; count], &[]), 1, &[], Course::Up);
        let mut out = Vec::new();
        let encoded =
            delta::encode(&schema, 0, (base.borrowed(), 1), new.borrowed(), |_| None, &mut out);
        assert_eq!(encoded, expected);
        let mut list = base.clone();
        receive_cell(&schema, &mut list, 1, &out);
        assert_eq!(list, new);
    }
}

/// Applies a CELL to a list as a client does.
fn receive_cell(schema: &Schema, list: &mut List, age: u8, cell: &[u8]) {
    let mut message = Vec::new();
    Head { age, cells: 1, ..Head::default() }.encode(schema, &mut message);
    message.extend_from_slice(cell);
    let Some(Ok(Part::Cell(cell))) = Parts::new(&message, schema).nth(1) else {
        panic!("it has a cell");
    };
    match cell.content {
        Content::Delta(delta) => {
            list.apply(schema, 0, age, &delta, &mut List::default()).expect("it fits");
        }
        Content::Full(records) => list.replace(schema, 0, records).expect("it fits"),
        Content::Forget => panic!("the cell is held"),
    }
}

#[test]
fn a_client_with_another_base_or_sum_asks_for_a_keyframe() {
    let habits = Habits { bodies_max: 20, turns: 0.2, changes: 0.1 };
    let mut world = World::new(one_cell(&[Width::U8]), Tick(u32::MAX), habits, 3);
    let view = BTreeSet::from([0]);
    let mut client = Client::new(&world);
    let message = client.message(&mut world, &view);
    client.receive(&message);
    world.run_tick();
    client.message(&mut world, &view);
    world.run_tick();
    let after_a_lost_one = client.message(&mut world, &view);
    assert_eq!(client.replica.receive(&after_a_lost_one), Ok(Received::NeedsResync));
    world.run_tick();
    let next = client.message(&mut world, &view);
    assert_eq!(client.replica.receive(&next), Ok(Received::NeedsResync), "it has no base");
    client.forget();
    let keyframe = client.message(&mut world, &view);
    client.receive(&keyframe);
    // The sum of a tick that is still to come waits for it; that of an earlier tick is ignored.
    let mut sums = Vec::new();
    Check { tick: Tick(world.tick.0.wrapping_sub(1)), sum: 1 }.encode(&mut sums);
    Check { tick: world.tick.next(), sum: 1 }.encode(&mut sums);
    assert_eq!(client.replica.receive(&sums), Ok(Received::Applied));
    world.run_tick();
    let mut message = Vec::new();
    let tick = world.tick;
    Head { tick, age: 1, ..Head::default() }.encode(&world.schema, &mut message);
    assert_eq!(client.replica.receive(&message), Ok(Received::NeedsResync));
}

#[test]
fn malformed_ticks_are_refused() {
    let schema = one_cell(&[Width::U8]);
    let tick = |age: u8, parts: &[&[u8]]| {
        let mut message = Vec::new();
        let cells = parts.len() as u8;
        Head { tick: Tick(9), age, cells, ..Head::default() }.encode(&schema, &mut message);
        message.extend(parts.concat());
        message
    };
    let body = [5, 0, 1, 250, 0, 250, 0, 4, 77];
    let full = [&[0xc1, 0, 0, 0, 1, 0], &body[..]].concat();
    let delta = |record: &[u8]| [&[0xc0, 0, 0, 1, 1, 0], record, &[0]].concat();
    let with_age = |record: &[u8]| [&[0xc0, 0, 0, 2, 1, 0], record, &[0]].concat();
    let entrant = |x: u8, state: u8| [0xc0, 0, 0, 1, 0, 0, 1, 6, 0, 1, x, 2, 250, 0, state, 7];
    let mut client = Replica::new(schema.clone());
    assert_eq!(client.receive(&tick(0, &[&full])), Ok(Received::Applied));
    let cases: &[(&[u8], Malformed)] = &[
        (&delta(&[])[..6], Malformed::Truncated),
        (&[0xc0, 0, 0, 0, 0, 0, 0], Malformed::OutOfRange),
        (&[0xc0, 7, 0, 1, 0, 0, 0], Malformed::NotHeld),
        (&[0xc2, 0, 0, 1, 0, 0], Malformed::OutOfRange),
        (&delta(&[0x11]), Malformed::NotHeld),
        (&delta(&[0x08, 0x00]), Malformed::OutOfRange),
        (&delta(&[0x08, 0x04]), Malformed::OutOfRange),
        (&delta(&[0x08, 0x01, 0x05]), Malformed::OutOfRange),
        (&delta(&[0x08, 0x01, 0x11]), Malformed::OutOfRange),
        (&delta(&[0x08, 0x01, 0x40]), Malformed::OutOfRange),
        (&delta(&[0x0f, 0x01, 0x00]), Malformed::OutOfRange),
        (&with_age(&[0x01, 2]), Malformed::OutOfRange),
        (&with_age(&[0x01, 1]), Malformed::OutOfRange),
        (&entrant(0, 6), Malformed::OutOfRange),
        (&[0xc1, 1, 0, 0, 1, 0, 5, 0, 1, 250, 0, 250, 0, 4, 77], Malformed::OutOfRange),
        (&[&[0xc1, 0, 0, 0, 2, 0], &body[..], &body].concat(), Malformed::Misplaced),
        (&[0xc1, 1, 0, 0, 1, 0, 255, 255, 1, 250, 0, 250, 0, 4, 77], Malformed::OutOfRange),
        (&[0xa1], Malformed::Misplaced),
        (&[0x7f], Malformed::UnknownKind),
    ];
    for (cell, malformed) in cases {
        let mut client = client.clone();
        let mut message = tick(1, &[cell]);
        // One tick after the keyframe.
        message[2] += 1;
        let received = client.receive(&message);
        assert_eq!(received, Err(*malformed), "{cell:02x?}");
        assert!(client.head().is_none(), "it has no base any more");
    }
    let mut message = tick(0, &[&full]);
    message.push(0xe0);
    assert_eq!(client.clone().receive(&message), Err(Malformed::Misplaced), "after the last cell");
    let twice = tick(0, &[&full, &full]);
    assert_eq!(client.clone().receive(&twice), Err(Malformed::Misplaced), "a cell twice");
    let delta = tick(0, &[&delta(&[0x01])]);
    assert_eq!(client.clone().receive(&delta), Err(Malformed::Misplaced), "not in a keyframe");
    assert_eq!(client.clone().receive(&[0x7f]), Err(Malformed::UnknownKind));
    assert_eq!(client.clone().receive(&[0xe0, 9, 0, 0, 0, 0, 0]), Err(Malformed::OutOfRange));
}
