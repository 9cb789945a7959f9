//! The dialect `skirmish.v1`: binary deltas over WebSocket (docs/skirmish-v1.md).
//!
//! All integers are little-endian and nothing is aligned. [`server`] has the messages of a server,
//! [`client`] those of a client, [`welcome`] the first message. A [`Schema`] has the numbers that
//! both sides must agree on. The bodies of a cell are a [`List`]: a server encodes the change from
//! one list to another ([`delta`]), and a client applies it to the list that it has ([`apply`]).
//! A [`Replica`] is a whole client without a transport.
//!
//! [`apply`]: List::apply

mod bytes;

pub mod body;
pub mod cell;
pub mod client;
pub mod delta;
pub mod list;
pub mod replica;
pub mod schema;
pub mod server;
pub mod welcome;

pub use body::{Body, Course, State};
pub use list::{Bodies, List};
pub use replica::Replica;
pub use schema::{ArgumentKind, Schema, Values, Width};

use crate::time::TICKS_PER_SECOND;

/// The subprotocol (`Sec-WebSocket-Protocol`).
pub const SUBPROTOCOL: &str = "skirmish.v1";

/// The greatest base age of a tick. A client that is further behind gets a keyframe.
pub const BASE_AGE_MAX: u8 = 32;
/// A HEAD is sent on every tick that is divisible by this, or on the next one that is due.
pub const HEAD_TICKS: u32 = TICKS_PER_SECOND / 2;

/// The slot that stands for no body, in an event.
pub const NO_SLOT: u16 = u16::MAX;

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends too early.
    Truncated,
    /// Bytes follow its end.
    TooLong,
    /// It has an unknown first byte.
    UnknownKind,
    /// A value is outside of its range.
    OutOfRange,
    /// A text is not valid UTF-8 or JSON.
    InvalidText,
    /// A part is in the wrong place, or bodies are not in the order of their slots.
    Misplaced,
    /// It refers to a cell or a body that the client does not have.
    NotHeld,
}
