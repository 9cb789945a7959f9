//! JSON text over a plain WebSocket (docs/protocol.md, "The JSON dialect").

use std::borrow::Cow;
use std::io::Write;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Malformed;

/// A message from a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// `{"type":"move","direction":"UP"}`
    Move(Direction),
    /// `{"type":"attack"}`
    Attack,
    /// `{"type":"ping","t":N}`: the number as text, so that the pong returns exactly the same
    /// digits.
    Ping(Box<str>),
    /// `{"type":"rate","hz":N}`: states per second, 1 to 20.
    Rate(u32),
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
}

impl ClientMessage {
    /// Decodes one message. Unknown fields are ignored.
    ///
    /// # Errors
    /// [`Malformed`] says whether the JSON or the content is wrong.
    pub fn decode(text: &[u8]) -> Result<ClientMessage, Malformed> {
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
                .map(|t| ClientMessage::Ping(t.into())),
            Some("rate") => value::<u32>(fields.hz)
                .filter(|hz| (1..=crate::time::TICKS_PER_SECOND).contains(hz))
                .map(ClientMessage::Rate),
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
        }
        .expect("writing to memory cannot fail");
    }
}

/// A string that borrows if it has no escapes; serde always copies into a plain `Cow`.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

fn value<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// The first message to a client: its player and its room.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init<'a> {
    /// The player id.
    #[serde(with = "decimal")]
    pub id: u32,
    /// The name of the room.
    #[serde(default)]
    pub room: Cow<'a, str>,
    /// The name of the rules of the room.
    #[serde(default)]
    pub rules: Cow<'a, str>,
}

/// One player in a state update.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct PlayerState<'a> {
    /// The player id.
    #[serde(deserialize_with = "decimal::deserialize")]
    pub id: u32,
    /// Map units from the left.
    pub x: u16,
    /// Map units from the top.
    pub y: u16,
    /// `#rrggbb` on the wire.
    #[serde(deserialize_with = "hex_color::deserialize")]
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
    pub hp: u8,
    /// Number of kills.
    pub kills: u32,
    /// Number of deaths.
    pub deaths: u32,
    /// Milliseconds until it respawns; 0 if alive.
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
        #[serde(default)]
        tick: u32,
    },
    /// The response to a ping.
    Pong {
        /// The number from the ping.
        t: serde_json::Number,
        /// The tick of the room.
        #[serde(default)]
        tick: u32,
    },
}

/// Appends an `init` message.
pub fn encode_init(init: &Init, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Tagged<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        init: &'a Init<'a>,
    }
    write_json(&Tagged { kind: "init", init }, out);
}

/// Appends a `pong` message; `t` is a JSON number.
pub fn encode_pong(t: &str, tick: u32, out: &mut Vec<u8>) {
    write!(out, r#"{{"type":"pong","t":{t},"tick":{tick}}}"#)
        .expect("writing to memory cannot fail");
}

/// Appends a `state_update` message. It is encoded for every room on every tick, so it is written
/// by hand and allocates nothing but the growth of `out`.
pub fn encode_state<'a>(
    players: impl Iterator<Item = PlayerState<'a>>,
    tick: u32,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":"state_update","players":["#);
    for (index, player) in players.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode_player(&player, out);
    }
    out.extend_from_slice(br#"],"tick":"#);
    put_decimal(tick, out);
    out.push(b'}');
}

fn encode_player(player: &PlayerState, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"id":""#);
    put_decimal(player.id, out);
    out.extend_from_slice(br#"","x":"#);
    put_decimal(player.x, out);
    out.extend_from_slice(br#","y":"#);
    put_decimal(player.y, out);
    out.extend_from_slice(br##","color":"#"##);
    out.extend((0..6).rev().map(|place| HEX_DIGITS[(player.color >> (4 * place)) as usize & 0xf]));
    out.push(b'"');
    if let Some(combat) = &player.combat {
        out.extend_from_slice(br#","hp":"#);
        put_decimal(combat.hp, out);
        out.extend_from_slice(br#","kills":"#);
        put_decimal(combat.kills, out);
        out.extend_from_slice(br#","deaths":"#);
        put_decimal(combat.deaths, out);
        out.extend_from_slice(br#","respawn_ms":"#);
        put_decimal(combat.respawn_ms, out);
    }
    if let Some(name) = &player.name {
        out.extend_from_slice(br#","name":"#);
        write_json(name, out);
    }
    out.push(b'}');
}

const HEX_DIGITS: [u8; 16] = *b"0123456789abcdef";

pub(super) fn put_decimal(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

pub(super) fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("these types always serialize");
}

/// A player id, which is a decimal string on the wire.
pub(super) mod decimal {
    use super::{Cow, Deserialize, Serializer};

    pub fn serialize<S: Serializer>(id: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A colour, which is `#rrggbb` on the wire.
pub(super) mod hex_color {
    use super::{Cow, Deserialize, Serializer};

    pub fn serialize<S: Serializer>(color: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("#{color:06x}"))
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| serde::de::Error::custom("expected a colour as # and six hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<ClientMessage, Malformed> {
        ClientMessage::decode(text.as_bytes())
    }

    #[test]
    fn client_messages_round_trip() {
        let said = [
            ClientMessage::Move(Direction::Up),
            ClientMessage::Move(Direction::Left),
            ClientMessage::Attack,
            ClientMessage::Ping("12".into()),
            ClientMessage::Ping("-1.50e+400".into()),
            ClientMessage::Rate(20),
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
    }

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
            r#"{"type":"ping","t":null}"#,
        ] {
            assert_eq!(decode(text), Err(Malformed::Unknown), "{text}");
        }
    }

    #[test]
    fn server_messages_are_exact() {
        let mut text = Vec::new();
        let init = Init { id: 7, room: "dots".into(), rules: "dots".into() };
        encode_init(&init, &mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, r#"{"type":"init","id":"7","room":"dots","rules":"dots"}"#);
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
        let mut text = Vec::new();
        encode_state(players().into_iter(), 9, &mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            r##"{"type":"state_update","players":[{"id":"7","x":120,"y":300,"color":"#a1b2c3"},{"id":"8","x":10,"y":490,"color":"#000005","name":"A\"b"},{"id":"9","x":0,"y":100,"color":"#000000","hp":0,"kills":2,"deaths":3,"respawn_ms":2950,"name":"Bob"}],"tick":9}"##
        );
        let decoded: ServerMessage = serde_json::from_str(&text).unwrap();
        assert_eq!(decoded, ServerMessage::StateUpdate { players: players().into(), tick: 9 });
    }
}
