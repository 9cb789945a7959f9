//! A client with TLS over simulated sockets, whose bytes are split and delayed anywhere.

use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rand::SeedableRng;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use skirmish::http::Assets;
use skirmish::limits::{STALL_MS, TLS_HANDSHAKE_BYTES_MAX, TLS_RECORD_BYTES};
use skirmish::reactor::{Acceptor, TlsSession, Turn};
use skirmish::server::{ConnId, ListenerKind};
use skirmish::time::TICK_MS;

use super::fixture::{self, PORT, pages};
use super::network::{Network, Outcome, Owner, PLAYERS};
use super::simulated_socket::SimulatedSocket;
use crate::sim::SimRng;

/// A server with TLS and one client.
struct Pair {
    turn: Turn<Network>,
    id: ConnId,
    tls: ClientConnection,
    /// Plaintext that the client has received.
    received: Vec<u8>,
    has_ended: bool,
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let der: CertificateDer<'static> = cert.der().clone();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let server = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .expect("they belong together");
    let mut roots = RootCertStore::empty();
    roots.add(der).expect("a certificate");
    let client = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

impl Pair {
    /// The client connects from another machine over a socket with faults of this seed.
    fn new(seed: u64, assets: Assets) -> Pair {
        let (server_config, client_config) = configs();
        let layer = move || {
            let session = TlsSession::new(&server_config).expect("random numbers");
            Box::new(session) as Box<dyn skirmish::reactor::Layer>
        };
        let acceptor =
            Acceptor { layer: Some(Box::new(layer)), ..Acceptor::from(ListenerKind::Public) };
        let server = fixture::server(&[], seed, assets);
        let acceptors = [Acceptor::from(ListenerKind::Admin), acceptor];
        let mut turn = Turn::new(Network::new(seed), acceptors, server, 8_192);
        let peer: IpAddr = "192.0.2.1".parse().expect("an address");
        let mut rng = SimRng::seed_from_u64(seed);
        // Accepts may fail at random.
        let id = loop {
            let socket = SimulatedSocket::new(false, &mut rng);
            turn.sockets_mut().connect(PLAYERS, Owner::Operator, peer, socket);
            for _ in 0..5 {
                turn.sockets_mut().now_us += TICK_MS * 1_000;
                assert!(turn.run().expect("it waits").is_continue());
            }
            match turn.sockets_mut().connected.pop() {
                Some(connected) if connected.outcome == Outcome::Opened => {
                    let id = connected.socket.id;
                    turn.sockets_mut().operator = Some(connected.socket);
                    break id;
                }
                _ => {}
            }
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(client_config, name).expect("a connection");
        Pair { turn, id, tls, received: Vec::new(), has_ended: false }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("it is buffered");
    }

    /// One turn of the loop, and what both sides send meanwhile.
    fn run(&mut self) {
        let socket = self.turn.sockets_mut().operator.as_mut().expect("it is connected");
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).expect("memory");
        }
        socket.inbound.extend(&out);
        let bytes: Vec<u8> = socket.outbound.drain(..).collect();
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).expect("it takes all");
            let state = self.tls.process_new_packets().expect("valid TLS");
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            match self.tls.reader().read_exact(&mut plain) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                Ok(()) => self.received.extend(plain),
            }
            self.has_ended |= state.peer_has_closed();
        }
        assert!(self.turn.run().expect("it waits").is_continue());
    }

    /// Runs until the client has received what `is_done` wants.
    fn until(&mut self, what: &str, is_done: impl Fn(&Pair) -> bool) {
        for turns in 0.. {
            if is_done(self) {
                return;
            }
            assert!(turns < 20_000, "{what}: {} bytes", self.received.len());
            if turns % 10 == 0 {
                self.turn.sockets_mut().now_us += TICK_MS * 1_000 / 5;
            }
            self.run();
        }
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\n\r\n").into_bytes()
}

/// The text of the frames from the server.
fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn responses_and_states_are_whole_however_the_bytes_are_split() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/www/shared/v1.js");
    let page = std::fs::read(script).expect("a script");
    assert!(page.len() > TLS_RECORD_BYTES);
    for seed in 0..24 {
        let mut pair = Pair::new(seed, fixture::assets());
        pair.send(&request("/shared/v1.js"));
        pair.until("the page", |pair| pair.received.ends_with(&page));
        pair.received.clear();
        pair.send(&fixture::handshake("/ws?room=dots"));
        pair.until("a state", |pair| contains(&pair.received, r#""type":"state_update""#));
        pair.received.clear();
        pair.send(&fixture::text(r#"{"type":"ping","t":7}"#));
        pair.until("a pong", |pair| contains(&pair.received, r#""pong""#));
        assert_eq!(pair.turn.server().metrics().tls_handshakes, 1, "seed {seed}");
        pair.turn.drain(0, false);
        pair.until("the end", |pair| pair.has_ended);
        assert_eq!(pair.turn.server().metrics().panics, 0);
    }
}

#[test]
fn a_last_response_is_whole_also_for_a_peer_that_sends_no_more() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/www/shared/v1.js");
    let page = std::fs::read(script).expect("a script");
    for (seed, is_half_closed) in (0..24).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut pair = Pair::new(seed, fixture::assets());
        pair.until("the handshake", |pair| !pair.tls.is_handshaking());
        pair.send(b"GET /shared/v1.js HTTP/1.0\r\nHost: localhost\r\n\r\n");
        pair.run();
        if is_half_closed {
            let socket = pair.turn.sockets_mut().operator.as_mut().expect("it is connected");
            socket.end = Some(false);
        }
        pair.until("the page", |pair| pair.received.ends_with(&page));
    }
}

/// A client that has asked for a page, has ended TLS, and reads nothing from a small socket.
fn ended(has_fin: bool) -> Pair {
    let mut pair = Pair::new(4, fixture::assets());
    pair.until("the handshake", |pair| !pair.tls.is_handshaking());
    let socket = pair.turn.sockets_mut().operator.take().expect("it is connected");
    pair.turn.sockets_mut().operator = Some(socket.with_capacity(1_000));
    pair.send(b"GET /shared/v1.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
    pair.tls.send_close_notify();
    pair.run();
    let socket = pair.turn.sockets_mut().operator.as_mut().expect("it is connected");
    socket.end = has_fin.then_some(false);
    pair
}

#[test]
fn a_peer_that_ends_tls_behind_a_request_gets_the_whole_response() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/www/shared/v1.js");
    let page = std::fs::read(script).expect("a script");
    for has_fin in [false, true] {
        let mut pair = ended(has_fin);
        let id = pair.id;
        pair.until("the end", |pair| pair.turn.stream(id).is_none());
        pair.run();
        assert!(pair.received.ends_with(&page));
    }
}

#[test]
fn a_peer_that_has_ended_tls_does_not_keep_the_loop_awake() {
    for has_fin in [false, true] {
        let mut pair = ended(has_fin);
        let mut ticks = 0;
        // Until it is closed as slow, and the time to read the rest is over.
        while pair.turn.stream(pair.id).is_some() {
            pair.turn.sockets_mut().now_us += TICK_MS * 1_000;
            for _ in 0..20 {
                assert!(pair.turn.run().expect("it waits").is_continue());
            }
            assert!(pair.turn.wait_us() > 0, "it is awake after {ticks} ticks");
            ticks += 1;
        }
        assert!(ticks > STALL_MS / TICK_MS, "{ticks}");
    }
}

// T49
#[test]
fn a_hello_that_is_too_long_is_refused() {
    let mut pair = Pair::new(3, pages());
    let socket = pair.turn.sockets_mut().operator.as_mut().expect("it is connected");
    // A hello of 60,000 bytes, most of which never come.
    let hello = [&[1, 0, 0xea, 0x60, 3, 3][..], &[b'a'; TLS_HANDSHAKE_BYTES_MAX]].concat();
    for record in hello.chunks(16_000) {
        socket.inbound.extend([22, 3, 1]);
        socket.inbound.extend((record.len() as u16).to_be_bytes());
        socket.inbound.extend(record);
    }
    let id = pair.id;
    pair.until("the end", |pair| pair.turn.stream(id).is_none());
    assert_eq!(pair.turn.server().metrics().tls_handshakes_failed, 1);
}
