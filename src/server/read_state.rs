//! What the caller of the server does next with a peer.

/// Whether to read more from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Read when there is something to read.
    Open,
    /// Enough for this turn. In the next one, call [`Server::receive`] without bytes before
    /// reading.
    ///
    /// [`Server::receive`]: super::Server::receive
    Deferred,
    /// Its outbox is full: read nothing until [`Server::may_read`] allows it.
    ///
    /// [`Server::may_read`]: super::Server::may_read
    Paused,
    /// A poll is held, and more bytes wait behind it: read nothing until [`Server::may_read`]
    /// allows it, but call [`Server::peer_closed`] as soon as the peer has shut its side.
    ///
    /// [`Server::may_read`]: super::Server::may_read
    /// [`Server::peer_closed`]: super::Server::peer_closed
    Held,
}
