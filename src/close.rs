//! Why a connection ends: one closed list with the WebSocket close code and the metric label of
//! each reason (docs/protocol.md, "How a connection ends").
//!
//! Code that ends a connection names a reason, never a bare close code.

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// The peer sent a WebSocket close frame.
    ClientClosed,
    /// The TCP connection ended without a close frame: the peer or the network closed it.
    PeerClosed,
    /// An HTTP exchange finished, and one side asked to close the connection.
    HttpDone,
    /// An HTTP connection was idle too long, before its first request or between two.
    HttpIdle,
    /// The request was rejected; the status says why.
    HttpRefused,
    /// The head of a request did not arrive in time.
    HttpTimeout,
    /// The connection did not begin with a valid header of the PROXY protocol.
    ProxyHeader,
    /// The server is shutting down; the client may reconnect after the hinted delay.
    Restart,
    /// The server or the requested room is full.
    Full,
    /// The peer kept exceeding its rate limits.
    TooFast,
    /// The player sent no input for `--idle-kick-s`.
    Idle,
    /// The peer reads too slowly.
    Slow,
    /// Another client has taken over the player, with its token.
    Replaced,
    /// The operator has removed the player, or banned its address.
    Kicked,
    /// The server holds too many bytes for its address, or in all.
    Memory,
    /// The peer did not answer a WebSocket or Engine.IO ping.
    PingTimeout,
    /// The client of a session that polls has had no poll open for `--poll-absence-ms`.
    PollAbsence,
    /// A limit of this server was violated, such as the number of fragments or the time to join.
    Policy,
    /// The peer violated RFC 6455, Engine.IO or Socket.IO.
    Protocol,
    /// A Socket.IO client uses another parser than the default one.
    Parser,
    /// A text message or a close reason was not valid UTF-8.
    BadText,
    /// A message was larger than allowed.
    TooBig,
    /// An internal error of the server.
    Fault,
}

/// The sentence for [`CloseReason::Parser`].
const PARSER: &str =
    "This server supports only the default parser of Socket.IO; remove the option parser.";

/// The properties of a [`CloseReason`].
struct Row {
    label: &'static str,
    websocket_code: Option<u16>,
    engineio_code: Option<u16>,
    sentence: &'static str,
    is_loss: bool,
}

impl CloseReason {
    /// Every reason, in the order of the discriminants.
    pub const ALL: [CloseReason; 23] = [
        CloseReason::ClientClosed,
        CloseReason::PeerClosed,
        CloseReason::HttpDone,
        CloseReason::HttpIdle,
        CloseReason::HttpRefused,
        CloseReason::HttpTimeout,
        CloseReason::ProxyHeader,
        CloseReason::Restart,
        CloseReason::Full,
        CloseReason::TooFast,
        CloseReason::Idle,
        CloseReason::Slow,
        CloseReason::Replaced,
        CloseReason::Kicked,
        CloseReason::Memory,
        CloseReason::PingTimeout,
        CloseReason::PollAbsence,
        CloseReason::Policy,
        CloseReason::Protocol,
        CloseReason::Parser,
        CloseReason::BadText,
        CloseReason::TooBig,
        CloseReason::Fault,
    ];

    const fn row(self) -> Row {
        let (label, websocket_code, engineio_code, sentence, is_loss) = match self {
            CloseReason::ClientClosed => ("client_closed", None, None, "", false),
            CloseReason::PeerClosed => ("hung_up", None, None, "", true),
            CloseReason::HttpDone => ("http_done", None, None, "", false),
            CloseReason::HttpIdle => ("http_idle", None, None, "", false),
            CloseReason::HttpRefused => ("http_refused", None, None, "", false),
            CloseReason::HttpTimeout => ("http_timeout", None, None, "", false),
            CloseReason::ProxyHeader => ("proxy_header", None, None, "", false),
            CloseReason::Restart => ("restart", Some(4012), Some(1012), "", true),
            CloseReason::Full => ("full", Some(4013), Some(1013), "", false),
            CloseReason::TooFast => {
                ("too_fast", Some(4029), Some(4029), "Too many messages.", false)
            }
            CloseReason::Idle => ("idle", Some(4000), Some(4000), "Idle for too long.", false),
            CloseReason::Slow => ("slow", Some(4008), Some(4008), "Reading too slowly.", true),
            CloseReason::Replaced => {
                let sentence = "Another client has taken over this player.";
                ("replaced", Some(4009), Some(4009), sentence, false)
            }
            CloseReason::Kicked => {
                ("kicked", Some(4003), Some(4003), "Removed by the operator.", false)
            }
            CloseReason::Memory => ("memory", None, None, "", true),
            CloseReason::PingTimeout => ("ping_timeout", None, None, "", true),
            CloseReason::PollAbsence => ("poll_absence", None, None, "", true),
            CloseReason::Policy => ("policy", Some(1008), None, "", false),
            CloseReason::Protocol => ("protocol", Some(1002), None, "", false),
            CloseReason::Parser => ("parser", Some(1003), Some(1003), PARSER, false),
            CloseReason::BadText => ("bad_text", Some(1007), None, "", false),
            CloseReason::TooBig => ("too_big", Some(1009), Some(1009), "", false),
            CloseReason::Fault => ("fault", Some(1011), Some(1011), "", true),
        };
        Row { label, websocket_code, engineio_code, sentence, is_loss }
    }

    /// The label of the metric `skirmish_closes_total`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.row().label
    }

    /// The WebSocket close code; `None` if the server sends no close frame for this reason. Many
    /// libraries do not report 1012 and 1013, so a restart and a full room have codes of our own.
    #[must_use]
    pub const fn websocket_code(self) -> Option<u16> {
        self.row().websocket_code
    }

    /// The close code on a WebSocket that carries Engine.IO; `None` for a close frame without a
    /// code (docs/protocol.md, "How a connection ends").
    #[must_use]
    pub const fn engineio_code(self) -> Option<u16> {
        self.row().engineio_code
    }

    /// The reason text of the close frame; empty where the code needs no explanation.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// Whether the client was lost and may come back to its player: its network failed, it was too
    /// slow, or the server failed or restarts. Otherwise the end is clean: the client has left, or
    /// the server has closed it on purpose.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        self.row().is_loss
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

    #[test]
    fn a_loss_is_never_the_choice_of_the_client_or_a_violation() {
        assert!(CloseReason::PeerClosed.is_loss() && CloseReason::Restart.is_loss());
        for clean in [CloseReason::ClientClosed, CloseReason::TooFast, CloseReason::Protocol] {
            assert!(!clean.is_loss(), "{clean:?}");
        }
    }
}
