//! The dialect skirmish.v1: messages become input, and the world becomes binary deltas
//! (docs/skirmish-v1.md). What all clients of a room share is its [`History`], what one client has
//! its [`Viewer`].

use super::credit::{Acknowledged, Credit};
use super::{Input, Message, Rejection, Welcome};
use crate::codec::v1::Course;
use crate::codec::v1::client::{self, ClientMessage};
use crate::codec::v1::server::Head;
use crate::game::{Command, Direction, Frame, HeldKeys, PlayerId, Rules, World};
use crate::outbox::Encoded;
use crate::time::{TICK_MS, Tick};
use crate::ws::frame;

mod forms;
mod history;
mod lists;
mod published;
mod ranks;
mod slots;
mod terms;
#[cfg(test)]
mod tests;
mod viewer;

pub use history::History;
pub use viewer::Viewer;

/// The first message: its player, its room, and what both sides must agree on. `None` if the room
/// has no slot for the player.
#[must_use]
pub fn welcome(player: PlayerId, welcome: &Welcome, history: &mut History) -> Option<Encoded> {
    let world = welcome.world;
    let slot = history.slot(player, world.now())?;
    let welcome = terms::welcome(player.0, slot, welcome);
    Some(framed(|out| welcome.encode(out)))
}

/// Decodes a message in a room of these rules.
///
/// # Errors
/// [`Rejection::Unknown`].
pub fn decode<'a>(message: &Message<'a>, rules: &Rules) -> Result<Input<'a>, Rejection> {
    let Message::Payload(payload) = *message else { return Err(Rejection::Unknown) };
    match ClientMessage::decode(payload).map_err(|_| Rejection::Unknown)? {
        ClientMessage::Input(keys) => Ok(Input::Keys(keys)),
        ClientMessage::Resync => Ok(Input::Resync),
        ClientMessage::Who(who) => Ok(Input::Who(who.0)),
        ClientMessage::Rate(hz) => Ok(Input::Rate(hz)),
        ClientMessage::Command(client::Command { number, count, arguments }) => {
            let declared = rules.commands.get(usize::from(number));
            declared
                .filter(|declared| declared.arguments.len() == usize::from(count))
                .map(|_| Input::Command(Command::Own { kind: number, arguments }))
                .ok_or(Rejection::Unknown)
        }
    }
}

/// The players of bodies that a client asks about: slots and generations.
#[must_use]
pub fn roster(who: &[[u8; 3]], history: &History, frame: &Frame) -> Encoded {
    framed(|out| history.roster(who, frame.snapshot().bodies, out))
}

/// The bytes for keyframes on a tick, of all rooms.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyframeBytes {
    /// The bytes for a tick.
    pub max: usize,
    /// What is left of them.
    pub left: usize,
}

impl KeyframeBytes {
    /// The bytes for a new tick.
    #[must_use]
    pub fn new(max: usize) -> KeyframeBytes {
        KeyframeBytes { max, left: max }
    }
}

/// What the message for a client depends on, besides the world and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// What it has acknowledged.
    pub credit: Option<&'a Credit>,
    /// Whether the server has lowered its rate.
    pub has_lower_rate: bool,
    /// The bytes for keyframes.
    pub keyframe_bytes: KeyframeBytes,
}

/// Appends the message of the newest tick for a client, with what it has. Returns whether there is
/// one.
pub fn message(
    player: PlayerId,
    (viewer, conditions): (&mut Viewer, Conditions),
    history: &mut History,
    (frame, world): (&Frame, &World),
    out: &mut Vec<u8>,
) -> bool {
    let Conditions { credit, has_lower_rate, keyframe_bytes } = conditions;
    let snapshot = frame.snapshot();
    let Some(shown) = history.index(viewer, player) else { return false };
    // Nearly always it is the same index as in the frame.
    let is_here = world.bodies().get(shown).is_some_and(|body| body.id == player);
    let Some(index) = (if is_here { Some(shown) } else { world.find(player) }) else {
        return false;
    };
    let (body, steps) = (&snapshot.bodies[shown], world.steps(index));
    let flags = [
        (body.flags.dead, Head::DEAD),
        (has_lower_rate || credit.is_some_and(Credit::is_limited), Head::RATE_LOWERED),
        (credit.is_some_and(|credit| credit.is_due(snapshot.tick)), Head::ACKNOWLEDGE),
    ];
    let own = history::Own {
        flags: flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum(),
        at: (body.at.x, body.at.y),
        applied: steps.applied,
        lead: steps.lead,
        values: terms::owner_values(snapshot.rules, snapshot.row(shown)),
        keyframe_bytes,
    };
    history.message(viewer, &own, snapshot.bodies, out)
}

/// The payload bytes of a keyframe with all bodies of a room.
#[must_use]
pub fn keyframe_bytes(world: &World) -> usize {
    let schema = terms::schema(world.rules(), world.ground());
    world.bodies().len() * schema.full_bytes()
}

/// The unit of `hold` in an INPUT, in milliseconds.
const HOLD_MS: u32 = 4;

/// The keys in an INPUT of a client, and what follows from the tick that it acknowledges, unless it
/// was sent none.
pub fn hold(
    player: PlayerId,
    viewer: &Viewer,
    credit: &mut Credit,
    input: &client::Input,
    world: &World,
) -> (HeldKeys, Option<Acknowledged>) {
    let &client::Input { direction, presses, seq, view_age, hold, .. } = input;
    let (direction, now) = (direction_of(direction), world.now());
    let Some(base) = viewer.base() else {
        return (HeldKeys { seq, direction, presses, rewind: 0 }, None);
    };
    let held_ticks = u32::from(hold) * HOLD_MS / TICK_MS as u32;
    let acknowledged = credit.acknowledge(input.acknowledged(now), held_ticks, base, now);
    let steps = world.find(player).map(|body| world.steps(body)).unwrap_or_default();
    let judged = Tick(now.0.wrapping_add(steps.ticks_before(seq).into()));
    let rewind = credit.rewind(view_age, judged);
    (HeldKeys { seq, direction, presses, rewind }, acknowledged)
}

fn direction_of(course: Course) -> Option<Direction> {
    match course {
        Course::None => None,
        Course::Up => Some(Direction::Up),
        Course::Down => Some(Direction::Down),
        Course::Left => Some(Direction::Left),
        Course::Right => Some(Direction::Right),
    }
}

/// The bytes that a list holds.
fn vec_bytes<T>(list: &Vec<T>) -> usize {
    list.capacity() * size_of::<T>()
}

fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    let mut out = frame::HEADROOM.to_vec();
    write(&mut out);
    Encoded::from(frame::encode_in_place(frame::BINARY, &mut out))
}
