//! A room as a server of `skirmish.v1` would publish it: bodies that join, move, fight and leave at
//! random, and the messages about them for clients that miss ticks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::schema::Walls;
use skirmish::codec::v1::server::{Check, Head};
use skirmish::codec::v1::{ArgumentKind, Body, Course, List, Replica, Schema, State, Width};
use skirmish::codec::v1::{BASE_AGE_MAX, cell, delta};
use skirmish::time::Tick;

/// How many ticks a slot rests before another body gets it.
const REST_TICKS: u32 = 64;

pub type Lists = BTreeMap<u16, List>;

#[derive(Clone)]
struct Being {
    body: Body,
    values: Vec<i32>,
    /// Ticks since it has attacked and since it was teleported.
    attacked: u8,
    teleported: u8,
}

/// What the bodies of a world do.
#[derive(Clone, Copy)]
pub struct Habits {
    pub bodies_max: usize,
    /// The share of bodies that change their course, jump or change a field on a tick.
    pub turns: f64,
    pub changes: f64,
}

pub struct World {
    pub schema: Schema,
    pub tick: Tick,
    pub rng: ChaCha8Rng,
    habits: Habits,
    beings: BTreeMap<u16, Being>,
    /// Slots that rest: since when, and the generation of the next body.
    resting: BTreeMap<u16, (u32, u8)>,
    ticks: u32,
    /// The lists of the newest ticks, with the flags of their own ticks. The newest is first.
    history: VecDeque<Lists>,
}

/// One cell for the whole map of 500 x 500.
pub fn one_cell(fields: &[Width]) -> Schema {
    Schema {
        walls: Walls { left: 10, top: 10, right: 490, bottom: 490 },
        step: 10,
        side: 1 << 16,
        columns: 1,
        fields: fields.to_vec(),
        owner_fields: vec![Width::U16],
        events: vec![
            vec![
                ArgumentKind::Player,
                ArgumentKind::Player,
                ArgumentKind::Number,
                ArgumentKind::Word,
            ],
            vec![],
        ],
    }
}

/// Cells of 128 x 128 on the same map.
pub fn small_cells(fields: &[Width]) -> Schema {
    Schema { side: 128, columns: 4, ..one_cell(fields) }
}

impl World {
    pub fn new(schema: Schema, start: Tick, habits: Habits, seed: u64) -> World {
        let mut world = World {
            schema,
            tick: start,
            rng: ChaCha8Rng::seed_from_u64(seed),
            habits,
            beings: BTreeMap::new(),
            resting: BTreeMap::new(),
            ticks: 0,
            history: VecDeque::new(),
        };
        for _ in 0..habits.bodies_max / 2 {
            world.join();
        }
        world.record();
        world
    }

    fn chance(&mut self, part: f64) -> bool {
        self.rng.random_bool(part)
    }

    fn place(&mut self) -> (u16, u16) {
        let Walls { left, top, right, bottom } = self.schema.walls;
        (self.rng.random_range(left..=right), self.rng.random_range(top..=bottom))
    }

    fn course(&mut self) -> Course {
        Course::ALL[self.rng.random_range(0..Course::ALL.len())]
    }

    fn value(&mut self, width: Width) -> i32 {
        match width {
            Width::U8 => self.rng.random_range(0..=255),
            Width::U16 => self.rng.random_range(0..=65_535),
            Width::I32 | Width::U32 => self.rng.random(),
        }
    }

    fn join(&mut self) {
        // A few slots are far from the others.
        let id = match self.rng.random_range(0..20) {
            0 => self.rng.random_range(0..u16::MAX),
            _ => self.rng.random_range(0..self.habits.bodies_max as u16 * 2),
        };
        let (since, generation) = self.resting.get(&id).copied().unwrap_or((0, 0));
        let rests = generation > 0 && self.ticks - since < REST_TICKS;
        if rests || self.beings.contains_key(&id) {
            return;
        }
        let ((x, y), state) = (self.place(), State::new(self.course()));
        let body = Body { id, generation, x, y, state: state.with(State::TELEPORTED) };
        let widths = self.schema.fields.clone();
        let values = widths.into_iter().map(|width| self.value(width)).collect();
        self.beings.insert(id, Being { body, values, attacked: u8::MAX, teleported: 0 });
    }

    fn leave(&mut self, id: u16) {
        let being = self.beings.remove(&id).expect("it is here");
        self.resting.insert(id, (self.ticks, being.body.generation.wrapping_add(1)));
    }

    /// One tick, in the order of the server: changes of course, steps, and everything else.
    pub fn run_tick(&mut self) {
        self.tick = self.tick.next();
        self.ticks += 1;
        let Habits { bodies_max, turns, changes } = self.habits;
        for id in self.beings.keys().copied().collect::<Vec<_>>() {
            let mut being = self.beings.remove(&id).expect("it is here");
            being.attacked = being.attacked.saturating_add(1);
            being.teleported = being.teleported.saturating_add(1);
            being.body.state = being.body.state.lasting();
            let is_dead = being.body.state.has(State::DEAD);
            if !is_dead && self.chance(turns) {
                being.body.state = being.body.state.on_course(self.course());
            }
            (being.body.x, being.body.y) = self.schema.ahead(&being.body, 1);
            if self.chance(changes) {
                self.change(&mut being);
            }
            self.beings.insert(id, being);
        }
        for _ in 0..=bodies_max / 50 {
            let count = self.beings.len();
            if count < bodies_max && self.chance(changes * 4.0) {
                self.join();
            }
            if count > 0 && self.chance(changes * 3.0) {
                let index = self.rng.random_range(0..count);
                let id = *self.beings.keys().nth(index).expect("it is in range");
                if self.beings.contains_key(&id) {
                    self.leave(id);
                }
            }
        }
        self.record();
    }

    fn change(&mut self, being: &mut Being) {
        let is_dead = being.body.state.has(State::DEAD);
        match self.rng.random_range(0..8) {
            0 => {
                // A step of a JSON player, or a correction: not a teleport.
                let course = self.course();
                let (x, y) = (being.body.x, being.body.y);
                (being.body.x, being.body.y) = self.schema.walk((x, y), course, 1);
            }
            1 => {
                (being.body.x, being.body.y) = self.place();
                being.teleported = 0;
            }
            2 if is_dead => {
                being.body.state = State::new(self.course());
                (being.body.x, being.body.y) = self.place();
                being.teleported = 0;
            }
            2 => being.body.state = State::DEAD,
            3 if !is_dead => being.attacked = 0,
            // Too late for the step of this tick.
            4 if !is_dead => being.body.state = being.body.state.on_course(self.course()),
            _ if !self.schema.fields.is_empty() => {
                let field = self.rng.random_range(0..self.schema.fields.len());
                being.values[field] = self.value(self.schema.fields[field]);
            }
            _ => {}
        }
    }

    fn record(&mut self) {
        let lists = self.lists(1);
        self.history.push_front(lists);
        self.history.truncate(usize::from(BASE_AGE_MAX) + 8);
    }

    /// The lists of all cells with bodies, with the flags of the last `age` ticks.
    pub fn lists(&self, age: u8) -> Lists {
        let mut lists = Lists::new();
        for being in self.beings.values() {
            let mut body = being.body;
            for (flag, ago) in
                [(State::ATTACKING, being.attacked), (State::TELEPORTED, being.teleported)]
            {
                body.state = if ago < age { body.state.with(flag) } else { body.state };
            }
            let cell = self.schema.cell(body.x, body.y);
            lists.entry(cell).or_default().push(body, &being.values);
        }
        lists
    }

    /// The list of a cell some ticks ago.
    fn list(&self, cell: u16, age: u8) -> List {
        self.history[usize::from(age)].get(&cell).cloned().unwrap_or_default()
    }

    /// Whether nothing happened in a cell that a client would not know by itself.
    fn is_unchanged(&self, cell: u16, from_age: u8, to_age: u8) -> bool {
        let mut list = self.list(cell, from_age);
        (to_age..from_age).rev().all(|age| {
            list.advance(&self.schema, cell, 1);
            list == self.list(cell, age)
        })
    }

    /// Any base that gives the client with a base of `age` the right list.
    fn base_age(&mut self, cell: u16, age: u8) -> u8 {
        let later = self.rng.random_range(1..=age);
        if self.is_unchanged(cell, age, later) { later } else { age }
    }

    /// The place of a body that is in the game.
    fn find(&self, body: &Body) -> Option<(u16, u16)> {
        let being = self.beings.get(&body.id)?;
        let is_same = being.body.generation == body.generation;
        is_same.then_some((being.body.x, being.body.y))
    }
}

/// A client, and what the server knows of it.
pub struct Client {
    pub replica: Replica,
    /// The tick of the last HEAD; `None` before the first one and after a RESYNC.
    last: Option<Tick>,
    held: BTreeSet<u16>,
    /// What it must hold now.
    expected: Lists,
    pub bytes: usize,
}

impl Client {
    pub fn new(world: &World) -> Client {
        let replica = Replica::new(world.schema.clone());
        let (held, expected) = (BTreeSet::new(), Lists::new());
        Client { replica, last: None, held, expected, bytes: 0 }
    }

    /// Makes the next message a keyframe.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The message of a tick for a client that sees the cells `view`.
    pub fn message(&mut self, world: &mut World, view: &BTreeSet<u16>) -> Vec<u8> {
        let age = self.last.map(|last| world.tick.0.wrapping_sub(last.0) as u8);
        let age = age.filter(|age| *age <= BASE_AGE_MAX).unwrap_or(0);
        self.last = Some(world.tick);
        if age == 0 {
            self.held.clear();
        }
        let schema = world.schema.clone();
        let (mut cells, mut count) = (Vec::new(), 0);
        self.expected.clear();
        for cell in self.held.difference(view) {
            cell::encode_forget(*cell, &mut cells);
            count += 1;
        }
        for cell in view {
            let new = world.lists(age.max(1)).remove(cell).unwrap_or_default();
            if self.held.contains(cell) {
                let base_age = world.base_age(*cell, age);
                let base = world.list(*cell, base_age);
                let elsewhere = |body: &Body| world.find(body);
                let bases = (base.borrowed(), base_age);
                let encoded =
                    delta::encode(&schema, *cell, bases, new.borrowed(), elsewhere, &mut cells);
                count += u8::from(encoded != delta::Encoded::Nothing);
            } else {
                cell::encode_full(&schema, *cell, new.borrowed(), &mut cells);
                count += 1;
            }
            self.expected.insert(*cell, new);
        }
        self.held.clone_from(view);
        let applied = world.tick.0 as u16;
        let mut values = [0; 16];
        values[0] = i32::from(applied / 2);
        let head = Head { tick: world.tick, age, cells: count, applied, values, ..Head::default() };
        let mut message = Vec::new();
        let sum = self
            .expected
            .values()
            .fold(0_u32, |sum, list| sum.wrapping_add(list.sum(&schema, &mut Vec::new())));
        let check = Check { tick: world.tick, sum };
        // CHECK may be before HEAD, or between HEAD and the first cell.
        if world.tick.0.is_multiple_of(2) {
            check.encode(&mut message);
        }
        head.encode(&schema, &mut message);
        if !world.tick.0.is_multiple_of(2) {
            check.encode(&mut message);
        }
        message.extend_from_slice(&cells);
        self.bytes += message.len();
        message
    }

    /// Lets the client receive a message; it then knows what the server knows.
    pub fn receive(&mut self, message: &[u8]) {
        assert_eq!(self.replica.receive(message), Ok(Received::Applied));
        let held: BTreeSet<u16> = self.replica.cells().map(|(cell, _)| cell).collect();
        assert_eq!(held, self.expected.keys().copied().collect());
        for (cell, list) in self.replica.cells() {
            assert_eq!(list, &self.expected[&cell], "cell {cell} after {:?}", self.last);
        }
    }
}

/// Some cells of the map.
pub fn view(world: &mut World) -> BTreeSet<u16> {
    let all = world.schema.cell(499, 499);
    (0..=all).filter(|cell| *cell == 0 || world.rng.random_bool(0.7)).collect()
}
