//! What the loop needs from the machine: sockets, their readiness, and a clock.
//!
//! [`Turn`](super::Turn) is generic over this trait. The server runs it over the kernel's sockets
//! (`kernel.rs`), and the simulator in `tests/it` runs it over its own.

use std::io::{self, IoSlice};
use std::net::IpAddr;

use crate::server::ConnId;

/// Sockets that never block. Readiness is edge-triggered: a change is reported once, and the loop
/// remembers it until a read, a write or an accept returns [`io::ErrorKind::WouldBlock`] or comes
/// short.
pub trait Sockets {
    /// The socket of one connection. Dropping it closes it.
    type Socket;

    /// Microseconds since the start. It never goes back.
    fn now_us(&mut self) -> u64;

    /// Waits at most `timeout_us` for something to become ready, and appends what is ready to
    /// `events`. It may return early with nothing.
    ///
    /// # Errors
    /// Waiting itself is impossible; the loop ends.
    fn wait(&mut self, timeout_us: u64, events: &mut Vec<Event>) -> io::Result<()>;

    /// Accepts one connection from the listener of this number, and returns it with the peer's
    /// address.
    ///
    /// # Errors
    /// `WouldBlock`: no connection is waiting. `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`: a resource
    /// is exhausted. Any other: this connection is lost, or the call was interrupted.
    fn accept(&mut self, listener: usize) -> io::Result<(Self::Socket, IpAddr)>;

    /// Closes a listener. The others keep their numbers.
    fn close_listener(&mut self, listener: usize);

    /// Reports from now on when the socket becomes readable, under this handle.
    ///
    /// # Errors
    /// The kernel refused: no memory is left.
    fn watch_readable(&mut self, socket: &mut Self::Socket, id: ConnId) -> io::Result<()>;

    /// Reports from now on when the socket becomes writable, too.
    ///
    /// # Errors
    /// The kernel refused: no memory is left.
    fn watch_writable(&mut self, socket: &mut Self::Socket, id: ConnId) -> io::Result<()>;

    /// Reads once and returns how many bytes; zero is the end of what the peer sends.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is broken.
    fn read(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes once and returns how many bytes were taken.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is broken.
    fn write(&mut self, socket: &mut Self::Socket, slices: &[IoSlice]) -> io::Result<usize>;

    /// How many of the written bytes the kernel of the peer has not acknowledged, sent or not.
    /// `None` if the system does not say so.
    fn unacknowledged_bytes(&mut self, socket: &mut Self::Socket) -> Option<u32>;

    /// Shuts down the sending side; the peer may still be sending.
    fn shut_down(&mut self, socket: &mut Self::Socket);

    /// Closes the socket. If it `resets`, what the peer has not taken yet is thrown away.
    fn close(&mut self, socket: Self::Socket, resets: bool);
}

/// What has become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The listener of this number may have connections to accept.
    Listener(usize),
    /// A connection.
    Connection {
        /// Its handle. It may have ended.
        id: ConnId,
        /// There may be something to read: bytes, the end, or an error.
        is_readable: bool,
        /// The peer has shut down its side. This is reported once, so reads must go on until the
        /// end has been seen.
        is_read_closed: bool,
        /// There may be room to write.
        is_writable: bool,
    },
}
