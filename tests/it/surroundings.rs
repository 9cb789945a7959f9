//! What surrounds the server: peers that speak another protocol, Kubernetes, and addresses of
//! sockets for both families of IP.

use rustix::process::Signal;

use crate::harness::{KEY, Peer, TestServer, request, start_and_stop};

#[test]
fn another_protocol_is_named_in_the_log_at_a_limited_rate() {
    let mut server = TestServer::start(&["--log-level", "warn", "--admin-listen", "127.0.0.1:0"]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let v1 = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x67\0\x50";
    // The health check of a proxy: the address, and the end.
    let check = b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 80\r\n";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let first_bytes: [&[u8]; 6] = [hello, preface, v1, v2, check, local];
    for addr in [server.addr, server.admin()] {
        for bytes in first_bytes {
            for _ in 0..3 {
                let mut peer = Peer::connect(addr);
                peer.send(bytes);
                let answer = peer.answer(true);
                assert_eq!(answer.status, 400, "{}", bytes.escape_ascii());
                assert_eq!(answer.field("connection"), Some("close"));
                peer.expect_end();
            }
        }
    }
    for bytes in [&hello[..], preface, v1] {
        let mut peer = Peer::connect(server.addr);
        // The response comes as soon as the protocol is certain.
        for byte in bytes {
            let _ = std::io::Write::write_all(&mut peer.stream, &[*byte]);
        }
        assert_eq!(peer.answer(true).status, 400, "{}", bytes.escape_ascii());
    }
    for (name, advice) in [
        ("TLS on a port for plain HTTP", "terminates TLS"),
        ("HTTP/2 on a port for HTTP/1.1", "HTTP/1.1 to this server"),
        ("PROXY protocol on a port for HTTP/1.1", "--proxy-protocol"),
    ] {
        let line = server.until_logged(name);
        assert!(line.contains("WARN") && line.contains("peer=127.0.0.1"), "{line}");
        assert!(line.contains(advice), "{line}");
    }
    assert_eq!(server.ask("GET /healthz", "").status, 200);
    server.signal(Signal::TERM);
    server.exit();
    assert_eq!(server.log().len(), 3, "{:?}", server.log());
}

#[test]
fn variables_of_a_kubernetes_service_are_skipped_with_one_line() {
    let links = [
        ("SKIRMISH_SERVICE_HOST", "10.96.0.7"),
        ("SKIRMISH_SERVICE_PORT", "8765"),
        ("SKIRMISH_SERVICE_PORT_WEB", "8765"),
        ("SKIRMISH_PORT", "tcp://10.96.0.7:8765"),
        ("SKIRMISH_PORT_8765_TCP", "tcp://10.96.0.7:8765"),
        ("SKIRMISH_PORT_8765_TCP_PROTO", "tcp"),
        ("SKIRMISH_PORT_8765_TCP_PORT", "8765"),
        ("SKIRMISH_PORT_8765_TCP_ADDR", "10.96.0.7"),
        ("SKIRMISH_ADMIN_SERVICE_HOST", "10.96.0.8"),
        ("SKIRMISH_ADMIN_PORT", "tcp://10.96.0.8:9100"),
    ];
    // PORT and SKIRMISH_LISTEN count as if there were no SKIRMISH_PORT.
    for own in [("PORT", "0"), ("SKIRMISH_LISTEN", "127.0.0.1:0")] {
        let (startup, log) = start_and_stop(&["--drain-s", "0"], &[&links[..], &[own]].concat());
        assert!(startup.contains("is listening"), "{log}");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("SKIRMISH_")).collect();
        assert!(lines.len() == 1 && lines[0].contains("Kubernetes"), "{log}");
        assert!(links.iter().all(|(name, _)| lines[0].contains(name)), "{log}");
        assert!(!log.contains("WARN"), "{log}");
    }
    // What Kubernetes does not make is misspelled.
    let misspelled = [("PORT", "0"), ("SKIRMISH_SERVICE_PROT", "8765"), links[0]];
    let (startup, log) = start_and_stop(&["--drain-s", "0"], &misspelled);
    assert!(startup.contains("is listening"), "{log}");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("SKIRMISH_SERVICE_PROT"), "{log}");
    let (startup, log) =
        start_and_stop(&["--drain-s", "0"], &[("SKIRMISH_PORT", "http://10.96.0.7:8765")]);
    assert!(startup.is_empty() && log.contains("SKIRMISH_PORT (--port)"), "{log}");
}

#[test]
fn addresses_of_ipv4_in_ipv6_are_ipv4_everywhere() {
    let flags = ["--trusted-proxy", "::ffff:127.0.0.0/104", "--log", "text"];
    let mut server = TestServer::start_on("[::ffff:127.0.0.1]:0", &flags);
    assert!(server.addr.is_ipv4(), "{}", server.addr);
    assert!(!server.until_logged("started").contains("ffff"));
    let join = |forwarded: &str| {
        let fields = format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\nX-Forwarded-For: {forwarded}\r\n"
        );
        let mut peer = Peer::connect(server.addr);
        assert_eq!(peer.ask(&request(server.addr, "GET /", &fields)).status, 101);
        peer
    };
    let players = [
        "::ffff:192.0.2.1",
        "[::ffff:c000:202]:4711",
        "0:0:0:0:0:FFFF:192.0.2.3",
        "192.0.2.4, ::ffff:127.0.0.9",
    ]
    .map(join);
    for host in 1..=players.len() {
        server.until_logged(&format!("peer=192.0.2.{host}"));
    }
    assert!(!server.log().iter().any(|line| line.contains("ffff")), "{:?}", server.log());
}
