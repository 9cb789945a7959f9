//! The encoded forms of a room's [`Frame`](crate::game::Frame) and of the facts since: each is made
//! on first use, and shared by all clients that receive the same bytes.

use super::compression::{Compression, Window};
use super::events::{self, Roster};
use super::recovery::{FactLog, Offset};
use super::v1::{History, Viewer};
use super::{Dialect, packet};
use crate::game::{Fact, Frame, PlayerId, Snapshot, World};
use crate::limits::{COMPRESSED_FORMS_MAX, COMPRESSED_WITH_HISTORY_MAX};
use crate::outbox::{Encoded, Topic, Update};
use crate::time::Tick;

/// How the transport of a client frames its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As WebSocket frames.
    WebSocket,
    /// As compressed WebSocket frames (RFC 7692).
    Deflate {
        /// Whether the client keeps the history of what it received compressed.
        keeps_history: bool,
    },
    /// As the payload of a poll (engine.io-protocol 4).
    Polling,
}

/// A fact, as the clients of a dialect receive it.
#[derive(Clone, Debug)]
pub struct EncodedFact {
    /// The dialect.
    pub dialect: Dialect,
    /// What the fact is about.
    pub topic: Topic,
    /// Its offset, if the clients of the room can recover and the fact is not volatile.
    pub offset: Option<Offset>,
    /// The fact in WebSocket frames.
    pub bytes: Encoded,
}

/// What is encoded of one frame of a room, and of the facts since.
#[derive(Debug, Default)]
pub struct Encodings {
    shared: Vec<Shared>,
    compressed: Vec<Compressed>,
    facts: Vec<EncodedFact>,
    /// The number of facts that were sent.
    sent: usize,
    /// What asks clients to acknowledge the tick of the frame.
    question: Option<Encoded>,
    /// The players of the frame, for new clients.
    roster: Option<Roster>,
    /// Where all players of the frame are, for clients that have recovered.
    places: Option<Encoded>,
    /// What clients of skirmish.v1 need of this frame and of earlier ones.
    history: Option<Box<History>>,
    /// The facts before the frame, while clients may recover that missed some.
    log: Option<Box<FactLog>>,
}

/// An update for all clients of a dialect that have received the same.
#[derive(Debug)]
struct Shared {
    dialect: Dialect,
    /// The tick that they received last; `None` if the update does not depend on it.
    base: Option<Tick>,
    /// In WebSocket frames; `None` if nothing has changed since the base.
    frames: Option<Encoded>,
    payload: Option<Encoded>,
    /// The same payload with the question before it.
    asking_payload: Option<Encoded>,
}

/// The index of an update that is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(usize);

/// A compressed form of an update that is shared.
#[derive(Debug)]
struct Compressed {
    update: Found,
    /// What it refers to; `None` if it stands alone.
    history: Option<Window>,
    frames: Encoded,
}

impl Encodings {
    /// Forgets what is encoded of the last frame: the room has a new one. `has_v1` says whether it
    /// has clients of skirmish.v1, each of which receives about `view_bytes` on a tick. All facts
    /// were sent.
    pub fn renew(&mut self, frame: &Frame, has_v1: bool, view_bytes: u32) {
        match self.history.as_mut().filter(|_| has_v1) {
            Some(history) => history.renew(frame, view_bytes),
            None => self.history = None,
        }
        self.shared.clear();
        self.compressed.clear();
        if let Some(log) = &mut self.log {
            log.begin_frame(self.facts.drain(..), frame.tick());
        }
        self.facts.clear();
        self.sent = 0;
        self.question = None;
        self.roster = None;
        self.places = None;
    }

    /// From here on facts have offsets, and are kept for clients that recover. `tick` is that of
    /// the frame.
    pub fn keep_facts(&mut self, tick: Tick) {
        self.log.get_or_insert_with(|| Box::new(FactLog::new(tick)));
    }

    /// Whether facts are kept.
    #[must_use]
    pub fn keeps_facts(&self) -> bool {
        self.log.is_some()
    }

    /// No client can recover: facts are kept no longer.
    pub fn drop_facts(&mut self) {
        self.log = None;
    }

    /// Forgets the facts before the frame, to free memory. Clients that missed some of them cannot
    /// recover.
    pub fn forget_facts(&mut self) {
        if let Some(log) = &mut self.log {
            log.forget();
        }
    }

    /// The facts that were sent after the one with an offset, in one buffer. `None` if it is
    /// unknown or too old.
    #[must_use]
    pub fn missed(&self, offset: Offset) -> Option<Vec<u8>> {
        self.log.as_ref()?.missed(offset, &self.facts[..self.sent])
    }

    /// What clients of skirmish.v1 need of a room with this world.
    pub fn history(&mut self, world: &World) -> &mut History {
        self.history.get_or_insert_with(|| Box::new(History::of(world)))
    }

    /// Reads what [`Encodings::history`] needs for a client.
    pub fn prefetch(&self, viewer: &Viewer) {
        if let Some(history) = &self.history {
            history.prefetch(viewer);
        }
    }

    /// The bytes of what clients of skirmish.v1 need.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.history.as_ref().map_or(0, |history| history.held_bytes())
    }

    /// The bytes of the facts that are kept.
    #[must_use]
    pub fn fact_bytes(&self) -> usize {
        self.log.as_ref().map_or(0, |log| log.held_bytes())
    }

    /// The number of bodies with a change that is held back from clients of skirmish.v1.
    #[must_use]
    pub fn held_back(&self) -> u32 {
        self.history.as_ref().map_or(0, |history| history.held_back())
    }

    /// The update of a dialect from a base; `make` encodes it on first use, in WebSocket frames.
    /// `None` if nothing has changed since the base.
    #[must_use]
    pub fn find(
        &mut self,
        dialect: Dialect,
        base: Option<Tick>,
        make: impl FnOnce() -> Option<Encoded>,
    ) -> Option<Found> {
        let is_same = |shared: &Shared| shared.dialect == dialect && shared.base == base;
        let index = self.shared.iter().position(is_same).unwrap_or_else(|| {
            // Most rooms have one.
            self.shared.reserve_exact(1);
            let (payload, asking_payload) = (None, None);
            self.shared.push(Shared { dialect, base, frames: make(), payload, asking_payload });
            self.shared.len() - 1
        });
        self.shared[index].frames.is_some().then_some(Found(index))
    }

    /// An update in WebSocket frames.
    #[must_use]
    pub fn frames(&self, found: Found) -> Encoded {
        let frames = &self.shared[found.0].frames;
        frames.clone().expect("only an update that has frames is found")
    }

    /// An update as the payload of a poll.
    #[must_use]
    pub fn payload(&mut self, found: Found) -> Encoded {
        let frames = self.frames(found);
        let payload = &mut self.shared[found.0].payload;
        payload.get_or_insert_with(|| packet::payload([&frames]).into()).clone()
    }

    /// What asks clients to acknowledge the `tick` of the frame, in a WebSocket frame.
    #[must_use]
    pub fn question(&mut self, tick: Tick) -> Encoded {
        self.question.get_or_insert_with(|| events::question(tick)).clone()
    }

    /// An update as the payload of a poll, with the question before it.
    #[must_use]
    pub fn asking_payload(&mut self, found: Found, tick: Tick) -> Encoded {
        let (question, frames) = (self.question(tick), self.frames(found));
        let payload = &mut self.shared[found.0].asking_payload;
        payload.get_or_insert_with(|| packet::payload([&question, &frames]).into()).clone()
    }

    /// An update compressed for clients whose window is `window`. `None` if that is too much work
    /// now. Then it is sent uncompressed, which leaves the window as it is.
    #[must_use]
    pub fn compressed(
        &mut self,
        found: Found,
        window: Option<&Window>,
        compression: &mut Compression,
    ) -> Option<Encoded> {
        let of_update = |it: &&Compressed| it.update == found && it.history.as_ref() == window;
        if let Some(it) = self.compressed.iter().find(of_update) {
            return Some(it.frames.clone());
        }
        let with_history = self.compressed.iter().filter(|it| it.history.is_some()).count();
        if window.is_some() && with_history >= COMPRESSED_WITH_HISTORY_MAX {
            return self.compressed(found, None, compression);
        }
        if self.compressed.len() >= COMPRESSED_FORMS_MAX {
            return None;
        }
        let frames = compression.compress(self.shared[found.0].frames.as_ref()?, window)?;
        let history = window.cloned();
        self.compressed.push(Compressed { update: found, history, frames: frames.clone() });
        Some(frames)
    }

    /// The first update of a client whose dialect has facts: the players, the facts that were sent
    /// since the frame, which it has not received, and its `own` fields, if they have changed
    /// since.
    #[must_use]
    pub fn first_update(
        &mut self,
        player: PlayerId,
        snapshot: Snapshot,
        own: Option<Encoded>,
        framing: Framing,
    ) -> Update {
        let roster = self.roster.get_or_insert_with(|| Roster::of(snapshot));
        let offset = self.log.as_ref().map(|log| log.frame());
        let first = roster.first_state(player, snapshot, offset).into_iter();
        let sent = self.facts[..self.sent].iter();
        let facts = sent.filter(|fact| fact.dialect == Dialect::Events);
        let parts = first.chain(facts.map(|fact| fact.bytes.clone())).chain(own);
        framed(parts.collect(), framing)
    }

    /// The first update of a client that has recovered: it has the facts, and may have missed any
    /// position and its owner-only fields.
    #[must_use]
    pub fn recovered_update(
        &mut self,
        player: PlayerId,
        snapshot: Snapshot,
        framing: Framing,
    ) -> Update {
        let places = self.places.get_or_insert_with(|| events::places(snapshot)).clone();
        let own = events::own_fields(player, snapshot);
        framed(std::iter::once(places).chain(own).collect(), framing)
    }

    /// Encodes facts for the clients of a dialect, in order, as the world is now.
    pub fn encode_facts(&mut self, dialect: Dialect, facts: &[Fact], world: &World) {
        let log = &mut self.log;
        self.facts.extend(facts.iter().filter_map(|fact| {
            let next = log.as_ref().map(|log| log.next());
            let (topic, bytes) = dialect.fact(fact, world.snapshot(), next)?;
            let offset = next.filter(|_| topic != Topic::Volatile);
            if let (Some(log), Some(_)) = (log.as_mut(), offset) {
                log.advance();
            }
            Some(EncodedFact { dialect, topic, offset, bytes })
        }));
    }

    /// Whether there are facts that were not taken to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.facts.len()
    }

    /// Takes the facts to be sent, in order. From here on they are part of first updates.
    pub fn take_unsent(&mut self) -> Vec<EncodedFact> {
        let first = std::mem::replace(&mut self.sent, self.facts.len());
        self.facts[first..].to_vec()
    }
}

/// The parts of an update that is not shared, in WebSocket frames or as the payload of a poll.
fn framed(parts: Vec<Encoded>, framing: Framing) -> Update {
    match framing {
        Framing::WebSocket | Framing::Deflate { .. } => Update::Several(Box::new(parts.into())),
        Framing::Polling => Update::One(packet::payload(&parts).into()),
    }
}
