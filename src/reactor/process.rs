//! What the machine says about this process, for `/metrics`: read when it is asked for.

use std::fs;

use rlimit::Resource;
use rustix::param::{clock_ticks_per_second, page_size};

use crate::metrics::Process;

const STAT: &str = "/proc/self/stat";

/// What the machine says now. Without `/proc` most of it is missing.
pub fn read() -> Process {
    Process {
        open_fds: open_fds(),
        fds_max: Resource::NOFILE.get_soft().ok().filter(|max| *max != rlimit::INFINITY),
        ..of_stat(&text(STAT), clock_ticks_per_second(), page_size() as u64)
    }
}

/// When the process started, in seconds since 1970. Call it once: the kernel takes long to make
/// `/proc/stat` for many processors, and its time of the boot may change by a second.
pub fn started_at_s() -> Option<f64> {
    started_at(&text(STAT), &text("/proc/stat"), clock_ticks_per_second())
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number of file descriptors. Newer kernels have it as the size of the folder (Linux 6.2).
fn open_fds() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        // One of the entries is the folder itself, which is read.
        0 => Some((fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

/// A field of `/proc/self/stat`. They are numbered from 1 (`proc_pid_stat(5)`).
fn field(stat: &str, number: usize) -> Option<u64> {
    // The name of the program is the second one, and may contain anything.
    let (_, from_third) = stat.rsplit_once(')')?;
    from_third.split_whitespace().nth(number - 3)?.parse().ok()
}

fn of_stat(stat: &str, ticks_per_s: u64, page_bytes: u64) -> Process {
    let ticks = field(stat, 14).zip(field(stat, 15));
    Process {
        cpu_s: ticks.map(|(user, system)| (user + system) as f64 / ticks_per_s as f64),
        virtual_bytes: field(stat, 23),
        resident_bytes: field(stat, 24).map(|pages| pages * page_bytes),
        ..Process::default()
    }
}

fn started_at(stat: &str, machine: &str, ticks_per_s: u64) -> Option<f64> {
    let boot_s = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot_s: u64 = boot_s.trim().parse().ok()?;
    Some(boot_s as f64 + field(stat, 22)? as f64 / ticks_per_s as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 2 0 12345 4096000 300 \
                    18446744073709551615 1";
        let expected = Process {
            cpu_s: Some(3.0),
            resident_bytes: Some(300 * 4_096),
            virtual_bytes: Some(4_096_000),
            ..Process::default()
        };
        assert_eq!(of_stat(stat, 100, 4_096), expected);
        let started_at_s = started_at(stat, "cpu 1 2\nbtime 1700000000\n", 100);
        assert_eq!(started_at_s, Some(1_700_000_123.45));
        assert_eq!(of_stat("", 100, 4_096), Process::default(), "a machine without /proc");
        assert_eq!(started_at("", "", 100), None);
    }

    #[test]
    fn this_process_is_described() {
        let process = read();
        assert!(process.open_fds.unwrap() >= 3 && process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.virtual_bytes >= process.resident_bytes);
        assert!(process.fds_max >= process.open_fds && process.cpu_s.unwrap() >= 0.0);
        assert!(started_at_s().unwrap() > 1_600_000_000.0);
    }
}
