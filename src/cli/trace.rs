//! `kinstr trace`: a record file as a timeline or as totals.

use super::{Failure, exit, note};
use crate::{
    complaint::Complaint,
    report::terminal::{Style, render_totals},
};
use clap::{Args, ValueEnum};
use kinstr_trace::{
    chrome,
    decode::{DecodeError, StreamError},
    perfetto,
    sites::SiteTable,
    tables::Losses,
    totals::{Totals, totals},
};
use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind, IsTerminal, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

#[derive(Args)]
pub struct Options {
    /// Record file
    records: PathBuf,
    /// Site table of the build that made it; by default NAME.sites.json beside NAME.krec or NAME-N.krec
    #[arg(long, value_name = "FILE")]
    sites: Option<PathBuf>,
    /// What to make of it
    #[arg(long, value_enum, default_value_t = Format::Perfetto)]
    format: Format,
    /// Where to write; by default to standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Perfetto's protobuf, for ui.perfetto.dev
    Perfetto,
    /// Chrome's Trace Event Format, JSON
    Chrome,
    /// Count, time and share of each site, as a table
    Summary,
    /// The summary as JSON
    SummaryJson,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let records = File::open(&options.records).map_err(|error| unreadable(&options.records, &error))?;
    let sites = read_sites(options)?;
    check_out(options)?;
    let losses = match &options.out {
        Some(path) => to_file(options, records, &sites, path)?,
        None => to_stdout(options, records, &sites)?,
    };
    // The summary tells its losses itself.
    if losses.any() && matches!(options.format, Format::Perfetto | Format::Chrome) {
        note(&format!("not all of it is there: {}", losses.sentences().join("; ")));
    }
    Ok(exit::CORRECT)
}

/// What is read is not written over.
fn check_out(options: &Options) -> Result<(), Failure> {
    let sites = options.sites.clone().unwrap_or_else(|| sites_beside(&options.records));
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    let inputs = [options.records.as_path(), &sites];
    let overwritten = |out: &&PathBuf| inputs.iter().any(|input| same(input, out));
    match options.out.as_ref().filter(overwritten) {
        None => Ok(()),
        Some(out) => {
            let text = format!("-o {} would overwrite what is read", out.display());
            Err(Failure::usage(Complaint::new("usage::out", text).help("name another file")))
        }
    }
}

fn to_file(options: &Options, records: File, sites: &SiteTable, path: &Path) -> Result<Losses, Failure> {
    let failed = |error| unwritable(path, &error);
    if path.exists() && !path.is_file() {
        // A device or a pipe is written to as it is; only a file can be put in place when it is whole.
        let file = File::options().write(true).open(path).map_err(failed)?;
        return convert(options, records, sites, file);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(parent).map_err(failed)?;
    let losses = convert(options, records, sites, &mut file)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(losses)
}

fn to_stdout(options: &Options, records: File, sites: &SiteTable) -> Result<Losses, Failure> {
    let mut out = io::stdout().lock();
    if options.format == Format::Perfetto && out.is_terminal() {
        let complaint = Complaint::new("trace::terminal", "a Perfetto trace is no text for a terminal");
        return Err(Failure::usage(
            complaint.help("name a file with -o, or choose --format chrome or summary"),
        ));
    }
    convert(options, records, sites, &mut out)
}

fn convert(
    options: &Options,
    records: File,
    sites: &SiteTable,
    mut out: impl Write,
) -> Result<Losses, Failure> {
    match options.format {
        Format::Perfetto => written(options, perfetto::write(records, sites, out)),
        Format::Chrome => written(options, chrome::write(records, sites, out)),
        Format::Summary | Format::SummaryJson => {
            let totals = match totals(records, sites) {
                Ok(totals) => totals,
                Err(StreamError::Decode(error)) => return Err(refused(&options.records, &error)),
                Err(StreamError::Consumer(never)) => match never {},
            };
            let text = summary(options.format, &totals);
            let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            written(options, result.map(|()| totals.losses).map_err(StreamError::Consumer))
        }
    }
}

fn summary(format: Format, totals: &Totals) -> String {
    match format {
        Format::SummaryJson => serde_json::to_string_pretty(totals).unwrap_or_default() + "\n",
        _ => render_totals(totals, Style { color: false, width: super::eval::WIDTH }),
    }
}

/// A reader that went away is no error.
fn written(options: &Options, result: Result<Losses, StreamError<io::Error>>) -> Result<Losses, Failure> {
    match result {
        Ok(losses) => Ok(losses),
        Err(StreamError::Decode(error)) => Err(refused(&options.records, &error)),
        Err(StreamError::Consumer(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Losses::default()),
        Err(StreamError::Consumer(error)) => {
            let standard = Path::new("standard output");
            Err(unwritable(options.out.as_deref().unwrap_or(standard), &error))
        }
    }
}

fn read_sites(options: &Options) -> Result<SiteTable, Failure> {
    let path = options.sites.clone().unwrap_or_else(|| sites_beside(&options.records));
    let text = std::fs::read(&path).map_err(|error| {
        let complaint = Complaint::new("trace::sites", format!("cannot read {}: {error}", path.display()));
        Failure::usage(complaint.help("--sites FILE names the site table of the build that made the records"))
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        let text = format!("{} is no site table: {error}", path.display());
        Failure::usage(Complaint::new("trace::sites", text))
    })
}

/// Where an evaluation leaves the sites of a record file: records have the workload's number in their name.
fn sites_beside(records: &Path) -> PathBuf {
    let stem = records.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = match stem.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &stem,
    };
    records.with_file_name(format!("{name}.sites.json"))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(Complaint::new("trace::records", format!("cannot read {}: {error}", path.display())))
}

fn refused(path: &Path, error: &DecodeError) -> Failure {
    let complaint = Complaint::new("trace::records", format!("{}: {error}", path.display()));
    Failure::usage(match error {
        DecodeError::Digest { .. } | DecodeError::SiteCount { .. } | DecodeError::Mode { .. } => {
            complaint.help("--sites FILE names the site table of the build that made the records")
        }
        _ => complaint,
    })
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot write {}: {error}", path.display());
    Failure::new(exit::INFRASTRUCTURE, Complaint::new("trace::write", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_looked_for_where_an_evaluation_leaves_them() {
        for (records, sites) in [
            ("out/timing-12.krec", "out/timing.sites.json"),
            ("timeline.krec", "timeline.sites.json"),
            ("my-run.krec", "my-run.sites.json"),
        ] {
            assert_eq!(sites_beside(Path::new(records)), Path::new(sites));
        }
    }
}
