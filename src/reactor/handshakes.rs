//! Connections whose handshakes can go on.

use std::collections::BTreeMap;

use crate::limits::TLS_HANDSHAKES_A_TURN;
use crate::server::ConnId;

/// The queue: those whose addresses have made few steps lately come first, so that newcomers need
/// not wait for addresses that begin one handshake after another. So that these do not wait for
/// ever, the oldest comes next now and then.
#[derive(Debug, Default)]
pub struct Handshakes {
    waiting: BTreeMap<Place, ConnId>,
    /// The steps of each place, by its number.
    steps: BTreeMap<u64, u32>,
    pushed: u64,
    popped: u32,
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
        self.steps.insert(place.number, steps);
        place
    }

    /// Takes the next connection: the first, or once in [`TLS_HANDSHAKES_A_TURN`] the oldest.
    pub fn pop(&mut self) -> Option<ConnId> {
        self.popped = self.popped.wrapping_add(1);
        let place = if self.popped.is_multiple_of(TLS_HANDSHAKES_A_TURN) {
            let oldest = self.steps.first_key_value();
            oldest.map(|(number, steps)| Place { steps: *steps, number: *number })
        } else {
            self.waiting.first_key_value().map(|(place, _)| *place)
        };
        self.remove(place?)
    }

    /// Removes a connection. Returns it if it was there.
    pub fn remove(&mut self, place: Place) -> Option<ConnId> {
        self.steps.remove(&place.number);
        self.waiting.remove(&place)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_few_steps_come_first_and_the_oldest_now_and_then() {
        let mut handshakes = Handshakes::default();
        let id = |slot| ConnId { slot, serial: 1 };
        let gone = handshakes.push(id(99), 0);
        (0..3).for_each(|slot| _ = handshakes.push(id(slot), 128));
        (3..12).for_each(|slot| _ = handshakes.push(id(slot), slot % 2));
        assert_eq!(handshakes.remove(gone), Some(id(99)));
        let order: Vec<u32> = std::iter::from_fn(|| handshakes.pop()).map(|id| id.slot).collect();
        assert_eq!(order, [4, 6, 8, 10, 0, 3, 5, 7, 9, 1, 11, 2]);
        assert!(handshakes.is_empty() && handshakes.steps.is_empty());
    }
}
