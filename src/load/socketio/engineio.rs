//! An Engine.IO 4 session of a client: polls and posts, a WebSocket, or the upgrade from one to the
//! other.
//!
//! `mod` calls it with received bytes and with packets to send. One poll is always open. Posts have
//! a connection of their own and go one at a time; packets queued meanwhile go into the next post.

use serde::Deserialize;

use crate::codec::number::Whole;
use crate::config::Transport;
use crate::load::connect;
use crate::load::context::Context;
use crate::load::link::{Link, Links, OUT_BYTES_MAX};
use crate::load::loss::Loss;
use crate::load::response::Responses;
use crate::load::socket::{self, Incoming, Outgoing, Socket};
use crate::socketio::engineio::{self, Packet};
use crate::ws::close;

/// The connection for polls, and for the first request.
const POLL: usize = 0;
/// The connection for posts.
const POST: usize = 1;
/// The WebSocket.
const WEB: usize = 2;

/// What the session passes to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A poll response begins.
    Payload,
    /// A message.
    Message(&'a str),
}

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not yet open.
    Opening,
    /// Over polls and posts.
    Polling,
    /// Over polls and posts, while a WebSocket is probed.
    Probing,
    /// The WebSocket works; waiting for the last poll and the last post to finish.
    Pausing,
    /// Over a WebSocket.
    Web,
}

/// The requests on one keep-alive connection.
#[derive(Debug, Default)]
struct Requests {
    responses: Responses,
    /// The pending request; empty if there is none.
    asked: Vec<u8>,
    /// Whether this connection has had a response before.
    is_used: bool,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    authority: String,
    /// Path and query, without the transport and the session.
    target: String,
    transport: Transport,
    phase: Phase,
    sid: String,
    /// Maximum bytes of a payload to the server.
    payload_bytes_max: usize,
    polls: Requests,
    posts: Requests,
    socket: Socket,
    /// Packets that wait for the next post, or for the WebSocket.
    waiting: Vec<u8>,
    is_leaving: bool,
}

/// The data of the open packet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    sid: String,
    #[serde(default)]
    max_payload: Option<Whole<usize>>,
}

impl Session {
    /// Opens a session. `target` is path and query, without the transport.
    pub fn begin(
        authority: &str,
        target: String,
        transport: Transport,
        deflate: bool,
        links: &mut Links,
    ) -> Session {
        let mut session = Session {
            authority: authority.to_owned(),
            target,
            transport,
            phase: Phase::Opening,
            sid: String::new(),
            payload_bytes_max: OUT_BYTES_MAX,
            polls: Requests::default(),
            posts: Requests::default(),
            // No message is a bulk message: every event is read.
            socket: Socket::new(|_| false, deflate),
            waiting: Vec::new(),
            is_leaving: false,
        };
        match transport {
            Transport::Websocket => session.request_websocket(links),
            Transport::Polling | Transport::Upgrade => session.poll(links),
        }
        session
    }

    /// Whether the session is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Opening
    }

    /// Whether the session uses the requested transport.
    #[must_use]
    pub fn is_established(&self) -> bool {
        match self.transport {
            Transport::Polling => self.phase == Phase::Polling,
            Transport::Websocket | Transport::Upgrade => self.phase == Phase::Web,
        }
    }

    /// Handles bytes read from a connection, and passes messages to `handle`.
    ///
    /// # Errors
    /// Why the session is lost.
    pub fn receive(
        &mut self,
        link: usize,
        mut bytes: &[u8],
        links: &mut Links,
        context: &mut Context,
        handle: &mut impl FnMut(Received, &mut Context) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        while !bytes.is_empty() {
            match link {
                POLL => self.receive_poll(&mut bytes, links, context, handle)?,
                POST => self.receive_post(&mut bytes, links)?,
                _ => self.receive_frame(&mut bytes, links, context, handle)?,
            }
        }
        if self.phase == Phase::Pausing && self.polls.is_idle() && self.posts.is_idle() {
            self.finish_upgrade(links, context);
        }
        Ok(())
    }

    /// Handles the end of a connection.
    ///
    /// # Errors
    /// [`Loss::Eof`] if that ends the session.
    pub fn hang_up(&mut self, link: usize, links: &mut Links) -> Result<(), Loss> {
        let requests = match link {
            POLL => &mut self.polls,
            POST => &mut self.posts,
            _ => return Err(Loss::Eof),
        };
        if std::mem::take(&mut links[link].is_spent) {
            // Expected; queued bytes wait for the next connection.
            return Ok(());
        }
        links[link].drop();
        if requests.asked.is_empty() {
            return Ok(());
        }
        // A server may close an idle connection just when the next request is sent. It has not read
        // the request, which is sent again (RFC 9110, section 9.2.2).
        if !std::mem::take(&mut requests.is_used) || !requests.responses.is_idle() {
            return Err(Loss::Eof);
        }
        links[link].send(&requests.asked);
        Ok(())
    }

    /// Sends a packet. Returns `false` if the output buffer is full.
    pub fn send(&mut self, packet: &[u8], links: &mut Links, context: &mut Context) -> bool {
        if self.phase == Phase::Web {
            return socket::send(Outgoing::Text(packet), &mut links[WEB], context.rng);
        }
        let room = OUT_BYTES_MAX.min(self.payload_bytes_max);
        if self.waiting.len() + packet.len() >= room {
            return false;
        }
        engineio::append(packet, &mut self.waiting);
        self.post(links);
        true
    }

    /// Sends the last packet, and closes the session when the server has received it.
    pub fn leave(&mut self, packet: &[u8], links: &mut Links, context: &mut Context) {
        self.send(packet, links, context);
        self.is_leaving = true;
        if self.phase == Phase::Web {
            socket::send(Outgoing::Close(&close::payload(1000, "")), &mut links[WEB], context.rng);
        } else {
            self.send(b"1", links, context);
        }
    }

    fn receive_poll(
        &mut self,
        bytes: &mut &[u8],
        links: &mut Links,
        context: &mut Context,
        handle: &mut impl FnMut(Received, &mut Context) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let Some(body) = self.polls.next(bytes, &mut links[POLL])? else {
            return Ok(());
        };
        handle(Received::Payload, context)?;
        let payload = as_text(&body)?;
        context.tally.counters.frames += engineio::packet_count(payload) as u64;
        for text in payload.split(engineio::SEPARATOR) {
            self.take(text, links, context, handle)?;
        }
        if matches!(self.phase, Phase::Polling | Phase::Probing) {
            self.poll(links);
        }
        Ok(())
    }

    fn receive_post(&mut self, bytes: &mut &[u8], links: &mut Links) -> Result<(), Loss> {
        if self.posts.next(bytes, &mut links[POST])?.is_none() {
            return Ok(());
        }
        if self.is_leaving && self.waiting.is_empty() {
            return Err(Loss::Eof);
        }
        self.post(links);
        Ok(())
    }

    fn receive_frame(
        &mut self,
        bytes: &mut &[u8],
        links: &mut Links,
        context: &mut Context,
        handle: &mut impl FnMut(Received, &mut Context) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let (taken, incoming) = self.socket.next(bytes, false, &mut links[WEB], context)?;
        *bytes = &bytes[taken..];
        match incoming {
            Incoming::Opened if self.phase == Phase::Probing => {
                socket::send(Outgoing::Text(b"2probe"), &mut links[WEB], context.rng);
            }
            Incoming::Text(Some(text)) => {
                // Only other packets need a copy: the text borrows from the WebSocket.
                let text = as_text(text)?;
                match Packet::decode(text).map_err(|_| INVALID_PACKET)? {
                    Packet::Text(message) => handle(Received::Message(message), context)?,
                    Packet::Pong("probe") if self.phase == Phase::Probing => {
                        self.phase = Phase::Pausing;
                    }
                    _ => {
                        let text = text.to_owned();
                        self.take(&text, links, context, handle)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Handles one packet.
    fn take(
        &mut self,
        text: &str,
        links: &mut Links,
        context: &mut Context,
        handle: &mut impl FnMut(Received, &mut Context) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        match Packet::decode(text).map_err(|_| INVALID_PACKET)? {
            Packet::Text(message) => handle(Received::Message(message), context)?,
            Packet::Ping(data) => {
                self.send(format!("3{data}").as_bytes(), links, context);
            }
            Packet::Open if self.phase == Phase::Opening => self.open(&text[1..], links)?,
            Packet::Close => return Err(Loss::Ended),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, json: &str, links: &mut Links) -> Result<(), Loss> {
        let open: Open =
            serde_json::from_str(json).map_err(|_| Loss::Protocol("invalid open packet"))?;
        self.sid = open.sid;
        self.payload_bytes_max = open.max_payload.map_or(OUT_BYTES_MAX, |Whole(bytes)| bytes);
        self.phase = match self.transport {
            Transport::Polling => Phase::Polling,
            Transport::Websocket => Phase::Web,
            Transport::Upgrade => Phase::Probing,
        };
        if self.phase == Phase::Probing {
            self.request_websocket(links);
        }
        Ok(())
    }

    /// Completes the upgrade, and sends the waiting packets over the WebSocket.
    fn finish_upgrade(&mut self, links: &mut Links, context: &mut Context) {
        self.phase = Phase::Web;
        links[POLL].drop();
        links[POST].drop();
        self.send(b"5", links, context);
        let waiting = std::mem::take(&mut self.waiting);
        for packet in waiting
            .split(|byte| *byte == engineio::SEPARATOR as u8)
            .filter(|packet| !packet.is_empty())
        {
            self.send(packet, links, context);
        }
    }

    fn request_websocket(&self, links: &mut Links) {
        let target = self.target("websocket");
        links[WEB].send(&connect::upgrade(&self.authority, &target, self.socket.deflate, None));
    }

    fn poll(&mut self, links: &mut Links) {
        let (target, host) = (self.target("polling"), &self.authority);
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        self.polls.ask(request.into_bytes(), &mut links[POLL]);
    }

    /// Posts the waiting packets, unless a post is pending.
    fn post(&mut self, links: &mut Links) {
        let may = matches!(self.phase, Phase::Polling | Phase::Probing) && self.posts.is_idle();
        if self.waiting.is_empty() || !may {
            return;
        }
        let body = std::mem::take(&mut self.waiting);
        let (target, host, length) = (self.target("polling"), &self.authority, body.len());
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(&body);
        self.posts.ask(request, &mut links[POST]);
    }

    fn target(&self, transport: &str) -> String {
        let (target, sid) = (&self.target, &self.sid);
        let mark = if target.contains('?') { '&' } else { '?' };
        let session = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
        format!("{target}{mark}EIO=4&transport={transport}{session}")
    }
}

const INVALID_PACKET: Loss = Loss::Protocol("invalid Engine.IO packet");

fn as_text(bytes: &[u8]) -> Result<&str, Loss> {
    str::from_utf8(bytes).map_err(|_| Loss::Protocol("text is not UTF-8"))
}

impl Requests {
    fn ask(&mut self, request: Vec<u8>, link: &mut Link) {
        link.send(&request);
        self.asked = request;
    }

    fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Consumes bytes from the start of `bytes`; returns the body of a response if one is complete.
    fn next(&mut self, bytes: &mut &[u8], link: &mut Link) -> Result<Option<Vec<u8>>, Loss> {
        if self.is_idle() {
            return Err(Loss::Protocol("unexpected response"));
        }
        let Some(answer) = self.responses.next(bytes)? else {
            return Ok(None);
        };
        self.asked.clear();
        self.is_used = !answer.is_last;
        if answer.is_last {
            link.drop();
            link.is_spent = true;
        }
        Ok(Some(answer.body))
    }
}
