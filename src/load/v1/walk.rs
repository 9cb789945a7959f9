//! Goes through the parts of a message without keeping any cells.
//!
//! The CELLs of a tick are the same bytes for all clients that see the same cells from the same
//! base. In a crowd that is most of the work, so the results of recent ones are kept.

use crate::codec::v1::cell::Content;
use crate::codec::v1::server::{Head, Part, Parts};
use crate::codec::v1::{Malformed, Schema};

/// Bytes of a ROSTER before its entries, and of an entry before its name.
const ROSTER_START_BYTES: usize = 3;
const ENTRY_START_BYTES: usize = 11;
/// The number of results that are kept: those of a tick, for clients with different bases and
/// views.
const RECENT: usize = 256;
/// CELLs with fewer bytes are faster to read than to find.
const KEPT_BYTES_MIN: usize = 256;
/// CELLs with more bytes are those of a join, which differ for all clients.
const KEPT_BYTES_MAX: usize = 256 * 1024;

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

/// Goes through messages.
#[derive(Debug, Default)]
pub struct Walker {
    /// The results, each at the place that its bytes give ([`place`]). The last one is that of
    /// CELLs that are not kept.
    recent: Vec<Cells>,
}

/// Where the result for these bytes is kept. They are longer than two words. CELLs with different
/// bases differ in the bytes at the start, those of different ticks at the end.
fn place(bytes: &[u8]) -> usize {
    let first = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let last = bytes.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mixed =
        (first ^ last.rotate_left(32) ^ bytes.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 48) as usize % RECENT
}

/// The CELLs of a message, and what they have.
#[derive(Debug, Default)]
struct Cells {
    bytes: Vec<u8>,
    /// HEAD's number of CELLs. That of a keyframe is negative: all its CELLs are full.
    count: i16,
    delta_age: u8,
    /// Slot and generation of each FULL record.
    full: Vec<(u16, u8)>,
}

impl Cells {
    fn read(&mut self, parts: &mut Parts, schema: &Schema) -> Result<(), Malformed> {
        self.full.clear();
        self.delta_age = 0;
        for part in parts {
            let Part::Cell(cell) = part? else { continue };
            let mut records = match cell.content {
                Content::Full(records) => records,
                Content::Delta(delta) => {
                    self.delta_age = self.delta_age.max(delta.age);
                    delta.entrants
                }
                Content::Forget => continue,
            };
            while let Some((body, _)) = records.next(schema)? {
                self.full.push((body.id, body.generation));
            }
        }
        Ok(())
    }
}

impl Walker {
    /// Goes through a message, WELCOME aside. `on_full` gets slot and generation of each FULL
    /// record: every body that is new to a client has one. All clients have the same schema.
    ///
    /// # Errors
    /// The message is malformed.
    pub fn walk(
        &mut self,
        message: &[u8],
        schema: &Schema,
        mut on_full: impl FnMut(u16, u8),
    ) -> Result<Walked, Malformed> {
        let mut walked = Walked::default();
        let mut parts = Parts::new(message, schema);
        while !parts.is_at_cell() {
            match parts.next().transpose()? {
                None => return Ok(walked),
                Some(Part::Head(head)) => walked.head = Some(head),
                Some(Part::Roster(roster)) => {
                    walked.roster_bytes += ROSTER_START_BYTES as u64;
                    for entry in roster {
                        walked.roster_bytes += (ENTRY_START_BYTES + entry.name.len()) as u64;
                        walked.roster_entries += 1;
                    }
                }
                Some(Part::Check(_)) => walked.checks += 1,
                Some(Part::Event(_) | Part::Cell(_)) => {}
            }
        }
        let head = walked.head.ok_or(Malformed::Misplaced)?;
        let count = i16::from(head.cells) * if head.age == 0 { -1 } else { 1 };
        let cells = self.cells(count, &mut parts, schema)?;
        walked.delta_age = cells.delta_age;
        cells.full.iter().for_each(|(slot, generation)| on_full(*slot, *generation));
        Ok(walked)
    }

    fn cells(
        &mut self,
        count: i16,
        parts: &mut Parts,
        schema: &Schema,
    ) -> Result<&Cells, Malformed> {
        let bytes = parts.rest();
        let is_kept = (KEPT_BYTES_MIN..KEPT_BYTES_MAX).contains(&bytes.len());
        if self.recent.is_empty() {
            self.recent.resize_with(RECENT + 1, Cells::default);
        }
        let cells = &mut self.recent[if is_kept { place(bytes) } else { RECENT }];
        if is_kept && cells.count == count && cells.bytes == bytes {
            return Ok(cells);
        }
        // Without bytes it is not found again; nor is it if it is malformed.
        cells.bytes.clear();
        cells.read(parts, schema)?;
        if is_kept {
            cells.count = count;
            cells.bytes.extend_from_slice(bytes);
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::v1::cell::encode_full;
    use crate::codec::v1::schema::Walls;
    use crate::codec::v1::{Body, List, Width};
    use crate::time::Tick;

    fn schema() -> Schema {
        Schema {
            walls: Walls { left: 0, top: 0, right: 900, bottom: 900 },
            step: 10,
            side: 1 << 16,
            columns: 1,
            fields: vec![Width::U8],
            owner_fields: Vec::new(),
            events: Vec::new(),
        }
    }

    fn message(schema: &Schema, bodies: u16, age: u8, cells: u8, applied: u16) -> Vec<u8> {
        let mut list = List::default();
        (0..bodies).for_each(|id| list.push(Body { id, ..Body::default() }, &[1]));
        let mut message = Vec::new();
        let head = Head { tick: Tick(9), age, cells, applied, ..Head::default() };
        head.encode(schema, &mut message);
        encode_full(schema, 0, list.borrowed(), &mut message);
        message
    }

    #[test]
    fn cells_that_were_read_before_have_the_same_result() {
        let schema = schema();
        let mut walker = Walker::default();
        for round in 0..3 {
            // 100 bodies are kept, the others are read again.
            for bodies in [1, 100, 40_000] {
                let mut seen = Vec::new();
                let message = message(&schema, bodies, 1, 1, round);
                let walked = walker.walk(&message, &schema, |slot, _| seen.push(slot)).unwrap();
                assert_eq!(walked.head.map(|head| head.applied), Some(round));
                assert_eq!(seen, (0..bodies).collect::<Vec<_>>());
            }
        }
        assert_eq!(walker.recent.iter().filter(|cells| !cells.bytes.is_empty()).count(), 1);
    }

    #[test]
    fn the_same_cells_behind_another_head_are_judged_again() {
        let schema = schema();
        let mut walker = Walker::default();
        let mut walk = |cells| {
            walker.walk(&message(&schema, 100, 1, cells, 0), &schema, |_, _| {}).map(|_| ())
        };
        assert_eq!(walk(1), Ok(()));
        assert!(walk(2).is_err(), "a CELL is missing");
        assert!(walk(0).is_err(), "a CELL is too many");
        assert_eq!(walk(1), Ok(()));
        let mut cut = message(&schema, 100, 1, 1, 0);
        cut.pop();
        assert!(walker.walk(&cut, &schema, |_, _| {}).is_err());
    }
}
