//! The phase of a turn that reads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{BATCH, Turn};
use crate::limits::{READ_SLICE_US, TLS_HANDSHAKES_A_TURN, TLS_HANDSHAKES_US};
use crate::reactor::sockets::Sockets;
use crate::reactor::stream::{Phase, Reading};
use crate::server::{ConnId, ReadState};
use crate::time::Millis;

impl<S: Sockets> Turn<S> {
    /// Reads once from each connection that is readable, until a tick is due, or for one slice of
    /// time if states wait to be written. Then a few handshakes go on, which take longer.
    pub(super) fn read(&mut self, now: Millis) {
        let now_us = self.sockets.now_us();
        let slice_us = if self.flush.is_empty() { u64::MAX } else { READ_SLICE_US };
        let end_us = now_us.saturating_add(slice_us.min(self.schedule.wait_us(now_us)));
        for count in 0..self.readable.len() {
            if count % BATCH == 0 {
                if count > 0 && self.sockets.now_us() >= end_us {
                    break;
                }
                self.prefetch(&self.readable);
            }
            let Some(id) = self.readable.pop() else { break };
            self.catch(id, now, Turn::read_one);
        }
        let start_us = self.sockets.now_us();
        for _ in 0..TLS_HANDSHAKES_A_TURN {
            let Some(id) = self.handshakes.pop() else { break };
            self.catch(id, now, Turn::read_stream);
            if self.sockets.now_us() - start_us >= TLS_HANDSHAKES_US {
                break;
            }
        }
    }

    fn catch(&mut self, id: ConnId, now: Millis, read: fn(&mut Turn<S>, ConnId, Millis)) {
        if catch_unwind(AssertUnwindSafe(|| read(self, id, now))).is_err() {
            self.recover(id, now);
        }
    }

    /// Reads from a connection, unless its handshake goes on: then it waits for its place.
    fn read_one(&mut self, id: ConnId, now: Millis) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.is_in_read_queue = false;
        if stream.phase() == Phase::Handshake {
            let steps = self.server.count_handshake_step(id, now);
            stream.handshake_place = Some(self.handshakes.push(id, steps));
            stream.is_in_read_queue = true;
        } else {
            self.read_stream(id, now);
        }
    }

    fn read_stream(&mut self, id: ConnId, now: Millis) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        (stream.is_in_read_queue, stream.handshake_place) = (false, None);
        let (before, was_paused) = (stream.phase(), stream.is_paused);
        let reading = stream.read(&mut self.sockets, &mut self.buffer);
        let is_broken = matches!(reading, Reading::Broken | Reading::BadPreface);
        let read_state = reading.pass(&mut self.server, id, &mut self.buffer, now);
        stream.set_read_state(read_state);
        let has_ended = read_state == ReadState::Held && stream.io.is_read_closed();
        if has_ended && was_paused {
            return self.server.peer_closed(id, false, now);
        }
        // What waits for a poll is sent first, unless the polls of this turn are too large.
        if has_ended || stream.may_have_more() {
            self.readable.push(id, &mut stream.is_in_read_queue);
        }
        // What the server has queued during the handshake can go out after it.
        let has_opened = before != Phase::Open && stream.phase() == Phase::Open;
        let metrics = self.server.metrics_mut();
        metrics.tls_handshakes += u64::from(before == Phase::Handshake && has_opened);
        metrics.tls_handshakes_failed += u64::from(before == Phase::Handshake && is_broken);
        if has_opened || stream.wants_write() {
            self.flush.push(id, &mut stream.is_in_write_queue);
        }
    }

    /// Ends a connection after a panic over it. What its peer still sends is read and discarded,
    /// and a second panic resets it.
    pub(super) fn recover(&mut self, id: ConnId, now: Millis) {
        self.server.recover(id, now);
        let Some(stream) = self.streams.get_mut(id) else { return };
        (stream.is_deferred, stream.is_paused) = (false, false);
        self.readable.push(id, &mut stream.is_in_read_queue);
    }
}
