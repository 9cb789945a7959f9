//! Clients with another parser than the default one are refused with a sentence.

use super::*;
use crate::polling_client::{self, Client, text};

/// CONNECT as the official client 4.8.4 sends it over polling, with each parser.
const CONNECTS: [(&str, &str); 2] = [
    ("socket.io-msgpack-parser", "bg6R0eXBlAKRkYXRhgaRyb29toXijbnNwoS8="),
    ("socket.io-json-parser", r#"4{"type":0,"data":{"room":"x"},"nsp":"/"}"#),
];
const SENTENCE: &str =
    "This server supports only the default parser of Socket.IO; remove the option parser.";

#[test]
fn a_client_with_a_foreign_parser_is_refused_with_a_sentence() {
    let mut game = TestServer::start(&["--log-level", "warn"]);
    let refusal = (400, format!(r#"{{"code":3,"message":"{SENTENCE}"}}"#));
    for (package, connect) in CONNECTS {
        let client = Client::open_at(game.addr, "/socket.io/");
        let mut waiting = client.begin_poll();
        game.until_metric("skirmish_polls_held", 1);
        assert_eq!(text(&client.post(connect)), refusal, "{package}");
        assert_eq!(text(&waiting.answer(true)), refusal, "{package}, the poll");
        client.is_gone();
        let line = game.until_logged(package);
        assert!(line.contains("127.0.0.1"), "{line}");

        let target = "/socket.io/?EIO=4&transport=websocket";
        let mut socket = Peer::upgrade(game.addr, target);
        assert!(socket.frame().text().starts_with('0'));
        match connect.strip_prefix('b') {
            Some(_) => socket.send_frame(0x82, b"\x83\xa4type\0\xa3nsp\xa1/\xa4data\xd4\0\0"),
            None => socket.send_text(connect),
        }
        assert_eq!(socket.until_close(), (Some(1003), SENTENCE.to_owned()), "{package}");
    }
    assert_eq!(game.log().len(), 2, "{:?}", game.log());
    assert_eq!(game.metric("skirmish_closes_total{reason=\"parser\"}"), 4);
    game.until_metric("skirmish_engine_sessions", 0);
}

#[test]
fn a_player_that_has_joined_may_send_any_attachment() {
    let game = TestServer::start(&[]);
    let client = Client::open_at(game.addr, "/socket.io/");
    client.post("40");
    client.poll();
    let event = r#"451-1["attack",{"_placeholder":true,"num":0}]"#;
    let attachment = CONNECTS[0].1;
    let answer =
        polling_client::post(game.addr, &client.query, &format!("{event}\x1e{attachment}"));
    assert_eq!(answer.status, 200);
    assert!(client.poll().text().contains(r#"{"ok":false,"error":"binary"}"#));
}
