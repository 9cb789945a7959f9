//! The log lines of players that join, leave and come back, with what is known of their clients.

use std::net::IpAddr;

use tracing::info;

use super::ids::{Link, RoomId, SessionId};
use super::socketio::session::Transport;
use super::state::State;
use super::tokens::Absent;
use super::traffic::Carried;
use crate::time::Millis;
use crate::wire::Dialect;

/// A client that leaves its room, as of before its session ends.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    player: u32,
    room: RoomId,
    peer: IpAddr,
    dialect: Dialect,
    carried: Option<Carried>,
    stay_ms: u64,
}

impl Departure {
    /// The client of a session.
    #[must_use]
    pub fn of(state: &State, id: SessionId, now: Millis) -> Option<Departure> {
        let session = state.sessions.get(id)?;
        Some(Departure {
            player: session.view.player().0,
            room: session.room,
            peer: session.peer,
            dialect: session.view.dialect,
            carried: session.carried.as_deref().copied().or_else(|| carried(state, session.link)),
            stay_ms: now.since(session.joined_at),
        })
    }

    /// Logs that the player has left, or that its client was lost.
    pub fn log(&self, state: &State, what: &str, reason: &str) {
        let Departure { player, room, peer, dialect, carried, stay_ms } = self;
        let Some(room) = state.rooms.get(*room) else { return };
        let (dialect, duration_s) = (dialect.name(), seconds(*stay_ms));
        let transport = carried.map(|carried| carried.transport);
        let received_bytes = carried.map(|carried| carried.traffic.received_bytes);
        let sent_bytes = carried.map(|carried| carried.traffic.sent_bytes);
        info!(
            player,
            room = %room.name,
            reason,
            duration_s,
            %peer,
            received_bytes,
            sent_bytes,
            dialect,
            transport,
            "{what}"
        );
    }
}

fn seconds(span_ms: u64) -> f64 {
    span_ms as f64 / 1000.0
}

/// The transport of a client, and what its connections have carried: its WebSocket, and over
/// Engine.IO the payloads of polls and POSTs.
#[must_use]
pub fn carried(state: &State, link: Link) -> Option<Carried> {
    let over_websocket = |id| state.conns.get(id).map(|conn| conn.traffic);
    match link {
        Link::Conn(id) => {
            over_websocket(id).map(|traffic| Carried { transport: "websocket", traffic })
        }
        Link::Eio(id) => {
            let eio = state.eio_sessions.get(id)?;
            let upgraded = match eio.transport {
                Transport::WebSocket(id) => over_websocket(id).unwrap_or_default(),
                Transport::Polling(_) => Default::default(),
            };
            let (transport, traffic) = (eio.transport.label(), eio.polled + upgraded);
            Some(Carried { transport, traffic })
        }
    }
}

/// Keeps what is logged of the connections of a client whose Engine.IO session ends before it.
pub fn keep_carried(state: &mut State, id: SessionId) {
    let carried = state.sessions.get(id).and_then(|session| carried(state, session.link));
    if let Some(session) = state.sessions.get_mut(id) {
        session.carried = carried.map(Box::new);
    }
}

/// Logs that a player has joined.
pub fn joined(state: &State, id: SessionId) {
    log_client(state, id, None);
}

/// Logs that a client has its player back, and whether it has recovered what it had missed.
pub fn resumed(state: &State, id: SessionId, is_recovered: bool) {
    log_client(state, id, Some(is_recovered));
}

fn log_client(state: &State, id: SessionId, is_recovered: Option<bool>) {
    let Some(session) = state.sessions.get(id) else { return };
    let Some(room) = state.rooms.get(session.room) else { return };
    let (player, peer) = (session.view.player().0, session.peer);
    let dialect = session.view.dialect.name();
    let transport = carried(state, session.link).map(|carried| carried.transport);
    let what = if is_recovered.is_some() { "resumed" } else { "joined" };
    info!(player, room = %room.name, %peer, dialect, transport, is_recovered, "{what}");
}

/// Logs that a player has left whose client was lost before.
pub fn absent_left(state: &State, absent: &Absent, reason: &str, now: Millis) {
    let Some(room) = state.rooms.get(absent.room) else { return };
    let (player, peer) = (absent.player.0, absent.peer);
    let duration_s = seconds(now.since(absent.joined_at));
    info!(player, room = %room.name, reason, duration_s, %peer, "left");
}
