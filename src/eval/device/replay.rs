//! The Triton kernels of a candidate in Python, seen from within: what one call launches is noted, the kernels are built with probes in them,
//! and host code of kinstr's launches them again as the call did, in the place of a compiled candidate.
//!
//! What PyTorch's own operations do in between is not done again. What they leave for kernels is there all the same: a kernel finds
//! in memory what it found when the call launched it for the first time.

use super::{
    super::{
        EvalError,
        arguments::{digest_of, outputs, put_inputs},
        failure::Stop,
        reference::Living,
        room,
        session::{Done, Ended, Session},
        stages::explain,
        subject::{Inputs, Running, Subject},
    },
    crew::{Crew, Duty},
    look_inside,
    measure::{MANY_LAUNCHES, TRACED},
};
use crate::{
    builds::{self, BuildError, Builds},
    correctness::POISON,
    frontend::{
        Language, Source,
        triton::{
            TritonError,
            launches::{Before, Buffers, Noted, Replay},
        },
    },
    jobs::event::{BuildKind, Event, Stage},
    problem::{Axis, AxisSize, Contents, Extent, Input, Output, Problem, Workload},
    tensor::DType,
    worker::{Fault, PythonWorker, fault::CandidateFault},
};
use kinstr_runtime::{arena::Arena, gpu::Activity};
use kinstr_trace::report::{Fault as Blame, LayerStatus};
use std::{collections::BTreeSet, sync::Arc};

/// The layers that rest on it.
const LAYERS: [&str; 2] = ["kernel-counters", "intra-kernel"];
/// Operations of PyTorch's that a note names.
const NAMED: usize = 4;
/// Launches of all workloads together: compiling the code for them takes half a second a hundred.
const MOST_LAUNCHES: usize = 4096;

/// Looks into the kernels, as far as they can be launched again. Problem and candidate are as before when it ends.
pub fn run(session: &mut Session<'_>, living: &mut Living) -> Result<(), Ended> {
    let stages = [Stage::Build, Stage::Replay, Stage::Counters, Stage::Observe, Stage::Probes];
    if stages.into_iter().all(|stage| session.is_done(stage)) {
        return Ok(());
    }
    let mut found = None;
    let mut prepare_all = |session: &mut Session<'_>| {
        found = Some(prepare(session, living)?);
        Ok(Done)
    };
    let failed = if session.is_done(Stage::Build) {
        // What an earlier run built is in the store, but what is in memory is not.
        prepare_all(session).err().map(Ended::from)
    } else {
        session.stage(Stage::Build, prepare_all).err()
    };
    let (stand_in, builds) = match (found, failed) {
        (Some(Ok(found)), None) => found,
        (Some(Err(status)), None) => return say(session, &status),
        (_, Some(ended)) => return say(session, &LayerStatus::Failed(why(ended)?)),
        (None, None) => return Ok(()),
    };
    session.replay(stand_in);
    let looked = look(session, living, &builds);
    session.end_replay();
    looked
}

fn say(session: &mut Session<'_>, status: &LayerStatus) -> Result<(), Ended> {
    for name in LAYERS {
        session.push(Event::Layer { name: name.into(), status: status.clone() })?;
    }
    Ok(())
}

/// Why nothing can be looked into, where that costs no more than the layers.
fn why(ended: Ended) -> Result<String, Ended> {
    match ended {
        Ended::Failed(failed) => Ok(failed.failure.message),
        Ended::Fatal(error @ (EvalError::Reference(_) | EvalError::NativeReference(_))) => {
            Ok(error.to_string())
        }
        fatal => Err(fatal),
    }
}

fn look(session: &mut Session<'_>, living: &mut Living, builds: &Builds) -> Result<(), Ended> {
    explain(session, Stage::Replay, "kernel-counters", |session| {
        Crew::gather(session, builds)?;
        launch_again(session, builds)
    })?;
    look_inside(session, builds, living)
}

/// What takes the place of problem and candidate while kernels are launched again; afterwards, what was in that place.
#[derive(Debug)]
pub struct StandIn {
    problem: Problem,
    source: Source,
    arenas: Vec<Option<Arena>>,
    clean_outputs: Vec<Option<blake3::Hash>>,
    tensors: Vec<Tensors>,
}

/// The contents of a workload's tensors.
#[derive(Debug)]
struct Tensors {
    /// What calls read, after the workload's number.
    inputs: Vec<Held>,
    /// The problem's outputs that calls write to: number of the output here, and of the buffer there.
    outputs: Vec<(usize, usize)>,
}

/// What a tensor holds.
#[derive(Debug)]
enum Held {
    /// What the problem's buffer of that number does.
    Buffer(usize),
    Bytes(Arc<Vec<u8>>),
}

impl Session<'_> {
    /// Puts other things in the place of problem, candidate and tensors, until [`Session::end_replay`].
    fn replay(&mut self, mut other: StandIn) {
        self.swap(&mut other);
        self.replaced = Some(other);
    }

    fn end_replay(&mut self) {
        if let Some(mut before) = self.replaced.take() {
            self.swap(&mut before);
        }
    }

    fn swap(&mut self, other: &mut StandIn) {
        self.crew = Crew::default();
        self.blank = other.arenas.iter().map(|_| None).collect();
        std::mem::swap(&mut self.problem, &mut other.problem);
        std::mem::swap(&mut self.source, &mut other.source);
        std::mem::swap(&mut self.arenas, &mut other.arenas);
        std::mem::swap(&mut self.clean_outputs, &mut other.clean_outputs);
    }

    /// New tensors of a workload, if launches are repeated now.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn replayed_arena(&mut self, workload: usize) -> Result<Option<Arena>, Stop> {
        if self.replaced.is_none() {
            return Ok(None);
        }
        let mut arena = self.new_arena(workload)?;
        let number = (workload as u64).to_le_bytes();
        let Some(before) = &self.replaced else { return Ok(None) };
        let held = before.tensors[workload].inputs.iter().map(|held| match held {
            Held::Buffer(index) => {
                before.arenas[workload].as_ref().map_or(&[][..], |arena| arena.bytes(*index))
            }
            Held::Bytes(bytes) => bytes,
        });
        put_inputs(&mut arena, &std::iter::once(&number[..]).chain(held).collect::<Vec<_>>());
        Ok(Some(arena))
    }
}

/// What one call launches, told by a process that has made it.
///
/// # Errors
/// What becomes of the layers that rest on it.
pub fn note(worker: &mut PythonWorker) -> Result<Noted, LayerStatus> {
    let folder = worker.launches().map_err(|fault| match fault {
        Fault::Candidate(CandidateFault::Python(objection)) if objection.kind == "not-replayed" => {
            LayerStatus::Unavailable(format!("the candidate {objection}"))
        }
        fault => {
            let subject = if fault.blame() == Blame::Candidate { "the candidate " } else { "" };
            LayerStatus::Failed(format!("its launches could not be noted: {subject}{fault}"))
        }
    })?;
    let noted = Noted::read(&folder).map_err(|error| LayerStatus::Failed(error.to_string()))?;
    match noted.launches() {
        0 => Err(LayerStatus::Unavailable("no launch of a Triton kernel was seen".into())),
        _ => Ok(noted),
    }
}

/// The launches of every workload, and builds of their kernels. The inner error is what becomes of the layers that rest on them.
fn prepare(
    session: &mut Session<'_>,
    living: &mut Living,
) -> Result<Result<(StandIn, Builds), LayerStatus>, Stop> {
    let mut noted = Vec::new();
    for workload in 0..session.problem.workloads.len() {
        match noted_of(session, living, workload)? {
            Ok(launches) => noted.push(launches),
            Err(status) => return Ok(Err(status)),
        }
    }
    let launches: usize = noted.iter().map(Noted::launches).sum();
    if launches > MOST_LAUNCHES {
        let why = format!(
            "the calls of all workloads launch {launches} kernels, and {MOST_LAUNCHES} can be repeated"
        );
        return Ok(Err(LayerStatus::Unavailable(why)));
    }
    let inputs = u32::try_from(session.problem.inputs.len()).unwrap_or(u32::MAX);
    let (replay, buffers) = Replay::of(&noted, inputs);
    let problem = problem_of(session, &replay, &buffers);
    if let Err(error) = room::check(&problem) {
        return Ok(Err(LayerStatus::Unavailable(format!("launches cannot be repeated: {error}"))));
    }
    let tensors =
        buffers.iter().enumerate().map(|(workload, buffers)| tensors_of(session, &replay, workload, buffers));
    let tensors: Vec<Tensors> = tensors.collect::<Result<_, TritonError>>().map_err(BuildError::from)?;
    session.progress("building");
    let source = source_of(session, &replay)?;
    let target = session.site.target.clone();
    let builds = builds::build(&source, &session.probes, &session.options.store, &target)?;
    tell(session, &noted, &replay, &builds)?;
    let (arenas, clean_outputs) = (tensors.iter().map(|_| None).collect(), vec![None; tensors.len()]);
    Ok(Ok((StandIn { problem, source, arenas, clean_outputs, tensors }, builds)))
}

/// What was noted when the workload was timed; in a run that goes on after another one, of one more call.
fn noted_of(
    session: &mut Session<'_>,
    living: &mut Living,
    workload: usize,
) -> Result<Result<Noted, LayerStatus>, Stop> {
    if let Some(noted) = session.noted[workload].take() {
        return Ok(noted);
    }
    session.progress(&format!("noting launches of {}", session.problem.workloads[workload].name.clone()));
    let reference = living.get(session)?;
    let inputs = Inputs { workload, seed: session.timing_seed(workload) };
    let mut arena = session.fill_arena(reference, workload, inputs.seed)?;
    let limits = session.limits();
    let mut running = Subject::Python.start(session, reference, inputs, &arena, limits)?;
    running.run_on(&mut arena, POISON)?;
    session.arenas[workload] = Some(arena);
    let Running::Python(mut worker) = running else {
        return Ok(Err(LayerStatus::Unavailable("the candidate is not in Python".into())));
    };
    let noted = note(&mut worker);
    session.python = Some(worker);
    Ok(noted)
}

/// What the tensors of a workload hold.
fn tensors_of(
    session: &Session<'_>,
    replay: &Replay,
    workload: usize,
    buffers: &Buffers<'_>,
) -> Result<Tensors, TritonError> {
    let arena = session.arenas[workload].as_ref();
    let is_buffer = |index: usize, bytes: u64| {
        arena.is_some_and(|arena| {
            index < arena.layout().buffers.len() && arena.bytes(index).len() as u64 == bytes
        })
    };
    let mut inputs = Vec::new();
    for (bytes, before) in &buffers.inputs {
        inputs.push(match before {
            Before::Bytes(held) if held.len() as u64 == *bytes => Held::Bytes(Arc::clone(held)),
            Before::Input(input) if is_buffer(*input as usize, *bytes) => Held::Buffer(*input as usize),
            _ => return Err(TritonError::Launches("memory is not as large as it was said to be".into())),
        });
    }
    // Other workloads may have more.
    inputs.resize_with(replay.inputs, || Held::Bytes(Arc::new(vec![0; UNUSED as usize])));
    let outputs = buffers.outputs.iter().enumerate().filter_map(|(index, (bytes, output))| {
        let buffer = session.problem.inputs.len() + (*output)? as usize;
        is_buffer(buffer, *bytes).then_some((index, buffer))
    });
    Ok(Tensors { inputs, outputs: outputs.collect() })
}

/// Bytes of a buffer that a workload has no use for.
const UNUSED: u64 = 1;

/// The replay as a candidate: its text is what is to be built, its path is where the kernels stand.
fn source_of(session: &Session<'_>, replay: &Replay) -> Result<Source, Stop> {
    let text = serde_json::to_string(replay)
        .map_err(|error| BuildError::from(TritonError::Launches(error.to_string())))?;
    let path = session
        .source
        .solution
        .as_ref()
        .map_or_else(|| session.source.path.clone(), |solution| solution.entry());
    Ok(Source::new(&path, text, Language::Launches).map_err(BuildError::from)?)
}

/// The replay's buffers as those of a problem, in bytes.
fn problem_of(session: &Session<'_>, replay: &Replay, buffers: &[Buffers<'_>]) -> Problem {
    let name = |kind: &str, index: usize| format!("{kind}{index}");
    let axis = |name: String| Axis { name, size: AxisSize::Var };
    let reads = || (0..replay.inputs).map(|index| name("read", index));
    let writes = || (0..replay.outputs).map(|index| name("written", index));
    let number = Input {
        name: "workload".into(),
        dtype: DType::I64,
        shape: Vec::new(),
        contents: Contents::Reference,
    };
    let input = |name: String| Input {
        shape: vec![Extent::Axis(name.clone())],
        name,
        dtype: DType::U8,
        contents: Contents::Reference,
    };
    let output = |name: String| Output { shape: vec![Extent::Axis(name.clone())], name, dtype: DType::U8 };
    let sized = |(workload, buffers): (&Workload, &Buffers<'_>)| {
        let padded = |bytes: Vec<u64>| bytes.into_iter().chain(std::iter::repeat(UNUSED));
        let read = padded(buffers.inputs.iter().map(|(bytes, _)| *bytes).collect());
        let written = padded(buffers.outputs.iter().map(|(bytes, _)| *bytes).collect());
        let axes = reads().zip(read).chain(writes().zip(written));
        Workload { name: workload.name.clone(), axes: axes.collect() }
    };
    Problem {
        axes: reads().chain(writes()).map(axis).collect(),
        inputs: std::iter::once(number).chain(reads().map(input)).collect(),
        outputs: writes().map(output).collect(),
        workloads: session.problem.workloads.iter().zip(buffers).map(sized).collect(),
        ..session.problem.clone()
    }
}

fn counted(count: usize, what: &str) -> String {
    match (count, what.ends_with('h')) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{count} {what}es"),
        (_, false) => format!("{count} {what}s"),
    }
}

/// Says what is looked into, and what is not.
fn tell(session: &mut Session<'_>, noted: &[Noted], replay: &Replay, builds: &Builds) -> Result<(), Stop> {
    let resources = builds.manifest.clean.kernels.clone();
    session.push(Event::Kernels { build: BuildKind::Clean, resources })?;
    let kernels = counted(replay.kernels.len(), "kernel");
    let mut launches: Vec<usize> = noted.iter().map(Noted::launches).collect();
    launches.dedup();
    let launches: Vec<String> = launches.into_iter().map(|count| counted(count, "launch")).collect();
    session.note_once(format!(
        "probes see what Triton made alone, {kernels}: kinstr repeats what a call launches, with the same arguments ({})",
        launches.join(", ")
    ))?;
    if replay.calls.iter().any(|call| !call.copies.is_empty()) {
        session.note_once(
            "tensors that kernels change in place are set back before each repetition: both times of the certificate have that in them".into(),
        )?;
    }
    let names: BTreeSet<&String> = noted.iter().flat_map(|noted| noted.others().keys()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named: Vec<&str> = names.into_iter().take(NAMED).map(String::as_str).collect();
    Ok(session.note_once(format!(
        "a call has PyTorch do work on the GPU too, which no probe is in: {}{more}",
        named.join(", ")
    ))?)
}

/// Time of calls before one that is taken down, in ns, and how many there are at most.
const WARMING_NS: f64 = 20e6;
const MOST_CALLS: f64 = 100.0;

fn warming(clean_ns: Option<f64>) -> u32 {
    clean_ns.map_or(1.0, |ns| (WARMING_NS / ns).clamp(1.0, MOST_CALLS)) as u32
}

/// Repeats the launches without probes: how long each takes, and whether they leave what the candidate's own did.
fn launch_again(session: &mut Session<'_>, builds: &Builds) -> Result<Done, Stop> {
    for workload in 0..session.problem.workloads.len() {
        let Some(mut arena) = session.replayed_arena(workload)? else { return Ok(Done) };
        let mut worker = session.hire(Duty::Clean, builds, &builds.manifest.clean, workload, &arena)?;
        Crew::complete(session, builds);
        worker.run_on(&mut arena, POISON)?;
        let left = outputs(&arena, &session.problem);
        session.clean_outputs[workload] = Some(digest_of(&left));
        let differ = session.replaced.as_ref().is_some_and(|before| before.differs(workload, &left));
        // The clock of a device that did nothing is not the one that the candidate was timed with.
        worker.time_calls(warming(session.clean_ns(workload)), true, &[])?;
        let first = worker.trace(1)?;
        let activity = match first.launches.len() > MANY_LAUNCHES as usize {
            true => first,
            false => worker.trace(TRACED)?,
        };
        session.crew.give_back(Duty::Clean, worker);
        session.arenas[workload] = Some(arena);
        let compared =
            session.replaced.as_ref().is_some_and(|before| !before.tensors[workload].outputs.is_empty());
        if !compared {
            let name = &session.problem.workloads[workload].name;
            let text = format!(
                "{name}: no kernel of Triton's writes an output of the problem as a whole, so that repeated launches are compared with nothing of the \
                 candidate's"
            );
            session.push(Event::Note { text })?;
        }
        if differ && !session.is_unsteady(workload) {
            let name = &session.problem.workloads[workload].name;
            let text = format!(
                "{name}: the launches, repeated, left other outputs than the candidate: something else has a part in what kernels \
                 compute, and what probes say may not be of the same work"
            );
            session.push(Event::Note { text })?;
        }
        note_share(session, workload, &activity)?;
        // The host is kinstr's, and says nothing of the candidate's.
        let activity = Activity { host_calls: Vec::new(), host_calls_lost: 0, ..activity };
        session.push(Event::Launched { workload, build: BuildKind::Clean, activity })?;
    }
    Ok(Done)
}

/// Kernels below this part of a call's time leave something else to explain.
const MOST_OF_IT: f64 = 0.8;

/// Says what of a call's time the kernels are not.
fn note_share(session: &mut Session<'_>, workload: usize, activity: &Activity) -> Result<(), Stop> {
    let all: Option<f64> = activity.launches.iter().map(|launch| launch.device_ns).sum();
    let (Some(all), Some(call_ns)) = (all, session.clean_ns(workload)) else { return Ok(()) };
    let kernels_ns = all / f64::from(activity.calls.max(1));
    if kernels_ns >= MOST_OF_IT * call_ns {
        return Ok(());
    }
    let name = &session.problem.workloads[workload].name;
    let text = format!(
        "{name}: Triton kernels take {:.1} of the {:.1} µs of a call; in the rest the GPU does other work, or waits until the host has launched \
         the next",
        kernels_ns / 1e3,
        call_ns / 1e3
    );
    Ok(session.push(Event::Note { text })?)
}

impl StandIn {
    /// Whether the problem's outputs, as far as they are among those that were `left`, hold other bits there than the candidate gave them.
    fn differs(&self, workload: usize, left: &[&[u8]]) -> bool {
        let Some(arena) = &self.arenas[workload] else { return false };
        let mut outputs = self.tensors[workload].outputs.iter();
        outputs.any(|(index, buffer)| left.get(*index).is_some_and(|left| *left != arena.bytes(*buffer)))
    }
}
