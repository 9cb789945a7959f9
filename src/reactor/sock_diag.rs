//! Asks Linux how many bytes the peer of a TCP connection has not acknowledged yet: `sock_diag(7)`
//! and `linux/inet_diag.h`, over a netlink socket. The ioctl `SIOCOUTQ` would say the same, but no
//! crate has a safe function for it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags};

/// The only message type of both directions, and the flag of each request.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;
/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = 16 + 56;
/// Where a reply has `idiag_state` and `idiag_wqueue`, after `struct nlmsghdr`.
const STATE_AT: usize = 16 + 1;
const WQUEUE_AT: usize = 16 + 60;
const TCP_LISTEN: u8 = 10;

/// A netlink socket.
#[derive(Debug)]
pub struct SockDiag {
    socket: OwnedFd,
    sequence: u32,
}

impl SockDiag {
    /// `None` if the system does not answer: it is not Linux, has no `tcp_diag`, or does not allow
    /// it (`RestrictAddressFamilies=`). The first question may load a module, and if there is none,
    /// each question would look for it, so one is asked here, about a listener.
    pub fn open() -> Option<SockDiag> {
        let bind = |address| TcpListener::bind((address, 0));
        let listener = bind("127.0.0.1").or_else(|_| bind("::1")).ok()?;
        let at = listener.local_addr().ok()?;
        let mut diag = SockDiag { socket: netlink()?, sequence: 0 };
        (diag.ask(at, at)?.0 == TCP_LISTEN).then_some(diag)
    }

    /// The bytes that were written to a connection and that the kernel of its peer has not
    /// acknowledged, sent or not. `None` if the kernel does not say so: the connection has ended.
    pub fn unacknowledged_bytes(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        // In place of a connection that has ended, the kernel finds its listener.
        let (state, queued) = self.ask(local, peer)?;
        (state != TCP_LISTEN).then_some(queued)
    }

    /// The state of a socket, and `idiag_wqueue`.
    fn ask(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<(u8, u32)> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(local, peer, self.sequence);
        rustix::net::send(&self.socket, &request, SendFlags::empty()).ok()?;
        let mut reply = [0; 512];
        // The reply is there already. One of an earlier request may precede it.
        loop {
            let (bytes, _) =
                rustix::net::recv(&self.socket, &mut reply, RecvFlags::empty()).ok()?;
            let reply = &reply[..bytes];
            let word = |at: usize| Some(u32::from_ne_bytes(*reply.get(at..)?.first_chunk()?));
            if word(8)? == self.sequence {
                let is_answer = reply.get(4..6)? == SOCK_DIAG_BY_FAMILY.to_ne_bytes();
                return is_answer.then_some((*reply.get(STATE_AT)?, word(WQUEUE_AT)?));
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn netlink() -> Option<OwnedFd> {
    use rustix::net::{SocketFlags, SocketType, netlink, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(netlink::SOCK_DIAG);
    socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol).ok()
}

#[cfg(not(target_os = "linux"))]
fn netlink() -> Option<OwnedFd> {
    None
}

fn request(local: SocketAddr, peer: SocketAddr, sequence: u32) -> [u8; REQUEST_BYTES] {
    let (family, interface) = match local {
        SocketAddr::V4(_) => (AddressFamily::INET, 0),
        SocketAddr::V6(local) => (AddressFamily::INET6, local.scope_id()),
    };
    let mut request = [0; REQUEST_BYTES];
    let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(REQUEST_BYTES as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    put(8, &sequence.to_ne_bytes());
    put(16, &[family.as_raw() as u8, IPPROTO_TCP]);
    // In any state.
    put(20, &u32::MAX.to_ne_bytes());
    for (port_at, address_at, address) in [(24, 28, local), (26, 44, peer)] {
        put(port_at, &address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => put(address_at, &ip.octets()),
            IpAddr::V6(ip) => put(address_at, &ip.octets()),
        }
    }
    put(60, &interface.to_ne_bytes());
    // With any cookie.
    put(64, &u64::MAX.to_ne_bytes());
    request
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, TcpStream};

    use super::*;

    fn ask(diag: &mut SockDiag, socket: &TcpStream) -> Option<u32> {
        let local = socket.local_addr().expect("it is connected");
        diag.unacknowledged_bytes(local, socket.peer_addr().ok()?)
    }

    // T79
    #[test]
    fn the_kernel_says_what_a_peer_has_not_acknowledged() {
        let mut diag = SockDiag::open().expect("Linux");
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).expect("a free port");
            let mut peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("up");
            let (mut socket, _) = listener.accept().expect("a connection");
            assert_eq!(ask(&mut diag, &socket), Some(0));
            // More than the peer has room for.
            socket.set_nonblocking(true).expect("a socket option");
            let mut written = 0;
            loop {
                match socket.write(&[0; 1 << 16]) {
                    Ok(bytes) => written += bytes,
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            let held = ask(&mut diag, &socket).expect("it is open");
            assert!(held > 0 && held as usize <= written, "{held} of {written} bytes");
            socket.shutdown(Shutdown::Write).expect("it is open");
            let read = peer.read_to_end(&mut Vec::new()).expect("all of them");
            assert_eq!(read, written);
            // The last acknowledgement may be delayed; the end counts as a byte.
            while ask(&mut diag, &socket).is_some_and(|held| held > 0) {
                std::thread::yield_now();
            }
            let local = socket.local_addr().expect("it is open");
            assert_eq!(diag.unacknowledged_bytes(local, local), None, "the listener");
            drop(listener);
            assert_eq!(diag.unacknowledged_bytes(local, local), None, "nothing");
        }
    }
}
