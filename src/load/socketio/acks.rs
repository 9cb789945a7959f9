//! The pending acknowledgements of a player.

use std::collections::VecDeque;

/// Maximum number of pending acknowledgements, for servers that never send any.
const PENDING_MAX: usize = 64;

/// A pending acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingAck {
    id: u64,
    /// When the action was scheduled.
    pub intended_us: u64,
    /// Whether the action was an attack of a duel.
    pub is_duel_attack: bool,
}

/// The pending acknowledgements, oldest first.
#[derive(Debug, Default)]
pub struct Acks {
    next_id: u64,
    pending: VecDeque<PendingAck>,
}

impl Acks {
    /// Adds a pending acknowledgement and returns its id. If there are too many, drops the oldest.
    pub fn add(&mut self, intended_us: u64, is_duel_attack: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(PendingAck { id, intended_us, is_duel_attack });
        id
    }

    /// Removes the pending acknowledgement with this id.
    pub fn take(&mut self, id: u64) -> Option<PendingAck> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        self.pending.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_acknowledgement_is_matched_once() {
        let mut acks = Acks::default();
        assert_eq!((acks.add(5, false), acks.add(6, true)), (0, 1));
        assert_eq!(
            acks.take(1).map(|pending| (pending.intended_us, pending.is_duel_attack)),
            Some((6, true))
        );
        assert_eq!(acks.take(1), None);
        for moment in 0..1_000 {
            acks.add(moment, false);
        }
        assert_eq!(acks.pending.len(), PENDING_MAX);
        assert_eq!(acks.take(0), None);
    }
}
