//! A client of skirmish.v1 for directed tests on a [`Fixture`]. Its model checks what it receives.

use skirmish::codec::v1::Course;
use skirmish::codec::v1::client::{ClientMessage, Input, encode_who};
use skirmish::server::ConnId;

use super::fixture::{Fixture, handshake, masked, with_fields};
use super::response_reader::{Received, ResponseReader};
use super::v1_client::{Message, OFFER, V1Client, put};

pub const LOCAL: &str = "127.0.0.1";

/// A client, which answers pings.
pub struct Peer {
    pub id: ConnId,
    reader: ResponseReader,
    pub model: V1Client,
    step: u16,
    pub close: Option<(Option<u16>, String)>,
}

impl Peer {
    /// A client that has asked to join, with more header fields.
    pub fn ask(fixture: &mut Fixture, target: &str, fields: &str) -> Peer {
        let id = fixture.open(LOCAL);
        let mut reader = ResponseReader::default();
        reader.expect_response(false);
        fixture.send(id, &with_fields(handshake(target), &format!("{OFFER}{fields}")));
        Peer { id, reader, model: V1Client::default(), step: 0, close: None }
    }

    /// A client that has received WELCOME.
    pub fn join(fixture: &mut Fixture, target: &str) -> Peer {
        let mut peer = Peer::ask(fixture, target, "");
        let received = peer.receive(fixture);
        assert!(received.len() == 1 && received[0].is_welcome, "{received:?}");
        peer
    }

    pub fn receive(&mut self, fixture: &mut Fixture) -> Vec<Message> {
        self.receive_up_to(fixture, usize::MAX).0
    }

    /// Receives at most `most` bytes. Returns the messages and the number of bytes.
    pub fn receive_up_to(&mut self, fixture: &mut Fixture, most: usize) -> (Vec<Message>, usize) {
        fixture.server.take_dirty(&mut Vec::new(), &mut Vec::new(), fixture.now);
        let bytes = fixture.take_up_to(self.id, most);
        let mut received = Vec::new();
        self.reader.read(&bytes, &mut received).expect("valid server output");
        let mut messages = Vec::new();
        for received in received {
            match received {
                Received::Binary(payload) => {
                    messages.push(self.model.receive(&payload).expect("a valid message"));
                }
                Received::Ping(ping) => {
                    fixture.send(self.id, &masked(0x8a, &ping));
                }
                Received::Close(code, reason) => self.close = Some((code, reason)),
                Received::Upgraded | Received::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
        (messages, bytes.len())
    }

    pub fn send(&self, fixture: &mut Fixture, message: ClientMessage) {
        let mut bytes = Vec::new();
        put(message, &mut bytes);
        fixture.send(self.id, &bytes);
    }

    /// Holds a direction from the next step on.
    pub fn hold(&mut self, fixture: &mut Fixture, direction: Course) {
        self.step += 1;
        let seq = self.step;
        self.model.first.get_or_insert((seq, 0));
        let input = Input { direction, seq, ack: self.ack(), ..Input::default() };
        self.send(fixture, ClientMessage::Input(input));
    }

    /// The low bits of the tick that it has; without one, of a tick that it cannot have.
    pub fn ack(&self) -> u16 {
        self.model.head().map_or(u16::MAX, |head| head.tick.0 as u16)
    }

    pub fn who(&self, fixture: &mut Fixture, body: (u16, u8)) {
        let mut who = Vec::new();
        encode_who([body].into_iter(), &mut who);
        fixture.send(self.id, &masked(0x82, &who));
    }

    /// The tick that it has.
    pub fn tick(&self) -> u32 {
        self.model.head().expect("a tick").tick.0
    }

    /// Where its bodies are, in the order of their slots.
    pub fn places(&self) -> Vec<(u16, u16, u16)> {
        self.model.bodies().iter().map(|(body, _)| (body.id, body.x, body.y)).collect()
    }
}

/// A client that reads all, and others that walk: after each tick it has the newest one.
pub fn walkers(fixture: &mut Fixture, room: &str, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::join(fixture, &format!("/ws?room={room}"))).collect()
}

pub fn walk(fixture: &mut Fixture, walkers: &mut [Peer], round: usize) {
    for (index, walker) in walkers.iter_mut().enumerate() {
        if (round + index).is_multiple_of(3) {
            walker.hold(fixture, Course::ALL[1 + (round / 3 + index) % 4]);
        }
    }
    fixture.tick();
    for walker in walkers {
        walker.receive(fixture);
    }
}
