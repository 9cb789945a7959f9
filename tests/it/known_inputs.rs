//! Inputs that broke other servers, by the names under which the faults were published
//! (docs/hardening.md). After each of them the next player joins.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};

use crate::deflate::offer;
use crate::harness::{Peer, TestServer, handshake, masked, request, until};
use crate::polling_client::{Client, text};
use crate::sim::fixture::compressed;
use crate::tls::{Certificate, tls};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A WebSocket handshake with more header fields.
fn upgrade(addr: SocketAddr, target: &str, fields: &str) -> String {
    let plain = String::from_utf8(handshake(addr, target)).expect("text");
    plain.replacen("\r\n\r\n", &format!("\r\n{fields}\r\n"), 1)
}

#[test]
fn http_that_broke_others() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    let behind = request(addr, "GET /healthz", "");
    let get = |fields: &str| request(addr, "GET /healthz", fields) + &behind;
    let posted = |fields: &str, body: &str| {
        let session = Client::open_at(addr, "/socket.io/");
        request(addr, &format!("POST {}", session.query), fields) + body
    };
    let spaces = |count| format!("Sec-WebSocket-Protocol: b{}x\r\n", " ".repeat(count));
    let chunked = "Transfer-Encoding: chunked\r\n";
    let inputs: Vec<(&str, String, &[u16])> = vec![
        ("CVE-2024-37890", upgrade(addr, "/", &"ab:\r\n".repeat(2_000)), &[431]),
        ("CVE-2021-32640", upgrade(addr, "/", &spaces(8_192)), &[431]),
        ("CVE-2021-32640, within the limit", upgrade(addr, "/", &spaces(7_000)), &[400]),
        ("ws 3.3.1", upgrade(addr, "/", "Sec-WebSocket-Extensions: constructor\r\n"), &[101]),
        ("CVE-2023-43669", upgrade(addr, "/", &format!("X: {}\r\n", "x".repeat(1 << 20))), &[431]),
        ("CVE-2019-13611", upgrade(addr, "/", "Origin: http://other.example\r\n"), &[403]),
        ("RUSTSEC-2020-0008", get("Content-Length: 5\r\n"), &[400]),
        ("RUSTSEC-2021-0020", get(&format!("{chunked}Transfer-Encoding: x\r\n")), &[400]),
        ("RUSTSEC-2021-0078", get("Content-Length: +1\r\n"), &[400]),
        ("RUSTSEC-2021-0078, in a POST", posted("Content-Length: +1\r\n", "4"), &[400]),
        ("RUSTSEC-2021-0079", posted(chunked, "10000000000000002\r\n4a\r\n0\r\n\r\n"), &[400]),
        ("RUSTSEC-2017-0002", get("X: a\rSet-Cookie: b\r\n"), &[400]),
        ("RUSTSEC-2017-0002, a line feed", get("X: a\nSet-Cookie: b\r\n"), &[400]),
        ("RUSTSEC-2020-0031", get("Transfer-Encoding: \u{b}chunked\r\n"), &[400]),
        ("RUSTSEC-2021-0081", posted("Transfer-Encoding: chunked, x\r\n", "0\r\n\r\n"), &[400]),
        ("CVE-2026-2833", get("Connection: upgrade\r\nUpgrade: x\r\n"), &[200, 200]),
        (
            "CVE-2026-2835",
            posted(chunked, "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0") + &behind,
            &[400],
        ),
        ("CVE-2025-4366", request(addr, "POST /", "Content-Length: 200\r\n") + &behind, &[405]),
        ("uWebSockets, more body", posted("Content-Length: 2\r\n", "4axx\r\n\r\n"), &[200, 400]),
        ("GHSA-c4j6", upgrade(addr, "http://192.0.2.1/latest", ""), &[400]),
        ("RUSTSEC-2021-0135", request(addr, "GET /foo/c:/windows/win.ini", ""), &[404]),
    ];
    for (name, input, statuses) in inputs {
        let mut peer = Peer::connect(addr);
        // The server may end the connection while the last bytes are in flight.
        let _ = peer.stream.write_all(input.as_bytes());
        for status in statuses {
            assert_eq!(peer.answer(true).status, *status, "{name}");
        }
        if statuses.last().is_some_and(|status| ![101, 200, 404].contains(status)) {
            peer.expect_end();
        }
        Peer::join(addr, "/");
    }
    assert_eq!(server.metric("skirmish_panics_total"), 0);
}

#[test]
fn websocket_frames_that_broke_others() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    let with_length = |length: u64| {
        let mask = [1, 2, 3, 4];
        [&[0x82, 0xff][..], &length.to_be_bytes(), &mask].concat()
    };
    let fragments = |payload: &[u8]| {
        let next = masked(0x00, payload).repeat(16);
        [masked(0x01, payload), next].concat()
    };
    let between = [masked(0x01, b"a"), masked(0x89, b"p"), with_length(1 << 63)].concat();
    let supplementary = "\u{1d11e}".repeat(1_000);
    let cut = &supplementary.as_bytes()[..3_999];
    let inputs: Vec<(&str, Vec<u8>, Option<u16>)> = vec![
        ("CVE-2026-48779, empty fragments", fragments(b""), Some(1008)),
        ("CVE-2026-48779, small ones", fragments(b"a"), Some(1008)),
        ("CVE-2016-10542", with_length(1 << 31), Some(1009)),
        ("CVE-2022-35922", with_length(1 << 62), Some(1009)),
        ("CVE-2020-13935", with_length(u64::MAX), Some(1002)),
        ("CVE-2020-27813", between, Some(1002)),
        ("CVE-2018-1336", masked(0x81, supplementary.as_bytes()), None),
        ("CVE-2018-1336, cut", masked(0x81, cut), Some(1007)),
        ("CVE-2018-1336, beyond the last", masked(0x81, b"\xf4\x90\x80\x80"), Some(1007)),
        ("CVE-2022-21676, RSV2", masked(0xa1, b"{}"), Some(1002)),
        ("CVE-2022-21676, RSV3", masked(0x91, b"{}"), Some(1002)),
        ("CVE-2026-45736", masked(0x88, &1_000_u16.to_be_bytes()), Some(1000)),
        ("CVE-2018-1000518, Centrifugo #1162", compressed(&"0".repeat(1 << 20)), Some(1009)),
    ];
    for (name, input, code) in inputs {
        let (mut peer, _) = offer(addr, "/", "permessage-deflate");
        peer.send(&input);
        match code {
            None => {
                peer.send_frame(0x89, b"is open");
                until("a pong", || (peer.frame().first == 0x8a).then_some(()));
            }
            Some(code) => {
                let (closed, reason) = peer.until_close();
                assert_eq!(closed, Some(code), "{name}: {reason}");
                // No other bytes of the server's memory.
                assert!(reason.chars().all(|c| (' '..='~').contains(&c)), "{name}: {reason:?}");
                assert!(code != 1000 || reason.is_empty(), "{name}: {reason}");
            }
        }
        Peer::join(addr, "/");
        // The same in the segment of the handshake.
        if name.starts_with("CVE-2022-21676") {
            let mut peer = Peer::connect(addr);
            peer.send(&[handshake(addr, WEBSOCKET), input].concat());
            assert_eq!(peer.answer(true).status, 101, "{name}");
            // Engine.IO has no close codes.
            assert_eq!(peer.until_close().0, None, "{name}");
            Peer::join(addr, "/");
        }
    }
    assert_eq!(server.metric("skirmish_panics_total"), 0);
}

#[test]
fn engineio_and_socketio_that_broke_others() {
    let server = TestServer::start(&[]);
    let addr = server.addr;
    // Handshakes: the status, and the code of the error.
    for (name, target, code) in [
        ("CVE-2023-31125", "/socket.io/?EIO=4&transport=constructor", 0),
        ("CVE-2023-31125, a method", "/socket.io/?EIO=4&transport=__proto__", 0),
        ("CVE-2022-41940", "/socket.io/?EIO=4&transport=websocket&sid=none", 1),
        ("engineioxide, version 3", "/socket.io/?EIO=3&transport=websocket", 5),
    ] {
        let mut peer = Peer::connect(addr);
        peer.send(&handshake(addr, target));
        let answer = peer.answer(true);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((answer.status, &body["code"]), (400, &code.into()), "{name}");
        peer.reset();
        let mut peer = Peer::connect(addr);
        peer.send(&handshake(addr, target));
        peer.reset();
        Peer::join(addr, "/");
    }
    // Payloads, with the status of the response. One that begins with 1 is a close.
    let lengths = "1:2".repeat(5_000);
    for (name, payload, status) in [
        ("caller.xyz", lengths.as_str(), 200),
        ("caller.xyz, as published", "1:21:21:21:21:21:21:21:2", 200),
        ("engineioxide, a payload of version 3", "99999999999:4hello", 400),
        ("CVE-2020-36048", &["4"; 8_192].join("\x1e"), 400),
        ("CVE-2020-36049", &"4".repeat(16_385), 413),
    ] {
        let client = Client::open_at(addr, "/socket.io/");
        assert_eq!(client.post(payload).status, status, "{name}");
        if status != 413 {
            is_ended(&client, name);
        }
        Peer::join(addr, "/");
    }
    // Packets of a player. `true` if they end its connection.
    let placeholder = r#"51-["move",{"_placeholder":true,"num":"splice"}]"#;
    for (name, packet, ends) in [
        ("CVE-2023-32695", r#"2[{"toString":"foo"}]"#, true),
        ("CVE-2023-32695, an array", r#"2[["toString"],"foo"]"#, true),
        ("CVE-2024-38355", r#"2["error",{"message":"x"}]"#, false),
        ("CVE-2024-38355, an error packet", r#"4{"message":"x"}"#, true),
        ("CVE-2026-33151", r#"5999999-["move"]"#, true),
        ("CVE-2026-33151, no number of them", r#"599999999999999999999-["move"]"#, true),
        ("CVE-2022-2421", placeholder, true),
    ] {
        let mut peer = Peer::upgrade(addr, WEBSOCKET);
        peer.send_text("40");
        peer.send_text(&format!("4{packet}"));
        // Attachments without an end, and an answer if the connection is open.
        let _ = peer.stream.write_all(&masked(0x82, b"x").repeat(100 * usize::from(ends)));
        let _ = peer.stream.write_all(&masked(0x89, b"is open"));
        let last = until("an end or a pong", || {
            peer.next_frame().map(|frame| frame.first).filter(|first| [0x88, 0x8a].contains(first))
        });
        assert_eq!(last == 0x88, ends, "{name}");
        Peer::join(addr, "/");

        let client = Client::open_at(addr, "/socket.io/");
        let payload = format!("40\x1e4{packet}\x1ebAQID");
        let status =
            client.post(if ends { &payload } else { &payload[..payload.len() - 6] }).status;
        if ends {
            assert!([200, 400].contains(&status), "{name}");
            is_ended(&client, name);
        } else {
            assert_eq!((status, client.poll().status), (200, 200), "{name}");
        }
        Peer::join(addr, "/");
    }
    assert_eq!(server.metric("skirmish_panics_total"), 0);
}

/// A session has ended; one poll may get what was left of it.
fn is_ended(client: &Client, name: &str) {
    client.poll();
    let (status, body) = text(&client.poll());
    assert!(status == 400 && body.contains(r#""code":1"#), "{name}: {body}");
}

#[test]
fn tls_handshakes_that_broke_others() {
    let certificate = Certificate::new("tls-known");
    let server = certificate.start(&[]);
    let joins = || {
        let mut player = certificate.connect(server.addr);
        player.open("/ws?room=dots");
        player.until_text(&["state_update"]);
    };
    let close_notify = [21, 3, 3, 0, 2, 1, 0];
    for versions in [[&TLS13], [&TLS12]] {
        let config = certificate.client(&versions);
        let mut hello = Vec::new();
        tls(&config).write_tls(&mut hello).expect("it is in memory");

        // RUSTSEC-2024-0336: the end of TLS before, within and behind the first message.
        for before in [&hello[..0], &hello[..hello.len() / 2], &hello] {
            let mut peer = Peer::connect(server.addr);
            peer.send(&[before, &close_notify].concat());
            peer.stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            until("the end", || {
                let mut bytes = [0; 4_096];
                let read = std::io::Read::read(&mut peer.stream, &mut bytes);
                (!matches!(read, Ok(1..))).then_some(())
            });
            joins();
        }

        // RUSTSEC-2024-0399: the first message in many records, byte by byte.
        let mut small = (*config).clone();
        small.max_fragment_size = Some(32);
        let mut connection = tls(&Arc::new(small));
        let mut records = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut records).expect("it is in memory");
        }
        assert!(records.len() > hello.len() + 5, "several records");
        let mut peer = Peer::connect(server.addr);
        peer.send_bytewise(&records);
        peer.tls = Some(Box::new(connection));
        assert_eq!(peer.get("/healthz").text(), "ok\n");
        joins();
    }
    assert_eq!(server.metric("skirmish_panics_total"), 0);
}
