//! The limits per address: a number of connections, more with each player, and idle connections
//! that are evicted for new ones. The number of players that the server counts is known only within
//! bounds, so the checks use bounds. So are the seats of an address in a full room.

use std::net::IpAddr;

use super::plan::PROXY;
use super::{Check, ROOM_PLAYERS_MAX, Simulation};
use crate::sim::client::Kind;

/// From the documentation, not from the server.
const CONNECTIONS: usize = 12;
const CONNECTIONS_PER_PLAYER: usize = 3;
const SEATS_AN_ADDRESS: usize = 32;
const ROOM_SHARES: usize = 4;

/// What an address group opened in one turn.
#[derive(Default)]
pub struct AddressLoad {
    opened: usize,
    /// Those of them that were closed at once. They count until the end of the turn.
    unwatched: usize,
    /// A connection may have been evicted.
    is_full: bool,
    /// Connections that it may have afterwards.
    most: usize,
}

impl Simulation {
    /// The server opened a connection of a client.
    pub(super) fn note_opened(&mut self, index: usize, peer: IpAddr) {
        if peer == PROXY {
            return;
        }
        let address_group = self.plan.address_group(index);
        let (direct, counted) = self.connections(address_group);
        let players = self
            .clients_of_group(address_group)
            .filter(|index| self.clients[*index].may_play())
            .count()
            + self.absences.of_group(address_group).count();
        let may_have = CONNECTIONS + CONNECTIONS_PER_PLAYER * players;
        // It may keep more than that from players that have left, but gets no more.
        let before = self.address_loads.get(&address_group).map_or(direct, |load| load.most);
        let load = self.address_loads.entry(address_group).or_default();
        load.opened += 1;
        load.is_full |= counted >= CONNECTIONS;
        load.most = before.max(may_have);
    }

    /// The connection of a client, which was just opened, could not be watched.
    pub(super) fn note_unwatched(&mut self, index: usize, peer: IpAddr) {
        if peer != PROXY {
            let address_group = self.plan.address_group(index);
            self.address_loads.entry(address_group).or_default().unwatched += 1;
        }
    }

    /// The server refused a connection of a client.
    pub(super) fn note_refused(&mut self, index: usize, peer: IpAddr) -> Check {
        if peer == PROXY {
            return Err("the proxy is refused".to_owned());
        }
        self.refused += 1;
        let address_group = self.plan.address_group(index);
        let (_, counted) = self.connections(address_group);
        let sure = |index: &usize| {
            let is_playing = self.clients[*index].is_certainly_playing();
            is_playing && !self.may_lose_seat(*index) && !self.is_draining
        };
        let may_have = CONNECTIONS
            + CONNECTIONS_PER_PLAYER * self.clients_of_group(address_group).filter(sure).count();
        if counted < may_have {
            return Err(format!("{peer} has {counted} connections of {may_have}, and is refused"));
        }
        let is_idle = |index: &usize| {
            let client = &self.clients[*index];
            client.forwarded_for.is_none() && client.is_idle()
        };
        let idle = self.clients_of_group(address_group).filter(is_idle).count();
        // Some of them may have been evicted in this turn.
        match idle > self.address_loads.get(&address_group).map_or(0, |load| load.opened) {
            true => Err(format!("{peer} is refused while {idle} idle connections stay")),
            false => Ok(()),
        }
    }

    /// Whether the connection may have been evicted for one opened in this turn.
    pub(super) fn may_be_evicted(&self, index: usize) -> bool {
        let (client, address_group) = (&self.clients[index], self.plan.address_group(index));
        let is_page = client.kind == Kind::Browser && client.forwarded_for.is_none();
        is_page && self.address_loads.get(&address_group).is_some_and(|load| load.is_full)
    }

    /// Checks at the end of a turn that no address group has more connections than it may have.
    pub(super) fn check_address_limits(&mut self) -> Check {
        for (address_group, load) in std::mem::take(&mut self.address_loads) {
            let (direct, _) = self.connections(address_group);
            if direct > load.most {
                return Err(format!(
                    "address group {address_group} has {direct} connections, at most {} allowed",
                    load.most
                ));
            }
        }
        Ok(())
    }

    /// The direct connections of an address group; and those plus all others that the server may
    /// count for it: proxied ones, and those that could not be watched.
    fn connections(&self, address_group: usize) -> (usize, usize) {
        let is_direct = |index: &usize| {
            let client = &self.clients[*index];
            client.socket.is_some() && client.forwarded_for.is_none()
        };
        let direct = self.clients_of_group(address_group).filter(is_direct).count();
        let is_proxied = |index: &usize| {
            let client = &self.clients[*index];
            client.may_play() && client.forwarded_for.is_some()
        };
        let proxied = self.clients_of_group(address_group).filter(is_proxied).count();
        let unwatched = self.address_loads.get(&address_group).map_or(0, |load| load.unwatched);
        (direct, direct + proxied + unwatched)
    }

    fn clients_of_group(&self, address_group: usize) -> std::ops::Range<usize> {
        self.plan.clients_of_group(address_group)
    }

    /// Notes which address groups may have more players in a room than they keep in a full one,
    /// counting all clients that have asked to join.
    pub(super) fn note_crowding_groups(&mut self) {
        for address_group in 0..self.plan.address_groups() {
            for room in 0..self.plan.rooms {
                let is_here = |index: &usize| {
                    let client = &self.clients[*index];
                    client.room.0 == room && client.asked_at.is_some()
                };
                let absent = self.absences.of_group(address_group);
                let absent = absent.filter(|absence| absence.room.0 == room).count();
                let most = absent + self.clients_of_group(address_group).filter(is_here).count();
                if most > SEATS_AN_ADDRESS.min(ROOM_PLAYERS_MAX / ROOM_SHARES) {
                    self.crowding.insert((room, address_group), self.wall);
                }
            }
        }
    }

    /// Whether the server may have given the client's seat to a player of another address since the
    /// client connected: the room was full, and its address had more than its share.
    pub(super) fn may_lose_seat(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let crowded_at = self.crowding.get(&(client.room.0, self.plan.address_group(index)));
        let is_recent = |at: u64| self.wall - at <= client.age_ms(self.wall);
        self.may_be_full(index) && crowded_at.is_some_and(|at| is_recent(*at))
    }
}
