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

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let wanted = options.name.as_str();
    let text = match probe::find(wanted) {
        Some(probe) => format!("# {wanted}\n\n{}", probe::docs(probe)),
        None => match synthesis::rules()
            .iter()
            .find(|rule| rule.name == wanted || rule.code.eq_ignore_ascii_case(wanted))
        {
            Some(rule) => format!("# {} ({})\n\n{}", rule.name, rule.code, rule.docs()),
            None => return Err(unknown(wanted)),
        },
    };
    print(&(text.trim_end().to_owned() + "\n"));
    Ok(exit::CORRECT)
}

fn unknown(wanted: &str) -> Failure {
    let rules = synthesis::rules().iter().map(|rule| rule.name);
    let names: Vec<&str> = probes::ALL.iter().map(|probe| probe.name()).chain(rules).collect();
    let complaint = Complaint::new("explain::unknown", format!("nothing is called `{wanted}`"));
    Failure::usage(complaint.help(near::hint(wanted, names)))
}
