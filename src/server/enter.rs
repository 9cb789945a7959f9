//! Clients come and go: join and leave.
//!
//! A verb: called when a handshake is granted, and when a client's connection has ended.

use rand::RngExt;
use tracing::info;

use super::conn::{Admission, close_frame};
use super::ids::{ConnId, Owner, RoomId, SessionId};
use super::route::Wish;
use super::session::Session;
use super::state::{AtWork, State};
use crate::close::CloseReason;
use crate::game::{PlayerId, Rules, World, rules};
use crate::limits::MOVE_CREDIT_MAX;
use crate::metrics::Refusal;
use crate::outbox::Lane;
use crate::time::Millis;
use crate::wire::{Encoding, json};

/// The room of the JSON dialect for those who name none, and its rules.
const DEFAULT: &Rules = &rules::DOTS;

/// Puts a client into its room, or tells it that there is no place for it.
pub fn join(state: &mut State, link: ConnId, wish: Wish, now: Millis) {
    let Some(admission) = state.conns.get(link).map(|conn| conn.admission) else { return };
    let room_id = match place(state, &wish, admission, now) {
        Ok(room_id) => room_id,
        Err(NoPlace::Full) => {
            state.metrics.count_refusal(Refusal::Full);
            return state.close_for_now(link, CloseReason::Full, now);
        }
        Err(NoPlace::NoRoom) => {
            state.metrics.count_refusal(Refusal::NoRoom);
            let last = close_frame(1008, "There is no such room here.");
            return state.conns.close(link, CloseReason::Policy, Some(last), now);
        }
    };
    let rates = state.limits.input;
    let Some(room) = state.rooms.get_mut(room_id) else { return };
    let Some(conn) = state.conns.get_mut(link) else { return };
    let (player, peer) = (PlayerId(state.next_player), conn.peer);
    state.next_player += 1;
    state.at_work = Some(AtWork::Room(room_id));
    room.world.join(player, wish.name, &mut room.events);
    let body = (room_id, player, room.members().len());
    let dialect = (room.world.now(), Encoding::Json);
    let session = Session::new((link, peer), body, dialect, &rates, now);
    let session = state.sessions.insert(session);
    // From here on whoever ends the connection also ends the session.
    conn.join(Owner::Session(session));
    state.gate.session_began(peer, now);
    room.admit(session);
    let init = json::init(player, &room.name, &room.world);
    info!(player = player.0, room = %room.name, %peer, "joined");
    state.conns.push(link, init, Lane::Fact, &state.limits, now);
    state.metrics.joins += 1;
    state.at_work = None;
}

/// A client whose connection has ended leaves its room.
pub fn leave(state: &mut State, id: SessionId, reason: CloseReason, now: Millis) {
    let Some(session) = state.sessions.remove(id) else { return };
    state.gate.session_ended(session.peer);
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    room.world.leave(session.player, &mut room.events);
    if let Some(moved) = room.dismiss(session.place, now)
        && let Some(moved) = state.sessions.get_mut(moved)
    {
        moved.place = session.place;
    }
    info!(player = session.player.0, room = %room.name, reason = reason.label(), "left");
}

/// Why a client gets no place.
enum NoPlace {
    /// There will be one later.
    Full,
    /// There never will: only the rooms of `--room` are there.
    NoRoom,
}

/// The room that a client asked for, made if need be.
fn place(
    state: &mut State,
    wish: &Wish,
    admission: Admission,
    now: Millis,
) -> Result<RoomId, NoPlace> {
    if admission == Admission::Surplus {
        return Err(NoPlace::Full);
    }
    let settings = &state.settings;
    // Where no room can be made, whoever names none comes into the first that there is.
    let default = match settings.room.first() {
        Some(first) if !settings.rooms_open && state.rooms.find(DEFAULT.name).is_none() => {
            &first.name
        }
        _ => DEFAULT.name,
    };
    let name = if wish.room.is_empty() { default } else { &wish.room };
    if let Some(id) = state.rooms.find(name) {
        let players_max = settings.room_players_most();
        let has_place = state.rooms.get(id).is_some_and(|r| r.members().len() < players_max);
        return if has_place { Ok(id) } else { Err(NoPlace::Full) };
    }
    if !settings.rooms_open {
        return Err(NoPlace::NoRoom);
    }
    // There is always room for the room of those who name none.
    if state.rooms.len() >= settings.rooms_max && name != DEFAULT.name {
        return Err(NoPlace::Full);
    }
    let rules = wish.rules.or_else(|| rules::for_room(name)).unwrap_or(DEFAULT);
    let world = World::new(rules, state.rng.random(), MOVE_CREDIT_MAX);
    info!(room = %name, rules = rules.name, "room made");
    Ok(state.rooms.make(name, world, false, now))
}

/// Makes the rooms that are always there, unless they are.
///
/// # Errors
/// One sentence, if a room asks for rules that there are not.
pub fn make_named_rooms(state: &mut State) -> Result<(), String> {
    for named in &state.settings.room {
        let rules = rules::named(&named.rules).ok_or_else(|| {
            let (name, wrong, names) = (&named.name, &named.rules, rules::names());
            format!("--room {name}={wrong} asks for rules that there are not; there are {names}.")
        })?;
        if state.rooms.find(&named.name).is_none() {
            let world = World::new(rules, state.rng.random(), MOVE_CREDIT_MAX);
            state.rooms.make(&named.name, world, true, Millis::default());
        }
    }
    Ok(())
}
