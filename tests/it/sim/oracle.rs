//! Checks what must hold across all clients: all see the same states, players that left do not
//! reappear, player numbers increase, movement stays within the rules and the walls, and every
//! death has a kill.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Deserializer};
use skirmish::codec::json::CombatState;

/// The rules of a game from docs/protocol.md, not from the server.
#[derive(Clone, Copy)]
struct Rules {
    walls: (u16, u16),
    step: u32,
    has_combat: bool,
}

const DOTS: Rules = Rules { walls: (10, 490), step: 10, has_combat: false };
const BATTLE: Rules = Rules { walls: (0, 100), step: 5, has_combat: true };
const SAVED_MOVES: i64 = 10;
const HP: u8 = 100;
const DAMAGE: u8 = 10;
const RESPAWN_MS: u64 = 3_000;
const TICK_MS: u64 = 50;
const HEAL_AFTER_TICKS: u32 = 100;
const HEAL_EVERY_TICKS: u32 = 2;
/// A new player, or any player where there is no combat.
const UNHURT: CombatState = CombatState { hp: HP, kills: 0, deaths: 0, respawn_ms: 0 };

/// A state, parsed without the buffers that an enum with a tag and a flattened struct need.
#[derive(Deserialize)]
struct State<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    tick: u32,
    #[serde(borrow)]
    players: Vec<Player<'a>>,
}

#[derive(Debug, Deserialize)]
struct Player<'a> {
    #[serde(deserialize_with = "decimal")]
    id: u32,
    x: u16,
    y: u16,
    color: &'a str,
    name: Option<Cow<'a, str>>,
    hp: Option<u8>,
    kills: Option<u32>,
    deaths: Option<u32>,
    respawn_ms: Option<u64>,
}

fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    <&str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Player<'_> {
    /// Whether its colour is `#rrggbb`, and its name, if it has one, is not empty.
    fn is_drawable(&self) -> bool {
        let digits = self.color.strip_prefix('#').unwrap_or_default();
        let is_color = digits.len() == 6 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        is_color && self.name.as_ref().is_none_or(|name| !name.is_empty())
    }

    fn combat(&self) -> Option<CombatState> {
        let Player { hp, kills, deaths, respawn_ms, .. } = *self;
        Some(CombatState { hp: hp?, kills: kills?, deaths: deaths?, respawn_ms: respawn_ms? })
    }
}

/// What a room's observer has received.
pub struct Room {
    rules: Rules,
    /// The newest tick that the observer received.
    pub tick: Option<u32>,
    /// The state of each tick, as text.
    states: HashMap<u32, String>,
    /// States that other clients received before the observer did, in the same flush.
    early: Vec<(u32, String)>,
    /// What clients of skirmish.v1 had after each tick, and the tick, until the observer has it.
    early_places: Vec<(u32, u64)>,
    /// A hash of where the players of each tick are, and of their fields.
    places: HashMap<u32, u64>,
    /// A hash of the lists that clients of skirmish.v1 had after each tick.
    lists: HashMap<u32, u64>,
    /// The players of the newest state.
    players: BTreeMap<u32, Body>,
    /// The first tick that the observer received; earlier states cannot be checked.
    first_tick: u32,
    /// Ticks of the server before the room's first tick.
    ticks_before: u32,
    /// When the room was last so full that it may have refused a player.
    pub full_at: Option<u64>,
    /// The observer has left.
    pub is_over: bool,
    /// Size of the largest state.
    pub state_bytes_max: usize,
    /// The tick of the last departure, as far as known.
    left_at: u32,
    /// The number of the round in the newest state, as text.
    round: String,
}

struct Body {
    x: u16,
    y: u16,
    saved_moves: i64,
    combat: CombatState,
    /// After how many ticks a point of its health returns, if that is known.
    heals_in: Option<u32>,
}

impl Room {
    fn new(rules: Rules) -> Room {
        Room {
            rules,
            tick: None,
            states: HashMap::new(),
            early: Vec::new(),
            early_places: Vec::new(),
            places: HashMap::new(),
            lists: HashMap::new(),
            players: BTreeMap::new(),
            first_tick: 0,
            ticks_before: 0,
            full_at: None,
            is_over: false,
            state_bytes_max: 0,
            left_at: 0,
            round: String::new(),
        }
    }
}

/// A player whose number some client has received.
struct Known {
    room: usize,
    /// It moves on one axis at a time; Socket.IO clients move on both at once.
    moves_one_axis: bool,
    /// The room's tick when the server learned that it left.
    left_at: Option<u32>,
    /// The room's tick when the server lost its client. Its last moves are in the next one, and
    /// from then on it stands still.
    lost_at: Option<u32>,
}

#[derive(Default)]
pub struct Oracle {
    pub rooms: Vec<Room>,
    known: HashMap<u32, Known>,
    /// The greatest player number in any state.
    pub number_max: u32,
    /// Ticks of the server so far. They give a room's newest tick even while the observer's bytes
    /// are still queued.
    pub ticks: u32,
    /// States compared with the observer's; shows that the run tested something.
    pub compared: u64,
    /// The same for ticks of skirmish.v1.
    pub compared_v1: u64,
    /// Kills seen, and the kills in ticks where each one must match a death.
    pub kills: u64,
    pub counted: u64,
}

/// Where a body is: x and y, health, kills and deaths; 0 for fields that are not in the states of
/// its game.
pub type Place = (u16, u16, [i32; 3]);

fn hash_places(places: impl Iterator<Item = Place>) -> u64 {
    let mut places: Vec<Place> = places.collect();
    places.sort_unstable();
    let mut hasher = DefaultHasher::new();
    places.hash(&mut hasher);
    hasher.finish()
}

impl Oracle {
    /// `are_battles` says for each room whether it has combat.
    pub fn new(are_battles: impl Iterator<Item = bool>) -> Oracle {
        let rules = are_battles.map(|is_battle| if is_battle { BATTLE } else { DOTS });
        Oracle { rooms: rules.map(Room::new).collect(), ..Oracle::default() }
    }

    /// A client received its player number. `asked_at` is the greatest number seen when it asked to
    /// join.
    pub fn joined(
        &mut self,
        room: usize,
        moves_one_axis: bool,
        number: u32,
        asked_at: u32,
    ) -> Result<(), String> {
        if number <= asked_at {
            return Err(format!("number {number} was assigned after {asked_at}"));
        }
        let known = Known { room, moves_one_axis, left_at: None, lost_at: None };
        if self.known.insert(number, known).is_some() {
            return Err(format!("number {number} was assigned twice"));
        }
        self.number_max = self.number_max.max(number);
        Ok(())
    }

    /// The server knows that the player has left.
    pub fn left(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(&number) {
            let Some(room) = self.rooms.get_mut(known.room) else { return };
            room.left_at = self.ticks - room.ticks_before;
            known.left_at = known.left_at.or(Some(room.left_at));
        }
    }

    /// The client of a player was lost, so that the player stands still.
    pub fn lost(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(&number)
            && let Some(room) = self.rooms.get(known.room)
        {
            known.lost_at = Some(self.ticks - room.ticks_before);
        }
    }

    /// A client may have the player again.
    pub fn may_move(&mut self, number: u32, moves_one_axis: bool) {
        if let Some(known) = self.known.get_mut(&number) {
            known.lost_at = None;
            known.moves_one_axis &= moves_one_axis;
        }
    }

    /// A client has come back to its player.
    pub fn back(&mut self, number: u32) -> Result<(), String> {
        match self.known.get(&number) {
            Some(Known { left_at: None, .. }) => Ok(()),
            Some(Known { left_at: Some(at), .. }) => {
                Err(format!("{number} left at {at}, and a client has it again"))
            }
            None => Err(format!("a client has {number} again, which it never had")),
        }
    }

    /// Checks a state sent to a room's observer and keeps it as the reference for the other
    /// clients. `unidentified` is how many players may be present whose number is not known yet.
    pub fn record_reference(
        &mut self,
        index: usize,
        text: &str,
        unidentified: usize,
    ) -> Result<(), String> {
        let State { kind: "state_update", tick, players } =
            serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))?
        else {
            return Err(format!("not a state: {text}"));
        };
        let room = &mut self.rooms[index];
        if room.tick.is_some_and(|last| tick != last + 1) {
            return Err(format!("the observer received tick {tick} after {:?}", room.tick));
        }
        if room.tick.is_none() {
            room.ticks_before = self.ticks - tick;
            room.first_tick = tick;
        }
        room.tick = Some(tick);
        room.states.insert(tick, text.to_owned());
        // Clients that joined before the observer received states that cannot be checked.
        let others = std::mem::take(&mut room.early);
        if others.iter().any(|(at, state)| *at >= tick && (*at, &**state) != (tick, text)) {
            return Err(format!(
                "another client received a different state of tick {tick} than {text}"
            ));
        }
        let places = hash_places(players.iter().map(|it| {
            let CombatState { hp, kills, deaths, .. } =
                it.combat().unwrap_or(CombatState { hp: 0, kills: 0, deaths: 0, respawn_ms: 0 });
            (it.x, it.y, [hp.into(), kills as i32, deaths as i32])
        }));
        room.places.insert(tick, places);
        let others = std::mem::take(&mut room.early_places);
        if others.iter().any(|(at, other)| *at >= tick && (*at, *other) != (tick, places)) {
            return Err(format!("a client of skirmish.v1 has not {text}"));
        }
        room.state_bytes_max = room.state_bytes_max.max(text.len());
        if !players.is_sorted_by(|one, other| one.id < other.id) {
            return Err(format!("players out of order: {text}"));
        }
        let state_of_room = match room.rules.has_combat {
            true => text.split_once(r#""room":{"round":"#),
            false => None,
        };
        let round = state_of_room.map_or("", |(_, rest)| rest);
        let round = round.split(',').next().unwrap_or_default();
        let is_new_round = std::mem::replace(&mut room.round, round.to_owned()) != round;
        let mut before = std::mem::take(&mut room.players);
        let (mut unknown, mut kills, mut deaths) = (0, 0, 0);
        for player in &players {
            if !player.is_drawable() {
                return Err(format!("{player:?} at tick {tick}"));
            }
            let known = self.known.get(&player.id);
            match known {
                None => unknown += 1,
                Some(known) if known.room != index => {
                    return Err(format!("{} is in two rooms", player.id));
                }
                Some(Known { left_at: Some(left_at), .. }) if tick > *left_at => {
                    return Err(format!("{} left at {left_at}, is shown at {tick}", player.id));
                }
                Some(_) => {}
            }
            let was = before.remove(&player.id);
            // The observer may have joined later than the players in its first state.
            let (kills_before, deaths_before) = match &was {
                Some(was) => (was.combat.kills, was.combat.deaths),
                None if room.first_tick == tick => {
                    player.combat().map_or((0, 0), |combat| (combat.kills, combat.deaths))
                }
                None => (0, 0),
            };
            let moves_one_axis = known.is_some_and(|known| known.moves_one_axis);
            let is_first_tick = room.first_tick == tick;
            let lost_at = known.and_then(|known| known.lost_at);
            if let (Some(lost_at), Some(was)) = (lost_at, &was)
                && tick > lost_at + 1
                && was.combat.hp > 0
                && (was.x, was.y) != (player.x, player.y)
            {
                return Err(format!("{} was lost at {lost_at}, moves at {tick}", player.id));
            }
            let was = was.filter(|_| !is_new_round || is_first_tick);
            let body = next(room.rules, moves_one_axis, was, player, is_first_tick || is_new_round)
                .map_err(|why| format!("{why} at tick {tick}: {player:?}"))?;
            if is_new_round && !is_first_tick {
                if (body.combat.kills, body.combat.deaths, body.combat.respawn_ms) != (0, 0, 0) {
                    return Err(format!("a round begins with scores: {text}"));
                }
            } else {
                kills += i64::from(body.combat.kills) - i64::from(kills_before);
                deaths += i64::from(body.combat.deaths) - i64::from(deaths_before);
            }
            room.players.insert(player.id, body);
            self.number_max = self.number_max.max(player.id);
        }
        if unknown > unidentified {
            return Err(format!(
                "{unknown} unknown players, at most {unidentified} expected: {text}"
            ));
        }
        self.kills += kills as u64;
        // A player that left in this tick may have killed or died unseen.
        let is_certain = before.is_empty() && unidentified == 0 && room.left_at + 2 < tick;
        if is_certain {
            self.counted += kills as u64;
            if kills != deaths {
                return Err(format!("{kills} kills and {deaths} deaths in one tick: {text}"));
            }
        }
        Ok(())
    }

    /// Checks that another client received the same bytes as the observer for that tick.
    pub fn compare_state(&mut self, room: usize, tick: u32, text: &str) -> Result<(), String> {
        self.compared += 1;
        match self.rooms[room].states.get(&tick) {
            Some(state) if state == text => Ok(()),
            Some(_) => Err(format!("a different state of tick {tick} than the observer's: {text}")),
            None if self.rooms[room].tick.is_none_or(|last| tick == last + 1) => {
                self.rooms[room].early.push((tick, text.to_owned()));
                Ok(())
            }
            None if self.rooms[room].is_over || tick < self.rooms[room].first_tick => Ok(()),
            None => {
                let last = self.rooms[room].tick;
                Err(format!("the state of tick {tick}, when the observer's newest is {last:?}"))
            }
        }
    }

    /// Checks what a client of skirmish.v1 has after a tick: the bodies of the state that the
    /// observer received, and the lists that the others have. `places` are those of the bodies with
    /// their fields, `lists` a hash of all that is known of them.
    pub fn compare_v1(
        &mut self,
        index: usize,
        tick: u32,
        places: impl Iterator<Item = Place>,
        lists: u64,
    ) -> Result<(), String> {
        self.compared_v1 += 1;
        let room = &mut self.rooms[index];
        if *room.lists.entry(tick).or_insert(lists) != lists {
            return Err(format!("other lists after tick {tick} than another client"));
        }
        let places = hash_places(places);
        match room.places.get(&tick) {
            Some(reference) if *reference == places => Ok(()),
            Some(_) => Err(format!("other bodies after tick {tick} than the observer")),
            None if room.tick.is_none_or(|last| tick == last + 1) => {
                room.early_places.push((tick, places));
                Ok(())
            }
            None if room.is_over || tick < room.first_tick => Ok(()),
            None => Err(format!("tick {tick}, when the observer's newest is {:?}", room.tick)),
        }
    }

    /// Where a player is after a tick, if the observer's newest state is of that tick.
    pub fn place(&self, room: usize, tick: u32, number: u32) -> Option<Option<(u16, u16)>> {
        let room = self.rooms.get(room).filter(|room| room.tick == Some(tick))?;
        Some(room.players.get(&number).map(|body| (body.x, body.y)))
    }

    /// A player may have left the room.
    pub fn note_uncertain_leave(&mut self, room: usize) {
        let ticks = self.ticks;
        if let Some(room) = self.rooms.get_mut(room) {
            room.left_at = ticks - room.ticks_before;
        }
    }

    /// Each player's position and hp in the newest state of the room.
    pub fn seen(&self, room: usize) -> impl Iterator<Item = (u32, (u16, u16, u8))> {
        let players = self.rooms[room].players.iter();
        players.map(|(number, body)| (*number, (body.x, body.y, body.combat.hp)))
    }

    /// The newest tick of the room, if the observer has received it.
    pub fn newest_tick(&self, room: usize) -> Option<u32> {
        self.rooms.get(room).and_then(|room| room.tick).filter(|_| self.is_up_to_date(room))
    }

    /// The newest tick of the room, also if the observer has not received it yet.
    pub fn current_tick(&self, room: usize) -> Option<u32> {
        let room = self.rooms.get(room).filter(|room| room.tick.is_some() && !room.is_over)?;
        Some(self.ticks - room.ticks_before)
    }

    /// Whether the observer has received the newest tick.
    pub fn is_up_to_date(&self, room: usize) -> bool {
        let room = &self.rooms[room];
        room.tick.is_some_and(|tick| tick + room.ticks_before == self.ticks) && !room.is_over
    }

    /// Whether the newest state of the room contains the player.
    pub fn shows(&self, room: usize, number: u32) -> bool {
        self.rooms[room].players.contains_key(&number)
    }
}

/// Checks a body against its previous tick. Each tick adds one move, at most `SAVED_MOVES` are
/// saved, and a player cannot owe moves. Before the room's first tick nothing is known.
fn next(
    rules: Rules,
    moves_one_axis: bool,
    before: Option<Body>,
    player: &Player,
    is_first_tick: bool,
) -> Result<Body, &'static str> {
    let is_inside = |at: u16| rules.walls.0 <= at && at <= rules.walls.1;
    if !is_inside(player.x) || !is_inside(player.y) {
        return Err("outside the walls");
    }
    let combat = player.combat();
    if combat.is_some() != rules.has_combat {
        return Err("combat fields in a game without combat, or none with it");
    }
    let combat = combat.unwrap_or(UNHURT);
    let spawned =
        Body { x: player.x, y: player.y, saved_moves: SAVED_MOVES, combat, heals_in: None };
    let before = match before {
        Some(before) => before,
        None if is_first_tick => return Ok(spawned),
        None => Body { combat: UNHURT, ..spawned },
    };
    let [dx, dy] = [before.x.abs_diff(player.x), before.y.abs_diff(player.y)].map(u32::from);
    let distance = if moves_one_axis { dx + dy } else { dx.max(dy) };
    let was = before.combat;
    let mut heals_in = before.heals_in.map(|ticks| ticks.saturating_sub(1));
    match (was.hp, combat.hp) {
        (0, 0) if distance > 0 => return Err("a dead player moved"),
        (0, 0) if combat != (CombatState { respawn_ms: was.respawn_ms - TICK_MS, ..was }) => {
            return Err("the respawn countdown is wrong");
        }
        (0, 0) => {}
        // It respawns at a random position.
        (0, _) if was.respawn_ms != TICK_MS => return Err("respawned at the wrong time"),
        (0, _) if combat != (CombatState { hp: HP, respawn_ms: 0, ..was }) => {
            return Err("not at full hp after the respawn");
        }
        (0, _) => return Ok(spawned),
        (_, 0) if combat.deaths != was.deaths + 1 => return Err("a death was not counted"),
        (_, 0) if combat.respawn_ms != RESPAWN_MS - TICK_MS => {
            return Err("the respawn delay is not 3 s");
        }
        (_, 0) => {}
        (was_hp, hp) if hp > was_hp => {
            if hp != was_hp + 1 || heals_in.is_some_and(|ticks| ticks > 0) {
                return Err("hp rose too early, or by a wrong amount");
            }
            heals_in = Some(HEAL_EVERY_TICKS).filter(|_| hp < HP);
        }
        (was_hp, hp) if hp == was_hp && heals_in == Some(0) => return Err("hp did not rise"),
        (was_hp, hp) if (was_hp - hp) % DAMAGE != 0 => return Err("hp fell by a wrong amount"),
        _ if combat.deaths != was.deaths => return Err("a death was counted without one"),
        _ if combat.respawn_ms != 0 => return Err("a respawn countdown without a death"),
        _ => {}
    }
    if combat.hp < was.hp {
        // This tick is the first one after the hit.
        heals_in = Some(HEAL_AFTER_TICKS - 1);
    }
    if combat.kills < was.kills {
        return Err("the kill count fell");
    }
    let moves = i64::from(distance.div_ceil(rules.step));
    let saved_moves = (before.saved_moves + 1 - moves).min(SAVED_MOVES);
    match saved_moves < 0 {
        true => Err("too fast"),
        false => Ok(Body { saved_moves, heals_in, ..spawned }),
    }
}
