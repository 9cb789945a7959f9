//! The scheduled actions of the clients of a swarm.

use rand::rngs::SmallRng;

use super::{CONNECTS_A_TURN, HANDSHAKE_US, Swarm};
use crate::config::Load;
use crate::load::client::Client;
use crate::load::context::Context;
use crate::load::duel::{self, Duels};
use crate::load::groups::Group;
use crate::load::loss::Loss;
use crate::load::player::{Role, Stage};
use crate::load::probe::Due;
use crate::load::schedule::{Connects, Moves, PROBE_PERIOD_US, ProbeMoment, Probes};
use crate::load::stopwatch::{LOST_AFTER_US, Start};

/// How soon an action that waits for a pending one is tried again.
const AGAIN_US: u64 = 5_000;
/// Moves per second of players on the way to their duels.
const WALK_HZ: f64 = 10.0;

const _: () = assert!(AGAIN_US < LOST_AFTER_US);

/// The schedules of all actions.
pub struct Schedule {
    /// Connects.
    pub connects: Connects,
    moves: Moves,
    attacks: Moves,
    walks: Moves,
    probes: Probes,
    duels: Probes,
}

impl Schedule {
    /// Creates the schedule of clients with these roles.
    pub fn new(options: &Load, roles: &[Role], duels: &Duels, rng: &mut SmallRng) -> Schedule {
        let all = |is_it: fn(&Role) -> bool| {
            let numbered = roles.iter().zip(0..).filter(move |(role, _)| is_it(role));
            numbered.map(|(_, index)| index)
        };
        let probing: Vec<u32> = all(|role| matches!(role, Role::Probe(_))).collect();
        let crowd = || all(|role| matches!(role, Role::Crowd));
        let period_us = (1e6 / options.attacks_hz) as u64;
        Schedule {
            connects: Connects::new(options.clients + options.stalled, options.ramp_hz),
            moves: Moves::new(crowd(), options.moves_hz, rng),
            probes: Probes::new(&probing, PROBE_PERIOD_US, rng),
            attacks: Moves::new(crowd(), options.attacks_hz, rng),
            walks: Moves::new(all(|role| matches!(role, Role::Duelist(_))), WALK_HZ, rng),
            duels: Probes::new(
                &duels.numbers().collect::<Vec<u32>>(),
                period_us.max(duel::PERIOD_US_MIN),
                rng,
            ),
        }
    }

    /// Ends all schedules.
    pub fn end(&mut self) {
        self.moves.end();
        self.attacks.end();
        self.walks.end();
        self.probes.end();
        self.duels.end();
    }

    fn next_us(&self) -> u64 {
        let moves = [&self.moves, &self.attacks, &self.walks].map(Moves::next_us);
        let probes = [&self.probes, &self.duels].map(Probes::next_us);
        let next_us = moves.into_iter().chain(probes).min().unwrap_or(u64::MAX);
        next_us.min(self.connects.next_us())
    }
}

impl Swarm {
    /// Whether no timed action scheduled before `end_us` is pending.
    #[must_use]
    pub fn are_probes_settled(&self, end_us: u64) -> bool {
        let counters = self.common.tallies.counters();
        let has_acks = counters.acks_answered > 0;
        let are_settled = self.schedule.probes.moments().all(|moment| {
            let role = &self.peers[moment.client as usize].client.player.role;
            let is_pending = matches!(role, Role::Probe(probe) if probe.is_pending());
            moment.intended_us >= end_us && !is_pending
        });
        are_settled
            && self.common.duels.are_settled(end_us)
            && (!has_acks || counters.acks_answered >= counters.acks_asked)
    }

    /// Gives up all pending timed actions, after the window.
    pub fn give_up_probes(&mut self) {
        for moment in self.schedule.probes.moments() {
            let client = &mut self.peers[moment.client as usize].client;
            let player = &mut client.player;
            // A lost client is counted once, not again for each of its moves.
            let is_playing = player.stage == Stage::Playing;
            let Some(probe) = player.probe().filter(|_| is_playing) else { continue };
            let pending_us = probe.give_up(u64::MAX);
            let tally = &mut self.common.tallies[client.group()];
            if let Some(intended_us) = pending_us {
                tally.record_probe_lost(intended_us);
            }
            tally.record_probe_lost(moment.intended_us);
        }
        for number in self.common.duels.numbers() {
            let tally = &mut self.common.tallies[Group::SocketIo];
            self.common.duels.give_up(number, u64::MAX, tally);
        }
    }

    pub(super) fn run_due(&mut self) {
        if self.is_closing {
            return self.flush_dirty();
        }
        for _ in 0..CONNECTS_A_TURN {
            let Some((index, due_us)) = self.schedule.connects.take(self.common.now_us) else {
                break;
            };
            let client = &mut self.peers[index as usize].client;
            let tally = &mut self.common.tallies[client.group()];
            tally.record_lateness(due_us, self.common.now_us);
            client.begin(&self.options, index as usize);
            self.flush(index as usize);
        }
        while let Some((index, due_us)) = self.schedule.moves.take(self.common.now_us) {
            self.act(index, due_us, Client::move_randomly);
        }
        while let Some((index, due_us)) = self.schedule.attacks.take(self.common.now_us) {
            self.act(index, due_us, Client::attack);
        }
        while let Some((index, due_us)) = self.schedule.walks.take(self.common.now_us) {
            self.act(index, due_us, Client::walk);
        }
        self.move_probes();
        self.fight_duels();
        self.check_deadlines();
        self.flush_dirty();
        self.due_us = self.schedule.next_us();
    }

    /// Performs an action of a client that was due, if the client is in the game.
    fn act(&mut self, index: u32, due_us: u64, act: impl FnOnce(&mut Client, u64, &mut Context)) {
        let index = index as usize;
        let client = &mut self.peers[index].client;
        if client.player.stage == Stage::Playing {
            let mut context = self.common.context(client.group());
            context.tally.record_lateness(due_us, context.now_us);
            act(client, due_us, &mut context);
            self.mark_dirty(index);
        }
    }

    fn move_probes(&mut self) {
        while let Some(moment) = self.schedule.probes.take(self.common.now_us) {
            let client = &mut self.peers[moment.client as usize].client;
            let due = match client.player.stage {
                Stage::Playing => {
                    let mut context = self.common.context(client.group());
                    client.probe(moment.intended_us, &mut context)
                }
                Stage::Gone => continue,
                _ => Due::NotReady,
            };
            self.mark_dirty(moment.client as usize);
            if due == Due::Wait {
                self.schedule.probes.again(moment, self.common.now_us + AGAIN_US);
            } else {
                self.schedule.probes.onwards(moment, &mut self.common.rng);
            }
        }
    }

    fn fight_duels(&mut self) {
        while let Some(moment) = self.schedule.duels.take(self.common.now_us) {
            if self.fight(moment) == Some(Start::Wait) {
                self.schedule.duels.again(moment, self.common.now_us + AGAIN_US);
            } else {
                self.schedule.duels.onwards(moment, &mut self.common.rng);
            }
        }
    }

    /// Attacks in a duel, if both players are ready and the last attack is long enough ago.
    fn fight(&mut self, moment: ProbeMoment) -> Option<Start> {
        let (number, now_us) = (moment.client, self.common.now_us);
        self.common.duels.give_up(number, now_us, &mut self.common.tallies[Group::SocketIo]);
        let duel = self.common.duels.get(number);
        let both = [duel.attacker as usize, duel.target as usize];
        let are_ready = both.iter().all(|index| {
            let client = &self.peers[*index].client;
            client.player.stage == Stage::Playing && client.is_ready_to_fight(now_us)
        });
        if !are_ready {
            return None;
        }
        let start = self.common.duels.start(number, moment.intended_us, now_us)?;
        match start {
            Start::Now => {
                self.act(both[0] as u32, moment.intended_us, Client::attack);
            }
            Start::Lost => self.common.tallies[Group::SocketIo].record_hit_lost(moment.intended_us),
            Start::Wait => {}
        }
        Some(start)
    }

    /// Drops clients that take too long to join.
    fn check_deadlines(&mut self) {
        while self.deadlines_met < self.peers.len() {
            let player = &self.peers[self.deadlines_met].client.player;
            let is_under_way = !matches!(player.stage, Stage::Playing | Stage::Gone);
            if is_under_way {
                if self.common.now_us < player.connect_us.saturating_add(HANDSHAKE_US) {
                    break;
                }
                self.lose(self.deadlines_met, &Loss::TimedOut);
            }
            self.deadlines_met += 1;
        }
    }
}
