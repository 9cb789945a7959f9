//! One connection's stream: it begins with a preface and a handshake, where its listener has them,
//! and is open to the server after both.

use std::io;
use std::net::IpAddr;

use super::handshakes::Place;
use super::io::{Io, is_transient};
use super::sockets::Sockets;
use crate::server::{ConnId, ReadState, Server};
use crate::time::Millis;

/// An `Io` with its phase, and whether it is in the queues of the loop.
#[derive(Debug)]
pub struct Stream<T> {
    /// The socket.
    pub io: Io<T>,
    /// The serial number of its handle. The slot is its index in the list of streams.
    pub serial: u32,
    /// `None` once it is complete, and where there is none.
    preface: Option<Box<Preface>>,
    /// Its bytes wait in the server, which handles them before more is read.
    pub is_deferred: bool,
    /// The server does not read from it until its outbox drains, or its held poll is answered.
    pub is_paused: bool,
    /// It is in the queue of connections to be read, or in that of handshakes.
    pub is_in_read_queue: bool,
    /// Its place in the queue of handshakes.
    pub handshake_place: Option<Place>,
    /// It is in the queue of connections to be written to.
    pub is_in_write_queue: bool,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first bytes are awaited, which may contain the address of the client.
    Preface,
    /// The layer negotiates.
    Handshake,
    /// The server's bytes flow in both directions.
    Open,
}

/// What a complete preface contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletePreface {
    /// How many bytes the preface has.
    pub bytes: usize,
    /// The address of the client; `None` if the preface names none.
    pub client: Option<IpAddr>,
}

/// A preface that is invalid or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPreface;

/// Parses the first bytes of a connection, all that have arrived; `None` if more are needed.
pub type ParsePreface = fn(&[u8]) -> Result<Option<CompletePreface>, BadPreface>;

#[derive(Debug)]
struct Preface {
    parse: ParsePreface,
    bytes: Vec<u8>,
}

/// What a read brought.
#[derive(Debug)]
pub enum Reading {
    /// The number of bytes.
    Bytes(usize),
    /// A complete preface: the address of the client, if it names one, and the number of bytes
    /// after it.
    Preface(Option<IpAddr>, usize),
    /// The first bytes are not a preface.
    BadPreface,
    /// Nothing now.
    Nothing,
    /// The peer has shut its side.
    End,
    /// The connection is broken.
    Broken,
}

impl<T> Stream<T> {
    /// The stream of a connection over `io`, after the preface that `parse` reads.
    pub fn new(io: Io<T>, parse: Option<ParsePreface>, id: ConnId) -> Stream<T> {
        let preface = parse.map(|parse| Box::new(Preface { parse, bytes: Vec::new() }));
        Stream {
            io,
            serial: id.serial,
            preface,
            is_deferred: false,
            is_paused: false,
            is_in_read_queue: false,
            handshake_place: None,
            is_in_write_queue: false,
        }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        if self.preface.is_some() {
            Phase::Preface
        } else if self.io.is_handshaking() {
            Phase::Handshake
        } else {
            Phase::Open
        }
    }

    /// Whether the layer has something to write. A handshake begins after the preface.
    pub fn wants_write(&self) -> bool {
        self.preface.is_none() && self.io.wants_write()
    }

    /// Takes over what the server does next with the peer.
    pub fn set_read_state(&mut self, read_state: ReadState) {
        self.is_deferred = read_state != ReadState::Open;
        self.is_paused = matches!(read_state, ReadState::Paused | ReadState::Held);
    }

    /// Whether to read it again in the next turn, without waiting.
    pub fn may_have_more(&self) -> bool {
        !self.is_paused && (self.is_deferred || self.io.is_readable())
    }

    /// Reads once, or nothing while bytes wait in the server.
    pub fn read<S>(&mut self, sockets: &mut S, buffer: &mut [u8]) -> Reading
    where
        S: Sockets<Socket = T>,
    {
        if self.is_deferred {
            return Reading::Bytes(0);
        }
        if self.preface.is_some() {
            return self.read_preface(sockets, buffer);
        }
        reading(&self.io.read(sockets, buffer))
    }

    fn read_preface<S>(&mut self, sockets: &mut S, buffer: &mut [u8]) -> Reading
    where
        S: Sockets<Socket = T>,
    {
        let Some(preface) = &mut self.preface else { return Reading::Nothing };
        let count = match reading(&self.io.read_raw(sockets, buffer)) {
            Reading::Bytes(count) => count,
            other => return other,
        };
        preface.bytes.extend_from_slice(&buffer[..count]);
        match (preface.parse)(&preface.bytes) {
            Ok(None) => Reading::Nothing,
            Err(BadPreface) => Reading::BadPreface,
            Ok(Some(CompletePreface { bytes, .. })) if bytes > preface.bytes.len() => {
                Reading::BadPreface
            }
            Ok(Some(CompletePreface { bytes, client })) => {
                // What follows came with the last read, so it fits into the buffer.
                let rest = preface.bytes.split_off(bytes);
                self.preface = None;
                Reading::Preface(client, self.io.unread(rest, buffer))
            }
        }
    }
}

impl Reading {
    /// Passes what is in `buffer`, or what else was read, to the server. Returns whether to read
    /// more.
    pub fn pass(
        self,
        server: &mut Server,
        id: ConnId,
        buffer: &mut [u8],
        now: Millis,
    ) -> ReadState {
        match self {
            Reading::Bytes(count) => return server.receive(id, &mut buffer[..count], now),
            Reading::Preface(client, count) => {
                server.set_client_addr(id, client, now);
                return server.receive(id, &mut buffer[..count], now);
            }
            Reading::BadPreface => server.refuse_preface(id, now),
            Reading::Nothing => {}
            Reading::End => server.peer_closed(id, false, now),
            Reading::Broken => server.peer_closed(id, true, now),
        }
        ReadState::Open
    }
}

fn reading(result: &io::Result<usize>) -> Reading {
    match result {
        Ok(0) => Reading::End,
        Ok(count) => Reading::Bytes(*count),
        Err(error) if is_transient(error) => Reading::Nothing,
        Err(_) => Reading::Broken,
    }
}
