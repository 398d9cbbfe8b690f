//! Records, sites and events that `scripts/gpu-test` left on an NVIDIA H100 (driver 580.159.04, 2026-11-26): what they say is
//! known, because the kernel has two loops of 4096 and 16384 equal steps in each of 132 warps.
#![allow(clippy::unwrap_used)]

use kinstr_trace::decode::decode;
use kinstr_trace::device::*;
use kinstr_trace::regions::ProbeCost;
use kinstr_trace::sites::{SiteKind, SiteTable};
use kinstr_trace::synthesis::*;
use kinstr_trace::tables::Trace;
use serde_json::Value;
use std::fs;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/known-lengths-h100/");
const WARPS: u64 = 132;

/// A build's records and sites.
fn records(build: &str) -> (Trace, SiteTable) {
    let sites = fs::read(format!("{FOLDER}{build}.sites.json")).unwrap();
    let sites: SiteTable = serde_json::from_slice(&sites).unwrap();
    (decode(&fs::read(format!("{FOLDER}{build}-0.krec")).unwrap(), &sites).unwrap(), sites)
}

fn events() -> Vec<Value> {
    let text = fs::read_to_string(format!("{FOLDER}events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Field `field` of the first event called `name` (of `build`, if that is said).
fn field<T: serde::de::DeserializeOwned>(name: &str, build: Option<&str>, field: &str) -> T {
    let is_it = |event: &&Value| event["event"] == name && build.is_none_or(|build| event["build"] == build);
    let found = events().iter().find(is_it).map(|event| event.pointer(field).unwrap().clone());
    serde_json::from_value(found.unwrap()).unwrap()
}

fn launches(build: &str) -> Vec<Launch> {
    field("launched", Some(build), "/activity/launches")
}

fn with<'r>((trace, sites): &'r (Trace, SiteTable), launches: &'r [Launch]) -> Option<DeviceRecords<'r>> {
    Some(DeviceRecords { trace, sites, launches })
}

/// The table of the device, as an evaluation makes it.
fn table() -> DeviceTable {
    let [timing, counting, observing] = ["timing", "counting", "observing"].map(records);
    let launched = ["timing", "counting", "observing"].map(launches);
    let (clean, resources) =
        (launches("clean"), field::<Vec<KernelResources>>("kernels", Some("clean"), "/resources"));
    let cost = ProbeCost {
        inside: field("certified", None, "/certificate/probe_cost_ticks"),
        around: field("certified", None, "/certificate/probe_around_ticks"),
    };
    DeviceTable::build(&DeviceInputs {
        facts: field("device", None, "/facts"),
        clean_ns: field("measured", None, "/times/candidate/median_ns"),
        calls: field("launched", Some("clean"), "/activity/calls"),
        launches: &clean,
        resources: &resources,
        timing: with(&timing, &launched[0]),
        costs: cost.into(),
        counting: with(&counting, &launched[1]),
        observing: with(&observing, &launched[2]),
        ..DeviceInputs::default()
    })
}

#[test]
fn a_loop_four_times_as_long_takes_four_times_as_long() {
    let table = table();
    let loops: Vec<_> =
        table.kernels[0].sites.as_ref().unwrap().iter().filter(|site| site.kind == SiteKind::Loop).collect();
    let [long, short] = loops.as_slice() else { panic!("two loops, not {loops:?}") };
    assert_eq!((long.entries, short.entries), (WARPS, WARPS));
    assert_eq!(long.trips.unwrap(), 4 * short.trips.unwrap());
    let ratio = long.ns_per_entry / short.ns_per_entry / 4.0;
    assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
    assert!(long.share + short.share > 0.98, "there is nothing else");
}

#[test]
fn blocks_fill_the_launch_and_each_has_an_sm_of_its_own() {
    let timeline = table().kernels[0].timeline.clone().unwrap();
    assert_eq!((timeline.blocks, timeline.sms, timeline.one_in), (WARPS, 132, 1));
    let recorded = launches("timing")[0].device_ns.unwrap();
    assert!((0.85..1.0).contains(&(timeline.span_ns / recorded)), "{timeline:?} in {recorded} ns");
    assert!((1.9e9..2.1e9).contains(&timeline.clock_hz), "{timeline:?}");
    assert!(timeline.longest_ns / timeline.median_ns < 1.01, "steps of the timer do not show: {timeline:?}");
    assert!(timeline.idle < 0.1, "{timeline:?}");
}

#[test]
fn work_and_accesses_are_exact() {
    let table = table();
    let kernel = &table.kernels[0];
    let work = kernel.work.as_ref().unwrap();
    // A product and a sum a step, 32 lanes a warp.
    assert_eq!(work.flops, 2 * (4096 + 16384) * 32 * WARPS);
    assert_eq!((work.global_loaded, work.global_stored, work.active_lanes), (128 * WARPS, 128 * WARPS, 1.0));
    let accesses = kernel.accesses.as_ref().unwrap();
    let seen: Vec<_> =
        accesses.iter().map(|row| (row.verb(), row.executions, row.parts, row.ideal_parts)).collect();
    assert_eq!(seen, [("load", WARPS, 4 * WARPS, 4 * WARPS), ("store", WARPS, 4 * WARPS, 4 * WARPS)]);
}

#[test]
fn a_warp_an_sm_is_too_few() {
    let median_ns = field("measured", None, "/times/candidate/median_ns");
    let workload = WorkloadTable {
        buffers: field("loaded", None, "/workloads/0/buffers"),
        clean: CleanTime { median_ns, low_ns: median_ns, high_ns: median_ns },
        certificate: Some(field("certified", None, "/certificate")),
        device: Some(table()),
        ..WorkloadTable::default()
    };
    let tables = Tables {
        target: Target::Gpu,
        workloads: vec![workload],
        device_peaks: Some(field("device-peaks", None, "/peaks")),
        ..Tables::default()
    };
    let found = synthesize(&tables).diagnoses;
    let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["occupancy-limited"]);
    assert!(found[0].confidence.why.contains("registers"), "{}", found[0].confidence.why);
}
