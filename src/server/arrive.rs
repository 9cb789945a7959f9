//! Bytes become requests, commands and answers.
//!
//! A verb: called for each thing that a connection brings.

use std::net::IpAddr;

use tracing::{debug, warn};

use super::call::Event;
use super::conn::{Admission, Fault, Stage, close_frame, empty_close};
use super::ids::{ConnId, EngineId, Link, Owner, SessionId};
use super::route::{self, Route, Wish};
use super::session::Verdict;
use super::state::State;
use super::{log, pages};
use crate::close::CloseReason;
use crate::codec::Malformed;
use crate::game::Command;
use crate::http::response::Response;
use crate::http::{Assets, Method, Request};
use crate::limits::WARNINGS_A_PEER;
use crate::metrics::{Drop, Refusal};
use crate::outbox::{Encoded, Lane};
use crate::time::Millis;
use crate::wire::events::{self, Failure};
use crate::wire::json::{self, Input};
use crate::ws::handshake;
use crate::ws::{self, Message, Violation};

const NO_SOCKETIO_CLIENT: &str = "The official client of Socket.IO is not part of this server; \
    start it with --socketio-client FILE, such as socket.io.min.js.";

/// Answers an HTTP request. One that asks for a WebSocket and may have it is answered by whoever
/// gets the [`Wish`].
pub fn request(
    state: &mut State,
    assets: &Assets,
    id: ConnId,
    request: &Request,
    now: Millis,
) -> Option<Wish> {
    state.metrics.requests += 1;
    let (peer, admission) = state.conns.get(id).map(|conn| (conn.peer, conn.admission))?;
    let mut reply = state.reply_to(id, request)?;
    let response = match judge(state, assets, (peer, admission), request, now) {
        Ok(Admitted { accept, client, wish }) => {
            state.upgrade(id, client, &accept, state.limits.message_bytes_max, now);
            return Some(wish);
        }
        Err(response) => response,
    };
    debug!(path = %log::text(request.path.as_bytes()), status = response.status, "request");
    // A request that asked to upgrade and was refused may have frames behind it.
    let is_upgrade_refused = request.has("Upgrade") && response.status >= 400;
    reply.keeps_alive &= !request.has_body() && !is_upgrade_refused;
    state.conns.reply(id, response, reply, now);
    None
}

/// A request that may have its WebSocket.
struct Admitted {
    /// The value of `Sec-WebSocket-Accept`.
    accept: String,
    /// The client's address, which is not the peer's if that is a trusted proxy.
    client: IpAddr,
    wish: Wish,
}

fn judge(
    state: &mut State,
    assets: &Assets,
    (peer, admission): (IpAddr, Admission),
    request: &Request,
    now: Millis,
) -> Result<Admitted, Response> {
    let is_echo = state.settings.echo;
    let is_admin = admission == Admission::Admin;
    if !is_echo && !state.gate.names.passes_host(request) {
        state.metrics.count_refusal(Refusal::Host);
        return Err(pages::another_name());
    }
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(Response::sentence(405, "Only GET and HEAD are allowed here.")
            .with("Allow", "GET, HEAD"));
    }
    if request.has_body() {
        return Err(Response::sentence(400, "A request to this server has no body."));
    }
    let route = match is_admin {
        true => route::find_admin(request),
        false => route::find(request, assets, is_echo),
    };
    match route {
        Route::File(path) => assets
            .answer(path, request)
            .ok_or_else(|| Response::sentence(404, "There is no such page."))
            .and_then(Err),
        Route::Health if state.drain.is_some() => Err(pages::unavailable(pages::GOING_AWAY)),
        Route::Health => Err(Response::sentence(200, "ok")),
        Route::Rooms => Err(pages::rooms(&state.rooms, state.settings.room_capacity())),
        Route::Metrics if !is_admin && !state.gate.names.is_local(peer, request) => Err(
            Response::sentence(403, "The metrics are for this machine only; see --admin-listen."),
        ),
        Route::Metrics => Err(pages::metrics(state)),
        Route::NoSocketIoClient => Err(Response::sentence(404, NO_SOCKETIO_CLIENT)),
        Route::Nothing => Err(Response::sentence(404, "There is no such page.")),
        Route::NeedsUpgrade => Err(Response::sentence(426, "This address speaks WebSocket only.")
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")),
        Route::WebSocket if !is_echo && !state.gate.names.passes_origin(peer, request) => {
            state.note_refused_origin(peer, request, now);
            Err(Response::sentence(
                403,
                "Pages of that origin may not connect; see --allow-origin.",
            ))
        }
        Route::WebSocket if state.drain.is_some() => {
            state.metrics.count_refusal(Refusal::Draining);
            Err(pages::unavailable(pages::GOING_AWAY))
        }
        Route::WebSocket => {
            let accept = handshake::accept(&route::offer(request)).map_err(refuse_handshake)?;
            let client = state.gate.names.client(peer, request);
            if is_echo {
                return Ok(Admitted { accept, client, wish: Wish::default() });
            }
            let wish =
                route::wish(request).map_err(|sentence| Response::sentence(400, &sentence))?;
            let is_exempt = state.gate.exempts(client, request);
            if let Err(refusal) = state.gate.join_begins(client, is_exempt, true, now) {
                state.metrics.count_refusal(refusal);
                return Err(pages::unavailable(pages::TOO_MANY_JOINS));
            }
            Ok(Admitted { accept, client, wish })
        }
    }
}

fn refuse_handshake(refusal: handshake::Refusal) -> Response {
    match refusal {
        handshake::Refusal::Bad(sentence) => Response::sentence(400, sentence),
        handshake::Refusal::Version => {
            Response::sentence(426, "This server speaks version 13 of WebSocket.")
                .with("Sec-WebSocket-Version", "13")
                .with("Upgrade", "websocket")
                .with("Connection", "Upgrade")
        }
    }
}

/// Ends a connection whose peer broke its protocol.
pub fn fault(state: &mut State, id: ConnId, fault: Fault, now: Millis) {
    match fault {
        Fault::Http { bad, is_head } => {
            state.metrics.requests += 1;
            debug!(status = bad.status, bad.sentence, "bad request");
            let response = Response::sentence(bad.status, bad.sentence);
            state.conns.refuse(id, response, is_head, now);
        }
        Fault::WebSocket(violation) => {
            let reason = match violation {
                Violation::Protocol(_) => CloseReason::Protocol,
                Violation::BadText => CloseReason::BadText,
                Violation::TooBig => CloseReason::TooBig,
                Violation::TooManyFragments => CloseReason::Policy,
            };
            debug!(?violation, "WebSocket rule broken");
            let owner = state.conns.get(id).and_then(|conn| conn.owner());
            let is_engine = matches!(owner, Some(Owner::Engine(_)));
            let last = (is_engine && reason.engineio_code().is_none()).then(empty_close);
            state.conns.close(id, reason, last, now);
        }
    }
}

/// A WebSocket message that concerns the transport alone is dealt with here; one for the
/// application is handed back.
pub fn transport<'b>(
    state: &mut State,
    id: ConnId,
    message: Message<'b>,
    now: Millis,
) -> Option<ws::Payload<'b>> {
    state.metrics.frames_in += 1;
    match message {
        Message::Text(payload) | Message::Binary(payload) => return Some(payload),
        Message::Ping(bytes) => {
            if is_control_admitted(state, id, now) {
                let pong = Encoded::from(ws::frame::whole(ws::frame::PONG, bytes));
                if state.limits.pong_to_each {
                    state.conns.push(id, pong, Lane::Control, &state.limits, now);
                } else {
                    state.conns.push_pong(id, pong);
                }
            }
        }
        Message::Pong(_) => {
            if is_control_admitted(state, id, now)
                && let Some(conn) = state.conns.get_mut(id)
                && let Stage::WebSocket(websocket) = &mut conn.stage
            {
                websocket.is_pinged = false;
            }
        }
        Message::Close(code) => {
            // The answer bears the same code, and no code if there was none (RFC 6455, 5.5.1).
            let answer = match code {
                Some((code, _)) => close_frame(code, ""),
                None => empty_close(),
            };
            state.conns.close(id, CloseReason::ClientClosed, Some(answer), now);
        }
    }
    None
}

/// Counts a control frame against its rate. They are never dropped; a peer that goes on sending too
/// many is closed.
fn is_control_admitted(state: &mut State, id: ConnId, now: Millis) -> bool {
    let rates = state.limits.input;
    let Some(conn) = state.conns.get_mut(id) else { return false };
    let Stage::WebSocket(websocket) = &mut conn.stage else { return false };
    let owner = websocket.owner;
    let is_within = websocket.control.allows(rates.control(), 1, now);
    match owner {
        _ if is_within => {}
        Some(Owner::Engine(engine)) => state.engines.doom(engine, CloseReason::TooFast),
        _ => state.conns.close(id, CloseReason::TooFast, None, now),
    }
    is_within
}

/// A message of a player in the JSON dialect.
pub fn input(state: &mut State, id: SessionId, payload: &[u8], now: Millis) {
    let Some(session) = state.sessions.get_mut(id) else { return };
    let Link::Conn(link) = session.link else { return };
    match session.admit(&state.limits.input, payload.len(), now) {
        Verdict::Take => {}
        Verdict::Drop => return state.metrics.count_drop(Drop::Rate),
        Verdict::Close => {
            state.metrics.count_drop(Drop::Rate);
            return state.conns.close(link, CloseReason::TooFast, None, now);
        }
    }
    let malformed = match json::decode(payload) {
        Ok(input) => {
            let Some(room) = state.rooms.get_mut(session.room) else { return };
            match input {
                Input::Command(command) => {
                    session.acted_at = now;
                    // Whoever is denied something sees it in the next state: this dialect has no
                    // other answer.
                    let _ = room.world.apply(session.player, command, &mut room.events);
                    state.rooms.mark_eventful(session.room);
                }
                Input::Rate(hz) => session.hz = hz,
                Input::Ping(t) => {
                    let pong = json::pong(&t, &room.world);
                    state.conns.push(link, pong, Lane::Fact, &state.limits, now);
                }
            }
            return;
        }
        Err(malformed) => malformed,
    };
    state.metrics.count_drop(match malformed {
        Malformed::InvalidJson => Drop::InvalidJson,
        Malformed::Unknown => Drop::Unknown,
    });
    let player = session.player.0;
    let verdict = session.admit_malformed(&state.limits.input, now);
    if malformed == Malformed::InvalidJson
        && let Some(conn) = state.conns.get_mut(link)
        && conn.warnings < WARNINGS_A_PEER
    {
        conn.warnings += 1;
        warn!(player, text = %log::text(payload), "a message is no JSON");
    }
    if verdict == Verdict::Close {
        state.conns.close(link, CloseReason::TooFast, None, now);
    }
}

/// An event of a player who speaks Socket.IO. Whoever asks for an answer gets one.
pub fn event(state: &mut State, link: EngineId, event: &Event, now: Millis) {
    let session = state.engines.get(link).and_then(|engine| engine.session());
    let Some(session) = session.and_then(|id| state.sessions.get_mut(id)) else { return };
    let verdict = session.admit(&state.limits.input, event.bytes, now);
    if verdict != Verdict::Take {
        state.metrics.count_drop(Drop::Rate);
    }
    let input = match verdict {
        Verdict::Take if !event.attachments.is_empty() => Err(Failure::Binary),
        Verdict::Take => events::decode(event.name.as_deref().unwrap_or_default(), &event.args),
        Verdict::Drop => Err(Failure::Rate),
        Verdict::Close => return state.engines.doom(link, CloseReason::TooFast),
    };
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    let mut shown = None;
    let outcome = input.and_then(|input| {
        match input {
            events::Input::Command(command) => {
                session.acted_at = now;
                room.world.apply(session.player, command, &mut room.events)?;
                if command != Command::Attack {
                    shown = room.world.player(session.player);
                }
            }
            events::Input::Rate(hz) => session.hz = hz,
            events::Input::Ping => {}
        }
        Ok(())
    });
    let answer = event.id.map(|id| events::answer(id, outcome.map(|()| shown)));
    let is_malformed =
        matches!(outcome, Err(Failure::Binary | Failure::BadPosition | Failure::UnknownEvent));
    let verdict = match is_malformed {
        true => session.admit_malformed(&state.limits.input, now),
        false => Verdict::Take,
    };
    state.rooms.mark_eventful(session.room);
    if is_malformed {
        state.metrics.count_drop(Drop::Unknown);
    }
    if let Some(answer) = answer {
        state.send_packet(link, answer, Lane::Fact, now);
    }
    if verdict == Verdict::Close {
        state.engines.doom(link, CloseReason::TooFast);
    }
}
