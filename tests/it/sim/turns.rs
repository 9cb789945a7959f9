//! The loop over simulated sockets: one rule per test, for cases that the simulator rarely reaches.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;

use rand::SeedableRng;
use skirmish::limits::{ACCEPT_BACKOFF_MS, DRAIN_FLUSH_MS, READ_SLICE_US};
use skirmish::metrics::{Gauges, Text, TurnPhase};
use skirmish::reactor::Turn;
use skirmish::server::{End, ListenerKind};

use super::faults::{self, Armed, Victim};
use super::fixture::{self, pages};
use super::network::{
    ADMIN, LOST_CONNECTION_ERRORS, Network, Outcome, Owner, PLAYERS, RESOURCE_ERRORS,
};
use super::requests::{opening, polling, posting};
use super::simulated_socket::SimulatedSocket;
use crate::sim::SimRng;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn turn() -> Turn<Network> {
    let server = fixture::server(&[], 1, pages());
    Turn::new(Network::new(1), [ListenerKind::Admin, ListenerKind::Public], server, 8_192)
}

fn socket() -> SimulatedSocket {
    SimulatedSocket::new(true, &mut SimRng::seed_from_u64(1))
}

fn run(turn: &mut Turn<Network>) -> ControlFlow<()> {
    turn.run().expect("it waits")
}

/// Connects an operator and returns the result.
fn connect(turn: &mut Turn<Network>, listener: usize) -> Option<Outcome> {
    turn.sockets_mut().connect(listener, Owner::Operator, PEER, socket());
    assert_eq!(run(turn), ControlFlow::Continue(()));
    let network = turn.sockets_mut();
    let connected = network.connected.pop()?;
    if connected.outcome == Outcome::Opened {
        network.operator = Some(connected.socket);
    }
    Some(connected.outcome)
}

#[test]
fn it_waits_for_the_next_tick_and_no_longer() {
    let mut turn = turn();
    // A listener may have connections until it says that it has none.
    assert_eq!(turn.wait_us(), 0);
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    assert_eq!(turn.wait_us(), 50_000);
    turn.sockets_mut().now_us = 49_999;
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    assert_eq!((turn.server().metrics().ticks, turn.wait_us()), (0, 1));
    turn.sockets_mut().now_us = 170_000;
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    let metrics = turn.server().metrics();
    assert_eq!((metrics.ticks, metrics.ticks_missed), (1, 2));
    assert_eq!(turn.wait_us(), 30_000, "a late tick does not move the next one");
}

// T40
#[test]
fn an_accept_that_lacks_a_resource_is_tried_again_after_a_rest() {
    for error in RESOURCE_ERRORS {
        let mut turn = turn();
        turn.sockets_mut().accept_errors.push_back(error);
        assert_eq!(connect(&mut turn, PLAYERS), None);
        assert_eq!(turn.server().metrics().accept_backoffs, 1);
        assert_eq!(run(&mut turn), ControlFlow::Continue(()));
        assert!(turn.sockets_mut().connected.is_empty(), "it rests");
        turn.sockets_mut().now_us = ACCEPT_BACKOFF_MS * 1_000;
        assert_eq!(run(&mut turn), ControlFlow::Continue(()));
        assert_eq!(turn.sockets_mut().connected.pop().map(|it| it.outcome), Some(Outcome::Opened));
    }
}

// T40
#[test]
fn a_connection_that_ends_makes_room_for_the_next_at_once() {
    let mut turn = turn();
    assert_eq!(connect(&mut turn, PLAYERS), Some(Outcome::Opened));
    turn.sockets_mut().accept_errors.push_back(libc::EMFILE);
    assert_eq!(connect(&mut turn, PLAYERS), None);
    turn.sockets_mut().operator.as_mut().expect("it is connected").end = Some(true);
    let accepted = (0..3).any(|_| {
        assert_eq!(run(&mut turn), ControlFlow::Continue(()));
        turn.sockets_mut().connected.pop().is_some_and(|it| it.outcome == Outcome::Opened)
    });
    assert!(accepted, "its file descriptor is free");
    assert!(turn.sockets_mut().now_us < ACCEPT_BACKOFF_MS * 1_000);
}

#[test]
fn an_accept_that_fails_for_one_connection_does_not_delay_the_next() {
    for error in LOST_CONNECTION_ERRORS {
        let mut turn = turn();
        let network = turn.sockets_mut();
        network.accept_errors.push_back(error);
        network.connect(PLAYERS, Owner::Operator, PEER, socket());
        network.connect(PLAYERS, Owner::Operator, PEER, socket());
        assert_eq!(run(&mut turn), ControlFlow::Continue(()));
        let outcomes: Vec<_> = turn.sockets_mut().connected.iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [Outcome::Aborted, Outcome::Opened], "error {error}");
        assert_eq!(turn.server().metrics().accept_backoffs, 0);
    }
}

#[test]
fn an_interrupted_accept_is_tried_again_in_the_same_turn() {
    let mut turn = turn();
    turn.sockets_mut().accept_errors.push_back(libc::EINTR);
    assert_eq!(connect(&mut turn, PLAYERS), Some(Outcome::Opened));
    assert_eq!(turn.server().metrics().accept_backoffs, 0);
}

#[test]
fn a_panic_over_a_connection_that_cannot_be_watched_ends_only_that_connection() {
    let mut turn = turn();
    turn.sockets_mut().fails_watches = true;
    faults::arm(Armed::at("peer closed"));
    assert_eq!(connect(&mut turn, PLAYERS), Some(Outcome::Unwatched));
    assert!(matches!(faults::disarm(), Some(Victim::Connection(_))));
    assert_eq!(turn.server().metrics().panics, 1);
    assert!(turn.server().is_empty(), "the connection is closed");
}

#[test]
fn a_drain_closes_the_public_listener_and_ends_with_the_last_connection() {
    let mut turn = turn();
    assert_eq!(connect(&mut turn, ADMIN), Some(Outcome::Opened));
    assert!(turn.drain(10_000, false));
    assert!(!turn.drain(10_000, false), "it drains already");
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    let network = turn.sockets_mut();
    assert!(!network.connect(PLAYERS, Owner::Operator, PEER, socket()), "it is closed");
    assert!(network.connect(ADMIN, Owner::Operator, PEER, socket()), "it is open");
    network.operator.as_mut().expect("it is connected").end = Some(false);
    assert_eq!(run(&mut turn), ControlFlow::Continue(()), "another has come");
    let mut other = turn.sockets_mut().connected.pop().expect("it was accepted").socket;
    other.end = Some(true);
    turn.sockets_mut().operator = Some(other);
    let ended = (0..3).any(|_| run(&mut turn) == ControlFlow::Break(()));
    assert!(ended && turn.server().is_empty());
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    let mut turn = turn();
    assert_eq!(connect(&mut turn, ADMIN), Some(Outcome::Opened));
    turn.drain(10_000, false);
    turn.sockets_mut().now_us = (10_000 + DRAIN_FLUSH_MS) * 1_000 - 1;
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    turn.sockets_mut().now_us += 1;
    assert_eq!(run(&mut turn), ControlFlow::Break(()));
    assert!(!turn.server().is_empty(), "one is still connected");
}

#[test]
fn the_loop_ends_if_it_cannot_wait() {
    let mut turn = turn();
    turn.sockets_mut().fails_waits = true;
    assert!(turn.run().is_err());
}

// T81
#[test]
fn a_long_turn_is_visible_in_the_metrics() {
    let mut turn = turn();
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    let phases =
        [TurnPhase::Read, TurnPhase::Tick, TurnPhase::Accept, TurnPhase::Flush, TurnPhase::Reap];
    assert!(phases.iter().all(|phase| turn.server().metrics().longest_us(*phase) == 0));
    // Each reading of the clock takes this long, so each phase does.
    turn.sockets_mut().step_us = 80_000;
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    turn.sockets_mut().step_us = 0;
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    for phase in phases {
        assert!(turn.server().metrics().longest_us(phase) >= 80_000, "{phase:?}");
    }
    // The work between two turns counts for the next one.
    let start_us = turn.sockets_mut().now_us;
    turn.sockets_mut().now_us += 20_000;
    turn.record_between(start_us);
    for _ in 0..2 {
        assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    }
    let mut text = Text::default();
    turn.server().metrics().write(&Gauges::default(), &mut text);
    let text = text.into_string();
    for line in [
        "skirmish_turn_seconds_count 5",
        "skirmish_turn_seconds_bucket{le=\"0.01\"} 3",
        "skirmish_turn_seconds_bucket{le=\"0.02\"} 4",
        "skirmish_turn_longest_seconds{phase=\"between\"} 0.02",
        "skirmish_turn_longest_seconds{phase=\"reap\"} 0.08",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
    }
}

#[test]
fn reads_are_cut_short_while_states_wait_to_be_written() {
    let server = fixture::server(&[], 1, pages());
    let listeners = [ListenerKind::Admin, ListenerKind::Public];
    let mut turn = Turn::new(Network::new(1), listeners, server, 64);
    let connect = |turn: &mut Turn<Network>, number: u8, bytes: &[u8]| {
        let mut socket = SimulatedSocket::new(true, &mut SimRng::seed_from_u64(4));
        socket.inbound.extend(bytes);
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
        turn.sockets_mut().connect(PLAYERS, Owner::Operator, peer, socket);
    };
    let tick = |turn: &mut Turn<Network>| {
        turn.sockets_mut().now_us += 50_000;
        assert_eq!(run(turn), ControlFlow::Continue(()));
    };
    for number in 0..100 {
        connect(&mut turn, number, &fixture::handshake("/"));
    }
    (0..40).for_each(|_| tick(&mut turn));
    assert_eq!(turn.server().metrics().joins, 100);
    // Long requests, which are read 64 bytes at a time.
    let head = format!("GET /?{} HTTP/1.1\r\n", "x".repeat(3_000));
    (100..200).for_each(|number| connect(&mut turn, number, head.as_bytes()));
    (0..2).for_each(|_| assert_eq!(run(&mut turn), ControlFlow::Continue(())));
    let reads = |turn: &mut Turn<Network>| {
        let sockets = turn.sockets_mut().connected.iter_mut();
        sockets.map(|it| std::mem::take(&mut it.socket.reads)).sum::<u32>()
    };
    reads(&mut turn);
    assert_eq!(run(&mut turn), ControlFlow::Continue(()));
    assert_eq!(reads(&mut turn), 100, "no state waits");
    turn.sockets_mut().step_us = READ_SLICE_US / 2;
    tick(&mut turn);
    let mut turns = 0;
    while !turn.is_flushed() {
        reads(&mut turn);
        assert_eq!(run(&mut turn), ControlFlow::Continue(()));
        assert!((16..=32).contains(&reads(&mut turn)), "two looks at the clock");
        turns += 1;
    }
    assert!(turns >= 2, "the states did not wait");
}

/// What its client sent behind it makes no difference.
#[test]
fn a_poll_for_which_something_waits_is_answered_although_its_client_sends_no_more() {
    for behind in ["", "\r\n"] {
        let mut turn = turn();
        let mut exchange = |bytes: Vec<u8>, is_last: bool| {
            if let Some(client) = &mut turn.sockets_mut().operator {
                client.inbound.extend(bytes);
                client.end = is_last.then_some(false);
            } else {
                let mut client = socket();
                client.inbound.extend(bytes);
                turn.sockets_mut().connect(PLAYERS, Owner::Operator, PEER, client);
            }
            for _ in 0..3 {
                assert_eq!(run(&mut turn), ControlFlow::Continue(()));
                let network = turn.sockets_mut();
                let connected = network.connected.pop().map(|connected| connected.socket);
                network.operator = connected.or(network.operator.take());
            }
            let network = turn.sockets_mut();
            let client = network.operator.as_mut().expect("it is connected");
            let bytes = client.outbound.drain(..).collect();
            (String::from_utf8(bytes).expect("text"), std::mem::take(&mut network.ended))
        };
        let (opened, _) = exchange(opening(""), false);
        let sid = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let sid = sid.expect("an open packet").to_owned();
        let (posted, _) = exchange(posting(&sid, "40"), false);
        assert!(posted.ends_with("ok"), "{posted}");
        let (polled, ended) = exchange([&polling(&sid), behind.as_bytes()].concat(), true);
        assert!(polled.contains("40{"), "{behind:?}: {polled}");
        assert!(matches!(ended[..], [(_, End::Close)]), "{behind:?}: {ended:?}");
    }
}
