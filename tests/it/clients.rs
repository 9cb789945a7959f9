//! What the server does for client libraries with limits of their own (docs/clients.md).

use serde_json::Value;

use crate::harness::{Frame, Peer, TestServer};

/// A close frame with a code.
fn close(peer: &mut Peer, code: u16) {
    peer.send_frame(0x88, &code.to_be_bytes());
}

#[test]
fn a_client_that_cannot_take_a_state_is_logged_with_its_size() {
    let mut server = TestServer::start(&["--log-level", "warn"]);
    let (mut ann, _) = Peer::join(server.addr, "/?name=Ann%20%F0%9F%8E%AE");
    let (mut ben, _) = Peer::join(server.addr, "/?name=Ben");
    let state = ann.until_text(&["state_update", "Ben"]);
    close(&mut ann, 1009);
    let mut largest = state.len();
    let answer = loop {
        match ann.frame() {
            Frame { first: 0x81, payload } => largest = largest.max(payload.len()),
            frame => break frame.close(),
        }
    };
    assert_eq!(answer.0, Some(1009));
    let line = server.until_logged("1009");
    let expected =
        ["player=1", "name=Ann \\u{1f3ae}", "127.0.0.1", &format!("state_bytes={largest}")];
    assert!(expected.iter().all(|part| line.contains(part)), "{expected:?} in {line}");

    // Other codes are not logged, and neither are the next clients for a while.
    close(&mut ben, 1009);
    let (mut cleo, _) = Peer::join(server.addr, "/");
    close(&mut cleo, 1000);
    server.until_metric("skirmish_players", 0);
    assert_eq!(server.log().len(), 1, "{:?}", server.log());
}

#[test]
fn init_says_how_large_a_state_can_be() {
    let server = TestServer::start(&["--room-players-max", "200"]);
    let bytes_max = |target| {
        let mut peer = Peer::upgrade(server.addr, target);
        let init: Value = serde_json::from_str(&peer.until_text(&["init"])).expect("JSON");
        let bytes_max = init["state_bytes_max"].as_u64().expect("a whole number");
        let state = peer.until_text(&["state_update"]);
        assert!(state.len() as u64 * 200 > bytes_max / 3, "{target}: {bytes_max}");
        bytes_max
    };
    let dots = bytes_max("/");
    assert!((20_000..30_000).contains(&dots), "{dots}");
    assert!(bytes_max("/?room=battle") > dots);
}
