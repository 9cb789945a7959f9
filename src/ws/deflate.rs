//! permessage-deflate (RFC 7692) of servers: what is agreed with a client, and one compressor and
//! one inflater for all connections.
//!
//! A client must not keep its history (`client_no_context_takeover`), so the [`Inflater`] of a
//! server is reset for each message. The history of the server is chosen for each message: any
//! bytes with which the window of the receiver ends.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tungstenite::protocol::frame::coding::OpCode;

use super::{Violation, frame};

/// The longest history that a match can reach: the window less the 262 bytes that zlib keeps as
/// lookahead.
pub const HISTORY_BYTES_MAX: usize = 32_768 - 262;

/// The largest window (RFC 7692, section 7.1.2), as a power of two.
const WINDOW_BITS_MAX: u8 = 15;
/// The smallest window in which zlib writes raw deflate data.
const WINDOW_BITS_MIN: u8 = 9;
/// What a sync flush ends with. It is removed from each message (RFC 7692, section 7.2.1).
const FLUSH_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Final blocks in one message. Each costs a reset of the inflater, and no known client sends any.
const FINAL_BLOCKS_MAX: u32 = 8;
/// Bytes by which a buffer grows at least.
const GROWTH_BYTES: usize = 256;

/// What is agreed with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Whether what the server sends may refer to what it sent before.
    pub keeps_history: bool,
    /// The window of what the server sends, as a power of two; 9 to 15.
    pub window_bits: u8,
    /// Whether the answer repeats the window.
    names_window: bool,
}

impl Agreement {
    /// The value of `Sec-WebSocket-Extensions` in the answer (RFC 7692, section 7.1).
    #[must_use]
    pub fn answer(&self) -> String {
        let mut answer = "permessage-deflate; client_no_context_takeover".to_owned();
        if !self.keeps_history {
            answer += "; server_no_context_takeover";
        }
        if self.names_window {
            answer += &format!("; server_max_window_bits={}", self.window_bits);
        }
        answer
    }
}

/// Chooses the first acceptable offer among the elements of `Sec-WebSocket-Extensions`; `None` if
/// messages are not compressed. A window for what the server sends is acceptable from
/// `window_bits_min`.
///
/// A list that also names `deflate-frame` is declined: those clients (netty) end the handshake at
/// `client_no_context_takeover`.
#[must_use]
pub fn agree(offers: &[&str], window_bits_min: u8) -> Option<Agreement> {
    let has_frame =
        |offer: &&str| matches!(name(offer), "deflate-frame" | "x-webkit-deflate-frame");
    if offers.iter().any(has_frame) {
        return None;
    }
    let mut deflate = offers.iter().filter(|offer| name(offer) == "permessage-deflate");
    deflate.find_map(|offer| accept(offer, window_bits_min.max(WINDOW_BITS_MIN)))
}

/// The name of the extension that an offer is about.
fn name(offer: &str) -> &str {
    offer.split(';').next().unwrap_or_default().trim_ascii()
}

/// Accepts one offer, unless a parameter is unknown, repeated or invalid (RFC 7692, section 7.1).
fn accept(offer: &str, window_bits_min: u8) -> Option<Agreement> {
    let mut agreement =
        Agreement { keeps_history: true, window_bits: WINDOW_BITS_MAX, names_window: false };
    let mut seen = [false; 4];
    for parameter in offer.split(';').skip(1).map(str::trim_ascii) {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_ascii_end(), Some(value.trim_ascii_start())),
            None => (parameter, None),
        };
        let index = match (name, value) {
            ("server_no_context_takeover", None) => {
                agreement.keeps_history = false;
                0
            }
            ("client_no_context_takeover", None) => 1,
            ("server_max_window_bits", Some(value)) => {
                agreement.window_bits = window_bits(value)?;
                agreement.names_window = true;
                2
            }
            ("client_max_window_bits", value) => {
                value.map_or(Some(WINDOW_BITS_MAX), window_bits)?;
                3
            }
            _ => return None,
        };
        if std::mem::replace(&mut seen[index], true) {
            return None;
        }
    }
    (agreement.window_bits >= window_bits_min).then_some(agreement)
}

/// A window of 8 to 15 bits, without leading zeros; it may be quoted.
fn window_bits(value: &str) -> Option<u8> {
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let is_decimal = bare.bytes().all(|byte| byte.is_ascii_digit()) && !bare.starts_with('0');
    let bits = bare.parse().ok().filter(|_| is_decimal)?;
    (8..=WINDOW_BITS_MAX).contains(&bits).then_some(bits)
}

/// Compresses messages of all connections, one after another. It takes about 300 KiB.
pub struct Deflater {
    compress: Compress,
    /// The compressed form of one message, reused.
    message: Vec<u8>,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

impl Default for Deflater {
    fn default() -> Deflater {
        Deflater::with_window(WINDOW_BITS_MAX)
    }
}

impl Deflater {
    /// A compressor for a window of 9 to 15 bits.
    #[must_use]
    pub fn with_window(bits: u8) -> Deflater {
        let bits = bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        let compress = Compress::new_with_window_bits(Compression::default(), false, bits);
        Deflater { compress, message: Vec::new() }
    }

    /// Appends one compressed server frame for each of `messages`, none of which is empty. They are
    /// one deflate stream, whose window begins with `history`. `level` is that of zlib, 1 to 9.
    pub fn frames<'a>(
        &mut self,
        messages: impl IntoIterator<Item = (OpCode, &'a [u8])>,
        history: &[u8],
        level: u32,
        out: &mut Vec<u8>,
    ) {
        self.compress.reset();
        let is_ready = self.compress.set_level(Compression::new(level)).is_ok()
            && (history.is_empty() || self.compress.set_dictionary(history).is_ok());
        debug_assert!(is_ready, "a stream without data takes any level and dictionary");
        for (opcode, message) in messages {
            self.compress_message(message);
            frame::encode_compressed(opcode, &self.message, out);
        }
    }

    /// Compresses a message up to a sync flush, whose tail is removed.
    fn compress_message(&mut self, message: &[u8]) {
        let end = self.compress.total_in() + message.len() as u64;
        self.message.clear();
        loop {
            self.message.reserve(GROWTH_BYTES.max(message.len() / 8));
            let taken = (message.len() as u64 - (end - self.compress.total_in())) as usize;
            let rest = &message[taken..];
            let status = self.compress.compress_vec(rest, &mut self.message, FlushCompress::Sync);
            debug_assert!(status.is_ok(), "memory is all that compression needs");
            let has_space = self.message.len() < self.message.capacity();
            if self.compress.total_in() == end && has_space {
                break;
            }
        }
        debug_assert!(self.message.ends_with(&FLUSH_TAIL), "a flush ends with an empty block");
        self.message.truncate(self.message.len() - FLUSH_TAIL.len());
    }
}

/// Decompresses messages: of all connections of a server, one after another, or of one server with
/// the history that it keeps.
pub struct Inflater {
    decompress: Decompress,
    keeps_history: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { decompress: Decompress::new(false), keeps_history: false }
    }
}

impl Inflater {
    /// The inflater of a client, for all messages of one server.
    #[must_use]
    pub fn keeping_history() -> Inflater {
        Inflater { keeps_history: true, ..Inflater::default() }
    }

    /// Decompresses a message (RFC 7692, section 7.2.2) to at most `bytes_max` bytes.
    ///
    /// # Errors
    /// 1009 if it is larger, 1002 if it is not valid or refers to an earlier message.
    pub fn message(&mut self, payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
        if !self.keeps_history {
            self.decompress.reset(false);
        }
        let mut out = Vec::with_capacity((4 * payload.len()).min(bytes_max) + 1);
        let mut final_blocks = 0;
        for mut input in [payload, &FLUSH_TAIL] {
            // If there is no space left, the inflater may have bytes for which it needs no input.
            while !input.is_empty() || out.len() == out.capacity() {
                let (taken, is_final) = self.inflate(input, &mut out)?;
                input = &input[taken..];
                if out.len() > bytes_max {
                    return Err(Violation::TooBig);
                }
                if is_final {
                    final_blocks += 1;
                    self.go_on(&out, final_blocks)?;
                }
            }
        }
        Ok(out)
    }

    /// Decompresses a part of `input`, and makes space if there is none. Returns the bytes that it
    /// took, and whether they ended a final block.
    fn inflate(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, bool), Violation> {
        if out.len() == out.capacity() {
            out.reserve(GROWTH_BYTES.max(out.len()));
        }
        let (before, before_bytes) = (self.decompress.total_in(), out.len());
        let status =
            self.decompress.decompress_vec(input, out, FlushDecompress::Sync).map_err(|error| {
                let is_far =
                    error.message().is_some_and(|message| message.contains("too far back"));
                match is_far {
                    true => Violation::KeepsHistory,
                    false => Violation::Protocol("compressed message is invalid"),
                }
            })?;
        let taken = (self.decompress.total_in() - before) as usize;
        let is_final = status == Status::StreamEnd;
        let is_stuck = taken == 0 && out.len() == before_bytes && !is_final;
        match is_stuck && !input.is_empty() {
            true => Err(Violation::Protocol("compressed message is invalid")),
            false => Ok((taken, is_final)),
        }
    }

    /// Goes on after a final block (RFC 7692, section 7.2.3.4), with the window as it was.
    fn go_on(&mut self, out: &[u8], final_blocks: u32) -> Result<(), Violation> {
        if final_blocks > FINAL_BLOCKS_MAX {
            return Err(Violation::Protocol("compressed message has too many final blocks"));
        }
        self.decompress.reset(false);
        let window = &out[out.len().saturating_sub(1 << WINDOW_BITS_MAX)..];
        let result = if window.is_empty() { Ok(0) } else { self.decompress.set_dictionary(window) };
        result.map(|_| ()).map_err(|_| Violation::Protocol("compressed message is invalid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::frame::{BINARY, Mask, TEXT};

    /// The messages in `frames`, as a client receives them.
    fn receive(inflater: &mut Inflater, mut frames: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some((head, header)) = frame::parse(frames, Mask::Forbidden, true).unwrap() {
            let end = head + header.payload_bytes as usize;
            assert!(header.is_compressed && header.is_final);
            messages.push(inflater.message(&frames[head..end], 1 << 20).expect("valid data"));
            frames = &frames[end..];
        }
        messages
    }

    fn agreed(offers: &str, window_bits_min: u8) -> Option<String> {
        agree(&offers.split(',').collect::<Vec<_>>(), window_bits_min)
            .map(|agreement| agreement.answer())
    }

    /// A text that does not repeat itself within a few hundred bytes.
    fn text(from: u32, bytes: usize) -> Vec<u8> {
        let words = (from..).map(|number| format!("{} ", number.wrapping_mul(2_654_435_761)));
        words.flat_map(String::into_bytes).take(bytes).collect()
    }

    // T05
    #[test]
    fn offers_and_answers() {
        let plain = "permessage-deflate; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            " permessage-deflate ; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10; client_no_context_takeover",
            "x-custom; a=b, permessage-deflate",
            "permessage-deflate; unknown, permessage-deflate",
            "permessage-deflate; server_max_window_bits=9, permessage-deflate",
            "permessage-deflate; server_max_window_bits, permessage-deflate",
        ] {
            assert_eq!(agreed(offer, 15).as_deref(), Some(plain), "{offer}");
        }
        for (offer, added) in [
            ("server_no_context_takeover", "server_no_context_takeover"),
            ("server_max_window_bits=15", "server_max_window_bits=15"),
            ("server_max_window_bits = \"15\"", "server_max_window_bits=15"),
        ] {
            let offer = format!("permessage-deflate; {offer}, permessage-deflate");
            assert_eq!(agreed(&offer, 15), Some(format!("{plain}; {added}")), "{offer}");
        }
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=015",
            "permessage-deflate; server_max_window_bits=+15",
            "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15",
            "permessage-deflate; client_max_window_bits=20",
            "permessage-deflate; client_no_context_takeover=1",
            "permessage-deflate, deflate-frame",
            "x-webkit-deflate-frame; no_context_takeover, permessage-deflate",
        ] {
            assert_eq!(agreed(offer, 15), None, "{offer}");
        }
        let small = "permessage-deflate; server_max_window_bits=9";
        assert_eq!(agreed(small, 9), Some(format!("{plain}; server_max_window_bits=9")));
        assert_eq!(agreed("permessage-deflate; server_max_window_bits=8", 8), None);
    }

    #[test]
    fn a_history_makes_a_repeated_message_tiny() {
        let (mut deflater, mut receiver) = (Deflater::default(), Inflater::keeping_history());
        for bytes in [1, 100, 1_023, 1_024, 20_000, HISTORY_BYTES_MAX - 3] {
            let first = text(bytes as u32, bytes);
            let second = [&first[..bytes / 2], b"new", &first[bytes / 2..]].concat();
            // Level 1 is for small messages (`wire::compression`): it finds few long matches.
            let levels = if bytes < 1_024 { 1..=6 } else { 2..=6 };
            for level in levels {
                let mut alone = Vec::new();
                deflater.frames([(TEXT, &first[..])], &[], level, &mut alone);
                let mut after = Vec::new();
                deflater.frames([(BINARY, &second[..])], &first, level, &mut after);
                assert_eq!(receive(&mut receiver, &alone), [&first[..]]);
                assert_eq!(receive(&mut receiver, &after), [&second[..]]);
                assert!(after.len() < 100 + bytes / 30, "{} of {bytes} bytes", after.len());
            }
        }
    }

    #[test]
    fn several_messages_are_one_stream() {
        let (mut deflater, mut receiver) = (Deflater::default(), Inflater::keeping_history());
        let messages: Vec<Vec<u8>> = (0..50).map(|_| text(7, 90)).collect();
        let mut history = Vec::new();
        for _ in 0..3 {
            let mut frames = Vec::new();
            let each = messages.iter().map(|message| (TEXT, &message[..]));
            deflater.frames(each, &history, 6, &mut frames);
            assert_eq!(receive(&mut receiver, &frames), messages);
            let expected_bytes = if history.is_empty() { 600 } else { 500 };
            assert!(frames.len() < expected_bytes, "{} bytes", frames.len());
            history = messages.concat();
        }
    }

    #[test]
    fn a_small_window_is_kept() {
        let (first, again) = (text(3, 2_000), text(3, 2_000));
        let message = [first, again].concat();
        for bits in 9..=15 {
            let mut frames = Vec::new();
            Deflater::with_window(bits).frames([(TEXT, &message[..])], &[], 6, &mut frames);
            let mut inflate = Decompress::new_with_window_bits(false, bits);
            let (head, _) = frame::parse(&frames, Mask::Forbidden, true).unwrap().unwrap();
            let mut out = Vec::with_capacity(8_000);
            let sync = FlushDecompress::Sync;
            inflate.decompress_vec(&frames[head..], &mut out, sync).expect("within the window");
            assert_eq!(out, message, "{bits} bits");
        }
    }

    /// The payload of a compressed message.
    fn compressed(message: &[u8], history: &[u8]) -> Vec<u8> {
        let mut frames = Vec::new();
        Deflater::default().frames([(TEXT, message)], history, 6, &mut frames);
        let (head, _) = frame::parse(&frames, Mask::Forbidden, true).unwrap().unwrap();
        frames.split_off(head)
    }

    #[test]
    fn messages_are_inflated_one_by_one() {
        let mut inflater = Inflater::default();
        for bytes in [0, 1, 255, 256, 257, 4_096, 16_384] {
            let message = if bytes == 0 { Vec::new() } else { text(1, bytes) };
            let payload = if bytes == 0 { vec![0] } else { compressed(&message, &[]) };
            assert_eq!(inflater.message(&payload, 16_384), Ok(message), "{bytes} bytes");
        }
        // The examples of RFC 7692, section 7.2.3: compressed, stored, a final block, two blocks.
        let hello: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for payload in hello {
            assert_eq!(inflater.message(payload, 5), Ok(b"Hello".to_vec()), "{payload:x?}");
            assert_eq!(inflater.message(payload, 4), Err(Violation::TooBig), "{payload:x?}");
        }
    }

    #[test]
    fn a_message_must_stand_alone() {
        let mut inflater = Inflater::default();
        let first = text(1, 500);
        let second = compressed(&first, &first);
        assert_eq!(inflater.message(&compressed(&first, &[]), 1_000), Ok(first));
        assert_eq!(inflater.message(&second, 1_000), Err(Violation::KeepsHistory));
    }

    // T15
    #[test]
    fn invalid_data_and_floods_are_refused() {
        let mut inflater = Inflater::default();
        let invalid = Err(Violation::Protocol("compressed message is invalid"));
        for payload in [&[0x07][..], &[0xff; 20], &[0x00, 0x05, 0x00, 0x00, 0x00], b"hello"] {
            assert_eq!(inflater.message(payload, 100), invalid, "{payload:x?}");
        }
        let zeros = compressed(&vec![0; 1 << 20], &[]);
        assert!(zeros.len() < 2_000);
        assert_eq!(inflater.message(&zeros, 16_384), Err(Violation::TooBig));
        // Empty final blocks.
        let many = inflater.message(&[0x03, 0x00].repeat(100), 100);
        let sentence = "compressed message has too many final blocks";
        assert_eq!(many, Err(Violation::Protocol(sentence)));
    }

    #[test]
    fn a_block_after_a_final_one_may_refer_to_it() {
        let first = text(1, 300);
        let mut ended = Vec::with_capacity(1_000);
        let mut compress = Compress::new(Compression::default(), false);
        compress.compress_vec(&first, &mut ended, FlushCompress::Finish).unwrap();
        ended.extend(compressed(&first, &first));
        assert_eq!(Inflater::default().message(&ended, 600), Ok(first.repeat(2)));
    }
}
