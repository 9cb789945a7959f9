//! Games from outside the crate (docs/your-own-game.md): the example over real sockets and over a
//! virtual clock, and a game that is numbers only.

use serde_json::{Value, json};
use skirmish::game::{BATTLE, Command, PlayerId, Rules, World};
use skirmish::server::ConnId;
use skirmish::ws::frame;

use crate::harness::{Peer, TestServer, until};
use crate::sim::fixture::{self, Fixture, REMOTE, handshake, text};
use crate::socketio_battle::player::{SocketIoPlayer, TRANSPORTS};
use crate::states::{player, state, state_after, step};

#[path = "../../examples/tag.rs"]
#[allow(dead_code, reason = "`main` of the example is not called")]
mod tag;

use tag::TAG;

#[rustfmt::skip]
static DUEL: Rules = Rules {
    name: "duel",
    numbers: &[
        ("hp", 30), ("reach", 15), ("damage", 10), ("cooldown_ms", 500), ("respawn_ms", 5_000),
        ("heal_after_ms", 10_000), ("heal_every_ms", 1_000),
        ("round_ms", 600_000), ("round_kills", 3), ("result_ms", 5_000),
    ],
    ..BATTLE
};

/// One step towards a place.
fn step_towards(peer: &mut Peer, from: (i64, i64), to: (i64, i64)) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    peer.send_text(&step(match dx.abs() > dy.abs() {
        true if dx > 0 => "RIGHT",
        true => "LEFT",
        false if dy > 0 => "DOWN",
        false => "UP",
    }));
}

fn position(state: &Value, id: &str) -> (i64, i64) {
    let at = |axis: &str| player(state, id)[axis].as_i64().expect("a number");
    (at("x"), at("y"))
}

#[test]
fn the_example_plays_over_both_dialects() {
    let game = TestServer::start_example("tag");
    for transport in TRANSPORTS {
        let room = format!("tag-{transport:?}").to_lowercase();
        let mut ann = Peer::upgrade(game.addr, &format!("/ws?room={room}&name=Ann"));
        let init: Value = serde_json::from_str(ann.frame().text()).expect("JSON");
        assert_eq!((&init["rules"], &init["rules_data"]["reach"]), (&json!("tag"), &json!(12)));
        let ann_id = init["id"].as_str().expect("a string").to_owned();
        assert_eq!(ann.frame().text(), r#"{"type":"own","dashes":3}"#);
        let alone = state_after(&mut ann);
        assert_eq!(alone["room"]["it"].to_string(), ann_id, "she is the only one");

        let (mut ben, ben_id) = SocketIoPlayer::join(&game, transport, &json!({ "room": room }));
        assert_eq!((&ben.rules["name"], &ben.rules["dash"]), (&json!("tag"), &json!(40)));
        let there = ben.until_event("new_player");
        assert_eq!((&there["id"], &there["position"]["name"]), (&json!(ann_id), &json!("Ann")));
        assert!(there["position"]["score"].is_u64() && there["position"]["safe_ticks"].is_null());
        assert_eq!(ben.until_event("room")["it"].to_string(), ann_id);
        assert_eq!(ben.until_event("own"), json!({"dashes": 3}));

        // A dash is a command of the game, in both dialects.
        assert_eq!(ben.ask(r#"["dash",{"x":10}]"#)["error"], "unknown_event");
        for left in (0..3).rev() {
            assert_eq!(ben.ask(r#"["dash",{"x":150,"y":150}]"#), json!({"ok": true}));
            if left == 0 {
                assert_eq!(ben.ask(r#"["dash",{"x":1,"y":1}]"#)["error"], "cooldown");
            }
        }
        let before = position(&state_after(&mut ann), &ann_id);
        ann.send_text(r#"{"type":"dash","x":150,"y":150}"#);
        ann.until_text(&[r#"{"type":"own","dashes":2}"#]);
        let after = position(&state_after(&mut ann), &ann_id);
        let nearer = |from: i64| 150.min(from + 40).max(from - 40);
        assert_eq!(after, (nearer(before.0), nearer(before.1)));

        let ben_number: i32 = ben_id.parse().expect("a number");
        let tagged = until("Ann has touched Ben", || {
            let state = state(&mut ann);
            step_towards(&mut ann, position(&state, &ann_id), position(&state, &ben_id));
            (state["room"]["it"] == ben_number).then_some(state)
        });
        assert_eq!(ben.until_event("tagged"), json!({"id": ben_id, "by": ann_id}));
        let score = |state: &Value| player(state, &ann_id)["score"].as_u64().expect("a number");
        until("Ann scores", || (score(&state(&mut ann)) > score(&tagged)).then_some(()));
    }
}

/// A client that speaks over a WebSocket, and the texts that it has received.
struct Client {
    id: ConnId,
    received: Vec<String>,
}

impl Client {
    fn join(fixture: &mut Fixture, target: &str) -> Client {
        let id = fixture.open(REMOTE);
        fixture.send(id, &handshake(target));
        let bytes = fixture.take(id);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a response") + 4;
        let mut client = Client { id, received: Vec::new() };
        client.read(&bytes[end..]);
        client
    }

    fn read(&mut self, bytes: &[u8]) {
        for (_, payload) in frame::payloads(bytes) {
            self.received.push(String::from_utf8(payload.to_vec()).expect("text"));
        }
    }

    fn receive(&mut self, fixture: &mut Fixture) {
        let bytes = fixture.take(self.id);
        self.read(&bytes);
    }
}

fn fixture_of(games: &[&'static Rules]) -> Fixture {
    let server = fixture::server_of(games, &[], 7, fixture::pages());
    Fixture { server, now: Default::default(), panics: 0 }
}

/// Plays a round of tag, and returns all that its players received.
fn play_round() -> [Vec<String>; 2] {
    let mut fixture = fixture_of(&[&TAG]);
    let mut ann = Client::join(&mut fixture, "/?name=Ann");
    let mut ben = Client::join(&mut fixture, "/socket.io/?EIO=4&transport=websocket");
    fixture.send(ben.id, &text("40"));
    for round in 0..1_250_u32 {
        // They meet in a corner, and part again.
        let (x, y) = if round % 400 < 250 { (5, 295) } else { (150, 150) };
        fixture.send(ben.id, &text(&format!(r#"42["move",{{"x":{x},"y":{y}}}]"#)));
        let direction = ["LEFT", "DOWN", "UP", "RIGHT"][(round / 100 % 4) as usize];
        fixture.send(ann.id, &text(&step(direction)));
        if round % 500 == 0 {
            fixture.send(ann.id, &text(r#"{"type":"dash","x":150,"y":150}"#));
            fixture.send(ben.id, &text(r#"42["dash",{"x":1,"y":-1000000}]"#));
        }
        fixture.tick();
        ann.receive(&mut fixture);
        let before = ben.received.len();
        ben.receive(&mut fixture);
        if ben.received[before..].iter().any(|text| text == "2") {
            fixture.send(ben.id, &text("3"));
        }
    }
    [ann.received, ben.received]
}

#[test]
fn a_round_of_the_example_has_a_winner() {
    let [ann, ben] = play_round();
    let over: Vec<&String> = ben.iter().filter(|text| text.contains("round_over")).collect();
    assert_eq!(over.len(), 1, "one round of 60 s");
    let over: Value = serde_json::from_str(&over[0][2..]).expect("JSON");
    let winner = &over[1]["winner"];
    assert!(over[1]["score"].as_u64().is_some_and(|score| (30..=60).contains(&score)), "{over}");
    let last: Value = serde_json::from_str(ann.last().expect("a state")).expect("JSON");
    assert_eq!(last["room"]["winner"].to_string(), winner.as_str().expect("an id"));
    assert!(ben.iter().any(|text| text.contains("\"tagged\"")), "no player was touched");
    // The dashes come back with the new round.
    let own: Vec<&String> = ann.iter().filter(|text| text.contains("\"own\"")).collect();
    assert_eq!(own.last().map(|text| text.as_str()), Some(r#"{"type":"own","dashes":3}"#));
    assert_eq!(play_round(), [ann, ben], "a world is a function of its seed and its calls");
}

#[test]
fn a_game_may_be_numbers_only() {
    let mut fixture = fixture_of(&[&DUEL]);
    let mut ann = Client::join(&mut fixture, "/");
    let mut ben = Client::join(&mut fixture, "/");
    let init: Value = serde_json::from_str(&ann.received[0]).expect("JSON");
    assert_eq!((&init["rules"], &init["rules_data"]["hp"]), (&json!("duel"), &json!(30)));
    // Both walk into a corner.
    for direction in ["UP", "LEFT"] {
        for _ in 0..25 {
            for client in [&ann, &ben] {
                fixture.send(client.id, &text(&step(direction)));
            }
            fixture.tick();
            ann.receive(&mut fixture);
            ben.receive(&mut fixture);
        }
    }
    let mut hp = Vec::new();
    for _ in 0..21 {
        fixture.send(ann.id, &text(r#"{"type":"attack"}"#));
        fixture.tick();
        ann.receive(&mut fixture);
        ben.receive(&mut fixture);
        let state: Value = serde_json::from_str(ben.received.last().expect("a state")).unwrap();
        hp.push(player(&state, "2")["hp"].as_u64().expect("a number"));
    }
    assert_eq!(hp, [[20; 10], [10; 10]].concat().into_iter().chain([0]).collect::<Vec<_>>());
}

#[test]
fn a_world_is_played_without_a_server() {
    let mut facts = Vec::new();
    let mut world = World::new(&TAG, 7, 4); // the seed, and the moves that a player may save
    world.join(PlayerId(1), None, &mut facts);
    let dash = Command::Own { kind: 0, arguments: [100, 100, 0, 0] };
    assert_eq!(world.apply(PlayerId(1), dash, &mut facts), Ok(()));
    world.tick(&mut facts);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.row(0)[1], 2, "two dashes are left");
    assert_eq!(snapshot.room[0], 1, "player 1 is it");
}

#[test]
fn a_newcomer_of_the_example_is_not_touched_for_a_second() {
    let mut facts = Vec::new();
    let mut world = World::new(&TAG, 7, 4);
    world.join(PlayerId(1), None, &mut facts);
    world.tick(&mut facts);
    // Some of these stand within reach.
    (2..600).for_each(|number| world.join(PlayerId(number), None, &mut facts));
    let it_after = |world: &mut World, ticks: u32| {
        (0..ticks).for_each(|_| world.tick(&mut Vec::new()));
        world.snapshot().room[0]
    };
    assert_eq!(it_after(&mut world, 19), 1);
    assert_ne!(it_after(&mut world, 1), 1);
}

#[test]
fn the_walk_through_shows_the_example_as_it_is() {
    let page = include_str!("../../docs/your-own-game.md");
    let sources = [
        include_str!("../../examples/tag.rs"),
        include_str!("../../examples/tag.html"),
        include_str!("own_game.rs"),
    ];
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sources = sources.map(squeezed);
    let mut blocks = 0;
    for block in page.split("```rust\n").skip(1).chain(page.split("```js\n").skip(1)) {
        let code = block.split("```").next().expect("an end");
        let code = code.split("use skirmish::game::{BATTLE, Rules};\n").last().expect("code");
        assert!(sources.iter().any(|source| source.contains(&squeezed(code))), "{code}");
        blocks += 1;
    }
    assert!(blocks >= 6, "{blocks} pieces of code");
    let lines = include_str!("../../examples/tag.rs").lines().count();
    assert!(lines <= 120, "a game of {lines} lines is not a short one");
}
