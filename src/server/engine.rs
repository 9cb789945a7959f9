//! Engine.IO sessions: one client over several connections, what waits for its next poll, and when
//! its heart is to beat.
//!
//! A noun: it knows handles of connections and no connection. A packet that waits is kept as the
//! WebSocket frame that carries it, so that the same bytes serve whoever gets them, however; a
//! payload takes what is inside.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use slab::Slab;

use super::ids::{ConnId, EngineId, SessionId};
use super::route::Wish;
use crate::bucket::{Bucket, RateLimit};
use crate::close::CloseReason;
use crate::limits::{
    CLOSED_SESSION_MS, CLOSED_SESSIONS_MAX, CONNECTS, OUTBOX_SOFT_MS, PACKET_BYTES,
};
use crate::outbox::{Encoded, Facts, Topic};
use crate::socketio::packet::Assembler;
use crate::time::Millis;

/// A session's secret name: 160 random bits in hex.
pub type Sid = Box<str>;

/// What the polls of a session that has ended are told, one after the other.
pub type Words = VecDeque<Rc<[u8]>>;

/// One Engine.IO session.
#[derive(Debug)]
pub struct Engine {
    /// Its secret name.
    pub sid: Sid,
    /// What its client says in Socket.IO; `None` where it is raw, as some conformance suites want
    /// it.
    pub talk: Option<Box<Talk>>,
    /// What carries it.
    pub transport: Transport,
    /// The address that began it.
    pub client: IpAddr,
    /// Whether the limits of one address do not hold for it.
    pub is_exempt: bool,
    /// Packets that wait for a poll.
    waiting: Facts,
    /// Since when more waits than may wait for long; `NEVER` if it does not.
    pub full_since: Millis,
    /// When the next ping is due; `NEVER` while one is not answered.
    pub ping_at: Millis,
    /// When it ends unless a pong comes; `NEVER` while none is awaited.
    pub pong_by: Millis,
    /// How many more packets of its client are borne that are no events of a player.
    pub control: RateLimit,
    /// Whether its client has said goodbye.
    pub is_leaving: bool,
    serial: u32,
}

/// The state of a conversation in Socket.IO.
#[derive(Debug)]
pub struct Talk {
    /// What its client wished for when the session began.
    pub wish: Wish,
    /// Whether its first request came over a connection for which there was no room.
    pub is_surplus: bool,
    /// Who it is in the game, once it has come in.
    pub session: Option<SessionId>,
    /// How often it may come in.
    pub connects: Bucket,
    /// Whether it has asked to come in before.
    pub has_joined: bool,

    /// What has come of a packet that has attachments.
    pub assembler: Assembler,
    /// The namespaces in which its client is.
    pub joined: Vec<&'static str>,
    /// When it must be in one.
    pub connect_by: Millis,
    /// When the attachments of a packet that has come must be there.
    pub whole_by: Millis,
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Requests: polls for what comes from us, posts for what comes from the client.
    Polling(Polling),
    /// A WebSocket, for good.
    WebSocket(ConnId),
}

/// The requests of a session that are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polling {
    /// The poll that waits for its answer.
    pub poll: Option<ConnId>,
    /// The request whose body arrives.
    pub post: Option<ConnId>,
    /// The poll that has its answer, of which the client may not have all yet.
    pub answered: Option<ConnId>,
    /// The WebSocket that may take over.
    pub probe: Option<Probe>,
    /// When a poll that waits beside a probe is answered with nothing.
    pub noop_at: Option<Millis>,
}

/// A WebSocket that may take a session over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The WebSocket.
    pub link: ConnId,
    /// When it is given up.
    pub until: Millis,
    /// Whether it was probed.
    pub is_probed: bool,
}

/// What a client said, for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Talk {
    /// Nothing has been said; its client must be in a namespace by then.
    #[must_use]
    pub fn new(wish: Wish, is_surplus: bool, connect_by: Millis, now: Millis) -> Talk {
        Talk {
            wish,
            is_surplus,
            session: None,
            connects: Bucket::full(CONNECTS, now),
            has_joined: false,
            assembler: Assembler::default(),
            joined: Vec::new(),
            connect_by,
            whole_by: Millis::NEVER,
        }
    }
}

impl Engine {
    /// The client that plays over it.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.talk.as_ref().and_then(|talk| talk.session)
    }

    /// The requests under way, if requests carry it.
    pub fn polling(&mut self) -> Option<&mut Polling> {
        match &mut self.transport {
            Transport::Polling(polling) => Some(polling),
            Transport::WebSocket(_) => None,
        }
    }

    /// Queues packets for the next poll; where it `is_crowded`, some may be merged.
    pub fn queue(&mut self, packets: Encoded, topic: Option<Topic>, is_crowded: bool) {
        self.waiting.push(packets, topic, is_crowded);
    }

    /// Bytes that wait for the next poll. Empty packets are not free.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.bytes() + PACKET_BYTES * self.waiting.len()
    }

    /// Takes all packets that wait.
    pub fn take_waiting(&mut self) -> Facts {
        self.full_since = Millis::NEVER;
        std::mem::take(&mut self.waiting)
    }

    /// Whether a packet waits.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The time before which nothing is to be done about it.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let said = self.talk.as_ref().map(|talk| talk.connect_by.min(talk.whole_by));
        let full = self.full_since.after(OUTBOX_SOFT_MS);
        let beat = self.ping_at.min(self.pong_by).min(said.unwrap_or(Millis::NEVER)).min(full);
        match &self.transport {
            Transport::WebSocket(_) => beat,
            Transport::Polling(polling) => {
                let probe = polling.probe.map_or(Millis::NEVER, |probe| probe.until);
                beat.min(probe).min(polling.noop_at.unwrap_or(Millis::NEVER))
            }
        }
    }
}

/// All Engine.IO sessions.
#[derive(Debug)]
pub struct Engines {
    slab: Slab<Engine>,
    by_sid: HashMap<Sid, EngineId>,
    serial: u32,
    rng: ChaCha20Rng,
    /// Sessions that have ended, and what their next polls are told.
    tombstones: HashMap<Sid, (Millis, Words)>,
    /// Sessions that have packets for a poll that waits.
    ripe: Vec<EngineId>,
    /// Sessions that are to end in this turn, and why.
    doomed: VecDeque<(EngineId, CloseReason)>,
    /// Clients that have lost theirs in this turn, and why.
    parted: Vec<(SessionId, CloseReason)>,
}

impl Engines {
    /// No sessions; `rng` draws their secret names and must be one that nobody can guess.
    #[must_use]
    pub fn new(rng: ChaCha20Rng) -> Engines {
        Engines {
            slab: Slab::new(),
            by_sid: HashMap::new(),
            serial: 0,
            rng,
            tombstones: HashMap::new(),
            ripe: Vec::new(),
            doomed: VecDeque::new(),
            parted: Vec::new(),
        }
    }

    /// Begins a session of `client`.
    pub fn insert(
        &mut self,
        transport: Transport,
        talk: Option<Box<Talk>>,
        (client, is_exempt): (IpAddr, bool),
        ping_at: Millis,
        control: RateLimit,
    ) -> EngineId {
        self.serial = self.serial.wrapping_add(1);
        let sid = self.draw_sid();
        let slot = self.slab.insert(Engine {
            sid: sid.clone(),
            talk,
            transport,
            client,
            is_exempt,
            waiting: Facts::default(),
            full_since: Millis::NEVER,
            ping_at,
            pong_by: Millis::NEVER,
            control,
            is_leaving: false,
            serial: self.serial,
        });
        let id = EngineId { slot: slot as u32, serial: self.serial };
        self.by_sid.insert(sid, id);
        id
    }

    fn draw_sid(&mut self) -> Sid {
        let [a, b, c, d, e]: [u32; 5] = self.rng.random();
        format!("{a:08x}{b:08x}{c:08x}{d:08x}{e:08x}").into()
    }

    /// The session, unless it has ended.
    #[must_use]
    pub fn get(&self, id: EngineId) -> Option<&Engine> {
        self.slab.get(id.slot as usize).filter(|engine| engine.serial == id.serial)
    }

    /// The session, unless it has ended.
    pub fn get_mut(&mut self, id: EngineId) -> Option<&mut Engine> {
        self.slab.get_mut(id.slot as usize).filter(|engine| engine.serial == id.serial)
    }

    /// The session of that name.
    #[must_use]
    pub fn find(&self, sid: &str) -> Option<EngineId> {
        self.by_sid.get(sid).copied()
    }

    /// Ends a session. For a while each of its next polls is told one of the `words`.
    pub fn remove(&mut self, id: EngineId, words: Words, now: Millis) -> Option<Engine> {
        self.get(id)?;
        let engine = self.slab.remove(id.slot as usize);
        self.by_sid.remove(&engine.sid);
        if !words.is_empty() && self.tombstones.len() < CLOSED_SESSIONS_MAX {
            self.tombstones.insert(engine.sid.clone(), (now.after(CLOSED_SESSION_MS), words));
        }
        Some(engine)
    }

    /// What the next poll of a session that has ended is told.
    pub fn take_word(&mut self, sid: &str) -> Option<Rc<[u8]>> {
        let (_, words) = self.tombstones.get_mut(sid)?;
        let word = words.pop_front();
        if words.is_empty() {
            self.tombstones.remove(sid);
        }
        word
    }

    /// Forgets what nobody has asked for.
    pub fn forget_words(&mut self, now: Millis) {
        self.tombstones.retain(|_, (until, _)| *until > now);
    }

    /// Sessions that there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Polls that wait for their answer.
    #[must_use]
    pub fn polls_held(&self) -> usize {
        let is_held = |engine: &Engine| match &engine.transport {
            Transport::Polling(polling) => polling.poll.is_some(),
            Transport::WebSocket(_) => false,
        };
        self.slab.iter().filter(|(_, engine)| is_held(engine)).count()
    }

    /// The handles of all sessions.
    #[must_use]
    pub fn ids(&self) -> Vec<EngineId> {
        self.due(Millis::NEVER)
    }

    /// The sessions about which something may be to be done by `now`.
    pub fn due(&self, now: Millis) -> Vec<EngineId> {
        let is_due = |(_, engine): &(usize, &Engine)| engine.deadline() <= now;
        self.slab
            .iter()
            .filter(is_due)
            .map(|(slot, engine)| EngineId { slot: slot as u32, serial: engine.serial })
            .collect()
    }

    /// The oldest session over which nobody plays, of those whose client has the most of them.
    pub fn oldest_unused(&self, unused_of: impl Fn(IpAddr) -> u32) -> Option<EngineId> {
        let age = |engine: &Engine| self.serial.wrapping_sub(engine.serial);
        self.slab
            .iter()
            .filter(|(_, engine)| engine.session().is_none())
            .max_by_key(|(_, engine)| (unused_of(engine.client), age(engine)))
            .map(|(slot, engine)| EngineId { slot: slot as u32, serial: engine.serial })
    }

    /// Takes note that a client has lost the session over which it played.
    pub fn part(&mut self, session: SessionId, reason: CloseReason) {
        self.parted.push((session, reason));
    }

    /// The next client that has lost its session, and why.
    pub fn next_parted(&mut self) -> Option<(SessionId, CloseReason)> {
        self.parted.pop()
    }

    /// Calls for an answer to the session's poll at the end of this turn.
    pub fn mark_ripe(&mut self, id: EngineId) {
        self.ripe.push(id);
    }

    /// Ends the session in this turn; of several reasons the first counts.
    pub fn doom(&mut self, id: EngineId, reason: CloseReason) {
        self.doomed.push_back((id, reason));
    }

    /// The next that is to end, and why.
    pub fn next_doomed(&mut self) -> Option<(EngineId, CloseReason)> {
        self.doomed.pop_front()
    }

    /// Whether a poll is to be answered.
    #[must_use]
    pub fn is_ripe(&self) -> bool {
        !self.ripe.is_empty()
    }

    /// Those whose polls are to be answered; some may stand there more than once.
    pub fn take_ripe(&mut self) -> Vec<EngineId> {
        std::mem::take(&mut self.ripe)
    }
}
