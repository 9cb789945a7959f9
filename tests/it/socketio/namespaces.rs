//! Namespaces: connecting, membership, and packets to a namespace without membership.

use super::{
    OVER_WEBSOCKET, PATH, assert_quiet, connect_namespace, dial, id_in, is_closed, is_ended, join,
    join_over_polling, packets, read_connected, start_without_pings,
};
use crate::harness::{Peer, between};
use crate::polling_client::Client;

fn refusal(namespace: &str) -> String {
    format!("44{namespace},{{\"message\":\"Invalid namespace\"}}")
}

#[test]
fn an_unknown_namespace_is_refused_and_the_rest_goes_on() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    for unknown in [
        "/random",
        "/custom?x=1",
        "/custom/",
        "/Custom",
        "/custo",
        "/customs",
        "/custom ",
        "//",
        "/?x=1",
        "/é",
        "/__proto__",
        "/constructor",
        "/custom%2c",
        "/{}",
        "/\"",
    ] {
        for ending in ["", ",", ",{}", ",{\"token\":\"x\"}"] {
            peer.send_text(&format!("40{unknown}{ending}"));
            assert_eq!(peer.frame().text(), refusal(unknown));
        }
    }
    connect_namespace(&mut peer, "");
    peer.send_text("40/random");
    assert_eq!(peer.frame().text(), refusal("/random"));
    assert_quiet(&mut peer, "a refusal");
}

#[test]
fn a_namespace_can_be_written_in_many_ways() {
    let game = start_without_pings(&[]);
    for (connect, namespace, auth) in [
        ("40", "", "{}"),
        ("40{}", "", "{}"),
        ("40/", "", "{}"),
        ("40/,", "", "{}"),
        ("40/,{\"a\":1}", "", "{\"a\":1}"),
        ("40/custom", "/custom,", "{}"),
        ("40/custom,", "/custom,", "{}"),
        ("40/custom,{}", "/custom,", "{}"),
        ("40/custom,{\"a\":[1,{\"b\":null}]}", "/custom,", "{\"a\":[1,{\"b\":null}]}"),
    ] {
        let mut peer = dial(game.addr);
        peer.send_text(connect);
        read_connected(&mut peer, namespace, auth);
    }
}

#[test]
fn a_second_connect_closes() {
    let game = start_without_pings(&[]);
    for (first, again) in [
        ("", "40"),
        ("", "40{}"),
        ("", "40/"),
        ("", "40/,"),
        ("/custom,", "40/custom"),
        ("/custom,", "40/custom,{\"a\":1}"),
    ] {
        let mut peer = dial(game.addr);
        connect_namespace(&mut peer, first);
        peer.send_text(again);
        is_closed(&mut peer, again);
    }
    let client = join_over_polling(game.addr);
    assert!([200, 400].contains(&client.post("40").status));
    is_ended(&client, "a second 40");
}

#[test]
fn a_packet_to_an_unconnected_namespace_closes() {
    let game = start_without_pings(&[]);
    for wrong in [
        "42/custom,[\"message\",1]",
        "42/custom,1[\"message\",1]",
        "43/custom,1[]",
        "41/custom,",
        "41/custom",
        "42/random,[\"message\",1]",
        "43/random,1[]",
        "41/random,",
        "42/custom?x=1,[\"message\",1]",
        "451-/custom,[\"message\",{\"_placeholder\":true,\"num\":0}]",
    ] {
        let mut peer = join(game.addr);
        peer.send_text(wrong);
        if wrong.starts_with("45") {
            peer.send_frame(0x82, b"x");
        }
        is_closed(&mut peer, wrong);
        let client = join_over_polling(game.addr);
        client.post(&wrong.replace("}]", "}]\x1ebAQID"));
        is_ended(&client, wrong);
    }
    for wrong in ["42[\"message\",1]", "421[\"message-with-ack\"]", "431[]", "41", "42/custom,[1]"]
    {
        let mut peer = dial(game.addr);
        peer.send_text(wrong);
        is_closed(&mut peer, wrong);
        let client = Client::open_at(game.addr, PATH);
        client.post(wrong);
        is_ended(&client, wrong);
    }
    // Membership of another namespace does not help.
    let mut peer = dial(game.addr);
    connect_namespace(&mut peer, "/custom,");
    peer.send_text("42[\"message\",1]");
    is_closed(&mut peer, "42 without 40");
}

#[test]
fn a_refusal_from_a_client_closes() {
    let game = start_without_pings(&[]);
    for wrong in ["44", "44{}", "44\"x\"", "44{\"message\":\"x\"}", "44/custom,{}", "44/random,{}"]
    {
        for namespaces in [&[][..], &[""], &["", "/custom,"]] {
            let mut peer = dial(game.addr);
            for namespace in namespaces {
                connect_namespace(&mut peer, namespace);
            }
            peer.send_text(wrong);
            is_closed(&mut peer, wrong);
        }
    }
}

#[test]
fn a_client_may_reconnect_with_a_new_id() {
    let game = start_without_pings(&[]);
    let mut peer = dial(game.addr);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(connect_namespace(&mut peer, ""));
        assert_quiet(&mut peer, "40");
        peer.send_text("41");
    }
    for leave in ["41/custom", "41/custom,"] {
        ids.push(connect_namespace(&mut peer, "/custom,"));
        peer.send_text(leave);
    }
    ids.push(connect_namespace(&mut peer, ""));
    ids.push(connect_namespace(&mut peer, "/custom,"));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "ids are unique: {ids:?}");
    // It leaves one of two namespaces, without a response.
    peer.send_text("41/custom,");
    assert_quiet(&mut peer, "41/custom,");
    peer.send_text("41/,");
    connect_namespace(&mut peer, "");
    peer.send_text("41");
    peer.send_text("42[\"message\",1]");
    is_closed(&mut peer, "a message after the disconnect");
}

// T37
#[test]
fn the_session_id_differs_from_the_player_id() {
    let game = start_without_pings(&[]);
    let client = Client::open_at(game.addr, PATH);
    client.post("40");
    let id = id_in(&packets(&client, 2)[0], "");
    let sid = client.query.split_once("sid=").expect("the query has a sid").1;
    assert_ne!(id, sid, "the sid is a secret, and the id is not");
    let mut peer = Peer::upgrade(game.addr, OVER_WEBSOCKET);
    let open = peer.frame();
    let sid = between(open.text(), "\"sid\":\"", "\"").to_owned();
    assert_ne!(connect_namespace(&mut peer, ""), sid);
}

#[test]
fn one_payload_may_connect_several_namespaces() {
    let game = start_without_pings(&[]);
    let client = Client::open_at(game.addr, PATH);
    client.post("40{\"token\":\"1\"}\x1e40/custom,{\"token\":\"2\"}\x1e40/random,");
    let mut packets = packets(&client, 5);
    let at = packets.iter().position(|packet| *packet == refusal("/random")).expect("a refusal");
    packets.remove(at);
    for (namespace, auth) in [("", r#"{"token":"1"}"#), ("/custom,", r#"{"token":"2"}"#)] {
        let own = |packet: &&String| packet.contains("/custom,") != namespace.is_empty();
        let own: Vec<&String> = packets.iter().filter(own).collect();
        id_in(own[0], namespace);
        assert_eq!(*own[1], format!("42{namespace}[\"auth\",{auth}]"));
    }
}

/// Each packet of a payload sees the effect of the one before it.
#[test]
fn a_payload_is_handled_packet_by_packet() {
    let game = start_without_pings(&[]);
    let client = Client::open_at(game.addr, PATH);
    let binary = r#"452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let payload = [
        "40{\"a\":1}",
        "42[\"message\",1]",
        "40/custom,",
        "421[\"message-with-ack\",2]",
        "42/custom,[\"message\",3]",
        "3",
        binary,
        "bAQID",
        "b",
        "431[]",
        "42[\"message\",4]",
    ];
    assert_eq!(client.post(&payload.join("\x1e")).text(), "ok");
    // Order is kept per namespace.
    let mut packets = packets(&client, 10);
    packets.retain(|packet| !packet.contains("/custom,"));
    id_in(&packets[0], "");
    assert_eq!(
        packets[1..],
        [
            "42[\"auth\",{\"a\":1}]",
            "42[\"message-back\",1]",
            "431[2]",
            &binary.replace("message", "message-back"),
            "bAQID",
            "b",
            "42[\"message-back\",4]",
        ]
    );
}

#[test]
fn an_upgrade_keeps_the_namespaces() {
    let game = start_without_pings(&[]);
    // One connects before the upgrade, and one after it.
    let client = join_over_polling(game.addr);
    client.post("40/custom,\x1e42[\"message\",\"on the way\"]");
    let mut peer = client.upgrade();
    // Queued packets keep the order of each namespace.
    let mut waiting: Vec<String> = (0..3).map(|_| peer.frame().text().to_owned()).collect();
    waiting.retain(|text| text != "42[\"message-back\",\"on the way\"]");
    id_in(&waiting[0], "/custom,");
    assert_eq!(waiting[1..], ["42/custom,[\"auth\",{}]"]);
    assert_quiet(&mut peer, "an upgrade");

    let client = Client::open_at(game.addr, PATH);
    let mut peer = client.upgrade();
    connect_namespace(&mut peer, "");
    connect_namespace(&mut peer, "/custom,");
    assert_quiet(&mut peer, "an upgrade");
    assert_eq!(client.post("42[\"message\",1]").status, 400);
}
