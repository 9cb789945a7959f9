//! Engine.IO 4 over real sockets: the cases of the official suite, and others around them.

use rustix::process::Signal;

use crate::harness::{Peer, TestServer, WAIT_MAX, between, handshake, request, until};
use crate::polling_client::{Client, get, post, text};

const FLAGS: [&str; 7] =
    ["--echo", "--ping-interval-ms", "300", "--ping-timeout-ms", "200", "--max-payload", "1000000"];
const PATHS: [&str; 2] = ["/engine.io/", "/socket.io/"];

/// A server with the settings of the official suites.
fn start() -> TestServer {
    TestServer::start(&FLAGS)
}

/// A server that sends no ping within the time of a test.
fn start_without_pings(flags: &[&str]) -> TestServer {
    TestServer::start(&[&["--echo"], flags].concat())
}

#[test]
fn a_session_opens_over_polling() {
    let server = start();
    for path in PATHS {
        let answer = get(server.addr, &format!("{path}?EIO=4&transport=polling"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("content-type"), Some("text/plain; charset=UTF-8"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let text = answer.text();
        let open: serde_json::Value = serde_json::from_str(&text[1..]).expect("JSON");
        assert!(text.starts_with('0'));
        assert_eq!(open.as_object().map(serde_json::Map::len), Some(5));
        assert!(open["sid"].as_str().is_some_and(|sid| sid.len() == 40));
        assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
        assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&300.into(), &200.into()));
        assert_eq!(open["maxPayload"], 1_000_000);
    }
    let (one, other) = (Client::open(server.addr), Client::open(server.addr));
    assert_ne!(one.query, other.query);
}

#[test]
fn a_session_opens_over_websocket() {
    let server = start();
    for path in PATHS {
        let mut socket = Peer::upgrade(server.addr, &format!("{path}?EIO=4&transport=websocket"));
        let open = socket.frame();
        assert!(open.text().starts_with("0{\"sid\":\"") && open.text().contains("\"upgrades\":[]"));
    }
}

// T33
#[test]
fn invalid_requests_are_refused_with_their_code() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let no_upgrade = client.websocket();
    for (method, target, code) in [
        ("GET", "/engine.io/", 0),
        ("GET", "/engine.io/?EIO=4", 0),
        ("GET", "/engine.io/?EIO=4&transport=abc", 0),
        ("GET", "/engine.io/?transport=polling", 5),
        ("GET", "/engine.io/?EIO=abc&transport=polling", 5),
        ("GET", "/engine.io/?EIO=3&transport=polling", 5),
        ("POST", "/engine.io/?EIO=4&transport=polling", 2),
        ("PUT", "/engine.io/?EIO=4&transport=polling", 2),
        ("POST", "/engine.io/?EIO=4&transport=websocket", 2),
        ("GET", "/engine.io/?EIO=4&transport=polling&sid=abc", 1),
        ("GET", "/engine.io/?EIO=4&transport=websocket&sid=abc", 1),
        ("PUT", "/engine.io/?EIO=4&transport=polling&sid=abc", 1),
        ("GET", "/engine.io/?EIO=4&transport=websocket", 3),
        ("GET", &no_upgrade, 3),
        ("GET", &client.query.replace("engine", "socket"), 1),
    ] {
        let answer = server.ask(&format!("{method} {target}"), "");
        let body = answer.text();
        assert_eq!(answer.status, 400, "{method} {target}");
        assert!(body.starts_with(&format!("{{\"code\":{code},\"message\":\"")), "{target}: {body}");
        assert_eq!(answer.field("content-type"), Some("application/json"));
    }
    for target in ["/engine.io/?transport=websocket", "/engine.io/?EIO=abc&transport=websocket"] {
        let mut peer = Peer::connect(server.addr);
        peer.send(&handshake(server.addr, target));
        assert_eq!(peer.answer(true).status, 400, "{target}");
        peer.expect_end();
    }
    assert_eq!(client.post("4still here").status, 200);
    assert_eq!(text(&client.poll()), (200, "4still here".into()));
}

#[test]
fn messages_are_echoed_over_polling() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let ok = client.post("4hello");
    assert_eq!(text(&ok), (200, "ok".into()));
    assert_eq!(ok.field("content-type"), Some("text/html"));
    assert_eq!(text(&client.poll()), (200, "4hello".into()));
    client.post("4test1\x1e4test2\x1e4test3");
    assert_eq!(client.poll().text(), "4test1\x1e4test2\x1e4test3");
    client.post("4hello\x1ebAQIDBA==");
    assert_eq!(client.poll().text(), "4hello\x1ebAQIDBA==");
    // A waiting poll gets all packets of a payload at once.
    let mut waiting = client.begin_poll();
    assert_eq!(client.post("4one\x1e4two").text(), "ok");
    assert_eq!(waiting.answer(true).text(), "4one\x1e4two");
}

#[test]
fn polls_and_posts_may_share_a_connection_and_be_split() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut peer = Peer::connect(server.addr);
    for fields in ["Content-Length: 6", "Transfer-Encoding: chunked"] {
        let head =
            request(server.addr, &format!("POST {}", client.query), &format!("{fields}\r\n"));
        let body =
            if fields.contains("chunked") { "2\r\n4h\r\n4\r\nello\r\n0\r\n\r\n" } else { "4hello" };
        peer.send_bytewise(format!("{head}{body}").as_bytes());
        assert_eq!(text(&peer.answer(true)), (200, "ok".into()));
        assert_eq!(peer.get(&client.query).text(), "4hello");
    }
    // A request with `Expect: 100-continue`.
    let fields = "Content-Length: 6\r\nExpect: 100-continue\r\n";
    peer.send(request(server.addr, &format!("POST {}", client.query), fields).as_bytes());
    assert_eq!(peer.answer(false).status, 100);
    peer.send(b"4later");
    assert_eq!(peer.answer(true).text(), "ok");
    assert_eq!(peer.get(&client.query).text(), "4later");
}

// T31, T32
#[test]
fn an_invalid_payload_ends_the_session() {
    let server = start_without_pings(&["--max-payload", "5000"]);
    for body in ["abc", "", "4a\x1e", "9", "2", "4\u{1e}\u{1e}4", "b!"] {
        let client = Client::open(server.addr);
        assert_eq!(client.post(body).status, 400, "{body:?}");
        client.is_gone();
    }
    let client = Client::open(server.addr);
    assert_eq!(client.post(&["4"; 1_025].join("\x1e")).status, 400, "too many");
    assert_eq!(text(&client.poll()), (200, "1".into()));
    client.is_gone();
    let binary = "Content-Type: application/octet-stream\r\n";
    for types in [binary.to_owned(), format!("{binary}Content-Type: text/plain\r\n")] {
        let client = Client::open(server.addr);
        let fields = format!("Content-Length: 2\r\n{types}");
        let mut peer = Peer::connect(server.addr);
        let head = request(server.addr, &format!("POST {}", client.query), &fields);
        assert_eq!(peer.ask(&format!("{head}4a")).status, 400);
        client.is_gone();
    }
    let client = Client::open(server.addr);
    assert_eq!(client.post(&"4".repeat(5_001)).status, 413);
    assert_eq!(client.post(&"4".repeat(5_000)).status, 200, "the session continues");
    let fields = "Origin: http://other.example\r\nTransfer-Encoding: chunked\r\n";
    let head = request(server.addr, &format!("POST {}", client.query), fields);
    let answer = Peer::connect(server.addr).ask(&format!("{head}ffff\r\n"));
    assert_eq!(answer.status, 413);
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    assert_eq!(client.post("4hello").status, 200, "also when the limit is reached midway");
}

#[test]
fn an_unexpected_body_is_not_read_as_a_request() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let inner = request(server.addr, "GET /healthz", "");
    let fields = format!("Content-Length: {}\r\n", inner.len());
    for method in ["GET", "OPTIONS", "PUT", "HEAD"] {
        let mut peer = Peer::connect(server.addr);
        let head = request(server.addr, &format!("{method} {}", client.query), &fields);
        peer.send(format!("{head}{inner}").as_bytes());
        let answer = peer.answer(method != "HEAD");
        assert_eq!(answer.field("connection"), Some("close"), "{method}");
        peer.expect_end();
    }
    assert_eq!(client.post("4hello").status, 200, "the session is unaffected");
}

// T37
#[test]
fn a_second_poll_ends_the_session() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut first = client.begin_poll();
    server.until_metric("skirmish_polls_held", 1);
    assert_eq!(text(&client.poll()), (400, String::new()));
    assert_eq!(text(&first.answer(true)), (200, "1".into()));
    client.is_gone();
}

/// Ends a connection, with a FIN or a reset.
fn abort(poll: Peer, is_reset: bool) {
    if is_reset {
        poll.reset();
    } else {
        drop(poll);
    }
}

#[test]
fn an_aborted_poll_ends_the_session() {
    let server = start_without_pings(&[]);
    for is_reset in [false, true] {
        let client = Client::open(server.addr);
        let poll = client.begin_poll();
        server.until_metric("skirmish_polls_held", 1);
        abort(poll, is_reset);
        // While another test starts a process, that one has the socket, too, until it runs.
        server.until_metric("skirmish_engine_sessions", 0);
        client.is_gone();
    }
}

/// They wait until the poll is answered, and must not hide the end of the connection until then.
#[test]
fn requests_behind_an_aborted_poll_do_not_delay_the_end() {
    let server = start_without_pings(&[]);
    let behind = request(server.addr, "GET /healthz", "").repeat(1_000);
    for (is_reset, is_sent_at_once) in [(false, true), (false, false), (true, false)] {
        let client = Client::open(server.addr);
        let mut poll = client.begin_poll();
        if !is_sent_at_once {
            server.until_metric("skirmish_polls_held", 1);
        }
        poll.send(behind.as_bytes());
        abort(poll, is_reset);
        server.until_metric("skirmish_engine_sessions", 0);
        client.is_gone();
    }
}

#[test]
fn messages_are_echoed_over_websocket() {
    let server = start_without_pings(&[]);
    let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
    socket.frame();
    socket.send_text("4hello");
    assert_eq!(socket.frame().text(), "4hello");
    socket.send_frame(0x82, &[1, 2, 3, 4]);
    let frame = socket.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x82, &[1, 2, 3, 4][..]));
    socket.send_text("bAQIDBA==");
    assert_eq!(socket.frame().payload, [1, 2, 3, 4]);
    for wrong in ["abc", "9", "", "2"] {
        let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
        socket.frame();
        socket.send_text(wrong);
        assert_eq!(socket.until_close().0, None, "{wrong:?}");
        socket.expect_end();
    }
}

#[test]
fn a_message_over_the_limit_closes_with_1009() {
    let server = start_without_pings(&["--max-payload", "2000"]);
    let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
    socket.frame();
    socket.send_text(&"4".repeat(2_000));
    assert_eq!(socket.frame().payload.len(), 2_000);
    socket.send_text(&"4".repeat(2_001));
    assert_eq!(socket.until_close().0, Some(1009));
}

#[test]
fn heartbeats_work_over_polling() {
    // The ping timeout is longer than a delay of a busy machine.
    let server = start_without_pings(&["--ping-interval-ms", "300"]);
    let client = Client::open(server.addr);
    for _ in 0..3 {
        assert_eq!(text(&client.poll()), (200, "2".into()));
        assert_eq!(client.post("3").status, 200);
    }
}

#[test]
fn a_session_without_pongs_ends() {
    // There is time for another poll between the ping and its timeout.
    let server = start_without_pings(&["--ping-interval-ms", "300", "--ping-timeout-ms", "1000"]);
    let client = Client::open(server.addr);
    assert_eq!(client.poll().text(), "2");
    let mut last = client.begin_poll();
    assert_eq!(last.answer(true).text(), "1");
    client.is_gone();
    let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
    socket.frame();
    assert_eq!(socket.frame().text(), "2");
    assert_eq!(socket.until_close().0, None);
    socket.expect_end();
    server.until_metric("skirmish_engine_sessions", 0);
}

#[test]
fn heartbeats_work_over_websocket() {
    // The ping timeout is longer than a delay of a busy machine.
    let server = start_without_pings(&["--ping-interval-ms", "300"]);
    let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
    socket.frame();
    for _ in 0..3 {
        assert_eq!(socket.frame().text(), "2");
        socket.send_text("3");
    }
    // Unsolicited pongs are ignored.
    socket.send_text("3");
    socket.send_text("4hello");
    assert_eq!(socket.frame().text(), "4hello");
}

#[test]
fn a_close_packet_ends_the_session() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut waiting = client.begin_poll();
    server.until_metric("skirmish_polls_held", 1);
    assert_eq!(text(&client.post("1")), (200, "ok".into()));
    assert_eq!(text(&waiting.answer(true)), (200, "6".into()));
    client.is_gone();
    // The poll may arrive after it.
    let client = Client::open(server.addr);
    assert_eq!(client.post("1").text(), "ok");
    assert_eq!(text(&client.poll()), (200, "6".into()));
    client.is_gone();
    let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
    socket.frame();
    socket.send_text("1");
    assert_eq!(socket.until_close().0, None);
    socket.expect_end();
}

#[test]
fn polling_upgrades_to_websocket() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut waiting = client.begin_poll();
    server.until_metric("skirmish_polls_held", 1);
    let mut socket = Peer::upgrade(server.addr, &client.websocket());
    socket.send_text("2probe");
    assert_eq!(socket.frame().text(), "3probe");
    assert_eq!(text(&waiting.answer(true)), (200, "6".into()));
    // It may poll again before it pauses, and post.
    assert_eq!(text(&client.poll()), (200, "6".into()));
    assert_eq!(client.post("4posted").status, 200);
    socket.send_text("5");
    assert_eq!(socket.frame().text(), "4posted", "queued packets come first");
    socket.send_text("4hello");
    assert_eq!(socket.frame().text(), "4hello");
    let late = client.poll();
    assert_eq!(text(&late), (400, r#"{"code":3,"message":"Bad request"}"#.into()));
    assert_eq!(client.post("4x").status, 400);
    // A second WebSocket cannot upgrade.
    let mut other = Peer::upgrade(server.addr, &client.websocket());
    assert_eq!(other.until_close().0, None);
    socket.send_text("4still");
    assert_eq!(socket.frame().text(), "4still");
    drop(socket);
    server.until_metric("skirmish_engine_sessions", 0);
}

// T36
#[test]
fn an_unfinished_upgrade_does_not_affect_the_session() {
    let server = start_without_pings(&[]);
    // The last one is valid except for its frame type, binary.
    for (opcode, first) in
        [(0x81, "4hello"), (0x81, "5"), (0x81, "3probe"), (0x81, "2"), (0x82, "2probe")]
    {
        let client = Client::open(server.addr);
        let mut socket = Peer::upgrade(server.addr, &client.websocket());
        let mut other = Peer::upgrade(server.addr, &client.websocket());
        assert_eq!(other.until_close().0, None, "one probe at a time");
        socket.send_frame(opcode, first.as_bytes());
        assert_eq!(socket.until_close().0, None);
        assert_eq!(client.post("4hello").status, 200);
        assert_eq!(client.poll().text(), "4hello");
        let mut socket = client.upgrade();
        socket.send_text("4and now");
        assert_eq!(socket.frame().text(), "4and now");
    }
    let client = Client::open(server.addr);
    let socket = Peer::upgrade(server.addr, &client.websocket());
    drop(socket);
    until("the probe times out", || {
        let mut again = Peer::upgrade(server.addr, &client.websocket());
        again.send_text("2probe");
        (again.frame().first == 0x81).then_some(())
    });
    assert_eq!(text(&client.post("4hello")), (200, "ok".into()));
}

// T28
#[test]
fn pages_of_allowed_origins_may_read_responses() {
    let server = start_without_pings(&[]);
    let origin = "Origin: http://other.example\r\n";
    for (target, status) in [("/engine.io/?EIO=4&transport=polling", 200), ("/engine.io/", 400)] {
        let answer = server.ask(&format!("GET {target}"), origin);
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    }
    let fields = format!("{origin}Access-Control-Request-Headers: authorization,x-a\r\n");
    let answer = server.ask("OPTIONS /engine.io/?EIO=4&transport=polling", &fields);
    assert_eq!(answer.status, 204);
    let allowed = "GET,HEAD,PUT,PATCH,POST,DELETE";
    assert_eq!(answer.field("access-control-allow-methods"), Some(allowed));
    assert_eq!(answer.field("access-control-allow-headers"), Some("authorization,x-a"));
    let answer = server.ask("OPTIONS /engine.io/?EIO=4&transport=polling", origin);
    assert_eq!(
        answer.field("access-control-allow-headers"),
        None,
        "the request did not ask for it"
    );
    assert_eq!(get(server.addr, "/engine.io/").field("access-control-allow-origin"), None);
}

// T31
#[test]
fn a_slow_body_ends_the_session() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut peer = Peer::connect(server.addr);
    let fields = "Content-Length: 6\r\n";
    peer.send(request(server.addr, &format!("POST {}", client.query), fields).as_bytes());
    peer.send(b"4hel");
    assert!(WAIT_MAX.as_secs() > 6);
    assert_eq!(peer.answer(true).status, 408);
    peer.expect_end();
    client.is_gone();
}

// T36
#[test]
fn unused_sessions_are_limited_and_end() {
    // The timeout is long enough for all of them to start before the first ends.
    let server =
        TestServer::start(&["--connect-timeout-ms", "60000", "--ping-interval-ms", "60000"]);
    let mut peer = Peer::connect(server.addr);
    let open = "/socket.io/?EIO=4&transport=polling";
    let first = peer.get(open).text();
    (1..4_096).for_each(|_| assert_eq!(peer.get(open).status, 200));
    assert_eq!(peer.get(open).status, 503);
    assert_eq!(server.metric("skirmish_engine_sessions"), 4_096);
    // A join makes room for another session, until the player leaves.
    let query = format!("{open}&sid={}", between(&first, "\"sid\":\"", "\""));
    assert_eq!(post(server.addr, &query, "40").status, 200);
    assert_eq!(peer.get(open).status, 200);
    assert_eq!(peer.get(open).status, 503);

    let server = start();
    let mut peer = Peer::connect(server.addr);
    (0..500).for_each(|_| assert_eq!(peer.get(open).status, 200));
    server.until_metric("skirmish_engine_sessions", 0);
}

#[test]
fn a_draining_server_ends_every_session() {
    let mut server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut waiting = client.begin_poll();
    server.until_metric("skirmish_polls_held", 1);
    let mut socket = Peer::upgrade(server.addr, "/engine.io/?EIO=4&transport=websocket");
    socket.frame();
    server.signal(Signal::TERM);
    assert_eq!(text(&waiting.answer(true)), (200, "1".into()));
    assert_eq!(socket.until_close().0, Some(1012));
    drop((waiting, socket));
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn packets_before_a_close_packet_are_read() {
    let server = start_without_pings(&[]);
    let client = Client::open(server.addr);
    let mut waiting = client.begin_poll();
    server.until_metric("skirmish_polls_held", 1);
    assert_eq!(client.post("4last words\x1e1\x1e4too late").text(), "ok");
    assert_eq!(waiting.answer(true).text(), "4last words\x1e6");
    client.is_gone();
}

#[test]
fn the_admin_port_has_no_sessions() {
    let server = TestServer::start(&["--echo", "--admin-listen", "127.0.0.1:0"]);
    let admin = server.admin();
    assert_eq!(get(admin, "/engine.io/?EIO=4&transport=polling").status, 404);
    let mut peer = Peer::connect(admin);
    peer.send(&handshake(admin, "/engine.io/?EIO=4&transport=websocket"));
    assert_eq!(peer.answer(true).status, 404);
}
