//! Dialect 2, the events of Socket.IO: packets in the WebSocket frames that carry them.

use crate::outbox::Encoded;
use crate::socketio::packet::Header;
use crate::ws::frame;

/// A packet, with `data` as JSON, in the frame that carries it.
#[must_use]
pub fn packet(header: &Header, data: &str) -> Encoded {
    let mut buffer = frame::HEADROOM.to_vec();
    buffer.push(b'4');
    header.encode(&mut buffer);
    buffer.extend_from_slice(data.as_bytes());
    Encoded::from(frame::encode_in_place(frame::TEXT, &mut buffer))
}

/// An attachment of a packet, in the frame that carries it.
#[must_use]
pub fn attachment(bytes: &[u8]) -> Encoded {
    Encoded::from(frame::whole(frame::BINARY, bytes))
}
