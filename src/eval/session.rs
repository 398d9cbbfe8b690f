//! One evaluation's state: options, event log, and who watches.

use super::{
    EvalError, Options,
    arguments::{limits, put_inputs},
    destination::{Destination, Site},
    device::{Crew, StandIn},
    failure::{StageFailure, Stop},
    reference::Living,
    room,
    subject::spawn_python,
};
use crate::{
    builds::Probes,
    frontend::{Language, Source, triton::launches::Noted},
    jobs::{
        event::{Event, Failure, Stage},
        fold::current,
        log::Log,
    },
    problem::Problem,
    reference::{Reference, ReferenceError, buffer_specs},
    store::{build_identity, digest},
    tensor::Seed,
    worker::{Limits, PythonWorker},
};
use kinstr_runtime::{
    arena::{Arena, ArenaError},
    shared::Memory,
};
use kinstr_trace::report::{Fault, LayerStatus, Provenance};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

/// Attempts at a stage before an infrastructure fault ends the evaluation.
const ATTEMPTS: u32 = 3;
/// Pause after the first failed attempt; doubled after each further one.
const BACKOFF: Duration = Duration::from_millis(200);

/// Who is told as it happens.
pub trait Observer {
    /// A stage began.
    fn began(&mut self, stage: Stage, attempt: u32);
    /// Something worth a line of progress.
    fn progress(&mut self, text: &str);
}

/// State of one evaluation.
pub struct Session<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// Where it runs.
    pub site: Site,
    /// What is inserted.
    pub probes: Probes,
    /// The problem.
    pub problem: Problem,
    /// The candidate.
    pub source: Source,
    /// Events, on disk.
    pub log: Log,
    /// Candidate's tensors by workload, kept from stage to stage.
    pub arenas: Vec<Option<Arena>>,
    /// The same before there are inputs, where processes have them already.
    pub blank: Vec<Option<Arena>>,
    /// What a candidate in Python launched in a call, by workload, until it is looked into.
    pub noted: Vec<Option<Result<Noted, LayerStatus>>>,
    /// What is replaced while launches are repeated.
    pub replaced: Option<StandIn>,
    /// The processes of a candidate on a GPU, from stage to stage.
    pub crew: Crew,
    /// A reference that is not needed any more, and ends.
    pub leaving: Living,
    /// Digests of the outputs that the clean build left on them, by workload, as far as they are known.
    pub clean_outputs: Vec<Option<blake3::Hash>>,
    /// The process of a candidate in Python, from stage to stage.
    pub python: Option<Box<PythonWorker>>,
    /// Digest of the candidate's text.
    candidate: String,
    observer: &'a mut dyn Observer,
}

impl<'a> Session<'a> {
    /// Reads problem and candidate, and opens the log.
    pub fn begin(options: &'a Options, observer: &'a mut dyn Observer) -> Result<Self, EvalError> {
        let (site, opened) = std::thread::scope(|scope| {
            // Looking for a device loads its driver.
            let site = scope.spawn(|| Site::find(&options.target));
            let opened = Opened::of(options);
            (site.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), opened)
        });
        let site = site?;
        let probes = site.probes();
        let Opened { mut source, problem, early } = opened?;
        if let Some(solution) = &source.solution {
            solution.solves(&problem.name, &source.path)?;
        }
        source.entry_is_named_after(&problem.name);
        room::check(&problem)?;
        let digests = digests(&problem, &source);
        let candidate = digest([source.text.as_bytes()]);
        let limits = (options.timeout, options.memory);
        let identity = format!(
            "{digests:?} {:?} {:?} {} {:?} {:?} {limits:?} {:?} {}",
            probes,
            options.budget,
            options.half_width,
            options.seeds,
            options.overhead,
            options.timeline_keep,
            options.compiled
        );
        let whole = digest([identity.as_bytes(), build_identity().as_bytes(), site.identity().as_bytes()]);
        let mut log = Log::open(&options.dir, &whole)?;
        if log.events().is_empty() {
            log.push(Event::Began {
                digest: whole,
                candidate: source.path.display().to_string(),
                problem: problem.name.clone(),
                target: options.target.clone(),
                provenance: provenance(digests, site.identity()),
            })?;
        }
        if let Some(aside) = log.set_aside().map(|path| path.display().to_string()) {
            let text = format!("the event log in this place could not be read; it is kept as {aside}");
            log.push(Event::Note { text })?;
        }
        let [mut arenas, blank] =
            [(); 2].map(|()| problem.workloads.iter().map(|_| None).collect::<Vec<_>>());
        let clean_outputs = vec![None; problem.workloads.len()];
        let noted = problem.workloads.iter().map(|_| None).collect();
        let mut python = None;
        if let (Some(early), Some(place)) = (early, arenas.first_mut()) {
            let Early { worker, memory } = early;
            *place = Some(
                Arena::of(memory, &buffer_specs(&problem, 0))
                    .map_err(ReferenceError::from)
                    .map_err(Box::new)?,
            );
            python = Some(worker);
        }
        Ok(Self {
            options,
            site,
            probes,
            problem,
            source,
            log,
            arenas,
            blank,
            noted,
            replaced: None,
            crew: Crew::default(),
            leaving: Living::default(),
            clean_outputs,
            python,
            candidate,
            observer,
        })
    }

    /// Tensors of `workload`, whatever they hold: those that a process has which was started early, or new ones.
    pub fn any_arena(&mut self, workload: usize) -> Result<Arena, Stop> {
        match self.arenas[workload].take() {
            Some(arena) => Ok(arena),
            None => self.new_arena(workload),
        }
    }

    /// The tensors of `workload` with the inputs of its first seed, or of a later one that a stage before left there.
    /// Give them back through [`Session::arenas`].
    pub fn take_arena(&mut self, reference: &mut Reference, workload: usize) -> Result<Arena, Stop> {
        if let Some(arena) = self.arenas[workload].take() {
            return Ok(arena);
        }
        if let Some(arena) = self.replayed_arena(workload)? {
            return Ok(arena);
        }
        let seed = self.seed(workload, 0);
        self.fill_arena(reference, workload, seed)
    }

    /// The tensors of `workload` with the inputs of `seed`, in the reference's arena as well.
    pub fn fill_arena(
        &mut self,
        reference: &mut Reference,
        workload: usize,
        seed: Seed,
    ) -> Result<Arena, Stop> {
        reference.select(workload)?;
        reference.prepare(seed)?;
        let mut arena = self.any_arena(workload)?;
        put_inputs(&mut arena, &reference.inputs());
        self.clean_outputs[workload] = None;
        Ok(arena)
    }

    /// Tensors of `workload` without inputs.
    pub fn new_arena(&mut self, workload: usize) -> Result<Arena, Stop> {
        match self.blank[workload].take() {
            Some(arena) => Ok(arena),
            None => Ok(Arena::new(&buffer_specs(&self.problem, workload))?),
        }
    }

    /// Makes tensors of all workloads but `workload`, where there are none yet.
    pub fn make_others(&mut self, workload: Option<usize>) -> Result<(), Stop> {
        for other in (0..self.problem.workloads.len()).filter(|other| Some(*other) != workload) {
            if self.arenas[other].is_none() && self.blank[other].is_none() {
                self.blank[other] = Some(Arena::new(&buffer_specs(&self.problem, other))?);
            }
        }
        Ok(())
    }

    /// The tensors of all workloads, where those of one are in hand.
    pub fn arenas_with<'s>(&'s self, in_hand: Option<(usize, &'s Arena)>) -> Vec<&'s Arena> {
        let kept = |workload: usize| self.arenas[workload].as_ref().or(self.blank[workload].as_ref());
        let one = |workload| match in_hand {
            Some((known, arena)) if known == workload => Some(arena),
            _ => kept(workload),
        };
        (0..self.problem.workloads.len()).filter_map(one).collect()
    }

    /// The seeds that `workload` is checked with. All but the first depend on the candidate too, so that nobody who
    /// writes one has seen their inputs.
    pub fn seeds(&self, workload: usize) -> Vec<Seed> {
        (0..self.options.seeds).map(|ordinal| self.seed(workload, ordinal)).collect()
    }

    /// A seed that the candidate is not checked with.
    pub fn timing_seed(&self, workload: usize) -> Seed {
        self.seed(workload, self.options.seeds)
    }

    /// Seeds that the candidate is neither checked nor timed with.
    pub fn other_seeds(&self, workload: usize, count: u32) -> Vec<Seed> {
        let first = self.options.seeds + 1;
        (first..first + count).map(|ordinal| self.seed(workload, ordinal)).collect()
    }

    fn seed(&self, workload: usize, ordinal: u32) -> Seed {
        let workload = &self.problem.workloads[workload];
        match ordinal {
            0 => self.problem.seed(workload, 0, ""),
            ordinal => self.problem.seed(workload, ordinal, &self.candidate),
        }
    }

    /// Limits of a process that runs the candidate.
    pub fn limits(&self) -> Limits {
        let limits = limits(self.options.timeout, self.options.memory);
        self.site.ordinal().map_or(limits, |ordinal| limits.on_device(ordinal))
    }

    /// Tells whoever watches.
    pub fn progress(&mut self, text: &str) {
        self.observer.progress(text);
    }

    /// Appends an event.
    pub fn push(&mut self, event: Event) -> Result<(), EvalError> {
        Ok(self.log.push(event)?)
    }

    /// Appends a note, unless an earlier run did, or a stage that is not tried again.
    pub fn note_once(&mut self, text: String) -> Result<(), EvalError> {
        let note = Event::Note { text };
        if current(self.log.events()).contains(&&note) { Ok(()) } else { self.push(note) }
    }

    /// Measured time of one call of the candidate's clean build, in ns.
    pub fn clean_ns(&self, workload: usize) -> Option<f64> {
        let median = self.log.events().iter().rev().find_map(|event| match event {
            Event::Measured { workload: known, times, .. } if *known == workload => {
                Some(times.candidate.median_ns)
            }
            _ => None,
        });
        median.filter(|ns| ns.is_finite() && *ns > 0.0)
    }

    /// Whether repeats of `workload` gave other bits.
    pub fn is_unsteady(&self, workload: usize) -> bool {
        current(self.log.events()).iter().any(|event| {
            matches!(event, Event::Checked { workload: known, correctness }
                if *known == workload && correctness.deterministic == Some(false))
        })
    }

    /// True if the verdict is known.
    pub fn is_judged(&self) -> bool {
        self.log.events().iter().any(|event| matches!(event, Event::Judged { .. }))
    }

    /// How the last attempt at a stage failed, if it did.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.log.events().iter().rev().find_map(|event| match event {
            Event::StageEnded { failure, .. } => Some(failure.as_ref()),
            _ => None,
        })?
    }

    /// Attempts at `stage` so far, those of earlier runs included.
    fn attempts(&self, stage: Stage) -> u32 {
        let is_attempt =
            |event: &&Event| matches!(event, Event::StageBegan { stage: known, .. } if *known == stage);
        u32::try_from(self.log.events().iter().filter(is_attempt).count()).unwrap_or(u32::MAX)
    }

    /// True if an earlier run finished `stage`.
    pub fn is_done(&self, stage: Stage) -> bool {
        self.log.events().iter().any(
            |event| matches!(event, Event::StageEnded { stage: known, failure: None, .. } if *known == stage),
        )
    }

    /// Runs a stage whose results are events alone; does nothing if it is done.
    pub fn stage(
        &mut self,
        stage: Stage,
        body: impl FnMut(&mut Self) -> Result<Done, Stop>,
    ) -> Result<(), Ended> {
        if self.is_done(stage) { Ok(()) } else { self.attempt(stage, body).map(|_| ()) }
    }

    /// Runs a stage, retrying infrastructure faults, and keeps every attempt.
    pub fn attempt<T>(
        &mut self,
        stage: Stage,
        mut body: impl FnMut(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Ended>
    where
        T: StageResult,
    {
        let mut pause = BACKOFF;
        let earlier = self.attempts(stage);
        for attempt in earlier + 1.. {
            self.observer.began(stage, attempt);
            self.push(Event::StageBegan { stage, attempt })?;
            let begin = Instant::now();
            let result = body(self);
            let wall_ms = begin.elapsed().as_secs_f64() * 1e3;
            let mut ended =
                Event::StageEnded { stage, attempt, wall_ms, digest: None, reused: false, failure: None };
            let failed = match result {
                Ok(done) => {
                    if let Event::StageEnded { digest, reused, .. } = &mut ended {
                        (*digest, *reused) = done.artifact();
                    }
                    self.push(ended)?;
                    return Ok(done);
                }
                Err(Stop::Fatal(error)) => {
                    if let Event::StageEnded { failure, .. } = &mut ended {
                        *failure = Some(fatal(&error));
                    }
                    // What is fatal may be that the log cannot be written; the first error is the one to tell.
                    let _ = self.push(ended);
                    return Err(Ended::Fatal(error));
                }
                Err(Stop::Failed(failed)) => Box::new((*failed).shown_in(&self.source)),
            };
            if let Event::StageEnded { failure, .. } = &mut ended {
                *failure = Some(failed.failure.clone());
            }
            self.push(ended)?;
            // Tensors may be lost that its processes have.
            self.crew = Crew::default();
            if failed.failure.fault != Fault::Infrastructure || attempt >= earlier + ATTEMPTS {
                return Err(Ended::Failed(failed));
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        unreachable!("the loop above ends by returning")
    }
}

/// How an attempt ended that nothing can be reported on. Nobody but the candidate has to answer for a verdict.
fn fatal(error: &EvalError) -> Failure {
    Failure { fault: Fault::Infrastructure, kind: "fatal".into(), message: error.to_string(), hint: None }
}

/// A stage that left nothing but events.
pub struct Done;

/// What an ended stage tells of its artifact: digest, and whether it was there already.
pub trait StageResult {
    /// Both.
    fn artifact(&self) -> (Option<String>, bool) {
        (None, false)
    }
}

impl StageResult for Done {}

impl StageResult for crate::builds::Builds {
    fn artifact(&self) -> (Option<String>, bool) {
        (Some(self.digest.clone()), self.reused)
    }
}

/// Why no further stage is run.
pub enum Ended {
    /// A stage failed; the report says so.
    Failed(Box<StageFailure>),
    /// There is nothing to report on.
    Fatal(EvalError),
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(failed) => Self::Failed(failed),
            Stop::Fatal(error) => Self::Fatal(error),
        }
    }
}

impl From<EvalError> for Ended {
    fn from(error: EvalError) -> Self {
        Self::Fatal(error)
    }
}

/// Candidate and problem, read.
struct Opened {
    source: Source,
    problem: Problem,
    early: Option<Early>,
}

impl Opened {
    fn of(options: &Options) -> Result<Self, EvalError> {
        let device = Destination::parse(&options.target).and_then(Destination::ordinal);
        let source = Source::read(&options.candidate)?;
        // Its process and the reference's, which describes the problem, import PyTorch at the same time.
        let early = (source.language == Language::Python && is_python(&options.problem))
            .then(|| Early::spawn(options, &source, device));
        let problem = Problem::load_for(&options.problem, device).map_err(Box::new)?;
        Ok(Self { source, problem, early: early.transpose()? })
    }
}

/// A process for a candidate in Python that was started before its problem was known, and the memory for its tensors.
struct Early {
    worker: Box<PythonWorker>,
    memory: OwnedFd,
}

impl Early {
    fn spawn(options: &Options, source: &Source, device: Option<u32>) -> Result<Self, EvalError> {
        let reserved = Memory::reserve().map_err(|source| ArenaError::Memory { bytes: 0, source });
        let memory = reserved.map_err(ReferenceError::from).map_err(Box::new)?;
        match spawn_python(options, source, device, &[memory.as_fd()]) {
            Ok(worker) => Ok(Self { worker: Box::new(worker), memory }),
            Err(Stop::Fatal(error)) => Err(error),
            Err(Stop::Failed(failed)) => Err(EvalError::Stage(failed)),
        }
    }
}

/// Whether a problem is a KernelBench file, which has one workload.
fn is_python(problem: &Path) -> bool {
    problem.extension().is_some_and(|ending| ending == "py")
}

fn digests(problem: &Problem, source: &Source) -> BTreeMap<String, String> {
    let candidate = digest([source.path.to_string_lossy().as_bytes(), source.text.as_bytes()]);
    let problem = problem.digest.to_hex()[..32].to_owned();
    BTreeMap::from([("candidate".to_owned(), candidate), ("problem".to_owned(), problem)])
}

fn provenance(digests: BTreeMap<String, String>, device: String) -> Provenance {
    Provenance {
        kinstr: env!("CARGO_PKG_VERSION").into(),
        llvm: crate::codegen::llvm_version(),
        device,
        measured_at: Some(crate::measure::today()),
        digests,
        versions: BTreeMap::new(),
    }
}
