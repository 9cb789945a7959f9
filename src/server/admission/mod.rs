//! Admission: how often an address may connect and join, and how many connections, sessions and
//! players it may have (docs/limits.md, "Connections"). `trust` has the hosts, origins and proxies,
//! `network` what counts as one address, `by_network` counts for each, `connections` the
//! connections of each and their places.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::ids::ConnId;
use crate::bucket::Bucket;
use crate::http::Request;
use crate::limits::{
    ACCEPTS, IDLE_SESSIONS_MAX, JOIN_FORGOTTEN_S, JOINS, JOINS_KEPT, JOINS_LATELY, JOINS_TOTAL,
    PAGE_BYTES, PAGES, SEARCHES_LATELY, SESSIONS_AN_ADDRESS, TLS_STEPS_LATELY,
};
use crate::metrics::Refusal;
use crate::time::Millis;

mod by_network;
mod connections;
mod network;
mod trust;

pub use by_network::{ByNetwork, count_down};
pub use network::Network;
pub use trust::{Trust, UNKNOWN_CLIENT};

/// Which addresses may connect, and how often.
#[derive(Debug)]
pub struct Admission {
    /// The trusted hosts, origins and proxies.
    pub trust: Trust,
    /// Whether the limits per address apply to loopback, too.
    limits_loopback: bool,
    networks: HashMap<Network, Counts>,
    /// Connections that have a place among those of `--connections-max`.
    placed: ByNetwork,
    /// Joins of all addresses.
    joins: Bucket,
    /// Engine.IO sessions of all addresses that have not joined a room, and the number of
    /// addresses that have some.
    unjoined: u32,
    unjoined_addresses: u32,
    admin_connections: usize,
    /// Whether the server is too overloaded for more players.
    pub is_overloaded: bool,
}

/// What is counted for a network.
#[derive(Debug)]
struct Counts {
    connections: Vec<ConnId>,
    /// Bytes that are held for its clients.
    bytes: usize,
    sessions: u32,
    /// Players without a client.
    absent: u32,
    /// Engine.IO sessions that have not joined a room.
    unjoined: u32,
    accepts: Bucket,
    /// Searches for a connection to end for one of it.
    searches: Bucket,
    /// Its steps of TLS handshakes lately.
    handshake_steps: Bucket,
    joins: Bucket,
    /// Its attempts to join a room lately.
    tries: Bucket,
    pages: Bucket,
    page_bytes: Bucket,
}

impl Admission {
    /// Counts nothing yet.
    #[must_use]
    pub fn new(trust: Trust, limits_loopback: bool) -> Admission {
        Admission {
            trust,
            limits_loopback,
            networks: HashMap::new(),
            placed: ByNetwork::default(),
            joins: Bucket::full(JOINS_TOTAL, Millis::default()),
            unjoined: 0,
            unjoined_addresses: 0,
            admin_connections: 0,
            is_overloaded: false,
        }
    }

    /// Counts a step of a TLS handshake. Returns how many the address has made lately, or as many
    /// as a larger network of it has for each of its addresses; 0 for an exempt one.
    pub fn count_handshake_step(&mut self, peer: IpAddr, now: Millis) -> u32 {
        if self.is_exempt(peer) {
            return 0;
        }
        let count = |(network, factor): (Network, u32)| {
            let rate = TLS_STEPS_LATELY.times(factor);
            let steps = &mut self.counts(network, now).handshake_steps;
            let before = steps.used(rate, now).div_ceil(factor);
            steps.take(rate, 1, now);
            before
        };
        Network::all_of(peer).map(count).max().unwrap_or_default()
    }

    /// Counts bytes that are held for a client.
    pub fn hold_bytes(&mut self, client: IpAddr, bytes: usize, now: Millis) {
        for (network, _) in Network::all_of(client) {
            self.counts(network, now).bytes += bytes;
        }
    }

    /// Such bytes are not held any more.
    pub fn release_bytes(&mut self, client: IpAddr, bytes: usize) {
        for (network, _) in Network::all_of(client) {
            if let Some(counts) = self.networks.get_mut(&network) {
                counts.bytes = counts.bytes.saturating_sub(bytes);
            }
        }
    }

    /// Bytes that are held for the clients of all addresses.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let smallest = self.networks.iter().filter(|(network, _)| network.is_innermost());
        smallest.map(|(_, counts)| counts.bytes).sum()
    }

    /// The smallest network of `client` that holds more than `share`.
    #[must_use]
    pub fn network_with_more(&self, client: IpAddr, share: usize) -> Option<Network> {
        let holds_more = |(network, factor): &(Network, u32)| {
            let bytes = self.networks.get(network).map_or(0, |counts| counts.bytes);
            bytes > share.saturating_mul(*factor as usize)
        };
        Network::all_of(client).find(holds_more).map(|(network, _)| network)
    }

    /// An equal part of `bytes` for each address that holds some, but at least `part_min`, and the
    /// addresses that hold more, or the first ones of their networks: those with the most first.
    #[must_use]
    pub fn holders_of_more_than_a_part(
        &self,
        bytes: usize,
        part_min: usize,
    ) -> (usize, Vec<IpAddr>) {
        let holds =
            |(network, counts): &(&Network, &Counts)| network.is_outermost() && counts.bytes > 0;
        let holders = self.networks.iter().filter(holds);
        let parts = holders.clone().map(|(network, _)| network.factor() as usize).sum::<usize>();
        let part = (bytes / parts.max(1)).max(part_min);
        let parts = |network: &Network, counts: &Counts| counts.bytes / network.factor() as usize;
        let more = holders.map(|(network, counts)| (parts(network, counts), network.first()));
        let mut more: Vec<(usize, IpAddr)> = more.filter(|(held, _)| *held > part).collect();
        more.sort_unstable_by_key(|(held, first)| (Reverse(*held), *first));
        (part, more.into_iter().map(|(_, first)| first).collect())
    }

    /// Checks a join against the limits of its address. It is `rated` unless a handshake has
    /// counted for it already.
    ///
    /// # Errors
    /// The address joins too fast, or has too many players. Never for an exempt client.
    pub fn join_begins(
        &mut self,
        client: IpAddr,
        is_exempt: bool,
        rated: bool,
        now: Millis,
    ) -> Result<(), Refusal> {
        if is_exempt {
            return Ok(());
        }
        for (network, factor) in Network::all_of(client) {
            let counts = self.counts(network, now);
            if counts.sessions + counts.absent >= SESSIONS_AN_ADDRESS * factor {
                return Err(Refusal::AddressFull);
            } else if rated && !counts.joins.take(JOINS.times(factor), 1, now) {
                return Err(Refusal::JoinRate);
            }
        }
        Ok(())
    }

    /// Counts a client that joins a room, or `comes_back` to its player there: that one counts
    /// against the rate of its address only.
    ///
    /// # Errors
    /// It joins too fast, its address has too many players, or the server is overloaded.
    pub fn admit(
        &mut self,
        client: IpAddr,
        is_exempt: bool,
        rated: bool,
        comes_back: bool,
        now: Millis,
    ) -> Result<(), Refusal> {
        if !comes_back {
            self.join_begins(client, is_exempt, rated, now)?;
            return self.joins_room(client, is_exempt, now);
        }
        let mut takes =
            |(network, factor)| self.counts(network, now).joins.take(JOINS.times(factor), 1, now);
        match is_exempt || !rated || Network::all_of(client).all(&mut takes) {
            true => Ok(()),
            false => Err(Refusal::JoinRate),
        }
    }

    /// Counts a client that joins a room against the rate of all addresses. A part of the burst is
    /// kept for addresses that have not tried to join lately: the more often an address did, the
    /// more of this part must be left.
    ///
    /// # Errors
    /// The server is overloaded, or all together join too fast; the latter never for an exempt
    /// client.
    fn joins_room(&mut self, client: IpAddr, is_exempt: bool, now: Millis) -> Result<(), Refusal> {
        if self.is_overloaded {
            return Err(Refusal::Overload);
        }
        if is_exempt {
            return Ok(());
        }
        let tries_lately = |(network, factor): (Network, u32)| {
            let rate = JOINS_LATELY.times(factor);
            let tries = &mut self.counts(network, now).tries;
            let used = tries.used(rate, now).div_ceil(JOIN_FORGOTTEN_S * factor);
            // Also if it is refused.
            tries.take(rate, JOIN_FORGOTTEN_S, now);
            used
        };
        let kept = match Network::all_of(client).map(tries_lately).max().unwrap_or_default() {
            0 => 0,
            tries => {
                let most = JOINS_LATELY.burst / JOIN_FORGOTTEN_S;
                JOINS_KEPT / 4 + JOINS_KEPT * 3 / 4 * tries / most
            }
        };
        if !self.joins.has(JOINS_TOTAL, 1 + kept, now) {
            return Err(Refusal::JoinRateTotal);
        }
        self.joins.take(JOINS_TOTAL, 1, now);
        Ok(())
    }

    /// Counts a request for a page, a file or the list of rooms. Returns `false` if the address
    /// makes too many.
    pub fn takes_page(&mut self, client: IpAddr, now: Millis) -> bool {
        Network::all_of(client).all(|(network, factor)| {
            self.counts(network, now).pages.take(PAGES.times(factor), 1, now)
        })
    }

    /// Counts the bytes of the response. Returns `false` if the address takes too many.
    pub fn takes_page_bytes(&mut self, client: IpAddr, bytes: usize, now: Millis) -> bool {
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX).min(PAGE_BYTES.burst);
        Network::all_of(client).all(|(network, factor)| {
            self.counts(network, now).page_bytes.take(PAGE_BYTES.times(factor), cost, now)
        })
    }

    /// Whether the client of a request is exempt from the limits per address.
    #[must_use]
    pub fn exempts(&self, client: IpAddr, request: &Request) -> bool {
        self.trust.is_direct(client, request) && !self.limits_loopback
    }

    /// The number of Engine.IO sessions that have not joined.
    #[must_use]
    pub fn unjoined(&self) -> u32 {
        self.unjoined
    }

    /// The number of them that count for an address. Those of a larger network count as well, as
    /// far as its share is smaller than that of as many addresses.
    #[must_use]
    pub fn unjoined_of(&self, client: IpAddr) -> u32 {
        let share = |(network, factor): (Network, u32)| {
            self.networks.get(&network).map_or(0, |counts| counts.unjoined.div_ceil(factor))
        };
        Network::all_of(client).map(share).max().unwrap_or_default()
    }

    /// The number of them that each address may have while there are as many as there may be: the
    /// equal part of all addresses that have some.
    #[must_use]
    pub fn unjoined_share(&self) -> u32 {
        IDLE_SESSIONS_MAX / self.unjoined_addresses.max(1)
    }

    /// Counts an Engine.IO session that has not joined.
    pub fn unjoined_began(&mut self, client: IpAddr, now: Millis) {
        self.unjoined += 1;
        for (network, _) in Network::all_of(client) {
            let counts = self.counts(network, now);
            counts.unjoined += 1;
            let is_new = counts.unjoined == 1 && network.is_outermost();
            self.unjoined_addresses += u32::from(is_new);
        }
    }

    /// Such a session has joined or ended.
    pub fn unjoined_ended(&mut self, client: IpAddr) {
        self.unjoined = self.unjoined.saturating_sub(1);
        for (network, _) in Network::all_of(client) {
            if let Some(counts) = self.networks.get_mut(&network).filter(|it| it.unjoined > 0) {
                counts.unjoined -= 1;
                let is_last = counts.unjoined == 0 && network.is_outermost();
                self.unjoined_addresses -= u32::from(is_last);
            }
        }
    }

    /// A client joined; its address may have more connections.
    pub fn session_began(&mut self, peer: IpAddr, now: Millis) {
        self.count(peer, now, |counts| counts.sessions += 1);
    }

    /// A client left.
    pub fn session_ended(&mut self, peer: IpAddr) {
        self.count_down(peer, |counts| &mut counts.sessions);
    }

    /// Whether a client of this address is in a room.
    #[must_use]
    pub fn has_player(&self, peer: IpAddr) -> bool {
        let counts = Network::all_of(peer).next().and_then(|(own, _)| self.networks.get(&own));
        counts.is_some_and(|counts| counts.sessions > 0)
    }

    /// A player of an address stays without its client. It counts among the players of the address
    /// and allows no further connections.
    pub fn absence_began(&mut self, peer: IpAddr, now: Millis) {
        self.count(peer, now, |counts| counts.absent += 1);
    }

    /// Such a player has its client again, or has left.
    pub fn absence_ended(&mut self, peer: IpAddr) {
        self.count_down(peer, |counts| &mut counts.absent);
    }

    fn count(&mut self, peer: IpAddr, now: Millis, count: impl Fn(&mut Counts)) {
        Network::all_of(peer).for_each(|(network, _)| count(self.counts(network, now)));
    }

    fn count_down(&mut self, peer: IpAddr, field: impl Fn(&mut Counts) -> &mut u32) {
        for (network, _) in Network::all_of(peer) {
            if let Some(count) = self.networks.get_mut(&network).map(&field) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Removes addresses without connections, sessions or recent activity.
    pub fn forget_idle(&mut self, now: Millis) {
        self.networks.retain(|network, counts| {
            let factor = network.factor();
            !counts.connections.is_empty()
                || counts.bytes > 0
                || counts.sessions > 0
                || counts.absent > 0
                || counts.unjoined > 0
                || !counts.accepts.is_full(ACCEPTS.times(factor), now)
                || !counts.searches.is_full(SEARCHES_LATELY.times(factor), now)
                || !counts.handshake_steps.is_full(TLS_STEPS_LATELY.times(factor), now)
                || !counts.joins.is_full(JOINS.times(factor), now)
                || !counts.tries.is_full(JOINS_LATELY.times(factor), now)
                || !counts.pages.is_full(PAGES.times(factor), now)
                || !counts.page_bytes.is_full(PAGE_BYTES.times(factor), now)
        });
    }

    /// Whether the connections of `peer` are exempt, decided before its first byte.
    #[must_use]
    pub fn is_exempt(&self, peer: IpAddr) -> bool {
        self.trust.may_be_direct(peer) && !self.limits_loopback || self.trust.is_proxy(peer)
    }

    fn counts(&mut self, network: Network, now: Millis) -> &mut Counts {
        let factor = network.factor();
        self.networks.entry(network).or_insert_with(|| Counts {
            connections: Vec::new(),
            bytes: 0,
            sessions: 0,
            absent: 0,
            unjoined: 0,
            accepts: Bucket::full(ACCEPTS.times(factor), now),
            searches: Bucket::full(SEARCHES_LATELY.times(factor), now),
            handshake_steps: Bucket::full(TLS_STEPS_LATELY.times(factor), now),
            joins: Bucket::full(JOINS.times(factor), now),
            tries: Bucket::full(JOINS_LATELY.times(factor), now),
            pages: Bucket::full(PAGES.times(factor), now),
            page_bytes: Bucket::full(PAGE_BYTES.times(factor), now),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::limits::CONNECTIONS_AN_ADDRESS;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn admission(proxies: &[&str]) -> Admission {
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        let names = Trust {
            hosts: Vec::new(),
            origins: Vec::new(),
            proxies,
            ports: vec![8765],
            has_tls: false,
        };
        Admission::new(names, false)
    }

    fn asks<T>(fields: &str, judge: impl FnOnce(&Request) -> T) -> T {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        judge(&Request::parse(head.as_bytes()).unwrap())
    }

    /// Lets a connection in, if it may come; each has a number of its own.
    fn begins(admission: &mut Admission, peer: IpAddr, slot: u32) -> Result<(), Refusal> {
        admission.check_connection_limits(peer, Millis(0))?;
        admission.connection_began(peer, conn(slot), true, Millis(0));
        Ok(())
    }

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, serial: 1 }
    }

    #[test]
    fn one_address_has_its_share() {
        let mut admission = admission(&[]);
        for slot in 0..12 {
            assert_eq!(begins(&mut admission, FAR, slot), Ok(()));
        }
        assert_eq!(begins(&mut admission, FAR, 12), Err(Refusal::AddressFull));
        let other = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
        assert_eq!(begins(&mut admission, other, 12), Ok(()));
        admission.session_began(FAR, Millis(0));
        for slot in 13..16 {
            assert_eq!(begins(&mut admission, FAR, slot), Ok(()));
        }
        assert_eq!(begins(&mut admission, FAR, 16), Err(Refusal::AddressFull));
        admission.connection_ended(FAR, conn(5), true);
        assert_eq!(begins(&mut admission, FAR, 16), Ok(()));
        admission.session_ended(FAR);
        admission.connection_ended(FAR, conn(16), true);
        assert_eq!(begins(&mut admission, FAR, 17), Err(Refusal::AddressFull), "no player is left");
        for slot in 0..1000 {
            assert_eq!(begins(&mut admission, LOOPBACK, slot), Ok(()));
        }
    }

    #[test]
    fn steps_of_handshakes_count_for_a_second_each() {
        let mut admission = admission(&[]);
        let steps = |admission: &mut Admission, peer: &str, seconds: u64| {
            admission.count_handshake_step(peer.parse().unwrap(), Millis(seconds * 1_000))
        };
        for expected in (0..128).chain([128; 3]) {
            assert_eq!(steps(&mut admission, "192.0.2.7", 0), expected);
        }
        assert_eq!(steps(&mut admission, "192.0.2.8", 0), 0);
        assert_eq!(steps(&mut admission, "192.0.2.7", 100), 28);
        admission.forget_idle(Millis(200_000));
        assert_eq!(admission.networks.len(), 0);
        // Each counts for its /64, for half of one in a /56, and for a quarter in a /48.
        for (network, expected) in [(1, 0), (2, 1), (3, 1), (4, 2), (0x100, 1), (0x200, 2)] {
            let peer = format!("2001:db8:0:{network:x}::1");
            assert_eq!(steps(&mut admission, &peer, 200), expected, "{peer}");
        }
        assert_eq!(steps(&mut admission, "::1", 200), 0);
        assert_eq!(steps(&mut admission, "::1", 200), 0, "loopback is exempt");
    }

    #[test]
    fn a_v6_network_is_one_address_and_rested_ones_are_forgotten() {
        let mut admission = admission(&[]);
        for host in 0..12 {
            let peer = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(host)));
            assert_eq!(begins(&mut admission, peer, host), Ok(()));
        }
        let peer = IpAddr::V6("2001:db8::ffff".parse().unwrap());
        assert_eq!(begins(&mut admission, peer, 12), Err(Refusal::AddressFull));
        (0..12).for_each(|slot| admission.connection_ended(peer, conn(slot), true));
        admission.forget_idle(Millis(0));
        assert_eq!(admission.networks.len(), 3, "its accepts are not rested yet");
        admission.forget_idle(Millis(1_000));
        assert_eq!(admission.networks.len(), 0);
    }

    // T75
    #[test]
    fn a_subscriber_with_many_v6_networks_is_a_few_addresses() {
        let peer = |network: u128| {
            IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | (network << 64) | 1))
        };
        let mut admission = admission(&[]);
        let begun = |admission: &mut Admission, networks: std::ops::Range<u32>| {
            let is_begun = |network: u32| begins(admission, peer(network.into()), network).is_ok();
            networks.map(is_begun).filter(|is_begun| *is_begun).count() as u32
        };
        assert_eq!(begun(&mut admission, 0..200), 2 * CONNECTIONS_AN_ADDRESS, "of a /56");
        assert_eq!(begun(&mut admission, 256..512), 2 * CONNECTIONS_AN_ADDRESS, "of another");
        assert_eq!(begun(&mut admission, 512..768), 0, "of a third one in the same /48");
        assert_eq!(begun(&mut admission, 0x1_0000..0x1_0001), 1, "of another /48");
        assert_eq!(admission.connections_if_full(peer(600)).len(), 48);
        let joins = |admission: &mut Admission, network| {
            (0..1_000)
                .map(|_| admission.join_begins(peer(network), false, true, Millis(0)).is_ok())
                .filter(|has_joined| *has_joined)
                .count() as u32
        };
        assert_eq!(joins(&mut admission, 0), JOINS.burst);
        assert_eq!(joins(&mut admission, 1), JOINS.burst);
        assert_eq!(joins(&mut admission, 2), 0, "the /56 has no more");
        for network in 0..8 {
            admission.unjoined_began(peer(network), Millis(0));
        }
        assert_eq!(admission.unjoined_of(peer(0)), 4, "half of those of the /56");
        for network in 0..8 {
            admission.unjoined_ended(peer(network));
        }
        assert_eq!(admission.unjoined_of(peer(0)), 0);
    }

    // T55, T73
    #[test]
    fn joins_of_many_addresses_are_paced() {
        let mut admission = admission(&[]);
        let mut join = |host: u32, now| {
            let peer = IpAddr::V4(std::net::Ipv4Addr::from_bits(0xc633_0000 + host));
            admission.join_begins(peer, false, true, now)?;
            admission.joins_room(peer, false, now)
        };
        let results: Vec<_> = (0..1_000).map(|host| join(host, Millis(0))).collect();
        let count = |expected| results.iter().filter(|result| **result == expected).count() as u32;
        assert_eq!(count(Ok(())), JOINS_TOTAL.burst);
        assert_eq!(count(Err(Refusal::JoinRateTotal)), 1_000 - JOINS_TOTAL.burst);
        assert_eq!(join(2_000, Millis(1_000)), Ok(()), "a second later");
    }

    /// What `hosts` are.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Of {
        Ipv4,
        /// Each in a /48 of its own.
        Ipv6,
        /// The same, with another /56 each time.
        Changing,
    }

    /// Newcomers with addresses of their own join every 500 ms for 20 s, while `hosts` addresses
    /// try to join every `every_ms`, each at another time. Returns how many newcomers were
    /// refused, and how often the others joined.
    fn newcomers_refused(hosts: u32, every_ms: u64, of: Of) -> (usize, usize) {
        let mut admission = admission(&[]);
        let mut join = |host: u32, now: Millis| {
            let network = 0x2001 << 112 | u128::from(host) << 80;
            let peer: IpAddr = match of {
                Of::Ipv4 => std::net::Ipv4Addr::from_bits(0xc633_0000 + host).into(),
                Of::Ipv6 => Ipv6Addr::from_bits(network).into(),
                Of::Changing => Ipv6Addr::from_bits(network | u128::from(now.0 % 256) << 72).into(),
            };
            admission.join_begins(peer, false, true, now)?;
            admission.joins_room(peer, false, now)
        };
        let (mut refused, mut joined) = (0, 0);
        for ms in 0..20_000 {
            let is_due = |host: &u32| (ms + u64::from(*host) * 7).is_multiple_of(every_ms);
            let others = (0..hosts).filter(is_due);
            joined += others.filter(|host| join(*host, Millis(ms)).is_ok()).count();
            if ms.is_multiple_of(500) {
                refused += usize::from(join(10_000 + ms as u32, Millis(ms)).is_err());
            }
        }
        (refused, joined)
    }

    #[test]
    fn few_addresses_cannot_use_up_the_joins_of_all() {
        for (hosts, every_ms) in
            [(25, 100), (25, 10), (50, 100), (200, 100), (100, 10), (300, 100), (300, 1_000)]
        {
            for of in [Of::Ipv4, Of::Ipv6, Of::Changing] {
                let (refused, joined) = newcomers_refused(hosts, every_ms, of);
                assert_eq!(refused, 0, "{hosts} {of:?} every {every_ms} ms");
                // They have what the newcomers leave.
                assert!(joined > 19 * JOINS_TOTAL.per_s as usize, "{hosts}: {joined}");
            }
        }
        assert_eq!(newcomers_refused(75, 25, Of::Changing).0, 0);
        assert_eq!(newcomers_refused(300, 25, Of::Changing).0, 0);
    }

    #[test]
    fn joins_of_3000_addresses_keep_newcomers_out() {
        let (refused, _) = newcomers_refused(3_000, 10_000, Of::Ipv4);
        assert!((1..40).contains(&refused), "{refused} of 40");
    }

    #[test]
    fn a_crowd_behind_few_addresses_joins_at_once() {
        let mut admission = admission(&[]);
        for host in (0..5).flat_map(|host| [host; 64]) {
            let peer = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, host));
            assert_eq!(admission.admit(peer, false, true, false, Millis(0)), Ok(()));
        }
    }

    #[test]
    fn joins_are_rated_and_local_ones_are_not() {
        let mut admission = admission(&[]);
        let mut joins = |peer, host: &str| {
            let fields = format!("Host: {host}\r\n");
            let is_exempt = asks(&fields, |request| admission.exempts(peer, request));
            (0..100)
                .filter(|_| admission.join_begins(peer, is_exempt, true, Millis(0)).is_ok())
                .count()
        };
        assert_eq!(joins(FAR, "play.example"), 64);
        assert_eq!(joins(LOOPBACK, "play.example"), 100, "by whatever name");
        assert_eq!(joins(LOOPBACK, "play.example\r\nX-Forwarded-For: 192.0.2.9"), 64);
    }

    #[test]
    fn with_a_trusted_proxy_no_peer_is_local_and_only_proxies_are_exempt() {
        let mut admission = admission(&["127.0.0.1/32"]);
        let fields = "Host: localhost:8765\r\nOrigin: null\r\n";
        assert!(asks(fields, |request| !admission.trust.is_local(LOOPBACK, request)));
        assert!(asks(fields, |request| !admission.trust.passes_origin(LOOPBACK, request)));
        let neighbour = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
        let begun = |admission: &mut Admission, peer| {
            (0..1_000).filter(|slot| begins(admission, peer, *slot).is_ok()).count()
        };
        assert_eq!(begun(&mut admission, neighbour), 12);
        assert_eq!(begun(&mut admission, LOOPBACK), 1_000);
    }

    #[test]
    fn a_connection_moves_from_the_proxy_to_its_client() {
        let mut admission = admission(&["127.0.0.1/32"]);
        assert_eq!(begins(&mut admission, LOOPBACK, 7), Ok(()));
        admission.move_connection(conn(7), LOOPBACK, FAR, true, Millis(0));
        let of = |peer| {
            let (network, _) = Network::all_of(peer).next().unwrap();
            admission.networks.get(&network).map_or(0, |counts| counts.connections.len())
        };
        assert_eq!((of(LOOPBACK), of(FAR)), (0, 1));
        admission.connection_ended(FAR, conn(7), true);
        admission.forget_idle(Millis(1_000));
        assert_eq!(admission.networks.len(), 0);
    }

    // T23
    #[test]
    fn an_address_plays_so_often_and_not_more() {
        let mut admission = admission(&[]);
        let mut now = Millis(0);
        let joins = |admission: &mut Admission, now| admission.join_begins(FAR, false, true, now);
        for _ in 0..SESSIONS_AN_ADDRESS {
            now = now.after(1_000);
            assert_eq!(joins(&mut admission, now), Ok(()));
            admission.session_began(FAR, now);
        }
        now = now.after(1_000);
        assert_eq!(joins(&mut admission, now), Err(Refusal::AddressFull));
        admission.session_ended(FAR);
        assert_eq!(joins(&mut admission, now), Ok(()));
    }
}
