//! Fuzzers for `skirmish.v1`: mutated messages of both sides.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::codec::v1::client::{ClientMessage, WHO_MAX};
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::schema::ARGUMENTS_MAX;
use skirmish::codec::v1::server::{Event, RosterEntry, encode_roster};
use skirmish::codec::v1::welcome::Welcome;
use skirmish::codec::v1::{Replica, Width};
use skirmish::time::Tick;

use super::mutate::mutate;
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
pub fn ticks(rng: &mut ChaCha8Rng) {
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

/// What is accepted is within the limits, and is encoded as it was read.
pub fn client_messages(rng: &mut ChaCha8Rng) {
    const MESSAGES: [&[u8]; 5] = [
        &[0x10, 0xfa, 0xff, 0xff, 1, 2, 3, 4],
        &[0x11],
        &[0x12, 2, 1, 0, 0, 0xff, 0xff, 3],
        &[0x13, 20],
        &[0x14, 1, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    let message = mutate(MESSAGES[rng.random_range(0..MESSAGES.len())], &PIECES, rng);
    let Ok(decoded) = ClientMessage::decode(&message) else { return };
    let is_in_range = match decoded {
        ClientMessage::Input(input) => input.presses < 32,
        ClientMessage::Resync => true,
        ClientMessage::Who(who) => who.count() <= WHO_MAX,
        ClientMessage::Rate(hz) => (1..=20).contains(&hz),
        ClientMessage::Command(command) => usize::from(command.count) <= ARGUMENTS_MAX,
    };
    assert!(is_in_range, "{message:02x?}");
    let mut again = Vec::new();
    decoded.encode(&mut again);
    assert_eq!(again, message);
}

/// A WELCOME that is accepted gives a usable schema.
pub fn welcomes(rng: &mut ChaCha8Rng) {
    const WELCOME: &str = r#"{"id":"7","slot":3,"gen":1,"room":"w","rules":"w","numbers":{"a":1},
        "map":[0,0,500,500],"walls":[10,10,490,490],"cell":512,"columns":1,"view":[1024,768],
        "tick_ms":50,"step":10,"fields":[{"name":"hp","width":"u8"}],"commands":[],"events":[],
        "room_fields":{}}"#;
    let message = mutate(&[b"\xb0", WELCOME.as_bytes()].concat(), &PIECES, rng);
    let Ok(welcome) = Welcome::decode(&message) else { return };
    let mut replica = Replica::new(welcome.schema());
    let mut tick = vec![0xa1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    tick.extend([0; 64].iter().take(4 * welcome.schema().owner_fields.len()));
    tick.extend([0xc1, 0, 0, 0, 1, 0, 5, 0, 1, 0xff, 0xff, 0xff, 0xff, 4, 77]);
    let _ = replica.receive(&tick);
    let mut again = Vec::new();
    welcome.encode(&mut again);
    assert_eq!(Welcome::decode(&again), Ok(welcome));
}
