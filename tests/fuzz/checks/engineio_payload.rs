//! A payload of Engine.IO packets.

use skirmish::socketio::engineio::{self, Packet};

/// A payload has one packet more than it has separators, and each packet is typed.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let packets: Vec<_> = engineio::packets(text).collect();
    assert_eq!(packets.len(), engineio::packet_count(text), "{text:?}");
    assert_eq!(packets.len(), engineio::split(text).count(), "{text:?}");
    for (packet, part) in packets.iter().zip(text.split('\x1e')) {
        match packet {
            Ok(Packet::Text(text)) => assert_eq!(part, format!("4{text}")),
            Ok(Packet::Ping(data)) => assert_eq!(part, format!("2{data}")),
            Ok(Packet::Pong(data)) => assert_eq!(part, format!("3{data}")),
            Ok(Packet::Binary(bytes)) => {
                let again = engineio::binary_packet(bytes);
                assert_eq!(Packet::decode(&again).as_ref(), packet.as_ref(), "{part:?}");
                // Padding and line breaks aside, it is encoded as it was.
                let plain = part.replace(['\r', '\n'], "");
                assert_eq!(again.trim_end_matches('='), plain.trim_end_matches('='));
            }
            Ok(_) => assert!(part.starts_with(['0', '1', '5', '6']), "{part:?}"),
            Err(_) => assert!(!part.starts_with(['0', '1', '2', '3', '4', '5', '6']), "{part:?}"),
        }
    }
    let mut again = Vec::new();
    engineio::split(text).for_each(|packet| engineio::append(packet.as_bytes(), &mut again));
    // An empty packet at the start has no separator behind it.
    assert_eq!(again, text.trim_start_matches('\x1e').as_bytes(), "{text:?}");
}
