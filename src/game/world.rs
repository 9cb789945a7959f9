//! One world: its bodies, its game, and what happens on each tick.

use super::body::Move;
use super::held::{HeldKeys, Steps};
use super::saved::Saved;
use super::space::Space;
use super::stored::StoredWorld;
use super::{Body, Command, Denied, Event, Fact, Game, Ground, PlayerId, Rules, Snapshot};
use crate::time::Tick;

/// A room's world.
#[derive(Debug)]
pub struct World {
    space: Space,
    game: Box<dyn Game>,
    /// Set during a call of the game: it stays set if the call panics.
    is_in_call: bool,
}

/// A saved world.
#[derive(Clone, Debug)]
pub struct SavedWorld {
    space: Saved,
    game: Vec<i64>,
}

impl World {
    /// An empty world on the ground of its rules. Equal seeds and equal calls make equal worlds. A
    /// player may save at most `moves_saved_max` moves.
    #[must_use]
    pub fn new(rules: &'static Rules, seed: u64, moves_saved_max: u8) -> World {
        World::on(rules.ground, rules, seed, moves_saved_max)
    }

    /// The same on another ground.
    #[must_use]
    pub fn on(ground: Ground, rules: &'static Rules, seed: u64, moves_saved_max: u8) -> World {
        let space = Space::new(rules, ground, seed, moves_saved_max);
        World { space, game: (rules.game)(rules), is_in_call: false }
    }

    /// The rules of the world.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.space.rules()
    }

    /// Its area.
    #[must_use]
    pub fn ground(&self) -> Ground {
        self.space.ground()
    }

    /// The number of ticks so far.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.space.now()
    }

    /// How many moves a player may save.
    #[must_use]
    pub fn moves_saved_max(&self) -> u8 {
        self.space.moves_saved_max()
    }

    /// Everything that is visible now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        let (rules, tick, bodies) = (self.rules(), self.now(), self.bodies());
        Snapshot {
            rules,
            tick,
            bodies,
            values: self.space.values(),
            room: self.space.room_values(),
        }
    }

    /// All bodies, in the order of their players' numbers.
    #[must_use]
    pub fn bodies(&self) -> &[Body] {
        self.space.bodies()
    }

    /// The index of a player's body, if it is here.
    #[must_use]
    pub fn find(&self, id: PlayerId) -> Option<usize> {
        self.space.find(id)
    }

    /// Puts a new player on the map, at random.
    pub fn join(&mut self, id: PlayerId, name: Option<Box<str>>, facts: &mut Vec<Fact>) {
        let body = self.space.join(id, name);
        self.space.report(Event::Joined(id), body);
        self.call(|game, space| game.spawn(space, body));
        self.space.take_facts(facts);
    }

    /// Takes a player off the map.
    pub fn leave(&mut self, id: PlayerId, facts: &mut Vec<Fact>) {
        if let Some(body) = self.find(id) {
            self.call(|game, space| game.leave(space, body));
            self.space.report(Event::Left(id), body);
            self.space.remove(body);
            self.space.take_facts(facts);
        }
    }

    /// Applies a command of a player, as far as the rules allow. A player gets credit for one move
    /// per tick and may save a few; of moves without credit the newest waits for the next tick.
    ///
    /// # Errors
    /// [`Denied`], and then nothing has changed. A player that is not in the world gets no error.
    pub fn apply(
        &mut self,
        id: PlayerId,
        command: Command,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Denied> {
        let Some(body) = self.find(id) else { return Ok(()) };
        match command {
            Command::Step(direction) => self.space.ask_move(body, Move::Step(direction)),
            Command::MoveTo(place) => self.space.ask_move(body, Move::To(place)),
            Command::Attack | Command::Own { .. } => {
                let result = self.call(|game, space| game.command(space, body, command));
                self.space.take_facts(facts);
                result
            }
        }
    }

    /// A player holds keys from one of its steps on. With its first keys the step before becomes
    /// the newest one that was run; from then on each tick runs one step. A dead player's steps are
    /// counted, too. Nothing happens if the player is not in the world.
    pub fn hold(&mut self, id: PlayerId, keys: HeldKeys) {
        if let Some(body) = self.find(id) {
            self.space.hold(body, keys);
        }
    }

    /// A player holds keys no longer, as when its connection has ended: its course ends, and the
    /// next keys are the first ones again. Nothing happens if it held none.
    pub fn release(&mut self, id: PlayerId) {
        if let Some(body) = self.find(id) {
            self.space.release(body);
        }
    }

    /// How far the steps of the body at an index are; zeros if its player has held no keys.
    #[must_use]
    #[track_caller]
    pub fn steps(&self, body: usize) -> Steps {
        self.space.steps(body)
    }

    /// What a bot does on this tick, if anything: a command to be applied. `None` also if it is not
    /// in the world.
    pub fn bot(&mut self, id: PlayerId) -> Option<Command> {
        let body = self.find(id)?;
        self.call(|game, space| game.bot(space, body))
    }

    /// Advances by one tick: players that hold keys run a step, waiting moves are made, other
    /// players get credit for a move, and the game has its tick.
    pub fn tick(&mut self, facts: &mut Vec<Fact>) {
        self.run_steps();
        self.space.begin_tick();
        self.call(|game, space| game.tick(space));
        self.space.end_tick();
        self.space.take_facts(facts);
    }

    /// Goes on as if there had been another number of ticks. No player may be here.
    #[cfg(test)]
    pub fn set_tick(&mut self, tick: Tick) {
        assert!(self.bodies().is_empty(), "the bodies know of earlier ticks");
        let mut saved = self.save();
        saved.space.tick = tick;
        *self = World::load(self.rules(), &saved).expect("it was saved");
    }

    /// The whole world as it is, except for facts that were not taken yet.
    #[must_use]
    pub fn save(&self) -> SavedWorld {
        SavedWorld { space: self.space.save(), game: self.game.save() }
    }

    /// The world as plain values, in which all players wait for their clients.
    #[must_use]
    pub fn store(&self) -> StoredWorld {
        StoredWorld::of(&self.space.save(), self.game.save())
    }

    /// A world from plain values.
    ///
    /// # Errors
    /// One sentence, if it is not valid for these rules.
    pub fn restore(rules: &'static Rules, stored: &StoredWorld) -> Result<World, String> {
        let wrong =
            |what| format!("A stored world of the rules {:?} is wrong: {what}.", rules.name);
        let space = stored.saved().map_err(wrong)?;
        World::load(rules, &SavedWorld { space, game: stored.game.clone() })
    }

    /// A world that continues as the saved one would have.
    ///
    /// # Errors
    /// One sentence, if it is not valid for these rules.
    pub fn load(rules: &'static Rules, saved: &SavedWorld) -> Result<World, String> {
        let wrong = |what| format!("A saved world of the rules {:?} is wrong: {what}.", rules.name);
        let space = Space::load(rules, &saved.space).map_err(wrong)?;
        let mut game = (rules.game)(rules);
        let is_right = game.load(&saved.game);
        let world = World { space, game, is_in_call: false };
        match is_right && world.is_sound() {
            true => Ok(world),
            false => Err(wrong("its numbers contradict each other")),
        }
    }

    /// Whether the invariants hold, and no call of the game has panicked.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.is_in_call && self.space.is_sound() && self.game.is_sound(&self.space)
    }

    /// Runs a step of each player that holds keys. Its attacks come before all moves of the tick,
    /// as if they had been sent just before it.
    fn run_steps(&mut self) {
        for body in 0..self.bodies().len() {
            for _ in 0..self.space.run_step(body) {
                // A denied attack is an attempt without an effect.
                let _ = self.call(|game, space| game.command(space, body, Command::Attack));
            }
        }
    }

    /// Calls the game.
    fn call<T>(&mut self, call: impl FnOnce(&mut dyn Game, &mut Space) -> T) -> T {
        self.is_in_call = true;
        let result = call(&mut *self.game, &mut self.space);
        self.is_in_call = false;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::held::Held;
    use crate::game::{BATTLE, DOTS, Direction, Field, Point, Rect, RoomField, Width};

    const CREDIT: u8 = 4;
    const ANN: PlayerId = PlayerId(1);

    fn world_with_ann(rules: &'static Rules) -> World {
        let mut world = World::new(rules, 7, CREDIT);
        world.join(ANN, None, &mut Vec::new());
        world
    }

    fn at(world: &World) -> (u16, u16) {
        (world.bodies()[0].at.x, world.bodies()[0].at.y)
    }

    /// Ann moves, and nothing else happens.
    fn go(world: &mut World, command: Command) {
        let mut facts = Vec::new();
        assert_eq!(world.apply(ANN, command, &mut facts), Ok(()));
        assert_eq!(facts, []);
    }

    fn tick(world: &mut World) {
        let mut facts = Vec::new();
        world.tick(&mut facts);
        assert_eq!(facts, []);
        assert!(world.is_sound());
    }

    fn events(facts: &[Fact]) -> Vec<Event> {
        facts.iter().map(|fact| fact.event).collect()
    }

    fn to(x: u16, y: u16) -> Command {
        Command::MoveTo(Point { x, y })
    }

    /// Ann in battle, at a place, with full credit.
    fn world_with_ann_at(x: u16, y: u16) -> World {
        let mut world = world_with_ann(&BATTLE);
        while at(&world) != (x, y) {
            go(&mut world, to(x, y));
            tick(&mut world);
        }
        (0..CREDIT).for_each(|_| tick(&mut world));
        world
    }

    #[test]
    fn a_step_moves_in_its_direction() {
        for (direction, dx, dy) in [
            (Direction::Up, 0, -1),
            (Direction::Down, 0, 1),
            (Direction::Left, -1, 0),
            (Direction::Right, 1, 0),
        ] {
            for (rules, length) in [(&DOTS, 10), (&BATTLE, 5)] {
                let mut world = world_with_ann(rules);
                let (x, y) = at(&world);
                go(&mut world, Command::Step(direction));
                let there = (x.strict_add_signed(dx * length), y.strict_add_signed(dy * length));
                assert_eq!(at(&world), there);
            }
        }
    }

    // T57, T60
    #[test]
    fn moves_stop_at_the_walls() {
        for (rules, [near, far]) in [(&DOTS, [10, 490]), (&BATTLE, [0, 100])] {
            let mut world = world_with_ann(rules);
            for (ways, wall) in [
                ([Command::Step(Direction::Left), Command::Step(Direction::Up)], near),
                ([Command::Step(Direction::Right), Command::Step(Direction::Down)], far),
                ([to(0, u16::MAX), to(0, 0)], near),
                ([to(u16::MAX, 0), to(u16::MAX, u16::MAX)], far),
            ] {
                for way in ways {
                    for _ in 0..100 {
                        go(&mut world, way);
                        tick(&mut world);
                    }
                }
                assert_eq!(at(&world), (wall, wall));
            }
        }
    }

    // T59
    #[test]
    fn a_flood_of_moves_is_limited_by_the_credit() {
        let mut world = world_with_ann(&DOTS);
        let (x, _) = at(&world);
        let mut ticks = 0;
        while ticks < 3 {
            for _ in 0..50 {
                go(&mut world, Command::Step(Direction::Right));
            }
            tick(&mut world);
            ticks += 1;
        }
        assert_eq!(at(&world).0, (x + 10 * (u16::from(CREDIT) + ticks)).min(490));
    }

    #[test]
    fn the_newest_waiting_move_is_made() {
        let mut world = world_with_ann(&DOTS);
        for _ in 0..CREDIT {
            go(&mut world, Command::Step(Direction::Up));
        }
        let (x, y) = at(&world);
        go(&mut world, Command::Step(Direction::Left));
        go(&mut world, Command::Step(Direction::Right));
        assert_eq!(at(&world), (x, y));
        tick(&mut world);
        assert_eq!(at(&world), ((x + 10).min(490), y));
        go(&mut world, Command::Step(Direction::Up));
        assert_eq!(at(&world).1, y, "the credit of that tick is spent");
    }

    #[test]
    fn a_move_to_a_place_is_at_most_a_step_in_x_and_a_step_in_y() {
        for (target, there) in [
            ((90, 90), (55, 55)),
            ((0, 90), (45, 55)),
            ((u16::MAX, 50), (55, 50)),
            ((52, 0), (52, 45)),
            ((47, 54), (47, 54)),
            ((50, 50), (50, 50)),
        ] {
            let mut world = world_with_ann_at(50, 50);
            go(&mut world, to(target.0, target.1));
            assert_eq!(at(&world), there, "towards {target:?}");
        }
    }

    #[test]
    fn moves_to_a_place_take_credit_as_steps_do() {
        let mut world = world_with_ann_at(50, 50);
        for _ in 0..CREDIT {
            go(&mut world, to(90, 50));
        }
        assert_eq!(at(&world), (70, 50), "four moves of 5");
        // A move to its own place counts, too.
        go(&mut world, to(70, 50));
        go(&mut world, to(0, 0));
        assert_eq!(at(&world), (70, 50), "without credit it waits");
        tick(&mut world);
        assert_eq!(at(&world), (65, 45));
        go(&mut world, to(0, 0));
        assert_eq!(at(&world), (65, 45), "the credit of that tick is spent");
        tick(&mut world);
        tick(&mut world);
        assert_eq!(at(&world), (60, 40), "and what was made does not come again");
    }

    #[test]
    fn a_waiting_step_and_a_waiting_move_to_a_place_replace_each_other() {
        for (first, second, there) in [
            (Command::Step(Direction::Up), to(0, 50), (45, 50)),
            (to(0, 50), Command::Step(Direction::Up), (50, 45)),
            (to(0, 50), to(100, 100), (55, 55)),
        ] {
            let mut world = world_with_ann_at(50, 50);
            (0..CREDIT).for_each(|_| go(&mut world, to(50, 50)));
            go(&mut world, first);
            go(&mut world, second);
            tick(&mut world);
            assert_eq!(at(&world), there);
            tick(&mut world);
            assert_eq!(at(&world), there, "the other is forgotten");
        }
    }

    #[test]
    fn a_move_belongs_to_the_first_tick_that_contains_it() {
        let world = world_with_ann(&BATTLE);
        assert_eq!(world.bodies()[0].moved, Tick(0), "a join is announced by its own event");
        let mut world = world_with_ann_at(0, 50);
        let (now, before) = (world.now(), world.bodies()[0].moved);
        assert!(now.is_after(before), "no move without a command");
        go(&mut world, Command::Step(Direction::Left));
        go(&mut world, to(0, 50));
        assert_eq!(world.bodies()[0].moved, before, "no move if the place is the same");
        go(&mut world, to(5, 50));
        assert_eq!(world.bodies()[0].moved, now.next());
        go(&mut world, to(0, 50));
        assert_eq!(at(&world), (0, 50), "there and back");
        assert_eq!(world.bodies()[0].moved, now.next());
        go(&mut world, to(5, 50));
        tick(&mut world);
        assert_eq!((at(&world), world.now()), ((5, 50), now.next()));
        assert_eq!(world.bodies()[0].moved, now.next(), "made in the tick, sent in its state");
        tick(&mut world);
        tick(&mut world);
        go(&mut world, to(0, 50));
        assert_eq!(world.bodies()[0].moved, Tick(now.0 + 4));
    }

    #[test]
    fn a_key_held_at_the_tick_rate_moves_on_every_tick() {
        let mut world = world_with_ann(&DOTS);
        for _ in 0..60 {
            go(&mut world, Command::Step(Direction::Left));
            tick(&mut world);
        }
        assert_eq!(at(&world).0, 10);
        for round in 1..=20 {
            go(&mut world, Command::Step(Direction::Right));
            tick(&mut world);
            assert_eq!(at(&world).0, 10 + 10 * round);
        }
    }

    #[test]
    fn joins_and_leaves_are_reported() {
        let mut world = World::new(&DOTS, 7, CREDIT);
        let mut facts = Vec::new();
        world.join(ANN, Some("Ann".into()), &mut facts);
        world.join(PlayerId(5), None, &mut facts);
        assert_eq!(world.bodies()[0].name.as_deref(), Some("Ann"));
        world.leave(ANN, &mut facts);
        world.leave(ANN, &mut facts);
        assert_eq!(world.find(ANN), None);
        assert_eq!(world.apply(ANN, Command::Attack, &mut facts), Ok(()));
        let expected = [Event::Joined(ANN), Event::Joined(PlayerId(5)), Event::Left(ANN)];
        assert_eq!(events(&facts), expected);
    }

    #[test]
    fn a_body_keeps_its_course_until_it_dies() {
        let mut world = world_with_ann_at(50, 50);
        world.space.set_course(0, Some(Direction::Left));
        tick(&mut world);
        tick(&mut world);
        assert_eq!(at(&world), (40, 50));
        for _ in 0..CREDIT {
            go(&mut world, to(40, 50));
        }
        go(&mut world, Command::Step(Direction::Down));
        tick(&mut world);
        assert_eq!(at(&world), (40, 55), "a move that waited is the step of that tick");
        tick(&mut world);
        assert_eq!(at(&world), (35, 55));
        world.space.kill(0);
        world.space.set_course(0, Some(Direction::Up));
        world.space.begin_tick();
        assert_eq!((at(&world), world.bodies()[0].course), ((35, 55), None));
    }

    #[test]
    fn flags_hold_for_one_tick() {
        let mut world = world_with_ann(&BATTLE);
        let flags = |world: &World| {
            let flags = world.bodies()[0].flags;
            (flags.attacking, flags.teleported)
        };
        assert_eq!(flags(&world), (false, true), "a join counts as a teleport");
        tick(&mut world);
        assert_eq!(flags(&world), (false, true), "and the first state says so");
        world.apply(ANN, Command::Attack, &mut Vec::new()).unwrap();
        assert_eq!(flags(&world), (true, false));
        tick(&mut world);
        assert_eq!(flags(&world), (true, false));
        tick(&mut world);
        assert_eq!(flags(&world), (false, false));
    }

    /// A game that counts ticks in every kind of field.
    #[derive(Debug, Default)]
    struct Counter {
        ticks: i64,
    }

    static COUNTER: Rules = Rules {
        name: "counter",
        fields: &[
            Field::new("seen", Width::U8, 250),
            Field::new("secret", Width::I32, 0).owner_only(),
        ],
        room_fields: &[RoomField::new("count", Width::U16, 0)],
        game: |_| Box::new(Counter::default()),
        ..DOTS
    };

    impl Game for Counter {
        fn tick(&mut self, space: &mut Space) {
            self.ticks += 1;
            space.set_room(0, (self.ticks / 4) as i32);
            for body in 0..space.bodies().len() {
                space.set(body, 0, space.value(body, 0) + i32::from(self.ticks % 2 == 0));
                space.set(body, 1, space.value(body, 1) + i32::from(self.ticks % 3 == 0));
            }
        }

        fn save(&self) -> Vec<i64> {
            vec![self.ticks]
        }

        fn load(&mut self, saved: &[i64]) -> bool {
            self.ticks = saved.first().copied().unwrap_or_default();
            saved.len() == 1
        }
    }

    #[test]
    fn changes_of_declared_fields_are_reported_for_their_audience() {
        let mut world = world_with_ann(&COUNTER);
        let mut facts = Vec::new();
        world.join(PlayerId(2), None, &mut facts);
        let ben = PlayerId(2);
        assert_eq!(events(&facts), [Event::Joined(ben), Event::OwnerFields(ben)]);
        let mut ticks = Vec::new();
        for _ in 0..12 {
            let mut facts = Vec::new();
            world.tick(&mut facts);
            ticks.push(events(&facts));
            let is_changed = world.bodies().iter().all(|body| body.moved == world.now());
            let has_changed = world.now().0.is_multiple_of(2) && world.now().0 <= 10;
            assert_eq!(is_changed, has_changed, "{:?}", world.now());
        }
        let own = [Event::OwnerFields(ANN), Event::OwnerFields(ben)];
        assert_eq!(ticks[0], []);
        assert_eq!(ticks[2], own);
        assert_eq!(ticks[3], [Event::RoomFields]);
        assert_eq!(ticks[11], [[Event::RoomFields].as_slice(), &own].concat());
        assert_eq!(
            (world.snapshot().row(0), world.snapshot().room),
            ([255, 4].as_slice(), [3].as_slice())
        );
    }

    #[test]
    fn each_world_has_its_own_ground() {
        let small = Ground {
            map: Rect { left: 0, top: 0, right: 30, bottom: 60 },
            walls: Rect { left: 5, top: 10, right: 25, bottom: 50 },
            spawn: Rect { left: 10, top: 20, right: 12, bottom: 22 },
        };
        let mut world = World::on(small, &DOTS, 7, CREDIT);
        world.join(ANN, None, &mut Vec::new());
        let mut places = Vec::new();
        for direction in [Direction::Down, Direction::Right, Direction::Up, Direction::Left] {
            for _ in 0..10 {
                go(&mut world, Command::Step(direction));
                tick(&mut world);
            }
            places.push(at(&world));
        }
        assert_eq!(places[1..], [(25, 50), (25, 10), (5, 10)]);
    }

    #[test]
    fn a_saved_world_continues_as_it_would_have() {
        for rules in [&BATTLE, &COUNTER] {
            let mut world = World::new(rules, 5, CREDIT);
            (1..=20).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
            let play = |world: &mut World, from: u32, to: u32| {
                let mut facts = Vec::new();
                for round in from..to {
                    let id = PlayerId(1 + round % 20);
                    for command in [Command::MoveTo(Point { x: 50, y: 50 }), Command::Attack] {
                        let _ = world.apply(id, command, &mut facts);
                    }
                    world.tick(&mut facts);
                }
                (
                    facts,
                    world.bodies().to_vec(),
                    world.snapshot().values.to_vec(),
                    world.snapshot().room.to_vec(),
                )
            };
            play(&mut world, 0, 301);
            let mut loaded = World::load(rules, &world.save()).expect("it was one of them");
            assert_eq!(play(&mut loaded, 301, 600), play(&mut world, 301, 600));
        }
        let counter = World::new(&COUNTER, 5, CREDIT).save();
        assert!(World::load(&BATTLE, &counter).is_err(), "it is of other rules");
    }

    #[test]
    fn a_damaged_world_is_refused_with_a_sentence() {
        type Damage = (&'static str, fn(&mut SavedWorld));
        let damages: [Damage; 34] = [
            ("walls", |it| it.space.ground.map.right = 50),
            ("walls", |it| it.space.ground.walls.left = 101),
            ("walls", |it| it.space.ground.spawn.left = 101),
            ("walls", |it| it.space.bodies[1].at.x = 101),
            ("never used", |it| it.space.bodies[0].id = PlayerId(0)),
            ("never used", |it| it.space.bodies[2].id = PlayerId(u32::MAX)),
            ("count up", |it| it.space.bodies[1].id = PlayerId(1)),
            ("count up", |it| it.space.bodies.reverse()),
            ("24 bits", |it| it.space.bodies[0].color = 1 << 24),
            ("same name", |it| it.space.bodies[1].name = Some("ann".into())),
            ("a name", |it| it.space.bodies[1].name = Some("".into())),
            ("a name", |it| it.space.bodies[1].name = Some("12345678901234567".into())),
            ("saved too many moves", |it| it.space.bodies[0].credit = CREDIT + 1),
            ("dead player moves", |it| it.space.bodies[2].course = Some(Direction::Up)),
            ("more or fewer players", |it| it.space.held.truncate(2)),
            ("keys that contradict", |it| it.space.held[1] = Some(Held::unsound())),
            ("future", |it| it.space.bodies[0].moved = it.space.tick.next().next()),
            ("future", |it| it.space.bodies[0].flagged = it.space.tick.next().next()),
            ("more or fewer", |it| it.space.values.truncate(23)),
            ("more or fewer", |it| it.space.values.push(0)),
            ("more or fewer", |it| it.space.room.truncate(2)),
            ("more or fewer", |it| it.space.bodies.truncate(2)),
            // hp, facing
            ("out of its range", |it| it.space.values[0] = 256),
            ("out of its range", |it| it.space.values[5] = 4),
            ("out of its range", |it| it.space.values[5] = -1),
            // hp, kills, respawn_ms, cooldown_ms
            ("contradict", |it| it.space.values[0] = 101),
            ("contradict", |it| it.space.values[1] = -1),
            ("contradict", |it| it.space.values[3] = 50),
            ("contradict", |it| it.space.values[2 * 8 + 3] = 2_999),
            ("contradict", |it| it.space.values[6] = 300),
            // round, ends_ms
            ("contradict", |it| it.space.room[0] = 0),
            ("contradict", |it| it.space.room[1] = -1),
            ("contradict", |it| it.space.room[1] = 180_001),
            ("contradict", |it| it.game = vec![2]),
        ];
        let mut world = World::new(&BATTLE, 7, CREDIT);
        for (number, name) in [(1, Some("Ann")), (2, None), (3, Some("Cleo"))] {
            world.join(PlayerId(number), name.map(Into::into), &mut Vec::new());
        }
        let mut whole = world.save();
        // The third is dead.
        let (hp, deaths, respawn_ms) = (2 * 8, 2 * 8 + 2, 2 * 8 + 3);
        whole.space.bodies[2].flags.dead = true;
        whole.space.values[hp] = 0;
        whole.space.values[deaths] = 1;
        whole.space.values[respawn_ms] = 3_000;
        assert!(World::load(&BATTLE, &whole).is_ok());
        for (index, (what, damage)) in damages.into_iter().enumerate() {
            let mut saved = whole.clone();
            damage(&mut saved);
            let error = World::load(&BATTLE, &saved).err();
            let expected = |error: &String| {
                error.starts_with("A saved world of the rules \"battle\" is wrong: ")
                    && error.contains(what)
                    && error.ends_with('.')
            };
            assert!(error.as_ref().is_some_and(expected), "{index}, {what}: {error:?}");
        }
        let mut wide = World::new(&COUNTER, 7, CREDIT).save();
        wide.space.room[0] = 70_000;
        assert!(World::load(&COUNTER, &wide).is_err_and(|it| it.contains("field of the room")));
    }

    #[test]
    fn equal_seeds_and_calls_make_equal_worlds() {
        let play = |rules, seed| {
            let mut world = World::new(rules, seed, CREDIT);
            let mut facts = Vec::new();
            for number in 1..=20 {
                world.join(PlayerId(number), None, &mut facts);
                let step = Command::Step(Direction::Down);
                world.apply(PlayerId(number / 2), step, &mut facts).unwrap();
                world.tick(&mut facts);
            }
            world.leave(PlayerId(4), &mut facts);
            world.bodies().to_vec()
        };
        for (rules, spawn) in [(&DOTS, 50..=450), (&BATTLE, 0..=100)] {
            assert_eq!(play(rules, 3), play(rules, 3));
            assert_ne!(play(rules, 3), play(rules, 4));
            assert_eq!(play(rules, 3).len(), 19);
            assert!(play(rules, 3).iter().all(|player| spawn.contains(&player.at.x)));
        }
    }
}
