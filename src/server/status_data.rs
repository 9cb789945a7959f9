//! The numbers of the status page as JSON, from the same values as the metrics.
//!
//! What is listed is bounded, so that the answer is small however many rooms and clients there are.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::ids::Link;
use super::rooms::Room;
use super::session::Session;
use super::socketio::session::Transport;
use super::state::State;
use super::traffic::Carried;
use super::{memory, player_log, room_list, status};
use crate::limits::{STATUS_CLIENTS_MAX, STATUS_ROOMS_MAX};
use crate::metrics::{Histogram, Process, WorkUs};
use crate::time::{Millis, TICK_MS};
use crate::wire::Dialect;

/// The numbers as of now. The page computes rates from two of them, `at_ms` apart.
#[must_use]
pub fn json(state: &State, now: Millis) -> Vec<u8> {
    let metrics = &state.metrics;
    let gauges = status::gauges(state);
    let process = metrics.read_process.map(|read| read()).unwrap_or_default();
    let Process { resident_bytes, open_fds, fds_max, .. } = process;
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "at_ms": now.0,
        "started_at_s": metrics.started_at_s,
        "is_draining": state.drain.is_some(),
        "process": {
            "resident_bytes": resident_bytes,
            "open_fds": open_fds,
            "fds_max": fds_max,
        },
        "players": gauges.players,
        "absent": gauges.players_absent,
        "bots": gauges.bots,
        "connections": gauges.connections,
        "overload_step": gauges.overload_step,
        "busy_percent": gauges.busy_percent,
        "ticks": {
            "period_ms": TICK_MS,
            "total": metrics.ticks,
            "missed": metrics.ticks_missed,
            "work": histogram(&metrics.tick_work),
            "lateness": histogram(&metrics.tick_lateness),
            "turn": histogram(&metrics.turn_work),
        },
        "bytes": {
            "received": metrics.bytes_in,
            "sent": metrics.bytes_out,
            "by_dialect": traffic(state),
        },
        "players_by": players(state),
        "held": {
            "bytes": gauges.held_bytes,
            "max": state.memory.max(),
            "by_kind": counts("kind", memory::by_kind(state).map(|(kind, n)| (kind, n as u64))),
        },
        "limits": counts("name", status::limits(state).map(|(name, n)| (name, n as u64))),
        "drops": counts("reason", metrics.all_drops()),
        "refusals": counts("reason", metrics.all_refusals()),
        "closes": counts("reason", metrics.all_closes()),
        "rooms": rooms(state),
        "slowest": slowest(state, now),
    });
    value.to_string().into_bytes()
}

/// The bounds of the buckets in seconds; one bucket more has what is above the last one.
fn histogram(histogram: &Histogram<WorkUs>) -> Value {
    let (bounds_s, counts): (Vec<Option<f64>>, Vec<u64>) = histogram.buckets().unzip();
    let bounds_s: Vec<f64> = bounds_s.into_iter().flatten().collect();
    json!({ "bounds_s": bounds_s, "counts": counts })
}

/// Rows with a name under `key`, and a `count`.
fn counts(key: &str, rows: impl IntoIterator<Item = (&'static str, u64)>) -> Value {
    rows.into_iter().map(|(name, count)| json!({ key: name, "count": count })).collect()
}

fn traffic(state: &State) -> Value {
    let rows = Dialect::ALL.into_iter().zip(state.traffic);
    rows.map(|(dialect, traffic)| {
        json!({
            "dialect": dialect.name(),
            "received": traffic.received_bytes,
            "sent": traffic.sent_bytes,
        })
    })
    .collect()
}

fn players(state: &State) -> Value {
    let all = status::users(state);
    let rows = all.iter().flat_map(|users| {
        users.clients().map(|(dialect, transport, players)| {
            json!({
                "rules": users.rules,
                "dialect": dialect.name(),
                "transport": transport,
                "players": players,
            })
        })
    });
    rows.collect()
}

fn rooms(state: &State) -> Value {
    let row = |room: &&Room| {
        let clients = room.members().len();
        json!({
            "name": &*room.name,
            "rules": room.world.rules().name,
            "players": clients,
            "absent": room.people() - clients,
            "bots": room.bots.len(),
            "players_max": room.players_max(&state.settings),
        })
    };
    let sorted = room_list::by_people(&state.rooms);
    let list: Vec<Value> = sorted.iter().take(STATUS_ROOMS_MAX).map(row).collect();
    json!({ "total": sorted.len(), "list": list })
}

/// How slow a client is: what it lacks, for how long it has taken nothing, what waits for it, and
/// its round trip.
type Slowness = (u32, u64, usize, u32);

fn slowest(state: &State, now: Millis) -> Value {
    let sessions = state.sessions.iter().map(|(_, session)| session);
    let mut all: Vec<(Slowness, &Session)> =
        sessions.filter_map(|session| Some((slowness(state, session, now)?, session))).collect();
    all.sort_unstable_by_key(|(slowness, session)| (Reverse(*slowness), session.view.player().0));
    all.truncate(STATUS_CLIENTS_MAX);
    all.into_iter()
        .filter_map(|(slowness, session)| client(state, slowness, session, now))
        .collect()
}

fn slowness(state: &State, session: &Session, now: Millis) -> Option<Slowness> {
    let behind = session.view.behind_ticks(state.rooms.get(session.room)?.frame.tick());
    let (stall_ms, held_bytes) = backlog(state, session.link, now).unwrap_or_default();
    Some((behind, stall_ms, held_bytes, session.view.rtt_ticks().unwrap_or(0)))
}

/// For how long a client has taken nothing, and the bytes that are held for it.
fn backlog(state: &State, link: Link, now: Millis) -> Option<(u64, usize)> {
    let over_websocket = |id| {
        let conn = state.conns.get(id)?;
        Some((conn.backlog.stall_ms(now), conn.held_bytes()))
    };
    match link {
        Link::Conn(id) => over_websocket(id),
        Link::Eio(id) => {
            let eio = state.eio_sessions.get(id)?;
            match eio.transport {
                Transport::WebSocket(id) => over_websocket(id),
                Transport::Polling(_) => Some((eio.backlog.stall_ms(now), eio.held_bytes())),
            }
        }
    }
}

fn client(state: &State, slowness: Slowness, session: &Session, now: Millis) -> Option<Value> {
    let (behind, stall_ms, held_bytes, _) = slowness;
    let room = state.rooms.get(session.room)?;
    let id = session.view.player();
    let name = room.world.find(id).map(|body| room.world.bodies()[body].shown_name());
    let carried = player_log::carried(state, session.link);
    let (transport, traffic) =
        carried.map(|Carried { transport, traffic }| (transport, traffic)).unzip();
    let traffic = traffic.unwrap_or_default();
    Some(json!({
        "id": id.0.to_string(),
        "name": name,
        "room": &*room.name,
        "address": session.peer,
        "dialect": session.view.dialect.name(),
        "transport": transport,
        "behind_ms": u64::from(behind) * TICK_MS,
        "stall_ms": stall_ms,
        "rtt_ms": session.view.rtt_ticks().map(|ticks| u64::from(ticks) * TICK_MS),
        "held_bytes": held_bytes,
        "joined_ms": now.since(session.joined_at),
        "sent_bytes": traffic.sent_bytes,
    }))
}
