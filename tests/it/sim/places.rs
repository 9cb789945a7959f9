//! Addresses that take all connections that the server may have, and newcomers of other addresses
//! (docs/limits.md, "Connections").

use skirmish::limits::{CLIENTS_KEPT, CONNECTIONS_AN_ADDRESS, CONNECTIONS_SURPLUS_MAX, EVICTIONS};
use skirmish::metrics::Refusal;
use skirmish::server::{ConnId, End, ListenerKind};

use super::fixture::{Fixture, handshake, with_fields};
use super::requests::{opening, polling};
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
    fixture.server.check_places().expect("every connection is counted once");
    fixture.tick();
    assert!(String::from_utf8_lossy(&fixture.take(holders[0])).contains("state_update"));
}

#[test]
fn an_address_keeps_a_few_connections() {
    let mut fixture = fixture();
    let addresses = MOST / CLIENTS_KEPT as usize;
    let holders: Vec<_> = (0..MOST)
        .map(|number| fixture.join_from(&format!("192.0.2.{}", number % addresses), "/"))
        .collect();
    for number in 0..4 {
        let (id, has_joined) = try_to_join(&mut fixture, &format!("198.51.100.{number}"));
        assert!(!has_joined && id.is_some(), "{number}: it gets 4013");
    }
    fixture.tick();
    for id in holders {
        let output = String::from_utf8_lossy(&fixture.take(id)).into_owned();
        assert!(output.contains("state_update") && !output.contains("retry_ms"), "{output}");
    }
}

#[test]
fn players_of_socketio_go_after_connections_that_they_do_not_use() {
    const CLIENTS: usize = 12;
    for is_websocket in [true, false] {
        let mut fixture = fixture_of(3 * CLIENTS);
        // Each uses one of its three connections: a WebSocket, or a poll that is held.
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|_| ScriptedClient::join(&mut fixture, "192.0.2.1", "battle", is_websocket))
            .collect();
        if !is_websocket {
            (0..CLIENTS).for_each(|_| _ = fixture.open("192.0.2.1"));
            for client in &mut clients {
                client.get.send_request(&mut fixture, &polling(&client.sid));
            }
        }
        let unused = 2 * CLIENTS;
        let mut left = vec![false; CLIENTS];
        for number in 0..unused + 4 {
            let peer = format!("198.51.100.{number}");
            assert!(try_to_join(&mut fixture, &peer).1, "{is_websocket}: newcomer {number}");
            fixture.server.check_places().expect("every place is counted once");
            fixture.server.check_accounts().expect("every session is counted once");
            for (client, left) in clients.iter().zip(&mut left) {
                let id = client.websocket.as_ref().map_or(client.get.id, |websocket| websocket.id);
                let output = fixture.take(id);
                let has_code = output.windows(2).any(|two| two == 1013u16.to_be_bytes());
                let has_answer = output.windows(19).any(|line| line == b"Connection: close\r\n");
                *left |= if is_websocket { has_code } else { has_answer };
            }
            let expected = (number + 1).saturating_sub(unused);
            assert_eq!(left.iter().filter(|left| **left).count(), expected, "at {number}");
        }
    }
}

#[test]
fn a_page_in_progress_is_given_before_a_player() {
    let mut fixture = fixture();
    let pages: Vec<_> = (0..2).map(|_| fixture.open("192.0.2.1")).collect();
    let players: Vec<_> = (0..MOST - 2).map(|_| fixture.join_from("192.0.2.1", "/")).collect();
    for id in &pages {
        fixture.send(*id, b"GET /client.html HTTP/1.1\r\nHost: play.example\r\n\r\n");
    }
    for number in 0..3 {
        assert!(try_to_join(&mut fixture, &format!("198.51.100.{number}")).1, "{number}");
        fixture.server.check_places().expect("every place is counted once");
    }
    assert_eq!(ended(&mut fixture, &pages).len(), 2);
    let newest = *players.last().expect("players");
    assert!(String::from_utf8_lossy(&fixture.take(newest)).contains("retry_ms"));
}

#[test]
fn connections_without_a_place_do_not_hide_those_with_most_places() {
    const MOST: usize = 40;
    let mut fixture = fixture_of(MOST);
    let mut holders: Vec<_> = (0..MOST)
        .map(|number| fixture.join_from(&format!("192.0.2.{}", number % 2), "/"))
        .collect();
    // Newcomers use up the searches of this turn. Then an address gets only connections without a
    // place, more than any other has.
    for number in 0..EVICTIONS.burst {
        fixture.open(&format!("203.0.113.{number}"));
        holders.retain(|id| {
            let is_given = String::from_utf8_lossy(&fixture.take(*id)).contains("retry_ms");
            if is_given {
                fixture.server.peer_closed(*id, true, fixture.now);
            }
            !is_given
        });
        ended(&mut fixture, &[]);
    }
    assert_eq!(holders.len(), MOST - EVICTIONS.burst as usize);
    (0..CONNECTIONS_AN_ADDRESS).for_each(|_| _ = fixture.open("203.0.113.99"));
    fixture.server.check_places().expect("every place is counted once");
    for number in 0..4 {
        assert!(try_to_join(&mut fixture, &format!("198.51.100.{number}")).1, "{number}");
    }
}

#[test]
fn an_address_that_connects_again_and_again_does_not_use_up_the_searches() {
    const MOST: usize = 80;
    let mut fixture = fixture_of(MOST);
    (0..MOST).for_each(|number| {
        fixture.join_from(&format!("192.0.2.{}", number % 2), "/");
    });
    let mut given = 0;
    for _ in 0..100 {
        let peer = "203.0.113.1".parse().expect("an address");
        if let Ok(id) = fixture.server.open(peer, ListenerKind::Public, fixture.now) {
            given += 1;
            fixture.server.peer_closed(id, true, fixture.now);
        }
        // The holder takes the free place.
        let holder = "192.0.2.1".parse().expect("an address");
        _ = fixture.server.open(holder, ListenerKind::Public, fixture.now);
        ended(&mut fixture, &[]);
    }
    assert!(given > 0);
    assert!(try_to_join(&mut fixture, "198.51.100.1").1);
}

#[test]
fn over_the_proxy_protocol_the_address_of_the_client_counts() {
    const PROXY: &str = "10.0.0.1";
    let flags = ["--trusted-proxy", PROXY, "--proxy-protocol", "--connections-max", "24"];
    let mut fixture = Fixture::with_small_pages(&flags);
    let connect = |fixture: &mut Fixture, client: &str| {
        fixture.now = fixture.now.after(100);
        let proxy = PROXY.parse().expect("an address");
        let id = fixture.server.open(proxy, ListenerKind::Public, fixture.now).ok()?;
        let client = client.parse().expect("an address");
        fixture.server.set_client_addr(id, Some(client), fixture.now);
        fixture.send(id, &handshake("/"));
        let has_joined = String::from_utf8_lossy(&fixture.take(id)).contains("\"init\"");
        fixture.server.check_places().expect("every place is counted once");
        has_joined.then_some(id)
    };
    let holders: Vec<_> = (0..MOST)
        .map(|number| {
            let client = format!("192.0.2.{}", number % 2);
            connect(&mut fixture, &client).expect("a place")
        })
        .collect();
    for number in 0..20 {
        assert_eq!(connect(&mut fixture, &format!("192.0.2.{}", number % 2)), None);
    }
    let is_closed = |fixture: &mut Fixture, id: &ConnId| {
        String::from_utf8_lossy(&fixture.take(*id)).contains("retry_ms")
    };
    assert!(!holders.iter().any(|id| is_closed(&mut fixture, id)), "they have an equal part");
    for number in 0..8 {
        let newcomer = connect(&mut fixture, &format!("198.51.100.{number}"));
        assert!(newcomer.is_some(), "newcomer {number}");
    }
    let closed = holders.iter().filter(|id| is_closed(&mut fixture, id)).count();
    assert_eq!(closed, 8);
}

#[test]
fn over_an_http_proxy_the_address_of_the_client_counts() {
    const PROXY: &str = "10.0.0.1";
    let flags = ["--trusted-proxy", PROXY, "--connections-max", "24"];
    let mut fixture = Fixture::with_small_pages(&flags);
    let join = |fixture: &mut Fixture, client: &str| {
        fixture.now = fixture.now.after(100);
        let proxy = PROXY.parse().expect("an address");
        let id = fixture.server.open(proxy, ListenerKind::Public, fixture.now).ok()?;
        let field = format!("X-Forwarded-For: {client}\r\n");
        fixture.send(id, &with_fields(handshake("/"), &field));
        let has_joined = String::from_utf8_lossy(&fixture.take(id)).contains("\"init\"");
        fixture.server.check_places().expect("every place is counted once");
        has_joined.then_some(id)
    };
    for number in 0..MOST {
        let client = format!("192.0.2.{}", number % 2);
        join(&mut fixture, &client).expect("a place");
    }
    for number in 0..8 {
        assert_eq!(join(&mut fixture, "192.0.2.1"), None, "it has an equal part");
        let newcomer = join(&mut fixture, &format!("198.51.100.{number}"));
        assert!(newcomer.is_some(), "newcomer {number}");
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
    fixture.server.check_places().expect("every connection is counted once");
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
    for number in 0..8 {
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

#[test]
fn no_client_loses_its_place_while_one_is_free() {
    const PROXY: &str = "10.0.0.1";
    let flags = ["--trusted-proxy", PROXY, "--connections-max", "24"];
    let mut fixture = Fixture::with_small_pages(&flags);
    let players: Vec<_> = (0..16).map(|_| fixture.join_from("192.0.2.1", "/")).collect();
    let others: Vec<_> =
        (0..8).map(|number| fixture.join_from(&format!("203.0.113.{number}"), "/")).collect();
    let late = fixture.open(PROXY);
    for id in others {
        fixture.server.peer_closed(id, true, fixture.now);
    }
    fixture.send(late, &with_fields(handshake("/"), "X-Forwarded-For: 198.51.100.1\r\n"));
    assert!(String::from_utf8_lossy(&fixture.take(late)).contains("\"init\""));
    for id in players {
        assert!(!String::from_utf8_lossy(&fixture.take(id)).contains("retry_ms"));
    }
}

#[test]
fn newcomers_take_no_place_during_the_shutdown() {
    let mut fixture = fixture();
    let players: Vec<_> = (0..MOST).map(|_| fixture.join_from("192.0.2.1", "/")).collect();
    fixture.server.drain(fixture.now);
    for number in 0..3 {
        assert!(!try_to_join(&mut fixture, &format!("198.51.100.{number}")).1);
    }
    for id in players {
        let output = String::from_utf8_lossy(&fixture.take(id)).into_owned();
        assert!(!output.contains("retry_ms"), "no client is closed before the next tick: {output}");
    }
}

#[test]
fn a_newcomer_keeps_a_connection_that_it_has_just_used() {
    let mut fixture = fixture();
    let players: Vec<_> = (0..MOST)
        .map(|number| fixture.join_from(&format!("192.0.2.{}", number % 2), "/"))
        .collect();
    let polls = fixture.open("198.51.100.1");
    fixture.send(polls, &opening(""));
    assert!(fixture.take(polls).starts_with(b"HTTP/1.1 200 "));
    let [posts, other] = ["198.51.100.1", "198.51.100.2"].map(|peer| fixture.open(peer));
    assert!(ended(&mut fixture, &[polls, posts, other]).is_empty());
    let mut is_given =
        |id: &ConnId| String::from_utf8_lossy(&fixture.take(*id)).contains("retry_ms");
    assert_eq!(players.iter().filter(|id| is_given(id)).count(), 3);
}

#[test]
fn idle_connections_of_addresses_with_many_go_before_players() {
    let mut fixture = fixture();
    let players: Vec<_> = (0..12).map(|_| fixture.join_from("192.0.2.1", "/")).collect();
    let idle: Vec<_> = (0..12)
        .map(|number| {
            let id = fixture.open(&format!("192.0.2.{}", 2 + number % 2));
            fixture.send(id, b"GET /healthz HTTP/1.1\r\nHost: play.example\r\n\r\n");
            fixture.take(id);
            id
        })
        .collect();
    for number in 0..4 {
        assert!(try_to_join(&mut fixture, &format!("198.51.100.{number}")).1, "{number}");
    }
    assert_eq!(ended(&mut fixture, &idle).len(), 4);
    for id in players {
        assert!(!String::from_utf8_lossy(&fixture.take(id)).contains("retry_ms"));
    }
}
