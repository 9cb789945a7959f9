//! The kinds of listeners: the flag of each, and what it serves.

use std::net::SocketAddr;

use crate::config::Serve;

/// The kind of listener through which a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `--listen` or `--port`: players and pages.
    Public,
    /// `--admin-listen`: health and metrics.
    Admin,
}

impl Door {
    /// Every kind.
    pub const ALL: [Door; 2] = [Door::Public, Door::Admin];

    /// Whether its connections are those of operators: they have limits and routes of their own.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, Door::Admin)
    }

    /// The flag that sets its addresses.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Door::Public => "--listen",
            Door::Admin => "--admin-listen",
        }
    }

    /// The addresses that the flag sets.
    #[must_use]
    pub fn addrs(self, settings: &Serve) -> &[SocketAddr] {
        match self {
            Door::Public => &settings.listen,
            Door::Admin => &settings.admin_listen,
        }
    }

    /// What it serves at `host`, a line for the operator.
    #[must_use]
    pub fn urls(self, host: &str) -> String {
        match self {
            Door::Public => format!("  http://{host}/   ws://{host}/\n"),
            Door::Admin => format!("Metrics: http://{host}/metrics\n"),
        }
    }
}
