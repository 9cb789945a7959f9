//! Shutdown: clients are disconnected a few at a time, with the time to reconnect.
//!
//! Called once to begin, and then on each tick.

use super::conn::Stage;
use super::end;
use super::endings::Ended;
use super::ids::EioId;
use super::state::{Drain, State};
use crate::close::CloseReason;
use crate::limits::LAST_POLL_MS;
use crate::time::Millis;

/// Begins the shutdown. Connections without a player end at once.
pub fn begin(state: &mut State, now: Millis) {
    if state.drain.is_some() {
        return;
    }
    let until = now.after(u64::from(state.settings.drain_s) * 1000);
    state.drain = Some(Drain { began_at: now, until, sessions: state.sessions.len() });
    state.eio_sessions.shorten_last_payloads(until.after(LAST_POLL_MS));
    for id in state.conns.ids() {
        let Some(conn) = state.conns.get(id) else { continue };
        match &conn.stage {
            // A new connection may have a request in flight.
            Stage::Http(_) if conn.is_idle() => {
                end::connection(state, id, CloseReason::HttpDone, None, now);
            }
            // No player would come back, so the closes need no pacing.
            Stage::WebSocket(websocket) if websocket.owner.is_none() => {
                end::with_retry_hint(state, id, CloseReason::Restart, now);
            }
            _ => {}
        }
    }
}

/// Ends as many clients as should be gone by now.
pub fn step(state: &mut State, now: Millis) {
    let Some(drain) = state.drain else { return };
    let span_ms = drain.until.since(drain.began_at);
    let passed_ms = now.since(drain.began_at);
    let may_stay = if passed_ms >= span_ms {
        0
    } else {
        (drain.sessions as u64 * (span_ms - passed_ms)).div_ceil(span_ms) as usize
    };
    let excess = state.sessions.len().saturating_sub(may_stay);
    let links: Vec<_> =
        state.sessions.iter().take(excess).map(|(_, session)| session.link).collect();
    links.into_iter().for_each(|link| end::link(state, link, CloseReason::Restart, now));
    // The others have no player, so the closes need no pacing.
    let is_unused =
        |id: &EioId| state.eio_sessions.get(*id).is_none_or(|eio| eio.session().is_none());
    let unused: Vec<EioId> = state.eio_sessions.ids().into_iter().filter(is_unused).collect();
    for id in unused {
        state.endings.push(Ended::Eio(id), CloseReason::Restart);
    }
}
