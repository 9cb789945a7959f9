//! The socket of a client, with TLS if the URL asks for it.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::Failure;
use crate::config::Load;

/// How the sockets of a run begin.
#[derive(Clone, Debug)]
pub enum Security {
    /// Without TLS.
    None,
    /// With TLS: what is trusted, and the name of the server.
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

impl Security {
    /// What the URL and the flags ask for.
    ///
    /// # Errors
    /// [`Failure::Unusable`]: the certificates that are to be trusted cannot be used.
    pub fn of(options: &Load) -> Result<Security, Failure> {
        if !options.url.is_secure() {
            return Ok(Security::None);
        }
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::Unusable(format!("Cannot use TLS to {}: {error}.", options.url.host))
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let trust = match (&options.ca, options.insecure) {
            (_, true) => Trust::Any,
            (Some(file), _) => Trust::chains(certificates(file)?, &provider)?,
            (None, _) => Trust::chains(rustls_native_certs::load_native_certs().certs, &provider)?,
        };
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each player is another client.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(options.url.host.clone());
        let name = name.map_err(|error| unusable(&error))?;
        Ok(Security::Tls(Arc::new(config), name))
    }

    /// Adds TLS to a socket, if there is any.
    ///
    /// # Errors
    /// TLS cannot begin.
    pub fn stream(&self, socket: TcpStream) -> io::Result<Stream> {
        Ok(match self {
            Security::None => Stream::Plain(socket),
            Security::Tls(config, name) => {
                let tls = ClientConnection::new(Arc::clone(config), name.clone());
                let tls = tls.map_err(io::Error::other)?;
                Stream::Tls(Box::new(Encrypted { socket, tls }))
            }
        })
    }
}

/// The certificates of the file of `--ca`.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = fs::read(file).map_err(|error| error.to_string()).and_then(|pem| {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        all.map_err(|error| error.to_string())
    });
    let read =
        read.and_then(|all| if all.is_empty() { Err("there is none".into()) } else { Ok(all) });
    read.map_err(|error| {
        let file = file.display();
        Failure::Unusable(format!(
            "Cannot use the certificates in {file}: {error}; --ca takes a PEM file."
        ))
    })
}

/// A socket. Reads and writes never block.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<Encrypted>),
}

/// A socket with TLS.
#[derive(Debug)]
pub struct Encrypted {
    socket: TcpStream,
    tls: ClientConnection,
}

impl Stream {
    /// The socket.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &mut stream.socket,
        }
    }

    /// Reads once. A read that does not fill the buffer has emptied the socket.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes `out`, and what TLS has to write, until the socket takes no more.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => write_all(out, |bytes| socket.write(bytes)),
            Stream::Tls(stream) => stream.write(out),
        }
    }
}

fn write_all(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<()> {
    while !out.is_empty() {
        match write(out) {
            Ok(length) => drop(out.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        loop {
            match self.tls.reader().read(&mut buffer[length..]) {
                Ok(0) => return Ok(length),
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The server has closed the connection without an alert: the frames tell whether
                // something is missing.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(length),
                Err(error) => return Err(error),
            }
            if length == buffer.len() {
                return Ok(length);
            }
            match self.tls.read_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && length > 0 => {
                    return Ok(length);
                }
                Err(error) => return Err(error),
            }
            let processed = self.tls.process_new_packets();
            // The next step of the handshake, or the alert about an error.
            self.flush()?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let count = self.tls.writer().write(out)?;
            out.drain(..count);
            self.flush()?;
            if count == 0 || out.is_empty() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => drop(result?),
            }
        }
        Ok(())
    }
}

/// Which certificates are trusted.
#[derive(Debug)]
enum Trust {
    /// Any (`--insecure`).
    Any,
    /// Those that these certificates certify, and these themselves: a server may use one that it
    /// has signed itself.
    Chains(Arc<WebPkiServerVerifier>, Vec<CertificateDer<'static>>),
}

impl Trust {
    fn chains(
        all: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Trust, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(all.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        let verifier = verifier.build().map_err(|_| {
            let sentence = "There are no certificates to trust; install ca-certificates, or set \
                            --ca FILE or --insecure.";
            Failure::Unusable(sentence.to_owned())
        })?;
        Ok(Trust::Chains(verifier, all))
    }
}

/// Verifies the server. Signatures are verified in any case.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Chains(verifier, all) if !all.iter().any(|one| one == end_entity) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
