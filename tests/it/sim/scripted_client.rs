//! A Socket.IO client for directed tests on a [`Fixture`]: over polling, over WebSocket, or
//! upgraded. The test scripts what it sends; its [`ClientModel`] checks what it receives.

use skirmish::server::ConnId;

use super::client_model::{ClientModel, Packet};
use super::fixture::{Fixture, masked, text};
use super::requests::{opening, polling, posting, upgrading};
use super::response_reader::{Received, ResponseReader};

/// A connection and its reader.
pub struct Connection {
    pub id: ConnId,
    reader: ResponseReader,
}

impl Connection {
    pub fn open(fixture: &mut Fixture, peer: &str) -> Connection {
        Connection { id: fixture.open(peer), reader: ResponseReader::default() }
    }

    pub fn send_request(&mut self, fixture: &mut Fixture, request: &[u8]) {
        self.reader.expect_response(false);
        fixture.send(self.id, request);
    }

    /// What the server sends, up to `most` bytes.
    pub fn receive_up_to(&mut self, fixture: &mut Fixture, most: usize) -> Vec<Received> {
        fixture.server.take_dirty(&mut Vec::new(), &mut Vec::new(), fixture.now);
        let bytes = fixture.take_up_to(self.id, most);
        let mut received = Vec::new();
        self.reader.read(&bytes, &mut received).expect("valid server output");
        received
    }

    pub fn receive(&mut self, fixture: &mut Fixture) -> Vec<Received> {
        self.receive_up_to(fixture, usize::MAX)
    }

    /// The only response: its status and body.
    pub fn response(&mut self, fixture: &mut Fixture) -> (u16, String) {
        match self.receive(fixture).as_slice() {
            [Received::Response(status, _, body)] => {
                (*status, String::from_utf8(body.clone()).expect("text"))
            }
            other => panic!("not one response: {other:?}"),
        }
    }
}

pub struct ScriptedClient {
    /// The connections for polls and for posts.
    pub get: Connection,
    pub post: Connection,
    /// The WebSocket, unless the transport is polling.
    pub websocket: Option<Connection>,
    pub sid: String,
    pub model: ClientModel,
    /// Whether a poll waits for its response.
    is_polling: bool,
}

impl ScriptedClient {
    /// Opens a session over polling.
    pub fn open(fixture: &mut Fixture, peer: &str) -> ScriptedClient {
        let (mut get, post) = (Connection::open(fixture, peer), Connection::open(fixture, peer));
        get.send_request(fixture, &opening(""));
        let (status, body) = get.response(fixture);
        assert_eq!(status, 200, "{body}");
        let mut model = ClientModel::default();
        let Ok(Packet::Open(sid)) = model.packet(&body) else { panic!("{body}") };
        ScriptedClient { get, post, websocket: None, sid, model, is_polling: false }
    }

    /// Opens a session over WebSocket.
    pub fn open_websocket(fixture: &mut Fixture, peer: &str) -> ScriptedClient {
        let (get, post) = (Connection::open(fixture, peer), Connection::open(fixture, peer));
        let mut websocket = Connection::open(fixture, peer);
        websocket.send_request(fixture, &upgrading(""));
        let received = websocket.receive(fixture);
        let [Received::Upgraded, Received::Text(open)] = received.as_slice() else {
            panic!("{received:?}")
        };
        let mut model = ClientModel::default();
        let Ok(Packet::Open(sid)) = model.packet(open) else { panic!("{open}") };
        ScriptedClient { get, post, websocket: Some(websocket), sid, model, is_polling: false }
    }

    /// Joins a room and receives the player list, which comes on the next tick.
    pub fn join(
        fixture: &mut Fixture,
        peer: &str,
        room: &str,
        is_websocket: bool,
    ) -> ScriptedClient {
        let mut client = match is_websocket {
            true => ScriptedClient::open_websocket(fixture, peer),
            false => ScriptedClient::open(fixture, peer),
        };
        client.connect(fixture, room);
        let packets = client.receive_packets(fixture);
        assert!(matches!(packets[0], Packet::Connected(_)), "{packets:?}");
        fixture.tick();
        let packets = client.receive_packets(fixture);
        assert!(client.model.has_player_list, "{packets:?}");
        client
    }

    pub fn connect(&mut self, fixture: &mut Fixture, room: &str) {
        self.model.start_connecting();
        self.send(fixture, &format!(r#"40{{"room":"{room}"}}"#));
    }

    pub fn number(&self) -> u32 {
        self.model.number.expect("it joined")
    }

    /// Sends packets; over polling, all in one payload.
    pub fn send(&mut self, fixture: &mut Fixture, payload: &str) {
        if let Some(websocket) = &mut self.websocket {
            let frames: Vec<u8> = payload.split('\x1e').flat_map(text).collect();
            fixture.send(websocket.id, &frames);
            return;
        }
        self.post.send_request(fixture, &posting(&self.sid, payload));
        assert_eq!(self.post.response(fixture), (200, "ok".to_owned()), "{payload}");
    }

    /// Sends an event that expects an acknowledgement.
    pub fn send_request(&mut self, fixture: &mut Fixture, event: &str) {
        let id = self.model.next_ack_id();
        self.send(fixture, &format!("42{id}{event}"));
    }

    pub fn poll(&mut self, fixture: &mut Fixture) {
        self.is_polling = true;
        self.get.send_request(fixture, &polling(&self.sid));
    }

    /// The packets received now. Over polling: the response to the poll, if it has arrived.
    pub fn receive_packets(&mut self, fixture: &mut Fixture) -> Vec<Packet> {
        if let Some(websocket) = &mut self.websocket {
            let received = websocket.receive(fixture);
            let (pings, packets): (Vec<_>, Vec<_>) = received.into_iter().partition(is_ping);
            for _ in pings {
                fixture.send(websocket.id, &masked(0x8a, &[]));
            }
            return self.read_packets(packets);
        }
        if !self.is_polling {
            self.poll(fixture);
        }
        self.poll_response(fixture).unwrap_or_default()
    }

    /// Receives everything available. Over polling, a poll waits from here on.
    pub fn catch_up(&mut self, fixture: &mut Fixture) {
        while !self.receive_packets(fixture).is_empty() {}
    }

    /// The response to the poll, if it has arrived.
    pub fn poll_response(&mut self, fixture: &mut Fixture) -> Option<Vec<Packet>> {
        match self.get.receive(fixture).as_slice() {
            [] => None,
            [Received::Response(200, _, body)] => {
                self.is_polling = false;
                let body = String::from_utf8(body.clone()).expect("text");
                Some(self.model.payload(&body).expect("valid server output"))
            }
            other => panic!("not a payload: {other:?}"),
        }
    }

    /// The status of a poll over a new connection.
    pub fn status_of_next_poll(&mut self, fixture: &mut Fixture) -> u16 {
        let mut connection = Connection::open(fixture, "127.0.0.1");
        connection.send_request(fixture, &polling(&self.sid));
        connection.response(fixture).0
    }

    /// The packets in the messages of its WebSocket.
    pub fn read_packets(&mut self, received: Vec<Received>) -> Vec<Packet> {
        let packet = |received| match received {
            Received::Text(text) => Some(self.model.packet(&text).expect("valid server output")),
            Received::Ping(_) => None,
            other => panic!("not a packet: {other:?}"),
        };
        received.into_iter().filter_map(packet).collect()
    }
}

fn is_ping(received: &Received) -> bool {
    matches!(received, Received::Ping(_))
}

/// The value of a gauge, read from loopback.
pub fn gauge(fixture: &mut Fixture, name: &str) -> u64 {
    let mut connection = Connection::open(fixture, "127.0.0.1");
    connection.send_request(fixture, b"GET /metrics HTTP/1.1\r\nHost: localhost:8765\r\n\r\n");
    let (status, page) = connection.response(fixture);
    assert_eq!(status, 200, "{page}");
    fixture.server.peer_closed(connection.id, true, fixture.now);
    fixture.server.take_ended(&mut Vec::new());
    let name = format!("skirmish_{name} ");
    let value = page
        .lines()
        .find_map(|connection| connection.strip_prefix(&name))
        .expect("the gauge exists");
    value.parse().expect("a number")
}
