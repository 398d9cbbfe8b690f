//! `kinstr explain`: what a probe measures, what a diagnosis means.

use super::{Failure, exit, print};
use crate::{complaint::Complaint, near};
use clap::Args;
use kinstr_passes::{probe, probes};
use kinstr_trace::synthesis;

#[derive(Args)]
pub struct Options {
    /// A probe or a diagnosis, by name or by code
    name: String,
}

/// Runs the command. A probe and the diagnosis that rests on it may have one name; then both are explained.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let wanted = options.name.as_str();
    let probe = probe::find(wanted).map(|probe| format!("# {wanted}\n\n{}", probe::docs(probe)));
    let rule = synthesis::rules()
        .iter()
        .find(|rule| rule.name == wanted || rule.code.eq_ignore_ascii_case(wanted))
        .map(|rule| format!("# {} ({})\n\n{}", rule.name, rule.code, rule.docs()));
    let pages: Vec<String> = probe.into_iter().chain(rule).collect();
    if pages.is_empty() {
        return Err(unknown(wanted));
    }
    let pages: Vec<&str> = pages.iter().map(|page| page.trim_end()).collect();
    print(&(pages.join("\n\n") + "\n"));
    Ok(exit::CORRECT)
}

fn unknown(wanted: &str) -> Failure {
    let rules = synthesis::rules().iter().map(|rule| rule.name);
    let names: Vec<&str> = probes::ALL.iter().map(|probe| probe.name()).chain(rules).collect();
    let complaint = Complaint::new("explain::unknown", format!("nothing is called `{wanted}`"));
    Failure::usage(complaint.help(near::hint(wanted, names)))
}
