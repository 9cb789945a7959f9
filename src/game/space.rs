//! The part of a world that all games share: bodies on a map, their moves, and the values of the
//! declared fields. A [`Game`](super::Game) reads and changes it; nothing else does.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::body::{Flags, Move, distance_squared};
use super::grid::Grid;
use super::held::{Held, HeldKeys, Steps};
use super::names::Names;
use super::past::Past;
use super::rules::{Argument, Audience, Detail};
use super::saved::Saved;
use super::{Body, Command, Denied, Direction, Event, Fact, Ground, PlayerId, Point, Rules};
use crate::ordered;
use crate::time::Tick;

/// Bodies on a map.
#[derive(Debug)]
pub struct Space {
    rules: &'static Rules,
    ground: Ground,
    tick: Tick,
    /// The tick whose state is the first to contain what changes now.
    next_state: Tick,
    /// In the order of their numbers.
    bodies: Vec<Body>,
    /// A row of the declared fields for each body.
    values: Vec<i32>,
    /// The held keys of each body. Beside the bodies, which are copied on every tick.
    held: Vec<Option<Held>>,
    past: Past,
    /// The body whose held keys attack, and the rewind of its attacks.
    attacker: Option<(usize, u8)>,
    /// The declared fields of the room.
    room: Vec<i32>,
    grid: Grid,
    names: Names,
    rng: ChaCha8Rng,
    moves_saved_max: u8,
    /// What has happened since the world last took the facts.
    facts: Vec<Fact>,
    has_room_changed: bool,
    /// The bodies with a changed owner-only field.
    changed_owners: Vec<PlayerId>,
}

/// What a game calls.
impl Space {
    /// The rules of the world.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// The area of the world.
    #[must_use]
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// The number of ticks so far.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.tick
    }

    /// All bodies, in the order of their players' numbers.
    #[must_use]
    pub fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// The index of a player's body, if it is here.
    #[must_use]
    pub fn find(&self, id: PlayerId) -> Option<usize> {
        ordered::search(&self.bodies, id.0, |body| body.id.0).ok()
    }

    /// A declared field of a body.
    #[must_use]
    #[track_caller]
    pub fn value(&self, body: usize, field: usize) -> i32 {
        self.values[body * self.rules.fields.len() + field]
    }

    /// Changes a declared field of a body. The value is clamped to the width of the field.
    #[track_caller]
    pub fn set(&mut self, body: usize, field: usize, value: i32) {
        let declared = &self.rules.fields[field];
        let held = &mut self.values[body * self.rules.fields.len() + field];
        let value = declared.hold(value);
        if std::mem::replace(held, value) == value {
            return;
        }
        let body = &mut self.bodies[body];
        match declared.audience {
            Audience::Public if declared.sends_changes && declared.detail.has(Detail::POSITION) => {
                body.moved = self.next_state;
            }
            Audience::Owner if self.changed_owners.last() != Some(&body.id) => {
                self.changed_owners.push(body.id);
            }
            Audience::Public | Audience::Owner | Audience::Hidden => {}
        }
    }

    /// Sends the place and the fields of a body with the next state, as after a move.
    pub fn send_position(&mut self, body: usize) {
        self.bodies[body].moved = self.next_state;
    }

    /// A declared field of the room.
    #[must_use]
    #[track_caller]
    pub fn room(&self, field: usize) -> i32 {
        self.room[field]
    }

    /// Changes a declared field of the room. The value is clamped to the width of the field.
    #[track_caller]
    pub fn set_room(&mut self, field: usize, value: i32) {
        let declared = &self.rules.room_fields[field];
        let value = declared.width.hold(value);
        self.has_room_changed |= declared.sends_changes && self.room[field] != value;
        self.room[field] = value;
    }

    /// Replaces the content of `found` with the bodies at most `reach` from a place (Euclidean,
    /// inclusive), in the order of their numbers. During an attack of a player that sees the others
    /// late, they are where it saw them, except for those that were put elsewhere since then.
    pub fn near(&mut self, at: Point, reach: u16, found: &mut Vec<usize>) {
        let Space { grid, bodies, past, .. } = self;
        let (attacker, rewind) = self.attacker.unwrap_or_default();
        let reach_squared = u64::from(reach) * u64::from(reach);
        found.clear();
        grid.prepare(bodies.iter().map(|body| body.at));
        grid.search(at, reach.saturating_add(past.leap_max(rewind)), |index| {
            let is_now = rewind == 0 || index == attacker;
            let seen = if is_now { None } else { past.place(index, rewind) };
            if distance_squared(at, seen.unwrap_or(bodies[index].at)) <= reach_squared {
                found.push(index);
            }
        });
        found.sort_unstable();
    }

    /// A random number from `least` to `greatest`, from the seed of the world.
    #[track_caller]
    pub fn random(&mut self, least: i32, greatest: i32) -> i32 {
        self.rng.random_range(least..=greatest)
    }

    /// A step of a bot that walks about at random, if it makes one on this tick: at a third of the
    /// speed of a player, with pauses.
    pub fn wander(&mut self, body: usize) -> Option<Command> {
        let Body { id, at, facing, .. } = self.bodies[body];
        let moment = self.tick.0.wrapping_add(id.0);
        if !moment.is_multiple_of(3) || (moment / 32).is_multiple_of(4) {
            return None;
        }
        let ahead = Move::Step(facing).destination(at, self.rules.step, self.ground.walls);
        let turns = ahead == at || self.random(1, 8) == 1;
        let direction = if turns { self.random(0, 3) } else { facing as i32 };
        Some(Command::Step(Direction::ALL[direction as usize]))
    }

    /// Puts a body at another place at once.
    #[track_caller]
    pub fn teleport(&mut self, body: usize, to: Point) {
        let to = self.ground.walls.clamp(to);
        self.bodies[body].at = to;
        self.bodies[body].moved = self.next_state;
        self.flags(body).teleported = true;
        self.grid.shift(body, to);
        self.past.forget(body);
    }

    /// Sets or ends the course of a body: one step on every tick. Where a player holds keys, their
    /// direction is the course from the next tick on.
    pub fn set_course(&mut self, body: usize, course: Option<Direction>) {
        self.bodies[body].course = course.filter(|_| !self.bodies[body].flags.dead);
    }

    /// Marks a body as attacking, until the tick after the next state.
    pub fn mark_attacking(&mut self, body: usize) {
        self.flags(body).attacking = true;
    }

    /// Kills a body: it stays where it is, and its waiting move is dropped.
    pub fn kill(&mut self, body: usize) {
        let body = &mut self.bodies[body];
        body.flags.dead = true;
        body.course = None;
        body.waiting = None;
    }

    /// Revives a body at a random place. A direction that is held is its course.
    pub fn respawn(&mut self, body: usize) {
        let at = self.random_place();
        self.bodies[body].flags.dead = false;
        self.teleport(body, at);
        if let Some(held) = &self.held[body] {
            self.bodies[body].course = held.direction();
        }
        self.report(Event::Respawned(self.bodies[body].id), body);
    }

    /// Reports an event at the place of a body.
    ///
    /// # Panics
    /// If the rules do not declare the event, or a word in it.
    #[track_caller]
    pub fn report(&mut self, event: Event, body: usize) {
        let place = Some(self.bodies[body].at);
        self.push_fact(event, place);
    }

    /// Reports an event that concerns the whole room.
    ///
    /// # Panics
    /// If the rules do not declare the event, or a word in it.
    #[track_caller]
    pub fn report_to_room(&mut self, event: Event) {
        self.push_fact(event, None);
    }

    #[track_caller]
    fn push_fact(&mut self, event: Event, place: Option<Point>) {
        if let Event::Own { kind, arguments } = event {
            let (name, declared) = (self.rules.name, self.rules.events.get(usize::from(kind)));
            let Some(event) = declared else { panic!("the rules {name} declare no event {kind}") };
            for (argument, value) in event.arguments.iter().zip(arguments) {
                if let Argument::Word(of, words) = argument {
                    let is_one = usize::try_from(value).is_ok_and(|index| index < words.len());
                    assert!(is_one, "the rules {name} declare no word {value} of {of:?}");
                }
            }
        }
        self.facts.push(Fact { event, place });
    }

    fn random_place(&mut self) -> Point {
        let spawn = self.ground.spawn;
        Point {
            x: self.rng.random_range(spawn.left..=spawn.right),
            y: self.rng.random_range(spawn.top..=spawn.bottom),
        }
    }

    /// The flags of a body, for the next state.
    fn flags(&mut self, body: usize) -> &mut Flags {
        let body = &mut self.bodies[body];
        body.expire_flags(self.next_state);
        &mut body.flags
    }
}

/// What the world calls.
impl Space {
    pub(super) fn new(
        rules: &'static Rules,
        ground: Ground,
        seed: u64,
        moves_saved_max: u8,
    ) -> Space {
        Space {
            rules,
            ground,
            tick: Tick::default(),
            next_state: Tick::default().next(),
            bodies: Vec::new(),
            values: Vec::new(),
            held: Vec::new(),
            past: Past::default(),
            attacker: None,
            room: rules.room_fields.iter().map(|field| field.start).collect(),
            grid: Grid::new(ground.map),
            names: Names::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            moves_saved_max,
            facts: Vec::new(),
            has_room_changed: false,
            changed_owners: Vec::new(),
        }
    }

    /// The declared fields of all bodies, a row for each.
    pub(super) fn values(&self) -> &[i32] {
        &self.values
    }

    /// The declared fields of the room.
    pub(super) fn room_values(&self) -> &[i32] {
        &self.room
    }

    pub(super) fn moves_saved_max(&self) -> u8 {
        self.moves_saved_max
    }

    /// Adds a body at a random place. Returns its index.
    pub(super) fn join(&mut self, id: PlayerId, name: Option<Box<str>>) -> usize {
        // Nearly always at the end: only a bot returns with its number.
        let Err(index) = ordered::search(&self.bodies, id.0, |body| body.id.0) else {
            panic!("the player {} is here already", id.0);
        };
        let at = self.random_place();
        let color = self.rng.random_range(0..=0xff_ff_ff);
        if self.bodies.len() == self.bodies.capacity() {
            // Many rooms are small and stay so: grow by a quarter, and not to twice the size.
            let more = 2 + self.bodies.len() / 4;
            self.bodies.reserve_exact(more);
            self.values.reserve_exact(more * self.rules.fields.len());
            self.held.reserve_exact(more);
            self.past.reserve_exact(more);
        }
        let body = Body {
            id,
            at,
            course: None,
            facing: Direction::Down,
            flags: Flags { teleported: true, ..Flags::default() },
            color,
            name: name.map(|name| self.names.take(&name)),
            moved: self.tick,
            flagged: self.next_state,
            credit: self.moves_saved_max,
            waiting: None,
        };
        self.bodies.insert(index, body);
        self.held.insert(index, None);
        self.past.insert(index);
        let first = index * self.rules.fields.len();
        self.values.splice(first..first, self.rules.fields.iter().map(|field| field.start));
        if self.rules.fields.iter().any(|field| field.audience == Audience::Owner) {
            self.changed_owners.push(id);
        }
        match index + 1 == self.bodies.len() {
            true => self.grid.push(at),
            false => self.grid.clear(),
        }
        index
    }

    /// Removes a body.
    pub(super) fn remove(&mut self, body: usize) {
        let fields = self.rules.fields.len();
        if let Some(name) = self.bodies.remove(body).name {
            self.names.release(&name);
        }
        self.values.drain(body * fields..(body + 1) * fields);
        self.held.remove(body);
        self.past.remove(body);
        self.grid.remove(body);
    }

    /// Makes a move, or keeps it for the next tick if the body has no credit.
    pub(super) fn ask_move(&mut self, body: usize, wanted: Move) -> Result<(), Denied> {
        let mover = &mut self.bodies[body];
        if mover.flags.dead {
            return Err(Denied::Dead);
        }
        if mover.credit == 0 {
            mover.waiting = Some(wanted);
        } else {
            mover.credit -= 1;
            self.make_move(body, wanted);
        }
        Ok(())
    }

    /// A player holds keys from a step on.
    pub(super) fn hold(&mut self, body: usize, keys: HeldKeys) {
        match &mut self.held[body] {
            Some(held) => held.hold(keys),
            first => *first = Some(Held::new(keys)),
        }
    }

    /// A player holds keys no longer: the course ends, and the next keys are the first ones.
    pub(super) fn release(&mut self, body: usize) {
        if self.held[body].take().is_some() {
            self.set_course(body, None);
        }
    }

    /// How far the steps of a body are.
    pub(super) fn steps(&self, body: usize) -> Steps {
        self.held[body].as_ref().map(Held::steps).unwrap_or_default()
    }

    /// Runs the next step of a body with held keys: their direction becomes its course, and the
    /// body faces there already when it attacks. Returns the attacks in it, which are made next.
    pub(super) fn run_step(&mut self, body: usize) -> u8 {
        let Some(held) = &mut self.held[body] else { return 0 };
        let (attacks, direction) = (held.run_step(), held.direction());
        self.attacker = Some((body, held.rewind()));
        self.set_course(body, direction);
        let body = &mut self.bodies[body];
        body.facing = body.course.unwrap_or(body.facing);
        attacks
    }

    /// Starts a tick: flags expire, waiting moves are made, and bodies with a course take a step. A
    /// body that does neither saves a move.
    pub(super) fn begin_tick(&mut self) {
        self.attacker = None;
        self.tick = self.tick.next();
        self.next_state = self.tick;
        for index in 0..self.bodies.len() {
            let body = &mut self.bodies[index];
            body.expire_flags(self.tick);
            match body.waiting.take().or(body.course.map(Move::Step)) {
                Some(wanted) => self.make_move(index, wanted),
                None => body.credit = (body.credit.saturating_add(1)).min(self.moves_saved_max),
            }
        }
    }

    /// The tick is over: later changes are part of the next one.
    pub(super) fn end_tick(&mut self) {
        self.next_state = self.tick.next();
        self.past.end_tick(&self.bodies);
    }

    /// Appends what has happened to `facts`, and then the changes of fields.
    pub(super) fn take_facts(&mut self, facts: &mut Vec<Fact>) {
        facts.append(&mut self.facts);
        if std::mem::take(&mut self.has_room_changed) {
            facts.push(Fact { event: Event::RoomFields, place: None });
        }
        for id in self.changed_owners.drain(..) {
            if let Ok(index) = ordered::search(&self.bodies, id.0, |body| body.id.0) {
                let place = Some(self.bodies[index].at);
                facts.push(Fact { event: Event::OwnerFields(id), place });
            }
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            ground: self.ground,
            tick: self.tick,
            bodies: self.bodies.clone(),
            values: self.values.clone(),
            held: self.held.clone(),
            past: self.past.clone(),
            room: self.room.clone(),
            rng: self.rng.clone(),
            moves_saved_max: self.moves_saved_max,
        }
    }

    /// Restores a space.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(super) fn load(rules: &'static Rules, saved: &Saved) -> Result<Space, &'static str> {
        saved.check(rules)?;
        let mut space = Space::new(rules, saved.ground, 0, saved.moves_saved_max);
        space.tick = saved.tick;
        space.next_state = saved.tick.next();
        space.bodies.clone_from(&saved.bodies);
        space.values.clone_from(&saved.values);
        space.held.clone_from(&saved.held);
        space.past = saved.past.clone();
        space.room.clone_from(&saved.room);
        space.names = Names::of(&space.bodies);
        space.rng = saved.rng.clone();
        Ok(space)
    }

    pub(super) fn is_sound(&self) -> bool {
        let is_sound = |body: &Body| {
            self.ground.walls.contains(body.at)
                && body.credit <= self.moves_saved_max
                && !(body.flags.dead && (body.waiting.is_some() || body.course.is_some()))
        };
        self.bodies.is_sorted_by(|one, other| one.id < other.id)
            && self.bodies.iter().all(is_sound)
            && self.values.len() == self.bodies.len() * self.rules.fields.len()
            && self.held.len() == self.bodies.len()
            && self.held.iter().flatten().all(Held::is_sound)
            && self.past.is_sound(self.bodies.iter().map(|body| body.at))
            && self.grid.is_sound(self.bodies.iter().map(|body| body.at))
    }

    fn make_move(&mut self, body: usize, wanted: Move) {
        let mover = &mut self.bodies[body];
        mover.facing = wanted.direction(mover.at).unwrap_or(mover.facing);
        let to = wanted.destination(mover.at, self.rules.step, self.ground.walls);
        if to != mover.at {
            mover.at = to;
            mover.moved = self.next_state;
            self.grid.shift(body, to);
            self.past.shift(body, to);
        }
    }
}
