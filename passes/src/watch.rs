//! What the probes of single accesses share: finding them, naming them, and a site for each.

use crate::{
    cfg::loop_depths,
    facts::{Access, AddressSources, DeviceAccess, ModuleFacts, access_of, device_access_of, moves_memory},
    ir::{blocks, body, device_name, functions, is_device, operations, place_of, symbol},
    probe::{Insertion, NewSite, ProbeError},
};
use kinstr_dialects::ops::{BuildError, Builder};
use kinstr_trace::sites::{AccessFact, AccessKind, LineFacts, Place, SiteKind};
use melior::ir::{BlockLike, Operation, operation::OperationLike};

/// Puts what `build` makes before every load and store of the module, each with a site of `words` words. The same access gets
/// the same name from every probe, `function:block.number`.
///
/// # Errors
/// [`ProbeError::NothingToWatch`] if there is no access, [`ProbeError::WrongLevel`] before the LLVM dialect.
pub fn watch_accesses<'c>(
    insertion: &mut Insertion<'_, 'c>,
    probe: &'static str,
    words: u32,
    build: impl Fn(Builder<'c>, u32, &Access<'c, '_>) -> Result<Operation<'c>, BuildError>,
) -> Result<(), ProbeError> {
    let functions = insertion.optimized_functions(probe)?;
    let on_device = is_device(insertion.module());
    let mut facts = ModuleFacts::of(&functions);
    let mut found = false;
    for function in functions {
        let Some(region) = body(function) else { continue };
        let (depths, sources) = (loop_depths(region), AddressSources::new(region));
        let (mut watched, mut unwatched) = (false, 0);
        for (index, block) in blocks(region).enumerate() {
            let mut number = 0;
            for operation in operations(block).collect::<Vec<_>>() {
                let device = || device_access_of(operation).filter(|_| on_device);
                let plain = access_of(operation).map(|access| (access, None));
                let access = plain.or_else(|| device().map(|(access, what)| (access, Some(what))));
                let Some((access, what)) = access else {
                    unwatched += u32::from(moves_memory(operation));
                    continue;
                };
                let fact = facts.fact_of(operation, &access);
                let fact = AccessFact { address: sources.of(operation), ..fact };
                let place = place_of(operation.location());
                let name = format!("{}:bb{index}.{}{number}", symbol(function), verb(fact.kind, what));
                number += 1;
                let site = insertion.add_site(NewSite {
                    probe,
                    kind: if what == Some(DeviceAccess::Atomic) {
                        SiteKind::Atomic
                    } else {
                        SiteKind::Access
                    },
                    name,
                    function: symbol(function),
                    place: place.clone(),
                    loop_depth: depths[index],
                    counts_trips: false,
                    words,
                    lines: vec![LineFacts {
                        place,
                        instructions: 1,
                        memory: vec![fact],
                        ..LineFacts::default()
                    }],
                });
                block.insert_operation_before(operation, build(insertion.builder(operation), site, &access)?);
                watched = true;
            }
        }
        if unwatched > 0 {
            insertion.leave_out(format!(
                "{probe} does not watch {unwatched} ops in `{}` that may move memory and are no plain load or store: \
                 copies, fills, atomic updates, intrinsics of the target, assembly",
                symbol(function)
            ));
        }
        if watched {
            found = true;
            insertion.open_function(function)?;
        }
    }
    if found {
        Ok(())
    } else {
        Err(ProbeError::NothingToWatch { probe, reason: "the optimised code has no load and no store" })
    }
}

fn verb(kind: AccessKind, what: Option<DeviceAccess>) -> &'static str {
    match (kind, what) {
        (_, Some(DeviceAccess::Atomic)) => "atomic",
        (_, Some(DeviceAccess::Copy)) => "copy",
        (AccessKind::Load, None) => "load",
        (AccessKind::Store, None) => "store",
    }
}

/// Times every op of device code whose name ([`device_name`]) has one of `patterns` in it. Those in a row that come from
/// one place of the source share a site.
///
/// # Errors
/// [`ProbeError::NothingToWatch`] with `nothing` if there is none, and in code of a CPU.
pub fn time_device_ops(
    insertion: &mut Insertion<'_, '_>,
    probe: &'static str,
    kind: SiteKind,
    patterns: &[&str],
    nothing: &'static str,
) -> Result<(), ProbeError> {
    check_device(insertion, probe)?;
    let mut found = false;
    for function in functions(insertion.module(), "llvm") {
        let Some(region) = body(function) else { continue };
        let depths = loop_depths(region);
        for (index, block) in blocks(region).enumerate() {
            // What one op of the source became, of which its author knows one.
            let mut before: Option<(Place, &str, Option<u32>)> = None;
            for operation in operations(block).collect::<Vec<_>>() {
                let name = device_name(operation);
                let Some(pattern) = patterns.iter().find(|pattern| name.contains(**pattern)) else {
                    continue;
                };
                found = true;
                let place = place_of(operation.location());
                let is_same = |(known, what, _): &(Place, &str, Option<u32>)| {
                    place.as_ref() == Some(known) && what == pattern
                };
                let site = match before.as_ref().filter(|before| is_same(before)) {
                    Some((.., site)) => *site,
                    None => {
                        let label = format!("{}:bb{index} {pattern}", symbol(function));
                        let site = NewSite::timed(probe, kind, label, symbol(function), place.clone());
                        insertion.add_chosen_site(NewSite { loop_depth: depths[index], ..site })
                    }
                };
                before = place.map(|place| (place, *pattern, site));
                let Some(site) = site else { continue };
                let builder = insertion.builder(operation);
                block.insert_operation_before(operation, builder.region_begin(site)?);
                block.insert_operation_after(operation, builder.region_end(site)?);
                insertion.open_function(function)?;
            }
        }
    }
    if found { Ok(()) } else { Err(ProbeError::NothingToWatch { probe, reason: nothing }) }
}

/// Refuses code of a CPU, of which a probe for GPUs has nothing to tell.
///
/// # Errors
/// [`ProbeError::NothingToWatch`], [`ProbeError::WrongLevel`] before the LLVM dialect.
pub fn check_device(insertion: &Insertion<'_, '_>, probe: &'static str) -> Result<(), ProbeError> {
    if functions(insertion.module(), "llvm").is_empty() {
        let wanted = "after the optimiser, on the LLVM dialect";
        return Err(ProbeError::WrongLevel { probe, wanted });
    }
    if is_device(insertion.module()) {
        return Ok(());
    }
    Err(ProbeError::NothingToWatch { probe, reason: "this is no code of a GPU" })
}
