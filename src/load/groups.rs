//! The groups of clients, each with statistics of its own.

use std::ops::{Index, IndexMut, Range};

use hdrhistogram::Histogram;

use super::tally::{Counters, Tally};
use crate::config::Dialect;

/// A group of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Players of the JSON dialect.
    Json,
    /// Players of the Socket.IO dialect.
    SocketIo,
    /// Players of the dialect skirmish.v1.
    V1,
    /// Clients that stop reading again and again.
    Slow,
    /// Clients that never read.
    Stalled,
}

impl Group {
    /// All groups, in the order of [`Tallies`].
    pub const ALL: [Group; 5] =
        [Group::Json, Group::SocketIo, Group::V1, Group::Slow, Group::Stalled];
    /// The groups of players: the report is about them.
    pub const PLAYERS: [Group; 3] = [Group::Json, Group::SocketIo, Group::V1];

    /// The group of the players that speak `dialect`.
    #[must_use]
    pub fn of(dialect: Dialect) -> Group {
        match dialect {
            Dialect::Json => Group::Json,
            Dialect::SocketIo => Group::SocketIo,
            Dialect::V1 => Group::V1,
        }
    }
}

/// The statistics of all groups.
#[derive(Debug)]
pub struct Tallies([Tally; Group::ALL.len()]);

impl Tallies {
    /// Creates empty statistics.
    #[must_use]
    pub fn new() -> Tallies {
        Tallies(Group::ALL.map(|_| Tally::new()))
    }

    /// The statistics of the players, one for each dialect.
    pub fn of_players(&self) -> impl Iterator<Item = &Tally> {
        Group::PLAYERS.iter().map(|group| &self[*group])
    }

    /// The sum of the statistics of some groups.
    #[must_use]
    pub fn sum(&self, groups: &[Group]) -> Tally {
        let mut sum = Tally::new();
        groups.iter().for_each(|group| sum.add(&self[*group]));
        sum
    }

    /// Removes the recent gaps and visible moves of some groups, and returns their sums.
    pub fn take_recent(&mut self, groups: &[Group]) -> (Histogram<u64>, Histogram<u64>) {
        let mut sums = Tally::new().recent;
        for group in groups {
            let recent = &mut self[*group].recent;
            sums.gap_us.add(&recent.gap_us).expect("they have the same bounds");
            sums.visible_us.add(&recent.visible_us).expect("they have the same bounds");
            recent.gap_us.reset();
            recent.visible_us.reset();
        }
        (sums.gap_us, sums.visible_us)
    }

    /// The counters of all players.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.of_players().for_each(|tally| sum += tally.counters);
        sum
    }

    /// Players in the game now.
    #[must_use]
    pub fn playing(&self) -> u32 {
        self.of_players().map(|tally| tally.playing).sum()
    }

    /// Players lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.of_players().map(Tally::lost).sum()
    }

    /// Sets the window of the measurement, in microseconds of the run.
    pub fn set_window(&mut self, window: &Range<u64>) {
        self.0.iter_mut().for_each(|tally| tally.window = window.clone());
    }
}

impl Index<Group> for Tallies {
    type Output = Tally;

    fn index(&self, group: Group) -> &Tally {
        &self.0[group as usize]
    }
}

impl IndexMut<Group> for Tallies {
    fn index_mut(&mut self, group: Group) -> &mut Tally {
        &mut self.0[group as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_kept_apart_and_summed() {
        let mut tallies = Tallies::new();
        tallies.set_window(&(0..1_000));
        for (group, playing) in Group::ALL.into_iter().zip([1, 2, 4, 8, 16]) {
            tallies[group].playing = playing;
            tallies[group].counters.moves = u64::from(playing);
            tallies[group].record_gap(0, 50 * u64::from(playing));
        }
        assert_eq!((tallies.playing(), tallies.counters().moves, tallies.lost()), (7, 7, 0));
        let sum = tallies.sum(&Group::PLAYERS);
        assert_eq!((sum.gap_us.len(), sum.gap_us.max(), sum.playing), (3, 200, 7));
    }
}
