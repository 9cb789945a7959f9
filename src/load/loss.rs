//! Why a client was lost; `tally` counts it.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::ws::Violation;

/// Why a client was lost. The text is the kind by which it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// The client did not join within [`HANDSHAKE_US`](super::swarm::HANDSHAKE_US).
    TimedOut,
    /// An error status, with the text of the response.
    Status(u16, String),
    /// The response to the handshake is invalid; the text names the rule.
    BadHandshake(&'static str),
    /// The server sent a close frame, with a code and a reason if it has them.
    Closed(Option<u16>, String),
    /// The server ended the connection without a close frame.
    Eof,
    /// Socket.IO: the server refused the client, with this message.
    Refusal(String),
    /// Socket.IO: the server disconnected the client (`41`).
    Disconnected,
    /// Engine.IO: the server closed the session (`1`).
    Ended,
    /// The server violated its protocol; the text names the rule.
    Protocol(&'static str),
    /// TLS failed; the text says why.
    Tls(String),
    /// Any other network error.
    Io(ErrorKind),
}

impl Loss {
    /// Converts an error of a socket.
    #[must_use]
    pub fn of(error: &io::Error) -> Loss {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Loss::Tls(tls.to_string());
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => Loss::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Loss::Reset
            }
            ErrorKind::TimedOut => Loss::TimedOut,
            kind => Loss::Io(kind),
        }
    }

    /// The kind, with the text from the server.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Loss::Status(_, text) | Loss::Closed(_, text) | Loss::Refusal(text)
                if !text.is_empty() =>
            {
                format!("{self}, {text:?}")
            }
            Loss::Tls(_) => format!("{self}; see --ca and --insecure"),
            _ => self.to_string(),
        }
    }
}

impl From<Violation> for Loss {
    fn from(violation: Violation) -> Loss {
        Loss::Protocol(match violation {
            Violation::Protocol(rule) => rule,
            Violation::KeepsHistory => "compressed message refers to an earlier one",
            Violation::BadText => "text is not UTF-8",
            Violation::TooBig => "message too long",
            Violation::TooManyFragments => "too many fragments",
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Refused => write!(f, "refused"),
            Loss::Reset => write!(f, "reset"),
            Loss::TimedOut => write!(f, "timed out"),
            Loss::Status(status, _) => write!(f, "handshake status {status}"),
            Loss::BadHandshake(rule) => write!(f, "bad handshake: {rule}"),
            Loss::Closed(Some(code), _) => write!(f, "closed {code}"),
            Loss::Closed(None, _) => write!(f, "closed without a code"),
            Loss::Eof => write!(f, "ended without a close frame"),
            Loss::Refusal(_) => write!(f, "refused by the server"),
            Loss::Disconnected => write!(f, "disconnected by the server"),
            Loss::Ended => write!(f, "session closed by the server"),
            Loss::Protocol(rule) => write!(f, "protocol: {rule}"),
            Loss::Tls(why) => write!(f, "TLS: {why}"),
            Loss::Io(kind) => write!(f, "network: {kind}"),
        }
    }
}
