//! Costs measured by counting allocations and encodings, not time.

use std::collections::HashMap;
use std::io::IoSlice;

use allocation_counter::measure;
use skirmish::codec::v1::server::{Head, Part, Parts};
use skirmish::codec::v1::{Width, cell, delta};
use skirmish::game::{BATTLE, DOTS, PlayerId, Rules};
use skirmish::limits::MOVE_CREDIT_MAX;
use skirmish::server::ConnId;
use skirmish::time::{TICK_MS, Tick};
use skirmish::{game, wire};

use crate::v1::world::{Habits, World, one_cell};

#[path = "../../benches/fixture.rs"]
mod fixture;

use fixture::{Dialect, Fixture};

/// Allocations of a tick without joins, leaves and moves.
fn allocations(players: usize, room_players: usize) -> u64 {
    let mut fixture = Fixture::with_players(Dialect::Json, players, room_players);
    (0..5).for_each(|_| fixture.tick(0..0));
    measure(|| fixture.tick(0..0)).count_total
}

#[test]
fn a_steady_tick_allocates_for_rooms_and_not_for_clients() {
    let few = allocations(10, 1_000);
    assert_eq!(few, 1, "allocations for a room of ten");
    assert_eq!(allocations(500, 1_000), few, "500 in one room");
    assert_eq!(allocations(100, 10), 10 * few, "ten rooms of ten");
}

#[test]
fn compression_allocates_for_rooms_and_not_for_clients() {
    for dialect in [Dialect::JsonDeflate, Dialect::EventsDeflate] {
        let allocations = |players| {
            let mut fixture = Fixture::with_players(dialect, players, 1_000);
            // The buffers of the compressor grow.
            (0..20).for_each(|_| fixture.tick(0..1));
            measure(|| fixture.tick(0..1)).count_total
        };
        assert_eq!(allocations(20), allocations(300));
    }
}

#[test]
fn a_tick_of_many_cells_allocates_for_rooms_and_not_for_clients() {
    // Some buffers still grow: clients come to hold more cells than before.
    for dialect in [Dialect::V1, Dialect::V1Crowd] {
        let allocations = |players| {
            let mut fixture = Fixture::with_players(dialect, players, players);
            (0..60).for_each(|_| fixture.tick_with_courses(10));
            measure(|| (0..10).for_each(|_| fixture.tick_with_courses(10))).count_total / 10
        };
        let (few, many) = (allocations(200), allocations(600));
        assert!(many < few + 20, "{few} allocations a tick for 200 players, {many} for 600");
    }
}

// T65
#[test]
fn a_crowd_of_skirmish_v1_stays_within_the_bytes_of_a_view() {
    let mut fixture = Fixture::with_players(Dialect::V1Crowd, 3_000, 3_000);
    // Their keyframes take turns.
    (0..100).for_each(|_| fixture.tick_with_courses(10));
    let before = fixture.taken_bytes;
    (0..10).for_each(|_| fixture.tick_with_courses(10));
    let bytes = (fixture.taken_bytes - before) / 10 / 3_000;
    assert!((800..1_300).contains(&bytes), "{bytes} bytes a client and tick");
    assert!(fixture.server.metrics().changes_held_back > 1_000, "it is a crowd");
}

#[test]
fn an_attack_allocates_nothing() {
    let mut fixture = Fixture::with_players(Dialect::JsonBattle, 200, 200);
    (0..200).for_each(|_| fixture.tick_with_attacks());
    let fighting = measure(|| fixture.tick_with_attacks()).count_total;
    // Until the last one has respawned, and the memory of the facts is given back.
    (0..80).for_each(|_| fixture.tick(0..0));
    let still = measure(|| fixture.tick(0..0)).count_total;
    assert_eq!(fighting, still, "20 attacks");
}

#[test]
fn a_tick_of_bots_allocates_for_the_room_and_not_for_bots() {
    let allocations = |players| {
        let mut fixture = Fixture::with_bots(players);
        // The lists of the room grow.
        (0..300).for_each(|_| fixture.tick(0..1));
        (0..20).map(|_| measure(|| fixture.tick(0..1)).count_total).min()
    };
    assert_eq!(allocations(50), allocations(2), "48 bots more");
}

#[test]
fn a_state_allocates_nothing_for_a_player_whatever_its_game() {
    let allocations = |rules: &'static Rules, players: u32| {
        let mut world = game::World::new(rules, 1, MOVE_CREDIT_MAX);
        (1..=players).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
        let mut scratch = Vec::new();
        drop(wire::json::state(world.snapshot(), &mut scratch));
        measure(|| drop(wire::json::state(world.snapshot(), &mut scratch))).count_total
    };
    for rules in [&DOTS, &BATTLE] {
        assert_eq!(allocations(rules, 1), allocations(rules, 500), "{}", rules.name);
    }
}

#[test]
fn a_move_allocates_nothing() {
    let mut fixture = Fixture::with_players(Dialect::Json, 100, 100);
    (0..5).for_each(|_| fixture.tick(0..100));
    let still = measure(|| fixture.tick(0..0)).count_total;
    let moving = measure(|| fixture.tick(0..100)).count_total;
    assert_eq!(moving, still, "100 moves");
}

#[test]
fn a_tick_of_battle_allocates_for_rooms_and_not_for_clients() {
    let allocations = |players, room_players, moves| {
        let mut fixture = Fixture::with_players(Dialect::Events, players, room_players);
        (0..5).for_each(|_| fixture.tick(0..1));
        measure(|| fixture.tick(0..moves)).count_total
    };
    assert_eq!(allocations(50, 50, 0), 0, "without moves");
    let one = allocations(10, 50, 1);
    assert_eq!(allocations(500, 500, 1), one, "one move, sent to 500");
}

#[test]
fn every_player_receives_the_whole_state() {
    let mut fixture = Fixture::with_players(Dialect::Json, 50, 50);
    let before = fixture.taken_bytes;
    fixture.tick(0..0);
    let state = (fixture.taken_bytes - before) / 50;
    assert!((50 * 40..50 * 60).contains(&state), "{state} bytes per state of 50 players");
    assert_eq!(fixture.server.metrics().snapshots_skipped, 0);
    assert_eq!(fixture.server.metrics().snapshots, 50);
}

#[test]
fn a_delta_of_skirmish_v1_allocates_nothing() {
    let schema = one_cell(&[Width::U8, Width::I32]);
    let habits = Habits { bodies_max: 200, turns: 0.2, changes: 0.1 };
    let mut world = World::new(schema.clone(), Tick(1), habits, 1);
    let base = world.lists(1).remove(&0).expect("a cell");
    world.run_tick();
    let new = world.lists(1).remove(&0).expect("a cell");
    let mut out = Vec::with_capacity(10_000);
    let encoding = measure(|| {
        Head::default().encode(&schema, &mut out);
        cell::encode_full(&schema, 0, new.borrowed(), &mut out);
        out.clear();
        Head { age: 1, cells: 1, ..Head::default() }.encode(&schema, &mut out);
        let encoded =
            delta::encode(&schema, 0, (base.borrowed(), 1), new.borrowed(), |_| None, &mut out);
        assert_eq!(encoded, delta::Encoded::Delta);
    });
    assert_eq!(encoding.count_total, 0, "encoding");
    let Some(Ok(Part::Cell(cell))) = Parts::new(&out, &schema).nth(1) else { panic!("a cell") };
    let cell::Content::Delta(delta) = cell.content else { panic!("a delta") };
    let (mut list, mut spare) = (base, new.clone());
    let decoding = measure(|| list.apply(&schema, 0, 1, &delta, &mut spare).expect("it fits"));
    assert_eq!(decoding.count_total, 0, "decoding");
    assert_eq!(list, new);
}

/// A room of skirmish.v1 in which all move, and its clients have all ticks that a base can have.
fn moving_room(players: usize) -> Fixture {
    let mut fixture = Fixture::with_players(Dialect::V1Dots, players, players);
    (0..44).for_each(|_| fixture.tick(0..players));
    fixture
}

#[test]
fn a_tick_of_skirmish_v1_allocates_for_rooms_and_not_for_clients() {
    let allocations = |players| {
        let mut fixture = moving_room(players);
        // Some turn and acknowledge; the others stop, and get fewer ticks and then none. A CHECK is
        // among these ticks.
        let ticks: Vec<u64> =
            (0..40).map(|_| measure(|| fixture.tick(0..10)).count_total).collect();
        assert_eq!(fixture.server.metrics().snapshots_skipped, 0);
        ticks
    };
    let few = allocations(100);
    assert_eq!(allocations(200), few);
    let with_any = few.iter().filter(|count| **count > 0).count();
    assert!(with_any <= 3 && few.iter().sum::<u64>() <= 4, "{few:?}");
}

#[test]
fn a_turn_in_skirmish_v1_costs_a_byte_or_two_for_each_client() {
    const PLAYERS: usize = 60;
    // docs/skirmish-v1.md: a frame, HEAD, CELL with the number of entrants, and the records. The
    // first body that turns comes after none, and the others after the one before.
    const FRAME: u64 = 2 + 15 + 6 + 1;
    let mut fixture = moving_room(PLAYERS);
    let mut bytes_of_tick = |moves: std::ops::Range<usize>| {
        let before = fixture.taken_bytes;
        fixture.tick(moves);
        (fixture.taken_bytes - before) / PLAYERS as u64
    };
    // From tick 45 on the bodies keep their courses, and some turn.
    assert_eq!(bytes_of_tick(0..0), 0);
    assert_eq!(bytes_of_tick(0..1), FRAME + 1);
    assert_eq!(bytes_of_tick(0..10), FRAME + 10);
    // It comes after more than 14 others.
    assert_eq!(bytes_of_tick(20..22), FRAME + 2 + 1);
    assert_eq!(bytes_of_tick(0..0), 0);
    // HEAD alone, on tick 50: it is sent twice a second.
    assert_eq!(bytes_of_tick(0..0), 2 + 15);
}

// T73
#[test]
fn a_join_costs_nothing_for_the_others_in_its_own_turn() {
    let allocations = |players| {
        let mut fixture = Fixture::with_players(Dialect::Events, players, 1_000);
        (0..5).for_each(|_| fixture.tick(0..0));
        let mut join = || {
            fixture.join(0);
            fixture.flush();
        };
        measure(&mut join).count_total
    };
    let (few, many) = (allocations(5), allocations(500));
    // The lists of the room may grow.
    assert!(many < few + 10, "{few} in a room of 5, {many} in a room of 500");
}

#[test]
fn rooms_take_turns_when_there_is_too_much_to_compress() {
    const ROOMS: usize = 1_400;
    let mut fixture = Fixture::with_players(Dialect::JsonDeflate, ROOMS, 1);
    let mut compressed: HashMap<ConnId, u32> = HashMap::new();
    let (mut ticks_over_budget, mut dirty) = (0, Vec::new());
    for _ in 0..40 {
        fixture.now = fixture.now.after(TICK_MS);
        fixture.server.tick(fixture.now, fixture.now);
        fixture.server.publish(fixture.now);
        fixture.server.take_dirty(&mut dirty, &mut Vec::new(), fixture.now);
        let mut in_this_tick = 0;
        for id in dirty.drain(..) {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = fixture.server.slices(id, &mut slices);
            let shown: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            // A state that is not compressed has more than 100 bytes.
            let is_compressed = (1..60).contains(&shown);
            in_this_tick += usize::from(is_compressed);
            *compressed.entry(id).or_default() += u32::from(is_compressed);
            fixture.server.written(id, shown, shown, fixture.now);
        }
        ticks_over_budget += usize::from(in_this_tick < ROOMS);
    }
    assert!(ticks_over_budget > 30, "only {ticks_over_budget} ticks had too much to compress");
    let (least, most) = (compressed.values().min(), compressed.values().max());
    let (least, most) = (*least.expect("rooms"), *most.expect("rooms"));
    assert!(compressed.len() == ROOMS && least >= 20 && most - least <= 3, "{least} to {most}");
}
