//! The rules that rest on the layers around the probes: each fires on its planted cause, and not beside it.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kinstr_trace::diagnosis::Diagnosis;
use kinstr_trace::port_model::{HotBlock, Resource};
use kinstr_trace::sites::LineFacts;
use kinstr_trace::surroundings::{FlushedTime, SystemCounts};
use kinstr_trace::synthesis::{Role, Tables, synthesize};

const ELEMENTS: u64 = MIB;

fn find(tables: &Tables, name: &str) -> Option<Diagnosis> {
    synthesize(tables).diagnoses.into_iter().find(|diagnosis| diagnosis.name == name)
}

/// A loop on line 6 of `cycles` an iteration where `throughput` would do.
fn hot_block(executions: u64, cycles: f64, throughput: f64) -> HotBlock {
    let dependent = cycles > throughput;
    HotBlock {
        name: "kernel:2".to_owned(),
        place: Some(place(6)),
        executions,
        share: 0.9,
        instructions: 10,
        uops: 10.0,
        cycles,
        throughput_cycles: throughput,
        relieved_cycles: throughput / 2.0,
        dependency_share: if dependent { 0.9 } else { 0.1 },
        resource_share: if dependent { 0.1 } else { 0.9 },
        resources: vec![Resource { name: "Zn4FP1".to_owned(), cycles: throughput }],
        critical: vec!["vaddps (%rdi), %zmm0, %zmm0".to_owned()],
        ..HotBlock::default()
    }
}

/// A sum in vectors over data that fits L1, at 16 elements an iteration: 4 cycles at 3 GHz is 87 µs.
fn vector_sum(us: f64, block: HotBlock) -> Tables {
    let blocks = vec![
        Block(1, 0, line(3, 5)),
        Block(ELEMENTS / 16, 1, line(6, 4).loads(0, 16).flops(16, 16)),
        Block(1, 0, line(8, 6).stores(1, 1)),
    ];
    let buffers = vec![buffer(0, "x", Role::Input, 4096), buffer(1, "y", Role::Output, 1)];
    let mut tables = tables(buffers, us * 1e-3, blocks);
    tables.workloads[0].hot_blocks = Some(vec![block]);
    tables
}

#[test]
fn a_sum_in_one_accumulator_is_dependency_bound() {
    let slow = vector_sum(90.0, hot_block(ELEMENTS / 16, 4.0, 0.5));
    let found = find(&slow, "dependency-bound").unwrap();
    assert_eq!(found.place.as_ref().unwrap().line, 6);
    assert!((4.0..=8.0).contains(&found.potential.speedup), "{}", found.potential.speedup);
    assert!(found.message.contains("vaddps"), "{}", found.message);
    assert_eq!(names(&slow)[0], "dependency-bound");
}

#[test]
fn a_chain_that_throughput_hides_or_that_is_no_matter_is_not_dependency_bound() {
    let fast = vector_sum(25.0, hot_block(ELEMENTS / 16, 1.1, 1.0));
    assert!(find(&fast, "dependency-bound").is_none());
    // The same chain, but the kernel takes far longer than it.
    let elsewhere = vector_sum(400.0, hot_block(ELEMENTS / 16, 4.0, 0.5));
    assert!(find(&elsewhere, "dependency-bound").is_none());
    let calls = HotBlock { calls: 1, ..hot_block(ELEMENTS / 16, 4.0, 0.5) };
    assert!(find(&vector_sum(90.0, calls), "dependency-bound").is_none());
}

#[test]
fn a_full_port_without_arithmetic_is_port_bound() {
    let shuffles = vector_sum(180.0, hot_block(ELEMENTS / 16, 8.0, 8.0));
    let found = find(&shuffles, "port-bound").unwrap();
    assert!(found.message.contains("Zn4FP1"), "{}", found.message);
    assert!((1.7..2.1).contains(&found.potential.speedup), "{}", found.potential.speedup);
    // Half of the peak rate: the arithmetic itself fills the ports.
    let arithmetic = vector_sum(11.0, hot_block(ELEMENTS / 16, 0.5, 0.5));
    assert!(find(&arithmetic, "port-bound").is_none());
    let elsewhere = vector_sum(600.0, hot_block(ELEMENTS / 16, 8.0, 8.0));
    assert!(find(&elsewhere, "port-bound").is_none());
}

fn with_faults(per_call: u64) -> Tables {
    let blocks = vec![
        Block(1, 0, line(4, 5).calls("malloc", 1)),
        Block(ELEMENTS / 16, 1, line(6, 4).loads(0, 16).stores(1, 16).flops(16, 16)),
    ];
    let mut tables = elementwise(ELEMENTS, 4.0, blocks);
    tables.workloads[0].system = Some(SystemCounts {
        calls: 50,
        wall_ns: 200e6,
        kernel_ns: Some(120e6),
        minor_faults: Some(50 * per_call),
        ..SystemCounts::default()
    });
    tables
}

#[test]
fn faults_on_every_call_are_page_fault_bound() {
    // 4000 faults at 500 ns are 2 of 4 ms.
    let found = find(&with_faults(4000), "page-fault-bound").unwrap();
    assert!((1.9..2.1).contains(&found.potential.speedup), "{}", found.potential.speedup);
    assert_eq!(found.place.as_ref().unwrap().line, 4);
    assert!(found.evidence.iter().any(|item| item.metric == "time-in-the-system" && item.value == 0.6));
    assert!(find(&with_faults(10), "page-fault-bound").is_none());
}

#[test]
fn only_a_difference_that_was_measured_in_turns_is_a_denormal_slowdown() {
    let with = |flushed_ns, in_turns| {
        let mut tables = vector_sum(90.0, HotBlock::default());
        tables.workloads[0].hot_blocks = None;
        tables.workloads[0].flushed = Some(FlushedTime { plain_ns: 90e3, flushed_ns, in_turns });
        find(&tables, "denormal-slowdown")
    };
    assert!((2.9..=3.0).contains(&with(30e3, true).unwrap().potential.speedup));
    assert!(with(30e3, false).is_none());
    assert!(with(85e3, true).is_none());
}

#[test]
fn a_scalar_sum_in_strict_order_gains_more_by_vectors_than_by_accumulators() {
    let blocks = vec![
        Block(1, 0, line(3, 5)),
        Block(ELEMENTS / 16, 1, line(5, 40).loads(0, 16).flops(16, 16)),
        Block(ELEMENTS, 1, line(6, 4).loads(0, 1).flops(1, 1)),
    ];
    let buffers = vec![buffer(0, "x", Role::Input, 4096), buffer(1, "y", Role::Output, 1)];
    let mut slow = tables(buffers, 1.5, blocks);
    let potential = |tables: &Tables, name| find(tables, name).unwrap().potential.speedup;
    // By instructions, the scalar loop is 62 % of the work; by the model it takes all of the time, and waits in it.
    let by_instructions = potential(&slow, "unvectorised");
    slow.workloads[0].hot_blocks = Some(vec![hot_block(ELEMENTS, 4.0, 0.5)]);
    let (vectors, accumulators) = (potential(&slow, "unvectorised"), potential(&slow, "dependency-bound"));
    assert!(vectors > 2.0 * by_instructions, "{vectors} {by_instructions}");
    assert!(vectors > accumulators, "{vectors} {accumulators}");
    assert_eq!(names(&slow)[0], "unvectorised");
}

/// Rows of `16 n + rest` elements: vectors, then a scalar loop on the same line.
fn rows(rest: u64, vectors: u64) -> Tables {
    const ROWS: u64 = 10_000;
    let work = |line: LineFacts, lanes| line.loads(0, lanes).stores(1, lanes).flops(lanes, lanes);
    let blocks = vec![
        Block(ROWS, 1, line(3, 5)),
        Block(ROWS * vectors, 2, work(line(6, 6), 16)),
        Block(ROWS * rest, 2, work(line(6, 6), 1)),
    ];
    elementwise(ROWS * (16 * vectors + rest), 2.0, blocks)
}

#[test]
fn a_long_remainder_of_every_row_is_partially_vectorised_and_not_unvectorised() {
    let slow = rows(15, 2);
    let found = find(&slow, "partially-vectorised").unwrap();
    assert_eq!(found.place.as_ref().unwrap().line, 6);
    assert!(found.potential.speedup > 1.5, "{}", found.potential.speedup);
    assert!(find(&slow, "unvectorised").is_none());
    assert_eq!(names(&slow)[0], "partially-vectorised");
}

#[test]
fn a_short_remainder_is_nothing_and_no_vectors_are_unvectorised() {
    assert!(find(&rows(3, 64), "partially-vectorised").is_none());
    let scalar = rows(47, 0);
    assert!(find(&scalar, "partially-vectorised").is_none());
    assert!(find(&scalar, "unvectorised").is_some());
}

/// A copy of `elements` f32 at the DRAM copy bandwidth of 12 GB/s.
fn copy(elements: u64, nontemporal: bool) -> Tables {
    let mut body = line(6, 4).loads(0, 16).stores(1, 16);
    body.memory[1].nontemporal = nontemporal;
    let ms = 8.0 * elements as f64 / 12e9 * 1e3 * 1.5;
    let mut tables = elementwise(elements, ms, vec![Block(elements / 16, 1, body)]);
    tables.peaks.as_mut().unwrap().bypassing_copy_bytes_per_s = Some(15e9);
    tables
}

#[test]
fn a_large_output_through_the_caches_is_write_allocate_bound() {
    let found = find(&copy(64 * MIB, false), "write-allocate-bound").unwrap();
    assert!((1.24..1.26).contains(&found.potential.speedup), "{}", found.potential.speedup);
    assert_eq!(found.place.as_ref().unwrap().line, 6);
    assert!(find(&copy(64 * MIB, true), "write-allocate-bound").is_none());
    // Fits the 32 MiB of L3.
    assert!(find(&copy(2 * MIB, false), "write-allocate-bound").is_none());
    let mut no_gain = copy(64 * MIB, false);
    no_gain.peaks.as_mut().unwrap().bypassing_copy_bytes_per_s = Some(12.1e9);
    assert!(find(&no_gain, "write-allocate-bound").is_none());
}
