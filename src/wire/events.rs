//! Dialect 2, the events of Socket.IO: what clients say becomes input, and the world becomes
//! packets, each in the WebSocket frame that carries it.

use serde_json::value::RawValue;

use super::{columns, own_command, owner_fields, room_fields, row, rules_data};
use crate::codec::events::{self, ClientEvent, InvalidEvent, ServerEvent, Value};
use crate::codec::json;
use crate::codec::row::Columns;
use crate::game::rules::ARGUMENTS_MAX;
use crate::game::{
    Argument, Audience, Command, Denied, Detail, Event, Fact, PlayerId, Point, Rules, World,
};
use crate::outbox::{Encoded, Topic};
use crate::socketio::packet::{Header, Kind};
use crate::time::Tick;
use crate::ws::frame;

pub use crate::codec::events::{Auth, Failure};

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something for the world.
    Command(Command),
    /// An answer.
    Ping,
    /// So many states a second.
    Rate(u32),
}

/// Reads an event by its name and arguments, in a room of these rules.
///
/// # Errors
/// [`Failure::BadPosition`] and [`Failure::UnknownEvent`].
pub fn decode(name: &str, args: &[&RawValue], rules: &Rules) -> Result<Input, Failure> {
    match ClientEvent::decode(name, args) {
        Ok(ClientEvent::Move { x, y }) => {
            // A number that is too large or too small becomes the nearest that there is.
            let place = Point { x: x.round() as u16, y: y.round() as u16 };
            Ok(Input::Command(Command::MoveTo(place)))
        }
        Ok(ClientEvent::Attack) => Ok(Input::Command(Command::Attack)),
        Ok(ClientEvent::Ping) => Ok(Input::Ping),
        Ok(ClientEvent::Rate(hz)) => Ok(Input::Rate(hz)),
        Err(InvalidEvent::BadPosition) => Err(Failure::BadPosition),
        Err(InvalidEvent::Unknown) => {
            let object = args.first().map_or("null", |arg| arg.get()).as_bytes();
            let command = own_command(rules, name, |names| json::integers(object, names));
            command.map(Input::Command).ok_or(Failure::UnknownEvent)
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Failure {
        match denied {
            Denied::Cooldown => Failure::Cooldown,
            Denied::Dead => Failure::Dead,
            Denied::NoCombat => Failure::NoCombat,
        }
    }
}

/// A packet, with `data` as JSON.
#[must_use]
pub fn packet(header: &Header, data: &str) -> Encoded {
    packet_of(header, |out| out.extend_from_slice(data.as_bytes()))
}

/// A packet whose data somebody writes.
fn packet_of(header: &Header, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    let mut buffer = frame::HEADROOM.to_vec();
    buffer.push(b'4');
    header.encode(&mut buffer);
    write(&mut buffer);
    Encoded::from(frame::encode_in_place(frame::TEXT, &mut buffer))
}

/// The refusal of a namespace; the client may be told when to ask again.
#[must_use]
pub fn refusal(header: &Header, message: &str, retry_ms: Option<u64>) -> Encoded {
    packet_of(header, |out| events::encode_refusal(message, retry_ms, out))
}

/// An attachment of a packet.
#[must_use]
pub fn attachment(bytes: &[u8]) -> Encoded {
    Encoded::from(frame::whole(frame::BINARY, bytes))
}

/// The answer to the event that asked for it by `id`; after a move, with where `mover` is.
#[must_use]
pub fn answer(
    id: u64,
    outcome: Result<(), Failure>,
    mover: Option<PlayerId>,
    world: &World,
) -> Encoded {
    let header = Header::new(Kind::Ack, "/", Some(id));
    let mover = mover.and_then(|id| world.find(id)).map(|index| row(world, index));
    let columns = match mover {
        Some(_) => columns(world.rules(), Detail::POSITION),
        None => Columns::NONE,
    };
    packet_of(&header, |out| events::encode_answer(outcome.map(|()| mover), &columns, out))
}

/// Encodes a fact for all clients of the room. `None` if its player has left, or if only its owner
/// receives it (see [`own`]).
#[must_use]
pub fn fact(fact: &Fact, world: &World) -> Option<Encoded> {
    let mut out = Vec::new();
    let introduce = |id| {
        let columns = columns(world.rules(), Detail::PORTRAIT);
        Some((row(world, world.find(id)?), columns))
    };
    match fact.event {
        Event::Joined(id) => {
            let (row, columns) = introduce(id)?;
            put(&ServerEvent::NewPlayer(row), &columns, &mut out);
        }
        Event::Respawned(id) => {
            let (row, columns) = introduce(id)?;
            put(&ServerEvent::Respawned(row), &columns, &mut out);
        }
        Event::Left(id) => put(&ServerEvent::Left(id.0), &Columns::NONE, &mut out),
        Event::Own { kind, arguments } => {
            let declared = &world.rules().events[usize::from(kind)];
            let mut members = [("", Value::Number(0)); ARGUMENTS_MAX];
            for ((member, argument), value) in
                members.iter_mut().zip(declared.arguments).zip(arguments)
            {
                *member = match argument {
                    Argument::Player(name) => (name, Value::Player(value)),
                    Argument::Number(name) => (name, Value::Number(value)),
                };
            }
            let members = &members[..declared.arguments.len()];
            put(&ServerEvent::Own { name: declared.name, members }, &Columns::NONE, &mut out);
        }
        Event::RoomFields => put_room(world, &mut out),
        Event::OwnerFields(_) => return None,
    }
    Some(Encoded::from(out))
}

/// The fields of a player's body that only the player is told; `None` if it is not here.
#[must_use]
pub fn own(id: PlayerId, world: &World) -> Option<Encoded> {
    let mut out = Vec::new();
    put_own(world, world.find(id)?, &mut out);
    Some(Encoded::from(out))
}

/// The numbers of the room's rules.
#[must_use]
pub fn rules(world: &World) -> Encoded {
    let mut out = Vec::new();
    put(&ServerEvent::Rules(rules_data(world)), &Columns::NONE, &mut out);
    Encoded::from(out)
}

/// The subject of a fact. Of several about the same one the newest may be enough.
#[must_use]
pub fn topic(event: Event, rules: &Rules) -> Topic {
    match event {
        Event::Joined(id) | Event::Left(id) | Event::Respawned(id) => Topic::Always(id.0),
        Event::Own { kind, arguments } => {
            let declared = &rules.events[usize::from(kind)];
            match declared.arguments.first() {
                Some(Argument::Player(_)) if declared.is_newest_enough => {
                    Topic::Newest(arguments[0] as u32)
                }
                Some(Argument::Player(_)) => Topic::Always(arguments[0] as u32),
                _ => Topic::Many,
            }
        }
        // No player has the number 0.
        Event::RoomFields => Topic::Newest(0),
        Event::OwnerFields(_) => Topic::Many,
    }
}

/// Encodes what a new player receives first: the other players, the fields of the room, its own
/// fields and its position.
#[must_use]
pub fn roster(world: &World, player: PlayerId) -> Encoded {
    let mut out = Vec::new();
    let portrait = columns(world.rules(), Detail::PORTRAIT);
    for (index, body) in world.bodies().iter().enumerate() {
        if body.id != player {
            put(&ServerEvent::NewPlayer(row(world, index)), &portrait, &mut out);
        }
    }
    if !world.rules().room_fields.is_empty() {
        put_room(world, &mut out);
    }
    if let Some(index) = world.find(player) {
        if world.rules().fields.iter().any(|field| field.audience == Audience::Owner) {
            put_own(world, index, &mut out);
        }
        let position = columns(world.rules(), Detail::POSITION);
        put(&ServerEvent::Moved(row(world, index)), &position, &mut out);
    }
    Encoded::from(out)
}

fn put_room(world: &World, out: &mut Vec<u8>) {
    let members: Vec<_> = room_fields(world).collect();
    put(&ServerEvent::Numbers("room", &members), &Columns::NONE, out);
}

fn put_own(world: &World, index: usize, out: &mut Vec<u8>) {
    let members: Vec<_> = owner_fields(world, index).collect();
    put(&ServerEvent::Numbers("own", &members), &Columns::NONE, out);
}

/// The encoded moves since earlier ticks.
///
/// They are encoded on first use, from the world at that time. A late client receives the newest
/// positions, which never contradict the facts sent before.
#[derive(Debug, Default)]
pub struct Moves {
    /// The encoded moves, by the tick that the client has.
    made: Vec<(Tick, Option<Encoded>)>,
    /// The version of the world that was encoded.
    version: u64,
}

impl Moves {
    /// The moves since a tick; `None` if no player has moved.
    pub fn since(&mut self, known: Tick, world: &World) -> Option<Encoded> {
        if self.version != world.version() {
            self.version = world.version();
            self.made.clear();
        }
        if let Some((_, bytes)) = self.made.iter().find(|(tick, _)| *tick == known) {
            return bytes.clone();
        }
        let mut out = Vec::new();
        let columns = columns(world.rules(), Detail::POSITION);
        for (index, body) in world.bodies().iter().enumerate() {
            if body.moved.is_after(known) {
                put(&ServerEvent::Moved(row(world, index)), &columns, &mut out);
            }
        }
        let bytes = (!out.is_empty()).then(|| Encoded::from(out));
        self.made.push((known, bytes.clone()));
        bytes
    }
}

/// Appends an event in its frame. Its header is made for a short frame, which it nearly always is.
fn put(event: &ServerEvent, columns: &Columns, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&frame::HEADROOM);
    out.push(b'4');
    Header::new(Kind::Event, "/", None).encode(out);
    event.encode(columns, out);
    let frame_bytes = frame::encode_in_place(frame::TEXT, &mut out[start..]).len();
    let unused = out.len() - start - frame_bytes;
    out.drain(start..start + unused);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::BATTLE;

    const ANN: PlayerId = PlayerId(1);
    const BEN: PlayerId = PlayerId(2);

    fn texts(frames: &Encoded) -> Vec<String> {
        frame::payloads(frames.bytes())
            .map(|(opcode, text)| {
                assert_eq!(opcode, frame::TEXT);
                String::from_utf8(text.to_vec()).expect("text")
            })
            .collect()
    }

    fn joined(id: PlayerId) -> Fact {
        Fact { event: Event::Joined(id), place: None }
    }

    fn world() -> World {
        let mut world = World::new(&BATTLE, 7, 4);
        world.join(ANN, Some("Ann".into()), &mut Vec::new());
        world.join(BEN, None, &mut Vec::new());
        world
    }

    #[test]
    fn a_newcomer_finds_everybody_else_and_itself() {
        let world = world();
        let told = texts(&roster(&world, BEN));
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with(r#"42["new_player",{"id":"1","position":{"x":"#), "{told:?}");
        assert!(told[0].contains(r#""hp":100,"kills":0,"deaths":0,"name":"Ann","color":"#));
        assert!(told[1].starts_with(r#"42["player_moved",{"id":"2","position":{"x":"#));
        let new = fact(&joined(BEN), &world).expect("Ben is here");
        assert!(texts(&new)[0].contains(r#""name":"Player 2""#));
        assert_eq!(fact(&joined(PlayerId(9)), &world), None, "who has left again");
    }

    #[test]
    fn only_what_moved_since_is_told() {
        let mut world = world();
        let mut moves = Moves::default();
        let go = |world: &mut World, id| {
            // Towards the farther wall: it does move.
            let x = if world.body(id).unwrap().at.x < 50 { 100 } else { 0 };
            let command = Command::MoveTo(Point { x, y: 50 });
            assert_eq!(world.apply(id, command, &mut Vec::new()), Ok(()));
        };
        world.tick(&mut Vec::new());
        let first = world.now();
        assert_eq!(moves.since(first, &world), None);
        go(&mut world, ANN);
        world.tick(&mut Vec::new());
        let told = texts(&moves.since(first, &world).expect("Ann has moved"));
        assert!(told.len() == 1 && told[0].contains(r#"{"id":"1","#), "{told:?}");
        go(&mut world, BEN);
        world.tick(&mut Vec::new());
        assert_eq!(texts(&moves.since(first, &world).expect("both have moved")).len(), 2);
        let told = texts(&moves.since(first.next(), &world).expect("Ben has moved"));
        assert!(told.len() == 1 && told[0].contains(r#"{"id":"2","#), "{told:?}");
        assert_eq!(moves.since(world.now(), &world), None);
    }

    #[test]
    fn a_late_client_gets_nothing_outdated() {
        let mut world = world();
        let mut moves = Moves::default();
        let known = world.now();
        for id in [ANN, BEN] {
            let x = if world.body(id).unwrap().at.x < 50 { 100 } else { 0 };
            world.apply(id, Command::MoveTo(Point { x, y: 50 }), &mut Vec::new()).unwrap();
        }
        world.tick(&mut Vec::new());
        assert_eq!(texts(&moves.since(known, &world).expect("both have moved")).len(), 2);
        world.leave(BEN, &mut Vec::new());
        let told = texts(&moves.since(known, &world).expect("Ann has moved"));
        assert!(told.len() == 1 && told[0].contains(r#"{"id":"1","#), "Ben has left: {told:?}");
    }

    #[test]
    fn requested_places_are_rounded_to_integers() {
        let place = |x: f64, y: f64| {
            let arg = serde_json::value::to_raw_value(&serde_json::json!({"x": x, "y": y}));
            match decode("move", &[&arg.expect("JSON")], &BATTLE) {
                Ok(Input::Command(Command::MoveTo(place))) => (place.x, place.y),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(place(3.4, 3.5), (3, 4));
        assert_eq!(place(-7.0, 1e300), (0, u16::MAX));
    }
}
