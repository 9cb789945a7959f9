//! The bodies of a room on one tick, in cells, and what happened on it.

use super::published::Published;
use super::slots::Slots;
use super::vec_bytes;
use crate::codec::v1::server::Event;
use crate::codec::v1::{Bodies, Body, NO_SLOT, Schema};
use crate::game::{self, Argument, Fact, PlayerId, Rules};
use crate::time::Tick;

/// The bodies and the events of all cells on one tick.
#[derive(Debug, Default)]
pub struct Lists {
    /// The tick.
    pub tick: Tick,
    /// The cells that have bodies, in ascending order, and where the bodies of each end.
    cells: Vec<(u16, u32)>,
    /// One cell after the other, each in the order of the slots.
    bodies: Vec<Body>,
    values: Vec<i32>,
    /// By cell; those that concern the whole room are first.
    events: Vec<(Option<u16>, Event)>,
}

impl Lists {
    /// The bodies of a cell with `fields` public fields each.
    #[must_use]
    pub fn cell(&self, cell: u16, fields: usize) -> Bodies<'_> {
        let found = self.cells.binary_search_by_key(&cell, |(cell, _)| *cell);
        found.map_or_else(|_| Bodies::default(), |index| self.at(index, fields))
    }

    /// The cells that have bodies, in ascending order, with `fields` public fields for each body.
    pub fn by_cell(&self, fields: usize) -> impl Iterator<Item = (u16, Bodies<'_>)> {
        let cells = self.cells.iter().enumerate();
        cells.map(move |(index, (cell, _))| (*cell, self.at(index, fields)))
    }

    fn at(&self, index: usize, fields: usize) -> Bodies<'_> {
        let end = self.cells[index].1 as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.cells[before].1 as usize);
        let (rows, bodies) = (start * fields..end * fields, &self.bodies[start..end]);
        Bodies { bodies, values: &self.values[rows] }
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let Lists { tick: _, cells, bodies, values, events } = self;
        vec_bytes(cells) + vec_bytes(bodies) + vec_bytes(values) + vec_bytes(events)
    }

    /// Whether anything happened.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What happened in a cell, or what concerned the whole room, in order.
    pub fn events(&self, cell: Option<u16>) -> impl Iterator<Item = &Event> {
        let first = self.events.partition_point(|(at, _)| *at < cell);
        let events = self.events[first..].iter().take_while(move |(at, _)| *at == cell);
        events.map(|(_, event)| event)
    }

    /// Replaces the bodies by those that are published, with `fields` public fields each.
    pub fn fill(&mut self, now: Tick, published: &Published, fields: usize) {
        let Lists { tick, cells, bodies, values, events: _ } = self;
        *tick = now;
        cells.clear();
        bodies.clear();
        values.clear();
        for (cell, body, row) in published.by_cell(fields) {
            bodies.push(body);
            values.extend_from_slice(row);
            let end = bodies.len() as u32;
            match cells.last_mut() {
                Some((last, last_end)) if *last == cell => *last_end = end,
                _ => cells.push((cell, end)),
            }
        }
    }

    /// Replaces the events by what has happened. Bodies that have left still have their slots.
    pub fn fill_events(&mut self, facts: &[Fact], rules: &Rules, schema: &Schema, slots: &Slots) {
        let slot = |player| slots.of(player).map_or(NO_SLOT, |slot| slot.number).into();
        let event = |fact: &Fact| {
            let (kind, mut arguments) = match fact.event {
                game::Event::Respawned(player) => (Event::RESPAWNED, [slot(player), 0, 0, 0]),
                game::Event::Own { kind, arguments } => {
                    (Event::OWN.checked_add(kind)?, arguments.map(clamped))
                }
                game::Event::Joined(_)
                | game::Event::Left(_)
                | game::Event::RoomFields
                | game::Event::OwnerFields(_) => return None,
            };
            if let game::Event::Own { kind, arguments: given } = fact.event {
                let declared = rules.events.get(usize::from(kind))?.arguments;
                for (index, argument) in declared.iter().enumerate() {
                    if matches!(argument, Argument::Player(_)) {
                        arguments[index] = slot(PlayerId(given[index] as u32));
                    }
                }
            }
            let cell = fact.place.map(|at| schema.cell(at.x, at.y));
            Some((cell, Event { kind, arguments }))
        };
        self.events.clear();
        self.events.extend(facts.iter().filter_map(event));
        self.events.sort_by_key(|(cell, _)| *cell);
    }
}

fn clamped(value: i64) -> i32 {
    value.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
