//! How the server starts and stops, and what it prints when it cannot.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use skirmish::limits::CONNECTION_BYTES;

use crate::files::Folder;
use crate::harness::{
    Peer, TestServer, WAIT_MAX, between, command, handshake, request, start_and_stop, until,
};

fn tick_of(state: &str) -> u64 {
    between(state, "\"tick\":", "}").parse().expect("a number")
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    command().args(args).envs(env.iter().copied()).output().expect("it runs")
}

/// Asserts that the server refuses to start: exit code 2 and one sentence.
fn assert_refused(args: &[&str], env: &[(&str, &str)], part: &str) {
    let output = run(args, env);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(said.starts_with("skirmish: ") && said.contains(part), "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_failure_to_start_is_explained_in_one_sentence() {
    assert_refused(&["--prot", "1"], &[], "--prot");
    assert_refused(&["--port", "99999"], &[], "99999");
    assert_refused(&["--www", "/no/such/folder"], &[], "/no/such/folder");
    assert_refused(&["--socketio-client", "/no/such/file.js"], &[], "/no/such/file.js");
    assert_refused(&["--socketio-client", "/proc"], &[], "/proc is not a file");
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/www/index.html");
    assert_refused(&["--socketio-client", other], &[], "it is not the Socket.IO client");
    assert_refused(&["--socketio-client", "/dev/null"], &[], "/dev/null is not a file");
    assert_refused(&["--room", "lobby=chess", "--port", "0"], &[], "chess");
    assert_refused(&["--listen", "192.0.2.1:0"], &[], "192.0.2.1:0");
    assert_refused(&["--port", "0", "--admin-listen", "192.0.2.1:0"], &[], "--admin-listen");
    assert_refused(&["--trusted-proxy", "nginx"], &[], "--trusted-proxy");
    assert_refused(&["--proxy-protocol"], &[], "add --trusted-proxy CIDR");
    assert_refused(&[], &[("SKIRMISH_PROXY_PROTOCOL", "true")], "add --trusted-proxy CIDR");
    assert_refused(&[], &[("SKIRMISH_TRUSTED_PROXY", "127.0.0.1,10.0.0.0/33")], "10.0.0.0/33");
    assert_refused(&[], &[("PORT", "http")], "PORT");
    assert_refused(&[], &[("SKIRMISH_ROOMS_MAX", "many")], "many");
    assert_refused(&["load", "--clients", "none"], &[], "see skirmish load --help");
    assert_refused(
        &["--port", "http"],
        &[],
        "invalid value \"http\" for --port: expected a whole number",
    );
    let env = [("SKIRMISH_PORT", "http")];
    assert_refused(&[], &env, "invalid value \"http\" for SKIRMISH_PORT (--port): expected");
    assert_refused(&["serve"], &env, "for SKIRMISH_PORT (--port): ");
    let map = "invalid value \"9x9\" for --map: expected WIDTHxHEIGHT, each from 100 to 65535";
    assert_refused(&["--map", "9x9"], &env, map);
    assert_refused(&["--port", "-1"], &env, "skirmish: invalid value \"-1\" for --port");
    assert_refused(
        &[],
        &[("SKIRMISH_ECHO", "maybe")],
        "invalid value \"maybe\" for SKIRMISH_ECHO (--echo)",
    );
    let both = [("SKIRMISH_PORT", "1"), ("SKIRMISH_LISTEN", "127.0.0.1:2")];
    assert_refused(&[], &both, "unset SKIRMISH_PORT");
    // This file is unreadable even for root; some containers lack it.
    let folder = "/proc/sys/net/ipv4/route";
    if std::fs::exists(format!("{folder}/flush")).is_ok_and(|is_there| is_there) {
        assert_refused(&["--www", folder], &[], "route/flush: Permission denied");
        let file = "/proc/sys/net/ipv4/route/flush";
        assert_refused(&["--socketio-client", file], &[], "cannot read /proc/sys");
    }
}

#[test]
fn a_variable_that_is_not_text_is_named() {
    let value = OsStr::from_bytes(b"\xff");
    let output = command().env("SKIRMISH_DRAIN_S", value).output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the value of SKIRMISH_DRAIN_S is not valid UTF-8"), "{said}");
}

#[test]
fn empty_variables_are_ignored_and_misspelled_ones_logged() {
    let empty = ["LISTEN", "HOST", "DRAIN_S", "ECHO", "ROOM", "PORT", "LOG", "LIMIT_LOOPBACK"];
    let names = empty.map(|name| format!("SKIRMISH_{name}"));
    let mut env: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    env.extend([("SKIRMISH_LISTN", "x"), ("SKIRMISH_SIM_SEEDS", "1")]);
    for args in [&["--port", "0"][..], &["serve", "--port", "0"]] {
        let (startup, log) = start_and_stop(args, &env);
        assert!(startup.contains("is listening") && startup.contains("localhost"), "{startup}");
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains("SKIRMISH_LISTN"), "{log}");
    }
}

#[test]
fn a_flag_overrides_a_variable() {
    let flags = ["--listen", "127.0.0.1:0", "--drain-s", "0"];
    let env = [("SKIRMISH_PORT", "1"), ("SKIRMISH_ECHO", "no"), ("SKIRMISH_LIMIT_LOOPBACK", "1")];
    let (startup, _) = start_and_stop(&flags, &env);
    assert!(startup.contains("is listening:\n  http://127.0.0.1:"), "{startup}");
    let env = [("SKIRMISH_LISTEN", "192.0.2.1:1"), ("SKIRMISH_ECHO", "yes")];
    let (startup, _) = start_and_stop(&["--port", "0"], &env);
    assert!(startup.contains("is echoing:\n  http://localhost:"), "{startup}");
    let wrong = [("SKIRMISH_ROOMS_MAX", "many")];
    let output = run(&["load", "--help"], &wrong);
    assert_eq!(output.status.code(), Some(0), "the load test reads no variables");
    let output = run(&["load", "ws://127.0.0.1:1/"], &wrong);
    assert_eq!(
        output.status.code(),
        Some(1),
        "the server's variables do not affect it: {output:?}"
    );
}

#[test]
fn the_log_shows_the_settings_and_the_limits_at_the_start() {
    let folder = std::env::temp_dir().join(format!("skirmish-empty-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let www = folder.to_str().expect("text");
    let flags = ["--log", "json", "--www", www, "--connections-max", "999999999"];
    let mut server = TestServer::start(&[&flags[..], &["--room-players-max", "65535"]].concat());
    let line = server.until_logged("\"started\"");
    let event: serde_json::Value = serde_json::from_str(&line).expect("one object a line");
    assert_eq!(event["version"], env!("CARGO_PKG_VERSION"));
    assert!(event["addrs"].to_string().contains(&server.addr.to_string()), "{line}");
    assert_eq!(event["room_players_max"], 1_500, "{line}");
    let connections_max = event["connections_max"].as_u64().expect("a number");
    assert!(connections_max < 999_999_999, "{line}");
    let warning = server.until_logged("the limit of file descriptors allows no more");
    assert!(warning.contains(&format!("\"connections_max\":{connections_max}")), "{warning}");
    assert!(server.until_logged("no index.html, so / is the built-in page").contains(www));

    std::fs::write(folder.join("index.html"), "Hello").expect("a file");
    server.signal(Signal::HUP);
    assert!(server.until_logged("pages reloaded").contains(www));
    assert_eq!(server.ask("GET /", "").text(), "Hello");
    std::fs::remove_dir_all(&folder).expect("created by this test");
    server.signal(Signal::HUP);
    assert!(server.until_logged("still serving the old ones").contains(www));
    assert_eq!(server.ask("GET /", "").text(), "Hello");
}

#[test]
fn a_refused_origin_is_logged_at_a_limited_rate() {
    for path in ["/", "/socket.io/?EIO=4&transport=websocket"] {
        let mut server = TestServer::start(&["--log-level", "warn"]);
        for _ in 0..20 {
            let mut peer = Peer::connect(server.addr);
            let origin = format!("\r\nOrigin: https://evil.example/{}\r\n", "x".repeat(500));
            let shake = String::from_utf8(handshake(server.addr, path)).expect("text");
            let shake = shake.replacen("\r\n", &origin, 1);
            peer.send(shake.as_bytes());
            assert_eq!(peer.answer(true).status, 403);
        }
        server.until_metric("skirmish_refusals_total{reason=\"origin\"}", 20);
        let line = server.until_logged("allow it with --allow-origin");
        assert!(line.contains("evil.example") && line.len() < 300, "{line}");
        server.signal(Signal::TERM);
        server.exit();
        let lines = server.log().iter().filter(|line| line.contains("--allow-origin")).count();
        assert_eq!(lines, 1, "one line in 20 s");
    }
}

#[test]
fn a_busy_port_is_explained_in_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    assert_refused(&["--listen", &addr], &[], &addr);
    assert_refused(&["--listen", &addr], &[], "in use");
    assert_refused(&["--listen", &addr], &[], "choose another address with --listen.");
    let port = addr.rsplit(':').next().expect("it has a port");
    assert_refused(&["--port", port], &[], "choose another port with --port.");
    let busy = ["--listen", "127.0.0.1:0", "--admin-listen", &addr];
    assert_refused(&busy, &[], &addr);
    assert_refused(&busy, &[], "is already in use; choose another with --admin-listen");
}

#[test]
fn help_and_version_are_printed() {
    for (args, part) in [
        (&["--help"][..], "skirmish load"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["load", "--help"], "--clients"),
        (&["serve", "--help"], "--room-players-max"),
    ] {
        let output = run(args, &[]);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(part), "{args:?}");
    }
}

#[test]
fn the_startup_message_lists_loopback_first() {
    let mut child = command()
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let lines: Vec<String> = stdout.lines().take(2).map(|line| line.expect("text")).collect();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(lines[0].starts_with("Skirmish "), "{lines:?}");
    assert!(lines[1].contains("http://localhost:"), "{lines:?}");
    assert!(lines[1].contains("ws://localhost:"), "{lines:?}");
}

#[test]
fn either_signal_ends_an_empty_server() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = TestServer::start(&[]);
        server.signal(signal);
        assert_eq!(server.exit().code(), Some(0), "{signal:?}");
    }
}

// T47, T55
#[test]
fn players_get_different_retry_times() {
    let mut server = TestServer::start(&[]);
    let mut players: Vec<Peer> = (0..20).map(|_| Peer::join(server.addr, "/").0).collect();
    server.signal(Signal::TERM);
    let mut hints: Vec<u64> = Vec::new();
    for player in &mut players {
        let (code, reason) = player.until_close();
        assert_eq!(code, Some(4012));
        let hint = between(&reason, "{\"retry_ms\":", "}").parse().expect("a number");
        hints.push(hint);
        player.send_frame(0x88, &1012u16.to_be_bytes());
        player.expect_end();
    }
    assert!(hints.iter().all(|hint| (500..6_000).contains(hint)), "{hints:?}");
    hints.sort_unstable();
    hints.dedup();
    assert!(hints.len() > 10, "the hints are spread: {hints:?}");
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn an_echo_gets_a_close_frame_at_the_end() {
    let mut server = TestServer::start(&["--echo"]);
    let mut peer = Peer::upgrade(server.addr, "/");
    server.signal(Signal::TERM);
    assert_eq!(peer.until_close().0, Some(4012));
    drop(peer);
    assert_eq!(server.exit().code(), Some(0));
}

// T47
#[test]
fn a_stalled_peer_does_not_delay_the_exit() {
    let mut server = TestServer::start(&["--drain-s", "0"]);
    let _silent: Vec<Peer> = (0..5).map(|_| Peer::join(server.addr, "/").0).collect();
    let _half_a_request = {
        let mut peer = Peer::connect(server.addr);
        peer.send(b"GET / HT");
        peer
    };
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn a_draining_server_refuses_players_and_a_second_signal_stops_it() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut server = TestServer::start(&["--drain-s", "3600"]);
        let (_player, _) = Peer::join(server.addr, "/");
        let mut kept_alive = Peer::connect(server.addr);
        assert_eq!(kept_alive.get("/healthz").status, 200);
        let _late = Peer::join(server.addr, "/");
        server.signal(Signal::TERM);
        server.until_metric("skirmish_draining", 1);
        let health = Peer::connect(server.addr).get("/healthz");
        assert_eq!(health.status, 503);
        assert!(health.field("retry-after").is_some());
        let mut late = Peer::connect(server.addr);
        late.send(&handshake(server.addr, "/"));
        let refused = late.answer(true);
        assert_eq!(refused.status, 503);
        assert!(refused.field("retry-after").is_some());
        kept_alive.expect_end();
        server.signal(signal);
        assert_eq!(server.exit().code(), Some(code));
    }
}

#[test]
fn a_restart_takes_the_same_port() {
    let mut server = TestServer::start(&[]);
    let addr = server.addr.to_string();
    let (mut player, _) = Peer::join(server.addr, "/");
    server.signal(Signal::TERM);
    assert_eq!(player.until_close().0, Some(4012));
    drop(player);
    assert_eq!(server.exit().code(), Some(0));
    let again = TestServer::start_on(&addr, &[]);
    let (_, id) = Peer::join(again.addr, "/");
    assert_eq!(id, "1");
}

#[test]
fn a_connection_over_the_limit_is_refused() {
    let server = TestServer::start(&["--connections-max", "2"]);
    let (first, _) = Peer::join(server.addr, "/");
    let (_second, _) = Peer::join(server.addr, "/");
    let mut third = Peer::upgrade(server.addr, "/");
    let (code, reason) = third.until_close();
    assert_eq!(code, Some(4013));
    assert!(reason.contains("retry_ms"), "{reason}");
    drop(third);
    drop(first);
    until("a place is free again", || {
        let mut peer = Peer::upgrade(server.addr, "/");
        (peer.frame().first == 0x81).then_some(())
    });
}

#[test]
fn the_soft_limit_of_file_descriptors_is_raised_to_the_hard_one() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let mut server = TestServer::start_with_soft_limit(64);
    let path = format!("/proc/{}/limits", server.pid());
    let limits = std::fs::read_to_string(path).expect("the server runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a row");
    let values: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    let hard = hard.map_or("unlimited".to_owned(), |hard| hard.to_string());
    assert_eq!(values, [&hard, &hard], "{line}");
    // The connection limit follows from it.
    let line = server.until_logged("started");
    let most: u64 =
        between(&format!("{line} "), "connections_max=", " ").parse().expect("a number");
    assert!(most > 64, "{line}");
}

#[test]
fn as_many_connections_are_allowed_as_take_half_of_the_memory() {
    let mut server = TestServer::start(&["--max-memory", "8M"]);
    let line = server.until_logged("started");
    let most: usize =
        between(&format!("{line} "), "connections_max=", " ").parse().expect("a number");
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX) as usize;
    assert!(most <= (8 << 20) / 2 / CONNECTION_BYTES, "{line}");
    assert!(most > 1_000 || hard < 2_000, "{line}");
}

// T24
#[test]
fn a_burst_of_connects_waits_in_the_backlog_and_is_served() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("Linux has it");
    let burst = most.trim().parse().map_or(500, |most: usize| most.min(500));
    let server = TestServer::start(&[]);
    // A stopped process accepts no connection, so all of them wait in the backlog.
    server.signal(Signal::STOP);
    let connect =
        || TcpStream::connect_timeout(&server.addr, WAIT_MAX).expect("the backlog has a place");
    let mut peers: Vec<Peer> = (0..burst).map(|_| Peer::over(connect())).collect();
    server.signal(Signal::CONT);
    for peer in &mut peers {
        peer.send(request(server.addr, "GET /healthz", "").as_bytes());
    }
    for peer in &mut peers {
        assert_eq!(peer.answer(true).status, 200);
    }
    // And the one that requests the metrics.
    assert_eq!(server.metric("skirmish_accepted_total"), burst as u64 + 1);
}

// T40
#[test]
fn running_out_of_file_descriptors_does_not_affect_players() {
    let mut server = TestServer::start(&[]);
    let (mut player, _) = Peer::join(server.addr, "/");
    let before = getrlimit(Resource::Nofile);
    let pid = Pid::from_raw(server.pid() as i32);
    let few = Rlimit { current: Some(40), maximum: before.maximum };
    prlimit(pid, Resource::Nofile, few).expect("it may be lowered");
    let crowd: Vec<Peer> = (0..100).map(|_| Peer::connect(server.addr)).collect();
    server.until_logged("cannot accept connections");
    // Twenty states in a row: one second of play without a missed tick.
    let mut tick = tick_of(&player.until_text(&["tick"]));
    for _ in 0..20 {
        let next = tick_of(player.frame().text());
        assert_eq!(next, tick + 1);
        tick = next;
    }
    prlimit(pid, Resource::Nofile, before).expect("it may be raised");
    let (_late, _) = Peer::join(server.addr, "/");
    let backoffs = server.metric("skirmish_accept_backoffs_total");
    let ticks = server.metric("skirmish_ticks_total");
    assert!((1..=ticks).contains(&backoffs), "{backoffs} accepts failed in {ticks} ticks");
    drop(crowd);
}

// T44
#[test]
fn a_stopped_process_does_not_time_out_its_peers() {
    let server = TestServer::start(&[]);
    let (mut player, _) = Peer::join(server.addr, "/");
    let mut asking = Peer::connect(server.addr);
    asking.send(b"GET /healthz HTTP/1.1\r\n");
    server.until_metric("skirmish_connections", 3);
    let ticks =
        || server.metric("skirmish_ticks_total") + server.metric("skirmish_ticks_missed_total");
    let before = ticks();
    server.signal(Signal::STOP);
    let start = Instant::now();
    // Longer than the limit for a request head, and more than a hundred ticks.
    until("the process was stopped for 6 s", || {
        (start.elapsed() > Duration::from_secs(6)).then_some(())
    });
    server.signal(Signal::CONT);
    asking.send(b"Host: localhost\r\n\r\n");
    assert_eq!(asking.answer(true).status, 200, "no 408: the server itself was stopped");
    let mut tick = tick_of(&player.until_text(&["tick"]));
    for _ in 0..20 {
        let next = tick_of(player.frame().text());
        assert_eq!(next, tick + 1);
        tick = next;
    }
    let made = ticks() - before;
    assert!(start.elapsed().as_millis() as u64 / 50 > made + 90, "missed ticks are not made up");
}

// T43
#[test]
fn a_jump_of_the_wall_clock_disturbs_no_peer() {
    let folder = Folder::new("clock");
    let (library, shift) = (folder.0.join("shift_clock.so"), folder.0.join("shift"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hardening/shift_clock.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
    assert!(compiler.status().expect("a C compiler").success());
    let variables = [("LD_PRELOAD", &*library), ("SHIFT_CLOCK", &*shift)];
    let mut server = TestServer::start_with_variables(&variables, &[]);
    let (mut player, _) = Peer::join(server.addr, "/");
    let mut hours = Vec::new();
    for (joins, shift_s) in ["7200", "-7200", "0"].into_iter().enumerate() {
        let mut asking = Peer::connect(server.addr);
        asking.send(b"GET /healthz HTTP/1.1\r\n");
        server.until_metric("skirmish_connections", 3);
        std::fs::write(&shift, shift_s).expect("the clock jumps");
        let room = format!("jump-{joins}");
        drop(Peer::join(server.addr, &format!("/?room={room}")));
        hours.push(server.until_logged(&room)[..13].to_owned());
        asking.send(b"Host: localhost\r\n\r\n");
        assert_eq!(asking.answer(true).status, 200, "its head is not late");
        let tick = tick_of(&player.until_text(&["tick"]));
        assert_eq!(tick_of(player.frame().text()), tick + 1);
    }
    assert!(hours[0] > hours[2] && hours[2] > hours[1], "the clock has jumped: {hours:?}");
}

// T46
#[test]
fn a_blocked_log_does_not_block_the_server() {
    // A pipe without a reader, and a full disk.
    let (_unread, pipe) = std::io::pipe().expect("a pipe");
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    for log in [Stdio::from(pipe), Stdio::from(full)] {
        assert_unaffected_by(log);
    }
}

fn assert_unaffected_by(log: Stdio) {
    let mut server = TestServer::start_logging_to(log, &["--log-level", "debug"]);
    let (mut player, _) = Peer::join(server.addr, "/");
    let mut asking = Peer::connect(server.addr);
    let burst = request(server.addr, "GET /healthz", "").repeat(500);
    until("lines are dropped", || {
        asking.send(burst.as_bytes());
        (0..500).for_each(|_| assert_eq!(asking.answer(true).status, 200));
        (server.metric("skirmish_log_dropped_total") > 0).then_some(())
    });
    let tick = tick_of(&player.until_text(&["tick"]));
    assert_eq!(tick_of(player.frame().text()), tick + 1);
    server.signal(Signal::TERM);
    assert_eq!(player.until_close().0, Some(4012));
    drop((player, asking));
    assert_eq!(server.exit().code(), Some(0), "the log does not delay the exit");
}

// T51
#[test]
fn the_log_has_one_line_per_event_and_few_per_peer() {
    let mut server = TestServer::start(&["--log", "json", "--log-level", "warn"]);
    let (mut player, id) = Peer::join(server.addr, "/?name=%1b[31mred%0aline");
    for _ in 0..20 {
        player.send_text("no \u{1b}[2J json\r\n{\"level\":\"FORGED\"}\u{202e}");
    }
    server.until_metric("skirmish_drops_total{reason=\"invalid_json\"}", 20);
    server.signal(Signal::TERM);
    player.until_close();
    drop(player);
    server.exit();
    server.until_logged("not valid JSON");
    let lines = server.log().to_vec();
    let warnings: Vec<&String> =
        lines.iter().filter(|line| line.contains("not valid JSON")).collect();
    assert_eq!(warnings.len(), 2, "{lines:?}");
    for line in warnings {
        let event: serde_json::Value = serde_json::from_str(line).expect("one object a line");
        assert_eq!(event["player"].to_string(), id);
        assert_eq!(event["level"], "WARN");
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line}");
    }
}

#[test]
fn the_log_shows_the_first_unknown_messages_of_a_player() {
    let mut server = TestServer::start(&["--log", "json", "--log-level", "warn"]);
    let (mut player, id) = Peer::join(server.addr, "/");
    for _ in 0..5 {
        player.send_text(r#"{"type":"jump","height":3}"#);
    }
    server.until_metric("skirmish_drops_total{reason=\"unknown\"}", 5);
    server.signal(Signal::TERM);
    player.until_close();
    drop(player);
    server.exit();
    server.until_logged("message is unknown");
    let lines = server.log().to_vec();
    let events: Vec<serde_json::Value> = lines
        .iter()
        .filter(|line| line.contains("message is unknown"))
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    assert_eq!(events.len(), 2, "{lines:?}");
    for event in events {
        assert_eq!(event["player"].to_string(), id);
        assert!(event["text"].as_str().is_some_and(|text| text.contains("jump")), "{event}");
    }
}
