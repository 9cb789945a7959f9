//! Clients become members of rooms and stop being members, and players leave worlds. [`lobby`]
//! decides who joins, [`resume`] whose player stays without its client.
//!
//! [`lobby`]: super::lobby
//! [`resume`]: super::resume

use std::net::IpAddr;

use super::ids::{Link, RoomId, SessionId};
use super::session::{Joined, Session};
use super::state::State;
use crate::game::PlayerId;
use crate::time::Millis;
use crate::wire::{Dialect, View};

/// A client that joins.
#[derive(Clone, Copy, Debug)]
pub struct Joiner {
    /// Its transport.
    pub link: Link,
    /// Its address.
    pub peer: IpAddr,
    /// The language that it speaks.
    pub dialect: Dialect,
    /// Whether it is asked to acknowledge ticks.
    pub is_asked: bool,
}

/// Makes a client a member of the room whose world contains its player. `None` if there is no such
/// room.
pub fn begin(
    state: &mut State,
    joiner: Joiner,
    room_id: RoomId,
    player: PlayerId,
    now: Millis,
) -> Option<SessionId> {
    let Joiner { link, peer, dialect, is_asked } = joiner;
    let room = state.rooms.get_mut(room_id)?;
    let view = View::new(dialect, player, room.world.now());
    let view = if is_asked { view.asking() } else { view };
    if state.settings.recovery && dialect.has_facts() {
        room.keep_facts();
    }
    let index = room.members().len() as u32;
    let joined = Joined { link, peer, room: room_id, index, view };
    let session = state.sessions.insert(Session::new(joined, &state.policy.limits.input, now));
    state.admission.session_began(peer, now);
    room.add_member(session, dialect);
    Some(session)
}

/// Ends a session: its client is a member of its room no longer. Its player is still there.
pub fn end(state: &mut State, id: SessionId, now: Millis) -> Option<Session> {
    let session = state.sessions.remove(id)?;
    state.admission.session_ended(session.peer);
    let room = state.rooms.get_mut(session.room)?;
    if let Some(moved) = room.remove_member(session.index, session.view.dialect, now)
        && let Some(moved) = state.sessions.get_mut(moved)
    {
        moved.index = session.index;
    }
    Some(session)
}

/// A player of an address has a seat in a room, unless it is exempt.
pub fn take_seat(state: &mut State, room: RoomId, peer: IpAddr) {
    if !state.admission.is_exempt(peer) {
        state.rooms.take_seat(room, peer);
    }
}

/// It loses the seat.
pub fn free_seat(state: &mut State, room: RoomId, peer: IpAddr) {
    if !state.admission.is_exempt(peer) {
        state.rooms.free_seat(room, peer);
    }
}

/// A player leaves the world of its room, and the address of its client loses the seat.
pub fn leave(state: &mut State, room_id: RoomId, player: PlayerId, peer: IpAddr) {
    free_seat(state, room_id, peer);
    let Some(room) = state.rooms.get_mut(room_id) else { return };
    // Last, because the game may panic when a player leaves.
    room.world.leave(player, &mut room.facts);
    state.rooms.mark_facts(room_id);
}
