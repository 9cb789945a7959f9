//! What the machine says about the process. The names and meanings of the series are those of all
//! Prometheus clients.

use super::text::{Kind, Text};

/// What the machine says about the process; `None` for what it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Time of a processor, in seconds.
    pub cpu_s: Option<f64>,
    /// Memory in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// Address space in use, in bytes.
    pub virtual_bytes: Option<u64>,
    /// File descriptors in use.
    pub open_fds: Option<u64>,
    /// The limit of file descriptors.
    pub fds_max: Option<u64>,
}

impl Process {
    pub(super) fn write(&self, text: &mut Text) {
        let Process { cpu_s, resident_bytes, virtual_bytes, open_fds, fds_max } = *self;
        if let Some(cpu_s) = cpu_s {
            let help = "Time of a processor that the process has used.";
            text.single(Kind::Counter, "process_cpu_seconds_total", help, cpu_s);
        }
        let counts = [
            ("process_resident_memory_bytes", "Memory in use.", resident_bytes),
            ("process_virtual_memory_bytes", "Address space in use.", virtual_bytes),
            ("process_open_fds", "File descriptors in use.", open_fds),
            ("process_max_fds", "The limit of file descriptors.", fds_max),
        ];
        for (name, help, value) in counts {
            if let Some(value) = value {
                text.single(Kind::Gauge, name, help, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_does_not_say_is_absent() {
        let mut text = Text::default();
        Process { open_fds: Some(7), ..Process::default() }.write(&mut text);
        let text = text.into_string();
        assert_eq!(text.lines().last(), Some("process_open_fds 7"));
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
