//! Whole sessions of Socket.IO, harmed: over requests, over a WebSocket, and in the change from one
//! to the other. Whatever is said, the others play on, and nothing is left of it.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use skirmish::socketio::engineio;

use super::mutate::{cuts, mutate};
use super::{packets, session};
use crate::sim::caller::{Caller, Line, gauge, opening, polling, posting, upgrading};
use crate::sim::lab::{FAR, Lab, masked, text};

/// Where the one lives who is fuzzed.
const ELSEWHERE: &str = "192.0.2.2";
const ROOM: &str = "battle-1";
/// Whoever says nothing any more is given up soon.
const HEARTBEAT: [&str; 4] = ["--ping-interval-ms", "4000", "--ping-timeout-ms", "2000"];

const SAYINGS: [&str; 12] = [
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

/// A payload that obeys the rules, on the whole.
fn payload(rng: &mut ChaCha8Rng) -> String {
    let mut packets = vec![SAYINGS[0].to_owned()];
    packets.retain(|_| rng.random_bool(0.3));
    for _ in 0..rng.random_range(1..6) {
        packets.push(match rng.random_range(0..8) {
            0 => format!("4{}", packets::packet(rng)),
            1 => engineio::binary_packet(&[rng.random(); 9]),
            _ => SAYINGS[rng.random_range(0..SAYINGS.len())].to_owned(),
        });
    }
    let payload = packets.join("\x1e");
    match rng.random_bool(0.5) {
        true => payload,
        false => {
            let harmed = mutate(payload.as_bytes(), &[b"\x1e", b"4", b"1", b"2", b"b", b"\""], rng);
            String::from_utf8_lossy(&harmed).into_owned()
        }
    }
}

/// The same as frames.
fn frames(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let payload = payload(rng);
    let frame = |packet: &str| match (packet.strip_prefix('b'), packet.len() % 2) {
        (Some(rest), 0) => masked(0x82, rest.as_bytes()),
        _ => text(packet),
    };
    let stream: Vec<u8> = payload.split('\x1e').flat_map(frame).collect();
    match rng.random_bool(0.7) {
        true => stream,
        false => mutate(&stream, &session::FRAME_PIECES, rng),
    }
}

/// Sends bytes in pieces, and reads what comes of them.
fn send(lab: &mut Lab, line: &mut Line, bytes: &[u8], rng: &mut ChaCha8Rng) {
    let mut from = 0;
    for to in cuts(bytes.len(), rng).into_iter().chain([bytes.len()]) {
        lab.send(line.id, &bytes[from..to]);
        from = to;
    }
    lab.server.take_dirty(&mut Vec::new(), lab.now);
    lab.take(line.id);
}

pub fn judge(rng: &mut ChaCha8Rng) {
    let mut lab = Lab::with_small_pages(&HEARTBEAT);
    let mut ann = Caller::join(&mut lab, FAR, ROOM, rng.random_bool(0.5));
    let sid = begin(&mut lab, rng);
    let mut lines: Vec<Line> = (0..3).map(|_| Line::open(&mut lab, ELSEWHERE)).collect();
    let steps = rng.random_range(1..10);
    for step in 0..steps {
        let at = rng.random_range(0..lines.len());
        let bytes = match rng.random_range(0..10) {
            0 => frames(rng),
            1 => upgrading(&sid),
            2 => [upgrading(&sid), text("2probe"), text("5"), frames(rng)].concat(),
            3 => [text("2probe"), text("5")].concat(),
            4 => mutate(&polling(&sid), &[b"\r\n", b"&", b"websocket", b" "], rng),
            5 => mutate(&posting(&sid, &payload(rng)), &[b"\r\n", b"0", b"9", b":"], rng),
            6 => polling(&sid),
            _ => posting(&sid, &payload(rng)),
        };
        send(&mut lab, &mut lines[at], &bytes, rng);
        if rng.random_ratio(1, 4) || step + 1 == steps {
            lab.tick();
        }
        if rng.random_ratio(1, 8) {
            lab.server.hang_up(lines[at].id, rng.random_bool(0.5), lab.now);
            lines[at] = Line::open(&mut lab, ELSEWHERE);
        }
        ann.catch_up(&mut lab);
    }
    recover(&mut lab, ann, lines);
}

/// A session over requests, and now and then one that is a WebSocket already.
fn begin(lab: &mut Lab, rng: &mut ChaCha8Rng) -> String {
    if rng.random_ratio(1, 4) {
        let mut line = Line::open(lab, ELSEWHERE);
        send(lab, &mut line, &[upgrading(""), frames(rng), frames(rng)].concat(), rng);
        lab.tick();
        lab.take(line.id);
        lab.server.hang_up(line.id, true, lab.now);
    }
    let query = mutate(b"&room=battle-1&name=Ann", &[b"&", b"=", b"%"], rng);
    let query = String::from_utf8_lossy(&query).into_owned();
    let is_plain = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let mut line = Line::open(lab, ELSEWHERE);
    line.ask(lab, &opening(if is_plain { &query } else { "" }));
    let (status, body) = line.response(lab);
    let sid = body.split('"').nth(3).unwrap_or_default().to_owned();
    assert!(status != 200 || sid.len() >= 16, "{body}");
    sid
}

/// Afterwards the peer goes, everything of it is freed in time, and the other plays as if nothing
/// had been.
fn recover(lab: &mut Lab, mut ann: Caller, lines: Vec<Line>) {
    lines.iter().for_each(|line| lab.server.hang_up(line.id, true, lab.now));
    // Whoever has begun and never came in, or asks no more, is given up in time.
    for _ in 0..11 {
        (0..20).for_each(|_| lab.tick());
        ann.catch_up(lab);
        ann.say(lab, "3");
    }
    assert_eq!(ann.mind.known.keys().collect::<Vec<_>>(), [&ann.number()], "nobody else is there");
    ann.ask(lab, r#"["move",{"x":50,"y":50}]"#);
    ann.catch_up(lab);
    lab.tick();
    ann.catch_up(lab);
    assert!(!ann.mind.is_waiting(), "it has its answer");
    assert_eq!(["engine_sessions", "players"].map(|name| gauge(lab, name)), [1, 1]);
    assert_eq!(lab.server.metrics().panics, 0);
}
