//! A report as an evaluation of a slow softmax gives it.
#![allow(dead_code)]

use kinstr_trace::device::{
    BlockTimeline, DeviceFacts, DevicePeaks, HostSummary, KernelWork, Limiter, Occupancy, Rate, TimedShare,
};
use kinstr_trace::diagnosis::{Class, Confidence, Diagnosis, Evidence, Potential, Severity};
use kinstr_trace::peaks::{BandwidthLevel, Peaks};
use kinstr_trace::port_model::{HotBlock, Resource};
use kinstr_trace::report::*;
use kinstr_trace::roofline::{Bound, RooflinePoint};
use kinstr_trace::sites::{AccessKind, Buffer, Place, SiteKind};
use kinstr_trace::surroundings::SystemCounts;
use kinstr_trace::synthesis::{Certificate, RegionTime};
use kinstr_trace::tables::Losses;

fn place(line: u32) -> Place {
    Place { file: "examples/softmax/three_pass.mlir".to_owned(), line, column: 5 }
}

fn peaks() -> Peaks {
    let level = |name: &str, capacity_bytes, gigabytes: f64| BandwidthLevel {
        name: name.to_owned(),
        capacity_bytes,
        read_bytes_per_s: gigabytes * 1e9,
        copy_bytes_per_s: gigabytes * 0.8e9,
        latency_ns: 128.0 / gigabytes,
    };
    Peaks {
        device: "x86-64 AMD EPYC".to_owned(),
        date: "2026-11-22".to_owned(),
        threads: 1,
        clock_hz: 3e9,
        simd_lanes_f32: 16,
        levels: vec![level("L2", 1 << 20, 98.0), level("L3", 32 << 20, 31.5), level("DRAM", 1 << 36, 14.2)],
        fma_f32_scalar: 11.9e9,
        fma_f32_vector: 188e9,
        fma_f64_scalar: 11.9e9,
        fma_f64_vector: 94e9,
        call_ns: 1.3,
        page_fault_ns: Some(500.0),
        bypassing_copy_bytes_per_s: Some(15e9),
        mispredict_ns: 5.0,
    }
}

fn estimate(median_ns: f64, samples: u64) -> Estimate {
    Estimate { median_ns, low_ns: median_ns * 0.992, high_ns: median_ns * 1.011, samples }
}

fn workload(index: usize, rows: u64, ms: f64, speedup: f64, fraction: f64) -> WorkloadReport {
    let bytes = (rows * 8) << 20;
    let floor_ns = ms * 1e6 * fraction;
    WorkloadReport {
        device_states: None,
        index,
        axes: [("M".to_owned(), rows), ("N".to_owned(), 1 << 20)].into(),
        correctness: Some(Correctness {
            passed: true,
            bitwise: false,
            max_abs: Some(2.3e-10),
            max_rel: Some(4.1e-7),
            max_ulp: Some(5),
            tolerance: Some("auto: 64 ulp".to_owned()),
            mismatch: None,
            seeds: vec![1, 2, 3],
            deterministic: Some(true),
        }),
        times: Some(Times {
            candidate: estimate(ms * 1e6, 40),
            reference: Some(estimate(ms * 1e6 * speedup, 40)),
            cold: Some(estimate(ms * 1.3e6, 20)),
            compiled: None,
            renewed_ns: Some(ms * 1.1e6),
            stop: StopReason::IntervalTight,
        }),
        speedup: Some(Speedup { value: speedup, low: speedup * 0.98, high: speedup * 1.02 }),
        speedup_over_compiled: None,
        roofline: Some(RooflinePoint {
            flops: (rows * 50) << 20,
            bytes,
            level: "DRAM".to_owned(),
            intensity: 6.25,
            achieved_flops_per_s: ((rows * 50) << 20) as f64 / ms * 1e3,
            achieved_bytes_per_s: bytes as f64 / ms * 1e3,
            roof_flops_per_s: ((rows * 50) << 20) as f64 / floor_ns * 1e9,
            fraction,
            bound: Bound::Memory,
            floor_ns,
            memory_floor_ns: floor_ns,
        }),
        certificate: Some(Certificate {
            clean_ns: ms * 1e6,
            instrumented_ns: ms * 1.004e6,
            ratio: 1.004,
            clean_instructions: Some(412),
            instrumented_instructions: Some(431),
            clean_spills: Some(0),
            instrumented_spills: Some(0),
            clean_stack_bytes: Some(64),
            instrumented_stack_bytes: Some(72),
            probe_cost_ticks: Some(41.5),
            probe_cost_error_ticks: None,
            probe_around_error_ticks: None,
            probe_around_ticks: None,
            host_ns: None,
            outputs_identical: Some(true),
            changed_loops: vec![],
            changed_loop_lines: 0,
            unchanged_loop_lines: None,
            kernels: vec![],
        }),
        system: Some(SystemCounts {
            calls: 120,
            wall_ns: ms * 120e6,
            cpu_ns: Some(ms * 118e6),
            kernel_ns: Some(0.0),
            threads: Some(2),
            minor_faults: Some(960),
            major_faults: Some(0),
            voluntary_switches: Some(41),
            involuntary_switches: Some(11),
        }),
        events: None,
    }
}

fn hot_block(line: u32, share: f64, cycles: f64) -> HotBlockRow {
    let resource = |name: &str, cycles| Resource { name: name.to_owned(), cycles };
    let block = HotBlock {
        name: format!("softmax:bb{line}"),
        place: Some(place(line)),
        executions: 1 << 20,
        share,
        model: "znver4".to_owned(),
        instructions: 14,
        uops: 15.0,
        cycles,
        throughput_cycles: 3.8,
        relieved_cycles: 2.5,
        dependency_share: if cycles > 4.0 { 0.8 } else { 0.1 },
        resource_share: 0.2,
        resources: vec![resource("Zn4FP0", 3.8), resource("Zn4Load", 1.0)],
        critical: vec!["vmaxps (%rsi), %zmm0, %zmm0".to_owned()],
        calls: 0,
    };
    HotBlockRow { workload: 0, block }
}

fn diagnosis(name: &str, code: &str, line: u32, speedup: f64, confidence: f64) -> Diagnosis {
    Diagnosis {
        code: code.to_owned(),
        name: name.to_owned(),
        class: Class::Memory,
        severity: Severity::of(speedup),
        confidence: Confidence { value: confidence, why: "bytes are exact".to_owned() },
        message: "separate loops sweep `x` 3 times; 3 of all 6 sweeps are redundant, refetch 192.0 MiB \
                  from L3 and cost about 38 % of the time"
            .to_owned(),
        evidence: vec![
            Evidence::new("redundant-sweeps", 3.0, "sweeps", "kernel-counters").against(0.0),
            Evidence::new("redundant-bytes", 201_326_592.0, "B", "kernel-counters"),
            Evidence::new("redundant-time-share", 0.382, "1", "peaks").against(0.0909),
        ],
        place: Some(place(line)),
        region: Some("rows".to_owned()),
        potential: Potential {
            speedup,
            model: "time / time without the redundant sweeps, each at its level's bandwidth".to_owned(),
        },
        workload: 0,
    }
}

pub fn report() -> Report {
    let diagnoses = vec![
        diagnosis("redundant-passes", "KI0004", 12, 1.62, 0.9),
        diagnosis("unvectorised", "KI0003", 18, 1.2, 0.75),
    ];
    let hot = |line, share, vector_share| HotLine {
        workload: 0,
        place: place(line),
        share,
        instructions: (share * 29e6) as u64,
        flops: (share * 830e6) as u64,
        vector_share: Some(vector_share),
        bytes: (share * 400e6) as u64,
        calls: 0,
    };
    let attempt = |number, fault, detail: Option<&str>| Attempt {
        number,
        wall_ms: Some(12.5),
        fault,
        detail: detail.map(str::to_owned),
    };
    let layer = |name: &str, status| Layer { name: name.to_owned(), status };
    Report {
        schema_version: SCHEMA_VERSION,
        problem: "row-softmax".to_owned(),
        candidate: "examples/softmax/three_pass.mlir".to_owned(),
        target: "cpu".to_owned(),
        verdict: Verdict::Correct,
        verdict_detail: "within 64 ulp on 2 workloads, 3 seeds each".to_owned(),
        fault: None,
        speedup: Some(2.71),
        speedup_over_compiled: None,
        primary: Some(PrimaryBottleneck::of(&diagnoses[0])),
        workloads: vec![workload(0, 16, 35.2, 2.44, 0.32), workload(1, 1, 0.981, 3.01, 0.52)],
        diagnoses,
        regions: vec![RegionRow {
            workload: 0,
            time: RegionTime {
                name: "rows".to_owned(),
                place: Some(place(9)),
                launches: 4,
                calls: 4,
                ns_total: 140.1e6,
                ns_self: 140.1e6,
                ns_per_call: 35.02e6,
                ns_shortest: 35.02e6,
                share: 0.995,
            },
        }],
        loops: vec![],
        parallel: vec![],
        hot_lines: vec![hot(18, 0.512, 1.0), hot(12, 0.301, 1.0), hot(25, 0.187, 0.5)],
        hot_blocks: vec![hot_block(18, 0.512, 4.0), hot_block(12, 0.301, 12.0)],
        hot_accesses: vec![],
        hot_branches: vec![],
        device: None,
        system: Some(SystemSummary {
            processor: Some("AMD EPYC".to_owned()),
            cores: Some(2),
            threads: Some(1),
            minor_faults: Some(1203),
            major_faults: Some(0),
            voluntary_switches: Some(4),
            involuntary_switches: Some(11),
            peak_resident_bytes: Some(312 << 20),
        }),
        layers: vec![
            layer("correctness", LayerStatus::Ran),
            layer("performance", LayerStatus::Ran),
            layer("system", LayerStatus::Ran),
            layer(
                "kernel-counters",
                LayerStatus::Unavailable("perf_event_open: permission denied; block counters ran".to_owned()),
            ),
            layer("intra-kernel", LayerStatus::Ran),
            layer("accelerator", LayerStatus::Unavailable("the target is a CPU".to_owned())),
        ],
        peaks: Some(peaks()),
        device_peaks: None,
        probe_costs: Vec::new(),
        losses: Losses::default(),
        stages: vec![
            StageReport {
                name: "Lower".to_owned(),
                digest: None,
                reused: true,
                attempts: vec![attempt(1, None, None)],
            },
            StageReport {
                name: "Measure".to_owned(),
                digest: None,
                reused: false,
                attempts: vec![
                    attempt(
                        1,
                        Some(Fault::Infrastructure),
                        Some("the worker could not be started: no memory"),
                    ),
                    attempt(2, None, None),
                ],
            },
        ],
        provenance: Provenance {
            kinstr: "0.1.0".to_owned(),
            llvm: "22.1.8".to_owned(),
            device: "x86-64 AMD EPYC".to_owned(),
            measured_at: Some("2026-11-22T07:00:00Z".to_owned()),
            digests: [("candidate".to_owned(), "0f1e2d3c4b5a".to_owned())].into(),
            versions: [("numpy".to_owned(), "2.3.1".to_owned())].into(),
        },
        notes: vec!["rule `call-overhead` skipped: no block counts".to_owned()],
    }
}

/// The same problem, and a candidate that gets it wrong.
pub fn incorrect() -> Report {
    let right = report();
    let mut workload = right.workloads[0].clone();
    workload.times = None;
    workload.speedup = None;
    workload.roofline = None;
    workload.certificate = None;
    workload.correctness = Some(Correctness {
        passed: false,
        max_ulp: Some(1_203_991),
        tolerance: Some("auto: 64 ulp".to_owned()),
        mismatch: Some(Mismatch {
            output: "y".to_owned(),
            index: vec![0, 131_072],
            expected: "9.5367e-7".to_owned(),
            actual: "NaN".to_owned(),
            wrong: 917_504,
            compared: 16_777_216,
            seed: 2,
        }),
        seeds: vec![1, 2],
        deterministic: Some(false),
        ..Correctness::default()
    });
    Report {
        verdict: Verdict::Incorrect,
        verdict_detail: "output `y` is outside the tolerance on workload 0".to_owned(),
        fault: Some(Fault::Candidate),
        speedup: None,
        primary: None,
        workloads: vec![workload],
        diagnoses: vec![],
        regions: vec![],
        loops: vec![],
        parallel: vec![],
        hot_lines: vec![],
        hot_blocks: vec![],
        hot_accesses: vec![],
        hot_branches: vec![],
        device: None,
        system: None,
        layers: right.layers[..1].to_vec(),
        losses: Losses { dropped_records: 17, units_with_drops: 1, ..Losses::default() },
        stages: vec![],
        notes: vec![],
        ..right
    }
}

/// A matrix that is turned round on a GPU, by a kernel whose stores are a row apart.
pub fn on_gpu() -> Report {
    let of_cpu = report();
    let place = |line| Place { file: "examples/gpu/06-transpose/naive.mlir".to_owned(), line, column: 5 };
    let rate = |dtype: &str, tflops: f64| Rate { dtype: dtype.to_owned(), flops_per_s: tflops * 1e12 };
    let mut one = diagnosis("uncoalesced-access", "KI0103", 12, 2.6, 0.85);
    one.message = "a store touches 32.0 sectors a warp where 4.0 hold its bytes; such sectors take 82 % of the kernel's time \
                   at the bandwidth of the L2 cache"
        .to_owned();
    one.evidence = vec![Evidence::new("sectors-over-needed", 8.0, "1", "intra-kernel").against(2.0)];
    one.place = Some(place(12));
    one.region = Some("transpose_kernel".to_owned());
    one.potential.model =
        "time / time without the sectors beyond those needed, at most time / roofline floor".to_owned();
    let access = |line, kind, parts_each| DeviceAccess {
        workload: 0,
        kernel: "transpose_kernel".to_owned(),
        place: Some(place(line)),
        buffer: Buffer::Argument(u32::from(kind == AccessKind::Store)),
        kind,
        atomic: false,
        executions: 1 << 20,
        bytes: 1 << 27,
        parts_each,
        ideal_each: 4.0,
        lanes_on_one_address: 1.0,
    };
    let timed = |kind, name: &str, own_share| TimedRow {
        workload: 0,
        kernel: "transpose_kernel".to_owned(),
        time: TimedShare {
            name: name.to_owned(),
            kind,
            place: Some(place(11)),
            entries: 32_768,
            trips: None,
            ns_per_entry: 12_300.0,
            share: own_share,
            own_share,
        },
    };
    let kernel = KernelRow {
        workload: 0,
        kernel: "transpose_kernel".to_owned(),
        place: Some(place(4)),
        launches: 1.0,
        grid: [128, 1024, 1],
        block: [32, 8, 1],
        registers: Some(24),
        shared_bytes: 0,
        spill_bytes: Some(0),
        occupancy: Some(Occupancy {
            blocks_per_sm: 8,
            warps_per_block: 8,
            max_warps: 64,
            theoretical: 1.0,
            resident: 1.0,
            limiter: Limiter::None,
            waves: 124.12,
        }),
        device_ns: Some(171_000.0),
        share: 1.0,
        timeline: Some(BlockTimeline {
            blocks: 8192,
            one_in: 16,
            span_ns: 168_000.0,
            mean_ns: 1_310.0,
            median_ns: 1_290.0,
            longest_ns: 2_100.0,
            at_once: 66.0,
            idle: 0.031,
            tail: 0.0,
            sms: 132,
            sm_imbalance: 1.01,
            clock_hz: 1.755e9,
        }),
        work: Some(KernelWork {
            warp_instructions: 28_311_552,
            active_lanes: 1.0,
            integer_share: 0.48,
            flops: 0,
            tensor_flops: 0,
            global_loaded: 1 << 27,
            global_stored: 1 << 27,
            shared_bytes: 0,
        }),
    };
    let host = HostSummary {
        launches: 1.0,
        synchronisations: 1.0,
        launch_ns: 3_100.0,
        synchronise_ns: 170_000.0,
        other_ns: 900.0,
        between_ns: 1_200.0,
        ..HostSummary::default()
    };
    Report {
        problem: "transpose".to_owned(),
        candidate: "examples/gpu/06-transpose/naive.mlir".to_owned(),
        target: "cuda:0".to_owned(),
        primary: Some(PrimaryBottleneck::of(&one)),
        workloads: vec![WorkloadReport { system: None, ..workload(0, 16, 0.171, 0.38, 0.392) }],
        diagnoses: vec![one],
        regions: vec![],
        hot_lines: vec![],
        hot_blocks: vec![],
        device: Some(DeviceReport {
            kernels: vec![kernel],
            timed: vec![
                timed(SiteKind::Loop, "transpose_kernel:loop0", 0.81),
                timed(SiteKind::Barrier, "barrier", 0.04),
            ],
            accesses: vec![access(12, AccessKind::Store, 32.0), access(11, AccessKind::Load, 4.0)],
            branches: vec![DeviceBranch {
                workload: 0,
                name: "transpose_kernel:bb0".to_owned(),
                place: Some(place(8)),
                executions: 1 << 20,
                taken: 0.998,
                split: 0.004,
            }],
            host: vec![HostRow { workload: 0, calls: host }],
        }),
        peaks: None,
        device_peaks: Some(DevicePeaks {
            device: "NVIDIA H200, driver 580".to_owned(),
            date: "2026-11-26".to_owned(),
            facts: DeviceFacts {
                name: "NVIDIA H200".to_owned(),
                chip: "sm_90".to_owned(),
                driver: "580.159.04".to_owned(),
                sm_count: 132,
                l2_bytes: 50 << 20,
                memory_bytes: 140 << 30,
                ..DeviceFacts::default()
            },
            dram_read_bytes_per_s: 4.2e12,
            l2_read_bytes_per_s: 6.1e12,
            shared_read_bytes_per_s: 31e12,
            fma_flops: vec![rate("f32", 61.0), rate("f64", 30.0), rate("f16x2", 120.0)],
            tensor_flops: vec![rate("f16", 790.0), rate("tf32", 390.0)],
            launch_ns: 1_900.0,
            ..DevicePeaks::default()
        }),
        system: None,
        provenance: Provenance { device: "NVIDIA H200, driver 580".to_owned(), ..of_cpu.provenance.clone() },
        notes: vec![],
        ..of_cpu
    }
}
