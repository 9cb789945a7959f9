//! A player of the dialect `skirmish.v1` (docs/skirmish-v1.md): holds directions, and keeps the
//! newest tick.
//!
//! Some players, the observers, keep all cells and compare the sums of CHECK. The others go through
//! the parts of each message ([`walk`]) and keep only the newest tick ([`view`]). [`controls`]
//! makes the INPUTs, [`known`] the WHOs, [`world`] is a player after WELCOME, [`turns`] times what
//! observers see of probes, and [`counts`] has the totals.

mod controls;
mod counts;
mod known;
mod turns;
mod view;
mod walk;
mod world;

pub use self::counts::Counts;
pub use self::turns::OBSERVERS_MAX;

use self::turns::Turns;
use self::walk::Walker;
use self::world::World;
use super::connect;
use super::context::Context;
use super::loss::Loss;
use super::player::Player;
use super::probe::Due;
use super::socket::{self, Incoming, Outgoing, Socket};
use crate::codec::v1::SUBPROTOCOL;
use crate::codec::v1::welcome::{WELCOME, Welcome};
use crate::config::{Dialect, Load, Pattern};
use crate::ws::close;

/// The only connection.
const LINK: usize = 0;

/// What all clients share.
#[derive(Debug, Default)]
pub struct Shared {
    turns: Turns,
    walker: Walker,
}

/// The state of its connection.
#[derive(Debug)]
pub struct Driver {
    socket: Socket,
    /// Bytes of the current message so far.
    message_bytes: u64,
    /// The number of an observer.
    observer: Option<u8>,
    /// The number of its room.
    room: u32,
    pattern: Pattern,
    /// The game, after WELCOME.
    world: Option<Box<World>>,
}

impl Driver {
    /// Opens a WebSocket for the client `index`.
    pub fn begin(
        options: &Load,
        index: usize,
        observer: Option<u8>,
        player: &mut Player,
    ) -> Driver {
        let request = connect::handshake(options, Dialect::V1, index, Some(SUBPROTOCOL));
        player.links[LINK].send(&request);
        Driver {
            socket: Socket::of_binary(SUBPROTOCOL, options.deflate),
            message_bytes: 0,
            observer,
            room: connect::room_number(options, index),
            pattern: options.pattern,
            world: None,
        }
    }

    /// Handles received bytes.
    ///
    /// # Errors
    /// Why the client is lost.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        player: &mut Player,
        context: &mut Context,
    ) -> Result<(), Loss> {
        while !bytes.is_empty() {
            let link = &mut player.links[LINK];
            let (taken, incoming) = self.socket.next(bytes, true, link, context)?;
            self.message_bytes += taken as u64;
            bytes = &bytes[taken..];
            let message = match incoming {
                Incoming::Bulk(message) => message.ok_or(Loss::Protocol("message too long"))?,
                Incoming::Text(_) => return Err(Loss::Protocol("text message in skirmish.v1")),
                Incoming::Opened => {
                    self.message_bytes = 0;
                    continue;
                }
                Incoming::Nothing => continue,
            };
            let message_bytes = std::mem::take(&mut self.message_bytes);
            match &mut self.world {
                Some(world) if message.first() != Some(&WELCOME) => {
                    world.receive(message, message_bytes, player, context);
                }
                Some(world) => world.receive_welcome(message, message_bytes, player, context),
                None => {
                    let welcome = Welcome::decode(message);
                    let welcome =
                        welcome.map_err(|_| Loss::Protocol("no valid WELCOME at the beginning"))?;
                    context.tally.counters.v1.welcomes += 1;
                    context.tally.counters.v1.welcome_bytes += message_bytes;
                    let (observer, room, pattern) = (self.observer, self.room, self.pattern);
                    let world = World::new(&welcome, observer, room, pattern, context);
                    self.world = Some(Box::new(world));
                    player.enter(context);
                }
            }
        }
        Ok(())
    }

    /// Changes its course as its movement pattern says.
    pub fn make_move(&mut self, player: &mut Player, context: &mut Context) {
        if let Some(world) = &mut self.world {
            world.change_course(player, context);
        }
    }

    /// Goes towards the place of the crowd.
    pub fn gather(&mut self, player: &mut Player, context: &mut Context) {
        if let Some(world) = &mut self.world {
            world.gather(player, context);
        }
    }

    /// Ticks since its newest HEAD about which there was nothing to say so far.
    #[must_use]
    pub fn quiet_ticks(&self, now_us: u64) -> u32 {
        self.world.as_ref().map_or(0, |world| world.quiet_ticks(now_us))
    }

    /// How long it takes to cross the map in both directions; 0 before WELCOME.
    #[must_use]
    pub fn gather_us(&self) -> u64 {
        self.world.as_ref().map_or(0, |world| world.gather_us())
    }

    /// Sends the keys as they are held, and acknowledges the newest tick.
    pub fn hold(&mut self, player: &mut Player, context: &mut Context) {
        if let Some(world) = &mut self.world {
            world.send_input(player, context);
        }
    }

    /// Makes the move of a probe for the moment `intended_us`.
    pub fn probe(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) -> Due {
        match &mut self.world {
            Some(world) => world.probe(intended_us, player, context),
            None => Due::NotReady,
        }
    }

    /// Attacks.
    pub fn attack(&mut self, player: &mut Player, context: &mut Context) {
        if let Some(world) = &mut self.world {
            world.attack(player, context);
        }
    }

    /// Sends a close frame.
    pub fn close(&mut self, player: &mut Player, context: &mut Context) {
        let payload = close::payload(1000, "");
        socket::send(Outgoing::Close(&payload), &mut player.links[LINK], context.rng);
    }
}

#[cfg(test)]
mod tests;
