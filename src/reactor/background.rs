//! Threads for what would block the loop: files that are read or written.

use std::io;
use std::thread;

/// How much less of a processor a thread gets than the loop, if both want it (see nice(1)).
#[cfg(target_os = "linux")]
const NICE: i32 = 15;

/// Runs `work` in a thread. On Linux the loop goes before it: it has a tick every 50 ms, and files
/// can wait.
///
/// # Errors
/// If the system starts no more threads.
pub fn run(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let run = move || {
        // Of Linux this is the priority of a thread, and elsewhere that of the process.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "cannot lower the priority of a thread");
        }
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_has_a_lower_priority() {
        let before = getpriority_process(None).expect("Linux has it");
        let (sender, receiver) = mpsc::channel();
        run("test", move || {
            let _ = sender.send(getpriority_process(None));
        })
        .expect("a thread starts");
        let nice = receiver.recv().expect("the thread runs").expect("Linux has it");
        assert_eq!(nice, NICE.max(before));
        assert_eq!(getpriority_process(None), Ok(before));
    }
}
