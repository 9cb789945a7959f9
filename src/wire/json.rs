//! The JSON dialect: messages become input, and the world becomes text frames.

use super::{
    Input, Message, Rejection, ResumeToken, Welcome, columns, form, own_command, owner_fields,
    room_fields, row, rules_data, written,
};
use crate::codec::Malformed;
use crate::codec::json::{self, ClientMessage, Clock, Init};
use crate::codec::row::Row;
use crate::game::{Command, Detail, Direction, Field, PlayerId, Rect, Rules, Snapshot, World};
use crate::limits::PLAYER_NAME_CHARS_MAX;
use crate::outbox::Encoded;
use crate::time::Tick;
use crate::ws::frame;

/// The first message to a client: its player, its room, and the numbers of the rules.
#[must_use]
pub fn welcome(player: PlayerId, welcome: &Welcome) -> Encoded {
    let Welcome { room, world, players_max, now, silence_ms, token } = *welcome;
    let state_bytes_max = u32::try_from(state_bytes_max(world, players_max)).unwrap_or(u32::MAX);
    let rules = world.rules().name.into();
    let init = Init { id: player.0, room: room.into(), rules, state_bytes_max };
    let clock = Clock { tick: world.now().0, time_ms: now.0 };
    let token = token.map(|ResumeToken { text, resume_s }| (text, resume_s));
    let details = json::InitDetails { clock, silence_ms, token, rules: rules_data(world) };
    framed(&mut Vec::new(), |out| json::encode_init(&init, Some(&details), out))
}

/// Decodes a message, text or binary, in a room of these rules.
///
/// # Errors
/// [`Rejection::InvalidJson`] and [`Rejection::Unknown`].
pub fn decode<'a>(message: &Message<'a>, rules: &Rules) -> Result<Input<'a>, Rejection> {
    let Message::Payload(payload) = *message else { return Err(Rejection::Unknown) };
    match ClientMessage::decode(payload) {
        Ok(ClientMessage::Move(direction)) => Ok(Input::Command(Command::Step(match direction {
            json::Direction::Up => Direction::Up,
            json::Direction::Down => Direction::Down,
            json::Direction::Left => Direction::Left,
            json::Direction::Right => Direction::Right,
        }))),
        Ok(ClientMessage::Attack) => Ok(Input::Command(Command::Attack)),
        Ok(ClientMessage::Ping(t)) => Ok(Input::Ping(t)),
        Ok(ClientMessage::Rate(hz)) => Ok(Input::Rate(hz as u8)),
        Ok(ClientMessage::Acknowledge(tick)) => Ok(Input::Acknowledge(Tick(tick))),
        Ok(ClientMessage::Resume(token)) => Ok(Input::Resume(token)),
        Err(Malformed::InvalidJson) => Err(Rejection::InvalidJson),
        Err(Malformed::Unknown) if rules.commands.is_empty() => Err(Rejection::Unknown),
        Err(Malformed::Unknown) => {
            let kind = json::kind(payload).ok_or(Rejection::Unknown)?;
            let command = own_command(rules, &kind, |names| json::integers(payload, names));
            command.map(Input::Command).ok_or(Rejection::Unknown)
        }
    }
}

/// The answer to a ping. Nothing else has one: the next state shows the outcome.
#[must_use]
pub fn answer(outcome: Result<Input, Rejection>, clock: Clock) -> Option<Encoded> {
    match outcome {
        Ok(Input::Ping(t)) => Some(framed(&mut Vec::new(), |out| json::encode_pong(t, clock, out))),
        _ => None,
    }
}

/// A message of the operator.
#[must_use]
pub fn notice(text: &str) -> Encoded {
    framed(&mut Vec::new(), |out| json::encode_notice(text, out))
}

/// The full state of a room. `scratch` is reused from call to call.
#[must_use]
pub fn state(snapshot: Snapshot, scratch: &mut Vec<u8>) -> Encoded {
    let columns = columns(snapshot.rules, Detail::STATE);
    let rows = (0..snapshot.bodies.len()).map(|index| row(&snapshot, index));
    let (room, tick) = (room_fields(&snapshot), snapshot.tick.0);
    framed(scratch, |out| json::encode_state(&columns, rows, room, tick, out))
}

/// The bytes of a state in which each of `players_max` players has the longest name and numbers.
fn state_bytes_max(world: &World, players_max: usize) -> usize {
    let rules = world.rules();
    let Rect { right: x, bottom: y, .. } = world.ground().map;
    // Four bytes in UTF-8. JSON needs at most two for a character that a name may contain and that
    // has an escape.
    let name = "\u{10000}".repeat(PLAYER_NAME_CHARS_MAX);
    let values: Vec<i32> = rules.fields.iter().map(Field::longest).collect();
    let row = Row { id: u32::MAX, x, y, color: 0, name: Some(&name), values: &values };
    let bytes = |players| {
        let rows = std::iter::repeat_n(row, players);
        let room = rules
            .room_fields
            .iter()
            .map(|field| (field.name, written(field.width.longest(), form(field.width, &[]))));
        let mut text = Vec::new();
        json::encode_state(&columns(rules, Detail::STATE), rows, room, u32::MAX, &mut text);
        text.len()
    };
    // Behind the first player there is also a comma.
    let (one, two) = (bytes(1), bytes(2));
    one + players_max.saturating_sub(1) * (two - one)
}

/// The owner-only fields of a player; `None` if it has left.
#[must_use]
pub fn own(player: PlayerId, world: &World) -> Option<Encoded> {
    let snapshot = world.snapshot();
    let fields = owner_fields(&snapshot, snapshot.find(player)?);
    Some(framed(&mut Vec::new(), |out| json::encode_own(fields, out)))
}

fn framed(scratch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    scratch.clear();
    scratch.extend_from_slice(&frame::HEADROOM);
    write(scratch);
    Encoded::from(frame::encode_in_place(frame::TEXT, scratch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{BATTLE, DOTS, Ground, WORLD};

    #[test]
    fn a_room_field_can_hold_every_player_number() {
        // All stand at one place, and the first hit kills and ends the round.
        static NUMBERS: [(&str, i32); 10] = [
            ("hp", 1),
            ("reach", 10),
            ("damage", 1),
            ("cooldown_ms", 250),
            ("respawn_ms", 3_000),
            ("heal_after_ms", 5_000),
            ("heal_every_ms", 100),
            ("round_ms", 180_000),
            ("round_kills", 1),
            ("result_ms", 5_000),
        ];
        static SPAWN: Rect = Rect { left: 50, top: 50, right: 50, bottom: 50 };
        static DUEL: Rules =
            Rules { ground: Ground { spawn: SPAWN, ..BATTLE.ground }, numbers: &NUMBERS, ..BATTLE };
        for number in [1, i32::MAX as u32, 1 << 31, u32::MAX - 2] {
            let (winner, loser) = (PlayerId(number), PlayerId(number + 1));
            let (mut world, mut facts) = (World::new(&DUEL, 7, 4), Vec::new());
            world.join(winner, None, &mut facts);
            world.join(loser, None, &mut facts);
            world.tick(&mut facts);
            world.apply(winner, Command::Attack, &mut facts).expect("it may");
            let loaded = World::load(&DUEL, &world.save()).expect("it was saved");
            for world in [&world, &loaded] {
                let state = state(world.snapshot(), &mut Vec::new());
                let text = String::from_utf8_lossy(state.bytes()).into_owned();
                let expected = format!(r#""winner":{number}}}"#);
                assert!(text.contains(&expected), "{expected} in {text}");
            }
        }
    }

    #[test]
    fn no_state_of_a_full_room_exceeds_what_init_says() {
        // Quotes need an escape; the others are the longest characters of UTF-8.
        for name in ["\u{1f600}", "\"", "\\", "A"].map(|c| c.repeat(PLAYER_NAME_CHARS_MAX)) {
            for rules in [&BATTLE, &DOTS, &WORLD] {
                let mut world = World::new(rules, 7, 4);
                let mut facts = Vec::new();
                for number in 0..50 {
                    world.join(PlayerId(u32::MAX - 50 + number), Some((&*name).into()), &mut facts);
                }
                let state = state(world.snapshot(), &mut Vec::new());
                let (_, text) = frame::payloads(state.bytes()).next().expect("one frame");
                let bound = state_bytes_max(&world, 50);
                assert!(text.len() <= bound, "{} of {bound} bytes", text.len());
                assert!(bound <= 3 * text.len(), "{} of {bound} bytes", text.len());
            }
        }
    }
}
