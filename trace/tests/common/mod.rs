//! Builds tables as the passes and the worker would, for a machine with AVX-512.
#![allow(dead_code, clippy::unwrap_used)]

use kinstr_trace::peaks::{BandwidthLevel, Peaks};
use kinstr_trace::sites::*;
use kinstr_trace::synthesis::*;
use kinstr_trace::tables::{CountRow, Trace, Unit};
use kinstr_trace::work::Work;

pub const FILE: &str = "kernel.mlir";
pub const MIB: u64 = 1 << 20;

pub fn peaks() -> Peaks {
    let level = |name: &str, capacity_bytes, read: f64, copy: f64, latency_ns| BandwidthLevel {
        name: name.to_owned(),
        capacity_bytes,
        read_bytes_per_s: read * 1e9,
        copy_bytes_per_s: copy * 1e9,
        latency_ns,
    };
    Peaks {
        device: "test".to_owned(),
        date: "2026-01-01".to_owned(),
        threads: 1,
        clock_hz: 3e9,
        simd_lanes_f32: 16,
        levels: vec![
            level("L1", 32 << 10, 300.0, 200.0, 1.3),
            level("L2", MIB, 100.0, 80.0, 4.5),
            level("L3", 32 * MIB, 30.0, 25.0, 25.0),
            level("DRAM", 1 << 36, 14.0, 12.0, 100.0),
        ],
        fma_f32_scalar: 12e9,
        fma_f32_vector: 190e9,
        fma_f64_scalar: 12e9,
        fma_f64_vector: 95e9,
        call_ns: 1.3,
        page_fault_ns: Some(500.0),
        bypassing_copy_bytes_per_s: Some(12.1e9),
        mispredict_ns: 5.0,
    }
}

/// A block of the kernel: executions per launch, loop depth, and what one execution does on a line.
pub struct Block(pub u64, pub u32, pub LineFacts);

pub fn line(line: u32, instructions: u32) -> LineFacts {
    LineFacts { place: Some(place(line)), instructions, branches: 1, ..LineFacts::default() }
}

pub fn place(line: u32) -> Place {
    Place { file: FILE.to_owned(), line, column: 5 }
}

pub trait Does: Sized {
    fn flops(self, flops: u32, lanes: u32) -> Self;
    fn access(self, buffer: Buffer, kind: AccessKind, lanes: u32) -> Self;
    fn calls(self, callee: &str, lanes: u32) -> Self;

    fn loads(self, argument: u32, lanes: u32) -> Self {
        self.access(Buffer::Argument(argument), AccessKind::Load, lanes)
    }
    fn stores(self, argument: u32, lanes: u32) -> Self {
        self.access(Buffer::Argument(argument), AccessKind::Store, lanes)
    }
}

impl Does for LineFacts {
    fn flops(mut self, flops: u32, lanes: u32) -> Self {
        self.flops.push(FlopFact {
            dtype: "f32".to_owned(),
            lanes,
            flops,
            slow: false,
            fused: false,
            tensor: false,
        });
        self
    }
    fn access(mut self, buffer: Buffer, kind: AccessKind, lanes: u32) -> Self {
        self.memory.push(AccessFact {
            buffer,
            kind,
            bytes: 4 * lanes,
            lanes,
            indexed: false,
            nontemporal: false,
            address: None,
        });
        self
    }
    fn calls(mut self, callee: &str, lanes: u32) -> Self {
        self.calls.push(CallFact { callee: callee.to_owned(), count: 1, lanes, internal: false });
        self
    }
}

pub fn work(blocks: Vec<Block>) -> Work {
    let counts = blocks.iter().enumerate();
    let counts =
        counts.map(|(site, block)| CountRow { unit: 0, site: site as u32, count: block.0 }).collect();
    let sites = blocks.into_iter().enumerate().map(|(id, Block(_, loop_depth, facts))| ProbeSite {
        id: id as u32,
        probe: "block-count".to_owned(),
        kind: SiteKind::Block,
        name: format!("kernel:{id}"),
        function: "kernel".to_owned(),
        place: facts.place.clone(),
        loop_depth,
        parent: None,
        counts_trips: false,
        words: 0,
        lines: vec![facts],
    });
    let sites = SiteTable { sites: sites.collect(), ..SiteTable::default() };
    let unit = Unit::default();
    let trace = Trace { launches: 1, units: vec![unit], counts, ..Trace::default() };
    Work::of(&trace, &sites).unwrap()
}

pub fn buffer(index: u32, name: &str, role: Role, elements: u64) -> ProblemBuffer {
    ProblemBuffer {
        index,
        name: name.to_owned(),
        role,
        dtype: "f32".to_owned(),
        elements,
        bytes: 4 * elements,
    }
}

/// One measured workload; `x` of `elements` goes in, `y` of as many comes out.
pub fn elementwise(elements: u64, ms: f64, blocks: Vec<Block>) -> Tables {
    let buffers = vec![buffer(0, "x", Role::Input, elements), buffer(1, "y", Role::Output, elements)];
    tables(buffers, ms, blocks)
}

pub fn tables(buffers: Vec<ProblemBuffer>, ms: f64, blocks: Vec<Block>) -> Tables {
    let ns = ms * 1e6;
    let workload = WorkloadTable {
        buffers,
        clean: CleanTime { median_ns: ns, low_ns: ns * 0.99, high_ns: ns * 1.01 },
        work: Some(work(blocks)),
        ..WorkloadTable::default()
    };
    Tables { workloads: vec![workload], peaks: Some(peaks()), ..Tables::default() }
}

/// Names of what the rules find, best first.
pub fn names(tables: &Tables) -> Vec<String> {
    synthesize(tables).diagnoses.into_iter().map(|diagnosis| diagnosis.name).collect()
}
