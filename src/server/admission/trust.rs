//! Trust: which hosts and origins are allowed, and whether a proxy's `X-Forwarded-For` is used.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::super::listener_kind::ListenerKind;
use crate::http::Request;
use crate::origin::{Authority, Host, Origin};

/// All clients that a trusted proxy names by something that is not an address. They share the
/// limits of one address, which is not that of the proxy.
pub const UNKNOWN_CLIENT: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

const OTHER_ORIGIN: &str = "refused a page of another origin; allow it with --allow-origin";
const OTHER_PORT: &str = "refused a page of another port of this host; if a proxy drops the port \
    from Host, set proxy_set_header Host $http_host in nginx, or else allow it with --allow-origin";
const REPLACED_HOST: &str = "refused a page of the host that a proxy replaced; let the proxy keep \
    Host (nginx: proxy_set_header Host $http_host; Apache: ProxyPreserveHost On), or allow it with \
    --allow-origin";

/// The hosts, origins and proxies that the operator trusts.
#[derive(Debug)]
pub struct Trust {
    /// Host names of this server, without a dot at the end; empty: any.
    pub hosts: Vec<String>,
    /// Origins that may connect besides our own; `*` is any, and `null` is any file.
    pub origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is used.
    pub proxies: Vec<IpNet>,
    /// The ports of the public listeners.
    pub ports: Vec<u16>,
    /// Whether they speak TLS.
    pub has_tls: bool,
}

impl Trust {
    /// The client of a request: `peer`, unless it is a trusted proxy. `X-Forwarded-For` is read
    /// from the right, where the nearest proxy appends, as long as the sender of an entry is
    /// trusted. Entries further to the left may be forged. If an entry that counts is not an
    /// address, it is [`UNKNOWN_CLIENT`].
    #[must_use]
    pub fn client(&self, peer: IpAddr, request: &Request) -> IpAddr {
        let mut client = peer;
        let mut hops = request.values("X-Forwarded-For").rev().flat_map(|value| value.rsplit(','));
        while self.is_proxy(client)
            && let Some(entry) = hops.next()
        {
            let Some(hop) = hop(entry) else { return UNKNOWN_CLIENT };
            client = hop;
        }
        client
    }

    /// Whether `Host` is allowed: one of `--host`, an IP address or `localhost`; any without
    /// `--host`.
    #[must_use]
    pub fn passes_host(&self, request: &Request) -> bool {
        let is_allowed = |host| match host {
            Host::Ip(_) => true,
            Host::Name(_) => {
                host.is_localhost() || self.hosts.iter().any(|name| host == Host::Name(name))
            }
        };
        self.hosts.is_empty()
            || Authority::parse(request.host).is_some_and(|authority| is_allowed(authority.host))
    }

    /// Whether the Origin may connect: it is absent (not a browser), our own, or on the list; or
    /// both it and the peer are local.
    #[must_use]
    pub fn passes_origin(&self, peer: IpAddr, request: &Request) -> bool {
        if !request.has("Origin") {
            return true;
        }
        // A repeated field has no single value.
        let Some(text) = request.value("Origin") else { return false };
        let origin = Origin::parse(text);
        // Browsers send `null` for a page opened as a file, and the views of apps `file://`.
        let is_file = text == "null" || origin == Origin::parse("file://");
        let is_listed = |listed: &String| match listed.as_str() {
            "*" => true,
            "null" => is_file,
            listed => origin.is_some() && origin == Origin::parse(listed),
        };
        if self.origins.iter().any(is_listed) {
            return true;
        }
        let Some(origin) = origin.filter(|_| !is_file) else {
            return is_file && self.is_local(peer, request);
        };
        let is_own = Authority::parse(request.host).is_some_and(|host| origin.is_at(host))
            && (origin.is_secure() || !self.has_tls);
        is_own
            || origin.is_page()
                && origin.host.is_some_and(Host::is_localhost)
                && self.is_local(peer, request)
    }

    /// What the operator can do about a refused Origin.
    #[must_use]
    pub fn advice(request: &Request) -> &'static str {
        let origin = request.value("Origin").and_then(Origin::parse);
        let is_at = |host: &str| {
            let authority = Authority::parse(host.trim_ascii());
            authority.zip(origin).is_some_and(|(authority, origin)| origin.is_at(authority))
        };
        let has_same_host = Authority::parse(request.host)
            .is_some_and(|authority| origin.is_some_and(|o| o.host == Some(authority.host)));
        if request.values("X-Forwarded-Host").flat_map(|hosts| hosts.split(',')).any(is_at) {
            REPLACED_HOST
        } else if has_same_host && origin.is_some_and(|origin| origin.is_page()) {
            OTHER_PORT
        } else {
            OTHER_ORIGIN
        }
    }

    /// Whether the peer is on this machine and no proxy is in between: its address is loopback,
    /// `Host` is local with our port, and there are no proxy headers. Never with
    /// `--trusted-proxy`: a proxy on this machine may add no header.
    #[must_use]
    pub fn is_local(&self, peer: IpAddr, request: &Request) -> bool {
        let is_our_port = |authority: Authority| {
            let port = authority.port.unwrap_or(ListenerKind::Public.default_port(self.has_tls));
            self.ports.contains(&port)
        };
        self.is_local_at_any_port(peer, request)
            && Authority::parse(request.host).is_some_and(is_our_port)
    }

    /// The same with any port in `Host`: that of a tunnel may be another one.
    #[must_use]
    pub fn is_local_at_any_port(&self, peer: IpAddr, request: &Request) -> bool {
        self.is_direct(peer, request)
            && Authority::parse(request.host).is_some_and(|it| it.host.is_localhost())
    }

    /// Whether the peer is on this machine and no proxy is in between, with any `Host`.
    #[must_use]
    pub fn is_direct(&self, peer: IpAddr, request: &Request) -> bool {
        const MARKS: [&str; 3] = ["Forwarded", "Via", "X-Real-IP"];
        self.may_be_direct(peer)
            && !MARKS.iter().any(|mark| request.has(mark))
            && !request.has_prefixed("X-Forwarded-")
    }

    /// Whether a password in a request to a public listener cannot be read on the way: it came
    /// over TLS, as a trusted proxy may say, or from this machine. Of a list of schemes the last
    /// one counts, which the nearest proxy has added.
    #[must_use]
    pub fn is_confidential(&self, peer: IpAddr, request: &Request) -> bool {
        let scheme = || request.values("X-Forwarded-Proto").next_back()?.rsplit(',').next();
        let is_secure = |scheme: &str| {
            ["https", "wss"].iter().any(|it| scheme.trim_ascii().eq_ignore_ascii_case(it))
        };
        self.has_tls
            || self.is_direct(peer, request)
            || self.is_proxy(peer) && scheme().is_some_and(is_secure)
    }

    /// Whether a peer may be local, decided before its first byte.
    #[must_use]
    pub fn may_be_direct(&self, peer: IpAddr) -> bool {
        peer.to_canonical().is_loopback() && self.proxies.is_empty()
    }

    /// Whether the peer is a trusted proxy. [`UNKNOWN_CLIENT`] never is, though `::/0` contains it.
    #[must_use]
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer != UNKNOWN_CLIENT && self.proxies.iter().any(|network| network.contains(&peer))
    }
}

/// An entry of `X-Forwarded-For`: an address, with or without a port; IPv6 also in brackets.
fn hop(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_ascii();
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    bare.parse().ok().or_else(with_port).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn trust(hosts: &[&str], origins: &[&str]) -> Trust {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Trust {
            hosts: owned(hosts),
            origins: owned(origins),
            proxies: Vec::new(),
            ports: vec![8765],
            has_tls: false,
        }
    }

    fn trust_behind(proxies: &[&str]) -> Trust {
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        Trust { proxies, ..trust(&[], &[]) }
    }

    fn asks<T>(fields: &str, judge: impl FnOnce(&Request) -> T) -> T {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        judge(&Request::parse(head.as_bytes()).unwrap())
    }

    #[test]
    fn origins() {
        let trust = trust(&[], &["https://friend.example"]);
        let passes = |peer, host: &str, origin: &str| {
            let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
            asks(&fields, |request| trust.passes_origin(peer, request))
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
        assert!(asks("Host: h\r\n", |request| trust.passes_origin(FAR, request)));
        let two = "Host: h\r\nOrigin: http://h\r\nOrigin: http://h\r\n";
        assert!(!asks(two, |request| trust.passes_origin(FAR, request)));
    }

    #[test]
    fn pages_on_this_machine_may_connect_to_it() {
        let trust = trust(&[], &[]);
        let passes = |peer, host: &str, origin: &str| {
            let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
            asks(&fields, |request| trust.passes_origin(peer, request))
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
        assert!(!asks(proxied, |request| trust.passes_origin(LOOPBACK, request)));
    }

    #[test]
    fn a_local_client_may_use_a_tunnel_with_another_port() {
        let is_local = |trust: &Trust, peer, fields: &str| {
            asks(fields, |request| trust.is_local_at_any_port(peer, request))
        };
        let direct = trust(&[], &[]);
        for host in ["localhost", "localhost:1", "127.0.0.2:9", "[::1]:9"] {
            let fields = format!("Host: {host}\r\n");
            assert!(is_local(&direct, LOOPBACK, &fields), "{host}");
            assert!(!is_local(&direct, FAR, &fields), "{host}, from afar");
            assert!(!is_local(&trust_behind(&["127.0.0.1/32"]), LOOPBACK, &fields), "{host}");
        }
        assert!(!is_local(&direct, LOOPBACK, "Host: play.example\r\n"), "a rebound name");
        assert!(!is_local(&direct, LOOPBACK, "Host: localhost\r\nForwarded: for=x\r\n"));
    }

    #[test]
    fn hosts() {
        let passes = |trust: &Trust, host: &str| {
            asks(&format!("Host: {host}\r\n"), |request| trust.passes_host(request))
        };
        let strict = trust(&["play.example"], &[]);
        for host in
            ["play.example", "PLAY.example:8765", "127.0.0.1", "[2001:db8::1]:80", "localhost"]
        {
            assert!(passes(&strict, host), "{host}");
        }
        for host in ["evil.example", "play.example.evil.example", "1.2.3.4.evil.example"] {
            assert!(!passes(&strict, host), "{host}");
            assert!(passes(&trust(&[], &[]), host), "{host}");
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_a_proxy() {
        let trust = trust_behind(&["127.0.0.1/32", "10.0.0.0/8", "2001:db8:1::/48"]);
        let client = |peer: &str, values: &[&str]| {
            let lines: String =
                values.iter().map(|value| format!("x-forwarded-for: {value}\r\n")).collect();
            let peer = peer.parse().unwrap();
            asks(&format!("Host: h\r\n{lines}"), |request| trust.client(peer, request)).to_string()
        };
        let of_proxy = |values: &[&str]| client("127.0.0.1", values);
        // The header of a peer that is not a trusted proxy is ignored.
        assert_eq!(client("192.0.2.7", &["192.0.2.1"]), "192.0.2.7");
        assert_eq!(client("127.0.0.2", &["192.0.2.1"]), "127.0.0.2");
        // A proxy that names no client is the client itself.
        assert_eq!(of_proxy(&[]), "127.0.0.1");
        assert_eq!(of_proxy(&[""]), "::");
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
        // An invalid entry names no client, and least of all the proxy that sent it.
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
            assert_eq!(of_proxy(&[garbage]), "::", "{garbage}");
            let (left, right) = (format!("192.0.2.1, {garbage}"), format!("{garbage}, 10.0.0.1"));
            assert_eq!(of_proxy(&[&left]), "::", "{left}");
            assert_eq!(of_proxy(&[&right]), "::", "{right}");
            assert_eq!(of_proxy(&[garbage, "192.0.2.1"]), "192.0.2.1", "{garbage} to the left");
        }
        assert_eq!(of_proxy(&["192.0.2.1,"]), "::", "an empty entry");
        assert_eq!(of_proxy(&[&"x".repeat(7_000)]), "::", "a long entry");
    }

    // T76
    #[test]
    fn a_client_without_a_readable_address_is_never_a_proxy() {
        // Some containers trust every peer.
        for networks in [&["127.0.0.1/32"][..], &["0.0.0.0/0", "::/0"]] {
            let trust = trust_behind(networks);
            for value in [&b"\xe9"[..], b"192.0.2.1, \xff", b"", b" ", b"::", &[b'x'; 7_000]] {
                let head = [b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: ", value, b"\r\n\r\n"];
                let head = head.concat();
                let request = Request::parse(&head).unwrap();
                let client = trust.client(LOOPBACK, &request);
                assert_eq!(client, UNKNOWN_CLIENT, "{}", value.escape_ascii());
                assert!(!trust.is_proxy(client), "{networks:?}");
            }
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_that_a_request_came_over_tls() {
        let request = |schemes: &[&str]| {
            let fields = schemes.iter().map(|it| format!("X-Forwarded-Proto: {it}\r\n"));
            format!("Host: play.example\r\n{}", fields.collect::<String>())
        };
        let mut trust = trust_behind(&["127.0.0.1/32"]);
        for (schemes, expected) in [
            (&["https"][..], true),
            (&["wss"], true),
            (&["HTTPS"], true),
            (&["http,https"], true),
            (&["http", "http, wss "], true),
            (&["http"], false),
            (&["ws"], false),
            (&["https, http"], false),
            (&["https", "ws"], false),
            (&["https,"], false),
            (&[""], false),
            (&[], false),
        ] {
            let fields = request(schemes);
            let by_proxy = asks(&fields, |request| trust.is_confidential(LOOPBACK, request));
            assert_eq!(by_proxy, expected, "{schemes:?}");
            assert!(!asks(&fields, |request| trust.is_confidential(FAR, request)), "{schemes:?}");
        }
        trust.has_tls = true;
        assert!(asks(&request(&["http"]), |request| trust.is_confidential(FAR, request)));
        let alone = trust_behind(&[]);
        assert!(asks(&request(&[]), |request| alone.is_confidential(LOOPBACK, request)));
        assert!(!asks(&request(&[]), |request| alone.is_confidential(FAR, request)));
        // A proxy on this machine that is not trusted.
        assert!(!asks(&request(&["https"]), |request| alone.is_confidential(LOOPBACK, request)));
    }

    #[test]
    fn the_scheme_that_a_proxy_names_does_not_matter_for_an_origin() {
        let trust = trust_behind(&["127.0.0.1/32"]);
        for scheme in ["http", "https", "ws", "wss", "https, ws", "x,wss", ""] {
            for origin in ["http://play.example", "https://play.example", "wss://play.example"] {
                let own = format!("Host: play.example\r\nOrigin: {origin}\r\n");
                let fields = format!("{own}X-Forwarded-Proto: {scheme}\r\n");
                assert!(asks(&fields, |request| trust.passes_origin(LOOPBACK, request)));
            }
        }
    }
}
