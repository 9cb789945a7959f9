//! Requests: the route of each, and what most routes answer: pages, health, rooms, metrics and the
//! handshake of plain WebSockets.

use std::net::IpAddr;

use tracing::debug;

use super::access::Source;
use super::conn::{Class, Reply, Upload};
use super::ids::{ConnId, EioId, Owner};
use super::join_request::JoinRequest;
use super::routes::{self, Conditions, Route};
use super::socketio::request as engineio;
use super::socketio::session::EioMessage;
use super::socketio::transport;
use super::state::State;
use super::websocket::Upgrade;
use super::{exchange, log, memory, operator, places, status, status_page, websocket};
use crate::http::response::Response;
use crate::http::{Assets, Method, Request};
use crate::metrics::Refusal;
use crate::time::Millis;
use crate::wire::Dialect;
use crate::ws::handshake;

const NO_SOCKETIO_CLIENT: &str = "This server does not include the official Socket.IO client. \
    Start it with --socketio-client FILE, such as socket.io.min.js.";

const NO_SUBPROTOCOL: &str = "This server has none of the requested WebSocket subprotocols; connect with skirmish.v1 or \
     without any.";

/// What a request means for the application.
#[derive(Debug)]
pub enum AppInput {
    /// A plain WebSocket is open; its client asks to join.
    Join(JoinRequest),
    /// An Engine.IO client sent messages.
    Messages(EioId, Vec<EioMessage>),
}

/// Handles a request: answers it, holds it, or awaits its body.
pub fn request(
    state: &mut State,
    assets: &Assets,
    id: ConnId,
    request: &Request,
    now: Millis,
) -> Option<AppInput> {
    state.metrics.requests += 1;
    let conn = state.conns.get(id)?;
    let (peer, kind, class) = (conn.peer, conn.listener_kind(), conn.class);
    let client = state.admission.trust.client(peer, request);
    memory::count_for(state, id, client, now);
    let mut reply = exchange::reply_to(state, id, request)?;
    let has_token = state.access.has_token();
    let conditions = Conditions { policy: state.policy, assets, has_token };
    let mut route = routes::find(request, kind, conditions);
    if matches!(route, Ok(Route::StatusPage | Route::StatusData)) {
        // Whatever --allow-origin says.
        reply.cors = None;
        if !kind.is_admin() && !state.admission.trust.is_confidential(peer, request) {
            route = Err(status_page::refuse_open());
        }
    }
    let is_refused = !kind.is_admin() && state.bans.refuse(client, &state.admission.trust, now);
    if is_refused && !matches!(route, Ok(Route::Health)) {
        state.metrics.count_refusal(Refusal::Banned);
        let reply = Reply { keeps_alive: false, ..reply };
        let sentence = "This address is banned.";
        exchange::respond(state, id, Response::sentence(403, sentence), reply, now);
        return None;
    }
    if !serves_host(state, request, &route) {
        exchange::count_refused_host(state, peer, request, now);
        route = Err(status::wrong_host());
    }
    let result = match route {
        Ok(Route::EngineIo(path)) => {
            if class == Class::OverLimit && places::claim(state, id, client, now) {
                reply = exchange::reply_to(state, id, request)?;
            }
            engineio::handle(state, id, request, path, reply, now);
            return None;
        }
        Ok(Route::Operator(action)) => {
            operator::request(state, id, request, action, reply, now);
            return None;
        }
        Ok(Route::WebSocket) => judge_handshake(state, peer, request, now),
        Ok(route) => {
            let source = Source { client: peer, kind };
            Err(read(state, assets, source, request, route, now))
        }
        Err(response) => Err(response),
    };
    match result {
        Ok(Handshake { accept, client, join_request }) => {
            places::claim(state, id, client, now);
            let message_bytes_max = state.policy.limits.message_bytes_max;
            let (accept, subprotocol) = (&accept[..], join_request.dialect.subprotocol());
            let upgrade = Upgrade { client, accept, subprotocol, message_bytes_max };
            websocket::upgrade(state, id, request, &upgrade, now);
            Some(AppInput::Join(join_request))
        }
        Err(response) => {
            answer(state, id, request, response, reply, now);
            None
        }
    }
}

/// Handles the complete body of a request.
pub fn body(state: &mut State, id: ConnId, upload: Upload, now: Millis) -> Option<AppInput> {
    let Upload { route, owner, body } = upload;
    match (route, owner) {
        (Route::EngineIo(_), Some(Owner::Eio(eio))) => {
            let bytes = body.into_bytes();
            let messages = transport::receive_payload(state, id, eio, &bytes, now);
            Some(AppInput::Messages(eio, messages))
        }
        (Route::Operator(action), _) => {
            operator::act(state, id, action, &body.into_bytes(), now);
            None
        }
        _ => unreachable!("{route:?} takes no body"),
    }
}

fn answer(
    state: &mut State,
    id: ConnId,
    request: &Request,
    response: Response,
    mut reply: Reply,
    now: Millis,
) {
    debug!(path = %log::text(request.path.as_bytes()), status = response.status, "request");
    // Frames may follow a refused upgrade.
    let is_upgrade_refused = request.has("Upgrade") && response.status >= 400;
    reply.keeps_alive &= !request.has_body() && !is_upgrade_refused;
    exchange::respond(state, id, response, reply, now);
}

/// Whether a request names this server. Health checks in HTTP/1.0 have no Host.
fn serves_host(state: &State, request: &Request, route: &Result<Route, Response>) -> bool {
    let is_check = matches!(route, Ok(Route::Health)) || request.method == Method::Options;
    !state.policy.checks_host
        || request.host.is_empty() && is_check
        || state.admission.trust.passes_host(request)
}

/// The response of a route that only reads. What is large or takes work has a rate for each
/// address.
fn read(
    state: &mut State,
    assets: &Assets,
    Source { client: peer, kind }: Source,
    request: &Request,
    route: Route,
    now: Millis,
) -> Response {
    let is_small =
        matches!(route, Route::Health | Route::LocalMetrics | Route::Metrics | Route::Redirect);
    if is_small || kind.is_admin() {
        return page(state, assets, Source { client: peer, kind }, request, route, now);
    }
    let client = exchange::client_of(state, peer, request);
    let is_rated = state.policy.limits_joins && !state.admission.exempts(client, request);
    if is_rated && !state.admission.takes_page(client, now) {
        state.metrics.count_refusal(Refusal::PageRate);
        return status::too_many_requests();
    }
    let response = page(state, assets, Source { client, kind }, request, route, now);
    let bytes = if request.method == Method::Head { 0 } else { response.body_bytes() };
    if is_rated && !state.admission.takes_page_bytes(client, bytes, now) {
        state.metrics.count_refusal(Refusal::PageRate);
        return status::too_many_requests();
    }
    response
}

fn page(
    state: &mut State,
    assets: &Assets,
    source: Source,
    request: &Request,
    route: Route,
    now: Millis,
) -> Response {
    let file = |path: &str| assets.answer(path, request).unwrap_or_else(status::not_found);
    match route {
        Route::File => file(request.path),
        Route::SocketIoClient => match assets.socketio_client(request.path) {
            Some(path) if assets.has(path) => file(path),
            Some(_) => Response::sentence(404, NO_SOCKETIO_CLIENT),
            None => status::not_found(),
        },
        Route::Health if state.drain.is_some() => status::unavailable(status::RESTARTING),
        Route::Health => Response::sentence(200, "ok"),
        Route::Rooms => {
            let State { room_list, rooms, settings, .. } = state;
            room_list.answer(rooms, |room| room.players_max(settings), request, now)
        }
        Route::LocalMetrics if !state.admission.trust.is_local(source.client, request) => {
            let sentence =
                "Metrics are available on this machine only, as localhost; see --admin-listen.";
            Response::sentence(403, sentence)
        }
        Route::LocalMetrics | Route::Metrics => status::metrics(state),
        Route::StatusPage | Route::StatusData => {
            status_page::answer(state, assets, source, request, route, now)
        }
        Route::Redirect => {
            let trust = &state.admission.trust;
            let port = trust.ports.first().copied().unwrap_or_default();
            status::redirect(request, port)
        }
        Route::NeedsUpgrade => Response::sentence(426, "This path accepts WebSockets only.")
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade"),
        Route::EngineIo(_) | Route::Operator(_) | Route::WebSocket | Route::NotFound => {
            status::not_found()
        }
    }
}

/// An accepted WebSocket handshake.
struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    accept: String,
    /// The client's address: the peer's, unless the peer is a trusted proxy.
    client: IpAddr,
    join_request: JoinRequest,
}

/// The dialect of the first subprotocol that a client offers and the server has; JSON if it offers
/// none at all. `None` if it offers others only: many libraries fail if they offer some and the
/// response selects none.
fn dialect_of(request: &Request) -> Option<Dialect> {
    let mut offer = request.list("Sec-WebSocket-Protocol").peekable();
    if offer.peek().is_none() {
        return Some(Dialect::Json);
    }
    offer.find_map(Dialect::with_subprotocol)
}

fn judge_handshake(
    state: &mut State,
    peer: IpAddr,
    request: &Request,
    now: Millis,
) -> Result<Handshake, Response> {
    if state.policy.checks_origin && !state.admission.trust.passes_origin(peer, request) {
        exchange::count_refused_origin(state, peer, request, now);
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
    let client = exchange::client_of(state, peer, request);
    if !state.policy.has_rooms {
        return Ok(Handshake { accept, client, join_request: JoinRequest::new(Dialect::Json) });
    }
    let Some(dialect) = dialect_of(request) else {
        exchange::count_refused_subprotocol(state, client, request, now);
        return Err(Response::sentence(400, NO_SUBPROTOCOL));
    };
    let join_request = JoinRequest::of(dialect, request, &state.games)
        .map_err(|sentence| Response::sentence(400, &sentence))?;
    let is_exempt = state.admission.exempts(client, request);
    let comes_back = state.tokens.has(join_request.resume.token());
    if let Err(refusal) = state.admission.admit(client, is_exempt, true, comes_back, now) {
        state.metrics.count_refusal(refusal);
        return Err(status::unavailable(status::too_many_joins(refusal)));
    }
    Ok(Handshake { accept, client, join_request })
}
