//! Rounds: after some time or some kills a round ends, its winner is shown, and the next one begins
//! with equal scores.

use super::rules::ROUND_EVENT;
use super::{COOLDOWN_MS, DEATHS, HP, KILLS, RESPAWN_MS};
use crate::game::{Event, RoomField, Rules, Space, Width};
use crate::time::TICK_MS;

/// What a round adds to the room.
pub(super) const FIELDS: [RoomField; 3] = [
    // The number of the round, from 1. During the result it is that of the round before.
    RoomField::new("round", Width::I32, 1),
    // Time until the round or the result ends. Clients count down themselves.
    RoomField::new("ends_ms", Width::I32, 180_000).changes_sent_by_events(),
    // The winner of the round during the result; 0 during a round.
    RoomField::new("winner", Width::U32, 0),
];

const ROUND: usize = 0;
const ENDS_MS: usize = 1;
const WINNER: usize = 2;

/// The numbers of a round.
#[derive(Debug)]
pub(super) struct Rounds {
    round_ms: i32,
    kills: i32,
    result_ms: i32,
    /// Whether one player was alone on the last tick.
    pub was_alone: bool,
}

/// Whether the result of a round is shown, in which attacks have no effect.
pub(super) fn is_result(space: &Space) -> bool {
    space.room(WINNER) != 0
}

impl Rounds {
    pub fn new(rules: &Rules) -> Rounds {
        Rounds {
            round_ms: super::span_ms(rules, "round_ms", i32::MAX / 2),
            kills: super::positive(rules, "round_kills", i32::MAX),
            result_ms: super::span_ms(rules, "result_ms", i32::MAX / 2),
            was_alone: false,
        }
    }

    /// The first player of a room begins a round.
    pub fn joined(&self, space: &mut Space) {
        if space.bodies().len() == 1 {
            space.set_room(ENDS_MS, self.round_ms);
        }
    }

    /// A player leaves. An empty room has its first round again.
    pub fn leaves(&self, space: &mut Space) {
        if space.bodies().len() == 1 {
            space.set_room(ROUND, 1);
            space.set_room(ENDS_MS, self.round_ms);
            space.set_room(WINNER, 0);
        }
    }

    /// A player has killed others. Enough kills end the round.
    pub fn killed(&self, space: &mut Space, by: usize) {
        if space.value(by, KILLS) >= self.kills {
            self.end(space, by);
        }
    }

    /// Counts down. A second player gets a whole round, unless there are scores.
    /// `hp` is the full health.
    pub fn tick(&mut self, space: &mut Space, hp: i32) {
        let players = space.bodies().len();
        let was_alone = std::mem::replace(&mut self.was_alone, players == 1);
        if players == 0 {
            return;
        }
        let is_scored = |body| space.value(body, KILLS) > 0 || space.value(body, DEATHS) > 0;
        if was_alone && players > 1 && !is_result(space) && !(0..players).any(is_scored) {
            return self.restart(space);
        }
        let ends_ms = space.room(ENDS_MS) - TICK_MS as i32;
        space.set_room(ENDS_MS, ends_ms);
        if ends_ms > 0 {
            return;
        }
        match best(space) {
            Some(winner) if !is_result(space) => self.end(space, winner),
            _ => self.begin(space, hp),
        }
    }

    /// Whether the invariants hold.
    pub fn is_sound(&self, space: &Space) -> bool {
        let ends_ms_max = if is_result(space) { self.result_ms } else { self.round_ms };
        space.room(ROUND) >= 1 && (0..=ends_ms_max).contains(&space.room(ENDS_MS))
    }

    fn end(&self, space: &mut Space, winner: usize) {
        space.set_room(WINNER, space.bodies()[winner].id.0 as i32);
        space.set_room(ENDS_MS, self.result_ms);
        report(space);
    }

    /// Begins the next round with equal scores. After a result all respawn; after a round without a
    /// kill only the dead do.
    fn begin(&self, space: &mut Space, hp: i32) {
        let is_after_result = is_result(space);
        space.set_room(ROUND, space.room(ROUND).wrapping_add(1).max(1));
        space.set_room(WINNER, 0);
        self.restart(space);
        for body in 0..space.bodies().len() {
            space.set(body, KILLS, 0);
            space.set(body, DEATHS, 0);
            if is_after_result || space.bodies()[body].flags.dead {
                space.set(body, HP, hp);
                space.set(body, RESPAWN_MS, 0);
                space.set(body, COOLDOWN_MS, 0);
                space.respawn(body);
            }
        }
    }

    /// Sets the clock of the present round to its start.
    fn restart(&self, space: &mut Space) {
        space.set_room(ENDS_MS, self.round_ms);
        report(space);
    }
}

/// The player with the most kills, of several the one with the fewest deaths, and then the one with
/// the lowest number. `None` without a kill.
pub(super) fn best(space: &Space) -> Option<usize> {
    let killers = (0..space.bodies().len()).filter(|body| space.value(*body, KILLS) > 0);
    // Of equal ones `max_by_key` takes the last.
    killers.rev().max_by_key(|body| (space.value(*body, KILLS), -space.value(*body, DEATHS)))
}

fn report(space: &mut Space) {
    let winner = space.room(WINNER) as u32;
    let [round, ends_ms] = [ROUND, ENDS_MS].map(|field| space.room(field).into());
    space.report_to_room(Event::own(ROUND_EVENT, [round, ends_ms, winner.into()]));
}
