//! Why a connection ends: one closed list that knows its WebSocket code and the label under which
//! it is counted (docs/protocol.md, "How a connection ends").
//!
//! Everyone who can end a connection names one of these; nobody writes a bare number.

/// Every way in which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// The peer sent a WebSocket close frame.
    ClientClosed,
    /// The peer ended the TCP connection without a word, or the network did.
    HungUp,
    /// An HTTP exchange came to its end, as either side wished.
    HttpDone,
    /// A kept-alive HTTP connection, or one that never spoke, waited too long.
    HttpIdle,
    /// The request could not be taken; the status says why.
    HttpRefused,
    /// The head of a request did not arrive in time.
    HttpTimeout,
    /// The server is going away; the client may come back after the hint.
    Restart,
    /// The server, or the room that was asked for, holds as many as it may.
    Full,
    /// The peer went on sending more than it may.
    TooFast,
    /// A player did nothing in the game for `--idle-kick-s`.
    Idle,
    /// The peer does not take what it is owed.
    Slow,
    /// A peer answered no ping, of WebSocket or of Engine.IO.
    PingTimeout,
    /// A rule of ours was broken, such as the number of fragments, or the time to join.
    Policy,
    /// A rule of RFC 6455, of Engine.IO or of Socket.IO was broken.
    Protocol,
    /// A text message or a close reason was not UTF-8.
    BadText,
    /// A message was larger than allowed.
    TooBig,
    /// The fault is ours.
    Fault,
}

/// What a [`CloseReason`] means on each side of the house.
struct Row {
    label: &'static str,
    websocket_code: Option<u16>,
}

impl CloseReason {
    /// Every reason, in the order of its number.
    pub const ALL: [CloseReason; 17] = [
        CloseReason::ClientClosed,
        CloseReason::HungUp,
        CloseReason::HttpDone,
        CloseReason::HttpIdle,
        CloseReason::HttpRefused,
        CloseReason::HttpTimeout,
        CloseReason::Restart,
        CloseReason::Full,
        CloseReason::TooFast,
        CloseReason::Idle,
        CloseReason::Slow,
        CloseReason::PingTimeout,
        CloseReason::Policy,
        CloseReason::Protocol,
        CloseReason::BadText,
        CloseReason::TooBig,
        CloseReason::Fault,
    ];

    const fn row(self) -> Row {
        let (label, websocket_code) = match self {
            CloseReason::ClientClosed => ("client_closed", None),
            CloseReason::HungUp => ("hung_up", None),
            CloseReason::HttpDone => ("http_done", None),
            CloseReason::HttpIdle => ("http_idle", None),
            CloseReason::HttpRefused => ("http_refused", None),
            CloseReason::HttpTimeout => ("http_timeout", None),
            CloseReason::Restart => ("restart", Some(1012)),
            CloseReason::Full => ("full", Some(1013)),
            CloseReason::TooFast => ("too_fast", Some(4029)),
            CloseReason::Idle => ("idle", Some(4000)),
            CloseReason::Slow => ("slow", Some(4008)),
            CloseReason::PingTimeout => ("ping_timeout", None),
            CloseReason::Policy => ("policy", Some(1008)),
            CloseReason::Protocol => ("protocol", Some(1002)),
            CloseReason::BadText => ("bad_text", Some(1007)),
            CloseReason::TooBig => ("too_big", Some(1009)),
            CloseReason::Fault => ("fault", Some(1011)),
        };
        Row { label, websocket_code }
    }

    /// The label of the metric that counts it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.row().label
    }

    /// The code of our close frame on a WebSocket that carries Engine.IO; `None` for a frame that
    /// has none (docs/protocol.md, "How a connection ends").
    #[must_use]
    pub const fn engineio_code(self) -> Option<u16> {
        match self {
            CloseReason::Policy | CloseReason::Protocol | CloseReason::BadText => None,
            _ => self.websocket_code(),
        }
    }

    /// What the close frame says in words, for whoever wrote the client; empty where the code says
    /// it all.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            CloseReason::TooFast => "It sends too many messages.",
            CloseReason::Idle => "It did nothing for too long.",
            CloseReason::Slow => "It does not take what it is sent.",
            _ => "",
        }
    }

    /// The code of our WebSocket close frame; `None` where no frame of ours says why.
    #[must_use]
    pub const fn websocket_code(self) -> Option<u16> {
        self.row().websocket_code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_the_labels_differ() {
        for (number, reason) in CloseReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
        let labels: std::collections::HashSet<_> =
            CloseReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), CloseReason::ALL.len());
    }
}
