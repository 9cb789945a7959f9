//! Rooms: a world each, those who play in it, and the bytes that tell its state.
//!
//! A noun: the verbs read and change it.

use std::collections::BTreeMap;

use slab::Slab;
use tracing::info;

use super::ids::{RoomId, SessionId};
use crate::game::{Event, World};
use crate::limits::ROOM_EMPTY_MS;
use crate::time::Millis;
use crate::wire::Broadcast;

/// One room.
#[derive(Debug)]
pub struct Room {
    /// Its name.
    pub name: Box<str>,
    /// What happens in it.
    pub world: World,
    /// What has happened in it and was not published yet.
    pub events: Vec<Event>,
    /// The bytes of its newest state.
    pub broadcast: Broadcast,
    members: Vec<SessionId>,
    /// Since when nobody is in it; `NEVER` if somebody is, or if the room is always there.
    empty_since: Millis,
    is_permanent: bool,
}

impl Room {
    /// Those who play in it, in no order.
    #[must_use]
    pub fn members(&self) -> &[SessionId] {
        &self.members
    }

    /// Adds a member, behind the others.
    pub fn admit(&mut self, session: SessionId) {
        self.members.push(session);
        self.empty_since = Millis::NEVER;
    }

    /// Removes the member at `place` and answers who stands there now, if anybody.
    pub fn dismiss(&mut self, place: usize, now: Millis) -> Option<SessionId> {
        self.members.swap_remove(place);
        if self.members.is_empty() && !self.is_permanent {
            self.empty_since = now;
        }
        self.members.get(place).copied()
    }
}

/// All rooms.
#[derive(Debug, Default)]
pub struct Rooms {
    slab: Slab<Room>,
    by_name: BTreeMap<Box<str>, RoomId>,
    /// Rooms in which something may have happened that was not published yet.
    eventful: Vec<RoomId>,
}

impl Rooms {
    /// The room called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(name).copied()
    }

    /// Makes a room; there must be none of that name.
    pub fn make(&mut self, name: &str, world: World, is_permanent: bool, now: Millis) -> RoomId {
        let empty_since = if is_permanent { Millis::NEVER } else { now };
        let slot = self.slab.insert(Room {
            name: name.into(),
            world,
            events: Vec::new(),
            broadcast: Broadcast::default(),
            members: Vec::new(),
            empty_since,
            is_permanent,
        });
        let id = RoomId(slot as u32);
        let before = self.by_name.insert(name.into(), id);
        debug_assert!(before.is_none(), "one room a name");
        id
    }

    /// The room.
    #[must_use]
    pub fn get(&self, id: RoomId) -> Option<&Room> {
        self.slab.get(id.0 as usize)
    }

    /// The room.
    pub fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.slab.get_mut(id.0 as usize)
    }

    /// Something may have happened in a room.
    pub fn mark_eventful(&mut self, id: RoomId) {
        self.eventful.push(id);
    }

    /// The next room in which something may have happened.
    pub fn next_eventful(&mut self) -> Option<RoomId> {
        self.eventful.pop()
    }

    /// Rooms that there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// All rooms by name.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().filter_map(|id| self.get(*id))
    }

    /// All rooms, in the order of their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (RoomId, &mut Room)> {
        self.iter_mut_and_eventful().0
    }

    /// All rooms, in the order of their slots, and beside them those in which something may have
    /// happened.
    pub fn iter_mut_and_eventful(
        &mut self,
    ) -> (impl Iterator<Item = (RoomId, &mut Room)>, &mut Vec<RoomId>) {
        let rooms = self.slab.iter_mut().map(|(slot, room)| (RoomId(slot as u32), room));
        (rooms, &mut self.eventful)
    }

    /// Forgets a room in which nobody is.
    pub fn remove(&mut self, id: RoomId) {
        if let Some(room) = self.slab.try_remove(id.0 as usize) {
            debug_assert!(room.members.is_empty(), "a room is held by its members");
            self.by_name.remove(&room.name);
        }
    }

    /// Forgets the rooms that have been empty for long.
    pub fn remove_empty(&mut self, now: Millis) {
        let is_over = |room: &Room| room.empty_since.after(ROOM_EMPTY_MS) <= now;
        let over: Vec<RoomId> =
            self.iter_mut().filter(|(_, room)| is_over(room)).map(|(id, _)| id).collect();
        for id in over {
            if let Some(room) = self.get(id) {
                info!(room = %room.name, "room closed after being empty");
            }
            self.remove(id);
        }
    }
}
