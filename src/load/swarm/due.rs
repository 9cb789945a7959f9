//! The scheduled actions of the clients of a swarm.

use rand::rngs::SmallRng;

use super::{CONNECTS_A_TURN, HANDSHAKE_US, Swarm};
use crate::config::{Dialect, Load, Pattern};
use crate::load::client::Client;
use crate::load::context::Context;
use crate::load::duel::{self, Duels};
use crate::load::groups::Group;
use crate::load::link::LINKS;
use crate::load::loss::Loss;
use crate::load::player::{Role, Stage};
use crate::load::probe::Due;
use crate::load::schedule::{Churn, Connects, Moves, PROBE_PERIOD_US, ProbeMoment, Probes};
use crate::load::stopwatch::{LOST_AFTER_US, Start};

/// How soon an action that waits for a pending one is tried again.
const AGAIN_US: u64 = 5_000;
/// Moves per second of players on the way to their duels, or to the place of a crowd.
const WALK_HZ: f64 = 10.0;
/// How often per second a player of skirmish.v1 says at least which keys it holds.
const HOLDS_HZ: f64 = 2.0;
/// How often per second a slow reader stops or resumes reading.
const PAUSES_HZ: f64 = 0.5;
/// How long a player may take to leave.
const LEAVE_US: u64 = 1_000_000;

const _: () = assert!(AGAIN_US < LOST_AFTER_US);

/// The schedules of all actions.
pub struct Schedule {
    /// Connects.
    pub connects: Connects,
    moves: Moves,
    attacks: Moves,
    walks: Moves,
    /// Players of skirmish.v1 say which keys they hold.
    holds: Moves,
    /// Steps towards the place of a crowd, before the measurement.
    pub(super) gathering: Moves,
    /// Slow readers stop or resume reading.
    pauses: Moves,
    pub(super) churn: Churn,
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
        let gathers: fn(&Role) -> bool = |role| matches!(role, Role::Crowd | Role::Probe(_));
        let gather_hz = if options.pattern == Pattern::Crowd { WALK_HZ } else { 0.0 };
        let all_holding = all(|role| !matches!(role, Role::Stalled))
            .filter(|index| options.dialect_of(*index as usize) == Dialect::V1);
        let period_us = (1e6 / options.attacks_hz) as u64;
        Schedule {
            connects: Connects::new(options.all_clients(), options.ramp_hz),
            moves: Moves::new(crowd(), options.moves_hz, rng),
            probes: Probes::new(&probing, PROBE_PERIOD_US, rng),
            attacks: Moves::new(crowd(), options.attacks_hz, rng),
            walks: Moves::new(all(|role| matches!(role, Role::Duelist(_))), WALK_HZ, rng),
            holds: Moves::new(all_holding, HOLDS_HZ, rng),
            gathering: Moves::new(all(gathers), gather_hz, rng),
            pauses: Moves::new(all(|role| matches!(role, Role::Slow(_))), PAUSES_HZ, rng),
            churn: Churn::new(crowd(), options.churn_hz, rng),
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
        self.holds.end();
        self.gathering.end();
        self.pauses.end();
        self.churn.end();
        self.probes.end();
        self.duels.end();
    }

    fn next_us(&self) -> u64 {
        let moves =
            [&self.moves, &self.attacks, &self.walks, &self.holds, &self.gathering, &self.pauses];
        let moves = moves.map(Moves::next_us);
        let probes = [&self.probes, &self.duels].map(Probes::next_us);
        let next_us = moves.into_iter().chain(probes).min().unwrap_or(u64::MAX);
        next_us.min(self.connects.next_us()).min(self.churn.next_us())
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
            self.joining.push_back(index as usize);
            self.flush(index as usize);
        }
        while let Some((index, due_us)) = self.schedule.moves.take(self.common.now_us) {
            self.act(index, due_us, Client::make_move);
        }
        while let Some((index, due_us)) = self.schedule.attacks.take(self.common.now_us) {
            self.act(index, due_us, Client::attack);
        }
        while let Some((index, due_us)) = self.schedule.walks.take(self.common.now_us) {
            self.act(index, due_us, Client::walk);
        }
        while let Some((index, due_us)) = self.schedule.holds.take(self.common.now_us) {
            self.act(index, due_us, Client::hold);
        }
        while let Some((index, due_us)) = self.schedule.gathering.take(self.common.now_us) {
            self.act(index, due_us, Client::gather);
        }
        while let Some((index, due_us)) = self.schedule.pauses.take(self.common.now_us) {
            self.pause_or_resume(index as usize, due_us);
        }
        while let Some(index) = self.schedule.churn.take(self.common.now_us) {
            self.leave(index as usize);
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

    /// A slow reader stops reading, or it resumes and makes a timed move.
    fn pause_or_resume(&mut self, index: usize, due_us: u64) {
        let peer = &mut self.peers[index];
        peer.is_paused = peer.client.player.stage == Stage::Playing && !peer.is_paused;
        if !peer.is_paused {
            self.act(index as u32, due_us, |client, due_us, context| {
                client.probe(due_us, context);
            });
            (0..LINKS).for_each(|link| self.read(index, link, true));
        }
    }

    /// A player leaves; `replace_players` will put a new one in its place.
    fn leave(&mut self, index: usize) {
        let client = &mut self.peers[index].client;
        if client.player.stage == Stage::Playing {
            let mut context = self.common.context(client.group());
            client.close(&mut context);
            client.player.stage = Stage::Leaving;
            context.tally.playing -= 1;
            context.tally.counters.left += 1;
            self.leaving.push_back((self.common.now_us + LEAVE_US, index));
            self.mark_dirty(index);
        }
    }

    /// Puts new players in the place of those that have left, or that the server keeps too long.
    pub(super) fn replace_players(&mut self) {
        while let Some((due_us, index)) = self.leaving.front().copied() {
            if due_us > self.common.now_us {
                break;
            }
            self.leaving.pop_front();
            if self.peers[index].client.player.stage == Stage::Leaving {
                self.lose(index, &Loss::TimedOut);
            }
        }
        while let Some(index) = self.left.pop() {
            let client = &mut self.peers[index].client;
            *client = client.replacement(self.common.now_us);
            client.begin(&self.options, index);
            self.joining.push_back(index);
            self.flush(index);
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
        while let Some(index) = self.joining.front().copied() {
            let player = &self.peers[index].client.player;
            if player.stage == Stage::Joining {
                if self.common.now_us < player.connect_us.saturating_add(HANDSHAKE_US) {
                    break;
                }
                self.lose(index, &Loss::TimedOut);
            }
            self.joining.pop_front();
        }
    }
}
