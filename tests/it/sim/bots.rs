//! Bots (docs/protocol.md, "Bots"): they fill a room while people are in it, and leave as people join.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skirmish::server::ConnId;
use skirmish::ws::frame;

use super::client_model::{Body, Packet};
use super::fixture::{Fixture, REMOTE, handshake, text};
use super::scripted_client::ScriptedClient;

const BATTLE: &[&str] = &["--bots", "battle=4", "--room-players-max", "5"];

/// Joins over JSON.
fn join(fixture: &mut Fixture, target: &str) -> ConnId {
    let id = fixture.open(REMOTE);
    fixture.send(id, &handshake(target));
    assert!(fixture.take(id).starts_with(b"HTTP/1.1 101 "));
    id
}

/// The newest state of a JSON client after the next tick.
fn next_state(fixture: &mut Fixture, id: ConnId) -> Value {
    fixture.tick();
    newest(&fixture.take(id))
}

fn newest(bytes: &[u8]) -> Value {
    let (_, text) = frame::payloads(bytes).last().expect("a state");
    serde_json::from_slice(text).expect("JSON")
}

/// The names in a state; a person has none here.
fn names(state: &Value) -> Vec<&str> {
    let players = state["players"].as_array().expect("an array");
    players.iter().map(|player| player["name"].as_str().unwrap_or("-")).collect()
}

/// The room `battle` in the list of rooms, once it is made again.
fn listed(fixture: &mut Fixture) -> Value {
    (0..20).for_each(|_| fixture.tick());
    let id = fixture.open(REMOTE);
    fixture.send(id, b"GET /rooms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8(fixture.take(id)).expect("text");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a response");
    let rooms: Value = serde_json::from_str(body).expect("JSON");
    let mut rooms = rooms.as_array().expect("an array").iter();
    rooms.find(|room| room["name"] == "battle").expect("the room is there").clone()
}

#[test]
fn bots_fill_a_room_and_leave_as_people_join() {
    let mut fixture = Fixture::new(BATTLE);
    let ann = join(&mut fixture, "/?room=battle");
    let state = next_state(&mut fixture, ann);
    assert_eq!(names(&state), ["-", "Bot 1", "Bot 2", "Bot 3"]);
    let players = state["players"].as_array().expect("an array").iter();
    let ids: Vec<&str> = players.filter_map(|it| it["id"].as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4"], "they have numbers as all players have");
    let row = |players, bots| json!({"name": "battle", "rules": "battle", "players": players, "bots": bots, "cap": 5});
    assert_eq!(listed(&mut fixture), row(4, 3));
    fixture.take(ann);
    let mut people = vec![ann];
    for bots in [2, 1, 0, 0] {
        people.push(join(&mut fixture, "/?room=battle"));
        let state = next_state(&mut fixture, ann);
        let is_bot = |name: &&&str| name.starts_with("Bot ");
        assert_eq!(names(&state).iter().filter(is_bot).count(), bots);
        assert_eq!(names(&state).len(), people.len() + bots);
        people.iter().for_each(|id| drop(fixture.take(*id)));
    }
    assert_eq!(listed(&mut fixture), row(5, 0), "bots took no seat");
    let last = people.pop().expect("five");
    for id in people {
        fixture.server.peer_closed(id, true, fixture.now);
    }
    fixture.take(last);
    let state = next_state(&mut fixture, last);
    assert_eq!(names(&state), ["Bot 1", "Bot 2", "Bot 3", "-"], "they keep their numbers");
    fixture.server.peer_closed(last, true, fixture.now);
    assert_eq!(listed(&mut fixture), row(0, 0), "no bot without people");
    fixture.server.check_accounts().expect("the account is right");
}

#[test]
fn a_bot_that_returns_keeps_its_number() {
    let mut fixture = Fixture::new(BATTLE);
    let ids = |state: &Value| -> Vec<u64> {
        let players = state["players"].as_array().expect("an array").iter();
        let id = |player: &Value| player["id"].as_str().and_then(|id| id.parse().ok());
        players.map(|player| id(player).expect("a number")).collect()
    };
    for person in [1, 5, 6] {
        let ann = join(&mut fixture, "/?room=battle");
        let mut all = [2, 3, 4, person];
        all.sort_unstable();
        assert_eq!(ids(&next_state(&mut fixture, ann)), all);
        fixture.server.peer_closed(ann, true, fixture.now);
        fixture.tick();
    }
    // One bot of several leaves and returns, and a client of the other dialect sees it.
    let ann = join(&mut fixture, "/?room=battle");
    let mut ben = ScriptedClient::join(&mut fixture, REMOTE, "battle", true);
    assert_eq!(ids(&next_state(&mut fixture, ann)), [2, 3, 7, 8]);
    fixture.server.peer_closed(ann, true, fixture.now);
    fixture.tick();
    ben.catch_up(&mut fixture);
    let players: Vec<u32> = ben.model.players.keys().copied().collect();
    assert_eq!(players, [2, 3, 4, 8]);
}

#[test]
fn a_bot_has_the_first_name_that_is_free() {
    let mut fixture = Fixture::new(&["--bots", "lobby=3"]);
    let ann = join(&mut fixture, "/?room=lobby&name=Bot%201");
    assert_eq!(names(&next_state(&mut fixture, ann)), ["Bot 1", "Bot 2", "Bot 3"]);
    let places = |state: &Value| {
        let bots = state["players"].as_array().expect("an array")[1..].iter();
        bots.map(|bot| (bot["x"].clone(), bot["y"].clone())).collect::<Vec<_>>()
    };
    let first = places(&next_state(&mut fixture, ann));
    let last = (0..200).map(|_| places(&next_state(&mut fixture, ann))).last();
    let last = last.expect("200 states");
    assert!(first.iter().zip(&last).all(|(one, other)| one != other), "in dots they walk about");
    let other = join(&mut fixture, "/?room=dots");
    assert_eq!(names(&next_state(&mut fixture, other)), ["-"]);
}

/// Counts kills and deaths from the events that the first clients of battle know.
fn count_scores(scores: &mut BTreeMap<String, [u64; 2]>, fact: &str) {
    let event: Value = serde_json::from_str(&fact[2..]).expect("JSON");
    let data = &event[1];
    let mut score = |field: &str, change: &dyn Fn([u64; 2]) -> [u64; 2]| {
        let id = data[field].as_str().expect("text").to_owned();
        let score = scores.entry(id).or_default();
        *score = change(*score);
    };
    match event[0].as_str() {
        Some("player_killed") => {
            score("by", &|[kills, deaths]| [kills + 1, deaths]);
            score("id", &|[kills, deaths]| [kills, deaths + 1]);
        }
        Some("player_respawned") => {
            let of = |field: &str| data["position"][field].as_u64().expect("a number");
            score("id", &|_| [of("kills"), of("deaths")]);
        }
        _ => {}
    }
}

/// Two rounds, and every event of them, over both dialects.
#[test]
fn a_client_follows_the_fights_and_rounds_of_bots() {
    let mut fixture = Fixture::with_small_pages(&["--bots", "battle=6"]);
    let ann = join(&mut fixture, "/?room=battle");
    let mut ben = ScriptedClient::join(&mut fixture, REMOTE, "battle", true);
    // Kills and deaths, as a client counts them that knows none of the newer events.
    let mut scores: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let mut counts = [0; 4];
    let mut winners = Vec::new();
    for tick in 0..2 * 3_700 {
        if tick % 100 == 0 {
            // Neither is silent for long.
            fixture.send(ann, &text(r#"{"type":"rate","hz":20}"#));
            ben.send(&mut fixture, r#"42["ping"]"#);
        }
        fixture.tick();
        // The model checks that each packet is consistent with those before.
        if ben.receive_packets(&mut fixture).contains(&Packet::Ping) {
            ben.send(&mut fixture, "3");
        }
        for fact in ben.model.facts.drain(..) {
            count_scores(&mut scores, &fact);
            let kinds = ["player_attack\"", "player_attacked\"", "player_killed\"", "round\""];
            for (count, kind) in counts.iter_mut().zip(kinds) {
                *count += u32::from(fact.starts_with(&format!("42[\"{kind}")));
            }
        }
        let state = newest(&fixture.take(ann));
        winners.push(state["room"]["winner"].as_u64().expect("a number"));
        let players = state["players"].as_array().expect("an array");
        assert_eq!(players.len(), ben.model.players.len());
        for player in players {
            let number = |field: &str| player[field].as_u64().expect("a number");
            let body =
                Body { x: number("x") as u16, y: number("y") as u16, hp: number("hp") as u8 };
            let id = player["id"].as_str().expect("text");
            let score = scores.entry(id.to_owned()).or_default();
            assert_eq!(*score, [number("kills"), number("deaths")], "{player}");
            let known = ben.model.players[&id.parse().expect("a number")];
            assert!(known.is_known_as(body), "{known:?} is {body:?}");
        }
    }
    let [attacks, hits, kills, rounds] = counts;
    assert!(attacks > 500 && hits > 500 && kills > 40, "{counts:?}");
    assert!(rounds >= 4, "two ends and two beginnings: {rounds}");
    winners.dedup();
    assert!(winners.len() >= 4 && winners[0] == 0 && winners[1] > 0, "{winners:?}");
}
