//! Whole Socket.IO sessions, mutated: over polling, over WebSocket, and during the upgrade. Another
//! player must not be affected, and nothing may be left afterwards.

use rand::RngExt;
use skirmish::socketio::engineio;

use super::corpus::Corpus;
use super::mutate::{cuts, mutate};
use super::websocket_session;
use crate::sim::SimRng;
use crate::sim::fixture::{Fixture, REMOTE, masked, text};
use crate::sim::requests::{opening, polling, posting, upgrading};
use crate::sim::scripted_client::{Connection, ScriptedClient, gauge};

/// The address of the fuzzed client.
const OTHER_REMOTE: &str = "192.0.2.2";
const ROOM: &str = "battle-1";
/// Short timeouts, so that unresponsive sessions end soon.
const HEARTBEAT: [&str; 4] = ["--ping-interval-ms", "4000", "--ping-timeout-ms", "2000"];

const PACKETS: [&str; 12] = [
    r#"40{"room":"battle-1"}"#,
    r#"40{"room":"other"}"#,
    "41",
    r#"42["move",{"x":50,"y":50}]"#,
    r#"421["attack",{}]"#,
    r#"422["rate",{"hz":3}]"#,
    r#"423["ping"]"#,
    r#"424["dance"]"#,
    "3",
    r#"451-["move",{"_placeholder":true,"num":0}]"#,
    "bAQIDBA==",
    "6",
];

/// A mostly valid payload.
fn payload(corpus: &Corpus, rng: &mut SimRng) -> String {
    let mut packets = vec![PACKETS[0].to_owned()];
    packets.retain(|_| rng.random_bool(0.3));
    for _ in 0..rng.random_range(1..6) {
        packets.push(match rng.random_range(0..8) {
            0 => format!("4{}", String::from_utf8_lossy(&corpus.mutated(rng))),
            1 => engineio::binary_packet(&[rng.random(); 9]),
            _ => PACKETS[rng.random_range(0..PACKETS.len())].to_owned(),
        });
    }
    let payload = packets.join("\x1e");
    match rng.random_bool(0.5) {
        true => payload,
        false => {
            let mutated =
                mutate(payload.as_bytes(), &[b"\x1e", b"4", b"1", b"2", b"b", b"\""], rng);
            String::from_utf8_lossy(&mutated).into_owned()
        }
    }
}

/// The same packets as WebSocket frames.
fn frames(corpus: &Corpus, rng: &mut SimRng) -> Vec<u8> {
    let payload = payload(corpus, rng);
    let frame = |packet: &str| match (packet.strip_prefix('b'), packet.len() % 2) {
        (Some(rest), 0) => masked(0x82, rest.as_bytes()),
        _ => text(packet),
    };
    let stream: Vec<u8> = payload.split('\x1e').flat_map(frame).collect();
    match rng.random_bool(0.7) {
        true => stream,
        false => mutate(&stream, &websocket_session::FRAME_PIECES, rng),
    }
}

/// Sends bytes in pieces, and reads the output.
fn send(fixture: &mut Fixture, connection: &mut Connection, bytes: &[u8], rng: &mut SimRng) {
    let mut from = 0;
    for to in cuts(bytes.len(), rng).into_iter().chain([bytes.len()]) {
        fixture.send(connection.id, &bytes[from..to]);
        from = to;
    }
    fixture.server.take_dirty(&mut Vec::new(), &mut Vec::new(), fixture.now);
    fixture.take(connection.id);
}

/// `corpus` has Socket.IO packets.
pub fn check(corpus: &Corpus, rng: &mut SimRng) {
    let mut fixture = Fixture::with_small_pages(&HEARTBEAT);
    let mut ann = ScriptedClient::join(&mut fixture, REMOTE, ROOM, rng.random_bool(0.5));
    let sid = open_session(&mut fixture, corpus, rng);
    let mut connections: Vec<Connection> =
        (0..3).map(|_| Connection::open(&mut fixture, OTHER_REMOTE)).collect();
    let steps = rng.random_range(1..10);
    for step in 0..steps {
        let at = rng.random_range(0..connections.len());
        let bytes = match rng.random_range(0..10) {
            0 => frames(corpus, rng),
            1 => upgrading(&sid),
            2 => [upgrading(&sid), text("2probe"), text("5"), frames(corpus, rng)].concat(),
            3 => [text("2probe"), text("5")].concat(),
            4 => mutate(&polling(&sid), &[b"\r\n", b"&", b"websocket", b" "], rng),
            5 => mutate(&posting(&sid, &payload(corpus, rng)), &[b"\r\n", b"0", b"9", b":"], rng),
            6 => polling(&sid),
            _ => posting(&sid, &payload(corpus, rng)),
        };
        send(&mut fixture, &mut connections[at], &bytes, rng);
        if rng.random_ratio(1, 4) || step + 1 == steps {
            fixture.tick();
        }
        if rng.random_ratio(1, 8) {
            fixture.server.peer_closed(connections[at].id, rng.random_bool(0.5), fixture.now);
            connections[at] = Connection::open(&mut fixture, OTHER_REMOTE);
        }
        ann.catch_up(&mut fixture);
    }
    recover(&mut fixture, ann, &connections);
}

/// Opens a session over polling, and sometimes another over WebSocket.
fn open_session(fixture: &mut Fixture, corpus: &Corpus, rng: &mut SimRng) -> String {
    if rng.random_ratio(1, 4) {
        let mut connection = Connection::open(fixture, OTHER_REMOTE);
        send(
            fixture,
            &mut connection,
            &[upgrading(""), frames(corpus, rng), frames(corpus, rng)].concat(),
            rng,
        );
        fixture.tick();
        fixture.take(connection.id);
        fixture.server.peer_closed(connection.id, true, fixture.now);
    }
    let query = mutate(b"&room=battle-1&name=Ann", &[b"&", b"=", b"%"], rng);
    let query = String::from_utf8_lossy(&query).into_owned();
    let is_plain = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let mut connection = Connection::open(fixture, OTHER_REMOTE);
    connection.send_request(fixture, &opening(if is_plain { &query } else { "" }));
    let (status, body) = connection.response(fixture);
    let sid = body.split('"').nth(3).unwrap_or_default().to_owned();
    assert!(status != 200 || sid.len() >= 16, "{body}");
    sid
}

/// Closes the fuzzed connections and checks that everything is freed in time and the other player
/// can still play.
fn recover(fixture: &mut Fixture, mut ann: ScriptedClient, connections: &[Connection]) {
    connections
        .iter()
        .for_each(|connection| fixture.server.peer_closed(connection.id, true, fixture.now));
    // Long enough for every timeout of the fuzzed sessions.
    for _ in 0..11 {
        (0..20).for_each(|_| fixture.tick());
        ann.catch_up(fixture);
        ann.send(fixture, "3");
    }
    assert_eq!(
        ann.model.players.keys().collect::<Vec<_>>(),
        [&ann.number()],
        "another player is left"
    );
    ann.send_request(fixture, r#"["move",{"x":50,"y":50}]"#);
    ann.catch_up(fixture);
    fixture.tick();
    ann.catch_up(fixture);
    assert!(!ann.model.is_waiting(), "the acknowledgement arrived");
    assert_eq!(["engine_sessions", "players"].map(|name| gauge(fixture, name)), [1, 1]);
    assert_eq!(fixture.server.metrics().panics, 0);
}
