//! Recognizes states of the JSON dialect, and finds one player in them.
//!
//! A state of a full room has tens of kilobytes, so it is never parsed as a whole.

use std::borrow::Cow;

use serde::Deserialize;

use crate::codec::json::ServerMessage;

/// Whether a text that begins with `prefix` is a `state_update`. Spaces between tokens are allowed
/// (Python writes them); `type` must come first.
#[must_use]
pub fn is_state(prefix: &[u8]) -> bool {
    if prefix.starts_with(br#"{"type":"state_update""#) {
        return true;
    }
    let mut rest = prefix;
    [&b"{"[..], br#""type""#, b":", br#""state_update""#].iter().all(|word| {
        rest = rest.trim_ascii_start();
        let after = rest.strip_prefix(*word);
        rest = after.unwrap_or_default();
        after.is_some()
    })
}

/// The player id of an `init` message; `None` for other messages.
#[must_use]
pub fn id_of_init(text: &[u8]) -> Option<u32> {
    match serde_json::from_slice(text) {
        Ok(ServerMessage::Init(init)) => Some(init.id),
        _ => None,
    }
}

/// What a probe needs of a player. Less strict than the codec: other servers send positions with
/// fractions or below 0.
#[derive(Deserialize)]
struct Player<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    x: f64,
}

/// Searches for one player, starting where it was last found.
#[derive(Clone, Debug)]
pub struct Search {
    id: String,
    /// The id in JSON, with its quotes.
    quoted: Vec<u8>,
    /// Where it was last found: states resemble each other.
    offset: usize,
}

/// How far before the last offset the search begins.
const STEP_BACK_BYTES: usize = 512;
/// Maximum bytes between the start of an object and its id.
const OBJECT_BYTES_MAX: usize = 1_024;

impl Search {
    /// Creates a search for the player with this id.
    #[must_use]
    pub fn new(id: u32) -> Search {
        Search { id: id.to_string(), quoted: format!("\"{id}\"").into_bytes(), offset: 0 }
    }

    /// The x of the player, in map units; `None` if it is not in the state.
    pub fn x_in(&mut self, state: &[u8]) -> Option<f64> {
        let near = self.offset.saturating_sub(STEP_BACK_BYTES).min(state.len());
        self.find(state, near).or_else(|| self.find(state, 0))
    }

    fn find(&mut self, state: &[u8], from: usize) -> Option<f64> {
        let quoted = self.quoted.as_slice();
        let mut matches = state[from..].windows(quoted.len()).enumerate();
        loop {
            let (offset, _) = matches.find(|(_, bytes)| *bytes == quoted)?;
            let offset = from + offset;
            if let Some(player) = player_around(state, offset)
                && player.id == self.id
            {
                self.offset = offset;
                return Some(player.x);
            }
        }
    }
}

/// The player whose id is the string at `offset`, if that is an id.
fn player_around(state: &[u8], offset: usize) -> Option<Player<'_>> {
    let before = state[..offset].trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    before.strip_suffix(br#""id""#)?;
    let reach = offset.saturating_sub(OBJECT_BYTES_MAX);
    let start = reach + state[reach..offset].iter().rposition(|byte| *byte == b'{')?;
    serde_json::Deserializer::from_slice(&state[start..]).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::encode_state;
    use crate::codec::row::{Columns, Row};

    #[test]
    fn states_are_recognized_by_their_first_bytes() {
        for text in [
            r#"{"type":"state_update","players":[]}"#,
            r#"{"type": "state_update", "players": []}"#,
            " {\n \"type\" :\t\"state_update\"",
        ] {
            assert!(is_state(text.as_bytes()), "{text}");
        }
        for text in ["", "{", r#"{"type":"init","id":"1"}"#, r#"{"type":"state_upd"#, "[1]"] {
            assert!(!is_state(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn init_contains_the_id() {
        assert_eq!(id_of_init(br#"{"type": "init", "id": "7"}"#), Some(7));
        assert_eq!(id_of_init(br#"{"type":"init","id":"7","room":"a","more":[1]}"#), Some(7));
        assert_eq!(id_of_init(br#"{"type":"pong","t":7}"#), None);
    }

    fn room(count: u32) -> Vec<u8> {
        let mut text = Vec::new();
        let row = |id| Row { id, x: id as u16, y: 5, color: 0, name: None, values: &[] };
        let rows = (1..=count).map(row);
        encode_state(&Columns::NONE, rows, std::iter::empty(), 3, &mut text);
        text
    }

    #[test]
    fn a_player_is_found_anywhere_in_a_state() {
        for id in [1, 7, 77, 999, 1_000] {
            let mut search = Search::new(id);
            assert_eq!(search.x_in(&room(1_000)), Some(f64::from(id)));
            assert!(id < 77 || search.offset > 1_000);
            assert_eq!(search.x_in(&room(id)), Some(f64::from(id)), "again");
            assert_eq!(search.x_in(&room(id - 1)), None, "not after it left");
            assert_eq!(search.x_in(b""), None);
        }
    }

    #[test]
    fn names_and_spaces_do_not_mislead() {
        let text = br##"{"type": "state_update", "players": [
            {"id": "1", "x": 1, "y": 1, "color": "#000000", "name": "7"},
            {"id": "2", "x": 2, "y": 2, "color": "#000000", "name": "\"id\":\"7\""},
            {"color": 3, "x": -7.5, "id" : "7", "y": 71}]}"##;
        assert_eq!(Search::new(7).x_in(text), Some(-7.5));
    }
}
