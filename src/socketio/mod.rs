//! Engine.IO 4 and Socket.IO 5: what stands between a transport and the game's events.
//!
//! `server/` calls it with text and bytes and gets packets, and the other way round. It knows no
//! connection, no session and no clock. The standards are engine.io-protocol 4 and
//! socket.io-protocol 5; docs/protocol.md has what this server makes of them.

pub mod engineio;
pub mod packet;
mod placeholders;

/// How a peer broke the protocol: a packet, or a payload of packets, that nobody can read. It ends
/// the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPacket;
