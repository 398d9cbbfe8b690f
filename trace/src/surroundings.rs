//! What happened around the calls of a kernel, and how it ran under other conditions than those it was timed in.

use crate::synthesis::WorkloadTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the system did around the timed calls of one workload. A count that the system does not give is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemCounts {
    /// Calls, untimed ones between them included.
    pub calls: u64,
    /// Time of the requests that made them, by the parent's clock, in ns.
    pub wall_ns: f64,
    /// Time that the process's threads ran meanwhile, in ns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_ns: Option<f64>,
    /// Part of it that the kernel of the system ran on their behalf, in ns, as coarse as the system's tick.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel_ns: Option<f64>,
    /// Threads of the candidate at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threads: Option<u32>,
    /// Page faults served without the disk.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minor_faults: Option<u64>,
    /// Page faults that read the disk.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub major_faults: Option<u64>,
    /// Times a thread gave up its core; once a request at least.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voluntary_switches: Option<u64>,
    /// Times the system took the core away.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub involuntary_switches: Option<u64>,
}

impl SystemCounts {
    /// Minor page faults of one call.
    pub fn faults_per_call(&self) -> Option<f64> {
        Some(self.minor_faults? as f64 / self.calls.max(1) as f64)
    }

    /// Threads that ran at the same time, on average: CPU time over wall time.
    pub fn parallelism(&self) -> Option<f64> {
        (self.wall_ns > 0.0).then_some(self.cpu_ns? / self.wall_ns)
    }
}

/// The clean build timed with denormal numbers flushed to zero, next to itself as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlushedTime {
    /// Shortest time of a call as it is, in ns.
    pub plain_ns: f64,
    /// Shortest time of a call with denormals flushed, in ns.
    pub flushed_ns: f64,
    /// Whether both were timed in turns, as they are where the first look shows a difference.
    pub in_turns: bool,
}

/// Events that the processor or the system counted while the clean build ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventCounts {
    /// Calls they cover.
    pub calls: u32,
    /// One entry an event.
    pub events: Vec<EventCount>,
}

/// One counted event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventCount {
    /// Name as `perf list` has it, e.g. `branch-misses`.
    pub name: String,
    /// Occurrences, all calls together; extrapolated where `counted` is below 1.
    pub count: f64,
    /// Part of the time in which the counter ran: others may have had its place.
    pub counted: f64,
}

impl EventCounts {
    /// Occurrences of `event` in one call.
    pub fn per_call(&self, event: &str) -> Option<f64> {
        let found = self.events.iter().find(|count| count.name == event)?;
        Some(found.count / f64::from(self.calls.max(1)))
    }
}

/// The probes count what the compiler's code does, hardware counts machine code; the two differ by how instructions
/// are fused and addresses computed, which stays below this factor.
const SAME: f64 = 2.0;
/// Below this many a call, what a request itself does is no longer small beside it.
const ENOUGH: f64 = 10_000.0;

/// What two independent witnesses of one run say of each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Whether every event that both counted agrees.
    pub agree: bool,
    /// One clause with the numbers.
    pub text: String,
}

impl WorkloadTable {
    /// Compares the probes' counts with hardware's, where both are there and large enough to compare.
    pub fn agreement(&self) -> Option<Agreement> {
        let (work, hardware) = (self.work.as_ref()?, self.events.as_ref()?);
        let pairs = [("instructions", work.total.instructions), ("branches", work.total.branches)];
        let compared = pairs.into_iter().filter_map(|(event, probes)| {
            let (probes, hardware) = (work.per_launch(probes) as f64, hardware.per_call(event)?);
            (probes.max(hardware) >= ENOUGH).then_some((event, probes, hardware))
        });
        let compared: Vec<_> = compared.collect();
        let same = |probes: f64, hardware: f64| probes <= SAME * hardware && hardware <= SAME * probes;
        let apart = compared.iter().find(|(_, probes, hardware)| !same(*probes, *hardware));
        match (compared.is_empty(), apart) {
            (true, _) => None,
            (false, None) => Some(Agreement { agree: true, text: "hardware events agree".into() }),
            (false, Some((event, probes, hardware))) => Some(Agreement {
                agree: false,
                text: format!("hardware counts {hardware:.2e} {event} where probes count {probes:.2e}"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Amounts, Work};

    fn workload(probes: u64, hardware: f64) -> WorkloadTable {
        let total = Amounts { instructions: probes, ..Amounts::default() };
        let event = EventCount { name: "instructions".into(), count: 4.0 * hardware, counted: 1.0 };
        WorkloadTable {
            work: Some(Work { launches: 1, total, ..Work::default() }),
            events: Some(EventCounts { calls: 4, events: vec![event] }),
            ..WorkloadTable::default()
        }
    }

    #[test]
    fn witnesses_are_compared_where_both_counted_enough() {
        assert_eq!(workload(100, 9000.0).agreement(), None);
        assert!(workload(1_000_000, 800_000.0).agreement().unwrap().agree);
        let apart = workload(1_000_000, 8_000_000.0);
        assert!(!apart.agreement().unwrap().agree);
        let confidence = apart.confidence(0.8, "exact");
        assert!(confidence.value < 0.8 && confidence.why.contains("hardware counts"), "{confidence:?}");
    }

    #[test]
    fn counts_are_given_by_call() {
        let counts = SystemCounts { calls: 10, wall_ns: 2e6, cpu_ns: Some(4e6), ..SystemCounts::default() };
        assert_eq!((counts.faults_per_call(), counts.parallelism()), (None, Some(2.0)));
        let counts = SystemCounts { minor_faults: Some(25), ..counts };
        assert_eq!(counts.faults_per_call(), Some(2.5));
    }
}
