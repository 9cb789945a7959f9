//! Origins and authorities as browsers, other clients and proxies write them, and which of them
//! are equal.
//!
//! The forms differ for one place: in case, in a default port (RFC 6454, section 4), in the dot
//! at the end of a name (RFC 1034, section 3.1), and in the spelling of an address. Names are not
//! decoded: browsers send those with other letters than ASCII in Punycode.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host of an authority. Two are equal if they name the same host.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// An address, without brackets; never IPv4 in IPv6.
    Ip(IpAddr),
    /// A name in any case, without the dot at its end.
    Name(&'a str),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Host::Ip(ip), Host::Ip(other)) => ip == other,
            (Host::Name(name), Host::Name(other)) => name.eq_ignore_ascii_case(other),
            _ => false,
        }
    }
}

impl<'a> Host<'a> {
    /// Parses a name or an address; IPv6 is in brackets.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Host<'a>> {
        if let Some(rest) = text.strip_prefix('[') {
            let ip: Ipv6Addr = rest.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Ip(IpAddr::V6(ip).to_canonical()));
        }
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_fine) {
            return None;
        }
        let name = text.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(text);
        let ip = name.parse::<Ipv4Addr>();
        Some(ip.map_or(Host::Name(name), |ip| Host::Ip(ip.into())))
    }

    /// Whether it is this machine: `localhost` or a loopback address.
    #[must_use]
    pub fn is_localhost(self) -> bool {
        match self {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(_) => self == Host::Name("localhost"),
        }
    }
}

/// `HOST[:PORT]`, as in the field `Host` (RFC 9110, section 7.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port. `host:` has none.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses an authority.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Authority<'a>> {
        let (host, port) = split_port(text)?;
        Some(Authority { host: Host::parse(host)?, port })
    }
}

/// The host of a valid authority, as it is written there.
#[must_use]
pub fn host_text(authority: &str) -> Option<&str> {
    Authority::parse(authority)?;
    split_port(authority).map(|(host, _)| host)
}

/// The text before the port, and the port.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let host_end = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
    let host_end = text[host_end..].find(':').map_or(text.len(), |at| host_end + at);
    let (host, port) = text.split_at(host_end);
    match port.strip_prefix(':') {
        None | Some("") => Some((host, None)),
        Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
        Some(digits) => Some((host, Some(digits.parse().ok()?))),
    }
}

/// `SCHEME://HOST[:PORT]`, as in the field `Origin` (RFC 6454, section 6.2). Pages come by `http`
/// and `https`; packaged apps have schemes of their own. Clients that are not browsers send the
/// URL of the WebSocket, so `ws` equals `http`, and `wss` equals `https`.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    scheme: &'a str,
    /// The host; `None` in `file://`. A page has one.
    pub host: Option<Host<'a>>,
    /// The port, unless it is the default of the scheme.
    port: Option<u16>,
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host == other.host
            && self.port == other.port
    }
}

impl<'a> Origin<'a> {
    /// Parses an origin; never `null`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Origin<'a>> {
        let (scheme, rest) = text.split_once("://")?;
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(is_fine) {
            return None;
        }
        let (host, port) = split_port(rest)?;
        let host = match host {
            "" => None,
            host => Some(Host::parse(host)?),
        };
        let origin = Origin::new(scheme, host, port);
        let is_whole = host.is_some() || port.is_none() && !origin.is_page();
        is_whole.then_some(origin)
    }

    fn new(scheme: &'a str, host: Option<Host<'a>>, port: Option<u16>) -> Origin<'a> {
        let is_one_of = |names: [&str; 2]| names.iter().any(|n| scheme.eq_ignore_ascii_case(n));
        let (scheme, default) = if is_one_of(["http", "ws"]) {
            ("http", Some(80))
        } else if is_one_of(["https", "wss"]) {
            ("https", Some(443))
        } else {
            (scheme, None)
        };
        Origin { scheme, host, port: port.filter(|port| Some(*port) != default) }
    }

    /// Whether its pages come from a web server, and not from a packaged app or a file.
    #[must_use]
    pub fn is_page(&self) -> bool {
        matches!(self.scheme, "http" | "https")
    }

    /// Whether its pages come over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether its pages come from the server at `authority`. The scheme may be either one: a proxy
    /// in front may terminate TLS.
    #[must_use]
    pub fn is_at(&self, authority: Authority) -> bool {
        self.is_page() && *self == Origin::new(self.scheme, Some(authority.host), authority.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        let host = |text| Authority::parse(text).map(|authority| authority.host);
        for text in ["h", "H:80", "h.:80", "h:", "h:080", "h:0"] {
            assert_eq!(host(text), Some(Host::Name("h")), "{text}");
        }
        let port = |text| Authority::parse(text).expect("valid").port;
        for (text, expected) in
            [("h", None), ("h:", None), ("h:0", Some(0)), ("h:080", Some(80)), ("[::1]:9", Some(9))]
        {
            assert_eq!(port(text), expected, "{text}");
        }
        for (text, ip) in [
            ("127.0.0.1:8765", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("[::1]", "::1"),
            ("[0:0:0:0:0:0:0:1]:80", "::1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1"),
            ("[::FFFF:7f00:1]", "127.0.0.1"),
        ] {
            assert_eq!(host(text), Some(Host::Ip(ip.parse().expect("valid"))), "{text}");
        }
        for name in ["a_b.c", "xn--bcher-kva.example", "1.2.3", "..", "."] {
            assert!(matches!(host(name), Some(Host::Name(_))), "{name}");
        }
        for text in [
            "",
            ":80",
            "a:b",
            "a:80:80",
            "[::1",
            "::1",
            "[]",
            "a:99999",
            "[::1]x",
            "a/b",
            "a[b]",
            "[h]",
            "a:+1",
            "a:-1",
            "a b",
            "a@b",
            "b\u{fc}cher.example",
            "[::1]:",
            "[fe80::1%25a]",
        ] {
            let is_valid = text == "[::1]:";
            assert_eq!(Authority::parse(text).is_some(), is_valid, "{text}");
        }
    }

    #[test]
    fn origins_are_equal_however_they_are_written() {
        for (one, other) in [
            ("http://h", "http://h:80"),
            ("http://h", "http://H."),
            ("http://h", "HTTP://h:"),
            ("http://h", "ws://h"),
            ("https://h", "wss://h:443"),
            ("http://h:443", "ws://h:443"),
            ("http://[::1]:9", "http://[0::1]:9"),
            ("http://127.0.0.1", "http://[::ffff:127.0.0.1]"),
            ("capacitor://localhost", "Capacitor://LOCALHOST"),
            ("file://", "FILE://"),
            ("app://.", "app://."),
        ] {
            assert!(Origin::parse(one).is_some(), "{one}");
            assert_eq!(Origin::parse(one), Origin::parse(other), "{one} and {other}");
        }
        for (one, other) in [
            ("http://h", "https://h"),
            ("http://h", "http://h:443"),
            ("http://h", "http://h:0"),
            ("https://h", "https://h:80"),
            ("http://h", "http://h.."),
            ("http://h", "http://x.h"),
            ("app://h", "app://h:80"),
            ("app://h", "app://"),
            ("app://.", "app://-"),
            ("tauri://localhost", "capacitor://localhost"),
        ] {
            assert_ne!(Origin::parse(one), Origin::parse(other), "{one} and {other}");
        }
    }

    #[test]
    fn invalid_origins() {
        for text in [
            "",
            "*",
            "null",
            "h",
            "//h",
            "://h",
            "1a://h",
            "a b://h",
            "http:/h",
            "http://",
            "http://:80",
            "app://:80",
            "file:///",
            "http://h/",
            "http://h?",
            "http://h#x",
            "http://a@h",
            "http://h:x",
            "http://h:99999",
            "http://h, http://h",
            "http://::1",
            "http://h\u{e9}",
            "http://h:+80",
            "https://*.example.com",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_port_of_an_authority_is_compared_by_the_scheme_of_the_origin() {
        let is_at = |origin, authority| {
            let origin = Origin::parse(origin).expect("valid");
            origin.is_at(Authority::parse(authority).expect("valid"))
        };
        for (origin, authority) in [
            ("http://h", "h"),
            ("http://h", "h:80"),
            ("http://h:80", "h"),
            ("https://h", "h"),
            ("https://h", "h:443"),
            ("wss://h:443", "H."),
            ("ws://h:9", "h:9"),
        ] {
            assert!(is_at(origin, authority), "{origin} at {authority}");
        }
        for (origin, authority) in [
            ("http://h", "h:443"),
            ("https://h", "h:80"),
            ("http://h:443", "h"),
            ("http://h:9", "h"),
            ("http://h", "h:9"),
            ("app://h", "h"),
        ] {
            assert!(!is_at(origin, authority), "{origin} at {authority}");
        }
    }
}
