//! Connections come: who is let in, and who makes room for them.
//!
//! A verb: called for each accept, before a byte is read.

use std::net::IpAddr;

use super::conn::{Admission, End};
use super::ids::ConnId;
use super::state::State;
use crate::close::CloseReason;
use crate::limits::{CONNECTIONS_SURPLUS_MAX, EVICTIONS};
use crate::metrics::Refusal;
use crate::time::Millis;

/// A connection from `peer`.
///
/// # Errors
/// Why it must be closed.
pub fn player(state: &mut State, peer: IpAddr, now: Millis) -> Result<ConnId, Refusal> {
    state.metrics.accepted += 1;
    let admitted = admit(state, peer, now);
    open(state, peer, admitted, now)
}

/// An operator's connection from `peer`.
///
/// # Errors
/// Why it must be closed.
pub fn operator(state: &mut State, peer: IpAddr, now: Millis) -> Result<ConnId, Refusal> {
    state.metrics.accepted += 1;
    let admitted = state.gate.admin_connection_begins().map(|()| Admission::Admin);
    open(state, peer, admitted, now)
}

fn open(
    state: &mut State,
    peer: IpAddr,
    admitted: Result<Admission, Refusal>,
    now: Millis,
) -> Result<ConnId, Refusal> {
    match admitted {
        Ok(admission) => {
            let id = state.conns.open(peer, admission, now);
            if admission != Admission::Admin {
                state.gate.connection_began(peer, id, now);
            }
            Ok(id)
        }
        Err(refusal) => {
            state.metrics.count_refusal(refusal);
            Err(refusal)
        }
    }
}

/// Browsers keep connections for requests that may never come. Whoever comes to play must not wait
/// for them: where there are too many, the one that was idle for longest ends.
fn admit(state: &mut State, peer: IpAddr, now: Millis) -> Result<Admission, Refusal> {
    let mut surplus = (state.conns.players() + 1).saturating_sub(state.connections_max);
    let idle = match state.gate.judge_connection(peer, now) {
        Err(Refusal::AddressFull) => {
            let idle = state.conns.longest_idle(state.gate.connections(peer).iter().copied());
            Some(idle.ok_or(Refusal::AddressFull)?)
        }
        Err(refusal) => return Err(refusal),
        // To look at all of them is too much for every one of a storm.
        Ok(()) if surplus > 0 && state.evictions.take(EVICTIONS, 1, now) => {
            state.conns.longest_idle(state.conns.ids().into_iter())
        }
        Ok(()) => None,
    };
    if let Some(idle) = idle {
        state.conns.close(idle, CloseReason::HttpIdle, None, now);
        state.conns.end(idle, End::Close);
        surplus = surplus.saturating_sub(1);
    }
    match surplus {
        0 => Ok(Admission::Regular),
        1..=CONNECTIONS_SURPLUS_MAX => Ok(Admission::Surplus),
        _ => Err(Refusal::Full),
    }
}
