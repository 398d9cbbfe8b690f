//! What single accesses and branches did.

use super::lists::{short, subject};
use super::paint::Page;
use super::quantity::{bytes, count, percent};
use super::table::{self, left, right};
use kinstr_trace::report::{HotAccess, HotBranch, Report};
use kinstr_trace::sites::{AccessKind, Buffer};

/// Loads and stores of the workload with the most to say, those that miss most first.
pub fn accesses(page: &mut Page, report: &Report) {
    let present = report.hot_accesses.iter().map(|access| access.workload);
    let Some(workload) = subject(report, present) else { return };
    let rows: Vec<_> = report.hot_accesses.iter().filter(|row| row.workload == workload).collect();
    page.heading(&format!("Memory accesses, workload {workload}, one launch, lines estimated from a sample"));
    let mut names = vec!["access", "line", "moved", "beyond a line", "irregular", "touched first"];
    let levels: Vec<String> =
        rows[0].missed.iter().map(|missed| format!("lines not in {}", missed.level)).collect();
    names.extend(levels.iter().map(String::as_str));
    let header: Vec<_> = names.iter().map(|name| (*name, !matches!(*name, "access" | "line"))).collect();
    let cells = rows.iter().map(|row| access(row));
    table::write(page, std::iter::once(table::header(&header)).chain(cells).collect());
}

fn access(row: &HotAccess) -> Vec<table::Cell> {
    let mut cells = vec![
        left(what(row)),
        left(row.place.as_ref().map(short).unwrap_or_default()),
        right(bytes(row.bytes as f64)),
        right(percent(row.beyond_line)),
        right(percent(row.irregular)),
        right(bytes(row.first_touched_bytes as f64)),
    ];
    cells.extend(row.missed.iter().map(|missed| right(count(missed.lines as f64, ""))));
    cells
}

fn what(row: &HotAccess) -> String {
    access_of(row.kind, &row.buffer)
}

/// What is done to which buffer.
pub fn access_of(kind: AccessKind, buffer: &Buffer) -> String {
    let verb = kind.verb();
    match buffer {
        Buffer::Argument(index) => format!("{verb}, argument {index}"),
        Buffer::Allocation(number) => format!("{verb}, temporary {number}"),
        Buffer::Stack => format!("{verb}, stack"),
        Buffer::Global => format!("{verb}, global"),
        Buffer::Shared => format!("{verb}, shared memory"),
        Buffer::Unknown => verb.to_owned(),
    }
}

/// Branches of the same workload, those guessed wrongly most often first.
pub fn branches(page: &mut Page, report: &Report) {
    let present = report.hot_branches.iter().map(|branch| branch.workload);
    let Some(workload) = subject(report, present) else { return };
    let rows = report.hot_branches.iter().filter(|row| row.workload == workload);
    page.heading(&format!("Branches, workload {workload}, one launch"));
    let names = ["branch", "line", "runs", "taken", "changes", "guessed wrongly"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "branch" | "line"))));
    table::write(page, std::iter::once(header).chain(rows.map(branch)).collect());
}

fn branch(row: &HotBranch) -> Vec<table::Cell> {
    vec![
        left(&row.name),
        left(row.place.as_ref().map(short).unwrap_or_default()),
        right(count(row.executions as f64, "")),
        right(row.taken.map(percent).unwrap_or_default()),
        right(percent(row.transitions)),
        right(percent(row.mispredicted)),
    ]
}
