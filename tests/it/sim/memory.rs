//! The account of the bytes that are held for clients, and what ends when there are too many
//! (docs/limits.md, "Memory"; row T71).

use serde_json::Value;
use skirmish::close::CloseReason;
use skirmish::limits::{PAGES, ROOM_BYTES};
use skirmish::metrics::Refusal;
use skirmish::server::{ConnId, End, ListenerKind};
use skirmish::ws::frame;

use super::fixture::{Fixture, handshake, text};
use super::requests::{opening, polling as polling_of, posting};

/// Bytes of a body that waits for its last byte, and what it takes in memory.
const BODY: usize = 15 * 1024;
const BODY_HELD: usize = 16 * 1024;

const ATTACK: &str = r#"{"type":"attack"}"#;

/// The share of an address with `--max-memory 8M`: a sixteenth.
const SHARE: usize = (8 << 20) / 16;

/// A server, and the connection of its operator.
fn fixture() -> (Fixture, ConnId) {
    let mut fixture =
        Fixture::with_small_pages(&["--max-memory", "8M", "--poll-absence-ms", "600000"]);
    let operator = fixture.server.open([127, 0, 0, 1].into(), ListenerKind::Admin, fixture.now);
    (fixture, operator.expect("a place"))
}

/// Joins a Socket.IO client of `peer` that polls, over a connection of its own. Returns the id of
/// its session.
fn join_polling(fixture: &mut Fixture, peer: &str, room: &str) -> (ConnId, String) {
    let conn = fixture.open(peer);
    fixture.send(conn, &opening(&format!("&room={room}")));
    let response = String::from_utf8(fixture.take(conn)).expect("text");
    let body = response.split("\r\n\r\n").nth(1).expect("a body");
    let open: Value = serde_json::from_str(&body[1..]).expect("JSON");
    let sid = open["sid"].as_str().expect("an id").to_owned();
    fixture.send(conn, &posting(&sid, "40"));
    assert!(fixture.take(conn).ends_with(b"ok"), "the client joins");
    (conn, sid)
}

/// Begins a post, and leaves its last byte out.
fn begin_post(fixture: &mut Fixture, conn: ConnId, sid: &str) {
    let payload = "4".repeat(BODY);
    let bytes = posting(sid, &payload);
    for piece in bytes[..bytes.len() - 1].chunks(8 * 1024) {
        fixture.send(conn, piece);
    }
}

/// What the account counts, as the operator sees it.
fn held_bytes(fixture: &mut Fixture, operator: ConnId) -> usize {
    fixture.server.check_accounts().expect("the account is right");
    fixture.send(operator, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = String::from_utf8(fixture.take(operator)).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("skirmish_held_bytes "));
    line.expect("a gauge").parse().expect("a number")
}

/// Which of these connections have ended, and how.
fn ends(fixture: &mut Fixture) -> Vec<(ConnId, End)> {
    let mut ended = Vec::new();
    fixture.server.take_ended(&mut ended);
    ended
}

// T71
#[test]
fn the_newest_of_an_address_end_beyond_its_share() {
    let (mut fixture, _) = fixture();
    let (ann, other) = ("192.0.2.1", "192.0.2.2");
    let joined: Vec<_> = (0..40).map(|_| join_polling(&mut fixture, ann, "a")).collect();
    let (other_post, other_sid) = join_polling(&mut fixture, other, "b");
    begin_post(&mut fixture, other_post, &other_sid);
    // It plays over a WebSocket and holds nothing.
    let player = fixture.open(ann);
    fixture.send(player, &handshake("/?room=c"));
    assert!(fixture.take(player).starts_with(b"HTTP/1.1 101 "));
    let mut count = 0;
    for (conn, sid) in &joined {
        begin_post(&mut fixture, *conn, sid);
        count += 1;
        let ended = ends(&mut fixture);
        if !ended.is_empty() {
            assert!(ended.contains(&(*conn, End::Reset)), "the newest");
            assert!(!ended.iter().any(|(id, _)| *id == joined[0].0), "the oldest");
            let is_spared = |id| !ended.iter().any(|(ended, _)| *ended == id);
            assert!(is_spared(player) && is_spared(other_post), "they hold little");
            break;
        }
    }
    assert_eq!(count, SHARE / BODY_HELD + 1, "as many bodies as fit into the share");
    let closed = fixture.server.metrics().closes(CloseReason::Memory) as usize;
    assert!((count / 4..count / 3).contains(&closed), "{closed}: a quarter is freed");
    fixture.tick();
    assert!(String::from_utf8_lossy(&fixture.take(player)).contains("state_update"));
}

/// The address of a trusted proxy.
const PROXY: &str = "203.0.113.1";

/// A request as the proxy forwards it for a client.
fn forwarded(request: &[u8], client: &str) -> Vec<u8> {
    let end = request.windows(2).position(|two| two == b"\r\n").expect("a first line") + 2;
    let field = format!("X-Forwarded-For: {client}\r\n");
    [&request[..end], field.as_bytes(), &request[end..]].concat()
}

#[test]
fn requests_over_a_trusted_proxy_count_for_their_clients() {
    let flags = ["--max-memory", "8M", "--trusted-proxy", PROXY, "--poll-absence-ms", "600000"];
    let mut fixture = Fixture::with_small_pages(&flags);
    let (ann, other) = ("192.0.2.1", "192.0.2.2");
    let begin = |fixture: &mut Fixture, client: &str| {
        let conn = fixture.open(PROXY);
        fixture.send(conn, &forwarded(&opening("&room=a"), client));
        let response = String::from_utf8(fixture.take(conn)).expect("text");
        let sid = response.split('"').nth(3).expect("a sid").to_owned();
        let post = forwarded(&posting(&sid, &"4".repeat(BODY)), client);
        post[..post.len() - 1].chunks(8 * 1024).for_each(|piece| _ = fixture.send(conn, piece));
        conn
    };
    let others = begin(&mut fixture, other);
    let mut conns = Vec::new();
    while ends(&mut fixture).is_empty() {
        assert!(conns.len() <= SHARE / BODY_HELD, "it holds more than its share");
        // Handshakes have a rate.
        fixture.now = fixture.now.after(100);
        conns.push(begin(&mut fixture, ann));
        fixture.server.check_accounts().expect("the account is right");
    }
    assert_eq!(conns.len(), SHARE / BODY_HELD + 1, "as many bodies as fit into the share");
    // The connection of the other client is open.
    fixture.send(others, b"4");
    assert!(fixture.take(others).starts_with(b"HTTP/1.1 200 "));
    // A connection of the proxy serves one client after another.
    fixture.send(others, &forwarded(&opening("&room=a"), ann));
    assert!(fixture.take(others).starts_with(b"HTTP/1.1 200 "));
    fixture.server.check_accounts().expect("the account is right");
}

#[test]
fn pages_over_a_trusted_proxy_have_the_rates_of_their_clients() {
    let mut fixture = Fixture::with_small_pages(&["--trusted-proxy", PROXY]);
    let conn = fixture.open(PROXY);
    let mut ask = |client: &str| {
        let request = b"GET /rooms HTTP/1.1\r\nHost: play.example\r\n\r\n";
        fixture.send(conn, &forwarded(request, client));
        let response = String::from_utf8(fixture.take(conn)).expect("text");
        response.split(' ').nth(1).expect("a status").to_owned()
    };
    for _ in 0..PAGES.burst {
        assert_eq!(ask("192.0.2.1"), "200");
    }
    assert_eq!(ask("192.0.2.1"), "429");
    assert_eq!(ask("192.0.2.2"), "200", "another client of the same proxy");
}

/// Clients of 20 addresses, each of which holds less than its share. Returns their sessions.
fn join_many(fixture: &mut Fixture) -> Vec<(ConnId, String)> {
    let mut joined = Vec::new();
    for number in 0..20 {
        // Joins have a rate.
        fixture.now = fixture.now.after(1_000);
        let peer = format!("192.0.2.{number}");
        joined.extend((0..28).map(|_| join_polling(fixture, &peer, "a")));
    }
    joined
}

// T71
#[test]
fn those_that_hold_most_end_when_all_hold_too_much() {
    let (mut fixture, operator) = fixture();
    let (modest, sid) = join_polling(&mut fixture, "192.0.2.250", "a");
    let large = "4".repeat(2 * 1024);
    fixture.send(modest, &posting(&sid, &large)[..2_000]);
    let held_at_most = 8 << 20;
    let mut ended = Vec::new();
    for (conn, sid) in join_many(&mut fixture) {
        begin_post(&mut fixture, conn, &sid);
        assert!(held_bytes(&mut fixture, operator) <= held_at_most);
        ended = ends(&mut fixture);
        if !ended.is_empty() {
            break;
        }
    }
    assert!((60..80).contains(&ended.len()), "{}: an eighth is freed", ended.len());
    assert!(!ended.iter().any(|(id, _)| *id == modest), "it holds little");
    assert_eq!(fixture.server.metrics().closes(CloseReason::Memory), ended.len() as u64);
    let held = held_bytes(&mut fixture, operator);
    assert!((held_at_most / 4 * 3..=held_at_most / 8 * 7).contains(&held), "{held}");
}

// T41
#[test]
fn while_memory_is_short_no_client_joins_and_then_none_connects() {
    let (mut fixture, operator) = fixture();
    let mut sessions = join_many(&mut fixture).into_iter();
    let mut fill = |fixture: &mut Fixture, bytes: usize| {
        while held_bytes(fixture, operator) <= bytes {
            let (conn, sid) = sessions.next().expect("enough sessions");
            begin_post(fixture, conn, &sid);
        }
    };
    fill(&mut fixture, (8 << 20) / 8 * 7);
    let late = fixture.open("192.0.2.250");
    fixture.send(late, &handshake("/?room=a"));
    let answer = fixture.take(late);
    assert_eq!(code_of(&answer), Some(4013));
    fill(&mut fixture, (8 << 20) / 16 * 15);
    let peer = [192, 0, 2, 251].into();
    let refused = fixture.server.open(peer, ListenerKind::Public, fixture.now);
    assert_eq!(refused, Err(Refusal::Memory));
    assert_eq!(fixture.server.metrics().closes(CloseReason::Memory), 0);
    fixture.send(operator, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(fixture.take(operator).starts_with(b"HTTP/1.1 200 "), "the operator is served");
}

#[test]
fn empty_rooms_give_way_while_memory_is_short() {
    let (mut fixture, _) = fixture();
    const ROOMS: usize = 3_700;
    for room in 0..ROOMS {
        // 200 a second.
        if room % 10 == 0 {
            fixture.tick();
        }
        let conn = fixture.open(&format!("198.18.{}.{}", room / 250, room % 250));
        fixture.send(conn, &handshake(&format!("/?room=r{room}")));
        assert_eq!(code_of(&fixture.take(conn)), None, "it joins");
        fixture.server.peer_closed(conn, true, fixture.now);
        ends(&mut fixture);
    }
    let operator = fixture.server.open([127, 0, 0, 1].into(), ListenerKind::Admin, fixture.now);
    let operator = operator.expect("a place");
    let short = (8 << 20) / 8 * 7;
    assert!(ROOMS * ROOM_BYTES > short && held_bytes(&mut fixture, operator) < short);
    assert_eq!(fixture.server.metrics().refusals(Refusal::Full), 0);
}

#[test]
fn sixteen_addresses_cannot_keep_memory_short() {
    // Few clients that hold much, and many, most of which hold nothing.
    for (clients, posts) in [(30, 30), (80, 20)] {
        let flags = ["--max-memory", "8M", "--poll-absence-ms", "600000"];
        let mut fixture = Fixture::with_small_pages(&flags);
        let modest = join_polling(&mut fixture, "198.51.100.1", "a");
        let mut sessions = Vec::new();
        for number in 0..16 * clients {
            if number % 8 == 0 {
                fixture.tick();
            }
            let peer = format!("192.0.2.{}", number % 16);
            let room = format!("room-{}", number % 4);
            sessions.push(join_polling(&mut fixture, &peer, &room));
        }
        for (conn, sid) in sessions.iter().take(16 * posts).chain([&modest]) {
            begin_post(&mut fixture, *conn, sid);
        }
        let late = fixture.open("198.51.100.2");
        fixture.send(late, &handshake("/?room=a"));
        assert_eq!(code_of(&fixture.take(late)), Some(4013), "memory is short");
        fixture.tick();
        let ended = ends(&mut fixture);
        assert!(!ended.is_empty() && !ended.iter().any(|(id, _)| *id == modest.0), "{ended:?}");
        let late = fixture.open("198.51.100.2");
        fixture.send(late, &handshake("/?room=a"));
        assert_eq!(code_of(&fixture.take(late)), None, "it joins, with {clients} clients");
    }
}

#[test]
fn rooms_of_players_alone_cannot_keep_memory_short() {
    let (mut fixture, _) = fixture();
    let mut held = Vec::new();
    for room in 0..1_000 {
        // Each address joins less than ten times a second.
        if room % 10 == 0 {
            fixture.tick();
        }
        let conn = fixture.open(&format!("192.0.2.{}", room % 25));
        fixture.send(conn, &handshake(&format!("/?room=r{room}")));
        held.push(conn);
        held.iter().for_each(|conn| drop(fixture.take(*conn)));
    }
    let friends = ["198.51.100.1", "198.51.100.2"].map(|peer| {
        let conn = fixture.open(peer);
        fixture.send(conn, &handshake("/?room=friends"));
        (code_of(&fixture.take(conn)), conn)
    });
    let mut joined = friends.iter().filter(|(code, _)| code.is_none()).count();
    for newcomer in 0..40 {
        fixture.tick();
        held.iter().for_each(|conn| drop(fixture.take(*conn)));
        let conn = fixture.open(&format!("203.0.113.{newcomer}"));
        fixture.send(conn, &handshake(&format!("/?room=n{newcomer}")));
        joined += usize::from(code_of(&fixture.take(conn)).is_none());
    }
    assert!(joined >= 36, "{joined} newcomers have joined");
    let given = fixture.server.metrics().refusals(Refusal::RoomShare);
    assert!((1..100).contains(&given), "{given} rooms ended for 40");
}

#[test]
fn local_clients_stay_while_memory_is_short() {
    for local in ["127.0.0.1", "::1"] {
        let (mut fixture, operator) = fixture();
        let mut sessions: Vec<_> =
            (0..430).map(|_| join_polling(&mut fixture, local, "a")).collect();
        sessions.extend((0..20).map(|_| join_polling(&mut fixture, "192.0.2.1", "a")));
        for (conn, sid) in &sessions {
            begin_post(&mut fixture, *conn, sid);
        }
        assert!(held_bytes(&mut fixture, operator) > (8 << 20) / 8 * 7);
        fixture.tick();
        let ended = ends(&mut fixture);
        let is_local = |id| sessions[..430].iter().any(|(local, _)| *local == id);
        assert_eq!(ended.iter().filter(|(id, _)| is_local(*id)).count(), 0, "{local}");
    }
}

#[test]
fn bytes_of_local_clients_do_not_count_for_their_network() {
    let (mut fixture, operator) = fixture();
    // Loopback has no limits, and the next address is in the same network of IPv6.
    let of = |peer, count| (0..count).map(move |_| peer);
    let peers: Vec<_> = of("::1", SHARE / BODY_HELD * 2).chain(of("::2", 2)).collect();
    let sessions: Vec<_> =
        peers.into_iter().map(|peer| join_polling(&mut fixture, peer, "a")).collect();
    for (conn, sid) in &sessions {
        begin_post(&mut fixture, *conn, sid);
    }
    assert!(held_bytes(&mut fixture, operator) > 2 * SHARE, "more than the network may hold");
    fixture.tick();
    assert_eq!(ends(&mut fixture), [], "the neighbour holds little");
}

/// The code of the close frame at the end of what a client received.
fn code_of(bytes: &[u8]) -> Option<u16> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (opcode, payload) = frame::payloads(&bytes[end..]).last()?;
    (opcode == frame::CLOSE).then(|| u16::from_be_bytes([payload[0], payload[1]]))
}

#[test]
fn players_of_one_address_that_poll_slowly_stay_in_a_fight() {
    let mut fixture =
        Fixture::with_small_pages(&["--max-memory", "64M", "--poll-absence-ms", "600000"]);
    let polling: Vec<_> =
        (0..60).map(|_| join_polling(&mut fixture, "192.0.2.1", "battle")).collect();
    let mut attackers = Vec::new();
    for number in 0..120 {
        let conn = fixture.open(&format!("198.51.100.{}", number % 4));
        fixture.send(conn, &handshake("/?room=battle"));
        assert!(fixture.take(conn).starts_with(b"HTTP/1.1 101 "));
        attackers.push(conn);
    }
    let mut events = 0;
    for tick in 0..20 * 8 {
        if tick % 6 == 0 {
            attackers.iter().for_each(|conn| _ = fixture.send(*conn, &text(ATTACK)));
        }
        fixture.tick();
        for conn in &attackers {
            fixture.take(*conn);
        }
        // Each polls once in 1.8 s.
        if tick % 36 == 35 {
            for (conn, sid) in &polling {
                fixture.send(*conn, &polling_of(sid));
                fixture.server.take_dirty(&mut Vec::new(), &mut Vec::new(), fixture.now);
                let events_in =
                    |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("42[").count();
                events += events_in(&fixture.take(*conn));
            }
        }
        fixture.server.check_accounts().expect("the account is right");
    }
    assert!(events > 10_000, "{events} events are many");
    assert_eq!(fixture.server.metrics().closes(CloseReason::Memory), 0);
}

#[test]
fn the_list_of_rooms_counts_for_its_readers_and_a_page_does_not() {
    let (mut fixture, operator) = fixture();
    let before = held_bytes(&mut fixture, operator);
    for number in 0..200 {
        fixture.now = fixture.now.after(100);
        let conn = fixture.open("192.0.2.9");
        fixture.send(conn, &handshake(&format!("/?room=a-long-name-of-a-room-{number}")));
        fixture.take(conn);
        fixture.server.peer_closed(conn, true, fixture.now);
        ends(&mut fixture);
    }
    let rooms = held_bytes(&mut fixture, operator) - before;
    let ask = |fixture: &mut Fixture, path: &str| {
        let before = held_bytes(fixture, operator);
        let conn = fixture.open("192.0.2.9");
        let request = format!("GET {path} HTTP/1.1\r\nHost: play.example\r\n\r\n");
        fixture.send(conn, request.as_bytes());
        held_bytes(fixture, operator) - before
    };
    assert!(rooms > 200 * 1_024, "{rooms} bytes for 200 rooms");
    assert!(ask(&mut fixture, "/rooms") > 10_000);
    assert!(ask(&mut fixture, "/client.html") < 2_048, "the head, and the connection");
}

#[test]
fn everything_is_released_at_the_end() {
    let (mut fixture, operator) = fixture();
    let ann = "192.0.2.1";
    let before = held_bytes(&mut fixture, operator);
    let (conn, sid) = join_polling(&mut fixture, ann, "a");
    begin_post(&mut fixture, conn, &sid);
    assert!(held_bytes(&mut fixture, operator) > before + BODY);
    fixture.server.peer_closed(conn, true, fixture.now);
    for _ in 0..20 * 40 {
        fixture.tick();
        ends(&mut fixture);
    }
    assert_eq!(held_bytes(&mut fixture, operator), before, "also the room has gone");
}
