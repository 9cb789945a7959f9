//! Connecting to the server: the limits of this machine, the address, sockets, and requests.
//!
//! `mod` calls the first half before a run, `swarm` calls the second half for each client.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::groups::Group;
use super::link::LINKS;
use super::{Failure, process, report, response};
use crate::config::{Dialect, Load, Transport};
use crate::ws::handshake;

/// File descriptors for other uses than clients: the terminal, epoll, files under `/proc`.
const FDS_RESERVED: u64 = 16;
/// Timeout of the connection that checks whether the server is up.
const REACH: Duration = Duration::from_secs(10);
/// Receive buffer of a client that never reads: small, so that the server notices soon.
const STALLED_BUFFER_BYTES: usize = 4_096;
/// Receive buffer of a slow reader: so small that the server notices a pause.
const SLOW_BUFFER_BYTES: usize = 64 * 1024;

/// Raises the limit of open files, and checks that all clients can connect.
///
/// # Errors
/// [`Failure::Unusable`] if this machine does not allow that many connections.
pub fn check_capacity(options: &Load) -> Result<(), Failure> {
    let each = |index| match (options.dialect_of(index), options.transport()) {
        (Dialect::SocketIo, Transport::Polling) => 2,
        (Dialect::SocketIo, Transport::Upgrade) => LINKS as u64,
        _ => 1,
    };
    let connections = (0..options.all_clients() as usize).map(each).sum();
    let fds = rlimit::increase_nofile_limit(rlimit::INFINITY)?;
    if connections + FDS_RESERVED > fds {
        return Err(Failure::Unusable(format!(
            "{} connections exceed the limit of {} open files; raise it with ulimit -Hn.",
            report::grouped(connections),
            report::grouped(fds)
        )));
    }
    match process::ephemeral_ports() {
        Some(ports) if connections > ports => Err(Failure::Unusable(format!(
            "{} connections exceed the {} local ports for one server address; raise \
             net.ipv4.ip_local_port_range.",
            report::grouped(connections),
            report::grouped(ports)
        ))),
        _ => Ok(()),
    }
}

/// Resolves the host to the first address that accepts a connection.
///
/// # Errors
/// [`Failure::Failed`] if there is none.
pub fn resolve(options: &Load) -> Result<SocketAddr, Failure> {
    let url = &options.url;
    let addresses = (url.host.as_str(), url.port).to_socket_addrs();
    let addresses = addresses.map_err(|error| {
        Failure::Failed(format!("Cannot resolve the host {}: {error}.", url.host))
    })?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, REACH) {
            Ok(_) => return Ok(address),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or("the host has no address".to_owned(), |error| error.to_string());
    Err(Failure::Failed(format!(
        "Cannot connect to {}: {why}; start the server there, or check the URL.",
        url.authority
    )))
}

/// Starts to connect, without waiting. A client that will not read gets a small receive buffer,
/// which must be set before the connect negotiates the window.
///
/// # Errors
/// Errors that are known at once; others appear when the socket becomes writable.
pub fn open(address: SocketAddr, group: Group) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match group {
        Group::Slow => socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?,
        Group::Stalled => socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?,
        Group::Json | Group::SocketIo | Group::V1 => {}
    }
    match socket.connect(&address.into()) {
        Err(error) if is_final(&error) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

/// The WebSocket handshake of the client `index` of a dialect without another transport, which asks
/// for a subprotocol if there is one.
#[must_use]
pub fn handshake(
    options: &Load,
    dialect: Dialect,
    index: usize,
    subprotocol: Option<&str>,
) -> Vec<u8> {
    let target = target(options, dialect, index, "");
    upgrade(&options.url.authority, &target, options.deflate, subprotocol)
}

/// A WebSocket handshake, which offers to compress messages if `deflate`.
#[must_use]
pub fn upgrade(authority: &str, target: &str, deflate: bool, subprotocol: Option<&str>) -> Vec<u8> {
    let mut fields = String::new();
    if let Some(name) = subprotocol {
        fields = format!("Sec-WebSocket-Protocol: {name}\r\n");
    }
    if deflate {
        fields += handshake::DEFLATE_OFFER;
    }
    handshake::request_with(authority, target, response::KEY, &fields)
}

/// The request target of the client `index`: path and query, with its room and `more`.
#[must_use]
pub fn target(options: &Load, dialect: Dialect, index: usize, more: &str) -> String {
    let (url, path) = (&options.url, options.path(dialect));
    let room = room(options, index).map(|room| format!("room={room}"));
    let query = [&url.query, room.as_deref().unwrap_or_default(), more];
    let query = query.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The room of the client `index`. Additional clients join the rooms of the players.
#[must_use]
pub fn room(options: &Load, index: usize) -> Option<String> {
    options.room_players?;
    let room = room_number(options, index);
    // The server derives the rules from the name.
    let is_battle = options.speaks(Dialect::SocketIo);
    Some(format!("{}load-{room}", if is_battle { "battle-" } else { "" }))
}

/// The number of the room of the client `index`.
#[must_use]
pub fn room_number(options: &Load, index: usize) -> u32 {
    let nth = index as u32 % options.clients;
    options.room_players.map_or(0, |players| nth / players)
}

/// Whether a non-blocking connect has already failed. Any other error means that it is in progress,
/// for which the standard library has no stable name.
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
