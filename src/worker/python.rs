//! A worker that runs a candidate in Python.
//!
//! It is a host as the reference's is, speaks as that does, and is confined as a compiled candidate's worker is. What needs
//! more rights than a candidate has (importing PyTorch above all) comes first. On a GPU the candidate may start processes,
//! for Triton and `torch.compile` run compilers; they are in its group and under its limits.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kinstr_runtime::arena::Arena;
use kinstr_runtime::confine::{Measure, device_nodes, leaving_program, write_rights};
use kinstr_runtime::gpu::{CallTimes, DeviceFault};
use nix::sys::stat::fstat;

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
/// On a GPU, what loads a candidate or calls it for the first time may run compilers, and takes so many times as long.
const COMPILING: u32 = 4;
/// Files that a Python process may hold open.
const OPEN_FILES: u64 = 256;
/// Places in a cache of compiled kernels, and the variables that name them.
const CACHES: [(&str, &str); 3] = [
    ("TRITON_CACHE_DIR", "triton"),
    ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
    ("TORCH_EXTENSIONS_DIR", "extensions"),
];

/// What the process of a candidate in Python is, before anything is known of the problem.
#[derive(Debug)]
pub struct PythonSetup<'a> {
    /// Limits on it.
    pub limits: Limits,
    /// What starts the host.
    pub command: Command,
    /// The memory that the tensors are to lie in, one a workload.
    pub memory: &'a [BorrowedFd<'a>],
    /// Where kernels that the candidate compiles are kept, for later evaluations of the same text alone.
    pub compiled: PathBuf,
}

/// The tensors of all workloads, as a host takes them.
#[derive(Debug)]
pub struct Tensors {
    /// They, by workload.
    pub buffers: Vec<Vec<Value>>,
    /// How many of the inputs are the model's arguments; the others are its weights.
    pub arguments: usize,
}

/// What is called of a candidate in Python.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The file that is imported.
    pub file: PathBuf,
    /// The function that is called; without one, the file's `ModelNew`.
    pub function: Option<&'a str>,
    /// The folder of its sources, if it has several, whose names in it people know.
    pub folder: Option<&'a Path>,
    /// Whether it takes tensors for its outputs after the inputs, and writes to them.
    pub takes_destinations: bool,
}

/// How the reference's model was made, if it is one, so that the candidate's can be made likewise.
#[derive(Debug, Clone, Default, Deserialize)]
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
    /// The candidate's file, or the folder of its sources, whole, and as the user named it.
    candidate: (PathBuf, PathBuf),
    limits: Limits,
    tainted: bool,
    isolation: Vec<&'static str>,
    versions: Vec<String>,
    loaded: Loaded,
    takes_destinations: bool,
    /// Where it may write besides its scratch directory.
    places: Vec<PathBuf>,
    /// Numbers of the files that its tensors are to lie in, by workload.
    memory: Vec<u64>,
    /// The workload at hand.
    selected: usize,
    started: bool,
    /// Whether the model that there is has been called.
    called: bool,
}

#[derive(Deserialize)]
struct Started {
    versions: Vec<String>,
    device: Option<String>,
    writes_confined: bool,
    memory_limited: bool,
    confined_to_program: bool,
    own_cores: bool,
}

/// What the host says of a candidate's file.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Loaded {
    /// Line of a function that is the reference's word for word.
    pub repeats_line: Option<u32>,
    /// Names of Triton kernels.
    pub kernels: Vec<String>,
    /// Whether these run in Triton's interpreter.
    pub interpreted: bool,
}

/// What a candidate does to its own process, where nothing rests on it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Oddities {
    /// Functions of the problem's that it defines.
    pub defines: Vec<String>,
    /// What of PyTorch's it replaced.
    pub patched: Vec<String>,
}

#[derive(Deserialize)]
struct Made {
    own_state: Vec<String>,
}

impl PythonWorker {
    /// Starts a process, which begins to import PyTorch. It dies with the calling thread.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn spawn(setup: PythonSetup<'_>) -> Result<Self, Fault> {
        let PythonSetup { limits, mut command, memory, compiled } = setup;
        let limits = Limits {
            open_files: limits.open_files.max(OPEN_FILES + memory.len() as u64),
            processes: limits.device.is_some(),
            ..limits
        };
        let mut places = Vec::new();
        if let Some(ordinal) = limits.device {
            command.arg(ordinal.to_string());
            // Compilers run one at a time, in processes that are as confined as the candidate's.
            command
                .env("TORCHINDUCTOR_COMPILE_THREADS", "1")
                .env("MAX_JOBS", "1")
                .env("CUDA_CACHE_DISABLE", "1");
            for (variable, name) in CACHES {
                let place = compiled.join(name);
                std::fs::create_dir_all(&place).map_err(InfrastructureFault::System)?;
                command.env(variable, &place);
                places.push(place);
            }
        }
        // The host limits its memory, and binds itself to its core, once it has imported PyTorch.
        let first = Limits { memory: None, ..limits }.on_any_core();
        let number = |fd: &BorrowedFd<'_>| fstat(fd).map(|status| status.st_ino);
        let numbers = memory.iter().map(number).collect::<Result<_, _>>();
        let numbers = numbers.map_err(|error| InfrastructureFault::System(error.into()))?;
        let process =
            Process::spawn_writing(command, first, memory, &places).map_err(InfrastructureFault::Start)?;
        let isolation = process.isolation().to_vec();
        Ok(Self {
            process,
            candidate: Default::default(),
            limits,
            tainted: false,
            isolation,
            versions: Vec::new(),
            loaded: Loaded::default(),
            takes_destinations: false,
            places,
            memory: numbers,
            selected: 0,
            started: false,
            called: false,
        })
    }

    /// False once it did not answer: it is dead then.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// Whether the tensors of `workload` lie in `arena`.
    pub fn shares(&self, workload: usize, arena: &Arena) -> bool {
        fstat(arena.fd()).is_ok_and(|status| self.memory.get(workload) == Some(&status.st_ino))
    }

    /// Whether it has been started.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Waits for PyTorch, maps the tensors, and takes from the process what a candidate must not have.
    ///
    /// # Errors
    /// When PyTorch is not there, or sees no GPU where there is to be one.
    pub fn start(&mut self, tensors: &Tensors) -> Result<(), Fault> {
        let on_device = self.limits.device.is_some();
        let filter = leaving_program(self.id(), on_device)
            .map(|program| json!({ "number": libc::SYS_seccomp, "program": hexadecimal(&program) }));
        let writable = on_device.then(|| json!({ "places": self.writable(), "rights": write_rights() }));
        let workloads = (FIRST_EXTRA_FD..).zip(&tensors.buffers);
        let workloads: Vec<_> =
            workloads.map(|(fd, buffers)| json!({ "fd": fd, "buffers": buffers })).collect();
        let request = json!({
            "op": "start",
            "workloads": workloads,
            "inputs": tensors.arguments,
            "memory": self.limits.memory,
            "cores": self.limits.own_cores(),
            "filter": filter,
            "writable": writable,
        });
        let (started, _): (Started, _) = self.ask_within(&request, START_TIMEOUT)?;
        let own = [
            (started.confined_to_program, OWN_PROGRAM_ONLY),
            (started.memory_limited, Measure::MemoryLimit.name()),
            (started.own_cores, Measure::OwnCores.name()),
            (started.writes_confined, Measure::WritesInScratchOnly.name()),
        ];
        self.isolation.extend(own.into_iter().filter(|(done, _)| !done).map(|(_, name)| name));
        let device = started.device.map(|device| format!("on {device}"));
        self.versions = started.versions.into_iter().chain(device).collect();
        self.started = true;
        Ok(())
    }

    /// Where it may write once its driver has started.
    fn writable(&self) -> Vec<PathBuf> {
        let scratch = self.process.scratch().to_owned();
        let nodes = device_nodes().into_iter().chain([PathBuf::from("/dev/null")]);
        [scratch].into_iter().chain(self.places.iter().cloned()).chain(nodes).collect()
    }

    /// Imports the candidate. `problem` is the file that it must not look at.
    ///
    /// # Errors
    /// When it cannot be imported, or has no such thing.
    pub fn load(&mut self, entry: &Entry<'_>, problem: &Path) -> Result<(), Fault> {
        self.tainted = true;
        let whole = |path: &Path| std::fs::canonicalize(path).map_err(InfrastructureFault::System);
        let (file, folder) = (whole(&entry.file)?, entry.folder.map(whole).transpose()?);
        let request = json!({
            "op": "load",
            "path": file,
            "folder": folder,
            "problem": whole(problem)?,
            "function": entry.function,
            "destinations": entry.takes_destinations,
        });
        self.takes_destinations = entry.takes_destinations;
        self.candidate = match folder {
            Some(folder) => (folder, PathBuf::new()),
            None => (file, entry.file.clone()),
        };
        self.loaded = self.ask_within(&request, self.compiling())?.0;
        Ok(())
    }

    /// Makes `workload` the one that all other calls are about.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn select(&mut self, workload: usize) -> Result<(), Fault> {
        if std::mem::replace(&mut self.selected, workload) == workload {
            return Ok(());
        }
        self.tell(&json!({ "op": "select", "workload": workload })).map(drop)
    }

    /// Makes the candidate's model, with the weights that are in the arena and under the seed of the reference's model, and
    /// takes over the inputs in the arena. Answers the weights that the model has no place for.
    ///
    /// # Errors
    /// When the candidate raises.
    pub fn make(&mut self, seed: u64, making: &Making) -> Result<Vec<String>, Fault> {
        let Making { init_inputs, strides } = making;
        let request = json!({ "op": "make", "seed": seed, "init_inputs": init_inputs, "strides": strides });
        self.called = false;
        self.ask_within(&request, self.compiling()).map(|(made, _): (Made, _)| made.own_state)
    }

    /// Takes over the inputs that are in the arena now; the model stays.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn take(&mut self) -> Result<(), Fault> {
        self.tell(&json!({ "op": "take" })).map(drop)
    }

    /// Has the tensors that the candidate is to write to hold what the outputs in the arena do, if it takes such.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn put_outputs(&mut self) -> Result<(), Fault> {
        if self.takes_destinations { self.tell(&json!({ "op": "overwrite" })).map(drop) } else { Ok(()) }
    }

    /// Calls the model `calls` times, and answers how long the request took by our clock.
    ///
    /// # Errors
    /// When the candidate does not return from all of them.
    pub fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        let time =
            if std::mem::replace(&mut self.called, true) { self.limits.request } else { self.compiling() };
        self.ask_within(&json!({ "op": "run", "calls": calls }), time).map(|(_, took): (Value, _)| took)
    }

    /// Times `calls` calls on the GPU, each at other addresses, with `rotate` on moved inputs, and with the cache
    /// overwritten; without `call`, what surrounds them alone. The duration is the parent's, of all of it. The last call
    /// finds the inputs as they are.
    ///
    /// # Errors
    /// As [`PythonWorker::run`].
    pub fn time_calls(
        &mut self,
        calls: u32,
        call: bool,
        rotate: bool,
    ) -> Result<(CallTimes, Duration), Fault> {
        self.ask(&json!({ "op": "time", "calls": calls, "call": call, "rotate": rotate }))
    }

    /// Has the host write down what one call launches with Triton. Answers the folder.
    ///
    /// # Errors
    /// An objection of the kind `not-replayed` where launches cannot be told; else as [`PythonWorker::run`].
    pub fn launches(&mut self) -> Result<PathBuf, Fault> {
        let folder = self.process.scratch().join("launches");
        let request = json!({ "op": "launches", "folder": folder });
        // Kernels with scopes are compiled once more.
        let time = self.compiling();
        self.ask_within(&request, time).map(|(_, _): (Value, _)| folder)
    }

    /// Kills its process, and does not wait until the system has cleaned up after it; dropping it does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// What it does to its own process.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn oddities(&mut self) -> Result<Oddities, Fault> {
        self.ask(&json!({ "op": "oddities" })).map(|(oddities, _)| oddities)
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

    /// What the host says of the candidate's file.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Time for a request in which compilers may run.
    fn compiling(&self) -> Duration {
        match self.limits.device {
            Some(_) => self.limits.request.saturating_mul(COMPILING),
            None => self.limits.request,
        }
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
            _ if !self.tainted => InfrastructureFault::Worker(refusal.message).into(),
            "device-lost" => {
                InfrastructureFault::Device(DeviceFault::Lost { message: refusal.message }).into()
            }
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
