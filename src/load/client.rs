//! One client: bytes in, statistics and bytes out. It knows neither sockets nor clocks.
//!
//! `swarm` owns thousands of them, so each is small: what arrives is skimmed where it was read.

use super::connect;
use super::context::Context;
use super::loss::Loss;
use super::player::{Player, Role, Stage};
use super::probe::Due;
use super::{json, socketio};
use crate::config::{Dialect, Load};

/// One client.
#[derive(Debug)]
pub struct Client {
    /// What is known of it in any dialect.
    pub player: Player,
    driver: Driver,
}

#[derive(Debug)]
enum Driver {
    None,
    Json(Box<json::Driver>),
    SocketIo(Box<socketio::Driver>),
}

impl Client {
    /// A client that will connect at `connect_us`.
    #[must_use]
    pub fn new(connect_us: u64, role: Role) -> Client {
        Client { player: Player::new(connect_us, role), driver: Driver::None }
    }

    /// Asks for its first connection; it is the client `index`.
    pub fn begin(&mut self, options: &Load, index: usize) {
        self.player.stage = Stage::Joining;
        self.driver = match options.dialect {
            Dialect::Json => {
                let request = connect::handshake(options, index);
                Driver::Json(Box::new(json::Driver::begin(&request, &mut self.player)))
            }
            Dialect::SocketIo => {
                let driver = socketio::Driver::begin(options, index, &mut self.player);
                Driver::SocketIo(Box::new(driver))
            }
        };
    }

    /// Takes what was read from one of its connections.
    ///
    /// # Errors
    /// Why the client is lost. What it has to say may still be sent: a close frame is answered.
    pub fn receive(
        &mut self,
        link: usize,
        bytes: &[u8],
        context: &mut Context,
    ) -> Result<(), Loss> {
        context.tally.counters.read_bytes += bytes.len() as u64;
        match &mut self.driver {
            Driver::None => Ok(()),
            Driver::Json(driver) => driver.receive(bytes, &mut self.player, context),
            Driver::SocketIo(driver) => driver.receive(link, bytes, &mut self.player, context),
        }
    }

    /// The server has ended one of its connections.
    ///
    /// # Errors
    /// That is the end of the client.
    pub fn hang_up(&mut self, link: usize) -> Result<(), Loss> {
        match &mut self.driver {
            Driver::SocketIo(driver) => driver.hang_up(link, &mut self.player),
            Driver::None | Driver::Json(_) => Err(Loss::Eof),
        }
    }

    /// Makes a move of chance.
    pub fn move_randomly(&mut self, intended_us: u64, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.move_randomly(&mut self.player, context),
            Driver::SocketIo(driver) => {
                driver.move_randomly(intended_us, &mut self.player, context)
            }
        }
    }

    /// Does what it is to do as a probe for the moment `intended_us`.
    pub fn probe(&mut self, intended_us: u64, context: &mut Context) -> Due {
        match &mut self.driver {
            Driver::None => Due::NotReady,
            Driver::Json(driver) => driver.probe(intended_us, &mut self.player, context),
            Driver::SocketIo(driver) => driver.probe(intended_us, &mut self.player, context),
        }
    }

    /// Strikes, unless it has a reason not to.
    pub fn attack(&mut self, intended_us: u64, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.attack(&mut self.player, context),
            Driver::SocketIo(driver) => driver.attack(intended_us, &mut self.player, context),
        }
    }

    /// Goes on towards the place of its duel.
    pub fn walk(&mut self, intended_us: u64, context: &mut Context) {
        if let Driver::SocketIo(driver) = &mut self.driver {
            driver.walk(intended_us, &mut self.player, context);
        }
    }

    /// Whether it stands at the place of its duel, alive.
    #[must_use]
    pub fn is_ready_to_fight(&self, now_us: u64) -> bool {
        match &self.driver {
            Driver::SocketIo(driver) => driver.is_ready_to_fight(&self.player, now_us),
            Driver::None | Driver::Json(_) => false,
        }
    }

    /// Says that it goes.
    pub fn close(&mut self, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.close(&mut self.player, context),
            Driver::SocketIo(driver) => driver.close(&mut self.player, context),
        }
    }
}
