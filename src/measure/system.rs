//! What the system did around a process: page faults, context switches, threads, memory, from `/proc`.

use kinstr_trace::report::SystemSummary;

/// Watches one process from now on.
#[derive(Debug)]
pub struct SystemWatch {
    id: u32,
    before: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    minor_faults: Option<u64>,
    major_faults: Option<u64>,
    voluntary: Option<u64>,
    involuntary: Option<u64>,
}

impl SystemWatch {
    /// Watches process `id`, which must be alive when [`SystemWatch::summary`] is asked for.
    pub fn of(id: u32) -> Self {
        Self { id, before: counts(id) }
    }

    /// What happened since; what `/proc` does not tell is absent.
    pub fn summary(&self) -> SystemSummary {
        let after = counts(self.id);
        let since = |after: Option<u64>, before: Option<u64>| Some(after?.saturating_sub(before?));
        let status = read(self.id, "status");
        SystemSummary {
            processor: processor(),
            cores: std::thread::available_parallelism()
                .ok()
                .and_then(|cores| u32::try_from(cores.get()).ok()),
            threads: field(&status, "Threads:").and_then(|threads| u32::try_from(threads).ok()),
            minor_faults: since(after.minor_faults, self.before.minor_faults),
            major_faults: since(after.major_faults, self.before.major_faults),
            voluntary_switches: since(after.voluntary, self.before.voluntary),
            involuntary_switches: since(after.involuntary, self.before.involuntary),
            peak_resident_bytes: field(&status, "VmHWM:").map(|kib| kib * 1024),
        }
    }
}

fn read(id: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default()
}

fn counts(id: u32) -> Counts {
    let (minor_faults, major_faults) = faults(&read(id, "stat"));
    // Faults are the process's; switches are each thread's own, and a candidate runs on its own thread.
    let threads: Vec<String> = threads(id);
    let sum = |name| threads.iter().map(|status| field(status, name)).sum::<Option<u64>>();
    let (voluntary, involuntary) = (sum("voluntary_ctxt_switches:"), sum("nonvoluntary_ctxt_switches:"));
    Counts { minor_faults, major_faults, voluntary, involuntary }
}

/// `status` of every thread of a process.
fn threads(id: u32) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { return Vec::new() };
    let statuses = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("status")));
    statuses.flatten().collect()
}

/// Fields 10 and 12 of `/proc/PID/stat` (proc(5)); the name in field 2 may hold spaces, so they are counted from
/// the parenthesis that closes it.
fn faults(stat: &str) -> (Option<u64>, Option<u64>) {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = rest.split_whitespace();
    let minor = fields.nth(7).and_then(|field| field.parse().ok());
    let major = fields.nth(1).and_then(|field| field.parse().ok());
    (minor, major)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_behind_an_odd_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 123 0 45 0 1 2 0 0";
        assert_eq!(faults(stat), (Some(123), Some(45)));
    }

    #[test]
    fn a_process_can_watch_itself() {
        let watch = SystemWatch::of(std::process::id());
        let before = watch.before.voluntary;
        std::thread::scope(|scope| {
            scope.spawn(|| std::thread::sleep(std::time::Duration::from_millis(1)));
        });
        let summary = watch.summary();
        assert!(before.is_some() && summary.voluntary_switches.is_some());
        assert!(summary.threads.is_some() && summary.peak_resident_bytes.is_some());
    }
}
