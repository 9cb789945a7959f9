//! The operator's requests to `--admin-listen`: `/admin/kick`, `ban`, `unban`, `message`, and lists.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::files::Folder;
use crate::harness::{Answer, Peer, TestServer, between, from, handshake, start_and_stop, until};
use crate::resume::Player;
use crate::v1::play::Client;

pub const TOKEN: &str = "a token of the operator";

struct Operated {
    server: TestServer,
    folder: Folder,
}

impl Operated {
    fn start(name: &str, more: &[&str]) -> Operated {
        let folder = Folder::new(name);
        let server = start(&folder.0, more);
        Operated { server, folder }
    }

    /// A request with the token.
    fn post(&self, action: &str, body: &Value) -> Answer {
        let fields = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        post(self.server.admin(), action, &fields, &body.to_string())
    }

    fn get(&self, list: &str) -> Value {
        let fields = format!("Authorization: Bearer {TOKEN}\r\n");
        let addr = self.server.admin();
        let request = format!("GET /admin/{list} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n");
        let answer = Peer::connect(addr).ask(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).expect("JSON")
    }

    /// The status for a request of a list.
    fn status(&self, list: &str) -> u16 {
        let fields = format!("Authorization: Bearer {TOKEN}\r\n");
        let addr = self.server.admin();
        let request = format!("GET /admin/{list} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n");
        Peer::connect(addr).ask(&request).status
    }
}

#[test]
fn the_list_of_players_has_pages() {
    let operated = Operated::start("operator-pages", &[]);
    let players: Vec<(Peer, String)> =
        (0..5).map(|host| join(&operated.server, 1 + host, "/ws?room=dots")).collect();
    let page = |query: &str| {
        let list = operated.get(&format!("players{query}"));
        let rows = list["players"].as_array().expect("a list").iter();
        let ids: Vec<String> =
            rows.map(|row| row["id"].as_str().expect("text").to_owned()).collect();
        (ids, list["next"].as_str().map(str::to_owned))
    };
    let ids: Vec<String> = players.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(page(""), (ids.clone(), None));
    assert_eq!(page("?limit=100000"), (ids.clone(), None));
    let (first, next) = page("?limit=2");
    assert_eq!((&first[..], next.as_ref()), (&ids[..2], Some(&ids[1])));
    let (second, next) = page(&format!("?limit=2&after={}", ids[1]));
    assert_eq!((&second[..], next.as_ref()), (&ids[2..4], Some(&ids[3])));
    assert_eq!(page(&format!("?limit=2&after={}", ids[3])), (ids[4..].to_vec(), None));
    assert_eq!(page("?limit=0").0, ids[..1], "one at least");
    for query in ["?after=x", "?limit=-1"] {
        assert_eq!(operated.status(&format!("players{query}")), 400, "{query}");
    }
}

/// Starts a server with the token in a file of `folder`.
pub fn start(folder: &Path, more: &[&str]) -> TestServer {
    let file = folder.join("token");
    fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&file, mode).expect("its owner");
    let file = file.to_str().expect("a plain path");
    let flags = ["--admin-listen", "127.0.0.1:0", "--admin-token-file", file, "--limit-loopback"];
    TestServer::start(&[&flags, more].concat())
}

fn post(addr: SocketAddr, action: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    Peer::connect(addr).ask(&format!(
        "POST /admin/{action} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n{fields}\r\n\
         {body}"
    ))
}

/// A player of the JSON dialect from 127.0.0.`host`, and its number.
fn join(server: &TestServer, host: u8, target: &str) -> (Peer, String) {
    let mut peer = Peer::over(from(host, server.addr));
    peer.send(&handshake(server.addr, target));
    assert_eq!(peer.answer(true).status, 101);
    let id = between(peer.frame().text(), "\"id\":\"", "\"").to_owned();
    (peer, id)
}

// T53
#[test]
fn only_the_operator_may_act() {
    let mut operated = Operated::start("operator-token", &[]);
    let (admin, public) = (operated.server.admin(), operated.server.addr);
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let json = "Content-Type: application/json\r\n";
    let body = r#"{"text":"hello"}"#;
    for (fields, expected) in [
        (format!("{token}{json}"), 200),
        (format!("{token}Content-Type: Application/JSON; charset=utf-8\r\n"), 200),
        (format!("{token}{json}Origin: http://{admin}\r\n"), 200),
        (format!("{token}{json}Origin: http://{public}\r\n"), 403),
        (format!("{token}{json}Origin: https://evil.example\r\n"), 403),
        (format!("{token}Content-Type: text/plain\r\n"), 415),
        (token.clone(), 415),
        (format!("Authorization: Bearer {TOKEN}x\r\n{json}"), 401),
        (json.to_owned(), 401),
    ] {
        assert_eq!(post(admin, "message", &fields, body).status, expected, "{fields}");
    }
    let fields = format!("{token}{json}");
    assert_eq!(post(public, "message", &fields, body).status, 405, "not on the public port");
    let read = format!("GET /admin/kick HTTP/1.1\r\nHost: {admin}\r\n{token}\r\n");
    assert_eq!(Peer::connect(admin).ask(&read).status, 405);
    let large = format!(r#"{{"text":"{}"}}"#, "a".repeat(5_000));
    assert_eq!(post(admin, "message", &fields, &large).status, 413);
    for body in ["", "[]", r#"{"text":1}"#, r#"{"text":"a","more":1}"#, r#"{"text":"a\nb"}"#] {
        assert_eq!(post(admin, "message", &fields, body).status, 400, "{body}");
    }
    for guess in 0..4 {
        let fields = format!("Authorization: Bearer guess {guess}\r\n{json}");
        assert_eq!(post(admin, "message", &fields, body).status, 401);
    }
    let answer = post(admin, "message", &fields, body);
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("60")));
    assert_eq!(operated.server.metric(r#"skirmish_refusals_total{reason="token"}"#), 9);
    let text = "refused an operator's request";
    operated.server.until_logged(text);
    let refused = |line: &&String| line.contains(text);
    assert_eq!(operated.server.log().iter().filter(refused).count(), 1, "one line in 20 s");
}

#[test]
fn without_a_token_nothing_is_allowed() {
    let server = TestServer::start(&["--admin-listen", "127.0.0.1:0"]);
    let fields = "Authorization: Bearer \r\nContent-Type: application/json\r\n";
    let answer = post(server.admin(), "message", fields, r#"{"text":"hello"}"#);
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("--admin-token-file"), "{}", answer.text());
}

#[test]
fn a_token_file_that_cannot_be_used_is_refused() {
    let folder = Folder::new("operator-files");
    let path = |name: &str| folder.0.join(name).to_str().expect("a plain path").to_owned();
    fs::write(path("short"), "secret\n").expect("a file");
    fs::write(path("lines"), "a token of the operator\nand more\n").expect("a file");
    fs::write(path("open"), TOKEN).expect("a file");
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--admin-token-file"];
    for (name, part) in [
        ("none", "cannot read --admin-token-file"),
        ("short", "at least 16 characters"),
        ("lines", "one line"),
    ] {
        let (startup, log) = start_and_stop(&[&listen[..], &[&path(name)]].concat(), &[]);
        assert!(startup.is_empty() && log.contains(part), "{name}: {log}");
    }
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(path("open"), mode).expect("its owner");
    let (_, log) = start_and_stop(&[&listen[..], &[&path("open")]].concat(), &[]);
    assert!(log.contains("WARN every user of this machine may read the token"), "{log}");
}

#[test]
fn a_player_is_kicked_and_does_not_come_back() {
    let mut operated = Operated::start("operator-kick", &[]);
    let addr = operated.server.addr;
    let mut ann = Player::join(addr, "/ws?room=dots&resume=1&name=Ann");
    let (mut ben, _) = join(&operated.server, 1, "/ws?room=dots&name=Ben");
    let answer = operated.post("kick", &json!({ "player": ann.id }));
    assert_eq!(answer.text(), "{\"ok\":true,\"players\":1}\n");
    assert_eq!(ann.peer.until_close(), (Some(4003), "Removed by the operator.".to_owned()));
    ben.until_text(&["state_update", "Ben"]);
    operated.server.until_metric("skirmish_players", 1);
    assert_eq!(operated.server.metric("skirmish_players_absent"), 0);
    let back = ann.come_back(addr);
    assert_ne!(back.id, ann.id, "its token is invalid");
    assert!(operated.server.until_logged("the operator kicked players").contains("count=1"));

    // A player whose client was lost.
    let ann = Player::join(addr, "/ws?room=dots&resume=1&name=Ann");
    let id: u32 = ann.id.parse().expect("a number");
    ann.peer.reset();
    operated.server.until_metric("skirmish_players_absent", 1);
    assert_eq!(operated.post("kick", &json!({ "player": id })).status, 200);
    assert_eq!(operated.server.metric("skirmish_players_absent"), 0);

    for (body, status) in [
        (json!({ "player": "4000000" }), 404),
        (json!({ "player": "Ann" }), 400),
        (json!({}), 400),
        (json!({ "player": 1, "address": "127.0.0.1" }), 400),
        (json!({ "address": "192.0.2.1" }), 404),
    ] {
        assert_eq!(operated.post("kick", &body).status, status, "{body}");
    }
}

#[test]
fn a_banned_address_is_kicked_and_refused_until_the_ban_ends() {
    let mut operated = Operated::start("operator-ban", &[]);
    let (mut ann, id) = join(&operated.server, 3, "/ws?room=dots&name=Ann");
    let (mut ben, _) = join(&operated.server, 4, "/ws?room=dots&name=Ben");
    let answer = operated.post("ban", &json!({ "player": id }));
    assert!(answer.text().contains(r#""network":"127.0.0.3/32""#), "{}", answer.text());
    assert_eq!(ann.until_close().0, Some(4003));
    Peer::over(from(3, operated.server.addr)).expect_end();
    ben.until_text(&["state_update"]);
    let refused = r#"skirmish_refusals_total{reason="banned"}"#;
    assert_eq!(operated.server.metric(refused), 1);
    assert_eq!(
        operated.get("bans"),
        json!({ "bans": [{ "network": "127.0.0.3/32", "seconds": null }] })
    );
    assert_eq!(operated.post("unban", &json!({ "address": "127.0.0.3" })).status, 200);
    assert_eq!(operated.post("unban", &json!({ "address": "127.0.0.3" })).status, 404);
    join(&operated.server, 3, "/ws?room=dots");

    let answer = operated.post("ban", &json!({ "address": "127.0.0.4/31", "seconds": 1 }));
    assert_eq!(answer.status, 200);
    assert_eq!(ben.until_close().0, Some(4003));
    until("the ban ends", || {
        let mut peer = Peer::over(from(5, operated.server.addr));
        peer.try_get("/healthz").filter(|status| *status == 200)
    });
    assert_eq!(operated.get("bans"), json!({ "bans": [] }));
    for (body, status) in [
        (json!({ "address": "0.0.0.0/0" }), 400),
        (json!({ "address": "nowhere" }), 400),
        (json!({ "address": "192.0.2.1", "seconds": 0 }), 400),
        (json!({ "player": "4000000" }), 404),
        (json!({}), 400),
    ] {
        assert_eq!(operated.post("ban", &body).status, status, "{body}");
    }
    assert!(operated.server.until_logged("the operator banned").contains("127.0.0.3/32"));
}

#[test]
fn a_client_behind_a_proxy_is_banned_and_the_proxy_is_not() {
    let operated = Operated::start("operator-proxy", &["--trusted-proxy", "127.0.0.9"]);
    let get = |client: &str| {
        let mut proxy = Peer::over(from(9, operated.server.addr));
        let fields = format!("Host: h\r\nX-Forwarded-For: {client}\r\n");
        proxy.ask(&format!("GET /client.html HTTP/1.1\r\n{fields}\r\n")).status
    };
    assert_eq!(operated.post("ban", &json!({ "address": "198.51.100.7" })).status, 200);
    assert_eq!((get("198.51.100.7"), get("198.51.100.8")), (403, 200));
    assert_eq!(operated.post("ban", &json!({ "address": "127.0.0.9" })).status, 200);
    assert_eq!(get("198.51.100.8"), 200);
    // Without a client that it names, too.
    let mut proxy = Peer::over(from(9, operated.server.addr));
    assert_eq!(proxy.get("/client.html").status, 200);
    let health = "GET /healthz HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n";
    assert_eq!(proxy.ask(health).status, 200);

    // A ban of a client that the proxy does not name would be one of all such clients.
    let mut unknown = Peer::over(from(9, operated.server.addr));
    let upgrade = String::from_utf8(handshake(operated.server.addr, "/ws")).expect("text");
    let upgrade = upgrade.replacen("\r\n", "\r\nX-Forwarded-For: unknown\r\n", 1);
    assert_eq!(unknown.ask(&upgrade).status, 101);
    let id = between(unknown.frame().text(), "\"id\":\"", "\"").to_owned();
    assert_eq!(operated.post("ban", &json!({ "player": id })).status, 409);
    assert_eq!(operated.post("ban", &json!({ "address": "::" })).status, 400);
    assert_eq!(operated.post("kick", &json!({ "player": id })).status, 200);
}

#[test]
fn a_session_that_has_not_joined_is_banned_too() {
    let operated = Operated::start("operator-session", &[]);
    let mut session = Peer::over(from(3, operated.server.addr));
    session.send(&handshake(operated.server.addr, "/socket.io/?EIO=4&transport=websocket"));
    assert_eq!(session.answer(true).status, 101);
    assert!(session.frame().text().starts_with('0'));
    assert_eq!(operated.post("ban", &json!({ "address": "127.0.0.3" })).status, 200);
    assert_eq!(session.until_close().0, Some(4003));
    assert_eq!(operated.server.metric("skirmish_engine_sessions"), 0);
}

#[test]
fn bans_outlive_a_restart_with_a_state_file() {
    let folder = Folder::new("operator-restart");
    let state = folder.0.join("state").to_str().expect("a plain path").to_owned();
    let server = start(&folder.0, &["--state", &state]);
    let mut operated = Operated { server, folder };
    operated.post("ban", &json!({ "address": "127.0.0.3" }));
    operated.post("ban", &json!({ "address": "2001:db8::1", "seconds": 1_000 }));
    for _ in 0..2 {
        operated.server.signal(Signal::TERM);
        assert_eq!(operated.server.exit().code(), Some(0));
        operated.server = start(&operated.folder.0, &["--state", &state]);
        Peer::over(from(3, operated.server.addr)).expect_end();
        let bans = operated.get("bans");
        assert_eq!(bans["bans"][1]["network"], "2001:db8::/64");
        assert!(bans["bans"][1]["seconds"].as_u64().is_some_and(|left| left <= 1_000), "{bans}");
    }
}

#[test]
fn players_of_every_dialect_get_a_message() {
    let operated = Operated::start("operator-message", &[]);
    let addr = operated.server.addr;
    let (mut ann, _) = join(&operated.server, 1, "/ws?room=arena&rules=battle&name=Ann");
    let mut eve = Client::join(addr, "/ws?room=arena&name=Eve");
    let (mut zoe, _) = join(&operated.server, 1, "/ws?room=other&name=Zoe");
    let answer = operated.post("message", &json!({ "text": "Restart \"soon\"", "room": "arena" }));
    assert_eq!(answer.text(), "{\"ok\":true,\"players\":2}\n");
    let notice = r#"{"type":"notice","text":"Restart \"soon\""}"#;
    assert_eq!(ann.until_text(&["notice"]), notice);
    assert_eq!(eve.peer.until_text(&["notice"]), notice);
    operated.post("message", &json!({ "text": " for all " }));
    assert_eq!(zoe.until_text(&["notice"]), r#"{"type":"notice","text":"for all"}"#);
    assert_eq!(operated.post("message", &json!({ "text": "x", "room": "none" })).status, 404);

    let players = operated.get("players");
    let list = players["players"].as_array().expect("a list");
    let rows: Vec<String> = list
        .iter()
        .map(|it| format!("{} {} {} {}", it["name"], it["room"], it["address"], it["dialect"]))
        .collect();
    assert_eq!(
        rows,
        [
            r#""Ann" "arena" "127.0.0.1" "json""#,
            r#""Eve" "arena" "127.0.0.1" "v1""#,
            r#""Zoe" "other" "127.0.0.1" "json""#
        ]
    );
}
