//! The state of a player that all dialects share: its stage, its role, and its connections.

use super::context::Context;
use super::duel::Duelist;
use super::link::Links;
use super::probe::{Due, Probe};

/// The stage of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not yet connecting.
    Idle,
    /// Connecting or joining.
    Joining,
    /// In the game.
    Playing,
    /// Leaving the game; a new player takes its place.
    Leaving,
    /// Lost or disconnected.
    Gone,
}

/// The role of a client.
#[derive(Debug)]
pub enum Role {
    /// Moves by its pattern, and attacks.
    Crowd,
    /// Measures the delay of its own moves.
    Probe(Box<Probe>),
    /// Takes part in a duel, which is timed.
    Duelist(Duelist),
    /// Stops reading again and again, and measures the delay of a move after each pause.
    Slow(Box<Probe>),
    /// Never reads.
    Stalled,
}

/// One simulated player.
#[derive(Debug)]
pub struct Player {
    /// Its stage.
    pub stage: Stage,
    /// Its role.
    pub role: Role,
    /// Its connections.
    pub links: Links,
    /// When it was scheduled to connect, in microseconds of the run.
    pub connect_us: u64,
    /// Whether it takes the place of a player that left.
    pub is_replacement: bool,
    /// Updates received so far.
    pub updates: u32,
    /// `player_moved` events received so far.
    pub moved: u32,
}

impl Player {
    /// Creates a player that will connect at `connect_us`.
    #[must_use]
    pub fn new(connect_us: u64, role: Role) -> Player {
        let links = Links::default();
        let is_replacement = false;
        let stage = Stage::Idle;
        Player { stage, role, links, connect_us, is_replacement, updates: 0, moved: 0 }
    }

    /// Its probe, if it is one.
    pub fn probe(&mut self) -> Option<&mut Probe> {
        match &mut self.role {
            Role::Probe(probe) | Role::Slow(probe) => Some(probe),
            _ => None,
        }
    }

    /// Forgets its pending move, because it is dead or moves for another reason.
    pub fn forget_moves(&mut self) {
        if let Some(probe) = self.probe() {
            probe.forget();
        }
    }

    /// The player has joined.
    pub fn enter(&mut self, context: &mut Context) {
        self.stage = Stage::Playing;
        context.tally.playing += 1;
        context.tally.counters.replaced += u64::from(self.is_replacement);
        context.tally.record_connect(self.connect_us, context.now_us);
    }

    /// The player sees itself at `x`. For a probe, this may complete its pending move.
    pub fn see(&mut self, x: f64, context: &mut Context) {
        if let Some(intended_us) = self.probe().and_then(|probe| probe.see(x)) {
            context.tally.record_visible(intended_us, context.now_us);
        }
    }

    /// The player is at `x`, which does not complete a pending move.
    pub fn stand(&mut self, x: f64) {
        if let Some(probe) = self.probe() {
            probe.stand(x);
        }
    }

    /// The pending move of a probe was seen.
    pub fn see_move(&mut self, context: &mut Context) {
        if let Some(intended_us) = self.probe().and_then(Probe::end) {
            context.tally.record_visible(intended_us, context.now_us);
        }
    }

    /// What a probe does for the moment `intended_us`. Lost moves are counted.
    pub fn due(&mut self, intended_us: u64, context: &mut Context) -> Due {
        let Some(probe) = self.probe() else {
            return Due::NotReady;
        };
        if let Some(lost_us) = probe.give_up(context.now_us) {
            context.tally.record_probe_lost(lost_us);
        }
        let due = probe.due(intended_us, context.now_us);
        match due {
            Due::Lost => context.tally.record_probe_lost(intended_us),
            Due::Send(_) => context.tally.record_lateness(intended_us, context.now_us),
            Due::NotReady | Due::Wait => {}
        }
        due
    }
}
