//! The facts that wait for one client, in order. For a slow client a newer one may supersede an
//! older one.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::{Encoded, Lane};
use crate::limits::PACKET_BYTES;
use crate::time::Tick;

/// The subject of a fact, by player number, so that a long queue need not keep all facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// One player, and the kind of the fact. A newer fact of this kind supersedes one that waits,
    /// unless one that must be sent, and is about the same player, stands between them.
    Newest(u32, u8),
    /// One player; the fact must be sent.
    Always(u32),
    /// Several players; all of it must be sent.
    Many,
    /// Worth nothing if it is late: dropped for a slow client.
    Volatile,
}

/// A fact that waits.
#[derive(Debug)]
struct Waiting {
    /// `None` if a newer one has superseded it.
    bytes: Option<Encoded>,
    /// Whether others held the bytes, too, when it was queued.
    is_shared: bool,
    /// Its topic, and the tick on which the first state was made that shows it.
    about: Option<(Topic, Tick)>,
}

impl Waiting {
    fn encoded(&self) -> Option<&Encoded> {
        self.bytes.as_ref()
    }

    fn topic(&self) -> Option<Topic> {
        self.about.map(|(topic, _)| topic)
    }

    /// Whether a state that was made on `tick` does not show it.
    fn is_after(&self, tick: Tick) -> bool {
        self.about.is_some_and(|(_, shown)| shown.is_after(tick))
    }
}

/// Facts that wait, in order.
#[derive(Debug, Default)]
pub struct Facts {
    queue: VecDeque<Waiting>,
    /// The number of facts in the queue that are not superseded.
    count: usize,
    bytes: usize,
    /// The part of `bytes` that is held for this client alone.
    own_bytes: usize,
    /// The number of facts that have left the queue.
    popped: usize,
    /// Where the newest facts are; kept while facts are merged.
    newest: Option<Newest>,
}

/// The positions of the newest facts, counted from the first one ever queued.
#[derive(Debug, Default)]
struct Newest {
    /// Of each [`Topic::Newest`].
    superseded: HashMap<(u32, u8), usize, BuildHasherDefault<TopicHasher>>,
    /// Of each [`Topic::Always`].
    sent: HashMap<u32, usize, BuildHasherDefault<TopicHasher>>,
}

/// A fast hash of the numbers of players and kinds, which the server chooses.
#[derive(Debug, Default)]
struct TopicHasher(u64);

impl Hasher for TopicHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u32(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio: its high bits depend on all bits of the number.
        let mixed = self.0.rotate_left(32) ^ u64::from(number);
        self.0 = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(32)
    }
}

impl Newest {
    /// Adds a fact at a position. Returns the position of the one that it supersedes.
    fn add(&mut self, topic: Topic, position: usize) -> Option<usize> {
        match topic {
            Topic::Newest(subject, kind) => {
                let older = self.superseded.insert((subject, kind), position)?;
                let is_open = self.sent.get(&subject).is_none_or(|sent| *sent < older);
                is_open.then_some(older)
            }
            Topic::Always(subject) => {
                self.sent.insert(subject, position);
                None
            }
            Topic::Many => {
                *self = Newest::default();
                None
            }
            Topic::Volatile => None,
        }
    }
}

impl Facts {
    /// Queues a fact, with its topic and the tick on which the first state will be made that shows
    /// it, if it has them; with `merges`, it may supersede an older one, and volatile ones are
    /// dropped.
    pub fn push(&mut self, fact: Encoded, about: Option<(Topic, Tick)>, merges: bool) {
        let is_volatile = |topic: Option<Topic>| topic == Some(Topic::Volatile);
        if !merges {
            self.newest = None;
        } else if self.newest.is_none() {
            for position in 0..self.queue.len() {
                if is_volatile(self.queue[position].topic()) {
                    self.remove(self.popped + position);
                }
            }
            self.newest = Some(self.index());
        }
        if merges && is_volatile(about.map(|(topic, _)| topic)) {
            return;
        }
        let position = self.popped + self.queue.len();
        if let (Some(newest), Some((topic, _))) = (&mut self.newest, about)
            && let Some(older) = newest.add(topic, position)
        {
            self.remove(older);
        }
        let is_shared = fact.is_shared();
        self.count += 1;
        self.bytes += fact.bytes().len();
        self.own_bytes += if is_shared { 0 } else { fact.bytes().len() };
        self.queue.push_back(Waiting { bytes: Some(fact), is_shared, about });
        if self.queue.len() > 2 * self.count + SUPERSEDED_MAX {
            self.queue.retain(|fact| fact.bytes.is_some());
            self.newest = Some(self.index());
        }
    }

    /// Removes the fact at a position, unless it has left the queue.
    fn remove(&mut self, position: usize) {
        let fact =
            position.checked_sub(self.popped).and_then(|position| self.queue.get_mut(position));
        if let Some(fact) = fact
            && let Some(bytes) = fact.bytes.take()
        {
            let is_shared = fact.is_shared;
            self.removed(&bytes, is_shared);
        }
    }

    fn removed(&mut self, fact: &Encoded, is_shared: bool) {
        self.count -= 1;
        self.bytes -= fact.bytes().len();
        self.own_bytes -= if is_shared { 0 } else { fact.bytes().len() };
    }

    /// The positions of the newest facts, back to the last one about several players.
    fn index(&self) -> Newest {
        let is_many = |fact: &Waiting| fact.topic() == Some(Topic::Many);
        let start = self.queue.iter().rposition(is_many).map_or(0, |position| position + 1);
        let mut newest = Newest::default();
        for (position, fact) in self.queue.iter().enumerate().skip(start) {
            if let Some(topic) = fact.topic() {
                newest.add(topic, self.popped + position);
            }
        }
        newest
    }

    /// Takes the oldest fact, with the tick on which the first state is made that shows it. `None`
    /// if an update of the tick `update` goes first.
    pub(super) fn pop(&mut self, update: Option<Tick>) -> Option<(Encoded, Option<Tick>)> {
        loop {
            let is_after = |fact: &Waiting| update.is_some_and(|tick| fact.is_after(tick));
            if self.queue.front().is_some_and(is_after) {
                return None;
            }
            let Waiting { bytes, is_shared, about } = self.queue.pop_front()?;
            self.popped += 1;
            if let Some(bytes) = bytes {
                self.removed(&bytes, is_shared);
                if self.queue.is_empty() {
                    *self = Facts::default();
                }
                return Some((bytes, about.map(|(_, shown)| shown)));
            }
        }
    }

    /// All facts, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Encoded> {
        self.queue.iter().filter_map(Waiting::encoded)
    }

    /// All facts with their lanes, oldest first.
    pub fn lanes(&self) -> impl Iterator<Item = (&Encoded, Lane)> {
        let lane = |fact: &Waiting| match fact.about {
            Some((topic, shown)) => Lane::About(topic, shown),
            None => Lane::Fact,
        };
        self.queue.iter().filter_map(move |fact| Some((fact.bytes.as_ref()?, lane(fact))))
    }

    /// The facts that go before an update that was made on `tick`, and those behind it, oldest
    /// first.
    pub fn around(
        &self,
        tick: Tick,
    ) -> (impl Iterator<Item = &Encoded>, impl Iterator<Item = &Encoded>) {
        let before = self.queue.iter().take_while(move |fact| !fact.is_after(tick));
        let behind = self.queue.iter().skip_while(move |fact| !fact.is_after(tick));
        let bytes = Waiting::encoded;
        (before.filter_map(bytes), behind.filter_map(bytes))
    }

    /// The number of facts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of all facts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that they take for this client: their entries in the queue, and the bytes
    /// that were not encoded for others, too.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.own_bytes + self.count * PACKET_BYTES
    }
}

/// Superseded facts that a queue keeps at most, besides twice as many as there are others.
const SUPERSEDED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superseded_facts_take_little_memory() {
        let mut facts = Facts::default();
        let enc = |text: &str| Encoded::from(text.as_bytes());
        facts.push(enc("first "), None, true);
        for number in 0..10_000_u32 {
            facts.push(enc("hit "), Some((Topic::Newest(number % 10, 0), Tick(number))), true);
        }
        assert_eq!((facts.len(), facts.bytes()), (11, 46));
        assert!(facts.queue.len() <= 2 * 11 + SUPERSEDED_MAX, "{}", facts.queue.len());
        assert_eq!(facts.pop(None), Some((enc("first "), None)));
        for number in 9_990..10_000 {
            assert_eq!(facts.pop(None), Some((enc("hit "), Some(Tick(number)))));
        }
        assert!(facts.is_empty());
    }

    #[test]
    fn what_others_hold_takes_only_an_entry() {
        let mut facts = Facts::default();
        let hit = Encoded::from(&b"a hit of many"[..]);
        facts.push(hit.clone(), Some((Topic::Newest(1, 0), Tick(1))), true);
        facts.push(Encoded::from(&b"an answer"[..]), None, false);
        assert_eq!((facts.bytes(), facts.held_bytes()), (22, 9 + 2 * PACKET_BYTES));
        // It does not change while the fact waits.
        drop(hit);
        assert_eq!(facts.held_bytes(), 9 + 2 * PACKET_BYTES);
        facts.pop(None);
        assert_eq!(facts.held_bytes(), 9 + PACKET_BYTES);
        facts.pop(None);
        assert_eq!(facts.held_bytes(), 0);
    }
}
