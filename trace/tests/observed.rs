//! Observed accesses and branches: from words to tables, and from tables to diagnoses.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use kinstr_trace::observed::*;
use kinstr_trace::sites::*;
use kinstr_trace::synthesis::{Role, Tables, synthesize};
use kinstr_trace::tables::{CountRow, Trace, WordsRow};

/// A matrix of 2048 rows of 2048 elements: 16 MiB, 262144 lines.
const N: u64 = 2048;
const LINES: u64 = N * N / 16;

fn access(argument: u32, kind: AccessKind, address: AddressSource) -> AccessRow {
    AccessRow {
        name: format!("kernel:bb1.{argument}"),
        function: "kernel".to_owned(),
        place: Some(place(7)),
        loop_depth: 2,
        buffer: Buffer::Argument(argument),
        kind,
        width: 4,
        indexed: false,
        address,
        executions: N * N,
        strides: Strides { unit: N * N - 1, regular: N * N - 2, ..Strides::default() },
        line_sharers: 0,
        lines: Some(touches(LINES, &[(0, 15 * LINES)])),
    }
}

fn touches(first: u64, ages: &[(usize, u64)]) -> LineTouches {
    let mut again = vec![0; AGES];
    ages.iter().for_each(|(age, count)| again[*age] = *count);
    LineTouches { first, again }
}

/// Steps of 8 KiB; a line comes back a column later.
fn by_columns(row: AccessRow) -> AccessRow {
    let strides = Strides { beyond: N * N - 1, regular: N * N - 2 * N, ..Strides::default() };
    AccessRow { strides, lines: Some(touches(LINES, &[(12, 15 * LINES)])), ..row }
}

/// To any place, as often to a line as there are accesses to it.
fn jumping(row: AccessRow) -> AccessRow {
    let strides = Strides { beyond: N * N - 1, regular: 100, ..Strides::default() };
    AccessRow { strides, lines: Some(touches(LINES, &[(17, 5 * LINES), (18, 10 * LINES)])), ..row }
}

fn copying(ms: f64, rows: Vec<AccessRow>) -> Tables {
    let square = |index, name, role| buffer(index, name, role, N * N);
    let buffers = vec![square(0, "x", Role::Input), square(1, "y", Role::Output)];
    let blocks = vec![Block(1, 0, line(3, 5)), Block(N * N, 2, line(7, 4).loads(0, 1).stores(1, 1))];
    let mut tables = tables(buffers, ms, blocks);
    tables.workloads[0].accesses = Some(Accesses { launches: 1, rows, sample: None });
    tables
}

fn load() -> AccessRow {
    access(0, AccessKind::Load, AddressSource::Computed)
}

fn store() -> AccessRow {
    access(1, AccessKind::Store, AddressSource::Computed)
}

fn found(tables: &Tables, name: &str) -> bool {
    names(tables).iter().any(|found| found == name)
}

#[test]
fn a_transpose_that_writes_columns_has_poor_locality() {
    let tables = copying(10.0, vec![load(), by_columns(store())]);
    let synthesis = synthesize(&tables);
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "poor-locality", "{:#?}", synthesis.diagnoses);
    assert_eq!(first.place.as_ref().unwrap().line, 7);
    assert!(first.potential.speedup > 2.0, "{}", first.potential.speedup);
    // All of 16 MiB was written, and sixteen times that was fetched.
    let used = first.evidence.iter().find(|evidence| evidence.metric == "used-of-fetched-bytes").unwrap();
    assert!((used.value - 1.0 / 16.0).abs() < 1e-3, "{used:?}");
}

#[test]
fn vectors_gain_little_where_each_element_is_lines_apart() {
    let scalar = |row: AccessRow| {
        let buffers = vec![buffer(0, "x", Role::Input, N * N), buffer(1, "y", Role::Output, 1)];
        let mut tables = tables(buffers, 60.0, vec![Block(N * N, 2, line(7, 4).loads(0, 1).flops(1, 1))]);
        let rows = vec![AccessRow { name: "kernel:0.load0".to_owned(), ..row }];
        tables.workloads[0].accesses = Some(Accesses { launches: 1, rows, sample: None });
        let found = synthesize(&tables).diagnoses.into_iter().find(|found| found.name == "unvectorised");
        found.unwrap().potential.speedup
    };
    // One in four instructions is the load.
    let (in_rows, in_columns) = (scalar(load()), scalar(by_columns(load())));
    assert!(in_rows > 10.0 && (3.0..4.0).contains(&in_columns), "{in_rows} {in_columns}");
}

#[test]
fn rows_in_order_have_no_poor_locality() {
    let tables = copying(60.0, vec![load(), store()]);
    assert!(!found(&tables, "poor-locality") && !found(&tables, "cache-latency-bound"));
}

#[test]
fn fields_of_one_record_share_its_lines() {
    let step = Strides { page: N * N - 1, regular: N * N - 2, ..Strides::default() };
    let field =
        |first, age0| AccessRow { strides: step, lines: Some(touches(first, &[(0, age0)])), ..load() };
    let mut rows = vec![field(N * N, 0)];
    rows.extend((1..16).map(|_| field(0, N * N)));
    assert!(!found(&copying(60.0, rows), "poor-locality"));
}

#[test]
fn a_gather_by_loaded_indices_is_cache_latency_bound() {
    let gather = jumping(access(0, AccessKind::Load, AddressSource::Loaded));
    let synthesis = synthesize(&copying(60.0, vec![gather, store()]));
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "cache-latency-bound", "{:#?}", synthesis.diagnoses);
    assert!(first.message.contains("loaded indices"), "{}", first.message);
    assert!(!synthesis.diagnoses.iter().any(|diagnosis| diagnosis.name == "poor-locality"));
}

#[test]
fn a_list_waits_for_each_of_its_loads() {
    let list = jumping(access(0, AccessKind::Load, AddressSource::Chased));
    let synthesis = synthesize(&copying(120.0, vec![list, store()]));
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "cache-latency-bound");
    assert!(first.potential.speedup > 3.0, "{}", first.potential.speedup);
}

#[test]
fn jumps_within_the_nearest_cache_cost_nothing() {
    let near = AccessRow { lines: Some(touches(256, &[(7, 16 * LINES)])), ..jumping(load()) };
    assert!(!found(&copying(60.0, vec![near, store()]), "cache-latency-bound"));
}

fn branching(ms: f64, mispredictions: u64) -> Tables {
    let mut tables = copying(ms, vec![load(), store()]);
    let row = BranchRow {
        name: "kernel:bb2".to_owned(),
        place: Some(place(9)),
        loop_depth: 1,
        switch: false,
        executions: N * N,
        taken: N * N / 2,
        transitions: N * N / 2,
        mispredictions,
    };
    tables.workloads[0].branches = Some(Branches { launches: 1, rows: vec![row] });
    tables
}

#[test]
fn a_coin_for_a_condition_is_branch_misprediction_bound() {
    // 2 M wrong guesses at 5 ns are 10.5 ms.
    let synthesis = synthesize(&branching(15.0, N * N / 2));
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "branch-misprediction-bound");
    assert_eq!(first.place.as_ref().unwrap().line, 9);
    assert!((2.5..4.0).contains(&first.potential.speedup), "{}", first.potential.speedup);
}

#[test]
fn a_foreseen_branch_is_no_matter() {
    assert!(!found(&branching(15.0, 500), "branch-misprediction-bound"));
}

/// A kernel of 2048 elements with one branch.
fn short(us: f64, executions: u64, taken: u64, mispredictions: u64) -> Tables {
    let mut tables = elementwise(2048, us * 1e-3, vec![Block(2048, 1, line(7, 4).loads(0, 1).stores(1, 1))]);
    let mut branches = branching(1.0, mispredictions).workloads.remove(0).branches.unwrap();
    (branches.rows[0].executions, branches.rows[0].taken) = (executions, taken);
    tables.workloads[0].branches = Some(branches);
    tables
}

#[test]
fn what_a_predictor_gets_wrong_at_its_beginning_is_no_matter() {
    // At 5 ns each, half the time.
    assert!(!found(&short(0.1, 255, 255, 10), "branch-misprediction-bound"), "ran too seldom to tell");
    assert!(!found(&short(0.1, 2048, 2048, 10), "branch-misprediction-bound"), "always the same way");
    assert!(found(&short(2.0, 2048, 1024, 210), "branch-misprediction-bound"));
}

#[test]
fn few_outcomes_may_be_known_by_heart() {
    let synthesis = synthesize(&short(7.5, 2048, 1024, 1000));
    let named = synthesis.diagnoses.iter().find(|found| found.name == "branch-misprediction-bound").unwrap();
    assert!(named.confidence.value < 0.5, "{named:?}");
}

#[test]
fn vectors_in_an_unrolled_loop_do_not_jump() {
    // Four loads of 64 bytes, each of which moves by 256.
    let loads = (0..4).map(|_| AccessRow {
        width: 64,
        executions: LINES / 4,
        strides: Strides { page: LINES / 4 - 1, regular: LINES / 4 - 2, ..Strides::default() },
        lines: Some(touches(LINES / 4, &[])),
        ..load()
    });
    let tables = copying(10.0, loads.collect());
    let rows = kinstr_trace::traffic::traffic(&tables.workloads[0], tables.peaks.as_ref().unwrap());
    assert!(rows.iter().all(|row| row.is_far() && row.scattered > row.streamed));
    assert!(rows.iter().all(|row| row.seconds() == row.streamed));
    let columns = copying(10.0, vec![by_columns(load())]);
    let rows = kinstr_trace::traffic::traffic(&columns.workloads[0], columns.peaks.as_ref().unwrap());
    assert_eq!(rows[0].seconds(), rows[0].scattered);
}

fn site(id: u32, kind: SiteKind, name: &str, words: u32, memory: Vec<AccessFact>) -> ProbeSite {
    ProbeSite {
        id,
        probe: String::new(),
        kind,
        name: name.to_owned(),
        function: "kernel".to_owned(),
        place: None,
        loop_depth: 1,
        words,
        counts_trips: false,
        parent: None,
        lines: vec![LineFacts { memory, ..LineFacts::default() }],
    }
}

#[test]
fn words_of_all_threads_become_rows() {
    let fact = AccessFact {
        buffer: Buffer::Argument(2),
        kind: AccessKind::Load,
        bytes: 64,
        lanes: 16,
        indexed: true,
        nontemporal: false,
        address: Some(AddressSource::Loaded),
    };
    let sites = SiteTable {
        sites: vec![
            site(0, SiteKind::Access, "a", STRIDE_WORDS, vec![fact.clone()]),
            site(1, SiteKind::Access, "a", REUSE_WORDS, vec![fact]),
            site(2, SiteKind::Lines, "lines", TABLE_WORDS, vec![]),
            site(3, SiteKind::Branch, "b", BRANCH_WORDS, vec![]),
            site(4, SiteKind::Switch, "s", SWITCH_WORDS, vec![]),
        ],
        ..SiteTable::default()
    };
    let words = |unit, site, words: &[u64]| {
        let mut all = words.to_vec();
        all.resize(sites.sites[site as usize].words as usize, 0);
        WordsRow { unit, site, words: all }
    };
    let trace = Trace {
        launches: 1,
        counts: [(0, 0, 11), (1, 0, 21), (0, 3, 8), (0, 4, 5)]
            .map(|(unit, site, count)| CountRow { unit, site, count })
            .to_vec(),
        words: vec![
            words(0, 0, &[4096, 8, 1, 2, 3, 4, 1, 6]),
            words(1, 0, &[4096, 8, 0, 0, 0, 0, 21, 0]),
            words(0, 1, &[16, 5, 6]),
            words(1, 1, &[2]),
            words(0, 2, &[100, 7, 3]),
            words(1, 2, &[50, 1, 1]),
            words(0, 3, &[6, 2, 0xff, 1]),
            words(0, 4, &[9, 3]),
        ],
        ..Trace::default()
    };
    let accesses = Accesses::of(&trace, &sites).unwrap();
    let [row] = &accesses.rows[..] else { panic!("both probes name one access: {accesses:?}") };
    assert_eq!((row.width, row.executions, row.address), (4, 32, AddressSource::Loaded));
    let strides = Strides { same: 1, unit: 2, line: 3, page: 4, beyond: 20, regular: 6 };
    assert_eq!(row.strides, strides, "the first address of a thread has no distance");
    assert_eq!(strides.total(), 32 - 2);
    assert_eq!(row.lines.as_ref().unwrap().first, 18);
    assert_eq!(accesses.footprint(&Buffer::Argument(2)), 18 * 64);
    assert_eq!(accesses.sample, Some(LineSample { touches: 150, one_in: 8 }));
    let branches = Branches::of(&trace, &sites).unwrap();
    assert_eq!(branches.rows[0].mispredictions, 1);
    assert_eq!(
        (branches.rows[0].executions, branches.rows[0].taken, branches.rows[0].transitions),
        (8, 6, 2)
    );
    assert_eq!((branches.rows[1].executions, branches.rows[1].mispredictions), (5, 3));
}
