//! `--state`: rooms and players outlive the process.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use rustix::process::Signal;

use crate::files::Folder;
use crate::harness::{Peer, TestServer, between, start_and_stop, until};
use crate::resume::Player;
use crate::v1::play::Client;

/// A folder for the file, and its path.
fn state_file(name: &str) -> (Folder, PathBuf) {
    let folder = Folder::new(name);
    let path = folder.0.join("skirmish.state");
    (folder, path)
}

fn start(path: &std::path::Path, more: &[&str]) -> TestServer {
    TestServer::start(&[&["--state", path.to_str().expect("a plain path")], more].concat())
}

fn stop(server: &mut TestServer) {
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
}

/// What a battle's state says of a player.
fn fighter(state: &str, id: &str) -> String {
    let start = format!(r#"{{"id":"{id}","#);
    let player = between(state, &start, "}").to_owned();
    // It stands where it stood, looks where it looked, and has its health and score.
    player.split(",\"attack_tick\"").next().expect("the fields before").to_owned()
}

#[test]
fn a_restart_keeps_rooms_players_and_scores_in_every_dialect() {
    let (_folder, path) = state_file("restart");
    let mut server = start(&path, &[]);
    let mut ann = Player::join(server.addr, "/ws?room=arena&rules=battle&resume=1&name=Ann");
    let mut ben = Player::join(server.addr, "/ws?room=arena&resume=1&name=Ben");
    let (_plain, _) = Peer::join(server.addr, "/ws?room=arena&name=Zoe");
    // Both walk to the same corner.
    for direction in ["LEFT", "UP"].repeat(20) {
        for player in [&mut ann, &mut ben] {
            player.peer.send_text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#));
            player.peer.until_text(&["state_update"]);
        }
    }
    let is_hit = format!(r#""id":"{}""#, ben.id);
    let before = until("a hit", || {
        ann.peer.send_text(r#"{"type":"attack"}"#);
        let state = ann.peer.until_text(&["state_update", &is_hit]);
        (!fighter(&state, &ben.id).contains(r#""hp":100"#)).then_some(state)
    });
    let world = Client::join(server.addr, "/ws?room=world&name=Eve");
    let (eve, token) = (world.welcome.id, world.welcome.token.expect("a token"));
    stop(&mut server);
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);

    let mut server = start(&path, &[]);
    server.until_logged("took back the rooms of the last server");
    assert_eq!(server.metric("skirmish_players_absent"), 3);
    let mut back = [&ann, &ben].map(|player| player.come_back(server.addr));
    assert_eq!([&back[0].id, &back[1].id], [&ann.id, &ben.id]);
    let own = [&ann, &ben].map(|player| format!(r#""id":"{}""#, player.id));
    let state = back[0].peer.until_text(&["state_update", &own[0], &own[1]]);
    for player in [&ann, &ben] {
        assert_eq!(fighter(&state, &player.id), fighter(&before, &player.id));
    }
    assert!(!state.contains("Zoe"), "it could not come back: {state}");
    let eve_back = Client::join(server.addr, &format!("/ws?resume={token}"));
    assert_eq!(eve_back.welcome.id, eve);
    // Numbers go on.
    let new = Player::join(server.addr, "/ws?room=dots&resume=1");
    assert!(new.id.parse::<u32>().unwrap() > eve.parse().unwrap());
}

#[test]
fn after_a_kill_players_are_where_they_were_a_moment_before() {
    let (_folder, path) = state_file("kill");
    let mut server = start(&path, &["--state-every-s", "1"]);
    let mut ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let at = ann.place();
    let (id, token) = (format!(r#""id":{},"#, ann.id), ann.token.clone());
    until("the file has the player", || {
        fs::read_to_string(&path).ok().filter(|it| it.contains(&id))
    });
    server.signal(Signal::KILL);
    assert_eq!(server.exit().code(), None);
    assert!(!fs::read_to_string(&path).expect("a file").contains(&token), "only its hash is kept");

    let server = start(&path, &[]);
    let mut back = ann.come_back(server.addr);
    assert_eq!(back.id, ann.id);
    assert_eq!(back.place(), at);
}

#[test]
fn players_that_do_not_come_back_leave_and_their_room_goes() {
    let (_folder, path) = state_file("absent");
    let mut server = start(&path, &[]);
    let _ann = Player::join(server.addr, "/ws?room=dots-a&resume=1");
    stop(&mut server);
    let mut server = start(&path, &["--resume-s", "1"]);
    assert_eq!(server.metric("skirmish_players_absent"), 1);
    server.until_logged(r#"reason="absent""#);
    assert_eq!(server.metric("skirmish_players_absent"), 0);
    stop(&mut server);
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.contains(r#""rooms":[]"#), "{text}");
}

#[test]
fn a_damaged_file_is_set_aside_and_the_server_starts_without_it() {
    let (folder, path) = state_file("damaged");
    let mut server = start(&path, &[]);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    stop(&mut server);
    let whole = fs::read(&path).expect("a file");
    let mut changed = whole.clone();
    *changed.last_mut().expect("it is not empty") ^= 1;
    let version = String::from_utf8(whole.clone()).unwrap().replacen("state 1", "state 2", 1);
    let cut = &whole[..whole.len() / 2];
    for damaged in [cut, &changed, version.as_bytes(), b"", b"\xff\xfe\n"] {
        fs::write(&path, damaged).expect("it is written");
        let mut server = start(&path, &[]);
        server.until_logged("the state file is damaged; starting without it");
        assert_ne!(ann.come_back(server.addr).id.len(), 0);
        assert_eq!(server.metric("skirmish_resumes_total"), 0);
        let aside = folder.0.join("skirmish.state.damaged");
        assert_eq!(fs::read(aside).expect("it is set aside"), damaged);
        stop(&mut server);
    }
    fs::write(&path, &whole).expect("it is written");
    let server = start(&path, &[]);
    assert_eq!(ann.come_back(server.addr).id, ann.id);
}

#[test]
fn a_file_that_cannot_be_written_is_refused_at_the_start() {
    let (folder, _) = state_file("refused");
    let folder = folder.0.to_str().expect("a plain path");
    let missing = format!("{folder}/missing/file");
    for (args, sentence) in [
        (&["--state", folder][..], "is a folder; --state takes a file."),
        (&["--state", &missing], "cannot write --state"),
        (&["--state-every-s", "5"], "add --state FILE."),
    ] {
        let (_, stderr) = start_and_stop(args, &[]);
        assert!(stderr.contains(sentence), "{args:?}: {stderr}");
    }
}

/// A client that connects while no process accepts, in a thread. It waits for the next process.
fn join_later(addr: SocketAddr, target: String) -> JoinHandle<Player> {
    thread::spawn(move || Player::join(addr, &target))
}

#[test]
fn with_a_listener_from_outside_no_connect_is_refused_while_the_server_restarts() {
    let (_folder, path) = state_file("activated");
    let state = path.to_str().expect("a plain path");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let addr = listener.local_addr().expect("an address");
    let args = ["--state", state, "--admin-listen", "127.0.0.1:0"];
    let mut server = TestServer::start_activated(&listener, &args);
    assert_eq!(server.addr, addr);
    let players: Vec<Player> =
        (0..20).map(|_| Player::join(addr, "/ws?room=dots&resume=1")).collect();
    server.signal(Signal::TERM);
    let mut back = Vec::new();
    for mut player in players {
        assert_eq!(player.peer.until_close().0, Some(4012));
        back.push((player.id, join_later(addr, format!("/ws?resume={}", player.token))));
    }
    assert_eq!(server.exit().code(), Some(0));
    let server = TestServer::start_activated(&listener, &args);
    for (id, player) in back {
        assert_eq!(player.join().expect("it is not refused").id, id);
    }
    assert_eq!(server.metric("skirmish_resumes_total"), 20);
}

#[test]
fn what_is_passed_in_place_of_a_listener_is_refused() {
    let run = |listen: &[&str], open: &str| {
        let script = format!("export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" {open}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_skirmish")]).args(listen);
        let output = shell.env_remove("PORT").output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, stderr) = run(&[], "3</dev/null");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("file descriptor 3 of LISTEN_FDS cannot be used"), "{stderr}");
}
