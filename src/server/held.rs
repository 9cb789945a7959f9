//! What the account of memory counts: for each connection and session, and in all.

use std::net::IpAddr;

use super::admission::Admission;
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESS_SHARES, COUNT_STEP_BYTES};
use crate::time::{Millis, Tick};

/// What was counted last for a connection or a session. Changes of less than
/// [`COUNT_STEP_BYTES`] are not counted: most clients hold little, and never for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted(u32);

impl Counted {
    /// Takes the bytes that are held now. Returns the change, if it must be counted.
    pub fn renew(&mut self, held: usize) -> Option<Change> {
        let before = self.bytes();
        if held == before || held != 0 && held.abs_diff(before) < COUNT_STEP_BYTES {
            return None;
        }
        self.0 = u32::try_from(held).unwrap_or(u32::MAX);
        Some(Change { before, now: self.bytes() })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0 as usize
    }
}

/// How many bytes were counted, and how many are held.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub before: usize,
    pub now: usize,
}

/// The account.
#[derive(Debug)]
pub struct Memory {
    /// The maximum of all bytes together (`--max-memory`); `None` for no limit.
    max: Option<usize>,
    /// What connections and sessions hold.
    held: usize,
    /// What rooms hold for clients of skirmish.v1, as of the last count.
    pub histories: usize,
    /// The events that rooms hold for clients that recover, as of the last count.
    pub facts: usize,
    /// The tick after which rooms without players were deleted last, because memory was short.
    pub rooms_deleted_on: Option<Tick>,
    /// Addresses that may hold more than their share.
    over_share: Vec<IpAddr>,
}

impl Memory {
    /// An empty account.
    #[must_use]
    pub fn new(max: Option<usize>) -> Memory {
        Memory {
            max,
            held: 0,
            histories: 0,
            facts: 0,
            rooms_deleted_on: None,
            over_share: Vec::new(),
        }
    }

    /// The maximum, in bytes; `None` for no limit.
    #[must_use]
    pub fn max(&self) -> Option<usize> {
        self.max
    }

    /// What is held besides the assumed sizes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Counts a change of what is held for a client.
    pub fn count(
        &mut self,
        admission: &mut Admission,
        client: IpAddr,
        is_exempt: bool,
        change: Change,
        now: Millis,
    ) {
        let Change { before, now: held } = change;
        self.release(admission, client, before);
        self.held += held;
        if held > 0 {
            admission.hold_bytes(client, held, now);
        }
        let may_be_over = held > before && !is_exempt;
        if may_be_over && admission.network_with_more(client, self.share()).is_some() {
            self.over_share.push(client);
        }
    }

    /// Takes an address that may hold more than its share.
    pub fn pop_over_share(&mut self) -> Option<IpAddr> {
        self.over_share.pop()
    }

    /// Stops counting bytes of a client.
    pub fn release(&mut self, admission: &mut Admission, client: IpAddr, bytes: usize) {
        if bytes > 0 {
            self.held = self.held.saturating_sub(bytes);
            admission.release_bytes(client, bytes);
        }
    }

    /// What one address may hold.
    pub fn share(&self) -> usize {
        self.max.map_or(usize::MAX, |max| (max / ADDRESS_SHARES).min(ADDRESS_BYTES_MAX))
    }
}
