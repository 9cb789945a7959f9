//! CELL: what a tick has of one cell. Its bytes are the same for all clients with the same base.

use super::bytes::Reader;
use super::schema::{put_values, read_values};
use super::{Bodies, Body, Course, Malformed, Schema, State, Values};

pub(super) const DELTA: u8 = 0xc0;
pub(super) const FULL: u8 = 0xc1;
pub(super) const FORGET: u8 = 0xc2;

/// Whether a first byte is that of a CELL.
pub(super) const fn is_kind(kind: u8) -> bool {
    matches!(kind, DELTA | FULL | FORGET)
}

/// The bytes of a CELL before its records.
const START_BYTES: usize = 6;
/// The most bodies that a record of a delta skips.
pub(super) const SKIPPED_MAX: u16 = SKIPS_IN_BYTE + u8::MAX as u16;
/// This many and more are written as a byte of their own.
const SKIPS_IN_BYTE: u16 = 15;
/// Bit 3 of a record of a delta: a mask of changed fields follows.
const HAS_MASK: u8 = 1 << 3;

/// A decoded CELL.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// `row * columns + column`.
    pub cell: u16,
    /// What it says.
    pub content: Content<'a>,
}

/// What a CELL says.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// What has changed since the base.
    Delta(Delta<'a>),
    /// All bodies of the cell.
    Full(FullRecords<'a>),
    /// The client holds the cell no longer.
    Forget,
}

/// The records of a delta.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The ticks since the base of the cell, at least 1.
    pub age: u8,
    /// The records of bodies in the list.
    pub records: DeltaRecords<'a>,
    /// The bodies that join the list.
    pub entrants: FullRecords<'a>,
}

/// What a delta says of one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeltaRecord {
    /// Bodies of the list between the one of the record before and this one.
    pub skipped: u16,
    /// How it moved.
    pub motion: Motion,
    /// Its new state, if it is not the one that its motion leads to.
    pub state: Option<State>,
    /// A bit for each public field that has changed.
    pub mask: u32,
    /// The new values of these fields.
    pub values: Values,
}

/// How a body moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Motion {
    /// As its course leads it.
    #[default]
    None,
    /// It has another course.
    Turn {
        /// The new one.
        course: Course,
        /// Ticks since the change; 0 if it was on the tick of the message.
        ago: u8,
    },
    /// It is at another place.
    Jump {
        /// Map units from the left.
        x: u16,
        /// Map units from the top.
        y: u16,
    },
    /// Its player left the game.
    Left,
}

impl DeltaRecord {
    /// Appends the record. `age` is the one of its CELL.
    ///
    /// # Panics
    /// If it skips more than 270 bodies.
    pub fn encode(&self, schema: &Schema, age: u8, out: &mut Vec<u8>) {
        let DeltaRecord { skipped, motion, state, mask, values } = *self;
        assert!(skipped <= SKIPPED_MAX, "{skipped} bodies are skipped");
        let has_mask = state.is_some() || mask != 0;
        let number = match motion {
            Motion::None => 0,
            Motion::Turn { course: Course::None, .. } => 5,
            Motion::Turn { course, .. } => course as u8,
            Motion::Jump { .. } => 6,
            Motion::Left => 7,
        };
        let skip_bits = (skipped.min(SKIPS_IN_BYTE) as u8) << 4;
        out.push(number | if has_mask { HAS_MASK } else { 0 } | skip_bits);
        if let Some(more) = skipped.checked_sub(SKIPS_IN_BYTE) {
            out.push(more as u8);
        }
        match motion {
            Motion::Turn { ago, .. } if age > 1 => out.push(ago),
            Motion::Jump { x, y } => {
                out.extend_from_slice(&x.to_le_bytes());
                out.extend_from_slice(&y.to_le_bytes());
            }
            Motion::None | Motion::Turn { .. } | Motion::Left => {}
        }
        if has_mask {
            let bits = mask << 1 | u32::from(state.is_some());
            out.extend_from_slice(&bits.to_le_bytes()[..schema.mask_bytes()]);
            out.extend(state.map(State::byte));
            for (index, width) in schema.fields.iter().enumerate() {
                if mask & 1 << index != 0 {
                    width.put(values[index], out);
                }
            }
        }
    }

    fn decode(schema: &Schema, age: u8, from: &mut Reader) -> Result<DeltaRecord, Malformed> {
        let first = from.u8()?;
        let mut skipped = u16::from(first >> 4);
        if skipped == SKIPS_IN_BYTE {
            skipped += u16::from(from.u8()?);
        }
        let motion = match first & 0b111 {
            0 => Motion::None,
            6 => Motion::Jump { x: from.u16()?, y: from.u16()? },
            7 => Motion::Left,
            number => {
                let course = if number == 5 { Course::None } else { Course::from_number(number)? };
                let ago = if age > 1 { from.u8()? } else { 0 };
                if ago >= age {
                    return Err(Malformed::OutOfRange);
                }
                Motion::Turn { course, ago }
            }
        };
        let mut record = DeltaRecord { skipped, motion, ..DeltaRecord::default() };
        if first & HAS_MASK != 0 {
            let mut bits = [0; 4];
            let bytes = schema.mask_bytes();
            bits[..bytes].copy_from_slice(from.take(bytes)?);
            let bits = u32::from_le_bytes(bits);
            if bits == 0 || bits >> (schema.fields.len() + 1) != 0 || motion == Motion::Left {
                return Err(Malformed::OutOfRange);
            }
            if bits & 1 != 0 {
                record.state = Some(State::from_byte(from.u8()?)?);
            }
            record.mask = bits >> 1;
            for (index, width) in schema.fields.iter().enumerate() {
                if record.mask & 1 << index != 0 {
                    record.values[index] = width.read(from)?;
                }
            }
        }
        Ok(record)
    }
}

/// The records of a delta in the order of the list.
#[derive(Clone, Copy, Debug)]
pub struct DeltaRecords<'a> {
    from: Reader<'a>,
    count: u16,
    age: u8,
}

impl DeltaRecords<'_> {
    /// The next record.
    ///
    /// # Errors
    /// It is malformed.
    pub fn next(&mut self, schema: &Schema) -> Result<Option<DeltaRecord>, Malformed> {
        let Some(left) = self.count.checked_sub(1) else { return Ok(None) };
        self.count = left;
        DeltaRecord::decode(schema, self.age, &mut self.from).map(Some)
    }
}

/// FULL records in the order of their slots.
#[derive(Clone, Copy, Debug)]
pub struct FullRecords<'a> {
    from: Reader<'a>,
    count: u16,
}

impl FullRecords<'_> {
    /// The next record: a body and its public fields.
    ///
    /// # Errors
    /// It is malformed.
    pub fn next(&mut self, schema: &Schema) -> Result<Option<(Body, Values)>, Malformed> {
        let Some(left) = self.count.checked_sub(1) else { return Ok(None) };
        self.count = left;
        let from = &mut self.from;
        let (id, generation) = (from.u16()?, from.u8()?);
        let (x, y) = (from.u16()?, from.u16()?);
        let state = State::from_byte(from.u8()?)?;
        let body = Body { id, generation, x, y, state };
        Ok(Some((body, read_values(&schema.fields, from)?)))
    }
}

/// Appends a FULL record. Checksums are computed from the same bytes.
pub(super) fn put_full_record(schema: &Schema, body: &Body, values: &[i32], out: &mut Vec<u8>) {
    let Body { id, generation, x, y, state } = *body;
    let ([id0, id1], [x0, x1], [y0, y1]) = (id.to_le_bytes(), x.to_le_bytes(), y.to_le_bytes());
    out.extend_from_slice(&[id0, id1, generation, x0, x1, y0, y1, state.byte()]);
    put_values(&schema.fields, values, out);
}

pub(super) fn put_start(kind: u8, cell: u16, age: u8, count: u16, out: &mut Vec<u8>) {
    let ([cell0, cell1], [count0, count1]) = (cell.to_le_bytes(), count.to_le_bytes());
    out.extend_from_slice(&[kind, cell0, cell1, age, count0, count1]);
}

/// Writes the count of a CELL that begins at `start`.
pub(super) fn put_count(count: u16, start: usize, out: &mut [u8]) {
    out[start + 4..start + START_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Appends a CELL with all bodies of its list.
pub fn encode_full(schema: &Schema, cell: u16, list: Bodies, out: &mut Vec<u8>) {
    put_start(FULL, cell, 0, list.bodies.len() as u16, out);
    for (index, body) in list.bodies.iter().enumerate() {
        put_full_record(schema, body, list.row(index), out);
    }
}

/// The bytes of a CELL with all bodies of its list.
pub(super) fn full_cell_bytes(schema: &Schema, list: Bodies) -> usize {
    START_BYTES + list.bodies.len() * schema.full_bytes()
}

/// Appends a CELL that makes the client forget the cell.
pub fn encode_forget(cell: u16, out: &mut Vec<u8>) {
    put_start(FORGET, cell, 0, 0, out);
}

impl<'a> Cell<'a> {
    /// Decodes a CELL up to its end. Its first byte is `kind`, which was read.
    pub(super) fn decode(
        kind: u8,
        schema: &Schema,
        from: &mut Reader<'a>,
    ) -> Result<Cell<'a>, Malformed> {
        let (cell, age, count) = (from.u16()?, from.u8()?, from.u16()?);
        let content = match (kind, age, count) {
            (DELTA, 1.., _) => Content::Delta(Delta::decode(schema, age, count, from)?),
            (FULL, 0, _) => Content::Full(full_records(schema, count, from)?),
            (FORGET, 0, 0) => Content::Forget,
            _ => return Err(Malformed::OutOfRange),
        };
        Ok(Cell { cell, content })
    }
}

impl<'a> Delta<'a> {
    fn decode(
        schema: &Schema,
        age: u8,
        count: u16,
        from: &mut Reader<'a>,
    ) -> Result<Delta<'a>, Malformed> {
        let start = *from;
        for _ in 0..count {
            DeltaRecord::decode(schema, age, from)?;
        }
        let records = DeltaRecords { from: Reader(from.since(start)), count, age };
        let entrants = u16::from(from.u8()?);
        Ok(Delta { age, records, entrants: full_records(schema, entrants, from)? })
    }
}

fn full_records<'a>(
    schema: &Schema,
    count: u16,
    from: &mut Reader<'a>,
) -> Result<FullRecords<'a>, Malformed> {
    let records = from.take(usize::from(count) * schema.full_bytes())?;
    Ok(FullRecords { from: Reader(records), count })
}
