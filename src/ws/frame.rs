//! Parses and formats frame headers, and applies masks (RFC 6455, section 5.2).

use std::io::{Cursor, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Violation;

/// Bytes of the longest header: 2, 8 for the length, 4 for the mask.
const HEADER_BYTES_MAX: usize = 14;
/// Bytes of the longest control frame's payload (RFC 6455, 5.5).
pub const CONTROL_BYTES_MAX: u64 = 125;

/// Whether received frames must be masked: frames from clients must be, frames from servers must
/// not be (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// This end is the server.
    Required,
    /// This end is the client.
    Forbidden,
}

/// The rules for received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRules {
    /// Whether frames must be masked.
    pub mask: Mask,
    /// Whether messages may be compressed: permessage-deflate is agreed (RFC 7692).
    pub takes_compressed: bool,
    /// Maximum bytes of a message over all its frames.
    pub message_bytes_max: usize,
    /// Maximum number of frames of a message.
    pub fragments_max: u32,
}

/// The header of a valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message.
    pub is_final: bool,
    /// Whether it begins a compressed message (RSV1; RFC 7692, section 6).
    pub is_compressed: bool,
    /// The opcode; never a reserved one.
    pub opcode: OpCode,
    /// The mask of the payload, if any.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload that follow.
    pub payload_bytes: u64,
}

/// Parses the header at the start of `bytes`. Returns its length and the header, or `None` if more
/// bytes are needed. Nothing is allocated, whatever length is declared. RSV1 is reserved unless
/// messages may be compressed; of a control frame or a continuation it always is.
///
/// # Errors
/// 1002 for a reserved bit or opcode, a wrong mask, a length not in its shortest form or of 2^63
/// and more, a control frame that is fragmented or longer than 125 bytes.
pub fn parse(
    bytes: &[u8],
    mask: Mask,
    takes_compressed: bool,
) -> Result<Option<(usize, Header)>, Violation> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    check_start(first, second, mask, takes_compressed)?;
    let mut cursor = Cursor::new(bytes);
    let (header, payload_bytes) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Ok(None),
        Err(_) => return Err(Violation::Protocol("reserved opcode")),
    };
    let shortest = match second & 0x7f {
        126 => payload_bytes > 125,
        127 => payload_bytes > 0xffff && payload_bytes < 1 << 63,
        _ => true,
    };
    if !shortest {
        return Err(Violation::Protocol("length is not in its shortest form"));
    }
    let header = Header {
        is_final: header.is_final,
        is_compressed: header.rsv1,
        opcode: header.opcode,
        mask: header.mask,
        payload_bytes,
    };
    Ok(Some((cursor.position() as usize, header)))
}

/// Checks what the first two bytes show, without waiting for more bytes.
fn check_start(first: u8, second: u8, mask: Mask, takes_compressed: bool) -> Result<(), Violation> {
    let (is_final, opcode) = (first & 0x80 != 0, OpCode::from(first & 0x0f));
    let (is_masked, is_control) = (second & 0x80 != 0, matches!(opcode, OpCode::Control(_)));
    let may_be_compressed = takes_compressed && matches!(first & 0x0f, 1 | 2);
    let reserved = if may_be_compressed { 0x30 } else { 0x70 };
    let wrong = if first & reserved != 0 {
        "reserved bit set without an extension"
    } else if matches!(
        opcode,
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_))
    ) {
        "reserved opcode"
    } else if mask == Mask::Required && !is_masked {
        "frame is not masked"
    } else if mask == Mask::Forbidden && is_masked {
        "frame is masked"
    } else if is_control && !is_final {
        "control frame is fragmented"
    } else if is_control && u64::from(second & 0x7f) > CONTROL_BYTES_MAX {
        "control frame is longer than 125 bytes"
    } else {
        return Ok(());
    };
    Err(Violation::Protocol(wrong))
}

/// Applies or removes a mask in place; `phase` is the offset of `payload` in the frame's payload.
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4], phase: usize) {
    let mut key = mask;
    key.rotate_left(phase % 4);
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a complete server frame: final, not masked.
pub fn encode(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    put(opcode, payload, false, out);
}

/// Appends a complete server frame with a compressed payload (RFC 7692, section 6).
pub fn encode_compressed(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    put(opcode, payload, true, out);
}

fn put(opcode: OpCode, payload: &[u8], is_compressed: bool, out: &mut Vec<u8>) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    format_header(opcode, is_compressed, None, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Returns a complete server frame: final, not masked.
#[must_use]
pub fn whole(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(opcode, payload, &mut frame);
    frame
}

/// Iterates over the opcodes and payloads of complete, concatenated server frames.
pub fn payloads(mut frames: &[u8]) -> impl Iterator<Item = (OpCode, &[u8])> {
    std::iter::from_fn(move || {
        let (header_bytes, header) = parse(frames, Mask::Forbidden, false).ok()??;
        let end = header_bytes + header.payload_bytes as usize;
        let payload = frames.get(header_bytes..end)?;
        frames = &frames[end..];
        Some((header.opcode, payload))
    })
}

/// Appends a complete client frame: final, masked with `mask`.
pub fn encode_masked(opcode: OpCode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    format_header(opcode, false, Some(mask), payload.len(), out);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask, 0);
}

/// Space for a header in front of a payload; see [`encode_in_place`].
pub const HEADROOM: [u8; 10] = [0; 10];

/// Turns `buffer`, which is [`HEADROOM`] followed by the payload, into a server frame. Writes the
/// header directly before the payload and returns the frame.
pub fn encode_in_place(opcode: OpCode, buffer: &mut [u8]) -> &[u8] {
    let payload_bytes = buffer.len() - HEADROOM.len();
    let mut header = [0; HEADER_BYTES_MAX];
    let mut unused = &mut header[..];
    format_header(opcode, false, None, payload_bytes, &mut unused);
    let header_bytes = HEADER_BYTES_MAX - unused.len();
    let start = HEADROOM.len() - header_bytes;
    buffer[start..HEADROOM.len()].copy_from_slice(&header[..header_bytes]);
    &buffer[start..]
}

fn format_header(
    opcode: OpCode,
    is_compressed: bool,
    mask: Option<[u8; 4]>,
    payload_bytes: usize,
    out: &mut impl Write,
) {
    let (is_final, rsv1) = (true, is_compressed);
    let header = FrameHeader { is_final, rsv1, rsv2: false, rsv3: false, opcode, mask };
    header.format(payload_bytes as u64, out).expect("writing to memory cannot fail");
}

/// A text message.
pub const TEXT: OpCode = OpCode::Data(Data::Text);
/// A binary message.
pub const BINARY: OpCode = OpCode::Data(Data::Binary);
/// A close frame.
pub const CLOSE: OpCode = OpCode::Control(Control::Close);
/// A ping frame.
pub const PING: OpCode = OpCode::Control(Control::Ping);
/// A pong frame.
pub const PONG: OpCode = OpCode::Control(Control::Pong);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_applied_in_pieces_is_the_mask_applied_at_once() {
        let mask = [1, 2, 3, 250];
        let plain: Vec<u8> = (0..=99).collect();
        let mut whole = plain.clone();
        apply_mask(&mut whole, mask, 0);
        assert!(whole.iter().zip(&plain).enumerate().all(|(i, (m, p))| m ^ p == mask[i % 4]));
        for cut in 0..plain.len() {
            let mut pieces = plain.clone();
            let (left, right) = pieces.split_at_mut(cut);
            apply_mask(left, mask, 0);
            apply_mask(right, mask, cut);
            assert_eq!(pieces, whole, "cut at {cut}");
        }
    }

    #[test]
    fn two_bytes_are_enough_to_refuse_a_frame() {
        for wrong in [[0xc1, 0x80], [0xf1, 0x80], [0x83, 0x80], [0x8b, 0x80], [0x81, 0x05]] {
            assert!(parse(&wrong, Mask::Required, false).is_err(), "{wrong:x?}");
        }
        for wrong in [[0x09, 0x80], [0x89, 0xfe], [0x88, 0xff]] {
            assert!(parse(&wrong, Mask::Required, false).is_err(), "{wrong:x?}");
        }
        assert!(parse(&[0x81, 0x85], Mask::Forbidden, false).is_err());
        for right in [[0x81, 0xfe], [0x02, 0x80], [0x80, 0xff], [0x89, 0xfd]] {
            assert_eq!(parse(&right, Mask::Required, false), Ok(None), "{right:x?}");
        }
    }

    #[test]
    fn only_the_first_frame_of_a_message_may_be_compressed() {
        let is_allowed = |first: u8| parse(&[first, 0xfe], Mask::Required, true).is_ok();
        for right in [0xc1, 0x41, 0xc2, 0x42, 0x81, 0x80] {
            assert!(is_allowed(right), "{right:x}");
        }
        for wrong in [0xc0, 0x40, 0xe1, 0xd1, 0xa1, 0xc9, 0xca, 0xc8] {
            assert!(!is_allowed(wrong), "{wrong:x}");
        }
        let mut frame = Vec::new();
        encode_compressed(TEXT, b"abc", &mut frame);
        let (_, header) = parse(&frame, Mask::Forbidden, true).unwrap().unwrap();
        assert!(header.is_compressed && header.is_final && header.payload_bytes == 3);
    }

    // T13
    #[test]
    fn lengths_must_be_in_their_shortest_form() {
        let masked = |second: u8, length: &[u8]| {
            let mut bytes = vec![0x82, 0x80 | second];
            bytes.extend_from_slice(length);
            bytes.extend_from_slice(&[0; 4]);
            parse(&bytes, Mask::Required, false)
        };
        for bad in [0u16, 1, 125] {
            assert!(masked(126, &bad.to_be_bytes()).is_err(), "{bad} in 16 bits");
        }
        for bad in [0u64, 125, 126, 0xffff, 1 << 63, u64::MAX] {
            assert!(masked(127, &bad.to_be_bytes()).is_err(), "{bad} in 64 bits");
        }
        assert_eq!(masked(126, &126u16.to_be_bytes()).unwrap().unwrap().0, 8);
        let long = masked(127, &(1u64 << 62).to_be_bytes()).unwrap().unwrap();
        assert_eq!((long.0, long.1.payload_bytes), (14, 1 << 62));
    }

    #[test]
    fn incomplete_headers_need_more_bytes() {
        let mut frame = Vec::new();
        encode_masked(BINARY, &[7; 70_000], [1, 2, 3, 4], &mut frame);
        for cut in 0..HEADER_BYTES_MAX {
            assert_eq!(parse(&frame[..cut], Mask::Required, false), Ok(None), "cut at {cut}");
        }
        let (read, header) = parse(&frame, Mask::Required, false).unwrap().unwrap();
        assert_eq!((read, header.payload_bytes), (14, 70_000));
    }

    #[test]
    fn frames_encoded_in_place_are_the_same() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut buffer = HEADROOM.to_vec();
            buffer.extend_from_slice(&payload);
            let mut expected = Vec::new();
            encode(TEXT, &payload, &mut expected);
            assert_eq!(encode_in_place(TEXT, &mut buffer), expected, "{length} bytes");
        }
    }
}
