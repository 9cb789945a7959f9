//! Reads the server's bytes in any chunks and parses HTTP responses and WebSocket messages. Fails
//! on the first byte that a strict client would reject.

use std::collections::VecDeque;

use skirmish::ws::deflate::Inflater;
use skirmish::ws::{Assembler, FrameRules, Mask, Message, Payload, handshake};

use super::fixture::KEY;

/// What a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An HTTP response other than 101: status, head and body.
    Response(u16, String, Vec<u8>),
    /// A 101 response; WebSocket frames follow.
    Upgraded,
    Text(String),
    /// Only over skirmish.v1.
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame: code and reason. Nothing may follow it.
    Close(Option<u16>, String),
}

#[derive(Default)]
pub struct ResponseReader {
    bytes: Vec<u8>,
    /// For each request without a response: whether its method was HEAD.
    pending_is_head: VecDeque<bool>,
    is_websocket: bool,
    /// The subprotocol of the WebSocket is skirmish.v1.
    is_v1: bool,
    is_closed: bool,
    assembler: Assembler,
    /// If compression is agreed, what decompresses the messages. It keeps its history.
    inflater: Option<Inflater>,
    /// Messages that were compressed.
    pub compressed: u64,
}

/// The largest message, compressed or not.
const MESSAGE_BYTES_MAX: usize = 1 << 24;

impl ResponseReader {
    /// Records that a request was sent.
    pub fn expect_response(&mut self, is_head: bool) {
        self.pending_is_head.push_back(is_head);
    }

    /// Whether a frame or a response is incomplete.
    pub fn has_partial_input(&self) -> bool {
        !self.bytes.is_empty() || self.assembler.held_bytes() > 0
    }

    /// Whether compression is agreed.
    pub fn takes_compressed(&self) -> bool {
        self.inflater.is_some()
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(&mut self, bytes: &[u8], received: &mut Vec<Received>) -> Result<(), String> {
        if self.is_closed && !bytes.is_empty() {
            return Err(format!("{} bytes after the close frame", bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
        while !self.is_websocket {
            match self.response()? {
                Some(response) => received.push(response),
                None => return Ok(()),
            }
        }
        self.messages(received)
    }

    fn response(&mut self) -> Result<Option<Received>, String> {
        let start = &self.bytes[..self.bytes.len().min(9)];
        if start != &b"HTTP/1.1 "[..start.len()] {
            return Err(format!("not a response: {:?}", String::from_utf8_lossy(start)));
        }
        let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&self.bytes[..at + 4]).map_err(|error| error.to_string())?;
        let status: u16 = head[9..12].parse().map_err(|_| format!("invalid status: {head}"))?;
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(have, _)| *have == name).map(|(_, value)| value).next_back()
        };
        if status == 101 {
            if !field("Sec-WebSocket-Accept").is_some_and(|got| handshake::is_accepted(KEY, got)) {
                return Err(format!("wrong Sec-WebSocket-Accept: {head}"));
            }
            self.pending_is_head.pop_front().ok_or("an upgrade without a request")?;
            self.is_websocket = true;
            let deflate = field("Sec-WebSocket-Extensions");
            let subprotocol = field("Sec-WebSocket-Protocol");
            self.is_v1 = subprotocol == Some("skirmish.v1");
            if subprotocol.is_some() && (!self.is_v1 || deflate.is_some()) {
                return Err(format!("an unknown subprotocol, or a compressed one: {head}"));
            }
            self.inflater = deflate.map(|_| Inflater::keeping_history());
            self.bytes.drain(..at + 4);
            return Ok(Some(Received::Upgraded));
        }
        // The server also answers an incomplete request (408), which was never recorded.
        let is_head = self.pending_is_head.front().copied().unwrap_or(false);
        let body_bytes = match field("Content-Length") {
            _ if is_head => 0,
            None if status == 304 => 0,
            None => return Err(format!("no Content-Length: {head}")),
            Some(length) => length.parse().map_err(|_| format!("invalid length: {length}"))?,
        };
        if self.bytes.len() < at + 4 + body_bytes {
            return Ok(None);
        }
        let head = head.to_owned();
        let body = self.bytes[at + 4..at + 4 + body_bytes].to_vec();
        self.bytes.drain(..at + 4 + body_bytes);
        self.pending_is_head.pop_front();
        Ok(Some(Received::Response(status, head, body)))
    }

    fn messages(&mut self, received: &mut Vec<Received>) -> Result<(), String> {
        let mut at = 0;
        while at < self.bytes.len() {
            if self.is_closed {
                return Err(format!("{} bytes after the close frame", self.bytes.len() - at));
            }
            let left = self.bytes.len() - at;
            let rules = FrameRules {
                mask: Mask::Forbidden,
                takes_compressed: self.inflater.is_some(),
                message_bytes_max: MESSAGE_BYTES_MAX,
                fragments_max: 1,
            };
            let next = self.assembler.next(&mut self.bytes[at..], &rules);
            let (taken, message) =
                next.map_err(|violation| format!("{violation:?} with {left} bytes left"))?;
            if taken == 0 {
                break;
            }
            at += taken;
            let Some(mut message) = message else { continue };
            if let (Message::Compressed(payload, kind), Some(inflater)) =
                (&message, &mut self.inflater)
            {
                let inflated = inflater.message(payload.bytes(), MESSAGE_BYTES_MAX);
                let inflated = inflated.map(Payload::Owned);
                message = inflated
                    .and_then(|payload| Message::whole(*kind, payload))
                    .map_err(|violation| format!("{violation:?} in a compressed message"))?;
                self.compressed += 1;
            }
            let next = match message {
                Message::Compressed(..) => return Err("a compressed message".to_owned()),
                Message::Text(payload) if !self.is_v1 => {
                    let text = str::from_utf8(payload.bytes()).expect("it was checked");
                    Received::Text(text.to_owned())
                }
                Message::Binary(payload) if self.is_v1 => {
                    Received::Binary(payload.bytes().to_vec())
                }
                Message::Text(_) => return Err("a text message".to_owned()),
                Message::Binary(_) => return Err("a binary message".to_owned()),
                Message::Ping(bytes) => Received::Ping(bytes.to_vec()),
                Message::Pong(bytes) => Received::Pong(bytes.to_vec()),
                Message::Close(None) => Received::Close(None, String::new()),
                Message::Close(Some((code, why))) => Received::Close(Some(code), why.to_owned()),
            };
            self.is_closed |= matches!(next, Received::Close(..));
            received.push(next);
        }
        self.bytes.drain(..at);
        Ok(())
    }
}

/// The tick of a `state_update`, read from its end: most states are only compared, never parsed.
pub fn tick_of(state: &str) -> Option<u32> {
    let (_, tick) = state.rsplit_once("\"tick\":")?;
    tick.split([',', '}']).next()?.parse().ok()
}
