//! Worlds go on by a tick, and what is new is owed to those who play in them.
//!
//! A verb: called on each tick, and for each connection that the reactor writes to.

use std::io::IoSlice;

use super::engine::Transport;
use super::ids::{ConnId, EngineId, Link};
use super::state::State;
use crate::outbox::{Encoded, Lane, StateTaken, Topic};
use crate::time::Millis;
use crate::wire::{Encoding, events};

/// All worlds go on by one tick.
pub fn step(state: &mut State) {
    let (rooms, eventful) = state.rooms.iter_mut_and_eventful();
    for (id, room) in rooms {
        state.at_work.room = Some(id);
        room.world.tick(&mut room.events);
        // At once: if the next world is broken, this one has still gone on.
        if !room.events.is_empty() {
            eventful.push(id);
        }
    }
    state.at_work.room = None;
}

/// Tells what has happened to those who get it as events, in order. The JSON dialect has no facts:
/// its state shows them. Answers whether there was anything to tell.
pub fn facts(state: &mut State, now: Millis) -> bool {
    let mut was_any = false;
    while let Some(id) = state.rooms.next_eventful() {
        let Some(room) = state.rooms.get_mut(id) else { continue };
        if room.events.is_empty() {
            continue;
        }
        was_any = true;
        let events = std::mem::take(&mut room.events);
        let listeners: Vec<EngineId> = room
            .members()
            .iter()
            .filter_map(|member| state.sessions.get(*member))
            .filter(|session| session.is_introduced)
            .filter_map(|session| match session.link {
                Link::Engine(link) => Some(link),
                Link::Conn(_) => None,
            })
            .collect();
        let facts: Vec<(Topic, Encoded)> = events
            .into_iter()
            .filter_map(|event| Some((events::topic(event), events::fact(event, &room.world)?)))
            .collect();
        if listeners.is_empty() || facts.is_empty() {
            continue;
        }
        let all: Vec<u8> = facts.iter().flat_map(|(_, fact)| fact.bytes()).copied().collect();
        let all = Encoded::from(all);
        for link in listeners {
            // Where it is crowded each stands for itself, so that some may be merged.
            if state.is_crowded(link) {
                for (topic, fact) in &facts {
                    state.send_packet(link, fact.clone(), Lane::About(*topic), now);
                }
            } else {
                state.send_packet(link, all.clone(), Lane::About(Topic::Many), now);
            }
        }
    }
    was_any
}

/// Makes the state of each room, and owes it to those whose rate says that it is time.
pub fn state(state: &mut State) {
    for (id, room) in state.rooms.iter_mut() {
        state.at_work.room = Some(id);
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
                Link::Engine(link) => {
                    match state.engines.get(link).map(|engine| engine.transport) {
                        Some(Transport::WebSocket(link)) => state.conns.mark_dirty(link),
                        Some(Transport::Polling(polling)) if polling.poll.is_some() => {
                            state.engines.mark_ripe(link);
                        }
                        _ => {}
                    }
                }
            }
        }
        if is_json_due {
            room.broadcast.renew(&room.world, &mut state.scratch);
        }
    }
    state.at_work.room = None;
}

/// Shows the reactor what goes next to a connection: control, facts, and the state if it is owed
/// one.
pub fn slices<'a>(state: &'a mut State, id: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
    if state.conns.get(id).is_some_and(|conn| conn.outbox.takes_state())
        && let Some(session) = state.session_over(id)
        && let Some(bytes) = state.show_state(session)
        && let Some(conn) = state.conns.get_mut(id)
    {
        conn.outbox.offer_state(bytes);
    }
    state.conns.get(id).map_or(0, |conn| conn.outbox.slices(slices))
}

/// The kernel took `taken` bytes of the `shown` ones.
pub fn written(state: &mut State, id: ConnId, taken: usize, shown: usize, now: Millis) {
    if state.conns.get(id).is_none() {
        return;
    }
    state.metrics.bytes_out += taken as u64;
    state.metrics.short_writes += u64::from(taken < shown);
    let taken = state.conns.written(id, (taken, shown), &state.limits, now);
    if taken == StateTaken::None {
        return;
    }
    let session = state.session_over(id).and_then(|id| state.sessions.get_mut(id));
    // It may be the state of a client that went before, over the same WebSocket.
    if let Some(session) = session.filter(|session| session.was_shown()) {
        session.is_introduced = true;
        if taken == StateTaken::Whole {
            session.settle();
        }
    }
    state.metrics.snapshots += u64::from(taken == StateTaken::Whole);
}
