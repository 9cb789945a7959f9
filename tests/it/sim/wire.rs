//! One connection between a model client and the server: the bytes under way in both directions, a
//! kernel that takes as much as fits, and what a reactor keeps about a socket.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::server::ConnId;

/// How the bytes of a client are cut on their way.
#[derive(Clone, Copy, Debug)]
pub enum Chunks {
    /// As they were sent, and together with what was sent after them.
    Whole,
    /// One by one.
    Bytes,
    /// By chance, up to so many.
    UpTo(usize),
}

pub struct Wire {
    pub id: ConnId,
    /// From the client, not yet read by the server.
    pub inbound: VecDeque<u8>,
    chunks: Chunks,
    /// The client has hung up behind what is in `inbound`; `Some(true)`: it is broken.
    pub end: Option<bool>,
    /// Whether the server has been told so.
    pub is_end_told: bool,
    /// The server has shut its side.
    pub is_shut: bool,
    /// From the server, not yet read by the client.
    pub outbound: VecDeque<u8>,
    /// Bytes that the kernel holds for a client that does not read.
    capacity: usize,
    /// One write in so many comes short although there is room.
    shortness: u32,
    /// The flags of the reactor's `Stream`.
    pub is_blocked: bool,
    pub is_sated: bool,
    pub is_paused: bool,
    pub is_listed: bool,
    /// Whether it stands in the list of those to be written to.
    pub is_flushing: bool,
    pub opened_at: u64,
    /// When the server last read something from it, by the server's clock.
    pub heard_at: u64,
    /// When bytes last went either way.
    pub moved_at: u64,
    /// Since when the kernel has refused all bytes, and how long that was at most.
    pub stalled_since: Option<u64>,
    pub stalled_ms_max: u64,
}

impl Wire {
    pub fn new(id: ConnId, is_undisturbed: bool, now: u64, rng: &mut ChaCha8Rng) -> Wire {
        let chunks = match rng.random_range(0..6) {
            0 => Chunks::Bytes,
            1 => Chunks::UpTo(3),
            2 => Chunks::UpTo(200),
            _ => Chunks::Whole,
        };
        let sizes = [40, 300, 1_000, 4_000, 20_000, 200_000];
        let capacity = sizes[rng.random_range(0..sizes.len())];
        Wire {
            id,
            inbound: VecDeque::new(),
            chunks,
            end: None,
            is_end_told: false,
            is_shut: false,
            outbound: VecDeque::new(),
            capacity: if is_undisturbed { usize::MAX } else { capacity },
            shortness: if is_undisturbed { 0 } else { [0, 3, 20][rng.random_range(0..3)] },
            is_blocked: false,
            is_sated: false,
            is_paused: false,
            is_listed: false,
            is_flushing: false,
            opened_at: now,
            heard_at: now,
            moved_at: now,
            stalled_since: None,
            stalled_ms_max: 0,
        }
    }

    /// The same with room for so many bytes in the kernel.
    pub fn with_capacity(self, capacity: usize) -> Wire {
        Wire { capacity, ..self }
    }

    /// Whether the server would find something to read: bytes, or the end.
    pub fn is_readable(&self) -> bool {
        !self.inbound.is_empty() || (self.end.is_some() && !self.is_end_told)
    }

    /// Whether the client has everything that the server has said.
    pub fn is_drained(&self) -> bool {
        self.outbound.is_empty() && !self.is_blocked && !self.is_flushing
    }

    /// How many pieces at most arrive in one turn.
    pub fn pieces(&self) -> usize {
        match self.chunks {
            Chunks::Whole => 1,
            Chunks::Bytes => 100,
            Chunks::UpTo(most) => 100 / most.min(20),
        }
    }

    /// What one `read` brings.
    pub fn read(&mut self, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let most = match self.chunks {
            Chunks::Whole => 65_536,
            Chunks::Bytes => 1,
            Chunks::UpTo(most) => rng.random_range(1..=most),
        };
        let count = most.min(self.inbound.len());
        take_front(&mut self.inbound, count)
    }

    /// One `write`: how many of `shown` the kernel takes.
    pub fn write(&mut self, shown: &[u8], now: u64, rng: &mut ChaCha8Rng) -> usize {
        self.note_stall(now);
        let mut taken = shown.len().min(self.capacity.saturating_sub(self.outbound.len()));
        if self.shortness > 0 && rng.random_ratio(1, self.shortness) {
            taken = rng.random_range(0..=taken);
        }
        self.outbound.extend(&shown[..taken]);
        self.is_blocked = taken < shown.len();
        if taken > 0 {
            self.moved_at = now;
        }
        if !self.is_blocked {
            self.stalled_since = None;
        } else if taken > 0 || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        taken
    }

    /// Takes note of how long it has been stalled.
    pub fn note_stall(&mut self, now: u64) -> u64 {
        let stalled_ms = self.stalled_since.map_or(0, |since| now.saturating_sub(since));
        self.stalled_ms_max = self.stalled_ms_max.max(stalled_ms);
        stalled_ms
    }

    /// Whether the kernel would tell now that there is room again.
    fn has_room_again(&self) -> bool {
        self.is_blocked && self.outbound.len() <= self.capacity / 2
    }

    /// Looks at it as the kernel does for a reactor: who may be written to again, or has something
    /// to be read, is put on the list for that.
    pub fn look(&mut self, flush: &mut VecDeque<ConnId>, readable: &mut VecDeque<ConnId>) {
        if self.has_room_again() {
            self.is_blocked = false;
            self.is_flushing = true;
            flush.push_back(self.id);
        }
        if self.is_readable() && !self.is_listed && !self.is_paused {
            self.is_listed = true;
            readable.push_back(self.id);
        }
    }
}

/// The first `count` bytes, copied in slices: byte by byte is slow where nothing is optimised.
pub fn take_front(bytes: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let mut taken = Vec::with_capacity(count);
    let (front, back) = bytes.as_slices();
    let split = count.min(front.len());
    taken.extend_from_slice(&front[..split]);
    taken.extend_from_slice(&back[..count - split]);
    bytes.drain(..count);
    taken
}
