//! What a room has for its clients of skirmish.v1: its bodies on the newest ticks, and the CELLs
//! that are encoded from them, each once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::lists::Lists;
use super::slots::{Slot, Slots};
use super::terms;
use super::viewer::{Made, Viewer};
use crate::codec::v1::server::{Check, Head, RosterEntry};
use crate::codec::v1::{self, BASE_AGE_MAX, Bodies, Body, Schema, State, Values, cell, delta};
use crate::game::{Frame, PlayerId, Rect, World};
use crate::limits::EVENTS_A_MESSAGE;
use crate::time::{TICKS_PER_SECOND, Tick};

/// The newest tick and the bases of all clients.
const TICKS: usize = BASE_AGE_MAX as usize + 1;
/// A HEAD is sent on every tick that is divisible by this, or on the next one that is due.
const HEAD_TICKS: u32 = TICKS_PER_SECOND / 2;
/// A client holds the cells up to this far from what it sees, in map units.
const NEAR: u16 = 128;
/// It forgets the cells that are further away.
const FAR: u16 = 256;

/// The bodies of a room on the newest ticks.
#[derive(Debug)]
pub struct History {
    schema: Schema,
    map: Rect,
    cells: usize,
    slots: Slots,
    /// The newest one first.
    ticks: VecDeque<Lists>,
    /// By cell: bit n is set if something happened n ticks before the newest tick that the courses
    /// of the tick before do not lead to.
    changes: Vec<u32>,
    /// By cell: where the CELL from the last tick to the newest one is encoded; empty for none.
    newest: Vec<Range<usize>>,
    /// By cell and base age, 0 for a full one: the other CELLs.
    others: BTreeMap<(u16, u8), Range<usize>>,
    encoded: Vec<u8>,
    /// By cell: its part of CHECK.
    sums: BTreeMap<u16, u32>,
    by_slot: Vec<InSlot>,
    bodies: Vec<Body>,
    record: Vec<u8>,
}

/// What is known of the body in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct InSlot {
    generation: u8,
    /// Where it is, if `seen` is the newest tick.
    at: (u16, u16),
    seen: Option<Tick>,
    attacked: Option<Tick>,
    teleported: Option<Tick>,
}

/// What HEAD says of the client's own body.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    pub is_dead: bool,
    pub at: (u16, u16),
    pub applied: u16,
    pub lead: i8,
    pub values: Values,
}

impl History {
    /// The history of a world, before its first tick.
    #[must_use]
    pub fn of(world: &World) -> History {
        let schema = terms::schema(world.rules(), world.ground());
        let cells = terms::cells(&schema, world.ground());
        History {
            map: world.ground().map,
            cells,
            slots: Slots::default(),
            ticks: VecDeque::with_capacity(TICKS),
            changes: vec![0; cells],
            newest: vec![0..0; cells],
            others: BTreeMap::new(),
            encoded: Vec::new(),
            sums: BTreeMap::new(),
            by_slot: Vec::new(),
            bodies: Vec::new(),
            record: Vec::new(),
            schema,
        }
    }

    /// The slot of a player that joins before the next tick, or has one.
    pub fn slot(&mut self, player: PlayerId, now: Tick) -> Option<Slot> {
        self.slots.take(player, now)
    }

    /// The room has a new frame.
    pub fn renew(&mut self, frame: &Frame) {
        let History { schema, slots, ticks, .. } = self;
        let snapshot = frame.snapshot();
        let mut lists = if ticks.len() < TICKS {
            Lists::default()
        } else {
            ticks.pop_back().unwrap_or_default()
        };
        slots.add(snapshot.bodies, snapshot.tick);
        lists.fill_events(frame.facts(), snapshot.rules, schema, slots);
        slots.release(snapshot.bodies, snapshot.tick);
        lists.fill(&snapshot, schema, self.cells, slots);
        ticks.push_front(lists);
        self.record_flags();
        self.encode_newest();
    }

    /// Records where each body is, and on which tick it last had a flag that holds for one tick.
    fn record_flags(&mut self) {
        let History { ticks, by_slot, .. } = self;
        let lists = &ticks[0];
        for body in lists.bodies() {
            let slot = usize::from(body.id);
            if by_slot.len() <= slot {
                by_slot.resize(slot + 1, InSlot::default());
            }
            let held = &mut by_slot[slot];
            if held.generation != body.generation {
                *held = InSlot { generation: body.generation, ..InSlot::default() };
            }
            (held.at, held.seen) = ((body.x, body.y), Some(lists.tick));
            if body.state.has(State::ATTACKING) {
                held.attacked = held.seen;
            }
            if body.state.has(State::TELEPORTED) {
                held.teleported = held.seen;
            }
        }
    }

    /// Encodes what has changed since the tick before.
    fn encode_newest(&mut self) {
        let History { schema, ticks, changes, newest, others, encoded, sums, by_slot, .. } = self;
        others.clear();
        sums.clear();
        encoded.clear();
        let fields = schema.fields.len();
        let before = ticks.get(1);
        let now = &ticks[0];
        let elsewhere = elsewhere(by_slot, now.tick);
        for cell in 0..self.cells {
            let number = cell as u16;
            let new = now.cell(number, fields);
            let base = before.map_or_else(Bodies::default, |before| before.cell(number, fields));
            let start = encoded.len();
            if !(new.bodies.is_empty() && base.bodies.is_empty()) && before.is_some() {
                delta::encode(schema, number, (base, 1), new, &elsewhere, encoded);
            }
            newest[cell] = start..encoded.len();
            changes[cell] = changes[cell] << 1 | u32::from(start < encoded.len());
        }
    }

    /// The CELL of the newest tick for the clients that hold a cell as it was `age` ticks ago. It
    /// is empty if nothing has happened that they would not know.
    fn delta(&mut self, cell: u16, age: u8) -> Range<usize> {
        let since = self.changes[usize::from(cell)] << (32 - u32::from(age));
        if since == 0 {
            return 0..0;
        }
        // What is older has not changed.
        let age = age - since.leading_zeros() as u8;
        if age == 1 {
            return self.newest[usize::from(cell)].clone();
        }
        let History { schema, ticks, others, encoded, by_slot, bodies, .. } = self;
        let form = others.entry((cell, age)).or_insert_with(|| {
            let (now, fields) = (&ticks[0], schema.fields.len());
            let new = now.cell(cell, fields);
            bodies.clear();
            bodies.extend(new.bodies.iter().map(|body| with_flags(*body, by_slot, now.tick, age)));
            let new = Bodies { bodies, ..new };
            let base = ticks[usize::from(age)].cell(cell, fields);
            let start = encoded.len();
            delta::encode(schema, cell, (base, age), new, elsewhere(by_slot, now.tick), encoded);
            start..encoded.len()
        });
        form.clone()
    }

    /// The CELL with all bodies of a cell.
    fn full(&mut self, cell: u16) -> Range<usize> {
        let History { schema, ticks, others, encoded, .. } = self;
        let form = others.entry((cell, 0)).or_insert_with(|| {
            let start = encoded.len();
            cell::encode_full(schema, cell, ticks[0].cell(cell, schema.fields.len()), encoded);
            start..encoded.len()
        });
        form.clone()
    }

    pub(super) fn sum(&mut self, cell: u16) -> u32 {
        let History { schema, ticks, sums, record, .. } = self;
        let bodies = ticks[0].cell(cell, schema.fields.len());
        *sums.entry(cell).or_insert_with(|| bodies.sum(schema, record))
    }

    /// Appends the message of the newest tick for a client. Returns whether there is one: nothing
    /// is sent if nothing has changed that the client sees.
    pub fn message(&mut self, viewer: &mut Viewer, own: &Own, out: &mut Vec<u8>) -> bool {
        let Some(now) = self.ticks.front().map(|lists| lists.tick) else { return false };
        let base_age = viewer.base_age(now);
        let has_base = usize::from(base_age) < self.ticks.len();
        let age = if has_base && !viewer.gets_keyframe(now) { base_age } else { 0 };
        // The ticks of which it has not received the events: also a client that asks for a
        // keyframe has received all up to its base.
        let new_ticks = if has_base { base_age.max(1) } else { 1 };
        let mut held = viewer.unused_list();
        self.cells_to_hold(own.at, if age == 0 { &[] } else { viewer.held() }, &mut held);
        let start = out.len();
        let events = self.put_events(new_ticks, &held, out);
        // Whether a tick that is divisible by `span` has come since the base.
        let has_passed = |span: u32| now.0 % span < new_ticks.into();
        if has_passed(TICKS_PER_SECOND) {
            let sum = held.iter().fold(0_u32, |sum, cell| sum.wrapping_add(self.sum(*cell)));
            Check { tick: now, sum }.encode(out);
        }
        let head = out.len();
        let flags = if own.is_dead { Head::DEAD } else { 0 };
        let Own { at: (x, y), applied, lead, values, .. } = *own;
        Head { flags, tick: now, age, cells: 0, applied, lead, x, y, values }
            .encode(&self.schema, out);
        let cells = self.put_cells(age, viewer.held(), &held, out);
        out[head + v1::server::HEAD_CELLS_AT] = cells;
        let is_due = age == 0
            || cells > 0
            || events > 0
            || values != *viewer.values()
            || has_passed(HEAD_TICKS);
        viewer.offer(Made { tick: now, is_keyframe: age == 0, held, values });
        if !is_due {
            out.truncate(start);
        }
        is_due
    }

    /// Appends what happened on the last ticks in cells, and to the whole room. Returns how much.
    fn put_events(&self, ticks: u8, cells: &[u16], out: &mut Vec<u8>) -> usize {
        let mut count = 0;
        for lists in self.ticks.iter().take(ticks.into()).rev() {
            let places = std::iter::once(None).chain(cells.iter().map(|cell| Some(*cell)));
            let events = places.flat_map(|place| lists.events(place));
            for event in events.take(EVENTS_A_MESSAGE - count) {
                event.encode(&self.schema, out);
                count += 1;
            }
        }
        count
    }

    /// Appends the CELLs for a client that held some cells `age` ticks ago, and holds others now.
    /// Returns how many.
    fn put_cells(&mut self, age: u8, before: &[u16], now: &[u16], out: &mut Vec<u8>) -> u8 {
        let mut count = 0;
        let mut before = if age == 0 { &[] } else { before };
        for cell in now {
            while let Some((first, rest)) = before.split_first().filter(|(first, _)| *first < cell)
            {
                cell::encode_forget(*first, out);
                (before, count) = (rest, count + 1);
            }
            let form = match before.split_first().filter(|(first, _)| *first == cell) {
                Some((_, rest)) => {
                    before = rest;
                    self.delta(*cell, age)
                }
                None => self.full(*cell),
            };
            count += u8::from(!form.is_empty());
            out.extend_from_slice(&self.encoded[form]);
        }
        for cell in before {
            cell::encode_forget(*cell, out);
            count += 1;
        }
        count
    }

    /// Replaces the content of `cells` with those that a client holds from now on: those near what
    /// it sees, and those that it holds and that are not far from it.
    fn cells_to_hold(&self, at: (u16, u16), held: &[u16], cells: &mut Vec<u16>) {
        let Rect { left, top, right, bottom } = self.map;
        let [width, height] = terms::VIEW;
        let side = self.schema.side;
        // What it sees lies on the map.
        let span = |at: u16, seen: u16, least: u16, greatest: u16, more: u16| {
            let first = at.saturating_sub(seen / 2).min(greatest.saturating_sub(seen)).max(least);
            let last = first.saturating_add(seen).min(greatest).saturating_add(more).min(greatest);
            let cell = |at: u16| (u32::from(at) / side) as u16;
            (cell(first.saturating_sub(more).max(least)), cell(last))
        };
        let near = (span(at.0, width, left, right, NEAR), span(at.1, height, top, bottom, NEAR));
        let far = (span(at.0, width, left, right, FAR), span(at.1, height, top, bottom, FAR));
        cells.clear();
        for row in far.1.0..=far.1.1 {
            for column in far.0.0..=far.0.1 {
                let cell = row * self.schema.columns + column;
                let is_in = |(first, last): (u16, u16), at| (first..=last).contains(&at);
                let is_near = is_in(near.0, column) && is_in(near.1, row);
                if is_near || held.binary_search(&cell).is_ok() {
                    cells.push(cell);
                }
            }
        }
    }

    /// Appends the ROSTER of the bodies that a client asks about: slots and generations.
    pub fn roster(&self, who: &[[u8; 3]], world: &World, out: &mut Vec<u8>) {
        let entries = who.iter().filter_map(|[low, high, generation]| {
            let slot = Slot { number: u16::from_le_bytes([*low, *high]), generation: *generation };
            let player = self.slots.player(slot)?;
            let body = &world.bodies()[world.find(player)?];
            let name = body.name.as_deref().unwrap_or_default();
            let (id, generation, player) = (slot.number, slot.generation, player.0);
            Some(RosterEntry { id, generation, player, color: body.color, name })
        });
        v1::server::encode_roster(entries, out);
    }
}

/// The place of a body that is in the game on a tick; `None` if it has left.
fn elsewhere(by_slot: &[InSlot], now: Tick) -> impl Fn(&Body) -> Option<(u16, u16)> {
    move |body| {
        let held = by_slot[usize::from(body.id)];
        let is_same = held.generation == body.generation && held.seen == Some(now);
        is_same.then_some(held.at)
    }
}

/// A body with the flags that it had on one of the last `age` ticks.
fn with_flags(mut body: Body, by_slot: &[InSlot], now: Tick, age: u8) -> Body {
    let held = by_slot[usize::from(body.id)];
    let is_since =
        |tick: Option<Tick>| tick.is_some_and(|tick| now.0.wrapping_sub(tick.0) < age.into());
    if is_since(held.attacked) {
        body.state = body.state.with(State::ATTACKING);
    }
    if is_since(held.teleported) {
        body.state = body.state.with(State::TELEPORTED);
    }
    body
}
