//! The bodies of a room as clients of skirmish.v1 are sent them. In a crowd, changes of course are
//! held back, so that the bytes of a client stay bounded: a body whose change is held back goes on
//! as it was.

use super::slots::{Slot, Slots};
use super::viewer::HELD_MAX;
use super::{terms, vec_bytes};
use crate::codec::v1::{Body, Course, Schema, State};
use crate::game::{self, Audience, Direction, Snapshot};
use crate::time::Tick;

/// Bytes of a message besides records: its frame header, HEAD, and the other bytes of CELLs.
const OTHER_BYTES: u32 = 120;
/// How many ticks before the border of its cell a body stops whose change is held back: a client
/// that receives every fourth tick would have carried it over the border, and would need all of the
/// body again.
const STOP_TICKS: u8 = 4;
/// The usual bytes of a record with another course, and of one with another place.
const TURN_BYTES: u32 = 2;
const JUMP_BYTES: u32 = 8;

/// The bodies of a room as clients are sent them.
#[derive(Debug, Default)]
pub struct Published {
    by_slot: Vec<InSlot>,
    /// The public fields, a row for each slot.
    values: Vec<i32>,
    tick: Tick,
    /// The cells and the slots of the bodies, in ascending order.
    order: Vec<u32>,
    /// Changes that may be held back on this tick.
    changes: Vec<Change>,
    /// The others: their cells, and how many bytes.
    urgent: Vec<(u16, u32)>,
    /// The cells in which changes are held back, in ascending order.
    crowded: Vec<u16>,
    /// The number of bodies with a change that is held back.
    held_back: u32,
}

/// The body in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct InSlot {
    body: Body,
    /// Its index in the frame, if `seen` is the newest tick.
    index: u32,
    seen: Option<Tick>,
    attacked: Option<Tick>,
    teleported: Option<Tick>,
    /// Since when a change is held back.
    late_since: Option<Tick>,
    /// The cell under which it is in `order`.
    cell: Option<u16>,
}

/// A change that may be held back.
#[derive(Clone, Copy, Debug)]
struct Change {
    slot: Slot,
    /// The true body.
    body: Body,
    /// The cell in which it costs most, and how many bytes.
    cell: u16,
    bytes: u32,
    /// Ticks for which it was held back.
    age: u32,
}

/// The changes in a cell on this tick, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct InCell {
    /// Those that are never held back.
    urgent: u32,
    others: u32,
}

impl Published {
    /// The bodies with their cells and `fields` public fields, in the order of their cells, and in
    /// each cell of their slots.
    pub fn by_cell(&self, fields: usize) -> impl Iterator<Item = (u16, Body, &[i32])> {
        self.order.iter().map(move |key| {
            let (cell, slot) = ((key >> 16) as u16, usize::from(*key as u16));
            (cell, self.by_slot[slot].body, &self.values[slot * fields..(slot + 1) * fields])
        })
    }

    /// The index in the frame of the body in a slot, if it is there.
    #[must_use]
    pub fn index(&self, slot: Slot) -> Option<usize> {
        let held = self.by_slot.get(usize::from(slot.number))?;
        let is_here = held.body.generation == slot.generation && held.seen == Some(self.tick);
        is_here.then_some(held.index as usize)
    }

    /// The place of a body that was there on an earlier tick; `None` if it has left.
    #[must_use]
    pub fn place(&self, body: &Body) -> Option<(u16, u16)> {
        let held = &self.by_slot[usize::from(body.id)];
        let is_here = held.body.generation == body.generation && held.seen == Some(self.tick);
        is_here.then_some((held.body.x, held.body.y))
    }

    /// A body with the flags that it had on one of the last `age` ticks.
    #[must_use]
    pub fn with_flags(&self, mut body: Body, age: u8) -> Body {
        let held = &self.by_slot[usize::from(body.id)];
        let is_since = |tick: Option<Tick>| {
            tick.is_some_and(|tick| self.tick.0.wrapping_sub(tick.0) < age.into())
        };
        if is_since(held.attacked) {
            body.state = body.state.with(State::ATTACKING);
        }
        if is_since(held.teleported) {
            body.state = body.state.with(State::TELEPORTED);
        }
        body
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let Published { by_slot, values, tick: _, order, changes, urgent, crowded, held_back: _ } =
            self;
        let changes = vec_bytes(changes) + vec_bytes(urgent) + vec_bytes(crowded);
        vec_bytes(by_slot) + vec_bytes(values) + vec_bytes(order) + changes
    }

    /// The number of bodies with a change that is held back.
    #[must_use]
    pub fn held_back(&self) -> u32 {
        self.held_back
    }

    /// Whether a change is held back in one of some cells.
    #[must_use]
    pub fn is_crowded(&self, cells: &[u16]) -> bool {
        self.held_back > 0 && cells.iter().any(|cell| self.crowded.binary_search(cell).is_ok())
    }

    /// The room has a new frame. A client receives at most about `view_bytes` of changes that can
    /// be held back.
    pub fn renew(
        &mut self,
        snapshot: &Snapshot,
        schema: &Schema,
        cells: usize,
        slots: &Slots,
        view_bytes: u32,
    ) {
        let before = std::mem::replace(&mut self.tick, snapshot.tick);
        let fields = schema.fields.len();
        self.by_slot.resize(slots.len(), InSlot::default());
        self.values.resize(slots.len() * fields, 0);
        self.changes.clear();
        self.urgent.clear();
        self.crowded.clear();
        self.held_back = 0;
        for (slot, index) in slots.by_number() {
            let (body, row) = (&snapshot.bodies[index], snapshot.row(index));
            let row = terms::values(snapshot.rules, Audience::Public, row);
            self.update(slot, index, body, row, schema, before);
        }
        let urgent: u32 = self.urgent.iter().map(|(_, bytes)| bytes).sum();
        let bytes = urgent + self.changes.iter().map(|change| change.bytes).sum::<u32>();
        let view_bytes = view_bytes.saturating_sub(OTHER_BYTES);
        let mut changes = std::mem::take(&mut self.changes);
        if bytes <= view_bytes {
            changes.iter().for_each(|change| self.publish(change.slot, change.body));
        } else {
            self.publish_some(&mut changes, schema, cells, view_bytes);
        }
        self.changes = changes;
        self.sort(schema, slots);
    }

    /// Brings `order` up to date.
    fn sort(&mut self, schema: &Schema, slots: &Slots) {
        let Published { by_slot, order, tick, .. } = self;
        for (slot, _) in slots.by_number() {
            let held = &mut by_slot[usize::from(slot.number)];
            let cell = schema.cell(held.body.x, held.body.y);
            if held.cell.replace(cell) != Some(cell) {
                order.push(u32::from(cell) << 16 | u32::from(slot.number));
            }
        }
        order.retain(|key| {
            let held = &by_slot[usize::from(*key as u16)];
            held.seen == Some(*tick) && held.cell == Some((key >> 16) as u16)
        });
        // A stable sort takes little time for what is nearly in order.
        order.sort();
    }

    /// Publishes a body, or keeps its change among those that may be held back.
    fn update(
        &mut self,
        slot: Slot,
        index: usize,
        body: &game::Body,
        row: impl Iterator<Item = i32>,
        schema: &Schema,
        before: Tick,
    ) {
        let (number, generation) = (slot.number, slot.generation);
        let (x, y, state) = (body.at.x, body.at.y, state(body));
        let body = Body { id: number, generation, x, y, state };
        let fields = schema.fields.len();
        let first = usize::from(number) * fields;
        let mut has_values = false;
        for (held, value) in self.values[first..first + fields].iter_mut().zip(row) {
            has_values |= std::mem::replace(held, value) != value;
        }
        let held = &mut self.by_slot[usize::from(number)];
        held.index = index as u32;
        let cell = schema.cell(x, y);
        if held.body.generation != generation || held.seen != Some(before) {
            *held = InSlot { index: held.index, ..InSlot::default() };
            self.urgent.push((cell, schema.full_bytes() as u32));
            return self.publish(slot, body);
        }
        let old_cell = schema.cell(held.body.x, held.body.y);
        let expected = held.body.state.lasting();
        let is_expected = state == expected && schema.ahead(&held.body, 1) == (x, y);
        if is_expected && !has_values && cell == old_cell {
            return self.publish(slot, body);
        }
        let is_turn = state.course() != expected.course();
        let bytes = match (cell == old_cell, held.late_since) {
            (false, _) => schema.full_bytes() as u32,
            (true, None) if is_turn => TURN_BYTES,
            _ => JUMP_BYTES,
        };
        if has_values || state.flags() != expected.flags() {
            self.urgent.push((cell, bytes));
            return self.publish(slot, body);
        }
        let age = held.late_since.map_or(0, |since| self.tick.0.wrapping_sub(since.0));
        self.changes.push(Change { slot, body, cell, bytes, age });
    }

    fn publish(&mut self, slot: Slot, body: Body) {
        let held = &mut self.by_slot[usize::from(slot.number)];
        (held.body, held.seen, held.late_since) = (body, Some(self.tick), None);
        if body.state.has(State::ATTACKING) {
            held.attacked = held.seen;
        }
        if body.state.has(State::TELEPORTED) {
            held.teleported = held.seen;
        }
    }

    /// Publishes the oldest changes of each cell, as many as its share of `view_bytes` allows.
    fn publish_some(
        &mut self,
        changes: &mut [Change],
        schema: &Schema,
        cells: usize,
        view_bytes: u32,
    ) {
        let mut in_cells = vec![InCell::default(); cells];
        for (cell, bytes) in &self.urgent {
            in_cells[usize::from(*cell)].urgent += bytes;
        }
        for change in &*changes {
            in_cells[usize::from(change.cell)].others += change.bytes;
        }
        let shares = shares(&in_cells, schema.columns.into(), view_bytes);
        changes.sort_unstable_by_key(|change| {
            (change.cell, u32::MAX - change.age, change.slot.number)
        });
        for of_cell in changes.chunk_by(|one, next| one.cell == next.cell) {
            let cell = usize::from(of_cell[0].cell);
            let mut left = shares[cell].saturating_sub(in_cells[cell].urgent);
            for change in of_cell {
                match left.checked_sub(change.bytes) {
                    Some(rest) => {
                        left = rest;
                        self.publish(change.slot, change.body);
                    }
                    None => left = left.saturating_sub(self.hold_back(change, schema)),
                }
            }
        }
        self.crowded.sort_unstable();
        self.crowded.dedup();
    }

    /// A body goes on as it was. Near the border of its cell it stops, which costs fewer bytes than
    /// a body that enters another cell. Returns the bytes.
    fn hold_back(&mut self, change: &Change, schema: &Schema) -> u32 {
        self.held_back += 1;
        let held = &mut self.by_slot[usize::from(change.slot.number)];
        held.late_since.get_or_insert(self.tick);
        held.seen = Some(self.tick);
        let cell = schema.cell(held.body.x, held.body.y);
        if self.crowded.last() != Some(&cell) {
            self.crowded.push(cell);
        }
        let state = held.body.state.lasting();
        let (later_x, later_y) = schema.ahead(&held.body, STOP_TICKS);
        if schema.cell(later_x, later_y) == cell {
            let (x, y) = schema.ahead(&held.body, 1);
            held.body = Body { x, y, state, ..held.body };
            return 0;
        }
        held.body.state = state.on_course(Course::None);
        TURN_BYTES
    }
}

/// The bytes that each cell may publish, so that no client receives more than `view_bytes` from the
/// cells that it holds.
fn shares(cells: &[InCell], columns: usize, view_bytes: u32) -> Vec<u32> {
    let rows = cells.len() / columns;
    // By cell: the bytes in the rectangle from the first cell to the one before it.
    let mut sums = vec![0; (columns + 1) * (rows + 1)];
    for row in 0..rows {
        let mut in_row = 0;
        for column in 0..columns {
            let cell = cells[row * columns + column];
            in_row += cell.urgent + cell.others;
            let above = sums[row * (columns + 1) + column + 1];
            sums[(row + 1) * (columns + 1) + column + 1] = above + in_row;
        }
    }
    let within = |left: usize, top: usize| {
        let (right, bottom) = ((left + HELD_MAX).min(columns), (top + HELD_MAX).min(rows));
        let at = |row: usize, column: usize| sums[row * (columns + 1) + column];
        at(bottom, right) + at(top, left) - at(top, right) - at(bottom, left)
    };
    let share = |cell: usize| {
        let bytes = u64::from(cells[cell].urgent + cells[cell].others);
        if bytes == 0 {
            return 0;
        }
        let (row, column) = (cell / columns, cell % columns);
        let lefts = column.saturating_sub(HELD_MAX - 1)..=column;
        let tops = row.saturating_sub(HELD_MAX - 1)..=row;
        let most = tops.flat_map(|top| lefts.clone().map(move |left| (left, top)));
        let most = most.map(|(left, top)| within(left, top)).max().unwrap_or(0);
        match most <= view_bytes {
            true => u32::MAX,
            false => (bytes * u64::from(view_bytes) / u64::from(most)) as u32,
        }
    };
    (0..cells.len()).map(share).collect()
}

/// The state of a body.
fn state(body: &game::Body) -> State {
    let course = match body.course {
        None => Course::None,
        Some(Direction::Up) => Course::Up,
        Some(Direction::Down) => Course::Down,
        Some(Direction::Left) => Course::Left,
        Some(Direction::Right) => Course::Right,
    };
    let flags = [
        (body.flags.attacking, State::ATTACKING),
        (body.flags.dead, State::DEAD),
        (body.flags.teleported, State::TELEPORTED),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(State::new(course), |state, (_, flag)| state.with(flag))
}
