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

    /// The text of a packet with attachments whose arguments are left out: a few bytes, as a client
    /// may take its time to send the attachments. A long name is left out, too.
    ///
    /// # Errors
    /// The namespace is longer than any that exists, or a placeholder is invalid.
    fn without_arguments(&self) -> Result<String, BadPacket> {
        if self.header.namespace.len() > KEPT_BYTES_MAX {
            return Err(BadPacket);
        }
        if !self.data.is_empty() {
            placeholders::check(self.data, self.header.attachments)?;
        }
        let name = self.elements.first().map(|name| name.get());
        let name = match self.header.kind {
            Kind::Event => name.filter(|name| name.len() <= KEPT_BYTES_MAX).unwrap_or("\"\""),
            _ => "",
        };
        let mut text = Vec::new();
        self.header.encode(&mut text);
        text.extend_from_slice(format!("[{name}]").as_bytes());
        String::from_utf8(text).map_err(|_| BadPacket)
    }
}

/// The longest namespace and event name that are kept while attachments are missing.
const KEPT_BYTES_MAX: usize = 64;

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
    /// Bytes of the text and of the attachments that were discarded.
    pub discarded_bytes: usize,
}

impl Assembled {
    /// The total number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attached: usize = self.attachments.iter().map(Vec::len).sum();
        self.text.len() + attached + self.discarded_bytes
    }
}

/// Collects the binary attachments of packets.
#[derive(Debug, Default)]
pub struct Assembler {
    pending: Option<Box<Pending>>,
    /// Whether only the header and the name of a packet with attachments are kept.
    discards: bool,
}

#[derive(Debug)]
struct Pending {
    packet: Assembled,
    attachments: usize,
    bytes: usize,
}

impl Assembler {
    /// For an application that takes no attachments: of a packet that has some, only the header and
    /// the name are kept, and the attachments are empty.
    #[must_use]
    pub fn discarding() -> Assembler {
        Assembler { pending: None, discards: true }
    }

    /// Takes a text message; returns the packet if it has no attachments.
    ///
    /// # Errors
    /// An attachment was expected, or the packet declares too many attachments.
    pub fn text(&mut self, text: String) -> Result<Option<Assembled>, BadPacket> {
        if self.is_waiting() {
            return Err(BadPacket);
        }
        let has_attachments = matches!(text.as_bytes(), [b'5' | b'6', ..]);
        let decoded = has_attachments.then(|| Packet::decode(&text)).transpose()?;
        let Some(decoded) = decoded.filter(|packet| packet.header.attachments > 0) else {
            return Ok(Some(Assembled { text, attachments: Vec::new(), discarded_bytes: 0 }));
        };
        let attachments = decoded.header.attachments;
        let (text, discarded_bytes) = match self.discards {
            true => {
                let kept = decoded.without_arguments()?;
                let discarded_bytes = text.len().saturating_sub(kept.len());
                (kept, discarded_bytes)
            }
            false => (text, 0),
        };
        let packet = Assembled { text, attachments: Vec::new(), discarded_bytes };
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
        let (kept, discarded) =
            if self.discards { (Vec::new(), bytes) } else { (bytes, Vec::new()) };
        pending.packet.attachments.push(kept);
        pending.packet.discarded_bytes += discarded.len();
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
        self.pending.as_ref().map_or(0, |pending| {
            let Assembled { text, attachments, .. } = &pending.packet;
            let attached: usize = attachments.iter().map(Vec::capacity).sum();
            text.capacity() + attached + size_of::<Pending>()
        })
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

    // T34
    #[test]
    fn little_is_kept_of_a_packet_whose_attachments_are_missing() {
        let begin = |text: String| {
            let mut assembler = Assembler::discarding();
            assembler.text(text).map(|packet| (assembler, packet))
        };
        let long = "x".repeat(16_000);
        let place = r#"{"_placeholder":true,"num":0}"#;
        for (text, kept) in [
            (format!(r#"52-/custom,7["move",{place},"{long}"]"#), r#"52-/custom,7["move"]"#),
            (format!(r#"51-["{long}",{place}]"#), r#"51-[""]"#),
            (format!(r#"61-3[{place},"{long}"]"#), "61-3[]"),
        ] {
            let bytes = text.len();
            let (mut assembler, packet) = begin(text).unwrap();
            assert!(packet.is_none() && assembler.held_bytes() < 256);
            let mut last = assembler.binary(vec![0; 9_000], 16_384).unwrap();
            assert!(assembler.held_bytes() < 256);
            if last.is_none() {
                last = assembler.binary(vec![0; 1], 16_384).unwrap();
            }
            let last = last.unwrap();
            assert_eq!(last.text, kept);
            assert!(last.bytes() >= bytes + 9_000 && last.attachments.iter().all(Vec::is_empty));
        }
        assert_eq!(begin(format!(r#"51-/{long},["a",{place}]"#)).err(), Some(BadPacket));
        let beyond = r#"51-["a",{"_placeholder":true,"num":1}]"#;
        assert_eq!(begin(beyond.to_owned()).err(), Some(BadPacket));
    }

    // T35
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
