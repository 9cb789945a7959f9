//! From the world to each kind of client and back.
//!
//! `server/` calls it with bytes from a client, and with a room whose state is due. A dialect is a
//! file here; what it shares with others is the command that it decodes to, and [`Broadcast`].

pub mod events;
pub mod json;

use crate::game::World;
use crate::outbox::Encoded;
use crate::time::Tick;

use events::Moves;

/// What a client can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Dialect 1, in plain WebSocket frames.
    Json,
    /// Dialect 2, as packets in the WebSocket frames that carry them.
    Events,
}

/// The bytes that tell a room's state, made once for all who get the same ones.
#[derive(Debug, Default)]
pub struct Broadcast {
    json: Option<(Tick, Encoded)>,
    events: Moves,
}

impl Broadcast {
    /// Makes the full state of a world, in the encodings that have one. It is made here, on the
    /// tick, so that all who read it see the same moment, however late they read.
    pub fn renew(&mut self, world: &World, scratch: &mut Vec<u8>) {
        self.json = Some((world.now(), json::state(world, scratch)));
    }

    /// The bytes that lead a client from the tick `since` to a newer one, and which that is; no
    /// bytes if there is nothing to tell. JSON tells the full state and so ignores `since`.
    pub fn encoded(
        &mut self,
        encoding: Encoding,
        since: Tick,
        world: &World,
    ) -> (Tick, Option<Encoded>) {
        match (encoding, &self.json) {
            (Encoding::Json, Some((tick, bytes))) => (*tick, Some(bytes.clone())),
            (Encoding::Json, None) => (since, None),
            (Encoding::Events, _) => (world.now(), self.events.since(since, world)),
        }
    }
}
