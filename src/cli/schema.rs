//! `kinstr schema`: the JSON schemas of what kinstr writes.

use super::{Failure, exit, print};
use crate::diff::Diff;
use clap::{Args, ValueEnum};
use kinstr_trace::{report::Report, sites::SiteTable, totals::Totals};

#[derive(Args)]
pub struct Options {
    /// Whose schema
    #[arg(value_enum, default_value_t = Kind::Report)]
    kind: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// `report.json`
    Report,
    /// A site table
    Sites,
    /// What `kinstr diff --format json` prints
    Diff,
    /// What `kinstr trace --format summary-json` prints
    Totals,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let schema = match options.kind {
        Kind::Report => Report::schema(),
        Kind::Sites => schemars::schema_for!(SiteTable),
        Kind::Diff => schemars::schema_for!(Diff),
        Kind::Totals => schemars::schema_for!(Totals),
    };
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    print(&(text + "\n"));
    Ok(exit::CORRECT)
}
