//! The primary bottleneck and the ranked diagnoses.

use super::paint::{Ink, Page};
use super::quantity::in_unit;
use super::table::{self, left, right};
use kinstr_trace::diagnosis::{Diagnosis, Evidence, Severity};
use kinstr_trace::report::Report;

/// The first cause, in a sentence.
pub fn primary(page: &mut Page, report: &Report) {
    let Some(primary) = &report.primary else { return };
    page.heading("Primary bottleneck");
    let name = page.ink(Ink::Strong, &primary.name);
    let place =
        primary.place.as_ref().map(|place| page.ink(Ink::Plain, &format!("  {place}"))).unwrap_or_default();
    page.line(&format!("  {name}{place}"));
    page.paragraph(2, &primary.sentence);
    if primary.potential > 1.05 {
        page.paragraph(2, &format!("without it: about {:.2}× as fast as now", primary.potential));
    }
}

/// All causes, best first, each with what it rests on.
pub fn diagnoses(page: &mut Page, report: &Report) {
    if report.diagnoses.is_empty() {
        return;
    }
    page.heading("Diagnoses, by potential × confidence");
    for (rank, diagnosis) in report.diagnoses.iter().enumerate() {
        if rank > 0 {
            page.line("");
        }
        one(page, rank + 1, diagnosis);
    }
}

fn one(page: &mut Page, rank: usize, diagnosis: &Diagnosis) {
    let name = page.ink(severity_ink(diagnosis.severity), &diagnosis.name);
    let severity = format!("{:?}", diagnosis.severity).to_lowercase();
    let (speedup, confidence) = (diagnosis.potential.speedup, diagnosis.confidence.value);
    let facts = format!(
        "{} · {severity} · potential {speedup:.2}× · confidence {confidence:.2} · workload {}",
        diagnosis.code, diagnosis.workload
    );
    page.line(&format!("  {rank} {name}  {}", page.ink(Ink::Faint, &facts)));
    if let Some(place) = &diagnosis.place {
        let region = diagnosis.region.as_ref().map(|region| format!(" in `{region}`"));
        page.paragraph(4, &format!("{place}{}", region.unwrap_or_default()));
    }
    page.paragraph(4, &diagnosis.message);
    table::write(page, diagnosis.evidence.iter().map(evidence).collect());
    page.hanging("    potential: ", &diagnosis.potential.model);
    page.hanging("    confidence: ", &diagnosis.confidence.why);
}

fn evidence(item: &Evidence) -> Vec<table::Cell> {
    let threshold = item.threshold.map(|threshold| format!("against {}", in_unit(threshold, &item.unit)));
    vec![
        left(format!("  {}", item.metric)),
        right(in_unit(item.value, &item.unit)),
        left(threshold.unwrap_or_default()).ink(Ink::Faint),
        left(&item.layer).ink(Ink::Faint),
    ]
}

fn severity_ink(severity: Severity) -> Ink {
    match severity {
        Severity::Critical => Ink::Bad,
        Severity::Major => Ink::Warn,
        Severity::Minor => Ink::Strong,
        Severity::Info => Ink::Good,
    }
}
