//! The connections of a model client of Socket.IO.
//!
//! Part of `guest`.

use std::collections::{BTreeMap, VecDeque};

use skirmish::server::ConnId;

use super::{Asked, Fault, Guest, Stage};
use crate::sim::ear::Ear;
use crate::sim::wire::{Wire, take_front};

/// One of its connections.
pub struct Line {
    pub wire: Wire,
    pub(super) ear: Ear,
    pub awaits: VecDeque<Asked>,
    pub(super) keeps_alive: bool,
    pub(super) is_socket: bool,
}

/// A connection that it wants, and what it says first.
pub struct Want {
    pub bytes: Vec<u8>,
    pub asked: Asked,
    pub keeps_alive: bool,
}

impl Line {
    /// Whether it waits for the answer to a poll that the server has read wholly.
    pub fn waits(&self) -> bool {
        let is_poll = self.awaits.front() == Some(&Asked::Poll);
        let is_read = self.wire.inbound.is_empty() && !self.wire.is_sated;
        // Its answer may have begun.
        let is_drained = self.wire.is_drained() && !self.ear.is_in_the_middle();
        is_poll && is_read && is_drained
    }

    fn is_free(&self) -> bool {
        let is_open = self.wire.end.is_none() && !self.wire.is_shut;
        !self.is_socket && self.keeps_alive && self.awaits.is_empty() && is_open
    }

    fn send(&mut self, asked: Asked, bytes: &[u8]) {
        self.awaits.push_back(asked);
        self.ear.asked(false);
        self.wire.inbound.extend(bytes);
    }
}

impl Guest {
    pub(super) fn request(&mut self, asked: Asked, mut bytes: Vec<u8>) {
        let is_socket = matches!(asked, Asked::Socket | Asked::Probe);
        if !self.keeps_alive && !is_socket && asked != Asked::Refusal {
            let at = bytes.windows(2).position(|two| two == b"\r\n").expect("a first line") + 2;
            bytes.splice(at..at, b"Connection: close\r\n".iter().copied());
        }
        // Whatever is refused here wants to be a WebSocket.
        let is_free = |line: &&mut Line| line.is_free() && asked != Asked::Refusal;
        match self.lines.iter_mut().find(is_free) {
            Some(line) => {
                line.send(asked, &bytes);
                line.is_socket = is_socket;
            }
            None => self.wants.push(Want { bytes, asked, keeps_alive: self.keeps_alive }),
        }
    }

    /// It gets a connection that it wants.
    pub fn connect(&mut self, want: Want, wire: Wire) {
        let is_socket = matches!(want.asked, Asked::Socket | Asked::Probe);
        let (ear, awaits, keeps_alive) = (Ear::default(), VecDeque::new(), want.keeps_alive);
        let mut line = Line { wire, ear, awaits, keeps_alive, is_socket };
        line.send(want.asked, &want.bytes);
        self.lines.push(line);
    }

    pub fn line(&mut self, id: ConnId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.wire.id == id)
    }

    pub(super) fn awaits(&self, asked: Asked) -> bool {
        let is_it = |other: &Asked| *other == asked;
        self.lines.iter().any(|line| line.awaits.iter().any(is_it))
            || self.wants.iter().any(|want| want.asked == asked)
    }

    /// Whether it has heard all that it could be told, if the server has flushed; `polls` are the
    /// connections over which polls had waited before it did.
    pub fn is_caught_up(&self, polls: &[ConnId]) -> bool {
        let is_in = self.mind.is_introduced && !self.mind.asks_in && !self.is_confused;
        if self.stage != Stage::Here || self.is_frozen || !is_in {
            return false;
        }
        let is_drained = |line: &Line| line.wire.is_drained() && !line.ear.is_in_the_middle();
        match self.carrier {
            Some(id) => self.lines.iter().any(|line| {
                let has_taken_over = line.awaits.is_empty() && line.wire.inbound.is_empty();
                line.wire.id == id && is_drained(line) && has_taken_over && !line.wire.is_sated
            }),
            None => {
                // Beside a WebSocket that may take over, polls are answered just before the tick.
                !self.lines.iter().any(|line| line.is_socket)
                    && self.lines.iter().all(is_drained)
                    && self.lines.iter().any(|line| polls.contains(&line.wire.id))
            }
        }
    }

    /// Whether the server has heard all that it said.
    pub fn is_heard(&self) -> bool {
        let is_heard = |line: &Line| line.wire.inbound.is_empty() && !line.wire.is_sated;
        self.say.is_empty() && !self.awaits(Asked::Post) && self.lines.iter().all(is_heard)
    }

    /// Takes what it reads now out of the kernel, connection by connection.
    pub fn read(&mut self, span_ms: u64) -> BTreeMap<usize, Vec<u8>> {
        let mut read = BTreeMap::new();
        if self.fault == Fault::SlowReader {
            self.read_credit = (self.read_credit + 3 * span_ms).min(3_000);
        }
        for (index, line) in self.lines.iter_mut().enumerate() {
            let mut count = line.wire.outbound.len();
            if self.is_frozen {
                count = 0;
            } else if self.fault == Fault::SlowReader {
                count = count.min(self.read_credit as usize);
                self.read_credit -= count as u64;
            }
            if count > 0 {
                read.insert(index, take_front(&mut line.wire.outbound, count));
            }
        }
        read
    }
}
