//! Clients that were lost come back to their players, over sockets.

use std::net::SocketAddr;

use skirmish::limits::SESSIONS_AN_ADDRESS;
use skirmish::time::Millis;

use crate::harness::{Peer, TestServer, between, place, until};
use crate::sim::faults;
use crate::sim::fixture::{Fixture, REMOTE, handshake, masked, pages, server, text};
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

// T38
#[test]
fn a_token_works_once_and_one_that_is_unknown_makes_a_new_player() {
    let server = TestServer::start(&[]);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let (id, first) = (ann.id.clone(), ann.token.clone());
    ann.peer.reset();
    // The answer to the first attempt is lost.
    let lost = Player::join(server.addr, &format!("/ws?resume={first}"));
    assert_eq!(lost.id, id);
    lost.peer.reset();
    let mut back = Player::join(server.addr, &format!("/ws?resume={first}"));
    assert_eq!(back.id, id);
    back.peer.send_text(r#"{"type":"ping","t":1}"#);
    back.peer.until_text(&["pong"]);
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

// T70
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
fn a_socketio_client_that_closes_without_a_code_has_missed_pings() {
    let server = TestServer::start(&[]);
    let join = || {
        let mut peer = Peer::upgrade(server.addr, "/socket.io/?EIO=4&transport=websocket");
        peer.until_text(&["0{"]);
        peer.send_text(r#"40{"resume":true}"#);
        peer.until_text(&[r#"42["token""#]);
        peer
    };
    let mut lost = join();
    lost.send_frame(0x88, &[]);
    lost.until_close();
    server.until_metric("skirmish_players_absent", 1);
    // A browser that closes the page, and a client that disconnects first.
    let mut gone = join();
    gone.send_frame(0x88, &1001_u16.to_be_bytes());
    gone.until_close();
    let mut left = join();
    left.send_text("41");
    left.send_frame(0x88, &[]);
    left.until_close();
    server.until_metric("skirmish_players", 0);
    assert_eq!(server.metric("skirmish_players_absent"), 1);
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

#[test]
fn the_token_of_a_player_that_the_message_resume_leaves_is_forgotten() {
    let server = TestServer::start(&[]);
    let mut ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    server.until_metric("skirmish_players", 1);
    let take_over = |ann: Player| {
        let mut next = Player::join(server.addr, "/ws?room=dots&resume=1");
        next.peer.send_text(&format!(r#"{{"type":"resume","token":"{}"}}"#, ann.token));
        let init = next.peer.until_text(&[r#""type":"init""#]);
        assert_eq!(between(&init, r#""id":""#, "\""), ann.id);
        let token = between(&init, r#""token":""#, "\"").to_owned();
        drop(ann.peer);
        server.until_metric("skirmish_connections", 2);
        server.until_metric("skirmish_players", 1);
        Player { token, id: ann.id, peer: next.peer }
    };
    ann = take_over(ann);
    let before = server.metric("skirmish_held_bytes");
    for _ in 0..20 {
        ann = take_over(ann);
    }
    let after = server.metric("skirmish_held_bytes");
    assert!(after < before + 1_000, "{before} bytes became {after}: 192 for each token");
}

#[test]
fn a_token_in_the_query_is_presented_although_auth_asks_for_one() {
    let server = TestServer::start(&[]);
    let ann = Player::join(server.addr, "/ws?room=battle&resume=1");
    let (id, token) = (ann.id.clone(), ann.token.clone());
    ann.peer.reset();
    server.until_metric("skirmish_players_absent", 1);
    let target = format!("/socket.io/?EIO=4&transport=websocket&resume={token}");
    let mut socketio = Peer::upgrade(server.addr, &target);
    socketio.until_text(&["0{"]);
    socketio.send_text(r#"40{"resume":true}"#);
    let connected = socketio.until_text(&["40{"]);
    assert_eq!(between(&connected, r#""sid":""#, "\""), id);
}

#[test]
fn skirmish_v1_always_gets_a_token() {
    let server = TestServer::start(&[]);
    for query in ["", "?resume=1", "?resume=0", "?resume=false"] {
        let client = Client::join(server.addr, &format!("/ws{query}"));
        assert!(client.welcome.token.is_some(), "{query}");
    }
}

#[test]
fn absent_players_count_for_their_address() {
    let flags = ["--limit-loopback", "--resume-s", "300", "--room-players-max", "1000"];
    let mut fixture = Fixture::with_small_pages(&flags);
    let mut joined = 0;
    for _ in 0..400 {
        let id = fixture.open(REMOTE);
        fixture.send(id, &handshake("/ws?room=dots&resume=1"));
        let answer = fixture.take(id);
        joined += usize::from(answer.starts_with(b"HTTP/1.1 101"));
        fixture.server.peer_closed(id, true, fixture.now);
        fixture.server.take_ended(&mut Vec::new());
        // An address may join ten times a second.
        (0..3).for_each(|_| fixture.tick());
    }
    assert_eq!(joined, SESSIONS_AN_ADDRESS as usize, "no connection is left, but the players are");
}

#[test]
fn a_session_that_polls_is_replaced() {
    let server = TestServer::start(&[]);
    let first = crate::polling_client::Client::open_at(server.addr, "/socket.io/");
    first.post(r#"40{"resume":true,"room":"battle"}"#);
    let mut text = String::new();
    let token = until("a token", || {
        text.push_str(&first.poll().text());
        let (_, rest) = text.split_once(r#""token":""#)?;
        Some(rest.split('"').next()?.to_owned())
    });
    let mut second = Player::join(server.addr, &format!("/ws?resume={token}"));
    assert_eq!(second.id, between(&text, r#""sid":""#, "\""));
    let mut last = String::new();
    until("41", || {
        last = first.poll().text();
        last.contains("41").then_some(())
    });
    assert_eq!(first.poll().text(), "1");
    first.is_gone();
    second.place();
    assert_eq!(server.metric("skirmish_players"), 1);
    assert_eq!(server.metric("skirmish_players_absent"), 0);
}

/// A pseudo-random number below `n`.
pub fn below(seed: &mut u64, n: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) % n
}

// T66
#[test]
fn random_joins_losses_and_takeovers_leave_nothing_behind() {
    // As the reactor does.
    let send = |it: &mut Fixture, id, bytes: &[u8]| {
        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            it.send(id, bytes);
        }));
        if sent.is_err() {
            it.server.recover(id, it.now);
        }
    };
    for run in 1..=60_u64 {
        let mut seed = run.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut flags = vec![
            "--limit-loopback",
            "--room-players-max",
            "3",
            "--resume-s",
            "2",
            "--bots",
            "dots-of-1=2",
        ];
        if run % 3 == 0 {
            flags.push("--recovery");
        }
        let mut it = Fixture { server: server(&flags, run, pages()), now: Millis(0), panics: 0 };
        let mut open: Vec<(skirmish::server::ConnId, bool)> = Vec::new();
        let mut tokens: Vec<String> = vec!["0".repeat(40)];
        for _ in 0..600 {
            let token = tokens[below(&mut seed, tokens.len() as u64) as usize].clone();
            let newest = tokens[tokens.len() - 1].clone();
            let token = if below(&mut seed, 2) == 0 { token } else { newest };
            match below(&mut seed, 10) {
                0..=3 => {
                    let peer = format!("192.0.2.{}", 1 + below(&mut seed, 6));
                    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let kind = skirmish::server::ListenerKind::Public;
                        it.server.open(peer.parse().unwrap(), kind, it.now)
                    }));
                    let Ok(Ok(id)) = opened else { continue };
                    let room =
                        ["dots-of-1", "battle-of-1", "world-of-1"][below(&mut seed, 3) as usize];
                    let resume = match below(&mut seed, 3) {
                        0 => "1",
                        1 => &token,
                        _ => "",
                    };
                    let is_socketio = below(&mut seed, 3) == 0;
                    let path = if is_socketio {
                        format!("/socket.io/?EIO=4&transport=websocket&resume={resume}&room={room}")
                    } else {
                        format!("/ws?room={room}&resume={resume}")
                    };
                    let mut bytes = handshake(&path);
                    if is_socketio {
                        bytes.extend(text(&match below(&mut seed, 2) {
                            0 => r#"40{"acks":true}"#.to_owned(),
                            _ => {
                                let tick = below(&mut seed, 600);
                                format!(r#"40{{"pid":"{token}","offset":"{tick}.0"}}"#)
                            }
                        }));
                    }
                    if below(&mut seed, 4) == 0 {
                        bytes.extend(text(&format!(r#"{{"type":"resume","token":"{token}"}}"#)));
                    }
                    open.push((id, is_socketio));
                    send(&mut it, id, &bytes);
                }
                4 if !open.is_empty() => {
                    let at = below(&mut seed, open.len() as u64) as usize;
                    let (id, _) = open.swap_remove(at);
                    it.server.peer_closed(id, below(&mut seed, 2) == 0, it.now);
                }
                5..=7 if !open.is_empty() => {
                    let (id, is_socketio) = open[below(&mut seed, open.len() as u64) as usize];
                    let resume = format!(r#"{{"type":"resume","token":"{token}"}}"#);
                    let bytes = match (is_socketio, below(&mut seed, 3)) {
                        (false, 0) => masked(0x88, &[3, 232]),
                        (false, _) => text(&resume),
                        (true, 0) => text("41"),
                        (true, 1) => text(&format!(r#"40{{"resume":"{token}"}}"#)),
                        (true, _) => {
                            [text("41"), text(&format!(r#"40{{"resume":"{token}"}}"#))].concat()
                        }
                    };
                    send(&mut it, id, &bytes);
                }
                8 if run % 2 == 0 => {
                    let kinds = ["receive", "deadline", "message", "world", "facts", "state"];
                    faults::arm(faults::Armed::at(kinds[below(&mut seed, 6) as usize]));
                }
                _ => it.tick(),
            }
            for (id, _) in &open {
                let out = String::from_utf8_lossy(&it.take(*id)).into_owned();
                for name in [r#""token":""#, r#""pid":""#] {
                    let parts = out.split(name).skip(1);
                    tokens.extend(parts.map(|part| part.chars().take(40).collect::<String>()));
                }
            }
            let mut ended = Vec::new();
            it.server.take_ended(&mut ended);
            open.retain(|(id, _)| {
                !ended.iter().any(|(e, end)| e == id && *end != skirmish::server::End::Shut)
            });
            it.server.check_accounts().expect("memory");
        }
        faults::disarm();
        for (id, _) in open {
            it.server.peer_closed(id, true, it.now);
        }
        // Absent players have left after 2 s: no body is in a world without a client.
        for _ in 0..20 * 4 {
            it.tick();
            it.server.take_ended(&mut Vec::new());
        }
        for (room, most) in [("dots-of-1", 2), ("battle-of-1", 1), ("world-of-1", 1)] {
            let observer = it.server.open(
                "127.0.0.9".parse().unwrap(),
                skirmish::server::ListenerKind::Public,
                it.now,
            );
            let observer = observer.expect("admitted");
            it.send(observer, &handshake(&format!("/ws?room={room}")));
            it.take(observer);
            it.tick();
            let out = String::from_utf8_lossy(&it.take(observer)).into_owned();
            let (_, players) = out.split_once("state_update").expect("a state");
            let count = players.matches(r#""id":""#).count();
            assert!((1..=most).contains(&count), "run {run}: {count} bodies in {room}: {out}");
            it.server.peer_closed(observer, true, it.now);
        }
        for _ in 0..20 * 45 {
            it.tick();
            it.server.take_ended(&mut Vec::new());
        }
        let admin = it.server.open(
            "127.0.0.1".parse().unwrap(),
            skirmish::server::ListenerKind::Admin,
            it.now,
        );
        let admin = admin.expect("admitted");
        it.send(admin, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let text = String::from_utf8_lossy(&it.take(admin)).into_owned();
        for (name, most) in
            [("players", 0), ("players_absent", 0), ("rooms", 0), ("held_bytes", 512)]
        {
            let series = format!("\nskirmish_{name} ");
            let value: u64 = between(&text, &series, "\n").parse().expect("a number");
            assert!(value <= most, "run {run}: {name} {value}, {} tokens", tokens.len());
        }
        if run % 2 == 1 {
            assert_eq!(it.server.metrics().panics, 0, "run {run}");
        }
        // The fixture expects none.
        it.panics = it.server.metrics().panics;
    }
}
