//! What the passing of time asks for: pings, and the ends of those who are silent, slow or idle.
//!
//! A verb: called on each tick.

use super::conn::{Due, Stage};
use super::ids::{ConnId, Link};
use super::session::Session;
use super::state::State;
use crate::close::CloseReason;
use crate::http::response::Response;
use crate::outbox::{Encoded, Lane};
use crate::time::{Millis, TICKS_PER_SECOND};
use crate::ws;

/// Looks at each connection whose deadline may have come. `due` is a buffer, reused.
pub fn run(state: &mut State, due: &mut Vec<ConnId>, now: Millis) {
    state.conns.collect_due(now, due);
    for id in due.iter().copied() {
        state.at_work.conn = Some(id);
        look(state, id, now);
    }
    state.at_work.conn = None;
    if state.tick.0.is_multiple_of(TICKS_PER_SECOND) {
        state.rooms.remove_empty(now);
        state.gate.forget_rested(now);
        send_idle_away(state, now);
    }
}

/// Ends those who have done nothing in the game for too long.
fn send_idle_away(state: &mut State, now: Millis) {
    let span_ms = u64::from(state.settings.idle_kick_s) * 1000;
    if span_ms == 0 {
        return;
    }
    let is_idle = |session: &Session| session.acted_at.after(span_ms) <= now;
    let links: Vec<Link> = state
        .sessions
        .iter()
        .filter(|(_, session)| is_idle(session))
        .map(|(_, session)| session.link)
        .collect();
    links.into_iter().for_each(|link| state.part(link, CloseReason::Idle, now));
}

fn look(state: &mut State, id: ConnId, now: Millis) {
    let Some(conn) = state.conns.get(id) else { return };
    match conn.due(&state.limits, now) {
        Due::Wait(until) => state.conns.set_deadline(id, until),
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
