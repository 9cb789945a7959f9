//! One simulated connection between a model client and the server: the bytes in flight in both
//! directions, bounded kernel buffers, and the readiness that a kernel reports once (edge-triggered).

use std::collections::VecDeque;

use rand::RngExt;
use skirmish::reactor::Event;
use skirmish::server::ConnId;

use crate::sim::SimRng;

/// How the client's bytes are split into reads.
#[derive(Clone, Copy, Debug)]
pub enum Chunks {
    /// As sent, together with whatever followed.
    Whole,
    /// One at a time.
    Bytes,
    /// A random length up to this.
    UpTo(usize),
}

pub struct SimulatedSocket {
    /// The server's handle, once it has accepted the connection.
    pub id: ConnId,
    /// Sent by the client, not yet read by the server.
    pub inbound: VecDeque<u8>,
    chunks: Chunks,
    /// After this many reads the bytes come whole, to save time.
    split_reads_left: u32,
    /// The client closed the connection after the bytes in `inbound`; `Some(true)`: with a reset.
    pub end: Option<bool>,
    /// Whether `peer_closed` was called for it.
    pub is_end_reported: bool,
    /// The server has shut its write side.
    pub is_write_shut: bool,
    /// Sent by the server, not yet read by the client.
    pub outbound: VecDeque<u8>,
    /// Bytes that the kernel buffers for a client that does not read.
    capacity: usize,
    /// One in this many writes is short although there is room; 0 for none.
    short_write_one_in: u32,
    /// How many more writes find no room, even if the client reads.
    would_block_writes: u32,
    /// Nothing goes wrong on it, and its events are never late.
    pub is_undisturbed: bool,
    /// The maximum number of bytes that the server may have queued for it.
    pub queued_bytes_max: usize,
    /// Reads and writes in this run of the loop.
    pub reads: u32,
    pub writes: u32,
    /// Bytes of `inbound` that an event has reported.
    reported_bytes: usize,
    is_end_event_reported: bool,
    /// The loop has requested writable events.
    pub is_writable_watched: bool,
    /// What the loop knows of the socket, after its last turn.
    pub is_blocked: bool,
    pub is_input_pending: bool,
    pub is_in_write_queue: bool,
    pub opened_at: u64,
    /// When the server last read bytes, by the server's clock.
    pub last_read_at: u64,
    /// When bytes last moved in either direction.
    pub last_bytes_at: u64,
    /// Since when the kernel has taken no byte, and the longest such span.
    pub stalled_since: Option<u64>,
    pub stalled_ms_max: u64,
    /// When the last such span of more than a second ended. The server may not have read meanwhile.
    pub stall_ended_at: u64,
}

impl SimulatedSocket {
    pub fn new(is_undisturbed: bool, rng: &mut SimRng) -> SimulatedSocket {
        // Each byte alone costs a run of the loop, so few connections are cut that often.
        let chunks = match rng.random_range(0..18) {
            _ if is_undisturbed => Chunks::Whole,
            0 => Chunks::Bytes,
            1 => Chunks::UpTo(3),
            2..6 => Chunks::UpTo(40),
            6..9 => Chunks::UpTo(200),
            _ => Chunks::Whole,
        };
        let sizes = [40, 300, 1_000, 4_000, 20_000, 200_000];
        let capacity = sizes[rng.random_range(0..sizes.len())];
        SimulatedSocket {
            id: ConnId { slot: u32::MAX, serial: 0 },
            inbound: VecDeque::new(),
            chunks,
            split_reads_left: 300,
            end: None,
            is_end_reported: false,
            is_write_shut: false,
            outbound: VecDeque::new(),
            capacity: if is_undisturbed { usize::MAX } else { capacity },
            short_write_one_in: if is_undisturbed { 0 } else { [0, 3, 20][rng.random_range(0..3)] },
            would_block_writes: 0,
            is_undisturbed,
            queued_bytes_max: usize::MAX,
            reads: 0,
            writes: 0,
            reported_bytes: 0,
            is_end_event_reported: false,
            is_writable_watched: false,
            is_blocked: false,
            is_input_pending: false,
            is_in_write_queue: false,
            opened_at: 0,
            last_read_at: 0,
            last_bytes_at: 0,
            stalled_since: None,
            stalled_ms_max: 0,
            stall_ended_at: 0,
        }
    }

    /// The same socket with another buffer size.
    pub fn with_capacity(self, capacity: usize) -> SimulatedSocket {
        SimulatedSocket { capacity, ..self }
    }

    /// The same socket with another way to split the client's bytes.
    pub fn with_chunks(self, chunks: Chunks) -> SimulatedSocket {
        SimulatedSocket { chunks, ..self }
    }

    /// The server accepts it.
    pub fn accept(&mut self, id: ConnId, now: u64) {
        self.id = id;
        (self.opened_at, self.last_read_at, self.last_bytes_at) = (now, now, now);
    }

    /// Whether the client's side has everything that the server sent.
    pub fn is_drained(&self) -> bool {
        self.outbound.is_empty() && !self.is_blocked && !self.is_in_write_queue
    }

    /// Whether the last read left bytes that an event must still report.
    pub fn has_unreported_bytes(&self) -> bool {
        self.inbound.len() != self.reported_bytes
    }

    /// What the kernel reports about it now, if anything changed since the last report.
    pub fn take_event(&mut self) -> Option<Event> {
        let has_end = self.end.is_some();
        let is_readable = self.has_unreported_bytes() || (has_end && !self.is_end_event_reported);
        let is_writable =
            self.is_writable_watched && self.is_blocked && self.outbound.len() <= self.capacity / 2;
        self.reported_bytes = self.inbound.len();
        self.is_end_event_reported = has_end;
        self.is_blocked &= !is_writable;
        (is_readable || is_writable).then_some(Event::Connection {
            id: self.id,
            is_readable,
            is_read_closed: is_readable && has_end,
            is_writable,
        })
    }

    /// One `read` of bytes: how many are copied to `buffer`. A read that does not fill the buffer
    /// empties the socket, unless more bytes come right behind it; then an event follows.
    pub fn read(&mut self, buffer: &mut [u8], now: u64, rng: &mut SimRng) -> usize {
        (self.last_read_at, self.last_bytes_at) = (now, now);
        let most = match self.chunks {
            Chunks::Whole => buffer.len(),
            Chunks::Bytes => 1,
            Chunks::UpTo(most) => rng.random_range(1..=most),
        };
        let count = most.min(self.inbound.len()).min(buffer.len());
        self.split_reads_left = self.split_reads_left.saturating_sub(1);
        if self.split_reads_left == 0 {
            self.chunks = Chunks::Whole;
        }
        buffer[..count].copy_from_slice(&take_front(&mut self.inbound, count));
        self.reported_bytes = if count == buffer.len() { self.inbound.len() } else { 0 };
        count
    }

    /// One `write`: returns how many bytes of `shown` the kernel takes; `None`: it has no room.
    pub fn write(&mut self, shown: &[u8], now: u64, rng: &mut SimRng) -> Option<usize> {
        let stalled_ms = self.update_stall(now);
        let room = self.capacity.saturating_sub(self.outbound.len());
        let mut taken = shown.len().min(room);
        if self.short_write_one_in > 0 && rng.random_ratio(1, self.short_write_one_in) {
            taken = rng.random_range(0..=taken);
            self.would_block_writes = [0, 0, 3][rng.random_range(0..3)];
        } else if self.would_block_writes > 0 {
            self.would_block_writes -= 1;
            taken = 0;
        }
        self.outbound.extend(&shown[..taken]);
        self.is_blocked = taken < shown.len();
        if taken > 0 {
            self.last_bytes_at = now;
            if stalled_ms > 1_000 {
                self.stall_ended_at = now;
            }
        }
        if !self.is_blocked {
            self.stalled_since = None;
        } else if taken > 0 || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        (taken > 0).then_some(taken)
    }

    /// Updates how long the socket has been stalled, and returns it.
    pub fn update_stall(&mut self, now: u64) -> u64 {
        let stalled_ms = self.stalled_since.map_or(0, |since| now.saturating_sub(since));
        self.stalled_ms_max = self.stalled_ms_max.max(stalled_ms);
        stalled_ms
    }
}

/// Takes the first `count` bytes, copied as slices: byte by byte is slow in debug builds.
pub fn take_front(bytes: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let mut taken = Vec::with_capacity(count);
    let (front, back) = bytes.as_slices();
    let split = count.min(front.len());
    taken.extend_from_slice(&front[..split]);
    taken.extend_from_slice(&back[..count - split]);
    bytes.drain(..count);
    taken
}
