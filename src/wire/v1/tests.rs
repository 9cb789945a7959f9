//! Random rooms with clients that lag, join, leave and ask for keyframes: what a client has is what
//! the room has.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::viewer::{Made, Viewer};
use super::*;
use crate::codec::v1::client::WHO_MAX;
use crate::codec::v1::replica::Received;
use crate::codec::v1::welcome::Welcome as WelcomeMessage;
use crate::codec::v1::{Replica, server::Part, server::Parts};
use crate::game::{BATTLE, DOTS, Event, Fact, Ground, Point, Rect, WORLD};

mod long;

#[test]
fn a_history_counts_the_bytes_that_it_holds() {
    for (rules, side, players) in [(&DOTS, 500, 1), (&WORLD, 16_000, 300), (&WORLD, 65_535, 2)] {
        let ground = Ground::with_margin(side, side, 20);
        let mut room = Room::new(rules, ground, 1);
        let mut clients: Vec<Client> = (0..players).map(|_| room.join()).collect();
        (0..40).for_each(|_| room.tick());
        clients.iter_mut().for_each(|client| room.send(client));
        room.tick();
        let before = room.history.held_bytes();
        let Room { world, history, .. } = room;
        let freed = allocation_counter::measure(|| drop(history)).bytes_current;
        let counted = i64::try_from(before).expect("it fits");
        assert!((freed + counted).abs() < counted / 50 + 1_000, "{counted} counted, {freed} freed");
        drop(world);
    }
}

#[test]
fn a_player_alone_on_a_large_map_takes_few_bytes() {
    for side in [16_000, 65_535] {
        let mut room = Room::new(&WORLD, Ground::with_margin(side, side, 20), 1);
        let mut client = room.join();
        for seq in 0..200 {
            let direction = Some(Direction::ALL[usize::from(seq / 50)]);
            let keys = HeldKeys { seq, direction, presses: 0, rewind: 0 };
            room.world.hold(client.player, keys);
            room.tick();
            room.send(&mut client);
        }
        let held = room.history.held_bytes();
        assert!(held < 16 * 1_024, "{held} bytes on a map of {side}");
    }
}

/// A client that may have everything.
const ALL: Conditions = Conditions {
    credit: None,
    has_lower_rate: false,
    keyframe_bytes: KeyframeBytes { max: usize::MAX, left: usize::MAX },
};

/// A room.
struct Room {
    world: World,
    facts: Vec<Fact>,
    frame: Frame,
    history: History,
    rng: ChaCha8Rng,
    joined: u32,
    view_bytes: u32,
}

/// A client, which has received some of the messages for it.
struct Client {
    player: PlayerId,
    viewer: Viewer,
    replica: Replica,
    seq: u16,
    /// Ticks for which it receives nothing.
    lag: u32,
    bytes: usize,
}

impl Room {
    fn new(rules: &'static Rules, ground: Ground, seed: u64) -> Room {
        let world = World::on(ground, rules, seed, 4);
        let (frame, history) = (Frame::of(&world), History::of(&world));
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let facts = Vec::new();
        Room { world, facts, frame, history, rng, joined: 0, view_bytes: 1_200 }
    }

    fn join(&mut self) -> Client {
        self.joined += 1;
        let player = PlayerId(self.joined);
        self.world.join(player, None, &mut self.facts);
        let Room { world, history, .. } = self;
        let (now, silence_ms) = (crate::time::Millis(0), 0);
        let terms = Welcome { room: "a", world, players_max: 9, now, silence_ms, token: None };
        let message = welcome(player, &terms, history).expect("it has a slot");
        let (_, payload) = frame::payloads(message.bytes()).next().expect("a frame");
        let terms = WelcomeMessage::decode(payload).expect("a WELCOME");
        let seq = self.rng.random();
        let (viewer, replica) = (Viewer::default(), Replica::new(terms.schema()));
        Client { player, viewer, replica, seq, lag: 0, bytes: 0 }
    }

    fn tick(&mut self) {
        self.world.tick(&mut self.facts);
        self.frame.renew(&self.world, &mut self.facts);
        self.history.renew(&self.frame, self.view_bytes);
    }

    /// Sends a client its message, if there is one, and checks what it has then.
    fn send(&mut self, client: &mut Client) {
        let mut out = Vec::new();
        let Room { world, frame, history, .. } = self;
        let Client { player, viewer, replica, .. } = client;
        client.bytes = 0;
        if message(*player, (viewer, ALL), history, (frame, world), &mut out) {
            client.bytes = out.len();
            viewer.receive();
            let received = replica.receive(&out);
            assert_eq!(received, Ok(Received::Applied), "{out:02x?}");
            let head = replica.head().expect("a tick");
            let snapshot = frame.snapshot();
            let own = &snapshot.bodies[snapshot.find(*player).expect("it is here")];
            assert_eq!((head.tick, head.x, head.y), (frame.tick(), own.at.x, own.at.y));
            assert_eq!(self.sum(client), client.replica.sum());
        }
    }

    /// The sum over the cells that a client holds.
    fn sum(&mut self, client: &Client) -> u32 {
        let held: Vec<u16> = client.replica.cells().map(|(cell, _)| cell).collect();
        assert_eq!(held, client.viewer.held());
        held.iter().fold(0, |sum: u32, cell| sum.wrapping_add(self.history.sum(*cell)))
    }

    /// Some players act: keys, and commands of other dialects.
    fn act(&mut self, clients: &mut [Client]) {
        for client in clients {
            let Room { world, facts, rng, .. } = self;
            client.seq = client.seq.wrapping_add(1);
            match rng.random_range(0..40) {
                0..3 => {
                    let direction =
                        [None, Some(Direction::Up), Some(Direction::Left)][rng.random_range(0..3)];
                    let presses = rng.random_range(0..32);
                    world.hold(
                        client.player,
                        HeldKeys { seq: client.seq, direction, presses, rewind: 0 },
                    );
                }
                3..5 => {
                    let direction = Direction::ALL[rng.random_range(0..4)];
                    let keys = HeldKeys {
                        seq: client.seq,
                        direction: Some(direction),
                        presses: 0,
                        rewind: 0,
                    };
                    world.hold(client.player, keys);
                }
                5 => {
                    let to = Point { x: rng.random(), y: rng.random() };
                    let _ = world.apply(client.player, Command::MoveTo(to), facts);
                }
                6 => {
                    let _ = world.apply(client.player, Command::Attack, facts);
                }
                _ => {}
            }
        }
    }
}

const WIDE: Rect = Rect { left: 0, top: 0, right: 3_000, bottom: 2_400 };

fn grounds() -> [(&'static Rules, Ground); 4] {
    let wide = Ground { map: WIDE, walls: WIDE, spawn: WIDE };
    [(&DOTS, DOTS.ground), (&BATTLE, BATTLE.ground), (&DOTS, wide), (&BATTLE, wide)]
}

// T66
#[test]
fn clients_that_lag_join_and_leave_have_what_the_room_has() {
    for (seed, (rules, ground)) in (0..).zip(grounds()) {
        let mut room = Room::new(rules, ground, seed);
        let mut clients: Vec<Client> = (0..40).map(|_| room.join()).collect();
        for round in 0..400 {
            room.act(&mut clients);
            if round % 7 == 0 {
                let leaver = room.rng.random_range(0..clients.len());
                let client = clients.swap_remove(leaver);
                room.world.leave(client.player, &mut room.facts);
                clients.push(room.join());
            }
            room.tick();
            for client in &mut clients {
                client.lag = match (client.lag, room.rng.random_range(0..200)) {
                    (0, 0) => room.rng.random_range(1..60),
                    (0, 1..20) => 1,
                    (lag, _) => lag.saturating_sub(1),
                };
                if client.lag == 0 {
                    room.send(client);
                }
            }
        }
    }
}

// T66
#[test]
fn a_hundred_thousand_joins_and_leaves_leave_no_ghosts() {
    // And as many leave.
    const JOINS: u32 = 50_000;
    const STAYING: usize = 10;
    const LEAVES_A_TICK: usize = 25;
    let mut room = Room::new(&BATTLE, BATTLE.ground, 66);
    let mut clients: Vec<Client> = (0..40).map(|_| room.join()).collect();
    while room.joined < JOINS {
        room.act(&mut clients);
        for _ in 0..LEAVES_A_TICK {
            let leaver = room.rng.random_range(STAYING..clients.len());
            let client = clients.swap_remove(leaver);
            room.world.leave(client.player, &mut room.facts);
            clients.push(room.join());
        }
        room.tick();
        // Each compares its sum with that of the room.
        clients.iter_mut().for_each(|client| room.send(client));
        let mut here: Vec<PlayerId> = clients.iter().map(|client| client.player).collect();
        here.sort_unstable();
        let bodies = &room.frame.snapshot().bodies;
        assert!(bodies.iter().map(|body| body.id).eq(here), "tick {:?}", room.frame.tick());
    }
}

#[test]
fn a_course_costs_nothing_and_a_client_hears_twice_a_second() {
    let mut room = Room::new(&DOTS, grounds()[2].1, 1);
    let mut client = room.join();
    let other = room.join();
    room.tick();
    room.send(&mut client);
    let keys = HeldKeys { seq: 1, direction: Some(Direction::Up), presses: 0, rewind: 0 };
    room.world.hold(other.player, keys);
    room.tick();
    room.send(&mut client);
    let mut sent = Vec::new();
    for _ in 0..40 {
        room.tick();
        room.send(&mut client);
        sent.push(client.bytes);
    }
    assert_eq!(sent.iter().filter(|bytes| **bytes > 0).count(), 4, "{sent:?}");
    // HEAD, and CHECK on every other one.
    assert_eq!(sent.iter().sum::<usize>(), 4 * 15 + 2 * 9, "{sent:?}");
}

#[test]
fn a_message_that_is_not_taken_is_made_again() {
    let mut room = Room::new(&BATTLE, BATTLE.ground, 1);
    let mut clients: Vec<Client> = (0..5).map(|_| room.join()).collect();
    for round in 0..300 {
        room.act(&mut clients);
        room.tick();
        for client in &mut clients {
            if round % 3 > 0 {
                let mut out = Vec::new();
                let Room { world, frame, history, .. } = &mut room;
                message(
                    client.player,
                    (&mut client.viewer, ALL),
                    history,
                    (frame, world),
                    &mut out,
                );
            } else {
                room.send(client);
            }
        }
    }
}

#[test]
fn a_client_that_has_lost_its_base_gets_a_keyframe_a_second_at_most() {
    let mut room = Room::new(&DOTS, DOTS.ground, 1);
    let mut client = room.join();
    let mut keyframes = 0;
    for _ in 0..100 {
        room.tick();
        client.viewer.resync();
        room.send(&mut client);
        let is_keyframe = client.replica.head().is_some_and(|head| head.age == 0);
        keyframes += usize::from(client.bytes > 0 && is_keyframe);
    }
    assert_eq!(keyframes, 5);
}

#[test]
fn events_come_to_those_that_see_the_place() {
    let mut room = Room::new(&BATTLE, grounds()[3].1, 1);
    let mut clients: Vec<Client> = (0..60).map(|_| room.join()).collect();
    let (mut seen, mut unseen) = (0, 0);
    for _ in 0..200 {
        for client in &clients {
            let _ = room.world.apply(client.player, Command::Attack, &mut room.facts);
        }
        room.tick();
        let attacks = room.frame.facts().len();
        for client in &mut clients {
            let mut out = Vec::new();
            let Room { world, frame, history, .. } = &mut room;
            let schema = terms::schema(world.rules(), world.ground());
            if message(client.player, (&mut client.viewer, ALL), history, (frame, world), &mut out)
            {
                client.viewer.receive();
            }
            let is_event = |part: &Result<Part, _>| matches!(part, Ok(Part::Event(_)));
            let events = Parts::new(&out, &schema).filter(is_event).count();
            assert!(events <= attacks);
            seen += events;
            unseen += attacks - events;
        }
    }
    assert!(seen > 1_000 && unseen > 1_000, "{seen} and {unseen}");
}

// T65
#[test]
fn a_crowd_holds_changes_back_and_clients_still_have_what_is_published() {
    // No field of a fight changes with each turn: that would be urgent.
    for rules in [&DOTS, &WORLD] {
        check_a_crowd(rules);
    }
}

fn check_a_crowd(rules: &'static Rules) {
    let spawn = Rect { left: 1_300, top: 1_000, right: 1_700, bottom: 1_400 };
    let mut room = Room::new(rules, Ground { spawn, ..grounds()[2].1 }, 1);
    room.view_bytes = 400;
    let mut clients: Vec<Client> = (0..300).map(|_| room.join()).collect();
    let (mut bytes, mut slow_bytes, mut held_back, mut ticks) = (0, 0, 0, 0);
    let mut slow = room.join();
    for round in 0..120 {
        for client in &mut clients {
            client.seq = client.seq.wrapping_add(1);
            if room.rng.random_range(0..2) == 0 {
                let direction = Some(Direction::ALL[room.rng.random_range(0..4)]);
                let keys = HeldKeys { seq: client.seq, direction, presses: 0, rewind: 0 };
                room.world.hold(client.player, keys);
            }
        }
        room.tick();
        held_back += room.history.held_back();
        // The last ones lag now and then.
        for (index, client) in clients.iter_mut().enumerate() {
            if index % 30 == 0 && (index < 200 || round % 5 == 0) {
                room.send(client);
            }
        }
        if round % 4 == 0 {
            room.send(&mut slow);
            slow_bytes += if round > 20 { slow.bytes } else { 0 };
        }
        if round > 20 {
            bytes += clients[0].bytes;
            ticks += 1;
            let is_crowded = clients[0].replica.head().expect("a tick").flags & 8 != 0;
            assert!(is_crowded, "in round {round}");
        }
    }
    assert!(held_back > 10_000, "{held_back}");
    assert!((250..400).contains(&(bytes / ticks)), "{} bytes a tick", bytes / ticks);
    assert!(slow_bytes < bytes, "{bytes} bytes at 20 Hz, {slow_bytes} at 5 Hz");
    // All come to rest, and what was held back is published.
    for _ in 0..150 {
        room.tick();
        room.send(&mut clients[0]);
    }
    assert_eq!(room.history.held_back(), 0);
    let snapshot = room.frame.snapshot();
    for (_, list) in clients[0].replica.cells() {
        for body in list.bodies() {
            let slot = slots::Slot { number: body.id, generation: body.generation };
            let player = room.history.player(slot).expect("it is here");
            let at = snapshot.bodies[snapshot.find(player).expect("it is here")].at;
            assert_eq!((body.x, body.y), (at.x, at.y));
        }
    }
}

/// Ann and Ben at (500, 500) under the rules of world, with steps of 10 and a reach of 40, and what
/// Ann's client has.
struct Duel {
    world: World,
    viewer: Viewer,
    credit: Credit,
}

const ANN: PlayerId = PlayerId(1);
const BEN: PlayerId = PlayerId(2);

impl Duel {
    fn new() -> Duel {
        let ground = Ground { spawn: Rect::square(500, 500), ..WORLD.ground };
        let mut world = World::on(ground, &WORLD, 7, 4);
        [ANN, BEN].into_iter().for_each(|id| world.join(id, None, &mut Vec::new()));
        Duel { world, viewer: Viewer::default(), credit: Credit::since(Tick(0)) }
    }

    /// Runs a tick in which Ben holds a direction, and sends it to Ann.
    fn tick(&mut self, direction: Direction) {
        let seq = self.world.steps(1).applied.wrapping_add(1);
        let direction = Some(direction);
        self.world.hold(BEN, HeldKeys { seq, direction, presses: 0, rewind: 0 });
        self.world.tick(&mut Vec::new());
        self.viewer.offer(Made { tick: self.world.now(), ..Default::default() }, &[]);
        self.viewer.receive();
    }

    /// Ann's keys: for a step that is run after `wait` more ticks, with the tick `passed` ago as
    /// the newest one that she has.
    fn keys(&mut self, passed: u32, view_age: u8, wait: u16, hold_4ms: u8) -> HeldKeys {
        let now = self.world.now();
        let ack = now.0.wrapping_sub(passed) as u16;
        let seq = self.world.steps(0).applied.wrapping_add(1 + wait);
        let input = client::Input { seq, ack, view_age, hold: hold_4ms, ..Default::default() };
        let (keys, _) = hold(ANN, &self.viewer, &mut self.credit, &input, &self.world);
        self.world.hold(ANN, keys);
        keys
    }

    /// Whether these keys, with an attack, hit Ben. Nothing changes.
    fn hits(&self, keys: HeldKeys, wait: u16) -> bool {
        let mut world = World::load(&WORLD, &self.world.save()).expect("it was saved");
        world.hold(ANN, HeldKeys { presses: 1, ..keys });
        let mut facts = Vec::new();
        (0..=wait).for_each(|_| world.tick(&mut facts));
        let is_hit = |fact: &Fact| matches!(fact.event, Event::Own { kind: 0, .. });
        facts.iter().any(is_hit)
    }
}

// T62
#[test]
fn attacks_hit_what_their_player_saw_in_reach_up_to_250_ms_ago() {
    // Each way: hits of a target that is out of reach now, and misses of one that is in reach.
    let mut counts = [0, 0];
    for (rtt, view_age, wait) in (0..=8).flat_map(|rtt| {
        let ages = [0, 3, 8, 20, 30];
        ages.into_iter().flat_map(move |age| [0, 1, 3].map(|wait| (rtt, age, wait)))
    }) {
        for is_away in [true, false] {
            let mut duel = Duel::new();
            let (start, first) =
                if is_away { (10, Direction::Left) } else { (20, Direction::Right) };
            // The walls are far away.
            (0..start).for_each(|_| duel.tick(first));
            let _ = duel.keys(rtt, view_age, 0, 0);
            for _ in 0..24 {
                duel.tick(if is_away { Direction::Right } else { Direction::Left });
                let keys = duel.keys(rtt, view_age, wait, 0);
                // In eighths of a tick since Ben has turned, and of a map unit.
                let now = 8 * (duel.world.now().0 as i32 - start);
                let distance = |at: i32| {
                    let at = at.max(-8 * start);
                    let x = if is_away { 10 * at.abs() - 800 } else { 1_600 - 10 * at.abs() };
                    ((x + 4).div_euclid(8)).abs()
                };
                let judged = now + 8 * i32::from(wait);
                let seen = now - 8 * rtt as i32 - i32::from(view_age);
                let earliest = judged - (8 * (rtt as i32 + 3)).min(40);
                let is_hit = duel.hits(keys, wait);
                let context = format!("{rtt} {view_age} {wait} {is_away}, {now}");
                assert_eq!(is_hit, distance(seen.max(earliest)) <= 40, "{context}");
                let is_near_now = distance(judged) <= 40;
                counts[0] += u32::from(is_hit && !is_near_now);
                counts[1] += u32::from(!is_hit && is_near_now);
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
}

// T62
#[test]
fn a_client_that_misstates_what_it_sees_gains_no_more_than_the_round_trip_and_3_ticks() {
    // It has not received anything.
    let mut duel = Duel::new();
    duel.world.tick(&mut Vec::new());
    assert_eq!(duel.keys(1, 255, 9, 0).rewind, 0);
    for (rtt, most) in [(0, 24), (1, 32), (2, 40), (3, 40), (8, 40)] {
        let mut duel = Duel::new();
        (0..100).for_each(|_| duel.tick(Direction::Right));
        assert_eq!(duel.keys(rtt, 0, 0, 0).rewind, (8 * rtt as u8).min(40));
        assert_eq!(duel.keys(rtt, 255, 0, 0).rewind, most, "far behind the tick");
        // Older ticks, and ticks that are not there yet, change nothing.
        for passed in [rtt + 1, rtt + 5, 99, 10_000, 0_u32.wrapping_sub(1), 0_u32.wrapping_sub(9)] {
            assert_eq!(duel.keys(passed, 4, 0, 0).rewind, (8 * rtt as u8 + 4).min(40), "{passed}");
            assert_eq!(duel.keys(passed, 255, 0, 0).rewind, most, "{passed}");
        }
        assert_eq!(duel.keys(rtt, 0, 30_000, 0).rewind, most, "keys for a far step");
        // It does not acknowledge the next ticks.
        for _ in 0..100 {
            duel.tick(Direction::Right);
            let passed = duel.world.now().0 - 100 + rtt;
            assert!(duel.keys(passed, 0, 0, 0).rewind <= most);
        }
        assert_eq!(duel.keys(100 + rtt, 0, 0, 0).rewind, most);
        // It says that it has waited, and not the network.
        duel.tick(Direction::Right);
        assert_eq!(duel.keys(rtt, 255, 0, 255).rewind, 24);
    }
}

#[test]
fn requests_for_players_are_answered_four_times_a_second() {
    let mut viewer = Viewer::default();
    let mut answered = |tick| (0..10).filter(|_| viewer.ask_who(&[], Tick(tick))).count();
    assert_eq!(answered(u32::MAX - 7), 4);
    let later = [u32::MAX - 6, u32::MAX - 2, u32::MAX - 1, 0].map(&mut answered);
    assert_eq!(later, [0, 1, 0, 1]);
    assert_eq!([answered(100), answered(101)], [4, 0]);
    let asked_twice_a_second = (110..300).filter(|tick| tick % 10 == 0);
    assert!(asked_twice_a_second.into_iter().all(|tick| viewer.ask_who(&[], Tick(tick))));
}

#[test]
fn the_bodies_that_wait_for_their_players_are_bounded() {
    let mut viewer = Viewer::default();
    let bodies = [[1, 0, 0]; WHO_MAX];
    let asked = (0..20).filter(|second| viewer.ask_who(&bodies, Tick(second * 20))).count();
    assert_eq!((asked, viewer.wanted().len()), (4, WHO_MAX));
    // What a message has is forgotten once it is taken, and not before.
    let made = |tick| Made { tick: Tick(tick), named: WHO_MAX, ..Made::default() };
    viewer.offer(made(400), &[]);
    viewer.offer(made(401), &[]);
    viewer.receive();
    let asked = (0..20).filter(|second| viewer.ask_who(&bodies, Tick(500 + second * 20))).count();
    assert_eq!(asked, 1);
    for tick in 0..4 {
        assert_eq!(viewer.wanted().len(), WHO_MAX);
        viewer.offer(made(1_000 + tick), &[]);
        viewer.receive();
    }
    assert!(viewer.wanted().is_empty());
}
