//! The gate: how often an address may connect and join, and how many of it may be here at once
//! (docs/limits.md, "Connections"). By what names it may come is told in [`names`].
//!
//! A noun: it counts addresses, and knows no connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::ids::ConnId;
use crate::bucket::Bucket;
use crate::http::Request;
use crate::limits::{
    ACCEPTS, ADMIN_CONNECTIONS_MAX, CONNECTIONS_A_SESSION, CONNECTIONS_AN_ADDRESS, JOINS,
    SESSIONS_AN_ADDRESS,
};
use crate::metrics::Refusal;
use crate::time::Millis;

mod names;

pub use names::Names;

/// Who may connect.
#[derive(Debug)]
pub struct Gate {
    /// By what names.
    pub names: Names,
    /// Whether peers on this machine are held to the limits of one address.
    limits_loopback: bool,
    addresses: HashMap<Address, Standing>,
    /// Engine.IO sessions of all addresses over which nobody plays.
    unused: u32,
    admin_connections: usize,
}

/// What is counted as one address: an IPv4 address, or the /64 of an IPv6 address, since whoever
/// has one of those has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Address(IpAddr);

/// How an address stands.
#[derive(Debug)]
struct Standing {
    connections: Vec<ConnId>,
    sessions: u32,
    /// Engine.IO sessions over which nobody plays.
    unused: u32,
    accepts: Bucket,
    joins: Bucket,
}

impl Gate {
    /// A gate at which nobody stands.
    #[must_use]
    pub fn new(names: Names, limits_loopback: bool) -> Gate {
        Gate { names, limits_loopback, addresses: HashMap::new(), unused: 0, admin_connections: 0 }
    }

    /// A connection comes.
    ///
    /// # Errors
    /// Why it must be closed before a byte is read.
    pub fn judge_connection(&mut self, peer: IpAddr, now: Millis) -> Result<(), Refusal> {
        if self.is_exempt(peer) {
            return Ok(());
        }
        let standing = self.standing(peer, now);
        let most = CONNECTIONS_AN_ADDRESS + CONNECTIONS_A_SESSION * standing.sessions;
        if !standing.accepts.take(ACCEPTS, 1, now) {
            return Err(Refusal::AcceptRate);
        }
        match standing.connections.len() < most as usize {
            true => Ok(()),
            false => Err(Refusal::AddressFull),
        }
    }

    /// A connection was let in. It counts until [`Gate::connection_ended`].
    pub fn connection_began(&mut self, peer: IpAddr, id: ConnId, now: Millis) {
        if !self.is_exempt(peer) {
            self.standing(peer, now).connections.push(id);
        }
    }

    /// A connection has ended.
    pub fn connection_ended(&mut self, peer: IpAddr, id: ConnId) {
        if let Some(standing) = self.addresses.get_mut(&Address::of(peer))
            && let Some(place) = standing.connections.iter().position(|other| *other == id)
        {
            standing.connections.swap_remove(place);
        }
    }

    /// A proxy's connection is from now on that of its `client` alone.
    pub fn connection_passes(&mut self, id: ConnId, from: IpAddr, client: IpAddr, now: Millis) {
        self.connection_ended(from, id);
        self.connection_began(client, id, now);
    }

    /// The connections that count for the address of `peer`.
    #[must_use]
    pub fn connections(&self, peer: IpAddr) -> &[ConnId] {
        self.addresses.get(&Address::of(peer)).map_or(&[], |standing| &standing.connections)
    }

    /// An operator's connection comes. It is counted until [`Gate::admin_connection_ended`], unless
    /// it is refused.
    ///
    /// # Errors
    /// That there are too many.
    pub fn admin_connection_begins(&mut self) -> Result<(), Refusal> {
        if self.admin_connections >= ADMIN_CONNECTIONS_MAX {
            return Err(Refusal::Full);
        }
        self.admin_connections += 1;
        Ok(())
    }

    /// An operator's connection has ended.
    pub fn admin_connection_ended(&mut self) {
        self.admin_connections -= 1;
    }

    /// A client wants to join. It `counts` unless a handshake has counted for it already.
    ///
    /// # Errors
    /// That its address joins too fast, or plays too often already; never of one that is exempt.
    pub fn join_begins(
        &mut self,
        client: IpAddr,
        is_exempt: bool,
        counts: bool,
        now: Millis,
    ) -> Result<(), Refusal> {
        if is_exempt {
            return Ok(());
        }
        let standing = self.standing(client, now);
        if standing.sessions >= SESSIONS_AN_ADDRESS {
            return Err(Refusal::AddressFull);
        }
        match !counts || standing.joins.take(JOINS, 1, now) {
            true => Ok(()),
            false => Err(Refusal::JoinRate),
        }
    }

    /// Whether the limits of one address do not hold for whoever makes a request.
    #[must_use]
    pub fn exempts(&self, client: IpAddr, request: &Request) -> bool {
        self.names.is_direct(client, request) && !self.limits_loopback
    }

    /// Engine.IO sessions over which nobody plays.
    #[must_use]
    pub fn unused(&self) -> u32 {
        self.unused
    }

    /// Those of an address.
    #[must_use]
    pub fn unused_of(&self, client: IpAddr) -> u32 {
        self.addresses.get(&Address::of(client)).map_or(0, |standing| standing.unused)
    }

    /// Nobody plays over an Engine.IO session, from here on.
    pub fn unused_began(&mut self, client: IpAddr, now: Millis) {
        self.unused += 1;
        self.standing(client, now).unused += 1;
    }

    /// Somebody plays over it, or it has ended.
    pub fn unused_ended(&mut self, client: IpAddr) {
        self.unused = self.unused.saturating_sub(1);
        if let Some(standing) = self.addresses.get_mut(&Address::of(client)) {
            standing.unused = standing.unused.saturating_sub(1);
        }
    }

    /// A client has joined; its address may have more connections.
    pub fn session_began(&mut self, peer: IpAddr, now: Millis) {
        self.standing(peer, now).sessions += 1;
    }

    /// A client has left.
    pub fn session_ended(&mut self, peer: IpAddr) {
        if let Some(standing) = self.addresses.get_mut(&Address::of(peer)) {
            standing.sessions = standing.sessions.saturating_sub(1);
        }
    }

    /// Forgets addresses of which nothing is left to know.
    pub fn forget_rested(&mut self, now: Millis) {
        self.addresses.retain(|_, standing| {
            !standing.connections.is_empty()
                || standing.sessions > 0
                || standing.unused > 0
                || !standing.accepts.is_full(ACCEPTS, now)
                || !standing.joins.is_full(JOINS, now)
        });
    }

    /// Whether the limits of one address do not hold for the connections of `peer`. It has not said
    /// anything yet.
    fn is_exempt(&self, peer: IpAddr) -> bool {
        self.names.may_be_direct(peer) && !self.limits_loopback || self.names.is_proxy(peer)
    }

    fn standing(&mut self, peer: IpAddr, now: Millis) -> &mut Standing {
        self.addresses.entry(Address::of(peer)).or_insert_with(|| Standing {
            connections: Vec::new(),
            sessions: 0,
            unused: 0,
            accepts: Bucket::full(ACCEPTS, now),
            joins: Bucket::full(JOINS, now),
        })
    }
}

impl Address {
    fn of(peer: IpAddr) -> Address {
        match peer.to_canonical() {
            IpAddr::V4(v4) => Address(IpAddr::V4(v4)),
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & !u128::from(u64::MAX);
                Address(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn gate(proxies: &[&str]) -> Gate {
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        let names = Names { hosts: Vec::new(), origins: Vec::new(), proxies, ports: vec![8765] };
        Gate::new(names, false)
    }

    fn asks<T>(fields: &str, judge: impl FnOnce(&Request) -> T) -> T {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        judge(&Request::parse(head.as_bytes()).unwrap())
    }

    /// Lets a connection in, if it may come; each has a number of its own.
    fn begins(gate: &mut Gate, peer: IpAddr, slot: u32) -> Result<(), Refusal> {
        gate.judge_connection(peer, Millis(0))?;
        gate.connection_began(peer, conn(slot), Millis(0));
        Ok(())
    }

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, serial: 1 }
    }

    #[test]
    fn one_address_has_its_share() {
        let mut gate = gate(&[]);
        for slot in 0..12 {
            assert_eq!(begins(&mut gate, FAR, slot), Ok(()));
        }
        assert_eq!(begins(&mut gate, FAR, 12), Err(Refusal::AddressFull));
        let other = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
        assert_eq!(begins(&mut gate, other, 12), Ok(()));
        gate.session_began(FAR, Millis(0));
        for slot in 13..16 {
            assert_eq!(begins(&mut gate, FAR, slot), Ok(()));
        }
        assert_eq!(begins(&mut gate, FAR, 16), Err(Refusal::AddressFull));
        gate.connection_ended(FAR, conn(5));
        assert_eq!(begins(&mut gate, FAR, 16), Ok(()));
        gate.session_ended(FAR);
        gate.connection_ended(FAR, conn(16));
        assert_eq!(begins(&mut gate, FAR, 17), Err(Refusal::AddressFull), "nobody plays any more");
        for slot in 0..1000 {
            assert_eq!(begins(&mut gate, LOOPBACK, slot), Ok(()));
        }
    }

    #[test]
    fn a_v6_network_is_one_address_and_rested_ones_are_forgotten() {
        let mut gate = gate(&[]);
        for host in 0..12 {
            let peer = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(host)));
            assert_eq!(begins(&mut gate, peer, host), Ok(()));
        }
        let peer = IpAddr::V6("2001:db8::ffff".parse().unwrap());
        assert_eq!(begins(&mut gate, peer, 12), Err(Refusal::AddressFull));
        (0..12).for_each(|slot| gate.connection_ended(peer, conn(slot)));
        gate.forget_rested(Millis(0));
        assert_eq!(gate.addresses.len(), 1, "its accepts are not rested yet");
        gate.forget_rested(Millis(1_000));
        assert_eq!(gate.addresses.len(), 0);
    }

    #[test]
    fn joins_are_rated_and_local_ones_are_not() {
        let mut gate = gate(&[]);
        let mut joins = |peer, host: &str| {
            let fields = format!("Host: {host}\r\n");
            let is_exempt = asks(&fields, |request| gate.exempts(peer, request));
            (0..100).filter(|_| gate.join_begins(peer, is_exempt, true, Millis(0)).is_ok()).count()
        };
        assert_eq!(joins(FAR, "play.example"), 64);
        assert_eq!(joins(LOOPBACK, "play.example"), 100, "by whatever name");
        assert_eq!(joins(LOOPBACK, "play.example\r\nX-Forwarded-For: 192.0.2.9"), 64);
    }

    #[test]
    fn with_a_trusted_proxy_nobody_is_local_and_only_proxies_are_exempt() {
        let mut gate = gate(&["127.0.0.1/32"]);
        let fields = "Host: localhost:8765\r\nOrigin: null\r\n";
        assert!(asks(fields, |request| !gate.names.is_local(LOOPBACK, request)));
        assert!(asks(fields, |request| !gate.names.passes_origin(LOOPBACK, request)));
        let neighbour = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
        let begun = |gate: &mut Gate, peer| {
            (0..1_000).filter(|slot| begins(gate, peer, *slot).is_ok()).count()
        };
        assert_eq!(begun(&mut gate, neighbour), 12);
        assert_eq!(begun(&mut gate, LOOPBACK), 1_000);
    }

    #[test]
    fn a_connection_passes_from_the_proxy_to_its_client() {
        let mut gate = gate(&["127.0.0.1/32"]);
        assert_eq!(begins(&mut gate, LOOPBACK, 7), Ok(()));
        gate.connection_passes(conn(7), LOOPBACK, FAR, Millis(0));
        assert_eq!((gate.connections(LOOPBACK), gate.connections(FAR)), (&[][..], &[conn(7)][..]));
        gate.connection_ended(FAR, conn(7));
        gate.forget_rested(Millis(1_000));
        assert_eq!(gate.addresses.len(), 0);
    }

    #[test]
    fn an_address_plays_so_often_and_not_more() {
        let mut gate = gate(&[]);
        let mut now = Millis(0);
        let joins = |gate: &mut Gate, now| gate.join_begins(FAR, false, true, now);
        for _ in 0..SESSIONS_AN_ADDRESS {
            now = now.after(1_000);
            assert_eq!(joins(&mut gate, now), Ok(()));
            gate.session_began(FAR, now);
        }
        now = now.after(1_000);
        assert_eq!(joins(&mut gate, now), Err(Refusal::AddressFull));
        gate.session_ended(FAR);
        assert_eq!(joins(&mut gate, now), Ok(()));
    }
}
