//! What both sides must agree on: the walls, the step, the cells and the declared fields.

use serde::{Deserialize, Serialize};

use super::bytes::Reader;
use super::{Body, Course, Malformed};

/// The maximum number of public fields of a body, and of owner-only fields.
pub const FIELDS_MAX: usize = 16;

/// The maximum number of arguments of an event or a command.
pub const ARGUMENTS_MAX: usize = 4;

/// The values of the declared fields, in their order; the rest is 0.
pub type Values = [i32; FIELDS_MAX];

/// The width of a declared field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// 0 to 255.
    U8,
    /// 0 to 65,535.
    U16,
    /// All of an `i32`.
    I32,
    /// All of a `u32`, kept as the `i32` with the same bits.
    U32,
}

impl Width {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Width::U8 => 1,
            Width::U16 => 2,
            Width::I32 | Width::U32 => 4,
        }
    }

    pub(super) fn put(self, value: i32, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.to_le_bytes()[..self.bytes()]);
    }

    pub(super) fn read(self, from: &mut Reader) -> Result<i32, Malformed> {
        match self {
            Width::U8 => from.u8().map(i32::from),
            Width::U16 => from.u16().map(i32::from),
            Width::I32 | Width::U32 => from.i32(),
        }
    }
}

/// What an argument of an event is, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentKind {
    /// The slot of a player's body, or [`NO_SLOT`](super::NO_SLOT): u16.
    Player,
    /// A number: i32.
    Number,
    /// The index of a word: u8.
    Word,
}

impl ArgumentKind {
    pub(super) fn put(self, value: i32, out: &mut Vec<u8>) {
        let bytes = match self {
            ArgumentKind::Player => 2,
            ArgumentKind::Number => 4,
            ArgumentKind::Word => 1,
        };
        out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }

    pub(super) fn read(self, from: &mut Reader) -> Result<i32, Malformed> {
        match self {
            ArgumentKind::Player => from.u16().map(i32::from),
            ArgumentKind::Number => from.i32(),
            ArgumentKind::Word => from.u8().map(i32::from),
        }
    }
}

/// The area in which bodies move, with its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walls {
    /// The smallest x.
    pub left: u16,
    /// The smallest y.
    pub top: u16,
    /// The greatest x.
    pub right: u16,
    /// The greatest y.
    pub bottom: u16,
}

/// What both sides must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Where a body may be.
    pub walls: Walls,
    /// The length of a step, in map units.
    pub step: u16,
    /// The side of a cell, in map units. 65,536 makes one cell of the largest map.
    pub side: u32,
    /// Cells in a row.
    pub columns: u16,
    /// The public fields of a body, at most [`FIELDS_MAX`].
    pub fields: Vec<Width>,
    /// The owner-only fields, at most [`FIELDS_MAX`].
    pub owner_fields: Vec<Width>,
    /// The arguments of the game's own events, at most [`ARGUMENTS_MAX`] each.
    pub events: Vec<Vec<ArgumentKind>>,
}

impl Schema {
    /// The cell of a place on the map.
    #[must_use]
    pub fn cell(&self, x: u16, y: u16) -> u16 {
        let (column, row) = (u32::from(x) / self.side, u32::from(y) / self.side);
        (row * u32::from(self.columns) + column) as u16
    }

    /// Whether a place lies in a cell.
    #[must_use]
    pub fn is_in(&self, cell: u16, x: u16, y: u16) -> bool {
        let columns = u32::from(self.columns);
        let (column, row) = (u32::from(x) / self.side, u32::from(y) / self.side);
        column < columns && row * columns + column == u32::from(cell)
    }

    /// The place that some steps lead to.
    #[must_use]
    pub fn walk(&self, (x, y): (u16, u16), course: Course, steps: u8) -> (u16, u16) {
        if steps == 0 || course == Course::None {
            return (x, y);
        }
        let length = i32::from(self.step) * i32::from(steps);
        let (x, y) = (i32::from(x), i32::from(y));
        let (x, y) = match course {
            Course::None => (x, y),
            Course::Up => (x, y - length),
            Course::Down => (x, y + length),
            Course::Left => (x - length, y),
            Course::Right => (x + length, y),
        };
        let Walls { left, top, right, bottom } = self.walls;
        let clamp = |at: i32, least: u16, greatest: u16| {
            at.min(i32::from(greatest)).max(i32::from(least)) as u16
        };
        (clamp(x, left, right), clamp(y, top, bottom))
    }

    /// Where a body is after some ticks on its course.
    #[must_use]
    pub fn ahead(&self, body: &Body, ticks: u8) -> (u16, u16) {
        self.walk((body.x, body.y), body.state.course(), ticks)
    }

    /// Whether a body of a cell is still there after some ticks on its course.
    #[must_use]
    pub fn stays(&self, cell: u16, body: &Body, ticks: u8) -> bool {
        let (x, y) = self.ahead(body, ticks);
        self.is_in(cell, x, y)
    }

    /// The bytes of the mask of changed fields: a bit for the state and one for each field.
    pub(super) fn mask_bytes(&self) -> usize {
        self.fields.len() / 8 + 1
    }

    /// The bytes of a FULL record.
    #[must_use]
    pub fn full_bytes(&self) -> usize {
        8 + self.fields.iter().map(|width| width.bytes()).sum::<usize>()
    }
}

pub(super) fn put_values(widths: &[Width], values: &[i32], out: &mut Vec<u8>) {
    for (width, value) in widths.iter().zip(values) {
        width.put(*value, out);
    }
}

pub(super) fn read_values(widths: &[Width], from: &mut Reader) -> Result<Values, Malformed> {
    let mut values = Values::default();
    for (width, value) in widths.iter().zip(&mut values) {
        *value = width.read(from)?;
    }
    Ok(values)
}
