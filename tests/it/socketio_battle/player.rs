//! A player that speaks Socket.IO over one of the transports.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::harness::{Peer, TestServer, until};
use crate::polling_client::{Client, text};
use crate::states::{state, state_after, tick};

pub const ATTACK: &str = r#"["attack",{}]"#;

const OVER_WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

#[derive(Clone, Copy, Debug)]
pub enum Transport {
    Polling,
    WebSocket,
    Upgrade,
}

pub const TRANSPORTS: [Transport; 3] =
    [Transport::Polling, Transport::WebSocket, Transport::Upgrade];

pub enum Link {
    Polling(Client),
    WebSocket(Peer),
}

/// A player that speaks Socket.IO, and the packets it has received but not read.
pub struct SocketIoPlayer {
    pub link: Link,
    inbox: VecDeque<String>,
    asked: u32,
    /// The numbers of the room's rules.
    pub rules: Value,
}

impl SocketIoPlayer {
    /// A session that has not connected to the namespace.
    pub fn dial(server: &TestServer, transport: Transport, query: &str) -> SocketIoPlayer {
        let path = format!("{OVER_WEBSOCKET}{query}");
        let link = match transport {
            Transport::Polling => Link::Polling(open(server, query)),
            Transport::WebSocket => {
                let mut peer = Peer::upgrade(server.addr, &path);
                assert!(peer.frame().text().starts_with("0{"));
                Link::WebSocket(peer)
            }
            Transport::Upgrade => Link::WebSocket(open(server, query).upgrade()),
        };
        SocketIoPlayer { link, inbox: VecDeque::new(), asked: 0, rules: Value::Null }
    }

    /// A player in a room, and its number. The events about the room are not read yet.
    pub fn join(
        server: &TestServer,
        transport: Transport,
        auth: &Value,
    ) -> (SocketIoPlayer, String) {
        let mut player = SocketIoPlayer::dial(server, transport, "");
        let id = player.connect(auth);
        (player, id)
    }

    /// Connects to the main namespace and returns the player's number.
    pub fn connect(&mut self, auth: &Value) -> String {
        self.send(&format!("40{auth}"));
        let welcome = self.packet();
        let sid = welcome.strip_prefix("40").expect("a CONNECT response").to_owned();
        let sid: Value = serde_json::from_str(&sid).expect("JSON");
        assert_eq!(sid.as_object().map(serde_json::Map::len), Some(1));
        let (event, rules) = self.event();
        assert_eq!((event.as_str(), &rules["tick_ms"]), ("rules", &json!(50)));
        self.rules = rules;
        sid["sid"].as_str().expect("a string").to_owned()
    }

    pub fn send(&mut self, packet: &str) {
        match &mut self.link {
            Link::Polling(client) => assert_eq!(text(&client.post(packet)), (200, "ok".into())),
            Link::WebSocket(peer) => peer.send_text(packet),
        }
    }

    pub fn packet(&mut self) -> String {
        loop {
            if let Some(packet) = self.inbox.pop_front() {
                return packet;
            }
            match &mut self.link {
                Link::Polling(client) => {
                    let answer = client.poll();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    self.inbox.extend(answer.text().split('\x1e').map(str::to_owned));
                }
                Link::WebSocket(peer) => self.inbox.push_back(peer.frame().text().to_owned()),
            }
        }
    }

    /// The next event that the first clients of battle know. They ignore all others.
    pub fn event(&mut self) -> (String, Value) {
        loop {
            let (name, data) = self.any_event();
            if !["player_attack", "room", "round"].contains(&name.as_str()) {
                return (name, data);
            }
        }
    }

    pub fn any_event(&mut self) -> (String, Value) {
        let packet = self.packet();
        let list = packet.strip_prefix("42").unwrap_or_else(|| panic!("not an event: {packet}"));
        let list: Value = serde_json::from_str(list).expect("JSON");
        assert_eq!(list.as_array().map(Vec::len), Some(2), "{packet}");
        (list[0].as_str().expect("a name").to_owned(), list[1].clone())
    }

    /// The next event of that name; skips others.
    pub fn until_event(&mut self, name: &str) -> Value {
        loop {
            let (received, data) = self.any_event();
            if received == name {
                return data;
            }
        }
    }

    /// The next event of that name about a player; skips others.
    pub fn until_about(&mut self, name: &str, id: &str) -> Value {
        loop {
            let data = self.until_event(name);
            if data["id"] == id {
                return data;
            }
        }
    }

    /// Emits an event and reads until its acknowledgement; skips everything before it.
    pub fn ask(&mut self, list: &str) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&format!("42{id}{list}"));
        let prefix = format!("43{id}[");
        loop {
            let packet = self.packet();
            if let Some(answer) = packet.strip_prefix(&prefix) {
                return serde_json::from_str(answer.strip_suffix(']').expect("a list"))
                    .expect("JSON");
            }
            assert!(packet.starts_with("42"), "{packet}");
        }
    }

    /// Moves once towards a position, and returns the position reached.
    pub fn go(&mut self, (x, y): (i64, i64)) -> (i64, i64) {
        let answer = self.ask(&json!(["move", {"x": x, "y": y}]).to_string());
        assert_eq!(answer["ok"], true, "{answer}");
        place(&answer["position"])
    }

    /// Walks to a position, and waits until all moves are saved again.
    pub fn walk(&mut self, to: (i64, i64), clock: &mut Clock) {
        until("the player arrived", || {
            clock.ticks(1);
            (self.go(to) == to).then_some(())
        });
        clock.rest();
    }

    /// Attacks as soon as the cooldown is over.
    pub fn attack(&mut self, clock: &mut Clock) {
        until("the cooldown is over", || {
            let answer = self.ask(ATTACK);
            if answer["ok"] == true {
                return Some(());
            }
            assert_eq!(answer, json!({"ok": false, "error": "cooldown"}));
            clock.ticks(1);
            None
        });
    }

    /// Asserts that the server ends the session: over WebSocket with this code, over polling with a
    /// close packet. Returns the last packet before the end.
    pub fn expect_end(&mut self, code: Option<u16>) -> String {
        match &mut self.link {
            Link::Polling(client) => {
                let mut packets: Vec<String> = self.inbox.drain(..).collect();
                while packets.last().is_none_or(|last| last != "1") {
                    let answer = client.poll();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    packets.extend(answer.text().split('\x1e').map(str::to_owned));
                }
                client.is_gone();
                packets.into_iter().rev().nth(1).unwrap_or_default()
            }
            Link::WebSocket(peer) => {
                let mut last = String::new();
                loop {
                    let frame = peer.frame();
                    if frame.first == 0x88 {
                        assert_eq!(frame.close().0, code);
                        return last;
                    }
                    last = frame.text().to_owned();
                }
            }
        }
    }
}

/// A player in another room that counts ticks for players that must not send more often.
pub struct Clock(Peer);

impl Clock {
    pub fn start(server: &TestServer) -> Clock {
        Clock(Peer::join(server.addr, "/ws?room=dots-clock").0)
    }

    pub fn ticks(&mut self, count: u64) {
        // A state request keeps the clock's own connection alive.
        let end = tick(&state_after(&mut self.0)) + count;
        while tick(&state(&mut self.0)) < end {}
    }

    /// Waits until every player has its full move credit.
    pub fn rest(&mut self) {
        self.ticks(5);
    }
}

pub fn open(server: &TestServer, query: &str) -> Client {
    Client::open_with(server.addr, "/socket.io/", query)
}

pub fn place(position: &Value) -> (i64, i64) {
    let at = |axis: &str| position[axis].as_i64().expect("a whole number");
    (at("x"), at("y"))
}
