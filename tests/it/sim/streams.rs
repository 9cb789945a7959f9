//! What a connection may begin with: a preface that tells the client's address, and a layer with a
//! handshake. The preface and the layer here are small ones of the tests; the loop is the real one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::resume_unwind;

use rand::SeedableRng;
use skirmish::close::CloseReason;
use skirmish::limits::{
    CONNECTIONS_AN_ADDRESS, HTTP_HEAD_MS, LINGER_MS, STALL_MS, TLS_HANDSHAKES_A_TURN,
    TLS_HANDSHAKES_US,
};
use skirmish::metrics::Refusal;
use skirmish::reactor::{
    Acceptor, BadPreface, CompletePreface, Layer, Phase, Turn, parse_proxy_header,
};
use skirmish::server::{ConnId, End, ListenerKind};
use skirmish::time::TICK_MS;

use super::fixture::{self, PORT, pages};
use super::network::{Network, Outcome, Owner, PLAYERS};
use super::simulated_socket::{Chunks, SimulatedSocket};
use crate::sim::SimRng;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const GREETING: &[u8] = b"HELLO\n";
const ANSWER: &[u8] = b"GO\n";
const ALERT: &[u8] = b"ALERT\n";
const CLOSING: &[u8] = b"BYE\n";
/// The maximum number of bytes of plaintext that the layer returns at once.
const PLAINTEXT_BYTES: usize = 7;

/// A layer that greets first, waits for an answer, and then inverts each byte.
#[derive(Debug)]
struct Inverter {
    awaited: &'static [u8],
    plaintext: VecDeque<u8>,
    output: Vec<u8>,
}

impl Inverter {
    fn boxed() -> Box<dyn Layer> {
        let (plaintext, output) = (VecDeque::new(), GREETING.to_vec());
        Box::new(Inverter { awaited: ANSWER, plaintext, output })
    }
}

impl Layer for Inverter {
    fn is_handshaking(&self) -> bool {
        !self.awaited.is_empty()
    }

    fn has_plaintext(&self) -> bool {
        !self.plaintext.is_empty()
    }

    fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    fn read(&mut self, socket: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.plaintext.is_empty() {
            let mut raw = [0; 1_000];
            let count = socket.read(&mut raw)?;
            if count == 0 {
                return Ok(0);
            }
            for byte in &raw[..count] {
                match self.awaited.split_first() {
                    None => self.plaintext.push_back(!byte),
                    Some((first, rest)) if first == byte => self.awaited = rest,
                    Some(_) => {
                        self.output.extend(ALERT);
                        return Err(ErrorKind::InvalidData.into());
                    }
                }
            }
        }
        let count = self.plaintext.len().min(buffer.len()).min(PLAINTEXT_BYTES);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buffer.iter_mut().zip(self.plaintext.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write(&mut self, socket: &mut dyn Write, slices: &[IoSlice]) -> io::Result<usize> {
        assert!(!self.is_handshaking() && !self.wants_write(), "the loop writes too early");
        let bytes = fixture::concat(slices);
        self.output.extend(bytes.iter().map(|byte| !byte));
        match self.flush(socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        while !self.output.is_empty() {
            let taken = socket.write(&self.output)?;
            self.output.drain(..taken);
        }
        Ok(())
    }

    fn close(&mut self) {
        self.output.extend(CLOSING);
    }
}

/// A preface `FROM ADDRESS` and a line feed.
fn parse_preface(bytes: &[u8]) -> Result<Option<CompletePreface>, BadPreface> {
    const START: &[u8] = b"FROM ";
    if bytes[..bytes.len().min(START.len())] != START[..bytes.len().min(START.len())] {
        return Err(BadPreface);
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let text = str::from_utf8(&bytes[START.len()..end]).map_err(|_| BadPreface)?;
    let client = text.parse().map_err(|_| BadPreface)?;
    Ok(Some(CompletePreface { bytes: end + 1, client: Some(client) }))
}

fn acceptor(has_preface: bool, has_layer: bool) -> Acceptor {
    Acceptor {
        kind: ListenerKind::Public,
        preface: has_preface.then_some(parse_preface),
        layer: has_layer.then_some(Box::new(Inverter::boxed)),
    }
}

fn turn(acceptor: Acceptor) -> Turn<Network> {
    let server = fixture::server(&[], 1, pages());
    Turn::new(Network::new(1), [Acceptor::from(ListenerKind::Admin), acceptor], server, 8_192)
}

fn socket(seed: u64) -> SimulatedSocket {
    SimulatedSocket::new(true, &mut SimRng::seed_from_u64(seed))
}

/// Connects a client that sends `bytes` at once.
fn connect(turn: &mut Turn<Network>, mut socket: SimulatedSocket, bytes: &[u8]) -> ConnId {
    socket.inbound.extend(bytes);
    turn.sockets_mut().connect(PLAYERS, Owner::Operator, PEER, socket);
    run(turn, 1);
    let connected = turn.sockets_mut().connected.pop().expect("it was accepted");
    assert_eq!(connected.outcome, Outcome::Opened);
    let id = connected.socket.id;
    turn.sockets_mut().operator = Some(connected.socket);
    id
}

/// Runs turns, without time passing.
fn run(turn: &mut Turn<Network>, turns: usize) {
    for _ in 0..turns {
        assert!(turn.run().expect("it waits").is_continue());
    }
}

/// Runs turns until `span_ms` have passed.
fn pass(turn: &mut Turn<Network>, span_ms: u64) {
    for _ in 0..span_ms.div_ceil(TICK_MS) {
        turn.sockets_mut().now_us += TICK_MS * 1_000;
        run(turn, 1);
    }
}

fn client(turn: &mut Turn<Network>) -> &mut SimulatedSocket {
    turn.sockets_mut().operator.as_mut().expect("it is connected")
}

fn send(turn: &mut Turn<Network>, bytes: &[u8]) {
    client(turn).inbound.extend(bytes);
}

/// What the client received since the last call.
fn received(turn: &mut Turn<Network>) -> Vec<u8> {
    client(turn).outbound.drain(..).collect()
}

fn phase(turn: &Turn<Network>, id: ConnId) -> Option<Phase> {
    turn.stream(id).map(skirmish::reactor::Stream::phase)
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\n\r\n").into_bytes()
}

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

#[test]
fn a_stream_has_a_preface_and_a_handshake_before_it_is_open() {
    // The seeds split the client's bytes differently.
    for seed in 0..20 {
        let mut turn = turn(acceptor(true, true));
        let id = connect(&mut turn, socket(seed), b"FROM 127.0");
        run(&mut turn, 50);
        assert_eq!(phase(&turn, id), Some(Phase::Preface));
        assert_eq!(received(&mut turn), b"", "the handshake begins after the preface");
        send(&mut turn, b".0.1\n");
        run(&mut turn, 50);
        assert_eq!(phase(&turn, id), Some(Phase::Handshake));
        assert_eq!(received(&mut turn), GREETING, "the server has nothing to send");
        send(&mut turn, &[ANSWER, &inverted(&request("/metrics"))].concat());
        run(&mut turn, 100);
        assert_eq!(phase(&turn, id), Some(Phase::Open));
        let response = String::from_utf8(inverted(&received(&mut turn))).expect("text");
        // They are for this machine only, which the peer is not.
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    }
}

#[test]
fn bytes_behind_the_preface_are_not_lost() {
    let all = |layered: bool| match layered {
        true => [b"FROM ::1\n", ANSWER, &inverted(&request("/metrics"))].concat(),
        false => [&b"FROM ::1\n"[..], &request("/metrics")].concat(),
    };
    for (seed, layered) in (0..20).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut turn = turn(acceptor(true, layered));
        connect(&mut turn, socket(seed), &all(layered));
        run(&mut turn, 150);
        let mut response = received(&mut turn);
        if layered {
            response = inverted(response.strip_prefix(GREETING).expect("the greeting"));
        }
        assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"), "seed {seed}, {layered}");
    }
}

#[test]
fn a_layer_begins_after_a_header_of_the_proxy_protocol() {
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc6\x33\x64\x07"[..], &[0; 8], b"\x04\0\0"];
    let v1 = [&b"PROXY TCP4 198.51.100.7 127.0.0.1 4711 443\r\n"[..]];
    for (seed, header) in (0..20).flat_map(|seed| [(seed, v1.concat()), (seed, v2.concat())]) {
        let mut turn =
            turn(Acceptor { preface: Some(parse_proxy_header), ..acceptor(false, true) });
        let rest = [ANSWER, &inverted(&request("/healthz"))].concat();
        connect(&mut turn, socket(seed), &[header, rest].concat());
        run(&mut turn, 150);
        let response = received(&mut turn);
        let response = inverted(response.strip_prefix(GREETING).expect("the greeting"));
        assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"), "seed {seed}");
    }
}

#[test]
fn plaintext_is_read_although_the_socket_is_empty() {
    let mut turn = turn(acceptor(false, true));
    connect(&mut turn, socket(1).with_chunks(Chunks::Whole), b"");
    run(&mut turn, 2);
    let request = request("/healthz");
    send(&mut turn, &[ANSWER, &inverted(&request)].concat());
    let mut reads = 0;
    while client(&mut turn).outbound.len() == GREETING.len() {
        assert!(reads < 1_000, "the request is not answered");
        // No event tells of the retained bytes, and no time passes.
        assert!(reads == 0 || turn.wait_us() == 0, "it waits after {reads} turns");
        run(&mut turn, 1);
        reads += 1;
    }
    assert!(reads >= request.len() / PLAINTEXT_BYTES, "{reads} turns for the request");
    run(&mut turn, 3);
    assert!(turn.wait_us() > 0, "nothing is left to read");
}

#[test]
fn a_handshake_goes_on_when_the_socket_takes_more() {
    let mut turn = turn(acceptor(false, true));
    let id = connect(&mut turn, socket(1).with_capacity(2), b"");
    let mut greeting = Vec::new();
    for _ in 0..GREETING.len() {
        run(&mut turn, 2);
        assert!(client(&mut turn).outbound.len() <= 2);
        greeting.extend(received(&mut turn));
    }
    assert_eq!(greeting, GREETING);
    send(&mut turn, ANSWER);
    run(&mut turn, 10);
    assert_eq!(phase(&turn, id), Some(Phase::Open));
}

#[test]
fn a_preface_or_handshake_that_stalls_ends_by_the_deadline() {
    for (acceptor, start, expected) in [
        (acceptor(true, true), &b"FROM 198.51"[..], Phase::Preface),
        (acceptor(false, true), &ANSWER[..1], Phase::Handshake),
    ] {
        let mut turn = turn(acceptor);
        let id = connect(&mut turn, socket(1), start);
        pass(&mut turn, HTTP_HEAD_MS - TICK_MS);
        assert_eq!((phase(&turn, id), turn.sockets_mut().ended.len()), (Some(expected), 0));
        pass(&mut turn, 2 * TICK_MS);
        assert_eq!(turn.sockets_mut().ended, [(id, End::Shut)], "{expected:?}");
        pass(&mut turn, LINGER_MS + TICK_MS);
        assert_eq!(turn.sockets_mut().ended.len(), 2, "{expected:?}");
        assert!(turn.server().is_empty() && turn.stream(id).is_none());
        assert_eq!(turn.server().metrics().closes(CloseReason::HttpIdle), 1);
    }
}

#[test]
fn a_broken_preface_or_handshake_ends_the_connection() {
    for (acceptor, start, last, end) in [
        (acceptor(true, true), &b"GET / HTTP/1.1\r\n"[..], &b""[..], End::Reset),
        (acceptor(true, false), b"FROM nowhere\n", b"", End::Reset),
        (acceptor(false, true), b"NO\n", ALERT, End::Close),
    ] {
        let mut turn = turn(acceptor);
        let id = connect(&mut turn, socket(1), start);
        run(&mut turn, 50);
        assert!(received(&mut turn).ends_with(last));
        assert_eq!(turn.sockets_mut().ended.last(), Some(&(id, end)));
        assert!(turn.server().is_empty());
        let is_of_preface = u64::from(end == End::Reset);
        assert_eq!(turn.server().metrics().closes(CloseReason::ProxyHeader), is_of_preface);
    }
}

// T49
#[test]
fn few_handshakes_go_on_in_a_turn() {
    let mut turn = turn(acceptor(false, true));
    for _ in 0..12 {
        let mut socket = socket(1).with_chunks(Chunks::Whole);
        socket.inbound.extend(ANSWER);
        turn.sockets_mut().connect(PLAYERS, Owner::Operator, PEER, socket);
    }
    let open = |turn: &Turn<Network>, ids: &[ConnId]| {
        ids.iter().filter(|id| phase(turn, **id) == Some(Phase::Open)).count()
    };
    run(&mut turn, 1);
    let accepted = &turn.sockets_mut().connected;
    let ids: Vec<ConnId> = accepted.iter().map(|connected| connected.socket.id).collect();
    assert_eq!((ids.len(), open(&turn, &ids)), (12, 0));
    let most = TLS_HANDSHAKES_A_TURN as usize;
    for expected in [most, 2 * most, 12] {
        assert_eq!(turn.wait_us(), 0, "T49: the others wait for the next turn only");
        run(&mut turn, 1);
        assert_eq!(open(&turn, &ids), expected);
    }
    run(&mut turn, 2);
    assert!(turn.wait_us() > 0, "nothing is left to read");
    assert_eq!(turn.server().metrics().tls_handshakes, 12);
}

#[test]
fn slow_handshakes_leave_time_for_the_rest_of_the_turn() {
    let mut turn = turn(acceptor(false, true));
    for _ in 0..3 {
        let mut socket = socket(1).with_chunks(Chunks::Whole);
        socket.inbound.extend(ANSWER);
        turn.sockets_mut().connect(PLAYERS, Owner::Operator, PEER, socket);
    }
    run(&mut turn, 1);
    // Each look at the clock, so each handshake, takes as long as all of a turn may take.
    turn.sockets_mut().step_us = TLS_HANDSHAKES_US;
    for handshakes in 1..=3 {
        assert_eq!(turn.wait_us(), 0, "the others wait for the next turn only");
        run(&mut turn, 1);
        assert_eq!(turn.server().metrics().tls_handshakes, handshakes);
    }
}

// T49
#[test]
fn newcomers_do_not_wait_for_handshakes_of_others() {
    let mut turn = turn(acceptor(false, true));
    let others = [5, 6, 7, 8].map(|last| IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)));
    for peer in others.iter().flat_map(|peer| [peer; CONNECTIONS_AN_ADDRESS as usize]) {
        let mut socket = socket(1).with_chunks(Chunks::Whole);
        socket.inbound.extend(ANSWER);
        turn.sockets_mut().connect(PLAYERS, Owner::Operator, *peer, socket);
    }
    run(&mut turn, 2);
    let most = u64::from(TLS_HANDSHAKES_A_TURN);
    assert_eq!(turn.server().metrics().tls_handshakes, most);
    let id = connect(&mut turn, socket(2).with_chunks(Chunks::Whole), ANSWER);
    run(&mut turn, 1);
    assert_eq!(phase(&turn, id), Some(Phase::Open));
    assert_eq!(turn.server().metrics().tls_handshakes, 3 * most, "the others wait");
    // Those of a second ago are forgotten: the address comes first again.
    turn.sockets_mut().now_us += 1_000_000;
    let id = connect(&mut turn, socket(2).with_chunks(Chunks::Whole), ANSWER);
    run(&mut turn, 1);
    assert_eq!(phase(&turn, id), Some(Phase::Open));
    run(&mut turn, 10);
    assert_eq!(turn.server().metrics().tls_handshakes, 4 * 12 + 2, "none is left behind");
    assert!(turn.wait_us() > 0, "nothing is left to read");
}

#[test]
fn a_peer_that_closes_early_is_forgotten() {
    for (has_preface, has_layer) in [(true, false), (true, true), (false, true)] {
        let mut turn = turn(acceptor(has_preface, has_layer));
        let id = connect(&mut turn, socket(1), b"");
        run(&mut turn, 2);
        client(&mut turn).end = Some(false);
        run(&mut turn, 2);
        assert_eq!(turn.sockets_mut().ended, [(id, End::Close)]);
        assert!(turn.server().is_empty());
    }
}

#[test]
fn a_layer_that_is_blocked_does_not_hide_a_slow_reader() {
    let mut turn = turn(acceptor(false, true));
    let id = connect(&mut turn, socket(1).with_capacity(20), ANSWER);
    run(&mut turn, 10);
    assert_eq!(phase(&turn, id), Some(Phase::Open));
    // The layer takes the whole first response, of which the socket takes 14 bytes.
    send(&mut turn, &inverted(&request("/healthz")));
    run(&mut turn, 100);
    send(&mut turn, &inverted(&request("/healthz")));
    run(&mut turn, 100);
    assert_eq!(client(&mut turn).outbound.len(), 20);
    pass(&mut turn, STALL_MS + LINGER_MS + 2 * TICK_MS);
    assert_eq!(turn.sockets_mut().ended, [(id, End::Reset)]);
    assert_eq!(turn.server().metrics().closes(CloseReason::Slow), 1);
}

#[test]
fn the_layer_writes_its_end_before_our_side_is_shut() {
    let mut turn = turn(acceptor(false, true));
    let id = connect(&mut turn, socket(1), ANSWER);
    let last = b"GET /healthz HTTP/1.0\r\n\r\n";
    send(&mut turn, &inverted(last));
    run(&mut turn, 100);
    assert_eq!(turn.sockets_mut().ended, [(id, End::Shut)]);
    let bytes = received(&mut turn);
    let response = bytes.strip_prefix(GREETING).and_then(|rest| rest.strip_suffix(CLOSING));
    assert!(inverted(response.expect("both ends")).ends_with(b"\r\n\r\nok\n"));
}

#[test]
fn the_address_of_the_preface_has_its_own_limits() {
    let mut turn = turn(acceptor(true, false));
    let connect_from = |turn: &mut Turn<Network>, address: &str| {
        let mut socket = socket(1);
        socket.inbound.extend(format!("FROM {address}\n").as_bytes());
        turn.sockets_mut().connect(PLAYERS, Owner::Operator, PEER, socket);
        run(turn, 50);
        turn.sockets_mut().ended.last().map(|(_, end)| *end)
    };
    for _ in 0..CONNECTIONS_AN_ADDRESS {
        assert_eq!(connect_from(&mut turn, "198.51.100.7"), None);
    }
    assert_eq!(connect_from(&mut turn, "198.51.100.8"), None, "the peer's own share is free");
    assert_eq!(turn.server().metrics().refusals(Refusal::AddressFull), 0);
    assert_eq!(connect_from(&mut turn, "198.51.100.7"), Some(End::Reset));
    assert_eq!(turn.server().metrics().refusals(Refusal::AddressFull), 1);
    assert_eq!(turn.server().metrics().closes(CloseReason::Policy), 1);
}

thread_local! {
    /// Where a layer or a preface panics next, once; at `length` a parser claims too many bytes.
    static PANICS_AT: Cell<&'static str> = const { Cell::new("") };
}

fn panic_once(at: &str) {
    if PANICS_AT.get() == at {
        PANICS_AT.set("");
        // This prints no message.
        resume_unwind(Box::new("a fault on demand"));
    }
}

/// An [`Inverter`] that panics once.
#[derive(Debug)]
struct Faulty(Box<dyn Layer>);

impl Faulty {
    fn boxed() -> Box<dyn Layer> {
        panic_once("make");
        Box::new(Faulty(Inverter::boxed()))
    }
}

impl Layer for Faulty {
    fn is_handshaking(&self) -> bool {
        panic_once("is_handshaking");
        self.0.is_handshaking()
    }

    fn has_plaintext(&self) -> bool {
        panic_once("has_plaintext");
        self.0.has_plaintext()
    }

    fn wants_write(&self) -> bool {
        panic_once("wants_write");
        self.0.wants_write()
    }

    fn read(&mut self, socket: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        panic_once("read");
        self.0.read(socket, buffer)
    }

    fn write(&mut self, socket: &mut dyn Write, slices: &[IoSlice]) -> io::Result<usize> {
        panic_once("write");
        self.0.write(socket, slices)
    }

    fn flush(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        panic_once("flush");
        self.0.flush(socket)
    }

    fn close(&mut self) {
        panic_once("close");
        self.0.close();
    }
}

fn parse_faulty_preface(bytes: &[u8]) -> Result<Option<CompletePreface>, BadPreface> {
    panic_once("preface");
    let Some(parsed) = parse_preface(bytes)? else { return Ok(None) };
    if PANICS_AT.get() == "length" {
        PANICS_AT.set("");
        return Ok(Some(CompletePreface { bytes: parsed.bytes + 1_000, ..parsed }));
    }
    Ok(Some(parsed))
}

// T56
#[test]
fn a_panic_of_a_layer_or_a_preface_ends_only_its_connection() {
    let last = inverted(b"GET /healthz HTTP/1.0\r\n\r\n");
    let all = [b"FROM 198.51.100.7\n", ANSWER, &last].concat();
    let layer =
        ["is_handshaking", "has_plaintext", "wants_write", "read", "flush", "write", "close"];
    for at in ["make", "preface", "length"].into_iter().chain(layer) {
        let acceptor = Acceptor {
            kind: ListenerKind::Public,
            preface: Some(parse_faulty_preface),
            layer: Some(Box::new(Faulty::boxed)),
        };
        let mut turn = turn(acceptor);
        let player = join(&mut turn);
        let player_socket = turn.sockets_mut().operator.take();
        PANICS_AT.set(at);
        let id = connect(&mut turn, socket(1), &all);
        run(&mut turn, 150);
        assert_eq!(PANICS_AT.get(), "", "{at} was reached");

        turn.sockets_mut().operator = player_socket;
        send(&mut turn, &inverted(&fixture::text(r#"{"type":"ping","t":7}"#)));
        run(&mut turn, 20);
        assert!(received_text(&mut turn).contains(r#""pong""#), "{at}: the player is answered");
        pass(&mut turn, LINGER_MS + 2 * TICK_MS);
        assert!(received_text(&mut turn).contains(r#""tick""#), "{at}: the player gets states");
        assert_eq!(phase(&turn, player), Some(Phase::Open), "{at}");
        assert_eq!(phase(&turn, id), None, "{at}: the connection has ended");
        assert!(turn.sockets_mut().ended.iter().all(|(ended, _)| *ended == id), "{at}");
        assert_eq!(turn.server().metrics().panics, u64::from(at != "length"), "{at}");

        connect(&mut turn, socket(2), &all);
        run(&mut turn, 150);
        let response = received(&mut turn);
        let response = response.strip_prefix(GREETING).and_then(|it| it.strip_suffix(CLOSING));
        let response = inverted(response.unwrap_or_else(|| panic!("{at}: a whole response")));
        assert!(response.ends_with(b"\r\n\r\nok\n"), "{at}");
    }
}

/// Joins over WebSocket.
fn join(turn: &mut Turn<Network>) -> ConnId {
    let handshake = inverted(&fixture::handshake("/"));
    let all = [b"FROM 198.51.100.1\n", ANSWER, &handshake].concat();
    let id = connect(turn, socket(1).with_chunks(Chunks::Whole), &all);
    run(turn, 100);
    assert!(received(turn).starts_with(&[GREETING, &inverted(b"HTTP/1.1 101 ")].concat()));
    id
}

/// What the client received since the last call, without the layer.
fn received_text(turn: &mut Turn<Network>) -> String {
    String::from_utf8_lossy(&inverted(&received(turn))).into_owned()
}
