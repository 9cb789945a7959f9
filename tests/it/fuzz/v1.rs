//! A client of `skirmish.v1` in a random world, whose messages are mutated.

use rand::RngExt;
use skirmish::codec::v1::Width;
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::server::{Event, RosterEntry, encode_roster};
use skirmish::time::Tick;

use super::mutate::mutate;
use crate::sim::SimRng;
use crate::v1::world::{Client, Habits, World, small_cells, view};

const PIECES: [&[u8]; 12] = [
    &[0xa1],
    &[0xc0, 0, 0, 1],
    &[0xc1],
    &[0xc2, 0, 0, 0, 0, 0],
    &[0xd0, 1, 0],
    &[0xe0, 1],
    &[0xf0],
    &[0xff, 0xff],
    &[0x0f],
    &[0xf6],
    &[0x10],
    &[0],
];

/// A client survives any messages, refuses what it cannot have, and is right after a keyframe.
pub fn ticks(rng: &mut SimRng) {
    let habits = Habits { bodies_max: 8, turns: 0.3, changes: 0.2 };
    let schema = small_cells(&[Width::U8, Width::I32]);
    let (start, seed) = (Tick(rng.random()), rng.random());
    let mut world = World::new(schema, start, habits, seed);
    let mut client = Client::new(&world);
    for _ in 0..4 {
        let view = view(&mut world);
        world.run_tick();
        let mut message = client.message(&mut world, &view);
        if rng.random_bool(0.3) {
            let body = RosterEntry { id: 3, generation: 1, player: 7, color: 9, name: "Ann" };
            let mut parts = Vec::new();
            encode_roster([body; 2].into_iter(), &mut parts);
            Event { kind: Event::RESPAWNED, arguments: [4, 0, 0, 0] }
                .encode(&world.schema, &mut parts);
            message.splice(0..0, parts);
        }
        let message = mutate(&message, &PIECES, rng);
        let received = client.replica.receive(&message);
        let is_lost = received != Ok(Received::Applied);
        assert!(!is_lost || client.replica.head().is_none(), "{message:02x?}");
        for (cell, list) in client.replica.cells() {
            assert!(list.bodies().is_sorted_by(|one, other| one.id < other.id), "cell {cell}");
            let is_in = |x, y| world.schema.is_in(cell, x, y);
            assert!(list.bodies().iter().all(|body| is_in(body.x, body.y)), "cell {cell}");
        }
    }
    client.forget();
    let view = view(&mut world);
    let keyframe = client.message(&mut world, &view);
    client.receive(&keyframe);
}
