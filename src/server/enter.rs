//! Clients come and go: join and leave.
//!
//! A verb: called when a handshake is granted or a Socket.IO client connects, and when a client has
//! gone.

use std::net::IpAddr;

use rand::RngExt;
use serde_json::value::RawValue;
use tracing::info;

use super::conn::{Admission, close_frame};
use super::ids::{ConnId, EngineId, Link, Owner, RoomId, SessionId};
use super::route::Wish;
use super::session::Session;
use super::state::State;
use crate::close::CloseReason;
use crate::game::{PlayerId, Rules, World, rules};
use crate::limits::{CONNECTS, MOVE_CREDIT_MAX};
use crate::metrics::Refusal;
use crate::outbox::Lane;
use crate::time::Millis;
use crate::wire::events::Auth;
use crate::wire::{Encoding, json};

/// Puts the client of a plain WebSocket into its room, or tells it that there is no place for it.
pub fn join(state: &mut State, link: ConnId, wish: Wish, now: Millis) {
    let Some(conn) = state.conns.get(link) else { return };
    let newcomer = Newcomer { link: Link::Conn(link), peer: conn.peer, encoding: Encoding::Json };
    let room_id = match conn.admission {
        Admission::Surplus => Err(NoPlace::Full),
        _ => place(state, &wish, &rules::DOTS, now),
    };
    match room_id {
        Ok(room_id) => {
            let Some((session, player)) = seat(state, &newcomer, room_id, wish.name, now) else {
                return;
            };
            // From here on whoever ends the connection also ends the session.
            if let Some(conn) = state.conns.get_mut(link) {
                conn.join(Owner::Session(session));
            }
            let Some(room) = state.rooms.get(room_id) else { return };
            let init = json::init(player, &room.name, &room.world);
            state.conns.push(link, init, Lane::Fact, &state.limits, now);
        }
        Err(NoPlace::Full) => {
            state.metrics.count_refusal(Refusal::Full);
            state.close_for_now(link, CloseReason::Full, now);
        }
        Err(NoPlace::NoRoom) => {
            state.metrics.count_refusal(Refusal::NoRoom);
            let last = close_frame(1008, NO_ROOM);
            state.conns.close(link, CloseReason::Policy, Some(last), now);
        }
    }
}

/// Puts the client of a Socket.IO session into its room, or tells it why not; it may ask again.
pub fn connect(
    state: &mut State,
    link: EngineId,
    namespace: &'static str,
    auth: Option<&RawValue>,
    now: Millis,
) {
    let Some(engine) = state.engines.get_mut(link) else { return };
    let (peer, is_exempt) = (engine.client, engine.is_exempt);
    let Some(talk) = engine.talk.as_mut() else { return };
    if !talk.connects.take(CONNECTS, 1, now) {
        return state.engines.doom(link, CloseReason::TooFast);
    }
    if talk.is_surplus {
        turn_away(state, link, namespace, Refusal::Full, now);
        return state.engines.doom(link, CloseReason::Full);
    }
    let comes_again = std::mem::replace(&mut talk.has_joined, true);
    let Auth { room, rules, name } = auth.map(Auth::decode).unwrap_or_default();
    let wish = match talk.wish.clone().with(room, rules, name) {
        Ok(wish) => wish,
        Err(sentence) => return state.turn_down(link, namespace, &sentence, None, now),
    };
    if let Err(refusal) = state.gate.join_begins(peer, is_exempt, comes_again, now) {
        return turn_away(state, link, namespace, refusal, now);
    }
    match place(state, &wish, &rules::BATTLE, now) {
        Ok(room_id) => {
            let newcomer = Newcomer { link: Link::Engine(link), peer, encoding: Encoding::Events };
            let Some((session, player)) = seat(state, &newcomer, room_id, wish.name, now) else {
                return;
            };
            let talk = state.engines.get_mut(link).and_then(|engine| engine.talk.as_mut());
            if let Some(talk) = talk {
                talk.session = Some(session);
                state.gate.unused_ended(peer);
            }
            let welcome = state.welcome(link, namespace, player.0);
            state.send_packet(link, welcome, Lane::Fact, now);
        }
        Err(NoPlace::Full) => turn_away(state, link, namespace, Refusal::Full, now),
        Err(NoPlace::NoRoom) => {
            state.metrics.count_refusal(Refusal::NoRoom);
            state.turn_down(link, namespace, NO_ROOM, None, now);
        }
    }
}

/// Tells the client of a Socket.IO session that there is no place now, and when to ask again.
fn turn_away(state: &mut State, link: EngineId, namespace: &str, why: Refusal, now: Millis) {
    state.metrics.count_refusal(why);
    let retry_ms = Some(state.retry_ms());
    state.turn_down(link, namespace, "full", retry_ms, now);
}

/// What a client is told who asks for a room that will never be there.
const NO_ROOM: &str = "There is no such room here.";

/// Who comes to play.
struct Newcomer {
    link: Link,
    peer: IpAddr,
    encoding: Encoding,
}

/// Gives a newcomer a body and a session.
fn seat(
    state: &mut State,
    newcomer: &Newcomer,
    room_id: RoomId,
    name: Option<Box<str>>,
    now: Millis,
) -> Option<(SessionId, PlayerId)> {
    let Newcomer { link, peer, encoding } = *newcomer;
    let room = state.rooms.get_mut(room_id)?;
    let player = PlayerId(state.next_player);
    state.next_player += 1;
    state.at_work.room = Some(room_id);
    room.world.join(player, name, &mut room.events);
    let body = (room_id, player, room.members().len());
    let dialect = (room.world.now(), encoding);
    let session = Session::new((link, peer), body, dialect, &state.limits.input, now);
    let session = state.sessions.insert(session);
    state.gate.session_began(peer, now);
    room.admit(session);
    info!(player = player.0, room = %room.name, %peer, "joined");
    state.rooms.mark_eventful(room_id);
    state.metrics.joins += 1;
    state.at_work.room = None;
    Some((session, player))
}

/// A client leaves its room.
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
    state.rooms.mark_eventful(session.room);
}

/// The client of a Socket.IO session goes; it may come again, as long after as at first.
pub fn disconnect(state: &mut State, link: EngineId, now: Millis) {
    let connect_by = now.after(state.settings.connect_timeout_ms());
    let Some(engine) = state.engines.get_mut(link) else { return };
    let client = engine.client;
    let Some(talk) = engine.talk.as_mut() else { return };
    if let Some(session) = talk.session.take() {
        talk.connect_by = connect_by;
        leave(state, session, CloseReason::ClientClosed, now);
        state.gate.unused_began(client, now);
    }
}

/// Why a client gets no place.
enum NoPlace {
    /// There will be one later.
    Full,
    /// There never will: only the rooms of `--room` are there.
    NoRoom,
}

/// The room that a client asked for, made if need be. Who names none gets the one that is called
/// like the rules asked for, or else like the default ones, which a room has unless its name or the
/// client says otherwise.
fn place(
    state: &mut State,
    wish: &Wish,
    default_rules: &'static Rules,
    now: Millis,
) -> Result<RoomId, NoPlace> {
    let settings = &state.settings;
    // Where no room can be made, whoever names none comes into the first that there is.
    let default_rules = wish.rules.unwrap_or(default_rules);
    let default = match settings.room.first() {
        Some(first) if !settings.rooms_open && state.rooms.find(default_rules.name).is_none() => {
            &first.name
        }
        _ => default_rules.name,
    };
    let name = if wish.room.is_empty() { default } else { &wish.room };
    if let Some(id) = state.rooms.find(name) {
        let players_max = settings.room_capacity();
        let has_place = state.rooms.get(id).is_some_and(|r| r.members().len() < players_max);
        return if has_place { Ok(id) } else { Err(NoPlace::Full) };
    }
    if !settings.rooms_open {
        return Err(NoPlace::NoRoom);
    }
    // There is always room for the rooms of those who name none.
    if state.rooms.len() >= settings.rooms_max && rules::named(name).is_none() {
        return Err(NoPlace::Full);
    }
    // A room that is called like its rules is where those go who name none: nobody changes it.
    let rules = rules::named(name).or(wish.rules).or_else(|| rules::for_room(name));
    let rules = rules.unwrap_or(default_rules);
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
