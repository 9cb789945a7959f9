//! Socket.IO 5 over real sockets, against the application of the official suites that `--echo`
//! runs: `/` and `/custom`, with `message` and `message-with-ack`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Peer, TestServer};
use crate::polling_client::Client;

mod acks;
mod binary;
mod namespaces;
mod official;
mod parsers;
mod timeouts;
mod tolerated;
mod transport;
mod violations;

const PATH: &str = "/socket.io/";
const OVER_POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const OVER_WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A server with the settings of the official suites.
fn start() -> TestServer {
    let pings = ["--ping-interval-ms", "300", "--ping-timeout-ms", "200"];
    TestServer::start(&[&["--echo", "--max-payload", "1000000"], &pings[..]].concat())
}

/// A server with a short ping interval and a timeout longer than a delay of a busy machine.
fn start_with_pings() -> TestServer {
    start_without_pings(&["--ping-interval-ms", "300", "--ping-timeout-ms", "10000"])
}

/// A server that neither pings nor enforces the connect timeout within a test.
fn start_without_pings(flags: &[&str]) -> TestServer {
    TestServer::start(&[&["--echo", "--connect-timeout-ms", "60000"], flags].concat())
}

/// A session over WebSocket outside any namespace.
fn dial(addr: SocketAddr) -> Peer {
    let mut peer = Peer::upgrade(addr, OVER_WEBSOCKET);
    assert!(peer.frame().text().starts_with("0{"));
    peer
}

/// A session over WebSocket in the main namespace.
fn join(addr: SocketAddr) -> Peer {
    let mut peer = dial(addr);
    connect_namespace(&mut peer, "");
    peer
}

/// Connects to a namespace, written as in a packet: empty for the main one, otherwise `/custom,`.
/// Returns the id from the server.
fn connect_namespace(peer: &mut Peer, namespace: &str) -> String {
    peer.send_text(&format!("40{namespace}"));
    read_connected(peer, namespace, "{}")
}

/// Reads the server's packets after a connect with `auth`. Returns the id from the server.
fn read_connected(peer: &mut Peer, namespace: &str, auth: &str) -> String {
    let id = id_in(peer.frame().text(), namespace);
    assert_eq!(peer.frame().text(), format!("42{namespace}[\"auth\",{auth}]"));
    id
}

/// The id in the response to a CONNECT, which holds nothing else.
fn id_in(packet: &str, namespace: &str) -> String {
    let payload = packet.strip_prefix(&format!("40{namespace}"));
    let payload = payload.unwrap_or_else(|| panic!("{packet} is not a CONNECT to {namespace:?}"));
    let payload: Value = serde_json::from_str(payload).expect("JSON");
    assert_eq!(payload.as_object().map(serde_json::Map::len), Some(1), "{packet}");
    let id = payload["sid"].as_str().expect("an id").to_owned();
    assert!(!id.is_empty());
    id
}

/// A session over polling in the main namespace.
fn join_over_polling(addr: SocketAddr) -> Client {
    let client = Client::open_at(addr, PATH);
    assert_eq!(client.post("40").text(), "ok");
    let packets = packets(&client, 2);
    id_in(&packets[0], "");
    assert_eq!(packets[1], r#"42["auth",{}]"#);
    client
}

/// The next packets of a polling session, in as many polls as it takes.
fn packets(client: &Client, count: usize) -> Vec<String> {
    let mut packets = Vec::new();
    while packets.len() < count {
        let answer = client.poll();
        assert_eq!(answer.status, 200, "after {packets:?}");
        packets.extend(answer.text().split('\x1e').map(str::to_owned));
    }
    assert_eq!(packets.len(), count, "{packets:?}");
    packets
}

/// Asserts that no packet is in flight to a member of the main namespace, and that it is still a
/// member.
#[track_caller]
fn assert_quiet(peer: &mut Peer, after: &str) {
    peer.send_text(r#"42["message","well?"]"#);
    let frame = peer.frame();
    assert_eq!(frame.first, 0x81, "after {after:?} came {frame:?}");
    assert_eq!(frame.text(), r#"42["message-back","well?"]"#, "after {after:?}");
}

/// Asserts that the server closes the connection as a protocol error, without a packet before.
#[track_caller]
fn is_closed(peer: &mut Peer, after: &str) {
    let frame = peer.frame();
    assert_eq!(frame.first, 0x88, "after {after:?} came {frame:?}");
    assert_eq!(frame.close().0, None, "after {after:?}");
    peer.expect_end();
}

/// Asserts that a polling session has ended: one poll may get the end, later ones get an unknown
/// session.
#[track_caller]
fn is_ended(client: &Client, after: &str) {
    let last = client.poll();
    if last.status == 200 {
        let (body, noop_first) = (last.text(), "6\x1e1");
        assert!(body == "1" || body == noop_first, "after {after:?} came {body:?}");
    }
    client.is_gone();
}

/// The arguments of an event or an acknowledgement, with each attachment in the place of its
/// placeholder. The sender chooses the numbers of the placeholders.
fn whole(text: &str, attachments: &[Vec<u8>]) -> Value {
    let mut value: Value =
        serde_json::from_str(&text[text.find('[').expect("an array")..]).expect("JSON");
    fn fill(value: &mut Value, attachments: &[Vec<u8>]) {
        if value["_placeholder"] == true {
            let at = value["num"].as_u64().expect("an index") as usize;
            *value = json!({ "bytes": attachments[at] });
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| fill(item, attachments)),
            Value::Object(map) => map.values_mut().for_each(|item| fill(item, attachments)),
            _ => {}
        }
    }
    fill(&mut value, attachments);
    value
}

/// The next packet and its attachments, without anything between them.
fn with_attachments(peer: &mut Peer) -> (String, Vec<Vec<u8>>) {
    let text = peer.frame().text().to_owned();
    let count = match text.as_bytes() {
        [b'4', b'5' | b'6', ..] => {
            text[2..].split('-').next().and_then(|count| count.parse().ok()).expect("a count")
        }
        _ => 0,
    };
    let attachment = |_| {
        let frame = peer.frame();
        assert_eq!(frame.first, 0x82, "{frame:?} is not an attachment of {text}");
        frame.payload
    };
    let attachments = (0..count).map(attachment).collect();
    (text, attachments)
}

/// Sends a packet and its attachments.
fn send_with(peer: &mut Peer, text: &str, attachments: &[&[u8]]) {
    peer.send_text(text);
    attachments.iter().for_each(|bytes| peer.send_frame(0x82, bytes));
}
