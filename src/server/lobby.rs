//! Players join and leave rooms, and rooms are made.

use std::borrow::Cow;
use std::net::IpAddr;

use rand::RngExt;
use tracing::{error, info};

use super::bots::Bots;
use super::conn::Class;
use super::end;
use super::endings::Ended;
use super::ids::{ConnId, EioId, Link, Owner, RoomId, SessionId};
use super::join_request::{JoinRequest, Resume};
use super::membership::{self, Joiner};
use super::player_log::{self, Departure};
use super::resume::{self, Resumed};
use super::rooms::Room;
use super::socketio::packets;
use super::state::State;
use super::tokens::TokenHash;
use super::{leave, memory, send, shares};
use crate::close::CloseReason;
use crate::config::Serve;
use crate::game::{PlayerId, Rules, World};
use crate::limits::{CONNECTS, MOVE_CREDIT_MAX};
use crate::metrics::Refusal;
use crate::outbox::Lane;
use crate::time::Millis;
use crate::wire::events::Auth;
use crate::wire::{Offset, ResumeToken, Welcome};

/// Why a client cannot join.
enum JoinError {
    /// The room or the server is full for now, or all player numbers are used.
    Full,
    /// The room does not exist and cannot be made: only the rooms of `--room` exist.
    NoRoom,
}

/// A client that is in its room.
struct Joined {
    session: SessionId,
    /// Its new token, if it has asked for one.
    token: Option<String>,
    /// The packets that it has missed, if it has recovered.
    missed: Option<Vec<u8>>,
}

/// The sentence for [`JoinError::NoRoom`].
const NO_ROOM: &str = "This server has no such room.";

/// Joins the client of a plain WebSocket, or closes it.
pub fn join(state: &mut State, link: ConnId, join_request: JoinRequest, now: Millis) {
    let Some(conn) = state.conns.get(link) else { return };
    let (peer, dialect) = (conn.peer, join_request.dialect);
    let joiner = Joiner { link: Link::Conn(link), peer, dialect, is_asked: false };
    let joined = match conn.class {
        Class::OverLimit => Err(JoinError::Full),
        _ => resume_or_join(state, joiner, join_request, now),
    };
    match joined {
        Ok(Joined { session, token, .. }) => {
            // From here on the end of the connection ends the session.
            if let Some(conn) = state.conns.get_mut(link) {
                conn.set_owner(Owner::Session(session));
            }
            welcome(state, session, token.as_deref(), now);
        }
        Err(JoinError::Full) => {
            state.metrics.count_refusal(Refusal::Full);
            end::with_retry_hint(state, link, CloseReason::Full, now);
        }
        Err(JoinError::NoRoom) => {
            state.metrics.count_refusal(Refusal::NoRoom);
            let last = end::close_frame(1008, NO_ROOM);
            end::connection(state, link, CloseReason::Policy, Some(last), now);
        }
    }
}

/// Joins the client of a Socket.IO session, or refuses with `CONNECT_ERROR`; it may try again.
pub fn connect(
    state: &mut State,
    link: EioId,
    namespace: &'static str,
    auth: Option<&str>,
    now: Millis,
) {
    let Some(eio) = state.eio_sessions.get_mut(link) else { return };
    let (peer, is_exempt) = (eio.client, eio.is_exempt);
    let Some(socketio) = eio.socketio.as_mut() else { return };
    if !socketio.connects.take(CONNECTS, 1, now) {
        return state.endings.push(Ended::Eio(link), CloseReason::TooFast);
    }
    if socketio.is_over_limit {
        refuse_join(state, link, namespace, Refusal::Full, now);
        return state.endings.push(Ended::Eio(link), CloseReason::Full);
    }
    let is_retry = std::mem::replace(&mut socketio.has_joined, true);
    let auth = auth.map(Auth::decode).unwrap_or_default();
    let Auth { room, rules, name, acks, resume, pid, offset } = auth;
    let join_request = socketio.join_request.clone().resuming(resume.as_deref());
    let mut join_request = match join_request.with(
        &state.games,
        room.map(Cow::Owned),
        rules.map(Cow::Owned),
        name.map(Cow::Owned),
    ) {
        Ok(join_request) => join_request,
        Err(sentence) => return packets::refuse(state, link, namespace, &sentence, None, now),
    };
    let has_asked = join_request.resume != Resume::No;
    if state.settings.recovery {
        join_request.resume =
            recovery(state, join_request.resume, pid.as_deref(), offset.as_deref());
    }
    // The handshake has counted for the first attempt.
    let comes_back = state.tokens.has(join_request.resume.token());
    let admitted = state.admission.admit(peer, is_exempt, is_retry, comes_back, now);
    if let Err(refusal) = admitted {
        return refuse_join(state, link, namespace, refusal, now);
    }
    let dialect = join_request.dialect;
    let joiner = Joiner { link: Link::Eio(link), peer, dialect, is_asked: acks };
    match resume_or_join(state, joiner, join_request, now) {
        Ok(Joined { session, token, missed }) => {
            let socketio = state.eio_sessions.get_mut(link).and_then(|eio| eio.socketio.as_mut());
            if let Some(socketio) = socketio {
                socketio.session = Some(session);
                state.eio_sessions.unjoined.remove(link);
                state.admission.unjoined_ended(peer);
            }
            let Some(player) = state.sessions.get(session).map(|it| it.view.player()) else {
                return;
            };
            let pid = if missed.is_some() { pid } else { token.clone() };
            let pid = pid.filter(|_| state.settings.recovery);
            let connected =
                packets::join_namespace(state, link, namespace, player.0, pid.as_deref());
            send::packet(state, link, connected, Lane::Fact, now);
            match missed {
                Some(missed) if missed.is_empty() => {}
                Some(missed) => send::packet(state, link, missed.into(), Lane::Fact, now),
                None => welcome(state, session, token.as_deref().filter(|_| has_asked), now),
            }
        }
        Err(JoinError::Full) => refuse_join(state, link, namespace, Refusal::Full, now),
        Err(JoinError::NoRoom) => {
            state.metrics.count_refusal(Refusal::NoRoom);
            packets::refuse(state, link, namespace, NO_ROOM, None, now);
        }
    }
}

/// What a client of Socket.IO says about a resume if all may recover: a private id is a token, and
/// a client that presents none gets one.
fn recovery(state: &State, resume: Resume, pid: Option<&str>, last: Option<&str>) -> Resume {
    let token = pid.and_then(TokenHash::of).filter(|token| state.tokens.has(Some(*token)));
    match (token, last.and_then(Offset::parse)) {
        (Some(token), Some(last)) => Resume::Recover(token, last),
        (Some(token), None) => Resume::With(token),
        (None, _) if resume == Resume::No => Resume::Ask,
        (None, _) => resume,
    }
}

/// Refuses a join for now, and sends when to try again.
fn refuse_join(state: &mut State, link: EioId, namespace: &str, why: Refusal, now: Millis) {
    state.metrics.count_refusal(why);
    let retry_ms = Some(end::retry_ms(state));
    packets::refuse(state, link, namespace, "full", retry_ms, now);
}

/// Gives a client its player back, or adds a player to the room that it asks for.
fn resume_or_join(
    state: &mut State,
    joiner: Joiner,
    join_request: JoinRequest,
    now: Millis,
) -> Result<Joined, JoinError> {
    let JoinRequest { resume, .. } = join_request;
    let resumed = match resume {
        Resume::Recover(token, last) => resume::take_back(state, joiner, token, Some(last), now),
        Resume::With(token) => resume::take_back(state, joiner, token, None, now),
        Resume::No | Resume::Ask => Resumed::Unknown,
    };
    let (session, presented) = match resumed {
        Resumed::Recovered(session, missed) => {
            return Ok(Joined { session, token: None, missed: Some(missed) });
        }
        Resumed::Yes(session) => (session, resume.token()),
        Resumed::Full => return Err(JoinError::Full),
        Resumed::Unknown => {
            let room = find_or_make_room(state, &join_request, joiner.peer, now)?;
            (add_player(state, joiner, room, join_request.name, now)?, None)
        }
    };
    let token = match resume {
        Resume::No => None,
        _ => resume::issue(state, session, presented),
    };
    Ok(Joined { session, token, missed: None })
}

/// The client of a plain WebSocket presents a token, or asks for one, in its first message. It gets
/// another `init`: of the player of the token, if it is valid, or of the one that it has.
pub fn resume(state: &mut State, id: SessionId, token: &str, now: Millis) {
    let Some(session) = state.sessions.get(id) else { return };
    let Link::Conn(link) = session.link else { return };
    let (peer, dialect) = (session.peer, session.view.dialect);
    let joiner = Joiner { link: Link::Conn(link), peer, dialect, is_asked: false };
    let presented = TokenHash::of(token);
    let resumed = match presented {
        // Its own token would close its own connection.
        Some(token) if session.token.as_ref().is_none_or(|own| own.hash != token) => {
            resume::take_back(state, joiner, token, None, now)
        }
        _ => Resumed::Unknown,
    };
    let (session, presented) = match resumed {
        Resumed::Yes(session) => {
            if let Some(conn) = state.conns.get_mut(link) {
                conn.set_owner(Owner::Session(session));
            }
            // It has played only until its client came back to the other one.
            if let Some(departure) = Departure::of(state, id, now) {
                departure.log(state, "left", CloseReason::Replaced.label());
            }
            leave::remove(state, id, now);
            if let Some(session) = state.sessions.get_mut(session) {
                session.has_sent = true;
            }
            (session, presented)
        }
        Resumed::Unknown | Resumed::Full | Resumed::Recovered(..) => (id, None),
    };
    let token = resume::issue(state, session, presented);
    welcome(state, session, token.as_deref(), now);
}

/// Sends a client the first message of its dialect, with its `token` if that is new.
pub fn welcome(state: &mut State, id: SessionId, token: Option<&str>, now: Millis) {
    let Some(session) = state.sessions.get(id) else { return };
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    let players_max = room.players_max(&state.settings);
    let Room { name, world, encodings, .. } = room;
    let silence_ms = state.policy.limits.silence_ms;
    let resume_s = state.settings.resume_s;
    let token = token.map(|text| ResumeToken { text, resume_s });
    let welcome = Welcome { room: name, world, players_max, now, silence_ms, token };
    let link = session.link;
    match session.view.welcome(&welcome, encodings) {
        Some(welcome) => send::client(state, link, welcome, Lane::Fact, now),
        None => end::link(state, link, CloseReason::Full, now),
    }
}

/// Adds a player to a room's world, and its session.
fn add_player(
    state: &mut State,
    joiner: Joiner,
    room_id: RoomId,
    name: Option<Box<str>>,
    now: Millis,
) -> Result<SessionId, JoinError> {
    let Joiner { peer, .. } = joiner;
    let room = state.rooms.get_mut(room_id).ok_or(JoinError::Full)?;
    let player = PlayerId(state.player_numbers.take().ok_or(JoinError::Full)?);
    room.world.join(player, name, &mut room.facts);
    let session = membership::begin(state, joiner, room_id, player, now).ok_or(JoinError::Full)?;
    membership::take_seat(state, room_id, peer);
    player_log::joined(state, session);
    state.rooms.mark_facts(room_id);
    state.metrics.joins += 1;
    Ok(session)
}

/// Ends the clients of a room after a panic, and then the room.
pub fn end_clients(state: &mut State, id: RoomId, reason: CloseReason, now: Millis) {
    let Some(room) = state.rooms.get(id) else { return };
    error!(room = %room.name, "room closed after a panic");
    for member in room.members().to_vec() {
        let Some(link) = state.sessions.get(member).map(|session| session.link) else { continue };
        end::link(state, link, reason, now);
        // The players leave before the room is removed, whatever their connections wait for.
        state.endings.push(Ended::Session(member), reason);
    }
    state.endings.push(Ended::EmptyRoom(id), reason);
}

/// Removes a room whose clients have ended. A permanent room is made again.
pub fn remove_room(state: &mut State, id: RoomId, now: Millis) {
    for absent in state.tokens.remove_room(id) {
        player_log::absent_left(state, &absent, CloseReason::Fault.label(), now);
        state.admission.absence_ended(absent.peer);
    }
    state.rooms.remove(id);
    // Its rules were checked at the start.
    let _ = make_permanent_rooms(state);
}

/// The client of a Socket.IO session disconnects from the namespace. It may connect again within
/// the connect timeout.
pub fn disconnect(state: &mut State, link: EioId, now: Millis) {
    let connect_by = now.after(state.policy.connect_timeout_ms(&state.settings));
    let Some(eio) = state.eio_sessions.get_mut(link) else { return };
    let (client, is_exempt) = (eio.client, eio.is_exempt);
    let Some(socketio) = eio.socketio.as_mut() else { return };
    if let Some(session) = socketio.session.take() {
        socketio.connect_by = connect_by;
        if !is_exempt {
            state.eio_sessions.unjoined.insert(link, client);
        }
        state.admission.unjoined_began(client, now);
        leave::client(state, session, CloseReason::ClientClosed, now);
    }
}

/// Finds the room that a client asks for, or makes it.
fn find_or_make_room(
    state: &mut State,
    join_request: &JoinRequest,
    peer: IpAddr,
    now: Millis,
) -> Result<RoomId, JoinError> {
    if memory::delete_empty_rooms(state, now) {
        return Err(JoinError::Full);
    }
    let default_game = state.games.named_or_default(join_request.dialect.default_game());
    let name = room_name(state, join_request, default_game);
    if let Some(id) = state.rooms.find(&name) {
        let has_seat = shares::has_seat(state, id, join_request.dialect, peer, now);
        return if has_seat { Ok(id) } else { Err(JoinError::Full) };
    }
    let name = &*name;
    if !state.settings.rooms_open {
        return Err(JoinError::NoRoom);
    }
    // The default rooms can always be made.
    let is_full = state.rooms.len() >= state.settings.rooms_max;
    if is_full && state.games.named(name).is_none() && !shares::may_make_room(state, peer, now) {
        return Err(JoinError::Full);
    }
    let State { settings, games, rooms, rng, tick, .. } = state;
    // A client must not change the rules of a room that is named like its rules.
    let rules = games
        .named(name)
        .or(join_request.rules)
        .or_else(|| games.for_room(name))
        .unwrap_or(default_game);
    let (world, bots) = world(settings, name, rules, rng.random());
    info!(room = %name, rules = rules.name, "room made");
    Ok(rooms.make(name, world, bots, *tick, now))
}

/// The world of a new room, and its bots.
fn world(settings: &Serve, name: &str, rules: &'static Rules, seed: u64) -> (World, Bots) {
    let ground = rules.ground_with(settings.map);
    (World::on(ground, rules, seed, MOVE_CREDIT_MAX), bots(settings, name, rules))
}

fn bots(settings: &Serve, name: &str, rules: &Rules) -> Bots {
    Bots::up_to(settings.bots_of(name).min(settings.full_state_capacity(rules.players_max())))
}

/// The name of the room that a client asks for. Without one it is the name of the requested rules,
/// or else of the default game; if that room cannot be made, it is the first `--room`.
fn room_name(state: &State, join_request: &JoinRequest, default_game: &Rules) -> Box<str> {
    if !join_request.room.is_empty() {
        return join_request.room.as_str().into();
    }
    let default = join_request.rules.unwrap_or(default_game).name;
    match state.settings.room.first() {
        Some(first) if !state.settings.rooms_open && state.rooms.find(default).is_none() => {
            first.name.as_str().into()
        }
        _ => default.into(),
    }
}

/// Makes a room with a world that another server has saved. A permanent room that was made at the
/// start and is still empty gives way.
pub fn restore_room(state: &mut State, name: &str, world: World, now: Millis) -> RoomId {
    if let Some(empty) = state.rooms.find(name) {
        state.rooms.remove(empty);
    }
    let State { settings, rooms, tick, .. } = state;
    let is_permanent = settings.room.iter().any(|named| named.name == name);
    let empty_since = if is_permanent { Millis::NEVER } else { now };
    let bots = bots(settings, name, world.rules());
    rooms.make(name, world, bots, *tick, empty_since)
}

/// Makes the permanent rooms that do not exist.
///
/// # Errors
/// One sentence, if a room has unknown rules.
pub fn make_permanent_rooms(state: &mut State) -> Result<(), String> {
    for named in &state.settings.room {
        let rules = state.games.named(&named.rules).ok_or_else(|| {
            let (name, unknown, names) = (&named.name, &named.rules, state.games.names());
            format!("unknown rules in --room {name}={unknown}; available: {names}.")
        })?;
        if state.rooms.find(&named.name).is_none() {
            let (world, bots) = world(&state.settings, &named.name, rules, state.rng.random());
            state.rooms.make(&named.name, world, bots, state.tick, Millis::NEVER);
        }
    }
    Ok(())
}
