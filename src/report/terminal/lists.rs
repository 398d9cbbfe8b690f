//! Where the work and the time are: source lines and regions.

use super::paint::{Ink, Page};
use super::quantity::{bytes, count, percent, time};
use super::table::{self, bar, left, right};
use kinstr_trace::port_model::{HotBlock, Limit};
use kinstr_trace::report::{HotLine, LoopRow, ParallelRow, RegionRow, Report};
use kinstr_trace::sites::Place;
use kinstr_trace::synthesis::LoopTime;

/// Lines and regions shown for one workload; the report has the rest.
const SHOWN: usize = 8;
/// Columns of a share bar.
const BAR: usize = 14;

/// Source lines of the workload with the most to say, by executed instructions.
pub fn hot_lines(page: &mut Page, report: &Report) {
    let Some(workload) = subject(report, report.hot_lines.iter().map(|line| line.workload)) else { return };
    let lines: Vec<&HotLine> = report.hot_lines.iter().filter(|line| line.workload == workload).collect();
    page.heading(&format!("Hot lines, workload {workload}, one launch"));
    let names =
        ["share of instructions", "", "line", "instructions", "flops", "in vectors", "moved", "calls"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "share of instructions" | "line"))));
    let rows = lines.iter().take(SHOWN).map(|line| hot_line(line));
    table::write(page, std::iter::once(header).chain(rows).collect());
    more(page, lines.len());
}

fn hot_line(line: &HotLine) -> Vec<table::Cell> {
    let vectors = line.vector_share.map(percent).unwrap_or_default();
    vec![
        left(bar(line.share, BAR)),
        right(percent(line.share)),
        left(short(&line.place)),
        right(count(line.instructions as f64, "")),
        right(count(line.flops as f64, "")),
        right(vectors),
        right(bytes(line.bytes as f64)),
        right(count(line.calls as f64, "")),
    ]
}

/// Hottest loops of the machine code of the same workload, as the port model sees them.
pub fn hot_blocks(page: &mut Page, report: &Report) {
    let Some(workload) = subject(report, report.hot_blocks.iter().map(|row| row.workload)) else { return };
    let of_it = report.hot_blocks.iter().filter(|row| row.workload == workload);
    let blocks: Vec<&HotBlock> = of_it.map(|row| &row.block).collect();
    let model = blocks.first().map_or("", |block| &block.model);
    page.heading(&format!(
        "Hot loops, workload {workload}, cycles an iteration by llvm-mca's model of {model}"
    ));
    let names = ["share", "line", "iterations", "cycles", "at least", "IPC", "busiest", "held back by"];
    let to_right = |name: &str| !matches!(name, "line" | "busiest" | "held back by");
    let header = table::header(&names.map(|name| (name, to_right(name))));
    let rows = blocks.iter().take(SHOWN).map(|block| hot_block(block));
    table::write(page, std::iter::once(header).chain(rows).collect());
    more(page, blocks.len());
}

fn hot_block(block: &HotBlock) -> Vec<table::Cell> {
    let busiest = block.busiest().map(|resource| {
        let part = percent(block.pressure());
        format!("{} {part}", resource.name)
    });
    let limit = match block.limit() {
        Limit::Dependencies => match block.critical.first().and_then(|text| text.split(' ').next()) {
            Some(mnemonic) => format!("chain of {mnemonic}"),
            None => Limit::Dependencies.name().to_owned(),
        },
        limit => limit.name().to_owned(),
    };
    vec![
        right(percent(block.share)),
        left(block.place.as_ref().map_or_else(|| block.name.clone(), short)),
        right(count(block.executions as f64, "")),
        right(format!("{:.1}", block.cycles)),
        right(format!("{:.1}", block.throughput_cycles)),
        right(format!("{:.2}", block.ipc())),
        left(busiest.unwrap_or_default()),
        left(limit),
    ]
}

/// Timed regions of the same workload.
pub fn regions(page: &mut Page, report: &Report) {
    let Some(workload) = subject(report, report.regions.iter().map(|row| row.workload)) else { return };
    let rows: Vec<&RegionRow> = report.regions.iter().filter(|row| row.workload == workload).collect();
    let cost = probe_cost(report, workload);
    page.heading(&format!("Regions, workload {workload}, probe cost {cost}"));
    let names = ["own share", "", "region", "line", "runs", "each", "shortest", "total"];
    let to_right = |name: &str| !matches!(name, "own share" | "region" | "line");
    let header = table::header(&names.map(|name| (name, to_right(name))));
    let cells = rows.iter().take(SHOWN).map(|row| region(row));
    table::write(page, std::iter::once(header).chain(cells).collect());
    more(page, rows.len());
}

fn region(row: &RegionRow) -> Vec<table::Cell> {
    let time_of = &row.time;
    vec![
        left(bar(time_of.share, BAR)),
        right(percent(time_of.share)),
        left(&time_of.name),
        left(time_of.place.as_ref().map(short).unwrap_or_default()),
        right(count(time_of.calls as f64, "")),
        right(time(time_of.ns_per_call)),
        right(time(time_of.ns_shortest)),
        right(time(time_of.ns_total)),
    ]
}

/// Whether the times of a workload are without what probes cost.
fn probe_cost(report: &Report, workload: usize) -> &'static str {
    let row = report.workloads.iter().find(|row| row.index == workload);
    let calibrated = row.and_then(|row| row.certificate.as_ref()?.probe_cost_ticks).is_some();
    let calibrated = calibrated || !report.probe_costs.is_empty();
    if calibrated { "subtracted" } else { "not known and not subtracted" }
}

/// Timed loops of the same workload.
pub fn loops(page: &mut Page, report: &Report) {
    let Some(workload) = subject(report, report.loops.iter().map(|row| row.workload)) else { return };
    let rows: Vec<&LoopRow> = report.loops.iter().filter(|row| row.workload == workload).collect();
    let cost = probe_cost(report, workload);
    page.heading(&format!("Loops of the optimised code, workload {workload}, probe cost {cost}"));
    let names = ["own share", "", "line", "depth", "entered", "trips", "each trip", "total"];
    let to_right = |name: &str| !matches!(name, "own share" | "line");
    let header = table::header(&names.map(|name| (name, to_right(name))));
    let cells = rows.iter().take(SHOWN).map(|row| natural_loop(&row.time));
    table::write(page, std::iter::once(header).chain(cells).collect());
    more(page, rows.len());
}

fn natural_loop(row: &LoopTime) -> Vec<table::Cell> {
    vec![
        left(bar(row.share, BAR)),
        right(percent(row.share)),
        left(row.place.as_ref().map_or_else(|| row.name.clone(), short)),
        right(count(f64::from(row.depth), "")),
        right(count(row.entries as f64, "")),
        right(count(row.trips as f64, "")),
        right(time(row.ns_per_trip)),
        right(time(row.ns_total)),
    ]
}

/// Parallel regions of the same workload.
pub fn parallel(page: &mut Page, report: &Report) {
    let Some(workload) = subject(report, report.parallel.iter().map(|row| row.workload)) else { return };
    let rows: Vec<&ParallelRow> = report.parallel.iter().filter(|row| row.workload == workload).collect();
    page.heading(&format!("Parallel regions, workload {workload}, one launch"));
    let names = ["line", "threads", "longest", "mean", "waiting"];
    let header = table::header(&names.map(|name| (name, name != "line")));
    let cells = rows.iter().take(SHOWN).map(|row| {
        vec![
            left(row.place.as_ref().map_or_else(|| row.name.clone(), short)),
            right(count(row.threads as f64, "")),
            right(time(row.longest_ns)),
            right(time(row.mean_ns)),
            right(time(row.wait_ns)),
        ]
    });
    table::write(page, std::iter::once(header).chain(cells).collect());
    more(page, rows.len());
}

/// The workload to show: that of the first diagnosis if there are rows of it, else of the first row.
pub(super) fn subject(report: &Report, mut present: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let first = present.clone().next()?;
    let diagnosed = report.diagnoses.first().map(|diagnosis| diagnosis.workload);
    diagnosed.filter(|workload| present.any(|row| row == *workload)).or(Some(first))
}

pub(super) fn more(page: &mut Page, total: usize) {
    if total > SHOWN {
        let more = page.ink(Ink::Faint, &format!("  … and {} more in the JSON report", total - SHOWN));
        page.line(&more);
    }
}

/// The place with the file's name only: the folders stand in the headline.
pub fn short(place: &Place) -> String {
    let file = place.file.rsplit('/').next().unwrap_or(&place.file);
    format!("{file}:{}", place.line)
}
