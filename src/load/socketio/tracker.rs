//! What a player learns about itself from events, and what it counts.
//!
//! `mod` passes every message of the session. It never sends anything.

use super::acks::Acks;
use super::engineio::Received;
use super::message::{self, Message, PlayerId, PlayerUpdate, Position};
use crate::codec::number::Whole;
use crate::load::context::Context;
use crate::load::loss::Loss;
use crate::load::player::{Player, Role};

/// `player_moved` events with smaller gaps over a WebSocket are one update: a server sends those of
/// one tick at once.
const UPDATE_GAP_US: u64 = 10_000;

/// What the player knows about itself.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Its socket id, after it has joined.
    name: Option<PlayerId>,
    /// Its position, if known.
    place: Option<Position>,
    /// Until when it is dead.
    dead_until_us: u64,
    /// Its pending acknowledgements.
    pub acks: Acks,
    /// What begins a new update.
    update_start: UpdateStart,
    /// When it received the last `player_moved`.
    moved_us: Option<u64>,
    /// When it received the first `player_moved` of the last update.
    updated_us: Option<u64>,
    is_disconnected: bool,
}

/// What begins a new update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UpdateStart {
    /// A `player_moved` after a pause.
    #[default]
    Pauses,
    /// The first `player_moved` of the current poll response.
    NewPayload,
    /// The next poll response; the current one has been counted as an update.
    OldPayload,
}

impl Tracker {
    /// Whether it has joined.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.name.is_some()
    }

    /// Its position, if known.
    #[must_use]
    pub fn place(&self) -> Option<Position> {
        self.place
    }

    /// Whether it is alive, as far as it knows.
    #[must_use]
    pub fn is_alive(&self, now_us: u64) -> bool {
        self.dead_until_us <= now_us
    }

    /// Whether the server has disconnected it.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.is_disconnected
    }

    /// Separates updates by pauses from here on, as needed over a WebSocket.
    pub fn separate_by_pauses(&mut self) {
        self.update_start = UpdateStart::Pauses;
    }

    /// Handles one message.
    ///
    /// # Errors
    /// The server refused the player, or the packet is invalid.
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
            Message::Joined(name) => self.name = Some(PlayerId::new(name)),
            Message::Refused(message) => return Err(Loss::Refusal(message)),
            Message::Disconnected => self.is_disconnected = true,
            Message::Answer(id, refusal) => self.handle_ack(id, refusal, player, context),
            Message::Other => {}
        }
        Ok(())
    }

    /// Counts a `player_moved`, which may begin an update.
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
                player.forget_moves();
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
                // A server without respawn times has no dead players.
                let respawn_us = update.respawn_ms.map_or(0, |Whole(ms)| ms).saturating_mul(1_000);
                self.dead_until_us = context.now_us.saturating_add(respawn_us);
                if respawn_us > 0 {
                    self.place = None;
                    player.forget_moves();
                }
            }
            _ => {}
        }
    }

    fn set_position(&mut self, update: &PlayerUpdate, player: &mut Player, context: &mut Context) {
        if let Some(position) = update.position {
            self.place = Some(position);
            player.see(position.x, context);
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
