//! The one queue of endings: what has ended and why.
//!
//! Ending something only queues the consequences. [`settle`](super::settle) processes them in
//! order, so the first reason counts.

use std::collections::VecDeque;

use super::ids::{ConnId, EioId, Owner, RoomId, SessionId};
use crate::close::CloseReason;

/// Something that has ended, or must end in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A connection, and what it served.
    Conn(ConnId, Owner),
    /// An Engine.IO session.
    Eio(EioId),
    /// A client in a room.
    Session(SessionId),
    /// A room, after a panic: its clients end first.
    Room(RoomId),
    /// A room whose clients have ended.
    EmptyRoom(RoomId),
}

/// What has ended and why, oldest first.
#[derive(Debug, Default)]
pub struct Endings(VecDeque<(Ended, CloseReason)>);

impl Endings {
    /// Queues an ending.
    pub fn push(&mut self, ended: Ended, reason: CloseReason) {
        self.0.push_back((ended, reason));
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<(Ended, CloseReason)> {
        self.0.pop_front()
    }
}
