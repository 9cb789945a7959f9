//! Behind a proxy: the client address of a request, and the admin port.

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{
    Answer, KEY, Peer, TestServer, between, from, handshake, request, try_from, until,
};

/// A server that trusts 127.0.0.2 and has a separate admin port.
fn behind_proxy() -> TestServer {
    TestServer::start(&["--trusted-proxy", "127.0.0.2", "--admin-listen", "127.0.0.1:0"])
}

/// The peer 127.0.0.`host` tries to join with more `fields` in its request.
fn try_join(host: u8, addr: SocketAddr, fields: &str) -> (Peer, Answer) {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    let fields = format!("{upgrade}Sec-WebSocket-Key: {KEY}\r\n{fields}");
    let mut peer = Peer::over(from(host, addr));
    let answer = peer.ask(&request(addr, "GET /", &fields));
    (peer, answer)
}

/// Asserts that all joins of the peer 127.0.0.`host` share one rate limit, whatever the number in
/// the `fields` of each.
fn assert_one_budget(host: u8, server: &TestServer, fields: impl Fn(usize) -> String) {
    assert_joins_share_a_rate(|n| try_join(host, server.addr, &fields(n)));
}

/// Asserts that all joins share one rate limit. `join` gets the number of joins before.
pub fn assert_joins_share_a_rate(mut join: impl FnMut(usize) -> (Peer, Answer)) {
    let since = Instant::now();
    let mut players = Vec::new();
    let refused = until("a request is refused", || {
        let (player, answer) = join(players.len());
        players.push(player);
        (answer.status != 101).then_some(answer)
    });
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("2")));
    // A burst of 64, and 10 a second.
    let most = 65 + (since.elapsed().as_millis() / 100) as usize;
    assert!((64..=most).contains(&(players.len() - 1)), "{} of {most}", players.len() - 1);
}

/// `proxy_protocol` has the same for the PROXY protocol.
// T50
#[test]
fn an_untrusted_peer_counts_by_its_own_address() {
    let server = behind_proxy();
    assert_one_budget(3, &server, |n| format!("X-Forwarded-For: 192.0.2.{n}\r\n"));
    assert!(server.metric("skirmish_refusals_total{reason=\"join_rate\"}") > 0);
    let (_, other) = try_join(4, server.addr, "");
    assert_eq!(other.status, 101, "another address is not affected");
    // With a proxy on this machine, loopback gets no exemption.
    let _idle: Vec<TcpStream> = (0..12).map(|_| from(5, server.addr)).collect();
    Peer::expect_refused(try_from(5, server.addr));
}

#[test]
fn unused_sessions_are_evicted_for_other_addresses() {
    let server = behind_proxy();
    let mut proxy = Peer::over(from(2, server.addr));
    let mut open = |client: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        let line = "GET /socket.io/?EIO=4&transport=polling";
        proxy.ask(&request(server.addr, line, &fields))
    };
    let first = open("192.0.2.0").text();
    for n in 1..64 * 64 {
        assert_eq!(open(&format!("192.0.2.{}", n % 64)).status, 200);
    }
    assert_eq!(server.metric("skirmish_engine_sessions"), 64 * 64);
    let newcomer = open("192.0.2.99");
    assert_eq!(newcomer.status, 200, "an address with fewer sessions");
    let newcomer = newcomer.text();
    assert_eq!(server.metric("skirmish_engine_sessions"), 64 * 64);
    assert_eq!(open("192.0.2.1").status, 503, "an address with the most sessions");
    let poll = |open: &str| {
        let sid = between(open, "\"sid\":\"", "\"");
        let line = format!("GET /socket.io/?EIO=4&transport=polling&sid={sid}");
        let mut peer = Peer::over(from(2, server.addr));
        peer.send(request(server.addr, &line, "").as_bytes());
        peer
    };
    assert_eq!(poll(&first).answer(true).text(), "1", "the oldest session was evicted");
    let _held = poll(&newcomer);
    server.until_metric("skirmish_polls_held", 1);
}

#[test]
fn each_client_of_a_proxy_has_its_own_limits() {
    let server = behind_proxy();
    let join = |client: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        try_join(2, server.addr, &fields).1.status
    };
    assert_one_budget(2, &server, |_| "X-Forwarded-For: 192.0.2.1\r\n".to_owned());
    assert_eq!(join("192.0.2.2"), 101);
    // All addresses of a /64 count as one.
    assert_one_budget(2, &server, |n| format!("X-Forwarded-For: 2001:db8::{n:x}\r\n"));
    assert_eq!(join("2001:db8:0:1::1"), 101);
    assert_eq!(join("[2001:db8:0:2::1]:4711"), 101);
}

// T50
#[test]
fn a_forged_address_gains_no_joins() {
    let mut server = behind_proxy();
    assert_one_budget(2, &server, |n| format!("X-Forwarded-For: 198.51.100.{n}, 192.0.2.1\r\n"));
    assert_one_budget(2, &server, |n| {
        format!("X-Forwarded-For: 198.51.100.{n}\r\nx-forwarded-for: 192.0.2.2, 127.0.0.2\r\n")
    });
    // Clients without a valid address share one budget, which is not the proxy's.
    assert_one_budget(2, &server, |n| format!("X-Forwarded-For: 198.51.100.{n}, unknown\r\n"));
    for value in ["", "192.0.2.1,", "\u{e9}", "unknown, 127.0.0.2"] {
        // On a slow machine the budget has grown since. One of its own would allow 64.
        let fields = format!("X-Forwarded-For: {value}\r\n");
        let is_refused = |_| try_join(2, server.addr, &fields).1.status == 503;
        assert!((0..60).any(is_refused), "{value:?}");
    }
    for fields in ["X-Forwarded-For: 198.51.100.1, 192.0.2.3\r\n", ""] {
        let (_, other) = try_join(2, server.addr, fields);
        assert_eq!(other.status, 101, "{fields:?}");
    }
    for what in ["X-Forwarded-For is not an address", "no X-Forwarded-For"] {
        server.until_logged(what);
        let lines = server.log().iter().filter(|line| line.contains(what)).count();
        assert_eq!(lines, 1, "{what}");
    }
}

// T76
#[test]
fn clients_without_a_readable_address_share_the_limits_of_one() {
    let mut server = behind_proxy();
    let long = [b'x'; 7_000];
    let values = [&b"\xe9\xff"[..], b"", &long, b"192.0.2.1, \xff", b"192.0.2.1\xa0"];
    let join = |value: &[u8]| {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
        let fields = format!("{upgrade}Sec-WebSocket-Key: {KEY}\r\nX-Forwarded-For: ");
        let head = request(server.addr, "GET /", &fields);
        let head = head.strip_suffix("\r\n").expect("an empty line").as_bytes();
        let mut peer = Peer::over(from(2, server.addr));
        peer.send(&[head, value, b"\r\n\r\n"].concat());
        (peer.answer(true).status, peer)
    };
    let since = Instant::now();
    let mut players = Vec::new();
    let refused = until("a join is refused", || {
        let (status, player) = join(values[players.len() % values.len()]);
        players.push(player);
        (status != 101).then_some(status)
    });
    assert_eq!(refused, 503);
    let most = 65 + (since.elapsed().as_millis() / 100) as usize;
    assert!((64..=most).contains(&(players.len() - 1)), "{} of {most}", players.len() - 1);
    let unknown = server.metric("skirmish_clients_unknown_total");
    assert_eq!(unknown, players.len() as u64);
    assert_eq!(try_join(2, server.addr, "X-Forwarded-For: 192.0.2.1\r\n").1.status, 101);
    let what = "X-Forwarded-For is not an address";
    server.until_logged(what);
    assert_eq!(server.log().iter().filter(|line| line.contains(what)).count(), 1);
}

#[test]
fn a_player_has_its_own_address_in_the_log() {
    let mut server = behind_proxy();
    let (mut player, answer) = try_join(2, server.addr, "X-Forwarded-For: 192.0.2.9\r\n");
    assert_eq!(answer.status, 101);
    assert!(player.frame().text().contains("init"));
    let line = server.until_logged("joined");
    assert!(line.contains("peer=192.0.2.9"), "{line}");
    let (_liar, _) = try_join(3, server.addr, "X-Forwarded-For: 192.0.2.9\r\n");
    server.until_logged("peer=127.0.0.3");
}

#[test]
fn a_connection_counts_for_the_proxy_until_a_player_joins() {
    let server = behind_proxy();
    let idle: Vec<TcpStream> = (0..30).map(|_| from(2, server.addr)).collect();
    let fields = "X-Forwarded-For: 127.0.0.3\r\n";
    let (player, answer) = try_join(2, server.addr, fields);
    assert_eq!(answer.status, 101, "a proxy has no connection limit");
    // A player's address may have 15 connections, including this one.
    let more: Vec<TcpStream> = (0..14).map(|_| from(3, server.addr)).collect();
    Peer::expect_refused(try_from(3, server.addr));
    drop((player, idle, more));
    // The connection that requests the metrics.
    server.until_metric("skirmish_connections", 1);
    // Without the player the limit is 12 again, and all of them are from pages.
    let _twelve: Vec<TcpStream> = (0..12).map(|_| from(3, server.addr)).collect();
    Peer::expect_refused(try_from(3, server.addr));
    let refused = server.metric("skirmish_refusals_total{reason=\"address_full\"}");
    assert_eq!(refused, 2, "the 16th and the 13th");
}

#[test]
fn metrics_behind_a_proxy_are_on_the_admin_port() {
    let server = behind_proxy();
    let refused = server.ask("GET /metrics", "");
    assert_eq!(refused.status, 403, "no address counts as local");
    assert!(refused.text().contains("--admin-listen"));
    let mut operator = Peer::connect(server.admin());
    let metrics = operator.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().contains("\nskirmish_players 0\n"));
    assert_eq!(metrics.field("cache-control"), Some("no-store"));
    assert_eq!(operator.get("/healthz").text(), "ok\n", "the connection is open");
    let head = operator.ask(&request(server.admin(), "HEAD /metrics", ""));
    assert_eq!(head.status, 200);
    assert!(head.field("content-length").is_some_and(|length| length.len() >= 4));
    assert_eq!(operator.ask(&request(server.admin(), "HEAD /healthz", "")).status, 200);
    // With --admin-listen they are on the admin port even without a proxy.
    let server = TestServer::start(&["--admin-listen", "127.0.0.1:0"]);
    assert_eq!(server.ask("GET /metrics", "").status, 200);
    assert_eq!(Peer::connect(server.admin()).get("/metrics").status, 200);
}

#[test]
fn the_admin_port_serves_nothing_else() {
    for flags in [&["--host", "play.example"][..], &["--echo"]] {
        let server = TestServer::start(&[&["--admin-listen", "127.0.0.1:0"], flags].concat());
        let admin = server.admin();
        let ask = |line: &str, fields: &str| {
            let answer = Peer::connect(admin).ask(&request(admin, line, fields));
            assert_eq!(answer.body.is_empty(), line.starts_with("HEAD"), "one plain sentence");
            answer.status
        };
        for path in ["/", "/client.html", "/dots/main.js", "/rooms", "/ws", "/metrics/", "/nothing"]
        {
            assert_eq!(ask(&format!("GET {path}"), ""), 404, "{path}");
            assert_eq!(ask(&format!("HEAD {path}"), ""), 404, "{path}");
        }
        for path in ["/", "/ws", "/any/path", "/metrics", "/healthz"] {
            let mut peer = Peer::connect(admin);
            peer.send(&handshake(admin, path));
            assert_eq!(peer.answer(true).status, 404, "{path}");
            peer.expect_end();
        }
        assert_eq!(ask("POST /metrics", ""), 405);
        assert_eq!(ask("GET /metrics", "Content-Length: 1\r\n"), 400);
        assert_eq!(ask("GET /metrics", "Host: h\r\n"), 400);
        let mut peer = Peer::connect(admin);
        let is_echo = flags == ["--echo"];
        let rebound = peer.ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert_eq!(rebound.status, if is_echo { 200 } else { 421 });
    }
}

// T53
#[test]
fn a_slow_admin_request_gets_408_and_a_silent_one_nothing() {
    let server = behind_proxy();
    let mut slow: Vec<Peer> = (0..16).map(|_| Peer::connect(server.admin())).collect();
    for peer in &mut slow {
        peer.send(b"GET /metrics HTTP/1.1\r\nX: ");
    }
    // One too many; players are not affected.
    Peer::expect_refused(TcpStream::connect(server.admin()));
    let (player, _) = Peer::join(server.addr, "/");
    for peer in &mut slow {
        let answer = peer.answer(true);
        assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
        peer.expect_end();
    }
    drop((slow, player));
    until("a place is free again", || {
        let stream = TcpStream::connect(server.admin()).ok()?;
        let status = Peer::over(stream).try_get("/healthz")?;
        (status == 200).then_some(())
    });
    assert!(server.metric("skirmish_refusals_total{reason=\"full\"}") > 0);
}

#[test]
fn admin_connections_and_players_have_separate_limits() {
    let server = TestServer::start(&["--connections-max", "2", "--admin-listen", "127.0.0.1:0"]);
    let mut operators: Vec<Peer> = (0..16).map(|_| Peer::connect(server.admin())).collect();
    for operator in &mut operators {
        assert_eq!(operator.get("/healthz").status, 200);
    }
    let _players: Vec<Peer> = (0..2).map(|_| Peer::join(server.addr, "/").0).collect();
    assert_eq!(Peer::upgrade(server.addr, "/").until_close().0, Some(4013), "the server is full");
    for operator in &mut operators {
        let answer = operator.get("/metrics");
        assert_eq!((answer.status, answer.field("connection")), (200, None));
    }
}

#[test]
fn the_admin_port_stays_open_to_the_end() {
    let mut server = TestServer::start(&["--drain-s", "3600", "--admin-listen", "127.0.0.1:0"]);
    let (player, _) = Peer::join(server.addr, "/");
    // A draining server still reads this connection.
    let mut late = Peer::connect(server.addr);
    late.send(b"GET / HT");
    server.signal(Signal::TERM);
    server.until_metric("skirmish_draining", 1);
    drop(player);
    until("the public port is closed", || TcpStream::connect(server.addr).is_err().then_some(()));
    let health = Peer::connect(server.admin()).get("/healthz");
    assert_eq!((health.status, health.field("retry-after")), (503, Some("2")));
    assert_eq!(server.metric("skirmish_players"), 0);
    drop(late);
    assert_eq!(server.exit().code(), Some(0));
}
