//! The opening handshake (RFC 6455, 4.2): which requests get a 101, and the status of every
//! refusal.

use std::net::SocketAddr;

use crate::harness::{ACCEPT, Answer, KEY, Peer, ReadBarrier, TestServer, handshake, masked};

/// An upgrade request with `line` as its first line and only the given fields.
fn request(line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n")
}

/// The fields of a valid request, with those in `instead` replaced.
fn fields_with(addr: SocketAddr, instead: &str) -> Vec<String> {
    let name_of = |field: &str| field.split(':').next().expect("a name").to_lowercase();
    let replaced: Vec<String> = instead.lines().map(name_of).collect();
    let good = [
        format!("Host: {addr}"),
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        format!("Sec-WebSocket-Key: {KEY}"),
        "Sec-WebSocket-Version: 13".to_owned(),
    ];
    let kept = good.into_iter().filter(|field| !replaced.contains(&name_of(field)));
    // A line with only a name removes the field.
    kept.chain(instead.lines().filter(|line| line.contains(':')).map(str::to_owned)).collect()
}

/// Requests a WebSocket at `/ws` with some fields replaced.
fn ask(addr: SocketAddr, instead: &str) -> Answer {
    ask_line(addr, "GET /ws HTTP/1.1", instead)
}

fn ask_line(addr: SocketAddr, line: &str, instead: &str) -> Answer {
    let fields = fields_with(addr, instead);
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    Peer::connect(addr).ask(&request(line, &fields))
}

#[test]
fn the_response_is_exact() {
    let server = TestServer::start(&[]);
    let answer = ask(server.addr, "");
    let fields: Vec<_> = answer.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(answer.status, 101);
    assert_eq!(
        fields,
        [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT)]
    );
}

#[test]
fn every_spelling_of_the_standard_is_accepted() {
    let server = TestServer::start(&[]);
    for instead in [
        "upgrade: WebSocket",
        "UPGRADE: WEBSOCKET",
        "Upgrade: h2c, websocket",
        "Upgrade: h2c\nUpgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Connection: UPGRADE,keep-alive",
        "Connection:upgrade\t",
        "Connection: keep-alive\nConnection: upgrade",
        "Connection: ,,  , upgrade ,",
        "sec-websocket-KEY: dGhlIHNhbXBsZSBub25jZQ==\t ",
        "sec-websocket-version:13",
        "Origin",
        "X-Anything: \u{e9}\u{fe}",
        "Content-Length: 0",
        "Sec-WebSocket-Protocol:",
        "Sec-WebSocket-Protocol: , ,",
        "Sec-WebSocket-Extensions: constructor",
        "Sec-WebSocket-Extensions: __proto__; toString=1, x-webkit-deflate-frame",
        "Sec-WebSocket-Extensions: ;;;,,,\"",
    ] {
        let answer = ask(server.addr, instead);
        assert_eq!(answer.status, 101, "{instead:?}");
        assert_eq!(answer.field("sec-websocket-accept"), Some(ACCEPT), "{instead:?}");
        assert_eq!(answer.field("sec-websocket-protocol"), None, "{instead:?}");
        assert_eq!(answer.field("sec-websocket-extensions"), None, "{instead:?}");
    }
    let spaces = format!("Sec-WebSocket-Extensions: b{}x", " ".repeat(7_000));
    assert_eq!(ask(server.addr, &spaces).status, 101, "7,000 spaces are within the limit");
    let spaces = format!("Sec-WebSocket-Extensions: b{}x", " ".repeat(8_192));
    assert_eq!(ask(server.addr, &spaces).status, 431);
    for name in ["Sec-WebSocket-Extensions", "Connection"] {
        let commas = format!("{name}: Upgrade{}", ",x".repeat(3_500));
        assert_eq!(ask(server.addr, &commas).status, 101, "{name} of 3,500 items");
    }
}

#[test]
fn an_offer_of_other_subprotocols_is_refused_before_a_player_joins() {
    let mut server = TestServer::start(&["--log-level", "warn"]);
    let many = format!("Sec-WebSocket-Protocol: chat-\u{e9}{}", ",x".repeat(3_500));
    let spaces = format!("Sec-WebSocket-Protocol: b{}x", " ".repeat(7_000));
    let split = "Sec-WebSocket-Protocol:\nSec-WebSocket-Protocol: graphql-ws";
    let offers = [&many, &spaces, split, "Sec-WebSocket-Protocol: constructor"];
    for offer in offers {
        let answer = ask(server.addr, offer);
        assert_eq!(answer.status, 400, "{offer:?}");
        assert!(answer.text().contains("subprotocols"), "{}", answer.text());
        assert_eq!(answer.field("sec-websocket-protocol"), None, "{offer:?}");
    }
    assert_eq!(server.metric("skirmish_joins_total"), 0);
    let refused = server.metric("skirmish_refusals_total{reason=\"subprotocol\"}");
    assert_eq!(refused, offers.len() as u64);
    let line = server.until_logged("subprotocol");
    assert!(line.contains("chat-\\u{e9}") && line.contains("127.0.0.1"), "{line}");
    assert!(line.len() < 400, "{line}");
    assert_eq!(server.log().len(), 1, "{:?}", server.log());
    let echo = TestServer::start(&["--echo"]);
    assert_eq!(ask(echo.addr, "Sec-WebSocket-Protocol: chat").status, 101);
}

#[test]
fn every_path_without_a_route_joins_the_game() {
    let server = TestServer::start(&[]);
    for path in ["/", "/ws", "/any/path", "/a%20b?x=%20&&=&", "/?name=%F0%9F%98%80", "/?room="] {
        Peer::join(server.addr, path);
    }
    // A page connects to its own address.
    for path in ["/client.html", "/index.html?room=x"] {
        Peer::join(server.addr, path);
    }
    for path in ["/healthz", "/rooms", "/metrics"] {
        let answer = ask_line(server.addr, &format!("GET {path} HTTP/1.1"), "");
        assert_eq!(answer.status, 200, "{path} is a page");
    }
}

#[test]
fn a_bad_request_is_400() {
    let server = TestServer::start(&[]);
    for instead in [
        "Host",
        "Host: a\nHost: b",
        "Host:",
        "Host: a/b",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Key:",
        "Sec-WebSocket-Key: short",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEyMw==",
        "Sec-WebSocket-Key: !!hlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
    ] {
        let answer = ask(server.addr, instead);
        assert_eq!(answer.status, 400, "{instead:?}");
        assert!(!answer.body.is_empty(), "the body explains the refusal: {instead:?}");
    }
    assert_eq!(
        ask_line(server.addr, "GET /ws HTTP/1.0", "").status,
        400,
        "HTTP/1.0 has no upgrade"
    );
    for query in ["room=UPPER", "room=a%20b", "room=%ff", "room=a.b", "room=..%2f", "rules=chess"] {
        let answer = ask_line(server.addr, &format!("GET /?{query} HTTP/1.1"), "");
        assert_eq!(answer.status, 400, "{query}");
    }
    let room = |chars| format!("GET /?room={} HTTP/1.1", "r".repeat(chars));
    assert_eq!(ask_line(server.addr, &room(32), "").status, 101);
    assert_eq!(ask_line(server.addr, &room(33), "").status, 400);
    assert_eq!(server.metric("skirmish_joins_total"), 1, "only one of them joined");
}

#[test]
fn other_methods_are_405_and_other_versions_426() {
    let server = TestServer::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let answer = ask_line(server.addr, &format!("{method} /ws HTTP/1.1"), "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"), "{method}");
    }
    for version in ["", ":", ": 8", ": 0", ": 7", ": 12", ": 14", ": 013", ": +13", ": 13.0", ": x"]
    {
        let answer = ask(server.addr, &format!("Sec-WebSocket-Version{version}"));
        assert_eq!(answer.status, 426, "version {version:?}");
        assert_eq!(answer.field("sec-websocket-version"), Some("13"), "version {version:?}");
    }
    for instead in ["Upgrade", "Upgrade: h2c", "Connection", "Connection: keep-alive"] {
        let answer = ask(server.addr, instead);
        assert_eq!(answer.status, 426, "{instead:?}");
        assert_eq!(answer.field("upgrade"), Some("websocket"), "{instead:?}");
    }
}

// T28
#[test]
fn pages_of_other_origins_may_not_connect() {
    let server = TestServer::start(&[]);
    let port = server.addr.port();
    let host = format!("play.example:{port}");
    let status = |host: &str, origin: &str| {
        let line = "GET /ws HTTP/1.1";
        ask_line(server.addr, line, &format!("Host: {host}\nOrigin: {origin}")).status
    };
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://{host}.evil.example"),
        format!("http://evil.example/{host}"),
        format!("http://{host}@evil.example"),
        format!("http://evil.example#{host}"),
        format!("http://{host}/"),
        format!("http://x{host}"),
        format!("http:// {host}"),
        format!("ftp://{host}"),
        format!("app://{host}"),
        format!("//{host}"),
        host.clone(),
        format!("http://{host}, http://{host}"),
        format!("http://{host} http://evil.example"),
        format!("http://{host}\nOrigin: http://{host}"),
        "http://play.example".to_owned(),
        "http://play.example:1".to_owned(),
        "null".to_owned(),
        "NULL".to_owned(),
        "file://".to_owned(),
        String::new(),
        "http://".to_owned(),
        format!("http://localhost:{port}"),
        "http://127.0.0.1".to_owned(),
    ] {
        assert_eq!(status(&host, &origin), 403, "{origin:?} at {host}");
    }
    for scheme in ["http", "https", "ws", "wss"] {
        assert_eq!(status(&host, &format!("{scheme}://{host}")), 101, "{scheme}");
    }
    assert_eq!(ask(server.addr, &format!("Host: {host}")).status, 101, "no Origin: not a browser");
    let local = server.addr.to_string();
    for origin in
        ["null", "http://localhost", "https://localhost:3000", "http://127.0.0.9:1", "http://[::1]"]
    {
        assert_eq!(status(&local, origin), 101, "{origin}: loopback to loopback");
        assert_eq!(status("localhost:1", origin), 403, "{origin}: at another port");
        let proxied = format!("{local}\nX-Forwarded-For: 192.0.2.1");
        assert_eq!(status(&proxied, origin), 403, "{origin}: through a proxy");
    }
    for origin in ["http://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil"]
    {
        assert_eq!(status(&local, origin), 403, "{origin} at {local}");
    }
    assert!(server.metric("skirmish_refusals_total{reason=\"origin\"}") > 30);
}

#[test]
fn origins_on_the_list_may_connect() {
    let status = |flags: &[&str], origin: &str| {
        let server = TestServer::start(flags);
        ask(server.addr, &format!("Host: play.example\nOrigin: {origin}")).status
    };
    let listed = ["--allow-origin", "https://friend.example", "--allow-origin", "http://b:8080"];
    for (flags, origin, expected) in [
        (&listed[..], "https://friend.example", 101),
        (&listed, "http://b:8080", 101),
        (&listed, "http://friend.example", 403),
        (&listed, "https://friend.example:444", 403),
        (&listed, "https://friend.example.evil.example", 403),
        (&listed, "http://b", 403),
        (&listed, "null", 403),
        (&["--allow-origin", "null"], "null", 101),
        (&["--allow-origin", "null"], "http://evil.example", 403),
        (&["--allow-origin", "*"], "http://evil.example", 101),
        (&["--allow-origin", "*"], "null", 101),
        (&["--echo"], "http://evil.example", 101),
    ] {
        assert_eq!(status(flags, origin), expected, "{origin} with {flags:?}");
    }
}

// T29
#[test]
fn with_host_other_names_are_421() {
    let server = TestServer::start(&["--host", "play.example"]);
    let status = |host: &str| ask(server.addr, &format!("Host: {host}")).status;
    for host in ["play.example", "Play.Example:8765", "127.0.0.1", "192.0.2.1:80", "localhost:1"] {
        assert_eq!(status(host), 101, "{host}");
    }
    for host in ["evil.example", "play.example.evil.example", "xplay.example", "127.0.0.1.evil"] {
        assert_eq!(status(host), 421, "{host}");
        let page = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Peer::connect(server.addr).ask(&page).status, 421, "the page at {host}");
    }
}

// T04
#[test]
fn a_head_beyond_its_limits_is_431_or_414() {
    let server = TestServer::start(&[]);
    let two_thousand = "a: b\n".repeat(2_000);
    assert_eq!(ask(server.addr, &two_thousand).status, 431);
    assert_eq!(ask(server.addr, &"a: b\n".repeat(60)).status, 431, "65 fields");
    assert_eq!(ask(server.addr, &"a: b\n".repeat(59)).status, 101, "64 fields");
    let long = format!("GET /?{} HTTP/1.1", "q".repeat(2_100));
    assert_eq!(ask_line(server.addr, &long, "").status, 414);
    let query = format!("GET /?{} HTTP/1.1", "a=%20&".repeat(330));
    assert_eq!(ask_line(server.addr, &query, "").status, 101);
}

#[test]
fn a_refused_handshake_gets_one_response_whatever_follows() {
    let server = TestServer::start(&[]);
    let behind = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let frames = masked(0x81, b"hello");
    for instead in ["Sec-WebSocket-Key", "Sec-WebSocket-Version: 8", "Origin: http://evil.example"]
    {
        for behind in [behind.as_slice(), &frames] {
            let fields = fields_with(server.addr, instead);
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let head = request("GET /ws HTTP/1.1", &fields);
            let mut peer = Peer::connect(server.addr);
            peer.send(&[head.as_bytes(), behind].concat());
            assert!(peer.answer(true).status >= 400, "{instead}");
            peer.expect_end();
        }
    }
}

// T26
#[test]
fn no_http_is_accepted_after_a_101() {
    let server = TestServer::start(&["--echo"]);
    let mut peer = Peer::connect(server.addr);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr);
    peer.send(&[handshake(server.addr, "/"), request.into_bytes()].concat());
    assert_eq!(peer.answer(true).status, 101);
    assert_eq!(peer.frame().close().0, Some(1002), "GE is not a valid frame header");
    peer.expect_end();
}

// T06
#[test]
fn a_handshake_and_its_first_frames_may_be_split_anywhere() {
    let server = TestServer::start(&["--echo"]);
    let mut barrier = ReadBarrier::of(server.addr);
    let frames = [masked(0x89, b"p"), masked(0x81, b"second"), masked(0x82, b"third")].concat();
    let all = [handshake(server.addr, "/"), frames].concat();
    for cut in 0..=all.len() {
        let mut peer = Peer::connect(server.addr);
        peer.send_cut(&all, cut, &mut barrier);
        let answer = peer.answer(true);
        let fields = ["upgrade", "connection", "sec-websocket-accept"];
        assert_eq!(answer.status, 101, "split at {cut}");
        assert!(answer.fields.iter().map(|(name, _)| name).eq(fields), "split at {cut}");
        let frames = [0; 3].map(|_| peer.frame()).map(|frame| (frame.first, frame.payload));
        let expected = [(0x8a, "p"), (0x81, "second"), (0x82, "third")];
        assert_eq!(frames, expected.map(|(first, text)| (first, text.into())), "split at {cut}");
    }
    let mut peer = Peer::connect(server.addr);
    peer.send_bytewise(&all);
    assert_eq!(peer.answer(true).status, 101);
    assert_eq!(peer.frame().payload, b"p");
}

#[test]
fn nothing_comes_before_the_101_and_nothing_but_control_before_init() {
    let server = TestServer::start(&[]);
    let frames = [masked(0x89, b"ping"), masked(0x81, br#"{"type":"ping","t":1}"#)].concat();
    let mut peer = Peer::connect(server.addr);
    peer.send(&[handshake(server.addr, "/"), frames].concat());
    assert_eq!(peer.answer(true).status, 101);
    let mut texts = Vec::new();
    let mut pongs = Vec::new();
    while texts.len() < 2 {
        let frame = peer.frame();
        if frame.first == 0x8a { pongs.push(frame.payload) } else { texts.push(frame) }
    }
    assert!(texts[0].text().starts_with("{\"type\":\"init\""), "{texts:?}");
    assert!(texts[1].text().starts_with("{\"type\":\"pong\",\"t\":1"), "{texts:?}");
    assert_eq!(pongs, [b"ping"]);
}
