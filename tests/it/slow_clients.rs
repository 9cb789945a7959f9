//! Peers that do not read, read slowly, or send too much: they must cost little and must not affect
//! other peers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::harness::{
    Peer, TestServer, WAIT_MAX, between, from, handshake, masked, request, until,
};

/// A TCP connection with the smallest receive buffer that the kernel allows.
fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(2_048).expect("a socket option");
    socket.connect(&addr.into()).expect("the server listens");
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket option");
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

/// Reads one second of states and asserts that almost none is missing. A server that is not
/// scheduled for a whole tick skips that tick's state.
fn assert_smooth(player: &mut Peer) {
    let ticks: Vec<u64> = (0..21).map(|_| tick(&player.until_text(&["tick"]))).collect();
    let gaps: Vec<u64> = ticks.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (1..=3).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().filter(|gap| **gap == 1).count() >= 15, "{gaps:?}");
}

// T01, T42
#[test]
fn stalled_readers_cost_little_and_are_closed_as_slow() {
    let server = TestServer::start(&[]);
    let mut players: Vec<Peer> = (0..20).map(|_| Peer::join(server.addr, "/").0).collect();
    let drain =
        |players: &mut Vec<Peer>| players.iter_mut().for_each(|player| drop(player.frame()));
    let before = server.rss_bytes();
    let stalled: Vec<TcpStream> = (0..100).map(|_| stalled(server.addr)).collect();
    until("all have joined", || {
        drain(&mut players);
        (server.metric("skirmish_players") == 120).then_some(())
    });
    until("states are skipped", || {
        drain(&mut players);
        (server.metric("skirmish_snapshots_skipped_total") > 1_000).then_some(())
    });
    assert_smooth(&mut players[0]);
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for 100 stalled readers");
    until("the stalled readers are disconnected", || {
        drain(&mut players);
        (server.metric("skirmish_closes_total{reason=\"slow\"}") == 100).then_some(())
    });
    server.until_metric("skirmish_players", 20);
    drop(stalled);
}

// T79
#[test]
fn a_recovered_reader_gets_the_newest_state_and_no_backlog() {
    let server = TestServer::start(&[]);
    let mut slow = Peer::over(stalled(server.addr));
    let _crowd: Vec<Peer> = (0..40).map(|_| Peer::join(server.addr, "/").0).collect();
    // The kernel buffers some states, and others may be skipped too.
    until("states are skipped", || {
        let skipped = server.metric("skirmish_snapshots_skipped_total");
        (skipped >= 40 && server.metric("skirmish_ticks_total") >= 80).then_some(())
    });
    let (mut newcomer, id) = Peer::join(server.addr, "/");
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
    assert!(newest.contains(&format!("\"id\":\"{id}\"")), "the state has the new player: {newest}");
    assert!(states + 40 <= last, "{states} states by tick {last}");
}

#[test]
fn a_slow_reader_gets_its_last_response() {
    let server = TestServer::start(&[]);
    let mut late = narrow(server.addr);
    let request = request(server.addr, "GET /shared/retry.js", "Connection: close\r\n");
    late.write_all(request.as_bytes()).expect("the server reads");
    // The server has finished with it; the rest is in the kernel.
    server.until_metric("skirmish_connections", 1);
    let mut reader = Peer::over(late);
    let answer = reader.answer(true);
    assert_eq!(answer.body, include_bytes!("../../www/shared/retry.js"));
    reader.expect_end();
}

#[test]
fn the_server_stops_reading_a_peer_that_does_not_read_its_echoes() {
    let server = TestServer::start(&["--echo"]);
    let mut stream = narrow(server.addr);
    stream.write_all(&handshake(server.addr, "/")).expect("the server reads");
    let before = server.rss_bytes();
    let message = masked(0x82, &vec![7; 256 << 10]);
    let sender = stream.try_clone().expect("a second handle");
    let count = 200;
    let sending = std::thread::spawn({
        let message = message.clone();
        move || (0..count).try_for_each(|_| (&sender).write_all(&message))
    });
    until("the server pauses reading", || {
        let taken = server.metric("skirmish_received_bytes_total");
        (taken > 1 << 20).then_some(())
    });
    // For some ticks, because the sender may pause as well.
    let (mut last, mut since) = (0, 0);
    let taken = until("the server stops reading", || {
        let taken = server.metric("skirmish_received_bytes_total");
        let tick = server.metric("skirmish_ticks_total");
        // The pings are received as well.
        if taken > last + 32_768 {
            (last, since) = (taken, tick);
        }
        (tick >= since + 5).then_some(taken)
    });
    assert!(taken < 8 << 20, "{taken} bytes were read");
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    // Once the peer reads, everything is echoed.
    let mut left = count * (message.len() - 4);
    let mut buffer = vec![0; 1 << 20];
    let head = stream.read(&mut buffer[..129]).expect("the handshake");
    assert!(buffer[..head].starts_with(b"HTTP/1.1 101"));
    left += buffer[..head].windows(4).position(|four| four == b"\r\n\r\n").expect("its end") + 4;
    left -= head;
    while left > 0 {
        let count = stream.read(&mut buffer).expect("more bytes");
        assert!(count > 0, "{left} bytes are missing");
        left = left.checked_sub(count).expect("not more bytes than sent");
    }
    sending.join().expect("no panic").expect("all bytes were sent");
}

#[test]
fn an_idle_connection_costs_less_than_two_kilobytes() {
    let server = TestServer::start(&[]);
    let warm: Vec<Peer> = (0..50).map(|_| Peer::connect(server.addr)).collect();
    server.until_metric("skirmish_connections", 51);
    drop(warm);
    server.until_metric("skirmish_connections", 1);
    let before = server.rss_bytes();
    let many: Vec<Peer> = (0..1_000).map(|_| Peer::connect(server.addr)).collect();
    server.until_metric("skirmish_connections", 1_001);
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown / 1_000 < 2_048, "{grown} bytes for 1,000 connections");
    drop(many);
    server.until_metric("skirmish_connections", 1);
}

// T22, T23
#[test]
fn an_address_has_twelve_connections_and_three_more_per_player() {
    let server = TestServer::start(&["--limit-loopback"]);
    let mut idle: Vec<TcpStream> = (0..11).map(|_| from(2, server.addr)).collect();
    let mut player = Peer::over(from(2, server.addr));
    player.send(&handshake(server.addr, "/"));
    assert_eq!(player.answer(true).status, 101);
    idle.extend((0..3).map(|_| from(2, server.addr)));
    let mut surplus = Peer::over(from(2, server.addr));
    surplus.expect_end();
    let (refused, _) = (server.metric("skirmish_refusals_total{reason=\"address_full\"}"), &idle);
    assert_eq!(refused, 1);
    // Other peers are not affected.
    let mut other = Peer::over(from(3, server.addr));
    other.send(&handshake(server.addr, "/"));
    assert_eq!(other.answer(true).status, 101);
    drop((idle, player));
    // The other peer, and the one that requests the metrics.
    server.until_metric("skirmish_connections", 2);
    server.until_metric("skirmish_players", 1);
    let twelve: Vec<TcpStream> = (0..12).map(|_| from(2, server.addr)).collect();
    Peer::over(from(2, server.addr)).expect_end();
    let refused = server.metric("skirmish_refusals_total{reason=\"address_full\"}");
    assert_eq!(refused, 2, "the 13th, because the player has left");
    drop(twelve);
    until("a place is free again", || {
        let mut late = Peer::over(from(2, server.addr));
        (late.try_get("/healthz")? == 200).then_some(())
    });
}

#[test]
fn pages_of_one_address_do_not_block_its_players() {
    let server = TestServer::start(&["--limit-loopback"]);
    let mut kept = Vec::new();
    for number in 0..8 {
        // A browser loads a page over six connections, keeps them, and plays over one more.
        for path in [
            "/",
            "/shared/base.css",
            "/dots/main.js",
            "/shared/link.js",
            "/dots/view.js",
            "/favicon.svg",
        ] {
            let mut page = Peer::over(from(2, server.addr));
            assert_eq!(page.get(path).status, 200, "{path} for browser {number}");
            kept.push(page);
        }
        let mut player = Peer::over(from(2, server.addr));
        player.send(&handshake(server.addr, "/"));
        assert_eq!(player.answer(true).status, 101, "browser {number}");
        kept.push(player);
    }
    server.until_metric("skirmish_players", 8);
}

#[test]
fn an_address_that_joins_too_fast_is_refused_for_a_while() {
    let server = TestServer::start(&["--limit-loopback"]);
    let mut players = Vec::new();
    let refused = until("a request is refused", || {
        let mut player = Peer::over(from(2, server.addr));
        player.send(&handshake(server.addr, "/"));
        let answer = player.answer(true);
        players.push(player);
        (answer.status != 101).then_some(answer)
    });
    assert_eq!(refused.status, 503);
    assert!(refused.field("retry-after").is_some());
    assert!(players.len() > 64, "{} joined", players.len());
    assert!(server.metric("skirmish_refusals_total{reason=\"join_rate\"}") > 0);
}

// T70
#[test]
fn an_idle_player_is_disconnected_if_configured() {
    let server = TestServer::start(&["--idle-kick-s", "1"]);
    let (mut idle, _) = Peer::join(server.addr, "/");
    let (mut busy, _) = Peer::join(server.addr, "/");
    let code = until("the idle player is disconnected", || {
        busy.send_text("{\"type\":\"move\",\"direction\":\"UP\"}");
        busy.frame();
        // Pages ping all the time, which does not count as playing. The connection may have ended
        // already.
        let _ = idle.stream.write_all(&masked(0x81, b"{\"type\":\"ping\",\"t\":1}"));
        let frame = idle.frame();
        (frame.first == 0x88).then(|| frame.close().0)
    });
    assert_eq!(code, Some(4000));
    busy.until_text(&["state_update"]);
    server.until_metric("skirmish_players", 1);
}

#[test]
fn unfinished_input_costs_little_memory() {
    let server = TestServer::start(&[]);
    let mut players: Vec<Peer> = (0..100).map(|_| Peer::join(server.addr, "/").0).collect();
    server.until_metric("skirmish_players", 100);
    let before = server.rss_bytes();
    let received_before = server.metric("skirmish_received_frames_total");
    // A read full of pongs, and the first byte of an incomplete frame.
    let mut burst = masked(0x8a, &[7; 110]).repeat(150);
    burst.push(0x81);
    players.iter_mut().for_each(|player| player.send(&burst));
    server.until_metric("skirmish_received_frames_total", received_before + 100 * 150);
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < 100 * 8_192, "{grown} bytes for 100 bytes");
}

#[test]
fn a_connection_over_the_maximum_gets_one_response() {
    let server = TestServer::start(&["--connections-max", "3"]);
    let _players: Vec<Peer> = (0..3).map(|_| Peer::join(server.addr, "/").0).collect();
    let mut surplus = Peer::connect(server.addr);
    let answer = surplus.get("/healthz");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    surplus.expect_end();
    let mut waiting: Vec<Peer> = (0..20).map(|_| Peer::connect(server.addr)).collect();
    waiting[19].expect_end();
    assert_eq!(waiting[0].get("/healthz").status, 200);
}
