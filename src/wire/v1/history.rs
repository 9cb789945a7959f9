//! What a room has for its clients of skirmish.v1: its bodies on the newest ticks, and the CELLs
//! that are encoded from them, each once.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Range;

use super::forms::Forms;
use super::lists::Lists;
use super::published::Published;
use super::ranks::Ranks;
use super::slots::{Slot, Slots};
use super::viewer::{Block, Cells, Made, Reach, Viewer};
use super::{KeyframeBytes, terms, vec_bytes};
use crate::codec::v1::server::{Check, Head, RosterEntry};
use crate::codec::v1::{self, BASE_AGE_MAX, Bodies, Body, HEAD_TICKS, Schema, Values, cell, delta};
use crate::game::{self, Frame, PlayerId, Rect, World};
use crate::limits::EVENTS_A_MESSAGE;
use crate::time::{TICKS_PER_SECOND, Tick};

/// The newest tick and the bases of all clients.
const TICKS: usize = BASE_AGE_MAX as usize + 1;
/// A client holds the cells up to this far from what it sees, in map units.
const NEAR: u16 = 128;
/// It forgets the cells that are further away.
const FAR: u16 = 256;

/// The bodies of a room on the newest ticks.
#[derive(Debug)]
pub struct History {
    schema: Schema,
    map: Rect,
    /// The number of cells of the map.
    map_cells: usize,
    /// The side of a cell, as a power of two.
    side_bits: u32,
    slots: Slots,
    /// The newest one first.
    ticks: VecDeque<Lists>,
    /// The cells that have bodies or have changed on the last ticks, in ascending order. Of a large
    /// map these are few.
    cells: Vec<InUse>,
    /// Another list, to make the next one.
    spare: Vec<InUse>,
    /// Where they are.
    ranks: Ranks,
    /// By index in `cells`, and one more at the end: where the CELL from the last tick to the
    /// newest one begins in `encoded`, and how many CELLs are before it. A cell without one takes
    /// no bytes.
    newest: Vec<Start>,
    /// By index and base age, 0 for a full one: the other CELLs.
    others: Forms,
    encoded: Vec<u8>,
    /// By index: the part of CHECK.
    sums: Vec<Option<u32>>,
    published: Published,
    bodies: Vec<Body>,
    record: Vec<u8>,
}

/// A cell that has bodies or has changed.
#[derive(Clone, Copy, Debug)]
struct InUse {
    cell: u16,
    /// Bit n is set if something happened n ticks before the newest tick that the courses of the
    /// tick before do not lead to.
    changes: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Start {
    at: u32,
    cells: u32,
}

/// What HEAD says of the client's own body.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Those flags of HEAD that are about the client alone.
    pub flags: u8,
    pub at: (u16, u16),
    pub applied: u16,
    pub lead: i8,
    pub values: Values,
    pub keyframe_bytes: KeyframeBytes,
}

impl History {
    /// The history of a world, before its first tick.
    #[must_use]
    pub fn of(world: &World) -> History {
        let schema = terms::schema(world.rules(), world.ground());
        let map_cells = terms::cells(&schema, world.ground());
        History {
            map: world.ground().map,
            map_cells,
            side_bits: schema.side.trailing_zeros(),
            slots: Slots::default(),
            ticks: VecDeque::with_capacity(TICKS),
            cells: Vec::new(),
            spare: Vec::new(),
            ranks: Ranks::new(map_cells),
            newest: Vec::new(),
            others: Forms::default(),
            encoded: Vec::new(),
            sums: Vec::new(),
            published: Published::default(),
            bodies: Vec::new(),
            record: Vec::new(),
            schema,
        }
    }

    /// The slot of a player that joins before the next tick, or has one.
    pub fn slot(&mut self, player: PlayerId, now: Tick) -> Option<Slot> {
        self.slots.take(player, now)
    }

    /// The index of a client's own body in the newest frame.
    pub fn index(&self, viewer: &mut Viewer, player: PlayerId) -> Option<usize> {
        self.published.index(viewer.slot(|| self.slots.of(player))?)
    }

    /// Reads what a message needs for the body of a client.
    pub fn prefetch(&self, viewer: &Viewer) {
        black_box(viewer.known_slot().and_then(|slot| self.published.index(slot)));
    }

    /// The player of the body in a slot.
    #[cfg(test)]
    pub fn player(&self, slot: Slot) -> Option<PlayerId> {
        self.slots.player(slot)
    }

    /// Before the first player: the slots have been used up to a generation.
    #[cfg(test)]
    pub fn use_slots_up_to(&mut self, generation: u8, count: u16, now: Tick) {
        self.slots = Slots::used_up_to(generation, count, now);
    }

    /// The number of bodies with a change that is held back.
    #[must_use]
    pub fn held_back(&self) -> u32 {
        self.published.held_back()
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let lists: usize = self.ticks.iter().map(Lists::held_bytes).sum();
        let cells = vec_bytes(&self.cells) + vec_bytes(&self.spare);
        let cells = cells + self.ranks.held_bytes();
        let by_cell = cells + vec_bytes(&self.newest) + vec_bytes(&self.sums);
        let encoded = vec_bytes(&self.encoded) + vec_bytes(&self.bodies) + vec_bytes(&self.record);
        let ticks = self.ticks.capacity() * size_of::<Lists>();
        let encoded = encoded + self.others.held_bytes();
        lists + ticks + by_cell + encoded + self.slots.held_bytes() + self.published.held_bytes()
    }

    /// The room has a new frame. A client receives about `view_bytes` on a tick, keyframes and
    /// urgent changes aside.
    pub fn renew(&mut self, frame: &Frame, view_bytes: u32) {
        let History { schema, slots, ticks, published, map_cells, .. } = self;
        let snapshot = frame.snapshot();
        let mut lists = if ticks.len() < TICKS {
            Lists::default()
        } else {
            ticks.pop_back().unwrap_or_default()
        };
        slots.add(snapshot.bodies, snapshot.tick);
        lists.fill_events(frame.facts(), snapshot.rules, schema, slots);
        slots.release(snapshot.bodies, snapshot.tick);
        published.renew(&snapshot, schema, *map_cells, slots, view_bytes);
        lists.fill(snapshot.tick, published, schema.fields.len());
        ticks.push_front(lists);
        self.encode_newest();
    }

    /// Encodes what has changed since the tick before.
    fn encode_newest(&mut self) {
        let History { schema, ticks, cells, spare, newest, encoded, published, .. } = self;
        std::mem::swap(cells, spare);
        cells.clear();
        newest.clear();
        encoded.clear();
        let fields = schema.fields.len();
        let before = ticks.get(1);
        let mut known = spare.iter().peekable();
        let mut bases = before.into_iter().flat_map(|lists| lists.by_cell(fields)).peekable();
        let mut news = ticks[0].by_cell(fields).peekable();
        let elsewhere = |body: &Body| published.place(body);
        let mut count = 0;
        // A cell that had bodies on the tick before is known.
        while let Some(cell) = match (known.peek(), news.peek()) {
            (Some(known), Some((new, _))) => Some(known.cell.min(*new)),
            (known, new) => known.map(|known| known.cell).or(new.map(|(new, _)| *new)),
        } {
            let changes = known.next_if(|it| it.cell == cell).map_or(0, |it| it.changes);
            let base = bases.next_if(|(base, _)| *base == cell).unwrap_or_default().1;
            let new = news.next_if(|(new, _)| *new == cell).unwrap_or_default().1;
            let start = Start { at: encoded.len() as u32, cells: count };
            if !(new.bodies.is_empty() && base.bodies.is_empty()) && before.is_some() {
                delta::encode(schema, cell, (base, 1), new, elsewhere, encoded);
            }
            let is_changed = u32::from(encoded.len() as u32 > start.at);
            let changes = changes << 1 | is_changed;
            if changes > 0 || !new.bodies.is_empty() {
                cells.push(InUse { cell, changes });
                newest.push(start);
                count += is_changed;
            }
        }
        newest.push(Start { at: encoded.len() as u32, cells: count });
        let numbers = cells.iter().map(|it| it.cell);
        if !numbers.clone().eq(spare.iter().map(|it| it.cell)) {
            self.ranks.renew(numbers);
        }
        self.others.clear(self.cells.len());
        self.sums.clear();
        self.sums.resize(self.cells.len(), None);
    }

    /// The CELL of the newest tick for the clients that hold a cell as it was `age` ticks ago. It
    /// is empty if nothing has happened that they would not know.
    fn delta(&mut self, cell: u16, age: u8) -> Range<usize> {
        let Some(index) = self.ranks.find(cell) else { return 0..0 };
        let since = self.cells[index].changes << (32 - u32::from(age));
        if since == 0 {
            return 0..0;
        }
        // What is older has not changed.
        let age = age - since.leading_zeros() as u8;
        if age == 1 {
            let [start, end] = [0, 1].map(|more| self.newest[index + more].at as usize);
            return start..end;
        }
        if let Some(form) = self.others.find(index, age) {
            return form;
        }
        let History { schema, ticks, others, encoded, published, bodies, .. } = self;
        let (now, fields) = (&ticks[0], schema.fields.len());
        let new = now.cell(cell, fields);
        bodies.clear();
        bodies.extend(new.bodies.iter().map(|body| published.with_flags(*body, age)));
        let new = Bodies { bodies, ..new };
        let base = ticks[usize::from(age)].cell(cell, fields);
        let start = encoded.len();
        let elsewhere = |body: &Body| published.place(body);
        delta::encode(schema, cell, (base, age), new, elsewhere, encoded);
        others.add(index, age, &(start..encoded.len()));
        start..encoded.len()
    }

    /// Appends the CELL with all bodies of a cell.
    fn put_full(&mut self, cell: u16, out: &mut Vec<u8>) {
        let History { schema, ticks, ranks, others, encoded, .. } = self;
        let Some(index) = ranks.find(cell) else {
            return cell::encode_full(schema, cell, Bodies::default(), out);
        };
        let form = others.find(index, 0).unwrap_or_else(|| {
            let start = encoded.len();
            cell::encode_full(schema, cell, ticks[0].cell(cell, schema.fields.len()), encoded);
            others.add(index, 0, &(start..encoded.len()));
            start..encoded.len()
        });
        out.extend_from_slice(&encoded[form]);
    }

    pub(super) fn sum(&mut self, cell: u16) -> u32 {
        let History { schema, ticks, ranks, sums, record, .. } = self;
        let Some(index) = ranks.find(cell) else { return 0 };
        let sum = || ticks[0].cell(cell, schema.fields.len()).sum(schema, record);
        *sums[index].get_or_insert_with(sum)
    }

    /// Appends the message of the newest tick for a client. `bodies` are those of the newest frame.
    /// Returns whether there is one: nothing is sent if nothing has changed that the client sees,
    /// or if it needs a keyframe and no bytes are left for it.
    pub fn message(
        &mut self,
        viewer: &mut Viewer,
        own: &Own,
        bodies: &[game::Body],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(now) = self.ticks.front().map(|lists| lists.tick) else { return false };
        let base_age = viewer.base_age(now);
        let has_base = usize::from(base_age) < self.ticks.len();
        let asks = viewer.gets_keyframe(now);
        let age = if has_base && !asks { base_age } else { 0 };
        // A client that asks for a keyframe leaves half of the bytes to those that have no base.
        let KeyframeBytes { max, left } = own.keyframe_bytes;
        if age == 0 && left <= if asks { max / 2 } else { 0 } {
            viewer.wait_for_keyframe();
            return false;
        }
        // The ticks of which it has not received the events: also a client that asks for a
        // keyframe has received all up to its base.
        let new_ticks = if has_base { base_age.max(1) } else { 1 };
        let reach = self.reach(own.at);
        let changed = (age == 0 || viewer.reach() != Some(reach)).then(|| {
            (reach, self.cells_to_hold(reach, if age == 0 { &[] } else { viewer.held() }))
        });
        let held = changed.as_ref().map_or(viewer.held(), |(_, cells)| &cells[..]);
        let start = out.len();
        let named = viewer.wanted().len();
        if named > 0 {
            self.roster(viewer.wanted(), bodies, out);
        }
        let events = self.put_events(new_ticks, held, out);
        // Whether a tick that is divisible by `span` has come since the base.
        let has_passed = |span: u32| now.0 % span < new_ticks.into();
        if has_passed(TICKS_PER_SECOND) {
            let sum = held.iter().fold(0_u32, |sum, cell| sum.wrapping_add(self.sum(*cell)));
            Check { tick: now, sum }.encode(out);
        }
        let head = out.len();
        let crowded = if self.published.is_crowded(held) { Head::CROWDED } else { 0 };
        let flags = crowded | own.flags;
        let Own { at: (x, y), applied, lead, values, .. } = *own;
        let own_values = &values[..self.schema.owner_fields.len()];
        Head { flags, tick: now, age, cells: 0, applied, lead, x, y, values }
            .encode(&self.schema, out);
        let cells = match changed {
            None if age == 1 => self.put_newest(held, out),
            _ => self.put_cells(age, viewer.held(), held, out),
        };
        out[head + v1::server::HEAD_CELLS_AT] = cells;
        let is_due = age == 0
            || cells > 0
            || events > 0
            || named > 0
            || own_values != viewer.values()
            || has_passed(HEAD_TICKS);
        let made = Made { tick: now, is_keyframe: age == 0, held: changed, named };
        viewer.offer(made, own_values);
        if !is_due {
            out.truncate(start);
        }
        is_due
    }

    /// Appends what happened on the last ticks in cells, and to the whole room. Returns how much.
    fn put_events(&self, ticks: u8, cells: &[u16], out: &mut Vec<u8>) -> usize {
        let mut count = 0;
        let eventful = |lists: &&Lists| lists.has_events();
        for lists in self.ticks.iter().take(ticks.into()).filter(eventful).rev() {
            let places = std::iter::once(None).chain(cells.iter().map(|cell| Some(*cell)));
            let events = places.flat_map(|place| lists.events(place));
            for event in events.take(EVENTS_A_MESSAGE - count) {
                event.encode(&self.schema, out);
                count += 1;
            }
        }
        count
    }

    /// Appends the CELLs for a client that held the same cells one tick ago. Returns how many.
    fn put_newest(&self, cells: &[u16], out: &mut Vec<u8>) -> u8 {
        let mut count = 0;
        // Cells that follow each other are encoded behind each other.
        for run in cells.chunk_by(|one, next| one + 1 == *next) {
            let (first, last) = (usize::from(run[0]), usize::from(run[run.len() - 1]));
            let [start, end] = [first, last + 1].map(|cell| self.newest[self.ranks.before(cell)]);
            if end.at > start.at {
                out.extend_from_slice(&self.encoded[start.at as usize..end.at as usize]);
                count += end.cells - start.cells;
            }
        }
        count as u8
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
            let start = out.len();
            match before.split_first().filter(|(first, _)| *first == cell) {
                Some((_, rest)) => {
                    before = rest;
                    let form = self.delta(*cell, age);
                    out.extend_from_slice(&self.encoded[form]);
                }
                None => self.put_full(*cell, out),
            }
            count += u8::from(out.len() > start);
        }
        for cell in before {
            cell::encode_forget(*cell, out);
            count += 1;
        }
        count
    }

    /// The cells around a place, the middle of what a client sees. What it sees lies on the map.
    fn reach(&self, (x, y): (u16, u16)) -> Reach {
        let Rect { left, top, right, bottom } = self.map;
        let [width, height] = terms::VIEW;
        let span = |at: u16, seen: u16, least: u16, greatest: u16| {
            let first = at.saturating_sub(seen / 2).min(greatest.saturating_sub(seen)).max(least);
            let last = first.saturating_add(seen);
            let cell = |at: u16| (u32::from(at) >> self.side_bits) as u16;
            [NEAR, FAR].map(|more| {
                let last = last.saturating_add(more).min(greatest);
                (cell(first.saturating_sub(more).max(least)), cell(last))
            })
        };
        let [near_columns, far_columns] = span(x, width, left, right);
        let [near_rows, far_rows] = span(y, height, top, bottom);
        Reach {
            near: Block { columns: near_columns, rows: near_rows },
            far: Block { columns: far_columns, rows: far_rows },
        }
    }

    /// The cells that a client holds from now on, in ascending order: those near what it sees, and
    /// those that it holds already and that are not far away.
    fn cells_to_hold(&self, Reach { near, far }: Reach, held: &[u16]) -> Cells {
        let mut cells = Cells::new();
        for row in far.rows.0..=far.rows.1 {
            for column in far.columns.0..=far.columns.1 {
                let cell = row * self.schema.columns + column;
                if near.has(column, row) || held.binary_search(&cell).is_ok() {
                    cells.push(cell);
                }
            }
        }
        cells
    }

    /// Appends the ROSTER of the bodies that a client asks about: slots and generations. `bodies`
    /// are those of the newest frame.
    pub fn roster(&self, who: &[[u8; 3]], bodies: &[game::Body], out: &mut Vec<u8>) {
        let entries = who.iter().filter_map(|[low, high, generation]| {
            let slot = Slot { number: u16::from_le_bytes([*low, *high]), generation: *generation };
            let game::Body { id, color, name, .. } = &bodies[self.published.index(slot)?];
            let (player, color, name) = (id.0, *color, name.as_deref().unwrap_or_default());
            let (id, generation) = (slot.number, slot.generation);
            Some(RosterEntry { id, generation, player, color, name })
        });
        v1::server::encode_roster(entries, out);
    }
}
