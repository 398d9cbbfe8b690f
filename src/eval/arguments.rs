//! What the entry is called with.

use crate::{
    builds::{Build, Builds, Convention},
    problem::{Axis, AxisSize, Contents, Problem, Workload},
    tensor::TensorSpec,
    worker::{Argument, Fault, Limits, Setup, Worker},
};
use kinstr_runtime::{
    arena::Arena,
    records::{RecordMemory, RecordSpec},
};
use kinstr_trace::{
    layout::{Keep, Mode},
    sites::SiteTable,
};
use rayon::prelude::*;
use std::time::Duration;

/// Records a unit has room for in trace mode: half a MiB, because the candidate's memory limit counts them too. A
/// power of two, as rings need.
pub const TRACE_RECORDS: u64 = 1 << 16;
/// Units for each thread that a candidate says it uses, and for any candidate at least; what records beyond them is
/// counted as refused.
const UNITS_A_THREAD: u32 = 4;
const LEAST_UNITS: u32 = 8;

/// Starts a worker on `build` with the tensors of `arena`; an instrumented build gets record memory.
///
/// # Errors
/// When the worker cannot be started or does not load the library.
pub fn start_worker(
    builds: &Builds,
    build: &Build,
    problem: &Problem,
    workload: usize,
    arena: &Arena,
    limits: Limits,
) -> Result<Worker, Fault> {
    start_recorder(builds, build, problem, workload, arena, limits, Keep::First)
}

/// As [`start_worker`]; `keep` says which records a full buffer of a build in trace mode keeps.
///
/// # Errors
/// As [`start_worker`].
pub fn start_recorder(
    builds: &Builds,
    build: &Build,
    problem: &Problem,
    workload: usize,
    arena: &Arena,
    limits: Limits,
    keep: Keep,
) -> Result<Worker, Fault> {
    let records = match &build.sites {
        Some(sites) => Some(record_memory(sites, keep, builds.manifest.threads)?),
        None => None,
    };
    start_with(builds, build, problem, workload, arena, limits, records)
}

/// As [`start_worker`], with `records` as the memory that an instrumented build records into.
///
/// # Errors
/// As [`start_worker`].
pub fn start_with(
    builds: &Builds,
    build: &Build,
    problem: &Problem,
    workload: usize,
    arena: &Arena,
    limits: Limits,
    records: Option<RecordMemory>,
) -> Result<Worker, Fault> {
    let limits = for_threads(limits, builds.manifest.threads, records.as_ref());
    let mut worker = Worker::start(Setup { limits, arena, others: &[], records, program: None })?;
    worker.load(&builds.library(build), &arguments(builds, problem, workload, arena))?;
    Ok(worker)
}

/// Limits of a candidate's worker that runs `threads` threads and has `records`.
pub fn for_threads(limits: Limits, threads: u32, records: Option<&RecordMemory>) -> Limits {
    // Records are kinstr's, and no part of what the candidate may allocate.
    let recorded = records.map_or(0, |records| records.bytes() as u64);
    let memory = limits.memory.map(|bytes| bytes.saturating_add(recorded));
    // CPU time passes once for each thread that runs.
    let cpu = limits.cpu.saturating_mul(threads.max(1));
    Limits { memory, cpu, cores: threads.max(limits.cores), ..limits }
}

/// Calls of the greatest length that one worker serves at least: the rounds at any cost, and what surrounds them.
const CALLS_IN_FULL: u32 = 40;

/// Limits of a candidate's worker.
pub fn limits(timeout: Duration, memory: u64) -> Limits {
    let standard = Limits::candidate();
    let whole = timeout.saturating_mul(CALLS_IN_FULL).max(standard.wall);
    Limits { request: timeout, memory: Some(memory), cpu: whole, wall: whole, ..standard }
}

/// The same for a worker that is timed for up to `budget` on top.
pub fn timed_limits(timeout: Duration, memory: u64, budget: Duration) -> Limits {
    let limits = limits(timeout, memory);
    let whole = limits.wall.saturating_add(budget);
    Limits { cpu: whole, wall: whole, ..limits }
}

fn record_memory(sites: &SiteTable, keep: Keep, threads: u32) -> Result<RecordMemory, Fault> {
    use crate::worker::fault::{InfrastructureFault, InternalFault};
    let digest = sites.digest().map_err(|error| InternalFault::Refused(error.to_string()))?;
    let spec = RecordSpec {
        site_count: u32::try_from(sites.sites.len()).unwrap_or(u32::MAX),
        word_count: sites.word_count(),
        record_capacity: if sites.mode == Mode::Trace { TRACE_RECORDS } else { 0 },
        keep: if sites.mode == Mode::Trace { keep } else { Keep::First },
        unit_capacity: threads.saturating_mul(UNITS_A_THREAD).max(LEAST_UNITS),
        mode: sites.mode,
        site_digest: digest,
    };
    Ok(RecordMemory::new(spec).map_err(InfrastructureFault::System)?)
}

/// Descriptors or pointers, as the convention wants them; scalars by the value that is in the arena now.
pub fn arguments(builds: &Builds, problem: &Problem, workload: usize, arena: &Arena) -> Vec<Argument> {
    let Some(workload) = problem.workloads.get(workload) else { return Vec::new() };
    let specs: Vec<TensorSpec> =
        problem.input_specs(workload).into_iter().chain(problem.output_specs(workload)).collect();
    let scalars = match &builds.manifest.convention {
        Convention::Memrefs { scalars } => scalars,
        Convention::Pointers => {
            let buffers = (0..specs.len()).map(|buffer| Argument::Pointer { buffer });
            return buffers.chain(sizes(problem, workload)).collect();
        }
    };
    let one = |(index, spec): (usize, &TensorSpec)| {
        if scalars.get(index) == Some(&true) {
            return Argument::Scalar { bytes: arena.bytes(index).to_vec() };
        }
        let shape = spec.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
        Argument::Memref { buffer: index, shape }
    };
    specs.iter().enumerate().map(one).collect()
}

/// The size of every variable axis, as C candidates take it.
fn sizes(problem: &Problem, workload: &Workload) -> impl Iterator<Item = Argument> {
    let is_variable = |axis: &&Axis| axis.size == AxisSize::Var;
    let size = |axis: &Axis| workload.size(&axis.name).unwrap_or_default().to_le_bytes().to_vec();
    problem.axes.iter().filter(is_variable).map(move |axis| Argument::Scalar { bytes: size(axis) })
}

/// Bytes that one thread copies at a time.
const COPIED_AT_ONCE: usize = 1 << 20;

/// Copies `inputs` into the first buffers of `arena`.
pub fn put_inputs(arena: &mut Arena, inputs: &[&[u8]]) {
    for (index, input) in inputs.iter().enumerate() {
        let pairs =
            arena.bytes_mut(index).par_chunks_mut(COPIED_AT_ONCE).zip(input.par_chunks(COPIED_AT_ONCE));
        pairs.for_each(|(to, from)| to.copy_from_slice(from));
    }
}

/// The inputs whose elements may change places between calls: those of whole numbers may index or bound something.
pub fn float_inputs(problem: &Problem) -> Vec<usize> {
    let inputs = problem.inputs.iter().enumerate();
    inputs.filter(|(_, input)| input.dtype.is_float()).map(|(index, _)| index).collect()
}

/// The same without a model's weights, which a candidate in Python has in a place of its own.
pub fn float_arguments(problem: &Problem) -> Vec<usize> {
    let is_state = |index: &usize| matches!(problem.inputs[*index].contents, Contents::State);
    float_inputs(problem).into_iter().filter(|index| !is_state(index)).collect()
}

/// The outputs in `arena`, after its inputs.
pub fn outputs<'a>(arena: &'a Arena, problem: &Problem) -> Vec<&'a [u8]> {
    let first = problem.inputs.len();
    (first..first + problem.outputs.len()).map(|index| arena.bytes(index)).collect()
}

/// The digest of the outputs in `arena`.
pub fn digest_outputs(arena: &Arena, problem: &Problem) -> blake3::Hash {
    digest_of(&outputs(arena, problem))
}

/// The digest of outputs.
pub fn digest_of(outputs: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for output in outputs {
        hasher.update_rayon(output);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_budget_fits_the_limits() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(limits(second, 1).wall, Limits::candidate().wall);
        assert_eq!(limits(hour, 1).wall, hour * CALLS_IN_FULL);
        let timed = timed_limits(second, 1, 2 * hour);
        assert_eq!((timed.wall, timed.cpu), (Limits::candidate().wall + 2 * hour, timed.wall));
        assert_eq!(timed_limits(Duration::MAX, 1, hour).wall, Duration::MAX);
    }
}
