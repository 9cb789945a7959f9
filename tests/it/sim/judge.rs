//! What must hold between all clients: everybody sees the same world, nobody stays who left, numbers
//! count up, nobody is faster than the rules allow or beyond the walls.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use skirmish::codec::json::ServerMessage;

/// The rules of `dots`, as PROTOCOL.md states them; not read from the server.
const WALLS: std::ops::RangeInclusive<u16> = 10..=490;
const STEP: u32 = 10;
const SAVED_MOVES: i64 = 4;

/// What a room's observer has seen.
#[derive(Default)]
pub struct Room {
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
}

struct Body {
    x: u16,
    y: u16,
    saved_moves: i64,
}

/// What is known of a player.
struct Known {
    room: usize,
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
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Judge {
    pub fn new(rooms: usize) -> Judge {
        Judge { rooms: (0..rooms).map(|_| Room::default()).collect(), ..Judge::default() }
    }

    /// A client was told its number. `asked_at` is the greatest number seen when it asked to join.
    pub fn joined(&mut self, room: usize, number: u32, asked_at: u32) -> Result<(), String> {
        if number <= asked_at {
            return Err(format!("number {number} was given out after {asked_at}"));
        }
        if self.known.insert(number, Known { room, left_at: None }).is_some() {
            return Err(format!("number {number} was given out twice"));
        }
        self.number_max = self.number_max.max(number);
        Ok(())
    }

    /// The server knows that the player has left.
    pub fn left(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(&number) {
            let ticks_before = self.rooms.get(known.room).map_or(0, |room| room.ticks_before);
            known.left_at = known.left_at.or(Some(self.ticks - ticks_before));
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
        let mut unknown = 0;
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
            if !WALLS.contains(&player.x) || !WALLS.contains(&player.y) {
                return Err(format!("outside the walls: {player:?}"));
            }
            let body = moved(before.remove(&player.id), player.x, player.y);
            if body.saved_moves < 0 {
                return Err(format!("too fast at tick {tick}: {player:?}"));
            }
            room.players.insert(player.id, body);
            self.number_max = self.number_max.max(player.id);
        }
        if unknown > strangers {
            return Err(format!("{unknown} players that nobody knows, {strangers} may be: {text}"));
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

    /// Whether the newest state of the room shows the player.
    pub fn shows(&self, room: usize, number: u32) -> bool {
        self.rooms[room].players.contains_key(&number)
    }
}

/// The body in the next tick. Over any span of ticks it may go `STEP * (ticks + SAVED_MOVES)`, which
/// is to say: each tick brings one move, at most `SAVED_MOVES` are saved, and none are owed.
fn moved(before: Option<Body>, x: u16, y: u16) -> Body {
    let Some(before) = before else { return Body { x, y, saved_moves: SAVED_MOVES } };
    let distance = u32::from(before.x.abs_diff(x)) + u32::from(before.y.abs_diff(y));
    let moves = i64::from(distance.div_ceil(STEP));
    Body { x, y, saved_moves: (before.saved_moves + 1 - moves).min(SAVED_MOVES) }
}
