//! Pages that the server makes itself: values in, bytes out.

use serde::Serialize;

use super::room::Rooms;
use super::state::State;
use crate::http::response::Response;
use crate::metrics::Gauges;

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
