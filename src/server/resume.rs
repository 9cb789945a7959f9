//! Players whose clients were lost stay for a while, and clients get their players back
//! (docs/protocol.md, "Resume").

use std::net::IpAddr;

use super::end;
use super::endings::Ended;
use super::ids::{Link, RoomId, SessionId};
use super::membership::{self, Joiner};
use super::player_log::{self, Departure};
use super::session::{Session, Token};
use super::state::State;
use super::tokens::{Absent, Events, Holder, TokenHash};
use crate::close::CloseReason;
use crate::time::Millis;
use crate::wire::Offset;

/// The outcome of presenting a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It is not valid: its player has left, or there never was one.
    Unknown,
    /// The room has too many players for the dialect of the client. The token stays valid.
    Full,
    /// The client has its player again.
    Yes(SessionId),
    /// The same, and it keeps its token and receives what it has missed: these packets.
    Recovered(SessionId, Vec<u8>),
}

/// Gives a client a new token. The one with which it came back stays valid until it sends a
/// message, and any other one is invalid. `None` if no client can resume.
pub fn issue(state: &mut State, id: SessionId, presented: Option<TokenHash>) -> Option<String> {
    if state.settings.resume_s == 0 {
        return None;
    }
    let session = state.sessions.get_mut(id)?;
    if let Some(before) = session.token.take() {
        state.tokens.remove(before.hash);
    }
    let (text, hash) = state.tokens.draw(id);
    let can_recover = state.settings.recovery && session.view.dialect.has_facts();
    let room = state.rooms.get(session.room).filter(|_| can_recover);
    let since = room.map(|room| room.world.now());
    session.token = Some(Box::new(Token { hash, since }));
    session.has_presented = presented.is_some();
    if let Some(presented) = presented {
        state.tokens.keep_presented(presented, hash);
    }
    Some(text)
}

/// A client presents a token. If another client has the player, that one is closed: it is replaced.
/// The token is used up, unless the client has received all events of its room up to `last`, and
/// those after it are known: then it recovers.
pub fn take_back(
    state: &mut State,
    joiner: Joiner,
    token: TokenHash,
    last: Option<Offset>,
    now: Millis,
) -> Resumed {
    let Some(holder) = state.tokens.find(token) else { return Resumed::Unknown };
    let (room, events) = match holder {
        Holder::Absent(absent) => (absent.room, absent.events),
        Holder::Session(holder) => match state.sessions.get(holder) {
            Some(session) => (session.room, session.events()),
            None => return Resumed::Unknown,
        },
    };
    let Some(room) = state.rooms.get(room) else { return Resumed::Unknown };
    let missed = match (events, last) {
        (Some(events), Some(last))
            if last.tick.is_after(events.since) && state.tokens.is_newest(token) =>
        {
            room.encodings.missed(last).map(|missed| (events, missed))
        }
        _ => None,
    };
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
            let departure = Departure::of(state, holder, now);
            let Some(session) = lose(state, holder, now) else { return Resumed::Unknown };
            if let Some(departure) = departure {
                departure.log(state, "lost", CloseReason::Replaced.label());
            }
            replace(state, session.link, now);
            let (player, room, peer) = (session.view.player(), session.room, session.peer);
            Absent { player, room, peer, joined_at: session.joined_at, until, events }
        }
    };
    if missed.is_none() {
        state.tokens.remove(token);
    }
    let Absent { player, room: room_id, peer, joined_at, .. } = absent;
    let session = membership::begin(state, joiner, room_id, player, now);
    let (Some(session), Some(room)) = (session, state.rooms.get_mut(room_id)) else {
        return Resumed::Unknown;
    };
    room.remove_absent(now);
    // Its seat moves with it.
    membership::free_seat(state, room_id, peer);
    membership::take_seat(state, room_id, joiner.peer);
    if let Some(session) = state.sessions.get_mut(session) {
        session.joined_at = joined_at;
    }
    state.metrics.resumes += 1;
    let is_recovered = missed.is_some();
    player_log::resumed(state, session, is_recovered);
    match missed {
        None => Resumed::Yes(session),
        Some((events, missed)) => {
            recover(state, session, token, events);
            Resumed::Recovered(session, missed)
        }
    }
}

/// A client goes on where it was lost, and keeps its token.
fn recover(state: &mut State, id: SessionId, token: TokenHash, Events { since, hz }: Events) {
    state.tokens.hand_over(token, id);
    state.metrics.recoveries += 1;
    let Some(session) = state.sessions.get_mut(id) else { return };
    session.token = Some(Box::new(Token { hash: token, since: Some(since) }));
    session.view.recover(hz);
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
    let Some(Token { hash, .. }) = session.token.as_deref().copied() else { return false };
    let events = session.events();
    let is_open = state.rooms.get(session.room).is_some_and(|room| !room.is_ending());
    // At the shutdown, players only stay for the file from which the next server takes them.
    if !is_open || state.drain.is_some() && state.settings.state.is_none() {
        return false;
    }
    let Some(session) = lose(state, id, now) else { return false };
    let until = now.after(u64::from(state.settings.resume_s) * 1000);
    let (player, room, peer) = (session.view.player(), session.room, session.peer);
    let joined_at = session.joined_at;
    state.tokens.lose(hash, Absent { player, room, peer, joined_at, until, events });
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
    leave(state, absent, CloseReason::Full.label(), now);
    true
}

/// A player leaves whose client did not come back, for a reason that is logged.
pub fn leave(state: &mut State, absent: Absent, reason: &str, now: Millis) {
    let Absent { player, room: room_id, peer, .. } = absent;
    state.admission.absence_ended(peer);
    if let Some(room) = state.rooms.get_mut(room_id) {
        room.remove_absent(now);
        player_log::absent_left(state, &absent, reason, now);
    }
    membership::leave(state, room_id, player, peer);
}
