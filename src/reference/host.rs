//! The Python host, seen from here.
use super::{Interpreter, ReferenceError, Refused, package};
use crate::problem::ReferenceSource;
use crate::store::{bytecode_dir, compiled_references};
use crate::tensor::{Seed, TensorSpec};
use crate::worker::{Limits, Process, Reply};
use kinstr_runtime::arena::ArenaError;
use kinstr_runtime::confine::{Measure, device_nodes, write_rights};
use kinstr_runtime::shared::Memory;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time for importing a reference, and PyTorch with it: gigabytes from a cold disk, which compilers may be using too.
const LOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Time for anything that runs the reference. References are slow, not endless.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// How much of what a dead host printed is shown.
const SHOWN_BYTES: usize = 2000;

/// A Python process with a reference loaded.
pub(super) struct Host {
    process: Process,
    path: PathBuf,
    isolation: Vec<&'static str>,
    pub(super) loaded: Loaded,
}

/// The host's reply to `load`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Loaded {
    threads: u32,
    versions: Vec<String>,
    /// The GPU that it runs on.
    #[serde(default)]
    pub(super) device: Option<String>,
    /// Whether it runs on the cores it was told.
    own_cores: bool,
    /// Whether it has given up the right to write elsewhere than in its own places.
    writes_confined: bool,
}

impl Loaded {
    pub(super) fn for_report(&self) -> Vec<String> {
        let threads = match self.threads {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        let device = self.device.iter().map(|device| format!("on {device}"));
        self.versions.iter().cloned().chain(device).chain([threads]).collect()
    }
}

/// What a KernelBench file takes and gives.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Description {
    /// The tensors of `get_inputs`.
    pub inputs: Vec<TensorSpec>,
    /// The parameters and buffers of `Model`.
    pub state: Vec<TensorSpec>,
    /// What `Model` returns.
    pub outputs: Vec<TensorSpec>,
}

/// Runs a KernelBench file, in a process of its own, on GPU `device` if it can be there, to learn what it takes and gives. That process can go on as the
/// reference: importing PyTorch takes seconds.
///
/// # Errors
/// When there is no Python with PyTorch, or the file is not a KernelBench file, or it fails.
pub fn describe(path: &Path, device: Option<u32>) -> Result<(Description, Waiting), ReferenceError> {
    let source = ReferenceSource::KernelBench { path: path.to_owned() };
    let memory = Memory::reserve().map_err(|source| ArenaError::Memory { bytes: 0, source })?;
    let mut host = Host::start(&source, &[memory.as_fd()], device)?;
    let seed = Seed::derive(&path.to_string_lossy(), "describe", 0, "");
    let (description, _) = host.ask(json!({ "op": "describe", "seed": seed.number() }))?;
    Ok((description, Waiting(Arc::new(Mutex::new(Some((host, memory)))))))
}

/// A host that waits for somebody to go on with, and the memory of its only workload. It is handed out once.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Option<(Host, OwnedFd)>>>);

impl Waiting {
    /// The host, if it is there and alive: it dies with the thread that started it.
    pub(super) fn take(&self) -> Option<(Host, OwnedFd)> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut host, memory) = place.take()?;
        host.ask::<Value>(json!({ "op": "model" })).ok().map(|_| (host, memory))
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Host {
    /// Starts a host with `fds` as its descriptors from [`crate::worker::process::FIRST_EXTRA_FD`], and loads the
    /// reference; on GPU `device` if it can be there.
    pub(super) fn start(
        source: &ReferenceSource,
        fds: &[BorrowedFd<'_>],
        device: Option<u32>,
    ) -> Result<Self, ReferenceError> {
        let (path, function) = match source {
            ReferenceSource::Python { path, function } => (path, Some(function)),
            ReferenceSource::KernelBench { path } => (path, None),
            ReferenceSource::Mlir { path, .. } => {
                return Err(ReferenceError::NotPython { path: path.clone() });
            }
        };
        // The host runs in a scratch directory, so the path has to be whole.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let limits = Limits::reference();
        let limits = device.map_or(limits, |ordinal| limits.on_device(ordinal));
        // Importing PyTorch takes seconds: only then does it go where the candidate runs.
        let mut command = command("kinstr.host")?;
        let compiled = compiled_references();
        let bytecode = bytecode_dir();
        for place in [&compiled, &bytecode] {
            let unpack = |source| ReferenceError::Unpack { path: place.clone(), source };
            std::fs::create_dir_all(place).map_err(unpack)?;
        }
        // Compilers run one at a time, and what they leave stays there for later evaluations.
        command
            .env("TORCHINDUCTOR_COMPILE_THREADS", "1")
            .env("TORCHINDUCTOR_CACHE_DIR", compiled.join("inductor"));
        command.env("TRITON_CACHE_DIR", compiled.join("triton"));
        let process =
            Process::spawn_writing(command, limits.on_any_core(), fds, &[compiled.clone(), bytecode])
                .map_err(ReferenceError::Start)?;
        let isolation = process.isolation().to_vec();
        let mut host = Host { process, path, isolation, loaded: Loaded::default() };
        let path = host.path.to_string_lossy();
        let cores = limits.own_cores();
        let nodes = if device.is_some() { device_nodes() } else { Vec::new() };
        let places = [host.process.scratch().to_owned(), compiled, PathBuf::from("/dev/null")];
        let places: Vec<PathBuf> = places.into_iter().chain(nodes).collect();
        let load = json!({
            "op": "load",
            "path": path,
            "function": function,
            "device": device,
            "cores": cores,
            "writable": { "places": places, "rights": write_rights() },
        });
        host.loaded = host.ask_within(&load, LOAD_TIMEOUT)?.0;
        let own = [
            (host.loaded.own_cores, Measure::OwnCores),
            (host.loaded.writes_confined, Measure::WritesInScratchOnly),
        ];
        let missing = own.into_iter().filter(|(done, _)| !done).map(|(_, measure)| measure.name());
        // What was missing at the start is named already.
        let missing: Vec<_> = missing.filter(|name| !host.isolation.contains(name)).collect();
        host.isolation.extend(missing);
        Ok(host)
    }

    /// Asks, and reads the reply as `T`; the time is the parent's.
    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        request: Value,
    ) -> Result<(T, Duration), ReferenceError> {
        self.ask_within(&request, RUN_TIMEOUT)
    }

    fn ask_within<T: DeserializeOwned>(
        &mut self,
        request: &Value,
        timeout: Duration,
    ) -> Result<(T, Duration), ReferenceError> {
        let (reply, took) = self.process.request(request, timeout).map_err(|death| {
            let printed = last_of(&self.process.stderr().text());
            ReferenceError::Died { path: self.path.clone(), death, printed }
        })?;
        match reply {
            Reply::Refused(refusal) if refusal.kind == "protocol" => {
                Err(ReferenceError::Protocol(refusal.message))
            }
            Reply::Refused(refusal) => Err(Box::new(Refused::from_refusal(refusal)).into()),
            Reply::Done(value) => serde_json::from_value(value)
                .map(|value| (value, took))
                .map_err(|error| ReferenceError::Protocol(error.to_string())),
        }
    }

    pub(super) fn isolation(&self) -> &[&'static str] {
        &self.isolation
    }

    pub(super) fn kill(&mut self) {
        self.process.kill();
    }

    pub(super) fn is_alive(&self) -> bool {
        self.process.is_alive()
    }
}

/// What starts `module` of the Python package.
///
/// # Errors
/// When there is no Python, or the package cannot be unpacked.
pub fn command(module: &str) -> Result<Command, ReferenceError> {
    let interpreter = Interpreter::find()?;
    let mut search = vec![package::unpack()?];
    search.extend(std::env::var_os("PYTHONPATH").iter().flat_map(std::env::split_paths));
    let search = std::env::join_paths(search)
        .map_err(|_| ReferenceError::NoInterpreter { reason: "PYTHONPATH cannot be extended".to_owned() })?;
    let mut command = Command::new(interpreter.path());
    command.args(["-m", module]).env("PYTHONPATH", search).env("KINSTR_BYTECODE", bytecode_dir());
    Ok(command)
}

fn last_of(printed: &str) -> String {
    let printed = printed.trim_end();
    let mut start = printed.len().saturating_sub(SHOWN_BYTES);
    while !printed.is_char_boundary(start) {
        start += 1;
    }
    match &printed[start..] {
        "" => "it printed nothing".to_owned(),
        shown => format!("it printed: {shown}"),
    }
}
