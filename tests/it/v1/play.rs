//! The dialect over sockets.

use std::net::SocketAddr;

use skirmish::codec::v1::client::{ClientMessage, Input, encode_who};
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::server::{Part, Parts};
use skirmish::codec::v1::welcome::Welcome;
use skirmish::codec::v1::{Body, Course, Replica, Schema};

use crate::harness::{Answer, KEY, Peer, TestServer, place, request, until};

/// A client that has received WELCOME.
pub struct Client {
    pub peer: Peer,
    pub welcome: Welcome,
    schema: Schema,
    replica: Replica,
}

fn ask(addr: SocketAddr, target: &str, fields: &str) -> (Peer, Answer) {
    let mut peer = Peer::connect(addr);
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{fields}"
    );
    peer.send(request(addr, &format!("GET {target}"), &fields).as_bytes());
    let answer = peer.answer(true);
    (peer, answer)
}

impl Client {
    pub fn join(addr: SocketAddr, target: &str) -> Client {
        let offer = "Sec-WebSocket-Protocol: chat, skirmish.v1\r\n\
                     Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let (mut peer, answer) = ask(addr, target, offer);
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.field("sec-websocket-protocol"), Some("skirmish.v1"));
        assert_eq!(answer.field("sec-websocket-extensions"), None);
        let first = peer.frame();
        assert_eq!(first.first, 0x82, "a binary frame");
        let welcome = Welcome::decode(&first.payload).expect("WELCOME is first");
        let schema = welcome.schema();
        Client { peer, welcome, replica: Replica::new(schema.clone()), schema }
    }

    /// Receives a message. Returns its bytes.
    pub fn receive(&mut self) -> Vec<u8> {
        let frame = self.peer.frame();
        assert_eq!(frame.first, 0x82, "a binary frame");
        let received = self.replica.receive(&frame.payload);
        assert_eq!(received, Ok(Received::Applied), "{:02x?}", frame.payload);
        frame.payload
    }

    fn send(&mut self, message: ClientMessage) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.peer.send_frame(0x82, &bytes);
    }

    /// Asks about bodies. Returns their players, and the number of parts of the message with them.
    fn ask_who(&mut self, bodies: &[Body]) -> (Vec<(u32, String)>, usize) {
        let mut who = Vec::new();
        encode_who(bodies.iter().map(|body| (body.id, body.generation)), &mut who);
        self.peer.send_frame(0x82, &who);
        until("a ROSTER", || {
            let message = self.receive();
            let parts = || Parts::new(&message, &self.schema).map(|part| part.expect("valid"));
            let roster = parts().find_map(|part| match part {
                Part::Roster(roster) => Some(roster),
                _ => None,
            });
            Some((roster?.map(|it| (it.player, it.name.to_owned())).collect(), parts().count()))
        })
    }

    /// Sends keys, none of which is held, and acknowledges the newest tick.
    pub fn acknowledge(&mut self) {
        let ack = self.replica.head().expect("a tick").tick.0 as u16;
        self.send(ClientMessage::Input(Input { ack, ..Input::default() }));
    }

    fn body(&self, slot: u16) -> Option<Body> {
        let mut lists = self.replica.cells().map(|(_, list)| list.bodies());
        lists.find_map(|bodies| bodies.iter().find(|body| body.id == slot).copied())
    }

    /// Receives messages until something holds.
    fn until(&mut self, holds: impl Fn(&Client) -> bool) {
        until("a tick", || {
            self.receive();
            holds(self).then_some(())
        });
    }
}

// T69
#[test]
fn a_client_and_one_of_json_see_each_other_in_one_room() {
    let server = TestServer::start(&[]);
    let (mut json, json_id) = Peer::join(server.addr, "/ws?room=dots");
    let mut client = Client::join(server.addr, "/ws?room=dots&name=Ann");
    let own = client.welcome.slot;
    assert_eq!((client.welcome.rules.as_str(), client.welcome.resume_s), ("dots", Some(30)));
    client.until(|client| client.replica.cells().any(|(_, list)| list.bodies().len() == 2));
    let head = *client.replica.head().expect("a tick");
    let body = client.body(own).expect("its own body");
    assert_eq!((body.x, body.y), (head.x, head.y));

    // It walks until it stands at a wall, in a straight line, and says twice a second that it does.
    let mut input = Input { direction: Course::Left, seq: 100, ..Input::default() };
    client.send(ClientMessage::Input(input));
    client.until(|client| client.body(own).is_some_and(|body| body.state.course() == Course::Left));
    let id = client.welcome.id.clone();
    // Earlier states are those of one player.
    json.until_text(&[&format!("{{\"id\":\"{id}\"")]);
    let mut seen = Vec::new();
    until("the wall", || {
        input.seq += 1;
        if input.seq.is_multiple_of(10) {
            // It reads what was sent in the meantime, and acknowledges it.
            client.receive();
            input.ack = client.replica.head().expect("a tick").tick.0 as u16;
            client.send(ClientMessage::Input(input));
        }
        let state = json.frame().text().to_owned();
        seen.push(place(&state, &id).0);
        (seen.last() == Some(&10)).then_some(())
    });
    assert!(seen.is_sorted_by(|one, other| one >= other && one - other <= 10), "{seen:?}");
    client.until(|client| client.replica.head().is_some_and(|head| head.x == 10));
    let head = client.replica.head().expect("a tick");
    assert!((100..1_000).contains(&head.applied), "{}", head.applied);

    // It sees the other one move, and asks for its name.
    let others = client.replica.cells().flat_map(|(_, list)| list.bodies()).copied();
    let other = others.into_iter().find(|body| body.id != own).expect("there are two");
    let key = if other.y > 250 { "UP" } else { "DOWN" };
    json.send_text(&format!(r#"{{"type":"move","direction":"{key}"}}"#));
    client.until(|client| client.body(other.id).is_some_and(|body| body.y != other.y));
    let own_body = client.body(own).expect("its own body");
    let (roster, parts) = client.ask_who(&[other, own_body]);
    let number = |id: &str| id.parse::<u32>().expect("a number");
    let (json_id, id) = (number(&json_id), number(&id));
    assert_eq!(roster, [(json_id, String::new()), (id, "Ann".to_owned())]);
    assert!(parts > 1, "it came with a state");
    let (roster, parts) = client.ask_who(&[own_body]);
    assert_eq!((roster, parts), (vec![(id, "Ann".to_owned())], 1), "the answer to a ping");

    // A keyframe, on request.
    client.send(ClientMessage::Resync);
    client.until(|client| client.replica.head().is_some_and(|head| head.age == 0));
    // Both are there, and the other leaves.
    drop(json);
    client.until(|client| client.body(other.id).is_none());
}

#[test]
fn attacks_with_held_keys_hit_and_are_events() {
    let server = TestServer::start(&[]);
    let mut clients: Vec<Client> =
        (0..2).map(|_| Client::join(server.addr, "/ws?room=battle")).collect();
    let names: Vec<&str> = clients[0].welcome.events.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names[..3], ["player_attacked", "player_killed", "player_attack"]);
    let attack = 16 + 2;
    let input = Input { presses: 1, seq: 5, ..Input::default() };
    clients[0].send(ClientMessage::Input(Input { presses: 0, seq: 4, ..input }));
    clients[0].send(ClientMessage::Input(input));
    let attacker = clients[0].welcome.slot;
    for client in &mut clients {
        let arguments = until("an attack", || {
            let message = client.receive();
            let mut parts = Parts::new(&message, &client.schema).map(|part| part.expect("valid"));
            parts.find_map(|part| match part {
                Part::Event(event) if event.kind == attack => Some(event.arguments),
                _ => None,
            })
        });
        assert_eq!(arguments[0], i32::from(attacker));
    }
}

#[test]
fn a_malformed_message_is_counted_and_logged_and_a_flood_of_them_ends_the_client() {
    let mut server = TestServer::start(&["--log-level", "warn"]);
    let mut client = Client::join(server.addr, "/");
    for bytes in [&[0x10, 1, 2][..], &[0x14, 9], &[0x13, 21], &[0xff], b""] {
        client.peer.send_frame(0x82, bytes);
    }
    server.until_metric("skirmish_drops_total{reason=\"unknown\"}", 5);
    server.until_logged("message is unknown");
    for _ in 0..3_000 {
        client.peer.send_frame(0x82, &[0xff]);
    }
    let end = until("the end", || {
        let frame = client.peer.frame();
        (frame.first == 0x88).then(|| frame.close().0)
    });
    assert_eq!(end, Some(4029));
}
