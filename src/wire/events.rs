//! The Socket.IO dialect: events become input, and the world becomes packets, each in the WebSocket
//! frame that carries it.

use std::io::Write;

use super::packet::with;
use super::recovery::Offset;
use super::{
    Input, Message, OWNER_FIELDS, ROOM_FIELDS, Rejection, ResumeToken, columns, own_command,
    owner_fields, room_fields, row, rules_data,
};
use crate::codec::events::{self, ClientEvent, Done, Failure, InvalidEvent, ServerEvent};
use crate::codec::json::{self, Clock, Value};
use crate::codec::row::Columns;
use crate::game::{
    ARGUMENTS_MAX, Argument, Audience, Body, Command, Delivery, Denied, Detail, Event, Fact,
    PlayerId, Point, Rules, Snapshot, World,
};
use crate::outbox::{Encoded, Topic};
use crate::socketio::packet::{Header, Kind};
use crate::time::Tick;
use crate::ws::frame;

pub use crate::codec::events::Auth;

/// The first events to a client: the numbers of the rules, and its token if it has asked for one.
/// Its player is its socket id.
#[must_use]
pub fn welcome(world: &World, token: Option<ResumeToken>) -> Encoded {
    let mut out = Vec::new();
    put(&ServerEvent::Rules(rules_data(world)), &Columns::NONE, &mut out);
    if let Some(ResumeToken { text, resume_s }) = token {
        let resume_s = Value::Number(resume_s.into());
        let members = &[("token", Value::Word(text)), ("resume_s", resume_s)];
        put(&ServerEvent::Own { name: "token", members }, &Columns::NONE, &mut out);
    }
    Encoded::from(out)
}

/// Decodes an event in a room of these rules.
///
/// # Errors
/// [`Rejection::Binary`], [`Rejection::BadPosition`] and [`Rejection::Unknown`].
pub fn decode<'a>(message: &Message<'a>, rules: &Rules) -> Result<Input<'a>, Rejection> {
    let Message::Event { name, args, is_binary, .. } = *message else {
        return Err(Rejection::Unknown);
    };
    if is_binary {
        return Err(Rejection::Binary);
    }
    match ClientEvent::decode(name, args) {
        Ok(ClientEvent::Move { x, y }) => {
            // A number that is too large or too small becomes the nearest that there is.
            let place = Point { x: x.round() as u16, y: y.round() as u16 };
            Ok(Input::Command(Command::MoveTo(place)))
        }
        Ok(ClientEvent::Attack) => Ok(Input::Command(Command::Attack)),
        Ok(ClientEvent::Ping) => Ok(Input::Ping("")),
        Ok(ClientEvent::Rate(hz)) => Ok(Input::Rate(hz as u8)),
        Err(InvalidEvent::BadPosition) => Err(Rejection::BadPosition),
        Err(InvalidEvent::Unknown) => {
            let object = args.first().map_or("null", |arg| arg.get()).as_bytes();
            let command = own_command(rules, name, |names| json::integers(object, names));
            command.map(Input::Command).ok_or(Rejection::Unknown)
        }
    }
}

/// The acknowledgement of an event, if the client asks for one. After a move it has the resulting
/// position, after a ping the clock.
#[must_use]
pub fn answer(
    message: &Message,
    outcome: Result<Input, Rejection>,
    player: PlayerId,
    world: &World,
    clock: Clock,
) -> Option<Encoded> {
    let Message::Event { ack: Some(id), .. } = *message else { return None };
    let snapshot = world.snapshot();
    let is_move = matches!(outcome, Ok(Input::Command(command)) if command.is_move());
    let mover = if is_move { snapshot.find(player) } else { None };
    let columns = match mover {
        Some(_) => columns(snapshot.rules, Detail::POSITION),
        None => Columns::NONE,
    };
    let result = match outcome {
        Ok(Input::Ping(_)) => Ok(Done::Ping(clock)),
        Ok(_) => Ok(mover.map_or(Done::Plain, |index| Done::Move(row(&snapshot, index)))),
        Err(rejection) => Err(failure(rejection)),
    };
    let header = Header::new(Kind::Ack, "/", Some(id));
    Some(with(&header, |out| events::encode_answer(result, &columns, out)))
}

fn failure(rejection: Rejection) -> Failure {
    match rejection {
        Rejection::Denied(Denied::Cooldown) => Failure::Cooldown,
        Rejection::Denied(Denied::Dead) => Failure::Dead,
        Rejection::Denied(Denied::NoCombat) => Failure::NoCombat,
        Rejection::Rate => Failure::Rate,
        Rejection::BadPosition => Failure::BadPosition,
        Rejection::Binary => Failure::Binary,
        Rejection::InvalidJson | Rejection::Unknown => Failure::UnknownEvent,
    }
}

/// Encodes a fact for all clients of the room, with its topic, and with its `offset` unless it is
/// volatile. `None` if its player has left, or if only its owner receives it (see [`own`]).
#[must_use]
pub fn fact(fact: &Fact, snapshot: Snapshot, offset: Option<Offset>) -> Option<(Topic, Encoded)> {
    let mut out = Vec::new();
    let topic = topic(fact.event, snapshot.rules);
    let offset = offset.filter(|_| topic != Topic::Volatile);
    let mut put = |event: &ServerEvent, columns: &Columns| {
        put_with(event, columns, offset, &mut out);
    };
    let description = |id| {
        let columns = columns(snapshot.rules, Detail::DESCRIPTION);
        Some((row(&snapshot, snapshot.find(id)?), columns))
    };
    match fact.event {
        Event::Joined(id) => {
            let (row, columns) = description(id)?;
            put(&ServerEvent::NewPlayer(row), &columns);
        }
        Event::Respawned(id) => {
            let (row, columns) = description(id)?;
            put(&ServerEvent::Respawned(row), &columns);
        }
        Event::Left(id) => put(&ServerEvent::Left(id.0), &Columns::NONE),
        Event::Own { kind, arguments } => {
            let declared = &snapshot.rules.events[usize::from(kind)];
            let mut members = [("", Value::Number(0)); ARGUMENTS_MAX];
            for ((member, argument), value) in
                members.iter_mut().zip(declared.arguments).zip(arguments)
            {
                *member = match argument {
                    Argument::Player(name) => (name, Value::Player(value)),
                    Argument::Number(name) => (name, Value::Number(value)),
                    Argument::Word(name, words) => (name, Value::Word(words[value as usize])),
                };
            }
            let members = &members[..declared.arguments.len()];
            put(&ServerEvent::Own { name: declared.name, members }, &Columns::NONE);
        }
        Event::RoomFields => put_room(&snapshot, offset, &mut out),
        Event::OwnerFields(_) => return None,
    }
    Some((topic, Encoded::from(out)))
}

/// The subject of a fact. Of several about the same one the newest may be enough.
fn topic(event: Event, rules: &Rules) -> Topic {
    match event {
        Event::Joined(id) | Event::Left(id) | Event::Respawned(id) => Topic::Always(id.0),
        Event::Own { kind, arguments } => {
            let declared = &rules.events[usize::from(kind)];
            match (declared.delivery, declared.arguments.first()) {
                (Delivery::Volatile, _) => Topic::Volatile,
                (Delivery::Newest, Some(Argument::Player(_))) => {
                    Topic::Newest(arguments[0] as u32, kind)
                }
                (Delivery::Always, Some(Argument::Player(_))) => Topic::Always(arguments[0] as u32),
                _ => Topic::Many,
            }
        }
        Event::RoomFields => ROOM_FIELDS,
        Event::OwnerFields(_) => OWNER_FIELDS,
    }
}

/// Bodies in one buffer of a [`Roster`].
const ROSTER_BODIES: usize = 64;

/// All players of a snapshot, encoded once for all clients that receive it as their first state.
#[derive(Debug)]
pub struct Roster(Vec<RosterPart>);

/// The descriptions of [`ROSTER_BODIES`] bodies; fewer in the last part.
#[derive(Debug)]
struct RosterPart {
    bytes: Encoded,
    /// Where the description of each body ends.
    ends: Vec<usize>,
}

impl Roster {
    /// Encodes all players.
    #[must_use]
    pub fn of(snapshot: Snapshot) -> Roster {
        let description = columns(snapshot.rules, Detail::DESCRIPTION);
        let part = |(number, bodies): (usize, &[Body])| {
            let (first, mut out) = (number * ROSTER_BODIES, Vec::new());
            let mut put_body = |index| {
                put(&ServerEvent::NewPlayer(row(&snapshot, index)), &description, &mut out);
                out.len()
            };
            let ends = (first..first + bodies.len()).map(&mut put_body).collect();
            RosterPart { bytes: Encoded::from(out), ends }
        };
        Roster(snapshot.bodies.chunks(ROSTER_BODIES).enumerate().map(part).collect())
    }

    /// The first state of a client: the other players, the fields of the room, its own fields and
    /// its own description, with the `offset` of the frame if the client can recover. The same
    /// snapshot as in [`Roster::of`].
    #[must_use]
    pub fn first_state(
        &self,
        player: PlayerId,
        snapshot: Snapshot,
        offset: Option<Offset>,
    ) -> Vec<Encoded> {
        let own = snapshot.find(player);
        let mut buffers = Vec::with_capacity(self.0.len() + 1);
        let mut tail = Vec::new();
        for (number, part) in self.0.iter().enumerate() {
            match own.filter(|index| index / ROSTER_BODIES == number) {
                None => buffers.push(part.bytes.clone()),
                Some(index) => buffers.extend(part.without(index % ROSTER_BODIES)),
            }
        }
        if !snapshot.rules.room_fields.is_empty() {
            put_room(&snapshot, None, &mut tail);
        }
        if let Some(index) = own {
            if has_owner_fields(snapshot.rules) {
                put_own(&snapshot, index, &mut tail);
            }
            let description = columns(snapshot.rules, Detail::DESCRIPTION);
            let placed = ServerEvent::Placed(row(&snapshot, index));
            put_with(&placed, &description, offset, &mut tail);
        }
        buffers.extend((!tail.is_empty()).then(|| Encoded::from(tail)));
        buffers
    }
}

impl RosterPart {
    /// Without one of its bodies; `None` if no other is left.
    fn without(&self, index: usize) -> Option<Encoded> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let bytes = self.bytes.bytes();
        let others = [&bytes[..start], &bytes[self.ends[index]..]].concat();
        (!others.is_empty()).then(|| Encoded::from(others))
    }
}

/// Asks a client to acknowledge a tick: an event whose acknowledgement has the number of the tick
/// as its id.
#[must_use]
pub fn question(tick: Tick) -> Encoded {
    let header = Header::new(Kind::Event, "/", Some(tick.0.into()));
    with(&header, |out| ServerEvent::Tick(tick.0).encode(&Columns::NONE, out))
}

/// A message of the operator.
#[must_use]
pub fn notice(text: &str) -> Encoded {
    let mut out = Vec::new();
    put(&ServerEvent::Notice(text), &Columns::NONE, &mut out);
    Encoded::from(out)
}

/// Encodes the players that have moved after the tick `known`; `None` if none has. `scratch` is
/// reused from call to call.
#[must_use]
pub fn moves(known: Tick, snapshot: Snapshot, scratch: &mut Vec<u8>) -> Option<Encoded> {
    scratch.clear();
    let columns = columns(snapshot.rules, Detail::POSITION);
    for (index, body) in snapshot.bodies.iter().enumerate() {
        if body.moved.is_after(known) {
            put(&ServerEvent::Moved(row(&snapshot, index)), &columns, scratch);
        }
    }
    (!scratch.is_empty()).then(|| Encoded::from(&scratch[..]))
}

/// Where all players are, and the fields of the room.
#[must_use]
pub fn places(snapshot: Snapshot) -> Encoded {
    let mut out = Vec::new();
    let columns = columns(snapshot.rules, Detail::POSITION);
    for index in 0..snapshot.bodies.len() {
        put(&ServerEvent::Moved(row(&snapshot, index)), &columns, &mut out);
    }
    if !snapshot.rules.room_fields.is_empty() {
        put_room(&snapshot, None, &mut out);
    }
    Encoded::from(out)
}

/// The owner-only fields of a player in a snapshot; `None` if there are none, or if it has left.
#[must_use]
pub fn own_fields(player: PlayerId, snapshot: Snapshot) -> Option<Encoded> {
    let index = snapshot.find(player).filter(|_| has_owner_fields(snapshot.rules))?;
    let mut out = Vec::new();
    put_own(&snapshot, index, &mut out);
    Some(Encoded::from(out))
}

fn has_owner_fields(rules: &Rules) -> bool {
    rules.fields.iter().any(|field| field.audience == Audience::Owner)
}

/// The owner-only fields of a player; `None` if it has left.
#[must_use]
pub fn own(player: PlayerId, world: &World) -> Option<Encoded> {
    let snapshot = world.snapshot();
    let mut out = Vec::new();
    put_own(&snapshot, snapshot.find(player)?, &mut out);
    Some(Encoded::from(out))
}

fn put_room(snapshot: &Snapshot, offset: Option<Offset>, out: &mut Vec<u8>) {
    let members: Vec<_> = room_fields(snapshot).collect();
    let room = ServerEvent::Own { name: "room", members: &members };
    put_with(&room, &Columns::NONE, offset, out);
}

fn put_own(snapshot: &Snapshot, index: usize, out: &mut Vec<u8>) {
    let members: Vec<_> = owner_fields(snapshot, index).collect();
    put(&ServerEvent::Own { name: "own", members: &members }, &Columns::NONE, out);
}

/// Appends an event in its frame.
fn put(event: &ServerEvent, columns: &Columns, out: &mut Vec<u8>) {
    put_with(event, columns, None, out);
}

/// The same, with an offset as the last argument. The official client takes every text at the end
/// of an event as its offset, so no event without one ends with a text.
///
/// The header is made for a short frame, which it nearly always is.
fn put_with(event: &ServerEvent, columns: &Columns, offset: Option<Offset>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&frame::HEADROOM);
    out.push(b'4');
    Header::new(Kind::Event, "/", None).encode(out);
    event.encode(columns, out);
    if let Some(offset) = offset {
        let end = out.pop();
        debug_assert_eq!(end, Some(b']'), "an event is an array");
        write!(out, r#","{offset}"]"#).expect("writing to memory cannot fail");
    }
    let frame_bytes = frame::encode_in_place(frame::TEXT, &mut out[start..]).len();
    let unused = out.len() - start - frame_bytes;
    out.drain(start..start + unused);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{BATTLE, Frame};

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
    fn a_new_client_receives_all_others_and_its_own_position() {
        let world = world();
        let roster: Vec<String> = Roster::of(world.snapshot())
            .first_state(BEN, world.snapshot(), None)
            .iter()
            .flat_map(texts)
            .collect();
        assert_eq!(roster.len(), 3);
        assert!(
            roster[0].starts_with(r#"42["new_player",{"id":"1","position":{"x":"#),
            "{roster:?}"
        );
        assert!(roster[0].contains(r#""hp":100,"kills":0,"deaths":0,"name":"Ann","color":"#));
        assert_eq!(roster[1], r#"42["room",{"round":1,"ends_ms":180000,"winner":0}]"#);
        assert!(roster[2].starts_with(r#"42["player_moved",{"id":"2","position":{"x":"#));
        let (topic, new) = fact(&joined(BEN), world.snapshot(), None).expect("Ben is here");
        assert_eq!(topic, Topic::Always(2));
        assert!(texts(&new)[0].contains(r#""name":"Player 2""#));
        assert_eq!(fact(&joined(PlayerId(9)), world.snapshot(), None), None, "9 has left");
    }

    #[test]
    fn all_new_clients_share_the_players_of_a_roster() {
        let mut world = World::new(&BATTLE, 7, 4);
        (1..=200).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
        let roster = Roster::of(world.snapshot());
        let whole: Vec<String> = roster.0.iter().flat_map(|part| texts(&part.bytes)).collect();
        for own in [1, 2, 64, 65, 128, 200] {
            let state = roster.first_state(PlayerId(own), world.snapshot(), None);
            let mut others: Vec<String> = state.iter().flat_map(texts).collect();
            assert!(others.pop().expect("its position").contains(&format!(r#""id":"{own}""#)));
            assert!(others.pop().is_some_and(|room| room.starts_with(r#"42["room","#)));
            let mut expected = whole.clone();
            expected.remove(own as usize - 1);
            assert_eq!(others, expected);
            let is_shared = |part: &&RosterPart| {
                state.iter().any(|buffer| buffer.bytes().as_ptr() == part.bytes.bytes().as_ptr())
            };
            assert_eq!(roster.0.iter().filter(is_shared).count(), 3, "three parts of four");
        }
        let alone = Roster::of(self::world().snapshot());
        assert_eq!(alone.0.len(), 1);
        let none = World::new(&BATTLE, 7, 4);
        let none = Roster::of(none.snapshot()).first_state(ANN, none.snapshot(), None);
        assert_eq!(none.iter().flat_map(texts).count(), 1, "the room");
    }

    /// Moves a player towards the farther wall.
    fn go(world: &mut World, id: PlayerId) {
        let x = if world.bodies()[world.find(id).unwrap()].at.x < 50 { 100 } else { 0 };
        let command = Command::MoveTo(Point { x, y: 50 });
        assert_eq!(world.apply(id, command, &mut Vec::new()), Ok(()));
    }

    #[test]
    fn an_update_has_the_players_that_have_moved_since() {
        let mut world = world();
        let since = |known, world: &World| {
            moves(known, world.snapshot(), &mut Vec::new()).map_or(Vec::new(), |m| texts(&m))
        };
        world.tick(&mut Vec::new());
        let first = world.now();
        assert!(since(first, &world).is_empty());
        go(&mut world, ANN);
        world.tick(&mut Vec::new());
        let moved = since(first, &world);
        assert!(moved.len() == 1 && moved[0].contains(r#"{"id":"1","#), "{moved:?}");
        go(&mut world, BEN);
        world.tick(&mut Vec::new());
        assert_eq!(since(first, &world).len(), 2);
        let moved = since(first.next(), &world);
        assert!(moved.len() == 1 && moved[0].contains(r#"{"id":"2","#), "{moved:?}");
        assert!(since(world.now(), &world).is_empty());
    }

    #[test]
    fn an_update_shows_its_frame_and_not_the_world() {
        let mut world = world();
        let known = world.now();
        [ANN, BEN].into_iter().for_each(|id| go(&mut world, id));
        world.tick(&mut Vec::new());
        let frame = Frame::of(&world);
        let first = moves(known, frame.snapshot(), &mut Vec::new()).expect("both have moved");
        go(&mut world, ANN);
        world.leave(BEN, &mut Vec::new());
        let later = moves(known, frame.snapshot(), &mut Vec::new()).expect("both have moved");
        assert_eq!(texts(&later), texts(&first));
    }

    #[test]
    fn positions_are_rounded_to_whole_places() {
        let place = |x: f64, y: f64| {
            let arg = serde_json::value::to_raw_value(&serde_json::json!({"x": x, "y": y}));
            let args: &[_] = &[&*arg.expect("JSON")];
            let message = Message::Event { name: "move", args, ack: None, is_binary: false };
            match decode(&message, &BATTLE) {
                Ok(Input::Command(Command::MoveTo(place))) => (place.x, place.y),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(place(3.4, 3.5), (3, 4));
        assert_eq!(place(-7.0, 1e300), (0, u16::MAX));
    }
}
