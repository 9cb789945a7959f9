//! States as a player of the JSON dialect reads them, and steps as it asks for them.

use serde_json::Value;

use crate::harness::Peer;

/// The next `state_update`; other messages are passed over.
pub fn state(peer: &mut Peer) -> Value {
    serde_json::from_str(&peer.until_text(&["\"type\":\"state_update\""])).expect("JSON")
}

/// The room's tick that a state tells of.
pub fn tick(state: &Value) -> u64 {
    state["tick"].as_u64().expect("a tick")
}

/// The first `state_update` in which all that was sent before has taken effect.
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

/// Those who are in it, in its order.
pub fn ids(state: &Value) -> Vec<&str> {
    let players = state["players"].as_array().expect("a list");
    players.iter().map(|player| player["id"].as_str().expect("a string")).collect()
}

/// One of them.
pub fn player<'a>(state: &'a Value, id: &str) -> &'a Value {
    let players = state["players"].as_array().expect("a list");
    players.iter().find(|player| player["id"] == id).expect("the player is there")
}

/// The message that asks for a step.
pub fn step(direction: &str) -> String {
    format!(r#"{{"type":"move","direction":"{direction}"}}"#)
}

/// Asks for a step.
pub fn go(peer: &mut Peer, direction: &str) {
    peer.send_text(&step(direction));
}
