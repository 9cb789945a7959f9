//! Engine.IO 4 and Socket.IO 5: packets and payloads.
//!
//! `server/` and `load/` call it to convert between text or bytes and packets. It has no
//! connections, no sessions and no clock. The standards are engine.io-protocol 4 and
//! socket.io-protocol 5; docs/protocol.md describes how this server applies them.

pub mod engineio;
pub mod packet;
pub mod parser;
mod placeholders;

/// A packet or payload that violates the protocol. It ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPacket;
