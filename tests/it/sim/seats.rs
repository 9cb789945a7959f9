//! Addresses that take the seats of a room or the sessions of the server, and players of other
//! addresses that want some.

use skirmish::limits::IDLE_SESSIONS_MAX;
use skirmish::metrics::Refusal;
use skirmish::server::ConnId;
use skirmish::ws::frame;

use super::client_model::Packet;
use super::fixture::{Fixture, handshake, text};
use super::requests::opening;
use super::scripted_client::ScriptedClient;

const SOCKETIO: &str = "/socket.io/?EIO=4&transport=websocket";

/// Asks to join the default room over JSON or Socket.IO, and returns the answer.
fn ask(fixture: &mut Fixture, peer: &str, is_socketio: bool) -> (ConnId, String) {
    let id = fixture.open(peer);
    if is_socketio {
        fixture.send(id, &handshake(SOCKETIO));
        fixture.send(id, &text("40"));
    } else {
        fixture.send(id, &handshake("/ws?room=battle"));
    }
    // An address may join ten times per second.
    fixture.now = fixture.now.after(100);
    (id, read(fixture, id))
}

fn read(fixture: &mut Fixture, id: ConnId) -> String {
    String::from_utf8_lossy(&fixture.take(id)).into_owned()
}

fn has_joined(answer: &str) -> bool {
    answer.contains("\"init\"") || answer.contains("40{\"sid\"")
}

// T74
#[test]
fn two_addresses_do_not_keep_a_room_of_400() {
    const HOLDERS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
    let mut fixture = Fixture::with_small_pages(&["--room-players-max", "400"]);
    let mut holders = Vec::new();
    for number in 0..400 {
        let (id, answer) = ask(&mut fixture, HOLDERS[number % 2], number % 4 < 2);
        assert!(has_joined(&answer), "player {number}: {answer}");
        holders.push(id);
    }
    // Of the first 40 players, those of the second address play: they stay.
    for (number, id) in holders.iter().enumerate().take(40).skip(1).step_by(2) {
        let act = if number % 4 < 2 { r#"42["attack",{}]"# } else { r#"{"type":"attack"}"# };
        fixture.send(*id, &text(act));
    }
    for newcomer in 0..20 {
        assert!(!has_joined(&ask(&mut fixture, HOLDERS[newcomer % 2], false).1), "it has enough");
        let peer = format!("198.51.100.{newcomer}");
        let (_, answer) = ask(&mut fixture, &peer, newcomer % 2 == 0);
        assert!(has_joined(&answer), "newcomer {newcomer}: {answer}");
    }
    let metrics = fixture.server.metrics();
    assert_eq!((metrics.joins, metrics.refusals(Refusal::RoomShare)), (420, 20));
    let mut given = Vec::new();
    for (number, id) in holders.into_iter().enumerate() {
        let output = fixture.take(id);
        let is_plain = number % 4 >= 2;
        let code: u16 = if is_plain { 4013 } else { 1013 };
        if output.windows(4).any(|four| four[0] == 0x88 && four[2..] == code.to_be_bytes()) {
            let has_hint = String::from_utf8_lossy(&output).contains(r#"{"retry_ms":"#);
            assert_eq!(has_hint, is_plain, "only plain WebSockets have a hint");
            given.push(number);
        }
    }
    // The first address gives one, then the second has the most, and so on.
    let idlest = (0..20).step_by(2).chain((41..60).step_by(2));
    assert_eq!(given, idlest.collect::<Vec<_>>());
    fixture.tick();
}

#[test]
fn a_player_of_an_address_with_its_share_keeps_its_seat() {
    let mut fixture = Fixture::with_small_pages(&["--room-players-max", "40"]);
    let mut ids = Vec::new();
    for number in 0..40 {
        // Four addresses of ten players: a quarter each.
        let (id, answer) = ask(&mut fixture, &format!("192.0.2.{}", number % 4), false);
        assert!(has_joined(&answer), "player {number}: {answer}");
        ids.push(id);
    }
    for newcomer in 0..50 {
        let (_, answer) = ask(&mut fixture, &format!("198.51.100.{newcomer}"), false);
        assert!(answer.contains(r#"{"retry_ms":"#), "newcomer {newcomer}: {answer}");
    }
    assert_eq!(fixture.server.metrics().refusals(Refusal::RoomShare), 0);
    // Local players have no share: they neither count nor give way.
    drop(fixture);
    let mut fixture = Fixture::with_small_pages(&["--room-players-max", "8"]);
    for _ in 0..8 {
        assert!(has_joined(&ask(&mut fixture, "127.0.0.1", false).1));
    }
    assert!(!has_joined(&ask(&mut fixture, "192.0.2.1", false).1));
}

#[test]
fn local_players_keep_their_seats_in_a_network_that_gives_some() {
    // Loopback has no limits, and the next address is in the same network of IPv6.
    let (local, neighbour) = ("::1", "::2");
    let mut fixture = Fixture::with_small_pages(&["--room-players-max", "12"]);
    let mut players = Vec::new();
    for number in 0..12 {
        let peer = if number < 4 { local } else { neighbour };
        let (id, answer) = ask(&mut fixture, peer, number % 2 == 0);
        assert!(has_joined(&answer), "player {number}: {answer}");
        players.push(id);
    }
    for newcomer in 0..3 {
        let (_, answer) = ask(&mut fixture, &format!("198.51.100.{newcomer}"), false);
        assert!(has_joined(&answer), "newcomer {newcomer}: {answer}");
    }
    let is_closed = |number: &usize| {
        let output = fixture.take(players[*number]);
        frame::payloads(&output).last().is_some_and(|(opcode, _)| opcode == frame::CLOSE)
    };
    let closed: Vec<usize> = (0..12).filter(is_closed).collect();
    assert_eq!(closed, [4, 5, 6], "the idlest of the neighbour");
}

// T74
#[test]
fn addresses_with_most_of_the_unclaimed_sessions_give_some_to_others() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut begin = |peer: &str| {
        let id = fixture.open(peer);
        fixture.send(id, &opening(""));
        let begun = read(&mut fixture, id).starts_with("HTTP/1.1 200 ");
        fixture.server.peer_closed(id, true, fixture.now);
        fixture.server.take_ended(&mut Vec::new());
        begun
    };
    let holder = |number: u32| format!("192.0.2.{}", number % 65);
    (0..IDLE_SESSIONS_MAX).for_each(|number| assert!(begin(&holder(number)), "{number}"));
    // All of them ask again in the same turn, and use up none of the searches.
    (0..650).for_each(|number| assert!(!begin(&holder(number)), "{number} has its share"));
    for newcomer in 0..20 {
        assert!(begin(&format!("198.51.100.{newcomer}")), "newcomer {newcomer}");
    }
}

#[test]
fn floods_of_unclaimed_sessions_from_many_addresses_keep_no_newcomer_out() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let address = |number: u32| format!("198.18.{}.{}", number / 256, number % 256);
    // More in one turn than the server searches for in ten seconds. After each 500 a newcomer joins
    // that has begun before them, and the next one begins.
    let mut newcomer: Option<ScriptedClient> = None;
    for number in 0..IDLE_SESSIONS_MAX + 2_000 {
        let id = fixture.open(&address(number));
        fixture.send(id, &opening(""));
        assert!(read(&mut fixture, id).starts_with("HTTP/1.1 200 "), "{number}");
        fixture.server.peer_closed(id, true, fixture.now);
        fixture.server.take_ended(&mut Vec::new());
        if number.is_multiple_of(500) {
            if let Some(mut client) = newcomer {
                client.connect(&mut fixture, "battle-1");
                let joined = client.receive_packets(&mut fixture);
                assert!(
                    matches!(joined.first(), Some(Packet::Connected(_))),
                    "{number}: {joined:?}"
                );
            }
            let peer = format!("203.0.113.{}", number / 500);
            newcomer = Some(ScriptedClient::open(&mut fixture, &peer));
        }
    }
    fixture.server.check_accounts().expect("every session is counted once");
    assert_eq!(fixture.server.metrics().refusals(Refusal::Full), 0);
}

#[test]
fn one_address_does_not_keep_all_rooms() {
    const HOLDER: &str = "192.0.2.1";
    let mut fixture = Fixture::with_small_pages(&["--rooms-max", "40"]);
    let mut ask = |peer: &str, room: &str| {
        let id = fixture.open(peer);
        fixture.send(id, &handshake(&format!("/ws?room={room}")));
        fixture.now = fixture.now.after(100);
        let answer = String::from_utf8_lossy(&fixture.take(id)).into_owned();
        fixture.server.take_ended(&mut Vec::new());
        (id, has_joined(&answer))
    };
    let friends = ask("192.0.2.2", "friends");
    assert!(friends.1 && ask(HOLDER, "friends").1);
    for room in 0..39 {
        assert!(ask(HOLDER, &format!("r{room}")).1);
    }
    assert!(!ask(HOLDER, "more").1, "it has enough");
    for newcomer in 0..20 {
        let peer = format!("198.51.100.{newcomer}");
        assert!(ask(&peer, &format!("n{newcomer}")).1, "newcomer {newcomer}");
    }
    let metrics = fixture.server.metrics();
    assert_eq!(metrics.refusals(Refusal::RoomShare), 20);
    assert!(fixture.server.may_read(friends.0), "a room of two addresses stays");
}
