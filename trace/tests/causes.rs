//! Causes and what follows from them: where two rules see one trouble, the cause alone is named.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kinstr_trace::observed::{AccessRow, Accesses, LineTouches, Strides};
use kinstr_trace::port_model::HotBlock;
use kinstr_trace::sites::{AccessKind, AddressSource, Buffer};
use kinstr_trace::synthesis::{Role, Tables, synthesize};

const ELEMENTS: u64 = MIB;

/// `y[0] = x[0]; y[i] = y[i-1] + x[i]`, or a sum of the same cost that is stored once.
fn running_sum(stored_each_trip: bool) -> Tables {
    let body = line(6, 4).loads(0, 1).flops(1, 1);
    let body = if stored_each_trip { body.stores(1, 1) } else { body };
    let blocks =
        vec![Block(1, 0, line(3, 5)), Block(ELEMENTS, 1, body), Block(1, 0, line(8, 3).stores(1, 1))];
    let mut tables = elementwise(ELEMENTS, 1.1, blocks);
    let name = tables.workloads[0].work.as_ref().unwrap().blocks[1].name.clone();
    let chain = HotBlock {
        name,
        place: Some(place(6)),
        executions: ELEMENTS,
        cycles: 3.0,
        throughput_cycles: 1.0,
        relieved_cycles: 1.0,
        dependency_share: 0.9,
        resource_share: 0.1,
        ..HotBlock::default()
    };
    tables.workloads[0].hot_blocks = Some(vec![chain]);
    tables
}

#[test]
fn a_prefix_sum_waits_and_a_plain_sum_is_unvectorised() {
    assert_eq!(names(&running_sum(true))[0], "dependency-bound");
    assert!(!names(&running_sum(true)).contains(&"unvectorised".to_owned()));
    assert_eq!(names(&running_sum(false))[0], "unvectorised");
}

const BINS: u64 = 64;

/// Counting into `bins` counters: the units need one cycle an element.
fn histogram(ms: f64, bins: u64) -> Tables {
    let body = line(6, 5).loads(0, 1).loads(1, 1).stores(1, 1);
    let blocks = vec![Block(1, 0, line(3, 5)), Block(ELEMENTS, 1, body)];
    let buffers = vec![buffer(0, "x", Role::Input, ELEMENTS), buffer(1, "y", Role::Output, bins)];
    let mut tables = tables(buffers, ms, blocks);
    let update = |kind| AccessRow {
        name: "kernel:1".to_owned(),
        function: "kernel".to_owned(),
        place: Some(place(6)),
        loop_depth: 1,
        buffer: Buffer::Argument(1),
        kind,
        width: 4,
        indexed: false,
        address: AddressSource::Loaded,
        executions: ELEMENTS,
        strides: Strides { line: ELEMENTS - 1, ..Strides::default() },
        line_sharers: 0,
        lines: Some(LineTouches { first: bins / 16, again: Vec::new() }),
    };
    let rows = vec![update(AccessKind::Load), update(AccessKind::Store)];
    let workload = &mut tables.workloads[0];
    workload.accesses = Some(Accesses { launches: 1, rows, sample: None });
    let loop_of_8 =
        HotBlock { executions: ELEMENTS / 8, cycles: 8.0, throughput_cycles: 8.0, ..HotBlock::default() };
    workload.hot_blocks = Some(vec![loop_of_8]);
    tables
}

#[test]
fn updates_of_one_table_wait_for_each_other() {
    // 1 Mi elements at a cycle each are 0.35 ms.
    let slow = synthesize(&histogram(1.0, BINS)).diagnoses;
    let found = slow.iter().find(|diagnosis| diagnosis.name == "dependency-bound").unwrap();
    assert!((2.5..3.2).contains(&found.potential.speedup), "{}", found.potential.speedup);
    assert_eq!(found.place.as_ref().unwrap().line, 6);
    assert!(!names(&histogram(0.4, BINS)).contains(&"dependency-bound".to_owned()), "the units explain it");
    assert!(
        !names(&histogram(400.0, BINS)).contains(&"dependency-bound".to_owned()),
        "no update takes that long"
    );
    let mut at_roof = histogram(0.145, BINS);
    let block = &mut at_roof.workloads[0].hot_blocks.as_mut().unwrap()[0];
    (block.cycles, block.throughput_cycles) = (1.0, 1.0);
    assert!(!names(&at_roof).contains(&"dependency-bound".to_owned()), "nothing to gain");
    let large = histogram(1.0, 16 * MIB);
    assert!(!names(&large).contains(&"dependency-bound".to_owned()), "no cache holds the table");
}

#[test]
fn lines_read_to_be_written_are_the_cause_and_bandwidth_the_consequence() {
    const LARGE: u64 = 64 * MIB;
    let fill = |bypassing: f64| {
        let blocks = vec![Block(1, 0, line(3, 5)), Block(LARGE / 16, 1, line(6, 3).stores(1, 16))];
        let buffers = vec![buffer(0, "x", Role::Input, 1024), buffer(1, "y", Role::Output, LARGE)];
        let mut tables = tables(buffers, 30.0, blocks);
        tables.peaks.as_mut().unwrap().bypassing_copy_bytes_per_s = Some(bypassing);
        names(&tables)
    };
    assert_eq!(fill(18e9), ["write-allocate-bound"]);
    assert!(!fill(12.1e9).contains(&"write-allocate-bound".to_owned()), "no way past the caches is faster");
}

/// Two threads that count into neighbouring counters of one line.
#[test]
fn threads_on_one_line_share_it_falsely() {
    let on_one_line = |line_sharers, ms| {
        let mut tables = histogram(ms, BINS);
        let workload = &mut tables.workloads[0];
        workload.work.as_mut().unwrap().units = 2;
        let rows = &mut workload.accesses.as_mut().unwrap().rows;
        rows.iter_mut().for_each(|row| row.line_sharers = line_sharers);
        names(&tables)
    };
    assert_eq!(on_one_line(2, 4.0)[0], "false-sharing");
    assert!(!on_one_line(0, 4.0).contains(&"false-sharing".to_owned()), "each thread has a line of its own");
    assert!(!on_one_line(2, 400.0).contains(&"false-sharing".to_owned()), "stores are too rare to matter");
}
