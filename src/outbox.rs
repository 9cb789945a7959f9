//! The bytes to be written to one connection: their order, and short writes.
//!
//! `server/` pushes frames into it and offers state to it; the reactor takes slices from it and
//! reports how many bytes the kernel took. It knows no socket, no protocol and no limit. Facts
//! queue, state is owed (ARCHITECTURE.md, decision 1): there is a queue for facts and at most one
//! state, which is dropped again unless the kernel takes at least one byte of it.

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::rc::Rc;

/// Bytes ready for a socket: encoded once, shared by all clients that receive them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Rc<[u8]>);

impl Encoded {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Rc<[u8]>> for Encoded {
    fn from(bytes: Rc<[u8]>) -> Encoded {
        Encoded(bytes)
    }
}

impl From<&[u8]> for Encoded {
    fn from(bytes: &[u8]) -> Encoded {
        Encoded(Rc::from(bytes))
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Encoded {
        Encoded(Rc::from(bytes))
    }
}

/// The queue in which a frame waits. State has no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Frames of the transport itself: pings and pongs. They overtake facts that have not begun.
    Control,
    /// Facts, in order, none left out.
    Fact,
    /// Facts about players; see [`Topic`].
    About(Topic),
}

/// The subject of a fact, by player number, so that a long queue need not keep all facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// One player. A newer fact of this kind supersedes one that waits, unless another fact about
    /// the same player stands between them.
    Newest(u32),
    /// One player; the fact must be sent.
    Always(u32),
    /// Several players; all of it must be sent.
    Many,
}

/// Facts that wait, in order.
#[derive(Debug, Default)]
pub struct Facts {
    queue: VecDeque<(Encoded, Option<Topic>)>,
    bytes: usize,
    /// The number of facts that have left the queue.
    popped: usize,
    /// The position of the newest fact about each player, counted from the first one ever queued,
    /// and whether it may be replaced; kept while facts are merged.
    newest: Option<HashMap<u32, (usize, bool)>>,
}

impl Facts {
    /// Queues a fact; with `merges`, it may replace an older one.
    pub fn push(&mut self, fact: Encoded, topic: Option<Topic>, merges: bool) {
        self.bytes += fact.bytes().len();
        if !merges {
            self.newest = None;
        } else if self.newest.is_none() {
            self.newest = Some(self.index());
        }
        let place = self.popped + self.queue.len();
        if let Some(newest) = &mut self.newest {
            match topic {
                Some(Topic::Newest(subject)) => {
                    let older = newest.get(&subject).filter(|(_, is_replaceable)| *is_replaceable);
                    let older = older.and_then(|(place, _)| place.checked_sub(self.popped));
                    if let Some((older, _)) = older.and_then(|place| self.queue.get_mut(place)) {
                        self.bytes -= older.bytes().len();
                        *older = fact;
                        return;
                    }
                    newest.insert(subject, (place, true));
                }
                Some(Topic::Always(subject)) => {
                    newest.insert(subject, (place, false));
                }
                Some(Topic::Many) => newest.clear(),
                None => {}
            }
        }
        self.queue.push_back((fact, topic));
    }

    /// The positions of the newest facts, back to the last one about several players.
    fn index(&self) -> HashMap<u32, (usize, bool)> {
        let is_many = |(_, topic): &(Encoded, Option<Topic>)| *topic == Some(Topic::Many);
        let start = self.queue.iter().rposition(is_many).map_or(0, |place| place + 1);
        let mut newest = HashMap::new();
        for (place, (_, topic)) in self.queue.iter().enumerate().skip(start) {
            let place = self.popped + place;
            match topic {
                Some(Topic::Newest(subject)) => newest.insert(*subject, (place, true)),
                Some(Topic::Always(subject)) => newest.insert(*subject, (place, false)),
                Some(Topic::Many) | None => None,
            };
        }
        newest
    }

    /// Takes the oldest fact.
    pub fn pop(&mut self) -> Option<Encoded> {
        let (fact, _) = self.queue.pop_front()?;
        self.bytes -= fact.bytes().len();
        self.popped += 1;
        if self.queue.is_empty() {
            *self = Facts::default();
        }
        Some(fact)
    }

    /// All facts, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Encoded> {
        self.queue.iter().map(|(fact, _)| fact)
    }

    /// The number of facts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The bytes of all facts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What the kernel took of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateTaken {
    /// No byte.
    None,
    /// A part; the rest follows.
    Begun,
    /// Its last byte.
    Whole,
}

/// The bytes to be written to one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// A partly written frame; it is finished first.
    begun: Option<Begun>,
    /// A state offered for the flush in progress.
    state: Option<Encoded>,
    /// Everything else that waits; `None` while only states are sent, which is nearly always.
    queued: Option<Box<Queued>>,
    /// Nothing more may be queued.
    is_finished: bool,
    /// Bytes that wait, state aside.
    waiting_bytes: usize,
}

/// Frames that wait, in the order in which they are sent.
#[derive(Debug, Default)]
struct Queued {
    control: VecDeque<Encoded>,
    /// The newest pong.
    pong: Option<Encoded>,
    facts: Facts,
    /// The frame after everything else, states included.
    last: Option<Encoded>,
}

#[derive(Debug)]
struct Begun {
    frame: Encoded,
    taken_bytes: usize,
    is_state: bool,
}

impl Outbox {
    /// Queues `bytes` behind what waits in their lane; with `merges`, a newer fact may replace an
    /// older one (see [`Topic`]). After [`Outbox::finish`] it does nothing.
    pub fn push(&mut self, bytes: Encoded, lane: Lane, merges: bool) {
        debug_assert!(!bytes.bytes().is_empty(), "an empty buffer is never written");
        if self.is_finished {
            return;
        }
        self.waiting_bytes += bytes.bytes().len();
        let queued = self.queued.get_or_insert_default();
        match lane {
            Lane::Control => queued.control.push_back(bytes),
            Lane::Fact => queued.facts.push(bytes, None, merges),
            Lane::About(topic) => {
                let expected = queued.facts.bytes() + bytes.bytes().len();
                queued.facts.push(bytes, Some(topic), merges);
                // What was replaced no longer waits.
                self.waiting_bytes -= expected - queued.facts.bytes();
            }
        }
    }

    /// Queues a pong behind the control lane, in place of one that waits: the newest is enough
    /// (RFC 6455, 5.5.3).
    pub fn push_pong(&mut self, pong: Encoded) {
        if !self.is_finished {
            self.waiting_bytes += pong.bytes().len();
            if let Some(older) = self.queued.get_or_insert_default().pong.replace(pong) {
                self.waiting_bytes -= older.bytes().len();
            }
        }
    }

    /// Sets the last frame, such as a close frame: it goes after all facts, and no state precedes
    /// it unless it has begun. `None` ends the outbox without one.
    pub fn finish(&mut self, last: Option<Encoded>) {
        if !self.is_finished {
            self.is_finished = true;
            self.state = None;
            if let Some(last) = last {
                self.waiting_bytes += last.bytes().len();
                self.queued.get_or_insert_default().last = Some(last);
            }
        }
    }

    /// Whether a state may be offered: none is in progress, and the outbox is not finished.
    #[must_use]
    pub fn takes_state(&self) -> bool {
        let is_under_way = self.begun.as_ref().is_some_and(|begun| begun.is_state);
        !is_under_way && self.state.is_none() && !self.is_finished
    }

    /// Offers a state for the flush in progress. It is dropped unless the kernel takes some of it.
    pub fn offer_state(&mut self, bytes: Encoded) {
        debug_assert!(self.takes_state(), "one state at a time");
        self.state = Some(bytes);
    }

    /// Bytes that wait, state aside.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether nothing waits, state included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes == 0 && self.state.is_none() && self.begun.is_none()
    }

    /// Fills `slices` with what goes next, in order, and returns how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let rest = self.begun.iter().map(|begun| &begun.frame.bytes()[begun.taken_bytes..]);
        let queued = self.queued.as_deref();
        let before = queued.into_iter().flat_map(Queued::before_state);
        let last = queued.and_then(|queued| queued.last.as_ref());
        let whole = before.chain(&self.state).chain(last);
        let mut count = 0;
        for (bytes, slot) in rest.chain(whole.map(Encoded::bytes)).zip(slices) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// Records that the kernel took `bytes` of what the last `slices` showed. Returns how much of
    /// a state was among them.
    pub fn advance(&mut self, mut bytes: usize) -> StateTaken {
        let mut state = StateTaken::None;
        while bytes > 0 {
            let Some(mut begun) = self.begun.take().or_else(|| self.begin()) else {
                debug_assert!(false, "more bytes were taken than were shown");
                break;
            };
            let length = begun.frame.bytes().len();
            let step = bytes.min(length - begun.taken_bytes);
            bytes -= step;
            begun.taken_bytes += step;
            if !begun.is_state {
                self.waiting_bytes -= step;
            }
            let is_whole = begun.taken_bytes == length;
            if begun.is_state {
                state = if is_whole { StateTaken::Whole } else { StateTaken::Begun };
            }
            if !is_whole {
                self.begun = Some(begun);
            }
        }
        // A state that has not begun is owed again, in its newest form.
        self.state = None;
        if self.waiting_bytes == 0 {
            self.queued = None;
        }
        state
    }

    /// Takes the next frame out of its queue.
    fn begin(&mut self) -> Option<Begun> {
        let queued = self.queued.as_deref_mut();
        let (frame, is_state) = if let Some(frame) = queued.and_then(Queued::next_before_state) {
            (frame, false)
        } else if let Some(state) = self.state.take() {
            (state, true)
        } else {
            (self.queued.take()?.last?, false)
        };
        Some(Begun { frame, taken_bytes: 0, is_state })
    }
}

impl Queued {
    fn before_state(&self) -> impl Iterator<Item = &Encoded> {
        self.control.iter().chain(&self.pong).chain(self.facts.iter())
    }

    fn next_before_state(&mut self) -> Option<Encoded> {
        let control = self.control.pop_front();
        control.or_else(|| self.pong.take()).or_else(|| self.facts.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enc(text: &str) -> Encoded {
        Encoded::from(text.as_bytes())
    }

    fn show(outbox: &Outbox) -> String {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbox.slices(&mut slices);
        slices[..count].iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    #[test]
    fn control_then_facts_then_state_then_the_last() {
        let mut outbox = Outbox::default();
        outbox.push(enc("fact "), Lane::Fact, false);
        outbox.push(enc("pong "), Lane::Control, false);
        outbox.offer_state(enc("state "));
        assert_eq!(show(&outbox), "pong fact state ");
        assert_eq!(outbox.advance(12), StateTaken::Begun);
        outbox.finish(Some(enc("close")));
        assert_eq!(show(&outbox), "ate close");
        outbox.push(enc("late"), Lane::Fact, false);
        outbox.push_pong(enc("late"));
        assert_eq!(show(&outbox), "ate close");
        assert_eq!(outbox.advance(9), StateTaken::Whole);
        assert!(outbox.is_empty());
        assert!(!outbox.takes_state());
        assert_eq!(show(&outbox), "");
    }

    #[test]
    fn every_split_of_a_write_gives_the_same_bytes() {
        for step in 1..20 {
            let mut outbox = Outbox::default();
            let mut out = String::new();
            outbox.push(enc("one "), Lane::Fact, false);
            outbox.push(enc("two "), Lane::Fact, false);
            outbox.push(enc("ping "), Lane::Control, false);
            outbox.finish(Some(enc("end")));
            loop {
                let shown = show(&outbox);
                if shown.is_empty() {
                    break;
                }
                let taken = step.min(shown.len());
                out += &shown[..taken];
                outbox.advance(taken);
            }
            assert_eq!(out, "ping one two end", "in steps of {step}");
            assert_eq!(outbox.waiting_bytes(), 0);
        }
    }

    #[test]
    fn a_state_that_has_not_begun_is_forgotten_and_one_that_has_is_finished() {
        let mut outbox = Outbox::default();
        outbox.push(enc("fact"), Lane::Fact, false);
        outbox.offer_state(enc("old state"));
        show(&outbox);
        assert_eq!(outbox.advance(4), StateTaken::None);
        assert!(outbox.is_empty(), "nothing of the state was taken");

        outbox.offer_state(enc("state"));
        show(&outbox);
        outbox.advance(2);
        assert!(!outbox.takes_state());
        outbox.push(enc("pong"), Lane::Control, false);
        assert_eq!(show(&outbox), "atepong");
        assert_eq!(outbox.advance(3), StateTaken::Whole);
        assert_eq!(show(&outbox), "pong");
    }

    #[test]
    fn a_newer_pong_replaces_one_that_waits_but_not_one_that_has_begun() {
        let mut outbox = Outbox::default();
        outbox.push_pong(enc("pong1"));
        outbox.push_pong(enc("pong2"));
        outbox.push(enc("head"), Lane::Control, false);
        assert_eq!(show(&outbox), "headpong2", "the control lane loses nothing");
        outbox.advance(5);
        outbox.push_pong(enc("pong3"));
        outbox.push_pong(enc("pong4"));
        assert_eq!(show(&outbox), "ong2pong4");
        assert_eq!(outbox.waiting_bytes(), 9);
    }

    #[test]
    fn where_it_is_crowded_the_newest_of_several_is_enough() {
        let hit = |subject| Lane::About(Topic::Newest(subject));
        let death = |subject| Lane::About(Topic::Always(subject));
        let mut outbox = Outbox::default();
        let push = |outbox: &mut Outbox, text, lane| {
            let merges = outbox.waiting_bytes() > 8;
            outbox.push(enc(text), lane, merges);
        };
        push(&mut outbox, "7:90 ", hit(7));
        push(&mut outbox, "7:80 ", hit(7));
        assert_eq!(show(&outbox), "7:90 7:80 ", "there is room for both");
        push(&mut outbox, "8:90 ", hit(8));
        push(&mut outbox, "7:5 ", hit(7));
        push(&mut outbox, "8:80 ", hit(8));
        assert_eq!(show(&outbox), "7:90 7:5 8:80 ");
        assert_eq!(outbox.waiting_bytes(), show(&outbox).len());
        push(&mut outbox, "7 dies ", death(7));
        push(&mut outbox, "fact ", Lane::Fact);
        push(&mut outbox, "7:99 ", hit(7));
        push(&mut outbox, "8:70 ", hit(8));
        assert_eq!(show(&outbox), "7:90 7:5 8:70 7 dies fact 7:99 ");
        push(&mut outbox, "many ", Lane::About(Topic::Many));
        push(&mut outbox, "8:60 ", hit(8));
        outbox.advance(5);
        push(&mut outbox, "8:50 ", hit(8));
        assert_eq!(show(&outbox), "7:5 8:70 7 dies fact 7:99 many 8:50 ");
        assert_eq!(outbox.waiting_bytes(), show(&outbox).len());
    }
}
