//! What ends when too many bytes are held for clients (docs/limits.md, "Memory").

use std::cmp::Reverse;
use std::net::IpAddr;

use tracing::warn;

use super::conn::{Class, Conn};
use super::endings::Ended;
use super::ids::{ConnId, EioId};
use super::log::Warning;
use super::socketio::session::EioSession;
use super::state::State;
use super::{end, memory};
use crate::close::CloseReason;
use crate::limits::PART_BYTES_MIN;
use crate::outbox::Outbox;
use crate::time::Millis;

/// What holds bytes for a client.
#[derive(Clone, Copy)]
enum Holder {
    Conn(ConnId),
    Session(EioId),
}

/// A [`Holder`] and what it holds.
struct Holding {
    holder: Holder,
    bytes: usize,
    /// When it began, and its serial number, for those that began at the same time.
    began: (Millis, u32),
}

/// Ends clients whose address holds more than its share, and those that hold most if all together
/// hold too much.
pub fn enforce(state: &mut State, now: Millis) {
    while let Some(client) = state.memory.pop_over_share() {
        enforce_share(state, client, state.memory.share(), now);
    }
    if state.memory.max().is_some_and(|max| memory::total(state) > max) {
        enforce_total(state, now);
    }
}

/// Memory is so short that no client may join: of what may be held besides the assumed sizes,
/// addresses that hold more than an equal part, and [`PART_BYTES_MIN`], hold no more from here on.
///
/// Returns whether clients end.
pub fn enforce_parts(state: &mut State, now: Millis) -> bool {
    let Some(max) = state.memory.max() else { return false };
    let assumed = memory::total(state) - state.memory.held();
    let held_max = (max / 8 * 7).saturating_sub(assumed).min(max / 4 * 3);
    let (part, holders) = state.admission.holders_of_more_than_a_part(held_max, PART_BYTES_MIN);
    let mut has_ended = false;
    for client in holders {
        if !memory::is_short(state) {
            break;
        }
        has_ended |= enforce_share(state, client, part, now);
    }
    has_ended
}

/// Ends the newest clients of an address until it holds three quarters of a share. A client that
/// holds less than an even part of what the address holds is spared: its end would free little. So
/// is an exempt one, and what it holds does not count. Returns whether clients end.
fn enforce_share(state: &mut State, client: IpAddr, share: usize, now: Millis) -> bool {
    let Some(network) = state.admission.network_with_more(client, share) else { return false };
    let mut holdings = conn_holdings(state, |conn| {
        network.contains(conn.client) && !state.admission.is_exempt(conn.client)
    });
    holdings.extend(session_holdings(state, |eio| network.contains(eio.client) && !eio.is_exempt));
    let held: usize = holdings.iter().map(|holding| holding.bytes).sum();
    let most = share.saturating_mul(network.factor() as usize);
    if held <= most {
        return false;
    }
    let even = held / holdings.len();
    holdings.retain(|holding| holding.bytes >= even);
    holdings.sort_by_key(|holding| Reverse(holding.began));
    if state.warnings.may_log(Warning::Memory, now) {
        warn!(%client, held, share, "an address holds too many bytes; its newest clients are disconnected");
    }
    let mut left = held;
    for holding in holdings {
        if left <= most / 4 * 3 {
            break;
        }
        left -= holding.bytes;
        end_holder(state, holding.holder, now);
    }
    true
}

/// Ends the clients that hold most, until an eighth is free.
fn enforce_total(state: &mut State, now: Millis) {
    state.eio_sessions.drop_last_payloads();
    let mut holdings = conn_holdings(state, |_| true);
    holdings.extend(session_holdings(state, |_| true));
    holdings.sort_by_key(|holding| Reverse(holding.bytes));
    for holding in holdings {
        if !memory::is_short(state) {
            break;
        }
        end_holder(state, holding.holder, now);
    }
}

fn conn_holdings(state: &State, may_end: impl Fn(&Conn) -> bool) -> Vec<Holding> {
    let has_some =
        |conn: &&Conn| conn.counted.bytes() > 0 && conn.class != Class::Admin && may_end(conn);
    let holding = |id| {
        let conn = state.conns.get(id).filter(has_some)?;
        let (bytes, began) = (conn.counted.bytes(), (conn.began_at, id.serial));
        Some(Holding { holder: Holder::Conn(id), bytes, began })
    };
    state.conns.ids().into_iter().filter_map(holding).collect()
}

fn session_holdings(state: &State, may_end: impl Fn(&EioSession) -> bool) -> Vec<Holding> {
    let sessions = state.eio_sessions.iter();
    let holding = |(id, eio): (EioId, &EioSession)| Holding {
        holder: Holder::Session(id),
        bytes: eio.counted.bytes(),
        began: (eio.began_at, id.serial),
    };
    let has_some = |(_, eio): &(EioId, &EioSession)| eio.counted.bytes() > 0 && may_end(eio);
    sessions.filter(has_some).map(holding).collect()
}

/// Ends a client at once, and frees what it holds.
fn end_holder(state: &mut State, holder: Holder, now: Millis) {
    match holder {
        Holder::Conn(id) => {
            end::connection(state, id, CloseReason::Memory, None, now);
            if let Some(conn) = state.conns.get_mut(id) {
                conn.outbox = Outbox::default();
            }
            memory::conn_changed(state, id, now);
        }
        Holder::Session(id) => {
            if let Some(eio) = state.eio_sessions.get_mut(id) {
                eio.take_waiting();
            }
            memory::session_changed(state, id, now);
            state.endings.push(Ended::Eio(id), CloseReason::Memory);
        }
    }
}
