//! `kinstr explain`: what a probe measures, what a diagnosis means.

use super::{Failure, exit, print};
use crate::complaint::{Complaint, nearest};
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
        Some(probe) => probe::docs(probe),
        None => match synthesis::rules().iter().find(|rule| rule.name == wanted || rule.code == wanted) {
            Some(rule) => rule.docs(),
            None => return Err(unknown(wanted)),
        },
    };
    print(&(text.trim_end().to_owned() + "\n"));
    Ok(exit::CORRECT)
}

fn unknown(wanted: &str) -> Failure {
    let names =
        probes::ALL.iter().map(|probe| probe.name()).chain(synthesis::rules().iter().map(|rule| rule.name));
    let complaint = Complaint::new("explain::unknown", format!("nothing is called `{wanted}`"));
    Failure::usage(match nearest(wanted, names) {
        Some(near) => complaint.help(format!("did you mean `{near}`?")),
        None => complaint.help("`kinstr list` names what can be explained"),
    })
}
