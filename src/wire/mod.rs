//! From the world to each kind of client and back.
//!
//! `server/` calls it with the messages of a client, with what has happened in a room, and with the
//! [`Frame`](crate::game::Frame) that a client is owed. A dialect is a file here: `welcome, decode,
//! answer, own`, and either `state` (a full update) or `Roster, moves, fact`. What a client has
//! received, and what it receives next, is its [`View`].

use serde_json::value::RawValue;

use crate::codec::json::{Clock, RulesData, Value};
use crate::codec::row::{Columns, Form, Row};
use crate::codec::v1::{SUBPROTOCOL, client};
use crate::game::{
    ARGUMENTS_MAX, Audience, Command, Denied, Detail, Fact, PlayerId, Rect, Rules, Snapshot, Width,
    World,
};
use crate::outbox::{Encoded, Topic};
use crate::time::{Millis, TICK_MS, Tick};

mod compression;
mod credit;
mod encodings;
pub mod events;
pub mod json;
pub mod packet;
mod recovery;
mod v1;
mod view;

pub use compression::CompressionStats;
pub use credit::Acknowledged;
pub use encodings::{EncodedFact, Encodings, Framing};
pub use recovery::Offset;
pub use view::{Encoder, Held, News, Owe, View};

/// The topic of the fields of the room: the newest values are enough. No player has the number 0.
pub const ROOM_FIELDS: Topic = Topic::Newest(0, 0);
/// The topic of the fields that only their owner receives. No player has this number.
pub const OWNER_FIELDS: Topic = Topic::Newest(u32::MAX, 0);

/// The language of a client. Only this `enum` imports the modules of the dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Dialect 1: JSON over a plain WebSocket.
    Json,
    /// Dialect 2: events over Socket.IO.
    Events,
    /// Dialect 3: binary deltas over WebSocket, `skirmish.v1`.
    V1,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::Json, Dialect::Events, Dialect::V1];

    /// Whether its clients speak Socket.IO, which has several transports.
    #[must_use]
    pub const fn is_socketio(self) -> bool {
        matches!(self, Dialect::Events)
    }

    /// The game of a client that names neither a room nor rules; if the server does not have it,
    /// the first game that it has.
    #[must_use]
    pub const fn default_game(self) -> &'static str {
        match self {
            Dialect::Json => "dots",
            Dialect::Events => "battle",
            Dialect::V1 => "world",
        }
    }

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Json => "json",
            Dialect::Events => "socketio",
            Dialect::V1 => "v1",
        }
    }

    /// A message of the operator. Clients of skirmish.v1 get the text message of JSON clients.
    #[must_use]
    pub fn notice(self, text: &str) -> Encoded {
        match self {
            Dialect::Json | Dialect::V1 => json::notice(text),
            Dialect::Events => events::notice(text),
        }
    }

    /// The WebSocket subprotocol that selects it, if one does.
    #[must_use]
    pub const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Dialect::Json | Dialect::Events => None,
            Dialect::V1 => Some(SUBPROTOCOL),
        }
    }

    /// The dialect that a WebSocket subprotocol selects (RFC 6455, section 1.9), if one does.
    #[must_use]
    pub fn with_subprotocol(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.subprotocol() == Some(name))
    }

    /// Whether what its clients receive on a tick is made for each of them.
    #[must_use]
    pub const fn has_own_messages(self) -> bool {
        matches!(self, Dialect::V1)
    }

    /// Whether its clients receive what happens in the room when it happens. The state of the other
    /// dialects shows the outcome.
    #[must_use]
    pub const fn has_facts(self) -> bool {
        match self {
            Dialect::Json | Dialect::V1 => false,
            Dialect::Events => true,
        }
    }

    /// Whether its clients receive all players of their room, however far away.
    #[must_use]
    pub const fn sends_all_players(self) -> bool {
        match self {
            Dialect::Json | Dialect::Events => true,
            Dialect::V1 => false,
        }
    }

    /// Whether its clients may come back to their players after a loss without asking for it.
    #[must_use]
    pub const fn always_resumes(self) -> bool {
        matches!(self, Dialect::V1)
    }

    /// Whether each update is the full state, and needs no other.
    const fn has_full_updates(self) -> bool {
        match self {
            Dialect::Json => true,
            Dialect::Events | Dialect::V1 => false,
        }
    }

    fn welcome(
        self,
        player: PlayerId,
        welcome: &Welcome,
        encodings: &mut Encodings,
    ) -> Option<Encoded> {
        let world = welcome.world;
        match self {
            Dialect::Json => Some(json::welcome(player, welcome)),
            Dialect::Events => Some(events::welcome(world, welcome.token)),
            Dialect::V1 => v1::welcome(player, welcome, encodings.history(world)),
        }
    }

    fn decode<'a>(self, message: &Message<'a>, rules: &Rules) -> Result<Input<'a>, Rejection> {
        match self {
            Dialect::Json => json::decode(message, rules),
            Dialect::Events => events::decode(message, rules),
            Dialect::V1 => v1::decode(message, rules),
        }
    }

    fn answer(
        self,
        message: &Message,
        outcome: Result<Input, Rejection>,
        player: PlayerId,
        world: &World,
        now: Millis,
    ) -> Option<Encoded> {
        let clock = Clock { tick: world.now().0, time_ms: now.0 };
        match self {
            Dialect::Json => json::answer(outcome, clock),
            Dialect::Events => events::answer(message, outcome, player, world, clock),
            Dialect::V1 => None,
        }
    }

    /// The update of the clients that know the tick `known`; `None` if nothing has changed since.
    fn update(self, known: Tick, snapshot: Snapshot, scratch: &mut Vec<u8>) -> Option<Encoded> {
        match self {
            Dialect::Json => Some(json::state(snapshot, scratch)),
            Dialect::Events => events::moves(known, snapshot, scratch),
            Dialect::V1 => None,
        }
    }

    /// A fact with its topic, and with an `offset` if its clients can recover; `None` if they
    /// receive nothing.
    fn fact(
        self,
        fact: &Fact,
        snapshot: Snapshot,
        offset: Option<Offset>,
    ) -> Option<(Topic, Encoded)> {
        match self {
            Dialect::Json | Dialect::V1 => None,
            Dialect::Events => events::fact(fact, snapshot, offset),
        }
    }

    /// The owner-only fields of a player; `None` if it has left.
    fn own(self, player: PlayerId, world: &World) -> Option<Encoded> {
        match self {
            Dialect::Json => json::own(player, world),
            Dialect::Events => events::own(player, world),
            Dialect::V1 => None,
        }
    }
}

/// What the first message to a client is made of, besides its player.
#[derive(Clone, Copy, Debug)]
pub struct Welcome<'a> {
    /// The name of its room.
    pub room: &'a str,
    /// The world of the room.
    pub world: &'a World,
    /// The number of players that the room admits.
    pub players_max: usize,
    /// The time of the join.
    pub now: Millis,
    /// Milliseconds without a message after which the server closes the connection.
    pub silence_ms: u64,
    /// With what it may come back to its player, if it is new.
    pub token: Option<ResumeToken<'a>>,
}

/// With what a client may come back to its player.
#[derive(Clone, Copy, Debug)]
pub struct ResumeToken<'a> {
    /// The secret.
    pub text: &'a str,
    /// Seconds after a loss in which it is valid.
    pub resume_s: u32,
}

/// A message of a client, as its transport delivers it.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// The payload of a WebSocket message.
    Payload(&'a [u8]),
    /// An event of Socket.IO.
    Event {
        /// Its name; empty if it is not a string.
        name: &'a str,
        /// Its other elements.
        args: &'a [&'a RawValue],
        /// The id of the acknowledgement that the client asks for.
        ack: Option<u64>,
        /// Whether it has binary attachments.
        is_binary: bool,
    },
}

/// A valid message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// A command for the world.
    Command(Command),
    /// A ping; the answer repeats this text.
    Ping(&'a str),
    /// The states per second that the client requests, 1 to 20.
    Rate(u8),
    /// The client has the state of this tick.
    Acknowledge(Tick),
    /// The keys that the player holds, and the newest tick that it has.
    Keys(client::Input),
    /// The client has lost its base, and asks for a full state.
    Resync,
    /// The client asks for the players of bodies: slots and generations.
    Who(&'a [[u8; 3]]),
    /// The client presents a resume token, or asks for one if the text is empty.
    Resume(&'a str),
}

/// Why a message has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is not valid JSON.
    InvalidJson,
    /// Its type, or a value in it, is unknown.
    Unknown,
    /// A move without a valid position.
    BadPosition,
    /// It has binary data, which the game does not accept.
    Binary,
    /// Too many messages.
    Rate,
    /// The game denies the command.
    Denied(Denied),
}

impl Rejection {
    /// Whether the message itself is wrong.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(self, Rejection::Rate | Rejection::Denied(_))
    }
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Rejection {
        Rejection::Denied(denied)
    }
}

/// The body at an index, as it is written.
fn row<'a>(snapshot: &Snapshot<'a>, index: usize) -> Row<'a> {
    let body = &snapshot.bodies[index];
    Row {
        id: body.id.0,
        x: body.at.x,
        y: body.at.y,
        color: body.color,
        name: body.name.as_deref(),
        values: snapshot.row(index),
    }
}

/// The declared fields that are part of a kind of message.
fn columns(rules: &Rules, part: Detail) -> Columns {
    let fields = rules.fields.iter().enumerate();
    let shown = fields.filter(|(_, field)| field.is_public_in(part));
    Columns::new(shown.map(|(index, field)| (index, field.name, form(field.width, field.words))))
}

/// How the values of a field are written.
fn form(width: Width, words: &'static [&'static str]) -> Form {
    match (words, width) {
        ([], Width::U32) => Form::Unsigned,
        ([], Width::U8 | Width::U16 | Width::I32) => Form::Signed,
        (words, _) => Form::Words(words),
    }
}

/// A value of a field as it is written.
fn written(value: i32, form: Form) -> Value<'static> {
    match form {
        Form::Signed => Value::Number(value.into()),
        Form::Unsigned => Value::Number((value as u32).into()),
        Form::Words(words) => Value::Word(words[value as usize]),
    }
}

/// The declared fields of the room.
fn room_fields<'a>(
    snapshot: &Snapshot<'a>,
) -> impl Iterator<Item = (&'static str, Value<'static>)> + 'a {
    let fields = snapshot.rules.room_fields.iter().zip(snapshot.room);
    fields.map(|(field, value)| (field.name, written(*value, form(field.width, &[]))))
}

/// The declared fields of the body at an index that only its own player receives.
fn owner_fields<'a>(
    snapshot: &Snapshot<'a>,
    index: usize,
) -> impl Iterator<Item = (&'static str, Value<'static>)> + 'a {
    let fields = snapshot.rules.fields.iter().zip(snapshot.row(index));
    let own = fields.filter(|(field, _)| field.audience == Audience::Owner);
    own.map(|(field, value)| (field.name, written(*value, form(field.width, field.words))))
}

/// The numbers of a world's rules.
fn rules_data(world: &World) -> RulesData<'static> {
    let (rules, ground) = (world.rules(), world.ground());
    let sides = |rect: Rect| [rect.left, rect.top, rect.right, rect.bottom];
    RulesData {
        name: rules.name,
        map: sides(ground.map),
        walls: sides(ground.walls),
        spawn: sides(ground.spawn),
        step: rules.step,
        tick_ms: TICK_MS,
        moves_saved: world.moves_saved_max(),
        numbers: rules.numbers,
    }
}

/// A command of the game's own by its name, if the rules have one whose numbers can be read.
fn own_command(
    rules: &Rules,
    name: &str,
    read: impl FnOnce(&[&str]) -> Option<[i32; ARGUMENTS_MAX]>,
) -> Option<Command> {
    let kind = rules.commands.iter().position(|command| command.name == name)?;
    let arguments = read(rules.commands[kind].arguments)?;
    Some(Command::Own { kind: kind as u8, arguments })
}
