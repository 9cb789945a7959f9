//! The pending acknowledgements of a player.

use std::collections::VecDeque;

/// Answers that are waited for at once; a server that never answers must not fill our memory.
const PENDING_MAX: usize = 64;

/// What pending for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingAck {
    id: u64,
    /// The moment that it was meant to be sent.
    pub intended_us: u64,
    /// Whether it was a blow of a duel.
    pub is_duel_attack: bool,
}

/// All that waits.
#[derive(Debug, Default)]
pub struct Acks {
    next_id: u64,
    pending: VecDeque<PendingAck>,
}

impl Acks {
    /// The number for the next that asks. The oldest is forgotten if there are too many.
    pub fn ask(&mut self, intended_us: u64, is_duel_attack: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(PendingAck { id, intended_us, is_duel_attack });
        id
    }

    /// The answer with this number has come.
    pub fn take(&mut self, id: u64) -> Option<PendingAck> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        self.pending.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_what_asked_for_them_once() {
        let mut acks = Acks::default();
        assert_eq!((acks.ask(5, false), acks.ask(6, true)), (0, 1));
        assert_eq!(
            acks.take(1).map(|pending| (pending.intended_us, pending.is_duel_attack)),
            Some((6, true))
        );
        assert_eq!(acks.take(1), None);
        for moment in 0..1_000 {
            acks.ask(moment, false);
        }
        assert_eq!(acks.pending.len(), PENDING_MAX);
        assert_eq!(acks.take(0), None);
    }
}
