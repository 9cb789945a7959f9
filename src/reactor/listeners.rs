//! The listeners: what their connections begin with, and which of them accepts next. Accepting
//! pauses when a resource is exhausted.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use super::io::{Io, Layer};
use super::proxy_protocol::parse_proxy_header;
use super::sockets::Sockets;
use super::stream::{ParsePreface, Stream};
use crate::config::Serve;
use crate::limits::ACCEPT_BACKOFF_MS;
use crate::server::{ConnId, ListenerKind};
use crate::time::Millis;

/// What the connections of a listener begin with.
pub struct Acceptor {
    /// Decides which limits and routes apply.
    pub kind: ListenerKind,
    /// Parses the first bytes, which may contain the address of the client.
    pub preface: Option<ParsePreface>,
    /// Makes the layer between a socket and the server.
    pub layer: Option<Box<dyn Fn() -> Box<dyn Layer>>>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Acceptor").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl From<ListenerKind> for Acceptor {
    fn from(kind: ListenerKind) -> Acceptor {
        Acceptor { kind, preface: None, layer: None }
    }
}

impl Acceptor {
    /// The acceptor of a listener, as the flags set it.
    #[must_use]
    pub fn of(kind: ListenerKind, settings: &Serve) -> Acceptor {
        let has_header = kind.has_proxy_header(settings);
        let preface = has_header.then_some(parse_proxy_header as ParsePreface);
        Acceptor { preface, ..kind.into() }
    }

    /// The stream of a connection whose socket was just accepted.
    pub fn stream<T>(&self, socket: T, id: ConnId) -> Stream<T> {
        let layer = self.layer.as_ref().map(|make| make());
        Stream::new(Io::new(socket, layer), self.preface, id)
    }
}

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
    acceptor: Rc<Acceptor>,
    is_open: bool,
    /// A connection may be waiting.
    is_ready: bool,
}

#[derive(Debug)]
pub struct Accepted<T> {
    pub socket: T,
    pub peer: IpAddr,
    pub acceptor: Rc<Acceptor>,
}

/// Why no connection was accepted.
#[derive(Debug)]
pub enum AcceptError {
    /// One connection failed before it was accepted, or a signal came. The next accept may succeed.
    ConnectionLost,
    /// A resource is exhausted: file descriptors, or memory of the kernel.
    Exhausted(io::Error),
}

impl Listeners {
    pub fn new(acceptors: impl IntoIterator<Item = impl Into<Acceptor>>) -> Listeners {
        let listener = |acceptor| Listener { acceptor, is_open: true, is_ready: true };
        let all = acceptors.into_iter().map(|it| listener(Rc::new(it.into()))).collect();
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
    /// One connection was lost, or a resource is exhausted. In the latter case nothing is accepted
    /// for [`ACCEPT_BACKOFF_MS`] or until [`end_rest`](Self::end_rest); peers stay in the backlog.
    pub fn accept<S: Sockets>(
        &mut self,
        sockets: &mut S,
        now: Millis,
    ) -> Result<Option<Accepted<S::Socket>>, AcceptError> {
        for _ in 0..self.all.len() {
            self.last = (self.last + 1) % self.all.len();
            let listener = &mut self.all[self.last];
            if !listener.is_ready {
                continue;
            }
            match sockets.accept(self.last) {
                Ok((socket, peer)) => {
                    let acceptor = Rc::clone(&listener.acceptor);
                    return Ok(Some(Accepted { socket, peer, acceptor }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => listener.is_ready = false,
                Err(error) if is_exhausted(&error) => {
                    self.rest_until = now.after(ACCEPT_BACKOFF_MS);
                    return Err(AcceptError::Exhausted(error));
                }
                Err(_) => return Err(AcceptError::ConnectionLost),
            }
        }
        Ok(None)
    }

    /// A connection has ended: its file descriptor may be used for another one.
    pub fn end_rest(&mut self) {
        self.rest_until = Millis::default();
    }

    pub fn close_public<S: Sockets>(&mut self, sockets: &mut S) {
        for (number, listener) in self.all.iter_mut().enumerate() {
            if !listener.acceptor.kind.is_admin() && listener.is_open {
                (listener.is_open, listener.is_ready) = (false, false);
                sockets.close_listener(number);
            }
        }
    }
}

/// Whether the next accept would fail, too. Linux also returns network errors of the connection
/// that was to be accepted, and a firewall's refusal of it (accept(2), "Error handling").
fn is_exhausted(error: &io::Error) -> bool {
    let resources = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| resources.contains(&code))
}
