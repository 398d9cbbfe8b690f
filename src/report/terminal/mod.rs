//! The report as text for a terminal: the answer first, then the cause, then what it rests on.

mod cause;
mod device;
mod diff;
mod lists;
mod loops;
mod observed;
mod paint;
mod quantity;
mod surroundings;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod totals;

pub use diff::render as render_diff;
pub use paint::Style;
pub use totals::render as render_totals;

use kinstr_trace::report::{Report, Verdict};
use paint::{Ink, Page};
use quantity::factor;

/// Renders `report`. Text is wrapped at `style.width` columns; tables take up to 100 whatever the width.
pub fn render(report: &Report, style: Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, report);
    cause::primary(&mut page, report);
    times::workloads(&mut page, report);
    times::mismatches(&mut page, report);
    cause::diagnoses(&mut page, report);
    times::rooflines(&mut page, report);
    device::peaks(&mut page, report);
    device::sections(&mut page, report);
    lists::hot_lines(&mut page, report);
    lists::hot_blocks(&mut page, report);
    observed::accesses(&mut page, report);
    observed::branches(&mut page, report);
    lists::regions(&mut page, report);
    lists::loops(&mut page, report);
    lists::parallel(&mut page, report);
    surroundings::system(&mut page, report);
    surroundings::layers(&mut page, report);
    surroundings::certificates(&mut page, report);
    device::probe_costs(&mut page, report);
    surroundings::stages(&mut page, report);
    surroundings::notes(&mut page, report);
    surroundings::provenance(&mut page, report);
    page.finish()
}

fn headline(page: &mut Page, report: &Report) {
    let (mark, word, ink) = match report.verdict {
        Verdict::Correct => ("✔", "correct", Ink::Good),
        Verdict::Incorrect => ("✘", "incorrect", Ink::Bad),
        Verdict::Invalid => ("!", "invalid", Ink::Warn),
    };
    let verdict = page.ink(ink, &format!("{mark} {word}"));
    let what = format!("{} · {} · {}", report.problem, report.candidate, report.target);
    let what = page.ink(Ink::Strong, &what);
    page.line(&format!("{verdict}  {what}"));
    page.paragraph(2, &report.verdict_detail);
    if let Some(fault) = report.fault {
        page.paragraph(2, &format!("fault: {}", format!("{fault:?}").to_lowercase()));
    }
    if let Some(speedup) = report.speedup {
        let count = report.workloads.len();
        let over = if count == 1 { String::new() } else { format!(", geometric mean of {count} workloads") };
        let compiled = report.speedup_over_compiled.map(factor);
        let compiled = compiled.map(|compiled| format!(", {compiled} as fast as torch.compile makes it"));
        let text =
            format!("{} as fast as the reference{}{over}", factor(speedup), compiled.unwrap_or_default());
        page.paragraph(2, &text);
    }
}
