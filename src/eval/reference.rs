//! The reference of an evaluation: a Python host, or an MLIR module built like a candidate and run in a worker, on the GPU of
//! the evaluation's target if it has one.

use super::{
    EvalError,
    arguments::{arguments, float_inputs, for_threads},
    destination::Site,
    device::reserve,
    failure::Stop,
    fit,
    session::Session,
};
use crate::{
    builds::{self, BuildError, Builds, Probes},
    complaint::Complaint,
    correctness::POISON,
    frontend::Source,
    problem::{Problem, ReferenceSource},
    reference::{Reference, ReferenceError, ReferenceProcess, Variant, buffer_specs},
    store::Store,
    target::Target,
    tensor::Seed,
    worker::{Fault, Limits, Setup, Worker, fault::InfrastructureFault},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::report::Fault as Blame;
use std::{os::fd::OwnedFd, path::PathBuf, time::Duration};

/// The reference of an evaluation, while it lives.
#[derive(Default)]
pub struct Living(Option<Reference>);

impl Living {
    /// The reference: started by the first stage that needs it, and anew by an attempt after one that lost it; on the GPU
    /// of the session's target if it can be there.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn get(&mut self, session: &mut Session<'_>) -> Result<&mut Reference, Stop> {
        let reference = match self.0.take().filter(Reference::is_alive) {
            Some(reference) => reference,
            None => start(&session.problem, &session.options.store, &session.site)?,
        };
        session.note_once(format!("the reference runs on {}", reference.versions().join(", ")))?;
        if !reference.isolation().is_empty() {
            let missing = reference.isolation().join(", ");
            session.note_once(format!(
                "isolation of the reference is incomplete; this machine does not allow: {missing}"
            ))?;
        }
        Ok(self.0.insert(reference))
    }

    /// Makes it end, and does not wait until the system has cleaned up after it; dropping it does.
    pub fn dismiss(&mut self) {
        if let Some(reference) = &mut self.0 {
            reference.kill();
        }
    }
}

/// Starts the reference of `problem`, on the GPU of `site` if it can be there.
///
/// # Errors
/// [`EvalError::Reference`] or `NativeReference`.
fn start(problem: &Problem, store: &Store, site: &Site) -> Result<Reference, EvalError> {
    let started = match &problem.reference {
        ReferenceSource::Mlir { path, entry } => {
            let process = NativeReference::start(problem, path.clone(), entry.clone(), store, site)?;
            Reference::native(problem, Box::new(process))
        }
        _ => Reference::start(problem, site.ordinal()),
    };
    started.map_err(|error| EvalError::Reference(Box::new(error)))
}

/// A compiled reference is confined like a candidate, and has a reference's time and memory: options that limit the
/// candidate do not limit what it is compared with.
fn native_limits(device: Option<u32>) -> Limits {
    let Limits { cpu, wall, request, memory, .. } = Limits::reference();
    let limits = Limits { cpu, wall, request, memory, ..Limits::candidate() };
    device.map_or(limits, |ordinal| limits.on_device(ordinal))
}

struct NativeReference {
    path: PathBuf,
    problem: Problem,
    builds: Builds,
    /// Number of the GPU it runs on, if it runs on one.
    device: Option<u32>,
    /// Inputs that may be moved between timed calls.
    rotate: Vec<usize>,
    /// Tensors, one a workload, and their memory.
    arenas: Vec<Arena>,
    memory: Vec<OwnedFd>,
    workload: usize,
    worker: Option<Worker>,
    /// Whether it has inputs of the selected workload.
    ready: bool,
    versions: Vec<String>,
    isolation: Vec<&'static str>,
}

impl NativeReference {
    fn start(
        problem: &Problem,
        path: PathBuf,
        entry: Option<String>,
        store: &Store,
        site: &Site,
    ) -> Result<Self, EvalError> {
        let failed = |text: String| EvalError::NativeReference(format!("{}: {text}", path.display()));
        let mut source = Source::read(&path)?;
        source.directives.entry = entry.or(source.directives.entry);
        let signature = builds::written_signature(&source, store)
            .map_err(|error| failed(Complaint::from(&error).summary()))?;
        fit::check(problem, &signature).map_err(|complaint| failed(complaint.summary()))?;
        let (builds, device) =
            build(&source, store, site).map_err(|error| failed(Complaint::from(&error).summary()))?;
        let where_it_runs = match &site.device {
            Some(shown) if device.is_some() => format!("on {}", shown.facts.name),
            _ => "1 thread".into(),
        };
        let reserved = reserve(problem.workloads.len()).map_err(|error| failed(error.to_string()))?;
        let (memory, reserved): (_, Vec<_>) = reserved.into_iter().unzip();
        let mut reference = Self {
            path: path.clone(),
            problem: problem.clone(),
            builds,
            device,
            rotate: float_inputs(problem),
            arenas: Vec::new(),
            memory,
            workload: 0,
            worker: None,
            ready: false,
            versions: vec![format!("LLVM {}", crate::codegen::llvm_version()), where_it_runs],
            isolation: Vec::new(),
        };
        // It opens its device while the system clears the tensors' memory, and inputs are made.
        reference.worker = Some(reference.begin().map_err(|fault| failed(fault.to_string()))?);
        let arena = |(workload, memory)| Arena::of(memory, &buffer_specs(problem, workload));
        let arenas = reserved.into_iter().enumerate().map(arena).collect::<Result<_, _>>();
        reference.arenas = arenas.map_err(|error| failed(error.to_string()))?;
        Ok(reference)
    }

    /// Starts a process, which can be loaded on every workload, and does not wait until its device is open.
    fn begin(&self) -> Result<Worker, Fault> {
        let limits = for_threads(native_limits(self.device), self.builds.manifest.threads, None);
        let none = Arena::new(&[]).map_err(InfrastructureFault::Arena)?;
        let others = &self.memory;
        Worker::begin(Setup { limits, arena: &none, others, records: None, program: None })
    }

    /// What a fault of its worker says of the reference.
    fn failed(&self, fault: &Fault) -> ReferenceError {
        let (path, message) = (self.path.clone(), fault.to_string());
        match fault.blame() {
            Blame::Infrastructure => ReferenceError::Interrupted { path, message },
            Blame::Candidate | Blame::Internal => ReferenceError::Native { path, message },
        }
    }

    fn native(&self, message: impl ToString) -> ReferenceError {
        ReferenceError::Native { path: self.path.clone(), message: message.to_string() }
    }

    /// Loads the process that there is on the tensors of the selected workload, or a new one.
    fn load(&mut self) -> Result<(), Fault> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.begin()?,
        };
        let (library, arena) =
            (self.builds.library(&self.builds.manifest.clean), &self.arenas[self.workload]);
        let arguments = arguments(&self.builds, &self.problem, self.workload, arena);
        worker.load_on(self.workload, arena, &library, &arguments)?;
        self.isolation = worker.isolation().to_vec();
        self.worker = Some(worker);
        Ok(())
    }

    /// Asks the worker.
    fn ask<T>(&mut self, request: impl FnOnce(&mut Worker) -> Result<T, Fault>) -> Result<T, ReferenceError> {
        match &mut self.worker {
            Some(worker) if self.ready => request(worker).map_err(|fault| self.failed(&fault)),
            _ => Err(self.native("it was called before it had inputs")),
        }
    }
}

/// Builds a reference for the target of `site`, and tells which GPU it runs on. One without kernels, or whose host code
/// touches tensors, is built for the CPU.
fn build(source: &Source, store: &Store, site: &Site) -> Result<(Builds, Option<u32>), BuildError> {
    let on_cpu = || builds::build(source, &Probes::none(), store, &Target::Cpu).map(|builds| (builds, None));
    match site.ordinal() {
        None => on_cpu(),
        ordinal => match builds::build(source, &Probes::none(), store, &site.target) {
            Ok(builds) => Ok((builds, ordinal)),
            Err(error) => on_cpu().map_err(|_| error),
        },
    }
}

impl ReferenceProcess for NativeReference {
    fn select(&mut self, workload: usize) -> Result<(), ReferenceError> {
        if workload >= self.arenas.len() {
            return Err(ReferenceError::NoSuchWorkload(workload));
        }
        // On a CPU a process has its tensors in its address space, which is limited.
        if self.ready && self.device.is_none() {
            self.worker = None;
        }
        (self.workload, self.ready) = (workload, false);
        Ok(())
    }

    fn arena(&self) -> &Arena {
        &self.arenas[self.workload]
    }

    fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arenas[self.workload]
    }

    fn make_inputs(&mut self, _seed: Seed) -> Result<(), ReferenceError> {
        Err(self.native("an MLIR reference makes no inputs"))
    }

    /// Scalars are passed by value when the library is loaded, so that new inputs mean loading it anew.
    fn take_inputs(&mut self) -> Result<(), ReferenceError> {
        if !self.ready || self.builds.manifest.convention.passes_inputs_by_value() {
            self.load().map_err(|fault| self.failed(&fault))?;
            self.ready = true;
        }
        match self.device {
            Some(_) => self.ask(|worker| worker.upload(true, POISON)),
            None => Ok(()),
        }
    }

    fn call(&mut self, calls: u32, store: bool) -> Result<Duration, ReferenceError> {
        if self.device.is_none() || !store {
            return self.ask(|worker| worker.run(calls));
        }
        self.ask(|worker| {
            worker.upload(false, POISON)?;
            let took = worker.run(calls)?;
            worker.download()?;
            Ok(took)
        })
    }

    fn time(
        &mut self,
        calls: u32,
        rotate: bool,
        variant: Variant,
    ) -> Result<Option<Vec<f64>>, ReferenceError> {
        if variant == Variant::Compiled {
            return self.compile().map(|()| None);
        }
        if self.device.is_none() {
            return Ok(None);
        }
        let rotate = if rotate { self.rotate.clone() } else { Vec::new() };
        self.ask(|worker| worker.time_calls(calls, true, &rotate)).map(|(times, _)| Some(times.device_ns))
    }

    fn kill(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.kill();
        }
    }

    fn versions(&self) -> &[String] {
        &self.versions
    }

    fn isolation(&self) -> &[&'static str] {
        &self.isolation
    }
}
