//! One HTTP exchange of a connection, whatever its route: how a response is sent, and how the body
//! of a request is awaited.

use std::net::IpAddr;
use std::rc::Rc;

use tracing::{debug, warn};

use super::admission::{Trust, UNKNOWN_CLIENT};
use super::conn::{Class, Exchange, Http, Reply, Stage, Upload};
use super::endings::Ended;
use super::ids::ConnId;
use super::log::{self, Warning};
use super::state::State;
use super::{end, send};
use crate::close::CloseReason;
use crate::http::coding::Coding;
use crate::http::request::BadRequest;
use crate::http::{Method, Request, Response, ResponseBody};
use crate::metrics::Refusal;
use crate::outbox::Encoded;
use crate::time::Millis;

/// Answers an invalid request and ends the connection.
pub fn refuse_invalid(state: &mut State, id: ConnId, bad: &BadRequest, is_head: bool, now: Millis) {
    state.metrics.requests += 1;
    debug!(status = bad.status, bad.sentence, "invalid request");
    if let (Some(protocol), Some(conn)) = (bad.protocol, state.conns.get(id))
        && state.warnings.may_log(Warning::Protocol(protocol), now)
    {
        warn!(peer = %conn.peer, "{}", log::advice(protocol));
    }
    refuse(state, id, Response::sentence(bad.status, bad.sentence), is_head, now);
}

/// Counts a refused Origin, and logs it now and then.
pub fn count_refused_origin(state: &mut State, peer: IpAddr, request: &Request, now: Millis) {
    state.metrics.count_refusal(Refusal::Origin);
    if state.warnings.may_log(Warning::Origin, now) {
        let [origin, host] = origin_and_host(request);
        warn!(%origin, %host, %peer, "{}", Trust::advice(request));
    }
}

/// Counts a refused Host, and logs it now and then.
pub fn count_refused_host(state: &mut State, peer: IpAddr, request: &Request, now: Millis) {
    state.metrics.count_refusal(Refusal::Host);
    if state.warnings.may_log(Warning::Host, now) {
        let [origin, host] = origin_and_host(request);
        warn!(%origin, %host, %peer, "refused a request for another host; allow it with --host");
    }
}

/// Counts a client that offers no subprotocol of ours, and logs the offer now and then.
pub fn count_refused_subprotocol(state: &mut State, peer: IpAddr, request: &Request, now: Millis) {
    state.metrics.count_refusal(Refusal::Subprotocol);
    if state.warnings.may_log(Warning::Subprotocol, now) {
        let offer: Vec<&str> = request.list("Sec-WebSocket-Protocol").collect();
        let offer = log::text(offer.join(", ").as_bytes());
        warn!(%offer, %peer, "refused a WebSocket that requires a subprotocol; connect without one");
    }
}

/// Counts a request without the right token, and logs it now and then.
pub fn count_refused_token(
    state: &mut State,
    peer: IpAddr,
    request: &Request,
    status: u16,
    now: Millis,
) {
    state.metrics.count_refusal(Refusal::Token);
    if state.warnings.may_log(Warning::Token, now) {
        let path = log::text(request.path.as_bytes());
        warn!(%peer, %path, status, "refused an operator's request");
    }
}

/// Both fields as text for the log. A repeated field has no single value.
fn origin_and_host(request: &Request) -> [String; 2] {
    let origin = request.value("Origin").unwrap_or_default();
    [origin, request.host].map(|text| log::text(text.as_bytes()))
}

/// The client of a request, which counts for its limits. The first time that a trusted proxy does
/// not name one, that is logged.
pub fn client_of(state: &mut State, peer: IpAddr, request: &Request) -> IpAddr {
    const FIELD: &str = "X-Forwarded-For";
    let client = state.admission.trust.client(peer, request);
    let metrics = &mut state.metrics;
    if client == UNKNOWN_CLIENT {
        metrics.clients_unknown += 1;
        if metrics.clients_unknown == 1 && peer == UNKNOWN_CLIENT {
            let what = "a header of the PROXY protocol names no client; such clients share the \
                limits of one";
            warn!("{what}");
        } else if metrics.clients_unknown == 1 {
            let value = log::text(request.values(FIELD).next_back().unwrap_or_default().as_bytes());
            let what = "X-Forwarded-For is not an address; such clients share the limits of one";
            warn!(proxy = %peer, %value, "{what}");
        }
    } else if !request.has(FIELD) && state.admission.trust.is_proxy(peer) {
        metrics.clients_unnamed += 1;
        if metrics.clients_unnamed == 1 {
            let what = "no X-Forwarded-For; all clients of the proxy share the limits of one";
            warn!(proxy = %peer, "{what}");
        }
    }
    client
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
    let may_stay =
        state.drain.is_none() && !matches!(conn.class, Class::OverLimit | Class::Redirect);
    let keeps_alive = request.keeps_alive() && may_stay;
    let is_head = request.method == Method::Head;
    Some(Reply { keeps_alive, is_head, takes_gzip: Coding::Gzip.is_accepted(request), cors })
}

/// Awaits the body of a request, whose route receives it ([`Upload`]). A client that expects
/// `100 Continue` gets it.
pub fn await_body(
    state: &mut State,
    id: ConnId,
    request: &Request,
    upload: Upload,
    reply: Reply,
    now: Millis,
) {
    let asks = request.is_http_11 && request.lists("Expect", "100-continue");
    if asks && !upload.body.is_whole() {
        let head = Encoded::from(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]);
        send::head(state, id, head, now);
    }
    if let Some(conn) = state.conns.get_mut(id) {
        conn.await_body(upload, reply, now);
    }
    state.conns.wake(id);
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
        respond(
            state,
            id,
            response,
            Reply { keeps_alive: false, is_head, takes_gzip: false, cors },
            now,
        );
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
    let body = body.map(|body| match body {
        ResponseBody::Bytes(bytes) => Encoded::from(bytes),
        ResponseBody::File(file, range) => Encoded::file(file, range),
    });
    send::response(state, id, head, body, now);
    let Some(conn) = state.conns.get_mut(id) else { return };
    if let Stage::Http(http) = &mut conn.stage {
        let exchange = std::mem::replace(&mut http.exchange, Exchange::None);
        *http = Http::next(now);
        match exchange {
            Exchange::Held(eio) => http.exchange = Exchange::Answered(eio),
            // The body will never be complete.
            Exchange::Body(upload) => {
                let ended = upload.owner.map(|owner| Ended::Conn(id, owner));
                ended.into_iter().for_each(|ended| state.endings.push(ended, reason));
            }
            Exchange::None | Exchange::Answered(_) => {}
        }
    }
    if !reply.keeps_alive {
        end::connection(state, id, reason, None, now);
    }
}
