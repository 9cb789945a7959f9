//! What a player hears of itself, and what it counts.
//!
//! `mod` calls it with every message of the session. It never says anything.

use super::acks::Acks;
use super::engine::Said;
use super::heard::{self, Heard, Name, Word};
use crate::load::loss::Loss;
use crate::load::player::{Part, Player};
use crate::load::scene::Scene;

/// `player_moved` that follow each other sooner than this over a WebSocket are one update: a server
/// sends those of one tick at once.
const UPDATE_GAP_US: u64 = 10_000;

/// What it knows.
#[derive(Debug, Default)]
pub struct Ears {
    /// Its own name, once it is in the game.
    name: Option<Name>,
    /// Where it stands, if it has heard that.
    place: Option<(f64, f64)>,
    /// It lies dead until then.
    dead_until_us: u64,
    /// What it waits for an answer to.
    pub acks: Acks,
    /// Where updates begin.
    bounds: Bounds,
    /// When it saw the last `player_moved`.
    moved_us: Option<u64>,
    /// When it saw the first of the last update.
    updated_us: Option<u64>,
    is_sent_away: bool,
}

/// Where updates begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bounds {
    /// After a pause.
    #[default]
    Pauses,
    /// With the answer to a poll that has just begun.
    NewPayload,
    /// With the answer to a poll, and this one is known to be an update.
    OldPayload,
}

impl Ears {
    /// Whether it is in the game.
    #[must_use]
    pub fn is_in(&self) -> bool {
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
    pub fn is_sent_away(&self) -> bool {
        self.is_sent_away
    }

    /// What comes from here on comes by WebSocket.
    pub fn expect_pauses(&mut self) {
        self.bounds = Bounds::Pauses;
    }

    /// Hears one message.
    ///
    /// # Errors
    /// The player is not let in, or what came is no packet.
    pub fn hear(&mut self, said: Said, player: &mut Player, scene: &mut Scene) -> Result<(), Loss> {
        let Said::Message(text) = said else {
            self.bounds = Bounds::NewPayload;
            return Ok(());
        };
        match heard::hear(text)? {
            Heard::Event(name, argument) => {
                scene.tally.counters.events += 1;
                if name == b"player_moved" {
                    self.note_move(player, scene);
                }
                let own = self.name.as_ref().and_then(|own| own.word_in(argument));
                if let Some(word) = own {
                    self.hear_of_self(name, &word, player, scene);
                }
            }
            Heard::Joined(name) => self.name = Some(Name::new(name)),
            Heard::Refused(message) => return Err(Loss::Refusal(message)),
            Heard::Disconnected => self.is_sent_away = true,
            Heard::Answer(id, refusal) => self.hear_answer(id, refusal, player, scene),
            Heard::Other => {}
        }
        Ok(())
    }

    /// Somebody has moved: that may begin an update.
    fn note_move(&mut self, player: &mut Player, scene: &mut Scene) {
        scene.tally.counters.moved += 1;
        player.moved += 1;
        let before_us = self.moved_us.replace(scene.now_us);
        let is_new = match self.bounds {
            Bounds::Pauses => {
                before_us.is_none_or(|before_us| scene.now_us - before_us >= UPDATE_GAP_US)
            }
            Bounds::NewPayload => true,
            Bounds::OldPayload => false,
        };
        if !is_new {
            return;
        }
        if self.bounds == Bounds::NewPayload {
            self.bounds = Bounds::OldPayload;
        }
        scene.tally.counters.updates += 1;
        player.updates += 1;
        if let Some(updated_us) = self.updated_us.replace(scene.now_us) {
            scene.tally.record_gap(updated_us, scene.now_us);
        }
    }

    fn hear_of_self(&mut self, name: &[u8], word: &Word, player: &mut Player, scene: &mut Scene) {
        match name {
            b"player_moved" => {
                scene.tally.counters.moved_self += 1;
                self.stand(word, player, scene);
            }
            b"player_respawned" => {
                self.dead_until_us = 0;
                self.forget_moves(player);
                self.stand(word, player, scene);
            }
            b"player_attacked" => {
                scene.tally.counters.hits += 1;
                if let Part::Duelist(duelist) = &player.part
                    && !duelist.is_attacker
                    && let Some(intended_us) = scene.duels.hit(duelist.duel)
                {
                    scene.tally.record_hit(intended_us, scene.now_us);
                }
            }
            b"player_killed" => {
                // A server that says no time has no dead.
                let respawn_us = word.respawn_ms.unwrap_or(0).saturating_mul(1_000);
                self.dead_until_us = scene.now_us.saturating_add(respawn_us);
                if respawn_us > 0 {
                    self.place = None;
                    self.forget_moves(player);
                }
            }
            _ => {}
        }
    }

    fn stand(&mut self, word: &Word, player: &mut Player, scene: &mut Scene) {
        if let Some(position) = word.position {
            self.place = Some((position.x, position.y));
            player.see(position.x, scene);
        }
    }

    /// The dead do not go where they meant to.
    fn forget_moves(&mut self, player: &mut Player) {
        if let Some(probe) = player.probe() {
            probe.forget();
        }
    }

    fn hear_answer(
        &mut self,
        id: u64,
        refusal: Option<String>,
        player: &mut Player,
        scene: &mut Scene,
    ) {
        let Some(asked) = self.acks.take(id) else { return };
        if refusal.is_some()
            && asked.is_blow
            && let Part::Duelist(duelist) = &player.part
        {
            scene.duels.refuse(duelist.duel);
        }
        scene.tally.record_ack(asked.intended_us, scene.now_us, refusal);
    }
}
