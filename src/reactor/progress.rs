//! Up to when the loop has served its peers: what they sent is read, and what their sockets can
//! take is written.
//!
//! A peer must not be ended as silent while what it sent in time is still unread. So its deadlines
//! are checked as of [`Progress::served_until`], and not as of now.

use super::queue::Queue;
use crate::limits::{ACCEPTS_A_TURN, DEADLINES_A_TICK_MS, EVENTS_A_TURN, LISTEN_BACKLOG};
use crate::time::Millis;

/// How far the loop has come. It goes through passes: a pass begins with the connections that are
/// ready, and is over when each of them was read or written to once.
#[derive(Debug)]
pub struct Progress {
    served_until: Millis,
    /// When the last complete pass began.
    complete: Millis,
    pass: Option<Pass>,
    /// When the kernel was last asked what is ready, and whether it had more than it reported.
    asked_at: Millis,
    has_more_events: bool,
    /// Turns since the last pass began, and when the first of them began.
    turns: usize,
    first_turn_at: Millis,
}

/// A pass that is not over.
#[derive(Debug)]
struct Pass {
    began_at: Millis,
    /// The positions in the two queues behind the connections that belong to it.
    read_end: u64,
    write_end: u64,
}

impl Progress {
    /// The loop starts now.
    pub fn from(now: Millis) -> Progress {
        Progress {
            served_until: now,
            complete: now,
            pass: None,
            asked_at: now,
            has_more_events: false,
            turns: 0,
            first_turn_at: now,
        }
    }

    /// A turn begins: the kernel was asked what is ready, and reported this many events.
    pub fn begin_turn(&mut self, asked_at: Millis, events: usize) {
        self.asked_at = asked_at;
        self.has_more_events = events >= EVENTS_A_TURN;
        if self.turns == 0 {
            self.first_turn_at = asked_at;
        }
        self.turns += 1;
    }

    /// Ends the pass if it is over, and begins the next one if neither events nor new connections,
    /// which `may_accept` says, are left in the kernel. If some always are, it begins after as many
    /// turns as are enough for those of before.
    pub fn update(&mut self, may_accept: bool, connections: usize, read: &Queue, write: &Queue) {
        self.end_pass(read, write);
        let turns_max = LISTEN_BACKLOG as usize / ACCEPTS_A_TURN + connections / EVENTS_A_TURN;
        let began_at = match (!may_accept && !self.has_more_events, &self.pass) {
            (_, Some(_)) => return,
            (true, None) => self.asked_at,
            (false, None) if self.turns > turns_max => self.first_turn_at,
            (false, None) => return,
        };
        self.pass = Some(Pass { began_at, read_end: read.end(), write_end: write.end() });
        self.turns = 0;
        self.end_pass(read, write);
    }

    fn end_pass(&mut self, read: &Queue, write: &Queue) {
        let is_over =
            |pass: &mut Pass| read.has_reached(pass.read_end) && write.has_reached(pass.write_end);
        if let Some(pass) = self.pass.take_if(is_over) {
            self.complete = pass.began_at;
        }
    }

    /// A tick is due. Returns the point in time as of which deadlines are checked.
    pub fn advance(&mut self) -> Millis {
        self.served_until = self.complete.min(self.served_until.after(DEADLINES_A_TICK_MS));
        self.served_until
    }
}
