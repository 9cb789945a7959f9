//! A message of the JSON dialect, compared with what `serde_json` reads without knowing it.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use skirmish::codec::Malformed;
use skirmish::codec::json::{ClientMessage, Direction};

/// The fields that messages have.
const FIELDS: [&str; 6] = ["type", "direction", "t", "hz", "tick", "token"];

/// What is accepted is valid JSON with the same meaning, and what is refused has none. Two cases
/// are stricter: a message with a field twice, and a token with escapes.
pub fn check(bytes: &[u8]) {
    // Text messages are valid UTF-8.
    let Ok(text) = str::from_utf8(bytes) else { return };
    let decoded = ClientMessage::decode(bytes);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(ClientMessage::decode(&again).as_ref(), Ok(message), "{text}");
    }
    assert_eq!(decoded, reference(text), "{text}");
}

fn reference(text: &str) -> Result<ClientMessage<'_>, Malformed> {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Err(Malformed::InvalidJson);
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Malformed::Unknown);
    }
    let members: Members = serde_json::from_str(text).map_err(|_| Malformed::InvalidJson)?;
    let is_twice = |name: &&str| members.0.iter().filter(|(key, _)| key == name).count() > 1;
    if FIELDS.iter().any(is_twice) {
        return Err(Malformed::InvalidJson);
    }
    meaning(&members).ok_or(Malformed::Unknown)
}

fn meaning<'a>(members: &Members<'a>) -> Option<ClientMessage<'a>> {
    let raw = |name: &str| members.0.iter().find(|(key, _)| key == name).map(|(_, raw)| raw.get());
    let value = |name: &str| serde_json::from_str::<Value>(raw(name)?).ok();
    let whole = |name: &str| match value(name)? {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0 && *n <= f64::from(u32::MAX))
        }
        Value::Number(number) => u32::try_from(number.as_u64()?).ok().map(f64::from),
        _ => None,
    };
    Some(match value("type")?.as_str()? {
        "move" => ClientMessage::Move(match value("direction")?.as_str()? {
            "UP" => Direction::Up,
            "DOWN" => Direction::Down,
            "LEFT" => Direction::Left,
            "RIGHT" => Direction::Right,
            _ => return None,
        }),
        "attack" => ClientMessage::Attack,
        // Also a number that is out of the range of `Value`: it comes back as text.
        "ping" => ClientMessage::Ping(raw("t").filter(|t| t.starts_with(NUMBER_STARTS))?),
        "rate" => ClientMessage::Rate(whole("hz").filter(|hz| (1.0..=20.0).contains(hz))? as u32),
        "ack" => ClientMessage::Acknowledge(whole("tick")? as u32),
        "resume" => match raw("token") {
            None => ClientMessage::Resume(""),
            Some(token) if token.contains('\\') => return None,
            Some(token) => ClientMessage::Resume(token.strip_prefix('"')?.strip_suffix('"')?),
        },
        _ => return None,
    })
}

const NUMBER_STARTS: [char; 11] = ['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/// The members of an object, in order, also those that are there twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Members<'a>, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        from.deserialize_map(Object).map(Members)
    }
}
