//! The Triton kernels of a candidate in Python, seen from within: what one call launches is noted, the kernels are built with probes in them,
//! and host code of kinstr's launches them again as the call did, in the place of a compiled candidate.
//!
//! What PyTorch's own operations do in between is not done again. What they leave for kernels is there all the same: a kernel finds
//! in memory what it found when the call launched it for the first time.

use super::{
    super::{
        arguments::{outputs, put_inputs},
        failure::Stop,
        reference::Living,
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
    reference::Reference,
    tensor::DType,
    worker::{Fault, fault::CandidateFault},
};
use kinstr_runtime::arena::Arena;
use kinstr_trace::report::LayerStatus;

/// The layers that rest on it.
const LAYERS: [&str; 2] = ["kernel-counters", "intra-kernel"];
/// Operations of PyTorch's that a note names.
const NAMED: usize = 4;

/// Looks into the kernels, as far as they can be launched again. Problem and candidate are as before when it ends.
pub fn run(session: &mut Session<'_>, living: &mut Living) -> Result<(), Ended> {
    let stages = [Stage::Build, Stage::Replay, Stage::Counters, Stage::Observe, Stage::Probes];
    if stages.into_iter().all(|stage| session.is_done(stage)) {
        return Ok(());
    }
    let mut found = None;
    let mut prepare_all = |session: &mut Session<'_>| {
        let reference = living.get(session)?;
        found = Some(prepare(session, reference)?);
        Ok(Done)
    };
    if session.is_done(Stage::Build) {
        // What an earlier run built is in the store, but what is in memory is not.
        if let Err(Stop::Fatal(error)) = prepare_all(session) {
            return Err(error.into());
        }
    } else {
        explain(session, Stage::Build, "intra-kernel", prepare_all)?;
    }
    let (stand_in, builds) = match found {
        Some(Ok(found)) => found,
        Some(Err(why)) => return unavailable(session, &LAYERS, &why),
        None => return unavailable(session, &LAYERS[..1], "its kernels could not be built with probes"),
    };
    let before = session.stand_in(stand_in);
    let looked = look(session, living, &builds);
    session.stand_in(before);
    looked
}

fn look(session: &mut Session<'_>, living: &mut Living, builds: &Builds) -> Result<(), Ended> {
    explain(session, Stage::Replay, "kernel-counters", |session| {
        Crew::gather(session, builds)?;
        launch_again(session, builds)
    })?;
    look_inside(session, builds, living)
}

/// What takes the place of problem and candidate while kernels are launched again.
pub struct StandIn {
    problem: Problem,
    source: Source,
    tensors: Vec<Tensors>,
    arenas: Vec<Option<Arena>>,
    clean_outputs: Vec<Option<blake3::Hash>>,
}

/// The contents of a workload's tensors.
#[derive(Debug, Default)]
pub struct Tensors {
    /// What calls read: the workload's number before all else.
    inputs: Vec<Vec<u8>>,
    /// What the candidate left in the problem's outputs that calls write to, by the number of the output.
    expected: Vec<(usize, Vec<u8>)>,
}

impl Session<'_> {
    /// Puts other things in the place of problem, candidate and tensors. Answers what was there.
    fn stand_in(&mut self, other: StandIn) -> StandIn {
        let StandIn { problem, source, tensors, arenas, clean_outputs } = other;
        self.crew = Crew::default();
        self.blank = arenas.iter().map(|_| None).collect();
        StandIn {
            problem: std::mem::replace(&mut self.problem, problem),
            source: std::mem::replace(&mut self.source, source),
            tensors: std::mem::replace(&mut self.replayed, tensors),
            arenas: std::mem::replace(&mut self.arenas, arenas),
            clean_outputs: std::mem::replace(&mut self.clean_outputs, clean_outputs),
        }
    }

    /// The tensors of a workload, if launches are repeated on them.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn replayed_arena(&mut self, workload: usize) -> Result<Option<Arena>, Stop> {
        if self.replayed.is_empty() {
            return Ok(None);
        }
        let mut arena = self.new_arena(workload)?;
        let inputs: Vec<&[u8]> = self.replayed[workload].inputs.iter().map(Vec::as_slice).collect();
        put_inputs(&mut arena, &inputs);
        Ok(Some(arena))
    }
}

fn unavailable(session: &mut Session<'_>, layers: &[&str], why: &str) -> Result<(), Ended> {
    for name in layers {
        let status = LayerStatus::Unavailable(why.to_owned());
        session.push(Event::Layer { name: (*name).into(), status })?;
    }
    Ok(())
}

/// Notes the launches of every workload and builds their kernels. The inner error says why that is not to be had.
fn prepare(
    session: &mut Session<'_>,
    reference: &mut Reference,
) -> Result<Result<(StandIn, Builds), String>, Stop> {
    let mut noted = Vec::new();
    let mut calls = Vec::new();
    for workload in 0..session.problem.workloads.len() {
        session.progress(&format!("noting launches of {}", session.problem.workloads[workload].name.clone()));
        match note(session, reference, workload)? {
            Ok((launches, call)) => {
                noted.push(launches);
                calls.push(call);
            }
            Err(why) => return Ok(Err(why)),
        }
    }
    let inputs = u32::try_from(session.problem.inputs.len()).unwrap_or(u32::MAX);
    let (replay, buffers) = Replay::of(&noted, inputs);
    let tensors = buffers.iter().zip(&calls).enumerate();
    let tensors = tensors.map(|(workload, (buffers, call))| tensors_of(&replay, workload, buffers, call));
    let tensors: Vec<Tensors> = tensors.collect::<Result<_, TritonError>>().map_err(BuildError::from)?;
    session.progress("building");
    let source = source_of(session, &replay)?;
    let target = session.site.target.clone();
    let builds = builds::build(&source, &session.probes, &session.options.store, &target)?;
    tell(session, &noted, &replay, &builds)?;
    let problem = problem_of(session, &replay, &buffers);
    let (arenas, clean_outputs) = (tensors.iter().map(|_| None).collect(), vec![None; tensors.len()]);
    Ok(Ok((StandIn { problem, source, tensors, arenas, clean_outputs }, builds)))
}

/// The problem's buffers around a call.
struct Around {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

/// What one call launches. The inner error says why that cannot be launched again.
fn note(
    session: &mut Session<'_>,
    reference: &mut Reference,
    workload: usize,
) -> Result<Result<(Noted, Around), String>, Stop> {
    let inputs = Inputs { workload, seed: session.timing_seed(workload) };
    let mut arena = session.fill_arena(reference, workload, inputs.seed)?;
    let limits = session.limits();
    let mut running = Subject::Python.start(session, reference, inputs, &arena, limits)?;
    running.run_on(&mut arena, POISON)?;
    let Running::Python(mut worker) = running else { return Ok(Err("it is not in Python".into())) };
    let noted = match worker.launches() {
        Err(Fault::Candidate(CandidateFault::Python(objection))) if objection.kind == "not-replayed" => {
            Err(objection.to_string())
        }
        folder => {
            let noted = Noted::read(&folder?).map_err(BuildError::from)?;
            match noted.launches() {
                0 => Err("no launch of a Triton kernel was seen".to_owned()),
                _ => Ok(noted),
            }
        }
    };
    let call = Around {
        inputs: (0..session.problem.inputs.len()).map(|index| arena.bytes(index).to_vec()).collect(),
        outputs: outputs(&arena, &session.problem).into_iter().map(<[u8]>::to_vec).collect(),
    };
    session.arenas[workload] = Some(arena);
    session.python = Some(worker);
    Ok(noted.map(|noted| (noted, call)))
}

/// What the buffers of a workload hold.
fn tensors_of(
    replay: &Replay,
    workload: usize,
    buffers: &Buffers<'_>,
    call: &Around,
) -> Result<Tensors, TritonError> {
    let mut inputs = vec![(workload as i64).to_le_bytes().to_vec()];
    for (bytes, before) in &buffers.inputs {
        let held = match before {
            Before::Bytes(held) => Some(held.to_vec()),
            Before::Input(input) => call.inputs.get(*input as usize).cloned(),
        };
        let held = held.filter(|held| held.len() as u64 == *bytes);
        inputs.push(
            held.ok_or_else(|| TritonError::Launches("memory is not as large as it was said to be".into()))?,
        );
    }
    // Other workloads may have more.
    inputs.resize(1 + replay.inputs, vec![0; UNUSED as usize]);
    let expected = buffers.outputs.iter().enumerate().filter_map(|(index, (bytes, output))| {
        let held = call.outputs.get((*output)? as usize)?;
        (held.len() as u64 == *bytes).then(|| (index, held.clone()))
    });
    Ok(Tensors { inputs, expected: expected.collect() })
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

/// Says what is looked into, and what is not.
fn tell(session: &mut Session<'_>, noted: &[Noted], replay: &Replay, builds: &Builds) -> Result<(), Stop> {
    let resources = builds.manifest.clean.kernels.clone();
    session.push(Event::Kernels { build: BuildKind::Clean, resources })?;
    let counts: Vec<String> = noted.iter().map(|noted| noted.launches().to_string()).collect();
    let kernels = replay.kernels.len();
    session.note_once(format!(
        "probes are in the Triton kernels alone, {kernels} of them: the launches of one call ({}) are repeated by kinstr, with the same \
         arguments",
        counts.join(", ")
    ))?;
    let others: Vec<String> =
        noted.iter().flat_map(|noted| noted.others()).map(|(name, _)| name.clone()).collect();
    let mut names: Vec<&String> = others.iter().collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named: Vec<&str> = names.iter().take(NAMED).map(|name| name.as_str()).collect();
    Ok(session.note_once(format!(
        "a call has PyTorch do work on the GPU too, which no probe is in: {}{more}",
        named.join(", ")
    ))?)
}

/// Repeats the launches without probes: how long each takes, and whether they leave what the candidate's own did.
fn launch_again(session: &mut Session<'_>, builds: &Builds) -> Result<Done, Stop> {
    for workload in 0..session.problem.workloads.len() {
        let Some(mut arena) = session.replayed_arena(workload)? else { return Ok(Done) };
        let mut worker = session.hire(Duty::Clean, builds, &builds.manifest.clean, workload, &arena)?;
        Crew::complete(session, builds);
        worker.run_on(&mut arena, POISON)?;
        let left = outputs(&arena, &session.problem);
        let expected = &session.replayed[workload].expected;
        let differ = expected.iter().any(|(index, expected)| left.get(*index) != Some(&expected.as_slice()));
        let first = worker.trace(1)?;
        let activity = match first.launches.len() > MANY_LAUNCHES as usize {
            true => first,
            false => worker.trace(TRACED)?,
        };
        session.crew.give_back(Duty::Clean, worker);
        session.arenas[workload] = Some(arena);
        if differ && !session.is_unsteady(workload) {
            let name = &session.problem.workloads[workload].name;
            let text = format!(
                "{name}: the launches, repeated, left other outputs than the candidate: something else has a part in what kernels \
                 compute, and what probes say may not be of the same work"
            );
            session.push(Event::Note { text })?;
        }
        // The host is kinstr's, and says nothing of the candidate's.
        let activity =
            kinstr_runtime::gpu::Activity { host_calls: Vec::new(), host_calls_lost: 0, ..activity };
        session.push(Event::Launched { workload, build: BuildKind::Clean, activity })?;
    }
    Ok(Done)
}
