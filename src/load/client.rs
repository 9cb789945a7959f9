//! One client: bytes in, statistics and bytes out. It knows neither sockets nor clocks.
//!
//! `swarm` owns thousands of them, so each is small: what arrives is skimmed where it was read.

use super::dial;
use super::loss::Loss;
use super::player::{Part, Player, Stage};
use super::probe::Due;
use super::scene::Scene;
use super::{json, socketio};
use crate::config::{Dialect, Load};

/// One client.
#[derive(Debug)]
pub struct Client {
    /// What is known of it in any dialect.
    pub player: Player,
    talk: Talk,
}

#[derive(Debug)]
enum Talk {
    None,
    Json(Box<json::Talk>),
    SocketIo(Box<socketio::Talk>),
}

impl Client {
    /// A client that will connect at `connect_us`.
    #[must_use]
    pub fn new(connect_us: u64, part: Part) -> Client {
        Client { player: Player::new(connect_us, part), talk: Talk::None }
    }

    /// Asks for its first connection; it is the client `index`.
    pub fn begin(&mut self, options: &Load, index: usize) {
        self.player.stage = Stage::Joining;
        self.talk = match options.dialect {
            Dialect::Json => {
                let request = dial::handshake(options, index);
                Talk::Json(Box::new(json::Talk::begin(&request, &mut self.player)))
            }
            Dialect::SocketIo => {
                let talk = socketio::Talk::begin(options, index, &mut self.player);
                Talk::SocketIo(Box::new(talk))
            }
        };
    }

    /// Takes what was read from one of its connections.
    ///
    /// # Errors
    /// Why the client is lost. What it has to say may still be sent: a close frame is answered.
    pub fn receive(&mut self, link: usize, bytes: &[u8], scene: &mut Scene) -> Result<(), Loss> {
        scene.tally.counters.read_bytes += bytes.len() as u64;
        match &mut self.talk {
            Talk::None => Ok(()),
            Talk::Json(talk) => talk.receive(bytes, &mut self.player, scene),
            Talk::SocketIo(talk) => talk.receive(link, bytes, &mut self.player, scene),
        }
    }

    /// The server has ended one of its connections.
    ///
    /// # Errors
    /// That is the end of the client.
    pub fn hang_up(&mut self, link: usize) -> Result<(), Loss> {
        match &mut self.talk {
            Talk::SocketIo(talk) => talk.hang_up(link, &mut self.player),
            Talk::None | Talk::Json(_) => Err(Loss::Eof),
        }
    }

    /// Makes a move of chance.
    pub fn wander(&mut self, intended_us: u64, scene: &mut Scene) {
        match &mut self.talk {
            Talk::None => {}
            Talk::Json(talk) => talk.wander(&mut self.player, scene),
            Talk::SocketIo(talk) => talk.wander(intended_us, &mut self.player, scene),
        }
    }

    /// Does what it is to do as a probe for the moment `intended_us`.
    pub fn probe(&mut self, intended_us: u64, scene: &mut Scene) -> Due {
        match &mut self.talk {
            Talk::None => Due::NotReady,
            Talk::Json(talk) => talk.probe(intended_us, &mut self.player, scene),
            Talk::SocketIo(talk) => talk.probe(intended_us, &mut self.player, scene),
        }
    }

    /// Strikes, unless it has a reason not to.
    pub fn attack(&mut self, intended_us: u64, scene: &mut Scene) {
        match &mut self.talk {
            Talk::None => {}
            Talk::Json(talk) => talk.attack(&mut self.player, scene),
            Talk::SocketIo(talk) => talk.attack(intended_us, &mut self.player, scene),
        }
    }

    /// Goes on towards the place of its duel.
    pub fn walk(&mut self, intended_us: u64, scene: &mut Scene) {
        if let Talk::SocketIo(talk) = &mut self.talk {
            talk.walk(intended_us, &mut self.player, scene);
        }
    }

    /// Whether it stands at the place of its duel, alive.
    #[must_use]
    pub fn is_ready_to_fight(&self, now_us: u64) -> bool {
        match &self.talk {
            Talk::SocketIo(talk) => talk.is_ready_to_fight(&self.player, now_us),
            Talk::None | Talk::Json(_) => false,
        }
    }

    /// Says that it goes.
    pub fn say_farewell(&mut self, scene: &mut Scene) {
        match &mut self.talk {
            Talk::None => {}
            Talk::Json(talk) => talk.say_farewell(&mut self.player, scene),
            Talk::SocketIo(talk) => talk.say_farewell(&mut self.player, scene),
        }
    }
}
