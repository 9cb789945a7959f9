//! An Engine.IO client that starts with polling, each request on its own connection.

use std::net::SocketAddr;

use crate::harness::{Answer, Peer, between, request};

pub struct Client {
    addr: SocketAddr,
    pub query: String,
}

/// The body of the response for an unknown session.
pub const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

impl Client {
    pub fn open(addr: SocketAddr) -> Client {
        Client::open_at(addr, "/engine.io/")
    }

    pub fn open_at(addr: SocketAddr, path: &str) -> Client {
        Client::open_with(addr, path, "")
    }

    /// Opens a session with more query parameters: nothing, or `&name=value`.
    pub fn open_with(addr: SocketAddr, path: &str, more: &str) -> Client {
        let query = format!("{path}?EIO=4&transport=polling");
        let answer = get(addr, &format!("{query}{more}"));
        assert_eq!(answer.status, 200);
        let sid = between(&answer.text(), "\"sid\":\"", "\"").to_owned();
        Client { addr, query: format!("{query}&sid={sid}") }
    }

    pub fn poll(&self) -> Answer {
        get(self.addr, &self.query)
    }

    /// Sends a poll without waiting for its response.
    pub fn begin_poll(&self) -> Peer {
        let mut peer = Peer::connect(self.addr);
        peer.send(request(self.addr, &format!("GET {}", self.query), "").as_bytes());
        peer
    }

    pub fn post(&self, body: &str) -> Answer {
        post(self.addr, &self.query, body)
    }

    /// The target of the upgrade to WebSocket.
    pub fn websocket(&self) -> String {
        self.query.replace("polling", "websocket")
    }

    pub fn upgrade(&self) -> Peer {
        let mut socket = Peer::upgrade(self.addr, &self.websocket());
        socket.send_text("2probe");
        assert_eq!(socket.frame().text(), "3probe");
        socket.send_text("5");
        socket
    }

    /// Asserts that the session has ended.
    pub fn is_gone(&self) {
        assert_eq!(text(&self.poll()), (400, UNKNOWN.into()));
    }
}

pub fn get(addr: SocketAddr, target: &str) -> Answer {
    Peer::connect(addr).get(target)
}

pub fn post(addr: SocketAddr, target: &str, body: &str) -> Answer {
    let fields = format!("Content-Length: {}\r\n", body.len());
    Peer::connect(addr).ask(&format!("{}{body}", request(addr, &format!("POST {target}"), &fields)))
}

pub fn text(answer: &Answer) -> (u16, String) {
    (answer.status, answer.text())
}
