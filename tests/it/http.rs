//! HTTP/1.1 over real sockets: each request gets one response, in order, and the connection stays
//! open until either side ends it.

use std::io::Write;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Peer, ReadBarrier, TestServer, request, until, unzipped};

#[test]
fn health_and_rooms_are_served() {
    let server = TestServer::start(&["--room", "lobby=dots", "--room-players-max", "7"]);
    let health = server.ask("GET /healthz", "");
    assert_eq!((health.status, health.text().trim_end()), (200, "ok"));
    assert_eq!(health.field("cache-control"), Some("no-store"));
    let rooms = || {
        let answer = server.ask("GET /rooms?any=query", "");
        assert_eq!(answer.field("content-type"), Some("application/json"));
        let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
        value
    };
    let room = |name, players| json!({"name": name, "rules": "dots", "players": players, "bots": 0, "cap": 7});
    let lobby = |players| room("lobby", players);
    assert_eq!(rooms(), json!([lobby(0)]));
    let _ann = Peer::join(server.addr, "/?room=lobby");
    let _bob = Peer::join(server.addr, "/?room=other&rules=dots");
    let other = room("other", 1);
    until("the list is made again", || (rooms() == json!([lobby(1), other])).then_some(()));
    for page in ["0", "-1", "x", ""] {
        let answer = server.ask(&format!("GET /rooms?page={page}"), "");
        assert_eq!((answer.status, answer.text().trim_end().ends_with('.')), (400, true), "{page}");
    }
}

// T72
#[test]
fn a_long_list_of_rooms_has_pages_and_is_compressed() {
    let names: Vec<String> = (0..300).map(|number| format!("room-{number:03}=dots")).collect();
    let flags: Vec<&str> = names.iter().flat_map(|name| ["--room", name]).collect();
    let server = TestServer::start(&flags);
    let first = server.ask("GET /rooms", "");
    assert_eq!(first.field("link"), Some("</rooms?page=2>; rel=\"next\""));
    let second = server.ask("GET /rooms?page=2", "");
    assert_eq!(second.field("link"), None);
    let rooms = |body: &[u8]| {
        let value: Vec<Value> = serde_json::from_slice(body).expect("JSON");
        value
    };
    let all = [rooms(&first.body), rooms(&second.body)].concat();
    assert_eq!(all.len(), 300);
    assert!(
        all.iter().zip(&names).all(|(room, name)| {
            room["name"].as_str().is_some_and(|room| name.starts_with(room))
        })
    );
    let gzip = server.ask("GET /rooms", "Accept-Encoding: gzip\r\n");
    assert_eq!(gzip.field("content-encoding"), Some("gzip"));
    assert_eq!(unzipped(&gzip.body), first.body);
    assert!(gzip.body.len() * 5 < first.body.len());
}

#[test]
fn an_address_that_requests_too_many_pages_is_refused_for_a_while() {
    let server = TestServer::start(&["--limit-loopback"]);
    let echo = TestServer::start(&["--limit-loopback", "--echo"]);
    let count = |server: &TestServer, status: u16, line: &str| {
        let mut peer = Peer::connect(server.addr);
        let requests = request(server.addr, line, "").repeat(1_200);
        let mut writer = peer.stream.try_clone().expect("a second handle");
        let writing = thread::spawn(move || writer.write_all(requests.as_bytes()));
        let answers = (0..1_200).map(|_| peer.answer(true));
        let refused: Vec<Answer> = answers.filter(|answer| answer.status == status).collect();
        writing.join().expect("the writer ends").expect("all is sent");
        assert!(refused.iter().all(|answer| answer.field("retry-after").is_some()));
        refused.len() as u64
    };
    assert_eq!(count(&server, 429, "GET /healthz"), 0, "health checks have no rate");
    assert_eq!(count(&echo, 429, "GET /rooms"), 0, "a target for test suites has no rate");
    let refused = count(&server, 429, "GET /rooms");
    assert!((1..=200).contains(&refused), "1,000 at once and 100 per second pass: {refused}");
    assert_eq!(server.metric("skirmish_refusals_total{reason=\"page_rate\"}"), refused);
}

// T53
#[test]
fn metrics_are_served_to_loopback_only() {
    let server = TestServer::start(&[]);
    let port = server.addr.port();
    let status = |host: &str, fields: &str| {
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        Peer::connect(server.addr).ask(&head).status
    };
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "127.1.2.3", "[::1]"] {
        assert_eq!(status(&format!("{host}:{port}"), ""), 200, "{host}");
        assert_eq!(status(host, ""), 403, "{host} without the port");
        assert_eq!(status(&format!("{host}:{}", port ^ 1), ""), 403, "{host} at another port");
    }
    for host in ["play.example", "127.0.0.1.evil.example", "localhost.evil.example", "128.0.0.1"] {
        assert_eq!(status(&format!("{host}:{port}"), ""), 403, "{host}");
    }
    for field in [
        "X-Forwarded-For: 127.0.0.1",
        "x-forwarded-for:",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Server: proxy",
        "Forwarded: for=127.0.0.1",
        "Via: 1.1 proxy",
    ] {
        assert_eq!(status(&server.addr.to_string(), &format!("{field}\r\n")), 403, "{field}");
    }
}

#[test]
fn other_methods_are_405_and_other_paths_404() {
    let server = TestServer::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"] {
        for path in ["/", "/client.html", "/healthz", "/metrics", "/nothing"] {
            let answer = server.ask(&format!("{method} {path}"), "");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"), "{method} {path}");
        }
    }
    for path in ["/nothing", "/client.html/", "/Client.html", "//", "/engine.io/", "/.git/config"] {
        let answer = server.ask(&format!("GET {path}"), "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.ends_with(b".\n"), "the body explains the refusal");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[test]
fn a_connection_stays_open_until_either_side_ends_it() {
    let server = TestServer::start(&[]);
    let mut peer = Peer::connect(server.addr);
    for path in ["/healthz", "/nothing", "/client.html", "/", "/healthz"] {
        assert_eq!(peer.get(path).field("connection"), None, "{path} keeps the connection");
    }
    let head = peer.ask(&request(server.addr, "HEAD /client.html", ""));
    assert!(head.body.is_empty() && head.field("content-length") != Some("0"));
    assert_eq!(
        peer.ask(&request(server.addr, "PUT /", "")).status,
        405,
        "a refused request without a body"
    );
    let bye = peer.ask(&request(server.addr, "GET /healthz", "Connection: x, CLOSE\r\n"));
    assert_eq!((bye.status, bye.field("connection")), (200, Some("close")));
    peer.expect_end();
    for fields in ["", "Connection: keep-alive\r\n", "Host: h\r\n"] {
        let mut peer = Peer::connect(server.addr);
        let answer = peer.ask(&format!("GET /healthz HTTP/1.0\r\n{fields}\r\n"));
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        peer.expect_end();
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_once_each() {
    let server = TestServer::start(&[]);
    let targets = ["/healthz", "/nothing", "/client.html", "/rooms", "/favicon.ico"];
    let alone: Vec<Answer> = targets.map(|t| server.ask(&format!("GET {t}"), "")).into();
    let mut peer = Peer::connect(server.addr);
    let mut all = String::new();
    for number in 0..300 {
        let method = if number % 7 == 0 { "HEAD" } else { "GET" };
        let target = targets[number % targets.len()];
        all += &request(server.addr, &format!("{method} {target}"), "");
    }
    all += &request(server.addr, "GET /healthz", "Connection: close\r\n");
    all += &request(server.addr, "GET /healthz", "");
    let mut writer = peer.stream.try_clone().expect("a second handle");
    // The responses exceed both kernels' buffers, so the test must read while it writes.
    let writing = thread::spawn(move || writer.write_all(all.as_bytes()));
    for number in 0..300 {
        let answer = peer.answer(number % 7 != 0);
        let expected = &alone[number % targets.len()];
        assert_eq!((answer.status, &answer.fields), (expected.status, &expected.fields));
        assert!(number % 7 == 0 || answer.body == expected.body, "request {number}");
    }
    assert_eq!(peer.answer(true).field("connection"), Some("close"));
    peer.expect_end();
    let _ = writing.join();
}

#[test]
fn pages_that_may_connect_may_read_responses() {
    let friend = "https://friend.example";
    let server = TestServer::start(&["--host", "play.example", "--allow-origin", friend]);
    let ask = |host: &str, line: &str, origin: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        Peer::connect(server.addr).ask(&request)
    };
    let policy = |answer: &Answer| {
        let fields = ["origin", "credentials"].map(|what| format!("access-control-allow-{what}"));
        fields.map(|field| answer.field(&field).map(str::to_owned))
    };
    let no_policy = [None, None];
    for (line, status) in [
        ("GET /rooms", 200),
        ("HEAD /healthz", 200),
        ("GET /client.html", 200),
        ("GET /socket.io/socket.io.js", 404),
        ("GET /nothing", 404),
        ("POST /rooms", 405),
    ] {
        let answer = ask("play.example", line, friend);
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(policy(&answer), [Some(friend.into()), Some("true".into())], "{line}");
        let varies = answer.fields.iter().any(|field| *field == ("vary".into(), "Origin".into()));
        assert!(varies, "{line}: {answer:?}");
        assert_eq!(policy(&ask("play.example", line, "https://evil.example")), no_policy, "{line}");
    }
    for line in ["GET /rooms", "GET /socket.io/?EIO=4&transport=polling"] {
        let answer = ask("evil.example", line, "http://evil.example");
        assert_eq!((answer.status, policy(&answer)), (421, no_policy.clone()), "{line}");
    }
}

#[test]
fn an_empty_line_before_a_request_is_ignored() {
    let server = TestServer::start(&[]);
    let ask = |request: &str, chunk: usize| {
        let mut peer = Peer::connect(server.addr);
        for part in request.as_bytes().chunks(chunk) {
            peer.send(part);
        }
        (peer.answer(true).status, peer)
    };
    let get = request(server.addr, "GET /healthz", "");
    for chunk in [1, 2, 3, 1_000] {
        let (status, mut peer) = ask(&format!("\r\n{get}"), chunk);
        assert_eq!(status, 200, "in pieces of {chunk}");
        // Also behind a response, as some clients send one behind the body of a POST.
        peer.send(b"\r\n");
        assert_eq!(peer.ask(&get).status, 200);
        assert_eq!(peer.ask(&format!("\r\n{get}")).status, 200);
        let (status, _) = ask(&format!("\r\n\r\n{get}"), chunk);
        assert_eq!(status, 400, "two are not, in pieces of {chunk}");
    }
}

#[test]
fn http_1_0_may_name_its_host_in_the_target() {
    let server = TestServer::start(&["--host", "play.example"]);
    for (target, fields, status) in [
        ("http://play.example/healthz", "", 200),
        ("http://play.example:81/healthz", "Host: play.example:81\r\n", 200),
        ("http://evil.example/rooms", "", 421),
        ("http://play.example/healthz", "Host: evil.example\r\n", 400),
        ("https://play.example/healthz", "", 400),
        ("/healthz", "", 200),
    ] {
        let request = format!("GET {target} HTTP/1.0\r\n{fields}\r\n");
        assert_eq!(Peer::connect(server.addr).ask(&request).status, status, "{target} {fields}");
    }
}

#[test]
fn the_absolute_form_is_accepted_for_this_host() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    for (target, status) in [
        (format!("http://{addr}/healthz"), 200),
        (format!("HTTP://{addr}/healthz?x"), 200),
        (format!("http://{addr}"), 200),
        (format!("http://{addr}?x"), 200),
        (format!("http://{addr}/nothing"), 404),
        ("http://evil.example/healthz".to_owned(), 400),
        (format!("http://{addr}.evil.example/healthz"), 400),
        (format!("http://{addr}@evil.example/healthz"), 400),
        (format!("http://evil.example@{addr}/healthz"), 400),
        (format!("https://{addr}/healthz"), 400),
        (format!("ftp://{addr}/healthz"), 400),
        ("http://".to_owned(), 400),
        ("http:///healthz".to_owned(), 400),
        (addr.to_string(), 400),
        ("*".to_owned(), 400),
        ("healthz".to_owned(), 400),
        ("/healthz#part".to_owned(), 400),
    ] {
        assert_eq!(server.ask(&format!("GET {target}"), "").status, status, "{target}");
    }
}

// T06
#[test]
fn a_request_may_be_split_anywhere() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    let mut barrier = ReadBarrier::of(addr);
    let mut lasting = Peer::connect(addr);
    let golden = [
        (request(addr, "GET /healthz", ""), 200),
        (request(addr, "GET /client.html?a=b", "Accept-Encoding: gzip\r\n"), 200),
        (request(addr, "HEAD /client.html", ""), 200),
        (request(addr, "GET /nothing", ""), 404),
        (request(addr, "OPTIONS /", ""), 204),
        (request(addr, "PUT /", ""), 405),
        (request(addr, "GET /ws", ""), 426),
        (request(addr, "GET /healthz", "Connection: close\r\n"), 200),
        (request(addr, "GET /healthz", "Content-Length: 1, 1\r\n"), 400),
        (request(addr, "GET /healthz", "Host: x\r\n"), 400),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), 200),
    ];
    for (sent, status) in golden {
        let expected = Peer::connect(addr).ask(&sent);
        assert_eq!(expected.status, status, "{sent}");
        let is_last = expected.field("connection") == Some("close");
        for cut in 0..sent.len() {
            let mut own = is_last.then(|| Peer::connect(addr));
            let peer = own.as_mut().unwrap_or(&mut lasting);
            peer.send_cut(sent.as_bytes(), cut, &mut barrier);
            let answer = peer.answer(!sent.starts_with("HEAD"));
            assert!(answer == expected, "split at {cut}: {sent}");
            if is_last {
                peer.expect_end();
            }
        }
    }
}
