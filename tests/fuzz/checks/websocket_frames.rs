//! A stream of WebSocket frames, compared with tungstenite.

use std::io::{Cursor, Read, Result, Write};

use skirmish::ws::{Assembler, FrameRules, Mask, Message, Violation, close};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::splits;

/// `takes_compressed` is the lowest bit of the first byte.
const RULES: FrameRules = FrameRules {
    mask: Mask::Required,
    takes_compressed: false,
    message_bytes_max: 300,
    fragments_max: 4,
};

/// A stream of frames gives the same messages however it is split, and the same that tungstenite
/// reads.
pub fn check(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else { return };
    check_close(stream);
    let rules = FrameRules { takes_compressed: first & 1 != 0, ..RULES };
    let splits = splits(stream);
    let whole = assemble(stream, &splits[0], &rules);
    for cuts in &splits[1..] {
        assert_eq!(assemble(stream, cuts, &rules), whole, "{stream:02x?} at {cuts:?}");
    }
    // tungstenite has no compression.
    if !rules.takes_compressed {
        compare(&whole, &reference(stream), stream);
    }
}

/// Messages, and how the stream ended.
#[derive(Debug, PartialEq)]
struct Heard {
    messages: Vec<String>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// A close frame was received.
    Closed,
    /// More bytes are needed.
    Incomplete,
    /// A violation; of the reference any.
    Refused(Option<Violation>),
}

/// What an assembler reads from a stream in pieces split at `cuts`.
fn assemble(stream: &[u8], cuts: &[usize], rules: &FrameRules) -> Heard {
    let mut assembler = Assembler::default();
    let (mut messages, mut spill, mut from) = (Vec::new(), Vec::new(), 0);
    for to in cuts.iter().copied().chain([stream.len()]) {
        spill.extend_from_slice(&stream[from..to]);
        from = to;
        let mut at = 0;
        loop {
            let left = spill.len() - at;
            match assembler.next(&mut spill[at..], rules) {
                Err(violation) => return Heard { messages, end: End::Refused(Some(violation)) },
                Ok((0, None)) => break,
                Ok((0, Some(message))) => panic!("{message:?} from zero bytes"),
                Ok((taken, _)) if taken > left => panic!("{taken} of {left} bytes taken"),
                Ok((taken, message)) => {
                    at += taken;
                    messages.extend(message.as_ref().map(describe));
                    if matches!(message, Some(Message::Close(_))) {
                        return Heard { messages, end: End::Closed };
                    }
                }
            }
        }
        spill.drain(..at);
        // The rest is less than a header, or an incomplete control frame.
        assert!(spill.len() < 14 + 125, "{} bytes are left over", spill.len());
        assert!(assembler.held_bytes() <= 2 * rules.message_bytes_max);
    }
    Heard { messages, end: End::Incomplete }
}

/// Shows a message by its bytes, whether it borrows or owns them.
fn describe(message: &Message) -> String {
    match message {
        Message::Text(payload) => format!("text {:?}", payload.bytes()),
        Message::Binary(payload) => format!("binary {:?}", payload.bytes()),
        Message::Compressed(payload, kind) => format!("{kind:?} {:?}", payload.bytes()),
        Message::Ping(payload) => format!("ping {payload:?}"),
        Message::Pong(payload) => format!("pong {payload:?}"),
        Message::Close(close) => format!("close {close:?}"),
    }
}

/// A stream that ends, and takes everything.
struct Ended<'a>(Cursor<&'a [u8]>);

impl Read for Ended<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Ended<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What tungstenite reads.
fn reference(stream: &[u8]) -> Heard {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    use tungstenite::{Error, Message};

    let most = Some(RULES.message_bytes_max);
    let config = WebSocketConfig::default()
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(stream.len() + 1);
    let mut socket =
        WebSocket::from_raw_socket(Ended(Cursor::new(stream)), Role::Server, Some(config));
    let mut messages = Vec::new();
    let end = loop {
        let message = match socket.read() {
            Ok(message) => message,
            Err(Error::Protocol(ResetWithoutClosingHandshake)) => break End::Incomplete,
            Err(_) => break End::Refused(None),
        };
        messages.push(match &message {
            Message::Text(text) => format!("text {:?}", text.as_bytes()),
            Message::Binary(bytes) => format!("binary {:?}", &**bytes),
            Message::Ping(bytes) => format!("ping {:?}", &**bytes),
            Message::Pong(bytes) => format!("pong {:?}", &**bytes),
            Message::Close(frame) => {
                let close =
                    frame.as_ref().map(|frame| (u16::from(frame.code), frame.reason.as_str()));
                format!("close {close:?}")
            }
            Message::Frame(frame) => panic!("{frame:?} was not asked for"),
        });
        if message.is_close() {
            break End::Closed;
        }
    };
    Heard { messages, end }
}

/// Both read the same messages, and what tungstenite refuses is refused. The assembler is stricter
/// in these cases, which are all:
///
/// - A length that is not in its shortest form (RFC 6455, section 5.2), also of a control frame, and
///   too many fragments.
/// - It refuses a frame before its last byte has arrived.
/// - It reports a close code that may not be in a frame as a violation; tungstenite replaces it.
///   1014 was registered later than tungstenite's list.
fn compare(ours: &Heard, theirs: &Heard, stream: &[u8]) {
    let shown = || format!("{ours:?}, tungstenite {theirs:?}: {stream:02x?}");
    let common = ours.messages.len().min(theirs.messages.len());
    let replaced = format!("close {:?}", Some((1002, "Protocol violation")));
    let is_replaced = theirs.messages.last() == Some(&replaced);
    match (ours.end, theirs.end) {
        (End::Refused(Some(why)), End::Refused(None) | End::Incomplete | End::Closed) => {
            assert_eq!(ours.messages[..], theirs.messages[..common], "{}", shown());
            let goes_on = theirs.messages.len() > common;
            let is_stricter = matches!(
                why,
                Violation::TooManyFragments
                    | Violation::Protocol(
                        "length is not in its shortest form"
                            | "control frame is longer than 125 bytes"
                    )
            );
            let is_bad_code = is_replaced
                && theirs.messages.len() == common + 1
                && why == Violation::Protocol("close code not allowed in a frame");
            assert!(!goes_on || is_stricter || is_bad_code, "{}", shown());
        }
        (End::Closed, End::Closed) if is_replaced => {
            assert_eq!(ours.messages.len(), theirs.messages.len(), "{}", shown());
            let (last, others) = ours.messages.split_last().expect("a close frame");
            assert_eq!(*others, theirs.messages[..common - 1], "{}", shown());
            let is_known = *last == replaced || last.starts_with("close Some((1014, ");
            assert!(is_known, "{}", shown());
        }
        (End::Closed, End::Closed) | (End::Incomplete, End::Incomplete) => {
            assert_eq!(ours.messages, theirs.messages, "{}", shown());
        }
        _ => panic!("{}", shown()),
    }
}

/// An accepted close payload has a valid code and the same reason.
fn check_close(payload: &[u8]) {
    match close::parse(payload) {
        Ok(None) => assert!(payload.is_empty()),
        Ok(Some((code, reason))) => {
            assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{code}");
            let again = close::payload(code, reason);
            assert!(again.len() <= 125 && payload.starts_with(&again), "{payload:02x?}");
        }
        Err(_) => {}
    }
}
