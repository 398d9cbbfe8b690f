//! A diff as text: what became of time and verdict first, then of the causes, then of the rest.

use super::lists::short;
use super::paint::{Ink, Page, Style};
use super::quantity::{count, percent, time};
use super::table::{self, Cell, left, right};
use crate::diff::{
    Diff, Fate, LayerChange, LineChange, RegionChange, Significance, TimeChange, WorkloadChange,
};
use kinstr_trace::diagnosis::Diagnosis;
use kinstr_trace::report::{LayerStatus, Speedup, Verdict};
use kinstr_trace::sites::Place;

/// Lines and regions shown; the JSON has the rest.
const SHOWN: usize = 8;

/// Renders `diff`.
pub fn render(diff: &Diff, style: Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, diff);
    workloads(&mut page, diff);
    diagnoses(&mut page, diff);
    rooflines(&mut page, diff);
    hot_lines(&mut page, diff);
    regions(&mut page, diff);
    certificates(&mut page, diff);
    layers(&mut page, diff);
    caveats(&mut page, diff);
    page.finish()
}

fn headline(page: &mut Page, diff: &Diff) {
    let (before, after) = (&diff.before, &diff.after);
    let candidates = changed(&before.candidate, &after.candidate);
    let what = format!("{} · {candidates} · {}", changed(&before.problem, &after.problem), after.target);
    let what = page.ink(Ink::Strong, &what);
    page.line(&what);
    let [old, new] = [before.verdict, after.verdict].map(word);
    let ink = if after.verdict == Verdict::Correct { Ink::Good } else { Ink::Bad };
    let verdict = page.ink(ink, &changed(old, new));
    let overall = match (diff.times_as_fast, diff.workloads.len()) {
        (Some(factor), 1) => format!("  {factor:.2}× as fast as before"),
        (Some(factor), n) => format!("  {factor:.2}× as fast as before, geometric mean of {n} workloads"),
        (None, _) => String::new(),
    };
    page.line(&format!("  {verdict}{overall}"));
    if before.verdict != after.verdict {
        page.paragraph(2, &after.verdict_detail);
    }
    let cause =
        |side: &crate::diff::Side| side.primary.as_ref().map_or("none", |found| &found.name).to_owned();
    page.paragraph(2, &format!("primary bottleneck: {}", changed(&cause(before), &cause(after))));
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Correct => "correct",
        Verdict::Incorrect => "incorrect",
        Verdict::Invalid => "invalid",
    }
}

/// `before → after`, or the one value that both are.
fn changed(before: &str, after: &str) -> String {
    if before == after { after.to_owned() } else { format!("{before} → {after}") }
}

fn workloads(page: &mut Page, diff: &Diff) {
    if diff.workloads.is_empty() {
        return;
    }
    page.heading("Time of one launch");
    let names = ["workload", "before", "", "after", "", "times as fast", "", "", "speedup before", "after"];
    let to_right = |name: &str| !matches!(name, "workload" | "");
    let header = table::header(&names.map(|name| (name, to_right(name))));
    let rows = diff.workloads.iter().map(workload);
    table::write(page, std::iter::once(header).chain(rows).collect());
    page.paragraph(2, "± is half the 95 % interval; a change is named only where the intervals lie apart");
}

fn workload(change: &WorkloadChange) -> Vec<Cell> {
    let mut cells = vec![left(change.label())];
    match &change.time {
        Some(time) => cells.extend(times(time)),
        None => {
            let (answer, ink) = untimed(change);
            cells.extend([right("–"), left(""), right("–"), left(""), right("–"), left("")]);
            cells.push(left(answer).ink(ink));
        }
    }
    let speedup = |speedup: &Option<Speedup>| {
        right(speedup.as_ref().map_or("–".to_owned(), |speedup| format!("{:.2}×", speedup.value)))
    };
    cells.extend([speedup(&change.speedup_before), speedup(&change.speedup_after)]);
    cells
}

fn times(change: &TimeChange) -> [Cell; 7] {
    let half = |estimate: &kinstr_trace::report::Estimate| {
        let half = (estimate.high_ns - estimate.low_ns) / 2.0 / estimate.median_ns;
        right(format!("±{}", percent(half))).ink(Ink::Faint)
    };
    let factor = change.times_as_fast;
    let (word, ink) = match change.significance {
        Significance::Faster => ("faster", Ink::Good),
        Significance::Slower => ("slower", Ink::Bad),
        Significance::NotApart => ("not told apart", Ink::Faint),
    };
    [
        right(time(change.before.median_ns)),
        half(&change.before),
        right(time(change.after.median_ns)),
        half(&change.after),
        right(format!("{:.2}×", factor.value)).ink(ink),
        left(format!("[{:.2}, {:.2}]", factor.low, factor.high)).ink(Ink::Faint),
        left(word).ink(ink),
    ]
}

/// Why a workload has no two times.
fn untimed(change: &WorkloadChange) -> (&'static str, Ink) {
    match change {
        WorkloadChange { before: None, .. } => ("not there before", Ink::Faint),
        WorkloadChange { after: None, .. } => ("not there after", Ink::Faint),
        WorkloadChange { passed_after: Some(false), .. } => ("wrong after", Ink::Bad),
        WorkloadChange { passed_before: Some(false), .. } => ("wrong before", Ink::Faint),
        _ => ("not timed in both", Ink::Faint),
    }
}

fn diagnoses(page: &mut Page, diff: &Diff) {
    if diff.diagnoses.is_empty() {
        return;
    }
    page.heading("Diagnoses");
    let names = ["", "diagnosis", "code", "line", "potential", "workload"];
    let header = table::header(&names.map(|name| (name, matches!(name, "potential" | "workload"))));
    let row = |change: &crate::diff::DiagnosisChange| {
        let (word, ink) = fate(change.fate);
        let [old, new] = [&change.before, &change.after].map(Option::as_ref);
        let of = |text: fn(&Diagnosis) -> String| match (old.map(text), new.map(text)) {
            (Some(old), Some(new)) => changed(&old, &new),
            (old, new) => new.or(old).unwrap_or_default(),
        };
        vec![
            left(word).ink(ink),
            left(&change.name),
            left(&change.code).ink(Ink::Faint),
            left(of(|found| found.place.as_ref().map(short).unwrap_or_default())),
            right(of(|found| format!("{:.2}×", found.potential.speedup))),
            right(of(|found| found.workload.to_string())),
        ]
    };
    table::write(page, std::iter::once(header).chain(diff.diagnoses.iter().map(row)).collect());
}

fn fate(fate: Fate) -> (&'static str, Ink) {
    match fate {
        Fate::Vanished => ("vanished", Ink::Good),
        Fate::Appeared => ("appeared", Ink::Warn),
        Fate::Moved => ("moved", Ink::Plain),
        Fate::Stayed => ("stayed", Ink::Faint),
    }
}

fn rooflines(page: &mut Page, diff: &Diff) {
    let points: Vec<_> =
        diff.workloads.iter().filter_map(|work| Some((work, work.roofline.as_ref()?))).collect();
    if points.is_empty() {
        return;
    }
    page.heading("Roofline");
    let names = ["workload", "of the roof", "flop/B", "Gflop/s", "GB/s", "roof"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "workload" | "roof"))));
    let rows = points.iter().map(|(workload, point)| {
        let of = |text: fn(&kinstr_trace::roofline::RooflinePoint) -> String| {
            changed(&text(&point.before), &text(&point.after))
        };
        vec![
            left(workload.label()),
            right(of(|point| percent(point.fraction))),
            right(of(|point| format!("{:.2}", point.intensity))),
            right(of(|point| format!("{:.2}", point.achieved_flops_per_s / 1e9))),
            right(of(|point| format!("{:.2}", point.achieved_bytes_per_s / 1e9))),
            left(of(|point| format!("{}, {:?}-bound", point.level, point.bound).to_lowercase())),
        ]
    });
    table::write(page, std::iter::once(header).chain(rows).collect());
}

fn hot_lines(page: &mut Page, diff: &Diff) {
    if diff.hot_lines.is_empty() {
        return;
    }
    page.heading("Hot lines, one launch");
    let names = ["line", "instructions", "after", "share", "after", "in vectors", "after", "workload"];
    let header = table::header(&names.map(|name| (name, name != "line")));
    let row = |change: &LineChange| {
        let [old, new] = [&change.before, &change.after].map(Option::as_ref);
        let instructions = |line: Option<&kinstr_trace::report::HotLine>| {
            right(line.map_or("–".to_owned(), |line| count(line.instructions as f64, "")))
        };
        let share = |line: Option<&kinstr_trace::report::HotLine>| {
            right(line.map(|line| percent(line.share)).unwrap_or_default())
        };
        let vectors = |line: Option<&kinstr_trace::report::HotLine>| {
            right(line.and_then(|line| line.vector_share).map(percent).unwrap_or_default())
        };
        vec![
            left(short(&change.place)),
            instructions(old),
            instructions(new),
            share(old),
            share(new),
            vectors(old),
            vectors(new),
            right(new.or(old).map(|line| line.workload.to_string()).unwrap_or_default()),
        ]
    };
    let rows = diff.hot_lines.iter().take(SHOWN).map(row);
    table::write(page, std::iter::once(header).chain(rows).collect());
    more(page, diff.hot_lines.len());
}

fn regions(page: &mut Page, diff: &Diff) {
    if diff.regions.is_empty() {
        return;
    }
    page.heading("Regions, one launch");
    let names = ["region", "line", "before", "after", "workload"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "region" | "line"))));
    let row = |change: &RegionChange| {
        let at = |place: &Option<Place>| place.as_ref().map(short);
        let line = match (at(&change.place_before), at(&change.place_after)) {
            (Some(old), Some(new)) => changed(&old, &new),
            (old, new) => new.or(old).unwrap_or_default(),
        };
        let ns = |ns: Option<f64>| right(ns.map_or("–".to_owned(), time));
        let workload = right(change.workload.to_string());
        vec![left(&change.name), left(line), ns(change.ns_before), ns(change.ns_after), workload]
    };
    let rows = diff.regions.iter().take(SHOWN).map(row);
    table::write(page, std::iter::once(header).chain(rows).collect());
    more(page, diff.regions.len());
}

fn certificates(page: &mut Page, diff: &Diff) {
    let both: Vec<_> =
        diff.workloads.iter().filter_map(|work| Some((work, work.certificate.as_ref()?))).collect();
    if both.is_empty() {
        return;
    }
    page.heading("Certificate, instrumented against clean");
    let names = ["workload", "time", "instructions of the clean build", "spills", "outputs"];
    let header = table::header(&names.map(|name| (name, !matches!(name, "workload" | "outputs"))));
    let rows = both.iter().map(|(workload, change)| {
        let of = |text: fn(&kinstr_trace::synthesis::Certificate) -> String| {
            changed(&text(&change.before), &text(&change.after))
        };
        let number = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
        let [old, new] = [&change.before, &change.after];
        vec![
            left(workload.label()),
            right(of(|found| format!("{:.3}", found.ratio))),
            right(changed(&number(old.clean_instructions), &number(new.clean_instructions))),
            right(changed(&number(old.clean_spills), &number(new.clean_spills))),
            left(of(|found| match found.outputs_identical {
                Some(true) => "bit-identical".to_owned(),
                Some(false) => "differ".to_owned(),
                None => "not compared".to_owned(),
            })),
        ]
    });
    table::write(page, std::iter::once(header).chain(rows).collect());
}

fn layers(page: &mut Page, diff: &Diff) {
    if diff.layers.is_empty() {
        return;
    }
    page.heading("Layers");
    for LayerChange { name, before, after } in &diff.layers {
        page.hanging(&format!("  {name}: "), &changed(&status(before), &status(after)));
    }
}

fn status(status: &Option<LayerStatus>) -> String {
    match status {
        None => "not mentioned".to_owned(),
        Some(LayerStatus::Ran) => "ran".to_owned(),
        Some(LayerStatus::Unavailable(reason)) => format!("unavailable because {reason}"),
        Some(LayerStatus::Failed(reason)) => format!("failed because {reason}"),
    }
}

fn caveats(page: &mut Page, diff: &Diff) {
    if diff.caveats.is_empty() {
        return;
    }
    page.heading("Caveats");
    for caveat in &diff.caveats {
        page.hanging("  - ", caveat);
    }
}

fn more(page: &mut Page, total: usize) {
    if total > SHOWN {
        let more = page.ink(Ink::Faint, &format!("  … and {} more with --format json", total - SHOWN));
        page.line(&more);
    }
}
