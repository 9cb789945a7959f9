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
    /// Starts on the state as it is now, for those who get it in this encoding. It is taken down
    /// here, on the tick, so that all who read it see the same moment, however late they read.
    pub fn renew(&mut self, encoding: Encoding, world: &World, scratch: &mut Vec<u8>) {
        match encoding {
            Encoding::Json => self.json = Some((world.now(), json::state(world, scratch))),
            Encoding::Events => self.events.renew(world),
        }
    }

    /// The tick whose state the bytes tell, and the bytes that lead a client there from the tick
    /// `since`; `None` if there is nothing to tell. JSON tells the full state and so ignores
    /// `since`.
    pub fn encoded(&mut self, encoding: Encoding, since: Tick) -> (Tick, Option<Encoded>) {
        match (encoding, &self.json) {
            (Encoding::Json, Some((tick, bytes))) => (*tick, Some(bytes.clone())),
            (Encoding::Json, None) => (since, None),
            (Encoding::Events, _) => (self.events.tick(), self.events.since(since)),
        }
    }
}
