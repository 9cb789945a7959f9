//! Requests that are refused: too long, too slow, invalid HTTP, or ambiguous between two parsers.
//! Each gets one response, and the connection ends.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Peer, TestServer, WAIT_MAX, request};

/// Asserts that the server answers `bytes` with `status`, once, and ends the connection.
fn assert_refused(addr: SocketAddr, bytes: &[u8], status: u16) {
    let mut peer = Peer::connect(addr);
    // The server may end the connection while the last bytes are in flight.
    let _ = peer.stream.write_all(bytes);
    let answer = peer.answer(true);
    let text = bytes.escape_ascii();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.field("connection"), Some("close"), "{text}");
    assert!(answer.body.ends_with(b".\n"), "the body explains the refusal: {text}");
    peer.expect_end();
}

#[test]
fn a_refused_head_has_no_body() {
    let server = TestServer::start(&[]);
    for fields in ["", "Host: a\r\nHost: b\r\n", &format!("X: {}\r\n", "x".repeat(9_000))] {
        let mut peer = Peer::connect(server.addr);
        peer.send(format!("HEAD / HTTP/1.1\r\n{fields}\r\n").as_bytes());
        let answer = peer.answer(false);
        assert!(answer.status >= 400 && answer.field("content-length") != Some("0"));
        peer.expect_end();
    }
}

// T26
#[test]
fn ambiguous_requests_are_refused_with_one_response() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    let behind = request(addr, "GET /healthz", "");
    // Header fields in an otherwise valid request.
    let fields: [&[u8]; 58] = [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 0\r\nContent-Length: 0",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5, 5",
        b"Content-Length: 0, 0",
        b"Content-Length: +5",
        b"Content-Length: +0",
        b"Content-Length: -1",
        b"Content-Length: -0",
        b"Content-Length: 0x0",
        b"Content-Length: 5 5",
        b"Content-Length: 5;",
        b"Content-Length: 1e1",
        b"Content-Length: 0.0",
        b"Content-Length:",
        b"Content-Length: abc",
        b"Content-Length: 18446744073709551616",
        b"Content-Length: 99999999999999999999999999",
        b"Content-Length: \xd9\xa5",
        b"Content-Length\x00: 5",
        b"Content-Length : 5",
        b"Content-Length\t: 5",
        b" Content-Length: 5",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: CHUNKED",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: \"chunked\"",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\n chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
        b"X: y\r\n\tfolded",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: a\x00b",
        b"X: a\x01b",
        b"X: a\x7fb",
        b"X y: a",
        b"X(y): a",
        b"X\xe9: a",
        b": a",
        b"no colon",
        b"Host: other",
        b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 3",
    ];
    for field in fields {
        for method in ["GET", "POST"] {
            let is_plain_body = matches!(
                field,
                b"Content-Length: 5"
                    | b"Transfer-Encoding: chunked"
                    | b"Transfer-Encoding: CHUNKED"
            );
            if method == "POST" && (is_plain_body || field.starts_with(b"Upgrade")) {
                continue;
            }
            let head = format!("{method} / HTTP/1.1\r\nHost: {addr}\r\n");
            let bytes = [head.as_bytes(), field, b"\r\n\r\n", behind.as_bytes()].concat();
            assert_refused(addr, &bytes, 400);
        }
    }
    // Complete request heads.
    let heads: [&[u8]; 26] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a%0d%0aX:y\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\nHost: a\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xe9\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for head in heads {
        assert_refused(addr, &[head, behind.as_bytes()].concat(), 400);
    }
    // Valid but unsupported; the body is not read as a request either.
    for (fields, body) in [
        ("Content-Length: 5\r\n", behind.as_str()),
        ("Content-Length: 3\r\n", "abcdef"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n"),
        ("Expect: 100-continue\r\nContent-Length: 9\r\n", ""),
    ] {
        let post = request(addr, "POST /healthz", fields) + body + &behind;
        assert_refused(addr, post.as_bytes(), 405);
        let get = request(addr, "GET /healthz", fields) + body + &behind;
        assert_refused(addr, get.as_bytes(), 400);
    }
    assert_eq!(server.ask("GET /healthz", "Content-Length: 0\r\n").status, 200);
    assert_eq!(server.metric("skirmish_panics_total"), 0);
}

#[test]
fn an_invalid_host_is_refused() {
    let server = TestServer::start(&[]);
    for host in ["a:b", "a:80:80", "a:-1", "a:99999", "[::1", "::1", "[]", "[::1]x", "a[b]"] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_refused(server.addr, head.as_bytes(), 400);
    }
    for host in ["a", "a:1", "a:", "a.b-c_d.example:65535", "192.0.2.1:80", "[::1]", "[::1]:80"] {
        let head = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Peer::connect(server.addr).ask(&head).status, 200, "{host}");
    }
}

// T27
#[test]
fn no_input_is_reflected_in_a_response_head() {
    let server = TestServer::start(&[]);
    let evil = "a%0d%0aSet-Cookie:%20evil=1";
    let plain = server.ask("GET /nothing", "");
    let known: Vec<&String> = plain.fields.iter().map(|(name, _)| name).collect();
    for (line, fields) in [
        (format!("GET /{evil}"), String::new()),
        (format!("GET /nothing?room={evil}"), String::new()),
        ("GET /nothing".to_owned(), format!("Origin: http://{evil}\r\n")),
        ("GET /nothing".to_owned(), "Origin: \u{e9}evil\r\nX-Request-Id: evil\r\n".to_owned()),
        ("GET /nothing".to_owned(), format!("Sec-WebSocket-Protocol: {evil}\r\n")),
    ] {
        let answer = server.ask(&line, &fields);
        let names: Vec<&String> = answer.fields.iter().map(|(name, _)| name).collect();
        assert_eq!((answer.status, &names), (404, &known), "{line} {fields}");
        let values = answer.fields.iter().map(|(_, value)| value);
        assert!(!values.into_iter().any(|value| value.contains("evil")), "{answer:?}");
        assert!(!answer.text().contains("evil"), "{answer:?}");
    }
}

#[test]
fn invalid_http_is_refused_at_once() {
    // There is no empty line, so a late response could only be a 408.
    let server = TestServer::start(&[]);
    let garbage: [&[u8]; 8] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x80\x2e\x01\x03\x01",
        b"\x00",
        b"\xff\xfe\xfd",
        b"\n",
        b" GET / HTTP/1.1\r\n",
        b"{\"type\":\"move\"}",
        b"<policy-file-request/>\0",
    ];
    for bytes in garbage {
        assert_refused(server.addr, bytes, 400);
    }
}

#[test]
fn a_response_is_not_lost_while_the_peer_keeps_sending() {
    let server = TestServer::start(&[]);
    for fields in ["Content-Length: 1048576\r\n", "Transfer-Encoding: gzip\r\n"] {
        let mut bytes = request(server.addr, "POST /", fields).into_bytes();
        bytes.resize(bytes.len() + (1 << 20), b'x');
        let status = if fields.starts_with('C') { 405 } else { 400 };
        assert_refused(server.addr, &bytes, status);
    }
}

#[test]
fn a_line_that_ends_in_a_bare_line_feed_is_refused_at_once() {
    // Nothing that follows can make it valid.
    let server = TestServer::start(&[]);
    for bytes in
        ["SSH-2.0-OpenSSH_9.6\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nX: y\n"]
    {
        assert_refused(server.addr, bytes.as_bytes(), 400);
    }
}

// T05
#[test]
fn request_heads_have_limits() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    let get = |line: &str, fields: &str| server.ask(line, fields).status;
    assert_eq!(get("GET /healthz", &"a: b\r\n".repeat(63)), 200, "64 with Host");
    assert_refused(addr, request(addr, "GET /", &"a: b\r\n".repeat(64)).as_bytes(), 431);
    let filled = |bytes: usize| {
        let empty = request(addr, "GET /healthz", "X: \r\n").len();
        request(addr, "GET /healthz", &format!("X: {}\r\n", "x".repeat(bytes - empty)))
    };
    assert_eq!(Peer::connect(addr).ask(&filled(8_192)).status, 200, "8 KiB");
    assert_refused(addr, filled(8_193).as_bytes(), 431);
    let line = |bytes: usize| format!("GET /?{}", "q".repeat(bytes - "GET /? HTTP/1.1".len()));
    assert_eq!(get(&line(2_046), ""), 200, "2 KiB with the line's end");
    assert_refused(addr, request(addr, &line(2_049), "").as_bytes(), 414);
    assert_refused(addr, "A".repeat(3_000).as_bytes(), 414);
    // Split in any way, and without its end.
    let endless = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nX: {}", "x".repeat(8_192));
    for piece in [1, 1_000] {
        let mut peer = Peer::connect(addr);
        for part in endless.as_bytes().chunks(piece) {
            let _ = peer.stream.write_all(part);
        }
        assert_eq!(peer.answer(true).status, 431, "in pieces of {piece}");
        peer.expect_end();
    }
    let _ = Peer::connect(addr).stream.write_all(&vec![b'A'; 8 << 20]);
    assert_eq!(get("GET /healthz", ""), 200, "8 MiB of empty lines do not affect other peers");
}

// T03
#[test]
fn a_head_that_does_not_arrive_in_five_seconds_is_408() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    let part = format!("GET /healthz HTTP/1.1\r\nHost: {addr}\r\nX: ");
    let slow = |mut peer: Peer, since: Instant| {
        peer.send(part.as_bytes());
        peer.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("an option");
        // One more byte now and then does not extend the deadline.
        while peer.stream.peek(&mut [0]).is_err() {
            let _ = peer.stream.write_all(b"x");
            assert!(since.elapsed() < WAIT_MAX, "no response arrived");
        }
        peer.stream.set_read_timeout(Some(WAIT_MAX)).expect("an option");
        let answer = peer.answer(true);
        assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
        // The server counts in whole milliseconds, from the turn in which it accepted the peer.
        let seconds = since.elapsed().as_secs_f64();
        assert!(seconds >= 4.9, "after {seconds} s");
        peer.expect_end();
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let since = Instant::now();
            slow(Peer::connect(addr), since);
        });
        scope.spawn(|| {
            let mut kept = Peer::connect(addr);
            assert_eq!(kept.get("/healthz").status, 200);
            slow(kept, Instant::now());
        });
        scope.spawn(|| {
            // A connection that sent nothing gets no response.
            Peer::connect(addr).expect_end();
        });
        let mut kept = Peer::connect(addr);
        assert_eq!(kept.get("/healthz").status, 200);
        scope.spawn(move || {
            // The limit between two requests is longer.
            let until = Instant::now() + Duration::from_secs(6);
            kept.stream.set_read_timeout(Some(Duration::from_secs(6))).expect("an option");
            assert!(kept.stream.peek(&mut [0]).is_err(), "no bytes, and the connection stays open");
            assert!(Instant::now() >= until - Duration::from_millis(100));
            assert_eq!(kept.get("/healthz").status, 200);
        });
        Peer::join(addr, "/");
    });
}
