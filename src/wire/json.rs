//! The JSON dialect: what clients say becomes input, and the world becomes text frames.

use crate::codec::Malformed;
use crate::codec::json::{self, ClientMessage, CombatState, Init, PlayerState};
use crate::game::{Command, Direction, PlayerId, World};
use crate::outbox::Encoded;
use crate::ws::frame;

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Something for the world.
    Command(Command),
    /// An answer that bears this number.
    Ping(Box<str>),
    /// So many states a second.
    Rate(u32),
}

/// Reads one message of a client, text or binary.
///
/// # Errors
/// See [`Malformed`].
pub fn decode(payload: &[u8]) -> Result<Input, Malformed> {
    Ok(match ClientMessage::decode(payload)? {
        ClientMessage::Move(direction) => Input::Command(Command::Step(match direction {
            json::Direction::Up => Direction::Up,
            json::Direction::Down => Direction::Down,
            json::Direction::Left => Direction::Left,
            json::Direction::Right => Direction::Right,
        })),
        ClientMessage::Attack => Input::Command(Command::Attack),
        ClientMessage::Ping(t) => Input::Ping(t),
        ClientMessage::Rate(hz) => Input::Rate(hz),
    })
}

/// The first message to a client: who it is, and where.
#[must_use]
pub fn init(id: PlayerId, room: &str, world: &World) -> Encoded {
    let init = Init { id: id.0, room: room.into(), rules: world.rules().name.into() };
    framed(&mut Vec::new(), |out| json::encode_init(&init, out))
}

/// The answer to a ping.
#[must_use]
pub fn pong(t: &str, world: &World) -> Encoded {
    framed(&mut Vec::new(), |out| json::encode_pong(t, world.now().0, out))
}

/// The full state of a world. `scratch` is reused from call to call.
#[must_use]
pub fn state(world: &World, scratch: &mut Vec<u8>) -> Encoded {
    let has_combat = world.rules().combat.is_some();
    let players = world.players().iter().map(|player| PlayerState {
        id: player.id.0,
        x: player.at.x,
        y: player.at.y,
        color: player.color,
        combat: has_combat.then(|| CombatState {
            hp: player.hp,
            kills: player.kills,
            deaths: player.deaths,
            respawn_ms: world.respawn_ms(player),
        }),
        name: player.name.as_deref().map(Into::into),
    });
    framed(scratch, |out| json::encode_state(players, world.now().0, out))
}

fn framed(scratch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    scratch.clear();
    scratch.extend_from_slice(&frame::HEADROOM);
    write(scratch);
    Encoded::from(frame::encode_in_place(frame::TEXT, scratch))
}
