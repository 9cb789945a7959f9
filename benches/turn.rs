//! The cost and the allocations of a tick of a whole `Server` without sockets.
//!
//! `cargo bench --bench turn`

use std::cell::RefCell;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};

#[path = "fixture.rs"]
mod fixture;

use fixture::{Dialect, Fixture};
use skirmish::time::TICK_MS;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// One room without moves.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_one_room(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::Json, players, players);
    bencher.counter(ItemsCount::new(players)).bench_local(|| heard(&mut fixture).tick(0..0));
}

/// Rooms of ten without moves.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_rooms_of_ten(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::Json, players, 10);
    bencher.counter(ItemsCount::new(players)).bench_local(|| heard(&mut fixture).tick(0..0));
}

/// Rooms of ten; a tenth of the players move.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_with_moves(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::Json, players, 10);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 10));
}

/// One room in which a tenth of the players move: two moves a second each.
#[divan::bench(args = [100, 500])]
fn tick_plain(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::Json, players, players);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 10));
}

/// The same with compression.
#[divan::bench(args = [100, 500])]
fn tick_deflate(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::JsonDeflate, players, players);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 10));
}

/// Rooms of ten with compression, more than a tick has time to compress.
#[divan::bench(args = [1_000, 40_960])]
fn tick_deflate_rooms_of_ten(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::JsonDeflate, players, 10);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 10));
}

/// [`tick_battle`] with compression.
#[divan::bench(args = [200, 1_500])]
fn tick_battle_deflate(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::EventsDeflate, players, 50);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 4));
}

/// Rooms of fifty over Socket.IO; a quarter of the players move, which is five moves a second each.
#[divan::bench(args = [200, 1_500])]
fn tick_battle(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::Events, players, 50);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 4));
}

/// One room of skirmish.v1; a tenth of the players turn.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_v1_dots(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::V1Dots, players, players);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick(0..players / 10));
}

/// A battle in one room of JSON players; each attacks twice a second.
#[divan::bench(args = [100, 1_000])]
fn tick_json_battle(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::JsonBattle, players, players);
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick_with_attacks());
}

/// A battle of bots, and a person that walks.
#[divan::bench(args = [4, 50])]
fn tick_bots(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_bots(players);
    bencher.counter(ItemsCount::new(players)).bench_local(|| heard(&mut fixture).tick(0..1));
}

/// Players of skirmish.v1 that walk on a large map.
#[divan::bench(args = [1_000, 10_000])]
fn tick_v1(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::V1, players, players);
    (0..50).for_each(|_| fixture.tick_with_courses(40));
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick_with_courses(40));
}

/// The states of a tick alone: all messages are made of the world and handed over.
#[divan::bench(args = [1_000, 10_000], sample_size = 1)]
fn encode_v1(bencher: Bencher, players: usize) {
    let fixture = RefCell::new(Fixture::with_players(Dialect::V1, players, players));
    (0..50).for_each(|_| fixture.borrow_mut().tick_with_courses(40));
    bencher
        .with_inputs(|| heard(&mut fixture.borrow_mut()).walk(40))
        .counter(ItemsCount::new(players))
        .bench_local_values(|()| fixture.borrow_mut().publish());
}

/// The same in one view, with another course every 0.5 s.
#[divan::bench(args = [1_000, 10_000])]
fn tick_v1_crowd(bencher: Bencher, players: usize) {
    let mut fixture = Fixture::with_players(Dialect::V1Crowd, players, players);
    (0..50).for_each(|_| fixture.tick_with_courses(10));
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| heard(&mut fixture).tick_with_courses(10));
}

/// Joins, from the accept to the first message.
#[divan::bench(args = [100, 1_000])]
fn join(bencher: Bencher, players: usize) {
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| Fixture::with_players(Dialect::Json, players, 10).players.len());
}

/// Twelve joins over Socket.IO into a room of 500, each with a turn of its own, and the tick that
/// tells them to the others.
#[divan::bench]
fn join_a_full_room(bencher: Bencher) {
    bencher
        .with_inputs(|| {
            let mut fixture = Fixture::with_players(Dialect::Events, 500, 100_000);
            fixture.tick(0..0);
            fixture
        })
        .bench_local_values(|mut fixture| {
            for _ in 0..12 {
                fixture.join(0);
                fixture.flush();
            }
            fixture.tick(0..0);
            fixture
        });
}

/// A share of the clients sends a pong, so that each is heard once in three seconds. Silent ones
/// would be pinged, and closed after 12 s.
fn heard(fixture: &mut Fixture) -> &mut Fixture {
    let ticks = 3_000 / TICK_MS;
    let now = fixture.now;
    for id in
        fixture.players.iter().skip((now.0 / TICK_MS % ticks) as usize).step_by(ticks as usize)
    {
        let mut pong = [0x8a, 0x80, 1, 2, 3, 4];
        fixture.server.receive(*id, &mut pong, now);
    }
    fixture
}
