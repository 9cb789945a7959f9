//! Engine.IO sessions: one client over several connections, the packets that wait for its next
//! poll, and its heartbeat.
//!
//! A packet is kept as the WebSocket frame that carries it, so that all clients share the same
//! bytes, over any transport; in a payload, its packets are unwrapped from the frames.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use slab::Slab;

use super::super::backlog::{Backlog, Bounds, Verdict};
use super::super::held::Counted;
use super::super::ids::{ConnId, EioId, SessionId};
use super::super::join_request::JoinRequest;
use super::super::traffic::Traffic;
use super::unjoined::Unjoined;
use crate::bucket::{Bucket, RateLimit};
use crate::limits::{
    CLOSED_SESSIONS_MAX, CONNECTS, LAST_PAYLOADS_BYTES, LAST_POLL_MS, Limits, PACKET_BYTES,
};
use crate::outbox::{Encoded, Facts, Topic};
use crate::socketio::packet::Assembler;
use crate::time::{Millis, Tick};

/// A session's secret id: 160 random bits in hex.
type Sid = Box<str>;

/// The payloads for the next polls of a session that has ended.
pub type LastPayloads = VecDeque<Rc<[u8]>>;

/// An Engine.IO session.
#[derive(Debug)]
pub struct EioSession {
    /// Its secret id.
    pub sid: Sid,
    /// The Socket.IO state; `None` for raw Engine.IO.
    pub socketio: Option<Box<SocketIoState>>,
    /// Its transport.
    pub transport: Transport,
    /// The address of its client.
    pub client: IpAddr,
    /// Whether it is exempt from the limits per address.
    pub is_exempt: bool,
    /// Packets that wait for a poll, each in the WebSocket frame that carries it.
    waiting: Facts,
    /// How much waits for a poll, and since when.
    pub backlog: Backlog,
    /// What the account of memory counts for it.
    pub counted: Counted,
    /// When it began.
    pub began_at: Millis,
    /// When the next ping is due; `NEVER` while one is unanswered.
    pub ping_at: Millis,
    /// When the last ping was sent.
    pub pinged_at: Millis,
    /// When it ends unless a pong arrives; `NEVER` while none is expected.
    pub pong_by: Millis,
    /// Bytes of its payloads over polling, from the client and to it.
    pub polled: Traffic,
    /// The rate limit of packets other than events.
    pub control: RateLimit,
    /// Whether its client has sent a close packet.
    pub is_closing: bool,
    /// Whether it is among [`EioSessions::polls_to_answer`].
    awaits_answer: bool,
    serial: u32,
}

/// The fields of an [`EioSession`] that are known before it has an id.
#[derive(Debug)]
pub struct NewEioSession {
    /// The Socket.IO state; `None` for raw Engine.IO.
    pub socketio: Option<Box<SocketIoState>>,
    /// Its transport.
    pub transport: Transport,
    /// The address of its client.
    pub client: IpAddr,
    /// Whether it is exempt from the limits per address.
    pub is_exempt: bool,
    /// When it began.
    pub began_at: Millis,
    /// When the first ping is due.
    pub ping_at: Millis,
    /// The rate limit of packets other than events.
    pub control: RateLimit,
}

/// The Socket.IO state of a session.
#[derive(Debug)]
pub struct SocketIoState {
    /// What the query of the first request asked for.
    pub join_request: JoinRequest,
    /// Whether its first connection was above the limit of connections.
    pub is_over_limit: bool,
    /// The client in a room, once it has joined.
    pub session: Option<SessionId>,
    /// The rate limit of joins.
    pub connects: Bucket,
    /// Whether it has tried to join before.
    pub has_joined: bool,
    /// Assembles packets with attachments.
    pub assembler: Assembler,
    /// The namespaces that its client has joined.
    pub namespaces: Vec<&'static str>,
    /// When it ends unless it has joined one.
    pub connect_by: Millis,
    /// When it ends unless the attachments of a packet have arrived.
    pub complete_by: Millis,
}

/// The transport of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Long polling: GET for packets of the server, POST for packets of the client.
    Polling(Polling),
    /// A WebSocket, until the end.
    WebSocket(ConnId),
}

/// The requests of a session that are in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The poll that is held.
    pub poll: Option<ConnId>,
    /// The POST whose body is arriving.
    pub post: Option<ConnId>,
    /// The last poll that was answered; its response may not be written completely.
    pub answered: Option<ConnId>,
    /// The WebSocket of an upgrade in progress.
    pub probe: Option<Probe>,
    /// When the held poll is answered with a noop packet.
    pub noop_at: Millis,
    /// When the last poll was answered, or else the session began.
    pub answered_at: Millis,
    /// When the session ends unless its client polls; `NEVER` while a poll is held.
    pub absent_at: Millis,
}

impl Transport {
    /// Its name in metrics and in the log.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Transport::Polling(_) => "polling",
            Transport::WebSocket(_) => "websocket",
        }
    }
}

impl Polling {
    /// A session without requests that begins now, and ends at `absent_at` unless its client polls.
    #[must_use]
    pub const fn new(absent_at: Millis, now: Millis) -> Polling {
        let (poll, post, answered, probe) = (None, None, None, None);
        let noop_at = Millis::NEVER;
        Polling { poll, post, answered, probe, noop_at, answered_at: now, absent_at }
    }
}

/// The WebSocket of an upgrade in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The WebSocket.
    pub link: ConnId,
    /// When the upgrade is abandoned.
    pub until: Millis,
    /// Whether the client has sent `2probe`.
    pub is_probed: bool,
}

/// A message of a client, for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EioMessage {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl SocketIoState {
    /// A new session, which must join a namespace before `connect_by`.
    #[must_use]
    pub fn new(
        join_request: JoinRequest,
        is_over_limit: bool,
        assembler: Assembler,
        connect_by: Millis,
        now: Millis,
    ) -> SocketIoState {
        SocketIoState {
            join_request,
            is_over_limit,
            session: None,
            connects: Bucket::full(CONNECTS, now),
            has_joined: false,
            assembler,
            namespaces: Vec::new(),
            connect_by,
            complete_by: Millis::NEVER,
        }
    }
}

impl EioSession {
    /// The client in a room, if it has joined.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.socketio.as_ref().and_then(|socketio| socketio.session)
    }

    /// The requests in progress, if its transport is long polling.
    pub fn polling(&mut self) -> Option<&mut Polling> {
        match &mut self.transport {
            Transport::Polling(polling) => Some(polling),
            Transport::WebSocket(_) => None,
        }
    }

    /// Queues packets for the next poll, each with what it is about; all or none of them are merged
    /// with those that wait. Returns what follows from the backlog.
    pub fn queue(
        &mut self,
        packets: impl IntoIterator<Item = (Encoded, Option<(Topic, Tick)>)>,
        bounds: &Bounds,
        now: Millis,
    ) -> Verdict {
        let merges = self.backlog.verdict(bounds) >= Verdict::Merge;
        packets.into_iter().for_each(|(packet, about)| self.waiting.push(packet, about, merges));
        // Each packet counts for more than its bytes, so that empty packets are bounded, too.
        let bytes = self.waiting.bytes() + PACKET_BYTES * self.waiting.len();
        self.backlog.set_bytes(bytes, bounds, now);
        self.backlog.verdict(bounds)
    }

    /// Bytes of memory that it takes, besides its own size.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let assembler = self.socketio.as_ref().map_or(0, |it| it.assembler.held_bytes());
        self.waiting.held_bytes() + assembler
    }

    /// Takes all packets that wait.
    pub fn take_waiting(&mut self) -> Facts {
        self.backlog = Backlog::default();
        std::mem::take(&mut self.waiting)
    }

    /// Whether a packet waits.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The time before which nothing is due.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Millis {
        let join =
            self.socketio.as_ref().map(|socketio| socketio.connect_by.min(socketio.complete_by));
        let bounds = Bounds::polling(limits, self.session().is_some());
        let slow = self.backlog.end_at(&bounds);
        let any = self.ping_at.min(self.pong_by).min(join.unwrap_or(Millis::NEVER)).min(slow);
        match &self.transport {
            Transport::WebSocket(_) => any,
            Transport::Polling(polling) => {
                let probe = polling.probe.map_or(Millis::NEVER, |probe| probe.until);
                any.min(probe).min(polling.noop_at).min(polling.absent_at)
            }
        }
    }
}

/// The payloads for the next polls of a session that has ended.
#[derive(Debug)]
struct Last {
    payloads: LastPayloads,
    /// Until when a poll may be on its way to the server.
    awaited_until: Millis,
    /// Until when they are kept.
    kept_until: Millis,
}

/// All Engine.IO sessions.
#[derive(Debug)]
pub struct EioSessions {
    slab: Slab<EioSession>,
    by_sid: HashMap<Sid, EioId>,
    serial: u32,
    rng: ChaCha20Rng,
    /// Sessions that have ended, with payloads for their next polls.
    ended: HashMap<Sid, Last>,
    /// The bytes of these payloads.
    last_payload_bytes: usize,
    /// Sessions whose held poll may be answered, in the order in which they are.
    polls_to_answer: VecDeque<EioId>,
    /// Those without a player that may end for those of others.
    pub unjoined: Unjoined,
}

impl EioSessions {
    /// No sessions. `rng` draws their ids and must be cryptographically secure.
    #[must_use]
    pub fn new(rng: ChaCha20Rng) -> EioSessions {
        EioSessions {
            slab: Slab::new(),
            by_sid: HashMap::new(),
            serial: 0,
            rng,
            ended: HashMap::new(),
            last_payload_bytes: 0,
            polls_to_answer: VecDeque::new(),
            unjoined: Unjoined::default(),
        }
    }

    /// Adds a session.
    pub fn insert(&mut self, new: NewEioSession) -> EioId {
        let NewEioSession { transport, socketio, client, is_exempt, began_at, ping_at, control } =
            new;
        self.serial = self.serial.wrapping_add(1);
        let sid = self.draw_sid();
        let slot = self.slab.insert(EioSession {
            sid: sid.clone(),
            socketio,
            transport,
            client,
            is_exempt,
            waiting: Facts::default(),
            backlog: Backlog::default(),
            counted: Counted::default(),
            began_at,
            ping_at,
            pinged_at: began_at,
            pong_by: Millis::NEVER,
            polled: Traffic::default(),
            control,
            is_closing: false,
            awaits_answer: false,
            serial: self.serial,
        });
        let id = EioId { slot: slot as u32, serial: self.serial };
        self.by_sid.insert(sid, id);
        id
    }

    fn draw_sid(&mut self) -> Sid {
        let [a, b, c, d, e]: [u32; 5] = self.rng.random();
        format!("{a:08x}{b:08x}{c:08x}{d:08x}{e:08x}").into()
    }

    /// The session, unless it has ended.
    #[must_use]
    pub fn get(&self, id: EioId) -> Option<&EioSession> {
        self.slab.get(id.slot as usize).filter(|eio| eio.serial == id.serial)
    }

    /// The session, unless it has ended.
    pub fn get_mut(&mut self, id: EioId) -> Option<&mut EioSession> {
        self.slab.get_mut(id.slot as usize).filter(|eio| eio.serial == id.serial)
    }

    /// The session with this id.
    #[must_use]
    pub fn find(&self, sid: &str) -> Option<EioId> {
        self.by_sid.get(sid).copied()
    }

    /// Removes a session. Its next polls get the `payloads`, one each, until `kept_until`.
    pub fn remove(
        &mut self,
        id: EioId,
        payloads: LastPayloads,
        kept_until: Millis,
    ) -> Option<EioSession> {
        self.get(id)?;
        let mut eio = self.slab.remove(id.slot as usize);
        self.by_sid.remove(&eio.sid);
        let bytes = self.last_payload_bytes + bytes_of(&payloads);
        let has_space = self.ended.len() < CLOSED_SESSIONS_MAX && bytes <= LAST_PAYLOADS_BYTES;
        if !payloads.is_empty() && has_space {
            self.last_payload_bytes = bytes;
            let answered_at = eio.polling().map_or(Millis::default(), |it| it.answered_at);
            let awaited_until = answered_at.after(LAST_POLL_MS);
            self.ended.insert(eio.sid.clone(), Last { payloads, awaited_until, kept_until });
        }
        Some(eio)
    }

    /// Takes the payload for the next poll of a session that has ended.
    pub fn take_last_payload(&mut self, sid: &str) -> Option<Rc<[u8]>> {
        let last = self.ended.get_mut(sid)?;
        let payload = last.payloads.pop_front();
        if last.payloads.is_empty() {
            self.ended.remove(sid);
        }
        self.last_payload_bytes -= payload.as_ref().map_or(0, |payload| payload.len());
        payload
    }

    /// Drops the payloads that were not polled in time.
    pub fn forget_last_payloads(&mut self, now: Millis) {
        let EioSessions { ended, last_payload_bytes, .. } = self;
        ended.retain(|_, last| {
            let is_kept = last.kept_until > now;
            *last_payload_bytes -= if is_kept { 0 } else { bytes_of(&last.payloads) };
            is_kept
        });
    }

    /// Keeps none of them longer than until a time.
    pub fn shorten_last_payloads(&mut self, until: Millis) {
        self.ended.values_mut().for_each(|last| last.kept_until = until.min(last.kept_until));
    }

    /// Whether a poll for one of them may be on its way: a client polls within [`LAST_POLL_MS`] of
    /// its last answer, or it has gone.
    #[must_use]
    pub fn awaits_polls(&self, now: Millis) -> bool {
        self.ended.values().any(|last| last.awaited_until > now)
    }

    /// Drops all of them.
    pub fn drop_last_payloads(&mut self) {
        self.forget_last_payloads(Millis::NEVER);
    }

    /// The bytes of all of them.
    #[must_use]
    pub fn last_payload_bytes(&self) -> usize {
        self.last_payload_bytes
    }

    /// The number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// The number of polls that are held.
    #[must_use]
    pub fn polls_held(&self) -> usize {
        let is_held = |eio: &EioSession| match &eio.transport {
            Transport::Polling(polling) => polling.poll.is_some(),
            Transport::WebSocket(_) => false,
        };
        self.slab.iter().filter(|(_, eio)| is_held(eio)).count()
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = (EioId, &EioSession)> {
        self.slab.iter().map(|(slot, eio)| (handle(slot, eio), eio))
    }

    /// The handles of all sessions.
    #[must_use]
    pub fn ids(&self) -> Vec<EioId> {
        self.slab.iter().map(|(slot, eio)| handle(slot, eio)).collect()
    }

    /// The sessions whose deadline has passed at `now`.
    pub fn due(&self, limits: &Limits, now: Millis) -> Vec<EioId> {
        let is_due = |(_, eio): &(usize, &EioSession)| eio.deadline(limits) <= now;
        self.slab.iter().filter(is_due).map(|(slot, eio)| handle(slot, eio)).collect()
    }

    /// Makes the server answer the session's poll, if one is held.
    pub fn mark_poll(&mut self, id: EioId) {
        let Some(eio) = self.get_mut(id) else { return };
        let is_held =
            matches!(eio.transport, Transport::Polling(polling) if polling.poll.is_some());
        if is_held && !std::mem::replace(&mut eio.awaits_answer, true) {
            self.polls_to_answer.push_back(id);
        }
    }

    /// Whether a poll may be answered.
    #[must_use]
    pub fn has_polls_to_answer(&self) -> bool {
        !self.polls_to_answer.is_empty()
    }

    /// Takes the session whose poll may be answered next.
    pub fn pop_poll(&mut self) -> Option<EioId> {
        let id = self.polls_to_answer.pop_front()?;
        self.get_mut(id).into_iter().for_each(|eio| eio.awaits_answer = false);
        Some(id)
    }
}

fn bytes_of(payloads: &LastPayloads) -> usize {
    payloads.iter().map(|payload| payload.len()).sum()
}

fn handle(slot: usize, eio: &EioSession) -> EioId {
    EioId { slot: slot as u32, serial: eio.serial }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::EioSessions;

    /// Guessing takes 2^160 attempts only if no id or part of an id is likelier than another.
    // T37
    #[test]
    fn a_million_ids_are_distinct_and_their_bytes_are_uniform() {
        const IDS: usize = 1_000_000;
        const BYTES: usize = 20;
        let mut sessions = EioSessions::new(ChaCha20Rng::from_seed([7; 32]));
        let mut ids = Vec::with_capacity(IDS);
        let mut counts = vec![[0_u32; 256]; BYTES];
        for _ in 0..IDS {
            let sid = sessions.draw_sid();
            assert_eq!(sid.len(), 2 * BYTES);
            let digit = |digit: u8| match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => panic!("{sid} has other digits"),
            };
            let mut id = [0; BYTES];
            let (pairs, _) = sid.as_bytes().as_chunks::<2>();
            for ((byte, [high, low]), counts) in id.iter_mut().zip(pairs).zip(&mut counts) {
                *byte = digit(*high) << 4 | digit(*low);
                counts[usize::from(*byte)] += 1;
            }
            ids.push(id);
        }
        // With 255 degrees of freedom the value is between these two with a probability of some
        // 0.9998. More even than by chance is wrong, too.
        for (position, counts) in counts.iter().enumerate() {
            let expected = IDS as f64 / 256.0;
            let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
            let chi_square: f64 = counts.iter().map(square).sum();
            assert!((179.0..348.0).contains(&chi_square), "{chi_square} at byte {position}");
        }
        ids.sort_unstable();
        assert!(ids.windows(2).all(|two| two[0] != two[1]), "an id was drawn twice");
    }
}
