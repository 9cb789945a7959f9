//! `skirmish check`: what the server would start with, also while it runs; and what the server
//! reports to a service manager.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Output, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::{Pid, Signal, kill_process};

use crate::files::Folder;
use crate::harness::{TestServer, WAIT_MAX, command};
use crate::resume::Player;

fn check(args: &[&str], env: &[(&str, &str)]) -> Output {
    command().arg("check").args(args).envs(env.iter().copied()).output().expect("it runs")
}

/// Asserts that the settings are valid. Returns the log.
fn assert_valid(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = check(args, env);
    let log = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(0), "{args:?}: {log}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "The settings are valid.\n");
    log
}

/// Asserts that the check refuses what the server refuses, with the same sentence.
fn assert_refused(args: &[&str], env: &[(&str, &str)], part: &str) {
    let checked = check(args, env);
    let served = command().args(args).envs(env.iter().copied()).output().expect("it runs");
    let sentences = [checked, served].map(|output| {
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    });
    assert_eq!(sentences[0], sentences[1], "{args:?}");
    let sentence = &sentences[0];
    assert!(sentence.starts_with("skirmish: ") && sentence.contains(part), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}

/// A folder with certificates and keys.
struct Certificates(Folder);

impl Certificates {
    fn new(name: &str) -> Certificates {
        let folder = Folder::new(name);
        for file in ["one", "two"] {
            let names = vec!["localhost".to_owned()];
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(names).expect("it is made");
            folder.write(&format!("{file}.pem"), cert.pem());
            folder.write(&format!("{file}.key"), signing_key.serialize_pem());
        }
        Certificates(folder)
    }

    fn path(&self, file: &str) -> String {
        self.0.0.join(file).to_str().expect("a plain path").to_owned()
    }
}

#[test]
fn valid_settings_are_valid_also_while_a_server_uses_them() {
    assert_valid(&[], &[]);
    let files = Certificates::new("check");
    let [cert, key, www] = ["one.pem", "one.key", ""].map(|name| files.path(name));
    files.0.write("index.html", "Hello");
    let flags = [
        "--cert",
        &cert,
        "--key",
        &key,
        "--www",
        &www,
        "--trusted-proxy",
        "127.0.0.1",
        "--room",
        "a=battle",
        "--bots",
        "a=4",
    ];
    let free = ["--admin-listen", "127.0.0.1:0", "--redirect-http", "127.0.0.1:0"];
    let server = TestServer::start(&[&flags[..], &free].concat());
    let [public, admin, redirect] =
        [server.addr, server.admin(), server.redirect()].map(|addr| addr.to_string());
    let used =
        ["--listen", &public, "--admin-listen", &admin, "--redirect-http", redirect.as_str()];
    for _ in 0..2 {
        assert_eq!(assert_valid(&[&flags[..], &used].concat(), &[]), "");
    }
    let port = server.addr.port().to_string();
    assert_valid(&["--port", &port], &[]);
    let env = [("SKIRMISH_LISTEN", public.as_str()), ("SKIRMISH_CERT", &cert)];
    assert_valid(&[], &[&env[..], &[("SKIRMISH_KEY", &key)]].concat());
}

#[test]
fn what_the_server_refuses_is_refused_with_the_same_sentence() {
    let files = Certificates::new("check-refused");
    let [cert, key, folder] = ["one.pem", "two.key", ""].map(|name| files.path(name));
    let missing = files.path("missing/state");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/www/index.html");
    for (args, part) in [
        (&["--prot", "1"][..], "--prot"),
        (&["--port", "http"], "expected a whole number"),
        (&["--cert", &cert, "--key", &key], "is not the key of the certificate"),
        (&["--cert", &cert, "--key", &missing], "cannot read"),
        (&["--cert", &cert], "--cert and --key belong together"),
        (&["--www", "/no/such/folder"], "/no/such/folder"),
        (&["--socketio-client", script], "it is not the Socket.IO client"),
        (&["--state", &folder], "is a folder; --state takes a file."),
        (&["--state", &missing], "cannot write --state"),
        (&["--trusted-proxy", "nginx"], "--trusted-proxy"),
        (&["--admin-listen", "127.0.0.1:0", "--admin-token-file", &cert], "must contain one line"),
        (&["--proxy-protocol"], "add --trusted-proxy CIDR"),
        (&["--room", "lobby=chess"], "chess"),
        (&["--bots", "a=2", "--rooms-open", "false", "--room", "b=dots"], "add --room a=RULES"),
        (&["--listen", "192.0.2.1:0"], "192.0.2.1:0 is not an address of this machine"),
        (&["--port", "0", "--admin-listen", "192.0.2.1:0"], "choose another with --admin-listen"),
    ] {
        assert_refused(args, &[], part);
    }
    assert_refused(&[], &[("SKIRMISH_ROOMS_MAX", "many")], "SKIRMISH_ROOMS_MAX (--rooms-max)");
    assert_refused(&[], &[("PORT", "http")], "PORT");
    // The sentence of the server has another number: it uses another amount of memory.
    let output = check(&["--max-memory", "900000G"], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose less"), "{output:?}");
}

#[test]
fn a_misspelled_variable_is_logged() {
    let log = assert_valid(&["--port", "0"], &[("SKIRMISH_LISTN", "x")]);
    assert!(log.contains("WARN") && log.contains("SKIRMISH_LISTN"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn the_state_file_is_read_and_stays_as_it_is() {
    let folder = Folder::new("check-state");
    let path = folder.0.join("state");
    let state = path.to_str().expect("a plain path");
    let flags = ["--state", state];
    assert_eq!(assert_valid(&flags, &[]), "");
    assert_eq!(fs::read_dir(&folder.0).expect("a folder").count(), 0, "nothing is left there");

    let mut server = TestServer::start(&flags);
    let ann = Player::join(server.addr, "/ws?room=dots&resume=1");
    assert_eq!(assert_valid(&flags, &[]), "");
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    let whole = fs::read(&path).expect("a file");
    assert_eq!(assert_valid(&flags, &[]), "");
    assert_eq!(fs::read(&path).expect("a file"), whole);

    fs::write(&path, &whole[..whole.len() - 1]).expect("it is written");
    let log = assert_valid(&flags, &[]);
    assert!(log.contains("ERROR the state file is damaged; the server would start"), "{log}");
    assert!(log.contains("its checksum differs"), "{log}");
    assert_eq!(fs::read(&path).expect("a file"), whole[..whole.len() - 1]);
    let files = fs::read_dir(&folder.0).expect("a folder");
    let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, ["state", "state.lock"], "it is not set aside, and nothing is left");

    fs::write(&path, &whole).expect("it is written");
    let server = TestServer::start(&flags);
    assert_eq!(ann.come_back(server.addr).id, ann.id, "the token was not used");
}

#[test]
fn listeners_that_are_passed_exclude_an_address() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let check = |args: &[&str]| {
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" check \"$@\" 3<&0 </dev/null";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_skirmish")]).env_remove("PORT");
        let passed = std::os::fd::OwnedFd::from(listener.try_clone().expect("it can be shared"));
        let output = shell.args(args).stdin(Stdio::from(passed)).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    assert_eq!(check(&[]), (Some(0), String::new()));
    let (code, said) = check(&["--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("(LISTEN_FDS); remove --listen."), "{said}");
}

#[test]
fn a_service_manager_learns_that_the_server_listens_and_that_it_stops() {
    let folder = Folder::new("notify");
    let path = folder.0.join("manager");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(WAIT_MAX)).expect("a limit");
    let message = || {
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    };
    let mut child = command()
        .args(["--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    assert_eq!(message(), "READY=1");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(message(), "STOPPING=1");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    // A manager that has gone changes nothing.
    drop(manager);
    let output = command().arg("check").env("NOTIFY_SOCKET", &path).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
}
