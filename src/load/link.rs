//! A client's connections as it sees them itself: what each has to send, and whether it is wanted.
//!
//! `client`, and what it is made of, writes here; `swarm` has the sockets.

/// Bytes that may wait for a server that does not read. What a client would say past them is
/// dropped and counted.
pub const OUT_BYTES_MAX: usize = 16 * 1024;

/// Connections that a client may have at once: a player of Socket.IO that changes from polling to a
/// WebSocket has a poll, a post and the WebSocket.
pub const LINKS: usize = 3;

/// One connection.
#[derive(Debug, Default)]
pub struct Link {
    /// What is to be sent over it.
    pub out: Vec<u8>,
    /// Whether there is to be a connection; `swarm` makes and ends it.
    pub is_wanted: bool,
    /// Whether the one that there is has served its time and a new one must take its place.
    pub is_spent: bool,
}

impl Link {
    /// Asks for the connection, and for `bytes` to be sent over it.
    pub fn send(&mut self, bytes: &[u8]) {
        self.is_wanted = true;
        self.out.extend_from_slice(bytes);
    }

    /// Has no more use for the connection.
    pub fn drop(&mut self) {
        *self = Link::default();
    }
}

/// All connections of a client.
pub type Links = [Link; LINKS];
