//! How many bytes clients and the server have sent each other, for the log.

use std::ops::{Add, AddAssign};

/// Bytes in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client.
    pub received_bytes: u64,
    /// To the client: what the kernel took.
    pub sent_bytes: u64,
}

impl Add for Traffic {
    type Output = Traffic;

    fn add(self, other: Traffic) -> Traffic {
        Traffic {
            received_bytes: self.received_bytes + other.received_bytes,
            sent_bytes: self.sent_bytes + other.sent_bytes,
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        *self = *self + other;
    }
}

/// What is logged of the connections of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Their transport.
    pub transport: &'static str,
    /// What they have carried.
    pub traffic: Traffic,
}
