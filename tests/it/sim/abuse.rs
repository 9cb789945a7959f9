//! Clients of Socket.IO that ask for too much, and those beside them who do not.

use std::collections::VecDeque;

use skirmish::server::ConnId;
use skirmish::time::Millis;

use super::lab::{FAR, Lab, handshake, masked, text};

const HEAD: &str = "HTTP/1.1\r\nHost: play.example\r\nConnection: close\r\n";
const OVER_POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A session over a WebSocket whose client has asked to come in.
fn player(lab: &mut Lab, peer: &str) -> ConnId {
    let id = lab.open(peer);
    lab.send(id, &handshake("/socket.io/?EIO=4&transport=websocket"));
    lab.send(id, &text("40"));
    id
}

/// Players from addresses of their own, who have heard who is there.
fn crowd(lab: &mut Lab, size: usize) -> Vec<ConnId> {
    let peer = |number: usize| format!("10.0.{}.{}", number / 250, number % 250);
    let ids: Vec<ConnId> = (0..size).map(|number| player(lab, &peer(number))).collect();
    for _ in 0..3 {
        ids.iter().for_each(|id| drop(lab.take(*id)));
    }
    ids
}

fn take(lab: &mut Lab, id: ConnId) -> String {
    String::from_utf8_lossy(&lab.take(id)).into_owned()
}

/// Whether a close frame with that code is in what was said, and what stands before it.
fn before_close(said: &[u8], code: u16) -> Option<&[u8]> {
    let is_close = |four: &[u8]| four[0] == 0x88 && four[2..] == code.to_be_bytes();
    said.windows(4).position(is_close).map(|place| &said[..place])
}

/// What a request on a connection of its own is answered.
fn ask(lab: &mut Lab, peer: &str, request: &str) -> String {
    let id = lab.open(peer);
    lab.send(id, request.as_bytes());
    lab.server.take_dirty(&mut Vec::new(), lab.now);
    let said = take(lab, id);
    lab.server.hang_up(id, true, lab.now);
    lab.server.take_ended(&mut Vec::new());
    said
}

/// The path of a session that begins with polling, or the answer to one that may not begin.
fn open(lab: &mut Lab, peer: &str) -> Result<String, String> {
    let said = ask(lab, peer, &format!("GET {OVER_POLLING} {HEAD}\r\n"));
    let sid = said.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
    sid.map(|sid| format!("{OVER_POLLING}&sid={sid}")).ok_or(said)
}

fn post(lab: &mut Lab, peer: &str, path: &str, body: &str) -> String {
    let length = body.len();
    ask(lab, peer, &format!("POST {path} {HEAD}Content-Length: {length}\r\n\r\n{body}"))
}

fn poll(lab: &mut Lab, peer: &str, path: &str) -> String {
    ask(lab, peer, &format!("GET {path} {HEAD}\r\n"))
}

/// Sends so much each millisecond until the connection ends, for 10 s at most; answers what stood
/// before the close frame.
fn flood(lab: &mut Lab, id: ConnId, bytes: &[u8], code: u16) -> Option<Vec<u8>> {
    for ms in 0..10_000 {
        lab.now = lab.now.after(1);
        if ms % 50 == 0 {
            lab.server.tick(lab.now);
            lab.server.publish();
        }
        lab.send(id, bytes);
        let said = lab.take(id);
        if let Some(before) = before_close(&said, code) {
            return Some(before.to_vec());
        }
    }
    None
}

#[test]
fn who_reads_is_not_closed_by_what_others_do_in_one_turn() {
    let mut lab = Lab::new(&[]);
    let victims = crowd(&mut lab, 20);
    let mut churn = Vec::new();
    for _ in 0..7 {
        churn.extend(text("41"));
        churn.extend(text("40"));
    }
    let attackers: Vec<ConnId> =
        (0..64).map(|number| player(&mut lab, &format!("10.9.{number}.1"))).collect();
    for id in attackers {
        lab.send(id, &churn);
    }
    for id in victims {
        let said = lab.take(id);
        assert!(said.len() > 64 * 1024, "so much came up: {}", said.len());
        assert_eq!(before_close(&said, 4008), None);
    }
}

#[test]
fn a_blow_at_a_crowd_is_told_to_everybody() {
    let mut lab = Lab::new(&[]);
    let ids = crowd(&mut lab, 300);
    for _ in 0..25 {
        for id in &ids {
            lab.send(*id, &text(r#"42["move",{"x":50,"y":50}]"#));
        }
        lab.tick();
        ids.iter().for_each(|id| drop(lab.take(*id)));
    }
    for blow in 0..10 {
        lab.send(ids[0], &text(r#"42["attack",{}]"#));
        for id in &ids {
            let said = take(&mut lab, *id);
            assert_eq!(said.matches("player_attacked").count(), 299);
            assert_eq!(said.matches("player_killed").count(), if blow == 9 { 299 } else { 0 });
        }
        for _ in 0..5 {
            lab.tick();
            ids.iter().for_each(|id| drop(lab.take(*id)));
        }
    }
}

#[test]
fn whoever_floods_with_what_is_no_event_is_sent_away() {
    for packet in ["43[]", "40/x", "40/x,{}", "3", "6"] {
        let mut lab = Lab::new(&[]);
        let id = player(&mut lab, FAR);
        lab.take(id);
        let before = flood(&mut lab, id, &text(packet), 4029).expect("it is sent away");
        assert!(before.ends_with(b"\x81\x0241"), "told in its own terms: {before:?}");
    }
    // So is one that only asks again and again whether it may take over.
    let mut lab = Lab::new(&[]);
    let path = open(&mut lab, FAR).expect("it may begin");
    let id = lab.open(FAR);
    lab.send(id, &handshake(&path.replace("polling", "websocket")));
    lab.take(id);
    lab.send(id, &text("2probe").repeat(1_000));
    assert_eq!(take(&mut lab, id).matches("3probe").count(), 1_000, "a burst is borne");
    let mut answers = 0;
    for _ in 0..9_000 {
        lab.now = lab.now.after(1);
        lab.send(id, &text("2probe").repeat(10));
        answers += take(&mut lab, id).matches("3probe").count();
    }
    assert!(answers < 30_000, "{answers} of 90,000");
}

#[test]
fn a_flood_of_control_frames_ends_a_session_for_good() {
    let mut lab = Lab::new(&[]);
    let id = player(&mut lab, FAR);
    lab.take(id);
    let before = flood(&mut lab, id, &masked(0x89, b""), 4029).expect("it is sent away");
    assert!(before.ends_with(b"\x81\x0241"), "{before:?}");
}

#[test]
fn a_post_of_many_questions_has_as_many_answers() {
    let mut lab = Lab::new(&[]);
    let path = open(&mut lab, FAR).expect("it may begin");
    post(&mut lab, FAR, &path, "40");
    poll(&mut lab, FAR, &path);
    let questions: Vec<String> = (0..1_000).map(|id| format!("42{id}[\"ping\"]")).collect();
    assert!(post(&mut lab, FAR, &path, &questions.join("\x1e")).ends_with("\r\n\r\nok"));
    let said = poll(&mut lab, FAR, &path);
    assert_eq!(said.matches("[{\"ok\":").count(), 1_000);
    assert!(said.ends_with(r#"43999[{"ok":false,"error":"rate"}]"#));
}

#[test]
fn a_reader_that_is_slow_but_reads_is_not_taken_for_dead() {
    let mut lab = Lab::new(&[]);
    crowd(&mut lab, 400);
    let slow = player(&mut lab, FAR);
    let mut taken = 0;
    // Two heartbeats would have been missed.
    for tick in 0..20 * 100 {
        lab.tick();
        if tick % 10 == 0 {
            taken += lab.take_up_to(slow, 200).len();
        }
        assert_eq!(lab.ended(slow), None, "after {tick} ticks and {taken} bytes");
    }
}

#[test]
fn one_address_has_its_share_of_sessions_and_players() {
    let mut lab = Lab::new(&[]);
    let mut paths = VecDeque::new();
    let refused = loop {
        lab.tick();
        lab.tick();
        match open(&mut lab, FAR) {
            Ok(path) => paths.push_back(path),
            Err(refused) => break refused,
        }
    };
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert_eq!(paths.len(), 64, "over which nobody plays");
    assert!(open(&mut lab, "198.51.100.1").is_ok(), "others may come");
    // Who joins makes room, up to as many players as an address may have.
    let mut players = 0;
    while let Some(path) = paths.pop_front() {
        lab.now = lab.now.after(100);
        post(&mut lab, FAR, &path, "40");
        let said = poll(&mut lab, FAR, &path);
        if said.contains("44{\"message\":\"full\"") {
            break;
        }
        assert!(said.contains("40{\"sid\":"), "{said}");
        players += 1;
        paths.extend(open(&mut lab, FAR).ok());
    }
    assert_eq!(players, 256);
}

#[test]
fn an_address_that_comes_and_goes_cannot_fill_the_rooms() {
    let mut lab = Lab::new(&[]);
    let ids: Vec<ConnId> = (0..60).map(|_| player(&mut lab, FAR)).collect();
    let mut asked = 0;
    let mut made = 0;
    for _ in 0..10 {
        for id in &ids {
            asked += 1;
            lab.send(*id, &text("41"));
            lab.send(*id, &text(&format!("40{{\"room\":\"x{asked}\"}}")));
            made += take(&mut lab, *id).matches("40{\"sid\"").count();
        }
        for _ in 0..20 {
            lab.tick();
            ids.iter().for_each(|id| drop(lab.take(*id)));
        }
    }
    assert!((100..200).contains(&made), "{made} of {asked} in 10 s");
}

#[test]
fn what_is_kept_of_a_session_that_has_ended_is_little() {
    let mut lab = Lab::new(&[]);
    let path = open(&mut lab, FAR).expect("it may begin");
    let questions: Vec<String> = (0..600).map(|id| format!("42{id}[\"ping\"]")).collect();
    post(&mut lab, FAR, &path, &format!("40\x1e{}", questions.join("\x1e")));
    post(&mut lab, FAR, &path, "1");
    assert!(poll(&mut lab, FAR, &path).ends_with("\r\n\r\n6"));
    assert!(poll(&mut lab, FAR, &path).starts_with("HTTP/1.1 400 "));
}

#[test]
fn nobody_leaves_who_has_not_come() {
    let mut lab = Lab::new(&[]);
    let ann = player(&mut lab, "192.0.2.8");
    lab.take(ann);
    let id = lab.open(FAR);
    let mut bytes = handshake("/ws?room=battle");
    bytes.extend(masked(0x88, b""));
    lab.send(id, &bytes);
    let said = take(&mut lab, ann);
    let (came, left) = (said.find("new_player"), said.find("player_left"));
    assert!(came.is_some() && came < left, "{said}");
    assert!(lab.now == Millis(0), "in one turn");
}
