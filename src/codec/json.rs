//! JSON text over a plain WebSocket (docs/protocol.md, "The JSON dialect").

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Malformed;
use super::number::{Whole, whole};
use super::row::{Columns, Line, Row};

/// A message from a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientMessage<'a> {
    /// `{"type":"move","direction":"UP"}`
    Move(Direction),
    /// `{"type":"attack"}`
    Attack,
    /// `{"type":"ping","t":N}`: the number as text, so that the pong returns exactly the same
    /// digits.
    Ping(&'a str),
    /// `{"type":"rate","hz":N}`: states per second, 1 to 20.
    Rate(u32),
    /// `{"type":"ack","tick":N}`: the tick of a state that the client has processed.
    Acknowledge(u32),
    /// `{"type":"resume","token":T}`: the token of a player whose client was lost, which is empty
    /// if the client only asks for one.
    Resume(&'a str),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `UP`: towards y = 0.
    Up,
    /// `DOWN`
    Down,
    /// `LEFT`: towards x = 0.
    Left,
    /// `RIGHT`
    Right,
}

impl Direction {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Up => "UP",
            Direction::Down => "DOWN",
            Direction::Left => "LEFT",
            Direction::Right => "RIGHT",
        }
    }

    fn from_name(name: &str) -> Option<Direction> {
        [Direction::Up, Direction::Down, Direction::Left, Direction::Right]
            .into_iter()
            .find(|direction| direction.name() == name)
    }
}

/// The fields of all client messages, not yet decoded: a value of the wrong type makes the message
/// unknown, not invalid JSON.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    direction: Option<&'a RawValue>,
    #[serde(borrow, default)]
    t: Option<&'a RawValue>,
    #[serde(borrow, default)]
    hz: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tick: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
}

impl<'a> ClientMessage<'a> {
    /// Decodes one message. Unknown fields are ignored.
    ///
    /// # Errors
    /// [`Malformed`] says whether the JSON or the content is wrong.
    pub fn decode(text: &'a [u8]) -> Result<ClientMessage<'a>, Malformed> {
        let is_object = text.trim_ascii_start().first() == Some(&b'{');
        if !is_object {
            return Err(match serde_json::from_slice::<IgnoredAny>(text) {
                Ok(_) => Malformed::Unknown,
                Err(_) => Malformed::InvalidJson,
            });
        }
        let fields: Fields = serde_json::from_slice(text).map_err(|_| Malformed::InvalidJson)?;
        let kind = value::<Text>(fields.kind);
        let known = match kind.as_ref().map(|text| &*text.0) {
            Some("move") => value::<Text>(fields.direction)
                .and_then(|name| Direction::from_name(&name.0))
                .map(ClientMessage::Move),
            Some("attack") => Some(ClientMessage::Attack),
            Some("ping") => fields
                .t
                .map(RawValue::get)
                .filter(|t| t.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
                .map(ClientMessage::Ping),
            Some("rate") => value(fields.hz)
                .map(|Whole(hz)| hz)
                .filter(|hz| (1..=crate::time::TICKS_PER_SECOND).contains(hz))
                .map(ClientMessage::Rate),
            Some("ack") => value(fields.tick).map(|Whole(tick)| ClientMessage::Acknowledge(tick)),
            Some("resume") => match fields.token {
                None => Some(ClientMessage::Resume("")),
                token => value(token).map(ClientMessage::Resume),
            },
            _ => None,
        };
        known.ok_or(Malformed::Unknown)
    }

    /// Appends the message as text, exactly as docs/protocol.md shows it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ClientMessage::Move(direction) => {
                write!(out, r#"{{"type":"move","direction":"{}"}}"#, direction.name())
            }
            ClientMessage::Attack => write!(out, r#"{{"type":"attack"}}"#),
            ClientMessage::Ping(t) => write!(out, r#"{{"type":"ping","t":{t}}}"#),
            ClientMessage::Rate(hz) => write!(out, r#"{{"type":"rate","hz":{hz}}}"#),
            ClientMessage::Acknowledge(tick) => write!(out, r#"{{"type":"ack","tick":{tick}}}"#),
            ClientMessage::Resume(token) => {
                write!(out, r#"{{"type":"resume","token":"{token}"}}"#)
            }
        }
        .expect("writing to memory cannot fail");
    }
}

/// A string that borrows if it has no escapes; serde always copies into a plain `Cow`.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn value<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// The first message to a client: its player and its room.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Init<'a> {
    /// The player id.
    #[serde(deserialize_with = "decimal")]
    pub id: u32,
    /// The name of the room.
    #[serde(default)]
    pub room: Cow<'a, str>,
    /// The name of the rules of the room.
    #[serde(default)]
    pub rules: Cow<'a, str>,
    /// No state of the room has more bytes.
    #[serde(default, deserialize_with = "whole")]
    pub state_bytes_max: u32,
}

/// One player in a state update.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct PlayerState<'a> {
    /// The player id.
    #[serde(deserialize_with = "decimal")]
    pub id: u32,
    /// Map units from the left.
    #[serde(deserialize_with = "whole")]
    pub x: u16,
    /// Map units from the top.
    #[serde(deserialize_with = "whole")]
    pub y: u16,
    /// `#rrggbb` on the wire.
    #[serde(deserialize_with = "hex_color")]
    pub color: u32,
    /// The combat state, if the rules have combat.
    #[serde(flatten)]
    pub combat: Option<CombatState>,
    /// The name of the player, if it has one.
    #[serde(default)]
    pub name: Option<Cow<'a, str>>,
}

/// The combat state of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct CombatState {
    /// Health; 0 if dead.
    #[serde(deserialize_with = "whole")]
    pub hp: u8,
    /// Number of kills.
    #[serde(deserialize_with = "whole")]
    pub kills: u32,
    /// Number of deaths.
    #[serde(deserialize_with = "whole")]
    pub deaths: u32,
    /// Milliseconds until it respawns; 0 if alive.
    #[serde(deserialize_with = "whole")]
    pub respawn_ms: u64,
}

/// A message from a server, as a client decodes it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// The first message.
    #[serde(borrow)]
    Init(Init<'a>),
    /// The full state of the room.
    StateUpdate {
        /// All players in the room, in the order of their ids.
        #[serde(borrow)]
        players: Vec<PlayerState<'a>>,
        /// The tick of the room.
        #[serde(default, deserialize_with = "whole")]
        tick: u32,
    },
    /// The response to a ping.
    Pong {
        /// The number from the ping.
        t: serde_json::Number,
        /// The tick of the room.
        #[serde(default, deserialize_with = "whole")]
        tick: u32,
    },
}

/// The step number and the clock of the server at one moment. A late tick is made up for or
/// dropped, so the step number is not a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The tick of the room.
    pub tick: u32,
    /// Milliseconds since the server started.
    pub time_ms: u64,
}

/// What an `init` message says beyond [`Init`].
#[derive(Clone, Copy, Debug)]
pub struct InitDetails<'a> {
    /// When the player joined.
    pub clock: Clock,
    /// Milliseconds without a message after which the server closes the connection.
    pub silence_ms: u64,
    /// The resume token, and the seconds after a loss in which it is valid.
    pub token: Option<(&'a str, u32)>,
    /// The numbers of the room's rules.
    pub rules: RulesData<'a>,
}

/// Appends an `init` message.
pub fn encode_init(init: &Init, details: Option<&InitDetails>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"init","id":""#);
    put_decimal(init.id, out);
    out.extend_from_slice(br#"","room":"#);
    write_json(&init.room, out);
    out.extend_from_slice(br#","rules":"#);
    write_json(&init.rules, out);
    out.extend_from_slice(br#","state_bytes_max":"#);
    put_decimal(init.state_bytes_max, out);
    if let Some(details) = details {
        let InitDetails { clock: Clock { tick, time_ms }, silence_ms, token, rules } = details;
        write!(out, r#","tick":{tick},"time_ms":{time_ms},"silence_ms":{silence_ms}"#)
            .expect("writing to memory cannot fail");
        if let Some((token, resume_s)) = token {
            write!(out, r#","token":"{token}","resume_s":{resume_s}"#)
                .expect("writing to memory cannot fail");
        }
        out.extend_from_slice(br#","rules_data":"#);
        encode_rules(rules, out);
    }
    out.push(b'}');
}

/// The numbers of a room's rules. A rectangle is left, top, right and bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesData<'a> {
    /// The name of the rules.
    pub name: &'a str,
    /// What a page draws.
    pub map: [u16; 4],
    /// Where a player may be.
    pub walls: [u16; 4],
    /// Where a player may be put.
    pub spawn: [u16; 4],
    /// How far one move goes at most, in x and in y.
    pub step: u16,
    /// The length of a tick, in milliseconds.
    pub tick_ms: u64,
    /// Moves that a player may save.
    pub moves_saved: u8,
    /// The numbers of the game, by name.
    pub numbers: &'a [(&'a str, i32)],
}

/// Appends the numbers of a room's rules as one object.
pub fn encode_rules(rules: &RulesData, out: &mut Vec<u8>) {
    let RulesData { name, map, walls, spawn, step, tick_ms, moves_saved, numbers } = rules;
    out.extend_from_slice(br#"{"name":"#);
    write_json(name, out);
    for (name, rect) in [("map", map), ("walls", walls), ("spawn", spawn)] {
        let [left, top, right, bottom] = rect;
        write!(out, r#","{name}":[{left},{top},{right},{bottom}]"#)
            .expect("writing to memory cannot fail");
    }
    write!(out, r#","step":{step},"tick_ms":{tick_ms},"moves_saved":{moves_saved}"#)
        .expect("writing to memory cannot fail");
    for (name, number) in *numbers {
        put_member(name, Value::Number((*number).into()), out);
    }
    out.push(b'}');
}

/// The value of a member that a game has declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A player's number, written as a string: its id. 0 names none, and is written as `null`.
    Player(i64),
    /// A number.
    Number(i64),
    /// A word of plain characters, written as a string.
    Word(&'a str),
}

/// Appends a `pong` message; `t` is a JSON number.
pub fn encode_pong(t: &str, Clock { tick, time_ms }: Clock, out: &mut Vec<u8>) {
    write!(out, r#"{{"type":"pong","t":{t},"tick":{tick},"time_ms":{time_ms}}}"#)
        .expect("writing to memory cannot fail");
}

/// Appends a `notice` message: a text of the operator.
pub fn encode_notice(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"notice","text":"#);
    serde_json::to_writer(&mut *out, text).expect("writing to memory cannot fail");
    out.push(b'}');
}

/// Appends a `state_update` message; `room` are the fields that the game adds to the room. It is
/// encoded for every room on every tick, so it is written by hand and allocates nothing but the
/// growth of `out`.
pub fn encode_state<'a, 'b>(
    columns: &Columns,
    rows: impl Iterator<Item = Row<'a>>,
    room: impl Iterator<Item = (&'b str, Value<'b>)>,
    tick: u32,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":"state_update","players":["#);
    let mut line = Line::new();
    let mut is_first = true;
    for row in rows {
        line.clear();
        if !std::mem::take(&mut is_first) {
            line.put(b",");
        }
        encode_row(&row, columns, &mut line);
        out.extend_from_slice(line.bytes());
        if let Some(name) = row.name {
            // A name may need escapes: it is inserted before the last brace.
            out.pop();
            out.extend_from_slice(br#","name":"#);
            write_json(&name, out);
            out.push(b'}');
        }
    }
    out.extend_from_slice(br#"],"tick":"#);
    put_decimal(tick, out);
    let mut room = room.peekable();
    if room.peek().is_some() {
        out.extend_from_slice(br#","room":"#);
        encode_members(room, out);
    }
    out.push(b'}');
}

/// Writes a player without its name.
fn encode_row(row: &Row, columns: &Columns, line: &mut Line) {
    line.put(br#"{"id":""#);
    line.put_number(row.id);
    line.put(br#"","x":"#);
    line.put_number(row.x.into());
    line.put(br#","y":"#);
    line.put_number(row.y.into());
    line.put(br##","color":"#"##);
    line.put_color(row.color);
    line.put(b"\"");
    line.put_columns(columns, row.values);
    line.put(b"}");
}

/// Appends the owner's own fields of a body, as a message.
pub fn encode_own<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"own""#);
    for (name, value) in fields {
        put_member(name, value, out);
    }
    out.push(b'}');
}

/// Appends an object.
pub(super) fn encode_members<'a>(
    members: impl Iterator<Item = (&'a str, Value<'a>)>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    for (name, value) in members {
        put_member(name, value, out);
    }
    if out.len() == start {
        out.push(b'{');
    } else {
        out[start] = b'{';
    }
    out.push(b'}');
}

/// Appends `,"name":value`; the name is one of plain characters.
fn put_member(name: &str, value: Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Value::Player(0) => out.extend_from_slice(b"null"),
        Value::Player(id) => {
            out.push(b'"');
            put_decimal(id, out);
            out.push(b'"');
        }
        Value::Number(number) => put_decimal(number, out),
        Value::Word(word) => {
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
        }
    }
}

/// The whole numbers of an object by their names, in order. Unused ones are 0. `None` if it is
/// not an object, or if one of them is missing or not an `i32`.
#[must_use]
pub fn integers<const N: usize>(object: &[u8], names: &[&str]) -> Option<[i32; N]> {
    let mut numbers = [0; N];
    if !names.is_empty() {
        let fields: BTreeMap<Cow<str>, &RawValue> = serde_json::from_slice(object).ok()?;
        for (number, name) in numbers.iter_mut().zip(names) {
            Whole(*number) = value(fields.get(*name).copied())?;
        }
    }
    Some(numbers)
}

/// The type of a message that [`ClientMessage::decode`] does not know.
#[must_use]
pub fn kind(text: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
    }
    let is_object = text.trim_ascii_start().first() == Some(&b'{');
    let kind: Kind = is_object.then(|| serde_json::from_slice(text).ok()).flatten()?;
    Some(kind.kind.0)
}

pub(super) fn put_decimal(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

pub(super) fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("these types always serialize");
}

/// A player id, which is a decimal string on the wire.
fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// A colour, which is `#rrggbb` on the wire.
fn hex_color<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
    digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or_else(|| serde::de::Error::custom("expected a colour as # and six hex digits"))
}

#[cfg(test)]
mod tests {
    use super::super::row::Form;
    use super::*;

    fn decode(text: &str) -> Result<ClientMessage<'_>, Malformed> {
        ClientMessage::decode(text.as_bytes())
    }

    #[test]
    fn client_messages_round_trip() {
        let said = [
            ClientMessage::Move(Direction::Up),
            ClientMessage::Move(Direction::Left),
            ClientMessage::Attack,
            ClientMessage::Ping("12"),
            ClientMessage::Ping("-1.50e+400"),
            ClientMessage::Rate(20),
            ClientMessage::Acknowledge(u32::MAX),
        ];
        for message in said {
            let mut text = Vec::new();
            message.encode(&mut text);
            assert_eq!(ClientMessage::decode(&text), Ok(message));
        }
        let mut text = Vec::new();
        ClientMessage::Move(Direction::Right).encode(&mut text);
        assert_eq!(text, br#"{"type":"move","direction":"RIGHT"}"#);
    }

    #[test]
    fn field_order_spaces_and_extra_fields_do_not_matter() {
        let moved = Ok(ClientMessage::Move(Direction::Down));
        assert_eq!(decode(r#" { "direction" : "DOWN" , "x": [{}], "type":"move" } "#), moved);
        assert_eq!(decode(r#"{"type":"mov\u0065","direction":"DO\u0057N"}"#), moved);
        assert_eq!(decode(r#"{"type":"move","direction":"DOWN","t":"no number"}"#), moved);
        for hz in ["5", "5.0", "5e0", "0.5e1"] {
            let text = format!(r#"{{"type":"rate","hz":{hz}}}"#);
            assert_eq!(decode(&text), Ok(ClientMessage::Rate(5)), "{hz}");
        }
    }

    // T63
    #[test]
    fn invalid_json_and_unknown_messages_are_distinguished() {
        let deep = "[".repeat(2_000);
        let deep_field = format!(r#"{{"type":"move","direction":{deep}"#);
        for text in [
            "",
            "hello",
            "{",
            r#"{"type":"move""#,
            "{'type':'move'}",
            "\u{0}",
            &deep,
            &deep_field,
            r#"{"type":"move","type":"move"}"#,
        ] {
            assert_eq!(decode(text), Err(Malformed::InvalidJson), "{text}");
        }
        assert_eq!(ClientMessage::decode(b"{\"type\":\"\xff\"}"), Err(Malformed::InvalidJson));
        for text in [
            "1",
            "[]",
            r#"["move","UP"]"#,
            "null",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"fly"}"#,
            r#"{"type":"move"}"#,
            r#"{"type":"move","direction":"up"}"#,
            r#"{"type":"move","direction":{"x":1}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"ping","t":"1"}"#,
            r#"{"type":"rate","hz":0}"#,
            r#"{"type":"rate","hz":21}"#,
            r#"{"type":"rate","hz":1.5}"#,
            r#"{"type":"rate","hz":20.5}"#,
            r#"{"type":"rate","hz":-5.0}"#,
            r#"{"type":"rate","hz":5e300}"#,
            r#"{"type":"rate","hz":"5"}"#,
            r#"{"type":"ping","t":null}"#,
        ] {
            assert_eq!(decode(text), Err(Malformed::Unknown), "{text}");
        }
    }

    #[test]
    fn a_room_and_an_owner_have_fields_too() {
        let mut text = Vec::new();
        let room = [("round", Value::Number(3)), ("left_ms", Value::Number(-50))].into_iter();
        encode_state(&Columns::NONE, std::iter::empty(), room, 9, &mut text);
        let whole =
            br#"{"type":"state_update","players":[],"tick":9,"room":{"round":3,"left_ms":-50}}"#;
        assert_eq!(str::from_utf8(&text), str::from_utf8(whole));
        let mut text = Vec::new();
        encode_own([("ammo", Value::Number(3))].into_iter(), &mut text);
        assert_eq!(text, br#"{"type":"own","ammo":3}"#);
        let mut text = Vec::new();
        encode_members(std::iter::empty(), &mut text);
        assert_eq!(text, b"{}");
    }

    #[test]
    fn a_command_of_a_game_is_a_name_and_whole_numbers() {
        let text = br#" {"type":"thr\u006fw","power":-3,"x":[1],"angle":2147483647}"#;
        assert_eq!(kind(text).as_deref(), Some("throw"));
        assert_eq!(integers(text, &["angle", "power"]), Some([i32::MAX, -3, 0, 0]));
        assert_eq!(integers(text, &[]), Some([0; 4]));
        for wrong in ["x", "none", "type"] {
            assert_eq!(integers::<4>(text, &["power", wrong]), None, "{wrong}");
        }
        for one in [r#"{"n":1}"#, r#"{"n":1.0}"#, r#"{"n":1e0}"#, r#"{"n":0.1e1}"#] {
            assert_eq!(integers(one.as_bytes(), &["n"]), Some([1]), "{one}");
        }
        for odd in [r#"{"n":1.5}"#, r#"{"n":2147483648}"#, r#"{"n":"1"}"#, "[1]", "{", "null"] {
            assert_eq!(integers::<4>(odd.as_bytes(), &["n"]), None, "{odd}");
        }
        for other in [r#"{"type":7}"#, "{}", r#"["throw"]"#, ""] {
            assert_eq!(kind(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn server_messages_are_exact() {
        let mut text = Vec::new();
        let init = Init { id: 7, room: "dots".into(), rules: "dots".into(), state_bytes_max: 900 };
        encode_init(&init, None, &mut text);
        let expected =
            r#"{"type":"init","id":"7","room":"dots","rules":"dots","state_bytes_max":900}"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let rules = RulesData {
            name: "dots",
            map: [0, 0, 500, 400],
            walls: [10, 10, 490, 390],
            spawn: [50, 50, 450, 350],
            step: 10,
            tick_ms: 50,
            moves_saved: 4,
            numbers: &[("hp", 100), ("luck", -7)],
        };
        let mut text = Vec::new();
        let clock = Clock { tick: 8, time_ms: 421 };
        let details = InitDetails { clock, silence_ms: 12_000, token: Some(("0a", 30)), rules };
        encode_init(&init, Some(&details), &mut text);
        let text = String::from_utf8(text).unwrap();
        let expected = r#"{"type":"init","id":"7","room":"dots","rules":"dots","state_bytes_max":900,"tick":8,"time_ms":421,"silence_ms":12000,"token":"0a","resume_s":30,"rules_data":{"name":"dots","map":[0,0,500,400],"walls":[10,10,490,390],"spawn":[50,50,450,350],"step":10,"tick_ms":50,"moves_saved":4,"hp":100,"luck":-7}}"#;
        assert_eq!(text, expected);
        assert_eq!(
            serde_json::from_str::<ServerMessage>(&text).unwrap(),
            ServerMessage::Init(init)
        );

        let players = || {
            let plain =
                PlayerState { id: 7, x: 120, y: 300, color: 0xa1_b2_c3, combat: None, name: None };
            let name = Some("A\"b".into());
            let named = PlayerState { id: 8, x: 10, y: 490, color: 5, combat: None, name };
            let combat = Some(CombatState { hp: 0, kills: 2, deaths: 3, respawn_ms: 2950 });
            let name = Some("Bob".into());
            [plain, named, PlayerState { id: 9, x: 0, y: 100, color: 0, combat, name }]
        };
        let rows = [
            Row { id: 7, x: 120, y: 300, color: 0xa1_b2_c3, name: None, values: &[] },
            Row { id: 8, x: 10, y: 490, color: 5, name: Some("A\"b"), values: &[] },
        ];
        let fallen =
            Row { id: 9, x: 0, y: 100, color: 0, name: Some("Bob"), values: &[0, 2, 77, 3, 2950] };
        let names = [(0, "hp"), (1, "kills"), (3, "deaths"), (4, "respawn_ms")].into_iter();
        let columns = Columns::new(names.map(|(index, name)| (index, name, Form::Signed)));
        let none = || std::iter::empty();
        let mut text = Vec::new();
        encode_state(&Columns::NONE, rows.into_iter(), none(), 9, &mut text);
        let mut fight = Vec::new();
        encode_state(&columns, [fallen].into_iter(), none(), 9, &mut fight);
        // Both in one room.
        let (text, fight) = (String::from_utf8(text).unwrap(), String::from_utf8(fight).unwrap());
        let fallen = &fight[fight.find(r#"{"id""#).unwrap()..];
        let text = format!("{},{fallen}", text.strip_suffix(r#"],"tick":9}"#).unwrap());
        assert_eq!(
            text,
            r##"{"type":"state_update","players":[{"id":"7","x":120,"y":300,"color":"#a1b2c3"},{"id":"8","x":10,"y":490,"color":"#000005","name":"A\"b"},{"id":"9","x":0,"y":100,"color":"#000000","hp":0,"kills":2,"deaths":3,"respawn_ms":2950,"name":"Bob"}],"tick":9}"##
        );
        let decoded: ServerMessage = serde_json::from_str(&text).unwrap();
        assert_eq!(decoded, ServerMessage::StateUpdate { players: players().into(), tick: 9 });
    }
}
