//! What differs between the game and `--echo`: limits, checks, endpoints and deadlines.
//!
//! The policy is chosen once, when the server starts. No other module asks for the flag.

use crate::config::Serve;
use crate::limits::{self, Limits};
use crate::time::Millis;

/// What the server allows, and what it serves.
#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    /// What the server does, as text for the operator.
    pub activity: &'static str,
    /// The limits.
    pub limits: Limits,
    /// Whether clients join rooms. If not, what they send is sent back.
    pub has_rooms: bool,
    /// Whether a `Host` that is not ours is refused.
    pub checks_host: bool,
    /// Whether an `Origin` that may not connect is refused. If not, pages of any origin may also
    /// read the responses (CORS).
    pub checks_origin: bool,
    /// Whether the limits per address apply to pages, Engine.IO sessions and joins.
    pub limits_joins: bool,
    /// Whether the bytes held for clients are limited without `--max-memory`, too.
    pub limits_memory: bool,
    /// Whether a WebSocket may be opened on any path, also on one that serves something else.
    pub upgrades_any_path: bool,
    /// Whether `/engine.io/` is served: Engine.IO without Socket.IO.
    pub has_raw_engineio: bool,
    /// Whether the attachments of Socket.IO packets are kept.
    pub takes_attachments: bool,
    /// The Socket.IO namespaces.
    pub namespaces: &'static [&'static str],
    /// The smallest window of compressed messages that a client may demand, as a power of two
    /// (RFC 7692, section 7.1.2.1): the game needs the history.
    pub window_bits_min: u8,
    /// Whether polls are held for a limited time, and a session ends if its client stops polling.
    limits_polls: bool,
    /// Time for a Socket.IO client to join, unless `--connect-timeout-ms` sets it.
    connect_timeout_ms: u64,
}

/// The game: players on the open internet.
pub const GAME: Policy = Policy {
    activity: "is listening",
    limits: limits::GAME,
    has_rooms: true,
    checks_host: true,
    checks_origin: true,
    limits_joins: true,
    limits_memory: true,
    upgrades_any_path: false,
    has_raw_engineio: false,
    takes_attachments: false,
    namespaces: &["/"],
    window_bits_min: 15,
    limits_polls: true,
    connect_timeout_ms: limits::CONNECT_TIMEOUT_MS,
};

/// `--echo`: a target for conformance suites.
pub const ECHO: Policy = Policy {
    activity: "is echoing",
    limits: limits::ECHO,
    has_rooms: false,
    checks_host: false,
    checks_origin: false,
    limits_joins: false,
    limits_memory: false,
    upgrades_any_path: true,
    has_raw_engineio: true,
    takes_attachments: true,
    // The official Socket.IO suite expects the second one.
    namespaces: &["/", "/custom"],
    window_bits_min: 9,
    limits_polls: false,
    connect_timeout_ms: limits::CONNECT_TIMEOUT_ECHO_MS,
};

impl Policy {
    /// The policy that the flags choose.
    #[must_use]
    pub const fn of(settings: &Serve) -> &'static Policy {
        if settings.echo { &ECHO } else { &GAME }
    }

    /// Time for a Socket.IO client to join a room after its session began.
    #[must_use]
    pub fn connect_timeout_ms(&self, settings: &Serve) -> u64 {
        settings.connect_timeout_ms.unwrap_or(self.connect_timeout_ms)
    }

    /// How long a poll is held; `None` for as long as nothing waits.
    #[must_use]
    pub fn poll_hold_ms(&self, settings: &Serve) -> Option<u64> {
        self.limits_polls.then_some(settings.poll_hold_ms)
    }

    /// When a session ends whose client does not poll from now on.
    #[must_use]
    pub fn absent_at(&self, settings: &Serve, now: Millis) -> Millis {
        match self.limits_polls {
            true => now.after(settings.poll_absence_ms),
            false => Millis::NEVER,
        }
    }
}
