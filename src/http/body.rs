//! Decodes the body of a request or response incrementally (RFC 9112, sections 6 and 7.1).

use super::request::{BadRequest, Request, refusal};

/// Maximum bytes of a chunk header line, with its extensions.
const CHUNK_LINE_BYTES_MAX: usize = 64;
const CRLF: &[u8] = b"\r\n";

/// A body that is being received. It buffers at most `bytes_max` bytes.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    framing: Framing,
    bytes_max: usize,
}

#[derive(Debug)]
enum Framing {
    /// `Content-Length`; the number of missing bytes.
    Length(usize),
    /// A chunk header line comes next.
    ChunkLine,
    /// Inside a chunk; the number of missing bytes, which a line end follows.
    Chunk(usize),
    /// The line end after the last chunk comes next; trailers are rejected.
    LastLine,
    /// The body is complete.
    Done,
}

const BAD_CHUNK: BadRequest = refusal(400, "The chunked body is malformed.");
const TOO_LARGE: BadRequest = refusal(413, "The body is too large.");

impl Body {
    /// Starts the body of `request`, with at most `bytes_max` bytes.
    ///
    /// # Errors
    /// 413 if the declared length is greater.
    pub fn of(request: &Request, bytes_max: usize) -> Result<Body, BadRequest> {
        match request.value("Content-Length") {
            // The parser of the head allows at most 18 digits.
            Some(digits) => Body::expecting(Some(digits.parse().unwrap_or(usize::MAX)), bytes_max),
            None if request.has_body() => Body::expecting(None, bytes_max),
            None => Body::expecting(Some(0), bytes_max),
        }
    }

    /// Starts a body of `length` bytes, or a chunked one, with at most `bytes_max` bytes.
    ///
    /// # Errors
    /// 413 if the length is greater.
    pub fn expecting(length: Option<usize>, bytes_max: usize) -> Result<Body, BadRequest> {
        let framing = match length {
            None => Framing::ChunkLine,
            Some(0) => Framing::Done,
            Some(length) if length > bytes_max => return Err(TOO_LARGE),
            Some(length) => Framing::Length(length),
        };
        Ok(Body { bytes: Vec::new(), framing, bytes_max })
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Consumes bytes from the start of `bytes`; returns how many it consumed.
    ///
    /// # Errors
    /// 413 for a body that is too large, 400 for malformed chunks.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, BadRequest> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            at += match self.framing {
                Framing::Length(missing) => {
                    let step = self.append(rest, missing);
                    self.framing = match missing - step {
                        0 => Framing::Done,
                        missing => Framing::Length(missing),
                    };
                    step
                }
                Framing::ChunkLine => match self.chunk_line(rest)? {
                    Some(step) => step,
                    None => return Ok(at),
                },
                Framing::Chunk(0) => match line_end(rest)? {
                    true => {
                        self.framing = Framing::ChunkLine;
                        CRLF.len()
                    }
                    false => return Ok(at),
                },
                Framing::Chunk(missing) => {
                    let step = self.append(rest, missing);
                    self.framing = Framing::Chunk(missing - step);
                    step
                }
                Framing::LastLine => match line_end(rest)? {
                    true => {
                        self.framing = Framing::Done;
                        CRLF.len()
                    }
                    false => return Ok(at),
                },
                Framing::Done => return Ok(at),
            };
            if at == bytes.len() {
                return Ok(at);
            }
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    /// The bytes received.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn append(&mut self, bytes: &[u8], most: usize) -> usize {
        let step = bytes.len().min(most);
        self.bytes.extend_from_slice(&bytes[..step]);
        step
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadRequest> {
        // httparse reads a line without a number as zero.
        if bytes.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(BAD_CHUNK);
        }
        match httparse::parse_chunk_size(bytes) {
            // Another parser may take a bare LF as a line end.
            Ok(httparse::Status::Complete((step, _)))
                if bytes[..step.saturating_sub(CRLF.len())].contains(&b'\n') =>
            {
                Err(BAD_CHUNK)
            }
            Ok(httparse::Status::Complete((step, size))) if step <= CHUNK_LINE_BYTES_MAX => {
                let room = self.bytes_max - self.bytes.len();
                let size = usize::try_from(size).ok().filter(|size| *size <= room);
                self.framing = match size.ok_or(TOO_LARGE)? {
                    0 => Framing::LastLine,
                    size => Framing::Chunk(size),
                };
                Ok(Some(step))
            }
            Ok(httparse::Status::Partial) if bytes.len() < CHUNK_LINE_BYTES_MAX => Ok(None),
            _ => Err(BAD_CHUNK),
        }
    }
}

/// Whether `bytes` begins with a line end; `false` if more bytes are needed.
fn line_end(bytes: &[u8]) -> Result<bool, BadRequest> {
    match bytes {
        [b'\r', b'\n', ..] => Ok(true),
        [] | [b'\r'] => Ok(false),
        _ => Err(BAD_CHUNK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body behind a head with `fields`, taken in pieces of `piece` bytes, and how many bytes
    /// were left over.
    fn read(fields: &str, sent: &str, piece: usize) -> Result<(String, usize), u16> {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        let request = Request::parse(head.as_bytes()).expect("the head is right");
        let mut body = Body::of(&request, 20).map_err(|bad| bad.status)?;
        let shown = sent;
        let (mut spill, mut sent) = (Vec::new(), sent.as_bytes());
        while !body.is_whole() && !sent.is_empty() {
            let (now, later) = sent.split_at(piece.min(sent.len()));
            spill.extend_from_slice(now);
            sent = later;
            let taken = body.take(&spill).map_err(|bad| bad.status)?;
            spill.drain(..taken);
        }
        assert!(body.is_whole(), "{fields}, then {shown:?}");
        let left = spill.len() + sent.len();
        Ok((String::from_utf8(body.into_bytes()).expect("text"), left))
    }

    #[test]
    fn bodies_come_in_pieces_of_any_size() {
        let chunked = "Transfer-Encoding: chunked";
        for piece in 1..40 {
            let length = read("Content-Length: 11", "4hello\x1e4youGET /", piece);
            assert_eq!(length, Ok(("4hello\x1e4you".into(), 5)), "in pieces of {piece}");
            let chunks = "3\r\n4he\r\n08;x=y\r\nllo\x1e4you\r\n0\r\n\r\nGET /";
            assert_eq!(read(chunked, chunks, piece), Ok(("4hello\x1e4you".into(), 5)));
            assert_eq!(read(chunked, "0\r\n\r\n", piece), Ok((String::new(), 0)));
            assert_eq!(read("Content-Length: 0", "GET", piece), Ok((String::new(), 3)));
            assert_eq!(read("Content-Length: 20", &"x".repeat(20), piece).unwrap().0.len(), 20);
        }
    }

    #[test]
    fn large_and_malformed_bodies_are_rejected() {
        let chunked = "Transfer-Encoding: chunked";
        for piece in [1, 100] {
            assert_eq!(read("Content-Length: 21", "", piece), Err(413));
            assert_eq!(read("Content-Length: 999999999999999999", "", piece), Err(413));
            assert_eq!(read(chunked, "15\r\n", piece), Err(413));
            assert_eq!(read(chunked, "14\r\n12345678901234567890\r\n1\r\n", piece), Err(413));
            assert_eq!(read(chunked, "ffffffffffffffff\r\n", piece), Err(413));
            for broken in
                ["1;a\nb\r\n", "x\r\n", "\r\n", "1\r\nabc", "1\r\na\nb", "0\r\nX: y\r\n\r\n"]
            {
                assert_eq!(read(chunked, broken, piece), Err(400), "{broken:?}");
            }
            assert_eq!(read(chunked, &format!("1;{}", "x".repeat(99)), piece), Err(400));
        }
    }
}
