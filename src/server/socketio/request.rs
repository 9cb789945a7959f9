//! Requests to the Engine.IO endpoints: validation, new sessions, polls, posts and upgrades.

use std::net::IpAddr;

use super::super::conn::{Class, Reply, Upload};
use super::super::ids::{ConnId, EioId, Owner};
use super::super::join_request::JoinRequest;
use super::super::routes::{self, EioPath, Route};
use super::super::state::State;
use super::super::websocket::Upgrade;
use super::super::{end, exchange, status, websocket};
use super::deadlines;
use super::session::{NewEioSession, Polling, Probe, SocketIoState, Transport};
use super::transport::{self, bad_request, payload, refuse};
use crate::bucket::RateLimit;
use crate::close::CloseReason;
use crate::http::body::Body;
use crate::http::{Method, Request, Response, query};
use crate::limits::{
    ENGINEIO_SESSIONS_A_CONNECTION, EVICTION_SESSIONS, EVICTIONS, IDLE_SESSIONS_AN_ADDRESS,
    IDLE_SESSIONS_MAX, NOOP_AFTER_MS, PROBE_MS,
};
use crate::metrics::Refusal as Counted;
use crate::socketio::engineio::{Open, Refusal};
use crate::socketio::packet::Assembler;
use crate::time::Millis;
use crate::wire::Dialect;
use crate::ws::handshake;

/// The client of a request.
#[derive(Clone, Copy)]
struct Client {
    /// Its address: the peer's, unless the peer is a trusted proxy.
    addr: IpAddr,
    /// Whether it is exempt from the limits per address.
    is_exempt: bool,
    /// Whether its connection is above the limit of connections.
    is_over_limit: bool,
    /// Whether its origin may connect.
    is_allowed: bool,
}

/// What a valid request asks for. A `String` is the value of `Sec-WebSocket-Accept`.
enum Action {
    /// A new session over long polling; with a [`JoinRequest`] for Socket.IO.
    Open(Option<JoinRequest>),
    /// A new session over a WebSocket.
    OpenWebSocket(String, Option<JoinRequest>),
    /// A poll.
    Poll(EioId),
    /// A POST, whose body follows.
    Post(EioId, Body),
    /// A WebSocket to which a session may upgrade.
    Upgrade(EioId, String),
    /// A second WebSocket for a session, which is accepted and closed.
    SecondWebSocket(String),
}

/// Handles a request to an Engine.IO endpoint.
pub fn handle(
    state: &mut State,
    id: ConnId,
    request: &Request,
    path: EioPath,
    mut reply: Reply,
    now: Millis,
) {
    let Some(conn) = state.conns.get(id) else { return };
    let (peer, class) = (conn.peer, conn.class);
    let addr = exchange::client_of(state, peer, request);
    let policy = state.policy;
    let client = Client {
        addr,
        is_exempt: !policy.limits_joins || state.admission.exempts(addr, request),
        is_over_limit: class == Class::OverLimit,
        // An origin that may read the response may connect; so may clients without an Origin.
        is_allowed: !policy.checks_origin || reply.cors.is_some() || !request.has("Origin"),
    };
    match judge(state, client, request, path, now) {
        Err(response) => {
            // What follows a refused head is undefined.
            reply.keeps_alive &= !request.has_body() && !request.has("Upgrade");
            exchange::respond(state, id, response, reply, now);
        }
        Ok(Action::Open(join_request)) => {
            let transport =
                Transport::Polling(Polling::new(state.policy.absent_at(&state.settings, now), now));
            let open = begin(state, transport, client, join_request, now).1;
            exchange::respond(state, id, payload(open.into_bytes()), reply, now);
        }
        Ok(Action::OpenWebSocket(accept, join_request)) => {
            upgrade(state, id, addr, request, &accept, now);
            let transport = Transport::WebSocket(id);
            let (eio, open) = begin(state, transport, client, join_request, now);
            if let Some(conn) = state.conns.get_mut(id) {
                conn.set_owner(Owner::Eio(eio));
            }
            transport::send_over(state, id, open.as_bytes(), now);
        }
        Ok(Action::Poll(eio)) => poll(state, id, eio, reply, now),
        Ok(Action::Post(eio, body)) => {
            if let Some(polling) = state.eio_sessions.get_mut(eio).and_then(|e| e.polling()) {
                polling.post = Some(id);
            }
            let upload =
                Upload { route: Route::EngineIo(path), owner: Some(Owner::Eio(eio)), body };
            exchange::await_body(state, id, request, upload, reply, now);
        }
        Ok(Action::SecondWebSocket(accept)) => {
            // As the reference server does: some clients fail if the handshake is refused.
            upgrade(state, id, addr, request, &accept, now);
            let last = Some(end::empty_close_frame());
            end::connection(state, id, CloseReason::Policy, last, now);
        }
        Ok(Action::Upgrade(eio, accept)) => {
            upgrade(state, id, addr, request, &accept, now);
            let probe = Probe { link: id, until: now.after(PROBE_MS), is_probed: false };
            if let Some(polling) = state.eio_sessions.get_mut(eio).and_then(|e| e.polling()) {
                polling.probe = Some(probe);
            }
            if let Some(conn) = state.conns.get_mut(id) {
                conn.set_owner(Owner::Eio(eio));
            }
        }
    }
}

/// Answers 101. As the reference server does, it selects the first subprotocol that is offered:
/// browsers fail if none is selected.
fn upgrade(
    state: &mut State,
    id: ConnId,
    client: IpAddr,
    request: &Request,
    accept: &str,
    now: Millis,
) {
    let first = request.list("Sec-WebSocket-Protocol").next().filter(|name| is_token(name));
    let message_bytes_max = state.settings.max_payload;
    let upgrade = Upgrade { client, accept, subprotocol: first, message_bytes_max };
    websocket::upgrade(state, id, request, &upgrade, now);
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_right = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    text.bytes().all(is_right)
}

/// Validates a request, in the order of the reference server.
fn judge(
    state: &mut State,
    client: Client,
    request: &Request,
    path: EioPath,
    now: Millis,
) -> Result<Action, Response> {
    if request.method == Method::Options {
        // The reference server allows these methods.
        let methods = "GET,HEAD,PUT,PATCH,POST,DELETE";
        return Err(routes::options(request, "GET, POST, OPTIONS", methods));
    }
    let transport = query::get(request.query, "transport").unwrap_or_default();
    let is_websocket = match &*transport {
        "polling" => false,
        "websocket" => true,
        _ => return Err(refuse(Refusal::TransportUnknown)),
    };
    if !client.is_allowed {
        exchange::count_refused_origin(state, client.addr, request, now);
        return Err(refuse(Refusal::Forbidden));
    }
    let is_get = request.method == Method::Get;
    // Only a POST has a body. Any other would be read as the next request.
    let has_extra_body = request.has_body() && request.method != Method::Post;
    let is_consistent = is_websocket == request.wants_websocket() && !has_extra_body;
    let sid = query::get(request.query, "sid").filter(|sid| !sid.is_empty());
    let eio = match sid {
        None if !is_get => return Err(refuse(Refusal::BadMethod)),
        None => None,
        Some(sid) => match find(state, &sid, path, now) {
            Some(eio) => Some(eio),
            None => {
                let is_poll = is_get && !is_websocket && is_consistent;
                let last = is_poll.then(|| state.eio_sessions.take_last_payload(&sid)).flatten();
                return Err(last.map_or_else(|| refuse(Refusal::SessionUnknown), payload));
            }
        },
    };
    if !is_consistent {
        return Err(refuse(Refusal::BadRequest));
    }
    let accept =
        || handshake::accept(&websocket::offer(request)).map_err(|_| refuse(Refusal::BadRequest));
    match eio {
        Some(eio) if is_websocket && is_get => judge_upgrade(state, eio, accept),
        Some(eio) => judge_polling(state, eio, request, now),
        None if query::get(request.query, "EIO").as_deref() != Some("4") => {
            Err(refuse(Refusal::VersionUnsupported))
        }
        None => {
            let join_request = match path {
                EioPath::SocketIo => Some(
                    JoinRequest::of(Dialect::Events, request, &state.games)
                        .map_err(|sentence| bad_request(&sentence))?,
                ),
                EioPath::Raw => None,
            };
            let action = match is_websocket {
                true => Action::OpenWebSocket(accept()?, join_request),
                false => Action::Open(join_request),
            };
            admit(state, client, now)?;
            Ok(action)
        }
    }
}

/// Validates a WebSocket for an existing session.
fn judge_upgrade(
    state: &mut State,
    eio: EioId,
    accept: impl Fn() -> Result<String, Response>,
) -> Result<Action, Response> {
    let polling = state.eio_sessions.get_mut(eio).and_then(|eio| eio.polling());
    match polling.is_some_and(|polling| polling.probe.is_none()) {
        true => Ok(Action::Upgrade(eio, accept()?)),
        false => Ok(Action::SecondWebSocket(accept()?)),
    }
}

/// Validates a request of a session that polls.
fn judge_polling(
    state: &mut State,
    eio: EioId,
    request: &Request,
    now: Millis,
) -> Result<Action, Response> {
    let polling = state.eio_sessions.get_mut(eio).and_then(|eio| eio.polling().copied());
    let polling = polling.ok_or_else(|| refuse(Refusal::BadRequest))?;
    match request.method {
        Method::Get if polling.poll.is_some() => {
            transport::end(state, eio, CloseReason::Protocol, now);
            Err(Response::empty(400))
        }
        Method::Get => Ok(Action::Poll(eio)),
        Method::Post => post(state, eio, polling, request, now),
        _ => Err(refuse(Refusal::BadRequest)),
    }
}

/// Checks whether one more session may begin.
fn admit(state: &mut State, client: Client, now: Millis) -> Result<(), Response> {
    let Client { addr, is_exempt, is_over_limit, .. } = client;
    let (refusal, sentence) = if state.drain.is_some() {
        (Counted::Draining, status::RESTARTING)
    } else if is_over_limit && !state.policy.has_rooms
        || state.eio_sessions.len() >= ENGINEIO_SESSIONS_A_CONNECTION * state.connections_max
    {
        // A Socket.IO client over the limit of connections is refused when it joins.
        (Counted::Full, "The server is full.")
    } else if !has_room_for_unjoined(state, addr, is_exempt, now) {
        (Counted::Full, "Too many sessions have not joined.")
    } else if let Err(refusal) = state.admission.join_begins(addr, is_exempt, true, now) {
        (refusal, status::too_many_joins(refusal))
    } else {
        return Ok(());
    };
    state.metrics.count_refusal(refusal);
    Err(status::unavailable(sentence))
}

/// Whether one more session may begin that has not joined. If there are too many, one of an address
/// that has more of them than the client's ends: the oldest of the address that has the most, as
/// far as they are searched.
fn has_room_for_unjoined(state: &mut State, client: IpAddr, is_exempt: bool, now: Millis) -> bool {
    if !is_exempt && state.admission.unjoined_of(client) >= IDLE_SESSIONS_AN_ADDRESS {
        return false;
    }
    if state.admission.unjoined() < IDLE_SESSIONS_MAX {
        return true;
    }
    // A client without a chance must not use up the searches that others need.
    let has_share =
        !is_exempt && state.admission.unjoined_of(client) >= state.admission.unjoined_share();
    if !state.policy.has_rooms || has_share {
        return false;
    }
    let searched = match state.session_evictions.take(EVICTIONS, 1, now) {
        true => usize::MAX,
        false => EVICTION_SESSIONS,
    };
    let unjoined_of = |client| state.admission.unjoined_of(client);
    let Some((oldest, holder)) = state.eio_sessions.unjoined.oldest(searched, unjoined_of) else {
        return false;
    };
    if unjoined_of(holder) <= unjoined_of(client) {
        return false;
    }
    transport::end(state, oldest, CloseReason::Policy, now);
    true
}

fn post(
    state: &mut State,
    eio: EioId,
    polling: Polling,
    request: &Request,
    now: Millis,
) -> Result<Action, Response> {
    let content_type = request.value("Content-Type");
    let kind = content_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim_ascii();
    // A repeated Content-Type is ambiguous.
    let is_repeated = request.has("Content-Type") && content_type.is_none();
    let is_binary = is_repeated || kind.eq_ignore_ascii_case("application/octet-stream");
    if is_binary || polling.post.is_some() {
        transport::end(state, eio, CloseReason::Protocol, now);
        return Err(refuse(Refusal::BadRequest));
    }
    match Body::of(request, state.settings.max_payload) {
        Ok(body) => Ok(Action::Post(eio, body)),
        Err(bad) => Err(Response::sentence(bad.status, bad.sentence)),
    }
}

/// The session with this id, unless it is overdue.
fn find(state: &mut State, sid: &str, path: EioPath, now: Millis) -> Option<EioId> {
    let is_socketio = path == EioPath::SocketIo;
    let id = state.eio_sessions.find(sid)?;
    state.eio_sessions.get(id).filter(|eio| eio.socketio.is_some() == is_socketio)?;
    (!deadlines::end_if_overdue(state, id, now)).then_some(id)
}

/// Begins a session, for Socket.IO if there is a [`JoinRequest`]. Returns its handle and its open
/// packet.
fn begin(
    state: &mut State,
    transport: Transport,
    client: Client,
    join_request: Option<JoinRequest>,
    now: Millis,
) -> (EioId, String) {
    let Client { addr, is_exempt, is_over_limit, .. } = client;
    let settings = &state.settings;
    let ping_at = now.after(settings.ping_interval_ms);
    let upgrades: &[&str] = match transport {
        Transport::Polling(_) => &["websocket"],
        Transport::WebSocket(_) => &[],
    };
    let connect_by = now.after(state.policy.connect_timeout_ms(settings));
    let assembler = match state.policy.takes_attachments {
        true => Assembler::default(),
        false => Assembler::discarding(),
    };
    let socketio = join_request.map(|join_request| {
        Box::new(SocketIoState::new(join_request, is_over_limit, assembler, connect_by, now))
    });
    let control = RateLimit::new(state.policy.limits.input.control(), now);
    let id = state.eio_sessions.insert(NewEioSession {
        socketio,
        transport,
        client: addr,
        is_exempt,
        began_at: now,
        ping_at,
        control,
    });
    if !is_exempt {
        state.eio_sessions.unjoined.insert(id, addr);
    }
    state.admission.unjoined_began(addr, now);
    let sid = state.eio_sessions.get(id).map_or("", |eio| &eio.sid);
    let open = Open {
        sid,
        upgrades,
        ping_interval: settings.ping_interval_ms,
        ping_timeout: settings.ping_timeout_ms,
        max_payload: settings.max_payload,
    };
    (id, open.packet())
}

fn poll(state: &mut State, id: ConnId, eio_id: EioId, reply: Reply, now: Millis) {
    let Some(eio) = state.eio_sessions.get_mut(eio_id) else { return };
    let session = eio.session();
    let has_waiting = eio.has_waiting();
    let Some(polling) = eio.polling() else { return };
    polling.poll = Some(id);
    let hold_ms = match polling.probe.is_some_and(|probe| probe.is_probed) {
        true => Some(NOOP_AFTER_MS),
        false => state.policy.poll_hold_ms(&state.settings),
    };
    polling.noop_at = hold_ms.map_or(Millis::NEVER, |span_ms| now.after(span_ms));
    polling.absent_at = Millis::NEVER;
    if let Some(conn) = state.conns.get_mut(id) {
        conn.hold(eio_id, reply);
    }
    let session = session.and_then(|session| state.sessions.get(session));
    if has_waiting || session.is_some_and(|session| session.view.is_owed()) {
        state.eio_sessions.mark_poll(eio_id);
    }
}
