//! What the server itself has to say over HTTP: values in, bytes out.

use serde::Serialize;

use super::room::Rooms;
use super::state::State;
use crate::http::response::Response;
use crate::limits::RETRY_AFTER_S;
use crate::metrics::Gauges;

/// Said to whoever calls it by a name that is not its own.
#[must_use]
pub fn another_name() -> Response {
    Response::sentence(421, "This server has another name.")
}

/// There is no place now, for the reason that the sentence says; there may be one soon.
#[must_use]
pub fn unavailable(sentence: &str) -> Response {
    Response::sentence(503, sentence).with("Retry-After", RETRY_AFTER_S.to_string())
}

/// Why no more joins of an address are taken.
pub const TOO_MANY_JOINS: &str = "Too many joins from your address.";

/// Why a server that drains takes nobody.
pub const GOING_AWAY: &str = "The server is restarting.";

/// `GET /rooms`: name, rules, players and cap of each room, as JSON.
#[must_use]
pub fn rooms(rooms: &Rooms, cap: usize) -> Response {
    #[derive(Serialize)]
    struct Row<'a> {
        name: &'a str,
        rules: &'static str,
        players: usize,
        cap: usize,
    }
    let rows: Vec<Row> = rooms
        .iter()
        .map(|room| Row {
            name: &room.name,
            rules: room.world.rules().name,
            players: room.members().len(),
            cap,
        })
        .collect();
    let body = serde_json::to_vec(&rows).expect("rows of text and numbers are always JSON");
    Response::new(200, "application/json", body).with("Cache-Control", "no-store")
}

/// `GET /metrics`: Prometheus text.
#[must_use]
pub fn metrics(state: &State) -> Response {
    let gauges = Gauges {
        connections: state.conns.len(),
        players: state.sessions.len(),
        rooms: state.rooms.len(),
        engine_sessions: state.engines.len(),
        polls_held: state.engines.polls_held(),
        frames_out: state.conns.frames_out() + state.metrics.snapshots,
        draining: usize::from(state.drain.is_some()),
    };
    let text = state.metrics.render(&gauges).into_bytes();
    Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
        .with("Cache-Control", "no-store")
}
