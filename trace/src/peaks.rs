//! What one device can do at best, as measured on it.

use crate::observed::LINE_BYTES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Measured peaks of one device. Nothing here comes from a datasheet.
///
/// A rate is the best that a loop written for the purpose reached with [`Peaks::threads`] threads,
/// so that a kernel's fraction of it says how much a better kernel could gain on this very machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Peaks {
    /// Identifies the device the values hold for; peaks of another device must not be used.
    pub device: String,
    /// Day of the measurement, `YYYY-MM-DD`.
    pub date: String,
    /// Threads that were measured together.
    pub threads: u32,
    /// Clock while the FMA loops ran, in Hz.
    pub clock_hz: f64,
    /// `f32` lanes of the widest vector the code generator uses.
    pub simd_lanes_f32: u32,
    /// Memory levels, smallest capacity first; the last one is DRAM.
    pub levels: Vec<BandwidthLevel>,
    /// Independent scalar `f32` fused multiply-adds, flop/s (an FMA is 2).
    pub fma_f32_scalar: f64,
    /// Independent vector `f32` fused multiply-adds, flop/s.
    pub fma_f32_vector: f64,
    /// Independent scalar `f64` fused multiply-adds, flop/s.
    pub fma_f64_scalar: f64,
    /// Independent vector `f64` fused multiply-adds, flop/s.
    pub fma_f64_vector: f64,
    /// Cost of one call to a trivial function that is not inlined, in ns.
    pub call_ns: f64,
    /// Cost of the first touch of a fresh page of the smallest size, its release included, in ns; absent in
    /// measurements of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page_fault_ns: Option<f64>,
    /// Bytes read plus bytes written per second by a loop that copies main memory with stores that bypass the caches;
    /// absent in measurements of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bypassing_copy_bytes_per_s: Option<f64>,
    /// What a branch that was predicted wrongly costs more than one predicted rightly, in ns; 0 where it was not
    /// measured yet.
    #[serde(default)]
    pub mispredict_ns: f64,
}

/// Bandwidth of one memory level, seen from the measured threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BandwidthLevel {
    /// `L1`, `L2`, `L3` or `DRAM`.
    pub name: String,
    /// Bytes that fit.
    pub capacity_bytes: u64,
    /// Bytes loaded per second by a loop that only reads.
    pub read_bytes_per_s: f64,
    /// Bytes read plus bytes written per second by a loop that copies; what the hardware moves
    /// besides (write-allocate) is not counted, so the value already pays for it.
    pub copy_bytes_per_s: f64,
    /// Time of one load that the next one waits for, over a random cycle of lines that fits here and not in the
    /// level before, in ns; 0 where it was not measured yet.
    #[serde(default)]
    pub latency_ns: f64,
}

impl Peaks {
    /// The smallest level that holds `footprint_bytes`, else the largest; `None` without levels.
    pub fn level_for(&self, footprint_bytes: u64) -> Option<&BandwidthLevel> {
        self.levels.iter().find(|level| level.capacity_bytes >= footprint_bytes).or(self.levels.last())
    }

    /// Seconds to read `read` bytes of `level` and write `written` bytes once each, streaming, by the better of the ways
    /// that were measured: to main memory, stores that bypass the caches need not read the lines that they fill.
    pub fn best_stream_seconds(&self, level: &BandwidthLevel, read: u64, written: u64) -> f64 {
        let is_memory = self.levels.last().is_some_and(|last| last.name == level.name);
        let bypassing = self.bypassing_copy_bytes_per_s.filter(|_| is_memory).unwrap_or(0.0);
        let best =
            BandwidthLevel { copy_bytes_per_s: level.copy_bytes_per_s.max(bypassing), ..level.clone() };
        best.stream_seconds(read, written)
    }

    /// Vector FMA rate for `dtype` in flop/s. Types narrower than `f32` are computed in `f32` on
    /// the CPUs this measures, so they get its rate.
    pub fn vector_flops(&self, dtype: &str) -> f64 {
        if dtype == "f64" { self.fma_f64_vector } else { self.fma_f32_vector }
    }

    /// Scalar FMA rate for `dtype` in flop/s.
    pub fn scalar_flops(&self, dtype: &str) -> f64 {
        if dtype == "f64" { self.fma_f64_scalar } else { self.fma_f32_scalar }
    }

    /// Whether all is known that this version measures.
    pub fn complete(&self) -> bool {
        let costs = self.levels.iter().map(|level| level.latency_ns).chain([self.mispredict_ns]);
        let extras = self.page_fault_ns.is_some() && self.bypassing_copy_bytes_per_s.is_some();
        self.usable() && extras && costs.into_iter().all(|cost| cost.is_finite() && cost > 0.0)
    }

    /// Whether every rate is a positive finite number, which all models here divide by.
    pub fn usable(&self) -> bool {
        let rates = [
            self.clock_hz,
            self.fma_f32_scalar,
            self.fma_f32_vector,
            self.fma_f64_scalar,
            self.fma_f64_vector,
            self.call_ns,
        ];
        let bandwidths = self.levels.iter().flat_map(|l| [l.read_bytes_per_s, l.copy_bytes_per_s]);
        !self.levels.is_empty()
            && rates
                .into_iter()
                .chain(bandwidths)
                .chain(self.page_fault_ns)
                .chain(self.bypassing_copy_bytes_per_s)
                .all(|rate| rate.is_finite() && rate > 0.0)
    }
}

/// Misses that one core has under way at once: line fill buffers, of which x86-64 cores have ten to sixteen.
pub const MISSES_AT_ONCE: f64 = 10.0;

impl BandwidthLevel {
    /// Seconds of one line from here, where misses overlap and their order is nothing a prefetcher foresees.
    pub fn scattered_line_seconds(&self) -> f64 {
        let streamed = LINE_BYTES as f64 / self.read_bytes_per_s;
        streamed.max(self.latency_ns * 1e-9 / MISSES_AT_ONCE)
    }

    /// Seconds of one line from here in order.
    pub fn streamed_line_seconds(&self) -> f64 {
        LINE_BYTES as f64 / self.read_bytes_per_s
    }

    /// Seconds to read `read` bytes and write `written` bytes once each, streaming.
    ///
    /// Bytes that can be paired into a copy go at the copy rate. What is left goes at the read
    /// rate, or, if it is a write, at the copy rate, because a store costs at least that.
    pub fn stream_seconds(&self, read: u64, written: u64) -> f64 {
        let paired = read.min(written) as f64 * 2.0;
        let reads = read.saturating_sub(written) as f64;
        let writes = written.saturating_sub(read) as f64;
        (paired + writes) / self.copy_bytes_per_s + reads / self.read_bytes_per_s
    }
}
