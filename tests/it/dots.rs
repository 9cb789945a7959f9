//! The dots game in the JSON dialect, as a browser plays it (docs/protocol.md, "The JSON dialect").

use std::collections::HashMap;
use std::net::Shutdown;

use serde_json::{Value, json};

use crate::harness::{Peer, TestServer, between, masked, place, until};
use crate::states::{go, ids, player, state, state_after, step, tick};
use skirmish::limits::MOVE_CREDIT_MAX;

fn position(state: &Value, id: &str) -> (i64, i64) {
    let player = player(state, id);
    let at = |axis: &str| player[axis].as_i64().expect("a whole number");
    let at = (at("x"), at("y"));
    assert!((10..=490).contains(&at.0) && (10..=490).contains(&at.1), "outside: {at:?}");
    at
}

/// The direction with enough distance to the wall for a long walk from x.
fn long_way(x: i64) -> (&'static str, i64) {
    if x < 250 { ("RIGHT", 1) } else { ("LEFT", -1) }
}

#[test]
fn init_comes_first_and_numbers_count_up_over_all_rooms() {
    let server = TestServer::start(&[]);
    let mut peers = Vec::new();
    for (number, target) in ["/", "/ws", "/?room=other", "/any/path?room=third"].iter().enumerate()
    {
        let mut peer = Peer::upgrade(server.addr, target);
        let init = peer.frame();
        let id = (number + 1).to_string();
        assert!(
            init.text().starts_with(&format!("{{\"type\":\"init\",\"id\":\"{id}\"")),
            "{init:?}"
        );
        let init: Value = serde_json::from_str(init.text()).expect("JSON");
        let room = ["dots", "dots", "other", "third"][number];
        assert_eq!((&init["room"], &init["rules"]), (&json!(room), &json!("dots")));
        let first = state(&mut peer);
        assert!(ids(&first).contains(&id.as_str()), "{id} sees itself");
        peers.push(peer);
    }
    drop(peers);
    server.until_metric("skirmish_players", 0);
    assert_eq!(Peer::join(server.addr, "/").1, "5", "no number is reused");
}

#[test]
fn every_player_receives_the_same_full_state_on_every_tick() {
    let server = TestServer::start(&[]);
    let (mut ann, ann_id) = Peer::join(server.addr, "/?name=Ann");
    let (mut bob, bob_id) = Peer::join(server.addr, "/");
    let first = ann.until_text(&["state_update", &format!("\"id\":\"{bob_id}\"")]);
    assert!(first.starts_with(r#"{"type":"state_update","players":[{"id":"1","x":"#), "{first}");
    let (x, y) = place(&first, &ann_id);
    assert!((50..=450).contains(&x) && (50..=450).contains(&y), "spawned at {x}, {y}");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(ids(&first), [ann_id.as_str(), &bob_id]);
    for id in [&ann_id, &bob_id] {
        let player = player(&first, id).as_object().expect("an object");
        let color = player["color"].as_str().expect("a string");
        let digits = color.strip_prefix('#').expect("a #");
        assert!(digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{color}");
        assert_eq!(player.get("name"), (*id == ann_id).then_some(&json!("Ann")));
    }
    let mut seen = HashMap::new();
    let mut last = tick(&first);
    for _ in 0..10 {
        let next = state(&mut ann);
        assert_eq!(tick(&next), last + 1, "one state a tick");
        last += 1;
        seen.insert(last, next);
    }
    let same = until("a tick that both have seen", || {
        let state = state(&mut bob);
        seen.remove(&tick(&state)).map(|seen| (seen, state))
    });
    assert_eq!(same.0, same.1);
}

#[test]
fn a_move_is_ten_units_in_its_direction() {
    let server = TestServer::start(&[]);
    let (mut peer, id) = Peer::join(server.addr, "/");
    let mut at = position(&state(&mut peer), &id);
    for (direction, dx, dy) in
        [("UP", 0, -10), ("DOWN", 0, 10), ("LEFT", -10, 0), ("RIGHT", 10, 0), ("RIGHT", 10, 0)]
    {
        go(&mut peer, direction);
        let now = position(&state_after(&mut peer), &id);
        assert_eq!(now, (at.0 + dx, at.1 + dy), "{direction}");
        at = now;
    }
    assert_eq!(position(&state_after(&mut peer), &id), at, "no move without a command");
}

#[test]
fn players_stop_at_walls() {
    let server = TestServer::start(&[]);
    let directions =
        [("UP", false, 10), ("DOWN", false, 490), ("LEFT", true, 10), ("RIGHT", true, 490)];
    let mut walkers: Vec<_> = directions
        .iter()
        .map(|walk| {
            let (mut peer, id) = Peer::join(server.addr, "/");
            let start = position(&state(&mut peer), &id);
            (peer, id, start, walk)
        })
        .collect();
    // Each player moves once per state; at its wall it keeps moving against it.
    let mut all_go = || {
        let mut are_there = true;
        for (peer, id, _, (direction, is_in_x, wall)) in &mut walkers {
            let (x, y) = position(&state(peer), id);
            are_there &= *wall == if *is_in_x { x } else { y };
            go(peer, direction);
        }
        are_there
    };
    until("all are at their walls", || all_go().then_some(()));
    (0..5).for_each(|_| assert!(all_go(), "no player crosses a wall"));
    for (peer, id, start, (direction, is_in_x, wall)) in &mut walkers {
        let (x, y) = position(&state_after(peer), id);
        let (along, across, was) = if *is_in_x { (x, y, start.1) } else { (y, x, start.0) };
        assert_eq!((along, across), (*wall, was), "{direction}");
    }
}

// T58
#[test]
fn a_flood_of_moves_is_limited_by_the_move_credit() {
    let server = TestServer::start(&[]);
    let (mut peer, id) = Peer::join(server.addr, "/");
    let start = state(&mut peer);
    let from = position(&start, &id);
    let (direction, sign) = long_way(from.0);
    let distance = |state: &Value| {
        let at = position(state, &id);
        assert_eq!(at.1, from.1);
        (at.0 - from.0) * sign
    };
    let moves: Vec<_> = (0..70).map(|_| masked(0x81, step(direction).as_bytes())).collect();
    peer.send(&moves.concat());
    let after = state_after(&mut peer);
    let far = distance(&after);
    let ticks = (tick(&after) - tick(&start)) as i64;
    assert!(far >= 110, "the saved moves and the pending one are made: {far}");
    assert!(far <= 10 * (ticks + i64::from(MOVE_CREDIT_MAX)), "{far} in {ticks} ticks");
    assert_eq!(distance(&state(&mut peer)), far, "the other moves are dropped");
}

#[test]
fn the_newest_move_without_credit_is_made_on_the_next_tick() {
    let server = TestServer::start(&[]);
    let (mut peer, id) = Peer::join(server.addr, "/");
    let from = position(&state_after(&mut peer), &id);
    // A burst in one segment is read in one turn, so no tick comes between.
    let burst: Vec<u8> = ["UP", "DOWN"]
        .repeat(usize::from(MOVE_CREDIT_MAX) / 2)
        .iter()
        .chain(&["LEFT", "RIGHT", "LEFT", "UP"])
        .flat_map(|way| masked(0x81, step(way).as_bytes()))
        .collect();
    peer.send(&burst);
    let first = state_after(&mut peer);
    assert_eq!(position(&first, &id), (from.0, from.1 - 10));
    assert_eq!(
        position(&state(&mut peer), &id),
        (from.0, from.1 - 10),
        "the other moves are dropped"
    );
}

#[test]
fn a_ping_is_answered_at_once_with_its_own_number() {
    let server = TestServer::start(&[]);
    let (mut peer, _) = Peer::join(server.addr, "/");
    for t in [
        "0",
        "-1",
        "1754000000123",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "0.5",
        "-12.25",
        "1e3",
        "1.5E-7",
        // A value of performance.now().
        "4821.300000000047",
        "123456789.12345679",
        "86399999.90000001",
        "1e300",
    ] {
        peer.send_text(&format!(r#"{{"type":"ping","t":{t}}}"#));
        let pong = peer.until_text(&["\"pong\""]);
        let kept = between(&pong, "\"t\":", ",");
        let number = |text: &str| text.parse::<f64>().expect("a number");
        assert_eq!(number(kept), number(t), "{t} was echoed as {kept}");
        if t.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            assert_eq!(kept, t, "whole numbers stay whole");
        }
        let pong: Value = serde_json::from_str(&pong).expect("JSON");
        assert!(pong["tick"].is_u64() && pong["type"] == "pong", "{pong}");
    }
}

#[test]
fn the_rate_sets_the_states_per_second() {
    let server = TestServer::start(&[]);
    let (mut peer, _) = Peer::join(server.addr, "/");
    // An invalid rate changes nothing.
    for (hz, ticks) in
        [("20", 1), ("5", 4), ("0", 4), ("21", 4), ("-1", 4), ("\"1\"", 4), ("10", 2), ("1", 20)]
    {
        peer.send_text(&format!(r#"{{"type":"rate","hz":{hz}}}"#));
        let mut last = tick(&state_after(&mut peer));
        for _ in 0..if ticks > 4 { 1 } else { 4 } {
            let next = tick(&state(&mut peer));
            assert_eq!(next - last, ticks, "at {hz} Hz");
            last = next;
        }
    }
}

// T64
#[test]
fn names_are_cleaned_and_optional() {
    let server = TestServer::start(&[]);
    let sixteen = "\u{e9}".repeat(16);
    let cases = [
        ("name=Ann", Some("Ann")),
        ("name=Ann%20Lee", Some("Ann Lee")),
        ("name=Ann+Lee", Some("Ann Lee")),
        ("name=%20%20Ann%09%0a", Some("Ann")),
        ("name=a%00b%1b%5b2Jc", Some("ab[2Jc")),
        ("name=%E2%80%AEevil%E2%80%8B", Some("evil")),
        ("name=%22%5C%3Cb%3E%26", Some("\"\\<b>&")),
        ("name=%F0%9F%98%80", Some("\u{1f600}")),
        (&format!("name={}", "%C3%A9".repeat(20)), Some(sixteen.as_str())),
        ("name=", None),
        ("name=%20%E2%80%8B%09", None),
        ("name=%ff", None),
        ("nickname=Ann", None),
        ("", None),
    ];
    let (mut watcher, _) = Peer::join(server.addr, "/");
    for (query, name) in cases {
        let (mut peer, id) = Peer::join(server.addr, &format!("/?{query}"));
        for state in [state(&mut peer), state_after(&mut watcher)] {
            assert_eq!(player(&state, &id).get("name").and_then(Value::as_str), name, "{query}");
        }
        drop(peer);
        // Its name is free from then on.
        let is_id = |player: &Value| player["id"] == *id;
        while state(&mut watcher)["players"].as_array().expect("a list").iter().any(is_id) {}
    }
}

#[test]
fn rooms_are_separate_worlds() {
    let server = TestServer::start(&[]);
    let (mut ann, ann_id) = Peer::join(server.addr, "/?room=a");
    let (mut bob, bob_id) = Peer::join(server.addr, "/?room=b&rules=dots");
    let (mut eve, eve_id) = Peer::join(server.addr, "/?room=%61&rules=");
    let before = position(&state_after(&mut bob), &bob_id);
    go(&mut ann, "UP");
    assert_eq!(ids(&state_after(&mut ann)), [ann_id.as_str(), &eve_id]);
    assert_eq!(ids(&state_after(&mut eve)), [ann_id.as_str(), &eve_id]);
    let after = state_after(&mut bob);
    assert_eq!((ids(&after), position(&after, &bob_id)), (vec![bob_id.as_str()], before));
    assert_eq!(server.metric("skirmish_rooms"), 2);
}

/// Asserts that the room is full. The handshake succeeds, so that a page can read the reason.
fn assert_full(server: &TestServer, target: &str) {
    let mut peer = Peer::upgrade(server.addr, target);
    let (code, reason) = peer.frame().close();
    assert_eq!(code, Some(4013), "{target}");
    let hint: Value = serde_json::from_str(&reason).expect("a hint in JSON");
    assert!(hint["retry_ms"].as_u64().is_some_and(|ms| (1..=60_000).contains(&ms)), "{reason}");
    assert_eq!(hint.as_object().map(serde_json::Map::len), Some(1), "{reason}");
    peer.expect_end();
}

#[test]
fn a_refused_player_receives_when_to_retry() {
    let server = TestServer::start(&["--room-players-max", "2", "--rooms-max", "2"]);
    let (_ann, _) = Peer::join(server.addr, "/");
    let (bob, _) = Peer::join(server.addr, "/");
    assert_full(&server, "/");
    let _eve = Peer::join(server.addr, "/?room=second");
    assert_full(&server, "/?room=third");
    assert_eq!(server.metric("skirmish_refusals_total{reason=\"full\"}"), 2);
    assert_eq!(server.metric("skirmish_players"), 3);
    drop(bob);
    server.until_metric("skirmish_players", 2);
    let (_bob, id) = Peer::join(server.addr, "/");
    assert_eq!(id, "4", "refused players got no number");
}

#[test]
fn a_player_without_a_room_name_gets_one_in_every_dialect() {
    let server = TestServer::start(&["--rooms-max", "1"]);
    let _ann = Peer::join(server.addr, "/?room=second");
    assert_full(&server, "/?room=third");
    for room in ["dots", "battle"] {
        let _bob = Peer::join(server.addr, &format!("/?room={room}"));
    }
}

#[test]
fn full_state_rooms_have_their_own_limit() {
    let server = TestServer::start(&["--full-state-players-max", "1"]);
    let _ann = Peer::join(server.addr, "/");
    assert_full(&server, "/");
    let _bob = Peer::join(server.addr, "/?room=other");
}

#[test]
fn with_closed_rooms_only_listed_rooms_exist() {
    let flags = ["--rooms-open", "false", "--room", "lobby=dots", "--room", "den=dots"];
    let server = TestServer::start(&flags);
    let (mut ann, id) = Peer::join(server.addr, "/?room=lobby");
    assert_eq!(ids(&state(&mut ann)), [id.as_str()]);
    let _bob = Peer::join(server.addr, "/?room=den");
    for target in ["/?room=other", "/?room=dots&rules=dots"] {
        let mut peer = Peer::upgrade(server.addr, target);
        let (code, reason) = peer.frame().close();
        assert_eq!((code, reason.as_str()), (Some(1008), "This server has no such room."));
        peer.expect_end();
    }
    assert_eq!(server.metric("skirmish_refusals_total{reason=\"no_room\"}"), 2);
    let mut eve = Peer::upgrade(server.addr, "/");
    assert!(eve.frame().text().contains(r#""room":"lobby""#), "the first room is the default");
    assert_eq!(server.metric("skirmish_rooms"), 2);
}

#[test]
fn an_attack_without_combat_is_ignored() {
    let server = TestServer::start(&[]);
    let (mut peer, id) = Peer::join(server.addr, "/");
    let before = position(&state(&mut peer), &id);
    (0..60).for_each(|_| peer.send_text(r#"{"type":"attack"}"#));
    peer.send_text(r#"{"type":"ping","t":1}"#);
    peer.until_text(&["pong"]);
    assert_eq!(position(&state_after(&mut peer), &id), before);
    assert_eq!(server.metric("skirmish_drops_total{reason=\"unknown\"}"), 0);
}

#[test]
fn a_player_that_leaves_is_removed_however_it_leaves() {
    let server = TestServer::start(&[]);
    let (mut watcher, own) = Peer::join(server.addr, "/");
    for way in ["a close frame", "a hang-up", "a reset", "a violation", "a half-close"] {
        let (mut peer, id) = Peer::join(server.addr, "/");
        watcher.until_text(&["state_update", &format!("\"id\":\"{id}\"")]);
        let mut kept = None;
        match way {
            "a hang-up" => drop(peer),
            "a reset" => peer.reset(),
            _ => {
                match way {
                    "a close frame" => peer.send_frame(0x88, &1000u16.to_be_bytes()),
                    "a violation" => peer.send_frame(0x83, b""),
                    _ => peer.stream.shutdown(Shutdown::Write).expect("it is open"),
                }
                kept = Some(peer);
            }
        }
        until(way, || (ids(&state(&mut watcher)) == [own.as_str()]).then_some(()));
        drop(kept);
    }
    server.until_metric("skirmish_players", 1);
    server.until_metric("skirmish_connections", 2);
}

#[test]
fn unknown_messages_are_counted_and_ignored() {
    let mut server = TestServer::start(&[]);
    let (mut peer, id) = Peer::join(server.addr, "/");
    let before = position(&state_after(&mut peer), &id);
    let deep = "[".repeat(2_000);
    let garbage = [
        "",
        "hello",
        "{",
        "\u{0}",
        "{\"type\":\"move\",\"direction\":\"UP\"",
        "{\"type\":\"move\",\"direction\":\"UP\"}}",
        "{\"type\":\"move\",\"direction\":\"UP\",}",
        "{type:\"move\",direction:\"UP\"}",
        "{'type':'move','direction':'UP'}",
        "{\"type\":\"move\",\"direction\":\"UP\"}{\"type\":\"move\",\"direction\":\"UP\"}",
        "\u{feff}{\"type\":\"move\",\"direction\":\"UP\"}",
        "NaN",
        &deep,
        "<script>\n\u{1b}[31m",
    ];
    let unknown = [
        "1",
        "null",
        "[]",
        "\"move\"",
        "{}",
        "[\"move\",\"UP\"]",
        "{\"type\":null}",
        "{\"type\":\"fly\"}",
        "{\"type\":\"constructor\"}",
        "{\"type\":\"MOVE\",\"direction\":\"UP\"}",
        "{\"type\":\"move\"}",
        "{\"type\":\"move\",\"direction\":\"up\"}",
        "{\"type\":\"move\",\"direction\":\"SIDEWAYS\"}",
        "{\"type\":\"move\",\"direction\":[\"UP\"]}",
        "{\"type\":\"move\",\"direction\":1e400}",
        "{\"type\":\"move\",\"x\":1,\"y\":1}",
        "{\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"t\":{}}",
        "{\"type\":\"rate\",\"hz\":1000}",
        "{\"type\":\"init\",\"id\":\"1\"}",
    ];
    garbage.iter().for_each(|text| peer.send_text(text));
    unknown.iter().for_each(|text| peer.send_text(text));
    peer.send_frame(0x82, b"\xff\xfe\x00");
    let after = state_after(&mut peer);
    assert_eq!(position(&after, &id), before, "no player moved");
    let drops =
        |reason: &str| server.metric(&format!("skirmish_drops_total{{reason=\"{reason}\"}}"));
    assert_eq!(drops("invalid_json"), garbage.len() as u64 + 1);
    assert_eq!(drops("unknown"), unknown.len() as u64);
    assert_eq!(drops("rate"), 0);
    server.until_logged("not valid JSON");
    let warned: Vec<_> =
        server.log().iter().filter(|line| line.contains("not valid JSON")).collect();
    assert!(warned.len() <= 6, "at a bounded rate: {warned:?}");
    let is_plain = |line: &&String| line.contains("player=1") && !line.contains('\u{1b}');
    assert!(warned.iter().all(is_plain), "{warned:?}");
}

#[test]
fn json_is_accepted_in_any_form_and_in_binary_frames() {
    let server = TestServer::start(&[]);
    let (mut peer, id) = Peer::join(server.addr, "/");
    let mut at = position(&state_after(&mut peer), &id);
    for text in [
        r#"{"type":"move","direction":"RIGHT"}"#,
        r#" { "direction" : "RIGHT" , "type" : "move" } "#,
        "\r\n\t{\"type\":\"move\",\"direction\":\"RIGHT\"}\n",
        r#"{"type":"move","direction":"RIGHT","x":9e9,"y":[{}],"player":"1"}"#,
        r#"{"t\u0079pe":"mo\u0076e","direction":"RIG\u0048T"}"#,
    ] {
        for first in [0x81, 0x82] {
            peer.send_frame(first, text.as_bytes());
            go(&mut peer, "DOWN");
            go(&mut peer, "UP");
            let now = position(&state_after(&mut peer), &id);
            assert_eq!(now, ((at.0 + 10).min(490), at.1), "{text}");
            at = now;
        }
        // Each round takes three moves; credit grows by one per tick.
        (0..4).for_each(|_| drop(state(&mut peer)));
    }
}
