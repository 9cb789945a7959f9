//! Connections that wait to be read or written to.

use std::collections::VecDeque;

use crate::server::ConnId;

/// How many entries at the end of the queue are searched for one of the new connections.
const LOOK_BACK: usize = 8;

/// A queue without duplicates: each connection has a flag that is set while it is in the queue.
#[derive(Debug, Default)]
pub struct Queue {
    ids: VecDeque<ConnId>,
    /// How many connections were taken so far.
    taken: u64,
}

impl Queue {
    /// Appends a connection, unless its flag `is_here` is set: it is already in the queue.
    pub fn push(&mut self, id: ConnId, is_here: &mut bool) {
        if !std::mem::replace(is_here, true) {
            self.ids.push_back(id);
        }
    }

    /// Takes the first connection. The caller must clear its flag.
    pub fn pop(&mut self) -> Option<ConnId> {
        self.taken += u64::from(!self.ids.is_empty());
        self.ids.pop_front()
    }

    /// The connections, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = ConnId> {
        self.ids.iter().copied()
    }

    /// The position behind the last connection.
    pub fn end(&self) -> u64 {
        self.taken + self.ids.len() as u64
    }

    /// Whether all connections before a position were taken.
    pub fn has_reached(&self, position: u64) -> bool {
        self.taken >= position
    }

    /// The number of connections.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Rotates `new_ids`, which have the same order each time, so that they continue after the
    /// last of them that is in the queue. So all of them are served equally often, even if there is
    /// never time for all. Without it the last ones would always wait.
    pub fn rotate_behind_last(&self, new_ids: &mut [ConnId]) {
        // The last entries may be other connections, such as those of pages.
        let position = |last: &ConnId| new_ids.iter().position(|id| id == last);
        if let Some(at) = self.ids.iter().rev().take(LOOK_BACK).find_map(position) {
            new_ids.rotate_left(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_served_as_often_when_there_is_no_time_for_all() {
        let all: Vec<_> = (0..100).map(|slot| ConnId { slot, serial: 1 }).collect();
        for capacity in [2, 30, 90, 99, 101] {
            let mut queue = Queue::default();
            let mut is_here = [false; 101];
            let mut served = [0_usize; 101];
            for _ in 0..50 {
                let mut dirty = all.clone();
                queue.rotate_behind_last(&mut dirty);
                for id in dirty {
                    queue.push(id, &mut is_here[id.slot as usize]);
                }
                // A page is requested now and then, and is served with the others.
                queue.push(ConnId { slot: 100, serial: 1 }, &mut is_here[100]);
                for _ in 0..capacity {
                    let Some(id) = queue.pop() else { break };
                    is_here[id.slot as usize] = false;
                    served[id.slot as usize] += 1;
                }
            }
            let players = &served[..100];
            let (least, most) = (players.iter().min(), players.iter().max());
            let spread = most.zip(least).map(|(most, least)| most - least);
            assert!(spread <= Some(1), "{players:?} with room for {capacity}");
        }
    }
}
