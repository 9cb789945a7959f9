//! The official cases of the transport below Socket.IO.

use serde_json::{Value, json};

use super::{OVER_POLLING, OVER_WEBSOCKET, PATH, start, start_with_pings, start_without_pings};
use crate::harness::{Peer, TestServer, handshake};
use crate::polling_client::{Client, get, text};

#[track_caller]
fn is_open_packet(packet: &str, upgrades: &Value) {
    let open: Value = serde_json::from_str(packet.strip_prefix('0').expect("open")).expect("JSON");
    let mut keys: Vec<_> = open.as_object().expect("an object").keys().collect();
    keys.sort();
    assert_eq!(keys, ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
    assert!(open["sid"].is_string());
    assert_eq!(open["upgrades"], *upgrades);
    assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&300.into(), &200.into()));
    assert_eq!(open["maxPayload"], 1_000_000);
}

/// Asserts that a WebSocket request for `target` is refused or closed.
#[track_caller]
fn is_refused(server: &TestServer, target: &str) {
    let mut peer = Peer::connect(server.addr);
    peer.send(&handshake(server.addr, target));
    if peer.answer(true).status == 101 {
        assert_eq!(peer.until_close().0, None, "{target}");
    }
    peer.expect_end();
}

#[test]
fn polling_handshake_successfully_opens_a_session() {
    let server = start();
    let answer = get(server.addr, OVER_POLLING);
    assert_eq!(answer.status, 200);
    is_open_packet(&answer.text(), &json!(["websocket"]));
}

#[test]
fn polling_handshake_with_an_invalid_eio() {
    let server = start();
    for query in ["?transport=polling", "?EIO=abc&transport=polling"] {
        assert_eq!(get(server.addr, &format!("{PATH}{query}")).status, 400, "{query}");
    }
}

#[test]
fn polling_handshake_with_an_invalid_transport() {
    let server = start();
    for query in ["?EIO=4", "?EIO=4&transport=abc"] {
        assert_eq!(get(server.addr, &format!("{PATH}{query}")).status, 400, "{query}");
    }
}

#[test]
fn polling_handshake_with_an_invalid_method() {
    let server = start();
    for method in ["POST", "PUT"] {
        let fields = "Content-Length: 0\r\n";
        let answer = server.ask(&format!("{method} {OVER_POLLING}"), fields);
        assert_eq!(answer.status, 400, "{method}");
    }
}

#[test]
fn websocket_handshake_successfully_opens_a_session() {
    let server = start();
    let mut peer = Peer::upgrade(server.addr, OVER_WEBSOCKET);
    is_open_packet(peer.frame().text(), &json!([]));
}

#[test]
fn websocket_handshake_with_an_invalid_eio() {
    let server = start();
    for query in ["?transport=websocket", "?EIO=abc&transport=websocket"] {
        is_refused(&server, &format!("{PATH}{query}"));
    }
}

#[test]
fn websocket_handshake_with_an_invalid_transport() {
    let server = start();
    for query in ["?EIO=4", "?EIO=4&transport=abc"] {
        is_refused(&server, &format!("{PATH}{query}"));
    }
}

#[test]
fn polling_heartbeat_goes_three_rounds() {
    let server = start_with_pings();
    let client = Client::open_at(server.addr, PATH);
    for _ in 0..3 {
        assert_eq!(text(&client.poll()), (200, "2".into()));
        assert_eq!(client.post("3").status, 200);
    }
}

#[test]
fn polling_heartbeat_times_out() {
    let server = start();
    let client = Client::open_at(server.addr, PATH);
    // The timeout ends it, not a poll.
    server.until_metric("skirmish_engine_sessions", 0);
    client.is_gone();
}

#[test]
fn websocket_heartbeat_goes_three_rounds() {
    let server = start_with_pings();
    let mut peer = Peer::upgrade(server.addr, OVER_WEBSOCKET);
    peer.frame();
    for _ in 0..3 {
        assert_eq!(peer.frame().text(), "2");
        peer.send_text("3");
    }
}

#[test]
fn websocket_heartbeat_times_out() {
    let server = start();
    let mut peer = Peer::upgrade(server.addr, OVER_WEBSOCKET);
    peer.frame();
    assert_eq!(peer.frame().text(), "2");
    assert_eq!(peer.until_close().0, None);
    peer.expect_end();
}

#[test]
fn polling_session_is_closed_by_the_client() {
    let server = start_without_pings(&[]);
    let client = Client::open_at(server.addr, PATH);
    let mut waiting = client.begin_poll();
    assert_eq!(client.post("1").status, 200);
    assert_eq!(text(&waiting.answer(true)), (200, "6".into()));
    client.is_gone();
}

#[test]
fn websocket_session_is_closed_by_the_client() {
    let server = start();
    let mut peer = Peer::upgrade(server.addr, OVER_WEBSOCKET);
    peer.frame();
    peer.send_text("1");
    assert_eq!(peer.until_close().0, None);
    peer.expect_end();
}

#[test]
fn upgrade_is_successful() {
    // The first ping is not due before the upgrade is complete.
    let server = start_without_pings(&["--ping-interval-ms", "1000"]);
    let client = Client::open_at(server.addr, PATH);
    let mut peer = Peer::upgrade(server.addr, &client.websocket());
    peer.send_text("2probe");
    assert_eq!(peer.frame().text(), "3probe");
    assert_eq!(text(&client.poll()), (200, "6".into()));
    peer.send_text("5");
    assert_eq!(peer.frame().text(), "2", "heartbeats continue over WebSocket");
    peer.send_text("3");
    assert_eq!(peer.frame().text(), "2");
}

// T37
#[test]
fn requests_with_the_same_sid_after_an_upgrade_are_refused() {
    let server = start_with_pings();
    let client = Client::open_at(server.addr, PATH);
    let mut peer = client.upgrade();
    assert_eq!(client.poll().status, 400);
    assert_eq!(peer.frame().text(), "2");
}

#[test]
fn a_second_websocket_with_the_same_sid_after_an_upgrade_is_closed() {
    let server = start_with_pings();
    let client = Client::open_at(server.addr, PATH);
    let mut peer = client.upgrade();
    is_refused(&server, &client.websocket());
    assert_eq!(peer.frame().text(), "2");
}
