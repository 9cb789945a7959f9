//! Opens the listening sockets, and explains failures to the operator.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use listenfd::ListenFd;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Serve;
use crate::limits::{KERNEL_UNACKED_MS, LISTEN_BACKLOG, LISTENERS_MAX};
use crate::server::ListenerKind;

/// A listening socket.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: TcpListener,
    /// Its address.
    pub addr: SocketAddr,
    /// The kind of listener.
    pub kind: ListenerKind,
    /// Whether another process has opened it, and keeps it (`LISTEN_FDS`).
    pub is_inherited: bool,
}

/// Opens the sockets of every [`ListenerKind`], at the addresses that its flag sets. Without
/// `--listen`, the public ones are those of the port on every address (IPv4, and IPv6 if the
/// machine has it); or those that were passed to the process (`sd_listen_fds(3)`).
/// Accepted connections inherit `TCP_NODELAY`, `TCP_USER_TIMEOUT` and `kernel_unsent_bytes`
/// (`TCP_NOTSENT_LOWAT`).
///
/// # Errors
/// One sentence for the operator, if an address cannot be used.
pub fn bind(settings: &Serve, kernel_unsent_bytes: Option<u32>) -> Result<Vec<Bound>, String> {
    let mut all = Vec::new();
    let mut inherited = inherited(kernel_unsent_bytes)?;
    check_inherited(inherited.len(), settings)?;
    for kind in ListenerKind::ALL {
        let addrs = kind.addrs(settings);
        let is_inherited = kind == ListenerKind::Public && !inherited.is_empty();
        let sockets = match kind {
            _ if is_inherited => std::mem::take(&mut inherited),
            ListenerKind::Public => bind_public(addrs, settings.port(), kernel_unsent_bytes)?,
            _ => bind_further(addrs, kind, kernel_unsent_bytes)?,
        };
        for socket in sockets {
            let addr = socket.local_addr().map_err(|error| format!("cannot listen: {error}."))?;
            all.push(Bound { socket, addr, kind, is_inherited });
        }
    }
    Ok(all)
}

/// Checks that [`bind()`] could open the addresses, except that they may be in use: the server may
/// be running. It does not listen, so nothing can connect meanwhile.
///
/// # Errors
/// The sentence of [`bind()`].
pub fn check(settings: &Serve) -> Result<(), String> {
    let inherited = ListenFd::from_env().len();
    check_inherited(inherited, settings)?;
    let check = |addr: SocketAddr, sentence: &dyn Fn(&io::Error) -> String| match bound(addr) {
        Err(error) if error.kind() != ErrorKind::AddrInUse => Err(sentence(&error)),
        _ => Ok(()),
    };
    for kind in ListenerKind::ALL {
        let is_public = kind == ListenerKind::Public;
        for addr in kind.addrs(settings) {
            check(*addr, &|error| match is_public {
                true => sentence(*addr, LISTEN, error),
                false => further_sentence(*addr, kind.flag(), error),
            })?;
        }
        if is_public && inherited == 0 && settings.listen.is_empty() {
            let addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), settings.port());
            check(addr, &|error| sentence(addr, PORT, error))?;
        }
    }
    Ok(())
}

/// Checks the number of sockets that were passed to the process.
fn check_inherited(inherited: usize, settings: &Serve) -> Result<(), String> {
    if inherited > 0 && !settings.listen.is_empty() {
        let sentence = "sockets were passed to the process (LISTEN_FDS); remove --listen.";
        return Err(sentence.to_owned());
    }
    let most = LISTENERS_MAX;
    let further = settings.redirect_http.len() + settings.admin_listen.len();
    if inherited + further > most {
        return Err(format!(
            "LISTEN_FDS, --redirect-http and --admin-listen have too many sockets; the maximum is \
             {most}."
        ));
    }
    Ok(())
}

/// The listening sockets that were passed to the process.
fn inherited(kernel_unsent_bytes: Option<u32>) -> Result<Vec<TcpListener>, String> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..passed.len() {
        let wrong = |error: io::Error| {
            let fd = number + 3;
            format!("file descriptor {fd} of LISTEN_FDS cannot be used: {error}; pass TCP sockets.")
        };
        if let Some(listener) = passed.take_tcp_listener(number).map_err(wrong)? {
            let socket = Socket::from(listener);
            if !socket.is_listener().map_err(wrong)? {
                return Err(wrong(io::Error::other("it does not listen")));
            }
            set_options(&socket, kernel_unsent_bytes).map_err(wrong)?;
            sockets.push(TcpListener::from_std(socket.into()));
        }
    }
    Ok(sockets)
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

/// The sockets of a kind of listeners that has no default address.
fn bind_further(
    listen: &[SocketAddr],
    kind: ListenerKind,
    kernel_unsent_bytes: Option<u32>,
) -> Result<Vec<TcpListener>, String> {
    let open = |addr: &SocketAddr| {
        socket(*addr, kernel_unsent_bytes)
            .map_err(|error| further_sentence(*addr, kind.flag(), &error))
    };
    listen.iter().map(open).collect()
}

fn socket(addr: SocketAddr, kernel_unsent_bytes: Option<u32>) -> io::Result<TcpListener> {
    let socket = bound(addr)?;
    set_options(&socket, kernel_unsent_bytes)?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// A socket with the address, which does not listen.
fn bound(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// What the connections of a listener inherit.
fn set_options(listener: &Socket, kernel_unsent_bytes: Option<u32>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    listener.set_tcp_nodelay(true)?;
    listener.set_tcp_user_timeout(Some(Duration::from_millis(KERNEL_UNACKED_MS)))?;
    kernel_unsent_bytes.map_or(Ok(()), |bytes| listener.set_tcp_notsent_lowat(bytes))
}

/// What to choose instead, with the flag.
const PORT: &str = "port with --port";
const LISTEN: &str = "address with --listen";

fn sentence(addr: SocketAddr, another: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("{addr} is in use by another program; stop it, or choose another {another}.")
        }
        ErrorKind::PermissionDenied => {
            let why = "is not allowed for this user (ports below 1024 need a privilege)";
            format!("{addr} {why}; choose another {another}.")
        }
        ErrorKind::AddrNotAvailable => {
            format!("{addr} is not an address of this machine; choose another {another}.")
        }
        _ => format!("cannot listen on {addr}: {error}."),
    }
}

fn further_sentence(addr: SocketAddr, flag: &str, error: &io::Error) -> String {
    let what = match error.kind() {
        // In use by another program, or by --listen.
        ErrorKind::AddrInUse => "is already in use".to_owned(),
        ErrorKind::PermissionDenied => "is not allowed for this user".to_owned(),
        ErrorKind::AddrNotAvailable => "is not an address of this machine".to_owned(),
        _ => format!("cannot be used ({error})"),
    };
    format!("{addr} {what}; choose another with {flag}.")
}
