//! Sessions: clients in rooms, over any transport. What a client may send, and which state it is
//! owed.

use std::net::IpAddr;

use slab::Slab;

use super::ids::{Link, RoomId, SessionId};
use crate::bucket::{Bucket, Overrun};
use crate::game::PlayerId;
use crate::limits::InputRates;
use crate::time::{Millis, TICKS_PER_SECOND, Tick};
use crate::wire::Encoding;

/// A client in a room.
#[derive(Debug)]
pub struct Session {
    /// Its transport.
    pub link: Link,
    /// The address of its client.
    pub peer: IpAddr,
    /// Its room.
    pub room: RoomId,
    /// Its player in the room.
    pub player: PlayerId,
    /// Its index among the members of the room.
    pub index: usize,
    /// Its dialect.
    pub encoding: Encoding,
    /// The requested states per second.
    pub hz: u32,
    /// When it last sent a command.
    pub acted_at: Millis,
    /// Whether it was sent the players of the room. Before that it receives no facts: the roster
    /// includes their outcome.
    pub has_roster: bool,
    /// The newest tick whose state is due.
    state_due: Tick,
    /// The newest tick whose state was written completely.
    state_since: Tick,
    /// The tick of the state that was offered to its outbox, if any.
    state_shown: Option<Tick>,
    throttle: Throttle,
    serial: u32,
}

/// The state that a session is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// The players of the room.
    Roster,
    /// What has changed since the tick that it has.
    Since(Tick),
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is processed.
    Take,
    /// It is over the rate: dropped.
    Drop,
    /// The client was over the rate for too long: it is closed.
    Close,
}

#[derive(Debug)]
struct Throttle {
    messages: Bucket,
    bytes: Bucket,
    malformed: Bucket,
    overrun: Overrun,
}

/// Where a client has joined.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// The room.
    pub room: RoomId,
    /// The player in it.
    pub player: PlayerId,
    /// The index among the members.
    pub index: usize,
}

impl Session {
    /// A client that has just joined.
    #[must_use]
    pub fn new(
        (link, peer): (Link, IpAddr),
        joined: Joined,
        (tick, encoding): (Tick, Encoding),
        rates: &InputRates,
        now: Millis,
    ) -> Session {
        let throttle = Throttle {
            messages: Bucket::full(rates.messages, now),
            bytes: Bucket::full(rates.bytes, now),
            malformed: Bucket::full(rates.malformed, now),
            overrun: Overrun::none(rates.excess, now),
        };
        Session {
            link,
            peer,
            room: joined.room,
            player: joined.player,
            index: joined.index,
            encoding,
            hz: TICKS_PER_SECOND,
            acted_at: now,
            has_roster: encoding == Encoding::Json,
            state_due: tick,
            state_since: tick,
            state_shown: None,
            throttle,
            serial: 0,
        }
    }

    /// The state that it is owed; `None` if it is up to date.
    #[must_use]
    pub fn owed(&self) -> Option<Owed> {
        if !self.has_roster {
            return Some(Owed::Roster);
        }
        self.state_due.is_after(self.state_since).then_some(Owed::Since(self.state_since))
    }

    /// Makes the state of `tick` due. Returns whether an earlier one was still owed, which is now
    /// skipped.
    pub fn owe(&mut self, tick: Tick) -> bool {
        let was_owed = self.owed().is_some();
        self.state_due = tick;
        was_owed
    }

    /// Records that the state of `tick` was offered to its outbox.
    pub fn show(&mut self, tick: Tick) {
        self.state_shown = Some(tick);
    }

    /// Whether a state was ever offered to its outbox.
    #[must_use]
    pub fn was_shown(&self) -> bool {
        self.state_shown.is_some()
    }

    /// Records that the offered state was written completely.
    pub fn settle(&mut self) {
        self.state_since = self.state_shown.unwrap_or(self.state_since);
    }

    /// Counts a message of `bytes` bytes against the rates.
    pub fn admit(&mut self, rates: &InputRates, bytes: usize, now: Millis) -> Verdict {
        let throttle = &mut self.throttle;
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        let is_within = throttle.messages.take(rates.messages, 1, now)
            && throttle.bytes.take(rates.bytes, cost, now);
        if is_within {
            return Verdict::Take;
        }
        match throttle.overrun.count(rates.excess, rates.weight(bytes), now) >= rates.grace_ms {
            true => Verdict::Close,
            false => Verdict::Drop,
        }
    }

    /// Counts a message that is invalid.
    pub fn admit_malformed(&mut self, rates: &InputRates, now: Millis) -> Verdict {
        let throttle = &mut self.throttle;
        match throttle.malformed.take(rates.malformed, 1, now) {
            true => Verdict::Drop,
            false => Verdict::Close,
        }
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    slab: Slab<Session>,
    serial: u32,
}

impl Sessions {
    /// Adds a session.
    pub fn insert(&mut self, mut session: Session) -> SessionId {
        self.serial = self.serial.wrapping_add(1);
        session.serial = self.serial;
        SessionId { slot: self.slab.insert(session) as u32, serial: self.serial }
    }

    /// The session, unless it has ended.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.slab.get(id.slot as usize).filter(|session| session.serial == id.serial)
    }

    /// The session, unless it has ended.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.slab.get_mut(id.slot as usize).filter(|session| session.serial == id.serial)
    }

    /// Removes a session.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.get(id)?;
        Some(self.slab.remove(id.slot as usize))
    }

    /// The number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// All sessions, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.slab.iter().map(|(slot, session)| {
            (SessionId { slot: slot as u32, serial: session.serial }, session)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::ConnId;
    use super::*;
    use crate::limits::GAME;

    fn session() -> Session {
        let link = Link::Conn(ConnId { slot: 0, serial: 1 });
        let joined = Joined { room: RoomId(0), player: PlayerId(1), index: 0 };
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        Session::new((link, peer), joined, (Tick(5), Encoding::Json), &GAME.input, Millis(0))
    }

    #[test]
    fn state_is_owed_until_its_last_byte() {
        let mut session = session();
        assert_eq!(session.owed(), None);
        assert!(!session.owe(Tick(6)));
        session.show(Tick(6));
        assert!(session.owe(Tick(7)), "tick 6 is not written completely");
        session.settle();
        assert_eq!(session.owed(), Some(Owed::Since(Tick(6))));
        session.show(Tick(7));
        session.settle();
        assert_eq!(session.owed(), None);
    }

    #[test]
    fn a_flood_is_dropped_and_then_closed() {
        let mut session = session();
        let mut verdicts = Vec::new();
        for ms in 0..2_400 {
            verdicts.push(session.admit(&GAME.input, 10, Millis(ms)));
        }
        let first_drop = verdicts.iter().position(|verdict| *verdict == Verdict::Drop).unwrap();
        let first_close = verdicts.iter().position(|verdict| *verdict == Verdict::Close).unwrap();
        assert!((2_000..2_200).contains(&(first_close - first_drop)));
    }

    #[test]
    fn a_flood_of_large_messages_is_closed_as_soon() {
        for bytes in [1_000, 6_200, 16_384] {
            let mut session = session();
            let verdicts = (0..2_400).map(|ms| session.admit(&GAME.input, bytes, Millis(ms)));
            let closed_at = verdicts.into_iter().position(|verdict| verdict == Verdict::Close);
            assert!((2_000..2_200).contains(&closed_at.unwrap()), "{bytes} bytes");
        }
    }

    #[test]
    fn a_page_that_moves_with_every_frame_it_draws_stays() {
        for hz in [60, 90, 144] {
            let mut session = session();
            let verdicts: Vec<_> = (0..60 * hz)
                .map(|n| session.admit(&GAME.input, 36, Millis(n * 1000 / hz)))
                .collect();
            let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
            assert_eq!(count(Verdict::Close), 0);
            assert!((2_400..2_500).contains(&count(Verdict::Take)), "40 a second count");
        }
    }

    #[test]
    fn a_burst_now_and_then_is_forgiven() {
        let mut session = session();
        for second in 0..20 {
            for _ in 0..90 {
                let verdict = session.admit(&GAME.input, 10, Millis(second * 3_000));
                assert_ne!(verdict, Verdict::Close, "in second {second}");
            }
        }
    }
}
