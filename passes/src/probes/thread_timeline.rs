//! `thread-timeline`: when each thread works on a parallel region, and when it waits for the others.
//!
//! ## What it measures
//! For every function that the code hands to a parallel runtime (OpenMP's `__kmpc_fork_call`, MLIR's async runtime): the
//! time each thread spends in it, which is its share of the parallel region; and within it the time it waits at
//! barriers, critical sections and reductions. Threads that work longer than others show as imbalance.
//!
//! ## How
//! On optimised LLVM IR, where parallel regions are functions of their own. The clock is read when such a function is
//! entered and before it returns, and around every call that waits. What a thread waits at the end of the region, inside
//! of the runtime, is no part of its share.
//!
//! ## Cost
//! Two clock reads and one update of 32 bytes per thread and region, and as much per wait; on x86-64 the clock is
//! `rdtscp; lfence`.
//!
//! ## Records
//! Every thread is a unit. Aggregate mode: count, sum, min and max in ticks. Trace mode: a begin and an end record, so that
//! the timeline has one track a thread.

use crate::{
    ffi::symbol_value,
    ir::{blocks, body, callee, is, nested, place_of, symbol},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
};
use kinstr_trace::sites::{Place, SiteKind};
use melior::ir::{
    BlockLike, OperationRef,
    attribute::FlatSymbolRefAttribute,
    operation::{OperationLike, OperationResult},
};

/// Runtime functions that take a function and run it on threads.
const STARTS: [&str; 3] = ["__kmpc_fork_call", "__kmpc_fork_teams", "mlirAsyncRuntimeExecute"];
/// Runtime functions that return when other threads allow it. A group of tasks is waited for at its end alone.
const WAITS: [&str; 15] = [
    "__kmpc_barrier",
    "__kmpc_cancel_barrier",
    "__kmpc_critical",
    "__kmpc_critical_with_hint",
    "__kmpc_reduce",
    "__kmpc_reduce_nowait",
    "__kmpc_end_reduce",
    "__kmpc_ordered",
    "__kmpc_omp_taskwait",
    "__kmpc_omp_wait_deps",
    "__kmpc_omp_taskwait_deps_51",
    "__kmpc_end_taskgroup",
    "__kmpc_doacross_wait",
    "omp_set_lock",
    "mlirAsyncRuntimeAwaitAllInGroup",
];

/// The probe.
pub struct ThreadTimeline;

/// The probe, for the registry.
pub const PROBE: ThreadTimeline = ThreadTimeline;

impl Probe for ThreadTimeline {
    fn name(&self) -> &'static str {
        "thread-timeline"
    }
    fn source(&self) -> &'static str {
        include_str!("thread_timeline.rs")
    }
    fn level(&self) -> Level {
        Level::Optimized
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Timing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let functions = insertion.optimized_functions(self.name())?;
        let started = started(&functions);
        let mut found = false;
        for function in functions {
            let Some((_, place)) = started.iter().find(|(name, _)| *name == symbol(function)) else { continue };
            found = true;
            surround_share(insertion, function, place.clone())?;
            surround_waits(insertion, function)?;
        }
        if found {
            return Ok(());
        }
        let reason = "the optimised code hands no function of its own to threads";
        Err(ProbeError::NothingToWatch { probe: self.name(), reason })
    }
}

/// The functions handed to a parallel runtime, each with the line that hands it over.
fn started(functions: &[OperationRef<'_, '_>]) -> Vec<(String, Option<Place>)> {
    let calls = functions.iter().flat_map(|function| nested(*function)).filter(|call| calls_one_of(*call, &STARTS));
    calls
        .flat_map(|call| {
            let place = place_of(call.location());
            let operands: Vec<_> = call.operands().collect();
            operands.into_iter().filter_map(move |operand| {
                let source = OperationResult::try_from(operand).ok()?.owner();
                let handed = is(source, "llvm.mlir.addressof").then(|| source.attribute("global_name").ok())??;
                let name = symbol_value(FlatSymbolRefAttribute::try_from(handed).ok()?);
                Some((name, place.clone()))
            })
        })
        .collect()
}

fn calls_one_of(operation: OperationRef<'_, '_>, names: &[&str]) -> bool {
    is(operation, "llvm.call") && callee(operation).is_some_and(|callee| names.contains(&callee.as_str()))
}

fn surround_share<'c>(
    insertion: &mut Insertion<'_, 'c>,
    function: OperationRef<'c, '_>,
    place: Option<Place>,
) -> Result<(), ProbeError> {
    let name = symbol(function);
    let site = NewSite::timed(PROBE.name(), SiteKind::Parallel, name.clone(), name, place);
    let (Some(site), Some(region)) = (insertion.add_chosen_site(site), body(function)) else { return Ok(()) };
    for (index, block) in blocks(region).enumerate() {
        if index == 0 {
            let begin = insertion.builder(function).region_begin(site)?;
            block.insert_operation(insertion.first_in(block), begin);
        }
        if let Some(leave) = insertion.before_return(block) {
            block.insert_operation_before(leave, insertion.builder(leave).region_end(site)?);
        }
    }
    insertion.open_function(function)
}

fn surround_waits<'c>(
    insertion: &mut Insertion<'_, 'c>,
    function: OperationRef<'c, '_>,
) -> Result<(), ProbeError> {
    for call in nested(function).into_iter().filter(|call| calls_one_of(*call, &WAITS)) {
        let (waits_in, place) = (callee(call).unwrap_or_default(), place_of(call.location()));
        let site = NewSite::timed(PROBE.name(), SiteKind::Wait, waits_in, symbol(function), place);
        let (Some(site), Some(block)) = (insertion.add_chosen_site(site), call.block()) else { continue };
        block.insert_operation_before(call, insertion.builder(call).region_begin(site)?);
        block.insert_operation_after(call, insertion.builder(call).region_end(site)?);
        insertion.open_function(function)?;
    }
    Ok(())
}
