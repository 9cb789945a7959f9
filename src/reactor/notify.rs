//! Messages to the service manager that has started the server (`sd_notify(3)`, `Type=notify`).
//! Without one, nothing is sent.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// The server listens.
pub fn ready() {
    notify("READY=1");
}

/// The server shuts down.
pub fn stopping() {
    notify("STOPPING=1");
}

fn notify(message: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return;
    };
    if let Err(error) = send(&name, message) {
        let name = name.to_string_lossy();
        warn!(%error, %name, "cannot notify the service manager (NOTIFY_SOCKET)");
    }
}

fn send(name: &OsStr, message: &str) -> std::io::Result<()> {
    let addr = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // The server must not wait for the manager.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &addr).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_an_at_sign_is_an_abstract_socket() {
        let name = format!("skirmish-notify-{}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).expect("an address");
        let manager = UnixDatagram::bind_addr(&addr).expect("a socket");
        send(OsStr::new(&format!("@{name}")), "READY=1").expect("it is sent");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("a message");
        assert_eq!(&buffer[..length], b"READY=1");
    }
}
