//! Rooms that run for long, with everything that is rare: what each client has is what the room has
//! after each message, and no CHECK differs. The counters start shortly before they wrap.
//!
//! `SKIRMISH_TICKS=1000000 cargo test --release --lib wire::v1::tests::long` runs a million ticks.

use std::collections::BTreeMap;

use super::*;
use crate::codec::v1::BASE_AGE_MAX;
use crate::codec::v1::server::Part;
use crate::wire::credit::Grant;

/// The ticks of all rooms in a plain `cargo test`.
const TICKS: u32 = 3_000;
/// Ticks until the tick wraps, and with it its low bits.
const TICKS_TO_WRAP: u32 = 200;
/// The generation of all slots at first.
const GENERATION: u8 = u8::MAX;
/// Another keyframe answers a request after this many ticks, so a client asks again after them.
const REFUSED_TICKS: u32 = 20;

/// How often what is rare was reached.
#[derive(Debug, Default)]
struct Counts(BTreeMap<&'static str, u64>);

/// What every run must reach.
const RARE: [&str; 25] = [
    "acknowledged ticks wrap",
    "bodies that cross a border",
    "changes held back",
    "CHECKs",
    "clients that joined",
    "deaths",
    "deltas of 32 ticks",
    "deltas of several ticks",
    "direction ends in silence",
    "events",
    "generations wrap",
    "HEADs of a crowd",
    "keyframes asked for",
    "keyframes waited for",
    "keyframes after 32 ticks",
    "lost bases",
    "low rates",
    "messages",
    "messages made again",
    "presses wrap",
    "refused ticks",
    "respawns",
    "steps wrap",
    "ticks without credit",
    "ticks wrap",
];

impl Counts {
    fn add(&mut self, what: &'static str, times: impl Into<u64>) {
        assert!(RARE.contains(&what), "{what}");
        *self.0.entry(what).or_default() += times.into();
    }
}

/// A client with an account of what it acknowledges.
struct Player {
    client: Client,
    credit: Credit,
    presses: u8,
    direction: Course,
    hz: u32,
    /// Ticks for which it sends nothing, but receives.
    silence: u32,
    /// It has lost its base: the ticks that it has refused since it asked for a keyframe.
    refused: Option<u32>,
    acknowledged: Option<u16>,
}

/// A room that runs for long.
struct Long {
    room: Room,
    players: Vec<Player>,
    players_max: usize,
    generations: BTreeMap<u16, u8>,
    counts: Counts,
}

impl Long {
    fn new(rules: &'static Rules, ground: Ground, players_max: usize, seed: u64) -> Long {
        let mut room = Room::new(rules, ground, seed);
        let start = Tick(u32::MAX - TICKS_TO_WRAP);
        room.world.set_tick(start);
        (room.frame, room.history) = (Frame::of(&room.world), History::of(&room.world));
        room.history.use_slots_up_to(GENERATION, players_max as u16 + 4, start);
        let (players, generations, counts) = (Vec::new(), BTreeMap::new(), Counts::default());
        let mut long = Long { room, players, players_max, generations, counts };
        (0..players_max).for_each(|_| long.join());
        long
    }

    fn join(&mut self) {
        let mut client = self.room.join();
        client.seq = u16::MAX - self.room.rng.random_range(0..200);
        let now = self.room.world.now();
        let slot = self.room.history.slot(client.player, now).expect("it has one");
        let before = self.generations.insert(slot.number, slot.generation);
        self.counts.add("generations wrap", before == Some(u8::MAX) && slot.generation == 0);
        self.counts.add("clients that joined", 1_u8);
        let hz = [20, 20, 20, 20, 10, 5, 4, 2, 1][self.room.rng.random_range(0..9)];
        self.players.push(Player {
            client,
            credit: Credit::since(now),
            presses: 30,
            direction: Course::None,
            hz,
            silence: 0,
            refused: None,
            acknowledged: None,
        });
    }

    fn leave(&mut self) {
        let leaver = self.room.rng.random_range(0..self.players.len());
        let player = self.players.swap_remove(leaver).client.player;
        self.room.world.leave(player, &mut self.room.facts);
    }

    fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            match self.room.rng.random_range(0..30) {
                0..3 if self.players.len() < self.players_max => self.join(),
                3..5 if self.players.len() > self.players_max / 2 => self.leave(),
                5 if self.players.len() == 1 => self.leave(),
                _ => {}
            }
            for player in &mut self.players {
                player.act(&mut self.room, &mut self.counts);
            }
            let before: Vec<(PlayerId, Option<Direction>)> =
                self.room.world.bodies().iter().map(|body| (body.id, body.course)).collect();
            let is_dead = |room: &Room| {
                let bodies = room.world.bodies().iter();
                bodies.filter(|body| body.flags.dead).count()
            };
            let dead = is_dead(&self.room);
            self.room.tick();
            let respawned = self.room.frame.facts().iter();
            let respawned =
                respawned.filter(|fact| matches!(fact.event, Event::Respawned(_))).count();
            let deaths = (is_dead(&self.room) + respawned).saturating_sub(dead);
            self.counts.add("respawns", respawned as u64);
            self.counts.add("deaths", deaths as u64);
            self.counts.add("changes held back", self.room.history.held_back());
            self.count_silent(&before);
            for player in &mut self.players {
                player.receive(&mut self.room, &mut self.counts);
            }
        }
    }

    /// Directions that ended although their players have sent nothing.
    fn count_silent(&mut self, before: &[(PlayerId, Option<Direction>)]) {
        for player in self.players.iter().filter(|player| player.silence > 0) {
            let id = player.client.player;
            let had = before.iter().any(|(of, course)| *of == id && course.is_some());
            let body = &self.room.world.bodies()[self.room.world.find(id).expect("it is here")];
            let has_ended = had && body.course.is_none() && !body.flags.dead;
            self.counts.add("direction ends in silence", has_ended);
        }
    }
}

impl Player {
    /// Sends keys, and commands of other dialects.
    fn act(&mut self, room: &mut Room, counts: &mut Counts) {
        let before = self.client.seq;
        self.client.seq = before.wrapping_add(1);
        counts.add("steps wrap", self.client.seq < before);
        self.silence = match (self.silence, room.rng.random_range(0..400)) {
            (0, 0) => room.rng.random_range(20..120),
            (silence, _) => silence.saturating_sub(1),
        };
        if self.silence > 0 {
            return;
        }
        let id = self.client.player;
        match room.rng.random_range(0..60) {
            0..8 => self.direction = Course::ALL[room.rng.random_range(0..5)],
            8..20 => {
                let more = room.rng.random_range(1..6);
                counts.add("presses wrap", self.presses + more >= client::PRESSES);
                self.presses = (self.presses + more) % client::PRESSES;
            }
            20 => {
                let to = Point { x: room.rng.random(), y: room.rng.random() };
                let _ = room.world.apply(id, Command::MoveTo(to), &mut room.facts);
            }
            21 => {
                let step = Command::Step(Direction::ALL[room.rng.random_range(0..4)]);
                let _ = room.world.apply(id, step, &mut room.facts);
            }
            22 if room.rng.random_ratio(1, 10) => room.world.release(id),
            23 => {
                self.client.viewer.resync();
                return;
            }
            24..50 => {}
            // Keys that are held are sent again now and then.
            _ => return,
        }
        let late = [0, 0, 0, 1, 3][room.rng.random_range(0..5)];
        let ack = self.client.replica.head().map_or(0, |head| head.tick.0 as u16);
        let is_wrapped = self.acknowledged.is_some_and(|before| before > ack && ack < 1 << 15);
        counts.add("acknowledged ticks wrap", is_wrapped && ack > 0);
        if self.client.replica.head().is_some() {
            self.acknowledged = Some(ack);
        }
        let input = client::Input {
            direction: self.direction,
            presses: self.presses,
            seq: self.client.seq.wrapping_sub(late),
            ack,
            view_age: room.rng.random(),
            hold: room.rng.random(),
        };
        let (keys, _) = hold(id, &self.client.viewer, &mut self.credit, &input, &room.world);
        room.world.hold(id, keys);
    }

    /// Receives what the server has for it, unless it lags, has no credit, or loses the message.
    fn receive(&mut self, room: &mut Room, counts: &mut Counts) {
        let now = room.frame.tick();
        let Player { client, credit, refused, .. } = self;
        client.lag = match (client.lag, room.rng.random_range(0..300)) {
            // Often just at the greatest base age.
            (0, 0) => room.rng.random_range(30..36),
            (0, 1..10) => room.rng.random_range(1..12),
            (lag, _) => lag.saturating_sub(1),
        };
        if client.lag > 0 {
            return;
        }
        if client.viewer.base().is_some_and(|base| credit.grant(base, now) != Grant::Send) {
            return counts.add("ticks without credit", 1_u8);
        }
        if client.replica.head().is_some() && !now.is_due_at(self.hz) {
            return counts.add("low rates", 1_u8);
        }
        let base = client.viewer.base();
        let asked = client.viewer.gets_keyframe(now);
        let mut out = Vec::new();
        let Room { world, frame, history, .. } = room;
        let left = if room.rng.random_ratio(1, 4) { 0 } else { usize::MAX };
        let keyframe_bytes = KeyframeBytes { max: usize::MAX, left };
        let conditions = Conditions { credit: Some(&*credit), keyframe_bytes, ..ALL };
        let ends = (&mut client.viewer, conditions);
        if !message(client.player, ends, history, (&*frame, &*world), &mut out) {
            return counts.add("keyframes waited for", client.viewer.waits_for_keyframe());
        }
        if room.rng.random_ratio(1, 100) {
            // The kernel takes nothing.
            return counts.add("messages made again", 1_u8);
        }
        client.viewer.receive();
        credit.record_sent(now);
        if room.rng.random_ratio(1, 500) {
            counts.add("lost bases", 1_u8);
            refused.get_or_insert(REFUSED_TICKS);
            return;
        }
        let schema = terms::schema(room.world.rules(), room.world.ground());
        let parts = Parts::new(&out, &schema).map(|part| part.expect("it is valid"));
        for part in parts {
            match part {
                Part::Event(_) => counts.add("events", 1_u8),
                Part::Check(_) => counts.add("CHECKs", 1_u8),
                _ => {}
            }
        }
        let before = client.replica.head().copied();
        let received = client.replica.receive(&out);
        let context = || format!("{} on tick {now:?}, {before:?}: {out:02x?}", client.player.0);
        let is_refused = received == Ok(Received::NeedsResync) && refused.is_some();
        if is_refused {
            counts.add("refused ticks", 1_u8);
            let since_asked = refused.get_or_insert(0);
            *since_asked += 1;
            if *since_asked > REFUSED_TICKS {
                *since_asked = 0;
                client.viewer.resync();
            }
            return;
        }
        assert_eq!(received, Ok(Received::Applied), "{}", context());
        let Some(head) = client.replica.head().copied() else { return };
        *refused = None;
        let snapshot = room.frame.snapshot();
        let own = &snapshot.bodies[snapshot.find(client.player).expect("it is here")];
        assert_eq!((head.tick, head.x, head.y), (now, own.at.x, own.at.y), "{}", context());
        let (expected, has) = (room.sum(client), client.replica.sum());
        assert_eq!(has, expected, "{}", context());
        count(counts, &schema, &head, before.as_ref());
        let is_keyframe = head.age == 0 && base.is_some();
        counts.add("keyframes asked for", is_keyframe && asked);
        counts.add("keyframes after 32 ticks", is_keyframe && !asked);
    }
}

fn count(counts: &mut Counts, schema: &crate::codec::v1::Schema, head: &Head, old: Option<&Head>) {
    counts.add("messages", 1_u8);
    counts.add("deltas of several ticks", head.age > 1);
    counts.add("deltas of 32 ticks", head.age == BASE_AGE_MAX);
    counts.add("HEADs of a crowd", head.flags & Head::CROWDED != 0);
    if let Some(old) = old {
        counts.add("ticks wrap", old.tick.0 > head.tick.0);
        let [from, to] = [old, head].map(|head| schema.cell(head.x, head.y));
        counts.add("bodies that cross a border", from != to);
    }
}

/// A fight on a map of many cells, with fast bodies.
static FAST: Rules = Rules {
    name: "fast",
    step: 60,
    ground: Ground { map: WIDE, walls: WIDE, spawn: WIDE },
    ..BATTLE
};

/// All are in reach of most.
const SMALL: Rect = Rect { left: 0, top: 0, right: 12, bottom: 12 };

#[test]
fn no_check_differs_whatever_happens_for_long() {
    let given = std::env::var("SKIRMISH_TICKS").ok();
    let ticks = given.map_or(TICKS, |text| text.parse().expect("SKIRMISH_TICKS is a number"));
    let middle = Rect { left: 1_400, top: 900, right: 1_700, bottom: 1_200 };
    let crowd = Ground { map: WIDE, walls: WIDE, spawn: middle };
    let mut rooms = [
        Long::new(&DOTS, DOTS.ground, 10, 1),
        Long::new(&BATTLE, Ground { map: SMALL, walls: SMALL, spawn: SMALL }, 10, 2),
        Long::new(&FAST, FAST.ground, 16, 3),
        Long::new(&WORLD, Ground { spawn: middle, ..WORLD.ground }, 16, 4),
        Long::new(&DOTS, crowd, 40, 5),
    ];
    rooms[4].room.view_bytes = 150;
    let each = ticks.div_ceil(rooms.len() as u32);
    let mut counts = Counts::default();
    for long in &mut rooms {
        long.run(each);
        for (what, times) in &long.counts.0 {
            counts.add(what, *times);
        }
    }
    for what in RARE {
        assert!(counts.0.get(what).is_some_and(|times| *times > 0), "no {what} in {counts:#?}");
    }
}
