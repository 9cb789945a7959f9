//! The connections that a client requests, and the bytes to send over them.
//!
//! The dialects write here; `swarm` has the sockets.

/// Maximum bytes that wait for a server that does not read. Further messages are dropped and
/// counted.
pub const OUT_BYTES_MAX: usize = 16 * 1024;

/// Maximum connections of a client: during a Socket.IO upgrade it has a poll, a post and a
/// WebSocket.
pub const LINKS: usize = 3;

/// One connection.
#[derive(Debug, Default)]
pub struct Link {
    /// Bytes to send.
    pub out: Vec<u8>,
    /// Whether a connection is requested; `swarm` opens and closes it.
    pub is_wanted: bool,
    /// Whether the current connection must be replaced by a new one.
    pub is_spent: bool,
}

impl Link {
    /// Requests the connection and queues `bytes`.
    pub fn send(&mut self, bytes: &[u8]) {
        self.is_wanted = true;
        self.out.extend_from_slice(bytes);
    }

    /// Gives the connection up.
    pub fn drop(&mut self) {
        *self = Link::default();
    }
}

/// The connections of a client.
pub type Links = [Link; LINKS];
