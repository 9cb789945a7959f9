//! How much memory the server may hold for its clients (`--max-memory`), from what the machine, the
//! control group and the resource limits of the process allow.

use std::fs;
use std::path::Path;

use rlimit::Resource;

use crate::limits::MEMORY_BYTES_MIN;

/// The bytes that may be held for clients: what the operator `asked` for, or half of what the
/// process may use, less what it uses already.
///
/// # Errors
/// One sentence, if the process may not use as much as was asked for.
pub fn max(asked: Option<u64>) -> Result<usize, String> {
    let (limit, resident) = (limit(), resident());
    let max = match asked {
        None => (limit / 2).saturating_sub(resident).max(MEMORY_BYTES_MIN),
        Some(asked) if asked > limit.saturating_sub(resident) => {
            let (asked, free) = (mib(asked), mib(limit.saturating_sub(resident)));
            return Err(format!(
                "--max-memory is {asked} MiB, but only {free} MiB are left of what the machine or \
                 its control group allows this process; choose less."
            ));
        }
        Some(asked) => asked,
    };
    Ok(usize::try_from(max).unwrap_or(usize::MAX))
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// The bytes that the process may use: the least of the machine's memory, the limits of its control
/// groups (cgroups(7)), and `RLIMIT_AS`.
fn limit() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.and_then(|text| of_groups(&text, Path::new("/sys/fs/cgroup")));
    let address_space = Resource::AS.get_soft().ok().filter(|bytes| *bytes != rlimit::INFINITY);
    machine.into_iter().chain(group).chain(address_space).min().unwrap_or(u64::MAX)
}

/// The bytes of memory that the process uses now; 0 if that cannot be read.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmRSS:").unwrap_or_default()
}

/// `MemTotal` in bytes.
fn total(meminfo: &str) -> Option<u64> {
    field(meminfo, "MemTotal:")
}

/// The field of a file such as `/proc/meminfo`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The least limit of the control groups in `/proc/self/cgroup` and of their parents. Version 2
/// has one hierarchy, `0::/path`; version 1 has one for each list of controllers. A container sees
/// its own group as the root, so a path that does not exist under `root` is left out.
fn of_groups(text: &str, root: &Path) -> Option<u64> {
    let limits = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (folder, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = folder.join(path.trim_start_matches('/'));
        let parents = group.ancestors().take_while(|group| group.starts_with(&folder));
        let limit = |group: &Path| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
        // The text "max" stands for no limit.
        parents.filter_map(limit).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_half_of_what_the_process_may_use() {
        let max = max(None).unwrap() as u64;
        assert!(max >= MEMORY_BYTES_MIN && max <= limit() / 2, "{max}");
        assert!(resident() > 0);
    }

    #[test]
    fn more_than_the_process_may_use_is_refused() {
        let sentence = max(Some(limit())).unwrap_err();
        assert!(sentence.starts_with("--max-memory is ") && sentence.ends_with("choose less."));
        assert_eq!(max(Some(MEMORY_BYTES_MIN)), Ok(MEMORY_BYTES_MIN as usize));
    }

    // T41
    #[test]
    fn the_least_limit_of_the_control_groups_counts() {
        let root = std::env::temp_dir().join(format!("skirmish-groups-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        put("memory.max", "max\n");
        put("a/memory.max", "500\n");
        put("a/b/memory.max", "max\n");
        put("memory/c/memory.limit_in_bytes", "400\n");
        assert_eq!(of_groups("0::/a/b\n", &root), Some(500), "the parent has a limit");
        assert_eq!(of_groups("0::/a/other\n", &root), Some(500), "a path of the host");
        assert_eq!(of_groups("0::/\n", &root), None);
        assert_eq!(of_groups("5:cpu:/x\n3:hugetlb,memory:/c\n0::/a\n", &root), Some(400));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn fields_are_in_bytes() {
        assert_eq!(total("MemTotal:       24105000 kB\nMemFree: 1 kB\n"), Some(24_683_520_000));
    }
}
