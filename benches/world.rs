//! A large world without a server: ticks, attacks, joins and leaves of thousands of players.
//!
//! `cargo bench --bench world`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skirmish::game::{Command, Direction, Frame, PlayerId, WORLD, World};
use skirmish::limits::MOVE_CREDIT_MAX;

const PLAYERS: u32 = 10_000;
/// Widths of square maps: a crowd in one view, the default, and the largest.
const MAPS: [u16; 3] = [1_000, 16_000, 65_535];

fn main() {
    divan::main();
}

fn world(side: u16, players: u32) -> World {
    let ground = WORLD.ground_with(Some((side, side)));
    let mut world = World::on(ground, &WORLD, 7, MOVE_CREDIT_MAX);
    (1..=players).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
    world
}

/// All players make a step on each tick, and a frame is made of it.
#[divan::bench(args = MAPS)]
fn tick_walking(bencher: Bencher, side: u16) {
    let mut world = world(side, PLAYERS);
    let mut frame = Frame::of(&world);
    let mut facts = Vec::new();
    // From here on the grid is in use.
    world.apply(PlayerId(1), Command::Attack, &mut facts).expect("the first attack");
    let mut tick = 0;
    bencher.counter(ItemsCount::new(PLAYERS)).bench_local(|| {
        tick += 1;
        for number in 1..=PLAYERS {
            let direction = Direction::ALL[(number + tick / 40) as usize % 4];
            let _ = world.apply(PlayerId(number), Command::Step(direction), &mut facts);
        }
        world.tick(&mut facts);
        frame.renew(&world, &mut facts);
        facts.clear();
    });
}

/// The same without the commands: the players stand.
#[divan::bench(args = MAPS)]
fn tick_standing(bencher: Bencher, side: u16) {
    let mut world = world(side, PLAYERS);
    let mut frame = Frame::of(&world);
    let mut facts = Vec::new();
    bencher.counter(ItemsCount::new(PLAYERS)).bench_local(|| {
        world.tick(&mut facts);
        frame.renew(&world, &mut facts);
    });
}

/// A fifth of the players attack on each tick: four attacks a second each.
#[divan::bench(args = MAPS)]
fn tick_attacking(bencher: Bencher, side: u16) {
    let mut world = world(side, PLAYERS);
    let mut facts = Vec::new();
    let mut tick = 0;
    bencher.counter(ItemsCount::new(PLAYERS / 5)).bench_local(|| {
        tick += 1;
        for number in (1 + tick % 5..=PLAYERS).step_by(5) {
            let _ = world.apply(PlayerId(number), Command::Attack, &mut facts);
        }
        world.tick(&mut facts);
        facts.clear();
    });
}

/// All players join an empty world.
#[divan::bench(args = [1_000, 10_000, 60_000])]
fn join_all(bencher: Bencher, players: u32) {
    bencher
        .counter(ItemsCount::new(players))
        .bench_local(|| world(black_box(16_000), players).bodies().len());
}

/// Ten players leave a full world, each followed by a join and an attack.
#[divan::bench(args = [1_000, 10_000, 60_000])]
fn leave_and_join(bencher: Bencher, players: u32) {
    let mut world = world(16_000, players);
    let mut facts = Vec::new();
    let mut next = players;
    bencher.counter(ItemsCount::new(10_u32)).bench_local(|| {
        for _ in 0..10 {
            let leaver = world.bodies()[world.bodies().len() / 2].id;
            world.leave(leaver, &mut facts);
            next += 1;
            world.join(PlayerId(next), None, &mut facts);
            let _ = world.apply(PlayerId(next), Command::Attack, &mut facts);
        }
        facts.clear();
    });
}
