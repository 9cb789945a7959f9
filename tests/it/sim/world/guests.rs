//! The clients of Socket.IO in the world of a seed: their connections, and what must hold between
//! them, their witness, and the observer of their room, who speaks JSON.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use rand::RngExt;
use skirmish::server::{ConnId, End};
use skirmish::time::Millis;

use super::{Check, World, flush_wire, read_wire};
use crate::sim::guest::{Fault, Guest, Manner, Stage};
use crate::sim::mind::Body;
use crate::sim::wire::Wire;

/// Numbers of the promise, not read from the server.
pub const PING_INTERVAL_MS: u64 = 4_000;
pub const PING_TIMEOUT_MS: u64 = 3_000;
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Late turns, and the tick on which the server looks.
const SLACK_MS: u64 = 1_500;

#[derive(Default)]
pub struct Guests {
    pub all: Vec<Guest>,
    /// When each that is away comes back.
    returns_at: Vec<u64>,
    pub owners: HashMap<ConnId, usize>,
    /// What has happened in each room, as its witness was told.
    logs: Vec<Vec<String>>,
    sids: HashSet<String>,
    /// Connections over which polls wait, before the flush.
    polls: Vec<ConnId>,
    /// Players who will be gone by then, if they are not already; of some the number is not known.
    fading: Vec<(usize, Option<u32>, u64)>,
    /// Somebody was found to have hung up while others were written to.
    pub is_disturbed: bool,
    pub reach: Reach,
}

/// What the guests of a seed came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub sessions: u64,
    pub facts: u64,
    pub places: u64,
    pub upgrades: u64,
    pub faults: u64,
}

impl Guests {
    pub fn new(world: &mut World) -> Guests {
        let (rooms, count) = (world.plan.rooms, world.plan.guests);
        let mut guests = Guests { logs: vec![Vec::new(); rooms], ..Guests::default() };
        for index in 0..rooms + count {
            let returns_at = if index < rooms { 0 } else { 300 + 50 * index as u64 };
            guests.all.push(world.new_guest(index, returns_at));
            guests.returns_at.push(returns_at);
        }
        guests
    }

    /// Where a guest lives; nobody else lives there.
    pub fn address(index: usize) -> IpAddr {
        Ipv4Addr::new(198, 19, 0, index as u8).into()
    }

    fn line(&mut self, id: ConnId) -> Option<&mut Wire> {
        let guest = &mut self.all[*self.owners.get(&id)?];
        guest.line(id).map(|line| &mut line.wire)
    }

    pub fn mark_flushing(&mut self, id: ConnId) {
        if let Some(wire) = self.line(id) {
            wire.is_flushing = true;
        }
    }
}

impl World {
    /// One that comes at that time.
    fn new_guest(&mut self, index: usize, at: u64) -> Guest {
        let is_witness = index < self.plan.rooms;
        let room = if is_witness { index } else { self.rng.random_range(0..self.plan.rooms) };
        Guest::new((room, self.plan.room_name(room)), is_witness, at, &mut self.rng)
    }

    /// How many guests may be in the room without having read their number.
    pub(super) fn strange_guests(&self, room: usize) -> usize {
        let is_stranger = |guest: &&Guest| guest.room.0 == room && guest.is_stranger();
        let fading = &self.guests.fading;
        self.guests.all.iter().filter(is_stranger).count()
            + fading.iter().filter(|(index, number, _)| *index == room && number.is_none()).count()
    }

    /// How many guests may be in the room.
    pub(super) fn guests_in(&self, room: usize) -> usize {
        let is_here = |guest: &&Guest| guest.room.0 == room && guest.asked_at.is_some();
        self.guests.all.iter().filter(is_here).count()
            + self.guests.fading.iter().filter(|(index, ..)| *index == room).count()
    }

    // --- one turn --------------------------------------------------------------------------------

    /// They hear, and say what they want.
    pub(super) fn act_guests(&mut self) {
        self.guests.is_disturbed = false;
        for index in 0..self.guests.all.len() {
            let guest = &mut self.guests.all[index];
            if self.guests.returns_at[index] > self.wall {
                continue;
            }
            guest.act(self.wall, self.judge.number_max, &mut self.rng);
            for line in &mut guest.lines {
                line.wire.look(&mut self.flush, &mut self.readable);
            }
            if guest.is_unsteady() {
                self.judge.unsettle(guest.room.0);
            }
        }
        let now = self.now;
        let gone = self.guests.fading.extract_if(.., |(.., until)| *until <= now);
        gone.filter_map(|(_, number, _)| number).for_each(|number| self.judge.left(number));
        self.guests.fading.iter().for_each(|(room, ..)| self.judge.unsettle(*room));
    }

    pub(super) fn read_guest(&mut self, id: ConnId) {
        let Some(index) = self.guests.owners.get(&id) else { return };
        let Some(line) = self.guests.all[*index].line(id) else { return };
        let _ = read_wire(&mut self.server, &mut line.wire, &mut self.rng, self.now);
        if !line.wire.is_paused && (line.wire.is_sated || line.wire.is_readable()) {
            line.wire.is_listed = true;
            self.readable.push_back(id);
        }
    }

    /// Takes note of the polls that wait.
    pub(super) fn note_polls(&mut self) {
        let lines = self.guests.all.iter().flat_map(|guest| &guest.lines);
        self.guests.polls = lines.filter(|line| line.waits()).map(|line| line.wire.id).collect();
    }

    /// They get the connections that they want; those who are gone make room for others.
    pub(super) fn accept_guests(&mut self) -> Check {
        for index in 0..self.guests.all.len() {
            let guest = &mut self.guests.all[index];
            let is_over = guest.stage == Stage::Over || guest.is_frozen();
            if is_over && guest.lines.is_empty() && self.guests.returns_at[index] != u64::MAX {
                self.part_with(index);
                continue;
            }
            if self.is_ending && guest.stage == Stage::New {
                continue;
            }
            for want in std::mem::take(&mut guest.wants) {
                let opened = self.server.open(Guests::address(index), Millis(self.now));
                let id = opened.map_err(|why| format!("a guest is refused: {why:?}"))?;
                self.opened += 1;
                let guest = &mut self.guests.all[index];
                let mut wire = Wire::new(id, guest.is_witness, self.now, &mut self.rng);
                if !guest.is_witness {
                    let capacity = [4_000, 20_000, 200_000][self.rng.random_range(0..3)];
                    wire = wire.with_capacity(capacity);
                }
                wire.is_listed = true;
                guest.connect(want, wire);
                self.guests.owners.insert(id, index);
                self.readable.push_back(id);
            }
        }
        Ok(())
    }

    /// A guest has gone; another comes in its place later, unless everybody goes.
    fn part_with(&mut self, index: usize) {
        let returns_at = self.wall + self.rng.random_range(50..2_000);
        let new = self.new_guest(index, returns_at);
        let guest = std::mem::replace(&mut self.guests.all[index], new);
        let span_ms = PING_INTERVAL_MS + PING_TIMEOUT_MS + SLACK_MS;
        let until = if guest.is_surely_gone { self.now } else { self.now + span_ms };
        if let Some(number) = guest.mind.number {
            self.guests.fading.push((guest.room.0, Some(number), until));
        }
        if guest.is_stranger() {
            self.guests.fading.push((guest.room.0, None, until));
        }
        let reach = &mut self.guests.reach;
        reach.sessions += 1;
        let has_upgraded = guest.manner == Manner::Upgrading && guest.carrier.is_some();
        reach.upgrades += u64::from(has_upgraded);
        reach.faults += u64::from(guest.fault != Fault::None);
        self.guests.returns_at[index] = match self.is_ending || guest.is_witness {
            true => u64::MAX,
            false => returns_at,
        };
    }

    pub(super) fn flush_guest(&mut self, id: ConnId) -> Check {
        let Some(index) = self.guests.owners.get(&id) else { return Ok(()) };
        let Some(line) = self.guests.all[*index].line(id) else { return Ok(()) };
        let World { server, transcript, rng, now, .. } = self;
        let is_found_out = flush_wire(server, &mut line.wire, transcript, rng, *now, usize::MAX)?;
        self.guests.is_disturbed |= is_found_out;
        if line.wire.is_paused && server.may_read(id) {
            line.wire.is_paused = false;
            if !line.wire.is_listed {
                line.wire.is_listed = true;
                self.readable.push_back(id);
            }
        }
        Ok(())
    }

    pub(super) fn end_guest(&mut self, id: ConnId, end: End) -> Check {
        let Some(index) = self.guests.owners.get(&id).copied() else {
            return Err(format!("{end:?} of a connection that is no more"));
        };
        self.hear_guest(index, 0)?;
        let guest = &mut self.guests.all[index];
        let Some(at) = guest.lines.iter().position(|line| line.wire.id == id) else {
            return Err("it has no such connection".to_owned());
        };
        let result = match end {
            End::Shut => {
                let wire = &mut guest.lines[at].wire;
                wire.is_shut = true;
                wire.end.get_or_insert(false);
                Ok(())
            }
            End::Close | End::Reset => {
                self.guests.owners.remove(&id);
                self.stale.push(id);
                self.ended += 1;
                guest.disconnected(at)
            }
        };
        result.map_err(|why| format!("{why}: {}", self.guests.all[index].describe()))
    }

    // --- what they hear --------------------------------------------------------------------------

    pub(super) fn hear_guest(&mut self, index: usize, span_ms: u64) -> Check {
        for (line, bytes) in self.guests.all[index].read(span_ms) {
            let guest = &mut self.guests.all[index];
            let clocks = (self.now, self.wall);
            let had_sid = guest.sid.is_some();
            guest
                .hear(line, &bytes, clocks, self.is_draining, &mut self.rng)
                .map_err(|why| format!("{why}: {}", guest.describe()))?;
            if let (Some(sid), false) = (&guest.sid, had_sid)
                && !self.guests.sids.insert(sid.clone())
            {
                return Err(format!("{sid} is the name of two sessions"));
            }
            if std::mem::take(&mut guest.is_newly_in) {
                let number = guest.mind.number.ok_or("it has no number")?;
                guest.in_at = self.judge.ticks;
                if let Some(before) = guest.was.replace(number) {
                    self.judge.left(before);
                }
                let asked_at = guest.asked_at.ok_or("it did not ask")?;
                self.judge.joined((guest.room.0, false), number, asked_at)?;
            }
        }
        Ok(())
    }

    // --- what must hold at the end of each turn --------------------------------------------------

    pub(super) fn check_guests(&mut self, has_ticked: bool, is_flushed: bool) -> Check {
        for index in 0..self.guests.all.len() {
            let guest = &self.guests.all[index];
            let is_here = guest.stage == Stage::Here && !guest.is_frozen();
            let silence_ms = guest.opened_at.map_or(0, |opened_at| self.now - opened_at);
            let is_unheard = matches!(guest.fault, Fault::Mute);
            if is_here && is_unheard && silence_ms > CONNECT_TIMEOUT_MS + SLACK_MS {
                return Err(format!("it never came in, and is here: {}", guest.describe()));
            }
        }
        // A server that goes away closes connections over which requests may be on their way.
        if !is_flushed || self.guests.is_disturbed || self.is_draining {
            return Ok(());
        }
        for index in 0..self.guests.all.len() {
            let is_quiet = self.guests.all[index].is_caught_up(&self.guests.polls);
            self.compare_facts(index, is_quiet)
                .and_then(|()| self.compare_places(index, has_ticked && is_quiet))
                .map_err(|why| format!("{why}: {}", self.guests.all[index].describe()))?;
        }
        Ok(())
    }

    /// Nobody loses a fact, or gets it twice, or out of order.
    fn compare_facts(&mut self, index: usize, is_quiet: bool) -> Check {
        let guest = &mut self.guests.all[index];
        let log = &mut self.guests.logs[guest.room.0];
        if guest.is_witness {
            log.append(&mut guest.mind.facts);
            return Ok(());
        }
        // Several hits may become one where it is crowded.
        let is_clear = !guest.mind.may_merge && !guest.is_confused;
        let is_judged = guest.mind.is_introduced && is_clear;
        let witness = &self.guests.all[self.guests.all[index].room.0];
        if !is_judged || witness.stage != Stage::Here || !witness.mind.is_introduced {
            return Ok(());
        }
        let guest = &mut self.guests.all[index];
        let facts = match (guest.at, is_quiet) {
            (None, false) => return Ok(()),
            (None, true) => guest.mind.facts.len(),
            (Some(_), _) => guest.mind.facts.len(),
        };
        let at = guest.at.unwrap_or(log.len().saturating_sub(facts));
        let expected = log.get(at..at + facts);
        if expected != Some(&guest.mind.facts[..]) {
            let told = &guest.mind.facts;
            return Err(format!("it was told {told:#?}, and the witness {:#?}", &log[at..]));
        }
        guest.mind.facts.clear();
        guest.at = Some(at + facts);
        self.guests.reach.facts += facts as u64;
        if is_quiet && at + facts != log.len() {
            return Err(format!("it was not told {:#?}", &log[at + facts..]));
        }
        if is_quiet && guest.is_heard() && guest.mind.is_waiting() {
            return Err("it has no answer".to_owned());
        }
        Ok(())
    }

    /// Whoever reads everything knows who is where as the observer does.
    fn compare_places(&mut self, index: usize, is_quiet: bool) -> Check {
        let guest = &self.guests.all[index];
        let room = guest.room.0;
        if !is_quiet || guest.is_rated || !self.judge.is_up_to_date(room) {
            return Ok(());
        }
        let mut count = 0;
        for (number, (x, y, hp)) in self.judge.seen(room) {
            count += 1;
            let body = Body { x, y, hp };
            if guest.mind.known.get(&number) != Some(&body) {
                let known = guest.mind.known.get(&number);
                return Err(format!("{number} is {body:?}, and it believes {known:?}"));
            }
        }
        // One place a tick, and there may be one more on both ends.
        let most = u64::from(self.judge.ticks - guest.in_at) + 2;
        if let Some((number, times)) = guest.mind.places.iter().find(|(_, times)| **times > most) {
            return Err(format!("it was told {times} times in {most} ticks where {number} is"));
        }
        if count != guest.mind.known.len() {
            return Err(format!("it believes in {}, of {count}", guest.mind.known.len()));
        }
        self.guests.reach.places += 1;
        Ok(())
    }
}
