//! The driver with the messages of a scripted server.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::codec::v1::cell::encode_full;
use crate::codec::v1::client::{ClientMessage, Input};
use crate::codec::v1::delta;
use crate::codec::v1::server::{Check, Head, RosterEntry, encode_roster};
use crate::codec::v1::welcome::{FieldTerms, Welcome};
use crate::codec::v1::{Body, Course, List, Schema, State, Width};
use crate::load::context::Common;
use crate::load::duel::Duels;
use crate::load::groups::{Group, Tallies};
use crate::load::player::{Role, Stage};
use crate::load::probe::Probe;
use crate::time::Tick;
use crate::ws::frame::{self, BINARY, TEXT};
use crate::ws::{Assembler, FrameRules, Mask, Message};

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

const RULES: FrameRules = FrameRules {
    mask: Mask::Required,
    takes_compressed: false,
    message_bytes_max: 4_096,
    fragments_max: 1,
};

fn welcome() -> Welcome {
    let hp = FieldTerms { name: "hp".into(), width: Width::U8, owner: false, words: Vec::new() };
    Welcome {
        id: "5".to_owned(),
        slot: 0,
        generation: 1,
        token: None,
        resume_s: None,
        room: "a".to_owned(),
        rules: "world".to_owned(),
        numbers: BTreeMap::new(),
        map: [0, 0, 1_000, 600],
        walls: [10, 10, 990, 590],
        cell: 1 << 16,
        columns: 1,
        view: [200, 100],
        tick_ms: 50,
        step: 10,
        fields: vec![hp],
        commands: Vec::new(),
        events: Vec::new(),
        room_fields: BTreeMap::new(),
    }
}

fn list(bodies: &[Body]) -> List {
    let mut list = List::default();
    bodies.iter().for_each(|body| list.push(*body, &[100]));
    list
}

fn body(id: u16, x: u16, course: Course) -> Body {
    Body { id, generation: 1, x, y: 300, state: State::new(course) }
}

/// A room with one cell, and what a server sends of it.
struct Room {
    schema: Schema,
    tick: Tick,
    list: List,
    /// The newest step that was received and run.
    step: u16,
}

impl Room {
    fn new(bodies: &[Body]) -> Room {
        Room { schema: welcome().schema(), tick: Tick(0x0001_fffe), list: list(bodies), step: 0 }
    }

    fn head(&self, age: u8, cells: u8) -> Head {
        let own = self.list.bodies()[0];
        let (tick, applied, x, y) = (self.tick, self.step, own.x, own.y);
        Head { tick, age, cells, applied, x, y, ..Head::default() }
    }

    fn keyframe(&self) -> Vec<u8> {
        let mut message = Vec::new();
        self.head(0, 1).encode(&self.schema, &mut message);
        encode_full(&self.schema, 0, self.list.borrowed(), &mut message);
        message
    }

    /// Some ticks later the cell has these bodies.
    fn tick(&mut self, age: u8, new: &[Body]) -> Vec<u8> {
        self.tick = Tick(self.tick.0.wrapping_add(age.into()));
        let old = std::mem::replace(&mut self.list, list(new));
        let mut cell = Vec::new();
        let base = (old.borrowed(), age);
        delta::encode(&self.schema, 0, base, self.list.borrowed(), |_| None, &mut cell);
        let mut message = Vec::new();
        self.head(age, u8::from(!cell.is_empty())).encode(&self.schema, &mut message);
        message.extend(cell);
        message
    }
}

/// One client, without a socket.
struct Bench {
    driver: Driver,
    player: Player,
    common: Common,
}

impl Bench {
    fn new(role: Role, observer: Option<u8>, pattern: Pattern) -> Bench {
        let mut tallies = Tallies::new();
        tallies.set_window(&(0..60_000_000));
        let driver = Driver {
            socket: Socket::of_binary(SUBPROTOCOL, false),
            message_bytes: 0,
            observer,
            room: 0,
            pattern,
            world: None,
        };
        let (duels, v1) = (Duels::default(), Shared::default());
        let rng = SmallRng::seed_from_u64(1);
        let common = Common { now_us: 1_000, tallies, duels, v1, rng };
        Bench { driver, player: Player::new(0, role), common }
    }

    /// A client in the game, with one other body in view.
    fn playing(role: Role, observer: Option<u8>, pattern: Pattern) -> (Bench, Room) {
        let mut bench = Bench::new(role, observer, pattern);
        let room = Room::new(&[body(0, 500, Course::None), body(8, 300, Course::Right)]);
        bench.open();
        bench.message(&room.keyframe());
        bench.sent();
        (bench, room)
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        let mut context = self.common.context(Group::V1);
        self.driver.receive(bytes, &mut self.player, &mut context)
    }

    fn message(&mut self, message: &[u8]) {
        self.receive(&frame::whole(BINARY, message)).expect("it is not lost");
    }

    fn open(&mut self) {
        self.receive(accepted().as_bytes()).expect("it is accepted");
        let mut message = Vec::new();
        welcome().encode(&mut message);
        self.message(&message);
    }

    fn counts(&self) -> Counts {
        self.common.tallies[Group::V1].counters.v1
    }

    /// The messages that the client has sent.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut out = std::mem::take(&mut self.player.links[LINK].out);
        let (mut assembler, mut taken, mut all) = (Assembler::default(), 0, Vec::new());
        while let Ok((length, Some(message))) = assembler.next(&mut out[taken..], &RULES) {
            taken += length;
            let Message::Binary(message) = message else { panic!("{message:?}") };
            all.push(message.bytes().to_vec());
        }
        assert_eq!(taken, out.len(), "nothing else is sent");
        all
    }

    fn inputs(&mut self) -> Vec<Input> {
        let messages = self.sent();
        let inputs = messages.iter().filter_map(|message| match ClientMessage::decode(message) {
            Ok(ClientMessage::Input(input)) => Some(input),
            _ => None,
        });
        inputs.collect()
    }

    fn act(&mut self, act: impl FnOnce(&mut Driver, &mut Player, &mut Context)) {
        act(&mut self.driver, &mut self.player, &mut self.common.context(Group::V1));
    }
}

fn accepted() -> String {
    format!("{ACCEPTED}Sec-WebSocket-Protocol: skirmish.v1\r\n\r\n")
}

#[test]
fn a_session_byte_by_byte() {
    for observer in [Some(0), None] {
        let mut bench = Bench::new(Role::Crowd, observer, Pattern::Random);
        let mut room = Room::new(&[body(0, 500, Course::None), body(8, 300, Course::Right)]);
        let mut stream = accepted().into_bytes();
        let mut message = Vec::new();
        welcome().encode(&mut message);
        frame::encode(BINARY, &message, &mut stream);
        let start = stream.len();
        frame::encode(BINARY, &room.keyframe(), &mut stream);
        let keyframe_bytes = (stream.len() - start) as u64;
        for byte in &stream {
            bench.receive(&[*byte]).unwrap();
        }
        assert_eq!((bench.player.stage, bench.player.updates), (Stage::Playing, 1));
        let counts = bench.counts();
        assert_eq!((counts.welcomes, counts.keyframes), (1, 1));
        assert_eq!((counts.keyframe_bytes, counts.tick_bytes), (keyframe_bytes, 0));
        let sent = bench.sent();
        let Ok(ClientMessage::Input(input)) = ClientMessage::decode(&sent[0]) else { panic!() };
        assert_eq!((input.ack, input.direction, input.hold), (0xfffe, Course::None, 0));
        let Ok(ClientMessage::Who(who)) = ClientMessage::decode(&sent[1]) else { panic!() };
        assert_eq!((who.collect::<Vec<_>>(), sent.len()), (vec![(0, 1), (8, 1)], 2));

        let mut message = Vec::new();
        let entry = RosterEntry { id: 8, generation: 1, player: 9, color: 0, name: "ann" };
        encode_roster(std::iter::once(entry), &mut message);
        message.extend(room.tick(3, &[body(0, 500, Course::None), body(8, 330, Course::Right)]));
        let sum = room.list.sum(&room.schema, &mut Vec::new());
        let mut check = Vec::new();
        Check { tick: room.tick, sum }.encode(&mut check);
        bench.message(&[check, message].concat());
        let counts = bench.counts();
        assert_eq!((counts.roster_entries, counts.roster_bytes), (1, 3 + 11 + 3));
        assert_eq!((counts.ticks, counts.skipped, counts.tick_bytes), (3, 0, 2 + 9 + 15));
        assert_eq!((counts.quiet, counts.checks), (2, observer.is_some().into()));
        assert_eq!(counts.check_errors, 0);
        assert_eq!((counts.resyncs, counts.malformed, bench.player.updates), (0, 0, 4));
        assert!(bench.sent().is_empty(), "each body is asked about once");
    }
}

#[test]
fn ticks_without_a_change_do_not_count_as_gaps() {
    // The course leads from 300 to 330, unless it changes.
    for (flags, x, quiet) in [(0, 330, 2), (0, 310, 0), (Head::RATE_LOWERED, 330, 0)] {
        let (mut bench, mut room) = Bench::playing(Role::Crowd, None, Pattern::Random);
        bench.common.now_us = 151_000;
        let mut message = room.tick(3, &[body(0, 500, Course::None), body(8, x, Course::Right)]);
        message[1] = flags;
        bench.message(&message);
        let tally = &bench.common.tallies[Group::V1];
        assert_eq!(
            (tally.counters.v1.quiet, tally.counters.v1.skipped),
            (quiet, (quiet == 0).into())
        );
        assert_eq!((bench.player.updates, tally.counters.updates), (2 + quiet as u32, 2));
        assert!(tally.gap_us.max().abs_diff(150_000 - quiet * 50_000) < 200, "{quiet}");
    }
}

#[test]
fn a_player_has_seen_the_quiet_ticks_up_to_the_next_head() {
    let (mut bench, mut room) = Bench::playing(Role::Crowd, None, Pattern::Random);
    let quiet = |bench: &Bench, ms: u64| bench.driver.quiet_ticks(bench.common.now_us + ms * 1_000);
    // It was received on a tick that is divisible by 10.
    assert_eq!(room.tick.0 % 10, 0);
    assert_eq!([49, 149, 151, 450, 900].map(|ms| quiet(&bench, ms)), [0, 2, 3, 9, 9]);
    let message = room.tick(7, &[body(0, 500, Course::None), body(8, 310, Course::Right)]);
    bench.message(&message);
    assert_eq!([50, 100, 900].map(|ms| quiet(&bench, ms)), [1, 2, 2]);
    let mut message = room.tick(1, &[body(0, 500, Course::None), body(8, 350, Course::Right)]);
    message[1] = Head::RATE_LOWERED;
    bench.message(&message);
    assert_eq!(quiet(&bench, 900), 0);
}

#[test]
fn a_server_of_another_dialect_is_refused() {
    let mut bench = Bench::new(Role::Crowd, None, Pattern::Random);
    let end = bench.receive(format!("{ACCEPTED}\r\n").as_bytes()).unwrap_err();
    assert_eq!(end, Loss::BadHandshake("the server does not speak the subprotocol"));
    for (opcode, message) in [(BINARY, &[0xa1][..]), (BINARY, b"\xb0{}"), (TEXT, b"{}")] {
        let mut bench = Bench::new(Role::Crowd, None, Pattern::Random);
        bench.receive(accepted().as_bytes()).unwrap();
        let end = bench.receive(&frame::whole(opcode, message)).unwrap_err();
        assert!(matches!(end, Loss::Protocol(_)), "{end}");
    }
}

#[test]
fn another_base_is_refused_until_a_keyframe() {
    for observer in [Some(0), None] {
        let (mut bench, mut room) = Bench::playing(Role::Crowd, observer, Pattern::Random);
        let still = [body(0, 500, Course::None), body(8, 300, Course::None)];
        let missed = room.tick(1, &still);
        for _ in 0..21 {
            bench.message(&room.tick(1, &still));
        }
        let resyncs = bench.sent().iter().filter(|message| **message == [0x11]).count();
        let counts = bench.counts();
        assert_eq!((resyncs, counts.resyncs, counts.refused), (2, 2, 21));
        bench.message(&missed);
        assert_eq!((bench.player.updates, bench.counts().refused), (1, 22));
        bench.message(&room.keyframe());
        bench.message(&room.tick(1, &still));
        assert_eq!((bench.player.updates, bench.counts().refused), (3, 22));
        assert_eq!((bench.counts().check_errors, bench.counts().malformed), (0, 0));
    }
}

#[test]
fn a_wrong_sum_is_counted_by_observers() {
    for (observer, errors) in [(Some(0), 1), (None, 0)] {
        let (mut bench, mut room) = Bench::playing(Role::Crowd, observer, Pattern::Random);
        let still = [body(0, 500, Course::None), body(8, 300, Course::None)];
        let mut message = room.tick(1, &still);
        Check { tick: room.tick, sum: 5 }.encode(&mut message);
        // CHECK comes before the cells.
        let check = message.split_off(message.len() - 9);
        bench.message(&[check, message].concat());
        let counts = bench.counts();
        assert_eq!((counts.check_errors, counts.resyncs, counts.refused), (errors, errors, 0));
        assert_eq!(bench.sent().contains(&vec![0x11]), errors > 0);
    }
}

#[test]
fn a_malformed_message_is_counted_and_answered_with_resync() {
    for observer in [Some(0), None] {
        for message in [&[0x77][..], &[], &[0xa1, 0], b"\xb0{}"] {
            let (mut bench, mut room) = Bench::playing(Role::Crowd, observer, Pattern::Random);
            bench.message(message);
            let is_malformed = !message.is_empty();
            let counts = bench.counts();
            assert_eq!((counts.malformed, counts.resyncs), (is_malformed.into(), counts.malformed));
            bench.message(&room.keyframe());
            let still = [body(0, 500, Course::None), body(8, 300, Course::None)];
            bench.message(&room.tick(1, &still));
            assert_eq!((bench.player.updates, bench.counts().refused), (3, 0));
        }
    }
}

#[test]
fn a_probe_is_timed_until_its_step_is_run() {
    let role = Role::Probe(Box::<Probe>::default());
    let (mut bench, mut room) = Bench::playing(role, None, Pattern::Random);
    let still = [body(0, 500, Course::None), body(8, 300, Course::None)];
    bench.common.now_us = 20_000;
    bench.act(|driver, player, context| {
        let due = driver.probe(15_000, player, context);
        assert_eq!(due, Due::Send(crate::codec::json::Direction::Left));
    });
    let inputs = bench.inputs();
    assert_eq!((inputs.len(), inputs[0].direction, inputs[0].hold), (1, Course::Left, 4));
    let seq = inputs[0].seq;
    for (now_us, step, seen) in [(30_000, seq.wrapping_sub(1), 0), (60_000, seq, 1)] {
        bench.common.now_us = now_us;
        room.step = step;
        bench.message(&room.tick(1, &still));
        assert_eq!(bench.common.tallies[Group::V1].counters.probes_visible, seen);
    }
    assert!(bench.common.tallies[Group::V1].visible_us.max().abs_diff(45_000) < 100);
}

#[test]
fn an_observer_sees_the_turn_of_a_probe() {
    let (mut bench, mut room) = Bench::playing(Role::Crowd, Some(3), Pattern::Random);
    let turn =
        turns::Turn { room: 0, slot: 8, generation: 1, course: Course::Left, intended_us: 1_000 };
    bench.common.v1.turns.begin(turn);
    bench.common.now_us = 31_000;
    bench.message(&room.tick(1, &[body(0, 500, Course::None), body(8, 310, Course::Right)]));
    assert_eq!(bench.common.tallies[Group::V1].turn_us.len(), 0);
    bench.common.now_us = 81_000;
    bench.message(&room.tick(1, &[body(0, 500, Course::None), body(8, 300, Course::Left)]));
    let turn_us = &bench.common.tallies[Group::V1].turn_us;
    assert!(turn_us.len() == 1 && turn_us.max().abs_diff(80_000) < 100, "{}", turn_us.max());
}

#[test]
fn every_change_of_course_is_one() {
    for pattern in [Pattern::Random, Pattern::Straight] {
        let (mut bench, _) = Bench::playing(Role::Crowd, None, pattern);
        let mut courses = vec![Course::None];
        for nth in 1..=100 {
            bench.common.now_us = nth * 100_000;
            bench.act(Driver::make_move);
            courses.extend(bench.inputs().iter().map(|input| input.direction));
        }
        assert_eq!(courses.len(), 101);
        assert!(courses.windows(2).all(|pair| pair[0] != pair[1]), "{courses:?}");
        assert_eq!(courses[1..].contains(&Course::None), pattern == Pattern::Random);
        let counters = bench.common.tallies[Group::V1].counters;
        // The first one acknowledges the keyframe.
        assert_eq!((counters.moves, counters.v1.inputs), (100, 101));
    }
}

#[test]
fn attacks_and_held_keys_are_sent() {
    let (mut bench, mut room) = Bench::playing(Role::Crowd, None, Pattern::Random);
    bench.act(Driver::attack);
    bench.act(Driver::hold);
    let inputs = bench.inputs();
    assert_eq!(inputs.iter().map(|input| input.presses).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(inputs[1].seq, inputs[0].seq.wrapping_add(1));
    // A HEAD may ask for an acknowledgement.
    let mut message = room.tick(1, &[body(0, 500, Course::None), body(8, 300, Course::None)]);
    message[1] = Head::ACKNOWLEDGE;
    bench.message(&message);
    assert_eq!(bench.inputs()[0].ack, 0xffff);
}

#[test]
fn a_crowd_gathers_at_the_corner_and_stays_there() {
    let (mut bench, mut room) = Bench::playing(Role::Crowd, None, Pattern::Crowd);
    assert_eq!(bench.driver.gather_us(), 50_000 * (980 + 580) / 10 + 2_000_000);
    let mut own = body(0, 500, Course::None);
    let mut walked = 0;
    while bench.counts().gathered == 0 {
        bench.act(Driver::gather);
        let course = bench.inputs().first().map_or(own.state.course(), |input| input.direction);
        own.state = State::new(course);
        (own.x, own.y) = room.schema.ahead(&own, 1);
        bench.message(&room.tick(1, &[own]));
        walked += 1;
        assert!(walked < 200, "{own:?}");
    }
    assert!(own.x <= 110 && own.y <= 60 && own.state.course() == Course::None, "{own:?}");
    for nth in 0..500 {
        if nth % 10 == 0 {
            bench.act(Driver::make_move);
        }
        let course = bench.inputs().first().map_or(own.state.course(), |input| input.direction);
        own.state = State::new(course);
        (own.x, own.y) = room.schema.ahead(&own, 1);
        bench.message(&room.tick(1, &[own]));
        assert!(own.x <= 400 && own.y <= 350, "{own:?}");
    }
}
