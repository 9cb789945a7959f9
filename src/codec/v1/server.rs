//! The binary messages of a server: the parts of a tick, and how they follow each other.

use super::bytes::Reader;
use super::cell::{self, Cell};
use super::schema::{ARGUMENTS_MAX, put_values, read_values};
use super::{ArgumentKind, BASE_AGE_MAX, Malformed, Schema, Values};
use crate::time::Tick;

/// Where HEAD has the number of its cells.
pub const HEAD_CELLS_AT: usize = 7;

const HEAD: u8 = 0xa1;
const ROSTER: u8 = 0xd0;
const EVENT: u8 = 0xe0;
const CHECK: u8 = 0xf0;

/// HEAD: a tick for one client. The cells follow it in the same message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// A set of [`DEAD`](Head::DEAD) and the like.
    pub flags: u8,
    /// The tick.
    pub tick: Tick,
    /// Ticks since the HEAD before; 0 makes it a keyframe: the client forgets everything.
    pub age: u8,
    /// Cells in this message.
    pub cells: u8,
    /// The number of the newest step of this client that the server has run.
    pub applied: u16,
    /// The newest step that the server has received, minus `applied`.
    pub lead: i8,
    /// The place of the client's own body, from the left.
    pub x: u16,
    /// From the top.
    pub y: u16,
    /// The owner-only fields.
    pub values: Values,
}

impl Head {
    /// The client's own body is dead.
    pub const DEAD: u8 = 1;
    /// The server sends fewer ticks than the client asked for.
    pub const RATE_LOWERED: u8 = 2;
    /// The client acknowledges this tick at once.
    pub const ACKNOWLEDGE: u8 = 4;
    /// Changes are held back.
    pub const CROWDED: u8 = 8;

    /// Appends the part.
    pub fn encode(&self, schema: &Schema, out: &mut Vec<u8>) {
        let Head { flags, tick, age, cells, applied, lead, x, y, values } = self;
        let [t0, t1, t2, t3] = tick.0.to_le_bytes();
        let ([a0, a1], lead) = (applied.to_le_bytes(), *lead as u8);
        let ([x0, x1], [y0, y1]) = (x.to_le_bytes(), y.to_le_bytes());
        let fixed = [HEAD, *flags, t0, t1, t2, t3, *age, *cells, a0, a1, lead, x0, x1, y0, y1];
        out.extend_from_slice(&fixed);
        put_values(&schema.owner_fields, values, out);
    }

    fn decode(schema: &Schema, from: &mut Reader) -> Result<Head, Malformed> {
        let head = Head {
            flags: from.u8()?,
            tick: Tick(from.u32()?),
            age: from.u8()?,
            cells: from.u8()?,
            applied: from.u16()?,
            lead: from.u8()? as i8,
            x: from.u16()?,
            y: from.u16()?,
            values: read_values(&schema.owner_fields, from)?,
        };
        if head.flags >> 4 == 0 && head.age <= BASE_AGE_MAX {
            Ok(head)
        } else {
            Err(Malformed::OutOfRange)
        }
    }
}

/// EVENT: something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// [`RESPAWNED`](Event::RESPAWNED), or [`OWN`](Event::OWN) plus the index of an event of the
    /// game.
    pub kind: u8,
    /// Its arguments: a player is the slot of its body, or [`NO_SLOT`](super::NO_SLOT). The rest is
    /// 0.
    pub arguments: [i32; ARGUMENTS_MAX],
}

impl Event {
    /// The body in a slot has respawned.
    pub const RESPAWNED: u8 = 3;
    /// The first event of the game's own.
    pub const OWN: u8 = 16;

    /// The arguments that an event of a kind has; `None` if it is unknown.
    #[must_use]
    pub fn arguments_of(schema: &Schema, kind: u8) -> Option<&[ArgumentKind]> {
        match kind {
            Event::RESPAWNED => Some(&[ArgumentKind::Player]),
            _ => {
                let own = schema.events.get(usize::from(kind.checked_sub(Event::OWN)?))?;
                Some(own)
            }
        }
    }

    /// Appends the part.
    ///
    /// # Panics
    /// If its kind is unknown.
    pub fn encode(&self, schema: &Schema, out: &mut Vec<u8>) {
        let kinds = Event::arguments_of(schema, self.kind).expect("a known event");
        out.extend_from_slice(&[EVENT, self.kind]);
        for (kind, value) in kinds.iter().zip(self.arguments) {
            kind.put(value, out);
        }
    }

    fn decode(schema: &Schema, from: &mut Reader) -> Result<Event, Malformed> {
        let kind = from.u8()?;
        let kinds = Event::arguments_of(schema, kind).ok_or(Malformed::OutOfRange)?;
        let mut arguments = [0; ARGUMENTS_MAX];
        for (kind, value) in kinds.iter().zip(&mut arguments) {
            *value = kind.read(from)?;
        }
        Ok(Event { kind, arguments })
    }
}

/// CHECK: what the client must have after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The tick.
    pub tick: Tick,
    /// The wrapping sum of [`List::sum`](super::List::sum) over all cells that the client holds.
    pub sum: u32,
}

impl Check {
    /// Appends the part.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(CHECK);
        out.extend_from_slice(&self.tick.0.to_le_bytes());
        out.extend_from_slice(&self.sum.to_le_bytes());
    }
}

/// ROSTER: the players of bodies that a client has asked about.
#[derive(Clone, Copy, Debug)]
pub struct Roster<'a> {
    from: Reader<'a>,
    count: u16,
}

/// The player of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterEntry<'a> {
    /// The slot of the body.
    pub id: u16,
    /// Its generation.
    pub generation: u8,
    /// The number of the player.
    pub player: u32,
    /// `0xrrggbb`.
    pub color: u32,
    /// Empty if the player has none. At most 255 bytes are encoded.
    pub name: &'a str,
}

/// Appends a ROSTER.
pub fn encode_roster<'a>(entries: impl Iterator<Item = RosterEntry<'a>>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[ROSTER, 0, 0]);
    let mut count = 0_u16;
    for RosterEntry { id, generation, player, color, name } in entries.take(usize::from(u16::MAX)) {
        out.extend_from_slice(&id.to_le_bytes());
        out.push(generation);
        out.extend_from_slice(&player.to_le_bytes());
        out.extend_from_slice(&color.to_le_bytes()[..3]);
        let name = &name[..name.floor_char_boundary(usize::from(u8::MAX))];
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        count += 1;
    }
    out[start + 1..start + 3].copy_from_slice(&count.to_le_bytes());
}

impl<'a> Roster<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Roster<'a>, Malformed> {
        let count = from.u16()?;
        let start = *from;
        for _ in 0..count {
            RosterEntry::decode(from)?;
        }
        Ok(Roster { from: Reader(from.since(start)), count })
    }
}

impl<'a> RosterEntry<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<RosterEntry<'a>, Malformed> {
        let (id, generation, player) = (from.u16()?, from.u8()?, from.u32()?);
        let color = u32::from(from.u16()?) | u32::from(from.u8()?) << 16;
        let length = from.u8()?;
        let name = str::from_utf8(from.take(usize::from(length))?);
        let name = name.map_err(|_| Malformed::InvalidText)?;
        Ok(RosterEntry { id, generation, player, color, name })
    }
}

impl<'a> Iterator for Roster<'a> {
    type Item = RosterEntry<'a>;

    fn next(&mut self) -> Option<RosterEntry<'a>> {
        self.count = self.count.checked_sub(1)?;
        RosterEntry::decode(&mut self.from).ok()
    }
}

/// A part of a message.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Always before its cells, at most once.
    Head(Head),
    /// As many as HEAD says, last in the message.
    Cell(Cell<'a>),
    /// Before the first cell.
    Roster(Roster<'a>),
    /// Before the first cell.
    Event(Event),
    /// Before the first cell.
    Check(Check),
}

/// The parts of a binary message, WELCOME aside. It ends after the first error.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    schema: &'a Schema,
    from: Reader<'a>,
    has_head: bool,
    cells_left: u8,
    has_cell: bool,
    is_keyframe: bool,
}

impl<'a> Parts<'a> {
    /// The parts of a message.
    #[must_use]
    pub fn new(message: &'a [u8], schema: &'a Schema) -> Parts<'a> {
        let from = Reader(message);
        let (has_head, has_cell, is_keyframe) = (false, false, false);
        Parts { schema, from, has_head, cells_left: 0, has_cell, is_keyframe }
    }

    /// Whether a CELL is next, in its place.
    #[must_use]
    pub fn is_at_cell(&self) -> bool {
        self.cells_left > 0 && self.from.0.first().is_some_and(|kind| cell::is_kind(*kind))
    }

    /// The bytes that were not read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.from.0
    }

    fn part(&mut self) -> Result<Part<'a>, Malformed> {
        let kind = self.from.u8()?;
        let is_cell = cell::is_kind(kind);
        let is_in_place = match kind {
            _ if is_cell => self.cells_left > 0 && (!self.is_keyframe || kind == cell::FULL),
            HEAD => !self.has_head,
            _ => !self.has_cell,
        };
        if !is_in_place {
            return Err(Malformed::Misplaced);
        }
        match kind {
            _ if is_cell => {
                (self.has_cell, self.cells_left) = (true, self.cells_left - 1);
                Cell::decode(kind, self.schema, &mut self.from).map(Part::Cell)
            }
            HEAD => {
                let head = Head::decode(self.schema, &mut self.from)?;
                (self.has_head, self.cells_left) = (true, head.cells);
                self.is_keyframe = head.age == 0;
                Ok(Part::Head(head))
            }
            ROSTER => Roster::decode(&mut self.from).map(Part::Roster),
            EVENT => Event::decode(self.schema, &mut self.from).map(Part::Event),
            CHECK => {
                let (tick, sum) = (Tick(self.from.u32()?), self.from.u32()?);
                Ok(Part::Check(Check { tick, sum }))
            }
            _ => Err(Malformed::UnknownKind),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, Malformed>;

    fn next(&mut self) -> Option<Result<Part<'a>, Malformed>> {
        if self.from.0.is_empty() && self.cells_left == 0 {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            (self.from, self.cells_left) = (Reader(&[]), 0);
        }
        Some(part)
    }
}
