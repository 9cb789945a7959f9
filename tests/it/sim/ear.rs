//! A client's ear: takes the server's bytes in any pieces and makes of them responses and messages,
//! or fails on the first byte that a strict client would not understand.

use std::collections::VecDeque;

use skirmish::ws::{Assembler, FrameRules, Mask, Message, handshake};

use super::lab::KEY;

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An HTTP response other than 101: its status, head and body.
    Response(u16, String, Vec<u8>),
    /// 101: WebSocket from here on.
    Upgraded,
    /// A text message.
    Text(String),
    /// A ping, to be answered.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame: its code and reason. Nothing may come after it.
    Close(Option<u16>, String),
}

/// What one connection has heard so far.
#[derive(Default)]
pub struct Ear {
    bytes: Vec<u8>,
    /// For each request that is not answered yet: whether it was HEAD.
    asked: VecDeque<bool>,
    is_websocket: bool,
    is_closed: bool,
    assembler: Assembler,
}

const RULES: FrameRules =
    FrameRules { mask: Mask::Forbidden, message_bytes_max: 1 << 24, fragments_max: 1 };

impl Ear {
    /// A request was sent, so its response is awaited.
    pub fn asked(&mut self, is_head: bool) {
        self.asked.push_back(is_head);
    }

    /// Whether a frame or a response is under way: the connection may not end here.
    pub fn is_in_the_middle(&self) -> bool {
        !self.bytes.is_empty() || self.assembler.held_bytes() > 0
    }

    /// Takes bytes as they come.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn hear(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Result<(), String> {
        if self.is_closed && !bytes.is_empty() {
            return Err(format!("{} bytes after the close frame", bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
        while !self.is_websocket {
            match self.response()? {
                Some(response) => heard.push(response),
                None => return Ok(()),
            }
        }
        self.messages(heard)
    }

    fn response(&mut self) -> Result<Option<Heard>, String> {
        let start = &self.bytes[..self.bytes.len().min(9)];
        if start != &b"HTTP/1.1 "[..start.len()] {
            return Err(format!("no response: {:?}", String::from_utf8_lossy(start)));
        }
        let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&self.bytes[..at + 4]).map_err(|error| error.to_string())?;
        let status: u16 = head[9..12].parse().map_err(|_| format!("no status: {head}"))?;
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(have, _)| *have == name).map(|(_, value)| value).next_back()
        };
        if status == 101 {
            if !field("Sec-WebSocket-Accept").is_some_and(|got| handshake::is_accepted(KEY, got)) {
                return Err(format!("a handshake with another key: {head}"));
            }
            self.asked.pop_front().ok_or("an upgrade that nobody asked for")?;
            self.is_websocket = true;
            self.bytes.drain(..at + 4);
            return Ok(Some(Heard::Upgraded));
        }
        // A request that is cut off gets an answer too (408), so one may come that was not asked for.
        let is_head = self.asked.front().copied().unwrap_or(false);
        let body_bytes = match field("Content-Length") {
            _ if is_head => 0,
            None if status == 304 => 0,
            None => return Err(format!("a response without a length: {head}")),
            Some(length) => length.parse().map_err(|_| format!("no length: {length}"))?,
        };
        if self.bytes.len() < at + 4 + body_bytes {
            return Ok(None);
        }
        let head = head.to_owned();
        let body = self.bytes[at + 4..at + 4 + body_bytes].to_vec();
        self.bytes.drain(..at + 4 + body_bytes);
        self.asked.pop_front();
        Ok(Some(Heard::Response(status, head, body)))
    }

    fn messages(&mut self, heard: &mut Vec<Heard>) -> Result<(), String> {
        let mut at = 0;
        while at < self.bytes.len() {
            if self.is_closed {
                return Err(format!("{} bytes after the close frame", self.bytes.len() - at));
            }
            let left = self.bytes.len() - at;
            let next = self.assembler.next(&mut self.bytes[at..], &RULES);
            let (taken, message) =
                next.map_err(|violation| format!("{violation:?} with {left} bytes left"))?;
            if taken == 0 {
                break;
            }
            at += taken;
            let Some(message) = message else { continue };
            let said = match message {
                Message::Text(payload) => {
                    let text = str::from_utf8(payload.bytes()).expect("it was checked");
                    Heard::Text(text.to_owned())
                }
                Message::Binary(_) => return Err("a binary message".to_owned()),
                Message::Ping(bytes) => Heard::Ping(bytes.to_vec()),
                Message::Pong(bytes) => Heard::Pong(bytes.to_vec()),
                Message::Close(None) => Heard::Close(None, String::new()),
                Message::Close(Some((code, why))) => Heard::Close(Some(code), why.to_owned()),
            };
            self.is_closed |= matches!(said, Heard::Close(..));
            heard.push(said);
        }
        self.bytes.drain(..at);
        Ok(())
    }
}

/// The tick of a `state_update`, read from its end: most states are only compared, never parsed.
pub fn tick_of(state: &str) -> Option<u32> {
    state.rsplit_once("\"tick\":")?.1.strip_suffix('}')?.parse().ok()
}
