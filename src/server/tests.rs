//! A panic ends no more than it must, and one peer has no more of a turn than its share.

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use super::*;
use crate::ws::{frame, handshake};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Serve,
}

const NOW: Millis = Millis(1);

fn server(flags: &[&str]) -> Server {
    let settings = Flags::parse_from(["server"].iter().chain(flags)).settings;
    let assets = Assets::embedded();
    let setup =
        Setup { settings, assets, ports: vec![1], connections_max: 9, seed: 1, secret: [1; 32] };
    Server::new(setup).expect("the settings are right")
}

/// A peer that asks to play; what the server says to it is thrown away.
fn join(server: &mut Server) -> ConnId {
    let id = server.open(IpAddr::V4(Ipv4Addr::LOCALHOST), NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    server.receive(id, &mut handshake::request("localhost:1", "/", key), NOW);
    taken(server, id);
    id
}

/// What waits for a peer, which takes it.
fn taken(server: &mut Server, id: ConnId) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 8];
    let count = server.slices(id, &mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    server.written(id, bytes.len(), bytes.len(), NOW);
    bytes
}

fn fault_frame() -> Vec<u8> {
    conn::close_frame(1011, "").bytes().to_vec()
}

#[test]
fn a_panic_over_one_peer_ends_that_peer_alone() {
    let mut server = server(&[]);
    let ann = join(&mut server);
    // A number that was used already is a fault of ours, which the world refuses to bear.
    server.state.next_player = 1;
    let bob = server.open(IpAddr::V4(Ipv4Addr::LOCALHOST), NOW).expect("no limits here");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let mut bytes = handshake::request("localhost:1", "/", key);
    let result = catch_unwind(AssertUnwindSafe(|| server.receive(bob, &mut bytes, NOW)));
    assert!(result.is_err(), "numbers count up");
    server.recover_receive(bob, NOW);
    assert!(taken(&mut server, bob).ends_with(&fault_frame()));
    server.tick(NOW);
    server.publish();
    assert!(taken(&mut server, ann).ends_with(b"\"tick\":1}"), "Ann plays on");
    assert_eq!(server.metrics().panics, 1);
    let mut move_up = Vec::new();
    let text = br#"{"type":"move","direction":"UP"}"#;
    frame::encode_masked(frame::TEXT, text, [1, 2, 3, 4], &mut move_up);
    assert_eq!(server.receive(ann, &mut move_up, NOW), Appetite::Hungry);
}

#[test]
fn a_panic_in_a_tick_ends_that_room_alone() {
    let mut server = server(&["--room", "dots=dots"]);
    let ann = join(&mut server);
    server.state.at_work = server.state.rooms.find("dots").map(AtWork::Room);
    server.recover_tick(NOW);
    assert_eq!(taken(&mut server, ann), fault_frame());
    assert_eq!(server.state.sessions.len(), 0);
    let bob = join(&mut server);
    server.tick(NOW);
    server.publish();
    assert!(taken(&mut server, bob).ends_with(b"\"tick\":1}"), "the room was made anew");
}

#[test]
fn of_many_messages_some_wait_for_the_next_turn() {
    let mut server = server(&[]);
    let ann = join(&mut server);
    let mut ping = Vec::new();
    frame::encode_masked(frame::TEXT, b"{}", [1, 2, 3, 4], &mut ping);
    let mut turns = vec![server.receive(ann, &mut ping.repeat(150), NOW)];
    while turns.last() == Some(&Appetite::Sated) {
        turns.push(server.receive(ann, &mut [], NOW));
    }
    assert_eq!(turns, [Appetite::Sated, Appetite::Sated, Appetite::Hungry]);
    assert_eq!(server.metrics().frames_in, 150);
}

#[test]
fn a_panic_over_a_deadline_ends_that_peer_alone() {
    let mut server = server(&[]);
    let (ann, bob) = (join(&mut server), join(&mut server));
    server.state.at_work = Some(AtWork::Conn(ann));
    server.recover_tick(NOW);
    assert_eq!(taken(&mut server, ann), fault_frame());
    assert_eq!(server.state.sessions.len(), 1);
    server.tick(NOW);
    server.publish();
    assert!(taken(&mut server, bob).ends_with(b"\"tick\":1}"), "Bob plays on");
}
