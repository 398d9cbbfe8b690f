//! What the probes of single accesses share: finding them, naming them, and a site for each.

use crate::{
    cfg::loop_depths,
    facts::{Access, AddressSources, ModuleFacts, access_of, moves_memory},
    ir::{blocks, body, operations, place_of, symbol},
    probe::{Insertion, NewSite, ProbeError},
};
use kinstr_dialects::ops::{BuildError, Builder};
use kinstr_trace::sites::{AccessFact, AccessKind, LineFacts, SiteKind};
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
    let mut facts = ModuleFacts::of(&functions);
    let mut found = false;
    for function in functions {
        let Some(region) = body(function) else { continue };
        let (depths, sources) = (loop_depths(region), AddressSources::new(region));
        let (mut watched, mut unwatched) = (false, 0);
        for (index, block) in blocks(region).enumerate() {
            let mut number = 0;
            for operation in operations(block).collect::<Vec<_>>() {
                let (Some(access), Some(fact)) = (access_of(operation), facts.access(operation)) else {
                    unwatched += u32::from(moves_memory(operation));
                    continue;
                };
                let fact = AccessFact { address: sources.of(operation), ..fact };
                let place = place_of(operation.location());
                let name = format!("{}:bb{index}.{}{number}", symbol(function), verb(fact.kind));
                number += 1;
                let site = insertion.add_site(NewSite {
                    probe,
                    kind: SiteKind::Access,
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

fn verb(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Load => "load",
        AccessKind::Store => "store",
    }
}
