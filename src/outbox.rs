//! What a connection is owed, in bytes: order, budget, and writes that come short.
//!
//! `server/` pushes into it and offers state to it; the reactor takes slices from it and says how
//! many bytes the kernel took. It knows no socket and no protocol. DESIGN.md, decision 4: facts
//! queue, state is owed; so there is a queue for facts and at most one state, which is forgotten
//! again unless the kernel takes at least a byte of it.

use std::collections::VecDeque;
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
}

/// How full an outbox is after a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// All is well.
    None,
    /// Above the soft bound: it may not stay so for long.
    Soft,
    /// Above the hard bound: the peer is too slow. What was pushed is still queued.
    Hard,
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
    control: VecDeque<Encoded>,
    facts: VecDeque<Encoded>,
    /// A state offered for the flush under way, or one that has begun and must be finished.
    state: Option<Encoded>,
    /// The frame that goes after everything else; nothing is taken behind it.
    last: Option<Encoded>,
    /// Which frame has begun, and how many of its bytes are taken.
    begun: Option<(Source, usize)>,
    /// Bytes in `control`, `facts` and `last` that are not taken yet.
    waiting_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Control,
    Fact,
    State,
    Last,
}

impl Outbox {
    /// Queues `bytes` behind what waits in their lane. After [`Outbox::finish`] it does nothing.
    pub fn push(&mut self, bytes: Encoded, lane: Lane, bounds: Bounds) -> Pressure {
        if self.last.is_none() {
            self.waiting_bytes += bytes.bytes().len();
            match lane {
                Lane::Control => self.control.push_back(bytes),
                Lane::Fact => self.facts.push_back(bytes),
            }
        }
        match self.waiting_bytes {
            n if n > bounds.hard => Pressure::Hard,
            n if n > bounds.soft => Pressure::Soft,
            _ => Pressure::None,
        }
    }

    /// Queues `bytes` in the control lane instead of those that wait there and have not begun: of
    /// several pongs the newest is enough (RFC 6455, 5.5.3).
    pub fn replace_control(&mut self, bytes: Encoded) {
        if self.last.is_some() {
            return;
        }
        let kept = usize::from(matches!(self.begun, Some((Source::Control, _))));
        for dropped in self.control.drain(kept..) {
            self.waiting_bytes -= dropped.bytes().len();
        }
        self.waiting_bytes += bytes.bytes().len();
        self.control.push_back(bytes);
    }

    /// Sets the last frame (a close frame, say): it goes after all facts, and no state goes before
    /// it unless it has begun. `None` ends the outbox without a word.
    pub fn finish(&mut self, last: Option<Encoded>) {
        if self.last.is_none() {
            let last = last.unwrap_or_else(|| Encoded::from(&[][..]));
            self.waiting_bytes += last.bytes().len();
            self.last = Some(last);
        }
    }

    /// Whether a state may be offered: none is under way, and nothing was set as last.
    #[must_use]
    pub fn takes_state(&self) -> bool {
        self.state.is_none() && self.last.is_none()
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
        self.waiting_bytes == 0 && self.state.is_none()
    }

    /// Fills `slices` with what goes next, in order, and answers how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut bytes = 0;
        let begun = self.begun.map(|(source, _)| source);
        let taken = self.begun.map_or(0, |(_, taken)| taken);
        let first = match begun {
            None => None,
            Some(source) => self.front(source),
        };
        let skip = |source| usize::from(begun == Some(source));
        let frames = first
            .into_iter()
            .chain(self.control.iter().skip(skip(Source::Control)))
            .chain(self.facts.iter().skip(skip(Source::Fact)))
            .chain(self.state.iter().skip(skip(Source::State)))
            .chain(self.last.iter().skip(skip(Source::Last)));
        for (frame, slot) in frames.zip(slices.iter_mut()) {
            let from = if count == 0 { taken } else { 0 };
            let rest = &frame.bytes()[from..];
            bytes += rest.len();
            *slot = IoSlice::new(rest);
            count += 1;
        }
        if bytes == 0 { 0 } else { count }
    }

    /// Takes note that the kernel took `bytes` of what the last `slices` showed. Answers whether
    /// the last byte of a state was among them.
    pub fn advance(&mut self, mut bytes: usize) -> bool {
        let mut state_whole = false;
        while bytes > 0 {
            let (source, taken) = self.begun.unwrap_or_else(|| (self.next_source(), 0));
            let Some(frame) = self.front(source) else {
                debug_assert!(false, "more bytes were taken than were shown");
                break;
            };
            let rest = frame.bytes().len() - taken;
            let step = rest.min(bytes);
            bytes -= step;
            if source != Source::State {
                self.waiting_bytes -= step;
            }
            if step < rest {
                self.begun = Some((source, taken + step));
            } else {
                self.begun = None;
                state_whole |= source == Source::State;
                self.pop(source);
            }
        }
        // A state of which nothing was taken is owed again, in its newest form.
        if !matches!(self.begun, Some((Source::State, _))) {
            self.state = None;
        }
        state_whole
    }

    fn next_source(&self) -> Source {
        if !self.control.is_empty() {
            Source::Control
        } else if !self.facts.is_empty() {
            Source::Fact
        } else if self.state.is_some() {
            Source::State
        } else {
            Source::Last
        }
    }

    fn front(&self, source: Source) -> Option<&Encoded> {
        match source {
            Source::Control => self.control.front(),
            Source::Fact => self.facts.front(),
            Source::State => self.state.as_ref(),
            Source::Last => self.last.as_ref(),
        }
    }

    fn pop(&mut self, source: Source) {
        match source {
            Source::Control => drop(self.control.pop_front()),
            Source::Fact => drop(self.facts.pop_front()),
            Source::State => self.state = None,
            // An empty frame stays in its place, so that nothing is taken behind it.
            Source::Last => self.last = Some(Encoded::from(&[][..])),
        }
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
        outbox.finish(Some(enc("close")));
        assert_eq!(show(&outbox), "pong fact state close");
        outbox.push(enc("late"), Lane::Fact, BOUNDS);
        assert_eq!(show(&outbox), "pong fact state close");
        assert!(outbox.advance(21));
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
        assert!(!outbox.advance(4));
        assert!(outbox.is_empty(), "nothing of the state was taken");

        outbox.offer_state(enc("state"));
        show(&outbox);
        outbox.advance(2);
        assert!(!outbox.takes_state());
        outbox.push(enc("pong"), Lane::Control, BOUNDS);
        assert_eq!(show(&outbox), "atepong");
        assert!(outbox.advance(3));
        assert_eq!(show(&outbox), "pong");
    }

    #[test]
    fn a_newer_pong_replaces_one_that_waits_but_not_one_that_has_begun() {
        let mut outbox = Outbox::default();
        outbox.replace_control(enc("pong1"));
        outbox.replace_control(enc("pong2"));
        assert_eq!(show(&outbox), "pong2");
        outbox.advance(1);
        outbox.replace_control(enc("pong3"));
        outbox.replace_control(enc("pong4"));
        assert_eq!(show(&outbox), "ong2pong4");
        assert_eq!(outbox.waiting_bytes(), 9);
    }

    #[test]
    fn pressure_follows_the_bounds() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(enc("12345678"), Lane::Fact, BOUNDS), Pressure::None);
        assert_eq!(outbox.push(enc("9"), Lane::Fact, BOUNDS), Pressure::Soft);
        assert_eq!(outbox.push(enc("12345678"), Lane::Fact, BOUNDS), Pressure::Hard);
    }
}
