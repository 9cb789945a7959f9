//! `--state`: rooms and players outlive the process.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::process::Signal;

use crate::files::Folder;
use crate::harness::{Peer, TestServer, between, command, start_and_stop, until};
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

// T48
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
    server.until_logged("restored rooms and players");
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

// T54
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
    for damaged in [cut, &changed, version.as_bytes(), b"\n", b"\xff\xfe\n"] {
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

#[test]
fn a_second_server_with_the_same_file_is_refused_and_a_check_is_not() {
    let (_folder, path) = state_file("shared");
    let state = path.to_str().expect("a plain path");
    let mut server = start(&path, &[]);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    let args = ["--listen", "127.0.0.1:0", "--state", state];
    let (_, stderr) = start_and_stop(&args, &[]);
    assert!(stderr.contains("another server uses --state"), "{stderr}");
    let check = command().arg("check").args(args).output();
    assert_eq!(check.expect("it runs").status.code(), Some(0));

    // A kill leaves the lock file, without a lock.
    stop(&mut server);
    let mut server = start(&path, &[]);
    assert_eq!(ann.come_back(server.addr).id, ann.id);
    server.signal(Signal::KILL);
    assert_eq!(server.exit().code(), None);
    start(&path, &[]);
}

#[test]
fn a_lock_of_another_kind_of_file_is_refused() {
    let (folder, path) = state_file("odd-lock");
    let lock = folder.0.join("skirmish.state.lock");
    let victim = folder.0.join("victim");
    let state = ["--listen", "127.0.0.1:0", "--state", path.to_str().expect("a plain path")];
    symlink(&victim, &lock).expect("a link");
    let (_, stderr) = start_and_stop(&state, &[]);
    assert!(stderr.contains("skirmish.state.lock is not a regular file; remove it."), "{stderr}");
    assert!(!victim.exists());
    fs::remove_file(&lock).expect("it is there");
    // To open it would wait.
    let made = Command::new("mkfifo").arg(&lock).status().expect("mkfifo runs");
    assert!(made.success());
    let (_, stderr) = start_and_stop(&state, &[]);
    assert!(stderr.contains("skirmish.state.lock is not a regular file; remove it."), "{stderr}");
}

/// A client that connects while no process accepts, in a thread. It waits for the next process.
fn join_later(addr: SocketAddr, target: String) -> JoinHandle<Player> {
    thread::spawn(move || Player::join(addr, &target))
}

// T48
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
    let (code, stderr) = refused_with(Stdio::null(), 1);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("file descriptor 3 of LISTEN_FDS cannot be used"), "{stderr}");
}

// T38
#[test]
fn t38_a_token_of_the_file_works_once_also_if_the_next_server_is_killed() {
    let (_folder, path) = state_file("replay");
    let mut server = start(&path, &[]);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    stop(&mut server);

    let mut server = start(&path, &[]);
    let mut back = ann.come_back(server.addr);
    assert_eq!(back.id, ann.id);
    back.peer.send_frame(0x88, &1000_u16.to_be_bytes());
    back.peer.until_close();
    server.until_metric("skirmish_players", 0);
    let ben = Player::join(server.addr, "/ws?room=dots&resume=1");
    server.signal(Signal::KILL);
    assert_eq!(server.exit().code(), None);

    let server = start(&path, &[]);
    let absent = server.metric("skirmish_players_absent");
    let again = ann.come_back(server.addr);
    let cat = Player::join(server.addr, "/ws?room=dots&resume=1");
    assert_eq!(absent, 0, "a player that has left stands in the room again");
    assert_ne!(again.id, ann.id, "the token was used");
    assert_ne!(cat.id, ben.id, "a number is never given twice");
}

#[test]
fn a_shutdown_that_takes_longer_than_resume_s_keeps_all_players() {
    let (_folder, path) = state_file("long-drain");
    let mut server = start(&path, &["--resume-s", "1", "--drain-s", "4"]);
    let players: Vec<Player> =
        (0..4).map(|_| Player::join(server.addr, "/ws?room=dots&resume=1")).collect();
    stop(&mut server);
    let server = start(&path, &[]);
    assert_eq!(server.metric("skirmish_players_absent"), players.len() as u64);
}

#[test]
fn the_map_of_a_permanent_room_is_that_of_the_flag() {
    let (_folder, path) = state_file("map");
    let mut server = start(&path, &["--room", "w=world", "--map", "4000x4000"]);
    let ann = Player::join(server.addr, "/ws?room=w&resume=1");
    stop(&mut server);
    let server = start(&path, &["--room", "w=world", "--map", "2000x2000"]);
    drop(ann);
    let mut peer = Peer::upgrade(server.addr, "/ws?room=w");
    let init = peer.frame().text().to_owned();
    assert!(init.contains(r#""map":[0,0,2000,2000]"#), "{init}");
}

#[test]
fn a_link_beside_the_file_is_not_followed() {
    let (folder, path) = state_file("link");
    let victim = folder.0.join("victim");
    fs::write(&victim, "precious").expect("a file");
    symlink(&victim, folder.0.join("skirmish.state.new")).expect("a link");
    let mut server = start(&path, &[]);
    let _ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    stop(&mut server);
    assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious");
}

#[test]
fn a_start_that_is_refused_does_not_touch_a_write_in_progress() {
    let (folder, path) = state_file("second");
    let server = start(&path, &[]);
    // As the writer of the first server has it.
    let beside = folder.0.join("skirmish.state.new");
    fs::write(&beside, "half of it").expect("a file");
    let port = server.addr.to_string();
    let state = path.to_str().expect("a plain path");
    let (_, stderr) = start_and_stop(&["--listen", &port, "--state", state], &[]);
    assert!(stderr.contains("is in use"), "{stderr}");
    assert_eq!(fs::read_to_string(&beside).ok().as_deref(), Some("half of it"));
}

#[test]
fn a_fifo_is_refused() {
    let (_folder, path) = state_file("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().expect("it runs").success());
    let mut child = command()
        .args(["--listen", "127.0.0.1:0", "--state", path.to_str().expect("a plain path")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let status = until("it does not hang", || child.try_wait().expect("it can be waited for"));
    assert_eq!(status.code(), Some(2));
}

/// Starts the server with its stdin as descriptors from 3 on. It refuses that; returns its exit code
/// and its log.
fn refused_with(stdin: Stdio, count: usize) -> (Option<i32>, String) {
    let copies: String = (3..3 + count).map(|fd| format!(" {fd}<&0")).collect();
    let script =
        format!("export LISTEN_PID=$$ LISTEN_FDS={count}; exec \"$0\" {copies} </dev/null");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_skirmish")]).env_remove("PORT");
    let output = shell.stdin(stdin).output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn a_connected_socket_in_place_of_a_listener_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let stream = TcpStream::connect(listener.local_addr().unwrap()).expect("connected");
    let (code, stderr) = refused_with(OwnedFd::from(stream).into(), 1);
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn too_many_listeners_from_outside_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (code, stderr) = refused_with(OwnedFd::from(listener).into(), 40);
    assert!(code == Some(2) && !stderr.contains("panicked"), "{code:?}: {stderr}");
}

#[test]
fn a_smaller_room_takes_back_as_many_players_as_it_holds() {
    let (_folder, path) = state_file("smaller");
    let mut server = start(&path, &[]);
    let players: Vec<Player> =
        (0..3).map(|_| Player::join(server.addr, "/ws?room=dots&resume=1")).collect();
    stop(&mut server);
    let server = start(&path, &["--room-players-max", "2"]);
    let mut back = 0;
    let mut peers = Vec::new();
    for player in &players {
        let mut peer = Peer::upgrade(server.addr, &format!("/ws?resume={}", player.token));
        back += u32::from(peer.frame().first == 0x81);
        peers.push(peer);
    }
    assert_eq!(back, 2);
}

#[test]
fn a_game_that_panics_in_save_or_load_does_not_end_the_server() {
    use skirmish::game::{DOTS, Game, Rules};
    use skirmish::time::Millis;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[derive(Debug)]
    struct Bad(bool);
    impl Game for Bad {
        fn save(&self) -> Vec<i64> {
            assert!(!self.0, "a bug in save");
            vec![1]
        }
        fn load(&mut self, _: &[i64]) -> bool {
            panic!("a bug in load")
        }
    }
    static SAVES: Rules = Rules { name: "saves", game: |_| Box::new(Bad(true)), ..DOTS };
    static LOADS: Rules = Rules { name: "loads", game: |_| Box::new(Bad(false)), ..DOTS };

    use crate::sim::fixture::{Fixture, REMOTE, handshake, pages, server_of};
    let new = || server_of(&[&SAVES, &LOADS], &["--state", "unused"], 7, pages());
    let join = |target: &str| {
        let mut fixture = Fixture { server: new(), now: Millis(0), panics: 0 };
        let id = fixture.open(REMOTE);
        fixture.server.receive(id, &mut handshake(target), Millis(0));
        fixture
    };
    let loads = join("/ws?room=loads&resume=1").server.save();
    let mut next = new();
    let loaded = catch_unwind(AssertUnwindSafe(|| next.restore(&loads, Millis(0)).is_err()));
    let fixture = join("/ws?room=saves&resume=1");
    let saved = catch_unwind(AssertUnwindSafe(|| fixture.server.save().len()));
    assert!(loaded.is_ok(), "the server does not start, as long as the file is there");
    assert!(saved.is_ok(), "--state-every-s ends the whole process");
}

#[test]
fn tokens_do_not_count_as_joins_of_all_addresses() {
    use crate::sim::fixture::{Fixture, handshake, pages, server_of};
    use skirmish::game::GAMES;
    use skirmish::time::Millis;

    let new = || server_of(&GAMES, &["--state", "unused"], 7, pages());
    let mut first = Fixture { server: new(), now: Millis(0), panics: 0 };
    let mut tokens = Vec::new();
    for number in 0..600 {
        first.now = Millis(number * 10);
        let peer = format!("192.0.{}.{}", 2 + number / 200, 1 + number % 200);
        let id = first.open(&peer);
        first.server.receive(id, &mut handshake("/ws?room=world&resume=1"), first.now);
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = first.server.slices(id, &mut slices);
        let bytes = crate::sim::fixture::concat(&slices[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        tokens.push((peer, between(&text, r#""token":""#, "\"").to_owned()));
        first.server.written(id, bytes.len(), bytes.len(), first.now);
    }
    let file = first.server.save();
    let mut next = Fixture { server: new(), now: Millis(0), panics: 0 };
    next.server.restore(&file, Millis(0)).expect("it is valid");
    for (peer, token) in &tokens {
        let id = next.open(peer);
        next.server.receive(id, &mut handshake(&format!("/ws?resume={token}")), next.now);
    }
    assert_eq!(next.server.metrics().resumes, 600, "all come back at once");
}
