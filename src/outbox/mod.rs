//! The bytes to be written to one connection: their order, and short writes.
//!
//! `server/` pushes frames into it and offers updates to it; the reactor takes slices from it and
//! reports how many bytes the kernel took. It has no sockets, protocols or limits. Facts
//! queue, state is owed (ARCHITECTURE.md, decision 1): there is a queue for facts and at most one
//! update, which is dropped again unless the kernel takes at least one byte of it.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::limits::PACKET_BYTES;
use crate::time::Tick;

mod encoded;
mod facts;

pub use encoded::{Encoded, Update};
pub use facts::{Facts, Topic};

/// The queue in which a frame waits. Updates have no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Frames of the transport itself: pings and pongs. They overtake facts that have not begun.
    Control,
    /// Facts, in order, none left out.
    Fact,
    /// Facts about players (see [`Topic`]), which the state made on this tick of the server is the
    /// first to show. They follow a state that was made before, so that it contradicts none of
    /// them.
    About(Topic, Tick),
}

/// What was taken of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
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
    /// A partly written buffer; it is finished first. If it belongs to an update, the rest of the
    /// update comes next.
    begun: Option<Begun>,
    /// An update offered for the flush in progress, or the rest of one that has begun.
    update: Option<Update>,
    /// Everything else that waits; `None` while only updates are sent, which is nearly always.
    queued: Option<Box<Queued>>,
    /// Bytes that wait, updates aside. Less than 4 GiB: every limit is far below that.
    waiting_bytes: u32,
    /// The tick on which the update was made.
    update_tick: Tick,
    /// The newest tick on which a state is made that shows a fact which was taken, if
    /// `has_taken_facts`.
    facts_taken: Tick,
    has_taken_facts: bool,
    /// Nothing more may be queued.
    is_finished: bool,
}

/// Frames that wait, in the order in which they are sent.
#[derive(Debug, Default)]
struct Queued {
    control: VecDeque<Encoded>,
    /// The newest pong.
    pong: Option<Encoded>,
    facts: Facts,
    /// The frame after everything else, updates included.
    last: Option<Encoded>,
}

#[derive(Debug)]
struct Begun {
    buffer: Encoded,
    taken_bytes: u32,
    is_update: bool,
    /// Bytes of memory that it takes for this connection.
    held_bytes: u32,
}

impl Begun {
    fn fact(buffer: Encoded) -> Begun {
        let held_bytes = if buffer.is_shared() { 0 } else { buffer.bytes().len() as u32 };
        Begun { buffer, taken_bytes: 0, is_update: false, held_bytes }
    }

    /// Those that begin the same update share its bytes.
    fn update(buffer: Encoded) -> Begun {
        let held_bytes = (buffer.bytes().len() / buffer.holders()) as u32;
        Begun { buffer, taken_bytes: 0, is_update: true, held_bytes }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer.bytes()[self.taken_bytes as usize..]
    }
}

impl Outbox {
    /// Queues `bytes` behind what waits in their lane; with `merges`, a newer fact may replace an
    /// older one (see [`Topic`]). After [`Outbox::finish`] it does nothing.
    pub fn push(&mut self, bytes: Encoded, lane: Lane, merges: bool) {
        debug_assert!(!bytes.bytes().is_empty(), "an empty buffer is never written");
        if self.is_finished {
            return;
        }
        self.waiting_bytes += bytes.bytes().len() as u32;
        let queued = self.queued.get_or_insert_default();
        match lane {
            Lane::Control => queued.control.push_back(bytes),
            Lane::Fact => queued.facts.push(bytes, None, merges),
            Lane::About(topic, shown) => {
                let expected = queued.facts.bytes() + bytes.bytes().len();
                queued.facts.push(bytes, Some((topic, shown)), merges);
                // What was replaced no longer waits.
                self.waiting_bytes -= (expected - queued.facts.bytes()) as u32;
            }
        }
    }

    /// Queues a pong behind the control lane, in place of one that waits: the newest is enough
    /// (RFC 6455, 5.5.3).
    pub fn push_pong(&mut self, pong: Encoded) {
        if !self.is_finished {
            self.waiting_bytes += pong.bytes().len() as u32;
            if let Some(older) = self.queued.get_or_insert_default().pong.replace(pong) {
                self.waiting_bytes -= older.bytes().len() as u32;
            }
        }
    }

    /// Sets the last frame, such as a close frame: it goes after all facts, and no update precedes
    /// it unless it has begun. `None` ends the outbox without one.
    pub fn finish(&mut self, last: Option<Encoded>) {
        if !self.is_finished {
            self.is_finished = true;
            if !self.has_begun_update() {
                self.update = None;
            }
            if let Some(last) = last {
                self.waiting_bytes += last.bytes().len() as u32;
                self.queued.get_or_insert_default().last = Some(last);
            }
        }
    }

    /// Whether an update may be offered: none is in progress, and the outbox is not finished.
    #[must_use]
    pub fn takes_update(&self) -> bool {
        self.update.is_none() && !self.is_finished && !self.has_begun_update()
    }

    /// Offers an update that was made on `tick` for the flush in progress. It is dropped unless the
    /// kernel takes some of it, or at once if a fact was taken that it does not show.
    pub fn offer_update(&mut self, update: Update, tick: Tick) {
        debug_assert!(self.takes_update(), "one update at a time");
        if !(self.has_taken_facts && self.facts_taken.is_after(tick)) {
            self.update = Some(update);
            self.update_tick = tick;
        }
    }

    fn has_begun_update(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.is_update)
    }

    /// Bytes that wait, updates aside.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes as usize
    }

    /// Bytes of memory that it takes for this connection. Bytes that others held when they were
    /// queued, such as a page, are not counted.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.begun.as_ref().map_or(0, |begun| begun.held_bytes as usize)
            + self.queued.as_ref().map_or(0, |queued| queued.held_bytes())
    }

    /// Whether nothing waits, updates included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes == 0 && self.update.is_none() && self.begun.is_none()
    }

    /// Fills `slices` with what goes next, in order, at most `bytes_max` bytes. Returns how many
    /// slices it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> usize {
        if let (None, None, Some(Update::One(only))) = (&self.begun, &self.queued, &self.update)
            && let (bytes, Some(slot)) = (only.bytes(), slices.first_mut())
            && bytes.len() <= bytes_max
        {
            // Nearly every write.
            *slot = IoSlice::new(bytes);
            return 1;
        }
        let mut all = Filled { slices, count: 0, bytes_left: bytes_max };
        if let Some(begun) = &self.begun {
            all.put(begun.rest());
        }
        let Some(queued) = self.queued.as_deref() else {
            all.put_update(self.update.as_ref());
            return all.count;
        };
        if self.has_begun_update() {
            all.put_update(self.update.as_ref());
        }
        all.extend(queued.control.iter().chain(&queued.pong));
        match &self.update {
            Some(update) if !self.has_begun_update() => {
                let (before, behind) = queued.facts.around(self.update_tick);
                all.extend(before);
                all.put_update(Some(update));
                all.extend(behind);
            }
            _ => all.extend(queued.facts.iter()),
        }
        all.extend(&queued.last);
        all.count
    }

    /// The same as [`Outbox::advance`] if the `bytes` are an update of one buffer, and nothing else
    /// waits. Otherwise it returns false, and nothing has changed.
    #[inline]
    pub fn advance_by_update(&mut self, bytes: usize) -> bool {
        let is_all = match (&self.begun, &self.queued, &self.update) {
            (None, None, Some(Update::One(only))) => only.bytes().len() == bytes,
            _ => false,
        };
        if is_all {
            self.update = None;
        }
        is_all
    }

    /// Records that the kernel took `bytes` of what the last `slices` showed. Returns how much of
    /// an update was among them.
    pub fn advance(&mut self, mut bytes: usize) -> Taken {
        let mut taken = Taken::None;
        while bytes > 0 {
            let Some(mut begun) = self.begun.take().or_else(|| self.begin()) else {
                debug_assert!(false, "more bytes were taken than were shown");
                break;
            };
            let step = bytes.min(begun.rest().len());
            bytes -= step;
            // A buffer is never as large as 4 GiB.
            begun.taken_bytes += step as u32;
            if !begun.is_update {
                self.waiting_bytes -= step as u32;
            }
            if !begun.rest().is_empty() {
                taken = if begun.is_update { Taken::Begun } else { taken };
                self.begun = Some(begun);
            } else if begun.is_update {
                self.begun = self.begin_update();
                taken = if self.begun.is_some() { Taken::Begun } else { Taken::Whole };
            }
        }
        if !self.has_begun_update() {
            // It is owed again, in its newest form.
            self.update = None;
        }
        if self.waiting_bytes == 0 {
            self.queued = None;
        }
        taken
    }

    /// Takes the next buffer out of its queue.
    fn begin(&mut self) -> Option<Begun> {
        let update = self.update.is_some().then_some(self.update_tick);
        let queued = self.queued.as_deref_mut();
        if let Some((buffer, shown)) = queued.and_then(|queued| queued.next_before(update)) {
            if let Some(shown) = shown {
                (self.facts_taken, self.has_taken_facts) = (shown, true);
            }
            return Some(Begun::fact(buffer));
        }
        self.begin_update().or_else(|| {
            let last = self.queued.take()?.last?;
            Some(Begun::fact(last))
        })
    }

    /// Takes the next buffer of the update.
    fn begin_update(&mut self) -> Option<Begun> {
        let (buffer, rest) = self.update.take()?.split_first()?;
        self.update = rest;
        Some(Begun::update(buffer))
    }
}

impl Queued {
    fn held_bytes(&self) -> usize {
        let held = |frame: &Encoded| frame.bytes().len() + PACKET_BYTES;
        let control = self.control.iter().chain(&self.pong).chain(&self.last);
        control.map(held).sum::<usize>() + self.facts.held_bytes()
    }

    /// Takes what goes next, and before an update of the tick `update`, if one is offered. For a
    /// fact it returns the tick on which the first state is made that shows it, too.
    fn next_before(&mut self, update: Option<Tick>) -> Option<(Encoded, Option<Tick>)> {
        let control = self.control.pop_front().or_else(|| self.pong.take());
        control.map(|control| (control, None)).or_else(|| self.facts.pop(update))
    }
}

/// Slices that are being filled.
struct Filled<'s, 'a> {
    slices: &'s mut [IoSlice<'a>],
    count: usize,
    bytes_left: usize,
}

impl<'a> Filled<'_, 'a> {
    #[inline]
    fn put(&mut self, bytes: &'a [u8]) {
        let bytes = &bytes[..bytes.len().min(self.bytes_left)];
        if let Some(slot) = self.slices.get_mut(self.count).filter(|_| !bytes.is_empty()) {
            *slot = IoSlice::new(bytes);
            self.count += 1;
            self.bytes_left -= bytes.len();
        }
    }

    #[inline]
    fn put_update(&mut self, update: Option<&'a Update>) {
        match update {
            Some(Update::One(buffer)) => self.put(buffer.bytes()),
            Some(several) => self.extend(several.iter()),
            None => {}
        }
    }

    fn extend(&mut self, buffers: impl IntoIterator<Item = &'a Encoded>) {
        for buffer in buffers.into_iter().take(self.slices.len() - self.count) {
            self.put(buffer.bytes());
        }
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
        let count = outbox.slices(&mut slices, usize::MAX);
        slices[..count].iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    #[test]
    fn control_then_facts_then_the_update_then_the_last() {
        let mut outbox = Outbox::default();
        outbox.push(enc("fact "), Lane::Fact, false);
        outbox.push(enc("pong "), Lane::Control, false);
        outbox.offer_update(enc("state ").into(), Tick(5));
        assert_eq!(show(&outbox), "pong fact state ");
        assert_eq!(outbox.advance(12), Taken::Begun);
        outbox.finish(Some(enc("close")));
        assert_eq!(show(&outbox), "ate close");
        outbox.push(enc("late"), Lane::Fact, false);
        outbox.push_pong(enc("late"));
        assert_eq!(show(&outbox), "ate close");
        assert_eq!(outbox.advance(9), Taken::Whole);
        assert!(outbox.is_empty());
        assert!(!outbox.takes_update());
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
    fn an_update_that_has_not_begun_is_dropped_and_one_that_has_is_finished() {
        let mut outbox = Outbox::default();
        outbox.push(enc("fact"), Lane::Fact, false);
        outbox.offer_update(enc("old state").into(), Tick(5));
        show(&outbox);
        assert_eq!(outbox.advance(4), Taken::None);
        assert!(outbox.is_empty(), "nothing of the state was taken");

        outbox.offer_update(enc("state").into(), Tick(5));
        show(&outbox);
        outbox.advance(2);
        assert!(!outbox.takes_update());
        outbox.push(enc("pong"), Lane::Control, false);
        assert_eq!(show(&outbox), "atepong");
        assert_eq!(outbox.advance(3), Taken::Whole);
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
        let hit = |subject| Lane::About(Topic::Newest(subject, 0), Tick(1));
        let swing = |subject| Lane::About(Topic::Newest(subject, 1), Tick(1));
        let death = |subject| Lane::About(Topic::Always(subject), Tick(1));
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
        assert_eq!(show(&outbox), "7:90 7:5 8:80 ", "each at the position of the newest");
        assert_eq!(outbox.waiting_bytes(), show(&outbox).len());
        push(&mut outbox, "7 dies ", death(7));
        push(&mut outbox, "fact ", Lane::Fact);
        push(&mut outbox, "7:99 ", hit(7));
        push(&mut outbox, "8:70 ", hit(8));
        assert_eq!(show(&outbox), "7:90 7:5 7 dies fact 7:99 8:70 ");
        push(&mut outbox, "many ", Lane::About(Topic::Many, Tick(1)));
        push(&mut outbox, "8:60 ", hit(8));
        outbox.advance(5);
        push(&mut outbox, "8:50 ", hit(8));
        assert_eq!(show(&outbox), "7:5 7 dies fact 7:99 8:70 many 8:50 ");
        assert_eq!(outbox.waiting_bytes(), show(&outbox).len());
        push(&mut outbox, "8 swings ", swing(8));
        push(&mut outbox, "8:40 ", hit(8));
        push(&mut outbox, "8 swings again ", swing(8));
        let last = "7:5 7 dies fact 7:99 8:70 many 8:40 8 swings again ";
        assert_eq!(show(&outbox), last, "each kind has its own newest");
        push(&mut outbox, "8 dies ", death(8));
        push(&mut outbox, "8 swings late ", swing(8));
        push(&mut outbox, "8:100 ", hit(8));
        assert_eq!(show(&outbox), format!("{last}8 dies 8 swings late 8:100 "));
    }

    #[test]
    fn where_it_is_crowded_volatile_facts_are_dropped() {
        let about = |topic| Lane::About(topic, Tick(1));
        let mut outbox = Outbox::default();
        for (text, topic, merges) in [
            ("7 swings ", Topic::Volatile, false),
            ("7:90 ", Topic::Newest(7, 0), false),
            ("8 swings ", Topic::Volatile, false),
            ("many ", Topic::Many, false),
        ] {
            outbox.push(enc(text), about(topic), merges);
        }
        assert_eq!(show(&outbox), "7 swings 7:90 8 swings many ");
        outbox.advance(4);
        outbox.push(enc("9 swings "), about(Topic::Volatile), true);
        assert_eq!(show(&outbox), "ings 7:90 many ", "what has begun is sent");
        outbox.push(enc("7:80 "), about(Topic::Newest(7, 0)), true);
        assert_eq!(show(&outbox), "ings 7:90 many 7:80 ");
        assert_eq!(outbox.waiting_bytes(), show(&outbox).len());
    }

    fn several(texts: &[&str]) -> Update {
        Update::Several(Box::new(texts.iter().copied().map(enc).collect()))
    }

    #[test]
    fn nothing_comes_between_the_buffers_of_an_update() {
        for step in 1..20 {
            let mut outbox = Outbox::default();
            outbox.offer_update(several(&["one ", "two ", "three "]), Tick(5));
            assert_eq!(outbox.advance(1), Taken::Begun);
            outbox.push(enc("ping "), Lane::Control, false);
            outbox.push(enc("fact "), Lane::Fact, false);
            outbox.finish(Some(enc("end")));
            let (mut out, mut taken) = (String::from("o"), Vec::new());
            while !outbox.is_empty() {
                let shown = show(&outbox);
                let bytes = step.min(shown.len());
                out += &shown[..bytes];
                taken.push(outbox.advance(bytes));
            }
            assert_eq!(out, "one two three ping fact end", "in steps of {step}");
            assert_eq!(taken.iter().filter(|taken| **taken == Taken::Whole).count(), 1);
        }
    }

    #[test]
    fn an_update_stands_before_the_facts_that_it_does_not_show() {
        for step in 1..30 {
            let mut outbox = Outbox::default();
            outbox.push(enc("old "), Lane::About(Topic::Many, Tick(5)), false);
            outbox.push(enc("new "), Lane::About(Topic::Many, Tick(6)), false);
            outbox.push(enc("answer "), Lane::Fact, false);
            let mut out = String::new();
            while !outbox.is_empty() {
                if outbox.takes_update() && !out.contains("state") {
                    outbox.offer_update(enc("state ").into(), Tick(5));
                }
                let shown = show(&outbox);
                let bytes = step.min(shown.len());
                out += &shown[..bytes];
                outbox.advance(bytes);
            }
            assert_eq!(out, "old state new answer ", "in steps of {step}");
        }
    }

    #[test]
    fn an_update_is_not_sent_behind_a_fact_that_it_does_not_show() {
        let mut outbox = Outbox::default();
        outbox.offer_update(enc("state").into(), Tick(5));
        outbox.advance(2);
        // The next one is made while this one is written, and then something happens.
        outbox.push(enc("left"), Lane::About(Topic::Always(7), Tick(7)), false);
        outbox.advance(4);
        outbox.offer_update(enc("state 6").into(), Tick(6));
        assert_eq!(show(&outbox), "eft");
        outbox.offer_update(enc("state 7").into(), Tick(7));
        assert_eq!(show(&outbox), "eftstate 7");
    }
}
