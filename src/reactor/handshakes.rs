//! Connections whose handshakes can go on.

use std::collections::BTreeMap;

use crate::server::ConnId;

/// The queue: those whose addresses have made few steps lately come first, so that newcomers need
/// not wait for addresses that begin one handshake after another.
#[derive(Debug, Default)]
pub struct Handshakes {
    waiting: BTreeMap<Place, ConnId>,
    pushed: u64,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    steps: u32,
    number: u64,
}

impl Handshakes {
    /// Adds a connection whose address has made this many steps lately, behind those with as many.
    pub fn push(&mut self, id: ConnId, steps: u32) -> Place {
        self.pushed += 1;
        let place = Place { steps, number: self.pushed };
        self.waiting.insert(place, id);
        place
    }

    /// Takes the first connection.
    pub fn pop(&mut self) -> Option<ConnId> {
        self.waiting.pop_first().map(|(_, id)| id)
    }

    /// Removes a connection that is closed.
    pub fn remove(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
