//! A WebSocket as a client sees it: the handshake's answer, messages, and what answers itself.

use rand::Rng;
use rand::rngs::SmallRng;

use super::context::Context;
use super::frames::{Found, FrameReader};
use super::link::{Link, OUT_BYTES_MAX};
use super::loss::Loss;
use super::response;
use crate::ws::close;
use crate::ws::frame::{self, CLOSE, PONG, TEXT};

/// What a client can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing<'b> {
    /// A message of the dialect.
    Text(&'b [u8]),
    /// The answer to a ping, with what that bore.
    Pong(&'b [u8]),
    /// Farewell, with the payload of a close frame.
    Close(&'b [u8]),
}

/// Says one word over a WebSocket, masked. Answers whether there was room for it.
pub fn send(word: Outgoing, link: &mut Link, rng: &mut SmallRng) -> bool {
    if link.out.len() >= OUT_BYTES_MAX {
        return false;
    }
    let (opcode, payload) = match word {
        Outgoing::Text(text) => (TEXT, text),
        Outgoing::Pong(payload) => (PONG, payload),
        Outgoing::Close(payload) => (CLOSE, payload),
    };
    frame::encode_masked(opcode, payload, rng.next_u32().to_ne_bytes(), &mut link.out);
    true
}

/// What came over a WebSocket and is not answered by itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'b> {
    /// The handshake was answered.
    Opened,
    /// A message of the kind that comes in bulk; its text, if it was to be kept.
    Bulk(Option<&'b [u8]>),
    /// Any other text; `None` if it was too long to be kept.
    Text(Option<&'b [u8]>),
    /// Nothing that matters, or nothing whole.
    Nothing,
}

/// One WebSocket.
#[derive(Debug)]
pub struct Socket {
    is_open: bool,
    /// The answer to the handshake as far as it has come.
    head: Vec<u8>,
    reader: FrameReader,
}

impl Socket {
    /// A WebSocket of which the handshake is to be answered. `is_bulk` tells by its beginning
    /// whether a text is one of those that come in bulk.
    #[must_use]
    pub fn new(is_bulk: fn(&[u8]) -> bool) -> Socket {
        Socket { is_open: false, head: Vec::new(), reader: FrameReader::new(is_bulk) }
    }

    /// Takes what it can from the start of `bytes`, which must not be empty: how many bytes it
    /// took, at least one, and what is received now. `keeps` says whether
    /// the text of a message in bulk that begins there is wanted.
    ///
    /// # Errors
    /// Why the client is lost. What waits in `link` may still be sent: a close frame is answered.
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
            let Some(head_bytes) = response::accepted(&self.head)? else {
                return Ok((bytes.len(), Incoming::Nothing));
            };
            (self.is_open, self.head) = (true, Vec::new());
            return Ok((head_bytes - before, Incoming::Opened));
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
    fn a_server_that_does_not_read_is_not_written_to_without_end() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut link = Link::default();
        let said =
            (0..100_000).filter(|_| send(Outgoing::Text(&[0; 30]), &mut link, &mut rng)).count();
        assert!(said < 500 && link.out.len() < OUT_BYTES_MAX + 50);
    }
}
