//! Attacks that hit a whole crowd, and the polls of a crowd that come together: the work of one
//! turn is bounded, and each client receives every event in order.

use std::collections::HashMap;

use allocation_counter::measure;
use serde_json::Value;
use skirmish::game::{BATTLE, Rules};
use skirmish::limits::{GAME, MERGES_A_TICK, POLL_BYTES_A_TURN};
use skirmish::server::ConnId;
use skirmish::time::Millis;

use super::fixture::{Fixture, handshake, pages, server_of, text};
use super::requests::{opening, polling, posting, upgrading};
use super::scripted_client::gauge;

/// A battle in which an attack hits all others, and they live for long.
#[rustfmt::skip]
static CROWD: Rules = Rules {
    name: "crowd",
    numbers: &[
        ("hp", 100), ("reach", 1_000), ("damage", 1), ("cooldown_ms", 50), ("respawn_ms", 5_000),
        ("heal_after_ms", 30_000), ("heal_every_ms", 1_000),
        ("round_ms", 600_000), ("round_kills", 20), ("result_ms", 5_000),
    ],
    ..BATTLE
};

const ATTACK: &str = r#"{"type":"attack"}"#;

fn fixture() -> Fixture {
    let flags = ["--poll-absence-ms", "600000", "--poll-hold-ms", "600000"];
    Fixture { server: server_of(&[&CROWD], &flags, 7, pages()), now: Millis(0), panics: 0 }
}

/// Opens a connection from an address of its own.
fn open(fixture: &mut Fixture, number: usize) -> ConnId {
    // Joins have a rate.
    fixture.now = fixture.now.after(10);
    fixture.open(&format!("10.0.{}.{}", number / 250, number % 250))
}

/// Players over JSON, which attack.
fn join_attackers(fixture: &mut Fixture, count: usize) -> Vec<ConnId> {
    let join = |number| {
        let conn = open(fixture, 10_000 + number);
        fixture.send(conn, &handshake("/?room=a&rules=crowd"));
        assert!(fixture.take(conn).starts_with(b"HTTP/1.1 101 "));
        conn
    };
    (0..count).map(join).collect()
}

fn attack(fixture: &mut Fixture, attackers: &[ConnId]) {
    for conn in attackers {
        fixture.send(*conn, &text(ATTACK));
        fixture.take(*conn);
    }
}

/// The health of each victim that a client has received, oldest first.
fn health(received: &[u8]) -> HashMap<String, Vec<i64>> {
    let received = String::from_utf8_lossy(received);
    let mut health: HashMap<String, Vec<i64>> = HashMap::new();
    for event in received.split("[\"player_attacked\",").skip(1) {
        let end = event.find(']').expect("a complete event");
        let arguments: Value = serde_json::from_str(&event[..end]).expect("JSON");
        let hp = arguments["hp"].as_i64().expect("a number");
        health.entry(arguments["id"].to_string()).or_default().push(hp);
    }
    health
}

/// Checks that each of `victims` was reported in order and up to its last hit.
fn assert_in_order(health: &HashMap<String, Vec<i64>>, victims: usize, last: i64) {
    assert_eq!(health.len(), victims);
    for hp in health.values() {
        assert!(hp.is_sorted_by(|one, next| one > next) && hp.last() == Some(&last), "{hp:?}");
    }
}

/// A Socket.IO client that polls, and what it has received.
struct Poller {
    conn: ConnId,
    sid: String,
    received: Vec<u8>,
}

/// Clients that have received everything but their first state.
fn begin_pollers(fixture: &mut Fixture, count: usize) -> Vec<Poller> {
    let mut join = |number| {
        let conn = open(fixture, number);
        fixture.send(conn, &opening("&room=a&rules=crowd"));
        let open = String::from_utf8(fixture.take(conn)).expect("text");
        let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let sid = sid.expect("an open packet").to_owned();
        fixture.send(conn, &posting(&sid, "40"));
        assert!(fixture.take(conn).ends_with(b"ok"), "it joins");
        Poller { conn, sid, received: Vec::new() }
    };
    let mut pollers: Vec<Poller> = (0..count).map(&mut join).collect();
    poll_all(fixture, &pollers);
    while answer(fixture, &mut pollers).1 > 0 {}
    fixture.tick();
    pollers
}

/// Clients that have received their first state.
fn join_pollers(fixture: &mut Fixture, count: usize) -> Vec<Poller> {
    let mut pollers = begin_pollers(fixture, count);
    poll_all(fixture, &pollers);
    while answer(fixture, &mut pollers).1 > 0 {}
    fixture.tick();
    pollers
}

/// All poll, in their order.
fn poll_all(fixture: &mut Fixture, pollers: &[Poller]) {
    pollers.iter().for_each(|poller| _ = fixture.send(poller.conn, &polling(&poller.sid)));
}

/// The flush of one turn: the indices of the clients that receive an answer, in order, and how many
/// bytes were allocated at once for the answers.
fn answer(fixture: &mut Fixture, pollers: &mut [Poller]) -> (Vec<usize>, usize) {
    let mut dirty = Vec::with_capacity(2 * pollers.len());
    let made = measure(|| {
        fixture.server.take_dirty(&mut dirty, &mut Vec::new(), fixture.now);
    });
    let mut answered = Vec::new();
    for conn in dirty {
        let index = pollers.iter().position(|poller| poller.conn == conn);
        let bytes = fixture.take(conn);
        if let Some(index) = index.filter(|_| !bytes.is_empty()) {
            assert!(bytes.starts_with(b"HTTP/1.1 200 "));
            pollers[index].received.extend(bytes);
            answered.push(index);
        }
    }
    (answered, made.bytes_max as usize)
}

// T71
#[test]
fn polls_that_come_together_are_answered_over_several_turns() {
    const POLLERS: usize = 200;
    let mut fixture = fixture();
    let mut pollers = join_pollers(&mut fixture, POLLERS);
    let attackers = join_attackers(&mut fixture, 1);
    fixture.tick();
    poll_all(&mut fixture, &pollers);
    while !answer(&mut fixture, &mut pollers).0.is_empty() {}
    pollers.iter_mut().for_each(|poller| poller.received.clear());
    // More waits than one turn may send.
    for _ in 0..6 {
        attack(&mut fixture, &attackers);
        fixture.tick();
    }
    poll_all(&mut fixture, &pollers);
    let (mut order, mut turns) = (Vec::new(), 0);
    while order.len() < POLLERS {
        assert!(fixture.server.is_dirty(), "the loop must not wait");
        let (answered, bytes) = answer(&mut fixture, &mut pollers);
        assert!(!answered.is_empty());
        assert!(bytes < POLL_BYTES_A_TURN * 3 / 2, "{bytes} bytes in one turn");
        order.extend(answered);
        turns += 1;
        // What happens meanwhile comes behind what waits.
        if turns == 2 {
            attack(&mut fixture, &attackers);
        }
    }
    assert!(turns > 4, "only {turns} turns");
    assert!(order.is_sorted(), "the oldest poll first");
    poll_all(&mut fixture, &pollers);
    while fixture.server.is_dirty() {
        answer(&mut fixture, &mut pollers);
    }
    for poller in &pollers {
        assert_in_order(&health(&poller.received), POLLERS, 100 - 7);
    }
}

#[test]
fn first_states_of_clients_that_poll_are_made_over_several_turns() {
    const POLLERS: usize = 250;
    let mut fixture = fixture();
    let mut pollers = begin_pollers(&mut fixture, POLLERS);
    pollers.iter_mut().for_each(|poller| poller.received.clear());
    poll_all(&mut fixture, &pollers);
    let (mut order, mut turns) = (Vec::new(), 0);
    while order.len() < POLLERS {
        let (answered, bytes) = answer(&mut fixture, &mut pollers);
        assert!(!answered.is_empty());
        assert!(bytes < POLL_BYTES_A_TURN * 3 / 2, "{bytes} bytes in one turn");
        order.extend(answered);
        turns += 1;
    }
    let body = pollers.iter().map(|poller| poller.received.len()).sum::<usize>();
    assert!(body > 4 * POLL_BYTES_A_TURN && turns > 4, "{body} bytes in {turns} turns");
    let players = |poller: &Poller| {
        String::from_utf8_lossy(&poller.received).matches("[\"new_player\",").count()
    };
    assert!(pollers.iter().all(|poller| players(poller) == POLLERS - 1), "all other players");
}

/// A Socket.IO client over a WebSocket that has received its first state.
fn join_readers(fixture: &mut Fixture, count: usize) -> Vec<ConnId> {
    let join = |number| {
        let conn = open(fixture, number);
        fixture.send(conn, &upgrading(""));
        fixture.send(conn, &text(r#"40{"room":"a","rules":"crowd"}"#));
        fixture.take(conn);
        conn
    };
    let readers: Vec<ConnId> = (0..count).map(join).collect();
    for _ in 0..2 {
        fixture.tick();
        readers.iter().for_each(|conn| drop(fixture.take(*conn)));
    }
    readers
}

/// All attack, and a tick passes. Returns how many frames were queued for clients.
fn round(fixture: &mut Fixture, attackers: &[ConnId]) -> usize {
    let before = gauge(fixture, "sent_frames_total");
    attack(fixture, attackers);
    fixture.tick();
    (gauge(fixture, "sent_frames_total") - before) as usize
}

const READERS: usize = 300;
const ATTACKERS: usize = 4;

fn fight() -> (Fixture, Vec<ConnId>, Vec<ConnId>) {
    let mut fixture = fixture();
    let readers = join_readers(&mut fixture, READERS);
    let attackers = join_attackers(&mut fixture, ATTACKERS);
    fixture.tick();
    readers.iter().for_each(|conn| drop(fixture.take(*conn)));
    (fixture, readers, attackers)
}

/// Checks what a client has received after some rounds.
fn assert_complete(received: &[u8], rounds: usize) {
    let health = health(received);
    assert_eq!(health.len(), READERS + ATTACKERS);
    let hit_by_all = |hp: &&Vec<i64>| hp.last() == Some(&(100 - (rounds * ATTACKERS) as i64));
    assert_eq!(health.values().filter(hit_by_all).count(), READERS, "the last hit of each");
    assert!(health.values().all(|hp| hp.is_sorted_by(|one, next| one > next)), "in order");
}

// T61
#[test]
fn attacks_on_a_crowd_that_does_not_read_cost_little_on_each_tick() {
    let (mut fixture, readers, attackers) = fight();
    for _ in 0..5 {
        let queued = round(&mut fixture, &attackers);
        let in_one_piece = (ATTACKERS + 2) * (READERS + ATTACKERS);
        assert!(queued < MERGES_A_TICK + in_one_piece, "{queued} frames on a tick");
    }
    readers.iter().for_each(|conn| assert_complete(&fixture.take(*conn), 5));
}

#[test]
fn a_few_slow_readers_in_a_crowd_receive_only_the_newest_hits() {
    let (mut fixture, readers, attackers) = fight();
    let (slow, others) = readers.split_at(3);
    let mut received_bytes = 0;
    for _ in 0..10 {
        round(&mut fixture, &attackers);
        received_bytes = others.iter().map(|conn| fixture.take(*conn).len()).sum::<usize>();
    }
    let a_round = received_bytes / others.len();
    for conn in slow {
        let received = fixture.take(*conn);
        assert!(received.len() < GAME.outbox_bytes_max + a_round / ATTACKERS, "{a_round}");
        assert_complete(&received, 10);
    }
}
