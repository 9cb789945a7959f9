//! Players whose clients were lost stay for a while, and clients get their players back
//! (docs/protocol.md, "Resume").

use std::net::IpAddr;

use tracing::info;

use super::end;
use super::endings::Ended;
use super::ids::{Link, RoomId, SessionId};
use super::membership::{self, Joiner};
use super::session::Session;
use super::state::State;
use super::tokens::{Absent, Holder, TokenHash};
use crate::close::CloseReason;
use crate::time::Millis;

/// The outcome of presenting a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It is not valid: its player has left, or there never was one.
    Unknown,
    /// The room has too many players for the dialect of the client. The token stays valid.
    Full,
    /// The client has its player again.
    Yes(SessionId),
}

/// Gives a client a new token. The one with which it came back stays valid until it sends a
/// message, and any other one is invalid. `None` if no client can resume.
pub fn issue(state: &mut State, id: SessionId, presented: Option<TokenHash>) -> Option<String> {
    if state.settings.resume_s == 0 {
        return None;
    }
    let session = state.sessions.get_mut(id)?;
    if let Some(before) = session.token.take() {
        state.tokens.remove(*before);
    }
    let (text, hash) = state.tokens.draw(id);
    session.token = Some(Box::new(hash));
    session.has_presented = presented.is_some();
    if let Some(presented) = presented {
        state.tokens.keep_presented(presented, hash);
    }
    Some(text)
}

/// A client presents a token. If another client has the player, that one is closed: it is replaced.
/// The token is used up.
pub fn take_back(state: &mut State, joiner: Joiner, token: TokenHash, now: Millis) -> Resumed {
    let Some(holder) = state.tokens.find(token) else { return Resumed::Unknown };
    let room = match holder {
        Holder::Absent(absent) => absent.room,
        Holder::Session(holder) => match state.sessions.get(holder) {
            Some(session) => session.room,
            None => return Resumed::Unknown,
        },
    };
    let Some(room) = state.rooms.get(room) else { return Resumed::Unknown };
    // A room may hold fewer players than before a restart.
    let others = room.members().len() - usize::from(matches!(holder, Holder::Session(_)));
    if others >= room.capacity(&state.settings, joiner.dialect) {
        return Resumed::Full;
    }
    let until = Millis::NEVER;
    let absent = match holder {
        Holder::Absent(absent) => {
            state.admission.absence_ended(absent.peer);
            absent
        }
        Holder::Session(holder) => {
            let Some(session) = lose(state, holder, now) else { return Resumed::Unknown };
            replace(state, session.link, now);
            let (player, room, peer) = (session.view.player(), session.room, session.peer);
            Absent { player, room, peer, until }
        }
    };
    state.tokens.remove(token);
    let Absent { player, room: room_id, peer, .. } = absent;
    let session = membership::begin(state, joiner, room_id, player, now);
    let (Some(session), Some(room)) = (session, state.rooms.get_mut(room_id)) else {
        return Resumed::Unknown;
    };
    room.remove_absent(now);
    // Its seat moves with it.
    if !state.admission.is_exempt(peer) {
        room.seats.remove(peer);
    }
    if !state.admission.is_exempt(joiner.peer) {
        room.seats.add(joiner.peer);
    }
    state.metrics.resumes += 1;
    info!(player = player.0, room = %room.name, peer = %joiner.peer, "resumed");
    Resumed::Yes(session)
}

/// Ends the transport of a client whose player another client has now.
fn replace(state: &mut State, link: Link, now: Millis) {
    match link {
        Link::Conn(id) => end::connection(state, id, CloseReason::Replaced, None, now),
        Link::Eio(id) => state.endings.push(Ended::Eio(id), CloseReason::Replaced),
    }
}

/// A client was lost: its player stands still from now on.
fn lose(state: &mut State, id: SessionId, now: Millis) -> Option<Session> {
    let room = state.sessions.get(id)?.room;
    // First, so that the room is not empty in between.
    state.rooms.get_mut(room)?.add_absent();
    let session = membership::end(state, id, now)?;
    state.rooms.get_mut(room)?.world.release(session.view.player());
    Some(session)
}

/// The client of a player was lost, and may come back to it. Returns whether the player stays.
pub fn keep_player(state: &mut State, id: SessionId, now: Millis) -> bool {
    let Some(session) = state.sessions.get(id) else { return false };
    let Some(token) = session.token.as_deref().copied() else { return false };
    let is_open = state.rooms.get(session.room).is_some_and(|room| !room.is_ending());
    // At the shutdown, players only stay for the file from which the next server takes them.
    if !is_open || state.drain.is_some() && state.settings.state.is_none() {
        return false;
    }
    let Some(session) = lose(state, id, now) else { return false };
    let until = now.after(u64::from(state.settings.resume_s) * 1000);
    let (player, room, peer) = (session.view.player(), session.room, session.peer);
    state.tokens.lose(token, Absent { player, room, peer, until });
    state.admission.absence_began(peer, now);
    true
}

/// An absent player of a room leaves at once, if there is one for whose address this holds. Returns
/// whether there was.
pub fn give_up_seat(
    state: &mut State,
    room: RoomId,
    is_right: impl Fn(&State, IpAddr) -> bool,
    now: Millis,
) -> bool {
    let before: &State = state;
    let found = before.tokens.find_of(room, |peer| is_right(before, peer));
    let Some((token, absent)) = found else { return false };
    state.tokens.remove(token);
    leave(state, absent, now);
    true
}

/// A player leaves whose client did not come back.
pub fn leave(state: &mut State, absent: Absent, now: Millis) {
    let Absent { player, room: room_id, peer, .. } = absent;
    state.admission.absence_ended(peer);
    if let Some(room) = state.rooms.get_mut(room_id) {
        room.remove_absent(now);
        info!(player = player.0, room = %room.name, reason = "absent", "left");
    }
    membership::leave(state, room_id, player, peer);
}
