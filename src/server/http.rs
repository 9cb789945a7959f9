//! HTTP requests: files, health, rooms, metrics, and the handshake of plain WebSockets. Also how
//! every HTTP response is sent, those of Engine.IO included.

use std::net::IpAddr;
use std::rc::Rc;

use tracing::{debug, warn};

use super::conn::{Class, Exchange, Http, Reply, Stage};
use super::end;
use super::endings::Ended;
use super::ids::{ConnId, Owner};
use super::join_request::JoinRequest;
use super::routes::{self, Route};
use super::state::State;
use super::{log, send, status, websocket};
use crate::close::CloseReason;
use crate::http::request::BadRequest;
use crate::http::response::Response;
use crate::http::{Assets, Method, Request};
use crate::limits::ORIGIN_WARNING_MS;
use crate::metrics::Refusal;
use crate::outbox::Encoded;
use crate::time::Millis;
use crate::ws::handshake;

const NO_SOCKETIO_CLIENT: &str = "This server does not include the official Socket.IO client. \
    Start it with --socketio-client FILE, such as socket.io.min.js.";

/// Answers a request, except for Engine.IO. For an accepted WebSocket handshake it returns the
/// [`JoinRequest`].
pub fn request(
    state: &mut State,
    assets: &Assets,
    id: ConnId,
    request: &Request,
    now: Millis,
) -> Option<JoinRequest> {
    state.metrics.requests += 1;
    let (peer, class) = state.conns.get(id).map(|conn| (conn.peer, conn.class))?;
    let mut reply = reply_to(state, id, request)?;
    let response = match judge(state, assets, (peer, class), request, now) {
        Ok(Handshake { accept, client, join_request }) => {
            let message_bytes_max = state.limits.message_bytes_max;
            websocket::upgrade(state, id, client, &accept, message_bytes_max, now);
            return Some(join_request);
        }
        Err(response) => response,
    };
    debug!(path = %log::text(request.path.as_bytes()), status = response.status, "request");
    // Frames may follow a refused upgrade.
    let is_upgrade_refused = request.has("Upgrade") && response.status >= 400;
    reply.keeps_alive &= !request.has_body() && !is_upgrade_refused;
    respond(state, id, response, reply, now);
    None
}

/// An accepted WebSocket handshake.
struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    accept: String,
    /// The client's address: the peer's, unless the peer is a trusted proxy.
    client: IpAddr,
    join_request: JoinRequest,
}

fn judge(
    state: &mut State,
    assets: &Assets,
    (peer, class): (IpAddr, Class),
    request: &Request,
    now: Millis,
) -> Result<Handshake, Response> {
    let is_admin = class == Class::Admin;
    if state.policy.checks_host && !state.admission.trust.passes_host(request) {
        state.metrics.count_refusal(Refusal::Host);
        return Err(status::wrong_host());
    }
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(Response::sentence(405, "Only GET and HEAD are allowed here.")
            .with("Allow", "GET, HEAD"));
    }
    if request.has_body() {
        return Err(Response::sentence(400, "This request must not have a body."));
    }
    let route = match is_admin {
        true => routes::find_admin(request),
        false => routes::find(request, assets, state.policy),
    };
    match route {
        Route::File(path) => {
            Err(assets.answer(path, request).unwrap_or_else(|| Response::sentence(404, NOT_FOUND)))
        }
        Route::Health if state.drain.is_some() => Err(status::unavailable(status::RESTARTING)),
        Route::Health => Err(Response::sentence(200, "ok")),
        Route::Rooms => Err(status::rooms(&state.rooms, state.settings.room_capacity())),
        Route::Metrics if !is_admin && !state.admission.trust.is_local(peer, request) => {
            Err(Response::sentence(
                403,
                "Metrics are available on this machine only; see --admin-listen.",
            ))
        }
        Route::Metrics => Err(status::metrics(state)),
        Route::NoSocketIoClient => Err(Response::sentence(404, NO_SOCKETIO_CLIENT)),
        Route::NotFound => Err(Response::sentence(404, NOT_FOUND)),
        Route::NeedsUpgrade => Err(Response::sentence(426, "This path accepts WebSockets only.")
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")),
        Route::WebSocket => judge_handshake(state, peer, request, now),
    }
}

const NOT_FOUND: &str = "Page not found.";

fn judge_handshake(
    state: &mut State,
    peer: IpAddr,
    request: &Request,
    now: Millis,
) -> Result<Handshake, Response> {
    if state.policy.checks_origin && !state.admission.trust.passes_origin(peer, request) {
        count_refused_origin(state, peer, request, now);
        let sentence = "This origin is not allowed to connect; see --allow-origin.";
        return Err(Response::sentence(403, sentence));
    }
    if state.drain.is_some() {
        state.metrics.count_refusal(Refusal::Draining);
        return Err(status::unavailable(status::RESTARTING));
    }
    let accept =
        handshake::accept(&websocket::offer(request)).map_err(|refusal| match refusal {
            handshake::Refusal::Bad(sentence) => Response::sentence(400, sentence),
            handshake::Refusal::Version => {
                Response::sentence(426, "This server supports WebSocket version 13.")
                    .with("Sec-WebSocket-Version", "13")
                    .with("Upgrade", "websocket")
                    .with("Connection", "Upgrade")
            }
        })?;
    let client = state.admission.trust.client(peer, request);
    if !state.policy.has_rooms {
        return Ok(Handshake { accept, client, join_request: JoinRequest::default() });
    }
    let join_request = JoinRequest::of(request, &state.games)
        .map_err(|sentence| Response::sentence(400, &sentence))?;
    let is_exempt = state.admission.exempts(client, request);
    if let Err(refusal) = state.admission.join_begins(client, is_exempt, true, now) {
        state.metrics.count_refusal(refusal);
        return Err(status::unavailable(status::TOO_MANY_JOINS));
    }
    Ok(Handshake { accept, client, join_request })
}

/// Answers an invalid request and ends the connection.
pub fn refuse_invalid(state: &mut State, id: ConnId, bad: &BadRequest, is_head: bool, now: Millis) {
    state.metrics.requests += 1;
    debug!(status = bad.status, bad.sentence, "invalid request");
    refuse(state, id, Response::sentence(bad.status, bad.sentence), is_head, now);
}

/// Counts a refused Origin, and logs it now and then.
pub fn count_refused_origin(state: &mut State, peer: IpAddr, request: &Request, now: Millis) {
    state.metrics.count_refusal(Refusal::Origin);
    if state.origin_warning_at <= now {
        state.origin_warning_at = now.after(ORIGIN_WARNING_MS);
        // A repeated field has no single value.
        let origin = log::text(request.value("Origin").unwrap_or_default().as_bytes());
        warn!(%origin, %peer, "refused a page of another origin; allow it with --allow-origin");
    }
}

/// How to respond to a request. Pages of an origin may read the response if they may connect.
pub fn reply_to(state: &State, id: ConnId, request: &Request) -> Option<Reply> {
    let conn = state.conns.get(id)?;
    let trust = &state.admission.trust;
    let may_read = conn.class != Class::Admin
        && trust.passes_host(request)
        && trust.passes_origin(conn.peer, request);
    let cors = match request.value("Origin") {
        Some(_) if !state.policy.checks_origin => Some(Rc::from("*")),
        Some(origin) if may_read => Some(Rc::from(origin)),
        _ => None,
    };
    let may_stay = state.drain.is_none() && conn.class != Class::OverLimit;
    let keeps_alive = request.keeps_alive() && may_stay;
    Some(Reply { keeps_alive, is_head: request.method == Method::Head, cors })
}

/// Responds to the request in progress.
pub fn answer(state: &mut State, id: ConnId, response: Response, now: Millis) {
    if let Some(Stage::Http(http)) = state.conns.get(id).map(|conn| &conn.stage) {
        let reply = http.reply.clone();
        respond(state, id, response, reply, now);
    }
}

/// Responds to a request that is invalid or incomplete, and ends the connection.
pub fn refuse(state: &mut State, id: ConnId, response: Response, is_head: bool, now: Millis) {
    if let Some(Stage::Http(http)) = state.conns.get(id).map(|conn| &conn.stage) {
        let cors = http.reply.cors.clone();
        respond(state, id, response, Reply { keeps_alive: false, is_head, cors }, now);
    }
}

/// Responds to a request. Unless `reply` keeps the connection alive, it ends after the response.
pub fn respond(state: &mut State, id: ConnId, mut response: Response, reply: Reply, now: Millis) {
    if let Some(origin) = reply.cors {
        response = match &*origin {
            "*" => response.with("Access-Control-Allow-Origin", "*"),
            one => response
                .with("Access-Control-Allow-Origin", one.to_owned())
                .with("Access-Control-Allow-Credentials", "true")
                .with("Vary", "Origin"),
        };
    }
    let reason = match response.status {
        408 => CloseReason::HttpTimeout,
        413 => CloseReason::TooBig,
        400.. => CloseReason::HttpRefused,
        _ => CloseReason::HttpDone,
    };
    let (head, body) = response.into_bytes(reply.keeps_alive, reply.is_head);
    send::response(state, id, head, body.map(Encoded::from), now);
    let Some(conn) = state.conns.get_mut(id) else { return };
    if let Stage::Http(http) = &mut conn.stage {
        let exchange = std::mem::replace(&mut http.exchange, Exchange::None);
        *http = Http::next(now);
        match exchange {
            Exchange::Held(eio) => http.exchange = Exchange::Answered(eio),
            // The body will never be complete.
            Exchange::Body(eio, _) => {
                state.endings.push(Ended::Conn(id, Owner::Eio(eio)), reason);
            }
            Exchange::None | Exchange::Answered(_) => {}
        }
    }
    if !reply.keeps_alive {
        end::connection(state, id, reason, None, now);
    }
}
