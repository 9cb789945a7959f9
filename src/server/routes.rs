//! The routing table: which requests the server answers, by listener, path, condition and method.

use super::listener_kind::ListenerKind;
use super::policy::Policy;
use crate::http::{Assets, Method, Request, Response};

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Engine.IO.
    EngineIo(EioPath),
    /// The official Socket.IO client, if the operator has provided it.
    SocketIoClient,
    /// A WebSocket.
    WebSocket,
    /// A WebSocket path, without an upgrade.
    NeedsUpgrade,
    /// Whether the server runs.
    Health,
    /// The rooms.
    Rooms,
    /// The metrics.
    Metrics,
    /// The metrics, for clients on this machine only.
    LocalMetrics,
    /// A file of the pages, or a folder with a page.
    File,
    /// The status page, and what it loads.
    StatusPage,
    /// The numbers that it shows.
    StatusData,
    /// What only the operator may do.
    Operator(Action),
    /// A redirect to the same path of the listener with TLS.
    Redirect,
    /// No such path.
    NotFound,
}

/// The protocol that runs over Engine.IO at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EioPath {
    /// Socket.IO.
    SocketIo,
    /// Plain Engine.IO, an echo for conformance suites.
    Raw,
}

/// What the operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End players.
    Kick,
    /// Ban addresses.
    Ban,
    /// End a ban.
    Unban,
    /// Send players a message.
    Message,
    /// List the bans.
    Bans,
    /// List the players.
    Players,
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    kind: ListenerKind,
    path: Path,
    when: When,
    methods: &'static [Method],
    takes_body: bool,
    route: Route,
}

/// The paths of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Exact(&'static str),
    /// Every path that begins with this.
    Below(&'static str),
    Any,
}

/// The condition of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// The request asks for a WebSocket.
    Upgrade,
    /// The request does not ask for a WebSocket.
    NoUpgrade,
    /// The request asks for a WebSocket, and the policy opens one on any path.
    AnyUpgrade,
    /// The policy has Engine.IO without Socket.IO.
    RawEngineIo,
    /// The pages have a file of this path, or a folder with a page.
    IsFile,
    /// The operator has a token.
    HasToken,
    /// The same, and the status page loads a file of this path.
    IsStatusFile,
}

/// What the conditions depend on, besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// What the server serves.
    pub policy: &'a Policy,
    /// The pages.
    pub assets: &'a Assets,
    /// Whether the operator has a token.
    pub has_token: bool,
}

const READ: &[Method] = &[Method::Get, Method::Head];
/// The handler itself refuses a method or a body, in the format of its protocol.
const ANY: &[Method] = &[Method::Get, Method::Head, Method::Post, Method::Options, Method::Other];

/// The first row that fits a request decides. Rows with the path of that row share its methods.
const TABLE: &[Row] = &[
    engine_io("/socket.io/", When::Always, EioPath::SocketIo),
    engine_io("/socket.io", When::Always, EioPath::SocketIo),
    engine_io("/engine.io/", When::RawEngineIo, EioPath::Raw),
    engine_io("/engine.io", When::RawEngineIo, EioPath::Raw),
    public(Path::Below("/socket.io/"), When::NoUpgrade, Route::SocketIoClient),
    public(Path::Below("/socket.io/"), When::Always, Route::NotFound),
    public(Path::Below("/engine.io/"), When::Always, Route::NotFound),
    public(Path::Any, When::AnyUpgrade, Route::WebSocket),
    public(Path::Exact("/healthz"), When::Always, Route::Health),
    public(Path::Exact("/rooms"), When::Always, Route::Rooms),
    public(Path::Exact("/metrics"), When::Always, Route::LocalMetrics),
    public(Path::Any, When::Upgrade, Route::WebSocket),
    public(Path::Exact("/status"), When::HasToken, Route::StatusPage),
    public(Path::Below("/status."), When::IsStatusFile, Route::StatusPage),
    public(Path::Exact("/status/data"), When::HasToken, Route::StatusData),
    public(Path::Any, When::IsFile, Route::File),
    public(Path::Exact("/ws"), When::Always, Route::NeedsUpgrade),
    public(Path::Any, When::Always, Route::NotFound),
    REDIRECT,
    admin(Path::Any, When::Upgrade, Route::NotFound),
    admin(Path::Exact("/healthz"), When::Always, Route::Health),
    admin(Path::Exact("/metrics"), When::Always, Route::Metrics),
    admin(Path::Exact("/status"), When::Always, Route::StatusPage),
    admin(Path::Below("/status."), When::Always, Route::StatusPage),
    admin(Path::Exact("/status/data"), When::Always, Route::StatusData),
    admin(Path::Exact("/admin/bans"), When::Always, Route::Operator(Action::Bans)),
    admin(Path::Exact("/admin/players"), When::Always, Route::Operator(Action::Players)),
    act("/admin/kick", Action::Kick),
    act("/admin/ban", Action::Ban),
    act("/admin/unban", Action::Unban),
    act("/admin/message", Action::Message),
    admin(Path::Any, When::Always, Route::NotFound),
];

const REDIRECT: Row = Row {
    kind: ListenerKind::Redirect,
    path: Path::Any,
    when: When::Always,
    methods: ANY,
    takes_body: true,
    route: Route::Redirect,
};

const fn public(path: Path, when: When, route: Route) -> Row {
    Row { kind: ListenerKind::Public, path, when, methods: READ, takes_body: false, route }
}

const fn admin(path: Path, when: When, route: Route) -> Row {
    Row { kind: ListenerKind::Admin, path, when, methods: READ, takes_body: false, route }
}

const fn act(path: &'static str, action: Action) -> Row {
    let (path, route) = (Path::Exact(path), Route::Operator(action));
    let (kind, when) = (ListenerKind::Admin, When::Always);
    Row { kind, path, when, methods: &[Method::Post], takes_body: true, route }
}

const fn engine_io(path: &'static str, when: When, protocol: EioPath) -> Row {
    let (path, route) = (Path::Exact(path), Route::EngineIo(protocol));
    Row { kind: ListenerKind::Public, path, when, methods: ANY, takes_body: true, route }
}

impl Path {
    fn matches(self, path: &str) -> bool {
        match self {
            Path::Exact(exact) => path == exact,
            Path::Below(start) => path.starts_with(start),
            Path::Any => true,
        }
    }
}

impl When {
    fn holds(self, request: &Request, of: Conditions) -> bool {
        let Conditions { policy, assets, has_token } = of;
        match self {
            When::Always => true,
            When::Upgrade => request.wants_websocket(),
            When::NoUpgrade => !request.wants_websocket(),
            When::AnyUpgrade => policy.upgrades_any_path && request.wants_websocket(),
            When::RawEngineIo => policy.has_raw_engineio,
            When::IsFile => assets.has(request.path),
            When::HasToken => has_token,
            When::IsStatusFile => has_token && assets.has_status(request.path),
        }
    }
}

/// What answers a request that came through a listener of a kind.
///
/// # Errors
/// 204 for `OPTIONS`, unless the route answers it; 405 if no row of the path has the method, both
/// with `Allow`; 400 for a body where there must be none.
pub fn find(
    request: &Request,
    kind: ListenerKind,
    conditions: Conditions,
) -> Result<Route, Response> {
    find_in(TABLE, request, kind, conditions)
}

fn find_in(
    table: &[Row],
    request: &Request,
    kind: ListenerKind,
    conditions: Conditions,
) -> Result<Route, Response> {
    let fits = |row: &&Row| {
        row.kind == kind && row.path.matches(request.path) && row.when.holds(request, conditions)
    };
    let Some(first) = table.iter().find(fits) else { return Ok(Route::NotFound) };
    let has_method = |row: &&Row| row.methods.contains(&request.method);
    let same_path = || table.iter().filter(fits).filter(|row| row.path == first.path);
    let row = Some(first).filter(has_method).or_else(|| same_path().find(has_method));
    match row {
        None => Err(other_method(request, same_path().flat_map(|row| row.methods))),
        Some(row) if request.has_body() && !row.takes_body => {
            Err(Response::sentence(400, "This request must not have a body."))
        }
        Some(row) => Ok(row.route),
    }
}

/// The response to a method that no row of a path has.
fn other_method<'a>(request: &Request, methods: impl Iterator<Item = &'a Method>) -> Response {
    let mut names: Vec<&str> = Vec::new();
    for name in methods.map(|method| method.name()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let list = names.join(", ");
    let allow = format!("{list}, OPTIONS");
    if request.method == Method::Options {
        return options(request, allow, list);
    }
    let sentence = match names.as_slice() {
        [one] => format!("Only {one} is allowed here."),
        [first @ .., last] => format!("Only {} and {last} are allowed here.", first.join(", ")),
        [] => "No method is allowed here.".to_owned(),
    };
    Response::sentence(405, &sentence).with("Allow", allow)
}

/// The response to `OPTIONS`, also if it is the preflight of a page of another origin: such a page
/// may use the `methods`, with all header fields that it asks for.
pub fn options(
    request: &Request,
    allow: impl Into<String>,
    methods: impl Into<String>,
) -> Response {
    let response = Response::empty(204).with("Allow", allow.into());
    if !request.has("Origin") {
        return response;
    }
    let response = response.with("Access-Control-Allow-Methods", methods.into());
    match request.value("Access-Control-Request-Headers") {
        Some(asked) => response
            .with("Access-Control-Allow-Headers", asked.to_owned())
            .with("Vary", "Access-Control-Request-Headers"),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::{ECHO, GAME};
    use super::*;

    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: upgrade\r\n";

    fn route_in(
        table: &[Row],
        start: &str,
        fields: &str,
        policy: &Policy,
        kind: ListenerKind,
    ) -> String {
        let assets = Assets::embedded();
        let head = format!("{start} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes()).unwrap();
        let has_token = fields.contains("X-Has-Token");
        let conditions = Conditions { policy, assets: &assets, has_token };
        match find_in(table, &request, kind, conditions) {
            Ok(route) => format!("{route:?}"),
            Err(response) => {
                let (head, _) = response.into_bytes(false, false);
                let head = String::from_utf8(head).unwrap();
                let allow = head.lines().find_map(|line| line.strip_prefix("Allow: "));
                format!("{} {}", &head[9..12], allow.unwrap_or_default())
            }
        }
    }

    #[test]
    fn paths() {
        let route = |path: &str, upgrades: bool, is_echo: bool| {
            let policy = if is_echo { &ECHO } else { &GAME };
            let fields = if upgrades { UPGRADE } else { "" };
            route_in(TABLE, &format!("GET {path}"), fields, policy, ListenerKind::Public)
        };
        assert_eq!(route("/", false, false), "File");
        assert_eq!(route("/favicon.ico", false, false), "File");
        assert_eq!(route("/nothing", false, false), "NotFound");
        assert_eq!(route("/ws", false, false), "NeedsUpgrade");
        assert_eq!(route("/healthz", true, false), "Health");
        for path in ["/", "/ws", "/any/path?room=x", "/client.html", "/favicon.ico"] {
            assert_eq!(route(path, true, false), "WebSocket", "{path}");
        }
        assert_eq!(route("/healthz", true, true), "WebSocket");
        for path in ["/socket.io/?EIO=4", "/socket.io"] {
            assert_eq!(route(path, true, true), "EngineIo(SocketIo)", "{path}");
        }
        assert_eq!(route("/engine.io/", true, true), "EngineIo(Raw)");
        assert_eq!(route("/engine.io/", true, false), "NotFound");
        assert_eq!(route("/engine.io", true, false), "WebSocket");
        for path in ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js?v=4"] {
            assert_eq!(route(path, false, false), "SocketIoClient", "{path}");
            assert_eq!(route(path, true, true), "NotFound", "{path}");
        }
    }

    #[test]
    fn kinds_of_listeners() {
        let admin = |path: &str, fields: &str| {
            route_in(TABLE, &format!("GET {path}"), fields, &ECHO, ListenerKind::Admin)
        };
        assert_eq!(admin("/metrics", ""), "Metrics");
        assert_eq!(admin("/healthz", ""), "Health");
        assert_eq!(admin("/healthz", UPGRADE), "NotFound");
        for path in ["/", "/rooms", "/socket.io/", "/engine.io/", "/favicon.ico", "/ws"] {
            assert_eq!(admin(path, ""), "NotFound", "{path}");
        }
    }

    #[test]
    fn the_status_page_is_public_only_if_there_is_a_token() {
        let ask = |path: &str, fields: &str, kind| {
            route_in(TABLE, &format!("GET {path}"), fields, &GAME, kind)
        };
        let token = "X-Has-Token: 1\r\n";
        for (path, route) in [("/status", "StatusPage"), ("/status/data", "StatusData")] {
            assert_eq!(ask(path, "", ListenerKind::Public), "NotFound", "{path}");
            assert_eq!(ask(path, token, ListenerKind::Public), route, "{path}");
            assert_eq!(ask(path, "", ListenerKind::Admin), route, "{path}");
            assert_eq!(ask(path, "", ListenerKind::Redirect), "Redirect", "{path}");
        }
        let upgrade = format!("{token}{UPGRADE}");
        assert_eq!(ask("/status", &upgrade, ListenerKind::Public), "WebSocket");
        assert_eq!(
            ask("/status.png", token, ListenerKind::Public),
            "NotFound",
            "a page's own file"
        );
        assert_eq!(ask("/status.html", token, ListenerKind::Public), "StatusPage");
        assert_eq!(ask("/status.html", "", ListenerKind::Public), "NotFound");
    }

    #[test]
    fn methods_and_bodies() {
        let route =
            |start: &str, fields: &str| route_in(TABLE, start, fields, &GAME, ListenerKind::Public);
        let body = "Content-Length: 1\r\n";
        for path in ["/", "/healthz", "/favicon.ico", "/nothing", "/socket.io/x"] {
            assert_eq!(route(&format!("POST {path}"), body), "405 GET, HEAD, OPTIONS", "{path}");
            assert_eq!(route(&format!("GET {path}"), body), "400 ", "{path}");
        }
        for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
            assert_eq!(route(&format!("{method} /socket.io/"), body), "EngineIo(SocketIo)");
        }
    }

    #[test]
    fn rows_of_one_path_share_their_methods() {
        let post = Row {
            methods: &[Method::Post],
            takes_body: true,
            ..public(Path::Exact("/rooms"), When::Always, Route::Rooms)
        };
        let (read, any) = (Path::Exact("/rooms"), Path::Any);
        let one = [post, public(any, When::Always, Route::NotFound)];
        let route = |table: &[Row], start: &str, fields: &str| {
            route_in(table, start, fields, &GAME, ListenerKind::Public)
        };
        let body = "Content-Length: 1\r\n";
        assert_eq!(route(&one, "POST /rooms", body), "Rooms");
        assert_eq!(route(&one, "GET /rooms", ""), "405 POST, OPTIONS");
        let [post, rest] = one;
        let two = [post, public(read, When::Always, Route::Health), rest];
        assert_eq!(route(&two, "GET /rooms", ""), "Health");
        assert_eq!(route(&two, "GET /rooms", body), "400 ");
        assert_eq!(route(&two, "PUT /rooms", ""), "405 POST, GET, HEAD, OPTIONS");
        assert_eq!(route(&two, "OPTIONS /rooms", ""), "204 POST, GET, HEAD, OPTIONS");
    }
}
