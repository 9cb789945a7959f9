//! Sessions: clients in rooms, over any transport, and what they may send.

use std::net::IpAddr;

use slab::Slab;

use super::ids::{Link, RoomId, SessionId};
use super::tokens::{Events, TokenHash};
use super::traffic::Carried;
use crate::bucket::{Bucket, Overrun};
use crate::limits::InputRates;
use crate::time::{Millis, Tick};
use crate::wire::View;

/// A client in a room.
#[derive(Debug)]
pub struct Session {
    /// Its transport.
    pub link: Link,
    /// The address of its client.
    pub peer: IpAddr,
    /// Its room.
    pub room: RoomId,
    /// Its index among the members of the room.
    pub index: u32,
    /// What it has received of the room.
    pub view: View,
    /// When its player joined, maybe with an earlier client.
    pub joined_at: Millis,
    /// When it last sent a command.
    pub acted_at: Millis,
    /// With what it may come back to its player, if it may.
    pub token: Option<Box<Token>>,
    /// Whether the token that it has presented is still valid: it may not have received the next
    /// one.
    pub has_presented: bool,
    /// Whether it has sent a message.
    pub has_sent: bool,
    /// What is logged of its connections, once its Engine.IO session has ended.
    pub carried: Option<Box<Carried>>,
    throttle: Throttle,
    serial: u32,
}

/// With what a client may come back to its player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What is kept of its secret.
    pub hash: TokenHash,
    /// The tick after which it has received events without a gap; `None` if it cannot recover.
    pub since: Option<Tick>,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateVerdict {
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
    /// From the first message on that is malformed or over the rate; most clients send none.
    excess: Option<Box<Excess>>,
}

#[derive(Debug)]
struct Excess {
    malformed: Bucket,
    overrun: Overrun,
}

impl Throttle {
    fn excess(&mut self, rates: &InputRates, now: Millis) -> &mut Excess {
        self.excess.get_or_insert_with(|| {
            let malformed = Bucket::full(rates.malformed, now);
            Box::new(Excess { malformed, overrun: Overrun::none(rates.excess, now) })
        })
    }
}

/// The arguments of [`Session::new`].
#[derive(Debug)]
pub struct Joined {
    /// The transport of the client.
    pub link: Link,
    /// The address of the client.
    pub peer: IpAddr,
    /// The room.
    pub room: RoomId,
    /// The index among the members of the room.
    pub index: u32,
    /// What the client has received of the room.
    pub view: View,
}

impl Session {
    /// A client that has just joined.
    #[must_use]
    pub fn new(joined: Joined, rates: &InputRates, now: Millis) -> Session {
        let Joined { link, peer, room, index, view } = joined;
        let throttle = Throttle {
            messages: Bucket::full(rates.messages, now),
            bytes: Bucket::full(rates.bytes, now),
            excess: None,
        };
        Session {
            link,
            peer,
            room,
            index,
            view,
            joined_at: now,
            acted_at: now,
            token: None,
            has_presented: false,
            has_sent: false,
            carried: None,
            throttle,
            serial: 0,
        }
    }

    /// What it has received, so that its client can recover; `None` if that cannot.
    #[must_use]
    pub fn events(&self) -> Option<Events> {
        let since = self.token.as_ref()?.since?;
        Some(Events { since, hz: self.view.hz })
    }

    /// Counts a message of `bytes` bytes against the rates.
    pub fn admit(&mut self, rates: &InputRates, bytes: usize, now: Millis) -> RateVerdict {
        self.admit_messages(rates, 1, bytes, now)
    }

    /// Counts bytes that a message has besides those that [`Session::admit`] counts.
    pub fn admit_bytes(&mut self, rates: &InputRates, bytes: usize, now: Millis) -> RateVerdict {
        self.admit_messages(rates, 0, bytes, now)
    }

    /// Whether a message of `bytes` bytes is above the rates. Nothing is counted.
    pub fn exceeds(&mut self, rates: &InputRates, bytes: usize, now: Millis) -> bool {
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Throttle { messages, bytes, .. } = &mut self.throttle;
        !messages.has(rates.messages, 1, now) || !bytes.has(rates.bytes, cost, now)
    }

    fn admit_messages(
        &mut self,
        rates: &InputRates,
        messages: u32,
        bytes: usize,
        now: Millis,
    ) -> RateVerdict {
        let throttle = &mut self.throttle;
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX);
        let is_within = throttle.messages.take(rates.messages, messages, now)
            && throttle.bytes.take(rates.bytes, cost, now);
        if is_within {
            return RateVerdict::Take;
        }
        let overrun = &mut throttle.excess(rates, now).overrun;
        match overrun.count(rates.excess, rates.weight(bytes), now) >= rates.grace_ms {
            true => RateVerdict::Close,
            false => RateVerdict::Drop,
        }
    }

    /// Counts a message that is invalid.
    pub fn admit_malformed(&mut self, rates: &InputRates, now: Millis) -> RateVerdict {
        let excess = self.throttle.excess(rates, now);
        match excess.malformed.take(rates.malformed, 1, now) {
            true => RateVerdict::Drop,
            false => RateVerdict::Close,
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
    use crate::game::PlayerId;
    use crate::limits::GAME;
    use crate::wire::Dialect;

    fn session() -> Session {
        let link = Link::Conn(ConnId { slot: 0, serial: 1 });
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let view = View::new(Dialect::Json, PlayerId(1), Tick(5));
        let joined = Joined { link, peer, room: RoomId { slot: 0, serial: 1 }, index: 0, view };
        Session::new(joined, &GAME.input, Millis(0))
    }

    #[test]
    fn a_flood_is_dropped_and_then_closed() {
        let mut session = session();
        let mut verdicts = Vec::new();
        // 500 messages per second.
        for message in 0..1_500 {
            verdicts.push(session.admit(&GAME.input, 10, Millis(2 * message)));
        }
        let first_drop = verdicts.iter().position(|verdict| *verdict == RateVerdict::Drop).unwrap();
        let first_close =
            verdicts.iter().position(|verdict| *verdict == RateVerdict::Close).unwrap();
        assert!((2_000..2_400).contains(&(2 * (first_close - first_drop))));
    }

    #[test]
    fn further_bytes_of_a_message_count_against_the_rate_of_bytes_only() {
        let rates = &GAME.input;
        let mut session = session();
        for _ in 0..rates.messages.burst {
            assert_eq!(session.admit(rates, 10, Millis(0)), RateVerdict::Take);
            assert_eq!(session.admit_bytes(rates, 3, Millis(0)), RateVerdict::Take);
        }
        let all = rates.bytes.burst as usize;
        assert_eq!(session.admit_bytes(rates, all, Millis(0)), RateVerdict::Drop);
    }

    #[test]
    fn a_session_bears_a_small_multiple_of_its_rate_at_once() {
        for (bytes, most) in [(10, 2_800), (1_000, 600), (6_200, 110), (16_384, 50)] {
            let mut session = session();
            let mut verdicts = (0..).map(|_| session.admit(&GAME.input, bytes, Millis(0)));
            let closed_at = verdicts.position(|verdict| verdict == RateVerdict::Close).unwrap();
            assert!((most / 2..most).contains(&closed_at), "{bytes} bytes: {closed_at}");
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
            assert_eq!(count(RateVerdict::Close), 0);
            assert!((2_400..2_500).contains(&count(RateVerdict::Take)), "40 a second count");
        }
    }

    #[test]
    fn a_burst_now_and_then_is_forgiven() {
        let mut session = session();
        for second in 0..20 {
            for _ in 0..90 {
                let verdict = session.admit(&GAME.input, 10, Millis(second * 3_000));
                assert_ne!(verdict, RateVerdict::Close, "in second {second}");
            }
        }
    }
}
