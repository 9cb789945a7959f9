//! Listening sockets: how they are made, and what to say when they cannot be.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::{KERNEL_UNACKED_MS, LISTEN_BACKLOG};

/// The sockets for `listen`, or for `port` at every address, IPv4 and, where there is any, IPv6.
/// Accepted connections inherit `TCP_NODELAY`, `TCP_USER_TIMEOUT` and `kernel_unsent_bytes`
/// (`TCP_NOTSENT_LOWAT`).
///
/// # Errors
/// One sentence for people, if an address cannot be had.
pub fn bind(
    listen: &[SocketAddr],
    port: u16,
    kernel_unsent_bytes: Option<u32>,
) -> Result<Vec<TcpListener>, String> {
    let open = |addr: SocketAddr| socket(addr, kernel_unsent_bytes);
    if !listen.is_empty() {
        return listen.iter().map(|addr| open(*addr).map_err(|e| sentence(*addr, &e))).collect();
    }
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let first = open(v4).map_err(|error| sentence(v4, &error))?;
    let port = first.local_addr().map_err(|error| sentence(v4, &error))?.port();
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    match open(v6) {
        Ok(second) => Ok(vec![first, second]),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(sentence(v6, &error)),
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

fn sentence(addr: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{addr} is in use by another program; stop it, or choose another port with --port."
        ),
        ErrorKind::PermissionDenied => {
            format!("{addr} is not allowed to this user; choose a port above 1023 with --port.")
        }
        ErrorKind::AddrNotAvailable => {
            format!("{addr} is no address of this machine; choose another with --listen.")
        }
        _ => format!("cannot listen on {addr}: {error}."),
    }
}
