//! The list of the bodies of a cell, as both sides keep it.

use super::cell::{Delta, DeltaRecord, FullRecords, Motion, put_full_record};
use super::{Body, Course, Malformed, NO_SLOT, Schema, State};

/// The bodies of a cell in the order of their slots, and the values of their public fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    bodies: Vec<Body>,
    /// A row for each body.
    values: Vec<i32>,
}

/// The same, borrowed from a [`List`] or from a longer table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bodies<'a> {
    /// In the order of their slots.
    pub bodies: &'a [Body],
    /// A row for each body.
    pub values: &'a [i32],
}

impl<'a> Bodies<'a> {
    /// The public fields of the body with an index.
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [i32] {
        // No row of a list is empty unless all are.
        let fields = self.values.len() / self.bodies.len().max(1);
        &self.values[index * fields..(index + 1) * fields]
    }

    /// The part of a CHECK for these bodies: the wrapping sum of the hashes of their FULL records,
    /// without the flags that hold for one tick. `record` is a buffer; it is overwritten.
    #[must_use]
    pub fn sum(&self, schema: &Schema, record: &mut Vec<u8>) -> u32 {
        let hashes = self.bodies.iter().enumerate().map(|(index, body)| {
            record.clear();
            let body = Body { state: body.state.lasting(), ..*body };
            put_full_record(schema, &body, self.row(index), record);
            fnv1a(record)
        });
        hashes.fold(0, u32::wrapping_add)
    }
}

impl List {
    /// Its bodies.
    #[must_use]
    pub fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// The public fields of the body with an index.
    #[must_use]
    pub fn values(&self, index: usize) -> &[i32] {
        self.borrowed().row(index)
    }

    /// Its content.
    #[must_use]
    pub fn borrowed(&self) -> Bodies<'_> {
        Bodies { bodies: &self.bodies, values: &self.values }
    }

    /// Removes all bodies.
    pub fn clear(&mut self) {
        self.bodies.clear();
        self.values.clear();
    }

    /// Adds a body with its public fields. All bodies of a list have the same number of fields.
    ///
    /// # Panics
    /// If its slot is not greater than those of the others.
    pub fn push(&mut self, body: Body, values: &[i32]) {
        let is_next = self.bodies.last().is_none_or(|last| last.id < body.id);
        assert!(is_next, "the slot {} is out of order", body.id);
        self.bodies.push(body);
        self.values.extend_from_slice(values);
    }

    /// Some ticks without news: bodies with a course take steps, those that leave the cell leave
    /// the list, and flags that hold for one tick end.
    pub fn advance(&mut self, schema: &Schema, cell: u16, ticks: u8) {
        if ticks == 0 {
            return;
        }
        let fields = schema.fields.len();
        let mut kept = 0;
        for index in 0..self.bodies.len() {
            let mut body = self.bodies[index];
            (body.x, body.y) = schema.ahead(&body, ticks);
            body.state = body.state.lasting();
            if !schema.is_in(cell, body.x, body.y) {
                continue;
            }
            self.bodies[kept] = body;
            if kept < index {
                self.values.copy_within(index * fields..(index + 1) * fields, kept * fields);
            }
            kept += 1;
        }
        self.bodies.truncate(kept);
        self.values.truncate(kept * fields);
    }

    /// Replaces the list with the records of a full CELL.
    ///
    /// # Errors
    /// A record is malformed, out of order, or has a place outside of the cell. The list is then
    /// incomplete.
    pub fn replace(
        &mut self,
        schema: &Schema,
        cell: u16,
        mut records: FullRecords,
    ) -> Result<(), Malformed> {
        self.clear();
        while let Some((body, values)) = records.next(schema)? {
            self.add(schema, cell, body, &values)?;
        }
        Ok(())
    }

    /// Applies a delta to the list of `ticks` ticks before the tick of the delta: that of the base
    /// of the cell, or an earlier one if the cell has not changed in between. `spare` is any list;
    /// it is overwritten.
    ///
    /// # Errors
    /// The delta is malformed or does not fit the list. The list is then unchanged.
    pub fn apply(
        &mut self,
        schema: &Schema,
        cell: u16,
        ticks: u8,
        delta: &Delta,
        spare: &mut List,
    ) -> Result<(), Malformed> {
        let Delta { age, mut records, mut entrants } = *delta;
        if age > ticks {
            return Err(Malformed::OutOfRange);
        }
        let ticks_before = ticks - 1;
        let mut record = records.next(schema)?;
        let mut skipped = record.map_or(0, |record| record.skipped);
        let mut entrant = entrants.next(schema)?;
        spare.clear();
        for (index, body) in self.bodies.iter().enumerate() {
            if !schema.stays(cell, body, ticks_before) {
                continue;
            }
            while let Some((new, values)) = entrant.filter(|(new, _)| new.id < body.id) {
                spare.add(schema, cell, new, &values)?;
                entrant = entrants.next(schema)?;
            }
            let change = match record.filter(|_| skipped == 0) {
                Some(change) => {
                    record = records.next(schema)?;
                    skipped = record.map_or(0, |record| record.skipped);
                    change
                }
                None => {
                    skipped = skipped.saturating_sub(1);
                    DeltaRecord::default()
                }
            };
            let Some(changed) = moved(schema, body, ticks, &change)? else { continue };
            if schema.is_in(cell, changed.x, changed.y) {
                let row = spare.values.len();
                spare.add(schema, cell, changed, self.values(index))?;
                for (at, value) in spare.values[row..].iter_mut().enumerate() {
                    if change.mask & 1 << at != 0 {
                        *value = change.values[at];
                    }
                }
            }
        }
        while let Some((new, values)) = entrant {
            spare.add(schema, cell, new, &values)?;
            entrant = entrants.next(schema)?;
        }
        if record.is_some() {
            return Err(Malformed::NotHeld);
        }
        std::mem::swap(self, spare);
        Ok(())
    }

    fn add(
        &mut self,
        schema: &Schema,
        cell: u16,
        body: Body,
        values: &[i32],
    ) -> Result<(), Malformed> {
        if body.id == NO_SLOT || !schema.is_in(cell, body.x, body.y) {
            return Err(Malformed::OutOfRange);
        }
        if self.bodies.last().is_some_and(|last| last.id >= body.id) {
            return Err(Malformed::Misplaced);
        }
        self.bodies.push(body);
        self.values.extend_from_slice(&values[..schema.fields.len()]);
        Ok(())
    }

    /// See [`Bodies::sum`].
    #[must_use]
    pub fn sum(&self, schema: &Schema, record: &mut Vec<u8>) -> u32 {
        self.borrowed().sum(schema, record)
    }
}

/// A body after `ticks` ticks, of which the record is about the last one, or about a change of
/// course up to `ticks - 1` ticks before it. `None` if it has left the game.
fn moved(
    schema: &Schema,
    body: &Body,
    ticks: u8,
    record: &DeltaRecord,
) -> Result<Option<Body>, Malformed> {
    let mut state = body.state.lasting();
    let (x, y) = match record.motion {
        Motion::None => schema.ahead(body, ticks),
        Motion::Turn { course, ago } => {
            let before = (ticks - 1).checked_sub(ago).ok_or(Malformed::OutOfRange)?;
            if state.has(State::DEAD) && course != Course::None {
                return Err(Malformed::OutOfRange);
            }
            state = state.on_course(course);
            schema.walk(schema.ahead(body, before), course, ago + 1)
        }
        Motion::Jump { x, y } => (x, y),
        Motion::Left => return Ok(None),
    };
    let state = record.state.unwrap_or(state);
    Ok(Some(Body { x, y, state, ..*body }))
}

/// The hash FNV-1a of 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Vectors of the authors of FNV.
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
