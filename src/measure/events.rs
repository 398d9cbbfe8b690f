//! Events that the processor and the system count, through `perf_event_open`, of a process that we started.

use std::collections::BTreeMap;
use std::io;

use kinstr_trace::surroundings::EventCount;
use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware, Software};
use perf_event::{Builder, Counter};

use super::system::threads;

/// A kind of event.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Hardware(Hardware),
    L1dReadMisses,
    Software(Software),
}

const L1D_MISSES: Cache = Cache { which: CacheId::L1D, operation: CacheOp::READ, result: CacheResult::MISS };

/// Events by the names that `perf list` gives them.
const EVENTS: [(&str, Kind); 9] = [
    ("cpu-cycles", Kind::Hardware(Hardware::CPU_CYCLES)),
    ("instructions", Kind::Hardware(Hardware::INSTRUCTIONS)),
    ("branches", Kind::Hardware(Hardware::BRANCH_INSTRUCTIONS)),
    ("branch-misses", Kind::Hardware(Hardware::BRANCH_MISSES)),
    ("cache-references", Kind::Hardware(Hardware::CACHE_REFERENCES)),
    ("cache-misses", Kind::Hardware(Hardware::CACHE_MISSES)),
    ("L1-dcache-load-misses", Kind::L1dReadMisses),
    ("page-faults", Kind::Software(Software::PAGE_FAULTS)),
    ("context-switches", Kind::Software(Software::CONTEXT_SWITCHES)),
];

/// What [`EventCounters`] needs of a counter.
trait Count {
    fn enable(&mut self) -> io::Result<()>;
    /// Occurrences, and the part of the time in which they were counted; `None` if there was nothing to count, because the
    /// thread did not run.
    fn read(&mut self) -> io::Result<(u64, Option<f64>)>;
}

impl Count for Counter {
    fn enable(&mut self) -> io::Result<()> {
        Counter::enable(self)
    }

    fn read(&mut self) -> io::Result<(u64, Option<f64>)> {
        let data = self.read_full()?;
        let nanoseconds = |time: Option<std::time::Duration>| time.map_or(0.0, |time| time.as_nanos() as f64);
        let (enabled, running) = (nanoseconds(data.time_enabled()), nanoseconds(data.time_running()));
        Ok((data.count(), (enabled > 0.0).then(|| running / enabled)))
    }
}

fn open(kind: Kind, thread: i32) -> io::Result<Box<dyn Count>> {
    let mut builder = match kind {
        Kind::Hardware(event) => Builder::new(event),
        Kind::L1dReadMisses => Builder::new(L1D_MISSES),
        Kind::Software(event) => Builder::new(event),
    };
    // Faults and switches happen in the kernel of the system, which hardware events leave out.
    if matches!(kind, Kind::Software(_)) {
        builder.include_kernel();
    }
    let counter = builder.observe_pid(thread).any_cpu().inherit(true).build()?;
    Ok(Box::new(counter))
}

/// Counters on every thread of one process, and on those that they start.
pub struct EventCounters {
    counters: Vec<(&'static str, Vec<Box<dyn Count>>)>,
    missing: Vec<(&'static str, io::Error)>,
}

impl EventCounters {
    /// Opens what can be opened on process `id`.
    pub fn open(id: u32) -> Self {
        Self::open_with(&threads(id), &mut open)
    }

    fn open_with(threads: &[i32], open: &mut dyn FnMut(Kind, i32) -> io::Result<Box<dyn Count>>) -> Self {
        let mut all = Self { counters: Vec::new(), missing: Vec::new() };
        for (name, kind) in EVENTS {
            match threads.iter().map(|thread| open(kind, *thread)).collect() {
                Ok(counters) => all.counters.push((name, counters)),
                Err(error) => all.missing.push((name, error)),
            }
        }
        all
    }

    /// Begins to count.
    ///
    /// # Errors
    /// When a counter that could be opened does not run.
    pub fn enable(&mut self) -> io::Result<()> {
        self.counters.iter_mut().flat_map(|(_, counters)| counters).try_for_each(|counter| counter.enable())
    }

    /// What was counted since, over all threads. An event of which a counter never had its turn is none of it, and from
    /// then on among those that [`EventCounters::missing`] names.
    ///
    /// # Errors
    /// When a counter cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<EventCount>> {
        let mut counts = Vec::new();
        for (name, counters) in &mut self.counters {
            match sum(counters)? {
                Some((count, counted)) => {
                    counts.push(EventCount { name: (*name).to_owned(), count, counted });
                }
                None => self.missing.push((name, io::Error::other(NO_TURN))),
            }
        }
        Ok(counts)
    }

    /// True if the processor's own events are counted.
    pub fn has_hardware(&self) -> bool {
        self.counters.iter().any(|(name, _)| *name == "cpu-cycles" || *name == "instructions")
    }

    /// Which events cannot be counted and why; `None` if all can.
    pub fn missing(&self) -> Option<String> {
        let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, error) in &self.missing {
            by_reason.entry(reason(error)).or_default().push(name);
        }
        let parts: Vec<String> =
            by_reason.into_iter().map(|(reason, names)| format!("{}: {reason}", names.join(", "))).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Why an event that could be opened has no count.
const NO_TURN: &str = "others had its counter's place all the time";

/// Occurrences over all threads, and the least part of the time in which one was counted; `None` if one that ran never was.
fn sum(counters: &mut [Box<dyn Count>]) -> io::Result<Option<(f64, f64)>> {
    let (mut sum, mut least) = (0.0, 1.0_f64);
    for counter in counters {
        match counter.read()? {
            (_, None) => {}
            (count, Some(counted)) if counted > 0.0 => {
                sum += count as f64 / counted;
                least = least.min(counted);
            }
            (_, Some(_)) => return Ok(None),
        }
    }
    Ok(Some((sum, least)))
}

/// Why `perf_event_open` refused, and what stands behind it on this machine.
fn reason(error: &io::Error) -> String {
    if error.raw_os_error().is_none() {
        return error.to_string();
    }
    let behind = match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) if in_virtual_machine() => {
            "a virtual machine that does not pass on its processor's counters".to_owned()
        }
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            "this processor has no such counter".to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => {
            match std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid") {
                Ok(level) => format!("perf_event_paranoid is {}, or a filter forbids it", level.trim()),
                Err(_) => "this kernel shows no perf events".to_owned(),
            }
        }
        Some(libc::ENOSYS) => "this kernel has no perf events".to_owned(),
        _ => return format!("perf_event_open: {error}"),
    };
    format!("perf_event_open: {error} ({behind})")
}

fn in_virtual_machine() -> bool {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(u64, Option<f64>);

    impl Count for Fake {
        fn enable(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn read(&mut self) -> io::Result<(u64, Option<f64>)> {
            Ok((self.0, self.1))
        }
    }

    #[test]
    fn threads_add_up_and_time_shared_counters_are_extrapolated() {
        let mut open = |_: Kind, thread: i32| -> io::Result<Box<dyn Count>> {
            Ok(Box::new(if thread == 1 { Fake(100, Some(0.5)) } else { Fake(0, None) }))
        };
        let mut counters = EventCounters::open_with(&[1, 2], &mut open);
        counters.enable().unwrap();
        let counts = counters.read().unwrap();
        assert_eq!(counts.len(), EVENTS.len());
        assert!(counts.iter().all(|event| event.count == 200.0 && event.counted == 0.5), "{counts:?}");
        assert!(counters.has_hardware());
        assert_eq!(counters.missing(), None);
    }

    #[test]
    fn what_the_kernel_refuses_is_named_with_the_reason() {
        let mut open = |kind: Kind, _: i32| -> io::Result<Box<dyn Count>> {
            match kind {
                Kind::Software(_) => Ok(Box::new(Fake(3, Some(1.0)))),
                Kind::Hardware(_) => Err(io::Error::from_raw_os_error(libc::EACCES)),
                Kind::L1dReadMisses => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            }
        };
        let mut counters = EventCounters::open_with(&[1], &mut open);
        assert!(!counters.has_hardware());
        assert_eq!(counters.read().unwrap().len(), 2);
        let missing = counters.missing().unwrap();
        for part in
            ["cpu-cycles, instructions, branches", "Permission denied", "paranoid", "L1-dcache-load-misses: "]
        {
            assert!(missing.contains(part), "{missing}");
        }
    }

    #[test]
    fn what_never_had_its_turn_is_no_zero() {
        let mut open = |kind: Kind, _: i32| -> io::Result<Box<dyn Count>> {
            let starved = matches!(kind, Kind::L1dReadMisses);
            Ok(Box::new(if starved { Fake(0, Some(0.0)) } else { Fake(3, Some(1.0)) }))
        };
        let mut counters = EventCounters::open_with(&[1], &mut open);
        let counts = counters.read().unwrap();
        assert_eq!(counts.len(), EVENTS.len() - 1);
        assert!(counts.iter().all(|event| event.name != "L1-dcache-load-misses"));
        let missing = counters.missing().unwrap();
        assert_eq!(missing, format!("L1-dcache-load-misses: {NO_TURN}"));
    }

    #[test]
    fn a_process_without_threads_has_no_counts_and_no_panic() {
        let mut counters = EventCounters::open(u32::MAX);
        assert!(counters.read().unwrap().iter().all(|event| event.count == 0.0));
    }
}
