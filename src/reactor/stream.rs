//! One connection's socket, and what is known of its readiness.

use std::io::{self, ErrorKind, IoSlice};

use super::sockets::Sockets;
use crate::server::ConnId;

/// A socket with its readiness and its places in the queues of the loop.
#[derive(Debug)]
pub struct Stream<T> {
    /// The socket.
    pub socket: T,
    /// There may be bytes to read.
    pub is_readable: bool,
    /// The peer has shut its side: read until the end is seen.
    pub is_read_closed: bool,
    /// A write came short; a writable event says when there is room again.
    pub is_blocked: bool,
    /// Its bytes wait in the server, which handles them before more is read.
    pub is_deferred: bool,
    /// The server wants nothing from it until its outbox drains.
    pub is_paused: bool,
    /// It is in the queue of connections to be read.
    pub is_listed: bool,
    /// It is in the queue of connections to be written to.
    pub is_queued: bool,
    is_writable_watched: bool,
}

/// What a read brought.
#[derive(Debug)]
pub enum Reading {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer has shut its side.
    End,
    /// The connection is broken.
    Broken,
}

impl<T> Stream<T> {
    /// A socket that was just accepted. Its request has usually come with it, so it counts as
    /// readable.
    pub fn new(socket: T) -> Stream<T> {
        Stream {
            socket,
            is_readable: true,
            is_read_closed: false,
            is_blocked: false,
            is_deferred: false,
            is_paused: false,
            is_listed: false,
            is_queued: false,
            is_writable_watched: false,
        }
    }

    /// Reads once. A read that does not fill `buffer` has emptied the socket, which saves a second
    /// read; unless the peer has shut its side, which is reported only once.
    pub fn read<S>(&mut self, sockets: &mut S, buffer: &mut [u8]) -> Reading
    where
        S: Sockets<Socket = T>,
    {
        match sockets.read(&mut self.socket, buffer) {
            Ok(0) => {
                self.is_readable = false;
                Reading::End
            }
            Ok(count) => {
                self.is_readable = count == buffer.len() || self.is_read_closed;
                Reading::Bytes(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_readable = false;
                Reading::Nothing
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Reading::Nothing,
            Err(_) => {
                self.is_readable = false;
                Reading::Broken
            }
        }
    }

    /// Writes once and returns how many bytes were taken, of `shown`. If fewer were taken, a
    /// writable event will follow.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write<S>(
        &mut self,
        sockets: &mut S,
        id: ConnId,
        slices: &[IoSlice],
        shown: usize,
    ) -> io::Result<usize>
    where
        S: Sockets<Socket = T>,
    {
        let taken = loop {
            match sockets.write(&mut self.socket, slices) {
                Ok(taken) => break taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.is_blocked = taken < shown;
        if self.is_blocked && !self.is_writable_watched {
            self.is_writable_watched = true;
            sockets.watch_writable(&mut self.socket, id)?;
        }
        Ok(taken)
    }
}
