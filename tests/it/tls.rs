//! TLS (`--cert`, `--key`, `--redirect-http`), and `skirmish load` over it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    CertificateParams, CertifiedKey, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, generate_simple_self_signed,
};
use rustix::process::Signal;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore,
    SupportedProtocolVersion,
};

use crate::files::Folder;
use crate::harness::{
    Peer, TestServer, WAIT_MAX, between, command, request, start_and_stop, until,
};

/// The files of a certificate for `localhost` and 127.0.0.1, in a folder.
pub struct Certificate {
    folder: Folder,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub fn new(name: &str) -> Certificate {
        let mut certificate =
            Certificate { folder: Folder::new(name), der: CertificateDer::from(Vec::new()) };
        certificate.renew();
        certificate
    }

    fn path(&self, file: &str) -> String {
        self.folder.0.join(file).to_str().expect("a plain path").to_owned()
    }

    /// A new certificate and key take the place of the old ones.
    fn renew(&mut self) {
        let (cert, key) = self.next();
        fs::write(self.path("cert.pem"), cert).expect("a file");
        fs::write(self.path("key.pem"), key).expect("a file");
    }

    /// Makes a certificate and its key, which are not in the files yet.
    fn next(&mut self) -> (String, String) {
        let CertifiedKey { cert, signing_key } = self_signed();
        self.der = cert.der().clone();
        (cert.pem(), signing_key.serialize_pem())
    }

    pub fn start(&self, more: &[&str]) -> TestServer {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        let flags = ["--cert", &cert, "--key", &key, "--admin-listen", "127.0.0.1:0"];
        TestServer::start(&[&flags, more].concat())
    }

    /// What a client needs that trusts only the newest certificate.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(versions)
            .expect("known versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// A connection that trusts only the newest certificate.
    pub fn connect(&self, addr: SocketAddr) -> Peer {
        connect(addr, &self.client(&[&TLS13, &TLS12]))
    }

    /// Whether the server has the newest certificate.
    fn is_used(&self, addr: SocketAddr) -> bool {
        let mut peer = self.connect(addr);
        let Peer { tls, stream, .. } = &mut peer;
        tls.as_mut().expect("TLS").complete_io(stream).is_ok()
    }
}

fn self_signed() -> CertifiedKey<KeyPair> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    generate_simple_self_signed(names).expect("a certificate")
}

fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> Peer {
    let mut peer = Peer::connect(addr);
    peer.tls = Some(Box::new(tls(config)));
    peer
}

pub fn tls(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::clone(config), name).expect("a connection")
}

#[test]
fn pages_and_games_are_served_over_tls() {
    let certificate = Certificate::new("tls-serve");
    let server = certificate.start(&[]);
    for (versions, version) in
        [(&[&TLS13, &TLS12][..], ProtocolVersion::TLSv1_3), (&[&TLS12], ProtocolVersion::TLSv1_2)]
    {
        let config = certificate.client(versions);
        let mut page = connect(server.addr, &config);
        assert!(page.get("/client.html").text().contains("</html>"));
        let tls = page.tls.as_ref().expect("TLS");
        assert_eq!(tls.protocol_version(), Some(version));
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));

        let mut player = connect(server.addr, &config);
        player.open("/ws?room=dots&name=Ann");
        let init = player.frame();
        let id = between(init.text(), "\"id\":\"", "\"").to_owned();
        player.send_text(r#"{"type":"move","direction":"UP"}"#);
        player.until_text(&["state_update", &format!(r#"{{"id":"{id}""#)]);
        let kind = player.tls.as_ref().expect("TLS").handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Resumed), "it saves the server the signature");
    }
    assert_eq!(server.metric("skirmish_tls_handshakes_total"), 4);
    assert_eq!(server.metric("skirmish_tls_handshakes_failed_total"), 0);
}

#[test]
fn a_response_that_the_socket_does_not_take_at_once_is_whole() {
    let certificate = Certificate::new("tls-large");
    let page = certificate.folder.0.join("large.bin");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
    fs::write(&page, &bytes).expect("a file");
    let www = certificate.folder.0.to_str().expect("a plain path");
    let server = certificate.start(&["--www", www]);
    for versions in [&TLS13, &TLS12] {
        let mut peer = connect(server.addr, &certificate.client(&[versions]));
        for _ in 0..2 {
            assert!(peer.get("/large.bin").body == bytes);
        }
    }
    assert!(server.metric("skirmish_short_writes_total") > 0);
}

#[test]
fn a_peer_that_ends_tls_has_left() {
    let certificate = Certificate::new("tls-end");
    let server = certificate.start(&[]);
    for is_polite in [true, false] {
        let mut player = certificate.connect(server.addr);
        player.open("/ws?room=dots");
        player.until_text(&["state_update"]);
        assert_eq!(server.metric("skirmish_players"), 1);
        let Peer { tls, stream, .. } = &mut player;
        let tls = tls.as_mut().expect("TLS");
        if is_polite {
            tls.send_close_notify();
            tls.complete_io(stream).expect("the server reads");
        } else {
            stream.shutdown(std::net::Shutdown::Write).expect("it is open");
        }
        server.until_metric("skirmish_players", 0);
    }
}

/// Without it, a client cannot tell the end from an attacker's (RFC 8446, section 6.1).
#[test]
fn the_server_ends_tls_before_it_closes() {
    let certificate = Certificate::new("tls-close-notify");
    let server = certificate.start(&[]);
    let rest_of = |peer: &mut Peer| {
        let Peer { tls, stream, .. } = peer;
        let mut rest = Vec::new();
        let mut stream = rustls::Stream::new(tls.as_mut().expect("TLS").as_mut(), stream);
        // An end without close_notify is the error UnexpectedEof.
        stream.read_to_end(&mut rest).expect("close_notify");
        rest
    };
    for versions in [&TLS13, &TLS12] {
        let config = certificate.client(&[versions]);
        let mut page = connect(server.addr, &config);
        page.send(request(server.addr, "GET /healthz", "Connection: close\r\n").as_bytes());
        let response = String::from_utf8(rest_of(&mut page)).expect("a response");
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");

        let mut player = connect(server.addr, &config);
        player.open("/ws?room=dots");
        player.frame();
        player.send_frame(0x88, &1_000_u16.to_be_bytes());
        let frames = rest_of(&mut player);
        assert!(frames.ends_with(&[0x88, 2, 0x03, 0xe8]), "{frames:?}");
    }
}

#[test]
fn a_request_without_tls_gets_one_sentence() {
    let certificate = Certificate::new("tls-plain");
    let server = certificate.start(&[]);
    // Also one with many cookies. A reset could overtake the response.
    for fields in [String::new(), format!("Cookie: {}\r\n", "a=b; ".repeat(1_500))] {
        let mut stream = TcpStream::connect(server.addr).expect("it listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket option");
        let request = request(server.addr, "GET /battle.html", &fields);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it ends without a reset");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let sentence = "This port takes https:// and wss:// only; change the address.\n";
        assert!(answer.ends_with(sentence), "{answer}");
    }
    // Other bytes are closed.
    let others = [
        &b"\x00\x01\x02\x00\x03"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"\x80\x2e\x01\x03\x01\x00",
        b"ssh-2.0\r\n",
    ];
    for bytes in others {
        let mut stream = TcpStream::connect(server.addr).expect("it listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket option");
        stream.write_all(bytes).expect("it reads");
        let mut alert = Vec::new();
        match stream.read_to_end(&mut alert) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(alert.is_empty() || alert[0] == 21, "an alert: {alert:?}");
    }
    server.until_metric("skirmish_tls_handshakes_failed_total", 6);
    assert_eq!(certificate.connect(server.addr).get("/healthz").text(), "ok\n");
}

// T28
#[test]
fn only_https_pages_of_this_host_may_connect() {
    let certificate = Certificate::new("tls-origin");
    let server = certificate.start(&["--limit-loopback"]);
    let status = |scheme: &str, host: &str, origin_host: &str| {
        let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {scheme}://{origin_host}\r\n{fields}\r\n"
        );
        certificate.connect(server.addr).ask(&request).status
    };
    assert_eq!(status("https", "play.example", "play.example"), 101);
    assert_eq!(status("https", "play.example:9", "play.example:9"), 101);
    assert_eq!(status("http", "play.example", "play.example"), 403);
    assert_eq!(status("https", "play.example", "other.example"), 403);
}

#[test]
fn requests_over_http_are_redirected() {
    let certificate = Certificate::new("tls-redirect");
    let server = certificate.start(&["--redirect-http", "127.0.0.1:0", "--host", "play.example"]);
    let port = server.addr.port();
    let ask = |line: &str, fields: &str| {
        let mut peer = Peer::connect(server.redirect());
        let answer = peer.ask(&format!("{line} HTTP/1.1\r\n{fields}\r\n"));
        peer.expect_end();
        answer
    };
    for (line, host, target) in [
        ("GET /", "play.example", "/"),
        ("GET /battle.html?room=a&name=%C3%A4", "play.example", "/battle.html?room=a&name=%C3%A4"),
        ("HEAD //other.example/x", "PLAY.example:80", "//other.example/x"),
        ("GET /metrics", "127.0.0.1", "/metrics"),
        ("GET /ws", "localhost:8080", "/ws"),
    ] {
        let answer = ask(line, &format!("Host: {host}\r\n"));
        let name = host.split(':').next().expect("a part");
        let expected = format!("https://{name}:{port}{target}");
        assert_eq!((answer.status, answer.field("location")), (308, Some(&*expected)), "{line}");
    }
    let upgrade = "Host: play.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(ask("GET /ws", upgrade).status, 308);
    let body = "Host: play.example\r\nContent-Length: 3\r\n";
    assert_eq!(ask("POST /socket.io/?EIO=4", body).status, 308);
    assert_eq!(ask("GET /", "Host: other.example\r\n").status, 421);
    assert_eq!(Peer::connect(server.redirect()).ask("GET / HTTP/1.0\r\n\r\n").status, 421);
}

#[test]
fn a_new_certificate_is_used_without_a_restart() {
    let mut certificate = Certificate::new("tls-reload");
    let mut server = certificate.start(&[]);
    let mut player = certificate.connect(server.addr);
    player.open("/ws?room=dots");
    assert!(certificate.is_used(server.addr));

    certificate.renew();
    server.until_logged("certificate reloaded");
    assert!(certificate.is_used(server.addr));
    player.until_text(&["state_update"]);

    // A program writes the certificate first, and takes its time for the key.
    let old = certificate.der.clone();
    let (cert, key) = certificate.next();
    fs::write(certificate.path("cert.pem"), cert).expect("a file");
    let line = server.until_logged("is not the key of the certificate");
    assert!(line.contains("ERROR") && line.contains("The old certificate stays in use."), "{line}");
    let new = std::mem::replace(&mut certificate.der, old);
    assert!(certificate.is_used(server.addr));
    certificate.der = new;
    fs::write(certificate.path("key.pem"), key).expect("a file");
    until("the second reload", || certificate.is_used(server.addr).then_some(()));

    // At once on a signal.
    let before = server.log().iter().filter(|line| line.contains("certificate reloaded")).count();
    server.signal(Signal::HUP);
    until("the reload on SIGHUP", || {
        let lines = server.log().iter().filter(|line| line.contains("certificate reloaded"));
        (lines.count() > before).then_some(())
    });
    player.until_text(&["state_update"]);
}

#[test]
fn certbot_replaces_links() {
    let mut certificate = Certificate::new("tls-links");
    for file in ["cert", "key"] {
        let (link, target) = (certificate.path(&format!("{file}.pem")), format!("{file}1.pem"));
        fs::rename(&link, certificate.path(&target)).expect("a file");
        std::os::unix::fs::symlink(target, link).expect("a link");
    }
    let server = certificate.start(&[]);
    assert!(certificate.is_used(server.addr));
    let (cert, key) = certificate.next();
    for (file, text) in [("cert", cert), ("key", key)] {
        let target = format!("{file}2.pem");
        fs::write(certificate.path(&target), text).expect("a file");
        let (link, next) = (certificate.path(&format!("{file}.pem")), certificate.path("next"));
        std::os::unix::fs::symlink(target, &next).expect("a link");
        fs::rename(next, link).expect("a link");
    }
    until("the new certificate", || certificate.is_used(server.addr).then_some(()));
}

#[test]
fn files_that_cannot_be_used_are_refused_with_a_sentence() {
    let certificate = Certificate::new("tls-refused");
    let (cert, key) = (certificate.path("cert.pem"), certificate.path("key.pem"));
    let write = |name: &str, text: &str| {
        let path = certificate.path(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let other = write("other.pem", &self_signed().signing_key.serialize_pem());
    let encrypted = write(
        "encrypted.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let garbage = write("garbage.pem", "-----BEGIN CERTIFICATE-----\n!\n");
    let empty = write("empty.pem", "");
    let wrong =
        write("wrong.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let none = certificate.path("none.pem");
    for (cert, key, part) in [
        (&cert, &none, "cannot read"),
        (&none, &key, "cannot read"),
        (&empty, &key, "contains no certificate"),
        (&key, &key, "contains no certificate"),
        (&cert, &cert, "contains no private key"),
        (&cert, &encrypted, "is encrypted"),
        (&garbage, &key, "is not a valid PEM file"),
        (&cert, &other, "is not the key of the certificate"),
        (&wrong, &key, "cannot be used"),
    ] {
        let flags = ["--listen", "127.0.0.1:0", "--cert", cert, "--key", key];
        assert_refused(&flags, part);
    }
    assert_refused(&["--cert", &cert], "--cert and --key belong together");
    assert_refused(&["--key", &key], "--cert and --key belong together");
    assert_refused(&["--redirect-http", "127.0.0.1:0"], "add --cert FILE");
}

fn assert_refused(flags: &[&str], part: &str) {
    let (startup, log) = start_and_stop(flags, &[]);
    assert_eq!(startup, "", "{flags:?}");
    assert!(log.starts_with("skirmish: ") && log.contains(part), "{flags:?}: {log}");
    assert_eq!(log.trim_end().lines().count(), 1, "{log}");
}

#[test]
fn a_fifo_in_place_of_a_file_is_refused_and_does_not_stop_reloads() {
    let mut certificate = Certificate::new("tls-fifo");
    let mut server = certificate.start(&[]);
    let cert = certificate.path("cert.pem");
    fs::remove_file(&cert).expect("a file");
    assert!(Command::new("mkfifo").arg(&cert).status().expect("it runs").success());
    server.until_logged("it is not a regular file");
    let key = certificate.path("key.pem");
    let flags = ["--listen", "127.0.0.1:0", "--cert", &cert, "--key", &key];
    assert_refused(&flags, "it is not a regular file");
    fs::remove_file(&cert).expect("a file");
    certificate.renew();
    until("the reload", || certificate.is_used(server.addr).then_some(()));
}

#[test]
fn keys_of_several_algorithms_are_taken() {
    let algorithms = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    for (algorithm, name) in algorithms.into_iter().zip(["tls-p256", "tls-p384", "tls-ed25519"]) {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut certificate = Certificate::new(name);
        let params = CertificateParams::new(["localhost".to_owned()]).expect("valid names");
        let cert = params.self_signed(&key).expect("a certificate");
        certificate.der = cert.der().clone();
        fs::write(certificate.path("cert.pem"), cert.pem()).expect("a file");
        fs::write(certificate.path("key.pem"), key.serialize_pem()).expect("a file");
        let server = certificate.start(&[]);
        assert!(certificate.is_used(server.addr), "{name}");
    }
}

#[test]
fn the_load_test_plays_over_tls() {
    let certificate = Certificate::new("tls-load");
    let server = certificate.start(&[]);
    let url = format!("wss://localhost:{}/", server.addr.port());
    let run = |more: &[&str]| {
        let flags = ["load", &url, "--clients", "4", "--seconds", "0.5", "--json"];
        let output = command().args(flags).args(more).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let ca = certificate.path("cert.pem");
    for more in [
        &["--ca", &ca][..],
        &["--insecure"],
        &["--ca", &ca, "--dialect", "v1", "--deflate"],
        &["--ca", &ca, "--dialect", "socketio", "--transport", "polling"],
        &["--ca", &ca, "--dialect", "socketio", "--transport", "upgrade"],
    ] {
        assert_eq!(run(more), (Some(0), String::new()), "{more:?}");
    }
    let other = Certificate::new("tls-load-other");
    let (code, error) = run(&["--ca", &other.path("cert.pem")]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("TLS: invalid peer certificate"), "{error}");
    assert!(error.contains("see --ca and --insecure"), "{error}");
    let key = certificate.path("key.pem");
    for (flags, part) in [
        (["--ca", "/none.pem"], "Cannot use the certificates in /none.pem"),
        (["--ca", &key], "there is none"),
    ] {
        let (code, error) = run(&flags);
        assert!(code == Some(2) && error.contains(part), "{error}");
    }
    let flags = ["load", "ws://127.0.0.1:1/", "--insecure"];
    let output = command().args(flags).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn tls_begins_after_a_header_of_the_proxy_protocol() {
    let certificate = Certificate::new("tls-proxy");
    let mut server = certificate.start(&["--trusted-proxy", "127.0.0.1", "--proxy-protocol"]);
    let config = certificate.client(&[&TLS13]);
    let mut player = Peer::connect(server.addr);
    player.send(b"PROXY TCP4 198.51.100.7 127.0.0.1 4000 443\r\n");
    player.tls = Some(Box::new(tls(&config)));
    player.open("/ws?room=dots");
    player.until_text(&["state_update"]);
    assert!(server.until_logged("joined").contains("198.51.100.7"));
}

#[test]
fn a_player_comes_back_over_tls() {
    let certificate = Certificate::new("tls-resume");
    let server = certificate.start(&[]);
    let mut ann = certificate.connect(server.addr);
    ann.open("/ws?room=dots&resume=1");
    let init = ann.frame();
    let token = between(init.text(), "\"token\":\"", "\"").to_owned();
    let id = between(init.text(), "\"id\":\"", "\"").to_owned();
    ann.until_text(&["state_update"]);
    ann.reset();
    server.until_metric("skirmish_players_absent", 1);
    let mut ann = certificate.connect(server.addr);
    ann.open(&format!("/ws?room=dots&resume={token}"));
    assert_eq!(between(ann.frame().text(), "\"id\":\"", "\""), id);
    assert_eq!(server.metric("skirmish_resumes_total"), 1);
}
