//! One round per decoder: mutates valid input and checks the invariants of the result.

use flate2::{Compress, Compression, FlushCompress};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Number, Value};
use skirmish::codec::Malformed;
use skirmish::codec::json::{ClientMessage, Direction};
use skirmish::http::body::Body;
use skirmish::http::request::{Request, head_end};
use skirmish::http::{BadRequest, query};
use skirmish::limits::{HTTP_HEAD_BYTES_MAX, HTTP_REQUEST_LINE_BYTES_MAX};
use skirmish::socketio::engineio;
use skirmish::ws::deflate::Inflater;
use skirmish::ws::{Assembler, FrameRules, Mask, Message, Violation, close};

use super::mutate::{cuts, mutate};
use super::websocket_session;

// --- HTTP ----------------------------------------------------------------------------------------

const HEADS: [&str; 6] = [
    "GET / HTTP/1.1\r\nHost: h:1\r\n\r\n",
    "GET /ws?room=a&name=b+c%20d HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "HEAD http://h/client.html HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, *;q=0.1\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.0\r\nIf-None-Match: \"x\", W/\"y\"\r\n\r\n",
];

const HEAD_PIECES: [&str; 16] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    "?",
    "#",
    "%00",
    "http://",
    "Host: h\r\n",
    "é",
    "Content-Length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "HTTP/1.1",
];

/// The end of a head does not depend on how it is split, and an accepted request is unambiguous.
pub fn head(rng: &mut ChaCha8Rng) {
    let head = HEADS[rng.random_range(0..HEADS.len())].as_bytes();
    let bytes = mutate(head, &HEAD_PIECES.map(str::as_bytes), rng);
    let whole = read_head(&bytes, &[]);
    assert_eq!(read_head(&bytes, &cuts(bytes.len(), rng)), whole, "{}", bytes.escape_ascii());
    let each: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(read_head(&bytes, &each), whole, "{} byte by byte", bytes.escape_ascii());
    let Ok(Some(end)) = whole else { return };
    assert!(end <= HTTP_HEAD_BYTES_MAX && bytes[..end].ends_with(b"\r\n\r\n"));
    let request = Request::parse(&bytes[..end]).expect("it was accepted");
    assert!(request.path.starts_with('/') && !request.path.contains(['?', '#', ' ']));
    assert!(!request.is_http_11 || !request.host.is_empty());
    let lines = bytes[..end].windows(2).filter(|two| two == b"\r\n").count();
    assert!(lines <= 66, "{lines} lines");
    let framings = ["Content-Length", "Transfer-Encoding"].map(|name| request.values(name).count());
    assert!(framings.iter().sum::<usize>() <= 1, "two body framings: {bytes:?}");
    let _ = (request.wants_websocket(), query::get(request.query, "room"));
}

/// Where a head ends that arrives in pieces split at `cuts`, or why it is refused.
fn read_head(bytes: &[u8], cuts: &[usize]) -> Result<Option<usize>, BadRequest> {
    let mut scanned = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        if let Some(end) = head_end(&bytes[..cut], &mut scanned)? {
            Request::parse(&bytes[..end])?;
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// A head near a limit is treated alike however it is split.
pub fn bounds_of_heads() {
    let line = |bytes: usize| {
        let path = "a".repeat(bytes - "GET / HTTP/1.1\r\n".len());
        format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    let head = |bytes: usize| {
        let value = "a".repeat(bytes - "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len());
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {value}\r\n\r\n")
    };
    let line_bytes = (HTTP_REQUEST_LINE_BYTES_MAX - 3..=HTTP_REQUEST_LINE_BYTES_MAX + 3).map(line);
    let head_bytes = (HTTP_HEAD_BYTES_MAX - 3..=HTTP_HEAD_BYTES_MAX + 3).map(head);
    let mut statuses = Vec::new();
    for text in line_bytes.chain(head_bytes) {
        let bytes = text.as_bytes();
        let whole = read_head(bytes, &[]);
        // Near the limits, near the ends, and at regular steps between.
        let is_relevant = |cut: usize| {
            let near = [0, HTTP_REQUEST_LINE_BYTES_MAX, HTTP_HEAD_BYTES_MAX, bytes.len()];
            near.into_iter().any(|at| cut.abs_diff(at) < 8) || cut.is_multiple_of(997)
        };
        for cut in (0..bytes.len()).filter(|cut| is_relevant(*cut)) {
            assert_eq!(read_head(bytes, &[cut]), whole, "{} bytes split at {cut}", bytes.len());
        }
        statuses.push(whole.map_or_else(|bad| bad.status, |_| 200));
    }
    // Each limit lies among them, and every longer head is refused.
    for (statuses, refused) in statuses.chunks(7).zip([414, 431]) {
        let good = statuses.iter().take_while(|status| **status == 200).count();
        assert!(0 < good && good < 7, "{statuses:?}");
        assert!(statuses[good..].iter().all(|status| *status == refused), "{statuses:?}");
    }
}

/// Every string is a valid query, and plain values are returned unchanged.
pub fn query(rng: &mut ChaCha8Rng) {
    let pieces = ["&", "=", "%", "+", "%f", "%ff", "room", "name", "\u{1f600}", ";", "\0"];
    let query = b"room=a-1&name=Ann+Lee%21&rules=dots&room=b";
    let bytes = mutate(query, &pieces.map(str::as_bytes), rng);
    let text = String::from_utf8_lossy(&bytes);
    for name in ["room", "name", ""] {
        let got = query::get(&text, name);
        let plain = text.split('&').find(|pair| pair.split('=').next() == Some(name));
        let Some(pair) = plain.filter(|pair| !pair.is_empty() && !text.contains(['%', '+'])) else {
            continue;
        };
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        assert_eq!(got.as_deref(), Some(value), "{name} in {text}");
    }
}

// --- WebSocket -----------------------------------------------------------------------------------

const RULES: FrameRules = FrameRules {
    mask: Mask::Required,
    takes_compressed: false,
    message_bytes_max: 300,
    fragments_max: 4,
};

/// A stream of frames gives the same messages however it is split.
pub fn frames(rng: &mut ChaCha8Rng) {
    let stream = mutate(&websocket_session::frames(rng, 6), &websocket_session::FRAME_PIECES, rng);
    let rules = FrameRules { takes_compressed: rng.random_bool(0.5), ..RULES };
    let whole = assemble(&stream, &[], &rules);
    for _ in 0..4 {
        let cuts = cuts(stream.len(), rng);
        assert_eq!(assemble(&stream, &cuts, &rules), whole, "{stream:?} split at {cuts:?}");
    }
    let each: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(assemble(&stream, &each, &rules), whole, "{stream:?} byte by byte");
}

/// What an assembler reads from a stream in pieces split at `cuts`, up to its first violation.
fn assemble(stream: &[u8], cuts: &[usize], rules: &FrameRules) -> Vec<String> {
    let mut assembler = Assembler::default();
    let (mut said, mut spill, mut from) = (Vec::new(), Vec::new(), 0);
    for to in cuts.iter().copied().chain([stream.len()]) {
        spill.extend_from_slice(&stream[from..to]);
        from = to;
        let mut at = 0;
        loop {
            let left = spill.len() - at;
            match assembler.next(&mut spill[at..], rules) {
                Err(violation) => {
                    said.push(format!("{violation:?}"));
                    return said;
                }
                Ok((0, None)) => break,
                Ok((0, Some(message))) => panic!("{message:?} from zero bytes"),
                Ok((taken, _)) if taken > left => panic!("{taken} of {left} bytes taken"),
                Ok((taken, message)) => {
                    at += taken;
                    said.extend(message.as_ref().map(describe));
                }
            }
        }
        spill.drain(..at);
        // The rest is less than a header, or an incomplete control frame.
        assert!(spill.len() < 14 + 125, "{} bytes are left over", spill.len());
        assert!(assembler.held_bytes() <= 2 * rules.message_bytes_max);
    }
    said
}

/// Shows a message by its bytes, whether it borrows or owns them.
fn describe(message: &Message) -> String {
    match message {
        Message::Text(payload) => format!("text {:?}", payload.bytes()),
        Message::Binary(payload) => format!("binary {:?}", payload.bytes()),
        Message::Compressed(payload, kind) => format!("{kind:?} {:?}", payload.bytes()),
        other => format!("{other:?}"),
    }
}

/// Mutated compressed messages stay below the limit, and what one leaves behind does not change how
/// the next one is read.
pub fn compressed_message(rng: &mut ChaCha8Rng) {
    let pieces: [&[u8]; 6] = [
        b"\x03\x00",
        b"\x00",
        &[0, 0, 0, 0xff, 0xff],
        &[1, 0, 0, 0xff, 0xff],
        b"\x4b\x04",
        b"\xff",
    ];
    let bytes_max = [0, 1, 40, 4_096][rng.random_range(0..4)];
    let text = ["Hello", "x", ""][rng.random_range(0..3)].repeat(rng.random_range(0..2_000));
    let level = Compression::new(rng.random_range(0..10));
    let mut compress = Compress::new(level, false);
    let mut payload = Vec::with_capacity(2 * text.len() + 100);
    let flush = [FlushCompress::Sync, FlushCompress::Full, FlushCompress::Finish];
    let flush = flush[rng.random_range(0..3)];
    compress.compress_vec(text.as_bytes(), &mut payload, flush).expect("memory");
    if payload.ends_with(&[0, 0, 0xff, 0xff]) {
        payload.truncate(payload.len() - 4);
    }
    let mutated = mutate(&payload, &pieces, rng);
    for mut inflater in [Inflater::default(), Inflater::keeping_history()] {
        for payload in [&mutated, &payload] {
            if let Ok(message) = inflater.message(payload, bytes_max) {
                assert!(message.len() <= bytes_max, "{} bytes", message.len());
            }
        }
    }
    let mut used = Inflater::default();
    let _ = used.message(&mutated, bytes_max);
    let is_small = text.len() <= bytes_max;
    let expected = if is_small { Ok(text.into_bytes()) } else { Err(Violation::TooBig) };
    assert_eq!(used.message(&payload, bytes_max), expected, "{payload:?} after {mutated:?}");
    assert_eq!(
        used.message(&mutated, bytes_max),
        Inflater::default().message(&mutated, bytes_max),
        "{mutated:?}"
    );
}

/// An accepted close payload has a valid code and the same reason.
pub fn close_payload(rng: &mut ChaCha8Rng) {
    let valid = close::payload(rng.random_range(0..6_000), "so long, and thanks for the κόσμε");
    assert!(valid.len() <= 125);
    let payload = mutate(&valid, &[b"\xff", b"\xce", b"\xed\xa0\x80"], rng);
    match close::parse(&payload) {
        Ok(None) => assert!(payload.is_empty()),
        Ok(Some((code, reason))) => {
            assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{code}");
            assert_eq!([&code.to_be_bytes()[..], reason.as_bytes()].concat(), payload);
        }
        Err(_) => {}
    }
}

// --- Engine.IO -----------------------------------------------------------------------------------

const PAYLOADS: [&str; 4] =
    ["4hello", "4test1\x1e4test2\x1e3", "4hello\x1ebAQIDBA==\x1e1", "2probe\x1e5\x1e6\x1e0{}"];

/// A payload has one packet more than it has separators, and each packet is typed.
pub fn payload(rng: &mut ChaCha8Rng) {
    let valid = PAYLOADS[rng.random_range(0..PAYLOADS.len())];
    let bytes = mutate(valid.as_bytes(), &[b"\x1e", b"b", b"=", b"\n", b"4", b"\xff"], rng);
    let Ok(text) = str::from_utf8(&bytes) else { return };
    let packets: Vec<_> = engineio::packets(text).collect();
    assert_eq!(packets.len(), engineio::packet_count(text), "{text:?}");
    for (packet, part) in packets.iter().zip(text.split('\x1e')) {
        match packet {
            Ok(engineio::Packet::Text(said)) => assert_eq!(part, format!("4{said}")),
            Ok(engineio::Packet::Binary(bytes)) => {
                let again = engineio::Packet::decode(&engineio::binary_packet(bytes))
                    .map(|p| Ok(&p) == packet.as_ref());
                assert_eq!(again, Ok(true), "{part:?}");
            }
            Ok(_) => assert!(part.starts_with(|c: char| ('0'..='6').contains(&c)), "{part:?}"),
            Err(_) => assert!(!part.starts_with('4'), "any text is a valid message: {part:?}"),
        }
    }
}

/// A chunked body is the same however it is split, and never exceeds its limit.
pub fn body(rng: &mut ChaCha8Rng) {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let valid = "3\r\n4he\r\n08;x=y\r\nllo\x1e4you\r\n0\r\n\r\n";
    let bytes = mutate(valid.as_bytes(), &[b"\r\n", b"0", b"f", b";", b"\n"], rng);
    let request = Request::parse(HEAD.as_bytes()).expect("a valid head");
    let read = |cuts: &[usize]| {
        let mut body = Body::of(&request, 40).expect("no body length is declared");
        let (mut spill, mut start) = (Vec::new(), 0);
        for end in cuts.iter().copied().chain([bytes.len()]) {
            spill.extend_from_slice(&bytes[start..end]);
            start = end;
            let taken = body.take(&spill).map_err(|bad| bad.status)?;
            spill.drain(..taken);
        }
        let is_whole = body.is_whole();
        let said = body.into_bytes();
        assert!(said.len() <= 40 && spill.len() <= bytes.len());
        Ok((is_whole, is_whole.then_some(said)))
    };
    let once: Result<_, u16> = read(&[]);
    assert_eq!(read(&cuts(bytes.len(), rng)), once, "{:?}", bytes.escape_ascii().to_string());
}

// --- JSON ----------------------------------------------------------------------------------------

const MESSAGES: [&str; 7] = [
    r#"{"type":"move","direction":"UP"}"#,
    r#"{"type":"move","direction":"RIGHT","x":[1,2,{"y":null}]}"#,
    r#"{"type":"ping","t":12345}"#,
    r#"{"t":-1.5e-3,"type":"ping"}"#,
    r#" {"type" : "rate", "hz": 7 } "#,
    r#"{"type":"attack"}"#,
    r#"["move","UP"]"#,
];

const JSON_PIECES: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "null",
    "1e400",
    "-0",
    "\\ud800",
    "\\u0000",
    "\"type\"",
    "\"direction\":\"DOWN\"",
    "\"hz\":20",
    "18446744073709551616",
    "é",
    "\u{feff}",
    "[[[[[[[[",
];

/// A message equals what `serde_json` reads, where `serde_json` accepts it.
pub fn json(rng: &mut ChaCha8Rng) {
    let message = MESSAGES[rng.random_range(0..MESSAGES.len())].as_bytes();
    let text = mutate(message, &JSON_PIECES.map(str::as_bytes), rng);
    let shown = String::from_utf8_lossy(&text);
    let decoded = ClientMessage::decode(&text);
    if let Ok(message) = &decoded {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(ClientMessage::decode(&again).as_ref(), Ok(message), "{shown}");
    }
    let Ok(value) = serde_json::from_slice::<Value>(&text) else { return };
    // A message with a duplicate field is invalid; serde_json takes the last one.
    let names = ["type", "direction", "t", "hz"];
    let is_doubtful = shown.contains('\\')
        || names.iter().any(|name| shown.matches(&format!("\"{name}\"")).count() > 1);
    match (decoded.map(read_number), meaning(&value)) {
        (Err(Malformed::InvalidJson), _) => assert!(is_doubtful, "valid JSON was refused: {shown}"),
        (Ok(message), Some(known)) if !is_doubtful => assert_eq!(message, known, "{shown}"),
        (Ok(message), None) => panic!("{message:?} from {shown}"),
        (Err(Malformed::Unknown), Some(known)) if !is_doubtful => panic!("{known:?}: {shown}"),
        _ => {}
    }
}

/// A message without the number of a ping, and that number as `serde_json` would write it.
fn read_number(message: ClientMessage<'_>) -> (ClientMessage<'_>, Option<String>) {
    match message {
        ClientMessage::Ping(t) => {
            let number: Number = serde_json::from_str(t).expect("a number that was read before");
            (ClientMessage::Ping(""), Some(number.to_string()))
        }
        other => (other, None),
    }
}

/// The same for a message that `serde_json` has read.
fn meaning(value: &Value) -> Option<(ClientMessage<'static>, Option<String>)> {
    let message = match value["type"].as_str()? {
        "move" => ClientMessage::Move(match value["direction"].as_str()? {
            "UP" => Direction::Up,
            "DOWN" => Direction::Down,
            "LEFT" => Direction::Left,
            "RIGHT" => Direction::Right,
            _ => return None,
        }),
        "attack" => ClientMessage::Attack,
        "ping" => {
            let number = value["t"].as_number()?;
            return Some((ClientMessage::Ping(""), Some(number.to_string())));
        }
        "rate" => {
            let hz = value["hz"].as_u64().filter(|hz| (1..=20).contains(hz))?;
            ClientMessage::Rate(hz as u32)
        }
        _ => return None,
    };
    Some((message, None))
}
