//! Rooms, players and tokens as the contents of a file, from which another server takes them back
//! (docs/protocol.md, "Resume"). Only players that may come back are in it.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::bans::{Ban, parse_network};
use super::ids::RoomId;
use super::state::State;
use super::tokens::{Absent, Holder, TokenHash};
use super::{lobby, membership};
use crate::game::{PlayerId, StoredWorld, World};
use crate::limits::is_room_name;
use crate::time::Millis;

/// How the file begins: what it is, and the version of the rest. A space, the SHA-256 of what
/// follows the line, and a line feed come behind it.
const START: &str = "skirmish-state 1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState {
    /// The number of the next player.
    next_player: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bans: Vec<SavedBan>,
    rooms: Vec<SavedRoom>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedBan {
    network: String,
    /// How long it lasts from when the file is read; `None` if it does not end.
    left_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRoom {
    name: String,
    rules: String,
    world: StoredWorld,
    players: Vec<SavedPlayer>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPlayer {
    number: u32,
    /// The SHA-256 of its token, in hexadecimal.
    token: String,
    /// The address of its client.
    address: IpAddr,
}

/// How much was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Rooms.
    pub rooms: usize,
    /// Players.
    pub players: usize,
}

/// The contents of the file.
#[must_use]
pub fn save(state: &State) -> Vec<u8> {
    encode(state, rooms(state))
}

/// The contents of the file after another server has taken back its rooms: they are used up,
/// numbers go on, and bans stay.
#[must_use]
pub fn save_without_rooms(state: &State) -> Vec<u8> {
    encode(state, Vec::new())
}

/// The rooms with players that may come back. One whose game panics is left out.
fn rooms(state: &State) -> Vec<SavedRoom> {
    let mut by_room: BTreeMap<(u32, u32), (RoomId, Vec<SavedPlayer>)> = BTreeMap::new();
    for (token, holder) in state.tokens.iter() {
        let (room, player, peer) = match holder {
            Holder::Absent(Absent { room, player, peer, .. }) => (room, player, peer),
            Holder::Session(id) => match state.sessions.get(id) {
                Some(session) => (session.room, session.view.player(), session.peer),
                None => continue,
            },
        };
        let saved = SavedPlayer { number: player.0, token: token.hex(), address: peer };
        let (_, players) = by_room.entry((room.slot, room.serial)).or_insert((room, Vec::new()));
        players.push(saved);
    }
    let rooms = by_room.into_values().filter_map(|(id, mut players)| {
        players.sort_unstable_by_key(|player| player.number);
        let room = state.rooms.get(id)?;
        let name = room.name.to_string();
        // The panic hook logs the place.
        let world = catch_unwind(AssertUnwindSafe(|| room.world.store())).ok()?;
        Some(SavedRoom { name, rules: room.world.rules().name.to_owned(), world, players })
    });
    rooms.collect()
}

fn encode(state: &State, rooms: Vec<SavedRoom>) -> Vec<u8> {
    let now = state.served_until;
    let ban = |Ban { network, until }| SavedBan {
        network: network.to_string(),
        left_ms: (until != Millis::NEVER).then(|| until.since(now)),
    };
    let bans = state.bans.iter(now).map(ban).collect();
    let saved = SavedState { next_player: state.player_numbers.next, bans, rooms };
    let body = serde_json::to_vec(&saved).expect("writing to memory cannot fail");
    let mut file = format!("{START} {}\n", sum(&body)).into_bytes();
    file.extend_from_slice(&body);
    file
}

fn sum(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes back what a file has. Call it before the first client joins.
///
/// # Errors
/// What is wrong with the file, as the end of a sentence; nothing has changed then.
pub fn restore(state: &mut State, file: &[u8], now: Millis) -> Result<Restored, String> {
    let saved = decode(file)?;
    let mut worlds = Vec::new();
    for room in &saved.rooms {
        worlds.push(world(state, room));
    }
    state.player_numbers.next = saved.next_player;
    for SavedBan { network, left_ms } in &saved.bans {
        // Each was checked.
        let Some(network) = parse_network(network) else { continue };
        let until = left_ms.map_or(Millis::NEVER, |left_ms| now.after(left_ms));
        state.bans.add(Ban { network, until }, now);
    }
    let until = now.after(u64::from(state.settings.resume_s) * 1000);
    let mut restored = Restored::default();
    for (room, world) in saved.rooms.into_iter().zip(worlds) {
        let Some(world) = world else { continue };
        let id = lobby::restore_room(state, &room.name, world, now);
        restored.rooms += 1;
        for player in room.players {
            // Each was checked.
            let Some(token) = TokenHash::from_hex(&player.token) else { continue };
            let peer = player.address;
            let (player, joined_at) = (PlayerId(player.number), now);
            // The file has no events.
            let absent = Absent { player, room: id, peer, joined_at, until, events: None };
            state.tokens.add(token, absent);
            state.admission.absence_began(peer, now);
            if let Some(room) = state.rooms.get_mut(id) {
                room.add_absent();
            }
            membership::take_seat(state, id, peer);
            restored.players += 1;
        }
    }
    Ok(restored)
}

/// Reads a file, and checks all that does not depend on the rules.
fn decode(file: &[u8]) -> Result<SavedState, String> {
    let wrong = |what: &str| Err(what.to_owned());
    let text = str::from_utf8(file).map_err(|_| "it is not text")?;
    let Some((head, body)) = text.split_once('\n') else {
        return wrong("its first line is missing");
    };
    let Some(expected) = head.strip_prefix(START).and_then(|rest| rest.strip_prefix(' ')) else {
        return wrong("this version of Skirmish does not write such a file");
    };
    if expected != sum(body.as_bytes()) {
        return wrong("its checksum differs: it was cut or changed");
    }
    let saved: SavedState = serde_json::from_str(body).map_err(|error| error.to_string())?;
    if saved.next_player == 0 {
        return wrong("the number of the next player is 0");
    }
    if saved.bans.iter().any(|ban| parse_network(&ban.network).is_none()) {
        return wrong("a ban is not about addresses");
    }
    let (mut names, mut numbers, mut tokens) = (HashSet::new(), HashSet::new(), HashSet::new());
    for room in &saved.rooms {
        if !is_room_name(&room.name) || !names.insert(&*room.name) {
            return wrong("the name of a room is invalid or there twice");
        }
        for player in &room.players {
            let is_number = player.number < saved.next_player && numbers.insert(player.number);
            let token = TokenHash::from_hex(&player.token);
            if !is_number || !token.is_some_and(|token| tokens.insert(token)) {
                return wrong("a player is invalid or there twice");
            }
        }
    }
    Ok(saved)
}

/// The world of a room with those players that may come back. `None` if the room is not as the
/// flags and the rules of this server have it, and a warning says so.
fn world(state: &State, room: &SavedRoom) -> Option<World> {
    let made = catch_unwind(AssertUnwindSafe(|| checked_world(state, room)));
    match made.unwrap_or_else(|_| Err("its game has panicked".to_owned())) {
        Ok(world) => Some(world),
        Err(why) => {
            warn!(room = %room.name, rules = %room.rules, why, "the room is not restored");
            None
        }
    }
}

fn checked_world(state: &State, room: &SavedRoom) -> Result<World, String> {
    let SavedRoom { name, rules, world, players } = room;
    let permanent = state.settings.room.iter().find(|named| named.name == *name);
    if permanent.is_some_and(|named| named.rules != *rules) {
        return Err("--room has other rules".to_owned());
    }
    let rules = state.games.named(rules).ok_or("its rules do not exist")?;
    let mut world = World::restore(rules, world)?;
    if world.ground() != rules.ground_with(state.settings.map) {
        return Err("its map has changed".to_owned());
    }
    let stay: HashSet<u32> = players.iter().map(|player| player.number).collect();
    if stay.iter().any(|number| world.find(PlayerId(*number)).is_none()) {
        return Err("a player is missing".to_owned());
    }
    let all: Vec<PlayerId> = world.bodies().iter().map(|body| body.id).collect();
    let mut facts = Vec::new();
    for player in all.into_iter().filter(|player| !stay.contains(&player.0)) {
        world.leave(player, &mut facts);
    }
    Ok(world)
}
