//! A panic is a bug of the server. It is caught where the loop variable is, and ends only the
//! connection, the session or the room that was being processed.
//!
//! The loop of the reactor catches panics in a call for one connection, and then calls
//! [`Server::recover`](super::Server::recover). The loops of the server catch the others, with
//! [`caught`]. A panic outside of these loops ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::endings::{Ended, Endings};
use super::ids::RoomId;
use super::rooms::Room;
use super::state::State;
use crate::close::CloseReason;

/// Runs `step`. If it panics, counts that and returns `None`.
pub fn caught<T>(state: &mut State, step: impl FnOnce(&mut State) -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(|| step(state)));
    if result.is_err() {
        state.metrics.panics += 1;
        end_unsound_rooms(state);
    }
    result.ok()
}

/// Ends the rooms whose world a panic has left inconsistent. The check runs code of the game, which
/// may panic, too.
pub fn end_unsound_rooms(state: &mut State) {
    let State { rooms, endings, .. } = state;
    for (id, room) in rooms.iter_mut() {
        let is_sound = catch_unwind(AssertUnwindSafe(|| room.world.is_sound()));
        if !is_sound.unwrap_or(false) {
            end_room(endings, id, room);
        }
    }
}

/// Ends a room after a panic, unless it is ending already.
pub fn end_room(endings: &mut Endings, id: RoomId, room: &mut Room) {
    if room.begin_end() {
        endings.push(Ended::Room(id), CloseReason::Fault);
    }
}
