//! What clients receive, and the checks at the end of each turn.

use std::io::IoSlice;

use rand::RngExt;
use skirmish::server::{ConnId, End};
use skirmish::time::Millis;

use super::{
    Check, KEEP_ALIVE_MS, LINGER_MS, Loss, PlayerOf, ROOM_PLAYERS_MAX, SILENCE_MS, SLACK_MS,
    STALL_MS, Simulation, sockets,
};
use crate::sim::client::{Client, Kind};
use crate::sim::response_reader::{Received, tick_of};
use crate::sim::v1_client::V1Client;

/// Ticks between two checks of the places of connections.
const PLACES_CHECKED_TICKS: u64 = 16;

impl Simulation {
    // --- what clients receive --------------------------------------------------------------------

    pub(super) fn receive(&mut self, span_ms: u64) -> Check {
        for index in 0..self.clients.len() {
            let bytes = self.clients[index].read(span_ms);
            self.receive_bytes(index, &bytes).map_err(|why| {
                let id = self.clients[index].socket.as_ref().map(|socket| socket.id);
                format!("{why}: {}", id.map_or_else(String::new, |id| self.describe(id)))
            })?;
        }
        (0..self.socketio.clients.len()).try_for_each(|index| self.receive_socketio(index, span_ms))
    }

    pub(super) fn receive_bytes(&mut self, index: usize, bytes: &[u8]) -> Check {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut received = Vec::new();
        let reader = &mut self.clients[index].reader;
        let before = reader.compressed;
        reader.read(bytes, &mut received)?;
        self.compressed.states += reader.compressed - before;
        received.into_iter().try_for_each(|received| self.received(index, received))
    }

    fn received(&mut self, index: usize, received: Received) -> Check {
        let (room, _) = self.clients[index].room;
        if matches!(received, Received::Close(Some(4013), _)) && !self.may_be_full(index) {
            return Err("refused by a room with free places".to_owned());
        }
        let is_playing = self.clients[index].joined.is_some();
        if matches!(received, Received::Close(Some(4013), _))
            && is_playing
            && !self.may_lose_seat(index)
        {
            return Err("it lost its seat, of which its address had no more than its share".into());
        }
        let client = &mut self.clients[index];
        match received {
            Received::Upgraded | Received::Pong(_) => {}
            Received::Response(503, ..) if self.is_draining => {}
            Received::Response(status, head, _) => {
                let expected = client.statuses.pop_front();
                if expected != Some(status) {
                    return Err(format!("expected {expected:?}, got {head}"));
                }
            }
            Received::Ping(bytes) => client.answer(&bytes),
            Received::Close(code, reason) => {
                if let Some(socket) = &mut client.socket {
                    socket.update_stall(self.now);
                }
                let may_be_slow = client.acknowledges_too_late(self.oracle.newest_tick(room));
                let may_be_closed = client.may_receive_close(code, &reason, self.is_draining)
                    || code == Some(4008) && may_be_slow;
                if !may_be_closed {
                    return Err(format!("closed with {code:?} {reason}"));
                }
                client.received_close = Some(code);
                if client.kind == Kind::Observer {
                    self.oracle.rooms[room].is_over = true;
                }
                client.close_too(&mut self.rng);
                let loss = match code {
                    // With 4009 another client has the player.
                    Some(1011 | 4008 | 4009) => Loss::Maybe,
                    _ => Loss::No,
                };
                self.end_player(index, loss);
            }
            Received::Binary(payload) => return self.received_v1(index, &payload),
            Received::Text(text) if text.starts_with(r#"{"type":"init""#) => {
                let id = text.split('"').nth(7).and_then(|id| id.parse::<u32>().ok());
                let id = id.ok_or_else(|| format!("no id in {text}"))?;
                let token = text.split_once(r#""token":""#).and_then(|(_, it)| it.split_once('"'));
                client.token = token.map(|(token, _)| token.to_owned());
                return self.joined(index, id);
            }
            Received::Text(text) => {
                let Some((number, _)) = client.joined else {
                    return Err(format!("a message before init: {text}"));
                };
                if text.starts_with(r#"{"type":"pong","t":"#) {
                    return Ok(());
                }
                let tick = tick_of(&text).ok_or_else(|| format!("unknown message: {text}"))?;
                if client.latest.is_some_and(|latest| tick <= latest) {
                    return Err(format!("tick {tick} after {:?}", client.latest));
                }
                client.latest = Some(tick);
                if client.kind == Kind::Observer {
                    let unidentified = self.unidentified(room);
                    return self.oracle.record_reference(room, &text, unidentified);
                }
                // The observer's state, if it has the tick already, must be equal.
                let has_receiver = match self.oracle.place(room, tick, number) {
                    Some(place) => place.is_some(),
                    None => text.contains(&format!("{{\"id\":\"{number}\",")),
                };
                if !has_receiver {
                    return Err(format!("the state lacks its receiver, {number}: {text}"));
                }
                if room < self.oracle.rooms.len() {
                    return self.oracle.compare_state(room, tick, &text);
                }
            }
        }
        Ok(())
    }

    /// A client has received its player number.
    pub(super) fn joined(&mut self, index: usize, number: u32) -> Check {
        let client = &mut self.clients[index];
        let room = client.room.0;
        let asked_at = client.asked_at.unwrap_or_default();
        let tick = self.oracle.rooms.get(room).and_then(|room| room.tick);
        if client.joined.replace((number, tick)).is_some() {
            return Err(format!("a second number: {number}"));
        }
        let presented = client.presented.clone();
        if !self.came_back(PlayerOf::Client(index), presented, number)? {
            self.oracle.joined(room, true, number, asked_at)?;
        }
        self.has_player(index, number);
        Ok(())
    }

    /// Notes which rooms may be full now, counting all clients that have asked to join.
    pub(super) fn note_full_rooms(&mut self) {
        for index in 0..self.oracle.rooms.len() {
            let is_here = |client: &&Client| client.room.0 == index && client.asked_at.is_some();
            let players = self.clients.iter().filter(is_here).count()
                + self.socketio_players_in(index)
                + self.absences.in_room(index).count();
            let room = &mut self.oracle.rooms[index];
            if room.is_over || players >= ROOM_PLAYERS_MAX {
                room.full_at = Some(self.wall);
            }
        }
    }

    /// Whether the room may have been full since the client connected: it may read the refusal
    /// late. Rooms without an observer are not checked.
    pub(super) fn may_be_full(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let Some(room) = self.oracle.rooms.get(client.room.0) else { return true };
        room.full_at.is_some_and(|full_at| self.wall - full_at <= client.age_ms(self.wall))
    }

    /// How many clients may be in the room without having received their number.
    fn unidentified(&self, room: usize) -> usize {
        let may_have_unknown_player = |client: &&Client| {
            let has_asked = client.asked_at.is_some() && client.received_close.is_none();
            client.room.0 == room && has_asked && client.joined.is_none()
        };
        self.clients.iter().filter(may_have_unknown_player).count()
            + self.unidentified_socketio_players(room)
            + self.absences.in_room(room).filter(|absence| absence.number.is_none()).count()
    }

    // --- what must hold at the end of each turn --------------------------------------------------

    pub(super) fn check(&mut self, has_ticked: bool, is_flushed: bool) -> Check {
        self.turn.sockets_mut().transcript.update(&self.now.to_le_bytes());
        // A hang-up found while writing is handled in the next turn. So is what a stale handle
        // makes the server do: process the end of a room that panicked while it was published.
        let is_dirty = self.turn.server().is_dirty();
        if is_flushed && !is_dirty && !self.socketio.found_close_while_writing {
            self.check_all_written()?;
        }
        self.check_queues()?;
        if has_ticked {
            self.turn.server().check_accounts()?;
            // This takes some time, and what is wrong stays wrong.
            if self.turn.server().metrics().ticks.is_multiple_of(PLACES_CHECKED_TICKS) {
                self.turn.server().check_places()?;
            }
        }
        self.check_absences()?;
        for index in 0..self.clients.len() {
            self.check_client(index, has_ticked && is_flushed).map_err(|why| {
                let id = self.clients[index].socket.as_ref().map(|socket| socket.id);
                format!("{why}: {}", id.map_or_else(String::new, |id| self.describe(id)))
            })?;
        }
        self.check_socketio(has_ticked, is_flushed)
    }

    /// Checks that no writable connection has output left: nothing stays queued without a wakeup.
    fn check_all_written(&mut self) -> Check {
        let mut left_id = None;
        for socket in sockets(&mut self.clients, &mut self.socketio.clients) {
            let is_open =
                !socket.is_blocked && !socket.is_in_write_queue && !socket.is_end_reported;
            let mut slices = [IoSlice::new(&[]); 2];
            if is_open && self.turn.server_mut().slices(socket.id, &mut slices) > 0 {
                left_id = Some(socket.id);
            }
        }
        match left_id {
            Some(id) => Err(format!("output was left unwritten: {}", self.describe(id))),
            None => Ok(()),
        }
    }

    /// Checks that what is queued for a client that does not read is bounded.
    fn check_queues(&mut self) -> Check {
        let now = Millis(self.now);
        for client in &self.clients {
            let Some(socket) = client.socket.as_ref().filter(|socket| socket.is_blocked) else {
                continue;
            };
            if !self.rng.random_ratio(1, 20) {
                continue;
            }
            // The loop passes 16 slices; any number must work.
            let count_max = [1, 2, 1024][self.rng.random_range(0..3)];
            let mut slices = vec![IoSlice::new(&[]); count_max];
            let server = self.turn.server_mut();
            let count = server.slices(socket.id, &mut slices);
            let bytes: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            if bytes > 0 {
                server.written(socket.id, 0, bytes, now);
            }
            if bytes > socket.queued_bytes_max {
                return Err(format!("{bytes} bytes are queued: {}", self.describe(socket.id)));
            }
        }
        Ok(())
    }

    fn check_client(&mut self, index: usize, is_settled: bool) -> Check {
        let client = &mut self.clients[index];
        let (room, is_http) = (client.room.0, client.is_http());
        let Some(socket) = &mut client.socket else { return Ok(()) };
        if socket.update_stall(self.now) > STALL_MS + LINGER_MS + SLACK_MS {
            return Err("stalled, but not closed".to_owned());
        }
        let silence_ms = if is_http { KEEP_ALIVE_MS } else { SILENCE_MS };
        if self.now - socket.last_bytes_at.max(socket.last_read_at)
            > silence_ms + LINGER_MS + SLACK_MS
        {
            return Err("silent, but not closed".to_owned());
        }
        // While the server does not read from a client, silence means nothing.
        let silent_at = (socket.last_read_at + SILENCE_MS).max(socket.stall_ended_at);
        let is_silent = self.now > silent_at + LINGER_MS + SLACK_MS;
        if !is_http && client.joined.is_some() && is_silent {
            return Err("unanswered pings, but not closed".to_owned());
        }
        if client.kind == Kind::SlowRequest
            && self.now > socket.last_read_at.max(socket.last_bytes_at) + 8_000
        {
            return Err("an incomplete request head, but not closed".to_owned());
        }
        let is_there = !client.is_struck
            && !client.may_be_replaced
            && client.received_close.is_none()
            && !socket.is_end_reported
            && socket.is_drained();
        let (Some((number, joined_at)), true, true) = (client.joined, is_there, is_settled) else {
            return Ok(());
        };
        let Some(tick) = self.oracle.rooms.get(room).and_then(|room| room.tick) else {
            return Ok(());
        };
        if let Some(v1) = &mut client.v1 {
            v1.acknowledged_at = v1.acknowledged_at.or(Some(tick));
        }
        // A client that has read everything has the newest state, even after skipped states. A rate
        // that changes twice between two of its ticks doubles the gap.
        let changes = if client.hz_min < 20 { 2 } else { 1 };
        let gap_max = match client.v1 {
            // Nothing may have changed.
            Some(_) => V1Client::gap_max(client.hz_min) * changes,
            None => 20_u32.div_ceil(client.hz_min) * changes,
        };
        let joined_at = joined_at.unwrap_or_default();
        if tick - joined_at >= gap_max {
            if !self.oracle.shows(room, number) {
                return Err(format!("it joined, but is missing from the state of tick {tick}"));
            }
            // The server may wait for an acknowledgement, also for one that is on its way.
            let is_sending = !socket.inbound.is_empty();
            let has_no_credit = client.v1.as_ref().is_some_and(|v1| {
                let newest = client.latest.unwrap_or_default();
                let is_behind = v1.acknowledged.is_some_and(|tick| newest >= tick + 20);
                let is_new = v1.acknowledged_at.is_some_and(|at| tick <= at + gap_max);
                is_behind || is_new || is_sending || v1.may_be_dropped
            });
            let is_late = client.latest.is_none_or(|latest| latest + gap_max <= tick);
            if is_late && !has_no_credit {
                return Err(format!(
                    "its newest state is {:?}, the room's is {tick}",
                    client.latest
                ));
            }
        }
        Ok(())
    }

    // --- how connections end ---------------------------------------------------------------------

    pub(super) fn connection_closed(&mut self, index: usize, end: End) -> Check {
        let (may_be_evicted, may_lose_seat) =
            (self.may_be_evicted(index), self.may_lose_seat(index));
        let socket = self.clients[index].socket.as_mut().ok_or("the client has no socket")?;
        socket.update_stall(self.now);
        let is_closed_by_peer = socket.is_end_reported;
        let is_evicted = may_be_evicted && !is_closed_by_peer;
        self.evicted += u64::from(is_evicted);
        // The client may still read everything that the kernel took before the close.
        let rest: Vec<u8> = std::mem::take(&mut socket.outbound).into();
        self.receive_bytes(index, &rest)?;
        let client = &mut self.clients[index];
        let socket = client.socket.take().ok_or("the client has no socket")?;
        if let Some(v1) = &client.v1 {
            self.v1.add(&v1.coverage);
        }
        self.owners.remove(&socket.id);
        self.stale.push(socket.id);
        self.ended += 1;
        self.returns_at[index] = self.wall + self.rng.random_range(50..3_000);
        // The server counts from the start of the turn in which it has read.
        let is_silent = self.now - socket.last_read_at + SLACK_MS >= SILENCE_MS;
        // The flush that found the socket full may have come a little later.
        let is_slow = socket.stalled_ms_max + SLACK_MS >= STALL_MS;
        if client.kind == Kind::Observer && !self.is_ending {
            return Err("an observer was disconnected".to_owned());
        }
        let tick = self.oracle.newest_tick(client.room.0);
        let is_unacknowledged = client.acknowledges_too_late(tick);
        let may_end = is_closed_by_peer
            || is_silent
            || is_slow
            || match client.kind {
                _ if self.is_draining || client.is_struck => true,
                Kind::SlowRequest => client.age_ms(self.wall) >= 5_000,
                Kind::Browser if is_evicted => true,
                // It sent nothing at all, or not recently.
                Kind::Browser if socket.last_read_at == socket.opened_at => {
                    self.now - socket.opened_at >= 5_000
                }
                Kind::Browser => self.now - socket.last_bytes_at >= KEEP_ALIVE_MS,
                _ if client.received_close.is_some() || client.expected_close.is_some() => true,
                // It was refused or lost its seat, and has not read that far.
                _ if (client.joined.is_none() || may_lose_seat)
                    && socket.stalled_since.is_some() =>
                {
                    true
                }
                _ if client.may_be_replaced || is_unacknowledged => true,
                _ => client.may_be_rate_limited,
            };
        if !may_end {
            return Err(format!("ended with {end:?} for no reason"));
        }
        // The close frame says why, unless the client was too slow to read it.
        let is_certain = !client.may_be_rate_limited && client.expected_close.is_none();
        let is_lost = is_certain && (is_silent || is_slow) && !client.is_struck && !may_lose_seat;
        // A client that does not soon read up to our close frame gets only the linger.
        let is_behind = !client.is_http() && socket.stalled_since.is_some();
        let is_cut =
            is_closed_by_peer || client.is_gone || client.is_struck || is_slow || is_behind;
        let is_whole = end == End::Close && !is_cut;
        if is_whole && client.reader.has_partial_input() {
            return Err("ended in the middle of a frame or a response".to_owned());
        }
        // What an evicted connection sent last is not read.
        let is_unread = is_evicted && !socket.inbound.is_empty();
        let has_asked = !client.statuses.is_empty() && !is_unread;
        if is_whole && client.is_http() && has_asked && !self.is_draining {
            return Err(format!("requests without a response: {:?}", client.statuses));
        }
        self.end_player(index, if is_lost { Loss::Earlier } else { Loss::Maybe });
        Ok(())
    }

    pub(super) fn describe(&self, id: ConnId) -> String {
        if let Some(client) = self.socketio.owners.get(&id) {
            return format!("{id:?}, {}", self.socketio.clients[*client].describe());
        }
        match self.owners.get(&id) {
            Some(index) => self.describe_client(*index, id),
            None => format!("{id:?}"),
        }
    }

    pub(super) fn describe_client(&self, index: usize, id: ConnId) -> String {
        let client = &self.clients[index];
        let (kind, joined, latest) = (client.kind, client.joined, client.latest);
        let age_ms = client.age_ms(self.wall);
        format!(
            "client {index}, a {kind:?} of room {}, {id:?}, joined {joined:?}, latest {latest:?}, \
             acknowledged {:?}, newest {:?}, age {age_ms} ms, stall {:?} ms, close {:?}, at {} ms",
            client.room.1,
            client.v1.as_ref().and_then(|v1| v1.acknowledged),
            self.oracle.newest_tick(client.room.0),
            client.socket.as_ref().map(|socket| socket.stalled_ms_max),
            client.expected_close,
            self.now,
        )
    }
}
