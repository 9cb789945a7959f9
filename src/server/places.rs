//! The places of connections: there are as many as `--connections-max`. If all are taken, a
//! connection may end for a new one (docs/limits.md, "When there are too many connections").

use std::net::IpAddr;

use super::conn::{Class, End, Exchange, Http, Stage};
use super::end;
use super::endings::Ended;
use super::ids::{ConnId, Owner};
use super::state::State;
use crate::close::CloseReason;
use crate::limits::{
    CLIENTS_KEPT, CONNECTIONS_KEPT, CONNECTIONS_SURPLUS_MAX, EVICTIONS, EVICTIONS_KEPT, SILENT_MS,
};
use crate::time::Millis;

/// Whether a place is free.
#[must_use]
pub fn is_free(state: &State) -> bool {
    state.conns.places_taken() < state.connections_max
}

/// Whether one more connection may be open, with or without a place.
#[must_use]
pub fn may_open(state: &State) -> bool {
    state.conns.public_open() < state.connections_max + CONNECTIONS_SURPLUS_MAX
}

/// Ends a connection for a new one of `peer`, if one may end. If it `has_time`, it is sent a close
/// frame first. Returns whether one ends.
pub fn take_for(state: &mut State, peer: IpAddr, has_time: bool, now: Millis) -> bool {
    let given = excess_conn(state, peer, now);
    if let Some(id) = given {
        give_up(state, id, has_time, now);
    }
    given.is_some()
}

/// A connection of a proxy serves this client. If it has no place, and one is free or another
/// connection may end for the client, it has one from here on. Returns whether it has one.
pub fn claim(state: &mut State, id: ConnId, client: IpAddr, now: Millis) -> bool {
    let Some(conn) = state.conns.get(id) else { return false };
    if conn.class != Class::OverLimit {
        return true;
    }
    // The places of other peers are counted, and that of a connection that ends is not its own.
    let is_exempt = state.admission.is_exempt(conn.peer);
    if !is_exempt || !matches!(conn.stage, Stage::Http(_)) || state.drain.is_some() {
        return false;
    }
    // Room for one more is left for the next client, whose address is not known yet.
    let has_time = may_open(state);
    let has_place = is_free(state) || take_for(state, client, has_time, now);
    if has_place {
        state.conns.set_class(id, Class::Regular);
    }
    has_place
}

/// The connection to end for a new one of `peer`. Browsers keep idle connections open; they must
/// not lock players out, so it is the one that was idle longest. A player that polls needs its own
/// for the next request, so those of other addresses with players stay. If none was idle for some
/// time, it is the one that has sent no request for the longest time, or else one of the address
/// with the most; players come last. Which address has the most is decided for the client of a
/// proxy, once it is known.
fn excess_conn(state: &mut State, peer: IpAddr, now: Millis) -> Option<ConnId> {
    let most = state.connections_max;
    let is_proxy = state.admission.trust.is_proxy(peer);
    let may_use_kept = !is_proxy && state.admission.may_use_kept_searches(peer, most, now);
    let kept = if may_use_kept { 0 } else { EVICTIONS_KEPT };
    // A search over all connections is too expensive for each accept of a burst.
    if !state.evictions.has(EVICTIONS, 1 + kept, now) {
        return None;
    }
    state.evictions.take(EVICTIONS, 1, now);
    let State { conns, admission, served_until, drain, .. } = &*state;
    let is_long = |(since, _): &(Millis, ConnId)| since.after(SILENT_MS) <= *served_until;
    let may_lose = |other| other == peer || !admission.has_player(other);
    let ids = conns.ids();
    let idle = conns.longest_idle(ids.iter().copied(), may_lose);
    let silent = || conns.longest_silent(ids.iter().copied()).filter(is_long);
    if let Some((_, id)) = idle.filter(is_long).or_else(silent) {
        return Some(id);
    }
    // During the shutdown the clients are closed in order.
    let may_give = !is_proxy && drain.is_none();
    let of_giver = |kept| match may_give {
        true => admission.connections_of_giver(peer, most, kept),
        false => &[],
    };
    let longest = |idle: Option<(Millis, ConnId)>| idle.map(|(_, id)| id);
    match conns.least_needed(of_giver(CONNECTIONS_KEPT).iter().copied()) {
        None if may_use_kept => longest(idle),
        None => longest(conns.longest_idle(ids.iter().copied(), |other| other == peer)),
        Some((id, false)) => Some(id),
        Some((id, true)) => {
            // A newcomer has a few, and uses them a moment later.
            let has_many = |other| admission.places_of(other) > CONNECTIONS_KEPT;
            let may_lose = |other| other != peer && may_lose(other) && has_many(other);
            let idle = longest(conns.longest_idle(ids.iter().copied(), may_lose));
            idle.or((!of_giver(CLIENTS_KEPT).is_empty()).then_some(id))
        }
    }
}

/// Ends a connection, and what it serves.
fn give_up(state: &mut State, id: ConnId, has_time: bool, now: Millis) {
    let Some(conn) = state.conns.get(id) else { return };
    state.admission.place_ended(conn.peer, id);
    state.conns.set_class(id, Class::OverLimit);
    let Some(conn) = state.conns.get_mut(id) else { return };
    let owner = conn.owner();
    let mut has_time = has_time;
    match (&mut conn.stage, owner) {
        (Stage::Lingering(_) | Stage::Closed(_), _) => end::linger_timeout(state, id),
        (Stage::WebSocket(_), Some(Owner::Eio(eio))) => {
            state.endings.push(Ended::Eio(eio), CloseReason::Full);
        }
        (Stage::WebSocket(_), _) => end::with_retry_hint(state, id, CloseReason::Full, now),
        // The connection ends after the answer.
        (Stage::Http(Http { exchange: Exchange::Held(eio), reply, .. }), _) => {
            reply.keeps_alive = false;
            state.endings.push(Ended::Eio(*eio), CloseReason::Full);
        }
        (Stage::Http(http), _) if http.is_free() && conn.outbox.is_empty() => {
            close_unused(state, id, now);
        }
        (Stage::Http(_), owner) => {
            if let Some(Owner::Eio(eio)) = owner {
                state.endings.push(Ended::Eio(eio), CloseReason::Full);
            }
            end::connection(state, id, CloseReason::Full, None, now);
            has_time = false;
        }
    }
    if !has_time {
        end::at_once(state, id, End::Reset);
    }
}

/// Closes a connection without a request. It is not reset: the kernel may still deliver the last
/// response.
pub fn close_unused(state: &mut State, id: ConnId, now: Millis) {
    end::connection(state, id, CloseReason::HttpIdle, None, now);
    end::at_once(state, id, End::Close);
}

/// Checks, for tests, that the places are those of the connections that there are.
///
/// # Errors
/// What is wrong.
pub fn check(state: &State) -> Result<(), String> {
    let ids = state.conns.ids().into_iter();
    let with_place = ids.filter_map(|id| {
        let conn = state.conns.get(id).filter(|conn| conn.class.has_place())?;
        Some((id, conn.peer, matches!(conn.stage, Stage::Closed(_))))
    });
    let with_place: Vec<(ConnId, IpAddr, bool)> = with_place.collect();
    let taken = with_place.iter().filter(|(.., is_closed)| !is_closed).count();
    if taken != state.conns.places_taken() {
        return Err(format!("{} places are counted, not {taken}", state.conns.places_taken()));
    }
    state.admission.check_places(with_place.into_iter().map(|(id, peer, _)| (id, peer)))
}
