//! Peaks of a device, measured in a few seconds. Every value is the best of several short runs, because whatever
//! disturbs a run can only slow it down.

mod ptx;

use std::ffi::CString;

use kinstr_trace::device::{DevicePeaks, Rate, Scattered};

use super::driver::{self, Address, Event, Function, Module, Pinned, Shape};
use super::fault::DeviceFault;
use super::host::Host;
use super::kernels::{Value, launch};
use ptx::Loop;

/// Time that one run is stretched to, in ns.
const RUN_NS: f64 = 4e6;
/// Runs, of which the fastest counts.
const RUNS: usize = 5;
/// Bytes that are read from device memory, and those that are copied: many times the L2 cache.
const DRAM_BYTES: u64 = 1 << 30;
/// Bytes of pointers that are chased: several times the L2 cache.
const RING_BYTES: u64 = 1 << 29;
/// Bytes that are copied between host and device.
const HOST_BYTES: usize = 64 << 20;
/// Part of the L2 cache that is read: devices with two halves keep a copy in each.
const PART_OF_L2: u64 = 4;
/// Bytes of a line of the L2 cache, of which a lane has one to itself in the loops on scattered words.
const LINE_BYTES: u64 = 128;
/// Launches in a row of a kernel that does nothing.
const LAUNCHES: usize = 1000;
/// Pointers that a round of the chase follows.
const CHASED: f64 = 16.0;
/// Threads of a block in loops on global memory, and blocks for each SM.
const THREADS: u32 = 256;
const BLOCKS_PER_SM: u32 = 8;
/// The chip that has `wgmma`.
const HOPPER: &str = "sm_90";

/// The PTX that peaks are measured with on any device since compute capability 8.0, for who wants to know what an assembler makes of it.
pub fn loops() -> String {
    ptx::module().trim_end_matches('\0').to_owned()
}

/// Measures the peaks of the open device.
pub(super) fn measure(host: &Host, date: String) -> Result<DevicePeaks, DeviceFault> {
    let chip = &host.facts().chip;
    let load = |text: &str| {
        // SAFETY: PTX that ends with a zero.
        unsafe { Module::load(text.as_ptr().cast(), None) }
            .map_err(|(error, said)| DeviceFault::of_load(error, said, chip))
    };
    let plain = load(&ptx::module())?;
    let hopper = if chip == HOPPER { Some(load(&ptx::hopper_module())?) } else { None };
    let bench = Bench::new(host, plain).map_err(|error| host.fault_of(error))?;
    bench.all(hopper, date).map_err(|error| host.fault_of(error))
}

struct Bench<'h> {
    host: &'h Host,
    module: Module,
    out: Address,
    around: [Event; 2],
}

impl<'h> Bench<'h> {
    fn new(host: &'h Host, module: Module) -> driver::Result<Self> {
        Ok(Self { host, module, out: driver::allocate(256)?, around: [Event::new()?, Event::new()?] })
    }

    fn all(&self, hopper: Option<Module>, date: String) -> driver::Result<DevicePeaks> {
        let facts = self.host.facts().clone();
        let mut clock_hz = 0.0;
        let mut fma_flops = Vec::new();
        for entry in &ptx::FMA {
            fma_flops.push(self.rate(self.module, entry)?);
            if entry.dtype == "f32" {
                clock_hz = self.clock_hz()?;
            }
        }
        let mut tensor_flops = Vec::new();
        for (plain, group) in ptx::MMA.iter().zip(&ptx::WGMMA) {
            let mut best = self.rate(self.module, plain)?;
            if let Some(hopper) = hopper {
                best.flops_per_s = best.flops_per_s.max(self.rate(hopper, group)?.flops_per_s);
            }
            tensor_flops.push(best);
        }
        let [dram_read, dram_copy, l2_read] = self.bandwidths()?;
        let [to_device, to_host] = self.host_bandwidths()?;
        Ok(DevicePeaks {
            device: self.host.device.identity(),
            date,
            dram_read_bytes_per_s: dram_read,
            dram_copy_bytes_per_s: dram_copy,
            l2_read_bytes_per_s: l2_read,
            shared_read_bytes_per_s: self.shared_bandwidth()?,
            fma_flops,
            tensor_flops,
            launch_ns: self.launch_ns()?,
            to_device_bytes_per_s: to_device,
            to_host_bytes_per_s: to_host,
            dram_latency_ns: self.latency_ns()?,
            special_ops_per_s: Some(self.rate(self.module, &ptx::SPECIAL)?.flops_per_s),
            scattered: Some(self.scattered()?),
            clock_hz,
            facts,
        })
    }

    /// Nanoseconds that the device spends on `work`.
    fn time(&self, work: impl FnOnce() -> driver::Result<()>) -> driver::Result<f64> {
        let [begin, end] = self.around;
        begin.record(self.host.work)?;
        work()?;
        end.record(self.host.work)?;
        end.synchronize()?;
        end.since(begin)
    }

    /// Nanoseconds a round of a kernel, at best; it takes the number of rounds as its second parameter.
    fn per_round(&self, run: impl Fn(u32) -> driver::Result<()>) -> driver::Result<f64> {
        let mut rounds = 1_u32;
        let mut took = self.time(|| run(rounds))?;
        // Of a loop that something made nothing of, no number of rounds takes long.
        while took < RUN_NS / 2.0 && rounds < u32::MAX {
            // At most sixteenfold, so that a first run, which also loads the kernel, does not mislead.
            let factor = (RUN_NS / took.max(1.0)).clamp(2.0, 16.0);
            rounds = (f64::from(rounds) * factor) as u32;
            took = self.time(|| run(rounds))?;
        }
        for _ in 1..RUNS {
            took = took.min(self.time(|| run(rounds))?);
        }
        Ok(took / f64::from(rounds))
    }

    fn find(&self, module: Module, name: &str) -> driver::Result<Function> {
        let name = CString::new(name).unwrap_or_default();
        module.function(&name)
    }

    fn rate(&self, module: Module, entry: &Loop) -> driver::Result<Rate> {
        let function = self.find(module, entry.kernel)?;
        let blocks = self.host.facts().sm_count * entry.blocks_per_sm;
        let shape = Shape::flat(blocks, entry.threads);
        let round_ns = self.per_round(|rounds| self.run(function, &shape, rounds, &[]))?;
        let flops = entry.flops * f64::from(blocks) * f64::from(entry.threads);
        Ok(Rate { dtype: entry.dtype.to_owned(), flops_per_s: flops / round_ns * 1e9 })
    }

    fn run(&self, function: Function, shape: &Shape, rounds: u32, more: &[u64]) -> driver::Result<()> {
        let mut values = vec![Value::Long(self.out), Value::Word(rounds)];
        values.extend(more.iter().map(|value| Value::Long(*value)));
        launch(function, self.host.work, shape, &mut values)
    }

    /// Clock of an SM over the last loop of arithmetic.
    fn clock_hz(&self) -> driver::Result<f64> {
        let mut bytes = [0; 32];
        driver::copy_out(&mut bytes, self.out)?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[8 * at + index]));
        let (ticks, ns) = (number(2).wrapping_sub(number(0)), number(3).wrapping_sub(number(1)));
        Ok(ticks as f64 / (ns as f64).max(1.0) * 1e9)
    }

    fn grid(&self) -> Shape {
        Shape::flat(self.host.facts().sm_count * BLOCKS_PER_SM, THREADS)
    }

    /// Vectors in at most `bytes` bytes of which every thread of the grid has as many.
    fn vectors(&self, bytes: u64) -> u64 {
        let together = ptx::VECTORS * self.grid().blocks() * u64::from(THREADS);
        (bytes / 16 / together).max(1) * together
    }

    /// Reading and copying device memory, and reading the L2 cache, in bytes a second.
    fn bandwidths(&self) -> driver::Result<[f64; 3]> {
        let (count, near) = (self.vectors(DRAM_BYTES), self.vectors(self.host.facts().l2_bytes / PART_OF_L2));
        let bytes = (16 * count) as usize;
        let (from, to) = (driver::allocate(bytes)?, driver::allocate(bytes)?);
        driver::fill_on(self.host.work, from, 0x5A, bytes)?;
        driver::fill_on(self.host.work, to, 0xA5, bytes)?;
        let (read, copy) =
            (self.find(self.module, "kinstr_peak_read")?, self.find(self.module, "kinstr_peak_copy")?);
        let grid = self.grid();
        let far_ns = self.per_round(|rounds| self.run(read, &grid, rounds, &[from, count]))?;
        let copy_ns = self.per_round(|rounds| self.run(copy, &grid, rounds, &[from, count, to]))?;
        let near_ns = self.per_round(|rounds| self.run(read, &grid, rounds, &[from, near]))?;
        driver::free(from)?;
        driver::free(to)?;
        let bandwidth = |vectors: u64, times: f64, ns: f64| 16.0 * vectors as f64 * times / ns * 1e9;
        Ok([bandwidth(count, 1.0, far_ns), bandwidth(count, 2.0, copy_ns), bandwidth(near, 1.0, near_ns)])
    }

    /// Words that lanes touch in lines of their own: of the L2 cache, and of device memory.
    fn scattered(&self) -> driver::Result<Scattered> {
        let lines = |bytes: u64| 1_u64 << (bytes / LINE_BYTES).max(1).ilog2();
        let (near, far) = (lines(self.host.facts().l2_bytes / PART_OF_L2), lines(DRAM_BYTES));
        let memory = driver::allocate((far.max(near) * LINE_BYTES) as usize)?;
        driver::fill_on(self.host.work, memory, 0x5A, (far.max(near) * LINE_BYTES) as usize)?;
        let [load, store] = ["kinstr_peak_scattered_load", "kinstr_peak_scattered_store"];
        let rates = Scattered {
            l2_loads_per_s: self.scattered_rate(load, memory, near)?,
            l2_stores_per_s: self.scattered_rate(store, memory, near)?,
            dram_loads_per_s: self.scattered_rate(load, memory, far)?,
            dram_stores_per_s: self.scattered_rate(store, memory, far)?,
        };
        driver::free(memory)?;
        Ok(rates)
    }

    /// Words a second of a loop on `lines` lines at `memory`.
    fn scattered_rate(&self, name: &str, memory: Address, lines: u64) -> driver::Result<f64> {
        let (function, grid) = (self.find(self.module, name)?, self.grid());
        let round_ns = self.per_round(|rounds| self.run(function, &grid, rounds, &[memory, lines]))?;
        Ok((ptx::VECTORS * grid.threads() * grid.blocks()) as f64 / round_ns * 1e9)
    }

    fn shared_bandwidth(&self) -> driver::Result<f64> {
        let function = self.find(self.module, "kinstr_peak_shared")?;
        let blocks = 2 * self.host.facts().sm_count;
        let shape = Shape::flat(blocks, ptx::SHARED_THREADS);
        let round_ns = self.per_round(|rounds| self.run(function, &shape, rounds, &[]))?;
        let bytes = 16 * ptx::SHARED_LOADS * u64::from(blocks) * u64::from(ptx::SHARED_THREADS);
        Ok(bytes as f64 / round_ns * 1e9)
    }

    /// Latency of loads that depend on each other, from device memory.
    fn latency_ns(&self) -> driver::Result<f64> {
        let ring = driver::allocate(RING_BYTES as usize)?;
        let (make, chase) =
            (self.find(self.module, "kinstr_peak_ring")?, self.find(self.module, "kinstr_peak_chase")?);
        self.run(make, &self.grid(), 1, &[ring, RING_BYTES / 256])?;
        self.host.work.synchronize()?;
        driver::copy_in(self.out, &ring.to_le_bytes())?;
        let round_ns = self.per_round(|rounds| self.run(chase, &Shape::flat(1, 1), rounds, &[]))?;
        driver::free(ring)?;
        Ok(round_ns / CHASED)
    }

    fn launch_ns(&self) -> driver::Result<f64> {
        let function = self.find(self.module, "kinstr_peak_nothing")?;
        let run =
            || (0..LAUNCHES).try_for_each(|_| launch(function, self.host.work, &Shape::flat(1, 32), &mut []));
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            best = best.min(self.time(run)?);
        }
        Ok(best / LAUNCHES as f64)
    }

    /// To the device and back, in bytes a second.
    fn host_bandwidths(&self) -> driver::Result<[f64; 2]> {
        let mut pinned = Pinned::new(HOST_BYTES)?;
        let device = driver::allocate(HOST_BYTES)?;
        pinned.bytes_mut().fill(1);
        let mut best = [f64::INFINITY; 2];
        for _ in 0..RUNS {
            best[0] =
                best[0].min(self.time(|| driver::copy_pinned_in_on(self.host.work, device, &mut pinned))?);
            best[1] =
                best[1].min(self.time(|| driver::copy_pinned_out_on(self.host.work, &mut pinned, device))?);
        }
        driver::free(device)?;
        Ok(best.map(|ns| HOST_BYTES as f64 / ns * 1e9))
    }
}
