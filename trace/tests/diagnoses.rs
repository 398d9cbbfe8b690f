//! The rules on kernels whose bottleneck is known: each must name the planted cause first.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kinstr_trace::sites::{AccessKind, Buffer, LineFacts, ProbeSite, SiteKind, SiteTable};
use kinstr_trace::sweeps::sweeps;
use kinstr_trace::synthesis::{RegionTime, Role, Skipped, Synthesis, Tables, Target, rules, synthesize};
use kinstr_trace::tables::{CountRow, Trace};
use kinstr_trace::threads::{ParallelRegion, ThreadShare};
use kinstr_trace::work::Work;

/// 16 rows of 4 MiB, larger than L2, smaller than L3.
const ROWS: u64 = 16;
const COLUMNS: u64 = MIB;
const ELEMENTS: u64 = ROWS * COLUMNS;
const VECTORS: u64 = ELEMENTS / 16;

/// Row loop around three inner loops: maximum, exponential and sum, division.
fn three_pass_softmax(ms: f64, exp: fn(LineFacts) -> LineFacts) -> Tables {
    elementwise(
        ELEMENTS,
        ms,
        vec![
            Block(1, 0, line(3, 5)),
            Block(ROWS, 1, line(4, 6)),
            Block(VECTORS, 2, line(6, 4).loads(0, 16)),
            Block(ROWS, 1, line(8, 12)),
            Block(VECTORS, 2, exp(line(10, 8).loads(0, 16).stores(1, 16).flops(32, 16))),
            Block(ROWS, 1, line(13, 12)),
            Block(VECTORS, 2, line(15, 5).loads(1, 16).stores(1, 16).flops(16, 16)),
            Block(ROWS, 1, line(17, 3)),
        ],
    )
}

#[test]
fn softmax_in_three_sweeps_is_redundant_passes() {
    let library = three_pass_softmax(35.0, |line| line.calls("_ZGVeN16v_expf", 16));
    let synthesis = synthesize(&library);
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "redundant-passes", "{:#?}", synthesis.diagnoses);
    assert_eq!(first.evidence[0].value, 3.0, "x read twice, y read back and written twice");
    assert!(first.potential.speedup > 1.2, "{}", first.potential.speedup);
    assert!([10, 15].contains(&first.place.as_ref().unwrap().line));
    let inlined = three_pass_softmax(24.0, |line| line.flops(30 * 16, 16));
    assert_eq!(names(&inlined)[0], "redundant-passes");
}

#[test]
fn sweeps_over_short_rows_stay_in_cache_and_are_not_blamed() {
    let short = |rows: u64, ms| {
        let mut tables = three_pass_softmax(ms, |line| line.flops(30 * 16, 16));
        let work = tables.workloads[0].work.as_mut().unwrap();
        for block in work.blocks.iter_mut().filter(|block| block.loop_depth == 1) {
            block.executions = rows;
        }
        tables
    };
    assert!(!names(&short(ELEMENTS / 1024, 20.0)).contains(&"redundant-passes".to_owned()));
    assert_eq!(names(&short(ROWS, 20.0))[0], "redundant-passes");
}

#[test]
fn softmax_in_two_sweeps_near_its_roof_is_at_its_roof() {
    let online = |ms| {
        elementwise(
            ELEMENTS,
            ms,
            vec![
                Block(1, 0, line(3, 5)),
                Block(ROWS, 1, line(4, 6)),
                Block(VECTORS, 2, line(6, 40).loads(0, 16).flops(600, 16)),
                Block(ROWS, 1, line(8, 12)),
                Block(VECTORS, 2, line(15, 30).loads(0, 16).stores(1, 16).flops(400, 16)),
            ],
        )
    };
    // The floor is 11.2 ms.
    assert_eq!(names(&online(14.0))[0], "at-roofline");
    assert_eq!(names(&online(18.0))[0], "memory-bandwidth-bound");
}

#[test]
fn unfused_elementwise_ops_are_redundant_passes() {
    let temporary = |kind| move |line: LineFacts| line.access(Buffer::Allocation(0), kind, 16);
    let gelu = elementwise(
        ELEMENTS,
        40.0,
        vec![
            Block(1, 0, line(3, 5)),
            Block(VECTORS, 1, temporary(AccessKind::Store)(line(5, 5).loads(0, 16).flops(16, 16))),
            Block(1, 0, line(6, 5)),
            Block(VECTORS, 1, temporary(AccessKind::Load)(line(7, 5).stores(1, 16).flops(160, 16))),
            Block(1, 0, line(8, 5)),
            Block(VECTORS, 1, line(9, 5).loads(1, 16).loads(0, 16).stores(1, 16).flops(16, 16)),
        ],
    );
    assert_eq!(names(&gelu)[0], "redundant-passes");
}

const N: u64 = 512;

fn matmul(ms: f64, blocks: Vec<Block>) -> Tables {
    let square = |index, name, role| buffer(index, name, role, N * N);
    tables(
        vec![square(0, "a", Role::Input), square(1, "b", Role::Input), square(2, "c", Role::Output)],
        ms,
        blocks,
    )
}

#[test]
fn strict_order_matmul_is_unvectorised() {
    let ijk = matmul(
        190.0,
        vec![
            Block(1, 0, line(2, 3)),
            Block(N, 1, line(3, 3)),
            Block(N * N, 2, line(4, 5)),
            Block(N * N * N, 3, line(6, 6).loads(0, 1).loads(1, 1).flops(2, 1)),
            Block(N * N, 2, line(8, 4).stores(2, 1)),
        ],
    );
    let synthesis = synthesize(&ijk);
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "unvectorised");
    assert_eq!(first.place.as_ref().unwrap().line, 6);
    assert!((12.0..16.0).contains(&first.potential.speedup), "{}", first.potential.speedup);
    assert_eq!(synthesis.diagnoses.len(), 1, "reuse of `b` by one loop nest is not a sweep");
}

#[test]
fn tiled_matmul_is_compute_bound_and_then_at_its_roof() {
    let tiled = |ms| {
        matmul(
            ms,
            vec![
                Block(1, 0, line(2, 3)),
                Block(N * N / 64, 3, line(4, 40).stores(2, 16)),
                Block(N * N * N / 64, 4, line(6, 10).loads(0, 1).loads(1, 16).flops(2 * 64, 16)),
            ],
        )
    };
    // The floor is 1.41 ms.
    assert_eq!(names(&tiled(3.2)), ["compute-bound"]);
    assert_eq!(names(&tiled(1.7)), ["at-roofline"]);
}

/// Mean, variance and normalisation of 4096 rows of 1024, the reductions `lanes` wide.
fn layernorm(rows: u64, columns: u64, ms: f64, lanes: u64) -> Tables {
    let (elements, wide) = (rows * columns, lanes as u32);
    elementwise(
        elements,
        ms,
        vec![
            Block(1, 0, line(3, 5)),
            Block(rows, 1, line(4, 6)),
            Block(elements / lanes, 2, line(6, 3).loads(0, wide).flops(wide, wide)),
            Block(rows, 1, line(8, 6)),
            Block(elements / lanes, 2, line(10, 4).loads(0, wide).flops(3 * wide, wide)),
            Block(rows, 1, line(12, 20)),
            Block(elements / 16, 2, line(14, 6).loads(0, 16).stores(1, 16).flops(64, 16)),
            Block(rows, 1, line(16, 3)),
        ],
    )
}

#[test]
fn layernorm_with_scalar_reductions_is_unvectorised() {
    let synthesis = synthesize(&layernorm(4096, 1024, 11.0, 1));
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "unvectorised");
    assert!([6, 10].contains(&first.place.as_ref().unwrap().line));
    // 32 MiB are copied at L3's 25 GB/s at best.
    let floor_bound = 11.0 / ((32 * MIB) as f64 / 25e9 * 1e3);
    assert!(first.potential.speedup <= floor_bound + 1e-6);
    assert_eq!(names(&layernorm(16, MIB, 60.0, 1))[0], "unvectorised");
}

#[test]
fn layernorm_in_three_vector_sweeps_is_redundant_passes() {
    assert_eq!(names(&layernorm(ROWS, COLUMNS, 20.0, 16))[0], "redundant-passes");
    // Rows of 4 KiB are still in L1 when they are swept again.
    assert!(!names(&layernorm(1024, 1024, 0.5, 16)).contains(&"redundant-passes".to_owned()));
}

#[test]
fn a_call_per_element_is_call_overhead() {
    let scalar = elementwise(
        ELEMENTS,
        200.0,
        vec![
            Block(1, 0, line(3, 5)),
            Block(ELEMENTS, 1, line(7, 14).loads(0, 1).stores(1, 1).flops(8, 1).calls("tanhf", 1)),
        ],
    );
    let synthesis = synthesize(&scalar);
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "call-overhead");
    assert_eq!(first.place.as_ref().unwrap().line, 7);
    assert!(first.message.contains("`tanhf` is called 16777216 times"), "{}", first.message);
    assert!(first.potential.speedup > 10.0);
}

/// The callee's own blocks are scalar, and they are so because it is called for one element.
#[test]
fn a_call_of_ones_own_function_per_element_is_call_overhead() {
    let mut gelu = elementwise(
        ELEMENTS,
        150.0,
        vec![
            Block(1, 0, line(3, 5)),
            Block(ELEMENTS, 1, line(7, 6).loads(0, 1).stores(1, 1).calls("gelu", 1)),
            Block(ELEMENTS, 0, line(20, 20).flops(12, 1)),
        ],
    );
    let work = gelu.workloads[0].work.as_mut().unwrap();
    work.blocks[2].function = "gelu".to_owned();
    let calls = work.blocks[1].lines.iter_mut().map(|line| &mut line.amounts).chain([&mut work.total]);
    calls.flat_map(|amounts| &mut amounts.calls).for_each(|row| row.internal = true);
    let synthesis = synthesize(&gelu);
    assert_eq!(synthesis.diagnoses[0].name, "call-overhead", "{:#?}", synthesis.diagnoses);
    assert!(synthesis.diagnoses.iter().all(|diagnosis| diagnosis.name != "unvectorised"));
}

#[test]
fn a_vector_math_call_is_no_overhead() {
    let vector = elementwise(
        ELEMENTS,
        40.0,
        vec![
            Block(1, 0, line(3, 5)),
            Block(
                VECTORS,
                1,
                line(7, 14).loads(0, 16).stores(1, 16).flops(128, 16).calls("_ZGVeN16v_tanhf", 16),
            ),
        ],
    );
    assert_eq!(names(&vector), ["compute-bound"]);
}

#[test]
fn a_vectorised_gelu_is_told_truly() {
    let gelu = |ms| {
        elementwise(
            ELEMENTS,
            ms,
            vec![
                Block(1, 0, line(3, 5)),
                Block(VECTORS, 1, line(7, 40).loads(0, 16).stores(1, 16).flops(40 * 16, 16)),
            ],
        )
    };
    assert_eq!(names(&gelu(13.0)), ["at-roofline"]);
    assert_eq!(names(&gelu(20.0)), ["memory-bandwidth-bound"]);
    assert!(names(&gelu(80.0)).is_empty());
    assert!(synthesize(&gelu(80.0)).notes()[0].contains("no rule explains workload 0, at 14 %"));
}

#[test]
fn the_timed_region_gives_the_place() {
    let mut tables = three_pass_softmax(35.0, |line| line.calls("_ZGVeN16v_expf", 16));
    let region = RegionTime {
        name: "rows".to_owned(),
        place: Some(place(4)),
        launches: 1,
        calls: 1,
        ns_total: 35e6,
        ns_self: 35e6,
        ns_per_call: 35e6,
        ns_shortest: 35e6,
        share: 0.99,
    };
    tables.workloads[0].regions = Some(vec![region]);
    let first = &synthesize(&tables).diagnoses[0];
    assert_eq!((first.name.as_str(), first.region.as_deref()), ("redundant-passes", Some("rows")));
}

#[test]
fn what_cannot_be_judged_is_said() {
    let mut tables = three_pass_softmax(35.0, |line| line);
    tables.peaks = None;
    let synthesis = synthesize(&tables);
    assert!(synthesis.diagnoses.is_empty());
    let for_cpu = rules().iter().filter(|rule| rule.targets.contains(&Target::Cpu)).count();
    assert_eq!(synthesis.notes().len(), for_cpu);
    assert!(synthesis.notes()[0].contains("`at-roofline` skipped: no measured peaks"));

    let mut tables = three_pass_softmax(14.0, |line| line);
    tables.workloads[0].work = None;
    let synthesis = synthesize(&tables);
    assert_eq!(synthesis.diagnoses[0].name, "at-roofline");
    assert!(synthesis.notes().iter().any(|note| note.contains("`unvectorised` skipped: no block counts")));
}

#[test]
fn where_no_probes_ran_skipped_rules_are_one_note() {
    let skipped = ["a", "b"].map(|rule| Skipped { rule, missing: "x".into() }).into();
    let told = Synthesis {
        doubts: vec!["odd".into()],
        unexplained: vec!["far".into()],
        skipped,
        ..Synthesis::default()
    };
    let one = "no probes ran, so that 2 rules had too little to go by: `a`, `b`";
    assert_eq!(told.notes_without_probes(), ["odd", one]);
    assert_eq!(told.notes(), ["odd", "far", "rule `a` skipped: no x", "rule `b` skipped: no x"]);
    assert!(Synthesis::default().notes_without_probes().is_empty());
}

#[test]
fn every_rule_is_documented_and_named_once() {
    let headings = ["What it means", "Evidence", "When it fires", "Potential", "What to try"];
    let mut codes: Vec<_> = rules().iter().map(|rule| rule.code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), rules().len());
    assert!(rules().is_sorted_by_key(|rule| rule.name));
    for rule in rules() {
        let docs = rule.docs();
        let found: Vec<_> = docs.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(found, headings, "{}", rule.name);
        assert!(rule.summary().ends_with('.'), "{}", rule.name);
    }
}

#[test]
fn a_temporary_the_compiler_hides_is_still_swept() {
    let hidden = |kind| move |line: LineFacts| line.access(Buffer::Unknown, kind, 16);
    let blocks = |reads: fn(LineFacts) -> LineFacts| {
        vec![
            Block(VECTORS, 1, hidden(AccessKind::Store)(reads(line(5, 5)))),
            Block(1, 0, line(6, 5)),
            Block(VECTORS, 1, hidden(AccessKind::Store)(hidden(AccessKind::Load)(line(7, 5)))),
            Block(1, 0, line(8, 5)),
            Block(VECTORS, 1, hidden(AccessKind::Load)(line(9, 5).stores(1, 16))),
        ]
    };
    let known = elementwise(ELEMENTS, 40.0, blocks(|line| line.loads(0, 16)));
    assert_eq!(names(&known)[0], "redundant-passes");
    // Where the input is not seen, the hidden buffer may be the input itself.
    let unknown = elementwise(ELEMENTS, 40.0, blocks(|line| line));
    assert!(!names(&unknown).contains(&"redundant-passes".to_owned()));
}

#[test]
fn regions_tell_loops_apart_where_the_block_layout_does_not() {
    // The optimiser put the second loop of each row behind a block outside of all loops.
    let rows = ELEMENTS / 1024;
    let mut tables = elementwise(
        ELEMENTS,
        30.0,
        vec![
            Block(rows, 1, line(5, 6)),
            Block(VECTORS, 2, line(6, 4).loads(0, 16)),
            Block(1, 0, line(20, 2)),
            Block(VECTORS, 2, line(9, 5).loads(0, 16)),
            Block(VECTORS, 2, line(12, 5).loads(0, 16).stores(1, 16)),
        ],
    );
    assert!(names(&tables).contains(&"redundant-passes".to_owned()), "taken for separate nests");
    let region = |line| RegionTime {
        name: "rows".to_owned(),
        place: Some(place(line)),
        launches: 2,
        calls: 2,
        ns_total: 6e7,
        ns_self: 6e7,
        ns_per_call: 3e7,
        ns_shortest: 3e7,
        share: 1.0,
    };
    tables.workloads[0].regions = Some(vec![region(4)]);
    assert!(!names(&tables).contains(&"redundant-passes".to_owned()), "one nest, so a row stays in L1");
    tables.workloads[0].regions = Some(vec![region(4), region(8), region(11)]);
    assert_eq!(names(&tables)[0], "redundant-passes", "three nests");
}

#[test]
fn fused_multiply_adds_issue_once() {
    // 64 flops a vector: 20 ms of issue were nothing fused, 10 ms as written.
    let kernel = |fused| {
        let block = Block(64 * VECTORS, 1, line(7, 80).loads(0, 16).flops(64 * 16, 16));
        let mut tables = elementwise(ELEMENTS, 60.0, vec![block]);
        let work = tables.workloads[0].work.as_mut().unwrap();
        work.total.flops.iter_mut().for_each(|row| row.fused = fused);
        kinstr_trace::roofline::issue_seconds(&tables.workloads[0], tables.peaks.as_ref().unwrap())
    };
    assert_eq!(kernel(false), 2.0 * kernel(true));
}

#[test]
fn two_loops_that_share_a_buffer_out_sweep_it_once() {
    let half = |argument: u32| line(5 + argument, 4).loads(0, 16).stores(1, 16);
    let n = 32 * MIB;
    let halves = |times| {
        let blocks = (0..times).map(|number| Block(n / 32, 1, half(number))).collect();
        sweeps(&elementwise(n, 30.0, blocks).workloads[0])
    };
    let one: Vec<_> = halves(2).into_iter().map(|sweep| (sweep.buffer, sweep.kind, sweep.bytes)).collect();
    assert_eq!(
        one,
        [(Buffer::Argument(0), AccessKind::Load, 4 * n), (Buffer::Argument(1), AccessKind::Store, 4 * n)]
    );
    assert_eq!(halves(4).len(), 4, "twice over each");
    let with_all = vec![Block(n / 32, 1, half(0)), Block(n / 16, 1, half(1)), Block(n / 32, 1, half(2))];
    assert_eq!(sweeps(&elementwise(n, 30.0, with_all).workloads[0]).len(), 4, "once in halves, once whole");
}

#[test]
fn the_bytes_of_a_copy_are_the_work_of_the_block_around_it() {
    let mut tables = elementwise(1024, 1.0, vec![Block(1, 0, line(3, 5))]);
    let copied = |id, kind, lines| ProbeSite {
        id,
        probe: "block-count".to_owned(),
        kind,
        name: "kernel:bb0".to_owned(),
        function: "kernel".to_owned(),
        place: None,
        loop_depth: 0,
        parent: None,
        counts_trips: false,
        words: 0,
        lines: vec![lines],
    };
    let mut byte = line(3, 0).loads(0, 16).stores(1, 16);
    byte.branches = 0;
    byte.memory.iter_mut().for_each(|access| access.bytes = 1);
    let sites = SiteTable {
        sites: vec![copied(0, SiteKind::Block, line(3, 5)), copied(1, SiteKind::Copy, byte)],
        ..SiteTable::default()
    };
    let counts = [(0, 2), (1, 8192)].map(|(site, count)| CountRow { unit: 0, site, count }).to_vec();
    let work = Work::of(&Trace { launches: 2, counts, ..Trace::default() }, &sites).unwrap();
    assert_eq!((work.blocks.len(), work.blocks[0].executions, work.blocks[0].lines.len()), (1, 2, 1));
    assert_eq!((work.total.bytes(), work.blocks[0].amounts().bytes()), (16384, 16384));
    tables.workloads[0].work = Some(work);
    assert_eq!(sweeps(&tables.workloads[0]).len(), 2);
}

/// The softmax whose time is one parallel region, with what each of its threads works in ms.
fn on_threads(busy_ms: &[f64]) -> Tables {
    let mut tables = three_pass_softmax(35.0, |line| line);
    let thread = |(unit, ms): (usize, &f64)| ThreadShare {
        unit: unit as u32,
        core: unit as u32,
        runs: 2,
        busy_ns: ms * 2e6,
        wait_ns: 0.0,
    };
    let threads = busy_ms.iter().enumerate().map(thread).collect();
    let region = ParallelRegion { name: "f.omp".to_owned(), place: Some(place(3)), launches: 2, threads };
    tables.workloads[0].parallel = Some(vec![region]);
    tables
}

#[test]
fn threads_that_work_unevenly_are_named_with_what_evening_them_brings() {
    let found = synthesize(&on_threads(&[34.0, 10.0, 10.0, 10.0])).diagnoses;
    let found = found.iter().find(|diagnosis| diagnosis.code == "KI0020").unwrap();
    assert_eq!(found.place, Some(place(3)));
    // 34 ms fall to the mean of 16.
    assert!((found.potential.speedup - 35.0 / (35.0 - 18.0)).abs() < 1e-6, "{found:?}");
    let fires = |busy: &[f64]| names(&on_threads(busy)).contains(&"load-imbalance".to_owned());
    let mut at_roof = on_threads(&[34.0, 10.0, 10.0, 10.0]);
    let peaks = at_roof.peaks.as_mut().unwrap();
    (peaks.levels[3].copy_bytes_per_s, peaks.bypassing_copy_bytes_per_s) = (4e9, None);
    assert!(!names(&at_roof).contains(&"load-imbalance".to_owned()), "memory is no faster");
    assert!(!fires(&[34.0, 33.0, 33.0, 32.0]), "even enough");
    assert!(!fires(&[34.0]), "one thread");
    assert!(!fires(&[2.0, 0.5]), "uneven, but of no account");
    assert!(!fires(&[]), "no threads");
}
