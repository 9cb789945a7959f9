//! Accepts connections: limits, and which idle connection is closed to make room.
//!
//! Called for each accepted socket, before a byte is read.

use std::net::IpAddr;

use super::conn::{Class, End};
use super::end;
use super::ids::{ConnId, Door};
use super::state::State;
use crate::close::CloseReason;
use crate::limits::{CONNECTIONS_SURPLUS_MAX, EVICTIONS};
use crate::metrics::Refusal;
use crate::time::Millis;

/// Accepts a connection through a door.
///
/// # Errors
/// Why it must be closed.
pub fn open(state: &mut State, peer: IpAddr, door: Door, now: Millis) -> Result<ConnId, Refusal> {
    state.metrics.accepted += 1;
    let admitted = match door {
        Door::Public => admit(state, peer, now),
        Door::Admin => state.admission.admin_connection_begins().map(|()| Class::Admin),
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

/// Applies the limits. Browsers keep idle connections open; they must not lock players out, so the
/// connection that was idle longest is closed when there are too many.
fn admit(state: &mut State, peer: IpAddr, now: Millis) -> Result<Class, Refusal> {
    let mut excess = (state.conns.public_open() + 1).saturating_sub(state.connections_max);
    let idle = match state.admission.judge_connection(peer, now) {
        Err(Refusal::AddressFull) => {
            let idle = state.conns.longest_idle(state.admission.connections(peer).iter().copied());
            Some(idle.ok_or(Refusal::AddressFull)?)
        }
        Err(refusal) => return Err(refusal),
        // A search over all connections is too expensive for each accept of a burst.
        Ok(()) if excess > 0 && state.evictions.take(EVICTIONS, 1, now) => {
            state.conns.longest_idle(state.conns.ids().into_iter())
        }
        Ok(()) => None,
    };
    if let Some(idle) = idle {
        end::connection(state, idle, CloseReason::HttpIdle, None, now);
        end::at_once(state, idle, End::Close);
        excess = excess.saturating_sub(1);
    }
    match excess {
        0 => Ok(Class::Regular),
        1..=CONNECTIONS_SURPLUS_MAX => Ok(Class::OverLimit),
        _ => Err(Refusal::Full),
    }
}
