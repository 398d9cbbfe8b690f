//! What a GPU did: its kernels, when their blocks ran, where their warps waited, and what the host did around them.

use super::lists::{short, subject};
use super::observed::access_of;
use super::paint::{Ink, Page};
use super::quantity::{bytes, count, percent, time};
use super::table::{self, Cell, bar, left, right};
use kinstr_trace::device::{BlockTimeline, DevicePeaks, HostSummary, KernelWork, Limiter, Rate, Scattered};
use kinstr_trace::probe_costs::{CalibratedProbe, ProbeMemory};
use kinstr_trace::report::{DeviceAccess, DeviceReport, KernelRow, Report, TimedRow};
use kinstr_trace::sites::{Buffer, SiteKind};

/// Columns of a share bar.
const BAR: usize = 14;

/// The GPU itself, and the rates that were measured on it.
pub fn peaks(page: &mut Page, report: &Report) {
    let Some(peaks) = &report.device_peaks else { return };
    let facts = &peaks.facts;
    page.heading("Device");
    page.paragraph(
        2,
        &format!(
            "{} ({}, driver {}) · {} SMs · {} L2 · {} of memory",
            facts.name,
            facts.chip,
            facts.driver,
            facts.sm_count,
            bytes(facts.l2_bytes as f64),
            bytes(facts.memory_bytes as f64)
        ),
    );
    page.paragraph(2, &rates(peaks));
}

fn scattered(rates: &Scattered) -> String {
    let rate = |per_s: f64| count(per_s, "/s");
    format!(
        "words apart: L2 {} loaded, {} stored, DRAM {} loaded, {} stored; ",
        rate(rates.l2_loads_per_s),
        rate(rates.l2_stores_per_s),
        rate(rates.dram_loads_per_s),
        rate(rates.dram_stores_per_s)
    )
}

fn rates(peaks: &DevicePeaks) -> String {
    let flops = |rates: &[Rate]| {
        let all: Vec<_> = rates
            .iter()
            .map(|rate| format!("{} {}", rate.dtype, count(rate.flops_per_s, "flop/s")))
            .collect();
        all.join(", ")
    };
    format!(
        "measured: DRAM {} read, L2 {}, shared {}; {}FMA {}; tensor cores {}{}; launch {}",
        count(peaks.dram_read_bytes_per_s, "B/s"),
        count(peaks.l2_read_bytes_per_s, "B/s"),
        count(peaks.shared_read_bytes_per_s, "B/s"),
        peaks.scattered.as_ref().map(scattered).unwrap_or_default(),
        flops(&peaks.fma_flops),
        flops(&peaks.tensor_flops),
        peaks
            .special_ops_per_s
            .map(|rate| format!("; exponentials {}", count(rate, "/s")))
            .unwrap_or_default(),
        time(peaks.launch_ns)
    )
}

/// What timing probes cost, and how well that is known.
pub fn probe_costs(page: &mut Page, report: &Report) {
    if report.probe_costs.is_empty() {
        return;
    }
    page.heading("Cost of an interval, in ticks of the SMs' clocks");
    let names = ["probe", "records in", "warps an SM", "inside", "around"];
    let with_error = |ticks: f64, error: f64| right(format!("{ticks:.1} ± {error:.1}"));
    let row = |cost: &CalibratedProbe| {
        vec![
            left(&cost.probe),
            left(match cost.memory {
                ProbeMemory::Registers => "registers",
                ProbeMemory::Global => "device memory",
            }),
            right(cost.warps.to_string()),
            with_error(cost.inside_ticks, cost.inside_error_ticks),
            with_error(cost.around_ticks, cost.around_error_ticks),
        ]
    };
    write(page, header(&names, &["probe", "records in"]), report.probe_costs.iter().map(row).collect());
}

/// Everything about the workload with the most to say.
pub fn sections(page: &mut Page, report: &Report) {
    let Some(device) = &report.device else { return };
    let Some(workload) = subject(report, device.kernels.iter().map(|row| row.workload)) else { return };
    kernels(page, device, workload);
    timelines(page, device, workload);
    timed(page, device, workload);
    accesses(page, device, workload);
    branches(page, device, workload);
    host(page, device, workload);
}

fn header(names: &[&str], to_left: &[&str]) -> Vec<Cell> {
    let names: Vec<_> = names.iter().map(|name| (*name, !to_left.contains(name))).collect();
    table::header(&names)
}

fn write(page: &mut Page, header: Vec<Cell>, rows: Vec<Vec<Cell>>) {
    table::write(page, std::iter::once(header).chain(rows).collect());
}

fn of(workload: usize, device: &DeviceReport) -> impl Iterator<Item = &KernelRow> {
    device.kernels.iter().filter(move |row| row.workload == workload)
}

fn kernels(page: &mut Page, device: &DeviceReport, workload: usize) {
    page.heading(&format!("Kernels, workload {workload}, one call"));
    let names = [
        "time",
        "kernel",
        "launches",
        "grid",
        "block",
        "registers",
        "spills",
        "shared",
        "occupancy",
        "limit",
    ];
    let rows = of(workload, device).map(kernel).collect();
    write(page, header(&names, &["kernel", "limit"]), rows);
    for row in of(workload, device) {
        if let Some(work) = &row.work {
            page.hanging(&format!("  {}: ", row.kernel), &did(work));
        }
    }
}

fn kernel(row: &KernelRow) -> Vec<Cell> {
    let unknown = || "–".to_owned();
    let spills = row.spill_bytes.map_or_else(unknown, |spilled| bytes(spilled as f64));
    let spilled = row.spill_bytes.is_some_and(|spilled| spilled > 0);
    vec![
        right(row.device_ns.map_or_else(unknown, time)),
        left(&row.kernel),
        right(count(row.launches, "")),
        right(extents(row.grid)),
        right(extents(row.block)),
        right(row.registers.map_or_else(unknown, |registers| registers.to_string())),
        right(spills).ink(if spilled { Ink::Warn } else { Ink::Plain }),
        right(bytes(row.shared_bytes as f64)),
        right(row.occupancy.map_or_else(unknown, |occupancy| percent(occupancy.resident))),
        left(row.occupancy.map(|occupancy| limit(occupancy.limiter)).unwrap_or_default()),
    ]
}

/// Extents by dimension, without trailing ones.
fn extents(extents: [u32; 3]) -> String {
    let used = 3 - extents.iter().rev().take_while(|extent| **extent == 1).count();
    let shown: Vec<_> = extents[..used.max(1)].iter().map(u32::to_string).collect();
    shown.join("×")
}

fn limit(limiter: Limiter) -> &'static str {
    match limiter {
        Limiter::None => "full",
        Limiter::Registers => "registers",
        Limiter::SharedMemory => "shared memory",
        Limiter::BlockSize => "block size",
        Limiter::Grid => "grid",
    }
}

fn did(work: &KernelWork) -> String {
    format!(
        "{} by warps, {} of the lanes active, {} integer; {} and {} in tensor cores; {} loaded, {} stored, {} shared",
        count(work.warp_instructions as f64, "instructions"),
        percent(work.active_lanes),
        percent(work.integer_share),
        count(work.flops as f64, "flop"),
        count(work.tensor_flops as f64, "flop"),
        bytes(work.global_loaded as f64),
        bytes(work.global_stored as f64),
        bytes(work.shared_bytes as f64)
    )
}

fn timelines(page: &mut Page, device: &DeviceReport, workload: usize) {
    let known = of(workload, device).filter_map(|row| Some((row, row.timeline.as_ref()?)));
    let rows: Vec<_> = known.map(|(kernel, timeline)| timeline_row(kernel, timeline)).collect();
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Blocks, workload {workload}, one launch of the timing build"));
    let names =
        ["kernel", "waves", "recorded", "span", "median", "longest", "at once", "empty", "tail", "SM clock"];
    write(page, header(&names, &["kernel"]), rows);
}

fn timeline_row(kernel: &KernelRow, timeline: &BlockTimeline) -> Vec<Cell> {
    let sampled = if timeline.one_in > 1 { format!(", 1 in {}", timeline.one_in) } else { String::new() };
    vec![
        left(&kernel.kernel),
        right(kernel.occupancy.map_or_else(String::new, |occupancy| format!("{:.1}", occupancy.waves))),
        right(format!("{}{sampled}", timeline.blocks)),
        right(time(timeline.span_ns)),
        right(time(timeline.median_ns)),
        right(time(timeline.longest_ns)),
        right(format!("{:.0}", timeline.at_once)),
        right(percent(timeline.idle)),
        right(percent(timeline.tail)),
        right(count(timeline.clock_hz, "Hz")),
    ]
}

fn timed(page: &mut Page, device: &DeviceReport, workload: usize) {
    let rows: Vec<_> = device.timed.iter().filter(|row| row.workload == workload).map(timed_row).collect();
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Time of the warps, workload {workload}"));
    let names = ["own share", "", "what", "line", "entered", "each"];
    write(page, header(&names, &["own share", "what", "line"]), rows);
}

fn timed_row(row: &TimedRow) -> Vec<Cell> {
    let site = &row.time;
    let (what, ink) = match site.kind {
        SiteKind::Barrier => ("wait at a barrier", Ink::Warn),
        SiteKind::AsyncWait => ("wait for a copy or product", Ink::Warn),
        SiteKind::Loop => ("loop", Ink::Plain),
        SiteKind::Kernel => ("kernel", Ink::Plain),
        _ => (site.name.as_str(), Ink::Plain),
    };
    vec![
        left(bar(site.own_share, BAR)),
        right(percent(site.own_share)),
        left(what).ink(ink),
        left(site.place.as_ref().map_or_else(|| site.name.clone(), short)),
        right(count(site.entries as f64, "")),
        right(time(site.ns_per_entry)),
    ]
}

fn accesses(page: &mut Page, device: &DeviceReport, workload: usize) {
    let rows: Vec<_> = device.accesses.iter().filter(|row| row.workload == workload).map(access).collect();
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Memory accesses of warps, workload {workload}, one call"));
    let names = ["access", "line", "by warps", "asked for", "each takes", "needs", "on one address"];
    write(page, header(&names, &["access", "line"]), rows);
}

fn access(row: &DeviceAccess) -> Vec<Cell> {
    let kind = access_of(row.kind, &row.buffer);
    let unit = if row.buffer == Buffer::Shared { "turns" } else { "sectors" };
    let wasteful = row.parts_each >= 2.0 * row.ideal_each;
    vec![
        left(if row.atomic { kind.replacen(row.kind.verb(), "atomic", 1) } else { kind }),
        left(row.place.as_ref().map(short).unwrap_or_default()),
        right(count(row.executions as f64, "")),
        right(bytes(row.bytes as f64)),
        right(format!("{:.1} {unit}", row.parts_each)).ink(if wasteful { Ink::Warn } else { Ink::Plain }),
        right(format!("{:.1}", row.ideal_each)),
        right(format!("{:.1} lanes", row.lanes_on_one_address)),
    ]
}

fn branches(page: &mut Page, device: &DeviceReport, workload: usize) {
    let rows: Vec<Vec<Cell>> = device
        .branches
        .iter()
        .filter(|row| row.workload == workload)
        .map(|row| {
            vec![
                left(&row.name),
                left(row.place.as_ref().map(short).unwrap_or_default()),
                right(count(row.executions as f64, "")),
                right(percent(row.taken)),
                right(percent(row.split)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Branches of warps, workload {workload}, one call"));
    write(
        page,
        header(&["branch", "line", "by warps", "lanes took it", "split the warp"], &["branch", "line"]),
        rows,
    );
}

fn host(page: &mut Page, device: &DeviceReport, workload: usize) {
    let Some(row) = device.host.iter().find(|row| row.workload == workload) else { return };
    page.heading(&format!("Host calls, workload {workload}, one call"));
    page.paragraph(2, &host_calls(&row.calls));
}

fn host_calls(calls: &HostSummary) -> String {
    let part = |number: f64, what: &str, ns: f64| {
        (number > 0.0).then(|| format!("{what}: {} ({})", count(number, "").trim_end(), time(ns)))
    };
    let copied = format!("copies and fills of {}", bytes(calls.copied_bytes));
    let parts = [
        part(calls.launches, "launches", calls.launch_ns),
        part(calls.synchronisations, "waits", calls.synchronise_ns),
        part(calls.copies, &copied, calls.copy_ns),
        part(calls.allocations, "allocations and releases", calls.allocate_ns),
        Some(format!("other calls: {}", time(calls.other_ns))),
        Some(format!("between calls: {}", time(calls.between_ns))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}
