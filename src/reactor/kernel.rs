//! The kernel's sockets and the clock of the server, behind the trait that the loop runs over.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{IpAddr, Shutdown};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::{RecvFlags, SendFlags};
use signal_hook_mio::v1_0::Signals;
use socket2::SockRef;

use super::bind::Bound;
use super::clock::Clock;
use super::sock_diag::SockDiag;
use super::sockets::{Event, Sockets};
use crate::limits::{EVENTS_A_TURN, LISTENERS_MAX};
use crate::server::ConnId;

/// Tokens from here up are not connections: the signals, then the listeners.
const TOKEN_SIGNALS: usize = usize::MAX;
const TOKEN_LISTENERS: usize = TOKEN_SIGNALS - LISTENERS_MAX;

/// An epoll (or kqueue) instance with what is registered at it.
#[derive(Debug)]
pub struct Kernel {
    poll: Poll,
    events: Events,
    has_signal: bool,
    /// By their numbers; `None` if a listener was closed.
    listeners: Vec<Option<TcpListener>>,
    sock_diag: Option<SockDiag>,
    clock: Clock,
}

impl Kernel {
    /// Watches these listeners and signals.
    ///
    /// # Errors
    /// The kernel refused: no memory or no file descriptors are left.
    pub fn watch(bound: Vec<Bound>, signals: &mut Signals) -> io::Result<Kernel> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        registry.register(signals, Token(TOKEN_SIGNALS), Interest::READABLE)?;
        let mut listeners = Vec::new();
        for (number, Bound { mut socket, .. }) in bound.into_iter().enumerate() {
            let token = Token(TOKEN_LISTENERS + number);
            registry.register(&mut socket, token, Interest::READABLE)?;
            listeners.push(Some(socket));
        }
        let events = Events::with_capacity(EVENTS_A_TURN);
        let (sock_diag, clock) = (SockDiag::open(), Clock::start());
        Ok(Kernel { poll, events, has_signal: false, listeners, sock_diag, clock })
    }

    /// Whether a signal has come since the last call.
    pub fn take_signal(&mut self) -> bool {
        std::mem::take(&mut self.has_signal)
    }
}

impl Sockets for Kernel {
    type Socket = TcpStream;

    fn now_us(&mut self) -> u64 {
        self.clock.now_us()
    }

    fn wait(&mut self, timeout_us: u64, events: &mut Vec<Event>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(Duration::from_micros(timeout_us))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            match event.token().0 {
                TOKEN_SIGNALS => self.has_signal = true,
                token if token >= TOKEN_LISTENERS => {
                    events.push(Event::Listener(token - TOKEN_LISTENERS));
                }
                token => events.push(Event::Connection {
                    id: conn_id(token),
                    is_readable: event.is_readable() || event.is_error(),
                    is_read_closed: event.is_read_closed(),
                    is_writable: event.is_writable(),
                }),
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> io::Result<(TcpStream, IpAddr)> {
        let Some(Some(listener)) = self.listeners.get(listener) else {
            return Err(ErrorKind::WouldBlock.into());
        };
        listener.accept().map(|(socket, peer)| (socket, peer.ip()))
    }

    fn close_listener(&mut self, listener: usize) {
        self.listeners[listener] = None;
    }

    fn watch_readable(&mut self, socket: &mut TcpStream, id: ConnId) -> io::Result<()> {
        self.poll.registry().register(socket, token(id), Interest::READABLE)
    }

    fn watch_writable(&mut self, socket: &mut TcpStream, id: ConnId) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().reregister(socket, token(id), both)
    }

    fn read(&mut self, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        // Not as the standard library does: there each call is a cancellation point of the threads.
        Ok(rustix::net::recv(socket, buffer, RecvFlags::empty())?.0)
    }

    fn write(&mut self, socket: &mut TcpStream, slices: &[IoSlice]) -> io::Result<usize> {
        match slices {
            // A state alone, which is nearly every write, spares the kernel the list of slices.
            [only] => Ok(rustix::net::send(socket, only, SendFlags::empty())?),
            several => socket.write_vectored(several),
        }
    }

    fn unacknowledged_bytes(&mut self, socket: &mut TcpStream) -> Option<u32> {
        let sock_diag = self.sock_diag.as_mut()?;
        sock_diag.unacknowledged_bytes(socket.local_addr().ok()?, socket.peer_addr().ok()?)
    }

    fn shut_down(&mut self, socket: &mut TcpStream) {
        // A socket that is broken already needs no end.
        let _ = socket.shutdown(Shutdown::Write);
    }

    fn close(&mut self, socket: TcpStream, resets: bool) {
        if resets {
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Slot and serial in one number, so that an event of an earlier connection finds nothing.
fn token(id: ConnId) -> Token {
    Token((id.serial as usize) << 32 | id.slot as usize)
}

fn conn_id(token: usize) -> ConnId {
    ConnId { slot: token as u32, serial: (token >> 32) as u32 }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    // T79
    #[test]
    fn the_bytes_are_those_of_the_socket() {
        let mut signals = Signals::new([0_i32; 0]).expect("none");
        let mut kernel = Kernel::watch(Vec::new(), &mut signals).expect("a free descriptor");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let peer = std::net::TcpStream::connect(addr).expect("it listens");
        let (socket, _) = listener.accept().expect("it has connected");
        socket.set_nonblocking(true).expect("a socket option");
        let mut socket = TcpStream::from_std(socket);
        assert_eq!(kernel.unacknowledged_bytes(&mut socket), Some(0));
        // The peer takes no more at some point.
        while kernel.write(&mut socket, &[IoSlice::new(&[0; 1 << 16])]).is_ok() {}
        assert!(kernel.unacknowledged_bytes(&mut socket).is_some_and(|bytes| bytes > 0));
        drop(peer);
    }
}
