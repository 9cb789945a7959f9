//! The account of the bytes that are held for clients (docs/limits.md, "Memory").
//!
//! Each connection and Engine.IO session has a count of what it holds. After a change of that,
//! [`conn_changed`] or [`session_changed`] is called. What all clients share, such as pages and the
//! state of a room, is not counted for a client.

use std::net::IpAddr;

use super::held::Counted;
use super::ids::{ConnId, EioId};
use super::state::State;
use crate::limits::{
    CONNECTION_BYTES, COUNT_STEP_BYTES, ENGINEIO_SESSION_BYTES, PLAYER_BYTES, ROOM_BYTES,
    TLS_CONNECTION_BYTES, TOKEN_BYTES,
};
use crate::time::Millis;

/// All bytes that are held for clients.
#[must_use]
pub fn total(state: &State) -> usize {
    by_kind(state).iter().map(|(_, bytes)| bytes).sum()
}

/// The bytes that are held for clients, by what holds them. `queued` was received and is not
/// processed yet, or waits to be sent; `late_polls` is kept for sessions that have ended.
#[must_use]
pub fn by_kind(state: &State) -> [(&'static str, usize); 10] {
    let State { conns, eio_sessions, sessions, tokens, rooms, memory, admission, .. } = state;
    let tls_bytes = if admission.trust.has_tls { TLS_CONNECTION_BYTES } else { 0 };
    [
        ("queued", memory.held()),
        ("connections", conns.len() * CONNECTION_BYTES),
        ("tls", conns.len() * tls_bytes),
        ("engineio_sessions", eio_sessions.len() * ENGINEIO_SESSION_BYTES),
        ("late_polls", eio_sessions.last_payload_bytes()),
        ("players", (sessions.len() + tokens.absent()) * PLAYER_BYTES),
        ("tokens", tokens.len() * TOKEN_BYTES),
        ("rooms", rooms.len() * ROOM_BYTES),
        ("histories", memory.histories),
        ("events", memory.facts),
    ]
}

/// Counts what the rooms hold for clients. For skirmish.v1 these are the bodies on the newest
/// ticks: they grow for a second and a half after the first such client joins, and with the
/// players. For clients that recover these are events, which are forgotten if memory is short.
pub fn rooms_changed(state: &mut State) {
    state.memory.histories = state.rooms.iter().map(|room| room.encodings.history_bytes()).sum();
    state.memory.facts = state.rooms.iter().map(|room| room.encodings.fact_bytes()).sum();
    if state.memory.facts > 0 && is_short(state) {
        state.rooms.iter_mut().for_each(|(_, room)| room.encodings.forget_facts());
        state.memory.facts = 0;
    }
}

/// Whether so much is held that no client may join and no room may be made.
#[must_use]
pub fn is_short(state: &State) -> bool {
    state.memory.max().is_some_and(|max| total(state) > max / 8 * 7)
}

/// Deletes the rooms without players if memory is short, once between two ticks. Returns whether it
/// still is.
pub fn delete_empty_rooms(state: &mut State, now: Millis) -> bool {
    if !is_short(state) {
        return false;
    }
    if state.memory.rooms_deleted_on.replace(state.tick) == Some(state.tick) {
        return true;
    }
    state.rooms.remove_empty(0, now);
    rooms_changed(state);
    is_short(state)
}

/// Whether so much is held that a connection cannot even be refused with a response.
#[must_use]
pub fn is_out(state: &State) -> bool {
    state.memory.max().is_some_and(|max| total(state) > max / 16 * 15)
}

/// Counts what a connection holds now.
pub fn conn_changed(state: &mut State, id: ConnId, now: Millis) {
    if let Some(conn) = state.conns.get_mut(id)
        && let held = conn.held_bytes()
        && let Some(change) = conn.counted.renew(held)
    {
        let client = conn.client;
        let State { memory, admission, .. } = state;
        let is_exempt = admission.is_exempt(client);
        memory.count(admission, client, is_exempt, change, now);
    }
}

/// Counts what a connection holds for `client` from here on.
pub fn count_for(state: &mut State, id: ConnId, client: IpAddr, now: Millis) {
    let State { conns, memory, admission, .. } = state;
    if let Some(conn) = conns.get_mut(id).filter(|conn| conn.client != client) {
        memory.release(admission, conn.client, conn.counted.bytes());
        (conn.client, conn.counted) = (client, Counted::default());
        conn_changed(state, id, now);
    }
}

/// Counts what an Engine.IO session holds now.
pub fn session_changed(state: &mut State, id: EioId, now: Millis) {
    if let Some(eio) = state.eio_sessions.get_mut(id)
        && let held = eio.held_bytes()
        && let Some(change) = eio.counted.renew(held)
    {
        let (client, is_exempt) = (eio.client, eio.is_exempt);
        let State { memory, admission, .. } = state;
        memory.count(admission, client, is_exempt, change, now);
    }
}

/// Checks the account, for tests: the difference between what is counted and what is held is less
/// than [`COUNT_STEP_BYTES`] for each connection and session, and the sums are right. So are the
/// sessions without a player.
///
/// # Errors
/// What is wrong.
pub fn check(state: &State) -> Result<(), String> {
    let conns = state.conns.ids().into_iter().filter_map(|id| state.conns.get(id));
    let sessions = state.eio_sessions.iter().map(|(_, eio)| eio);
    let conns = conns.map(|conn| (conn.client, conn.counted.bytes(), conn.held_bytes()));
    let sessions = sessions.map(|eio| (eio.client, eio.counted.bytes(), eio.held_bytes()));
    let mut sum = 0;
    for (client, counted, held) in conns.chain(sessions) {
        if counted.abs_diff(held) >= COUNT_STEP_BYTES {
            return Err(format!("{counted} bytes of {client} are counted, {held} are held"));
        }
        sum += counted;
    }
    let unjoined = state.eio_sessions.iter().filter(|(_, eio)| eio.session().is_none());
    let (exempt, unjoined): (Vec<_>, Vec<_>) = unjoined.partition(|(_, eio)| eio.is_exempt);
    let counts = (state.eio_sessions.unjoined.len(), state.admission.unjoined() as usize);
    if counts != (unjoined.len(), unjoined.len() + exempt.len()) {
        let (exempt, unjoined) = (exempt.len(), unjoined.len());
        return Err(format!("{counts:?} sessions without a player, not {unjoined} and {exempt}"));
    }
    match (state.memory.held(), state.admission.held_bytes()) {
        (held, by_address) if held == sum && by_address == sum => Ok(()),
        sums => Err(format!("{sums:?} bytes are counted in all and by address, not {sum}")),
    }
}
