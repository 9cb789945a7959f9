//! WebSockets, whatever runs over them: the upgrade, control frames, and protocol violations.

use std::net::IpAddr;

use tracing::{debug, warn};

use super::conn::{Conn, Stage};
use super::end;
use super::endings::Ended;
use super::ids::{ConnId, Owner};
use super::log::{self, Warning};
use super::session::{RateVerdict, Session};
use super::state::State;
use super::{memory, send};
use crate::close::CloseReason;
use crate::game::Body;
use crate::http::{Request, Response};
use crate::metrics::{Drop, RttSource};
use crate::outbox::{Encoded, Lane};
use crate::time::Millis;
use crate::ws::deflate::{self, Agreement};
use crate::ws::handshake::Offer;
use crate::ws::{self, Data, Message, Payload, Violation};

/// The close code of a client that could not take a message (RFC 6455, section 7.4.1).
const TOO_BIG: u16 = 1009;

/// The close reason of a client that keeps the history of what it compresses.
const KEEPS_HISTORY: &str =
    "client_no_context_takeover was agreed: no message may refer to an earlier one.";

/// What a handshake offers.
#[must_use]
pub fn offer<'a>(request: &'a Request<'a>) -> Offer<'a> {
    Offer {
        key: request.value("Sec-WebSocket-Key"),
        version: request.value("Sec-WebSocket-Version"),
        is_http_11: request.is_http_11,
    }
}

/// What an accepted handshake makes of a connection.
#[derive(Debug)]
pub struct Upgrade<'a> {
    /// To which address it belongs, even behind a proxy.
    pub client: IpAddr,
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: &'a str,
    /// The subprotocol that is selected.
    pub subprotocol: Option<&'a str>,
    /// The maximum size of a message, in bytes.
    pub message_bytes_max: usize,
}

/// Answers 101. From here on the connection is a WebSocket.
pub fn upgrade(state: &mut State, id: ConnId, request: &Request, upgrade: &Upgrade, now: Millis) {
    let &Upgrade { client, accept, subprotocol, message_bytes_max } = upgrade;
    // The deltas of a subprotocol are small, and each client has its own.
    let deflate = agree_on_deflate(state, request).filter(|_| subprotocol.is_none());
    let Some(conn) = state.conns.get_mut(id) else { return };
    conn.upgrade(message_bytes_max, deflate);
    let has_place = conn.class.has_place();
    let peer = std::mem::replace(&mut conn.peer, client);
    if peer != client {
        memory::count_for(state, id, client, now);
        state.admission.move_connection(id, peer, client, has_place, now);
    }
    let mut response = Response::empty(101)
        .with("Upgrade", "websocket")
        .with("Connection", "Upgrade")
        .with("Sec-WebSocket-Accept", accept.to_owned());
    if let Some(subprotocol) = subprotocol {
        response = response.with("Sec-WebSocket-Protocol", subprotocol.to_owned());
    }
    if let Some(deflate) = deflate {
        response = response.with("Sec-WebSocket-Extensions", deflate.answer());
    }
    let (head, _) = response.into_bytes(true, false);
    send::head(state, id, Encoded::from(head), now);
    state.conns.wake(id);
}

/// How messages are compressed, if the client offers a way that the server takes.
fn agree_on_deflate(state: &State, request: &Request) -> Option<Agreement> {
    if state.settings.no_deflate {
        return None;
    }
    let offers: Vec<&str> = request.list("Sec-WebSocket-Extensions").collect();
    deflate::agree(&offers, state.policy.window_bits_min)
}

/// Decompresses a message that is compressed. `None` if it is invalid or over the rate of its
/// player: the excess over its decompressed size counts, too.
pub fn decompress<'b>(
    state: &mut State,
    id: ConnId,
    message: Message<'b>,
    now: Millis,
) -> Option<Message<'b>> {
    let Message::Compressed(payload, kind) = message else { return Some(message) };
    let bytes_max = state.conns.get(id)?.message_bytes_max();
    let inflated = state.inflater.message(payload.bytes(), bytes_max);
    let inflated_bytes = inflated.as_ref().map_or(0, Vec::len);
    let excess_bytes = payload.bytes().len().saturating_sub(inflated_bytes);
    match inflated.and_then(|bytes| Message::whole(kind, Payload::Owned(bytes))) {
        Ok(message) => admit_excess(state, id, excess_bytes, now).then_some(message),
        Err(violation) => {
            end_invalid(state, id, violation, now);
            None
        }
    }
}

/// Counts the bytes by which a compressed message is larger than its content. Returns whether the
/// rate of the player, if there is one, allows them.
fn admit_excess(state: &mut State, id: ConnId, bytes: usize, now: Millis) -> bool {
    let Some(session) = send::session_over(state, id).filter(|_| bytes > 0) else { return true };
    let Some(session) = state.sessions.get_mut(session) else { return true };
    let link = session.link;
    let verdict = session.admit_bytes(&state.policy.limits.input, bytes, now);
    if verdict == RateVerdict::Take {
        return true;
    }
    state.metrics.count_drop(Drop::Rate);
    if verdict == RateVerdict::Close {
        end::link(state, link, CloseReason::TooFast, now);
    }
    false
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
        // Decompressed before.
        Message::Compressed(..) => {}
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
                let pinged_at = std::mem::replace(&mut websocket.pinged_at, Millis::NEVER);
                if pinged_at != Millis::NEVER {
                    state.metrics.record_rtt(RttSource::WebSocketPing, now.since(pinged_at));
                }
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
            // The official Socket.IO client closes like this when it has missed pings. To leave, it
            // disconnects first, and a browser that closes the page sends a code.
            let is_eio = matches!(state.conns.get(id).and_then(Conn::owner), Some(Owner::Eio(_)));
            let reason = match code {
                None if is_eio => CloseReason::PeerClosed,
                _ => CloseReason::ClientClosed,
            };
            end::connection(state, id, reason, Some(answer), now);
        }
    }
    None
}

/// The player over a plain WebSocket, for the log.
fn player(state: &State, id: ConnId) -> Option<(&Session, &Body)> {
    let Some(Owner::Session(session)) = state.conns.get(id)?.owner() else { return None };
    let session = state.sessions.get(session)?;
    let world = &state.rooms.get(session.room)?.world;
    Some((session, &world.bodies()[world.find(session.view.player())?]))
}

fn name(body: &Body) -> String {
    log::text(body.name.as_deref().unwrap_or_default().as_bytes())
}

/// Logs now and then that a client refers to earlier messages although it has agreed not to.
fn log_keeps_history(state: &mut State, id: ConnId, now: Millis) {
    if state.warnings.may_log(Warning::KeepsHistory, now) {
        let peer = state.conns.get(id).map(|conn| conn.peer);
        let player = player(state, id);
        let name = player.map(|(_, body)| name(body)).unwrap_or_default();
        let player = player.map(|(_, body)| body.id.0);
        let what = "a client ignores client_no_context_takeover: it must not compress, or not \
                    refer to earlier messages (docs/clients.md)";
        warn!(player, name, ?peer, "{what}");
    }
}

/// Logs now and then that the player over a plain WebSocket could not take a message. Only states
/// are large.
fn log_too_big(state: &mut State, id: ConnId, now: Millis) {
    if player(state, id).is_some() && state.warnings.may_log(Warning::TooBig, now) {
        let Some((session, body)) = player(state, id) else { return };
        let Some(room) = state.rooms.get(session.room) else { return };
        let (player, name, peer) = (body.id.0, name(body), session.peer);
        let state_bytes = session.view.state_bytes(&room.world);
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
        websocket.pinged_at = now;
    }
    state.conns.wake(id);
}

/// Ends a connection whose peer violated RFC 6455.
pub fn end_invalid(state: &mut State, id: ConnId, violation: Violation, now: Millis) {
    let reason = match violation {
        Violation::Protocol(_) | Violation::KeepsHistory => CloseReason::Protocol,
        Violation::BadText => CloseReason::BadText,
        Violation::TooBig => CloseReason::TooBig,
        Violation::TooManyFragments => CloseReason::Policy,
    };
    debug!(?violation, "WebSocket violation");
    let owner = state.conns.get(id).and_then(Conn::owner);
    let is_eio = matches!(owner, Some(Owner::Eio(_)));
    let last = match violation {
        Violation::KeepsHistory => {
            log_keeps_history(state, id, now);
            Some(end::close_frame(1002, KEEPS_HISTORY))
        }
        _ => (is_eio && reason.engineio_code().is_none()).then(end::empty_close_frame),
    };
    end::connection(state, id, reason, last, now);
}
