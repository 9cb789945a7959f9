//! Origin and Host as browsers, other clients and proxies write them; OPTIONS, CORS, and what a
//! refusal says in the log.

use std::net::SocketAddr;

use crate::harness::{Answer, KEY, Peer, TestServer, request};

/// Asks for `line` with exactly these fields.
fn ask(addr: SocketAddr, line: &str, fields: &str) -> Answer {
    Peer::connect(addr).ask(&format!("{line}\r\n{fields}\r\n"))
}

/// The statuses of a WebSocket, of a Socket.IO session over WebSocket and one over polling, and
/// whether a page may read the response, at `host` for a page of `origin`.
fn statuses(server: &TestServer, host: &str, origin: &str) -> [u16; 4] {
    let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
    let upgrade = format!(
        "{fields}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n"
    );
    let socketio = "GET /socket.io/?EIO=4&transport=";
    let read = ask(server.addr, "GET /rooms HTTP/1.1", &fields);
    let may_read = read.field("access-control-allow-origin") == Some(origin);
    [
        ask(server.addr, "GET /ws HTTP/1.1", &upgrade).status,
        ask(server.addr, &format!("{socketio}websocket HTTP/1.1"), &upgrade).status,
        ask(server.addr, &format!("{socketio}polling HTTP/1.1"), &fields).status,
        if may_read { 200 } else { 403 },
    ]
}

/// Asserts that every transport accepts a page of `origin` at `host`.
fn assert_passes(server: &TestServer, host: &str, origin: &str) {
    assert_eq!(statuses(server, host, origin), [101, 101, 200, 200], "{origin} at {host}");
}

fn assert_refused(server: &TestServer, host: &str, origin: &str) {
    assert_eq!(statuses(server, host, origin), [403, 403, 403, 403], "{origin} at {host}");
}

#[test]
fn a_default_port_equals_none() {
    let server = TestServer::start(&[]);
    for (host, origin) in [
        ("play.example", "http://play.example:80"),
        ("play.example:80", "http://play.example"),
        ("play.example:", "http://play.example"),
        ("play.example:443", "https://play.example"),
        ("play.example", "https://play.example:443"),
        ("play.example:0443", "https://play.example"),
        ("192.0.2.1:443", "https://192.0.2.1"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]"),
        ("[2001:db8::1]", "https://[2001:DB8:0::1]:443"),
    ] {
        assert_passes(&server, host, origin);
    }
    for (host, origin) in [
        ("play.example:443", "http://play.example"),
        ("play.example:80", "https://play.example"),
        ("play.example", "http://play.example:443"),
        ("play.example", "http://play.example:0"),
        ("play.example:0", "http://play.example"),
        ("play.example:8080", "http://play.example"),
        ("[2001:db8::1]:81", "http://[2001:db8::1]"),
    ] {
        assert_refused(&server, host, origin);
    }
}

#[test]
fn clients_that_send_the_url_of_the_websocket_may_connect() {
    let server = TestServer::start(&[]);
    for (host, origin) in [
        ("play.example", "ws://play.example"),
        ("play.example:443", "wss://play.example"),
        ("play.example", "wss://play.example:443"),
        ("play.example:8765", "ws://play.example:8765"),
        ("play.example:8765", "wss://play.example:8765"),
        ("play.example", "WS://Play.Example"),
    ] {
        assert_passes(&server, host, origin);
    }
    for (host, origin) in [
        ("play.example:8765", "ws://play.example"),
        ("play.example", "ws://evil.example"),
        ("play.example", "wss://play.example:80"),
        ("play.example", "ftp://play.example"),
        ("play.example", "app://play.example"),
    ] {
        assert_refused(&server, host, origin);
    }
}

#[test]
fn a_dot_at_the_end_of_a_host_and_its_case_do_not_count() {
    let server = TestServer::start(&["--host", "Play.Example.", "--host", "xn--bcher-kva.example"]);
    for (host, origin) in [
        ("play.example", "http://play.example"),
        ("play.example.", "http://play.example."),
        ("play.example.", "http://play.example"),
        ("play.example", "https://PLAY.example."),
        ("PLAY.EXAMPLE.:443", "https://play.example"),
        ("xn--bcher-kva.example", "https://XN--bcher-kva.example"),
    ] {
        assert_passes(&server, host, origin);
    }
    for host in ["play.example..", "evil.example.", ".", "play.example.evil.example."] {
        let fields = format!("Host: {host}\r\n");
        assert_eq!(ask(server.addr, "GET /rooms HTTP/1.1", &fields).status, 421, "{host}");
    }
    // On this machine, also with the addresses of a socket for both families.
    let server = TestServer::start(&[]);
    let port = server.addr.port();
    for host in ["localhost.", "127.0.0.1.", "[::ffff:127.0.0.1]", "[0:0::1]"] {
        assert_passes(&server, &format!("{host}:{port}"), "null");
        let origin = format!("http://{host}:{port}");
        assert_passes(&server, &format!("LOCALHOST:{port}"), &origin);
    }
    assert_refused(&server, "localhost..", "null");
}

#[test]
fn any_origin_can_be_listed() {
    let listed = [
        "capacitor://localhost",
        "tauri://localhost",
        "http://tauri.localhost",
        "app://.",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "https://Friend.example:443",
        "http://[2001:db8::2]:8080",
        "wss://native.example",
        "file://",
    ];
    let server = TestServer::start(&listed.map(|origin| ["--allow-origin", origin]).concat());
    let host = "play.example";
    for origin in listed {
        assert_passes(&server, host, origin);
    }
    for origin in [
        "Capacitor://LocalHost",
        "https://friend.example",
        "wss://friend.example.",
        "https://native.example",
        "http://[2001:db8:0::2]:8080",
    ] {
        assert_passes(&server, host, origin);
    }
    for origin in [
        "capacitor://localhost:80",
        "capacitor://evil.example",
        "ionic://localhost",
        "http://localhost",
        "app://-",
        "app://",
        "chrome-extension://bbcdefghijklmnopabcdefghijklmnop",
        "http://friend.example",
        "http://[2001:db8::2]",
        "null",
        "*",
    ] {
        assert_refused(&server, host, origin);
    }
    // Browsers send `null` for a file, and the views of packaged apps `file://`.
    let server = TestServer::start(&["--allow-origin", "null"]);
    assert_passes(&server, host, "null");
    assert_passes(&server, host, "file://");
    assert_refused(&server, host, "file://h");
    assert_refused(&server, host, "NULL");
}

#[test]
fn fields_of_a_proxy_do_not_decide() {
    let server = TestServer::start(&["--trusted-proxy", "127.0.0.1"]);
    for proto in ["https", "wss", "https, http", "http,ws", "x,ws", ""] {
        let fields = format!("play.example\r\nX-Forwarded-Proto: {proto}");
        assert_passes(&server, &fields, "https://play.example");
        assert_passes(&server, &fields, "http://play.example");
        assert_refused(&server, &fields, "https://evil.example");
    }
    let backend = "10.0.0.1:8765\r\nX-Forwarded-Host: play.example";
    assert_refused(&server, backend, "https://play.example");
}

#[test]
fn a_health_check_needs_no_host() {
    let server = TestServer::start(&["--host", "play.example", "--admin-listen", "127.0.0.1:0"]);
    for addr in [server.addr, server.admin()] {
        let status = |line: &str, fields: &str| {
            Peer::connect(addr).ask(&format!("{line}\r\n{fields}\r\n")).status
        };
        assert_eq!(status("GET /healthz HTTP/1.0", ""), 200);
        assert_eq!(status("HEAD /healthz HTTP/1.0", "User-Agent: x\r\n"), 200);
        assert_eq!(status("OPTIONS / HTTP/1.0", ""), 204, "the default of haproxy");
        assert_eq!(status("GET / HTTP/1.0", ""), 421);
        assert_eq!(status("GET /rooms HTTP/1.0", ""), 421);
        assert_eq!(status("GET /metrics HTTP/1.0", ""), 421);
        assert_eq!(status("POST /healthz HTTP/1.0", ""), 421);
        assert_eq!(status("GET /healthz HTTP/1.0", "Host: evil.example\r\n"), 421);
        assert_eq!(status("GET /healthz HTTP/1.1", ""), 400);
        assert_eq!(status("GET /healthz HTTP/1.1", "Host:\r\n"), 400);
    }
}

#[test]
fn options_is_204_with_allow() {
    let server = TestServer::start(&["--admin-listen", "127.0.0.1:0"]);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    for (addr, target, allow) in [
        (server.addr, "*", "GET, HEAD, OPTIONS"),
        (server.addr, "/", "GET, HEAD, OPTIONS"),
        (server.addr, "/ws", "GET, HEAD, OPTIONS"),
        (server.addr, "/client.html", "GET, HEAD, OPTIONS"),
        (server.addr, "/rooms?page=2", "GET, HEAD, OPTIONS"),
        (server.addr, "/metrics", "GET, HEAD, OPTIONS"),
        (server.addr, "/nothing", "GET, HEAD, OPTIONS"),
        (server.addr, "/socket.io/socket.io.js", "GET, HEAD, OPTIONS"),
        (server.addr, "/socket.io/?EIO=4&transport=polling", "GET, POST, OPTIONS"),
        (server.admin(), "/metrics", "GET, HEAD, OPTIONS"),
        (server.admin(), "/", "GET, HEAD, OPTIONS"),
    ] {
        for fields in ["", upgrade] {
            let answer =
                Peer::connect(addr).ask(&request(addr, &format!("OPTIONS {target}"), fields));
            assert_eq!((answer.status, answer.field("allow")), (204, Some(allow)), "{target}");
            assert_eq!(answer.field("access-control-allow-methods"), None, "{target}");
        }
        // A body is not read as the next request.
        let body = request(addr, &format!("OPTIONS {target}"), "Content-Length: 5\r\n") + "GET /";
        let mut peer = Peer::connect(addr);
        let answer = peer.ask(&body);
        assert_eq!((answer.status, answer.field("connection")), (204, Some("close")), "{target}");
        peer.expect_end();
    }
    assert_eq!(ask(server.addr, "GET * HTTP/1.1", "Host: h\r\n").status, 400);
}

#[test]
fn a_preflight_is_answered_for_pages_that_may_connect() {
    let server = TestServer::start(&["--allow-origin", "capacitor://localhost"]);
    let preflight = |origin: &str, target: &str| {
        let fields = format!(
            "Host: play.example\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: x-a,x-b\r\n"
        );
        ask(server.addr, &format!("OPTIONS {target} HTTP/1.1"), &fields)
    };
    for target in ["/rooms", "/client.html", "/socket.io/?EIO=4&transport=polling"] {
        for origin in ["capacitor://localhost", "https://play.example"] {
            let answer = preflight(origin, target);
            let field = |name: &str| answer.field(&format!("access-control-allow-{name}"));
            assert_eq!(answer.status, 204);
            assert_eq!(field("origin"), Some(origin), "{target}");
            assert_eq!(field("credentials"), Some("true"), "{target}");
            assert_eq!(field("headers"), Some("x-a,x-b"), "{target}");
            let methods = field("methods").expect("methods");
            assert!(methods.contains("GET") && methods.contains("HEAD"), "{methods}");
            assert!(answer.field("allow").is_some());
        }
        let answer = preflight("http://evil.example", target);
        assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, None));
    }
    assert_eq!(preflight("capacitor://localhost", "/rooms").field("content-length"), None);
}

/// The first warning about a request with these fields, for a server of its own.
fn warning(flags: &[&str], fields: &str) -> String {
    let mut server = TestServer::start(&[&["--log-level", "warn"], flags].concat());
    for _ in 0..5 {
        let line = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1";
        let status = ask(server.addr, line, fields).status;
        assert!(status == 403 || status == 421, "{status}");
    }
    let line = server.until_logged("refused a");
    server.signal(rustix::process::Signal::TERM);
    server.exit();
    let lines = server.log().iter().filter(|line| line.contains("refused a")).count();
    assert_eq!(lines, 1, "one line in 20 s");
    assert!(line.len() < 500, "{line}");
    line
}

#[test]
fn a_refusal_shows_origin_and_host_and_what_to_do() {
    let line = warning(&[], "Host: play.example\r\nOrigin: https://evil.example\r\n");
    assert!(line.contains("origin=https://evil.example host=play.example"), "{line}");
    assert!(line.contains("--allow-origin") && !line.contains("$http_host"), "{line}");
    // nginx with `proxy_set_header Host $host` drops the port.
    for origin in ["http://play.example:8443", "wss://PLAY.example.:8443"] {
        let line = warning(&[], &format!("Host: play.example\r\nOrigin: {origin}\r\n"));
        assert!(line.contains("proxy_set_header Host $http_host"), "{line}");
        assert!(line.contains(":8443 host=play.example"), "{line}");
    }
    // A proxy that sends its own name for us, and ours beside it.
    for forwarded in ["play.example", "a.example, play.example:443", "Play.Example."] {
        let fields = format!("Origin: https://play.example\r\nX-Forwarded-Host: {forwarded}\r\n");
        let line = warning(&[], &format!("Host: backend:8765\r\n{fields}"));
        assert!(line.contains("ProxyPreserveHost On"), "{line}");
        assert!(line.contains("$http_host") && line.contains("host=backend:8765"), "{line}");
    }
    // A refused Host.
    let line = warning(&["--host", "play.example"], "Host: backend\r\nOrigin: http://backend\r\n");
    assert!(line.contains("origin=http://backend host=backend"), "{line}");
    assert!(line.contains("--host"), "{line}");
}

#[test]
fn text_of_a_peer_is_escaped_and_cut_in_the_log() {
    let (long, escape) = ("x".repeat(2_000), "\u{1b}[31m\u{202e}");
    let fields = format!("Host: h{long}\r\nOrigin: {escape}{long}\r\nX-Forwarded-Host: {long}\r\n");
    // A control character is not valid in a field.
    assert_eq!(ask(TestServer::start(&[]).addr, "GET / HTTP/1.1", &fields).status, 400);
    let fields = fields.replace('\u{1b}', "");
    let line = warning(&[], &fields);
    assert!(line.contains("\\u{202e}") && line.is_ascii(), "{line}");
}
