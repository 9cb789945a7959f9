//! How clients reach a server: what the machine must allow, the address, sockets, and requests.
//!
//! `mod` calls the first half before a run, `swarm` the second half for each client.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::{Failure, answer, process, report};
use crate::config::Load;
use crate::ws::handshake;

/// File descriptors that are not clients: the terminal, epoll, a file under `/proc`, spare ones.
const FDS_RESERVED: u64 = 16;
/// Time for the one connection that tests whether anybody listens.
const REACH: Duration = Duration::from_secs(10);
/// Receive buffer of a client that never reads: the least that makes the server feel it soon.
const STALLED_BUFFER_BYTES: usize = 4_096;

/// Makes room for as many connections, by raising the limit of open files.
///
/// # Errors
/// [`Failure::Unusable`] if there is not enough even so.
pub fn make_room(connections: u64) -> Result<(), Failure> {
    let fds = rlimit::increase_nofile_limit(rlimit::INFINITY)?;
    if connections + FDS_RESERVED > fds {
        return Err(Failure::Unusable(format!(
            "{} clients need more than the {} open files that this process may have (ulimit -Hn).",
            report::grouped(connections),
            report::grouped(fds)
        )));
    }
    match process::ephemeral_ports() {
        Some(ports) if connections > ports => Err(Failure::Unusable(format!(
            "{} clients need more than the {} local ports that this machine gives to one server \
             address (net.ipv4.ip_local_port_range).",
            report::grouped(connections),
            report::grouped(ports)
        ))),
        _ => Ok(()),
    }
}

/// Resolves the host, once, to the first of its addresses at which somebody listens.
///
/// # Errors
/// [`Failure::Failed`] if there is none.
pub fn reach(options: &Load) -> Result<SocketAddr, Failure> {
    let url = &options.url;
    let addresses = (url.host.as_str(), url.port).to_socket_addrs();
    let addresses = addresses.map_err(|error| {
        Failure::Failed(format!("The host {} cannot be resolved: {error}.", url.host))
    })?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, REACH) {
            Ok(_) => return Ok(address),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or("it has no address".to_owned(), |error| error.to_string());
    Err(Failure::Failed(format!("Nobody answers at {}: {why}.", url.authority)))
}

/// Begins to connect, without waiting. A client that will never read gets a buffer so small that
/// the server feels it soon; it must be set before the connect, which settles the window.
///
/// # Errors
/// What the kernel can say at once; the rest shows when the socket becomes writable.
pub fn begin(address: SocketAddr, is_stalled: bool) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if is_stalled {
        socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
    }
    match socket.connect(&address.into()) {
        Err(error) if is_final(&error) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

/// The request of the client `index`. Those that never read go where the others are.
#[must_use]
pub fn request(options: &Load, index: usize) -> Vec<u8> {
    let url = &options.url;
    let mut target = url.path.clone();
    let mut separator = "?";
    if !url.query.is_empty() {
        target = format!("{target}?{}", url.query);
        separator = "&";
    }
    if let Some(room_players) = options.room_players {
        let room = index % options.clients as usize / room_players as usize;
        target = format!("{target}{separator}room=load-{room}");
    }
    handshake::request(&url.authority, &target, answer::KEY)
}

/// Whether a connect that was not waited for has failed already. Any other error says that it is
/// under way, for which the standard library has no stable name.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::AddrInUse
            | ErrorKind::AddrNotAvailable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
    )
}
