//! A client WebSocket: the response to the handshake, messages, and automatic responses.

use rand::Rng;
use rand::rngs::SmallRng;

use super::context::Context;
use super::frames::{Found, FrameReader};
use super::link::{Link, OUT_BYTES_MAX};
use super::loss::Loss;
use super::response;
use crate::ws::close;
use crate::ws::frame::{self, BINARY, CLOSE, PONG, TEXT};

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing<'b> {
    /// A text message of the dialect.
    Text(&'b [u8]),
    /// A binary message of the dialect.
    Binary(&'b [u8]),
    /// A pong, with the payload of the ping.
    Pong(&'b [u8]),
    /// A close frame, with its payload.
    Close(&'b [u8]),
}

/// Queues a masked frame. Returns `false` if the output buffer is full.
pub fn send(word: Outgoing, link: &mut Link, rng: &mut SmallRng) -> bool {
    if link.out.len() >= OUT_BYTES_MAX {
        return false;
    }
    let (opcode, payload) = match word {
        Outgoing::Text(text) => (TEXT, text),
        Outgoing::Binary(message) => (BINARY, message),
        Outgoing::Pong(payload) => (PONG, payload),
        Outgoing::Close(payload) => (CLOSE, payload),
    };
    frame::encode_masked(opcode, payload, rng.next_u32().to_ne_bytes(), &mut link.out);
    true
}

/// What was received over a WebSocket, without frames that are answered automatically.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'b> {
    /// The handshake is complete.
    Opened,
    /// A bulk message, with its payload if it was kept.
    Bulk(Option<&'b [u8]>),
    /// Any other text; `None` if it was too long.
    Text(Option<&'b [u8]>),
    /// Nothing relevant, or nothing complete.
    Nothing,
}

/// One WebSocket.
#[derive(Debug)]
pub struct Socket {
    is_open: bool,
    /// Whether the handshake offers to compress messages.
    pub deflate: bool,
    /// The subprotocol that the handshake asks for.
    subprotocol: Option<&'static str>,
    /// The response to the handshake, as far as it has arrived.
    head: Vec<u8>,
    reader: FrameReader,
}

impl Socket {
    /// Creates a WebSocket that waits for the response to its handshake. `is_bulk` decides by the
    /// first bytes whether a text is a bulk message. With `deflate`, the handshake offers to
    /// compress messages.
    #[must_use]
    pub fn new(is_bulk: fn(&[u8]) -> bool, deflate: bool) -> Socket {
        let reader = FrameReader::new(is_bulk);
        Socket { is_open: false, deflate, subprotocol: None, head: Vec::new(), reader }
    }

    /// The same for a subprotocol of binary messages, which are the bulk messages.
    #[must_use]
    pub fn of_binary(subprotocol: &'static str, deflate: bool) -> Socket {
        let (subprotocol, reader) = (Some(subprotocol), FrameReader::of_binary());
        Socket { is_open: false, deflate, subprotocol, head: Vec::new(), reader }
    }

    /// Consumes bytes from the start of `bytes`, which must not be empty. Returns how many it
    /// consumed, at least one, and what was received. `keeps` says whether to keep the payload of
    /// a bulk message that begins here.
    ///
    /// # Errors Why the client is lost. Queued output may still be sent, such as the response to a
    /// close frame.
    pub fn next<'a>(
        &'a mut self,
        bytes: &'a [u8],
        keeps: bool,
        link: &mut Link,
        context: &mut Context,
    ) -> Result<(usize, Incoming<'a>), Loss> {
        if !self.is_open {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let accepted = response::accepted(&self.head, self.deflate, self.subprotocol)?;
            let Some(accepted) = accepted else {
                return Ok((bytes.len(), Incoming::Nothing));
            };
            (self.is_open, self.head) = (true, Vec::new());
            if accepted.is_compressed {
                self.reader.decompress();
            }
            return Ok((accepted.head_bytes - before, Incoming::Opened));
        }
        let (taken, found) = self.reader.next(bytes, keeps)?;
        context.tally.counters.frames += u64::from(found.is_some());
        match found {
            Some(Found::Bulk(text)) => return Ok((taken, Incoming::Bulk(text))),
            Some(Found::Text(text)) => return Ok((taken, Incoming::Text(text))),
            Some(Found::Ping(payload)) => {
                send(Outgoing::Pong(&payload), link, context.rng);
            }
            Some(Found::Close(end)) => {
                let (code, reason) = end.unzip();
                let payload = code.map(|code| close::payload(code, "")).unwrap_or_default();
                send(Outgoing::Close(&payload), link, context.rng);
                return Err(Loss::Closed(code, reason.unwrap_or_default()));
            }
            Some(Found::Pong) | None => {}
        }
        Ok((taken, Incoming::Nothing))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_output_of_a_server_that_does_not_read_is_bounded() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut link = Link::default();
        let said =
            (0..100_000).filter(|_| send(Outgoing::Text(&[0; 30]), &mut link, &mut rng)).count();
        assert!(said < 500 && link.out.len() < OUT_BYTES_MAX + 50);
    }
}
