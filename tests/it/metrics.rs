//! `/metrics` while players of each dialect are in, parsed strictly, and the log lines of their
//! joins and leaves.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use skirmish::server::{ConnId, ListenerKind};

use crate::files::Folder;
use crate::harness::{Peer, TestServer, until};
use crate::resume::Player;
use crate::sim::SimRng;
use crate::sim::fixture::{Fixture, handshake, text};
use crate::sim::requests::upgrading;
use crate::socketio_battle::player::{Link, SocketIoPlayer, Transport};
use crate::states::{state, tick};
use crate::v1::play::Client;

/// The units in which no series may be: those of seconds, bytes and so on are the base units.
const OTHER_UNITS: &[&str] = &["ms", "us", "millis", "minutes", "kib", "mib", "kb", "mb"];

/// A family of series.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    /// The samples of a histogram have the name of the series, too, as the label "".
    pub samples: Vec<(Labels, f64)>,
}

pub type Labels = BTreeMap<String, String>;

/// What `/metrics` has returned.
pub struct Families(pub BTreeMap<String, Family>);

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_part)
}

/// The labels after `{`, and what follows the `}`.
fn labels(mut rest: &str) -> (Labels, &str) {
    let mut found = Labels::new();
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label has a value in quotes");
        assert!(is_name(name), "{name:?} is not the name of a label");
        let mut text = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("a value ends with a quote") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("an escape has two characters").1 {
                    'n' => text.push('\n'),
                    c @ ('\\' | '"') => text.push(c),
                    c => panic!("\\{c} is not an escape"),
                },
                (_, c) => text.push(c),
            }
        };
        assert_eq!(found.insert(name.to_owned(), text), None, "{name} is there twice");
        rest = &value[end + 1..];
        match rest.split_at(1) {
            (",", next) => rest = next,
            ("}", next) => return (found, next),
            _ => panic!("{rest:?} follows a label"),
        }
    }
}

impl Families {
    /// Parses the text format 0.0.4, and checks what `promtool check metrics` does.
    pub fn parse(text: &str) -> Families {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        let lines = text.strip_suffix('\n').expect("the last line ends");
        for line in lines.split('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("HELP has a text");
                assert!(is_name(name) && help.ends_with('.') && !help.contains(name), "{line}");
                if let Some(last) = families.get(&current) {
                    assert!(!last.samples.is_empty(), "{current} has no samples");
                }
                name.clone_into(&mut current);
                let family = families.insert(current.clone(), Family::default());
                assert!(family.is_none(), "{name} is there twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("TYPE has a type");
                assert_eq!(name, current, "TYPE follows HELP");
                let family = families.get_mut(&current).expect("HELP comes first");
                assert!(family.kind.is_empty() && family.samples.is_empty(), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                kind.clone_into(&mut family.kind);
            } else {
                let end = line.find(['{', ' ']).expect("a sample has a value");
                let (name, rest) = line.split_at(end);
                let (mut labels, rest) = match rest.strip_prefix('{') {
                    Some(rest) => labels(rest),
                    None => (Labels::new(), rest),
                };
                let value = rest.strip_prefix(' ').expect("a space");
                let value: f64 = value.parse().expect("a number without a time");
                assert!(value.is_finite(), "{line}");
                let family = families.get_mut(&current).expect("a family comes first");
                match family.kind.as_str() {
                    "histogram" => {
                        let part = name.strip_prefix(&current).expect("its samples are contiguous");
                        assert!(["_bucket", "_sum", "_count"].contains(&part), "{line}");
                        assert_eq!(labels.contains_key("le"), part == "_bucket", "{line}");
                        labels.insert(String::new(), part.to_owned());
                    }
                    _ => assert!(name == current && !labels.contains_key("le"), "{line}"),
                }
                assert!(family.kind != "counter" || value >= 0.0, "{line}");
                assert!(family.samples.iter().all(|(have, _)| *have != labels), "twice: {line}");
                family.samples.push((labels, value));
            }
        }
        let families = Families(families);
        families.check();
        families
    }

    fn check(&self) {
        for (name, family) in &self.0 {
            let words: Vec<&str> = name.split('_').collect();
            assert!(["skirmish", "process"].contains(&words[0]), "{name}");
            assert!(OTHER_UNITS.iter().all(|unit| !words.contains(unit)), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
            let reserved = ["_bucket", "_sum", "_count"];
            assert!(reserved.iter().all(|suffix| !name.ends_with(suffix)), "{name}");
            let label_names = |labels: &Labels| labels.keys().cloned().collect::<Vec<_>>();
            if family.kind == "histogram" {
                family.check_histogram(name);
            } else {
                let first = label_names(&family.samples[0].0);
                let is_same = |(labels, _): &(Labels, f64)| label_names(labels) == first;
                assert!(family.samples.iter().all(is_same), "{name} has other labels");
            }
        }
    }

    pub fn scrape(server: &TestServer) -> Families {
        let answer = Peer::connect(server.addr).get("/metrics");
        let kind = answer.field("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        Families::parse(&answer.text())
    }

    /// The sum of the samples with these labels.
    pub fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let family = self.0.get(name).unwrap_or_else(|| panic!("no {name}"));
        let fits = |labels: &Labels| {
            wanted.iter().all(|(name, value)| labels.get(*name).is_some_and(|have| have == value))
        };
        family.samples.iter().filter(|(labels, _)| fits(labels)).map(|(_, value)| value).sum()
    }

    /// The values of a label, over all families.
    pub fn label_values(&self, label: &str) -> BTreeSet<&str> {
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples.filter_map(|(labels, _)| labels.get(label)).map(String::as_str).collect()
    }

    /// The names of the labels of a family.
    pub fn label_names(&self, name: &str) -> BTreeSet<&str> {
        let labels = self.0[name].samples.iter().flat_map(|(labels, _)| labels.keys());
        labels.map(String::as_str).filter(|label| !["", "le"].contains(label)).collect()
    }
}

impl Family {
    fn check_histogram(&self, name: &str) {
        #[derive(Default)]
        struct Series {
            buckets: Vec<(f64, f64)>,
            sum: Option<f64>,
            count: Option<f64>,
        }
        let mut by_labels: BTreeMap<Labels, Series> = BTreeMap::new();
        for (labels, value) in &self.samples {
            let mut labels = labels.clone();
            let part = labels.remove("").expect("each has its part");
            let bound = labels.remove("le");
            let series = by_labels.entry(labels).or_default();
            match (&*part, bound) {
                ("_sum", None) => series.sum = Some(*value),
                ("_count", None) => series.count = Some(*value),
                (_, bound) => {
                    let bound = bound.expect("a bucket has a bound").replace("+Inf", "inf");
                    series.buckets.push((bound.parse().expect("a bound is a number"), *value));
                }
            }
        }
        for (labels, Series { buckets, sum, count }) in by_labels {
            let grows = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(buckets.windows(2).all(grows), "{name}{labels:?}: {buckets:?}");
            let (last, total) = *buckets.last().expect("it has buckets");
            assert!(last.is_infinite(), "{name}{labels:?} has no +Inf");
            assert_eq!(Some(total), count, "{name}{labels:?}");
            assert!(sum.is_some_and(|sum| sum >= 0.0), "{name}{labels:?}");
        }
    }
}

const SOCKETIO: [Transport; 3] = [Transport::WebSocket, Transport::Polling, Transport::Upgrade];

/// A player of each dialect over each transport: that of skirmish.v1 in dots, the others in battle.
fn players(server: &TestServer) -> (Peer, Client, [SocketIoPlayer; 3]) {
    let (json, _) = Peer::join(server.addr, "/ws?room=battle");
    let v1 = Client::join(server.addr, "/ws?room=dots");
    let join = |transport| SocketIoPlayer::join(server, transport, &json!({})).0;
    (json, v1, SOCKETIO.map(join))
}

// T52
#[test]
fn players_and_rooms_are_counted_by_what_they_use() {
    let server = TestServer::start(&["--rooms-max", "7", "--connections-max", "100"]);
    let before = Families::scrape(&server);
    let players = players(&server);
    let after = Families::scrape(&server);
    let names = |families: &Families| -> Vec<(String, usize)> {
        families.0.iter().map(|(name, it)| (name.clone(), it.samples.len())).collect()
    };
    assert_eq!(names(&before), names(&after), "no player makes a series");

    let by = |rules, dialect, transport| {
        let labels = [("rules", rules), ("dialect", dialect), ("transport", transport)];
        after.sum("skirmish_players_by", &labels)
    };
    assert_eq!(by("battle", "json", "websocket"), 1.0);
    assert_eq!(by("dots", "v1", "websocket"), 1.0);
    assert_eq!(by("battle", "socketio", "websocket"), 2.0);
    assert_eq!(by("battle", "socketio", "polling"), 1.0);
    assert_eq!(after.sum("skirmish_players_by", &[]), 5.0);
    assert_eq!(after.sum("skirmish_players", &[]), 5.0);
    for (rules, rooms) in [("battle", 1.0), ("dots", 1.0), ("world", 0.0)] {
        assert_eq!(after.sum("skirmish_rooms_by", &[("rules", rules)]), rooms, "{rules}");
    }
    for (name, limit) in [("rooms_max", 7.0), ("connections_max", 100.0), ("view_bytes", 1_200.0)] {
        assert_eq!(after.sum("skirmish_limit", &[("name", name)]), limit, "{name}");
    }
    for dialect in ["json", "socketio", "v1"] {
        let sent = after.sum("skirmish_client_sent_bytes_total", &[("dialect", dialect)]);
        assert!(sent > 0.0, "{dialect}");
    }
    // Handshakes and metrics are of no dialect.
    let of_clients = after.sum("skirmish_client_sent_bytes_total", &[]);
    assert!(of_clients < after.sum("skirmish_sent_bytes_total", &[]));
    let posted = after.sum("skirmish_client_received_bytes_total", &[("dialect", "socketio")]);
    assert!(posted > 0.0);
    let world = after.sum("skirmish_room_players_limit", &[("rules", "world")]);
    assert_eq!(world, 65_535.0);
    drop(players);
}

/// What all random names begin with, and nothing in the metrics.
const MARK: &str = "zqx";

/// A name that has not been there before: for a room, in a query, and with any characters.
fn plain_name(rng: &mut SimRng) -> String {
    format!("{MARK}{:016x}", rng.random::<u64>())
}

fn any_name(rng: &mut SimRng) -> String {
    let special = ["", "\"", "\\", "\n", "{}", "\u{e9}", "=\",", " 1\n# HELP "];
    format!("{}{}", plain_name(rng), special[rng.random_range(0..special.len())])
}

/// All series with their labels.
fn series(fixture: &mut Fixture, operator: ConnId) -> (Families, BTreeSet<(String, Labels)>) {
    fixture.send(operator, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = String::from_utf8(fixture.take(operator)).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    assert!(!body.contains(MARK) && !body.contains("198.18."), "{body}");
    let families = Families::parse(body);
    let all = families.0.iter().flat_map(|(name, family)| {
        family.samples.iter().map(|(labels, _)| (name.clone(), labels.clone()))
    });
    let all = all.collect();
    (families, all)
}

/// Connects from an address of its own. All addresses together may join 250 times a second.
fn open(fixture: &mut Fixture, number: usize) -> ConnId {
    if number.is_multiple_of(10) {
        fixture.tick();
    }
    fixture.open(&format!("198.18.{}.{}", number / 250, number % 250))
}

// T52
#[test]
fn ten_thousand_names_paths_and_rooms_of_clients_make_no_series() {
    const CLIENTS: usize = 100;
    const EVENTS: usize = 100;
    const ROOMS: usize = 2_000;
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut rng = SimRng::seed_from_u64(52);
    let admin = fixture.server.open([127, 0, 0, 1].into(), ListenerKind::Admin, fixture.now);
    let operator = admin.expect("a place");
    let (_, before) = series(&mut fixture, operator);

    // Types of JSON messages and names of events, each within the rate.
    let clients: Vec<ConnId> = (0..CLIENTS)
        .map(|number| {
            let id = open(&mut fixture, number);
            if number % 2 == 0 {
                fixture.send(id, &handshake("/ws?room=dots"));
            } else {
                fixture.send(id, &upgrading(""));
                fixture.send(id, &text(r#"40{"room":"battle"}"#));
            }
            assert!(fixture.take(id).starts_with(b"HTTP/1.1 101 "));
            id
        })
        .collect();
    for _ in 0..EVENTS {
        fixture.tick();
        for (number, id) in clients.iter().enumerate() {
            let name = json!(any_name(&mut rng));
            let message = match number % 2 {
                0 => format!(r#"{{"type":{name}}}"#),
                _ => format!("42[{name},{name}]"),
            };
            fixture.send(*id, &text(&message));
            fixture.take(*id);
        }
    }
    let (families, after) = series(&mut fixture, operator);
    let unknown = families.sum("skirmish_drops_total", &[("reason", "unknown")]);
    assert_eq!(unknown, (CLIENTS * EVENTS) as f64, "each was read");
    assert_eq!(before, after);

    // Namespaces, which have a rate of their own.
    for id in clients.iter().skip(1).step_by(2) {
        for _ in 0..8 {
            let namespace = plain_name(&mut rng);
            fixture.send(*id, &text(&format!("40/{namespace},")));
            let answer = fixture.take(*id);
            assert!(String::from_utf8_lossy(&answer).contains("44/zqx"), "{answer:?}");
        }
    }
    // Paths, queries, methods and fields of requests.
    let reader = fixture.open("127.0.0.1");
    for number in 0..10_000 {
        let name = plain_name(&mut rng);
        let line = match number % 4 {
            0 => format!("GET /{name}"),
            1 => format!("GET /{name}/{number}.html?{name}={number}"),
            2 => format!("GET /socket.io/?EIO=4&transport={name}"),
            _ => format!("GET /{name}%22%7d"),
        };
        let fields = format!("Host: localhost:8765\r\n{name}: {number}\r\nUser-Agent: {name}");
        fixture.send(reader, format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
        let answer = fixture.take(reader);
        let status = if number % 4 == 2 { "400" } else { "404" };
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{line}");
    }
    // Rooms, names of players, and addresses.
    for number in 0..ROOMS {
        let id = open(&mut fixture, CLIENTS + number);
        let (room, player) = (plain_name(&mut rng), plain_name(&mut rng));
        fixture.send(id, &handshake(&format!("/?room={room}&name={player}")));
        assert!(fixture.take(id).starts_with(b"HTTP/1.1 101 "));
        if number % 100 > 0 {
            fixture.server.peer_closed(id, true, fixture.now);
        }
        clients.iter().for_each(|id| drop(fixture.take(*id)));
        fixture.server.take_ended(&mut Vec::new());
    }
    let (families, after) = series(&mut fixture, operator);
    assert_eq!(families.sum("skirmish_joins_total", &[]), (CLIENTS + ROOMS) as f64);
    assert_eq!(before, after);
}

#[test]
fn held_bytes_are_those_of_all_kinds_and_the_process_is_described() {
    let server = TestServer::start(&[]);
    let players = players(&server);
    let families = Families::scrape(&server);
    let all = families.sum("skirmish_held_bytes", &[]);
    assert_eq!(families.sum("skirmish_held_bytes_by", &[]), all);
    let of = |kind| families.sum("skirmish_held_bytes_by", &[("kind", kind)]);
    assert_eq!((of("players"), of("engineio_sessions")), (5.0 * 512.0, 3.0 * 1_024.0));
    assert_eq!((of("rooms"), of("tls")), (2.0 * 8_192.0, 0.0));
    assert_eq!(of("tokens"), 192.0, "skirmish.v1 can always resume");

    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(families.sum("skirmish_build_info", &version), 1.0);
    let process = |name: &str| families.sum(&format!("process_{name}"), &[]);
    // Sockets, the log, epoll and so on.
    assert!(process("open_fds") > families.sum("skirmish_connections", &[]));
    assert!(process("max_fds") >= process("open_fds"));
    let resident = process("resident_memory_bytes");
    assert!(resident > 1e6 && process("virtual_memory_bytes") >= resident);
    assert!(process("cpu_seconds_total") >= 0.0);
    assert!(process("start_time_seconds") > 1.6e9);
    drop(players);
}

#[test]
fn round_trips_and_ages_are_counted_of_clients_that_answer() {
    let server = TestServer::start(&["--ping-interval-ms", "100"]);
    let count = |name: &str, labels: &[(&str, &str)]| {
        let labels = [labels, &[("", "_count")]].concat();
        Families::scrape(&server).sum(&format!("skirmish_{name}"), &labels)
    };
    let ages = || count("acknowledged_age_ticks", &[]);
    let rtts = |source| count("rtt_seconds", &[("source", source)]);
    assert_eq!((ages(), rtts("acknowledgement"), rtts("engineio_ping")), (0.0, 0.0, 0.0));

    let (mut json, _) = Peer::join(server.addr, "/ws?room=dots");
    let tick = tick(&state(&mut json));
    let ack = format!(r#"{{"type":"ack","tick":{tick}}}"#);
    // The second one says nothing new.
    json.send_text(&ack);
    json.send_text(&ack);
    json.send_text(r#"{"type":"ping","t":1}"#);
    json.until_text(&["pong"]);
    assert_eq!((ages(), rtts("acknowledgement")), (1.0, 1.0));

    let mut v1 = Client::join(server.addr, "/ws?room=dots");
    v1.receive();
    v1.acknowledge();
    until("the acknowledgement of an INPUT", || (ages() == 2.0).then_some(()));
    assert_eq!(rtts("acknowledgement"), 2.0);

    let (socketio, _) = SocketIoPlayer::join(&server, Transport::WebSocket, &json!({}));
    let Link::WebSocket(mut peer) = socketio.link else { unreachable!("it was asked for") };
    until("a ping", || {
        let frame = peer.frame();
        (frame.first == 0x81 && frame.text() == "2").then_some(())
    });
    peer.send_text("3");
    until("the round trip of the ping", || (rtts("engineio_ping") == 1.0).then_some(()));
}

#[test]
fn writes_of_the_state_file_are_counted_and_those_that_fail() {
    let folder = Folder::new("state-metrics");
    let path = folder.0.join("skirmish.state");
    let path = path.to_str().expect("a plain path");
    let server = TestServer::start(&["--state", path, "--state-every-s", "1"]);
    let at_least_one = |name| until(name, || (server.metric(name) > 0).then_some(()));
    at_least_one("skirmish_state_writes_total");
    assert_eq!(server.metric("skirmish_state_write_failures_total"), 0);
    drop(folder);
    at_least_one("skirmish_state_write_failures_total");
}

/// The JSON log line of an event of a player.
fn line(server: &mut TestServer, message: &str, player: &str) -> Value {
    let player: u32 = player.parse().expect("a number");
    let end = format!(r#""message":"{message}""#);
    until(&format!("{message} {player}"), || {
        let lines = server.log().iter().filter(|line| line.contains(&end));
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.find(|line| line["player"] == player)
    })
}

/// Checks what a line says about the client and its connections.
fn check(line: &Value, reason: &str, dialect: &str, transport: &str) {
    assert_eq!((&line["reason"], &line["dialect"]), (&json!(reason), &json!(dialect)), "{line}");
    assert_eq!((&line["transport"], &line["peer"]), (&json!(transport), &json!("127.0.0.1")));
    assert!(line["duration_s"].as_f64().is_some_and(|s| (0.0..600.0).contains(&s)), "{line}");
}

#[test]
fn the_log_says_how_each_client_was_connected_and_why_it_left() {
    let mut server = TestServer::start(&["--log", "json"]);
    let (mut json, id) = Peer::join(server.addr, "/ws?room=dots");
    let joined = line(&mut server, "joined", &id);
    let of = |line: &Value| [&line["room"], &line["dialect"], &line["transport"]].map(Value::clone);
    assert_eq!(of(&joined), ["dots", "json", "websocket"].map(Value::from));
    let text = "x".repeat(1_000);
    json.send_text(&text);
    json.until_text(&["state_update"]);
    json.send_frame(0x88, &1000_u16.to_be_bytes());
    json.until_close();
    let left = line(&mut server, "left", &id);
    check(&left, "client_closed", "json", "websocket");
    let bytes = |line: &Value, name: &str| line[name].as_u64().expect("a number");
    let received = bytes(&left, "received_bytes");
    assert!((1_100..2_000).contains(&received), "the handshake and the message: {left}");
    // The response to the handshake, init and a state.
    assert!(bytes(&left, "sent_bytes") > 300, "{left}");

    let labels = ["websocket", "polling", "websocket"];
    for (transport, label) in SOCKETIO.into_iter().zip(labels) {
        let (mut player, id) = SocketIoPlayer::join(&server, transport, &json!({}));
        let joined = line(&mut server, "joined", &id);
        assert_eq!(of(&joined), ["battle", "socketio", label].map(Value::from));
        player.until_about("player_moved", &id);
        player.send(&format!("42[\"ping\",\"{text}\"]"));
        match player.link {
            Link::Polling(polling) => assert_eq!(polling.post("1").status, 200),
            Link::WebSocket(peer) => peer.reset(),
        }
        let left = line(&mut server, "left", &id);
        let reason = if label == "polling" { "client_closed" } else { "hung_up" };
        check(&left, reason, "socketio", label);
        assert!(bytes(&left, "received_bytes") > 1_000, "{left}");
        assert!(bytes(&left, "sent_bytes") > 100, "{left}");
    }
}

#[test]
fn the_log_says_how_long_an_absent_player_has_stayed() {
    let mut server = TestServer::start(&["--log", "json", "--resume-s", "1"]);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let id = ann.id.clone();
    // Another client takes the player over, and is lost then.
    let back = ann.come_back(server.addr);
    assert_eq!(back.id, id);
    check(&line(&mut server, "lost", &id), "replaced", "json", "websocket");
    let resumed = line(&mut server, "resumed", &id);
    assert_eq!(resumed["transport"], "websocket", "{resumed}");
    back.peer.reset();
    let left = line(&mut server, "left", &id);
    assert_eq!((&left["reason"], &left["peer"]), (&json!("absent"), &json!("127.0.0.1")));
    let stay = left["duration_s"].as_f64().expect("a number");
    assert!((1.0..600.0).contains(&stay), "the whole stay: {left}");
    let lost: Vec<&String> = server.log().iter().filter(|line| line.contains("\"lost\"")).collect();
    assert_eq!(lost.len(), 2, "{lost:?}");
}

#[test]
fn a_text_log_has_the_same_fields() {
    let mut server = TestServer::start(&[]);
    let (peer, id) = Peer::join(server.addr, "/ws?room=dots");
    peer.reset();
    let line = server.until_logged("left");
    let before = format!("left player={id} room=dots reason=\"hung_up\" duration_s=");
    assert!(line.contains(&before), "{line}");
    for field in [
        " peer=127.0.0.1 ",
        " received_bytes=",
        " sent_bytes=",
        " dialect=\"json\"",
        " transport=\"websocket\"",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
}

/// The bytes received from and sent to clients of each dialect.
fn bytes_by_dialect(server: &TestServer) -> BTreeMap<&'static str, [u64; 2]> {
    let of = |dialect, direction| {
        server.metric(&format!("skirmish_client_{direction}_bytes_total{{dialect=\"{dialect}\"}}"))
    };
    let both = |dialect| (dialect, [of(dialect, "received"), of(dialect, "sent")]);
    ["json", "socketio", "v1"].map(both).into()
}

/// One client plays, which has sent and received something.
fn assert_counts_only(server: &TestServer, dialect: &str) {
    let counts = until(&format!("{dialect} has bytes both ways"), || {
        let counts = bytes_by_dialect(server);
        counts[dialect].iter().all(|&bytes| bytes > 0).then_some(counts)
    });
    for (other, bytes) in counts.iter().filter(|(other, _)| **other != dialect) {
        assert_eq!(*bytes, [0, 0], "{other} has the bytes of {dialect}");
    }
}

#[test]
fn bytes_count_for_the_dialect_of_their_client_only() {
    let server = TestServer::start(&[]);
    let (mut json, _) = Peer::join(server.addr, "/ws?room=arena&rules=battle");
    json.send_text(r#"{"type":"move","direction":"UP"}"#);
    assert_counts_only(&server, "json");

    let server = TestServer::start(&[]);
    let mut v1 = Client::join(server.addr, "/ws?room=arena&rules=battle");
    v1.receive();
    v1.acknowledge();
    assert_counts_only(&server, "v1");

    for transport in [Transport::Polling, Transport::WebSocket, Transport::Upgrade] {
        let server = TestServer::start(&[]);
        let auth = json!({ "room": "arena" });
        let (mut socketio, _) = SocketIoPlayer::join(&server, transport, &auth);
        socketio.send(r#"42["move",{"direction":"UP"}]"#);
        assert_counts_only(&server, "socketio");
    }
}
