//! The Engine.IO sessions without a player that may end when there are too many, so that others may
//! begin (docs/limits.md, "Engine.IO").

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::ids::EioId;

/// These sessions, with the addresses of their clients, by serial: the oldest first.
#[derive(Debug, Default)]
pub struct Unjoined {
    sessions: BTreeMap<u32, (EioId, IpAddr)>,
}

impl Unjoined {
    /// A session of a client has no player.
    pub fn insert(&mut self, id: EioId, client: IpAddr) {
        self.sessions.insert(id.serial, (id, client));
    }

    /// Such a session has a player, or ends.
    pub fn remove(&mut self, id: EioId) {
        self.sessions.remove(&id.serial);
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
}
