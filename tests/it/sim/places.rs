//! Addresses that take all connections that the server may have, and newcomers of other addresses
//! (docs/limits.md, "Connections").

use skirmish::limits::{CONNECTIONS_KEPT, CONNECTIONS_SURPLUS_MAX, EVICTIONS};
use skirmish::metrics::Refusal;
use skirmish::server::{ConnId, End, ListenerKind};

use super::fixture::{Fixture, handshake};
use super::requests::polling;
use super::scripted_client::ScriptedClient;

/// As many connections as most of the servers may have.
const MOST: usize = 24;

fn fixture() -> Fixture {
    fixture_of(MOST)
}

fn fixture_of(most: usize) -> Fixture {
    Fixture::with_small_pages(&["--connections-max", &most.to_string()])
}

/// Tries to join in 100 ms. Returns its connection, and whether it has joined.
fn try_to_join(fixture: &mut Fixture, peer: &str) -> (Option<ConnId>, bool) {
    fixture.now = fixture.now.after(100);
    let peer = peer.parse().expect("an address");
    let Ok(id) = fixture.server.open(peer, ListenerKind::Public, fixture.now) else {
        return (None, false);
    };
    fixture.send(id, &handshake("/"));
    let has_joined = String::from_utf8_lossy(&fixture.take(id)).contains("\"init\"");
    (Some(id), has_joined)
}

/// Which of `ids` have ended, by their places.
fn ended(fixture: &mut Fixture, ids: &[ConnId]) -> Vec<usize> {
    let mut ended = Vec::new();
    fixture.server.take_ended(&mut ended);
    let ended = ended.into_iter().filter(|(_, end)| *end != End::Shut);
    ended.filter_map(|(id, _)| ids.iter().position(|other| *other == id)).collect()
}

#[test]
fn two_addresses_give_connections_until_they_have_an_equal_part() {
    let head: &[u8] = b"GET / HTTP/1.1\r\nHost: ";
    let request = b"GET /healthz HTTP/1.1\r\nHost: play.example\r\n\r\n";
    for (kind, bytes) in [("silent", &[][..]), ("partial", head), ("idle", request)] {
        let mut fixture = fixture();
        let holders: Vec<_> = (0..MOST)
            .map(|number| {
                let id = fixture.open(&format!("192.0.2.{}", number % 2));
                fixture.send(id, bytes);
                fixture.take(id);
                id
            })
            .collect();
        let mut newcomers = Vec::new();
        for number in 0..8 {
            let (id, has_joined) = try_to_join(&mut fixture, &format!("198.51.100.{number}"));
            assert!(has_joined, "{kind}: newcomer {number}");
            newcomers.push(id.expect("a connection"));
        }
        let mut given = ended(&mut fixture, &holders);
        assert_eq!(given.len(), 8, "{kind}: one for each newcomer");
        if kind != "idle" {
            given.sort_unstable();
            assert_eq!(given, (16..24).collect::<Vec<_>>(), "{kind}: the newest of each");
        }
        fixture.tick();
        for id in newcomers {
            let state = String::from_utf8_lossy(&fixture.take(id)).into_owned();
            assert!(state.contains("state_update"), "{kind}");
        }
    }
}

#[test]
fn players_of_two_addresses_give_connections_to_those_of_others() {
    let mut fixture = fixture();
    let holders: Vec<_> = (0..MOST)
        .map(|number| fixture.join_from(&format!("192.0.2.{}", number % 2), "/"))
        .collect();
    for number in 0..8 {
        let holder = try_to_join(&mut fixture, &format!("192.0.2.{}", number % 2));
        assert!(!holder.1, "it has an equal part");
        assert!(try_to_join(&mut fixture, &format!("198.51.100.{number}")).1, "{number}");
        if let Some(id) = holder.0 {
            fixture.server.peer_closed(id, true, fixture.now);
        }
    }
    let mut given = Vec::new();
    for (number, id) in holders.iter().enumerate() {
        let output = fixture.take(*id);
        let output = String::from_utf8_lossy(&output);
        if output.contains(r#"{"retry_ms":"#) {
            given.push(number);
        }
    }
    assert_eq!(given, (16..24).collect::<Vec<_>>(), "the newest have 4013 and a hint");
    fixture.server.check_accounts().expect("every connection is counted once");
    fixture.tick();
    assert!(String::from_utf8_lossy(&fixture.take(holders[0])).contains("state_update"));
}

#[test]
fn an_address_keeps_a_few_connections() {
    let mut fixture = fixture();
    let addresses = MOST / CONNECTIONS_KEPT as usize;
    let holders: Vec<_> = (0..MOST)
        .map(|number| fixture.join_from(&format!("192.0.2.{}", number % addresses), "/"))
        .collect();
    for number in 0..4 {
        let (id, has_joined) = try_to_join(&mut fixture, &format!("198.51.100.{number}"));
        assert!(!has_joined && id.is_some(), "{number}: it gets 4013");
    }
    assert!(ended(&mut fixture, &holders).is_empty());
}

#[test]
fn socketio_clients_give_connections_too() {
    for is_websocket in [true, false] {
        let mut fixture = fixture();
        // Each has three connections: over polling, one without a request.
        let mut clients: Vec<_> = (0..8)
            .map(|_| ScriptedClient::join(&mut fixture, "192.0.2.1", "battle", is_websocket))
            .collect();
        for client in &mut clients {
            if !is_websocket {
                client.get.send_request(&mut fixture, &polling(&client.sid));
            }
        }
        let mut has_left = 0;
        for number in 0..20 {
            let peer = format!("198.51.100.{number}");
            assert!(try_to_join(&mut fixture, &peer).1, "{is_websocket}: newcomer {number}");
            fixture.server.check_accounts().expect("every session is counted once");
            has_left = clients
                .iter_mut()
                .filter_map(|client| {
                    let output = match &client.websocket {
                        Some(websocket) => fixture.take(websocket.id),
                        None => fixture.take(client.get.id),
                    };
                    let text = String::from_utf8_lossy(&output).into_owned();
                    let has_code = output.windows(2).any(|two| two == 1013u16.to_be_bytes());
                    (has_code || text.contains("Connection: close\r\n")).then_some(())
                })
                .count()
                .max(has_left);
        }
        assert!(has_left > 0, "players leave only after what they do not use is gone");
    }
}

#[test]
fn peers_that_do_not_read_hold_no_more_places() {
    const MOST: usize = 40;
    let mut fixture = fixture_of(MOST);
    let holders: Vec<_> = (0..MOST)
        .map(|number| fixture.join_from(&format!("192.0.2.{}", number % 2), "/"))
        .collect();
    // As many as the server searches for in one turn.
    for number in 0..EVICTIONS.burst {
        let peer = format!("198.51.100.{number}").parse().expect("an address");
        let opened = fixture.server.open(peer, ListenerKind::Public, fixture.now);
        opened.expect("a place");
    }
    let gone = ended(&mut fixture, &holders).len();
    let open = MOST + EVICTIONS.burst as usize - gone;
    assert_eq!(open, MOST + CONNECTIONS_SURPLUS_MAX, "the other close frames may still be read");
    fixture.server.check_accounts().expect("every connection is counted once");
}

#[test]
fn addresses_with_an_equal_part_do_not_use_up_the_searches() {
    let mut fixture = fixture();
    (0..MOST).for_each(|number| {
        fixture.join_from(&format!("192.0.2.{}", number % 2), "/");
    });
    for number in 0..60 {
        let peer = format!("192.0.2.{}", number % 2).parse().expect("an address");
        let opened = fixture.server.open(peer, ListenerKind::Public, fixture.now);
        assert_eq!(opened.is_ok(), number < CONNECTIONS_SURPLUS_MAX, "{number}");
    }
    let refused = fixture.server.metrics().refusals(Refusal::Full);
    for number in 0..10 {
        let peer = format!("198.51.100.{number}").parse().expect("an address");
        let opened = fixture.server.open(peer, ListenerKind::Public, fixture.now);
        let id = opened.expect("a place, although the surplus is taken");
        fixture.send(id, &handshake("/"));
        assert!(String::from_utf8_lossy(&fixture.take(id)).contains("\"init\""), "{number}");
    }
    assert_eq!(fixture.server.metrics().refusals(Refusal::Full), refused);
}

#[test]
fn a_network_of_ipv6_is_a_few_addresses() {
    let mut fixture = fixture();
    let holders: Vec<_> =
        (0..MOST).map(|number| fixture.open(&format!("2001:db8:0:{number:x}::1"))).collect();
    for number in 0..6 {
        assert!(try_to_join(&mut fixture, &format!("198.51.100.{number}")).1, "{number}");
    }
    assert_eq!(ended(&mut fixture, &holders).len(), 6);
}
