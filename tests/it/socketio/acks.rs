//! Acknowledgements in both directions: client ids, and acknowledgements without a request.

use super::{
    assert_quiet, connect_namespace, dial, join, join_over_polling, packets, send_with,
    start_without_pings,
};

#[test]
fn an_id_may_be_zero_and_may_be_large() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    for id in ["0", "1", "9", "10", "4294967296", "9007199254740991", "9007199254740992"] {
        peer.send_text(&format!("42{id}[\"message-with-ack\",{id},\"x\"]"));
        assert_eq!(peer.frame().text(), format!("43{id}[{id},\"x\"]"));
        // The same id again is a separate request.
        peer.send_text(&format!("42/,{id}[\"message-with-ack\"]"));
        assert_eq!(peer.frame().text(), format!("43{id}[]"));
    }
}

// T35
#[test]
fn an_id_with_too_many_digits_affects_no_other_client() {
    let game = start_without_pings(&[]);
    let mut other = join(game.addr);
    for digits in [20, 40, 400, 10_000] {
        let mut peer = join(game.addr);
        peer.send_text(&format!("42{}[\"message-with-ack\"]", "9".repeat(digits)));
        // It may be acknowledged or be out of range.
        let frame = peer.frame();
        assert!(frame.first == 0x88 || frame.text().starts_with("43"), "{frame:?}");
        assert_quiet(&mut other, "a large id");
    }
}

#[test]
fn an_ack_returns_its_arguments() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    for arguments in ["1", "null", "\"x\",[],{}", "{\"b\":1,\"a\":2}", "\"\\ud800\"", "[[1]],2"] {
        peer.send_text(&format!("425[\"message-with-ack\",{arguments}]"));
        assert_eq!(peer.frame().text(), format!("435[{arguments}]"));
    }
    let client = join_over_polling(game.addr);
    client.post("421[\"message-with-ack\",1]\x1e422[\"message-with-ack\",2]\x1e42[\"message\"]");
    assert_eq!(packets(&client, 3), ["431[1]", "432[2]", "42[\"message-back\"]"]);
}

#[test]
fn an_unsolicited_ack_is_ignored() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    connect_namespace(&mut peer, "/custom,");
    for ignored in [
        "430[]",
        "431[\"x\",{}]",
        "43999999[]",
        "439007199254740992[1]",
        "43/custom,1[]",
        "43/,1[]",
        "431[\"connect\"]",
        "431[{\"_placeholder\":true,\"num\":5}]",
    ] {
        peer.send_text(ignored);
        assert_quiet(&mut peer, ignored);
    }
    let binary = "461-1[{\"_placeholder\":true,\"num\":0}]";
    send_with(&mut peer, binary, &[b"x"]);
    assert_quiet(&mut peer, binary);
}

#[test]
fn an_ack_stays_in_its_namespace() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "/custom,");
    connect_namespace(&mut peer, "");
    // The application of /custom acknowledges nothing.
    peer.send_text("42/custom,7[\"message-with-ack\",1]");
    peer.send_text("42/custom,[\"message\",1]");
    peer.send_text("427[\"message-with-ack\",2]");
    assert_eq!(peer.frame().text(), "437[2]");
}
