//! Fuzzers for Socket.IO packets: mutate valid packets and check the invariants of the result.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use skirmish::codec::events::{Auth, ClientEvent};
use skirmish::socketio::packet::{self, Assembler, Header, Kind, Packet};

use super::mutate::mutate;

const PACKETS: [&str; 14] = [
    "0",
    r#"0{"token":"123","room":"battle-1","name":"Ann"}"#,
    "0/custom,{}",
    "1/custom,",
    r#"2["move",{"x":12.5,"y":-3}]"#,
    r#"2/custom,456["attack",{}]"#,
    r#"29007199254740992["ping"]"#,
    r#"2["rate",{"hz":20},[[[{"deep":[1,2,3]}]]]]"#,
    "312[]",
    r#"4{"message":"no","data":[1]}"#,
    r#"51-["a",{"_placeholder":true,"num":0}]"#,
    r#"52-/custom,7["b",{"num":1,"_placeholder":true},{"x":{"_placeholder":true,"num":0}}]"#,
    r#"62-7[{"_placeholder":true,"num":1},"κόσμε \ud83d\ude00"]"#,
    r#"2["\u0063onnect\ud800",1e400,12345678901234567890123]"#,
];

const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "-",
    "/",
    "0",
    "5",
    "9007199254740993",
    "1e400",
    "\\ud800",
    "\u{1e}",
    "null",
    "\"_placeholder\":true",
    "\"num\":9",
    "[[[[[[[[",
    "]]]]]]]]",
    "\"disconnect\"",
    "\u{feff}",
    "é",
];

/// A packet, mutated or not.
pub fn packet(rng: &mut ChaCha8Rng) -> String {
    let packet = PACKETS[rng.random_range(0..PACKETS.len())].as_bytes();
    let bytes = mutate(packet, &PIECES.map(str::as_bytes), rng);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An accepted packet is encoded as it was read, and its data is valid JSON.
pub fn decode(rng: &mut ChaCha8Rng) {
    let text = packet(rng);
    let Ok(packet) = Packet::decode(&text) else { return };
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
    if let Ok(value) = serde_json::from_str::<Value>(packet.data) {
        let is_right = match kind {
            Kind::Connect => value.is_object(),
            Kind::Disconnect => false,
            Kind::Event => value[0].is_string() || value[0].is_number(),
            Kind::Ack => value.is_array(),
            Kind::ConnectError => value.is_object() || value.is_string(),
        };
        assert!(is_right, "{text:?}");
        let elements = &packet.elements;
        let same = value.as_array().map_or(0, Vec::len);
        assert!(kind == Kind::Connect || kind == Kind::ConnectError || elements.len() == same);
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

/// Packets and binary messages in any order: each assembled packet has exactly its attachments, in
/// order, and nothing else is kept.
pub fn assemble(rng: &mut ChaCha8Rng) {
    const BYTES_MAX: usize = 100;
    let mut assembler = Assembler::default();
    let (mut text, mut attachments): (String, Vec<Vec<u8>>) = Default::default();
    for _ in 0..rng.random_range(1..12) {
        let is_binary = rng.random_bool(if assembler.is_waiting() { 0.8 } else { 0.1 });
        let was_waiting = assembler.is_waiting();
        let result = if is_binary {
            let bytes = vec![rng.random(); [0, 1, 30, 60][rng.random_range(0..4)]];
            attachments.push(bytes.clone());
            assembler.binary(bytes, BYTES_MAX)
        } else {
            (text, attachments) = (packet(rng), Vec::new());
            assembler.text(text.clone())
        };
        let Ok(result) = result else { return };
        assert_eq!(was_waiting, is_binary, "only one kind may come next");
        assert_eq!(result.is_none(), assembler.is_waiting());
        let bytes: usize = attachments.iter().map(Vec::len).sum();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes in {attachments:?}");
        let Some(whole) = result else { continue };
        assert_eq!((&whole.text, &whole.attachments), (&text, &attachments));
        if let Ok(packet) = Packet::decode(&text) {
            assert_eq!(packet.header.attachments, attachments.len(), "{text:?}");
        }
    }
}
