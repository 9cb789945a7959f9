//! RFC 6455 over real sockets: framing, fragmentation and the close handshake, tested on `--echo`
//! as a conformance suite does. Comments name the Autobahn sections that a test covers.

use std::io::Write;

use crate::harness::{Frame, Peer, ReadBarrier, TestServer, masked};

const CONT: u8 = 0x80;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// Clears FIN in a first byte.
const MORE: u8 = 0x7f;

fn echo() -> TestServer {
    TestServer::start(&["--echo"])
}

fn frame(first: u8, payload: &[u8]) -> Frame {
    Frame { first, payload: payload.to_vec() }
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// Asserts that `bytes` violate the protocol: a message before them is echoed, the close frame has
/// `code`, nothing after them is answered, and the server ends the connection.
fn assert_violation(server: &TestServer, what: &str, bytes: &[u8], code: u16) {
    let mut peer = Peer::upgrade(server.addr, "/");
    let before = masked(TEXT, b"before");
    let behind = [masked(TEXT, b"behind"), masked(PING, b"behind")].concat();
    // The server may end the connection while the last bytes are in flight.
    let _ = peer.stream.write_all(&[before, bytes.to_vec(), behind].concat());
    assert_eq!(peer.frame(), frame(TEXT, b"before"), "{what}");
    assert_eq!(peer.frame().close().0, Some(code), "{what}");
    peer.expect_end();
}

/// Asserts that the connection still echoes and nothing else is in flight.
fn assert_alive(peer: &mut Peer, what: &str) {
    peer.send_text("still here?");
    assert_eq!(peer.frame(), frame(TEXT, b"still here?"), "{what}");
}

/// The header of a masked frame with the length in `form` bytes, valid or not.
fn header(first: u8, form: usize, length: u64) -> Vec<u8> {
    let second = match form {
        1 => u8::try_from(length).expect("a short length"),
        2 => 126,
        _ => 127,
    };
    let mut bytes = vec![first, 0x80 | second];
    if form > 1 {
        bytes.extend_from_slice(&length.to_be_bytes()[8 - form..]);
    }
    bytes.extend_from_slice(&[1, 2, 3, 4]);
    bytes
}

#[test]
fn messages_of_every_length_are_echoed() {
    // Sections 1 and 9.
    let server = echo();
    let mut peer = Peer::upgrade(server.addr, "/any/path?at=all");
    for bytes in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1 << 18, 1 << 22] {
        for first in [TEXT, BINARY] {
            let byte = if first == TEXT { b'*' } else { 0xfe };
            let payload = vec![byte; bytes];
            peer.send_frame(first, &payload);
            assert!(peer.frame() == frame(first, &payload), "{bytes} bytes of {byte:#x}");
        }
    }
}

#[test]
fn messages_in_small_writes_and_many_fragments_are_echoed() {
    // Sections 1.1.8, 9.3 to 9.6 and 10.
    let server = echo();
    let mut peer = Peer::upgrade(server.addr, "/");
    for (bytes, chop) in [(65_536, 997), (1 << 20, 2_048), (1 << 16, 64)] {
        let payload = vec![b'x'; bytes];
        for part in masked(TEXT, &payload).chunks(chop) {
            peer.send(part);
        }
        assert!(peer.frame() == frame(TEXT, &payload), "{bytes} bytes in writes of {chop}");
    }
    for (bytes, part) in [(1 << 16, 1_300), (1 << 20, 4_096), (1 << 18, 64), (65_536, 1)] {
        let payload = vec![b'y'; bytes];
        let parts = payload.chunks(part);
        let last = parts.len() - 1;
        let mut sent = Vec::new();
        for (number, part) in parts.enumerate() {
            let opcode = if number == 0 { BINARY } else { CONT };
            let first = if number == last { opcode } else { opcode & MORE };
            sent.extend(masked(first, part));
        }
        peer.send(&sent);
        assert!(peer.frame() == frame(BINARY, &payload), "{bytes} bytes in fragments of {part}");
    }
}

#[test]
fn a_thousand_small_messages_are_echoed_in_order() {
    // Section 9.7, all in one write.
    let server = echo();
    let mut peer = Peer::upgrade(server.addr, "/");
    let mut all = Vec::new();
    for number in 0..1_000u32 {
        all.extend(masked(BINARY, &number.to_be_bytes()));
    }
    peer.send(&all);
    for number in 0..1_000u32 {
        assert_eq!(peer.frame(), frame(BINARY, &number.to_be_bytes()));
    }
}

#[test]
fn each_ping_is_answered_with_its_payload() {
    // Section 2.
    let server = echo();
    let mut peer = Peer::upgrade(server.addr, "/");
    for payload in [b"".as_slice(), b"hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        peer.send_frame(PING, payload);
        assert_eq!(peer.frame(), frame(PONG, payload));
        peer.send_bytewise(&masked(PING, payload));
        assert_eq!(peer.frame(), frame(PONG, payload));
    }
    let many: Vec<u8> = (0..10u8).flat_map(|number| masked(PING, &[number])).collect();
    peer.send(&many);
    for number in 0..10u8 {
        assert_eq!(peer.frame(), frame(PONG, &[number]));
    }
    for unsolicited in [b"".as_slice(), b"unsolicited"] {
        peer.send_frame(PONG, unsolicited);
    }
    assert_alive(&mut peer, "after unsolicited pongs");
}

// T16
#[test]
fn reserved_bits_and_opcodes_are_refused() {
    // Sections 3 and 4.
    let server = echo();
    for bits in 1..8u8 {
        for opcode in [TEXT, BINARY, TEXT & MORE, CLOSE, PING, PONG] {
            let first = opcode | bits << 4;
            for payload in [b"".as_slice(), b"hello"] {
                let bytes = masked(first, payload);
                assert_violation(&server, &format!("first byte {first:#x}"), &bytes, 1002);
            }
        }
    }
    for opcode in (3..8).chain(11..16) {
        for first in [opcode, 0x80 | opcode] {
            let what = format!("first byte {first:#x}");
            assert_violation(&server, &what, &masked(first, b""), 1002);
            assert_violation(&server, &what, &masked(first, b"hello"), 1002);
        }
    }
}

// T16
#[test]
fn a_violation_sent_with_the_handshake_is_closed_like_any() {
    let server = echo();
    for bytes in [masked(0xa1, b"x"), masked(0x83, b""), masked(CONT, b""), vec![0x81, 0x00]] {
        let mut peer = Peer::connect(server.addr);
        peer.send(&[crate::harness::handshake(server.addr, "/"), bytes].concat());
        assert_eq!(peer.answer(true).status, 101);
        assert_eq!(peer.frame().close().0, Some(1002));
        peer.expect_end();
    }
}

#[test]
fn fragments_are_joined_and_may_enclose_control_frames() {
    // Section 5.
    const TEXT_1: u8 = TEXT & MORE;
    const BINARY_1: u8 = BINARY & MORE;
    const CONT_1: u8 = CONT & MORE;
    type Frames = &'static [(u8, &'static str)];
    let cases: [(Frames, Frames); 9] = [
        (&[(TEXT_1, "a"), (CONT, "b")], &[(TEXT, "ab")]),
        (&[(BINARY_1, "a"), (CONT_1, "b"), (CONT, "c")], &[(BINARY, "abc")]),
        (&[(TEXT_1, "a"), (PING, "p"), (CONT, "b")], &[(PONG, "p"), (TEXT, "ab")]),
        (&[(TEXT_1, "a"), (PONG, "p"), (CONT, "b")], &[(TEXT, "ab")]),
        (&[(TEXT_1, ""), (CONT_1, ""), (CONT, "")], &[(TEXT, "")]),
        (&[(TEXT_1, ""), (CONT_1, "mid"), (CONT, "")], &[(TEXT, "mid")]),
        (&[(TEXT_1, "caf\u{e9}"), (CONT, "\u{1f600}")], &[(TEXT, "caf\u{e9}\u{1f600}")]),
        (
            &[(TEXT_1, "1"), (CONT_1, "2"), (PING, "p"), (CONT_1, "3"), (PING, ""), (CONT, "4")],
            &[(PONG, "p"), (PONG, ""), (TEXT, "1234")],
        ),
        (&[(TEXT, "whole"), (TEXT_1, "a"), (CONT, "b")], &[(TEXT, "whole"), (TEXT, "ab")]),
    ];
    let server = echo();
    let mut peer = Peer::upgrade(server.addr, "/");
    for (sent, expected) in cases {
        let frames: Vec<_> = sent.iter().map(|(f, text)| masked(*f, text.as_bytes())).collect();
        for way in 0..3 {
            match way {
                0 => peer.send(&frames.concat()),
                1 => frames.iter().for_each(|frame| peer.send(frame)),
                _ => peer.send_bytewise(&frames.concat()),
            }
            for (first, text) in expected {
                assert_eq!(peer.frame(), frame(*first, text.as_bytes()), "{sent:?}, way {way}");
            }
        }
    }
    assert_alive(&mut peer, "after every message");
}

#[test]
fn fragments_out_of_order_are_refused() {
    // Section 5, and 2.5 with 4.
    let server = echo();
    let open = masked(TEXT & MORE, b"a");
    let cases = [
        ("a ping in fragments", masked(PING & MORE, b"")),
        ("a pong in fragments", masked(PONG & MORE, b"x")),
        ("a close in fragments", masked(CLOSE & MORE, &close_payload(1000, b""))),
        ("a ping of 126 bytes", masked(PING, &[b'x'; 126])),
        ("a pong of 126 bytes", masked(PONG, &[b'x'; 126])),
        ("a close of 126 bytes", masked(CLOSE, &close_payload(1000, &[b'x'; 124]))),
        ("an end of no message", masked(CONT, b"stray")),
        ("a middle of no message", masked(CONT & MORE, b"stray")),
        ("text inside text", [open.clone(), masked(TEXT, b"b")].concat()),
        ("binary inside text", [open.clone(), masked(BINARY, b"b")].concat()),
        ("a second start", [open.clone(), masked(TEXT & MORE, b"b")].concat()),
        ("a reserved opcode inside text", [open, masked(0x83, b"")].concat()),
    ];
    for (what, bytes) in cases {
        assert_violation(&server, what, &bytes, 1002);
    }
    let mut peer = Peer::upgrade(server.addr, "/");
    peer.send(&[masked(TEXT & MORE, b"a"), masked(CONT, b"b"), masked(CONT, b"c")].concat());
    assert_eq!(peer.frame(), frame(TEXT, b"ab"));
    assert_eq!(peer.frame().close().0, Some(1002), "the message had ended");
}

// T18
#[test]
fn an_unmasked_frame_is_refused() {
    let server = echo();
    for first in [TEXT, BINARY, TEXT & MORE, PING, PONG] {
        for payload in [b"".as_slice(), b"hello"] {
            let bytes = [&[first, payload.len() as u8], payload].concat();
            assert_violation(&server, &format!("first byte {first:#x}"), &bytes, 1002);
        }
    }
    assert_violation(&server, "a close", &[CLOSE, 2, 3, 0xe8], 1002);
    assert_violation(&server, "a long one", &[BINARY, 126, 1, 0], 1002);
}

// T13
#[test]
fn invalid_lengths_are_refused_by_the_header_alone() {
    let server = echo();
    for length in [0, 1, 124, 125] {
        let what = format!("{length} in two bytes");
        assert_violation(&server, &what, &header(BINARY, 2, length), 1002);
        assert_violation(&server, &what, &header(TEXT, 2, length), 1002);
    }
    for length in [0, 1, 125, 126, 127, 65_534, 65_535] {
        assert_violation(&server, &format!("{length} in 8"), &header(BINARY, 8, length), 1002);
    }
    for length in [1 << 63, (1 << 63) + 5, u64::MAX - 1, u64::MAX] {
        assert_violation(&server, &format!("{length:#x}"), &header(BINARY, 8, length), 1002);
    }
    for first in [PING, PONG, CLOSE] {
        for (form, length) in [(2, 5), (2, 126), (2, 65_535), (8, 5), (8, 65_536), (8, 1 << 62)] {
            let what = format!("{first:#x} of {length} in {form}");
            assert_violation(&server, &what, &header(first, form, length), 1002);
        }
    }
}

// T12
#[test]
fn a_huge_message_is_refused_by_the_header_alone() {
    let server = echo();
    let most = 64 << 20;
    for length in [most + 1, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1] {
        let mut peer = Peer::upgrade(server.addr, "/");
        peer.send(&header(BINARY, 8, length));
        assert_eq!(peer.frame().close().0, Some(1009), "{length:#x}");
        peer.expect_end();
    }
    let mut peer = Peer::upgrade(server.addr, "/");
    peer.send_frame(BINARY & MORE, b"1");
    peer.send(&header(CONT, 8, most));
    assert_eq!(peer.frame().close().0, Some(1009), "all fragments together");
}

#[test]
fn a_close_is_answered_and_the_server_ends_the_connection() {
    // Sections 7.1, 7.3 and 7.7.
    let server = echo();
    let codes = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]);
    for code in codes {
        for reason in [b"".as_slice(), "adieu \u{2714}".as_bytes(), &[b'r'; 123]] {
            let mut peer = Peer::upgrade(server.addr, "/");
            peer.send_frame(CLOSE, &close_payload(code, reason));
            assert_eq!(peer.frame().close().0, Some(code));
            peer.expect_end();
        }
    }
    let mut peer = Peer::upgrade(server.addr, "/");
    peer.send_frame(CLOSE, b"");
    assert_eq!(peer.frame(), frame(CLOSE, b""), "an empty close for an empty close");
    peer.expect_end();
}

// T20
#[test]
fn an_invalid_close_is_refused() {
    // Sections 7.3, 7.5 and 7.9.
    let server = echo();
    assert_violation(&server, "one byte", &masked(CLOSE, b"\x03"), 1002);
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32_768, 65_535,
    ] {
        let what = format!("code {code}");
        assert_violation(&server, &what, &masked(CLOSE, &close_payload(code, b"")), 1002);
        assert_violation(&server, &what, &masked(CLOSE, &close_payload(code, b"reason")), 1002);
    }
    for reason in [b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80".as_slice(), b"cut \xe2\x82", b"\xff"] {
        let payload = close_payload(1000, reason);
        assert_violation(&server, &format!("{reason:x?}"), &masked(CLOSE, &payload), 1007);
    }
}

// T20
#[test]
fn nothing_is_read_after_a_close() {
    // Sections 7.1.2 to 7.1.6.
    let server = echo();
    let last = masked(CLOSE, &close_payload(1000, b"bye"));
    let behind = [
        ("a second close", masked(CLOSE, &close_payload(1001, b""))),
        ("a bad close", masked(CLOSE, b"\x00")),
        ("a ping", masked(PING, b"ping")),
        ("a message", masked(TEXT, b"message")),
        ("an end of no message", masked(CONT, b"")),
        ("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a quarter of a megabyte", masked(TEXT, &vec![b'x'; 1 << 18])),
    ];
    for (what, bytes) in behind {
        let mut peer = Peer::upgrade(server.addr, "/");
        let _ = peer.stream.write_all(&[last.clone(), bytes].concat());
        assert_eq!(peer.frame().close().0, Some(1000), "{what}");
        peer.expect_end();
    }
    let mut peer = Peer::upgrade(server.addr, "/");
    peer.send(&[masked(TEXT & MORE, b"never finished"), last].concat());
    assert_eq!(peer.frame().close().0, Some(1000), "inside a fragmented message");
    peer.expect_end();
}

#[test]
fn a_close_frame_is_not_lost_while_the_peer_keeps_sending() {
    let server = echo();
    for _ in 0..20 {
        let mut peer = Peer::upgrade(server.addr, "/");
        peer.send(&masked(0x83, b""));
        // Unread bytes at a close make the kernel send RST, which discards queued output.
        let _ = peer.stream.write_all(&vec![b'x'; 1 << 18]);
        assert_eq!(peer.frame().close().0, Some(1002));
        peer.expect_end();
    }
}

// T11
#[test]
fn messages_before_a_half_close_are_answered() {
    let server = echo();
    let mut peer = Peer::upgrade(server.addr, "/");
    peer.send(&[masked(TEXT, b"last words"), masked(CLOSE, b"")].concat());
    peer.stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    assert_eq!(peer.frame(), frame(TEXT, b"last words"));
    assert_eq!(peer.frame(), frame(CLOSE, b""));
    peer.expect_end();
    server.until_metric("skirmish_connections", 1);
}

// T20
#[test]
fn a_peer_that_ignores_our_close_is_disconnected_after_the_linger() {
    let server = echo();
    let mut silent = Peer::upgrade(server.addr, "/");
    silent.send(&masked(0x83, b""));
    let mut talkative = Peer::upgrade(server.addr, "/");
    talkative.send(&masked(0x83, b""));
    assert_eq!(server.metric("skirmish_connections"), 3, "both peers, and the metrics request");
    crate::harness::until("both are disconnected", || {
        let _ = talkative.stream.write_all(&masked(TEXT, b"still talking"));
        (server.metric("skirmish_connections") == 1).then_some(())
    });
}

// T06
#[test]
fn the_bytes_may_be_split_anywhere() {
    let server = echo();
    let mut barrier = ReadBarrier::of(server.addr);
    let sent = [
        masked(TEXT & MORE, "caf\u{e9} ".as_bytes()),
        masked(PING, b"ping"),
        masked(CONT, "\u{1f600}".as_bytes()),
        masked(BINARY, &[0xfe; 126]),
        masked(TEXT, b""),
    ]
    .concat();
    let expected = |peer: &mut Peer, cut: &str| {
        assert_eq!(peer.frame(), frame(PONG, b"ping"), "{cut}");
        assert_eq!(peer.frame(), frame(TEXT, "caf\u{e9} \u{1f600}".as_bytes()), "{cut}");
        assert_eq!(peer.frame(), frame(BINARY, &[0xfe; 126]), "{cut}");
        assert_eq!(peer.frame(), frame(TEXT, b""), "{cut}");
    };
    let mut peer = Peer::upgrade(server.addr, "/");
    for cut in 0..sent.len() {
        peer.send_cut(&sent, cut, &mut barrier);
        expected(&mut peer, &format!("split at {cut}"));
    }
    let short = [masked(TEXT & MORE, b"a"), masked(PING, b"p"), masked(CONT, b"bc")].concat();
    for first in 0..short.len() {
        for second in first..short.len() {
            peer.send_cut(&short[..second], first, &mut barrier);
            barrier.wait_until_read();
            peer.send(&short[second..]);
            assert_eq!(peer.frame(), frame(PONG, b"p"), "split at {first} and {second}");
            assert_eq!(peer.frame(), frame(TEXT, b"abc"), "split at {first} and {second}");
        }
    }
}

#[test]
fn a_violation_may_be_split_anywhere() {
    let server = echo();
    let mut barrier = ReadBarrier::of(server.addr);
    let cases = [
        (masked(0x83, b"abc"), 1002),
        (header(BINARY, 8, 1 << 62), 1009),
        (header(BINARY, 8, 1 << 63), 1002),
        (masked(TEXT, b"\xe2\x28\xa1"), 1007),
        (masked(CLOSE, &close_payload(1005, b"")), 1002),
        (masked(PING & MORE, b""), 1002),
    ];
    for (bytes, code) in cases {
        let sent = [masked(TEXT, b"before"), bytes].concat();
        for cut in 0..sent.len() {
            let mut peer = Peer::upgrade(server.addr, "/");
            peer.send(&sent[..cut]);
            barrier.wait_until_read();
            // The server may have closed already.
            let _ = peer.stream.write_all(&sent[cut..]);
            assert_eq!(peer.frame(), frame(TEXT, b"before"), "split at {cut}");
            assert_eq!(peer.frame().close().0, Some(code), "split at {cut}");
        }
    }
}

// T10
#[test]
fn a_reset_at_any_byte_affects_no_other_peer() {
    let mut server = echo();
    let sent = [crate::harness::handshake(server.addr, "/"), masked(TEXT, b"hello")].concat();
    for cut in 0..=sent.len() {
        let mut peer = Peer::connect(server.addr);
        peer.send(&sent[..cut]);
        peer.reset();
    }
    let mut peer = Peer::upgrade(server.addr, "/");
    assert_alive(&mut peer, "after the resets");
    server.until_metric("skirmish_connections", 2);
    assert_eq!(server.metric("skirmish_panics_total"), 0);
    let loud = |line: &&String| line.contains("ERROR") || line.contains("WARN");
    assert_eq!(server.log().iter().find(loud), None, "a reset is not logged as a warning");
}
