//! A client of Socket.IO on the bench of one `Server`: over requests, over a WebSocket, or over one
//! and then the other. It says what it is told to say, and believes what it must.

use skirmish::server::ConnId;

use super::ear::{Ear, Heard};
use super::lab::{Lab, handshake, text};
use super::mind::{Mind, Said};

/// A request of Engine.IO that begins a session, with whatever else stands in its query.
pub fn opening(query: &str) -> Vec<u8> {
    format!("GET /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: play.example\r\n\r\n")
        .into_bytes()
}

/// A poll.
pub fn polling(sid: &str) -> Vec<u8> {
    opening(&format!("&sid={sid}"))
}

/// A payload.
pub fn posting(sid: &str, payload: &str) -> Vec<u8> {
    let length = payload.len();
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: play.example\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n{payload}"
    )
    .into_bytes()
}

/// A request for a WebSocket: for the session of that name, or for a new one.
pub fn upgrading(sid: &str) -> Vec<u8> {
    match sid {
        "" => handshake("/socket.io/?EIO=4&transport=websocket"),
        sid => handshake(&format!("/socket.io/?EIO=4&transport=websocket&sid={sid}")),
    }
}

/// One connection, and what was heard over it.
pub struct Line {
    pub id: ConnId,
    ear: Ear,
}

impl Line {
    pub fn open(lab: &mut Lab, peer: &str) -> Line {
        Line { id: lab.open(peer), ear: Ear::default() }
    }

    /// Sends a request.
    pub fn ask(&mut self, lab: &mut Lab, request: &[u8]) {
        self.ear.asked(false);
        lab.send(self.id, request);
    }

    /// What comes of what was said, as far as the socket takes it.
    pub fn hear_up_to(&mut self, lab: &mut Lab, most: usize) -> Vec<Heard> {
        lab.server.take_dirty(&mut Vec::new(), lab.now);
        let bytes = lab.take_up_to(self.id, most);
        let mut heard = Vec::new();
        self.ear.hear(&bytes, &mut heard).expect("the server is right");
        heard
    }

    pub fn hear(&mut self, lab: &mut Lab) -> Vec<Heard> {
        self.hear_up_to(lab, usize::MAX)
    }

    /// The only response: its status and body.
    pub fn response(&mut self, lab: &mut Lab) -> (u16, String) {
        match self.hear(lab).as_slice() {
            [Heard::Response(status, _, body)] => {
                (*status, String::from_utf8(body.clone()).expect("text"))
            }
            other => panic!("no response: {other:?}"),
        }
    }
}

pub struct Caller {
    /// What it polls over, and what it posts over.
    pub get: Line,
    pub post: Line,
    /// What carries it, unless requests do.
    pub socket: Option<Line>,
    pub sid: String,
    pub mind: Mind,
    /// Whether a poll waits for its answer.
    polls: bool,
}

impl Caller {
    /// A session over requests.
    pub fn open(lab: &mut Lab, peer: &str) -> Caller {
        let (mut get, post) = (Line::open(lab, peer), Line::open(lab, peer));
        get.ask(lab, &opening(""));
        let (status, body) = get.response(lab);
        assert_eq!(status, 200, "{body}");
        let mut mind = Mind::default();
        let Ok(Said::Open(sid)) = mind.packet(&body) else { panic!("{body}") };
        Caller { get, post, socket: None, sid, mind, polls: false }
    }

    /// A session over a WebSocket.
    pub fn open_socket(lab: &mut Lab, peer: &str) -> Caller {
        let (get, post) = (Line::open(lab, peer), Line::open(lab, peer));
        let mut socket = Line::open(lab, peer);
        socket.ask(lab, &upgrading(""));
        let heard = socket.hear(lab);
        let [Heard::Upgraded, Heard::Text(open)] = heard.as_slice() else { panic!("{heard:?}") };
        let mut mind = Mind::default();
        let Ok(Said::Open(sid)) = mind.packet(open) else { panic!("{open}") };
        Caller { get, post, socket: Some(socket), sid, mind, polls: false }
    }

    /// A player in a room, who knows who is there.
    pub fn join(lab: &mut Lab, peer: &str, room: &str, has_socket: bool) -> Caller {
        let mut caller = match has_socket {
            true => Caller::open_socket(lab, peer),
            false => Caller::open(lab, peer),
        };
        caller.come_in(lab, room);
        let said = caller.told(lab);
        assert!(matches!(said[0], Said::Welcome(_)), "{said:?}");
        assert!(caller.mind.is_introduced, "{said:?}");
        caller
    }

    pub fn come_in(&mut self, lab: &mut Lab, room: &str) {
        self.mind.ask_in();
        self.say(lab, &format!(r#"40{{"room":"{room}"}}"#));
    }

    pub fn number(&self) -> u32 {
        self.mind.number.expect("it is in")
    }

    /// Says packets, all in one payload if it has no WebSocket.
    pub fn say(&mut self, lab: &mut Lab, payload: &str) {
        if let Some(socket) = &mut self.socket {
            let frames: Vec<u8> = payload.split('\x1e').flat_map(text).collect();
            lab.send(socket.id, &frames);
            return;
        }
        self.post.ask(lab, &posting(&self.sid, payload));
        assert_eq!(self.post.response(lab), (200, "ok".to_owned()), "{payload}");
    }

    /// Says an event and asks for an answer.
    pub fn ask(&mut self, lab: &mut Lab, event: &str) {
        let id = self.mind.ask();
        self.say(lab, &format!("42{id}{event}"));
    }

    pub fn poll(&mut self, lab: &mut Lab) {
        self.polls = true;
        self.get.ask(lab, &polling(&self.sid));
    }

    /// What it hears now; over requests that is the answer to a poll, if there is one already.
    pub fn told(&mut self, lab: &mut Lab) -> Vec<Said> {
        if let Some(socket) = &mut self.socket {
            let heard = socket.hear(lab);
            return self.understand(heard);
        }
        if !self.polls {
            self.poll(lab);
        }
        self.answer(lab).unwrap_or_default()
    }

    /// Hears all that there is to be told; over requests a poll waits from here on.
    pub fn catch_up(&mut self, lab: &mut Lab) {
        while !self.told(lab).is_empty() {}
    }

    /// The answer to the poll, if it has come.
    pub fn answer(&mut self, lab: &mut Lab) -> Option<Vec<Said>> {
        match self.get.hear(lab).as_slice() {
            [] => None,
            [Heard::Response(200, _, body)] => {
                self.polls = false;
                let body = String::from_utf8(body.clone()).expect("text");
                Some(self.mind.payload(&body).expect("the server is right"))
            }
            other => panic!("no payload: {other:?}"),
        }
    }

    /// The status that a poll gets over a new connection.
    pub fn after_the_end(&mut self, lab: &mut Lab) -> u16 {
        let mut line = Line::open(lab, "127.0.0.1");
        line.ask(lab, &polling(&self.sid));
        line.response(lab).0
    }

    /// What the frames of its WebSocket say.
    pub fn understand(&mut self, heard: Vec<Heard>) -> Vec<Said> {
        let packet = |heard| match heard {
            Heard::Text(text) => self.mind.packet(&text).expect("the server is right"),
            other => panic!("no packet: {other:?}"),
        };
        heard.into_iter().map(packet).collect()
    }
}

/// The value of a gauge, as somebody on this machine reads it.
pub fn gauge(lab: &mut Lab, name: &str) -> u64 {
    let mut line = Line::open(lab, "127.0.0.1");
    line.ask(lab, b"GET /metrics HTTP/1.1\r\nHost: localhost:8765\r\n\r\n");
    let (status, page) = line.response(lab);
    assert_eq!(status, 200, "{page}");
    lab.server.hang_up(line.id, true, lab.now);
    lab.server.take_ended(&mut Vec::new());
    let name = format!("skirmish_{name} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&name)).expect("it is there");
    value.parse().expect("a number")
}
