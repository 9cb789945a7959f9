//! What must hold between all clients: everybody sees the same world, nobody stays who left, numbers
//! count up, nobody is faster than the rules allow or beyond the walls, and whoever dies was killed.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use skirmish::codec::json::{CombatState, PlayerState, ServerMessage};

/// The rules of a game, as docs/protocol.md states them; not read from the server.
#[derive(Clone, Copy)]
struct Rules {
    walls: (u16, u16),
    step: u32,
    has_combat: bool,
}

const DOTS: Rules = Rules { walls: (10, 490), step: 10, has_combat: false };
const BATTLE: Rules = Rules { walls: (0, 100), step: 5, has_combat: true };
const SAVED_MOVES: i64 = 4;
const HP: u8 = 100;
const DAMAGE: u8 = 10;
const RESPAWN_MS: u64 = 3_000;
const TICK_MS: u64 = 50;
/// Whoever has just come, or where there is no combat.
const UNHURT: CombatState = CombatState { hp: HP, kills: 0, deaths: 0, respawn_ms: 0 };

/// What a room's observer has seen.
pub struct Room {
    rules: Rules,
    /// The newest tick that the observer was told of.
    pub tick: Option<u32>,
    /// The state of each tick, as a number that stands for its bytes.
    states: HashMap<u32, u64>,
    /// States that others were told of a tick before the observer was, in one and the same flush.
    early: Vec<(u32, u64)>,
    /// Who is there: where, and how many moves may have been saved.
    players: BTreeMap<u32, Body>,
    /// The first tick that the observer was told of: nobody can judge what was told before.
    first_tick: u32,
    /// How many ticks of the server went before the room's first.
    ticks_before: u32,
    /// When it was last so full that somebody may have been turned away.
    pub full_at: Option<u64>,
    /// The observer has left.
    pub is_over: bool,
    /// Bytes of the largest state.
    pub state_bytes_max: usize,
    /// The newest tick when somebody was last known to have left.
    left_at: u32,
}

struct Body {
    x: u16,
    y: u16,
    saved_moves: i64,
    combat: CombatState,
}

impl Room {
    fn new(rules: Rules) -> Room {
        Room {
            rules,
            tick: None,
            states: HashMap::new(),
            early: Vec::new(),
            players: BTreeMap::new(),
            first_tick: 0,
            ticks_before: 0,
            full_at: None,
            is_over: false,
            state_bytes_max: 0,
            left_at: 0,
        }
    }
}

/// What is known of a player.
struct Known {
    room: usize,
    /// It goes in one direction at a time; others go in x and in y at once.
    is_stepper: bool,
    /// The newest tick of its room when the server learned that it has left.
    left_at: Option<u32>,
}

#[derive(Default)]
pub struct Judge {
    pub rooms: Vec<Room>,
    known: HashMap<u32, Known>,
    /// The greatest number that anybody was shown.
    pub number_max: u32,
    /// Ticks of the server so far. A room's newest tick follows from it even while the bytes that
    /// tell the observer still wait for their turn.
    pub ticks: u32,
    /// States that were compared, for the test to know that it tested something.
    pub compared: u64,
    /// Kills that were seen, and those on ticks at which each of them had to be somebody's death.
    pub kills: u64,
    pub counted: u64,
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Judge {
    /// A judge of so many rooms, each a battle or not.
    pub fn new(are_battles: impl Iterator<Item = bool>) -> Judge {
        let rules = are_battles.map(|is_battle| if is_battle { BATTLE } else { DOTS });
        Judge { rooms: rules.map(Room::new).collect(), ..Judge::default() }
    }

    /// A client was told its number. `asked_at` is the greatest number seen when it asked to join.
    pub fn joined(
        &mut self,
        (room, is_stepper): (usize, bool),
        number: u32,
        asked_at: u32,
    ) -> Result<(), String> {
        if number <= asked_at {
            return Err(format!("number {number} was given out after {asked_at}"));
        }
        if self.known.insert(number, Known { room, is_stepper, left_at: None }).is_some() {
            return Err(format!("number {number} was given out twice"));
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

    /// A room's observer was told a state: it is the measure for everybody else. `strangers` is how
    /// many may be there whose number nobody knows yet.
    pub fn observed(&mut self, index: usize, text: &str, strangers: usize) -> Result<(), String> {
        let parsed = serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))?;
        let ServerMessage::StateUpdate { players, tick } = parsed else {
            return Err(format!("no state: {text}"));
        };
        let room = &mut self.rooms[index];
        if room.tick.is_some_and(|last| tick != last + 1) {
            return Err(format!("the observer was told of tick {tick} after {:?}", room.tick));
        }
        if room.tick.is_none() {
            room.ticks_before = self.ticks - tick;
            room.first_tick = tick;
        }
        room.tick = Some(tick);
        room.states.insert(tick, digest(text));
        // Who came before the observer was told states that nobody can judge.
        let others = std::mem::take(&mut room.early);
        if others.iter().any(|(at, state)| *at >= tick && (*at, *state) != (tick, digest(text))) {
            return Err(format!("somebody was told another state of tick {tick} than {text}"));
        }
        room.state_bytes_max = room.state_bytes_max.max(text.len());
        if !players.is_sorted_by(|one, other| one.id < other.id) {
            return Err(format!("players out of order: {text}"));
        }
        let mut before = std::mem::take(&mut room.players);
        let (mut unknown, mut kills, mut deaths) = (0, 0, 0);
        for player in &players {
            match self.known.get(&player.id) {
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
            // The observer may come later than those whom it sees first.
            let (kills_before, deaths_before) = match &was {
                Some(was) => (was.combat.kills, was.combat.deaths),
                None if room.first_tick == tick => {
                    player.combat.map_or((0, 0), |combat| (combat.kills, combat.deaths))
                }
                None => (0, 0),
            };
            let is_stepper = self.known.get(&player.id).is_some_and(|known| known.is_stepper);
            let body = next((room.rules, is_stepper), was, player, room.first_tick == tick)
                .map_err(|why| format!("{why} at tick {tick}: {player:?}"))?;
            kills += i64::from(body.combat.kills) - i64::from(kills_before);
            deaths += i64::from(body.combat.deaths) - i64::from(deaths_before);
            room.players.insert(player.id, body);
            self.number_max = self.number_max.max(player.id);
        }
        if unknown > strangers {
            return Err(format!("{unknown} players that nobody knows, {strangers} may be: {text}"));
        }
        self.kills += kills as u64;
        // Whoever left in this tick may have killed, or died, unseen.
        let is_certain = before.is_empty() && strangers == 0 && room.left_at + 2 < tick;
        if is_certain {
            self.counted += kills as u64;
            if kills != deaths {
                return Err(format!("{kills} kills and {deaths} deaths in one tick: {text}"));
            }
        }
        Ok(())
    }

    /// Somebody else was told a state: the same bytes as the observer at that tick.
    pub fn compare(&mut self, room: usize, tick: u32, text: &str) -> Result<(), String> {
        self.compared += 1;
        match self.rooms[room].states.get(&tick) {
            Some(state) if *state == digest(text) => Ok(()),
            Some(_) => Err(format!("another state of tick {tick} than the observer's: {text}")),
            None if self.rooms[room].tick.is_none_or(|last| tick == last + 1) => {
                self.rooms[room].early.push((tick, digest(text)));
                Ok(())
            }
            None if self.rooms[room].is_over || tick < self.rooms[room].first_tick => Ok(()),
            None => {
                let last = self.rooms[room].tick;
                Err(format!("the state of tick {tick}, and the observer was told of {last:?}"))
            }
        }
    }

    /// Somebody may have left the room, or not.
    pub fn unsettle(&mut self, room: usize) {
        let ticks = self.ticks;
        if let Some(room) = self.rooms.get_mut(room) {
            room.left_at = ticks - room.ticks_before;
        }
    }

    /// What the newest state of the room shows of each player: where it is, and its health.
    pub fn seen(&self, room: usize) -> impl Iterator<Item = (u32, (u16, u16, u8))> {
        let players = self.rooms[room].players.iter();
        players.map(|(number, body)| (*number, (body.x, body.y, body.combat.hp)))
    }

    /// Whether the observer was told of the newest tick that there was.
    pub fn is_up_to_date(&self, room: usize) -> bool {
        let room = &self.rooms[room];
        room.tick.is_some_and(|tick| tick + room.ticks_before == self.ticks) && !room.is_over
    }

    /// Whether the newest state of the room shows the player.
    pub fn shows(&self, room: usize, number: u32) -> bool {
        self.rooms[room].players.contains_key(&number)
    }
}

/// The body in the next tick. Over any span of ticks it may go a step for each of `ticks +
/// SAVED_MOVES`, which is to say: each tick brings one move, at most `SAVED_MOVES` are saved, and
/// none are owed. What was before the room's first tick, nobody knows.
fn next(
    (rules, is_stepper): (Rules, bool),
    before: Option<Body>,
    player: &PlayerState,
    is_first_tick: bool,
) -> Result<Body, &'static str> {
    let is_inside = |at: u16| rules.walls.0 <= at && at <= rules.walls.1;
    if !is_inside(player.x) || !is_inside(player.y) {
        return Err("outside the walls");
    }
    if player.combat.is_some() != rules.has_combat {
        return Err("health belongs to combat");
    }
    let combat = player.combat.unwrap_or(UNHURT);
    let spawned = Body { x: player.x, y: player.y, saved_moves: SAVED_MOVES, combat };
    let before = match before {
        Some(before) => before,
        None if is_first_tick => return Ok(spawned),
        None => Body { combat: UNHURT, ..spawned },
    };
    let [dx, dy] = [before.x.abs_diff(player.x), before.y.abs_diff(player.y)].map(u32::from);
    let distance = if is_stepper { dx + dy } else { dx.max(dy) };
    let was = before.combat;
    match (was.hp, combat.hp) {
        (0, 0) if distance > 0 => return Err("the dead do not move"),
        (0, 0) if combat != (CombatState { respawn_ms: was.respawn_ms - TICK_MS, ..was }) => {
            return Err("the dead wait");
        }
        (0, 0) => {}
        // It is somewhere else now.
        (0, _) if was.respawn_ms != TICK_MS => return Err("back from the dead at the wrong time"),
        (0, _) if combat != (CombatState { hp: HP, respawn_ms: 0, ..was }) => {
            return Err("who returns is unhurt");
        }
        (0, _) => return Ok(spawned),
        (_, 0) if combat.deaths != was.deaths + 1 => return Err("who dies is counted"),
        (_, 0) if combat.respawn_ms != RESPAWN_MS - TICK_MS => return Err("death lasts 3 s"),
        (_, 0) => {}
        (was_hp, hp) if hp > was_hp || hp % DAMAGE != 0 => return Err("nothing heals"),
        _ if combat.deaths != was.deaths => return Err("it did not die"),
        _ if combat.respawn_ms != 0 => return Err("it lives"),
        _ => {}
    }
    if combat.kills < was.kills {
        return Err("a kill is forgotten");
    }
    let moves = i64::from(distance.div_ceil(rules.step));
    let saved_moves = (before.saved_moves + 1 - moves).min(SAVED_MOVES);
    match saved_moves < 0 {
        true => Err("too fast"),
        false => Ok(Body { saved_moves, ..spawned }),
    }
}
