//! Accepts connections: limits, and which connection is closed to make room.
//!
//! Called for each accepted socket, before a byte is read, and again if the first bytes contain the
//! address of its client.

use std::net::IpAddr;

use tracing::warn;

use super::admission::UNKNOWN_CLIENT;
use super::conn::{Class, End};
use super::ids::ConnId;
use super::listener_kind::ListenerKind;
use super::log::Warning;
use super::state::State;
use super::{end, memory, places};
use crate::close::CloseReason;
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
                let has_place = class != Class::OverLimit;
                state.admission.connection_began(peer, id, has_place, now);
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
                if let Some(idle) = idle {
                    places::close_unused(state, idle, now);
                }
                let has_place = places::claim(state, id, client, now);
                if !has_place && !places::may_open(state) {
                    return refuse(state, id, Refusal::Full, now);
                }
                state.admission.move_connection(id, peer, client, has_place, now);
            }
            Err(refusal) => return refuse(state, id, refusal, now),
        }
    }
    if let Some(conn) = state.conns.get_mut(id) {
        conn.peer = client;
    }
    memory::count_for(state, id, client, now);
}

/// Refuses a connection after its first bytes.
fn refuse(state: &mut State, id: ConnId, refusal: Refusal, now: Millis) {
    state.metrics.count_refusal(refusal);
    end::connection(state, id, CloseReason::Policy, None, now);
    // Nothing was sent over it, and a close would leave it in TIME_WAIT.
    end::at_once(state, id, End::Reset);
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

/// Applies the limits. If there are too many connections, the new one takes the place of another,
/// if one may end for it.
fn admit(state: &mut State, peer: IpAddr, now: Millis) -> Result<Class, Refusal> {
    if memory::is_out(state) {
        return Err(Refusal::Memory);
    }
    if let Some(idle) = check_address_limits(state, peer, now)? {
        places::close_unused(state, idle, now);
        return Ok(Class::Regular);
    }
    let may_open = places::may_open(state);
    match (may_open, places::is_free(state)) {
        (true, true) => Ok(Class::Regular),
        (false, true) => Err(Refusal::Full),
        (_, false) if places::take_for(state, peer, may_open, now) => Ok(Class::Regular),
        (true, false) => Ok(Class::OverLimit),
        (false, false) => Err(Refusal::Full),
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
            idle.map(|(_, id)| Some(id)).ok_or(Refusal::AddressFull)
        }
        result => result.map(|()| None),
    }
}
