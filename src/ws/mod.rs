//! WebSocket (RFC 6455), for servers and clients: the opening handshake, frames, and messages.
//!
//! `server/` and `load/` call it. It converts between bytes and values; it has no sockets and does
//! not depend on siblings such as `http/`. `tungstenite` validates the handshake and reads and
//! writes frame headers; masks, sizes, control frames, fragments, UTF-8 and close codes are checked
//! here, and messages are compressed and decompressed (RFC 7692).

mod assembler;
pub mod close;
pub mod deflate;
pub mod frame;
pub mod handshake;

pub use assembler::{Assembler, Begun, Kind, Message, Payload};
pub use frame::{FrameRules, Mask};

/// What a text or binary message contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'b> {
    /// The payload.
    pub bytes: &'b [u8],
    /// Whether it is text: then it is valid UTF-8.
    pub is_text: bool,
}

/// A protocol violation of a peer. It ends the connection (RFC 6455, section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A violated rule of framing or closing: 1002. The text names the rule.
    Protocol(&'static str),
    /// A compressed message that refers to an earlier one, although the client has agreed to
    /// `client_no_context_takeover`: 1002.
    KeepsHistory,
    /// Text that is not valid UTF-8: 1007.
    BadText,
    /// A message that is too large: 1009.
    TooBig,
    /// A message with too many fragments: 1008.
    TooManyFragments,
}
