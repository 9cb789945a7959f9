//! What the passing of time asks for: pings, and the ends of those who are silent, slow or idle.
//!
//! A verb: called on each tick.

use super::conn::{Due, Stage};
use super::ids::ConnId;
use super::state::{AtWork, State};
use crate::close::CloseReason;
use crate::http::response::Response;
use crate::outbox::{Encoded, Lane};
use crate::time::{Millis, TICKS_PER_SECOND};
use crate::ws;

/// Looks at each connection whose deadline may have come. `due` is a buffer, reused.
pub fn run(state: &mut State, due: &mut Vec<ConnId>, now: Millis) {
    state.conns.collect_due(now, due);
    for id in due.iter().copied() {
        state.at_work = Some(AtWork::Conn(id));
        look(state, id, now);
    }
    state.at_work = None;
    if state.tick.0.is_multiple_of(TICKS_PER_SECOND) {
        state.rooms.remove_empty(now);
        state.gate.forget_rested(now);
    }
}

fn look(state: &mut State, id: ConnId, now: Millis) {
    let Some(conn) = state.conns.get(id) else { return };
    let idle_at = idle_at(state, id);
    match conn.due(&state.limits, now) {
        Due::Wait(_) if idle_at <= now => state.conns.close(id, CloseReason::Idle, None, now),
        Due::Wait(until) => state.conns.set_deadline(id, until.min(idle_at)),
        Due::Ping => ping(state, id, now),
        Due::End(reason) => match (&conn.stage, reason) {
            (Stage::Lingering(_) | Stage::Closed(_), _) => state.conns.give_up(id),
            (_, CloseReason::HttpTimeout) => {
                let response = Response::sentence(408, "The request took too long to arrive.");
                state.conns.refuse(id, response, false, now);
            }
            _ => state.conns.close(id, reason, None, now),
        },
    }
}

/// When the player on the connection has been idle for too long.
fn idle_at(state: &State, id: ConnId) -> Millis {
    let span_ms = u64::from(state.settings.idle_kick_s) * 1000;
    let session = state.conns.get(id).and_then(|conn| conn.session());
    match session.and_then(|id| state.sessions.get(id)) {
        Some(session) if span_ms > 0 => session.acted_at.after(span_ms),
        _ => Millis::NEVER,
    }
}

fn ping(state: &mut State, id: ConnId, now: Millis) {
    let frame = Encoded::from(ws::frame::whole(ws::frame::PING, &[]));
    state.conns.push(id, frame, Lane::Control, &state.limits, now);
    if let Some(conn) = state.conns.get_mut(id)
        && let Stage::WebSocket(websocket) = &mut conn.stage
    {
        websocket.is_pinged = true;
    }
    state.conns.wake(id);
}
