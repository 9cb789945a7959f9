//! One TLS connection: a [`Layer`] over `rustls`.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::http::Response;
use crate::limits::{HTTP_HEAD_BYTES_MAX, TLS_HANDSHAKE_BYTES_MAX, TLS_RECORD_BYTES};
use crate::reactor::io::Layer;

/// Bytes of the first read: a `ClientHello` fits, and so does the head of a request by mistake.
/// What is left unread when the connection is closed resets it, and the peer may lose the response.
/// So it may lose that to a request whose head arrives in parts.
const FIRST_READ_BYTES: usize = HTTP_HEAD_BYTES_MAX;

/// The content type of a TLS record with a handshake message, its first byte (RFC 8446, section
/// 5.1).
const HANDSHAKE: u8 = 22;

/// The layer of a connection.
#[derive(Debug)]
pub struct Session {
    tls: ServerConnection,
    /// Decrypted bytes that were not returned yet.
    plaintext: usize,
    /// Bytes that were read before the handshake was complete.
    handshake_bytes: usize,
    /// Whether the last byte that was encrypted was not reported as taken, because the socket has
    /// not taken its ciphertext: the caller presents it again, and knows that it is not done.
    is_byte_owed: bool,
    /// The peer has ended TLS, which is reported behind the plaintext.
    end: End,
    /// The response to a request without TLS, as far as it is not written.
    refusal: Vec<u8>,
}

/// Whether the peer sends more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    None,
    Received,
    Reported,
}

impl Session {
    /// The layer of a new connection.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn new(config: &Arc<ServerConfig>) -> Result<Session, rustls::Error> {
        let mut tls = ServerConnection::new(Arc::clone(config))?;
        // Ciphertext that waits here is not seen by the limits on what waits for a client.
        tls.set_buffer_limit(Some(TLS_RECORD_BYTES));
        Ok(Session {
            tls,
            plaintext: 0,
            handshake_bytes: 0,
            is_byte_owed: false,
            end: End::None,
            refusal: Vec::new(),
        })
    }

    /// Reads once from the socket. Returns zero at its end.
    fn read_socket(&mut self, socket: &mut dyn Read) -> io::Result<usize> {
        if self.handshake_bytes > 0 {
            return self.tls.read_tls(socket);
        }
        let mut first = [0; FIRST_READ_BYTES];
        let count = socket.read(&mut first)?;
        let mut first = &first[..count];
        if first.first().is_some_and(|byte| *byte != HANDSHAKE && byte.is_ascii_uppercase()) {
            self.refusal = refusal();
            return Err(ErrorKind::InvalidData.into());
        }
        while !first.is_empty() {
            self.tls.read_tls(&mut first)?;
        }
        Ok(count)
    }

    /// Encrypts as much of the plaintext as the buffer takes. Returns how many bytes.
    fn encrypt(&mut self, slices: &[IoSlice], done: usize) -> io::Result<usize> {
        let mut writer = self.tls.writer();
        if done == 0 {
            return writer.write_vectored(slices);
        }
        let mut skip = done;
        for slice in slices {
            if skip < slice.len() {
                return writer.write(&slice[skip..]);
            }
            skip -= slice.len();
        }
        Ok(0)
    }
}

impl Layer for Session {
    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn has_plaintext(&self) -> bool {
        self.plaintext > 0 || self.end == End::Received
    }

    fn wants_write(&self) -> bool {
        !self.refusal.is_empty() || self.tls.wants_write()
    }

    fn read(&mut self, socket: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        if self.plaintext == 0 {
            if self.end != End::None {
                self.end = End::Reported;
                return Ok(0);
            }
            let count = self.read_socket(socket)?;
            if count == 0 {
                return Ok(0);
            }
            let state = self
                .tls
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            self.plaintext = state.plaintext_bytes_to_read();
            if self.handshake_bytes == 0 || self.tls.is_handshaking() {
                self.handshake_bytes += count;
            }
            if self.tls.is_handshaking() && self.handshake_bytes > TLS_HANDSHAKE_BYTES_MAX {
                return Err(ErrorKind::InvalidData.into());
            }
            if state.peer_has_closed() {
                self.end = End::Received;
            }
            if self.plaintext == 0 {
                // An end is read next.
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        let count = self.tls.reader().read(buffer)?;
        self.plaintext -= count;
        Ok(count)
    }

    fn write(&mut self, socket: &mut dyn Write, slices: &[IoSlice]) -> io::Result<usize> {
        let mut taken = usize::from(std::mem::take(&mut self.is_byte_owed));
        loop {
            let count = self.encrypt(slices, taken)?;
            taken += count;
            match self.flush(socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_byte_owed = taken > 0;
                    return Ok(taken.saturating_sub(1));
                }
                result => result?,
            }
            if count == 0 {
                return Ok(taken);
            }
        }
    }

    fn flush(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        while !self.refusal.is_empty() {
            let count = socket.write(&self.refusal)?;
            self.refusal.drain(..count);
        }
        while self.tls.wants_write() {
            self.tls.write_tls(socket)?;
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.refusal.is_empty() {
            self.tls.send_close_notify();
        }
    }
}

/// The response to a request that came without TLS, mostly of a browser whose user has typed
/// `http://`.
fn refusal() -> Vec<u8> {
    let sentence = "This port takes https:// and wss:// only; change the address.";
    let (mut bytes, body) = Response::sentence(400, sentence).into_bytes(false, false);
    if let Some(body) = body {
        bytes.extend_from_slice(body.bytes());
    }
    bytes
}
