//! The Engine.IO sessions without a player that may end when there are too many, so that others may
//! begin (docs/limits.md, "Engine.IO").

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::super::ids::EioId;

/// These sessions, with the addresses of their clients.
#[derive(Debug, Default)]
pub struct Unjoined {
    /// By the order in which they came.
    sessions: BTreeMap<u64, (EioId, IpAddr)>,
    orders: HashMap<EioId, u64>,
    last_order: u64,
}

impl Unjoined {
    /// A session of a client has no player.
    pub fn insert(&mut self, id: EioId, client: IpAddr) {
        self.last_order += 1;
        self.sessions.insert(self.last_order, (id, client));
        self.orders.insert(id, self.last_order);
    }

    /// Such a session has a player, or ends.
    pub fn remove(&mut self, id: EioId) {
        if let Some(order) = self.orders.remove(&id) {
            self.sessions.remove(&order);
        }
    }

    /// Of the `searched` oldest sessions, the first one whose address has most of them by
    /// `unjoined_of`, with its client.
    pub fn oldest(
        &self,
        searched: usize,
        unjoined_of: impl Fn(IpAddr) -> u32,
    ) -> Option<(EioId, IpAddr)> {
        let mut most = None;
        for session in self.sessions.values().take(searched) {
            let count = unjoined_of(session.1);
            if most.is_none_or(|(most, _)| count > most) {
                most = Some((count, *session));
            }
        }
        most.map(|(_, session)| session)
    }

    /// The number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> EioId {
        EioId { slot, serial: 1_000 - slot }
    }

    fn address(host: u8) -> IpAddr {
        std::net::Ipv4Addr::new(192, 0, 2, host).into()
    }

    #[test]
    fn the_oldest_session_of_the_address_with_most_comes_first() {
        let mut unjoined = Unjoined::default();
        for (slot, host) in [1, 2, 2, 3, 3].into_iter().enumerate() {
            unjoined.insert(id(slot as u32), address(host));
        }
        let count = |client| if client == address(1) { 1 } else { 2 };
        assert_eq!(unjoined.oldest(usize::MAX, count), Some((id(1), address(2))));
        assert_eq!(unjoined.oldest(1, count), Some((id(0), address(1))), "of the one searched");
        // It had a player meanwhile.
        unjoined.remove(id(1));
        unjoined.insert(id(1), address(2));
        assert_eq!(unjoined.oldest(usize::MAX, count), Some((id(2), address(2))));
        (0..5).for_each(|slot| unjoined.remove(id(slot)));
        unjoined.remove(id(0));
        assert_eq!((unjoined.oldest(usize::MAX, count), unjoined.len()), (None, 0));
    }
}
