//! A model client of skirmish.v1: what it has received, what it sends, and what it may receive.

use std::collections::BTreeMap;

use rand::RngExt;
use skirmish::codec::v1::client::{ClientMessage, Command, Input, WHO_MAX, encode_who};
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::server::{Event, Head, Part, Parts};
use skirmish::codec::v1::welcome::Welcome;
use skirmish::codec::v1::{Body, Course, List, Replica, Schema, State, Values};

use super::fixture::masked;
use crate::sim::SimRng;

/// The field of a handshake that asks for the dialect.
pub const OFFER: &str = "Sec-WebSocket-Protocol: skirmish.v1\r\n";

/// From the documentation: the longest time without a HEAD, in ticks, and the ticks that a client
/// refuses before it asks again.
const SILENT_TICKS_MAX: u32 = 10;
const REFUSED_TICKS: u32 = 20;
/// The most ticks that a client refuses which reads and asks at once.
const REFUSED_TICKS_MAX: u32 = 60;

/// What a message was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// It is a WELCOME.
    pub is_welcome: bool,
    /// The tick of its HEAD.
    pub tick: Option<u32>,
    /// The HEAD, if it was applied.
    pub head: Option<Head>,
    pub events: Vec<Event>,
    /// Players, by slot and generation.
    pub roster: Option<Vec<((u16, u8), u32)>>,
    pub checks: u32,
}

/// How often the model reached what is rare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct V1Coverage {
    /// Ticks that were applied, and those with a base of more than one tick before.
    pub ticks: u64,
    pub late: u64,
    pub keyframes: u64,
    /// Ticks that a client without a base refused.
    pub refused: u64,
    pub checks: u64,
    pub rosters: u64,
    pub events: u64,
    /// Messages WELCOME after the first one.
    pub welcomes: u64,
    /// Ticks on which the steps of the client were compared.
    pub steps: u64,
}

impl V1Coverage {
    pub fn all(&self) -> [(&'static str, u64); 8] {
        [
            ("tick", self.ticks),
            ("late tick", self.late),
            ("keyframe", self.keyframes),
            ("refused tick", self.refused),
            ("CHECK", self.checks),
            ("ROSTER", self.rosters),
            ("EVENT", self.events),
            ("step", self.steps),
        ]
    }

    pub fn add(&mut self, other: &V1Coverage) {
        self.ticks += other.ticks;
        self.late += other.late;
        self.keyframes += other.keyframes;
        self.refused += other.refused;
        self.checks += other.checks;
        self.rosters += other.rosters;
        self.events += other.events;
        self.welcomes += other.welcomes;
        self.steps += other.steps;
    }
}

/// A client.
#[derive(Default)]
pub struct V1Client {
    pub welcome: Option<Welcome>,
    /// Of WELCOME, and what it has received since.
    replica: Option<(Schema, Replica)>,
    /// Players, by slot and generation, as far as the client has asked.
    pub players: BTreeMap<(u16, u8), u32>,
    pub coverage: V1Coverage,
    /// It has lost its base by its own fault: the ticks that it has refused since it asked for a
    /// keyframe, and in all.
    refused: Option<(u32, u32)>,
    /// The next message with a tick is lost on the way to the model.
    loses_next: bool,
    /// The first step of which it sent keys, and its newest tick at that time.
    pub first: Option<(u16, u32)>,
    /// The newest tick that it has acknowledged.
    pub acknowledged: Option<u32>,
    /// The tick of its room at that time, as the simulation has seen it.
    pub acknowledged_at: Option<u32>,
    /// The tick of its room when an acknowledgement came too late. The server may have closed it
    /// before, and then sends nothing newer.
    pub late_at: Option<u32>,
    /// The server has the first keys.
    has_begun: bool,
    /// Its newest step, and the presses of the attack key.
    step: u16,
    presses: u8,
    direction: Course,
    /// Whether some of its messages may be dropped, because it sends too many.
    pub may_be_dropped: bool,
    /// It reads everything at once.
    is_steady: bool,
}

impl V1Client {
    pub fn new(may_be_dropped: bool, is_steady: bool, rng: &mut SimRng) -> V1Client {
        // Some wrap soon.
        let step = if rng.random_bool(0.3) { u16::MAX - rng.random_range(0..200) } else { 1 };
        V1Client { step, may_be_dropped, is_steady, ..V1Client::default() }
    }

    /// The newest HEAD that was applied.
    pub fn head(&self) -> Option<&Head> {
        self.replica.as_ref()?.1.head()
    }

    /// The cells that it holds, with their lists.
    pub fn cells(&self) -> impl Iterator<Item = (u16, &List)> {
        self.replica.iter().flat_map(|(_, replica)| replica.cells())
    }

    /// The bodies that it has, with their public fields.
    pub fn bodies(&self) -> Vec<(Body, Values)> {
        let bodies = self.cells().flat_map(|(_, list)| {
            let list = list.borrowed();
            (0..list.bodies.len()).map(move |index| {
                let mut values = Values::default();
                values.iter_mut().zip(list.row(index)).for_each(|(to, value)| *to = *value);
                (list.bodies[index], values)
            })
        });
        bodies.collect()
    }

    /// The slot and the generation of its own body.
    pub fn own(&self) -> Option<(u16, u8)> {
        self.welcome.as_ref().map(|welcome| (welcome.slot, welcome.generation))
    }

    /// The most ticks between two HEADs of a client that reads everything, at a rate.
    pub fn gap_max(hz: u32) -> u32 {
        SILENT_TICKS_MAX + 20 / hz
    }

    // --- what it receives -------------------------------------------------------------------------

    /// Receives a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receive(&mut self, payload: &[u8]) -> Result<Message, String> {
        if payload.first() == Some(&0xb0) {
            return self.receive_welcome(payload);
        }
        let Some((schema, replica)) = &mut self.replica else {
            return Err(format!("a message before WELCOME: {payload:02x?}"));
        };
        let (mut message, mut head) = (Message::default(), None);
        for part in Parts::new(payload, schema) {
            match part.map_err(|why| format!("{why:?} in {payload:02x?}"))? {
                Part::Head(it) => head = Some(it),
                Part::Event(event) => message.events.push(event),
                Part::Check(_) => message.checks += 1,
                Part::Roster(roster) => {
                    let entries = roster.map(|entry| ((entry.id, entry.generation), entry.player));
                    message.roster = Some(entries.collect());
                }
                Part::Cell(_) => {}
            }
        }
        if payload.is_empty() {
            return Err("an empty message".to_owned());
        }
        for (body, player) in message.roster.iter().flatten() {
            if self.players.insert(*body, *player).is_some_and(|before| before != *player) {
                return Err(format!("the body {body:?} belongs to {player}, and to another"));
            }
        }
        self.coverage.rosters += u64::from(message.roster.is_some());
        self.coverage.events += message.events.len() as u64;
        self.coverage.checks += u64::from(message.checks);
        message.tick = head.map(|head| head.tick.0);
        if head.is_some() && std::mem::take(&mut self.loses_next) {
            self.refused.get_or_insert((REFUSED_TICKS, 0));
            return Ok(message);
        }
        let before = replica.head().copied();
        match replica.receive(payload) {
            Ok(Received::Applied) => {}
            Ok(Received::NeedsResync) if self.refused.is_some() => {}
            other => return Err(format!("{other:?} after {before:?} for {payload:02x?}")),
        }
        let Some(head) = head else { return Ok(message) };
        if let Some((since_asked, in_all)) = &mut self.refused {
            if head.age > 0 {
                (*since_asked, *in_all) = (*since_asked + 1, *in_all + 1);
                self.coverage.refused += 1;
                if self.is_steady && *in_all > REFUSED_TICKS_MAX {
                    return Err(format!("no keyframe after {in_all} refused ticks"));
                }
                return Ok(message);
            }
            self.refused = None;
        }
        self.coverage.ticks += 1;
        self.coverage.late += u64::from(head.age > 1);
        self.coverage.keyframes += u64::from(head.age == 0);
        self.check_own(&head)?;
        self.check_steps(before.as_ref(), &head)?;
        message.head = Some(head);
        Ok(message)
    }

    fn receive_welcome(&mut self, payload: &[u8]) -> Result<Message, String> {
        let welcome = Welcome::decode(payload).map_err(|why| format!("{why:?} in WELCOME"))?;
        if let Some(before) = &self.welcome {
            let room_fields = welcome.room_fields.clone();
            let same = Welcome { room_fields, token: None, resume_s: None, ..before.clone() };
            if same != welcome || before.room_fields == welcome.room_fields {
                return Err(format!("{welcome:?} after {before:?}"));
            }
            self.coverage.welcomes += 1;
        } else {
            let schema = welcome.schema();
            self.replica = Some((schema.clone(), Replica::new(schema)));
        }
        self.welcome = Some(welcome);
        Ok(Message { is_welcome: true, ..Message::default() })
    }

    /// HEAD says the same of its own body as its record.
    fn check_own(&self, head: &Head) -> Result<(), String> {
        let own = self.own().ok_or("no WELCOME")?;
        let mut bodies = self.cells().flat_map(|(_, list)| list.bodies());
        let own = bodies.find(|body| (body.id, body.generation) == own);
        let Some(body) = own else { return Err(format!("its own body is not in {head:?}")) };
        let is_dead = body.state.has(State::DEAD);
        if (body.x, body.y, is_dead) != (head.x, head.y, head.flags & Head::DEAD > 0) {
            return Err(format!("{body:?} in its cell, and {head:?}"));
        }
        Ok(())
    }

    /// Its steps go on by one on each tick from its first keys on.
    fn check_steps(&mut self, before: Option<&Head>, head: &Head) -> Result<(), String> {
        let Some((first, sent_after)) = self.first else {
            let is_none = (head.applied, head.lead) == (0, 0);
            return if is_none { Ok(()) } else { Err(format!("steps without keys: {head:?}")) };
        };
        if self.has_begun {
            let Some(before) = before else { return Ok(()) };
            let passed = head.tick.0.wrapping_sub(before.tick.0) as u16;
            self.coverage.steps += 1;
            if head.applied.wrapping_sub(before.applied) != passed {
                return Err(format!("the steps of {head:?} after {before:?}"));
            }
            return Ok(());
        }
        // The keys may be still on their way.
        let is_waiting = (head.applied, head.lead) == (0, 0);
        let steps = u32::from(head.applied.wrapping_sub(first.wrapping_sub(1)));
        self.has_begun = !is_waiting && steps <= head.tick.0.wrapping_sub(sent_after);
        if self.has_begun || is_waiting || self.may_be_dropped {
            Ok(())
        } else {
            Err(format!("{head:?} after keys for step {first}, sent after {sent_after}"))
        }
    }

    // --- what it sends ----------------------------------------------------------------------------

    /// The next message of its player.
    pub fn play(&mut self, bytes: &mut Vec<u8>, rng: &mut SimRng) {
        if self.welcome.is_none() {
            // Nothing is known yet, but keys can be held.
            return self.hold(bytes, rng);
        }
        // A client without a base asks for a keyframe, and again after some ticks.
        if let Some((since_asked, _)) = &mut self.refused
            && *since_asked >= REFUSED_TICKS
        {
            *since_asked = 0;
            return put(ClientMessage::Resync, bytes);
        }
        match rng.random_range(0..60) {
            0 => put(ClientMessage::Resync, bytes),
            1 if self.refused.is_none() => self.loses_next = true,
            2..5 => {
                let bodies = self.bodies();
                let unknown = bodies.iter().map(|(body, _)| (body.id, body.generation));
                let unknown = unknown.filter(|body| !self.players.contains_key(body));
                let mut who = Vec::new();
                encode_who(unknown.chain([(rng.random(), rng.random())]).take(WHO_MAX), &mut who);
                bytes.extend(masked(0x82, &who));
            }
            5 => {
                let (number, count) = (rng.random_range(0..3), rng.random_range(0..=4));
                let command = Command { number, count, arguments: [rng.random(); 4] };
                put(ClientMessage::Command(command), bytes);
            }
            6 => {
                let mut garbage: Vec<u8> =
                    (0..rng.random_range(0..12)).map(|_| rng.random()).collect();
                // A random message may be keys only if the model knows of it.
                garbage.iter_mut().take(1).for_each(|kind| *kind |= 0x80);
                bytes.extend(masked(0x82, &garbage));
            }
            _ => self.hold(bytes, rng),
        }
    }

    /// A malformed message, that is counted as such.
    pub fn malformed(rng: &mut SimRng) -> Vec<u8> {
        let all: [&[u8]; 9] = [
            b"",
            b"{}",
            &[0x10, 1, 2],
            &[0x10, 7, 0, 0, 0, 0, 0, 0],
            &[0x11, 0],
            &[0x12, 65],
            &[0x13, 21],
            &[0x14, 200],
            &[0xa1; 40],
        ];
        masked(0x82, all[rng.random_range(0..all.len())])
    }

    /// Keys, mostly of the next step, and some late, early, repeated or anywhere.
    fn hold(&mut self, bytes: &mut Vec<u8>, rng: &mut SimRng) {
        if rng.random_bool(0.6) {
            self.direction = Course::ALL[rng.random_range(0..5)];
        }
        self.presses = (self.presses + [0, 0, 1, 2, 9][rng.random_range(0..5)]) % 32;
        self.step = self.step.wrapping_add(rng.random_range(0..6));
        let seq = match rng.random_range(0..20) {
            _ if self.first.is_none() => self.step,
            0 => self.step.wrapping_sub(rng.random_range(0..200)),
            1 => self.step.wrapping_add(rng.random_range(0..200)),
            2 => rng.random(),
            _ => self.step,
        };
        let newest = self.head().map_or(0, |head| head.tick.0);
        self.acknowledged_at = self.acknowledged_at.filter(|_| self.acknowledged == Some(newest));
        self.acknowledged = Some(newest);
        self.first.get_or_insert((seq, newest));
        let (direction, presses) = (self.direction, self.presses);
        let (ack, view_age, hold) = (newest as u16, rng.random(), rng.random());
        put(ClientMessage::Input(Input { direction, presses, seq, ack, view_age, hold }), bytes);
    }
}

/// Appends a message in its frame.
pub fn put(message: ClientMessage, bytes: &mut Vec<u8>) {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    bytes.extend(masked(0x82, &payload));
}
