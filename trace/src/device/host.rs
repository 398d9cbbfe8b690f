//! What the host code did around the kernels.

use super::{HostCall, HostSummary};

/// The calls of `calls` calls of the entry, as those of one; `None` if the runtime saw none.
pub(super) fn summary(host_calls: &[HostCall], calls: f64) -> Option<HostSummary> {
    if host_calls.is_empty() {
        return None;
    }
    let mut sum = HostSummary::default();
    host_calls.iter().for_each(|call| sum.add(call));
    sum.between_ns = host_calls.windows(2).map(|pair| gap(&pair[0], &pair[1])).sum();
    sum.restart_ns = restarts(host_calls);
    Some(sum.per_call(calls))
}

impl HostSummary {
    fn add(&mut self, call: &HostCall) {
        let ns = call.host_ns as f64;
        match call.kind.as_str() {
            "launch" => (self.launches, self.launch_ns) = (self.launches + 1.0, self.launch_ns + ns),
            "synchronize" => {
                (self.synchronisations, self.synchronise_ns) =
                    (self.synchronisations + 1.0, self.synchronise_ns + ns);
            }
            "copy" | "set" => {
                (self.copies, self.copy_ns) = (self.copies + 1.0, self.copy_ns + ns);
                self.copied_bytes += call.bytes as f64;
            }
            "allocate" | "free" => {
                (self.allocations, self.allocate_ns) = (self.allocations + 1.0, self.allocate_ns + ns);
            }
            _ => self.other_ns += ns,
        }
    }

    fn per_call(self, calls: f64) -> Self {
        Self {
            launches: self.launches / calls,
            synchronisations: self.synchronisations / calls,
            copies: self.copies / calls,
            copied_bytes: self.copied_bytes / calls,
            allocations: self.allocations / calls,
            launch_ns: self.launch_ns / calls,
            synchronise_ns: self.synchronise_ns / calls,
            copy_ns: self.copy_ns / calls,
            allocate_ns: self.allocate_ns / calls,
            other_ns: self.other_ns / calls,
            between_ns: self.between_ns / calls,
            restart_ns: self.restart_ns / calls,
        }
    }
}

/// Time between the end of one call and the beginning of the next.
fn gap(call: &HostCall, next: &HostCall) -> f64 {
    next.begin_ns.saturating_sub(end(call)) as f64
}

fn end(call: &HostCall) -> u64 {
    call.begin_ns.saturating_add(call.host_ns)
}

/// Time from the end of each wait to the end of the launch after it.
fn restarts(host_calls: &[HostCall]) -> f64 {
    let mut idle_since = None;
    let mut sum = 0_u64;
    for call in host_calls {
        match call.kind.as_str() {
            "synchronize" => idle_since = Some(end(call)),
            "launch" => {
                let idle = idle_since.take().map_or(0, |since| end(call).saturating_sub(since));
                sum = sum.saturating_add(idle);
            }
            _ => {}
        }
    }
    sum as f64
}
