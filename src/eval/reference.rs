//! The reference of an evaluation: a Python host, or an MLIR module built like a candidate and run in a worker.

use super::{EvalError, arguments::start_worker, failure::Stop, fit, session::Session};
use crate::{
    builds::{self, Builds, Probes},
    complaint::Complaint,
    frontend::Source,
    problem::{Problem, ReferenceSource},
    reference::{Reference, ReferenceError, ReferenceProcess, buffer_specs},
    store::Store,
    target::Target,
    tensor::Seed,
    worker::{Fault, Limits, Worker},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::report::Fault as Blame;
use std::{path::PathBuf, time::Duration};

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
            None => start(&session.problem, &session.options.store, session.site.ordinal())?,
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
}

/// Starts the reference of `problem`, on GPU `device` if it can be there.
///
/// # Errors
/// [`EvalError::Reference`] or `NativeReference`.
fn start(problem: &Problem, store: &Store, device: Option<u32>) -> Result<Reference, EvalError> {
    let started = match &problem.reference {
        ReferenceSource::Mlir { path, entry } => {
            let process = NativeReference::start(problem, path.clone(), entry.clone(), store)?;
            Reference::native(problem, Box::new(process))
        }
        _ => Reference::start(problem, device),
    };
    started.map_err(|error| EvalError::Reference(Box::new(error)))
}

/// A compiled reference is confined like a candidate, and has a reference's time and memory: options that limit the
/// candidate do not limit what it is compared with.
fn native_limits() -> Limits {
    let Limits { cpu, wall, request, memory, .. } = Limits::reference();
    Limits { cpu, wall, request, memory, ..Limits::candidate() }
}

struct NativeReference {
    path: PathBuf,
    problem: Problem,
    builds: Builds,
    arena: Arena,
    workload: usize,
    worker: Option<Worker>,
    versions: Vec<String>,
    isolation: Vec<&'static str>,
}

impl NativeReference {
    fn start(
        problem: &Problem,
        path: PathBuf,
        entry: Option<String>,
        store: &Store,
    ) -> Result<Self, EvalError> {
        let failed = |text: String| EvalError::NativeReference(format!("{}: {text}", path.display()));
        let mut source = Source::read(&path)?;
        source.directives.entry = entry.or(source.directives.entry);
        let signature = builds::written_signature(&source, store)
            .map_err(|error| failed(Complaint::from(&error).summary()))?;
        fit::check(problem, &signature).map_err(|complaint| failed(complaint.summary()))?;
        let builds = builds::build(&source, &Probes::none(), store, &Target::Cpu)
            .map_err(|error| failed(Complaint::from(&error).summary()))?;
        let arena = Arena::new(&buffer_specs(problem, 0)).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            path: path.clone(),
            problem: problem.clone(),
            builds,
            arena,
            workload: 0,
            worker: None,
            versions: vec![format!("LLVM {}", crate::codegen::llvm_version()), "1 thread".into()],
            isolation: Vec::new(),
        })
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
}

impl ReferenceProcess for NativeReference {
    fn select(&mut self, workload: usize) -> Result<(), ReferenceError> {
        self.arena = Arena::new(&buffer_specs(&self.problem, workload))?;
        self.workload = workload;
        self.worker = None;
        Ok(())
    }

    fn arena(&self) -> &Arena {
        &self.arena
    }

    fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arena
    }

    fn make_inputs(&mut self, _seed: Seed) -> Result<(), ReferenceError> {
        Err(self.native("an MLIR reference makes no inputs"))
    }

    /// Scalars are passed by value when the library is loaded, so that new inputs mean a new worker.
    fn take_inputs(&mut self) -> Result<(), ReferenceError> {
        if self.worker.is_some() && !self.builds.manifest.convention.passes_inputs_by_value() {
            return Ok(());
        }
        let build = self.builds.manifest.clean.clone();
        let worker =
            start_worker(&self.builds, &build, &self.problem, self.workload, &self.arena, native_limits());
        let worker = worker.map_err(|fault| self.failed(&fault))?;
        self.isolation = worker.isolation().to_vec();
        self.worker = Some(worker);
        Ok(())
    }

    fn call(&mut self, calls: u32, _store: bool) -> Result<Duration, ReferenceError> {
        match &mut self.worker {
            Some(worker) => worker.run(calls).map_err(|fault| self.failed(&fault)),
            None => Err(self.native("it was called before it had inputs")),
        }
    }

    fn versions(&self) -> &[String] {
        &self.versions
    }

    fn isolation(&self) -> &[&'static str] {
        &self.isolation
    }
}
