//! Connection state recovery of Socket.IO (docs/socketio.md), over sockets.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;
use serde_json::{Value, json};
use skirmish::server::ConnId;
use skirmish::time::Millis;
use skirmish::ws::frame;

use crate::files::Folder;
use crate::harness::{Peer, TestServer, start_and_stop, until};
use crate::resume::{Player, below};
use crate::sim::fixture::{Fixture, handshake, pages, server, text};
use crate::socketio_battle::player::{
    ATTACK, Clock, Link, SocketIoPlayer, TRANSPORTS, Transport, place,
};

/// An event: its name, its argument, and its offset.
type Event = (String, Value, Option<String>);

/// A client that knows what the official one keeps.
struct Client {
    link: SocketIoPlayer,
    sid: String,
    pid: Option<String>,
    offset: Option<String>,
}

impl Client {
    fn connect(server: &TestServer, transport: Transport, auth: &Value) -> Client {
        let mut link = SocketIoPlayer::dial(server, transport, "");
        link.send(&format!("40{auth}"));
        let reply = link.packet();
        let reply: Value =
            serde_json::from_str(reply.strip_prefix("40").expect("a reply")).expect("JSON");
        let text = |name: &str| Some(reply[name].as_str()?.to_owned());
        let (sid, pid) = (text("sid").expect("an id"), text("pid"));
        // The official client keeps its offset.
        let offset = auth["offset"].as_str().map(str::to_owned);
        Client { link, sid, pid, offset }
    }

    /// A client with its first state.
    fn join(server: &TestServer, transport: Transport, auth: &Value) -> Client {
        let mut client = Client::connect(server, transport, auth);
        assert_eq!(client.event().0, "rules");
        let sid = client.sid.clone();
        client.until(|(name, data, _)| name == "player_moved" && data["id"] == *sid);
        client
    }

    fn pid(&self) -> String {
        let pid = self.pid.clone().expect("a private id");
        let is_digit = |digit: char| matches!(digit, '0'..='9' | 'a'..='f');
        assert!(pid.len() == 40 && pid.chars().all(is_digit), "160 bits: {pid}");
        pid
    }

    fn auth(&self) -> Value {
        json!({"pid": self.pid(), "offset": self.offset})
    }

    /// The next event. The official client takes every text at its end as the offset.
    fn event(&mut self) -> Event {
        let packet = self.link.packet();
        let digits = |c: char| c.is_ascii_digit();
        let list = packet.trim_start_matches(digits);
        assert!(packet.starts_with("42") && list.starts_with('['), "{packet}");
        let list: Vec<Value> = serde_json::from_str(list).expect("JSON");
        assert!(list[1].is_object() && list.len() <= 3, "{packet}");
        let offset = list.get(2).map(|last| last.as_str().expect("a text").to_owned());
        if offset.is_some() {
            self.offset.clone_from(&offset);
        }
        (list[0].as_str().expect("a name").to_owned(), list[1].clone(), offset)
    }

    /// All events up to the one for which `holds`.
    fn until(&mut self, holds: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        until("an event", || {
            events.push(self.event());
            events.last().filter(|last| holds(last)).map(|_| ())
        });
        events
    }

    /// Those of them that are not lost with the connection.
    fn facts_until(&mut self, name: &str, id: &str) -> Vec<Event> {
        let events = self.until(|event| event.0 == name && event.1["id"] == *id);
        events.into_iter().filter(|event| event.2.is_some()).collect()
    }

    /// The connection breaks.
    fn lose(self, server: &TestServer) -> Value {
        let auth = self.auth();
        match self.link.link {
            // An aborted poll.
            Link::Polling(client) => client.begin_poll().reset(),
            Link::WebSocket(peer) => peer.reset(),
        }
        server.until_metric("skirmish_players_absent", 1);
        auth
    }
}

/// A player of the JSON dialect, and its id.
fn visitor(server: &TestServer, name: &str) -> (Peer, String) {
    Peer::join(server.addr, &format!("/ws?room=arena&name={name}"))
}

fn arena(name: &str) -> Value {
    json!({"room": "arena", "rules": "battle", "name": name})
}

#[test]
fn a_client_receives_what_it_has_missed_once_and_in_order() {
    for transport in TRANSPORTS {
        let server = TestServer::start(&["--recovery"]);
        let mut eve = Client::join(&server, Transport::WebSocket, &arena("Eve"));
        let mut ann = Client::join(&server, transport, &arena("Ann"));
        let (id, pid) = (ann.sid.clone(), ann.pid());
        eve.facts_until("new_player", &id);
        let moved = ann.link.ask(r#"["move",{"x":1000,"y":1000}]"#);
        let at = place(&moved["position"]);
        let auth = ann.lose(&server);
        assert!(auth["offset"].is_string(), "its first state has one: {auth}");

        let others = ["Ben", "Cid", "Dan"].map(|name| visitor(&server, name));
        let last = others[2].1.clone();
        let mut missed = eve.facts_until("new_player", &last);
        // The clock of the round that Ann has restarted; her first state shows it.
        missed.retain(|(name, ..)| name != "round");
        drop(others);
        let ids_in = |events: &[Event], wanted: &str| -> BTreeSet<String> {
            let those = events.iter().filter(|(name, ..)| name == wanted);
            those.map(|(_, data, _)| data["id"].as_str().expect("an id").to_owned()).collect()
        };
        let came = ids_in(&missed, "new_player");
        while ids_in(&missed, "player_left").len() < 3 {
            let event = eve.event();
            missed.extend(event.2.is_some().then_some(event));
        }
        assert_eq!((came.len(), &came), (3, &ids_in(&missed, "player_left")), "{missed:?}");

        let mut ann = Client::connect(&server, transport, &auth);
        assert_eq!((&ann.sid, ann.pid()), (&id, pid.clone()), "it has recovered");
        let received: Vec<Event> = (0..missed.len()).map(|_| ann.event()).collect();
        assert_eq!(received, missed, "{transport:?}");
        // Then the positions, and nothing of the first state.
        let state = ann.until(|(name, ..)| name == "room");
        let names: Vec<&str> = state.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["player_moved", "player_moved", "room"]);
        let own = state.iter().find(|(_, data, _)| data["id"] == *id).expect("its own");
        assert_eq!((place(&own.1["position"]), own.1["position"]["hp"].clone()), (at, json!(100)));
        assert_eq!(server.metric("skirmish_recoveries_total"), 1);

        // What happens now comes once, and it can be lost again.
        let (_fay, fay) = visitor(&server, "Fay");
        assert_eq!(ann.facts_until("new_player", &fay).len(), 1);
        let auth = ann.lose(&server);
        let (_gil, gil) = visitor(&server, "Gil");
        let mut ann = Client::connect(&server, transport, &auth);
        assert_eq!((&ann.sid, ann.pid()), (&id, pid), "a private id works more than once");
        let (name, data, offset) = ann.event();
        assert_eq!((name.as_str(), &data["id"]), ("new_player", &json!(gil)));
        assert!(offset.is_some());
        let others = eve.facts_until("new_player", &gil);
        assert!(others.iter().all(|(_, data, _)| data["id"] != *id), "Ann never left: {others:?}");
    }
}

#[test]
fn events_have_offsets_and_states_and_volatile_events_have_none() {
    let server = TestServer::start(&["--recovery"]);
    let mut ann = Client::join(&server, Transport::WebSocket, &arena("Ann"));
    let mut ben = Client::join(&server, Transport::WebSocket, &arena("Ben"));
    let id = ben.sid.clone();
    let mut clock = Clock::start(&server);
    ann.link.walk((50, 50), &mut clock);
    ben.link.walk((50, 50), &mut clock);
    let _cid = visitor(&server, "Cid");
    ann.link.send(&format!("42{ATTACK}"));
    let events = ann.until(|(name, data, _)| name == "player_attacked" && data["id"] == *id);
    let names = |has_offset: bool| -> BTreeSet<&str> {
        let those = events.iter().filter(|event| event.2.is_some() == has_offset);
        those.map(|(name, ..)| name.as_str()).collect()
    };
    assert_eq!(names(true), ["new_player", "player_attacked"].into(), "{events:?}");
    let without = names(false);
    assert!(without.contains("player_moved") && without.contains("player_attack"), "{without:?}");
    let offsets: Vec<&String> = events.iter().filter_map(|event| event.2.as_ref()).collect();
    assert_eq!(offsets.iter().collect::<BTreeSet<_>>().len(), offsets.len(), "each differs");
}

#[test]
fn without_a_known_offset_the_player_comes_back_and_its_events_begin_again() {
    let server = TestServer::start(&["--recovery"]);
    let _eve = Client::join(&server, Transport::WebSocket, &arena("Eve"));
    for transport in TRANSPORTS {
        let mut ann = Client::join(&server, transport, &arena("Ann"));
        let id = ann.sid.clone();
        for offset in [
            Value::Null,
            json!(""),
            json!("connected"),
            json!("0.0"),
            json!("4000000000.0"),
            json!([8041.1]),
            json!("1".repeat(1_000)),
        ] {
            let mut auth = ann.lose(&server);
            auth["offset"] = offset;
            ann = Client::join(&server, transport, &auth);
            assert_eq!(ann.sid, id, "{auth}");
            assert_ne!(ann.pid(), auth["pid"], "its client must not count as recovered");
        }
        // The events of its first life are not without a gap to those of its second.
        let first = ann.offset.clone();
        let mut auth = ann.lose(&server);
        auth["offset"] = Value::Null;
        let ann = Client::connect(&server, transport, &auth);
        let second = json!({"pid": ann.pid(), "offset": first});
        ann.lose_without_offset(&server);
        let mut ann = Client::connect(&server, transport, &second);
        assert_eq!(ann.sid, id);
        assert_ne!(ann.pid(), second["pid"]);
        assert_eq!(ann.event().0, "rules");
        assert_eq!(server.metric("skirmish_recoveries_total"), 0);
        ann.link.send("41");
        server.until_metric("skirmish_players", 1);
    }
}

impl Client {
    fn lose_without_offset(self, server: &TestServer) {
        assert_eq!(self.offset, None);
        self.lose(server);
    }
}

#[test]
fn t38_a_private_id_that_was_replaced_or_is_unknown_makes_a_new_player() {
    let server = TestServer::start(&["--recovery"]);
    let ann = Client::join(&server, Transport::WebSocket, &arena("Ann"));
    let id = ann.sid.clone();
    let used = ann.lose(&server);
    let without_offset = json!({"pid": used["pid"]});
    let mut back = Client::join(&server, Transport::WebSocket, &without_offset);
    assert_eq!(back.sid, id);
    // The client is known to have the next one.
    assert_eq!(back.link.ask(r#"["ping"]"#)["ok"], true);
    for auth in [used, json!({"pid": "0".repeat(40), "offset": "1.0"}), json!({"pid": "x"})] {
        let new = Client::join(&server, Transport::Polling, &auth);
        assert_ne!(new.sid, id, "{auth}");
        assert_ne!(new.pid(), auth["pid"]);
    }
    // A client that leaves has nothing to come back to.
    let mut auth = back.auth();
    back.link.send("41");
    auth["room"] = json!("arena");
    server.until_metric("skirmish_players", 3);
    let new = Client::join(&server, Transport::WebSocket, &auth);
    assert_ne!(new.sid, id);
    assert_ne!(new.pid(), auth["pid"]);
}

// T38
#[test]
fn t38_a_private_id_expires() {
    let server = TestServer::start(&["--recovery", "--resume-s", "1"]);
    for transport in [Transport::WebSocket, Transport::Polling] {
        let mut ann = Client::join(&server, transport, &arena("Ann"));
        let id = ann.sid.clone();
        // An earlier loss must not shorten a later one.
        for _ in 0..3 {
            let auth = ann.lose(&server);
            ann = Client::connect(&server, transport, &auth);
            assert_eq!((&ann.sid, ann.pid.as_deref()), (&id, auth["pid"].as_str()));
        }
        let auth = ann.lose(&server);
        server.until_metric("skirmish_players_absent", 0);
        let mut new = Client::join(&server, transport, &auth);
        assert_ne!(new.sid, id);
        assert_ne!(new.pid(), auth["pid"]);
        new.link.send("41");
        server.until_metric("skirmish_players", 0);
    }
    assert_eq!(server.metric("skirmish_recoveries_total"), 6);
}

#[test]
fn a_second_connection_takes_over_and_the_end_of_the_first_does_not_matter() {
    for transport in TRANSPORTS {
        let server = TestServer::start(&["--recovery"]);
        let mut first = Client::join(&server, transport, &arena("Ann"));
        let mut second = Client::connect(&server, transport, &first.auth());
        assert_eq!((&second.sid, &second.pid), (&first.sid, &first.pid));
        assert_eq!(first.link.expect_end(Some(4009)), "41", "so that it does not come back");
        drop(first);
        let mut third = Client::connect(&server, Transport::WebSocket, &second.auth());
        assert_eq!((&third.sid, &third.pid), (&second.sid, &second.pid));
        assert_eq!(second.link.expect_end(Some(4009)), "41");
        drop(second);
        let (_ben, ben) = visitor(&server, "Ben");
        assert_eq!(third.facts_until("new_player", &ben).len(), 1);
        assert_eq!(server.metric("skirmish_players"), 2);
        assert_eq!(server.metric("skirmish_players_absent"), 0);
        assert_eq!(server.metric("skirmish_recoveries_total"), 2);
    }
}

#[test]
fn a_private_id_is_a_token() {
    let server = TestServer::start(&["--recovery"]);
    let mut auth = arena("Ann");
    auth["resume"] = json!(true);
    let mut ann = Client::connect(&server, Transport::WebSocket, &auth);
    ann.event();
    let (name, data, offset) = ann.event();
    assert_eq!((name.as_str(), &data["token"], offset), ("token", &json!(ann.pid()), None));
    let (id, pid) = (ann.sid.clone(), ann.pid());
    ann.lose_without_offset(&server);
    // In another dialect, and from there back.
    let json = Player::join(server.addr, &format!("/ws?resume={pid}"));
    assert_eq!(json.id, id);
    let token = json.token.clone();
    json.peer.reset();
    server.until_metric("skirmish_players_absent", 1);
    let auth = json!({"pid": token, "offset": "1.0"});
    let ann = Client::join(&server, Transport::Polling, &auth);
    assert_eq!(ann.sid, id);
    assert_ne!(ann.pid(), token, "the other client did not receive its events");
    let auth = json!({"resume": ann.pid()});
    ann.lose(&server);
    let ann = Client::connect(&server, Transport::WebSocket, &auth);
    assert_eq!(ann.sid, id);
    assert_ne!(ann.pid(), auth["resume"], "a token that is presented as such is replaced");
}

#[test]
fn without_the_flag_nothing_is_different() {
    let server = TestServer::start(&[]);
    let mut auth = arena("Ann");
    auth["resume"] = json!(true);
    let mut ann = Client::connect(&server, Transport::WebSocket, &auth);
    assert_eq!(ann.pid, None);
    ann.event();
    let (_, data, _) = ann.event();
    let _ben = visitor(&server, "Ben");
    ann.until(|(name, ..)| name == "new_player");
    assert_eq!(ann.offset, None);
    let Link::WebSocket(peer) = ann.link.link else { panic!("a WebSocket") };
    peer.reset();
    server.until_metric("skirmish_players_absent", 1);
    let auth = json!({"room": "arena", "pid": data["token"], "offset": "1.0"});
    let new = Client::connect(&server, Transport::WebSocket, &auth);
    assert_eq!(new.pid, None);
    assert_ne!(new.sid, ann.sid);
}

#[test]
fn the_flag_needs_players_that_may_come_back() {
    for more in [&["--resume-s", "0"][..], &["--echo"]] {
        let (_, stderr) = start_and_stop(&[&["--recovery"], more].concat(), &[]);
        assert!(stderr.contains("--recovery needs players that may come back;"), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
}

#[test]
fn after_a_restart_the_player_comes_back_and_its_events_begin_again() {
    let folder = Folder::new("recovery");
    let path = folder.0.join("skirmish.state");
    let path = path.to_str().expect("a plain path");
    let flags = ["--recovery", "--state", path];
    let mut server = TestServer::start(&flags);
    let ann = Client::join(&server, Transport::WebSocket, &arena("Ann"));
    let auth = ann.auth();
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    let saved = std::fs::read_to_string(path).expect("a file");
    assert!(!saved.contains(&ann.pid()), "only its hash is kept: {saved}");

    let server = TestServer::start(&flags);
    assert_eq!(server.metric("skirmish_players_absent"), 1);
    let back = Client::join(&server, Transport::WebSocket, &auth);
    assert_eq!(back.sid, ann.sid);
    assert_ne!(back.pid, ann.pid, "the file has no events");
    // From here on it can recover.
    let auth = back.lose(&server);
    let again = Client::connect(&server, Transport::WebSocket, &auth);
    assert_eq!((again.sid, again.pid.as_deref()), (ann.sid, auth["pid"].as_str()));
}

#[test]
fn a_client_that_has_missed_too_much_receives_the_full_state() {
    let server = TestServer::start(&["--recovery"]);
    let ann = Client::join(&server, Transport::WebSocket, &arena("Ann"));
    let id = ann.sid.clone();
    let auth = ann.lose(&server);
    let held = server.metric("skirmish_held_bytes");
    for _ in 0..240 {
        let (peer, _) = Peer::join(server.addr, "/ws?room=arena");
        drop(peer);
    }
    server.until_metric("skirmish_players", 0);
    // The rooms are counted once a second.
    until("the events are counted", || {
        let more = server.metric("skirmish_held_bytes").saturating_sub(held);
        assert!(more < 64 * 1024 + 4_096, "{more} bytes are held for one room");
        (more > 60 * 1024).then_some(())
    });
    let ann = Client::join(&server, Transport::WebSocket, &auth);
    assert_eq!(ann.sid, id);
    assert_ne!(ann.pid(), auth["pid"]);
}

#[test]
fn a_client_that_closes_a_session_without_a_disconnect_was_lost() {
    let server = TestServer::start(&["--recovery"]);
    // The official client sends this when it has missed pings.
    for transport in TRANSPORTS {
        let mut ann = Client::join(&server, transport, &arena("Ann"));
        let auth = ann.auth();
        match &mut ann.link.link {
            Link::Polling(_) => ann.link.send("1"),
            Link::WebSocket(peer) => peer.send_frame(0x88, &[]),
        }
        server.until_metric("skirmish_players_absent", 1);
        let mut back = Client::connect(&server, transport, &auth);
        assert_eq!((&back.sid, &back.pid), (&ann.sid, &ann.pid));
        back.link.send("41");
        server.until_metric("skirmish_players", 0);
        assert_eq!(server.metric("skirmish_players_absent"), 0);
    }
}

#[test]
fn a_client_that_recovers_keeps_its_rate() {
    let server = TestServer::start(&["--recovery"]);
    let mut ann = Client::join(&server, Transport::WebSocket, &arena("Ann"));
    assert_eq!(ann.link.ask(r#"["rate",{"hz":1}]"#)["ok"], true);
    let auth = ann.lose(&server);
    let mut ann = Client::connect(&server, Transport::WebSocket, &auth);
    ann.until(|(name, ..)| name == "room");
    let (mut ben, id) = visitor(&server, "Ben");
    ann.facts_until("new_player", &id);
    // It walks to and fro, one step on each tick.
    for direction in ["LEFT", "RIGHT"].repeat(20) {
        ben.send_text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#));
        ben.until_text(&["state_update"]);
    }
    drop(ben);
    let events = ann.until(|(name, ..)| name == "player_left");
    let moves = events.iter().filter(|(name, ..)| name == "player_moved").count();
    assert!((1..=4).contains(&moves), "{moves} in 2 s at one a second");
}

/// A client of a server without sockets. It keeps the players that events tell it of.
#[derive(Default)]
struct Mirror {
    link: Option<ConnId>,
    auth: Value,
    players: BTreeMap<String, [Value; 3]>,
    /// The offsets of its events since its first state, and the event.
    events: Vec<(String, String)>,
    /// The offset of its first state.
    began: Option<String>,
    recoveries: u32,
}

impl Mirror {
    fn connect(&mut self, it: &mut Fixture, address: u32) {
        let [.., a, b] = address.to_be_bytes();
        let link = it.open(&format!("198.18.{a}.{b}"));
        let mut bytes = handshake("/socket.io/?EIO=4&transport=websocket");
        bytes.extend(text(&format!("40{}", self.auth)));
        it.send(link, &bytes);
        self.link = Some(link);
    }

    /// What has arrived, as messages.
    fn take(&self, it: &mut Fixture) -> Vec<String> {
        let bytes = it.take(self.link.expect("it is connected"));
        let head = b"\r\n\r\n";
        let start = match bytes.starts_with(b"HTTP/1.1 101") {
            true => bytes.windows(4).position(|four| four == head).expect("a head") + 4,
            false => 0,
        };
        let texts = frame::payloads(&bytes[start..]).filter(|(opcode, _)| *opcode == frame::TEXT);
        texts.map(|(_, text)| String::from_utf8(text.to_vec()).expect("text")).collect()
    }

    fn receive(&mut self, messages: &[String]) {
        for message in messages {
            if let Some(reply) = message.strip_prefix("40") {
                let reply: Value = serde_json::from_str(reply).expect("JSON");
                if reply["pid"] == self.auth["pid"] {
                    self.recoveries += 1;
                } else {
                    self.players.clear();
                    self.events.clear();
                    self.began = None;
                }
                self.auth["pid"] = reply["pid"].clone();
            } else if message.starts_with("42[") {
                self.event(message);
            }
        }
    }

    fn event(&mut self, message: &str) {
        let list: Vec<Value> = serde_json::from_str(&message[2..]).expect("JSON");
        let (name, data) = (list[0].as_str().expect("a name"), &list[1]);
        let id = data["id"].as_str().unwrap_or_default().to_owned();
        let place = ["x", "y", "hp"].map(|field| data["position"][field].clone());
        match name {
            "new_player" | "player_respawned" | "player_moved" => {
                self.players.insert(id, place);
            }
            "player_attacked" => {
                self.players.get_mut(&id).expect("it is known")[2] = data["hp"].clone();
            }
            "player_left" => {
                assert!(self.players.remove(&id).is_some(), "it left twice, or never came: {id}");
            }
            _ => {}
        }
        if let Some(offset) = list.get(2) {
            self.auth["offset"] = offset.clone();
            let offset = offset.as_str().expect("a text").to_owned();
            match self.began {
                None if name == "player_moved" => self.began = Some(offset),
                _ => self.events.push((offset, message.to_owned())),
            }
        }
    }
}

/// The tick of an offset, and its number.
fn order(offset: &str) -> (u32, u32) {
    let (tick, number) = offset.split_once('.').expect("an offset");
    (tick.parse().expect("a tick"), number.parse().expect("a number"))
}

#[test]
fn random_losses_leave_no_gap_and_no_event_comes_twice() {
    let mut recoveries = 0;
    for run in 1..=60_u64 {
        let mut seed = run.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut it =
            Fixture { server: server(&["--recovery"], run, pages()), now: Millis(0), panics: 0 };
        let auth = arena("Ann");
        let [mut eve, mut ann] = [(); 2].map(|()| Mirror { auth: auth.clone(), ..<_>::default() });
        eve.connect(&mut it, 1);
        ann.connect(&mut it, 2);
        let mut others: Vec<ConnId> = Vec::new();
        for step in 3..600_u32 {
            match below(&mut seed, 16) {
                0 => {
                    let [.., a, b] = step.to_be_bytes();
                    let id = it.open(&format!("198.18.{a}.{b}"));
                    it.send(id, &handshake("/ws?room=arena"));
                    others.push(id);
                }
                1 if !others.is_empty() => {
                    let at = below(&mut seed, others.len() as u64) as usize;
                    it.server.peer_closed(others.swap_remove(at), true, it.now);
                }
                2 | 3 => {
                    for visitor in &others {
                        it.send(*visitor, &text(r#"{"type":"move","direction":"LEFT"}"#));
                        it.send(*visitor, &text(r#"{"type":"attack"}"#));
                        it.take(*visitor);
                    }
                    for link in [eve.link, ann.link].into_iter().flatten() {
                        it.send(link, &text(r#"42["move",{"x":0,"y":50}]"#));
                    }
                }
                4 | 5 => match ann.link {
                    // The rest is lost with the connection, or the connection is half-open.
                    Some(link) => {
                        let messages = ann.take(&mut it);
                        let count = below(&mut seed, messages.len() as u64 + 1) as usize;
                        ann.receive(&messages[..count]);
                        if below(&mut seed, 3) > 0 {
                            it.server.peer_closed(link, true, it.now);
                        }
                        ann.link = None;
                    }
                    None => ann.connect(&mut it, step),
                },
                6 | 7 if ann.link.is_some() => {
                    let messages = ann.take(&mut it);
                    ann.receive(&messages);
                }
                _ => it.tick(),
            }
            let messages = eve.take(&mut it);
            eve.receive(&messages);
            it.server.check_accounts().expect("memory");
        }
        if ann.link.is_none() {
            ann.connect(&mut it, 600);
        }
        (0..3).for_each(|_| it.tick());
        for mirror in [&mut eve, &mut ann] {
            let messages = mirror.take(&mut it);
            mirror.receive(&messages);
        }
        let began = order(ann.began.as_deref().expect("its first state"));
        let expected = eve.events.iter().filter(|(offset, _)| order(offset) > began);
        let expected: Vec<_> = expected.collect();
        assert_eq!(ann.events.iter().collect::<Vec<_>>(), expected, "run {run}");
        assert!(ann.players.keys().eq(eve.players.keys()), "run {run}");
        for ([x, y, hp], [eve_x, eve_y, eve_hp]) in ann.players.values().zip(eve.players.values()) {
            assert_eq!((x, y), (eve_x, eve_y), "run {run}");
            // Of health that returns, not every point is sent.
            let [hp, eve_hp] = [hp, eve_hp].map(|it| it.as_i64().expect("a number"));
            assert!(hp.abs_diff(eve_hp) < 5, "run {run}: {hp} and {eve_hp}");
        }
        recoveries += ann.recoveries;
    }
    assert!(recoveries > 300, "{recoveries} recoveries");
}

#[test]
fn events_are_forgotten_when_memory_is_short() {
    let mut it = Fixture::with_small_pages(&["--recovery", "--max-memory", "8M"]);
    let mut ann = Mirror { auth: arena("Ann"), ..<_>::default() };
    ann.connect(&mut it, 1);
    let mut comes_back = |it: &mut Fixture, address: u32| {
        let messages = ann.take(it);
        ann.receive(&messages);
        let link = ann.link.expect("it is connected");
        it.server.peer_closed(link, true, it.now);
        let visitor = it.open("192.0.2.1");
        it.send(visitor, &handshake("/ws?room=arena"));
        it.tick();
        it.server.peer_closed(visitor, true, it.now);
        it.tick();
        if address == 3 {
            // 512 bytes are counted for each: seven eighths of the maximum.
            for n in 0..14_600_u32 {
                let [.., a, b] = n.to_be_bytes();
                it.open(&format!("198.51.{a}.{b}"));
            }
        }
        // The rooms are counted once a second.
        (0..20).for_each(|_| it.tick());
        ann.connect(it, address);
        it.tick();
        let messages = ann.take(it);
        ann.receive(&messages);
        ann.recoveries
    };
    it.tick();
    assert_eq!(comes_back(&mut it, 2), 1);
    assert_eq!(comes_back(&mut it, 3), 1, "it has missed what was forgotten");
    assert_eq!(it.server.metrics().resumes, 2, "it has its player");
}
