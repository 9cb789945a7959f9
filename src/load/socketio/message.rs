//! Decodes Socket.IO packets from the server with as little work as possible.
//!
//! `tracker` calls it for every packet. In a full room nearly all packets are moves of others:
//! those are recognized by their first bytes, and the player by the bytes after them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::codec::number::Whole;
use crate::load::loss::Loss;
use crate::socketio::packet::{self, Kind, Packet};

/// A decoded packet from the server.
#[derive(Debug, PartialEq)]
pub enum Message<'a> {
    /// An event: its name, and its argument with all that follows.
    Event(&'a [u8], &'a [u8]),
    /// The client has joined the namespace; its socket id.
    Joined(String),
    /// The server refused the client, with this message.
    Refused(String),
    /// The server disconnected the client.
    Disconnected,
    /// An acknowledgement: its id, and the error if it is negative.
    Answer(u64, Option<String>),
    /// Anything else.
    Other,
}

/// Decodes a packet.
///
/// # Errors
/// [`Loss::Protocol`] for an invalid packet.
pub fn decode(text: &str) -> Result<Message<'_>, Loss> {
    if let Some((name, argument)) = event(text.as_bytes()) {
        return Ok(Message::Event(name, argument));
    }
    let packet = Packet::decode(text).map_err(|_| Loss::Protocol("invalid Socket.IO packet"))?;
    if packet.header.namespace != "/" {
        return Ok(Message::Other);
    }
    let data = packet.data;
    Ok(match packet.header.kind {
        Kind::Connect => Message::Joined(text_field(data, "sid").unwrap_or_default()),
        Kind::ConnectError => {
            let message = text_field(data, "message");
            Message::Refused(message.unwrap_or_else(|| data.to_owned()))
        }
        Kind::Disconnect => Message::Disconnected,
        Kind::Ack => match packet.header.id {
            Some(id) => {
                Message::Answer(id, packet.elements.first().and_then(|one| refusal(one.get())))
            }
            None => Message::Other,
        },
        // An event with attachments, or in an unusual form.
        Kind::Event => match packet.elements[..] {
            [name, argument, ..] => {
                Message::Event(strip_quotes(name.get()), argument.get().as_bytes())
            }
            _ => Message::Other,
        },
    })
}

/// The name and the rest of an event without attachments in the main namespace.
fn event(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let list = text.strip_prefix(b"2")?;
    let digits = list.iter().position(|byte| !byte.is_ascii_digit())?;
    let rest = list[digits..].strip_prefix(b"[\"")?;
    let name_bytes = rest.iter().position(|byte| *byte == b'"' || *byte == b'\\')?;
    let (name, rest) = rest.split_at(name_bytes);
    let argument = rest.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b",")?;
    Some((name, argument.trim_ascii_start()))
}

fn strip_quotes(name: &str) -> &[u8] {
    name.trim_matches('"').as_bytes()
}

fn text_field(object: &str, name: &str) -> Option<String> {
    let object: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
        serde_json::from_str(object).ok()?;
    packet::string(object.get(name)?).map(Cow::into_owned)
}

/// The error in the first argument of a negative acknowledgement.
fn refusal(argument: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        ok: bool,
        #[serde(borrow, default)]
        error: Option<Cow<'a, str>>,
    }
    let fields: Fields = serde_json::from_str(argument).ok()?;
    let word = fields.error.unwrap_or(Cow::Borrowed("refused"));
    (!fields.ok).then(|| word.into_owned())
}

/// The argument of an event about a player.
#[derive(Debug, PartialEq, Deserialize)]
pub struct PlayerUpdate<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// Its position, if present.
    #[serde(default)]
    pub position: Option<Position>,
    /// Milliseconds until it respawns, if present.
    #[serde(default)]
    pub respawn_ms: Option<Whole<u64>>,
}

/// A position. Other servers send fractions, or values below 0.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Position {
    /// Map units from the left.
    pub x: f64,
    /// Map units from the top.
    pub y: f64,
}

/// The id of a player, prepared for searches.
#[derive(Debug)]
pub struct PlayerId {
    name: String,
    /// The id in JSON, without the first quote.
    quoted: Vec<u8>,
}

impl PlayerId {
    /// Creates it from an id. An id with characters that JSON escapes is never found.
    #[must_use]
    pub fn new(name: String) -> PlayerId {
        let quoted = format!("{name}\"").into_bytes();
        PlayerId { name, quoted }
    }

    /// Decodes the argument of an event if it is about this player.
    #[must_use]
    pub fn update_in<'a>(&self, argument: &'a [u8]) -> Option<PlayerUpdate<'a>> {
        match argument.strip_prefix(br#"{"id":""#) {
            Some(rest) if !rest.starts_with(&self.quoted) => return None,
            _ => {}
        }
        let mut values = serde_json::Deserializer::from_slice(argument).into_iter::<PlayerUpdate>();
        values.next()?.ok().filter(|update| update.id == self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_recognized_by_their_first_bytes() {
        let moved = r#"2["player_moved",{"id":"7","position":{"x":50,"y":1.5,"hp":90}}]"#;
        let Ok(Message::Event(name, argument)) = decode(moved) else { panic!() };
        assert_eq!(name, b"player_moved");
        let place = |name: &str| PlayerId::new(name.to_owned()).update_in(argument)?.position;
        assert_eq!(place("7"), Some(Position { x: 50.0, y: 1.5 }));
        assert_eq!((place("77"), place(""), place("x")), (None, None, None));

        for text in [
            r#"2["player_killed", {"respawn_ms": 3000, "by":"1", "id" : "7"}]"#,
            r#"212["player_killed" ,{"id":"7","respawn_ms":3000.0},1]"#,
            r#"2[ "player_killed", {"id":"7" ,"respawn_ms":3000}]"#,
        ] {
            let Ok(Message::Event(name, argument)) = decode(text) else { panic!("{text}") };
            let update = PlayerId::new("7".to_owned()).update_in(argument).unwrap();
            assert_eq!(
                (name, update.respawn_ms),
                (&b"player_killed"[..], Some(Whole(3000))),
                "{text}"
            );
        }
        assert_eq!(decode(r#"2["pong"]"#), Ok(Message::Other));
        assert_eq!(decode(r#"2["pong",{"id":7}]"#), Ok(Message::Event(b"pong", br#"{"id":7}]"#)));
        assert_eq!(PlayerId::new("7".to_owned()).update_in(br#"{"id":7}]"#), None);
    }

    #[test]
    fn other_packets_are_not_events() {
        let ok = |text| decode(text).unwrap();
        assert_eq!(ok(r#"0{"sid":"a-B"}"#), Message::Joined("a-B".to_owned()));
        assert_eq!(
            ok(r#"4{"message":"full","data":{"retry_ms":5}}"#),
            Message::Refused("full".into())
        );
        assert_eq!(ok(r#"4"no""#), Message::Refused("\"no\"".to_owned()));
        assert_eq!(ok("1"), Message::Disconnected);
        assert_eq!(ok(r#"312[{"ok":true}]"#), Message::Answer(12, None));
        assert_eq!(ok("312[]"), Message::Answer(12, None));
        let refused = Message::Answer(3, Some("cooldown".to_owned()));
        assert_eq!(ok(r#"33[{"ok":false,"error":"cooldown"}]"#), refused);
        assert_eq!(ok(r#"33[{"ok":false}]"#), Message::Answer(3, Some("refused".to_owned())));
        assert_eq!(ok(r#"2/x,["player_moved",{}]"#), Message::Other);
        for text in ["", "9", "2{}", "2[", "0[]"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
