//! Worlds advance by a tick, facts go to the clients of each room, and states become owed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::endings::Ended;
use super::fault::{self, FaultPoint};
use super::ids::{EioId, Link, RoomId};
use super::socketio::session::Transport;
use super::state::State;
use super::{panics, send};
use crate::close::CloseReason;
use crate::game::{Event, Fact, PlayerId};
use crate::outbox::{Encoded, Lane, Topic};
use crate::time::Millis;
use crate::wire::{Encoding, events, json};

/// Advances all worlds by one tick.
pub fn step(state: &mut State) {
    let State { rooms, endings, metrics, fault_hook, .. } = state;
    let (rooms, eventful) = rooms.iter_mut_and_eventful();
    for (id, room) in rooms {
        let result = catch_unwind(AssertUnwindSafe(|| {
            fault::point(*fault_hook, FaultPoint::World(&room.name));
            room.world.tick(&mut room.facts);
        }));
        if result.is_err() {
            metrics.panics += 1;
            endings.push(Ended::Room(id), CloseReason::Fault);
        } else if !room.facts.is_empty() {
            eventful.push(id);
        }
    }
}

/// Sends the facts of each room, in order, to the clients that receive facts. The JSON dialect has
/// none: its state shows the outcome. Owner-only fields go to their owner in every dialect. Returns
/// whether there were any facts.
pub fn facts(state: &mut State, now: Millis) -> bool {
    let mut was_any = false;
    while let Some(id) = state.rooms.next_eventful() {
        match panics::caught(state, |state| room_facts(state, id, now)) {
            Some(had_any) => was_any |= had_any,
            None => {
                was_any = true;
                state.endings.push(Ended::Room(id), CloseReason::Fault);
            }
        }
    }
    was_any
}

fn room_facts(state: &mut State, id: RoomId, now: Millis) -> bool {
    let Some(room) = state.rooms.get_mut(id) else { return false };
    if room.facts.is_empty() {
        return false;
    }
    fault::point(state.fault_hook, FaultPoint::Facts(&room.name));
    let mut facts = std::mem::take(&mut room.facts);
    if room.has_listeners() {
        send_facts(state, id, &facts, now);
    }
    send_owner_fields(state, id, &facts, now);
    facts.clear();
    // Kept for its capacity.
    if let Some(room) = state.rooms.get_mut(id).filter(|room| room.facts.is_empty()) {
        room.facts = facts;
    }
    true
}

fn send_facts(state: &mut State, id: RoomId, facts: &[Fact], now: Millis) {
    let Some(room) = state.rooms.get(id) else { return };
    let listeners: Vec<EioId> = room
        .members()
        .iter()
        .filter_map(|member| state.sessions.get(*member))
        .filter(|session| session.has_roster)
        .filter_map(|session| match session.link {
            Link::Eio(link) => Some(link),
            Link::Conn(_) => None,
        })
        .collect();
    if listeners.is_empty() {
        return;
    }
    let world = &room.world;
    let facts: Vec<(Topic, Encoded)> = facts
        .iter()
        .filter_map(|fact| {
            Some((events::topic(fact.event, world.rules()), events::fact(fact, world)?))
        })
        .collect();
    if facts.is_empty() {
        return;
    }
    let all: Vec<u8> = facts.iter().flat_map(|(_, fact)| fact.bytes()).copied().collect();
    let all = Encoded::from(all);
    for link in listeners {
        // A slow reader gets single facts, so that newer ones may replace older ones.
        if send::merges(state, link) {
            for (topic, fact) in &facts {
                send::packet(state, link, fact.clone(), Lane::About(*topic), now);
            }
        } else {
            send::packet(state, link, all.clone(), Lane::About(Topic::Many), now);
        }
    }
}

/// Sends owner-only fields to their owners, in one pass over the members.
fn send_owner_fields(state: &mut State, id: RoomId, facts: &[Fact], now: Millis) {
    let owner = |fact: &Fact| match fact.event {
        Event::OwnerFields(player) => Some(player),
        _ => None,
    };
    let mut owners: Vec<PlayerId> = facts.iter().filter_map(owner).collect();
    if owners.is_empty() {
        return;
    }
    owners.sort_unstable();
    let Some(room) = state.rooms.get(id) else { return };
    let sessions = room.members().iter().filter_map(|member| state.sessions.get(*member));
    let packets: Vec<(Link, Encoded)> = sessions
        .filter(|session| owners.binary_search(&session.player).is_ok())
        .filter_map(|session| {
            let own = match session.link {
                Link::Conn(_) => json::own(session.player, &room.world),
                // The roster contains them.
                Link::Eio(_) if !session.has_roster => None,
                Link::Eio(_) => events::own(session.player, &room.world),
            };
            Some((session.link, own?))
        })
        .collect();
    for (link, own) in packets {
        match link {
            Link::Conn(link) => send::frame(state, link, own, Lane::Fact, now),
            Link::Eio(link) => send::packet(state, link, own, Lane::Fact, now),
        }
    }
}

/// Makes each room's state owed to the clients whose rate is due on this tick, and encodes the full
/// state where a dialect has one.
pub fn state(state: &mut State) {
    for id in state.rooms.ids() {
        if panics::caught(state, |state| room_state(state, id)).is_none() {
            state.endings.push(Ended::Room(id), CloseReason::Fault);
        }
    }
}

fn room_state(state: &mut State, id: RoomId) {
    let Some(room) = state.rooms.get_mut(id) else { return };
    fault::point(state.fault_hook, FaultPoint::State(&room.name));
    let tick = room.world.now();
    let mut is_json_due = false;
    for id in room.members() {
        let Some(session) = state.sessions.get_mut(*id) else { continue };
        if !tick.is_due_at(session.hz) {
            continue;
        }
        is_json_due |= session.encoding == Encoding::Json;
        state.metrics.snapshots_skipped += u64::from(session.owe(tick));
        match session.link {
            Link::Conn(link) => state.conns.mark_dirty(link),
            Link::Eio(link) => match state.eio_sessions.get(link).map(|eio| eio.transport) {
                Some(Transport::WebSocket(link)) => state.conns.mark_dirty(link),
                Some(Transport::Polling(polling)) if polling.poll.is_some() => {
                    state.eio_sessions.mark_poll(link);
                }
                _ => {}
            },
        }
    }
    if is_json_due {
        room.broadcast.renew(&room.world, &mut state.scratch);
    }
}
