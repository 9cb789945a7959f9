//! Socket.IO packets: messages of an Engine.IO session become calls of the application
//! (socket.io-protocol 5). A violation of the protocol ends the whole session.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::endings::Ended;
use super::super::ids::EioId;
use super::super::state::State;
use super::super::{memory, send};
use super::session::{EioMessage, SocketIoState};
use crate::close::CloseReason;
use crate::limits::{ATTACHMENTS_MS, NAMESPACE_BYTES_MAX};
use crate::outbox::{Encoded, Lane};
use crate::socketio::BadPacket;
use crate::socketio::packet::{self, Assembled, Header, Kind, Packet};
use crate::time::Millis;
use crate::wire::packet::{packet as encode_packet, refusal};

/// What a client asks of the application.
#[derive(Debug)]
pub enum Call<'a> {
    /// CONNECT to a namespace.
    Connect {
        /// The namespace; the client has not joined it.
        namespace: &'static str,
        /// The auth data: a JSON object.
        auth: Option<&'a str>,
    },
    /// An event in a namespace that the client has joined.
    Event(Event<'a>),
    /// The acknowledgement of an event of the server, with its id.
    Acknowledgement(Option<u64>),
    /// The client left a namespace.
    Disconnect,
}

/// An event of a client.
#[derive(Debug)]
pub struct Event<'a> {
    /// The namespace.
    pub namespace: &'static str,
    /// The id of the requested acknowledgement.
    pub id: Option<u64>,
    /// The name, if the first element is a string.
    pub name: Option<Cow<'a, str>>,
    /// The name and the arguments; none without data.
    pub elements: Vec<&'a RawValue>,
    /// The binary attachments.
    pub attachments: &'a [Vec<u8>],
}

impl<'a> Event<'a> {
    /// The elements behind the name.
    #[must_use]
    pub fn args(&self) -> &[&'a RawValue] {
        self.elements.get(1..).unwrap_or_default()
    }
}

/// Adds a message to the packet that is being assembled. Returns the packet once it is complete.
pub fn assemble(
    state: &mut State,
    id: EioId,
    message: EioMessage,
    now: Millis,
) -> Option<Assembled> {
    let socketio = state.eio_sessions.get_mut(id)?.socketio.as_mut()?;
    let assembled = match message {
        EioMessage::Text(text) => socketio.assembler.text(text),
        EioMessage::Binary(bytes) => socketio.assembler.binary(bytes, state.settings.max_payload),
    };
    socketio.complete_by = match socketio.assembler.is_waiting() {
        true => socketio.complete_by.min(now.after(ATTACHMENTS_MS)),
        false => Millis::NEVER,
    };
    memory::session_changed(state, id, now);
    assembled.unwrap_or_else(|BadPacket| {
        state.endings.push(Ended::Eio(id), CloseReason::Protocol);
        None
    })
}

/// Whether a packet is an event. Events have their own rate.
#[must_use]
pub fn is_event(packet: &Assembled) -> bool {
    matches!(packet.text.as_bytes(), [b'2' | b'5', ..])
}

/// The id of the acknowledgement that a packet requests.
#[must_use]
pub fn ack(packet: &Assembled) -> Option<u64> {
    Header::decode(&packet.text).ok().and_then(|(header, _)| header.id)
}

/// Decodes a packet. Returns what it asks of the application.
pub fn call<'a>(
    state: &mut State,
    id: EioId,
    packet: &'a Assembled,
    now: Millis,
) -> Option<Call<'a>> {
    let eio = state.eio_sessions.get_mut(id)?;
    let rates = state.policy.limits.input;
    if !is_event(packet) && !eio.control.allows(rates.control(), rates.weight(packet.bytes()), now)
    {
        state.endings.push(Ended::Eio(id), CloseReason::TooFast);
        return None;
    }
    match decode(eio.socketio.as_mut()?, packet, state.policy.namespaces) {
        Ok(Decoded::Call(call)) => Some(call),
        Ok(Decoded::UnknownNamespace(name)) => {
            refuse(state, id, name, "Invalid namespace", None, now);
            None
        }
        Err(BadPacket) => {
            state.endings.push(Ended::Eio(id), CloseReason::Protocol);
            None
        }
    }
}

/// A packet, decoded.
enum Decoded<'a> {
    Call(Call<'a>),
    UnknownNamespace(&'a str),
}

fn decode<'a>(
    socketio: &mut SocketIoState,
    assembled: &'a Assembled,
    namespaces: &[&'static str],
) -> Result<Decoded<'a>, BadPacket> {
    let packet = Packet::decode(&assembled.text)?;
    let Header { kind, namespace, id, .. } = packet.header;
    let Some(namespace) = namespaces.iter().copied().find(|known| *known == namespace) else {
        return match kind {
            // The refusal must name it.
            Kind::Connect if namespace.len() <= NAMESPACE_BYTES_MAX => {
                Ok(Decoded::UnknownNamespace(namespace))
            }
            _ => Err(BadPacket),
        };
    };
    let has_joined = socketio.namespaces.contains(&namespace);
    match kind {
        Kind::Connect if !has_joined => {
            let auth = Some(packet.data).filter(|data| !data.is_empty());
            Ok(Decoded::Call(Call::Connect { namespace, auth }))
        }
        Kind::Event if has_joined => {
            let name = packet.elements.first().copied().and_then(packet::string);
            let attachments = &assembled.attachments[..];
            let event = Event { namespace, id, name, elements: packet.elements, attachments };
            Ok(Decoded::Call(Call::Event(event)))
        }
        Kind::Ack if has_joined => Ok(Decoded::Call(Call::Acknowledgement(id))),
        Kind::Disconnect if has_joined => {
            socketio.namespaces.retain(|joined| *joined != namespace);
            Ok(Decoded::Call(Call::Disconnect))
        }
        _ => Err(BadPacket),
    }
}

/// Adds a client to a namespace. Returns the CONNECT packet that confirms it, with the player's
/// number as its id, and with its private id if it may recover.
pub fn join_namespace(
    state: &mut State,
    id: EioId,
    namespace: &'static str,
    number: u32,
    pid: Option<&str>,
) -> Encoded {
    if let Some(socketio) = state.eio_sessions.get_mut(id).and_then(|eio| eio.socketio.as_mut()) {
        socketio.namespaces.push(namespace);
        socketio.connect_by = Millis::NEVER;
    }
    let header = Header::new(Kind::Connect, namespace, None);
    let pid = pid.map(|pid| format!(r#","pid":"{pid}""#)).unwrap_or_default();
    encode_packet(&header, &format!(r#"{{"sid":"{number}"{pid}}}"#))
}

/// Refuses a namespace with `CONNECT_ERROR`, and sends when to try again, if the client may.
pub fn refuse(
    state: &mut State,
    id: EioId,
    namespace: &str,
    message: &str,
    retry_ms: Option<u64>,
    now: Millis,
) {
    let header = Header::new(Kind::ConnectError, namespace, None);
    let frame = refusal(&header, message, retry_ms);
    send::packet(state, id, frame, Lane::Fact, now);
}
