//! Deadlines of connections and rooms: pings, and the ends of silent, slow and idle peers.
//!
//! Called on each tick. Engine.IO sessions have their own deadlines.

use super::conn::{Due, Stage};
use super::end;
use super::fault::{self, FaultPoint};
use super::ids::{ConnId, Link};
use super::session::Session;
use super::socketio::transport;
use super::state::State;
use super::{exchange, panics, resume, websocket};
use crate::close::CloseReason;
use crate::http::response::Response;
use crate::limits::ROOM_EMPTY_MS;
use crate::time::{Millis, TICKS_PER_SECOND};

/// Checks each connection whose deadline may have passed. `due` is a buffer, reused.
pub fn run(state: &mut State, due: &mut Vec<ConnId>, now: Millis) {
    state.conns.collect_due(state.served_until, due);
    for id in due.iter().copied() {
        if panics::caught(state, |state| check(state, id, now)).is_none() {
            end::after_fault(state, id, now);
        }
    }
    // At the shutdown, absent players stay for the file. Otherwise each leaves on its own: a
    // panic in one game must not keep the others.
    let stay = state.drain.is_some() && state.settings.state.is_some();
    while let Some(absent) = if stay { None } else { state.tokens.take_due(now) } {
        panics::caught(state, |state| resume::leave(state, absent, "absent", now));
    }
    if state.tick.0.is_multiple_of(TICKS_PER_SECOND) {
        state.rooms.remove_empty(ROOM_EMPTY_MS, now);
        state.admission.forget_idle(now);
        kick_idle(state, now);
    }
}

/// Ends players that sent no command for `--idle-kick-s`.
fn kick_idle(state: &mut State, now: Millis) {
    let span_ms = u64::from(state.settings.idle_kick_s) * 1000;
    if span_ms == 0 {
        return;
    }
    let served_until = state.served_until;
    let is_idle = |session: &Session| session.acted_at.after(span_ms) <= served_until;
    let links: Vec<Link> = state
        .sessions
        .iter()
        .filter(|(_, session)| is_idle(session))
        .map(|(_, session)| session.link)
        .collect();
    links.into_iter().for_each(|link| end::link(state, link, CloseReason::Idle, now));
}

fn check(state: &mut State, id: ConnId, now: Millis) {
    fault::point(state.fault_hook, FaultPoint::Deadline(id));
    let Some(conn) = state.conns.get(id) else { return };
    let keep_alive_ms = u64::from(state.settings.keep_alive_s) * 1000;
    match conn.due(&state.policy.limits, keep_alive_ms, state.served_until) {
        Due::Wait(until) => state.conns.set_deadline(id, until),
        Due::Ping => websocket::ping(state, id, now),
        Due::End(reason) => match (&conn.stage, reason) {
            (Stage::Lingering(_) | Stage::Closed(_), _) => end::linger_timeout(state, id),
            (_, CloseReason::HttpTimeout) => {
                if !transport::end_if_post_paused(state, id, now) {
                    let response = Response::sentence(408, "The request took too long to arrive.");
                    exchange::refuse(state, id, response, false, now);
                }
            }
            _ => end::connection(state, id, reason, None, now),
        },
    }
}
