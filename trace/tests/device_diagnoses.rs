//! The rules for a GPU on kernels whose bottleneck is known: each must fire, be named first, and be silent elsewhere.
#![allow(clippy::unwrap_used)]

#[path = "common/device.rs"]
mod device;

use device::*;
use kinstr_trace::device::*;
use kinstr_trace::sites::{AccessKind, AddressSource, Buffer, SiteKind};
use kinstr_trace::synthesis::{Tables, Target, rules, synthesize};
use kinstr_trace::work::FlopWork;

const G: u64 = 1_000_000_000;
const BYTES: u64 = 128 * MIB;
/// Warps that load 128 MiB in words.
const WARPS: u64 = BYTES / 128;
/// Their sectors, side by side.
const SECTORS: u64 = BYTES / 32;

/// 128 MiB in and out: the floor is 67 µs at 4 TB/s.
fn stream(us: f64) -> Tables {
    tables(128, us).counted("f32", G / 10, 0, WARPS).moves(BYTES, BYTES, 1.0)
}

#[test]
fn a_kernel_near_its_floor_is_at_roofline() {
    assert_eq!(names(&stream(80.0)), ["at-roofline"]);
    assert!(!finds(&stream(100.0), "at-roofline"));
}

#[test]
fn bytes_at_half_the_bandwidth_are_dram_bandwidth_bound() {
    let synthesis = synthesize(&stream(110.0));
    let first = &synthesis.diagnoses[0];
    assert_eq!(first.name, "dram-bandwidth-bound");
    assert!((first.potential.speedup - 110.0 / (67.1 + 2.0)).abs() < 0.01, "{}", first.potential.speedup);
    assert!(!finds(&stream(160.0), "dram-bandwidth-bound"));
}

#[test]
fn three_kernels_that_sweep_a_matrix_are_dram_bandwidth_bound() {
    let one = stream(170.0).moves(BYTES, 0, 1.0);
    let three = one.device(|device| {
        let sweep = device.kernels[0].clone();
        device.kernels = vec![sweep.clone(), sweep.clone(), sweep];
        device.kernels[2].work.as_mut().unwrap().global_stored = BYTES;
        device.kernels.iter_mut().for_each(|kernel| kernel.device_ns = Some(56e3));
    });
    let first = &synthesize(&three).diagnoses[0];
    assert_eq!(first.name, "dram-bandwidth-bound");
    assert!(first.potential.speedup > 2.4, "{}", first.potential.speedup);
}

#[test]
fn sectors_fetched_again_and_again_are_l2_bound() {
    let naive = |times: u64| {
        let load =
            access(Buffer::Argument(0), BYTES * times, WARPS * times, SECTORS * times, SECTORS * times);
        stream(400.0).kernel(|kernel| kernel.accesses = Some(vec![load]))
    };
    assert_eq!(names(&naive(16))[0], "l2-bound");
    assert!(!finds(&naive(2), "l2-bound"));
}

#[test]
fn a_strided_store_is_uncoalesced_access_and_not_what_follows() {
    let store = |spread: u64| {
        let load = access(Buffer::Argument(0), BYTES, WARPS, SECTORS, SECTORS);
        let store = access(Buffer::Argument(1), BYTES, WARPS, SECTORS * spread, SECTORS);
        stream(250.0).kernel(|kernel| kernel.accesses = Some(vec![load, store]))
    };
    assert_eq!(names(&store(8)), ["uncoalesced-access"]);
    assert!(!finds(&store(1), "uncoalesced-access"));
    // Many sectors of few accesses take no time.
    let rare = stream(250.0).kernel(|kernel| {
        kernel.accesses =
            Some(vec![access(Buffer::Argument(0), BYTES / 64, WARPS / 64, SECTORS / 8, SECTORS / 64)]);
    });
    assert!(!finds(&rare, "uncoalesced-access"));
}

/// What peaks measured on an H100 with 50 MB of L2 cache say of memory.
fn on_an_h100(mut tables: Tables) -> Tables {
    let peaks = tables.device_peaks.as_mut().unwrap();
    (peaks.dram_read_bytes_per_s, peaks.dram_copy_bytes_per_s) = (3.07e12, 2.83e12);
    peaks.l2_read_bytes_per_s = 7.38e12;
    tables
}

/// The potential of the first diagnosis, which is this one.
fn potential(tables: &Tables, name: &str) -> f64 {
    let found = synthesize(tables).diagnoses;
    assert_eq!(found[0].name, name, "{found:?}");
    found[0].potential.speedup
}

/// Vector add of 20 million elements, a run of them a thread, as an H100 took 1.50 ms for it; side by side it takes 0.086 ms.
#[test]
fn lanes_that_find_their_sectors_gone_pay_for_device_memory() {
    let run = |l2_bytes| {
        let access = |index, kind| AccessTable {
            kind,
            ..access(Buffer::Argument(index), 80 * 1_000_000, 625_000, 20_000_000, 2_500_000)
        };
        let tables =
            tables(114, 1500.0).counted("f32", G / 50, 0, 625_000).moves(160_000_000, 80_000_000, 1.0);
        let mut tables = on_an_h100(tables.kernel(|kernel| {
            let [a, b, c] = [(0, AccessKind::Load), (1, AccessKind::Load), (2, AccessKind::Store)];
            kernel.accesses = Some([a, b, c].map(|(index, kind)| access(index, kind)).into());
            kernel.occupancy = Some(occupancy(1.0, 1.0, Limiter::None, 0.1));
        }));
        tables.device_peaks.as_mut().unwrap().facts.l2_bytes = l2_bytes;
        potential(&tables, "uncoalesced-access")
    };
    let (gone, there) = (run(50 << 20), run(200 << 20));
    assert!((0.5..2.0).contains(&(gone / 17.4)), "{gone}");
    // A cache that holds the lines of all warps serves them.
    assert!(there < 2.0, "{there}");
}

/// Transpose of a matrix of 64 MiB, a word a lane, as an H100 took 0.29 ms for it; through shared memory it takes 0.068 ms.
#[test]
fn sectors_that_are_stored_in_part_cost_more_than_whole_ones() {
    let naive = |flops| {
        let load = access(Buffer::Argument(0), BYTES / 2, WARPS / 2, SECTORS / 2, SECTORS / 2);
        let store = AccessTable {
            kind: AccessKind::Store,
            ..access(Buffer::Argument(1), BYTES / 2, WARPS / 2, SECTORS * 4, SECTORS / 2)
        };
        on_an_h100(tables(64, 290.0).counted("f32", flops, 0, WARPS).moves(BYTES / 2, BYTES / 2, 1.0).kernel(
            |kernel| {
                kernel.accesses = Some(vec![load, store]);
            },
        ))
    };
    let found = potential(&naive(G / 10), "uncoalesced-access");
    assert!((0.5..2.0).contains(&(found / 4.26)), "{found}");
    let streamed = |tables: &mut Tables| tables.device_peaks.as_mut().unwrap().scattered = None;
    let mut earlier = naive(G / 10);
    streamed(&mut earlier);
    assert!(
        potential(&earlier, "uncoalesced-access") < 1.5,
        "peaks of earlier versions know the least cost alone"
    );
    // Nothing is gained where arithmetic takes as long.
    assert!(!finds(&naive(17 * G), "uncoalesced-access"));
}

#[test]
fn columns_of_a_tile_are_bank_conflict() {
    let tile = |turns: u64| {
        let load = access(Buffer::Shared, BYTES, WARPS, WARPS * turns, WARPS);
        stream(220.0).kernel(|kernel| kernel.accesses = Some(vec![load]))
    };
    assert_eq!(names(&tile(32))[0], "bank-conflict");
    assert!(!finds(&tile(1), "bank-conflict"));
}

/// A product of 2048 × 2048 matrices: 17 GFLOP, 0.29 ms at the `f32` peak.
fn matmul(us: f64, dtype: &str, tensor: bool) -> Tables {
    let flops = 2 * 2048_u64.pow(3);
    let (ordinary, tensor) = if tensor { (0, flops) } else { (flops, 0) };
    let mut tables = tables(8, us).counted(dtype, ordinary, tensor, 1 << 20).moves(
        if tensor > 0 { 64 } else { 512 } * MIB,
        8 * MIB,
        1.0,
    );
    tables.workloads[0].buffers[0].dtype = "f16".into();
    tables
}

#[test]
fn half_precision_on_ordinary_units_is_tensor_cores_unused() {
    let tiled = matmul(700.0, "f32", false);
    assert_eq!(names(&tiled), ["tensor-cores-unused"]);
    assert!(!finds(&matmul(60.0, "f16", true), "tensor-cores-unused"));
    let mut single = matmul(700.0, "f32", false);
    single.workloads[0].buffers[0].dtype = "f32".into();
    assert_eq!(names(&single), ["compute-bound"]);
}

#[test]
fn tensor_cores_at_half_their_rate_are_compute_bound() {
    assert_eq!(names(&matmul(43.0, "f16", true))[0], "compute-bound");
    assert_eq!(names(&matmul(25.0, "f16", true)), ["at-roofline"]);
}

#[test]
fn exponentials_take_longer_than_the_products_between_them() {
    // Attention: 35 GFLOP in tensor cores, and 268 M exponentials, 72 µs of the 100 at 16 a clock and SM.
    let attention = |rate: Option<f64>| {
        let mut tables = matmul(100.0, "f16", true);
        let work = tables.workloads[0].device.as_mut().and_then(|device| device.work.as_mut()).unwrap();
        let product = work.total.flops[0].clone();
        let exponentials =
            FlopWork { dtype: "f32".into(), slow: true, tensor: false, flops: 268 << 20, ..product };
        work.total.flops.push(exponentials);
        tables.device_peaks.as_mut().unwrap().special_ops_per_s = rate;
        tables
    };
    let found = synthesize(&attention(Some(3.7e12))).diagnoses;
    assert_eq!(found[0].name, "compute-bound");
    assert!(found[0].message.contains("special functions"), "{}", found[0].message);
    assert!((found[0].potential.speedup - 1.3).abs() < 0.1, "{:?}", found[0].potential);
    // At ordinary arithmetic's rate they are nothing.
    assert!(!finds(&attention(None), "compute-bound"));
}

#[test]
fn units_that_take_turns_are_compute_bound_though_none_is_the_limit() {
    // Attention: of 100 µs 43 in tensor cores and 38 in special functions, and the L2 cache takes 46.
    let attention = |exponentials| {
        let mut tables = matmul(100.0, "f16", true).moves(256 * MIB, 8 * MIB, 1.0);
        let work = tables.workloads[0].device.as_mut().and_then(|device| device.work.as_mut()).unwrap();
        work.total.flops[0].flops *= 2;
        let product = work.total.flops[0].clone();
        work.total.flops.push(FlopWork {
            dtype: "f32".into(),
            slow: true,
            tensor: false,
            flops: exponentials,
            ..product
        });
        tables.device_peaks.as_mut().unwrap().special_ops_per_s = Some(3.7e12);
        tables
    };
    let first = &synthesize(&attention(134 << 20)).diagnoses[0];
    assert_eq!(first.name, "compute-bound");
    assert!(
        first.message.contains("take turns") && first.message.contains("tensor cores"),
        "{}",
        first.message
    );
    let in_turns =
        |tables: &Tables| synthesize(tables).diagnoses.iter().any(|row| row.message.contains("take turns"));
    // A unit of which there is next to nothing takes no turns; and together units take no more than all of the time, and no more than
    // moving the bytes does.
    assert!(!in_turns(&attention(1 << 20)));
    assert!(!in_turns(&attention(300 << 20)));
    let mut streaming = attention(134 << 20);
    streaming.workloads[0].buffers[0].bytes = 340 * MIB;
    assert!(!in_turns(&streaming), "{:?}", names(&streaming));
}

#[test]
fn empty_places_are_lost_in_full_where_memory_is_not_what_limits() {
    let shaped = |flops: u64| {
        let kernel = tables(128, 135.0).counted("f32", flops, 0, WARPS).moves(BYTES, BYTES, 1.0);
        let shaped = kernel.kernel(|kernel| kernel.timeline = Some(timeline(5.0, 0.28)));
        let found = synthesize(&shaped).diagnoses;
        found.iter().find(|row| row.name == "load-imbalance").map(|row| row.potential.speedup)
    };
    let arithmetic = shaped(6 * G).expect("load-imbalance");
    let memory = shaped(G / 10).expect("load-imbalance");
    assert!(arithmetic > 1.3 && memory < 1.2, "{arithmetic} {memory}");
}

#[test]
fn empty_places_at_the_end_cost_little_where_memory_is_busy_all_the_same() {
    let shaped = |us, longest| {
        stream(us).kernel(|kernel| {
            kernel.timeline = Some(timeline(longest, 0.15));
            kernel.occupancy = Some(occupancy(1.0, 1.0, Limiter::None, 1.3));
        })
    };
    for longest in [1.2, 2.1] {
        assert_eq!(names(&shaped(95.0, longest)), ["dram-bandwidth-bound"]);
        assert_eq!(names(&shaped(80.0, longest)), ["at-roofline"]);
    }
}

#[test]
fn a_chain_of_loads_is_latency_bound_however_few_the_warps() {
    let chain = |address, resident| {
        let load = AccessTable { address, ..access(Buffer::Argument(0), MIB, MIB / 128, MIB / 32, MIB / 32) };
        stream(900.0).kernel(|kernel| {
            kernel.accesses = Some(vec![load]);
            kernel.occupancy = Some(occupancy(1.0, resident, Limiter::Grid, 0.1));
        })
    };
    assert_eq!(names(&chain(AddressSource::Chased, 0.01)), ["latency-bound"]);
    assert_eq!(names(&chain(AddressSource::Computed, 0.01)), ["occupancy-limited"]);
    assert_eq!(names(&chain(AddressSource::Computed, 1.0)), ["latency-bound"], "by exclusion");
    assert!(!finds(&stream(110.0), "latency-bound"));
}

#[test]
fn a_chain_of_loads_is_known_when_it_is_unrolled_and_a_gather_is_none() {
    let row = |address, executions| AccessTable {
        address,
        ..access(Buffer::Argument(0), 128 * executions, executions, 32 * executions, 4 * executions)
    };
    let found = |begun, followed| {
        let rows = vec![row(AddressSource::Computed, begun), row(AddressSource::Loaded, followed)];
        synthesize(&stream(120.0).kernel(|kernel| kernel.accesses = Some(rows)))
    };
    let names = |begun, followed| -> Vec<String> {
        found(begun, followed).diagnoses.iter().map(|found| found.name.clone()).collect()
    };
    assert!(names(100, 3200).contains(&"latency-bound".into()), "{:?}", names(100, 3200));
    assert!(!names(100, 3200).contains(&"dram-bandwidth-bound".into()), "it follows");
    assert!(!names(3200, 3200).contains(&"latency-bound".into()), "{:?}", names(3200, 3200));
}

#[test]
fn waits_that_only_a_pilot_timed_count_less() {
    let sites = Some(vec![timed(SiteKind::Barrier, 0.5)]);
    let (timed, piloted) = (
        synthesize(&stream(300.0).kernel(|kernel| kernel.sites.clone_from(&sites))),
        synthesize(&stream(300.0).kernel(|kernel| {
            (kernel.sites, kernel.pilot) = (Some(vec![timed(SiteKind::Kernel, 1.0)]), sites.clone());
        })),
    );
    let sure = |synthesis: &kinstr_trace::synthesis::Synthesis| {
        let found = synthesis.diagnoses.iter().find(|found| found.name == "barrier-stall").unwrap();
        (found.confidence.value * 100.0).round()
    };
    assert_eq!((sure(&timed), sure(&piloted)), (70.0, 50.0));
}

#[test]
fn waits_that_were_left_out_join_those_that_were_timed() {
    let wait = |line, share| TimedShare { place: Some(place(line)), ..timed(SiteKind::Barrier, share) };
    let part = stream(300.0).kernel(|kernel| {
        kernel.sites = Some(vec![timed(SiteKind::Kernel, 0.9), wait(20, 0.1)]);
        kernel.pilot = Some(vec![wait(20, 0.2), wait(30, 0.3)]);
    });
    let found = synthesize(&part).diagnoses;
    let stall = found.iter().find(|found| found.name == "barrier-stall").unwrap();
    assert!((stall.evidence[0].value - 0.4).abs() < 1e-9, "{:?}", stall.evidence);
    assert_eq!(stall.confidence.value, 0.5);
}

#[test]
fn loads_that_stand_in_a_queue_are_not_latency_bound() {
    let lasting = |mean_ns| {
        stream(900.0).kernel(|kernel| {
            // 100,000 blocks of 8 warps, with two loads each.
            kernel.accesses = Some(vec![access(Buffer::Argument(0), MIB, 1_600_000, MIB / 32, MIB / 32)]);
            kernel.timeline = Some(BlockTimeline {
                mean_ns,
                median_ns: mean_ns,
                longest_ns: mean_ns,
                ..BlockTimeline::default()
            });
        })
    };
    assert!(finds(&lasting(1_200.0), "latency-bound"), "as long as two loads");
    assert!(!finds(&lasting(6_000.0), "latency-bound"), "as long as ten");
}

#[test]
fn a_loop_whose_trips_take_as_long_as_a_load_is_surely_latency_bound() {
    let looped = stream(900.0).kernel(|kernel| kernel.sites = Some(vec![timed(SiteKind::Loop, 0.9)]));
    let first = &synthesize(&looped).diagnoses[0];
    assert_eq!((first.name.as_str(), first.place.clone()), ("latency-bound", Some(place(20))));
    assert!(first.confidence.value > 0.5);
}

#[test]
fn few_resident_warps_are_occupancy_limited_and_the_limit_is_named() {
    let limited = |limiter, resident| {
        stream(120.0).kernel(|kernel| kernel.occupancy = Some(occupancy(resident, resident, limiter, 50.0)))
    };
    for (limiter, word) in [
        (Limiter::BlockSize, "blocks of 256 threads"),
        (Limiter::Registers, "32 registers"),
        (Limiter::SharedMemory, "shared memory"),
        (Limiter::Grid, "the grid has 100000 blocks"),
    ] {
        let synthesis = synthesize(&limited(limiter, 0.5));
        let names: Vec<_> = synthesis.diagnoses.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["occupancy-limited"], "and no dram-bandwidth-bound, which follows");
        assert!(synthesis.diagnoses[0].message.contains(word), "{}", synthesis.diagnoses[0].message);
    }
    assert!(!finds(&limited(Limiter::Registers, 0.75), "occupancy-limited"));
    let busy = matmul(700.0, "f32", false)
        .kernel(|kernel| kernel.occupancy = Some(occupancy(0.25, 0.25, Limiter::Registers, 9.0)));
    assert!(!finds(&busy, "occupancy-limited"), "each warp has work enough");
}

fn timeline(longest: f64, idle: f64) -> BlockTimeline {
    BlockTimeline {
        blocks: 1200,
        one_in: 1,
        span_ns: 200e3,
        mean_ns: 90e3,
        median_ns: 90e3,
        longest_ns: longest * 90e3,
        at_once: 1056.0,
        idle,
        tail: 0.45,
        sms: 132,
        sm_imbalance: 1.1,
        clock_hz: 1.9e9,
    }
}

#[test]
fn a_last_wave_of_few_blocks_is_tail_effect_and_one_long_block_load_imbalance() {
    let shaped = |longest, idle, waves| {
        stream(200.0).kernel(|kernel| {
            kernel.timeline = Some(timeline(longest, idle));
            kernel.occupancy = Some(occupancy(1.0, 1.0, Limiter::None, waves));
        })
    };
    assert_eq!(names(&shaped(1.2, 0.45, 1.14)), ["tail-effect"]);
    assert_eq!(names(&shaped(50.0, 0.6, 1.14)), ["load-imbalance"]);
    for even in [shaped(1.2, 0.05, 8.1), shaped(3.0, 0.05, 8.1), shaped(1.2, 0.3, 0.8)] {
        assert!(!finds(&even, "tail-effect") && !finds(&even, "load-imbalance"), "{:?}", names(&even));
    }
}

#[test]
fn waits_are_named_by_what_is_waited_for() {
    let waits = |kind, share| stream(150.0).kernel(|kernel| kernel.sites = Some(vec![timed(kind, share)]));
    assert_eq!(names(&waits(SiteKind::Barrier, 0.4))[0], "barrier-stall");
    assert_eq!(names(&waits(SiteKind::AsyncWait, 0.4))[0], "exposed-async-wait");
    for (kind, name) in [(SiteKind::Barrier, "barrier-stall"), (SiteKind::AsyncWait, "exposed-async-wait")] {
        assert!(!finds(&waits(kind, 0.1), name));
        assert!(!finds(&waits(SiteKind::Loop, 0.9), name));
    }
}

#[test]
fn lanes_that_go_both_ways_are_divergence() {
    let split = |mixed: u64, active, us| {
        let branch = BranchTable {
            name: "kernel:bb1".into(),
            place: Some(place(15)),
            loop_depth: 1,
            executions: 1000,
            lanes: 32_000,
            taken: 16_000,
            mixed,
        };
        stream(us).moves(BYTES, BYTES, active).kernel(|kernel| kernel.branches = Some(vec![branch]))
    };
    assert_eq!(names(&split(900, 0.5, 300.0))[0], "divergence");
    assert!(!finds(&split(10, 0.5, 300.0), "divergence"), "the branch hardly ever splits a warp");
    assert!(!finds(&split(900, 0.95, 300.0), "divergence"), "what it guards is short");
    assert!(!finds(&split(900, 0.5, 100.0), "divergence"), "memory sets the pace");
}

#[test]
fn all_lanes_on_one_address_are_atomic_contention() {
    let sum = |together: u64, us| {
        let atomic = AccessTable {
            atomic: true,
            same_address: together * WARPS,
            ..access(Buffer::Argument(1), BYTES, WARPS, WARPS, WARPS)
        };
        stream(us).kernel(|kernel| kernel.accesses = Some(vec![atomic]))
    };
    assert_eq!(names(&sum(32, 18_000.0)), ["atomic-contention"]);
    assert!(finds(&sum(2, 1_500.0), "atomic-contention"), "as in a histogram");
    assert!(!finds(&sum(1, 18_000.0), "atomic-contention"));
}

#[test]
fn spills_in_a_loop_are_register_spill() {
    let spilling = |bytes| {
        matmul(700.0, "f32", false)
            .kernel(|kernel| (kernel.spill_bytes, kernel.registers) = (Some(bytes), Some(64)))
    };
    let mut single = spilling(512);
    single.workloads[0].buffers[0].dtype = "f32".into();
    assert_eq!(names(&single), ["register-spill"]);
    assert!(!finds(&spilling(8), "register-spill"));
}

fn host(launches: f64, synchronisations: f64) -> HostSummary {
    HostSummary {
        launches,
        synchronisations,
        launch_ns: launches * 2_500.0,
        restart_ns: synchronisations * 6_000.0,
        ..HostSummary::default()
    }
}

#[test]
fn tiny_launches_are_launch_bound_and_waits_between_them_host_sync_bound() {
    let many = |launches: f64, waits: f64, us: f64| {
        tables(1, us).device(|device| {
            device.host = Some(host(launches, waits));
            device.kernels[0].launches = launches;
            device.kernels[0].occupancy = Some(occupancy(1.0, 0.1, Limiter::Grid, 0.1));
        })
    };
    assert_eq!(names(&many(1000.0, 1.0, 2_700.0)), ["launch-bound"]);
    assert_eq!(names(&many(1000.0, 1000.0, 9_000.0)), ["host-sync-bound"]);
    assert!(!finds(&many(1.0, 1.0, 100.0), "launch-bound"));
    assert!(!finds(&many(1.0, 1.0, 100.0), "host-sync-bound"));
}

#[test]
fn allocations_in_a_call_are_host_sync_bound() {
    let allocating = stream(200.0).device(|device| {
        device.host = Some(HostSummary { allocations: 2.0, allocate_ns: 90e3, ..host(1.0, 1.0) });
    });
    assert_eq!(names(&allocating)[0], "host-sync-bound");
}

#[test]
fn buffers_that_are_copied_are_copy_bound() {
    let copying = |mib: u64| {
        stream(200.0).device(|device| {
            let copied_bytes = (mib * MIB) as f64;
            device.host = Some(HostSummary { copies: 1.0, copied_bytes, copy_ns: 3e3, ..host(1.0, 1.0) });
        })
    };
    assert_eq!(names(&copying(128))[0], "copy-bound");
    assert!(!finds(&copying(8), "copy-bound"));
}

#[test]
fn rules_for_another_target_are_silent_and_those_for_this_one_say_what_they_lack() {
    let mut bare = stream(200.0).device(|device| *device = DeviceTable::default());
    bare.device_peaks = None;
    let notes = synthesize(&bare).notes();
    let for_gpu = |rule: &&kinstr_trace::synthesis::Rule| rule.targets.contains(&Target::Gpu);
    assert_eq!(notes.len(), rules().iter().filter(for_gpu).count(), "{notes:?}");
    assert!(notes.iter().any(|note| note == "rule `barrier-stall` skipped: no times of warps"));
    assert!(notes.iter().all(|note| !note.contains("`unvectorised`")));
}

#[test]
fn a_time_under_the_floor_is_a_finding_of_its_own() {
    let synthesis = synthesize(&stream(30.0));
    assert!(synthesis.diagnoses.is_empty());
    assert!(synthesis.notes()[0].contains("224 % of its roof"), "{:?}", synthesis.notes());
}
