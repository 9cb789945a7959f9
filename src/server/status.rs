//! Responses about the state of the server: health and metrics.

use super::memory;
use super::state::State;
use crate::http::Request;
use crate::http::response::Response;
use crate::limits::RETRY_AFTER_S;
use crate::metrics::{Gauges, Refusal};
use crate::origin;

/// The response to a `Host` that is not allowed.
#[must_use]
pub fn wrong_host() -> Response {
    Response::sentence(421, "This server does not serve that host; see --host.")
}

/// The redirect to the same path over TLS, at `port` of the same host.
#[must_use]
pub fn redirect(request: &Request, port: u16) -> Response {
    let Some(host) = origin::host_text(request.host) else {
        return Response::sentence(400, "The request needs the field Host.");
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let question = if request.query.is_empty() { "" } else { "?" };
    let target = [request.path, question, request.query].concat();
    let location = format!("https://{host}{port}{}", target.trim_start_matches('*'));
    Response::sentence(308, "This page is at https://.").with("Location", location)
}

/// 503 with `Retry-After`, for the reason in `sentence`.
#[must_use]
pub fn unavailable(sentence: &str) -> Response {
    Response::sentence(503, sentence).with("Retry-After", RETRY_AFTER_S.to_string())
}

/// 429 with `Retry-After`: the address asks for too many pages.
#[must_use]
pub fn too_many_requests() -> Response {
    Response::sentence(429, "Too many requests from your address.")
        .with("Retry-After", RETRY_AFTER_S.to_string())
}

/// The sentence for a join that the limits do not allow.
#[must_use]
pub fn too_many_joins(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::JoinRateTotal => "Too many players join at once; try again.",
        Refusal::Overload => "The server is overloaded; try again.",
        _ => "Too many joins from your address.",
    }
}

/// The server shuts down.
pub const RESTARTING: &str = "The server is restarting.";

/// `GET /metrics`: Prometheus text.
#[must_use]
pub fn metrics(state: &State) -> Response {
    let compression = state.encoder.compression.stats;
    let gauges = Gauges {
        connections: state.conns.len(),
        players: state.sessions.len(),
        players_absent: state.tokens.absent(),
        bots: state.rooms.iter().map(|room| room.bots.len()).sum(),
        rooms: state.rooms.len(),
        engine_sessions: state.eio_sessions.len(),
        polls_held: state.eio_sessions.polls_held(),
        held_bytes: memory::total(state),
        held_bytes_max: state.memory.max().unwrap_or_default(),
        frames_out: state.conns.frames_out() + state.metrics.snapshots,
        draining: usize::from(state.drain.is_some()),
        history_bytes: state.memory.histories,
        overload_step: state.overload.step(),
        busy_percent: state.overload.busy_percent() as usize,
        compressed_with_history: compression.with_history,
        compressed_alone: compression.alone,
        not_compressed: compression.over_budget,
        keyframes_deferred: state.encoder.keyframes_deferred,
        compression_in_bytes: compression.bytes_in,
        compression_out_bytes: compression.bytes_out,
    };
    let text = state.metrics.render(&gauges).into_bytes();
    Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
        .with("Cache-Control", "no-store")
}
