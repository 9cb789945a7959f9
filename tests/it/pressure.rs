//! Peers that do not read, read slowly, or send too much: they cost little, and nobody else feels
//! it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::harness::{Game, PATIENCE, Peer, between, from, handshake, masked, request, until};

/// A TCP connection with a receive buffer that is as small as the kernel lets it be.
fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(2_048).expect("a socket option");
    socket.connect(&addr.into()).expect("the server listens");
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

/// A peer that joins and then reads nothing.
fn stalled(addr: SocketAddr) -> TcpStream {
    let mut stream = narrow(addr);
    stream.write_all(&handshake(addr, "/")).expect("the server reads");
    stream
}

fn tick(state: &str) -> u64 {
    between(state, "\"tick\":", "}").parse().expect("a number")
}

/// Reads a second of states and asserts that hardly a tick is left out: whoever writes to a crowd
/// and is kept from running for a whole tick sends the next state instead.
fn assert_smooth(player: &mut Peer) {
    let ticks: Vec<u64> = (0..21).map(|_| tick(&player.until_text(&["tick"]))).collect();
    let gaps: Vec<u64> = ticks.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (1..=3).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().filter(|gap| **gap == 1).count() >= 15, "{gaps:?}");
}

#[test]
fn readers_that_stall_cost_little_and_are_closed_as_slow() {
    let game = Game::start(&[]);
    let mut players: Vec<Peer> = (0..20).map(|_| Peer::join(game.addr, "/").0).collect();
    let drain =
        |players: &mut Vec<Peer>| players.iter_mut().for_each(|player| drop(player.frame()));
    let before = game.rss_bytes();
    let stalled: Vec<TcpStream> = (0..100).map(|_| stalled(game.addr)).collect();
    until("all have joined", || {
        drain(&mut players);
        (game.metric("skirmish_players") == 120).then_some(())
    });
    until("states are skipped", || {
        drain(&mut players);
        (game.metric("skirmish_snapshots_skipped_total") > 1_000).then_some(())
    });
    assert_smooth(&mut players[0]);
    let grown = game.rss_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for 100 stalled readers");
    until("the slow are gone", || {
        drain(&mut players);
        (game.metric("skirmish_closes_total{reason=\"slow\"}") == 100).then_some(())
    });
    game.until_metric("skirmish_players", 20);
    drop(stalled);
}

#[test]
fn a_reader_that_recovers_sees_the_newest_state_and_never_an_older_one() {
    let game = Game::start(&[]);
    let mut slow = Peer::over(stalled(game.addr));
    let _crowd: Vec<Peer> = (0..40).map(|_| Peer::join(game.addr, "/").0).collect();
    // The kernel holds some states for it, and others may be left out, too.
    until("it is behind", || {
        let skipped = game.metric("skirmish_snapshots_skipped_total");
        (skipped >= 40 && game.metric("skirmish_ticks_total") >= 80).then_some(())
    });
    let (mut newcomer, id) = Peer::join(game.addr, "/");
    let now = tick(newcomer.frame().text());
    assert_eq!(slow.answer(true).status, 101);
    assert!(slow.frame().text().contains("init"));
    let mut states = 0;
    let mut last = 0;
    let newest = loop {
        let state = slow.frame().text().to_owned();
        assert!(tick(&state) > last, "{} after {last}", tick(&state));
        last = tick(&state);
        states += 1;
        if last >= now {
            break state;
        }
    };
    assert!(newest.contains(&format!("\"id\":\"{id}\"")), "the newcomer is there: {newest}");
    assert!(states + 40 <= last, "{states} states by tick {last}: none was queued up");
}

#[test]
fn the_last_answer_reaches_a_reader_that_takes_long_over_it() {
    let game = Game::start(&[]);
    let mut late = narrow(game.addr);
    let wish = request(game.addr, "GET /shared/address.js", "Connection: close\r\n");
    late.write_all(wish.as_bytes()).expect("the server reads");
    // The server has no more to do with it, and the rest is in the kernel.
    game.until_metric("skirmish_connections", 1);
    let mut reader = Peer::over(late);
    let answer = reader.answer(true);
    assert_eq!(answer.body, include_bytes!("../../www/shared/address.js"));
    reader.expect_end();
}

#[test]
fn a_peer_that_does_not_take_its_echoes_is_not_read() {
    let game = Game::start(&["--echo"]);
    let mut stream = narrow(game.addr);
    stream.write_all(&handshake(game.addr, "/")).expect("the server reads");
    let before = game.rss_bytes();
    let message = masked(0x82, &vec![7; 256 << 10]);
    let sender = stream.try_clone().expect("a second handle");
    let count = 200;
    let sending = std::thread::spawn({
        let message = message.clone();
        move || (0..count).try_for_each(|_| (&sender).write_all(&message))
    });
    until("it is paused", || {
        let taken = game.metric("skirmish_received_bytes_total");
        (taken > 1 << 20).then_some(())
    });
    // For some ticks, since the sender may rest, too.
    let (mut last, mut since) = (0, 0);
    let taken = until("it reads no more", || {
        let taken = game.metric("skirmish_received_bytes_total");
        let tick = game.metric("skirmish_ticks_total");
        // The questions are received, too.
        if taken > last + 32_768 {
            (last, since) = (taken, tick);
        }
        (tick >= since + 5).then_some(taken)
    });
    assert!(taken < 8 << 20, "{taken} bytes were read");
    let grown = game.rss_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    // Once it reads, all comes back.
    let mut left = count * (message.len() - 4);
    let mut buffer = vec![0; 1 << 20];
    let head = stream.read(&mut buffer[..129]).expect("the handshake");
    assert!(buffer[..head].starts_with(b"HTTP/1.1 101"));
    left += buffer[..head].windows(4).position(|four| four == b"\r\n\r\n").expect("its end") + 4;
    left -= head;
    while left > 0 {
        let count = stream.read(&mut buffer).expect("more comes");
        assert!(count > 0, "{left} bytes are missing");
        left = left.checked_sub(count).expect("no byte too many");
    }
    sending.join().expect("no panic").expect("all was taken");
}

#[test]
fn an_idle_connection_costs_less_than_two_kilobytes() {
    let game = Game::start(&[]);
    let warm: Vec<Peer> = (0..50).map(|_| Peer::connect(game.addr)).collect();
    game.until_metric("skirmish_connections", 51);
    drop(warm);
    game.until_metric("skirmish_connections", 1);
    let before = game.rss_bytes();
    let many: Vec<Peer> = (0..1_000).map(|_| Peer::connect(game.addr)).collect();
    game.until_metric("skirmish_connections", 1_001);
    let grown = game.rss_bytes().saturating_sub(before);
    assert!(grown / 1_000 < 2_048, "{grown} bytes for 1,000 connections");
    drop(many);
    game.until_metric("skirmish_connections", 1);
}

#[test]
fn an_address_has_twelve_connections_and_three_more_for_each_player() {
    let game = Game::start(&["--limit-loopback"]);
    let mut idle: Vec<TcpStream> = (0..11).map(|_| from(2, game.addr)).collect();
    let mut player = Peer::over(from(2, game.addr));
    player.send(&handshake(game.addr, "/"));
    assert_eq!(player.answer(true).status, 101);
    idle.extend((0..3).map(|_| from(2, game.addr)));
    let mut surplus = Peer::over(from(2, game.addr));
    surplus.expect_end();
    let (refused, _) = (game.metric("skirmish_refusals_total{reason=\"address_full\"}"), &idle);
    assert_eq!(refused, 1);
    // Somebody else is not concerned.
    let mut other = Peer::over(from(3, game.addr));
    other.send(&handshake(game.addr, "/"));
    assert_eq!(other.answer(true).status, 101);
    drop((idle, player));
    // The other, and whoever asks.
    game.until_metric("skirmish_connections", 2);
    game.until_metric("skirmish_players", 1);
    let twelve: Vec<TcpStream> = (0..12).map(|_| from(2, game.addr)).collect();
    Peer::over(from(2, game.addr)).expect_end();
    let refused = game.metric("skirmish_refusals_total{reason=\"address_full\"}");
    assert_eq!(refused, 2, "the 13th: nothing is left of the player");
    drop(twelve);
    until("there is room again", || {
        let mut late = Peer::over(from(2, game.addr));
        (late.try_get("/healthz")? == 200).then_some(())
    });
}

#[test]
fn players_behind_one_address_do_not_wait_for_the_pages_of_the_others() {
    let game = Game::start(&["--limit-loopback"]);
    let mut kept = Vec::new();
    for number in 0..8 {
        // A browser loads a page over six connections, keeps them, and then plays over another.
        for path in [
            "/",
            "/shared/base.css",
            "/dots/main.js",
            "/shared/link.js",
            "/dots/view.js",
            "/favicon.svg",
        ] {
            let mut page = Peer::over(from(2, game.addr));
            assert_eq!(page.get(path).status, 200, "{path} for browser {number}");
            kept.push(page);
        }
        let mut player = Peer::over(from(2, game.addr));
        player.send(&handshake(game.addr, "/"));
        assert_eq!(player.answer(true).status, 101, "browser {number}");
        kept.push(player);
    }
    game.until_metric("skirmish_players", 8);
}

#[test]
fn an_address_that_joins_too_fast_is_asked_to_wait() {
    let game = Game::start(&["--limit-loopback"]);
    let mut players = Vec::new();
    let refused = until("one is refused", || {
        let mut player = Peer::over(from(2, game.addr));
        player.send(&handshake(game.addr, "/"));
        let answer = player.answer(true);
        players.push(player);
        (answer.status != 101).then_some(answer)
    });
    assert_eq!(refused.status, 503);
    assert!(refused.field("retry-after").is_some());
    assert!(players.len() > 64, "{} joined", players.len());
    assert!(game.metric("skirmish_refusals_total{reason=\"join_rate\"}") > 0);
}

#[test]
fn a_player_that_does_nothing_is_sent_away_if_the_operator_wishes() {
    let game = Game::start(&["--idle-kick-s", "1"]);
    let (mut idle, _) = Peer::join(game.addr, "/");
    let (mut busy, _) = Peer::join(game.addr, "/");
    let code = until("the idle one is sent away", || {
        busy.send_text("{\"type\":\"move\",\"direction\":\"UP\"}");
        busy.frame();
        // Pages ping all the time; that is not playing. It may have ended, unread so far.
        let _ = idle.stream.write_all(&masked(0x81, b"{\"type\":\"ping\",\"t\":1}"));
        let frame = idle.frame();
        (frame.first == 0x88).then(|| frame.close().0)
    });
    assert_eq!(code, Some(4000));
    busy.until_text(&["state_update"]);
    game.until_metric("skirmish_players", 1);
}

#[test]
fn what_a_peer_leaves_unfinished_holds_little() {
    let game = Game::start(&[]);
    let mut players: Vec<Peer> = (0..100).map(|_| Peer::join(game.addr, "/").0).collect();
    game.until_metric("skirmish_players", 100);
    let before = game.rss_bytes();
    let heard = game.metric("skirmish_received_frames_total");
    // A read full of pongs, and the first byte of a frame that never comes.
    let mut burst = masked(0x8a, &[7; 110]).repeat(150);
    burst.push(0x81);
    players.iter_mut().for_each(|player| player.send(&burst));
    game.until_metric("skirmish_received_frames_total", heard + 100 * 150);
    let grown = game.rss_bytes().saturating_sub(before);
    assert!(grown < 100 * 8_192, "{grown} bytes for 100 bytes");
}

#[test]
fn beyond_the_most_connections_a_request_is_answered_once_and_then_none() {
    let game = Game::start(&["--connections-max", "3"]);
    let _players: Vec<Peer> = (0..3).map(|_| Peer::join(game.addr, "/").0).collect();
    let mut surplus = Peer::connect(game.addr);
    let answer = surplus.get("/healthz");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    surplus.expect_end();
    let mut waiting: Vec<Peer> = (0..20).map(|_| Peer::connect(game.addr)).collect();
    waiting[19].expect_end();
    assert_eq!(waiting[0].get("/healthz").status, 200);
}
