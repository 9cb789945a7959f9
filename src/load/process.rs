//! CPU time and memory of a process, from `/proc` (Linux).

use std::fs;
use std::io;

/// The unit of CPU times under `/proc`: `USER_HZ` is 100 on every platform that Rust supports.
const CLOCK_TICK_US: u64 = 10_000;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads, user and system.
    pub cpu_us: u64,
    /// Resident memory now.
    pub rss_kib: u64,
    /// Peak resident memory.
    pub rss_peak_kib: u64,
}

/// Reads what a process has used; `None` for this process.
///
/// # Errors
/// The process does not exist, or `/proc` is missing.
pub fn usage(pid: Option<u32>) -> io::Result<Usage> {
    let folder = match pid {
        Some(pid) => format!("/proc/{pid}"),
        None => "/proc/self".to_owned(),
    };
    let stat = fs::read_to_string(format!("{folder}/stat"))?;
    let status = fs::read_to_string(format!("{folder}/status"))?;
    cpu_us(&stat)
        .zip(kib(&status, "VmRSS:"))
        .zip(kib(&status, "VmHWM:"))
        .map(|((cpu_us, rss_kib), rss_peak_kib)| Usage { cpu_us, rss_kib, rss_peak_kib })
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the process has ended"))
}

/// The number of local ports for outgoing connections.
#[must_use]
pub fn ephemeral_ports() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    Some(last.saturating_sub(first) + 1)
}

/// `utime` and `stime`, fields 14 and 15 of `stat` (proc(5)). The name in field 2 may contain
/// spaces and brackets, so the fields are counted from its last bracket.
fn cpu_us(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((user + kernel) * CLOCK_TICK_US)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_after_any_process_name() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0";
        assert_eq!(cpu_us(stat), Some(1_750_000));
        assert_eq!(cpu_us("42 (a) Z"), None);
        assert_eq!(kib("VmHWM:\t  900 kB\nVmRSS:\t  812 kB\n", "VmRSS:"), Some(812));
    }

    #[test]
    fn this_process_has_a_usage() {
        let usage = usage(None).unwrap();
        assert!(usage.rss_kib > 0 && usage.rss_peak_kib >= usage.rss_kib / 2);
    }

    #[test]
    fn an_unknown_process_is_an_error() {
        assert!(usage(Some(u32::MAX)).is_err());
    }
}
