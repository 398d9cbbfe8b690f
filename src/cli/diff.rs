//! `kinstr diff`: what changed between two evaluations.

use super::{Failure, exit, print};
use crate::{
    complaint::Complaint,
    diff::{self, Diff},
    report::terminal::render_diff,
};
use clap::{Args, ValueEnum};
use kinstr_trace::report::Report;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Options {
    /// Before: the directory of an evaluation, or a report.json
    before: PathBuf,
    /// After: likewise
    after: PathBuf,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let diff = Diff::of(&read(&options.before)?, &read(&options.after)?);
    match options.format {
        Format::Human => print(&render_diff(&diff, super::eval::style())),
        Format::Json => print(&(serde_json::to_string(&diff).unwrap_or_default() + "\n")),
    }
    Ok(exit::CORRECT)
}

fn read(path: &Path) -> Result<Report, Failure> {
    diff::read(path).map_err(|error| {
        let complaint = Complaint::new("diff::read", error.to_string());
        Failure::usage(complaint.help("name directories given to `kinstr eval --out`, or report.json files"))
    })
}
