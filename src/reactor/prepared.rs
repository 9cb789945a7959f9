//! What is read and checked before the server listens.

use tracing::warn;

use super::admin_token;
use super::memory;
use super::pages::Pages;
use super::state_file::StateFile;
use super::tls::Certificate;
use super::{StartError, failed};
use crate::config::Serve;
use crate::http::Assets;
use crate::limits::{CONNECTION_BYTES, FDS_RESERVED_MIN, TLS_CONNECTION_BYTES};
use crate::server::{Games, Policy, Server, Setup};

/// The files of the settings, and the limits that follow from the machine.
pub struct Prepared {
    pub pages: Pages,
    pub certificate: Option<Certificate>,
    pub state_file: Option<StateFile>,
    pub for_server: ForServer,
}

/// What a server is made from, besides its settings.
pub struct ForServer {
    assets: Assets,
    pub connections_max: usize,
    admin_token: Option<String>,
    pub memory_max: Option<usize>,
}

/// The random numbers of a server.
#[derive(Clone, Copy)]
pub struct Seeds {
    /// Used unless the operator has chosen one.
    pub seed: u64,
    pub secret: [u8; 32],
}

impl ForServer {
    /// The server, which listens on `ports`.
    ///
    /// # Errors
    /// One sentence: which settings contradict each other.
    pub fn server(
        self,
        settings: Serve,
        games: Games,
        ports: Vec<u16>,
        Seeds { seed, secret }: Seeds,
    ) -> Result<Server, StartError> {
        let ForServer { assets, connections_max, admin_token, memory_max } = self;
        let seed = settings.seed.unwrap_or(seed);
        let setup = Setup {
            seed,
            secret,
            admin_token,
            fault_hook: None,
            ports,
            settings,
            games,
            assets,
            connections_max,
            memory_max,
        };
        Server::new(setup).map_err(StartError::Refused)
    }
}

impl Prepared {
    /// Reads the files of the settings.
    ///
    /// # Errors
    /// One sentence: what cannot be used, or how the machine failed.
    pub fn of(settings: &Serve) -> Result<Prepared, StartError> {
        let pages = Pages::of(settings).map_err(StartError::Refused)?;
        let assets = pages.read().map_err(StartError::Refused)?;
        let fds_max = rlimit::increase_nofile_limit(u64::MAX).map_err(|error| failed(&error))?;
        let fds_free = fds_max.saturating_sub(FDS_RESERVED_MIN.max(fds_max / 10)).max(1) as usize;
        if let Some(asked) = settings.connections_max.filter(|asked| *asked > fds_free) {
            warn!(
                asked,
                connections_max = fds_free,
                "the limit of file descriptors allows no more"
            );
        }
        let admin_token = settings.admin_token_file.as_deref().map(admin_token::read);
        let admin_token = admin_token.transpose().map_err(StartError::Refused)?;
        let certificate = Certificate::of(settings).map_err(StartError::Refused)?;
        let state_file = StateFile::of(settings).map_err(StartError::Refused)?;
        let memory_max = match (settings.max_memory, Policy::of(settings).limits_memory) {
            (None, false) => None,
            (asked, _) => Some(memory::max(asked).map_err(StartError::Refused)?),
        };
        let connections_max = settings.connections_max.unwrap_or_else(|| {
            // Half of the memory, because connections without a player belong to no address.
            let tls_bytes = certificate.as_ref().map_or(0, |_| TLS_CONNECTION_BYTES);
            let each = CONNECTION_BYTES + tls_bytes;
            memory_max.map_or(usize::MAX, |max| max / 2 / each)
        });
        let connections_max = connections_max.min(fds_free);
        let for_server = ForServer { assets, connections_max, admin_token, memory_max };
        Ok(Prepared { pages, certificate, state_file, for_server })
    }
}
