//! `region-time`: how long each part of a kernel takes.
//!
//! ## What it measures
//! The time from entering to leaving each top-level linalg op, loop nest, `scf.if`, `omp.parallel`, `memref.copy` and call of
//! the entry function, and each op marked with `kinstr.region = "name"` wherever it stands; in a kernel on a GPU, marked ops
//! alone. In C, what lies between the markers of `kinstr.h`.
//!
//! ## How
//! `kprobe.region_begin` before and `kprobe.region_end` after the op, while it is still structured. The
//! optimiser is free inside a region; no memory access crosses its borders. Markers in C are calls until C is optimised, and
//! then the same ops. A region whose markers do not pair up on every path is left out, and a note says so.
//!
//! ## Cost
//! Two clock reads and one update of 32 bytes per execution; on x86-64 the clock is `rdtscp; lfence`.
//! Its cost on this machine is calibrated and subtracted.
//!
//! ## Records
//! Aggregate mode: count, sum, min and max in ticks. Trace mode: a begin and an end record.

use crate::{
    markers::{Marker, marker},
    ir::{functions, is, name, nested, place_of, string_attribute, symbol},
    probe::{Insertion, Level, NewSite, Perturbation, Probe, ProbeError},
};
use kinstr_dialects::{
    nesting::{Border, Nesting},
    verify::VerifyError,
};
use kinstr_trace::sites::SiteKind;
use melior::ir::{BlockLike, Module, OperationRef, operation::OperationLike};

/// Attribute that marks an op as a region of its own.
pub const MARK: &str = "kinstr.region";

/// The probe.
pub struct RegionTime;

/// The probe, for the registry.
pub const PROBE: RegionTime = RegionTime;

impl Probe for RegionTime {
    fn name(&self) -> &'static str {
        "region-time"
    }
    fn source(&self) -> &'static str {
        include_str!("region_time.rs")
    }
    fn level(&self) -> Level {
        Level::Structured
    }
    fn perturbation(&self) -> Perturbation {
        Perturbation::Timing
    }
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError> {
        let mut found = false;
        for function in functions(insertion.module(), "llvm") {
            found |= surround_marked(insertion, function)?;
        }
        let kernels = kernels(insertion.module());
        // Host code of a candidate for a GPU is not timed.
        let hosts = if kernels.is_empty() { functions(insertion.module(), "func") } else { Vec::new() };
        for (function, is_host) in
            hosts.into_iter().map(|host| (host, true)).chain(kernels.into_iter().map(|kernel| (kernel, false)))
        {
            let is_entry = is_host && insertion.entry().is_none_or(|entry| entry == symbol(function));
            let (ends, regions): (Vec<_>, Vec<_>) =
                regions_of(function, is_entry).into_iter().partition(|op| is_terminator(*op));
            for end in ends {
                let (name, place) = (name(end), place_of(end.location()));
                let line = place.map(|place| format!(" ({place})")).unwrap_or_default();
                let function = symbol(function);
                insertion.leave_out(format!(
                    "region-time leaves out `{name}`{line} in `{function}`: it ends its block, so nothing can follow it"
                ));
            }
            if regions.is_empty() {
                continue;
            }
            found = true;
            for operation in regions {
                surround(insertion, function, operation)?;
            }
            insertion.open_function(function)?;
        }
        if found {
            return Ok(());
        }
        let reason = "there is no linalg op, loop nest or call in the entry function, and no marked region";
        Err(ProbeError::NothingToWatch { probe: self.name(), reason })
    }
}

/// Functions of every `gpu.module`.
fn kernels<'c, 'a>(module: &'a Module<'c>) -> Vec<OperationRef<'c, 'a>> {
    nested(module.as_operation()).into_iter().filter(|operation| is(*operation, "gpu.func")).collect()
}

/// Top-level work of the entry and marked ops at any depth, outer before inner.
fn regions_of<'c, 'a>(function: OperationRef<'c, 'a>, is_entry: bool) -> Vec<OperationRef<'c, 'a>> {
    let is_top = |op: &OperationRef<'c, 'a>| op.parent_operation() == Some(function);
    nested(function)
        .into_iter()
        .filter(|op| op.has_attribute(MARK) || (is_entry && is_top(op) && is_work(*op)))
        .collect()
}

fn is_terminator(operation: OperationRef<'_, '_>) -> bool {
    operation.block().and_then(|block| block.terminator()) == Some(operation)
}

/// True for ops that take time at run time: linalg ops, loops, calls, copies.
fn is_work(operation: OperationRef<'_, '_>) -> bool {
    const LOOPS_AND_CALLS: [&str; 10] = [
        "omp.parallel", "scf.for", "scf.forall", "scf.parallel", "scf.while", "scf.if", "affine.for", "affine.parallel",
        "func.call", "memref.copy",
    ];
    let name = name(operation);
    let is_linalg = name.strip_prefix("linalg.").is_some_and(|op| op != "yield" && op != "index");
    is_linalg || LOOPS_AND_CALLS.contains(&name.as_str())
}

fn surround<'c>(
    insertion: &mut Insertion<'_, 'c>,
    function: OperationRef<'c, '_>,
    operation: OperationRef<'c, '_>,
) -> Result<(), ProbeError> {
    let Some(block) = operation.block() else { return Ok(()) };
    let label = string_attribute(operation, MARK).unwrap_or_else(|| name(operation));
    let place = place_of(operation.location());
    let site = NewSite::timed(PROBE.name(), SiteKind::Region, label, symbol(function), place);
    let site = insertion.add_chosen_site(site);
    let Some(site) = site else { return Ok(()) };
    let builder = insertion.builder(operation);
    block.insert_operation_before(operation, builder.region_begin(site)?);
    block.insert_operation_after(operation, builder.region_end(site)?);
    Ok(())
}

/// Regions between markers; answers whether there are any.
fn surround_marked<'c>(
    insertion: &mut Insertion<'_, 'c>,
    function: OperationRef<'c, '_>,
) -> Result<bool, ProbeError> {
    let marked: Vec<_> = nested(function).into_iter().filter_map(|op| Some((op, marker(op)?))).collect();
    let mut names: Vec<&str> = Vec::new();
    for (_, Marker { name, .. }) in &marked {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let borders = |name| marked.iter().filter(move |(_, marker)| marker.name == name);
    while let Some(torn) = not_paired(function, &names) {
        let place = borders(torn).find_map(|(border, _)| place_of(border.location()));
        let line = place.map(|place| format!(" ({}:{})", place.file, place.line)).unwrap_or_default();
        insertion.leave_out(format!(
            "region-time leaves out the region `{torn}`{line} of `{}`: it does not begin and end on every path, or crosses \
             another; `return` and `goto` out of a region do not end it",
            symbol(function)
        ));
        names.retain(|name| *name != torn);
    }
    for name in &names {
        let begin = borders(name).find(|(_, marker)| marker.is_begin);
        let place = begin.and_then(|(begin, _)| place_of(begin.location()));
        let site = NewSite::timed(PROBE.name(), SiteKind::Region, (*name).to_owned(), symbol(function), place);
        let Some(site) = insertion.add_chosen_site(site) else { continue };
        for (call, Marker { is_begin, .. }) in borders(name) {
            let builder = insertion.builder(*call);
            let border = if *is_begin { builder.region_begin(site)? } else { builder.region_end(site)? };
            if let Some(block) = call.block() {
                block.insert_operation_before(*call, border);
            }
        }
    }
    if !names.is_empty() {
        insertion.open_function(function)?;
    }
    Ok(!marked.is_empty())
}

/// The name of a region whose markers do not pair up.
fn not_paired<'n>(function: OperationRef<'_, '_>, names: &[&'n str]) -> Option<&'n str> {
    let site = |name: &str| names.iter().position(|known| *known == name).map(|index| index as u32);
    let nesting = Nesting::of_borders(function, &|operation| {
        let Marker { name, is_begin } = marker(operation)?;
        Some(if is_begin { Border::Begin(site(&name)?) } else { Border::End(site(&name)?) })
    });
    match nesting {
        Err(VerifyError::NotNested { site, .. }) => names.get(site as usize).copied(),
        _ => None,
    }
}
