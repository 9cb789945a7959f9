//! A session must connect to a namespace within one second.

use std::time::{Duration, Instant};

use super::{
    OVER_WEBSOCKET, PATH, assert_quiet, connect_namespace, dial, id_in, is_closed, is_ended,
    join_over_polling, packets, read_connected,
};
use crate::harness::{Peer, TestServer};
use crate::polling_client::Client;

#[test]
fn a_websocket_without_a_namespace_is_closed() {
    let server = TestServer::start(&["--echo"]);
    let mut idle = dial(server.addr);
    let mut refused = dial(server.addr);
    refused.send_text("40/random,");
    assert!(refused.frame().text().starts_with("44/random,"));
    let mut member = dial(server.addr);
    connect_namespace(&mut member, "/custom,");
    connect_namespace(&mut member, "");
    let mut gone = dial(server.addr);
    connect_namespace(&mut gone, "");
    gone.send_text("41");
    is_closed(&mut idle, "silence");
    is_closed(&mut refused, "a refusal");
    // One connect is enough, even if the client has left since. Both sessions are older than one
    // whose timeout has expired.
    is_closed(&mut dial(server.addr), "silence");
    assert_quiet(&mut member, "a second");
    connect_namespace(&mut gone, "");
    assert_quiet(&mut gone, "a second");
}

#[test]
fn a_polling_session_without_a_namespace_ends() {
    let server = TestServer::start(&["--echo"]);
    let member = join_over_polling(server.addr);
    let idle = Client::open_at(server.addr, PATH);
    let refused = Client::open_at(server.addr, PATH);
    refused.post("40/random,");
    assert!(refused.poll().text().starts_with("44/random,"));
    let (mut one, mut other) = (idle.begin_poll(), refused.begin_poll());
    for poll in [&mut one, &mut other] {
        let answer = poll.answer(true);
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
    }
    idle.is_gone();
    refused.is_gone();
    member.post("42[\"message\",1]");
    assert_eq!(packets(&member, 1), ["42[\"message-back\",1]"]);
}

#[test]
fn an_unpolled_session_ends_too() {
    let server = TestServer::start(&["--echo"]);
    let client = Client::open_at(server.addr, PATH);
    // By now the timeout of later sessions has expired too.
    is_closed(&mut dial(server.addr), "silence");
    is_ended(&client, "silence");
}

#[test]
fn an_upgrade_does_not_count_as_a_connect() {
    let server = TestServer::start(&["--echo"]);
    let mut peer = Client::open_at(server.addr, PATH).upgrade();
    is_closed(&mut peer, "an upgrade and silence");
}

#[test]
fn the_connect_timeout_is_configurable() {
    let pings = ["--ping-interval-ms", "300", "--ping-timeout-ms", "2000"];
    let server =
        TestServer::start(&[&["--echo", "--connect-timeout-ms", "60000"], &pings[..]].concat());
    let mut peer = Peer::upgrade(server.addr, OVER_WEBSOCKET);
    peer.frame();
    // Longer than the second that is the limit without the flag.
    for _ in 0..5 {
        assert_eq!(peer.frame().text(), "2");
        peer.send_text("3");
    }
    peer.send_text("40");
    id_in(&peer.until_text(&["40{"]), "");

    let server = TestServer::start(&["--echo", "--connect-timeout-ms", "1500"]);
    let mut peer = dial(server.addr);
    peer.send_text("40{}");
    read_connected(&mut peer, "", "{}");
    let since = Instant::now();
    is_closed(&mut dial(server.addr), "1,500 ms");
    // The tick may round it down.
    assert!(since.elapsed() >= Duration::from_millis(1_400), "{:?}", since.elapsed());
    assert_quiet(&mut peer, "1,500 ms");
}
