//! Socket.IO over an Engine.IO session: what a client says becomes calls for the application
//! (socket.io-protocol 5).
//!
//! A verb: called for each message of such a session. Whoever breaks the protocol loses the whole
//! session.

use super::call::{Call, Event};
use super::engine::{Said, Talk};
use super::ids::EngineId;
use super::state::State;
use crate::close::CloseReason;
use crate::limits::ATTACHMENTS_MS;
use crate::socketio::BadPacket;
use crate::socketio::packet::{self, Assembled, Header, Kind, Packet};
use crate::time::Millis;

/// Takes a message; answers a packet if it is whole now.
pub fn assemble(state: &mut State, id: EngineId, said: Said, now: Millis) -> Option<Assembled> {
    let talk = state.engines.get_mut(id)?.talk.as_mut()?;
    let assembled = match said {
        Said::Text(text) => talk.assembler.text(text),
        Said::Binary(bytes) => talk.assembler.binary(bytes, state.settings.max_payload),
    };
    talk.whole_by = match talk.assembler.is_waiting() {
        true => talk.whole_by.min(now.after(ATTACHMENTS_MS)),
        false => Millis::NEVER,
    };
    assembled.unwrap_or_else(|BadPacket| {
        state.engines.doom(id, CloseReason::Protocol);
        None
    })
}

/// Judges a packet; answers what it asks of the application, which has these `namespaces`.
pub fn call<'a>(
    state: &mut State,
    id: EngineId,
    packet: &'a Assembled,
    namespaces: &[&'static str],
    now: Millis,
) -> Option<Call<'a>> {
    let engine = state.engines.get_mut(id)?;
    // Events have rates of their own.
    let is_event = matches!(packet.text.as_bytes(), [b'2' | b'5', ..]);
    let rates = state.limits.input;
    if !is_event && !engine.control.allows(rates.control(), rates.weight(packet.bytes()), now) {
        state.engines.doom(id, CloseReason::TooFast);
        return None;
    }
    match judge(engine.talk.as_mut()?, packet, namespaces) {
        Ok(Answer::Call(call)) => Some(call),
        Ok(Answer::Nothing) => None,
        Ok(Answer::NoNamespace(name)) => {
            state.turn_down(id, name, "Invalid namespace", None, now);
            None
        }
        Err(BadPacket) => {
            state.engines.doom(id, CloseReason::Protocol);
            None
        }
    }
}

/// What a packet leads to.
enum Answer<'a> {
    Call(Call<'a>),
    Nothing,
    NoNamespace(&'a str),
}

fn judge<'a>(
    talk: &mut Talk,
    assembled: &'a Assembled,
    namespaces: &[&'static str],
) -> Result<Answer<'a>, BadPacket> {
    let packet = Packet::decode(&assembled.text)?;
    let Header { kind, namespace, id, .. } = packet.header;
    let Some(namespace) = namespaces.iter().copied().find(|known| *known == namespace) else {
        // Nobody can be there.
        return match kind {
            Kind::Connect => Ok(Answer::NoNamespace(namespace)),
            _ => Err(BadPacket),
        };
    };
    let is_joined = talk.joined.contains(&namespace);
    match kind {
        Kind::Connect if !is_joined => {
            Ok(Answer::Call(Call::Connect { namespace, auth: packet.data }))
        }
        Kind::Event if is_joined => {
            let mut elements = packet.elements().into_iter();
            let name = elements.next().and_then(packet::string);
            let (attachments, bytes) = (&assembled.attachments[..], assembled.bytes());
            let args = elements.collect();
            Ok(Answer::Call(Call::Event(Event { namespace, id, name, args, attachments, bytes })))
        }
        // The server asks for none.
        Kind::Ack if is_joined => Ok(Answer::Nothing),
        Kind::Disconnect if is_joined => {
            talk.joined.retain(|joined| *joined != namespace);
            Ok(Answer::Call(Call::Disconnect))
        }
        _ => Err(BadPacket),
    }
}
