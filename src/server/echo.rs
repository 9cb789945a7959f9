//! `--echo`: what a peer says comes back. A target for conformance suites; the game never sees it.

use std::fmt::Write;

use serde_json::value::RawValue;

use super::call::{Call, Event};
use super::engine::Said;
use super::ids::{ConnId, EngineId};
use super::state::State;
use crate::limits::ECHO_AUTH_AFTER_MS;
use crate::outbox::{Encoded, Lane};
use crate::socketio::packet::{Header, Kind};
use crate::time::Millis;
use crate::wire::events;
use crate::ws::frame;

/// The namespaces that the official suites of Socket.IO ask for.
pub const NAMESPACES: [&str; 2] = ["/", "/custom"];

/// The application that the official suites of Socket.IO ask for.
#[derive(Debug, Default)]
pub struct Echo {
    late: Vec<Late>,
}

/// A packet that goes out on a later tick.
#[derive(Debug)]
struct Late {
    at: Millis,
    to: EngineId,
    frame: Encoded,
}

impl Echo {
    /// What the suites ask for: each client is told how it introduced itself, and two events come
    /// back.
    pub fn call(&mut self, state: &mut State, id: EngineId, call: Call, now: Millis) {
        match call {
            Call::Connect { namespace, auth } => {
                let number = state.next_player;
                state.next_player += 1;
                let welcome = state.welcome(id, namespace, number);
                self.send(state, id, welcome, now);
                let header = Header::new(Kind::Event, namespace, None);
                let auth = auth.map_or("{}", RawValue::get);
                let told = events::packet(&header, &format!(r#"["auth",{auth}]"#));
                // The suites listen to one message at a time, and are deaf to one that comes
                // together with the last.
                let at = now.after(ECHO_AUTH_AFTER_MS);
                self.late.push(Late { at, to: id, frame: told });
            }
            Call::Event(event) => self.send_back(state, id, &event, now),
            Call::Disconnect => {}
        }
    }

    fn send_back(&mut self, state: &mut State, id: EngineId, event: &Event, now: Millis) {
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
        for arg in &event.args {
            let comma = if data.len() > 1 { "," } else { "" };
            let _ = write!(data, "{comma}{arg}");
        }
        data.push(']');
        let attachments = event.attachments.len();
        let header = Header { kind, attachments, namespace: event.namespace, id: answer_id };
        self.send(state, id, events::packet(&header, &data), now);
        for bytes in event.attachments {
            self.send(state, id, events::attachment(bytes), now);
        }
    }

    /// Sends a packet, behind what is still to go to the same client.
    fn send(&mut self, state: &mut State, to: EngineId, frame: Encoded, now: Millis) {
        match self.late.iter().rev().find(|late| late.to == to) {
            Some(&Late { at, .. }) => self.late.push(Late { at, to, frame }),
            None => state.send_packet(to, frame, Lane::Fact, now),
        }
    }

    /// Sends what was to go out later.
    pub fn tick(&mut self, state: &mut State, now: Millis) {
        for Late { to, frame, .. } in self.late.extract_if(.., |late| late.at <= now) {
            state.send_packet(to, frame, Lane::Fact, now);
        }
    }
}

/// Sends a message of a raw Engine.IO session back as it came.
pub fn packet(state: &mut State, id: EngineId, said: Said, now: Millis) {
    let frame = match said {
        Said::Text(text) => frame::whole(frame::TEXT, format!("4{text}").as_bytes()),
        Said::Binary(bytes) => frame::whole(frame::BINARY, &bytes),
    };
    state.send_packet(id, Encoded::from(frame), Lane::Fact, now);
}

/// Sends a message back as it came, as one frame.
pub fn message(state: &mut State, id: ConnId, payload: &[u8], is_text: bool, now: Millis) {
    let opcode = if is_text { frame::TEXT } else { frame::BINARY };
    let frame = Encoded::from(frame::whole(opcode, payload));
    state.conns.push(id, frame, Lane::Fact, &state.limits, now);
}
