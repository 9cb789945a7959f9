//! The limits that differ between the game and `--echo`.

use super::{KIB, MIB};
use crate::bucket::{Allowance, Rate};

/// The limits that differ between the game and `--echo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes read from one peer per turn, through one shared buffer. A peer whose reading is paused
    /// keeps at most as many.
    pub read_bytes: usize,
    /// Bytes of one message from a peer, over all its fragments. The declared length is checked
    /// before anything is allocated.
    pub message_bytes_max: usize,
    /// Frames of one message, empty ones included.
    pub fragments_max: u32,
    /// Bytes of facts that may wait for a peer that takes nothing for a while. Above this the peer
    /// is closed as slow.
    pub outbox_bytes_max: usize,
    /// Bytes of facts that may wait for any peer: one turn may produce that many.
    pub outbox_bytes_burst: usize,
    /// Bytes of facts that may wait for [`OUTBOX_SOFT_MS`](super::OUTBOX_SOFT_MS).
    pub outbox_bytes_soft: usize,
    /// Waiting bytes above which the peer is not read, because its own requests fill its outbox.
    pub outbox_bytes_pause: usize,
    /// `TCP_NOTSENT_LOWAT`: unsent bytes that the kernel accepts before writes become short.
    /// `None` keeps the kernel's default.
    pub kernel_unsent_bytes: Option<u32>,
    /// A WebSocket peer that was silent this long is pinged; `None` for never.
    pub ping_after_ms: Option<u64>,
    /// A WebSocket peer that was silent this long is disconnected.
    pub silence_ms: u64,
    /// Whether every ping is answered, or only the newest of a turn (RFC 6455, section 5.5.3).
    pub pong_to_each: bool,
    /// What a session may send.
    pub input: InputRates,
}

/// What one session may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRates {
    /// Application messages. The excess is dropped and counted.
    pub messages: Rate,
    /// Bytes of application messages. The excess is dropped and counted.
    pub bytes: Rate,
    /// Messages that are not valid JSON or have an unknown type. The excess closes (4029).
    pub malformed: Rate,
    /// WebSocket control frames, and Engine.IO packets other than messages. They are never
    /// dropped.
    pub control: Rate,
    /// The excess over the rates above that is tolerated, although it is dropped: a page that sends
    /// a move with each drawn frame, 60 or 144 per second, is not an attacker.
    pub excess: Rate,
    /// How long the excess may stay above that before the session is closed (4029).
    pub grace_ms: u64,
}

impl InputRates {
    /// The weight of a message of `bytes`: a large message counts as several small ones, in
    /// proportion to the byte rate.
    #[must_use]
    pub fn weight(&self, bytes: usize) -> u32 {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX - 1);
        1 + bytes / (self.bytes.per_s / self.messages.per_s)
    }

    /// The limit for control frames, and for Engine.IO packets other than messages.
    #[must_use]
    pub const fn control(&self) -> Allowance {
        Allowance { rate: self.control, excess: self.excess, grace_ms: self.grace_ms }
    }
}

/// The game: players on the open internet.
pub const GAME: Limits = Limits {
    read_bytes: 8 * KIB,
    message_bytes_max: 4 * KIB,
    fragments_max: 16,
    outbox_bytes_max: 64 * KIB,
    outbox_bytes_burst: MIB,
    outbox_bytes_soft: 16 * KIB,
    outbox_bytes_pause: 16 * KIB,
    kernel_unsent_bytes: Some(4 * KIB as u32),
    ping_after_ms: Some(4_000),
    silence_ms: 12_000,
    pong_to_each: false,
    input: InputRates {
        messages: Rate { per_s: 40, burst: 80 },
        bytes: Rate { per_s: 8 * KIB as u32, burst: 32 * KIB as u32 },
        malformed: Rate { per_s: 5, burst: 100 },
        control: Rate { per_s: 200, burst: 200 },
        excess: Rate { per_s: 120, burst: 60 },
        grace_ms: 2_000,
    },
};

/// `--echo`: a target for conformance suites, which send 16 MiB messages in 64-byte fragments.
pub const ECHO: Limits = Limits {
    read_bytes: 64 * KIB,
    message_bytes_max: 64 * MIB,
    fragments_max: u32::MAX,
    outbox_bytes_max: 80 * MIB,
    outbox_bytes_burst: 80 * MIB,
    outbox_bytes_soft: 80 * MIB,
    outbox_bytes_pause: MIB,
    kernel_unsent_bytes: None,
    ping_after_ms: None,
    silence_ms: 30_000,
    pong_to_each: true,
    input: InputRates {
        messages: Rate::UNLIMITED,
        bytes: Rate::UNLIMITED,
        malformed: Rate::UNLIMITED,
        control: Rate::UNLIMITED,
        excess: Rate::UNLIMITED,
        grace_ms: 0,
    },
};

const _: () = assert!(GAME.outbox_bytes_pause <= GAME.outbox_bytes_soft);
const _: () = assert!(GAME.outbox_bytes_soft < GAME.outbox_bytes_max);
const _: () = assert!(GAME.outbox_bytes_max < GAME.outbox_bytes_burst);
const _: () = assert!(ECHO.outbox_bytes_pause + ECHO.message_bytes_max < ECHO.outbox_bytes_max);
