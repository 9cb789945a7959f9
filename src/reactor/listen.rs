//! Listening sockets: how they are made, what to say when they cannot be, and who is accepted next.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Serve;
use crate::limits::{ACCEPT_BACKOFF_MS, KERNEL_UNACKED_MS, LISTEN_BACKLOG};
use crate::time::Millis;

/// The sockets that accept.
#[derive(Debug)]
pub struct Listeners {
    /// Those of `--admin-listen` come first, so that they keep their numbers when the others close.
    all: Vec<Listener>,
    /// Who is asked first the next time.
    next: usize,
    /// When they may be tried again after the process ran out of file descriptors.
    rest_until: Millis,
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    addr: SocketAddr,
    is_admin: bool,
    /// Somebody may be waiting to be accepted.
    is_ready: bool,
}

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket.
    pub socket: TcpStream,
    /// The address at its other end.
    pub peer: IpAddr,
    /// Whether it came to an address of `--admin-listen`.
    pub is_admin: bool,
}

impl Listeners {
    /// The sockets of `--listen`, or of the port at every address, IPv4 and, where there is any,
    /// IPv6; and those of `--admin-listen`. Accepted connections inherit `TCP_NODELAY`,
    /// `TCP_USER_TIMEOUT` and `kernel_unsent_bytes` (`TCP_NOTSENT_LOWAT`).
    ///
    /// # Errors
    /// One sentence for people, if an address cannot be had.
    pub fn bind(settings: &Serve, kernel_unsent_bytes: Option<u32>) -> Result<Listeners, String> {
        let public = bind_public(&settings.listen, settings.port(), kernel_unsent_bytes)?;
        let admin = settings.admin_listen.iter().map(|addr| {
            socket(*addr, kernel_unsent_bytes).map_err(|error| admin_sentence(*addr, &error))
        });
        let admin = admin.collect::<Result<Vec<TcpListener>, String>>()?;
        let listener = |(socket, is_admin): (TcpListener, bool)| {
            let addr = socket.local_addr().map_err(|error| format!("cannot listen: {error}."))?;
            Ok(Listener { socket, addr, is_admin, is_ready: true })
        };
        let admin = admin.into_iter().map(|socket| (socket, true));
        let public = public.into_iter().map(|socket| (socket, false));
        let all = admin.chain(public).map(listener).collect::<Result<_, String>>()?;
        Ok(Listeners { all, next: 0, rest_until: Millis::default() })
    }

    /// Has the kernel tell of them with tokens from `first_token` up, by their numbers.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch(&mut self, first_token: usize, registry: &Registry) -> io::Result<()> {
        for (number, listener) in self.all.iter_mut().enumerate() {
            let token = Token(first_token + number);
            registry.register(&mut listener.socket, token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// The addresses for players.
    pub fn public_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().filter(|listener| !listener.is_admin).map(|listener| listener.addr)
    }

    /// The addresses of `--admin-listen`.
    pub fn admin_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().filter(|listener| listener.is_admin).map(|listener| listener.addr)
    }

    /// The kernel told of the one with this number.
    pub fn wake(&mut self, number: usize) {
        if let Some(listener) = self.all.get_mut(number) {
            listener.is_ready = true;
        }
    }

    /// Whether somebody may be waiting, and may be accepted.
    #[must_use]
    pub fn may_accept(&self, now: Millis) -> bool {
        self.rest_until <= now && self.all.iter().any(|listener| listener.is_ready)
    }

    /// Accepts one connection, from each listener in turn, so that a storm at one does not shut the
    /// others out. `None` ends the accepts of this turn.
    ///
    /// # Errors
    /// What the kernel says: out of file descriptors, most likely.
    pub fn accept(&mut self) -> io::Result<Option<Accepted>> {
        for _ in 0..self.all.len() {
            self.next = (self.next + 1) % self.all.len();
            let listener = &mut self.all[self.next];
            if !listener.is_ready {
                continue;
            }
            match listener.socket.accept() {
                Ok((socket, peer)) => {
                    let is_admin = listener.is_admin;
                    return Ok(Some(Accepted { socket, peer: peer.ip(), is_admin }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => listener.is_ready = false,
                // The peer left while it waited.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Nobody is accepted for a moment. Whoever waits in the backlog is served when somebody else
    /// has left.
    pub fn rest(&mut self, now: Millis) {
        self.rest_until = now.after(ACCEPT_BACKOFF_MS);
    }

    /// Closes all but those of `--admin-listen`.
    pub fn close_public(&mut self) {
        self.all.retain(|listener| listener.is_admin);
        self.next = 0;
    }
}

fn bind_public(
    listen: &[SocketAddr],
    port: u16,
    kernel_unsent_bytes: Option<u32>,
) -> Result<Vec<TcpListener>, String> {
    let open = |addr: SocketAddr| socket(addr, kernel_unsent_bytes);
    if !listen.is_empty() {
        let open = |addr: &SocketAddr| open(*addr).map_err(|e| sentence(*addr, LISTEN, &e));
        return listen.iter().map(open).collect();
    }
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let first = open(v4).map_err(|error| sentence(v4, PORT, &error))?;
    let port = first.local_addr().map_err(|error| sentence(v4, PORT, &error))?.port();
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    match open(v6) {
        Ok(second) => Ok(vec![first, second]),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(sentence(v6, PORT, &error)),
        Err(_) => Ok(vec![first]),
    }
}

fn socket(addr: SocketAddr, kernel_unsent_bytes: Option<u32>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(Duration::from_millis(KERNEL_UNACKED_MS)))?;
    if let Some(bytes) = kernel_unsent_bytes {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Where another place can be chosen, for those of `--port` and of `--listen`.
const PORT: &str = "port with --port";
const LISTEN: &str = "address with --listen";

fn sentence(addr: SocketAddr, another: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("{addr} is in use by another program; stop it, or choose another {another}.")
        }
        ErrorKind::PermissionDenied => {
            let why = "is not allowed to this user: ports below 1024 seldom are";
            format!("{addr} {why}; choose another {another}.")
        }
        ErrorKind::AddrNotAvailable => {
            format!("{addr} is no address of this machine; choose another {another}.")
        }
        _ => format!("cannot listen on {addr}: {error}."),
    }
}

fn admin_sentence(addr: SocketAddr, error: &io::Error) -> String {
    let what = match error.kind() {
        // By another program, or by --listen.
        ErrorKind::AddrInUse => "is in use already".to_owned(),
        ErrorKind::PermissionDenied => "is not allowed to this user".to_owned(),
        ErrorKind::AddrNotAvailable => "is no address of this machine".to_owned(),
        _ => format!("cannot be listened on ({error})"),
    };
    format!("{addr} {what}; choose another with --admin-listen.")
}
