//! WebSockets, whatever runs over them: the upgrade, control frames, and protocol violations.

use std::net::IpAddr;

use tracing::{debug, warn};

use super::conn::{Conn, Stage};
use super::end;
use super::endings::Ended;
use super::ids::{ConnId, Owner};
use super::log::{self, Warning};
use super::state::State;
use super::{memory, send};
use crate::close::CloseReason;
use crate::http::{Request, Response};
use crate::outbox::{Encoded, Lane};
use crate::time::Millis;
use crate::ws::handshake::Offer;
use crate::ws::{self, Data, Message, Violation};

/// The close code of a client that could not take a message (RFC 6455, section 7.4.1).
const TOO_BIG: u16 = 1009;

/// What a handshake offers.
#[must_use]
pub fn offer<'a>(request: &'a Request<'a>) -> Offer<'a> {
    Offer {
        key: request.value("Sec-WebSocket-Key"),
        version: request.value("Sec-WebSocket-Version"),
        is_http_11: request.is_http_11,
    }
}

/// Answers 101, with the subprotocol `selected`. From here on the connection is a WebSocket with
/// messages of at most `message_bytes_max` bytes, and belongs to `client`, even behind a proxy.
pub fn upgrade(
    state: &mut State,
    id: ConnId,
    client: IpAddr,
    accept: &str,
    selected: Option<&str>,
    message_bytes_max: usize,
    now: Millis,
) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    conn.upgrade(message_bytes_max);
    let peer = std::mem::replace(&mut conn.peer, client);
    if peer != client {
        memory::count_for(state, id, client, now);
        state.admission.move_connection(id, peer, client, now);
    }
    let mut response = Response::empty(101)
        .with("Upgrade", "websocket")
        .with("Connection", "Upgrade")
        .with("Sec-WebSocket-Accept", accept.to_owned());
    if let Some(selected) = selected {
        response = response.with("Sec-WebSocket-Protocol", selected.to_owned());
    }
    let (head, _) = response.into_bytes(true, false);
    send::head(state, id, Encoded::from(head), now);
    state.conns.wake(id);
}

/// Handles control frames. Returns the data of a message for the application.
pub fn receive<'b>(
    state: &mut State,
    id: ConnId,
    message: &'b Message,
    now: Millis,
) -> Option<Data<'b>> {
    state.metrics.frames_in += 1;
    match message {
        Message::Text(text) => return Some(Data { bytes: text.bytes(), is_text: true }),
        Message::Binary(payload) => return Some(Data { bytes: payload.bytes(), is_text: false }),
        Message::Ping(bytes) => {
            if admit_control(state, id, now) {
                let pong = Encoded::from(ws::frame::whole(ws::frame::PONG, bytes));
                match state.policy.limits.pong_to_each {
                    true => send::frame(state, id, pong, Lane::Control, now),
                    false => send::pong(state, id, pong, now),
                }
            }
        }
        Message::Pong(_) => {
            if admit_control(state, id, now)
                && let Some(conn) = state.conns.get_mut(id)
                && let Stage::WebSocket(websocket) = &mut conn.stage
            {
                websocket.is_pinged = false;
                // The next ping is due before the peer would have been silent for too long.
                state.conns.wake(id);
            }
        }
        Message::Close(code) => {
            if matches!(code, Some((TOO_BIG, _))) {
                log_too_big(state, id, now);
            }
            // The answer has the same code, or none if there was none (RFC 6455, 5.5.1).
            let answer = match code {
                Some((code, _)) => end::close_frame(*code, ""),
                None => end::empty_close_frame(),
            };
            end::connection(state, id, CloseReason::ClientClosed, Some(answer), now);
        }
    }
    None
}

/// Logs now and then that the player over a plain WebSocket could not take a message. Only states
/// are large.
fn log_too_big(state: &mut State, id: ConnId, now: Millis) {
    let State { conns, sessions, rooms, warnings, .. } = state;
    let Some(Owner::Session(session)) = conns.get(id).and_then(Conn::owner) else { return };
    let Some(session) = sessions.get(session) else { return };
    let Some(room) = rooms.get(session.room) else { return };
    if warnings.may_log(Warning::TooBig, now) {
        let (world, player, peer) = (&room.world, session.view.player(), session.peer);
        let name = world.find(player).and_then(|at| world.bodies()[at].name.as_deref());
        let name = log::text(name.unwrap_or_default().as_bytes());
        let (player, state_bytes) = (player.0, session.view.state_bytes(world));
        let what = "a client closed with 1009: raise its message limit (docs/clients.md)";
        warn!(player, %name, %peer, state_bytes, "{what}");
    }
}

/// Counts a control frame against its rate. Control frames are never dropped; a peer that sends too
/// many for too long is ended.
fn admit_control(state: &mut State, id: ConnId, now: Millis) -> bool {
    let rates = state.policy.limits.input;
    let Some(conn) = state.conns.get_mut(id) else { return false };
    let Stage::WebSocket(websocket) = &mut conn.stage else { return false };
    let owner = websocket.owner;
    let is_within = websocket.allows_control(rates.control(), now);
    match owner {
        _ if is_within => {}
        Some(Owner::Eio(eio)) => state.endings.push(Ended::Eio(eio), CloseReason::TooFast),
        _ => end::connection(state, id, CloseReason::TooFast, None, now),
    }
    is_within
}

/// Sends a ping.
pub fn ping(state: &mut State, id: ConnId, now: Millis) {
    let frame = Encoded::from(ws::frame::whole(ws::frame::PING, &[]));
    send::frame(state, id, frame, Lane::Control, now);
    if let Some(conn) = state.conns.get_mut(id)
        && let Stage::WebSocket(websocket) = &mut conn.stage
    {
        websocket.is_pinged = true;
    }
    state.conns.wake(id);
}

/// Ends a connection whose peer violated RFC 6455.
pub fn end_invalid(state: &mut State, id: ConnId, violation: Violation, now: Millis) {
    let reason = match violation {
        Violation::Protocol(_) => CloseReason::Protocol,
        Violation::BadText => CloseReason::BadText,
        Violation::TooBig => CloseReason::TooBig,
        Violation::TooManyFragments => CloseReason::Policy,
    };
    debug!(?violation, "WebSocket violation");
    let owner = state.conns.get(id).and_then(Conn::owner);
    let is_eio = matches!(owner, Some(Owner::Eio(_)));
    let last = (is_eio && reason.engineio_code().is_none()).then(end::empty_close_frame);
    end::connection(state, id, reason, last, now);
}
