//! From a source to the code that every build starts from, whatever it was written in.

use super::{BuildError, Convention};
use crate::{
    codegen::{self, machine::Machine},
    frontend::{
        Language, Source,
        c::{self, Markers},
        llvm_ir, mlir,
    },
    lower::{self, LowerError, Mlir},
};
use inkwell::{context::Context, module::Module};
use kinstr_passes::{
    probe::{Probe, ProbeError},
    transforms::{
        adapt_entry::{Kind, Signature},
        wrap_pointers::{find_entry, wrap_pointers},
    },
};
use kinstr_trace::{
    layout::Mode,
    sites::{Choice, SiteTable},
};

/// A candidate's optimised code with the entry that kinstr calls.
pub struct Optimized<'l> {
    /// The code.
    pub code: Module<'l>,
    /// How the entry takes its arguments.
    pub convention: Convention,
    /// The entry's name.
    pub entry: String,
}

/// The clean code of `source`.
///
/// # Errors
/// [`BuildError`], mostly the candidate's fault.
pub fn optimized<'l>(
    source: &Source,
    mlir: &Mlir,
    machine: &Machine,
    llvm: &'l Context,
) -> Result<Optimized<'l>, BuildError> {
    if source.language == Language::Mlir {
        return from_mlir(source, mlir, machine, llvm, None).map(|(optimized, _)| optimized);
    }
    from_llvm(source, Markers::Vanish, machine, llvm)
}

/// C and LLVM IR, whose compiler has optimised them or LLVM does so now.
fn from_llvm<'l>(
    source: &Source,
    markers: Markers,
    machine: &Machine,
    llvm: &'l Context,
) -> Result<Optimized<'l>, BuildError> {
    let code = match source.language {
        Language::LlvmIr => {
            let code = llvm_ir::parse(source, llvm, machine)?;
            lower::refuse::check_code(&code)?;
            codegen::optimize(&code, machine)?;
            code
        }
        _ => {
            let code = c::compile(source, markers, llvm)?;
            // With markers there are names of kinstr's in it; without them it was checked for the clean build.
            if markers == Markers::Vanish {
                lower::refuse::check_code(&code)?;
            }
            codegen::adopt(&code, machine)?;
            code
        }
    };
    let entry = find_entry(&code, source.directives.entry.as_deref()).map_err(lower::LowerError::from)?;
    wrap_pointers(&code, entry).map_err(lower::LowerError::from)?;
    let entry = entry.get_name().to_string_lossy().into_owned();
    Ok(Optimized { code, convention: Convention::Pointers, entry })
}

/// Probes that go in before the optimiser.
pub struct Early<'p> {
    /// Them.
    pub probes: &'p [&'p dyn Probe],
    /// How sites record.
    pub mode: Mode,
    /// The sites to insert; all if there is no choice.
    pub choice: Option<&'p Choice>,
}

/// The code of `source` that carries the regions of `early`, and their sites: none where there is no structure for
/// early probes to go by, but the markers of C, which get their sites late.
///
/// # Errors
/// [`BuildError`].
pub fn optimized_with<'l>(
    early: &Early<'_>,
    source: &Source,
    mlir: &Mlir,
    machine: &Machine,
    llvm: &'l Context,
) -> Result<(Module<'l>, SiteTable), BuildError> {
    if source.language != Language::Mlir {
        let markers = if source.may_hold_markers() { Markers::Stay } else { Markers::Vanish };
        let code = from_llvm(source, markers, machine, llvm)?.code;
        return Ok((code, SiteTable { mode: early.mode, ..SiteTable::default() }));
    }
    let (optimized, sites) = from_mlir(source, mlir, machine, llvm, Some(early))?;
    Ok((optimized.code, sites))
}

/// The whole way down, with early probes on it or without.
fn from_mlir<'l>(
    source: &Source,
    mlir: &Mlir,
    machine: &Machine,
    llvm: &'l Context,
    early: Option<&Early<'_>>,
) -> Result<(Optimized<'l>, SiteTable), BuildError> {
    let module = mlir::parse(source, &mlir.context, &mlir.messages)?;
    lower::refuse::check(&module, &source.directives)?;
    let (mut structured, rest) = lower::structure(mlir, module, &source.directives)?;
    let sites = early.map(|early| insert(early, mlir, &structured)).transpose()?.unwrap_or_default();
    lower::to_llvm_dialect(mlir, &mut structured, &rest, None)?;
    lower::carry_regions(mlir, &structured)?;
    let code = lower::to_llvm_ir(mlir, &structured.module, llvm)?;
    lower::refuse::check_assembly(&code)?;
    codegen::optimize(&code, machine)?;
    let convention = memrefs(&structured.signature);
    Ok((Optimized { code, convention, entry: structured.signature.name }, sites))
}

/// Early probes may find nothing: late ones may yet.
fn insert<'c>(
    early: &Early<'_>,
    mlir: &'c Mlir,
    structured: &lower::Structured<'c>,
) -> Result<SiteTable, LowerError> {
    let Early { probes, mode, choice } = *early;
    match lower::insert_early(mlir, structured, probes, mode, choice) {
        Err(LowerError::Probe(nothing @ ProbeError::NothingToWatch { .. })) => {
            Ok(SiteTable { mode, left_out: vec![nothing.to_string()], ..SiteTable::default() })
        }
        other => other,
    }
}

/// MLIR's convention, for a signature whose outputs are arguments.
pub(super) fn memrefs(signature: &Signature) -> Convention {
    let scalars = signature.arguments.iter().map(|argument| argument.kind == Kind::Scalar).collect();
    Convention::Memrefs { scalars }
}
