//! A model client of Socket.IO: over requests, over a WebSocket, or over one and then the other. It
//! plays by the rules, or breaks one of them, and knows how its session may end.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::server::ConnId;

use super::caller::{opening, polling, posting, upgrading};
use super::lab::text;
use super::mind::Mind;

mod hear;
mod lines;

pub use lines::{Line, Want};

/// How a session is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Socket,
    Polling,
    Upgrading,
}

/// What a client does wrong, once it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It rests a while before it polls again.
    LazyPolls,
    /// It reads some thousand bytes a second.
    SlowReader,
    DoublePoll,
    LostPoll,
    CutPost,
    /// It begins, and says nothing more.
    Unclaimed,
    /// It never comes in.
    Mute,
    NoPong,
    /// It stops without a word, in both directions.
    Vanish,
    WrongPacket,
    /// Its WebSocket goes away before it took over.
    AbandonedProbe,
    /// Its WebSocket never takes over.
    SilentProbe,
    /// Its WebSocket says something else first.
    WrongProbe,
    /// A second WebSocket wants to take over.
    SecondProbe,
}

/// What was asked for with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Open,
    Poll,
    Post,
    /// Two polls at once, or a poll of a session that may be over.
    Doubtful,
    /// Something that nobody gets.
    Refusal,
    /// A WebSocket that begins a session.
    Socket,
    /// A WebSocket that takes over.
    Probe,
}

/// How far the change to a WebSocket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    None,
    Asked,
    /// It was probed, and takes over some time later.
    Probed(u64),
    /// It takes over once no request is under way.
    Pausing,
    /// It never will.
    Failed,
    Done,
}

/// Where a client is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    New,
    Opening,
    Here,
    /// It has said that it goes.
    Leaving,
    /// It has left, or was sent away.
    Over,
}

pub struct Guest {
    pub manner: Manner,
    pub fault: Fault,
    /// The index of its room, and its name.
    pub room: (usize, String),
    /// It reads everything at once and never leaves: the measure for its room.
    pub is_witness: bool,
    pub stage: Stage,
    pub lines: Vec<Line>,
    pub wants: Vec<Want>,
    pub mind: Mind,
    pub sid: Option<String>,
    /// The connection that carries the session, if that is a WebSocket.
    pub carrier: Option<ConnId>,
    /// The number that it was known by before.
    pub was: Option<u32>,
    /// The greatest player number that anybody had seen when it asked to come in.
    pub asked_at: Option<u32>,
    /// It was let in, and nobody has taken note of it yet.
    pub is_newly_in: bool,
    /// Ticks of the server when it was let in.
    pub in_at: u32,
    /// The server may end its session.
    pub is_excused: bool,
    /// Answers to two polls at once may come in any order, so it makes nothing of them.
    pub is_confused: bool,
    /// It surely is not there any more.
    pub is_surely_gone: bool,
    /// It has asked for fewer states.
    pub is_rated: bool,
    pub opened_at: Option<u64>,
    /// Where in the facts of its room it is, once it was known to be up to date.
    pub at: Option<usize>,
    probe: Probe,
    /// The WebSocket that was probed.
    probed: Option<ConnId>,
    say: Vec<String>,
    acts_at: u64,
    polls_at: u64,
    fault_at: u64,
    leaves_at: u64,
    upgrades_at: u64,
    /// When it polls once more, although a WebSocket has taken over.
    looks_back_at: u64,
    keeps_alive: bool,
    is_frozen: bool,
    read_credit: u64,
}

impl Guest {
    pub fn new(room: (usize, String), is_witness: bool, now: u64, rng: &mut ChaCha8Rng) -> Guest {
        use Fault::*;
        let manners = [Manner::Socket, Manner::Polling, Manner::Upgrading];
        let manner = if is_witness { Manner::Socket } else { manners[rng.random_range(0..3)] };
        let of_all = [None, None, SlowReader, Mute, NoPong, Vanish, WrongPacket];
        let of_polling = [LazyPolls, DoublePoll, LostPoll, CutPost, Unclaimed];
        let of_probes = [AbandonedProbe, SilentProbe, WrongProbe, SecondProbe];
        let faults: Vec<Fault> = match manner {
            Manner::Socket => of_all.to_vec(),
            Manner::Polling => [&of_all[..], &of_polling].concat(),
            Manner::Upgrading => [&of_all[..], &of_polling, &of_probes, &of_probes].concat(),
        };
        let fault = if is_witness { None } else { faults[rng.random_range(0..faults.len())] };
        let stay_ms = match fault {
            SilentProbe => rng.random_range(14_000..20_000),
            _ => rng.random_range(1_000..15_000),
        };
        let upgrades_at = match manner {
            Manner::Upgrading => now + rng.random_range(0..3_000),
            _ => u64::MAX,
        };
        Guest {
            manner,
            fault,
            room,
            is_witness,
            stage: Stage::New,
            lines: Vec::new(),
            wants: Vec::new(),
            mind: Mind::new(matches!(fault, SlowReader | Vanish)),
            sid: Option::None,
            carrier: Option::None,
            was: Option::None,
            asked_at: Option::None,
            is_newly_in: false,
            in_at: 0,
            is_excused: matches!(fault, SlowReader | Unclaimed | Mute),
            is_confused: false,
            is_surely_gone: false,
            is_rated: false,
            opened_at: Option::None,
            at: Option::None,
            probe: Probe::None,
            probed: Option::None,
            say: Vec::new(),
            acts_at: now,
            polls_at: now,
            fault_at: now + rng.random_range(500..8_000),
            leaves_at: if is_witness { u64::MAX } else { now + stay_ms },
            upgrades_at,
            looks_back_at: u64::MAX,
            keeps_alive: rng.random_bool(0.6),
            is_frozen: false,
            read_credit: 0,
        }
    }

    /// Makes it leave soon.
    pub fn hurry(&mut self, at: u64) {
        self.leaves_at = self.leaves_at.min(at);
    }

    /// Whether it may have a player whose number nobody knows.
    pub fn is_stranger(&self) -> bool {
        self.asked_at.is_some() && (self.mind.number.is_none() || self.mind.asks_in)
    }

    /// Whether it may just be leaving.
    pub fn is_unsteady(&self) -> bool {
        self.stage != Stage::Here || self.is_excused || self.is_frozen || self.mind.asks_in
    }

    /// Does what it wants to do now. `number_max` is the greatest player number seen.
    pub fn act(&mut self, now: u64, number_max: u32, rng: &mut ChaCha8Rng) {
        match self.stage {
            _ if self.is_frozen => {}
            Stage::New => {
                self.stage = Stage::Opening;
                match self.manner {
                    Manner::Socket => self.request(Asked::Socket, upgrading("")),
                    _ => self.request(Asked::Open, opening("&name=guest")),
                }
            }
            Stage::Here if now >= self.leaves_at => self.leave(rng),
            Stage::Here => self.live(now, number_max, rng),
            Stage::Leaving => self.say_all(rng),
            Stage::Opening => {}
            Stage::Over => self.hang_up(false),
        }
    }

    fn live(&mut self, now: u64, number_max: u32, rng: &mut ChaCha8Rng) {
        if self.fault == Fault::Unclaimed {
            return;
        }
        if self.asked_at.is_none() && self.fault != Fault::Mute {
            self.come_in(number_max);
        }
        if self.mind.is_introduced && now >= self.fault_at {
            self.fault_at = u64::MAX;
            self.err(rng);
            if self.is_confused {
                self.leaves_at = now + 1_000;
            }
        }
        // Nobody says anything where it is not.
        let may_play = self.mind.is_introduced && !self.mind.asks_in && !self.is_confused;
        if may_play && now >= self.acts_at {
            self.acts_at = now + rng.random_range(100..400);
            (0..rng.random_range(1..4)).for_each(|_| self.play(number_max, rng));
        }
        if !self.is_confused {
            self.change_carrier(now, rng);
        }
        if now >= self.looks_back_at {
            self.looks_back_at = u64::MAX;
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Asked::Refusal, polling(&sid));
        }
        self.say_all(rng);
        let may_poll = self.carrier.is_none() && self.probe != Probe::Pausing;
        if may_poll && now >= self.polls_at && !self.awaits(Asked::Poll) {
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Asked::Poll, polling(&sid));
        }
    }

    fn come_in(&mut self, number_max: u32) {
        self.asked_at = Some(number_max);
        self.mind.ask_in();
        let (_, room) = &self.room;
        self.say.push(format!(r#"40{{"room":"{room}"}}"#));
    }

    fn play(&mut self, number_max: u32, rng: &mut ChaCha8Rng) {
        if self.is_witness || self.mind.asks_in {
            return;
        }
        let id = match rng.random_bool(0.4) {
            true => self.mind.ask().to_string(),
            false => String::new(),
        };
        let event = match rng.random_range(0..40) {
            0 => r#"["dance",1]"#.to_owned(),
            1 => r#"["ping"]"#.to_owned(),
            2 if rng.random_bool(0.2) => {
                self.is_rated = true;
                r#"["rate",{"hz":5}]"#.to_owned()
            }
            3 if id.is_empty() => {
                self.say.push("41".to_owned());
                return self.come_in(number_max);
            }
            4..20 => r#"["attack",{}]"#.to_owned(),
            _ => {
                let [x, y]: [f64; 2] = [0; 2].map(|_| rng.random_range(-5.0..105.0));
                format!(r#"["move",{{"x":{x},"y":{y}}}]"#)
            }
        };
        self.say.push(format!("42{id}{event}"));
    }

    /// Sends what is to be said: over a WebSocket at once, else in one payload after the other.
    fn say_all(&mut self, rng: &mut ChaCha8Rng) {
        if self.say.is_empty() {
            return;
        }
        if let Some(id) = self.carrier {
            let frames: Vec<u8> = self.say.drain(..).flat_map(|packet| text(&packet)).collect();
            if let Some(line) = self.line(id)
                && line.wire.end.is_none()
            {
                line.wire.inbound.extend(frames);
            }
        } else if self.carrier.is_none()
            && !self.awaits(Asked::Post)
            && self.probe != Probe::Pausing
        {
            let count = rng.random_range(1..=self.say.len());
            let payload = self.say.drain(..count).collect::<Vec<_>>().join("\x1e");
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Asked::Post, posting(&sid, &payload));
        }
    }

    // --- the change to a WebSocket ---------------------------------------------------------------

    fn change_carrier(&mut self, now: u64, rng: &mut ChaCha8Rng) {
        if now >= self.upgrades_at && self.probe == Probe::None {
            self.upgrades_at = u64::MAX;
            self.probe = Probe::Asked;
            let sid = self.sid.clone().unwrap_or_default();
            self.request(Asked::Probe, upgrading(&sid));
            if self.fault == Fault::SecondProbe {
                self.request(Asked::Refusal, upgrading(&sid));
            }
        }
        if matches!(self.probe, Probe::Probed(at) if at <= now) {
            self.probe = Probe::Pausing;
        }
        let index = self.lines.iter().position(|line| Some(line.wire.id) == self.probed);
        let (Probe::Pausing, Some(index)) = (self.probe, index) else { return };
        let is_busy = self.awaits(Asked::Poll) || self.awaits(Asked::Post);
        let wire = &mut self.lines[index].wire;
        match self.fault {
            Fault::AbandonedProbe => {
                self.probe = Probe::Failed;
                wire.end = Some(rng.random_bool(0.5));
            }
            Fault::WrongProbe => {
                self.probe = Probe::Failed;
                wire.inbound.extend(text("4hello"));
            }
            Fault::SilentProbe => self.probe = Probe::Failed,
            _ if is_busy => {}
            _ => {
                wire.inbound.extend(text("5"));
                (self.carrier, self.probe) = (Some(wire.id), Probe::Done);
                self.looks_back_at = now + 1_000;
            }
        }
    }

    // --- faults, and the end ---------------------------------------------------------------------

    fn err(&mut self, rng: &mut ChaCha8Rng) {
        let sid = self.sid.clone().unwrap_or_default();
        match self.fault {
            Fault::DoublePoll if self.carrier.is_none() && self.awaits(Asked::Poll) => {
                (self.is_excused, self.is_confused) = (true, true);
                self.request(Asked::Doubtful, polling(&sid));
            }
            Fault::LostPoll | Fault::CutPost => {
                let asked = if self.fault == Fault::LostPoll { Asked::Poll } else { Asked::Post };
                let is_it = |line: &&mut Line| line.awaits.front() == Some(&asked);
                if let Some(line) = self.lines.iter_mut().find(is_it) {
                    let is_broken = rng.random_bool(0.5);
                    line.wire.inbound.truncate(if is_broken { 0 } else { 20 });
                    line.wire.end = Some(is_broken);
                    (self.is_excused, self.stage) = (true, Stage::Over);
                }
            }
            Fault::NoPong => self.is_excused = true,
            Fault::Vanish => (self.is_excused, self.is_frozen) = (true, true),
            Fault::WrongPacket => {
                self.is_excused = true;
                let wrong = ["abc", "4abc", "2", "", "42[", "42{}", "9", "4", "b!", "453-[\"a\"]"];
                self.say.push(wrong[rng.random_range(0..wrong.len())].to_owned());
            }
            _ => {}
        }
    }

    fn leave(&mut self, rng: &mut ChaCha8Rng) {
        self.is_excused = true;
        if !matches!(self.probe, Probe::None | Probe::Done)
            || rng.random_ratio(1, 3)
            || self.sid.is_none()
        {
            self.stage = Stage::Over;
            return self.hang_up(rng.random_bool(0.3));
        }
        self.stage = Stage::Leaving;
        if self.mind.is_introduced && !self.mind.asks_in && rng.random_bool(0.5) {
            self.say.push("41".to_owned());
        }
        self.say.push("1".to_owned());
        self.say_all(rng);
    }

    /// Nothing is expected of it any more.
    pub fn hang_up(&mut self, is_broken: bool) {
        self.wants.clear();
        for line in &mut self.lines {
            line.wire.end.get_or_insert(is_broken);
        }
    }

    /// Whether it has been leaving for too long, or was never let go.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// What it is like, for people.
    pub fn describe(&self) -> String {
        let Guest { manner, fault, stage, probe, room, carrier, .. } = self;
        let (number, awaits) = (self.mind.number, self.lines.iter().map(|line| &line.awaits));
        let awaits: Vec<_> = awaits.collect();
        format!(
            "guest {number:?} of {}, {manner:?}, {fault:?}, {stage:?}, {probe:?}, {carrier:?}, \
             awaits {awaits:?}, excused: {}",
            room.1, self.is_excused
        )
    }
}
