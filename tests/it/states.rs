//! States and steps of a player in the JSON dialect.

use serde_json::Value;

use crate::harness::{Peer, TestServer, between, until};

/// The next `state_update`; skips other messages.
pub fn state(peer: &mut Peer) -> Value {
    serde_json::from_str(&peer.until_text(&["\"type\":\"state_update\""])).expect("JSON")
}

/// The tick of a state.
pub fn tick(state: &Value) -> u64 {
    state["tick"].as_u64().expect("a tick")
}

/// The first `state_update` that reflects everything sent before.
pub fn state_after(peer: &mut Peer) -> Value {
    peer.send_text(r#"{"type":"ping","t":99}"#);
    let pong: Value = serde_json::from_str(&peer.until_text(&["\"pong\"", "99"])).expect("JSON");
    loop {
        let state = state(peer);
        if tick(&state) > tick(&pong) {
            return state;
        }
    }
}

/// The ids of its players, in order.
pub fn ids(state: &Value) -> Vec<&str> {
    let players = state["players"].as_array().expect("a list");
    players.iter().map(|player| player["id"].as_str().expect("a string")).collect()
}

pub fn player<'a>(state: &'a Value, id: &str) -> &'a Value {
    let players = state["players"].as_array().expect("a list");
    players.iter().find(|player| player["id"] == id).expect("the player is there")
}

/// The message for a step.
pub fn step(direction: &str) -> String {
    format!(r#"{{"type":"move","direction":"{direction}"}}"#)
}

pub fn go(peer: &mut Peer, direction: &str) {
    peer.send_text(&step(direction));
}

// T25
#[test]
fn a_client_that_acknowledges_is_sent_a_second_of_states_and_no_more_until_it_does_again() {
    let server = TestServer::start(&[]);
    let (mut peer, _) = Peer::join(server.addr, "/");
    let tick = |peer: &mut Peer| -> u32 {
        let state = peer.until_text(&["state_update"]);
        between(&state, "\"tick\":", "}").parse().expect("a number")
    };
    let first = tick(&mut peer);
    peer.send_text(&format!(r#"{{"type":"ack","tick":{first}}}"#));
    let series = "skirmish_snapshots_without_credit_total";
    // First the rate falls.
    until("states are skipped", || (server.metric(series) > 40).then_some(()));
    peer.send_text(r#"{"type":"ping","t":1}"#);
    let mut last = first;
    loop {
        let frame = peer.frame();
        if frame.text().contains("pong") {
            break;
        }
        last = between(frame.text(), "\"tick\":", "}").parse().expect("a number");
    }
    assert!((20..=42).contains(&(last - first)), "{first} to {last}");
    // An acknowledgement of what was not sent, or of an earlier state, changes nothing.
    peer.send_text(&format!(r#"{{"type":"ack","tick":{}}}"#, last + 1_000));
    peer.send_text(&format!(r#"{{"type":"ack","tick":{last}}}"#));
    assert!(tick(&mut peer) > last + 1, "it goes on with a new state");
}
