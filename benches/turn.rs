//! A whole `Server` without sockets: what a tick costs, and what it allocates.
//!
//! `cargo bench --bench turn`

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};

#[path = "house.rs"]
mod house;

use house::{Dialect, House};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A tick of one room in which nobody moves.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_one_room(bencher: Bencher, players: usize) {
    let mut house = House::with_players(Dialect::Json, players, players);
    bencher.counter(ItemsCount::new(players)).bench_local(|| house.tick(0..0));
}

/// A tick of rooms of ten in which nobody moves.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_rooms_of_ten(bencher: Bencher, players: usize) {
    let mut house = House::with_players(Dialect::Json, players, 10);
    bencher.counter(ItemsCount::new(players)).bench_local(|| house.tick(0..0));
}

/// A tick of rooms of ten in which a tenth of the players move.
#[divan::bench(args = [100, 1_000, 5_000])]
fn tick_with_moves(bencher: Bencher, players: usize) {
    let mut house = House::with_players(Dialect::Json, players, 10);
    bencher.counter(ItemsCount::new(players)).bench_local(|| house.tick(0..players / 10));
}

/// A tick of rooms of fifty over Socket.IO in which a quarter of the players move: five moves a
/// second each.
#[divan::bench(args = [200, 1_500])]
fn tick_battle(bencher: Bencher, players: usize) {
    let mut house = House::with_players(Dialect::Events, players, 50);
    bencher.counter(ItemsCount::new(players)).bench_local(|| house.tick(0..players / 4));
}

/// Players come in, from the accept to the first message.
#[divan::bench(args = [100, 1_000])]
fn join(bencher: Bencher, players: usize) {
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| House::with_players(Dialect::Json, players, 10).players.len());
}
