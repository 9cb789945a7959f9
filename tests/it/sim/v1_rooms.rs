//! Random rooms with clients of skirmish.v1 that lag: a map of many cells, and events.

use rand::{RngExt, SeedableRng};
use skirmish::codec::json::ServerMessage;
use skirmish::codec::v1::Course;
use skirmish::codec::v1::client::{ClientMessage, Input};
use skirmish::codec::v1::server::Event;
use skirmish::game::{BATTLE, Ground, Rect, Rules};
use skirmish::server::ConnId;
use skirmish::ws::frame;

use super::fixture::{self, Fixture, text};
use super::v1_peer::Peer;
use crate::sim::SimRng;

const MAP: Rect = Rect { left: 0, top: 0, right: 3_000, bottom: 2_400 };
#[rustfmt::skip]
static WIDE: Rules = Rules {
    name: "wide",
    ground: Ground { map: MAP, walls: MAP, spawn: MAP },
    step: 60,
    ..BATTLE
};
/// From the documentation: width and height of what a client sees.
const VIEW: [u16; 2] = [1_024, 768];

/// Where a player is.
type Place = (u16, u16);

/// The places in the newest state that a JSON client receives, and its tick.
fn state(fixture: &mut Fixture, id: ConnId) -> (Vec<Place>, u32) {
    let bytes = fixture.take(id);
    let payloads = frame::payloads(&bytes).map(|(_, payload)| payload);
    let states = payloads.filter_map(|payload| match serde_json::from_slice(payload) {
        Ok(ServerMessage::StateUpdate { players, tick }) => {
            Some((players.iter().map(|player| (player.x, player.y)).collect(), tick))
        }
        _ => None,
    });
    states.last().expect("a state")
}

/// A client has the bodies of the cells that it holds, and all that it sees.
fn check(peer: &Peer, players: &[Place], tick: u32) {
    let head = peer.model.head().expect("a tick");
    assert_eq!(head.tick.0, tick);
    let schema = peer.model.welcome.as_ref().expect("it came first").schema();
    let [width, height] = VIEW;
    let is_seen =
        |(x, y): &&Place| x.abs_diff(head.x) <= width / 2 && y.abs_diff(head.y) <= height / 2;
    let mut seen = 0;
    for (cell, list) in peer.model.cells() {
        let mut places: Vec<Place> = list.bodies().iter().map(|it| (it.x, it.y)).collect();
        let there = players.iter().filter(|(x, y)| schema.cell(*x, *y) == cell);
        let mut expected: Vec<Place> = there.copied().collect();
        places.sort_unstable();
        expected.sort_unstable();
        assert_eq!(places, expected, "cell {cell} on tick {tick}");
        seen += places.iter().filter(is_seen).count();
    }
    assert_eq!(seen, players.iter().filter(is_seen).count(), "seen on tick {tick} from {head:?}");
}

#[test]
fn clients_that_lag_on_a_wide_map_have_what_they_see() {
    let server = fixture::server_of(&[&WIDE], &[], 7, fixture::pages());
    let mut fixture = Fixture { server, now: Default::default(), panics: 0 };
    let mut rng = SimRng::seed_from_u64(1);
    let json = fixture.join("/ws?room=wide");
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::join(&mut fixture, "/ws?room=wide")).collect();
    let (mut compared, mut late, mut keyframes) = (0, 0, 0);
    for round in 0..250 {
        for peer in &mut peers {
            match rng.random_range(0..30) {
                0..3 => peer.hold(&mut fixture, Course::ALL[rng.random_range(0..5)]),
                3 if round % 5 == 0 => peer.send(&mut fixture, ClientMessage::Resync),
                _ if round % 10 == 0 => peer.hold(&mut fixture, Course::Left),
                _ => {}
            }
        }
        if round % 9 == 0 {
            let peer = peers.swap_remove(rng.random_range(0..peers.len()));
            (late, keyframes) =
                (late + peer.model.coverage.late, keyframes + peer.model.coverage.keyframes);
            fixture.server.peer_closed(peer.id, true, fixture.now);
            fixture.ended(peer.id);
            peers.push(Peer::join(&mut fixture, "/ws?room=wide"));
        }
        fixture.tick();
        let (players, tick) = state(&mut fixture, json);
        for peer in &mut peers {
            match rng.random_range(0..10) {
                0..4 => continue,
                4 => {
                    let cut = rng.random_range(0..200);
                    drop(peer.receive_up_to(&mut fixture, cut));
                    continue;
                }
                _ => drop(peer.receive(&mut fixture)),
            }
            if peer.model.head().is_some_and(|head| head.tick.0 == tick) {
                check(peer, &players, tick);
                compared += 1;
            }
        }
        if round % 50 == 49 {
            fixture.send(json, &text(r#"{"type":"ping","t":1}"#));
        }
    }
    assert!(compared > 1_000 && late > 100 && keyframes > 20, "{compared}, {late}, {keyframes}");
}

#[test]
fn events_come_once_and_in_order_whatever_a_client_reads() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut rng = SimRng::seed_from_u64(1);
    let mut peers: Vec<Peer> =
        (0..4).map(|_| Peer::join(&mut fixture, "/ws?room=battle")).collect();
    let mut events: Vec<Vec<Event>> = vec![Vec::new(); peers.len()];
    fixture.tick();
    for peer in &mut peers {
        peer.receive(&mut fixture);
    }
    // The first reads everything, one has a low rate, one stalls, and one asks for keyframes.
    peers[1].send(&mut fixture, ClientMessage::Rate(1));
    let mut stall = 0;
    for round in 1..=600_u16 {
        let seq = round;
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.model.first.get_or_insert((seq, 0));
            let presses = (round / 20 % 32) as u8;
            let direction = Course::ALL[usize::from(round) / 7 % 5];
            if index < 2 {
                let ack = peer.ack();
                let input = Input { direction, presses, seq, ack, ..Input::default() };
                peer.send(&mut fixture, ClientMessage::Input(input));
            }
        }
        if rng.random_ratio(1, 15) {
            let asks = [1, 3][rng.random_range(0..2)];
            peers[asks].send(&mut fixture, ClientMessage::Resync);
        }
        fixture.tick();
        stall = if stall == 0 { rng.random_range(0..25) } else { stall - 1 };
        for (index, peer) in peers.iter_mut().enumerate() {
            let most = match index {
                2 if stall > 0 && round < 600 => rng.random_range(0..30),
                _ => usize::MAX,
            };
            for message in peer.receive_up_to(&mut fixture, most).0 {
                events[index].extend(message.events);
            }
        }
    }
    // The ticks of the room are divisible by 20 now, but for one.
    for _ in 0..19 {
        fixture.tick();
        for (index, peer) in peers.iter_mut().enumerate() {
            for message in peer.receive(&mut fixture) {
                events[index].extend(message.events);
            }
        }
    }
    assert!(events[0].len() > 50, "{}", events[0].len());
    for index in 1..4 {
        assert_eq!(events[index], events[0], "client {index}");
    }
}
