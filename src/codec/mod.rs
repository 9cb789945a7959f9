//! The messages of our own dialects as plain structs, read and written in both directions.
//!
//! `wire/` calls it for the server and `load/` for its clients. It knows bytes and numbers, and
//! neither the game nor any transport.

pub mod events;
pub mod json;
pub mod row;

/// Why a message was not understood. It is counted, and never by itself closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is not in the dialect's language at all (no JSON, say).
    Garbage,
    /// It is well-formed, of a type or with a value that is unknown.
    Unknown,
}
