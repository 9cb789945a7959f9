//! One simulated connection between a model client and the server: the bytes in flight in both
//! directions, bounded kernel buffers, and the state that a reactor keeps per socket.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::server::ConnId;

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
    pub id: ConnId,
    /// Sent by the client, not yet read by the server.
    pub inbound: VecDeque<u8>,
    chunks: Chunks,
    /// The client hung up after the bytes in `inbound`; `Some(true)`: with a reset.
    pub end: Option<bool>,
    /// Whether `hang_up` was called for it.
    pub is_end_reported: bool,
    /// The server has shut its write side.
    pub is_write_shut: bool,
    /// Sent by the server, not yet read by the client.
    pub outbound: VecDeque<u8>,
    /// Bytes that the kernel buffers for a client that does not read.
    capacity: usize,
    /// One in so many writes is short although there is room; 0: none.
    short_write_one_in: u32,
    /// The flags of the reactor's `Stream`.
    pub is_blocked: bool,
    pub is_input_pending: bool,
    pub is_paused: bool,
    pub is_queued_to_read: bool,
    pub is_queued_to_write: bool,
    pub opened_at: u64,
    /// When the server last read bytes, by the server's clock.
    pub last_read_at: u64,
    /// When bytes last moved in either direction.
    pub last_bytes_at: u64,
    /// Since when the kernel has taken no byte, and the longest such span.
    pub stalled_since: Option<u64>,
    pub stalled_ms_max: u64,
}

impl SimulatedSocket {
    pub fn new(
        id: ConnId,
        is_undisturbed: bool,
        now: u64,
        rng: &mut ChaCha8Rng,
    ) -> SimulatedSocket {
        let chunks = match rng.random_range(0..6) {
            0 => Chunks::Bytes,
            1 => Chunks::UpTo(3),
            2 => Chunks::UpTo(200),
            _ => Chunks::Whole,
        };
        let sizes = [40, 300, 1_000, 4_000, 20_000, 200_000];
        let capacity = sizes[rng.random_range(0..sizes.len())];
        SimulatedSocket {
            id,
            inbound: VecDeque::new(),
            chunks,
            end: None,
            is_end_reported: false,
            is_write_shut: false,
            outbound: VecDeque::new(),
            capacity: if is_undisturbed { usize::MAX } else { capacity },
            short_write_one_in: if is_undisturbed { 0 } else { [0, 3, 20][rng.random_range(0..3)] },
            is_blocked: false,
            is_input_pending: false,
            is_paused: false,
            is_queued_to_read: false,
            is_queued_to_write: false,
            opened_at: now,
            last_read_at: now,
            last_bytes_at: now,
            stalled_since: None,
            stalled_ms_max: 0,
        }
    }

    /// The same socket with another buffer size.
    pub fn with_capacity(self, capacity: usize) -> SimulatedSocket {
        SimulatedSocket { capacity, ..self }
    }

    /// Whether the server would read bytes or the end of the stream.
    pub fn is_readable(&self) -> bool {
        !self.inbound.is_empty() || (self.end.is_some() && !self.is_end_reported)
    }

    /// Whether the client's side has everything that the server sent.
    pub fn is_drained(&self) -> bool {
        self.outbound.is_empty() && !self.is_blocked && !self.is_queued_to_write
    }

    /// The number of reads per turn.
    pub fn reads_per_turn(&self) -> usize {
        match self.chunks {
            Chunks::Whole => 1,
            Chunks::Bytes => 100,
            Chunks::UpTo(most) => 100 / most.min(20),
        }
    }

    /// The bytes of one `read`.
    pub fn read(&mut self, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let most = match self.chunks {
            Chunks::Whole => 65_536,
            Chunks::Bytes => 1,
            Chunks::UpTo(most) => rng.random_range(1..=most),
        };
        let count = most.min(self.inbound.len());
        take_front(&mut self.inbound, count)
    }

    /// One `write`: returns how many bytes of `shown` the kernel takes.
    pub fn write(&mut self, shown: &[u8], now: u64, rng: &mut ChaCha8Rng) -> usize {
        self.update_stall(now);
        let mut taken = shown.len().min(self.capacity.saturating_sub(self.outbound.len()));
        if self.short_write_one_in > 0 && rng.random_ratio(1, self.short_write_one_in) {
            taken = rng.random_range(0..=taken);
        }
        self.outbound.extend(&shown[..taken]);
        self.is_blocked = taken < shown.len();
        if taken > 0 {
            self.last_bytes_at = now;
        }
        if !self.is_blocked {
            self.stalled_since = None;
        } else if taken > 0 || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        taken
    }

    /// Updates how long the socket has been stalled, and returns it.
    pub fn update_stall(&mut self, now: u64) -> u64 {
        let stalled_ms = self.stalled_since.map_or(0, |since| now.saturating_sub(since));
        self.stalled_ms_max = self.stalled_ms_max.max(stalled_ms);
        stalled_ms
    }

    /// Whether the kernel would now report the socket writable again.
    fn is_writable_again(&self) -> bool {
        self.is_blocked && self.outbound.len() <= self.capacity / 2
    }

    /// Reports readiness as the kernel would: queues the socket for writing, reading, or both.
    pub fn update_readiness(
        &mut self,
        flush: &mut VecDeque<ConnId>,
        readable: &mut VecDeque<ConnId>,
    ) {
        if self.is_writable_again() {
            self.is_blocked = false;
            self.is_queued_to_write = true;
            flush.push_back(self.id);
        }
        if self.is_readable() && !self.is_queued_to_read && !self.is_paused {
            self.is_queued_to_read = true;
            readable.push_back(self.id);
        }
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
