//! The battle game in the JSON dialect (docs/protocol.md, "Rooms and players").

use serde_json::{Value, json};

use crate::harness::{Peer, TestServer, masked, until};
use crate::states::{go, ids, player, state, state_after, step, tick};

const ATTACK: &str = r#"{"type":"attack"}"#;
const HP: i64 = 100;

/// A player in `/ws?room=battle`.
fn join(server: &TestServer) -> (Peer, String) {
    Peer::join(server.addr, "/ws?room=battle")
}

fn position(state: &Value, id: &str) -> (i64, i64) {
    let at = |axis: &str| player(state, id)[axis].as_i64().expect("a whole number");
    let at = (at("x"), at("y"));
    assert!((0..=100).contains(&at.0) && (0..=100).contains(&at.1), "outside: {at:?}");
    at
}

fn combat_of(state: &Value, id: &str) -> (i64, i64, i64, i64) {
    let field = |name: &str| player(state, id)[name].as_i64().expect("a whole number");
    (field("hp"), field("kills"), field("deaths"), field("respawn_ms"))
}

fn hp(state: &Value, id: &str) -> i64 {
    combat_of(state, id).0
}

type Walker<'a> = (&'a mut Peer, &'a str, (i64, i64));

/// Walks all players to positions whose x and y are multiples of 5, at the same time. They go to
/// the corner first: steps are 5 units and the spawn position is random.
fn walk(walkers: &mut [Walker]) {
    let mut have_been_in_corner = vec![false; walkers.len()];
    until("every player is at its position", || {
        let seen = state_after(walkers[0].0);
        for ((peer, id, to), has_been_in_corner) in walkers.iter_mut().zip(&mut have_been_in_corner)
        {
            let at = position(&seen, id);
            *has_been_in_corner |= at == (0, 0);
            let goal = if *has_been_in_corner { *to } else { (0, 0) };
            match (goal.0 - at.0, goal.1 - at.1) {
                (0, 0) => {}
                (0, y) => go(peer, if y > 0 { "DOWN" } else { "UP" }),
                (x, _) => go(peer, if x > 0 { "RIGHT" } else { "LEFT" }),
            }
        }
        let are_there = |walkers: &[Walker], state: &Value| {
            walkers.iter().all(|(_, id, to)| position(state, id) == *to)
        };
        if !are_there(walkers, &seen) || have_been_in_corner.contains(&false) {
            return None;
        }
        // A step of another player may still be in flight.
        let last = walkers.iter_mut().map(|(peer, ..)| state_after(peer)).last()?;
        are_there(walkers, &last).then_some(())
    });
}

fn two_in_a_corner(server: &TestServer) -> [(Peer, String); 2] {
    let (mut ann, mut ben) = (join(server), join(server));
    walk(&mut [(&mut ann.0, &ann.1, (0, 0)), (&mut ben.0, &ben.1, (0, 0))]);
    [ann, ben]
}

/// Attacks until `victim` has `left` hp, and returns the first state that shows it.
fn attack_until(peer: &mut Peer, victim: &str, left: i64) -> Value {
    until("the victim has that much hp left", || {
        // Only the server knows whether the cooldown is over.
        peer.send_text(ATTACK);
        let state = state_after(peer);
        let hp = hp(&state, victim);
        assert!(hp >= left && hp % 10 == 0, "{hp} hp, expected {left} or more");
        (hp == left).then_some(state)
    })
}

#[test]
fn a_new_player_has_full_hp_and_a_random_position() {
    let server = TestServer::start(&[]);
    let (mut ann, ann_id) = Peer::join(server.addr, "/ws?room=battle&name=Ann");
    let (_ben, ben_id) = join(&server);
    let text = ann.until_text(&["state_update", &format!("\"id\":\"{ben_id}\"")]);
    let unhurt = r#","hp":100,"kills":0,"deaths":0,"respawn_ms":0,"attack_tick":0,"facing":"DOWN""#;
    assert!(text.contains(&format!("{unhurt},\"name\":\"Ann\"}}")), "{text}");
    assert!(text.contains(&format!("{unhurt}}}]")), "{text}");
    let state: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(ids(&state), [ann_id.as_str(), &ben_id]);
    for id in [&ann_id, &ben_id] {
        position(&state, id);
        assert_eq!(combat_of(&state, id), (HP, 0, 0, 0));
    }
}

#[test]
fn a_room_is_a_battle_by_name_or_by_query() {
    let server = TestServer::start(&["--room", "lobby=battle"]);
    let mut peers = Vec::new();
    for (target, rules) in [
        ("/", "dots"),
        ("/?room=other", "dots"),
        // The default room's game cannot be changed.
        ("/?room=battle&rules=dots", "battle"),
        ("/?room=dots&rules=battle", "dots"),
        ("/?rules=battle", "battle"),
        ("/?room=battle", "battle"),
        ("/?room=battle-of-ann", "battle"),
        ("/?room=arena&rules=battle", "battle"),
        ("/?room=arena&rules=dots", "battle"),
        ("/?room=battle-without&rules=dots", "dots"),
        ("/?room=lobby", "battle"),
    ] {
        let mut peer = Peer::upgrade(server.addr, target);
        let init: Value = serde_json::from_str(peer.frame().text()).expect("JSON");
        assert_eq!(init["rules"], rules, "{target}");
        let state = state(&mut peer);
        let player = player(&state, init["id"].as_str().expect("a string"));
        assert_eq!(player.get("hp"), (rules == "battle").then_some(&json!(100)), "{target}");
        // A later player finds the room as it is.
        peers.push(peer);
    }
    let answer = server.ask("GET /?room=a&rules=chess", UPGRADE);
    assert_eq!((answer.status, answer.text().contains("dots, battle")), (400, true), "{answer:?}");
}

#[test]
fn world_is_a_battle_without_rounds_on_a_map_of_any_size() {
    let server = TestServer::start(&["--map", "100x100", "--room", "tiny=world"]);
    let mut ann = Peer::upgrade(server.addr, "/?room=world-of-ann&name=Ann");
    let init: Value = serde_json::from_str(ann.frame().text()).expect("JSON");
    let data = &init["rules_data"];
    assert_eq!((&init["rules"], &data["map"]), (&json!("world"), &json!([0, 0, 100, 100])));
    assert_eq!((&data["walls"], &data["step"]), (&json!([10, 10, 90, 90]), &json!(10)));
    assert_eq!((&data["reach"], &data["round_ms"]), (&json!(40), &Value::Null));
    let ann_id = init["id"].as_str().expect("a string").to_owned();
    let (mut ben, ben_id) = Peer::join(server.addr, "/?room=world-of-ann");
    let places = |state: &Value| {
        [&ann_id, &ben_id]
            .map(|id| [&player(state, id)["x"], &player(state, id)["y"]].map(Value::as_i64))
    };
    until("both are in one corner", || {
        for (peer, ways) in [(&mut ann, ["UP", "LEFT"]), (&mut ben, ["UP", "LEFT"])] {
            ways.into_iter().for_each(|way| go(peer, way));
        }
        (places(&state_after(&mut ann)) == [[Some(10); 2]; 2]).then_some(())
    });
    let state = attack_until(&mut ann, &ben_id, 70);
    assert_eq!(state.get("room"), None, "no rounds");
    let rooms = server.ask("GET /rooms", "");
    let row = r#"{"name":"world-of-ann","rules":"world","players":2,"bots":0,"cap":65535}"#;
    assert!(rooms.text().contains(row), "{rooms:?}");
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn a_step_is_five_units_and_stops_at_walls() {
    let server = TestServer::start(&[]);
    let (mut peer, id) = join(&server);
    walk(&mut [(&mut peer, &id, (50, 50))]);
    let mut at = (50, 50);
    for (direction, dx, dy) in [("UP", 0, -5), ("DOWN", 0, 5), ("LEFT", -5, 0), ("RIGHT", 5, 0)] {
        go(&mut peer, direction);
        at = (at.0 + dx, at.1 + dy);
        assert_eq!(position(&state_after(&mut peer), &id), at, "{direction}");
    }
    for (direction, there) in [("RIGHT", (100, 50)), ("DOWN", (100, 100)), ("LEFT", (0, 100))] {
        let mut is_there = || {
            go(&mut peer, direction);
            position(&state(&mut peer), &id) == there
        };
        until("it is at the wall", || is_there().then_some(()));
        (0..5).for_each(|_| assert!(is_there(), "{direction}"));
        assert_eq!(position(&state_after(&mut peer), &id), there, "{direction}");
    }
}

#[test]
fn both_players_see_a_hit_and_ten_hits_kill() {
    let server = TestServer::start(&[]);
    let [(mut ann, ann_id), (mut ben, ben_id)] = two_in_a_corner(&server);
    for left in (0..10).rev().map(|hits| 10 * hits) {
        let seen = attack_until(&mut ann, &ben_id, left);
        let same = until("Ben sees that tick, too", || {
            let state = state(&mut ben);
            (tick(&state) >= tick(&seen)).then_some(state)
        });
        assert_eq!(hp(&same, &ben_id), left);
        assert_eq!(hp(&same, &ann_id), HP, "an attack does not hit the attacker");
        let is_over = i64::from(left == 0);
        let (_, kills, deaths, _) = combat_of(&seen, &ann_id);
        assert_eq!((kills, deaths), (is_over, 0));
        let (_, kills, deaths, respawn_ms) = combat_of(&seen, &ben_id);
        assert_eq!((kills, deaths, respawn_ms > 0), (0, is_over, is_over == 1));
    }
}

// T61
#[test]
fn a_dead_player_does_nothing_until_it_respawns_with_full_hp() {
    let server = TestServer::start(&[]);
    let ((mut ann, ann_id), (mut ben, ben_id)) = (join(&server), join(&server));
    walk(&mut [(&mut ann, &ann_id, (0, 0)), (&mut ben, &ben_id, (5, 5))]);
    attack_until(&mut ann, &ben_id, 0);
    let mut last = until("Ben receives his death", || {
        let state = state(&mut ben);
        (hp(&state, &ben_id) == 0).then_some(state)
    });
    assert!(combat_of(&last, &ben_id).3 <= 2_950, "3 s from the last hit");
    let back = until("Ben respawns", || {
        let was = combat_of(&last, &ben_id);
        assert_eq!((was.0, was.1, was.2), (0, 0, 1), "attacks do not hit a dead player");
        assert_eq!(position(&last, &ben_id), (5, 5));
        // After the respawn these would count.
        if was.3 > 1_000 {
            ben.send_text(ATTACK);
            go(&mut ben, "RIGHT");
            ann.send_text(ATTACK);
        }
        let next = state(&mut ben);
        let waited_ms = 50 * (tick(&next) - tick(&last)) as i64;
        let is_back = hp(&next, &ben_id) > 0;
        assert_eq!(combat_of(&next, &ben_id).3, was.3 - waited_ms);
        last = next;
        is_back.then(|| last.clone())
    });
    assert_eq!(combat_of(&back, &ben_id), (HP, 0, 1, 0));
    assert_eq!(combat_of(&back, &ann_id), (HP, 1, 0, 0), "a dead player does not attack");
    let at = position(&back, &ben_id);
    assert_eq!(position(&state(&mut ben), &ben_id), at, "no move of the dead player was kept");
    walk(&mut [(&mut ben, &ben_id, (5, 0))]);
    attack_until(&mut ben, &ann_id, 90);
}

#[test]
fn an_attack_reaches_ten_units() {
    let server = TestServer::start(&[]);
    let ((mut ann, ann_id), (mut ben, ben_id)) = (join(&server), join(&server));
    for (there, is_hit) in [((35, 20), false), ((25, 30), false), ((30, 20), true)] {
        walk(&mut [(&mut ann, &ann_id, (20, 20)), (&mut ben, &ben_id, there)]);
        let before = hp(&state_after(&mut ann), &ben_id);
        ann.send_text(ATTACK);
        let lost = before - hp(&state_after(&mut ann), &ben_id);
        assert_eq!(lost, if is_hit { 10 } else { 0 }, "at {there:?}");
    }
}

// T61
#[test]
fn a_flood_of_attacks_hits_once_per_250_ms() {
    let server = TestServer::start(&[]);
    let ((mut ann, ann_id), (mut ben, ben_id)) = (join(&server), join(&server));
    walk(&mut [(&mut ann, &ann_id, (0, 0)), (&mut ben, &ben_id, (0, 5))]);
    let flood = masked(0x81, ATTACK.as_bytes()).repeat(20);
    ann.send(&flood);
    let first = state_after(&mut ann);
    assert_eq!(hp(&first, &ben_id), 90);
    // From here on one attack per tick: one in five is a hit.
    let (mut lost_at, mut seen) = (Vec::new(), 90);
    while lost_at.len() < 4 {
        ann.send_text(ATTACK);
        let state = state(&mut ann);
        if hp(&state, &ben_id) < seen {
            assert_eq!(hp(&state, &ben_id), seen - 10);
            seen -= 10;
            lost_at.push(tick(&state));
        }
    }
    assert!(lost_at.windows(2).all(|two| two[1] - two[0] >= 5), "{lost_at:?}");
}

#[test]
fn an_attack_hits_every_player_in_range() {
    let server = TestServer::start(&[]);
    let mut peers: Vec<_> = (0..4).map(|_| join(&server)).collect();
    let mut walkers: Vec<_> = peers
        .iter_mut()
        .zip([0, 5, 10, 15])
        .map(|((peer, id), x)| (peer, id.as_str(), (x, 0)))
        .collect();
    walk(&mut walkers);
    let (ann, _) = &mut peers[0];
    ann.send_text(ATTACK);
    let state = state_after(ann);
    let left: Vec<i64> = peers.iter().map(|(_, id)| hp(&state, id)).collect();
    assert_eq!(left, [100, 90, 90, 100]);
}

#[test]
fn rooms_do_not_fight_each_other_and_dots_do_not_fight() {
    let server = TestServer::start(&[]);
    let [(mut ann, _), (_ben, ben_id)] = two_in_a_corner(&server);
    let (mut far, far_id) = Peer::join(server.addr, "/ws?room=battle-2");
    walk(&mut [(&mut far, &far_id, (0, 0))]);
    attack_until(&mut ann, &ben_id, 80);
    assert_eq!(hp(&state_after(&mut far), &far_id), HP);

    let (mut eve, eve_id) = Peer::join(server.addr, "/");
    let (mut fay, fay_id) = Peer::join(server.addr, "/");
    // Both stand in the corner of a dots room, whose steps are 10 units.
    for peer in [&mut eve, &mut fay] {
        for _ in 0..50 {
            peer.send(
                &[masked(0x81, step("UP").as_bytes()), masked(0x81, step("LEFT").as_bytes())]
                    .concat(),
            );
            state(peer);
        }
    }
    eve.send_text(ATTACK);
    let after = state_after(&mut eve);
    assert_eq!(ids(&after), [eve_id.as_str(), &fay_id]);
    for id in [&eve_id, &fay_id] {
        let fields: Vec<&String> =
            player(&after, id).as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["color", "id", "x", "y"]);
    }
}

#[test]
fn a_killer_may_leave_and_a_rejoin_is_a_new_player() {
    let server = TestServer::start(&[]);
    let [(mut ann, _), (mut ben, ben_id)] = two_in_a_corner(&server);
    attack_until(&mut ann, &ben_id, 0);
    drop(ann);
    let alone = until("Ann has left", || {
        let state = state(&mut ben);
        (ids(&state) == [ben_id.as_str()]).then_some(state)
    });
    assert_eq!(combat_of(&alone, &ben_id).2, 1);
    let (mut ann, ann_id) = join(&server);
    assert_eq!(combat_of(&state_after(&mut ann), &ann_id), (HP, 0, 0, 0));
}
