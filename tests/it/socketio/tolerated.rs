//! Unusual but valid input: it is echoed or ignored, and closes nothing.

use serde_json::Value;

use super::{assert_quiet, join, join_over_polling, packets, start_without_pings};
use crate::harness::{Peer, handshake};

/// Arguments that must come back unchanged.
const LITERAL: &[&str] = &[
    "",
    ",null",
    ",true,false",
    ",0,-1,0.5,1.5e+300,-1e-7",
    ",9007199254740991",
    ",\"\"",
    ",\"4\",\"2probe\",\"b\",\"41\",\"1\",\"bAQID\"",
    ",\"κόσμε \u{1f600} é\"",
    ",\"\u{7f}\u{2028}\u{feff}\"",
    ",\"\\\"\\\\\\n\\u001e\\u0000\"",
    ",\"\\ud800\"",
    ",\"\\udc00\\ud800\"",
    ",\"x\\udbff\",{\"\\ud800\":1}",
    ",[],{},[[]],[{}]",
    ",{\"b\":1,\"a\":2,\"\":3}",
    ",{\"__proto__x\":1,\"constructor\":{\"prototype\":1}}",
    ",[\"connect\",\"disconnect\"]",
    ",\"42[\\\"message\\\",1]\"",
    ",{\"sid\":\"x\",\"message\":\"y\",\"type\":2,\"nsp\":\"/custom\",\"id\":1}",
];

fn says(peer: &mut Peer, arguments: &str) {
    peer.send_text(&format!("42[\"message\"{arguments}]"));
    assert_eq!(peer.frame().text(), format!("42[\"message-back\"{arguments}]"));
}

#[test]
fn arguments_are_echoed_unchanged() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    let client = join_over_polling(game.addr);
    for arguments in LITERAL {
        says(&mut peer, arguments);
        client.post(&format!("42[\"message\"{arguments}]"));
        assert_eq!(packets(&client, 1), [format!("42[\"message-back\"{arguments}]")]);
        let plain = arguments.trim_start_matches(',');
        peer.send_text(&format!("427[\"message-with-ack\"{arguments}]"));
        assert_eq!(peer.frame().text(), format!("437[{plain}]"));
    }
}

/// The official server selects the first subprotocol that is offered. Browsers fail without one.
#[test]
fn the_first_subprotocol_is_selected() {
    let game = start_without_pings(&[]);
    for (offer, selected) in
        [("one, two", Some("one")), ("", None), (" , two", Some("two")), ("a b", None)]
    {
        let target = "/socket.io/?EIO=4&transport=websocket";
        let field = format!("\r\nSec-WebSocket-Protocol: {offer}\r\n\r\n");
        let mut peer = Peer::connect(game.addr);
        peer.send(handshake(game.addr, target).trim_ascii_end());
        peer.send(field.as_bytes());
        let answer = peer.answer(true);
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.field("sec-websocket-protocol"), selected, "{offer}");
        assert!(peer.frame().text().starts_with('0'));
    }
}

/// The server must not round numbers or reorder keys.
#[test]
fn numbers_and_key_order_are_kept() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    for arguments in [
        ",1e400,-1e400,1E5,1e+5,1e-400",
        ",9007199254740993,18446744073709551616",
        ",123456789012345678901234567890.123456789012345678901234567890",
        ",-0,-0.0,1.0,0.10,100e-2",
        ",{\"10\":1,\"9\":2,\"b\":3,\"a\":4}",
        ",{\"__proto__\":1}",
        ",\"\\u0041\\/\\u00e9\"",
    ] {
        says(&mut peer, arguments);
    }
}

/// Escapes and spaces do not change the meaning.
#[test]
fn equivalent_json_is_accepted() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    for (sent, received) in [
        (r#"42["mess\u0061ge",1]"#, r#"["message-back",1]"#),
        (r#"42["\u006dessage",1]"#, r#"["message-back",1]"#),
        (r#"42[ "message" , 1 , { "a" : [ ] } ]"#, r#"["message-back",1,{"a":[]}]"#),
        ("42[\n\t\"message\",\r\n1\n]\n", r#"["message-back",1]"#),
        (r#"42["message","\u00e9\ud83d\ude00\/"]"#, r#"["message-back","é😀/"]"#),
        (r#"42/,["message",1]"#, r#"["message-back",1]"#),
    ] {
        peer.send_text(sent);
        let frame = peer.frame();
        let text = frame.text().strip_prefix("42").expect("an event of the main namespace");
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value(text), value(received), "{sent}");
    }
}

#[test]
fn unknown_events_are_ignored() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    for ignored in [
        "42[\"unknown\"]",
        "42[\"unknown\",{\"a\":[1,2,3]}]",
        "425[\"unknown\",1]",
        "42[1]",
        "42[1,\"message\",2]",
        "42[0.5]",
        "42[-1]",
        "42[1e400]",
        "42[\"\"]",
        "42[\"\\ud800\"]",
        "42[\"Message\",1]",
        "42[\"message \",1]",
        "42[\"message\\u0000\",1]",
        "42[\"auth\",{}]",
        "42[\"message-back\",1]",
        "42[\"__proto__\",1]",
        "42[\"constructor\",1]",
        "42[\"toString\",1]",
        "42[\"error\",1]",
        "42[\"connection\",1]",
        "42[\"Connect\",1]",
    ] {
        peer.send_text(ignored);
        assert_quiet(&mut peer, ignored);
    }
}

#[test]
fn many_messages_keep_their_order() {
    let game = start_without_pings(&["--max-payload", "1000000"]);
    let mut peer = join(game.addr);
    let client = join_over_polling(game.addr);
    let numbers = 0..1_000;
    let sent: Vec<_> = numbers.clone().map(|n| format!("42[\"message\",{n}]")).collect();
    let received: Vec<_> = numbers.map(|n| format!("42[\"message-back\",{n}]")).collect();
    sent.iter().for_each(|text| peer.send_text(text));
    received.iter().for_each(|text| assert_eq!(peer.frame().text(), text));
    assert_eq!(client.post(&sent.join("\x1e")).status, 200);
    assert_eq!(packets(&client, 1_000), received);
}

#[test]
fn a_long_message_is_echoed() {
    let game = start_without_pings(&["--max-payload", "1000000"]);
    let arguments = format!(",\"{}\"", "long ".repeat(199_000));
    says(&mut join(game.addr), &arguments);
    let client = join_over_polling(game.addr);
    client.post(&format!("42[\"message\"{arguments}]"));
    assert_eq!(packets(&client, 1), [format!("42[\"message-back\"{arguments}]")]);
}
