//! Clients leave their rooms.

use super::ids::SessionId;
use super::player_log::Departure;
use super::state::State;
use super::{membership, resume};
use crate::close::CloseReason;
use crate::time::Millis;

/// Removes a client from its room. Its player stays for a while if the client was lost and has a
/// token.
pub fn client(state: &mut State, id: SessionId, reason: CloseReason, now: Millis) {
    let Some(departure) = Departure::of(state, id, now) else { return };
    let stays = reason.is_loss() && resume::keep_player(state, id, now);
    departure.log(state, if stays { "lost" } else { "left" }, reason.label());
    if !stays {
        remove(state, id, now);
    }
}

/// Ends a session. Its token is invalid from here on, and its player leaves.
pub fn remove(state: &mut State, id: SessionId, now: Millis) {
    let Some(session) = membership::end(state, id, now) else { return };
    if let Some(token) = session.token {
        state.tokens.remove(token.hash);
    }
    membership::leave(state, session.room, session.view.player(), session.peer);
}
