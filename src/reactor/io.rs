//! The socket of one connection, its readiness, and the layer between it and the server, if there
//! is one (such as TLS).
//!
//! Without a layer, the bytes of the socket are the plaintext, and the kernel gets the same calls.
//! This module does not call the server.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

use super::sockets::Sockets;
use crate::server::ConnId;

/// A protocol between the socket and the server: it decodes the bytes of the socket to plaintext,
/// and encodes plaintext to bytes for the socket. It never blocks and has no socket.
pub trait Layer: fmt::Debug {
    /// Whether the handshake is incomplete. Until a read completes it, the server's bytes wait.
    fn is_handshaking(&self) -> bool;

    /// Whether there is plaintext that [`Layer::read`] has not returned, although the socket may be
    /// empty.
    fn has_plaintext(&self) -> bool;

    /// Whether bytes wait to be written, whatever the server has to send: a part of the handshake,
    /// an alert, or ciphertext that the socket did not take.
    fn wants_write(&self) -> bool;

    /// Reads once from the socket, unless there is plaintext, and copies plaintext to `buffer`.
    /// Zero is the end of what the peer sends.
    ///
    /// # Errors
    /// `WouldBlock`: no plaintext yet. `Interrupted`: the socket returned it. Any other: the
    /// connection is broken; the layer may still have an alert to write.
    fn read(&mut self, socket: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes plaintext until all is taken or the socket takes no more. Returns how many bytes were
    /// taken: all of them only if the socket has taken everything, because the caller may close it
    /// then. The next call begins with the bytes that were not taken. Called after the handshake,
    /// when nothing else waits to be written.
    ///
    /// # Errors
    /// `WouldBlock`: nothing was taken. Any other: the connection is broken.
    fn write(&mut self, socket: &mut dyn Write, slices: &[IoSlice]) -> io::Result<usize>;

    /// Writes what waits, until nothing is left or the socket takes no more.
    ///
    /// # Errors
    /// `WouldBlock`: the socket takes no more. Any other: the connection is broken.
    fn flush(&mut self, socket: &mut dyn Write) -> io::Result<()>;

    /// The server sends nothing more: queues the end, such as an alert.
    fn close(&mut self);
}

/// A socket with its readiness and its layer.
#[derive(Debug)]
pub struct Io<T> {
    socket: T,
    readiness: Readiness,
    layer: Option<Box<Layered>>,
}

/// What is known of a socket. Events are edge-triggered, so this is the only memory of them.
#[derive(Debug)]
struct Readiness {
    /// There may be bytes to read.
    is_readable: bool,
    /// The peer has shut its side, which is reported once: read until the end is seen.
    is_read_closed: bool,
    /// A write took only a part; a writable event follows when there is space again.
    is_blocked: bool,
    is_writable_watched: bool,
}

#[derive(Debug)]
struct Layered {
    layer: Box<dyn Layer>,
    /// Bytes that were read before the layer began; it reads them first.
    early: Vec<u8>,
    /// Our side of the socket is shut down once nothing of the layer waits.
    is_shutting: bool,
}

impl<T> Io<T> {
    /// A socket that was just accepted. Its request has usually come with it, so it counts as
    /// readable.
    pub fn new(socket: T, layer: Option<Box<dyn Layer>>) -> Io<T> {
        let readiness = Readiness {
            is_readable: true,
            is_read_closed: false,
            is_blocked: false,
            is_writable_watched: false,
        };
        let layer =
            layer.map(|layer| Box::new(Layered { layer, early: Vec::new(), is_shutting: false }));
        Io { socket, readiness, layer }
    }

    /// The socket, to be closed.
    pub fn into_socket(self) -> T {
        self.socket
    }

    /// An event reported that there may be something to read.
    pub fn set_readable(&mut self, is_read_closed: bool) {
        self.readiness.is_readable = true;
        self.readiness.is_read_closed |= is_read_closed;
    }

    /// An event reported that there may be space to write. Returns whether a write waits for it.
    pub fn set_writable(&mut self) -> bool {
        std::mem::replace(&mut self.readiness.is_blocked, false)
    }

    /// Whether a read may return something.
    pub fn is_readable(&self) -> bool {
        let retains =
            |layered: &Layered| layered.layer.has_plaintext() || !layered.early.is_empty();
        self.readiness.is_readable || self.layer.as_deref().is_some_and(retains)
    }

    /// Whether the peer has shut its side of the socket. Bytes before it may be unread.
    pub fn is_read_closed(&self) -> bool {
        self.readiness.is_read_closed
    }

    /// Whether a write waits for a writable event.
    pub fn is_blocked(&self) -> bool {
        self.readiness.is_blocked
    }

    /// Whether the handshake of the layer is incomplete.
    pub fn is_handshaking(&self) -> bool {
        self.layer.as_deref().is_some_and(|layered| layered.layer.is_handshaking())
    }

    /// Whether [`Io::flush`] has something to write.
    pub fn wants_write(&self) -> bool {
        self.layer.as_deref().is_some_and(|layered| layered.layer.wants_write())
    }

    /// Reads plaintext once.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is broken.
    pub fn read<S>(&mut self, sockets: &mut S, buffer: &mut [u8]) -> io::Result<usize>
    where
        S: Sockets<Socket = T>,
    {
        let Io { socket, readiness, layer } = self;
        let Some(layered) = layer else {
            return Raw { sockets, socket, readiness, early: &mut Vec::new() }.read(buffer);
        };
        let Layered { layer, early, .. } = &mut **layered;
        let mut raw = Raw { sockets, socket, readiness, early };
        let result = layer.read(&mut raw, buffer);
        if matches!(result, Ok(0)) {
            // The layer may have ended before the socket, from which nothing more is read.
            (readiness.is_readable, readiness.is_read_closed) = (false, false);
            return result;
        }
        if matches!(&result, Err(error) if !is_transient(error)) && layer.wants_write() {
            // The peer learns the reason if the socket takes it.
            let _ = layer.flush(&mut raw);
        }
        result
    }

    /// Reads bytes of the socket once, also if there is a layer.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is broken.
    pub fn read_raw<S>(&mut self, sockets: &mut S, buffer: &mut [u8]) -> io::Result<usize>
    where
        S: Sockets<Socket = T>,
    {
        let Io { socket, readiness, .. } = self;
        Raw { sockets, socket, readiness, early: &mut Vec::new() }.read(buffer)
    }

    /// Hands back `bytes` of the last raw read. Without a layer they are plaintext and move to the
    /// start of `buffer`; with one, the next read begins with them. Returns how many bytes of
    /// plaintext `buffer` has.
    pub fn unread(&mut self, bytes: Vec<u8>, buffer: &mut [u8]) -> usize {
        match &mut self.layer {
            None => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                bytes.len()
            }
            Some(layered) => {
                layered.early = bytes;
                0
            }
        }
    }

    /// Writes plaintext once and returns how many bytes were taken, of `shown`: none while
    /// the layer has bytes to write. If fewer were taken, a writable event will follow.
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
        let Io { socket, readiness, layer } = self;
        let mut raw = Raw { sockets, socket, readiness, early: &mut Vec::new() };
        let result = match layer {
            None => raw.write_vectored(slices),
            Some(layered) if layered.layer.wants_write() => Ok(0),
            Some(layered) => layered.layer.write(&mut raw, slices),
        };
        let taken = match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        self.set_blocked(sockets, id, taken < shown || self.wants_write())?;
        Ok(taken)
    }

    /// Writes the bytes of the layer. If something is left, a writable event will follow.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush<S>(&mut self, sockets: &mut S, id: ConnId) -> io::Result<()>
    where
        S: Sockets<Socket = T>,
    {
        let Io { socket, readiness, layer } = self;
        let Some(layered) = layer else { return Ok(()) };
        let mut raw = Raw { sockets, socket, readiness, early: &mut Vec::new() };
        match layered.layer.flush(&mut raw) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        if layered.is_shutting && !layered.layer.wants_write() {
            sockets.shut_down(socket);
        }
        self.set_blocked(sockets, id, self.wants_write())
    }

    /// How many of the written bytes the kernel of the peer has not acknowledged. `None` if the
    /// system does not say so.
    pub fn unacknowledged_bytes<S>(&mut self, sockets: &mut S) -> Option<u32>
    where
        S: Sockets<Socket = T>,
    {
        sockets.unacknowledged_bytes(&mut self.socket)
    }

    /// Shuts down our side, after what the layer writes at the end.
    pub fn shut_down<S>(&mut self, sockets: &mut S, id: ConnId)
    where
        S: Sockets<Socket = T>,
    {
        let Some(layered) = &mut self.layer else { return sockets.shut_down(&mut self.socket) };
        layered.layer.close();
        layered.is_shutting = true;
        // A connection that is broken needs no end.
        let _ = self.flush(sockets, id);
    }

    /// Writes what the layer writes at the end, if the socket takes it.
    pub fn end_layer<S>(&mut self, sockets: &mut S)
    where
        S: Sockets<Socket = T>,
    {
        let Io { socket, readiness, layer } = self;
        if let Some(layered) = layer {
            let mut raw = Raw { sockets, socket, readiness, early: &mut Vec::new() };
            layered.layer.close();
            let _ = layered.layer.flush(&mut raw);
        }
    }

    fn set_blocked<S>(&mut self, sockets: &mut S, id: ConnId, is_blocked: bool) -> io::Result<()>
    where
        S: Sockets<Socket = T>,
    {
        self.readiness.is_blocked = is_blocked;
        if is_blocked && !self.readiness.is_writable_watched {
            self.readiness.is_writable_watched = true;
            sockets.watch_writable(&mut self.socket, id)?;
        }
        Ok(())
    }
}

/// Whether a read may be tried again.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The bytes of the socket, without the layer.
struct Raw<'a, S: Sockets> {
    sockets: &'a mut S,
    socket: &'a mut S::Socket,
    readiness: &'a mut Readiness,
    early: &'a mut Vec<u8>,
}

impl<S: Sockets> Read for Raw<'_, S> {
    /// Reads once. A read that does not fill `buffer` has emptied the socket, which saves a second
    /// read; unless the peer has shut its side, which is reported only once.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.early[..count]);
            self.early.drain(..count);
            return Ok(count);
        }
        let result = self.sockets.read(self.socket, buffer);
        self.readiness.is_readable = match &result {
            Ok(0) => false,
            Ok(count) => *count == buffer.len() || self.readiness.is_read_closed,
            Err(error) => error.kind() == ErrorKind::Interrupted && self.readiness.is_readable,
        };
        result
    }
}

impl<S: Sockets> Write for Raw<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice]) -> io::Result<usize> {
        loop {
            match self.sockets.write(self.socket, slices) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
