//! Reads the pages, at start and again on SIGHUP.
//!
//! The reactor calls it, and passes the resulting [`Assets`] to the server. A reload reads and
//! compresses on a thread of its own, because that takes longer than a tick. Old pages are freed on
//! one, too.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, JoinHandle};

use tracing::{error, info};

use crate::config::Serve;
use crate::http::{Assets, PagePolicy};
use crate::server::Server;

/// The pages of the operator, and a reload in progress.
pub struct Pages {
    source: Source,
    reload: Option<Receiver<Result<Assets, String>>>,
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
    fn read(&self) -> Result<Assets, String> {
        let cannot = |path: &PathBuf, error| format!("cannot read {}: {error}.", path.display());
        let mut files = match &self.www {
            Some(folder) => {
                let files =
                    Assets::read(folder, &self.policy).map_err(|error| cannot(folder, error))?;
                if !files.has("/") {
                    let folder = folder.display();
                    info!(%folder, "the folder has no index.html, so / is the built-in page");
                }
                files
            }
            None => Assets::default(),
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
        self.source.read()
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
        match spawn(read) {
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
        match result {
            Ok(assets) => {
                let old = server.replace_assets(assets);
                // If no thread can be started, they are freed here.
                spawn(move || drop(old)).ok();
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

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("pages".to_owned()).spawn(work)
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use allocation_counter::{AllocationInfo, measure};
    use clap::Parser;

    use super::*;
    use crate::game::GAMES;
    use crate::reactor::Seeds;
    use crate::reactor::prepared::Prepared;
    use crate::server::Games;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Serve,
    }

    // T80
    #[test]
    fn an_exchange_of_pages_neither_copies_nor_frees_them() {
        const BYTES: usize = 4 << 20;
        let folder = env::temp_dir().join(format!("skirmish-pages-{}", process::id()));
        fs::create_dir(&folder).expect("it does not exist");
        fs::write(folder.join("large.bin"), vec![1; BYTES]).expect("there is space");
        let flags = ["server", "--www", folder.to_str().expect("a plain path")];
        let settings = Flags::parse_from(flags).settings;
        let prepared = Prepared::of(&settings).unwrap_or_else(|_| panic!("the folder is right"));
        let Prepared { mut pages, for_server, .. } = prepared;
        let games = Games::new(&GAMES).expect("valid games");
        let seeds = Seeds { seed: 1, secret: [1; 32] };
        let server = for_server.server(settings, games, vec![1], seeds);
        let mut server = server.unwrap_or_else(|_| panic!("the settings are right"));
        for _ in 0..2 {
            pages.begin_reload();
            let mut of_exchange = AllocationInfo::default();
            while pages.reload.is_some() {
                of_exchange = measure(|| pages.finish_reload(&mut server));
            }
            let AllocationInfo { bytes_total, bytes_current, .. } = of_exchange;
            assert!(bytes_total < BYTES as u64 / 4, "{bytes_total} bytes were allocated");
            assert!(bytes_current > -(BYTES as i64) / 4, "{bytes_current} bytes were freed");
        }
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
