//! A connection in the WebSocket stage.

use super::super::ids::Owner;
use crate::bucket::{Allowance, RateLimit};
use crate::limits::Limits;
use crate::time::Millis;
use crate::ws::deflate::Agreement;
use crate::ws::{Assembler, Begun, FrameRules, Mask, Message, Violation};

/// A connection in the WebSocket stage.
#[derive(Debug)]
pub struct WebSocket {
    /// What it serves, once the client has joined.
    pub owner: Option<Owner>,
    /// The maximum size of a message, in bytes.
    pub message_bytes_max: usize,
    /// When a ping of ours was sent that is unanswered; `NEVER` if there is none.
    pub pinged_at: Millis,
    /// How messages are compressed, if the client has agreed.
    pub deflate: Option<Agreement>,
    /// The rate limit of control frames, from the first one on.
    control: Option<Box<RateLimit>>,
    assembler: Assembler,
}

impl WebSocket {
    /// A WebSocket that has just opened.
    pub(super) fn new(message_bytes_max: usize, deflate: Option<Agreement>) -> WebSocket {
        let assembler = Assembler::default();
        let (owner, pinged_at, control) = (None, Millis::NEVER, None);
        WebSocket { owner, message_bytes_max, pinged_at, deflate, control, assembler }
    }

    /// Decodes a message or control frame from the start of `bytes`: how many bytes it used, and
    /// what it was. `(0, None)` means that more bytes are needed.
    ///
    /// # Errors
    /// The first violation of the protocol.
    pub(super) fn next_message<'b>(
        &mut self,
        bytes: &'b mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Message<'b>>), Violation> {
        self.assembler.next(bytes, &self.rules(limits))
    }

    /// The next message, if it begins with `bytes`, is valid so far, and is one frame.
    #[must_use]
    pub fn peek(&self, bytes: &[u8], limits: &Limits) -> Option<Begun> {
        self.assembler.peek(bytes, &self.rules(limits))
    }

    /// Discards the next message, of which `bytes` have arrived. Returns how many it consumed.
    pub fn discard(&mut self, begun: &Begun, bytes: &[u8]) -> usize {
        self.assembler.discard(begun, bytes)
    }

    fn rules(&self, limits: &Limits) -> FrameRules {
        FrameRules {
            mask: Mask::Required,
            takes_compressed: self.deflate.is_some(),
            message_bytes_max: self.message_bytes_max,
            fragments_max: limits.fragments_max,
        }
    }

    /// Heap bytes of the message that has arrived in part.
    pub(super) fn held_bytes(&self) -> usize {
        self.assembler.held_bytes()
    }

    /// Counts a control frame; returns `false` if there have been too many.
    pub fn allows_control(&mut self, allowance: Allowance, now: Millis) -> bool {
        let full = || Box::new(RateLimit::new(allowance, now));
        self.control.get_or_insert_with(full).allows(allowance, 1, now)
    }
}
