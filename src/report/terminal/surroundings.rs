//! How the report came about and how far it can be trusted.

use super::loops::changed_loops;
use super::paint::{Ink, Page};
use super::quantity::{bytes, count, percent};
use super::table::{self, left, right};
use kinstr_trace::report::{LayerStatus, Report, StageReport, SystemSummary};
use kinstr_trace::surroundings::SystemCounts;
use kinstr_trace::synthesis::Certificate;

/// What happened around the kernel.
pub fn system(page: &mut Page, report: &Report) {
    let Some(system) = &report.system else { return };
    let facts = system_facts(system);
    if !facts.is_empty() {
        page.heading("System");
        page.paragraph(2, &facts.join(" · "));
    }
    let counts = report.workloads.iter().filter_map(|w| Some((w.index, w.system.as_ref()?)));
    let rows: Vec<_> = counts.map(|(index, counts)| system_row(index, counts)).collect();
    if !rows.is_empty() {
        let names = ["#", "calls", "threads", "CPU time", "in the system", "faults a call", "core lost"];
        let header = table::header(&names.map(|name| (name, true)));
        table::write(page, std::iter::once(header).chain(rows).collect());
    }
}

/// Parts are of the time by the clock, so that CPU time above 100 % is work on several cores.
fn system_row(index: usize, counts: &SystemCounts) -> Vec<table::Cell> {
    let shown = |text: Option<String>| right(text.unwrap_or_else(|| "–".to_owned()));
    let part = |ns: Option<f64>| ns.map(|ns| percent(ns / counts.wall_ns));
    vec![
        right(index.to_string()),
        right(count(counts.calls as f64, "")),
        shown(counts.threads.map(|threads| threads.to_string())),
        shown(part(counts.cpu_ns)),
        shown(part(counts.kernel_ns)),
        shown(counts.faults_per_call().map(|faults| format!("{faults:.2}"))),
        shown(counts.involuntary_switches.map(|switches| format!("{switches} times"))),
    ]
}

fn system_facts(system: &SystemSummary) -> Vec<String> {
    let counted = |value: Option<u64>, what: &str| {
        value.map(|value| format!("{value} {}", if value == 1 { one(what) } else { what }))
    };
    let facts = [
        system.processor.clone(),
        counted(system.cores.map(u64::from), "cores"),
        counted(system.threads.map(u64::from), "threads"),
        counted(system.minor_faults, "minor faults"),
        counted(system.major_faults, "major faults"),
        counted(system.voluntary_switches, "voluntary switches"),
        counted(system.involuntary_switches, "involuntary switches"),
        system.peak_resident_bytes.map(|peak| format!("{} resident at most", bytes(peak as f64))),
    ];
    facts.into_iter().flatten().collect()
}

/// Each layer and whether it ran.
pub fn layers(page: &mut Page, report: &Report) {
    if report.layers.is_empty() {
        return;
    }
    page.heading("Layers");
    let widest = report.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in &report.layers {
        let (ink, word, because) = match &layer.status {
            LayerStatus::Ran => (Ink::Good, "ran", None),
            LayerStatus::Unavailable(because) => (Ink::Warn, "unavailable", Some(because)),
            LayerStatus::Failed(because) => (Ink::Bad, "failed", Some(because)),
        };
        let name = format!("  {:widest$}  ", layer.name);
        match because {
            None => page.line(&format!("{name}{}", page.ink(ink, word))),
            // Wrapping counts columns, so the coloured word goes before the wrapped part.
            Some(because) => {
                page.inked_hanging(&name, ink, &format!("{word} "), &format!("because {because}"))
            }
        }
    }
}

/// What instrumentation did, workload by workload.
pub fn certificates(page: &mut Page, report: &Report) {
    let all = report.workloads.iter().filter_map(|w| Some((w.index, w.certificate.as_ref()?)));
    let rows: Vec<_> = all.map(|(index, certificate)| certificate_row(index, certificate)).collect();
    if rows.is_empty() {
        return;
    }
    page.heading("Certificate, instrumented against clean");
    let names = ["#", "time", "outputs", "instructions", "spills", "stack", "probe"];
    let header = table::header(&names.map(|name| (name, false)));
    table::write(page, std::iter::once(header).chain(rows).collect());
    changed_loops(page, report);
}

fn certificate_row(index: usize, certificate: &Certificate) -> Vec<table::Cell> {
    let change = |clean: Option<u64>, instrumented: Option<u64>| match (clean, instrumented) {
        (Some(clean), Some(instrumented)) => format!("{clean} → {instrumented}"),
        _ => "–".to_owned(),
    };
    let (outputs, ink) = match certificate.outputs_identical {
        Some(true) => ("bit-identical", Ink::Good),
        Some(false) => ("differ", Ink::Bad),
        None => ("–", Ink::Plain),
    };
    let spills = (certificate.clean_spills, certificate.instrumented_spills);
    let stack = (certificate.clean_stack_bytes, certificate.instrumented_stack_bytes);
    let instructions = (certificate.clean_instructions, certificate.instrumented_instructions);
    let ratio_ink = if certificate.ratio > 1.05 { Ink::Warn } else { Ink::Good };
    vec![
        left(index.to_string()),
        left(format!("× {:.3}", certificate.ratio)).ink(ratio_ink),
        left(outputs).ink(ink),
        left(change(instructions.0, instructions.1)),
        left(change(spills.0, spills.1)),
        left(change(stack.0, stack.1)),
        left(certificate.probe_cost_ticks.map_or("–".to_owned(), |ticks| format!("{ticks:.1} ticks"))),
    ]
}

/// Stages that did not go through at once.
pub fn stages(page: &mut Page, report: &Report) {
    let troubled = |stage: &&StageReport| stage.attempts.iter().any(|attempt| attempt.fault.is_some());
    if !report.stages.iter().any(|stage| troubled(&stage)) {
        return;
    }
    page.heading("Attempts that failed");
    for stage in report.stages.iter().filter(troubled) {
        for attempt in stage.attempts.iter() {
            let Some(fault) = attempt.fault else { continue };
            let fault = format!("{fault:?}").to_lowercase();
            let label = format!("  {} {} ({fault})  ", stage.name, attempt.number);
            page.hanging(&label, attempt.detail.as_deref().unwrap_or("no detail"));
        }
    }
}

/// What was lost, skipped, left out or assumed.
pub fn notes(page: &mut Page, report: &Report) {
    let losses = report.losses.sentences();
    if losses.is_empty() && report.notes.is_empty() {
        return;
    }
    page.heading("Notes");
    for loss in losses {
        page.hanging("  · ", &format!("lost: {loss}"));
    }
    for note in &report.notes {
        page.hanging("  · ", note);
    }
}

/// One line: what made the report, and where.
pub fn provenance(page: &mut Page, report: &Report) {
    let made_by = &report.provenance;
    let tools = [("kinstr", &made_by.kinstr), ("LLVM", &made_by.llvm)];
    let tools = tools.into_iter().filter(|(_, version)| !version.is_empty());
    let mut parts: Vec<String> = tools.map(|(tool, version)| format!("{tool} {version}")).collect();
    parts.extend(made_by.versions.iter().map(|(tool, version)| format!("{tool} {version}")));
    parts.extend(Some(made_by.device.clone()).filter(|device| !device.is_empty()));
    parts.extend(made_by.measured_at.as_ref().map(|date| format!("measured {date}")));
    if parts.is_empty() {
        return;
    }
    page.line("");
    page.faint_paragraph(&parts.join(" · "));
}

/// The singular of a word whose plural ends in `s`.
fn one(words: &str) -> &str {
    words.strip_suffix("es").filter(|stem| stem.ends_with("ch")).or(words.strip_suffix('s')).unwrap_or(words)
}
