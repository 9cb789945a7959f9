//! The events of a room that clients of Socket.IO may have missed (docs/socketio.md, "Connection
//! state recovery"). Each has an offset, and a client that comes back says which one it has last.

use std::collections::VecDeque;
use std::fmt;

use super::encodings::EncodedFact;
use crate::limits::{PACKET_BYTES, RECOVERY_BYTES};
use crate::outbox::Encoded;
use crate::time::Tick;

/// The place of an event among those of its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The tick of the frame that it follows.
    pub tick: Tick,
    /// Its number among the events since that frame, from 1; 0 for the frame itself.
    pub number: u32,
}

impl Offset {
    /// That of a frame, which shows all events before it.
    #[must_use]
    pub const fn of_frame(tick: Tick) -> Offset {
        Offset { tick, number: 0 }
    }

    /// Reads what [`Offset`] writes; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Offset> {
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_plain)
        };
        let (tick, count) = text.split_once('.')?;
        Some(Offset { tick: Tick(number(tick)?), number: number(count)? })
    }

    fn is_after(self, other: Offset) -> bool {
        self.tick.is_after(other.tick) || self.tick == other.tick && self.number > other.number
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.tick.0, self.number)
    }
}

/// The newest events of a room, up to its frame.
#[derive(Debug)]
pub struct FactLog {
    /// The newest one that has an offset.
    newest: Offset,
    /// All after this one are kept.
    forgotten: Offset,
    facts: VecDeque<(Offset, Encoded)>,
    held_bytes: usize,
}

impl FactLog {
    /// The log of a room whose frame was made on `tick`.
    #[must_use]
    pub fn new(tick: Tick) -> FactLog {
        let newest = Offset::of_frame(tick);
        FactLog { newest, forgotten: newest, facts: VecDeque::new(), held_bytes: 0 }
    }

    /// The offset of the next event.
    #[must_use]
    pub fn next(&self) -> Offset {
        Offset { number: self.newest.number + 1, ..self.newest }
    }

    /// An event has the [`next`](FactLog::next) offset.
    pub fn advance(&mut self) {
        self.newest = self.next();
    }

    /// The offset of the frame.
    #[must_use]
    pub fn frame(&self) -> Offset {
        Offset::of_frame(self.newest.tick)
    }

    /// The room has a new frame. The events since the last one are kept, and the oldest are
    /// forgotten if there are too many.
    pub fn begin_frame(&mut self, sent: impl Iterator<Item = EncodedFact>, tick: Tick) {
        for fact in sent {
            if let Some(offset) = fact.offset {
                self.held_bytes += held_bytes(&fact.bytes);
                self.facts.push_back((offset, fact.bytes));
            }
        }
        while self.held_bytes > RECOVERY_BYTES
            && let Some((offset, fact)) = self.facts.pop_front()
        {
            self.held_bytes -= held_bytes(&fact);
            self.forgotten = offset;
        }
        if self.facts.is_empty() {
            self.facts = VecDeque::new();
        }
        self.newest = Offset::of_frame(tick);
    }

    /// Forgets all events.
    pub fn forget(&mut self) {
        self.forgotten = self.newest;
        self.facts = VecDeque::new();
        self.held_bytes = 0;
    }

    /// The events after an offset, of which `sent` were sent since the frame, in one buffer. `None`
    /// if the offset is unknown or too old.
    #[must_use]
    pub fn missed(&self, offset: Offset, sent: &[EncodedFact]) -> Option<Vec<u8>> {
        if offset.is_after(self.newest) || self.forgotten.is_after(offset) {
            return None;
        }
        let older = self.facts.iter().filter(|(at, _)| at.is_after(offset)).map(|(_, it)| it);
        let is_missed = |fact: &&EncodedFact| fact.offset.is_some_and(|at| at.is_after(offset));
        let newer = sent.iter().filter(is_missed).map(|fact| &fact.bytes);
        Some(older.chain(newer).flat_map(Encoded::bytes).copied().collect())
    }

    /// The bytes of memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

fn held_bytes(fact: &Encoded) -> usize {
    fact.bytes().len() + PACKET_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Topic;
    use crate::wire::Dialect;

    fn offset(text: &str) -> Offset {
        Offset::parse(text).expect("an offset")
    }

    fn fact(offset: Option<Offset>, text: &[u8]) -> EncodedFact {
        let (dialect, topic) = (Dialect::Events, Topic::Many);
        EncodedFact { dialect, topic, offset, bytes: Encoded::from(text) }
    }

    /// Draws offsets for events.
    fn draw(log: &mut FactLog, texts: &[&str]) -> Vec<EncodedFact> {
        let one = |text: &&str| {
            let offset = log.next();
            log.advance();
            fact(Some(offset), text.as_bytes())
        };
        texts.iter().map(one).collect()
    }

    #[test]
    fn an_offset_is_read_as_it_is_written() {
        let last = Offset { tick: Tick(u32::MAX), number: u32::MAX };
        assert_eq!(last.to_string(), "4294967295.4294967295");
        for known in [last, Offset::of_frame(Tick(0)), Offset { tick: Tick(8), number: 17 }] {
            assert_eq!(Offset::parse(&known.to_string()), Some(known));
        }
        for wrong in
            ["", ".", "8", "8.", ".8", "8.+1", "-8.1", "8.1.1", "8,1", "4294967296.0", " 8.1"]
        {
            assert_eq!(Offset::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_events_after_an_offset_are_in_order_and_there_once() {
        let mut log = FactLog::new(Tick(7));
        let mut first = draw(&mut log, &["a", "b"]);
        first.insert(1, fact(None, b"volatile"));
        log.begin_frame(first.into_iter(), Tick(8));
        log.begin_frame(std::iter::empty(), Tick(9));
        let sent = draw(&mut log, &["c", "d"]);
        for (known, missed) in [
            ("7.0", Some("abcd")),
            ("7.1", Some("bcd")),
            ("7.2", Some("cd")),
            ("8.0", Some("cd")),
            ("9.0", Some("cd")),
            ("9.1", Some("d")),
            ("9.2", Some("")),
            ("6.9", None),
            ("9.3", None),
            ("10.0", None),
        ] {
            let got = log.missed(offset(known), &sent);
            assert_eq!(got.as_deref(), missed.map(str::as_bytes), "{known}");
        }
        log.forget();
        assert_eq!(log.missed(offset("9.1"), &sent), None);
        assert_eq!(log.missed(offset("9.2"), &sent), Some(Vec::new()));
    }

    #[test]
    fn the_oldest_events_are_forgotten() {
        let mut log = FactLog::new(Tick(1));
        let text = "x".repeat(1_000);
        for tick in 2..200 {
            let sent = draw(&mut log, &[&text]);
            log.begin_frame(sent.into_iter(), Tick(tick));
            assert!(log.held_bytes() <= RECOVERY_BYTES, "{}", log.held_bytes());
        }
        let kept = RECOVERY_BYTES / (1_000 + PACKET_BYTES);
        let all = format!("{}.1", 198 - kept);
        assert_eq!(log.missed(offset(&all), &[]).map(|it| it.len()), Some(1_000 * kept));
        let more = format!("{}.1", 197 - kept);
        assert_eq!(log.missed(offset(&more), &[]), None);
        assert_eq!(log.missed(offset("199.0"), &[]), Some(Vec::new()));
    }

    #[test]
    fn offsets_compare_across_the_wrap_of_ticks() {
        let mut log = FactLog::new(Tick(u32::MAX));
        let sent = draw(&mut log, &["a"]);
        log.begin_frame(sent.into_iter(), Tick(0));
        let sent = draw(&mut log, &["b"]);
        assert_eq!(log.missed(offset("4294967295.0"), &sent).as_deref(), Some(&b"ab"[..]));
        assert_eq!(log.missed(offset("0.0"), &sent).as_deref(), Some(&b"b"[..]));
    }
}
