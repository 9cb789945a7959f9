//! One peer's socket, and what the kernel has told us about it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// A socket with its readiness. The kernel tells of a change once (edge-triggered), so what it told
/// is kept until a read or a write says otherwise.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    token: Token,
    /// There may be bytes to read.
    pub is_readable: bool,
    /// The peer has shut its side: read until the end is seen.
    pub is_read_closed: bool,
    /// A write came short; the kernel tells when there is room again.
    pub is_blocked: bool,
    /// Its bytes wait in the server: let them be handled before reading on.
    pub is_sated: bool,
    /// The server wants nothing from it until its outbox drains.
    pub is_paused: bool,
    /// It stands in the reactor's list of those to be read.
    pub is_listed: bool,
    /// It stands in the reactor's queue of those to be written to.
    pub is_queued: bool,
    asked_for_writable: bool,
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

impl Stream {
    /// Starts to watch a socket that was just accepted.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch(mut socket: TcpStream, token: Token, registry: &Registry) -> io::Result<Stream> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Stream {
            socket,
            token,
            is_readable: true,
            is_read_closed: false,
            is_blocked: false,
            is_sated: false,
            is_paused: false,
            is_listed: false,
            is_queued: false,
            asked_for_writable: false,
        })
    }

    /// Reads once. A read that does not fill `buffer` has emptied the socket, and saves the second
    /// one that would say so; unless the peer has shut its side, of which the kernel tells but
    /// once.
    pub fn read(&mut self, buffer: &mut [u8]) -> Reading {
        match self.socket.read(buffer) {
            Ok(0) => Reading::End,
            Ok(count) => {
                self.is_readable = count == buffer.len() || self.is_read_closed;
                Reading::Bytes(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_readable = false;
                Reading::Nothing
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Reading::Nothing,
            Err(_) => Reading::Broken,
        }
    }

    /// Writes once and answers how many bytes the kernel took, of `shown`. If it took fewer, it
    /// will tell when there is room.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(
        &mut self,
        slices: &[IoSlice],
        shown: usize,
        registry: &Registry,
    ) -> io::Result<usize> {
        let taken = loop {
            // A state alone, which is nearly every write, spares the kernel the list of slices.
            let result = match slices {
                [only] => self.socket.write(only),
                several => self.socket.write_vectored(several),
            };
            match result {
                Ok(taken) => break taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.is_blocked = taken < shown;
        if self.is_blocked && !self.asked_for_writable {
            self.asked_for_writable = true;
            let both = Interest::READABLE | Interest::WRITABLE;
            registry.reregister(&mut self.socket, self.token, both)?;
        }
        Ok(taken)
    }

    /// Says that nothing more comes from us.
    pub fn shut(&self) {
        // A socket that is broken already needs no end.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Closes the socket; `resets` throws away what the peer has not taken, so that nothing is left
    /// in the kernel for a peer that does not read.
    pub fn close(self, resets: bool) {
        if resets {
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}
