//! Assembles messages from frames as bytes arrive.
//!
//! An [`Assembler`] belongs to one connection and buffers only the current message. A frame that
//! arrives complete is unmasked in place and not copied. A frame that arrives in pieces is consumed
//! piece by piece, so that text is validated before the frame is complete, and no memory is
//! reserved for a declared length.

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::frame::{self, FrameRules, Header};
use super::{Violation, close};

/// A message or control frame from a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'b> {
    /// A text message: valid UTF-8.
    Text(Payload<'b>),
    /// A binary message.
    Binary(Payload<'b>),
    /// A message that must be decompressed first (see [`Inflater`](super::deflate::Inflater)).
    Compressed(Payload<'b>, Kind),
    /// A ping; the pong must contain the same bytes.
    Ping(&'b [u8]),
    /// A pong.
    Pong(&'b [u8]),
    /// A close frame: its code and reason, or `None` for an empty one.
    Close(Option<(u16, &'b str)>),
}

/// The bytes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'b> {
    /// In the buffer that was passed in.
    Borrowed(&'b [u8]),
    /// Assembled from pieces, or decompressed.
    Owned(Vec<u8>),
}

/// What a message contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Anything else.
    Binary,
}

impl<'b> Message<'b> {
    /// A message that has arrived completely.
    ///
    /// # Errors
    /// 1007 for text that is not valid UTF-8.
    pub fn whole(kind: Kind, payload: Payload<'b>) -> Result<Message<'b>, Violation> {
        match kind {
            Kind::Binary => Ok(Message::Binary(payload)),
            Kind::Text => match str::from_utf8(payload.bytes()) {
                Ok(_) => Ok(Message::Text(payload)),
                Err(_) => Err(Violation::BadText),
            },
        }
    }
}

impl Payload<'_> {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => bytes,
        }
    }
}

/// Assembles the messages of one connection.
#[derive(Debug, Default)]
pub struct Assembler {
    /// The message that has arrived in part. Nearly every message arrives whole, so a pointer is
    /// all that a connection keeps for it.
    current: Option<Box<Current>>,
}

/// A message of one frame whose header has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    header_bytes: usize,
    header: Header,
}

impl Begun {
    /// Bytes of its payload.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.header.payload_bytes as usize
    }

    /// Whether it is text that is not compressed.
    #[must_use]
    pub fn is_plain_text(&self) -> bool {
        self.header.opcode == frame::TEXT && !self.header.is_compressed
    }

    /// Fills `payload` with the beginning of its payload, unmasked. Returns whether enough has
    /// arrived; `bytes` begin with its header.
    #[must_use]
    pub fn read(&self, bytes: &[u8], payload: &mut [u8]) -> bool {
        let from = self.header_bytes;
        let Some(arrived) = bytes.get(from..from + payload.len()) else { return false };
        payload.copy_from_slice(arrived);
        unmask(payload, self.header.mask, 0);
        true
    }
}

/// A message that has arrived in part.
#[derive(Debug)]
struct Current {
    kind: Kind,
    is_compressed: bool,
    /// The payload so far, unmasked.
    payload: Vec<u8>,
    /// How many bytes of it are known to be valid UTF-8 (text only).
    valid_bytes: usize,
    /// Whether its bytes are discarded.
    is_discarded: bool,
    /// Number of its frames so far.
    fragments: u32,
    /// The frame that has arrived in part.
    partial: Option<Partial>,
}

#[derive(Clone, Copy, Debug)]
struct Partial {
    is_final: bool,
    mask: Option<[u8; 4]>,
    taken_bytes: u64,
    missing_bytes: u64,
}

impl Assembler {
    /// Consumes bytes from the start of `bytes`. Returns how many it consumed, and the message if
    /// one is complete. `(0, None)` means that more bytes are needed.
    ///
    /// # Errors
    /// The first protocol violation. Do not call it again after that.
    pub fn next<'b>(
        &mut self,
        bytes: &'b mut [u8],
        rules: &FrameRules,
    ) -> Result<(usize, Option<Message<'b>>), Violation> {
        if self.current.as_ref().is_some_and(|current| current.partial.is_some()) {
            return self.continue_frame(bytes);
        }
        let Some((header_bytes, header)) = frame::parse(bytes, rules.mask, rules.takes_compressed)?
        else {
            return Ok((0, None));
        };
        match header.opcode {
            OpCode::Control(control) => Self::control(bytes, header_bytes, &header, control),
            OpCode::Data(data) => self.begin_frame(bytes, header_bytes, &header, data, rules),
        }
    }

    /// The next message, if it begins with `bytes`, is valid so far, and is one frame.
    #[must_use]
    pub fn peek(&self, bytes: &[u8], rules: &FrameRules) -> Option<Begun> {
        if self.current.is_some() {
            return None;
        }
        let parsed = frame::parse(bytes, rules.mask, rules.takes_compressed);
        let (header_bytes, header) = parsed.ok().flatten()?;
        let is_message = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let is_allowed = header.payload_bytes <= rules.message_bytes_max as u64;
        (is_message && header.is_final && is_allowed).then_some(Begun { header_bytes, header })
    }

    /// Discards the next message, of which `bytes` have arrived, without unmasking and validating
    /// it: only text that is interpreted must be valid (RFC 6455, section 8.1). Returns how many
    /// bytes it consumed.
    pub fn discard(&mut self, begun: &Begun, bytes: &[u8]) -> usize {
        let Begun { header_bytes, header } = *begun;
        let end = header_bytes + header.payload_bytes as usize;
        if let Some(missing_bytes) = end.checked_sub(bytes.len()).filter(|missing| *missing > 0) {
            let mut current = Current::new(Kind::Binary, header.is_compressed);
            current.is_discarded = true;
            current.partial = Some(Partial {
                is_final: true,
                mask: None,
                taken_bytes: 0,
                missing_bytes: missing_bytes as u64,
            });
            self.current = Some(Box::new(current));
        }
        end.min(bytes.len())
    }

    /// Heap bytes of the current message, for tests of the limits.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.current.as_ref().map_or(0, |current| current.payload.capacity())
    }

    fn control<'b>(
        bytes: &'b mut [u8],
        header_bytes: usize,
        header: &Header,
        control: Control,
    ) -> Result<(usize, Option<Message<'b>>), Violation> {
        let end = header_bytes + header.payload_bytes as usize;
        let Some(payload) = bytes.get_mut(header_bytes..end) else {
            return Ok((0, None));
        };
        unmask(payload, header.mask, 0);
        let message = match control {
            Control::Ping => Message::Ping(payload),
            Control::Pong => Message::Pong(payload),
            Control::Close => Message::Close(close::parse(payload)?),
            Control::Reserved(_) => return Err(Violation::Protocol("reserved opcode")),
        };
        Ok((end, Some(message)))
    }

    fn begin_frame<'b>(
        &mut self,
        bytes: &'b mut [u8],
        header_bytes: usize,
        header: &Header,
        data: Data,
        rules: &FrameRules,
    ) -> Result<(usize, Option<Message<'b>>), Violation> {
        let current = self.current.as_deref();
        let kind = match (data, current.map(|current| current.kind)) {
            (Data::Continue, Some(kind)) => kind,
            (Data::Text, None) => Kind::Text,
            (Data::Binary, None) => Kind::Binary,
            (Data::Continue, None) => {
                return Err(Violation::Protocol("continuation frame without a message"));
            }
            (Data::Text | Data::Binary, Some(_)) => {
                return Err(Violation::Protocol("new message inside a fragmented one"));
            }
            (Data::Reserved(_), _) => return Err(Violation::Protocol("reserved opcode")),
        };
        let before_bytes = current.map_or(0, |current| current.payload.len());
        if header.payload_bytes > (rules.message_bytes_max - before_bytes) as u64 {
            return Err(Violation::TooBig);
        }
        if current.map_or(0, |current| current.fragments) >= rules.fragments_max {
            return Err(Violation::TooManyFragments);
        }
        let end = header_bytes + header.payload_bytes as usize;
        let is_whole = bytes.len() >= end;
        if is_whole && header.is_final && current.is_none() {
            let payload = &mut bytes[header_bytes..end];
            unmask(payload, header.mask, 0);
            let payload = Payload::Borrowed(payload);
            let message = match header.is_compressed {
                true => Message::Compressed(payload, kind),
                false => Message::whole(kind, payload)?,
            };
            return Ok((end, Some(message)));
        }
        let begin = || Box::new(Current::new(kind, header.is_compressed));
        let current = self.current.get_or_insert_with(begin);
        current.fragments += 1;
        current.partial = Some(Partial {
            is_final: header.is_final,
            mask: header.mask,
            taken_bytes: 0,
            missing_bytes: header.payload_bytes,
        });
        let (taken, message) = self.continue_frame(&mut bytes[header_bytes..])?;
        Ok((header_bytes + taken, message))
    }

    fn continue_frame<'b>(
        &mut self,
        bytes: &mut [u8],
    ) -> Result<(usize, Option<Message<'b>>), Violation> {
        let Some(current) = &mut self.current else { return Ok((0, None)) };
        let Some(partial) = &mut current.partial else { return Ok((0, None)) };
        let taken = usize::try_from(partial.missing_bytes).unwrap_or(usize::MAX).min(bytes.len());
        if current.is_discarded {
            partial.missing_bytes -= taken as u64;
            if partial.missing_bytes == 0 {
                self.current = None;
            }
            return Ok((taken, None));
        }
        let piece = &mut bytes[..taken];
        unmask(piece, partial.mask, partial.taken_bytes as usize);
        current.payload.extend_from_slice(piece);
        partial.taken_bytes += taken as u64;
        partial.missing_bytes -= taken as u64;
        let ends_frame = partial.missing_bytes == 0;
        let ends_message = ends_frame && partial.is_final;
        if ends_frame {
            current.partial = None;
        }
        if current.kind == Kind::Text && !current.is_compressed {
            current.validate_text(ends_message)?;
        }
        if !ends_message {
            return Ok((taken, None));
        }
        let message = self.current.take().map(|current| {
            let Current { kind, is_compressed, payload, .. } = *current;
            let payload = Payload::Owned(payload);
            match kind {
                kind if is_compressed => Message::Compressed(payload, kind),
                Kind::Text => Message::Text(payload),
                Kind::Binary => Message::Binary(payload),
            }
        });
        Ok((taken, message))
    }
}

impl Current {
    fn new(kind: Kind, is_compressed: bool) -> Current {
        let payload = Vec::new();
        let (valid_bytes, is_discarded, fragments, partial) = (0, false, 0, None);
        Current { kind, is_compressed, payload, valid_bytes, is_discarded, fragments, partial }
    }

    /// Validates the text that arrived since the last call. An incomplete character is allowed
    /// until the message ends.
    fn validate_text(&mut self, is_end: bool) -> Result<(), Violation> {
        match str::from_utf8(&self.payload[self.valid_bytes..]) {
            Ok(_) => self.valid_bytes = self.payload.len(),
            Err(error) if error.error_len().is_none() && !is_end => {
                self.valid_bytes += error.valid_up_to();
            }
            Err(_) => return Err(Violation::BadText),
        }
        Ok(())
    }
}

fn unmask(payload: &mut [u8], mask: Option<[u8; 4]>, phase: usize) {
    if let Some(mask) = mask {
        frame::apply_mask(payload, mask, phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::frame::{BINARY, CLOSE, Mask, PING, TEXT, encode_masked};

    const RULES: FrameRules = FrameRules {
        mask: Mask::Required,
        takes_compressed: false,
        message_bytes_max: 64,
        fragments_max: 3,
    };

    /// The messages that an assembler returns for `stream` when it arrives in pieces that end at
    /// `cuts`.
    fn assemble(stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut assembler = Assembler::default();
        let mut said = Vec::new();
        let mut spill: Vec<u8> = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            spill.extend_from_slice(&stream[from..to]);
            from = to;
            let mut at = 0;
            loop {
                match assembler.next(&mut spill[at..], &RULES) {
                    Err(violation) => {
                        said.push(format!("{violation:?}"));
                        return said;
                    }
                    Ok((0, None)) => break,
                    Ok((taken, message)) => {
                        at += taken;
                        said.extend(message.map(|message| match message {
                            Message::Text(p) | Message::Binary(p) => {
                                String::from_utf8_lossy(p.bytes()).into_owned()
                            }
                            other => format!("{other:?}"),
                        }));
                    }
                }
            }
            spill.drain(..at);
        }
        said
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_masked(BINARY, payload, [9, 8, 7, 6], &mut bytes);
        bytes[0] = first;
        bytes
    }

    #[test]
    fn the_messages_do_not_depend_on_the_cuts() {
        let mut stream = Vec::new();
        encode_masked(TEXT, "κόσμε".as_bytes(), [1, 2, 3, 4], &mut stream);
        stream.extend(frame(0x01, "hé".as_bytes()));
        encode_masked(PING, b"now", [1, 2, 3, 4], &mut stream);
        stream.extend(frame(0x80, "llo".as_bytes()));
        encode_masked(CLOSE, &close::payload(1000, "bye"), [4, 3, 2, 1], &mut stream);
        let whole = assemble(&stream, &[]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[2], "héllo");
        for first in 0..stream.len() {
            for second in first..stream.len() {
                assert_eq!(assemble(&stream, &[first, second]), whole, "cut at {first}, {second}");
            }
        }
    }

    #[test]
    fn text_is_refused_in_the_middle_of_a_frame() {
        let stream = frame(0x81, b"ok \xff never read");
        assert_eq!(assemble(&stream[..10], &[]), ["BadText"]);
        let stream = frame(0x81, b"\xed\xa0\x80");
        assert_eq!(assemble(&stream[..8], &[]), ["BadText"], "a surrogate, at its second byte");
    }

    #[test]
    fn text_must_not_end_inside_a_character() {
        let mut stream = frame(0x01, b"\xce");
        stream.extend(frame(0x80, b""));
        assert_eq!(assemble(&stream, &[]), ["BadText"]);
    }

    #[test]
    fn the_declared_length_over_all_fragments_is_limited() {
        assert_eq!(assemble(&frame(0x82, &[0; 65])[..6], &[]), ["TooBig"]);
        let mut stream = frame(0x02, &[0; 40]);
        stream.extend(&frame(0x80, &[0; 25])[..6]);
        assert_eq!(assemble(&stream, &[]), ["TooBig"]);
        let huge = [0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(assemble(&huge, &[]), ["TooBig"]);
    }

    // T14
    #[test]
    fn fragments_are_counted_even_if_empty() {
        let mut stream = frame(0x02, b"");
        stream.extend(frame(0x00, b""));
        stream.extend(frame(0x00, b""));
        assert_eq!(assemble(&stream, &[]).len(), 0);
        stream.extend(frame(0x00, b""));
        assert_eq!(assemble(&stream, &[]), ["TooManyFragments"]);
    }

    #[test]
    fn continuations_must_have_a_message() {
        assert!(
            assemble(&frame(0x80, b"x"), &[])[0].contains("continuation frame without a message")
        );
        let mut stream = frame(0x01, b"x");
        stream.extend(frame(0x81, b"y"));
        assert!(assemble(&stream, &[])[0].contains("new message inside"));
    }
}
