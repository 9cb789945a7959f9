//! The gate: who may connect, from where, and how often (HARDENING.md, "Limits to start from").
//!
//! A noun: it counts addresses and knows the Host and Origin rules, and no connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::bucket::Bucket;
use crate::http::Request;
use crate::limits::{ACCEPTS, CONNECTIONS_A_SESSION, CONNECTIONS_AN_ADDRESS, JOINS};
use crate::metrics::Refusal;
use crate::time::Millis;

/// Who may connect.
#[derive(Debug)]
pub struct Gate {
    /// Names by which we may be reached, lower case; empty: any.
    hosts: Vec<String>,
    /// Origins that may connect besides our own, lower case.
    origins: Vec<String>,
    /// Whether peers on this machine are held to the limits of one address.
    limits_loopback: bool,
    /// The ports on which we are reached.
    ports: Vec<u16>,
    addresses: HashMap<Address, Standing>,
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
        limits_loopback: bool,
        ports: Vec<u16>,
    ) -> Gate {
        Gate { hosts, origins, limits_loopback, ports, addresses: HashMap::new() }
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

    /// A client wants to join.
    ///
    /// # Errors
    /// That its address joins too fast. Local peers are never refused.
    pub fn join_begins(
        &mut self,
        peer: IpAddr,
        request: &Request,
        now: Millis,
    ) -> Result<(), Refusal> {
        if self.is_local(peer, request) && !self.limits_loopback {
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
        is_localhost(split_host(authority).0) && self.is_local(peer, request)
    }

    /// Whether the peer is on this machine and came straight to us: its address is loopback, Host
    /// says so with our port, and no proxy left its mark.
    #[must_use]
    pub fn is_local(&self, peer: IpAddr, request: &Request) -> bool {
        const MARKS: [&str; 3] = ["Forwarded", "Via", "X-Real-IP"];
        let (name, port) = split_host(request.host);
        let is_our_port = port.is_some_and(|port| self.ports.contains(&port));
        peer.to_canonical().is_loopback()
            && is_localhost(name)
            && is_our_port
            && !MARKS.iter().any(|mark| request.has(mark))
            && !request.has_prefixed("X-Forwarded-")
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        peer.to_canonical().is_loopback() && !self.limits_loopback
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

/// Name and port of `NAME:PORT`; a missing port is that of HTTP.
fn split_host(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    }
}

fn ip_of(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse().ok()
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
        Gate::new(owned(hosts), owned(origins), false, vec![8765])
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
        assert!(!passes(LOOPBACK, "localhost:8765", "http://evil.example"));
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
        assert_eq!(joins(LOOPBACK, "play.example"), 64);
        assert_eq!(joins(LOOPBACK, "127.0.0.1:8765"), 100);
    }
}
