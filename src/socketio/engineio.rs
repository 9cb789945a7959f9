//! Engine.IO 4: packets, payloads of many packets, and what the handshake says.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;

use super::BadPacket;

/// What separates the packets of a payload.
const SEPARATOR: char = '\x1e';

/// Standard base64. Clients are known to leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One packet, as it comes from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: only servers send it.
    Open,
    /// `1`: the session ends.
    Close,
    /// `2`, and what is to be sent back with the pong.
    Ping(&'a str),
    /// `3`, and what the ping brought.
    Pong(&'a str),
    /// `4`: a text message.
    Text(&'a str),
    /// `b` and base64, or a binary WebSocket message: a binary message.
    Binary(Cow<'a, [u8]>),
    /// `5`: the WebSocket carries the session from here on.
    Upgrade,
    /// `6`: nothing.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads a packet that came as text.
    ///
    /// # Errors
    /// It is empty, of an unknown type, or its base64 is none.
    pub fn decode(text: &'a str) -> Result<Packet<'a>, BadPacket> {
        let kind = text.as_bytes().first().ok_or(BadPacket)?;
        Ok(match kind {
            b'0' => Packet::Open,
            b'1' => Packet::Close,
            b'2' => Packet::Ping(&text[1..]),
            b'3' => Packet::Pong(&text[1..]),
            b'4' => Packet::Text(&text[1..]),
            b'5' => Packet::Upgrade,
            b'6' => Packet::Noop,
            b'b' => Packet::Binary(Cow::Owned(decode_base64(&text[1..])?)),
            _ => return Err(BadPacket),
        })
    }
}

/// The packets of a payload, in order. An empty payload has one empty packet, which is none.
pub fn packets(payload: &str) -> impl Iterator<Item = Result<Packet<'_>, BadPacket>> {
    payload.split(SEPARATOR).map(Packet::decode)
}

/// How many packets a payload has.
#[must_use]
pub fn packet_count(payload: &str) -> usize {
    payload.matches(SEPARATOR).count() + 1
}

fn decode_base64(text: &str) -> Result<Vec<u8>, BadPacket> {
    // Some clients break its lines as mails do (socket.io-client-java).
    let text: Cow<str> = match text.contains(['\r', '\n']) {
        true => Cow::Owned(text.replace(['\r', '\n'], "")),
        false => Cow::Borrowed(text),
    };
    BASE64.decode(text.as_bytes()).map_err(|_| BadPacket)
}

/// A binary message as a packet of a payload.
#[must_use]
pub fn binary_packet(bytes: &[u8]) -> String {
    format!("b{}", BASE64.encode(bytes))
}

/// Appends a packet to a payload.
pub fn append(packet: &[u8], payload: &mut Vec<u8>) {
    if !payload.is_empty() {
        payload.push(SEPARATOR as u8);
    }
    payload.extend_from_slice(packet);
}

/// What a session's first packet tells the client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open<'a> {
    /// The session's secret name.
    pub sid: &'a str,
    /// The transports to which it may change.
    pub upgrades: &'a [&'a str],
    /// Time between a pong and the next ping, in milliseconds.
    pub ping_interval: u64,
    /// Time that a pong may take, in milliseconds.
    pub ping_timeout: u64,
    /// Bytes of one payload, or of one message.
    pub max_payload: usize,
}

impl Open<'_> {
    /// The whole packet.
    #[must_use]
    pub fn packet(&self) -> String {
        format!("0{}", serde_json::to_string(self).expect("text and numbers are always JSON"))
    }
}

/// Why a request is refused; the number is its code (docs/protocol.md, "The Socket.IO dialect").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `transport` is neither `polling` nor `websocket`.
    TransportUnknown = 0,
    /// There is no such session, or no longer.
    SessionUnknown = 1,
    /// A session begins with GET.
    BadMethod = 2,
    /// The request is not for the transport of its session, or breaks another rule.
    BadRequest = 3,
    /// The client may not come in.
    Forbidden = 4,
    /// `EIO` is not 4.
    VersionUnsupported = 5,
}

impl Refusal {
    /// What the client is told, as the reference server words it.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Refusal::TransportUnknown => "Transport unknown",
            Refusal::SessionUnknown => "Session ID unknown",
            Refusal::BadMethod => "Bad handshake method",
            Refusal::BadRequest => "Bad request",
            Refusal::Forbidden => "Forbidden",
            Refusal::VersionUnsupported => "Unsupported protocol version",
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(self) -> String {
        self.body_with(self.message())
    }

    /// The body of the answer, with a message of ours that needs no escapes.
    #[must_use]
    pub fn body_with(self, message: &str) -> String {
        format!("{{\"code\":{},\"message\":\"{message}\"}}", self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_every_kind() {
        let all: Vec<_> =
            packets("4hello\x1e2probe\x1e3\x1ebAQIDBA==\x1e1\x1e5\x1e6\x1e0{}").collect();
        let binary = Packet::Binary(vec![1, 2, 3, 4].into());
        let expected = [
            Packet::Text("hello"),
            Packet::Ping("probe"),
            Packet::Pong(""),
            binary,
            Packet::Close,
            Packet::Upgrade,
            Packet::Noop,
            Packet::Open,
        ];
        assert_eq!(all, expected.map(Ok));
        assert_eq!(packet_count("4a\x1e4b"), 2);
    }

    #[test]
    fn base64_as_real_clients_write_it() {
        for (text, bytes) in [
            ("bAQID\n", &[1, 2, 3][..]),
            ("bAQIDBA", &[1, 2, 3, 4]),
            ("bAQIDBA==", &[1, 2, 3, 4]),
            ("bAQ\r\nIDBA==\r\n", &[1, 2, 3, 4]),
            ("b", &[]),
            ("b4AAA", &[0xe0, 0, 0]),
        ] {
            assert_eq!(Packet::decode(text), Ok(Packet::Binary(bytes.into())), "{text:?}");
        }
        assert_eq!(binary_packet(&[1, 2, 3, 4]), "bAQIDBA==");
    }

    #[test]
    fn what_is_no_packet() {
        for text in ["", "abc", "9", "b!", "bA", "\u{e9}", "7"] {
            assert_eq!(Packet::decode(text), Err(BadPacket), "{text:?}");
        }
        for payload in ["", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"] {
            assert!(packets(payload).any(|packet| packet.is_err()), "{payload:?}");
        }
    }

    #[test]
    fn what_the_server_says() {
        let open = Open {
            sid: "s",
            upgrades: &["websocket"],
            ping_interval: 300,
            ping_timeout: 200,
            max_payload: 1_000_000,
        };
        assert_eq!(
            open.packet(),
            r#"0{"sid":"s","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#
        );
        assert_eq!(Refusal::SessionUnknown.body(), r#"{"code":1,"message":"Session ID unknown"}"#);
        let mut payload = Vec::new();
        append(b"4a", &mut payload);
        append(b"6", &mut payload);
        assert_eq!(payload, b"4a\x1e6");
    }
}
