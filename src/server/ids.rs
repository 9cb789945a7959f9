//! Handles by which the modules of the server refer to connections, sessions and rooms, and the
//! numbers of players.

use tracing::error;

/// A TCP connection. `serial` differs for every connection that ever used the slot, so a stale
/// handle matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// The index in the slab; small and reused.
    pub slot: u32,
    /// Distinguishes the connections that used the slot.
    pub serial: u32,
}

/// An Engine.IO session, which spans several connections. Never valid twice, like [`ConnId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EioId {
    /// The index in the slab.
    pub slot: u32,
    /// Distinguishes the sessions that used the slot.
    pub serial: u32,
}

/// A client in a room, over any transport. Never valid twice, like [`ConnId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// The index in the slab.
    pub slot: u32,
    /// Distinguishes the sessions that used the slot.
    pub serial: u32,
}

/// The transport of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// A plain WebSocket.
    Conn(ConnId),
    /// An Engine.IO session.
    Eio(EioId),
}

/// What a connection serves; it is notified when the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A client on a plain WebSocket, for the life of the connection.
    Session(SessionId),
    /// An Engine.IO session: on its WebSocket, or while one of its requests is in progress.
    Eio(EioId),
}

/// Counts players over all rooms, from 1. A number is never given twice.
#[derive(Clone, Copy, Debug)]
pub struct PlayerNumbers {
    /// The number of the next player.
    pub next: u32,
}

impl PlayerNumbers {
    /// Takes the next number; `None` if all are used. `u32::MAX` is never used.
    pub fn take(&mut self) -> Option<u32> {
        let number = self.next;
        self.next = number.checked_add(1)?;
        if self.next == u32::MAX {
            error!("the last player number is used; restart the server to let players join");
        }
        Some(number)
    }
}

/// A room. Never valid twice, like [`ConnId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId {
    /// The index in the slab.
    pub slot: u32,
    /// Distinguishes the rooms that used the slot.
    pub serial: u32,
}
