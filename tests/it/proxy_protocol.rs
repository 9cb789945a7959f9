//! `--proxy-protocol`: connections begin with a header that names the client.

use std::io::Write;
use std::net::{IpAddr, Shutdown, TcpStream};

use rustix::process::Signal;
use skirmish::limits::CONNECTIONS_AN_ADDRESS;

use crate::harness::{
    Answer, KEY, Peer, ReadBarrier, TestServer, from, handshake, request, start_and_stop, try_from,
};
use crate::proxy::assert_joins_share_a_rate;

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const UNSPECIFIED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// A server that takes the PROXY protocol from 127.0.0.2 and has a separate admin port.
fn server(flags: &[&str]) -> TestServer {
    let own = ["--proxy-protocol", "--trusted-proxy", "127.0.0.2", "--admin-listen", "127.0.0.1:0"];
    TestServer::start(&[&own, flags].concat())
}

/// A header of version 1.
fn v1(client: &str) -> Vec<u8> {
    match client.contains(':') {
        false => format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n").into_bytes(),
        true => format!("PROXY TCP6 {client} ::1 4711 80\r\n").into_bytes(),
    }
}

/// A header of version 2, with an extension.
fn v2(client: &str) -> Vec<u8> {
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21";
    let extension = b"\x04\0\x02hi";
    match client.parse().expect("an address") {
        IpAddr::V4(ip) => {
            let [source, destination] = [ip.octets(), [127, 0, 0, 1]];
            let length = b"\x11\0\x11";
            [&start[..], length, &source, &destination, &[0, 80, 0, 80], extension].concat()
        }
        IpAddr::V6(ip) => {
            let source = ip.octets();
            let length = b"\x21\0\x29";
            [&start[..], length, &source, &source, &[0, 80, 0, 80], extension].concat()
        }
    }
}

/// The proxy opens a connection that begins with `first`.
fn begin(server: &TestServer, first: &[u8]) -> Peer {
    let mut peer = Peer::over(from(2, server.addr));
    peer.send(first);
    peer
}

/// Like [`begin`]; the server may end it at any time.
fn try_begin(server: &TestServer, first: &[u8]) -> Peer {
    let mut stream = from(2, server.addr);
    // A write after the end of the connection fails.
    let _ = stream.write_all(first);
    Peer::over(stream)
}

/// A client tries to join behind `header`, with more `fields` in its request.
fn try_join(server: &TestServer, header: &[u8], fields: &str) -> (Peer, Answer) {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    let fields = format!("{upgrade}Sec-WebSocket-Key: {KEY}\r\n{fields}");
    let mut peer = begin(server, header);
    let answer = peer.ask(&request(server.addr, "GET /", &fields));
    (peer, answer)
}

/// Asserts that all joins share one rate limit, whatever the number in the header and the fields of
/// each.
fn assert_one_budget(server: &TestServer, client: impl Fn(usize) -> (Vec<u8>, String)) {
    assert_joins_share_a_rate(|n| {
        let (header, fields) = client(n);
        try_join(server, &header, &fields)
    });
}

#[test]
fn a_header_names_the_client_and_the_request_follows() {
    let mut server = server(&[]);
    for (header, client) in [
        (v1("192.0.2.1"), "192.0.2.1"),
        (v1("2001:db8::1"), "2001:db8::1"),
        (v1("::ffff:192.0.2.2"), "192.0.2.2"),
        (v2("192.0.2.3"), "192.0.2.3"),
        (v2("2001:db8::2"), "2001:db8::2"),
        (v2("::ffff:192.0.2.4"), "192.0.2.4"),
    ] {
        // The request may come with the header or later, and others follow.
        let mut peer = begin(&server, &header);
        assert_eq!(peer.get("/healthz").text(), "ok\n");
        assert_eq!(peer.get("/client.html").status, 200);
        let mut peer = begin(&server, &[header, handshake(server.addr, "/")].concat());
        assert_eq!(peer.answer(true).status, 101, "{client}");
        assert!(peer.frame().text().contains("init"));
        server.until_logged(&format!("peer={client}"));
    }
    assert!(!server.log().iter().any(|line| line.contains("WARN")), "{:?}", server.log());
}

#[test]
fn the_startup_message_says_who_may_connect() {
    let flags = ["--listen", "127.0.0.1:0", "--trusted-proxy", "127.0.0.1", "--drain-s", "0"];
    let says = |env| start_and_stop(&flags, env).0.contains("Only a --trusted-proxy may connect");
    assert!(says(&[("SKIRMISH_PROXY_PROTOCOL", "true")]));
    assert!(!says(&[("SKIRMISH_PROXY_PROTOCOL", "false")]));
}

// T06
#[test]
fn a_header_may_be_cut_anywhere() {
    let server = server(&[]);
    let mut barrier = ReadBarrier::of(server.admin());
    let request = request(server.addr, "GET /healthz", "");
    for header in [v1("192.0.2.1"), v2("192.0.2.1"), LOCAL.to_vec()] {
        let all = [&header, request.as_bytes()].concat();
        for cut in 1..header.len() + 3 {
            let mut peer = Peer::over(from(2, server.addr));
            peer.send_cut(&all, cut, &mut barrier);
            assert_eq!(peer.answer(true).text(), "ok\n", "{cut}");
        }
        let mut peer = Peer::over(from(2, server.addr));
        peer.send_bytewise(&all);
        assert_eq!(peer.answer(true).text(), "ok\n");
    }
}

// T50
#[test]
fn a_peer_that_is_not_a_trusted_proxy_is_refused() {
    let mut server = server(&["--log-level", "warn"]);
    for first in [&b""[..], b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", &v1("192.0.2.1"), LOCAL] {
        let connected = try_from(3, server.addr);
        if let Ok(mut stream) = connected.as_ref() {
            // The reset may be faster.
            let _ = stream.write_all(first);
        }
        Peer::expect_refused(connected);
    }
    assert_eq!(server.metric("skirmish_refusals_total{reason=\"untrusted_peer\"}"), 4);
    // The address of a proxy that a peer claims makes no difference.
    assert_eq!(begin(&server, &v1("127.0.0.3")).get("/healthz").status, 200);
    server.until_logged("peer=127.0.0.3");
    server.signal(Signal::TERM);
    server.exit();
    assert_eq!(server.log().len(), 1, "{:?}", server.log());
    assert!(server.log()[0].contains("--trusted-proxy"), "{:?}", server.log());
}

#[test]
fn a_connection_without_a_valid_header_is_closed() {
    let mut server = server(&["--log-level", "warn"]);
    let long = [b"PROXY UNKNOWN ", &[b'x'; 600][..]].concat();
    let first_bytes = [
        &b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 65536\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PROXY TCP4 2001:db8::1 ::1 4711 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x09",
        b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        &long,
    ];
    for first in first_bytes {
        try_begin(&server, first).expect_end();
    }
    let closes = server.metric("skirmish_closes_total{reason=\"proxy_header\"}");
    assert_eq!(closes, first_bytes.len() as u64);
    // Bytes behind a header are a request: another header is none.
    let mut twice = begin(&server, &[v1("192.0.2.1"), v1("192.0.2.2")].concat());
    assert_eq!(twice.answer(true).status, 400);
    // The admin port takes no header.
    let mut operator = Peer::connect(server.admin());
    operator.send(&v1("192.0.2.1"));
    assert_eq!(operator.answer(true).status, 400);
    server.signal(Signal::TERM);
    server.exit();
    let of_header = server.log().iter().filter(|line| line.contains("--proxy-protocol")).count();
    assert_eq!((of_header, server.log().len()), (2, 2), "{:?}", server.log());
    assert!(server.log()[0].contains("proxy=127.0.0.2"), "{:?}", server.log());
}

#[test]
fn a_header_must_arrive_in_time() {
    let server = server(&[]);
    let starts =
        [&b""[..], b"PROXY TCP4 192.0.2.1", b"\r\n\r\n\0\r\nQUIT\n", &v2("192.0.2.1")[..20]];
    let mut late: Vec<Peer> = starts.iter().map(|start| begin(&server, start)).collect();
    // The time for the first request has begun with the connection.
    let mut silent = begin(&server, &v1("192.0.2.1"));
    late.iter_mut().for_each(Peer::expect_end);
    silent.expect_end();
    drop((late, silent));
    server.until_metric("skirmish_closes_total{reason=\"http_idle\"}", 5);
    server.until_metric("skirmish_connections", 1);
}

#[test]
fn each_named_address_has_its_own_limits() {
    let server = server(&[]);
    let most = CONNECTIONS_AN_ADDRESS as usize;
    let idle: Vec<Peer> = (0..most).map(|_| begin(&server, &v1("192.0.2.1"))).collect();
    ReadBarrier::of(server.admin()).wait_until_read();
    try_begin(&server, &v2("192.0.2.1")).expect_end();
    try_begin(&server, &v1("::ffff:192.0.2.1")).expect_end();
    assert_eq!(server.metric("skirmish_refusals_total{reason=\"address_full\"}"), 2);
    assert_eq!(begin(&server, &v2("192.0.2.2")).get("/healthz").status, 200);
    drop(idle);
    server.until_metric("skirmish_connections", 1);
    assert_one_budget(&server, |_| (v2("192.0.2.3"), String::new()));
    assert_one_budget(&server, |n| (v1(&format!("2001:db8::{n:x}")), String::new()));
    assert_eq!(try_join(&server, &v1("192.0.2.4"), "").1.status, 101);
}

// T50
#[test]
fn a_named_client_names_no_others() {
    let mut server = server(&[]);
    let field = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    assert_one_budget(&server, |n| (v1("192.0.2.1"), field(&format!("198.51.100.{n}"))));
    assert_one_budget(&server, |n| (v2("192.0.2.2"), field(&format!("198.51.100.{n}, 127.0.0.2"))));
    assert!(!server.log().iter().any(|line| line.contains("198.51.100.")), "{:?}", server.log());
    // A proxy in front of the proxy is one that is trusted, too.
    let (_player, answer) = try_join(&server, &v2("127.0.0.2"), &field("198.51.100.9"));
    assert_eq!(answer.status, 101);
    server.until_logged("peer=198.51.100.9");
    assert_one_budget(&server, |n| (v1("127.0.0.2"), field(&format!("198.51.100.{n}, 192.0.2.3"))));
}

#[test]
fn a_client_that_is_named_as_loopback_is_not_local() {
    let server = server(&[]);
    let port = server.addr.port();
    // The last one is the address of the proxy.
    for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.2"] {
        let mut peer = begin(&server, &v1(client));
        peer.send(format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes());
        assert_eq!(peer.answer(true).status, 403, "{client}");
        let (_, answer) = try_join(&server, &v1(client), "Origin: null\r\n");
        assert_eq!(answer.status, 403, "{client}");
    }
    assert_one_budget(&server, |_| (v2("127.0.0.1"), String::new()));
    assert_one_budget(&server, |_| (v2("127.0.0.2"), String::new()));
    server.until_metric("skirmish_connections", 1);
    let most = CONNECTIONS_AN_ADDRESS as usize;
    let _idle: Vec<Peer> = (0..most).map(|_| begin(&server, &v2("127.0.0.1"))).collect();
    ReadBarrier::of(server.admin()).wait_until_read();
    try_begin(&server, &v2("127.0.0.1")).expect_end();
}

#[test]
fn a_health_check_is_neither_a_client_nor_an_error() {
    let mut server = server(&[]);
    let of_proxy = v1("127.0.0.2");
    let checks = [LOCAL, UNKNOWN, UNSPECIFIED, &of_proxy, &v1("127.0.0.1"), b""];
    for check in checks {
        // HAProxy resets the connection of a check.
        begin(&server, check).reset();
        begin(&server, check).stream.shutdown(Shutdown::Write).expect("it is open");
        if !check.is_empty() {
            assert_eq!(begin(&server, check).get("/healthz").status, 200);
            let mut peer = begin(&server, check);
            assert_eq!(peer.ask("OPTIONS / HTTP/1.0\r\n\r\n").status, 204);
        }
    }
    // A proxy may have any number of connections, and names no client with these.
    let many: Vec<TcpStream> = (0..50).map(|_| begin(&server, LOCAL).stream).collect();
    ReadBarrier::of(server.admin()).wait_until_read();
    server.until_metric("skirmish_connections", 51);
    drop(many);
    server.until_metric("skirmish_connections", 1);
    for zero in ["joins_total", "clients_unknown_total", "clients_unnamed_total", "panics_total"] {
        assert_eq!(server.metric(&format!("skirmish_{zero}")), 0, "{zero}");
    }
    for reason in ["proxy_header", "hung_up", "policy", "http_refused"] {
        let series = format!("skirmish_closes_total{{reason=\"{reason}\"}}");
        assert_eq!(server.metric(&series), 0, "{reason}");
    }
    server.signal(Signal::TERM);
    server.exit();
    let is_of_peer = |line: &String| line.contains("WARN") || line.contains("127.0.0.2");
    assert!(!server.log().iter().any(is_of_peer), "{:?}", server.log());
}

/// T76.
#[test]
fn clients_that_a_header_does_not_name_share_the_limits_of_one() {
    let mut server = server(&[]);
    // HAProxy sends such headers for the clients of a UNIX socket.
    let headers = [LOCAL, UNKNOWN, UNSPECIFIED, b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\0"];
    assert_one_budget(&server, |n| {
        (headers[n % headers.len()].to_vec(), format!("X-Forwarded-For: 198.51.100.{n}\r\n"))
    });
    assert!(server.metric("skirmish_clients_unknown_total") >= 65);
    assert_eq!(try_join(&server, &v1("192.0.2.1"), "").1.status, 101);
    let what = "names no client";
    server.until_logged(what);
    assert_eq!(server.log().iter().filter(|line| line.contains(what)).count(), 1);
    assert!(!server.log().iter().any(|line| line.contains("198.51.100.")), "{:?}", server.log());
}
