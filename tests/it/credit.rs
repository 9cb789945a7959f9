//! Clients that acknowledge what they have received (docs/protocol.md): they are sent no more than
//! some states beyond that, however much the network takes, and are closed in the end.

use std::thread;

use serde_json::json;

use crate::harness::{Peer, TestServer, until};
use crate::socketio_battle::player::{Link, SocketIoPlayer, TRANSPORTS, Transport};
use crate::states::{state, tick};

const SKIPPED: &str = "skirmish_snapshots_without_credit_total";
const SLOW: &str = "skirmish_closes_total{reason=\"slow\"}";

/// The tick in a packet that asks for an acknowledgement; its id is the same number.
fn question(packet: &str) -> Option<u32> {
    let (id, event) = packet.strip_prefix("42")?.split_once('[')?;
    if id.is_empty() {
        return None;
    }
    let tick = id.parse().expect("the id is a number");
    assert_eq!(event, format!(r#""tick",{{"tick":{tick}}}]"#));
    Some(tick)
}

/// A player of Socket.IO that is asked for acknowledgements, in a room in which another one moves.
fn asked(server: &TestServer, transport: Transport, room: &str) -> SocketIoPlayer {
    let auth = json!({ "room": room, "acks": true });
    let (mut player, id) = SocketIoPlayer::join(server, transport, &auth);
    assert_eq!(player.until_about("player_moved", &id)["id"], *id, "the first state");
    player
}

/// A player whose steps are a state on nearly every tick.
fn walker(server: &TestServer, room: &str) -> Peer {
    Peer::join(server.addr, &format!("/ws?room={room}&rules=battle")).0
}

/// Makes a step there and back with each state of its own, until something holds.
fn walk_until(walker: &mut Peer, what: &str, mut holds: impl FnMut() -> bool) {
    let mut ticks = 0;
    until(what, || {
        walker.until_text(&["state_update"]);
        ticks += 1;
        let direction = ["UP", "DOWN", "LEFT", "RIGHT"][ticks % 4];
        walker.send_text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#));
        (ticks.is_multiple_of(20) && holds()).then_some(())
    });
}

#[test]
fn a_client_of_socket_io_is_asked_every_fifth_tick_and_goes_on_while_it_answers() {
    let server = TestServer::start(&[]);
    for transport in TRANSPORTS {
        let mut walker = walker(&server, "battle-asked");
        let mut player = asked(&server, transport, "battle-asked");
        let mut ticks = Vec::new();
        let mut step = 0;
        until("twenty questions", || {
            step += 1;
            let direction = ["UP", "DOWN", "LEFT", "RIGHT"][step % 4];
            walker.until_text(&["state_update"]);
            walker.send_text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#));
            while let Some(tick) = question(&player.packet()) {
                player.send(&format!("43{tick}[]"));
                ticks.push(tick);
            }
            (ticks.len() >= 20).then_some(())
        });
        let gaps: Vec<u32> = ticks.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(gaps.iter().all(|gap| *gap >= 5), "{gaps:?}");
        assert!(gaps.iter().filter(|gap| **gap <= 7).count() >= 12, "{gaps:?} {transport:?}");
    }
    assert_eq!(server.metric(SLOW), 0);
}

#[test]
fn a_client_of_socket_io_that_does_not_ask_for_it_is_never_asked() {
    let server = TestServer::start(&[]);
    let mut walker = walker(&server, "battle-plain");
    for auth in [json!({ "room": "battle-plain" }), json!({ "room": "battle-plain", "acks": 1 })] {
        let (mut player, _) = SocketIoPlayer::join(&server, Transport::WebSocket, &auth);
        let mut moves = 0;
        walk_until(&mut walker, "moves", || {
            while moves < 40 {
                let packet = player.packet();
                assert_eq!(question(&packet), None, "{packet}");
                moves += u32::from(packet.contains("player_moved"));
                if moves % 10 == 9 {
                    break;
                }
            }
            moves >= 20
        });
    }
    assert_eq!(server.metric(SKIPPED), 0);
}

#[test]
fn clients_that_read_and_stop_acknowledging_lose_states_and_then_the_connection() {
    let server = TestServer::start(&[]);
    let room = "battle-stopped";
    let mut walker = walker(&server, room);
    let (mut json, _) = Peer::join(server.addr, &format!("/ws?room={room}"));
    let first = tick(&state(&mut json));
    json.send_text(&format!(r#"{{"type":"ack","tick":{first}}}"#));
    let mut v1 = crate::v1::play::Client::join(server.addr, &format!("/ws?room={room}"));
    v1.receive();
    v1.acknowledge();
    let (mut free, _) = Peer::join(server.addr, &format!("/ws?room={room}"));
    let players = TRANSPORTS.map(|transport| asked(&server, transport, room));
    // All read what comes, in threads of their own.
    let players = players.map(|player| thread::spawn(move || questions(player)));
    let json = thread::spawn(move || ticks(json));
    let v1 = thread::spawn(move || v1.peer.until_close());
    let free = thread::spawn(move || (0..240).for_each(|_| drop(state(&mut free))));
    walk_until(&mut walker, "states are skipped", || server.metric(SKIPPED) > 5 * 100);
    walk_until(&mut walker, "five are closed", || server.metric(SLOW) == 5);
    assert!(server.metric(SKIPPED) > 5 * 150, "{}", server.metric(SKIPPED));
    let (ticks, code) = json.join().expect("it ended");
    assert_eq!(code, Some(4008));
    // 20 ticks and the round trip, the last ones at 5 a second.
    let ahead = ticks[ticks.len() - 1] - ticks[0];
    assert!((16..=45).contains(&ahead), "{ticks:?}");
    assert_eq!(v1.join().expect("it ended").0, Some(4008));
    for (player, transport) in players.into_iter().zip(TRANSPORTS) {
        let (questions, code) = player.join().expect("it ended");
        assert!((3..=9).contains(&questions.len()), "{questions:?}");
        let is_polling = matches!(transport, Transport::Polling);
        assert_eq!(code, (!is_polling).then_some(4008));
    }
    free.join().expect("a client that acknowledges nothing goes on");
}

/// Reads until the server ends the session. Returns the ticks that ask for an acknowledgement, and
/// the close code over a WebSocket.
fn questions(mut player: SocketIoPlayer) -> (Vec<u32>, Option<u16>) {
    let mut ticks = Vec::new();
    loop {
        match &mut player.link {
            Link::Polling(client) => {
                let answer = client.poll();
                let text = answer.text();
                ticks.extend(text.split('\x1e').filter_map(question));
                if answer.status != 200 || text == "1" {
                    return (ticks, None);
                }
            }
            Link::WebSocket(peer) => {
                let frame = peer.frame();
                if frame.first == 0x88 {
                    return (ticks, frame.close().0);
                }
                ticks.extend(question(frame.text()));
            }
        }
    }
}

/// Reads until the server closes the connection. Returns the ticks of the states, and the code.
fn ticks(mut peer: Peer) -> (Vec<u64>, Option<u16>) {
    let mut ticks = Vec::new();
    loop {
        let frame = peer.frame();
        if frame.first == 0x88 {
            return (ticks, frame.close().0);
        }
        ticks.push(tick(&serde_json::from_str(frame.text()).expect("JSON")));
    }
}
