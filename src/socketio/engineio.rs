//! Engine.IO 4: packets, payloads of many packets, the handshake, and refusals.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;

use super::BadPacket;

/// Separates the packets of a payload.
pub const SEPARATOR: char = '\x1e';

/// Standard base64. Some clients omit the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: opens a session; sent by servers only.
    Open,
    /// `1`: closes the session.
    Close,
    /// `2`: a ping, with the data that the pong must return.
    Ping(&'a str),
    /// `3`: a pong, with the data of the ping.
    Pong(&'a str),
    /// `4`: a text message.
    Text(&'a str),
    /// A binary message: `b` and base64, or a binary WebSocket message.
    Binary(Cow<'a, [u8]>),
    /// `5`: completes the upgrade to WebSocket.
    Upgrade,
    /// `6`: no operation.
    Noop,
}

impl<'a> Packet<'a> {
    /// Decodes a text packet.
    ///
    /// # Errors
    /// The packet is empty, has an unknown type, or invalid base64.
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

/// The packets of a payload, encoded, in order. An empty payload has one packet, which is invalid.
pub fn split(payload: &str) -> impl Iterator<Item = &str> {
    payload.split(SEPARATOR)
}

/// Decodes the packets of a payload, in order.
pub fn packets(payload: &str) -> impl Iterator<Item = Result<Packet<'_>, BadPacket>> {
    split(payload).map(Packet::decode)
}

/// The number of packets in a payload.
#[must_use]
pub fn packet_count(payload: &str) -> usize {
    payload.matches(SEPARATOR).count() + 1
}

fn decode_base64(text: &str) -> Result<Vec<u8>, BadPacket> {
    // Some clients insert line breaks, as in MIME (socket.io-client-java).
    let text: Cow<str> = match text.contains(['\r', '\n']) {
        true => Cow::Owned(text.replace(['\r', '\n'], "")),
        false => Cow::Borrowed(text),
    };
    BASE64.decode(text.as_bytes()).map_err(|_| BadPacket)
}

/// Encodes a binary message as a packet of a payload.
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

/// The data of the packet that opens a session.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open<'a> {
    /// The session ID, which is secret.
    pub sid: &'a str,
    /// The transports to which the client may upgrade.
    pub upgrades: &'a [&'a str],
    /// Time from a pong to the next ping, in milliseconds.
    pub ping_interval: u64,
    /// Time to answer a ping, in milliseconds.
    pub ping_timeout: u64,
    /// Maximum bytes of a payload or message.
    pub max_payload: usize,
}

impl Open<'_> {
    /// Encodes the packet.
    #[must_use]
    pub fn packet(&self) -> String {
        format!("0{}", serde_json::to_string(self).expect("text and numbers are always JSON"))
    }
}

/// Why a request is refused. The value is the code (docs/protocol.md, "The Socket.IO dialect").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `transport` is neither `polling` nor `websocket`.
    TransportUnknown = 0,
    /// The session does not exist, or has ended.
    SessionUnknown = 1,
    /// A session must be opened with GET.
    BadMethod = 2,
    /// The request uses another transport than its session, or violates another rule.
    BadRequest = 3,
    /// The client is not allowed.
    Forbidden = 4,
    /// `EIO` is not 4.
    VersionUnsupported = 5,
}

impl Refusal {
    /// The message, as the reference server words it.
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

    /// The body of the response.
    #[must_use]
    pub fn body(self) -> String {
        self.body_with(self.message())
    }

    /// The body of the response with another message, which must not need JSON escapes.
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
    fn invalid_packets_are_rejected() {
        for text in ["", "abc", "9", "b!", "bA", "\u{e9}", "7"] {
            assert_eq!(Packet::decode(text), Err(BadPacket), "{text:?}");
        }
        for payload in ["", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"] {
            assert!(packets(payload).any(|packet| packet.is_err()), "{payload:?}");
        }
    }

    #[test]
    fn open_packets_refusals_and_payloads_are_exact() {
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
