//! Totals over all clients of the dialect.

use std::ops::AddAssign;

/// Totals since the start; a part of [`Counters`](crate::load::tally::Counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// WELCOMEs received, and their bytes. All bytes here include frame headers.
    pub welcomes: u64,
    /// See `welcomes`.
    pub welcome_bytes: u64,
    /// HEADs without a base, and the bytes of their messages.
    pub keyframes: u64,
    /// See `keyframes`.
    pub keyframe_bytes: u64,
    /// ROSTER entries received, and the bytes of the ROSTERs.
    pub roster_entries: u64,
    /// See `roster_entries`.
    pub roster_bytes: u64,
    /// Bytes of everything else.
    pub tick_bytes: u64,
    /// Ticks of the server from each HEAD to the one before it on the same connection.
    pub ticks: u64,
    /// HEADs about the changes of more than one tick.
    pub skipped: u64,
    /// Ticks without a HEAD, because there was nothing to say.
    pub quiet: u64,
    /// HEADs with the flag that changes are held back.
    pub crowded: u64,
    /// HEADs with a base that the client did not have.
    pub refused: u64,
    /// RESYNCs sent.
    pub resyncs: u64,
    /// Malformed messages received.
    pub malformed: u64,
    /// CHECKs received by clients that compute the sum.
    pub checks: u64,
    /// CHECKs with another sum than the client's.
    pub check_errors: u64,
    /// INPUTs sent.
    pub inputs: u64,
    /// Clients of a crowd that have reached its place.
    pub gathered: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.welcomes += more.welcomes;
        self.welcome_bytes += more.welcome_bytes;
        self.keyframes += more.keyframes;
        self.keyframe_bytes += more.keyframe_bytes;
        self.roster_entries += more.roster_entries;
        self.roster_bytes += more.roster_bytes;
        self.tick_bytes += more.tick_bytes;
        self.ticks += more.ticks;
        self.skipped += more.skipped;
        self.quiet += more.quiet;
        self.crowded += more.crowded;
        self.refused += more.refused;
        self.resyncs += more.resyncs;
        self.malformed += more.malformed;
        self.checks += more.checks;
        self.check_errors += more.check_errors;
        self.inputs += more.inputs;
        self.gathered += more.gathered;
    }
}
