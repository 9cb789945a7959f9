//! Directed tests of clients of skirmish.v1: situations that the random ones reach rarely.

use skirmish::codec::v1::BASE_AGE_MAX;
use skirmish::codec::v1::client::ClientMessage;

use super::faults::{self, Armed};
use super::fixture::{DEFLATE, Fixture, masked, text};
use super::scripted_client::gauge;
use super::v1_client::Message;
use super::v1_peer::{LOCAL, Peer, walk, walkers};

// T79
#[test]
fn a_message_that_was_begun_is_finished_and_the_next_one_brings_the_newest_tick() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut others = walkers(&mut fixture, "dots", 5);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    let mut round = 0;
    for cut in 1..60 {
        walk(&mut fixture, &mut others, round);
        let (messages, bytes) = peer.receive_up_to(&mut fixture, cut);
        // The room moves on, whatever waits.
        for _ in 0..cut % 5 {
            round += 1;
            walk(&mut fixture, &mut others, round);
            assert!(peer.receive_up_to(&mut fixture, 0).0.is_empty());
        }
        let rest = peer.receive(&mut fixture);
        let begun = usize::from(bytes == cut && messages.is_empty());
        let later = usize::from(!(cut % 5).is_multiple_of(5));
        assert!((later..=begun + later + 1).contains(&rest.len()), "cut at {cut}: {rest:?}");
        walk(&mut fixture, &mut others, round + 1);
        peer.receive(&mut fixture);
        assert_eq!(peer.tick(), others[0].tick());
        assert_eq!(peer.places(), others[0].places(), "cut at {cut}");
        round += 2;
    }
    assert!(peer.model.coverage.late > 10, "{:?}", peer.model.coverage);
}

#[test]
fn a_message_waits_behind_welcome_and_answers() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut others = walkers(&mut fixture, "dots", 3);
    // WELCOME and the first tick.
    let mut peer = Peer::ask(&mut fixture, "/ws?room=dots", "");
    walk(&mut fixture, &mut others, 0);
    let received = peer.receive(&mut fixture);
    assert!(received[0].is_welcome && received[1].head.is_some(), "{received:?}");
    let own = peer.model.own().expect("WELCOME");
    for cut in 0..80 {
        peer.who(&mut fixture, own);
        fixture.send(peer.id, &masked(0x89, b"ping"));
        walk(&mut fixture, &mut others, 3 * cut);
        let mut received = peer.receive_up_to(&mut fixture, cut).0;
        walk(&mut fixture, &mut others, 3 * cut + 1);
        received.extend(peer.receive(&mut fixture));
        let has_roster = |message: &Message| message.roster.is_some();
        let has_tick = |message: &Message| message.head.is_some();
        let tick = received.iter().position(has_tick).expect("a tick");
        if let Some(roster) = received.iter().position(has_roster) {
            assert!(roster < tick, "{received:?}");
        }
        assert_eq!(peer.places(), others[0].places(), "cut at {cut}");
    }
    // Four a second are answered: 160 ticks are 8 s.
    assert!((30..=40).contains(&peer.model.coverage.rosters), "{:?}", peer.model.coverage);
}

#[test]
fn the_first_client_may_come_late_and_another_after_the_last_one_left() {
    let mut fixture = Fixture::with_small_pages(&["--resume-s", "0"]);
    let json = fixture.join("/ws?room=dots");
    for _ in 0..3 {
        for _ in 0..70 {
            fixture.send(json, &text(r#"{"type":"move","direction":"UP"}"#));
            fixture.tick();
            fixture.take(json);
        }
        let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
        assert_eq!(peer.model.own(), Some((0, 0)), "slots are counted anew");
        fixture.tick();
        let received = peer.receive(&mut fixture);
        assert_eq!(received[0].head.map(|head| head.age), Some(0));
        assert_eq!(peer.model.bodies().len(), 2);
        fixture.server.peer_closed(peer.id, true, fixture.now);
        fixture.ended(peer.id);
    }
    // The last one leaves and another comes between two ticks.
    let first = Peer::join(&mut fixture, "/ws?room=dots");
    fixture.tick();
    fixture.server.peer_closed(first.id, true, fixture.now);
    fixture.ended(first.id);
    let mut second = Peer::join(&mut fixture, "/ws?room=dots");
    fixture.tick();
    second.receive(&mut fixture);
    assert_eq!(second.model.bodies().len(), 2);
}

#[test]
fn fields_of_the_room_come_with_another_welcome() {
    const ROUND_TICKS: usize = 180 * 20;
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut peer = Peer::join(&mut fixture, "/ws?room=battle");
    let room = |peer: &Peer| {
        let fields = &peer.model.welcome.as_ref().expect("it is there").room_fields;
        ["round", "ends_ms", "winner"].map(|name| fields[name])
    };
    assert_eq!(room(&peer), [1, 180_000, 0]);
    let mut events = Vec::new();
    for _ in 0..ROUND_TICKS {
        fixture.tick();
        for message in peer.receive(&mut fixture) {
            events.extend(message.events.iter().map(|event| (event.kind, event.arguments)));
        }
    }
    // A round without a kill, and the next one.
    assert_eq!(room(&peer), [2, 180_000, 0]);
    assert_eq!(peer.model.coverage.welcomes, 1);
    assert_eq!(events, [(16 + 3, [2, 180_000, i32::from(u16::MAX), 0])]);
    // The next client has the present fields.
    let second = Peer::join(&mut fixture, "/ws?room=battle");
    assert_eq!(room(&second), room(&peer));
}

// T67
#[test]
fn a_slot_is_used_again_after_64_ticks_with_another_generation() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    let slots = |peer: &Peer| {
        let bodies = peer.model.bodies();
        bodies.iter().map(|(body, _)| (body.id, body.generation)).collect::<Vec<_>>()
    };
    let tick = |fixture: &mut Fixture, peer: &mut Peer| {
        fixture.tick();
        peer.receive(fixture)
    };
    let leave = |fixture: &mut Fixture, id| {
        fixture.server.peer_closed(id, true, fixture.now);
        fixture.ended(id);
    };
    let first = fixture.join("/ws?room=dots");
    tick(&mut fixture, &mut peer);
    assert_eq!(slots(&peer), [(0, 0), (1, 0)]);
    leave(&mut fixture, first);
    tick(&mut fixture, &mut peer);
    assert_eq!(slots(&peer), [(0, 0)]);
    let second = fixture.join("/ws?room=dots");
    tick(&mut fixture, &mut peer);
    assert_eq!(slots(&peer), [(0, 0), (2, 0)], "slot 1 rests");
    for _ in 0..63 {
        tick(&mut fixture, &mut peer);
        fixture.take(second);
    }
    let third = fixture.join("/ws?room=dots");
    tick(&mut fixture, &mut peer);
    assert_eq!(slots(&peer), [(0, 0), (1, 1), (2, 0)]);
    // The earlier body in the slot has no player.
    let players = [(1, 0), (1, 1), (7, 0)].map(|body| {
        peer.who(&mut fixture, body);
        assert!(peer.receive(&mut fixture).is_empty(), "it comes with the next state");
        let roster = tick(&mut fixture, &mut peer)[0].roster.clone().expect("a ROSTER");
        roster.iter().map(|(_, player)| *player).collect::<Vec<_>>()
    });
    assert_eq!(players, [vec![], vec![4], vec![]]);
    leave(&mut fixture, second);
    leave(&mut fixture, third);
    tick(&mut fixture, &mut peer);
    assert_eq!(slots(&peer), [(0, 0)]);
}

/// The ticks that a client of a rate receives in 200 ticks, in a room where nothing happens.
fn ticks_of_a_still_room(hz: u8) -> Vec<u32> {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    peer.send(&mut fixture, ClientMessage::Rate(hz));
    let mut ticks = Vec::new();
    for _ in 0..200 {
        fixture.tick();
        ticks.extend(peer.receive(&mut fixture).iter().filter_map(|message| message.tick));
    }
    assert!((9..=10).contains(&peer.model.coverage.checks), "{:?}", peer.model.coverage);
    ticks
}

#[test]
fn a_client_hears_twice_a_second_at_any_rate_above_one() {
    for hz in [2, 4, 5, 10, 20] {
        let ticks = ticks_of_a_still_room(hz);
        assert!((19..=21).contains(&ticks.len()), "at {hz} Hz: {ticks:?}");
    }
    let ticks = ticks_of_a_still_room(1);
    assert!((10..=11).contains(&ticks.len()), "{ticks:?}");
}

#[test]
fn a_tick_that_is_due_comes_as_soon_as_the_client_reads() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    fixture.tick();
    peer.receive(&mut fixture);
    // Nothing happens, and it does not read on the ticks 8 to 22.
    for tick in 2..40_u32 {
        fixture.tick();
        if (8..23).contains(&tick) {
            assert!(peer.receive_up_to(&mut fixture, 0).0.is_empty());
        } else {
            let due = [23, 30].contains(&tick);
            assert_eq!(!peer.receive(&mut fixture).is_empty(), due, "on tick {tick}");
        }
    }
    assert_eq!(peer.model.coverage.checks, 1, "of tick 20, on tick 23");
}

#[test]
fn a_client_that_reads_once_a_second_has_deltas_and_after_32_ticks_a_keyframe() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut others = walkers(&mut fixture, "dots", 4);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    walk(&mut fixture, &mut others, 0);
    peer.receive(&mut fixture);
    let mut round = 0;
    for silence in [20, u32::from(BASE_AGE_MAX), u32::from(BASE_AGE_MAX) + 1, 100, 1] {
        for _ in 0..silence {
            round += 1;
            walk(&mut fixture, &mut others, round);
        }
        let received = peer.receive(&mut fixture);
        let ages: Vec<u32> =
            received.iter().filter_map(|it| it.head.map(|head| head.age.into())).collect();
        let age = if silence > BASE_AGE_MAX.into() { 0 } else { silence };
        assert_eq!(ages, [age], "one message after {silence} ticks");
        assert_eq!(peer.places(), others[0].places());
    }
    // At 1 Hz.
    peer.send(&mut fixture, ClientMessage::Rate(1));
    let before = peer.model.coverage;
    for _ in 0..100 {
        round += 1;
        walk(&mut fixture, &mut others, round);
        peer.receive(&mut fixture);
    }
    let after = peer.model.coverage;
    assert_eq!((after.ticks - before.ticks, after.keyframes - before.keyframes), (5, 0));
    let skipped = fixture.server.metrics().snapshots_skipped;
    assert_eq!(skipped, 19 + 31 + 32 + 99, "what came too late");
}

#[test]
fn a_panic_in_a_room_ends_its_clients_and_no_others() {
    // Only a room with such a name is struck.
    let target = "battle-of-1";
    for kind in ["world", "state"] {
        let mut fixture = Fixture::with_small_pages(&[]);
        fixture.panics = 1;
        let mut peers = walkers(&mut fixture, target, 2);
        peers.extend(walkers(&mut fixture, "battle", 1));
        for round in 0..3 {
            walk(&mut fixture, &mut peers, round);
        }
        faults::arm(Armed::at(kind));
        walk(&mut fixture, &mut peers, 3);
        assert!(faults::disarm().is_some(), "no panic in {kind}");
        fixture.ended(peers[0].id);
        peers.iter_mut().for_each(|peer| drop(peer.receive(&mut fixture)));
        let codes = peers.iter().map(|peer| peer.close.as_ref().and_then(|(code, _)| *code));
        assert_eq!(codes.collect::<Vec<_>>(), [Some(1011), Some(1011), None], "{kind}");
        // The room begins anew.
        let mut peer = Peer::join(&mut fixture, &format!("/ws?room={target}"));
        fixture.tick();
        let head = peer.receive(&mut fixture)[0].head.expect("a tick");
        assert_eq!((head.tick.0, head.age, peer.model.own()), (1, 0, Some((0, 0))));
    }
}

#[test]
fn a_drain_and_a_full_room_close_with_their_codes() {
    let mut fixture = Fixture::with_small_pages(&["--room-players-max", "1"]);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    let mut second = Peer::ask(&mut fixture, "/ws?room=dots", "");
    assert_eq!(second.receive(&mut fixture), []);
    assert_eq!(second.close.as_ref().map(|(code, _)| *code), Some(Some(4013)));
    fixture.tick();
    peer.receive(&mut fixture);
    fixture.server.drain(fixture.now);
    for _ in 0..200 {
        fixture.tick();
        peer.receive(&mut fixture);
    }
    let (code, reason) = peer.close.expect("it is closed");
    assert!(code == Some(4012) && reason.starts_with(r#"{"retry_ms":"#), "{code:?} {reason}");
}

#[test]
fn a_client_comes_back_with_another_body() {
    let mut fixture = Fixture::with_small_pages(&["--resume-s", "0"]);
    let mut others = walkers(&mut fixture, "dots", 1);
    let mut seen = Vec::new();
    for round in 0..3 {
        let mut peer = Peer::join(&mut fixture, "/ws?room=dots&name=Ann");
        walk(&mut fixture, &mut others, round);
        peer.receive(&mut fixture);
        assert_eq!(peer.model.bodies().len(), 2);
        seen.extend(peer.model.own());
        fixture.server.peer_closed(peer.id, true, fixture.now);
        fixture.ended(peer.id);
        walk(&mut fixture, &mut others, round);
        assert_eq!(others[0].model.bodies().len(), 1);
    }
    assert_eq!(seen, [(1, 0), (2, 0), (3, 0)]);
}

#[test]
fn compression_is_not_agreed_and_a_proxy_names_the_client() {
    let mut fixture = Fixture::with_small_pages(&["--trusted-proxy", LOCAL]);
    let fields = format!("{DEFLATE}X-Forwarded-For: 192.0.2.7\r\n");
    // The reader refuses a subprotocol with an extension.
    let mut peer = Peer::ask(&mut fixture, "/ws?room=dots", &fields);
    assert!(peer.receive(&mut fixture)[0].is_welcome);
    fixture.tick();
    assert!(peer.receive(&mut fixture)[0].head.is_some());
    // A compressed message violates the protocol then.
    fixture.send(peer.id, &masked(0xc2, &[0x11]));
    peer.receive(&mut fixture);
    assert_eq!(peer.close.map(|(code, _)| code), Some(Some(1002)));
}

#[test]
fn a_message_of_another_dialect_is_unknown() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut peer = Peer::join(&mut fixture, "/ws?room=dots");
    // The last ones would be RESYNC and RATE, if they were binary.
    let texts = [r#"{"type":"move","direction":"UP"}"#, "", "42[\"move\"]", "\x11", "\x13\x14"];
    for (count, json) in (1..).zip(texts) {
        fixture.send(peer.id, &text(json));
        let unknown = gauge(&mut fixture, "drops_total{reason=\"unknown\"}");
        assert_eq!(unknown, count, "{json}");
    }
    fixture.tick();
    assert_eq!(peer.receive(&mut fixture).len(), 1);
}

#[test]
fn what_a_stalled_client_has_not_taken_is_counted_and_bounded() {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut others = walkers(&mut fixture, "battle", 50);
    let mut peer = Peer::join(&mut fixture, "/ws?room=battle");
    walk(&mut fixture, &mut others, 0);
    let held_for_clients =
        |fixture: &mut Fixture| gauge(fixture, "held_bytes") - gauge(fixture, "history_bytes");
    let before = held_for_clients(&mut fixture);
    // The first byte of a keyframe with 51 bodies.
    assert_eq!(peer.receive_up_to(&mut fixture, 1).1, 1);
    let held = held_for_clients(&mut fixture) - before;
    let record = peer.model.welcome.as_ref().expect("it is there").schema().full_bytes() as u64;
    let keyframe = 50 * record..52 * record + 200;
    assert!(keyframe.contains(&held), "{held} bytes for {keyframe:?}");
    for round in 0..150 {
        walk(&mut fixture, &mut others, round);
        fixture.server.check_accounts().expect("the account is right");
        assert!(fixture.waiting_bytes(peer.id) as u64 <= keyframe.end);
        assert_eq!(held_for_clients(&mut fixture), before + held);
    }
    // The rest, and then one message with all that has happened.
    assert_eq!(peer.receive(&mut fixture).len(), 2);
    assert_eq!(held_for_clients(&mut fixture), before);
    assert!(gauge(&mut fixture, "history_bytes") > 33 * 51 * 8, "33 ticks with 51 bodies");
    assert_eq!(peer.places(), others[0].places());
}
