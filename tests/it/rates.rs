//! What a player may send, how much and how fast, and the close code for each violation
//! (docs/limits.md, "Input of a session"). `websocket.rs` covers the limits of the protocol.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Instant;

use skirmish::limits::CONNECTIONS_AN_ADDRESS;

use crate::harness::{Peer, ReadBarrier, TestServer, WAIT_MAX, masked, until};

const UP: &str = r#"{"type":"move","direction":"UP"}"#;

fn drops(server: &TestServer, reason: &str) -> u64 {
    server.metric(&format!("skirmish_drops_total{{reason=\"{reason}\"}}"))
}

/// Asserts that the server ends the session after `bytes` with `code`, and counts it.
fn assert_closed(server: &TestServer, what: &str, bytes: &[u8], code: u16) {
    let (mut peer, _) = Peer::join(server.addr, "/");
    peer.send(bytes);
    assert_eq!(peer.until_close().0, Some(code), "{what}");
    peer.expect_end();
}

/// A message of `bytes` bytes that the game ignores.
fn message(bytes: usize) -> String {
    let empty = r#"{"type":"fly","pad":""}"#.len();
    format!(r#"{{"type":"fly","pad":"{}"}}"#, "x".repeat(bytes - empty))
}

// T12
#[test]
fn a_message_may_have_4_kib_in_any_fragments() {
    let server = TestServer::start(&[]);
    let (mut peer, _) = Peer::join(server.addr, "/");
    let most = message(4_096);
    peer.send_text(&most);
    let (left, right) = most.as_bytes().split_at(4_000);
    peer.send(&[masked(0x01, left), masked(0x80, right)].concat());
    peer.send_text(r#"{"type":"ping","t":1}"#);
    peer.until_text(&["pong"]);
    assert_eq!(drops(&server, "unknown"), 2, "both messages were read");
    let header = |first: u8, length: u64| {
        [&[first, 0xff], length.to_be_bytes().as_slice(), &[1, 2, 3, 4]].concat()
    };
    let short = |first: u8, length: u16| {
        [&[first, 0xfe], length.to_be_bytes().as_slice(), &[1, 2, 3, 4]].concat()
    };
    for (what, bytes) in [
        ("4,097 bytes", masked(0x81, message(4_097).as_bytes())),
        ("4,097 binary bytes", masked(0x82, &[0; 4_097])),
        ("4,097 bytes, declared", short(0x81, 4_097)),
        ("64 KiB, declared", header(0x81, 65_536)),
        ("2^31 bytes, declared", header(0x82, 1 << 31)),
        ("2^62 bytes, declared", header(0x82, 1 << 62)),
        ("too many over two fragments", [masked(0x01, left), short(0x80, 127)].concat()),
        ("too many in a third", {
            [masked(0x01, &[b'x'; 4_000]), masked(0x00, &[b'x'; 96]), masked(0x80, b"x")].concat()
        }),
    ] {
        assert_closed(&server, what, &bytes, 1009);
    }
    server.until_metric("skirmish_closes_total{reason=\"too_big\"}", 8);
}

// T14
#[test]
fn a_message_may_have_16_fragments() {
    let server = TestServer::start(&[]);
    let fragments = |count: usize, payload: &[u8]| {
        let mut frames = masked(0x01, payload);
        (2..count).for_each(|_| frames.extend(masked(0x00, payload)));
        frames
    };
    let (mut peer, _) = Peer::join(server.addr, "/");
    let ping = br#"{"type":"ping","t":16}"#;
    let mut sixteen = masked(0x01, &ping[..1]);
    (1..15).for_each(|at| sixteen.extend(masked(0x00, &ping[at..=at])));
    sixteen.extend(masked(0x80, &ping[15..]));
    peer.send(&sixteen);
    peer.until_text(&["pong", "16"]);
    for (what, payload) in [("of a byte", b"x".as_slice()), ("empty ones", b"")] {
        let seventeenth = [fragments(17, payload), masked(0x00, payload)].concat();
        assert_closed(&server, what, &seventeenth, 1008);
        let last = [fragments(17, payload), masked(0x80, payload)].concat();
        assert_closed(&server, what, &last, 1008);
    }
    let pings = [fragments(16, b""), masked(0x89, b""), masked(0x80, b"")].concat();
    let (mut peer, _) = Peer::join(server.addr, "/");
    peer.send(&pings);
    peer.send_text(r#"{"type":"ping","t":17}"#);
    peer.until_text(&["pong", "17"]);
    server.until_metric("skirmish_closes_total{reason=\"policy\"}", 4);
}

#[test]
fn violations_end_a_player_like_an_echo() {
    let server = TestServer::start(&[]);
    for (what, bytes, code) in [
        ("text that is none", masked(0x81, b"{\"type\":\"\xff\"}"), 1007),
        ("a frame without a mask", [b"\x81\x20".as_slice(), UP.as_bytes()].concat(), 1002),
        ("a reserved bit", masked(0xc1, UP.as_bytes()), 1002),
        ("a reserved opcode", masked(0x83, b""), 1002),
        (
            "a length with its highest bit set",
            [0x82, 0xff].into_iter().chain([0xff; 12]).collect(),
            1002,
        ),
        ("a bad code", masked(0x88, &1005u16.to_be_bytes()), 1002),
    ] {
        assert_closed(&server, what, &bytes, code);
    }
    let (mut peer, _) = Peer::join(server.addr, "/");
    peer.send_frame(0x88, &4_321u16.to_be_bytes());
    assert_eq!(peer.until_close().0, Some(4_321));
    peer.expect_end();
    server.until_metric("skirmish_players", 0);
}

// T19
#[test]
fn the_last_of_several_pings_in_one_segment_is_answered() {
    let server = TestServer::start(&[]);
    let (mut peer, _) = Peer::join(server.addr, "/");
    let pings: Vec<u8> = (0..50u8).flat_map(|number| masked(0x89, &[number])).collect();
    peer.send(&[pings, masked(0x81, br#"{"type":"ping","t":1}"#)].concat());
    let mut pongs = Vec::new();
    loop {
        let frame = peer.frame();
        match frame.first {
            0x8a => pongs.push(frame.payload),
            _ if frame.text().contains("\"pong\"") => break,
            _ => {}
        }
    }
    if pongs.is_empty() {
        pongs.push(peer.frame().payload);
    }
    assert_eq!(pongs.last(), Some(&vec![49]), "{pongs:?}");
    assert!(pongs.len() <= 2, "one pong per turn: {pongs:?}");
}

// T07
#[test]
fn a_thousand_moves_in_one_write_do_not_block_other_peers() {
    let server = TestServer::start(&[]);
    let mut barrier = ReadBarrier::of(server.addr);
    let (mut other, _) = Peer::join(server.addr, "/");
    let (mut peer, _) = Peer::join(server.addr, "/");
    let begun = Instant::now();
    // Several reads of the server, which are 8 KiB each.
    peer.send(&masked(0x81, UP.as_bytes()).repeat(1_000));
    other.send_text(r#"{"type":"ping","t":7}"#);
    other.until_text(&["\"pong\""]);
    barrier.wait_until_read();
    peer.send_text(r#"{"type":"rate","hz":20}"#);
    until("all moves are read", || {
        (server.metric("skirmish_received_frames_total") == 1_002).then_some(())
    });
    let dropped = drops(&server, "rate");
    // A burst of 80, plus 40 a second. The rate message may be dropped.
    let earned = begun.elapsed().as_millis() as u64 * 40 / 1_000;
    assert!((920 - earned.min(920)..=921).contains(&dropped), "{dropped} and {earned} earned");
    assert_eq!(drops(&server, "invalid_json") + drops(&server, "unknown"), 0);
    other.until_text(&["state_update"]);
    peer.until_text(&["state_update"]);
}

/// Sends `a_tick` at every state until the server closes. Returns the code and the seconds.
fn flood(peer: &mut Peer, a_tick: &[u8]) -> (Option<u16>, u64) {
    let begun = Instant::now();
    loop {
        let frame = peer.frame();
        match frame.first {
            0x88 => return (frame.close().0, begun.elapsed().as_secs()),
            0x81 if frame.text().contains("state_update") => {
                // The close frame may be in flight.
                let _ = std::io::Write::write_all(&mut peer.stream, a_tick);
            }
            _ => {}
        }
        // The server tolerates pauses, and a busy machine pauses both sides.
        assert!(begun.elapsed() < 3 * WAIT_MAX, "the connection was not closed");
    }
}

#[test]
fn a_client_that_stays_over_the_rate_is_disconnected() {
    let server = TestServer::start(&[]);
    let floods = [
        // More than the limit, because a busy machine has fewer ticks, but no flood, which would be
        // closed sooner.
        ("500 moves a second", masked(0x81, UP.as_bytes()).repeat(25)),
        ("96 KiB a second", masked(0x81, message(1_600).as_bytes()).repeat(3)),
        ("640 pings a second", masked(0x89, b"p").repeat(32)),
        ("640 pongs a second", masked(0x8a, b"p").repeat(32)),
    ];
    std::thread::scope(|scope| {
        for (what, a_tick) in &floods {
            let addr = server.addr;
            scope.spawn(move || {
                let (mut peer, _) = Peer::join(addr, "/");
                let (code, seconds) = flood(&mut peer, a_tick);
                assert_eq!(code, Some(4029), "{what}");
                assert!(seconds >= 2, "{what}: closed after {seconds} s, not two or more");
                peer.expect_end();
            });
        }
        scope.spawn(|| {
            // A held key, a ping per second and an occasional burst are within the limits.
            let (mut peer, _) = Peer::join(server.addr, "/");
            for number in 0..80 {
                peer.until_text(&["state_update"]);
                peer.send_text(UP);
                if number % 20 == 0 {
                    peer.send(&masked(0x81, UP.as_bytes()).repeat(30));
                    peer.send_frame(0x89, b"p");
                }
            }
        });
    });
    server.until_metric("skirmish_closes_total{reason=\"too_fast\"}", floods.len() as u64);
}

#[test]
fn a_client_that_keeps_sending_invalid_messages_is_disconnected() {
    let server = TestServer::start(&[]);
    let (mut peer, _) = Peer::join(server.addr, "/");
    let garbage = masked(0x81, b"garbage");
    let unknown = masked(0x81, br#"{"type":"fly"}"#);
    let (code, _) = flood(&mut peer, &[garbage, unknown].concat());
    assert_eq!(code, Some(4029));
    assert_eq!(drops(&server, "rate"), 0, "no message was dropped for its rate");
    assert!(
        drops(&server, "invalid_json") > 40 && drops(&server, "unknown") > 40,
        "a few invalid messages are tolerated"
    );
}

#[test]
fn a_player_that_ignores_our_close_is_disconnected_soon() {
    let server = TestServer::start(&[]);
    let (mut watcher, _) = Peer::join(server.addr, "/");
    let (mut ignorant, id) = Peer::join(server.addr, "/");
    ignorant.send_frame(0x83, b"");
    until("the player is removed", || {
        let state = watcher.until_text(&["state_update"]);
        (!state.contains(&format!("\"id\":\"{id}\""))).then_some(())
    });
    // The other player, and the connection that requests the metrics.
    server.until_metric("skirmish_connections", 2);
}

/// The connections in `TIME_WAIT` at a port of this machine.
fn time_wait(port: u16) -> usize {
    let local_port = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1).is_some_and(|local| local.ends_with(&local_port))
                && fields.get(3) == Some(&"06")
        })
        .count()
}

// T21, T82
#[test]
fn connections_above_the_limits_leave_nothing_in_the_kernel() {
    let flags = ["--limit-loopback", "--admin-listen", "127.0.0.1:0"];
    let server = TestServer::start(&flags);
    // The reset may arrive before the call returns.
    let connect = |_| match TcpStream::connect(server.addr) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        peer => Some(peer.expect("the backlog has space")),
    };
    let peers: Vec<TcpStream> = (0..600).filter_map(connect).collect();
    until("all but a few have ended", || {
        let refused =
            |why: &str| server.metric(&format!("skirmish_refusals_total{{reason=\"{why}\"}}"));
        let ended = refused("accept_rate") + refused("address_full");
        (ended >= 600 - u64::from(CONNECTIONS_AN_ADDRESS)).then_some(())
    });
    drop(peers);
    assert!(time_wait(server.addr.port()) < 20, "{}", time_wait(server.addr.port()));
}
