//! Goes through the parts of a message without keeping any cells.

use crate::codec::v1::cell::Content;
use crate::codec::v1::server::{Head, Part, Parts};
use crate::codec::v1::{Malformed, Schema};

/// Bytes of a ROSTER before its entries, and of an entry before its name.
const ROSTER_START_BYTES: usize = 3;
const ENTRY_START_BYTES: usize = 11;

/// What a message has, the contents of its cells aside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walked {
    /// Its HEAD.
    pub head: Option<Head>,
    /// The greatest base age of its delta CELLs; 0 without any.
    pub delta_age: u8,
    /// The bytes of its ROSTERs.
    pub roster_bytes: u64,
    /// The entries of its ROSTERs.
    pub roster_entries: u64,
    /// Its CHECKs.
    pub checks: u64,
}

impl Walked {
    /// Ticks before that of HEAD about which there was nothing to say: no cell has changed, and the
    /// server does not send fewer ticks than requested.
    #[must_use]
    pub fn quiet_ticks(&self) -> u8 {
        let sent = self.head.filter(|head| head.flags & Head::RATE_LOWERED == 0);
        sent.map_or(0, |head| head.age.saturating_sub(self.delta_age.max(1)))
    }
}

/// Goes through a message, WELCOME aside. `on_full` gets slot and generation of each FULL record:
/// every body that is new to a client has one.
///
/// # Errors
/// The message is malformed.
pub fn walk(
    message: &[u8],
    schema: &Schema,
    mut on_full: impl FnMut(u16, u8),
) -> Result<Walked, Malformed> {
    let mut walked = Walked::default();
    for part in Parts::new(message, schema) {
        match part? {
            Part::Head(head) => walked.head = Some(head),
            Part::Cell(cell) => {
                let mut records = match cell.content {
                    Content::Full(records) => records,
                    Content::Delta(delta) => {
                        walked.delta_age = walked.delta_age.max(delta.age);
                        delta.entrants
                    }
                    Content::Forget => continue,
                };
                while let Some((body, _)) = records.next(schema)? {
                    on_full(body.id, body.generation);
                }
            }
            Part::Roster(roster) => {
                walked.roster_bytes += ROSTER_START_BYTES as u64;
                for entry in roster {
                    walked.roster_bytes += (ENTRY_START_BYTES + entry.name.len()) as u64;
                    walked.roster_entries += 1;
                }
            }
            Part::Event(_) => {}
            Part::Check(_) => walked.checks += 1,
        }
    }
    Ok(walked)
}
