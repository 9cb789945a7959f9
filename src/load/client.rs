//! One client: bytes in, statistics and bytes out, without sockets or clocks.
//!
//! `swarm` owns thousands of clients, so each is small, and received bytes are parsed in place.

use super::connect;
use super::context::Context;
use super::groups::Group;
use super::loss::Loss;
use super::player::{Player, Role, Stage};
use super::probe::Due;
use super::{json, socketio, v1};
use crate::config::{Dialect, Load};

/// One client.
#[derive(Debug)]
pub struct Client {
    /// The state that all dialects share.
    pub player: Player,
    dialect: Dialect,
    /// The number of an observer of skirmish.v1: it keeps and verifies all that it receives.
    pub observer: Option<u8>,
    driver: Driver,
}

#[derive(Debug)]
enum Driver {
    None,
    Json(Box<json::Driver>),
    SocketIo(Box<socketio::Driver>),
    V1(Box<v1::Driver>),
}

impl Client {
    /// Creates a client that will connect at `connect_us`.
    #[must_use]
    pub fn new(connect_us: u64, role: Role, dialect: Dialect) -> Client {
        let player = Player::new(connect_us, role);
        Client { player, dialect, observer: None, driver: Driver::None }
    }

    /// The player that takes its place, after it has left.
    #[must_use]
    pub fn replacement(&self, connect_us: u64) -> Client {
        let mut client = Client::new(connect_us, Role::Crowd, self.dialect);
        client.player.is_replacement = true;
        client.observer = self.observer;
        client
    }

    /// The group to whose statistics it belongs.
    #[must_use]
    pub fn group(&self) -> Group {
        match self.player.role {
            Role::Stalled => Group::Stalled,
            Role::Slow(_) => Group::Slow,
            Role::Crowd | Role::Probe(_) | Role::Duelist(_) => Group::of(self.dialect),
        }
    }

    /// Requests the first connection; `index` is the number of the client.
    pub fn begin(&mut self, options: &Load, index: usize) {
        self.player.stage = Stage::Joining;
        self.driver = match self.dialect {
            Dialect::Json => {
                let request = connect::handshake(options, Dialect::Json, index, None);
                let driver = json::Driver::begin(
                    &request,
                    options.pattern,
                    options.deflate,
                    &mut self.player,
                );
                Driver::Json(Box::new(driver))
            }
            Dialect::SocketIo => {
                let driver = socketio::Driver::begin(options, index, &mut self.player);
                Driver::SocketIo(Box::new(driver))
            }
            Dialect::V1 => {
                let driver = v1::Driver::begin(options, index, self.observer, &mut self.player);
                Driver::V1(Box::new(driver))
            }
        };
    }

    /// Handles bytes read from one of its connections.
    ///
    /// # Errors Why the client is lost. Queued output may still be sent, such as the response to a
    /// close frame.
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
            Driver::V1(driver) => driver.receive(bytes, &mut self.player, context),
        }
    }

    /// Handles the end of one of its connections.
    ///
    /// # Errors
    /// The client is lost.
    pub fn hang_up(&mut self, link: usize) -> Result<(), Loss> {
        match &mut self.driver {
            Driver::SocketIo(driver) => driver.hang_up(link, &mut self.player),
            Driver::None | Driver::Json(_) | Driver::V1(_) => Err(Loss::Eof),
        }
    }

    /// Makes a move of its pattern.
    pub fn make_move(&mut self, intended_us: u64, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.make_move(&mut self.player, context),
            Driver::SocketIo(driver) => driver.make_move(intended_us, &mut self.player, context),
            Driver::V1(driver) => driver.make_move(&mut self.player, context),
        }
    }

    /// Moves towards the place of the crowd.
    pub fn gather(&mut self, intended_us: u64, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.gather(&mut self.player, context),
            Driver::SocketIo(driver) => driver.gather(intended_us, &mut self.player, context),
            Driver::V1(driver) => driver.gather(&mut self.player, context),
        }
    }

    /// How long it takes to cross its map, if it knows it.
    #[must_use]
    pub fn gather_us(&self) -> u64 {
        match &self.driver {
            Driver::V1(driver) => driver.gather_us(),
            Driver::None | Driver::Json(_) | Driver::SocketIo(_) => 0,
        }
    }

    /// Ticks that it has seen and that its updates do not count yet: nothing was sent about them.
    #[must_use]
    pub fn quiet_ticks(&self, now_us: u64) -> u32 {
        match &self.driver {
            Driver::V1(driver) => driver.quiet_ticks(now_us),
            Driver::None | Driver::Json(_) | Driver::SocketIo(_) => 0,
        }
    }

    /// Says which keys it holds, if the dialect repeats that.
    pub fn hold(&mut self, _intended_us: u64, context: &mut Context) {
        if let Driver::V1(driver) = &mut self.driver {
            driver.hold(&mut self.player, context);
        }
    }

    /// Makes the move of a probe that was scheduled for `intended_us`.
    pub fn probe(&mut self, intended_us: u64, context: &mut Context) -> Due {
        match &mut self.driver {
            Driver::None => Due::NotReady,
            Driver::Json(driver) => driver.probe(intended_us, &mut self.player, context),
            Driver::SocketIo(driver) => driver.probe(intended_us, &mut self.player, context),
            Driver::V1(driver) => driver.probe(intended_us, &mut self.player, context),
        }
    }

    /// Attacks, unless it is dead or too close to a duel.
    pub fn attack(&mut self, intended_us: u64, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.attack(&mut self.player, context),
            Driver::SocketIo(driver) => driver.attack(intended_us, &mut self.player, context),
            Driver::V1(driver) => driver.attack(&mut self.player, context),
        }
    }

    /// Moves towards the position of its duel.
    pub fn walk(&mut self, intended_us: u64, context: &mut Context) {
        if let Driver::SocketIo(driver) = &mut self.driver {
            driver.walk(intended_us, &mut self.player, context);
        }
    }

    /// Whether it is alive and at the position of its duel.
    #[must_use]
    pub fn is_ready_to_fight(&self, now_us: u64) -> bool {
        match &self.driver {
            Driver::SocketIo(driver) => driver.is_ready_to_fight(&self.player, now_us),
            Driver::None | Driver::Json(_) | Driver::V1(_) => false,
        }
    }

    /// Disconnects.
    pub fn close(&mut self, context: &mut Context) {
        match &mut self.driver {
            Driver::None => {}
            Driver::Json(driver) => driver.close(&mut self.player, context),
            Driver::SocketIo(driver) => driver.close(&mut self.player, context),
            Driver::V1(driver) => driver.close(&mut self.player, context),
        }
    }
}
