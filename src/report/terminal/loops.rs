//! What instrumentation did to the innermost loops, line by line.

use super::paint::Page;
use kinstr_trace::{
    report::Report,
    synthesis::{Certificate, LoopChange, LoopCode},
};

/// Below the certificates: loops whose code changed. The builds are the same for all workloads, and so are their
/// loops.
pub fn changed_loops(page: &mut Page, report: &Report) {
    let Some(certificate) = report.workloads.iter().find_map(|workload| workload.certificate.as_ref()) else {
        return;
    };
    let Some(unchanged) = certificate.unchanged_loop_lines else { return };
    let Certificate { changed_loops, changed_loop_lines, .. } = certificate;
    page.paragraph(
        2,
        &format!("innermost loops: the same code on {unchanged} lines, other code on {changed_loop_lines}"),
    );
    for change in changed_loops {
        let place = change.place.as_ref().map_or("no line".to_owned(), ToString::to_string);
        page.hanging(&format!("    {place}  "), &describe(change));
    }
}

/// Sums and maxima over the loops of a line, clean and instrumented.
fn describe(change: &LoopChange) -> String {
    let both =
        |what: fn(&[LoopCode]) -> String| format!("{} → {}", what(&change.clean), what(&change.instrumented));
    let instructions =
        |loops: &[LoopCode]| loops.iter().map(|code| code.instructions).sum::<u64>().to_string();
    let bits = |loops: &[LoopCode]| most(loops, |code| code.vector_bits).to_string();
    format!(
        "{} loops, {} instructions, {}-bit vectors, {} general and {} vector registers",
        both(|loops| loops.len().to_string()),
        both(instructions),
        both(bits),
        both(|loops| most(loops, |code| code.general_registers).to_string()),
        both(|loops| most(loops, |code| code.vector_registers).to_string()),
    )
}

fn most(loops: &[LoopCode], of: fn(&LoopCode) -> u32) -> u32 {
    loops.iter().map(of).max().unwrap_or(0)
}
