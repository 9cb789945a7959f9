//! Why a client was lost. Whoever hears of it tells; `tally` counts.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::ws::Violation;

/// Why a client was lost. The text is the kind under which it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nobody listens there.
    Refused,
    /// The connection was cut.
    Reset,
    /// It was not in the game within [`HANDSHAKE_US`](super::swarm::HANDSHAKE_US).
    TimedOut,
    /// A request was answered with an error, and these words if any.
    Status(u16, String),
    /// The answer to the handshake breaks a rule, which the text says.
    BadHandshake(&'static str),
    /// The server sent a close frame, with its code and reason if it had them.
    Closed(Option<u16>, String),
    /// The server ended the connection without a close frame.
    Eof,
    /// Socket.IO: the server has refused it, in these words.
    Refusal(String),
    /// Socket.IO: the server has sent it away, by `41`.
    Disconnected,
    /// Engine.IO: the server has ended the session, by `1`.
    Ended,
    /// The server broke a rule of its protocol, which the text says.
    Protocol(&'static str),
    /// Any other error of the network.
    Io(ErrorKind),
}

impl Loss {
    /// The loss that an error of a socket means.
    #[must_use]
    pub fn of(error: &io::Error) -> Loss {
        match error.kind() {
            ErrorKind::ConnectionRefused => Loss::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Loss::Reset
            }
            ErrorKind::TimedOut => Loss::TimedOut,
            kind => Loss::Io(kind),
        }
    }

    /// The kind, and the server's own words.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Loss::Status(_, words) | Loss::Closed(_, words) | Loss::Refusal(words)
                if !words.is_empty() =>
            {
                format!("{self}, {words:?}")
            }
            _ => self.to_string(),
        }
    }
}

impl From<Violation> for Loss {
    fn from(violation: Violation) -> Loss {
        Loss::Protocol(match violation {
            Violation::Protocol(rule) => rule,
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
            Loss::Refusal(_) => write!(f, "not let in"),
            Loss::Disconnected => write!(f, "disconnected by the server"),
            Loss::Ended => write!(f, "session ended by the server"),
            Loss::Protocol(rule) => write!(f, "protocol: {rule}"),
            Loss::Io(kind) => write!(f, "network: {kind}"),
        }
    }
}
