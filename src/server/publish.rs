//! Worlds advance by a tick, facts go to the clients of each room, and states become owed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::{info, warn};

use super::fault::{self, FaultPoint};
use super::ids::{Link, RoomId, SessionId};
use super::socketio::session::Transport;
use super::state::State;
use super::{end, lobby, memory, panics, send};
use crate::close::CloseReason;
use crate::game::{Event, Fact, PlayerId};
use crate::limits::{DELIVERIES_A_TICK, KEYFRAME_BYTES_A_TICK, MERGES_A_TICK};
use crate::outbox::{Encoded, Lane, Topic};
use crate::time::Millis;
use crate::wire::{Dialect, OWNER_FIELDS, Owe};

/// Lets the bots act, and advances all worlds by one tick. In a shutdown no bot takes the place of
/// a person that leaves.
pub fn step(state: &mut State) {
    let State { rooms, endings, metrics, fault_hook, player_numbers, drain, .. } = state;
    let (rooms, with_facts) = rooms.iter_mut_and_with_facts();
    for (id, room) in rooms {
        let result = catch_unwind(AssertUnwindSafe(|| {
            fault::point(*fault_hook, FaultPoint::World(&room.name));
            let people = if drain.is_some() { 0 } else { room.people() };
            room.bots.act(people, &mut room.world, &mut room.facts, player_numbers);
            room.world.tick(&mut room.facts);
        }));
        if result.is_err() {
            metrics.panics += 1;
            panics::end_room(endings, id, room);
        } else if room.has_new_facts() {
            with_facts.push(id);
        }
    }
}

/// Sends the new facts of each room, in order, to the clients whose dialect has facts. Joins and
/// leaves wait for another fact or for the next frame, so that many cost little more than one.
/// Owner-only fields go to their owner at once, in every dialect. Returns whether anything was
/// sent.
pub fn facts(state: &mut State, now: Millis) -> bool {
    let mut was_any = false;
    while let Some(id) = state.rooms.next_with_facts() {
        match panics::caught(state, |state| new_facts(state, id, now)) {
            Some(had_any) => was_any |= had_any,
            None => {
                was_any = true;
                end_room(state, id);
            }
        }
    }
    was_any
}

fn end_room(state: &mut State, id: RoomId) {
    if let Some(room) = state.rooms.get_mut(id) {
        panics::end_room(&mut state.endings, id, room);
    }
}

/// Encodes the new facts of a room, and sends them unless they may wait. Owner-only fields never
/// wait.
fn new_facts(state: &mut State, id: RoomId, now: Millis) -> bool {
    let Some(room) = state.rooms.get_mut(id) else { return false };
    if !room.has_new_facts() {
        return false;
    }
    fault::point(state.fault_hook, FaultPoint::Facts(&room.name));
    let first = std::mem::replace(&mut room.facts_encoded, room.facts.len());
    let new = &room.facts[first..];
    let may_wait = may_wait(new, room.encodings.has_unsent());
    let owners = owners(new);
    for dialect in Dialect::ALL {
        if room.needs_facts(dialect) {
            room.encodings.encode_facts(dialect, &room.facts[first..], &room.world);
        }
    }
    let has_room_fields = new.iter().any(|fact| fact.event == Event::RoomFields);
    let needs_welcome = has_room_fields && room.has_members_with(Dialect::V1);
    if !may_wait {
        send_facts(state, id, now);
    }
    send_owner_fields(state, id, &owners, now);
    if needs_welcome {
        send_welcomes(state, id, now);
    }
    !may_wait || !owners.is_empty() || needs_welcome
}

/// Sends the fields of a room that have changed to the clients that have them from WELCOME.
fn send_welcomes(state: &mut State, id: RoomId, now: Millis) {
    let Some(room) = state.rooms.get(id) else { return };
    let has_v1 = |id: &SessionId| {
        let session = state.sessions.get(*id)?;
        (session.view.dialect == Dialect::V1).then_some(*id)
    };
    let members: Vec<SessionId> = room.members().iter().filter_map(has_v1).collect();
    for member in members {
        lobby::welcome(state, member, None, now);
    }
}

/// Whether new facts may wait: they are joins, leaves, and fields of the room that follow from
/// them, or follow others that wait. Owner-only fields are sent apart.
fn may_wait(new: &[Fact], mut is_behind: bool) -> bool {
    new.iter().all(|fact| match fact.event {
        Event::Joined(_) | Event::Left(_) => {
            is_behind = true;
            true
        }
        Event::OwnerFields(_) => true,
        Event::RoomFields => is_behind,
        Event::Respawned(_) | Event::Own { .. } => false,
    })
}

/// Sends the facts of a room that were not sent yet, in order.
fn send_facts(state: &mut State, id: RoomId, now: Millis) {
    let Some(room) = state.rooms.get_mut(id) else { return };
    let unsent = room.encodings.take_unsent();
    for dialect in Dialect::ALL {
        let facts: Vec<(Topic, Encoded)> = unsent
            .iter()
            .filter(|fact| fact.dialect == dialect)
            .map(|fact| (fact.topic, fact.bytes.clone()))
            .collect();
        send_facts_in(state, id, dialect, &facts, now);
    }
}

/// Sends facts to the clients of a dialect.
fn send_facts_in(
    state: &mut State,
    id: RoomId,
    dialect: Dialect,
    facts: &[(Topic, Encoded)],
    now: Millis,
) {
    let State { rooms, sessions, .. } = state;
    let Some(room) = rooms.get_mut(id) else { return };
    let (topic, all) = match facts {
        [] => return,
        [(topic, only)] => (*topic, only.clone()),
        several => {
            let bytes = several.iter().flat_map(|(_, fact)| fact.bytes()).copied();
            (Topic::Many, Encoded::from(bytes.collect::<Vec<u8>>()))
        }
    };
    // The next frame is the first to show them.
    let shown = room.frame_made.next();
    let receives = |member: &SessionId| {
        let session = sessions.get(*member)?;
        let is_receiver = session.view.dialect == dialect && session.view.receives_facts();
        is_receiver.then_some(session.link)
    };
    let links: Vec<Link> = room.members().iter().filter_map(receives).collect();
    for link in links {
        let may_merge = (2..=state.merges_left).contains(&facts.len());
        // A slow reader gets single facts, so that newer ones may replace older ones.
        if may_merge && send::merges(state, link) {
            state.merges_left -= facts.len();
            send::merged(state, link, facts, shown, now);
        } else {
            send::client(state, link, all.clone(), Lane::About(topic, shown), now);
        }
    }
}

/// The players whose owner-only fields have changed, in order.
fn owners(facts: &[Fact]) -> Vec<PlayerId> {
    let owner = |fact: &Fact| match fact.event {
        Event::OwnerFields(player) => Some(player),
        _ => None,
    };
    let mut owners: Vec<PlayerId> = facts.iter().filter_map(owner).collect();
    owners.sort_unstable();
    owners
}

/// Sends owner-only fields that have changed to their owners, in one pass over the members.
fn send_owner_fields(state: &mut State, id: RoomId, owners: &[PlayerId], now: Millis) {
    let State { rooms, sessions, .. } = state;
    let Some(room) = rooms.get(id) else { return };
    if owners.is_empty() {
        return;
    }
    let own = |member: &SessionId| {
        let session = sessions.get(*member)?;
        owners.binary_search(&session.view.player()).ok()?;
        Some((session.link, session.view.own(&room.world)?))
    };
    let sent: Vec<(Link, Encoded)> = room.members().iter().filter_map(own).collect();
    let lane = Lane::About(OWNER_FIELDS, room.frame_made.next());
    for (link, own) in sent {
        send::client(state, link, own, lane, now);
    }
}

/// Sends the facts that have waited, makes the frame of each room, and its state owed to the
/// clients whose rate is due on this tick. If there is too much to compress, the rooms take turns.
pub fn state(state: &mut State, now: Millis) {
    let view_bytes = state.settings.view_bytes as usize;
    state.encoder.begin_tick(KEYFRAME_BYTES_A_TICK.max(state.sessions.len() * view_bytes));
    state.poll_gzip.clear();
    state.out_of_credit.clear();
    state.merges_left = MERGES_A_TICK;
    let slots = state.rooms.slots();
    let first = state.first_room_slot.min(slots);
    for slot in (first..slots).chain(0..first) {
        let Some(id) = state.rooms.in_slot(slot) else { continue };
        if panics::caught(state, |state| room_state(state, id, now)).is_none() {
            end_room(state, id);
        }
    }
    if state.tick.is_due_at(1) {
        memory::rooms_changed(state);
    }
    advance_overload(state);
}

fn advance_overload(state: &mut State) {
    let State { overload, metrics, admission, .. } = state;
    let before = overload.step();
    if !overload.advance(metrics.turn_work.sum(), metrics.ticks_missed) {
        return;
    }
    admission.is_overloaded = !overload.admits_players();
    let (step, hz_max, busy) = (overload.step(), overload.hz_max(), overload.busy_percent());
    match step > before {
        true => {
            metrics.overload_steps += 1;
            warn!(step, hz_max, busy_percent = busy, "overloaded; clients receive fewer states");
        }
        false => info!(step, hz_max, busy_percent = busy, "less overloaded"),
    }
}

fn room_state(state: &mut State, id: RoomId, now: Millis) {
    send_facts(state, id, now);
    let Some(room) = state.rooms.get_mut(id) else { return };
    fault::point(state.fault_hook, FaultPoint::State(&room.name));
    room.renew_frame(state.tick, state.settings.view_bytes);
    state.metrics.changes_held_back += u64::from(room.encodings.held_back());
    let tick = room.frame.tick();
    let hz_max = state.overload.hz_max();
    let full_state_hz_max = room.full_state_hz_max(&state.settings).min(hz_max);
    let (mut written, mut unwritten) = (0, 0);
    let mut too_slow = Vec::new();
    for id in room.members() {
        let Some(session) = state.sessions.get_mut(*id) else { continue };
        session.view.hz_max = match session.view.dialect.sends_all_players() {
            true => full_state_hz_max,
            false => hz_max,
        };
        let owed = session.view.owe(tick);
        match owed {
            Owe::Nothing => continue,
            Owe::NoCredit => {
                state.metrics.snapshots_without_credit += 1;
                if session.view.is_out_of_credit() && state.out_of_credit.len() < DELIVERIES_A_TICK
                {
                    state
                        .out_of_credit
                        .extend(send::websocket_of(&state.eio_sessions, session.link));
                }
                continue;
            }
            Owe::TooSlow => {
                too_slow.push(session.link);
                continue;
            }
            Owe::Late | Owe::Due => {}
            Owe::Skipped => state.metrics.snapshots_skipped += 1,
        }
        let websocket = match session.link {
            Link::Conn(link) => Some(link),
            Link::Eio(link) => match state.eio_sessions.get(link).map(|eio| eio.transport) {
                Some(Transport::WebSocket(link)) => Some(link),
                Some(Transport::Polling(polling)) if polling.poll.is_some() => {
                    state.eio_sessions.mark_poll(link);
                    None
                }
                _ => None,
            },
        };
        let Some(link) = websocket else { continue };
        state.conns.mark_dirty(link);
        match owed {
            Owe::Due => written += 1,
            // Its socket takes more, but its turn has not come since the last state.
            Owe::Skipped if state.conns.get(link).is_some_and(|it| !it.backlog.is_stalled()) => {
                unwritten += 1;
            }
            _ => {}
        }
    }
    state.overload.record(written, unwritten);
    for link in too_slow {
        end::link(state, link, CloseReason::Slow, now);
    }
}
