//! Times of single calls on the device: cold caches, renewed tensors, the span of all work.

use serde::{Deserialize, Serialize};

use super::driver::{self, Address, Event};
use super::fault::DeviceFault;
use super::host::Host;

/// What [`Flusher`] overwrites, as a multiple of the L2 cache.
const TIMES_L2: u64 = 2;

/// Times of calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallTimes {
    /// Nanoseconds of each call on the device: from when its first work could begin until its last work was done.
    pub device_ns: Vec<f64>,
    /// Launches of the last call.
    pub launches: u32,
    /// Whether every second call had tensors at other addresses: there may be no room for them.
    pub fresh_addresses: bool,
}

/// Memory by which the L2 cache is overwritten.
#[derive(Debug)]
pub(super) struct Flusher {
    memory: Address,
    words: usize,
    round: u32,
}

impl Flusher {
    pub(super) fn new(l2_bytes: u64) -> driver::Result<Self> {
        let words = (TIMES_L2 * l2_bytes / 4) as usize;
        Ok(Self { memory: driver::allocate(4 * words)?, words, round: 0 })
    }

    /// Overwrites it, behind what was given to kinstr's own stream before.
    fn flush(&mut self, host: &Host) -> driver::Result<()> {
        driver::reset_persisting_lines()?;
        self.round = self.round.wrapping_add(1);
        driver::fill32_on(host.work, self.memory, self.round, self.words)
    }
}

impl Host {
    /// Begins the span of a call behind what was given to kinstr's own stream, with the cache overwritten.
    pub(super) fn begin_call(&mut self, flusher: &mut Flusher, begin: Event) -> Result<(), DeviceFault> {
        self.launches = 0;
        let begun = flusher.flush(self).and_then(|()| {
            begin.record(self.work)?;
            self.begin_span(begin)
        });
        begun.map_err(|error| self.fault_of(error))
    }

    /// Ends it, and answers its length in ns; 0 for a call that gave the device nothing to do.
    pub(super) fn end_call(&mut self) -> Result<f64, DeviceFault> {
        if let Some(fault) = self.fault.clone() {
            return Err(fault);
        }
        self.end_span().map(Option::unwrap_or_default).map_err(|error| self.fault_of(error))
    }
}
