//! Socket.IO players without sockets: what they send, and how they handle what they receive.

use std::ffi::OsString;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::config::{self, Config};
use crate::load::context::Common;
use crate::load::duel::Duels;
use crate::load::groups::{Group, Tallies};
use crate::load::probe::Probe;
use crate::load::v1::Shared;
use crate::ws::frame::{PING, TEXT, encode};
use crate::ws::{Assembler, FrameRules, Mask, Message};

const POLL: usize = 0;
const POST: usize = 1;
const WEB: usize = 2;

const TO: Position = Position { x: 1.0, y: 2.0 };
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const OPEN: &str =
    r#"0{"sid":"s1","upgrades":[],"pingInterval":9,"pingTimeout":9,"maxPayload":100}"#;

/// One client and its context.
struct Bench {
    driver: Driver,
    player: Player,
    common: Common,
}

impl Bench {
    /// The client 0 of a run with these flags.
    fn new(flags: &[&str], role: Role) -> Bench {
        let args = ["skirmish", "load", "http://h:1", "--dialect", "socketio"];
        let args = args.iter().chain(flags).map(OsString::from);
        let Ok(Config::Load(options)) = config::parse(args) else { panic!("{flags:?}") };
        let mut player = Player::new(0, role);
        player.stage = Stage::Joining;
        let driver = Driver::begin(&options, 0, &mut player);
        let mut tallies = Tallies::new();
        tallies.set_window(&(0..u64::MAX));
        let (rng, duels) = (SmallRng::seed_from_u64(1), Duels::new(2, 2));
        Bench {
            driver,
            player,
            common: Common { now_us: 0, tallies, duels, v1: Shared::default(), rng },
        }
    }

    /// A client that plays over a WebSocket, with the id 7.
    fn playing(flags: &[&str], role: Role) -> Bench {
        let mut bench = Bench::new(flags, role);
        bench.receive(WEB, SWITCHED.as_bytes()).unwrap();
        bench.receive_text(OPEN).unwrap();
        bench.receive_text(r#"40{"sid":"7"}"#).unwrap();
        assert_eq!(bench.player.stage, Stage::Playing);
        bench.player.links[WEB].out.clear();
        bench
    }

    /// Receives bytes one at a time.
    fn receive(&mut self, link: usize, bytes: &[u8]) -> Result<(), Loss> {
        bytes.iter().try_for_each(|byte| {
            self.driver.receive(
                link,
                &[*byte],
                &mut self.player,
                &mut self.common.context(Group::SocketIo),
            )
        })
    }

    fn receive_text(&mut self, text: &str) -> Result<(), Loss> {
        let mut frame = Vec::new();
        encode(TEXT, text.as_bytes(), &mut frame);
        self.receive(WEB, &frame)
    }

    fn receive_response(&mut self, link: usize, body: &str) -> Result<(), Loss> {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        self.receive(link, answer.as_bytes())
    }

    fn act(&mut self, act: impl FnOnce(&mut Driver, &mut Player, &mut Context)) {
        act(&mut self.driver, &mut self.player, &mut self.common.context(Group::SocketIo));
    }

    /// What is to be sent over a connection, which is taken away: the first line of a request, and
    /// its body.
    fn request(&mut self, link: usize) -> (String, String) {
        assert!(self.player.links[link].is_wanted);
        let out = String::from_utf8(std::mem::take(&mut self.player.links[link].out)).unwrap();
        let (head, body) = out.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.contains("\r\nHost: h:1\r\n"), "{head}");
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The texts that are to be sent over the WebSocket, which are taken away.
    fn texts(&mut self) -> Vec<String> {
        let rules = FrameRules {
            mask: Mask::Required,
            takes_compressed: false,
            message_bytes_max: 4_096,
            fragments_max: 1,
        };
        let mut out = std::mem::take(&mut self.player.links[WEB].out);
        let (mut assembler, mut taken, mut texts) = (Assembler::default(), 0, Vec::new());
        while let Ok((length, Some(message))) = assembler.next(&mut out[taken..], &rules) {
            taken += length;
            texts.push(match message {
                Message::Text(text) => String::from_utf8(text.bytes().to_vec()).unwrap(),
                other => format!("{other:?}"),
            });
        }
        texts
    }
}

#[test]
fn a_session_over_websocket() {
    let mut bench = Bench::new(&["--room-players", "5"], Role::Probe(Box::<Probe>::default()));
    let target = "/socket.io/?room=battle-load-0&EIO=4&transport=websocket";
    assert_eq!(bench.request(WEB).0, format!("GET {target} HTTP/1.1"));
    bench.receive(WEB, SWITCHED.as_bytes()).unwrap();
    assert!(bench.texts().is_empty());
    bench.receive_text(OPEN).unwrap();
    assert_eq!(bench.texts(), [r#"40{"room":"battle-load-0"}"#]);
    bench.receive_text("2").unwrap();
    assert_eq!(bench.texts(), ["3"]);
    bench.common.now_us = 5_000;
    bench.receive_text(r#"40{"sid":"7"}"#).unwrap();
    assert_eq!(
        (bench.player.stage, bench.common.tallies[Group::SocketIo].playing),
        (Stage::Playing, 1)
    );
    let mut ping = Vec::new();
    encode(PING, b"hi", &mut ping);
    bench.receive(WEB, &ping).unwrap();
    assert_eq!(bench.player.links[WEB].out.len(), 2 + 4 + 2, "the pong");
    bench.texts();

    // A probe with an unknown position makes a move that is not timed, to learn it.
    bench.act(|driver, player, context| {
        assert_eq!(driver.probe(5_000, player, context), Due::NotReady);
    });
    assert_eq!(bench.texts(), [r#"420["move",{"x":50.0,"y":50.0}]"#]);
    bench
        .receive_text(r#"42["player_moved",{"id":"7","position":{"x":60,"y":9,"hp":1}}]"#)
        .unwrap();
    bench.act(|driver, player, context| {
        assert_eq!(driver.probe(6_000, player, context), Due::Send(Direction::Left));
    });
    assert_eq!(bench.texts(), [r#"421["move",{"x":55.0,"y":9.0}]"#]);
    bench.common.now_us = 7_000;
    bench.receive_text(r#"431[{"ok":true,"position":{"x":55,"y":9,"hp":1}}]"#).unwrap();
    bench.common.now_us = 26_000;
    bench
        .receive_text(r#"42["player_moved",{"id":"77","position":{"x":55,"y":9,"hp":1}}]"#)
        .unwrap();
    assert_eq!(bench.common.tallies[Group::SocketIo].counters.probes_visible, 0);
    bench
        .receive_text(r#"42["player_moved",{"id":"7","position":{"x":55,"y":9,"hp":1}}]"#)
        .unwrap();
    let tally = &bench.common.tallies[Group::SocketIo];
    assert!(tally.visible_us.max().abs_diff(20_000) < 50 && tally.counters.probes_visible == 1);
    assert_eq!((tally.counters.acks_asked, tally.counters.acks_answered), (2, 1));
    assert_eq!(tally.ack_us.max(), 1_000);
    let counters = tally.counters;
    assert_eq!((counters.events, counters.moved, counters.moved_self), (3, 3, 2));
    assert_eq!((counters.updates, bench.player.moved), (2, 3), "the last two came at once");

    assert_eq!(bench.receive_text("41"), Err(Loss::Disconnected));
}

#[test]
fn ends_are_distinguished() {
    let end = |text: &str| Bench::playing(&[], Role::Crowd).receive_text(text).unwrap_err();
    assert_eq!(end("1"), Loss::Ended);
    assert_eq!(end("9"), Loss::Protocol("invalid Engine.IO packet"));
    assert_eq!(end("49"), Loss::Protocol("invalid Socket.IO packet"));
    let refused = end(r#"44{"message":"full"}"#);
    assert_eq!(refused.sentence(), "refused by the server, \"full\"");
    let mut bench = Bench::playing(&[], Role::Crowd);
    let mut both = Vec::new();
    encode(TEXT, b"41", &mut both);
    encode(crate::ws::frame::CLOSE, &crate::ws::close::payload(4029, ""), &mut both);
    let mut context = bench.common.context(Group::SocketIo);
    let end = bench.driver.receive(WEB, &both, &mut bench.player, &mut context);
    assert_eq!(end, Err(Loss::Closed(Some(4029), String::new())), "it explains more than 41");
    assert_eq!(bench.driver.hang_up(WEB, &mut bench.player), Err(Loss::Eof));
    let mut bench = Bench::new(&["--transport", "polling"], Role::Crowd);
    bench.receive_response(POLL, OPEN).unwrap();
    assert_eq!(bench.receive_response(POLL, "41\x1e1"), Err(Loss::Disconnected));
}

#[test]
fn a_session_over_polling() {
    let mut bench = Bench::new(&["--transport", "polling"], Role::Crowd);
    assert_eq!(bench.request(POLL).0, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1");
    bench.receive_response(POLL, OPEN).unwrap();
    let poll = "GET /socket.io/?EIO=4&transport=polling&sid=s1 HTTP/1.1";
    assert_eq!(bench.request(POLL).0, poll);
    let post = poll.replace("GET", "POST");
    assert_eq!(bench.request(POST), (post.clone(), "40".to_owned()));
    // While a post is pending, further packets wait for the next one.
    bench.receive_response(POLL, "40{\"sid\":\"7\"}\x1e2").unwrap();
    assert_eq!(bench.player.stage, Stage::Playing);
    assert_eq!(bench.request(POLL).0, poll);
    bench.act(|driver, player, context| driver.attack(0, player, context));
    assert_eq!(
        bench.common.tallies[Group::SocketIo].counters.attacks,
        0,
        "its position is unknown"
    );
    bench.act(|driver, player, context| driver.go(TO, 0, false, player, context));
    assert!(bench.player.links[POST].out.is_empty());
    bench.receive_response(POST, "ok").unwrap();
    let both = "3\x1e42[\"move\",{\"x\":1.0,\"y\":2.0}]";
    assert_eq!(bench.request(POST), (post, both.to_owned()));
    // A payload is never larger than the server allows.
    for _ in 0..5 {
        bench.act(|driver, player, context| driver.go(TO, 0, false, player, context));
    }
    let counters = &bench.common.tallies[Group::SocketIo].counters;
    assert_eq!((counters.moves, counters.moves_dropped), (4, 2));

    // One poll response is one update.
    let moved =
        |id: u32| format!(r#"42["player_moved",{{"id":"{id}","position":{{"x":1,"y":2}}}}]"#);
    bench.common.now_us = 50_000;
    bench.receive_response(POLL, &[moved(1), moved(7)].join("\x1e")).unwrap();
    bench.common.now_us = 51_000;
    bench.receive_response(POLL, r#"42["player_left",{"id":"3"}]"#).unwrap();
    bench.receive_response(POLL, &moved(1)).unwrap();
    let counters = &bench.common.tallies[Group::SocketIo].counters;
    assert_eq!((counters.updates, counters.moved, counters.events), (2, 3, 4));
    assert_eq!(bench.common.tallies[Group::SocketIo].gap_us.max(), 1_000);

    bench.act(Driver::close);
    bench.receive_response(POST, "ok").unwrap();
    assert!(bench.request(POST).1.ends_with("]\x1e41\x1e1"));
    assert_eq!(bench.receive_response(POST, "ok"), Err(Loss::Eof), "it is done");
}

#[test]
fn requests_are_repeated_if_an_idle_connection_was_closed() {
    let mut bench = Bench::new(&["--transport", "polling"], Role::Crowd);
    bench.receive_response(POLL, OPEN).unwrap();
    let first = bench.request(POST);
    let player = &mut bench.player;
    assert_eq!(bench.driver.hang_up(POST, player), Err(Loss::Eof), "a new one has no excuse");
    bench.receive_response(POST, "ok").unwrap();
    bench.driver.hang_up(POST, &mut bench.player).unwrap();
    assert!(!bench.player.links[POST].is_wanted);

    bench.act(|driver, player, context| driver.go(TO, 0, false, player, context));
    let second = bench.request(POST);
    assert_ne!(first, second);
    bench.driver.hang_up(POST, &mut bench.player).unwrap();
    assert_eq!(bench.request(POST), second);
    assert_eq!(bench.driver.hang_up(POST, &mut bench.player), Err(Loss::Eof));

    // A server that ends each connection gets a new one for each request.
    let mut bench = Bench::new(&["--transport", "polling"], Role::Crowd);
    bench.player.links[POLL].out.clear();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", OPEN.len());
    bench.receive(POLL, format!("{head}\r\n\r\n{OPEN}").as_bytes()).unwrap();
    assert!(bench.player.links[POLL].is_spent);
    bench.driver.hang_up(POLL, &mut bench.player).unwrap();
    assert!(bench.request(POLL).0.contains("sid=s1"));
    let refused = "HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno";
    let end = bench.receive(POLL, refused.as_bytes()).unwrap_err();
    assert_eq!(end, Loss::Status(400, "no".to_owned()));
}

#[test]
fn polling_is_upgraded_to_websocket() {
    let mut bench = Bench::new(&["--transport", "upgrade"], Role::Crowd);
    bench.receive_response(POLL, OPEN).unwrap();
    assert_eq!(bench.request(POST).1, "40");
    let target = "/socket.io/?EIO=4&transport=websocket&sid=s1";
    assert_eq!(bench.request(WEB).0, format!("GET {target} HTTP/1.1"));
    bench.player.links[POLL].out.clear();
    bench.receive(WEB, SWITCHED.as_bytes()).unwrap();
    assert_eq!(bench.texts(), ["2probe"]);
    bench.receive_response(POLL, r#"40{"sid":"7"}"#).unwrap();
    assert!(!bench.request(POLL).0.is_empty(), "it polls again");
    assert_eq!(bench.player.stage, Stage::Joining);
    bench.receive_text("3probe").unwrap();
    bench.act(|driver, player, context| driver.go(TO, 0, false, player, context));
    bench.receive_response(POLL, "6").unwrap();
    assert!(bench.player.links[POLL].out.is_empty(), "no further poll");
    assert!(bench.texts().is_empty(), "the post is still under way");
    bench.receive_response(POST, "ok").unwrap();
    assert_eq!(bench.texts(), ["5", r#"42["move",{"x":1.0,"y":2.0}]"#]);
    assert_eq!(bench.player.links.each_ref().map(|link| link.is_wanted), [false, false, true]);
    assert_eq!(bench.player.stage, Stage::Playing);
}

#[test]
fn dead_players_do_nothing_until_they_respawn() {
    let mut bench = Bench::playing(&[], Role::Probe(Box::<Probe>::default()));
    let moved = r#"42["player_moved",{"id":"7","position":{"x":60,"y":9,"hp":1}}]"#;
    bench.receive_text(moved).unwrap();
    let probe = |bench: &mut Bench, now_us| {
        bench.common.now_us = now_us;
        let mut context = bench.common.context(Group::SocketIo);
        bench.driver.probe(now_us, &mut bench.player, &mut context)
    };
    assert_eq!(probe(&mut bench, 1_000), Due::Send(Direction::Left));
    bench.receive_text(r#"42["player_killed",{"id":"7","by":"1","respawn_ms":3000}]"#).unwrap();
    assert_eq!(probe(&mut bench, 2_000_000), Due::NotReady);
    let back = r#"42["player_respawned",{"id":"7","position":{"x":2,"y":9,"hp":100,"name":"a"}}]"#;
    bench.receive_text(back).unwrap();
    assert_eq!(probe(&mut bench, 2_500_000), Due::Send(Direction::Right));
    assert_eq!(bench.common.tallies[Group::SocketIo].counters.probes_lost, 0);
    // Other servers have no dead players.
    bench.receive_text(r#"42["player_killed",{"id":"7"}]"#).unwrap();
    assert_eq!(probe(&mut bench, 3_000_000), Due::Wait);
}

#[test]
fn a_duel_is_timed_from_the_attack_to_the_hit() {
    let fighter = |client| {
        let duelist = Duels::new(2, 2).duelist(client).unwrap();
        Bench::playing(&["--attacks-hz", "2"], Role::Duelist(duelist))
    };
    let there = r#"42["player_moved",{"id":"7","position":{"x":0,"y":0,"hp":1}}]"#;
    let mut attacker = fighter(0);
    attacker.act(|driver, player, context| driver.walk(0, player, context));
    assert_eq!(attacker.texts(), [r#"42["move",{"x":0.0,"y":0.0}]"#]);
    assert!(!attacker.driver.is_ready_to_fight(&attacker.player, 0));
    attacker.receive_text(there).unwrap();
    assert!(attacker.driver.is_ready_to_fight(&attacker.player, 0));
    attacker.act(|driver, player, context| driver.walk(0, player, context));
    assert!(attacker.texts().is_empty(), "it is there");
    attacker.common.duels.start(0, 1_000, 1_000);
    attacker.act(|driver, player, context| driver.attack(1_000, player, context));
    assert_eq!(attacker.texts(), [r#"420["attack",{}]"#]);
    attacker.receive_text(r#"430[{"ok":false,"error":"cooldown"}]"#).unwrap();
    assert!(attacker.common.duels.are_settled(u64::MAX), "there is nothing to wait for");
    assert_eq!(attacker.common.tallies[Group::SocketIo].refusals["cooldown"], 1);

    let mut target = fighter(1);
    target.common.duels.start(0, 1_000, 1_000);
    target.common.now_us = 3_000;
    target.receive_text(r#"42["player_attacked",{"id":"8","hp":90}]"#).unwrap();
    assert_eq!(target.common.tallies[Group::SocketIo].counters.hits_seen, 0);
    target.receive_text(r#"42["player_attacked",{"id":"7","hp":90}]"#).unwrap();
    target.receive_text(r#"42["player_attacked",{"id":"7","hp":80}]"#).unwrap();
    let tally = &target.common.tallies[Group::SocketIo];
    assert_eq!((tally.counters.hits, tally.counters.hits_seen), (2, 1));
    assert_eq!(tally.hit_us.max(), 2_000);
}

#[test]
fn other_players_attack_away_from_duels() {
    let mut bench = Bench::playing(&["--attacks-hz", "2", "--acks", "all"], Role::Crowd);
    for (x, count) in [(10, 0), (50, 1), (90, 1), (25, 2)] {
        let moved = format!(r#"42["player_moved",{{"id":"7","position":{{"x":{x},"y":2}}}}]"#);
        bench.receive_text(&moved).unwrap();
        bench.act(|driver, player, context| driver.attack(0, player, context));
        assert_eq!(bench.common.tallies[Group::SocketIo].counters.attacks, count, "at {x}");
    }
    assert_eq!(bench.texts(), [r#"420["attack",{}]"#, r#"421["attack",{}]"#]);
    bench.act(|driver, player, context| driver.make_move(0, player, context));
    assert!(bench.texts()[0].starts_with(r#"422["move",{"x":"#));
}
