//! The events of the Socket.IO dialect as JSON (docs/protocol.md, "The Socket.IO dialect").

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::json::{Clock, RulesData, Value, encode_members, encode_rules, put_decimal, write_json};
use super::number::whole;
use super::row::{Columns, Line, Row, put_open_position};
use crate::time::TICKS_PER_SECOND;

/// An event from a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientEvent {
    /// `move {x, y}`: the requested position in map units. Both are finite.
    Move {
        /// From the left.
        x: f64,
        /// From the top.
        y: f64,
    },
    /// `attack {}`
    Attack,
    /// `ping`: has no effect but the acknowledgement.
    Ping,
    /// `rate {hz}`: updates per second, 1 to 20.
    Rate(u32),
}

/// Why an event could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidEvent {
    /// A move without a valid position.
    BadPosition,
    /// The event, or its argument, is unknown.
    Unknown,
}

impl ClientEvent {
    /// Decodes an event from its name and arguments. Unknown fields and extra arguments are
    /// ignored.
    ///
    /// # Errors
    /// See [`InvalidEvent`].
    pub fn decode(name: &str, args: &[&RawValue]) -> Result<ClientEvent, InvalidEvent> {
        #[derive(Deserialize)]
        struct Place {
            x: f64,
            y: f64,
        }
        #[derive(Deserialize)]
        struct Rate {
            #[serde(deserialize_with = "whole")]
            hz: u32,
        }
        // serde would accept an array as the fields in order.
        let arg = args.first().map_or("null", |arg| arg.get());
        let arg = if arg.starts_with('{') { arg } else { "null" };
        match name {
            "move" => {
                let place: Place =
                    serde_json::from_str(arg).map_err(|_| InvalidEvent::BadPosition)?;
                Ok(ClientEvent::Move { x: place.x, y: place.y })
            }
            "attack" => Ok(ClientEvent::Attack),
            "ping" => Ok(ClientEvent::Ping),
            "rate" => serde_json::from_str(arg)
                .ok()
                .filter(|Rate { hz }| (1..=TICKS_PER_SECOND).contains(hz))
                .map(|Rate { hz }| ClientEvent::Rate(hz))
                .ok_or(InvalidEvent::Unknown),
            _ => Err(InvalidEvent::Unknown),
        }
    }

    /// Appends the name and the argument as an array.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ClientEvent::Move { x, y } => {
                #[derive(Serialize)]
                struct Place {
                    x: f64,
                    y: f64,
                }
                write_json(&("move", Place { x: *x, y: *y }), out);
            }
            ClientEvent::Attack => out.extend_from_slice(br#"["attack",{}]"#),
            ClientEvent::Ping => out.extend_from_slice(br#"["ping"]"#),
            ClientEvent::Rate(hz) => {
                out.extend_from_slice(br#"["rate",{"hz":"#);
                put_decimal(*hz, out);
                out.extend_from_slice(b"}]");
            }
        }
    }
}

/// The `auth` of a CONNECT packet; a field is `None` if it is missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// The requested room.
    pub room: Option<String>,
    /// The rules of a new room.
    pub rules: Option<String>,
    /// The name of the player.
    pub name: Option<String>,
    /// Whether the client acknowledges ticks, if it is asked to.
    pub acks: bool,
    /// A resume token, or anything else if it asks for one.
    pub resume: Option<String>,
    /// The private id that the official client has from an earlier CONNECT reply.
    pub pid: Option<String>,
    /// The offset of the last event that it received.
    pub offset: Option<String>,
}

impl Auth {
    /// Decodes it as a browser would: of several equal keys the last counts, and a lone surrogate
    /// is a replacement character. A value that is not a string is taken as its JSON text, except
    /// that a name is a string or a number, and `null` counts as missing. Anything
    /// but `true` for `acks` is false.
    #[must_use]
    pub fn decode(auth: &str) -> Auth {
        let fields: BTreeMap<LossyText, &RawValue> = serde_json::from_str(auth).unwrap_or_default();
        let text = |name: &str| {
            let written = fields.get(name)?.get();
            match written.as_bytes().first()? {
                b'"' => serde_json::from_str(written).ok().map(|text: LossyText| text.0),
                b'n' => None,
                b'-' | b'0'..=b'9' => Some(written.to_owned()),
                _ if name == "name" => None,
                _ => Some(written.to_owned()),
            }
        };
        let acks = fields.get("acks").is_some_and(|written| written.get() == "true");
        let (room, rules, name) = (text("room"), text("rules"), text("name"));
        let (resume, pid, offset) = (text("resume"), text("pid"), text("offset"));
        Auth { room, rules, name, acks, resume, pid, offset }
    }
}

/// A string that may have lone surrogates, which JSON allows and Rust does not.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LossyText(String);

impl Borrow<str> for LossyText {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for LossyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LossyText, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = LossyText;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<LossyText, E> {
                Ok(LossyText(String::from_utf8_lossy(bytes).into_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<LossyText, E> {
                Ok(LossyText(text.to_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// An event from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent<'a> {
    /// `new_player {id, position}`; `position` has name and colour, too.
    NewPlayer(Row<'a>),
    /// `player_moved {id, position}`
    Moved(Row<'a>),
    /// The first `player_moved` to a new player about itself; `position` has name and colour, too.
    Placed(Row<'a>),
    /// `player_respawned {id, position}`; `position` has name and colour, too.
    Respawned(Row<'a>),
    /// `player_left {id}`
    Left(u32),
    /// An event of the game's own, or declared fields.
    Own {
        /// Its name, of plain characters.
        name: &'a str,
        /// The members of its argument, by name.
        members: &'a [(&'a str, Value<'a>)],
    },
    /// `rules {...}`: the numbers of the room's rules.
    Rules(RulesData<'a>),
    /// `tick {tick}`, to be acknowledged.
    Tick(u32),
    /// `notice {text}`: a text of the operator.
    Notice(&'a str),
}

impl ServerEvent<'_> {
    /// Appends the name and the argument as an array; `columns` are the fields of the game in
    /// `position`. Written by hand, because it is encoded for each player on each tick.
    pub fn encode(&self, columns: &Columns, out: &mut Vec<u8>) {
        match self {
            ServerEvent::NewPlayer(row) => put_description("new_player", row, columns, out),
            ServerEvent::Respawned(row) => put_description("player_respawned", row, columns, out),
            ServerEvent::Placed(row) => put_description("player_moved", row, columns, out),
            ServerEvent::Moved(row) => {
                let mut line = Line::new();
                line.put(br#"["player_moved",{"id":""#);
                line.put_number(row.id);
                line.put(br#"","position":"#);
                put_open_position(row, columns, &mut line);
                line.put(b"}}]");
                out.extend_from_slice(line.bytes());
            }
            ServerEvent::Left(id) => {
                out.extend_from_slice(br#"["player_left",{"id":""#);
                put_decimal(*id, out);
                out.extend_from_slice(br#""}]"#);
            }
            ServerEvent::Own { name, members } => {
                put_name(name, out);
                encode_members(members.iter().copied(), out);
                out.push(b']');
            }
            ServerEvent::Tick(tick) => {
                out.extend_from_slice(br#"["tick",{"tick":"#);
                put_decimal(*tick, out);
                out.extend_from_slice(b"}]");
            }
            ServerEvent::Notice(text) => {
                out.extend_from_slice(br#"["notice",{"text":"#);
                write_json(text, out);
                out.extend_from_slice(b"}]");
            }
            ServerEvent::Rules(rules) => {
                put_name("rules", out);
                encode_rules(rules, out);
                out.push(b']');
            }
        }
    }
}

/// Appends `["name",`.
fn put_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",");
}

/// Appends a player with all fields of `position`. A player without a name is `Player N`.
fn put_description(event: &str, row: &Row, columns: &Columns, out: &mut Vec<u8>) {
    put_name(event, out);
    let mut line = Line::new();
    line.put(br#"{"id":""#);
    line.put_number(row.id);
    line.put(br#"","position":"#);
    put_open_position(row, columns, &mut line);
    line.put(br#","name":"#);
    out.extend_from_slice(line.bytes());
    match row.name {
        Some(name) => write_json(&name, out),
        None => {
            out.extend_from_slice(br#""Player "#);
            put_decimal(row.id, out);
            out.push(b'"');
        }
    }
    line.clear();
    line.put(br##","color":"#"##);
    line.put_color(row.color);
    line.put(br#""}}]"#);
    out.extend_from_slice(line.bytes());
}

/// Why an event had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The previous attack was too recent.
    Cooldown,
    /// The player is dead.
    Dead,
    /// Too many events.
    Rate,
    /// A move without a valid position.
    BadPosition,
    /// The rules have no combat.
    NoCombat,
    /// The event is unknown.
    UnknownEvent,
    /// The event has binary data, which the game does not accept.
    Binary,
}

impl Failure {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Failure::Cooldown => "cooldown",
            Failure::Dead => "dead",
            Failure::Rate => "rate",
            Failure::BadPosition => "bad_position",
            Failure::NoCombat => "no_combat",
            Failure::UnknownEvent => "unknown_event",
            Failure::Binary => "binary",
        }
    }
}

/// What an acknowledgement says about an event that was accepted.
#[derive(Clone, Copy, Debug)]
pub enum Done<'a> {
    /// Only that it was.
    Plain,
    /// The position after a move.
    Move(Row<'a>),
    /// The clock, in answer to a ping.
    Ping(Clock),
}

/// Appends the acknowledgement of an event, as an array.
pub fn encode_answer(answer: Result<Done, Failure>, columns: &Columns, out: &mut Vec<u8>) {
    match answer {
        Ok(Done::Ping(Clock { tick, time_ms })) => {
            write!(out, r#"[{{"ok":true,"tick":{tick},"time_ms":{time_ms}}}]"#)
                .expect("writing to memory cannot fail");
        }
        Ok(Done::Plain) => out.extend_from_slice(br#"[{"ok":true}]"#),
        Ok(Done::Move(row)) => {
            let mut line = Line::new();
            line.put(br#"[{"ok":true,"position":"#);
            put_open_position(&row, columns, &mut line);
            line.put(b"}}]");
            out.extend_from_slice(line.bytes());
        }
        Err(failure) => {
            out.extend_from_slice(br#"[{"ok":false,"error":""#);
            out.extend_from_slice(failure.name().as_bytes());
            out.extend_from_slice(br#""}]"#);
        }
    }
}

/// Appends the data of a `CONNECT_ERROR`: the message, and after how many milliseconds to retry.
pub fn encode_refusal(message: &str, retry_ms: Option<u64>, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Data {
        retry_ms: u64,
    }
    #[derive(Serialize)]
    struct Refusal<'a> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
    }
    write_json(&Refusal { message, data: retry_ms.map(|retry_ms| Data { retry_ms }) }, out);
}

#[cfg(test)]
mod tests {
    use super::super::row::Form;
    use super::*;

    fn decode(list: &str) -> Result<ClientEvent, InvalidEvent> {
        let list: Vec<&RawValue> = serde_json::from_str(list).expect("a list");
        let name: String = serde_json::from_str(list[0].get()).expect("a name");
        ClientEvent::decode(&name, &list[1..])
    }

    #[test]
    fn client_events_round_trip() {
        for event in [
            ClientEvent::Move { x: 5.0, y: -3.25 },
            ClientEvent::Attack,
            ClientEvent::Ping,
            ClientEvent::Rate(20),
        ] {
            let mut text = Vec::new();
            event.encode(&mut text);
            assert_eq!(decode(str::from_utf8(&text).unwrap()), Ok(event));
        }
        assert_eq!(decode(r#"["attack"]"#), Ok(ClientEvent::Attack));
        assert_eq!(decode(r#"["attack",null,7]"#), Ok(ClientEvent::Attack));
        let far = Ok(ClientEvent::Move { x: 1e300, y: -1e300 });
        assert_eq!(decode(r#"["move",{"y":-1e300,"z":[],"x":1e300}]"#), far);
    }

    #[test]
    fn invalid_rates_are_rejected() {
        for arg in [
            r#"{"hz":0}"#,
            r#"{"hz":21}"#,
            r#"{"hz":1.5}"#,
            r#"{"hz":5e300}"#,
            "[20]",
            "20",
            "null",
            "{}",
        ] {
            let list = format!(r#"["rate",{arg}]"#);
            assert_eq!(decode(&list), Err(InvalidEvent::Unknown), "{arg}");
        }
        assert_eq!(decode(r#"["rate",{"hz":1}]"#), Ok(ClientEvent::Rate(1)));
        for hz in ["5", "5.0", "5e0", "0.5e1"] {
            let list = format!(r#"["rate",{{"hz":{hz}}}]"#);
            assert_eq!(decode(&list), Ok(ClientEvent::Rate(5)), "{hz}");
        }
    }

    // T57
    #[test]
    fn invalid_positions_are_rejected() {
        for arg in [
            "",
            ",null",
            ",{}",
            r#",{"x":1}"#,
            r#",{"x":1,"y":null}"#,
            r#",{"x":1,"y":"2"}"#,
            r#",{"x":1e400,"y":2}"#,
            r#",{"x":1,"y":-1e400}"#,
            r#",{"x":true,"y":2}"#,
            ",[1,2]",
            ",1,2",
            ",\"NaN\"",
        ] {
            assert_eq!(
                decode(&format!("[\"move\"{arg}]")),
                Err(InvalidEvent::BadPosition),
                "{arg}"
            );
        }
    }

    #[test]
    fn unknown_events_are_rejected() {
        for list in [r#"["fly"]"#, r#"["rate"]"#, r#"["rate",{"hz":0}]"#, r#"["rate",{"hz":21}]"#] {
            assert_eq!(decode(list), Err(InvalidEvent::Unknown), "{list}");
        }
    }

    #[test]
    fn server_events_are_exact() {
        let row = Row {
            id: 7,
            x: 1,
            y: 2,
            color: 0xa1_b2_c3,
            name: Some("A\"b"),
            values: &[90, 3, 4, 5],
        };
        let moved = Row { x: 50, y: 100, values: &[0, 3, 4, 5], ..row };
        let numbers = Form::Signed;
        let place = Columns::new([(0, "hp", numbers)].into_iter());
        let all = [(0, "hp", numbers), (1, "kills", numbers), (2, "deaths", numbers)];
        let all = Columns::new(all.into_iter());
        let hit = [("id", Value::Player(7)), ("hp", Value::Number(80))];
        let kill = [
            ("id", Value::Player(7)),
            ("by", Value::Player(8)),
            ("respawn_ms", Value::Number(3000)),
        ];
        for (event, text) in [
            (
                ServerEvent::NewPlayer(row),
                r##"["new_player",{"id":"7","position":{"x":1,"y":2,"hp":90,"kills":3,"deaths":4,"name":"A\"b","color":"#a1b2c3"}}]"##,
            ),
            (
                ServerEvent::NewPlayer(Row { name: None, ..row }),
                r##"["new_player",{"id":"7","position":{"x":1,"y":2,"hp":90,"kills":3,"deaths":4,"name":"Player 7","color":"#a1b2c3"}}]"##,
            ),
            (
                ServerEvent::Placed(row),
                r##"["player_moved",{"id":"7","position":{"x":1,"y":2,"hp":90,"kills":3,"deaths":4,"name":"A\"b","color":"#a1b2c3"}}]"##,
            ),
            (
                ServerEvent::Moved(moved),
                r#"["player_moved",{"id":"7","position":{"x":50,"y":100,"hp":0}}]"#,
            ),
            (
                ServerEvent::Own { name: "player_attacked", members: &hit },
                r#"["player_attacked",{"id":"7","hp":80}]"#,
            ),
            (
                ServerEvent::Own { name: "player_killed", members: &kill },
                r#"["player_killed",{"id":"7","by":"8","respawn_ms":3000}]"#,
            ),
            (
                ServerEvent::Respawned(row),
                r##"["player_respawned",{"id":"7","position":{"x":1,"y":2,"hp":90,"kills":3,"deaths":4,"name":"A\"b","color":"#a1b2c3"}}]"##,
            ),
            (ServerEvent::Left(7), r#"["player_left",{"id":"7"}]"#),
            (ServerEvent::Own { name: "over", members: &[] }, r#"["over",{}]"#),
            (
                ServerEvent::Own {
                    name: "won",
                    members: &[
                        ("by", Value::Player(0)),
                        ("at", Value::Word("UP")),
                        ("n", Value::Number(-2)),
                    ],
                },
                r#"["won",{"by":null,"at":"UP","n":-2}]"#,
            ),
        ] {
            let columns = if matches!(event, ServerEvent::Moved(_)) { &place } else { &all };
            let mut out = Vec::new();
            event.encode(columns, &mut out);
            assert_eq!(str::from_utf8(&out), Ok(text));
        }
        for (answer, text) in [
            (Ok(Done::Plain), r#"[{"ok":true}]"#),
            (Ok(Done::Move(moved)), r#"[{"ok":true,"position":{"x":50,"y":100,"hp":0}}]"#),
            (
                Ok(Done::Ping(Clock { tick: 7, time_ms: 350 })),
                r#"[{"ok":true,"tick":7,"time_ms":350}]"#,
            ),
            (Err(Failure::Cooldown), r#"[{"ok":false,"error":"cooldown"}]"#),
        ] {
            let mut out = Vec::new();
            encode_answer(answer, &place, &mut out);
            assert_eq!(str::from_utf8(&out), Ok(text));
        }
    }

    #[test]
    fn auth_is_decoded() {
        let decode = Auth::decode;
        let all = decode(r#"{"token":"x","room":"b\u0061ttle","rules":"dots","name":"Ann"}"#);
        let expected = Auth {
            room: Some("battle".into()),
            rules: Some("dots".into()),
            name: Some("Ann".into()),
            ..Auth::default()
        };
        assert_eq!(all, expected);
        let resume = |written: &str| decode(&format!(r#"{{"resume":{written}}}"#)).resume;
        assert_eq!(resume("\"ab\"").as_deref(), Some("ab"));
        assert_eq!(resume("true").as_deref(), Some("true"));
        assert_eq!(resume("null"), None);
        assert!(decode(r#"{"acks": true}"#).acks);
        for other in ["false", "1", "\"true\"", "null", "[true]"] {
            assert!(!decode(&format!(r#"{{"acks":{other}}}"#)).acks, "{other}");
        }
        let some = |text: &str| Some(text.to_owned());
        let cut = decode(r#"{"name":"Ann\ud83d","room":"\ud800","rules":null}"#);
        assert!(cut.name.is_some_and(|name| name.starts_with("Ann\u{fffd}")));
        assert!(cut.room.is_some_and(|room| !room.is_empty()) && cut.rules.is_none());
        let twice = decode(r#"{"room":"a","name":"b","n\u0061me":"c","\ud800":1}"#);
        assert_eq!((twice.room, twice.name), (some("a"), some("c")));
        let odd = decode(r#"{"room":7,"rules":["dots"],"name":-1.50}"#);
        let (room, rules, name) = (some("7"), some("[\"dots\"]"), some("-1.50"));
        assert_eq!(odd, Auth { room, rules, name, ..Auth::default() });
        let back = decode(r#"{"pid":"0a","offset":"8.1"}"#);
        assert_eq!((back.pid, back.offset), (some("0a"), some("8.1")));
        for none in ["true", "{\"a\":1}", "null", "[\"x\"]"] {
            assert_eq!(decode(&format!(r#"{{"name":{none}}}"#)), Auth::default(), "{none}");
        }
        assert_eq!(decode("{}"), Auth::default());
    }
}
