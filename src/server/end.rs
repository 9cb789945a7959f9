//! How connections end: the close frame or last response, and the time to read it. What the end of
//! a connection entails is queued in [`Endings`](super::endings::Endings).

use rand::RngExt;

use super::conn::{Conn, End, Exchange, Http, Lingering, Stage};
use super::endings::Ended;
use super::ids::{ConnId, Link, Owner};
use super::memory;
use super::state::State;
use crate::close::CloseReason;
use crate::limits::{LINGER_MS, RETRY_MIN_MS, RETRY_SPREAD_MS, STALL_MS};
use crate::outbox::Encoded;
use crate::time::Millis;
use crate::ws;

/// A close frame with a code and a reason (RFC 6455, 5.5.1).
#[must_use]
pub fn close_frame(code: u16, reason: &str) -> Encoded {
    Encoded::from(ws::frame::whole(ws::frame::CLOSE, &ws::close::payload(code, reason)))
}

/// A close frame without a code.
#[must_use]
pub fn empty_close_frame() -> Encoded {
    Encoded::from(ws::frame::whole(ws::frame::CLOSE, &[]))
}

/// The close code on a WebSocket; `None` if it gets no close frame, or one without a code.
fn close_code(conn: &Conn, reason: CloseReason) -> Option<u16> {
    match conn.owner() {
        Some(Owner::Eio(_)) => reason.engineio_code(),
        _ => reason.websocket_code(),
    }
}

/// When a client should reconnect, in milliseconds: random, so that clients that are disconnected
/// together do not reconnect together.
pub fn retry_ms(state: &mut State) -> u64 {
    RETRY_MIN_MS + state.rng.random_range(0..RETRY_SPREAD_MS)
}

/// Ends a connection: sends what is queued, then `last` or the close frame of `reason`, then
/// lingers. Does nothing if it is ending already.
pub fn connection(
    state: &mut State,
    id: ConnId,
    reason: CloseReason,
    last: Option<Encoded>,
    now: Millis,
) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    // A poll serves its session until the last byte of its response is written.
    let (answering, owner) = match &conn.stage {
        Stage::Http(Http { exchange: Exchange::Answered(eio), .. }) if !conn.outbox.is_empty() => {
            (Some(*eio), None)
        }
        _ => (None, conn.owner()),
    };
    let (last, extension_ms) = match &conn.stage {
        Stage::Lingering(_) | Stage::Closed(_) => return,
        // A slow reader gets no extension.
        Stage::Http(_) if reason == CloseReason::Slow => (last, 0),
        Stage::Http(_) => (last, STALL_MS),
        Stage::WebSocket(_) => {
            let of_reason = || Some(close_frame(close_code(conn, reason)?, reason.sentence()));
            (last.or_else(of_reason), 0)
        }
    };
    let has_frame = last.is_some();
    conn.outbox.finish(last);
    conn.take_spill();
    let has_more = !conn.outbox.is_empty();
    // A reader that stalls already gets only the rest of its time.
    let slow_at = conn.backlog.end_at(&conn.bounds(&state.policy.limits));
    let until = now.after(extension_ms).min(slow_at).max(now.after(LINGER_MS));
    let lingering = Lingering { reason, until, extension_ms, is_shut: false, answering };
    conn.stage = Stage::Lingering(lingering);
    if has_frame {
        state.conns.count_frames(1);
    }
    if let Some(owner) = owner {
        state.endings.push(Ended::Conn(id, owner), reason);
    }
    memory::conn_changed(state, id, now);
    state.conns.wake(id);
    let is_silent = reason == CloseReason::PingTimeout && !has_frame;
    if is_silent || reason == CloseReason::Memory {
        at_once(state, id, End::Reset);
    } else if has_more {
        state.conns.mark_response(id);
    } else {
        shut(state, id, now);
    }
}

/// Ends a WebSocket whose client may reconnect; the close frame contains when.
pub fn with_retry_hint(state: &mut State, id: ConnId, reason: CloseReason, now: Millis) {
    let hint = format!("{{\"retry_ms\":{}}}", retry_ms(state));
    let code = state.conns.get(id).and_then(|conn| close_code(conn, reason));
    let last = code.map(|code| close_frame(code, &hint));
    connection(state, id, reason, last, now);
}

/// Ends the transport of a client.
pub fn link(state: &mut State, link: Link, reason: CloseReason, now: Millis) {
    match link {
        Link::Conn(id) if reason == CloseReason::Restart => with_retry_hint(state, id, reason, now),
        Link::Conn(id) => connection(state, id, reason, None, now),
        Link::Eio(id) => state.endings.push(Ended::Eio(id), reason),
    }
}

/// Ends a connection after a fault of the server: with 1011, or at once if that was tried before.
pub fn after_fault(state: &mut State, id: ConnId, now: Millis) {
    match state.conns.get(id).map(|conn| &conn.stage) {
        Some(Stage::Lingering(_)) => at_once(state, id, End::Reset),
        _ => connection(state, id, CloseReason::Fault, None, now),
    }
}

/// Ends a connection whose peer sends nothing more and, if `is_broken`, reads nothing more. What is
/// queued is still written where possible.
pub fn peer_closed(state: &mut State, id: ConnId, is_broken: bool, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    conn.is_peer_closed = true;
    let is_done = is_broken || conn.outbox.is_empty();
    let reason = match conn.stage {
        Stage::Http(_) if !conn.has_spill() => CloseReason::HttpDone,
        _ => CloseReason::PeerClosed,
    };
    connection(state, id, reason, None, now);
    if is_done {
        at_once(state, id, End::Close);
    }
}

/// Closes a lingering connection whose time is over. Unread bytes are discarded, so that the kernel
/// keeps nothing for a peer that does not read; but if the kernel has everything and the peer was
/// never too slow, the kernel may deliver the rest.
pub fn linger_timeout(state: &mut State, id: ConnId) {
    let end = match state.conns.get(id).map(|conn| &conn.stage) {
        Some(Stage::Lingering(Lingering { is_shut: true, reason, .. }))
            if *reason != CloseReason::Slow =>
        {
            End::Close
        }
        _ => End::Reset,
    };
    at_once(state, id, end);
}

/// Closes a connection in this turn.
pub fn at_once(state: &mut State, id: ConnId, end: End) {
    let Some(conn) = state.conns.get(id) else { return };
    let (reason, owner) = match conn.stage {
        Stage::Lingering(Lingering { reason, answering, .. }) => {
            (reason, answering.map(Owner::Eio))
        }
        Stage::Closed(_) => return,
        Stage::Http(_) | Stage::WebSocket(_) => (CloseReason::PeerClosed, conn.owner()),
    };
    state.conns.set_closed(id, reason, end);
    if let Some(owner) = owner {
        state.endings.push(Ended::Conn(id, owner), CloseReason::PeerClosed);
    }
}

/// Shuts down our side of a lingering connection: everything is written. It closes when the peer
/// closes its side, or after [`LINGER_MS`].
pub fn shut(state: &mut State, id: ConnId, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    let is_peer_closed = conn.is_peer_closed;
    let Stage::Lingering(lingering) = &mut conn.stage else { return };
    lingering.answering = None;
    if is_peer_closed {
        return at_once(state, id, End::Close);
    }
    lingering.is_shut = true;
    lingering.until = now.after(LINGER_MS);
    conn.backlog.clear_stall();
    state.conns.shut(id);
}
