//! What a connection is owed, in bytes: order, budget, and writes that come short.
//!
//! `server/` pushes into it and offers state to it; the reactor takes slices from it and says how
//! many bytes the kernel took. It knows no socket and no protocol. Facts queue, state is owed
//! (ARCHITECTURE.md, decision 1); so there is a queue for facts and at most one state, which is
//! forgotten again unless the kernel takes at least a byte of it.

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::rc::Rc;

/// Bytes ready for a socket: made once, shared by all who get them.
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

/// Which queue a frame waits in. State has no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Answers of the transport itself: pings and pongs. It overtakes facts that have not begun.
    Control,
    /// What happened, in order, none left out.
    Fact,
    /// What happened to somebody; see [`Topic`].
    About(Topic),
}

/// Whom facts are about, by numbers, so that a queue that is crowded need not keep all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Somebody; a newer fact of this kind says all that matters, so it may take the place of one
    /// that waits, unless something else about the same subject stands between.
    Newest(u32),
    /// Somebody, and it must be told.
    Always(u32),
    /// Several, which must all be told.
    Many,
}

/// Facts that wait, in order.
#[derive(Debug, Default)]
pub struct Facts {
    queue: VecDeque<(Encoded, Option<Topic>)>,
    bytes: usize,
    /// How many have left the queue.
    popped: usize,
    /// Where the newest fact about each subject stands, counted from the first that ever was, and
    /// whether it may be replaced; kept while it is crowded.
    newest: Option<HashMap<u32, (usize, bool)>>,
}

impl Facts {
    /// Queues a fact; where it `is_crowded`, what may be merged is.
    pub fn push(&mut self, fact: Encoded, topic: Option<Topic>, is_crowded: bool) {
        self.bytes += fact.bytes().len();
        if !is_crowded {
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

    /// Where the newest facts stand, as far back as they are about somebody alone.
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

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Encoded> {
        let (fact, _) = self.queue.pop_front()?;
        self.bytes -= fact.bytes().len();
        self.popped += 1;
        if self.queue.is_empty() {
            *self = Facts::default();
        }
        Some(fact)
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Encoded> {
        self.queue.iter().map(|(fact, _)| fact)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How full an outbox is after a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// All is well.
    None,
    /// Above the soft bound: it may not stay so for long.
    Soft,
    /// Above the hard bound: a peer that had its chance to read is too slow. What was pushed is
    /// still queued.
    Hard,
}

/// What the kernel took of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateTaken {
    /// Nothing, or there was none.
    None,
    /// Some of it; the rest will follow.
    Begun,
    /// Its last byte.
    Whole,
}

/// The bounds of one outbox, in bytes of facts.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Above it: [`Pressure::Soft`].
    pub soft: usize,
    /// Above it: [`Pressure::Hard`].
    pub hard: usize,
}

/// The bytes that wait for one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The frame of which some bytes are taken; nothing goes before the others.
    begun: Option<Begun>,
    /// A state offered for the flush under way.
    state: Option<Encoded>,
    /// What waits besides; `None` as long as nothing but states goes out, which is nearly always.
    queued: Option<Box<Queued>>,
    /// Nothing is taken in any more.
    is_finished: bool,
    /// Bytes that wait, without state.
    waiting_bytes: usize,
}

/// Frames that wait, in the order in which they go.
#[derive(Debug, Default)]
struct Queued {
    control: VecDeque<Encoded>,
    /// The newest pong.
    pong: Option<Encoded>,
    facts: Facts,
    /// The frame that goes after everything else, states included.
    last: Option<Encoded>,
}

#[derive(Debug)]
struct Begun {
    frame: Encoded,
    taken_bytes: usize,
    is_state: bool,
}

impl Outbox {
    /// Queues `bytes` behind what waits in their lane. After [`Outbox::finish`] it does nothing.
    pub fn push(&mut self, bytes: Encoded, lane: Lane, bounds: Bounds) -> Pressure {
        debug_assert!(!bytes.bytes().is_empty(), "nothing can be written for ever");
        if !self.is_finished {
            let is_crowded = self.is_crowded(bounds);
            self.waiting_bytes += bytes.bytes().len();
            let queued = self.queued.get_or_insert_default();
            match lane {
                Lane::Control => queued.control.push_back(bytes),
                Lane::Fact => queued.facts.push(bytes, None, is_crowded),
                Lane::About(topic) => {
                    let expected = queued.facts.bytes() + bytes.bytes().len();
                    queued.facts.push(bytes, Some(topic), is_crowded);
                    // What was replaced waits no more.
                    self.waiting_bytes -= expected - queued.facts.bytes();
                }
            }
        }
        match self.waiting_bytes {
            n if n > bounds.hard => Pressure::Hard,
            n if n > bounds.soft => Pressure::Soft,
            _ => Pressure::None,
        }
    }

    /// Whether so much waits that facts are merged.
    #[must_use]
    pub fn is_crowded(&self, bounds: Bounds) -> bool {
        self.waiting_bytes > bounds.hard / 2
    }

    /// Queues a pong behind the control lane, instead of one that waits: of several the newest is
    /// enough (RFC 6455, 5.5.3).
    pub fn push_pong(&mut self, pong: Encoded) {
        if !self.is_finished {
            self.waiting_bytes += pong.bytes().len();
            if let Some(older) = self.queued.get_or_insert_default().pong.replace(pong) {
                self.waiting_bytes -= older.bytes().len();
            }
        }
    }

    /// Sets the last frame (a close frame, say): it goes after all facts, and no state goes before
    /// it unless it has begun. `None` ends the outbox without a word.
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

    /// Whether a state may be offered: none is under way, and the end is not set.
    #[must_use]
    pub fn takes_state(&self) -> bool {
        let is_under_way = self.begun.as_ref().is_some_and(|begun| begun.is_state);
        !is_under_way && self.state.is_none() && !self.is_finished
    }

    /// Offers a state for the flush under way. It is forgotten unless the kernel takes some of it.
    pub fn offer_state(&mut self, bytes: Encoded) {
        debug_assert!(self.takes_state(), "one state at a time");
        self.state = Some(bytes);
    }

    /// Bytes that wait, without state.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether nothing at all waits, state included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes == 0 && self.state.is_none() && self.begun.is_none()
    }

    /// Fills `slices` with what goes next, in order, and answers how many it filled.
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

    /// Takes note that the kernel took `bytes` of what the last `slices` showed. Answers how much
    /// of a state was among them.
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
        // A state of which nothing was taken is owed again, in its newest form.
        self.state = None;
        if self.waiting_bytes == 0 {
            self.queued = None;
        }
        state
    }

    /// Takes the frame that goes next out of its queue.
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

    const BOUNDS: Bounds = Bounds { soft: 8, hard: 16 };

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
        outbox.push(enc("fact "), Lane::Fact, BOUNDS);
        outbox.push(enc("pong "), Lane::Control, BOUNDS);
        outbox.offer_state(enc("state "));
        assert_eq!(show(&outbox), "pong fact state ");
        assert_eq!(outbox.advance(12), StateTaken::Begun);
        outbox.finish(Some(enc("close")));
        assert_eq!(show(&outbox), "ate close");
        outbox.push(enc("late"), Lane::Fact, BOUNDS);
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
            outbox.push(enc("one "), Lane::Fact, BOUNDS);
            outbox.push(enc("two "), Lane::Fact, BOUNDS);
            outbox.push(enc("ping "), Lane::Control, BOUNDS);
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
        outbox.push(enc("fact"), Lane::Fact, BOUNDS);
        outbox.offer_state(enc("old state"));
        show(&outbox);
        assert_eq!(outbox.advance(4), StateTaken::None);
        assert!(outbox.is_empty(), "nothing of the state was taken");

        outbox.offer_state(enc("state"));
        show(&outbox);
        outbox.advance(2);
        assert!(!outbox.takes_state());
        outbox.push(enc("pong"), Lane::Control, BOUNDS);
        assert_eq!(show(&outbox), "atepong");
        assert_eq!(outbox.advance(3), StateTaken::Whole);
        assert_eq!(show(&outbox), "pong");
    }

    #[test]
    fn a_newer_pong_replaces_one_that_waits_but_not_one_that_has_begun() {
        let mut outbox = Outbox::default();
        outbox.push_pong(enc("pong1"));
        outbox.push_pong(enc("pong2"));
        outbox.push(enc("head"), Lane::Control, BOUNDS);
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
        let push = |outbox: &mut Outbox, text, lane| outbox.push(enc(text), lane, BOUNDS);
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

    #[test]
    fn pressure_follows_the_bounds() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(enc("12345678"), Lane::Fact, BOUNDS), Pressure::None);
        assert_eq!(outbox.push(enc("9"), Lane::Fact, BOUNDS), Pressure::Soft);
        assert_eq!(outbox.push(enc("12345678"), Lane::Fact, BOUNDS), Pressure::Hard);
    }
}
