//! Worlds go on by a tick, and what is new is owed to those who play in them.
//!
//! A verb: called on each tick, and for each connection that the reactor writes to.

use std::io::IoSlice;

use super::ids::ConnId;
use super::state::{AtWork, State};
use crate::time::{Millis, TICKS_PER_SECOND};

/// All worlds go on by one tick.
pub fn step(state: &mut State) {
    for (id, room) in state.rooms.iter_mut() {
        state.at_work = Some(AtWork::Room(id));
        room.world.tick(&mut room.events);
    }
    state.at_work = None;
}

/// Encodes the state of each room once, and owes it to those whose rate says that it is time.
pub fn state(state: &mut State) {
    let full_state_players_max = state.settings.full_state_players_max;
    for (id, room) in state.rooms.iter_mut() {
        state.at_work = Some(AtWork::Room(id));
        // JSON tells the full state, in which all that has happened shows.
        room.events.clear();
        let players = room.members().len();
        if players == 0 {
            continue;
        }
        // A room that grew beyond what the full state is good for gets it less often.
        let most_hz = (TICKS_PER_SECOND as usize).saturating_mul(full_state_players_max) / players;
        let most_hz = most_hz.clamp(1, TICKS_PER_SECOND as usize) as u32;
        let tick = room.world.now();
        let mut is_due = false;
        for id in room.members() {
            let Some(session) = state.sessions.get_mut(*id) else { continue };
            if tick.is_due_at(session.hz.min(most_hz)) {
                is_due = true;
                state.metrics.snapshots_skipped += u64::from(session.owe(tick));
                state.conns.mark_dirty(session.link);
            }
        }
        if is_due {
            room.broadcast.renew(&room.world, &mut state.scratch);
        }
    }
    state.at_work = None;
}

/// Shows the reactor what goes next to a connection: control, facts, and the state if it is owed
/// one.
pub fn slices<'a>(state: &'a mut State, id: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
    if let Some(conn) = state.conns.get_mut(id)
        && let Some(session) = conn.session().and_then(|id| state.sessions.get_mut(id))
        && let Some(since) = session.owed()
        && conn.outbox.takes_state()
        && let Some(room) = state.rooms.get(session.room)
        && let Some(bytes) = room.broadcast.encoded(session.encoding, since)
    {
        session.show(room.broadcast.tick());
        conn.outbox.offer_state(bytes);
    }
    state.conns.get(id).map_or(0, |conn| conn.outbox.slices(slices))
}

/// The kernel took `taken` bytes of the `shown` ones.
pub fn written(state: &mut State, id: ConnId, taken: usize, shown: usize, now: Millis) {
    if state.conns.get(id).is_none() {
        return;
    }
    state.metrics.bytes_out += taken as u64;
    state.metrics.short_writes += u64::from(taken < shown);
    if state.conns.written(id, (taken, shown), &state.limits, now) {
        state.metrics.snapshots += 1;
        let session = state.conns.get(id).and_then(|conn| conn.session());
        if let Some(session) = session.and_then(|id| state.sessions.get_mut(id)) {
            session.settle();
        }
    }
}
