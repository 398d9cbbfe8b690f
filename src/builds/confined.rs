//! The compiling process from the parent's side: confined like the candidate, because it works on the candidate's text.

use super::{
    BuildError,
    job::{JOB, Job, OUTCOME, Outcome, Refusal, Work, read, write},
};
use crate::{
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
/// Bytes of address space for one job.
const MEMORY: u64 = 12 << 30;
/// Status of a Rust program that panicked.
const PANICKED: i32 = 101;

/// Has `work` done on `source` in `dir`, which then holds what came of it.
pub fn compile(source: &Source, work: Work, dir: &Path) -> Result<(), BuildError> {
    let job = Job {
        directory: std::env::current_dir().map_err(FrontendError::System)?,
        path: source.path.clone(),
        text: source.text.clone(),
        language: source.language,
        entry: source.directives.entry.clone(),
        work,
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
        Ok(Outcome::Done) => Ok(()),
        Ok(Outcome::Refused(refusal)) => Err(BuildError::Refused(refusal)),
        Err(_) => Err(broken(source, ended, &said)),
    }
}

/// Without an outcome the process did not live to write one.
fn broken(source: &Source, ended: Ended, said: &str) -> BuildError {
    let reason = match ended {
        Ended::TimedOut => format!("takes more than {} s", TIME.as_secs()),
        Ended::Exited(PANICKED) => {
            let text = format!("compiling {} panicked: {}", source.path.display(), said.trim());
            let complaint = Complaint::new("internal::compile", text);
            return BuildError::Refused(Box::new(Refusal { fault: Fault::Internal, complaint }));
        }
        Ended::Exited(_) => format!("ended the compiler: {}", first_line(said)),
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

fn cause(signal: i32) -> String {
    match signal {
        libc::SIGSEGV | libc::SIGBUS => "LLVM fell over it, or ran out of stack".to_owned(),
        _ => format!("it may have run out of its {} GiB of memory", MEMORY >> 30),
    }
}

fn first_line(said: &str) -> &str {
    said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}
