//! What the compiling process is asked, and what it answers. Candidates are parsed, optimised and instrumented there:
//! whatever they do to MLIR and LLVM, kinstr goes on.

use super::{BuildError, Manifest, Probes, device, make, replay};
use crate::{
    codegen::{cuda::Tools, machine::Machine},
    complaint::Complaint,
    frontend::{
        Language, Source,
        c::Markers,
        signature::{Written, written},
    },
    lower::Mlir,
    store::StoreError,
    target::Target,
};
use kinstr_trace::{report::Fault, sites::Choice};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// A job, in the directory it is done in.
pub(super) const JOB: &str = "job.json";
/// How it ended, if the process did not.
pub(super) const OUTCOME: &str = "outcome.json";
/// What [`Work::Examine`] leaves.
pub(super) const EXAMINED: &str = "examined.json";
/// What the compiler of another language made of the candidate, beside it, and with markers of regions in it: it ran
/// before, confined on its own.
pub(super) const BITCODE: [(Markers, &str); 2] =
    [(Markers::Vanish, "candidate.bc"), (Markers::Stay, "marked.bc")];

/// Those of [`BITCODE`] that there are of `source`.
pub(super) fn bitcode_of(source: &Source) -> impl Iterator<Item = (Markers, &'static str)> {
    let count = match (source.language.has_compiler(), source.may_hold_markers()) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    BITCODE.into_iter().take(count)
}
/// Bytes of stack for each thread that compiles: MLIR and LLVM walk nested code by recursion.
pub(super) const STACK: usize = 256 << 20;

/// One job of the compiling process.
#[derive(Serialize, Deserialize)]
pub(super) struct Job {
    /// Where the candidate's path is relative to.
    pub directory: PathBuf,
    pub path: PathBuf,
    pub text: String,
    pub language: Language,
    /// The entry, where it is not the one that the text names.
    pub entry: Option<String>,
    pub work: Work,
}

/// What to do.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Work {
    /// Read the entry's signature.
    Examine,
    /// Make every build; `examined` is the directory in which the candidate was examined.
    Build { probes: Probes, target: Target, tools: Tools, examined: PathBuf },
    /// Make timing builds with the sites of `choice` alone.
    Choose { probes: Probes, choice: Choice, manifest: Box<Manifest>, tools: Tools, examined: PathBuf },
}

/// How a job ended.
#[derive(Serialize, Deserialize)]
pub(super) enum Outcome {
    Done,
    Refused(Box<Refusal>),
}

/// An error of the compiling process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is told of it.
    pub complaint: Complaint,
}

/// Does the job in `dir`, and leaves there what came of it.
///
/// # Errors
/// When the job cannot be read or its outcome written.
pub fn perform(dir: &Path) -> Result<(), BuildError> {
    let job: Job = read(dir, JOB)?;
    std::env::set_current_dir(&job.directory)
        .map_err(|error| StoreError::new("enter", &job.directory, error))?;
    let (path, text) = (job.path.clone(), job.text.clone());
    let done = with_stack(|| job.perform(dir));
    let outcome = match done {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let complaint = Complaint::from(&error).shown_in(&path.to_string_lossy(), &text);
            Outcome::Refused(Box::new(Refusal { fault: error.fault(), complaint }))
        }
    };
    write(dir, OUTCOME, &outcome)
}

/// Runs `body` on a thread with room for deep recursion.
///
/// # Errors
/// What `body` returns, and [`BuildError`] without such a thread.
pub fn with_stack<T: Send, E: Send + From<BuildError>>(
    body: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, body);
        let thread =
            thread.map_err(|error| BuildError::from(crate::frontend::FrontendError::System(error)))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Job {
    fn perform(self, dir: &Path) -> Result<(), BuildError> {
        let mut source = Source::new(&self.path, self.text, self.language)?;
        source.directives.entry = self.entry;
        match self.work {
            Work::Examine => {
                know_bitcode(&source, dir)?;
                examine(&source, dir)
            }
            Work::Build { probes, target, tools, examined } => {
                know_bitcode(&source, &examined)?;
                match target {
                    Target::Cpu => make::make(&source, &probes, dir),
                    Target::Cuda { chip } if source.language == Language::Launches => {
                        replay::make(&source, &probes, &chip, &tools, dir)
                    }
                    Target::Cuda { chip } => device::make(&source, &probes, &chip, &tools, dir),
                }
            }
            Work::Choose { probes, choice, manifest, tools, examined } => {
                know_bitcode(&source, &examined)?;
                match manifest.target {
                    Target::Cpu => make::make_chosen(&source, &probes, &choice, *manifest, dir),
                    Target::Cuda { .. } if source.language == Language::Launches => {
                        replay::make_chosen(&source, &probes, &choice, *manifest, &tools, dir)
                    }
                    Target::Cuda { .. } => {
                        device::make_chosen(&source, &probes, &choice, *manifest, &tools, dir)
                    }
                }
            }
        }
    }
}

fn examine(source: &Source, dir: &Path) -> Result<(), BuildError> {
    let written: Written = written(source, &Mlir::new()?, &Machine::native()?)?;
    write(dir, EXAMINED, &written)
}

/// What the compiler of the candidate's language made of it, if it has one of its own.
fn know_bitcode(source: &Source, examined: &Path) -> Result<(), BuildError> {
    for (markers, name) in bitcode_of(source) {
        let path = examined.join(name);
        let bitcode = std::fs::read(&path).map_err(|error| StoreError::new("read", &path, error))?;
        source.is_compiled_to(markers, bitcode);
    }
    Ok(())
}

/// Reads one of the files in an artifact's directory.
pub(super) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, BuildError> {
    let damaged =
        |reason: String| BuildError::Damaged { dir: dir.into(), reason: format!("{name}: {reason}") };
    let text = std::fs::read(dir.join(name)).map_err(|error| damaged(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
}

/// Writes one of them.
pub(super) fn write<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<(), BuildError> {
    let path = dir.join(name);
    std::fs::write(&path, to_json(dir, value)?).map_err(|error| StoreError::new("write", &path, error).into())
}

/// What stands in one of them.
pub(super) fn to_json<T: Serialize>(dir: &Path, value: &T) -> Result<Vec<u8>, BuildError> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| BuildError::Damaged { dir: dir.into(), reason: error.to_string() })
}
