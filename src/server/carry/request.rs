//! Requests of Engine.IO: what they ask for, whether they may have it, and the sessions that begin
//! with them.
//!
//! Part of the verb `carry`.

use std::net::IpAddr;
use std::rc::Rc;

use super::super::conn::{Admission, Reply, empty_close};
use super::super::engine::{Polling, Probe, Talk, Transport};
use super::super::ids::{ConnId, EngineId, Owner};
use super::super::pages;
use super::super::route::{self, Wish};
use super::super::state::State;
use super::{end, has_died, say};
use crate::bucket::RateLimit;
use crate::close::CloseReason;
use crate::http::body::Body;
use crate::http::{Method, Request, Response, query};
use crate::limits::{
    ENGINEIO_SESSIONS_A_CONNECTION, EVICTIONS, IDLE_SESSIONS_AN_ADDRESS, IDLE_SESSIONS_MAX,
    NOOP_AFTER_MS, PROBE_MS,
};
use crate::metrics::Refusal as Counted;
use crate::outbox::Encoded;
use crate::socketio::engineio::{Open, Refusal};
use crate::time::Millis;
use crate::ws::handshake;

/// Who makes a request.
#[derive(Clone, Copy)]
struct Visitor {
    /// Its address, which is not the peer's if that is a trusted proxy.
    client: IpAddr,
    /// Whether the limits of one address do not hold for it.
    is_exempt: bool,
    /// Whether its connection is one for which there is no room.
    is_surplus: bool,
    /// Whether its origin may connect.
    passes: bool,
}

/// What a request asks for.
enum Step {
    /// A session that begins with requests; if it is one of Socket.IO, what its client wishes for.
    Open(Option<Wish>),
    /// A session that begins as a WebSocket; the value of `Sec-WebSocket-Accept`.
    OpenWebSocket(String, Option<Wish>),
    /// Whatever waits for the session, or will.
    Poll(EngineId),
    /// A payload follows.
    Post(EngineId, Body),
    /// A WebSocket that may take over; the value of `Sec-WebSocket-Accept`.
    Probe(EngineId, String),
    /// A WebSocket that comes too late to take over; the value of `Sec-WebSocket-Accept`.
    Surplus(String),
}

/// Deals with a request. `is_socketio` tells for which of the two paths.
pub fn request(state: &mut State, id: ConnId, request: &Request, is_socketio: bool, now: Millis) {
    state.metrics.requests += 1;
    let Some(conn) = state.conns.get(id) else { return };
    let (peer, admission) = (conn.peer, conn.admission);
    let client = state.gate.names.client(peer, request);
    let Some(mut reply) = state.reply_to(id, request) else { return };
    let is_echo = state.settings.echo;
    let visitor = Visitor {
        client,
        is_exempt: is_echo || state.gate.exempts(client, request),
        is_surplus: admission == Admission::Surplus,
        // Whoever may read the answer may ask; so may who is no browser.
        passes: is_echo || reply.cors.is_some() || !request.has("Origin"),
    };
    match judge(state, visitor, request, is_socketio, now) {
        Err(response) => {
            // What follows a head that was refused may be anything.
            reply.keeps_alive &= !request.has_body() && !request.has("Upgrade");
            state.conns.reply(id, response, reply, now);
        }
        Ok(Step::Open(wish)) => {
            let transport = Transport::Polling(Polling::default());
            let open = begin(state, transport, visitor, wish, now).1;
            state.conns.reply(id, payload(open.into_bytes()), reply, now);
        }
        Ok(Step::OpenWebSocket(accept, wish)) => {
            state.upgrade(id, client, &accept, state.settings.max_payload, now);
            let transport = Transport::WebSocket(id);
            let (engine, open) = begin(state, transport, visitor, wish, now);
            if let Some(conn) = state.conns.get_mut(id) {
                conn.join(Owner::Engine(engine));
            }
            say(state, id, open.as_bytes(), now);
        }
        Ok(Step::Poll(engine)) => poll(state, id, engine, reply, now),
        Ok(Step::Post(engine, body)) => {
            let asks = request.is_http_11 && request.lists("Expect", "100-continue");
            if asks && !body.is_whole() {
                state.conns.push_head(id, Encoded::from(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]));
            }
            if let Some(polling) = state.engines.get_mut(engine).and_then(|e| e.polling()) {
                polling.post = Some(id);
            }
            if let Some(conn) = state.conns.get_mut(id) {
                conn.expect(engine, body, reply, now);
            }
            state.conns.wake(id);
        }
        Ok(Step::Surplus(accept)) => {
            // As the reference server does: some clients take a refusal of the handshake amiss.
            state.upgrade(id, client, &accept, state.settings.max_payload, now);
            state.conns.close(id, CloseReason::Policy, Some(empty_close()), now);
        }
        Ok(Step::Probe(engine, accept)) => {
            state.upgrade(id, client, &accept, state.settings.max_payload, now);
            let probe = Probe { link: id, until: now.after(PROBE_MS), is_probed: false };
            if let Some(polling) = state.engines.get_mut(engine).and_then(|e| e.polling()) {
                polling.probe = Some(probe);
            }
            if let Some(conn) = state.conns.get_mut(id) {
                conn.join(Owner::Engine(engine));
            }
        }
    }
}

/// A refusal, as the reference server words it.
pub fn refuse(refusal: Refusal) -> Response {
    let status = if refusal == Refusal::Forbidden { 403 } else { 400 };
    Response::new(status, "application/json", refusal.body().into_bytes())
        .with("Cache-Control", "no-store")
}

/// A refusal of a request for a room or rules that cannot be.
fn explain(sentence: &str) -> Response {
    Response::new(400, "application/json", Refusal::BadRequest.body_with(sentence).into_bytes())
        .with("Cache-Control", "no-store")
}

/// A payload for the client.
pub fn payload(body: impl Into<Rc<[u8]>>) -> Response {
    Response::new(200, "text/plain; charset=UTF-8", body).with("Cache-Control", "no-store")
}

/// Judges a request in the order of the reference server.
fn judge(
    state: &mut State,
    visitor: Visitor,
    request: &Request,
    is_socketio: bool,
    now: Millis,
) -> Result<Step, Response> {
    if !state.settings.echo && !state.gate.names.passes_host(request) {
        state.metrics.count_refusal(Counted::Host);
        return Err(pages::another_name());
    }
    if request.method == Method::Options {
        let methods = "GET,HEAD,PUT,PATCH,POST,DELETE";
        let response = Response::empty(204).with("Access-Control-Allow-Methods", methods);
        return Err(match request.value("Access-Control-Request-Headers") {
            Some(asked) => response
                .with("Access-Control-Allow-Headers", asked.to_owned())
                .with("Vary", "Access-Control-Request-Headers"),
            None => response,
        });
    }
    let transport = query::get(request.query, "transport").unwrap_or_default();
    let is_websocket = match &*transport {
        "polling" => false,
        "websocket" => true,
        _ => return Err(refuse(Refusal::TransportUnknown)),
    };
    if !visitor.passes {
        state.note_refused_origin(visitor.client, request, now);
        return Err(refuse(Refusal::Forbidden));
    }
    let is_get = request.method == Method::Get;
    // Only a post has a body; nobody would read another, and it would pass for the next request.
    let has_strange_body = request.has_body() && request.method != Method::Post;
    let is_sound = is_websocket == request.wants_websocket() && !has_strange_body;
    let sid = query::get(request.query, "sid").filter(|sid| !sid.is_empty());
    let engine = match sid {
        None if !is_get => return Err(refuse(Refusal::BadMethod)),
        None => None,
        Some(sid) => match find(state, &sid, is_socketio, now) {
            Some(engine) => Some(engine),
            None => {
                let may_hear = is_get && !is_websocket && is_sound;
                let last = may_hear.then(|| state.engines.take_word(&sid)).flatten();
                return Err(last.map_or_else(|| refuse(Refusal::SessionUnknown), payload));
            }
        },
    };
    if !is_sound {
        return Err(refuse(Refusal::BadRequest));
    }
    let accept =
        || handshake::accept(&route::offer(request)).map_err(|_| refuse(Refusal::BadRequest));
    match engine {
        Some(engine) if is_websocket && is_get => takes_over(state, engine, accept),
        Some(engine) => goes_on(state, engine, request, now),
        None if query::get(request.query, "EIO").as_deref() != Some("4") => {
            Err(refuse(Refusal::VersionUnsupported))
        }
        None => {
            let wish = match is_socketio {
                true => Some(route::wish(request).map_err(|sentence| explain(&sentence))?),
                false => None,
            };
            let step = match is_websocket {
                true => Step::OpenWebSocket(accept()?, wish),
                false => Step::Open(wish),
            };
            comes_in(state, visitor, now)?;
            Ok(step)
        }
    }
}

/// Judges a WebSocket for a session that there is.
fn takes_over(
    state: &mut State,
    engine: EngineId,
    accept: impl Fn() -> Result<String, Response>,
) -> Result<Step, Response> {
    let polling = state.engines.get_mut(engine).and_then(|engine| engine.polling());
    match polling.is_some_and(|polling| polling.probe.is_none()) {
        true => Ok(Step::Probe(engine, accept()?)),
        false => Ok(Step::Surplus(accept()?)),
    }
}

/// Judges a request of a session that polls.
fn goes_on(
    state: &mut State,
    engine: EngineId,
    request: &Request,
    now: Millis,
) -> Result<Step, Response> {
    let polling = state.engines.get_mut(engine).and_then(|engine| engine.polling().copied());
    let polling = polling.ok_or_else(|| refuse(Refusal::BadRequest))?;
    match request.method {
        Method::Get if polling.poll.is_some() => {
            end(state, engine, CloseReason::Protocol, b"1", now);
            Err(Response::empty(400))
        }
        Method::Get => Ok(Step::Poll(engine)),
        Method::Post => post(state, engine, polling, request, now),
        _ => Err(refuse(Refusal::BadRequest)),
    }
}

/// Judges whether one more session may begin.
fn comes_in(state: &mut State, visitor: Visitor, now: Millis) -> Result<(), Response> {
    let Visitor { client, is_exempt, is_surplus, .. } = visitor;
    let (refusal, sentence) = if state.drain.is_some() {
        (Counted::Draining, pages::GOING_AWAY)
    } else if is_surplus && state.settings.echo
        || state.engines.len() >= ENGINEIO_SESSIONS_A_CONNECTION * state.connections_max
    {
        // For want of a connection alone a client of Socket.IO is told so as it asks to come in.
        (Counted::Full, "The server is full.")
    } else if !has_room_for_unused(state, client, is_exempt, now) {
        (Counted::Full, "Too many sessions over which nobody plays.")
    } else if let Err(refusal) = state.gate.join_begins(client, is_exempt, true, now) {
        (refusal, pages::TOO_MANY_JOINS)
    } else {
        return Ok(());
    };
    state.metrics.count_refusal(refusal);
    Err(pages::unavailable(sentence))
}

/// Whether one more session may begin over which nobody plays yet. Where there are too many, the
/// oldest ends of the address that has the most; unless that is the client's own.
fn has_room_for_unused(state: &mut State, client: IpAddr, is_exempt: bool, now: Millis) -> bool {
    if !is_exempt && state.gate.unused_of(client) >= IDLE_SESSIONS_AN_ADDRESS {
        return false;
    }
    if state.gate.unused() < IDLE_SESSIONS_MAX {
        return true;
    }
    if state.settings.echo || !state.evictions.take(EVICTIONS, 1, now) {
        return false;
    }
    let gate = &state.gate;
    let Some(oldest) = state.engines.oldest_unused(|client| gate.unused_of(client)) else {
        return false;
    };
    let holder = state.engines.get(oldest).map(|engine| engine.client);
    if holder.is_none_or(|holder| gate.unused_of(holder) <= gate.unused_of(client)) {
        return false;
    }
    end(state, oldest, CloseReason::Policy, b"1", now);
    true
}

fn post(
    state: &mut State,
    engine: EngineId,
    polling: Polling,
    request: &Request,
    now: Millis,
) -> Result<Step, Response> {
    let content_type = request.value("Content-Type");
    let kind = content_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim_ascii();
    // One that came twice may be read as either.
    let is_twofold = request.has("Content-Type") && content_type.is_none();
    let is_binary = is_twofold || kind.eq_ignore_ascii_case("application/octet-stream");
    if is_binary || polling.post.is_some() {
        end(state, engine, CloseReason::Protocol, b"1", now);
        return Err(refuse(Refusal::BadRequest));
    }
    match Body::of(request, state.settings.max_payload) {
        Ok(body) => Ok(Step::Post(engine, body)),
        Err(bad) => Err(Response::sentence(bad.status, bad.sentence)),
    }
}

/// The session of that name, unless its time is over.
fn find(state: &mut State, sid: &str, is_socketio: bool, now: Millis) -> Option<EngineId> {
    let id = state.engines.find(sid)?;
    state.engines.get(id).filter(|engine| engine.talk.is_some() == is_socketio)?;
    (!has_died(state, id, now)).then_some(id)
}

/// Begins a session of a client that has a wish if it speaks Socket.IO: its handle, and its first
/// packet.
fn begin(
    state: &mut State,
    transport: Transport,
    visitor: Visitor,
    wish: Option<Wish>,
    now: Millis,
) -> (EngineId, String) {
    let Visitor { client, is_exempt, is_surplus, .. } = visitor;
    let settings = &state.settings;
    let ping_at = now.after(settings.ping_interval_ms);
    let upgrades: &[&str] = match transport {
        Transport::Polling(_) => &["websocket"],
        Transport::WebSocket(_) => &[],
    };
    let connect_by = now.after(settings.connect_timeout_ms());
    let talk = wish.map(|wish| Box::new(Talk::new(wish, is_surplus, connect_by, now)));
    let control = RateLimit::new(state.limits.input.control(), now);
    let id = state.engines.insert(transport, talk, (client, is_exempt), ping_at, control);
    state.gate.unused_began(client, now);
    let sid = state.engines.get(id).map_or("", |engine| &engine.sid);
    let open = Open {
        sid,
        upgrades,
        ping_interval: settings.ping_interval_ms,
        ping_timeout: settings.ping_timeout_ms,
        max_payload: settings.max_payload,
    };
    (id, open.packet())
}

fn poll(state: &mut State, id: ConnId, engine_id: EngineId, reply: Reply, now: Millis) {
    let Some(engine) = state.engines.get_mut(engine_id) else { return };
    let session = engine.session();
    let has_waiting = engine.has_waiting();
    let Some(polling) = engine.polling() else { return };
    polling.poll = Some(id);
    if polling.probe.is_some_and(|probe| probe.is_probed) {
        polling.noop_at = Some(now.after(NOOP_AFTER_MS));
    }
    if let Some(conn) = state.conns.get_mut(id) {
        conn.hold(engine_id, reply);
    }
    let session = session.and_then(|session| state.sessions.get(session));
    if has_waiting || session.is_some_and(|session| session.owed().is_some()) {
        state.engines.mark_ripe(engine_id);
    }
}
