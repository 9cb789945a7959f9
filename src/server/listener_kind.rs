//! The kinds of listeners: the flag of each, and what it serves.

use std::net::SocketAddr;

use crate::config::Serve;

/// The kind of listener through which a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// `--listen` or `--port`: players and pages; over TLS with `--cert`.
    Public,
    /// `--redirect-http`: redirects to the public one, without TLS.
    Redirect,
    /// `--admin-listen`: health, metrics, and the requests of the operator.
    Admin,
}

impl ListenerKind {
    /// Every kind.
    pub const ALL: [ListenerKind; 3] =
        [ListenerKind::Public, ListenerKind::Redirect, ListenerKind::Admin];

    /// Whether its connections are those of operators: they have limits and routes of their own.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, ListenerKind::Admin)
    }

    /// Whether its connections must begin with a header of the PROXY protocol.
    #[must_use]
    pub fn has_proxy_header(self, settings: &Serve) -> bool {
        settings.proxy_protocol && !self.is_admin()
    }

    /// The flag that sets its addresses.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            ListenerKind::Public => "--listen",
            ListenerKind::Redirect => "--redirect-http",
            ListenerKind::Admin => "--admin-listen",
        }
    }

    /// The addresses that the flag sets.
    #[must_use]
    pub fn addrs(self, settings: &Serve) -> &[SocketAddr] {
        match self {
            ListenerKind::Public => &settings.listen,
            ListenerKind::Redirect => &settings.redirect_http,
            ListenerKind::Admin => &settings.admin_listen,
        }
    }

    /// The port that a URL of it may omit.
    #[must_use]
    pub const fn default_port(self, has_tls: bool) -> u16 {
        match self {
            ListenerKind::Public if has_tls => 443,
            _ => 80,
        }
    }

    /// What it serves at `host`, a line for the operator; public ones may have TLS.
    #[must_use]
    pub fn urls(self, host: &str, has_tls: bool) -> String {
        let s = if has_tls { "s" } else { "" };
        match self {
            ListenerKind::Public => format!("  http{s}://{host}/   ws{s}://{host}/\n"),
            ListenerKind::Redirect => format!("Redirects: http://{host}/\n"),
            ListenerKind::Admin => {
                format!("Metrics: http://{host}/metrics   Status: http://{host}/status\n")
            }
        }
    }
}
