//! Protocol violations: each closes the whole connection, over every transport.

use std::io::Write;

use super::{
    assert_quiet, connect_namespace, dial, is_closed, is_ended, join, join_over_polling, packets,
    read_connected, start_without_pings,
};
use crate::harness::{Frame, Peer, masked};

/// Packets that are invalid from a member of the main namespace, grouped by parsing rule.
const WRONG: &[&str] = &[
    // The packet type.
    "4",
    "47",
    "48[]",
    "49",
    "4a",
    "4-1",
    "4[\"message\"]",
    "4é",
    "4\u{1f600}",
    "4\0",
    // An event is an array that starts with a name the protocol does not reserve.
    "42{}",
    "42\"message\"",
    "42null",
    "42true",
    "421true",
    "42[]",
    "42[null]",
    "42[true,1]",
    "42[{}]",
    "42[[\"message\"]]",
    "42[\"connect\"]",
    "42[\"connect_error\",{}]",
    "42[\"disconnect\"]",
    "42[\"disconnecting\"]",
    "42[\"newListener\"]",
    "42[\"removeListener\",1]",
    "427[\"connect\"]",
    "42[\"conn\\u0065ct\"]",
    // The data is exactly one JSON value.
    "42[",
    "42]",
    "42[\"message\"",
    "42[\"message\",",
    "42[\"message\",]",
    "42[,\"message\"]",
    "42[\"message\" 1]",
    "42[\"message\"]]",
    "42[\"message\"][\"message\"]",
    "42[\"message\"]x",
    "42[\"message\"]\0",
    "42[\"message\"]\u{a0}",
    "42['message']",
    "42[\"message\",undefined]",
    "42[\"message\",NaN]",
    "42[\"message\",Infinity]",
    "42[\"message\",tru]",
    "42[\"message\",True]",
    "42[\"message\",01]",
    "42[\"message\",+1]",
    "42[\"message\",.5]",
    "42[\"message\",1.]",
    "42[\"message\",1e]",
    "42[\"message\",-]",
    "42[\"message\",0x10]",
    "42[\"message\",\"\\x41\"]",
    "42[\"message\",\"\\u12\"]",
    "42[\"message\",\"\\u12G4\"]",
    "42[\"message\",\"open]",
    "42[\"message\",\"a\nb\"]",
    "42[\"message\",\"a\tb\"]",
    "42[\"message\",\"a\0b\"]",
    "42[\"message\",{\"a\"}]",
    "42[\"message\",{\"a\":}]",
    "42[\"message\",{\"a\":1,}]",
    "42[\"message\",{a:1}]",
    "42[\"message\",{1:1}]",
    "42[\"message\",{\"a\":1]",
    "42[\"message\",[1}]",
    "42[\"message\",1/*one*/]",
    // The id.
    "42abc[\"message\",1]",
    "42-1[\"message\",1]",
    "421.5[\"message\",1]",
    "421,[\"message\",1]",
    "42+1[\"message\",1]",
    "421x[\"message\",1]",
    "421e3[\"message\",1]",
    "42\u{661}[\"message\",1]",
    // Unterminated namespaces.
    "42/,{}",
    "42/[\"message\"]",
    // A DISCONNECT has no data.
    "41{}",
    "41[]",
    "41\"client\"",
    "41null",
    "41x",
    // The data of an ACK is an array.
    "431{}",
    "431\"x\"",
    "431null",
    "431[",
    "431]",
    "431[1,]",
    "43{}",
    "43x[]",
    // The attachment count.
    "45",
    "45-",
    "45[\"message\"]",
    "45-[\"message\"]",
    "450-[\"message\"]",
    "451",
    "451[\"message\"]",
    "45a-[\"message\"]",
    "451.5-[\"message\"]",
    "45-1-[\"message\"]",
    "4511-[\"message\"]",
    "4518446744073709551617-[\"message\"]",
    "4599999999999999999999999999999-[\"message\"]",
    "451-{}",
    "451-\"message\"",
    "451-[",
    "451-[\"message\"",
    "451-[]",
    "451-[\"connect\",{\"_placeholder\":true,\"num\":0}]",
    "451-[{\"_placeholder\":true,\"num\":0}]",
    "451-a[\"message\",{\"_placeholder\":true,\"num\":0}]",
    "46",
    "46-1[]",
    "460-1[]",
    "461",
    "4611-1[]",
    "461-1{}",
    "461-1[",
];

#[test]
fn an_invalid_packet_closes_a_websocket() {
    let game = start_without_pings(&[]);
    for wrong in WRONG {
        let mut peer = join(game.addr);
        peer.send_text(wrong);
        is_closed(&mut peer, wrong);
    }
    game.until_metric("skirmish_engine_sessions", 0);
}

#[test]
fn an_invalid_packet_ends_a_polling_session() {
    let game = start_without_pings(&[]);
    for wrong in WRONG {
        let client = join_over_polling(game.addr);
        assert!([200, 400].contains(&client.post(wrong).status), "{wrong:?}");
        is_ended(&client, wrong);
    }
    game.until_metric("skirmish_engine_sessions", 0);
}

#[test]
fn a_waiting_poll_is_answered_when_its_session_ends() {
    let game = start_without_pings(&[]);
    for wrong in ["42{}", "4abc", "451-[\"message\"", "bAQID", "44{}", "40"] {
        let client = join_over_polling(game.addr);
        let mut waiting = client.begin_poll();
        game.until_metric("skirmish_polls_held", 1);
        assert!([200, 400].contains(&client.post(wrong).status), "{wrong:?}");
        let last = waiting.answer(true);
        assert!(last.status == 400 || last.text() == "1", "after {wrong:?} came {last:?}");
        client.is_gone();
    }
}

#[test]
fn packets_after_a_violation_in_a_payload_are_ignored() {
    let game = start_without_pings(&[]);
    let client = join_over_polling(game.addr);
    let mut waiting = client.begin_poll();
    game.until_metric("skirmish_polls_held", 1);
    client.post("4abc\x1e42[\"message\",2]");
    let last = waiting.answer(true);
    assert!(last.status == 400 || last.text() == "1", "{last:?}");
    client.is_gone();
}

/// The data of a CONNECT is an object; with anything else the client does not join.
#[test]
fn a_connect_with_anything_but_an_object_closes() {
    let game = start_without_pings(&[]);
    for namespace in ["", "/,", "/custom,", "/unknown,"] {
        for payload in ["[]", "null", "true", "\"x\"", "1.5", "{", "{}x", "{}{}", "{\"a\"}", "x"] {
            let wrong = format!("40{namespace}{payload}");
            let mut peer = dial(game.addr);
            peer.send_text(&wrong);
            is_closed(&mut peer, &wrong);
        }
    }
    let mut peer = dial(game.addr);
    peer.send_text(r#"40{"token":{"deep":[1,null,"é"]}}"#);
    read_connected(&mut peer, "", r#"{"token":{"deep":[1,null,"é"]}}"#);
}

#[test]
fn a_violation_ends_every_namespace() {
    let game = start_without_pings(&[]);
    let mut peer = join(game.addr);
    connect_namespace(&mut peer, "/custom,");
    peer.send_text("42/custom,{}");
    is_closed(&mut peer, "a wrong event to one of two namespaces");
    game.until_metric("skirmish_engine_sessions", 0);
}

#[test]
fn a_violation_does_not_affect_other_sessions() {
    let game = start_without_pings(&[]);
    let (mut one, mut other) = (join(game.addr), join(game.addr));
    let polling = join_over_polling(game.addr);
    one.send_text("4abc");
    is_closed(&mut one, "4abc");
    assert_quiet(&mut other, "a violation by another client");
    polling.post("42[\"message\",1]");
    assert_eq!(packets(&polling, 1), ["42[\"message-back\",1]"]);
}

// T63
#[test]
fn deep_nesting_is_survived() {
    let game = start_without_pings(&["--max-payload", "1000000"]);
    let mut other = join(game.addr);
    for case in nested(100_000) {
        let mut peer = join(game.addr);
        peer.send_text(&case);
        if case.starts_with("45") {
            accepts_or_closes(peer, &masked(0x82, b"x"));
        } else {
            accepts_or_closes(peer, b"");
        }
        assert_quiet(&mut other, &case[..20]);
        let client = join_over_polling(game.addr);
        assert!([200, 400].contains(&client.post(&case).status));
        assert_quiet(&mut other, &case[..20]);
    }
    let mut peer = dial(game.addr);
    peer.send_text(&format!("40{{\"a\":{}}}", brackets(100_000)));
    accepts_or_closes(peer, b"");
    assert_quiet(&mut other, "a deep CONNECT");
    assert_quiet(&mut join(game.addr), "all of it");
}

/// Sends input that may be echoed, be ignored, or end the connection, and waits for either. The
/// packet `behind` it may come too late.
fn accepts_or_closes(mut peer: Peer, behind: &[u8]) {
    let last = masked(0x81, br#"42["message","last"]"#);
    let _ = peer.stream.write_all(&[behind, &last].concat());
    let is_last = |frame: &Frame| frame.first == 0x88 || frame.payload.ends_with(b"\"last\"]");
    while peer.next_frame().is_some_and(|frame| !is_last(&frame)) {}
}

fn brackets(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn nested(depth: usize) -> Vec<String> {
    let objects = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    let placeholder = "{\"_placeholder\":true,\"num\":0}";
    let deep = "[".repeat(depth) + placeholder + &"]".repeat(depth);
    vec![
        format!("42[\"message\",{}]", brackets(depth)),
        format!("42[\"message\",{objects}]"),
        format!("421[\"message-with-ack\",{}]", brackets(depth)),
        format!("42[\"unknown\",{}]", brackets(depth)),
        format!("431{}", brackets(depth)),
        format!("42{}", brackets(depth)),
        format!("42[\"message\",{}", "[".repeat(depth)),
        format!("42[\"message\",{}", "{\"a\":".repeat(depth)),
        format!("42{}", "[".repeat(depth)),
        format!("451-[\"message\",{deep}]"),
        format!("451-[\"message\",{}", "{\"num\":".repeat(depth)),
    ]
}
