//! UTF-8 over WebSocket (RFC 6455, 8.1): valid text is echoed, and invalid text ends the connection
//! at the first invalid byte. The samples are from Markus Kuhn's stress test, which Autobahn uses
//! too.

use crate::harness::{Peer, TestServer, masked};

const TEXT: u8 = 0x81;
const TEXT_1: u8 = 0x01;
const CONT: u8 = 0x80;
const CONT_1: u8 = 0x00;

const VALID: [&[u8]; 20] = [
    b"",
    "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!".as_bytes(),
    // The Greek word "kosme".
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    // The first code point of each length.
    b"\x00",
    b"\xc2\x80",
    b"\xe0\xa0\x80",
    b"\xf0\x90\x80\x80",
    // The last code point of each length.
    b"\x7f",
    b"\xdf\xbf",
    b"\xef\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    // Next to the surrogates; the replacement character.
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    // Noncharacters are valid.
    b"\xef\xbf\xbe",
    b"\xef\xb7\x90",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf3\xaf\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
];

const INVALID: [&[u8]; 68] = [
    // Five and six bytes, and four bytes beyond U+10FFFF.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    // Continuation bytes without a start.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf\x80\xbf\x80",
    b"a\x90b",
    // Start bytes without a continuation.
    b"\xc2 ",
    b"\xdf ",
    b"\xe0 \xe1 \xef ",
    b"\xe0\xa0 ",
    b"\xf0 \xf1 \xf4 ",
    b"\xf0\x90\x80 ",
    b"\xf8 \xfb ",
    b"\xfc \xfd ",
    // The last byte is missing.
    b"\xc2",
    b"\xdf",
    b"\xe0\xa0",
    b"\xef\xbf",
    b"\xf0\x90\x80",
    b"\xf4\x8f\xbf",
    b"\xf8\x88\x80\x80",
    b"\xfb\xbf\xbf\xbf",
    b"\xfc\x84\x80\x80\x80",
    b"\xfd\xbf\xbf\xbf\xbf",
    b"\xc2\xe0\xa0\xf0\x90\x80",
    // Bytes that never occur in UTF-8.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0",
    b"\xc1",
    b"\xf5",
    // Overlong forms of a slash.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    // The greatest overlong form of each length.
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
    // Overlong forms of NUL.
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xf8\x80\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80\x80",
    // Surrogates, single and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xa0\x80\xed\xbf\xbf",
    b"\xed\xad\xbf\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    // Invalid bytes in the middle of valid text.
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!\xff",
    b"caf\xe9",
];

fn echo() -> (TestServer, Peer) {
    let server = TestServer::start(&["--echo"]);
    let peer = Peer::upgrade(server.addr, "/");
    (server, peer)
}

/// A text message with one byte of payload per frame.
fn bytewise(payload: &[u8]) -> Vec<u8> {
    let mut frames = masked(TEXT_1, b"");
    payload.iter().for_each(|byte| frames.extend(masked(CONT_1, &[*byte])));
    frames.extend(masked(CONT, b""));
    frames
}

/// Asserts that the server refuses `bytes` for invalid text, without waiting for more.
fn assert_refused(server: &TestServer, bytes: &[u8], what: &str) {
    let mut peer = Peer::upgrade(server.addr, "/");
    peer.send(bytes);
    assert_eq!(peer.frame().close().0, Some(1007), "{what}");
    peer.expect_end();
}

#[test]
fn valid_text_is_echoed_however_it_is_split() {
    let (_game, mut peer) = echo();
    for text in VALID {
        let prefixed = [b"\xce\xba\xe1\xbd\xb9".as_slice(), text].concat();
        for text in [text, &prefixed] {
            peer.send_frame(TEXT, text);
            assert_eq!(peer.frame().payload, text, "whole: {text:x?}");
            peer.send(&bytewise(text));
            assert_eq!(peer.frame().payload, text, "in fragments of a byte: {text:x?}");
            peer.send_bytewise(&masked(TEXT, text));
            assert_eq!(peer.frame().payload, text, "in segments of a byte: {text:x?}");
        }
    }
}

#[test]
fn invalid_text_is_refused_whole_and_in_fragments() {
    let (server, _peer) = echo();
    for text in INVALID {
        assert_refused(&server, &masked(TEXT, text), &format!("whole: {text:x?}"));
        assert_refused(&server, &bytewise(text), &format!("in fragments of a byte: {text:x?}"));
    }
}

// T17
#[test]
fn invalid_text_is_refused_before_its_fragment_and_its_frame_end() {
    // Sections 6.3 and 6.4: one more byte makes even the truncated samples invalid.
    let (server, _peer) = echo();
    for text in INVALID {
        let text = [text, b"x"].concat();
        assert_refused(&server, &masked(TEXT_1, &text), &format!("message unfinished: {text:x?}"));
        let longer = [&text, [b'.'; 200].as_slice()].concat();
        let unfinished = |first| {
            let mut frame = masked(first, &longer);
            frame.truncate(frame.len() - 200);
            frame
        };
        assert_refused(&server, &unfinished(TEXT), &format!("frame unfinished: {text:x?}"));
        let second = [masked(TEXT_1, "caf\u{e9}".as_bytes()), unfinished(CONT)].concat();
        assert_refused(&server, &second, &format!("second frame unfinished: {text:x?}"));
    }
    // A byte that cannot start a character is invalid at once.
    for byte in [0x80u8, 0xc0, 0xc1, 0xf5, 0xff] {
        assert_refused(&server, &masked(TEXT_1, &[byte]), &format!("{byte:#x} alone"));
    }
    // So is a second byte that cannot follow the first.
    for start in [b"\xe0\x80".as_slice(), b"\xed\xa0", b"\xf0\x80", b"\xf4\x90"] {
        assert_refused(&server, &masked(TEXT_1, start), &format!("{start:x?} alone"));
    }
}

#[test]
fn a_character_cut_at_the_end_of_a_message_is_refused() {
    let (server, mut peer) = echo();
    peer.send(&[masked(TEXT_1, b"\xf0\x9f"), masked(CONT, b"\x98\x80")].concat());
    assert_eq!(peer.frame().text(), "\u{1f600}", "a character split between fragments is valid");
    let cut = [masked(TEXT_1, b"a"), masked(CONT, b"\xf0\x9f\x98")].concat();
    assert_refused(&server, &cut, "at the end of the last fragment");
    assert_refused(&server, &masked(TEXT, b"\xf0\x9f\x98"), "at the end of the only frame");
    let next = [masked(TEXT, b"\xf0\x9f\x98"), masked(TEXT, b"\x80")].concat();
    assert_refused(&server, &next, "the next message cannot complete it");
}

#[test]
fn binary_messages_may_be_invalid_utf8() {
    let (_game, mut peer) = echo();
    for bytes in INVALID {
        peer.send_frame(0x82, bytes);
        assert_eq!(peer.frame().payload, bytes);
    }
}
