//! All connections: their handles and deadlines, which of them have bytes to send, and which of
//! them the reactor must shut down or close.

use std::cmp::Reverse;
use std::net::IpAddr;

use slab::Slab;

use super::super::ids::ConnId;
use super::{Class, Conn, Http, Spill, Stage};
use crate::close::CloseReason;
use crate::time::Millis;

/// What the reactor does with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Shut down our side; the peer may still be sending.
    Shut,
    /// Close it.
    Close,
    /// Close it and discard what the peer has not read.
    Reset,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Conns {
    slab: Slab<Conn>,
    /// For each slot the time before which nothing is due. It may be too early, never too late.
    deadlines: Vec<Millis>,
    /// The number of open connections, admin connections aside.
    public_open: usize,
    /// The number of those that have a place.
    places_taken: usize,
    serial: u32,
    /// Frames queued so far, states aside.
    frames_out: u64,
    dirty: Vec<ConnId>,
    /// The same, for pages and other responses that no player waits for.
    dirty_pages: Vec<ConnId>,
    ended: Vec<(ConnId, End)>,
}

impl Conns {
    /// Adds a connection that was just accepted.
    pub fn open(&mut self, peer: IpAddr, class: Class, now: Millis) -> ConnId {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let slot = self.slab.insert(Conn::new(peer, class, serial, now));
        self.public_open += usize::from(class != Class::Admin);
        self.places_taken += usize::from(class.has_place());
        if self.deadlines.len() <= slot {
            self.deadlines.resize(slot + 1, Millis::NEVER);
        }
        self.deadlines[slot] = now;
        ConnId { slot: slot as u32, serial }
    }

    /// The connection, unless its slot was freed.
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slab.get(id.slot as usize).filter(|conn| conn.serial == id.serial)
    }

    /// The connection, unless its slot was freed.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slab.get_mut(id.slot as usize).filter(|conn| conn.serial == id.serial)
    }

    /// The number of open connections, admin connections aside.
    #[must_use]
    pub fn public_open(&self) -> usize {
        self.public_open
    }

    /// The number of those that have a place.
    #[must_use]
    pub fn places_taken(&self) -> usize {
        self.places_taken
    }

    /// Changes the class of an open connection.
    pub fn set_class(&mut self, id: ConnId, class: Class) {
        let Some(conn) = self.get_mut(id) else { return };
        let before = std::mem::replace(&mut conn.class, class);
        if !matches!(conn.stage, Stage::Closed(_)) {
            self.places_taken -= usize::from(before.has_place());
            self.places_taken += usize::from(class.has_place());
        }
    }

    /// The number of connections whose sockets are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Frames queued so far, states aside.
    #[must_use]
    pub fn frames_out(&self) -> u64 {
        self.frames_out
    }

    /// Counts queued frames.
    pub fn count_frames(&mut self, count: usize) {
        self.frames_out += count as u64;
    }

    /// The handles of all connections.
    #[must_use]
    pub fn ids(&self) -> Vec<ConnId> {
        let id = |(slot, conn): (usize, &Conn)| ConnId { slot: slot as u32, serial: conn.serial };
        self.slab.iter().map(id).collect()
    }

    /// Of the idle connections in `ids` whose peer `may_lose` one, the one that has waited longest
    /// for a request, and since when.
    #[must_use]
    pub fn longest_idle(
        &self,
        ids: impl Iterator<Item = ConnId>,
        may_lose: impl Fn(IpAddr) -> bool,
    ) -> Option<(Millis, ConnId)> {
        self.longest(ids, |conn, _| conn.is_idle() && may_lose(conn.peer))
    }

    /// Of the connections in `ids` that await their first request, or the rest of one, the one
    /// that has done so longest, and since when.
    #[must_use]
    pub fn longest_silent(&self, ids: impl Iterator<Item = ConnId>) -> Option<(Millis, ConnId)> {
        self.longest(ids, |conn, http| http.is_urgent && http.is_free() && conn.outbox.is_empty())
    }

    fn longest(
        &self,
        ids: impl Iterator<Item = ConnId>,
        is_one: impl Fn(&Conn, &Http) -> bool,
    ) -> Option<(Millis, ConnId)> {
        let those = ids.filter_map(|id| match self.get(id) {
            Some(conn @ Conn { stage: Stage::Http(http), .. }) => {
                (conn.class.has_place() && is_one(conn, http)).then_some((http.since, id))
            }
            _ => None,
        });
        those.min_by_key(|(since, _)| *since)
    }

    /// Of the connections in `ids`, the one to end for a peer of another address, and whether it
    /// serves a client: one that is closing, or else an idle one, or else one without a complete
    /// request, or else one that serves none; of several the newest.
    #[must_use]
    pub fn least_needed(&self, ids: impl Iterator<Item = ConnId>) -> Option<(ConnId, bool)> {
        let by_need = ids.filter_map(|id| {
            let conn = self.get(id).filter(|conn| conn.class.has_place())?;
            let need = match &conn.stage {
                Stage::Closed(_) => return None,
                Stage::Lingering(lingering) if lingering.answering.is_none() => 0,
                Stage::Http(_) if conn.is_idle() => 1,
                Stage::Http(http) if http.is_free() && conn.outbox.is_empty() => 2,
                Stage::Http(_) if conn.owner().is_none() => 3,
                _ => 4,
            };
            Some((need, Reverse((conn.began_at, id.serial)), id))
        });
        let least = by_need.min_by_key(|(need, began, _)| (*need, *began));
        least.map(|(need, _, id)| (id, need == 4))
    }

    /// Makes the next tick check the connection's deadlines.
    pub fn wake(&mut self, id: ConnId) {
        self.deadlines[id.slot as usize] = Millis(0);
    }

    /// Sets the time before which nothing is due.
    pub fn set_deadline(&mut self, id: ConnId, deadline: Millis) {
        self.deadlines[id.slot as usize] = deadline;
    }

    /// Fills `due` with the connections whose deadline may have passed.
    pub fn collect_due(&self, now: Millis, due: &mut Vec<ConnId>) {
        due.clear();
        for (slot, deadline) in self.deadlines.iter().enumerate() {
            if *deadline <= now
                && let Some(conn) = self.slab.get(slot)
            {
                due.push(ConnId { slot: slot as u32, serial: conn.serial });
            }
        }
    }

    /// Keeps unprocessed bytes for the next read, unless the connection is about to close.
    pub fn keep_spill(&mut self, id: ConnId, mut bytes: Vec<u8>) {
        if let Some(conn) = self.get_mut(id)
            && !bytes.is_empty()
            && !matches!(conn.stage, Stage::Lingering(_) | Stage::Closed(_))
        {
            // The buffer may be as large as a whole read; an unfinished message must not hold that.
            if bytes.capacity() > 4 * bytes.len() + 256 {
                bytes.shrink_to_fit();
            }
            conn.spill = Some(Box::new(Spill(bytes)));
            self.wake(id);
        }
    }

    /// Makes the reactor ask the connection for bytes in this turn. Duplicates are cheaper than a
    /// check of each connection on every tick.
    pub fn mark_dirty(&mut self, id: ConnId) {
        self.dirty.push(id);
    }

    /// The same for a response, which may have time.
    pub fn mark_response(&mut self, id: ConnId) {
        let sends_page = self.get(id).is_some_and(Conn::sends_page);
        let dirty = if sends_page { &mut self.dirty_pages } else { &mut self.dirty };
        dirty.push(id);
    }

    /// Whether a connection has bytes to send.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.dirty_pages.is_empty()
    }

    /// Moves the connections that have bytes to send to the end of `dirty` and `pages`.
    pub fn take_dirty(&mut self, dirty: &mut Vec<ConnId>, pages: &mut Vec<ConnId>) {
        dirty.append(&mut self.dirty);
        pages.append(&mut self.dirty_pages);
    }

    /// Moves an open connection to [`Stage::Closed`]; `end` is how the reactor closes it.
    pub fn set_closed(&mut self, id: ConnId, reason: CloseReason, end: End) {
        let Some(conn) = self.get_mut(id) else { return };
        conn.stage = Stage::Closed(reason);
        let class = conn.class;
        self.public_open -= usize::from(class != Class::Admin);
        self.places_taken -= usize::from(class.has_place());
        self.ended.push((id, end));
    }

    /// Makes the reactor shut down our side.
    pub fn shut(&mut self, id: ConnId) {
        self.ended.push((id, End::Shut));
        self.wake(id);
    }

    /// Moves what the reactor must do with sockets to `ended`, and frees the slots of those that
    /// close; `on_close` is called for each of them.
    pub fn take_ended(
        &mut self,
        ended: &mut Vec<(ConnId, End)>,
        mut on_close: impl FnMut(ConnId, &Conn, CloseReason),
    ) {
        for (id, end) in self.ended.drain(..) {
            if let Some(conn) = self.slab.get(id.slot as usize)
                && let Stage::Closed(reason) = conn.stage
                && end != End::Shut
            {
                on_close(id, conn, reason);
                self.slab.remove(id.slot as usize);
                self.deadlines[id.slot as usize] = Millis::NEVER;
            }
            ended.push((id, end));
        }
    }
}
