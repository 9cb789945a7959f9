//! The machine of a run, for the report.

use std::fs;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The machine on which the load test ran, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// When the report was made: `2026-11-29 10:49 UTC`.
    pub date: String,
    /// The command line.
    pub command: String,
    /// The version of Skirmish.
    pub version: String,
    /// The model of the CPU.
    pub cpu: String,
    /// CPU cores that this process may use.
    pub cores: usize,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// The operating system and its version.
    pub kernel: String,
}

impl Machine {
    /// Reads the details of this machine; what cannot be read is `unknown`.
    #[must_use]
    pub fn read(command: &str) -> Machine {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (system, release) = ("/proc/sys/kernel/ostype", "/proc/sys/kernel/osrelease");
        let or_unknown = |text: &str| match text.trim() {
            "" => "unknown".to_owned(),
            known => known.to_owned(),
        };
        let memory = text("/proc/meminfo");
        let memory_kib = field(&memory, "MemTotal").and_then(|kib| kib.split(' ').next());
        Machine {
            date: date(now.as_secs()),
            command: command.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cpu: or_unknown(field(&text("/proc/cpuinfo"), "model name").unwrap_or_default()),
            cores: available_parallelism().map_or(0, usize::from),
            memory_mib: memory_kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024,
            kernel: or_unknown(&format!("{} {}", text(system).trim(), text(release).trim())),
        }
    }
}

/// The value of the first line `name : value`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The date of a number of seconds since 1970, in the Gregorian calendar. Counts the years from
/// March, so that the leap day comes last.
fn date(unix_s: u64) -> String {
    const DAYS_A_CYCLE: u64 = 146_097;
    let (days, minutes) = (unix_s / 86_400, unix_s % 86_400 / 60);
    // 0000-03-01 is 719,468 days before 1970-01-01.
    let days = days + 719_468;
    let (cycle, day) = (days / DAYS_A_CYCLE, days % DAYS_A_CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = cycle * 400 + year + next;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_251_200, "2024-03-01 00:00 UTC"),
            (1_795_949_353, "2026-11-29 10:49 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(unix_s), text);
        }
    }

    #[test]
    fn this_machine_has_details() {
        let machine = Machine::read("skirmish load");
        assert!(machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert_eq!(field("a\t: x y\nb: 2\n", "b"), Some("2"));
    }
}
