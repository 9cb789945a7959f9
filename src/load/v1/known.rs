//! The bodies that a client has asked about with WHO, once each.

use std::collections::VecDeque;

use crate::codec::v1::client::WHO_MAX;

/// Least time between two WHOs.
const WHO_US: u64 = 250_000;

/// The known bodies. Takes a byte for each slot, and two for each slot that waits.
#[derive(Debug, Default)]
pub struct Known {
    /// By slot: the generation of the last body in it, plus 1; 0 if there was none. A generation of
    /// 255 is asked about each time.
    generations: Vec<u8>,
    /// Slots to ask about.
    wanted: VecDeque<u16>,
    asked_us: Option<u64>,
}

impl Known {
    /// The client sees a body.
    pub fn see(&mut self, slot: u16, generation: u8) {
        let index = usize::from(slot);
        if index >= self.generations.len() {
            self.generations.resize(index + 1, 0);
        }
        let known = generation.wrapping_add(1);
        if std::mem::replace(&mut self.generations[index], known) != known || known == 0 {
            self.wanted.push_back(slot);
        }
    }

    /// The bodies for a WHO; `None` if there is none, or the last one was sent too recently.
    pub fn next_who(&mut self, now_us: u64) -> Option<Vec<(u16, u8)>> {
        let is_due = self.asked_us.is_none_or(|asked_us| now_us >= asked_us + WHO_US);
        if self.wanted.is_empty() || !is_due {
            return None;
        }
        self.asked_us = Some(now_us);
        let count = self.wanted.len().min(WHO_MAX);
        let generation = |slot| self.generations[usize::from(slot)].wrapping_sub(1);
        let bodies = self.wanted.drain(..count).map(|slot| (slot, generation(slot))).collect();
        if self.wanted.is_empty() {
            self.wanted = VecDeque::new();
        }
        Some(bodies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_body_is_asked_about_once_and_at_a_bounded_rate() {
        let mut known = Known::default();
        assert_eq!(known.next_who(0), None);
        (0..100).for_each(|slot| known.see(slot, 7));
        (0..100).for_each(|slot| known.see(slot, 7));
        let first = known.next_who(5).unwrap();
        assert_eq!((first.len(), first[0], first[63]), (64, (0, 7), (63, 7)));
        assert_eq!(known.next_who(5 + WHO_US - 1), None);
        assert_eq!(known.next_who(5 + WHO_US).unwrap().len(), 36);
        known.see(99, 8);
        assert_eq!(known.next_who(5 + 2 * WHO_US), Some(vec![(99, 8)]));
        assert_eq!(known.next_who(u64::MAX), None);
    }
}
