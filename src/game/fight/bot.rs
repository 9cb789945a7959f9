//! Bots of a fight. They move slower than players can, and need time to react.

use super::{COOLDOWN_MS, Fight, HEAL_MS, HP};
use crate::game::body::distance_squared;
use crate::game::{Body, Command, Point, Space};

/// A bot that could attack does so within as many ticks on average.
const REACTION_TICKS: i32 = 6;
/// Part of its health, in percent, below which a bot retreats.
const RETREAT_PERCENT: i32 = 30;
/// Part of its health, in percent, from which a bot that has rested fights again.
const RETURN_PERCENT: i32 = 70;
/// A bot that retreats stays away as many times its reach.
const RETREAT_REACHES: i32 = 4;

/// What a bot does: it hunts the nearest player, moves around it and attacks it. If it is hurt, it
/// retreats and rests.
pub(super) fn command(fight: &Fight, space: &mut Space, body: usize) -> Option<Command> {
    let me = &space.bodies()[body];
    if me.flags.dead {
        return None;
    }
    let (at, id) = (me.at, me.id);
    let is_other = |other: &&Body| other.id != id && !other.flags.dead;
    let others = space.bodies().iter().filter(is_other);
    let nearest = others.map(|other| other.at).min_by_key(|there| distance_squared(at, *there));
    let Some(there) = nearest.filter(|_| !fight.is_result(space)) else {
        return space.wander(body);
    };
    let reach = i32::from(fight.reach);
    let is_within = |length: i32| distance_squared(at, there) <= i64::from(length).pow(2) as u64;
    if is_within(reach)
        && space.value(body, COOLDOWN_MS) == 0
        && space.random(1, REACTION_TICKS) == 1
    {
        return Some(Command::Attack);
    }
    // Two fifths of the speed of a player.
    let pace = (i32::from(space.rules().step) * 2 / 5).max(1);
    let (dx, dy) = (i32::from(there.x) - i32::from(at.x), i32::from(there.y) - i32::from(at.y));
    let (dx, dy) = if is_hurt(fight, space, body) {
        if !is_within(RETREAT_REACHES * reach) {
            return None;
        }
        let away = |d: i32, side: u32| match d.signum() {
            0 if side == 0 => pace,
            0 => -pace,
            sign => -sign * pace,
        };
        (away(dx, id.0 & 1), away(dy, id.0 & 2))
    } else if is_within(reach * 2 / 3) {
        if space.random(1, 4) > 1 {
            return None;
        }
        (space.random(-pace, pace), space.random(-pace, pace))
    } else {
        (dx.clamp(-pace, pace), dy.clamp(-pace, pace))
    };
    let place = |from: u16, by: i32| (i32::from(from) + by).clamp(0, u16::MAX.into()) as u16;
    Some(Command::MoveTo(Point { x: place(at.x, dx), y: place(at.y, dy) }))
}

fn is_hurt(fight: &Fight, space: &Space, body: usize) -> bool {
    let percent = i64::from(space.value(body, HP)) * 100 / i64::from(fight.hp);
    let is_healing = space.value(body, HEAL_MS) <= fight.heal_every_ms;
    percent <= RETREAT_PERCENT.into() || (is_healing && percent < RETURN_PERCENT.into())
}
