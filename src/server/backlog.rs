//! The policy for slow readers: how much waits for a client, since when, and what follows.
//!
//! The outbox of a connection and the packets that wait for a poll both keep a [`Backlog`]. No
//! other module decides that a reader is too slow (docs/limits.md, "Slow and silent peers").

use crate::limits::{Limits, OUTBOX_SOFT_MS, OUTBOX_STALL_MS, STALL_MS};
use crate::time::Millis;

/// What waits for one reader.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    bytes: usize,
    /// Since when more than [`Bounds::soft`] waits; `NEVER` if less does.
    over_since: Millis,
    /// Since when the kernel has taken no byte of what waits; `NEVER` if it took everything.
    stalled_since: Millis,
}

/// What follows from a backlog, least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The reader keeps up.
    Ok,
    /// Do not read from this peer: the answers to its own messages fill the queue.
    Pause,
    /// Replace older facts by newer ones where possible.
    Merge,
    /// The reader is too slow: end it ([`CloseReason::Slow`](crate::close::CloseReason::Slow)).
    End,
}

/// The bounds of a backlog, in bytes. State is not counted: it is owed and never queued.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Above it: [`Verdict::Pause`].
    pause: usize,
    /// Above it for [`OUTBOX_SOFT_MS`]: [`Verdict::End`].
    soft: usize,
    /// Above half of it: [`Verdict::Merge`]. Above it, while the reader takes nothing for
    /// [`OUTBOX_STALL_MS`]: [`Verdict::End`].
    pub hard: usize,
    /// Above it: [`Verdict::End`] at once.
    pub burst: usize,
}

impl Bounds {
    /// No bounds, for HTTP responses: their bytes are shared, and the next request waits for them.
    /// Only a stall ends the reader.
    pub const NONE: Bounds =
        Bounds { pause: usize::MAX, soft: usize::MAX, hard: usize::MAX, burst: usize::MAX };

    /// For the outbox of a WebSocket.
    #[must_use]
    pub const fn websocket(limits: &Limits) -> Bounds {
        Bounds {
            pause: limits.outbox_bytes_pause,
            soft: limits.outbox_bytes_soft,
            hard: limits.outbox_bytes_max,
            burst: limits.outbox_bytes_burst,
        }
    }

    /// For packets that wait for a poll. A client that does not play receives only answers to its
    /// own packets, so less may wait for it.
    #[must_use]
    pub const fn polling(limits: &Limits, is_playing: bool) -> Bounds {
        Bounds {
            pause: limits.outbox_bytes_pause,
            soft: limits.outbox_bytes_max,
            hard: limits.outbox_bytes_max,
            burst: if is_playing { limits.outbox_bytes_burst } else { limits.outbox_bytes_max },
        }
    }
}

impl Default for Backlog {
    fn default() -> Backlog {
        Backlog { bytes: 0, over_since: Millis::NEVER, stalled_since: Millis::NEVER }
    }
}

impl Backlog {
    /// Records that `bytes` wait now. Call it whenever the queue has changed. Returns whether
    /// [`Backlog::end_at`] is earlier now.
    pub fn set_bytes(&mut self, bytes: usize, bounds: &Bounds, now: Millis) -> bool {
        let before = self.end_at(bounds);
        self.bytes = bytes;
        self.over_since = match bytes > bounds.soft {
            true => self.over_since.min(now),
            false => Millis::NEVER,
        };
        self.end_at(bounds) < before
    }

    /// Records a write in which the kernel took `taken` of `shown` bytes.
    pub fn record_write(&mut self, taken: usize, shown: usize, now: Millis) {
        if taken >= shown {
            self.stalled_since = Millis::NEVER;
        } else if taken > 0 || self.stalled_since == Millis::NEVER {
            self.stalled_since = now;
        }
    }

    /// Forgets a stall: nothing is left to write.
    pub fn clear_stall(&mut self) {
        self.stalled_since = Millis::NEVER;
    }

    /// Whether nothing waits, and nothing has waited at the last write.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.bytes == 0 && self.over_since == Millis::NEVER && !self.is_stalled()
    }

    /// Whether the kernel did not take everything in the last write.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.stalled_since != Millis::NEVER
    }

    /// How long ago the kernel has last taken a byte while something waits; 0 if nothing does.
    #[must_use]
    pub fn stall_ms(&self, now: Millis) -> u64 {
        if self.is_stalled() { now.since(self.stalled_since) } else { 0 }
    }

    /// What follows from the bytes. What follows from the time is [`Backlog::end_at`].
    #[must_use]
    pub fn verdict(&self, bounds: &Bounds) -> Verdict {
        match self.bytes {
            bytes if bytes > bounds.burst => Verdict::End,
            bytes if bytes > bounds.hard / 2 => Verdict::Merge,
            bytes if bytes > bounds.pause => Verdict::Pause,
            _ => Verdict::Ok,
        }
    }

    /// When the reader is too slow if nothing is read or queued until then.
    #[must_use]
    pub fn end_at(&self, bounds: &Bounds) -> Millis {
        if self.over_since == Millis::NEVER && !self.is_stalled() {
            return Millis::NEVER;
        }
        let stall_ms = if self.bytes > bounds.hard { OUTBOX_STALL_MS } else { STALL_MS };
        self.over_since.after(OUTBOX_SOFT_MS).min(self.stalled_since.after(stall_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { pause: 10, soft: 20, hard: 40, burst: 100 };

    fn backlog(bytes: usize) -> Backlog {
        let mut backlog = Backlog::default();
        backlog.set_bytes(bytes, &BOUNDS, Millis(0));
        backlog
    }

    #[test]
    fn verdicts_follow_the_bytes() {
        let verdict = |bytes| backlog(bytes).verdict(&BOUNDS);
        assert_eq!(verdict(10), Verdict::Ok);
        assert_eq!(verdict(11), Verdict::Pause);
        assert_eq!(verdict(21), Verdict::Merge);
        assert_eq!(verdict(100), Verdict::Merge, "it had no chance to read yet");
        assert_eq!(verdict(101), Verdict::End);
        assert!(Verdict::Ok < Verdict::Pause && Verdict::Merge < Verdict::End);
    }

    #[test]
    fn a_backlog_above_the_soft_bound_ends_after_a_while() {
        let mut backlog = backlog(21);
        backlog.set_bytes(30, &BOUNDS, Millis(4_000));
        assert_eq!(backlog.end_at(&BOUNDS), Millis(5_000));
        backlog.set_bytes(20, &BOUNDS, Millis(4_999));
        backlog.set_bytes(30, &BOUNDS, Millis(5_000));
        assert_eq!(backlog.end_at(&BOUNDS), Millis(10_000));
    }

    #[test]
    fn a_reader_that_takes_nothing_ends_sooner_above_the_hard_bound() {
        let mut backlog = backlog(5);
        backlog.record_write(0, 5, Millis(100));
        backlog.record_write(0, 5, Millis(200));
        assert_eq!(backlog.end_at(&BOUNDS), Millis(10_100));
        assert_eq!(backlog.stall_ms(Millis(250)), 150);
        backlog.record_write(1, 4, Millis(300));
        assert_eq!(backlog.end_at(&BOUNDS), Millis(10_300), "it took a byte");
        backlog.set_bytes(41, &BOUNDS, Millis(300));
        assert_eq!(backlog.end_at(&BOUNDS), Millis(1_300));
        backlog.record_write(41, 41, Millis(400));
        assert_eq!(backlog.stall_ms(Millis(500)), 0);
        assert_eq!(backlog.end_at(&BOUNDS), Millis(5_300), "only the soft bound is left");
    }
}
