//! `--echo`: what a peer says comes back. A target for conformance suites; the game never sees it.

use super::engine::{Packet, Said};
use super::ids::{ConnId, EngineId};
use super::state::State;
use crate::outbox::{Encoded, Lane};
use crate::time::Millis;
use crate::ws::frame;

/// Sends a message of an Engine.IO session back as it came.
pub fn packet(state: &mut State, id: EngineId, said: Said, now: Millis) {
    let packet = match said {
        Said::Text(text) => Packet::Text(Encoded::from(format!("4{text}").into_bytes())),
        Said::Binary(bytes) => Packet::Binary(Encoded::from(bytes)),
    };
    state.send_packet(id, packet, Lane::Fact, now);
}

/// Sends a message back as it came, as one frame.
pub fn message(state: &mut State, id: ConnId, payload: &[u8], is_text: bool, now: Millis) {
    let opcode = if is_text { frame::TEXT } else { frame::BINARY };
    let frame = Encoded::from(frame::whole(opcode, payload));
    state.conns.push(id, frame, Lane::Fact, &state.limits, now);
}
