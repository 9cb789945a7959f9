//! The kinds of listeners: the flag of each, and what it serves.

use std::net::SocketAddr;

use crate::config::Serve;

/// The kind of listener through which a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// `--listen` or `--port`: players and pages.
    Public,
    /// `--admin-listen`: health and metrics.
    Admin,
}

impl ListenerKind {
    /// Every kind.
    pub const ALL: [ListenerKind; 2] = [ListenerKind::Public, ListenerKind::Admin];

    /// Whether its connections are those of operators: they have limits and routes of their own.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, ListenerKind::Admin)
    }

    /// The flag that sets its addresses.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            ListenerKind::Public => "--listen",
            ListenerKind::Admin => "--admin-listen",
        }
    }

    /// The addresses that the flag sets.
    #[must_use]
    pub fn addrs(self, settings: &Serve) -> &[SocketAddr] {
        match self {
            ListenerKind::Public => &settings.listen,
            ListenerKind::Admin => &settings.admin_listen,
        }
    }

    /// What it serves at `host`, a line for the operator.
    #[must_use]
    pub fn urls(self, host: &str) -> String {
        match self {
            ListenerKind::Public => format!("  http://{host}/   ws://{host}/\n"),
            ListenerKind::Admin => format!("Metrics: http://{host}/metrics\n"),
        }
    }
}
