//! Socket.IO clients that exceed the limits, and the well-behaved clients beside them.

use std::collections::VecDeque;

use skirmish::server::ConnId;

use super::fixture::{Fixture, REMOTE, handshake, masked, text};

const HEAD: &str = "HTTP/1.1\r\nHost: play.example\r\nConnection: close\r\n";
const OVER_POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// Opens a session over WebSocket and connects to the namespace.
fn player(fixture: &mut Fixture, peer: &str) -> ConnId {
    let id = fixture.open(peer);
    fixture.send(id, &handshake("/socket.io/?EIO=4&transport=websocket"));
    fixture.send(id, &text("40"));
    id
}

/// Players from different addresses that have received the player list.
fn join_many(fixture: &mut Fixture, size: usize) -> Vec<ConnId> {
    let peer = |number: usize| format!("10.0.{}.{}", number / 250, number % 250);
    let ids: Vec<ConnId> = (0..size).map(|number| player(fixture, &peer(number))).collect();
    ids.iter().for_each(|id| drop(fixture.take(*id)));
    fixture.tick();
    for _ in 0..3 {
        ids.iter().for_each(|id| drop(fixture.take(*id)));
    }
    ids
}

fn take(fixture: &mut Fixture, id: ConnId) -> String {
    String::from_utf8_lossy(&fixture.take(id)).into_owned()
}

/// The bytes before the close frame with that code, if there is one.
fn before_close(output: &[u8], code: u16) -> Option<&[u8]> {
    let is_close = |four: &[u8]| four[0] == 0x88 && four[2..] == code.to_be_bytes();
    output.windows(4).position(is_close).map(|place| &output[..place])
}

/// The response to a request on its own connection.
fn ask(fixture: &mut Fixture, peer: &str, request: &str) -> String {
    let id = fixture.open(peer);
    fixture.send(id, request.as_bytes());
    fixture.server.take_dirty(&mut Vec::new(), &mut Vec::new(), fixture.now);
    let output = take(fixture, id);
    fixture.server.peer_closed(id, true, fixture.now);
    fixture.server.take_ended(&mut Vec::new());
    output
}

/// The path of a new polling session, or the response that refused it.
fn open(fixture: &mut Fixture, peer: &str) -> Result<String, String> {
    let output = ask(fixture, peer, &format!("GET {OVER_POLLING} {HEAD}\r\n"));
    let sid = output.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
    sid.map(|sid| format!("{OVER_POLLING}&sid={sid}")).ok_or(output)
}

fn post(fixture: &mut Fixture, peer: &str, path: &str, body: &str) -> String {
    let length = body.len();
    ask(fixture, peer, &format!("POST {path} {HEAD}Content-Length: {length}\r\n\r\n{body}"))
}

fn poll(fixture: &mut Fixture, peer: &str, path: &str) -> String {
    ask(fixture, peer, &format!("GET {path} {HEAD}\r\n"))
}

/// Sends the bytes every millisecond until the connection closes, for at most 10 s. Returns what
/// came before the close frame.
fn flood(fixture: &mut Fixture, id: ConnId, bytes: &[u8], code: u16) -> Option<Vec<u8>> {
    for ms in 0..10_000 {
        fixture.now = fixture.now.after(1);
        if ms % 50 == 0 {
            fixture.server.tick(fixture.now, fixture.now);
            fixture.server.publish(fixture.now);
        }
        fixture.send(id, bytes);
        let output = fixture.take(id);
        if let Some(before) = before_close(&output, code) {
            return Some(before.to_vec());
        }
    }
    None
}

#[test]
fn a_reading_client_survives_a_burst_of_others_in_one_turn() {
    let mut fixture = Fixture::new(&[]);
    let victims = join_many(&mut fixture, 20);
    let mut rejoins = Vec::new();
    for _ in 0..7 {
        rejoins.extend(text("41"));
        rejoins.extend(text("40"));
    }
    let attackers: Vec<ConnId> =
        (0..64).map(|number| player(&mut fixture, &format!("10.9.{number}.1"))).collect();
    for id in attackers {
        fixture.send(id, &rejoins);
    }
    fixture.tick();
    for id in victims {
        let output = fixture.take(id);
        assert!(output.len() > 64 * 1024, "only {} bytes were queued", output.len());
        assert_eq!(before_close(&output, 4008), None);
    }
}

#[test]
fn every_player_in_range_receives_every_hit() {
    let mut fixture = Fixture::new(&[]);
    let ids = join_many(&mut fixture, 300);
    for _ in 0..25 {
        for id in &ids {
            fixture.send(*id, &text(r#"42["move",{"x":50,"y":50}]"#));
        }
        fixture.tick();
        ids.iter().for_each(|id| drop(fixture.take(*id)));
    }
    for hit in 0..10 {
        fixture.send(ids[0], &text(r#"42["attack",{}]"#));
        for id in &ids {
            let output = take(&mut fixture, *id);
            assert_eq!(output.matches("player_attacked").count(), 299);
            assert_eq!(output.matches("player_killed").count(), if hit == 9 { 299 } else { 0 });
        }
        for _ in 0..5 {
            fixture.tick();
            ids.iter().for_each(|id| drop(fixture.take(*id)));
        }
    }
}

// T31
#[test]
fn a_flood_of_packets_without_events_is_disconnected() {
    for packet in ["43[]", "40/x", "40/x,{}", "3", "6"] {
        let mut fixture = Fixture::new(&[]);
        let id = player(&mut fixture, REMOTE);
        fixture.take(id);
        let before = flood(&mut fixture, id, &text(packet), 4029).expect("it is disconnected");
        assert!(before.ends_with(b"\x81\x0241"), "it gets a disconnect packet: {before:?}");
    }
    // A client that only repeats its probe is limited too.
    let mut fixture = Fixture::new(&[]);
    let path = open(&mut fixture, REMOTE).expect("the session opens");
    let id = fixture.open(REMOTE);
    fixture.send(id, &handshake(&path.replace("polling", "websocket")));
    fixture.take(id);
    fixture.send(id, &text("2probe").repeat(1_000));
    assert_eq!(take(&mut fixture, id).matches("3probe").count(), 1_000, "a burst is tolerated");
    let mut answers = 0;
    for _ in 0..9_000 {
        fixture.now = fixture.now.after(1);
        fixture.send(id, &text("2probe").repeat(10));
        answers += take(&mut fixture, id).matches("3probe").count();
    }
    assert!(answers < 30_000, "{answers} of 90,000");
}

// T19
#[test]
fn a_flood_of_control_frames_ends_the_session() {
    let mut fixture = Fixture::new(&[]);
    let id = player(&mut fixture, REMOTE);
    fixture.take(id);
    let before = flood(&mut fixture, id, &masked(0x89, b""), 4029).expect("it is disconnected");
    assert!(before.ends_with(b"\x81\x0241"), "{before:?}");
}

#[test]
fn a_post_of_many_events_gets_every_acknowledgement() {
    let mut fixture = Fixture::new(&[]);
    let path = open(&mut fixture, REMOTE).expect("the session opens");
    post(&mut fixture, REMOTE, &path, "40");
    poll(&mut fixture, REMOTE, &path);
    let questions: Vec<String> = (0..1_000).map(|id| format!("42{id}[\"ping\"]")).collect();
    assert!(post(&mut fixture, REMOTE, &path, &questions.join("\x1e")).ends_with("\r\n\r\nok"));
    let output = poll(&mut fixture, REMOTE, &path);
    assert_eq!(output.matches("[{\"ok\":").count(), 1_000);
    assert!(output.ends_with(r#"43999[{"ok":false,"error":"rate"}]"#));
}

// T02
#[test]
fn a_slow_reader_that_makes_progress_stays_connected() {
    let mut fixture = Fixture::new(&[]);
    join_many(&mut fixture, 400);
    let slow = player(&mut fixture, REMOTE);
    let mut taken = 0;
    // Long enough to miss two heartbeats.
    for tick in 0..20 * 100 {
        fixture.tick();
        if tick % 10 == 0 {
            taken += fixture.take_up_to(slow, 200).len();
        }
        assert_eq!(fixture.ended(slow), None, "after {tick} ticks and {taken} bytes");
    }
}

#[test]
fn an_address_is_limited_in_sessions_and_players() {
    let mut fixture = Fixture::new(&[]);
    let mut paths = VecDeque::new();
    let refused = loop {
        fixture.tick();
        fixture.tick();
        match open(&mut fixture, REMOTE) {
            Ok(path) => paths.push_back(path),
            Err(refused) => break refused,
        }
    };
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert_eq!(paths.len(), 64, "sessions without a player");
    assert!(open(&mut fixture, "198.51.100.1").is_ok(), "other addresses may still open sessions");
    // A player no longer counts as an unused session, up to the limit of players per address.
    let mut players = 0;
    while let Some(path) = paths.pop_front() {
        fixture.now = fixture.now.after(100);
        post(&mut fixture, REMOTE, &path, "40");
        let output = poll(&mut fixture, REMOTE, &path);
        if output.contains("44{\"message\":\"full\"") {
            break;
        }
        assert!(output.contains("40{\"sid\":"), "{output}");
        players += 1;
        paths.extend(open(&mut fixture, REMOTE).ok());
    }
    assert_eq!(players, 256);
}

#[test]
fn rejoining_cannot_fill_the_rooms() {
    let mut fixture = Fixture::new(&[]);
    let ids: Vec<ConnId> = (0..60).map(|_| player(&mut fixture, REMOTE)).collect();
    let mut asked = 0;
    let mut made = 0;
    for _ in 0..10 {
        for id in &ids {
            asked += 1;
            fixture.send(*id, &text("41"));
            fixture.send(*id, &text(&format!("40{{\"room\":\"x{asked}\"}}")));
            made += take(&mut fixture, *id).matches("40{\"sid\"").count();
        }
        for _ in 0..20 {
            fixture.tick();
            ids.iter().for_each(|id| drop(fixture.take(*id)));
        }
    }
    assert!((100..200).contains(&made), "{made} of {asked} in 10 s");
}

#[test]
fn an_ended_session_keeps_little() {
    let mut fixture = Fixture::new(&[]);
    let path = open(&mut fixture, REMOTE).expect("the session opens");
    let questions: Vec<String> = (0..150).map(|id| format!("42{id}[\"ping\"]")).collect();
    post(&mut fixture, REMOTE, &path, &format!("40\x1e{}", questions.join("\x1e")));
    post(&mut fixture, REMOTE, &path, "1");
    assert!(poll(&mut fixture, REMOTE, &path).ends_with("\r\n\r\n6"));
    assert!(poll(&mut fixture, REMOTE, &path).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_leave_is_never_sent_before_its_join() {
    let mut fixture = Fixture::new(&[]);
    let ann = player(&mut fixture, "192.0.2.8");
    fixture.take(ann);
    fixture.tick();
    fixture.take(ann);
    let id = fixture.open(REMOTE);
    let mut bytes = handshake("/ws?room=battle");
    bytes.extend(masked(0x88, b""));
    fixture.send(id, &bytes);
    assert_eq!(take(&mut fixture, ann), "", "both wait for the tick");
    fixture.tick();
    let output = take(&mut fixture, ann);
    let (came, left) = (output.find("new_player"), output.find("player_left"));
    assert!(came.is_some() && came < left, "{output}");
}

#[test]
fn joins_wait_for_the_tick_or_for_an_event_after_them() {
    let mut fixture = Fixture::new(&[]);
    let ann = join_many(&mut fixture, 1)[0];
    let mut numbers = 0..;
    let mut join = |fixture: &mut Fixture, count: usize| {
        numbers.by_ref().take(count).for_each(|number| {
            player(fixture, &format!("10.1.0.{number}"));
        });
    };
    join(&mut fixture, 60);
    assert_eq!(take(&mut fixture, ann), "", "joins alone wait");
    // Some of them are within reach of Ann.
    fixture.send(ann, &text(r#"42["attack",{}]"#));
    let output = take(&mut fixture, ann);
    let hits: Vec<&str> = output.split("player_attacked\",{\"id\":").skip(1).collect();
    assert!(!hits.is_empty(), "{output}");
    for hit in hits {
        let id = hit.split(',').next().expect("an id");
        let introduced = output.find(&format!("new_player\",{{\"id\":{id},")).expect("an event");
        assert!(introduced < output.find("player_attacked").expect("it is there"), "{output}");
    }
    assert_eq!(output.matches("new_player").count(), 60, "all of them, in order");
    join(&mut fixture, 10);
    assert_eq!(take(&mut fixture, ann), "");
    fixture.tick();
    assert_eq!(take(&mut fixture, ann).matches("new_player").count(), 10);
}
