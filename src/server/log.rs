//! What peers cause in the log: their text, and how often they cause a warning.

use std::collections::HashMap;

use crate::http::OtherProtocol;
use crate::limits::{LOG_TEXT_CHARS, WARNING_MS};
use crate::socketio::parser::ForeignParser;
use crate::time::Millis;

/// A warning that any peer may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Warning {
    /// An Origin was refused.
    Origin,
    /// A Host was refused.
    Host,
    /// A client offers WebSocket subprotocols of which there are none here.
    Subprotocol,
    /// The clients of an address hold too much memory.
    Memory,
    /// A client could not take a message of ours.
    TooBig,
    /// A client refers to earlier messages in those that it compresses.
    KeepsHistory,
    /// A Socket.IO client uses another parser than the default one.
    Parser(ForeignParser),
    /// A peer speaks another protocol than HTTP/1.1.
    Protocol(OtherProtocol),
    /// A request of the operator has no right token.
    Token,
    /// With `--proxy-protocol`, a peer is not a trusted proxy.
    UntrustedPeer,
    /// With `--proxy-protocol`, a connection of a proxy does not begin with a header.
    ProxyHeader,
}

/// When each warning was logged last.
#[derive(Debug, Default)]
pub struct Warnings(HashMap<Warning, Millis>);

impl Warnings {
    /// Whether to log a warning at `now`; if so, not again for [`WARNING_MS`].
    pub fn may_log(&mut self, warning: Warning, now: Millis) -> bool {
        let is_due = self.0.get(&warning).is_none_or(|last| last.after(WARNING_MS) <= now);
        if is_due {
            self.0.insert(warning, now);
        }
        is_due
    }
}

/// What the operator can do about a peer that speaks another protocol.
pub const fn advice(protocol: OtherProtocol) -> &'static str {
    match protocol {
        OtherProtocol::Tls => {
            "TLS on a port for plain HTTP; use http: and ws: URLs, or a proxy that terminates TLS"
        }
        OtherProtocol::Http2 => {
            "HTTP/2 on a port for HTTP/1.1; let the proxy use HTTP/1.1 to this server"
        }
        OtherProtocol::Proxy => {
            "PROXY protocol on a port for HTTP/1.1; add --proxy-protocol with --trusted-proxy, or \
             turn it off in the proxy and use X-Forwarded-For"
        }
    }
}

/// Escapes bytes of a peer for the log: short, on one line, printable ASCII only.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LOG_TEXT_CHARS)]);
    text.chars().take(LOG_TEXT_CHARS).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // T51
    #[test]
    fn text_is_short_and_escaped() {
        assert_eq!(text(b"a\nb\x1b[31m\xff"), "a\\nb\\u{1b}[31m\\u{fffd}");
        assert_eq!(text(&[b'x'; 1_000_000]).len(), 64);
        assert_eq!(text("\u{202e}".as_bytes()), "\\u{202e}");
    }

    #[test]
    fn each_warning_has_its_own_interval() {
        let mut warnings = Warnings::default();
        let tls = Warning::Protocol(OtherProtocol::Tls);
        assert!(warnings.may_log(Warning::Origin, Millis(0)));
        assert!(warnings.may_log(tls, Millis(1)));
        assert!(!warnings.may_log(Warning::Origin, Millis(WARNING_MS - 1)));
        assert!(warnings.may_log(Warning::Origin, Millis(WARNING_MS)));
        assert!(!warnings.may_log(tls, Millis(WARNING_MS)));
    }
}
