//! `kinstr eval`: one candidate against one problem.

use super::{Failure, exit, print, progress::Progress};
use crate::{
    complaint::Complaint,
    eval::{self, EvalError, Outcome},
    near,
    problem::{ProblemError, flashinfer},
    reference::ReferenceError,
    report::{
        flashinfer::traces,
        terminal::{Style, render},
    },
    store::{Store, cache_dir, keep_latest, write_atomically},
};
use clap::{Args, ValueEnum};
use kinstr_trace::{
    layout::Keep,
    report::{DEFAULT_LIMIT, Fault, Report, Verdict},
};
use serde_json::Value;
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    time::Duration,
};

/// Columns of a report where nothing says otherwise; wider lines are hard to read.
pub const WIDTH: usize = 100;
/// Targets there are.
const TARGETS: [&str; 3] = ["cpu", "cuda", "cuda:0"];

const EXIT_CODES: &str = "\
Exit codes, with a report for the first two:
  0   evaluated and correct
  1   evaluated and not accepted: incorrect, crashed, timed out, does not compile
  2   usage, or a problem or candidate that cannot be read
  3   infrastructure failure after retries
  70  internal error";

#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Options {
    /// Candidate: a file in MLIR, C, C++ or LLVM IR; in Python, with a class `ModelNew` for a KernelBench problem and a function `run` for others; or a FlashInfer-Bench solution in .json
    candidate: PathBuf,
    /// Problem: a TOML file, a KernelBench .py file as it is, or a FlashInfer-Bench definition in .json
    #[arg(long)]
    problem: PathBuf,
    /// Where to run: `cpu`, or `cuda:N` for an NVIDIA GPU
    #[arg(long, default_value = "cpu")]
    target: String,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// How much of the report to give
    #[arg(long, value_enum, default_value_t = Detail::Short)]
    detail: Detail,
    /// Directory for events, records, report and trace; by default a new one in the cache. In the directory of an
    /// evaluation that was killed, it goes on where it was
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds for measuring, all workloads together; slow kernels take longer, since some rounds are always measured
    #[arg(long, value_name = "SECONDS", default_value_t = 0.8, value_parser = positive)]
    budget: f64,
    /// Stop measuring early when half the speedup's 95 % interval is below this percentage of it
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = positive)]
    precision: f64,
    /// Sets of inputs every workload is checked with
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: u32,
    /// Seconds one call of the candidate may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = positive)]
    timeout: f64,
    /// What timing probes may cost, in percent of the clean time (`3%`), or `none`; sites that do not fit are left out
    #[arg(long, value_name = "PERCENT", default_value = "3%", value_parser = overhead)]
    overhead_budget: Overhead,
    /// MiB the candidate may allocate; on a GPU, of device memory
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    memory: u64,
    /// What to time the candidate against: a reference in PyTorch as it is, or also what `torch.compile` makes of it, whose
    /// compilation takes seconds and is in no time
    #[arg(long, value_enum, default_value_t = Baseline::Eager)]
    baseline: Baseline,
    /// Which records of a thread the timeline keeps, if there are more than it has room for
    #[arg(long, value_enum, default_value_t = TimelineKeep::First)]
    timeline_keep: TimelineKeep,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    Eager,
    Compile,
}

#[derive(Clone, Copy, ValueEnum)]
enum TimelineKeep {
    First,
    Last,
}

impl From<TimelineKeep> for Keep {
    fn from(keep: TimelineKeep) -> Self {
        match keep {
            TimelineKeep::First => Self::First,
            TimelineKeep::Last => Self::Last,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    /// For a FlashInfer-Bench definition: a Trace a workload, as JSON lines
    FlashinferTrace,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Detail {
    /// At most 16 KiB of JSON
    Short,
    /// Everything
    Full,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 0.0 && value < 1e9 => Ok(value),
        _ => Err("a positive number is wanted".into()),
    }
}

/// The overhead budget as part of the clean time; `None` for no limit.
#[derive(Clone, Copy)]
struct Overhead(Option<f64>);

fn overhead(text: &str) -> Result<Overhead, String> {
    if text == "none" {
        return Ok(Overhead(None));
    }
    match text.strip_suffix('%').unwrap_or(text).trim().parse() {
        Ok(percent) if (0.0..1e6).contains(&percent) => Ok(Overhead(Some(percent / 100.0))),
        _ => Err("a percentage such as `3%`, or `none`, is wanted".into()),
    }
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let workloads = match options.format {
        Format::FlashinferTrace => written_workloads(&options.problem)?,
        Format::Human | Format::Json => Vec::new(),
    };
    let dir = match &options.out {
        Some(dir) if dir.exists() && !dir.is_dir() => {
            let text = format!("--out {} is no directory", dir.display());
            return Err(Failure::usage(Complaint::new("usage::out", text).help("name another place")));
        }
        Some(dir) => dir.clone(),
        None => fresh_dir()?,
    };
    let request = eval::Options {
        candidate: options.candidate.clone(),
        problem: options.problem.clone(),
        target: options.target.clone(),
        dir: dir.clone(),
        budget: Duration::from_secs_f64(options.budget),
        half_width: options.precision / 100.0,
        seeds: options.seeds,
        timeout: Duration::from_secs_f64(options.timeout),
        memory: options.memory << 20,
        timeline_keep: options.timeline_keep.into(),
        overhead: options.overhead_budget.0,
        compiled: options.baseline == Baseline::Compile,
        store: Store::open(),
    };
    let mut progress = Progress::new();
    let outcome = eval::evaluate(&request, &mut progress);
    progress.finish();
    let outcome = outcome.map_err(failure)?;
    let code = exit_code(&outcome);
    publish(options, &dir, outcome, &workloads)?;
    Ok(code)
}

/// The workloads of a definition, for Traces to repeat.
fn written_workloads(problem: &Path) -> Result<Vec<Value>, Failure> {
    if problem.extension().is_none_or(|ending| ending != "json") {
        let text = format!(
            "--format flashinfer-trace is for FlashInfer-Bench definitions, and {} is none",
            problem.display()
        );
        return Err(Failure::usage(
            Complaint::new("usage::format", text).help("--format json has the report of any problem"),
        ));
    }
    flashinfer::workloads(problem).map_err(|error| failure(EvalError::Problem(Box::new(error))))
}

/// Writes the report beside its events, and prints it.
fn publish(options: &Options, dir: &Path, outcome: Outcome, workloads: &[Value]) -> Result<(), Failure> {
    let cause = outcome.failure.as_ref().map(Complaint::cause);
    let traces = traces(&outcome.report, workloads, &outcome.name, cause);
    let report = match options.detail {
        Detail::Short => outcome.report.bounded(DEFAULT_LIMIT),
        Detail::Full => outcome.report,
    };
    let json = report.to_json(false).map_err(|error| internal(&error.to_string()))?;
    write_atomically(&dir.join("report.json"), json.as_bytes())
        .map_err(|error| failure(EvalError::Store(error)))?;
    if let Some(complaint) = outcome.failure {
        super::print_error(&complaint.into());
    }
    if outcome.was_done {
        super::note(&format!("{} holds this evaluation already: nothing was run", dir.display()));
    }
    match options.format {
        Format::Json => print(&json),
        Format::FlashinferTrace => print(&traces),
        Format::Human => {
            print(&render_for_terminal(&report));
            print(&format!("files: {}\n", dir.display()));
        }
    }
    Ok(())
}

/// The report in the terminal's width and colours.
pub fn render_for_terminal(report: &Report) -> String {
    render(report, style())
}

/// Width and colours of standard output.
pub fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let columns = terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| usize::from(width.0));
    let width = columns.unwrap_or(WIDTH).clamp(60, WIDTH);
    Style { color, width }
}

fn exit_code(outcome: &Outcome) -> u8 {
    match (outcome.report.verdict, outcome.report.fault) {
        (Verdict::Correct, _) => exit::CORRECT,
        // An unsound problem is as good as an unreadable one.
        (Verdict::Invalid, None) => exit::USAGE,
        (_, Some(Fault::Infrastructure)) => exit::INFRASTRUCTURE,
        (_, Some(Fault::Internal)) => exit::INTERNAL,
        _ => exit::NOT_ACCEPTED,
    }
}

/// Evaluations without a directory of their own that are kept.
const KEPT_RUNS: usize = 200;

fn fresh_dir() -> Result<PathBuf, Failure> {
    let runs = cache_dir().join("runs");
    keep_latest(&runs, KEPT_RUNS);
    let made = std::fs::create_dir_all(&runs)
        .and_then(|()| tempfile::Builder::new().prefix("eval-").tempdir_in(&runs))
        .map(tempfile::TempDir::keep);
    made.map_err(|error| {
        let complaint =
            Complaint::new("store", format!("cannot create a directory in {}: {error}", runs.display()));
        Failure::new(
            exit::INFRASTRUCTURE,
            complaint.help("--out DIR and XDG_CACHE_HOME choose another place"),
        )
    })
}

fn internal(text: &str) -> Failure {
    Failure::new(exit::INTERNAL, Complaint::new("internal", text))
}

fn reference_code(error: &ReferenceError) -> u8 {
    match (error.is_infrastructure(), error.is_internal()) {
        (true, _) => exit::INFRASTRUCTURE,
        (_, true) => exit::INTERNAL,
        _ => exit::USAGE,
    }
}

/// How the command ends where there is no report.
pub fn failure(error: EvalError) -> Failure {
    match error {
        EvalError::Problem(error) => {
            let code = match &*error {
                ProblemError::Reference(error) => reference_code(error),
                _ => exit::USAGE,
            };
            Failure::new(code, *error)
        }
        EvalError::Candidate(error) => Failure::from(&error),
        EvalError::Reference(error) => Failure::new(reference_code(&error), *error),
        EvalError::NativeReference(_) => {
            Failure::usage(Complaint::new("reference::native", error.to_string()))
        }
        EvalError::Store(_) => {
            let complaint = Complaint::new("store", error.to_string());
            let help = "is the disk full? --out DIR and XDG_CACHE_HOME choose another place; nothing finished is lost";
            Failure::new(exit::INFRASTRUCTURE, complaint.help(help))
        }
        EvalError::TooLarge { .. } => {
            let complaint = Complaint::new("problem::too_large", error.to_string());
            let help = "give the workload smaller axes, or evaluate on a machine with more memory";
            Failure::new(exit::INFRASTRUCTURE, complaint.help(help))
        }
        EvalError::Busy { .. } => {
            let complaint = Complaint::new("eval::busy", error.to_string());
            Failure::usage(complaint.help("give each evaluation a directory of its own: --out DIR"))
        }
        EvalError::Target { name } => {
            let complaint = Complaint::new("target", format!("there is no target `{name}`"));
            Failure::usage(complaint.help(near::hint(&name, TARGETS)))
        }
        EvalError::Device(fault) => {
            let complaint = Complaint::new(&format!("infrastructure::{}", fault.kind()), fault.to_string());
            Failure::new(exit::INFRASTRUCTURE, complaint.help(fault.hint()))
        }
        EvalError::Stage(failed) => {
            let code = match failed.failure.fault {
                Fault::Infrastructure => exit::INFRASTRUCTURE,
                _ => exit::INTERNAL,
            };
            Failure::new(code, failed.complaint)
        }
    }
}
