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
    /// By cell: the index of its first body; one more at the end.
    starts: Vec<u32>,
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
        let [start, end] = [0, 1].map(|more| self.starts[usize::from(cell) + more] as usize);
        let (rows, bodies) = (start * fields..end * fields, &self.bodies[start..end]);
        Bodies { bodies, values: &self.values[rows] }
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let Lists { tick: _, starts, bodies, values, events } = self;
        vec_bytes(starts) + vec_bytes(bodies) + vec_bytes(values) + vec_bytes(events)
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

    /// Replaces the bodies by those that are published for a room with `cells` cells.
    pub fn fill(
        &mut self,
        now: Tick,
        published: &Published,
        schema: &Schema,
        cells: usize,
        slots: &Slots,
    ) {
        let Lists { tick, starts, bodies, values, .. } = self;
        *tick = now;
        let fields = schema.fields.len();
        let cell = |body: &Body| usize::from(schema.cell(body.x, body.y));
        let shown = slots.by_number().map(|(slot, _)| published.body(slot, fields));
        starts.clear();
        starts.resize(cells + 2, 0);
        for (body, _) in shown.clone() {
            starts[cell(&body) + 2] += 1;
        }
        for at in 2..starts.len() {
            starts[at] += starts[at - 1];
        }
        let count = starts[cells + 1] as usize;
        bodies.resize(count, Body::default());
        values.resize(count * fields, 0);
        // From here on `starts[cell + 1]` is the place of the next body of a cell, and in the end
        // its end.
        for (body, row) in shown {
            let next = &mut starts[cell(&body) + 1];
            let at = *next as usize;
            *next += 1;
            bodies[at] = body;
            values[at * fields..(at + 1) * fields].copy_from_slice(row);
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
