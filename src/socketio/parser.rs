//! Recognizes packets of other parsers than the default one (the option `parser` of the official
//! client), so that a client which uses one can be refused with a reason.

use std::borrow::Cow;

use serde::Deserialize;

use super::engineio::Packet;

/// A parser that this server does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForeignParser {
    /// `socket.io-msgpack-parser`: a packet is a map in `MessagePack`, in a binary message.
    MessagePack,
    /// `socket.io-json-parser`: a packet is a JSON object, in a text message.
    Json,
}

/// What a packet of a foreign parser has at least.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type")]
    _kind: u8,
    #[serde(borrow, rename = "nsp")]
    _namespace: Cow<'a, str>,
}

impl ForeignParser {
    /// The parser that has encoded a message; `None` for any other message.
    #[must_use]
    pub fn of(message: &Packet) -> Option<ForeignParser> {
        match message {
            // A map of at most 15 entries, or of a 16-bit number of them. The keys are short
            // strings: their length, then their bytes.
            Packet::Binary(bytes) => {
                let is_map = matches!(bytes.first(), Some(0x80..=0x8f | 0xde));
                let has = |key: &[u8]| bytes.windows(key.len()).any(|it| it == key);
                (is_map && has(b"\xa4type") && has(b"\xa3nsp")).then_some(Self::MessagePack)
            }
            Packet::Text(text) if text.starts_with('{') => {
                serde_json::from_str::<Fields>(text).is_ok().then_some(Self::Json)
            }
            _ => None,
        }
    }

    /// The name of the package.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            ForeignParser::MessagePack => "socket.io-msgpack-parser",
            ForeignParser::Json => "socket.io-json-parser",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_foreign_parsers() {
        // CONNECT as the official client 4.8.4 sends it, with the parsers 3.0.2 and 3.0.0.
        for connect in [
            &b"\x83\xa4type\0\xa3nsp\xa1/\xa4data\xd4\0\0"[..],
            b"\x83\xa4type\0\xa3nsp\xa1/\xa4data\x81\xa4room\xa1x",
            b"\x83\xa4type\0\xa4data\x81\xa5token\x01\xa3nsp\xa6/admin",
        ] {
            let message = Packet::Binary(connect.into());
            assert_eq!(ForeignParser::of(&message), Some(ForeignParser::MessagePack));
        }
        for connect in [
            r#"{"type":0,"nsp":"/"}"#,
            r#"{"type":0,"data":{"room":"x"},"nsp":"/"}"#,
            r#"{"type":0,"data":{},"nsp":"/\u0061"}"#,
        ] {
            assert_eq!(ForeignParser::of(&Packet::Text(connect)), Some(ForeignParser::Json));
        }
    }

    #[test]
    fn other_messages() {
        for text in ["0", r#"0{"type":0,"nsp":"/"}"#, "{}", "{", r#"{"type":"move","nsp":"/"}"#] {
            assert_eq!(ForeignParser::of(&Packet::Text(text)), None, "{text}");
        }
        for bytes in [&b""[..], b"\x83", b"\xa4type\xa3nsp", b"\x83type nsp", &[1, 2, 3]] {
            assert_eq!(ForeignParser::of(&Packet::Binary(bytes.into())), None, "{bytes:?}");
        }
    }
}
