//! A player of the battle over Socket.IO: it joins, wishes itself somewhere, strikes, and hears of
//! it (docs/protocol.md, "The Socket.IO dialect").
//!
//! In reading order: [`heard`] tells packets, [`ears`] is what a player makes of them, [`acks`]
//! what it waits for an answer to, [`steps`] where it goes, [`engine`] how all of that travels.

mod acks;
mod ears;
mod engine;
mod heard;
mod steps;

use self::ears::Ears;
use self::engine::Engine;
use super::dial;
use super::loss::Loss;
use super::player::{Part, Player, Stage};
use super::probe::Due;
use super::scene::Scene;
use crate::codec::events::ClientEvent;
use crate::codec::json::Direction;
use crate::config::{Acks, Load};
use crate::socketio::packet::{Header, Kind};

/// The packet that leaves the namespace.
const DISCONNECT: &[u8] = b"41";

/// One player's session, and what it knows.
#[derive(Debug)]
pub struct Talk {
    engine: Engine,
    ears: Ears,
    /// The packet that joins, until it is sent.
    connect: Option<String>,
    acks: Acks,
    has_duels: bool,
}

impl Talk {
    /// Asks for a session for the client `index`.
    pub fn begin(options: &Load, index: usize, player: &mut Player) -> Talk {
        let target = dial::target(options, index, "");
        let transport = options.transport();
        let authority = &options.url.authority;
        // A room's name has no character that JSON would escape.
        let auth = dial::room(options, index).map(|room| format!(r#"{{"room":"{room}"}}"#));
        Talk {
            engine: Engine::begin(authority, target, transport, &mut player.links),
            ears: Ears::default(),
            connect: Some(format!("40{}", auth.unwrap_or_default())),
            acks: options.acks(),
            has_duels: options.attacks_hz > 0.0,
        }
    }

    /// Takes what was read from a connection.
    ///
    /// # Errors
    /// Why the client is lost.
    pub fn receive(
        &mut self,
        link: usize,
        bytes: &[u8],
        player: &mut Player,
        scene: &mut Scene,
    ) -> Result<(), Loss> {
        // What is heard changes the player, and what is answered its connections.
        let mut links = std::mem::take(&mut player.links);
        let had_arrived = self.engine.has_arrived();
        let ears = &mut self.ears;
        let mut hear = |said: engine::Said, scene: &mut Scene| ears.hear(said, player, scene);
        let heard = self.engine.receive(link, bytes, &mut links, scene, &mut hear);
        player.links = links;
        match heard {
            // A close frame that came with it says more, but the end of the session does not.
            Ok(()) | Err(Loss::Ended) if self.ears.is_sent_away() => return Err(Loss::SentAway),
            heard => heard?,
        }
        if self.engine.is_open()
            && let Some(connect) = self.connect.take()
        {
            self.engine.send(connect.as_bytes(), &mut player.links, scene);
        }
        if self.engine.has_arrived() && !had_arrived {
            self.ears.expect_pauses();
        }
        if player.stage == Stage::Joining && self.engine.has_arrived() && self.ears.is_in() {
            player.enter(scene);
        }
        Ok(())
    }

    /// The server has ended a connection.
    ///
    /// # Errors
    /// [`Loss::Eof`] if that is the end of the session.
    pub fn hang_up(&mut self, link: usize, player: &mut Player) -> Result<(), Loss> {
        self.engine.hang_up(link, &mut player.links)
    }

    /// Goes somewhere.
    pub fn wander(&mut self, intended_us: u64, player: &mut Player, scene: &mut Scene) {
        let at = self.ears.place().unwrap_or(steps::MIDDLE);
        let to = steps::anywhere(at, self.has_duels, scene.rng);
        self.go(to, intended_us, self.acks == Acks::All, player, scene);
    }

    /// What a probe does for the moment `intended_us`.
    pub fn probe(&mut self, intended_us: u64, player: &mut Player, scene: &mut Scene) -> Due {
        let asks = self.acks != Acks::None;
        if !self.ears.is_alive(scene.now_us) {
            return Due::NotReady;
        }
        let due = player.due(intended_us, scene);
        let at = self.ears.place();
        match (due, at) {
            (Due::Send(direction), Some((x, y))) => {
                let x =
                    if direction == Direction::Left { x - steps::STEP } else { x + steps::STEP };
                self.go((x, y), intended_us, asks, player, scene);
            }
            // Some servers say where one is only when one moves.
            (Due::NotReady, None) => {
                self.go(steps::MIDDLE, intended_us, asks, player, scene);
            }
            _ => {}
        }
        due
    }

    /// Strikes: in a duel for the moment `intended_us`, else if nobody in a duel is near.
    pub fn attack(&mut self, intended_us: u64, player: &mut Player, scene: &mut Scene) {
        let is_blow = matches!(player.part, Part::Duelist(_));
        let is_in_crowd = self.ears.place().is_some_and(|(x, _)| steps::is_in_crowd(x));
        let may = is_blow || (is_in_crowd && self.ears.is_alive(scene.now_us));
        if !may {
            return;
        }
        let asks = self.acks == Acks::All || (is_blow && self.acks == Acks::Probes);
        let is_said = self.emit(&ClientEvent::Attack, asks.then_some(intended_us), player, scene);
        scene.tally.counters.record_attack(is_said);
    }

    /// Goes on towards the place of its duel, if it is not there.
    pub fn walk(&mut self, intended_us: u64, player: &mut Player, scene: &mut Scene) {
        let Part::Duelist(duelist) = &player.part else { return };
        let place = duelist.place;
        if self.ears.place() != Some(place) && self.ears.is_alive(scene.now_us) {
            self.go(place, intended_us, self.acks == Acks::All, player, scene);
        }
    }

    /// Whether it stands at the place of its duel, alive.
    #[must_use]
    pub fn is_ready_to_fight(&self, player: &Player, now_us: u64) -> bool {
        let Part::Duelist(duelist) = &player.part else { return false };
        self.ears.place() == Some(duelist.place) && self.ears.is_alive(now_us)
    }

    /// Says that it goes.
    pub fn say_farewell(&mut self, player: &mut Player, scene: &mut Scene) {
        self.engine.leave(DISCONNECT, &mut player.links, scene);
    }

    /// Wishes itself somewhere, and asks for an answer if it `asks`.
    fn go(
        &mut self,
        (x, y): (f64, f64),
        intended_us: u64,
        asks: bool,
        player: &mut Player,
        scene: &mut Scene,
    ) {
        let event = ClientEvent::Move { x, y };
        let is_said = self.emit(&event, asks.then_some(intended_us), player, scene);
        scene.tally.counters.record_move(is_said);
    }

    /// Sends an event, and asks for an answer if it is given the moment from which that is timed.
    fn emit(
        &mut self,
        event: &ClientEvent,
        asked_us: Option<u64>,
        player: &mut Player,
        scene: &mut Scene,
    ) -> bool {
        let is_blow = *event == ClientEvent::Attack && matches!(player.part, Part::Duelist(_));
        let id = asked_us.map(|intended_us| self.ears.acks.ask(intended_us, is_blow));
        let mut packet = vec![b'4'];
        Header::new(Kind::Event, "/", id).encode(&mut packet);
        event.encode(&mut packet);
        let is_said = self.engine.send(&packet, &mut player.links, scene);
        match (asked_us, id) {
            (Some(intended_us), _) if is_said => scene.tally.record_ack_asked(intended_us),
            // What was not sent has no answer to come.
            (_, Some(id)) => drop(self.ears.acks.take(id)),
            _ => {}
        }
        is_said
    }
}

#[cfg(test)]
mod tests;
