//! What a client knows: the lists of the cells that it holds, after the newest tick.

use std::collections::BTreeMap;

use super::cell::{Cell, Content};
use super::server::{Check, Head, Part, Parts};
use super::{List, Malformed, Schema};
use crate::time::Tick;

/// A client without a transport.
#[derive(Clone, Debug)]
pub struct Replica {
    schema: Schema,
    /// The newest HEAD; `None` until the next keyframe.
    head: Option<Head>,
    cells: BTreeMap<u16, Held>,
    /// A CHECK about a tick that has not been received.
    check: Option<Check>,
    spare: List,
    record: Vec<u8>,
}

/// The list of a cell after a tick.
#[derive(Clone, Debug)]
struct Held {
    list: List,
    tick: Tick,
}

/// What a message leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All is well.
    Applied,
    /// The client has another base, or another sum: it sends RESYNC.
    NeedsResync,
}

impl Replica {
    /// A client that has received nothing but the schema.
    #[must_use]
    pub fn new(schema: Schema) -> Replica {
        let (cells, spare) = (BTreeMap::new(), List::default());
        Replica { schema, head: None, cells, check: None, spare, record: Vec::new() }
    }

    /// The newest tick that was applied.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The cells that it holds.
    pub fn cells(&self) -> impl Iterator<Item = (u16, &List)> {
        self.cells.iter().map(|(cell, held)| (*cell, &held.list))
    }

    /// The sum of CHECK over all lists.
    pub fn sum(&mut self) -> u32 {
        let Replica { schema, cells, record, .. } = self;
        cells.values().fold(0, |sum, held| sum.wrapping_add(held.list.sum(schema, record)))
    }

    /// Applies a binary message, WELCOME aside.
    ///
    /// # Errors
    /// It is malformed: the client has no base now, and sends RESYNC.
    pub fn receive(&mut self, message: &[u8]) -> Result<Received, Malformed> {
        let received = self.apply(message);
        if received != Ok(Received::Applied) {
            self.head = None;
        }
        received
    }

    fn apply(&mut self, message: &[u8]) -> Result<Received, Malformed> {
        let Replica { schema, head, cells, check, spare, .. } = self;
        for part in Parts::new(message, schema) {
            match part? {
                Part::Head(new) if new.age == 0 => {
                    cells.clear();
                    *head = Some(new);
                }
                Part::Head(new) => {
                    let base = new.tick.0.wrapping_sub(u32::from(new.age));
                    if head.is_none_or(|head| head.tick.0 != base) {
                        return Ok(Received::NeedsResync);
                    }
                    *head = Some(new);
                }
                Part::Cell(cell) => {
                    let head = head.as_ref().ok_or(Malformed::Misplaced)?;
                    receive_cell(schema, head, cells, &cell, spare)?;
                }
                Part::Check(new) => *check = Some(new),
                Part::Roster(_) | Part::Event(_) => {}
            }
        }
        let Some(Head { tick, age, .. }) = *head else { return Ok(Received::Applied) };
        for (cell, held) in cells.iter_mut().filter(|(_, held)| held.tick != tick) {
            held.list.advance(schema, *cell, age);
            held.tick = tick;
        }
        let check = check.take_if(|check| !check.tick.is_after(tick));
        match check.filter(|check| check.tick == tick) {
            Some(Check { sum, .. }) if sum != self.sum() => Ok(Received::NeedsResync),
            _ => Ok(Received::Applied),
        }
    }
}

fn receive_cell(
    schema: &Schema,
    head: &Head,
    cells: &mut BTreeMap<u16, Held>,
    cell: &Cell,
    spare: &mut List,
) -> Result<(), Malformed> {
    let tick = head.tick;
    let held = cells.get_mut(&cell.cell);
    if held.as_ref().is_some_and(|held| held.tick == tick) {
        return Err(Malformed::Misplaced);
    }
    match &cell.content {
        Content::Delta(delta) => {
            let held = held.ok_or(Malformed::NotHeld)?;
            held.list.apply(schema, cell.cell, head.age, delta, spare)?;
            held.tick = tick;
        }
        Content::Full(records) => {
            let held = cells.entry(cell.cell).or_insert(Held { list: List::default(), tick });
            held.list.replace(schema, cell.cell, *records)?;
            held.tick = tick;
        }
        Content::Forget => {
            cells.remove(&cell.cell);
        }
    }
    Ok(())
}
