//! What there is to know of a player in any dialect: how far it has come, what it is there for, and
//! its connections.

use super::context::Context;
use super::duel::Duelist;
use super::link::Links;
use super::probe::{Due, Probe};

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its turn to connect has not come.
    Idle,
    /// It is on its way into the game.
    Joining,
    /// It is in the game.
    Playing,
    /// It was lost, or it has said farewell.
    Gone,
}

/// What a client is there for.
#[derive(Debug)]
pub enum Role {
    /// It moves, and strikes if that is asked for.
    Crowd,
    /// It times its own moves.
    Probe(Box<Probe>),
    /// It strikes or is struck, and that is timed.
    Duelist(Duelist),
    /// It never reads.
    Stalled,
}

/// One simulated player.
#[derive(Debug)]
pub struct Player {
    /// How far it has come.
    pub stage: Stage,
    /// What it is there for.
    pub role: Role,
    /// Its connections.
    pub links: Links,
    /// When it was to connect, in microseconds of the run.
    pub connect_us: u64,
    /// Updates that it has seen so far.
    pub updates: u32,
    /// `player_moved` that it has seen so far.
    pub moved: u32,
}

impl Player {
    /// A player that will connect at `connect_us`.
    #[must_use]
    pub fn new(connect_us: u64, role: Role) -> Player {
        let links = Links::default();
        Player { stage: Stage::Idle, role, links, connect_us, updates: 0, moved: 0 }
    }

    /// What makes it a probe.
    pub fn probe(&mut self) -> Option<&mut Probe> {
        match &mut self.role {
            Role::Probe(probe) => Some(probe),
            _ => None,
        }
    }

    /// It is in the game.
    pub fn enter(&mut self, context: &mut Context) {
        self.stage = Stage::Playing;
        context.tally.playing += 1;
        context.tally.record_connect(self.connect_us, context.now_us);
    }

    /// It sees itself at `x`; if it is a probe, that may show its move.
    pub fn see(&mut self, x: f64, context: &mut Context) {
        if let Some(intended_us) = self.probe().and_then(|probe| probe.see(x)) {
            context.tally.record_visible(intended_us, context.now_us);
        }
    }

    /// What it does as a probe for the moment `intended_us`. Moves that are lost are counted.
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
