//! Directed tests for Socket.IO: each checks one guarantee in the exact situation where it could
//! break.

use skirmish::close::CloseReason;
use skirmish::limits::{CONNECT_TIMEOUT_MS, GAME, IDLE_SESSIONS_MAX, PROBE_MS, STALL_MS};
use skirmish::time::TICK_MS;

use super::client_model::{Body, Packet};
use super::fixture::{Fixture, REMOTE, masked, text};
use super::requests::{opening, polling, upgrading};
use super::response_reader::Received;
use super::scripted_client::{Connection, ScriptedClient, gauge};

const OTHER_REMOTE: &str = "192.0.2.2";
const ROOM: &str = "battle-1";

fn ticks(fixture: &mut Fixture, span_ms: u64) {
    (0..span_ms / TICK_MS).for_each(|_| fixture.tick());
}

/// Advances by one tick; all clients receive everything available.
fn tick_all(fixture: &mut Fixture, clients: &mut [&mut ScriptedClient]) {
    clients.iter_mut().for_each(|client| client.catch_up(fixture));
    fixture.tick();
    for client in clients {
        client.receive_packets(fixture);
    }
}

/// Moves two players to one position, so that they can attack each other.
fn bring_together(fixture: &mut Fixture, one: &mut ScriptedClient, other: &mut ScriptedClient) {
    for _ in 0..25 {
        for client in [&mut *one, &mut *other] {
            client.send(fixture, r#"42["move",{"x":50,"y":50}]"#);
        }
        tick_all(fixture, &mut [one, other]);
    }
    for client in [&*one, &*other] {
        let moves: Vec<_> = client.model.players.values().map(|body| (body.x, body.y)).collect();
        assert_eq!(moves, [(50, 50), (50, 50)]);
    }
    // Until four moves are saved again.
    (0..4).for_each(|_| tick_all(fixture, &mut [one, other]));
    one.model.facts.clear();
    other.model.facts.clear();
}

fn two_together(fixture: &mut Fixture, is_websocket: [bool; 2]) -> [ScriptedClient; 2] {
    let mut ann = ScriptedClient::join(fixture, REMOTE, ROOM, is_websocket[0]);
    let mut ben = ScriptedClient::join(fixture, OTHER_REMOTE, ROOM, is_websocket[1]);
    bring_together(fixture, &mut ann, &mut ben);
    [ann, ben]
}

// --- states and facts ----------------------------------------------------------------------------

#[test]
fn a_rare_poll_gets_the_newest_positions_once_and_every_fact_in_order() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut fixture, [true, false]);
    let mut expected = Vec::new();
    assert_eq!(ben.poll_response(&mut fixture), None, "nothing new to receive");
    for round in 0..50_u16 {
        let (x, y) = (50 + round % 3, 50);
        ann.send(&mut fixture, &format!(r#"42["move",{{"x":{x},"y":{y}}}]"#));
        ann.send(&mut fixture, r#"42["attack",{}]"#);
        ann.receive_packets(&mut fixture);
        fixture.tick();
        ann.receive_packets(&mut fixture);
        // The waiting poll is answered, and no other follows.
        if round == 0 {
            ben.poll_response(&mut fixture).expect("Ann has moved");
        }
    }
    std::mem::swap(&mut expected, &mut ann.model.facts);
    assert_eq!(expected.len(), 21, "ten attacks, their hits and a kill: {expected:?}");
    let packets = ben.receive_packets(&mut fixture);
    assert_eq!(ben.model.facts, expected);
    assert_eq!(
        packets.iter().filter(|packets| matches!(packets, Packet::Moved(_))).count(),
        1,
        "{packets:?}"
    );
    assert_eq!(ben.model.players, ann.model.players, "the newest positions");
    assert_eq!(ben.receive_packets(&mut fixture), [], "nothing new after that");
}

#[test]
fn a_player_that_left_is_not_reported_as_moved() {
    for is_websocket in [false, true] {
        let mut fixture = Fixture::with_small_pages(&[]);
        let mut ann = ScriptedClient::join(&mut fixture, REMOTE, ROOM, true);
        let mut ben = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, is_websocket);
        ann.receive_packets(&mut fixture);
        ann.send(&mut fixture, r#"42["move",{"x":50,"y":50}]"#);
        fixture.tick();
        // Ben reads a little after the tick, when Ann has already left.
        ann.send(&mut fixture, "41");
        ben.receive_packets(&mut fixture);
        fixture.tick();
        ben.receive_packets(&mut fixture);
        assert_eq!(ben.model.players.keys().collect::<Vec<_>>(), [&ben.number()]);
    }
}

#[test]
fn a_position_that_is_read_late_does_not_restore_hp() {
    for is_websocket in [false, true] {
        let mut fixture = Fixture::with_small_pages(&[]);
        let [mut ann, mut ben] = two_together(&mut fixture, [true, is_websocket]);
        for x in [51, 49] {
            ben.send(&mut fixture, &format!(r#"42["move",{{"x":{x},"y":50}}]"#));
            fixture.tick();
            if x == 51 {
                // From here on no poll of Ben's waits.
                ben.receive_packets(&mut fixture);
            }
        }
        ann.send(&mut fixture, r#"42["attack",{}]"#);
        // The position of the tick before the hit comes first.
        ben.receive_packets(&mut fixture);
        assert_eq!(ben.model.players[&ben.number()], Body { x: 49, y: 50, hp: 90 });
    }
}

#[test]
fn a_rejoin_gets_the_player_list_with_an_old_state_in_flight() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut fixture, [true, true]);
    ann.send(&mut fixture, r#"42["move",{"x":51,"y":50}]"#);
    fixture.tick();
    // The WebSocket takes one byte of the state.
    let mut received =
        ben.websocket.as_mut().expect("it has a WebSocket").receive_up_to(&mut fixture, 1);
    ben.send(&mut fixture, "41");
    ben.connect(&mut fixture, ROOM);
    received.extend(ben.websocket.as_mut().expect("it has a WebSocket").receive(&mut fixture));
    ben.read_packets(received);
    tick_all(&mut fixture, &mut [&mut ann, &mut ben]);
    assert!(ben.model.has_player_list, "the player list is still incomplete");
    assert_eq!(ben.model.players, ann.model.players);
}

#[test]
fn an_owed_state_goes_over_the_new_transport_at_once() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut fixture, [true, false]);
    ben.send(&mut fixture, r#"42["rate",{"hz":1}]"#);
    ann.send(&mut fixture, r#"42["move",{"x":51,"y":50}]"#);
    // The waiting poll is answered on the tick that sends it; the next state is owed while no poll
    // waits.
    while ben.poll_response(&mut fixture).is_none() {
        fixture.tick();
    }
    ann.send(&mut fixture, r#"42["move",{"x":52,"y":50}]"#);
    ticks(&mut fixture, 1_000);
    let mut probe = Connection::open(&mut fixture, OTHER_REMOTE);
    probe.send_request(&mut fixture, &upgrading(&ben.sid));
    fixture.send(probe.id, &text("2probe"));
    assert_eq!(
        probe.receive(&mut fixture),
        [Received::Upgraded, Received::Text("3probe".to_owned())]
    );
    fixture.send(probe.id, &text("5"));
    let mut dirty = Vec::new();
    fixture.server.take_dirty(&mut dirty, &mut Vec::new(), fixture.now);
    assert!(dirty.contains(&probe.id), "the connection is not marked dirty");
    ben.websocket = Some(probe);
    ben.receive_packets(&mut fixture);
    ann.receive_packets(&mut fixture);
    assert_eq!(ben.model.players, ann.model.players);
}

#[test]
fn a_slow_reader_gets_no_backlog_and_is_then_closed_as_slow() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut fixture, [true, true]);
    // Ben's socket is full, except for one byte now and then.
    let mut received = Vec::new();
    let websocket = |ben: &mut ScriptedClient, fixture: &mut Fixture, most| {
        ben.websocket.as_mut().expect("it has a WebSocket").receive_up_to(fixture, most)
    };
    for round in 0..100_u16 {
        ann.send(&mut fixture, &format!(r#"42["move",{{"x":{},"y":50}}]"#, 49 + round % 3));
        fixture.tick();
        ann.receive_packets(&mut fixture);
        received.extend(websocket(&mut ben, &mut fixture, 1));
        assert!(
            fixture.waiting_bytes(ben.websocket.as_ref().expect("it has a WebSocket").id) < 300
        );
    }
    received.extend(websocket(&mut ben, &mut fixture, usize::MAX));
    let moves = ben.read_packets(received).len();
    assert!((1..=3).contains(&moves), "100 bytes and one state cannot be {moves} positions");
    assert_eq!(ben.model.players, ann.model.players);
    // From now on it reads nothing, and the queued facts are bounded.
    let start = fixture.now;
    let id = ben.websocket.as_ref().expect("it has a WebSocket").id;
    let mut most = 0;
    let (_, end_ms) = fixture
        .until_end(id, 60_000, |fixture| {
            most = most.max(fixture.waiting_bytes(id));
            ann.send(fixture, "41");
            if fixture.now.since(start).is_multiple_of(1_500) {
                ann.connect(fixture, ROOM);
            }
        })
        .expect("it ends");
    assert!(end_ms <= STALL_MS + 3_000 && most <= GAME.outbox_bytes_max, "{end_ms} ms, {most}");
    assert_eq!(fixture.server.metrics().closes(CloseReason::Slow), 1);
}

// --- unused sessions -----------------------------------------------------------------------------

/// The gauges of sessions, held polls and players.
fn gauges(fixture: &mut Fixture) -> [u64; 3] {
    ["engine_sessions", "polls_held", "players"].map(|name| gauge(fixture, name))
}

#[test]
fn a_session_that_never_joins_is_closed_in_time() {
    let mut fixture = Fixture::with_small_pages(&["--poll-hold-ms", "60000"]);
    let mut polling = ScriptedClient::open(&mut fixture, REMOTE);
    polling.poll(&mut fixture);
    let mut websocket = ScriptedClient::open_websocket(&mut fixture, REMOTE);
    let mut refused = ScriptedClient::open_websocket(&mut fixture, REMOTE);
    ticks(&mut fixture, CONNECT_TIMEOUT_MS - TICK_MS);
    // A refused join does not count as joining.
    refused.connect(&mut fixture, "No Room");
    assert!(matches!(refused.receive_packets(&mut fixture).as_slice(), [Packet::ConnectError(_)]));
    assert_eq!(polling.poll_response(&mut fixture), None);
    assert_eq!(gauges(&mut fixture), [3, 1, 0]);
    fixture.tick();
    assert_eq!(polling.poll_response(&mut fixture), Some(vec![Packet::Close]));
    for client in [&mut websocket, &mut refused] {
        let received = client.websocket.as_mut().expect("it has a WebSocket").receive(&mut fixture);
        let pings = received.iter().filter(|it| matches!(it, Received::Ping(_))).count();
        assert_eq!(received[pings..], [Received::Close(None, String::new())]);
    }
    assert_eq!(gauges(&mut fixture), [0, 0, 0]);
    assert_eq!(polling.status_of_next_poll(&mut fixture), 400);
}

// T36
#[test]
fn ten_thousand_unused_sessions_leave_nothing_behind() {
    // From loopback, so that only the global limits apply.
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut begun = 0;
    while begun < 10_000 {
        let mut connection = Connection::open(&mut fixture, "127.0.0.1");
        let mut statuses = Vec::new();
        while statuses.last() != Some(&503) {
            connection.send_request(&mut fixture, &opening(""));
            let (status, _) = connection.response(&mut fixture);
            statuses.push(status);
        }
        let count = statuses.len() - 1;
        assert!(
            statuses[..count].iter().all(|status| *status == 200)
                && count == IDLE_SESSIONS_MAX as usize
        );
        begun += count;
        assert_eq!(gauge(&mut fixture, "engine_sessions"), count as u64);
        ticks(&mut fixture, CONNECT_TIMEOUT_MS);
        assert_eq!(gauges(&mut fixture), [0, 0, 0], "after {begun}");
    }
    ScriptedClient::join(&mut fixture, REMOTE, ROOM, false);
    assert_eq!(fixture.server.metrics().panics, 0);
}

#[test]
fn an_upgrade_that_is_never_finished_changes_nothing() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut ann = ScriptedClient::join(&mut fixture, REMOTE, ROOM, true);
    for is_probed in [false, true] {
        let mut ben = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, false);
        ann.receive_packets(&mut fixture);
        let mut probe = Connection::open(&mut fixture, OTHER_REMOTE);
        let sid = ben.sid.clone();
        probe.send_request(&mut fixture, &upgrading(&sid));
        assert_eq!(probe.receive(&mut fixture), [Received::Upgraded]);
        if is_probed {
            ben.poll(&mut fixture);
            fixture.send(probe.id, &text("2probe"));
            assert_eq!(probe.receive(&mut fixture), [Received::Text("3probe".to_owned())]);
            assert_eq!(ben.poll_response(&mut fixture), Some(vec![Packet::Noop]));
        }
        let mut moves = 0;
        for round in 0..PROBE_MS / TICK_MS - 1 {
            let received = probe.receive(&mut fixture);
            let is_ping = |it: &Received| matches!(it, Received::Ping(_));
            assert!(received.iter().all(is_ping), "everything goes over polling: {received:?}");
            ann.send(&mut fixture, &format!(r#"42["move",{{"x":{},"y":50}}]"#, 20 + round % 60));
            tick_all(&mut fixture, &mut [&mut ann, &mut ben]);
            moves = ben.model.moves.values().sum::<u64>();
            // With a probe in progress, a poll is answered just before the tick.
            assert!(is_probed || ben.model.players == ann.model.players, "{:?}", ben.model.players);
        }
        assert!(moves > 90, "{moves}");
        fixture.tick();
        assert_eq!(probe.receive(&mut fixture), [Received::Close(None, String::new())]);
        // A second probe may follow, and it succeeds.
        let mut probe = Connection::open(&mut fixture, OTHER_REMOTE);
        probe.send_request(&mut fixture, &upgrading(&sid));
        fixture.send(probe.id, &text("2probe"));
        ben.receive_packets(&mut fixture);
        fixture.send(probe.id, &text("5"));
        assert_eq!(
            probe.receive(&mut fixture)[..2],
            [Received::Upgraded, Received::Text("3probe".to_owned())]
        );
        ben.websocket = Some(probe);
        ann.send(&mut fixture, r#"42["move",{"x":50,"y":50}]"#);
        tick_all(&mut fixture, &mut [&mut ann, &mut ben]);
        assert_eq!(ben.model.players, ann.model.players);
        assert_eq!(
            ben.status_of_next_poll(&mut fixture),
            400,
            "polls are refused after the upgrade"
        );
        ben.send(&mut fixture, "1");
        ann.receive_packets(&mut fixture);
    }
    assert_eq!(gauges(&mut fixture), [1, 0, 1]);
}

// --- disconnects ---------------------------------------------------------------------------------

#[test]
fn an_idle_player_is_disconnected() {
    let mut fixture = Fixture::with_small_pages(&["--idle-kick-s", "3"]);
    let mut busy = ScriptedClient::join(&mut fixture, REMOTE, ROOM, true);
    let mut polling_client = ScriptedClient::join(&mut fixture, REMOTE, ROOM, false);
    let mut resting_client = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, false);
    let mut websocket = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, true);
    for _ in 0..80 {
        // It soon stands in the corner and sends no more updates.
        busy.send(&mut fixture, r#"42["move",{"x":0,"y":0}]"#);
        busy.receive_packets(&mut fixture);
        if fixture.now.0 < 2_900 {
            polling_client.catch_up(&mut fixture);
            websocket.catch_up(&mut fixture);
        }
        fixture.tick();
    }
    busy.receive_packets(&mut fixture);
    let packets = polling_client.poll_response(&mut fixture).expect("the poll is answered");
    assert_eq!(packets.last(), Some(&Packet::Close));
    assert_eq!(busy.model.players.len(), 1, "only one player was active");
    let received = websocket.websocket.as_mut().expect("it has a WebSocket").receive(&mut fixture);
    assert!(matches!(received.last(), Some(Received::Close(Some(4000), _))), "{received:?}");
    let mut last =
        |client: &mut ScriptedClient| client.receive_packets(&mut fixture).last().cloned();
    assert_eq!(
        last(&mut resting_client),
        Some(Packet::Close),
        "the close packet waited for its next poll"
    );
    assert_eq!(resting_client.status_of_next_poll(&mut fixture), 400);
    assert_eq!(polling_client.status_of_next_poll(&mut fixture), 400);
    assert_eq!(gauges(&mut fixture), [1, 0, 1]);
}

#[test]
fn a_drain_closes_every_transport_in_its_own_way() {
    let mut fixture = Fixture::with_small_pages(&["--drain-s", "1"]);
    let mut polling_client = ScriptedClient::join(&mut fixture, REMOTE, ROOM, false);
    let mut resting_client = ScriptedClient::join(&mut fixture, REMOTE, ROOM, false);
    let mut websocket = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, true);
    let mut unclaimed = ScriptedClient::open(&mut fixture, OTHER_REMOTE);
    polling_client.catch_up(&mut fixture);
    fixture.server.drain(fixture.now);
    assert!(!fixture.server.is_drained(fixture.now));
    ticks(&mut fixture, 1_000);
    assert!(fixture.server.is_drained(fixture.now), "two clients have not polled for a second");
    let ends = |packets: Option<Vec<Packet>>| packets.and_then(|packets| packets.last().cloned());
    assert_eq!(ends(polling_client.poll_response(&mut fixture)), Some(Packet::Close));
    // They learn of it if they poll after all. Idle connections were closed.
    for client in [&mut resting_client, &mut unclaimed] {
        client.get = Connection::open(&mut fixture, REMOTE);
        assert_eq!(ends(Some(client.receive_packets(&mut fixture))), Some(Packet::Close));
    }
    let received = websocket.websocket.as_mut().expect("it has a WebSocket").receive(&mut fixture);
    let Some(Received::Close(Some(1012), hint)) = received.last() else { panic!("{received:?}") };
    assert!(hint.starts_with(r#"{"retry_ms":"#), "{hint}");
    let mut connection = Connection::open(&mut fixture, REMOTE);
    connection.send_request(&mut fixture, &opening(""));
    assert_eq!(connection.response(&mut fixture).0, 503);
    assert_eq!(gauges(&mut fixture), [0, 0, 0]);
}

#[test]
fn two_polls_at_once_or_a_lost_poll_end_the_session() {
    for is_lost in [false, true] {
        let mut fixture = Fixture::with_small_pages(&[]);
        let mut ann = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, true);
        let mut ben = ScriptedClient::join(&mut fixture, REMOTE, ROOM, false);
        let number = ben.number();
        assert_eq!(ben.receive_packets(&mut fixture), []);
        if is_lost {
            fixture.server.peer_closed(ben.get.id, false, fixture.now);
        } else {
            let mut other = Connection::open(&mut fixture, REMOTE);
            other.send_request(&mut fixture, &polling(&ben.sid));
            assert_eq!(other.response(&mut fixture).0, 400);
            assert_eq!(ben.poll_response(&mut fixture), Some(vec![Packet::Close]));
        }
        fixture.tick();
        ann.receive_packets(&mut fixture);
        assert!(ann.model.departed.contains(&number));
        assert_eq!(ben.status_of_next_poll(&mut fixture), 400);
        assert_eq!(gauges(&mut fixture), [1, 0, 1]);
    }
}

#[test]
fn an_invalid_frame_ends_its_session() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut ann = ScriptedClient::join(&mut fixture, REMOTE, ROOM, true);
    let mut ben = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, true);
    let id = ben.websocket.as_ref().expect("it has a WebSocket").id;
    fixture.send(id, &masked(0xc1, b"42"));
    fixture.tick();
    ann.receive_packets(&mut fixture);
    assert!(ann.model.departed.contains(&ben.number()));
    let received = ben.websocket.as_mut().expect("it has a WebSocket").receive(&mut fixture);
    assert!(matches!(received.last(), Some(Received::Close(..))), "{received:?}");
}

#[test]
fn a_state_due_between_two_polls_goes_with_the_next() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut ann = ScriptedClient::join(&mut fixture, REMOTE, ROOM, true);
    let mut ben = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, false);
    tick_all(&mut fixture, &mut [&mut ann, &mut ben]);
    // The second state becomes due while no poll waits.
    for x in [20, 80] {
        ann.send(&mut fixture, &format!(r#"42["move",{{"x":{x},"y":50}}]"#));
        fixture.tick();
        ann.receive_packets(&mut fixture);
        assert!(
            !ben.receive_packets(&mut fixture).is_empty(),
            "the state is not due again before the next tick"
        );
        assert_eq!(ben.model.players, ann.model.players);
    }
}

// T08, T78
#[test]
fn a_player_that_was_cut_off_is_noticed_within_12_s_over_every_transport() {
    for is_websocket in [false, true] {
        let mut fixture = Fixture::with_small_pages(&[]);
        let mut ann = ScriptedClient::join(&mut fixture, REMOTE, ROOM, true);
        let mut ben = ScriptedClient::join(&mut fixture, OTHER_REMOTE, ROOM, is_websocket);
        for _ in 0..20 * 30 {
            tick_all(&mut fixture, &mut [&mut ann, &mut ben]);
        }
        assert_eq!(gauge(&mut fixture, "players"), 2, "both answer");
        // From here on nothing arrives from Ben.
        let cut_at = fixture.now;
        while gauge(&mut fixture, "players") == 2 {
            tick_all(&mut fixture, &mut [&mut ann]);
            // The kernel still takes what is for Ben.
            match &mut ben.websocket {
                Some(websocket) => drop(websocket.receive(&mut fixture)),
                None => drop(ben.poll_response(&mut fixture)),
            }
            assert!(fixture.now.since(cut_at) < 12_500, "websocket: {is_websocket}");
        }
        assert!(fixture.now.since(cut_at) > 5_000, "it had time to answer");
    }
}
