//! `skirmish load` as an operator uses it: the real tool against the real server.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{TestServer, command, until};

/// The tool's error when the server admits no player; it prints nothing to standard output.
fn refused(url: &str) -> String {
    // A slow ramp, so that the players it does not start can be counted despite delays.
    let flags = ["--clients", "500", "--ramp-hz", "50"];
    let output = command().args(["load", url]).args(flags).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_server_without_admissions_is_quoted_and_not_measured() {
    let game = TestServer::start(&["--rooms-open", "false", "--room", "lobby=dots"]);
    for (room, words) in [
        ("Big", "handshake status 400, \"Invalid room name: use 1 to 32 of a-z 0-9 _ -.\""),
        ("attic", "closed 1008, \"This server has no such room.\""),
    ] {
        let said = refused(&format!("ws://{}/?room={room}", game.addr));
        assert!(said.contains(words) && said.contains("none of "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let tried = game.metric("skirmish_accepted_total");
    assert!(tried < 400, "{tried} connections tried");
}

#[test]
fn a_socketio_refusal_is_quoted_too() {
    let game = TestServer::start(&["--rooms-open", "false", "--room", "lobby=battle"]);
    for (transport, room, words) in [
        ("websocket", "attic", "refused by the server, \"This server has no such room.\""),
        ("polling", "attic", "refused by the server, \"This server has no such room.\""),
    ] {
        let url = format!("http://{}/?room={room}", game.addr);
        let flags = ["--dialect", "socketio", "--transport", transport, "--clients", "30"];
        let output = command().args(["load", &url]).args(flags).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(said.contains(words) && said.contains("none of "), "{said}");
    }
}

/// A run with 12 players in two rooms over one transport, with duels.
fn battle(game: &TestServer, transport: &str) -> Child {
    let url = format!("http://{}/?name={transport}", game.addr);
    command()
        .args(["load", &url, "--dialect", "socketio", "--transport", transport, "--json"])
        .args(["--clients", "12", "--room-players", "6", "--probes", "4", "--seconds", "4"])
        .args(["--moves-hz", "10", "--attacks-hz", "3", "--acks", "all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts")
}

#[test]
fn socket_io_is_measured_over_every_transport() {
    let transports = ["polling", "websocket", "upgrade"];
    // Each run has its own server: the room names are the same, and other players would disturb the
    // duels.
    let runs = transports.map(|transport| {
        let game = TestServer::start(&[]);
        let tool = battle(&game, transport);
        (transport, game, tool)
    });
    for (transport, game, tool) in runs {
        let output = tool.wait_with_output().expect("the tool ends");
        assert_eq!(output.status.code(), Some(0), "{transport}: {output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        let count = |of: &serde_json::Value| of.as_u64().expect("a count");
        assert_eq!((count(&report["connected"]), count(&report["lost"])), (12, 0), "{report}");
        assert!(count(&report["probes_visible"]) > 0, "{report}");
        assert!(report["states_per_s"]["min"].as_f64().expect("a rate") > 0.0, "{report}");
        let socketio = &report["socketio"];
        assert_eq!(socketio["transport"], transport);
        let acks = &socketio["acks"];
        assert!(count(&acks["asked"]) > 0 && acks["asked"] == acks["answered"], "{report}");
        let hits = &socketio["hits"];
        assert_eq!(count(&hits["duels"]), 2, "{report}");
        assert!(count(&hits["seen"]) > 0 && count(&socketio["received_hits"]) > 0, "{report}");
        // Every position reaches all 6 players of the room; the window cuts off a few at both ends.
        let own = count(&socketio["received_moved_self"]);
        let all = count(&socketio["received_moved"]);
        assert!(own > 0 && all.abs_diff(6 * own) <= all / 10, "{report}");
        game.until_metric("skirmish_players", 0);
    }
}

#[test]
fn skirmish_v1_is_measured_and_verified() {
    let game = TestServer::start(&[]);
    let url = format!("ws://{}/?room=dots", game.addr);
    let output = command()
        .args(["load", &url, "--dialect", "v1", "--clients", "10", "--seconds", "2", "--json"])
        .args(["--expect", "checks>=10", "--expect", "check_errors<1", "--expect", "resyncs<1"])
        .args(["--expect", "bytes_per_tick<90", "--expect", "turn_p50>0"])
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let count = |of: &serde_json::Value| of.as_u64().expect("a count");
    assert_eq!((count(&report["connected"]), count(&report["lost"])), (10, 0), "{report}");
    assert!(count(&report["probes_visible"]) > 0, "{report}");
    let v1 = &report["v1"];
    assert_eq!((count(&v1["observers"]), count(&v1["malformed"])), (10, 0), "{report}");
    // Each player has asked about all players.
    assert!(v1["join_roster_bytes"].as_f64() > Some(10.0 * 11.0), "{report}");
    game.until_metric("skirmish_players", 0);
}

#[test]
fn skirmish_v1_and_json_are_measured_in_one_room() {
    let game = TestServer::start(&[]);
    let url = format!("ws://{}/", game.addr);
    let output = command()
        .args(["load", &url, "--mix", "json=1,v1=2", "--room-players", "12", "--json"])
        .args(["--clients", "12", "--seconds", "1", "--attacks-hz", "1", "--deflate"])
        .args(["--expect", "check_errors<1", "--expect", "resyncs<1"])
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    for (group, clients) in [("json", 4), ("v1", 8)] {
        let figures = &report["groups"][group];
        assert_eq!(figures["clients"], clients, "{report}");
        assert!(figures["probes_visible"].as_u64() > Some(0), "{report}");
        assert!(figures["states_per_s"]["min"].as_f64() > Some(0.0), "{report}");
    }
    assert_eq!(report["v1"]["malformed"], 0, "{report}");
    game.until_metric("skirmish_players", 0);
}

#[test]
fn dialects_churn_and_slow_readers_are_measured_in_one_run() {
    let game = TestServer::start(&[]);
    let url = format!("ws://{}/", game.addr);
    let output = command()
        .args(["load", &url, "--mix", "json=2,socketio=1", "--room-players", "12", "--json"])
        .args(["--clients", "24", "--probes", "6", "--seconds", "5", "--pattern", "straight"])
        .args(["--churn-hz", "10", "--slow-readers", "4"])
        .args(["--expect", "lost<1", "--expect", "slow_latency_p99 < 0", "--expect", "gap_p50>0"])
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.starts_with("skirmish: expectation not met: slow_latency_p99<0: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let count = |of: &serde_json::Value| of.as_u64().expect("a count");
    assert_eq!((count(&report["connected"]), count(&report["lost"])), (24, 0), "{report}");
    for (group, clients, probes) in [("json", 16, 4), ("socketio", 8, 2), ("slow", 4, 0)] {
        let figures = &report["groups"][group];
        assert_eq!((count(&figures["clients"]), count(&figures["probes"])), (clients, probes));
        assert_eq!((count(&figures["connected"]), count(&figures["lost"])), (clients, 0));
        assert!(figures["received_bytes_per_s"].as_f64() > Some(0.0), "{report}");
        assert!(count(&figures["probes_visible"]) > 0, "{report}");
    }
    // A pause shows in the gaps of the slow readers, and nowhere else.
    assert!(report["groups"]["slow"]["state_gap_ms"]["max"].as_f64() > Some(1_900.0), "{report}");
    assert!(count(&report["churn"]["left"]) > 0, "{report}");
    assert!(count(&report["churn"]["joined"]) > 0, "{report}");
    game.until_metric("skirmish_players", 0);
}

#[test]
fn the_limit_is_found_and_named() {
    let game = TestServer::start(&[]);
    let url = format!("ws://{}/", game.addr);
    // A state grows with the players, so the bytes do not depend on the speed of this machine.
    let output = command()
        .args(["load", &url, "--find-limit", "--clients", "1", "--seconds", "0.5", "--json"])
        .args(["--probes", "0", "--expect", "states_min>=0", "--expect", "gap_p99<1e9"])
        .args(["--expect", "bytes_per_player<2300"])
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    check_comparison(&game, &output.stdout);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let limit = &report["limit"];
    let (kept, broken) = (limit["clients"].as_u64(), limit["broken_at"].as_u64());
    assert!(kept >= Some(1) && kept < broken && broken <= Some(16), "{report}");
    let broke = limit["broke"][0].as_str().expect("a reason");
    assert!(broke.starts_with("bytes_per_player<2300: "), "{report}");
    assert_eq!(report["clients"].as_u64(), kept);
    assert!(report["steps"].as_array().is_some_and(|steps| steps.len() >= 2), "{report}");
}

/// A printed report is compared with a new run on a page.
fn check_comparison(game: &TestServer, printed: &[u8]) {
    let folder = std::env::temp_dir().join(format!("skirmish-load-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (earlier, page) = (folder.join("earlier.json"), folder.join("page.html"));
    fs::write(&earlier, printed).expect("a file");
    let url = format!("ws://{}/", game.addr);
    let pid = game.pid().to_string();
    let output = command()
        .args(["load", &url, "--clients", "2", "--seconds", "0.1", "--pid", &pid, "--report"])
        .args([&page, Path::new("--compare"), &earlier])
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains("earlier run") && html.contains("--find-limit"), "{html}");
    assert!(html.ends_with("</html>\n") && html.contains("id=\"memory-data\""), "{html}");
    fs::remove_dir_all(&folder).expect("the folder is there");
}

#[test]
fn a_page_that_cannot_be_made_is_refused_before_the_run() {
    for (flags, said) in [
        (&["--report", "/nowhere/page.html"][..], "The folder /nowhere of --report does not exist"),
        (
            &["--report", "page.html", "--compare", "/nowhere/run.json"],
            "Cannot read the report /nowhere/run.json",
        ),
        (&["--report", "page.html", "--compare", "Cargo.toml"], "name a file with what --json"),
    ] {
        let output = command().args(["load", "ws://127.0.0.1:1/"]).args(flags).output();
        let output = output.expect("the tool runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let sentence = String::from_utf8(output.stderr).expect("text");
        assert!(sentence.contains(said), "{sentence}");
    }
}

#[test]
fn players_that_are_all_probes_cannot_leave() {
    let game = TestServer::start(&[]);
    let url = format!("ws://{}/", game.addr);
    let flags = ["--clients", "5", "--churn-hz", "1"];
    let output = command().args(["load", &url]).args(flags).output().expect("the tool runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("--churn-hz needs players that are neither probes"), "{said}");
}

#[test]
fn ctrl_c_ends_the_measurement_and_prints_the_report() {
    let game = TestServer::start(&[]);
    let url = format!("ws://{}/", game.addr);
    let tool = command()
        .args(["load", &url, "--clients", "10", "--seconds", "3600", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    game.until_metric("skirmish_players", 10);
    let ticks = game.metric("skirmish_ticks_total");
    // One second to settle, and one second of measurement.
    until("the measurement runs", || {
        (game.metric("skirmish_ticks_total") > ticks + 40).then_some(())
    });
    let pid = Pid::from_raw(tool.id() as i32).expect("a pid is positive");
    kill_process(pid, Signal::INT).expect("the tool is there");
    let output = tool.wait_with_output().expect("the tool ends");
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!((&report["connected"], &report["lost"]), (&10.into(), &0.into()), "{report}");
    assert!(report["measured_s"].as_f64().is_some_and(|s| s > 0.0 && s < 3600.0), "{report}");
    assert!(report["warnings"].to_string().contains("stopped"), "{report}");
    game.until_metric("skirmish_players", 0);
}
