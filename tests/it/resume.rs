//! Clients that were lost come back to their players, over sockets.

use std::net::SocketAddr;

use crate::harness::{Peer, TestServer, between, place, until};
use crate::v1::play::Client;

/// A client of the JSON dialect that may come back.
pub struct Player {
    pub peer: Peer,
    pub id: String,
    pub token: String,
}

impl Player {
    pub fn join(addr: SocketAddr, target: &str) -> Player {
        Player::of(Peer::upgrade(addr, target))
    }

    fn of(mut peer: Peer) -> Player {
        let init = peer.frame().text().to_owned();
        assert!(init.contains(r#","resume_s":"#), "{init}");
        let [id, token] =
            [r#""id":""#, r#""token":""#].map(|it| between(&init, it, "\"").to_owned());
        assert_eq!(token.len(), 40, "{init}");
        Player { peer, id, token }
    }

    /// A new connection with the token.
    pub fn come_back(&self, addr: SocketAddr) -> Player {
        Player::join(addr, &format!("/ws?resume={}", self.token))
    }

    /// Its place in the next state.
    pub fn place(&mut self) -> (u16, u16) {
        let own = format!(r#""id":"{}""#, self.id);
        let state = self.peer.until_text(&["state_update", &own]);
        place(&state, &self.id)
    }
}

/// All states of a client from here on, until one satisfies `holds`.
fn states_until(peer: &mut Peer, mut holds: impl FnMut(&str) -> bool) -> Vec<String> {
    let mut states = Vec::new();
    until("a state", || {
        states.push(peer.until_text(&["state_update"]));
        holds(states.last().expect("one")).then_some(())
    });
    states
}

#[test]
fn a_lost_client_has_its_player_again_and_others_never_saw_it_leave() {
    let server = TestServer::start(&[]);
    let mut ann = Player::join(server.addr, "/ws?room=dots&name=Ann&resume=1");
    let (mut ben, _) = Peer::join(server.addr, "/ws?room=dots&name=Ben");
    for _ in 0..3 {
        ann.peer.send_text(r#"{"type":"move","direction":"LEFT"}"#);
    }
    ann.peer.send_text(r#"{"type":"ping","t":1}"#);
    ann.peer.until_text(&["pong"]);
    let at = ann.place();
    let states = {
        let (id, token, addr) = (ann.id.clone(), ann.token.clone(), server.addr);
        ann.peer.reset();
        server.until_metric("skirmish_players_absent", 1);
        let mut back = Player::join(addr, &format!("/ws?resume={token}"));
        assert_eq!(back.id, id);
        assert_ne!(back.token, token, "a token works once");
        assert_eq!(back.place(), at);
        assert_eq!(server.metric("skirmish_players_absent"), 0);
        assert_eq!(server.metric("skirmish_resumes_total"), 1);
        back.peer.send_text(r#"{"type":"move","direction":"LEFT"}"#);
        let moved = |state: &str| place(state, &id) == (at.0.saturating_sub(10).max(10), at.1);
        states_until(&mut ben, moved)
    };
    let ann = format!(r#""id":"{}""#, ann.id);
    assert!(states.iter().all(|state| state.contains(&ann) && state.contains(r#""name":"Ann""#)));
}

#[test]
fn a_token_works_once_and_one_that_is_unknown_makes_a_new_player() {
    let server = TestServer::start(&[]);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let (id, first) = (ann.id.clone(), ann.token.clone());
    ann.peer.reset();
    let back = Player::join(server.addr, &format!("/ws?resume={first}"));
    assert_eq!(back.id, id);
    let again = Player::join(server.addr, &format!("/ws?room=dots&resume={first}"));
    assert_ne!(again.id, id);
    for unknown in ["0".repeat(40), "yes".to_owned(), "x".repeat(500)] {
        let new = Player::join(server.addr, &format!("/ws?room=dots&resume={unknown}"));
        assert!(new.id.parse::<u32>().unwrap() > again.id.parse().unwrap());
    }
}

#[test]
fn without_a_token_or_after_a_close_frame_the_player_leaves_at_once() {
    let server = TestServer::start(&[]);
    let (plain, _) = Peer::join(server.addr, "/ws?room=dots");
    plain.reset();
    server.until_metric("skirmish_players", 0);
    assert_eq!(server.metric("skirmish_players_absent"), 0);

    let mut clean = Player::join(server.addr, "/ws?room=dots&resume=1");
    clean.peer.send_frame(0x88, &1000_u16.to_be_bytes());
    clean.peer.until_close();
    server.until_metric("skirmish_players", 0);
    assert_eq!(server.metric("skirmish_players_absent"), 0);
    assert_ne!(clean.come_back(server.addr).id, clean.id);

    let off = TestServer::start(&["--resume-s", "0"]);
    let mut peer = Peer::upgrade(off.addr, "/ws?room=dots&resume=1");
    let init = peer.frame().text().to_owned();
    assert!(!init.contains("token") && !init.contains("resume_s"), "{init}");
}

#[test]
fn a_player_leaves_when_its_client_did_not_come_back_in_time() {
    let mut server = TestServer::start(&["--resume-s", "1"]);
    let (mut ben, _) = Peer::join(server.addr, "/ws?room=dots&name=Ben");
    let ann = Player::join(server.addr, "/ws?room=dots&name=Ann&resume=1");
    let (id, token) = (ann.id.clone(), ann.token.clone());
    ben.until_text(&["state_update", r#""name":"Ann""#]);
    ann.peer.reset();
    server.until_metric("skirmish_players_absent", 1);
    let states = states_until(&mut ben, |state| !state.contains(r#""name":"Ann""#));
    assert!((15..60).contains(&states.len()), "{} states, 20 a second", states.len());
    server.until_logged(r#"reason="absent""#);
    assert_ne!(Player::join(server.addr, &format!("/ws?room=dots&resume={token}")).id, id);
}

#[test]
fn a_second_client_with_the_token_takes_over() {
    let server = TestServer::start(&[]);
    let mut ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let at = ann.place();
    let mut second = ann.come_back(server.addr);
    let (code, reason) = ann.peer.until_close();
    assert_eq!((code, &*reason), (Some(4009), "Another client has taken over this player."));
    assert_eq!(second.place(), at);
    assert_eq!(second.id, ann.id);
    server.until_metric("skirmish_players", 1);
    assert_eq!(server.metric("skirmish_players_absent"), 0);
    server.until_metric(r#"skirmish_closes_total{reason="replaced"}"#, 1);
}

#[test]
fn the_first_message_may_present_the_token() {
    let server = TestServer::start(&[]);
    let mut plain = Peer::upgrade(server.addr, "/ws?room=dots");
    let init = plain.frame().text().to_owned();
    assert!(!init.contains("token"), "{init}");
    plain.send_text(r#"{"type":"resume"}"#);
    plain.until_text(&[r#""type":"init""#]);
    plain.send_text(r#"{"type":"resume"}"#);
    server.until_metric(r#"skirmish_drops_total{reason="unknown"}"#, 1);

    let mut ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let (id, at, token) = (ann.id.clone(), ann.place(), ann.token.clone());
    ann.peer.reset();
    server.until_metric("skirmish_players_absent", 1);
    let mut back = Peer::upgrade(server.addr, "/ws?room=dots");
    let fresh = between(back.frame().text(), r#""id":""#, "\"").to_owned();
    assert_ne!(fresh, id);
    back.send_text(&format!(r#"{{"type":"resume","token":"{token}"}}"#));
    let init = back.until_text(&[r#""type":"init""#]);
    assert_eq!(between(&init, r#""id":""#, "\""), id);
    let own = format!(r#""id":"{id}""#);
    let state = back.until_text(&["state_update", &own]);
    assert_eq!(place(&state, &id), at);
    let fresh = format!(r#""id":"{fresh}""#);
    assert!(!state.contains(&fresh), "the player of the connection has left: {state}");
    assert_eq!(server.metric("skirmish_players"), 2);
}

#[test]
fn a_player_comes_back_in_another_dialect() {
    let server = TestServer::start(&[]);
    let ann = Player::join(server.addr, "/ws?room=world&resume=1&name=Ann");
    let (id, token) = (ann.id.clone(), ann.token.clone());
    ann.peer.reset();
    let mut client = Client::join(server.addr, &format!("/ws?resume={token}"));
    assert_eq!(client.welcome.id, id);
    client.receive();
    let token = client.welcome.token.clone().expect("a token");
    client.peer.reset();
    server.until_metric("skirmish_players_absent", 1);

    let mut socketio = Peer::upgrade(server.addr, "/socket.io/?EIO=4&transport=websocket");
    socketio.until_text(&["0{"]);
    socketio.send_text(&format!(r#"40{{"resume":"{token}"}}"#));
    let connected = socketio.until_text(&["40{"]);
    assert_eq!(between(&connected, r#""sid":""#, "\""), id);
    let token = socketio.until_text(&[r#"42["token""#]);
    let token = between(&token, r#""token":""#, "\"").to_owned();
    let placed = socketio.until_text(&[r#"42["player_moved""#, &format!(r#""id":"{id}""#)]);
    assert!(placed.contains(r#""name":"Ann""#), "{placed}");
    // A DISCONNECT is clean.
    socketio.send_text("41");
    server.until_metric("skirmish_players", 0);
    assert_eq!(server.metric("skirmish_players_absent"), 0);
    assert_ne!(Player::join(server.addr, &format!("/ws?resume={token}")).id, id);
}

#[test]
fn an_older_session_of_socketio_is_disconnected_and_does_not_come_back() {
    let server = TestServer::start(&[]);
    let mut first = Peer::upgrade(server.addr, "/socket.io/?EIO=4&transport=websocket");
    first.until_text(&["0{"]);
    first.send_text(r#"40{"resume":true,"room":"battle"}"#);
    let connected = first.until_text(&["40{"]);
    let token = first.until_text(&[r#"42["token""#]);
    let token = between(&token, r#""token":""#, "\"").to_owned();
    let mut second = Player::join(server.addr, &format!("/ws?resume={token}"));
    assert_eq!(second.id, between(&connected, r#""sid":""#, "\""));
    first.until_text(&["41"]);
    assert_eq!(first.until_close().0, Some(4009));
    second.place();
}

#[test]
fn an_absent_player_keeps_its_seat_and_its_room() {
    let server = TestServer::start(&["--room-players-max", "2"]);
    let ann = Player::join(server.addr, "/ws?room=dots-a&resume=1");
    let (_ben, _) = Peer::join(server.addr, "/ws?room=dots-a");
    let (id, token) = (ann.id.clone(), ann.token.clone());
    ann.peer.reset();
    server.until_metric("skirmish_players_absent", 1);
    let mut third = Peer::upgrade(server.addr, "/ws?room=dots-a");
    assert_eq!(third.until_close().0, Some(4013), "the room is full");
    let rooms = server.ask("GET /rooms", "").text();
    assert!(rooms.contains(r#""name":"dots-a""#) && rooms.contains(r#""players":2"#), "{rooms}");
    assert_eq!(Player::join(server.addr, &format!("/ws?resume={token}")).id, id);
}
