//! What a candidate's host code asks of the device, written down.

use kinstr_trace::device::{HostCall, KernelResources, Launch};
use serde::{Deserialize, Serialize};

use super::driver::{self, Event};
use crate::clock;

/// Host calls and launches that are kept; the others are counted.
const KEPT_CALLS: usize = 8 << 10;
const KEPT_LAUNCHES: usize = 2 << 10;

/// Host calls and launches of some calls of an entry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Calls of the entry.
    pub calls: u32,
    /// Launches in order.
    pub launches: Vec<Launch>,
    /// Host calls in order.
    pub host_calls: Vec<HostCall>,
    /// What the driver says of the kernels that were launched.
    pub kernels: Vec<KernelResources>,
    /// Launches that were not kept.
    pub launches_lost: u64,
    /// Host calls that were not kept.
    pub host_calls_lost: u64,
    /// Streams that were used.
    pub streams: u32,
}

/// An activity while it happens.
#[derive(Debug)]
pub(super) struct Log {
    begun_ns: u64,
    activity: Activity,
    /// Events around each launch that is kept.
    around: Vec<[Event; 2]>,
}

impl Log {
    pub(super) fn begin() -> Self {
        Self { begun_ns: clock::nanoseconds(), activity: Activity::default(), around: Vec::new() }
    }

    /// Notes a host call that began at `begin_ns` of the system's clock and is over.
    pub(super) fn note_call(&mut self, kind: &str, bytes: u64, begin_ns: u64) {
        if self.activity.host_calls.len() == KEPT_CALLS {
            self.activity.host_calls_lost += 1;
            return;
        }
        self.activity.host_calls.push(HostCall {
            kind: kind.to_owned(),
            bytes,
            begin_ns: begin_ns.saturating_sub(self.begun_ns),
            host_ns: clock::nanoseconds().saturating_sub(begin_ns),
        });
    }

    /// Events to be recorded before and after the next launch; `None` if it is not kept.
    pub(super) fn next_launch(&mut self) -> driver::Result<Option<[Event; 2]>> {
        if self.activity.launches.len() == KEPT_LAUNCHES {
            self.activity.launches_lost += 1;
            return Ok(None);
        }
        Ok(Some([Event::new()?, Event::new()?]))
    }

    /// Notes a launch between these events.
    pub(super) fn note_launch(&mut self, launch: Launch, around: [Event; 2]) {
        self.activity.streams = self.activity.streams.max(launch.stream + 1);
        self.activity.launches.push(launch);
        self.around.push(around);
    }

    /// All of it, once the device has done its work.
    pub(super) fn end(mut self, calls: u32, kernels: Vec<KernelResources>) -> driver::Result<Activity> {
        for (launch, [before, after]) in self.activity.launches.iter_mut().zip(self.around) {
            launch.device_ns = Some(after.since(before)?);
            before.destroy()?;
            after.destroy()?;
        }
        self.activity.calls = calls;
        self.activity.kernels = kernels;
        Ok(self.activity)
    }
}
