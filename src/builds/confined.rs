//! The compiling process from the parent's side: confined like the candidate, because it works on the candidate's text.

use super::{
    BuildError, Probes,
    job::{JOB, Job, OUTCOME, Outcome, Refusal, Work, read, write},
    ledger,
};
use crate::{
    cli::exit,
    complaint::Complaint,
    frontend::{FrontendError, Source},
    worker::{
        THIS_PROGRAM,
        tool::{Ended, SAID, Tool},
    },
};
use kinstr_trace::report::Fault;
use std::{ffi::OsString, path::Path, time::Duration};

/// Subcommand of `kinstr` that does a job; not for people.
pub const SUBCOMMAND: &str = "compile";
/// Time for one job. The largest kernels known take seconds.
const TIME: Duration = Duration::from_secs(300);
/// Bytes of address space for one job: as much as a candidate may use by default. The largest kernels known take a
/// tenth of it, and what never ends meets it before it has cost minutes.
const MEMORY: u64 = 4 << 30;
/// Exit status of the compiling process when LLVM cannot go on. Its other ones are those of `kinstr`.
pub const LLVM_ENDED: u8 = 71;

/// Has `work` done on `source` in `dir`, which then holds what came of it. If the process does not live to finish, but has
/// made a clean build or does so without probes, then that is what came of it, and its manifest says why there are no others.
pub fn compile(source: &Source, work: Work, dir: &Path) -> Result<(), BuildError> {
    let Some(broken) = attempt(source, &work, dir)? else { return Ok(()) };
    if broken.fault() == Fault::Infrastructure {
        return Err(broken);
    }
    let reason = broken.to_string();
    if ledger::close(dir, &reason)? {
        return Ok(());
    }
    let Work::Build { examined, target, tools, .. } = work else { return Err(broken) };
    match attempt(source, &Work::Build { probes: Probes::none(), target, tools, examined }, dir)? {
        None => ledger::close_without_probes(dir, &reason),
        Some(broken) => Err(broken),
    }
}

/// Runs the process once. Answers how it ended, if it did not live to say so itself.
fn attempt(source: &Source, work: &Work, dir: &Path) -> Result<Option<BuildError>, BuildError> {
    let job = Job {
        directory: std::env::current_dir().map_err(FrontendError::System)?,
        path: source.path.clone(),
        text: source.text.clone(),
        language: source.language,
        entry: source.directives.entry.clone(),
        work: work.clone(),
    };
    write(dir, JOB, &job)?;
    let arguments: [OsString; 2] = [SUBCOMMAND.into(), dir.into()];
    let program = Path::new(THIS_PROGRAM);
    let tool = Tool { program, arguments: &arguments, scratch: dir, time: TIME, memory: MEMORY };
    let (ended, said) = tool.run().map_err(FrontendError::System)?;
    let outcome = read(dir, OUTCOME);
    for name in [JOB, OUTCOME, SAID] {
        // They are none of the artifact; one that stays harms nobody.
        let _ = std::fs::remove_file(dir.join(name));
    }
    match outcome {
        Ok(Outcome::Done) => Ok(None),
        Ok(Outcome::Refused(refusal)) => Err(BuildError::Refused(refusal)),
        Err(_) => Ok(Some(broken(source, ended, &said))),
    }
}

/// Without an outcome the process did not live to write one, or there was no room for it.
fn broken(source: &Source, ended: Ended, said: &str) -> BuildError {
    let path = source.path.display();
    let reason = match ended {
        Ended::TimedOut => format!("takes more than {} s", TIME.as_secs()),
        Ended::Exited(code) if code == i32::from(LLVM_ENDED) => {
            format!("ended the compiler: {}", first_line(said))
        }
        Ended::Exited(code) if code == i32::from(exit::INTERNAL) => {
            return refused(
                Fault::Internal,
                "internal::compile",
                format!("compiling {path} panicked: {}", said.trim()),
            );
        }
        Ended::Exited(_) => {
            let said = Some(said.trim()).filter(|said| !said.is_empty()).unwrap_or("it could not say why");
            return refused(
                Fault::Infrastructure,
                "compiler",
                format!("compiling {path} left nothing: {said}"),
            );
        }
        Ended::Signalled(signal) => format!(
            "ended the compiler with signal {signal} ({}){}",
            cause(signal),
            Some(first_line(said))
                .filter(|line| !line.is_empty())
                .map(|line| format!(": {line}"))
                .unwrap_or_default()
        ),
    };
    FrontendError::Compiler { path: source.path.clone(), reason }.into()
}

fn refused(fault: Fault, code: &str, text: String) -> BuildError {
    let complaint = Complaint::new(code, text);
    let complaint = match fault {
        Fault::Infrastructure => complaint.help("is the disk full? XDG_CACHE_HOME moves the cache elsewhere"),
        _ => complaint,
    };
    BuildError::Refused(Box::new(Refusal { fault, complaint }))
}

fn cause(signal: i32) -> String {
    match signal {
        libc::SIGSEGV | libc::SIGBUS => "LLVM fell over it, or ran out of stack".to_owned(),
        _ => format!("it may have run out of its {} GiB of memory", MEMORY >> 30),
    }
}

fn first_line(said: &str) -> &str {
    said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}
