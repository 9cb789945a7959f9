//! Packets of Socket.IO in the WebSocket frames that carry them, and frames as the payload of a
//! poll.

use crate::codec::events;
use crate::outbox::Encoded;
use crate::socketio::engineio;
use crate::socketio::packet::Header;
use crate::ws::frame;

/// A packet, with `data` as JSON.
#[must_use]
pub fn packet(header: &Header, data: &str) -> Encoded {
    with(header, |out| out.extend_from_slice(data.as_bytes()))
}

/// A packet whose data `write` appends.
pub(super) fn with(header: &Header, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    let mut buffer = frame::HEADROOM.to_vec();
    buffer.push(b'4');
    header.encode(&mut buffer);
    write(&mut buffer);
    Encoded::from(frame::encode_in_place(frame::TEXT, &mut buffer))
}

/// The refusal of a namespace, with `retry_ms` if the client may try again.
#[must_use]
pub fn refusal(header: &Header, message: &str, retry_ms: Option<u64>) -> Encoded {
    with(header, |out| events::encode_refusal(message, retry_ms, out))
}

/// An attachment of a packet.
#[must_use]
pub fn attachment(bytes: &[u8]) -> Encoded {
    Encoded::from(frame::whole(frame::BINARY, bytes))
}

/// The packets of WebSocket frames as the payload of a poll.
pub fn payload<'a>(frames: impl IntoIterator<Item = &'a Encoded>) -> Vec<u8> {
    let mut payload = Vec::new();
    append(frames, &mut payload);
    payload
}

/// Appends the packets of WebSocket frames to the payload of a poll.
pub fn append<'a>(frames: impl IntoIterator<Item = &'a Encoded>, payload: &mut Vec<u8>) {
    for frames in frames {
        for (opcode, packet) in frame::payloads(frames.bytes()) {
            match opcode {
                frame::BINARY => {
                    engineio::append(engineio::binary_packet(packet).as_bytes(), payload);
                }
                _ => engineio::append(packet, payload),
            }
        }
    }
}
