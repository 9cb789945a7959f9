//! What a request asks for, judged by its path, and what it wishes for in its query.

use std::borrow::Cow;

use crate::game::{Rules, rules};
use crate::http::query;
use crate::http::{Assets, Request};
use crate::limits::{PLAYER_NAME_CHARS_MAX, is_room_name};
use crate::ws::handshake::Offer;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'b> {
    /// A file of `www/`, by its path.
    File(&'b str),
    /// Whether we live.
    Health,
    /// Who plays where.
    Rooms,
    /// What is counted.
    Metrics,
    /// A WebSocket.
    WebSocket,
    /// A WebSocket, but the request does not say so.
    NeedsUpgrade,
    /// The official client of Socket.IO, which nobody has put here.
    NoSocketIoClient,
    /// Nothing that there is.
    Nothing,
}

/// Who wants to join, and where.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The room's name; empty for the default one.
    pub room: String,
    /// The rules for a new room, if any were asked for.
    pub rules: Option<&'static Rules>,
    /// The name that the player chose, cleaned.
    pub name: Option<Box<str>>,
}

impl Wish {
    /// Makes a wish of what a client asks for; what it leaves out or empty is as in `self`.
    ///
    /// # Errors
    /// One sentence, for a name that no room can have, or rules that there are not.
    pub fn with(
        self,
        room: Option<Cow<str>>,
        rules: Option<Cow<str>>,
        name: Option<Cow<str>>,
    ) -> Result<Wish, String> {
        let is_there = |text: &Cow<str>| !text.is_empty();
        let room = match room.filter(is_there) {
            Some(room) if !is_room_name(&room) => {
                return Err("A room's name is 1 to 32 of a-z 0-9 _ -.".to_owned());
            }
            Some(room) => room.into_owned(),
            None => self.room,
        };
        let rules = match rules.filter(is_there) {
            Some(name) => Some(rules::named(&name).ok_or_else(|| {
                format!("There are no such rules; there are {}.", rules::names())
            })?),
            None => self.rules,
        };
        let name = name.and_then(|name| clean_name(&name)).or(self.name);
        Ok(Wish { room, rules, name })
    }
}

/// Paths that belong to other protocols.
const RESERVED: [&str; 2] = ["/socket.io/", "/engine.io/"];

/// Whether a path is one of Engine.IO, and if so, whether it is the one for Socket.IO; the other is
/// there with `--echo` only.
#[must_use]
pub fn engine_path(path: &str, is_echo: bool) -> Option<bool> {
    match path {
        "/socket.io/" | "/socket.io" => Some(true),
        "/engine.io/" | "/engine.io" if is_echo => Some(false),
        _ => None,
    }
}

/// Judges a request by its path. In `--echo` nearly every path is a WebSocket.
#[must_use]
pub fn find<'b>(request: &Request<'b>, assets: &Assets, is_echo: bool) -> Route<'b> {
    let path = request.path;
    let is_reserved = RESERVED.iter().any(|reserved| path.starts_with(reserved));
    let wants_websocket = request.wants_websocket();
    if is_reserved {
        return match assets.socketio_client(path).filter(|_| !wants_websocket) {
            Some(file) if assets.has(file) => Route::File(file),
            Some(_) => Route::NoSocketIoClient,
            None => Route::Nothing,
        };
    }
    match path {
        _ if wants_websocket && is_echo => Route::WebSocket,
        "/healthz" => Route::Health,
        "/rooms" => Route::Rooms,
        "/metrics" => Route::Metrics,
        "/" if wants_websocket => Route::WebSocket,
        "/" => Route::File(if assets.has("/index.html") { "/index.html" } else { "/client.html" }),
        _ if assets.has(path) => Route::File(path),
        _ if wants_websocket => Route::WebSocket,
        "/ws" => Route::NeedsUpgrade,
        _ => Route::Nothing,
    }
}

/// Judges a request that came by `--admin-listen`, in `--echo`, too.
#[must_use]
pub fn find_admin<'b>(request: &Request<'b>) -> Route<'b> {
    match request.path {
        _ if request.wants_websocket() => Route::Nothing,
        "/healthz" => Route::Health,
        "/metrics" => Route::Metrics,
        _ => Route::Nothing,
    }
}

/// Reads the wish of a request: room, rules and name.
///
/// # Errors
/// One sentence, for a name that no room can have, or rules that there are not.
pub fn wish(request: &Request) -> Result<Wish, String> {
    let get = |name| query::get(request.query, name);
    Wish::default().with(get("room"), get("rules"), get("name"))
}

/// What a request for a WebSocket offers.
#[must_use]
pub fn offer<'a>(request: &'a Request<'a>) -> Offer<'a> {
    Offer {
        key: request.value("Sec-WebSocket-Key"),
        version: request.value("Sec-WebSocket-Version"),
        is_http_11: request.is_http_11,
    }
}

/// A player's name without what would mislead those who read it: control characters, marks that
/// turn the direction of text or have no width, and space at the ends or doubled. `None` if nothing
/// is left.
fn clean_name(name: &str) -> Option<Box<str>> {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
    };
    let words: Vec<String> = name
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !is_bad(*c)).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    let short: String = words.join(" ").chars().take(PLAYER_NAME_CHARS_MAX).collect();
    let short = short.trim_end();
    (!short.is_empty()).then(|| short.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned() {
        let clean = |name: &str| clean_name(name).unwrap_or_default().into_string();
        assert_eq!(clean("Ann"), "Ann");
        assert_eq!(clean("  Ann \n\t Lee\u{0}\u{1b}[2J "), "Ann Lee[2J");
        assert_eq!(clean("\u{202e}live\u{200b}\u{200f}"), "live");
        assert_eq!(clean("\u{200b} \u{feff}"), "");
        assert_eq!(clean(""), "");
        assert_eq!(clean(&"é".repeat(10_000)).chars().count(), 16);
        assert_eq!(clean("<b>Ann</b>"), "<b>Ann</b>", "text stays text; pages never parse it");
        assert_eq!(clean("fifteen chars.. x"), "fifteen chars..", "no space at the cut");
    }

    #[test]
    fn paths() {
        let assets = Assets::embedded();
        let route = |path: &str, upgrades: bool, is_echo: bool| {
            let fields =
                if upgrades { "Upgrade: websocket\r\nConnection: upgrade\r\n" } else { "" };
            let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            let request = Request::parse(head.as_bytes()).unwrap();
            format!("{:?}", find(&request, &assets, is_echo))
        };
        assert_eq!(route("/", false, false), "File(\"/index.html\")");
        assert_eq!(route("/favicon.ico", false, false), "File(\"/favicon.ico\")");
        assert_eq!(route("/nothing", false, false), "Nothing");
        assert_eq!(route("/ws", false, false), "NeedsUpgrade");
        assert_eq!(route("/healthz", true, false), "Health");
        for path in ["/", "/ws", "/any/path?room=x"] {
            assert_eq!(route(path, true, false), "WebSocket", "{path}");
        }
        assert_eq!(route("/healthz", true, true), "WebSocket");
        assert_eq!(route("/socket.io/?EIO=4", true, true), "Nothing");
        assert_eq!(route("/engine.io/", true, false), "Nothing");
        for path in ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js?v=4"] {
            assert_eq!(route(path, false, false), "NoSocketIoClient", "{path}");
            assert_eq!(route(path, true, true), "Nothing", "{path}");
        }
    }
}
