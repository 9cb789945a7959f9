//! The messages of the dialects as plain structs, decoded and encoded in both directions.
//!
//! `wire/` calls it for the server, `load/` for its clients. It depends on neither the game nor a
//! transport.

pub mod events;
pub mod json;
pub mod number;
pub mod row;
pub mod v1;

/// Why a message could not be decoded. One such message does not close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The message is not valid JSON.
    InvalidJson,
    /// The message is well-formed, but its type or a value is unknown.
    Unknown,
}
