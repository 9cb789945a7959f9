//! Duels: they measure the time from a scheduled attack until its target receives the hit.
//!
//! `player_attacked` does not name the attacker. So the two players of a duel meet where no other
//! player attacks: at the edge of the map, out of reach of other duels and of all other players
//! (`socketio::steps`). An attack waits until the previous one has been seen.

use std::ops::Range;

use super::socketio::Position;
use super::stopwatch::{Start, Stopwatch};
use super::tally::Tally;

/// Maximum number of duels in a room: the number of positions for them.
const DUELS_A_ROOM: u32 = 10;
/// Players per duel; a room of two players has a duel, too.
const PLAYERS_A_DUEL: u32 = 10;
/// Map units between two positions on one edge; an attack reaches 10.
const SPACING: f64 = 25.0;
/// The x of the right edge of the map.
const FAR_EDGE: f64 = 100.0;
/// Minimum period of attacks. The cooldown is 250 ms, and the jitter is up to 50 ms.
pub const PERIOD_US_MIN: u64 = 350_000;
/// Minimum time between two attacks; one that comes sooner is skipped.
const GAP_US: u64 = 300_000;

/// All duels of a run.
#[derive(Debug, Default)]
pub struct Duels {
    all: Vec<Duel>,
}

/// Two clients in the same room.
#[derive(Debug)]
pub struct Duel {
    /// The attacker.
    pub attacker: u32,
    /// Its target.
    pub target: u32,
    /// Where both stand.
    pub place: Position,
    attacked_us: Option<u64>,
    stopwatch: Stopwatch,
}

/// The role of a client in its duel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duelist {
    /// The number of the duel.
    pub duel: u32,
    /// Whether it is the attacker.
    pub is_attacker: bool,
    /// The position of the duel.
    pub place: Position,
}

impl Duels {
    /// Creates the duels of `clients`, with `room_players` clients in each room.
    #[must_use]
    pub fn new(clients: u32, room_players: u32) -> Duels {
        let mut all = Vec::new();
        for first in (0..clients).step_by(room_players as usize) {
            let players = room_players.min(clients - first);
            let count = if players < 2 { 0 } else { (players / PLAYERS_A_DUEL).max(1) };
            all.extend((0..count.min(DUELS_A_ROOM)).map(|nth| Duel {
                attacker: first + 2 * nth,
                target: first + 2 * nth + 1,
                place: Position {
                    x: f64::from(nth % 2) * FAR_EDGE,
                    y: f64::from(nth / 2) * SPACING,
                },
                attacked_us: None,
                stopwatch: Stopwatch::default(),
            }));
        }
        Duels { all }
    }

    /// The role of `client` in its duel, if it has one.
    #[must_use]
    pub fn duelist(&self, client: u32) -> Option<Duelist> {
        let duel = self.all.partition_point(|duel| duel.target < client);
        let of = self.all.get(duel).filter(|of| of.attacker <= client)?;
        let is_attacker = of.attacker == client;
        Some(Duelist { duel: duel as u32, is_attacker, place: of.place })
    }

    /// The numbers of all duels.
    #[must_use]
    pub fn numbers(&self) -> Range<u32> {
        0..self.all.len() as u32
    }

    /// The duel with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> &Duel {
        &self.all[number as usize]
    }

    /// Decides whether to attack for the moment `intended_us`; `None` if the last attack was too
    /// recent.
    pub fn start(&mut self, number: u32, intended_us: u64, now_us: u64) -> Option<Start> {
        let duel = &mut self.all[number as usize];
        if duel.attacked_us.is_some_and(|attacked_us| now_us < attacked_us + GAP_US) {
            return None;
        }
        let start = duel.stopwatch.start(intended_us, now_us);
        if start == Start::Now {
            duel.attacked_us = Some(now_us);
        }
        Some(start)
    }

    /// The target has received the hit. Returns when the attack was scheduled.
    pub fn hit(&mut self, number: u32) -> Option<u64> {
        self.all[number as usize].stopwatch.stop()
    }

    /// The server has refused the attack: stop waiting for the hit.
    pub fn refuse(&mut self, number: u32) {
        self.all[number as usize].stopwatch.stop();
    }

    /// Gives up the pending attack if it is too old.
    pub fn give_up(&mut self, number: u32, now_us: u64, tally: &mut Tally) {
        if let Some(intended_us) = self.all[number as usize].stopwatch.give_up(now_us) {
            tally.record_hit_lost(intended_us);
        }
    }

    /// Whether no attack scheduled before `end_us` is pending.
    #[must_use]
    pub fn are_settled(&self, end_us: u64) -> bool {
        let mut pending = self.all.iter().filter_map(|duel| duel.stopwatch.pending_us());
        pending.all(|intended_us| intended_us >= end_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duels_are_assigned_to_pairs_of_players() {
        for (clients, room_players, count) in
            [(1, 1, 0), (2, 2, 1), (9, 9, 1), (50, 50, 5), (1_000, 1_000, 10), (7, 3, 2), (0, 1, 0)]
        {
            let duels = Duels::new(clients, room_players);
            assert_eq!(duels.numbers(), 0..count, "{clients} in rooms of {room_players}");
            for number in duels.numbers() {
                let Duel { attacker, target, place, .. } = *duels.get(number);
                assert_eq!(attacker / room_players, target / room_players, "one room");
                let who = |is_attacker| Some(Duelist { duel: number, is_attacker, place });
                assert_eq!(
                    (duels.duelist(attacker), duels.duelist(target)),
                    (who(true), who(false))
                );
            }
            let fighting = (0..clients).filter(|client| duels.duelist(*client).is_some());
            assert_eq!(fighting.count() as u32, 2 * count);
        }
    }

    #[test]
    fn attacks_do_not_reach_other_duels() {
        let duels = Duels::new(2_000, 2_000);
        let places: Vec<Position> = duels.all.iter().map(|duel| duel.place).collect();
        for (nth, one) in places.iter().enumerate() {
            let far = |other: &Position| (one.x - other.x).hypot(one.y - other.y) > 20.0;
            assert!(places[..nth].iter().all(far));
            assert!((0.0..=100.0).contains(&one.x) && (0.0..=100.0).contains(&one.y));
        }
    }

    #[test]
    fn an_attack_waits_for_the_previous_one_and_the_cooldown() {
        let mut duels = Duels::new(2, 2);
        assert_eq!(duels.start(0, 1_000, 1_500), Some(Start::Now));
        assert_eq!(duels.start(0, 400_000, 400_000), Some(Start::Wait));
        assert!(duels.are_settled(1_000) && !duels.are_settled(1_001));
        assert_eq!(duels.hit(0), Some(1_000));
        assert_eq!(duels.hit(0), None);
        assert_eq!(duels.start(0, 400_000, 301_499), None);
        assert_eq!(duels.start(0, 400_000, 400_000), Some(Start::Now));
        duels.refuse(0);
        assert!(duels.are_settled(u64::MAX));
    }
}
