//! Places where a test can make the server panic.
//!
//! The hook is a field of [`Setup`](super::Setup). Integration tests see the library as it is
//! released, so a `cfg` would need a second build; a game that panics would reach only worlds. The
//! hook reaches every loop, in the middle of its work. Without one, a point costs a branch.

use std::net::IpAddr;

use super::ids::ConnId;

/// A point in the code, and what is being processed there: a connection, the client of an Engine.IO
/// session by its address, or a room by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint<'a> {
    /// [`Server::open`](super::Server::open).
    Open(IpAddr),
    /// [`Server::receive`](super::Server::receive), after the bytes were processed.
    Receive(ConnId),
    /// [`Server::peer_closed`](super::Server::peer_closed).
    PeerClosed(ConnId),
    /// [`Server::slices`](super::Server::slices).
    Slices(ConnId),
    /// [`Server::written`](super::Server::written).
    Written(ConnId),
    /// [`Server::take_ended`](super::Server::take_ended).
    Ended(ConnId),
    /// The deadline of a connection.
    Deadline(ConnId),
    /// A message of an Engine.IO session.
    Message(IpAddr),
    /// The answer to the poll of an Engine.IO session.
    Poll(IpAddr),
    /// The deadline of an Engine.IO session.
    Heartbeat(IpAddr),
    /// A world advances.
    World(&'a str),
    /// The facts of a room are sent.
    Facts(&'a str),
    /// The state of a room becomes owed.
    State(&'a str),
}

/// Called at each [`FaultPoint`]; it may panic.
pub type FaultHook = Option<fn(FaultPoint)>;

/// Calls the hook of a test, if there is one.
pub fn point(hook: FaultHook, at: FaultPoint) {
    if let Some(hook) = hook {
        hook(at);
    }
}
