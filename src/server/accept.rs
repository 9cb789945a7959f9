//! Accepts connections: limits, and which idle connection is closed to make room.
//!
//! Called for each accepted socket, before a byte is read, and again if the first bytes contain the
//! address of its client.

use std::net::IpAddr;

use tracing::warn;

use super::admission::UNKNOWN_CLIENT;
use super::conn::{Class, End};
use super::end;
use super::ids::ConnId;
use super::listener_kind::ListenerKind;
use super::log::Warning;
use super::memory;
use super::state::State;
use crate::close::CloseReason;
use crate::limits::{CONNECTIONS_SURPLUS_MAX, EVICTIONS};
use crate::metrics::Refusal;
use crate::time::Millis;

/// Accepts a connection through a listener of a kind.
///
/// # Errors
/// Why it must be closed.
pub fn open(
    state: &mut State,
    peer: IpAddr,
    kind: ListenerKind,
    now: Millis,
) -> Result<ConnId, Refusal> {
    state.metrics.accepted += 1;
    let admitted = match kind {
        ListenerKind::Admin => state.admission.admin_connection_begins().map(|()| Class::Admin),
        _ if kind.has_proxy_header(&state.settings) && !state.admission.trust.is_proxy(peer) => {
            refuse_untrusted(state, peer, now)
        }
        ListenerKind::Public => admit(state, peer, now),
        ListenerKind::Redirect => admit(state, peer, now).map(|_| Class::Redirect),
    };
    match admitted {
        Ok(class) => {
            let id = state.conns.open(peer, class, now);
            if class != Class::Admin {
                state.admission.connection_began(peer, id, now);
            }
            Ok(id)
        }
        Err(refusal) => {
            state.metrics.count_refusal(refusal);
            Err(refusal)
        }
    }
}

/// Refuses a peer that is not a trusted proxy: its header could name any address.
fn refuse_untrusted(state: &mut State, peer: IpAddr, now: Millis) -> Result<Class, Refusal> {
    if state.warnings.may_log(Warning::UntrustedPeer, now) {
        let what = "refused a connection that does not come from a trusted proxy; with \
            --proxy-protocol only those of --trusted-proxy may connect";
        warn!(%peer, "{what}");
    }
    Err(Refusal::UntrustedPeer)
}

/// Counts a connection for its `client` from here on, whose address was in the first bytes. Closes
/// it if the limits of that address do not allow it.
pub fn set_client_addr(state: &mut State, id: ConnId, client: IpAddr, now: Millis) {
    let Some(conn) = state.conns.get(id) else { return };
    let (peer, is_admin) = (conn.peer, conn.listener_kind().is_admin());
    if peer != client && !is_admin {
        match check_address_limits(state, client, now) {
            Ok(idle) => {
                idle.into_iter().for_each(|idle| close_idle(state, idle, now));
                state.admission.move_connection(id, peer, client, now);
            }
            Err(refusal) => {
                state.metrics.count_refusal(refusal);
                end::connection(state, id, CloseReason::Policy, None, now);
                // Nothing was sent over it, and a close would leave it in TIME_WAIT.
                return end::at_once(state, id, End::Reset);
            }
        }
    }
    if let Some(conn) = state.conns.get_mut(id) {
        conn.peer = client;
    }
    memory::count_for(state, id, client, now);
}

/// The first bytes of a connection name no client. It stays one of its proxy, which may have any
/// number. But its requests belong to an unknown client, and it names no others: proxies also send
/// such a header for clients whose address they do not know, and these write the requests.
pub fn set_client_unknown(state: &mut State, id: ConnId, now: Millis) {
    if let Some(conn) = state.conns.get_mut(id).filter(|conn| !conn.listener_kind().is_admin()) {
        conn.peer = UNKNOWN_CLIENT;
        memory::count_for(state, id, UNKNOWN_CLIENT, now);
    }
}

/// Closes a connection of a proxy whose first bytes are invalid.
pub fn refuse_preface(state: &mut State, id: ConnId, now: Millis) {
    let Some(conn) = state.conns.get(id) else { return };
    if state.warnings.may_log(Warning::ProxyHeader, now) {
        let what = "closed a connection of a proxy that did not begin with a valid header of the \
            PROXY protocol; turn it on in the proxy (HAProxy: send-proxy-v2), or remove \
            --proxy-protocol";
        warn!(proxy = %conn.peer, "{what}");
    }
    end::connection(state, id, CloseReason::ProxyHeader, None, now);
    end::at_once(state, id, End::Reset);
}

/// Applies the limits. Browsers keep idle connections open; they must not lock players out, so the
/// connection that was idle longest is closed when there are too many. A player that polls needs
/// its own for the next request, so those of other addresses with players stay. If none is idle,
/// the one that has sent no request for the longest time is closed.
fn admit(state: &mut State, peer: IpAddr, now: Millis) -> Result<Class, Refusal> {
    if memory::is_out(state) {
        return Err(Refusal::Memory);
    }
    let mut excess = (state.conns.public_open() + 1).saturating_sub(state.connections_max);
    let mut idle = check_address_limits(state, peer, now)?;
    // A search over all connections is too expensive for each accept of a burst.
    if idle.is_none() && excess > 0 && state.evictions.take(EVICTIONS, 1, now) {
        let may_lose = |other| other == peer || !state.admission.has_player(other);
        let ids = state.conns.ids();
        idle = state.conns.longest_idle(ids.iter().copied(), may_lose);
        // Addresses that connect and send nothing must not keep out others.
        idle = idle.or_else(|| state.conns.longest_silent(ids.into_iter(), state.served_until));
    }
    if let Some(idle) = idle {
        close_idle(state, idle, now);
        excess = excess.saturating_sub(1);
    }
    match excess {
        0 => Ok(Class::Regular),
        1..=CONNECTIONS_SURPLUS_MAX => Ok(Class::OverLimit),
        _ => Err(Refusal::Full),
    }
}

/// Applies the limits of an address. If it has as many connections as it may have, one of them must
/// be closed: the one that was idle longest.
fn check_address_limits(
    state: &mut State,
    peer: IpAddr,
    now: Millis,
) -> Result<Option<ConnId>, Refusal> {
    if state.bans.refuse(peer, &state.admission.trust, now) {
        return Err(Refusal::Banned);
    }
    match state.admission.check_connection_limits(peer, now) {
        Err(Refusal::AddressFull) => {
            let those = state.admission.connections_if_full(peer).iter().copied();
            let idle = state.conns.longest_idle(those, |_| true);
            idle.ok_or(Refusal::AddressFull).map(Some)
        }
        result => result.map(|()| None),
    }
}

/// Closes an idle connection. It is not reset: the kernel may still deliver the last response.
fn close_idle(state: &mut State, id: ConnId, now: Millis) {
    end::connection(state, id, CloseReason::HttpIdle, None, now);
    end::at_once(state, id, End::Close);
}
