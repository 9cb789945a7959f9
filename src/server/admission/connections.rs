//! The connections of each address, how many it may have, and their places among all.

use std::net::IpAddr;

use super::{Admission, ByNetwork, Counts, Network};
use crate::limits::{
    ACCEPTS, ADMIN_CONNECTIONS_MAX, CONNECTIONS_A_SESSION, CONNECTIONS_AN_ADDRESS, SEARCHES_LATELY,
};
use crate::metrics::Refusal;
use crate::server::ids::ConnId;
use crate::time::Millis;

impl Admission {
    /// Checks a new connection against the limits of its address.
    ///
    /// # Errors
    /// Why it must be closed.
    pub fn check_connection_limits(&mut self, peer: IpAddr, now: Millis) -> Result<(), Refusal> {
        if self.is_exempt(peer) {
            return Ok(());
        }
        for (network, factor) in Network::all_of(peer) {
            let counts = self.counts(network, now);
            if !counts.accepts.take(ACCEPTS.times(factor), 1, now) {
                return Err(Refusal::AcceptRate);
            }
        }
        match self.full_network(peer) {
            None => Ok(()),
            Some(_) => Err(Refusal::AddressFull),
        }
    }

    /// The smallest network of `peer` that has as many connections as it may have.
    fn full_network(&self, peer: IpAddr) -> Option<&Counts> {
        Network::all_of(peer)
            .filter_map(|(network, factor)| Some((self.networks.get(&network)?, factor)))
            .find(|(counts, factor)| {
                let most =
                    CONNECTIONS_AN_ADDRESS * factor + CONNECTIONS_A_SESSION * counts.sessions;
                counts.connections.len() >= most as usize
            })
            .map(|(counts, _)| counts)
    }

    /// Counts a connection until [`Admission::connection_ended`], and its place if it has one.
    pub fn connection_began(&mut self, peer: IpAddr, id: ConnId, has_place: bool, now: Millis) {
        if !self.is_exempt(peer) {
            if has_place {
                self.placed.add(peer);
            }
            for (network, _) in Network::all_of(peer) {
                self.counts(network, now).connections.push(id);
            }
        }
    }

    /// A connection ended, and its place is free if it still had one.
    pub fn connection_ended(&mut self, peer: IpAddr, id: ConnId, has_place: bool) {
        if has_place {
            self.place_ended(peer, id);
        }
        for (network, _) in Network::all_of(peer) {
            if let Some(counts) = self.networks.get_mut(&network)
                && let Some(index) = counts.connections.iter().position(|other| *other == id)
            {
                counts.connections.swap_remove(index);
            }
        }
    }

    /// A connection must end, and its place is free.
    pub fn place_ended(&mut self, peer: IpAddr, id: ConnId) {
        if self.counts_connection(peer, id) {
            self.placed.remove(peer);
        }
    }

    fn counts_connection(&self, peer: IpAddr, id: ConnId) -> bool {
        let own = Network::all_of(peer).next();
        let counts = own.and_then(|(network, _)| self.networks.get(&network));
        counts.is_some_and(|counts| counts.connections.contains(&id))
    }

    /// Whether a search for a connection to end, of `most`, may use what is kept for addresses that
    /// have less than an equal part and have caused few searches lately. Counts the search.
    pub fn may_use_kept_searches(&mut self, peer: IpAddr, most: usize, now: Millis) -> bool {
        if self.is_exempt(peer) {
            return true;
        }
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let has_part = self.placed.of(peer) >= self.placed.part(most).max(1);
        let mut has_few = |(network, factor)| {
            let searches = &mut self.counts(network, now).searches;
            searches.take(SEARCHES_LATELY.times(factor), 1, now)
        };
        !has_part && Network::all_of(peer).all(&mut has_few)
    }

    /// The places of an address, or of a larger network for each of its addresses.
    #[must_use]
    pub fn places_of(&self, peer: IpAddr) -> u32 {
        self.placed.of(peer)
    }

    /// Of `most` connections, those of the network that must give one to `peer`: more than `kept`.
    #[must_use]
    pub fn connections_of_giver(&self, peer: IpAddr, most: usize, kept: u32) -> &[ConnId] {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let giver = self.placed.giver_for(peer, most, kept);
        let counts = giver.and_then(|network| self.networks.get(&network));
        counts.map_or(&[], |counts| &counts.connections)
    }

    /// Counts the connection of a proxy for its `client` instead.
    pub fn move_connection(
        &mut self,
        id: ConnId,
        from: IpAddr,
        client: IpAddr,
        has_place: bool,
        now: Millis,
    ) {
        self.connection_ended(from, id, has_place);
        self.connection_began(client, id, has_place, now);
    }

    /// Checks, for tests, that the places are those of `conns` that are counted for their peers.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_places(
        &self,
        conns: impl Iterator<Item = (ConnId, IpAddr)>,
    ) -> Result<(), String> {
        let mut placed = ByNetwork::default();
        let is_counted = |(id, peer): &(ConnId, IpAddr)| self.counts_connection(*peer, *id);
        conns.filter(is_counted).for_each(|(_, peer)| placed.add(peer));
        match placed == self.placed {
            true => Ok(()),
            false => Err(format!("{:?} have places, and {placed:?} are counted", self.placed)),
        }
    }

    /// The connections that count with those of `peer`, if there are as many as there may be.
    #[must_use]
    pub fn connections_if_full(&self, peer: IpAddr) -> &[ConnId] {
        self.full_network(peer).map_or(&[], |counts| &counts.connections)
    }

    /// Counts an admin connection until [`Admission::admin_connection_ended`].
    ///
    /// # Errors
    /// There are too many; it is not counted.
    pub fn admin_connection_begins(&mut self) -> Result<(), Refusal> {
        if self.admin_connections >= ADMIN_CONNECTIONS_MAX {
            return Err(Refusal::Full);
        }
        self.admin_connections += 1;
        Ok(())
    }

    /// An admin connection ended.
    pub fn admin_connection_ended(&mut self) {
        self.admin_connections -= 1;
    }
}
