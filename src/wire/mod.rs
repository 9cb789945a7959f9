//! From the world to each kind of client and back.
//!
//! `server/` calls it with bytes from a client, and with a room whose state is due. A dialect is a
//! file here; what it shares with others is the command that it decodes to, and [`Broadcast`].

pub mod events;
pub mod json;

use crate::game::World;
use crate::outbox::Encoded;
use crate::time::Tick;

/// What a client can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Dialect 1, in plain WebSocket frames.
    Json,
}

/// The bytes that tell a room's state, made once for all who get the same ones.
#[derive(Debug, Default)]
pub struct Broadcast {
    tick: Tick,
    json: Option<Encoded>,
}

impl Broadcast {
    /// Starts on the state as it is now and forgets the bytes of earlier ones. The state is encoded
    /// here, on the tick, so that all who read it see the same moment, however late they read.
    pub fn renew(&mut self, world: &World, scratch: &mut Vec<u8>) {
        self.tick = world.now();
        self.json = Some(json::state(world, scratch));
    }

    /// The tick whose state the bytes tell.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The bytes that lead a client from the tick `since` to the newest; `None` if nothing has been
    /// published yet. JSON tells the full state and so ignores `since`.
    #[must_use]
    pub fn encoded(&self, encoding: Encoding, _since: Tick) -> Option<Encoded> {
        match encoding {
            Encoding::Json => self.json.clone(),
        }
    }
}
