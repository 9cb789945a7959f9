//! The certificate and its key: read at the start, and again on SIGHUP and when the files change.
//!
//! A thread of its own reads them, because a disk can be slow. New connections get the new
//! certificate; the others go on.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tracing::{error, info};

use super::session::Session;
use crate::config::Serve;
use crate::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_CHECK_MS};
use crate::reactor::io::Layer;

/// The certificate of the server, and the thread that watches its files.
#[derive(Debug)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    /// Makes the thread read the files at once.
    reload: SyncSender<()>,
}

impl Certificate {
    /// Reads the files of `--cert` and `--key`, and watches them. `None` without the flags.
    ///
    /// # Errors
    /// One sentence: what cannot be used, and what to do.
    pub fn of(settings: &Serve) -> Result<Option<Certificate>, String> {
        let (Some(cert), Some(key)) = (settings.cert.clone(), settings.key.clone()) else {
            return Ok(None);
        };
        let provider = Arc::new(ring::default_provider());
        let files = Files { cert, key };
        // Before they are read: a change in between is seen as one.
        let stamp = files.stamp();
        let current = RwLock::new(files.read(&provider)?);
        let current = Arc::new(Current(current));
        let failed = |error: rustls::Error| format!("cannot start TLS: {error}.");
        let versions = [&version::TLS13, &version::TLS12];
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A client that comes back spares the server the signature.
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        let (reload, asked) = mpsc::sync_channel(1);
        let watch = move || {
            let mut watch = Watch { files, current, provider, loaded: stamp, seen: stamp };
            loop {
                match asked.recv_timeout(Duration::from_millis(CERTIFICATE_CHECK_MS)) {
                    Ok(()) => watch.reload(),
                    Err(RecvTimeoutError::Timeout) => watch.check(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        thread::Builder::new()
            .name("certificate".to_owned())
            .spawn(watch)
            .map_err(|error| format!("cannot watch the certificate: {error}."))?;
        Ok(Some(Certificate { config: Arc::new(config), reload }))
    }

    /// Reads the files again, on the other thread.
    pub fn reload(&self) {
        // It is full if a reload is due already.
        let _ = self.reload.try_send(());
    }

    /// Makes the layer of each new connection.
    pub fn layers(&self) -> Box<dyn Fn() -> Box<dyn Layer>> {
        let config = Arc::clone(&self.config);
        Box::new(move || Box::new(Session::new(&config).expect("the config has a provider")))
    }
}

/// The certificate that new connections get.
struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The files of the operator.
#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What changes with a file: its number, its size and its time of change. Links are followed.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl Files {
    fn stamp(&self) -> Stamp {
        let of = |file: &PathBuf| {
            let data = fs::metadata(file).ok()?;
            Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
        };
        [of(&self.cert), of(&self.key)]
    }

    /// Reads and checks the files.
    fn read(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
        let (cert, key) = (self.cert.display(), self.key.display());
        let chain = read(&self.cert)?;
        let chain: Vec<CertificateDer> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{cert} is not a valid PEM file: {error}."))?;
        if chain.is_empty() {
            return Err(format!(
                "{cert} contains no certificate; --cert takes a PEM file with the certificate of \
                 the server first, and then those that certify it."
            ));
        }
        let pem = read(&self.key)?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
            pem::Error::NoItemsFound if is_encrypted(&pem) => format!(
                "{key} is encrypted; remove its passphrase, for example with openssl pkey, and \
                 let only the server read it."
            ),
            pem::Error::NoItemsFound => {
                format!("{key} contains no private key; --key takes the PEM file of the key.")
            }
            error => format!("{key} is not a valid PEM file: {error}."),
        })?;
        CertifiedKey::from_der(chain, private, provider).map(Arc::new).map_err(
            |error| match error {
                rustls::Error::InconsistentKeys(_) => format!(
                    "{key} is not the key of the certificate {cert}; pass the two files of one \
                     certificate."
                ),
                error => format!("{cert} and {key} cannot be used: {error}."),
            },
        )
    }
}

/// Reads a plain file. A FIFO or a device would never end.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file);
    opened
        .and_then(|opened| match opened.metadata()?.is_file() {
            true => opened.take(CERTIFICATE_BYTES_MAX).read_to_end(&mut bytes),
            false => Err(io::Error::other("it is not a regular file")),
        })
        .map_err(|error| format!("cannot read {}: {error}.", file.display()))?;
    Ok(bytes)
}

fn is_encrypted(pem: &[u8]) -> bool {
    const MARKS: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    MARKS.iter().any(|mark| pem.windows(mark.len()).any(|window| window == *mark))
}

/// The thread that watches the files.
struct Watch {
    files: Files,
    current: Arc<Current>,
    provider: Arc<CryptoProvider>,
    /// The files that were read last.
    loaded: Stamp,
    /// The files at the last check.
    seen: Stamp,
}

impl Watch {
    /// Reads the files if they have changed, once they have stayed the same for one interval: a
    /// program writes the certificate first, and then its key.
    fn check(&mut self) {
        let stamp = self.files.stamp();
        let is_steady = std::mem::replace(&mut self.seen, stamp) == stamp;
        if is_steady && stamp != self.loaded {
            self.reload();
        }
    }

    fn reload(&mut self) {
        self.loaded = self.files.stamp();
        let Files { cert, key } = &self.files;
        let (cert, key) = (cert.display(), key.display());
        match self.files.read(&self.provider) {
            Ok(new) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = new;
                info!(%cert, %key, "certificate reloaded");
            }
            Err(sentence) => error!("{sentence} The old certificate stays in use."),
        }
    }
}
