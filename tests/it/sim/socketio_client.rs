//! A model client of Socket.IO: over polling, over WebSocket, or upgraded. It follows the protocol
//! or commits one fault, and knows how its session may end.

use rand::RngExt;
use skirmish::server::ConnId;
use skirmish::time::TICKS_PER_SECOND;

use super::client::Presented;
use super::client_model::ClientModel;
use super::fixture::text;
use super::requests::{opening, polling, posting, upgrading};
use crate::sim::SimRng;

mod connections;
mod receive;

use connections::offering;
pub use connections::{Connection, PendingConnection};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Polling,
    Upgrading,
}

/// What a client does wrong once it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It waits before it polls again.
    LazyPolls,
    /// It reads a few thousand bytes per second.
    SlowReader,
    DoublePoll,
    LostPoll,
    CutPost,
    /// It opens a session and sends nothing more.
    NeverPolls,
    /// It never connects to the namespace.
    NeverJoins,
    NoPong,
    /// It stops reading and writing without closing.
    Unresponsive,
    WrongPacket,
    /// Its WebSocket closes before the upgrade.
    AbandonedProbe,
    /// Its WebSocket never completes the upgrade.
    SilentProbe,
    /// Its WebSocket starts with another packet than the probe's.
    WrongProbe,
    /// A second WebSocket probes too.
    SecondProbe,
}

/// What a pending request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Open,
    Poll,
    Post,
    /// A second poll at once, or a poll of a session that may be over.
    AnyAnswer,
    /// A request that must be refused.
    Refused,
    /// A WebSocket that opens a session.
    WebSocket,
    /// A WebSocket that upgrades a session.
    Probe,
}

/// The progress of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    None,
    Sent,
    /// The probe was answered; the upgrade follows at this time.
    Probed(u64),
    /// The upgrade follows once no request is pending.
    Pausing,
    Failed,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    New,
    Opening,
    Open,
    /// It is sending its close packet.
    Leaving,
    /// It has left, or its session was closed.
    Closed,
}

pub struct SocketIoClient {
    pub transport: Transport,
    pub fault: Fault,
    /// The room's index and name.
    pub room: (usize, String),
    /// It reads everything at once and never leaves: the reference for its room.
    pub is_reference: bool,
    pub stage: Stage,
    pub connections: Vec<Connection>,
    pub pending_connections: Vec<PendingConnection>,
    /// Those that wait to be accepted.
    pub connecting: Vec<(u64, PendingConnection)>,
    pub model: ClientModel,
    pub sid: Option<String>,
    /// The connection of the session, once that is a WebSocket.
    pub websocket: Option<ConnId>,
    /// The token that it presents, or has presented.
    pub presented: Option<Presented>,
    /// Its player number before it rejoined.
    pub previous_number: Option<u32>,
    /// The greatest player number seen when it asked to join.
    pub asked_at: Option<u32>,
    /// It joined, and the oracle does not know it yet.
    pub has_just_joined: bool,
    /// Ticks of the server when it joined.
    pub joined_at_tick: u32,
    /// The server may close its session.
    pub may_be_closed: bool,
    /// The server panicked over it, so that its session ends.
    is_struck: bool,
    /// Responses to two polls at once come in any order, so packets are not checked.
    pub ignores_packets: bool,
    /// Its session is closed, as far as it knows, and the server may end it later.
    may_end_later: bool,
    /// Its player has certainly left.
    pub is_certainly_gone: bool,
    /// Compressed messages that it received.
    pub compressed: u64,
    /// The lowest rate of states that it has asked for, per second.
    pub hz: u32,
    pub opened_at: Option<u64>,
    /// Its position in the fact log of its room, once known.
    pub at: Option<usize>,
    probe: Probe,
    /// The WebSocket whose probe was answered.
    probed: Option<ConnId>,
    /// Whether its poll was answered in this turn with nothing: what it lacks comes with the next.
    pub has_empty_poll: bool,
    /// Whether it had a WebSocket before this run of the loop.
    had_probe: bool,
    outgoing: Vec<String>,
    acts_at: u64,
    polls_at: u64,
    /// If the pong of a client that polls lazily is not sent by then, it may be late.
    pong_by: u64,
    fault_at: u64,
    leaves_at: u64,
    upgrades_at: u64,
    /// When it sends a poll although the upgrade is complete.
    late_poll_at: u64,
    keeps_alive: bool,
    is_frozen: bool,
    read_credit: u64,
}

impl SocketIoClient {
    pub fn new(
        room: (usize, String),
        is_reference: bool,
        now: u64,
        rng: &mut SimRng,
    ) -> SocketIoClient {
        use Fault::*;
        let transports = [Transport::WebSocket, Transport::Polling, Transport::Upgrading];
        let transport =
            if is_reference { Transport::WebSocket } else { transports[rng.random_range(0..3)] };
        let of_all = [None, None, SlowReader, NeverJoins, NoPong, Unresponsive, WrongPacket];
        let of_polling = [LazyPolls, DoublePoll, LostPoll, CutPost, NeverPolls];
        let of_probes = [AbandonedProbe, SilentProbe, WrongProbe, SecondProbe];
        let faults: Vec<Fault> = match transport {
            Transport::WebSocket => of_all.to_vec(),
            Transport::Polling => [&of_all[..], &of_polling].concat(),
            Transport::Upgrading => [&of_all[..], &of_polling, &of_probes, &of_probes].concat(),
        };
        let fault = if is_reference { None } else { faults[rng.random_range(0..faults.len())] };
        let stay_ms = match fault {
            SilentProbe => rng.random_range(14_000..20_000),
            _ => rng.random_range(1_000..15_000),
        };
        let upgrades_at = match transport {
            Transport::Upgrading => now + rng.random_range(0..3_000),
            _ => u64::MAX,
        };
        SocketIoClient {
            transport,
            fault,
            room,
            is_reference,
            stage: Stage::New,
            connections: Vec::new(),
            pending_connections: Vec::new(),
            connecting: Vec::new(),
            model: ClientModel::new(matches!(fault, SlowReader | Unresponsive)),
            sid: Option::None,
            websocket: Option::None,
            presented: Option::None,
            previous_number: Option::None,
            asked_at: Option::None,
            has_just_joined: false,
            joined_at_tick: 0,
            may_be_closed: matches!(fault, SlowReader | NeverPolls | NeverJoins),
            ignores_packets: false,
            is_struck: false,
            may_end_later: false,
            is_certainly_gone: false,
            compressed: 0,
            hz: TICKS_PER_SECOND,
            opened_at: Option::None,
            at: Option::None,
            probe: Probe::None,
            probed: Option::None,
            has_empty_poll: false,
            had_probe: false,
            outgoing: Vec::new(),
            acts_at: now,
            polls_at: now,
            pong_by: u64::MAX,
            fault_at: now + rng.random_range(500..8_000),
            leaves_at: if is_reference { u64::MAX } else { now + stay_ms },
            upgrades_at,
            late_poll_at: u64::MAX,
            keeps_alive: rng.random_bool(0.6),
            is_frozen: false,
            read_credit: 0,
        }
    }

    /// Makes it leave at `at` at the latest.
    pub fn leave_by(&mut self, at: u64) {
        self.leaves_at = self.leaves_at.min(at);
    }

    /// Whether it may have a player whose number is not known.
    pub fn may_have_unknown_player(&self) -> bool {
        self.asked_at.is_some() && (self.model.number.is_none() || self.model.is_connecting)
    }

    pub fn may_be_leaving(&self) -> bool {
        self.stage != Stage::Open
            || self.may_be_closed
            || self.is_frozen
            || self.model.is_connecting
    }

    /// Sends its next packets, if it is time. `number_max` is the greatest player number seen.
    pub fn act(&mut self, now: u64, number_max: u32, rng: &mut SimRng) {
        match self.stage {
            _ if self.is_frozen => {}
            Stage::New => {
                self.stage = Stage::Opening;
                match self.transport {
                    Transport::WebSocket => {
                        self.request(Request::WebSocket, offering(now, upgrading("")));
                    }
                    _ => self.request(Request::Open, opening("&name=other")),
                }
            }
            Stage::Open if now >= self.leaves_at => self.leave(rng),
            Stage::Open => self.act_in_session(now, number_max, rng),
            Stage::Leaving => self.send_outgoing(rng),
            Stage::Opening => {}
            Stage::Closed => self.close_all(false),
        }
    }

    fn act_in_session(&mut self, now: u64, number_max: u32, rng: &mut SimRng) {
        if self.fault == Fault::NeverPolls {
            return;
        }
        self.check_pong(now);
        if self.asked_at.is_none() && self.fault != Fault::NeverJoins {
            self.join(number_max);
        }
        if self.model.has_player_list && now >= self.fault_at {
            self.fault_at = u64::MAX;
            self.commit_fault(rng);
            if self.ignores_packets {
                self.leaves_at = now + 1_000;
            }
        }
        // Events outside a room are a violation.
        let may_play =
            self.model.has_player_list && !self.model.is_connecting && !self.ignores_packets;
        if may_play && now >= self.acts_at {
            self.acts_at = now + rng.random_range(100..400);
            (0..rng.random_range(1..4)).for_each(|_| self.play(number_max, rng));
        }
        if !self.ignores_packets {
            self.upgrade(now, rng);
        }
        if now >= self.late_poll_at {
            self.late_poll_at = u64::MAX;
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Request::Refused, polling(&sid));
        }
        self.send_outgoing(rng);
        let may_poll = self.websocket.is_none() && self.probe != Probe::Pausing;
        if may_poll && now >= self.polls_at && !self.awaiting(Request::Poll) {
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Request::Poll, polling(&sid));
        }
    }

    fn join(&mut self, number_max: u32) {
        self.asked_at = Some(number_max);
        self.model.start_connecting();
        let (_, room) = &self.room;
        let resume = match &self.presented {
            Some(presented) if self.previous_number.is_none() => {
                format!(r#","resume":"{}""#, presented.token)
            }
            _ => String::new(),
        };
        self.outgoing.push(format!(r#"40{{"room":"{room}"{resume}}}"#));
    }

    fn play(&mut self, number_max: u32, rng: &mut SimRng) {
        if self.is_reference || self.model.is_connecting {
            return;
        }
        let id = match rng.random_bool(0.4) {
            true => self.model.next_ack_id().to_string(),
            false => String::new(),
        };
        let event = match rng.random_range(0..40) {
            0 => r#"["dance",1]"#.to_owned(),
            1 => r#"["ping"]"#.to_owned(),
            2 if rng.random_bool(0.2) => {
                // A tick of one rate is a tick of the higher ones.
                let hz = [1, 5, 10][rng.random_range(0..3)];
                self.hz = self.hz.min(hz);
                format!(r#"["rate",{{"hz":{hz}}}]"#)
            }
            3 if id.is_empty() => {
                self.outgoing.push("41".to_owned());
                return self.join(number_max);
            }
            4..20 => r#"["attack",{}]"#.to_owned(),
            _ => {
                let [x, y]: [f64; 2] = [0; 2].map(|_| rng.random_range(-5.0..105.0));
                format!(r#"["move",{{"x":{x},"y":{y}}}]"#)
            }
        };
        self.outgoing.push(format!("42{id}{event}"));
    }

    /// Sends the outgoing packets: over WebSocket at once, over polling one payload at a time.
    fn send_outgoing(&mut self, rng: &mut SimRng) {
        if self.outgoing.is_empty() {
            return;
        }
        if let Some(id) = self.websocket {
            let frames: Vec<u8> =
                self.outgoing.drain(..).flat_map(|packet| text(&packet)).collect();
            if let Some(connection) = self.connection(id)
                && connection.socket.end.is_none()
            {
                connection.socket.inbound.extend(frames);
            }
        } else if self.websocket.is_none()
            && !self.awaiting(Request::Post)
            && self.probe != Probe::Pausing
        {
            let count = rng.random_range(1..=self.outgoing.len());
            let payload = self.outgoing.drain(..count).collect::<Vec<_>>().join("\x1e");
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Request::Post, posting(&sid, &payload));
        }
    }

    // --- upgrade ---------------------------------------------------------------------------------

    fn upgrade(&mut self, now: u64, rng: &mut SimRng) {
        if now >= self.upgrades_at && self.probe == Probe::None {
            self.upgrades_at = u64::MAX;
            self.probe = Probe::Sent;
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Request::Probe, offering(now, upgrading(&sid)));
            if self.fault == Fault::SecondProbe {
                self.request(Request::Refused, upgrading(&sid));
            }
        }
        if matches!(self.probe, Probe::Probed(at) if at <= now) {
            self.probe = Probe::Pausing;
        }
        let index = self
            .connections
            .iter()
            .position(|connection| Some(connection.socket.id) == self.probed);
        let (Probe::Pausing, Some(index)) = (self.probe, index) else { return };
        let is_busy = self.awaiting(Request::Poll) || self.awaiting(Request::Post);
        let socket = &mut self.connections[index].socket;
        match self.fault {
            Fault::AbandonedProbe => {
                self.probe = Probe::Failed;
                socket.end = Some(rng.random_bool(0.5));
            }
            Fault::WrongProbe => {
                self.probe = Probe::Failed;
                socket.inbound.extend(text("4hello"));
            }
            Fault::SilentProbe => self.probe = Probe::Failed,
            _ if is_busy => {}
            _ => {
                socket.inbound.extend(text("5"));
                (self.websocket, self.probe) = (Some(socket.id), Probe::Done);
                self.late_poll_at = now + 1_000;
            }
        }
    }

    // --- faults, and the end ---------------------------------------------------------------------

    fn commit_fault(&mut self, rng: &mut SimRng) {
        let sid = self.sid.clone().unwrap_or_default();
        match self.fault {
            Fault::DoublePoll if self.websocket.is_none() && self.awaiting(Request::Poll) => {
                (self.may_be_closed, self.ignores_packets) = (true, true);
                self.request(Request::AnyAnswer, polling(&sid));
            }
            Fault::LostPoll | Fault::CutPost => {
                let request =
                    if self.fault == Fault::LostPoll { Request::Poll } else { Request::Post };
                let is_it =
                    |connection: &&mut Connection| connection.awaiting.front() == Some(&request);
                if let Some(connection) = self.connections.iter_mut().find(is_it) {
                    let is_broken = rng.random_bool(0.5);
                    connection.socket.inbound.truncate(if is_broken { 0 } else { 20 });
                    connection.socket.end = Some(is_broken);
                    (self.may_be_closed, self.stage) = (true, Stage::Closed);
                }
            }
            Fault::NoPong => self.may_be_closed = true,
            Fault::Unresponsive => (self.may_be_closed, self.is_frozen) = (true, true),
            Fault::WrongPacket => {
                self.may_be_closed = true;
                let wrong = ["abc", "4abc", "2", "", "42[", "42{}", "9", "4", "b!", "453-[\"a\"]"];
                self.outgoing.push(wrong[rng.random_range(0..wrong.len())].to_owned());
            }
            _ => {}
        }
    }

    fn leave(&mut self, rng: &mut SimRng) {
        self.may_be_closed = true;
        if !matches!(self.probe, Probe::None | Probe::Done)
            || rng.random_ratio(1, 3)
            || self.sid.is_none()
        {
            self.stage = Stage::Closed;
            return self.close_all(rng.random_bool(0.3));
        }
        self.stage = Stage::Leaving;
        if self.model.has_player_list && !self.model.is_connecting && rng.random_bool(0.5) {
            self.outgoing.push("41".to_owned());
        }
        self.outgoing.push("1".to_owned());
        self.send_outgoing(rng);
    }

    /// Closes all its connections.
    pub fn close_all(&mut self, is_broken: bool) {
        self.pending_connections.clear();
        self.connecting.clear();
        for connection in &mut self.connections {
            connection.socket.end.get_or_insert(is_broken);
        }
    }

    /// The server panicked over it, or over one of its connections.
    pub fn strike(&mut self) {
        (self.is_struck, self.may_be_closed) = (true, true);
    }

    /// Whether it has become unresponsive.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Describes it for an error message.
    pub fn describe(&self) -> String {
        let SocketIoClient { transport, fault, stage, probe, room, websocket, .. } = self;
        let (number, awaiting) =
            (self.model.number, self.connections.iter().map(|connection| &connection.awaiting));
        let awaiting: Vec<_> = awaiting.collect();
        format!(
            "Socket.IO client {number:?} of {}, {transport:?}, {fault:?}, {stage:?}, {probe:?}, \
             {websocket:?}, awaiting {awaiting:?}, may be closed: {}",
            room.1, self.may_be_closed
        )
    }
}
