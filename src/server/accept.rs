//! Accepts connections: limits, and which connection is closed to make room.
//!
//! Called for each accepted socket, before a byte is read, and again if the first bytes contain the
//! address of its client.

use std::net::IpAddr;

use tracing::warn;

use super::admission::UNKNOWN_CLIENT;
use super::conn::{Class, End, Exchange, Http, Stage};
use super::end;
use super::endings::Ended;
use super::ids::{ConnId, Owner};
use super::listener_kind::ListenerKind;
use super::log::Warning;
use super::memory;
use super::state::State;
use crate::close::CloseReason;
use crate::limits::{CONNECTIONS_SURPLUS_MAX, EVICTIONS, EVICTIONS_KEPT, SILENT_MS};
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
                idle.into_iter().for_each(|idle| close_http(state, idle, now));
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

/// Applies the limits. If there are too many connections, the new one takes the place of
/// [`excess_conn`].
fn admit(state: &mut State, peer: IpAddr, now: Millis) -> Result<Class, Refusal> {
    if memory::is_out(state) {
        return Err(Refusal::Memory);
    }
    let excess = (state.conns.public_open() + 1).saturating_sub(state.connections_max);
    let mut given = check_address_limits(state, peer, now)?;
    if given.is_none() && excess > 0 {
        given = excess_conn(state, peer, now);
    }
    if let Some(id) = given {
        give_up(state, id, now);
        if excess > CONNECTIONS_SURPLUS_MAX {
            // There is no time for a close frame.
            end::at_once(state, id, End::Reset);
        }
        return Ok(Class::Regular);
    }
    match excess {
        0 => Ok(Class::Regular),
        1..=CONNECTIONS_SURPLUS_MAX => Ok(Class::OverLimit),
        _ => Err(Refusal::Full),
    }
}

/// The connection to close for a new one of `peer`. Browsers keep idle connections open; they must
/// not lock players out, so it is the one that was idle longest. A player that polls needs its own
/// for the next request, so those of other addresses with players stay. If none was idle for some
/// time, it is the one that has sent no request for the longest time, or else one of the address
/// with the most.
fn excess_conn(state: &mut State, peer: IpAddr, now: Millis) -> Option<ConnId> {
    let most = state.connections_max;
    let kept = if state.admission.has_part_of(most, peer) { EVICTIONS_KEPT } else { 0 };
    // A search over all connections is too expensive for each accept of a burst.
    if !state.evictions.has(EVICTIONS, 1 + kept, now) {
        return None;
    }
    state.evictions.take(EVICTIONS, 1, now);
    let State { conns, admission, .. } = &*state;
    let may_lose = |other| other == peer || !admission.has_player(other);
    let is_long = |(since, _): &(Millis, ConnId)| since.after(SILENT_MS) <= state.served_until;
    let ids = conns.ids();
    let idle = conns.longest_idle(ids.iter().copied(), may_lose);
    let unused = idle.filter(is_long);
    let unused = unused.or_else(|| conns.longest_silent(ids.into_iter()).filter(is_long));
    let of_giver = || {
        let those = admission.connections_of_giver(peer, most).iter().copied();
        conns.least_needed(those)
    };
    unused.map(|(_, id)| id).or_else(of_giver).or(idle.map(|(_, id)| id))
}

/// Closes a connection for one of another address. What it serves ends, too.
fn give_up(state: &mut State, id: ConnId, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    let (owner, peer) = (conn.owner(), conn.peer);
    conn.class = Class::OverLimit;
    state.admission.connection_ended(peer, id);
    match &mut conn.stage {
        Stage::Lingering(_) | Stage::Closed(_) => end::linger_timeout(state, id),
        Stage::WebSocket(_) => match owner {
            Some(Owner::Eio(eio)) => state.endings.push(Ended::Eio(eio), CloseReason::Full),
            _ => end::with_retry_hint(state, id, CloseReason::Full, now),
        },
        // The connection ends after the answer.
        Stage::Http(Http { exchange: Exchange::Held(eio), reply, .. }) => {
            reply.keeps_alive = false;
            state.endings.push(Ended::Eio(*eio), CloseReason::Full);
        }
        Stage::Http(http) if http.is_free() && conn.outbox.is_empty() => {
            close_http(state, id, now);
        }
        Stage::Http(_) => end::connection(state, id, CloseReason::Full, None, now),
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

/// Closes a connection at once. It is not reset: the kernel may still deliver the last response.
fn close_http(state: &mut State, id: ConnId, now: Millis) {
    end::connection(state, id, CloseReason::HttpIdle, None, now);
    end::at_once(state, id, End::Close);
}
