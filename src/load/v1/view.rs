//! What a client keeps of the world, and when it asks for a keyframe.

use super::walk::Walked;
use crate::codec::v1::replica::Received;
use crate::codec::v1::{Body, Replica, Schema};
use crate::time::Tick;

/// Refused ticks after which the client asks for a keyframe again.
const REFUSED_MAX: u8 = 20;

/// What a client keeps of the world.
#[derive(Debug)]
pub enum View {
    /// All cells: the client applies and verifies every message.
    Whole(Box<Replica>),
    /// Only the newest tick; `None` until the next keyframe.
    Tick(Option<Tick>),
}

/// What a message did to the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied.
    Applied,
    /// It has another base.
    WrongBase,
    /// The view has another sum than CHECK.
    WrongSum,
    /// It is malformed.
    Malformed,
}

impl View {
    /// The view of a client that has received nothing but the schema.
    pub fn new(schema: &Schema, is_whole: bool) -> View {
        match is_whole {
            true => View::Whole(Box::new(Replica::new(schema.clone()))),
            false => View::Tick(None),
        }
    }

    fn tick(&self) -> Option<Tick> {
        match self {
            View::Whole(replica) => replica.head().map(|head| head.tick),
            View::Tick(tick) => *tick,
        }
    }

    /// Applies a message.
    pub fn receive(&mut self, message: &[u8], walked: &Walked) -> Outcome {
        let based = walked.head.filter(|head| head.age > 0);
        let is_base_held = based.is_none_or(|head| {
            self.tick() == Some(Tick(head.tick.0.wrapping_sub(u32::from(head.age))))
        });
        match self {
            View::Whole(replica) => match replica.receive(message) {
                Ok(Received::Applied) => Outcome::Applied,
                Ok(Received::NeedsResync) if is_base_held => Outcome::WrongSum,
                Ok(Received::NeedsResync) => Outcome::WrongBase,
                Err(_) => Outcome::Malformed,
            },
            View::Tick(tick) => {
                if is_base_held {
                    *tick = walked.head.map(|head| head.tick).or(*tick);
                    Outcome::Applied
                } else {
                    *tick = None;
                    Outcome::WrongBase
                }
            }
        }
    }

    /// Gives up its base, because a message is malformed.
    pub fn refuse(&mut self, message: &[u8]) {
        match self {
            // The error is known; it gives up its base.
            View::Whole(replica) => drop(replica.receive(message)),
            View::Tick(tick) => *tick = None,
        }
    }

    /// The body in a slot; `None` if the client does not see it or keeps no cells.
    pub fn body(&self, slot: u16) -> Option<&Body> {
        let View::Whole(replica) = self else { return None };
        replica.cells().find_map(|(_, list)| {
            let bodies = list.bodies();
            let index = bodies.binary_search_by_key(&slot, |body| body.id).ok()?;
            Some(&bodies[index])
        })
    }
}

/// When the client sends RESYNC.
#[derive(Debug, Default)]
pub struct Resync {
    /// Messages refused since the last RESYNC; `None` if none is unanswered.
    refused: Option<u8>,
}

impl Resync {
    /// A message was refused. Returns whether to send RESYNC.
    pub fn refuse(&mut self) -> bool {
        let refused = self.refused.map_or(REFUSED_MAX, |refused| refused + 1);
        let is_sent = refused >= REFUSED_MAX;
        self.refused = Some(if is_sent { 0 } else { refused });
        is_sent
    }

    /// A HEAD was applied.
    pub fn end(&mut self) {
        self.refused = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resync_is_repeated_after_twenty_refused_ticks() {
        let mut resync = Resync::default();
        let sent: Vec<usize> = (0..50).filter(|_| resync.refuse()).collect();
        assert_eq!(sent, [0, 20, 40]);
        resync.end();
        assert!(resync.refuse() && !resync.refuse());
    }
}
