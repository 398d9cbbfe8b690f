//! `kinstr show`: the report of an earlier evaluation, folded anew from its events and records.

use super::{Failure, eval, exit, print};
use crate::eval::replay;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Options {
    /// Directory of the evaluation
    dir: PathBuf,
    /// Print the report as JSON, in full
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let report = replay(&options.dir).map_err(|error| {
        let complaint = crate::complaint::Complaint::new("show::read", error.to_string());
        Failure::usage(complaint.help("name the directory given to `kinstr eval --out`"))
    })?;
    if options.json {
        print(&report.to_json(false).unwrap_or_default());
    } else {
        print(&eval::render_for_terminal(&report));
    }
    Ok(exit::CORRECT)
}
