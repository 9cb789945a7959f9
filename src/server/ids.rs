//! Handles: small numbers by which the parts of the server name each other.

/// A TCP connection. `serial` differs for every connection that ever used the slot, so a stale
/// handle finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Where it stands in the slab; small, and used again.
    pub slot: u32,
    /// Which of the slot's connections it is.
    pub serial: u32,
}

/// An Engine.IO session, which goes over several connections. Like [`ConnId`] it is never valid
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EngineId {
    /// Where it stands in the slab.
    pub slot: u32,
    /// Which of the slot's sessions it is.
    pub serial: u32,
}

/// A client, whatever its transport. Like [`ConnId`] it is never valid twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// Where it stands in the slab.
    pub slot: u32,
    /// Which of the slot's sessions it is.
    pub serial: u32,
}

/// What carries a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// A WebSocket, for life.
    Conn(ConnId),
    /// An Engine.IO session.
    Engine(EngineId),
}

/// Whom a connection serves; they are told when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A client that plays over it, for life.
    Session(SessionId),
    /// An Engine.IO session: over a WebSocket, or as long as a request of it is under way.
    Engine(EngineId),
}

/// A room. It is held by its members, so it is valid while a session names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(pub u32);
