//! The deadlines of Engine.IO sessions: pings, joins, attachments, abandoned upgrades, polls that
//! take too little, and clients that stop polling.

use super::super::backlog::Bounds;
use super::super::end;
use super::super::endings::Ended;
use super::super::fault::{self, FaultPoint};
use super::super::ids::EioId;
use super::super::state::State;
use super::super::{panics, send};
use super::payloads::packet;
use super::session::{Polling, Transport};
use super::transport::{end as end_session, noop};
use crate::close::CloseReason;
use crate::outbox::Lane;
use crate::time::{Millis, TICK_MS};

/// Handles the deadlines of all sessions: pings, timeouts and abandoned upgrades. Called on each
/// tick.
pub fn run(state: &mut State, now: Millis) {
    // A ping is sent on the last tick that is not after its time.
    let ahead = now.after(TICK_MS - 1);
    for id in state.eio_sessions.due(&state.policy.limits, ahead) {
        if panics::caught(state, |state| check(state, id, ahead, now)).is_none() {
            state.endings.push(Ended::Eio(id), CloseReason::Fault);
        }
    }
    state.eio_sessions.forget_last_payloads(state.served_until);
}

/// Handles the deadlines of a session.
fn check(state: &mut State, id: EioId, ahead: Millis, now: Millis) {
    if end_if_overdue(state, id, now) {
        return;
    }
    let Some(eio) = state.eio_sessions.get_mut(id) else { return };
    fault::point(state.fault_hook, FaultPoint::Heartbeat(eio.client));
    if eio.ping_at <= ahead {
        eio.pong_by = eio.ping_at.max(now).after(state.settings.ping_timeout_ms);
        (eio.ping_at, eio.pinged_at) = (Millis::NEVER, now);
        send::packet(state, id, packet(b"2"), Lane::Control, now);
    }
    let Some(polling) = state.eio_sessions.get_mut(id).and_then(|e| e.polling()) else {
        return;
    };
    let late = polling.probe.filter(|probe| probe.until <= state.served_until);
    let is_noop_due = polling.noop_at <= now;
    if let Some(probe) = late {
        let last = Some(end::empty_close_frame());
        end::connection(state, probe.link, CloseReason::Protocol, last, now);
    }
    if is_noop_due {
        noop(state, id, now);
    }
}

/// Ends a session whose pong, join, attachments or next poll are late, or whose polls take too
/// little. Returns whether it did.
pub fn end_if_overdue(state: &mut State, id: EioId, now: Millis) -> bool {
    match overdue(state, id, now) {
        Some(reason) => {
            end_session(state, id, reason, now);
            true
        }
        None => false,
    }
}

fn overdue(state: &mut State, id: EioId, now: Millis) -> Option<CloseReason> {
    let served_until = state.served_until;
    let eio = state.eio_sessions.get_mut(id)?;
    if eio.socketio.as_ref().is_some_and(|it| it.connect_by.min(it.complete_by) <= served_until) {
        return Some(CloseReason::Policy);
    }
    let bounds = Bounds::polling(&state.policy.limits, eio.session().is_some());
    // A poll that is held may wait for its turn.
    let has_polled = eio.polling().is_some_and(|polling| polling.poll.is_some());
    if !has_polled && eio.backlog.end_at(&bounds) <= served_until {
        return Some(CloseReason::Slow);
    }
    let is_absent = eio.polling().is_some_and(|polling| polling.absent_at <= served_until);
    if eio.pong_by > served_until && !is_absent {
        return None;
    }
    // Either the server does not read from it, or the ping is queued behind what it still reads. If
    // it reads nothing, it ends as slow.
    let is_busy = match eio.transport {
        Transport::WebSocket(link) => state
            .conns
            .get(link)
            .is_some_and(|conn| !conn.may_read(&state.policy.limits) || conn.backlog.is_stalled()),
        // During an upgrade the client stops polling.
        Transport::Polling(Polling { probe: Some(_), .. }) if is_absent => true,
        Transport::Polling(polling) => polling
            .answered
            .and_then(|poll| state.conns.get(poll))
            .is_some_and(|conn| conn.is_answering(id)),
    };
    if !is_busy {
        let is_silent = eio.pong_by <= served_until;
        return Some(if is_silent { CloseReason::PingTimeout } else { CloseReason::PollAbsence });
    }
    if eio.pong_by <= served_until {
        eio.pong_by = now.after(state.settings.ping_timeout_ms);
    }
    if let Some(polling) = eio.polling().filter(|_| is_absent) {
        polling.absent_at = now.after(state.settings.poll_absence_ms);
    }
    None
}
