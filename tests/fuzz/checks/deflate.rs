//! Messages of permessage-deflate, compared with `miniz_oxide`.

use flate2::{Decompress, FlushDecompress, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use skirmish::ws::deflate::{Deflater, HISTORY_BYTES_MAX, Inflater};
use skirmish::ws::frame::{self, BINARY};
use skirmish::ws::{Mask, Violation};

/// What a sync flush ends with; it is removed from each message (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The one fault that zlib refuses and the reference accepts: a code without an end of block. Such a
/// block could not end.
const NO_END_OF_BLOCK: &str = "invalid code -- missing end-of-block";

/// The first byte chooses the limit and whether the history is kept, the second one where the
/// message is cut in two.
pub fn check(bytes: &[u8]) {
    let [choice, cut, payload @ ..] = bytes else { return };
    let bytes_max = [0, 1, 40, 4_096, 16_384][usize::from(choice >> 2) % 5];
    let keeps_history = choice & 1 != 0;
    let at = usize::from(*cut) % (payload.len() + 1);
    let messages = [&payload[..at], &payload[at..]];
    let mut inflater =
        if keeps_history { Inflater::keeping_history() } else { Inflater::default() };
    let mut reference = Reference::default();
    for (index, message) in messages.into_iter().enumerate() {
        if !keeps_history {
            reference = Reference::default();
        }
        let ours = inflater.message(message, bytes_max);
        let theirs = reference.message(message);
        let shown = || format!("{message:02x?} of {payload:02x?}, at most {bytes_max} bytes");
        match &ours {
            Ok(bytes) => {
                assert!(bytes.len() <= bytes_max, "{}", shown());
                assert_eq!(theirs.bytes, bytes, "{}", shown());
                assert!(!theirs.is_invalid || is_refused_later(message), "{}", shown());
            }
            Err(Violation::TooBig) => assert!(theirs.bytes.len() > bytes_max, "{}", shown()),
            Err(Violation::KeepsHistory) => assert!(theirs.is_invalid, "{}", shown()),
            Err(Violation::Protocol("compressed message has too many final blocks")) => {
                assert!(theirs.final_blocks > 8, "{}", shown());
            }
            Err(_) => {
                let stream =
                    if keeps_history { &messages[..=index] } else { &messages[index..=index] };
                let error = || zlib_error(stream);
                assert!(
                    theirs.is_invalid || error().as_deref() == Some(NO_END_OF_BLOCK),
                    "{}",
                    shown()
                );
            }
        }
        if keeps_history && (ours.is_err() || theirs.is_invalid) {
            break;
        }
    }
    compress(payload, at, usize::from(choice >> 4) % 9 + 1);
}

/// Whether a message would be refused if its last block went on. zlib reads the header of a block to
/// its end, at most 320 code lengths of 7 bits, before it refuses it; the message may end before.
fn is_refused_later(message: &[u8]) -> bool {
    let longer = [message, &TAIL, &[0; 320]].concat();
    Inflater::default().message(&longer, usize::MAX / 2).is_err()
}

/// Why zlib refuses the last of these messages of one stream.
fn zlib_error(messages: &[&[u8]]) -> Option<String> {
    let mut zlib = Decompress::new(false);
    let mut out = Vec::new();
    for mut input in messages.iter().flat_map(|message| [message, &TAIL[..]]) {
        loop {
            out.reserve(4_096);
            let before = zlib.total_in();
            let status = match zlib.decompress_vec(input, &mut out, FlushDecompress::Sync) {
                Ok(status) => status,
                Err(error) => return error.message().map(str::to_owned),
            };
            input = &input[(zlib.total_in() - before) as usize..];
            if status == Status::StreamEnd {
                zlib.reset(false);
                let window = &out[out.len().saturating_sub(32_768)..];
                let is_set = window.is_empty() || zlib.set_dictionary(window).is_ok();
                assert!(is_set, "a stream without data takes any dictionary");
            }
            if input.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
    }
    None
}

/// What the reference makes of a message.
struct Inflated<'a> {
    /// Also what came before invalid data.
    bytes: &'a [u8],
    is_invalid: bool,
    final_blocks: u32,
}

/// Decompresses messages with all of their history.
#[derive(Default)]
struct Reference {
    state: DecompressorOxide,
    out: Vec<u8>,
    length: usize,
}

impl Reference {
    fn message(&mut self, payload: &[u8]) -> Inflated<'_> {
        const FLAGS: u32 = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let start = self.length;
        let (mut is_invalid, mut final_blocks) = (false, 0);
        for mut input in [payload, &TAIL] {
            while !input.is_empty() && !is_invalid {
                if self.out.len() < self.length + 4_096 {
                    self.out.resize(self.length + 65_536, 0);
                }
                let (status, taken, written) =
                    decompress(&mut self.state, input, &mut self.out, self.length, FLAGS);
                input = &input[taken..];
                self.length += written;
                match status {
                    TINFLStatus::Done => {
                        final_blocks += 1;
                        self.state = DecompressorOxide::new();
                    }
                    TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {}
                    _ => is_invalid = true,
                }
            }
        }
        Inflated { bytes: &self.out[start..self.length], is_invalid, final_blocks }
    }
}

/// Two messages, compressed after a history, are what a client with that history decompresses.
fn compress(payload: &[u8], at: usize, level: usize) {
    let messages = [&payload[..at], &payload[at..]];
    let history = &messages[0][..at.min(HISTORY_BYTES_MAX)];
    let mut frames = Vec::new();
    let level = u32::try_from(level).expect("a small number");
    let not_empty = messages.iter().filter(|message| !message.is_empty());
    let mut deflater = Deflater::default();
    deflater.frames(not_empty.clone().map(|bytes| (BINARY, *bytes)), history, level, &mut frames);
    let mut reference = Reference { out: history.to_vec(), length: at, ..Reference::default() };
    let mut frames = &frames[..];
    for message in not_empty {
        let parsed = frame::parse(frames, Mask::Forbidden, true).expect("a valid frame");
        let (from, header) = parsed.expect("a whole header");
        let to = from + header.payload_bytes as usize;
        let inflated = reference.message(&frames[from..to]);
        assert_eq!((inflated.bytes, inflated.is_invalid), (*message, false));
        frames = &frames[to..];
    }
    assert!(frames.is_empty());
}
