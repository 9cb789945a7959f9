//! The gate: who may connect, from where, and how often (HARDENING.md, "Limits to start from").
//!
//! A noun: it counts addresses and knows the Host and Origin rules, and no connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::bucket::Bucket;
use crate::http::Request;
use crate::limits::{
    ACCEPTS, ADMIN_CONNECTIONS_MAX, CONNECTIONS_A_SESSION, CONNECTIONS_AN_ADDRESS, JOINS,
};
use crate::metrics::Refusal;
use crate::time::Millis;

/// Who may connect.
#[derive(Debug)]
pub struct Gate {
    /// Names by which we may be reached, lower case; empty: any.
    hosts: Vec<String>,
    /// Origins that may connect besides our own, lower case.
    origins: Vec<String>,
    /// Proxies that are believed when they say for whom they speak.
    proxies: Vec<IpNet>,
    /// Whether peers on this machine are held to the limits of one address.
    limits_loopback: bool,
    /// The ports on which we are reached.
    ports: Vec<u16>,
    addresses: HashMap<Address, Standing>,
    admin_connections: usize,
}

/// What is counted as one address: an IPv4 address, or the /64 of an IPv6 address, since whoever
/// has one of those has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Address(IpAddr);

/// How an address stands.
#[derive(Debug)]
struct Standing {
    connections: u32,
    sessions: u32,
    accepts: Bucket,
    joins: Bucket,
}

impl Gate {
    /// A gate for a server that is reached on `ports`.
    #[must_use]
    pub fn new(
        hosts: Vec<String>,
        origins: Vec<String>,
        proxies: Vec<IpNet>,
        limits_loopback: bool,
        ports: Vec<u16>,
    ) -> Gate {
        Gate {
            hosts,
            origins,
            proxies,
            limits_loopback,
            ports,
            addresses: HashMap::new(),
            admin_connections: 0,
        }
    }

    /// A connection comes. It is counted until [`Gate::connection_ended`], unless it is refused.
    ///
    /// # Errors
    /// Why it must be closed before a byte is read.
    pub fn connection_begins(&mut self, peer: IpAddr, now: Millis) -> Result<(), Refusal> {
        let is_exempt = self.is_exempt(peer);
        let standing = self.standing(peer, now);
        if !is_exempt {
            let most = CONNECTIONS_AN_ADDRESS + CONNECTIONS_A_SESSION * standing.sessions;
            if !standing.accepts.take(ACCEPTS, 1, now) {
                return Err(Refusal::AcceptRate);
            }
            if standing.connections >= most {
                return Err(Refusal::AddressFull);
            }
        }
        standing.connections += 1;
        Ok(())
    }

    /// A connection has ended.
    pub fn connection_ended(&mut self, peer: IpAddr) {
        if let Some(standing) = self.addresses.get_mut(&Address::of(peer)) {
            standing.connections = standing.connections.saturating_sub(1);
        }
    }

    /// A proxy's connection is from now on that of its `client` alone.
    pub fn connection_passes(&mut self, proxy: IpAddr, client: IpAddr, now: Millis) {
        self.connection_ended(proxy);
        self.standing(client, now).connections += 1;
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

    /// Operators' connections that are open.
    #[must_use]
    pub fn admin_connections(&self) -> usize {
        self.admin_connections
    }

    /// The client to whom a request of `peer` belongs: `peer` itself, unless it is a trusted proxy.
    /// `X-Forwarded-For` is read from the right, where the nearest proxy has written, for as long
    /// as whoever wrote is trusted; what stands further to the left anybody may have invented.
    #[must_use]
    pub fn client(&self, peer: IpAddr, request: &Request) -> IpAddr {
        let mut client = peer;
        let mut hops = request.values("X-Forwarded-For").rev().flat_map(|value| value.rsplit(','));
        while self.is_proxy(client)
            && let Some(hop) = hops.next().and_then(hop)
        {
            client = hop;
        }
        client
    }

    /// A client wants to join.
    ///
    /// # Errors
    /// That its address joins too fast. Peers on this machine that come without a proxy are never
    /// refused.
    pub fn join_begins(
        &mut self,
        peer: IpAddr,
        request: &Request,
        now: Millis,
    ) -> Result<(), Refusal> {
        if self.is_direct(peer, request) && !self.limits_loopback {
            return Ok(());
        }
        match self.standing(peer, now).joins.take(JOINS, 1, now) {
            true => Ok(()),
            false => Err(Refusal::JoinRate),
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
            standing.connections > 0
                || standing.sessions > 0
                || !standing.accepts.is_full(ACCEPTS, now)
                || !standing.joins.is_full(JOINS, now)
        });
    }

    /// Whether the request names us: with `--host`, that name, an address or `localhost`.
    #[must_use]
    pub fn passes_host(&self, request: &Request) -> bool {
        let (name, _) = split_host(request.host);
        self.hosts.is_empty()
            || self.hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
            || name.eq_ignore_ascii_case("localhost")
            || ip_of(name).is_some()
    }

    /// Whether a page of the request's Origin may connect: there is none (no browser), it is our
    /// own or on the list; or both it and the peer are on this machine.
    #[must_use]
    pub fn passes_origin(&self, peer: IpAddr, request: &Request) -> bool {
        if !request.has("Origin") {
            return true;
        }
        let Some(origin) = request.value("Origin") else { return false };
        let is_listed = |listed: &String| listed == "*" || origin.eq_ignore_ascii_case(listed);
        if self.origins.iter().any(is_listed) {
            return true;
        }
        // A page that was opened as a file; browsers call it the one or the other.
        if matches!(origin, "null" | "file://") {
            return self.is_local(peer, request);
        }
        // The scheme may be https although we hear plain HTTP: a proxy in front ended the TLS.
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let Some(authority) = authority else { return false };
        if authority.eq_ignore_ascii_case(request.host) {
            return true;
        }
        let (name, port) = split_host(authority);
        is_localhost(name) && port.is_some() && self.is_local(peer, request)
    }

    /// Whether the peer is on this machine and came straight to us: its address is loopback, Host
    /// says so with our port, and no proxy left its mark. With `--trusted-proxy` nobody is: that a
    /// proxy on this machine always leaves one is not for us to know.
    #[must_use]
    pub fn is_local(&self, peer: IpAddr, request: &Request) -> bool {
        let (name, port) = split_host(request.host);
        let is_our_port = port.is_some_and(|port| self.ports.contains(&port));
        self.is_direct(peer, request) && is_localhost(name) && is_our_port
    }

    /// Whether the peer is on this machine and no proxy stands between, by whatever name it calls
    /// us.
    fn is_direct(&self, peer: IpAddr, request: &Request) -> bool {
        const MARKS: [&str; 3] = ["Forwarded", "Via", "X-Real-IP"];
        self.proxies.is_empty()
            && peer.to_canonical().is_loopback()
            && !MARKS.iter().any(|mark| request.has(mark))
            && !request.has_prefixed("X-Forwarded-")
    }

    /// A connection comes in the place of an idle one of its address.
    pub fn connection_follows(&mut self, peer: IpAddr, now: Millis) {
        self.standing(peer, now).connections += 1;
    }

    /// Whether the limits of one address hold for both together.
    #[must_use]
    pub fn are_one_address(&self, one: IpAddr, other: IpAddr) -> bool {
        Address::of(one) == Address::of(other)
    }

    /// Whether the limits of one address do not hold for the connections of `peer`. It has not said
    /// anything yet.
    fn is_exempt(&self, peer: IpAddr) -> bool {
        let may_be_local = peer.to_canonical().is_loopback() && self.proxies.is_empty();
        may_be_local && !self.limits_loopback || self.is_proxy(peer)
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxies.iter().any(|network| network.contains(&peer))
    }

    fn standing(&mut self, peer: IpAddr, now: Millis) -> &mut Standing {
        self.addresses.entry(Address::of(peer)).or_insert_with(|| Standing {
            connections: 0,
            sessions: 0,
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

/// Name and port of `NAME:PORT`; a missing port is that of HTTP, and one that is none is `None`.
fn split_host(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address belong into brackets.
        Some((name, _)) if name.contains(':') && !name.starts_with('[') => (host, None),
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    }
}

fn ip_of(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse().ok()
}

/// One entry of `X-Forwarded-For`: an address, which may have a port, IPv6 also in brackets.
fn hop(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_ascii();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    ip_of(entry).or_else(with_port).map(|ip| ip.to_canonical())
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || ip_of(name).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn gate(hosts: &[&str], origins: &[&str]) -> Gate {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Gate::new(owned(hosts), owned(origins), Vec::new(), false, vec![8765])
    }

    fn gate_behind(proxies: &[&str]) -> Gate {
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        Gate::new(Vec::new(), Vec::new(), proxies, false, vec![8765])
    }

    fn asks<T>(fields: &str, judge: impl FnOnce(&Request) -> T) -> T {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        judge(&Request::parse(head.as_bytes()).unwrap())
    }

    #[test]
    fn origins() {
        let gate = gate(&[], &["https://friend.example"]);
        let passes = |peer, host: &str, origin: &str| {
            let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
            asks(&fields, |request| gate.passes_origin(peer, request))
        };
        let host = "play.example";
        for origin in ["http://play.example", "https://play.example", "https://friend.example"] {
            assert!(passes(FAR, host, origin), "{origin}");
        }
        for origin in [
            "null",
            "file://",
            "",
            "http://play.example.evil.example",
            "http://evil.example/play.example",
            "http://play.example:8080",
            "http://play.example/",
            "ftp://play.example",
            "http://friend.example",
            "https://friend.example.evil.example",
            "http://localhost:8765",
            "http://127.0.0.1",
        ] {
            assert!(!passes(FAR, host, origin), "{origin}");
        }
        assert!(asks("Host: h\r\n", |request| gate.passes_origin(FAR, request)));
        let two = "Host: h\r\nOrigin: http://h\r\nOrigin: http://h\r\n";
        assert!(!asks(two, |request| gate.passes_origin(FAR, request)));
    }

    #[test]
    fn pages_on_this_machine_may_connect_to_it() {
        let gate = gate(&[], &[]);
        let passes = |peer, host: &str, origin: &str| {
            let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
            asks(&fields, |request| gate.passes_origin(peer, request))
        };
        for origin in
            ["null", "file://", "http://localhost:3000", "http://127.0.0.2", "https://[::1]:1"]
        {
            assert!(passes(LOOPBACK, "localhost:8765", origin), "{origin}");
            assert!(passes(LOOPBACK, "[::1]:8765", origin), "{origin}");
            assert!(!passes(LOOPBACK, "localhost:9999", origin), "{origin}, another port");
            assert!(!passes(LOOPBACK, "play.example:8765", origin), "{origin}, rebound name");
            assert!(!passes(FAR, "localhost:8765", origin), "{origin}, from afar");
        }
        for origin in [
            "http://evil.example",
            "http://localhost:8765.evil.example",
            "http://localhost:80@evil.example",
            "http://localhost:evil",
            "http://127.0.0.1:x",
            "https://[::1]:99999",
            "http://::1:80",
        ] {
            assert!(!passes(LOOPBACK, "localhost:8765", origin), "{origin}");
        }
        let proxied = "Host: localhost:8765\r\nOrigin: null\r\nX-Forwarded-For: 1.2.3.4\r\n";
        assert!(!asks(proxied, |request| gate.passes_origin(LOOPBACK, request)));
    }

    #[test]
    fn hosts() {
        let passes = |gate: &Gate, host: &str| {
            asks(&format!("Host: {host}\r\n"), |request| gate.passes_host(request))
        };
        let strict = gate(&["play.example"], &[]);
        for host in
            ["play.example", "PLAY.example:8765", "127.0.0.1", "[2001:db8::1]:80", "localhost"]
        {
            assert!(passes(&strict, host), "{host}");
        }
        for host in ["evil.example", "play.example.evil.example", "1.2.3.4.evil.example"] {
            assert!(!passes(&strict, host), "{host}");
            assert!(passes(&gate(&[], &[]), host), "{host}");
        }
    }

    #[test]
    fn one_address_has_its_share() {
        let mut gate = gate(&[], &[]);
        let begins = |gate: &mut Gate, peer| gate.connection_begins(peer, Millis(0));
        for _ in 0..12 {
            assert_eq!(begins(&mut gate, FAR), Ok(()));
        }
        assert_eq!(begins(&mut gate, FAR), Err(Refusal::AddressFull));
        let other = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
        assert_eq!(begins(&mut gate, other), Ok(()));
        gate.session_began(FAR, Millis(0));
        for _ in 0..3 {
            assert_eq!(begins(&mut gate, FAR), Ok(()));
        }
        assert_eq!(begins(&mut gate, FAR), Err(Refusal::AddressFull));
        gate.connection_ended(FAR);
        assert_eq!(begins(&mut gate, FAR), Ok(()));
        gate.session_ended(FAR);
        gate.connection_ended(FAR);
        assert_eq!(begins(&mut gate, FAR), Err(Refusal::AddressFull), "nobody plays any more");
        for _ in 0..1000 {
            assert_eq!(begins(&mut gate, LOOPBACK), Ok(()));
        }
    }

    #[test]
    fn a_v6_network_is_one_address_and_rested_ones_are_forgotten() {
        let mut gate = gate(&[], &[]);
        for host in 0..12u128 {
            let peer = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host));
            assert_eq!(gate.connection_begins(peer, Millis(0)), Ok(()));
        }
        let peer = IpAddr::V6("2001:db8::ffff".parse().unwrap());
        assert_eq!(gate.connection_begins(peer, Millis(0)), Err(Refusal::AddressFull));
        (0..12).for_each(|_| gate.connection_ended(peer));
        gate.forget_rested(Millis(0));
        assert_eq!(gate.addresses.len(), 1, "its accepts are not rested yet");
        gate.forget_rested(Millis(1_000));
        assert_eq!(gate.addresses.len(), 0);
    }

    #[test]
    fn joins_are_rated_and_local_ones_are_not() {
        let mut gate = gate(&[], &[]);
        let mut joins = |peer, host: &str| {
            asks(&format!("Host: {host}\r\n"), |request| {
                (0..100).filter(|_| gate.join_begins(peer, request, Millis(0)).is_ok()).count()
            })
        };
        assert_eq!(joins(FAR, "play.example"), 64);
        assert_eq!(joins(LOOPBACK, "play.example"), 100, "by whatever name");
        assert_eq!(joins(LOOPBACK, "play.example\r\nX-Forwarded-For: 192.0.2.9"), 64);
    }

    #[test]
    fn the_client_is_the_first_from_the_right_who_is_no_proxy() {
        let gate = gate_behind(&["127.0.0.1/32", "10.0.0.0/8", "2001:db8:1::/48"]);
        let client = |peer: &str, values: &[&str]| {
            let lines: String =
                values.iter().map(|value| format!("x-forwarded-for: {value}\r\n")).collect();
            let peer = peer.parse().unwrap();
            asks(&format!("Host: h\r\n{lines}"), |request| gate.client(peer, request)).to_string()
        };
        let of_proxy = |values: &[&str]| client("127.0.0.1", values);
        // Who is no proxy is not believed.
        assert_eq!(client("192.0.2.7", &["192.0.2.1"]), "192.0.2.7");
        assert_eq!(client("127.0.0.2", &["192.0.2.1"]), "127.0.0.2");
        // Who is one speaks for itself if it names nobody.
        assert_eq!(of_proxy(&[]), "127.0.0.1");
        assert_eq!(of_proxy(&[""]), "127.0.0.1");
        // One proxy, and several in a row, in one field or many.
        assert_eq!(of_proxy(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of_proxy(&["192.0.2.1, 10.9.9.9"]), "192.0.2.1");
        assert_eq!(of_proxy(&["192.0.2.1", "10.9.9.9", "10.8.8.8,10.7.7.7"]), "192.0.2.1");
        assert_eq!(client("2001:db8:1::5", &["2001:db8:2::7"]), "2001:db8:2::7");
        // What the client itself has written stands to the left of its address.
        assert_eq!(of_proxy(&["198.51.100.9, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of_proxy(&["198.51.100.9", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(of_proxy(&["10.0.0.1, 192.0.2.1, 10.0.0.1"]), "192.0.2.1");
        assert_eq!(of_proxy(&["10.0.0.1, 10.0.0.2"]), "10.0.0.1", "all of them are proxies");
        // The ways in which an address is written.
        for (entry, address) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("  192.0.2.1\t", "192.0.2.1"),
        ] {
            assert_eq!(of_proxy(&[entry]), address, "{entry}");
        }
        assert_eq!(of_proxy(&["192.0.2.1, ::ffff:10.0.0.1"]), "192.0.2.1");
        // What is no address ends the walk at whoever has written it.
        for garbage in [
            "unknown",
            "_hidden",
            "192.0.2.1:x",
            "192.0.2",
            "[2001:db8::1",
            "\"192.0.2.1\"",
            "for=192.0.2.1",
            "192.0.2.1/32",
            "1.2.3.4 5.6.7.8",
            "é",
        ] {
            assert_eq!(of_proxy(&[garbage]), "127.0.0.1", "{garbage}");
            let (left, right) = (format!("192.0.2.1, {garbage}"), format!("{garbage}, 10.0.0.1"));
            assert_eq!(of_proxy(&[&left]), "127.0.0.1", "{left}");
            assert_eq!(of_proxy(&[&right]), "10.0.0.1", "{right}");
            assert_eq!(of_proxy(&[garbage, "192.0.2.1"]), "192.0.2.1", "{garbage} to the left");
        }
        assert_eq!(of_proxy(&["192.0.2.1,"]), "127.0.0.1", "an empty entry");
    }

    #[test]
    fn with_a_trusted_proxy_nobody_is_local_and_only_proxies_are_exempt() {
        let mut gate = gate_behind(&["127.0.0.1/32"]);
        let fields = "Host: localhost:8765\r\nOrigin: null\r\n";
        assert!(asks(fields, |request| !gate.is_local(LOOPBACK, request)));
        assert!(asks(fields, |request| !gate.passes_origin(LOOPBACK, request)));
        let neighbour = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
        let begun = |gate: &mut Gate, peer| {
            (0..1_000).filter(|_| gate.connection_begins(peer, Millis(0)).is_ok()).count()
        };
        assert_eq!(begun(&mut gate, neighbour), 12);
        assert_eq!(begun(&mut gate, LOOPBACK), 1_000);
    }

    #[test]
    fn a_connection_passes_from_the_proxy_to_its_client() {
        let mut gate = gate_behind(&["127.0.0.1/32"]);
        assert_eq!(gate.connection_begins(LOOPBACK, Millis(0)), Ok(()));
        gate.connection_passes(LOOPBACK, FAR, Millis(0));
        let count = |gate: &Gate, peer| gate.addresses[&Address::of(peer)].connections;
        assert_eq!((count(&gate, LOOPBACK), count(&gate, FAR)), (0, 1));
        gate.connection_ended(FAR);
        gate.forget_rested(Millis(1_000));
        assert_eq!(gate.addresses.len(), 0);
    }
}
