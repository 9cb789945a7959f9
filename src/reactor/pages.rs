//! Reads the pages, at start and again on SIGHUP.
//!
//! The reactor calls it, and passes the resulting [`Assets`] to the server.

use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::config::Serve;
use crate::http::Assets;
use crate::server::Server;

/// The files of the operator that replace or extend the pages in the binary.
pub struct Pages {
    www: Option<PathBuf>,
    socketio_client: Option<PathBuf>,
}

impl Pages {
    pub fn of(settings: &Serve) -> Pages {
        Pages { www: settings.www.clone(), socketio_client: settings.socketio_client.clone() }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// One sentence: what cannot be read, and why.
    pub fn read(&self) -> Result<Assets, String> {
        let cannot = |path: &PathBuf, error| format!("cannot read {}: {error}.", path.display());
        let mut assets = match &self.www {
            Some(folder) => Assets::read(folder).map_err(|error| cannot(folder, error))?,
            None => Assets::embedded(),
        };
        if let Some(file) = &self.socketio_client {
            assets.read_socketio_client(file).map_err(|error| cannot(file, error))?;
        }
        Ok(assets)
    }

    /// Warns about a folder without a page for `/`.
    pub fn check_home(&self, assets: &Assets) {
        if let Some(folder) = self.www.as_ref().filter(|_| !assets.has_home()) {
            let folder = folder.display();
            warn!(%folder, "the folder has no index.html and no client.html, so / has no page");
        }
    }

    /// Reloads the files for `server`. On failure the server keeps the old ones.
    pub fn reload(&self, server: &mut Server) {
        let given: Vec<_> = [&self.www, &self.socketio_client].into_iter().flatten().collect();
        if given.is_empty() {
            info!("SIGHUP: the pages are in the binary; nothing to reload");
            return;
        }
        match self.read() {
            Ok(assets) => {
                self.check_home(&assets);
                server.set_assets(assets);
                info!(from = ?given, "pages reloaded");
            }
            Err(error) => {
                error!(
                    from = ?given,
                    %error,
                    "cannot reload the pages; still serving the old ones"
                );
            }
        }
    }
}
