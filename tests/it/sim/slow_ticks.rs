//! A world whose ticks take longer than there is time (HARDENING.md, T45).

use std::collections::BTreeSet;

use serde_json::Value;
use skirmish::reactor::Turn;
use skirmish::server::ListenerKind;
use skirmish::time::TICK_MS;
use skirmish::ws::frame;

use super::faults;
use super::fixture::{self, handshake};
use super::sink::{Client, Sink, run};

const PLAYERS: usize = 3;
const SLOW_TICK_US: u64 = 80_000;
const SECONDS: u64 = 10;

/// The places of the bots in the newest state of the first player.
fn bots(sink: &Sink) -> BTreeSet<(String, u64, u64)> {
    let (_, text) = frame::payloads(&sink.newest).last().expect("a state");
    let state: Value = serde_json::from_slice(text).expect("JSON");
    let players = state["players"].as_array().expect("an array").iter();
    let bots = players.filter_map(|it| Some((it["name"].as_str()?, it["x"].as_u64()?, &it["y"])));
    bots.map(|(name, x, y)| (name.to_owned(), x, y.as_u64().expect("a place"))).collect()
}

/// When each state came to a player, in microseconds.
fn times(sink: &Sink, player: usize) -> Vec<u64> {
    let of_player = sink.taken.iter().filter(|taken| taken.number == player);
    of_player.map(|taken| taken.at_us).collect()
}

// T45
#[test]
fn slow_ticks_come_less_often_and_the_delay_does_not_grow() {
    let flags = ["--bots", "battle=6", "--room", "battle=battle"];
    let server = fixture::server(&flags, 1, fixture::pages());
    let mut turn = Turn::new(Sink::default(), [ListenerKind::Public], server, 8_192);
    let request = || handshake("/?room=battle");
    let players = (0..PLAYERS).map(|number| Client { number, request: request() });
    turn.sockets_mut().arriving.extend(players);
    run(&mut turn, 1_000_000);

    faults::slow_worlds(SLOW_TICK_US);
    let (from_us, ticks) = (turn.sockets_mut().now_us, turn.server().metrics().ticks);
    turn.sockets_mut().taken.clear();
    let before = bots(turn.sockets_mut());
    assert_eq!(before.len(), 3, "bots fill the room");
    run(&mut turn, from_us + SECONDS * 1_000_000);
    // A tick takes 80 ms, and the next one begins at once.
    let metrics = turn.server().metrics();
    let slow = metrics.ticks - ticks;
    assert!((120..=125).contains(&slow), "{slow} ticks in {SECONDS} s");
    assert!(metrics.ticks_missed >= 70, "{} were missed", metrics.ticks_missed);
    let after = bots(turn.sockets_mut());
    assert!(after.is_disjoint(&before), "the bots move: {before:?} to {after:?}");
    for player in 0..PLAYERS {
        let times = times(turn.sockets_mut(), player);
        let gaps: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(times.len() as u64 >= slow - 2, "{} states", times.len());
        let greatest = gaps.iter().max();
        assert!(greatest <= Some(&(SLOW_TICK_US + 2_000)), "{greatest:?} us between two states");
    }

    // Once there is time, the ticks are as usual at once: five are made up for at most.
    faults::slow_worlds(0);
    let (from_us, ticks) = (turn.sockets_mut().now_us, turn.server().metrics().ticks);
    run(&mut turn, from_us + 1_000_000);
    let usual = turn.server().metrics().ticks - ticks;
    assert!((1_000 / TICK_MS..=1_000 / TICK_MS + 5).contains(&usual), "{usual} ticks in 1 s");
}
