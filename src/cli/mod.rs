//! The command line: the only place that prints. One file a subcommand.

mod compile;
mod diff;
mod doctor;
mod eval;
mod explain;
mod list;
mod opt;
mod progress;
mod schema;
mod show;
mod trace;

use crate::{
    complaint::Complaint,
    frontend::{FrontendError, Source},
    harmless,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Exit codes, as documented in README.md.
pub mod exit {
    /// Evaluated and correct.
    pub const CORRECT: u8 = 0;
    /// Evaluated and not accepted.
    pub const NOT_ACCEPTED: u8 = 1;
    /// Usage, or an unreadable problem or candidate.
    pub const USAGE: u8 = 2;
    /// Infrastructure failure after retries.
    pub const INFRASTRUCTURE: u8 = 3;
    /// Internal error.
    pub const INTERNAL: u8 = 70;
}

#[derive(Parser)]
#[command(name = "kinstr", version, about, long_about = None, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Evaluate a candidate against a problem and report why it is not faster
    Eval(eval::Options),
    /// Run probes and pass pipelines on a module and print it at any point
    Opt(opt::Options),
    /// List probes, diagnoses and targets
    List(list::Options),
    /// Explain a probe or a diagnosis
    Explain(explain::Options),
    /// Show the report of an earlier evaluation
    Show(show::Options),
    /// Say what changed between two evaluations
    Diff(diff::Options),
    /// Turn a record file into a timeline, or add it up by site
    Trace(trace::Options),
    /// Say what works on this machine, and what each absent thing costs
    Doctor(doctor::Options),
    /// Print the JSON schema of a report, a site table, a comparison or totals
    Schema(schema::Options),
    /// Do one job of the compiler for another kinstr
    #[command(hide = true)]
    Compile(compile::Options),
}

/// What ends a command early.
pub struct Failure {
    code: u8,
    report: miette::Report,
}

impl Failure {
    /// A failure that exits with `code`.
    pub fn new(code: u8, report: impl Into<miette::Report>) -> Self {
        Self { code, report: report.into() }
    }

    /// With the places in `source` shown, if it is a complaint.
    fn shown_in(self, source: &Source) -> Self {
        let Self { code, report } = self;
        let report = report
            .downcast::<Complaint>()
            .map_or_else(|other| other, |complaint| source.show(complaint).into());
        Self { code, report }
    }

    /// An unreadable input or wrong usage.
    pub fn usage(complaint: impl Into<Complaint>) -> Self {
        Self::new(exit::USAGE, complaint.into())
    }
}

/// A candidate that cannot be read.
impl From<&FrontendError> for Failure {
    fn from(error: &FrontendError) -> Self {
        let code = if error.is_infrastructure() { exit::INFRASTRUCTURE } else { exit::USAGE };
        Self::new(code, Complaint::from(error))
    }
}

/// Parses the arguments, runs the command and renders what went wrong.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Names stay whole. That a hook is there already is impossible here, and would do no harm.
    let _ = miette::set_hook(Box::new(|_| {
        let splitter = textwrap::WordSplitter::NoHyphenation;
        Box::new(miette::MietteHandlerOpts::new().break_words(false).word_splitter(splitter).build())
    }));
    // The panic itself has been told by then. Its default status, 101, would be none that is documented.
    std::panic::catch_unwind(|| run(arguments)).unwrap_or_else(|_| {
        let complaint = Complaint::new("internal::panic", "kinstr has a bug, told above, and gave up");
        print_error(&complaint.into());
        ExitCode::from(exit::INTERNAL)
    })
}

fn run(arguments: Arguments) -> ExitCode {
    let is_compiler = matches!(arguments.command, Command::Compile(_));
    kinstr_passes::ffi::on_fatal_llvm_error(if is_compiler { compile::end_of_llvm } else { end_of_llvm });
    let result = match arguments.command {
        Command::Eval(options) => eval::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Trace(options) => trace::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Opt(options) => opt::run(&options),
        Command::List(options) => list::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Schema(options) => schema::run(&options),
        Command::Compile(options) => compile::run(&options),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            print_error(&failure.report);
            ExitCode::from(failure.code)
        }
    }
}

/// LLVM has no way back from some errors. What it was working on is not known here.
fn end_of_llvm(reason: &str) -> ! {
    let complaint = Complaint::new("internal::llvm", format!("LLVM cannot go on: {reason}"))
        .help("the candidate holds something that LLVM's back end for this CPU cannot compile");
    print_error(&complaint.into());
    // The rest of the process is in no state to be cleaned up.
    std::process::exit(i32::from(exit::INTERNAL))
}

fn print_error(report: &miette::Report) {
    say(&harmless::coloured(&format!("{report:?}")));
}

/// Something to know that is no error.
fn note(text: &str) {
    say(&harmless::text(&format!("note: {text}")));
}

/// A line on standard error. That it cannot be written, there is nowhere to say.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes `text` to standard output. A reader that went away is no error; output that is lost otherwise ends the
/// program with the code for the infrastructure.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let complaint = Complaint::new("stdout", format!("cannot write to standard output: {error}"));
            print_error(&complaint.into());
            std::process::exit(i32::from(exit::INFRASTRUCTURE));
        }
        _ => {}
    }
}
