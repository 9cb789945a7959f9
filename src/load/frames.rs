//! Reads the frames of a server with as little work as possible: classifies a message by its first
//! bytes and skips the rest.
//!
//! `socket` passes every received byte. At a gigabyte per second reading payloads is expensive, so
//! only messages that the caller keeps are read, and copied only if they arrive in pieces. Text is
//! not checked to be valid UTF-8. Compressed messages are all decompressed: each may need the ones
//! before it.

use crate::ws::deflate::Inflater;
use crate::ws::frame::{self, BINARY, CLOSE, Header, PING, PONG, TEXT};
use crate::ws::{Mask, Violation, close};

/// Bytes of a payload that are used to classify it.
const PREFIX_BYTES: u64 = 64;
/// Maximum bytes of another text that is kept: `init` and events are far shorter.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Maximum bytes of a bulk text that is kept.
const BULK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message or control frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'b> {
    /// A bulk text or any binary message, with its payload if it was kept.
    Bulk(Option<&'b [u8]>),
    /// Any other text; `None` if it was too long.
    Text(Option<&'b [u8]>),
    /// A ping, with the payload for the pong.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close frame, with code and reason if it has them.
    Close(Option<(u16, String)>),
}

/// The state of one stream of frames.
#[derive(Debug)]
pub struct FrameReader {
    /// Decides by the first bytes whether a text is a bulk message.
    is_bulk: fn(&[u8]) -> bool,
    /// Whether binary messages are kept on request.
    keeps_binary: bool,
    /// An incomplete header and the start of its payload.
    spill: Vec<u8>,
    /// The kept part of the current message.
    kept: Vec<u8>,
    /// The current message, over all its frames.
    message: Option<Message>,
    /// Missing payload bytes of the current frame.
    missing_bytes: u64,
    /// Whether the current frame is the last of its message.
    is_final: bool,
    /// What decompresses messages, once that is agreed.
    inflater: Option<Inflater>,
    /// The message that was decompressed last.
    inflated: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    is_binary: bool,
    is_bulk: bool,
    is_kept: bool,
    is_compressed: bool,
}

impl FrameReader {
    /// Creates the state of a new stream.
    #[must_use]
    pub fn new(is_bulk: fn(&[u8]) -> bool) -> FrameReader {
        FrameReader {
            is_bulk,
            keeps_binary: false,
            spill: Vec::new(),
            kept: Vec::new(),
            message: None,
            missing_bytes: 0,
            is_final: false,
            inflater: None,
            inflated: Vec::new(),
        }
    }

    /// Creates the state of a new stream of binary messages. No text in it is a bulk message.
    #[must_use]
    pub fn of_binary() -> FrameReader {
        FrameReader { keeps_binary: true, ..FrameReader::new(|_| false) }
    }

    /// From here on messages may be compressed.
    pub fn decompress(&mut self) {
        self.inflater = Some(Inflater::keeping_history());
    }

    /// Consumes bytes from the start of `bytes`, which must not be empty. Returns how many it
    /// consumed, at least one, and the message or control frame that is now complete. `keeps` says
    /// whether to keep a bulk message that begins here.
    ///
    /// # Errors
    /// The first violation of RFC 6455. Do not call it again after that.
    pub fn next<'a>(
        &'a mut self,
        bytes: &'a [u8],
        keeps: bool,
    ) -> Result<(usize, Option<Found<'a>>), Violation> {
        if self.missing_bytes > 0 {
            return self.go_on(0, bytes);
        }
        if !self.spill.is_empty() {
            return self.next_from_spill(bytes, keeps);
        }
        let head = frame::parse(bytes, Mask::Forbidden, self.inflater.is_some())?
            .filter(|(header_bytes, header)| bytes.len() >= header_bytes + prefix_bytes(header));
        let Some((header_bytes, header)) = head else {
            self.spill.extend_from_slice(bytes);
            return Ok((bytes.len(), None));
        };
        let payload = &bytes[header_bytes..];
        if is_control(&header) {
            let length = prefix_bytes(&header);
            let found = found_control(&header, &payload[..length])?;
            return Ok((header_bytes + length, Some(found)));
        }
        let is_new = self.begin(&header, &payload[..prefix_bytes(&header)], keeps)?;
        let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
        match (self.message, payload.get(..length)) {
            (Some(message), Some(payload)) if is_new && header.is_final => {
                // The common case: a complete message in one piece, used in place.
                self.message = None;
                let found = match message.is_compressed {
                    true => self.inflate(message, payload)?,
                    false => found(message, payload),
                };
                Ok((header_bytes + length, Some(found)))
            }
            _ => {
                self.missing_bytes = header.payload_bytes;
                self.go_on(header_bytes, bytes)
            }
        }
    }

    /// Completes the header in the spill from `bytes`, and takes no further byte.
    fn next_from_spill<'a>(
        &'a mut self,
        bytes: &'a [u8],
        keeps: bool,
    ) -> Result<(usize, Option<Found<'a>>), Violation> {
        let mut taken = 0;
        let (header_bytes, header) = loop {
            let head = frame::parse(&self.spill, Mask::Forbidden, self.inflater.is_some())?;
            let wanted = match &head {
                // The length of a header is known only byte by byte: at most 9 iterations.
                None => self.spill.len() + 1,
                Some((header_bytes, header)) => header_bytes + prefix_bytes(header),
            };
            match head {
                Some(head) if self.spill.len() >= wanted => break head,
                _ if taken == bytes.len() => return Ok((taken, None)),
                _ => {}
            }
            let end = bytes.len().min(taken + wanted - self.spill.len());
            self.spill.extend_from_slice(&bytes[taken..end]);
            taken = end;
        };
        let spill = std::mem::take(&mut self.spill);
        let prefix = &spill[header_bytes..];
        if is_control(&header) {
            return Ok((taken, Some(found_control(&header, prefix)?)));
        }
        self.begin(&header, prefix, keeps)?;
        if self.message.is_some_and(|message| message.is_kept) {
            self.kept.extend_from_slice(prefix);
        }
        self.missing_bytes = header.payload_bytes - prefix.len() as u64;
        self.go_on(taken, bytes)
    }

    /// Begins a data frame; returns whether it begins a message, too.
    fn begin(&mut self, header: &Header, prefix: &[u8], keeps: bool) -> Result<bool, Violation> {
        let is_new = self.message.is_none();
        let was_compressed = self.message.is_some_and(|message| message.is_compressed);
        let is_compressed = header.is_compressed || was_compressed;
        let is_binary = header.opcode == BINARY;
        let (is_bulk, may_keep) = match (header.opcode, self.message) {
            (TEXT, None) => ((self.is_bulk)(prefix), true),
            (BINARY, None) => (true, self.keeps_binary),
            (TEXT | BINARY, Some(_)) => {
                return Err(Violation::Protocol("new message inside a fragmented one"));
            }
            (_, Some(message)) => (message.is_bulk, message.is_kept),
            (_, None) => return Err(Violation::Protocol("continuation frame without a message")),
        };
        if is_new {
            self.kept.clear();
        }
        let bytes_max = if is_bulk || is_compressed { BULK_BYTES_MAX } else { TEXT_BYTES_MAX };
        let fits = header.payload_bytes <= (bytes_max - self.kept.len()) as u64;
        if is_compressed && !fits {
            return Err(Violation::TooBig);
        }
        let is_wanted = keeps || !is_bulk || !is_new;
        let is_kept = is_compressed || may_keep && is_wanted && fits;
        let is_binary = self.message.map_or(is_binary, |message| message.is_binary);
        self.message = Some(Message { is_binary, is_bulk, is_kept, is_compressed });
        self.is_final = header.is_final;
        Ok(is_new)
    }

    /// Consumes the payload of the current frame, which continues at `start` in `bytes`.
    fn go_on<'a>(
        &'a mut self,
        start: usize,
        bytes: &[u8],
    ) -> Result<(usize, Option<Found<'a>>), Violation> {
        let arrived = bytes.len() - start;
        let length = usize::try_from(self.missing_bytes).unwrap_or(usize::MAX).min(arrived);
        let end = start + length;
        if self.message.is_some_and(|message| message.is_kept) {
            self.kept.extend_from_slice(&bytes[start..end]);
        }
        self.missing_bytes -= length as u64;
        if self.missing_bytes > 0 || !self.is_final {
            return Ok((end, None));
        }
        let found = match self.message.take() {
            Some(message) if message.is_compressed => {
                let kept = std::mem::take(&mut self.kept);
                Some(self.inflate(message, &kept)?)
            }
            message => message.map(|message| found(message, &self.kept)),
        };
        Ok((end, found))
    }

    /// Decompresses a message.
    fn inflate(&mut self, message: Message, payload: &[u8]) -> Result<Found<'_>, Violation> {
        let inflater = self.inflater.get_or_insert_with(Inflater::keeping_history);
        self.inflated = inflater.message(payload, BULK_BYTES_MAX)?;
        let is_bulk = message.is_binary || (self.is_bulk)(&self.inflated);
        let is_kept = !message.is_binary || self.keeps_binary;
        Ok(found(Message { is_bulk, is_kept, ..message }, &self.inflated))
    }
}

/// Payload bytes needed to begin a frame: all of a control frame.
fn prefix_bytes(header: &Header) -> usize {
    let bytes_max = if is_control(header) { u64::MAX } else { PREFIX_BYTES };
    header.payload_bytes.min(bytes_max) as usize
}

fn is_control(header: &Header) -> bool {
    matches!(header.opcode, PING | PONG | CLOSE)
}

fn found(message: Message, payload: &[u8]) -> Found<'_> {
    let kept = message.is_kept.then_some(payload);
    if message.is_bulk { Found::Bulk(kept) } else { Found::Text(kept) }
}

fn found_control(header: &Header, payload: &[u8]) -> Result<Found<'static>, Violation> {
    Ok(match header.opcode {
        PING => Found::Ping(payload.to_vec()),
        PONG => Found::Pong,
        _ => Found::Close(close::parse(payload)?.map(|(code, reason)| (code, reason.to_owned()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::deflate::Deflater;
    use crate::ws::frame::encode;

    const STATE: &[u8] =
        br##"{"type":"state_update","players":[{"id":"7","x":1,"y":2,"color":"#000000"}]}"##;

    fn is_state(prefix: &[u8]) -> bool {
        prefix.starts_with(br#"{"type":"state_update""#)
    }

    /// What the reader finds in `stream` when it arrives in pieces that end at `cuts`.
    fn read(stream: &[u8], cuts: &[usize], keeps: bool) -> Vec<String> {
        let mut reader = FrameReader::new(is_state);
        let mut found_all = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            let mut bytes = &stream[from..to];
            from = to;
            while !bytes.is_empty() {
                match reader.next(bytes, keeps) {
                    Ok((taken, found)) => {
                        assert!(taken > 0, "it must make progress");
                        found_all.extend(found.map(|found| match found {
                            Found::Text(Some(text)) | Found::Bulk(Some(text)) => {
                                String::from_utf8_lossy(text).into_owned()
                            }
                            other => format!("{other:?}"),
                        }));
                        bytes = &bytes[taken..];
                    }
                    Err(violation) => {
                        found_all.push(format!("{violation:?}"));
                        return found_all;
                    }
                }
            }
        }
        found_all
    }

    fn stream() -> Vec<u8> {
        let mut stream = Vec::new();
        encode(TEXT, br#"{"type":"init","id":"7"}"#, &mut stream);
        encode(TEXT, STATE, &mut stream);
        encode(BINARY, &[7; 300], &mut stream);
        encode(PING, b"now", &mut stream);
        encode(TEXT, b"", &mut stream);
        // One state in three frames, with a pong inside.
        let start = stream.len();
        encode(TEXT, &STATE[..70], &mut stream);
        stream[start] = 0x01;
        encode(PONG, b"", &mut stream);
        let start = stream.len();
        encode(TEXT, &STATE[70..75], &mut stream);
        stream[start] = 0x00;
        let start = stream.len();
        encode(TEXT, &STATE[75..], &mut stream);
        stream[start] = 0x80;
        encode(CLOSE, &close::payload(4008, "slow"), &mut stream);
        stream
    }

    #[test]
    fn the_result_does_not_depend_on_the_cuts() {
        let stream = stream();
        let state = String::from_utf8_lossy(STATE).into_owned();
        let init = r#"{"type":"init","id":"7"}"#.to_owned();
        let mut expected = vec![init, state.clone()];
        let more = ["Bulk(None)", "Ping([110, 111, 119])", "", "Pong"];
        expected.extend(more.map(str::to_owned));
        expected.extend([state, "Close(Some((4008, \"slow\")))".to_owned()]);
        for first in 0..stream.len() {
            for second in (first..stream.len()).step_by(7).chain([first + 1]) {
                let cuts = [first, second.min(stream.len())];
                assert_eq!(read(&stream, &cuts, true), expected, "cut at {cuts:?}");
            }
        }
        let every: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(read(&stream, &every, true), expected);
    }

    #[test]
    fn compressed_messages_are_read_in_any_pieces() {
        let mut stream = Vec::new();
        let mut deflater = Deflater::default();
        deflater.frames([(TEXT, STATE)], &[], 6, &mut stream);
        encode(TEXT, br#"{"type":"init","id":"7"}"#, &mut stream);
        deflater.frames([(TEXT, STATE), (TEXT, b"{}")], STATE, 6, &mut stream);
        let whole = stream.len();
        for cut in 0..whole {
            let mut reader = FrameReader::new(is_state);
            reader.decompress();
            let (mut states, mut texts) = (0, 0);
            for mut bytes in [&stream[..cut], &stream[cut..]] {
                while !bytes.is_empty() {
                    let (taken, found) = reader.next(bytes, false).expect("valid frames");
                    match found {
                        Some(Found::Bulk(text)) => {
                            assert_eq!(text, Some(STATE));
                            states += 1;
                        }
                        Some(Found::Text(Some(_))) => texts += 1,
                        _ => {}
                    }
                    bytes = &bytes[taken..];
                }
            }
            assert_eq!((states, texts), (2, 2), "cut at {cut}");
        }
    }

    #[test]
    fn binary_messages_are_kept_in_a_binary_stream() {
        let mut stream = Vec::new();
        encode(BINARY, &[7; 300], &mut stream);
        encode(TEXT, STATE, &mut stream);
        let whole = stream.len();
        for cut in 0..whole {
            let mut reader = FrameReader::of_binary();
            let mut found_all = Vec::new();
            for mut bytes in [&stream[..cut], &stream[cut..]] {
                while !bytes.is_empty() {
                    let (taken, found) = reader.next(bytes, true).expect("valid frames");
                    match found {
                        Some(Found::Bulk(payload)) => {
                            found_all.push((true, payload.unwrap().len()));
                        }
                        Some(Found::Text(text)) => found_all.push((false, text.unwrap().len())),
                        _ => {}
                    }
                    bytes = &bytes[taken..];
                }
            }
            assert_eq!(found_all, [(true, 300), (false, STATE.len())], "cut at {cut}");
        }
    }

    #[test]
    fn compressed_binary_messages_are_distinguished_from_texts() {
        let mut stream = Vec::new();
        Deflater::default().frames([(BINARY, STATE), (TEXT, STATE)], &[], 6, &mut stream);
        for (mut reader, expected) in [
            (FrameReader::of_binary(), ["Bulk(true)", "Text(true)"]),
            (FrameReader::new(is_state), ["Bulk(false)", "Bulk(true)"]),
        ] {
            reader.decompress();
            let (mut bytes, mut found_all) = (&stream[..], Vec::new());
            while !bytes.is_empty() {
                let (taken, found) = reader.next(bytes, true).expect("valid frames");
                found_all.extend(found.map(|found| match found {
                    Found::Bulk(payload) => format!("Bulk({})", payload == Some(STATE)),
                    Found::Text(payload) => format!("Text({})", payload == Some(STATE)),
                    other => format!("{other:?}"),
                }));
                bytes = &bytes[taken..];
            }
            assert_eq!(found_all, expected);
        }
    }

    #[test]
    fn bulk_messages_are_kept_only_on_request() {
        let mut stream = Vec::new();
        encode(TEXT, STATE, &mut stream);
        assert_eq!(read(&stream, &[], false), ["Bulk(None)"]);
        assert_eq!(read(&stream, &[5, 70], false), ["Bulk(None)"]);
        let mut reader = FrameReader::new(is_state);
        let mut long = Vec::new();
        encode(BINARY, &[0; 100_000], &mut long);
        assert!(reader.next(&long[..50_000], true).is_ok());
        assert_eq!(reader.kept.capacity(), 0, "what is skipped takes no memory");
    }

    #[test]
    fn long_text_is_dropped_and_declared_lengths_allocate_nothing() {
        let mut stream = Vec::new();
        encode(TEXT, &[b'x'; TEXT_BYTES_MAX + 1], &mut stream);
        assert_eq!(read(&stream, &[100], true), ["Text(None)"]);
        let huge = [0x82, 127, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let mut stream = huge.to_vec();
        stream.extend([0; 200]);
        assert_eq!(read(&stream, &[3], true), [""; 0]);
    }

    #[test]
    fn violations() {
        for stream in [
            &[0x81, 0x81, 1, 2, 3, 4, 5][..],
            &[0xc1, 0],
            &[0x80, 0],
            &[0x01, 0, 0x81, 0],
            &[0x83, 0],
            &[0x09, 0],
            &[0x88, 1, 3],
        ] {
            for cut in 0..stream.len() {
                assert!(read(stream, &[cut], true)[0].contains("Protocol"), "{stream:?}");
            }
        }
    }
}
