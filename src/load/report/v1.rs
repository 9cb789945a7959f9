//! The results for skirmish.v1 only.

use serde::{Deserialize, Serialize};

use super::{Spread, round};
use crate::load::v1::Counts;

/// Results for skirmish.v1 only. The bytes have frame headers. They are about the measurement,
/// except those of a join.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct V1 {
    /// Players that apply and verify all that they receive.
    pub observers: u32,
    /// Bytes per player and tick of the server, without keyframes, WELCOMEs and ROSTERs.
    pub bytes_per_tick: Option<f64>,
    /// The same for keyframes.
    pub keyframe_bytes_per_tick: Option<f64>,
    /// The same for ROSTERs.
    pub roster_bytes_per_tick: Option<f64>,
    /// Bytes of WELCOMEs and keyframes per player that joined, until the measurement began.
    pub join_bytes: Option<f64>,
    /// Bytes of ROSTERs per player that joined, until the measurement began.
    pub join_roster_bytes: Option<f64>,
    /// States about the changes of more than one tick.
    pub skipped: u64,
    /// Ticks without a state, because there was nothing to say.
    pub quiet: u64,
    /// States without a base.
    pub keyframes: u64,
    /// States while the server held changes back.
    pub crowded: u64,
    /// States with a base that the player did not have.
    pub refused: u64,
    /// RESYNCs sent.
    pub resyncs: u64,
    /// Malformed messages received.
    pub malformed: u64,
    /// CHECKs that the observers received.
    pub checks: u64,
    /// CHECKs with another sum than the observer's.
    pub check_errors: u64,
    /// INPUTs sent per second.
    pub sent_inputs_per_s: f64,
    /// Time from the scheduled change of course of a probe until each observer saw it.
    pub turn_to_seen_ms: Option<Spread>,
}

impl V1 {
    /// The results of the time between two totals, which took some seconds.
    #[must_use]
    pub fn of(then: &Counts, now: &Counts, seconds: f64) -> V1 {
        let ratio =
            |bytes: u64, count: u64| (count > 0).then(|| round(bytes as f64 / count as f64, 100.0));
        let ticks = now.ticks - then.ticks;
        V1 {
            bytes_per_tick: ratio(now.tick_bytes - then.tick_bytes, ticks),
            keyframe_bytes_per_tick: ratio(now.keyframe_bytes - then.keyframe_bytes, ticks),
            roster_bytes_per_tick: ratio(now.roster_bytes - then.roster_bytes, ticks),
            join_bytes: ratio(then.welcome_bytes + then.keyframe_bytes, then.welcomes),
            join_roster_bytes: ratio(then.roster_bytes, then.welcomes),
            skipped: now.skipped - then.skipped,
            quiet: now.quiet - then.quiet,
            keyframes: now.keyframes - then.keyframes,
            crowded: now.crowded - then.crowded,
            // Errors count from the start.
            refused: now.refused,
            resyncs: now.resyncs,
            malformed: now.malformed,
            checks: now.checks,
            check_errors: now.check_errors,
            sent_inputs_per_s: round((now.inputs - then.inputs) as f64 / seconds, 10.0),
            observers: 0,
            turn_to_seen_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_ticks_are_apart() {
        let then = Counts {
            welcomes: 4,
            welcome_bytes: 400,
            keyframes: 4,
            keyframe_bytes: 4_000,
            roster_bytes: 80,
            tick_bytes: 999,
            check_errors: 1,
            ..Counts::default()
        };
        let mut now = then;
        (now.ticks, now.tick_bytes, now.inputs) = (200, 999 + 13_400, 20);
        (now.keyframes, now.keyframe_bytes, now.checks) = (5, 5_000, 8);
        let v1 = V1::of(&then, &now, 10.0);
        assert_eq!((v1.bytes_per_tick, v1.keyframe_bytes_per_tick), (Some(67.0), Some(5.0)));
        assert_eq!((v1.join_bytes, v1.join_roster_bytes), (Some(1_100.0), Some(20.0)));
        assert_eq!((v1.keyframes, v1.check_errors, v1.sent_inputs_per_s), (1, 1, 2.0));
        assert_eq!(V1::of(&now, &now, 1.0).bytes_per_tick, None);
    }
}
