//! The file with rooms and players: read at the start, written at the shutdown and now and then.
//!
//! It is written to a temporary file next to it, which is then renamed: there is always a whole
//! one. While the server runs, a thread writes it: a disk may take longer than a tick. A lock file
//! next to it keeps a second server away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use tracing::{error, info, warn};

use crate::config::Serve;
use crate::server::Server;
use crate::time::{Millis, TICKS_PER_SECOND};

/// The file, and a write in progress.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// After how many ticks it is written while the server runs; 0: only at the shutdown.
    every_ticks: u64,
    /// The tick on which it is written next.
    next_tick: u64,
    writing: Option<Receiver<io::Result<()>>>,
    /// Locked from [`StateFile::load`] until the process ends.
    lock: Option<File>,
}

impl StateFile {
    /// The file of `--state`, if there is one.
    ///
    /// # Errors
    /// One sentence: it cannot be written.
    pub fn of(settings: &Serve) -> Result<Option<StateFile>, String> {
        let Some(path) = settings.state.clone() else { return Ok(None) };
        if path.is_dir() {
            return Err(format!("{} is a folder; --state takes a file.", path.display()));
        } else if path.exists() && !path.is_file() {
            return Err(format!("{} is not a regular file; --state takes one.", path.display()));
        }
        let beside = with_suffix(&path, &format!("check-{}", std::process::id()));
        create(&beside)
            .and_then(|_| fs::remove_file(&beside))
            .map_err(|error| format!("cannot write --state {}: {error}.", path.display()))?;
        let every_ticks = u64::from(settings.state_every_s * TICKS_PER_SECOND);
        Ok(Some(StateFile { path, every_ticks, next_tick: 0, writing: None, lock: None }))
    }

    /// Gives the server the rooms and players of the last one. A file that is damaged is set aside,
    /// and the server starts without it. No other server can use the file from now on.
    ///
    /// # Errors
    /// One sentence: another server uses it, or it cannot be read or set aside.
    pub fn load(&mut self, server: &mut Server) -> Result<(), String> {
        self.lock = Some(self.lock()?);
        let path = self.path.display();
        let Some(bytes) = self.read()? else { return Ok(()) };
        match server.restore(&bytes, Millis::default()) {
            Ok(restored) => {
                let (rooms, players) = (restored.rooms, restored.players);
                info!(rooms, players, %path, "restored rooms and players");
                // Its tokens work once. While the server runs, only a newer file has them again.
                replace(&self.path, &server.save_without_rooms())
                    .map_err(|error| format!("cannot write --state {path}: {error}."))
            }
            Err(what) => {
                let aside = with_suffix(&self.path, "damaged");
                fs::rename(&self.path, &aside)
                    .map_err(|error| format!("cannot set --state {path} aside: {error}."))?;
                let aside = aside.display();
                error!(%path, %aside, what, "the state file is damaged; starting without it");
                Ok(())
            }
        }
    }

    /// Reads the file into a server that is not used, and leaves it as it is. A file that is
    /// damaged is logged: it prevents no start.
    ///
    /// # Errors
    /// One sentence: it cannot be read.
    pub fn check(&self, server: &mut Server) -> Result<(), String> {
        let Some(bytes) = self.read()? else { return Ok(()) };
        if let Err(what) = server.restore(&bytes, Millis::default()) {
            let path = self.path.display();
            error!(%path, what, "the state file is damaged; the server would start without it");
        }
        Ok(())
    }

    /// Locks the file next to it: the file itself is replaced by each write.
    fn lock(&self) -> Result<File, String> {
        let path = self.path.display();
        let file = open_lock(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "another server uses --state {path}; stop it, or give each one its own file."
                ));
            }
            // Not all file systems have locks.
            Err(TryLockError::Error(error)) => warn!(%error, %path, "cannot lock --state"),
        }
        Ok(file)
    }

    /// The contents; `None` if there are none.
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        match fs::read(&self.path) {
            // The operator may have made it.
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read --state {}: {error}.", self.path.display())),
        }
    }

    /// Writes the file if it is time. Call it after each turn.
    pub fn run(&mut self, server: &mut Server) {
        if let Some(result) = self.writing.as_ref().map(Receiver::try_recv) {
            match result {
                Err(TryRecvError::Empty) => return,
                Ok(Ok(())) => server.metrics_mut().state_writes += 1,
                Ok(Err(error)) => {
                    server.metrics_mut().state_write_failures += 1;
                    warn!(%error, path = %self.path.display(), "cannot write --state");
                }
                Err(TryRecvError::Disconnected) => {
                    server.metrics_mut().state_write_failures += 1;
                    error!("the writer of --state has ended");
                }
            }
            self.writing = None;
        }
        let tick = server.metrics().ticks;
        if self.every_ticks == 0 || tick < self.next_tick {
            return;
        }
        self.next_tick = tick + self.every_ticks;
        let (sender, receiver) = mpsc::channel();
        let (path, bytes) = (self.path.clone(), server.save());
        let write = move || {
            // Nothing receives it if the server has exited meanwhile.
            let _ = sender.send(replace(&path, &bytes));
        };
        match thread::Builder::new().name("state".to_owned()).spawn(write) {
            Ok(_) => self.writing = Some(receiver),
            Err(error) => {
                server.metrics_mut().state_write_failures += 1;
                warn!(%error, "cannot start the writer of --state");
            }
        }
    }

    /// Writes the file for the next server.
    ///
    /// # Errors
    /// One sentence.
    pub fn finish(&mut self, server: &Server) -> Result<(), String> {
        // An older state must not replace the newest one.
        if let Some(writing) = self.writing.take() {
            let _ = writing.recv();
        }
        let bytes = server.save();
        let path = self.path.display();
        replace(&self.path, &bytes).map_err(|error| {
            format!("cannot write --state {path}: {error}; its players are lost.")
        })?;
        info!(%path, bytes = bytes.len(), "wrote the rooms and players for the next server");
        Ok(())
    }
}

/// Opens the file that servers lock, and makes it if there is none.
fn open_lock(path: &Path) -> Result<File, String> {
    let beside = with_suffix(path, "lock");
    let name = beside.display();
    // To open a FIFO would wait, and a link may lead anywhere.
    match fs::symlink_metadata(&beside) {
        Ok(there) if !there.is_file() => {
            return Err(format!("{name} is not a regular file; remove it."));
        }
        _ => {}
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&beside);
    file.map_err(|error| format!("cannot open {name}: {error}."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Only its owner may read it: the addresses of players are in it. What is there already is not
/// opened, as it may be a link.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a temporary file next to it, and renames that.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = with_suffix(path, "new");
    let mut file = create(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    // The new name must last, too.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_its_owner_reads_it() {
        let folder = std::env::temp_dir().join(format!("skirmish-state-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("state");
        for bytes in [&b"a longer one"[..], b"short"] {
            replace(&path, bytes).expect("it is written");
            assert_eq!(fs::read(&path).expect("a file"), bytes);
        }
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!with_suffix(&path, "new").exists());
        fs::remove_dir_all(folder).expect("it is removed");
    }
}
