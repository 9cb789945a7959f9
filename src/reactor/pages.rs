//! Reads the pages, at start and again on SIGHUP.
//!
//! The reactor calls it, and passes the resulting [`Assets`] to the server. A reload reads and
//! compresses on a thread of its own, because that takes longer than a tick.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use tracing::{error, info};

use crate::config::Serve;
use crate::http::{Assets, Files, PagePolicy};
use crate::server::Server;

/// The pages of the operator, and a reload in progress.
pub struct Pages {
    source: Source,
    reload: Option<Receiver<Result<Files, String>>>,
    /// Whether SIGHUP has come during the reload.
    is_outdated: bool,
}

/// The files of the operator that replace or extend the pages in the binary.
#[derive(Clone)]
struct Source {
    www: Option<PathBuf>,
    socketio_client: Option<PathBuf>,
    policy: PagePolicy,
}

impl Source {
    /// Reads the files.
    fn read(&self) -> Result<Files, String> {
        let cannot = |path: &PathBuf, error| format!("cannot read {}: {error}.", path.display());
        let mut files = match &self.www {
            Some(folder) => {
                let files =
                    Files::read(folder, &self.policy).map_err(|error| cannot(folder, error))?;
                if !files.has("/") {
                    let folder = folder.display();
                    info!(%folder, "the folder has no index.html, so / is the built-in page");
                }
                files
            }
            None => Files::default(),
        };
        if let Some(file) = &self.socketio_client {
            files.read_socketio_client(file).map_err(|error| cannot(file, error))?;
        }
        Ok(files.over_built_in(&self.policy))
    }
}

impl Pages {
    /// # Errors
    /// One sentence: which flags contradict each other.
    pub fn of(settings: &Serve) -> Result<Pages, String> {
        let (www, socketio_client) = (settings.www.clone(), settings.socketio_client.clone());
        let policy = PagePolicy::new(settings.csp.clone(), settings.frame_ancestors.clone())?;
        let source = Source { www, socketio_client, policy };
        Ok(Pages { source, reload: None, is_outdated: false })
    }

    /// Reads the files.
    ///
    /// # Errors
    /// One sentence: what cannot be read, and why.
    pub fn read(&self) -> Result<Assets, String> {
        self.source.read().map(Assets::from)
    }

    /// Begins to read the files again.
    pub fn begin_reload(&mut self) {
        if self.source.www.is_none() && self.source.socketio_client.is_none() {
            info!("SIGHUP: the pages are in the binary; nothing to reload");
            return;
        } else if self.reload.is_some() {
            self.is_outdated = true;
            return;
        }
        let (sender, receiver) = mpsc::channel();
        let source = self.source.clone();
        let read = move || {
            // Nothing receives it if the server has exited meanwhile.
            let _ = sender.send(source.read());
        };
        match thread::Builder::new().name("pages".to_owned()).spawn(read) {
            Ok(_) => self.reload = Some(receiver),
            Err(error) => error!(%error, "cannot reload the pages; still serving the old ones"),
        }
    }

    /// Passes reloaded pages to the server, if they are complete. On failure it keeps the old ones.
    pub fn finish_reload(&mut self, server: &mut Server) {
        let Some(result) = self.reload.as_ref().map(Receiver::try_recv) else { return };
        let result = match result {
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("an internal error.".to_owned()),
            Ok(result) => result,
        };
        self.reload = None;
        let Source { www, socketio_client, .. } = &self.source;
        let from: Vec<&PathBuf> = [www, socketio_client].into_iter().flatten().collect();
        match result.map(Assets::from) {
            Ok(assets) => {
                server.set_assets(assets);
                info!(?from, "pages reloaded");
            }
            Err(error) => {
                error!(?from, %error, "cannot reload the pages; still serving the old ones");
            }
        }
        if std::mem::take(&mut self.is_outdated) {
            self.begin_reload();
        }
    }
}
