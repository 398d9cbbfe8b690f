//! What the system does around the calls of a process: page faults, context switches, threads, memory, CPU time, from
//! `/proc` and the process's own CPU clock.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use kinstr_trace::{report::SystemSummary, surroundings::SystemCounts};
use nix::{time::clock_getcpuclockid, unistd::Pid};

use super::paired::Timed;
use crate::worker::Fault;

/// Nanoseconds of one tick of `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that runs kinstr.
const TICK_NS: f64 = 1e7;

/// A contender in a process of its own whose calls are watched, from after its first one: that pays for the first touch
/// of every tensor. Between its calls it can be borrowed.
#[derive(Debug)]
pub struct Watched<'w, T> {
    contender: &'w RefCell<T>,
    id: u32,
    waiting: u64,
    watch: Option<SystemWatch>,
}

impl<'w, T: Timed> Watched<'w, T> {
    /// Watches the calls that are made through it. Its process is `id`, of whose threads `waiting` only wait meanwhile.
    pub fn new(contender: &'w RefCell<T>, id: u32, waiting: u64) -> Self {
        Self { contender, id, waiting, watch: None }
    }

    /// What happened since the first call; nothing if there was none.
    pub fn counts(&self) -> SystemCounts {
        self.watch.as_ref().map(SystemWatch::counts).unwrap_or_default()
    }
}

impl<T: Timed> Timed for Watched<'_, T> {
    fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        let took = self.contender.borrow_mut().run(calls)?;
        match &mut self.watch {
            Some(watch) => watch.add(calls, took),
            None if calls > 0 => self.watch = Some(SystemWatch::of(self.id, self.waiting)),
            None => {}
        }
        Ok(took)
    }
}

/// Watches one process from now on.
#[derive(Debug)]
struct SystemWatch {
    id: u32,
    waiting: u64,
    before: Counts,
    calls: u64,
    wall: Duration,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    minor_faults: Option<u64>,
    major_faults: Option<u64>,
    kernel_ticks: Option<u64>,
    /// Of each thread that lives, by its id: those it gave up its core for, and those it was taken away at.
    switches: BTreeMap<i32, (u64, u64)>,
    cpu: Option<Duration>,
}

/// Switches since `before`, of both kinds. A thread that ended took its counts along, so that they are not known if one of
/// those is gone that were there before.
fn switches_since(before: &Counts, after: &Counts) -> Option<(u64, u64)> {
    if after.switches.is_empty() || before.switches.keys().any(|thread| !after.switches.contains_key(thread))
    {
        return None;
    }
    let since = |(thread, now): (&i32, &(u64, u64))| {
        let then = before.switches.get(thread).copied().unwrap_or_default();
        Some((now.0.checked_sub(then.0)?, now.1.checked_sub(then.1)?))
    };
    let each = after.switches.iter().map(since).collect::<Option<Vec<_>>>()?;
    Some(each.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
}

impl SystemWatch {
    /// Watches process `id`, which must be alive when [`SystemWatch::counts`] is asked for.
    fn of(id: u32, waiting: u64) -> Self {
        Self { id, waiting, before: counts(id), calls: 0, wall: Duration::ZERO }
    }

    /// Calls that were made meanwhile, and how long they took.
    fn add(&mut self, calls: u32, took: Duration) {
        self.calls += u64::from(calls);
        self.wall += took;
    }

    /// What happened since; what the system does not tell is absent.
    fn counts(&self) -> SystemCounts {
        let (after, before) = (counts(self.id), &self.before);
        let switches = switches_since(before, &after);
        let since = |after: Option<u64>, before: Option<u64>| Some(after?.saturating_sub(before?));
        let cpu = after.cpu.zip(before.cpu).map(|(after, before)| after.saturating_sub(before));
        let threads = field(&read(self.id, "status"), "Threads:");
        SystemCounts {
            calls: self.calls,
            wall_ns: self.wall.as_nanos() as f64,
            cpu_ns: cpu.map(|cpu| cpu.as_nanos() as f64),
            kernel_ns: since(after.kernel_ticks, before.kernel_ticks).map(|ticks| ticks as f64 * TICK_NS),
            threads: threads.and_then(|threads| u32::try_from(threads.saturating_sub(self.waiting)).ok()),
            minor_faults: since(after.minor_faults, before.minor_faults),
            major_faults: since(after.major_faults, before.major_faults),
            voluntary_switches: switches.map(|(voluntary, _)| voluntary),
            involuntary_switches: switches.map(|(_, involuntary)| involuntary),
        }
    }
}

/// The counts of all workloads together, on this machine. `resident` are the largest resident sets of their processes.
pub fn summary(workloads: &[SystemCounts], resident: &[Option<u64>]) -> SystemSummary {
    let sum = |count: fn(&SystemCounts) -> Option<u64>| workloads.iter().map(count).sum::<Option<u64>>();
    SystemSummary {
        processor: processor(),
        cores: std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok()),
        threads: workloads.iter().filter_map(|counts| counts.threads).max(),
        minor_faults: sum(|counts| counts.minor_faults),
        major_faults: sum(|counts| counts.major_faults),
        voluntary_switches: sum(|counts| counts.voluntary_switches),
        involuntary_switches: sum(|counts| counts.involuntary_switches),
        peak_resident_bytes: resident.iter().flatten().max().copied(),
    }
}

/// Largest resident set of process `id` so far, in bytes.
pub fn peak_resident(id: u32) -> Option<u64> {
    field(&read(id, "status"), "VmHWM:").map(|kib| kib * 1024)
}

fn read(id: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default()
}

fn counts(id: u32) -> Counts {
    let stat = read(id, "stat");
    let stat = |number| stat_field(&stat, number);
    // Faults are the process's; switches are each thread's own, and a candidate runs on its own thread. One may end
    // between the listing and the reading.
    let switches = threads(id).into_iter().filter_map(|thread| {
        let status = read(id, &format!("task/{thread}/status"));
        let count = |name| field(&status, name);
        Some((thread, (count("voluntary_ctxt_switches:")?, count("nonvoluntary_ctxt_switches:")?)))
    });
    Counts {
        minor_faults: stat(10),
        major_faults: stat(12),
        kernel_ticks: stat(15),
        switches: switches.collect(),
        cpu: cpu_time(id),
    }
}

/// Ids of the threads of process `id`.
pub(super) fn threads(id: u32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { return Vec::new() };
    tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// CPU time of all threads of process `id`, those that ended included.
fn cpu_time(id: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(id).ok()?)).ok()?;
    clock.now().ok().map(Duration::from)
}

/// Field `number` of `/proc/PID/stat`, counted from 1 as in proc(5); the name in field 2 may hold spaces, so what comes
/// after it is counted from the parenthesis that closes it.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
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
    fn fields_are_found_behind_an_odd_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 123 0 45 0 1 2 0 0";
        assert_eq!([10, 12, 15].map(|number| stat_field(stat, number)), [Some(123), Some(45), Some(2)]);
        assert_eq!(stat_field("", 10), None);
    }

    #[test]
    fn a_process_can_watch_itself() {
        let mut watch = SystemWatch::of(std::process::id(), 1);
        std::thread::scope(|scope| {
            // On a busy machine it takes long until a thread has run for so long.
            let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
            let spent = move || clock.now().map(Duration::from).unwrap();
            scope.spawn(move || while spent() < Duration::from_millis(3) {});
        });
        watch.add(2, Duration::from_millis(3));
        let counts = watch.counts();
        assert_eq!(counts.calls, 2);
        assert!(counts.cpu_ns.is_some_and(|ns| ns >= 3e6), "{counts:?}");
        assert!(counts.threads.is_some());
        // Other tests' threads may have ended since, so that the sum is not known.
        let of_this_thread = super::counts(std::process::id()).switches;
        assert!(of_this_thread.contains_key(&(nix::unistd::gettid().as_raw())), "{of_this_thread:?}");
        assert!(peak_resident(std::process::id()).is_some_and(|bytes| bytes > 0));
        assert!(threads(std::process::id()).contains(&(std::process::id() as i32)));
    }

    #[test]
    fn a_thread_that_is_gone_leaves_switches_unknown() {
        let counts = |threads: &[(i32, (u64, u64))]| Counts {
            switches: threads.iter().copied().collect(),
            ..Counts::default()
        };
        let before = counts(&[(1, (5, 1)), (2, (100, 50))]);
        let grown = counts(&[(1, (8, 1)), (2, (100, 52)), (3, (4, 0))]);
        assert_eq!(switches_since(&before, &grown), Some((7, 2)));
        assert_eq!(switches_since(&before, &counts(&[(1, (8, 1)), (3, (4, 0))])), None);
        assert_eq!(switches_since(&before, &Counts::default()), None);
    }

    #[test]
    fn workloads_add_up_and_what_one_lacks_the_sum_lacks() {
        let one = SystemCounts { threads: Some(1), minor_faults: Some(3), ..SystemCounts::default() };
        let two =
            SystemCounts { threads: Some(4), minor_faults: Some(4), major_faults: Some(1), ..one.clone() };
        let sum = summary(&[one, two], &[Some(5), None, Some(9)]);
        assert_eq!((sum.threads, sum.minor_faults, sum.major_faults), (Some(4), Some(7), None));
        assert_eq!(sum.peak_resident_bytes, Some(9));
    }
}
