//! What was measured and compared on each workload.

use super::paint::{Ink, Page};
use super::quantity::{bytes, count, factor, percent, time};
use super::table::{self, left, right};
use kinstr_trace::peaks::{BandwidthLevel, Peaks};
use kinstr_trace::report::{
    Correctness, Estimate, Mismatch, Report, Speedup, StopReason, Times, WorkloadReport,
};
use kinstr_trace::roofline::{Bound, RooflinePoint};

/// Times, speedups and errors.
pub fn workloads(page: &mut Page, report: &Report) {
    if report.workloads.is_empty() {
        return;
    }
    page.heading("Workloads");
    let names = ["#", "axes", "candidate", "", "reference", "", "speedup", "", "answer"];
    let to_right = |name: &str| matches!(name, "#" | "candidate" | "reference" | "speedup");
    let header = table::header(&names.map(|name| (name, to_right(name))));
    let rows = report.workloads.iter().map(row);
    table::write(page, std::iter::once(header).chain(rows).collect());
    compiled(page, report);
    cold(page, report);
    let spent = report.workloads.iter().filter_map(|workload| workload.times.as_ref());
    if spent.clone().any(|times| times.stop == StopReason::BudgetSpent) {
        page.paragraph(2, "± is half the 95 % interval; * the time budget ran out before it was tight");
    } else if spent.count() > 0 {
        page.paragraph(2, "± is half the 95 % interval");
    }
}

/// Times of what `torch.compile` makes of the reference, by workload.
fn compiled(page: &mut Page, report: &Report) {
    let one = |workload: &WorkloadReport| {
        let compiled = workload.times.as_ref()?.compiled.as_ref()?;
        let (speedup, interval) = speedup(workload.speedup_over_compiled.as_ref()?);
        Some(format!("{}: {} ({speedup} {interval})", workload.index, time(compiled.median_ns)))
    };
    let all: Vec<String> = report.workloads.iter().filter_map(one).collect();
    if !all.is_empty() {
        page.paragraph(
            2,
            &format!("reference compiled by torch.compile, and speedup over that, {}", all.join(", ")),
        );
    }
}

/// Times with cold caches, by workload.
fn cold(page: &mut Page, report: &Report) {
    let one = |workload: &WorkloadReport| {
        let times = workload.times.as_ref()?;
        let cold = times.cold.as_ref()?;
        let ratio = cold.median_ns / times.candidate.median_ns;
        Some(format!("{}: {} ({ratio:.2} × as long)", workload.index, time(cold.median_ns)))
    };
    let all: Vec<String> = report.workloads.iter().filter_map(one).collect();
    if !all.is_empty() {
        page.paragraph(2, &format!("candidate with cold caches, {}", all.join(", ")));
    }
}

fn row(workload: &WorkloadReport) -> Vec<table::Cell> {
    let axes: Vec<_> = workload.axes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let times = workload.times.as_ref();
    let star = if times.is_some_and(|times| times.stop == StopReason::BudgetSpent) { "*" } else { "" };
    let [candidate, spread] = estimate(times.map(|times| &times.candidate));
    let [reference, reference_spread] = estimate(times.and_then(|times: &Times| times.reference.as_ref()));
    let (speedup, interval) = workload.speedup.as_ref().map(speedup).unwrap_or_default();
    let slower = workload.speedup.as_ref().is_some_and(|speedup| speedup.high < 1.0);
    vec![
        right(workload.index.to_string()),
        left(axes.join(" ")),
        right(candidate),
        right(spread + star).ink(Ink::Faint),
        right(reference),
        right(reference_spread).ink(Ink::Faint),
        right(speedup).ink(if slower { Ink::Warn } else { Ink::Good }),
        left(interval).ink(Ink::Faint),
        workload.correctness.as_ref().map_or(left("not compared").ink(Ink::Faint), answer),
    ]
}

fn estimate(estimate: Option<&Estimate>) -> [String; 2] {
    let Some(estimate) = estimate else { return ["–".to_owned(), String::new()] };
    let half = (estimate.high_ns - estimate.low_ns) / 2.0 / estimate.median_ns;
    [time(estimate.median_ns), format!("±{}", percent(half))]
}

fn speedup(speedup: &Speedup) -> (String, String) {
    let bound = |ratio: f64| factor(ratio).trim_end_matches('×').to_owned();
    (factor(speedup.value), format!("[{}, {}]", bound(speedup.low), bound(speedup.high)))
}

fn answer(found: &Correctness) -> table::Cell {
    let varies = if found.deterministic == Some(false) { ", not deterministic" } else { "" };
    if let Some(Mismatch { wrong, compared, .. }) = &found.mismatch {
        return left(format!("{wrong} of {compared} wrong{varies}")).ink(Ink::Bad);
    }
    let error = match (found.bitwise, found.max_ulp, found.max_abs) {
        (true, ..) => "bitwise".to_owned(),
        (_, Some(ulp), _) => format!("{ulp} ulp"),
        (.., Some(error)) => format!("off by {error:.1e}"),
        _ => "not finite".to_owned(),
    };
    let ink = if found.passed { Ink::Plain } else { Ink::Bad };
    left(if found.passed { error + varies } else { format!("wrong, {error}{varies}") }).ink(ink)
}

/// The first wrong element of each workload that has one.
pub fn mismatches(page: &mut Page, report: &Report) {
    let wrong = |workload: &&WorkloadReport| mismatch(workload).is_some();
    if !report.workloads.iter().any(|workload| wrong(&workload)) {
        return;
    }
    page.heading("First wrong element");
    for workload in &report.workloads {
        let Some((found, mismatch)) = mismatch(workload) else { continue };
        let index: Vec<_> = mismatch.index.iter().map(u64::to_string).collect();
        page.hanging(
            &format!("  {} ", workload.index),
            &format!(
                "{}[{}] is {}, expected {}; {} of {} elements are outside {} (seed {})",
                mismatch.output,
                index.join(", "),
                mismatch.actual,
                mismatch.expected,
                mismatch.wrong,
                mismatch.compared,
                found.tolerance.as_deref().unwrap_or("the tolerance"),
                mismatch.seed,
            ),
        );
    }
}

fn mismatch(workload: &WorkloadReport) -> Option<(&Correctness, &kinstr_trace::report::Mismatch)> {
    let found = workload.correctness.as_ref()?;
    Some((found, found.mismatch.as_ref()?))
}

/// Where each workload sits under the roof.
pub fn rooflines(page: &mut Page, report: &Report) {
    let points = report.workloads.iter().filter_map(|w| Some((w.index, w.roofline.as_ref()?)));
    let rows: Vec<_> = points.map(|(index, point)| roofline(index, point)).collect();
    if rows.is_empty() {
        return;
    }
    page.heading("Roofline, single launch against measured peaks");
    let names = ["#", "of the roof", "", "bound by", "floor", "bytes", "bandwidth", "flops", "rate"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "of the roof" | "bound by"))));
    table::write(page, std::iter::once(header).chain(rows).collect());
    if let Some(peaks) = &report.peaks {
        page.paragraph(2, &peaks_line(peaks));
    }
}

fn peaks_line(peaks: &Peaks) -> String {
    let read = |level: &BandwidthLevel| format!("{} {}", level.name, count(level.read_bytes_per_s, "B/s"));
    let levels: Vec<_> = peaks.levels.iter().map(read).collect();
    format!(
        "peaks of {} thread{}: read {}; FMA f32 {} in vectors, {} scalar",
        peaks.threads,
        if peaks.threads == 1 { "" } else { "s" },
        levels.join(", "),
        count(peaks.fma_f32_vector, "flop/s"),
        count(peaks.fma_f32_scalar, "flop/s"),
    )
}

fn roofline(index: usize, point: &RooflinePoint) -> Vec<table::Cell> {
    let bound = match point.bound {
        Bound::Memory => format!("{} bandwidth", point.level),
        Bound::Compute => "vector FMA".to_owned(),
        Bound::Tensor => "tensor cores".to_owned(),
    };
    vec![
        right(index.to_string()),
        left(table::bar(point.fraction, 14)),
        right(percent(point.fraction)),
        left(bound),
        right(time(point.floor_ns)),
        right(bytes(point.bytes as f64)),
        right(count(point.achieved_bytes_per_s, "B/s")),
        right(count(point.flops as f64, "flop")),
        right(count(point.achieved_flops_per_s, "flop/s")),
    ]
}
