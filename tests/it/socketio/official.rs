//! The official cases of Socket.IO. Only the heartbeat cases enable pings, so that a slow machine
//! does not mix pings into the others.

use super::{
    assert_quiet, connect_namespace, dial, is_closed, read_connected, send_with, start,
    start_without_pings, with_attachments,
};

#[test]
fn connect_to_the_main_namespace() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_text("40");
    read_connected(&mut peer, "", "{}");
}

#[test]
fn connect_to_the_main_namespace_with_a_payload() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_text(r#"40{"token":"123"}"#);
    read_connected(&mut peer, "", r#"{"token":"123"}"#);
}

#[test]
fn connect_to_a_custom_namespace() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_text("40/custom,");
    read_connected(&mut peer, "/custom,", "{}");
}

#[test]
fn connect_to_a_custom_namespace_with_a_payload() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_text(r#"40/custom,{"token":"abc"}"#);
    read_connected(&mut peer, "/custom,", r#"{"token":"abc"}"#);
}

#[test]
fn connect_to_an_unknown_namespace() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_text("40/random");
    assert_eq!(peer.frame().text(), r#"44/random,{"message":"Invalid namespace"}"#);
}

#[test]
fn an_invalid_handshake() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    peer.send_text("4abc");
    is_closed(&mut peer, "4abc");
}

#[test]
fn no_handshake() {
    let game = start();
    let mut peer = dial(game.addr);
    assert_eq!(peer.frame().text(), "2");
    is_closed(&mut peer, "silence");
}

#[test]
fn disconnect_from_the_main_namespace() {
    let game = start_without_pings(&["--ping-interval-ms", "1000"]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "");
    peer.send_text("41");
    assert_eq!(peer.frame().text(), "2");
}

#[test]
fn connect_to_a_custom_namespace_and_disconnect() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "");
    peer.send_text("40/custom");
    read_connected(&mut peer, "/custom,", "{}");
    peer.send_text("41/custom");
    assert_quiet(&mut peer, "41/custom");
}

#[test]
fn a_message_of_text() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "");
    peer.send_text(r#"42["message",1,"2",{"3":[true]}]"#);
    assert_eq!(peer.frame().text(), r#"42["message-back",1,"2",{"3":[true]}]"#);
}

const PLACEHOLDERS: &str = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
const ATTACHMENTS: [&[u8]; 2] = [&[1, 2, 3], &[4, 5, 6]];

#[test]
fn a_message_with_binary() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "");
    send_with(&mut peer, &format!("452-[\"message\",{PLACEHOLDERS}]"), &ATTACHMENTS);
    let (text, attachments) = with_attachments(&mut peer);
    assert_eq!(text, format!("452-[\"message-back\",{PLACEHOLDERS}]"));
    assert_eq!(attachments, ATTACHMENTS);
}

#[test]
fn a_message_of_text_with_an_ack() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "");
    peer.send_text(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#);
    assert_eq!(peer.frame().text(), r#"43456[1,"2",{"3":[false]}]"#);
}

#[test]
fn a_message_with_binary_and_an_ack() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "");
    send_with(&mut peer, &format!("452-789[\"message-with-ack\",{PLACEHOLDERS}]"), &ATTACHMENTS);
    let (text, attachments) = with_attachments(&mut peer);
    assert_eq!(text, format!("462-789[{PLACEHOLDERS}]"));
    assert_eq!(attachments, ATTACHMENTS);
}

#[test]
fn invalid_packets() {
    let game = start_without_pings(&[]);
    for (rule, packet) in [
        ("packet type", "4abc"),
        ("payload", "42{}"),
        ("ack id", r#"42abc["message-with-ack",1,"2",{"3":[false]}]"#),
    ] {
        let mut peer = dial(game.addr);
        connect_namespace(&mut peer, "");
        peer.send_text(packet);
        is_closed(&mut peer, rule);
    }
}
