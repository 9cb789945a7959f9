//! `skirmish load` as the operator uses it: the real tool against the real server.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Game, command, until};

/// What the tool says about players of whom none is let in: nothing on standard output.
fn refused(url: &str) -> String {
    let output = command().args(["load", url, "--clients", "500"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_server_that_lets_nobody_in_is_quoted_and_not_measured() {
    let game = Game::start(&["--rooms-open", "false", "--room", "lobby=dots"]);
    for (room, words) in [
        ("Big", "handshake status 400, \"A room's name is 1 to 32 of a-z 0-9 _ -.\""),
        ("attic", "closed 1008, \"There is no such room here.\""),
    ] {
        let said = refused(&format!("ws://{}/?room={room}", game.addr));
        assert!(said.contains(words) && said.contains("none of "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let tried = game.metric("skirmish_accepted_total");
    assert!(tried < 400, "{tried} connections for a thousand players");
}

#[test]
fn ctrl_c_ends_the_measurement_and_not_the_report() {
    let game = Game::start(&[]);
    let url = format!("ws://{}/", game.addr);
    let tool = command()
        .args(["load", &url, "--clients", "10", "--seconds", "3600", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    game.until_metric("skirmish_players", 10);
    let ticks = game.metric("skirmish_ticks_total");
    // A second to settle, and a second of measurement.
    until("it measures", || (game.metric("skirmish_ticks_total") > ticks + 40).then_some(()));
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
