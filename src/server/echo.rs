//! `--echo`: messages are sent back, as conformance suites expect.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::conn::Conn;
use super::ids::{ConnId, EioId};
use super::send;
use super::socketio::packets::{self, Call, Event};
use super::socketio::session::EioMessage;
use super::state::State;
use crate::limits::ECHO_AUTH_AFTER_MS;
use crate::outbox::{Encoded, Lane};
use crate::socketio::packet::{Header, Kind};
use crate::time::Millis;
use crate::wire::packet;
use crate::ws::deflate::{Agreement, Deflater};
use crate::ws::{Data, frame};

/// The compression level of messages that are sent back.
const ECHO_LEVEL: u32 = 2;

/// The application that the official Socket.IO suite expects.
#[derive(Debug, Default)]
pub struct Echo {
    /// What compresses the messages of plain WebSockets.
    pub compressors: Compressors,
    delayed: Vec<Delayed>,
}

/// A packet to be sent on a later tick.
#[derive(Debug)]
struct Delayed {
    at: Millis,
    to: EioId,
    frame: Encoded,
}

impl Echo {
    /// Handles a call as the suite expects: the event `auth` returns the client's auth, and two
    /// events are sent back.
    pub fn call(&mut self, state: &mut State, id: EioId, call: Call, now: Millis) {
        match call {
            Call::Connect { namespace, auth } => {
                let Some(number) = state.player_numbers.take() else { return };
                let welcome = packets::join_namespace(state, id, namespace, number, None);
                self.send(state, id, welcome, now);
                let header = Header::new(Kind::Event, namespace, None);
                let auth = auth.unwrap_or("{}");
                let frame = packet::packet(&header, &format!(r#"["auth",{auth}]"#));
                // The suite waits for one message at a time, and misses one that arrives in the
                // same read as the one before.
                let at = now.after(ECHO_AUTH_AFTER_MS);
                self.delayed.push(Delayed { at, to: id, frame });
            }
            Call::Event(event) => self.send_back(state, id, &event, now),
            Call::Acknowledgement(_) | Call::Disconnect => {}
        }
    }

    fn send_back(&mut self, state: &mut State, id: EioId, event: &Event, now: Millis) {
        let mut data = String::from("[");
        let (kind, answer_id) = match (event.name.as_deref(), event.id) {
            (Some("message"), _) => {
                data += r#""message-back""#;
                (Kind::Event, None)
            }
            (Some("message-with-ack"), Some(answer_id)) => (Kind::Ack, Some(answer_id)),
            _ => return,
        };
        if event.namespace != "/" {
            return;
        }
        for arg in event.args() {
            let comma = if data.len() > 1 { "," } else { "" };
            let _ = write!(data, "{comma}{arg}");
        }
        data.push(']');
        let attachments = event.attachments.len();
        let header = Header { kind, attachments, namespace: event.namespace, id: answer_id };
        self.send(state, id, packet::packet(&header, &data), now);
        for bytes in event.attachments {
            self.send(state, id, packet::attachment(bytes), now);
        }
    }

    /// Sends a packet, after the delayed packets for the same client.
    fn send(&mut self, state: &mut State, to: EioId, frame: Encoded, now: Millis) {
        match self.delayed.iter().rev().find(|delayed| delayed.to == to) {
            Some(&Delayed { at, .. }) => self.delayed.push(Delayed { at, to, frame }),
            None => send::packet(state, to, frame, Lane::Fact, now),
        }
    }

    /// Sends the delayed packets that are due.
    pub fn tick(&mut self, state: &mut State, now: Millis) {
        for Delayed { to, frame, .. } in self.delayed.extract_if(.., |delayed| delayed.at <= now) {
            send::packet(state, to, frame, Lane::Fact, now);
        }
    }
}

/// Sends a message of a raw Engine.IO session back.
pub fn eio_message(state: &mut State, id: EioId, message: EioMessage, now: Millis) {
    let frame = match message {
        EioMessage::Text(text) => frame::whole(frame::TEXT, format!("4{text}").as_bytes()),
        EioMessage::Binary(bytes) => frame::whole(frame::BINARY, &bytes),
    };
    send::packet(state, id, Encoded::from(frame), Lane::Fact, now);
}

/// Compresses messages that are sent back, without history.
#[derive(Debug, Default)]
pub struct Compressors {
    /// By the bits of the window, those of [`Agreement::window_bits`].
    by_window: BTreeMap<u8, Deflater>,
}

impl Compressors {
    /// Sends a message back as one frame, compressed if that is agreed.
    pub fn send_back(&mut self, state: &mut State, id: ConnId, data: Data, now: Millis) {
        let opcode = if data.is_text { frame::TEXT } else { frame::BINARY };
        let deflate = state.conns.get(id).and_then(Conn::deflate);
        let frame = match deflate.filter(|_| !data.bytes.is_empty()) {
            None => frame::whole(opcode, data.bytes),
            Some(Agreement { window_bits, .. }) => {
                let with_window = || Deflater::with_window(window_bits);
                let deflater = self.by_window.entry(window_bits).or_insert_with(with_window);
                let mut frame = Vec::new();
                deflater.frames([(opcode, data.bytes)], &[], ECHO_LEVEL, &mut frame);
                frame
            }
        };
        send::frame(state, id, Encoded::from(frame), Lane::Fact, now);
    }
}
