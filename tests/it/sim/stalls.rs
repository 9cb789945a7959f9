//! A delay of the server itself, or of its whole process, does not count as a delay of its peers:
//! the loop over simulated sockets, and a clock that jumps.

use std::net::{IpAddr, Ipv4Addr};

use rand::SeedableRng;
use skirmish::close::CloseReason;
use skirmish::limits::{ACCEPTS_A_TURN, GAME, LINGER_MS, POLL_ABSENCE_MS, POLL_HOLD_MS, STALL_MS};
use skirmish::reactor::Turn;
use skirmish::server::ListenerKind;
use skirmish::time::TICK_MS;

use super::fixture::{self, masked, pages};
use super::network::{Network, Outcome, Owner, PLAYERS};
use super::simulated_socket::SimulatedSocket;
use crate::sim::SimRng;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub fn turn(flags: &[&str]) -> Turn<Network> {
    let server = fixture::server(flags, 1, pages());
    Turn::new(Network::new(1), [ListenerKind::Admin, ListenerKind::Public], server, 8_192)
}

fn socket() -> SimulatedSocket {
    SimulatedSocket::new(true, &mut SimRng::seed_from_u64(1))
}

/// A client connects and sends `bytes`; the server has not accepted it yet.
pub fn send_on_new(turn: &mut Turn<Network>, bytes: &[u8]) {
    let mut socket = socket();
    socket.inbound.extend(bytes);
    turn.sockets_mut().connect(PLAYERS, Owner::Operator, CLIENT, socket);
}

/// Runs one turn and keeps the connection that was accepted in it.
pub fn run(turn: &mut Turn<Network>) {
    assert!(turn.run().expect("it waits").is_continue());
    let network = turn.sockets_mut();
    if let Some(connected) = network.connected.pop() {
        assert_eq!(connected.outcome, Outcome::Opened);
        network.operator = Some(connected.socket);
    }
}

/// Runs a turn on each tick until `span_ms` have passed.
pub fn pass(turn: &mut Turn<Network>, span_ms: u64) {
    for _ in 0..span_ms / TICK_MS {
        turn.sockets_mut().now_us += TICK_MS * 1_000;
        run(turn);
    }
}

/// The process does not run.
fn stall(turn: &mut Turn<Network>, span_ms: u64) {
    turn.sockets_mut().now_us += span_ms * 1_000;
}

pub fn client(turn: &mut Turn<Network>) -> &mut SimulatedSocket {
    turn.sockets_mut().operator.as_mut().expect("it is connected")
}

fn received(turn: &mut Turn<Network>) -> String {
    String::from_utf8_lossy(&client(turn).outbound.drain(..).collect::<Vec<u8>>()).into_owned()
}

fn closes(turn: &Turn<Network>, reason: CloseReason) -> u64 {
    turn.server().metrics().closes(reason)
}

/// A player over WebSocket.
fn player(turn: &mut Turn<Network>) {
    let mut socket = socket();
    socket.inbound.extend(fixture::handshake("/"));
    turn.sockets_mut().connect(PLAYERS, Owner::Operator, CLIENT, socket);
    (0..2).for_each(|_| run(turn));
    assert!(received(turn).contains("\"init\""));
}

/// Sends a request on a new connection and returns what the server sends within three turns.
fn ask(turn: &mut Turn<Network>, request: &str) -> String {
    send_on_new(turn, request.as_bytes());
    (0..3).for_each(|_| run(turn));
    received(turn)
}

/// A player between two polls. Returns its next poll.
fn polling_player(turn: &mut Turn<Network>) -> String {
    const PATH: &str = "/socket.io/?EIO=4&transport=polling";
    let rest = "HTTP/1.1\r\nHost: play.example\r\n";
    let open = ask(turn, &format!("GET {PATH} {rest}\r\n"));
    let sid = open.split('"').nth(3).expect("a sid");
    let target = format!("{PATH}&sid={sid}");
    let connect = format!("POST {target} {rest}Content-Length: 2\r\n\r\n40");
    assert!(ask(turn, &connect).ends_with("ok"));
    let poll = format!("GET {target} {rest}\r\n");
    assert!(ask(turn, &poll).contains("40{\"sid\""));
    poll
}

#[test]
fn a_client_between_two_polls_is_not_absent_if_the_server_did_not_read_its_next_poll() {
    let mut turn = turn(&[]);
    let poll = polling_player(&mut turn);
    for stall_ms in [POLL_ABSENCE_MS, POLL_ABSENCE_MS + 1_000] {
        stall(&mut turn, stall_ms);
        send_on_new(&mut turn, poll.as_bytes());
        (0..3).for_each(|_| run(&mut turn));
        assert_eq!(closes(&turn, CloseReason::PollAbsence), 0, "after {stall_ms} ms");
        pass(&mut turn, POLL_HOLD_MS + TICK_MS);
        assert!(received(&mut turn).contains("200 OK"), "after {stall_ms} ms");
    }
    pass(&mut turn, 2 * POLL_ABSENCE_MS);
    assert_eq!(closes(&turn, CloseReason::PollAbsence), 1, "the server did not stall");
}

#[test]
fn a_peer_has_time_to_answer_a_ping_that_the_server_sent_late() {
    let mut turn = turn(&[]);
    player(&mut turn);
    stall(&mut turn, 2 * GAME.silence_ms);
    let mut pings = 0;
    for _ in 0..GAME.silence_ms / TICK_MS {
        pass(&mut turn, TICK_MS);
        let output: Vec<u8> = client(&mut turn).outbound.drain(..).collect();
        if output.windows(2).any(|header| header == [0x89, 0]) {
            pings += 1;
            // The answer takes a second.
            pass(&mut turn, 1_000);
            client(&mut turn).inbound.extend(masked(0x8a, b""));
        }
    }
    assert!(pings > 0);
    assert_eq!(closes(&turn, CloseReason::PingTimeout), 0);
    pass(&mut turn, GAME.silence_ms + 4 * TICK_MS);
    assert_eq!(closes(&turn, CloseReason::PingTimeout), 1, "it has gone");
}

#[test]
fn a_reader_is_not_slow_if_the_server_did_not_write_to_it() {
    let mut turn = turn(&[]);
    player(&mut turn);
    let client_socket = turn.sockets_mut().operator.take();
    turn.sockets_mut().operator = client_socket.map(|socket| socket.with_capacity(10));
    for _ in 0..STALL_MS / 1_000 - 1 {
        pass(&mut turn, 1_000);
        client(&mut turn).inbound.extend(masked(0x8a, b""));
    }
    // It reads everything while the server does not run.
    stall(&mut turn, 5_000);
    client(&mut turn).outbound.clear();
    (0..3).for_each(|_| run(&mut turn));
    assert_eq!(closes(&turn, CloseReason::Slow), 0);
    assert!(!client(&mut turn).outbound.is_empty());
    client(&mut turn).inbound.extend(masked(0x8a, b""));
    pass(&mut turn, 9_000);
    assert_eq!(closes(&turn, CloseReason::Slow), 0, "it took a byte");
    pass(&mut turn, 1_000 + LINGER_MS + TICK_MS);
    assert_eq!(closes(&turn, CloseReason::Slow), 1);
}

// T21
#[test]
fn a_client_that_has_gone_ends_also_while_more_connect_than_the_server_accepts() {
    let mut turn = turn(&[]);
    polling_player(&mut turn);
    for _ in 0..(POLL_ABSENCE_MS + 2_000) / TICK_MS {
        for _ in 0..ACCEPTS_A_TURN + 1 {
            send_on_new(&mut turn, b"");
        }
        turn.sockets_mut().now_us += TICK_MS * 1_000;
        assert!(turn.run().expect("it waits").is_continue());
        turn.sockets_mut().connected.clear();
    }
    assert_eq!(closes(&turn, CloseReason::PollAbsence), 1);
}

/// It takes a fifth of the states, and gets space just before each tick.
#[test]
fn a_slow_reader_does_not_overload_the_server() {
    let mut turn = turn(&[]);
    let mut socket = socket().with_capacity(50);
    socket.inbound.extend(fixture::handshake("/"));
    turn.sockets_mut().connect(PLAYERS, Owner::Operator, CLIENT, socket);
    run(&mut turn);
    for _ in 0..100 {
        received(&mut turn);
        pass(&mut turn, TICK_MS);
    }
    let metrics = turn.server().metrics();
    assert_eq!(metrics.overload_steps, 0);
    assert!(metrics.snapshots_skipped > 50, "{} skipped", metrics.snapshots_skipped);
}
