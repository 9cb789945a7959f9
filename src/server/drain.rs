//! Going away: clients are told to come back later, a few at a time.
//!
//! A verb: called once to begin, and then on each tick.

use super::conn::Stage;
use super::ids::EngineId;
use super::state::{Drain, State};
use crate::close::CloseReason;
use crate::time::Millis;

/// Begins to go away. Connections over which nobody plays end at once.
pub fn begin(state: &mut State, now: Millis) {
    if state.drain.is_some() {
        return;
    }
    state.drain = Some(Drain { began_at: now, sessions: state.sessions.len() });
    for id in state.conns.ids() {
        let Some(conn) = state.conns.get(id) else { continue };
        match &conn.stage {
            // One that has just come may have a request on its way.
            Stage::Http(_) if conn.is_idle() => {
                state.conns.close(id, CloseReason::HttpDone, None, now);
            }
            // Nobody plays over it, so nobody has to be spared a stampede.
            Stage::WebSocket(websocket) if websocket.owner.is_none() => {
                state.close_for_now(id, CloseReason::Restart, now);
            }
            _ => {}
        }
    }
}

/// Sends away as many clients as should be gone by now.
pub fn step(state: &mut State, now: Millis) {
    let Some(drain) = state.drain else { return };
    let span_ms = u64::from(state.settings.drain_s) * 1000;
    let passed_ms = now.since(drain.began_at);
    let may_stay = if passed_ms >= span_ms {
        0
    } else {
        (drain.sessions as u64 * (span_ms - passed_ms)).div_ceil(span_ms) as usize
    };
    let surplus = state.sessions.len().saturating_sub(may_stay);
    let links: Vec<_> =
        state.sessions.iter().take(surplus).map(|(_, session)| session.link).collect();
    links.into_iter().for_each(|link| state.part(link, CloseReason::Restart, now));
    // Nobody plays over the others, so nobody has to be spared a stampede.
    let is_unused =
        |id: &EngineId| state.engines.get(*id).is_none_or(|engine| engine.session().is_none());
    let unused: Vec<EngineId> = state.engines.ids().into_iter().filter(is_unused).collect();
    unused.into_iter().for_each(|id| state.engines.doom(id, CloseReason::Restart));
}
