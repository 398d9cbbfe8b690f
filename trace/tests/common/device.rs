//! Tables as an evaluation on a GPU makes them, for one that resembles an H200.
#![allow(dead_code, clippy::unwrap_used)]

use kinstr_trace::device::*;
use kinstr_trace::sites::*;
use kinstr_trace::synthesis::*;
use kinstr_trace::work::{Amounts, BlockWork, FlopWork, LineWork, Work};

pub const MIB: u64 = 1 << 20;

pub fn facts() -> DeviceFacts {
    DeviceFacts {
        name: "NVIDIA H200".into(),
        chip: "sm_90".into(),
        driver: "580.0".into(),
        sm_count: 132,
        max_threads_per_sm: 2048,
        max_blocks_per_sm: 32,
        registers_per_sm: 65536,
        shared_bytes_per_sm: 228 << 10,
        shared_bytes_per_block: 227 << 10,
        max_threads_per_block: 1024,
        l2_bytes: 50 << 20,
        memory_bytes: 140 << 30,
    }
}

pub fn peaks() -> DevicePeaks {
    let rate = |dtype: &str, tflops: f64| Rate { dtype: dtype.into(), flops_per_s: tflops * 1e12 };
    DevicePeaks {
        device: "NVIDIA H200".into(),
        date: "2026-01-01".into(),
        facts: facts(),
        dram_read_bytes_per_s: 4.2e12,
        dram_copy_bytes_per_s: 4e12,
        l2_read_bytes_per_s: 6e12,
        shared_read_bytes_per_s: 30e12,
        fma_flops: vec![rate("f32", 60.0), rate("f64", 30.0), rate("f16x2", 120.0)],
        tensor_flops: vec![rate("f16", 800.0), rate("bf16", 800.0), rate("tf32", 400.0)],
        launch_ns: 2_000.0,
        to_device_bytes_per_s: 50e9,
        to_host_bytes_per_s: 50e9,
        dram_latency_ns: 600.0,
        clock_hz: 1.9e9,
        special_ops_per_s: Some(4e12),
        scattered: Some(Scattered {
            l2_loads_per_s: 150e9,
            l2_stores_per_s: 57e9,
            dram_loads_per_s: 40e9,
            dram_stores_per_s: 18e9,
        }),
    }
}

pub fn place(line: u32) -> Place {
    Place { file: "kernel.mlir".into(), line, column: 5 }
}

/// `mib` go in and come out, in `us`, by a kernel that fills the GPU many times and of which nothing else is known.
pub fn tables(mib: u64, us: f64) -> Tables {
    let buffer = |index, role| ProblemBuffer {
        index,
        name: format!("b{index}"),
        role,
        dtype: "f32".into(),
        elements: mib * MIB / 4,
        bytes: mib * MIB,
    };
    let ns = us * 1e3;
    let kernel = KernelTable {
        kernel: "kernel".into(),
        place: Some(place(3)),
        launches: 1.0,
        grid: [100_000, 1, 1],
        block: [256, 1, 1],
        registers: Some(32),
        occupancy: Some(occupancy(1.0, 1.0, Limiter::None, 95.0)),
        device_ns: Some(ns),
        share: 1.0,
        ..KernelTable::default()
    };
    let workload = WorkloadTable {
        buffers: vec![buffer(0, Role::Input), buffer(1, Role::Output)],
        clean: CleanTime { median_ns: ns, low_ns: ns * 0.99, high_ns: ns * 1.01 },
        device: Some(DeviceTable { clean_ns: ns, kernels: vec![kernel], ..DeviceTable::default() }),
        ..WorkloadTable::default()
    };
    Tables {
        target: Target::Gpu,
        workloads: vec![workload],
        device_peaks: Some(peaks()),
        ..Tables::default()
    }
}

pub fn occupancy(theoretical: f64, resident: f64, limiter: Limiter, waves: f64) -> Occupancy {
    Occupancy { blocks_per_sm: 8, warps_per_block: 8, max_warps: 64, theoretical, resident, limiter, waves }
}

/// The same tables, changed.
pub trait Change: Sized {
    fn device(self, change: impl FnOnce(&mut DeviceTable)) -> Self;
    fn kernel(self, change: impl FnOnce(&mut KernelTable)) -> Self {
        self.device(|device| change(&mut device.kernels[0]))
    }
    /// Flops of a type on ordinary units, and on tensor cores, in a loop that `runs` warps ran.
    fn counted(self, dtype: &str, flops: u64, tensor: u64, runs: u64) -> Self;
    /// Bytes that threads load and store, and instructions with so many lanes active.
    fn moves(self, loaded: u64, stored: u64, active_lanes: f64) -> Self {
        self.kernel(|kernel| {
            kernel.work = Some(KernelWork {
                warp_instructions: 1 << 20,
                active_lanes,
                global_loaded: loaded,
                global_stored: stored,
                ..KernelWork::default()
            });
        })
    }
}

impl Change for Tables {
    fn device(mut self, change: impl FnOnce(&mut DeviceTable)) -> Self {
        change(self.workloads[0].device.as_mut().unwrap());
        self
    }

    fn counted(self, dtype: &str, flops: u64, tensor: u64, runs: u64) -> Self {
        let row = |tensor, flops| FlopWork {
            dtype: dtype.into(),
            lanes: 1,
            slow: false,
            fused: true,
            tensor,
            flops,
        };
        let flops: Vec<_> =
            [row(false, flops), row(true, tensor)].into_iter().filter(|row| row.flops > 0).collect();
        let amounts = Amounts { instructions: runs * 20, flops, ..Amounts::default() };
        let line = LineWork { place: Some(place(9)), amounts: amounts.clone() };
        let block = BlockWork {
            site: 0,
            name: "kernel:body".into(),
            function: "kernel".into(),
            loop_depth: 1,
            executions: runs,
            lines: vec![line],
        };
        self.device(|device| {
            device.work = Some(Work { launches: 1, units: 1, total: amounts, blocks: vec![block] });
        })
    }
}

/// A load of `bytes` in `executions`, that touches `parts` where `ideal_parts` would do.
pub fn access(buffer: Buffer, bytes: u64, executions: u64, parts: u64, ideal_parts: u64) -> AccessTable {
    AccessTable {
        place: Some(place(12)),
        buffer,
        kind: AccessKind::Load,
        atomic: false,
        address: AddressSource::Computed,
        loop_depth: 1,
        executions,
        lanes: executions * 32,
        bytes,
        parts,
        ideal_parts,
        same_address: executions,
    }
}

pub fn timed(kind: SiteKind, own_share: f64) -> TimedShare {
    TimedShare {
        name: "kernel:site".into(),
        kind,
        place: Some(place(20)),
        entries: 1000,
        trips: (kind == SiteKind::Loop).then_some(64_000),
        ns_per_entry: 64_000.0,
        share: own_share,
        own_share,
    }
}

/// Names of what the rules find, best first.
pub fn names(tables: &Tables) -> Vec<String> {
    synthesize(tables).diagnoses.into_iter().map(|diagnosis| diagnosis.name).collect()
}

/// Whether the rules find `name`.
pub fn finds(tables: &Tables, name: &str) -> bool {
    names(tables).iter().any(|found| found == name)
}
