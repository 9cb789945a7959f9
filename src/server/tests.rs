//! Tests of the whole server: recovery after panics, the bound on work per turn, and the order of
//! endings.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use super::bots::Bots;
use super::endings::Ended;
use super::held::Memory;
use super::*;
use crate::close::CloseReason;
use crate::config::Serve;
use crate::game::{Command, DOTS, Denied, Event, Fact, GAMES, Game, PlayerId, Rules, Space, World};
use crate::limits::{
    GAME, HTTP_BODY_MS, KEYFRAME_BYTES_A_TICK, LONE_ROOMS_KEPT, POLL_HOLD_MS, PROBE_MS,
    ROOM_EMPTY_MS,
};
use crate::time::Tick;
use crate::ws::{frame, handshake};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Serve,
}

const NOW: Millis = Millis(1);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn server(flags: &[&str]) -> Server {
    server_of(99, flags)
}

fn server_of(connections_max: usize, flags: &[&str]) -> Server {
    let settings = Flags::parse_from(["server"].iter().chain(flags)).settings;
    let assets = Assets::embedded();
    let (ports, secret, memory_max) = (vec![1], [1; 32], None);
    let fault_hook: FaultHook = Some(|point| {
        let is_it = FAULT_AT.get() == Some(point);
        assert!(!is_it, "a fault on demand");
    });
    let games = Games::new(&GAMES).expect("valid games");
    let setup = Setup {
        settings,
        games,
        assets,
        ports,
        connections_max,
        memory_max,
        seed: 1,
        secret,
        admin_token: None,
        fault_hook,
    };
    Server::new(setup).expect("the settings are right")
}

thread_local! {
    /// Where the server panics, as long as it is set.
    static FAULT_AT: Cell<Option<FaultPoint<'static>>> = const { Cell::new(None) };
}

/// Runs `step` with a panic at `point`.
fn with_fault(point: FaultPoint<'static>, step: impl FnOnce()) {
    FAULT_AT.set(Some(point));
    step();
    FAULT_AT.set(None);
}

/// A peer that joins; what it receives is discarded.
fn join(server: &mut Server) -> ConnId {
    let id = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    server.receive(id, &mut handshake::request("localhost:1", "/", key), NOW);
    taken(server, id);
    id
}

/// Reads what waits for a peer.
fn taken(server: &mut Server, id: ConnId) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 8];
    let count = server.slices(id, &mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    server.written(id, bytes.len(), bytes.len(), NOW);
    bytes
}

/// A peer that sends an HTTP request.
fn ask(server: &mut Server, head: &str, body: &str, now: Millis) -> ConnId {
    let id = server.open(LOOPBACK, ListenerKind::Public, now).expect("no limits here");
    let length = if head.starts_with("POST") { body.len().to_string() } else { String::new() };
    let length = length.split_terminator('\n').map(|n| format!("Content-Length: {n}\r\n"));
    let fields: String = length.collect();
    let request = format!("{head} HTTP/1.1\r\nHost: localhost:1\r\n{fields}\r\n{body}");
    server.receive(id, &mut request.into_bytes(), now);
    id
}

/// The response so far.
fn answer(server: &mut Server, id: ConnId, now: Millis) -> String {
    server.take_dirty(&mut Vec::new(), &mut Vec::new(), now);
    String::from_utf8(taken(server, id)).expect("text")
}

/// A session that polls; its path.
fn poll_session(server: &mut Server) -> String {
    let path = "/socket.io/?EIO=4&transport=polling";
    let id = ask(server, &format!("GET {path}"), "", NOW);
    let open = answer(server, id, NOW);
    let sid = open.split('"').nth(3).expect("a sid");
    format!("{path}&sid={sid}")
}

fn fault_frame() -> Vec<u8> {
    end::close_frame(1011, "").bytes().to_vec()
}

#[test]
fn a_panic_in_receive_ends_only_that_connection() {
    let mut server = server(&[]);
    let ann = join(&mut server);
    // The world panics if two players have one number.
    server.state.player_numbers.next = 1;
    let bob = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let mut bytes = handshake::request("localhost:1", "/", key);
    let result = catch_unwind(AssertUnwindSafe(|| server.receive(bob, &mut bytes, NOW)));
    assert!(result.is_err(), "the number is used");
    server.recover(bob, NOW);
    assert!(taken(&mut server, bob).ends_with(&fault_frame()));
    server.tick(NOW, NOW);
    server.publish(NOW);
    assert!(taken(&mut server, ann).ends_with(b"\"tick\":1}"), "Ann still plays");
    assert_eq!(server.metrics().panics, 1);
    let mut move_up = Vec::new();
    let text = br#"{"type":"move","direction":"UP"}"#;
    frame::encode_masked(frame::TEXT, text, [1, 2, 3, 4], &mut move_up);
    assert_eq!(server.receive(ann, &mut move_up, NOW), ReadState::Open);
}

// T56
#[test]
fn a_panic_in_a_tick_ends_only_that_room() {
    let mut server = server(&["--room", "dots=dots"]);
    let ann = join(&mut server);
    with_fault(FaultPoint::World("dots"), || server.tick(NOW, NOW));
    assert_eq!(taken(&mut server, ann), fault_frame());
    assert_eq!(server.state.sessions.len(), 0);
    let bob = join(&mut server);
    server.tick(NOW, NOW);
    server.publish(NOW);
    assert!(taken(&mut server, bob).ends_with(b"\"tick\":1}"), "the room was made again");
}

// T07
#[test]
fn excess_messages_wait_for_the_next_turn() {
    let mut server = server(&[]);
    let ann = join(&mut server);
    let mut ping = Vec::new();
    frame::encode_masked(frame::TEXT, b"{}", [1, 2, 3, 4], &mut ping);
    let mut turns = vec![server.receive(ann, &mut ping.repeat(150), NOW)];
    while turns.last() == Some(&ReadState::Deferred) {
        turns.push(server.receive(ann, &mut [], NOW));
    }
    assert_eq!(turns, [ReadState::Deferred, ReadState::Deferred, ReadState::Open]);
    assert_eq!(server.metrics().frames_in, 150);
}

#[test]
fn a_panic_at_a_deadline_ends_only_that_connection() {
    let mut server = server(&[]);
    let (ann, bob) = (join(&mut server), join(&mut server));
    server.state.conns.wake(ann);
    with_fault(FaultPoint::Deadline(ann), || server.tick(NOW, NOW));
    assert_eq!(taken(&mut server, ann), fault_frame());
    assert_eq!(server.state.sessions.len(), 1);
    server.tick(NOW, NOW);
    server.publish(NOW);
    assert!(taken(&mut server, bob).ends_with(b"\"tick\":2}"), "Bob still plays");
}

#[test]
fn a_panic_in_a_socketio_join_ends_that_session() {
    let mut server = server(&[]);
    join(&mut server);
    let path = poll_session(&mut server);
    server.state.player_numbers.next = 1;
    // It joins the room in which the number is used.
    ask(&mut server, &format!("POST {path}"), r#"40{"room":"dots"}"#, NOW);
    assert_eq!(server.metrics().panics, 1, "the number is used");
    assert_eq!(server.state.eio_sessions.len(), 0);
    assert_eq!(server.state.sessions.len(), 1, "the other player stays");
}

#[test]
fn a_join_that_panics_is_announced_before_the_player_leaves() {
    let mut server = server(&[]);
    let ann = poll_session(&mut server);
    ask(&mut server, &format!("POST {ann}"), "40", NOW);
    server.tick(NOW, NOW);
    server.publish(NOW);
    let poll = ask(&mut server, &format!("GET {ann}"), "", NOW);
    assert!(answer(&mut server, poll, NOW).contains("40{"));
    let bob = poll_session(&mut server);
    with_fault(FaultPoint::Message(IpAddr::V4(Ipv4Addr::LOCALHOST)), || {
        ask(&mut server, &format!("POST {bob}"), "40", NOW);
    });
    assert_eq!((server.metrics().panics, server.state.sessions.len()), (1, 1));
    server.tick(NOW, NOW);
    server.publish(NOW);
    let poll = ask(&mut server, &format!("GET {ann}"), "", NOW);
    let facts = answer(&mut server, poll, NOW);
    let place = |event: &str| facts.find(event).unwrap_or_else(|| panic!("no {event}: {facts}"));
    assert!(place("new_player") < place("player_left"), "{facts}");
}

#[test]
fn facts_before_a_panic_in_a_tick_are_sent() {
    #[derive(Debug)]
    struct Broken;
    impl Game for Broken {
        fn tick(&mut self, _: &mut Space) {
            panic!("a bug");
        }
    }
    static BROKEN: Rules = Rules { name: "broken", game: |_| Box::new(Broken), ..DOTS };
    let mut server = server(&["--room", "dots=dots"]);
    let rooms = &mut server.state.rooms;
    let sound = rooms.find("dots").expect("it is always there");
    let world = World::new(&BROKEN, 1, 4);
    let left = Fact { event: Event::Left(PlayerId(1)), place: None };
    let broken = rooms.make("broken", world, Bots::default(), Tick(0), NOW);
    rooms.get_mut(sound).expect("it is there").facts.push(left);
    server.tick(NOW, NOW);
    assert_eq!(server.metrics().panics, 1, "the world panics");
    assert!(server.state.rooms.get(broken).is_none());
    let sound = server.state.rooms.get(sound).expect("the room is there");
    assert!(!sound.has_new_facts());
}

#[test]
fn a_game_that_panics_in_its_own_check_ends_only_its_room() {
    #[derive(Debug)]
    struct Broken;
    impl Game for Broken {
        fn spawn(&mut self, _: &mut Space, _: usize) {
            panic!("a bug");
        }

        fn is_sound(&self, _: &Space) -> bool {
            panic!("another bug");
        }
    }
    static BROKEN: Rules = Rules { name: "broken", game: |_| Box::new(Broken), ..DOTS };
    let mut server = server(&[]);
    join(&mut server);
    let world = World::new(&BROKEN, 1, 4);
    let broken = server.state.rooms.make("broken", world, Bots::default(), Tick(0), NOW);
    let id = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let caught = catch_unwind(AssertUnwindSafe(|| {
        server.receive(id, &mut handshake::request("localhost:1", "/?room=broken", key), NOW);
    }));
    assert!(caught.is_err(), "the reactor catches it");
    server.recover(id, NOW);
    assert!(server.state.rooms.get(broken).is_none());
    assert_eq!(server.state.sessions.len(), 1, "the player of the other room stays");
}

#[test]
fn a_late_ping_does_not_shorten_the_time_for_its_pong() {
    let mut server = server(&["--ping-interval-ms", "1000", "--ping-timeout-ms", "200"]);
    let path = poll_session(&mut server);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    let late = NOW.after(1500);
    server.tick(late, late);
    assert!(answer(&mut server, poll, late).ends_with("\r\n\r\n2"));
    for (after_ms, sessions) in [(199, 1), (200, 0)] {
        server.tick(late.after(after_ms), late.after(after_ms));
        assert_eq!(server.state.eio_sessions.len(), sessions, "{after_ms} ms after it");
    }
}

#[test]
fn the_first_reason_of_an_end_counts() {
    let mut server = server(&[]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    assert!(answer(&mut server, poll, NOW).contains("40{"));
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    // The last flood exceeds the limit for too long; then an invalid packet follows.
    for step in 0..=20 {
        let last = if step == 20 { "no packet" } else { "3" };
        let flood = "3\x1e".repeat(400) + last;
        ask(&mut server, &format!("POST {path}"), &flood, NOW.after(100 * step));
    }
    let said = answer(&mut server, poll, NOW);
    assert!(said.ends_with("41"), "the client must not reconnect: {said}");
}

#[test]
fn an_idle_admin_connection_does_not_delay_the_shutdown() {
    let mut server = server(&[]);
    server.open(LOOPBACK, ListenerKind::Admin, NOW).expect("no limits here");
    let id = server.open(LOOPBACK, ListenerKind::Admin, NOW).expect("no limits here");
    server.receive(id, &mut b"GET /healthz HTTP/1.1\r\nHost: localhost:1\r\n\r\n".to_vec(), NOW);
    assert!(answer(&mut server, id, NOW).ends_with("ok\n"));
    server.drain(NOW);
    let mut ended = Vec::new();
    server.take_ended(&mut ended);
    assert!(ended.iter().any(|(ended, _)| *ended == id), "it is idle");
}

#[test]
fn the_backlog_of_a_client_without_player_is_small() {
    let mut server = server(&[]);
    let path = poll_session(&mut server);
    // Each is refused.
    let unknown = vec!["40/a"; 1_024].join("\x1e");
    ask(&mut server, &format!("POST {path}"), &unknown, NOW);
    assert_eq!(server.state.eio_sessions.len(), 0, "more than 64 KiB");
}

#[test]
fn a_polling_session_for_which_much_waits_is_not_read_until_it_polls() {
    let mut server = server(&[]);
    let path = poll_session(&mut server);
    // The refusals of one payload are more than 16 KiB and less than 64.
    let unknown = vec!["40/a"; 300].join("\x1e");
    let first = ask(&mut server, &format!("POST {path}"), &unknown, NOW);
    assert!(answer(&mut server, first, NOW).ends_with("ok"));
    let second = ask(&mut server, &format!("POST {path}"), &unknown, NOW);
    assert!(!server.may_read(second));
    assert_eq!(answer(&mut server, second, NOW), "");
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    let refusals = answer(&mut server, poll, NOW);
    assert_eq!(refusals.matches("Invalid namespace").count(), 300);
    assert!(server.may_read(second));
    server.receive(second, &mut [], NOW);
    assert!(answer(&mut server, second, NOW).ends_with("ok"));

    // If it does not poll, it ends as too slow, and the next poll says so.
    let third = ask(&mut server, &format!("POST {path}"), &unknown, NOW);
    let late = NOW.after(HTTP_BODY_MS);
    server.tick(late, late);
    assert!(answer(&mut server, third, late).starts_with("HTTP/1.1 400 "));
    assert_eq!(server.state.eio_sessions.len(), 0);
    assert_eq!(server.metrics().closes(CloseReason::Slow), 1);
    let poll = ask(&mut server, &format!("GET {path}"), "", late);
    assert!(answer(&mut server, poll, late).ends_with("\r\n\r\n1"));
}

#[test]
fn a_refusal_repeats_no_long_namespace() {
    for (bytes, sessions) in [(64, 1), (65, 0)] {
        let mut server = server(&[]);
        let path = poll_session(&mut server);
        let namespace = "n".repeat(bytes - 1);
        ask(&mut server, &format!("POST {path}"), &format!("40/{namespace}"), NOW);
        assert_eq!(server.state.eio_sessions.len(), sessions, "{bytes} bytes");
    }
}

/// A game whose calls panic: `spawn` for player 2, `leave` for player 1, `command` always.
#[derive(Debug)]
struct Faulty;

impl Game for Faulty {
    fn spawn(&mut self, space: &mut Space, body: usize) {
        assert!(space.bodies()[body].id != PlayerId(2), "a bug in the game");
    }

    fn command(&mut self, space: &mut Space, body: usize, _: Command) -> Result<(), Denied> {
        panic!("a bug in the game, for {:?}", space.bodies()[body].id);
    }

    fn leave(&mut self, space: &mut Space, body: usize) {
        assert!(space.bodies()[body].id != PlayerId(1), "a bug in the game");
    }
}

static FAULTY: Rules = Rules { name: "faulty", game: |_| Box::new(Faulty), ..DOTS };

/// A server with a room of the game [`Faulty`], and its player 1.
fn faulty_room() -> (Server, ConnId) {
    let mut server = server(&[]);
    server.state.rooms.make("faulty", World::new(&FAULTY, 1, 4), Bots::default(), Tick(0), NOW);
    let ann = join_room(&mut server, "faulty");
    assert_eq!(server.state.sessions.len(), 1);
    (server, ann)
}

/// A peer that joins a room.
fn join_room(server: &mut Server, room: &str) -> ConnId {
    let id = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    receive(server, id, &mut handshake::request("localhost:1", &format!("/?room={room}"), key));
    id
}

/// Processes bytes of a peer, as the reactor does.
fn receive(server: &mut Server, id: ConnId, bytes: &mut [u8]) {
    if catch_unwind(AssertUnwindSafe(|| server.receive(id, bytes, NOW))).is_err() {
        server.recover(id, NOW);
    }
}

/// Asserts that panics have closed the room of [`Faulty`], and that nothing of it is left.
fn assert_room_is_closed(server: &Server, panics: u64) {
    assert_eq!(server.metrics().panics, panics);
    assert_eq!(server.state.rooms.find("faulty"), None);
    assert_eq!(server.state.sessions.len(), 0);
}

#[test]
fn a_game_that_panics_when_a_player_joins_loses_its_room() {
    let (mut server, ann) = faulty_room();
    taken(&mut server, ann);
    join_room(&mut server, "faulty");
    // That the first player leaves is the second one.
    assert_room_is_closed(&server, 2);
    assert_eq!(taken(&mut server, ann), fault_frame());
}

#[test]
fn a_game_that_panics_when_its_room_is_given_up_loses_it() {
    let mut server = server(&[]);
    let remote: IpAddr = [192, 0, 2, 1].into();
    let join = |server: &mut Server, room: &str| {
        let id = server.open(remote, ListenerKind::Public, NOW).expect("it may connect");
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        receive(server, id, &mut handshake::request("localhost:1", &format!("/?room={room}"), key));
    };
    let others = LONE_ROOMS_KEPT + 1;
    server.state.player_numbers.next = 100;
    (0..others).for_each(|room| join(&mut server, &format!("r{room}")));
    // The newest room is the first to go, and player 1 may not leave.
    let world = World::new(&FAULTY, 1, 4);
    server.state.rooms.make("faulty", world, Bots::default(), Tick(0), NOW);
    server.state.player_numbers.next = 1;
    join(&mut server, "faulty");
    assert_eq!(server.state.sessions.len(), others as usize + 1);
    server.state.memory = Memory::new(Some(8));
    shares::give_up_lone_rooms(&mut server.state, NOW);
    settle::all(&mut server.state, NOW);
    assert_eq!(server.metrics().panics, 1);
    assert_eq!(server.state.rooms.find("faulty"), None);
    assert_eq!(server.state.sessions.len(), others as usize, "the others wait for the next tick");
}

#[test]
fn a_game_that_panics_in_a_command_loses_its_room() {
    let (mut server, ann) = faulty_room();
    let mut attack = Vec::new();
    frame::encode_masked(frame::TEXT, br#"{"type":"attack"}"#, [1, 2, 3, 4], &mut attack);
    receive(&mut server, ann, &mut attack);
    // That its player leaves is the second one.
    assert_room_is_closed(&server, 2);
}

#[test]
fn a_game_that_panics_when_a_player_leaves_loses_its_room() {
    let (mut server, ann) = faulty_room();
    server.peer_closed(ann, true, NOW);
    assert_room_is_closed(&server, 1);
}

#[test]
fn a_permanent_room_with_a_socketio_player_is_closed_by_one_panic() {
    let mut server = server(&["--room", "battle=battle"]);
    let ann = poll_session(&mut server);
    ask(&mut server, &format!("POST {ann}"), "40", NOW);
    server.tick(NOW, NOW);
    server.publish(NOW);
    assert_eq!(server.state.sessions.len(), 1);
    let before = server.state.rooms.find("battle").expect("a permanent room");
    with_fault(FaultPoint::World("battle"), || server.tick(NOW, NOW));
    assert_eq!(server.metrics().panics, 1);
    assert_eq!(server.state.sessions.len(), 0);
    let after = server.state.rooms.find("battle").expect("the room was made again");
    assert!(before != after && server.state.rooms.get(before).is_none(), "a new room");
}

#[test]
fn a_panic_in_publish_ends_the_room_at_once() {
    let mut server = server(&["--room", "dots=dots"]);
    let ann = join(&mut server);
    server.tick(NOW, NOW);
    with_fault(FaultPoint::State("dots"), || server.publish(NOW));
    assert_eq!(server.state.sessions.len(), 0);
    assert_eq!(taken(&mut server, ann), fault_frame());
    join(&mut server);
    assert_eq!(server.state.sessions.len(), 1, "the room was made again");
}

#[test]
fn a_room_ends_once_after_several_panics() {
    let mut server = server(&["--room", "dots=dots"]);
    let (ann, bob) = (join(&mut server), join(&mut server));
    let before = server.state.rooms.find("dots").expect("a permanent room");
    server.state.endings.push(Ended::Room(before), CloseReason::Fault);
    with_fault(FaultPoint::World("dots"), || server.tick(NOW, NOW));
    let after = server.state.rooms.find("dots").expect("the room was made again");
    assert_eq!(after.serial, before.serial + 1, "once");
    for id in [ann, bob] {
        assert_eq!(taken(&mut server, id), fault_frame());
    }
}

// T84
#[test]
fn the_last_player_number_is_followed_by_a_full_server() {
    let mut server = server(&[]);
    server.state.player_numbers.next = u32::MAX - 1;
    let ann = join(&mut server);
    let bob = join_room(&mut server, "dots");
    let full = String::from_utf8_lossy(&taken(&mut server, bob)).into_owned();
    assert!(full.contains(r#"{"retry_ms":"#), "{full}");
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    let refused = answer(&mut server, poll, NOW);
    assert!(refused.contains(r#"44{"message":"full""#), "{refused}");
    server.tick(NOW, NOW);
    server.publish(NOW);
    let state = taken(&mut server, ann);
    assert!(state.ends_with(b"\"tick\":1}"), "Ann plays");
    let state = String::from_utf8_lossy(&state);
    assert!(state.contains(r#""id":"4294967294""#), "{state}");
}

// T68, T84
#[test]
fn the_tick_of_the_server_wraps_around() {
    let mut server = server(&[]);
    server.state.tick = Tick(u32::MAX - 1);
    let ann = join(&mut server);
    let battle = poll_session(&mut server);
    ask(&mut server, &format!("POST {battle}"), "40", NOW);
    for tick in 1..=4 {
        server.tick(NOW, NOW);
        server.publish(NOW);
        let end = format!("\"tick\":{tick}}}");
        assert!(taken(&mut server, ann).ends_with(end.as_bytes()), "{end}");
    }
    assert!(server.state.tick == Tick(2) && server.metrics().panics == 0);
}

// T77
#[test]
fn events_above_the_rate_are_not_decoded() {
    let mut server = server(&[]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let events = vec![r#"42["ping"]"#; GAME.input.messages.burst as usize].join("\u{1e}");
    ask(&mut server, &format!("POST {path}"), &events, NOW);
    // It has no valid data, and would end the session.
    let invalid = r#"427["move",{"x":"#;
    ask(&mut server, &format!("POST {path}"), invalid, NOW);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    let response = answer(&mut server, poll, NOW);
    assert!(response.ends_with(r#"437[{"ok":false,"error":"rate"}]"#), "{response}");
    assert_eq!(server.state.sessions.len(), 1);
    let later = NOW.after(1_000);
    ask(&mut server, &format!("POST {path}"), invalid, later);
    assert_eq!(server.state.sessions.len(), 0, "below the rate it ends the session");
}

#[test]
fn an_address_cannot_keep_all_seats_of_a_room() {
    let mut server = server(&["--room-players-max", "8"]);
    let join_from = |server: &mut Server, address: u8| {
        let peer = IpAddr::V4(Ipv4Addr::new(198, 51, 100, address));
        let id = server.open(peer, ListenerKind::Public, NOW).expect("within the limits");
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        server.receive(id, &mut handshake::request("play.example", "/", key), NOW);
        String::from_utf8_lossy(&taken(server, id)).contains("retry_ms")
    };
    for address in [1, 2] {
        for _ in 0..4 {
            assert!(!join_from(&mut server, address), "there is space");
        }
    }
    assert!(join_from(&mut server, 1), "the room is full, also for its largest address");
    for address in 3..=6 {
        assert!(!join_from(&mut server, address), "address {address} gets a seat");
        assert_eq!(server.state.sessions.len(), 8);
    }
    assert!(join_from(&mut server, 7), "no address has more than its share of two");
    let metrics = server.metrics();
    assert_eq!((metrics.refusals(Refusal::RoomShare), metrics.panics), (4, 0));
    server.tick(NOW, NOW);
    server.publish(NOW);
}

#[test]
fn a_held_poll_is_answered_before_a_proxy_ends_it() {
    let mut server = server(&["--poll-hold-ms", "4000"]);
    let path = poll_session(&mut server);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    server.tick(NOW.after(3_999), NOW.after(3_999));
    assert_eq!(answer(&mut server, poll, NOW), "");
    server.tick(NOW.after(4_000), NOW.after(4_000));
    assert!(answer(&mut server, poll, NOW.after(4_000)).ends_with("\r\n\r\n6"));
}

#[test]
fn an_echo_holds_polls_for_as_long_as_nothing_waits() {
    let mut server = server(&["--echo", "--connect-timeout-ms", "600000"]);
    let path = poll_session(&mut server);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    server.tick(NOW.after(20_000), NOW.after(20_000));
    assert_eq!(answer(&mut server, poll, NOW), "");
    assert_eq!(server.state.eio_sessions.len(), 1);
}

// T83
#[test]
fn a_player_leaves_if_its_client_stops_polling() {
    let mut server = server(&["--poll-absence-ms", "7000"]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let mut now = NOW;
    // A client that polls stays, also if each of its polls takes nearly as long.
    for _ in 0..4 {
        let poll = ask(&mut server, &format!("GET {path}"), "", now);
        now = now.after(POLL_HOLD_MS);
        server.tick(now, now);
        assert!(answer(&mut server, poll, now).contains("200 OK"));
        now = now.after(6_999);
        server.tick(now, now);
        assert_eq!(server.state.sessions.len(), 1);
    }
    server.tick(now.after(1), now.after(1));
    assert_eq!((server.state.sessions.len(), server.state.eio_sessions.len()), (0, 0));
    assert_eq!(server.metrics().closes(CloseReason::PollAbsence), 1);
}

#[test]
fn a_client_that_reads_its_poll_slowly_is_not_absent() {
    let mut server = server(&["--poll-absence-ms", "1000"]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    server.take_dirty(&mut Vec::new(), &mut Vec::new(), NOW);
    server.tick(NOW.after(1_500), NOW.after(1_500));
    assert_eq!(server.state.eio_sessions.len(), 1, "the response is not yet written");
    taken(&mut server, poll);
    server.tick(NOW.after(2_600), NOW.after(2_600));
    assert_eq!(server.state.eio_sessions.len(), 0);
}

#[test]
fn a_client_that_upgrades_is_not_absent() {
    let mut server = server(&["--poll-absence-ms", "1000"]);
    let path = poll_session(&mut server);
    let target = path.replace("polling", "websocket");
    let socket = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    server.receive(socket, &mut handshake::request("localhost:1", &target, key), NOW);
    assert!(taken(&mut server, socket).starts_with(b"HTTP/1.1 101 "));
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    server.tick(NOW.after(5_000), NOW.after(5_000));
    assert_eq!(server.state.eio_sessions.len(), 1, "the upgrade has its own time");
    // After the upgrade has failed, the client has the whole time to poll.
    server.tick(NOW.after(PROBE_MS), NOW.after(PROBE_MS));
    assert_eq!(server.state.eio_sessions.len(), 1);
    server.tick(NOW.after(PROBE_MS + 999), NOW.after(PROBE_MS + 999));
    assert_eq!(server.state.eio_sessions.len(), 1);
    server.tick(NOW.after(PROBE_MS + 1_000), NOW.after(PROBE_MS + 1_000));
    assert_eq!(server.state.eio_sessions.len(), 0);
}

#[test]
fn a_client_between_two_polls_learns_of_the_shutdown() {
    let mut server = server(&["--drain-s", "0"]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    assert!(answer(&mut server, poll, NOW).contains("40{"));
    server.drain(NOW);
    server.tick(NOW, NOW);
    assert_eq!(server.state.eio_sessions.len(), 0);
    assert!(!server.is_drained(NOW), "its next poll is on the way");
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW.after(300));
    assert!(answer(&mut server, poll, NOW.after(300)).ends_with('1'));
    assert!(server.is_drained(NOW.after(300)));
}

#[test]
fn a_client_that_has_stopped_polling_does_not_delay_the_shutdown() {
    let mut server = server(&["--drain-s", "0"]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "40", NOW);
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW);
    assert!(answer(&mut server, poll, NOW).contains("40{"));
    let late = NOW.after(999);
    server.drain(late);
    server.tick(late, late);
    assert!(!server.is_drained(late), "its next poll may still come");
    assert!(server.is_drained(NOW.after(1_000)), "it had a second");
    let poll = ask(&mut server, &format!("GET {path}"), "", NOW.after(1_100));
    assert!(answer(&mut server, poll, NOW.after(1_100)).ends_with('1'), "if it comes at all");
}

#[test]
fn a_session_that_ended_earlier_does_not_delay_the_shutdown() {
    let mut server = server(&["--drain-s", "0"]);
    let path = poll_session(&mut server);
    ask(&mut server, &format!("POST {path}"), "41", NOW);
    // Its client has sent a close packet, and does not poll again.
    ask(&mut server, &format!("POST {path}"), "1", NOW);
    assert_eq!(server.state.eio_sessions.len(), 0);
    let late = NOW.after(1_000);
    server.drain(late);
    server.tick(late, late);
    assert!(server.is_drained(late));
}

#[test]
fn a_client_that_does_not_poll_again_hardly_delays_the_shutdown() {
    let mut server = server(&["--drain-s", "0"]);
    poll_session(&mut server);
    server.drain(NOW);
    assert!(!server.is_drained(NOW));
    server.tick(NOW.after(1_000), NOW.after(1_000));
    assert!(server.is_drained(NOW.after(1_000)));
}

/// A masked text frame.
fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_masked(frame::TEXT, payload, [1, 2, 3, 4], &mut bytes);
    bytes
}

// T77
#[test]
fn messages_above_the_rate_are_not_read() {
    let mut server = server(&[]);
    let json = join(&mut server);
    for _ in 0..GAME.input.messages.burst {
        server.receive(json, &mut text_frame(br#"{"type":"move","direction":"UP"}"#), NOW);
    }
    // Below the rate this text, which is not UTF-8, closes the connection at once (1007).
    let mut invalid = text_frame(b"\xff\xff");
    server.receive(json, &mut invalid.clone(), NOW);
    assert_eq!(server.metrics().drops(crate::metrics::Drop::Rate), 1);
    assert_eq!(server.state.sessions.len(), 1);
    // What follows it is read again, wherever the bytes were cut.
    for cut in 1..invalid.len() {
        let mut bytes = [&invalid[..], &frame_of_ping()].concat();
        let (first, rest) = bytes.split_at_mut(cut);
        server.receive(json, first, NOW);
        server.receive(json, rest, NOW);
        assert_eq!(taken(&mut server, json), [0x8a, 1, b'x'], "cut at {cut}");
    }
    server.receive(json, &mut invalid, NOW.after(1_000));
    assert_eq!(server.state.sessions.len(), 0, "below the rate");
}

/// A WebSocket ping.
fn frame_of_ping() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_masked(frame::PING, b"x", [1, 2, 3, 4], &mut bytes);
    bytes
}

#[test]
fn an_event_above_the_rate_is_acknowledged_without_being_read() {
    let mut server = server(&[]);
    let id = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let target = "/socket.io/?EIO=4&transport=websocket";
    server.receive(id, &mut handshake::request("localhost:1", target, key), NOW);
    server.receive(id, &mut text_frame(b"40"), NOW);
    for _ in 0..GAME.input.messages.burst {
        server.receive(id, &mut text_frame(br#"42["ping"]"#), NOW);
    }
    taken(&mut server, id);
    // Below the rate its text ends the connection.
    let long = [&br#"42987["move",{"x":1,"pad":""#[..], &[0xff; 100]].concat();
    let refused = frame::whole(frame::TEXT, br#"43987[{"ok":false,"error":"rate"}]"#);
    let event = text_frame(&long);
    for cut in 1..=event.len() {
        // A page would not be closed before it has sent more than this.
        let now = NOW.after(u64::from(cut as u32 / 40));
        let (mut first, mut rest) = (event[..cut].to_vec(), event[cut..].to_vec());
        server.receive(id, &mut first, now);
        server.receive(id, &mut rest, now);
        assert_eq!(taken(&mut server, id), refused, "cut at {cut}");
    }
    // Other packets have rates of their own, and are read.
    server.receive(id, &mut text_frame(b"41"), NOW);
    assert_eq!(server.state.sessions.len(), 0);
}

#[test]
fn above_the_limit_of_full_states_a_room_is_full_for_them_and_sends_fewer() {
    let mut server = server(&["--limit-loopback"]);
    let players: Vec<ConnId> = (0..8).map(|_| join(&mut server)).collect();
    let states = |server: &mut Server| {
        let mut count = 0;
        for _ in 0..20 {
            server.tick(NOW, NOW);
            server.publish(NOW);
            count += usize::from(!taken(server, players[0]).is_empty());
            players[1..].iter().for_each(|id| drop(taken(server, *id)));
        }
        count
    };
    // As if most of them played in a dialect that does not send all players.
    for (players_max, hz) in [(8, 20), (7, 10), (4, 10), (3, 5), (2, 5), (1, 2)] {
        server.state.settings.full_state_players_max = players_max;
        assert_eq!(states(&mut server), hz, "8 players of {players_max}");
    }
    server.state.settings.full_state_players_max = 7;
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let id = server.open(other, ListenerKind::Public, NOW).expect("within the limits");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    server.receive(id, &mut handshake::request("localhost:1", "/", key), NOW);
    assert_eq!(server.state.sessions.len(), 8, "no player gives its seat for nothing");
    assert_eq!(server.metrics().refusals(Refusal::Full), 1);
}

#[test]
fn clients_that_do_not_poll_do_not_overload_the_server() {
    let mut server = server(&["--poll-absence-ms", "600000"]);
    let player = join(&mut server);
    for _ in 0..5 {
        let path = poll_session(&mut server);
        ask(&mut server, &format!("POST {path}"), "40", NOW);
    }
    for _ in 0..100 {
        server.tick(NOW, NOW);
        server.publish(NOW);
        assert!(!taken(&mut server, player).is_empty());
    }
    assert!(server.metrics().snapshots_skipped > 400, "those that poll get none");
    assert_eq!(server.state.overload.step(), 0);
}

#[test]
fn an_overloaded_server_sends_fewer_states_and_then_admits_no_more_players() {
    let mut server = server(&[]);
    let players: Vec<ConnId> = (0..8).map(|_| join(&mut server)).collect();
    let (mut ticks, mut dirty) = (0, Vec::new());
    // It has time to write to each once in `span` ticks.
    let mut second = |server: &mut Server, span: usize| {
        let mut states = 0;
        for _ in 0..20 {
            server.tick(NOW, NOW);
            server.publish(NOW);
            server.take_dirty(&mut dirty, &mut Vec::new(), NOW);
            ticks += 1;
            if ticks % span == 0 {
                states += usize::from(!taken(server, players[0]).is_empty());
                players[1..].iter().for_each(|id| drop(taken(server, *id)));
                dirty.clear();
            }
        }
        (states, server.state.overload.step())
    };
    assert_eq!(second(&mut server, 1), (20, 0));
    assert_eq!([second(&mut server, 2), second(&mut server, 2)], [(10, 0), (10, 1)]);
    assert_eq!([second(&mut server, 2), second(&mut server, 1)], [(10, 1), (10, 1)]);
    // At 10 states per second it has no time either.
    assert_eq!([second(&mut server, 4), second(&mut server, 4)], [(5, 1), (5, 2)]);
    let id = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("within the limits");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    server.receive(id, &mut handshake::request("localhost:1", "/", key), NOW);
    let refused = String::from_utf8(taken(&mut server, id)).expect("text");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("overloaded"), "{refused}");
    assert_eq!(server.metrics().refusals(Refusal::Overload), 1);
    assert_eq!([second(&mut server, 4), second(&mut server, 4)], [(5, 2), (5, 3)]);
    // It has time again, and goes back a step after 5 seconds of that.
    let steps: Vec<_> = (0..60).map(|_| second(&mut server, 1)).collect();
    assert_eq!((steps[0], steps[59]), ((5, 3), (20, 0)));
    join(&mut server);
    assert_eq!(server.state.metrics.overload_steps, 3);
}

/// A client of skirmish.v1 in a world.
fn join_v1(server: &mut Server) -> ConnId {
    let id = server.open(LOOPBACK, ListenerKind::Public, NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let mut request = handshake::request("localhost:1", "/ws?room=world", key);
    let fields = b"Sec-WebSocket-Protocol: skirmish.v1\r\n\r\n";
    request.splice(request.len() - 2.., fields.iter().copied());
    server.receive(id, &mut request, NOW);
    id
}

#[test]
fn the_keyframes_of_a_crowd_take_turns() {
    // All see each other.
    let mut server = server_of(1_000, &["--map", "1000x700"]);
    let players: Vec<ConnId> = (0..600).map(|_| join_v1(&mut server)).collect();
    players.iter().for_each(|id| drop(taken(&mut server, *id)));
    let mut is_in = vec![false; players.len()];
    let mut ticks = 0;
    while is_in.contains(&false) {
        server.tick(NOW, NOW);
        server.publish(NOW);
        ticks += 1;
        let mut keyframe_bytes = 0;
        for (id, is_in) in players.iter().zip(&mut is_in) {
            let bytes = taken(&mut server, *id).len();
            let is_keyframe = bytes > 6_000;
            assert!(!*is_in || !is_keyframe, "one is enough");
            *is_in |= is_keyframe;
            keyframe_bytes += if is_keyframe { bytes } else { 0 };
        }
        assert!(keyframe_bytes < KEYFRAME_BYTES_A_TICK + 12_000, "{keyframe_bytes}");
    }
    let deferred = server.state.encoder.keyframes_deferred;
    assert!((2..6).contains(&ticks) && deferred > 0, "{ticks} ticks, {deferred} deferred");

    // All ask for another one. Those that join do not wait for them.
    (0..20).for_each(|_| server.tick(NOW, NOW));
    for id in &players {
        // RESYNC, with a mask of zeros.
        server.receive(*id, &mut [0x82, 0x81, 0, 0, 0, 0, 0x11], NOW);
    }
    let new: Vec<ConnId> = (0..10).map(|_| join_v1(&mut server)).collect();
    new.iter().for_each(|id| drop(taken(&mut server, *id)));
    server.tick(NOW, NOW);
    server.publish(NOW);
    let keyframes = |server: &mut Server, ids: &[ConnId]| {
        ids.iter().filter(|id| taken(server, **id).len() > 6_000).count()
    };
    let (asked, joined) = (keyframes(&mut server, &players), keyframes(&mut server, &new));
    assert!((50..400).contains(&asked) && joined == 10, "{asked} that asked, {joined} that joined");
}

#[test]
fn keyframes_may_take_as_many_bytes_as_all_players_may_receive() {
    let mut server = server_of(1_000, &["--map", "1000x700", "--view-bytes", "8000"]);
    let players: Vec<ConnId> = (0..600).map(|_| join_v1(&mut server)).collect();
    players.iter().for_each(|id| drop(taken(&mut server, *id)));
    server.tick(NOW, NOW);
    server.publish(NOW);
    let bytes: usize = players.iter().map(|id| taken(&mut server, *id).len()).sum();
    let most = 600 * 8_000;
    assert!(most > 2 * KEYFRAME_BYTES_A_TICK && (most..most + 20_000).contains(&bytes), "{bytes}");
}

#[test]
fn the_history_of_a_room_counts_until_the_room_is_removed() {
    let mut server = server(&["--map", "16000x16000"]);
    let before = memory::total(&server.state);
    let id = join_v1(&mut server);
    let ticks = |server: &mut Server, count: usize, now| {
        for _ in 0..count {
            server.tick(now, now);
            server.publish(now);
        }
    };
    ticks(&mut server, 60, NOW);
    // A body on 33 ticks, and not the 1,024 cells of the map.
    let history = server.state.memory.histories;
    assert!((33 * 100..16 * 1_024).contains(&history), "{history} bytes");
    assert!(memory::total(&server.state) >= before + history);
    server.peer_closed(id, true, NOW);
    let later = NOW.after(ROOM_EMPTY_MS + 1);
    ticks(&mut server, 60, later);
    assert_eq!(server.state.memory.histories, 0);
}

#[test]
fn a_room_of_world_has_the_map_and_the_seats_of_its_flags() {
    for (flags, map, cap) in [
        (&[][..], [16_000, 16_000], 65_535),
        (&["--map", "300x65535", "--full-state-players-max", "70000"], [300, 65_535], 65_535),
        (&["--room-players-max", "7", "--room", "world=world"], [16_000, 16_000], 7),
    ] {
        let mut server = server(flags);
        join_room(&mut server, "world");
        let room = server.state.rooms.find("world").expect("it was made");
        let room = server.state.rooms.get(room).expect("it is there");
        let right_bottom = [room.world.ground().map.right, room.world.ground().map.bottom];
        assert_eq!((right_bottom, room.world.rules().name), (map, "world"));
        let list = ask(&mut server, "GET /rooms", "", NOW);
        let list = answer(&mut server, list, NOW);
        let row = format!(r#"{{"name":"world","rules":"world","players":1,"bots":0,"cap":{cap}}}"#);
        assert!(list.contains(&row), "{list}");
    }
}
