//! What all clients of a run have in common: the time, the sums of what they see, the duels, and
//! chance.

use rand::rngs::SmallRng;

use super::duel::Duels;
use super::tally::Tally;

/// What all clients have in common.
#[derive(Debug)]
pub struct Common {
    /// What time it is, in microseconds of the run.
    pub now_us: u64,
    /// What the clients have seen.
    pub tally: Tally,
    /// What became of the clients that never read.
    pub stalled: Tally,
    /// Who strikes whom.
    pub duels: Duels,
    /// The source of chance.
    pub rng: SmallRng,
}

impl Common {
    /// The part of it that a client needs; those that never read are counted apart.
    pub fn context(&mut self, is_stalled: bool) -> Context<'_> {
        Context {
            now_us: self.now_us,
            tally: if is_stalled { &mut self.stalled } else { &mut self.tally },
            duels: &mut self.duels,
            rng: &mut self.rng,
        }
    }
}

/// What a client needs of [`Common`] to act and to hear.
#[derive(Debug)]
pub struct Context<'a> {
    /// What time it is, in microseconds of the run.
    pub now_us: u64,
    /// Where its statistics go.
    pub tally: &'a mut Tally,
    /// Who strikes whom.
    pub duels: &'a mut Duels,
    /// The source of chance.
    pub rng: &'a mut SmallRng,
}
