//! Who opens a session and enters no namespace has a second for it.

use std::time::{Duration, Instant};

use super::{
    OVER_WEBSOCKET, PATH, dial, enter, entered, id_in, is_closed, is_ended, is_well,
    join_over_polling, packets,
};
use crate::harness::{Game, Peer};
use crate::polling::Client;

#[test]
fn a_websocket_that_enters_nothing_is_closed() {
    let game = Game::start(&["--echo"]);
    let mut idle = dial(game.addr);
    let mut refused = dial(game.addr);
    refused.send_text("40/random,");
    assert!(refused.frame().text().starts_with("44/random,"));
    let mut member = dial(game.addr);
    enter(&mut member, "/custom,");
    enter(&mut member, "");
    let mut gone = dial(game.addr);
    enter(&mut gone, "");
    gone.send_text("41");
    is_closed(&mut idle, "silence");
    is_closed(&mut refused, "a refusal");
    // Once is enough, even for one who has left meanwhile. Both are older than one more that
    // has had its time.
    is_closed(&mut dial(game.addr), "silence");
    is_well(&mut member, "a second");
    enter(&mut gone, "");
    is_well(&mut gone, "a second");
}

#[test]
fn a_session_over_polling_that_enters_nothing_is_ended() {
    let game = Game::start(&["--echo"]);
    let member = join_over_polling(game.addr);
    let idle = Client::open_at(game.addr, PATH);
    let refused = Client::open_at(game.addr, PATH);
    refused.post("40/random,");
    assert!(refused.poll().text().starts_with("44/random,"));
    let (mut one, mut other) = (idle.begin_poll(), refused.begin_poll());
    for poll in [&mut one, &mut other] {
        let answer = poll.answer(true);
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
    }
    idle.is_gone();
    refused.is_gone();
    member.post("42[\"message\",1]");
    assert_eq!(packets(&member, 1), ["42[\"message-back\",1]"]);
}

#[test]
fn a_session_that_nobody_asks_for_ends_too() {
    let game = Game::start(&["--echo"]);
    let client = Client::open_at(game.addr, PATH);
    // Whoever comes later has had its time, too.
    is_closed(&mut dial(game.addr), "silence");
    is_ended(&client, "silence");
}

#[test]
fn an_upgrade_is_no_entry() {
    let game = Game::start(&["--echo"]);
    let mut peer = Client::open_at(game.addr, PATH).upgrade();
    is_closed(&mut peer, "an upgrade and silence");
}

#[test]
fn the_time_is_the_operators_choice() {
    let beats = ["--ping-interval-ms", "300", "--ping-timeout-ms", "2000"];
    let game = Game::start(&[&["--echo", "--connect-timeout-ms", "60000"], &beats[..]].concat());
    let mut peer = Peer::upgrade(game.addr, OVER_WEBSOCKET);
    peer.frame();
    // More than the second that it is without the flag.
    for _ in 0..5 {
        assert_eq!(peer.frame().text(), "2");
        peer.send_text("3");
    }
    peer.send_text("40");
    id_in(&peer.until_text(&["40{"]), "");

    let game = Game::start(&["--echo", "--connect-timeout-ms", "1500"]);
    let mut peer = dial(game.addr);
    peer.send_text("40{}");
    entered(&mut peer, "", "{}");
    let since = Instant::now();
    is_closed(&mut dial(game.addr), "1,500 ms");
    // A tick may round it down.
    assert!(since.elapsed() >= Duration::from_millis(1_400), "{:?}", since.elapsed());
    is_well(&mut peer, "1,500 ms");
}
