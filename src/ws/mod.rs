//! RFC 6455, both ends of it: the opening handshake, frames, and messages put together from them.
//!
//! `server/` calls it for its peers and `load/` for its clients. It turns bytes into values and
//! back; it holds no socket, and siblings such as `http/` are unknown to it. `tungstenite` checks
//! the handshake and reads and writes the frame headers; masks, sizes, control frames, fragments,
//! UTF-8 and close codes are judged here.

pub mod assembler;
pub mod close;
pub mod frame;
pub mod handshake;

pub use assembler::{Assembler, Message, Payload};
pub use frame::{FrameRules, Mask};

/// How a peer broke the protocol. Each of them ends the connection (RFC 6455, 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A rule of framing or closing: 1002. The text says which.
    Protocol(&'static str),
    /// Text that is not UTF-8: 1007.
    BadText,
    /// A message longer than allowed: 1009.
    TooBig,
    /// A message of more fragments than allowed: 1008.
    TooManyFragments,
}
