//! What clients hear, and what must hold of it and of those who say nothing.

use std::hash::Hasher;
use std::io::IoSlice;

use rand::RngExt;
use skirmish::server::{ConnId, End};

use super::{Check, LINGER_MS, ROOM_PLAYERS_MAX, SILENCE_MS, SLACK_MS, STALL_MS, World};
use crate::sim::client::{Client, Kind};
use crate::sim::ear::{Heard, tick_of};

impl World {
    // --- what clients hear ------------------------------------------------------------------------

    pub(super) fn hear(&mut self, span_ms: u64) -> Check {
        for index in 0..self.clients.len() {
            let bytes = self.clients[index].read(span_ms);
            self.listen(index, &bytes).map_err(|why| {
                let id = self.clients[index].wire.as_ref().map(|wire| wire.id);
                format!("{why}: {}", id.map_or_else(String::new, |id| self.describe(id)))
            })?;
        }
        (0..self.guests.all.len()).try_for_each(|index| self.hear_guest(index, span_ms))
    }

    pub(super) fn listen(&mut self, index: usize, bytes: &[u8]) -> Check {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut heard = Vec::new();
        self.clients[index].ear.hear(bytes, &mut heard)?;
        heard.into_iter().try_for_each(|heard| self.heard(index, heard))
    }

    fn heard(&mut self, index: usize, heard: Heard) -> Check {
        let (room, _) = self.clients[index].room;
        if matches!(heard, Heard::Close(Some(1013), _)) && !self.may_be_full(index) {
            return Err("turned away from a room that has place".to_owned());
        }
        let client = &mut self.clients[index];
        match heard {
            Heard::Upgraded | Heard::Pong(_) => {}
            Heard::Response(503, ..) if self.is_draining => {}
            Heard::Response(status, head, _) => {
                let expected = client.statuses.pop_front();
                if expected != Some(status) {
                    return Err(format!("expected {expected:?}, got {head}"));
                }
            }
            Heard::Ping(bytes) => client.answer(&bytes),
            Heard::Close(code, reason) => {
                if let Some(wire) = &mut client.wire {
                    wire.note_stall(self.now);
                }
                if !client.may_be_told(code, &reason, self.is_draining) {
                    return Err(format!("closed with {code:?} {reason}"));
                }
                client.heard_close = Some(code);
                if client.kind == Kind::Observer {
                    self.judge.rooms[room].is_over = true;
                }
                client.hang_up(&mut self.rng);
                if let Some((number, _)) = client.joined {
                    self.judge.left(number);
                }
            }
            Heard::Text(text) if text.starts_with(r#"{"type":"init""#) => {
                let id = text.split('"').nth(7).and_then(|id| id.parse::<u32>().ok());
                let id = id.ok_or_else(|| format!("no id in {text}"))?;
                let asked_at = client.asked_at.unwrap_or_default();
                let tick = self.judge.rooms.get(room).and_then(|room| room.tick);
                if client.joined.replace((id, tick)).is_some() {
                    return Err(format!("a second init: {text}"));
                }
                self.judge.joined((room, true), id, asked_at)?;
                if client.wire.as_ref().is_some_and(|wire| wire.is_end_told) {
                    self.judge.left(id);
                }
            }
            Heard::Text(text) => {
                let Some((number, _)) = client.joined else {
                    return Err(format!("before init: {text}"));
                };
                if text.starts_with(r#"{"type":"pong","t":"#) {
                    return Ok(());
                }
                let tick = tick_of(&text).ok_or_else(|| format!("what is this? {text}"))?;
                if client.latest.is_some_and(|latest| tick <= latest) {
                    return Err(format!("tick {tick} after {:?}", client.latest));
                }
                client.latest = Some(tick);
                if client.kind == Kind::Observer {
                    let strangers = self.strangers(room);
                    return self.judge.observed(room, &text, strangers);
                }
                if !text.contains(&format!("{{\"id\":\"{number}\",")) {
                    return Err(format!("a state without the one it is for, {number}: {text}"));
                }
                if room < self.judge.rooms.len() {
                    return self.judge.compare(room, tick, &text);
                }
            }
        }
        Ok(())
    }

    /// Takes note of the rooms that may be full now, with all who have asked to come in.
    pub(super) fn note_full_rooms(&mut self) {
        for index in 0..self.judge.rooms.len() {
            let is_here = |client: &&Client| client.room.0 == index && client.asked_at.is_some();
            let guests = self.clients.iter().filter(is_here).count() + self.guests_in(index);
            let room = &mut self.judge.rooms[index];
            if room.is_over || guests >= ROOM_PLAYERS_MAX {
                room.full_at = Some(self.wall);
            }
        }
    }

    /// Whether the room may have been full since the client came: it may read late that it was. Rooms
    /// that nobody observes are not judged.
    fn may_be_full(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let Some(room) = self.judge.rooms.get(client.room.0) else { return true };
        room.full_at.is_some_and(|full_at| self.wall - full_at <= client.age_ms(self.wall))
    }

    /// How many clients may be in the room without having read their number.
    fn strangers(&self, room: usize) -> usize {
        let is_stranger = |client: &&Client| {
            let has_asked = client.asked_at.is_some() && client.heard_close.is_none();
            client.room.0 == room && has_asked && client.joined.is_none()
        };
        self.clients.iter().filter(is_stranger).count() + self.strange_guests(room)
    }

    // --- what must hold at the end of each turn ---------------------------------------------------

    pub(super) fn check(&mut self, has_ticked: bool, is_flushed: bool) -> Check {
        self.transcript.write_u64(self.now);
        // Who was found to have left while others were written to is told of in the next turn.
        if is_flushed && !self.guests.is_disturbed {
            self.check_all_written()?;
        }
        for index in 0..self.clients.len() {
            self.check_client(index, has_ticked && is_flushed).map_err(|why| {
                let id = self.clients[index].wire.as_ref().map(|wire| wire.id);
                format!("{why}: {}", id.map_or_else(String::new, |id| self.describe(id)))
            })?;
        }
        self.check_guests(has_ticked, is_flushed)
    }

    /// Whoever can take bytes has all that there are: nothing is queued and never woken.
    fn check_all_written(&mut self) -> Check {
        let guests = self.guests.all.iter().flat_map(|guest| &guest.lines);
        let clients = self.clients.iter().filter_map(|client| client.wire.as_ref());
        for wire in clients.chain(guests.map(|line| &line.wire)) {
            let is_open = !wire.is_blocked && !wire.is_flushing && !wire.is_end_told;
            if is_open && self.server.slices(wire.id, &mut [IoSlice::new(&[]); 2]) > 0 {
                return Err(format!("bytes were left behind: {}", self.describe(wire.id)));
            }
        }
        Ok(())
    }

    fn check_client(&mut self, index: usize, is_settled: bool) -> Check {
        let client = &mut self.clients[index];
        let (room, is_http) = (client.room.0, client.is_http());
        let Some(wire) = &mut client.wire else { return Ok(()) };
        if wire.note_stall(self.now) > STALL_MS + LINGER_MS + SLACK_MS {
            return Err("stalled, and not closed".to_owned());
        }
        let silence_ms = if is_http { 60_000 } else { SILENCE_MS };
        if self.now - wire.moved_at.max(wire.heard_at) > silence_ms + LINGER_MS + SLACK_MS {
            return Err("silent, and not closed".to_owned());
        }
        let is_silent = self.now - wire.heard_at > SILENCE_MS + LINGER_MS + SLACK_MS;
        if !is_http && client.joined.is_some() && is_silent {
            return Err("answers no ping, and not closed".to_owned());
        }
        if client.kind == Kind::SlowHead && self.now > wire.heard_at.max(wire.moved_at) + 8_000 {
            return Err("a head that does not end, and not closed".to_owned());
        }
        let is_there = client.heard_close.is_none() && !wire.is_end_told && wire.is_drained();
        let (Some((number, joined_at)), true, true) = (client.joined, is_there, is_settled) else {
            return Ok(());
        };
        let Some(tick) = self.judge.rooms.get(room).and_then(|room| room.tick) else {
            return Ok(());
        };
        // Whoever has read everything knows the newest state, whatever it has missed before.
        // A rate that changes twice between two of its ticks makes that gap twice as long.
        let changes = if client.hz_min < 20 { 2 } else { 1 };
        let gap_max = 20_u32.div_ceil(client.hz_min) * changes;
        let joined_at = joined_at.unwrap_or_default();
        if tick - joined_at >= gap_max {
            if !self.judge.shows(room, number) {
                return Err(format!("it is there, and not in the state of tick {tick}"));
            }
            if client.latest.is_none_or(|latest| latest + gap_max <= tick) {
                return Err(format!("it was told of {:?}, now is {tick}", client.latest));
            }
        }
        Ok(())
    }

    // --- how connections end ----------------------------------------------------------------------

    pub(super) fn take_away(&mut self, index: usize, end: End) -> Check {
        let may_give_way = self.may_give_way(index);
        let wire = self.clients[index].wire.as_mut().ok_or("it has no wire")?;
        wire.note_stall(self.now);
        let is_hung_up = wire.is_end_told;
        let gives_way = may_give_way && !is_hung_up;
        self.gave_way += u64::from(gives_way);
        // What the kernel has taken may all be read before the connection is seen to be over.
        let rest: Vec<u8> = std::mem::take(&mut wire.outbound).into();
        self.listen(index, &rest)?;
        let client = &mut self.clients[index];
        let wire = client.wire.take().ok_or("it has no wire")?;
        self.owners.remove(&wire.id);
        self.stale.push(wire.id);
        self.ended += 1;
        if let Some((number, _)) = client.joined {
            self.judge.left(number);
        }
        self.returns_at[index] = self.wall + self.rng.random_range(50..3_000);
        let is_silent = self.now - wire.heard_at >= SILENCE_MS;
        // The flush that found the socket full may have come a little after what it was to write.
        let is_slow = wire.stalled_ms_max + SLACK_MS >= STALL_MS;
        if client.kind == Kind::Observer && !self.is_ending {
            return Err("an observer was sent away".to_owned());
        }
        let may_end = is_hung_up
            || is_silent
            || is_slow
            || match client.kind {
                _ if self.is_draining => true,
                Kind::SlowHead => client.age_ms(self.wall) >= 5_000,
                Kind::Browser if gives_way => true,
                // It never spoke at all, or not for long.
                Kind::Browser if wire.heard_at == wire.opened_at => {
                    self.now - wire.opened_at >= 5_000
                }
                Kind::Browser => self.now - wire.moved_at >= 60_000,
                _ if client.heard_close.is_some() || client.expected_close.is_some() => true,
                // It was turned away, and has not read so far.
                _ if client.joined.is_none() && wire.stalled_since.is_some() => true,
                _ => client.is_rude,
            };
        if !may_end {
            return Err(format!("ended by {end:?} for no reason"));
        }
        // Who does not soon read what stands before our close frame gets no more than the linger.
        let is_behind = !client.is_http() && wire.stalled_since.is_some();
        let is_cut = is_hung_up || client.is_gone || is_slow || is_behind;
        let is_whole = end == End::Close && !is_cut;
        if is_whole && client.ear.is_in_the_middle() {
            return Err("ended in the middle of a frame or a response".to_owned());
        }
        // What it sent when it had given way is not read.
        let is_unread = gives_way && !wire.inbound.is_empty();
        let has_asked = !client.statuses.is_empty() && !is_unread;
        if is_whole && client.is_http() && has_asked && !self.is_draining {
            return Err(format!("requests without an answer: {:?}", client.statuses));
        }
        Ok(())
    }

    pub(super) fn describe(&self, id: ConnId) -> String {
        if let Some(guest) = self.guests.owners.get(&id) {
            return format!("{id:?}, {}", self.guests.all[*guest].describe());
        }
        let Some(index) = self.owners.get(&id) else { return format!("{id:?}") };
        let client = &self.clients[*index];
        let (kind, joined, latest) = (client.kind, client.joined, client.latest);
        let age_ms = client.age_ms(self.wall);
        format!(
            "client {index}, a {kind:?} of room {}, {id:?}, joined {joined:?}, latest {latest:?}, \
             age {age_ms} ms, stall {:?} ms, close {:?}, at {} ms",
            client.room.1,
            client.wire.as_ref().map(|wire| wire.stalled_ms_max),
            client.expected_close,
            self.now,
        )
    }
}
