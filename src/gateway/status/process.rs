//! What the system says of this process.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Time, memory and descriptors of this process; what cannot be read is absent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) descriptors: Option<usize>,
    pub(super) most_descriptors: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).ok();
        let pages = read("statm").and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        let open = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            cpu_seconds: read("stat").and_then(|text| cpu_ticks(&text)).map(|ticks| {
                #[expect(clippy::cast_precision_loss, reason = "a metric")]
                let (ticks, second) = (ticks as f64, clock_ticks_per_second() as f64);
                ticks / second
            }),
            resident_bytes: pages.map(|pages| pages.saturating_mul(page_size() as u64)),
            // Reading the directory opens one.
            descriptors: open.map(|open| open.saturating_sub(1)),
            most_descriptors: getrlimit(Resource::Nofile).current,
        }
    }
}

/// User and system time, fields 14 and 15 (proc_pid_stat(5)); the second may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    Some(user + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_strange_name() {
        let stat = "1 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("1 (a) S 1 2"), None);
    }

    #[test]
    fn this_process_is_known() {
        let now = Process::now();
        assert!(now.cpu_seconds.is_some_and(|seconds| seconds < 1e6));
        assert!(now.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(now.descriptors.is_some_and(|open| open > 2));
    }
}
