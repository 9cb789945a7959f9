//! Processes the queue of endings, and sends the facts that follow.

use super::endings::Ended;
use super::ids::Owner;
use super::socketio::transport;
use super::state::State;
use super::{leave, lobby, panics, publish, shed};
use crate::close::CloseReason;
use crate::time::Millis;

/// Processes what has ended, oldest first: sessions are closed, players leave, connections are
/// released.
pub fn endings(state: &mut State, now: Millis) {
    while let Some((ended, reason)) = state.endings.pop() {
        panics::caught(state, |state| ending(state, ended, reason, now));
    }
}

fn ending(state: &mut State, ended: Ended, reason: CloseReason, now: Millis) {
    match ended {
        Ended::Conn(_, Owner::Session(session)) | Ended::Session(session) => {
            leave::client(state, session, reason, now);
        }
        Ended::Conn(link, Owner::Eio(eio)) => {
            transport::connection_ended(state, link, eio, reason, now);
        }
        Ended::Eio(eio) => transport::end(state, eio, reason, now),
        Ended::Room(room) => lobby::end_clients(state, room, reason, now),
        Ended::EmptyRoom(room) => lobby::remove_room(state, room, now),
    }
}

/// Processes endings and sends facts until neither is left: sending a fact may end a slow reader.
pub fn all(state: &mut State, now: Millis) {
    shed::enforce(state, now);
    loop {
        endings(state, now);
        if !publish::facts(state, now) {
            break;
        }
    }
}
