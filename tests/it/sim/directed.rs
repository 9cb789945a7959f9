//! Directed tests: each checks one guarantee in the exact situation where it could break. Most of
//! these situations were first found by the simulator or by code review.

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use skirmish::close::CloseReason;
use skirmish::limits::{GAME, HTTP_HEAD_MS, LINGER_MS, SILENT_MS, STALL_MS};
use skirmish::metrics::{Refusal, RttSource};
use skirmish::server::{ConnId, End, ListenerKind, ReadState};
use skirmish::time::{Millis, TICK_MS};

use super::faults::{self, Armed};
use super::fixture::{Fixture, REMOTE, handshake, masked, text};
use super::response_reader::{Received, ResponseReader, tick_of};

const GET_HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: play.example\r\n\r\n";
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What a WebSocket client receives in `bytes`, handshake included.
fn read_all(bytes: &[u8]) -> Vec<Received> {
    let mut reader = ResponseReader::default();
    reader.expect_response(false);
    let mut received = Vec::new();
    let result = reader.read(bytes, &mut received);
    assert_eq!(result, Ok(()), "in {:?}", String::from_utf8_lossy(bytes));
    received
}

/// The ticks of the states in the frames of a client after its handshake.
fn ticks(frames: &[u8]) -> Vec<u32> {
    let mut bytes = b"HTTP/1.1 101 \r\nSec-WebSocket-Accept: ".to_vec();
    bytes.extend_from_slice(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    bytes.extend_from_slice(frames);
    let state = |received: &Received| match received {
        Received::Text(text) => tick_of(text),
        _ => None,
    };
    read_all(&bytes).iter().filter_map(state).collect()
}

#[test]
fn frames_sent_with_the_handshake_are_answered_after_it() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.open(REMOTE);
    let mut bytes = handshake("/ws");
    bytes.extend(masked(PING, b"early"));
    bytes.extend(text(r#"{"type":"ping","t":1}"#));
    fixture.send(id, &bytes);
    let received = read_all(&fixture.take(id));
    assert_eq!(received[0], Received::Upgraded);
    assert!(received.contains(&Received::Pong(b"early".to_vec())), "{received:?}");
    assert!(
        received.iter().any(|h| matches!(h, Received::Text(t) if t.contains("pong"))),
        "{received:?}"
    );
}

#[test]
fn a_server_ping_waits_for_the_handshake() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.open(REMOTE);
    // The client's window is full and then opens one byte at a time, so the client is not slow. It
    // stays silent long enough for a ping.
    fixture.send(id, &handshake("/ws"));
    let mut all = Vec::new();
    for _ in 0..240 {
        fixture.tick();
        all.extend(fixture.take_up_to(id, 1));
    }
    all.extend(fixture.take(id));
    assert_eq!(read_all(&all)[0], Received::Upgraded);
    assert!(read_all(&all).contains(&Received::Ping(Vec::new())));
}

#[test]
fn our_ping_survives_a_ping_of_the_peer() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.join("/ws");
    let ping_after_ms = GAME.ping_after_ms.expect("the game pings");
    // The socket is full when the ping is due, and the peer sends its own ping before it drains.
    for _ in 0..ping_after_ms / TICK_MS {
        fixture.tick();
        if fixture.now.0 < ping_after_ms {
            fixture.take(id);
        }
    }
    fixture.send(id, &masked(PING, b"mine"));
    // From here on the peer answers every ping, so it must stay connected.
    let end = fixture.until_end(id, 60_000, |fixture| {
        let bytes = fixture.take(id);
        if bytes.windows(2).any(|two| two == [PING, 0]) {
            fixture.send(id, &masked(PONG, b""));
        }
    });
    assert_eq!(end, None, "a peer that answers every ping stays connected");
}

#[test]
fn a_peer_that_only_answers_is_pinged_again_and_again() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.join("/ws");
    let rtt_ms = 200;
    let mut pinged_ms = Vec::new();
    let end = fixture.until_end(id, 60_000, |fixture| {
        let now = fixture.now.0;
        if fixture.take(id).windows(2).any(|two| two == [PING, 0]) {
            pinged_ms.push(now);
        }
        if pinged_ms.last().is_some_and(|at| at + rtt_ms == now) {
            fixture.send(id, &masked(PONG, b""));
        }
    });
    assert_eq!(end, None);
    let ping_after_ms = GAME.ping_after_ms.expect("the game pings");
    let gaps: Vec<u64> = pinged_ms.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.len() > 12 && gaps.iter().all(|gap| *gap <= ping_after_ms + rtt_ms), "{gaps:?}");
    let rtts = fixture.server.metrics().rtts(RttSource::WebSocketPing);
    assert!(rtts.count() >= gaps.len() as u64);
    assert_eq!(rtts.sum(), rtts.count() * rtt_ms);
}

// T08
#[test]
fn a_silent_peer_is_pinged_and_then_disconnected() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.join("/ws");
    let mut pinged_ms = None;
    let end = fixture.until_end(id, 60_000, |fixture| {
        if fixture.take(id).windows(2).any(|two| two == [PING, 0]) {
            assert_eq!(pinged_ms.replace(fixture.now.0), None, "only one ping");
        }
    });
    assert_eq!(pinged_ms, GAME.ping_after_ms);
    assert_eq!(end, Some((End::Reset, GAME.silence_ms)));
}

#[test]
fn an_idle_keep_alive_connection_ends_in_time_at_any_tick() {
    for (flags, keep_alive_ms) in [(&[][..], 75_000), (&["--keep-alive-s", "130"], 130_000)] {
        let order = [(0, true), (0, false), (1, true), (1, false)];
        for (ticks_before_request, is_written_first) in order {
            let mut fixture = Fixture::with_small_pages(flags);
            let id = fixture.open(REMOTE);
            (0..ticks_before_request).for_each(|_| fixture.tick());
            fixture.send(id, GET_HEALTH);
            if is_written_first {
                fixture.take(id);
            }
            fixture.tick();
            fixture.take(id);
            let end = fixture.until_end(id, 2 * keep_alive_ms, |_| ());
            let end_ms = end.map(|(_, end_ms)| end_ms);
            // The span begins with the response, up to a tick before.
            let span_ms = keep_alive_ms - TICK_MS..=keep_alive_ms + LINGER_MS + TICK_MS;
            assert!(
                end_ms.is_some_and(|end_ms| span_ms.contains(&end_ms)),
                "ended after {end_ms:?}; {ticks_before_request} ticks came before the request, \
                 the answer was written before the next one: {is_written_first}"
            );
        }
    }
}

// T03
#[test]
fn an_endless_request_head_gets_408_and_is_counted() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.open(REMOTE);
    let mut answer = Vec::new();
    let end = fixture.until_end(id, 20_000, |fixture| {
        fixture.send(id, b"G");
        answer.extend(fixture.take(id));
    });
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(end.map(|(_, end_ms)| end_ms), Some(HTTP_HEAD_MS + LINGER_MS));
    let metrics = fixture.server.metrics();
    let counts = [CloseReason::HttpTimeout, CloseReason::HttpRefused].map(|r| metrics.closes(r));
    assert_eq!(counts, [1, 0], "only the counter of this reason moves");
}

#[test]
fn a_stalled_reader_of_a_page_is_not_kept_twice_as_long() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.open(REMOTE);
    fixture.send(id, b"GET /client.html HTTP/1.1\r\nHost: play.example\r\n\r\n");
    fixture.take_up_to(id, 100);
    let (_, end_ms) = fixture.until_end(id, 60_000, |_| ()).expect("it ends");
    assert!(end_ms <= STALL_MS + LINGER_MS, "it stalled for {end_ms} ms");
}

#[test]
fn a_stalled_reader_that_closes_gets_no_more_time() {
    let mut fixture = Fixture::new(&[]);
    let id = stalled_page(&mut fixture);
    fixture.server.peer_closed(id, false, fixture.now);
    fixture.until_end(id, 60_000, |_| ()).expect("it ends");
    assert!(fixture.now <= Millis(STALL_MS + LINGER_MS), "it ended at {:?}", fixture.now);
}

#[test]
fn a_stalled_reader_gets_no_more_time_from_a_panic() {
    for kind in ["receive", "slices", "written", "deadline"] {
        let mut fixture = Fixture::new(&[]);
        let id = stalled_page(&mut fixture);
        faults::arm(Armed::at(kind));
        fixture.panics = 1;
        let now = fixture.now;
        let result = catch_unwind(AssertUnwindSafe(|| {
            fixture.server.receive(id, &mut b"GET".to_vec(), now);
            fixture.waiting_bytes(id);
        }));
        if result.is_err() {
            fixture.server.recover(id, now);
        }
        fixture.until_end(id, 60_000, |_| ()).expect("it ends");
        assert!(faults::disarm().is_some(), "no panic in {kind}");
        let latest = Millis(STALL_MS + LINGER_MS);
        assert!(fixture.now <= latest, "it ended at {:?}; a panic in {kind}", fixture.now);
    }
}

/// Opens a connection that stalls at 0 ms in the middle of a page, and lets it stall for nearly
/// [`STALL_MS`].
fn stalled_page(fixture: &mut Fixture) -> ConnId {
    let id = fixture.open(REMOTE);
    fixture.send(id, b"GET /client.html HTTP/1.1\r\nHost: play.example\r\n\r\n");
    fixture.take_up_to(id, 100);
    while fixture.now < Millis(STALL_MS - 2 * TICK_MS) {
        fixture.tick();
    }
    id
}

// T11
#[test]
fn a_half_closed_peer_is_closed_after_the_last_byte() {
    let mut fixture = Fixture::new(&[]);
    for bytes in [&b"GET /client.html HTTP/1.1\r\nHost: play.example\r\n\r\n"[..], &handshake("/")]
    {
        let id = fixture.open(REMOTE);
        fixture.send(id, bytes);
        fixture.take_up_to(id, 10);
        fixture.server.peer_closed(id, false, fixture.now);
        fixture.tick();
        assert_eq!(fixture.ended(id), None, "it may still read");
        fixture.take(id);
        let (_, end_ms) = fixture.until_end(id, 60_000, |_| ()).expect("it ends");
        assert!(end_ms <= 1_000, "it ended {end_ms} ms after both sides had finished");
    }
}

// T09
#[test]
fn a_stalled_client_is_slow_after_ten_seconds_and_not_before() {
    let mut fixture = Fixture::new(&[]);
    let [reader, stalled] = [fixture.join("/ws"), fixture.join("/ws")];
    let start = fixture.now;
    let mut last = 0;
    let end = fixture.until_end(stalled, 60_000, |fixture| {
        let since_ms = fixture.now.since(start);
        fixture.waiting_bytes(stalled);
        let seen = ticks(&fixture.take(reader));
        assert_eq!(seen, [last + 1], "{stalled:?} delays no other client");
        last = seen[0];
        fixture.send(reader, &masked(PONG, b""));
        if since_ms < STALL_MS {
            fixture.send(stalled, &masked(PONG, b""));
            assert_eq!(fixture.server.metrics().closes(CloseReason::Slow), 0);
        }
    });
    assert_eq!(end, Some((End::Reset, TICK_MS + STALL_MS + LINGER_MS)));
    assert_eq!(fixture.server.metrics().closes(CloseReason::Slow), 1);
}

#[test]
fn a_slow_reader_of_an_echo_does_not_count_as_silent() {
    let mut fixture = Fixture::new(&["--echo"]);
    let id = fixture.open(REMOTE);
    fixture.send(id, &handshake("/"));
    fixture.take(id);
    // More than the echo may queue, so the server stops reading until the peer has taken some of
    // it.
    assert_eq!(fixture.send(id, &masked(0x82, &vec![7; 3 << 20])), ReadState::Paused);
    assert!(!fixture.server.may_read(id));
    let mut taken = 0;
    while !fixture.server.may_read(id) {
        for _ in 0..1_000 / TICK_MS {
            fixture.tick();
        }
        taken += fixture.take_up_to(id, 32 << 10).len();
    }
    assert!(fixture.now > Millis(60_000) && taken > 2 << 20, "{taken} bytes by {:?}", fixture.now);
    fixture.send(id, &masked(0x81, b"still here"));
    assert!(fixture.take(id).ends_with(b"\x81\x0astill here"));
}

#[test]
fn a_peer_that_stalled_too_long_reads_the_reason() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.join("/ws");
    let mut frames = Vec::new();
    fixture.tick();
    frames.extend(fixture.take_up_to(id, 5));
    for _ in 0..STALL_MS / TICK_MS + 10 {
        fixture.tick();
    }
    frames.extend(fixture.take(id));
    let mut bytes = handshake_answer();
    bytes.extend(frames);
    let received = read_all(&bytes);
    assert_eq!(
        received.last(),
        Some(&Received::Close(Some(4008), CloseReason::Slow.sentence().to_owned())),
        "{received:?}"
    );
    assert!(
        matches!(&received[1], Received::Text(state) if tick_of(state) == Some(1)),
        "{received:?}"
    );
    assert_eq!(fixture.take(id), b"");
}

fn handshake_answer() -> Vec<u8> {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.open(REMOTE);
    fixture.send(id, &handshake("/ws?room=a-b"));
    let mut bytes = fixture.take(id);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    bytes.truncate(end);
    bytes
}

#[test]
fn a_peer_below_the_soft_limit_again_is_not_slow() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.join("/ws");
    // A long number makes a long pong, so the facts reach the soft limit within the rate limits.
    let ping = text(r#"{"type":"ping","t":1.2345678901234567e-300}"#);
    let mut next_read = ReadState::Open;
    while next_read == ReadState::Open {
        fixture.tick();
        fixture.take_up_to(id, 1);
        for _ in 0..2 {
            if next_read == ReadState::Open {
                next_read = fixture.send(id, &ping);
            }
        }
    }
    // It reads half at once and the rest slowly: never a second without progress.
    fixture.take_up_to(id, GAME.outbox_bytes_soft / 2);
    let ten_s = 10_000;
    let end = fixture.until_end(id, ten_s, |fixture| {
        fixture.take_up_to(id, 20);
        fixture.server.receive(id, &mut [], fixture.now);
    });
    assert!(fixture.waiting_bytes(id) < GAME.outbox_bytes_soft);
    assert_eq!(fixture.server.metrics().closes(CloseReason::Slow), 0, "{end:?}");
}

// T01
#[test]
fn the_output_of_a_peer_that_never_reads_is_bounded() {
    let mut fixture = Fixture::new(&[]);
    let id = fixture.join("/ws");
    let ping = text(r#"{"type":"ping","t":1.2345678901234567e-300}"#);
    let mut asked = masked(PING, &[b'x'; 125]);
    asked.extend(ping);
    let mut most = 0;
    for _ in 0..200 {
        fixture.tick();
        for _ in 0..4 {
            fixture.server.receive(id, &mut asked.clone(), fixture.now);
        }
        most = most.max(fixture.waiting_bytes(id));
    }
    assert!(most > 1_000, "only {most} bytes were queued");
    assert!(most <= GAME.outbox_bytes_pause + 1_000, "{most} bytes are queued");
}

#[test]
fn a_lower_rate_gives_that_many_states() {
    // A rate is taken down to one that divides the ticks of a second.
    for (asked, hz) in [(1, 1), (3, 2), (4, 4), (7, 5), (10, 10), (19, 10), (20, 20)] {
        let mut fixture = Fixture::new(&[]);
        let id = fixture.join("/ws");
        fixture.send(id, &text(&format!(r#"{{"type":"rate","hz":{asked}}}"#)));
        let mut seen = Vec::new();
        for _ in 0..100 {
            fixture.tick();
            seen.extend(ticks(&fixture.take(id)));
        }
        assert_eq!(seen.len(), 5 * hz, "at {asked} Hz in 5 s");
        let gap_max = 20 / hz as u32;
        assert!(
            seen.windows(2).all(|two| two[0] < two[1] && two[1] - two[0] <= gap_max),
            "{seen:?}"
        );
    }
}

/// An event for a closed connection must not affect the new connection in its slot.
// T39
#[test]
fn a_stale_handle_has_no_effect() {
    let mut fixture = Fixture::new(&[]);
    let old = fixture.join("/ws");
    fixture.tick();
    fixture.server.peer_closed(old, true, fixture.now);
    assert!(fixture.ended(old).is_some());
    let new = fixture.join("/ws?room=dots-new");
    assert_eq!((old.slot, old.serial != new.serial), (new.slot, true), "the slot is reused");
    fixture.tick();
    let before = fixture.server.metrics().clone();
    call_everything(&mut fixture, old);
    let after = fixture.server.metrics();
    assert_eq!(
        (before.bytes_in, before.bytes_out, before.short_writes, before.snapshots),
        (after.bytes_in, after.bytes_out, after.short_writes, after.snapshots),
        "no counter moves"
    );
    assert_eq!(fixture.ended(new), None);
    assert_eq!(ticks(&fixture.take(new)), [1]);
}

/// Calls every function that takes a handle.
fn call_everything(fixture: &mut Fixture, id: ConnId) {
    let Fixture { server, now, .. } = fixture;
    assert_eq!(server.receive(id, &mut text("garbage"), *now), ReadState::Open);
    assert_eq!(server.receive(id, &mut [], *now), ReadState::Open);
    assert!(!server.may_read(id));
    assert_eq!(server.slices(id, &mut [IoSlice::new(&[]); 16]), 0);
    server.written(id, 1, 2, *now);
    server.peer_closed(id, false, *now);
    server.peer_closed(id, true, *now);
}

// T56
#[test]
fn a_panic_disconnects_only_that_peer() {
    let mut fixture = Fixture::new(&[]);
    let [failed, other] = [fixture.join("/ws"), fixture.join("/ws")];
    fixture.tick();
    fixture.take(other);
    fixture.server.recover(failed, fixture.now);
    fixture.panics = 1;
    let mut bytes = handshake_answer();
    bytes.extend(fixture.take(failed));
    assert_eq!(read_all(&bytes).last(), Some(&Received::Close(Some(1011), String::new())));
    fixture.tick();
    let state = String::from_utf8_lossy(&fixture.take(other)).into_owned();
    assert!(state.contains("\"id\":\"2\"") && !state.contains("\"id\":\"1\""), "{state}");
    assert_eq!(fixture.server.metrics().panics, 1);
}

#[test]
fn an_operator_connection_is_not_evicted() {
    let mut fixture = Fixture::new(&[]);
    let far = REMOTE.parse().expect("an address");
    let admin = fixture
        .server
        .open(far, ListenerKind::Admin, fixture.now)
        .expect("the connection is admitted");
    fixture.send(admin, GET_HEALTH);
    fixture.take(admin);
    let _others: Vec<_> = (0..12).map(|_| fixture.open(REMOTE)).collect();
    assert!(
        fixture.server.open(far, ListenerKind::Public, fixture.now).is_err(),
        "none of the twelve is idle"
    );
    assert_eq!(fixture.ended(admin), None);
}

#[test]
fn an_operator_may_leave_while_a_client_connects() {
    let mut fixture = Fixture::new(&[]);
    let far = REMOTE.parse().expect("an address");
    let admin = fixture
        .server
        .open(far, ListenerKind::Admin, fixture.now)
        .expect("the connection is admitted");
    fixture.server.peer_closed(admin, true, fixture.now);
    fixture.open(REMOTE);
    assert!(fixture.ended(admin).is_some());
}

#[test]
fn a_connection_with_a_pending_request_is_not_idle() {
    let two = [GET_HEALTH, GET_HEALTH].concat();
    let mut fixture = Fixture::new(&[]);
    let id = fixture.open(REMOTE);
    assert_eq!(fixture.send(id, &two), ReadState::Paused);
    assert!(fixture.take(id).starts_with(b"HTTP/1.1 200"));
    let _others: Vec<_> = (0..11).map(|_| fixture.open(REMOTE)).collect();
    assert!(
        fixture
            .server
            .open(REMOTE.parse().expect("an address"), ListenerKind::Public, fixture.now)
            .is_err()
    );
    assert_eq!(fixture.ended(id), None, "a connection with a pending request is not evicted");
    fixture.server.drain(fixture.now);
    fixture.server.receive(id, &mut [], fixture.now);
    assert!(fixture.take(id).starts_with(b"HTTP/1.1 503"), "the second request is answered");
}

#[test]
fn a_connection_that_evicts_an_idle_one_is_served() {
    for address in [REMOTE, "198.51.100.9"] {
        let mut fixture = Fixture::new(&["--connections-max", "12"]);
        let idle = fixture.open(REMOTE);
        fixture.send(idle, GET_HEALTH);
        fixture.take(idle);
        let _others: Vec<_> = (0..11).map(|_| fixture.open(REMOTE)).collect();
        let newcomer = fixture.open(address);
        assert!(fixture.ended(idle).is_some());
        fixture.send(newcomer, &handshake("/"));
        assert!(String::from_utf8_lossy(&fixture.take(newcomer)).contains("init"), "{address}");
    }
}

#[test]
fn connections_that_send_no_request_do_not_keep_out_newcomers() {
    let mut fixture = Fixture::new(&["--connections-max", "12"]);
    let player = fixture.join("/");
    let peer = |number: usize| format!("198.51.100.{number}");
    let silent: Vec<_> = (0..11).map(|number| fixture.open(&peer(number))).collect();
    fixture.send(silent[0], b"GET / HTTP/1.1\r\nHost: ");
    let has_joined = |fixture: &mut Fixture, address: &str| {
        let newcomer = fixture.open(address);
        fixture.send(newcomer, &handshake("/"));
        let answer = String::from_utf8_lossy(&fixture.take(newcomer)).into_owned();
        fixture.server.peer_closed(newcomer, true, fixture.now);
        answer.contains("init")
    };
    assert!(!has_joined(&mut fixture, "203.0.113.1"), "their requests may still come");
    (0..=SILENT_MS / TICK_MS).for_each(|_| fixture.tick());
    for (number, id) in silent.iter().enumerate().take(3) {
        assert_eq!(fixture.ended(*id), None);
        assert!(has_joined(&mut fixture, &peer(100 + number)));
        assert!(fixture.ended(*id).is_some(), "the one that is silent longest");
        fixture.open(&peer(50 + number));
    }
    fixture.tick();
    assert!(String::from_utf8_lossy(&fixture.take(player)).contains("state_update"));
}

#[test]
fn the_idle_connection_of_a_player_that_polls_is_not_evicted_for_others() {
    let mut fixture = Fixture::new(&["--connections-max", "12"]);
    let _player = fixture.join("/");
    let idle = fixture.open(REMOTE);
    fixture.send(idle, GET_HEALTH);
    fixture.take(idle);
    let _others: Vec<_> =
        (10..20).map(|number| fixture.open(&format!("198.51.100.{number}"))).collect();
    let newcomer = fixture.open("198.51.100.9");
    assert_eq!(fixture.ended(idle), None);
    fixture.send(newcomer, GET_HEALTH);
    assert!(fixture.take(newcomer).starts_with(b"HTTP/1.1 200"), "it is one beyond the limit");
    fixture.open(REMOTE);
    assert!(fixture.ended(idle).is_some(), "for one of its own address it is");
}

#[test]
fn a_silent_peer_is_disconnected_after_a_pause_in_reading() {
    let mut fixture = Fixture::new(&["--echo"]);
    let id = fixture.open(REMOTE);
    fixture.send(id, &handshake("/"));
    fixture.take(id);
    assert_eq!(fixture.send(id, &masked(0x82, &vec![7; 3 << 20])), ReadState::Paused);
    // The tick falls between the read and the flush, when nothing is queued.
    fixture.tick();
    fixture.take(id);
    assert!(fixture.server.may_read(id));
    assert!(fixture.until_end(id, 120_000, |_| ()).is_some(), "it was silent for two minutes");
}

#[test]
fn empty_rooms_give_way_at_the_room_limit() {
    let mut fixture = Fixture::new(&["--rooms-max", "2"]);
    let (left, stays) = (fixture.join("/?room=a"), fixture.join_from("192.0.2.9", "/?room=b"));
    fixture.server.peer_closed(left, true, fixture.now);
    fixture.join("/?room=c");
    assert_eq!(fixture.server.metrics().refusals(Refusal::Full), 0);
    let late = fixture.open("198.51.100.9");
    fixture.send(late, &handshake("/?room=d"));
    assert!(!String::from_utf8_lossy(&fixture.take(late)).contains("init"), "both have players");
    assert!(fixture.server.may_read(stays));
}

#[test]
fn the_default_room_is_open_even_at_the_room_limit() {
    let mut fixture = Fixture::new(&["--rooms-max", "2"]);
    let _others = [fixture.join("/?room=a"), fixture.join_from("192.0.2.9", "/?room=b")];
    let id = fixture.open("198.51.100.9");
    fixture.send(id, &handshake("/?room=c"));
    assert!(!String::from_utf8_lossy(&fixture.take(id)).contains("init"));
    fixture.join("/");
}
