//! Whether SIGHUP means that the terminal was closed, and not that the pages are to be reloaded.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use signal_hook::consts::SIGHUP;

/// The controlling terminal of the process.
#[derive(Debug)]
pub struct Terminal {
    /// Whether the process was started from one whose end is to end the process, too: not as a
    /// service, and not by `nohup`.
    ends_process: bool,
}

impl Terminal {
    /// The terminal at the start. Call it before SIGHUP gets a handler.
    pub fn at_start() -> Terminal {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Terminal { ends_process: open().is_ok() && !ignores_hangup(&status) }
    }

    /// Whether the terminal, from which the process was started, was closed.
    pub fn is_closed(&self) -> bool {
        // There may be other reasons why a file cannot be opened, such as too many open files.
        let is_end = |error: io::Error| {
            matches!(error.raw_os_error(), Some(libc::ENXIO | libc::EIO | libc::ENODEV))
        };
        self.ends_process && open().is_err_and(is_end)
    }
}

/// Opens the controlling terminal, without waiting for it.
fn open() -> io::Result<fs::File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty")
}

/// Whether SIGHUP is ignored, as `nohup` makes it, according to `/proc/self/status`.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn nohup_shows_in_the_signal_mask() {
        assert!(ignores_hangup("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
