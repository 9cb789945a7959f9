//! Dialect 2, the events of Socket.IO: what clients say becomes input, and the world becomes
//! packets, each in the WebSocket frame that carries it.

use serde_json::value::RawValue;

use crate::codec::events::{self, ClientEvent, InvalidEvent, PlayerInfo, Position, ServerEvent};
use crate::game::{Command, Denied, Event, Player, PlayerId, Point, World};
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

/// Reads an event by its name and arguments.
///
/// # Errors
/// [`Failure::BadPosition`] and [`Failure::UnknownEvent`].
pub fn decode(name: &str, args: &[&RawValue]) -> Result<Input, Failure> {
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
        Err(InvalidEvent::Unknown) => Err(Failure::UnknownEvent),
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

/// The answer to the event that asked for it by `id`: where the player is, if it moved.
#[must_use]
pub fn answer(id: u64, answer: Result<Option<&Player>, Failure>) -> Encoded {
    let header = Header::new(Kind::Ack, "/", Some(id));
    let answer = answer.map(|player| player.map(position));
    packet_of(&header, |out| events::encode_answer(answer, out))
}

/// What has happened, for those who were there; `None` if nobody can be told of it any more.
#[must_use]
pub fn fact(event: Event, world: &World) -> Option<Encoded> {
    let told = match event {
        Event::Joined(id) => ServerEvent::NewPlayer(id.0, info(world.player(id)?)),
        Event::Left(id) => ServerEvent::Left(id.0),
        Event::Hit { victim, hp } => ServerEvent::Attacked { id: victim.0, hp },
        Event::Killed { victim, by } => {
            let respawn_ms = world.player(victim).map_or(0, |player| world.respawn_ms(player));
            ServerEvent::Killed { id: victim.0, by: by.0, respawn_ms }
        }
        Event::Respawned(id) => ServerEvent::Respawned(id.0, info(world.player(id)?)),
    };
    let mut out = Vec::new();
    put(&told, &mut out);
    Some(Encoded::from(out))
}

/// Whom a fact is about. Of several hits the newest tells how the victim is.
#[must_use]
pub fn topic(event: Event) -> Topic {
    match event {
        Event::Hit { victim, .. } => Topic::Newest(victim.0),
        Event::Joined(id) | Event::Left(id) | Event::Respawned(id) => Topic::Always(id.0),
        Event::Killed { victim, .. } => Topic::Always(victim.0),
    }
}

/// Whom a newcomer finds in a world: everybody else, and where it is itself.
#[must_use]
pub fn everybody(world: &World, newcomer: PlayerId) -> Encoded {
    let mut out = Vec::new();
    for player in world.players().iter().filter(|player| player.id != newcomer) {
        put(&ServerEvent::NewPlayer(player.id.0, info(player)), &mut out);
    }
    if let Some(own) = world.player(newcomer) {
        put(&ServerEvent::Moved(own.id.0, position(own)), &mut out);
    }
    Encoded::from(out)
}

/// The bytes that tell those who know an earlier tick who has moved since.
///
/// They are made when they are asked for, of the world as it is then: whoever is told late is told
/// the newest, and nothing that contradicts the facts that went before.
#[derive(Debug, Default)]
pub struct Moves {
    /// What was made already, by the tick that is known.
    made: Vec<(Tick, Option<Encoded>)>,
    /// The world of which it was made.
    version: u64,
}

impl Moves {
    /// Those who have moved since a tick that is known; `None` if nobody has.
    pub fn since(&mut self, known: Tick, world: &World) -> Option<Encoded> {
        if self.version != world.version() {
            self.version = world.version();
            self.made.clear();
        }
        if let Some((_, bytes)) = self.made.iter().find(|(tick, _)| *tick == known) {
            return bytes.clone();
        }
        let mut out = Vec::new();
        for player in world.players().iter().filter(|player| player.moved.is_after(known)) {
            put(&ServerEvent::Moved(player.id.0, position(player)), &mut out);
        }
        let bytes = (!out.is_empty()).then(|| Encoded::from(out));
        self.made.push((known, bytes.clone()));
        bytes
    }
}

/// Appends an event in its frame. Its header is made for a short frame, which it nearly always is.
fn put(event: &ServerEvent, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&frame::HEADROOM);
    out.push(b'4');
    Header::new(Kind::Event, "/", None).encode(out);
    event.encode(out);
    let frame_bytes = frame::encode_in_place(frame::TEXT, &mut out[start..]).len();
    let unused = out.len() - start - frame_bytes;
    out.drain(start..start + unused);
}

fn position(player: &Player) -> Position {
    Position { x: player.at.x, y: player.at.y, hp: player.hp }
}

fn info(player: &Player) -> PlayerInfo<'_> {
    let name = match &player.name {
        Some(name) => (&**name).into(),
        None => format!("Player {}", player.id.0).into(),
    };
    PlayerInfo {
        x: player.at.x,
        y: player.at.y,
        hp: player.hp,
        kills: player.kills,
        deaths: player.deaths,
        name,
        color: player.color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::rules::BATTLE;

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

    fn world() -> World {
        let mut world = World::new(&BATTLE, 7, 4);
        world.join(ANN, Some("Ann".into()), &mut Vec::new());
        world.join(BEN, None, &mut Vec::new());
        world
    }

    #[test]
    fn a_newcomer_finds_everybody_else_and_itself() {
        let world = world();
        let told = texts(&everybody(&world, BEN));
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with(r#"42["new_player",{"id":"1","position":{"x":"#), "{told:?}");
        assert!(told[0].contains(r#""hp":100,"kills":0,"deaths":0,"name":"Ann","color":"#));
        assert!(told[1].starts_with(r#"42["player_moved",{"id":"2","position":{"x":"#));
        let new = fact(Event::Joined(BEN), &world).expect("Ben is here");
        assert!(texts(&new)[0].contains(r#""name":"Player 2""#));
        assert_eq!(fact(Event::Joined(PlayerId(9)), &world), None, "who has left again");
    }

    #[test]
    fn only_what_moved_since_is_told() {
        let mut world = world();
        let mut moves = Moves::default();
        let go = |world: &mut World, id| {
            // Towards the farther wall: it does move.
            let x = if world.player(id).unwrap().at.x < 50 { 100 } else { 0 };
            let wish = Command::MoveTo(Point { x, y: 50 });
            assert_eq!(world.apply(id, wish, &mut Vec::new()), Ok(()));
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
    fn whoever_is_told_late_is_told_nothing_old() {
        let mut world = world();
        let mut moves = Moves::default();
        let known = world.now();
        for id in [ANN, BEN] {
            let x = if world.player(id).unwrap().at.x < 50 { 100 } else { 0 };
            world.apply(id, Command::MoveTo(Point { x, y: 50 }), &mut Vec::new()).unwrap();
        }
        world.tick(&mut Vec::new());
        assert_eq!(texts(&moves.since(known, &world).expect("both have moved")).len(), 2);
        world.leave(BEN, &mut Vec::new());
        let told = texts(&moves.since(known, &world).expect("Ann has moved"));
        assert!(told.len() == 1 && told[0].contains(r#"{"id":"1","#), "Ben has left: {told:?}");
    }

    #[test]
    fn wishes_are_whole_places() {
        let place = |x: f64, y: f64| {
            let arg = serde_json::value::to_raw_value(&serde_json::json!({"x": x, "y": y}));
            match decode("move", &[&arg.expect("JSON")]) {
                Ok(Input::Command(Command::MoveTo(place))) => (place.x, place.y),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(place(3.4, 3.5), (3, 4));
        assert_eq!(place(-7.0, 1e300), (0, u16::MAX));
    }
}
