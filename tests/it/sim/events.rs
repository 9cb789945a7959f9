//! Promises to clients of Socket.IO, each at the very place where it could break.

use skirmish::close::CloseReason;
use skirmish::limits::{CONNECT_TIMEOUT_MS, GAME, IDLE_SESSIONS_MAX, PROBE_MS, STALL_MS};
use skirmish::time::TICK_MS;

use super::caller::{Caller, Line, gauge, opening, polling, upgrading};
use super::ear::Heard;
use super::lab::{FAR, Lab, masked, text};
use super::mind::{Body, Said};

/// Another address.
const ELSEWHERE: &str = "192.0.2.2";
const ROOM: &str = "battle-1";

fn ticks(lab: &mut Lab, span_ms: u64) {
    (0..span_ms / TICK_MS).for_each(|_| lab.tick());
}

/// Goes on by a tick, and everybody reads what there is to be told.
fn tick_all(lab: &mut Lab, callers: &mut [&mut Caller]) {
    callers.iter_mut().for_each(|caller| caller.catch_up(lab));
    lab.tick();
    for caller in callers {
        caller.told(lab);
    }
}

/// Leads two players to one place, so that they can reach each other.
fn bring_together(lab: &mut Lab, one: &mut Caller, other: &mut Caller) {
    for _ in 0..25 {
        for caller in [&mut *one, &mut *other] {
            caller.say(lab, r#"42["move",{"x":50,"y":50}]"#);
        }
        tick_all(lab, &mut [one, other]);
    }
    for caller in [&*one, &*other] {
        let places: Vec<_> = caller.mind.known.values().map(|body| (body.x, body.y)).collect();
        assert_eq!(places, [(50, 50), (50, 50)]);
    }
    // Four moves are saved again.
    (0..4).for_each(|_| tick_all(lab, &mut [one, other]));
    one.mind.facts.clear();
    other.mind.facts.clear();
}

fn two_together(lab: &mut Lab, has_socket: [bool; 2]) -> [Caller; 2] {
    let mut ann = Caller::join(lab, FAR, ROOM, has_socket[0]);
    let mut ben = Caller::join(lab, ELSEWHERE, ROOM, has_socket[1]);
    bring_together(lab, &mut ann, &mut ben);
    [ann, ben]
}

// --- state is owed, facts queue ------------------------------------------------------------------

#[test]
fn who_polls_rarely_is_told_the_newest_places_once_and_every_fact_in_order() {
    let mut lab = Lab::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut lab, [true, false]);
    let mut expected = Vec::new();
    assert_eq!(ben.answer(&mut lab), None, "nothing is new");
    for round in 0..50_u16 {
        let (x, y) = (50 + round % 3, 50);
        ann.say(&mut lab, &format!(r#"42["move",{{"x":{x},"y":{y}}}]"#));
        ann.say(&mut lab, r#"42["attack",{}]"#);
        ann.told(&mut lab);
        lab.tick();
        ann.told(&mut lab);
        // The poll that waited is answered, and then there is none.
        if round == 0 {
            ben.answer(&mut lab).expect("Ann has moved");
        }
    }
    std::mem::swap(&mut expected, &mut ann.mind.facts);
    assert_eq!(expected.len(), 11, "ten hits and a death: {expected:?}");
    let said = ben.told(&mut lab);
    assert_eq!(ben.mind.facts, expected);
    assert_eq!(said.iter().filter(|said| matches!(said, Said::Place(_))).count(), 1, "{said:?}");
    assert_eq!(ben.mind.known, ann.mind.known, "the newest places");
    assert_eq!(ben.told(&mut lab), [], "and then nothing is new");
}

#[test]
fn who_has_left_is_not_told_to_have_moved() {
    for has_socket in [false, true] {
        let mut lab = Lab::with_small_pages(&[]);
        let mut ann = Caller::join(&mut lab, FAR, ROOM, true);
        let mut ben = Caller::join(&mut lab, ELSEWHERE, ROOM, has_socket);
        ann.told(&mut lab);
        ann.say(&mut lab, r#"42["move",{"x":50,"y":50}]"#);
        lab.tick();
        // Ben reads a little later than on the tick, and Ann has gone by then.
        ann.say(&mut lab, "41");
        ben.told(&mut lab);
        assert_eq!(ben.mind.known.keys().collect::<Vec<_>>(), [&ben.number()]);
    }
}

#[test]
fn a_place_that_is_read_late_heals_nobody() {
    for has_socket in [false, true] {
        let mut lab = Lab::with_small_pages(&[]);
        let [mut ann, mut ben] = two_together(&mut lab, [true, has_socket]);
        for x in [51, 49] {
            ben.say(&mut lab, &format!(r#"42["move",{{"x":{x},"y":50}}]"#));
            lab.tick();
            if x == 51 {
                // From here on no poll of his waits.
                ben.told(&mut lab);
            }
        }
        ann.say(&mut lab, r#"42["attack",{}]"#);
        // The blow comes first, and then the place of the tick before it.
        ben.told(&mut lab);
        assert_eq!(ben.mind.known[&ben.number()], Body { x: 49, y: 50, hp: 90 });
    }
}

#[test]
fn who_comes_again_is_told_who_is_there_though_an_old_state_is_under_way() {
    let mut lab = Lab::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut lab, [true, true]);
    ann.say(&mut lab, r#"42["move",{"x":51,"y":50}]"#);
    lab.tick();
    // The socket takes one byte of the state.
    let mut heard = ben.socket.as_mut().expect("it has one").hear_up_to(&mut lab, 1);
    ben.say(&mut lab, "41");
    ben.come_in(&mut lab, ROOM);
    heard.extend(ben.socket.as_mut().expect("it has one").hear(&mut lab));
    ben.understand(heard);
    tick_all(&mut lab, &mut [&mut ann, &mut ben]);
    assert!(ben.mind.is_introduced, "ten ticks later it still does not know who is there");
    assert_eq!(ben.mind.known, ann.mind.known);
}

#[test]
fn a_state_that_is_owed_goes_by_the_new_way_at_once() {
    let mut lab = Lab::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut lab, [true, false]);
    ben.say(&mut lab, r#"42["rate",{"hz":1}]"#);
    ann.say(&mut lab, r#"42["move",{"x":51,"y":50}]"#);
    // The poll that waits is answered on the tick that tells it; the next state is owed to nobody.
    while ben.answer(&mut lab).is_none() {
        lab.tick();
    }
    ann.say(&mut lab, r#"42["move",{"x":52,"y":50}]"#);
    ticks(&mut lab, 1_000);
    let mut probe = Line::open(&mut lab, ELSEWHERE);
    probe.ask(&mut lab, &upgrading(&ben.sid));
    lab.send(probe.id, &text("2probe"));
    assert_eq!(probe.hear(&mut lab), [Heard::Upgraded, Heard::Text("3probe".to_owned())]);
    lab.send(probe.id, &text("5"));
    let mut dirty = Vec::new();
    lab.server.take_dirty(&mut dirty, lab.now);
    assert!(dirty.contains(&probe.id), "nobody wakes it");
    ben.socket = Some(probe);
    ben.told(&mut lab);
    ann.told(&mut lab);
    assert_eq!(ben.mind.known, ann.mind.known);
}

#[test]
fn a_slow_reader_is_told_no_backlog_and_then_that_it_is_slow() {
    let mut lab = Lab::with_small_pages(&[]);
    let [mut ann, mut ben] = two_together(&mut lab, [true, true]);
    // Ben's socket is full, but for some bytes now and then.
    let mut heard = Vec::new();
    let socket = |ben: &mut Caller, lab: &mut Lab, most| {
        ben.socket.as_mut().expect("it has one").hear_up_to(lab, most)
    };
    for round in 0..100_u16 {
        ann.say(&mut lab, &format!(r#"42["move",{{"x":{},"y":50}}]"#, 49 + round % 3));
        lab.tick();
        ann.told(&mut lab);
        heard.extend(socket(&mut ben, &mut lab, 1));
        assert!(lab.waiting_bytes(ben.socket.as_ref().expect("it has one").id) < 300);
    }
    heard.extend(socket(&mut ben, &mut lab, usize::MAX));
    let places = ben.understand(heard).len();
    assert!((1..=3).contains(&places), "100 bytes and one state are no {places} places");
    assert_eq!(ben.mind.known, ann.mind.known);
    // From now on it reads nothing, and facts are bounded.
    let start = lab.now;
    let id = ben.socket.as_ref().expect("it has one").id;
    let mut most = 0;
    let (_, end_ms) = lab
        .until_end(id, 60_000, |lab| {
            most = most.max(lab.waiting_bytes(id));
            ann.say(lab, "41");
            if lab.now.since(start).is_multiple_of(1_500) {
                ann.come_in(lab, ROOM);
            }
        })
        .expect("it ends");
    assert!(end_ms <= STALL_MS + 3_000 && most <= GAME.outbox_bytes_max, "{end_ms} ms, {most}");
    assert_eq!(lab.server.metrics().closes(CloseReason::Slow), 1);
}

// --- sessions that come to nothing ---------------------------------------------------------------

/// What there is of sessions and of those who wait.
fn gauges(lab: &mut Lab) -> [u64; 3] {
    ["engine_sessions", "polls_held", "players"].map(|name| gauge(lab, name))
}

#[test]
fn who_never_comes_in_is_sent_away_in_time() {
    let mut lab = Lab::with_small_pages(&[]);
    let mut polling = Caller::open(&mut lab, FAR);
    polling.poll(&mut lab);
    let mut socket = Caller::open_socket(&mut lab, FAR);
    let mut refused = Caller::open_socket(&mut lab, FAR);
    ticks(&mut lab, CONNECT_TIMEOUT_MS - TICK_MS);
    // To be turned away is not to come in.
    refused.come_in(&mut lab, "No Room");
    assert!(matches!(refused.told(&mut lab).as_slice(), [Said::Refused(_)]));
    assert_eq!(polling.answer(&mut lab), None);
    assert_eq!(gauges(&mut lab), [3, 1, 0]);
    lab.tick();
    assert_eq!(polling.answer(&mut lab), Some(vec![Said::Close]));
    for caller in [&mut socket, &mut refused] {
        let heard = caller.socket.as_mut().expect("it has one").hear(&mut lab);
        assert_eq!(heard, [Heard::Close(None, String::new())]);
    }
    assert_eq!(gauges(&mut lab), [0, 0, 0]);
    assert_eq!(polling.after_the_end(&mut lab), 400);
}

#[test]
fn ten_thousand_sessions_that_nobody_asks_for_leave_nothing() {
    // From this machine, so that only the bounds of all addresses together hold.
    let mut lab = Lab::with_small_pages(&[]);
    let mut begun = 0;
    while begun < 10_000 {
        let mut line = Line::open(&mut lab, "127.0.0.1");
        let mut statuses = Vec::new();
        while statuses.last() != Some(&503) {
            line.ask(&mut lab, &opening(""));
            let (status, _) = line.response(&mut lab);
            statuses.push(status);
        }
        let count = statuses.len() - 1;
        assert!(
            statuses[..count].iter().all(|status| *status == 200)
                && count == IDLE_SESSIONS_MAX as usize
        );
        begun += count;
        assert_eq!(gauge(&mut lab, "engine_sessions"), count as u64);
        ticks(&mut lab, CONNECT_TIMEOUT_MS);
        assert_eq!(gauges(&mut lab), [0, 0, 0], "after {begun}");
    }
    Caller::join(&mut lab, FAR, ROOM, false);
    assert_eq!(lab.server.metrics().panics, 0);
}

#[test]
fn an_upgrade_that_is_never_finished_changes_nothing() {
    let mut lab = Lab::with_small_pages(&[]);
    let mut ann = Caller::join(&mut lab, FAR, ROOM, true);
    for is_probed in [false, true] {
        let mut ben = Caller::join(&mut lab, ELSEWHERE, ROOM, false);
        ann.told(&mut lab);
        let mut probe = Line::open(&mut lab, ELSEWHERE);
        let sid = ben.sid.clone();
        probe.ask(&mut lab, &upgrading(&sid));
        assert_eq!(probe.hear(&mut lab), [Heard::Upgraded]);
        if is_probed {
            ben.poll(&mut lab);
            lab.send(probe.id, &text("2probe"));
            assert_eq!(probe.hear(&mut lab), [Heard::Text("3probe".to_owned())]);
            assert_eq!(ben.answer(&mut lab), Some(vec![Said::Noop]));
        }
        let mut places = 0;
        for round in 0..PROBE_MS / TICK_MS - 1 {
            assert_eq!(probe.hear(&mut lab), [], "all goes by the polls, round {round}");
            ann.say(&mut lab, &format!(r#"42["move",{{"x":{},"y":50}}]"#, 20 + round % 60));
            tick_all(&mut lab, &mut [&mut ann, &mut ben]);
            places = ben.mind.places.values().sum::<u64>();
            // A poll beside a probe is answered just before the tick.
            assert!(is_probed || ben.mind.known == ann.mind.known, "{:?}", ben.mind.known);
        }
        assert!(places > 90, "{places}");
        lab.tick();
        assert_eq!(probe.hear(&mut lab), [Heard::Close(None, String::new())]);
        // Another may be tried, and that one succeeds.
        let mut probe = Line::open(&mut lab, ELSEWHERE);
        probe.ask(&mut lab, &upgrading(&sid));
        lab.send(probe.id, &text("2probe"));
        ben.told(&mut lab);
        lab.send(probe.id, &text("5"));
        assert_eq!(probe.hear(&mut lab)[..2], [Heard::Upgraded, Heard::Text("3probe".to_owned())]);
        ben.socket = Some(probe);
        ann.say(&mut lab, r#"42["move",{"x":50,"y":50}]"#);
        tick_all(&mut lab, &mut [&mut ann, &mut ben]);
        assert_eq!(ben.mind.known, ann.mind.known);
        assert_eq!(ben.after_the_end(&mut lab), 400, "no polls from now on");
        ben.say(&mut lab, "1");
        ann.told(&mut lab);
    }
    assert_eq!(gauges(&mut lab), [1, 0, 1]);
}

// --- sent away -----------------------------------------------------------------------------------

#[test]
fn who_does_nothing_is_sent_away() {
    let mut lab = Lab::with_small_pages(&["--idle-kick-s", "3"]);
    let mut busy = Caller::join(&mut lab, FAR, ROOM, true);
    let mut waits = Caller::join(&mut lab, FAR, ROOM, false);
    let mut rests = Caller::join(&mut lab, ELSEWHERE, ROOM, false);
    let mut socket = Caller::join(&mut lab, ELSEWHERE, ROOM, true);
    for _ in 0..80 {
        // Soon it stands in the corner, and nobody is told of it any more.
        busy.say(&mut lab, r#"42["move",{"x":0,"y":0}]"#);
        busy.told(&mut lab);
        if lab.now.0 < 2_900 {
            waits.catch_up(&mut lab);
            socket.catch_up(&mut lab);
        }
        lab.tick();
    }
    busy.told(&mut lab);
    let said = waits.answer(&mut lab).expect("it waited for it");
    assert_eq!(said.last(), Some(&Said::Close));
    assert_eq!(busy.mind.known.len(), 1, "only one has done something");
    let heard = socket.socket.as_mut().expect("it has one").hear(&mut lab);
    assert!(matches!(heard.last(), Some(Heard::Close(Some(4000), _))), "{heard:?}");
    let mut last = |caller: &mut Caller| caller.told(&mut lab).last().cloned();
    assert_eq!(last(&mut rests), Some(Said::Close), "its end was kept for it");
    assert_eq!(rests.after_the_end(&mut lab), 400);
    assert_eq!(waits.after_the_end(&mut lab), 400);
    assert_eq!(gauges(&mut lab), [1, 0, 1]);
}

#[test]
fn who_must_go_for_a_restart_is_told_so_in_its_own_way() {
    let mut lab = Lab::with_small_pages(&["--drain-s", "1"]);
    let mut waits = Caller::join(&mut lab, FAR, ROOM, false);
    let mut rests = Caller::join(&mut lab, FAR, ROOM, false);
    let mut socket = Caller::join(&mut lab, ELSEWHERE, ROOM, true);
    let mut unclaimed = Caller::open(&mut lab, ELSEWHERE);
    waits.catch_up(&mut lab);
    lab.server.drain(lab.now);
    ticks(&mut lab, 1_000);
    assert!(lab.server.is_drained());
    let ends = |said: Option<Vec<Said>>| said.and_then(|said| said.last().cloned());
    assert_eq!(ends(waits.answer(&mut lab)), Some(Said::Close));
    // Connections that were idle are gone.
    for caller in [&mut rests, &mut unclaimed] {
        caller.get = Line::open(&mut lab, FAR);
        assert_eq!(ends(Some(caller.told(&mut lab))), Some(Said::Close));
    }
    let heard = socket.socket.as_mut().expect("it has one").hear(&mut lab);
    let Some(Heard::Close(Some(1012), hint)) = heard.last() else { panic!("{heard:?}") };
    assert!(hint.starts_with(r#"{"retry_ms":"#), "{hint}");
    let mut line = Line::open(&mut lab, FAR);
    line.ask(&mut lab, &opening(""));
    assert_eq!(line.response(&mut lab).0, 503);
    assert_eq!(gauges(&mut lab), [0, 0, 0]);
}

#[test]
fn two_polls_at_once_or_one_that_is_lost_end_a_session() {
    for is_lost in [false, true] {
        let mut lab = Lab::with_small_pages(&[]);
        let mut ann = Caller::join(&mut lab, ELSEWHERE, ROOM, true);
        let mut ben = Caller::join(&mut lab, FAR, ROOM, false);
        let number = ben.number();
        assert_eq!(ben.told(&mut lab), []);
        if is_lost {
            lab.server.hang_up(ben.get.id, false, lab.now);
        } else {
            let mut other = Line::open(&mut lab, FAR);
            other.ask(&mut lab, &polling(&ben.sid));
            assert_eq!(other.response(&mut lab).0, 400);
            assert_eq!(ben.answer(&mut lab), Some(vec![Said::Close]));
        }
        ann.told(&mut lab);
        assert!(ann.mind.gone.contains(&number));
        assert_eq!(ben.after_the_end(&mut lab), 400);
        assert_eq!(gauges(&mut lab), [1, 0, 1]);
    }
}

#[test]
fn what_is_masked_wrongly_ends_the_session_that_it_carries() {
    let mut lab = Lab::with_small_pages(&[]);
    let mut ann = Caller::join(&mut lab, FAR, ROOM, true);
    let mut ben = Caller::join(&mut lab, ELSEWHERE, ROOM, true);
    let id = ben.socket.as_ref().expect("it has one").id;
    lab.send(id, &masked(0xc1, b"42"));
    ann.told(&mut lab);
    assert!(ann.mind.gone.contains(&ben.number()));
    let heard = ben.socket.as_mut().expect("it has one").hear(&mut lab);
    assert!(matches!(heard.last(), Some(Heard::Close(..))), "{heard:?}");
}

#[test]
fn a_state_that_fell_due_between_two_polls_goes_with_the_next() {
    let mut lab = Lab::with_small_pages(&[]);
    let mut ann = Caller::join(&mut lab, FAR, ROOM, true);
    let mut ben = Caller::join(&mut lab, ELSEWHERE, ROOM, false);
    tick_all(&mut lab, &mut [&mut ann, &mut ben]);
    // The second state falls due while no poll waits.
    for x in [20, 80] {
        ann.say(&mut lab, &format!(r#"42["move",{{"x":{x},"y":50}}]"#));
        lab.tick();
        ann.told(&mut lab);
        assert!(!ben.told(&mut lab).is_empty(), "no tick has come since");
        assert_eq!(ben.mind.known, ann.mind.known);
    }
}
