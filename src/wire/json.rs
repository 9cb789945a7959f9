//! The JSON dialect: what clients say becomes input, and the world becomes text frames.

use super::{columns, own_command, owner_fields, room_fields, row, rules_data};
use crate::codec::Malformed;
use crate::codec::json::{self, ClientMessage, Init};
use crate::game::{Command, Detail, Direction, PlayerId, Rules, World};
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

/// Reads one message of a client, text or binary, in a room of these rules.
///
/// # Errors
/// See [`Malformed`].
pub fn decode(payload: &[u8], rules: &Rules) -> Result<Input, Malformed> {
    let message = match ClientMessage::decode(payload) {
        Err(Malformed::Unknown) if !rules.commands.is_empty() => {
            let kind = json::kind(payload).ok_or(Malformed::Unknown)?;
            let command = own_command(rules, &kind, |names| json::integers(payload, names));
            return command.map(Input::Command).ok_or(Malformed::Unknown);
        }
        message => message?,
    };
    Ok(match message {
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

/// The first message to a client: its player, its room, and the numbers of the rules.
#[must_use]
pub fn init(id: PlayerId, room: &str, world: &World) -> Encoded {
    let init = Init { id: id.0, room: room.into(), rules: world.rules().name.into() };
    framed(&mut Vec::new(), |out| json::encode_init(&init, Some(&rules_data(world)), out))
}

/// The fields of a player's body that only the player is told; `None` if it is not here.
#[must_use]
pub fn own(id: PlayerId, world: &World) -> Option<Encoded> {
    let fields = owner_fields(world, world.find(id)?);
    Some(framed(&mut Vec::new(), |out| json::encode_own(fields, out)))
}

/// The answer to a ping.
#[must_use]
pub fn pong(t: &str, world: &World) -> Encoded {
    framed(&mut Vec::new(), |out| json::encode_pong(t, world.now().0, out))
}

/// The full state of a world. `scratch` is reused from call to call.
#[must_use]
pub fn state(world: &World, scratch: &mut Vec<u8>) -> Encoded {
    let columns = columns(world.rules(), Detail::STATE);
    let rows = (0..world.bodies().len()).map(|index| row(world, index));
    let (room, tick) = (room_fields(world), world.now().0);
    framed(scratch, |out| json::encode_state(&columns, rows, room, tick, out))
}

fn framed(scratch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    scratch.clear();
    scratch.extend_from_slice(&frame::HEADROOM);
    write(scratch);
    Encoded::from(frame::encode_in_place(frame::TEXT, scratch))
}
