//! What a player learns about itself from events, and what it counts.
//!
//! `mod` passes every message of the session. It never sends anything.

use super::acks::Acks;
use super::engineio::Received;
use super::message::{self, Message, PlayerName, PlayerUpdate};
use crate::load::context::Context;
use crate::load::loss::Loss;
use crate::load::player::{Player, Role};

/// `player_moved` that follow each other sooner than this over a WebSocket are one update: a server
/// sends those of one tick at once.
const UPDATE_GAP_US: u64 = 10_000;

/// What it knows.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Its own name, once it is in the game.
    name: Option<PlayerName>,
    /// Where it stands, if it has heard that.
    place: Option<(f64, f64)>,
    /// It lies dead until then.
    dead_until_us: u64,
    /// What it waits for an answer to.
    pub acks: Acks,
    /// Where updates begin.
    update_start: UpdateStart,
    /// When it saw the last `player_moved`.
    moved_us: Option<u64>,
    /// When it saw the first of the last update.
    updated_us: Option<u64>,
    is_disconnected: bool,
}

/// Where updates begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UpdateStart {
    /// After a pause.
    #[default]
    Pauses,
    /// With the answer to a poll that has just begun.
    NewPayload,
    /// With the answer to a poll, and this one is known to be an update.
    OldPayload,
}

impl Tracker {
    /// Whether it is in the game.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.name.is_some()
    }

    /// Where it stands, if it has heard that.
    #[must_use]
    pub fn place(&self) -> Option<(f64, f64)> {
        self.place
    }

    /// Whether it can move and strike, as far as it knows.
    #[must_use]
    pub fn is_alive(&self, now_us: u64) -> bool {
        self.dead_until_us <= now_us
    }

    /// Whether the server has sent it away.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.is_disconnected
    }

    /// What comes from here on comes by WebSocket.
    pub fn separate_by_pauses(&mut self) {
        self.update_start = UpdateStart::Pauses;
    }

    /// Hears one message.
    ///
    /// # Errors
    /// The player is not let in, or what came is no packet.
    pub fn handle(
        &mut self,
        received: Received,
        player: &mut Player,
        context: &mut Context,
    ) -> Result<(), Loss> {
        let Received::Message(text) = received else {
            self.update_start = UpdateStart::NewPayload;
            return Ok(());
        };
        match message::decode(text)? {
            Message::Event(name, argument) => {
                context.tally.counters.events += 1;
                if name == b"player_moved" {
                    self.note_move(player, context);
                }
                let own = self.name.as_ref().and_then(|own| own.update_in(argument));
                if let Some(update) = own {
                    self.handle_own_event(name, &update, player, context);
                }
            }
            Message::Joined(name) => self.name = Some(PlayerName::new(name)),
            Message::Refused(message) => return Err(Loss::Refusal(message)),
            Message::Disconnected => self.is_disconnected = true,
            Message::Answer(id, refusal) => self.handle_ack(id, refusal, player, context),
            Message::Other => {}
        }
        Ok(())
    }

    /// Somebody has moved: that may begin an update.
    fn note_move(&mut self, player: &mut Player, context: &mut Context) {
        context.tally.counters.moved += 1;
        player.moved += 1;
        let before_us = self.moved_us.replace(context.now_us);
        let is_new = match self.update_start {
            UpdateStart::Pauses => {
                before_us.is_none_or(|before_us| context.now_us - before_us >= UPDATE_GAP_US)
            }
            UpdateStart::NewPayload => true,
            UpdateStart::OldPayload => false,
        };
        if !is_new {
            return;
        }
        if self.update_start == UpdateStart::NewPayload {
            self.update_start = UpdateStart::OldPayload;
        }
        context.tally.counters.updates += 1;
        player.updates += 1;
        if let Some(updated_us) = self.updated_us.replace(context.now_us) {
            context.tally.record_gap(updated_us, context.now_us);
        }
    }

    fn handle_own_event(
        &mut self,
        name: &[u8],
        update: &PlayerUpdate,
        player: &mut Player,
        context: &mut Context,
    ) {
        match name {
            b"player_moved" => {
                context.tally.counters.moved_self += 1;
                self.set_position(update, player, context);
            }
            b"player_respawned" => {
                self.dead_until_us = 0;
                self.forget_moves(player);
                self.set_position(update, player, context);
            }
            b"player_attacked" => {
                context.tally.counters.hits += 1;
                if let Role::Duelist(duelist) = &player.role
                    && !duelist.is_attacker
                    && let Some(intended_us) = context.duels.hit(duelist.duel)
                {
                    context.tally.record_hit(intended_us, context.now_us);
                }
            }
            b"player_killed" => {
                // A server that says no time has no dead.
                let respawn_us = update.respawn_ms.unwrap_or(0).saturating_mul(1_000);
                self.dead_until_us = context.now_us.saturating_add(respawn_us);
                if respawn_us > 0 {
                    self.place = None;
                    self.forget_moves(player);
                }
            }
            _ => {}
        }
    }

    fn set_position(&mut self, update: &PlayerUpdate, player: &mut Player, context: &mut Context) {
        if let Some(position) = update.position {
            self.place = Some((position.x, position.y));
            player.see(position.x, context);
        }
    }

    /// The dead do not go where they meant to.
    fn forget_moves(&mut self, player: &mut Player) {
        if let Some(probe) = player.probe() {
            probe.forget();
        }
    }

    fn handle_ack(
        &mut self,
        id: u64,
        refusal: Option<String>,
        player: &mut Player,
        context: &mut Context,
    ) {
        let Some(asked) = self.acks.take(id) else { return };
        if refusal.is_some()
            && asked.is_duel_attack
            && let Role::Duelist(duelist) = &player.role
        {
            context.duels.refuse(duelist.duel);
        }
        context.tally.record_ack(asked.intended_us, context.now_us, refusal);
    }
}
