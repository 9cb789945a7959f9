//! The slots of the bodies of a room: their numbers on the wire.

use std::collections::VecDeque;

use super::vec_bytes;
use crate::codec::v1::NO_SLOT;
use crate::game::{Body, PlayerId};
use crate::ordered;
use crate::time::Tick;

/// Ticks for which a slot is not used again, longer than any base.
const REST_TICKS: u32 = 64;

/// A slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Unique in the room.
    pub number: u16,
    /// Tells apart the bodies that have had the same number.
    pub generation: u8,
}

/// The slots of a room.
#[derive(Debug, Default)]
pub struct Slots {
    /// In the order of the players' numbers.
    of_players: Vec<(PlayerId, Slot)>,
    /// One more than the greatest number that was used.
    count: usize,
    /// Slots that were used, with their next generation and the tick on which they became free.
    free: VecDeque<(Slot, Tick)>,
    /// By number: the index of a body and its generation; `NONE` for no body.
    indices: Vec<(u32, u8)>,
}

const NONE: u32 = u32::MAX;

impl Slots {
    /// The slot of a player.
    #[must_use]
    pub fn of(&self, player: PlayerId) -> Option<Slot> {
        let index = self.index(player).ok()?;
        Some(self.of_players[index].1)
    }

    fn index(&self, player: PlayerId) -> Result<usize, usize> {
        ordered::search(&self.of_players, player.0, |(player, _)| player.0)
    }

    /// The slot of a player that joins, if there is one. It may have one already.
    pub fn take(&mut self, player: PlayerId, now: Tick) -> Option<Slot> {
        match self.index(player) {
            Ok(index) => Some(self.of_players[index].1),
            Err(index) => {
                let slot = self.unused(now)?;
                self.of_players.insert(index, (player, slot));
                Some(slot)
            }
        }
    }

    fn unused(&mut self, now: Tick) -> Option<Slot> {
        let has_rested = |freed: Tick| now.0.wrapping_sub(freed.0) >= REST_TICKS;
        let is_last = self.count >= usize::from(NO_SLOT);
        if self.free.front().is_some_and(|(_, freed)| has_rested(*freed) || is_last) {
            return self.free.pop_front().map(|(slot, _)| slot);
        }
        if is_last {
            return None;
        }
        self.count += 1;
        Some(Slot { number: self.count as u16 - 1, generation: 0 })
    }

    /// As many free slots, as if each had been used up to this generation.
    #[cfg(test)]
    pub fn used_up_to(generation: u8, count: u16, now: Tick) -> Slots {
        let freed = Tick(now.0.wrapping_sub(REST_TICKS));
        let free = (0..count).map(|number| (Slot { number, generation }, freed)).collect();
        Slots { count: count.into(), free, ..Slots::default() }
    }

    /// Gives a slot to each body that has none. `bodies` are in the order of their numbers.
    pub fn add(&mut self, bodies: &[Body], now: Tick) {
        let known = self.of_players.iter().map(|(player, _)| *player);
        if !known.eq(bodies.iter().map(|body| body.id)) {
            for body in bodies {
                self.take(body.id, now);
            }
        }
    }

    /// Frees the slots whose bodies are not among `bodies`, all of which have one.
    pub fn release(&mut self, bodies: &[Body], now: Tick) {
        let Slots { of_players, count, free, indices } = self;
        indices.clear();
        indices.resize(*count, (NONE, 0));
        let mut left = bodies.iter().zip(0..).peekable();
        of_players.retain(|(player, slot)| {
            while left.next_if(|(body, _)| body.id < *player).is_some() {}
            let Some((_, index)) = left.next_if(|(body, _)| body.id == *player) else {
                let generation = slot.generation.wrapping_add(1);
                free.push_back((Slot { generation, ..*slot }, now));
                return false;
            };
            indices[usize::from(slot.number)] = (index, slot.generation);
            true
        });
    }

    /// The bytes that they hold.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let Slots { of_players, count: _, free, indices } = self;
        let free_bytes = free.capacity() * size_of::<(Slot, Tick)>();
        vec_bytes(of_players) + free_bytes + vec_bytes(indices)
    }

    /// The player in a slot of this generation.
    #[cfg(test)]
    pub fn player(&self, slot: Slot) -> Option<PlayerId> {
        let found = self.of_players.iter().find(|(_, other)| *other == slot);
        found.map(|(player, _)| *player)
    }

    /// One more than the greatest number that was used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The slots of the bodies that were there at the last [`Slots::release`], in order, with the
    /// index of each body.
    pub fn by_number(&self) -> impl Iterator<Item = (Slot, usize)> + Clone {
        let used = self.indices.iter().enumerate().filter(|(_, (index, _))| *index != NONE);
        used.map(|(number, (index, generation))| {
            (Slot { number: number as u16, generation: *generation }, *index as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{DOTS, World};

    // T67
    #[test]
    fn a_slot_rests_and_then_has_another_generation() {
        let mut world = World::new(&DOTS, 1, 4);
        let (mut slots, mut facts) = (Slots::default(), Vec::new());
        let slot = |number, generation| Some(Slot { number, generation });
        for id in 1..=3 {
            world.join(PlayerId(id), None, &mut facts);
        }
        slots.add(world.bodies(), Tick(u32::MAX));
        assert_eq!(
            [1, 2, 3].map(|id| slots.of(PlayerId(id))),
            [slot(0, 0), slot(1, 0), slot(2, 0)]
        );
        world.leave(PlayerId(2), &mut facts);
        slots.release(world.bodies(), Tick(u32::MAX));
        assert_eq!(slots.player(Slot { number: 1, generation: 0 }), None);
        assert_eq!(slots.take(PlayerId(4), Tick(62)), slot(3, 0), "it rests");
        assert_eq!(slots.take(PlayerId(5), Tick(63)), slot(1, 1));
        assert_eq!(slots.take(PlayerId(5), Tick(70)), slot(1, 1));
        assert_eq!(slots.player(Slot { number: 1, generation: 1 }), Some(PlayerId(5)));
        assert_eq!(slots.player(Slot { number: 1, generation: 0 }), None);
    }

    #[test]
    fn all_slots_but_one_can_be_used() {
        let mut slots = Slots::default();
        for id in 0..u32::from(NO_SLOT) {
            assert!(slots.take(PlayerId(id), Tick(0)).is_some());
        }
        assert_eq!(slots.take(PlayerId(u32::MAX), Tick(0)), None);
        slots.release(&[], Tick(1));
        let soon = slots.take(PlayerId(u32::MAX), Tick(2));
        assert_eq!(soon, Some(Slot { number: 0, generation: 1 }), "there is no other");
    }
}
