//! The state that all clients of a run share: the time, the statistics, what is timed between
//! clients, and the random number generator.

use rand::rngs::SmallRng;

use super::duel::Duels;
use super::groups::{Group, Tallies};
use super::tally::Tally;
use super::v1::Shared;

/// The shared state of all clients.
#[derive(Debug)]
pub struct Common {
    /// The current time, in microseconds of the run.
    pub now_us: u64,
    /// The statistics of the clients.
    pub tallies: Tallies,
    /// The duels.
    pub duels: Duels,
    /// What the clients of skirmish.v1 share.
    pub v1: Shared,
    /// The random number generator.
    pub rng: SmallRng,
}

impl Common {
    /// The part that a client of `group` needs.
    pub fn context(&mut self, group: Group) -> Context<'_> {
        Context {
            now_us: self.now_us,
            tally: &mut self.tallies[group],
            duels: &mut self.duels,
            v1: &mut self.v1,
            rng: &mut self.rng,
        }
    }
}

/// What a client needs of [`Common`].
#[derive(Debug)]
pub struct Context<'a> {
    /// The current time, in microseconds of the run.
    pub now_us: u64,
    /// Where its statistics go.
    pub tally: &'a mut Tally,
    /// The duels.
    pub duels: &'a mut Duels,
    /// What the clients of skirmish.v1 share.
    pub v1: &'a mut Shared,
    /// The random number generator.
    pub rng: &'a mut SmallRng,
}
