//! Chooses the listener that accepts next, and pauses accepting when a resource is exhausted.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use super::sockets::Sockets;
use crate::limits::ACCEPT_BACKOFF_MS;
use crate::server::Door;
use crate::time::Millis;

/// The listeners, by their numbers in [`Sockets`].
#[derive(Debug)]
pub struct Listeners {
    all: Vec<Listener>,
    /// The listener that accepted last.
    last: usize,
    /// Nothing is accepted before this time, because a resource is exhausted.
    rest_until: Millis,
}

#[derive(Debug)]
struct Listener {
    door: Door,
    is_open: bool,
    /// A connection may be waiting.
    is_ready: bool,
}

/// A new connection.
#[derive(Debug)]
pub struct Accepted<T> {
    /// Its socket.
    pub socket: T,
    /// The address of the peer.
    pub peer: IpAddr,
    /// The door of its listener.
    pub door: Door,
}

impl Listeners {
    /// Open listeners with these doors.
    pub fn new(doors: impl IntoIterator<Item = Door>) -> Listeners {
        let listener = |door| Listener { door, is_open: true, is_ready: true };
        let all = doors.into_iter().map(listener).collect();
        Listeners { all, last: 0, rest_until: Millis::default() }
    }

    /// A connection may be waiting at the listener with this number.
    pub fn wake(&mut self, number: usize) {
        if let Some(listener) = self.all.get_mut(number) {
            listener.is_ready = listener.is_open;
        }
    }

    /// Whether a connection may be waiting, and may be accepted.
    #[must_use]
    pub fn may_accept(&self, now: Millis) -> bool {
        self.rest_until <= now && self.all.iter().any(|listener| listener.is_ready)
    }

    /// Accepts one connection, from each listener in turn, so that a flood at one does not block
    /// the others. `None` ends the accepts of this turn.
    ///
    /// # Errors
    /// A resource is exhausted, usually file descriptors. Nothing is accepted for
    /// [`ACCEPT_BACKOFF_MS`]; peers stay in the backlog until then.
    pub fn accept<S: Sockets>(
        &mut self,
        sockets: &mut S,
        now: Millis,
    ) -> io::Result<Option<Accepted<S::Socket>>> {
        for _ in 0..self.all.len() {
            self.last = (self.last + 1) % self.all.len();
            let listener = &mut self.all[self.last];
            if !listener.is_ready {
                continue;
            }
            match sockets.accept(self.last) {
                Ok((socket, peer)) => {
                    return Ok(Some(Accepted { socket, peer, door: listener.door }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => listener.is_ready = false,
                // The peer left while it waited.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.rest_until = now.after(ACCEPT_BACKOFF_MS);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Closes the public listeners.
    pub fn close_public<S: Sockets>(&mut self, sockets: &mut S) {
        for (number, listener) in self.all.iter_mut().enumerate() {
            if listener.door == Door::Public && listener.is_open {
                (listener.is_open, listener.is_ready) = (false, false);
                sockets.close_listener(number);
            }
        }
    }
}
