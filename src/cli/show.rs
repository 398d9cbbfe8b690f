//! `kinstr show`: the report of an earlier evaluation, folded anew from its events and records.

use super::{Failure, eval, exit, print};
use crate::{eval::replay, jobs::log};
use clap::Args;
use std::path::{Path, PathBuf};

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
    check_begun(&options.dir)?;
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

/// A log without an event tells of no evaluation. One that cannot be read is told of by the fold.
fn check_begun(dir: &Path) -> Result<(), Failure> {
    if log::read(&dir.join(log::FILE)).is_ok_and(|events| events.is_empty()) {
        let text = format!("no evaluation has begun in {}", dir.display());
        let complaint = crate::complaint::Complaint::new("show::read", text);
        return Err(Failure::usage(complaint.help("name the directory given to `kinstr eval --out`")));
    }
    Ok(())
}
