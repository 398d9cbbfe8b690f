//! `kinstr list`: what there is.

use super::{Failure, exit, print};
use clap::{Args, ValueEnum};
use kinstr_passes::{
    probe::{self, Level, Perturbation},
    probes,
};
use kinstr_trace::synthesis;

#[derive(Args)]
pub struct Options {
    /// Which kind of thing to list; everything by default
    #[arg(value_enum)]
    kind: Option<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Probes,
    Diagnoses,
    Targets,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let mut text = String::new();
    for (kind, title, rows) in [
        (Kind::Probes, "probes", probe_rows()),
        (Kind::Diagnoses, "diagnoses", diagnosis_rows()),
        (Kind::Targets, "targets", target_rows()),
    ] {
        if options.kind.is_none_or(|wanted| wanted == kind) {
            text += &table(title, &rows, options.kind.is_none());
        }
    }
    print(&text);
    Ok(exit::CORRECT)
}

fn table(title: &str, rows: &[(String, String)], with_title: bool) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: String = rows.iter().map(|(name, what)| format!("  {name:width$}  {what}\n")).collect();
    if with_title { format!("{title}\n{lines}\n") } else { lines }
}

fn probe_rows() -> Vec<(String, String)> {
    let row = |probe: &&dyn probe::Probe| {
        let level = match probe.level() {
            Level::Structured => "early, on structured ops",
            Level::Optimized => "late, on optimised code",
        };
        let build = match probe.perturbation() {
            Perturbation::Timing => "timing build",
            Perturbation::Counting => "counting build",
            Perturbation::Observing => "observing build",
        };
        let docs = probe::docs(*probe);
        let summary = docs.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, rest)| rest);
        (probe.name().to_owned(), format!("{summary} ({level}; {build})"))
    };
    probes::ALL.iter().map(row).collect()
}

fn diagnosis_rows() -> Vec<(String, String)> {
    synthesis::rules()
        .iter()
        .map(|rule| (rule.name.to_owned(), format!("{}  {}", rule.code, rule.summary())))
        .collect()
}

fn target_rows() -> Vec<(String, String)> {
    vec![("cpu".into(), "this machine's processor, one thread".into())]
}
