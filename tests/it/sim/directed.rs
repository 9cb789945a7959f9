//! One promise a test, at the very place where it could break. Most of these were first met by the
//! simulator, or by reading; here they need no luck.

use std::io::IoSlice;

use skirmish::close::CloseReason;
use skirmish::limits::{GAME, HTTP_HEAD_MS, HTTP_KEEP_ALIVE_MS, LINGER_MS, STALL_MS};
use skirmish::server::{ConnId, End, ReadState};
use skirmish::time::{Millis, TICK_MS};

use super::ear::{Ear, Heard, tick_of};
use super::lab::{FAR, Lab, handshake, masked, text};

const GET_HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: play.example\r\n\r\n";
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What a WebSocket client makes of `bytes`, handshake included.
fn hear(bytes: &[u8]) -> Vec<Heard> {
    let mut ear = Ear::default();
    ear.asked(false);
    let mut heard = Vec::new();
    let result = ear.hear(bytes, &mut heard);
    assert_eq!(result, Ok(()), "in {:?}", String::from_utf8_lossy(bytes));
    heard
}

/// The ticks of the states among the frames of a client that is past its handshake.
fn ticks(frames: &[u8]) -> Vec<u32> {
    let mut bytes = b"HTTP/1.1 101 \r\nSec-WebSocket-Accept: ".to_vec();
    bytes.extend_from_slice(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    bytes.extend_from_slice(frames);
    let state = |heard: &Heard| match heard {
        Heard::Text(text) => tick_of(text),
        _ => None,
    };
    hear(&bytes).iter().filter_map(state).collect()
}

#[test]
fn what_comes_with_the_handshake_is_answered_behind_it() {
    let mut lab = Lab::new(&[]);
    let id = lab.open(FAR);
    let mut bytes = handshake("/ws");
    bytes.extend(masked(PING, b"early"));
    bytes.extend(text(r#"{"type":"ping","t":1}"#));
    lab.send(id, &bytes);
    let heard = hear(&lab.take(id));
    assert_eq!(heard[0], Heard::Upgraded);
    assert!(heard.contains(&Heard::Pong(b"early".to_vec())), "{heard:?}");
    assert!(heard.iter().any(|h| matches!(h, Heard::Text(t) if t.contains("pong"))), "{heard:?}");
}

#[test]
fn a_server_ping_waits_for_the_handshake() {
    let mut lab = Lab::new(&[]);
    let id = lab.open(FAR);
    // The window is shut, then opens for one byte at a time: progress, so it is not slow. Meanwhile
    // it is silent for long enough to be pinged.
    lab.send(id, &handshake("/ws"));
    let mut all = Vec::new();
    for _ in 0..240 {
        lab.tick();
        all.extend(lab.take_up_to(id, 1));
    }
    all.extend(lab.take(id));
    assert_eq!(hear(&all)[0], Heard::Upgraded);
    assert!(hear(&all).contains(&Heard::Ping(Vec::new())));
}

#[test]
fn our_ping_survives_a_ping_of_the_peer() {
    let mut lab = Lab::new(&[]);
    let id = lab.join("/ws");
    let ping_after_ms = GAME.ping_after_ms.expect("the game pings");
    // The socket is full just when the ping is due, and the peer pings by itself before it drains.
    for _ in 0..ping_after_ms / TICK_MS {
        lab.tick();
        if lab.now.0 < ping_after_ms {
            lab.take(id);
        }
    }
    lab.send(id, &masked(PING, b"mine"));
    // From here on it answers every ping that it gets, and so it must not be given up.
    let end = lab.until_end(id, 60_000, |lab| {
        let bytes = lab.take(id);
        if bytes.windows(2).any(|two| two == [PING, 0]) {
            lab.send(id, &masked(PONG, b""));
        }
    });
    assert_eq!(end, None, "a peer that answers every ping is alive");
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let mut lab = Lab::new(&[]);
    let id = lab.join("/ws");
    let mut pinged_ms = None;
    let end = lab.until_end(id, 60_000, |lab| {
        if lab.take(id).windows(2).any(|two| two == [PING, 0]) {
            assert_eq!(pinged_ms.replace(lab.now.0), None, "one ping is enough");
        }
    });
    assert_eq!(pinged_ms, GAME.ping_after_ms);
    assert_eq!(end, Some((End::Reset, GAME.silence_ms)));
}

#[test]
fn an_idle_keep_alive_connection_ends_whenever_its_tick_fell() {
    for ticks_before_request in [0, 1] {
        for is_written_first in [true, false] {
            let mut lab = Lab::new(&[]);
            let id = lab.open(FAR);
            (0..ticks_before_request).for_each(|_| lab.tick());
            lab.send(id, GET_HEALTH);
            if is_written_first {
                lab.take(id);
            }
            lab.tick();
            lab.take(id);
            let end = lab.until_end(id, 2 * HTTP_KEEP_ALIVE_MS, |_| ());
            let end_ms = end.map(|(_, end_ms)| end_ms);
            let most = HTTP_KEEP_ALIVE_MS + LINGER_MS + TICK_MS;
            assert!(
                end_ms.is_some_and(|end_ms| end_ms <= most),
                "ended after {end_ms:?}; {ticks_before_request} ticks came before the request, \
                 the answer was written before the next one: {is_written_first}"
            );
        }
    }
}

#[test]
fn a_head_that_never_ends_gets_408_and_is_counted_so() {
    let mut lab = Lab::new(&[]);
    let id = lab.open(FAR);
    let mut answer = Vec::new();
    let end = lab.until_end(id, 20_000, |lab| {
        lab.send(id, b"G");
        answer.extend(lab.take(id));
    });
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(end.map(|(_, end_ms)| end_ms), Some(HTTP_HEAD_MS + LINGER_MS));
    let metrics = lab.server.metrics();
    let counts = [CloseReason::HttpTimeout, CloseReason::HttpRefused].map(|r| metrics.closes(r));
    assert_eq!(counts, [1, 0], "exactly the counter of its name moves");
}

#[test]
fn a_stalled_reader_of_a_page_is_not_kept_twice_as_long() {
    let mut lab = Lab::new(&[]);
    let id = lab.open(FAR);
    lab.send(id, b"GET /client.html HTTP/1.1\r\nHost: play.example\r\n\r\n");
    lab.take_up_to(id, 100);
    let (_, end_ms) = lab.until_end(id, 60_000, |_| ()).expect("it ends");
    assert!(end_ms <= STALL_MS + LINGER_MS, "it took nothing for {end_ms} ms");
}

#[test]
fn a_peer_that_hung_up_is_let_go_behind_the_last_byte() {
    let mut lab = Lab::new(&[]);
    for bytes in [&b"GET /client.html HTTP/1.1\r\nHost: play.example\r\n\r\n"[..], &handshake("/")]
    {
        let id = lab.open(FAR);
        lab.send(id, bytes);
        lab.take_up_to(id, 10);
        lab.server.hang_up(id, false, lab.now);
        lab.tick();
        assert_eq!(lab.ended(id), None, "it may still read");
        lab.take(id);
        let (_, end_ms) = lab.until_end(id, 60_000, |_| ()).expect("it ends");
        assert!(end_ms <= 1_000, "both sides had said their last {end_ms} ms ago");
    }
}

#[test]
fn nobody_is_slow_before_ten_seconds_and_everybody_is_after() {
    let mut lab = Lab::new(&[]);
    let [patient, stalled] = [lab.join("/ws"), lab.join("/ws")];
    let start = lab.now;
    let mut last = 0;
    let end = lab.until_end(stalled, 60_000, |lab| {
        let since_ms = lab.now.since(start);
        lab.waiting_bytes(stalled);
        let seen = ticks(&lab.take(patient));
        assert_eq!(seen, [last + 1], "nobody waits for {stalled:?}");
        last = seen[0];
        lab.send(patient, &masked(PONG, b""));
        if since_ms < STALL_MS {
            lab.send(stalled, &masked(PONG, b""));
            assert_eq!(lab.server.metrics().closes(CloseReason::Slow), 0);
        }
    });
    assert_eq!(end, Some((End::Reset, TICK_MS + STALL_MS + LINGER_MS)));
    assert_eq!(lab.server.metrics().closes(CloseReason::Slow), 1);
}

#[test]
fn an_echo_that_is_taken_slowly_is_no_silence() {
    let mut lab = Lab::new(&["--echo"]);
    let id = lab.open(FAR);
    lab.send(id, &handshake("/"));
    lab.take(id);
    // More than it may have waiting: it is not read until it has taken some of it.
    assert_eq!(lab.send(id, &masked(0x82, &vec![7; 3 << 20])), ReadState::Paused);
    assert!(!lab.server.may_read(id));
    let mut taken = 0;
    while !lab.server.may_read(id) {
        for _ in 0..1_000 / TICK_MS {
            lab.tick();
        }
        taken += lab.take_up_to(id, 32 << 10).len();
    }
    assert!(lab.now > Millis(60_000) && taken > 2 << 20, "{taken} bytes by {:?}", lab.now);
    lab.send(id, &masked(0x81, b"still here"));
    assert!(lab.take(id).ends_with(b"\x81\x0astill here"));
}

#[test]
fn a_peer_that_comes_back_from_a_stall_too_late_reads_why() {
    let mut lab = Lab::new(&[]);
    let id = lab.join("/ws");
    let mut frames = Vec::new();
    lab.tick();
    frames.extend(lab.take_up_to(id, 5));
    for _ in 0..STALL_MS / TICK_MS + 10 {
        lab.tick();
    }
    frames.extend(lab.take(id));
    let mut bytes = handshake_answer();
    bytes.extend(frames);
    let heard = hear(&bytes);
    assert_eq!(
        heard.last(),
        Some(&Heard::Close(Some(4008), CloseReason::Slow.sentence().to_owned())),
        "{heard:?}"
    );
    assert!(matches!(&heard[1], Heard::Text(state) if tick_of(state) == Some(1)), "{heard:?}");
    assert_eq!(lab.take(id), b"");
}

fn handshake_answer() -> Vec<u8> {
    let mut lab = Lab::new(&[]);
    let id = lab.open(FAR);
    lab.send(id, &handshake("/ws?room=a-b"));
    let mut bytes = lab.take(id);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    bytes.truncate(end);
    bytes
}

#[test]
fn a_peer_back_under_the_soft_bound_is_not_slow() {
    let mut lab = Lab::new(&[]);
    let id = lab.join("/ws");
    // A long number makes a long pong, so that the facts reach the soft bound within the rates.
    let ping = text(r#"{"type":"ping","t":1.2345678901234567e-300}"#);
    let mut read_state = ReadState::Open;
    while read_state == ReadState::Open {
        lab.tick();
        lab.take_up_to(id, 1);
        for _ in 0..2 {
            if read_state == ReadState::Open {
                read_state = lab.send(id, &ping);
            }
        }
    }
    // It takes a good part at once, and then little by little: never a second without progress.
    lab.take_up_to(id, GAME.outbox_bytes_soft / 2);
    let ten_s = 10_000;
    let end = lab.until_end(id, ten_s, |lab| {
        lab.take_up_to(id, 20);
        lab.server.receive(id, &mut [], lab.now);
    });
    assert!(lab.waiting_bytes(id) < GAME.outbox_bytes_soft);
    assert_eq!(lab.server.metrics().closes(CloseReason::Slow), 0, "{end:?}");
}

#[test]
fn a_peer_that_only_asks_and_never_reads_is_bounded() {
    let mut lab = Lab::new(&[]);
    let id = lab.join("/ws");
    let ping = text(r#"{"type":"ping","t":1.2345678901234567e-300}"#);
    let mut asked = masked(PING, &[b'x'; 125]);
    asked.extend(ping);
    let mut most = 0;
    for _ in 0..200 {
        lab.tick();
        for _ in 0..4 {
            lab.server.receive(id, &mut asked.clone(), lab.now);
        }
        most = most.max(lab.waiting_bytes(id));
    }
    assert!(most > 1_000, "the test must press: {most}");
    assert!(most <= GAME.outbox_bytes_pause + 1_000, "{most} bytes wait");
}

#[test]
fn a_lower_rate_means_so_many_states() {
    for hz in [1, 3, 7, 10, 19, 20] {
        let mut lab = Lab::new(&[]);
        let id = lab.join("/ws");
        lab.send(id, &text(&format!(r#"{{"type":"rate","hz":{hz}}}"#)));
        let mut seen = Vec::new();
        for _ in 0..100 {
            lab.tick();
            seen.extend(ticks(&lab.take(id)));
        }
        assert_eq!(seen.len(), 5 * hz, "at {hz} Hz in 5 s");
        let gap_max = 20_u32.div_ceil(hz as u32);
        assert!(
            seen.windows(2).all(|two| two[0] < two[1] && two[1] - two[0] <= gap_max),
            "{seen:?}"
        );
    }
}

/// T39: whatever comes late for a connection that is gone must not touch whoever has its slot now.
#[test]
fn a_stale_handle_finds_nobody() {
    let mut lab = Lab::new(&[]);
    let old = lab.join("/ws");
    lab.tick();
    lab.server.hang_up(old, true, lab.now);
    assert!(lab.ended(old).is_some());
    let new = lab.join("/ws?room=dots-new");
    assert_eq!((old.slot, old.serial != new.serial), (new.slot, true), "the slot is used again");
    lab.tick();
    let before = lab.server.metrics().clone();
    touch(&mut lab, old);
    let after = lab.server.metrics();
    assert_eq!(
        (before.bytes_in, before.bytes_out, before.short_writes, before.snapshots),
        (after.bytes_in, after.bytes_out, after.short_writes, after.snapshots),
        "nor is anything counted"
    );
    assert_eq!(lab.ended(new), None);
    assert_eq!(ticks(&lab.take(new)), [1]);
}

/// Calls everything that takes a handle.
fn touch(lab: &mut Lab, id: ConnId) {
    let Lab { server, now } = lab;
    assert_eq!(server.receive(id, &mut text("garbage"), *now), ReadState::Open);
    assert_eq!(server.receive(id, &mut [], *now), ReadState::Open);
    assert!(!server.may_read(id));
    assert_eq!(server.slices(id, &mut [IoSlice::new(&[]); 16]), 0);
    server.written(id, 1, 2, *now);
    server.hang_up(id, false, *now);
    server.hang_up(id, true, *now);
}

#[test]
fn after_a_fault_of_ours_only_that_peer_is_gone() {
    let mut lab = Lab::new(&[]);
    let [unlucky, other] = [lab.join("/ws"), lab.join("/ws")];
    lab.tick();
    lab.take(other);
    lab.server.recover_receive(unlucky, lab.now);
    let mut bytes = handshake_answer();
    bytes.extend(lab.take(unlucky));
    assert_eq!(hear(&bytes).last(), Some(&Heard::Close(Some(1011), String::new())));
    lab.tick();
    let state = String::from_utf8_lossy(&lab.take(other)).into_owned();
    assert!(state.contains("\"id\":\"2\"") && !state.contains("\"id\":\"1\""), "{state}");
    assert_eq!(lab.server.metrics().panics, 1);
}

#[test]
fn an_operator_makes_no_room_for_players() {
    let mut lab = Lab::new(&[]);
    let far = FAR.parse().expect("an address");
    let admin = lab.server.open_admin(far, lab.now).expect("there is room");
    lab.send(admin, GET_HEALTH);
    lab.take(admin);
    let _others: Vec<_> = (0..12).map(|_| lab.open(FAR)).collect();
    assert!(lab.server.open(far, lab.now).is_err(), "nobody of the twelve is idle");
    assert_eq!(lab.ended(admin), None);
}

#[test]
fn an_operator_who_leaves_while_somebody_comes_is_no_fault() {
    let mut lab = Lab::new(&[]);
    let far = FAR.parse().expect("an address");
    let admin = lab.server.open_admin(far, lab.now).expect("there is room");
    lab.server.hang_up(admin, true, lab.now);
    lab.open(FAR);
    assert!(lab.ended(admin).is_some());
}

#[test]
fn a_request_that_waits_for_its_turn_is_no_idleness() {
    let two = [GET_HEALTH, GET_HEALTH].concat();
    let mut lab = Lab::new(&[]);
    let id = lab.open(FAR);
    assert_eq!(lab.send(id, &two), ReadState::Paused);
    assert!(lab.take(id).starts_with(b"HTTP/1.1 200"));
    let _others: Vec<_> = (0..11).map(|_| lab.open(FAR)).collect();
    assert!(lab.server.open(FAR.parse().expect("an address"), lab.now).is_err());
    assert_eq!(lab.ended(id), None, "no room is made of it");
    lab.server.drain(lab.now);
    lab.server.receive(id, &mut [], lab.now);
    assert!(lab.take(id).starts_with(b"HTTP/1.1 503"), "and it has its answer at the end");
}

#[test]
fn who_takes_the_place_of_an_idle_connection_has_a_place() {
    for address in [FAR, "198.51.100.9"] {
        let mut lab = Lab::new(&["--connections-max", "12"]);
        let idle = lab.open(FAR);
        lab.send(idle, GET_HEALTH);
        lab.take(idle);
        let _others: Vec<_> = (0..11).map(|_| lab.open(FAR)).collect();
        let newcomer = lab.open(address);
        assert!(lab.ended(idle).is_some());
        lab.send(newcomer, &handshake("/"));
        assert!(String::from_utf8_lossy(&lab.take(newcomer)).contains("init"), "{address}");
    }
}

#[test]
fn a_peer_that_was_not_read_and_then_is_silent_is_given_up() {
    let mut lab = Lab::new(&["--echo"]);
    let id = lab.open(FAR);
    lab.send(id, &handshake("/"));
    lab.take(id);
    assert_eq!(lab.send(id, &masked(0x82, &vec![7; 3 << 20])), ReadState::Paused);
    // The tick comes between the read and the flush, and sees nothing to wait for.
    lab.tick();
    lab.take(id);
    assert!(lab.server.may_read(id));
    assert!(lab.until_end(id, 120_000, |_| ()).is_some(), "silent for two minutes");
}

#[test]
fn full_of_rooms_there_is_still_the_room_of_those_who_name_none() {
    let mut lab = Lab::new(&["--rooms-max", "2"]);
    let _others = [lab.join("/?room=a"), lab.join("/?room=b")];
    let id = lab.open("198.51.100.9");
    lab.send(id, &handshake("/?room=c"));
    assert!(!String::from_utf8_lossy(&lab.take(id)).contains("init"));
    lab.join("/");
}
