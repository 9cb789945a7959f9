//! Socket.IO packets, their attachments, and the events in them.

use serde::de::IgnoredAny;
use serde_json::Value;
use skirmish::codec::events::{Auth, ClientEvent};
use skirmish::socketio::packet::{self, Assembler, Header, Kind, Packet};

/// Maximum bytes of attachments.
const BYTES_MAX: usize = 100;

/// Packets separated by 0x1e: a binary one begins with `b`.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    text.split('\x1e').for_each(decode);
    assemble(text);
}

/// An accepted packet is encoded as it was read, and its data is valid JSON.
fn decode(text: &str) {
    let Ok(packet) = Packet::decode(text) else { return };
    let mut again = Vec::new();
    packet.header.encode(&mut again);
    again.extend(packet.data.bytes());
    let again = String::from_utf8(again).expect("it was text");
    let packet_again = Packet::decode(&again).unwrap_or_else(|_| panic!("{text:?}: {again:?}"));
    assert_eq!(packet_again.header, packet.header, "{text:?}");
    assert_eq!(packet_again.data, packet.data, "{text:?}");
    let Header { kind, attachments, namespace, id } = packet.header;
    assert!(namespace.starts_with('/') && !namespace.contains(','), "{text:?}");
    assert!(attachments <= 10 && id.is_none_or(|id| id <= 1 << 53), "{text:?}");
    assert!(attachments == 0 || matches!(kind, Kind::Event | Kind::Ack), "{text:?}");
    let is_json = serde_json::from_str::<IgnoredAny>(packet.data).is_ok();
    assert!(is_json || packet.data.is_empty(), "{text:?}");
    // A value may also have an escape or a number that it cannot hold.
    if let Ok(value) = serde_json::from_str::<Value>(packet.data) {
        let is_right = match kind {
            Kind::Connect => value.is_object(),
            Kind::Disconnect => false,
            Kind::Event => value[0].is_string() || value[0].is_number(),
            Kind::Ack => value.is_array(),
            Kind::ConnectError => value.is_object() || value.is_string(),
        };
        assert!(is_right, "{text:?}");
        let count = value.as_array().map_or(0, Vec::len);
        assert_eq!(packet.elements.len(), count, "{text:?}");
        for (element, value) in packet.elements.iter().zip(value.as_array().into_iter().flatten()) {
            assert_eq!(serde_json::from_str::<Value>(element.get()).as_ref().ok(), Some(value));
            assert_eq!(packet::string(element).as_deref(), value.as_str(), "{text:?}");
        }
    }
    interpret(&packet);
}

/// What the game reads from it: positions are numbers, rates are in range, and encoding is stable.
fn interpret(packet: &Packet) {
    if packet.header.kind == Kind::Connect {
        let Auth { room, rules, name, .. } = Auth::decode(packet.data);
        let bytes_max = packet.data.len();
        assert!([room, rules, name].iter().flatten().all(|text| text.len() <= bytes_max));
    }
    let [name, args @ ..] = packet.elements.as_slice() else { return };
    let Some(name) = packet::string(name) else { return };
    let Ok(event) = ClientEvent::decode(&name, args) else { return };
    match event {
        ClientEvent::Move { x, y } => assert!(x.is_finite() && y.is_finite()),
        ClientEvent::Rate(hz) => assert!((1..=20).contains(&hz)),
        ClientEvent::Attack | ClientEvent::Ping => {}
    }
    let mut again = b"2".to_vec();
    event.encode(&mut again);
    let again = String::from_utf8(again).expect("text");
    let packet = Packet::decode(&again).expect("created by this test");
    let elements = &packet.elements;
    match (ClientEvent::decode(&name, &elements[1..]), event) {
        // The last digit of a number may be lost.
        (Ok(ClientEvent::Move { x, y }), ClientEvent::Move { x: was_x, y: was_y }) => {
            let is_near = |one: f64, other: f64| (one - other).abs() <= 1e-12 * other.abs();
            assert!(is_near(x, was_x) && is_near(y, was_y), "{again}");
        }
        (decoded, event) => assert_eq!(decoded, Ok(event), "{again}"),
    }
}

/// Each assembled packet has exactly its attachments, in order, and nothing else is kept.
fn assemble(parts: &str) {
    let mut assembler = Assembler::default();
    let (mut text, mut attachments) = (String::new(), Vec::new());
    for part in parts.split('\x1e') {
        let was_waiting = assembler.is_waiting();
        let binary = part.strip_prefix('b');
        let result = match binary {
            Some(bytes) => {
                attachments.push(bytes.as_bytes().to_vec());
                assembler.binary(bytes.as_bytes().to_vec(), BYTES_MAX)
            }
            None => {
                (text, attachments) = (part.to_owned(), Vec::new());
                assembler.text(text.clone())
            }
        };
        let Ok(result) = result else { return };
        assert_eq!(was_waiting, binary.is_some(), "only one kind may come next");
        assert_eq!(result.is_none(), assembler.is_waiting());
        let bytes: usize = attachments.iter().map(Vec::len).sum();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes in {attachments:?}");
        let Some(whole) = result else { continue };
        assert_eq!(whole.attachments, attachments, "{parts:?}");
        let Ok(packet) = Packet::decode(&text) else { continue };
        assert_eq!(packet.header.attachments, attachments.len(), "{parts:?}");
    }
}
