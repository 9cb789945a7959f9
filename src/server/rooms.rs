//! Rooms: a world, its members, and what they receive of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use slab::Slab;
use tracing::info;

use super::admission::Network;
use super::bots::Bots;
use super::ids::{RoomId, SessionId};
use super::seats::{LoneRooms, Seats};
use crate::config::Serve;
use crate::game::{Fact, Frame, World};
use crate::time::{Millis, TICKS_PER_SECOND, Tick, rate_hz};
use crate::wire::{Dialect, Encodings, News};

/// A room.
#[derive(Debug)]
pub struct Room {
    pub name: Box<str>,
    pub world: World,
    /// What has happened since the frame, in order.
    pub facts: Vec<Fact>,
    /// The number of `facts` that were encoded, and sent unless they may wait.
    pub facts_encoded: usize,
    /// The world on its last tick.
    pub frame: Frame,
    /// The server's tick on which the frame was made. Unlike the ticks of worlds, it orders what
    /// a client receives from one room after another.
    pub frame_made: Tick,
    /// What is encoded of the frame and of the facts since.
    pub encodings: Encodings,
    /// The seats of its players by address.
    seats: Seats,
    /// The players of the server in it.
    pub bots: Bots,
    members: Vec<SessionId>,
    /// The number of players whose clients were lost and may come back.
    absent: usize,
    /// The number of members of each dialect, in the order of [`Dialect::ALL`].
    members_by_dialect: [usize; Dialect::ALL.len()],
    /// Since when it is empty; `NEVER` if it is not, or if it is permanent.
    empty_since: Millis,
    is_permanent: bool,
    /// Whether it ends in this turn, after a panic.
    is_ending: bool,
    serial: u32,
}

impl Room {
    /// The clients in it, in no order.
    #[must_use]
    pub fn members(&self) -> &[SessionId] {
        &self.members
    }

    /// What it has for its clients, and the encoded forms of it.
    pub fn news(&mut self) -> (News<'_>, &mut Encodings) {
        let Room { frame, facts, world, encodings, .. } = self;
        (News { frame, facts, world }, encodings)
    }

    /// The seats of its players by address.
    #[must_use]
    pub fn seats(&self) -> &Seats {
        &self.seats
    }

    /// The network that has all its seats, unless it is permanent.
    fn lone(&self) -> Option<Network> {
        if self.is_permanent { None } else { self.seats.only() }
    }

    /// Its players but for bots: those whose clients are in it, and those that wait for theirs.
    #[must_use]
    pub fn people(&self) -> usize {
        self.members.len() + self.absent
    }

    /// Its players, bots included.
    #[must_use]
    pub fn players(&self) -> usize {
        self.people() + self.bots.len()
    }

    /// The maximum number of its players for one that joins in this dialect.
    #[must_use]
    pub fn capacity(&self, settings: &Serve, dialect: Dialect) -> usize {
        let players_max = self.world.rules().players_max();
        match dialect.sends_all_players() {
            true => settings.full_state_capacity(players_max),
            false => settings.room_players_max(players_max),
        }
    }

    /// The maximum number of its players.
    #[must_use]
    pub fn players_max(&self, settings: &Serve) -> usize {
        let capacities = Dialect::ALL.iter().map(|dialect| self.capacity(settings, *dialect));
        capacities.max().unwrap_or_default()
    }

    /// The rate of full states at most: above `--full-state-players-max` players they take no more
    /// bytes per client than with as many.
    #[must_use]
    pub fn full_state_hz_max(&self, settings: &Serve) -> u8 {
        let hz = TICKS_PER_SECOND as usize;
        let players = self.world.bodies().len().max(1);
        rate_hz((hz * settings.full_state_players_max / players).clamp(1, hz) as u8)
    }

    /// The number of its members that use this dialect.
    #[must_use]
    pub fn members_with(&self, dialect: Dialect) -> usize {
        self.members_by_dialect[dialect as usize]
    }

    /// Whether a member uses this dialect.
    #[must_use]
    pub fn has_members_with(&self, dialect: Dialect) -> bool {
        self.members_with(dialect) > 0
    }

    /// Whether something has happened that was not encoded yet.
    #[must_use]
    pub fn has_new_facts(&self) -> bool {
        self.facts_encoded < self.facts.len()
    }

    /// Replaces the frame with the world as it is now, on this tick of the server. A client of
    /// skirmish.v1 receives about `view_bytes` on a tick.
    pub fn renew_frame(&mut self, tick: Tick, view_bytes: u32) {
        debug_assert!(!self.has_new_facts(), "facts are encoded before the frame that lists them");
        self.frame.renew(&self.world, &mut self.facts);
        self.frame_made = tick;
        self.facts_encoded = 0;
        if self.absent == 0 && !self.has_members_with(Dialect::Events) {
            self.encodings.drop_facts();
        }
        let has_v1 = self.has_members_with(Dialect::V1);
        self.encodings.renew(&self.frame, has_v1, view_bytes);
    }

    /// From here on clients may recover that missed facts.
    pub fn keep_facts(&mut self) {
        self.encodings.keep_facts(self.frame.tick());
    }

    /// Whether someone receives facts in this dialect, or may do so later.
    #[must_use]
    pub fn needs_facts(&self, dialect: Dialect) -> bool {
        let is_needed = self.has_members_with(dialect) || self.encodings.keeps_facts();
        dialect.has_facts() && is_needed
    }

    /// Marks the room as ending. Returns whether it was not ending before.
    pub fn begin_end(&mut self) -> bool {
        !std::mem::replace(&mut self.is_ending, true)
    }

    /// Whether it ends in this turn.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// A player stays without a client.
    pub fn add_absent(&mut self) {
        self.absent += 1;
        self.empty_since = Millis::NEVER;
    }

    /// A player without a client has one again, or leaves.
    pub fn remove_absent(&mut self, now: Millis) {
        self.absent -= 1;
        self.check_empty(now);
    }

    fn check_empty(&mut self, now: Millis) {
        if self.people() == 0 && !self.is_permanent {
            self.empty_since = now;
        }
    }

    /// Adds a member at the end.
    pub fn add_member(&mut self, session: SessionId, dialect: Dialect) {
        if self.members.len() == self.members.capacity() {
            // As the bodies of the world do: many rooms are small and stay so.
            self.members.reserve_exact(2 + self.members.len() / 4);
        }
        self.members.push(session);
        self.members_by_dialect[dialect as usize] += 1;
        self.empty_since = Millis::NEVER;
    }

    /// Removes the member at `index`, whose dialect is `dialect`. Returns the member that now has
    /// this index, if any.
    pub fn remove_member(
        &mut self,
        index: u32,
        dialect: Dialect,
        now: Millis,
    ) -> Option<SessionId> {
        self.members.swap_remove(index as usize);
        self.members_by_dialect[dialect as usize] -= 1;
        self.check_empty(now);
        self.members.get(index as usize).copied()
    }
}

/// All rooms.
#[derive(Debug, Default)]
pub struct Rooms {
    /// A room is large, so unused slots hold only a pointer.
    slab: Slab<Box<Room>>,
    serial: u32,
    by_name: BTreeMap<Box<str>, RoomId>,
    /// Rooms that may have new facts.
    with_facts: Vec<RoomId>,
    lone: LoneRooms,
}

impl Rooms {
    /// The room with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(name).copied()
    }

    /// Makes a room, on this tick of the server; a room without a time since when it is empty is
    /// permanent. No room may have this name.
    pub fn make(
        &mut self,
        name: &str,
        world: World,
        bots: Bots,
        tick: Tick,
        empty_since: Millis,
    ) -> RoomId {
        self.serial = self.serial.wrapping_add(1);
        let slot = self.slab.insert(Box::new(Room {
            name: name.into(),
            frame: Frame::of(&world),
            frame_made: tick,
            world,
            facts: Vec::new(),
            facts_encoded: 0,
            encodings: Encodings::default(),
            seats: Seats::default(),
            bots,
            members: Vec::new(),
            absent: 0,
            members_by_dialect: [0; Dialect::ALL.len()],
            empty_since,
            is_permanent: empty_since == Millis::NEVER,
            is_ending: false,
            serial: self.serial,
        }));
        let id = RoomId { slot: slot as u32, serial: self.serial };
        let before = self.by_name.insert(name.into(), id);
        debug_assert!(before.is_none(), "room names are unique");
        id
    }

    #[must_use]
    pub fn get(&self, id: RoomId) -> Option<&Room> {
        let room = self.slab.get(id.slot as usize)?;
        (room.serial == id.serial).then_some(room)
    }

    pub fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        let room = self.slab.get_mut(id.slot as usize)?;
        (room.serial == id.serial).then_some(room)
    }

    /// Records that a room may have new facts.
    pub fn mark_facts(&mut self, id: RoomId) {
        self.with_facts.push(id);
    }

    /// Takes a room that may have new facts.
    pub fn next_with_facts(&mut self) -> Option<RoomId> {
        self.with_facts.pop()
    }

    /// The number of rooms.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// All rooms, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().filter_map(|id| self.get(*id))
    }

    /// The number of slots. Some may be empty.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slab.capacity() as u32
    }

    /// The room in a slot.
    #[must_use]
    pub fn in_slot(&self, slot: u32) -> Option<RoomId> {
        Some(RoomId { slot, serial: self.slab.get(slot as usize)?.serial })
    }

    /// All rooms, in the order of their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (RoomId, &mut Room)> {
        self.iter_mut_and_with_facts().0
    }

    /// All rooms, in the order of their slots, and the list of rooms that may have new facts.
    pub fn iter_mut_and_with_facts(
        &mut self,
    ) -> (impl Iterator<Item = (RoomId, &mut Room)>, &mut Vec<RoomId>) {
        let id = |slot, room: &Room| RoomId { slot: slot as u32, serial: room.serial };
        let rooms = self.slab.iter_mut().map(move |(slot, room)| (id(slot, room), &mut **room));
        (rooms, &mut self.with_facts)
    }

    /// A player of an address has a seat in a room. Players that are exempt have none.
    pub fn take_seat(&mut self, id: RoomId, peer: IpAddr) {
        self.change_seats(id, |seats| seats.add(peer));
    }

    /// A player of an address has lost its seat in a room.
    pub fn free_seat(&mut self, id: RoomId, peer: IpAddr) {
        self.change_seats(id, |seats| seats.remove(peer));
    }

    fn change_seats(&mut self, id: RoomId, change: impl FnOnce(&mut Seats)) {
        let Some(room) = self.get_mut(id) else { return };
        let before = room.lone();
        change(&mut room.seats);
        let after = room.lone();
        self.lone.change(before, after);
    }

    /// Of `rooms_max` rooms, the one that must end for a room of `peer`: the newest of the network
    /// that is alone in the most rooms, if it has more than its share.
    #[must_use]
    pub fn lone_room_for(&self, peer: IpAddr, rooms_max: usize) -> Option<RoomId> {
        self.newest_lone_room_of(self.lone.giver_for(peer, rooms_max)?)
    }

    /// The newest room of the network that is alone in the most, if these are more than its share
    /// of all rooms, and more than `least`.
    #[must_use]
    pub fn lone_room(&self, least: u32) -> Option<RoomId> {
        self.newest_lone_room_of(self.lone.giver(self.len(), least)?)
    }

    fn newest_lone_room_of(&self, network: Network) -> Option<RoomId> {
        let is_given = |room: &Room| {
            let has_only = room.people() == room.seats.len() as usize;
            let may_end = !room.is_permanent && !room.is_ending;
            may_end && has_only && room.seats.only() == Some(network)
        };
        let given = self.slab.iter().filter(|(_, room)| is_given(room));
        let newest = given.max_by_key(|(_, room)| room.serial);
        newest.map(|(slot, room)| RoomId { slot: slot as u32, serial: room.serial })
    }

    /// Removes a room. After a panic it may still have members, whose sessions have ended.
    pub fn remove(&mut self, id: RoomId) {
        if let Some(room) = self.get(id) {
            self.lone.change(room.lone(), None);
            let room = self.slab.remove(id.slot as usize);
            self.by_name.remove(&room.name);
        }
    }

    /// Removes the rooms that have been empty for `span_ms`.
    pub fn remove_empty(&mut self, span_ms: u64, now: Millis) {
        let is_over = |room: &Room| room.empty_since.after(span_ms) <= now;
        let over: Vec<RoomId> =
            self.iter_mut().filter(|(_, room)| is_over(room)).map(|(id, _)| id).collect();
        for id in over {
            if let Some(room) = self.get(id) {
                info!(room = %room.name, "empty room removed");
            }
            self.remove(id);
        }
    }
}
