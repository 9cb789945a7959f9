//! Battle over Socket.IO (docs/protocol.md, "The Socket.IO dialect"), over each transport.

use std::io::Write;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Peer, TestServer, masked, until};
use crate::polling_client::{get, text};
use crate::states::{player, state_after};

pub mod player;

use player::{ATTACK, Clock, Link, SocketIoPlayer, TRANSPORTS, Transport, open, place};

/// A player that has received the player list.
fn join_settled(server: &TestServer, transport: Transport, room: &str) -> (SocketIoPlayer, String) {
    let (mut player, id) = SocketIoPlayer::join(server, transport, &json!({ "room": room }));
    assert_eq!(player.until_event("player_moved")["id"], *id, "its own position comes last");
    (player, id)
}

/// Ann and Ben at the same position.
fn two_together(
    server: &TestServer,
    transport: Transport,
    room: &str,
    clock: &mut Clock,
) -> [(SocketIoPlayer, String); 2] {
    let mut ann = join_settled(server, transport, room);
    let mut ben = join_settled(server, transport, room);
    ann.0.walk((50, 50), clock);
    ben.0.walk((50, 50), clock);
    [ann, ben]
}

#[test]
fn a_new_player_gets_the_player_list_and_is_announced() {
    let server = TestServer::start(&[]);
    for transport in TRANSPORTS {
        let auth = json!({"room": format!("battle-{transport:?}").to_lowercase(), "name": "Ann"});
        let (mut ann, ann_id) = SocketIoPlayer::join(&server, transport, &auth);
        let (event, own) = ann.event();
        assert_eq!((event.as_str(), &own["id"]), ("player_moved", &json!(ann_id)));
        assert_eq!(own["position"]["hp"], 100);
        let description = own["position"].clone();
        let auth = json!({"room": auth["room"]});
        let (mut ben, ben_id) = SocketIoPlayer::join(&server, transport, &auth);
        let (event, there) = ben.event();
        assert_eq!((event.as_str(), &there["id"]), ("new_player", &json!(ann_id)));
        let position = &there["position"];
        assert_eq!(place(position), place(&own["position"]));
        let combat_of = ["hp", "kills", "deaths", "name"].map(|field| position[field].clone());
        assert_eq!(combat_of, [json!(100), json!(0), json!(0), json!("Ann")]);
        assert_eq!(*position, description, "Ann herself has received the same");
        let color = position["color"].as_str().expect("a string");
        assert!(color.len() == 7 && color.starts_with('#'));
        let (event, own) = ben.event();
        assert_eq!((event.as_str(), &own["id"]), ("player_moved", &json!(ben_id)));
        assert_eq!(own["position"]["name"], format!("Player {ben_id}"));
        let (event, new) = ann.event();
        assert_eq!((event.as_str(), &new["id"]), ("new_player", &json!(ben_id)));
        assert_eq!(place(&new["position"]), place(&own["position"]));
        assert_eq!(new["position"]["name"], format!("Player {ben_id}"));
        // A player that leaves is removed for the others, and rejoins with a new number.
        ben.send("41");
        assert_eq!(ann.until_event("player_left"), json!({ "id": ben_id }));
        let again = ben.connect(&auth);
        assert_ne!(again, ben_id);
        assert_eq!(ann.until_event("new_player")["id"], *again);
    }
}

#[test]
fn four_steps_of_five_are_twenty() {
    let server = TestServer::start(&[]);
    let mut clock = Clock::start(&server);
    for transport in TRANSPORTS {
        let room = format!("battle-{transport:?}").to_lowercase();
        let (mut ann, ann_id) = join_settled(&server, transport, &room);
        ann.walk((40, 40), &mut clock);
        let (mut ben, _) = join_settled(&server, transport, &room);
        let places: Vec<_> = (1..=4).map(|step| ann.go((40 + 5 * step, 40))).collect();
        assert_eq!(places.last(), Some(&(60, 40)), "{places:?}");
        until("Ben receives the position", || {
            let moved = ben.until_event("player_moved");
            assert_eq!(moved["id"], *ann_id);
            (place(&moved["position"]) == (60, 40)).then_some(())
        });
    }
}

// T57
#[test]
fn a_requested_position_is_limited_to_one_step() {
    let server = TestServer::start(&[]);
    let (mut ann, _) = join_settled(&server, Transport::WebSocket, "battle");
    let mut clock = Clock::start(&server);
    ann.walk((50, 50), &mut clock);
    assert_eq!(ann.go((1000, -1000)), (55, 45), "one step in x and in y");
    assert_eq!(ann.go((57, 44)), (57, 44));
    for wrong in [
        r#"["move"]"#,
        r#"["move",{}]"#,
        r#"["move",{"x":1}]"#,
        r#"["move",{"x":"NaN","y":1}]"#,
        r#"["move",{"x":1e400,"y":1}]"#,
        r#"["move",[1,2]]"#,
    ] {
        assert_eq!(ann.ask(wrong), json!({"ok": false, "error": "bad_position"}), "{wrong}");
    }
    assert_eq!(ann.ask(r#"["fly",{}]"#), json!({"ok": false, "error": "unknown_event"}));
    assert_eq!(ann.ask("[7]"), json!({"ok": false, "error": "unknown_event"}));
    assert_eq!(ann.ask(r#"["rate",{"hz":0}]"#), json!({"ok": false, "error": "unknown_event"}));
    assert_eq!(ann.ask(r#"["rate",{"hz":20}]"#), json!({"ok": true}));
    assert_eq!(ann.ask(r#"["ping"]"#)["ok"], true);
    assert_eq!(ann.go((57, 44)), (57, 44), "binary data does not move a player");
    ann.walk((0, 100), &mut clock);
    assert_eq!(ann.go((-5, 105)), (0, 100), "stops at the walls");
}

#[test]
fn players_of_one_name_get_numbers() {
    let server = TestServer::start(&[]);
    let auth = json!({"room": "battle-names", "name": "Ann"});
    let mut names = Vec::new();
    let mut players = Vec::new();
    for transport in TRANSPORTS {
        let (mut player, id) = SocketIoPlayer::join(&server, transport, &auth);
        let own = loop {
            let (event, data) = player.event();
            if event == "player_moved" && data["id"] == *id {
                break data;
            }
        };
        names.push(own["position"]["name"].clone());
        players.push(player);
    }
    let (mut json_player, _) = Peer::join(server.addr, "/?room=battle-names&name=ann");
    let state = state_after(&mut json_player);
    let seen = state["players"].as_array().expect("a list").iter();
    let seen: Vec<_> = seen.map(|player| player["name"].clone()).collect();
    assert_eq!(&seen[..names.len()], names);
    assert_eq!(seen[0], "Ann");
    assert_eq!(
        seen[1..],
        (2..)
            .take(seen.len() - 1)
            .map(|n| {
                json!(if n == seen.len() { format!("ann {n}") } else { format!("Ann {n}") })
            })
            .collect::<Vec<_>>()
    );
}

#[test]
fn binary_data_is_answered_and_nothing_closes() {
    let server = TestServer::start(&[]);
    let (mut ann, _) = join_settled(&server, Transport::WebSocket, "battle");
    ann.send(r#"451-9["move",{"_placeholder":true,"num":0}]"#);
    let Link::WebSocket(peer) = &mut ann.link else { panic!("a WebSocket") };
    peer.send_frame(0x82, b"bytes");
    assert_eq!(ann.packet(), r#"439[{"ok":false,"error":"binary"}]"#);
    assert_eq!(ann.ask(r#"["ping"]"#)["ok"], true);
}

#[test]
fn ten_hits_kill_and_the_player_respawns() {
    let server = TestServer::start(&[]);
    let mut clock = Clock::start(&server);
    for transport in TRANSPORTS {
        let room = format!("battle-{transport:?}").to_lowercase();
        let [(mut ann, ann_id), (mut ben, ben_id)] =
            two_together(&server, transport, &room, &mut clock);
        let (mut cleo, _) = join_settled(&server, Transport::WebSocket, &room);
        for left in (0..10).rev() {
            ann.attack(&mut clock);
            let hit = json!({"id": ben_id, "hp": 10 * left});
            assert_eq!(ben.until_about("player_attacked", &ben_id), hit);
            assert_eq!(cleo.until_about("player_attacked", &ben_id), hit);
        }
        let kill = json!({"id": ben_id, "by": ann_id, "respawn_ms": 3000});
        assert_eq!(cleo.event(), ("player_killed".to_owned(), kill), "right after the hit");
        let dead = json!({"ok": false, "error": "dead"});
        assert_eq!(ben.ask(ATTACK), dead);
        assert_eq!(ben.ask(r#"["move",{"x":0,"y":0}]"#), dead);
        let back = cleo.until_about("player_respawned", &ben_id);
        let position = &back["position"];
        let combat_of = ["hp", "kills", "deaths"].map(|field| position[field].as_i64());
        assert_eq!(combat_of, [Some(100), Some(0), Some(1)]);
        let moved = cleo.until_about("player_moved", &ben_id);
        assert_eq!(place(&moved["position"]), place(position));
        let (mut dora, _) = SocketIoPlayer::join(&server, transport, &json!({ "room": room }));
        let kills = dora.event().1["position"]["kills"].as_i64();
        assert!(kills >= Some(1), "Ann has a kill");
        until("Ben receives positions again", || {
            clock.ticks(1);
            (ben.ask(ATTACK)["ok"] == true).then_some(())
        });
    }
}

// T69
#[test]
fn players_of_both_dialects_share_a_room() {
    let server = TestServer::start(&[]);
    let (mut ann, ann_id) = join_settled(&server, Transport::WebSocket, "battle");
    let (mut json_peer, json_id) = Peer::join(server.addr, "/ws?room=battle&name=Jay");
    let new = ann.until_event("new_player");
    assert_eq!((&new["id"], &new["position"]["name"]), (&json!(json_id), &json!("Jay")));
    let (mut ben, _) = SocketIoPlayer::join(&server, Transport::Polling, &json!({}));
    let there: Vec<Value> = (0..2).map(|_| ben.until_event("new_player")["id"].clone()).collect();
    assert_eq!(there, [json!(ann_id), json!(json_id)]);
    until("both are at the same position", || {
        // The state takes a tick.
        let state = state_after(&mut json_peer);
        let to = place(player(&state, &json_id));
        (ann.go(to) == to).then_some(())
    });
    ann.attack(&mut Clock::start(&server));
    let state = state_after(&mut json_peer);
    assert_eq!(player(&state, &json_id)["hp"], 90);
    json_peer.send_text(r#"{"type":"attack"}"#);
    let hit = json!({"id": ann_id, "hp": 90});
    until("Ann is hit", || (ben.until_event("player_attacked") == hit).then_some(()));
    drop(json_peer);
    assert_eq!(ann.until_event("player_left"), json!({ "id": json_id }));
}

#[test]
fn dots_works_over_socketio() {
    let server = TestServer::start(&[]);
    let (mut ann, _) = join_settled(&server, Transport::WebSocket, "dots");
    assert_eq!(ann.ask(ATTACK), json!({"ok": false, "error": "no_combat"}));
    let here = ann.go((1000, 1000));
    let there = ann.go((0, 0));
    assert_eq!((here.0 - there.0, here.1 - there.1), (10, 10));
}

#[test]
fn a_room_is_named_by_query_or_by_auth() {
    let server = TestServer::start(&["--room", "lobby=battle", "--rooms-open", "false"]);
    let rooms = || server.ask("GET /rooms", "").text();
    let mut by_query = SocketIoPlayer::dial(&server, Transport::Polling, "&room=lobby&name=Ann");
    by_query.connect(&json!({}));
    let (mut by_auth, _) =
        SocketIoPlayer::join(&server, Transport::WebSocket, &json!({"room": "lobby"}));
    assert_eq!(by_auth.event().1["position"]["name"], "Ann");
    assert!(rooms().contains(r#""name":"lobby","rules":"battle","players":2"#), "{}", rooms());
    // An invalid connect is refused, and the client may try again.
    let refused = |auth: &str| format!("44{{\"message\":\"{auth}\"}}");
    let mut other = SocketIoPlayer::dial(&server, Transport::WebSocket, "");
    for (auth, sentence) in [
        (r#"{"room":"No Room"}"#, "Invalid room name: use 1 to 32 of a-z 0-9 _ -."),
        (r#"{"rules":"chess"}"#, "Unknown rules. Available: dots, battle, world."),
        (r#"{"room":"elsewhere"}"#, "This server has no such room."),
        (r#"{"room":7}"#, "This server has no such room."),
        (r#"{"room":["lobby"]}"#, "Invalid room name: use 1 to 32 of a-z 0-9 _ -."),
    ] {
        other.send(&format!("40{auth}"));
        assert_eq!(other.packet(), refused(sentence));
    }
    other.send("40/custom");
    assert_eq!(other.packet(), r#"44/custom,{"message":"Invalid namespace"}"#);
    other.connect(&json!({"room": null}));
    for query in ["room=No%20Room", "rules=chess"] {
        let answer = get(server.addr, &format!("/socket.io/?EIO=4&transport=polling&{query}"));
        assert_eq!(answer.status, 400);
        assert!(answer.text().starts_with(r#"{"code":3,"message":""#), "{answer:?}");
    }
}

#[test]
fn a_full_room_says_when_to_retry() {
    let server = TestServer::start(&["--room-players-max", "1"]);
    let (_ann, _) = join_settled(&server, Transport::Polling, "battle");
    for transport in TRANSPORTS {
        let mut ben = SocketIoPlayer::dial(&server, transport, "");
        ben.send("40");
        let refusal = ben.packet();
        let refusal: Value = serde_json::from_str(&refusal[2..]).expect("JSON");
        assert_eq!(refusal["message"], "full");
        assert!(refusal["data"]["retry_ms"].as_u64().is_some_and(|ms| ms >= 500));
        ben.connect(&json!({"room": format!("battle-{transport:?}").to_lowercase()}));
    }
}

#[test]
fn a_full_server_says_when_to_retry() {
    let server = TestServer::start(&["--connections-max", "2"]);
    let (ann, _) = join_settled(&server, Transport::WebSocket, "battle");
    let _ben = Peer::join(server.addr, "/?room=battle");
    for transport in TRANSPORTS {
        let mut eve = SocketIoPlayer::dial(&server, transport, "");
        eve.send("40");
        let refusal = eve.packet();
        let refusal: Value = serde_json::from_str(&refusal[2..]).expect("JSON");
        assert_eq!(refusal["message"], "full", "{transport:?}");
        assert!(refusal["data"]["retry_ms"].as_u64().is_some_and(|ms| ms >= 500));
        // A refused client must not hold its connection.
        eve.expect_end(Some(1013));
    }
    drop(ann);
    server.until_metric("skirmish_players", 1);
    join_settled(&server, Transport::WebSocket, "battle");
}

#[test]
fn a_player_that_left_has_the_full_timeout_to_rejoin() {
    let server = TestServer::start(&["--connect-timeout-ms", "2000"]);
    let leavers = TRANSPORTS.map(|transport| {
        let (mut leaver, _) = SocketIoPlayer::join(&server, transport, &json!({}));
        ["41", "40", "41"].into_iter().for_each(|packet| leaver.send(packet));
        leaver
    });
    server.until_metric("skirmish_players", 0);
    for mut leaver in leavers {
        leaver.expect_end(None);
    }
}

#[test]
fn a_client_that_rejoins_too_fast_is_disconnected() {
    let server = TestServer::start(&[]);
    let (mut ann, _) = join_settled(&server, Transport::WebSocket, "battle");
    for _ in 0..8 {
        ann.send("41");
        ann.send("40");
    }
    ann.expect_end(Some(4029));
    server.until_metric("skirmish_players", 0);
}

#[test]
fn a_flood_is_answered_and_then_ended() {
    let server = TestServer::start(&[]);
    for transport in TRANSPORTS {
        let (mut ann, _) = join_settled(&server, transport, "battle");
        let flood: Vec<String> = (0..100).map(|id| format!("42{id}[\"ping\"]")).collect();
        // All in one write, so that no credit accrues between them.
        let frames: Vec<u8> =
            flood.iter().flat_map(|packet| masked(0x81, packet.as_bytes())).collect();
        match &mut ann.link {
            Link::Polling(client) => {
                assert_eq!(client.post(&flood.join("\x1e")).status, 200);
            }
            Link::WebSocket(peer) => peer.send(&frames),
        }
        let mut answers = Vec::new();
        while answers.len() < flood.len() {
            let packet = ann.packet();
            answers.extend(packet.starts_with("43").then_some(packet));
        }
        for (id, answer) in answers.iter().enumerate() {
            assert!(answer.starts_with(&format!("43{id}[{{\"ok\":")), "each event is acknowledged");
        }
        assert!(
            answers.last().is_some_and(|last| last.ends_with(r#"[{"ok":false,"error":"rate"}]"#))
        );
        // Repeats until the server ends the session.
        until("the session is closed", || match &mut ann.link {
            Link::Polling(client) => {
                let answer = client.post(&flood.join("\x1e"));
                (answer.status == 400 || server.metric("skirmish_players") == 0).then_some(())
            }
            Link::WebSocket(peer) => {
                let _ = peer.stream.write_all(&frames);
                (server.metric("skirmish_players") == 0).then_some(())
            }
        });
        server.until_metric("skirmish_players", 0);
        server.until_metric("skirmish_engine_sessions", 0);
    }
}

#[test]
fn an_idle_socketio_player_is_disconnected_if_configured() {
    let server = TestServer::start(&["--idle-kick-s", "1"]);
    for transport in TRANSPORTS {
        let (mut ann, _) = join_settled(&server, transport, "battle");
        ann.expect_end(Some(4000));
    }
}

// T47
#[test]
fn every_player_is_notified_of_a_restart() {
    for transport in TRANSPORTS {
        let mut server = TestServer::start(&[]);
        let (mut ann, _) = join_settled(&server, transport, "battle");
        let idle = open(&server, "");
        let waiting = match &ann.link {
            Link::Polling(client) => Some(client.begin_poll()),
            Link::WebSocket(_) => None,
        };
        if waiting.is_some() {
            server.until_metric("skirmish_polls_held", 1);
        }
        server.signal(Signal::TERM);
        match (waiting, &mut ann.link) {
            (Some(mut poll), _) => assert_eq!(text(&poll.answer(true)), (200, "1".into())),
            (None, Link::WebSocket(peer)) => {
                let (code, hint) = peer.until_close();
                assert_eq!(code, Some(1012));
                assert!(hint.starts_with("{\"retry_ms\":"), "{hint}");
            }
            (None, Link::Polling(_)) => panic!("no poll is waiting"),
        }
        drop(idle);
        assert_eq!(server.exit().code(), Some(0));
    }
}
