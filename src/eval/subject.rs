//! What is evaluated, and the processes it runs in: a build in a worker, or a Python file in a host.

use super::{
    Options,
    arguments::{start_worker, timed_limits},
    device::{Crew, Duty},
    failure::Stop,
    session::Session,
};
use crate::{
    builds::Builds,
    frontend::Source,
    measure::Timed,
    problem::Contents,
    reference::{self, Reference, host_buffers},
    store::{compiled_dir, digest},
    tensor::Seed,
    worker::{Entry, Fault, Limits, Printed, PythonSetup, PythonWorker, Tensors, Worker},
};
use kinstr_runtime::{
    arena::Arena,
    gpu::{Activity, CallTimes},
};
use std::{os::fd::BorrowedFd, time::Duration};

/// What is evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'b> {
    /// The builds of a compiled candidate.
    Built(&'b Builds),
    /// The candidate is in Python.
    Python,
}

/// Inputs that are in the arenas of the reference and of the candidate.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// Workload they are for.
    pub workload: usize,
    /// What they were made from.
    pub seed: Seed,
}

/// A process with the candidate in it.
#[derive(Debug)]
pub enum Running {
    /// Its clean build.
    Native(Box<Worker>),
    /// Its Python file.
    Python(Box<PythonWorker>),
}

impl Subject<'_> {
    /// A process with the candidate on the tensors of `arena`. Of a candidate in Python it may be one that a stage before
    /// left: importing PyTorch takes seconds.
    ///
    /// # Errors
    /// When it cannot be started, or the candidate cannot be loaded.
    pub fn start(
        self,
        session: &mut Session<'_>,
        reference: &mut Reference,
        inputs: Inputs,
        arena: &Arena,
        limits: Limits,
    ) -> Result<Running, Stop> {
        match self {
            Self::Built(builds) if session.site.ordinal().is_some() => {
                let worker =
                    session.hire(Duty::Clean, builds, &builds.manifest.clean, inputs.workload, arena)?;
                Crew::complete(session, builds);
                Ok(Running::Native(Box::new(worker)))
            }
            Self::Built(builds) => {
                let (clean, problem) = (&builds.manifest.clean, &session.problem);
                let worker = start_worker(builds, clean, problem, inputs.workload, arena, limits)?;
                Ok(Running::Native(Box::new(worker)))
            }
            Self::Python => {
                let known = session.python.take();
                // One may have ended when its launches were noted, which costs no verdict.
                let known = known.filter(|worker| worker.is_alive() && worker.shares(inputs.workload, arena));
                let mut worker = match known {
                    Some(worker) => worker,
                    None => spawn_for(session, Some((inputs.workload, arena)))?,
                };
                if !worker.is_started() {
                    start_python(session, &mut worker, inputs.workload, arena)?;
                }
                worker.select(inputs.workload)?;
                make(session, &mut worker, reference, inputs)?;
                Ok(Running::Python(worker))
            }
        }
    }

    /// Makes `running` take over new inputs; `false` if only a new process can.
    ///
    /// # Errors
    /// When the candidate fails.
    pub fn renew(
        self,
        running: &mut Running,
        session: &mut Session<'_>,
        reference: &mut Reference,
        inputs: Inputs,
    ) -> Result<bool, Stop> {
        match (self, running) {
            (_, Running::Python(worker)) => make(session, worker, reference, inputs).map(|()| true),
            // Scalars are passed by value when the library is loaded.
            (Self::Built(builds), _) => Ok(!builds.manifest.convention.passes_inputs_by_value()),
            (Self::Python, Running::Native(_)) => Ok(false),
        }
    }

    /// Threads it may run on.
    pub fn threads(self) -> u32 {
        match self {
            Self::Built(builds) => builds.manifest.threads,
            Self::Python => 1,
        }
    }
}

/// The function that a file in Python defines where the problem is no model.
const FUNCTION: &str = "run";

/// Begins a process for a candidate in Python, whose tensors will lie in `memory`, one a workload. Importing PyTorch takes seconds, in which
/// the problem can be looked at.
///
/// # Errors
/// When there is no Python, or no process can be started.
pub fn spawn_python(
    options: &Options,
    source: &Source,
    device: Option<u32>,
    memory: &[BorrowedFd<'_>],
) -> Result<PythonWorker, Stop> {
    // One process for both stages and all workloads: it lives as long as a timed one may, for each of these.
    let limits = timed_limits(options.timeout, options.memory, options.budget);
    let times = u32::try_from(memory.len()).unwrap_or(u32::MAX);
    let [cpu, wall] = [limits.cpu, limits.wall].map(|limit| limit.saturating_mul(times));
    let limits = Limits { cpu, wall, ..limits };
    let setup = PythonSetup {
        limits: device
            .map_or(limits, |ordinal| Limits { memory: limits.memory, ..limits.on_device(ordinal) }),
        command: reference::command("kinstr.candidate")?,
        memory,
        compiled: compiled_dir(&digest([source.text.as_bytes()])),
    };
    Ok(PythonWorker::spawn(setup)?)
}

/// The same for all workloads of a session, where the tensors of one are in hand.
fn spawn_for(session: &mut Session<'_>, in_hand: Option<(usize, &Arena)>) -> Result<Box<PythonWorker>, Stop> {
    session.make_others(in_hand.map(|(workload, _)| workload))?;
    let memory: Vec<_> = session.arenas_with(in_hand).iter().map(|arena| arena.fd()).collect();
    let ordinal = session.site.ordinal();
    Ok(Box::new(spawn_python(session.options, &session.source, ordinal, &memory)?))
}

/// Begins the process of a candidate in Python, if there is none: while it imports PyTorch, so may the reference's.
///
/// # Errors
/// As [`spawn_python`].
pub fn begin_python(session: &mut Session<'_>) -> Result<(), Stop> {
    if session.python.is_none() {
        session.python = Some(spawn_for(session, None)?);
    }
    Ok(())
}

/// Starts it, and loads the candidate.
fn start_python(
    session: &mut Session<'_>,
    worker: &mut PythonWorker,
    workload: usize,
    arena: &Arena,
) -> Result<(), Stop> {
    let problem = &session.problem;
    let is_argument = |input: &&crate::problem::Input| !matches!(input.contents, Contents::State);
    let tensors = problem.workloads.iter().zip(session.arenas_with(Some((workload, arena))));
    worker.start(&Tensors {
        buffers: tensors.map(|(workload, arena)| host_buffers(problem, workload, arena)).collect(),
        arguments: problem.inputs.iter().filter(is_argument).count(),
    })?;
    session.note_once(format!("the candidate runs on {}, 1 thread", worker.versions().join(", ")))?;
    let problem = &session.problem;
    let entry = match &session.source.solution {
        Some(solution) => Entry {
            file: solution.entry(),
            function: Some(solution.function()),
            folder: Some(&solution.folder),
            takes_destinations: solution.takes_destinations(),
        },
        None => Entry {
            file: session.source.path.clone(),
            function: (!problem.reference_makes_inputs()).then_some(FUNCTION),
            folder: None,
            takes_destinations: false,
        },
    };
    worker.load(&entry, problem.reference.path())?;
    let loaded = worker.loaded().clone();
    if let Some(line) = loaded.repeats_line {
        let place = format!("{}:{line}", session.source.path.display());
        session.note_once(format!("the function at {place} is the reference's `forward` word for word"))?;
    }
    if loaded.interpreted {
        session.note_once(
            "Triton kernels run in Triton's interpreter on the CPU, autotuned ones with their first configuration: it tells right from \
             wrong, and not fast from slow"
                .into(),
        )?;
    }
    Ok(())
}

fn make(
    session: &mut Session<'_>,
    worker: &mut PythonWorker,
    reference: &mut Reference,
    inputs: Inputs,
) -> Result<(), Stop> {
    let missing = worker.make(inputs.seed.number(), &reference.making()?)?;
    if !missing.is_empty() {
        session.note_once(format!(
            "`ModelNew` has no {} as the reference's model has: weights of its own are what it makes of the same seed",
            missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ))?;
    }
    Ok(())
}

impl Running {
    /// Calls the candidate once on the tensors of `arena`, whose outputs hold `poison` before.
    ///
    /// # Errors
    /// As [`Worker::run_on`].
    pub fn run_on(&mut self, arena: &mut Arena, poison: u8) -> Result<(), Fault> {
        match self {
            Self::Native(worker) => worker.run_on(arena, poison).map(drop),
            Self::Python(worker) => {
                arena.poison_outputs_with(poison);
                worker.put_outputs()?;
                worker.run(1)?;
                worker.fetch()
            }
        }
    }

    /// Takes over the inputs that are in the arena now.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn take(&mut self) -> Result<(), Fault> {
        match self {
            Self::Native(_) => Ok(()),
            Self::Python(worker) => worker.take(),
        }
    }

    /// Has the tensors that the next call finds for its outputs hold what those in the arena do, where they are others.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn put_outputs(&mut self) -> Result<(), Fault> {
        match self {
            Self::Native(_) => Ok(()),
            Self::Python(worker) => worker.put_outputs(),
        }
    }

    /// Brings the outputs of the last call to the arena, and the inputs as it left them, where they are not there.
    ///
    /// # Errors
    /// When the outputs are not what the problem says.
    pub fn fetch(&mut self) -> Result<(), Fault> {
        match self {
            Self::Native(worker) if worker.device().is_some() => worker.download(),
            Self::Native(_) => Ok(()),
            Self::Python(worker) => worker.fetch(),
        }
    }

    /// As [`Worker::run_renewed`].
    ///
    /// # Errors
    /// As [`Worker::run_renewed`].
    pub fn run_renewed(&mut self, calls: u32, call: bool, rotate: &[usize]) -> Result<Duration, Fault> {
        match self {
            Self::Native(worker) => worker.run_renewed(calls, call, rotate),
            Self::Python(worker) => worker.run_renewed(calls, call, rotate),
        }
    }

    /// Times calls on a device; see [`Worker::time_calls`]. Without `rotate`, contents stay as they are.
    ///
    /// # Errors
    /// As [`Worker::time_calls`].
    pub fn time_calls(
        &mut self,
        calls: u32,
        call: bool,
        rotate: &[usize],
    ) -> Result<(CallTimes, Duration), Fault> {
        match self {
            Self::Native(worker) => worker.time_calls(calls, call, rotate),
            Self::Python(worker) => worker.time_calls(calls, call, !rotate.is_empty()),
        }
    }

    /// What `calls` calls ask of a device; `None` where nobody sees it.
    ///
    /// # Errors
    /// As [`Worker::trace`].
    pub fn trace(&mut self, calls: u32) -> Result<Option<Activity>, Fault> {
        match self {
            Self::Native(worker) => worker.trace(calls).map(Some),
            Self::Python(_) => Ok(None),
        }
    }

    /// Standard output and standard error, by their names.
    pub fn printed(&self) -> [(&'static str, &Printed); 2] {
        let (output, error) = match self {
            Self::Native(worker) => (worker.stdout(), worker.stderr()),
            Self::Python(worker) => (worker.stdout(), worker.stderr()),
        };
        [("standard output", output), ("standard error", error)]
    }

    /// Names of the confining measures that this machine did not let us apply.
    pub fn isolation(&self) -> &[&'static str] {
        match self {
            Self::Native(worker) => worker.isolation(),
            Self::Python(worker) => worker.isolation(),
        }
    }

    /// Id of its process.
    pub fn id(&self) -> u32 {
        match self {
            Self::Native(worker) => worker.id(),
            Self::Python(worker) => worker.id(),
        }
    }

    /// Threads of its process that only wait while the candidate's run.
    pub fn waiting_threads(&self) -> u64 {
        match self {
            Self::Native(_) => 1,
            Self::Python(_) => 0,
        }
    }
}

impl Timed for Running {
    fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        match self {
            Self::Native(worker) => worker.run(calls),
            Self::Python(worker) => worker.run(calls),
        }
    }
}
