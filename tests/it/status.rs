//! `/status`: who may read it through which listener, what pages of others may not do, and what its
//! numbers say.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::files::Folder;
use crate::harness::{Answer, Peer, TestServer, between, from, request, until, unzipped};
use crate::operator::{TOKEN, start};
use crate::socketio_battle::player::{SocketIoPlayer, Transport};
use crate::v1::play::Client;

const BEARER: &str = "Authorization: Bearer a token of the operator\r\n";
/// `ann:a token of the operator`
const BASIC: &str = "Authorization: Basic YW5uOmEgdG9rZW4gb2YgdGhlIG9wZXJhdG9y\r\n";
/// `ann:guess`
const WRONG: &str = "Authorization: Basic YW5uOmd1ZXNz\r\n";
const PATHS: [&str; 2] = ["/status", "/status/data"];

fn get(addr: SocketAddr, path: &str, fields: &str) -> Answer {
    Peer::connect(addr).ask(&request(addr, &format!("GET {path}"), fields))
}

/// A request with a `Host` of its own.
fn get_at(addr: SocketAddr, host: &str, fields: &str) -> Answer {
    Peer::connect(addr).ask(&format!("GET /status/data HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

/// The numbers, from `--admin-listen`.
fn data(server: &TestServer, fields: &str) -> Value {
    let answer = get(server.admin(), "/status/data", fields);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The script that a page loads.
fn script(page: &Answer) -> String {
    format!("/{}", between(&page.text(), "<script defer src=\"", "\""))
}

#[test]
fn without_a_token_only_this_machine_may_read_it_and_only_over_admin_listen() {
    let server = TestServer::start(&["--admin-listen", "127.0.0.1:0"]);
    let (admin, public) = (server.admin(), server.addr);
    let page = get(admin, "/status", "");
    assert_eq!(page.status, 200);
    let script = script(&page);
    assert!(script.starts_with("/status."), "{script}");
    assert_eq!(
        get(admin, &script, "").field("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(get(admin, "/status/data", "").status, 200);
    for path in ["/status", "/status/data", "/status.html", "/status/main.js", &script] {
        assert_eq!(get(public, path, "").status, 404, "{path}");
        assert_eq!(get(public, path, BASIC).status, 404, "{path}");
    }
    for host in ["localhost", "localhost:1", "127.0.0.1:9", "[::1]:9"] {
        assert_eq!(get_at(admin, host, "").status, 200, "{host}");
    }
    // A name that leads here, and requests that came through a proxy.
    for (host, fields) in [
        ("evil.example", ""),
        ("localhost.evil.example", ""),
        ("localhost", "X-Forwarded-For: 192.0.2.1\r\n"),
        ("localhost", "Via: 1.1 proxy\r\n"),
    ] {
        let refused = get_at(admin, host, fields);
        assert_eq!(refused.status, 403, "{host} {fields}");
        assert!(refused.text().contains("--admin-token-file"), "{}", refused.text());
    }
    let flags = ["--admin-listen", "127.0.0.1:0", "--trusted-proxy", "127.0.0.9"];
    let behind = TestServer::start(&flags);
    assert_eq!(get(behind.admin(), "/status", "").status, 403, "any client may be local");
}

// T53
#[test]
fn with_a_token_it_needs_the_token_through_every_listener() {
    let folder = Folder::new("status-token");
    let server = start(&folder.0, &[]);
    for addr in [server.admin(), server.addr] {
        for path in PATHS {
            assert_eq!(get(addr, path, BASIC).status, 200, "{path}");
            assert_eq!(get(addr, path, BEARER).status, 200, "{path}");
            let asks = get(addr, path, "");
            // Only a person is asked for a password.
            let expected = match path {
                "/status" => "Basic realm=\"skirmish\", charset=\"UTF-8\"",
                _ => "Bearer",
            };
            let challenge = asks.field("www-authenticate");
            assert_eq!((asks.status, challenge), (401, Some(expected)), "{path}");
        }
        let script = script(&get(addr, "/status", BASIC));
        assert_eq!((get(addr, &script, "").status, get(addr, &script, BASIC).status), (401, 200));
        let token = TOKEN.replace(' ', "+");
        for query in [format!("token={token}"), format!("password={token}"), token] {
            assert_eq!(get(addr, &format!("/status?{query}"), "").status, 401, "{query}");
        }
        let refused = Peer::connect(addr).ask(&request(addr, "POST /status", BASIC));
        assert_eq!(refused.status, 405);
        let mut head = Peer::connect(addr);
        head.send(request(addr, "HEAD /status", BASIC).as_bytes());
        assert_eq!(head.answer(false).status, 200);
    }
    let refusals = r#"skirmish_refusals_total{reason="token"}"#;
    assert_eq!(server.metric(refusals), 0, "a browser asks without a token first");

    // Guesses through the public listener do not lock out the operator, who may use the other one.
    for _ in 0..5 {
        assert_eq!(get(server.addr, "/status", WRONG).status, 401);
    }
    let answer = get(server.addr, "/status/data", BASIC);
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("60")));
    assert_eq!(get(server.admin(), "/status/data", BASIC).status, 200);
    assert_eq!(server.metric(refusals), 6);
    // A password is not enough to change something: a browser sends it by itself.
    let kick = format!("{BASIC}Content-Type: application/json\r\nContent-Length: 2\r\n");
    let admin = server.admin();
    let kick = format!("POST /admin/kick HTTP/1.1\r\nHost: {admin}\r\n{kick}\r\n{{}}");
    assert_eq!(Peer::connect(admin).ask(&kick).status, 401);
}

#[test]
fn behind_a_proxy_each_client_has_its_own_guesses() {
    let folder = Folder::new("status-proxy");
    let server = start(&folder.0, &["--trusted-proxy", "127.0.0.9"]);
    let ask = |client: &str, fields: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\nX-Forwarded-Proto: https\r\n{fields}");
        Peer::over(from(9, server.addr)).ask(&request(server.addr, "GET /status", &fields)).status
    };
    for _ in 0..5 {
        assert_eq!(ask("198.51.100.7", WRONG), 401);
    }
    assert_eq!((ask("198.51.100.7", BASIC), ask("198.51.100.8", BASIC)), (429, 200));
}

// T53
#[test]
fn over_plain_http_it_is_not_on_a_public_listener() {
    let folder = Folder::new("status-plain");
    let server = start(&folder.0, &["--trusted-proxy", "127.0.0.9"]);
    for (host, scheme, expected) in [
        (9, "https", 200),
        (9, "wss", 200),
        (9, "http", 403),
        (9, "https, http", 403),
        (1, "https", 403),
    ] {
        for path in PATHS {
            let fields = format!("X-Forwarded-Proto: {scheme}\r\n{BASIC}");
            let request = request(server.addr, &format!("GET {path}"), &fields);
            let answer = Peer::over(from(host, server.addr)).ask(&request);
            assert_eq!(answer.status, expected, "{path} {host} {scheme}");
            let sentence = "The status page needs https here";
            assert_eq!(answer.text().starts_with(sentence), expected == 403, "{path} {scheme}");
            // No dialog for a password.
            assert_eq!(answer.field("www-authenticate"), None);
        }
    }
    let ask = |fields: &str| {
        let request = request(server.addr, "GET /status", fields);
        Peer::over(from(9, server.addr)).ask(&request).status
    };
    assert_eq!((ask(""), ask(WRONG)), (403, 403), "no password is asked for, and none is tried");
    assert_eq!(get(server.admin(), "/status", BASIC).status, 200);

    // The addresses of clients are in the header of the PROXY protocol.
    folder.write("token", TOKEN);
    let file = folder.0.join("token");
    let token = ["--admin-token-file", file.to_str().expect("a plain path")];
    let proxied = ["--proxy-protocol", "--trusted-proxy", "127.0.0.1"];
    let server = TestServer::start(&[&token[..], &proxied].concat());
    for (fields, scheme) in [(BASIC, ""), (BASIC, "X-Forwarded-Proto: https\r\n")] {
        let head = request(server.addr, "GET /status", &format!("{scheme}{fields}"));
        let mut peer = Peer::connect(server.addr);
        let answer = peer.ask(&format!("PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n{head}"));
        assert_eq!(answer.status, 403, "{scheme}");
    }
}

#[test]
fn a_token_needs_no_admin_listener() {
    let folder = Folder::new("status-alone");
    folder.write("token", TOKEN);
    let file = folder.0.join("token");
    let server = TestServer::start(&["--admin-token-file", file.to_str().expect("a plain path")]);
    assert_eq!(get(server.addr, "/status/data", BASIC).status, 200);
    assert_eq!(get(server.addr, "/admin/players", BEARER).status, 404);
}

// T53
#[test]
fn no_other_page_reads_or_frames_it_and_no_folder_replaces_it() {
    let folder = Folder::new("status-pages");
    folder.write("www/status/index.html", "mine");
    folder.write("www/status/status.css", "body { display: none }");
    folder.write("www/shared/base.css", "body { display: none }");
    let www = folder.0.join("www");
    let own = ["--www", www.to_str().expect("a plain path")];
    let other = "https://friend.example";
    let flags = ["--csp", "default-src *", "--frame-ancestors", "*", "--allow-origin", other];
    let server = start(&folder.0, &[&own[..], &flags].concat());
    let plain = TestServer::start(&own);
    assert_eq!(get(plain.addr, "/status/", "").text(), "mine", "without a token");
    for addr in [server.admin(), server.addr] {
        let page = get(addr, "/status", BASIC);
        let policy = page.field("content-security-policy").expect("a policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "connect-src 'self';"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(page.field("x-frame-options"), Some("DENY"));
        assert_eq!(page.field("cross-origin-resource-policy"), Some("same-origin"));
        assert!(!page.text().contains("mine"));
        let style = page.text();
        let style = format!("/{}", between(&style, "<link rel=\"stylesheet\" href=\"", "\""));
        let (script, style) = (get(addr, &script(&page), BASIC), get(addr, &style, BASIC));
        for file in [&script, &style] {
            let policy = file.field("cross-origin-resource-policy");
            assert_eq!(policy, Some("same-origin"), "no other site learns that it could load it");
        }
        assert!(style.status == 200 && !style.text().contains("body { display: none }"));

        let answer = get(addr, "/status/data", BASIC);
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("cross-origin-resource-policy"), Some("same-origin"));
        let from_page = |fields: &str| get(addr, "/status/data", &format!("{BASIC}{fields}"));
        for fields in [
            format!("Origin: {other}\r\n"),
            "Origin: null\r\n".to_owned(),
            "Sec-Fetch-Site: cross-site\r\n".to_owned(),
            "Sec-Fetch-Site: same-site\r\n".to_owned(),
        ] {
            let answer = from_page(&fields);
            assert_eq!(answer.status, 403, "{fields}");
            assert_eq!(answer.field("access-control-allow-origin"), None, "{fields}");
        }
        for fields in [format!("Origin: http://{addr}\r\n"), "Sec-Fetch-Site: none\r\n".to_owned()]
        {
            let answer = from_page(&fields);
            assert_eq!(answer.status, 200, "{fields}");
            assert_eq!(answer.field("access-control-allow-origin"), None, "{fields}");
        }
    }
    let refusals = r#"skirmish_refusals_total{reason="token"}"#;
    assert_eq!(server.metric(refusals), 0, "pages of other sites do not raise it");
}

// T72
#[test]
fn the_numbers_are_bounded_and_made_once_a_second() {
    let names: Vec<String> = (0..4_096).map(|number| format!("room-{number:04}=dots")).collect();
    let rooms = names.iter().flat_map(|name| ["--room", name]);
    let flags: Vec<&str> = ["--admin-listen", "127.0.0.1:0"].into_iter().chain(rooms).collect();
    let server = TestServer::start(&flags);
    let players: Vec<_> = (0..25)
        .map(|number| Peer::join(server.addr, &format!("/ws?room=room-{:04}", 4_000 + number)))
        .collect();
    let full = until("all players are counted", || {
        Some(data(&server, "")).filter(|data| data["players"] == players.len())
    });
    assert_eq!(full["rooms"]["total"], 4_096);
    let list = full["rooms"]["list"].as_array().expect("a list");
    assert_eq!((list.len(), &list[0]["name"]), (50, &json!("room-4000")), "the fullest come first");
    assert_eq!(full["slowest"].as_array().map(Vec::len), Some(20));

    let mut made = Vec::new();
    until("the numbers were made three times", || {
        let answer = get(server.admin(), "/status/data", "");
        assert!(answer.body.len() < 24_000, "{} bytes", answer.body.len());
        let data: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let at_ms = data["at_ms"].as_u64().expect("a number");
        if made.last() != Some(&at_ms) {
            made.push(at_ms);
        }
        (made.len() == 3).then_some(())
    });
    assert!(made.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{made:?}");
    let gzip = get(server.admin(), "/status/data", "Accept-Encoding: gzip\r\n");
    assert_eq!(gzip.field("content-encoding"), Some("gzip"));
    let value: Value = serde_json::from_slice(&unzipped(&gzip.body)).expect("JSON");
    assert_eq!(value["rooms"]["total"], 4_096);
}

#[test]
fn the_numbers_are_those_of_the_metrics_and_name_the_slowest_client() {
    let server = TestServer::start(&["--admin-listen", "127.0.0.1:0"]);
    let (mut ann, _) = Peer::join(server.addr, "/ws?room=arena&rules=battle&name=Ann");
    let mut ben = Client::join(server.addr, "/ws?room=arena&name=Ben");
    ben.receive();
    ben.acknowledge();
    let polls = json!({ "room": "arena", "name": "Eve" });
    let (_eve, _) = SocketIoPlayer::join(&server, Transport::Polling, &polls);
    // Ann acknowledges a state, and then none.
    let state = ann.until_text(&["state_update"]);
    let tick = between(&state, "\"tick\":", ",");
    ann.send_text(&format!(r#"{{"type":"ack","tick":{tick}}}"#));
    ann.send_text("{");
    let row = |data: &Value, name: &str| {
        let rows = data["slowest"].as_array().expect("a list");
        rows.iter().find(|row| row["name"] == name).cloned().expect("a row")
    };
    let late = until("Ann is a second behind", || {
        Some(data(&server, "")).filter(|data| row(data, "Ann")["behind_ms"].as_u64() >= Some(1_000))
    });
    let ann = row(&late, "Ann");
    assert!(ann["rtt_ms"].is_u64() && ann["sent_bytes"].as_u64() > Some(1_000), "{ann}");
    for (name, expected) in [
        ("Ann", r#""json" "websocket" "127.0.0.1""#),
        ("Ben", r#""v1" "websocket" "127.0.0.1""#),
        ("Eve", r#""socketio" "polling" "127.0.0.1""#),
    ] {
        let client = row(&late, name);
        let Value::Object(fields) = &client else { panic!("{client}") };
        let text = ["dialect", "transport", "address"].map(|field| fields[field].to_string());
        assert_eq!(text.join(" "), expected);
    }
    let behind: Vec<_> = late["slowest"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["behind_ms"].as_u64().expect("a number"))
        .collect();
    assert!(behind.is_sorted_by(|one, next| one >= next), "{behind:?}");
    let count = |rows: &Value, wanted: &[(&str, &str)], number: &str| {
        let rows = rows.as_array().expect("rows");
        let row = rows.iter().find(|row| wanted.iter().all(|(key, value)| row[*key] == *value));
        row.and_then(|row| row[number].as_u64()).expect("a number")
    };
    let polling = [("rules", "battle"), ("dialect", "socketio"), ("transport", "polling")];
    assert_eq!(count(&late["players_by"], &polling, "players"), 1);
    assert_eq!(count(&late["drops"], &[("reason", "invalid_json")], "count"), 1);
    assert_eq!(
        late["rooms"]["list"][0],
        json!({
            "name": "arena", "rules": "battle", "players": 3, "absent": 0, "bots": 0,
            "players_max": 2_000,
        })
    );
    // Every client has sent and received something, and pages and handshakes are of no dialect.
    for (direction, name) in [("sent", "sent"), ("received", "received")] {
        let mut sum = 0;
        for dialect in ["json", "socketio", "v1"] {
            let rows = &late["bytes"]["by_dialect"];
            let bytes = count(rows, &[("dialect", dialect)], direction);
            let series = format!("skirmish_client_{name}_bytes_total{{dialect=\"{dialect}\"}}");
            assert!(bytes > 0 && bytes <= server.metric(&series), "{series} {bytes}");
            sum += bytes;
        }
        assert!(sum < late["bytes"][direction].as_u64().expect("a number"), "{direction}");
    }
    let ticks: u64 = late["ticks"]["work"]["counts"]
        .as_array()
        .expect("buckets")
        .iter()
        .filter_map(Value::as_u64)
        .sum();
    assert!(ticks > 0 && ticks.abs_diff(late["ticks"]["total"].as_u64().expect("a number")) <= 1);
    let kinds = late["held"]["by_kind"].as_array().expect("rows");
    let held: u64 = kinds.iter().filter_map(|row| row["count"].as_u64()).sum();
    assert_eq!(late["held"]["bytes"], held);
}
