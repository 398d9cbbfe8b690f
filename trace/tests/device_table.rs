//! From the records of warps, launches and host calls to the table of a GPU.
#![allow(clippy::unwrap_used)]

#[path = "common/device.rs"]
mod device;
#[path = "common/file.rs"]
mod file;

use device::{MIB, facts, place};
use file::{RecordFile, UnitData, put, put32};
use kinstr_trace::decode::{DecodeError, decode};
use kinstr_trace::device::*;
use kinstr_trace::layout::{Mode, STATE_BYTES, offset};
use kinstr_trace::probe_costs::{CalibratedProbe, ProbeCosts, ProbeMemory};
use kinstr_trace::regions::ProbeCost;
use kinstr_trace::sites::*;
use kinstr_trace::synthesis::synthesize;
use kinstr_trace::tables::{AggregateRow, Clock, CountRow, Trace, Unit, WordsRow};

use proptest::prelude::*;

fn site(id: u32, kind: SiteKind, words: u32) -> ProbeSite {
    ProbeSite {
        id,
        probe: if kind == SiteKind::Branch { "divergence" } else { "some" }.into(),
        kind,
        name: format!("kernel:{id}"),
        function: "kernel".into(),
        place: Some(place(10 + id)),
        loop_depth: 1,
        counts_trips: kind == SiteKind::Loop,
        parent: None,
        words,
        lines: vec![],
    }
}

fn launch(number: u32, blocks: u32, block_shift: u32) -> Launch {
    Launch {
        number,
        kernel: "kernel".into(),
        grid: [blocks, 1, 1],
        block: [64, 1, 1],
        device_ns: Some(10_000.0),
        block_shift,
        first_unit: Some(0),
        units: 2 * blocks,
        ..Launch::default()
    }
}

/// A warp of block `block` on SM `core`, from `begin` to `end` in ns. Each SM's clock runs at 2 GHz from a number of its own.
fn warp(id: u32, core: u32, block: u64, begin: u64, end: u64) -> Unit {
    let ticks = |ns: u64| 1_000_000 * u64::from(core + 1) + 2 * ns;
    // The timer's steps are 32 ns.
    let timer = |ns: u64| ns / 32 * 32;
    Unit {
        id,
        core,
        clock: Clock {
            begin_ticks: ticks(begin),
            end_ticks: ticks(end),
            begin_ns: timer(begin),
            end_ns: timer(end),
        },
        launch: 0,
        warp: id % 2,
        block,
        ..Unit::default()
    }
}

/// Blocks of two warps; each entry is SM, begin and end.
fn blocks(runs: &[(u32, u64, u64)]) -> Vec<Unit> {
    let warps = runs.iter().enumerate().flat_map(|(block, &(core, begin, end))| {
        let id = 2 * block as u32;
        [warp(id, core, block as u64, begin, end), warp(id + 1, core, block as u64, begin, end)]
    });
    warps.collect()
}

fn build(trace: &Trace, sites: &SiteTable, launches: &[Launch], costs: impl Into<ProbeCosts>) -> KernelTable {
    let timing = Some(DeviceRecords { trace, sites, launches });
    let inputs = DeviceInputs {
        facts: facts(),
        clean_ns: 12_000.0,
        calls: 1,
        launches,
        timing,
        costs: costs.into(),
        ..DeviceInputs::default()
    };
    DeviceTable::build(&inputs).kernels.remove(0)
}

fn timeline(runs: &[(u32, u64, u64)]) -> BlockTimeline {
    let trace = Trace { launches: 1, units: blocks(runs), ..Trace::default() };
    let launches = [launch(0, runs.len() as u32, 0)];
    build(&trace, &SiteTable::default(), &launches, ProbeCost::default()).timeline.unwrap()
}

fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value}, expected {expected}");
}

#[test]
fn clocks_of_sms_are_aligned_by_the_timer() {
    let found = timeline(&[(0, 0, 10_000), (1, 0, 10_000), (0, 10_000, 20_000), (1, 10_000, 20_000)]);
    assert_eq!((found.blocks, found.sms, found.one_in), (4, 2, 1));
    near(found.span_ns, 20_000.0, 64.0);
    near(found.median_ns, 10_000.0, 64.0);
    near(found.clock_hz, 2e9, 2e7);
    near(found.at_once, 2.0, 0.02);
    near(found.idle, 0.0, 0.02);
    near(found.tail, 0.0, 0.0);
    near(found.sm_imbalance, 1.0, 0.01);
}

#[test]
fn times_are_told_apart_although_the_timer_counts_since_years_ago() {
    let years = 1_700_000_000_000_000_000_u64;
    let mut units = blocks(&[(0, 0, 640), (1, 0, 640), (0, 640, 1280), (1, 640, 1920)]);
    for unit in &mut units {
        (unit.clock.begin_ns, unit.clock.end_ns) = (unit.clock.begin_ns + years, unit.clock.end_ns + years);
    }
    let trace = Trace { launches: 1, units, ..Trace::default() };
    let found =
        build(&trace, &SiteTable::default(), &[launch(0, 4, 0)], ProbeCost::default()).timeline.unwrap();
    near(found.span_ns, 1920.0, 1.0);
    near(found.median_ns, 640.0, 1.0);
    near(found.longest_ns, 1280.0, 1.0);
}

#[test]
fn a_launch_that_outlasts_clocks_of_32_bits_has_no_times_and_is_said() {
    let trace = Trace { launches: 1, units: blocks(&[(0, 0, 10_000)]), ..Trace::default() };
    let sites = SiteTable::default();
    let of = |device_ns| {
        let launches = [Launch { device_ns: Some(device_ns), ..launch(0, 1, 0) }];
        let timing = Some(DeviceRecords { trace: &trace, sites: &sites, launches: &launches });
        DeviceTable::build(&DeviceInputs { timing, launches: &launches, calls: 1, ..DeviceInputs::default() })
    };
    let (short, long) = (of(1e9), of(2e9));
    assert!(short.kernels[0].timeline.is_some() && short.missing.is_empty());
    assert_eq!((long.kernels[0].timeline.clone(), long.kernels[0].sites.clone()), (None, None));
    assert!(long.missing[0].contains("`kernel` took 2.0 s"), "{:?}", long.missing);
}

#[test]
fn places_that_are_empty_before_the_end_are_no_tail() {
    // An SM waits half of a block's time before it starts the next one.
    let begin = |block: u32| u64::from(block / 4) * 15_000;
    let runs: Vec<_> = (0..40).map(|block| (block % 4, begin(block), begin(block) + 10_000)).collect();
    let found = timeline(&runs);
    assert!(found.idle < 0.1, "{found:?}");
}

#[test]
fn a_last_wave_of_one_block_leaves_places_empty() {
    let mut runs: Vec<_> = (0..10).map(|sm| (sm, 0, 10_000)).collect();
    runs.push((0, 10_000, 20_000));
    let found = timeline(&runs);
    near(found.at_once, 10.0, 0.1);
    near(found.idle, 1.0 - 11.0 / 20.0, 0.02);
    near(found.tail, 0.5, 0.04);
}

#[test]
fn one_long_block_is_longer_than_the_median() {
    let mut runs: Vec<_> = (0..20).map(|sm| (sm, 0, 2_000)).collect();
    runs.push((20, 0, 100_000));
    let found = timeline(&runs);
    near(found.longest_ns / found.median_ns, 50.0, 1.0);
    assert!(found.idle > 0.85, "{found:?}");
    near(found.sm_imbalance, 100_000.0 / (140_000.0 / 21.0), 0.5);
}

#[test]
fn shares_are_of_the_time_of_warps_and_without_what_probes_cost() {
    let mut table = SiteTable {
        sites: vec![site(0, SiteKind::Loop, 0), site(1, SiteKind::Barrier, 0)],
        ..SiteTable::default()
    };
    table.sites[1].parent = Some(0);
    let row = |unit, site, count, sum| AggregateRow { unit, site, count, sum, min: 1, max: sum };
    let trace = Trace {
        launches: 1,
        units: blocks(&[(0, 0, 10_000)]),
        // Of 20,000 ticks the loop has 16,000, and the barrier in it 10 times 500.
        aggregates: vec![
            row(0, 0, 1, 16_000),
            row(1, 0, 1, 16_000),
            row(0, 1, 10, 5_000),
            row(1, 1, 10, 5_000),
        ],
        counts: vec![CountRow { unit: 0, site: 0, count: 10 }, CountRow { unit: 1, site: 0, count: 10 }],
        ..Trace::default()
    };
    let launches = [launch(0, 1, 0)];
    let cost = ProbeCost { inside: 50.0, around: 100.0 };
    let sites = build(&trace, &table, &launches, cost).sites.unwrap();
    assert_eq!((sites[0].kind, sites[0].trips, sites[0].entries), (SiteKind::Loop, Some(20), 2));
    // The loop without its probe and ten within it; then without the barrier's own 450 a time.
    near(sites[0].share, (16_000.0 - 50.0 - 1_000.0) / 20_000.0, 0.005);
    near(sites[0].own_share, (14_950.0 - 4_500.0) / 20_000.0, 0.005);
    near(sites[1].own_share, 4_500.0 / 20_000.0, 0.005);
    near(sites[1].ns_per_entry, 225.0, 1.0);
    // Each kind has a cost of its own: the loop's interval includes 20 ticks of it, each barrier adds 30 to the loop and hides 4.
    let calibrated = |kind, inside_ticks, around_ticks| CalibratedProbe {
        probe: "some".into(),
        kind,
        memory: ProbeMemory::Registers,
        warps: 1,
        inside_ticks,
        inside_error_ticks: 1.0,
        around_ticks,
        around_error_ticks: 1.0,
    };
    let costs = vec![calibrated(SiteKind::Loop, 20.0, 90.0), calibrated(SiteKind::Barrier, 4.0, 30.0)];
    let sites = build(&trace, &table, &launches, costs).sites.unwrap();
    near(sites[0].share, (16_000.0 - 20.0 - 300.0) / 20_000.0, 0.005);
    near(sites[1].ns_per_entry, (500.0 - 4.0) / 2.0, 1.0);
}

#[test]
fn work_counts_instructions_by_warp_and_bytes_by_lane() {
    let access = |buffer, kind| AccessFact {
        buffer,
        kind,
        bytes: 4,
        lanes: 1,
        indexed: false,
        nontemporal: false,
        address: None,
    };
    let flops =
        |tensor| FlopFact { dtype: "f32".into(), lanes: 1, flops: 2, slow: false, fused: true, tensor };
    let line = LineFacts {
        instructions: 8,
        int_ops: 2,
        flops: vec![flops(false), flops(true)],
        memory: vec![
            access(Buffer::Argument(0), AccessKind::Load),
            access(Buffer::Shared, AccessKind::Store),
            access(Buffer::Unknown, AccessKind::Store),
        ],
        ..LineFacts::default()
    };
    let table = SiteTable {
        sites: vec![ProbeSite { lines: vec![line], ..site(0, SiteKind::Block, 1) }],
        ..SiteTable::default()
    };
    let trace = Trace {
        launches: 2,
        counts: vec![CountRow { unit: 0, site: 0, count: 100 }],
        words: vec![WordsRow { unit: 0, site: 0, words: vec![1600] }],
        ..Trace::default()
    };
    let launches = [launch(0, 1, 0)];
    let counting = Some(DeviceRecords { trace: &trace, sites: &table, launches: &launches });
    let found = DeviceTable::build(&DeviceInputs { counting, ..DeviceInputs::default() });
    let expected = KernelWork {
        warp_instructions: 400,
        active_lanes: 0.5,
        integer_share: 0.25,
        flops: 1600,
        tensor_flops: 1600,
        global_loaded: 3200,
        global_stored: 3200,
        shared_bytes: 3200,
    };
    assert_eq!(found.kernels[0].work.as_ref().unwrap(), &expected);
    assert_eq!(found.work.unwrap().total.flops(), 6400);
}

#[test]
fn accesses_and_branches_are_those_of_one_call_of_all_blocks() {
    let fact = |buffer| {
        let memory = vec![AccessFact {
            buffer,
            kind: AccessKind::Load,
            bytes: 4,
            lanes: 1,
            indexed: false,
            nontemporal: false,
            address: Some(AddressSource::Chased),
        }];
        vec![LineFacts { memory, ..LineFacts::default() }]
    };
    let sites = vec![
        ProbeSite { lines: fact(Buffer::Argument(0)), ..site(0, SiteKind::Access, 4) },
        ProbeSite { lines: fact(Buffer::Shared), ..site(1, SiteKind::Access, 4) },
        ProbeSite { lines: fact(Buffer::Unknown), ..site(2, SiteKind::Atomic, 4) },
        site(3, SiteKind::Branch, 3),
    ];
    let table = SiteTable { sites, ..SiteTable::default() };
    let words = |site, words: &[u64]| WordsRow { unit: 0, site, words: words.to_vec() };
    let trace = Trace {
        launches: 2,
        counts: (0..4).map(|site| CountRow { unit: 0, site, count: 10 }).collect(),
        words: vec![
            words(0, &[320, 1280, 320, 10]),
            words(1, &[320, 1280, 320, 10]),
            words(2, &[320, 1280, 10, 320]),
            words(3, &[320, 160, 10]),
        ],
        ..Trace::default()
    };
    // One block in two recorded, in two calls: ten executions in all are ten a call.
    let launches = [launch(0, 8, 1), launch(1, 8, 1)];
    let observing = Some(DeviceRecords { trace: &trace, sites: &table, launches: &launches });
    let kernel = DeviceTable::build(&DeviceInputs { observing, ..DeviceInputs::default() }).kernels.remove(0);
    let accesses = kernel.accesses.unwrap();
    let parts: Vec<_> =
        accesses.iter().map(|row| (row.executions, row.parts, row.ideal_parts, row.atomic)).collect();
    // Of the atomic all lanes are on one address: one sector holds them.
    assert_eq!(parts, [(10, 320, 40, false), (10, 320, 10, false), (10, 10, 10, true)]);
    assert_eq!(accesses[0].address, AddressSource::Chased);
    let branch = &kernel.branches.unwrap()[0];
    assert_eq!((branch.executions, branch.lanes, branch.taken, branch.mixed), (10, 320, 160, 10));
}

#[test]
fn launches_say_how_a_kernel_fills_the_gpu_and_how_long_it_takes() {
    let launches = [launch(0, 66, 0), Launch { device_ns: Some(30_000.0), ..launch(1, 132, 0) }];
    let resources = [KernelResources {
        kernel: "kernel".into(),
        place: Some(place(3)),
        registers: 128,
        shared_bytes: 1024,
        spill_store_bytes: Some(8),
        spill_load_bytes: Some(16),
        ..KernelResources::default()
    }];
    let inputs = DeviceInputs {
        facts: facts(),
        calls: 2,
        launches: &launches,
        resources: &resources,
        ..DeviceInputs::default()
    };
    let table = DeviceTable::build(&inputs);
    assert_eq!(table.device_ns(), Some(20_000.0));
    let kernel = &table.kernels[0];
    assert_eq!((kernel.launches, kernel.grid, kernel.spill_bytes), (1.0, [132, 1, 1], Some(24)));
    let occupancy = kernel.occupancy.unwrap();
    assert_eq!((occupancy.blocks_per_sm, occupancy.theoretical, occupancy.limiter), (8, 0.25, Limiter::Grid));
    assert_eq!(occupancy.resident, 2.0 / 64.0);
    assert!(kernel.timeline.is_none() && kernel.sites.is_none() && kernel.work.is_none());
}

#[test]
fn host_calls_tell_where_the_device_waits() {
    let call =
        |kind: &str, begin_ns, host_ns, bytes| HostCall { kind: kind.into(), bytes, begin_ns, host_ns };
    let calls = [
        call("launch", 0, 5, 0),
        call("synchronize", 10, 90, 0),
        call("launch", 110, 10, 0),
        call("copy", 130, 20, MIB),
        call("allocate", 150, 10, MIB),
        call("synchronize", 160, 40, 0),
    ];
    let host = DeviceTable::build(&DeviceInputs { host_calls: &calls, calls: 1, ..DeviceInputs::default() })
        .host
        .unwrap();
    assert_eq!((host.launches, host.synchronisations, host.copies, host.allocations), (2.0, 2.0, 1.0, 1.0));
    assert_eq!((host.launch_ns, host.synchronise_ns, host.copied_bytes), (15.0, 130.0, MIB as f64));
    assert_eq!((host.between_ns, host.restart_ns), (5.0 + 10.0 + 10.0, 20.0));
}

#[test]
fn launches_without_units_are_said() {
    let trace = Trace { launches: 1, units: blocks(&[(0, 0, 10_000)]), ..Trace::default() };
    let launches = [launch(0, 1, 0), Launch { units: 0, first_unit: None, ..launch(1, 1, 0) }];
    let timing = Some(DeviceRecords { trace: &trace, sites: &SiteTable::default(), launches: &launches });
    let table = DeviceTable::build(&DeviceInputs { timing, ..DeviceInputs::default() });
    assert_eq!(table.missing, ["1 of 2 launches found no unit left: their warps did not record"]);
}

#[test]
fn headers_of_warps_come_back_and_shared_units_have_none() {
    let unit = UnitData { aggregates: vec![(0, [4, 1200, 250, 400])], ..UnitData::default() };
    let file = RecordFile { refused: 3, ..RecordFile::new(Mode::Aggregate, 0, vec![unit.clone(), unit]) };
    let mut bytes = file.bytes();
    let stride = offset::unit_stride(4, file.sites.word_count(), 0);
    let second = (STATE_BYTES + stride) as usize;
    put32(&mut bytes, second + offset::LAUNCH as usize, 7);
    put32(&mut bytes, second + offset::WARP as usize, 3);
    put(&mut bytes, second + offset::BLOCK as usize, 1 << 40);
    let trace = decode(&bytes, &file.sites).unwrap();
    let found = trace.units[1];
    assert_eq!((found.launch, found.warp, found.block, found.core), (7, 3, 1 << 40, 5));
    assert_eq!(trace.losses.sentences(), ["3 threads or warps got no unit, their records are missing"]);

    // Warps that share a unit write no header: its clocks stay zero, which is no damage.
    (0..4).for_each(|clock| put(&mut bytes, second + 8 + 8 * clock, 0));
    assert_eq!(decode(&bytes, &file.sites).unwrap().units[1].clock, Clock::default());
    // A warp that began and never ended is.
    put(&mut bytes, second + 8, 1);
    assert!(matches!(decode(&bytes, &file.sites), Err(DecodeError::DamagedUnit { unit: 1, .. })));
}

fn any_launch() -> impl Strategy<Value = Launch> {
    let extents = || any::<[u32; 3]>();
    (0..3_u32, extents(), extents(), any::<u64>(), any::<u32>(), any::<u32>()).prop_map(
        |(number, grid, block, dynamic_shared_bytes, blocks_per_sm, block_shift)| Launch {
            grid,
            block,
            dynamic_shared_bytes,
            blocks_per_sm,
            ..launch(number, 1, block_shift)
        },
    )
}

fn any_unit() -> impl Strategy<Value = Unit> {
    (0..3_u32, 0..4_u32, any::<[u64; 4]>(), 0..3_u64).prop_map(|(launch, core, clock, block)| {
        let [begin_ticks, end_ticks, begin_ns, end_ns] = clock;
        Unit {
            core,
            launch,
            block,
            clock: Clock { begin_ticks, end_ticks, begin_ns, end_ns },
            ..Unit::default()
        }
    })
}

proptest! {
    /// Launches, calls and records come from the candidate's process, so that any number may be in them.
    #[test]
    fn nothing_that_a_worker_says_makes_it_panic(
        launches in prop::collection::vec(any_launch(), 0..4),
        units in prop::collection::vec(any_unit(), 0..8),
        numbers in any::<[u64; 8]>(),
    ) {
        let fact = AccessFact {
            buffer: Buffer::Shared,
            kind: AccessKind::Load,
            bytes: u32::MAX,
            lanes: 1,
            indexed: false,
            nontemporal: false,
            address: None,
        };
        let lines = vec![LineFacts { instructions: u32::MAX, memory: vec![fact], ..LineFacts::default() }];
        let kinds = [
            (SiteKind::Access, 4), (SiteKind::Atomic, 4), (SiteKind::Branch, 3), (SiteKind::Block, 1), (SiteKind::Loop, 0),
            (SiteKind::Barrier, 0),
        ];
        let sites = (0..).zip(kinds).map(|(id, (kind, words))| ProbeSite { lines: lines.clone(), ..site(id, kind, words) });
        let table = SiteTable { sites: sites.collect(), ..SiteTable::default() };
        let [count, ..] = numbers;
        let trace = Trace {
            launches: numbers[1] as u32,
            counts: (0..5).map(|site| CountRow { unit: 0, site, count }).collect(),
            words: (0..4).map(|site| WordsRow { unit: 0, site, words: numbers[4..].to_vec() }).collect(),
            aggregates: (4..6)
                .flat_map(|site| (0..units.len() as u32).map(move |unit| (unit, site)))
                .map(|(unit, site)| AggregateRow { unit, site, count, sum: numbers[2], min: 0, max: numbers[3] })
                .collect(),
            units,
            ..Trace::default()
        };
        let calls: Vec<_> = ["launch", "synchronize", "copy", "free"]
            .iter()
            .zip(numbers)
            .map(|(kind, ns)| HostCall { kind: (*kind).into(), bytes: ns, begin_ns: ns, host_ns: ns })
            .collect();
        let records = Some(DeviceRecords { trace: &trace, sites: &table, launches: &launches });
        let inputs = DeviceInputs {
            facts: facts(),
            calls: 1,
            launches: &launches,
            host_calls: &calls,
            timing: records,
            counting: records,
            observing: records,
            ..DeviceInputs::default()
        };
        let mut tables = device::tables(64, 100.0);
        tables.workloads[0].device = Some(DeviceTable::build(&inputs));
        synthesize(&tables);
        kinstr_trace::report::DeviceReport::of(&tables.workloads);
    }
}
