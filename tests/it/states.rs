//! States and steps of a player in the JSON dialect.

use serde_json::Value;

use crate::harness::Peer;

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
