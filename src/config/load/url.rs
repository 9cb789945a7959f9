//! The URL of the server under test.

use std::fmt;
use std::str::FromStr;

/// A parsed `ws://`, `wss://`, `http://` or `https://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `ws` or `http`, or with TLS `wss` or `https`.
    pub scheme: &'static str,
    /// Host name or address; an IPv6 address has no brackets.
    pub host: String,
    /// The port; 80 or 443 if the URL has none (RFC 6455, section 3).
    pub port: u16,
    /// The path, which begins with `/`.
    pub path: String,
    /// The query without the `?`; empty if there is none.
    pub query: String,
    /// `HOST:PORT` as it was written, for the header field `Host`.
    pub authority: String,
}

impl Url {
    /// Whether it asks for TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme, "wss" | "https")
    }

    /// Whether the query names a room.
    #[must_use]
    pub fn names_room(&self) -> bool {
        self.query.split('&').any(|pair| pair == "room" || pair.starts_with("room="))
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let expected = "expected an address such as ws://127.0.0.1:8765/ or http://127.0.0.1:8765/";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "ws" => "ws",
            "http" => "http",
            "wss" => "wss",
            "https" => "https",
            _ => return Err(expected.to_owned()),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains('#') {
            return Err("remove the fragment, and percent-encode special characters".to_owned());
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let default_port = if matches!(scheme, "wss" | "https") { "443" } else { "80" };
        let (host, port) = split_authority(authority, default_port)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Url {
            scheme,
            host: host.to_owned(),
            port,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: query.to_owned(),
            authority: authority.to_owned(),
        })
    }
}

fn split_authority<'a>(
    authority: &'a str,
    default_port: &'a str,
) -> Result<(&'a str, u16), String> {
    if authority.contains('@') {
        return Err("user names are not supported".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the closing bracket ] is missing")?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some(default_port)))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some(default_port)),
        },
    };
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    match port {
        Some(port) if !host.is_empty() => Ok((host, port)),
        Some(_) => Err("the host is missing".to_owned()),
        None => Err("expected a port from 1 to 65535".to_owned()),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed() {
        let url: Url = "WS://game.example:99/a/b?x=1&room=r".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("game.example", 99));
        assert_eq!((url.path.as_str(), url.query.as_str()), ("/a/b", "x=1&room=r"));
        assert!(url.names_room());
        assert_eq!(url.to_string(), "ws://game.example:99/a/b?x=1&room=r");

        let url: Url = "ws://[::1]:8765".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8765, "/"));
        assert_eq!(url.authority, "[::1]:8765");
        let url: Url = "ws://h?a".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("h", 80, "/"));
        assert!(!url.names_room());
        let url: Url = "Http://h:1/a?b".parse().unwrap();
        assert_eq!(url.to_string(), "http://h:1/a?b");
        assert!(!url.is_secure());
        for (text, port) in [("wss://h", 443), ("https://[::1]/", 443), ("WSS://h:80/", 80)] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.port, url.is_secure()), (port, true), "{text}");
        }
    }

    #[test]
    fn invalid_urls_are_rejected() {
        let refused = |text: &str| text.parse::<Url>().unwrap_err();
        for text in [
            "",
            "h:1",
            "ftp://h/",
            "ws://",
            "ws://:1/",
            "ws://h:0/",
            "ws://h:x/",
            "ws://u@h/",
            "ws://[::1/",
            "ws://[::1]1/",
            "ws://h/#f",
            "ws://h/a b",
            "ws://h/é",
        ] {
            assert!(!refused(text).is_empty(), "{text}");
        }
    }
}
