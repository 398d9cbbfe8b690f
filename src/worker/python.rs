//! A worker that runs a candidate in Python.
//!
//! It is a host as the reference's is, speaks as that does, and is confined as a compiled candidate's worker is. What needs
//! more rights than a candidate has (importing PyTorch above all) comes first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kinstr_runtime::arena::Arena;
use kinstr_runtime::confine::{Measure, leaving_program};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::capture::Printed;
use super::death::Death;
use super::fault::{CandidateFault, Fault, InfrastructureFault, InternalFault};
use super::limits::Limits;
use super::native::OWN_PROGRAM_ONLY;
use super::objection::Objection;
use super::process::{FIRST_EXTRA_FD, Process};

/// Time for importing PyTorch: gigabytes from a cold disk.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// Files that a Python process may hold open.
const OPEN_FILES: u64 = 256;

/// What a worker for a candidate in Python is given.
#[derive(Debug)]
pub struct PythonSetup<'a> {
    /// Limits on its process.
    pub limits: Limits,
    /// What starts the host.
    pub command: Command,
    /// Tensors of the workload.
    pub arena: &'a Arena,
    /// They, as the host takes them.
    pub buffers: Vec<Value>,
    /// How many of the inputs are the model's arguments; the others are its weights.
    pub arguments: usize,
}

/// How the reference's model was made, so that the candidate's can be made likewise.
#[derive(Debug, Clone, Deserialize)]
pub struct Making {
    /// Arguments of the model's constructor, as the hosts write them.
    init_inputs: Value,
    /// Strides of the reference's outputs.
    strides: Value,
}

/// A process that runs a candidate in Python. It is killed when dropped.
#[derive(Debug)]
pub struct PythonWorker {
    process: Process,
    /// The candidate's file, whole, and as the user named it.
    candidate: (PathBuf, PathBuf),
    limits: Limits,
    tainted: bool,
    isolation: Vec<&'static str>,
    versions: Vec<String>,
    repeats_line: Option<u32>,
}

#[derive(Deserialize)]
struct Started {
    versions: Vec<String>,
    memory_limited: bool,
    confined_to_program: bool,
    own_cores: bool,
}

#[derive(Deserialize)]
struct Loaded {
    repeats_line: Option<u32>,
}

#[derive(Deserialize)]
struct Made {
    own_state: Vec<String>,
}

impl PythonWorker {
    /// Starts a worker, which imports PyTorch. It dies with the calling thread.
    ///
    /// # Errors
    /// When no process can be started, or PyTorch is not there.
    pub fn start(setup: PythonSetup<'_>) -> Result<Self, Fault> {
        let PythonSetup { limits, command, arena, buffers, arguments } = setup;
        let limits = Limits { open_files: OPEN_FILES, ..limits };
        // The host limits its memory, and binds itself to its core, once it has imported PyTorch.
        let first = Limits { memory: None, ..limits }.on_any_core();
        let process = Process::spawn(command, first, &[arena.fd()]).map_err(InfrastructureFault::Start)?;
        let isolation = process.isolation().to_vec();
        let mut worker = Self {
            process,
            candidate: Default::default(),
            limits,
            tainted: false,
            isolation,
            versions: Vec::new(),
            repeats_line: None,
        };
        let filter = leaving_program(worker.id())
            .map(|program| json!({ "number": libc::SYS_seccomp, "program": hexadecimal(&program) }));
        let request = json!({
            "op": "start",
            "fd": FIRST_EXTRA_FD,
            "buffers": buffers,
            "inputs": arguments,
            "memory": limits.memory,
            "cores": limits.own_cores(),
            "filter": filter,
        });
        let (started, _): (Started, _) = worker.ask_within(&request, START_TIMEOUT)?;
        let own = [
            (started.confined_to_program, OWN_PROGRAM_ONLY),
            (started.memory_limited, Measure::MemoryLimit.name()),
            (started.own_cores, Measure::OwnCores.name()),
        ];
        worker.isolation.extend(own.into_iter().filter(|(done, _)| !done).map(|(_, name)| name));
        worker.versions = started.versions;
        Ok(worker)
    }

    /// Imports the candidate. `problem` is the file that it must not look at.
    ///
    /// # Errors
    /// When it cannot be imported, or has no `ModelNew`.
    pub fn load(&mut self, candidate: &Path, problem: &Path) -> Result<(), Fault> {
        self.tainted = true;
        let whole = std::fs::canonicalize(candidate).map_err(InfrastructureFault::System)?;
        let problem = std::fs::canonicalize(problem).map_err(InfrastructureFault::System)?;
        let request = json!({ "op": "load", "path": whole, "problem": problem });
        self.candidate = (whole, candidate.to_owned());
        let (loaded, _): (Loaded, _) = self.ask(&request)?;
        self.repeats_line = loaded.repeats_line;
        Ok(())
    }

    /// Makes the candidate's model, with the weights that are in the arena and under the seed of the reference's model, and
    /// takes over the inputs in the arena. Answers the weights that the model has no place for.
    ///
    /// # Errors
    /// When the candidate raises.
    pub fn make(&mut self, seed: u64, making: &Making) -> Result<Vec<String>, Fault> {
        let Making { init_inputs, strides } = making;
        let request = json!({ "op": "make", "seed": seed, "init_inputs": init_inputs, "strides": strides });
        self.ask(&request).map(|(made, _): (Made, _)| made.own_state)
    }

    /// Takes over the inputs that are in the arena now; the model stays.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn take(&mut self) -> Result<(), Fault> {
        self.tell(&json!({ "op": "take" })).map(drop)
    }

    /// Calls the model `calls` times, and answers how long the request took by our clock.
    ///
    /// # Errors
    /// When the candidate does not return from all of them.
    pub fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        self.tell(&json!({ "op": "run", "calls": calls }))
    }

    /// As [`PythonWorker::run`], on inputs whose elements move by one place before each call; without `call`, the moving
    /// alone. Inputs are left moved.
    ///
    /// # Errors
    /// As [`PythonWorker::run`].
    pub fn run_renewed(&mut self, calls: u32, call: bool, rotate: &[usize]) -> Result<Duration, Fault> {
        self.tell(&json!({ "op": "renew", "calls": calls, "call": call, "rotate": rotate }))
    }

    /// Brings the outputs of the last call to the arena, and the inputs as the calls left them.
    ///
    /// # Errors
    /// When the outputs are not what the problem says.
    pub fn fetch(&mut self) -> Result<(), Fault> {
        self.tell(&json!({ "op": "fetch" })).map(drop)
    }

    /// What runs the candidate.
    pub fn versions(&self) -> &[String] {
        &self.versions
    }

    /// Line of the candidate's file with a function that is the reference's word for word.
    pub fn repeats_line(&self) -> Option<u32> {
        self.repeats_line
    }

    /// What the candidate printed on standard output so far.
    pub fn stdout(&self) -> &Printed {
        self.process.stdout()
    }

    /// What the candidate printed on standard error so far.
    pub fn stderr(&self) -> &Printed {
        self.process.stderr()
    }

    /// Names of the confining measures that this machine did not let us apply.
    pub fn isolation(&self) -> &[&'static str] {
        &self.isolation
    }

    /// Process id, also of its process group.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn tell(&mut self, request: &Value) -> Result<Duration, Fault> {
        self.ask(request).map(|(_, took): (Value, _)| took)
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> Result<(T, Duration), Fault> {
        self.ask_within(request, self.limits.request)
    }

    fn ask_within<T: DeserializeOwned>(
        &mut self,
        request: &Value,
        time: Duration,
    ) -> Result<(T, Duration), Fault> {
        let (reply, took) = self.process.request(request, time).map_err(|death| self.classify(death))?;
        let value = reply.done().map_err(|refusal| match refusal.kind.as_str() {
            "protocol" if !self.tainted => Fault::from(InternalFault::Refused(refusal.message)),
            _ => {
                let (whole, named) = &self.candidate;
                CandidateFault::Python(Box::new(Objection::new(&refusal, whole, named))).into()
            }
        })?;
        // The candidate may have written it in the host's name.
        let value = serde_json::from_value(value)
            .map_err(|error| CandidateFault::Interferes { detail: error.to_string() })?;
        Ok((value, took))
    }

    /// Whose fault `death` is, and what it was.
    fn classify(&self, death: Death) -> Fault {
        let (limits, last_words) = (self.limits, self.process.stderr().last_line());
        if !self.tainted && !matches!(death, Death::System(_) | Death::Gone) {
            return InfrastructureFault::Worker(format!("{death}, last saying: {last_words}")).into();
        }
        match death {
            Death::Exited { code } => CandidateFault::CalledExit { code }.into(),
            Death::Signalled { signal } => match signal {
                libc::SIGXCPU => CandidateFault::CpuLimit { limit: limits.cpu }.into(),
                libc::SIGXFSZ => CandidateFault::FileSizeLimit { limit_bytes: limits.file_bytes }.into(),
                libc::SIGKILL => InfrastructureFault::Killed.into(),
                libc::SIGABRT => CandidateFault::Aborted { last_words }.into(),
                signal => CandidateFault::Crashed { signal }.into(),
            },
            Death::TimedOut { limit, .. } => CandidateFault::TimedOut { limit }.into(),
            Death::OutOfTime { limit } => CandidateFault::WallLimit { limit }.into(),
            Death::BrokenProtocol(detail) => CandidateFault::Interferes { detail }.into(),
            Death::Gone => InternalFault::AlreadyEnded.into(),
            Death::System(error) => InfrastructureFault::System(error).into(),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
