//! Connections that wait for their turn.

use std::collections::VecDeque;

use crate::server::ConnId;

/// A queue in which nobody stands twice: who stands in it is noted with the connection itself.
#[derive(Debug, Default)]
pub struct Queue {
    ids: VecDeque<ConnId>,
}

impl Queue {
    /// Puts a connection at the end, unless it stands here: `is_here` says so.
    pub fn push(&mut self, id: ConnId, is_here: &mut bool) {
        if !std::mem::replace(is_here, true) {
            self.ids.push_back(id);
        }
    }

    /// Takes the connection at the front out. Note with it that it is no longer here.
    pub fn pop(&mut self) -> Option<ConnId> {
        self.ids.pop_front()
    }

    /// How many stand here.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Turns `newcomers`, who come in the same order each time, so that they continue behind
    /// whoever stands last here. If there is never time for all of them, each is served as often as
    /// any other; without it, those who come last would always be the ones to wait.
    pub fn continue_in(&self, newcomers: &mut [ConnId]) {
        if let Some(last) = self.ids.back()
            && let Some(at) = newcomers.iter().position(|id| id == last)
        {
            newcomers.rotate_left(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_served_less_often_when_there_is_no_time_for_all() {
        let everybody: Vec<_> = (0..100).map(|slot| ConnId { slot, serial: 1 }).collect();
        for capacity in [1, 30, 90, 99, 100] {
            let mut queue = Queue::default();
            let mut is_here = [false; 100];
            let mut served = [0_usize; 100];
            for _ in 0..50 {
                let mut dirty = everybody.clone();
                queue.continue_in(&mut dirty);
                for id in dirty {
                    queue.push(id, &mut is_here[id.slot as usize]);
                }
                for _ in 0..capacity {
                    let Some(id) = queue.pop() else { break };
                    is_here[id.slot as usize] = false;
                    served[id.slot as usize] += 1;
                }
            }
            let fair = 50 * capacity / 100;
            assert!(
                served.iter().all(|count| (fair..=fair + 1).contains(count)),
                "{served:?} of {fair} with room for {capacity}"
            );
        }
    }
}
