//! Routes: what the path of a request leads to.

use super::policy::Policy;
use crate::http::{Assets, Request};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'b> {
    /// A file of the pages, by its path.
    File(&'b str),
    /// `GET /healthz`.
    Health,
    /// `GET /rooms`.
    Rooms,
    /// `GET /metrics`.
    Metrics,
    /// A WebSocket.
    WebSocket,
    /// A WebSocket path, without an upgrade.
    NeedsUpgrade,
    /// The official Socket.IO client, which the operator has not provided.
    NoSocketIoClient,
    /// No such path.
    NotFound,
}

/// Path prefixes that belong to other protocols.
const RESERVED: [&str; 2] = ["/socket.io/", "/engine.io/"];

/// The protocol that runs over Engine.IO at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EioPath {
    /// Socket.IO.
    SocketIo,
    /// Plain Engine.IO, an echo for conformance suites; with `--echo` only.
    Raw,
}

/// Whether a path is an Engine.IO endpoint.
#[must_use]
pub fn eio_path(path: &str, policy: &Policy) -> Option<EioPath> {
    match path {
        "/socket.io/" | "/socket.io" => Some(EioPath::SocketIo),
        "/engine.io/" | "/engine.io" if policy.has_raw_engineio => Some(EioPath::Raw),
        _ => None,
    }
}

/// Routes a request on a public listener. With `--echo` nearly every path is a WebSocket.
#[must_use]
pub fn find<'b>(request: &Request<'b>, assets: &Assets, policy: &Policy) -> Route<'b> {
    let path = request.path;
    let is_reserved = RESERVED.iter().any(|reserved| path.starts_with(reserved));
    let wants_websocket = request.wants_websocket();
    if is_reserved {
        return match assets.socketio_client(path).filter(|_| !wants_websocket) {
            Some(file) if assets.has(file) => Route::File(file),
            Some(_) => Route::NoSocketIoClient,
            None => Route::NotFound,
        };
    }
    match path {
        _ if wants_websocket && policy.upgrades_any_path => Route::WebSocket,
        "/healthz" => Route::Health,
        "/rooms" => Route::Rooms,
        "/metrics" => Route::Metrics,
        "/" if wants_websocket => Route::WebSocket,
        "/" => Route::File(if assets.has("/index.html") { "/index.html" } else { "/client.html" }),
        _ if assets.has(path) => Route::File(path),
        _ if wants_websocket => Route::WebSocket,
        "/ws" => Route::NeedsUpgrade,
        _ => Route::NotFound,
    }
}

/// Routes a request on `--admin-listen`, also with `--echo`.
#[must_use]
pub fn find_admin<'b>(request: &Request<'b>) -> Route<'b> {
    match request.path {
        _ if request.wants_websocket() => Route::NotFound,
        "/healthz" => Route::Health,
        "/metrics" => Route::Metrics,
        _ => Route::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::{ECHO, GAME};
    use super::*;

    #[test]
    fn paths() {
        let assets = Assets::embedded();
        let route = |path: &str, upgrades: bool, is_echo: bool| {
            let policy = if is_echo { &ECHO } else { &GAME };
            let fields =
                if upgrades { "Upgrade: websocket\r\nConnection: upgrade\r\n" } else { "" };
            let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            let request = Request::parse(head.as_bytes()).unwrap();
            format!("{:?}", find(&request, &assets, policy))
        };
        assert_eq!(route("/", false, false), "File(\"/index.html\")");
        assert_eq!(route("/favicon.ico", false, false), "File(\"/favicon.ico\")");
        assert_eq!(route("/nothing", false, false), "NotFound");
        assert_eq!(route("/ws", false, false), "NeedsUpgrade");
        assert_eq!(route("/healthz", true, false), "Health");
        for path in ["/", "/ws", "/any/path?room=x"] {
            assert_eq!(route(path, true, false), "WebSocket", "{path}");
        }
        assert_eq!(route("/healthz", true, true), "WebSocket");
        assert_eq!(route("/socket.io/?EIO=4", true, true), "NotFound");
        assert_eq!(route("/engine.io/", true, false), "NotFound");
        for path in ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js?v=4"] {
            assert_eq!(route(path, false, false), "NoSocketIoClient", "{path}");
            assert_eq!(route(path, true, true), "NotFound", "{path}");
        }
    }
}
