//! Socket.IO packets and their binary attachments (socket.io-protocol 5).

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{BadPacket, placeholders};

/// Maximum number of attachments of a packet, as in the official parsers.
const ATTACHMENTS_MAX: usize = 10;

/// Maximum id of an acknowledgement: the limit of exact integers in JavaScript.
const ID_MAX: u64 = 1 << 53;

/// Event names that the official clients reserve.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// The type of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connects to a namespace; the response of the server contains the socket id.
    Connect,
    /// Disconnects from a namespace.
    Disconnect,
    /// An event.
    Event,
    /// The acknowledgement of an event.
    Ack,
    /// The refusal of a connection to a namespace.
    ConnectError,
}

/// The header of a packet: everything before its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The type.
    pub kind: Kind,
    /// The number of binary attachments that follow.
    pub attachments: usize,
    /// The namespace; `/` is the main one.
    pub namespace: &'a str,
    /// The id of an acknowledgement, or of an event that requests one.
    pub id: Option<u64>,
}

/// One packet.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header<'a>,
    /// The data, which are valid JSON of the shape of the type; empty if there are none.
    pub data: &'a str,
    /// The elements of a data array: of an event, its name and arguments.
    pub elements: Vec<&'a RawValue>,
}

impl<'a> Header<'a> {
    /// Creates the header of a packet without attachments.
    #[must_use]
    pub fn new(kind: Kind, namespace: &'a str, id: Option<u64>) -> Header<'a> {
        Header { kind, attachments: 0, namespace, id }
    }

    /// Appends the header as text.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let digit = match (self.kind, self.attachments) {
            (Kind::Connect, _) => b'0',
            (Kind::Disconnect, _) => b'1',
            (Kind::Event, 0) => b'2',
            (Kind::Ack, 0) => b'3',
            (Kind::ConnectError, _) => b'4',
            (Kind::Event, _) => b'5',
            (Kind::Ack, _) => b'6',
        };
        out.push(digit);
        if self.attachments > 0 {
            put_number(self.attachments, out);
            out.push(b'-');
        }
        if self.namespace != "/" {
            out.extend_from_slice(self.namespace.as_bytes());
            out.push(b',');
        }
        if let Some(id) = self.id {
            put_number(id, out);
        }
    }
}

fn put_number(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

impl<'a> Header<'a> {
    /// Decodes the text of a packet up to its data, which it returns, too.
    ///
    /// # Errors
    /// The type is unknown, or the header is malformed.
    pub fn decode(text: &'a str) -> Result<(Header<'a>, &'a str), BadPacket> {
        let (kind, is_binary) = match text.as_bytes().first() {
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'4') => (Kind::ConnectError, false),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            _ => return Err(BadPacket),
        };
        let mut rest = &text[1..];
        let mut attachments = 0;
        if is_binary {
            let (digits, behind) = rest.split_once('-').ok_or(BadPacket)?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            attachments = digits.parse().ok().filter(|_| is_number).ok_or(BadPacket)?;
            if !(1..=ATTACHMENTS_MAX).contains(&attachments) {
                return Err(BadPacket);
            }
            rest = behind;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let data_at = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(data_at);
        let id = match digits {
            "" => None,
            digits => Some(digits.parse().ok().filter(|id| *id <= ID_MAX).ok_or(BadPacket)?),
        };
        Ok((Header { kind, attachments, namespace, id }, rest))
    }
}

impl<'a> Packet<'a> {
    /// Decodes the text of a packet, without its attachments.
    ///
    /// # Errors
    /// The header is malformed, or the data do not have the shape of the type.
    pub fn decode(text: &'a str) -> Result<Packet<'a>, BadPacket> {
        let (header, rest) = Header::decode(text)?;
        let data = rest.trim_matches([' ', '\t', '\n', '\r']);
        let elements = match rest {
            "" => Vec::new(),
            _ => elements(header.kind, data).ok_or(BadPacket)?,
        };
        Ok(Packet { header, data, elements })
    }
}

/// The elements of data, if they are an array. `None` if they are invalid, or do not have the shape
/// of the type.
fn elements(kind: Kind, data: &str) -> Option<Vec<&RawValue>> {
    let first = data.as_bytes().first()?;
    match (kind, first) {
        (Kind::Event, b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(data).ok()?;
            let name = elements.first()?.get();
            let is_right = match name.as_bytes()[0] {
                b'"' => !is_reserved(name),
                b'-' | b'0'..=b'9' => true,
                _ => false,
            };
            is_right.then_some(elements)
        }
        (Kind::Ack, b'[') => serde_json::from_str(data).ok(),
        (Kind::Connect | Kind::ConnectError, b'{') | (Kind::ConnectError, b'"') => {
            serde_json::from_str::<IgnoredAny>(data).ok().map(|_| Vec::new())
        }
        _ => None,
    }
}

/// Whether the official clients reserve the name of an event, which is a JSON string.
fn is_reserved(name: &str) -> bool {
    match name.contains('\\') {
        true => text(name).is_some_and(|name| RESERVED.contains(&&*name)),
        false => RESERVED.contains(&&name[1..name.len() - 1]),
    }
}

/// Decodes a JSON string; `None` for other values, and for unpaired surrogates.
#[must_use]
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get() {
        // Valid JSON without escapes stands for itself.
        plain if plain.starts_with('"') && !plain.contains('\\') => {
            Some(Cow::Borrowed(&plain[1..plain.len() - 1]))
        }
        other => text(other),
    }
}

fn text(json: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text>(json).ok().map(|text| text.0)
}

/// A packet with its attachments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// The text.
    pub text: String,
    /// The binary attachments.
    pub attachments: Vec<Vec<u8>>,
}

impl Assembled {
    /// The total number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + self.attachments.iter().map(Vec::len).sum::<usize>()
    }
}

/// Collects the binary attachments of packets.
#[derive(Debug, Default)]
pub struct Assembler {
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    packet: Assembled,
    attachments: usize,
    bytes: usize,
}

impl Assembler {
    /// Takes a text message; returns the packet if it has no attachments.
    ///
    /// # Errors
    /// An attachment was expected, or the packet declares too many attachments.
    pub fn text(&mut self, text: String) -> Result<Option<Assembled>, BadPacket> {
        if self.is_waiting() {
            return Err(BadPacket);
        }
        let attachments = match text.as_bytes() {
            [b'5' | b'6', ..] => Packet::decode(&text)?.header.attachments,
            _ => 0,
        };
        let packet = Assembled { text, attachments: Vec::new() };
        if attachments == 0 {
            return Ok(Some(packet));
        }
        self.pending = Some(Box::new(Pending { packet, attachments, bytes: 0 }));
        Ok(None)
    }

    /// Takes a binary message; returns the packet if this was its last attachment. All attachments
    /// of a packet together may have `bytes_max` bytes.
    ///
    /// # Errors
    /// No attachment was expected, the attachments are too large, or a placeholder is invalid.
    pub fn binary(
        &mut self,
        bytes: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Option<Assembled>, BadPacket> {
        let pending = self.pending.as_mut().ok_or(BadPacket)?;
        pending.bytes += bytes.len();
        if pending.bytes > bytes_max {
            return Err(BadPacket);
        }
        pending.packet.attachments.push(bytes);
        if pending.packet.attachments.len() < pending.attachments {
            return Ok(None);
        }
        let Some(pending) = self.pending.take() else { return Ok(None) };
        let data = Packet::decode(&pending.packet.text)?.data;
        if !data.is_empty() {
            placeholders::check(data, pending.attachments)?;
        }
        Ok(Some(pending.packet))
    }

    /// Bytes of memory that the packet takes which waits for attachments.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.packet.text.capacity() + pending.bytes)
    }

    /// Whether a packet waits for attachments.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a packet, written so that they can be compared.
    fn read(text: &str) -> Option<String> {
        let Packet { header, data, .. } = Packet::decode(text).ok()?;
        let Header { kind, attachments, namespace, id } = header;
        Some(format!("{kind:?} {attachments} {namespace} {id:?} {data}"))
    }

    #[test]
    fn packets_of_every_kind() {
        for (text, parts) in [
            ("0", "Connect 0 / None "),
            (r#"0{"token":"123"}"#, r#"Connect 0 / None {"token":"123"}"#),
            ("0/custom", "Connect 0 /custom None "),
            ("0/custom,", "Connect 0 /custom None "),
            ("0/custom?x=1,{}", "Connect 0 /custom?x=1 None {}"),
            ("1", "Disconnect 0 / None "),
            ("1/custom,", "Disconnect 0 /custom None "),
            (r#"2["a"]"#, r#"Event 0 / None ["a"]"#),
            (r#"20["a"]"#, r#"Event 0 / Some(0) ["a"]"#),
            (r#"2/n,456["a",1]"#, r#"Event 0 /n Some(456) ["a",1]"#),
            (r#"29007199254740992["a"]"#, r#"Event 0 / Some(9007199254740992) ["a"]"#),
            ("2[-1.5e3]", "Event 0 / None [-1.5e3]"),
            ("312[]", "Ack 0 / Some(12) []"),
            (r#"4{"message":"no"}"#, r#"ConnectError 0 / None {"message":"no"}"#),
            (r#"4"no""#, r#"ConnectError 0 / None "no""#),
            (
                r#"51-["a",{"_placeholder":true,"num":0}]"#,
                r#"Event 1 / None ["a",{"_placeholder":true,"num":0}]"#,
            ),
            ("610-/n,7[]", "Ack 10 /n Some(7) []"),
            ("2", "Event 0 / None "),
        ] {
            assert_eq!(read(text).as_deref(), Some(parts), "{text}");
        }
    }

    #[test]
    fn invalid_packets_are_rejected() {
        for text in [
            "",
            "7",
            "a",
            "\u{e9}",
            "0[]",
            "0\"a\"",
            "0null",
            "1{}",
            "1[]",
            "2{}",
            "2[]",
            "2[null]",
            "2[{}]",
            "2[true]",
            "2[\"connect\"]",
            "2[\"\\u0063onnect\"]",
            "2[\"disconnecting\"]",
            "2[\"a\"",
            "2[\"a\"]x",
            "2abc[\"a\"]",
            "2[\"a\",]",
            "3{}",
            "3\"a\"",
            "4[]",
            "5[\"a\"]",
            "5-[\"a\"]",
            "50-[\"a\"]",
            "511-[\"a\"]",
            "5x-[\"a\"]",
            "5+1-[\"a\"]",
            "51.0-[\"a\"]",
            "6[]",
            "29007199254740993[\"a\"]",
            "299999999999999999999[\"a\"]",
            "2[\"a\",\"\u{1e}\"]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn unusual_json_is_kept_as_received() {
        let deep = format!("2[\"a\",{}{}]", "[".repeat(5_000), "]".repeat(5_000));
        for text in [
            r#"2["a","\ud800"]"#,
            r#"2["\ud800"]"#,
            r#"2["a",1e400,12345678901234567890123]"#,
            r#"2["a",{"b":1,"a":2}]"#,
            &deep,
        ] {
            let packet = Packet::decode(text).expect("valid");
            assert_eq!(packet.data, &text[1..]);
        }
    }

    #[test]
    fn headers_round_trip() {
        for text in ["0", "1/n,", "2", "2/n,456", "30", "4/n,", "52-", "610-/n,7"] {
            let packet = Packet::decode(text).expect("valid");
            let mut out = Vec::new();
            packet.header.encode(&mut out);
            assert_eq!(str::from_utf8(&out), Ok(text));
        }
    }

    fn assemble(text: &str, attachments: &[&[u8]]) -> Result<Option<Assembled>, BadPacket> {
        let mut assembler = Assembler::default();
        let mut result = assembler.text(text.to_owned());
        for bytes in attachments {
            result = assembler.binary(bytes.to_vec(), 100);
        }
        result
    }

    #[test]
    fn attachments_match_their_placeholders() {
        let text = r#"52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        let packet = assemble(text, &[b"one", b"two"]).expect("valid").expect("complete");
        assert_eq!(packet.text, text);
        assert_eq!(packet.attachments, [b"one", b"two"]);
        assert_eq!(assemble("52-[\"a\"]", &[b"one"]), Ok(None));
    }

    #[test]
    fn invalid_attachments_are_rejected() {
        let text = r#"52-["a",{"_placeholder":true,"num":2}]"#;
        assert_eq!(assemble(text, &[b"one", b"two"]), Err(BadPacket));
        assert_eq!(assemble("52-[\"a\"]", &[&[0; 60], &[0; 60]]), Err(BadPacket));
        assert_eq!(assemble("2[\"a\"]", &[b"one"]), Err(BadPacket), "no attachment was expected");
        let mut assembler = Assembler::default();
        assert_eq!(assembler.text("51-[\"a\"]".into()), Ok(None));
        assert_eq!(assembler.text("2[\"a\"]".into()), Err(BadPacket), "an attachment was expected");
    }
}
