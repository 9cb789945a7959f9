//! `--echo`: what a peer says comes back. A target for conformance suites; the game never sees it.

use std::fmt::Write;

use serde_json::value::RawValue;

use super::call::{Call, Event};
use super::engine::Said;
use super::ids::{ConnId, EngineId};
use super::state::State;
use crate::outbox::{Encoded, Lane};
use crate::socketio::packet::{Header, Kind};
use crate::time::Millis;
use crate::wire::events;
use crate::ws::frame;

/// The namespaces that the official suites of Socket.IO ask for.
pub const NAMESPACES: [&str; 2] = ["/", "/custom"];

/// Sends a message of a raw Engine.IO session back as it came.
pub fn packet(state: &mut State, id: EngineId, said: Said, now: Millis) {
    let frame = match said {
        Said::Text(text) => frame::whole(frame::TEXT, format!("4{text}").as_bytes()),
        Said::Binary(bytes) => frame::whole(frame::BINARY, &bytes),
    };
    state.send_packet(id, Encoded::from(frame), Lane::Fact, now);
}

/// What the official suites ask of a Socket.IO server: each client is told how it introduced
/// itself, and two events come back.
pub fn call(state: &mut State, id: EngineId, call: Call, now: Millis) {
    match call {
        Call::Connect { namespace, auth } => {
            let number = state.next_player;
            state.next_player += 1;
            state.welcome(id, namespace, number, now);
            let header = Header::new(Kind::Event, namespace, None);
            let auth = auth.map_or("{}", RawValue::get);
            let told = events::packet(&header, &format!(r#"["auth",{auth}]"#));
            state.send_packet(id, told, Lane::Fact, now);
        }
        Call::Event(event) => send_back(state, id, &event, now),
        Call::Disconnect => {}
    }
}

fn send_back(state: &mut State, id: EngineId, event: &Event, now: Millis) {
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
    state.send_packet(id, events::packet(&header, &data), Lane::Fact, now);
    for bytes in event.attachments {
        state.send_packet(id, events::attachment(bytes), Lane::Fact, now);
    }
}

/// Sends a message back as it came, as one frame.
pub fn message(state: &mut State, id: ConnId, payload: &[u8], is_text: bool, now: Millis) {
    let opcode = if is_text { frame::TEXT } else { frame::BINARY };
    let frame = Encoded::from(frame::whole(opcode, payload));
    state.conns.push(id, frame, Lane::Fact, &state.limits, now);
}
