//! Players leave for those of other addresses: from full rooms, from rooms of a server that may
//! have no more, and from rooms while memory is short.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::ids::{Link, RoomId, SessionId};
use super::state::State;
use super::{end, leave, memory, panics, resume, seats};
use crate::close::CloseReason;
use crate::limits::{LONE_ROOMS_A_TICK, LONE_ROOMS_KEPT};
use crate::metrics::Refusal;
use crate::time::Millis;
use crate::wire::Dialect;

/// Whether a player of `peer` may join a room. If the room is full and an address has more than its
/// share of it, the player that has been idle longest, of the network with the most, leaves.
pub fn has_seat(
    state: &mut State,
    id: RoomId,
    dialect: Dialect,
    peer: IpAddr,
    now: Millis,
) -> bool {
    let State { rooms, settings, .. } = &*state;
    let Some(room) = rooms.get(id) else { return false };
    let capacity = room.capacity(settings, dialect);
    match room.people().cmp(&capacity) {
        Ordering::Less => return true,
        // More than receive full states: one seat would not be enough.
        Ordering::Greater => return false,
        Ordering::Equal => {}
    }
    let Some(giver) = seats::giver_for(room.seats(), peer, capacity) else { return false };
    let may_give = |state: &State, peer| giver.contains(peer) && !state.admission.is_exempt(peer);
    if resume::give_up_seat(state, id, may_give, now) {
        state.metrics.count_refusal(Refusal::RoomShare);
        return true;
    }
    let State { rooms, sessions, .. } = &*state;
    let Some(room) = rooms.get(id) else { return false };
    let idlest = room
        .members()
        .iter()
        .filter_map(|id| Some((*id, sessions.get(*id)?)))
        .filter(|(_, session)| may_give(state, session.peer))
        .min_by_key(|(_, session)| session.acted_at);
    let Some((session, _)) = idlest else { return false };
    state.metrics.count_refusal(Refusal::RoomShare);
    give_up_player(state, session, now);
    true
}

/// Whether a client of `peer` may make a room. If there are `--rooms-max`, those without players go
/// first, and then one of the network that is alone in the most.
pub fn may_make_room(state: &mut State, peer: IpAddr, now: Millis) -> bool {
    let rooms_max = state.settings.rooms_max;
    state.rooms.remove_empty(0, now);
    if state.rooms.len() >= rooms_max
        && let Some(room) = state.rooms.lone_room_for(peer, rooms_max)
    {
        give_up_room(state, room, now);
        state.rooms.remove_empty(0, now);
    }
    state.rooms.len() < rooms_max
}

/// While memory is so short that no client may join, the network that is alone in the most rooms
/// gives up some of them, unless these are few.
pub fn give_up_lone_rooms(state: &mut State, now: Millis) {
    for _ in 0..LONE_ROOMS_A_TICK {
        if !memory::is_short(state) {
            break;
        }
        let Some(room) = state.rooms.lone_room(LONE_ROOMS_KEPT) else { break };
        if panics::caught(state, |state| give_up_room(state, room, now)).is_none() {
            break;
        }
        state.rooms.remove_empty(0, now);
    }
    memory::rooms_changed(state);
}

/// The players of a room have to leave for one of another address.
fn give_up_room(state: &mut State, room: RoomId, now: Millis) {
    state.metrics.count_refusal(Refusal::RoomShare);
    let members = state.rooms.get(room).map(|room| room.members().to_vec());
    members.into_iter().flatten().for_each(|session| give_up_player(state, session, now));
    while resume::give_up_seat(state, room, |_, _| true, now) {}
}

/// A player has to leave for one of another address.
fn give_up_player(state: &mut State, id: SessionId, now: Millis) {
    match state.sessions.get(id).map(|session| session.link) {
        Some(Link::Conn(conn)) => end::with_retry_hint(state, conn, CloseReason::Full, now),
        Some(link) => end::link(state, link, CloseReason::Full, now),
        None => {}
    }
    leave::client(state, id, CloseReason::Full, now);
}
