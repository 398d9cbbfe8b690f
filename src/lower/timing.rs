//! Timing probes at both levels in one build: regions go in early and are carried through the optimiser, loops and
//! threads late, on what it made of the code.

use super::{LowerError, Mlir, Structured, convert_probes, import};
use kinstr_passes::{
    markers::drop_markers,
    probe::{self, Probe, ProbeError, Request},
    transforms::carry_regions::{calls_to_regions, regions_to_calls},
};
use kinstr_trace::sites::{Choice, SiteTable};
use melior::ir::Module;

/// Makes a lowered module with early markers ready for the optimiser.
///
/// # Errors
/// [`LowerError::Transform`].
pub fn carry_regions<'c>(mlir: &'c Mlir, structured: &Structured<'c>) -> Result<(), LowerError> {
    Ok(regions_to_calls(&mlir.context, &structured.module)?)
}

/// Inserts `late` timing probes beside the regions that `code` carries, whose sites are `early`: the optimised code plus
/// probes in the LLVM dialect, and all its sites. Markers that C came with are gone then. That one probe finds nothing to watch is no error where another finds
/// something: code without loops or threads has none to time.
///
/// # Errors
/// [`LowerError::Import`], `Probe`, `NothingToTime`, `Transform`, `Conversion`.
pub fn insert_timing<'c>(
    mlir: &'c Mlir,
    code: &inkwell::module::Module<'_>,
    early: SiteTable,
    late: &[&dyn Probe],
    choice: Option<&Choice>,
) -> Result<(Module<'c>, SiteTable), LowerError> {
    let module = import(mlir, code)?;
    calls_to_regions(&mlir.context, &module)?;
    let mut sites = early;
    let mut nothing: Vec<ProbeError> = Vec::new();
    for probe in late {
        let request = Request { probes: &[*probe], entry: None, before: sites.clone(), choice };
        match probe::insert_more(&mlir.context, &module, request) {
            Ok(more) => sites = more,
            Err(found_nothing @ ProbeError::NothingToWatch { .. }) => nothing.push(found_nothing),
            Err(error) => return Err(error.into()),
        }
    }
    drop_markers(&mlir.context, &module);
    if sites.sites.is_empty() && choice.is_none() && !nothing.is_empty() {
        // What early probes found is told in the table.
        let reasons = sites.left_out.into_iter().chain(nothing.iter().map(ProbeError::to_string));
        return Err(LowerError::NothingToTime { reasons: reasons.collect() });
    }
    // Regions may nest in another way than before the optimiser, and loops lie between them.
    let request = Request { before: sites, ..Request::default() };
    let sites = probe::insert_more(&mlir.context, &module, request)?;
    convert_probes(mlir, &module, &sites)?;
    Ok((module, sites))
}
